//! Whether any (x, y) satisfies the constraints of both levels, the follower's optimality left aside: necessary for a
//! bilevel-feasible point to exist. For convex constraints a local search decides it; for others it is a search.

use bilevel_linalg::Dense;

use crate::nlp::{self, Frame, Nlp, interior_point};
use crate::problem::{At, Failures, FunctionEvaluator};
use crate::smooth::Smoothing;
use crate::upper::{Levels, joint_frame};

/// Violation up to which a point counts as feasible.
const FEASIBLE: f64 = 1e-6;

/// Searches for a point of the joint constraints from `point` and from the middle of the bounds.
pub fn jointly_feasible(levels: &Levels, point: (&[f64], &[f64]), failures: &Failures) -> bool {
    let (leader, follower) = (&levels.leader, &levels.follower);
    let mut frame = joint_frame(leader, follower);
    // The last constraint is the value function's: it does not belong here.
    frame.constraint_lower.pop();
    frame.constraint_upper.pop();
    let evaluator = |function| FunctionEvaluator::new(function, follower.n, follower.m, failures);
    let functions = leader.system.functions.iter().chain(&follower.system.functions).map(evaluator).collect();
    let middle = |j: usize| 0.5 * (frame.lower[j].max(-1.0) + frame.upper[j].min(1.0));
    let centre: Vec<f64> = (0..frame.lower.len()).map(middle).collect();
    let mut start = [point.0, &follower.extend(point.0, point.1)].concat();
    start.extend(&centre[start.len()..]);
    let mut constraints = Constraints { n: follower.n, functions, frame };
    [start, centre].iter().any(|start| {
        let found = interior_point::solve(&mut constraints, start, &interior_point::Settings::default());
        found.residuals.violation <= FEASIBLE || found.status == nlp::Status::Interrupted
    })
}

/// The constraints of both levels with nothing to minimise.
struct Constraints<'a> {
    n: usize,
    functions: Vec<FunctionEvaluator<'a>>,
    frame: Frame,
}

impl Nlp for Constraints<'_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, _: &[f64]) -> f64 {
        0.0
    }

    fn gradient(&mut self, _: &[f64], out: &mut [f64]) {
        out.fill(0.0);
    }

    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        let (x, y) = z.split_at(self.n);
        let mut rest = out;
        for function in &mut self.functions {
            let (own, later) = rest.split_at_mut(function.len());
            function.values(At { x, y, smoothing: Smoothing::EXACT }, own);
            rest = later;
        }
    }

    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        out.data_mut().fill(0.0);
        let (x, y) = z.split_at(self.n);
        let at = At { x, y, smoothing: Smoothing::EXACT };
        let mut row = 0;
        for function in &mut self.functions {
            for component in 0..function.len() {
                function.add_component_gradient(at, component, out.row_mut(row));
                row += 1;
            }
        }
    }

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}
