//! Builds programs: equal operations are stored once, operations on constants are carried out.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::code::{Code, Facts, Index, Program, arguments, needs};
use super::number::Number;
use super::unary::{Unary, exponent};
use crate::proof::interval::Interval;

/// Kind of operation and its parts; equal for equal operations.
type Key = (u8, u64, u64, u64);

/// Builds programs: equal operations are stored once, operations on constants are carried out.
#[derive(Clone, Debug, Default)]
pub struct Builder {
    codes: Vec<Code>,
    list: Vec<Index>,
    facts: Vec<Facts>,
    known: HashMap<Key, Index, BuildHasherDefault<KeyHasher>>,
}

/// A fast hash of keys: they are made here and by nobody who might choose them badly.
#[derive(Clone, Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u8(&mut self, v: u8) {
        self.write_u64(u64::from(v));
    }

    fn write_u64(&mut self, v: u64) {
        self.0 = (self.0.rotate_left(5) ^ v).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Builder {
    /// No operations yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&mut self, key: Key, code: Code, facts: Facts) -> Index {
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let index = self.codes.len() as Index;
        self.codes.push(code);
        self.facts.push(facts);
        self.known.insert(key, index);
        index
    }

    /// The value of a constant.
    pub fn constant_value(&self, a: Index) -> Option<Interval> {
        match self.codes[a as usize] {
            Code::Constant(value) => Some(value),
            _ => None,
        }
    }

    /// Operation `a`.
    pub fn code(&self, a: Index) -> Code {
        self.codes[a as usize]
    }

    fn is(&self, a: Index, value: f64) -> bool {
        self.constant_value(a) == Some(Interval::point(value))
    }

    /// A constant that `value` contains.
    pub fn constant(&mut self, value: Interval) -> Index {
        // The two zeros are one number.
        let value = Interval::new(value.lo() + 0.0, value.hi() + 0.0);
        let facts = Facts { degree: 0, total: true, kinks: false };
        self.push((40, value.lo().to_bits(), value.hi().to_bits(), 0), Code::Constant(value), facts)
    }

    /// An exact constant.
    pub fn number(&mut self, value: f64) -> Index {
        self.constant(Interval::point(value))
    }

    /// Variable `v`.
    pub fn variable(&mut self, v: usize) -> Index {
        let facts = Facts { degree: 1, total: true, kinks: false };
        self.push((41, v as u64, 0, 0), Code::Variable(v as Index), facts)
    }

    fn joined(&self, a: Index, b: Index, degree: u8) -> Facts {
        let (a, b) = (self.facts[a as usize], self.facts[b as usize]);
        Facts { degree, total: a.total && b.total, kinks: a.kinks || b.kinks }
    }

    fn fold(&mut self, a: Index, b: Index, operation: fn(Interval, Interval) -> Interval) -> Option<Index> {
        let value = operation(self.constant_value(a)?, self.constant_value(b)?);
        (!value.is_empty()).then(|| self.constant(value))
    }

    fn degrees(&self, a: Index, b: Index) -> (u8, u8) {
        (self.facts[a as usize].degree, self.facts[b as usize].degree)
    }

    /// a + b.
    pub fn add(&mut self, a: Index, b: Index) -> Index {
        if self.is(a, 0.0) {
            return b;
        }
        if self.is(b, 0.0) {
            return a;
        }
        if let Some(folded) = self.fold(a, b, |a, b| a + b) {
            return folded;
        }
        let (a, b) = (a.min(b), a.max(b));
        let (p, q) = self.degrees(a, b);
        self.push((42, u64::from(a), u64::from(b), 0), Code::Add(a, b), self.joined(a, b, p.max(q)))
    }

    /// a - b.
    pub fn sub(&mut self, a: Index, b: Index) -> Index {
        if self.is(b, 0.0) {
            return a;
        }
        if self.is(a, 0.0) {
            return self.apply(Unary::Neg, b);
        }
        if a == b && self.facts[a as usize].total {
            return self.number(0.0);
        }
        if let Some(folded) = self.fold(a, b, |a, b| a - b) {
            return folded;
        }
        let (p, q) = self.degrees(a, b);
        self.push((43, u64::from(a), u64::from(b), 0), Code::Sub(a, b), self.joined(a, b, p.max(q)))
    }

    /// a b.
    pub fn mul(&mut self, a: Index, b: Index) -> Index {
        for (one, other) in [(a, b), (b, a)] {
            if self.is(one, 1.0) {
                return other;
            }
            if self.is(one, -1.0) {
                return self.apply(Unary::Neg, other);
            }
            if self.is(one, 0.0) && self.facts[other as usize].total {
                return one;
            }
        }
        if a == b {
            return self.apply(Unary::Square, a);
        }
        if let Some(folded) = self.fold(a, b, |a, b| a * b) {
            return folded;
        }
        let (a, b) = (a.min(b), a.max(b));
        let (p, q) = self.degrees(a, b);
        self.push((44, u64::from(a), u64::from(b), 0), Code::Mul(a, b), self.joined(a, b, (p + q).min(3)))
    }

    /// a / b.
    pub fn div(&mut self, a: Index, b: Index) -> Index {
        if self.is(b, 1.0) {
            return a;
        }
        let divisor = self.constant_value(b);
        let safe = divisor.is_some_and(|d| !d.contains(0.0));
        if let Some(folded) = if safe { self.fold(a, b, |a, b| a / b) } else { None } {
            return folded;
        }
        let (p, _) = self.degrees(a, b);
        let mut facts = self.joined(a, b, if safe { p } else { 3 });
        facts.total &= safe;
        self.push((45, u64::from(a), u64::from(b), 0), Code::Div(a, b), facts)
    }

    /// The larger of two.
    pub fn max(&mut self, a: Index, b: Index) -> Index {
        self.extreme(a, b, 46)
    }

    /// The smaller of two.
    pub fn min(&mut self, a: Index, b: Index) -> Index {
        self.extreme(a, b, 47)
    }

    fn extreme(&mut self, a: Index, b: Index, tag: u8) -> Index {
        if a == b {
            return a;
        }
        let larger = tag == 46;
        if let Some(folded) = self.fold(a, b, if larger { Interval::max } else { Interval::min }) {
            return folded;
        }
        if larger && self.is(b, 0.0) {
            return self.apply(Unary::Plus, a);
        }
        if larger && self.is(a, 0.0) {
            return self.apply(Unary::Plus, b);
        }
        let (a, b) = (a.min(b), a.max(b));
        let mut facts = self.joined(a, b, 3);
        facts.kinks = true;
        let code = if larger { Code::Max(a, b) } else { Code::Min(a, b) };
        self.push((tag, u64::from(a), u64::from(b), 0), code, facts)
    }

    /// A function of one argument.
    pub fn apply(&mut self, function: Unary, a: Index) -> Index {
        match (function, self.codes[a as usize]) {
            (Unary::Neg, Code::Apply(Unary::Neg, inner)) => return inner,
            (Unary::Neg, Code::Sub(left, right)) => return self.sub(right, left),
            (Unary::Square | Unary::Abs, Code::Apply(Unary::Neg | Unary::Abs, inner)) => {
                return self.apply(function, inner);
            }
            (Unary::Square, Code::Apply(Unary::Plus, inner)) => return self.apply(Unary::PlusSquare, inner),
            (Unary::Whole(0), _) if self.facts[a as usize].total => return self.number(1.0),
            (Unary::Whole(1), _) => return a,
            (Unary::Whole(2), _) => return self.apply(Unary::Square, a),
            (_, Code::Constant(value)) if function.defined_on(value) => {
                let image = value.unary(function);
                if !image.is_empty() {
                    return self.constant(image);
                }
            }
            _ => {}
        }
        let inner = self.facts[a as usize];
        let degree = match (function, inner.degree) {
            (Unary::Neg, d) => d,
            (Unary::Square, 0 | 1) => 2 * inner.degree,
            _ => 3,
        };
        let facts =
            Facts { degree, total: inner.total && function.is_total(), kinks: inner.kinks || function.has_kink() };
        let (tag, first, second) = function.key();
        self.push((tag, u64::from(a), first, second), Code::Apply(function, a), facts)
    }

    /// Integer power or not: z^p as the formula means it.
    pub fn power(&mut self, a: Index, p: f64) -> Index {
        if p.fract() == 0.0 && p.abs() <= 1e6 {
            return self.apply(Unary::Whole(p as i32), a);
        }
        self.apply(Unary::Power(exponent(p)), a)
    }

    /// |z|^p.
    pub fn abs_power(&mut self, a: Index, p: f64) -> Index {
        if p == 1.0 {
            return self.apply(Unary::Abs, a);
        }
        if p.fract() == 0.0 && p % 2.0 == 0.0 && p <= 1e6 {
            return self.apply(Unary::Whole(p as i32), a);
        }
        self.apply(Unary::AbsPower(exponent(p)), a)
    }

    /// (Σ|z_i|^p)^(1/p).
    pub fn norm(&mut self, args: &[Index], p: f64) -> Index {
        if let [only] = args {
            return self.apply(Unary::Abs, *only);
        }
        if args.is_empty() {
            return self.number(0.0);
        }
        if p == 1.0 {
            return args
                .iter()
                .fold(None, |sum, &a| {
                    let size = self.apply(Unary::Abs, a);
                    Some(sum.map_or(size, |sum| self.add(sum, size)))
                })
                .unwrap_or_default();
        }
        let (start, len) = (self.list.len() as Index, args.len() as Index);
        self.list.extend_from_slice(args);
        let total = args.iter().all(|&a| self.facts[a as usize].total);
        self.codes.push(Code::Norm { start, len, p });
        self.facts.push(Facts { degree: 3, total, kinks: true });
        self.codes.len() as Index - 1
    }

    /// Copies operation by operation the roots of `program`, with `with[v]` in place of variable v; returns the roots'
    /// numbers here.
    pub fn import(&mut self, program: &Program, with: &[Index]) -> Vec<Index> {
        let new = self.import_all(program, with);
        program.roots.iter().map(|&root| new[root as usize]).collect()
    }

    /// As [`Builder::import`], for all operations.
    pub(super) fn import_all(&mut self, program: &Program, with: &[Index]) -> Vec<Index> {
        let mut new = vec![0; program.codes.len()];
        for (i, &code) in program.codes.iter().enumerate() {
            let at = |a: Index| new[a as usize];
            new[i] = match code {
                Code::Constant(value) => self.constant(value),
                Code::Variable(v) => with[v as usize],
                Code::Add(a, b) => self.add(at(a), at(b)),
                Code::Sub(a, b) => self.sub(at(a), at(b)),
                Code::Mul(a, b) => self.mul(at(a), at(b)),
                Code::Div(a, b) => self.div(at(a), at(b)),
                Code::Max(a, b) => self.max(at(a), at(b)),
                Code::Min(a, b) => self.min(at(a), at(b)),
                Code::Apply(function, a) => self.apply(function, at(a)),
                Code::Norm { start, len, p } => {
                    let args: Vec<_> =
                        program.list[start as usize..(start + len) as usize].iter().map(|&a| at(a)).collect();
                    self.norm(&args, p)
                }
            };
        }
        new
    }

    /// The program of `roots` in `variables` variables, without what they do not need.
    pub fn finish(&self, roots: &[Index], variables: usize) -> Program {
        let mut needed = vec![false; self.codes.len()];
        for &root in roots {
            needed[root as usize] = true;
        }
        for i in (0..self.codes.len()).rev() {
            if needed[i] {
                arguments(self.codes[i], &self.list, |a| needed[a as usize] = true);
            }
        }
        let mut renumbered = vec![0; self.codes.len()];
        let mut program = Program { variables, ..Program::default() };
        for (i, &code) in self.codes.iter().enumerate().filter(|&(i, _)| needed[i]) {
            renumbered[i] = program.codes.len() as Index;
            let at = |a: Index| renumbered[a as usize];
            program.codes.push(match code {
                Code::Constant(_) | Code::Variable(_) => code,
                Code::Add(a, b) => Code::Add(at(a), at(b)),
                Code::Sub(a, b) => Code::Sub(at(a), at(b)),
                Code::Mul(a, b) => Code::Mul(at(a), at(b)),
                Code::Div(a, b) => Code::Div(at(a), at(b)),
                Code::Max(a, b) => Code::Max(at(a), at(b)),
                Code::Min(a, b) => Code::Min(at(a), at(b)),
                Code::Apply(function, a) => Code::Apply(function, at(a)),
                Code::Norm { start, len, p } => {
                    let first = program.list.len() as Index;
                    program.list.extend(self.list[start as usize..(start + len) as usize].iter().map(|&a| at(a)));
                    Code::Norm { start: first, len, p }
                }
            });
            program.facts.push(self.facts[i]);
        }
        program.roots = roots.iter().map(|&root| renumbered[root as usize]).collect();
        program.needs = needs(&program);
        program
    }
}
