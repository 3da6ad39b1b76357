//! phi where S(x) is an affine subspace: the follower is free, and f quadratic, or convex and smooth, in y. With
//! H = ∇²_yy f, S(x) = y₀(x) + ker H.
//!
//! ```text
//! y₀ = y − H⁺ ∇_y f(x, y) for any y;      φ_o(x) = min over z of F(x, y₀ + N z),  N an orthonormal basis of ker H
//! ```
//!
//! For f that is not quadratic y₀ comes from a descent of f, H is taken there, and both are repeated from the optimum
//! until f's gradient vanishes there too; where it does not, S(x) is not affine and the answers are called undecided.
//!
//! F quadratic in y: the reduced problem is one linear system. Else: trust-region Newton steps on z, from several starts
//! where F is not known to be convex on S(x). Under the assumptions of [Chen, Li & So 2025] S(x) is an affine subspace
//! (mathematics §5 of the project's notes), so this is the general case there. The interval: [`super::affine`].

use std::borrow::Cow;

use bilevel_linalg::Dense;
use bilevel_linalg::vector::{axpy, norm2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::affine::{Optimum, finish};
use super::descent::{self, Limits, SmoothFunction, descend};
use super::facts::Facts;
use super::functions::{Functions, sign};
use super::minimiser::minimise_lower;
use super::spectrum::Spectrum;
use super::{Answers, Evaluation, HyperFailure, HyperSettings};
use crate::expr::structure::Degree;
use crate::problem::Attitude;

/// What does not depend on x, computed once.
#[derive(Clone, Debug, Default)]
pub(super) struct NullSpace {
    /// H and its null space, where H is the same at every x.
    answers: Option<Kernel>,
    /// The Hessian of sign * F on ker H, where that is the same at every x too.
    reduced: Option<Reduced>,
}

#[derive(Clone, Debug)]
struct Kernel {
    spectrum: Spectrum,
    /// One vector a row.
    basis: Dense,
}

impl Kernel {
    fn new(hessian: &Dense) -> Option<Self> {
        let spectrum = Spectrum::new(hessian)?;
        Some(Self { basis: spectrum.null_basis(), spectrum })
    }
}

/// sign * ∇²_yy F, and its part on ker H.
#[derive(Clone, Debug)]
struct Reduced {
    size: f64,
    spectrum: Spectrum,
}

impl Reduced {
    fn new(hessian: &Dense, sign: f64, basis: &Dense) -> Option<Self> {
        let mut part = basis.matmul(hessian).ok()?.matmul(&basis.transpose()).ok()?;
        part.data_mut().iter_mut().for_each(|v| *v *= sign);
        // The Frobenius norm bounds the spectral one.
        Some(Self { size: norm2(hessian.data()), spectrum: Spectrum::new(&part)? })
    }
}

impl NullSpace {
    pub fn new(facts: &Facts, attitude: Attitude) -> Self {
        let answers = facts.lower.hessian().and_then(Kernel::new);
        let reduced = match (&answers, facts.upper.hessian()) {
            (Some(kernel), Some(hessian)) => Reduced::new(hessian, sign(attitude), &kernel.basis),
            _ => None,
        };
        Self { answers, reduced }
    }

    /// φ at the x of `functions`; `None` where a kink of F stops the descent.
    pub fn evaluate(
        &self,
        functions: &mut Functions<'_>,
        facts: &Facts,
        settings: &HyperSettings,
        start: &[f64],
    ) -> Result<Option<Evaluation>, HyperFailure> {
        let quadratic = facts.lower.degree <= Degree::Quadratic;
        let mut y = start.to_vec();
        let mut round = 0;
        loop {
            if !quadratic {
                minimise_lower(functions, &mut y)?;
            }
            let kernel = self.kernel(functions, &y)?;
            if kernel.spectrum.negative {
                return Err(HyperFailure::FollowerUnbounded);
            }
            project(functions, &kernel.spectrum, &mut y, quadratic)?;
            let Some(mut optimum) = self.optimise(functions, facts, settings, &kernel, y)? else { return Ok(None) };
            let settled = project(functions, &kernel.spectrum, &mut optimum.y, quadratic)?;
            round += 1;
            if settled {
                return finish(functions, &kernel.spectrum, optimum, true, "null space").map(Some);
            }
            if round == ROUNDS {
                minimise_lower(functions, &mut optimum.y)?;
                optimum.global = false;
                return finish(functions, &kernel.spectrum, optimum, false, "null space").map(Some);
            }
            y = optimum.y;
        }
    }

    /// S(x) by itself: its dimension, and one of its points.
    pub fn answers(
        &self,
        functions: &mut Functions<'_>,
        facts: &Facts,
        mut y: Vec<f64>,
    ) -> Result<(Answers, Vec<f64>), HyperFailure> {
        let quadratic = facts.lower.degree <= Degree::Quadratic;
        if !quadratic {
            minimise_lower(functions, &mut y)?;
        }
        let kernel = self.kernel(functions, &y)?;
        if kernel.spectrum.negative {
            return Err(HyperFailure::FollowerUnbounded);
        }
        let mut settled = project(functions, &kernel.spectrum, &mut y, quadratic)?;
        // Where f is not quadratic the kernel at one point shows S(x) only if f's gradient vanishes along it.
        for k in 0..if quadratic { 0 } else { kernel.basis.rows() } {
            for step in [1.0 + norm2(&y), -1.0 - norm2(&y)] {
                let mut moved = y.clone();
                axpy(step, kernel.basis.row(k), &mut moved);
                settled &= vanishes(functions, &kernel.spectrum, &moved, 0.0)?;
            }
        }
        let answers = match (kernel.spectrum.certain && settled, kernel.spectrum.nullity()) {
            (false, _) => Answers::Undecided,
            (true, 0) => Answers::Unique,
            (true, dimension) => Answers::Affine { dimension },
        };
        Ok((answers, y))
    }

    fn kernel(&self, functions: &mut Functions<'_>, y: &[f64]) -> Result<Cow<'_, Kernel>, HyperFailure> {
        if let Some(kernel) = &self.answers {
            return Ok(Cow::Borrowed(kernel));
        }
        let mut hessian = Dense::zeros(y.len(), y.len());
        functions.add_lower_hessian(y, &mut hessian);
        Ok(Cow::Owned(Kernel::new(&hessian).ok_or_else(|| functions.not_a_number())?))
    }

    fn optimise(
        &self,
        functions: &mut Functions<'_>,
        facts: &Facts,
        settings: &HyperSettings,
        kernel: &Kernel,
        y: Vec<f64>,
    ) -> Result<Option<Optimum>, HyperFailure> {
        if kernel.basis.rows() == 0 {
            return Ok(Some(Optimum { y, global: true, size: f64::NAN, sigma: f64::INFINITY }));
        }
        if facts.upper.degree > Degree::Quadratic {
            let convex = facts.upper.is_convex(functions.sign());
            let starts = if convex { 1 } else { settings.starts.max(1) };
            // A kinked F is found out soon, and is another way's business.
            let iterations = if facts.upper.smooth { 500 } else { 100 };
            let found = search(functions, &kernel.basis, y, (starts, settings.seed), iterations, convex)?;
            return Ok(if is_kink(functions, kernel, &found.y) { None } else { Some(found) });
        }
        let reduced = match &self.reduced {
            Some(reduced) => Cow::Borrowed(reduced),
            None => {
                let mut hessian = Dense::zeros(y.len(), y.len());
                functions.add_upper_hessian(&y, &mut hessian);
                let reduced = Reduced::new(&hessian, 1.0, &kernel.basis);
                Cow::Owned(reduced.ok_or_else(|| functions.not_a_number())?)
            }
        };
        solve(functions, &kernel.basis, &reduced, y).map(Some)
    }
}

/// Most times that the kernel is taken anew where f is not quadratic.
const ROUNDS: usize = 6;

/// Whether the descent of F stopped although F has a slope on S(x).
fn is_kink(functions: &mut Functions<'_>, kernel: &Kernel, y: &[f64]) -> bool {
    let mut slope = vec![0.0; y.len()];
    functions.upper_gradient(y, &mut slope);
    kernel.spectrum.null_part(&slope) > 1e-6 * (1e-3 + norm2(&slope))
}

/// Moves y onto S(x): y ← y − H⁺ ∇_y f, twice, the second time for the rounding of the first. Says whether f's gradient
/// vanishes then; where f is quadratic and it does not, f has no minimum.
fn project(
    functions: &mut Functions<'_>,
    spectrum: &Spectrum,
    y: &mut [f64],
    quadratic: bool,
) -> Result<bool, HyperFailure> {
    let (mut gradient, mut step) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    for _ in 0..2 {
        functions.lower_gradient(y, &mut gradient);
        spectrum.pseudo_solve(&gradient, &mut step);
        axpy(-1.0, &step, y);
    }
    let before = if quadratic { norm2(&gradient) } else { 0.0 };
    // What is left lies in ker H: f falls along it for ever, unless it is rounding error.
    let vanishes = vanishes(functions, spectrum, y, before)?;
    if quadratic && !vanishes { Err(HyperFailure::FollowerUnbounded) } else { Ok(vanishes) }
}

/// Whether f's gradient at y is rounding error, against its terms and what it was `before`.
fn vanishes(functions: &mut Functions<'_>, spectrum: &Spectrum, y: &[f64], before: f64) -> Result<bool, HyperFailure> {
    let mut gradient = vec![0.0; y.len()];
    functions.lower_gradient(y, &mut gradient);
    let left = norm2(&gradient);
    if !left.is_finite() {
        return Err(functions.not_a_number());
    }
    functions.lower_gradient(&vec![0.0; y.len()], &mut gradient);
    let scale = norm2(&gradient) + spectrum.largest() * norm2(y) + before;
    Ok(left <= INCONSISTENT * scale)
}

/// A gradient of f on what should be S(x) larger than this, relative to its terms, is not rounding.
const INCONSISTENT: f64 = 1e-9;
/// A slope of F along a direction without curvature larger than this, relative to F's gradient, is not rounding.
const SLOPE: f64 = 1e-9;

/// F quadratic: Newton's step on the reduced problem, and a second one for the rounding of the first.
fn solve(
    functions: &mut Functions<'_>,
    basis: &Dense,
    reduced: &Reduced,
    mut y: Vec<f64>,
) -> Result<Optimum, HyperFailure> {
    if reduced.spectrum.negative {
        return Err(HyperFailure::Infinite);
    }
    let k = basis.rows();
    let (mut gradient, mut part, mut step) = (vec![0.0; y.len()], vec![0.0; k], vec![0.0; k]);
    for round in 0..2 {
        functions.upper_gradient(&y, &mut gradient);
        part.fill(0.0);
        basis.mul_add(1.0, &gradient, &mut part);
        if !norm2(&part).is_finite() {
            return Err(functions.not_a_number());
        }
        let slope = reduced.spectrum.null_part(&part);
        if round == 0 && slope > SLOPE * norm2(&gradient) {
            return Err(HyperFailure::Infinite);
        }
        reduced.spectrum.pseudo_solve(&part, &mut step);
        basis.transpose_mul_add(-1.0, &step, &mut y);
    }
    let flat = reduced.spectrum.nullity() > 0 || !reduced.spectrum.certain;
    let sigma = if flat { 0.0 } else { reduced.spectrum.smallest_positive() };
    Ok(Optimum { y, global: true, size: reduced.size, sigma })
}

/// z ↦ sign * F(x, y₀ + Nᵀ z).
struct OnAnswers<'f, 'a> {
    functions: &'f mut Functions<'a>,
    basis: &'f Dense,
    base: Vec<f64>,
    y: Vec<f64>,
    full: Vec<f64>,
    direction: Vec<f64>,
}

impl OnAnswers<'_, '_> {
    fn move_to(&mut self, z: &[f64]) {
        self.y.copy_from_slice(&self.base);
        self.basis.transpose_mul_add(1.0, z, &mut self.y);
    }
}

impl SmoothFunction for OnAnswers<'_, '_> {
    fn value(&mut self, z: &[f64]) -> f64 {
        self.move_to(z);
        self.functions.upper(&self.y)
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        self.move_to(z);
        self.functions.upper_gradient(&self.y, &mut self.full);
        out.fill(0.0);
        self.basis.mul_add(1.0, &self.full, out);
    }

    fn product(&mut self, z: &[f64], d: &[f64], out: &mut [f64]) {
        self.move_to(z);
        self.direction.fill(0.0);
        self.basis.transpose_mul_add(1.0, d, &mut self.direction);
        self.functions.upper_product(&self.y, &self.direction, &mut self.full);
        out.fill(0.0);
        self.basis.mul_add(1.0, &self.full, out);
    }
}

/// Any smooth F: descents from y and from points around it.
fn search(
    functions: &mut Functions<'_>,
    basis: &Dense,
    base: Vec<f64>,
    (starts, seed): (usize, u64),
    iterations: usize,
    convex: bool,
) -> Result<Optimum, HyperFailure> {
    let (k, m) = (basis.rows(), base.len());
    let mut gradient = vec![0.0; m];
    functions.upper_gradient(&base, &mut gradient);
    let limits = Limits { gradient: 1e-14 * (1.0 + norm2(&gradient)), iterations, pieces: true };
    let spread = 1.0 + norm2(&base) / (m as f64).sqrt();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let zeros = || vec![0.0; m];
    let mut function =
        OnAnswers { functions, basis, base: base.clone(), y: zeros(), full: zeros(), direction: zeros() };
    let mut best: Option<(f64, Vec<f64>)> = None;
    for start in 0..starts {
        // Ever wider around the first point.
        let width = 2.0 * spread * (1 + start / 4) as f64;
        let mut z: Vec<f64> = (0..k).map(|_| if start == 0 { 0.0 } else { rng.random_range(-width..width) }).collect();
        let found = descend(&mut function, &mut z, limits);
        if found.end == descent::End::Unbounded {
            return Err(HyperFailure::Infinite);
        }
        let usable = found.value.is_finite();
        if usable && best.as_ref().is_none_or(|(value, _)| found.value < *value) {
            best = Some((found.value, z));
        }
    }
    let (_, z) = best.ok_or_else(|| function.functions.not_a_number())?;
    function.move_to(&z);
    Ok(Optimum { y: function.y, global: convex, size: f64::NAN, sigma: f64::NAN })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Instance, Kind};
    use super::super::{Hyper, HyperObjective, HyperSettings};
    use bilevel_linalg::vector::distance_inf;

    #[test]
    fn value_subgradient_and_answer_in_closed_form() {
        for kind in [Kind::Wells, Kind::Waves, Kind::Phases] {
            for (n, seeds) in [(1, 5), (2, 20), (5, 5), (10, 5), (25, 2)] {
                for seed in 0..seeds {
                    let instance = Instance::new(kind, n, seed);
                    let hyper = Hyper::new(&instance.problem, instance.attitude, &HyperSettings::default());
                    let found = hyper.evaluate(&instance.x, 1e-9, None).unwrap();
                    let (phi, gradient, y) = instance.exact(&instance.x);
                    let name = format!("{kind:?} {n} {seed}");
                    assert!((found.value - phi).abs() < 1e-10 * (1.0 + phi.abs()), "{name}: {} {phi}", found.value);
                    assert!(distance_inf(&found.y, &y) < 1e-9, "{name}");
                    let subgradient = found.subgradient.unwrap();
                    assert!(distance_inf(&subgradient, &gradient) < 1e-9, "{name}: {subgradient:?} {gradient:?}");
                    assert!(found.lower.value <= phi && phi <= found.upper.value, "{name}");
                }
            }
        }
    }
}
