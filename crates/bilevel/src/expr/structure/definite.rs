//! Whether every matrix within an interval matrix is positive (negative) semidefinite.
//!
//! Off the diagonal each interval is its midpoint and a radius. Moving the radii's row sums to the diagonal leaves a
//! diagonally dominant, so positive semidefinite, rest (as in Gershgorin's theorem): if M = lower diagonal - row sums
//! of radii, midpoints elsewhere, is positive semidefinite, so is every matrix within. M is decided by its rows where
//! it is diagonally dominant itself, else by its smallest eigenvalue after scaling the diagonal to 1.

use std::collections::BTreeMap;

use bilevel_linalg::{Cholesky, Csr, Dense, SparseLdlt};

use super::Range;
use super::second::Hessian;

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
    if diagonal.iter().zip(&sums).all(|(d, s)| d >= s) {
        return true;
    }
    if diagonal.iter().zip(&sums).any(|(&d, &s)| !(d > 0.0 || (d == 0.0 && s == 0.0))) {
        return false;
    }
    // The diagonal is positive, or the whole row is zero.
    let scale: Vec<f64> = diagonal.iter().map(|&d| if d > 0.0 { 1.0 / d.sqrt() } else { 0.0 }).collect();
    off.iter_mut().for_each(|(i, j, v)| *v *= scale[*i] * scale[*j]);
    // Rounding moves the eigenvalues of a singular matrix by a few ulps per row.
    let slack = 1e-14 * (n as f64 + 10.0);
    if n > SPARSE && off.len() < n * n / 50 {
        return has_positive_pivots(n, &off, slack);
    }
    if n > LARGEST {
        return false;
    }
    let mut matrix = Dense::identity(n);
    for (i, j, v) in off {
        (matrix[(i, j)], matrix[(j, i)]) = (v, v);
    }
    Cholesky::new().factor(&matrix, slack).is_ok()
}

/// From this many rows on a matrix with few entries is factored sparsely.
const SPARSE: usize = 200;

/// Whether 1 + slack on the diagonal and `off` beside it has a factorisation L D Lᵀ with D positive, which needs no
/// pivoting to be stable.
fn has_positive_pivots(n: usize, off: &[(usize, usize, f64)], slack: f64) -> bool {
    let mut triplets: Vec<(usize, usize, f64)> = (0..n).map(|i| (i, i, 1.0 + slack)).collect();
    triplets.extend(off.iter().map(|&(i, j, v)| (i.max(j), i.min(j), v)));
    let Some(matrix) = Csr::from_triplets(n, n, &triplets) else { return false };
    let factor = SparseLdlt::new(&matrix).ok().filter(|factor| factor.stored() <= ENTRIES);
    factor.is_some_and(|mut factor| factor.factor(&matrix).is_ok_and(|inertia| inertia.positive == n))
}

#[cfg(test)]
mod tests {
    use super::*;
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
