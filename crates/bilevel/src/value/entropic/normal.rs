//! The standard normal distribution cut to an interval: quantiles and density.

use std::f64::consts::{FRAC_1_SQRT_2, TAU};

/// Probabilities below this are taken for it, so that an interval far out in a tail still has a density.
const LEAST: f64 = 1e-300;

/// Φ(z).
pub(super) fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// Φ(b) − Φ(a) for a < b, without cancellation in the tails; at least 1e-300.
pub(super) fn probability(a: f64, b: f64) -> f64 {
    let mass = if a > 0.0 { cdf(-a) - cdf(-b) } else { cdf(b) - cdf(a) };
    mass.max(LEAST)
}

/// The u-quantile of the distribution cut to [a, b].
pub(super) fn quantile(a: f64, b: f64, u: f64) -> f64 {
    if a > 0.0 {
        return -quantile(-b, -a, 1.0 - u);
    }
    let mass = probability(a, b);
    let below = cdf(a) + u * mass;
    let z = if below <= 0.5 { inverse(below) } else { -inverse(cdf(-a) - u * mass) };
    z.clamp(a, b)
}

/// ln of the density of the distribution cut to [a, b], at z in it.
pub(super) fn log_density(a: f64, b: f64, z: f64) -> f64 {
    -0.5 * z * z - 0.5 * TAU.ln() - probability(a, b).ln()
}

/// Φ⁻¹(p) for p in (0, 1/2]: a first guess from the tail's asymptotics, then Newton's method on ln Φ, which is concave.
fn inverse(p: f64) -> f64 {
    let p = p.max(LEAST);
    let target = p.ln();
    let tail = (-2.0 * target).sqrt();
    let mut z = if p > 0.1 { (p - 0.5) * 2.6 } else { -tail + (tail.ln() + 0.5 * TAU.ln()) / tail };
    for _ in 0..40 {
        let at = cdf(z).max(f64::MIN_POSITIVE);
        let slope = (-0.5 * z * z).exp() / TAU.sqrt() / at;
        let step = (at.ln() - target) / slope;
        z -= step;
        if step.abs() <= 1e-14 * (1.0 + z.abs()) {
            break;
        }
    }
    z
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_quantiles() {
        let inf = f64::INFINITY;
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_984_540_054), (1e-10, -6.361_340_902_404_056)] {
            assert!((quantile(-inf, inf, p) - z).abs() < 1e-12, "{p}");
        }
    }

    proptest! {
        #[test]
        fn the_quantile_inverts_the_distribution(a in -12.0..11.0f64, length in 1e-6..20.0f64, u in 1e-9..1.0f64) {
            let b = a + length;
            let z = quantile(a, b, u);
            prop_assert!(a <= z && z <= b);
            let found = if z > a { probability(a, z) / probability(a, b) } else { 0.0 };
            prop_assert!((found - u).abs() < 1e-7, "{found} for {u}");
        }

        #[test]
        fn the_density_integrates_to_one(a in -9.0..8.0f64, length in 0.01..3.0f64) {
            let (b, steps) = (a + length, 2000);
            let width = length / f64::from(steps);
            let sum: f64 = (0..steps).map(|k| log_density(a, b, a + (f64::from(k) + 0.5) * width).exp() * width).sum();
            prop_assert!((sum - 1.0).abs() < 1e-4);
        }
    }
}
