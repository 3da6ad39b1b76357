//! Sparse matrices in compressed rows.

use crate::dense::Dense;
use crate::error::{LinalgError, expect_size};
use crate::vector;

/// A sparse matrix in compressed sparse row form; within a row, columns increase.
#[derive(Clone, Debug, PartialEq)]
pub struct Csr {
    rows: usize,
    cols: usize,
    starts: Vec<usize>,
    indices: Vec<usize>,
    values: Vec<f64>,
}

impl Csr {
    /// A matrix without stored entries.
    pub fn empty(rows: usize, cols: usize) -> Self {
        Self { rows, cols, starts: vec![0; rows + 1], indices: Vec::new(), values: Vec::new() }
    }

    /// The identity of order `n`.
    pub fn identity(n: usize) -> Self {
        Self { rows: n, cols: n, starts: (0..=n).collect(), indices: (0..n).collect(), values: vec![1.0; n] }
    }

    /// A matrix from `(row, column, value)` triplets; entries at the same place are added. `None` if a triplet
    /// lies outside the matrix.
    pub fn from_triplets(rows: usize, cols: usize, triplets: &[(usize, usize, f64)]) -> Option<Self> {
        if triplets.iter().any(|&(i, j, _)| i >= rows || j >= cols) {
            return None;
        }
        // Bucket the entries by row, then sort each row.
        let mut starts = vec![0; rows + 1];
        for &(i, _, _) in triplets {
            starts[i + 1] += 1;
        }
        for i in 0..rows {
            starts[i + 1] += starts[i];
        }
        let mut next = starts.clone();
        let mut entries = vec![(0, 0.0); triplets.len()];
        for &(i, j, value) in triplets {
            entries[next[i]] = (j, value);
            next[i] += 1;
        }
        let mut out = Self::empty(rows, cols);
        for i in 0..rows {
            let row = &mut entries[starts[i]..starts[i + 1]];
            // Stable: entries at one place are added in the order in which they were given.
            row.sort_by_key(|e| e.0);
            let begin = out.indices.len();
            for &(j, value) in &*row {
                match out.values.last_mut() {
                    Some(last) if out.indices.len() > begin && out.indices.last() == Some(&j) => *last += value,
                    _ => {
                        out.indices.push(j);
                        out.values.push(value);
                    }
                }
            }
            out.starts[i + 1] = out.indices.len();
        }
        Some(out)
    }

    /// The entries of `a` that are not zero (NaN is kept).
    pub fn from_dense(a: &Dense) -> Self {
        let mut out = Self::empty(a.rows(), a.cols());
        for i in 0..a.rows() {
            for (j, &value) in a.row(i).iter().enumerate() {
                if value != 0.0 {
                    out.indices.push(j);
                    out.values.push(value);
                }
            }
            out.starts[i + 1] = out.indices.len();
        }
        out
    }

    /// The same matrix with its zeros written out.
    pub fn to_dense(&self) -> Dense {
        let mut out = Dense::zeros(self.rows, self.cols);
        for i in 0..self.rows {
            for (j, value) in self.row(i) {
                out[(i, j)] = value;
            }
        }
        out
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// Number of stored entries.
    pub fn stored(&self) -> usize {
        self.values.len()
    }

    /// Where each row starts among the stored entries (`rows + 1` numbers, the last is `stored()`).
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// The columns of the stored entries, row by row.
    pub fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// The stored values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The stored values, row by row, to be written; their places stay.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// The stored entries of row `i` as `(column, value)`.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[i]..self.starts[i + 1];
        self.indices[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }

    /// `A_i v`, the product of row `i` with `v`, which has `cols` entries.
    pub fn row_dot(&self, i: usize, v: &[f64]) -> f64 {
        let range = self.starts[i]..self.starts[i + 1];
        sparse_dot(&self.indices[range.clone()], &self.values[range], v)
    }

    /// `out += scale * A v`; `v` has `cols` entries and `out` has `rows`.
    pub fn mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        for (o, range) in out.iter_mut().zip(self.starts.windows(2)) {
            let range = range[0]..range[1];
            *o += scale * sparse_dot(&self.indices[range.clone()], &self.values[range], v);
        }
    }

    /// `out += scale * Aᵀ v`; `v` has `rows` entries and `out` has `cols`.
    pub fn transpose_mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        for (&vi, range) in v.iter().zip(self.starts.windows(2)) {
            let (weight, range) = (scale * vi, range[0]..range[1]);
            if weight == 0.0 {
                continue;
            }
            let (indices, values) = (&self.indices[range.clone()], &self.values[range]);
            match stretch(indices) {
                Some(place) => vector::axpy(weight, values, &mut out[place]),
                None => indices.iter().zip(values).for_each(|(&j, &a)| out[j] += weight * a),
            }
        }
    }

    /// The transpose.
    pub fn transpose(&self) -> Csr {
        let mut starts = vec![0; self.cols + 1];
        for &j in &self.indices {
            starts[j + 1] += 1;
        }
        for j in 0..self.cols {
            starts[j + 1] += starts[j];
        }
        let mut next = starts.clone();
        let (mut indices, mut values) = (vec![0; self.stored()], vec![0.0; self.stored()]);
        for i in 0..self.rows {
            for (j, value) in self.row(i) {
                let k = next[j];
                next[j] += 1;
                indices[k] = i;
                values[k] = value;
            }
        }
        Csr { rows: self.cols, cols: self.rows, starts, indices, values }
    }

    /// The columns in a range (clipped to the matrix), renumbered from 0.
    pub fn columns(&self, range: std::ops::Range<usize>) -> Csr {
        let range = range.start.min(self.cols)..range.end.min(self.cols);
        let mut out = Csr::empty(0, range.len());
        for i in 0..self.rows {
            for (j, value) in self.row(i).filter(|(j, _)| range.contains(j)) {
                out.indices.push(j - range.start);
                out.values.push(value);
            }
            out.starts.push(out.indices.len());
        }
        out.rows = self.rows;
        out
    }

    /// The same matrix with zero columns added up to `cols`; no narrower than before.
    pub fn widened(&self, cols: usize) -> Csr {
        let mut out = self.clone();
        out.cols = out.cols.max(cols);
        out
    }

    /// The rows of `self` above the rows of `below`.
    ///
    /// # Errors
    /// `Shape` if they have different numbers of columns.
    pub fn stack(&self, below: &Csr) -> Result<Csr, LinalgError> {
        expect_size("columns of the lower block", self.cols, below.cols)?;
        let mut out = self.clone();
        out.rows += below.rows;
        out.starts.extend(below.starts[1..].iter().map(|s| s + self.stored()));
        out.indices.extend_from_slice(&below.indices);
        out.values.extend_from_slice(&below.values);
        Ok(out)
    }

    /// The rows whose numbers are listed, in that order. Numbers outside the matrix are skipped.
    pub fn select_rows(&self, rows: &[usize]) -> Csr {
        let mut out = Csr::empty(0, self.cols);
        for &i in rows.iter().filter(|&&i| i < self.rows) {
            let range = self.starts[i]..self.starts[i + 1];
            out.indices.extend_from_slice(&self.indices[range.clone()]);
            out.values.extend_from_slice(&self.values[range]);
            out.starts.push(out.indices.len());
            out.rows += 1;
        }
        out
    }

    /// `out += scale * Aᵀ D A` with the diagonal D given by `weights` (one per row of A; `None`: the identity), both
    /// triangles.
    ///
    /// # Errors
    /// `Shape` if `out` is not square of A's columns, or `weights` not as long as A has rows.
    pub fn gram_add(&self, scale: f64, weights: Option<&[f64]>, out: &mut Dense) -> Result<(), LinalgError> {
        expect_size("rows of the Gram matrix", self.cols, out.rows())?;
        expect_size("columns of the Gram matrix", self.cols, out.cols())?;
        if let Some(w) = weights {
            expect_size("weights of the Gram matrix", self.rows, w.len())?;
        }
        for k in 0..self.rows {
            let weight = scale * weights.map_or(1.0, |w| w[k]);
            for (i, a) in self.row(k) {
                for (j, b) in self.row(k) {
                    out[(i, j)] += weight * a * b;
                }
            }
        }
        Ok(())
    }
}

/// Four running totals: the additions do not wait for each other.
#[inline]
fn sparse_dot(indices: &[usize], values: &[f64], v: &[f64]) -> f64 {
    if let Some(place) = stretch(indices) {
        return vector::dot(values, &v[place]);
    }
    let (index_blocks, index_rest) = indices.as_chunks::<4>();
    let (value_blocks, value_rest) = values.as_chunks::<4>();
    let mut total = [0.0; 4];
    for (j, a) in index_blocks.iter().zip(value_blocks) {
        for k in 0..4 {
            total[k] += a[k] * v[j[k]];
        }
    }
    let rest: f64 = index_rest.iter().zip(value_rest).map(|(&j, a)| a * v[j]).sum();
    ((total[0] + total[2]) + (total[1] + total[3])) + rest
}

/// The columns of a row without a gap: its products are those of dense vectors.
fn stretch(indices: &[usize]) -> Option<std::ops::Range<usize>> {
    let (first, last) = (*indices.first()?, *indices.last()?);
    (last - first + 1 == indices.len()).then_some(first..last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dense, sparse};
    use crate::vector::distance_inf;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_its_dense_twin(m in 0..12usize, n in 0..12usize, seed in 0..1000u64) {
            let a = sparse(m, n, seed);
            let twin = a.to_dense();
            prop_assert_eq!(a.transpose().to_dense(), twin.transpose());
            prop_assert_eq!(&Csr::from_dense(&twin), &a);
            let (v, w) = (dense(1, n, seed + 1), dense(1, m, seed + 2));
            let (mut p, mut q) = (vec![1.0; m], vec![1.0; m]);
            a.mul_add(0.7, v.data(), &mut p);
            twin.mul_add(0.7, v.data(), &mut q);
            prop_assert!(distance_inf(&p, &q) < 1e-13);
            for (i, &value) in p.iter().enumerate() {
                prop_assert!((1.0 + 0.7 * a.row_dot(i, v.data()) - value).abs() < 1e-13);
            }
            let (mut p, mut q) = (vec![1.0; n], vec![1.0; n]);
            a.transpose_mul_add(0.7, w.data(), &mut p);
            twin.transpose_mul_add(0.7, w.data(), &mut q);
            prop_assert!(distance_inf(&p, &q) < 1e-13);
            let (mut p, mut q) = (Dense::identity(n), Dense::identity(n));
            a.gram_add(0.3, Some(w.data()), &mut p).unwrap();
            twin.gram_add(0.3, Some(w.data()), &mut q).unwrap();
            prop_assert!(distance_inf(p.data(), q.data()) < 1e-13);
        }

        #[test]
        fn stacks_and_selects_rows(m in 0..6usize, k in 0..6usize, n in 0..6usize, seed in 0..1000u64) {
            let (a, b) = (sparse(m, n, seed), sparse(k, n, seed + 1));
            let stacked = a.stack(&b).unwrap();
            prop_assert_eq!(stacked.rows(), m + k);
            prop_assert_eq!(&stacked.select_rows(&(0..m).collect::<Vec<_>>()), &a);
            prop_assert_eq!(&stacked.select_rows(&(m..m + k).collect::<Vec<_>>()), &b);
        }
    }

    #[test]
    fn triplets_at_one_place_add_up() {
        let a = Csr::from_triplets(2, 2, &[(1, 0, 1.0), (0, 1, 2.0), (1, 0, 0.5)]).unwrap();
        assert_eq!(a.to_dense().data(), &[0.0, 2.0, 1.5, 0.0]);
        assert_eq!(a.stored(), 2);
        assert!(Csr::from_triplets(2, 2, &[(2, 0, 1.0)]).is_none());
        assert_eq!(Csr::identity(2).to_dense(), Dense::identity(2));
        assert!(a.stack(&Csr::empty(1, 3)).is_err());
        assert_eq!(a.select_rows(&[5]).rows(), 0);
    }

    #[test]
    fn rows_without_gaps_multiply_as_dense_ones() {
        let entry = |i: usize, j: usize| ((3 * i + 5 * j) % 7) as f64 - 2.5;
        // Full, from the second column on, one entry, with a gap, empty.
        let places: [&[usize]; 5] = [&[0, 1, 2, 3, 4, 5, 6], &[1, 2, 3, 4, 5, 6], &[3], &[0, 2, 3], &[]];
        let triplets: Vec<_> =
            places.iter().enumerate().flat_map(|(i, js)| js.iter().map(move |&j| (i, j, entry(i, j)))).collect();
        let a = Csr::from_triplets(5, 7, &triplets).unwrap();
        let dense = a.to_dense();
        let (v, w) = ([0.5, -1.0, 2.0, 0.25, -3.0, 1.5, 0.75], [1.0, -2.0, 0.5, 0.0, 4.0]);
        let (mut one, mut other) = (vec![1.0; 5], vec![1.0; 5]);
        a.mul_add(2.0, &v, &mut one);
        dense.mul_add(2.0, &v, &mut other);
        assert!(distance_inf(&one, &other) < 1e-14);
        let (mut one, mut other) = (vec![1.0; 7], vec![1.0; 7]);
        a.transpose_mul_add(-1.5, &w, &mut one);
        dense.transpose_mul_add(-1.5, &w, &mut other);
        assert!(distance_inf(&one, &other) < 1e-14);
    }
}
