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
    /// How v_mu was computed: `quadratic`, `pool`, `soft-pool`, `entropic`, `barrier`,
    /// `moreau`.
    pub value_model: String,
    /// The weight of the regulariser `weight / 2 * ‖y − centre‖²` in v_mu; 0 for models without one.
    pub regulariser_weight: f64,
    /// Its centre; empty for models without one.
    pub regulariser_centre: NamedValues,
    /// Centre and radius of the ball to which an unbounded Y was cut, for models that integrate over Y.
    pub region: Option<(Vec<f64>, f64)>,
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
    /// The radius of the ball around x that the measure looks at, where it has one.
    pub radius: Option<f64>,
    /// The measure, such as `polish kkt`.
    pub measure: String,
    /// What it rests on.
    pub rigor: Rigor,
}

/// The conclusion of a check of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Feasibility, the follower's optimality and (pessimistic) that y is its worst answer are proved; nothing of that
    /// rests on an estimate or on an artificial box.
    Verified,
    /// Nothing speaks against the point, but something is not proved.
    Consistent,
    /// The point is wrong, and there is a witness.
    Refuted,
}

impl Verdict {
    /// The name in JSON and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Verified => "verified",
            Verdict::Consistent => "consistent",
            Verdict::Refuted => "refuted",
        }
    }
}

/// What shows that a point is wrong, in the user's names and sense.
#[derive(Clone, Debug, PartialEq)]
pub enum Witness {
    /// A constraint, bound or set is violated.
    Violation {
        /// `leader` or `follower`: whose.
        level: &'static str,
        /// The constraint as it was written, or what else is violated.
        constraint: String,
        /// By how much, in the units of the constraint.
        by: f64,
    },
    /// A function is not defined at the point.
    Undefined {
        /// `leader` or `follower`: whose function.
        level: &'static str,
    },
    /// An answer that is better for the follower.
    Better {
        /// The answer.
        y: NamedValues,
        /// The follower's objective there.
        lower: f64,
        /// By how much it is better, at least.
        by: f64,
        /// In which sense it is feasible.
        feasible: String,
        /// What this rests on.
        rigor: Rigor,
    },
    /// An answer that is as good for the follower and worse for the leader: the point is no pessimistic one.
    Worse {
        /// The answer.
        y: NamedValues,
        /// The leader's objective there.
        upper: f64,
        /// By how much it is worse, at least.
        by: f64,
    },
    /// A number that was claimed is not what is computed.
    Claim {
        /// Which number.
        name: String,
        /// The value claimed.
        claimed: f64,
        /// The value computed, or the end of the proved bounds that excludes the claim.
        computed: f64,
    },
}

/// Two-sided bounds of what the leader gets at x from a follower whose answers may miss its optimum by eta.
#[derive(Clone, Debug, PartialEq)]
pub struct PhiBounds {
    /// Not less than this.
    pub lower: f64,
    /// Not more than this.
    pub upper: f64,
    /// What the interval rests on.
    pub rigor: Rigor,
}

/// Bounds of the hyper-objectives at x. The end away from which the leader looks (the lower one of phi_o and the upper
/// one of phi_p, for a leader that minimises) bounds phi itself, whatever eta; the other is one for phi^eta.
#[derive(Clone, Debug, PartialEq)]
pub struct Phi {
    /// phi_o.
    pub optimistic: PhiBounds,
    /// phi_p.
    pub pessimistic: PhiBounds,
    /// The tie width.
    pub eta: f64,
    /// The ends that come from points hold for a tie width between eta and this much more.
    pub eta_error: f64,
    /// Proved: two answers that are optimal within eta + eta_error exist between which F differs by at least this.
    pub undecided_by: f64,
}

/// A bound of the leader's objective over all bilevel-feasible points, in the user's sense.
#[derive(Clone, Debug, PartialEq)]
pub struct GlobalBound {
    /// No bilevel-feasible point is better than this; infinite if there is none.
    pub bound: f64,
    /// How far the point's value is from it, relative to max(1, |upper|); `None` without a point.
    pub gap: Option<f64>,
    /// What it rests on.
    pub rigor: Rigor,
    /// Boxes looked at.
    pub nodes: u64,
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
    /// Bounds of the hyper-objectives at x.
    pub phi: Option<Phi>,
    /// A bound over all bilevel-feasible points, where it was asked for.
    pub global: Option<GlobalBound>,
    /// The conclusion about feasibility and the follower's optimality.
    pub verdict: Option<Verdict>,
    /// What shows that the point is wrong, where it is refuted.
    pub witness: Option<Witness>,
    /// What is proved, what is estimated, and what it rests on, in words.
    pub statements: Vec<String>,
}

/// Work done, in counts that are the same on every machine, and seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Work {
    /// Evaluations of the leader's objective or its gradient.
    pub upper_evaluations: u64,
    /// Solves of the follower's problem.
    pub lower_solves: u64,
    /// Evaluations of a hyper-objective by the method.
    pub hyper_evaluations: u64,
    /// Evaluations of a hyper-objective for the certificate.
    pub certificate_evaluations: u64,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Multipliers of both levels at the answer, in the user's units and sense: of every constraint by its label, and of the
/// bounds of a variable `x` as `bounds of x`. That of a constraint is the rate at which the level's own best value changes
/// as the constraint is tightened (of an equality, as its right side falls); that of a bound, as the bound rises. The
/// follower's problem is that at the answer's x.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Multipliers {
    /// Of the leader's constraints and bounds; empty where no multipliers fit.
    pub leader: NamedValues,
    /// Of the follower's.
    pub follower: NamedValues,
    /// Where they are not unique, or why there are none.
    pub remarks: Vec<String>,
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
