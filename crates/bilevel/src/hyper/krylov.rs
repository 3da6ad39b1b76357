//! phi of free followers with many variables, by Hessian products alone.
//!
//! ```text
//! H⁺ b:  conjugate gradients on H d = b from 0, whose iterates stay in the range of H and so end at the shortest solution
//! P v = v − H⁺ H v,  the part of v in ker H
//! ```
//!
//! S(x) = y₀ + ker H as in [`super::null_space`]: y₀ by one solve where f is quadratic, and by a descent of f first where it
//! is not; F descended by truncated Newton steps in ker H with one solve per product, the subgradient by one more. Where f is
//! not quadratic all this is repeated until f's gradient vanishes at the end too. The rank is not known this way, nor the
//! dimension of S(x).

use bilevel_linalg::vector::{axpby, axpy, distance_inf, dot, norm2};

use super::descent::{self, Limits, SmoothFunction, descend};
use super::functions::Functions;
use super::minimiser::minimise_lower;
use super::{Answers, End, Evaluation, HyperFailure, HyperPoint};
use crate::solution::Rigor;

/// Relative residual of the solves, for the highest and the lowest accuracy.
const TOLERANCE: f64 = 1e-13;
const COARSE: f64 = 1e-6;
/// Most rounds where f is not quadratic.
const ROUNDS: usize = 6;
/// Relative residual up to which a solve that stopped at rounding counts.
const ROUNDED: f64 = 1e-8;
/// Most products of one solve.
const PRODUCTS: usize = 5000;

/// Products that estimate ‖H‖.
const POWER_STEPS: usize = 10;
/// Images shorter than this, relative to ‖H‖, are rounding.
const FLAT: f64 = 1e-12;
/// A vector is in the kernel if its image is this short, relative to ‖H‖.
const IN_KERNEL: f64 = 1e-8;

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

/// How a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Solved {
    /// To its tolerance, or to rounding.
    Yes,
    /// A part of the right-hand side is in the kernel.
    Kernel,
    /// Not: H has too many small eigenvalues.
    Unclear,
}

/// H at one y, by products.
#[derive(Clone, Copy, Debug)]
struct Products {
    /// About ‖H‖.
    scale: f64,
    /// Relative residual of the solves.
    tolerance: f64,
}

impl Products {
    /// Writes H⁺ b at y.
    fn solve(self, functions: &mut Functions<'_>, y: &[f64], b: &[f64], out: &mut [f64]) -> Solved {
        let m = b.len();
        out.fill(0.0);
        let (mut residual, mut direction, mut product) = (b.to_vec(), b.to_vec(), vec![0.0; m]);
        let size = norm2(b);
        let (mut square, mut least) = (dot(b, b), size);
        let mut best = out.to_vec();
        for _ in 0..PRODUCTS.min(4 * m) {
            if least <= self.tolerance * size {
                break;
            }
            functions.lower_product(y, &direction, &mut product);
            let curvature = dot(&direction, &product);
            // No curvature left along what is left of b: it lies in the kernel.
            if curvature.is_nan() || curvature <= FLAT * self.scale * dot(&direction, &direction) {
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
        if least <= ROUNDED.max(self.tolerance) * size {
            return Solved::Yes;
        }
        functions.lower_product(y, &residual, &mut product);
        let flat = norm2(&product) <= IN_KERNEL * self.scale * norm2(&residual);
        if flat { Solved::Kernel } else { Solved::Unclear }
    }
}

/// y ↦ sign * F with derivatives in ker H.
struct InKernel<'f, 'a> {
    functions: &'f mut Functions<'a>,
    products: Products,
    image: Vec<f64>,
    back: Vec<f64>,
}

impl<'f, 'a> InKernel<'f, 'a> {
    fn new(functions: &'f mut Functions<'a>, products: Products) -> Self {
        let m = functions.followers();
        Self { functions, products, image: vec![0.0; m], back: vec![0.0; m] }
    }

    /// Takes the part in the range of H off v.
    fn cut_range(&mut self, y: &[f64], v: &mut [f64]) {
        self.functions.lower_product(y, v, &mut self.image);
        // In the kernel already.
        if norm2(&self.image) <= FLAT * self.products.scale * norm2(v) {
            return;
        }
        self.products.solve(self.functions, y, &self.image, &mut self.back);
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

/// Moves y onto S(x): one solve, and a second one for the rounding of the first. The length of f's gradient that is left,
/// relative to its terms; `None` where that is not rounding.
fn project(
    functions: &mut Functions<'_>,
    products: Products,
    y: &mut [f64],
    quadratic: bool,
) -> Result<Option<f64>, HyperFailure> {
    let (mut gradient, mut step) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    functions.lower_gradient(&vec![0.0; y.len()], &mut gradient);
    let constant = norm2(&gradient);
    let mut first = 0.0;
    for round in 0..3 {
        functions.lower_gradient(y, &mut gradient);
        let size = norm2(&gradient);
        if !size.is_finite() {
            return Err(functions.not_a_number());
        }
        if round == 0 {
            first = size;
        }
        let terms = constant + products.scale * norm2(y);
        if size <= FLAT.max(products.tolerance) * terms || (round == 2 && size <= ROUNDED * first) {
            return Ok(Some(size / terms));
        }
        match products.solve(functions, y, &gradient, &mut step) {
            Solved::Yes => {}
            _ if round > 0 && size <= ROUNDED * first => return Ok(Some(size / terms)),
            // f falls along it for ever.
            Solved::Kernel if quadratic => return Err(HyperFailure::FollowerUnbounded),
            Solved::Kernel | Solved::Unclear => return Ok(None),
        }
        axpy(-1.0, &step, y);
    }
    Ok(None)
}

/// φ for f convex and smooth (or from a minimiser of it), F smooth and sign * F convex, to about `accuracy`; `None` where
/// a kink of F stops the descent, or H is too badly conditioned.
pub(super) fn evaluate(
    functions: &mut Functions<'_>,
    quadratic: bool,
    start: &[f64],
    accuracy: f64,
) -> Result<Option<Evaluation>, HyperFailure> {
    let mut y = start.to_vec();
    let relative = accuracy / (1.0 + functions.upper(&y).abs());
    let tolerance = (1e-3 * relative).clamp(TOLERANCE, COARSE);
    let mut slope = vec![0.0; y.len()];
    let mut first = f64::NAN;
    let mut found = None;
    for _ in 0..if quadratic { 1 } else { ROUNDS } {
        if !quadratic {
            minimise_lower(functions, &mut y)?;
        }
        let products = Products { scale: norm(functions, &y), tolerance };
        if project(functions, products, &mut y, quadratic)?.is_none() {
            return Ok(None);
        }
        functions.upper_gradient(&y, &mut slope);
        if first.is_nan() {
            first = norm2(&slope);
        }
        let limits = Limits { gradient: 10.0 * tolerance * (1.0 + first), iterations: 200, pieces: quadratic };
        match descend(&mut InKernel::new(functions, products), &mut y, limits).end {
            descent::End::Unbounded => return Err(HyperFailure::Infinite),
            descent::End::Numerical => return Err(functions.not_a_number()),
            descent::End::Converged | descent::End::Limit => {}
        }
        // From the optimum f's gradient must vanish too, or S(x) is not affine.
        let moved = y.clone();
        let Some(left) = project(functions, products, &mut y, quadratic)? else { continue };
        let shift = distance_inf(&moved, &y);
        if quadratic || shift <= 1e3 * ROUNDED * (1.0 + norm2(&y)) {
            found = Some((products, left));
            break;
        }
    }
    let Some((products, left)) = found else { return Ok(None) };
    finish(functions, products, (first, left), y)
}

/// Value, ends and subgradient at the optimum; `left` is what is left of f's gradient, relative to its terms.
fn finish(
    functions: &mut Functions<'_>,
    products: Products,
    (first, left): (f64, f64),
    y: Vec<f64>,
) -> Result<Option<Evaluation>, HyperFailure> {
    let value = functions.upper(&y);
    let mut slope = vec![0.0; y.len()];
    functions.upper_gradient(&y, &mut slope);
    let mut part = slope.clone();
    InKernel::new(functions, products).cut_range(&y, &mut part);
    if norm2(&part) > 1e-6f64.max(1e2 * products.tolerance) * (1e-3 + first + norm2(&slope)) {
        return Ok(None);
    }
    let relative = 1e-10f64.max(1e2 * (products.tolerance + left));
    let error = norm2(&part) * (1.0 + norm2(&y)) + relative * (1.0 + value.abs() + norm2(&slope) * norm2(&y));
    let end = |value| End { value, rigor: Rigor::Estimated };
    let subgradient = oracle(functions, (products, first), &y, &slope);
    let point = HyperPoint::signed(functions.sign(), value, end(value - error), end(value + error), y, subgradient);
    let route = "null space, matrix-free";
    Ok(Some(Evaluation { point, answers: Answers::Undecided, route, gradients: functions.gradients }))
}

/// ∇ₓF − ∇²ₓ_y f (∇²_yy f)⁺ ∇_y F; `slope` is sign * ∇_y F, whose part in ker H vanishes.
fn oracle(
    functions: &mut Functions<'_>,
    (products, first): (Products, f64),
    y: &[f64],
    slope: &[f64],
) -> Option<Vec<f64>> {
    let n = functions.leaders();
    if n == 0 {
        return Some(Vec::new());
    }
    let (mut adjoint, mut mixed, mut out) = (vec![0.0; y.len()], vec![0.0; n], vec![0.0; n]);
    // A slope that is rounding, against the one at the start, has no range to be in.
    let rounding = norm2(slope) <= ROUNDED * (1e-3 + first);
    if products.solve(functions, y, slope, &mut adjoint) != Solved::Yes && !rounding {
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
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::testing::{Instance, Kind, LeastSquares, normal_matrix, normals};
    use super::super::{Hyper, HyperSettings};
    use super::*;
    use crate::expr::Matrix;
    use crate::problem::Attitude;
    use crate::problem::Model;

    #[test]
    fn closed_forms() {
        for (kind, seed) in [(Kind::Wells, 1), (Kind::Waves, 2), (Kind::Phases, 3)] {
            let instance = Instance::new(kind, 6, seed);
            let mut functions = Functions::new(&instance.problem, instance.attitude, &instance.x);
            let found = evaluate(&mut functions, true, &vec![0.1; instance.problem.m()], 1e-10).unwrap();
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
        let found = evaluate(&mut functions, true, &[0.0; 110], 1e-10).unwrap().unwrap().point;
        assert!((found.value - expected.value).abs() < 1e-8 * (1.0 + expected.value.abs()));
        assert!(distance_inf(&found.subgradient.unwrap(), &expected.subgradient.unwrap()) < 1e-6);
    }

    /// f = Σ softplus(a_i y) − s_i a_i y of low rank: the dense way as the twin.
    #[test]
    fn not_quadratic() {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let (m, p, rank) = (40, 60, 8);
        let a = normal_matrix(p, rank, 1.0, &mut rng).matmul(&normal_matrix(rank, m, 0.3, &mut rng)).unwrap();
        let (shift, c) = (normals(p, &mut rng), normals(m, &mut rng));
        let mut model = Model::new();
        let x = model.leader("x", 1).free().unwrap();
        let y = model.follower("y", m).free().unwrap();
        let a = Matrix::from(a);
        let margins = &a * &y - model.graph().constant_vector(&shift) * x.index(0);
        let lower = margins.softplus().sum() + (&margins * (-0.5)).sum();
        let upper = (&y - model.graph().constant_vector(&c)).norm2sq() * 0.5 + (y.index(0) * 0.5).softplus();
        let problem = model.upper(upper).lower(lower).build().unwrap();
        let x = [0.7];
        let hyper = Hyper::new(&problem, Attitude::Optimistic, &HyperSettings::default());
        let expected = hyper.evaluate_in_full(&x, 1e-9, None).unwrap();
        assert_eq!(expected.route, "null space");
        let expected = expected.point;
        for (accuracy, error) in [(1e-10, 1e-8), (1e-2, 1e-2)] {
            let mut functions = Functions::new(&problem, Attitude::Optimistic, &x);
            let found = evaluate(&mut functions, false, &vec![0.0; m], accuracy).unwrap().unwrap().point;
            assert!((found.value - expected.value).abs() <= error, "{} {}", found.value, expected.value);
            assert!(found.lower.value <= expected.value && expected.value <= found.upper.value);
            assert!(distance_inf(&found.subgradient.unwrap(), expected.subgradient.as_ref().unwrap()) <= 100.0 * error);
        }
    }
}
