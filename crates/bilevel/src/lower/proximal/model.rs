//! The quadratic model with the exact penalty on a working set, and its minimiser.

use bilevel_linalg::{Cholesky, Dense, vector};

use super::super::composite::{CompositeAt, Weights};
use crate::smooth::proximal::soft_threshold;

/// Rounds of descent at most.
const ROUNDS: usize = 500;
/// Rounds of descent between Newton steps.
const PERIOD: usize = 3;
/// Newton steps in a row, each ended by a sign change, at most.
const SHORT_STEPS: usize = 30;
/// Added to the diagonal where the Hessian is singular, relative to its largest entry.
const SHIFT: f64 = 1e-13;

/// g_Wᵀ (z − y) + ½ (z − y)ᵀ H (z − y) + P(z), over z within bounds.
pub struct Model<'a> {
    hessian: &'a Dense,
    /// y_W.
    centre: Vec<f64>,
    z: Vec<f64>,
    /// g_W + H (z − y_W).
    slope: Vec<f64>,
    /// g_W.
    gradient: Vec<f64>,
    abs: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// Positions of the groups' variables, and their weights.
    groups: Vec<(Vec<usize>, f64)>,
    group_of: Vec<Option<usize>>,
    /// Curvature of each variable, kept away from 0.
    diagonal: Vec<f64>,
    /// A bound on the largest eigenvalue of each group's block.
    steepest: Vec<f64>,
}

impl<'a> Model<'a> {
    pub fn new(at: &CompositeAt<'_>, y: &[f64], gradient: &[f64], variables: &[usize], hessian: &'a Dense) -> Self {
        let composite = at.composite();
        let Weights { abs, group, .. } = at.weights();
        let (lower, upper) = composite.bounds();
        let pick = |v: &[f64]| variables.iter().map(|&j| v[j]).collect::<Vec<f64>>();
        let mut groups: Vec<(Vec<usize>, f64)> = Vec::new();
        let mut local = vec![None; composite.groups().len()];
        let mut group_of = vec![None; variables.len()];
        for (a, &j) in variables.iter().enumerate() {
            let Some(g) = composite.group_of(j) else { continue };
            let k = *local[g].get_or_insert_with(|| {
                groups.push((Vec::new(), group[g]));
                groups.len() - 1
            });
            groups[k].0.push(a);
            group_of[a] = Some(k);
        }
        // Where there is no curvature, steps are long, and those that never end reach what counts as infinite.
        let largest = (0..variables.len()).fold(vector::norm_inf(&pick(gradient)), |a: f64, j| a.max(hessian[(j, j)]));
        let least = (1e-12 * largest).max(1e-300);
        let diagonal = (0..variables.len()).map(|j| hessian[(j, j)].max(least)).collect();
        let steepest = groups
            .iter()
            .map(|(members, _)| {
                let row = |&a: &usize| members.iter().map(|&b| hessian[(a, b)].abs()).sum::<f64>();
                members.iter().map(row).fold(least, f64::max)
            })
            .collect();
        let centre = pick(y);
        Self {
            hessian,
            z: centre.clone(),
            centre,
            slope: pick(gradient),
            gradient: pick(gradient),
            abs: pick(abs),
            lower: pick(lower),
            upper: pick(upper),
            groups,
            group_of,
            diagonal,
            steepest,
        }
    }

    /// The minimiser found.
    pub fn into_point(self) -> Vec<f64> {
        self.z
    }

    /// The first-order change of f that the step promises: g_Wᵀ d + P(z) − P(y), at most 0.
    pub fn decrease(&self) -> f64 {
        let linear: f64 = self.gradient.iter().zip(&self.z).zip(&self.centre).map(|((g, z), y)| g * (z - y)).sum();
        (linear + self.penalty(&self.z) - self.penalty(&self.centre)).min(0.0)
    }

    fn penalty(&self, z: &[f64]) -> f64 {
        let norms = self.groups.iter().map(|(members, w)| w * norm(members, z));
        z.iter().zip(&self.abs).map(|(z, w)| w * z.abs()).sum::<f64>() + norms.sum::<f64>()
    }

    /// Rounds of descent with Newton steps between them, until neither moves anything.
    pub fn minimise(&mut self) {
        let size = 1.0 + vector::norm_inf(&self.gradient);
        for round in 0..ROUNDS {
            let change = self.descend();
            if change <= 1e-15 * size {
                break;
            }
            if round % PERIOD == PERIOD - 1 {
                for _ in 0..SHORT_STEPS {
                    if !self.newton() {
                        break;
                    }
                }
            }
        }
    }

    /// Minimises over each variable and each group in turn; the largest change of a slope.
    fn descend(&mut self) -> f64 {
        let mut change: f64 = 0.0;
        for a in 0..self.z.len() {
            if self.group_of[a].is_none() {
                let curvature = self.diagonal[a];
                let free = soft_threshold(self.z[a] - self.slope[a] / curvature, self.abs[a] / curvature);
                let new = free.max(self.lower[a]).min(self.upper[a]);
                change = change.max((new - self.z[a]).abs() * curvature);
                self.set(a, new);
            }
        }
        for g in 0..self.groups.len() {
            change = change.max(self.descend_group(g));
        }
        change
    }

    /// One proximal gradient step on a group: the soft threshold, then the norm's shrinkage.
    fn descend_group(&mut self, g: usize) -> f64 {
        let (members, weight) = &self.groups[g];
        let curvature = self.steepest[g];
        let mut new: Vec<f64> = members
            .iter()
            .map(|&a| soft_threshold(self.z[a] - self.slope[a] / curvature, self.abs[a] / curvature))
            .collect();
        let size = new.iter().map(|v| v * v).sum::<f64>().sqrt();
        let kept = if size > 0.0 { (1.0 - weight / curvature / size).max(0.0) } else { 0.0 };
        new.iter_mut().for_each(|v| *v *= kept);
        let members = members.clone();
        let mut change: f64 = 0.0;
        for (&a, &value) in members.iter().zip(&new) {
            change = change.max((value - self.z[a]).abs() * curvature);
            self.set(a, value);
        }
        change
    }

    /// Moves one variable.
    fn set(&mut self, a: usize, value: f64) {
        let step = value - self.z[a];
        if step != 0.0 {
            vector::axpy(step, self.hessian.row(a), &mut self.slope);
            self.z[a] = value;
        }
    }

    /// A Newton step on the manifold of the nonzero variables, up to the first sign change, bound, or vanishing group.
    /// True if one of these ended it, so that another step may follow.
    fn newton(&mut self) -> bool {
        let free: Vec<usize> = (0..self.z.len()).filter(|&a| self.is_free(a)).collect();
        if free.is_empty() {
            return false;
        }
        let Some(mut direction) = self.newton_direction(&free) else { return false };
        let (mut length, mut blocking) = (1.0, None);
        for (&a, &d) in free.iter().zip(&direction) {
            let limit = self.room(a, d);
            if limit < length {
                (length, blocking) = (limit, Some(a));
            }
        }
        direction.iter_mut().for_each(|d| *d *= length);
        if !self.groups.is_empty() && !self.model_decreases(&free, &direction) {
            return false;
        }
        for (&a, &d) in free.iter().zip(&direction) {
            let value = self.z[a] + d;
            self.set(a, value.max(self.lower[a]).min(self.upper[a]));
        }
        if let Some(a) = blocking.filter(|&a| self.abs[a] > 0.0) {
            let end = if self.z[a].abs() <= 1e-9 * (1.0 + self.centre[a].abs()) { 0.0 } else { self.z[a] };
            self.set(a, end);
        }
        blocking.is_some()
    }

    fn is_free(&self, a: usize) -> bool {
        let inside = self.z[a] > self.lower[a] && self.z[a] < self.upper[a];
        let moving = match self.group_of[a] {
            None => self.z[a] != 0.0 || self.abs[a] == 0.0,
            Some(g) => (self.z[a] != 0.0 || self.abs[a] == 0.0) && norm(&self.groups[g].0, &self.z) > 0.0,
        };
        inside && moving
    }

    /// The largest step along d until the variable reaches 0 (if it has a kink there) or a bound.
    fn room(&self, a: usize, d: f64) -> f64 {
        let z = self.z[a];
        let mut room = f64::INFINITY;
        if self.abs[a] > 0.0 && z * d < 0.0 {
            room = room.min(-z / d);
        }
        let bound = if d > 0.0 { self.upper[a] } else { self.lower[a] };
        if bound.is_finite() && d != 0.0 {
            room = room.min((bound - z) / d);
        }
        room
    }

    fn newton_direction(&self, free: &[usize]) -> Option<Vec<f64>> {
        let k = free.len();
        let mut matrix = Dense::from_fn(k, k, |a, b| self.hessian[(free[a], free[b])]);
        let mut direction: Vec<f64> = free.iter().map(|&a| -self.slope[a] - self.abs[a] * sign(self.z[a])).collect();
        for (members, weight) in &self.groups {
            let size = norm(members, &self.z);
            if size == 0.0 {
                continue;
            }
            let places: Vec<(usize, usize)> =
                (0..k).filter(|&a| members.contains(&free[a])).map(|a| (a, free[a])).collect();
            for &(a, i) in &places {
                direction[a] -= weight * self.z[i] / size;
                matrix[(a, a)] += weight / size;
                for &(b, j) in &places {
                    matrix[(a, b)] -= weight / size * (self.z[i] / size) * (self.z[j] / size);
                }
            }
        }
        let largest = (0..k).fold(0.0, |m: f64, a| m.max(matrix[(a, a)]));
        let mut factors = Cholesky::new();
        let shifts = [0.0, SHIFT * largest, 1e-10 * largest];
        shifts.iter().find(|&&shift| factors.factor(&matrix, shift).is_ok())?;
        factors.solve(&mut direction).ok()?;
        direction.iter().all(|d| d.is_finite()).then_some(direction)
    }

    /// Whether the model itself, norms included, does not grow along a step.
    fn model_decreases(&self, free: &[usize], direction: &[f64]) -> bool {
        let mut step = vec![0.0; self.z.len()];
        free.iter().zip(direction).for_each(|(&a, &d)| step[a] = d);
        let mut product = vec![0.0; step.len()];
        self.hessian.mul_add(1.0, &step, &mut product);
        let linear = vector::dot(&self.slope, &step);
        let moved: Vec<f64> = self.z.iter().zip(&step).map(|(z, d)| z + d).collect();
        let (before, after) = (self.penalty(&self.z), self.penalty(&moved));
        linear + 0.5 * vector::dot(&step, &product) + after - before <= 1e-15 * (1.0 + before.abs())
    }
}

fn sign(z: f64) -> f64 {
    if z == 0.0 { 0.0 } else { z.signum() }
}

fn norm(members: &[usize], z: &[f64]) -> f64 {
    members.iter().map(|&a| z[a] * z[a]).sum::<f64>().sqrt()
}
