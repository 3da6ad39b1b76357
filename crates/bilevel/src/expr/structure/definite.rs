//! Whether every matrix within an interval matrix is positive (negative) semidefinite.
//!
//! Off the diagonal each interval is its midpoint and a radius. Moving the radii's row sums to the diagonal leaves a
//! diagonally dominant, so positive semidefinite, rest (as in Gershgorin's theorem): if M = lower diagonal - row sums
//! of radii, midpoints elsewhere, is positive semidefinite, so is every matrix within. M is decided by its rows where
//! it is diagonally dominant itself, else by its smallest eigenvalue after scaling the diagonal to 1.

use std::collections::BTreeMap;

use bilevel_linalg::{Cholesky, Csr, Dense, SparseLdlt};

use super::Range;
use super::formula::visit;
use super::second::Hessian;
use crate::expr::Matrix;

/// What holds for all matrices within.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Definite {
    /// Positive semidefinite.
    pub positive: bool,
    /// Negative semidefinite.
    pub negative: bool,
}

/// Larger matrices are decided by their rows only, unless their factorisation has at most so many entries.
const LARGEST: usize = 2000;
const ENTRIES: usize = 30_000_000;

pub(super) fn definiteness(hessian: &Hessian) -> Definite {
    Definite { positive: is_positive(hessian, |r| r), negative: is_positive(hessian, Range::neg) }
}

/// As [`definiteness`], for a symmetric matrix of numbers.
pub(super) fn definiteness_of(matrix: &Matrix) -> Definite {
    match matrix {
        Matrix::Dense(a) => Definite { positive: dense_is_positive(a, 1.0), negative: dense_is_positive(a, -1.0) },
        Matrix::Sparse(_) => {
            let mut upper = Vec::new();
            visit(matrix, false, |i, j, a| {
                if i <= j {
                    upper.push((i as u32, j as u32, a))
                }
            });
            definiteness(&Hessian::constant(upper))
        }
    }
}

/// As [`definiteness`], for the form zᵀ Q z in those of its variables that `moves` names.
pub(super) fn definiteness_of_form(matrix: &Matrix, moves: &[bool]) -> Definite {
    let both = |i: usize, j: usize| moves[i] && moves[j];
    if let Matrix::Dense(q) = matrix {
        let entry = |i: usize, j: usize| if both(i, j) { q[(i, j)] + q[(j, i)] } else { 0.0 };
        let doubled = Dense::from_fn(q.rows(), q.rows(), entry);
        let [positive, negative] = [1.0, -1.0].map(|sign| dense_is_positive(&doubled, sign));
        return Definite { positive, negative };
    }
    let mut entries = Vec::new();
    visit(matrix, false, |i, j, q| {
        if both(i, j) {
            entries.push((i.min(j) as u32, i.max(j) as u32, if i == j { 2.0 * q } else { q }));
        }
    });
    definiteness(&Hessian::constant(entries))
}

/// Whether sign * a is positive semidefinite.
fn dense_is_positive(a: &Dense, sign: f64) -> bool {
    let n = a.rows();
    let diagonal: Vec<f64> = (0..n).map(|i| sign * a[(i, i)]).collect();
    let sums: Vec<f64> = (0..n).map(|i| a.row(i).iter().map(|v| v.abs()).sum::<f64>() - a[(i, i)].abs()).collect();
    match by_rows(&diagonal, &sums) {
        Some(decided) => decided,
        None if n > LARGEST => false,
        None => {
            let scale = scaling(&diagonal);
            let entry = |i: usize, j: usize| if i == j { 1.0 } else { sign * a[(i, j)] * scale[i] * scale[j] };
            has_factor(&Dense::from_fn(n, n, entry))
        }
    }
}

/// What the diagonal and the sums of the others' sizes say, if that decides.
fn by_rows(diagonal: &[f64], sums: &[f64]) -> Option<bool> {
    if diagonal.iter().zip(sums).all(|(d, s)| d >= s) {
        return Some(true);
    }
    let hopeless = diagonal.iter().zip(sums).any(|(&d, &s)| !(d > 0.0 || (d == 0.0 && s == 0.0)));
    hopeless.then_some(false)
}

/// What scales the diagonal to 1: it is positive, or the whole row is zero.
fn scaling(diagonal: &[f64]) -> Vec<f64> {
    diagonal.iter().map(|&d| if d > 0.0 { 1.0 / d.sqrt() } else { 0.0 }).collect()
}

/// Whether a matrix with unit diagonal is positive semidefinite.
fn has_factor(matrix: &Dense) -> bool {
    Cholesky::new().factor(matrix, slack(matrix.rows())).is_ok()
}

fn is_positive(hessian: &Hessian, signed: impl Fn(Range) -> Range) -> bool {
    let mut position = BTreeMap::new();
    for &(i, j, _) in hessian.entries() {
        position.entry(i).or_insert(0);
        position.entry(j).or_insert(0);
    }
    for (k, place) in position.values_mut().enumerate() {
        *place = k;
    }
    let n = position.len();
    let (mut diagonal, mut sums) = (vec![0.0; n], vec![0.0; n]);
    let mut off = Vec::with_capacity(hessian.entries().len());
    for &(i, j, range) in hessian.entries() {
        let (i, j, range) = (position[&i], position[&j], signed(range));
        if i == j {
            diagonal[i] += range.lower();
            continue;
        }
        if !range.is_finite() {
            return false;
        }
        let (middle, radius) = (0.5 * (range.lower() + range.upper()), 0.5 * (range.upper() - range.lower()));
        for k in [i, j] {
            diagonal[k] -= radius;
            sums[k] += middle.abs();
        }
        if middle != 0.0 {
            off.push((i, j, middle));
        }
    }
    if let Some(decided) = by_rows(&diagonal, &sums) {
        return decided;
    }
    let scale = scaling(&diagonal);
    off.iter_mut().for_each(|(i, j, v)| *v *= scale[*i] * scale[*j]);
    if n > SPARSE && off.len() < n * n / 50 {
        return has_positive_pivots(n, &off);
    }
    if n > LARGEST {
        return false;
    }
    let mut matrix = Dense::identity(n);
    for (i, j, v) in off {
        (matrix[(i, j)], matrix[(j, i)]) = (v, v);
    }
    has_factor(&matrix)
}

/// Rounding moves the eigenvalues of a singular matrix by a few ulps per row.
fn slack(n: usize) -> f64 {
    1e-14 * (n as f64 + 10.0)
}

/// From this many rows on a matrix with few entries is factored sparsely.
const SPARSE: usize = 200;

/// Whether a unit diagonal, and a little, with `off` beside it has a factorisation L D Lᵀ with D positive, which needs no
/// pivoting to be stable.
fn has_positive_pivots(n: usize, off: &[(usize, usize, f64)]) -> bool {
    let mut triplets: Vec<(usize, usize, f64)> = (0..n).map(|i| (i, i, 1.0 + slack(n))).collect();
    triplets.extend(off.iter().map(|&(i, j, v)| (i.max(j), i.min(j), v)));
    let Some(matrix) = Csr::from_triplets(n, n, &triplets) else { return false };
    let factor = SparseLdlt::new(&matrix).ok().filter(|factor| factor.stored() <= ENTRIES);
    factor.is_some_and(|mut factor| factor.factor(&matrix).is_ok_and(|inertia| inertia.positive == n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bilevel_linalg::Csr;
    use proptest::prelude::*;

    fn constant(entries: &[(u32, u32, f64)]) -> Hessian {
        Hessian::constant(entries.to_vec())
    }

    #[test]
    fn known_matrices() {
        let both = |p, n| Definite { positive: p, negative: n };
        assert_eq!(definiteness(&constant(&[])), both(true, true));
        assert_eq!(definiteness(&constant(&[(0, 0, 1.0), (0, 1, 1.0), (1, 1, 1.0)])), both(true, false));
        assert_eq!(definiteness(&constant(&[(0, 0, 1.0), (0, 1, 1.001), (1, 1, 1.0)])), both(false, false));
        assert_eq!(definiteness(&constant(&[(0, 0, -4.0), (0, 3, 2.0), (3, 3, -1.0)])), both(false, true));
        assert_eq!(definiteness(&constant(&[(0, 1, 1.0)])), both(false, false));
        assert_eq!(definiteness(&constant(&[(0, 0, 1e-9), (1, 1, 1.0), (0, 1, 1e-4)])), both(false, false));
        assert_eq!(definiteness(&constant(&[(0, 0, f64::NAN)])), both(false, false));
    }

    #[test]
    fn dense_and_sparse_matrices_of_numbers() {
        let cases = [
            (vec![vec![1.0, 1.0], vec![1.0, 1.0]], true, false),
            (vec![vec![1.0, 1.001], vec![1.001, 1.0]], false, false),
            (vec![vec![-4.0, 2.0], vec![2.0, -1.0]], false, true),
            (vec![vec![0.0, 0.0], vec![0.0, 2.0]], true, false),
            (vec![vec![2.0, 1.5, 1.5], vec![1.5, 2.0, 1.5], vec![1.5, 1.5, 2.0]], true, false),
            (vec![vec![f64::NAN]], false, false),
        ];
        for (rows, positive, negative) in cases {
            let dense = Dense::from_fn(rows.len(), rows.len(), |i, j| rows[i][j]);
            let sparse = Csr::from_dense(&dense);
            for matrix in [Matrix::from(dense), Matrix::from(sparse)] {
                assert_eq!(definiteness_of(&matrix), Definite { positive, negative }, "{rows:?}");
            }
        }
    }

    proptest! {
        /// A Gram matrix is semidefinite, and stops being so when its smallest eigenvalue is moved below 0.
        #[test]
        fn gram_matrices(rows in prop::collection::vec(prop::array::uniform4(-1.0..1.0f64), 1..6), loss in 0.001..1.0f64) {
            let mut gram = [[0.0; 4]; 4];
            for r in &rows {
                for i in 0..4 {
                    for j in 0..4 {
                        gram[i][j] += r[i] * r[j];
                    }
                }
            }
            let entries = |shift: f64| {
                let mut out = Vec::new();
                for (i, row) in gram.iter().enumerate() {
                    for (j, value) in row.iter().enumerate().skip(i) {
                        out.push((i as u32, j as u32, value + if i == j { shift } else { 0.0 }));
                    }
                }
                Hessian::constant(out)
            };
            prop_assert!(is_positive(&entries(1e-9), |r| r));
            let smallest = (0..4).map(|i| gram[i][i]).fold(f64::INFINITY, f64::min);
            // The smallest eigenvalue is at most the smallest diagonal entry.
            prop_assert!(!is_positive(&entries(-smallest - loss), |r| r));
        }

        /// Every member of an interval matrix that passes has nonnegative curvature in random directions.
        #[test]
        fn interval_matrices(
            mids in prop::array::uniform6(-1.0..1.0f64),
            radii in prop::array::uniform6(0.0..0.5f64),
            picks in prop::array::uniform6(-1.0..=1.0f64),
            d in prop::array::uniform3(-1.0..1.0f64),
        ) {
            let places = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];
            let base = |i, j| if i == j { 1.0 } else { 0.0 };
            let entries = (0..6).map(|k| {
                let (i, j) = places[k];
                (i as u32, j as u32, Range::new(base(i, j) + mids[k] - radii[k], base(i, j) + mids[k] + radii[k]))
            });
            if is_positive(&Hessian::new(entries.collect()), |r| r) {
                let mut value = 0.0;
                for k in 0..6 {
                    let (i, j) = places[k];
                    let entry = base(i, j) + mids[k] + picks[k] * radii[k];
                    value += if i == j { entry } else { 2.0 * entry } * d[i] * d[j];
                }
                prop_assert!(value >= -1e-12);
            }
        }
    }
}
