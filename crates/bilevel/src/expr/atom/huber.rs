//! Huber's function: z²/2 for |z| <= delta, delta (|z| - delta/2) beyond [Huber 1964]. Once continuously
//! differentiable, so it is not smoothed further; at |z| = delta the second derivative is that of the parabola.

/// The value.
#[inline]
pub(in crate::expr) fn value(z: f64, delta: f64) -> f64 {
    if z.abs() > delta { delta * (z.abs() - 0.5 * delta) } else { 0.5 * z * z }
}

/// First and second derivative.
#[inline]
pub(in crate::expr) fn slopes(z: f64, delta: f64) -> (f64, f64) {
    if z > delta {
        (delta, 0.0)
    } else if z < -delta {
        (-delta, 0.0)
    } else {
        (z, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_join() {
        for delta in [1e-3, 1.0, 1e100] {
            assert_eq!(value(delta, delta), 0.5 * delta * delta);
            let beyond = value(-delta * (1.0 + 1e-9), delta);
            assert!((beyond / value(delta, delta) - 1.0 - 2e-9).abs() < 1e-15);
            assert_eq!(slopes(-2.0 * delta, delta), (-delta, 0.0));
            assert_eq!(slopes(0.5 * delta, delta), (0.5 * delta, 1.0));
        }
        assert_eq!(value(1e300, 2.0), 2e300);
        assert!(value(f64::NAN, 1.0).is_nan() && slopes(f64::NAN, 1.0).0.is_nan());
    }
}
