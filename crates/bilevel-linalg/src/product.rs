//! Products of larger dense matrices by faer's blocked kernels, one thread.

use faer::linalg::matmul::triangular::{BlockStructure, matmul};
use faer::{Accum, MatMut, MatRef, Par};

use crate::dense::Dense;

/// Fewer multiplications than this are not worth the blocking.
pub(crate) const LARGE: usize = 200_000;

/// The lower triangle of `out += scale * left right`, with `left` n x k and `right`
/// k x n given as views.
fn add_lower(scale: f64, left: MatRef<'_, f64>, right: MatRef<'_, f64>, out: &mut Dense) {
    let n = out.rows();
    let target = MatMut::from_row_major_slice_mut(out.data_mut(), n, n);
    let (full, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
    matmul(target, lower, Accum::Add, left, full, right, full, scale, Par::Seq);
}

fn view(a: &Dense) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(a.data(), a.rows(), a.cols())
}

/// A copy of `a` with row i (or, `columns`, column i) multiplied by `weights[i]`.
fn weighted(a: &Dense, weights: &[f64], columns: bool) -> Dense {
    let mut out = a.clone();
    for i in 0..a.rows() {
        let row = out.row_mut(i);
        if columns {
            row.iter_mut().zip(weights).for_each(|(v, w)| *v *= w);
        } else {
            row.iter_mut().for_each(|v| *v *= weights[i]);
        }
    }
    out
}

/// The lower triangle of `out += scale * Aᵀ D A`; sizes fit.
pub(crate) fn add_gram(scale: f64, a: &Dense, weights: Option<&[f64]>, out: &mut Dense) {
    let right = weights.map(|w| weighted(a, w, false));
    add_lower(scale, view(a).transpose(), view(right.as_ref().unwrap_or(a)), out);
}

/// The lower triangle of `out += A D Aᵀ`; sizes fit.
pub(crate) fn add_row_gram(a: &Dense, weights: Option<&[f64]>, out: &mut Dense) {
    let left = weights.map(|w| weighted(a, w, true));
    add_lower(1.0, view(left.as_ref().unwrap_or(a)), view(a).transpose(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{dense, spd};
    use crate::vector::distance_inf;
    use crate::{Cholesky, LinalgError};

    #[test]
    fn large_products_match_the_definition() {
        let a = dense(70, 90, 1);
        let (by_rows, by_columns) = (dense(1, 70, 2), dense(1, 90, 3));
        let mut gram = Dense::identity(90);
        a.gram_add(2.0, Some(by_rows.data()), &mut gram).unwrap();
        let twin = Dense::from_fn(90, 90, |i, j| {
            let sum: f64 = (0..70).map(|k| a[(k, i)] * by_rows.data()[k] * a[(k, j)]).sum();
            2.0 * sum + if i == j { 1.0 } else { 0.0 }
        });
        assert!(distance_inf(gram.data(), twin.data()) < 1e-12);
        let rows = a.row_gram(Some(by_columns.data())).unwrap();
        let twin = Dense::from_fn(70, 70, |i, j| (0..90).map(|k| a[(i, k)] * by_columns.data()[k] * a[(j, k)]).sum());
        assert!(distance_inf(rows.data(), twin.data()) < 1e-12);
        assert!(a.row_gram(Some(&[1.0])).is_err());
    }

    #[test]
    fn large_factors_solve_and_refuse() {
        let n = 150;
        let mut a = spd(n, 4);
        let mut factor = Cholesky::new();
        factor.factor(&a, 0.5).unwrap();
        let b = dense(1, n, 5);
        let mut x = b.data().to_vec();
        factor.solve(&mut x).unwrap();
        let mut left: Vec<f64> = b.data().iter().zip(&x).map(|(b, x)| b - 0.5 * x).collect();
        a.mul_add(-1.0, &x, &mut left);
        assert!(crate::vector::norm_inf(&left) < 1e-10 * (1.0 + a.norm_max() * crate::vector::norm_inf(&x)));
        a[(100, 100)] = -1.0;
        assert!(matches!(factor.factor(&a, 0.0), Err(LinalgError::NotPositiveDefinite { .. })));
        a[(100, 100)] = f64::NAN;
        assert!(factor.factor(&a, 0.0).is_err() && factor.solve(&mut x).is_err());
    }
}
