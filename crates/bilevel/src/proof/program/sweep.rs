//! Value, gradient and Hessian of a program, in intervals or in `f64`.
//!
//! Gradients run backwards through the operations that a root needs; Hessians of weighted sums of roots run forwards
//! along one variable at a time and then backwards (forward over reverse). At kinks an interval derivative encloses
//! the slopes of all pieces inside the box; where a piece only touches the box's face it is left out, so that the
//! enclosure is that of the function restricted to the box. A second derivative across a kink is unknown.

use super::code::{Code, Index, Program};
use super::number::Number;
use super::unary::{Unary, exponent};
use crate::proof::interval::Interval;

/// Scratch memory and results of runs of one program.
#[derive(Clone, Debug)]
pub struct Sweep<T> {
    /// Value of each operation.
    pub(super) values: Vec<T>,
    /// Whether each operation is defined on the whole box, its arguments included.
    defined: Vec<bool>,
    pub(super) adjoints: Vec<T>,
    tangents: Vec<T>,
    adjoint_tangents: Vec<T>,
    row: Vec<T>,
}

impl<T: Number> Sweep<T> {
    /// Memory for `program`.
    pub fn new(program: &Program) -> Self {
        let zero = vec![T::of(0.0); program.codes.len()];
        Self {
            values: zero.clone(),
            defined: vec![true; program.codes.len()],
            adjoints: zero.clone(),
            tangents: zero.clone(),
            adjoint_tangents: zero,
            row: vec![T::of(0.0); program.variables],
        }
    }

    /// Computes all values at `at` (one entry a variable).
    pub fn forward(&mut self, program: &Program, at: &[T]) {
        for (i, &code) in program.codes.iter().enumerate() {
            self.step(program, i, code, at);
        }
    }

    /// Computes the values that root `r` needs.
    pub fn forward_root(&mut self, program: &Program, r: usize, at: &[T]) {
        for &i in &program.needs[r] {
            self.step(program, i as usize, program.codes[i as usize], at);
        }
    }

    fn step(&mut self, program: &Program, i: usize, code: Code, at: &[T]) {
        let value = |a: Index| self.values[a as usize];
        let known = |a: Index| self.defined[a as usize];
        let (result, defined) = match code {
            Code::Constant(c) => (T::constant(c), true),
            Code::Variable(v) => (at[v as usize], true),
            Code::Add(a, b) => (value(a) + value(b), known(a) && known(b)),
            Code::Sub(a, b) => (value(a) - value(b), known(a) && known(b)),
            Code::Mul(a, b) => (value(a) * value(b), known(a) && known(b)),
            Code::Div(a, b) => (value(a) / value(b), known(a) && known(b) && value(b).division_defined()),
            Code::Max(a, b) => (value(a).larger(value(b)), known(a) && known(b)),
            Code::Min(a, b) => (value(a).smaller(value(b)), known(a) && known(b)),
            Code::Apply(f, a) => (value(a).unary(f), known(a) && value(a).in_domain(f)),
            Code::Norm { start, len, p } => {
                let args = &program.list[start as usize..(start + len) as usize];
                (self.norm(args, p), args.iter().all(|&a| known(a)))
            }
        };
        self.values[i] = result;
        self.defined[i] = defined && result.exists();
    }

    fn norm(&self, args: &[Index], p: f64) -> T {
        let power = |z: T| if p == 2.0 { z.unary(Unary::Square) } else { z.unary(Unary::Abs).power(exponent(p)) };
        let sum = args.iter().fold(T::of(0.0), |sum, &a| sum + power(self.values[a as usize]));
        if p == 2.0 {
            return sum.unary(Unary::Sqrt);
        }
        sum.power(Interval::ONE / exponent(p))
    }

    /// The values of all operations.
    pub fn into_values(self) -> Vec<T> {
        self.values
    }

    /// The value of root `r` after a forward run.
    pub fn value(&self, program: &Program, r: usize) -> T {
        self.values[program.roots[r] as usize]
    }

    /// Whether root `r` is defined (and continuous) on the whole box of the last forward run.
    pub fn defined(&self, program: &Program, r: usize) -> bool {
        self.defined[program.roots[r] as usize]
    }

    /// Writes the gradient of root `r` (one entry a variable) after a forward run.
    pub fn gradient(&mut self, program: &Program, r: usize, out: &mut [T]) {
        let needs = &program.needs[r];
        for &i in needs {
            self.adjoints[i as usize] = T::of(0.0);
        }
        self.adjoints[program.roots[r] as usize] = T::of(1.0);
        out.fill(T::of(0.0));
        for &i in needs.iter().rev() {
            self.back(program, i as usize, out);
        }
    }

    /// Writes the gradient of `Σ weights_r root_r` after a forward run.
    pub fn weighted_gradient(&mut self, program: &Program, weights: &[T], out: &mut [T]) {
        self.adjoints.fill(T::of(0.0));
        for (&root, &weight) in program.roots.iter().zip(weights) {
            self.adjoints[root as usize] = self.adjoints[root as usize] + weight;
        }
        out.fill(T::of(0.0));
        for i in (0..program.codes.len()).rev() {
            self.back(program, i, out);
        }
    }

    fn back(&mut self, program: &Program, i: usize, out: &mut [T]) {
        let adjoint = self.adjoints[i];
        if adjoint.is_zero() {
            return;
        }
        let (values, adjoints) = (&self.values, &mut self.adjoints);
        let value = |a: Index| values[a as usize];
        let mut give = |a: Index, amount: T| adjoints[a as usize] = adjoints[a as usize] + amount;
        match program.codes[i] {
            Code::Constant(_) => {}
            Code::Variable(v) => out[v as usize] = adjoint,
            Code::Add(a, b) => {
                give(a, adjoint);
                give(b, adjoint);
            }
            Code::Sub(a, b) => {
                give(a, adjoint);
                give(b, -adjoint);
            }
            Code::Mul(a, b) => {
                give(a, adjoint * value(b));
                give(b, adjoint * value(a));
            }
            Code::Div(a, b) => {
                let part = (adjoint / value(b)).or_unknown();
                give(a, part);
                give(b, -(part * values[i]));
            }
            Code::Max(a, b) | Code::Min(a, b) => {
                let [wa, wb] = shares(program.codes[i], value(a), value(b));
                give(a, adjoint * wa);
                give(b, adjoint * wb);
            }
            Code::Apply(f, a) => give(a, adjoint * T::slope(f, value(a), values[i]).or_unknown()),
            Code::Norm { start, len, p } => {
                for &a in &program.list[start as usize..(start + len) as usize] {
                    give(a, adjoint * norm_slope(value(a), values[i], p));
                }
            }
        }
    }

    /// Writes the Hessian of `Σ weights_r root_r` in the given variables (row by row, `active.len()` squared) after a
    /// forward run. For intervals both triangles are intersected, so that the result is symmetric.
    pub fn hessian(&mut self, program: &Program, weights: &[T], active: &[usize], out: &mut [T]) {
        let mut gradient = std::mem::take(&mut self.row);
        self.weighted_gradient(program, weights, &mut gradient);
        let k = active.len();
        for (row, &v) in active.iter().enumerate() {
            self.along(program, v);
            self.adjoint_tangents.fill(T::of(0.0));
            gradient.fill(T::of(0.0));
            for i in (0..program.codes.len()).rev() {
                self.back_second(program, i, &mut gradient);
            }
            for (column, &w) in active.iter().enumerate() {
                out[row * k + column] = gradient[w];
            }
        }
        self.row = gradient;
        for i in 0..k {
            for j in 0..i {
                let both = out[i * k + j].common(out[j * k + i]).or_unknown();
                out[i * k + j] = both;
                out[j * k + i] = both;
            }
        }
    }

    /// Tangents of all operations along variable `v`.
    fn along(&mut self, program: &Program, v: usize) {
        let zero = T::of(0.0);
        for (i, &code) in program.codes.iter().enumerate() {
            let value = |a: Index| self.values[a as usize];
            let dot = |a: Index| self.tangents[a as usize];
            self.tangents[i] = match code {
                Code::Constant(_) => zero,
                Code::Variable(w) => T::of(f64::from(w as usize == v)),
                Code::Add(a, b) => dot(a) + dot(b),
                Code::Sub(a, b) => dot(a) - dot(b),
                Code::Mul(a, b) => dot(a) * value(b) + value(a) * dot(b),
                Code::Div(a, b) => ((dot(a) - self.values[i] * dot(b)) / value(b)).or_unknown(),
                Code::Max(a, b) | Code::Min(a, b) => {
                    let [wa, wb] = shares(code, value(a), value(b));
                    wa * dot(a) + wb * dot(b)
                }
                Code::Apply(_, a) if dot(a).is_zero() => zero,
                Code::Apply(f, a) => dot(a) * T::slope(f, value(a), self.values[i]).or_unknown(),
                Code::Norm { start, len, p } => program.list[start as usize..(start + len) as usize]
                    .iter()
                    .fold(zero, |sum, &a| sum + dot(a) * norm_slope(value(a), self.values[i], p)),
            };
        }
    }

    fn back_second(&mut self, program: &Program, i: usize, out: &mut [T]) {
        let (adjoint, second) = (self.adjoints[i], self.adjoint_tangents[i]);
        if adjoint.is_zero() && second.is_zero() {
            return;
        }
        let (values, dots, seconds) = (&self.values, &self.tangents, &mut self.adjoint_tangents);
        let value = |a: Index| values[a as usize];
        let dot = |a: Index| dots[a as usize];
        let mut give = |a: Index, amount: T| seconds[a as usize] = seconds[a as usize] + amount;
        match program.codes[i] {
            Code::Constant(_) => {}
            Code::Variable(v) => out[v as usize] = second,
            Code::Add(a, b) => {
                give(a, second);
                give(b, second);
            }
            Code::Sub(a, b) => {
                give(a, second);
                give(b, -second);
            }
            Code::Mul(a, b) => {
                give(a, second * value(b) + adjoint * dot(b));
                give(b, second * value(a) + adjoint * dot(a));
            }
            Code::Div(a, b) => {
                let part = (adjoint / value(b)).or_unknown();
                let change = ((second - part * dot(b)) / value(b)).or_unknown();
                give(a, change);
                give(b, -(change * values[i] + part * dots[i]));
            }
            Code::Max(a, b) | Code::Min(a, b) => {
                let [wa, wb] = shares(program.codes[i], value(a), value(b));
                let bend = (value(a) - value(b)).kink() * (dot(a) - dot(b)) * adjoint;
                give(a, second * wa + bend);
                give(b, second * wb - bend);
            }
            Code::Apply(f, a) => {
                let mut change = T::of(0.0);
                if !second.is_zero() {
                    change = change + second * T::slope(f, value(a), values[i]).or_unknown();
                }
                if !dot(a).is_zero() && !adjoint.is_zero() {
                    change = change + adjoint * T::curve(f, value(a), values[i]).or_unknown() * dot(a);
                }
                give(a, change);
            }
            Code::Norm { start, len, p } => {
                let args = &program.list[start as usize..(start + len) as usize];
                let moves = args.iter().any(|&a| !dot(a).is_zero()) && !adjoint.is_zero();
                for &a in args {
                    let mut change = second * norm_slope(value(a), values[i], p);
                    if moves && p == 2.0 {
                        let bend = (dot(a) - norm_slope(value(a), values[i], p) * dots[i]) / values[i];
                        change = change + adjoint * bend.or_unknown();
                    } else if moves {
                        change = change + T::unknown();
                    }
                    give(a, change);
                }
            }
        }
    }
}

#[cfg(test)]
impl Sweep<f64> {
    /// The largest absolute value of an operation; +inf if one is not a number.
    pub fn largest(&self) -> f64 {
        self.values.iter().fold(0.0, |m: f64, v| if v.is_nan() { f64::INFINITY } else { m.max(v.abs()) })
    }
}

/// How the derivative of a maximum or minimum is shared between its two arguments.
fn shares<T: Number>(code: Code, a: T, b: T) -> [T; 2] {
    let first = match code {
        Code::Max(..) => (a - b).step(),
        _ => (b - a).step(),
    };
    [first, T::of(1.0) - first]
}

/// The derivative of a norm with value `norm` in the entry `z`.
fn norm_slope<T: Number>(z: T, norm: T, p: f64) -> T {
    let sign = T::of(2.0) * z.step() - T::of(1.0);
    let ratio = (z.unary(Unary::Abs) / norm).or_unknown().clip(1.0).unary(Unary::Plus);
    if p == 2.0 {
        return ratio * sign;
    }
    ratio.power(exponent(p) - Interval::ONE).or_unknown() * sign
}
