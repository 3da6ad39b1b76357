//! Everything that is known of a point, whoever found it: the same for the answer of a method and for a point from
//! outside.
//!
//! Two sources are joined and never mixed up: proofs in outward-rounded arithmetic ([`crate::proof`]), where the formulas
//! are not too large; and an independent search for better answers of the follower, which is an estimate but can refute
//! too. The verdict is about feasibility and the follower's optimality, and for the pessimistic attitude also about y
//! being the worst answer; stationarity is no part of it.

use bilevel_linalg::stop;

use super::words;
use super::{FollowerCheck, follower_violation, violation};
use crate::problem::{At, Attitude, Failures, FunctionEvaluator, NamedValues, Problem, Side};
use crate::proof::attitude::HyperProof;
use crate::proof::check::{Claim, PointProof, Tolerances, Verdict as Proved};
use crate::proof::follower::Settings;
use crate::proof::problem::Formulas;
use crate::smooth::Smoothing;
use crate::solution::{Certificate, Measured, Phi, PhiBounds, Rigor, Verdict, Witness};

/// Largest violation, relative to 1 + the point's size, of a point that is not refuted.
const VIOLATION: f64 = 1e-6;
/// A proved gap is shown in place of the estimated one when it is at most this, relative to 1 + |v|, above it.
const PROVED: f64 = 1e-8;
/// An answer found by the independent search refutes a point if it is better by this, relative to 1 + |v|, at least;
/// and by ten times the root of what it violates, because v may move by so much.
const BETTER: f64 = 1e-7;
/// Largest number of scalar operations of a formula that proofs are made of.
const OPERATIONS: usize = 600_000;
/// The same, for a run that was told to end.
const HASTY_OPERATIONS: usize = 60_000;
/// Boxes looked at for one proof while candidates are compared, and for a certificate.
const NODES: usize = 3_000;
const FINAL_NODES: usize = 5_000;
/// Work of one search: a second or so at most, also for formulas with much data.
const WORK: usize = 3_000_000;
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

/// Examines points of one problem.
pub struct Verifier<'a> {
    problem: &'a Problem,
    failures: &'a Failures,
    formulas: Option<Formulas>,
    tolerances: Tolerances,
}

impl<'a> Verifier<'a> {
    /// Prepares the problem. `unit` is the size of f's terms where they are much smaller than 1, else 1: answers tie within
    /// a share of it.
    pub fn new(problem: &'a Problem, unit: f64, failures: &'a Failures) -> Self {
        let operations = if stop::hurried() { HASTY_OPERATIONS } else { OPERATIONS };
        let formulas = Formulas::within(problem, operations).ok();
        let usual = Tolerances::default();
        let tolerances = Tolerances { violation: VIOLATION, eta: usual.eta * unit.min(1.0), ..usual };
        Self { problem, failures, formulas, tolerances }
    }

    /// The problem as the proofs see it; `None` for a user's own code and for very large formulas.
    pub fn formulas(&self) -> Option<&Formulas> {
        self.formulas.as_ref()
    }

    /// What can be proved of the answer y at x, and nothing else: for comparing candidates.
    pub fn prove_gap(&self, x: &[f64], y: &[f64]) -> ProvedGap {
        let Some(formulas) = &self.formulas else { return ProvedGap::Unknown };
        let settings = Settings { nodes: NODES, work: WORK, gap: GAP, ..Settings::default() };
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

    /// Violation, follower gap, bounds of φ, verdict, witness and statements. `search` is what the independent search
    /// ([`super::check_follower`]) found at this point.
    pub fn certificate(&self, x: &[f64], y: &[f64], attitude: Attitude, search: Option<&FollowerCheck>) -> Certificate {
        let violation = violation(self.problem, x, y, self.failures);
        let settings = Settings { nodes: FINAL_NODES, work: WORK, gap: GAP, ..Settings::default() };
        let claim = match attitude {
            Attitude::Optimistic => Claim::Optimistic,
            Attitude::Pessimistic => Claim::Pessimistic,
        };
        let proof =
            self.formulas.as_ref().and_then(|formulas| formulas.check(x, y, claim, &self.tolerances, &settings).ok());
        let mut certificate = Certificate { violation: Some(violation), ..Certificate::default() };
        self.follower_gap(&mut certificate, (x, y), search, proof.as_ref());
        certificate.phi = proof.as_ref().and_then(|proof| proof.hyper.as_ref()).map(|hyper| self.phi(hyper));
        certificate.witness = proof
            .as_ref()
            .zip(self.formulas.as_ref())
            .and_then(|(proof, formulas)| words::witness(self.problem, formulas, proof))
            .or_else(|| self.estimated_witness((x, y), violation, search, proof.as_ref()));
        let verified = proof.as_ref().is_some_and(|proof| proof.verdict == Proved::Verified);
        certificate.verdict = Some(match (&certificate.witness, verified) {
            (Some(_), _) => Verdict::Refuted,
            (None, true) => Verdict::Verified,
            (None, false) => Verdict::Consistent,
        });
        certificate.statements =
            words::statements(self.problem, self.formulas.as_ref(), proof.as_ref(), search, attitude, &certificate);
        certificate
    }

    fn follower_gap(
        &self,
        certificate: &mut Certificate,
        (x, y): (&[f64], &[f64]),
        search: Option<&FollowerCheck>,
        proof: Option<&PointProof>,
    ) {
        let search = search.filter(|search| search.converged);
        let estimate = search.map_or(0.0, |search| search.gap.max(0.0));
        let proved = proof.and_then(|proof| Some((proof.follower.gap()?, proof.follower.objective?.mag(), proof)));
        let proved = proved.filter(|(gap, size, _)| *gap <= estimate + PROVED * (1.0 + size));
        certificate.follower_gap = match (proved, search) {
            (Some((value, _, proof)), _) if proof.follower.artificial.is_empty() => {
                let by = "interval arithmetic: duality or branch and bound".to_string();
                Some(Measured { value, rigor: Rigor::Proved, by })
            }
            (Some((value, ..)), _) => {
                let by = "interval branch and bound in a box".to_string();
                Some(Measured { value, rigor: Rigor::Conditional(vec!["box".to_string()]), by })
            }
            (None, Some(search)) => Some(Measured { value: estimate, rigor: Rigor::Estimated, by: search.by.clone() }),
            (None, None) => None,
        };
        let Some(search) = search else { return };
        let estimated = |value, by: &str| Some(Measured { value, rigor: Rigor::Estimated, by: by.to_string() });
        certificate.follower_distance = estimated(search.distance, "distance to the independent solve's answer");
        let upper = |y: &[f64]| self.value(self.problem.leader(), x, y);
        let change = search.nearest.as_ref().map_or(0.0, |near| (upper(y) - upper(near)).abs());
        certificate.upper_error = estimated(
            change.max(search.distance * self.upper_slope(x, y)),
            "change of F to the independent solve's answer, and by slope",
        );
    }

    /// Bounds of φ in the user's sense.
    fn phi(&self, hyper: &HyperProof) -> Phi {
        let sense = self.problem.leader().sense;
        let mut on = vec!["eta".to_string()];
        if !hyper.artificial.is_empty() {
            on.push("box".to_string());
        }
        if hyper.delta > 0.0 {
            on.push("delta".to_string());
        }
        let bounds = |lower: f64, upper: f64| {
            let (a, b) = (sense.apply(lower), sense.apply(upper));
            PhiBounds { lower: a.min(b), upper: a.max(b), rigor: Rigor::Conditional(on.clone()) }
        };
        Phi {
            optimistic: bounds(hyper.optimistic_lower, hyper.optimistic_upper),
            pessimistic: bounds(hyper.pessimistic_lower, hyper.pessimistic_upper),
            eta: hyper.eta,
            eta_error: hyper.eta_error,
            undecided_by: hyper.undecided_by(),
        }
    }

    /// What speaks against the point where nothing is proved: a violation, or a better answer of the independent search.
    fn estimated_witness(
        &self,
        (x, y): (&[f64], &[f64]),
        violation: f64,
        search: Option<&FollowerCheck>,
        proof: Option<&PointProof>,
    ) -> Option<Witness> {
        if violation.is_nan() {
            return Some(Witness::Undefined { level: "leader or follower" });
        }
        let size = 1.0 + x.iter().chain(y).fold(0.0, |a: f64, v| a.max(v.abs()));
        if violation > VIOLATION {
            let constraint = "a constraint or set".to_string();
            let of_follower = follower_violation(self.problem, x, y, self.failures) > VIOLATION * size;
            let level = if of_follower { "follower" } else { "leader" };
            return Some(Witness::Violation { level, constraint, by: violation * size });
        }
        // Where the gap is proved to be small the search has nothing to add.
        let settled = proof.is_some_and(|proof| {
            let follower = &proof.follower;
            follower.empty
                || follower.gap().zip(follower.objective).is_some_and(|(gap, f)| gap <= BETTER * (1.0 + f.mag()))
        });
        let search = search.filter(|_| !settled)?;
        let violated = follower_violation(self.problem, x, &search.y, self.failures).max(0.0) / size;
        let margin = BETTER.max(10.0 * violated.sqrt()) * (1.0 + search.value.abs());
        (search.gap > margin).then(|| Witness::Better {
            y: NamedValues::new(&self.problem.follower().blocks, &search.y),
            lower: self.problem.follower().sense.apply(search.value),
            by: search.gap,
            feasible: format!("feasible within {violated:.1e}"),
            rigor: Rigor::Estimated,
        })
    }

    fn value(&self, side: &Side, x: &[f64], y: &[f64]) -> f64 {
        let (n, m) = (self.problem.n(), self.problem.m());
        FunctionEvaluator::new(&side.objective, n, m, self.failures).value(At { x, y, smoothing: Smoothing::EXACT })
    }

    /// ‖∇_y F‖ at the point.
    fn upper_slope(&self, x: &[f64], y: &[f64]) -> f64 {
        let (n, m) = (self.problem.n(), self.problem.m());
        let mut gradient = vec![0.0; m];
        let at = At { x, y, smoothing: Smoothing::EXACT };
        let mut objective = FunctionEvaluator::new(&self.problem.leader().objective, n, m, self.failures);
        objective.add_gradient(at, &[1.0], None, Some(&mut gradient));
        gradient.iter().map(|g| g * g).sum::<f64>().sqrt()
    }
}
