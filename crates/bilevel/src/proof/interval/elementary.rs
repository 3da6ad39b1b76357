//! Elementary functions of intervals.
//!
//! Assumption, stated with every proof: the functions of the `libm` crate are within [`LIBM_ULPS`] units in the
//! last place of the true value. Everything else is monotonicity, range and periodicity: a monotone function takes
//! its extremes at the ends; sine and cosine, besides, at the multiples of π/2, which are found with an interval
//! that contains π.

use super::{Interval, mul_down, mul_up, power};

/// The assumed accuracy of the mathematical library, in units in the last place.
pub const LIBM_ULPS: f64 = 4.0;

/// Beyond this magnitude the position within a period is not looked for.
const LARGE_ANGLE: f64 = 1e12;

/// π lies between this and its successor.
const PI_DOWN: f64 = std::f64::consts::PI;

/// A lower bound of a true value whose computed value is `v`.
fn below(v: f64) -> f64 {
    if v.is_nan() {
        return f64::NEG_INFINITY;
    }
    if v == f64::INFINITY {
        return f64::MAX;
    }
    // A quarter more than the assumed error pays for the rounding of this line.
    v - (v.abs() * (1.25 * LIBM_ULPS * f64::EPSILON) + 5.0 * f64::from_bits(1))
}

/// An upper bound of a true value whose computed value is `v`.
fn above(v: f64) -> f64 {
    -below(-v)
}

/// The interval that contains π.
fn pi() -> Interval {
    Interval { lo: PI_DOWN, hi: PI_DOWN.next_up() }
}

/// An increasing function that is exact at `exact.0`, where its value is `exact.1`.
fn increasing(z: Interval, function: fn(f64) -> f64, exact: (f64, f64)) -> Interval {
    let lo = if z.lo == exact.0 { exact.1 } else { below(function(z.lo)) };
    let hi = if z.hi == exact.0 { exact.1 } else { above(function(z.hi)) };
    Interval::new(lo, hi)
}

impl Interval {
    /// e^z.
    pub fn exp(self) -> Self {
        if self.is_empty() {
            return self;
        }
        let hull = increasing(self, libm::exp, (0.0, 1.0));
        Interval::new(hull.lo.max(0.0), if self.hi == f64::INFINITY { f64::INFINITY } else { hull.hi })
    }

    /// e^z - 1.
    pub fn expm1(self) -> Self {
        if self.is_empty() {
            return self;
        }
        let hull = increasing(self, libm::expm1, (0.0, 0.0));
        Interval::new(hull.lo.max(-1.0), hull.hi)
    }

    /// Natural logarithms of the positive members; -inf bounds those of an interval that starts at 0 or below.
    pub fn log(self) -> Self {
        if self.hi <= 0.0 || self.is_empty() {
            return Self::EMPTY;
        }
        let hull = increasing(Interval { lo: self.lo.max(0.0), hi: self.hi }, libm::log, (1.0, 0.0));
        Interval { lo: if self.lo <= 0.0 { f64::NEG_INFINITY } else { hull.lo }, hi: hull.hi }
    }

    /// ln(1 + z) for the members above -1.
    pub fn log1p(self) -> Self {
        if self.hi <= -1.0 || self.is_empty() {
            return Self::EMPTY;
        }
        let hull = increasing(Interval { lo: self.lo.max(-1.0), hi: self.hi }, libm::log1p, (0.0, 0.0));
        Interval { lo: if self.lo <= -1.0 { f64::NEG_INFINITY } else { hull.lo }, hi: hull.hi }
    }

    /// Hyperbolic tangents.
    pub fn tanh(self) -> Self {
        if self.is_empty() {
            return self;
        }
        increasing(self, libm::tanh, (0.0, 0.0)).intersect(Interval { lo: -1.0, hi: 1.0 })
    }

    /// 1 / (1 + e^-z).
    pub fn sigmoid(self) -> Self {
        if self.is_empty() {
            return self;
        }
        let at = |z: f64| Interval::ONE / (Interval::ONE + Interval { lo: -z, hi: -z }.exp());
        let lo = if self.lo == f64::NEG_INFINITY { 0.0 } else { at(self.lo).lo.max(0.0) };
        let hi = if self.hi == f64::INFINITY { 1.0 } else { at(self.hi).hi.min(1.0) };
        Interval::new(lo, hi)
    }

    /// ln(1 + e^z), taken as max(z, 0) + ln(1 + e^-|z|).
    pub fn softplus(self) -> Self {
        if self.is_empty() {
            return self;
        }
        let at = |z: f64| Interval::point(z.max(0.0)) + Interval::point(-z.abs()).exp().log1p();
        let lo = if self.lo == f64::NEG_INFINITY { 0.0 } else { at(self.lo).lo.max(0.0) };
        let hi = if self.hi == f64::INFINITY { f64::INFINITY } else { at(self.hi).hi };
        Interval::new(lo, hi)
    }

    /// Sines.
    pub fn sin(self) -> Self {
        self.wave(libm::sin, Interval { lo: 0.5, hi: 0.5 }, Interval { lo: -0.5, hi: -0.5 })
    }

    /// Cosines.
    pub fn cos(self) -> Self {
        self.wave(libm::cos, Interval::ZERO, Interval::ONE)
    }

    /// A function of period 2π and range [-1, 1], with its maxima at `top` π and its minima at `bottom` π, modulo 2π.
    fn wave(self, function: fn(f64) -> f64, top: Interval, bottom: Interval) -> Self {
        if self.is_empty() {
            return self;
        }
        if self.mag() > LARGE_ANGLE || self.width() > 6.5 {
            return Interval { lo: -1.0, hi: 1.0 };
        }
        let (left, right) = (function(self.lo), function(self.hi));
        let lo = if self.meets(bottom, 2.0) { -1.0 } else { below(left.min(right)).max(-1.0) };
        let hi = if self.meets(top, 2.0) { 1.0 } else { above(left.max(right)).min(1.0) };
        // An exact zero of the sine at 0 stays exact.
        if self.is_point() && self.lo == 0.0 {
            return Interval::point(function(0.0));
        }
        Interval::new(lo, hi)
    }

    /// Whether a point `(offset + period k) π`, k an integer, may lie in the interval.
    fn meets(self, offset: Interval, period: f64) -> bool {
        let turns = (self / pi() - offset) / Interval { lo: period, hi: period };
        turns.lo.ceil() <= turns.hi.floor()
    }

    /// Tangents; everything if the interval may contain a pole.
    pub fn tan(self) -> Self {
        if self.is_empty() {
            return self;
        }
        if self.has_tangent_pole() {
            return Self::ENTIRE;
        }
        increasing(self, libm::tan, (0.0, 0.0))
    }

    /// Whether the interval may contain a pole of the tangent.
    pub fn has_tangent_pole(self) -> bool {
        !self.is_empty()
            && (self.mag() > LARGE_ANGLE || self.width() > 3.2 || self.meets(Interval { lo: 0.5, hi: 0.5 }, 1.0))
    }

    /// z^p for the members z >= 0 (z > 0 where p may be negative) and all p in `exponent`.
    pub fn pow(self, exponent: Interval) -> Self {
        let base = self.intersect(Interval { lo: 0.0, hi: f64::INFINITY });
        if base.is_empty() || exponent.is_empty() || (base.hi == 0.0 && exponent.hi < 0.0) {
            return Self::EMPTY;
        }
        let (mut lo, mut hi) = (f64::INFINITY, 0.0_f64);
        for z in [base.lo, base.hi] {
            for p in [exponent.lo, exponent.hi] {
                let (down, up) = power_bounds(z, p);
                lo = lo.min(down);
                hi = hi.max(up);
            }
        }
        Interval::new(lo, hi)
    }
}

/// Bounds of `z^p`, z >= 0 (limits at the infinite ends).
fn power_bounds(z: f64, p: f64) -> (f64, f64) {
    if z == 1.0 || p == 0.0 {
        // The limits of 0^0 and inf^0 depend on the way.
        return if z == 0.0 || z == f64::INFINITY { (0.0, f64::INFINITY) } else { (1.0, 1.0) };
    }
    if z == 0.0 {
        return if p > 0.0 { (0.0, 0.0) } else { (f64::MAX, f64::INFINITY) };
    }
    if z == f64::INFINITY || p.is_infinite() {
        let grows = (z > 1.0) == (p > 0.0);
        return if grows { (f64::MAX, f64::INFINITY) } else { (0.0, 0.0) };
    }
    if p.fract() == 0.0 && (1.0..=64.0).contains(&p) {
        return (power(z, p as u32, mul_down), power(z, p as u32, mul_up));
    }
    let value = libm::pow(z, p);
    (below(value).max(0.0), above(value))
}

impl Interval {
    /// Huber's function: z²/2 for |z| <= d, d (|z| - d/2) beyond.
    pub fn huber(self, d: f64) -> Self {
        if self.is_empty() {
            return self;
        }
        let (limit, half) = (Interval::point(d), Interval::point(0.5));
        let at = |z: f64| {
            let z = Interval::point(z);
            if z.lo <= d { half * z.square() } else { limit * (z - half * limit) }
        };
        let size = self.abs();
        Interval::new(at(size.lo).lo, if size.hi == f64::INFINITY { f64::INFINITY } else { at(size.hi).hi })
    }
}
