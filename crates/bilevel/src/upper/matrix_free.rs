//! (VFP_epsilon^mu) for methods without matrices, over (x, y) in X x Y as sets to project onto:
//!
//! ```text
//! min F_mu(x, y)   s.t.   f_mu(x, y) − v_mu(x) − epsilon <= 0,   c(x, y) <= 0 or = 0   (constraints of both levels)
//! ```
//!
//! Values, and gradients of weighted sums: the Jacobian is never formed.

use super::ValueFunctionProgramme;
use crate::nlp::projected::Region;
use crate::problem::{At, Constraint, Failures, FunctionEvaluator, Problem};
use crate::set::{Bounds, Set};

/// The programme of a stage.
pub struct MatrixFree<'p, 'a> {
    programme: &'p mut ValueFunctionProgramme<'a>,
    upper: FunctionEvaluator<'p>,
    lower: FunctionEvaluator<'p>,
    constraints: Vec<(FunctionEvaluator<'p>, bool)>,
    n: usize,
    follower_set: &'p Set,
    /// The region X x Y.
    pub region: Region<'p>,
}

/// A point of X with Y, where y alone moves.
pub struct LeaderPoint<'p> {
    x: Set,
    follower: &'p Set,
}

impl LeaderPoint<'_> {
    /// {x} x Y.
    pub fn region(&self) -> Region<'_> {
        Region::new(vec![&self.x, self.follower])
    }
}

impl<'p, 'a> MatrixFree<'p, 'a> {
    /// The programme of `problem` at the levels that `programme` is at.
    pub fn new(problem: &'p Problem, programme: &'p mut ValueFunctionProgramme<'a>, failures: &Failures) -> Self {
        let (n, m) = (problem.n(), problem.m());
        let evaluator = |function| FunctionEvaluator::new(function, n, m, failures);
        let constraint = |c: &'p Constraint| (evaluator(&c.function), c.is_equality());
        let (leader, follower) = (problem.leader(), problem.follower());
        Self {
            programme,
            upper: evaluator(&leader.objective),
            lower: evaluator(&follower.objective),
            constraints: leader.constraints.iter().chain(&follower.constraints).map(constraint).collect(),
            n,
            follower_set: &follower.set,
            region: Region::new(vec![&leader.set, &follower.set]),
        }
    }

    /// The x of z = (x, y) as a set of its own; none if it is no point.
    pub fn leader_point(&self, z: &[f64]) -> Option<LeaderPoint<'p>> {
        let x = z[..self.n].to_vec();
        let x = Set::from(Bounds::from_vectors(x.clone(), x).ok()?);
        Some(LeaderPoint { x, follower: self.follower_set })
    }

    /// Which components are equalities; the value-function constraint is the last one.
    pub fn equalities(&self) -> Vec<bool> {
        let own = self.constraints.iter().flat_map(|(c, equality)| std::iter::repeat_n(*equality, c.len()));
        own.chain(std::iter::once(false)).collect()
    }

    /// Writes the constraints, the value-function constraint last, and returns F; NaN where the follower could not be
    /// solved.
    pub fn values(&mut self, z: &[f64], out: &mut [f64]) -> f64 {
        let (x, y) = z.split_at(self.n);
        let smoothing = self.programme.smoothing();
        let mut rest = &mut *out;
        for (constraint, _) in &mut self.constraints {
            let (own, later) = rest.split_at_mut(constraint.len());
            constraint.values(At { x, y, smoothing }, own);
            rest = later;
        }
        let at = At { x, y, smoothing };
        let f = self.lower.value(at);
        rest[0] = self.programme.value_at(x).map_or(f64::NAN, |point| f - point.value) - self.programme.epsilon();
        self.programme.count_evaluation();
        self.upper.value(at)
    }

    /// Writes ∇F + Σ weight_i ∇c_i.
    pub fn gradient(&mut self, z: &[f64], weights: &[f64], out: &mut [f64]) {
        let (x, y) = z.split_at(self.n);
        out.fill(0.0);
        let (out_x, out_y) = out.split_at_mut(self.n);
        let smoothing = self.programme.smoothing();
        self.upper.add_gradient(At { x, y, smoothing }, &[1.0], Some(&mut *out_x), Some(&mut *out_y));
        let mut first = 0;
        for (constraint, _) in &mut self.constraints {
            let own = &weights[first..first + constraint.len()];
            first += own.len();
            if own.iter().any(|&w| w != 0.0) {
                constraint.add_gradient(At { x, y, smoothing }, own, Some(&mut *out_x), Some(&mut *out_y));
            }
        }
        let weight = weights[first];
        if weight != 0.0 {
            self.lower.add_gradient(At { x, y, smoothing }, &[weight], Some(&mut *out_x), Some(out_y));
            match self.programme.value_at(x) {
                Ok(point) => out_x.iter_mut().zip(&point.gradient).for_each(|(o, g)| *o -= weight * g),
                Err(_) => out_x.fill(f64::NAN),
            }
        }
    }
}
