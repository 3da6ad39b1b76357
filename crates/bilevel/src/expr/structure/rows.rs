//! Coefficients of affine formulas, `A_x x + A_y y + b`, and the bounds of single variables among them.

use bilevel_linalg::Csr;

use super::degree::dominant;
use super::formula::{Formula, rows_of};
use super::function::{self, Piece};
use super::{Block, Degree, Structure};
use crate::expr::{Level, Matrix, NodeId, Op};

/// A component that is affine in a block, with constant coefficients.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Sorted by the position of the variable in the block.
    pub entries: Vec<(u32, f64)>,
    /// `None` if it depends on the variables outside of the block.
    pub constant: Option<f64>,
}

impl Row {
    fn sum(terms: impl Iterator<Item = Option<(f64, Row)>>) -> Option<Row> {
        let (mut entries, mut constant) = (Vec::new(), Some(0.0));
        for term in terms {
            let (weight, row) = term?;
            entries.extend(row.entries.iter().map(|&(j, a)| (j, weight * a)));
            constant = constant.zip(row.constant).map(|(sum, c)| sum + weight * c);
        }
        Some(Row { entries: merged(entries), constant })
    }

    fn map(mut self, f: impl Fn(f64) -> f64) -> Row {
        self.entries.iter_mut().for_each(|e| e.1 = f(e.1));
        Row { constant: self.constant.map(f), ..self }
    }
}

fn merged(mut entries: Vec<(u32, f64)>) -> Vec<(u32, f64)> {
    entries.sort_by_key(|e| e.0);
    entries.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    entries.retain(|e| e.1 != 0.0);
    entries
}

/// The rows of all components that `root` needs and that are affine in the block with constant coefficients.
pub(super) fn rows(formula: &Formula, block: Block, root: usize) -> Vec<Option<Row>> {
    let mut needed = vec![false; formula.nodes.len()];
    if let Some(last) = needed.get_mut(root) {
        *last = true;
    }
    for node in (0..needed.len()).rev() {
        if needed[node] {
            formula.nodes[node].args.iter().for_each(|&k| needed[k as usize] = true);
        }
    }
    let mut out: Vec<Option<Row>> = vec![None; formula.len()];
    for node in (0..needed.len()).filter(|&node| needed[node]) {
        if let Op::MatVec { matrix, transpose } = &formula.nodes[node].op {
            matrix_rows(formula, node, matrix, *transpose, &mut out);
        }
        for (i, slot) in formula.slots(node).enumerate() {
            if !formula.depends(slot, block) {
                out[slot] = Some(Row { entries: Vec::new(), constant: formula.constant(slot) });
            } else if !matches!(formula.nodes[node].op, Op::MatVec { .. }) {
                out[slot] = row(formula, block, node, i, &out);
            }
        }
    }
    out
}

fn matrix_rows(formula: &Formula, node: usize, matrix: &Matrix, transpose: bool, out: &mut [Option<Row>]) {
    let start = formula.argument(node, 0).start;
    for (slot, row) in formula.slots(node).zip(rows_of(matrix, transpose)) {
        out[slot] = Row::sum(row.into_iter().map(|(j, a)| out[start + j].clone().map(|row| (a, row))));
    }
}

fn row(formula: &Formula, block: Block, node: usize, i: usize, known: &[Option<Row>]) -> Option<Row> {
    let op = &formula.nodes[node].op;
    let slot = |k| formula.operand(node, k, i);
    let operand = |k: usize| known[slot(k)].clone();
    let product = |a: usize, b: usize| match (formula.constant(a), formula.constant(b)) {
        (Some(factor), _) => known[b].clone().map(|row| row.map(|v| factor * v)),
        (None, Some(factor)) => known[a].clone().map(|row| row.map(|v| v * factor)),
        (None, None) => None,
    };
    match op {
        Op::Variable { level, offset } => {
            let place = formula.variable(*level, offset + i, block)?;
            Some(Row { entries: vec![(place as u32, 1.0)], constant: Some(0.0) })
        }
        Op::Add | Op::Sum | Op::Gather(_) | Op::Concat => {
            Row::sum(formula.sources(op, node, i).map(|slot| known[slot].clone().map(|row| (1.0, row))))
        }
        Op::Sub => Row::sum([(1.0, operand(0)), (-1.0, operand(1))].into_iter().map(|(w, row)| Some((w, row?)))),
        Op::Neg => operand(0).map(|row| row.map(|v| -v)),
        Op::Mul => product(slot(0), slot(1)),
        Op::Dot => {
            let pairs = formula.argument(node, 0).zip(formula.argument(node, 1));
            Row::sum(pairs.map(|(a, b)| product(a, b).map(|row| (1.0, row))))
        }
        Op::Div => {
            let divisor = formula.constant(slot(1)).filter(|&d| d != 0.0)?;
            operand(0).map(|row| row.map(|v| v / divisor))
        }
        Op::Map(f) => match function::piece(*f, formula.ranges[slot(0)]) {
            Piece::Affine { slope, offset } => {
                let row = operand(0)?.map(|v| slope * v);
                Some(Row { constant: row.constant.map(|c| c + offset), entries: merged(row.entries) })
            }
            Piece::Square { .. } | Piece::Other => None,
        },
        Op::Max | Op::Min => operand(dominant(formula, op, node, i)?),
        Op::MaxOf if formula.argument(node, 0).len() == 1 => operand(0),
        // Constants and matrix products are handled by the caller.
        Op::Constant { .. }
        | Op::MatVec { .. }
        | Op::PowerOf
        | Op::MaxOf
        | Op::SumSquares
        | Op::Quadratic { .. }
        | Op::GroupNorms { .. }
        | Op::NormP(_) => None,
    }
}

/// Affine formulas `A_x x + A_y y + b`, one row per component.
#[derive(Clone, Debug, PartialEq)]
pub struct AffineRows {
    /// A_x, with one column per variable of the leader.
    pub leader: Csr,
    /// A_y, with one column per variable of the follower.
    pub follower: Csr,
    /// b.
    pub constant: Vec<f64>,
}

/// Bounds of a single variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VariableBound {
    /// Whose variable.
    pub level: Level,
    /// Its position in the level's vector.
    pub index: usize,
    /// Its lower bound, or -inf.
    pub lower: f64,
    /// Its upper bound, or +inf.
    pub upper: f64,
}

impl AffineRows {
    /// What row `i` says of a single variable: the variable, its coefficient and the constant; `None` if the row has
    /// no or several variables, or does not exist.
    pub fn single(&self, i: usize) -> Option<(Level, usize, f64, f64)> {
        let constant = *self.constant.get(i)?;
        let leader = self.leader.row(i).map(|(j, a)| (Level::Leader, j, a, constant));
        let mut entries = leader.chain(self.follower.row(i).map(|(j, a)| (Level::Follower, j, a, constant)));
        entries.next().filter(|_| entries.next().is_none())
    }

    /// The bound that `row <= 0` (or `row == 0`) puts on a single variable.
    pub fn bound(&self, i: usize, equality: bool) -> Option<VariableBound> {
        let (level, index, coefficient, constant) = self.single(i)?;
        let end = -constant / coefficient;
        let (lower, upper) = match (equality, coefficient > 0.0) {
            (true, _) => (end, end),
            (false, true) => (f64::NEG_INFINITY, end),
            (false, false) => (end, f64::INFINITY),
        };
        end.is_finite().then_some(VariableBound { level, index, lower, upper })
    }
}

impl Structure {
    /// The coefficients of a node whose components are all affine in (x, y) together; `None` if one is not.
    pub fn affine_rows(&self, node: NodeId) -> Option<AffineRows> {
        let formula = &self.formula;
        if node as usize >= formula.nodes.len() || self.degree(node, Block::Both) > Degree::Affine {
            return None;
        }
        let mut rows = rows(formula, Block::Both, node as usize);
        let slots = formula.slots(node as usize);
        let (mut leader, mut follower, mut constant) = (Vec::new(), Vec::new(), Vec::with_capacity(slots.len()));
        let count = slots.len();
        for (i, slot) in slots.enumerate() {
            let row = rows[slot].take()?;
            constant.push(row.constant?);
            for (j, a) in row.entries {
                match (j as usize).checked_sub(formula.leader_size) {
                    Some(j) => follower.push((i, j, a)),
                    None => leader.push((i, j as usize, a)),
                }
            }
        }
        let leader = Csr::from_triplets(count, formula.leader_size, &leader)?;
        Some(AffineRows { leader, follower: Csr::from_triplets(count, formula.follower_size, &follower)?, constant })
    }
}
