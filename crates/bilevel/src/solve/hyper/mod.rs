//! The front door of methods on phi: start many runs, take the best point, ask whether its value is attained, certify.
//!
//! ```text
//! objective.rs  phi with the leader's constraints as a penalty
//! local.rs      one run of a method, with the look for kinks after it
//! attain.rs     infima that no point reaches
//! report.rs     the certificate and the status
//! ```

mod attain;
mod local;
mod objective;
mod report;

use bilevel_linalg::vector;

use super::presolve::Presolved;
use super::{Analysis, FollowerConvexity, Options, Watch, global, portfolio, select, without_point};
use crate::certificate::Degeneracy;
use crate::evaluate::Workers;
use crate::hyper::{HyperFailure, HyperSettings};
use crate::observe::Observer;
use crate::problem::{Attitude, Failures, NamedValues, Problem};
use crate::solution::{Solution, Status};
use crate::upper::hyper::{
    Curvature, DirectSettings, Ending, Found, MultistartSettings, Oracle, Sample, direct, multistart,
};
use attain::Approach;
use local::Method;
use objective::Penalised;

/// Accuracies asked of phi: what a bound of the tolerance needs, within these.
const ACCURACIES: (f64, f64) = (1e-13, 1e-8);
/// Factors of the penalty, until the constraints hold.
const PENALTIES: [f64; 5] = [1.0, 10.0, 100.0, 1e4, 1e6];
/// Largest violation, relative to 1 + the point's size, that the penalty may leave.
const VIOLATION: f64 = 1e-7;
/// A point of this size lies on the way to infinity, or has lost its digits.
const OUT: f64 = 1e8;
/// Largest number of variables of the pattern search, and its sample in each of them.
const FEW: usize = 6;
const SAMPLE: usize = 24;

/// In the theory's class phi_o may have a well for every pattern of signs, and a local run takes a dozen evaluations: each
/// start is followed by so many hops, as far as they do not take more than this many operations in all.
const HOPS: usize = 31;
const OPERATIONS: usize = 10_000_000;
const RUN: usize = 20;
/// The same for phi_p, whose minima lie at kinks: runs take more evaluations there, and wells are fewer.
const KINKED_HOPS: usize = 3;
const KINKED_RUN: usize = 80;

/// Whether an optimistic leader is served by a method on phi_o unless another one is named: in the class of Chen, Li & So,
/// where the follower is free, smooth and convex, so that an evaluation is a linear solve, and nothing else binds y.
pub fn is_default(problem: &Problem, analysis: &Analysis) -> bool {
    problem.n() > 0
        && problem.leader().constraints.is_empty()
        && analysis.convexity == FollowerConvexity::Structure
        && report::outside_theory(problem, analysis).is_none()
}

/// The best point of a run, and what led to it.
#[derive(Clone)]
struct Answer {
    best: Sample,
    /// The points seen on the way, latest last.
    seen: Vec<Sample>,
    ending: Ending,
    approach: Option<Approach>,
    /// Whether the pattern search, which rests on sampling, gave the point.
    sampled: bool,
    evaluations: usize,
}

/// Solves by a method on phi.
pub fn solve(
    problem: &Problem,
    (presolved, analysis): (&Presolved<'_>, &Analysis),
    options: &Options,
    watch: &Watch<'_>,
) -> Solution {
    let failures = Failures::default();
    let eta = presolved.way.enter_lower(options.follower_tolerance);
    let settings = HyperSettings { seed: options.seed, eta, ..HyperSettings::default() };
    let method = match Method::choose(options) {
        Ok(method) => method,
        Err(message) => return without_point(problem, options, Status::Unsupported, message),
    };
    let mut phi = match Penalised::new(&presolved.problem, options.attitude, &settings, &failures) {
        Ok(phi) => phi,
        Err(message) => return without_point(problem, options, Status::Unsupported, message),
    };
    let accuracy = accuracy(options);
    let inner = presolved.problem.as_ref();
    let search = Search { problem: inner, presolved, analysis, options, method, watch, accuracy };
    let outcome = search.minimise(&mut phi);
    let mut solution = match outcome {
        Ok(answer) => report::report(&search, &phi, &answer, &failures),
        Err(ending) => nowhere(problem, options, &ending),
    };
    if let Some(message) = failures.first() {
        solution.status = Status::Numerical;
        solution.message = format!("a user's function failed: {message}");
    } else if options.global && options.follower_tolerance == 0.0 && solution.status != Status::Unbounded {
        // No tolerance: a bound over all bilevel-feasible points bounds the worst cases too.
        return global::close(presolved, analysis, options, watch, &failures, solution);
    }
    solution
}

/// An optimistic answer at which the follower's constraints lose their interior: is its value reached there, or only
/// approached? The solution at the point nearest to where it is approached, if so.
pub fn not_attained(
    (presolved, analysis, options): (&Presolved<'_>, &Analysis, &Options),
    solution: &Solution,
    watch: &Watch<'_>,
    failures: &Failures,
) -> Option<Solution> {
    let (problem, way) = (presolved.problem.as_ref(), &presolved.way);
    let wanted = matches!(solution.status, Status::Solved | Status::Feasible);
    if !wanted || !analysis.coupled_lower || problem.n() == 0 || problem.n() > FEW {
        return None;
    }
    let flat = |values: &NamedValues| values.0.iter().flat_map(|(_, v)| v.iter().copied()).collect::<Vec<f64>>();
    let (x, y) = way.enter(&flat(solution.x.as_ref()?), &flat(solution.y.as_ref()?));
    let follower = analysis.levels.exact_follower.as_ref()?;
    Degeneracy::of(follower, &x, &y, failures).filter(|degeneracy| degeneracy.no_interior)?;
    let settings = HyperSettings { seed: options.seed, ..HyperSettings::default() };
    let phi = Penalised::new(problem, Attitude::Optimistic, &settings, failures).ok()?;
    let mut oracle = Oracle::new(&phi, accuracy(options), JUMP_EVALUATIONS, watch).cold();
    let sense = problem.leader().sense;
    let value = sense.apply(solution.upper?) / way.upper(1.0);
    let set = &problem.leader().set;
    let found = attain::approach_from_behind(&mut oracle, set, (&x, value), options.seed)?;
    let near = 1e-3 * (1.0 + value.abs());
    if (found.infimum - value).abs() > near {
        return None;
    }
    let (x, y) = way.leave(&found.point.x, &found.point.y);
    let mut out = select::certify(presolved, analysis, options, (&x, &y), failures);
    let user = |phi: f64| sense.apply(way.upper(phi));
    out.status = Status::NotAttained;
    out.infimum = Some(user(found.infimum));
    out.message = format!(
        "F approaches {:.7} next to this x, but is {:.7} where it would reach it: the follower's constraints lose their \
         interior there, and its answers jump",
        user(found.infimum),
        user(found.beyond)
    );
    out.work.lower_solves += solution.work.lower_solves;
    out.work.upper_evaluations += solution.work.upper_evaluations;
    out.work.hyper_evaluations = oracle.used() as u64;
    Some(out)
}

/// Evaluations of phi in the look for a jump.
const JUMP_EVALUATIONS: usize = 600;

/// w <= eps²/(32 rho), with rho of the size of 1.
fn accuracy(options: &Options) -> f64 {
    (options.tolerance * options.tolerance / 128.0).clamp(ACCURACIES.0, ACCURACIES.1)
}

/// What all runs share.
struct Search<'a> {
    /// The problem in the units of the methods.
    problem: &'a Problem,
    presolved: &'a Presolved<'a>,
    analysis: &'a Analysis,
    options: &'a Options,
    method: Method,
    watch: &'a Watch<'a>,
    accuracy: f64,
}

impl Search<'_> {
    /// Minimises, with a larger penalty as long as constraints are violated.
    fn minimise(&self, phi: &mut Penalised<'_>) -> Result<Answer, Ending> {
        let mut start = portfolio::first_x(self.problem, self.analysis);
        let mut evaluations = 0;
        let mut last = None;
        for kappa in PENALTIES {
            phi.set_penalty(kappa);
            let mut answer = self.once(phi, &start, evaluations)?;
            evaluations = answer.evaluations;
            let size = answer.best.x.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
            let fine = !phi.is_constrained() || phi.violation(&answer.best.x) <= VIOLATION * size;
            if fine && self.problem.n() > 0 && self.options.attitude == Attitude::Pessimistic {
                self.look_for_jump(phi, &mut answer);
            }
            start.clone_from(&answer.best.x);
            last = Some(answer);
            if fine {
                break;
            }
        }
        last.ok_or(Ending::Budget)
    }

    /// All starts with one penalty.
    fn once(&self, phi: &Penalised<'_>, start: &[f64], used: usize) -> Result<Answer, Ending> {
        let limit = usize::try_from(self.options.budget).unwrap_or(usize::MAX).saturating_sub(used);
        if self.problem.n() == 0 {
            return self.without_leader(phi, used);
        }
        let (set, bounds) = (&self.problem.leader().set, self.analysis.bounds.leader());
        let workers = Workers::new(self.options.threads);
        let settings = MultistartSettings {
            starts: self.starts(),
            least: self.options.starts,
            limit,
            accuracy: self.accuracy,
            tolerance: self.options.tolerance,
            seed: self.options.seed,
        };
        let local = |oracle: &mut Oracle<'_>, x: &[f64], tolerance: f64, curvature: &mut Curvature| {
            local::run(self.method, oracle, set, x, (tolerance, self.options), curvature)
        };
        let found = multistart(phi, set, bounds, start, &settings, (&local, &workers, self.watch));
        let mut answer = best_of(found, used, self.watch.interrupted());
        if self.wants_pattern_search(&answer) {
            self.pattern_search(phi, start, &mut answer);
        }
        if let Some(best) = answer.best.as_ref().filter(|best| vector::norm_inf(&best.x) > OUT) {
            // So far out that its digits are gone: is it on the way to infinity?
            let mut oracle = Oracle::new(phi, self.accuracy, usize::MAX, self.watch).cold();
            if attain::falls_without_end(&mut oracle, set, start, &best.x) {
                answer.ending = Ending::Unbounded;
            }
        }
        answer.finish()
    }

    /// The starts asked for, and hops after them.
    fn starts(&self) -> usize {
        let starts = if self.method.is_one_run() { 1 } else { self.options.starts.max(1) };
        let outside = report::outside_theory(self.problem, self.analysis).is_some();
        if starts == 1 || outside {
            return starts;
        }
        let (hops, run) = match self.options.attitude {
            Attitude::Optimistic => (HOPS, RUN),
            Attitude::Pessimistic => (KINKED_HOPS, KINKED_RUN),
        };
        let (n, m) = (self.problem.n(), self.problem.m());
        let each = run.saturating_mul(m * (m + n)).max(1);
        starts * (1 + (OPERATIONS / each / starts).min(hops))
    }

    /// phi of a problem without leader's variables: one evaluation.
    fn without_leader(&self, phi: &Penalised<'_>, used: usize) -> Result<Answer, Ending> {
        let mut oracle = Oracle::new(phi, self.accuracy, 1, self.watch);
        let sample = oracle.evaluate(&[])?;
        if !sample.value.is_finite() {
            return Err(Ending::Failed(oracle.failure().cloned().unwrap_or(HyperFailure::Infinite)));
        }
        let (ending, seen) = (Ending::Stationary, Vec::new());
        Ok(Answer { best: sample, seen, ending, approach: None, sampled: false, evaluations: used + 1 })
    }

    /// Values may jump, or have no subgradients: a search by values alone goes on from the best points, where there are few
    /// variables and more than one start was asked for.
    fn wants_pattern_search(&self, answer: &Partial) -> bool {
        let outside = report::outside_theory(self.problem, self.analysis).is_some();
        let blind = matches!(answer.ending, Ending::NoSubgradient);
        let many = self.options.starts > 1 && self.options.method.is_none();
        self.problem.n() <= FEW && ((many && outside) || blind)
    }

    fn pattern_search(&self, phi: &Penalised<'_>, start: &[f64], answer: &mut Partial) {
        let set = &self.problem.leader().set;
        let limit = usize::try_from(self.options.budget).unwrap_or(usize::MAX).saturating_sub(answer.evaluations);
        let mut oracle = Oracle::new(phi, self.accuracy, limit, self.watch);
        let count = SAMPLE * self.problem.n().max(1);
        let mut sample = portfolio::spread_over_x(self.problem, self.analysis, start, count, self.options.seed);
        sample.extend(answer.best.iter().map(|best| best.x.clone()));
        let settings = DirectSettings { starts: 3, last_step: 1e-9, seed: self.options.seed };
        let ending = direct(&mut oracle, set, &sample, &settings);
        answer.evaluations += oracle.used();
        if matches!(ending, Ending::Unbounded | Ending::Interrupted) {
            answer.ending = ending.clone();
        }
        if answer.failure.is_none() {
            answer.failure = oracle.failure().cloned();
        }
        let Some(found) = oracle.best() else { return };
        let gain = 1e-9 * (1.0 + found.value.abs());
        if answer.best.as_ref().is_none_or(|best| found.value < best.value - gain) {
            answer.best = Some(found.clone());
            answer.seen = oracle.seen().cloned().collect();
            answer.sampled = true;
            answer.ending = ending;
        }
    }

    fn look_for_jump(&self, phi: &Penalised<'_>, answer: &mut Answer) {
        if !report::may_jump(self.problem, self.analysis) {
            return;
        }
        let set = &self.problem.leader().set;
        // Answers that join S(x) must not be hidden by the one that was the answer before.
        let mut oracle = Oracle::new(phi, self.accuracy, usize::MAX, self.watch).cold();
        answer.approach = attain::approach(&mut oracle, set, &answer.best, &answer.seen, self.options.seed);
        answer.evaluations += oracle.used();
        if let Some(approach) = &answer.approach {
            answer.best = approach.point.clone();
        }
    }
}

/// An answer that may have no point yet.
struct Partial {
    best: Option<Sample>,
    seen: Vec<Sample>,
    ending: Ending,
    failure: Option<HyperFailure>,
    sampled: bool,
    evaluations: usize,
}

impl Partial {
    fn finish(self) -> Result<Answer, Ending> {
        let failed = |ending: &Ending| matches!(ending, Ending::Unbounded | Ending::Failed(_));
        match self.best {
            Some(best) if self.ending != Ending::Unbounded => Ok(Answer {
                best,
                seen: self.seen,
                ending: self.ending,
                approach: None,
                sampled: self.sampled,
                evaluations: self.evaluations,
            }),
            _ if failed(&self.ending) => Err(self.ending),
            _ => Err(self.failure.map_or(self.ending, Ending::Failed)),
        }
    }
}

/// The best run of a multistart; without one, why there is none.
fn best_of(found: Found, used: usize, interrupted: bool) -> Partial {
    let evaluations = used + found.evaluations;
    let failure = found.endings.iter().find_map(|ending| match ending {
        Ending::Failed(failure) => Some(failure.clone()),
        _ => None,
    });
    let mut runs = found.runs.into_iter();
    let first = match runs.next() {
        Some(run) if run.best.is_some() || run.ending == Ending::Unbounded => run,
        _ => {
            let stopped = interrupted || found.endings.contains(&Ending::Interrupted);
            let without = if stopped { Ending::Interrupted } else { Ending::Budget };
            let ending = failure.clone().map_or(without, Ending::Failed);
            return Partial { best: None, seen: Vec::new(), ending, failure, sampled: false, evaluations };
        }
    };
    Partial { best: first.best, seen: first.seen, ending: first.ending, failure, sampled: false, evaluations }
}

/// The answer where phi has no value anywhere.
fn nowhere(problem: &Problem, options: &Options, ending: &Ending) -> Solution {
    let (status, message) = match ending {
        Ending::Failed(HyperFailure::NoAnswer) => {
            (Status::Infeasible, "the follower has no feasible answer at any x that was tried".to_string())
        }
        Ending::Failed(HyperFailure::FollowerUnbounded) => {
            let text = "the follower's objective decreases without bound at every x that was tried";
            (Status::FollowerUnbounded, text.to_string())
        }
        Ending::Failed(HyperFailure::Infinite) => {
            let text = "the worst case is infinite at every x that was tried: the follower is undecided between answers \
                        over which the leader's objective grows without bound";
            (Status::Unbounded, text.to_string())
        }
        Ending::Failed(HyperFailure::Numerical(text)) => (Status::Numerical, text.clone()),
        Ending::Unbounded => (Status::Unbounded, "the leader's objective decreases without bound".to_string()),
        Ending::Interrupted => (Status::Interrupted, "stopped before a point was found".to_string()),
        _ => (Status::Budget, "no point was found within the budget".to_string()),
    };
    without_point(problem, options, status, message)
}
