//! For the tests: numbers with 106 bits, as the unevaluated sum of two `f64`, and all functions in them.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Number, Unary};
use crate::proof::interval::Interval;

/// `0 + 1`, |1| at most half a unit of 0.
#[derive(Clone, Copy, Debug)]
pub struct Precise(pub f64, pub f64);

fn two_sum(a: f64, b: f64) -> Precise {
    let s = a + b;
    if !s.is_finite() {
        return Precise(s, 0.0);
    }
    let v = s - a;
    Precise(s, (a - (s - v)) + (b - v))
}

fn two_product(a: f64, b: f64) -> Precise {
    let p = a * b;
    if !p.is_finite() {
        return Precise(p, 0.0);
    }
    Precise(p, a.mul_add(b, -p))
}

const LN2: Precise = Precise(std::f64::consts::LN_2, 2.3190468138462996e-17);
const HALF_PI: Precise = Precise(std::f64::consts::FRAC_PI_2, 6.123233995736766e-17);

impl Precise {
    fn scaled(self, by: f64) -> Self {
        Precise(self.0 * by, self.1 * by)
    }

    fn is_negative(self) -> bool {
        self.0 < 0.0 || (self.0 == 0.0 && self.1 < 0.0)
    }

    fn exp(self) -> Self {
        if self.0.abs() > 700.0 {
            // Out of this arithmetic's range: the tests skip what is not a number.
            return Precise(f64::NAN, 0.0);
        }
        let k = (self.0 / LN2.0).round();
        let r = (self - LN2 * Precise(k, 0.0)).scaled(1.0 / 256.0);
        let mut sum = Precise(0.0, 0.0);
        for i in (1..=14).rev() {
            sum = (sum + Precise(1.0, 0.0)) * r / Precise(f64::from(i), 0.0);
        }
        // sum = e^r - 1; squared eight times without losing the small part: (1 + s)² - 1 = s (2 + s).
        for _ in 0..8 {
            sum = sum * (Precise(2.0, 0.0) + sum);
        }
        let half = 2f64.powi((k / 2.0) as i32);
        (sum + Precise(1.0, 0.0)).scaled(half).scaled(2f64.powi(k as i32 - (k / 2.0) as i32))
    }

    fn log(self) -> Self {
        let mut y = Precise(self.0.ln(), 0.0);
        for _ in 0..2 {
            y = y + self * (-y).exp() - Precise(1.0, 0.0);
        }
        y
    }

    fn sin_cos(self) -> (Self, Self) {
        if self.0.abs() > 1e6 {
            return (Precise(f64::NAN, 0.0), Precise(f64::NAN, 0.0));
        }
        let k = (self.0 / HALF_PI.0).round();
        let r = self - HALF_PI * Precise(k, 0.0);
        let square = r * r;
        let series = |from: i32| {
            let mut sum = Precise(1.0, 0.0);
            for i in (0..14).rev() {
                let n = f64::from(2 * i + from);
                sum = Precise(1.0, 0.0) - square * sum / Precise((n + 1.0) * (n + 2.0), 0.0);
            }
            sum
        };
        let (sin, cos) = (r * series(1), series(0));
        match k.rem_euclid(4.0) as i32 {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        }
    }

    fn abs(self) -> Self {
        if self.is_negative() { -self } else { self }
    }

    fn whole(self, n: u32) -> Self {
        (0..n).fold(Precise(1.0, 0.0), |product, _| product * self)
    }
}

impl Neg for Precise {
    type Output = Self;
    fn neg(self) -> Self {
        Precise(-self.0, -self.1)
    }
}

impl Add for Precise {
    type Output = Self;
    fn add(self, b: Self) -> Self {
        let (high, low) = (two_sum(self.0, b.0), two_sum(self.1, b.1));
        let first = two_sum(high.0, high.1 + low.0);
        two_sum(first.0, first.1 + low.1)
    }
}

impl Sub for Precise {
    type Output = Self;
    fn sub(self, b: Self) -> Self {
        self + -b
    }
}

impl Mul for Precise {
    type Output = Self;
    fn mul(self, b: Self) -> Self {
        let p = two_product(self.0, b.0);
        two_sum(p.0, p.1 + (self.0 * b.1 + self.1 * b.0))
    }
}

impl Div for Precise {
    type Output = Self;
    fn div(self, b: Self) -> Self {
        let first = self.0 / b.0;
        if !first.is_finite() {
            return Precise(first, 0.0);
        }
        let rest = self - b * Precise(first, 0.0);
        let second = rest.0 / b.0;
        let rest = rest - b * Precise(second, 0.0);
        two_sum(first, second) + Precise(rest.0 / b.0, 0.0)
    }
}

impl Number for Precise {
    fn constant(value: Interval) -> Self {
        Precise(value.mid(), 0.0)
    }
    fn is_zero(self) -> bool {
        self.0 == 0.0 && self.1 == 0.0
    }
    fn unary(self, function: Unary) -> Self {
        let one = Precise(1.0, 0.0);
        match function {
            Unary::Neg => -self,
            Unary::Square => self * self,
            Unary::Exp => self.exp(),
            Unary::Log => self.log(),
            Unary::Log1p => (one + self).log(),
            Unary::Expm1 => self.exp() - one,
            Unary::Sqrt => {
                let root = Precise(self.0.sqrt(), 0.0);
                if self.0 == 0.0 { root } else { (root + self / root).scaled(0.5) }
            }
            Unary::Sin => self.sin_cos().0,
            Unary::Cos => self.sin_cos().1,
            Unary::Tan => {
                let (sin, cos) = self.sin_cos();
                sin / cos
            }
            Unary::Tanh => {
                let e = (-self.abs().scaled(2.0)).exp();
                let size = (one - e) / (one + e);
                if self.is_negative() { -size } else { size }
            }
            Unary::Sigmoid => one / (one + (-self).exp()),
            Unary::Softplus => self.larger(Precise(0.0, 0.0)) + (one + (-self.abs()).exp()).log(),
            Unary::Abs => self.abs(),
            Unary::Plus => self.larger(Precise(0.0, 0.0)),
            Unary::PlusSquare => self.larger(Precise(0.0, 0.0)).whole(2),
            Unary::Whole(n) if n < 0 => one / self.whole(n.unsigned_abs()),
            Unary::Whole(n) => self.whole(n.unsigned_abs()),
            Unary::Power(p) => self.power(p),
            Unary::AbsPower(p) => self.abs().power(p),
            Unary::Huber(d) if self.abs().0 <= d => (self * self).scaled(0.5),
            Unary::Huber(d) => Precise(d, 0.0) * (self.abs() - Precise(0.5 * d, 0.0)),
        }
    }
    fn larger(self, other: Self) -> Self {
        if (self - other).is_negative() { other } else { self }
    }
    fn smaller(self, other: Self) -> Self {
        if (self - other).is_negative() { self } else { other }
    }
    fn step(self) -> Self {
        Precise(if self.is_zero() { f64::NAN } else { f64::from(!self.is_negative()) }, 0.0)
    }
    fn kink(self) -> Self {
        Precise(0.0, 0.0)
    }
    fn unknown() -> Self {
        Precise(0.0, 0.0)
    }
    fn or_unknown(self) -> Self {
        self
    }
    fn division_defined(self) -> bool {
        true
    }
    fn in_domain(self, _function: Unary) -> bool {
        true
    }
    fn exists(self) -> bool {
        !self.0.is_nan()
    }
    fn common(self, _other: Self) -> Self {
        self
    }
    fn clip(self, d: f64) -> Self {
        self.larger(Precise(-d, 0.0)).smaller(Precise(d, 0.0))
    }
    fn power(self, p: Interval) -> Self {
        if self.0 == 0.0 {
            return Precise(0f64.powf(p.mid()), 0.0);
        }
        (self.log() * Precise(p.mid(), 0.0)).exp()
    }
}
