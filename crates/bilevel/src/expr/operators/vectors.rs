//! Indexing, slicing, gathering, joining, and constant matrices times vectors.

use std::ops::{Mul, Range};
use std::sync::Arc;

use super::{node, unary, wrong};
use crate::expr::{Expr, ExprError, Graph, Matrix, Op, Shape};

/// Picking entries.
impl Expr {
    /// Entry `i` of a vector, counted from 0, as a scalar.
    pub fn index(&self, i: usize) -> Expr {
        self.pick("index", Arc::from([i]), Shape::Scalar)
    }

    /// The entries `range.start..range.end` of a vector. Invalid if the range is reversed or ends outside.
    pub fn slice(&self, range: Range<usize>) -> Expr {
        let Shape::Vector(n) = self.shape() else {
            return wrong("slice", "a vector", self);
        };
        if range == (0..n) {
            return self.clone();
        }
        if range.start > range.end || range.end > n {
            let index = range.start.max(range.end.saturating_sub(1));
            return self.graph().invalid(ExprError::Index { index, argument: self.shape() });
        }
        let length = range.len();
        self.pick("slice", range.collect(), Shape::Vector(length))
    }

    /// The entries with the given indices, in their order; indices may repeat.
    pub fn gather(&self, indices: &[usize]) -> Expr {
        self.pick("gather", Arc::from(indices), Shape::Vector(indices.len()))
    }

    fn pick(&self, operation: &'static str, indices: Arc<[usize]>, shape: Shape) -> Expr {
        let Some(inner) = node(self) else {
            return self.poisoned();
        };
        let Shape::Vector(n) = inner.shape else {
            return wrong(operation, "a vector", self);
        };
        if let Some(&index) = indices.iter().find(|&&i| i >= n) {
            return self.graph().invalid(ExprError::Index { index, argument: inner.shape });
        }
        match inner.op {
            Op::Gather(earlier) => {
                let composed = indices.iter().map(|&i| earlier[i]).collect();
                unary(Op::Gather(composed), &self.with_id(inner.args[0]), shape)
            }
            _ => unary(Op::Gather(indices), self, shape),
        }
    }
}

/// All parts one after the other, as one vector; scalars count as one entry. Invalid without any part.
pub fn concat(parts: &[Expr]) -> Expr {
    let Some(first) = parts.first() else {
        let graph = Graph::new();
        let shape = Shape::Vector(0);
        return graph.invalid(ExprError::Argument {
            operation: "concat",
            expected: "at least one part",
            argument: shape,
        });
    };
    if parts.len() == 1 && first.shape() != Shape::Scalar {
        return first.clone();
    }
    if parts.iter().any(|part| !part.graph().same(first.graph())) {
        return first.graph().invalid(ExprError::TwoGraphs);
    }
    let ids: Option<Vec<_>> = parts.iter().map(Expr::id).collect();
    match ids {
        Some(ids) => {
            let length = parts.iter().map(|part| part.shape().len()).sum();
            first.graph().expr(Op::Concat, ids, Shape::Vector(length))
        }
        None => first.poisoned(),
    }
}

/// Matrices.
impl Expr {
    /// zᵀ Q z for a constant square matrix Q, not necessarily symmetric. Invalid unless Q has as many rows and columns
    /// as the formula entries.
    pub fn quadratic(&self, matrix: &Matrix) -> Expr {
        if self.id().is_none() {
            return self.poisoned();
        }
        let length = self.shape().len();
        if length != matrix.cols() || length != matrix.rows() {
            return self.mismatch(matrix, length == matrix.cols());
        }
        unary(Op::Quadratic { matrix: matrix.clone() }, self, Shape::Scalar)
    }

    fn mismatch(&self, matrix: &Matrix, transpose: bool) -> Expr {
        let (rows, cols, argument) = (matrix.rows(), matrix.cols(), self.shape());
        self.graph().invalid(ExprError::Matrix { rows, cols, transpose, argument })
    }

    fn times(&self, matrix: &Matrix, transpose: bool) -> Expr {
        let (takes, gives) = if transpose { (matrix.rows(), matrix.cols()) } else { (matrix.cols(), matrix.rows()) };
        if self.id().is_none() {
            return self.poisoned();
        }
        if self.shape().len() != takes {
            return self.mismatch(matrix, transpose);
        }
        unary(Op::MatVec { matrix: matrix.clone(), transpose }, self, Shape::Vector(gives))
    }
}

impl Matrix {
    /// Aᵀ v, a vector with one entry per column. Invalid unless `v` has one entry per row.
    pub fn transpose_times(&self, v: &Expr) -> Expr {
        v.times(self, true)
    }
}

/// A v, a vector with one entry per row. Invalid unless `v` has one entry per column.
impl Mul<&Expr> for &Matrix {
    type Output = Expr;
    fn mul(self, v: &Expr) -> Expr {
        v.times(self, false)
    }
}

impl Mul<Expr> for &Matrix {
    type Output = Expr;
    fn mul(self, v: Expr) -> Expr {
        v.times(self, false)
    }
}
