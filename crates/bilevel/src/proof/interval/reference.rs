//! Exact comparisons for the tests: numbers as integers times powers of two, with as many digits as it takes.

/// `sign * digits * 2^exponent`, digits in base 2^32, least first.
#[derive(Clone)]
struct Exact {
    negative: bool,
    digits: Vec<u32>,
    exponent: i32,
}

impl Exact {
    fn new(v: f64) -> Self {
        let bits = v.to_bits();
        let raw = ((bits >> 52) & 0x7ff) as i32;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, exponent) = if raw == 0 { (fraction, -1074) } else { (fraction | 1 << 52, raw - 1075) };
        Self { negative: v < 0.0, digits: vec![mantissa as u32, (mantissa >> 32) as u32], exponent }
    }

    fn times(&self, other: &Self) -> Self {
        let mut digits = vec![0u32; self.digits.len() + other.digits.len()];
        for (i, &a) in self.digits.iter().enumerate() {
            let mut carry = 0u64;
            for (j, &b) in other.digits.iter().enumerate() {
                let t = u64::from(a) * u64::from(b) + u64::from(digits[i + j]) + carry;
                digits[i + j] = t as u32;
                carry = t >> 32;
            }
            digits[i + other.digits.len()] = carry as u32;
        }
        Self { negative: self.negative != other.negative, digits, exponent: self.exponent + other.exponent }
    }

    /// Digits of the magnitude in units of `2^exponent`, `exponent <= self.exponent`.
    fn shifted(&self, exponent: i32) -> Vec<u32> {
        let by = (self.exponent - exponent) as u32;
        let mut out = vec![0u32; (by / 32) as usize];
        let mut carry = 0u64;
        for &d in &self.digits {
            let t = (u64::from(d) << (by % 32)) | carry;
            out.push(t as u32);
            carry = t >> 32;
        }
        out.push(carry as u32);
        out
    }

    fn is_zero(&self) -> bool {
        self.digits.iter().all(|&d| d == 0)
    }

    /// Sign of `self - other`.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let sign = |e: &Self| {
            if e.is_zero() {
                0
            } else if e.negative {
                -1
            } else {
                1
            }
        };
        if sign(self) != sign(other) || sign(self) == 0 {
            return sign(self).cmp(&sign(other));
        }
        let exponent = self.exponent.min(other.exponent);
        let (mut a, mut b) = (self.shifted(exponent), other.shifted(exponent));
        let length = a.len().max(b.len());
        a.resize(length, 0);
        b.resize(length, 0);
        let magnitude = a.iter().rev().cmp(b.iter().rev());
        match (self.negative, magnitude) {
            (false, order) => order,
            (true, Less) => Greater,
            (true, Greater) => Less,
            (true, Equal) => Equal,
        }
    }

    fn plus(&self, other: &Self) -> Self {
        let exponent = self.exponent.min(other.exponent);
        let (mut a, mut b) = (self.shifted(exponent), other.shifted(exponent));
        let length = a.len().max(b.len()) + 1;
        a.resize(length, 0);
        b.resize(length, 0);
        if self.negative == other.negative {
            let mut carry = 0u64;
            for (x, y) in a.iter_mut().zip(&b) {
                let t = u64::from(*x) + u64::from(*y) + carry;
                *x = t as u32;
                carry = t >> 32;
            }
            return Self { negative: self.negative, digits: a, exponent };
        }
        let swap = a.iter().rev().cmp(b.iter().rev()).is_lt();
        if swap {
            std::mem::swap(&mut a, &mut b);
        }
        let mut borrow = 0i64;
        for (x, y) in a.iter_mut().zip(&b) {
            let t = i64::from(*x) - i64::from(*y) - borrow;
            borrow = i64::from(t < 0);
            *x = t as u32;
        }
        Self { negative: self.negative != swap, digits: a, exponent }
    }

    fn between(&self, lo: f64, hi: f64) -> bool {
        (lo == f64::NEG_INFINITY || (lo.is_finite() && self.compare(&Self::new(lo)).is_ge()))
            && (hi == f64::INFINITY || (hi.is_finite() && self.compare(&Self::new(hi)).is_le()))
    }
}

/// Whether the exact `a + b` lies in `[lo, hi]`.
pub fn exact_sum_between(a: f64, b: f64, lo: f64, hi: f64) -> bool {
    Exact::new(a).plus(&Exact::new(b)).between(lo, hi)
}

/// Whether the exact `a * b` lies in `[lo, hi]`.
pub fn exact_product_between(a: f64, b: f64, lo: f64, hi: f64) -> bool {
    Exact::new(a).times(&Exact::new(b)).between(lo, hi)
}

/// Whether the exact `a / b`, b != 0, lies in `[lo, hi]`: compares `a` with `lo b` and `hi b`.
pub fn exact_quotient_between(a: f64, b: f64, lo: f64, hi: f64) -> bool {
    let (a, divisor) = (Exact::new(a), Exact::new(b));
    let side = |end: f64| {
        let order = Exact::new(end).times(&divisor).compare(&a);
        if b > 0.0 { order } else { order.reverse() }
    };
    (lo == f64::NEG_INFINITY || (lo.is_finite() && side(lo).is_le()))
        && (hi == f64::INFINITY || (hi.is_finite() && side(hi).is_ge()))
}
