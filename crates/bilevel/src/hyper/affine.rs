//! phi where S(x) = ŷ + ker H is affine, H = ∇²_yy f: the interval, its ends and the subgradient, however H is held.
//!
//! Let y* attain φ, d = ‖∇_y f(ŷ)‖ / λ_min⁺ bound the distance of ŷ to S(x), Q = ∇²_yy F,
//! σ its smallest eigenvalue on ker H, and p the part of ∇_y F(ŷ) in ker H. Then for convex quadratic F
//!
//! ```text
//! F(ŷ) − ‖∇F‖ d − (‖p‖ + ‖Q‖ d)² / (2σ)  <=  φ_o(x)  <=  F(ŷ) + ‖∇F‖ d + ½ ‖Q‖ d²
//! ```
//!
//! which rests on the rank of H.

use bilevel_linalg::vector::{axpy, norm2};

use super::functions::Functions;
use super::spectrum::Spectrum;
use super::{Answers, End, Evaluation, HyperFailure, HyperPoint};
use crate::solution::Rigor;

/// The least of sign * F over S(x), with what its error bound needs.
pub(super) struct Optimum {
    /// The answer.
    pub y: Vec<f64>,
    /// Whether the value is the least over S(x), not only a local one.
    pub global: bool,
    /// A bound on ‖∇²_yy F‖; NaN where not known.
    pub size: f64,
    /// The smallest eigenvalue of ∇²_yy F on ker H; NaN where not known.
    pub sigma: f64,
}

/// The follower's Hessian H as a map with a range and a kernel.
pub(super) trait Split {
    /// Writes H⁺ b.
    fn pseudo_solve(&self, b: &[f64], out: &mut [f64]);
    /// The length of the part of b in the kernel.
    fn null_part(&self, b: &[f64]) -> f64;
    /// The smallest positive eigenvalue; infinite without one.
    fn smallest_positive(&self) -> f64;
    /// The dimension of the kernel.
    fn nullity(&self) -> usize;
    /// Whether the rank is clear.
    fn is_certain(&self) -> bool;
    /// Whether the smallest positive eigenvalue is known to rounding, not only estimated.
    fn is_exact(&self) -> bool {
        true
    }
}

impl Split for Spectrum {
    fn pseudo_solve(&self, b: &[f64], out: &mut [f64]) {
        Spectrum::pseudo_solve(self, b, out);
    }

    fn null_part(&self, b: &[f64]) -> f64 {
        Spectrum::null_part(self, b)
    }

    fn smallest_positive(&self) -> f64 {
        Spectrum::smallest_positive(self)
    }

    fn nullity(&self) -> usize {
        Spectrum::nullity(self)
    }

    fn is_certain(&self) -> bool {
        self.certain
    }
}

/// Value, ends and subgradient at the optimum.
pub(super) fn finish(
    functions: &mut Functions<'_>,
    spectrum: &dyn Split,
    optimum: Optimum,
    affine: bool,
    route: &'static str,
) -> Result<Evaluation, HyperFailure> {
    let m = optimum.y.len();
    let y = optimum.y;
    let value = functions.upper(&y);
    if !value.is_finite() {
        return Err(functions.not_a_number());
    }
    let (mut slope, mut left) = (vec![0.0; m], vec![0.0; m]);
    functions.upper_gradient(&y, &mut slope);
    functions.lower_gradient(&y, &mut left);
    let distance = norm2(&left) / spectrum.smallest_positive();
    let rounding = f64::EPSILON * m as f64 * (value.abs() + norm2(&slope) * norm2(&y));
    let along = norm2(&slope) * distance + rounding;
    let part = spectrum.null_part(&slope);
    let known = optimum.sigma > 0.0 && (optimum.size.is_finite() || spectrum.nullity() == 0);
    let bend = if optimum.size.is_finite() { optimum.size } else { 0.0 };
    let inside = if spectrum.nullity() == 0 { 0.0 } else { (part + bend * distance).powi(2) / (2.0 * optimum.sigma) };
    let (below, above) = if known {
        (along + inside, along + 0.5 * bend * distance * distance)
    } else {
        (along + part * (1.0 + norm2(&y)), along)
    };
    let certain = spectrum.is_certain() && affine;
    let rigor = |end_known: bool| match (end_known, certain) {
        (true, true) => {
            let on = ["rank", "rounding", "tau"];
            Rigor::Conditional(on[..if spectrum.is_exact() { 2 } else { 3 }].iter().map(|on| on.to_string()).collect())
        }
        _ => Rigor::Estimated,
    };
    // Without curvature bounds of F the second-order term is not there: an estimate.
    let exact = known && optimum.size.is_finite();
    let lower = if optimum.global { value - below } else { f64::NEG_INFINITY };
    let least = End { value: lower, rigor: rigor(exact && optimum.global) };
    let most = End { value: value + above, rigor: rigor(exact) };
    let subgradient = if certain { oracle(functions, spectrum, &y, &slope) } else { None };
    let point = HyperPoint::signed(functions.sign(), value, least, most, y, subgradient);
    let answers = match (certain, spectrum.nullity()) {
        (false, _) => Answers::Undecided,
        (true, 0) => Answers::Unique,
        (true, dimension) => Answers::Affine { dimension },
    };
    Ok(Evaluation { point, answers, route, gradients: functions.gradients })
}

/// ∇ₓF − ∇²ₓ_y f (∇²_yy f)⁺ ∇_y F at (x, y); `slope` is sign * ∇_y F.
pub(super) fn oracle(
    functions: &mut Functions<'_>,
    spectrum: &dyn Split,
    y: &[f64],
    slope: &[f64],
) -> Option<Vec<f64>> {
    let n = functions.leaders();
    let (mut adjoint, mut mixed, mut out) = (vec![0.0; y.len()], vec![0.0; n], vec![0.0; n]);
    spectrum.pseudo_solve(slope, &mut adjoint);
    functions.upper_gradient_x(y, &mut out);
    functions.lower_mixed_product(y, &adjoint, &mut mixed);
    axpy(-functions.sign(), &mixed, &mut out);
    out.iter().all(|v| v.is_finite()).then_some(out)
}
