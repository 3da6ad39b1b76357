//! A user's own function of x in place of phi, with or without subgradients.

use super::{End, HyperFailure, HyperObjective, HyperPoint};
use crate::solution::Rigor;

/// What a user's code returns: the value, and a subgradient where there is one.
pub type UserValue = Result<(f64, Option<Vec<f64>>), String>;

/// A function of x given as code. Its values are taken as exact.
///
/// ```
/// use bilevel::hyper::{HyperObjective, UserHyper};
///
/// let norm = UserHyper::new(2, |x: &[f64]| Ok((x[0].hypot(x[1]), None)));
/// assert_eq!(norm.evaluate(&[3.0, 4.0], 1e-8, None).map(|point| point.value), Ok(5.0));
/// ```
pub struct UserHyper<F> {
    dimension: usize,
    function: F,
}

impl<F: Fn(&[f64]) -> UserValue + Sync> UserHyper<F> {
    /// A function of `dimension` variables. An `Err`, a value that is NaN and a subgradient of another length count as
    /// numerical failures with the text given.
    pub fn new(dimension: usize, function: F) -> Self {
        Self { dimension, function }
    }
}

impl<F: Fn(&[f64]) -> UserValue + Sync> HyperObjective for UserHyper<F> {
    fn dimension(&self) -> usize {
        self.dimension
    }

    fn evaluate(&self, x: &[f64], _accuracy: f64, _warm: Option<&[f64]>) -> Result<HyperPoint, HyperFailure> {
        let (value, subgradient) = (self.function)(x).map_err(HyperFailure::Numerical)?;
        if value.is_infinite() {
            return Err(HyperFailure::Infinite);
        }
        let length = subgradient.as_ref().map_or(self.dimension, Vec::len);
        if value.is_nan() || length != self.dimension {
            return Err(HyperFailure::Numerical(format!("value {value}, subgradient of {length} entries")));
        }
        let end = || End { value, rigor: Rigor::Conditional(vec!["the user's value".into()]) };
        Ok(HyperPoint { value, lower: end(), upper: end(), y: Vec::new(), subgradient })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_keep_their_text() {
        let picky = UserHyper::new(1, |x: &[f64]| match x[0] {
            v if v > 0.0 => Ok((v.ln(), Some(vec![1.0 / v]))),
            v if v < 0.0 => Err(format!("no logarithm of {v}")),
            _ => Ok((f64::NAN, None)),
        });
        let at = |x: f64| picky.evaluate(&[x], 1e-8, None);
        assert_eq!(at(2.0).unwrap().subgradient, Some(vec![0.5]));
        assert_eq!(at(-2.0).unwrap_err(), HyperFailure::Numerical("no logarithm of -2".into()));
        assert!(matches!(at(0.0), Err(HyperFailure::Numerical(_))));
        let wrong = UserHyper::new(2, |_: &[f64]| Ok((1.0, Some(vec![1.0]))));
        assert!(wrong.evaluate(&[0.0, 0.0], 1e-8, None).is_err());
    }
}
