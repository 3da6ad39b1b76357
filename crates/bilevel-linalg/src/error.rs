//! What can go wrong in a factorisation or a solve.

use thiserror::Error;

/// Why a linear-algebra routine gave no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LinalgError {
    /// Two operands do not fit together.
    #[error("{what}: expected size {expected}, found {found}")]
    Shape {
        /// Which operand does not fit.
        what: &'static str,
        /// The size that fits.
        expected: usize,
        /// The size that was given.
        found: usize,
    },
    /// An input holds NaN or an infinity, or the computation overflowed.
    #[error("not a finite number in {what}")]
    NotFinite {
        /// Where it was found.
        what: &'static str,
    },
    /// A Cholesky pivot is not positive.
    #[error("the matrix is not positive definite (pivot {pivot})")]
    NotPositiveDefinite {
        /// The (0-based) pivot that failed.
        pivot: usize,
    },
    /// The matrix has no inverse to working precision.
    #[error("the matrix is singular")]
    Singular,
    /// An iteration did not converge.
    #[error("{what} did not converge")]
    NoConvergence {
        /// The iteration.
        what: &'static str,
    },
}

/// `Err(Shape)` unless the sizes agree.
pub(crate) fn expect_size(what: &'static str, expected: usize, found: usize) -> Result<(), LinalgError> {
    if expected == found { Ok(()) } else { Err(LinalgError::Shape { what, expected, found }) }
}

/// `Err(NotFinite)` if a value is NaN or infinite.
pub(crate) fn expect_finite(what: &'static str, values: &[f64]) -> Result<(), LinalgError> {
    if crate::vector::all_finite(values) { Ok(()) } else { Err(LinalgError::NotFinite { what }) }
}
