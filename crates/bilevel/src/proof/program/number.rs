//! The arithmetic that a program runs in: intervals for proofs, `f64` for the search that proposes candidates.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Unary;
use crate::proof::interval::Interval;

/// Values that a program can be evaluated in. Derivatives at kinks: an interval encloses all slopes on its inside, a
/// `f64` takes one.
pub trait Number:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self> + Neg<Output = Self>
{
    /// A constant of the program.
    fn constant(value: Interval) -> Self;
    /// Whether this is exactly 0.
    fn is_zero(self) -> bool;
    /// A function of one argument.
    fn unary(self, function: Unary) -> Self;
    /// The larger.
    fn larger(self, other: Self) -> Self;
    /// The smaller.
    fn smaller(self, other: Self) -> Self;
    /// Derivative of `max(z, 0)`: 0, 1, or both where 0 is inside.
    fn step(self) -> Self;
    /// Second derivative of a function with a kink at 0: nothing is known where 0 is inside.
    fn kink(self) -> Self;
    /// An unknown number.
    fn unknown() -> Self;
    /// A derivative that does not exist is unknown.
    fn or_unknown(self) -> Self;
    /// Whether division by this is defined.
    fn division_defined(self) -> bool;
    /// Whether `function` is defined at all of this.
    fn in_domain(self, function: Unary) -> bool;
    /// Whether there is a value at all.
    fn exists(self) -> bool;
    /// Common values.
    fn common(self, other: Self) -> Self;
    /// The nearest point of [-d, d].
    fn clip(self, d: f64) -> Self;
    /// `z^p`, z >= 0.
    fn power(self, p: Interval) -> Self;

    /// A known number.
    fn of(value: f64) -> Self {
        Self::constant(Interval::point(value))
    }

    /// The first derivative of `function` at `z`, where its value is `value`.
    fn slope(function: Unary, z: Self, value: Self) -> Self {
        let one = Self::of(1.0);
        match function {
            Unary::Neg => -one,
            Unary::Square => Self::of(2.0) * z,
            Unary::Exp => value,
            Unary::Log => one / z,
            Unary::Log1p => one / (one + z),
            Unary::Expm1 => z.unary(Unary::Exp),
            Unary::Sqrt => Self::of(0.5) / value,
            Unary::Sin => z.unary(Unary::Cos),
            Unary::Cos => -z.unary(Unary::Sin),
            Unary::Tan => one + value.unary(Unary::Square),
            Unary::Tanh => one - value.unary(Unary::Square),
            Unary::Sigmoid => value * (one - value),
            Unary::Softplus => z.unary(Unary::Sigmoid),
            Unary::Abs => Self::of(2.0) * z.step() - one,
            Unary::Plus => z.step(),
            Unary::PlusSquare => Self::of(2.0) * z.unary(Unary::Plus),
            Unary::Whole(0) => Self::of(0.0),
            Unary::Whole(n) => Self::of(f64::from(n)) * z.unary(Unary::Whole(n - 1)),
            Unary::Power(p) => Self::constant(p) * z.power(p - Interval::ONE),
            Unary::AbsPower(p) => {
                let sign = Self::of(2.0) * z.step() - one;
                Self::constant(p) * z.unary(Unary::Abs).power(p - Interval::ONE) * sign
            }
            Unary::Huber(d) => z.clip(d),
        }
    }

    /// The second derivative of `function` at `z`, where its value is `value`.
    fn curve(function: Unary, z: Self, value: Self) -> Self {
        let (one, two) = (Self::of(1.0), Self::of(2.0));
        match function {
            Unary::Neg => Self::of(0.0),
            Unary::Square => two,
            Unary::Exp => value,
            Unary::Log => -(one / z.unary(Unary::Square)),
            Unary::Log1p => -(one / (one + z).unary(Unary::Square)),
            Unary::Expm1 => z.unary(Unary::Exp),
            Unary::Sqrt => -(Self::of(0.25) / (value * value.unary(Unary::Square))),
            Unary::Sin | Unary::Cos => -value,
            Unary::Tan => two * value * (one + value.unary(Unary::Square)),
            Unary::Tanh => -(two * value * (one - value.unary(Unary::Square))),
            Unary::Sigmoid => value * (one - value) * (one - two * value),
            Unary::Softplus => {
                let s = z.unary(Unary::Sigmoid);
                s * (one - s)
            }
            Unary::Abs | Unary::Plus => z.kink(),
            Unary::PlusSquare => two * z.step(),
            Unary::Whole(0 | 1) => Self::of(0.0),
            Unary::Whole(n) => Self::of(f64::from(n)) * Self::of(f64::from(n - 1)) * z.unary(Unary::Whole(n - 2)),
            Unary::Power(p) => {
                let second = p - Interval::ONE;
                Self::constant(p * second) * z.power(second - Interval::ONE)
            }
            Unary::AbsPower(p) => {
                let second = p - Interval::ONE;
                let smooth = Self::constant(p * second) * z.unary(Unary::Abs).power(second - Interval::ONE);
                if p.lo() > 1.0 { smooth } else { smooth + z.kink() }
            }
            Unary::Huber(d) => (z + Self::of(d)).step() * (Self::of(d) - z).step(),
        }
    }
}

impl Number for f64 {
    fn constant(value: Interval) -> Self {
        value.mid()
    }
    fn is_zero(self) -> bool {
        self == 0.0
    }
    fn unary(self, function: Unary) -> Self {
        match function {
            Unary::Neg => -self,
            Unary::Square => self * self,
            Unary::Exp => libm::exp(self),
            Unary::Log => libm::log(self),
            Unary::Log1p => libm::log1p(self),
            Unary::Expm1 => libm::expm1(self),
            Unary::Sqrt => self.sqrt(),
            Unary::Sin => libm::sin(self),
            Unary::Cos => libm::cos(self),
            Unary::Tan => libm::tan(self),
            Unary::Tanh => libm::tanh(self),
            Unary::Sigmoid => 1.0 / (1.0 + libm::exp(-self)),
            Unary::Softplus => self.max(0.0) + libm::log1p(libm::exp(-self.abs())),
            Unary::Abs => self.abs(),
            Unary::Plus => self.max(0.0),
            Unary::PlusSquare => self.max(0.0) * self.max(0.0),
            Unary::Whole(n) => self.powi(n),
            Unary::Power(p) => self.power(p),
            Unary::AbsPower(p) => self.abs().power(p),
            Unary::Huber(d) if self.abs() <= d => 0.5 * self * self,
            Unary::Huber(d) => d * (self.abs() - 0.5 * d),
        }
    }
    fn larger(self, other: Self) -> Self {
        self.max(other)
    }
    fn smaller(self, other: Self) -> Self {
        self.min(other)
    }
    fn step(self) -> Self {
        if self == 0.0 { 0.5 } else { f64::from(self > 0.0) }
    }
    fn kink(self) -> Self {
        0.0
    }
    fn unknown() -> Self {
        0.0
    }
    fn or_unknown(self) -> Self {
        if self.is_nan() { 0.0 } else { self }
    }
    fn division_defined(self) -> bool {
        self != 0.0
    }
    fn in_domain(self, _function: Unary) -> bool {
        true
    }
    fn exists(self) -> bool {
        !self.is_nan()
    }
    fn common(self, _other: Self) -> Self {
        self
    }
    fn clip(self, d: f64) -> Self {
        self.clamp(-d.abs(), d.abs())
    }
    fn power(self, p: Interval) -> Self {
        libm::pow(self, p.mid())
    }
}

impl Number for Interval {
    fn constant(value: Interval) -> Self {
        value
    }
    fn is_zero(self) -> bool {
        self.lo() == 0.0 && self.hi() == 0.0
    }
    fn unary(self, function: Unary) -> Self {
        match function {
            Unary::Neg => -self,
            Unary::Square => self.square(),
            Unary::Exp => self.exp(),
            Unary::Log => self.log(),
            Unary::Log1p => self.log1p(),
            Unary::Expm1 => self.expm1(),
            Unary::Sqrt => self.sqrt(),
            Unary::Sin => self.sin(),
            Unary::Cos => self.cos(),
            Unary::Tan => self.tan(),
            Unary::Tanh => self.tanh(),
            Unary::Sigmoid => self.sigmoid(),
            Unary::Softplus => self.softplus(),
            Unary::Abs => self.abs(),
            Unary::Plus => self.max(Interval::ZERO),
            Unary::PlusSquare => self.max(Interval::ZERO).square(),
            Unary::Whole(n) => self.powi(n),
            Unary::Power(p) => self.pow(p),
            Unary::AbsPower(p) => self.abs().pow(p),
            Unary::Huber(d) => self.huber(d),
        }
    }
    fn larger(self, other: Self) -> Self {
        self.max(other)
    }
    fn smaller(self, other: Self) -> Self {
        self.min(other)
    }
    fn step(self) -> Self {
        if self.lo() >= 0.0 && self.hi() > 0.0 {
            Interval::ONE
        } else if self.hi() <= 0.0 && self.lo() < 0.0 {
            Interval::ZERO
        } else {
            Interval::new(0.0, 1.0)
        }
    }
    fn kink(self) -> Self {
        let beside = (self.lo() >= 0.0 && self.hi() > 0.0) || (self.hi() <= 0.0 && self.lo() < 0.0);
        if beside { Interval::ZERO } else { Interval::ENTIRE }
    }
    fn unknown() -> Self {
        Interval::ENTIRE
    }
    fn or_unknown(self) -> Self {
        if self.is_empty() { Interval::ENTIRE } else { self }
    }
    fn division_defined(self) -> bool {
        !self.contains(0.0)
    }
    fn in_domain(self, function: Unary) -> bool {
        function.defined_on(self)
    }
    fn exists(self) -> bool {
        !self.is_empty()
    }
    fn common(self, other: Self) -> Self {
        self.intersect(other)
    }
    fn clip(self, d: f64) -> Self {
        self.max(Interval::point(-d)).min(Interval::point(d))
    }
    fn power(self, p: Interval) -> Self {
        self.pow(p)
    }
}
