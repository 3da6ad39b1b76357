//! The eigenvalues of the follower's Hessian: null space, pseudo-inverse, and the decision which of them are zero.
//!
//! An eigenvalue is zero below `ZERO` times the largest and positive above `POSITIVE` times it. One between the two
//! leaves the rank undecided, and with it S(x): nothing that depends on the rank is then claimed.

use bilevel_linalg::vector::{axpy, dot};
use bilevel_linalg::{Dense, SymmetricEigen};

/// Eigenvalues up to this, relative to the largest, are rounding errors of zeros.
const ZERO: f64 = 1e-12;
/// Eigenvalues from this on, relative to the largest, are positive.
const POSITIVE: f64 = 1e-9;

/// An eigenvalue decomposition of a symmetric matrix with a rank decision.
#[derive(Clone, Debug)]
pub(crate) struct Spectrum {
    values: Vec<f64>,
    vectors: Dense,
    /// Eigenvalues before this one count as zero.
    first_positive: usize,
    /// Whether the decision is clear.
    pub certain: bool,
    /// Whether some eigenvalue is clearly negative.
    pub negative: bool,
}

impl Spectrum {
    /// Decomposes a symmetric matrix; `None` if it is not finite.
    pub fn new(matrix: &Dense) -> Option<Self> {
        let eigen = SymmetricEigen::new(matrix).ok()?;
        let values = eigen.values().to_vec();
        let largest = values.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
        let floor = ZERO * largest * (values.len() as f64).sqrt();
        let cut = (1e-2 * POSITIVE * largest).max(floor);
        let first_positive = values.partition_point(|&v| v <= cut);
        let certain = !values.iter().any(|v| v.abs() > floor && v.abs() < POSITIVE * largest);
        let negative = values.first().is_some_and(|&v| v < -POSITIVE * largest);
        Some(Self { values, vectors: eigen.vectors().clone(), first_positive, certain, negative })
    }

    /// The number of eigenvalues that count as zero.
    pub fn nullity(&self) -> usize {
        self.first_positive
    }

    /// The smallest eigenvalue that counts as positive; infinite without one.
    pub fn smallest_positive(&self) -> f64 {
        self.values.get(self.first_positive).copied().unwrap_or(f64::INFINITY)
    }

    /// The largest absolute eigenvalue.
    pub fn largest(&self) -> f64 {
        self.values.iter().fold(0.0, |a, v| a.max(v.abs()))
    }

    /// An orthonormal basis of the null space, one vector a row.
    pub fn null_basis(&self) -> Dense {
        let m = self.vectors.cols();
        Dense::from_fn(self.first_positive, m, |k, j| self.vectors[(k, j)])
    }

    /// An orthonormal basis of the range, one vector a row.
    pub fn range_basis(&self) -> Dense {
        let first = self.first_positive;
        Dense::from_fn(self.values.len() - first, self.vectors.cols(), |k, j| self.vectors[(first + k, j)])
    }

    /// Writes the pseudo-inverse times `b`.
    pub fn pseudo_solve(&self, b: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        for k in self.first_positive..self.values.len() {
            let v = self.vectors.row(k);
            axpy(dot(v, b) / self.values[k], v, out);
        }
    }

    /// The length of the part of `b` in the null space.
    pub fn null_part(&self, b: &[f64]) -> f64 {
        (0..self.first_positive).map(|k| dot(self.vectors.row(k), b).powi(2)).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectrum(diagonal: &[f64]) -> Spectrum {
        Spectrum::new(&Dense::from_diagonal(diagonal)).unwrap()
    }

    #[test]
    fn a_gap_decides_the_rank() {
        let clear = spectrum(&[1.0, 0.0, 1e-15, 1e-3]);
        assert!(clear.certain && !clear.negative);
        assert_eq!((clear.nullity(), clear.smallest_positive()), (2, 1e-3));
        assert!(!spectrum(&[1.0, 1e-10]).certain);
        assert!(spectrum(&[1.0, -0.1]).negative);
        assert_eq!(spectrum(&[0.0, 0.0]).nullity(), 2);
    }

    #[test]
    fn the_pseudo_inverse_leaves_the_null_space_out() {
        let spectrum = spectrum(&[4.0, 0.0]);
        let mut out = [9.0; 2];
        spectrum.pseudo_solve(&[2.0, 3.0], &mut out);
        assert_eq!(out, [0.5, 0.0]);
        assert_eq!(spectrum.null_part(&[2.0, 3.0]), 3.0);
    }
}
