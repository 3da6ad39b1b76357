//! The two levels as data: a convex quadratic follower and a quadratic leader.

use bilevel_linalg::{Csr, Dense};

/// A matrix in the form that suits its entries.
#[derive(Clone, Debug)]
pub enum Coefficients {
    /// Row-major dense.
    Dense(Dense),
    /// Compressed sparse rows.
    Sparse(Csr),
}

impl Coefficients {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        match self {
            Coefficients::Dense(a) => a.rows(),
            Coefficients::Sparse(a) => a.rows(),
        }
    }

    /// `out += scale * A v`.
    pub fn mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        match self {
            Coefficients::Dense(a) => a.mul_add(scale, v, out),
            Coefficients::Sparse(a) => a.mul_add(scale, v, out),
        }
    }

    /// `out += scale * Aᵀ v`.
    pub fn transpose_mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        match self {
            Coefficients::Dense(a) => a.transpose_mul_add(scale, v, out),
            Coefficients::Sparse(a) => a.transpose_mul_add(scale, v, out),
        }
    }

    /// Calls `visit(column, value)` for the entries of row `i` that are not zero.
    pub fn for_row(&self, i: usize, mut visit: impl FnMut(usize, f64)) {
        match self {
            Coefficients::Dense(a) => {
                a.row(i).iter().enumerate().filter(|(_, v)| **v != 0.0).for_each(|(j, &v)| visit(j, v));
            }
            Coefficients::Sparse(a) => a.row(i).for_each(|(j, v)| visit(j, v)),
        }
    }

    /// The product of row `i` and `v`.
    pub fn row_dot(&self, i: usize, v: &[f64]) -> f64 {
        match self {
            Coefficients::Dense(a) => bilevel_linalg::vector::dot(a.row(i), v),
            Coefficients::Sparse(a) => a.row_dot(i, v),
        }
    }

    /// The entry at (i, j).
    pub fn entry(&self, i: usize, j: usize) -> f64 {
        match self {
            Coefficients::Dense(a) => a[(i, j)],
            Coefficients::Sparse(a) => a.row(i).find(|e| e.0 == j).map_or(0.0, |e| e.1),
        }
    }

    /// The number of entries that are stored.
    pub fn stored(&self) -> usize {
        match self {
            Coefficients::Dense(a) => a.data().len(),
            Coefficients::Sparse(a) => a.stored(),
        }
    }
}

/// The follower: min over y of ½ yᵀQy + (c + P x)ᵀy subject to lower <= y <= upper, row_lower <= A x + B y <= row_upper,
/// with Q positive semidefinite.
#[derive(Clone, Debug)]
pub struct QuadraticFollower {
    /// Q (m x m), both triangles.
    pub hessian: Coefficients,
    /// P (m x n).
    pub cross: Coefficients,
    /// c.
    pub linear: Vec<f64>,
    /// Lower bounds of y.
    pub lower: Vec<f64>,
    /// Upper bounds of y.
    pub upper: Vec<f64>,
    /// A (r x n).
    pub rows_x: Csr,
    /// B (r x m).
    pub rows_y: Csr,
    /// Bᵀ.
    pub columns_y: Csr,
    /// Lower bounds of the rows.
    pub row_lower: Vec<f64>,
    /// Upper bounds of the rows.
    pub row_upper: Vec<f64>,
}

impl QuadraticFollower {
    /// Number of the leader's variables.
    pub fn n(&self) -> usize {
        self.rows_x.cols()
    }

    /// Number of the follower's variables.
    pub fn m(&self) -> usize {
        self.linear.len()
    }

    /// Whether f is linear in y.
    pub fn is_flat(&self) -> bool {
        match &self.hessian {
            Coefficients::Dense(q) => q.norm_max() == 0.0,
            Coefficients::Sparse(q) => q.values().iter().all(|v| *v == 0.0),
        }
    }

    /// Number of rows.
    pub fn r(&self) -> usize {
        self.row_lower.len()
    }

    /// The range of an item: a variable below m, the row `item − m` beyond.
    pub fn range(&self, item: usize) -> (f64, f64) {
        match item.checked_sub(self.m()) {
            None => (self.lower[item], self.upper[item]),
            Some(i) => (self.row_lower[i], self.row_upper[i]),
        }
    }
}

/// The leader: min over x of ½ zᵀHz + hᵀz + constant, z = (x, y), lower <= x <= upper,
/// row_lower <= rows_x x + rows_y y <= row_upper.
#[derive(Clone, Debug)]
pub struct QuadraticLeader {
    /// H, both triangles.
    pub hessian: Coefficients,
    /// h.
    pub linear: Vec<f64>,
    /// The constant.
    pub constant: f64,
    /// Lower bounds of x.
    pub lower: Vec<f64>,
    /// Upper bounds of x.
    pub upper: Vec<f64>,
    /// Coefficients of x in the leader's rows.
    pub rows_x: Csr,
    /// Coefficients of y in the leader's rows.
    pub rows_y: Csr,
    /// Lower bounds of the rows.
    pub row_lower: Vec<f64>,
    /// Upper bounds of the rows.
    pub row_upper: Vec<f64>,
}

impl QuadraticLeader {
    /// F and its gradient at z.
    pub fn evaluate(&self, z: &[f64]) -> (f64, Vec<f64>) {
        let mut gradient = self.linear.clone();
        self.hessian.mul_add(0.5, z, &mut gradient);
        let value = self.constant + bilevel_linalg::vector::dot(&gradient, z);
        self.hessian.mul_add(0.5, z, &mut gradient);
        (value, gradient)
    }
}
