//! Formulas laid out component by component: dependence on the variables, and ranges.

use super::definite::{Definite, definiteness_of_form};
use super::degree::dominant;
use super::function::{self, Piece};
use super::{Block, Range, StructureError, VariableBounds};
use crate::expr::{Expr, ExprError, Function, Level, Matrix, Node, NodeId, Op};

/// Set in a component's mask if it depends on the leader's variables.
const LEADER: u8 = 1;
/// Set in a component's mask if it depends on the follower's variables.
const FOLLOWER: u8 = 2;

impl Block {
    fn mask(self) -> u8 {
        match self {
            Block::Leader => LEADER,
            Block::Follower => FOLLOWER,
            Block::Both => LEADER | FOLLOWER,
        }
    }
}

/// Nodes with, for every component of every node, its range and what it depends on. Components of all nodes are
/// numbered one after the other; such a number is called a slot.
#[derive(Debug)]
pub(in crate::expr) struct Formula {
    pub nodes: Vec<Node>,
    pub roots: Vec<NodeId>,
    /// The first slot of each node, and the number of slots.
    starts: Vec<usize>,
    masks: Vec<u8>,
    pub ranges: Vec<Range>,
    pub leader_size: usize,
    pub follower_size: usize,
}

impl Formula {
    pub fn new(roots: &[Expr], bounds: &VariableBounds) -> Result<Self, StructureError> {
        let mut ids = Vec::with_capacity(roots.len());
        for root in roots {
            ids.push(root.check()?);
            if !root.graph().same(roots[0].graph()) {
                return Err(ExprError::TwoGraphs.into());
            }
        }
        let (nodes, roots) = match roots.first() {
            Some(root) => root.graph().extract(&ids),
            None => (Vec::new(), Vec::new()),
        };
        bounds.check(&nodes)?;
        let mut starts = Vec::with_capacity(nodes.len() + 1);
        starts.push(0);
        for (id, node) in nodes.iter().enumerate() {
            starts.push(starts[id] + node.shape.len());
        }
        let slots = starts[nodes.len()];
        let mut formula = Self {
            nodes,
            roots,
            starts,
            masks: vec![0; slots],
            ranges: vec![Range::ZERO; slots],
            leader_size: bounds.leader.len(),
            follower_size: bounds.follower.len(),
        };
        for id in 0..formula.nodes.len() {
            formula.fill_masks(id);
            formula.fill_ranges(id, bounds);
        }
        Ok(formula)
    }

    /// The slots of a node; empty if there is no such node.
    pub fn slots(&self, node: usize) -> std::ops::Range<usize> {
        match (self.starts.get(node), self.starts.get(node + 1)) {
            (Some(&start), Some(&end)) => start..end,
            _ => 0..0,
        }
    }

    /// The node and the component behind a slot.
    pub fn locate(&self, slot: usize) -> (usize, usize) {
        let node = self.starts.partition_point(|&start| start <= slot).saturating_sub(1);
        (node, slot - self.starts[node])
    }

    /// The number of slots.
    pub fn len(&self) -> usize {
        self.masks.len()
    }

    /// The slots of argument `k` of a node.
    pub fn argument(&self, node: usize, k: usize) -> std::ops::Range<usize> {
        self.slots(self.nodes[node].args[k] as usize)
    }

    /// The slot of argument `k` that component `i` of an elementwise operation reads.
    pub fn operand(&self, node: usize, k: usize, i: usize) -> usize {
        let slots = self.argument(node, k);
        if slots.len() == 1 { slots.start } else { slots.start + i }
    }

    /// Whether the component in `slot` depends on the block.
    pub fn depends(&self, slot: usize, block: Block) -> bool {
        self.masks[slot] & block.mask() != 0
    }

    /// The value of a component that depends on no variable.
    pub fn constant(&self, slot: usize) -> Option<f64> {
        if self.masks[slot] == 0 { self.ranges[slot].value() } else { None }
    }

    /// The position of a variable's component among the block's variables (x, then y), if it belongs to the block.
    pub fn variable(&self, level: Level, index: usize, block: Block) -> Option<usize> {
        match (level, block) {
            (Level::Leader, Block::Leader | Block::Both) | (Level::Follower, Block::Follower) => Some(index),
            (Level::Follower, Block::Both) => Some(self.leader_size + index),
            (Level::Leader, Block::Follower) | (Level::Follower, Block::Leader) => None,
        }
    }

    /// The number of variables in the block.
    pub fn block_size(&self, block: Block) -> usize {
        match block {
            Block::Leader => self.leader_size,
            Block::Follower => self.follower_size,
            Block::Both => self.leader_size + self.follower_size,
        }
    }

    fn fill_masks(&mut self, node: usize) {
        let slots = self.slots(node);
        let mut masks = std::mem::take(&mut self.masks);
        match &self.nodes[node].op {
            Op::Variable { level: Level::Leader, .. } => masks[slots].fill(LEADER),
            Op::Variable { level: Level::Follower, .. } => masks[slots].fill(FOLLOWER),
            Op::Constant { .. } => {}
            Op::MatVec { matrix, transpose } => {
                let argument = self.argument(node, 0);
                visit(matrix, *transpose, |i, j, _| masks[slots.start + i] |= masks[argument.start + j]);
            }
            Op::Map(f) => {
                for i in 0..slots.len() {
                    let from = self.operand(node, 0, i);
                    // The positive part of something nonpositive depends on nothing.
                    let flat = matches!(function::piece(*f, self.ranges[from]), Piece::Affine { slope: 0.0, .. });
                    masks[slots.start + i] = if flat { 0 } else { masks[from] };
                }
            }
            op => {
                for i in 0..slots.len() {
                    let mask = self.sources(op, node, i).fold(0, |mask, slot| mask | masks[slot]);
                    masks[slots.start + i] = mask;
                }
            }
        }
        self.masks = masks;
    }

    /// The slots that component `i` of a node reads: of a maximum that one operand always wins, only the winner; of
    /// matrix products the whole vector.
    pub fn sources(&self, op: &Op, node: usize, i: usize) -> Box<dyn Iterator<Item = usize> + '_> {
        let all = (0..self.nodes[node].args.len()).flat_map(move |k| self.argument(node, k));
        match op {
            Op::Variable { .. } | Op::Constant { .. } => Box::new(std::iter::empty()),
            Op::Add | Op::Sub | Op::Mul | Op::Div | Op::PowerOf | Op::Max | Op::Min => {
                match dominant(self, op, node, i) {
                    Some(k) => Box::new(std::iter::once(self.operand(node, k, i))),
                    None => Box::new([self.operand(node, 0, i), self.operand(node, 1, i)].into_iter()),
                }
            }
            Op::Neg | Op::Map(_) => Box::new(std::iter::once(self.operand(node, 0, i))),
            Op::Gather(indices) => Box::new(std::iter::once(self.argument(node, 0).start + indices[i])),
            Op::GroupNorms { starts } => {
                let start = self.argument(node, 0).start;
                Box::new(start + starts[i]..start + starts[i + 1])
            }
            Op::Concat => Box::new(all.skip(i).take(1)),
            Op::MaxOf
            | Op::Sum
            | Op::Dot
            | Op::SumSquares
            | Op::MatVec { .. }
            | Op::Quadratic { .. }
            | Op::NormP(_) => Box::new(all),
        }
    }

    fn fill_ranges(&mut self, node: usize, bounds: &VariableBounds) {
        let slots = self.slots(node);
        let mut found = Vec::with_capacity(slots.len());
        match &self.nodes[node].op {
            Op::Variable { level: Level::Leader, offset } => {
                found.extend_from_slice(&bounds.leader[*offset..offset + slots.len()]);
            }
            Op::Variable { level: Level::Follower, offset } => {
                found.extend_from_slice(&bounds.follower[*offset..offset + slots.len()]);
            }
            Op::Constant { values, .. } => found.extend(values.iter().map(|&v| Range::point(v))),
            Op::MatVec { matrix, transpose } => {
                found.resize(slots.len(), Range::ZERO);
                let argument = &self.ranges[self.argument(node, 0)];
                visit(matrix, *transpose, |i, j, a| found[i] = found[i].add(argument[j].scale(a)));
            }
            Op::Concat => {
                for k in 0..self.nodes[node].args.len() {
                    found.extend_from_slice(&self.ranges[self.argument(node, k)]);
                }
            }
            op => found.extend((0..slots.len()).map(|i| self.range_of(op, node, i))),
        }
        self.ranges[slots].copy_from_slice(&found);
    }

    /// The range of component `i` of an operation on known ranges.
    fn range_of(&self, op: &Op, node: usize, i: usize) -> Range {
        let pair = |f: fn(Range, Range) -> Range| {
            f(self.ranges[self.operand(node, 0, i)], self.ranges[self.operand(node, 1, i)])
        };
        let sources = || self.sources(op, node, i).map(|slot| self.ranges[slot]);
        let squares = || sources().fold(Range::ZERO, |sum, z| sum.add(z.square()));
        match op {
            Op::Add => pair(Range::add),
            Op::Sub => pair(Range::sub),
            Op::Mul if self.nodes[node].args[0] == self.nodes[node].args[1] => {
                self.ranges[self.operand(node, 0, i)].square()
            }
            Op::Mul => pair(Range::mul),
            Op::Div => pair(Range::div),
            Op::PowerOf => pair(power_of),
            Op::Max => pair(Range::max),
            Op::Min => pair(Range::min),
            Op::Neg => sources().fold(Range::ZERO, |_, z| z.neg()),
            Op::Map(f) => sources().fold(Range::ZERO, |_, z| function::local(*f, z).values),
            Op::Gather(_) => sources().fold(Range::ZERO, |_, z| z),
            Op::MaxOf => sources().reduce(Range::max).unwrap_or(Range::ALL),
            Op::Sum => sources().fold(Range::ZERO, Range::add),
            Op::SumSquares => squares(),
            Op::Dot => {
                let (a, b) = (&self.ranges[self.argument(node, 0)], &self.ranges[self.argument(node, 1)]);
                if self.nodes[node].args[0] == self.nodes[node].args[1] {
                    return a.iter().fold(Range::ZERO, |sum, z| sum.add(z.square()));
                }
                a.iter().zip(b).fold(Range::ZERO, |sum, (a, b)| sum.add(a.mul(*b)))
            }
            Op::Quadratic { matrix } => {
                let z = &self.ranges[self.argument(node, 0)];
                let mut sum = Range::ZERO;
                visit(matrix, false, |i, j, q| {
                    sum = sum.add(if i == j { z[i].square().scale(q) } else { z[i].mul(z[j]).scale(q) });
                });
                // The terms' ranges know nothing of each other; a semidefinite form has a sign.
                match definiteness_of_form(matrix, &vec![true; z.len()]) {
                    Definite { positive: true, .. } => sum.at_least(0.0),
                    Definite { negative: true, .. } => sum.neg().at_least(0.0).neg(),
                    _ => sum,
                }
            }
            Op::GroupNorms { .. } => function::local(Function::Sqrt, squares()).values,
            Op::NormP(p) => {
                let sum = sources().fold(Range::ZERO, |sum, z| sum.add(z.abs().power(*p)));
                sum.power(1.0 / p)
            }
            // Handled by the caller, for all components at once.
            Op::Variable { .. } | Op::Constant { .. } | Op::MatVec { .. } | Op::Concat => Range::ALL,
        }
    }
}

/// a^b for a > 0.
fn power_of(a: Range, b: Range) -> Range {
    let exponent = b.mul(a.at_least(0.0).increasing(f64::ln));
    exponent.increasing(f64::exp)
}

/// Calls `see(row, column, value)` for the nonzero entries of the matrix, or of its transpose.
pub(super) fn visit(matrix: &Matrix, transpose: bool, mut see: impl FnMut(usize, usize, f64)) {
    matrix.for_each(|i, j, value| {
        if value != 0.0 {
            if transpose { see(j, i, value) } else { see(i, j, value) }
        }
    });
}

/// The nonzero entries of one row of the matrix, or of its transpose.
pub(in crate::expr) fn row_of(matrix: &Matrix, transpose: bool, row: usize) -> Vec<(usize, f64)> {
    let all: Vec<(usize, f64)> = match (matrix, transpose) {
        (Matrix::Dense(a), false) => a.row(row).iter().copied().enumerate().collect(),
        (Matrix::Dense(a), true) => (0..a.rows()).map(|k| (k, a[(k, row)])).collect(),
        (Matrix::Sparse(a), false) => a.row(row).collect(),
        (Matrix::Sparse(a), true) => {
            (0..a.rows()).flat_map(|k| a.row(k).filter(|e| e.0 == row).map(move |e| (k, e.1))).collect()
        }
    };
    all.into_iter().filter(|e| e.1 != 0.0).collect()
}

/// The nonzero entries of the matrix, or of its transpose, row by row.
pub(super) fn rows_of(matrix: &Matrix, transpose: bool) -> Vec<Vec<(usize, f64)>> {
    let count = if transpose { matrix.cols() } else { matrix.rows() };
    let mut rows = vec![Vec::new(); count];
    visit(matrix, transpose, |i, j, value| rows[i].push((j, value)));
    rows
}
