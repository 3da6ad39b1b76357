//! The front door: look at the structure, choose, run, certify.
//!
//! ```text
//! options.rs     Options
//! analysis.rs    Analysis: what the structure says, and both levels in the forms that methods take
//! presolve/      the problem in the units that methods work in, and the way back
//! pieces.rs      convex quadratic followers, through the pieces of their answers
//! rounds.rs      the starts in two rounds, with a look over the whole region in between
//! portfolio.rs   the starts: where from, with which schedule and value model
//! overlook.rs    some boxes of branch and bound over the whole region, for better points than the runs'
//! models.rs      the value models: which apply, and how each is made
//! consistency.rs gradient consistency of the model of v at a point
//! region.rs      where the leader's variables can lie
//! derivatives.rs a check of derivatives against differences
//! at.rs          ValuesAt: v, S and both hyper-objectives at one x
//! proved.rs      their proved bounds
//! select.rs      the best candidate that an independent check accepts, and its certificate
//! hyper/         methods on phi: pessimistic leaders, followers with a tolerance
//! global.rs      a proved bound over all bilevel-feasible points, in turns with the search
//! verify.rs      the same certificate for a point from anywhere
//! ```

mod analysis;
mod at;
mod consistency;
mod derivatives;
mod global;
mod hyper;
mod models;
mod options;
mod overlook;
mod pieces;
mod portfolio;
mod presolve;
mod proved;
mod region;
mod rounds;
mod select;
mod verify;

pub use analysis::{Analysis, FollowerConvexity};
pub use at::{AnswerSet, Bracket, PhiAt, ValuesAt};
pub use consistency::{ConsistencyCheck, check_consistency};
pub use derivatives::{DerivativeCheck, check_derivatives};
pub use hyper::is_default as phi_is_default;
pub use options::{METHODS, Options};
pub use verify::{Claims, PointError};

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use bilevel_linalg::stop::{self, Stop};

use crate::lower::LowerStatus;
use crate::observe::{Observer, Silent, Stage};
use crate::problem::{Failures, Problem};
use crate::solution::{Certificate, Multipliers, Solution, Status, Work};
use crate::upper::{Candidate, Run};
use pieces::Searched;
use presolve::Presolved;
use rounds::Rounds;

impl Problem {
    /// Solves the problem. Never fails: trouble is a [`Status`] with a message and the best point so far.
    pub fn solve(&self, options: &Options) -> Solution {
        self.solve_observed(options, &Silent)
    }

    /// Solves the problem, reporting to an observer that may also end the run.
    pub fn solve_observed(&self, options: &Options, observer: &dyn Observer) -> Solution {
        let clock = Instant::now();
        let watch = Watch { observer, deadline: options.time_limit.and_then(|limit| clock.checked_add(limit)) };
        let stop = Stop::new(observer.flag(), watch.deadline);
        let mut solution = stop::within(stop, || solve(self, options, &watch));
        if solution.status == Status::Interrupted && watch.late() && !observer.interrupted() {
            // To a method the deadline and the user look the same.
            solution.status = Status::TimeLimit;
            solution.message = solution.message.replace("stopped before", "the time limit was reached before");
        }
        solution.work.seconds = clock.elapsed().as_secs_f64();
        solution
    }
}

/// An observer that also ends the run at a deadline.
struct Watch<'a> {
    observer: &'a dyn Observer,
    deadline: Option<Instant>,
}

impl Watch<'_> {
    fn late(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl Observer for Watch<'_> {
    fn stage(&self, stage: &Stage) {
        self.observer.stage(stage);
    }

    fn interrupted(&self) -> bool {
        self.late() || self.observer.interrupted()
    }

    fn flag(&self) -> Option<Arc<AtomicBool>> {
        self.observer.flag()
    }
}

fn solve(problem: &Problem, options: &Options, watch: &Watch<'_>) -> Solution {
    if let Some(reason) = options.unsupported() {
        return without_point(problem, options, Status::Unsupported, reason);
    }
    let presolved = Presolved::new(problem);
    let inner = presolved.problem.as_ref();
    let analysis = Analysis::new(inner);
    let parts = (&presolved, &analysis);
    if options.on_phi() {
        return hyper::solve(problem, parts, options, watch);
    }
    let undecided = options.leaves_open() && hyper::is_default(inner, &analysis);
    let failures = Failures::default();
    let pieces = pieces::search(&presolved, &analysis, options, watch);
    if let Some(solution) = by_pieces(parts, options, watch, &failures, &pieces)
        && (solution.status.is_success() || !undecided || watch.interrupted())
    {
        return solution;
    }
    if !undecided {
        return by_value_function(problem, parts, options, watch, &pieces);
    }
    let on_phi = hyper::solve(problem, parts, options, watch);
    let large = problem.n() + problem.m() > LARGE && on_phi.x.is_some();
    if on_phi.status == Status::Solved || large || watch.interrupted() {
        return on_phi;
    }
    // Kinks of F, which the theory excludes, and unbounded values show themselves in the run.
    let mut second = by_value_function(problem, parts, options, watch, &pieces);
    second.work.hyper_evaluations += on_phi.work.hyper_evaluations;
    let known = on_phi.x.is_some() || on_phi.status == Status::Unbounded;
    if second.status == Status::Solved || !known { second } else { on_phi }
}

/// Problems with more variables of both levels are solved in one way only.
const LARGE: usize = 150;

/// Solves by the value-function programme.
fn by_value_function(
    problem: &Problem,
    (presolved, analysis): (&Presolved<'_>, &Analysis),
    options: &Options,
    watch: &Watch<'_>,
    pieces: &Searched,
) -> Solution {
    let failures = Failures::default();
    if let Some(reason) = options.value_model.and_then(|kind| models::refusal(analysis, kind)) {
        return without_point(problem, options, Status::Unsupported, reason);
    }
    let search = Rounds { presolved, analysis, options, watch, failures: &failures, pieces };
    let (mut solution, empty) = match search.solution() {
        Ok(found) => found,
        Err(message) => return without_point(problem, options, Status::Numerical, message),
    };
    if let Some(approached) = hyper::not_attained((presolved, analysis, options), &solution, watch, &failures) {
        solution = approached;
    }
    if options.global && failures.first().is_none() {
        return global::close(presolved, analysis, options, watch, &failures, solution);
    }
    if solution.status == Status::Stuck
        && let Some(nodes) = global::no_point(problem, watch)
    {
        global::write_infeasible(&mut solution, nodes);
    }
    if solution.status == Status::Stuck && empty {
        solution.status = Status::Infeasible;
        let text = "no piece of the follower's optimality conditions meets the constraints of both levels";
        solution.message = format!("{text}; {}", solution.message);
    }
    solution
}

/// The answer by pieces, where descents were made: if it is solved, or too large for anything else.
fn by_pieces(
    (presolved, analysis): (&Presolved<'_>, &Analysis),
    options: &Options,
    watch: &Watch<'_>,
    failures: &Failures,
    pieces: &Searched,
) -> Option<Solution> {
    let descents = pieces.descents.as_ref()?;
    if options.global || pieces.falls() || pieces.empty {
        return None;
    }
    let mut runs: Vec<Run> = [pieces.pieces.as_ref(), Some(descents)].into_iter().flatten().cloned().collect();
    let inner = presolved.problem.as_ref();
    let large = inner.n() + inner.m() > LARGE_QUADRATIC;
    if runs.iter().all(|run| run.candidates.is_empty()) && !large {
        return None;
    }
    let mut first: Option<Solution> = None;
    for _ in 0..ENDS {
        let mut solution = select::select(presolved, analysis, options, &runs, watch, failures);
        finish_status(&mut solution, options, &runs, watch, failures);
        if solution.status.is_success() {
            return Some(solution);
        }
        // Where the best end is no answer, another may be.
        let x: Vec<f64> = solution.x.iter().flat_map(|x| x.0.iter().flat_map(|(_, values)| values.clone())).collect();
        let away = |c: &Candidate| presolved.way.leave(&c.x, &c.y).0 != x;
        runs.iter_mut().for_each(|run| run.candidates.retain(away));
        first = first.or(Some(solution));
        if runs.iter().all(|run| run.candidates.is_empty()) || watch.interrupted() {
            break;
        }
    }
    let last = large || watch.interrupted();
    first.filter(|first| last && first.x.is_some())
}

/// Ends of descents that are examined before other methods are asked.
const ENDS: usize = 3;

/// Quadratic problems with more variables than this are not tried by other methods.
const LARGE_QUADRATIC: usize = 200;

/// What an early end, a failing user's function or a follower without answers means for the status.
fn finish_status(solution: &mut Solution, options: &Options, runs: &[Run], watch: &Watch<'_>, failures: &Failures) {
    if let Some(message) = failures.first() {
        solution.status = Status::Numerical;
        solution.message = format!("a user's function failed: {message}");
        return;
    }
    if matches!(solution.status, Status::Solved | Status::Unbounded | Status::NotAttained) {
        return;
    }
    if watch.observer.interrupted() {
        solution.status = Status::Interrupted;
        solution.message = "stopped by the user; the best point so far".to_string();
    } else if watch.late() {
        solution.status = Status::TimeLimit;
        let limit = options.time_limit.unwrap_or(Duration::ZERO).as_secs_f64();
        solution.message = format!("the time limit of {limit} s was reached; the best point so far");
    } else if runs.iter().any(|run| run.over_budget) {
        solution.status = Status::Budget;
        let text = "a run used up its share of the budget of";
        solution.message = format!("{text} {} lower solves; the best point so far", options.budget);
    } else if solution.x.is_none() {
        let (status, message) = no_point(runs);
        solution.status = status;
        solution.message = message.to_string();
    } else if solution.status == Status::Stuck && runs.iter().all(|run| run.lower_failure.is_some()) {
        // Not one run found an answer of the follower: what is shown is no more than where the search began.
        let (status, message) = no_point(runs);
        solution.status = status;
        solution.message = message.to_string();
    }
}

/// The status when no run produced a point.
fn no_point(runs: &[Run]) -> (Status, &'static str) {
    let failed = |status| runs.iter().any(|run| run.lower_failure == Some(status));
    if failed(LowerStatus::Unbounded) {
        (Status::FollowerUnbounded, "the follower's objective decreases without bound at every x that was tried")
    } else if failed(LowerStatus::Infeasible) {
        (Status::Infeasible, "the follower has no feasible answer at any x that was tried")
    } else if runs.iter().any(|run| run.unbounded) {
        (Status::Unbounded, "the leader's objective decreases without bound")
    } else {
        (Status::Numerical, "no point could be evaluated: formulas are not defined at the starts that were tried")
    }
}

fn without_point(problem: &Problem, options: &Options, status: Status, message: impl Into<String>) -> Solution {
    Solution {
        problem: problem.name().to_string(),
        attitude: options.attitude,
        status,
        message: message.into(),
        x: None,
        y: None,
        upper: None,
        lower: None,
        infimum: None,
        multipliers: Multipliers::default(),
        certificate: Certificate::default(),
        work: Work::default(),
    }
}
