//! What the names in a formula stand for.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::{Expr, Graph, Matrix, Op, Shape};
use super::error::OperandShape;

/// A value that a formula computes with.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A scalar or vector, and whether it is free of variables.
    Expr { expr: Expr, constant: bool },
    /// A constant matrix, possibly transposed.
    Matrix { matrix: Matrix, transposed: bool },
}

impl Value {
    pub(super) fn shape(&self) -> OperandShape {
        match self {
            Value::Expr { expr, .. } => OperandShape::Value(expr.shape()),
            Value::Matrix { matrix, transposed: false } => {
                OperandShape::Matrix { rows: matrix.rows(), cols: matrix.cols() }
            }
            Value::Matrix { matrix, transposed: true } => {
                OperandShape::Matrix { rows: matrix.cols(), cols: matrix.rows() }
            }
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Entry {
    Value(Value),
    Forbidden { reason: String, help: String },
}

/// The names that a formula may use, all in one [`Graph`].
#[derive(Clone, Debug)]
pub struct Scope {
    graph: Graph,
    entries: BTreeMap<String, Entry>,
}

impl Scope {
    /// No names yet; formulas are built in `graph`.
    pub fn new(graph: &Graph) -> Self {
        Self { graph: graph.clone(), entries: BTreeMap::new() }
    }

    /// The store that formulas are built in.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Defines `name` as a variable or any other formula of this scope's graph. A later definition replaces an earlier
    /// one; so in all of the following.
    pub fn define(&mut self, name: impl Into<String>, expr: Expr) {
        let constant = constant_values(&expr).is_some();
        self.insert(name, Entry::Value(Value::Expr { expr, constant }));
    }

    /// Defines a scalar constant; `rounded` if it stands for a decimal that no `f64` equals.
    pub fn number(&mut self, name: impl Into<String>, value: f64, rounded: bool) {
        let expr = self.graph.decimal(value, rounded);
        self.insert(name, Entry::Value(Value::Expr { expr, constant: true }));
    }

    /// Defines a constant vector; `rounded` if an entry stands for a decimal that no `f64` equals.
    pub fn vector(&mut self, name: impl Into<String>, values: &[f64], rounded: bool) {
        let expr = constant_vector(&self.graph, Arc::from(values), rounded);
        self.insert(name, Entry::Value(Value::Expr { expr, constant: true }));
    }

    /// Defines a constant matrix.
    pub fn matrix(&mut self, name: impl Into<String>, matrix: Matrix) {
        self.insert(name, Entry::Value(Value::Matrix { matrix, transposed: false }));
    }

    /// Makes `name` an error with this reason and advice, where it would be unknown otherwise.
    pub fn forbid(&mut self, name: impl Into<String>, reason: impl Into<String>, help: impl Into<String>) {
        self.insert(name, Entry::Forbidden { reason: reason.into(), help: help.into() });
    }

    /// All names that may be used, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter(|(_, entry)| matches!(entry, Entry::Value(_))).map(|(name, _)| name.as_str())
    }

    /// Whether `name` may be used.
    pub fn contains(&self, name: &str) -> bool {
        matches!(self.entries.get(name), Some(Entry::Value(_)))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    fn insert(&mut self, name: impl Into<String>, entry: Entry) {
        self.entries.insert(name.into(), entry);
    }
}

/// A constant vector node.
pub(super) fn constant_vector(graph: &Graph, values: Arc<[f64]>, rounded: bool) -> Expr {
    let shape = Shape::Vector(values.len());
    graph.expr(Op::Constant { values, rounded }, Vec::new(), shape)
}

/// The values of a constant node, and whether they stand for nearby decimals.
pub(super) fn constant_values(expr: &Expr) -> Option<(Arc<[f64]>, bool)> {
    match expr.graph().node(expr.id()?).op {
        Op::Constant { values, rounded } => Some((values, rounded)),
        _ => None,
    }
}
