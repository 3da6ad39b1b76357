//! Elementwise operations of two operands over slices, either of which may be a scalar that broadcasts.

use crate::expr::atom::sum;

/// An operand: entry i, or its only entry for every i.
#[derive(Clone, Copy)]
pub(super) struct Operand<'a> {
    values: &'a [f64],
    stride: usize,
}

impl<'a> Operand<'a> {
    /// An operand of a result of `length` entries.
    pub fn new(values: &'a [f64], length: usize) -> Self {
        Self { values, stride: usize::from(values.len() == length && length != 1) }
    }

    /// The value that belongs to entry `i` of the result.
    #[inline]
    pub fn at(self, i: usize) -> f64 {
        self.values[i * self.stride]
    }
}

/// Writes `f(a_i, b_i)`.
#[inline]
pub(super) fn write(a: &[f64], b: &[f64], out: &mut [f64], f: impl Fn(f64, f64) -> f64) {
    let n = out.len();
    match (a, b) {
        _ if a.len() == n && b.len() == n => {
            for ((o, &a), &b) in out.iter_mut().zip(a).zip(b) {
                *o = f(a, b);
            }
        }
        ([a], _) if b.len() == n => {
            for (o, &b) in out.iter_mut().zip(b) {
                *o = f(*a, b);
            }
        }
        (_, [b]) => {
            for (o, &a) in out.iter_mut().zip(a) {
                *o = f(a, *b);
            }
        }
        _ => {}
    }
}

/// Adds `term(i)` for every entry i of the result to an operand's derivative: entry by entry, or all to a scalar.
#[inline]
pub(super) fn accumulate(bar: &mut [f64], length: usize, term: impl Fn(usize) -> f64) {
    if bar.len() == length {
        for (i, b) in bar.iter_mut().enumerate() {
            *b += term(i);
        }
    } else if let [only] = bar {
        *only += sum(length, term);
    }
}

/// Adds `weight_i factor_i` to an operand's derivative.
pub(super) fn accumulate_product(bar: &mut [f64], weight: &[f64], factor: &[f64]) {
    let n = weight.len();
    if bar.len() == n && factor.len() == n {
        for ((b, &w), &f) in bar.iter_mut().zip(weight).zip(factor) {
            *b += w * f;
        }
    } else if let ([only], true) = (&mut *bar, factor.len() == n) {
        *only += sum(n, |i| weight[i] * factor[i]);
    } else if let [factor] = factor {
        accumulate(bar, n, |i| weight[i] * factor);
    }
}
