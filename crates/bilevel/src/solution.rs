//! What a run returns: why it stopped ([`Status`]), the point, and what is known about it ([`Certificate`]).

use crate::problem::{Attitude, NamedValues};

/// Why a run stopped. What was *proved* about the point is in the [`Certificate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Violations, follower gap and stationarity are all within their tolerances.
    Solved,
    /// A proved global optimum within the requested gap.
    Optimal,
    /// Violations and follower gap hold, stationarity does not.
    Feasible,
    /// Only the epsilon-relaxed programme was solved: the follower gap is too large.
    Relaxed,
    /// The problem's class is not handled; the message says which part.
    Unsupported,
    /// The follower's answer is a local, not a global one, or violations remain.
    Stuck,
    /// Values approach an infimum that no point reaches.
    NotAttained,
    /// No feasible point was found, and something shows that there is none.
    Infeasible,
    /// The follower's problem is unbounded below.
    FollowerUnbounded,
    /// The leader's objective is unbounded below over bilevel-feasible points.
    Unbounded,
    /// The user stopped the run.
    Interrupted,
    /// The time limit was reached.
    TimeLimit,
    /// The budget of lower solves was used up.
    Budget,
    /// NaN, or a user's function that failed.
    Numerical,
}

impl Status {
    /// The name in JSON and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Status::Solved => "solved",
            Status::Optimal => "optimal",
            Status::Feasible => "feasible",
            Status::Relaxed => "relaxed",
            Status::Unsupported => "unsupported",
            Status::Stuck => "stuck",
            Status::NotAttained => "not_attained",
            Status::Infeasible => "infeasible",
            Status::FollowerUnbounded => "follower_unbounded",
            Status::Unbounded => "unbounded",
            Status::Interrupted => "interrupted",
            Status::TimeLimit => "time_limit",
            Status::Budget => "budget",
            Status::Numerical => "numerical",
        }
    }

    /// What the user can try next; empty when there is nothing to do.
    pub fn advice(self) -> &'static str {
        match self {
            Status::Solved | Status::Optimal => "",
            Status::Feasible => "try more starts (--starts), a larger --budget, or a looser --tolerance",
            Status::Relaxed => {
                "the follower's answer is only nearly optimal: try more starts (--starts) or another seed"
            }
            Status::Unsupported => "see docs/how-to-choose.md for what each method takes",
            Status::Stuck => "try more starts (--starts), another seed, or give a better start",
            Status::NotAttained => "a follower tolerance (--follower-tolerance 1e-3) makes the problem well posed",
            Status::Infeasible => "check the constraints and bounds of both levels",
            Status::FollowerUnbounded => "bound the follower's variables, or check the sign of its objective",
            Status::Unbounded => "bound the leader's variables, or check the sign of its objective",
            Status::Interrupted => "start again from this point with --start",
            Status::TimeLimit => "raise --time-limit, or start again from this point with --start",
            Status::Budget => "raise --budget, or start again from this point with --start",
            Status::Numerical => "give a start at which all formulas are defined, or bound the variables",
        }
    }

    /// Whether the run reached its goal (exit code 0 of the program).
    pub fn is_success(self) -> bool {
        matches!(self, Status::Solved | Status::Optimal)
    }
}

/// What a number rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rigor {
    /// Proved: outward rounding, exact enumeration, or duality with the rounding accounted for.
    Proved,
    /// Estimated: sampling, multistart, floating-point solves.
    Estimated,
    /// Holds if what is named holds.
    Conditional(Vec<String>),
}

impl Rigor {
    /// The name in JSON and in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Rigor::Proved => "proved",
            Rigor::Estimated => "estimated",
            Rigor::Conditional(_) => "conditional",
        }
    }
}

/// A number with what it rests on and how it was obtained.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The number.
    pub value: f64,
    /// What it rests on.
    pub rigor: Rigor,
    /// How it was obtained, in a few words.
    pub by: String,
}

/// An approximate KKT point of (VFP_epsilon^mu), with its residuals (Remark 2.16 of Alcantara & Takeda 2025).
#[derive(Clone, Debug, PartialEq)]
pub struct KktPoint {
    /// The leader's variables.
    pub x: NamedValues,
    /// The follower's variables.
    pub y: NamedValues,
    /// epsilon_1: distance of minus the Lagrangian's gradient to the normal cone of the constraints.
    pub stationarity: f64,
    /// epsilon_2: max(0, -lambda).
    pub dual: f64,
    /// epsilon_3: |lambda (f_mu - v_mu - epsilon)|.
    pub complementarity: f64,
    /// Violation of f_mu - v_mu <= epsilon.
    pub violation: f64,
    /// lambda, the multiplier of the value-function constraint.
    pub multiplier: f64,
    /// The smoothing level.
    pub mu: f64,
    /// The relaxation.
    pub epsilon: f64,
    /// The smoothing family's name.
    pub smoothing: String,
    /// How v_mu was computed: `quadratic`, `pool`, `soft-pool`, `entropic`, `moreau`.
    pub value_model: String,
    /// Estimated error of v_mu that the model's own computation leaves: violation and complementarity are known up to it.
    pub value_error: f64,
    /// Estimated error of its gradient, in the largest component: the stationarity residual is known up to |lambda| times
    /// that.
    pub gradient_error: f64,
    /// Distance of 0 to `grad f_mu - (grad v_mu, 0) + N`: the margin of ENNAMCQ where the constraint is active, infinite
    /// where it is not.
    pub ennamcq_margin: f64,
}

/// How far the answer is from stationary.
#[derive(Clone, Debug, PartialEq)]
pub struct Stationarity {
    /// The residual, relative to 1 + the size of the leader's gradient.
    pub residual: f64,
    /// The measure, such as `polish kkt`.
    pub measure: String,
    /// What it rests on.
    pub rigor: Rigor,
}

/// What is known about the returned point, recomputed from the problem and the point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Certificate {
    /// f(x, y) - v(x), by a lower solve that is independent of the method's own.
    pub follower_gap: Option<Measured>,
    /// Distance of y to S(x), or a bound on it.
    pub follower_distance: Option<Measured>,
    /// What the remaining gap is worth in F.
    pub upper_error: Option<Measured>,
    /// Largest violation of any constraint, relative to 1 + the point's size.
    pub violation: Option<f64>,
    /// The last point of the smoothed, relaxed programme.
    pub kkt: Option<KktPoint>,
    /// lambda of the value-function constraint, stage by stage, as (epsilon, lambda).
    pub multipliers_by_stage: Vec<(f64, f64)>,
    /// Stationarity of the answer.
    pub stationarity: Option<Stationarity>,
}

/// Work done, in counts that are the same on every machine, and seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Evaluations of the leader's objective or its gradient.
    pub upper_evaluations: u64,
    /// Solves of the follower's problem.
    pub lower_solves: u64,
    /// Evaluations of a hyper-objective.
    pub hyper_evaluations: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Multipliers of the further constraints of one level, by the constraint's label, in the user's sense.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Multipliers {
    /// Of the leader's constraints.
    pub leader: NamedValues,
    /// Of the follower's constraints, at its own problem.
    pub follower: NamedValues,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The problem's name.
    pub problem: String,
    /// For which attitude.
    pub attitude: Attitude,
    /// Why the run stopped.
    pub status: Status,
    /// The status in words, with what it rests on.
    pub message: String,
    /// The leader's variables by name; `None` if no point was found.
    pub x: Option<NamedValues>,
    /// The follower's variables by name.
    pub y: Option<NamedValues>,
    /// F(x, y) in the user's sense.
    pub upper: Option<f64>,
    /// f(x, y) in the user's sense.
    pub lower: Option<f64>,
    /// The value approached, where it is not attained.
    pub infimum: Option<f64>,
    /// Multipliers of the constraints.
    pub multipliers: Multipliers,
    /// What is known about the point.
    pub certificate: Certificate,
    /// Work done.
    pub work: Work,
}
