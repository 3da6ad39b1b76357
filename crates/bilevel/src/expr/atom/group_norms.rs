//! The Euclidean norm of a group of entries. Smoothed as `abs_mu(‖z‖)`, at most `2 c mu` above, where `c mu` is the
//! family's error for the positive part; the gradient at 0 is 0, smoothed or not.
//!
//! With h the (smoothed) absolute value, r = ‖z‖ and u = z/r, the gradient is `h'(r) u` and the second derivative
//! `h''(r) u uᵀ + h'(r)/r (I - u uᵀ)`.

use super::{largest_magnitude, sum};
use crate::smooth::Smoothing;

/// The Euclidean norm, scaled where squares would overflow or underflow.
pub(in crate::expr) fn norm(z: &[f64]) -> f64 {
    let squares = sum(z.len(), |i| z[i] * z[i]);
    if squares.is_finite() && squares > 1e-280 {
        return squares.sqrt();
    }
    let most = largest_magnitude(z);
    if most == 0.0 || !most.is_finite() {
        return most;
    }
    most * sum(z.len(), |i| (z[i] / most) * (z[i] / most)).sqrt()
}

/// The smoothed norm of a group with norm `r`.
pub(in crate::expr) fn value(r: f64, smoothing: Smoothing<'_>) -> f64 {
    super::abs::value(r, smoothing)
}

/// h'(r), h'(r)/r and h''(r).
struct Radial {
    first: f64,
    ratio: f64,
    second: f64,
}

fn radial(r: f64, smoothing: Smoothing<'_>) -> Radial {
    if r == 0.0 && smoothing.mu() == 0.0 {
        return Radial { first: 0.0, ratio: 0.0, second: 0.0 };
    }
    let jet = smoothing.abs(r);
    // Near 0 the even function is a parabola, and first / r may be 0/0.
    let ratio = if r <= 1e-9 * smoothing.mu() { jet.second } else { jet.first / r };
    Radial { first: jet.first, ratio, second: jet.second }
}

/// u·t, or 0 at z = 0.
fn along(z: &[f64], r: f64, t: &[f64]) -> f64 {
    if r == 0.0 { 0.0 } else { sum(z.len(), |i| (z[i] / r) * t[i]) }
}

/// Derivative of the smoothed norm along `t`.
pub(in crate::expr) fn tangent(z: &[f64], r: f64, t: &[f64], smoothing: Smoothing<'_>) -> f64 {
    radial(r, smoothing).first * along(z, r, t)
}

/// Adds `bar` times the gradient.
pub(in crate::expr) fn reverse(z: &[f64], r: f64, bar: f64, out: &mut [f64], smoothing: Smoothing<'_>) {
    if r == 0.0 || bar == 0.0 {
        return;
    }
    let first = bar * radial(r, smoothing).first;
    for (o, v) in out.iter_mut().zip(z) {
        *o += first * (v / r);
    }
}

/// Adds `bar` times the second derivative times `t`.
pub(in crate::expr) fn second(z: &[f64], r: f64, t: &[f64], bar: f64, out: &mut [f64], smoothing: Smoothing<'_>) {
    let Radial { ratio, second, .. } = radial(r, smoothing);
    let along = along(z, r, t);
    for ((o, v), d) in out.iter_mut().zip(z).zip(t) {
        let unit = if r == 0.0 { 0.0 } else { v / r };
        *o += bar * (ratio * d + (second - ratio) * along * unit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norms_at_every_scale() {
        for scale in [1e-300, 1e-160, 1.0, 1e160, 1e300] {
            assert!((norm(&[3.0 * scale, -4.0 * scale]) / (5.0 * scale) - 1.0).abs() < 1e-15);
        }
        assert_eq!(norm(&[]), 0.0);
        assert_eq!(norm(&[0.0, 0.0]), 0.0);
        assert_eq!(norm(&[1.0, f64::NEG_INFINITY]), f64::INFINITY);
        assert!(norm(&[1.0, f64::NAN]).is_nan() && norm(&[f64::NAN, 1e300]).is_nan());
    }
}
