//! Coefficients of quadratic formulas, `½ zᵀ Q z + cᵀ z + d`, gathered from the top down: a term's weight is passed to
//! its operands until a product, a square or a quadratic form of affine functions is met.

use std::collections::BTreeMap;

use bilevel_linalg::vector::axpy;
use bilevel_linalg::{Csr, Dense};

use super::degree::dominant;
use super::formula::{Formula, row_of, visit};
use super::function::{self, Piece};
use super::rows::{Row, rows};
use super::{Block, Degree, Structure};
use crate::expr::{Matrix, NodeId, Op};

/// A quadratic function `½ zᵀ Q z + cᵀ z + d` of the variables z of a block (x, then y, for both).
#[derive(Clone, Debug)]
pub struct QuadraticForm {
    /// Q, symmetric, both triangles; sparse unless many entries are nonzero.
    pub hessian: Matrix,
    /// c, unless it depends on the variables outside of the block.
    pub linear: Option<Vec<f64>>,
    /// d, unless it depends on the variables outside of the block.
    pub constant: Option<f64>,
}

/// Vectors with at most so many entries are not written out with their zeros.
const SHORT: usize = 16;
/// Dense forms of more variables are refused.
const LARGEST_DENSE: usize = 6000;

impl Structure {
    /// The coefficients of a scalar node that is quadratic in the block with a constant Hessian; `None` if it is not, or
    /// not known to be. A sum of squares of r dense rows of d entries costs r d² / 2 multiplications.
    pub fn quadratic(&self, node: NodeId, block: Block) -> Option<QuadraticForm> {
        quadratic_form(&self.formula, &self.degrees[block as usize].degree, block, node as usize)
    }
}

/// As [`Structure::quadratic`], for components of the given degrees.
pub(super) fn quadratic_form(
    formula: &Formula,
    degrees: &[Degree],
    block: Block,
    node: usize,
) -> Option<QuadraticForm> {
    let slots = formula.slots(node);
    if slots.len() != 1 || degrees[slots.start] > Degree::Quadratic {
        return None;
    }
    let gather = Gather {
        formula,
        block,
        degrees,
        rows: rows(formula, block, node),
        hessian: Accumulator::new(formula.block_size(block)),
        linear: Some(vec![0.0; formula.block_size(block)]),
        constant: Some(0.0),
        pending: BTreeMap::from([(slots.start, 1.0)]),
    };
    gather.run()
}

struct Gather<'a> {
    formula: &'a Formula,
    block: Block,
    degrees: &'a [Degree],
    rows: Vec<Option<Row>>,
    hessian: Accumulator,
    linear: Option<Vec<f64>>,
    constant: Option<f64>,
    pending: BTreeMap<usize, f64>,
}

impl Gather<'_> {
    fn run(mut self) -> Option<QuadraticForm> {
        while let Some((slot, weight)) = self.pending.pop_last() {
            if weight == 0.0 {
                continue;
            }
            if let Some(row) = self.rows[slot].take() {
                self.add_row(weight, &row);
                self.rows[slot] = Some(row);
            } else if self.degrees[slot] <= Degree::Affine {
                // Affine, with coefficients that depend on other variables: no part of the Hessian.
                (self.linear, self.constant) = (None, None);
            } else {
                self.expand(slot, weight)?;
            }
        }
        // Nothing is outside of both blocks: a part without coefficients is not defined.
        let missing = self.linear.is_none() || self.constant.is_none();
        if missing && self.block == Block::Both {
            return None;
        }
        Some(QuadraticForm { hessian: self.hessian.finish()?, linear: self.linear, constant: self.constant })
    }

    fn add_row(&mut self, weight: f64, row: &Row) {
        if let Some(linear) = &mut self.linear {
            row.entries.iter().for_each(|&(j, a)| linear[j as usize] += weight * a);
        }
        self.constant = self.constant.zip(row.constant).map(|(sum, c)| sum + weight * c);
    }

    fn pass(&mut self, slot: usize, weight: f64) {
        *self.pending.entry(slot).or_insert(0.0) += weight;
    }

    /// Adds weight * a * b for two affine components, or passes the weight on if one of them is constant.
    fn add_product(&mut self, weight: f64, a: usize, b: usize) -> Option<()> {
        if let Some(factor) = self.formula.constant(a) {
            self.pass(b, weight * factor);
            return Some(());
        }
        if let Some(factor) = self.formula.constant(b) {
            self.pass(a, weight * factor);
            return Some(());
        }
        let (first, second) = (self.rows[a].clone()?, self.rows[b].clone()?);
        self.hessian.add_outer(weight, &first.entries, &second.entries)?;
        for (row, factor) in [(&first, second.constant), (&second, first.constant)] {
            match factor {
                Some(factor) => {
                    if let Some(linear) = &mut self.linear {
                        row.entries.iter().for_each(|&(j, v)| linear[j as usize] += weight * factor * v);
                    }
                }
                None if row.entries.is_empty() => {}
                None => self.linear = None,
            }
        }
        let both = first.constant.zip(second.constant);
        self.constant = self.constant.zip(both).map(|(sum, (s, t))| sum + weight * s * t);
        Some(())
    }

    fn expand(&mut self, slot: usize, weight: f64) -> Option<()> {
        let formula = self.formula;
        let (node, i) = formula.locate(slot);
        let op = &formula.nodes[node].op;
        let operand = |k| formula.operand(node, k, i);
        match op {
            Op::Add | Op::Sum | Op::Gather(_) | Op::Concat => {
                formula.sources(op, node, i).for_each(|slot| self.pass(slot, weight));
            }
            Op::Sub => {
                self.pass(operand(0), weight);
                self.pass(operand(1), -weight);
            }
            Op::Neg => self.pass(operand(0), -weight),
            Op::Mul => self.add_product(weight, operand(0), operand(1))?,
            Op::Dot => {
                for (a, b) in formula.argument(node, 0).zip(formula.argument(node, 1)) {
                    self.add_product(weight, a, b)?;
                }
            }
            Op::Div => self.pass(operand(0), weight / formula.constant(operand(1)).filter(|&d| d != 0.0)?),
            Op::Map(f) => match function::piece(*f, formula.ranges[operand(0)]) {
                Piece::Affine { slope, offset } => {
                    self.pass(operand(0), weight * slope);
                    self.constant = self.constant.map(|sum| sum + weight * offset);
                }
                Piece::Square { weight: factor } => self.add_product(weight * factor, operand(0), operand(0))?,
                Piece::Other => return None,
            },
            Op::Max | Op::Min => self.pass(operand(dominant(formula, op, node, i)?), weight),
            Op::MaxOf if formula.argument(node, 0).len() == 1 => self.pass(operand(0), weight),
            Op::SumSquares => {
                for slot in formula.argument(node, 0) {
                    self.add_product(weight, slot, slot)?;
                }
            }
            Op::Quadratic { matrix } => {
                let start = formula.argument(node, 0).start;
                let mut fits = Some(());
                visit(matrix, false, |r, c, q| {
                    fits = fits.and_then(|()| self.add_product(weight * q, start + r, start + c));
                });
                fits?;
            }
            Op::MatVec { matrix, transpose } => {
                let start = formula.argument(node, 0).start;
                row_of(matrix, *transpose, i).into_iter().for_each(|(j, a)| self.pass(start + j, weight * a));
            }
            Op::Variable { .. }
            | Op::Constant { .. }
            | Op::PowerOf
            | Op::MaxOf
            | Op::GroupNorms { .. }
            | Op::NormP(_) => return None,
        }
        Some(())
    }
}

/// A symmetric matrix in the making: triplets of the lower triangle while there are few, dense afterwards.
struct Accumulator {
    size: usize,
    entries: Vec<(u32, u32, f64)>,
    merged: usize,
    dense: Option<Dense>,
    /// A vector written out with its zeros.
    scattered: Vec<f64>,
}

impl Accumulator {
    fn new(size: usize) -> Self {
        Self { size, entries: Vec::new(), merged: 0, dense: None, scattered: Vec::new() }
    }

    /// Adds weight * (a bᵀ + b aᵀ).
    fn add_outer(&mut self, weight: f64, a: &[(u32, f64)], b: &[(u32, f64)]) -> Option<()> {
        if self.dense.is_none() && self.is_much(a.len() * b.len()) {
            self.make_dense()?;
        }
        if self.dense.is_none() {
            for &(i, s) in a {
                // A diagonal entry gets both halves at once.
                let term = |j, t: f64| (i.max(j), i.min(j), if i == j { 2.0 } else { 1.0 } * weight * s * t);
                self.entries.extend(b.iter().map(|&(j, t)| term(j, t)));
            }
            return self.compress();
        }
        if a == b {
            self.add_half(2.0 * weight, a, b);
        } else {
            self.add_half(weight, a, b);
            self.add_half(weight, b, a);
        }
        Some(())
    }

    /// Adds the lower triangle of weight * a bᵀ to the dense matrix.
    fn add_half(&mut self, weight: f64, a: &[(u32, f64)], b: &[(u32, f64)]) {
        let Some(dense) = &mut self.dense else { return };
        if b.len() <= SHORT {
            for &(i, s) in a {
                b.iter().filter(|(j, _)| *j <= i).for_each(|&(j, t)| dense[(i as usize, j as usize)] += weight * s * t);
            }
            return;
        }
        self.scattered.clear();
        self.scattered.resize(self.size, 0.0);
        b.iter().for_each(|&(j, t)| self.scattered[j as usize] = t);
        for &(i, s) in a {
            let end = i as usize + 1;
            axpy(weight * s, &self.scattered[..end], &mut dense.row_mut(i as usize)[..end]);
        }
    }

    /// Whether so many entries are better stored densely.
    fn is_much(&self, entries: usize) -> bool {
        entries > self.size * self.size / 8 && entries > 4096
    }

    fn compress(&mut self) -> Option<()> {
        if self.entries.len() <= 2 * self.merged + 4096 {
            return Some(());
        }
        self.merge();
        if self.is_much(self.entries.len()) { self.make_dense() } else { Some(()) }
    }

    fn make_dense(&mut self) -> Option<()> {
        if self.size > LARGEST_DENSE {
            return None;
        }
        let mut dense = Dense::zeros(self.size, self.size);
        self.entries.drain(..).for_each(|(i, j, value)| dense[(i as usize, j as usize)] += value);
        self.dense = Some(dense);
        Some(())
    }

    fn merge(&mut self) {
        self.entries.sort_by_key(|&(i, j, _)| (i, j));
        self.entries.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 += next.2;
            }
            same
        });
        self.entries.retain(|e| e.2 != 0.0);
        self.merged = self.entries.len();
    }

    fn finish(mut self) -> Option<Matrix> {
        if let Some(mut dense) = self.dense {
            dense.mirror_lower();
            return Some(dense.into());
        }
        self.merge();
        let mut triplets = Vec::with_capacity(2 * self.entries.len());
        for (i, j, value) in self.entries {
            let (i, j) = (i as usize, j as usize);
            triplets.push((i, j, value));
            if i != j {
                triplets.push((j, i, value));
            }
        }
        Csr::from_triplets(self.size, self.size, &triplets).map(Matrix::from)
    }
}
