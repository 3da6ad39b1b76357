//! Ends and subgradients where duality gives them: followers within bounds, and sums of absolute values.
//!
//! With ν the multipliers of C y = d at the answer, sign * ∇_y F − Cᵀν is in the normal cone of what else restricts y, and
//! the subgradient of φ is that of a free follower with Cᵀν in place of sign * ∇_y F.

use bilevel_linalg::vector::norm2;

use super::super::affine::{Split, oracle};
use super::super::functions::Functions;
use super::super::squares::Block;
use super::super::{Answers as Found, End, Evaluation, HyperFailure, HyperPoint};
use super::best::diagonal;
use super::craig::craig;
use super::curvature::{Curvature, dense, project};
use super::homotopy;
use super::slice::Slice;
use super::{Factored, Outcome};
use crate::solution::Rigor;

/// Rounding of a value, relative to its terms.
const ROUNDING: f64 = 1e-13;

/// An answer with its multipliers' slopes Cᵀν, and both ends of sign * φ.
struct Dual {
    y: Vec<f64>,
    slopes: Vec<f64>,
    least: f64,
    most: End,
    answers: Found,
    route: &'static str,
}

fn conditional() -> Rigor {
    Rigor::Conditional(vec!["rank".into(), "rounding".into()])
}

fn finish(functions: &mut Functions<'_>, curvature: &Curvature<'_>, found: Dual) -> Result<Outcome, HyperFailure> {
    let value = functions.upper(&found.y);
    if !value.is_finite() {
        return Err(functions.not_a_number());
    }
    let subgradient = oracle(functions, curvature, &found.y, &found.slopes);
    let least = End { value: found.least.min(value), rigor: conditional() };
    let point = HyperPoint::signed(functions.sign(), value, least, found.most, found.y, subgradient);
    let gradients = functions.gradients;
    Ok(Outcome::Found(Box::new(Evaluation { point, answers: found.answers, route: found.route, gradients })))
}

/// Moves y onto f's minimisers without bounds, and writes d = C y; `None` if they are not reached.
fn target(
    functions: &mut Functions<'_>,
    curvature: &Curvature<'_>,
    y: &mut [f64],
) -> Result<Option<Vec<f64>>, HyperFailure> {
    let before = project(functions, curvature, y)?;
    let mut gradient = vec![0.0; y.len()];
    functions.lower_gradient(y, &mut gradient);
    if !curvature.settled(before, norm2(&gradient), y) {
        return Ok(None);
    }
    let rows = &curvature.answers.rows;
    let mut right = vec![0.0; rows.rows()];
    rows.mul_add(1.0, y, &mut right);
    Ok(Some(right))
}

impl Factored {
    /// A follower within bounds that reaches the least f without them: S(x) is an affine slice of the box.
    pub(super) fn in_box(
        &self,
        functions: &mut Functions<'_>,
        curvature: &Curvature<'_>,
        (x, y): (&[f64], &mut [f64]),
        (lower, upper): &(Vec<f64>, Vec<f64>),
        accuracy: f64,
    ) -> Result<Outcome, HyperFailure> {
        let m = y.len();
        let bend = self.upper.as_ref().and_then(|squares| diagonal(squares, x, self.sign, m));
        let Some(bend) = bend else { return Ok(Outcome::Unclear) };
        let Some(right) = target(functions, curvature, y)? else { return Ok(Outcome::Unclear) };
        let (zero, mut linear) = (vec![0.0; m], vec![0.0; m]);
        functions.upper_gradient(&zero, &mut linear);
        let constant = functions.upper(&zero);
        let rows = &curvature.answers.rows;
        let slice = Slice { rows, right: &right, bend: &bend, linear: &linear, lower, upper };
        let Some(nearest) = slice.nearest(accuracy) else { return Ok(Outcome::Unclear) };
        functions.gradients += nearest.products;
        let inside = y.iter().zip(lower.iter().zip(upper)).all(|(y, (l, u))| l < y && y < u);
        let answers = match curvature.nullity() {
            0 => Found::Unique,
            dimension if inside => Found::Face { dimension },
            _ => Found::Undecided,
        };
        let value = functions.upper(&nearest.y);
        let rounding = ROUNDING * (value.abs() + constant.abs() + nearest.bound.abs());
        let most = End { value: value + 2.0 * nearest.error + rounding, rigor: Rigor::Estimated };
        let least = constant + nearest.bound - nearest.error - rounding;
        let route = "slice of the follower's box, by duality";
        finish(functions, curvature, Dual { y: nearest.y, slopes: nearest.slopes, least, most, answers, route })
    }
}

impl Factored {
    /// A separable quadratic F over many rows; `None` where that is not the form, or the method does not get there.
    pub(super) fn without_factors(
        &self,
        functions: &mut Functions<'_>,
        blocks: &[Block],
        m: usize,
        accuracy: f64,
    ) -> Result<Option<Evaluation>, HyperFailure> {
        let bend = self.upper.as_ref().and_then(|squares| diagonal(squares, &[], self.sign, m));
        let (Some(bend), Some((rows, weights))) = (bend, dense(blocks, m)) else { return Ok(None) };
        let offsets = self.lower.offsets(&[]).filter(|b| b.len() == rows.rows());
        let (Some(mut right), true) = (offsets, weights.iter().all(|w| *w > 0.0)) else { return Ok(None) };
        right.iter_mut().for_each(|b| *b = -*b);
        let mut linear = vec![0.0; m];
        functions.upper_gradient(&vec![0.0; m], &mut linear);
        let y0: Vec<f64> = linear.iter().zip(&bend).map(|(b, a)| -b / a).collect();
        // f may have a linear part beside its squares: then its minimisers are others.
        let (mut own, mut gradient) = (right.iter().map(|b| -b).collect::<Vec<f64>>(), vec![0.0; m]);
        rows.mul_add(1.0, &y0, &mut own);
        own.iter_mut().zip(&weights).for_each(|(r, w)| *r *= w);
        functions.lower_gradient(&y0, &mut gradient);
        let size = norm2(&gradient);
        rows.transpose_mul_add(-1.0, &own, &mut gradient);
        if norm2(&gradient).is_nan() || norm2(&gradient) > 1e-10 * size {
            return Ok(None);
        }
        let Some(found) = craig(&rows, &right, &bend, y0, accuracy) else { return Ok(None) };
        functions.gradients += found.passes;
        let value = functions.upper(&found.y) + found.left;
        let rounding = ROUNDING * (value.abs() + found.left.abs());
        let least = End { value: value - rounding, rigor: Rigor::Conditional(vec!["rounding".into()]) };
        let most = End { value: value + 2.0 * found.error + rounding, rigor: Rigor::Estimated };
        let point = HyperPoint::signed(functions.sign(), value, least, most, found.y, Some(Vec::new()));
        let (answers, route) = (Found::Undecided, "equations of the follower, matrix-free");
        Ok(Some(Evaluation { point, answers, route, gradients: functions.gradients }))
    }
}

/// The least Σ w_j |y_j| on S(x) = y + ker C.
pub(super) fn shortest(
    functions: &mut Functions<'_>,
    curvature: &Curvature<'_>,
    y: &mut [f64],
    weights: &[f64],
    accuracy: f64,
) -> Result<Outcome, HyperFailure> {
    let Some(right) = target(functions, curvature, y)? else { return Ok(Outcome::Unclear) };
    // Another way has to be found for a path that stalls: F has kinks.
    let Some(found) = homotopy::shortest(curvature.answers, weights, &right, accuracy) else {
        return Ok(Outcome::Kink);
    };
    functions.gradients += found.products;
    let mut slopes = vec![0.0; y.len()];
    curvature.answers.rows.transpose_mul_add(1.0, &found.multipliers, &mut slopes);
    let value = functions.upper(&found.y);
    let own: f64 = found.y.iter().zip(weights).map(|(y, w)| w * y.abs()).sum();
    let rounding = ROUNDING * (value.abs() + own);
    let most = End { value: value + rounding, rigor: conditional() };
    let least = value - own + found.bound - rounding;
    let dimension = curvature.nullity();
    let answers = if dimension == 0 { Found::Unique } else { Found::Affine { dimension } };
    let route = "path of the lasso";
    finish(functions, curvature, Dual { y: found.y, slopes, least, most, answers, route })
}
