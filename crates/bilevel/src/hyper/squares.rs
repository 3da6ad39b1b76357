//! A function that is quadratic in y, read off its formula as a weighted sum of squares:
//!
//! ```text
//! g(x, y) = Σ_i w_i(x) (a_i(x)ᵀ y − b_i(x))² + (a part that is affine in y)
//! ```
//!
//! At a given x this gives the factors of the Hessian, 2 Aᵀ W A, for the price of writing A down, where its entries
//! would cost a product: what makes large least-squares followers cheap.

use std::sync::Arc;

use bilevel_linalg::Dense;

use crate::expr::{Expr, Function, Level, Matrix, Node, NodeId, Op, Tape, Workspace};
use crate::smooth::Smoothing;

/// Largest number of entries of A.
const LARGEST: usize = 20_000_000;

/// Rows of A with their weights: the Hessian is Σ over blocks of Aᵀ W A.
pub(super) struct Block {
    /// The rows.
    pub rows: Rows,
    /// One weight a row, the factor 2 of the second derivative included.
    pub weights: Vec<f64>,
}

/// Some rows of A.
#[derive(Clone, Debug)]
pub(super) enum Rows {
    /// Row i has one entry at most, `values[i]` at column `columns[i]`.
    Picks {
        /// The columns.
        columns: Vec<usize>,
        /// The entries.
        values: Vec<f64>,
    },
    /// A dense block.
    Dense(Arc<Dense>),
}

/// The terms of a formula.
#[derive(Clone, Debug)]
pub(super) struct Squares {
    formula: Expr,
    terms: Vec<Term>,
    /// The parts that depend on x alone, by node.
    factors: Vec<NodeId>,
    tape: Arc<Tape>,
    followers: usize,
    /// Whether A is the same at every x, and whether the weights are.
    pub constant_rows: bool,
    /// See `constant_rows`.
    pub constant_weights: bool,
}

/// coefficient * Σ_i weight_i residual_i².
#[derive(Clone, Debug)]
struct Term {
    residual: NodeId,
    weight: Weight,
}

/// A product of a number and of parts that depend on x alone.
#[derive(Clone, Debug)]
struct Weight {
    number: f64,
    factors: Vec<NodeId>,
    divisors: Vec<NodeId>,
}

impl Weight {
    fn scaled(&self, by: f64) -> Self {
        Self { number: self.number * by, ..self.clone() }
    }

    fn times(&self, factor: NodeId) -> Self {
        let mut out = self.clone();
        out.factors.push(factor);
        out
    }

    fn over(&self, divisor: NodeId) -> Self {
        let mut out = self.clone();
        out.divisors.push(divisor);
        out
    }
}

impl Squares {
    /// Reads a formula in n and m variables; `None` if it has another form, or no squares.
    pub fn new(formula: &Expr, n: usize, m: usize) -> Option<Self> {
        let mut reader = Reader { formula, terms: Vec::new(), factors: Vec::new() };
        let root = formula.id()?;
        reader.scalar(root, &Weight { number: 1.0, factors: Vec::new(), divisors: Vec::new() })?;
        let terms = reader.terms;
        let mut factors = reader.factors;
        let mut collector = Collector { formula, factors: Vec::new() };
        for term in &terms {
            rows(formula, term.residual, m, &mut |node| Some(collector.note(node)))?;
        }
        let constant = |node: &NodeId| !depends(formula, *node, Level::Leader);
        let constant_rows = collector.factors.iter().all(constant);
        let constant_weights = factors.iter().all(constant);
        factors.extend(collector.factors);
        factors.sort_unstable();
        factors.dedup();
        let roots: Vec<Expr> = factors.iter().map(|&id| formula.with_id(id)).collect();
        let tape = Arc::new(Tape::compile(&roots, n, m).ok()?);
        let followers = m;
        let formula = formula.clone();
        (!terms.is_empty()).then_some(Self {
            formula,
            terms,
            factors,
            tape,
            followers,
            constant_rows,
            constant_weights,
        })
    }

    /// Whether nothing of it depends on x.
    pub fn is_free_of_leader(&self) -> bool {
        self.constant_rows && self.constant_weights && self.tape.leaders() == 0
    }

    /// The blocks at x.
    pub fn at(&self, x: &[f64]) -> Option<Vec<Block>> {
        let mut workspace = Workspace::new(&self.tape);
        let y = vec![0.0; self.followers];
        let evaluation = self.tape.evaluate(&mut workspace, x, &y, Smoothing::EXACT);
        let value = |node: NodeId| {
            let place = self.factors.binary_search(&node).ok()?;
            Some(evaluation.output(place).to_vec())
        };
        let mut blocks = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let rows = rows(&self.formula, term.residual, self.followers, &mut |node| value(node))?;
            let mut weights = vec![2.0 * term.weight.number; rows.len()];
            for node in &term.weight.factors {
                combine(&mut weights, &value(*node)?, |w, v| w * v)?;
            }
            for node in &term.weight.divisors {
                combine(&mut weights, &value(*node)?, |w, v| w / v)?;
            }
            blocks.push(Block { rows, weights });
        }
        Some(blocks)
    }
}

impl Squares {
    /// The residuals a_iᵀ y − b_i at y = 0, term by term.
    pub fn offsets(&self, x: &[f64]) -> Option<Vec<f64>> {
        let roots: Vec<Expr> = self.terms.iter().map(|term| self.formula.with_id(term.residual)).collect();
        let tape = Tape::compile(&roots, x.len(), self.followers).ok()?;
        let mut out = vec![0.0; tape.outputs()];
        let y = vec![0.0; self.followers];
        tape.evaluate(&mut Workspace::new(&tape), x, &y, Smoothing::EXACT).write_outputs(&mut out);
        Some(out)
    }
}

fn combine(weights: &mut [f64], values: &[f64], f: impl Fn(f64, f64) -> f64) -> Option<()> {
    if values.len() != 1 && values.len() != weights.len() {
        return None;
    }
    weights.iter_mut().enumerate().for_each(|(i, w)| *w = f(*w, values[if values.len() == 1 { 0 } else { i }]));
    Some(())
}

/// Whether a node depends on a level's variables.
fn depends(formula: &Expr, id: NodeId, level: Level) -> bool {
    let (nodes, _) = formula.graph().extract(&[id]);
    nodes.iter().any(|node| matches!(node.op, Op::Variable { level: of, .. } if of == level))
}

/// Notes which parts of x alone the rows need; gives ones in their place.
struct Collector<'a> {
    formula: &'a Expr,
    factors: Vec<NodeId>,
}

impl Collector<'_> {
    fn note(&mut self, node: NodeId) -> Vec<f64> {
        self.factors.push(node);
        vec![1.0; self.formula.with_id(node).shape().len()]
    }
}

/// Reads the terms from the root down.
struct Reader<'a> {
    formula: &'a Expr,
    terms: Vec<Term>,
    factors: Vec<NodeId>,
}

impl Reader<'_> {
    fn node(&self, id: NodeId) -> Node {
        self.formula.graph().node(id)
    }

    fn free(&self, id: NodeId) -> bool {
        !depends(self.formula, id, Level::Follower)
    }

    fn times(&mut self, weight: &Weight, factor: NodeId) -> Weight {
        self.factors.push(factor);
        weight.times(factor)
    }

    fn square(&mut self, residual: NodeId, weight: &Weight) {
        self.terms.push(Term { residual, weight: weight.clone() });
    }

    /// Σ over the components of `id`, weighted.
    fn scalar(&mut self, id: NodeId, weight: &Weight) -> Option<()> {
        if self.free(id) {
            return Some(());
        }
        let node = self.node(id);
        let arg = |k: usize| node.args.get(k).copied();
        match &node.op {
            Op::Add => {
                // A scalar that is added to every component counts as often as there are components.
                self.summand(arg(0)?, node.shape.len(), weight)?;
                self.summand(arg(1)?, node.shape.len(), weight)
            }
            Op::Sub => {
                self.summand(arg(0)?, node.shape.len(), weight)?;
                self.summand(arg(1)?, node.shape.len(), &weight.scaled(-1.0))
            }
            Op::Neg => self.scalar(arg(0)?, &weight.scaled(-1.0)),
            Op::Sum => self.scalar(arg(0)?, weight),
            Op::Mul if arg(0) == arg(1) => {
                self.square(arg(0)?, weight);
                Some(())
            }
            Op::Mul => {
                let (a, b) = (arg(0)?, arg(1)?);
                let (factor, rest) = if self.free(a) { (a, b) } else { (b, a) };
                let fits = self.formula.with_id(rest).shape().len() == node.shape.len();
                if !(self.free(factor) && fits) {
                    return None;
                }
                let weight = self.times(weight, factor);
                self.scalar(rest, &weight)
            }
            Op::Div if self.free(arg(1)?) && self.formula.with_id(arg(0)?).shape().len() == node.shape.len() => {
                self.factors.push(arg(1)?);
                self.scalar(arg(0)?, &weight.over(arg(1)?))
            }
            Op::Dot if arg(0) == arg(1) => {
                self.square(arg(0)?, weight);
                Some(())
            }
            Op::Dot => {
                let (a, b) = (arg(0)?, arg(1)?);
                let (factor, rest) = if self.free(a) { (a, b) } else { (b, a) };
                if !self.free(factor) {
                    return None;
                }
                let weight = self.times(weight, factor);
                self.scalar(rest, &weight)
            }
            Op::SumSquares if weight.is_scalar(self.formula) => {
                self.square(arg(0)?, weight);
                Some(())
            }
            Op::Map(Function::Square) => {
                self.square(arg(0)?, weight);
                Some(())
            }
            // An affine part does not matter; whether it is one is seen by trying to write its rows down.
            _ => rows(self.formula, id, usize::MAX, &mut |node| {
                Some(vec![1.0; self.formula.with_id(node).shape().len()])
            })
            .map(|_| ()),
        }
    }

    fn summand(&mut self, id: NodeId, components: usize, weight: &Weight) -> Option<()> {
        let own = self.formula.with_id(id).shape().len();
        if own == components {
            return self.scalar(id, weight);
        }
        if self.free(id) { Some(()) } else { None }
    }
}

impl Weight {
    /// Whether all parts are scalars.
    fn is_scalar(&self, formula: &Expr) -> bool {
        self.factors.iter().chain(&self.divisors).all(|&id| formula.with_id(id).shape().len() == 1)
    }
}

impl Rows {
    /// The number of rows.
    pub fn len(&self) -> usize {
        match self {
            Rows::Picks { columns, .. } => columns.len(),
            Rows::Dense(rows) => rows.rows(),
        }
    }

    fn zero(len: usize) -> Self {
        Rows::Picks { columns: vec![0; len], values: vec![0.0; len] }
    }

    fn is_zero(&self) -> bool {
        matches!(self, Rows::Picks { values, .. } if values.iter().all(|&v| v == 0.0))
    }

    fn scale(self, by: &[f64]) -> Option<Self> {
        let factor = |i: usize| if by.len() == 1 { by[0] } else { by[i] };
        if by.len() != 1 && by.len() != self.len() {
            // One row, times a vector: as many rows.
            let Rows::Picks { columns, values } = self else { return None };
            let (column, value) = (*columns.first()?, *values.first()?);
            return Some(Rows::Picks {
                columns: vec![column; by.len()],
                values: by.iter().map(|b| b * value).collect(),
            });
        }
        Some(match self {
            Rows::Picks { columns, mut values } => {
                values.iter_mut().enumerate().for_each(|(i, v)| *v *= factor(i));
                Rows::Picks { columns, values }
            }
            Rows::Dense(rows) => {
                let mut own = rows.as_ref().clone();
                for i in 0..own.rows() {
                    own.row_mut(i).iter_mut().for_each(|v| *v *= factor(i));
                }
                Rows::Dense(Arc::new(own))
            }
        })
    }

    fn select(&self, indices: &[usize]) -> Self {
        match self {
            Rows::Picks { columns, values } => Rows::Picks {
                columns: indices.iter().map(|&i| columns[i]).collect(),
                values: indices.iter().map(|&i| values[i]).collect(),
            },
            Rows::Dense(rows) => {
                Rows::Dense(Arc::new(Dense::from_fn(indices.len(), rows.cols(), |i, j| rows[(indices[i], j)])))
            }
        }
    }
}

/// The rows of the Jacobian in y of a node that is affine in y; `value` gives the parts of x alone. With `m` =
/// `usize::MAX` no matrix is written: only the form is looked at.
fn rows(formula: &Expr, id: NodeId, m: usize, value: &mut dyn FnMut(NodeId) -> Option<Vec<f64>>) -> Option<Rows> {
    let node = formula.graph().node(id);
    let len = node.shape.len();
    if !depends(formula, id, Level::Follower) {
        return Some(Rows::zero(len));
    }
    let arg = |k: usize| node.args.get(k).copied();
    match &node.op {
        Op::Variable { offset, .. } => {
            Some(Rows::Picks { columns: (*offset..offset + len).collect(), values: vec![1.0; len] })
        }
        Op::Add | Op::Sub => {
            let (a, b) = (rows(formula, arg(0)?, m, value)?, rows(formula, arg(1)?, m, value)?);
            let sign = if matches!(node.op, Op::Sub) { -1.0 } else { 1.0 };
            match (a.is_zero(), b.is_zero()) {
                (_, true) if a.len() == len => Some(a),
                (true, _) if b.len() == len => b.scale(&[sign]),
                _ => None,
            }
        }
        Op::Neg => rows(formula, arg(0)?, m, value)?.scale(&[-1.0]),
        Op::Mul => {
            let (a, b) = (arg(0)?, arg(1)?);
            let (factor, rest) = if depends(formula, a, Level::Follower) { (b, a) } else { (a, b) };
            if depends(formula, factor, Level::Follower) {
                return None;
            }
            let by = value(factor)?;
            rows(formula, rest, m, value)?.scale(&by)
        }
        Op::Div if !depends(formula, arg(1)?, Level::Follower) => {
            let by: Vec<f64> = value(arg(1)?)?.iter().map(|v| 1.0 / v).collect();
            rows(formula, arg(0)?, m, value)?.scale(&by)
        }
        Op::Gather(indices) => Some(rows(formula, arg(0)?, m, value)?.select(indices)),
        Op::MatVec { matrix, transpose } => {
            let inner = rows(formula, arg(0)?, m, value)?;
            if m == usize::MAX { Some(Rows::zero(len)) } else { product(matrix, *transpose, &inner, m) }
        }
        _ => None,
    }
}

/// A matrix times rows.
fn product(matrix: &Matrix, transpose: bool, inner: &Rows, m: usize) -> Option<Rows> {
    let len = if transpose { matrix.cols() } else { matrix.rows() };
    if len.checked_mul(m)? > LARGEST {
        return None;
    }
    if let (Matrix::Dense(a), Rows::Picks { columns, values }, false) = (matrix, inner, transpose) {
        let whole = columns.len() == m && columns.iter().enumerate().all(|(i, &c)| i == c);
        if whole && values.iter().all(|&v| v == 1.0) {
            return Some(Rows::Dense(a.clone()));
        }
        let mut out = Dense::zeros(len, m);
        for i in 0..len {
            let (from, to) = (a.row(i), out.row_mut(i));
            if whole {
                to.iter_mut().zip(from).zip(values).for_each(|((t, a), v)| *t = a * v);
            } else {
                columns.iter().zip(values).zip(from).for_each(|((&c, v), a)| to[c] += a * v);
            }
        }
        return Some(Rows::Dense(Arc::new(out)));
    }
    let mut out = Dense::zeros(len, m);
    matrix.for_each(|i, j, a| {
        let (row, from) = if transpose { (j, i) } else { (i, j) };
        match inner {
            Rows::Picks { columns, values } => out[(row, columns[from])] += a * values[from],
            Rows::Dense(rows) => {
                bilevel_linalg::vector::axpy(a, rows.row(from), out.row_mut(row));
            }
        }
    });
    Some(Rows::Dense(Arc::new(out)))
}
