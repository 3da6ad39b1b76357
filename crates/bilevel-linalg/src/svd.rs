//! Singular values, minimum-norm least squares, null space; eigenvalues of symmetric matrices.
//!
//! The rank is the number of singular values above `max(rows, cols) * ε * largest`, unless a tolerance is given
//! (Golub and Van Loan, Matrix Computations, 4th edition, section 5.4).

use faer::{MatRef, Side};

use crate::dense::Dense;
use crate::error::{LinalgError, expect_finite, expect_size};
use crate::vector::{axpy, dot};

/// A singular value decomposition `A = Σ σ_k u_k v_kᵀ` (m x n).
#[derive(Clone, Debug)]
pub struct Svd {
    /// Row k is u_k (the first min(m, n) of them).
    left: Dense,
    /// Row k is v_k (all n of them, those of the null space last).
    right: Dense,
    values: Vec<f64>,
    rank: usize,
}

impl Svd {
    /// Decomposes `a`. Singular values not above `tolerance` times the largest count as zero; with `None` the
    /// tolerance is `max(m, n) * ε`.
    ///
    /// # Errors
    /// `NotFinite`, `NoConvergence`.
    pub fn new(a: &Dense, tolerance: Option<f64>) -> Result<Self, LinalgError> {
        expect_finite("the matrix to decompose", a.data())?;
        let (m, n) = (a.rows(), a.cols());
        if m == 0 || n == 0 {
            return Ok(Self { left: Dense::zeros(0, m), right: Dense::identity(n), values: Vec::new(), rank: 0 });
        }
        let view = MatRef::from_row_major_slice(a.data(), m, n);
        // All of V is wanted; all of U would be wasteful for a tall matrix.
        let svd = if m >= n { view.thin_svd() } else { view.svd() };
        let svd = svd.map_err(|_| LinalgError::NoConvergence { what: "the singular value decomposition" })?;
        let (u, v, s) = (svd.U(), svd.V(), svd.S().column_vector());
        let values: Vec<f64> = (0..m.min(n)).map(|k| s[k]).collect();
        expect_finite("the singular values", &values)?;
        let cut = tolerance.unwrap_or(m.max(n) as f64 * f64::EPSILON) * values[0];
        let rank = values.iter().filter(|&&s| s > cut).count();
        let left = Dense::from_fn(m.min(n), m, |k, i| u[(i, k)]);
        let right = Dense::from_fn(n, n, |k, j| v[(j, k)]);
        Ok(Self { left, right, values, rank })
    }

    /// The min(m, n) singular values, largest first.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The number of singular values that count as positive.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Largest over smallest singular value; infinite for a rank-deficient matrix, 1 for an empty one.
    pub fn condition(&self) -> f64 {
        if self.rank < self.values.len() {
            return f64::INFINITY;
        }
        match (self.values.first(), self.values.last()) {
            (Some(first), Some(last)) => first / last,
            _ => 1.0,
        }
    }

    /// Writes to `x` (length n) the shortest minimiser of `‖A x - b‖` (`b` of length m): `x = A⁺ b`.
    ///
    /// # Errors
    /// `Shape` if a length does not fit.
    pub fn solve(&self, b: &[f64], x: &mut [f64]) -> Result<(), LinalgError> {
        expect_size("right-hand side", self.left.cols(), b.len())?;
        expect_size("solution", self.right.cols(), x.len())?;
        x.fill(0.0);
        for k in 0..self.rank {
            axpy(dot(self.left.row(k), b) / self.values[k], self.right.row(k), x);
        }
        Ok(())
    }

    /// Writes to `y` (length m) the shortest minimiser of `‖Aᵀ y - c‖` (`c` of length n): `y = A⁺ᵀ c`.
    ///
    /// # Errors
    /// `Shape` if a length does not fit.
    pub fn solve_transpose(&self, c: &[f64], y: &mut [f64]) -> Result<(), LinalgError> {
        expect_size("right-hand side", self.right.cols(), c.len())?;
        expect_size("solution", self.left.cols(), y.len())?;
        y.fill(0.0);
        for k in 0..self.rank {
            axpy(dot(self.right.row(k), c) / self.values[k], self.left.row(k), y);
        }
        Ok(())
    }

    /// The pseudo-inverse A⁺ (n x m).
    pub fn pseudo_inverse(&self) -> Dense {
        let mut out = Dense::zeros(self.right.cols(), self.left.cols());
        for k in 0..self.rank {
            for (i, v) in self.right.row(k).iter().enumerate() {
                axpy(v / self.values[k], self.left.row(k), out.row_mut(i));
            }
        }
        out
    }

    /// An orthonormal basis of the null space of A, one vector a row ((n - rank) x n).
    pub fn null_space(&self) -> Dense {
        let n = self.right.cols();
        Dense::from_fn(n - self.rank, n, |k, j| self.right[(self.rank + k, j)])
    }

    /// An orthonormal basis of the row space of A (the range of Aᵀ), one vector a row (rank x n).
    pub fn row_space(&self) -> Dense {
        Dense::from_fn(self.rank, self.right.cols(), |k, j| self.right[(k, j)])
    }
}

/// Eigenvalues and eigenvectors of a symmetric matrix.
#[derive(Clone, Debug)]
pub struct SymmetricEigen {
    values: Vec<f64>,
    vectors: Dense,
}

impl SymmetricEigen {
    /// Decomposes `a`, reading its lower triangle.
    ///
    /// # Errors
    /// `Shape` if `a` is not square, `NotFinite`, `NoConvergence`.
    pub fn new(a: &Dense) -> Result<Self, LinalgError> {
        let n = a.rows();
        expect_size("columns of the matrix to decompose", n, a.cols())?;
        expect_finite("the matrix to decompose", a.data())?;
        if n == 0 {
            return Ok(Self { values: Vec::new(), vectors: Dense::zeros(0, 0) });
        }
        let eigen = MatRef::from_row_major_slice(a.data(), n, n)
            .self_adjoint_eigen(Side::Lower)
            .map_err(|_| LinalgError::NoConvergence { what: "the eigenvalue iteration" })?;
        let (u, s) = (eigen.U(), eigen.S().column_vector());
        let values: Vec<f64> = (0..n).map(|k| s[k]).collect();
        expect_finite("the eigenvalues", &values)?;
        Ok(Self { values, vectors: Dense::from_fn(n, n, |k, j| u[(j, k)]) })
    }

    /// The eigenvalues, smallest first.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The eigenvectors, orthonormal: row k belongs to eigenvalue k.
    pub fn vectors(&self) -> &Dense {
        &self.vectors
    }

    /// The matrix `Σ f(λ_k) v_k v_kᵀ`, such as the nearest positive semidefinite one for `f = max(·, 0)`.
    pub fn apply(&self, f: impl Fn(f64) -> f64) -> Dense {
        let n = self.values.len();
        let mut out = Dense::zeros(n, n);
        for (k, &value) in self.values.iter().enumerate() {
            let (weight, v) = (f(value), self.vectors.row(k));
            for i in 0..n {
                axpy(weight * v[i], v, out.row_mut(i));
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dense, of_rank, symmetric};
    use crate::vector::{distance_inf, norm_inf};
    use proptest::prelude::*;

    fn product(a: &Dense, b: &Dense) -> Dense {
        a.matmul(b).unwrap()
    }

    proptest! {
        #[test]
        fn the_pseudo_inverse_has_its_four_properties(m in 0..9usize, n in 0..9usize, r in 0..5usize, seed in 0..1000u64) {
            let a = of_rank(m, n, r, seed);
            let svd = Svd::new(&a, Some(1e-10)).unwrap();
            prop_assume!(svd.values().iter().all(|s| *s > 1e-4 || *s < 1e-12));
            prop_assert!(svd.rank() <= r);
            let p = svd.pseudo_inverse();
            let (ap, pa) = (product(&a, &p), product(&p, &a));
            let scale = 1e-13 * (1.0 + p.norm_max());
            prop_assert!(distance_inf(product(&ap, &a).data(), a.data()) <= scale * 20.0);
            prop_assert!(distance_inf(product(&pa, &p).data(), p.data()) <= scale * (1.0 + p.norm_max()) * 20.0);
            prop_assert!(distance_inf(ap.transpose().data(), ap.data()) <= scale * 20.0);
            prop_assert!(distance_inf(pa.transpose().data(), pa.data()) <= scale * 20.0);
            // The solves apply it.
            let (b, c) = (dense(1, m, seed + 1), dense(1, n, seed + 2));
            let (mut x, mut y) = (vec![7.0; n], vec![7.0; m]);
            svd.solve(b.data(), &mut x).unwrap();
            svd.solve_transpose(c.data(), &mut y).unwrap();
            let mut px = vec![0.0; n];
            p.mul_add(1.0, b.data(), &mut px);
            let mut py = vec![0.0; m];
            p.transpose_mul_add(1.0, c.data(), &mut py);
            prop_assert!(distance_inf(&x, &px) <= scale * 20.0 && distance_inf(&y, &py) <= scale * 20.0);
            // The null space: orthonormal, and A vanishes on it.
            let null = svd.null_space();
            prop_assert_eq!(null.rows(), n - svd.rank());
            prop_assert!(distance_inf(product(&null, &null.transpose()).data(), Dense::identity(null.rows()).data()) < 1e-13);
            prop_assert!(product(&a, &null.transpose()).norm_max() < 1e-12);
            prop_assert!(product(&null, &svd.row_space().transpose()).norm_max() < 1e-13);
        }

        #[test]
        fn eigenvectors_are_eigenvectors(n in 0..12usize, seed in 0..1000u64) {
            let a = symmetric(n, seed);
            let eigen = SymmetricEigen::new(&a).unwrap();
            prop_assert!(eigen.values().windows(2).all(|w| w[0] <= w[1]));
            for (k, &value) in eigen.values().iter().enumerate() {
                let v = eigen.vectors().row(k);
                let mut r = vec![0.0; n];
                a.mul_add(1.0, v, &mut r);
                axpy(-value, v, &mut r);
                prop_assert!(norm_inf(&r) < 1e-12);
            }
            prop_assert!(distance_inf(eigen.apply(|v| v).data(), a.data()) < 1e-12);
            prop_assert!(distance_inf(eigen.apply(|_| 1.0).data(), Dense::identity(n).data()) < 1e-12);
        }
    }

    #[test]
    fn condition_and_bad_input() {
        assert_eq!(Svd::new(&Dense::from_diagonal(&[4.0, 0.5]), None).unwrap().condition(), 8.0);
        assert_eq!(Svd::new(&Dense::from_diagonal(&[4.0, 0.0]), None).unwrap().condition(), f64::INFINITY);
        assert_eq!(Svd::new(&Dense::zeros(0, 3), None).unwrap().condition(), 1.0);
        assert_eq!(Svd::new(&Dense::zeros(3, 3), None).unwrap().rank(), 0);
        assert!(Svd::new(&Dense::from_diagonal(&[f64::NAN]), None).is_err());
        assert!(SymmetricEigen::new(&Dense::from_diagonal(&[f64::INFINITY])).is_err());
        assert!(SymmetricEigen::new(&Dense::zeros(2, 3)).is_err());
        assert!(Svd::new(&Dense::zeros(2, 3), None).unwrap().solve(&[1.0], &mut [0.0; 3]).is_err());
    }
}
