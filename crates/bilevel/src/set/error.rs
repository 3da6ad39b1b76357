//! What is wrong with the data of a set.

use thiserror::Error;

/// Why a set could not be built.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum SetError {
    /// A bound, centre, coefficient, ... is NaN, or infinite where it must be finite.
    #[error("{what} {index} must be {wanted}, got {value}")]
    Value {
        /// Which datum ("lower bound of component", "coefficient in row", ...).
        what: &'static str,
        /// Its index, from 0.
        index: usize,
        /// What is allowed.
        wanted: &'static str,
        /// What was given.
        value: f64,
    },
    /// A single number (radius, total, right-hand side) is out of its range.
    #[error("{what} must be {wanted}, got {value}")]
    Scalar {
        /// Which datum.
        what: &'static str,
        /// What is allowed.
        wanted: &'static str,
        /// What was given.
        value: f64,
    },
    /// The interval of a component holds no number.
    #[error("the set is empty: component {component} in [{lower}, {upper}]")]
    EmptyInterval {
        /// The component, from 0.
        component: usize,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// The interval of a row holds no number.
    #[error("the set is empty: row {row} in [{lower}, {upper}]")]
    EmptyRow {
        /// The row, from 0.
        row: usize,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// Two lengths that must agree do not.
    #[error("{what} must have {wanted} entries, got {got}")]
    Length {
        /// Which datum.
        what: &'static str,
        /// The length that is needed.
        wanted: usize,
        /// The length that was given.
        got: usize,
    },
    /// The normal of a halfspace is zero.
    #[error("the normal of a halfspace must not be zero")]
    ZeroNormal,
    /// The equations have no solution.
    #[error("the equations have no solution: row {row} is off by {residual} at their least-squares solution")]
    Inconsistent {
        /// The row with the largest residual, from 0.
        row: usize,
        /// Its residual.
        residual: f64,
    },
    /// No point satisfies all constraints.
    #[error("the set is empty: no point comes closer than {violation} to satisfying all constraints")]
    Empty {
        /// The smallest possible largest violation, with rows scaled to norm 1.
        violation: f64,
    },
    /// A simplex needs at least one component.
    #[error("a simplex of 0 components is empty: their sum cannot be {total}")]
    EmptySimplex {
        /// The sum asked for.
        total: f64,
    },
}

/// An error unless all of `values` are finite.
pub(super) fn check_finite(what: &'static str, values: &[f64]) -> Result<(), SetError> {
    match values.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(SetError::Value { what, index, wanted: "finite", value: values[index] }),
    }
}

/// An error unless `value` is positive and finite.
pub(super) fn check_positive(what: &'static str, value: f64) -> Result<(), SetError> {
    if value.is_finite() && value > 0.0 {
        return Ok(());
    }
    Err(SetError::Scalar { what, wanted: "positive and finite", value })
}

/// An error unless `got == wanted`.
pub(super) fn check_length(what: &'static str, wanted: usize, got: usize) -> Result<(), SetError> {
    if got == wanted { Ok(()) } else { Err(SetError::Length { what, wanted, got }) }
}
