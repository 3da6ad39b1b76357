//! Descent of any smooth convex F within y + ker C.

use bilevel_linalg::vector::norm2;

use super::super::HyperFailure;
use super::super::affine::Optimum;
use super::super::descent::{End, Limits, SmoothFunction, descend};
use super::super::functions::Functions;
use super::curvature::Answers;

/// y ↦ sign * F with derivatives in the kernel of C.
pub(super) struct InKernel<'f, 'a> {
    functions: &'f mut Functions<'a>,
    answers: &'f Answers,
}

impl SmoothFunction for InKernel<'_, '_> {
    fn value(&mut self, y: &[f64]) -> f64 {
        self.functions.upper(y)
    }

    fn gradient(&mut self, y: &[f64], out: &mut [f64]) {
        self.functions.upper_gradient(y, out);
        self.answers.to_kernel(out);
    }

    fn product(&mut self, y: &[f64], d: &[f64], out: &mut [f64]) {
        self.functions.upper_product(y, d, out);
        self.answers.to_kernel(out);
    }
}

/// Any convex F; `None` where a kink stops the descent.
pub(super) fn descend_kernel(
    functions: &mut Functions<'_>,
    answers: &Answers,
    mut y: Vec<f64>,
) -> Result<Option<Optimum>, HyperFailure> {
    let mut gradient = vec![0.0; y.len()];
    functions.upper_gradient(&y, &mut gradient);
    let limits = Limits { gradient: 1e-13 * (1.0 + norm2(&gradient)), iterations: 200, pieces: true };
    let found = descend(&mut InKernel { functions, answers }, &mut y, limits);
    match found.end {
        End::Unbounded => return Err(HyperFailure::Infinite),
        End::Numerical => return Err(functions.not_a_number()),
        End::Converged | End::Limit => {}
    }
    functions.upper_gradient(&y, &mut gradient);
    let size = norm2(&gradient);
    answers.to_kernel(&mut gradient);
    let settled = norm2(&gradient) <= 1e-6 * (1e-3 + size);
    Ok(settled.then_some(Optimum { y, global: true, size: f64::NAN, sigma: f64::NAN }))
}
