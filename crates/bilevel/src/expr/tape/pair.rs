//! Elementwise operations of two operands over slices, either of which may be a scalar that broadcasts.

use bilevel_linalg::vector::{axpy, dot};

use super::instruction::{Arg, Blocks, Instruction};
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

/// Adds `scale bar` to an operand's derivative: entry by entry, or all to a scalar.
pub(super) fn accumulate(target: &mut [f64], scale: f64, bar: &[f64]) {
    if target.len() == bar.len() {
        axpy(scale, bar, target);
    } else if let [only] = target {
        *only += scale * sum(bar.len(), |i| bar[i]);
    }
}

/// Adds `bar_i factor_i` to an operand's derivative.
pub(super) fn accumulate_product(target: &mut [f64], bar: &[f64], factor: &[f64]) {
    let n = bar.len();
    match (target, factor) {
        (target, _) if target.len() == n && factor.len() == n => {
            for ((t, b), f) in target.iter_mut().zip(bar).zip(factor) {
                *t += b * f;
            }
        }
        ([only], _) if factor.len() == n => *only += dot(bar, factor),
        (target, [factor]) => accumulate(target, *factor, bar),
        _ => {}
    }
}

/// Adds `bar_i f(a_i, b_i)` to an operand's derivative, for a cheap `f`.
#[inline]
pub(super) fn accumulate_with(target: &mut [f64], bar: &[f64], [a, b]: [&[f64]; 2], f: impl Fn(f64, f64) -> f64) {
    let n = bar.len();
    if target.len() == n && a.len() == n && b.len() == n {
        for (((t, bar), &a), &b) in target.iter_mut().zip(bar).zip(a).zip(b) {
            *t += bar * f(a, b);
        }
        return;
    }
    match (target, a, b) {
        (target, _, [b]) if target.len() == n && a.len() == n => {
            for ((t, bar), &a) in target.iter_mut().zip(bar).zip(a) {
                *t += bar * f(a, *b);
            }
        }
        (target, [a], _) if target.len() == n && b.len() == n => {
            for ((t, bar), &b) in target.iter_mut().zip(bar).zip(b) {
                *t += bar * f(*a, b);
            }
        }
        ([only], ..) => {
            let (a, b) = (Operand::new(a, n), Operand::new(b, n));
            *only += sum(n, |i| bar[i] * f(a.at(i), b.at(i)));
        }
        _ => {}
    }
}

/// Adds the two terms of every entry of the result to the derivatives of the first and of the second operand, as far
/// as they depend on `wanted`: for functions whose derivatives cost too much to compute them once per operand.
#[inline]
pub(super) fn accumulate_both(
    instruction: &Instruction,
    slab: &mut [f64],
    wanted: Blocks,
    terms: impl Fn(usize) -> (f64, f64),
) {
    let n = instruction.out.len;
    let [a, b] = &*instruction.args else {
        return;
    };
    let step = |arg: &Arg| usize::from(arg.span.len == n);
    for i in 0..n {
        let (by_a, by_b) = terms(i);
        if a.depends.meets(wanted) {
            slab[a.span.start + i * step(a)] += by_a;
        }
        if b.depends.meets(wanted) {
            slab[b.span.start + i * step(b)] += by_b;
        }
    }
}
