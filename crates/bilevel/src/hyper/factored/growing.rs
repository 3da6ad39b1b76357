//! A Cholesky factor of a Gram matrix to which rows and columns are added, and from which they are taken, one at a time
//! (Golub & Van Loan, *Matrix Computations*, 4th edition, section 6.5).

use bilevel_linalg::vector::dot;

/// A new column counts as dependent if less than this share of its squared length is left over.
const DEPENDENT: f64 = 1e-12;

/// L with L Lᵀ = G, row by row.
#[derive(Clone, Debug, Default)]
pub(super) struct GrowingCholesky {
    rows: Vec<Vec<f64>>,
}

impl GrowingCholesky {
    /// Adds a last row and column: the products with the known columns, in their order, and the squared length. False,
    /// and nothing done, if the column depends on the known ones.
    pub fn add(&mut self, products: &[f64], square: f64) -> bool {
        let mut row = products.to_vec();
        self.solve_lower(&mut row);
        let left = square - dot(&row, &row);
        if left.is_nan() || left <= DEPENDENT * square {
            return false;
        }
        row.push(left.sqrt());
        self.rows.push(row);
        true
    }

    /// Takes out the k-th row and column, by rotations of the columns behind it.
    pub fn remove(&mut self, k: usize) {
        self.rows.remove(k);
        for i in k..self.rows.len() {
            // Row i has one entry beyond the diagonal: rotate columns i and i + 1 in this and all later rows.
            let (a, b) = (self.rows[i][i], self.rows[i][i + 1]);
            let length = a.hypot(b);
            let (c, s) = (a / length, b / length);
            for row in &mut self.rows[i..] {
                let (p, q) = (row[i], row[i + 1]);
                (row[i], row[i + 1]) = (c * p + s * q, c * q - s * p);
            }
            self.rows[i].truncate(i + 1);
        }
    }

    fn solve_lower(&self, b: &mut [f64]) {
        for (i, row) in self.rows.iter().enumerate() {
            b[i] = (b[i] - dot(&row[..i], &b[..i])) / row[i];
        }
    }

    /// Replaces `b` by G⁻¹ b.
    pub fn solve(&self, b: &mut [f64]) {
        self.solve_lower(b);
        for (i, row) in self.rows.iter().enumerate().rev() {
            b[i] /= row[i];
            let (before, rest) = b.split_at_mut(i);
            before.iter_mut().zip(row).for_each(|(v, l)| *v -= l * rest[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_come_and_go() {
        let columns: Vec<Vec<f64>> =
            (0..7).map(|j| (0..9).map(|i| ((i * 7 + j * j * 5) % 11) as f64 - 4.0).collect()).collect();
        let mut chosen: Vec<usize> = Vec::new();
        let mut factor = GrowingCholesky::default();
        let add = |j: usize, factor: &mut GrowingCholesky, chosen: &mut Vec<usize>| {
            let products: Vec<f64> = chosen.iter().map(|&k| dot(&columns[k], &columns[j])).collect();
            assert!(factor.add(&products, dot(&columns[j], &columns[j])));
            chosen.push(j);
        };
        (0..6).for_each(|j| add(j, &mut factor, &mut chosen));
        for k in [0, 2, 3] {
            factor.remove(k);
            chosen.remove(k);
        }
        add(6, &mut factor, &mut chosen);
        let right: Vec<f64> = (0..chosen.len()).map(|k| k as f64 - 1.5).collect();
        let mut solution = right.clone();
        factor.solve(&mut solution);
        for (i, right) in chosen.iter().zip(&right) {
            let product: f64 = chosen.iter().zip(&solution).map(|(j, s)| s * dot(&columns[*i], &columns[*j])).sum();
            assert!((product - right).abs() < 1e-9, "{product} {right}");
        }
        let again: Vec<f64> = chosen.iter().map(|&k| dot(&columns[k], &columns[chosen[0]])).collect();
        assert!(!factor.add(&again, dot(&columns[chosen[0]], &columns[chosen[0]])));
    }
}
