//! Minimisers of a free follower's objective f(x, ·): truncated Newton steps, no matrices.

use bilevel_linalg::vector::norm2;

use super::HyperFailure;
use super::descent::{End, Limits, SmoothFunction, descend};
use super::functions::Functions;
use crate::problem::{Attitude, Problem};

/// Descends to a minimiser of f.
pub(super) fn minimise_lower(functions: &mut Functions<'_>, y: &mut [f64]) -> Result<(), HyperFailure> {
    minimise_lower_to(functions, y, 1e-14)
}

/// Descends until f's gradient is this short, relative to that at 0.
pub(super) fn minimise_lower_to(
    functions: &mut Functions<'_>,
    y: &mut [f64],
    relative: f64,
) -> Result<(), HyperFailure> {
    let mut gradient = vec![0.0; y.len()];
    functions.lower_gradient(&vec![0.0; y.len()], &mut gradient);
    let limits = Limits { gradient: relative * norm2(&gradient), iterations: 500, pieces: false };
    match descend(&mut Lower(functions), y, limits).end {
        End::Unbounded => Err(HyperFailure::FollowerUnbounded),
        End::Numerical => Err(functions.not_a_number()),
        End::Converged | End::Limit => Ok(()),
    }
}

/// y ↦ f(x, y).
struct Lower<'f, 'a>(&'f mut Functions<'a>);

impl SmoothFunction for Lower<'_, '_> {
    fn value(&mut self, y: &[f64]) -> f64 {
        self.0.lower(y)
    }

    fn gradient(&mut self, y: &[f64], out: &mut [f64]) {
        self.0.lower_gradient(y, out);
    }

    fn product(&mut self, y: &[f64], d: &[f64], out: &mut [f64]) {
        self.0.lower_product(y, d, out);
    }
}

/// The slope at which a descent ends, relative to that at 0: below it, rounding looks like directions without curvature.
const RELATIVE: f64 = 1e-11;

/// A minimiser found from `start`, and the length of f's gradient there, relative to that at the start and 1; `None` where
/// there is none to be found.
pub(crate) fn follower_minimiser(problem: &Problem, x: &[f64], start: &[f64]) -> Option<(Vec<f64>, f64)> {
    let mut functions = Functions::new(problem, Attitude::Optimistic, x);
    let (mut y, mut gradient) = (start.to_vec(), vec![0.0; start.len()]);
    functions.lower_gradient(&y, &mut gradient);
    let first = norm2(&gradient);
    minimise_lower_to(&mut functions, &mut y, RELATIVE).ok()?;
    functions.lower_gradient(&y, &mut gradient);
    let left = norm2(&gradient) / (1.0 + first);
    left.is_finite().then_some((y, left))
}
