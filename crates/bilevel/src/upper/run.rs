//! What one start of a method gives: points that may be the answer.

use crate::lower::{LowerStatus, Regulariser};
use crate::value::Region;

/// A point that claims to solve the problem; nothing of it is believed until certified.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The leader's decision.
    pub x: Vec<f64>,
    /// The follower's answer.
    pub y: Vec<f64>,
    /// The residual of the optimality system that produced it, if one did.
    pub residual: Option<f64>,
    /// Where it comes from.
    pub source: &'static str,
}

/// The last point of the smoothed, relaxed programme.
#[derive(Clone, Debug)]
pub struct SmoothedPoint {
    /// The leader's decision.
    pub x: Vec<f64>,
    /// The follower's answer.
    pub y: Vec<f64>,
    /// lambda.
    pub multiplier: f64,
    /// The smoothing level.
    pub mu: f64,
    /// The relaxation.
    pub epsilon: f64,
    /// The value model's name.
    pub value_model: &'static str,
    /// The regulariser in force.
    pub regulariser: Regulariser,
    /// The region to which an unbounded Y was cut, if it was.
    pub region: Option<Region>,
}

/// What one start of the method gives.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Points that may be the answer.
    pub candidates: Vec<Candidate>,
    /// The last smoothed point.
    pub smoothed: Option<SmoothedPoint>,
    /// (epsilon, lambda) stage by stage.
    pub multipliers: Vec<(f64, f64)>,
    /// What kept the follower from being solved, if anything did.
    pub lower_failure: Option<LowerStatus>,
    /// Whether F went to minus infinity over feasible points of the relaxed programme.
    pub unbounded: bool,
    /// Lower solves.
    pub lower_solves: u64,
    /// Whether the budget of lower solves ended the run.
    pub over_budget: bool,
    /// Evaluations of F.
    pub upper_evaluations: u64,
}
