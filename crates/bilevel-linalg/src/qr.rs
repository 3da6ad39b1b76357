//! QR factorisation with column pivoting, `A P = Q R`, by Householder reflections: rank and least squares.
//!
//! Businger and Golub, "Linear least squares solutions by Householder transformations", Numer. Math. 7 (1965),
//! 269-276. Columns are kept contiguous. The rank is the number of diagonal entries of R above `tolerance` times the
//! largest one; the remaining columns get the coefficient zero (a basic solution). For the shortest solution take
//! [`Svd`](crate::Svd).

use crate::dense::Dense;
use crate::error::{LinalgError, expect_finite, expect_size};
use crate::vector::{axpy, dot, norm2};

/// A factorisation with storage that later ones reuse.
#[derive(Clone, Debug, Default)]
pub struct PivotedQr {
    rows: usize,
    cols: usize,
    /// Column k: R above the diagonal, the Householder vector from the diagonal on.
    columns: Vec<f64>,
    diagonal: Vec<f64>,
    order: Vec<usize>,
    rank: usize,
}

impl PivotedQr {
    /// An empty factorisation; `factor` fills it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The rank decided by the last `factor`.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// The columns of A in the order of elimination: the first `rank()` of them are independent.
    pub fn order(&self) -> &[usize] {
        &self.order
    }

    /// Factors `a` (m x n); with `None` the tolerance is `max(m, n) * ε`. Allocates only where the storage is too
    /// small.
    ///
    /// # Errors
    /// `NotFinite`; nothing may be solved then.
    pub fn factor(&mut self, a: &Dense, tolerance: Option<f64>) -> Result<(), LinalgError> {
        (self.rows, self.cols, self.rank) = (0, 0, 0);
        self.order.clear();
        expect_finite("the matrix to factor", a.data())?;
        let (m, n) = (a.rows(), a.cols());
        (self.rows, self.cols) = (m, n);
        self.columns.resize(m * n, 0.0);
        for i in 0..m {
            for (j, &value) in a.row(i).iter().enumerate() {
                self.columns[j * m + i] = value;
            }
        }
        self.order.extend(0..n);
        self.diagonal.clear();
        self.diagonal.resize(m.min(n), 0.0);
        let tolerance = tolerance.unwrap_or(m.max(n) as f64 * f64::EPSILON);
        let mut first = 0.0;
        for k in 0..m.min(n) {
            let size = self.bring_longest(k);
            if k == 0 {
                first = size;
            }
            if size <= tolerance * first || size == 0.0 {
                break;
            }
            self.reflect(k, size);
            self.rank = k + 1;
        }
        Ok(())
    }

    /// Exchanges column k with the one whose part from row k on is longest; that length. Lengths are computed anew
    /// (downdating them is cheaper and loses digits).
    fn bring_longest(&mut self, k: usize) -> f64 {
        let (m, n) = (self.rows, self.cols);
        let (mut best, mut longest) = (k, -1.0);
        for j in k..n {
            let size = norm2(&self.columns[j * m + k..(j + 1) * m]);
            if size > longest {
                (best, longest) = (j, size);
            }
        }
        if best != k {
            let (left, right) = self.columns.split_at_mut(best * m);
            left[k * m..(k + 1) * m].swap_with_slice(&mut right[..m]);
            self.order.swap(k, best);
        }
        longest
    }

    /// Householder vector `v = x + sign(x_0)‖x‖ e_0`, scaled so that `‖v‖² = 2`: the reflection is `I - v vᵀ`.
    fn reflect(&mut self, k: usize, size: f64) {
        let m = self.rows;
        let (left, right) = self.columns.split_at_mut((k + 1) * m);
        let v = &mut left[k * m + k..];
        let head = v[0];
        let alpha = if head >= 0.0 { -size } else { size };
        v[0] = head - alpha;
        // ‖v‖² = 2 ‖x‖ (‖x‖ + |x_0|), in two roots so that neither overflows.
        let scale = 1.0 / (size.sqrt() * (size + head.abs()).sqrt());
        crate::vector::scale(scale, v);
        self.diagonal[k] = alpha;
        for column in right.chunks_exact_mut(m).take(self.cols - k - 1) {
            let part = &mut column[k..];
            let weight = dot(v, part);
            axpy(-weight, v, part);
        }
    }

    /// Writes to `x` (length n) a minimiser of `‖A x - b‖` with zeros for dependent columns, and replaces `b` (length
    /// m) by Qᵀ b, whose entries from `rank()` on are the residual's.
    ///
    /// # Errors
    /// `Shape` if a length does not fit.
    pub fn solve(&self, b: &mut [f64], x: &mut [f64]) -> Result<(), LinalgError> {
        expect_size("right-hand side", self.rows, b.len())?;
        expect_size("solution", self.cols, x.len())?;
        let m = self.rows;
        for k in 0..self.rank {
            let v = &self.columns[k * m + k..(k + 1) * m];
            let weight = dot(v, &b[k..]);
            axpy(-weight, v, &mut b[k..]);
        }
        x.fill(0.0);
        for k in (0..self.rank).rev() {
            let beyond: f64 = (k + 1..self.rank).map(|j| self.columns[j * m + k] * x[self.order[j]]).sum();
            x[self.order[k]] = (b[k] - beyond) / self.diagonal[k];
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Svd;
    use crate::testing::{dense, of_rank};
    use crate::vector::norm_inf;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_residual_is_orthogonal_to_the_columns(m in 0..12usize, n in 0..8usize, r in 0..8usize, seed in 0..1000u64) {
            let a = of_rank(m, n, r, seed);
            let svd = Svd::new(&a, None).unwrap();
            prop_assume!(svd.values().iter().all(|s| *s > 1e-4 || *s < 1e-13));
            let mut qr = PivotedQr::new();
            qr.factor(&dense(3, 5, seed), None).unwrap();
            qr.factor(&a, Some(1e-10)).unwrap();
            prop_assert_eq!(qr.rank(), svd.values().iter().filter(|s| **s > 1e-4).count());
            let b = dense(1, m, seed + 1);
            let (mut rotated, mut x) = (b.data().to_vec(), vec![9.0; n]);
            qr.solve(&mut rotated, &mut x).unwrap();
            prop_assert!(qr.order()[qr.rank()..].iter().all(|&j| x[j] == 0.0));
            let mut residual = b.data().to_vec();
            a.mul_add(-1.0, &x, &mut residual);
            let mut gradient = vec![0.0; n];
            a.transpose_mul_add(1.0, &residual, &mut gradient);
            prop_assert!(norm_inf(&gradient) <= 1e-12 * (1.0 + norm_inf(&x)));
            prop_assert!((norm2(&residual) - norm2(&rotated[qr.rank()..])).abs() <= 1e-12 * (1.0 + norm_inf(&x)));
        }
    }

    #[test]
    fn extreme_sizes_and_bad_input() {
        let mut qr = PivotedQr::new();
        for scale in [1e-200, 1e200] {
            qr.factor(&Dense::from_row_major(2, 2, vec![3.0 * scale, 0.0, 4.0 * scale, scale]).unwrap(), None).unwrap();
            let (mut b, mut x) = ([3.0 * scale, 5.0 * scale], [0.0; 2]);
            qr.solve(&mut b, &mut x).unwrap();
            assert!(crate::vector::distance_inf(&x, &[1.0, 1.0]) < 1e-14, "{x:?}");
        }
        assert!(qr.factor(&Dense::from_diagonal(&[f64::NAN]), None).is_err());
        assert!(qr.solve(&mut [1.0], &mut [1.0]).is_err());
        assert_eq!(qr.rank(), 0);
    }
}
