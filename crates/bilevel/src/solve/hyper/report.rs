//! The certificate of a point that a method on phi found, and the status of the run.

use bilevel_linalg::stop;

use super::{Answer, Search};
use crate::certificate::{BlackBoxSettings, MoreauSettings, black_box, clarke, goldstein, kernel_turns, moreau};
use crate::hyper::{HyperObjective, HyperPoint};
use crate::observe::{Observer, Stage};
use crate::problem::{At, Attitude, Failures, FunctionEvaluator, Problem};
use crate::set::{ConvexSet, Description, Set};
use crate::smooth::Smoothing;
use crate::solution::{Certificate, Rigor, Solution, Stationarity, Status};
use crate::solve::hyper::objective::Penalised;
use crate::solve::presolve::IN_OTHER_UNITS;
use crate::solve::{Analysis, FollowerConvexity, select};
use crate::upper::hyper::{Ending, MODULUS_SAFETY, Oracle, Sample};

/// nu, relative to 1 + ‖x‖.
const BALL: f64 = 1e-4;
/// Evaluations of the Moreau bound, besides those of its first cuts.
const EVALUATIONS: usize = 400;
/// The same, with those, where the run was ended from outside.
const IN_HASTE: usize = 16;
/// Largest gap of the follower, relative to 1 + |f|, beyond its tolerance eta.
const GAP: f64 = 1e-8;

/// Points whose worst case is computed again, at most, until one agrees with the search to this, relative to 1 + its size.
const CONFIRMED: usize = 12;
const AGREES: f64 = 1e-6;

/// Why Theorem 1 of Chen, Li & So says nothing about this problem, if it does not: weak convexity of phi_p (concavity of
/// phi_o) is then a hope.
pub fn outside_theory(problem: &Problem, analysis: &Analysis) -> Option<&'static str> {
    let follower = problem.follower();
    let mut description = Description::default();
    follower.set.describe(0, &mut description);
    let bounded = description.lower.iter().chain(&description.upper).any(|b| b.is_finite());
    let set = bounded || description.row_count() > 0 || !description.balls.is_empty();
    if set || !follower.constraints.is_empty() {
        Some("the follower is constrained")
    } else if !analysis.smooth {
        Some("the follower's objective has kinks")
    } else {
        None
    }
}

/// Whether S(x) may gain answers suddenly: not for a free follower that is smooth and convex.
pub fn may_jump(problem: &Problem, analysis: &Analysis) -> bool {
    outside_theory(problem, analysis).is_some() || analysis.convexity == FollowerConvexity::Unknown
}

/// The answer as a solution.
pub fn report(search: &Search<'_>, phi: &Penalised<'_>, answer: &Answer, failures: &Failures) -> Solution {
    let stop = stop::current().later(select::HASTE);
    let mut solution = stop::within(stop, || described(search, phi, answer, failures));
    if search.watch.interrupted() && matches!(solution.status, Status::Stuck | Status::Relaxed) {
        cut_short(search, answer, &mut solution);
    }
    solution
}

fn described(search: &Search<'_>, phi: &Penalised<'_>, answer: &Answer, failures: &Failures) -> Solution {
    let (problem, options) = (search.problem, search.options);
    let mut answer = std::borrow::Cow::Borrowed(answer);
    if answer.best.subgradient.is_none() && answer.approach.is_none() {
        // A point that is as good and has a subgradient can be certified.
        if let Some(other) = answer.seen.iter().rev().find(|s| is_as_good(s, &answer.best)).cloned() {
            answer.to_mut().best = other;
        }
    }
    if options.attitude == Attitude::Pessimistic && answer.approach.is_none() && !search.watch.interrupted() {
        let best = confirmed(search, phi, &answer);
        answer.to_mut().best = best;
    }
    let mut solution = certified(search, phi, &answer.best, failures);
    if matches!(solution.status, Status::Stuck | Status::Relaxed) && options.follower_tolerance == 0.0 {
        // At the end of the x for which the follower has answers, the last digits decide: a step back is no loss.
        for other in nearly_as_good(&answer) {
            let second = certified(search, phi, &other, failures);
            if matches!(second.status, Status::Solved | Status::Feasible) {
                solution = second;
                answer.to_mut().best = other;
                break;
            }
        }
    }
    let answer = answer.as_ref();
    if options.follower_tolerance > 0.0 {
        // These speak of a follower that takes best answers only.
        let certificate = std::mem::take(&mut solution.certificate);
        let (violation, follower_gap) = (certificate.violation, certificate.follower_gap);
        solution.certificate = Certificate { violation, follower_gap, ..Certificate::default() };
    }
    solution.certificate.stationarity = None;
    let mut remark = None;
    if answer.approach.is_none() && problem.n() > 0 {
        let found = stationarity(search, phi, answer);
        solution.work.certificate_evaluations = found.evaluations as u64;
        solution.certificate.stationarity = found.stationarity;
        if let Some(stationarity) =
            solution.certificate.stationarity.as_mut().filter(|_| !search.presolved.way.is_identity())
        {
            stationarity.measure.push_str(IN_OTHER_UNITS);
        }
        remark = found.remark;
    }
    solution.work.hyper_evaluations = answer.evaluations as u64;
    status(search, phi, answer, &mut solution, remark);
    search.watch.stage(&Stage {
        start: 0,
        iteration: 0,
        step: "certificate",
        mu: 0.0,
        upper: solution.upper.unwrap_or(f64::NAN),
        gap: solution.certificate.follower_gap.as_ref().map_or(f64::NAN, |gap| gap.value),
        residual: solution.certificate.stationarity.as_ref().map_or(f64::NAN, |s| s.residual),
        lower_solves: solution.work.lower_solves,
    });
    solution
}

/// The general certificate of a point, with the follower's answer computed afresh.
fn certified(search: &Search<'_>, phi: &Penalised<'_>, best: &Sample, failures: &Failures) -> Solution {
    let fresh = afresh(search, phi.hyper(), best);
    let y = fresh.map_or_else(|| best.y.clone(), |point| point.y);
    let (x, y) = search.presolved.way.leave(&best.x, &y);
    select::certify(search.presolved, search.analysis, search.options, (&x, &y), failures)
}

/// phi at the point from the answer that is known there; for a pessimistic leader also without it, and the worse of the
/// two: a local search for answers may have missed one from either side.
fn afresh(search: &Search<'_>, phi: &dyn HyperObjective, at: &Sample) -> Option<HyperPoint> {
    let warm = phi.evaluate(&at.x, search.accuracy, Some(&at.y)).ok();
    if search.options.attitude == Attitude::Optimistic {
        return warm;
    }
    let cold = phi.evaluate(&at.x, search.accuracy, None).ok();
    let (Some(warm), Some(cold)) = (&warm, &cold) else { return warm.or(cold) };
    // What is worse for the follower is no answer: that search has ended in a local minimum.
    let (f_warm, f_cold) = (follower_value(search, &at.x, &warm.y), follower_value(search, &at.x, &cold.y));
    let tie = search.presolved.way.enter_lower(search.options.follower_tolerance) + GAP * (1.0 + f_warm.abs());
    let cold_counts = f_cold < f_warm - tie || (f_cold <= f_warm + tie && cold.value > warm.value);
    Some(if cold_counts { cold.clone() } else { warm.clone() })
}

/// f in the units of the methods.
fn follower_value(search: &Search<'_>, x: &[f64], y: &[f64]) -> f64 {
    let (problem, failures) = (search.problem, Failures::default());
    let mut evaluator = FunctionEvaluator::new(&problem.follower().objective, problem.n(), problem.m(), &failures);
    evaluator.value(At { x, y, smoothing: Smoothing::EXACT })
}

/// The best of the lowest points seen, with the worst case computed afresh: a value that was too low, because an answer of
/// the follower had been missed, must not decide.
fn confirmed(search: &Search<'_>, phi: &Penalised<'_>, answer: &Answer) -> Sample {
    let mut points: Vec<&Sample> = answer.seen.iter().collect();
    points.sort_by(|a, b| a.value.total_cmp(&b.value));
    let mut least: Option<Sample> = None;
    for sample in std::iter::once(&answer.best).chain(points).take(CONFIRMED) {
        let Some(point) = afresh(search, phi, sample) else { continue };
        let holds = point.value <= sample.value + AGREES * (1.0 + sample.value.abs());
        if least.as_ref().is_none_or(|known| point.value < known.value) {
            let HyperPoint { value, y, subgradient, .. } = point;
            least = Some(Sample { x: sample.x.clone(), value, subgradient, y });
        }
        if holds {
            break;
        }
    }
    least.unwrap_or_else(|| answer.best.clone())
}

/// Whether a point with a subgradient is worse by no more than 1e-7, relative.
fn is_as_good(other: &Sample, best: &Sample) -> bool {
    other.subgradient.is_some() && other.value <= best.value + 1e-7 * (1.0 + best.value.abs())
}

/// Points seen that are worse by no more than 1e-6, relative, and not next to the best: nearest first.
fn nearly_as_good(answer: &Answer) -> Vec<Sample> {
    let best = &answer.best;
    let size = 1.0 + best.x.iter().map(|v| v * v).sum::<f64>().sqrt();
    let to = |s: &Sample| s.x.iter().zip(&best.x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
    let close = |s: &&Sample| s.value <= best.value + 1e-6 * (1.0 + best.value.abs()) && to(s) > 1e-9 * size;
    let mut points: Vec<Sample> = answer.seen.iter().filter(close).cloned().collect();
    points.sort_by(|a, b| to(a).total_cmp(&to(b)));
    let step = (points.len() / 4).max(1);
    points.into_iter().step_by(step).take(4).collect()
}

struct Found {
    stationarity: Option<Stationarity>,
    evaluations: usize,
    remark: Option<String>,
}

fn stationarity(search: &Search<'_>, phi: &Penalised<'_>, answer: &Answer) -> Found {
    let turns = || {
        let at = (answer.best.x.as_slice(), answer.best.y.as_slice());
        let turns = at.1.len() == search.problem.m()
            && kernel_turns(search.problem, &search.analysis.levels, at, search.options.seed);
        turns.then_some("the kernel of the follower's Hessian turns with x, which is outside the theory")
    };
    let outside = outside_theory(search.problem, search.analysis).or_else(turns);
    let assumed = vec![if outside.is_some() { "regular answers" } else { "error bound" }.to_string()];
    let set = &search.problem.leader().set;
    let x = &answer.best.x;
    let ball = BALL * (1.0 + x.iter().map(|v| v * v).sum::<f64>().sqrt());
    let tolerance = search.options.tolerance;
    if search.options.attitude == Attitude::Pessimistic {
        // Whoever ends a run does not want to wait for as long again.
        let (limit, count) =
            if search.watch.interrupted() { (IN_HASTE, 0) } else { (EVALUATIONS + 2 * x.len(), x.len() + 4) };
        let (accuracy, seed) = (search.accuracy, search.options.seed);
        let settings = MoreauSettings { modulus: None, tolerance, accuracy, limit, seed };
        let near = nearest(&answer.seen, x, count, f64::INFINITY);
        if let Some(check) = moreau(phi, set, x, &near, &settings) {
            let mut remark = outside.map(|reason| format!("{reason}: weak convexity is not guaranteed"));
            if check.alarm {
                remark = Some("phi_p is not weakly convex here: the certificate's guarantee is void".to_string());
            }
            // A bound that calls a point stationary next to a clearly lower one contradicts itself; a large one does not.
            let sound = !check.alarm && (check.lower.is_none() || check.bound > tolerance);
            let stationarity = sound.then(|| check.stationarity(assumed));
            return Found { stationarity, evaluations: check.evaluations, remark };
        }
    } else if let Some(check) = clarke(phi, set, x, &nearest(&answer.seen, x, 3, ball), (ball, search.accuracy)) {
        let hull = goldstein(&answer.seen, x, ball).filter(|_| check.residual > tolerance);
        let hull = hull.filter(|(value, _)| *value <= tolerance);
        let remark = hull.map(|(value, count)| {
            format!("Goldstein stationary only: {value:.1e} over {count} subgradients within {ball:.1e}")
        });
        let remark = remark.or_else(|| outside.map(|reason| format!("{reason}: weak concavity is not guaranteed")));
        return Found { stationarity: Some(check.stationarity(assumed)), evaluations: check.evaluations, remark };
    } else if matches!(set, Set::Whole(_)) {
        return from_values(search, phi, x);
    }
    Found { stationarity: None, evaluations: 1, remark: Some("phi has no subgradient at the point".to_string()) }
}

/// Lemma 5 for a phi_o without subgradients, its modulus observed along a line.
fn from_values(search: &Search<'_>, phi: &Penalised<'_>, x: &[f64]) -> Found {
    let mut oracle = Oracle::new(phi, search.accuracy, usize::MAX, search.watch);
    let step = 1e-3 * (1.0 + x.iter().map(|v| v * v).sum::<f64>().sqrt());
    let mut modulus: f64 = 1e-3;
    for j in 0..x.len().min(8) {
        let mut at = |t: f64| {
            let mut z = x.to_vec();
            z[j] += t;
            oracle.evaluate(&z).map_or(f64::NAN, |s| s.value)
        };
        let bend = (at(step) - 2.0 * at(0.0) + at(-step)) / (step * step);
        modulus = modulus.max(bend);
    }
    let settings = BlackBoxSettings {
        modulus: MODULUS_SAFETY * modulus,
        lipschitz: None,
        delta: 1e-6 * step,
        accuracy: search.accuracy,
        samples: 100 * x.len(),
        alpha: 0.05,
        seed: search.options.seed,
    };
    let check = black_box(phi, x, &settings);
    let evaluations = oracle.used() + check.as_ref().map_or(0, |check| check.evaluations);
    Found { stationarity: check.map(|check| check.stationarity()), evaluations, remark: None }
}

/// The `count` points of `seen` nearest to x, within `radius`.
fn nearest(seen: &[Sample], x: &[f64], count: usize, radius: f64) -> Vec<Vec<f64>> {
    let to = |s: &Sample| s.x.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    let mut points: Vec<&Sample> = seen.iter().filter(|s| s.x != x && to(s).sqrt() <= radius).collect();
    points.sort_by(|a, b| to(a).total_cmp(&to(b)));
    points.into_iter().take(count).map(|s| s.x.clone()).collect()
}

fn status(search: &Search<'_>, phi: &Penalised<'_>, answer: &Answer, solution: &mut Solution, remark: Option<String>) {
    let options = search.options;
    let eta = options.follower_tolerance;
    if eta > 0.0 && matches!(solution.status, Status::Stuck | Status::Relaxed) {
        let gap = solution.certificate.follower_gap.as_ref().map_or(f64::INFINITY, |gap| gap.value);
        let size = 1.0 + solution.lower.map_or(0.0, f64::abs);
        let feasible = solution.certificate.violation.is_some_and(|v| v <= 1e-6);
        if feasible && gap <= eta + GAP * size {
            solution.status = Status::Feasible;
        }
    }
    if !matches!(solution.status, Status::Solved | Status::Feasible) {
        return;
    }
    let violation = phi.violation(&answer.best.x);
    if violation > 1e-6 * answer.best.x.iter().fold(1.0, |a: f64, v| a.max(v.abs())) {
        solution.status = Status::Stuck;
        solution.message = format!(
            "an answer of the follower violates the leader's constraints by {violation:.1e} wherever it was tried"
        );
        return;
    }
    let value = |phi: f64| search.problem.leader().sense.apply(search.presolved.way.upper(phi));
    if let Some(approach) = &answer.approach {
        solution.status = Status::NotAttained;
        solution.infimum = Some(value(approach.infimum));
        solution.message = format!(
            "the worst case approaches {:.7} next to this x, but is {:.7} where it would reach it",
            value(approach.infimum),
            value(approach.beyond)
        );
        return;
    }
    let kind = match options.attitude {
        Attitude::Optimistic => "best",
        Attitude::Pessimistic => "worst",
    };
    let found = if answer.sampled { "the point rests on a search by samples; " } else { "" };
    let remark = remark.map(|text| format!("; {text}")).unwrap_or_default();
    let (status, text) = match &solution.certificate.stationarity {
        _ if search.problem.n() == 0 => {
            (Status::Solved, format!("the leader has no variables: y is the {kind} answer found"))
        }
        Some(s) if s.residual <= options.tolerance && s.rigor != Rigor::Estimated => {
            (Status::Solved, format!("{found}stationary, y is the {kind} answer found{remark}"))
        }
        Some(s) => (Status::Feasible, format!("{found}stationarity bound {:.1e}{remark}", s.residual)),
        None => (Status::Feasible, format!("{found}no stationarity bound{remark}")),
    };
    solution.status = status;
    solution.message = text;
    if status == Status::Feasible {
        cut_short(search, answer, solution);
    }
}

/// An early end is named where the goal was not reached.
fn cut_short(search: &Search<'_>, answer: &Answer, solution: &mut Solution) {
    if search.watch.late() {
        solution.status = Status::TimeLimit;
    } else if search.watch.interrupted() {
        solution.status = Status::Interrupted;
    } else if answer.ending == Ending::Budget && answer.evaluations as u64 >= search.options.budget {
        solution.status = Status::Budget;
    }
}
