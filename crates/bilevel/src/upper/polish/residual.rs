//! How far a point is from solving the polish's system at t = 0: least squares over all multipliers.
//!
//! A pair (s_i, u_i) of the follower's complementarity is on one of two branches: s_i = 0 with u_i >= 0 free, or
//! u_i = 0. On a branch the vanishing one is an equality (its multiplier is free); where both vanish, both are
//! inequalities (strong stationarity). For followers that are not convex the follower's tied answers y_j enter through
//! f(x, y) − f(x, y_j) <= 0.

use bilevel_linalg::{Dense, vector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::KktProgramme;
use crate::nlp::{Nlp, Normals, unit};

/// Slacks, multipliers and bounds below this (relative to 1 + their size) count as zero.
const ACTIVE: f64 = 1e-6;

/// Radius, relative to 1 + the size, within which gradients of an F with kinks are collected.
const NEARBY: f64 = 1e-6;
/// Random points among them.
const RANDOM_POINTS: usize = 20;

impl KktProgramme<'_, '_> {
    /// The residual at z, relative to 1 + ‖∇F‖∞; `ties` are gradients in x of f(x, y_j) at other answers of the follower
    /// that tie with the one in z.
    pub(crate) fn optimality_residual(&mut self, z: &[f64], ties: &[Vec<f64>]) -> Option<f64> {
        let width = z.len();
        let mut gradient = vec![0.0; width];
        self.gradient(z, &mut gradient);
        let mut jacobian = Dense::zeros(self.frame().constraint_upper.len(), width);
        self.jacobian(z, &mut jacobian);
        let mut normals = Normals::default();
        self.leader_normals(z, &jacobian, &mut normals);
        let first = self.first_complementarity - self.size;
        for row in first..first + self.size {
            normals.push(jacobian.row(row).to_vec(), true);
        }
        self.branch_normals(z, &mut normals);
        self.tie_normals(z, ties, &mut normals);
        let residual = if self.smooth {
            normals.distance(&gradient)?
        } else {
            normals.hull_distance(&self.nearby_gradients(z, gradient.clone()))?
        };
        Some(residual / (1.0 + vector::norm_inf(&gradient)))
    }

    /// Gradients of F at z and at points around it, on both sides of every axis and at random: where F has a kink at z,
    /// generators of its subdifferential (as in gradient sampling).
    fn nearby_gradients(&mut self, z: &[f64], at_point: Vec<f64>) -> Vec<Vec<f64>> {
        let moving = self.n + self.size;
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut gradients = vec![at_point];
        for k in 0..2 * moving + RANDOM_POINTS {
            let mut shifted = z.to_vec();
            for (j, value) in shifted[..moving].iter_mut().enumerate() {
                let direction = if k >= 2 * moving {
                    rng.random_range(-1.0..=1.0)
                } else if k / 2 == j {
                    if k.is_multiple_of(2) { 1.0 } else { -1.0 }
                } else {
                    0.0
                };
                *value += NEARBY * (1.0 + value.abs()) * direction;
            }
            let mut gradient = vec![0.0; z.len()];
            self.gradient(&shifted, &mut gradient);
            if vector::all_finite(&gradient) {
                gradients.push(gradient);
            }
        }
        gradients
    }

    /// Bounds of x and its auxiliary variables, the leader's rows and functions. A normal points into the feasible side.
    fn leader_normals(&self, z: &[f64], jacobian: &Dense, normals: &mut Normals) {
        let frame = self.frame();
        for j in (0..self.n).chain(self.n + self.size..self.first_multiplier) {
            normals.push_range(unit(z.len(), j), z[j], frame.lower[j], frame.upper[j]);
        }
        for i in 0..self.leader_rows {
            let mut normal = vec![0.0; z.len()];
            frame.rows.row(i).for_each(|(j, a)| normal[j] = a);
            let value = vector::dot(&normal, z);
            normals.push_range(normal, value, frame.row_lower[i], frame.row_upper[i]);
        }
        for i in 0..self.leader_values.len() {
            let (low, high) = (frame.constraint_lower[i], frame.constraint_upper[i]);
            normals.push_range(jacobian.row(i).to_vec(), self.leader_values[i], low, high);
        }
    }

    /// The follower's inequalities and their multipliers by branch, and its equalities.
    fn branch_normals(&self, z: &[f64], normals: &mut Normals) {
        for (k, side) in self.sides.all().enumerate() {
            let column = self.first_multiplier + k;
            let mut slack = vec![0.0; z.len()];
            self.add_slack_gradient(side, 1.0, &mut slack);
            if k >= self.sides.inequalities.len() {
                normals.push(slack, true);
                continue;
            }
            let unit = unit(z.len(), column);
            let size = 1.0 + vector::norm_inf(&z[..self.first_multiplier]);
            match (self.slack(side, z) <= ACTIVE * size, z[column] <= ACTIVE) {
                (true, false) => normals.push(slack, true),
                (false, _) => normals.push(unit, true),
                (true, true) => {
                    normals.push(slack, false);
                    normals.push(unit, false);
                }
            }
        }
    }

    fn tie_normals(&mut self, z: &[f64], ties: &[Vec<f64>], normals: &mut Normals) {
        let own = self.lower_gradient(z);
        for tie in ties {
            let mut normal: Vec<f64> = own.iter().map(|g| -g).collect();
            normal.iter_mut().zip(tie).for_each(|(n, t)| *n += t);
            normals.push(normal, false);
        }
    }
}
