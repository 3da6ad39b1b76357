//! The penalty path of a simple bilevel problem, for followers over a set alone that are too large for matrices.
//!
//! ```text
//! y_s minimises f + s F over Y,      D(s) = (min(f + s F) − v) / s  <=  φ_o  <=  F(projection of y_s on S)
//! ```
//!
//! for convex f and F and every s > 0, v the follower's value. D errs by c s and F(y_s) by 2 c s, so 2 D(s) − F(y_s) errs
//! by O(s²): that is the value, D the bound (sign * F in place of F for both attitudes). The difference
//!
//! ```text
//! ∇φ ≈ ∇ₓF(x, y_s) + (∇ₓf(x, y_s) − ∇ₓf(x, ŷ)) / s,   ŷ a minimiser of f near y_s
//! ```
//!
//! needs no second derivatives and errs by O(s): the derivative of D. Every solve is accelerated projected gradients.

use bilevel_linalg::Dense;

use super::functions::Functions;
use super::{Answers, End, Evaluation, HyperFailure, HyperPoint};
use crate::lower::accelerated::{self, Settings};
use crate::nlp::{Frame, Nlp};
use crate::problem::Attitude;
use crate::set::Set;
use crate::solution::Rigor;

/// The weights s of F, from the first on, relative to the scale of f against F.
const WEIGHTS: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];
/// Residual of the solves, relative to the gradient, for the highest and the lowest accuracy.
const TOLERANCE: f64 = 1e-12;
const COARSE: f64 = 1e-8;
/// Most iterations of one solve.
const ITERATIONS: usize = 20_000;
/// Each weight lowers the error of the estimate about a hundredfold: stop when two estimates agree to this.
const AGREED: f64 = 1e-7;

/// y ↦ f + s * sign * F.
pub(super) struct Weighted<'f, 'a> {
    pub functions: &'f mut Functions<'a>,
    pub lower: f64,
    pub upper: f64,
    frame: Frame,
    part: Vec<f64>,
}

impl<'f, 'a> Weighted<'f, 'a> {
    /// lower * f + upper * sign * F in m variables.
    pub fn new(functions: &'f mut Functions<'a>, lower: f64, upper: f64, m: usize) -> Self {
        let frame = Frame::bounded(vec![f64::NEG_INFINITY; m], vec![f64::INFINITY; m]);
        Self { functions, lower, upper, frame, part: vec![0.0; m] }
    }
}

impl Nlp for Weighted<'_, '_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, y: &[f64]) -> f64 {
        let f = if self.lower == 0.0 { 0.0 } else { self.lower * self.functions.lower(y) };
        if self.upper == 0.0 { f } else { f + self.upper * self.functions.upper(y) }
    }

    fn gradient(&mut self, y: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        if self.lower != 0.0 {
            self.functions.lower_gradient(y, &mut self.part);
            out.iter_mut().zip(&self.part).for_each(|(o, g)| *o += self.lower * g);
        }
        if self.upper != 0.0 {
            self.functions.upper_gradient(y, &mut self.part);
            out.iter_mut().zip(&self.part).for_each(|(o, g)| *o += self.upper * g);
        }
    }

    fn constraints(&mut self, _: &[f64], _: &mut [f64]) {}

    fn jacobian(&mut self, _: &[f64], _: &mut Dense) {}

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}

/// One weight of the path.
#[derive(Clone, Debug)]
pub(super) struct PathPoint {
    pub s: f64,
    pub y: Vec<f64>,
    /// D(s), from the value reached at y_s.
    pub bound: f64,
    /// 2 D(s) − F(y_s).
    pub estimate: f64,
}

/// Follows the path from `start` until two estimates agree to `accuracy`; `watch` sees every point and may stop it.
///
/// # Errors
/// An unbounded or failing f, F unbounded over S(x).
pub(super) fn path(
    functions: &mut Functions<'_>,
    set: &Set,
    start: &[f64],
    accuracy: f64,
    watch: &mut dyn FnMut(&PathPoint, u64) -> bool,
) -> Result<(Vec<f64>, Vec<PathPoint>), HyperFailure> {
    let m = start.len();
    let relative = accuracy / (1.0 + functions.upper(start).abs());
    let settings = Settings { tolerance: (1e-6 * relative).clamp(TOLERANCE, COARSE), max_iterations: ITERATIONS };
    let bottom = accelerated::minimise(&mut Weighted::new(functions, 1.0, 0.0, m), set, start, &settings);
    if bottom.unbounded {
        return Err(HyperFailure::FollowerUnbounded);
    }
    if !bottom.value.is_finite() {
        return Err(numerical(functions));
    }
    let v = bottom.value;
    let mut points: Vec<PathPoint> = Vec::new();
    let mut y = bottom.y.clone();
    for s in WEIGHTS {
        let found = accelerated::minimise(&mut Weighted::new(functions, 1.0, s, m), set, &y, &settings);
        if found.unbounded {
            return Err(HyperFailure::Infinite);
        }
        if !found.value.is_finite() {
            return Err(numerical(functions));
        }
        y = found.y;
        let bound = (found.value - v) / s;
        let estimate = 2.0 * bound - functions.upper(&y);
        points.push(PathPoint { s, y: y.clone(), bound, estimate });
        let point = &points[points.len() - 1];
        let enough = accuracy.max(AGREED * (1.0 + estimate.abs()));
        let agreed = points.len() > 1 && (points[points.len() - 2].estimate - estimate).abs() <= enough;
        if agreed || !watch(point, functions.gradients) {
            break;
        }
    }
    Ok((bottom.y, points))
}

fn numerical(functions: &Functions<'_>) -> HyperFailure {
    HyperFailure::Numerical(functions.failure().unwrap_or_else(|| "an objective is not finite".into()))
}

/// φ by the path, for convex f and convex sign * F over a set.
pub(super) fn evaluate(
    functions: &mut Functions<'_>,
    set: &Set,
    start: &[f64],
    accuracy: f64,
) -> Result<Evaluation, HyperFailure> {
    let (bottom, points) = path(functions, set, start, accuracy, &mut |_, _| true)?;
    let last = points.last().ok_or_else(|| numerical(functions))?;
    let before = if points.len() > 1 { points[points.len() - 2].estimate } else { last.bound };
    let error = (last.estimate - before).abs() + 1e-9 * (1.0 + last.estimate.abs());
    let settings = Settings { tolerance: TOLERANCE, max_iterations: ITERATIONS };
    let near = accelerated::minimise(&mut Weighted::new(functions, 1.0, 0.0, start.len()), set, &last.y, &settings);
    // The bound rests on v and on the solve of the penalised problem: both end at rounding, neither is proved.
    let least = End { value: last.bound.min(last.estimate - error), rigor: Rigor::Estimated };
    let most = End { value: last.estimate + error, rigor: Rigor::Estimated };
    let subgradient = difference(functions, last, &near.y);
    let moved = near.y.iter().zip(&bottom).fold(0.0, |a: f64, (p, q)| a.max((p - q).abs()));
    let answers = if moved <= 1e-6 { Answers::Unique } else { Answers::Undecided };
    let point = HyperPoint::signed(functions.sign(), last.estimate, least, most, near.y, subgradient);
    Ok(Evaluation { point, answers, route: "penalty path", gradients: functions.gradients })
}

/// The derivative of D(s) in x.
fn difference(functions: &mut Functions<'_>, at: &PathPoint, near: &[f64]) -> Option<Vec<f64>> {
    let n = functions.leaders();
    let (mut out, mut here, mut there) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    functions.upper_gradient_x(&at.y, &mut out);
    functions.lower_gradient_x(&at.y, &mut here);
    functions.lower_gradient_x(near, &mut there);
    let sign = functions.sign();
    for ((out, here), there) in out.iter_mut().zip(&here).zip(&there) {
        *out += sign * (here - there) / at.s;
    }
    out.iter().all(|v| v.is_finite()).then_some(out)
}

/// Whether the path may be taken: both smooth and convex by rules.
pub(super) fn applies(facts: &super::facts::Facts, attitude: Attitude) -> bool {
    let smooth = facts.lower.smooth && facts.upper.smooth;
    smooth && facts.follower_convex && facts.upper.is_convex(super::functions::sign(attitude))
}
