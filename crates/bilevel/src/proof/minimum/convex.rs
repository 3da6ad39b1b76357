//! Proofs that every symmetric matrix within a matrix of intervals is positive semidefinite.

use crate::proof::interval::Interval;

/// Elimination in intervals: true if every symmetric matrix within `matrix` (k x k, row by row; overwritten) is
/// positive semidefinite. A pivot that is exactly 0 is allowed if its row is exactly 0.
pub fn is_positive_semidefinite(matrix: &mut [Interval], k: usize) -> bool {
    for i in 0..k {
        let pivot = matrix[i * k + i];
        if pivot.lo() > 0.0 {
            for a in i + 1..k {
                let factor = matrix[a * k + i] / pivot;
                for b in i + 1..=a {
                    let part = if a == b { matrix[a * k + i].square() / pivot } else { factor * matrix[b * k + i] };
                    let new = matrix[a * k + b] - part;
                    matrix[a * k + b] = new;
                    matrix[b * k + a] = new;
                }
            }
        } else if pivot.lo() < 0.0 || (i + 1..k).any(|a| matrix[a * k + i] != Interval::ZERO) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[&[(f64, f64)]]) -> bool {
        let k = rows.len();
        let mut matrix: Vec<_> = rows.concat().into_iter().map(|(a, b)| Interval::new(a, b)).collect();
        is_positive_semidefinite(&mut matrix, k)
    }

    #[test]
    fn known_matrices() {
        let p = |v: f64| (v, v);
        assert!(check(&[&[p(2.0), p(-2.0)], &[p(-2.0), p(2.0)]]));
        assert!(check(&[&[p(0.0), p(0.0)], &[p(0.0), p(1.0)]]));
        assert!(!check(&[&[p(0.0), p(1e-9)], &[p(1e-9), p(1.0)]]));
        assert!(!check(&[&[p(1.0), p(2.0)], &[p(2.0), p(3.9)]]));
        assert!(check(&[&[(1.9, 2.1), (-0.5, 1.0)], &[(-0.5, 1.0), (1.0, 1.1)]]));
        assert!(!check(&[&[(1.9, 2.1), (-0.5, 1.5)], &[(-0.5, 1.5), (1.0, 1.1)]]));
        assert!(!check(&[&[(-0.1, 2.1)]]));
        assert!(!check(&[&[(0.0, 1.0), p(0.0)], &[p(0.0), p(-1e-300)]]));
    }
}
