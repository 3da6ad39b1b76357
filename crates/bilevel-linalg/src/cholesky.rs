//! Cholesky factorisation `A = L Lᵀ` of a dense symmetric positive definite matrix.
//!
//! Row-oriented (Banachiewicz): `L_ij = (A_ij - Σ_{k<j} L_ik L_jk) / L_jj`, sums over contiguous rows. Only the lower
//! triangle of A is read. Golub and Van Loan, Matrix Computations, 4th edition, section 4.2.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{LltError, cholesky_in_place, cholesky_in_place_scratch};
use faer::{MatMut, Par};

use crate::dense::Dense;
use crate::error::{LinalgError, expect_size};
use crate::vector::{axpy, dot};

/// Matrices of at least this order are factored by blocks.
const BLOCKED: usize = 128;

/// A Cholesky factor, with storage that later factorisations reuse.
#[derive(Clone, Debug, Default)]
pub struct Cholesky {
    n: usize,
    factor: Vec<f64>,
    factored: bool,
}

impl Cholesky {
    /// An empty factor; `factor` fills it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The order of the matrix last given to `factor`.
    pub fn order(&self) -> usize {
        self.n
    }

    /// Factors `a + shift * I`, reading the lower triangle of `a`. Allocates only where the storage is too small.
    ///
    /// # Errors
    /// `Shape` if `a` is not square, `NotFinite`, or `NotPositiveDefinite`; `solve` then fails too.
    pub fn factor(&mut self, a: &Dense, shift: f64) -> Result<(), LinalgError> {
        self.factored = false;
        expect_size("columns of the matrix to factor", a.rows(), a.cols())?;
        let n = a.rows();
        self.n = n;
        self.factor.clear();
        self.factor.extend_from_slice(a.data());
        if n >= BLOCKED {
            return self.factor_blocked(shift);
        }
        for i in 0..n {
            let (above, rest) = self.factor.split_at_mut(i * n);
            let row = &mut rest[..n];
            for j in 0..i {
                let other = &above[j * n..j * n + n];
                row[j] = (row[j] - dot(&row[..j], &other[..j])) / other[j];
            }
            let pivot = row[i] + shift - dot(&row[..i], &row[..i]);
            // A NaN or an infinity anywhere in the row ends up in its pivot.
            if !pivot.is_finite() {
                return Err(LinalgError::NotFinite { what: "the matrix to factor" });
            }
            if pivot <= 0.0 {
                return Err(LinalgError::NotPositiveDefinite { pivot: i });
            }
            row[i] = pivot.sqrt();
        }
        self.factored = true;
        Ok(())
    }

    /// As `factor`, by faer's blocked kernels, of the matrix that was copied.
    fn factor_blocked(&mut self, shift: f64) -> Result<(), LinalgError> {
        let n = self.n;
        (0..n).for_each(|i| self.factor[i * n + i] += shift);
        let request = cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default());
        let mut memory = MemBuffer::new(request);
        let matrix = MatMut::from_row_major_slice_mut(&mut self.factor, n, n);
        let stack = MemStack::new(&mut memory);
        let done = cholesky_in_place(matrix, Default::default(), Par::Seq, stack, Default::default());
        let diagonal = |i: usize| self.factor[i * n + i];
        if let Err(LltError::NonPositivePivot { index }) = done {
            return Err(if diagonal(index).is_finite() {
                LinalgError::NotPositiveDefinite { pivot: index }
            } else {
                LinalgError::NotFinite { what: "the matrix to factor" }
            });
        }
        if (0..n).any(|i| !diagonal(i).is_finite()) {
            return Err(LinalgError::NotFinite { what: "the matrix to factor" });
        }
        self.factored = true;
        Ok(())
    }

    /// Replaces `b` by `A⁻¹ b`.
    ///
    /// # Errors
    /// `Singular` without a successful `factor` before, `Shape` if `b` has the wrong length.
    pub fn solve(&self, b: &mut [f64]) -> Result<(), LinalgError> {
        self.solve_lower(b)?;
        self.solve_upper(b)
    }

    /// Replaces `b` by `L⁻¹ b`.
    ///
    /// # Errors
    /// As `solve`.
    pub fn solve_lower(&self, b: &mut [f64]) -> Result<(), LinalgError> {
        self.ready(b)?;
        for i in 0..self.n {
            let row = &self.factor[i * self.n..(i + 1) * self.n];
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
        Ok(())
    }

    /// Replaces `b` by `L⁻ᵀ b`.
    ///
    /// # Errors
    /// As `solve`.
    pub fn solve_upper(&self, b: &mut [f64]) -> Result<(), LinalgError> {
        self.ready(b)?;
        for i in (0..self.n).rev() {
            let row = &self.factor[i * self.n..(i + 1) * self.n];
            b[i] /= row[i];
            let bi = b[i];
            axpy(-bi, &row[..i], &mut b[..i]);
        }
        Ok(())
    }

    /// The smallest and the largest diagonal entry of L; 1 and 1 for no entries, NaN without a successful `factor`.
    pub fn pivots(&self) -> (f64, f64) {
        if !self.factored {
            return (f64::NAN, f64::NAN);
        }
        let pivots = || (0..self.n).map(|i| self.factor[i * self.n + i]);
        if self.n == 0 { (1.0, 1.0) } else { (pivots().fold(f64::INFINITY, f64::min), pivots().fold(0.0, f64::max)) }
    }

    /// `log det A`, or NaN without a successful `factor`.
    pub fn log_determinant(&self) -> f64 {
        if !self.factored {
            return f64::NAN;
        }
        (0..self.n).map(|i| 2.0 * self.factor[i * self.n + i].ln()).sum()
    }

    fn ready(&self, b: &[f64]) -> Result<(), LinalgError> {
        expect_size("right-hand side", self.n, b.len())?;
        if self.factored { Ok(()) } else { Err(LinalgError::Singular) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dense, residual, spd};
    use crate::vector::norm_inf;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn solves(n in 0..30usize, seed in 0..1000u64, shift in 0.0..2.0f64) {
            let mut a = spd(n, seed);
            let b = dense(1, n, seed + 1);
            let mut factor = Cholesky::new();
            factor.factor(&a, shift).unwrap();
            let mut x = b.data().to_vec();
            factor.solve(&mut x).unwrap();
            for i in 0..n {
                a[(i, i)] += shift;
            }
            prop_assert!(residual(&a, &x, b.data()) <= 1e-13 * (1.0 + a.norm_max() * norm_inf(&x)) * (n as f64 + 1.0));
        }
    }

    #[test]
    fn refuses_what_it_cannot_factor() {
        let mut factor = Cholesky::new();
        assert_eq!(
            factor.solve(&mut [1.0]),
            Err(LinalgError::Shape { what: "right-hand side", expected: 0, found: 1 })
        );
        let indefinite = Dense::from_diagonal(&[1.0, -1.0]);
        assert_eq!(factor.factor(&indefinite, 0.0), Err(LinalgError::NotPositiveDefinite { pivot: 1 }));
        assert_eq!(factor.solve(&mut [1.0, 1.0]), Err(LinalgError::Singular));
        assert!(factor.factor(&indefinite, 1.5).is_ok());
        assert!((factor.log_determinant() - (2.5f64 * 0.5).ln()).abs() < 1e-15);
        assert!(factor.factor(&Dense::from_diagonal(&[f64::NAN]), 0.0).is_err());
        assert!(factor.factor(&Dense::zeros(2, 2), 0.0).is_err());
        assert!(factor.factor(&Dense::zeros(2, 3), 0.0).is_err());
        assert!(factor.factor(&Dense::identity(1), f64::NAN).is_err());
        assert!(factor.log_determinant().is_nan());
    }
}
