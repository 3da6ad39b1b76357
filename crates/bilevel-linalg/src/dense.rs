//! Dense row-major matrices.
//!
//! Products with a vector are bound by memory: `A v` reads each row once, `Aᵀ v` takes four rows at a time, so that
//! the result is streamed once per four rows. Where a vector is shorter than the matrix asks, the entries that exist
//! are used: nothing here panics on a length.

use crate::error::{LinalgError, expect_size};
use crate::vector::dot;

/// A dense matrix, stored row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Dense {
    rows: usize,
    cols: usize,
    data: Vec<f64>,
}

impl Dense {
    /// A matrix of zeros.
    pub fn zeros(rows: usize, cols: usize) -> Self {
        Self { rows, cols, data: vec![0.0; rows * cols] }
    }

    /// The identity of order `n`.
    pub fn identity(n: usize) -> Self {
        Self::from_diagonal(&vec![1.0; n])
    }

    /// The square matrix with `diagonal` on its diagonal and zeros elsewhere.
    pub fn from_diagonal(diagonal: &[f64]) -> Self {
        let mut out = Self::zeros(diagonal.len(), diagonal.len());
        for (i, &d) in diagonal.iter().enumerate() {
            out[(i, i)] = d;
        }
        out
    }

    /// A matrix from its entries row by row; `None` if `data` does not have `rows * cols` entries.
    pub fn from_row_major(rows: usize, cols: usize, data: Vec<f64>) -> Option<Self> {
        (rows.checked_mul(cols) == Some(data.len())).then_some(Self { rows, cols, data })
    }

    /// A matrix whose entry at row `i`, column `j` is `entry(i, j)`.
    pub fn from_fn(rows: usize, cols: usize, mut entry: impl FnMut(usize, usize) -> f64) -> Self {
        let mut data = Vec::with_capacity(rows * cols);
        for i in 0..rows {
            data.extend((0..cols).map(|j| entry(i, j)));
        }
        Self { rows, cols, data }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Row `i`, to be written.
    pub fn row_mut(&mut self, i: usize) -> &mut [f64] {
        &mut self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// All entries, row by row.
    pub fn data(&self) -> &[f64] {
        &self.data
    }

    /// All entries, row by row, to be written.
    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data
    }

    /// Sets every entry to `value`.
    pub fn fill(&mut self, value: f64) {
        self.data.fill(value);
    }

    /// Makes this a copy of `other`, of whatever shape; allocates only where the storage is too small.
    pub fn copy_from(&mut self, other: &Dense) {
        (self.rows, self.cols) = (other.rows, other.cols);
        self.data.clear();
        self.data.extend_from_slice(&other.data);
    }

    /// Makes this a `rows` x `cols` matrix of zeros; allocates only where the storage is too small.
    pub fn reset(&mut self, rows: usize, cols: usize) {
        (self.rows, self.cols) = (rows, cols);
        self.data.clear();
        self.data.resize(rows * cols, 0.0);
    }

    /// The largest absolute entry; 0 for no entries, NaN if one is NaN.
    pub fn norm_max(&self) -> f64 {
        crate::vector::norm_inf(&self.data)
    }

    /// Copies the lower triangle onto the upper one of a square matrix; does nothing to one that is not square.
    pub fn mirror_lower(&mut self) {
        if self.rows == self.cols {
            for i in 0..self.rows {
                for j in 0..i {
                    self[(j, i)] = self[(i, j)];
                }
            }
        }
    }

    /// The transpose.
    pub fn transpose(&self) -> Dense {
        const TILE: usize = 16;
        let mut out = Dense::zeros(self.cols, self.rows);
        for i0 in (0..self.rows).step_by(TILE) {
            for j0 in (0..self.cols).step_by(TILE) {
                for i in i0..(i0 + TILE).min(self.rows) {
                    for j in j0..(j0 + TILE).min(self.cols) {
                        out.data[j * self.rows + i] = self.data[i * self.cols + j];
                    }
                }
            }
        }
        out
    }

    /// `out += scale * A v`; `v` has `cols` entries and `out` has `rows`.
    pub fn mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        if self.cols == 0 {
            return;
        }
        for (o, row) in out.iter_mut().zip(self.data.chunks_exact(self.cols)) {
            *o += scale * dot(row, v);
        }
    }

    /// `out += scale * Aᵀ v`; `v` has `rows` entries and `out` has `cols`.
    pub fn transpose_mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        let (rows, cols) = (self.rows.min(v.len()), self.cols);
        let width = cols.min(out.len());
        if width == 0 {
            return;
        }
        let (out, data) = (&mut out[..width], &self.data[..rows * cols]);
        let mut weights = v[..rows].chunks_exact(4);
        let mut blocks = data.chunks_exact(4 * cols);
        for (w, block) in (&mut weights).zip(&mut blocks) {
            let (c0, c1, c2, c3) = (scale * w[0], scale * w[1], scale * w[2], scale * w[3]);
            let (r0, r1) = (&block[..width], &block[cols..cols + width]);
            let (r2, r3) = (&block[2 * cols..2 * cols + width], &block[3 * cols..3 * cols + width]);
            for j in 0..width {
                out[j] += (c0 * r0[j] + c1 * r1[j]) + (c2 * r2[j] + c3 * r3[j]);
            }
        }
        for (w, row) in weights.remainder().iter().zip(blocks.remainder().chunks_exact(cols)) {
            crate::vector::axpy(scale * w, row, out);
        }
    }

    /// The product `A B`.
    ///
    /// # Errors
    /// `Shape` if A's columns are not as many as B's rows.
    pub fn matmul(&self, b: &Dense) -> Result<Dense, LinalgError> {
        expect_size("rows of the right factor", self.cols, b.rows)?;
        let mut out = Dense::zeros(self.rows, b.cols);
        for i in 0..self.rows {
            b.transpose_mul_add(1.0, self.row(i), out.row_mut(i));
        }
        Ok(out)
    }

    /// `out += scale * Aᵀ D A` with the diagonal D given by `weights` (one per row of A; `None`: the identity), both
    /// triangles. Only the lower triangle of what `out` held is used, and mirrored.
    ///
    /// # Errors
    /// `Shape` if `out` is not square of A's columns, or `weights` not as long as A has rows.
    pub fn gram_add(&self, scale: f64, weights: Option<&[f64]>, out: &mut Dense) -> Result<(), LinalgError> {
        expect_size("rows of the Gram matrix", self.cols, out.rows)?;
        expect_size("columns of the Gram matrix", self.cols, out.cols)?;
        if let Some(w) = weights {
            expect_size("weights of the Gram matrix", self.rows, w.len())?;
        }
        if self.rows * self.cols * self.cols > crate::product::LARGE {
            crate::product::add_gram(scale, self, weights, out);
            out.mirror_lower();
            return Ok(());
        }
        for k in 0..self.rows {
            let row = self.row(k);
            let weight = scale * weights.map_or(1.0, |w| w[k]);
            for i in 0..self.cols {
                crate::vector::axpy(weight * row[i], &row[..=i], &mut out.row_mut(i)[..=i]);
            }
        }
        out.mirror_lower();
        Ok(())
    }

    /// `A D Aᵀ` with the diagonal D given by `weights` (one per column of A; `None`: the identity), both triangles.
    ///
    /// # Errors
    /// `Shape` if `weights` is not as long as A has columns.
    pub fn row_gram(&self, weights: Option<&[f64]>) -> Result<Dense, LinalgError> {
        if let Some(w) = weights {
            expect_size("weights of the Gram matrix", self.cols, w.len())?;
        }
        let mut out = Dense::zeros(self.rows, self.rows);
        crate::product::add_row_gram(self, weights, &mut out);
        out.mirror_lower();
        Ok(out)
    }

    /// `½ vᵀ A v` for a square matrix.
    pub fn half_quadratic(&self, v: &[f64]) -> f64 {
        (0..self.rows.min(v.len())).map(|i| 0.5 * v[i] * dot(self.row(i), v)).sum()
    }
}

impl std::ops::Index<(usize, usize)> for Dense {
    type Output = f64;
    fn index(&self, (i, j): (usize, usize)) -> &f64 {
        &self.data[i * self.cols + j]
    }
}

impl std::ops::IndexMut<(usize, usize)> for Dense {
    fn index_mut(&mut self, (i, j): (usize, usize)) -> &mut f64 {
        &mut self.data[i * self.cols + j]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::dense;
    use crate::vector::distance_inf;
    use proptest::prelude::*;

    fn naive_product(a: &Dense, b: &Dense) -> Dense {
        Dense::from_fn(a.rows(), b.cols(), |i, j| (0..a.cols()).map(|k| a[(i, k)] * b[(k, j)]).sum())
    }

    fn column(v: &[f64]) -> Dense {
        Dense::from_fn(v.len(), 1, |i, _| v[i])
    }

    proptest! {
        #[test]
        fn products_match_the_definition(m in 0..20usize, n in 0..20usize, p in 0..6usize, seed in 0..1000u64) {
            let (a, b) = (dense(m, n, seed), dense(n, p, seed + 1));
            let product = a.matmul(&b).unwrap();
            prop_assert!(distance_inf(product.data(), naive_product(&a, &b).data()) < 1e-12);
            prop_assert_eq!(&a.transpose().transpose(), &a);
            prop_assert_eq!(a.transpose(), Dense::from_fn(n, m, |i, j| a[(j, i)]));

            let (v, w, start) = (dense(1, n, seed + 2), dense(1, m, seed + 3), dense(1, m.max(n), seed + 4));
            let mut out = start.data()[..m].to_vec();
            a.mul_add(-0.5, v.data(), &mut out);
            let twin: Vec<f64> = naive_product(&a, &column(v.data())).data().iter().zip(start.data()).map(|(x, s)| s - 0.5 * x).collect();
            prop_assert!(distance_inf(&out, &twin) < 1e-12);

            let mut out = start.data()[..n].to_vec();
            a.transpose_mul_add(2.0, w.data(), &mut out);
            let twin: Vec<f64> = naive_product(&a.transpose(), &column(w.data())).data().iter().zip(start.data()).map(|(x, s)| s + 2.0 * x).collect();
            prop_assert!(distance_inf(&out, &twin) < 1e-12);

            let mut gram = Dense::zeros(n, n);
            a.gram_add(3.0, Some(w.data()), &mut gram).unwrap();
            let scaled = Dense::from_fn(m, n, |i, j| 3.0 * w.data()[i] * a[(i, j)]);
            prop_assert!(distance_inf(gram.data(), naive_product(&a.transpose(), &scaled).data()) < 1e-12);
            let mut image = vec![0.0; n];
            gram.mul_add(0.5, v.data(), &mut image);
            prop_assert!((gram.half_quadratic(v.data()) - dot(&image, v.data())).abs() < 1e-10);
        }
    }

    #[test]
    fn shapes_are_checked() {
        assert!(Dense::from_row_major(2, 2, vec![0.0; 3]).is_none());
        assert!(Dense::from_row_major(usize::MAX, 2, vec![]).is_none());
        let a = Dense::zeros(2, 3);
        assert_eq!(
            a.matmul(&a).unwrap_err(),
            LinalgError::Shape { what: "rows of the right factor", expected: 3, found: 2 }
        );
        assert!(a.gram_add(1.0, None, &mut Dense::zeros(2, 2)).is_err());
        assert!(a.gram_add(1.0, Some(&[1.0]), &mut Dense::zeros(3, 3)).is_err());
    }

    #[test]
    fn storage_is_reused() {
        let mut a = Dense::identity(3);
        a.copy_from(&Dense::from_diagonal(&[1.0, 2.0]));
        assert_eq!((a.rows(), a.cols(), a[(1, 1)]), (2, 2, 2.0));
        a.reset(1, 3);
        assert_eq!(a, Dense::zeros(1, 3));
    }
}
