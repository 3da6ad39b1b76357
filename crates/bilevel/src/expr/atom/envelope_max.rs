//! The Moreau envelope of the largest entry of a vector, `e_mu max(z) = max over the simplex of wᵀz - mu ‖w‖² / 2`
//! [Alcantara & Takeda 2025, Example 2.8].
//!
//! With d_i the distance of z_i below the largest entry, the weights are w_i = max(s - d_i, 0) / mu where s solves
//! Σ max(s - d_i, 0) = mu; they are the gradient. On their support the second derivative is (I - 1 1ᵀ/k) / mu.

use super::extremum::{largest, mean_at_ties, share};
use crate::smooth::proximal;

/// s, or 0 where the largest entry is not finite.
pub(in crate::expr) fn depth(z: &[f64], mu: f64) -> f64 {
    let most = largest(z);
    if most.is_finite() { proximal::depth(z.iter().map(|v| most - v), mu) } else { 0.0 }
}

/// The value, where `s` is the depth.
pub(in crate::expr) fn value(z: &[f64], s: f64, mu: f64) -> f64 {
    let most = largest(z);
    if s == 0.0 {
        return most;
    }
    let loss = |v: &f64| {
        let (d, w) = (most - v, ((s - (most - v)) / mu).max(0.0));
        if w > 0.0 { w * d + 0.5 * mu * w * w } else { 0.0 }
    };
    most - z.iter().map(loss).sum::<f64>()
}

/// Adds `bar` times the gradient.
pub(in crate::expr) fn reverse(z: &[f64], s: f64, mu: f64, bar: f64, out: &mut [f64]) {
    let most = largest(z);
    if s == 0.0 {
        return share(z, most, bar, out);
    }
    for (o, v) in out.iter_mut().zip(z) {
        *o += bar * ((s - (most - v)) / mu).max(0.0);
    }
}

/// Derivative along `t`.
pub(in crate::expr) fn tangent(z: &[f64], s: f64, mu: f64, t: &[f64]) -> f64 {
    let most = largest(z);
    if s == 0.0 {
        return mean_at_ties(z, most, t);
    }
    z.iter().zip(t).map(|(v, d)| ((s - (most - v)) / mu).max(0.0) * d).sum()
}

/// Adds `bar` times the second derivative times `t`.
pub(in crate::expr) fn second(z: &[f64], s: f64, mu: f64, t: &[f64], bar: f64, out: &mut [f64]) {
    let most = largest(z);
    let (mut total, mut count) = (0.0, 0.0);
    for (_, d) in z.iter().zip(t).filter(|(v, _)| most - **v < s) {
        total += d;
        count += 1.0;
    }
    for ((o, _), d) in out.iter_mut().zip(z).zip(t).filter(|((_, v), _)| most - **v < s) {
        *o += bar * (d - total / count) / mu;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the definition: the best of many points of the simplex is not better, and a step along the
        /// gradient of the definition does not help.
        #[test]
        fn the_weights_attain_the_envelope(z in prop::collection::vec(-2.0..2.0_f64, 2..8), e in -4.0..1.0_f64) {
            let mu = 10.0_f64.powf(e);
            let s = depth(&z, mu);
            let mut w = vec![0.0; z.len()];
            reverse(&z, s, mu, 1.0, &mut w);
            prop_assert!(w.iter().all(|w| *w >= 0.0) && (w.iter().sum::<f64>() - 1.0).abs() < 1e-10);
            let cost = |w: &[f64]| w.iter().zip(&z).map(|(w, z)| w * z - 0.5 * mu * w * w).sum::<f64>();
            prop_assert!((cost(&w) - value(&z, s, mu)).abs() < 1e-12 * (1.0 + mu));
            for i in 0..z.len() {
                let corner: Vec<f64> = (0..z.len()).map(|j| 0.99 * w[j] + if i == j { 0.01 } else { 0.0 }).collect();
                prop_assert!(cost(&corner) <= cost(&w) + 1e-13 * (1.0 + mu));
            }
            let excess = value(&z, s, mu) - largest(&z);
            prop_assert!(excess <= 1e-14 && excess >= -0.5 * mu - 1e-14);
        }
    }

    #[test]
    fn extreme_entries() {
        let z = [1.0, f64::NEG_INFINITY, -1e300];
        let s = depth(&z, 1e-3);
        assert_eq!(value(&z, s, 1e-3), 1.0 - 0.5e-3);
        let z = [f64::INFINITY, 1.0];
        assert_eq!(value(&z, depth(&z, 1.0), 1.0), f64::INFINITY);
        let z = [f64::NAN, 1.0];
        assert!(value(&z, depth(&z, 1.0), 1.0).is_nan());
    }
}
