//! Enclosures of gradients and Hessians on the box, forward through the formula, in sparse form.
//!
//! Where the composition rules are silent, a component is written as a weighted sum of parts, `Σ w_k p_k + rest`: parts
//! with a bounded Hessian are added up and decided together, the rest by the rules. So `(y1 + y2 - x)^2 + y1*y2 + |y1|`
//! is decided by the constant Hessian of its first two terms. For a quadratic form all intervals are single numbers, and
//! the answer is exact up to rounding.

use std::collections::BTreeMap;

use super::degree::dominant;
use super::formula::{Formula, row_of, rows_of};
use super::function::{self, Local};
use super::rules::Traits;
use super::{Block, Range};
use crate::expr::{Function, Matrix, Op};

/// Stored entries and sorting steps after which nothing more is computed.
const BUDGET: usize = 1_000_000;

/// A symmetric matrix of intervals: sorted entries of the upper triangle.
#[derive(Clone, Debug, Default)]
pub(super) struct Hessian(Vec<(u32, u32, Range)>);

impl Hessian {
    /// From entries in any order with row <= column; equal places are added.
    pub fn new(mut entries: Vec<(u32, u32, Range)>) -> Self {
        merge(&mut entries);
        Self(entries)
    }

    /// A matrix of numbers.
    pub fn constant(entries: Vec<(u32, u32, f64)>) -> Self {
        Self::new(entries.into_iter().map(|(i, j, value)| (i, j, Range::point(value))).collect())
    }

    pub fn entries(&self) -> &[(u32, u32, Range)] {
        &self.0
    }
}

fn merge(entries: &mut Vec<(u32, u32, Range)>) {
    entries.sort_by_key(|&(i, j, _)| (i, j));
    entries.dedup_by(|next, kept| {
        let same = (next.0, next.1) == (kept.0, kept.1);
        if same {
            kept.2 = kept.2.add(next.2);
        }
        same
    });
}

/// Gradient and Hessian of one component.
#[derive(Clone, Debug)]
struct Curve {
    value: Range,
    gradient: Vec<(u32, Range)>,
    hessian: Vec<(u32, u32, Range)>,
}

impl Curve {
    fn is_constant(&self) -> bool {
        self.hessian.iter().all(|e| e.2.value().is_some())
    }

    /// Whether it can help to decide: one end of a diagonal entry is enough.
    fn is_bounded(&self) -> bool {
        self.hessian.iter().all(|&(i, j, h)| h.is_finite() || (i == j && h != Range::ALL))
    }
}

/// Sums of curves, products and functions of them.
#[derive(Default)]
struct Sum {
    gradient: Vec<(u32, Range)>,
    hessian: Vec<(u32, u32, Range)>,
    merged: usize,
}

impl Sum {
    fn add(&mut self, weight: Range, curve: &Curve) {
        if weight == Range::ZERO {
            return;
        }
        self.gradient.extend(curve.gradient.iter().map(|&(i, g)| (i, g.mul(weight))));
        self.hessian.extend(curve.hessian.iter().map(|&(i, j, h)| (i, j, h.mul(weight))));
        self.compress();
    }

    /// Adds weight * (a bᵀ + b aᵀ) / 2 to the Hessian.
    fn add_outer(&mut self, weight: Range, a: &[(u32, Range)], b: &[(u32, Range)]) {
        for &(i, s) in a {
            for &(j, t) in b {
                let term = s.mul(t).mul(weight);
                // Off the diagonal the sum of (i, j) and (j, i) halves gives one entry of the upper triangle each.
                let term = if i == j { term } else { term.scale(0.5) };
                self.hessian.push((i.min(j), i.max(j), term));
            }
        }
        self.compress();
    }

    fn add_product(&mut self, weight: Range, a: &Curve, b: &Curve) {
        self.add(weight.mul(b.value), a);
        self.add(weight.mul(a.value), b);
        self.add_outer(weight.scale(2.0), &a.gradient, &b.gradient);
    }

    /// Adds f(a) for a function with the given slopes and second derivatives.
    fn add_function(&mut self, slopes: Range, second: Range, a: &Curve) {
        self.add(slopes, a);
        if second != Range::ZERO {
            for (k, &(i, s)) in a.gradient.iter().enumerate() {
                for &(j, t) in &a.gradient[k..] {
                    let square = if i == j { s.square() } else { s.mul(t) };
                    self.hessian.push((i, j, square.mul(second)));
                }
            }
            self.compress();
        }
    }

    fn compress(&mut self) {
        if self.hessian.len() > 2 * self.merged + 4096 {
            merge(&mut self.hessian);
            self.merged = self.hessian.len();
        }
    }

    fn finish(mut self, value: Range) -> Curve {
        self.gradient.sort_by_key(|&(i, _)| i);
        self.gradient.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 = kept.1.add(next.1);
            }
            same
        });
        merge(&mut self.hessian);
        Curve { value, gradient: self.gradient, hessian: self.hessian }
    }
}

/// A component as a sum: parts with known Hessians, and the rest by its traits.
pub(super) struct Split {
    pub hessian: Hessian,
    pub rest: Traits,
}

/// Enclosures of second derivatives of the components that have been asked for.
pub(super) struct Curves {
    block: Block,
    /// By slot; `None` where there is none, or where it is not known yet.
    curves: Vec<Option<Curve>>,
    known: Vec<bool>,
    work: usize,
}

impl Curves {
    pub fn new(formula: &Formula, block: Block) -> Self {
        Self { block, curves: vec![None; formula.len()], known: vec![false; formula.len()], work: 0 }
    }

    /// Makes the curve of a component, after those of what it reads.
    fn make(&mut self, formula: &Formula, slot: usize) {
        let mut pending = vec![slot];
        while let Some(&slot) = pending.last() {
            let (node, i) = formula.locate(slot);
            let before = pending.len();
            if !self.known[slot] && formula.depends(slot, self.block) && self.work < BUDGET {
                let sources = formula.sources(&formula.nodes[node].op, node, i);
                pending.extend(sources.filter(|&source| !self.known[source]));
            }
            if pending.len() == before {
                pending.pop();
                self.make_from_sources(formula, node, i, slot);
            }
        }
    }

    fn make_from_sources(&mut self, formula: &Formula, node: usize, i: usize, slot: usize) {
        if std::mem::replace(&mut self.known[slot], true) || self.work >= BUDGET {
            return;
        }
        if let Op::MatVec { matrix, transpose } = &formula.nodes[node].op {
            self.matrix_rows(formula, node, matrix, *transpose);
            self.known[formula.slots(node)].fill(true);
            return;
        }
        self.curves[slot] = self.curve(formula, node, i, slot);
        self.work += self.size(slot) + 1;
    }

    fn matrix_rows(&mut self, formula: &Formula, node: usize, matrix: &Matrix, transpose: bool) {
        let argument = formula.argument(node, 0);
        for (slot, row) in formula.slots(node).zip(rows_of(matrix, transpose)) {
            let cost: usize = row.iter().map(|&(j, _)| self.size(argument.start + j)).sum();
            self.work += cost + 1;
            if self.work >= BUDGET {
                return;
            }
            let mut sum = Sum::default();
            let all = row.iter().all(|&(j, a)| match &self.curves[argument.start + j] {
                Some(curve) => {
                    sum.add(Range::point(a), curve);
                    true
                }
                None => false,
            });
            self.curves[slot] = all.then(|| sum.finish(formula.ranges[slot]));
        }
    }

    fn size(&self, slot: usize) -> usize {
        self.curves[slot].as_ref().map_or(0, |c| c.gradient.len() + c.hessian.len())
    }

    /// The curve of component `i`, `None` where the operation has a kink or an operand has no curve.
    fn curve(&mut self, formula: &Formula, node: usize, i: usize, slot: usize) -> Option<Curve> {
        let value = formula.ranges[slot];
        if !formula.depends(slot, self.block) {
            return Some(Curve { value, gradient: Vec::new(), hessian: Vec::new() });
        }
        let op = &formula.nodes[node].op;
        // What is about to be stored, outer products of gradients above all.
        let length = |slot: usize| self.curves[slot].as_ref().map_or(0, |c| c.gradient.len());
        let lengths = || formula.sources(op, node, i).map(length);
        let cost: usize = match op {
            Op::Mul => lengths().product::<usize>() + lengths().sum::<usize>(),
            Op::Div | Op::PowerOf => lengths().sum::<usize>().pow(2),
            Op::Map(_) | Op::SumSquares => lengths().map(|l| l * l).sum(),
            Op::Dot => {
                formula.argument(node, 0).zip(formula.argument(node, 1)).map(|(a, b)| length(a) * length(b)).sum()
            }
            Op::Quadratic { .. } => lengths().sum::<usize>().pow(2),
            _ => lengths().sum(),
        };
        self.work += cost;
        if self.work >= BUDGET {
            return None;
        }
        self.combine(formula, op, node, i, value)
    }

    fn combine(&self, formula: &Formula, op: &Op, node: usize, i: usize, value: Range) -> Option<Curve> {
        let one = Range::point(1.0);
        let operand = |k| self.curves[formula.operand(node, k, i)].as_ref();
        let mut sum = Sum::default();
        match op {
            Op::Variable { level, offset } => {
                let place = formula.variable(*level, offset + i, self.block)? as u32;
                return Some(Curve { value, gradient: vec![(place, one)], hessian: Vec::new() });
            }
            Op::Add | Op::Sum | Op::Gather(_) | Op::Concat => {
                for slot in formula.sources(op, node, i) {
                    sum.add(one, self.curves[slot].as_ref()?);
                }
            }
            Op::Sub => {
                sum.add(one, operand(0)?);
                sum.add(one.neg(), operand(1)?);
            }
            Op::Neg => sum.add(one.neg(), operand(0)?),
            Op::Mul => sum.add_product(one, operand(0)?, operand(1)?),
            Op::Dot => {
                for (a, b) in formula.argument(node, 0).zip(formula.argument(node, 1)) {
                    sum.add_product(one, self.curves[a].as_ref()?, self.curves[b].as_ref()?);
                }
            }
            Op::Div => {
                let inverse = of(Function::Power(-1.0), operand(1)?)?;
                sum.add_product(one, operand(0)?, &inverse);
            }
            Op::PowerOf => {
                let mut exponent = Sum::default();
                let log = of(Function::Log, operand(0)?)?;
                exponent.add_product(one, operand(1)?, &log);
                let exponent = exponent.finish(log.value.mul(operand(1)?.value));
                return of(Function::Exp, &exponent).map(|curve| Curve { value, ..curve });
            }
            Op::Map(f) => return of(*f, operand(0)?).map(|curve| Curve { value, ..curve }),
            Op::SumSquares => {
                for slot in formula.sources(op, node, i) {
                    let curve = self.curves[slot].as_ref()?;
                    sum.add_function(curve.value.scale(2.0), Range::point(2.0), curve);
                }
            }
            Op::Quadratic { matrix } => {
                let argument = formula.argument(node, 0);
                for (r, row) in rows_of(matrix, false).into_iter().enumerate() {
                    for (c, q) in row {
                        let (a, b) =
                            (self.curves[argument.start + r].as_ref()?, self.curves[argument.start + c].as_ref()?);
                        sum.add_product(Range::point(q), a, b);
                    }
                }
            }
            Op::Max | Op::Min => sum.add(one, operand(dominant(formula, op, node, i)?)?),
            Op::Constant { .. } | Op::MatVec { .. } | Op::MaxOf | Op::GroupNorms { .. } | Op::NormP(_) => return None,
        }
        Some(sum.finish(value))
    }

    /// Ways to write a component as parts with known Hessians and a rest, best first.
    pub fn splits(&mut self, formula: &Formula, slot: usize, traits: &[Traits]) -> Vec<Split> {
        let parts = self.parts(formula, slot);
        parts.iter().for_each(|&(slot, _)| self.make(formula, slot));
        let constant = |_: usize, weight: Range, curve: &Curve| weight.value().is_some() && curve.is_constant();
        let bounded = |_: usize, weight: Range, curve: &Curve| weight.is_finite() && curve.is_bounded();
        // Wide bounds of a term that the rules decide would only blur the sum.
        let wanted = |slot: usize, weight: Range, curve: &Curve| {
            let decided = traits[slot].convex || traits[slot].concave;
            constant(slot, weight, curve) || (bounded(slot, weight, curve) && !decided)
        };
        let mut out = vec![self.split(&parts, traits, constant)];
        let differs = |&(slot, weight): &(usize, Range)| {
            self.curves[slot].as_ref().is_some_and(|c| bounded(slot, weight, c) && !constant(slot, weight, c))
        };
        if parts.iter().any(differs) {
            out.push(self.split(&parts, traits, wanted));
            out.push(self.split(&parts, traits, bounded));
        }
        out
    }

    fn split(
        &self,
        parts: &[(usize, Range)],
        traits: &[Traits],
        joins: impl Fn(usize, Range, &Curve) -> bool,
    ) -> Split {
        let (mut entries, mut rest) = (Vec::new(), Traits::CONSTANT);
        for &(slot, weight) in parts {
            match &self.curves[slot] {
                Some(curve) if joins(slot, weight, curve) => {
                    entries.extend(curve.hessian.iter().map(|&(i, j, h)| (i, j, h.mul(weight))));
                }
                _ => rest = rest.and(traits[slot].scaled(weight)),
            }
        }
        Split { hessian: Hessian::new(entries), rest }
    }

    /// The terms of a sum, with their weights, down to what is no sum.
    fn parts(&mut self, formula: &Formula, slot: usize) -> Vec<(usize, Range)> {
        let mut pending = BTreeMap::from([(slot, Range::point(1.0))]);
        let mut parts = Vec::new();
        while let Some((slot, weight)) = pending.pop_last() {
            if !formula.depends(slot, self.block) {
                continue;
            }
            let terms = if self.work < BUDGET { self.terms(formula, slot) } else { None };
            self.work += 1 + terms.as_ref().map_or(self.size(slot), Vec::len);
            let Some(terms) = terms else {
                parts.push((slot, weight));
                continue;
            };
            for (term, factor) in terms {
                let sum = pending.entry(term).or_insert(Range::ZERO);
                *sum = sum.add(factor.mul(weight));
            }
        }
        parts
    }

    /// The operands of a component that is a weighted sum of them, with weights that do not depend on the block.
    fn terms(&self, formula: &Formula, slot: usize) -> Option<Vec<(usize, Range)>> {
        let (node, i) = formula.locate(slot);
        let one = Range::point(1.0);
        let op = &formula.nodes[node].op;
        let operand = |k| formula.operand(node, k, i);
        let fixed = |slot| !formula.depends(slot, self.block);
        let scaled = |a: usize, b: usize| {
            if fixed(b) { Some((a, formula.ranges[b])) } else { fixed(a).then(|| (b, formula.ranges[a])) }
        };
        match op {
            Op::Add | Op::Sum | Op::Gather(_) | Op::Concat => {
                Some(formula.sources(op, node, i).map(|slot| (slot, one)).collect())
            }
            Op::Sub => Some(vec![(operand(0), one), (operand(1), one.neg())]),
            Op::Neg => Some(vec![(operand(0), one.neg())]),
            Op::Mul => scaled(operand(0), operand(1)).map(|term| vec![term]),
            Op::Div => fixed(operand(1)).then(|| vec![(operand(0), one.div(formula.ranges[operand(1)]))]),
            Op::Dot => formula.argument(node, 0).zip(formula.argument(node, 1)).map(|(a, b)| scaled(a, b)).collect(),
            Op::MatVec { matrix, transpose } => {
                let start = formula.argument(node, 0).start;
                Some(row_of(matrix, *transpose, i).into_iter().map(|(j, a)| (start + j, Range::point(a))).collect())
            }
            Op::Variable { .. }
            | Op::Constant { .. }
            | Op::PowerOf
            | Op::Map(_)
            | Op::Max
            | Op::Min
            | Op::MaxOf
            | Op::SumSquares
            | Op::Quadratic { .. }
            | Op::GroupNorms { .. }
            | Op::NormP(_) => None,
        }
    }
}

/// A function of a component.
fn of(f: Function, z: &Curve) -> Option<Curve> {
    let Local { values, slopes, second, .. } = function::local(f, z.value);
    let mut sum = Sum::default();
    sum.add_function(slopes, second?, z);
    Some(sum.finish(values))
}
