//! The certificate of a point that anyone found: the one that [`Problem::solve`] gives its own answers.

use std::time::Instant;

use super::presolve::Presolved;
use super::{Analysis, Options, select};
use crate::certificate::refuted_claim;
use crate::problem::{Failures, Problem, Sense};
use crate::solution::{PhiBounds, Rigor, Solution, Verdict, Witness};

/// A point that does not belong to the problem.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PointError {
    /// The wrong number of values.
    #[error("the {level} has {expected} values, {given} are given")]
    Length {
        /// Whose point.
        level: &'static str,
        /// Values needed.
        expected: usize,
        /// Values given.
        given: usize,
    },
    /// A value that is not finite.
    #[error("value {index} of the {level} is {value}")]
    Value {
        /// Whose point.
        level: &'static str,
        /// Which value.
        index: usize,
        /// The value.
        value: f64,
    },
}

/// Numbers that came with a point and are checked too, all in the user's sense. Those that are absent claim nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Claims {
    /// F(x, y).
    pub upper: Option<f64>,
    /// f(x, y).
    pub lower: Option<f64>,
    /// phi_o(x), between these.
    pub optimistic: Option<(f64, f64)>,
    /// phi_p(x), between these.
    pub pessimistic: Option<(f64, f64)>,
}

/// Claimed numbers may differ from the computed ones by this, relative to 1 + their size: points are often rounded.
const ROUNDED: f64 = 1e-5;

impl Problem {
    /// Recomputes everything that can be known of (x, y) from the problem and the point alone. The verdict, the witness
    /// of a refutation and the statements in words are in the certificate; the status says what `solve` would say of the
    /// point. `options` gives the attitude, the seed of the independent search and the tolerance of stationarity.
    ///
    /// # Errors
    /// [`PointError`] if a length is wrong or a value is not finite.
    pub fn verify(&self, x: &[f64], y: &[f64], claims: &Claims, options: &Options) -> Result<Solution, PointError> {
        for (level, given, expected) in [("leader", x, self.n()), ("follower", y, self.m())] {
            if given.len() != expected {
                return Err(PointError::Length { level, expected, given: given.len() });
            }
            if let Some((index, &value)) = given.iter().enumerate().find(|(_, v)| !v.is_finite()) {
                return Err(PointError::Value { level, index, value });
            }
        }
        let clock = Instant::now();
        let failures = Failures::default();
        let presolved = Presolved::new(self);
        let analysis = Analysis::new(&presolved.problem);
        let mut solution = select::certify(&presolved, &analysis, options, (x, y), &failures);
        if solution.certificate.witness.is_none()
            && let Some(witness) = wrong_claim(&solution, claims, self.leader().sense)
        {
            let certificate = &mut solution.certificate;
            certificate.statements.push(refuted_claim(&witness));
            certificate.witness = Some(witness);
            certificate.verdict = Some(Verdict::Refuted);
        }
        solution.work.seconds = clock.elapsed().as_secs_f64();
        Ok(solution)
    }
}

/// A claim that what was computed contradicts.
fn wrong_claim(solution: &Solution, claims: &Claims, sense: Sense) -> Option<Witness> {
    let values = [("F(x, y)", claims.upper, solution.upper), ("f(x, y)", claims.lower, solution.lower)];
    for (name, claimed, computed) in values {
        if let (Some(claimed), Some(computed)) = (claimed, computed)
            && (claimed.is_nan() || (claimed - computed).abs() > ROUNDED * (1.0 + computed.abs()))
        {
            return Some(Witness::Claim { name: name.to_string(), claimed, computed });
        }
    }
    let phi = solution.certificate.phi.as_ref()?;
    // In the sense of minimising, phi_o is at least the lower bound and phi_p at most the upper one, whatever eta. The
    // other ends speak of eta > 0, and phi may lie beyond them.
    let ends = |claim: Option<(f64, f64)>| claim.map(|(a, b)| (sense.apply(a), sense.apply(b)));
    let largest = ends(claims.optimistic).map(|(a, b)| a.max(b));
    let smallest = ends(claims.pessimistic).map(|(a, b)| a.min(b));
    let floor = sense.apply(phi.optimistic.lower).min(sense.apply(phi.optimistic.upper));
    let ceiling = sense.apply(phi.pessimistic.lower).max(sense.apply(phi.pessimistic.upper));
    let wrong = |name: &str, claimed: f64, computed: f64| {
        let (claimed, computed) = (sense.apply(claimed), sense.apply(computed));
        Some(Witness::Claim { name: name.to_string(), claimed, computed })
    };
    let sure = |bounds: &PhiBounds| match &bounds.rigor {
        Rigor::Proved => true,
        Rigor::Conditional(on) => on.iter().all(|assumption| assumption == "eta"),
        Rigor::Estimated => false,
    };
    match (largest, smallest) {
        (Some(claimed), _) if sure(&phi.optimistic) && claimed < floor - ROUNDED * (1.0 + floor.abs()) => {
            wrong("phi_o(x)", claimed, floor)
        }
        (_, Some(claimed)) if sure(&phi.pessimistic) && claimed > ceiling + ROUNDED * (1.0 + ceiling.abs()) => {
            wrong("phi_p(x)", claimed, ceiling)
        }
        _ => None,
    }
}
