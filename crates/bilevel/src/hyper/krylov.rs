//! phi of free quadratic followers with thousands of variables, by Hessian products alone.
//!
//! ```text
//! H⁺ b:  conjugate gradients on H d = b from 0, whose iterates stay in the range of H and so end at the shortest solution
//! P v = v − H⁺ H v,  the part of v in ker H
//! ```
//!
//! S(x) = y₀ + ker H as in [`super::null_space`]: y₀ by one solve, F descended by truncated Newton steps in ker H with
//! one solve per product, the subgradient by one more. The rank is not known this way, nor the dimension of S(x).

use bilevel_linalg::vector::{axpby, axpy, dot, norm2};

use super::descent::{self, Limits, SmoothFunction, descend};
use super::functions::Functions;
use super::null_space::not_a_number;
use super::{Answers, End, Evaluation, HyperFailure, HyperPoint};
use crate::solution::Rigor;

/// Relative residual of the solves.
const TOLERANCE: f64 = 1e-13;
/// Relative residual up to which a solve that stopped at rounding counts.
const ROUNDED: f64 = 1e-8;
/// Most products of one solve.
const PRODUCTS: usize = 5000;

/// Products that estimate ‖H‖.
const POWER_STEPS: usize = 10;
/// Images shorter than this, relative to ‖H‖, are rounding.
const FLAT: f64 = 1e-12;

/// About ‖H‖ at y, from below.
fn norm(functions: &mut Functions<'_>, y: &[f64]) -> f64 {
    let mut v: Vec<f64> = (0..y.len()).map(|i| 1.0 + ((i * 31) % 17) as f64 / 17.0).collect();
    let mut image = v.clone();
    let mut estimate = 0.0;
    for _ in 0..POWER_STEPS {
        let size = norm2(&v);
        if size == 0.0 || !size.is_finite() {
            break;
        }
        v.iter_mut().for_each(|x| *x /= size);
        functions.lower_product(y, &v, &mut image);
        estimate = f64::max(estimate, norm2(&image));
        v.copy_from_slice(&image);
    }
    estimate
}

/// Writes H⁺ b at y; false if b is not in the range of H (to rounding). `scale` is about ‖H‖.
fn pseudo_solve(functions: &mut Functions<'_>, y: &[f64], scale: f64, b: &[f64], out: &mut [f64]) -> bool {
    let m = b.len();
    out.fill(0.0);
    let (mut residual, mut direction, mut product) = (b.to_vec(), b.to_vec(), vec![0.0; m]);
    let size = norm2(b);
    let (mut square, mut least) = (dot(b, b), size);
    let mut best = out.to_vec();
    for _ in 0..PRODUCTS.min(4 * m) {
        if least <= TOLERANCE * size {
            break;
        }
        functions.lower_product(y, &direction, &mut product);
        let curvature = dot(&direction, &product);
        // No curvature left along what is left of b: it lies in the kernel.
        if curvature.is_nan() || curvature <= FLAT * scale * dot(&direction, &direction) {
            break;
        }
        let alpha = square / curvature;
        axpy(alpha, &direction, out);
        axpy(-alpha, &product, &mut residual);
        let new = dot(&residual, &residual);
        axpby(1.0, &residual, new / square, &mut direction);
        square = new;
        if new.sqrt() < least {
            least = new.sqrt();
            best.copy_from_slice(out);
        }
        // Rounding has taken over.
        if new.sqrt() > 1e3 * least {
            break;
        }
    }
    out.copy_from_slice(&best);
    least <= ROUNDED * size
}

/// y ↦ sign * F with derivatives in ker H.
struct InKernel<'f, 'a> {
    functions: &'f mut Functions<'a>,
    scale: f64,
    image: Vec<f64>,
    back: Vec<f64>,
}

impl InKernel<'_, '_> {
    /// Takes the part in the range of H off v.
    fn cut_range(&mut self, y: &[f64], v: &mut [f64]) {
        self.functions.lower_product(y, v, &mut self.image);
        let image = std::mem::take(&mut self.image);
        pseudo_solve(self.functions, y, self.scale, &image, &mut self.back);
        self.image = image;
        axpy(-1.0, &self.back, v);
    }
}

impl SmoothFunction for InKernel<'_, '_> {
    fn value(&mut self, y: &[f64]) -> f64 {
        self.functions.upper(y)
    }

    fn gradient(&mut self, y: &[f64], out: &mut [f64]) {
        self.functions.upper_gradient(y, out);
        self.cut_range(y, out);
    }

    fn product(&mut self, y: &[f64], d: &[f64], out: &mut [f64]) {
        self.functions.upper_product(y, d, out);
        self.cut_range(y, out);
    }
}

/// Moves y onto S(x): one solve, and a second one for the rounding of the first.
fn project(functions: &mut Functions<'_>, scale: f64, y: &mut [f64]) -> Result<(), HyperFailure> {
    let (mut gradient, mut step) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    functions.lower_gradient(&vec![0.0; y.len()], &mut gradient);
    let constant = norm2(&gradient);
    let mut first = 0.0;
    for round in 0..2 {
        functions.lower_gradient(y, &mut gradient);
        let size = norm2(&gradient);
        if !size.is_finite() {
            return Err(not_a_number(functions));
        }
        if round == 0 {
            first = size;
        }
        let rounding = size <= FLAT * (constant + scale * norm2(y));
        if rounding || !pseudo_solve(functions, y, scale, &gradient, &mut step) {
            if rounding || (round > 0 && size <= ROUNDED * first) {
                break;
            }
            // A part of the gradient is in the kernel, where f falls for ever.
            return Err(HyperFailure::FollowerUnbounded);
        }
        axpy(-1.0, &step, y);
    }
    Ok(())
}

/// φ for f quadratic, F smooth and sign * F convex; `None` where a kink of F stops the descent.
pub(super) fn evaluate(functions: &mut Functions<'_>, start: &[f64]) -> Result<Option<Evaluation>, HyperFailure> {
    let m = start.len();
    let mut y = start.to_vec();
    let scale = norm(functions, &y);
    project(functions, scale, &mut y)?;
    let mut slope = vec![0.0; m];
    functions.upper_gradient(&y, &mut slope);
    let first = norm2(&slope);
    let limits = Limits { gradient: 1e-12 * (1.0 + first), iterations: 200 };
    let mut in_kernel = InKernel { functions, scale, image: vec![0.0; m], back: vec![0.0; m] };
    match descend(&mut in_kernel, &mut y, limits).end {
        descent::End::Unbounded => return Err(HyperFailure::Infinite),
        descent::End::Numerical => return Err(not_a_number(functions)),
        descent::End::Converged | descent::End::Limit => {}
    }
    project(functions, scale, &mut y)?;
    let value = functions.upper(&y);
    functions.upper_gradient(&y, &mut slope);
    let mut part = slope.clone();
    InKernel { functions, scale, image: vec![0.0; m], back: vec![0.0; m] }.cut_range(&y, &mut part);
    if norm2(&part) > 1e-6 * (1e-3 + first + norm2(&slope)) {
        return Ok(None);
    }
    let error = norm2(&part) * (1.0 + norm2(&y)) + 1e-10 * (1.0 + value.abs() + norm2(&slope) * norm2(&y));
    let end = |value| End { value, rigor: Rigor::Estimated };
    let subgradient = oracle(functions, (scale, first), &y, &slope);
    let point = HyperPoint::signed(functions.sign(), value, end(value - error), end(value + error), y, subgradient);
    let route = "null space, matrix-free";
    Ok(Some(Evaluation { point, answers: Answers::Undecided, route, gradients: functions.gradients }))
}

/// ∇ₓF − ∇²ₓ_y f (∇²_yy f)⁺ ∇_y F; `slope` is sign * ∇_y F, whose part in ker H vanishes.
fn oracle(functions: &mut Functions<'_>, (scale, first): (f64, f64), y: &[f64], slope: &[f64]) -> Option<Vec<f64>> {
    let n = functions.leaders();
    let (mut adjoint, mut mixed, mut out) = (vec![0.0; y.len()], vec![0.0; n], vec![0.0; n]);
    // A slope that is rounding, against the one at the start, has no range to be in.
    let rounding = norm2(slope) <= ROUNDED * (1e-3 + first);
    if !pseudo_solve(functions, y, scale, slope, &mut adjoint) && !rounding {
        return None;
    }
    functions.upper_gradient_x(y, &mut out);
    functions.lower_mixed_product(y, &adjoint, &mut mixed);
    axpy(-functions.sign(), &mixed, &mut out);
    out.iter().all(|v| v.is_finite()).then_some(out)
}

#[cfg(test)]
mod tests {
    use bilevel_linalg::vector::distance_inf;

    use super::super::functions::Functions;
    use super::super::testing::{Instance, Kind, LeastSquares};
    use super::super::{Hyper, HyperSettings};
    use super::*;
    use crate::problem::Attitude;

    #[test]
    fn closed_forms() {
        for (kind, seed) in [(Kind::Wells, 1), (Kind::Waves, 2), (Kind::Phases, 3)] {
            let instance = Instance::new(kind, 6, seed);
            let mut functions = Functions::new(&instance.problem, instance.attitude, &instance.x);
            let found = evaluate(&mut functions, &vec![0.1; instance.problem.m()]).unwrap();
            let found = found.unwrap_or_else(|| panic!("{kind:?}")).point;
            let (phi, gradient, y) = instance.exact(&instance.x);
            assert!((found.value - phi).abs() < 1e-8 * (1.0 + phi.abs()), "{kind:?}: {} {phi}", found.value);
            assert!(distance_inf(&found.y, &y) < 1e-7, "{kind:?}");
            assert!(distance_inf(&found.subgradient.unwrap(), &gradient) < 1e-7, "{kind:?}");
            assert!(found.lower.value <= phi && phi <= found.upper.value);
        }
    }

    #[test]
    fn the_same_as_in_factors() {
        let shape = LeastSquares { m: 110, p: 150, rank: Some(35), validation: 30, n: 5 };
        let problem = shape.problem(5);
        let x = [0.1, -0.2, 0.3, 0.0, 0.4];
        let hyper = Hyper::new(&problem, Attitude::Optimistic, &HyperSettings::default());
        let expected = hyper.evaluate_in_full(&x, 1e-9, None).unwrap().point;
        let mut functions = Functions::new(&problem, Attitude::Optimistic, &x);
        let found = evaluate(&mut functions, &[0.0; 110]).unwrap().unwrap().point;
        assert!((found.value - expected.value).abs() < 1e-8 * (1.0 + expected.value.abs()));
        assert!(distance_inf(&found.subgradient.unwrap(), &expected.subgradient.unwrap()) < 1e-6);
    }
}
