//! From the expression graph to scalar operations: vector operations are written out entry by entry.

use crate::expr::{Expr, Function, Graph, Level, Matrix, Node, NodeId, Op};
use crate::proof::interval::Interval;

use super::builder::Builder;
use super::code::Index;
use super::unary::Unary;

/// A formula cannot be turned into a program.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The formula is too large to be written out.
    #[error("the formula needs more than {limit} scalar operations")]
    TooLarge {
        /// The largest number allowed.
        limit: usize,
    },
    /// The formula is invalid or uses a variable that there is none of.
    #[error("invalid formula")]
    Invalid,
}

/// Turns formulas of one graph into operations of one [`Builder`]. Variables are numbered with the leader's first, then
/// the follower's.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// The operations so far.
    pub builder: Builder,
    leader: Vec<Index>,
    follower: Vec<Index>,
    limit: usize,
}

impl Compiler {
    /// For `n` leader and `m` follower variables; formulas of more than `limit` scalar operations are refused.
    pub fn new(n: usize, m: usize, limit: usize) -> Self {
        let mut builder = Builder::new();
        let leader = (0..n).map(|v| builder.variable(v)).collect();
        let follower = (0..m).map(|v| builder.variable(n + v)).collect();
        Self { builder, leader, follower, limit }
    }

    /// As [`Compiler::new`], with the leader's variables fixed at `x`; the follower's are numbered from 0.
    pub fn at_leader(x: &[f64], m: usize, limit: usize) -> Self {
        let mut builder = Builder::new();
        let leader = x.iter().map(|&v| builder.number(v)).collect();
        let follower = (0..m).map(|v| builder.variable(v)).collect();
        Self { builder, leader, follower, limit }
    }

    /// The operation of the follower's variable `j`.
    pub fn follower_variable(&self, j: usize) -> Option<Index> {
        self.follower.get(j).copied()
    }

    /// The operation of the leader's variable `i`.
    pub fn leader_variable(&self, i: usize) -> Option<Index> {
        self.leader.get(i).copied()
    }

    /// Adds a formula; returns the operations of its entries.
    ///
    /// # Errors
    /// An invalid formula, or one that is too large.
    pub fn formula(&mut self, expr: &Expr) -> Result<Vec<Index>, CompileError> {
        let id = expr.check().map_err(|_| CompileError::Invalid)?;
        self.node(expr.graph(), id)
    }

    fn node(&mut self, graph: &Graph, id: NodeId) -> Result<Vec<Index>, CompileError> {
        let (nodes, roots) = graph.extract(&[id]);
        if nodes.iter().map(work).fold(0, usize::saturating_add) > self.limit {
            return Err(CompileError::TooLarge { limit: self.limit });
        }
        let mut entries: Vec<Vec<Index>> = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let made = self.operation(node, &entries)?;
            entries.push(made);
        }
        roots.first().and_then(|&root| entries.get(root as usize).cloned()).ok_or(CompileError::Invalid)
    }

    fn operation(&mut self, node: &Node, entries: &[Vec<Index>]) -> Result<Vec<Index>, CompileError> {
        let len = node.shape.len();
        let arg = |k: usize| -> &[Index] { node.args.get(k).map_or(&[], |&a| &entries[a as usize]) };
        // Scalars broadcast.
        let entry = |k: usize, i: usize| -> Index {
            let all = arg(k);
            if all.len() == 1 { all[0] } else { all[i] }
        };
        let b = &mut self.builder;
        Ok(match &node.op {
            Op::Variable { level, offset } => {
                let all = if *level == Level::Leader { &self.leader } else { &self.follower };
                all.get(*offset..offset + len).ok_or(CompileError::Invalid)?.to_vec()
            }
            Op::Constant { values, rounded } => {
                let enclose = |v: f64| if *rounded { Interval::rounded(v) } else { Interval::point(v) };
                values.iter().map(|&v| b.constant(enclose(v))).collect()
            }
            Op::Add => (0..len).map(|i| b.add(entry(0, i), entry(1, i))).collect(),
            Op::Sub => (0..len).map(|i| b.sub(entry(0, i), entry(1, i))).collect(),
            Op::Mul => (0..len).map(|i| b.mul(entry(0, i), entry(1, i))).collect(),
            Op::Div => (0..len).map(|i| b.div(entry(0, i), entry(1, i))).collect(),
            Op::Neg => (0..len).map(|i| b.apply(Unary::Neg, entry(0, i))).collect(),
            Op::PowerOf => (0..len).map(|i| power_of(b, entry(0, i), entry(1, i))).collect(),
            Op::Map(function) => (0..len).map(|i| map(b, *function, entry(0, i))).collect(),
            Op::Max => (0..len).map(|i| b.max(entry(0, i), entry(1, i))).collect(),
            Op::Min => (0..len).map(|i| b.min(entry(0, i), entry(1, i))).collect(),
            Op::MaxOf => {
                let first = *arg(0).first().ok_or(CompileError::Invalid)?;
                vec![arg(0)[1..].iter().fold(first, |largest, &a| b.max(largest, a))]
            }
            Op::Sum => vec![sum(b, arg(0))],
            Op::Dot => {
                let products: Vec<_> = (0..arg(0).len()).map(|i| b.mul(entry(0, i), entry(1, i))).collect();
                vec![sum(b, &products)]
            }
            Op::SumSquares => {
                let squares: Vec<_> = arg(0).iter().map(|&a| b.apply(Unary::Square, a)).collect();
                vec![sum(b, &squares)]
            }
            Op::MatVec { matrix, transpose } => matrix_vector(b, matrix, *transpose, arg(0), len),
            Op::Quadratic { matrix } => vec![quadratic(b, matrix, arg(0))],
            Op::GroupNorms { starts } => starts.windows(2).map(|w| b.norm(&arg(0)[w[0]..w[1]], 2.0)).collect(),
            Op::NormP(p) => vec![b.norm(arg(0), *p)],
            Op::Gather(indices) => indices.iter().map(|&i| arg(0)[i]).collect(),
            Op::Concat => (0..node.args.len()).flat_map(|k| arg(k).to_vec()).collect(),
        })
    }
}

/// How many scalar operations a node takes, about.
fn work(node: &Node) -> usize {
    let stored = |matrix: &Matrix| match matrix {
        Matrix::Dense(a) => a.rows().saturating_mul(a.cols()),
        Matrix::Sparse(a) => a.stored(),
    };
    match &node.op {
        Op::MatVec { matrix, .. } => 2 * stored(matrix),
        Op::Quadratic { matrix } => 3 * stored(matrix),
        _ => node.shape.len().max(1),
    }
}

fn sum(b: &mut Builder, terms: &[Index]) -> Index {
    let zero = b.number(0.0);
    terms.iter().fold(zero, |sum, &term| b.add(sum, term))
}

fn power_of(b: &mut Builder, base: Index, power: Index) -> Index {
    match b.constant_value(power) {
        Some(p) if p.is_point() && p.lo().fract() != 0.0 => b.power(base, p.lo()),
        _ => {
            let log = b.apply(Unary::Log, base);
            let scaled = b.mul(power, log);
            b.apply(Unary::Exp, scaled)
        }
    }
}

fn map(b: &mut Builder, function: Function, z: Index) -> Index {
    let function = match function {
        Function::Exp => Unary::Exp,
        Function::Log => Unary::Log,
        Function::Log1p => Unary::Log1p,
        Function::Expm1 => Unary::Expm1,
        Function::Sqrt => Unary::Sqrt,
        Function::Square => Unary::Square,
        Function::Sin => Unary::Sin,
        Function::Cos => Unary::Cos,
        Function::Tan => Unary::Tan,
        Function::Tanh => Unary::Tanh,
        Function::Sigmoid => Unary::Sigmoid,
        Function::Softplus => Unary::Softplus,
        Function::Abs => Unary::Abs,
        Function::Plus => Unary::Plus,
        Function::Huber(d) => Unary::Huber(d),
        Function::AbsPower(p) => return b.abs_power(z, p),
        Function::Power(p) => return b.power(z, p),
    };
    b.apply(function, z)
}

fn triplets(matrix: &Matrix, mut visit: impl FnMut(usize, usize, f64)) {
    match matrix {
        Matrix::Dense(a) => {
            for i in 0..a.rows() {
                a.row(i).iter().enumerate().for_each(|(j, &v)| visit(i, j, v));
            }
        }
        Matrix::Sparse(a) => {
            for i in 0..a.rows() {
                a.row(i).for_each(|(j, v)| visit(i, j, v));
            }
        }
    }
}

fn matrix_vector(b: &mut Builder, matrix: &Matrix, transpose: bool, z: &[Index], len: usize) -> Vec<Index> {
    let zero = b.number(0.0);
    let mut out = vec![zero; len];
    triplets(matrix, |i, j, v| {
        let (row, column) = if transpose { (j, i) } else { (i, j) };
        if v != 0.0 {
            let coefficient = b.number(v);
            let term = b.mul(coefficient, z[column]);
            out[row] = b.add(out[row], term);
        }
    });
    out
}

/// zᵀ Q z, with the products of the same two entries joined.
fn quadratic(b: &mut Builder, matrix: &Matrix, z: &[Index]) -> Index {
    let mut joined = std::collections::BTreeMap::new();
    triplets(matrix, |i, j, v| {
        let sum = joined.entry((i.min(j), i.max(j))).or_insert(Interval::ZERO);
        *sum = *sum + Interval::point(v);
    });
    let mut total = b.number(0.0);
    for ((i, j), coefficient) in joined {
        if !(coefficient.is_point() && coefficient.lo() == 0.0) {
            let product = b.mul(z[i], z[j]);
            let coefficient = b.constant(coefficient);
            let term = b.mul(coefficient, product);
            total = b.add(total, term);
        }
    }
    total
}
