//! What the methods minimise: the problem's phi, with the leader's constraints as an exact penalty.
//!
//! ```text
//! phi(x) + kappa Σ_i max(0, c_i(x)),     c_i(x) = G_i(x), or max over S(x) of G_i(x, ·) for a pessimistic leader
//! ```
//!
//! A pessimistic leader's x is feasible only if every answer of the follower satisfies the constraints (mathematics §4b):
//! so c_i is itself a pessimistic hyper-objective. For equalities both G_i and -G_i are there.

use crate::expr::Blocks;
use crate::hyper::{End, Hyper, HyperFailure, HyperObjective, HyperPoint, HyperSettings};
use crate::problem::{At, Attitude, Failures, Function, FunctionEvaluator, Problem};
use crate::smooth::Smoothing;

/// The positive part of a constraint, with a subgradient where there is one.
type Excess = (f64, Option<Vec<f64>>);

/// phi with penalties.
pub struct Penalised<'a> {
    problem: &'a Problem,
    hyper: Hyper,
    attitude: Attitude,
    failures: &'a Failures,
    /// Constraints of x alone, with whether they are equalities.
    own: Vec<(&'a Function, bool)>,
    /// Components that depend on y: their largest value over S(x).
    worst: Vec<Hyper>,
    kappa: f64,
}

impl<'a> Penalised<'a> {
    /// The problem's phi for an attitude.
    ///
    /// # Errors
    /// A message that names what is not handled.
    pub fn new(
        problem: &'a Problem,
        attitude: Attitude,
        settings: &HyperSettings,
        failures: &'a Failures,
    ) -> Result<Self, String> {
        let (mut own, mut worst) = (Vec::new(), Vec::new());
        for constraint in &problem.leader().constraints {
            let function = &constraint.function;
            if !function.depends_on(Blocks::FOLLOWER) {
                own.push((function, constraint.is_equality()));
                continue;
            }
            // An optimistic leader's choice among the answers respects them: phi_o itself takes care.
            if attitude == Attitude::Optimistic {
                continue;
            }
            let signs: &[bool] = if constraint.is_equality() { &[false, true] } else { &[false] };
            for k in 0..function.len() {
                for &negative in signs {
                    let part = problem.with_leader_objective(function, k, negative);
                    let part =
                        part.ok_or_else(|| format!("the worst case of `{}` is not handled", constraint.label))?;
                    worst.push(Hyper::new(&part, Attitude::Pessimistic, settings));
                }
            }
        }
        let hyper = Hyper::new(problem, attitude, settings);
        Ok(Self { problem, hyper, attitude, failures, own, worst, kappa: 1.0 })
    }

    /// Whether there are constraints at all.
    pub fn is_constrained(&self) -> bool {
        !self.own.is_empty() || !self.worst.is_empty()
    }

    /// Sets the penalty's factor.
    pub fn set_penalty(&mut self, kappa: f64) {
        self.kappa = kappa;
    }

    /// phi without the penalty.
    pub fn hyper(&self) -> &Hyper {
        &self.hyper
    }

    /// The largest violation at x, over all answers of the follower; infinite where it cannot be computed.
    pub fn violation(&self, x: &[f64]) -> f64 {
        self.constraints(x, 1e-10).map_or(f64::INFINITY, |parts| parts.iter().map(|p| p.0).fold(0.0, f64::max))
    }

    /// The positive parts of the constraints with subgradients.
    fn constraints(&self, x: &[f64], accuracy: f64) -> Result<Vec<Excess>, HyperFailure> {
        let (n, m) = (self.problem.n(), self.problem.m());
        let y = vec![0.0; m];
        let at = At { x, y: &y, smoothing: Smoothing::EXACT };
        let mut parts = Vec::new();
        for &(function, equality) in &self.own {
            let mut evaluator = FunctionEvaluator::new(function, n, m, self.failures);
            let mut values = vec![0.0; function.len()];
            evaluator.values(at, &mut values);
            for (k, &value) in values.iter().enumerate() {
                if value.is_nan() {
                    return Err(HyperFailure::Numerical("a constraint of the leader is not a number".to_string()));
                }
                let sign = if equality { value.signum() } else { 1.0 };
                if sign * value > 0.0 {
                    let mut weights = vec![0.0; values.len()];
                    weights[k] = sign;
                    let mut gradient = vec![0.0; n];
                    evaluator.add_gradient(at, &weights, Some(&mut gradient), None);
                    parts.push((sign * value, Some(gradient)));
                }
            }
        }
        for worst in &self.worst {
            let point = worst.evaluate(x, accuracy, None)?;
            if point.value > 0.0 {
                parts.push((point.value, point.subgradient));
            }
        }
        Ok(parts)
    }
}

impl HyperObjective for Penalised<'_> {
    fn dimension(&self) -> usize {
        self.problem.n()
    }

    fn evaluate(&self, x: &[f64], accuracy: f64, warm: Option<&[f64]>) -> Result<HyperPoint, HyperFailure> {
        let mut point = match self.hyper.evaluate(x, accuracy, warm) {
            // Any value is reached at this x: minus infinity, and the methods know what that means.
            Err(HyperFailure::Infinite) if self.attitude == Attitude::Optimistic => {
                let end = || End { value: f64::NEG_INFINITY, rigor: crate::solution::Rigor::Estimated };
                let (value, y) = (f64::NEG_INFINITY, Vec::new());
                return Ok(HyperPoint { value, lower: end(), upper: end(), y, subgradient: None });
            }
            other => other?,
        };
        for (value, gradient) in self.constraints(x, accuracy)? {
            point.value += self.kappa * value;
            point.lower.value += self.kappa * value;
            point.upper.value += self.kappa * value;
            point.subgradient = match (point.subgradient, gradient) {
                (Some(mut s), Some(g)) => {
                    s.iter_mut().zip(&g).for_each(|(s, g)| *s += self.kappa * g);
                    Some(s)
                }
                _ => None,
            };
        }
        Ok(point)
    }
}
