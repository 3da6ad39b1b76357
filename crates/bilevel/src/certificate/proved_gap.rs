//! The follower gap proved in outward-rounded arithmetic, where the follower is small enough for that; and the better
//! answer that refutes a wrong point, which a multistart may miss.

use crate::problem::Problem;
use crate::proof::follower::Settings;
use crate::proof::problem::Formulas;

/// Followers with more variables are left to duality alone, which needs no search.
const MOST_VARIABLES: usize = 8;
/// Boxes looked at for one proof.
const NODES: usize = 3_000;
/// Gap, relative to 1 + |f|, at which a proof is good enough: below what counts as solved.
const GAP: f64 = 2e-9;

/// What was proved of an answer of the follower.
#[derive(Clone, Debug, PartialEq)]
pub enum ProvedGap {
    /// No feasible answer is better by more than this.
    Within(f64),
    /// The same, if the follower's best answer lies in a box that the problem does not have.
    WithinBox(f64),
    /// This feasible answer is better.
    Better(Vec<f64>),
    /// Nothing within the budget.
    Unknown,
}

/// Proves gaps of one problem at many points.
pub struct GapProver {
    formulas: Option<Formulas>,
}

impl GapProver {
    /// Prepares the problem; a user's own code, or a large follower, leaves nothing to prove.
    pub fn new(problem: &Problem) -> Self {
        let formulas = if problem.m() <= MOST_VARIABLES { Formulas::new(problem).ok() } else { None };
        Self { formulas }
    }

    /// What can be proved of the answer y at x.
    pub fn prove(&self, x: &[f64], y: &[f64]) -> ProvedGap {
        let Some(formulas) = &self.formulas else { return ProvedGap::Unknown };
        let settings = Settings { nodes: NODES, gap: GAP, ..Settings::default() };
        let Ok(proof) = formulas.follower(x, Some(y), &settings) else { return ProvedGap::Unknown };
        let Some(f) = proof.objective else { return ProvedGap::Unknown };
        let margin = 1e-8 * (1.0 + f.mag());
        if let Some(better) = proof.bound.strict.as_ref().filter(|c| c.value.hi() < f.lo() - margin) {
            return ProvedGap::Better(better.point.clone());
        }
        match proof.gap() {
            Some(gap) if gap.is_finite() && proof.artificial.is_empty() => ProvedGap::Within(gap),
            Some(gap) if gap.is_finite() => ProvedGap::WithinBox(gap),
            _ => ProvedGap::Unknown,
        }
    }
}
