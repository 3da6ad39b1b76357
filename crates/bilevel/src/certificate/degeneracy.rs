//! Constraint qualifications of the follower at an answer.
//!
//! Where the gradients of its active constraints are dependent, the multipliers need not be unique: v is then only
//! directionally differentiable, v′(x; d) = min over answers, max over multipliers, of ∇ₓL·d for convex followers. Where
//! some combination Σ u_i ∇s_i + Σ w_k ∇e_k vanishes with u >= 0 not all zero, there is no strictly feasible answer next to
//! y (Mangasarian & Fromovitz 1967; Slater's condition for convex followers), and v and S may jump as x moves.

use bilevel_linalg::{Dense, vector};

use crate::lower::{Follower, FollowerProgram, Regulariser};
use crate::nlp::{Nlp, Normals};
use crate::problem::Failures;
use crate::smooth::Smoothing;

/// What fails at an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Degeneracy {
    /// Active constraints, and the rank of their gradients.
    pub active: usize,
    /// See `active`.
    pub rank: usize,
    /// Whether no strictly feasible answer is near.
    pub no_interior: bool,
}

/// Followers with more variables are not looked at.
const LARGEST: usize = 300;
/// Distance from a limit, relative to 1 + its size, within which a constraint is active.
const ACTIVE: f64 = 1e-7;
/// Gradients shorter than this count as zero, and parts smaller than this as dependent.
const DEPENDENT: f64 = 1e-6;

impl Degeneracy {
    /// Looks at the answer y at x.
    pub fn of(follower: &Follower, x: &[f64], y: &[f64], failures: &Failures) -> Option<Self> {
        let system = &follower.system;
        if follower.size() > LARGEST || (system.rows.rows() == 0 && system.functions.is_empty()) {
            return None;
        }
        let (equalities, inequalities) = active(follower, x, y, failures)?;
        let all: Vec<Vec<f64>> = equalities.iter().chain(&inequalities).cloned().collect();
        let (rank, equal) = (rank_of(&all), rank_of(&equalities));
        let mut normals = Normals::default();
        equalities.iter().for_each(|e| normals.push(e.clone(), true));
        let vanishing = !inequalities.is_empty()
            && normals.hull_distance(&inequalities).is_some_and(|distance| distance <= DEPENDENT);
        Some(Self { active: all.len(), rank, no_interior: vanishing || equal < equalities.len() })
    }

    /// What is to be said of it, if anything.
    pub fn statements(&self, convex: bool) -> Vec<String> {
        let mut lines = Vec::new();
        if self.rank < self.active {
            lines.push(format!(
                "the follower's {} active constraints have gradients of rank {}: its multipliers need not be unique, and v \
                 is only directionally differentiable here; gradients of v belong to one choice of multipliers",
                self.active, self.rank
            ));
        }
        if self.no_interior {
            let condition = if convex { "Slater's condition" } else { "the Mangasarian-Fromovitz condition" };
            lines.push(format!(
                "the follower has no strictly feasible answer here ({condition} fails): v and S may jump as x moves"
            ));
        }
        lines
    }
}

/// Gradients over ỹ of the equalities, and of the active inequalities, pointing inwards, scaled to length 1.
type Gradients = (Vec<Vec<f64>>, Vec<Vec<f64>>);

fn active(follower: &Follower, x: &[f64], y: &[f64], failures: &Failures) -> Option<Gradients> {
    let size = follower.size();
    let mut programme = FollowerProgram::new(follower, failures);
    programme.fix(x, Smoothing::EXACT, &Regulariser::default());
    let z = follower.extend(x, y);
    let count = follower.system.upper.len();
    let (mut values, mut jacobian) = (vec![0.0; count], Dense::zeros(count, size));
    programme.constraints(&z, &mut values);
    programme.jacobian(&z, &mut jacobian);
    let frame = programme.frame();
    let mut out: Gradients = (Vec::new(), Vec::new());
    let mut add = |value: f64, low: f64, high: f64, normal: &dyn Fn() -> Vec<f64>| {
        let near = |limit: f64| limit.is_finite() && (value - limit).abs() <= ACTIVE * (1.0 + limit.abs());
        if low == high {
            out.0.push(unit_length(normal(), 1.0));
            return;
        }
        if near(low) {
            out.1.push(unit_length(normal(), 1.0));
        }
        if near(high) {
            out.1.push(unit_length(normal(), -1.0));
        }
    };
    for (j, &value) in z.iter().enumerate() {
        add(value, frame.lower[j], frame.upper[j], &|| crate::nlp::unit(size, j));
    }
    for i in 0..frame.rows.rows() {
        let normal = || {
            let mut normal = vec![0.0; size];
            frame.rows.row(i).for_each(|(j, a)| normal[j] = a);
            normal
        };
        // A row of x alone is no constraint on y.
        if frame.rows.row(i).next().is_some() {
            add(frame.rows.row_dot(i, &z), frame.row_lower[i], frame.row_upper[i], &normal);
        }
    }
    for (i, &value) in values.iter().enumerate() {
        add(value, frame.constraint_lower[i], frame.constraint_upper[i], &|| jacobian.row(i).to_vec());
    }
    let finite = out.0.iter().chain(&out.1).flatten().all(|a| a.is_finite());
    finite.then_some(out)
}

fn unit_length(mut normal: Vec<f64>, sign: f64) -> Vec<f64> {
    let length = vector::dot(&normal, &normal).sqrt();
    let scale = if length > DEPENDENT { sign / length } else { 0.0 };
    normal.iter_mut().for_each(|a| *a *= scale);
    normal
}

/// The rank, by orthogonalisation against the largest one left.
fn rank_of(vectors: &[Vec<f64>]) -> usize {
    let mut left = vectors.to_vec();
    let mut rank = 0;
    while let Some(k) = (0..left.len()).max_by(|&a, &b| length(&left[a]).total_cmp(&length(&left[b]))) {
        let mut pivot = left.swap_remove(k);
        let size = length(&pivot);
        if size <= DEPENDENT {
            break;
        }
        rank += 1;
        vector::scale(1.0 / size, &mut pivot);
        for other in &mut left {
            let part = vector::dot(&pivot, other);
            vector::axpy(-part, &pivot, other);
        }
    }
    rank
}

fn length(v: &[f64]) -> f64 {
    vector::dot(v, v).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;
    use crate::problem::Comparison;

    fn look(build: impl Fn(&Model, &Expr, &Expr) -> Vec<Comparison>, x: f64, y: &[f64]) -> Degeneracy {
        let mut model = Model::new();
        let leader = model.leader("x", 1).free().unwrap();
        let follower = model.follower("y", y.len()).within(Bounds::new(0.0, 5.0).unwrap()).unwrap();
        for comparison in build(&model, &leader, &follower) {
            model.lower_subject_to(comparison);
        }
        model.upper(leader.sum()).lower(follower.sum());
        let follower = Follower::direct(&model.build().unwrap());
        Degeneracy::of(&follower, &[x], y, &Failures::default()).unwrap()
    }

    #[test]
    fn independent_constraints_are_regular() {
        let found = look(|_, x, y| vec![(y.sum() - x).at_least(0.0)], 1.0, &[1.0, 0.0]);
        assert_eq!(found, Degeneracy { active: 2, rank: 2, no_interior: false });
        assert!(found.statements(true).is_empty());
    }

    #[test]
    fn three_lines_through_a_point_leave_the_multipliers_open() {
        // y_0 >= 0, y_1 >= 0 and y_0 + y_1 >= x at x = 0.
        let found = look(|_, x, y| vec![(y.sum() - x).at_least(0.0)], 0.0, &[0.0, 0.0]);
        assert_eq!(found, Degeneracy { active: 3, rank: 2, no_interior: false });
        assert!(found.statements(true)[0].contains("directionally differentiable"));
    }

    #[test]
    fn an_interval_that_closes_has_no_interior() {
        // x <= y <= 1 at x = 1; and x y = 0 at x = 0, where the gradient vanishes.
        let found = look(|_, x, y| vec![(y - x).sum().at_least(0.0), y.sum().at_most(1.0)], 1.0, &[1.0]);
        assert!(found.no_interior && found.rank == 1 && found.active == 2);
        assert!(found.statements(true)[1].contains("Slater"));
        assert!(look(|_, x, y| vec![(x * y).sum().equal_to(0.0)], 0.0, &[2.0]).no_interior);
        assert!(!look(|_, x, y| vec![(x * y).sum().equal_to(0.0)], 1.0, &[2.0]).no_interior);
    }
}
