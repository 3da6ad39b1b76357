//! Closed intervals, as enclosures of what a formula can take on a box of variables.
//!
//! Plain floating point, without outward rounding: an enclosure may be too narrow by rounding errors. What must be
//! proved to the last bit belongs to interval arithmetic with directed rounding, not here.

/// An interval `[lower, upper]`, possibly unbounded; `lower <= upper` and neither is NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    lower: f64,
    upper: f64,
}

impl Range {
    /// All real numbers.
    pub const ALL: Range = Range { lower: f64::NEG_INFINITY, upper: f64::INFINITY };
    /// Zero alone.
    pub const ZERO: Range = Range { lower: 0.0, upper: 0.0 };

    /// The interval between two numbers; all numbers if one is NaN or they are in the wrong order.
    pub fn new(lower: f64, upper: f64) -> Self {
        if lower <= upper { Self { lower, upper } } else { Self::ALL }
    }

    /// A single number; all numbers if it is NaN.
    pub fn point(value: f64) -> Self {
        Self::new(value, value)
    }

    /// The smallest interval with both numbers; all numbers if one is NaN.
    pub fn between(a: f64, b: f64) -> Self {
        if a <= b { Self::new(a, b) } else { Self::new(b, a) }
    }

    /// The lower end.
    pub fn lower(self) -> f64 {
        self.lower
    }

    /// The upper end.
    pub fn upper(self) -> f64 {
        self.upper
    }

    /// The number, if there is only one and it is finite.
    pub fn value(self) -> Option<f64> {
        (self.lower == self.upper && self.lower.is_finite()).then_some(self.lower)
    }

    /// Whether `value` lies inside.
    pub fn contains(self, value: f64) -> bool {
        self.lower <= value && value <= self.upper
    }

    /// Whether `value` lies inside and is not an end.
    pub fn contains_inside(self, value: f64) -> bool {
        self.lower < value && value < self.upper
    }

    /// Whether all of it is at least 0.
    pub fn is_nonnegative(self) -> bool {
        self.lower >= 0.0
    }

    /// Whether all of it is at most 0.
    pub fn is_nonpositive(self) -> bool {
        self.upper <= 0.0
    }

    /// Whether both ends are finite.
    pub fn is_finite(self) -> bool {
        self.lower.is_finite() && self.upper.is_finite()
    }

    /// The largest absolute value.
    pub fn magnitude(self) -> f64 {
        self.lower.abs().max(self.upper.abs())
    }

    pub(super) fn hull(self, other: Range) -> Range {
        Range { lower: self.lower.min(other.lower), upper: self.upper.max(other.upper) }
    }

    pub(super) fn neg(self) -> Range {
        Range { lower: -self.upper, upper: -self.lower }
    }

    pub(super) fn add(self, other: Range) -> Range {
        Range::new(self.lower + other.lower, self.upper + other.upper)
    }

    pub(super) fn sub(self, other: Range) -> Range {
        self.add(other.neg())
    }

    pub(in crate::expr) fn mul(self, other: Range) -> Range {
        let corners = [
            times(self.lower, other.lower),
            times(self.lower, other.upper),
            times(self.upper, other.lower),
            times(self.upper, other.upper),
        ];
        let lower = corners.iter().copied().fold(f64::INFINITY, f64::min);
        let upper = corners.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        Range::new(lower, upper)
    }

    pub(super) fn scale(self, factor: f64) -> Range {
        Range::between(times(factor, self.lower), times(factor, self.upper))
    }

    /// The quotient, wherever the divisor is not 0.
    pub(super) fn div(self, other: Range) -> Range {
        if other.lower > 0.0 || other.upper < 0.0 {
            let corners = [
                over(self.lower, other.lower),
                over(self.lower, other.upper),
                over(self.upper, other.lower),
                over(self.upper, other.upper),
            ];
            let lower = corners.iter().copied().fold(f64::INFINITY, f64::min);
            let upper = corners.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return Range::new(lower, upper);
        }
        if other.lower == 0.0 && other.upper > 0.0 {
            return self.mul(Range::new(1.0 / other.upper, f64::INFINITY));
        }
        if other.upper == 0.0 && other.lower < 0.0 {
            return self.mul(Range::new(f64::NEG_INFINITY, 1.0 / other.lower));
        }
        Range::ALL
    }

    pub(in crate::expr) fn abs(self) -> Range {
        if self.lower >= 0.0 {
            self
        } else if self.upper <= 0.0 {
            self.neg()
        } else {
            Range { lower: 0.0, upper: self.magnitude() }
        }
    }

    pub(super) fn square(self) -> Range {
        let size = self.abs();
        Range::new(size.lower * size.lower, size.upper * size.upper)
    }

    pub(super) fn max(self, other: Range) -> Range {
        Range { lower: self.lower.max(other.lower), upper: self.upper.max(other.upper) }
    }

    pub(super) fn min(self, other: Range) -> Range {
        Range { lower: self.lower.min(other.lower), upper: self.upper.min(other.upper) }
    }

    /// The part with `z >= least`; the single number `least` if there is none.
    pub(in crate::expr) fn at_least(self, least: f64) -> Range {
        Range { lower: self.lower.max(least), upper: self.upper.max(least) }
    }

    /// The image under a nondecreasing function.
    pub(in crate::expr) fn increasing(self, f: impl Fn(f64) -> f64) -> Range {
        Range::new(f(self.lower), f(self.upper))
    }

    /// z^p over the part of the interval where it is defined.
    pub(super) fn power(self, p: f64) -> Range {
        if p == 0.0 {
            return Range::point(1.0);
        }
        if p.fract() != 0.0 {
            let base = self.at_least(0.0);
            return Range::between(base.lower.powf(p), base.upper.powf(p));
        }
        let even = (p / 2.0).fract() == 0.0;
        if p > 0.0 {
            return if even { self.abs().increasing(|z| z.powf(p)) } else { self.increasing(|z| z.powf(p)) };
        }
        if even {
            let size = self.abs();
            return Range::new(size.upper.powf(p), size.lower.powf(p));
        }
        if self.contains_inside(0.0) || self == Range::ZERO {
            return Range::ALL;
        }
        // An end at 0 counts as the limit from inside the interval; `-0.0` would give the limit from the other side.
        let (from, to) = (self.upper.powf(p), (self.lower + 0.0).powf(p));
        if self.upper == 0.0 { Range::new(f64::NEG_INFINITY, to) } else { Range::new(from, to) }
    }

    /// The range of the sine.
    pub(super) fn sin(self) -> Range {
        use std::f64::consts::{FRAC_PI_2, PI, TAU};
        const LARGE: f64 = 1e6;
        if self.magnitude() > LARGE || self.upper - self.lower >= TAU {
            return Range { lower: -1.0, upper: 1.0 };
        }
        let (a, b) = (self.lower.sin(), self.upper.sin());
        let upper = if self.meets(FRAC_PI_2, TAU) { 1.0 } else { a.max(b) };
        let lower = if self.meets(FRAC_PI_2 + PI, TAU) { -1.0 } else { a.min(b) };
        Range { lower, upper }
    }

    /// The range of the cosine.
    pub(super) fn cos(self) -> Range {
        use std::f64::consts::{PI, TAU};
        const LARGE: f64 = 1e6;
        if self.magnitude() > LARGE || self.upper - self.lower >= TAU {
            return Range { lower: -1.0, upper: 1.0 };
        }
        let (a, b) = (self.lower.cos(), self.upper.cos());
        let upper = if self.meets(0.0, TAU) { 1.0 } else { a.max(b) };
        let lower = if self.meets(PI, TAU) { -1.0 } else { a.min(b) };
        Range { lower, upper }
    }

    /// Whether `offset + k * period` lies inside for an integer k; unbounded intervals always say yes.
    pub(super) fn meets(self, offset: f64, period: f64) -> bool {
        if !self.is_finite() {
            return true;
        }
        let k = ((self.lower - offset) / period).ceil();
        offset + k * period <= self.upper
    }
}

/// A product in which 0 times infinity is 0, as the ends of intervals need it.
fn times(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

/// A quotient in which infinity over infinity is 0: the other corners have the ends.
fn over(a: f64, b: f64) -> f64 {
    if b.is_infinite() { 0.0 } else { a / b }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interval() -> impl Strategy<Value = (Range, f64)> {
        let end = prop_oneof![-3.0..3.0f64, (-3i32..=3).prop_map(f64::from)];
        (end.clone(), end, 0.0..=1.0f64).prop_map(|(a, b, t)| {
            let range = Range::between(a, b);
            (range, (range.lower + t * (range.upper - range.lower)).clamp(range.lower, range.upper))
        })
    }

    fn near(range: Range, value: f64) -> bool {
        let slack = 1e-12 * (1.0 + value.abs());
        value.is_nan() || Range::new(range.lower - slack, range.upper + slack).contains(value)
    }

    proptest! {
        #[test]
        fn operations_enclose(
            (a, x) in interval(),
            (b, y) in interval(),
            p in prop_oneof![-3.0..3.0f64, (-4i32..=4).prop_map(f64::from)],
        ) {
            for (range, value) in [
                (a.add(b), x + y), (a.sub(b), x - y), (a.mul(b), x * y), (a.div(b), x / y), (a.abs(), x.abs()),
                (a.square(), x * x), (a.max(b), x.max(y)), (a.min(b), x.min(y)), (a.sin(), x.sin()),
                (a.cos(), x.cos()), (a.power(p), x.powf(p)), (a.hull(b), y), (a.scale(y), y * x),
            ] {
                prop_assert!(near(range, value), "{range:?} {value} from {a:?} {b:?} {p}");
            }
        }
    }

    #[test]
    fn ends() {
        let all = Range::ALL;
        assert_eq!(all.mul(Range::ZERO), Range::ZERO);
        assert_eq!(Range::new(0.0, 2.0).power(-1.0), Range::new(0.5, f64::INFINITY));
        assert_eq!(Range::new(-2.0, 0.0).power(-1.0), Range::new(f64::NEG_INFINITY, -0.5));
        assert_eq!(Range::new(-2.0, -0.0).power(-3.0).upper(), -0.125);
        assert_eq!(Range::new(-1.0, 2.0).power(2.0), Range::new(0.0, 4.0));
        assert_eq!(Range::new(1.0, f64::INFINITY).div(Range::new(2.0, f64::INFINITY)).lower(), 0.0);
        assert_eq!(Range::point(f64::NAN), all);
        assert_eq!(all.div(all), all);
        assert_eq!(Range::new(1.0, 2.0).div(Range::ZERO), all);
        assert!(Range::new(3.0, 3.3).sin().contains((3.2f64).sin()));
        assert_eq!(Range::new(0.0, 7.0).cos(), Range::new(-1.0, 1.0));
    }
}
