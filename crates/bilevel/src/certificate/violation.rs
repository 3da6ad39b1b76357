//! Feasibility of a point, in the user's own constraints and units.

use crate::problem::{At, Failures, FunctionEvaluator, Problem, Side};
use crate::set::ConvexSet;
use crate::smooth::Smoothing;

/// The largest violation of any set or constraint of both levels, relative to 1 + the point's largest entry; NaN if a
/// constraint is not defined there.
pub fn violation(problem: &Problem, x: &[f64], y: &[f64], failures: &Failures) -> f64 {
    let size = x.iter().chain(y).fold(0.0, |a: f64, z| a.max(z.abs()));
    let leader = side_violation(problem, problem.leader(), x, (x, y), failures);
    let follower = side_violation(problem, problem.follower(), y, (x, y), failures);
    worst(leader, follower) / (1.0 + size)
}

/// The largest violation of the follower's set and constraints, absolute.
pub fn follower_violation(problem: &Problem, x: &[f64], y: &[f64], failures: &Failures) -> f64 {
    side_violation(problem, problem.follower(), y, (x, y), failures)
}

fn side_violation(problem: &Problem, side: &Side, own: &[f64], at: (&[f64], &[f64]), failures: &Failures) -> f64 {
    let mut largest = side.set.violation(own);
    for constraint in &side.constraints {
        let mut evaluator = FunctionEvaluator::new(&constraint.function, problem.n(), problem.m(), failures);
        let mut values = vec![0.0; constraint.len()];
        evaluator.values(At { x: at.0, y: at.1, smoothing: Smoothing::EXACT }, &mut values);
        for value in values {
            let excess = if constraint.is_equality() { value.abs() } else { value };
            largest = worst(largest, excess);
        }
    }
    largest
}

/// The larger of two, NaN if either is.
fn worst(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}
