//! Constant matrices that formulas multiply vectors with.

use std::sync::Arc;

use bilevel_linalg::{Csr, Dense};

/// A constant matrix, dense or sparse, shared by reference.
#[derive(Clone, Debug)]
pub enum Matrix {
    /// Row-major dense.
    Dense(Arc<Dense>),
    /// Compressed sparse rows.
    Sparse(Arc<Csr>),
}

impl Matrix {
    /// Number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Matrix::Dense(a) => a.rows(),
            Matrix::Sparse(a) => a.rows(),
        }
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        match self {
            Matrix::Dense(a) => a.cols(),
            Matrix::Sparse(a) => a.cols(),
        }
    }

    /// `out += scale * A v`.
    pub fn mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        match self {
            Matrix::Dense(a) => a.mul_add(scale, v, out),
            Matrix::Sparse(a) => a.mul_add(scale, v, out),
        }
    }

    /// `out += scale * Aᵀ v`.
    pub fn transpose_mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        match self {
            Matrix::Dense(a) => a.transpose_mul_add(scale, v, out),
            Matrix::Sparse(a) => a.transpose_mul_add(scale, v, out),
        }
    }

    /// Calls `visit(row, column, value)` for every stored entry.
    pub fn for_each(&self, mut visit: impl FnMut(usize, usize, f64)) {
        match self {
            Matrix::Dense(a) => {
                for i in 0..a.rows() {
                    for (j, &value) in a.row(i).iter().enumerate() {
                        visit(i, j, value);
                    }
                }
            }
            Matrix::Sparse(a) => {
                for i in 0..a.rows() {
                    for (j, value) in a.row(i) {
                        visit(i, j, value);
                    }
                }
            }
        }
    }

    /// Whether both handles share the same storage.
    pub fn same(&self, other: &Matrix) -> bool {
        match (self, other) {
            (Matrix::Dense(a), Matrix::Dense(b)) => Arc::ptr_eq(a, b),
            (Matrix::Sparse(a), Matrix::Sparse(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl From<Dense> for Matrix {
    fn from(a: Dense) -> Self {
        Matrix::Dense(Arc::new(a))
    }
}

impl From<Csr> for Matrix {
    fn from(a: Csr) -> Self {
        Matrix::Sparse(Arc::new(a))
    }
}
