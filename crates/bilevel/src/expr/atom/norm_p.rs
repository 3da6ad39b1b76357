//! The p-norm (Σ|z_i|^p)^(1/p), p > 0; a quasi-norm for p < 1.
//!
//! With s_i the (smoothed) absolute value of z_i and N the norm, ∂N/∂s_i = q_i = (s_i/N)^(p-1), and along a direction
//! q_i moves by (p-1) q_i (ds_i/s_i - dN/N). Smoothed through s_i = abs_mu(z_i) for p >= 1, at most `2 c mu n^(1/p)`
//! above by Minkowski's inequality, and s_i = sqrt(z_i² + mu²) for p < 1, where N^p is at most `n mu^p` above
//! [Alcantara & Takeda 2025, Example 4.11]. Exactly at z_i = 0 the derivatives by z_i count as 0.

use super::{chain, largest_magnitude, sum};
use crate::smooth::{Jet, Smoothing, hypotenuse};

#[inline]
fn inner(z: f64, p: f64, smoothing: Smoothing<'_>) -> Jet {
    let mu = smoothing.mu();
    if mu > 0.0 && p < 1.0 {
        let root = hypotenuse(z, mu);
        let ratio = mu / root;
        return Jet { value: root, first: z / root, second: ratio * ratio / root };
    }
    smoothing.abs(z)
}

/// The norm.
pub(in crate::expr) fn value(z: &[f64], p: f64, smoothing: Smoothing<'_>) -> f64 {
    if z.is_empty() {
        return 0.0;
    }
    // The smoothed absolute value is even and increases with |z|.
    let most = inner(largest_magnitude(z), p, smoothing).value;
    if most == 0.0 || !most.is_finite() {
        return most;
    }
    most * sum(z.len(), |i| (inner(z[i], p, smoothing).value / most).powf(p)).powf(1.0 / p)
}

/// q_i, s_i.
#[inline]
fn weight(z: f64, p: f64, norm: f64, smoothing: Smoothing<'_>) -> (f64, Jet) {
    let jet = inner(z, p, smoothing);
    let q = if jet.value == 0.0 { 0.0 } else { (jet.value / norm).powf(p - 1.0) };
    (q, jet)
}

/// Derivative along `t`.
pub(in crate::expr) fn tangent(z: &[f64], p: f64, norm: f64, t: &[f64], smoothing: Smoothing<'_>) -> f64 {
    sum(z.len(), |i| {
        let (q, jet) = weight(z[i], p, norm, smoothing);
        chain(t[i], q * jet.first)
    })
}

/// Adds `bar` times the gradient.
pub(in crate::expr) fn reverse(z: &[f64], p: f64, norm: f64, bar: f64, out: &mut [f64], smoothing: Smoothing<'_>) {
    for (o, &v) in out.iter_mut().zip(z) {
        let (q, jet) = weight(v, p, norm, smoothing);
        *o += chain(bar, q * jet.first);
    }
}

/// A point on the way: entries, their tangents, the norm and its tangent.
#[derive(Clone, Copy)]
pub(in crate::expr) struct Moving<'a> {
    pub z: &'a [f64],
    pub t: &'a [f64],
    pub norm: f64,
    pub norm_tangent: f64,
}

/// Adds `bar` times the second derivative times the tangent.
pub(in crate::expr) fn second(at: Moving<'_>, p: f64, bar: f64, out: &mut [f64], smoothing: Smoothing<'_>) {
    for ((o, &v), &d) in out.iter_mut().zip(at.z).zip(at.t) {
        let (q, jet) = weight(v, p, at.norm, smoothing);
        if jet.value == 0.0 {
            continue;
        }
        let q_tangent = (p - 1.0) * q * (jet.first * d / jet.value - at.norm_tangent / at.norm);
        *o += chain(bar, q * jet.second * d + jet.first * q_tangent);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smooth::{self, Family};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn smoothing_errors(z in prop::collection::vec(-2.0..2.0_f64, 1..8), p in 0.3..4.0_f64, e in -6.0..0.0_f64) {
            let (exact, n) = (value(&z, p, Smoothing::EXACT), z.len() as f64);
            for name in smooth::names() {
                let family: &dyn Family = smooth::by_name(name).unwrap();
                let smoothing = Smoothing::new(family, 10.0_f64.powf(e));
                let smoothed = value(&z, p, smoothing);
                if family.is_envelope() && p >= 1.0 {
                    // Each |z_i| loses up to mu / 2.
                    let bound = 0.5 * smoothing.mu() * n.powf(1.0 / p);
                    prop_assert!(smoothed <= exact * (1.0 + 1e-13) && exact - smoothed <= bound * (1.0 + 1e-12) + 1e-13);
                    continue;
                }
                prop_assert!(smoothed >= exact * (1.0 - 1e-13));
                if p >= 1.0 {
                    let bound = family.kappa() * smoothing.mu() * n.powf(1.0 / p);
                    prop_assert!(smoothed - exact <= bound * (1.0 + 1e-12) + 1e-13);
                } else {
                    let bound = n * smoothing.mu().powf(p);
                    prop_assert!(smoothed.powf(p) - exact.powf(p) <= bound + 1e-12 * exact.powf(p));
                }
            }
        }
    }

    #[test]
    fn scales_and_special_points() {
        let exact = Smoothing::EXACT;
        assert!((value(&[3e300, 4e300], 2.0, exact) / 5e300 - 1.0).abs() < 1e-15);
        assert!((value(&[1e-300, 1e-300], 0.5, exact) / 4e-300 - 1.0).abs() < 1e-15);
        assert_eq!(value(&[0.0, 0.0], 3.0, exact), 0.0);
        assert_eq!(value(&[], 3.0, exact), 0.0);
        assert!(value(&[1.0, f64::NAN], 3.0, exact).is_nan());
        let mut out = [0.0, 0.0];
        reverse(&[0.0, -2.0], 0.5, 2.0, 1.0, &mut out, exact);
        assert_eq!(out, [0.0, -1.0]);
        reverse(&[0.0, 0.0], 0.5, 0.0, 1.0, &mut out, exact);
        assert_eq!(out, [0.0, -1.0]);
    }
}
