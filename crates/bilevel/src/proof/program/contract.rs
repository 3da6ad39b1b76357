//! Constraint propagation: HC4 [Benhamou, Goualard, Granvilliers & Puget 1999] on all roots at once.
//!
//! Forward: values of all operations over the box. Then the roots' values are cut to what is allowed, and backwards
//! every operation cuts its arguments to what its result still admits. The variables end up in a box that contains
//! every point of the old one at which all roots are defined and allowed.

use super::code::{Code, Program};
use super::sweep::Sweep;
use super::unary::Unary;
use crate::proof::interval::Interval;

/// Longest norm whose arguments are cut by the others.
const LONG_NORM: usize = 32;

/// What became of a box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contracted {
    /// No point of the box is allowed.
    Empty,
    /// The box shrank.
    Smaller,
    /// Nothing changed.
    Same,
}

impl Sweep<Interval> {
    /// Shrinks `domain` (one entry a variable) to the points where every root r with its value in `allowed[r]`.
    pub fn contract(&mut self, program: &Program, allowed: &[Interval], domain: &mut [Interval]) -> Contracted {
        self.forward(program, domain);
        for (&root, &range) in program.roots.iter().zip(allowed) {
            let value = &mut self.values[root as usize];
            *value = value.intersect(range);
            if value.is_empty() {
                return Contracted::Empty;
            }
        }
        let mut result = Contracted::Same;
        for (i, &code) in program.codes.iter().enumerate().rev() {
            if let Code::Variable(v) = code {
                let old = &mut domain[v as usize];
                let new = old.intersect(self.values[i]);
                if new.is_empty() {
                    return Contracted::Empty;
                }
                if new != *old {
                    result = Contracted::Smaller;
                    *old = new;
                }
            } else if !self.project(program, i, code) {
                return Contracted::Empty;
            }
        }
        result
    }

    /// Cuts the arguments of operation `i`; false if one becomes empty.
    fn project(&mut self, program: &Program, i: usize, code: Code) -> bool {
        let z = self.values[i];
        let values = &mut self.values;
        let get = |values: &Vec<Interval>, a: u32| values[a as usize];
        let cut = |values: &mut Vec<Interval>, a: u32, range: Interval| {
            let value = &mut values[a as usize];
            *value = value.intersect(range);
            !value.is_empty()
        };
        match code {
            Code::Constant(_) | Code::Variable(_) => true,
            Code::Add(a, b) => {
                let range = z - get(values, b);
                let other = z - get(values, a);
                cut(values, a, range) && cut(values, b, other)
            }
            Code::Sub(a, b) => {
                let range = z + get(values, b);
                let other = get(values, a) - z;
                cut(values, a, range) && cut(values, b, other)
            }
            Code::Mul(a, b) => {
                let range = z.divide_within(get(values, b), get(values, a));
                if !cut(values, a, range) {
                    return false;
                }
                let range = z.divide_within(get(values, a), get(values, b));
                cut(values, b, range)
            }
            Code::Div(a, b) => {
                let range = z * get(values, b);
                if !cut(values, a, range) {
                    return false;
                }
                let range = get(values, a).divide_within(z, get(values, b));
                cut(values, b, range)
            }
            Code::Max(a, b) => {
                let below = Interval::at_most(z.hi());
                if !cut(values, a, below) || !cut(values, b, below) {
                    return false;
                }
                let (va, vb) = (get(values, a), get(values, b));
                (vb.hi() >= z.lo() || cut(values, a, z)) && (va.hi() >= z.lo() || cut(values, b, z))
            }
            Code::Min(a, b) => {
                let above = Interval::at_least(z.lo());
                if !cut(values, a, above) || !cut(values, b, above) {
                    return false;
                }
                let (va, vb) = (get(values, a), get(values, b));
                (vb.lo() <= z.hi() || cut(values, a, z)) && (va.lo() <= z.hi() || cut(values, b, z))
            }
            Code::Apply(function, a) => {
                let range = preimage(function, z, get(values, a));
                cut(values, a, range)
            }
            Code::Norm { start, len, p } => {
                let args = start as usize..(start + len) as usize;
                self.project_norm(program, args, p, z)
            }
        }
    }

    fn project_norm(&mut self, program: &Program, args: std::ops::Range<usize>, p: f64, z: Interval) -> bool {
        let args = &program.list[args];
        let outer = Interval::new(-z.hi(), z.hi());
        for (k, &a) in args.iter().enumerate() {
            let mut range = outer;
            if p == 2.0 && args.len() <= LONG_NORM {
                let others = args.iter().enumerate().filter(|&(l, _)| l != k);
                let rest = others.fold(Interval::ZERO, |sum, (_, &b)| sum + self.values[b as usize].square());
                range = even_preimage((z.square() - rest).sqrt(), self.values[a as usize]);
            }
            let value = &mut self.values[a as usize];
            *value = value.intersect(range);
            if value.is_empty() {
                return false;
            }
        }
        true
    }
}

/// Members of `old` whose absolute value lies in `size`.
fn even_preimage(size: Interval, old: Interval) -> Interval {
    let right = old.intersect(size);
    let left = old.intersect(-size);
    if right.is_empty() {
        left
    } else if left.is_empty() {
        right
    } else {
        left.hull(right)
    }
}

/// An interval that contains the members of `old` that `function` maps into `z`.
fn preimage(function: Unary, z: Interval, old: Interval) -> Interval {
    let one = Interval::ONE;
    let positive = z.intersect(Interval::at_least(0.0));
    match function {
        Unary::Neg => -z,
        Unary::Square => even_preimage(z.sqrt(), old),
        Unary::Exp => z.log(),
        Unary::Log => z.exp(),
        Unary::Log1p => z.expm1(),
        Unary::Expm1 => z.log1p(),
        Unary::Sqrt => positive.square(),
        Unary::Sin | Unary::Cos | Unary::Tan => old,
        Unary::Tanh => {
            let inside = z.intersect(Interval::new(-1.0, 1.0));
            Interval::point(0.5) * (inside.log1p() - (-inside).log1p())
        }
        Unary::Sigmoid => {
            let inside = z.intersect(Interval::new(0.0, 1.0));
            inside.log() - (one - inside).log()
        }
        Unary::Softplus => positive.expm1().log(),
        Unary::Abs => even_preimage(positive, old),
        Unary::Plus => plus_preimage(positive),
        Unary::PlusSquare => plus_preimage(z.sqrt()),
        Unary::Whole(n) => whole_preimage(n, z, old),
        Unary::Power(p) => z.pow(one / p),
        Unary::AbsPower(p) => even_preimage(z.pow(one / p), old),
        Unary::Huber(d) => even_preimage(huber_preimage(positive, d), old),
    }
}

fn plus_preimage(z: Interval) -> Interval {
    if z.is_empty() || z.lo() > 0.0 { z } else { Interval::at_most(z.hi()) }
}

fn whole_preimage(n: i32, z: Interval, old: Interval) -> Interval {
    if n == 0 {
        return if z.contains(1.0) { old } else { Interval::EMPTY };
    }
    if n < 0 {
        // 1 / z, with the unbounded ends that a z around 0 needs.
        let flipped = if z.lo() < 0.0 && z.hi() > 0.0 { Interval::ENTIRE } else { Interval::ONE / z };
        return whole_preimage(n.saturating_neg(), flipped, old);
    }
    let root = |z: Interval| z.pow(Interval::ONE / Interval::point(f64::from(n)));
    if n % 2 == 0 {
        return even_preimage(root(z), old);
    }
    let (right, left) = (root(z), -root(-z));
    if right.is_empty() {
        left
    } else if left.is_empty() {
        right
    } else {
        left.hull(right)
    }
}

/// Sizes whose Huber value lies in `z`, z >= 0: sqrt(2 z) is the inverse up to the bend and below it beyond, where
/// z / d + d / 2 is the inverse, which is never below sqrt(2 z).
fn huber_preimage(z: Interval, d: f64) -> Interval {
    if z.is_empty() {
        return z;
    }
    let limit = Interval::point(d);
    let quadratic = (Interval::point(2.0) * z).sqrt();
    let linear = z / limit + limit * Interval::point(0.5);
    let before_bend = quadratic.hi() <= d;
    Interval::new(quadratic.lo(), if before_bend { quadratic.hi() } else { linear.hi() })
}
