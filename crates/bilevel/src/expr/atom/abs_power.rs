//! |z|^p. For p < 2 smoothed to (z² + mu²)^(p/2), at most mu^p above because t^(p/2) is subadditive
//! [Alcantara & Takeda 2025, Example 4.11].
//!
//! For p < 1 the function is not Lipschitz at 0. Exactly there, both derivatives count as 0, for every p < 2.

use crate::smooth::hypotenuse;

/// The value.
#[inline]
pub(in crate::expr) fn value(z: f64, p: f64, mu: f64) -> f64 {
    if mu > 0.0 && p < 2.0 { hypotenuse(z, mu).powf(p) } else { z.abs().powf(p) }
}

/// First and second derivative.
#[inline]
pub(in crate::expr) fn slopes(z: f64, p: f64, mu: f64) -> (f64, f64) {
    if mu > 0.0 && p < 2.0 {
        let root = hypotenuse(z, mu);
        let (ratio, scale) = (z / root, p * root.powf(p - 1.0));
        return (scale * ratio, scale / root * ((p - 2.0) * ratio * ratio + 1.0));
    }
    if z == 0.0 {
        return (0.0, if p == 2.0 { 2.0 } else { 0.0 });
    }
    let size = z.abs();
    let first = p * size.powf(p - 1.0);
    (first.copysign(z), (p - 1.0) * first / size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn smoothing_error(z in -3.0..3.0_f64, p in 0.2..2.0_f64, e in -8.0..0.0_f64) {
            let mu = 10.0_f64.powf(e);
            let excess = value(z, p, mu) - value(z, p, 0.0);
            prop_assert!(excess >= -1e-14 && excess <= mu.powf(p) + 1e-14);
        }
    }

    #[test]
    fn special_points() {
        assert_eq!(slopes(0.0, 0.5, 0.0), (0.0, 0.0));
        assert_eq!(slopes(-2.0, 3.0, 0.0), (-12.0, 12.0));
        assert_eq!(slopes(-2.0, 3.0, 0.1), (-12.0, 12.0));
        assert!((value(1e300, 0.5, 1e-6) / 1e150 - 1.0).abs() < 1e-14);
        assert!(value(f64::NAN, 0.5, 0.0).is_nan() && slopes(f64::NAN, 0.5, 0.1).0.is_nan());
        let (first, second) = slopes(0.0, 0.5, 1e-4);
        assert!(first == 0.0 && (second / 0.5e6 - 1.0).abs() < 1e-12);
    }
}
