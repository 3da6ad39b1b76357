//! A minimiser of f(x, ·) for checks of a large free follower's answer: truncated Newton steps, no matrices.

use bilevel_linalg::vector::norm2;

use super::functions::Functions;
use super::null_space::minimise_lower_to;
use crate::problem::{Attitude, Problem};

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
