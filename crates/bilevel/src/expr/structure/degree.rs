//! The degree of every component as a polynomial in a block, and whether it is smooth there.

use super::formula::{Formula, visit};
use super::function::{self, Piece};
use super::{Block, Degree};
use crate::expr::Op;

impl Degree {
    fn times(self, other: Degree) -> Degree {
        match self as u8 + other as u8 {
            0 => Degree::Constant,
            1 => Degree::Affine,
            2 => Degree::Quadratic,
            _ => Degree::Nonlinear,
        }
    }

    /// The degree of any other function of something of this degree.
    fn other(self) -> Degree {
        if self == Degree::Constant { Degree::Constant } else { Degree::Nonlinear }
    }
}

/// Degrees and smoothness of all components in one block.
#[derive(Debug)]
pub(super) struct Degrees {
    pub degree: Vec<Degree>,
    /// Whether the component is smooth.
    pub smooth: Vec<bool>,
    /// Whether the component's own operation is not smooth.
    pub kink: Vec<bool>,
}

impl Degrees {
    pub fn new(formula: &Formula, block: Block) -> Self {
        let size = formula.len();
        let mut out = Self { degree: vec![Degree::Constant; size], smooth: vec![true; size], kink: vec![false; size] };
        for node in 0..formula.nodes.len() {
            let slots = formula.slots(node);
            let op = &formula.nodes[node].op;
            if let Op::MatVec { matrix, transpose } = op {
                let argument = formula.argument(node, 0);
                visit(matrix, *transpose, |i, j, _| {
                    let (to, from) = (slots.start + i, argument.start + j);
                    out.degree[to] = out.degree[to].max(out.degree[from]);
                    out.smooth[to] &= out.smooth[from];
                });
                continue;
            }
            for (i, slot) in slots.enumerate() {
                if !formula.depends(slot, block) {
                    continue;
                }
                out.degree[slot] = out.degree_of(formula, op, node, i);
                out.kink[slot] = !operation_is_smooth(formula, op, node, i, block);
                out.smooth[slot] = !out.kink[slot] && formula.sources(op, node, i).all(|slot| out.smooth[slot]);
            }
        }
        out
    }

    fn degree_of(&self, formula: &Formula, op: &Op, node: usize, i: usize) -> Degree {
        let operand = |k| self.degree[formula.operand(node, k, i)];
        let highest = || formula.sources(op, node, i).map(|slot| self.degree[slot]).max().unwrap_or(Degree::Constant);
        match op {
            Op::Variable { .. } => Degree::Affine,
            Op::Constant { .. } => Degree::Constant,
            Op::Add | Op::Sub | Op::Neg | Op::Sum | Op::Gather(_) | Op::Concat | Op::MatVec { .. } => highest(),
            Op::Mul => operand(0).times(operand(1)),
            Op::Div if operand(1) == Degree::Constant => operand(0),
            Op::Div | Op::PowerOf | Op::GroupNorms { .. } | Op::NormP(_) => highest().other(),
            Op::Max | Op::Min => match dominant(formula, op, node, i) {
                Some(k) => operand(k),
                None => highest().other(),
            },
            Op::MaxOf if formula.argument(node, 0).len() == 1 => highest(),
            Op::MaxOf => highest().other(),
            Op::Map(f) => match function::piece(*f, formula.ranges[formula.operand(node, 0, i)]) {
                Piece::Affine { .. } => operand(0),
                Piece::Square { .. } => operand(0).times(operand(0)),
                Piece::Other => operand(0).other(),
            },
            Op::SumSquares | Op::Quadratic { .. } => {
                let degree = highest();
                degree.times(degree)
            }
            Op::Dot => {
                let pairs = formula.argument(node, 0).zip(formula.argument(node, 1));
                pairs.map(|(a, b)| self.degree[a].times(self.degree[b])).max().unwrap_or(Degree::Constant)
            }
        }
    }
}

/// The operand of a pairwise maximum or minimum that always wins, if the ranges say so.
pub(super) fn dominant(formula: &Formula, op: &Op, node: usize, i: usize) -> Option<usize> {
    let (a, b) = (formula.ranges[formula.operand(node, 0, i)], formula.ranges[formula.operand(node, 1, i)]);
    let (first, second) = match op {
        Op::Max => (a.lower() >= b.upper(), b.lower() >= a.upper()),
        Op::Min => (a.upper() <= b.lower(), b.upper() <= a.lower()),
        _ => (false, false),
    };
    if first { Some(0) } else { second.then_some(1) }
}

/// Whether the operation is twice continuously differentiable at the values its operands take, wherever it is defined.
fn operation_is_smooth(formula: &Formula, op: &Op, node: usize, i: usize, block: Block) -> bool {
    let inputs_move = || formula.sources(op, node, i).any(|slot| formula.depends(slot, block));
    match op {
        Op::Variable { .. }
        | Op::Constant { .. }
        | Op::Add
        | Op::Sub
        | Op::Mul
        | Op::Div
        | Op::Neg
        | Op::PowerOf
        | Op::Sum
        | Op::Dot
        | Op::SumSquares
        | Op::MatVec { .. }
        | Op::Quadratic { .. }
        | Op::Gather(_)
        | Op::Concat => true,
        Op::Map(f) => function::local(*f, formula.ranges[formula.operand(node, 0, i)]).smooth || !inputs_move(),
        Op::Max | Op::Min => dominant(formula, op, node, i).is_some() || !inputs_move(),
        Op::MaxOf => formula.argument(node, 0).len() <= 1 || !inputs_move(),
        // A Euclidean norm is smooth away from 0.
        Op::GroupNorms { .. } => formula.ranges[formula.slots(node).start + i].lower() > 0.0 || !inputs_move(),
        // Other norms also need every entry away from 0 for p < 2; the 1-norm, entries of one sign.
        Op::NormP(p) => {
            let away = formula.ranges[formula.slots(node).start + i].lower() > 0.0;
            let entries = *p >= 2.0
                || formula.argument(node, 0).all(|slot| formula.ranges[slot].abs().lower() > 0.0)
                || *p == 1.0 && formula.argument(node, 0).all(|slot| !formula.ranges[slot].contains_inside(0.0));
            (away || *p == 1.0) && entries || !inputs_move()
        }
    }
}
