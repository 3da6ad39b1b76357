//! One-sided directional derivatives of phi, where S(x) or the attaining answer changes piece:
//!
//! ```text
//! φ'(x; d) = lim (φ(x + t d) − φ(x)) / t = lim ⟨s(x + t d), d⟩,   t ↓ 0, s a subgradient
//! ```
//!
//! (both limits where φ is piecewise smooth along d). The second is taken at the smallest step, where a difference of
//! values would be rounding; without a subgradient the first. A φ that jumps at x has no derivative: S(x) loses or gains
//! answers there, and the values that it has beside x do not approach φ(x).

use bilevel_linalg::vector::{add_scaled, dot, norm2};

use super::{HyperFailure, HyperObjective};

/// The first step, relative to 1 + the size of x.
const FIRST: f64 = 1e-3;
/// Steps, each a tenth of the one before.
const STEPS: usize = 4;

/// A one-sided derivative. An estimate: nothing of it is proved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Directional {
    /// φ'(x; d); infinite, with the sign of the jump, where φ jumps.
    pub derivative: f64,
    /// φ just beside x along d, the limit where φ jumps.
    pub beside: f64,
    /// Whether φ jumps at x along d.
    pub jumps: bool,
}

/// The derivative of `phi` at `x` along `d`, with values to about `accuracy`.
///
/// # Errors
/// The first evaluation that fails; a direction of length 0 or of another dimension.
pub fn directional_derivative(
    phi: &dyn HyperObjective,
    x: &[f64],
    d: &[f64],
    accuracy: f64,
) -> Result<Directional, HyperFailure> {
    let length = norm2(d);
    if d.len() != x.len() || length == 0.0 || !length.is_finite() {
        return Err(HyperFailure::Numerical(format!("a direction of {} entries and length {length}", d.len())));
    }
    let here = phi.evaluate(x, accuracy, None)?;
    let mut beside = x.to_vec();
    let mut t = 10.0 * FIRST * (1.0 + norm2(x)) / length;
    let (mut last, mut before) = (here.clone(), 0.0);
    for _ in 0..STEPS {
        t *= 0.1;
        before = last.value - here.value;
        add_scaled(x, t, d, &mut beside);
        last = phi.evaluate(&beside, accuracy, Some(&here.y).filter(|y| !y.is_empty()).map(Vec::as_slice))?;
    }
    let change = last.value - here.value;
    // A tenth of the step brings about a tenth of the change, unless there is a jump.
    let jumps = change.abs() > 0.5 * before.abs() && change.abs() > 1e-6 * (1.0 + here.value.abs()) + 10.0 * accuracy;
    let derivative = match (&last.subgradient, jumps) {
        (_, true) => change.signum() * f64::INFINITY,
        (Some(subgradient), false) => dot(subgradient, d),
        (None, false) => change / t,
    };
    Ok(Directional { derivative, beside: last.value, jumps })
}

#[cfg(test)]
mod tests {
    use super::super::UserHyper;
    use super::*;

    #[test]
    fn sides_of_a_kink_and_of_a_jump() {
        let kink = UserHyper::new(1, |x: &[f64]| Ok((x[0].abs() + x[0], Some(vec![x[0].signum() + 1.0]))));
        let along = |d: f64| directional_derivative(&kink, &[0.0], &[d], 1e-9).unwrap();
        assert_eq!((along(1.0).derivative, along(-3.0).derivative), (2.0, 0.0));
        let plain = UserHyper::new(1, |x: &[f64]| Ok((x[0].abs(), None)));
        let found = directional_derivative(&plain, &[0.0], &[-2.0], 1e-9).unwrap();
        assert!((found.derivative - 2.0).abs() < 1e-9 && !found.jumps);
        let jump = UserHyper::new(1, |x: &[f64]| Ok((if x[0] > 0.0 { x[0] - 3.0 } else { x[0] }, Some(vec![1.0]))));
        let found = directional_derivative(&jump, &[0.0], &[1.0], 1e-9).unwrap();
        assert!(found.jumps && found.derivative == f64::NEG_INFINITY && (found.beside + 3.0).abs() < 1e-5);
        assert_eq!(directional_derivative(&jump, &[0.0], &[-1.0], 1e-9).unwrap().derivative, -1.0);
        assert!(directional_derivative(&jump, &[0.0], &[0.0], 1e-9).is_err());
    }
}
