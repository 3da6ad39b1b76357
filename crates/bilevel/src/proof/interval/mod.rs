//! Interval arithmetic with outward rounding.
//!
//! An [`Interval`] stands for the real numbers between its ends. Every operation returns an interval that contains
//! all results of the exact operation on members of its operands. The ends of `+ - * /` and the square root are
//! found in ordinary rounding and moved one unit outward only where an error-free transformation (two-sum, product
//! and residual by fused multiply-add) shows that the rounding went inward, so that small integers stay exact
//! [Knuth 1969; Ogita, Rump & Oishi 2005]. Elementary functions (`elementary.rs`) trust the mathematical library
//! within [`LIBM_ULPS`] units in the last place.
//!
//! Infinite ends mean "unbounded"; infinity itself is never a member. An interval without members is
//! [`Interval::EMPTY`]. NaN never occurs as an end.

mod elementary;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::ops::{Add, Div, Mul, Neg, Sub};

pub use elementary::LIBM_ULPS;

/// A closed interval of real numbers, possibly unbounded or empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    lo: f64,
    hi: f64,
}

/// Below this magnitude the error of a product is not always a `f64`, so that rounding is taken for inexact.
const TINY: f64 = 1e-280;

/// The largest `f64` that is certainly not above the exact `a + b`.
pub fn add_down(a: f64, b: f64) -> f64 {
    let sum = a + b;
    if !sum.is_finite() {
        return if sum == f64::INFINITY && a.is_finite() && b.is_finite() { f64::MAX } else { sum };
    }
    let virtual_b = sum - a;
    let error = (a - (sum - virtual_b)) + (b - virtual_b);
    if error >= 0.0 { sum } else { sum.next_down() }
}

/// The smallest `f64` that is certainly not below the exact `a + b`.
pub fn add_up(a: f64, b: f64) -> f64 {
    -add_down(-a, -b)
}

/// The largest `f64` that is certainly not above the exact `a * b`, where `0 * inf = 0`.
pub fn mul_down(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 {
        return 0.0;
    }
    let product = a * b;
    if !product.is_finite() {
        return if product == f64::INFINITY && a.is_finite() && b.is_finite() { f64::MAX } else { product };
    }
    if product.abs() < TINY {
        return if (a > 0.0) == (b > 0.0) { product.next_down().max(0.0) } else { product.next_down() };
    }
    if a.mul_add(b, -product) >= 0.0 { product } else { product.next_down() }
}

/// The smallest `f64` that is certainly not below the exact `a * b`, where `0 * inf = 0`.
pub fn mul_up(a: f64, b: f64) -> f64 {
    -mul_down(-a, b)
}

/// The largest `f64` that is certainly not above the exact `a / b` for `b != 0`; `inf / inf` counts as 0.
pub fn div_down(a: f64, b: f64) -> f64 {
    if a == 0.0 || b.is_infinite() {
        return if a.is_infinite() || (a > 0.0) == (b > 0.0) || a == 0.0 { 0.0 } else { -f64::from_bits(1) };
    }
    let quotient = a / b;
    if !quotient.is_finite() {
        return if quotient == f64::INFINITY && a.is_finite() { f64::MAX } else { quotient };
    }
    if quotient.abs() < TINY || a.abs() < TINY || b.abs() < TINY {
        return if (a > 0.0) == (b > 0.0) { quotient.next_down().max(0.0) } else { quotient.next_down() };
    }
    // The residual quotient * b - a has the sign of quotient - a / b, times the sign of b.
    let residual = quotient.mul_add(b, -a);
    if residual == 0.0 || (residual < 0.0) == (b > 0.0) { quotient } else { quotient.next_down() }
}

/// The smallest `f64` that is certainly not below the exact `a / b` for `b != 0`; `inf / inf` counts as 0.
pub fn div_up(a: f64, b: f64) -> f64 {
    -div_down(-a, b)
}

/// The largest `f64` that is certainly not above the root of `a >= 0`.
pub fn sqrt_down(a: f64) -> f64 {
    let root = a.sqrt();
    if a == 0.0 || a.is_infinite() {
        return root;
    }
    if a < TINY || root.mul_add(root, -a) > 0.0 { root.next_down() } else { root }
}

/// The smallest `f64` that is certainly not below the root of `a >= 0`.
pub fn sqrt_up(a: f64) -> f64 {
    let root = a.sqrt();
    if a == 0.0 || a.is_infinite() {
        return root;
    }
    if a < TINY || root.mul_add(root, -a) < 0.0 { root.next_up() } else { root }
}

impl Interval {
    /// No member.
    pub const EMPTY: Interval = Interval { lo: f64::INFINITY, hi: f64::NEG_INFINITY };
    /// All real numbers.
    pub const ENTIRE: Interval = Interval { lo: f64::NEG_INFINITY, hi: f64::INFINITY };
    /// Zero alone.
    pub const ZERO: Interval = Interval { lo: 0.0, hi: 0.0 };
    /// One alone.
    pub const ONE: Interval = Interval { lo: 1.0, hi: 1.0 };

    /// The interval from `lo` to `hi`: empty if `lo > hi`, everything if an end is NaN.
    pub fn new(lo: f64, hi: f64) -> Self {
        if lo <= hi {
            // Infinity is not a number: an interval that starts there keeps the largest finite one.
            Interval { lo: lo.min(f64::MAX), hi: hi.max(-f64::MAX) }
        } else if lo > hi {
            Self::EMPTY
        } else {
            Self::ENTIRE
        }
    }

    /// One number; everything if it is NaN, the unbounded rest if it is infinite.
    pub fn point(value: f64) -> Self {
        Self::new(value, value)
    }

    /// The number that a decimal stands for whose nearest `f64` is `value`: one unit to either side.
    pub fn rounded(value: f64) -> Self {
        Self::new(value.next_down(), value.next_up())
    }

    /// Numbers at most `hi`.
    pub fn at_most(hi: f64) -> Self {
        Self::new(f64::NEG_INFINITY, hi)
    }

    /// Numbers at least `lo`.
    pub fn at_least(lo: f64) -> Self {
        Self::new(lo, f64::INFINITY)
    }

    /// The lower end (+inf if empty).
    pub fn lo(self) -> f64 {
        self.lo
    }

    /// The upper end (-inf if empty).
    pub fn hi(self) -> f64 {
        self.hi
    }

    /// Whether there is no member.
    pub fn is_empty(self) -> bool {
        self.lo > self.hi
    }

    /// Whether there is exactly one member.
    pub fn is_point(self) -> bool {
        self.lo == self.hi
    }

    /// Whether both ends are finite and there is a member.
    pub fn is_bounded(self) -> bool {
        self.lo > f64::NEG_INFINITY && self.hi < f64::INFINITY && self.lo <= self.hi
    }

    /// Whether `value` is a member.
    pub fn contains(self, value: f64) -> bool {
        self.lo <= value && value <= self.hi
    }

    /// Whether every member of `other` is a member.
    pub fn encloses(self, other: Interval) -> bool {
        other.is_empty() || (self.lo <= other.lo && other.hi <= self.hi)
    }

    /// Whether every member of `other` is an interior member of `self`.
    pub fn encloses_inside(self, other: Interval) -> bool {
        let lower = self.lo < other.lo || self.lo == f64::NEG_INFINITY;
        other.is_empty() || (lower && (other.hi < self.hi || self.hi == f64::INFINITY))
    }

    /// An upper bound of the distance between the ends (0 if empty).
    pub fn width(self) -> f64 {
        if self.is_empty() { 0.0 } else { add_up(self.hi, -self.lo) }
    }

    /// A finite member near the middle (0 if empty).
    pub fn mid(self) -> f64 {
        match (self.lo == f64::NEG_INFINITY, self.hi == f64::INFINITY) {
            _ if self.is_empty() => 0.0,
            (true, true) => 0.0,
            (true, false) => self.hi.min(0.0) - self.hi.abs().max(1.0),
            (false, true) => self.lo.max(0.0) + self.lo.abs().max(1.0),
            (false, false) => (0.5 * self.lo + 0.5 * self.hi).clamp(self.lo, self.hi),
        }
        .clamp(-f64::MAX, f64::MAX)
    }

    /// The largest absolute value of a member (0 if empty).
    pub fn mag(self) -> f64 {
        if self.is_empty() { 0.0 } else { self.lo.abs().max(self.hi.abs()) }
    }

    /// The smallest absolute value of a member (0 if empty).
    pub fn mig(self) -> f64 {
        if self.is_empty() || self.contains(0.0) { 0.0 } else { self.lo.abs().min(self.hi.abs()) }
    }

    /// Common members.
    pub fn intersect(self, other: Interval) -> Self {
        let (lo, hi) = (self.lo.max(other.lo), self.hi.min(other.hi));
        if lo <= hi { Interval { lo, hi } } else { Self::EMPTY }
    }

    /// The smallest interval that contains both.
    pub fn hull(self, other: Interval) -> Self {
        Interval { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi) }
    }

    /// The member of `self` nearest to `value` (`value` itself if empty).
    pub fn clamp(self, value: f64) -> f64 {
        if self.is_empty() { value } else { value.max(self.lo).min(self.hi) }
    }

    /// Squares of members.
    pub fn square(self) -> Self {
        if self.is_empty() {
            return self;
        }
        let (small, large) = (self.mig(), self.mag());
        Interval { lo: mul_down(small, small), hi: mul_up(large, large) }
    }

    /// Square roots of the members that have one.
    pub fn sqrt(self) -> Self {
        if self.hi < 0.0 || self.is_empty() {
            return Self::EMPTY;
        }
        Interval { lo: if self.lo > 0.0 { sqrt_down(self.lo) } else { 0.0 }, hi: sqrt_up(self.hi) }
    }

    /// Absolute values of members.
    pub fn abs(self) -> Self {
        if self.is_empty() { self } else { Interval { lo: self.mig(), hi: self.mag() } }
    }

    /// Larger of two members.
    pub fn max(self, other: Interval) -> Self {
        if self.is_empty() || other.is_empty() {
            return Self::EMPTY;
        }
        Interval { lo: self.lo.max(other.lo), hi: self.hi.max(other.hi) }
    }

    /// Smaller of two members.
    pub fn min(self, other: Interval) -> Self {
        if self.is_empty() || other.is_empty() {
            return Self::EMPTY;
        }
        Interval { lo: self.lo.min(other.lo), hi: self.hi.min(other.hi) }
    }

    /// Members to the integer power `n`; for `n < 0` those of nonzero members.
    pub fn powi(self, n: i32) -> Self {
        if self.is_empty() {
            return self;
        }
        if n < 0 {
            let positive = self.powi_unsigned(n.unsigned_abs());
            return Interval::ONE / positive;
        }
        self.powi_unsigned(n.unsigned_abs())
    }

    fn powi_unsigned(self, n: u32) -> Self {
        if n == 0 {
            return Self::ONE;
        }
        if n.is_multiple_of(2) {
            Interval { lo: power(self.mig(), n, mul_down), hi: power(self.mag(), n, mul_up) }
        } else {
            let end = |v: f64, toward: fn(f64, f64) -> f64, away: fn(f64, f64) -> f64| {
                if v >= 0.0 { power(v, n, toward) } else { -power(-v, n, away) }
            };
            Interval { lo: end(self.lo, mul_down, mul_up), hi: end(self.hi, mul_up, mul_down) }
        }
    }

    /// All `q` in `within` for which some member `b` of `divisor` has `q b` in `self` (the relation behind a
    /// product, so that `0 / 0` is everything). The hull, after the gap around 0 has been cut out.
    pub fn divide_within(self, divisor: Interval, within: Interval) -> Self {
        if self.is_empty() || divisor.is_empty() || (self.contains(0.0) && divisor.contains(0.0)) {
            return if self.is_empty() || divisor.is_empty() { Self::EMPTY } else { within };
        }
        if divisor.lo < 0.0 && divisor.hi > 0.0 {
            let left = (self / Interval { lo: divisor.lo, hi: 0.0 }).intersect(within);
            let right = (self / Interval { lo: 0.0, hi: divisor.hi }).intersect(within);
            return left.hull(right);
        }
        (self / divisor).intersect(within)
    }
}

/// `v^n` for `v >= 0` by repeated squaring with the given rounding.
fn power(v: f64, n: u32, multiply: fn(f64, f64) -> f64) -> f64 {
    let (mut result, mut base, mut left) = (1.0, v, n);
    loop {
        if left & 1 == 1 {
            result = multiply(result, base);
        }
        left >>= 1;
        if left == 0 {
            return result;
        }
        base = multiply(base, base);
    }
}

impl Neg for Interval {
    type Output = Interval;
    fn neg(self) -> Interval {
        Interval { lo: -self.hi, hi: -self.lo }
    }
}

impl Add for Interval {
    type Output = Interval;
    fn add(self, other: Interval) -> Interval {
        if self.is_empty() || other.is_empty() {
            return Interval::EMPTY;
        }
        Interval { lo: add_down(self.lo, other.lo), hi: add_up(self.hi, other.hi) }
    }
}

impl Sub for Interval {
    type Output = Interval;
    fn sub(self, other: Interval) -> Interval {
        self + -other
    }
}

impl Mul for Interval {
    type Output = Interval;
    fn mul(self, b: Interval) -> Interval {
        let a = self;
        if a.is_empty() || b.is_empty() {
            return Interval::EMPTY;
        }
        let (lo, hi) = if a.lo >= 0.0 {
            let low = if b.lo >= 0.0 { a.lo } else { a.hi };
            let high = if b.hi >= 0.0 { a.hi } else { a.lo };
            (mul_down(low, b.lo), mul_up(high, b.hi))
        } else if a.hi <= 0.0 {
            let low = if b.hi >= 0.0 { a.lo } else { a.hi };
            let high = if b.lo >= 0.0 { a.hi } else { a.lo };
            (mul_down(low, b.hi), mul_up(high, b.lo))
        } else if b.lo >= 0.0 {
            (mul_down(a.lo, b.hi), mul_up(a.hi, b.hi))
        } else if b.hi <= 0.0 {
            (mul_down(a.hi, b.lo), mul_up(a.lo, b.lo))
        } else {
            (mul_down(a.lo, b.hi).min(mul_down(a.hi, b.lo)), mul_up(a.lo, b.lo).max(mul_up(a.hi, b.hi)))
        };
        Interval::new(lo, hi)
    }
}

impl Div for Interval {
    type Output = Interval;
    /// Quotients by the nonzero members of `b`.
    fn div(self, b: Interval) -> Interval {
        let a = self;
        if a.is_empty() || b.is_empty() || (b.lo == 0.0 && b.hi == 0.0) {
            return Interval::EMPTY;
        }
        if a.lo == 0.0 && a.hi == 0.0 {
            return Interval::ZERO;
        }
        if b.lo < 0.0 && b.hi > 0.0 {
            return Interval::ENTIRE;
        }
        if b.hi <= 0.0 {
            return (-a) / (-b);
        }
        // b is positive, except perhaps for an end 0.
        let lo = if a.lo >= 0.0 {
            div_down(a.lo, b.hi)
        } else if b.lo == 0.0 {
            f64::NEG_INFINITY
        } else {
            div_down(a.lo, b.lo)
        };
        let hi = if a.hi <= 0.0 {
            div_up(a.hi, b.hi)
        } else if b.lo == 0.0 {
            f64::INFINITY
        } else {
            div_up(a.hi, b.lo)
        };
        Interval::new(lo, hi)
    }
}
