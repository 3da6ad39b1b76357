//! Formulas to tape: places in the slab, dependence, and constant parts computed at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Arg, Blocks, Instruction, Span, Tape, forward};
use crate::expr::{Expr, ExprError, Level, Matrix, Node, NodeId, Op};
use crate::smooth::Smoothing;

/// Why formulas cannot be compiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TapeError {
    /// A formula is invalid.
    #[error(transparent)]
    Expr(#[from] ExprError),
    /// A formula uses variables that do not exist.
    #[error("a formula uses {level:?} variables {start}..{end}, but there are {available}")]
    Variable {
        /// Whose variables.
        level: Level,
        /// The first one used.
        start: usize,
        /// One past the last one used.
        end: usize,
        /// How many there are.
        available: usize,
    },
}

impl Tape {
    /// Compiles `formulas`, all of one graph, of `leaders` variables x and `followers` variables y. Their results come
    /// in the given order.
    ///
    /// # Errors
    /// An invalid formula, formulas of two graphs, or a variable beyond the given numbers.
    pub fn compile(formulas: &[Expr], leaders: usize, followers: usize) -> Result<Self, TapeError> {
        let ids: Vec<NodeId> = formulas.iter().map(Expr::check).collect::<Result<_, _>>()?;
        let Some(first) = formulas.first() else {
            return Self::from_nodes(&[], &[], leaders, followers);
        };
        if formulas.iter().any(|formula| !formula.graph().same(first.graph())) {
            return Err(ExprError::TwoGraphs.into());
        }
        let (nodes, roots) = first.graph().extract(&ids);
        Self::from_nodes(&nodes, &roots, leaders, followers)
    }

    fn from_nodes(nodes: &[Node], roots: &[NodeId], leaders: usize, followers: usize) -> Result<Self, TapeError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let mut builder = Builder {
            leaders,
            followers,
            slab: vec![0.0; leaders + followers],
            instructions: Vec::new(),
            places: Vec::new(),
        };
        for node in nodes {
            let place = builder.place(node)?;
            builder.places.push(place);
        }
        let roots: Vec<Arg> = roots.iter().map(|&root| builder.places[root as usize]).collect();
        let outputs = roots.iter().map(|root| root.span.len).sum();
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            leaders,
            followers,
            instructions: builder.instructions,
            roots,
            initial: builder.slab,
            outputs,
        })
    }
}

struct Builder {
    leaders: usize,
    followers: usize,
    slab: Vec<f64>,
    instructions: Vec<Instruction>,
    places: Vec<Arg>,
}

impl Builder {
    /// Finds or makes a place for a node's result.
    fn place(&mut self, node: &Node) -> Result<Arg, TapeError> {
        let args: Box<[Arg]> = node.args.iter().map(|&arg| self.places[arg as usize]).collect();
        match &node.op {
            Op::Variable { level, offset } => return self.variable(*level, *offset, node.shape.len()),
            Op::Constant { values, .. } => {
                let span = self.reserve(values.len());
                self.slab[span.range()].copy_from_slice(values);
                return Ok(Arg { span, depends: Blocks::NONE });
            }
            _ => {}
        }
        match existing(&node.op, &args) {
            Some(arg) => Ok(arg),
            None => Ok(self.instruction(node, args)),
        }
    }

    fn variable(&self, level: Level, start: usize, len: usize) -> Result<Arg, TapeError> {
        let (base, available) = match level {
            Level::Leader => (0, self.leaders),
            Level::Follower => (self.leaders, self.followers),
        };
        let end = start.saturating_add(len);
        if end > available {
            return Err(TapeError::Variable { level, start, end, available });
        }
        Ok(Arg { span: Span { start: base + start, len }, depends: Blocks::of(level) })
    }

    fn reserve(&mut self, len: usize) -> Span {
        let start = self.slab.len();
        self.slab.resize(start + len, 0.0);
        Span { start, len }
    }

    fn instruction(&mut self, node: &Node, args: Box<[Arg]>) -> Arg {
        let depends = args.iter().fold(Blocks::NONE, |all, arg| all.with(arg.depends));
        let scratch = self.reserve(scratch(&node.op, &args));
        let out = self.reserve(node.shape.len());
        let symmetric = matches!(&node.op, Op::Quadratic { matrix } if is_symmetric(matrix));
        let (op, family) = (node.op.clone(), node.family);
        let instruction = Instruction { op, args, scratch, out, depends, family, symmetric };
        if depends == Blocks::NONE {
            forward::run(&instruction, &mut self.slab, Smoothing::EXACT);
        } else {
            self.instructions.push(instruction);
        }
        Arg { span: out, depends }
    }
}

/// Where the result is already: consecutive entries of what exists.
fn existing(op: &Op, args: &[Arg]) -> Option<Arg> {
    let first = *args.first()?;
    match op {
        Op::Gather(indices) => {
            let start = indices.first().copied().unwrap_or(0);
            let consecutive = indices.iter().enumerate().all(|(k, &i)| i == start + k);
            let span = Span { start: first.span.start + start, len: indices.len() };
            consecutive.then_some(Arg { span, ..first })
        }
        Op::Concat => {
            let consecutive = args.windows(2).all(|pair| pair[0].span.range().end == pair[1].span.start);
            let span = Span { start: first.span.start, len: args.iter().map(|arg| arg.span.len).sum() };
            let depends = args.iter().fold(Blocks::NONE, |all, arg| all.with(arg.depends));
            consecutive.then_some(Arg { span, depends })
        }
        Op::MaxOf | Op::Sum if first.span.len == 1 => Some(first),
        _ => None,
    }
}

/// The number of intermediate results that an operation keeps.
fn scratch(op: &Op, args: &[Arg]) -> usize {
    match op {
        Op::MaxOf => args[0].span.len.saturating_sub(1),
        Op::Quadratic { .. } => args[0].span.len,
        Op::GroupNorms { starts } => starts.len().saturating_sub(1),
        _ => 0,
    }
}

fn is_symmetric(matrix: &Matrix) -> bool {
    match matrix {
        Matrix::Dense(a) => (0..a.rows()).all(|i| (0..i).all(|j| a[(i, j)] == a[(j, i)])),
        Matrix::Sparse(_) => {
            let mut entries = HashMap::new();
            matrix.for_each(|i, j, value| {
                entries.insert((i, j), value);
            });
            entries.iter().all(|(&(i, j), value)| entries.get(&(j, i)).copied().unwrap_or(0.0) == *value)
        }
    }
}
