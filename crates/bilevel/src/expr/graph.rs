//! The expression graph: nodes in one arena, in topological order, equal nodes stored once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Function, Level, Matrix, Op};
use crate::smooth::Family;

/// Scalar or vector; matrices occur as constants only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shape {
    /// One number.
    Scalar,
    /// `n` numbers.
    Vector(usize),
}

impl Shape {
    /// The number of entries.
    pub fn len(self) -> usize {
        match self {
            Shape::Scalar => 1,
            Shape::Vector(n) => n,
        }
    }

    /// Whether there are no entries.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

impl From<usize> for Shape {
    /// A vector of that length.
    fn from(n: usize) -> Self {
        Shape::Vector(n)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shape::Scalar => write!(f, "scalar"),
            Shape::Vector(n) => write!(f, "vector({n})"),
        }
    }
}

/// What is wrong with a formula.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExprError {
    /// Two operands do not fit.
    #[error("`{operation}` needs operands of one shape or a scalar, got {left} and {right}")]
    Shapes {
        /// The operation as written.
        operation: &'static str,
        /// Shape of the left operand.
        left: Shape,
        /// Shape of the right operand.
        right: Shape,
    },
    /// A matrix does not fit its vector.
    #[error("a {rows}x{cols} matrix{} cannot multiply a {argument}", if *.transpose { ", transposed," } else { "" })]
    Matrix {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        cols: usize,
        /// Whether it is applied transposed.
        transpose: bool,
        /// Shape of the vector.
        argument: Shape,
    },
    /// An index lies outside its vector.
    #[error("index {index} is outside a {argument}; indices start at 0")]
    Index {
        /// The index.
        index: usize,
        /// What was indexed.
        argument: Shape,
    },
    /// An argument has the wrong shape.
    #[error("`{operation}` needs {expected}, got {argument}")]
    Argument {
        /// The operation as written.
        operation: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it got.
        argument: Shape,
    },
    /// A parameter is out of its range.
    #[error("`{operation}` needs {expected}, got {value}")]
    Parameter {
        /// The operation as written.
        operation: &'static str,
        /// The admissible values.
        expected: &'static str,
        /// The value given.
        value: f64,
    },
    /// Operands come from two models.
    #[error("operands belong to two different models")]
    TwoGraphs,
}

/// Index of a node in its graph; arguments have smaller indices than the nodes that use them.
pub type NodeId = u32;

/// An operation with its arguments and the shape of its result.
#[derive(Clone, Debug)]
pub struct Node {
    /// The operation.
    pub op: Op,
    /// The arguments' nodes.
    pub args: Vec<NodeId>,
    /// The result's shape.
    pub shape: Shape,
    /// The smoothing family of this operation, where it has its own.
    pub family: Option<&'static dyn Family>,
}

#[derive(Debug, Default)]
struct Arena {
    nodes: Vec<Node>,
    known: HashMap<Vec<u64>, NodeId>,
    error: Option<ExprError>,
}

/// A store of formulas that may share parts. Cloning it gives another handle to the same store.
#[derive(Clone, Debug, Default)]
pub struct Graph(Arc<Mutex<Arena>>);

/// A formula: a node of a [`Graph`]. Cheap to clone.
///
/// Operators never fail on the spot: a wrong shape makes an invalid expression, the first error is kept by the
/// graph, and [`Expr::check`] or the model's `build` returns it.
#[derive(Clone, Debug)]
pub struct Expr {
    graph: Graph,
    id: Option<NodeId>,
}

impl Graph {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, Arena> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block of variables of `level`, starting at `offset` in the level's vector.
    pub fn variable(&self, level: Level, offset: usize, shape: Shape) -> Expr {
        self.expr(Op::Variable { level, offset }, Vec::new(), shape)
    }

    /// A scalar constant.
    pub fn constant(&self, value: f64) -> Expr {
        self.expr(Op::Constant { values: Arc::from([value]), rounded: false }, Vec::new(), Shape::Scalar)
    }

    /// A scalar constant read from decimal text; `rounded` if no `f64` equals the decimal.
    pub fn decimal(&self, value: f64, rounded: bool) -> Expr {
        self.expr(Op::Constant { values: Arc::from([value]), rounded }, Vec::new(), Shape::Scalar)
    }

    /// A constant vector.
    pub fn constant_vector(&self, values: &[f64]) -> Expr {
        let shape = Shape::Vector(values.len());
        self.expr(Op::Constant { values: Arc::from(values), rounded: false }, Vec::new(), shape)
    }

    /// The first error made while building formulas in this graph, if any.
    pub fn first_error(&self) -> Option<ExprError> {
        self.lock().error.clone()
    }

    /// A copy of the node `id`.
    pub fn node(&self, id: NodeId) -> Node {
        self.lock().nodes[id as usize].clone()
    }

    /// The nodes that `roots` need, arguments before users, renumbered from 0; and the roots' new numbers.
    pub fn extract(&self, roots: &[NodeId]) -> (Vec<Node>, Vec<NodeId>) {
        let arena = self.lock();
        let mut needed = vec![false; arena.nodes.len()];
        for &root in roots {
            needed[root as usize] = true;
        }
        for id in (0..arena.nodes.len()).rev() {
            if needed[id] {
                for &arg in &arena.nodes[id].args {
                    needed[arg as usize] = true;
                }
            }
        }
        let mut renumbered = vec![0; arena.nodes.len()];
        let mut nodes = Vec::new();
        for (id, node) in arena.nodes.iter().enumerate() {
            if needed[id] {
                renumbered[id] = nodes.len() as NodeId;
                let args = node.args.iter().map(|&arg| renumbered[arg as usize]).collect();
                nodes.push(Node { args, ..node.clone() });
            }
        }
        let roots = roots.iter().map(|&root| renumbered[root as usize]).collect();
        (nodes, roots)
    }

    /// Adds a node whose shape has been checked, or finds the equal one that is there already.
    pub(super) fn expr(&self, op: Op, args: Vec<NodeId>, shape: Shape) -> Expr {
        self.add(Node { op, args, shape, family: None })
    }

    /// Adds a node whose shape has been checked, or finds the equal one that is there already.
    pub(super) fn add(&self, node: Node) -> Expr {
        let mut arena = self.lock();
        let key = key(&node);
        let id = match arena.known.get(&key) {
            Some(&id) => id,
            None => {
                let id = arena.nodes.len() as NodeId;
                arena.nodes.push(node);
                arena.known.insert(key, id);
                id
            }
        };
        drop(arena);
        Expr { graph: self.clone(), id: Some(id) }
    }

    /// An invalid expression; keeps the first error.
    pub(crate) fn invalid(&self, error: ExprError) -> Expr {
        self.lock().error.get_or_insert(error);
        Expr { graph: self.clone(), id: None }
    }

    pub(super) fn same(&self, other: &Graph) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Expr {
    /// The same formula with its outermost operation smoothed by `family`, whatever the run's own family is. For
    /// `abs`, `plus`, `max`, `min`, and norms; others have no kink to smooth and stay as they are.
    ///
    /// ```
    /// use bilevel::{prelude::*, smooth::Moreau};
    /// # fn main() -> Result<(), ModelError> {
    /// let mut model = Model::new();
    /// let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0)?)?;
    /// let y = model.follower("y", 1).within(Bounds::new(-1.0, 1.0)?)?;
    /// let lower = (&y - &x).abs().smoothed_by(&Moreau).sum() + y.abs().sum() * 0.5;
    /// # let _ = lower;
    /// # Ok(())
    /// # }
    /// ```
    pub fn smoothed_by(&self, family: &'static dyn Family) -> Expr {
        let Some(id) = self.id else { return self.clone() };
        let node = self.graph.node(id);
        if node.op.has_kink() { self.graph.add(Node { family: Some(family), ..node }) } else { self.clone() }
    }

    /// The graph that holds this formula.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The formula's node, unless it is invalid.
    pub fn id(&self) -> Option<NodeId> {
        self.id
    }

    /// The shape; of an invalid formula: scalar.
    pub fn shape(&self) -> Shape {
        self.id.map_or(Shape::Scalar, |id| self.graph.lock().nodes[id as usize].shape)
    }

    /// The node of a valid formula, or the graph's first error.
    ///
    /// # Errors
    /// The first error made while building formulas in this graph.
    pub fn check(&self) -> Result<NodeId, ExprError> {
        self.id.ok_or_else(|| self.graph.first_error().unwrap_or(ExprError::TwoGraphs))
    }

    /// The formula of another node of the same graph.
    pub(crate) fn with_id(&self, id: NodeId) -> Expr {
        Expr { graph: self.graph.clone(), id: Some(id) }
    }

    /// An invalid formula in the same graph, for a formula with an invalid operand: the error is kept already.
    pub(super) fn poisoned(&self) -> Expr {
        Expr { graph: self.graph.clone(), id: None }
    }

    /// Takes an invalid formula's error away from the graph, so that building can go on (used by the parser,
    /// which reports errors at their place in the text).
    pub fn take_error(&self) -> Option<ExprError> {
        if self.id.is_some() { None } else { self.graph.lock().error.take() }
    }
}

/// A key that is equal for equal nodes. Matrices and long constants count as equal when they share storage.
fn key(node: &Node) -> Vec<u64> {
    let Node { op, args, shape, family } = node;
    const SHORT: usize = 8;
    let mut key = Vec::with_capacity(args.len() + 6);
    let push_matrix = |key: &mut Vec<u64>, matrix: &Matrix| match matrix {
        Matrix::Dense(a) => key.extend([0, Arc::as_ptr(a) as u64]),
        Matrix::Sparse(a) => key.extend([1, Arc::as_ptr(a) as u64]),
    };
    match op {
        Op::Variable { level, offset } => key.extend([0, *level as u64, *offset as u64]),
        Op::Constant { values, rounded } => {
            key.extend([1, u64::from(*rounded)]);
            if values.len() <= SHORT {
                key.extend(values.iter().map(|v| v.to_bits()));
            } else {
                key.push(values.as_ptr() as u64);
            }
        }
        Op::Add => key.push(2),
        Op::Sub => key.push(3),
        Op::Mul => key.push(4),
        Op::Div => key.push(5),
        Op::Neg => key.push(6),
        Op::PowerOf => key.push(7),
        Op::Map(function) => {
            key.push(8);
            key.extend(function_key(*function));
        }
        Op::Max => key.push(9),
        Op::Min => key.push(10),
        Op::MaxOf => key.push(11),
        Op::Sum => key.push(12),
        Op::Dot => key.push(13),
        Op::SumSquares => key.push(14),
        Op::MatVec { matrix, transpose } => {
            key.extend([15, u64::from(*transpose)]);
            push_matrix(&mut key, matrix);
        }
        Op::Quadratic { matrix } => {
            key.push(16);
            push_matrix(&mut key, matrix);
        }
        Op::GroupNorms { starts } => {
            key.push(17);
            key.extend(starts.iter().map(|&s| s as u64));
        }
        Op::NormP(p) => key.extend([18, p.to_bits()]),
        Op::Gather(indices) => {
            key.push(19);
            key.extend(indices.iter().map(|&i| i as u64));
        }
        Op::Concat => key.push(20),
    }
    key.push(match shape {
        Shape::Scalar => u64::MAX,
        Shape::Vector(n) => *n as u64,
    });
    key.extend(args.iter().map(|&arg| u64::from(arg)));
    // No node number is as large: the bytes of a family's name cannot be taken for arguments.
    key.extend(family.iter().flat_map(|family| family.name().bytes()).map(|byte| u64::MAX - u64::from(byte)));
    key
}

fn function_key(function: Function) -> [u64; 2] {
    let code = match function {
        Function::Exp => 0,
        Function::Log => 1,
        Function::Log1p => 2,
        Function::Expm1 => 3,
        Function::Sqrt => 4,
        Function::Square => 5,
        Function::Sin => 6,
        Function::Cos => 7,
        Function::Tan => 8,
        Function::Tanh => 9,
        Function::Sigmoid => 10,
        Function::Softplus => 11,
        Function::Abs => 12,
        Function::Plus => 13,
        Function::Huber(delta) => return [14, delta.to_bits()],
        Function::AbsPower(p) => return [15, p.to_bits()],
        Function::Power(p) => return [16, p.to_bits()],
    };
    [code, 0]
}
