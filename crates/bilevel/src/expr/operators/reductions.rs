//! Functions of a whole vector: sums, products, norms, largest and smallest entry.

use std::sync::Arc;

use super::{node, out_of_range, pair, unary, wrong};
use crate::expr::{Expr, ExprError, Function, Op, Shape, concat};

/// Sums and products.
impl Expr {
    /// Sum of all entries; 0 for an empty vector.
    pub fn sum(&self) -> Expr {
        if self.shape() == Shape::Scalar {
            return self.clone();
        }
        match node(self) {
            Some(inner) => match inner.op {
                Op::Map(Function::Square) => self.with_id(inner.args[0]).norm2sq(),
                _ => unary(Op::Sum, self, Shape::Scalar),
            },
            None => self.poisoned(),
        }
    }

    /// Mean of all entries. Invalid for an empty vector.
    pub fn mean(&self) -> Expr {
        if self.shape().is_empty() {
            return wrong("mean", "a vector with at least one entry", self);
        }
        self.sum() / self.shape().len() as f64
    }

    /// Inner product of two vectors of one length, or product of two scalars.
    pub fn dot(&self, other: &Expr) -> Expr {
        let (graph, a, b) = match pair(self, other) {
            Ok(found) => found,
            Err(invalid) => return invalid,
        };
        let (left, right) = (self.shape(), other.shape());
        match (left, right) {
            (Shape::Scalar, Shape::Scalar) => self * other,
            (Shape::Vector(n), Shape::Vector(k)) if n == k => {
                if a == b {
                    return self.norm2sq();
                }
                graph.expr(Op::Dot, vec![a, b], Shape::Scalar)
            }
            _ => graph.invalid(ExprError::Shapes { operation: "dot", left, right }),
        }
    }

    /// Sum of the squares of all entries.
    pub fn norm2sq(&self) -> Expr {
        match self.shape() {
            Shape::Scalar => self.square(),
            Shape::Vector(_) => unary(Op::SumSquares, self, Shape::Scalar),
        }
    }
}

/// Largest and smallest entry, and norms.
impl Expr {
    /// Largest entry. Invalid for an empty vector.
    pub fn max_of(&self) -> Expr {
        match self.shape() {
            Shape::Scalar => self.clone(),
            Shape::Vector(0) => wrong("max", "a vector with at least one entry", self),
            Shape::Vector(_) => unary(Op::MaxOf, self, Shape::Scalar),
        }
    }

    /// Smallest entry. Invalid for an empty vector.
    pub fn min_of(&self) -> Expr {
        match self.shape() {
            Shape::Scalar => self.clone(),
            Shape::Vector(0) => wrong("min", "a vector with at least one entry", self),
            Shape::Vector(_) => -(-self).max_of(),
        }
    }

    /// Sum of the absolute values.
    pub fn norm1(&self) -> Expr {
        self.abs().sum()
    }

    /// Euclidean norm; 0 for an empty vector.
    pub fn norm2(&self) -> Expr {
        match self.shape() {
            Shape::Scalar => self.abs(),
            Shape::Vector(0) if self.id().is_some() => self.graph().constant(0.0),
            Shape::Vector(n) => unary(Op::GroupNorms { starts: Arc::from([0, n]) }, self, Shape::Scalar),
        }
    }

    /// Largest absolute value; 0 for an empty vector.
    ///
    /// Built as the largest entry of `(z, -z)`: smoothed, it has one layer of kinks less than the largest entry of
    /// `abs(z)`, and stays even in `z`.
    pub fn norm_inf(&self) -> Expr {
        match self.shape() {
            Shape::Scalar => self.abs(),
            Shape::Vector(0) if self.id().is_some() => self.graph().constant(0.0),
            Shape::Vector(_) => concat(&[self.clone(), -self]).max_of(),
        }
    }

    /// (Σ|z_i|^p)^(1/p); `inf` gives [`Expr::norm_inf`]; p < 1 a quasi-norm. Invalid unless p > 0.
    pub fn norm_p(&self, p: f64) -> Expr {
        if p.is_nan() || p <= 0.0 {
            return out_of_range("norm_p", "a positive power", p, self);
        }
        match (self.shape(), p) {
            (Shape::Scalar, _) => self.abs(),
            (_, 1.0) => self.norm1(),
            (_, 2.0) => self.norm2(),
            (_, f64::INFINITY) => self.norm_inf(),
            _ => unary(Op::NormP(p), self, Shape::Scalar),
        }
    }

    /// Euclidean norms of consecutive groups of `size` entries, as a vector. Invalid unless `size` divides the length.
    pub fn group_norms(&self, size: usize) -> Expr {
        match self.shape() {
            Shape::Vector(n) if size > 0 && n % size == 0 => {
                self.norms_between((0..=n / size).map(|g| g * size).collect(), n / size)
            }
            _ => wrong("group_norm", "a vector whose length is a multiple of the group size", self),
        }
    }

    /// Euclidean norms of consecutive groups with the given sizes, as a vector. Invalid unless the sizes are positive
    /// and add up to the length.
    pub fn group_norms_sized(&self, sizes: &[usize]) -> Expr {
        let mut starts = vec![0];
        let mut end = 0_usize;
        for &size in sizes {
            end = end.saturating_add(size);
            starts.push(end);
        }
        match self.shape() {
            Shape::Vector(n) if n == end && !sizes.contains(&0) => self.norms_between(starts, sizes.len()),
            _ => wrong("group_norm", "positive group sizes that add up to the vector's length", self),
        }
    }

    /// Sum of [`Expr::group_norms`].
    pub fn group_norm(&self, size: usize) -> Expr {
        self.group_norms(size).sum()
    }

    /// Sum of [`Expr::group_norms_sized`].
    pub fn group_norm_sized(&self, sizes: &[usize]) -> Expr {
        self.group_norms_sized(sizes).sum()
    }

    fn norms_between(&self, starts: Vec<usize>, groups: usize) -> Expr {
        unary(Op::GroupNorms { starts: Arc::from(starts) }, self, Shape::Vector(groups))
    }
}
