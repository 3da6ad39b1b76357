//! The smooth functions: first and second derivatives, and values where the standard library has none.
//!
//! Outside a function's domain all are NaN. Closed forms in e^-|z| keep the bounded ones accurate in their tails.

use super::PairSlopes;

/// 1 / (1 + e^-z).
#[inline]
pub(in crate::expr) fn sigmoid(z: f64) -> f64 {
    let e = (-z.abs()).exp();
    if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

/// ln(1 + e^z).
#[inline]
pub(in crate::expr) fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

/// z^p: exact products for small integers, else the standard power (NaN for z < 0 unless p is an integer).
#[inline]
pub(in crate::expr) fn power(z: f64, p: f64) -> f64 {
    if p.fract() == 0.0 && p.abs() <= 8.0 { z.powi(p as i32) } else { z.powf(p) }
}

/// Derivatives of ln z.
#[inline]
pub(in crate::expr) fn log_slopes(z: f64) -> (f64, f64) {
    if z >= 0.0 { (1.0 / z, -1.0 / (z * z)) } else { (f64::NAN, f64::NAN) }
}

/// Derivatives of ln(1 + z).
#[inline]
pub(in crate::expr) fn log1p_slopes(z: f64) -> (f64, f64) {
    log_slopes(1.0 + z)
}

/// Derivatives of the square root.
#[inline]
pub(in crate::expr) fn sqrt_slopes(z: f64) -> (f64, f64) {
    let root = z.sqrt();
    (0.5 / root, -0.25 / (z * root))
}

/// Derivatives of the tangent.
#[inline]
pub(in crate::expr) fn tan_slopes(z: f64) -> (f64, f64) {
    let t = z.tan();
    let first = 1.0 + t * t;
    (first, 2.0 * t * first)
}

/// Derivatives of the hyperbolic tangent.
#[inline]
pub(in crate::expr) fn tanh_slopes(z: f64) -> (f64, f64) {
    let e = (-2.0 * z.abs()).exp();
    let first = 4.0 * e / ((1.0 + e) * (1.0 + e));
    (first, (-2.0 * first * ((1.0 - e) / (1.0 + e))).copysign(-z))
}

/// Derivatives of the sigmoid.
#[inline]
pub(in crate::expr) fn sigmoid_slopes(z: f64) -> (f64, f64) {
    let e = (-z.abs()).exp();
    let first = e / ((1.0 + e) * (1.0 + e));
    (first, (first * ((1.0 - e) / (1.0 + e))).copysign(-z))
}

/// Derivatives of the softplus.
#[inline]
pub(in crate::expr) fn softplus_slopes(z: f64) -> (f64, f64) {
    let e = (-z.abs()).exp();
    (if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }, e / ((1.0 + e) * (1.0 + e)))
}

/// Derivatives of z^p.
#[inline]
pub(in crate::expr) fn power_slopes(z: f64, p: f64) -> (f64, f64) {
    if p == 0.0 {
        (0.0, 0.0)
    } else if p == 1.0 {
        (1.0, 0.0)
    } else {
        let first = p * power(z, p - 1.0);
        let second = if p == 2.0 { 2.0 } else { p * (p - 1.0) * power(z, p - 2.0) };
        (first, second)
    }
}

/// Derivatives of a b.
#[inline]
pub(in crate::expr) fn product_slopes(a: f64, b: f64) -> PairSlopes {
    PairSlopes { a: b, b: a, aa: 0.0, ab: 1.0, bb: 0.0 }
}

/// Derivatives of a / b.
#[inline]
pub(in crate::expr) fn quotient_slopes(a: f64, b: f64) -> PairSlopes {
    let inverse = 1.0 / b;
    let slope = a / b / b;
    PairSlopes { a: inverse, b: -slope, aa: 0.0, ab: -inverse / b, bb: 2.0 * slope / b }
}

/// a^b = exp(b ln a) for a > 0; at a = 0 its limit for b > 0, else NaN.
#[inline]
pub(in crate::expr) fn power_of(a: f64, b: f64) -> f64 {
    if b.is_nan() {
        return b;
    }
    if a > 0.0 || (a == 0.0 && b > 0.0) { a.abs().powf(b) } else { f64::NAN }
}

/// Derivatives of a^b. At a = 0 they are the limits for fixed b, those along b being 0.
#[inline]
pub(in crate::expr) fn power_of_slopes(a: f64, b: f64) -> PairSlopes {
    let value = power_of(a, b);
    if a == 0.0 && b > 0.0 {
        let (first, second) = power_slopes(0.0, b);
        return PairSlopes { a: first, b: 0.0, aa: second, ab: 0.0, bb: 0.0 };
    }
    let log = a.ln();
    let ratio = value / a;
    let first = b * ratio;
    PairSlopes {
        a: first,
        b: value * log,
        aa: (b - 1.0) * (first / a),
        ab: ratio * (1.0 + b * log),
        bb: value * log * log,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_keep_their_accuracy() {
        assert!((sigmoid(-700.0) / (-700.0_f64).exp() - 1.0).abs() < 1e-15);
        assert_eq!(sigmoid(1e300), 1.0);
        assert_eq!(sigmoid(-1e300), 0.0);
        assert!((sigmoid_slopes(40.0).0 / (-40.0_f64).exp() - 1.0).abs() < 1e-14);
        assert!((softplus(-700.0) / (-700.0_f64).exp() - 1.0).abs() < 1e-15);
        assert_eq!(softplus(1e300), 1e300);
        assert_eq!(softplus_slopes(-1e300), (0.0, 0.0));
        assert!((tanh_slopes(-30.0).0 / (4.0 * (-60.0_f64).exp()) - 1.0).abs() < 1e-14);
        assert!(sigmoid_slopes(2.0).1 < 0.0 && tanh_slopes(-2.0).1 > 0.0);
    }

    #[test]
    fn outside_the_domain_all_is_nan() {
        assert!(log_slopes(-1.0).0.is_nan() && log1p_slopes(-2.0).0.is_nan() && sqrt_slopes(-1.0).0.is_nan());
        assert!(power(-1.0, 0.5).is_nan() && power_slopes(-1.0, 0.5).0.is_nan());
        assert!(power_of(-2.0, 2.0).is_nan() && power_of_slopes(-2.0, 2.0).a.is_nan() && power_of(0.0, -1.0).is_nan());
        assert!(power_of(1.0, f64::NAN).is_nan());
        assert!(softplus(f64::NAN).is_nan() && sigmoid(f64::NAN).is_nan() && tanh_slopes(f64::NAN).0.is_nan());
    }

    #[test]
    fn powers_at_zero() {
        assert_eq!(power_slopes(0.0, 2.0), (0.0, 2.0));
        assert_eq!(power_slopes(0.0, 0.0), (0.0, 0.0));
        assert_eq!(power_slopes(0.0, 3.0), (0.0, 0.0));
        assert_eq!(power_slopes(0.0, 0.5).0, f64::INFINITY);
        assert_eq!(power(-2.0, 3.0), -8.0);
        assert_eq!(power(-2.0, 9.0), -512.0);
        assert_eq!(power_of_slopes(0.0, 2.0), PairSlopes { a: 0.0, b: 0.0, aa: 2.0, ab: 0.0, bb: 0.0 });
    }
}
