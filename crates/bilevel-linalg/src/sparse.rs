//! Sparse matrices in compressed rows.

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
    /// A matrix from `(row, column, value)` triplets; entries at the same place are added. `None` if a triplet
    /// lies outside the matrix.
    pub fn from_triplets(rows: usize, cols: usize, triplets: &[(usize, usize, f64)]) -> Option<Self> {
        if triplets.iter().any(|&(i, j, _)| i >= rows || j >= cols) {
            return None;
        }
        let mut sorted = triplets.to_vec();
        sorted.sort_by_key(|&(i, j, _)| (i, j));
        let (mut starts, mut indices, mut values) = (vec![0; rows + 1], Vec::new(), Vec::new());
        let mut last = None;
        for (i, j, value) in sorted {
            if last == Some((i, j)) {
                if let Some(v) = values.last_mut() {
                    *v += value;
                }
            } else {
                indices.push(j);
                values.push(value);
                starts[i + 1] += 1;
                last = Some((i, j));
            }
        }
        for i in 0..rows {
            starts[i + 1] += starts[i];
        }
        Some(Self { rows, cols, starts, indices, values })
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

    /// The stored entries of row `i` as `(column, value)`.
    pub fn row(&self, i: usize) -> impl Iterator<Item = (usize, f64)> + '_ {
        let range = self.starts[i]..self.starts[i + 1];
        self.indices[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }

    /// `out += scale * A v`.
    pub fn mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        for (i, o) in out.iter_mut().enumerate() {
            *o += scale * self.row(i).map(|(j, a)| a * v[j]).sum::<f64>();
        }
    }

    /// `out += scale * Aᵀ v`.
    pub fn transpose_mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        for (i, &vi) in v.iter().enumerate() {
            for (j, a) in self.row(i) {
                out[j] += scale * vi * a;
            }
        }
    }
}
