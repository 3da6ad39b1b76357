//! `--global`: the search for a point and the search for a bound take turns, until the proved gap is small enough.
//!
//! The bound comes from [`crate::proof::global`]; it holds for every bilevel-feasible point and does not depend on the
//! point that was found. The bound of the optimistic problem is one of the pessimistic problem too.

use super::presolve::Presolved;
use super::{Analysis, Options, Watch, overlook, select};
use crate::observe::{Observer as _, Stage};
use crate::problem::{Attitude, Failures, NamedValues, Problem};
use crate::proof::global::{GlobalProof, GlobalSearch, GlobalSettings, Incumbent};
use crate::proof::problem::Formulas;
use crate::solution::{GlobalBound, Rigor, Solution, Status, Verdict};

/// Boxes looked at for each lower solve of the budget.
const BOXES: u64 = 5;
/// Boxes looked at before the first turn of the local search; doubled each turn.
const FIRST_TURN: usize = 100;
/// Variables of both levels, at most: every box takes dense factorisations of that size.
const MOST_VARIABLES: usize = 60;
/// Scalar operations of a formula, at most.
const OPERATIONS: usize = 100_000;
/// Boxes and variables for the question whether there is any bilevel-feasible point at all.
const ANY_POINT_BOXES: usize = 600;
const ANY_POINT_VARIABLES: usize = 8;

/// Raises the proved bound and lowers the value in turns; writes both, and the status, into the solution.
pub fn close(
    presolved: &Presolved<'_>,
    analysis: &Analysis,
    options: &Options,
    watch: &Watch<'_>,
    failures: &Failures,
    solution: Solution,
) -> Solution {
    let problem = presolved.user;
    let formulas = match Formulas::within(problem, OPERATIONS) {
        Ok(formulas) if problem.n() + problem.m() <= MOST_VARIABLES => formulas,
        Ok(_) => return without_bound(solution, "the problem has too many variables"),
        Err(error) => return without_bound(solution, &error.to_string()),
    };
    let mut turns = Turns { problem, presolved, analysis, options, watch, failures, best: solution };
    let points: Vec<_> = turns.point().into_iter().collect();
    let accepted = turns.accepted();
    let settings = GlobalSettings {
        gap: options.gap,
        nodes: boxes(options),
        assumed_upper: if accepted { turns.value() } else { f64::INFINITY },
        pessimistic: options.attitude == Attitude::Pessimistic,
        ..GlobalSettings::default()
    };
    let Ok(mut search) = formulas.global_search(&points, &settings) else {
        return without_bound(turns.best, "the point has entries that are not finite");
    };
    turns.run(&mut search);
    turns.finish(&search)
}

/// Whether it is proved, within a small budget, that there is no bilevel-feasible point; with the boxes looked at.
pub fn no_point(problem: &Problem, watch: &Watch<'_>) -> Option<u64> {
    if problem.n() + problem.m() > ANY_POINT_VARIABLES {
        return None;
    }
    let formulas = Formulas::within(problem, OPERATIONS).ok()?;
    let settings = GlobalSettings { search: false, ..GlobalSettings::default() };
    let mut search = formulas.global_search(&[], &settings).ok()?;
    search.advance(ANY_POINT_BOXES, &|| watch.interrupted());
    let proof = search.proof();
    (proof.lower == f64::INFINITY && proof.artificial.is_empty()).then_some(proof.nodes as u64)
}

/// Writes that there is no bilevel-feasible point into a solution.
pub fn write_infeasible(solution: &mut Solution, nodes: u64) {
    solution.status = Status::Infeasible;
    solution.message = "proved: there is no bilevel-feasible point".to_string();
    solution.certificate.global = Some(GlobalBound { bound: f64::INFINITY, gap: None, rigor: Rigor::Proved, nodes });
}

fn boxes(options: &Options) -> usize {
    usize::try_from(options.budget.saturating_mul(BOXES)).unwrap_or(usize::MAX)
}

fn without_bound(mut solution: Solution, reason: &str) -> Solution {
    solution.message = format!("{}; no global bound: {reason}", solution.message);
    solution
}

/// The best point so far, and what is needed to look for a better one.
struct Turns<'a> {
    problem: &'a Problem,
    presolved: &'a Presolved<'a>,
    analysis: &'a Analysis,
    options: &'a Options,
    watch: &'a Watch<'a>,
    failures: &'a Failures,
    best: Solution,
}

impl Turns<'_> {
    fn run(&mut self, search: &mut GlobalSearch<'_>) {
        let (mut turn, mut left) = (FIRST_TURN, boxes(self.options));
        let mut known = f64::INFINITY;
        loop {
            let before = search.proof().nodes;
            let finished = search.advance(turn.min(left), &|| self.watch.interrupted());
            let proof = search.proof();
            left = left.saturating_sub(proof.nodes - before);
            self.report(&proof);
            if finished || left == 0 || self.watch.interrupted() {
                return;
            }
            // A better incumbent is a start for the local search, and its answer a better incumbent.
            if let Some(incumbent) = search.incumbent().filter(|i| i.value.hi() < known).cloned() {
                known = incumbent.value.hi();
                for (x, y) in self.polished(&incumbent) {
                    search.offer(&x, &y);
                }
            }
            turn = turn.saturating_mul(2);
        }
    }

    /// What a local run makes of an incumbent.
    fn polished(&self, incumbent: &Incumbent) -> Vec<(Vec<f64>, Vec<f64>)> {
        let way = &self.presolved.way;
        let problem = self.presolved.problem.as_ref();
        let (parts, point) = ((self.analysis, self.options), way.enter(&incumbent.x, &incumbent.y));
        let run = overlook::run_from(problem, parts, point, (0, self.options.budget / 20), self.watch, self.failures);
        run.candidates.iter().map(|candidate| way.leave(&candidate.x, &candidate.y)).collect()
    }

    fn report(&self, proof: &GlobalProof) {
        self.watch.stage(&Stage {
            start: 0,
            iteration: proof.nodes,
            step: "global bound",
            mu: 0.0,
            upper: proof.incumbent.as_ref().map_or(self.value(), |incumbent| incumbent.value.hi()),
            gap: proof.gap,
            residual: f64::NAN,
            lower_solves: 0,
        });
    }

    /// The point as flat vectors.
    fn point(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        let flat = |values: &NamedValues| values.0.iter().flat_map(|(_, v)| v.iter().copied()).collect();
        Some((flat(self.best.x.as_ref()?), flat(self.best.y.as_ref()?)))
    }

    /// The leader's objective at the best point, minimised; NaN without one.
    fn value(&self) -> f64 {
        self.best.upper.map_or(f64::NAN, |upper| self.problem.leader().sense.apply(upper))
    }

    /// Whether the point is bilevel feasible within the tolerances.
    fn accepted(&self) -> bool {
        let held = matches!(self.best.status, Status::Solved | Status::Feasible | Status::TimeLimit | Status::Budget);
        let certificate = &self.best.certificate;
        let gap = certificate.follower_gap.as_ref().is_some_and(|gap| {
            gap.value <= 1e-8 * (1.0 + self.best.lower.map_or(0.0, f64::abs)) || gap.rigor != Rigor::Estimated
        });
        held && gap && certificate.violation.is_some_and(|violation| violation <= 1e-6) && self.value().is_finite()
    }

    /// Takes the search's point where it is better, or where it alone is proved to be feasible.
    fn take_incumbent(&mut self, proof: &GlobalProof) {
        let Some(incumbent) = &proof.incumbent else { return };
        let better = incumbent.value.hi() < self.value() - 1e-9 * (1.0 + self.value().abs());
        let size = self.value().abs().max(1.0);
        let as_good = incumbent.value.hi() <= self.value().min(proof.lower + self.options.gap * size);
        if self.accepted() && !better && (!as_good || self.proved()) {
            return;
        }
        let found =
            select::certify(self.presolved, self.analysis, self.options, (&incumbent.x, &incumbent.y), self.failures);
        let work = self.best.work;
        let kkt = self.best.certificate.kkt.take();
        self.best = found;
        self.best.certificate.kkt = kkt;
        self.best.work.lower_solves += work.lower_solves;
        self.best.work.upper_evaluations += work.upper_evaluations;
    }

    /// Whether the follower's optimality at the point is proved.
    fn proved(&self) -> bool {
        self.best.certificate.verdict == Some(Verdict::Verified)
    }

    fn finish(mut self, search: &GlobalSearch<'_>) -> Solution {
        let proof = search.proof();
        let names = self.names(&proof.artificial);
        if proof.lower == f64::INFINITY && !self.accepted() {
            if names.is_empty() {
                write_infeasible(&mut self.best, proof.nodes as u64);
            } else {
                let place = names.join(", ");
                self.best.message =
                    format!("{}; no bilevel-feasible point in a box that is artificial in {place}", self.best.message);
            }
            return self.best;
        }
        self.take_incumbent(&proof);
        let sense = self.problem.leader().sense;
        let gap = self.accepted().then(|| (self.value() - proof.lower).max(0.0) / self.value().abs().max(1.0));
        let rigor = if names.is_empty() {
            Rigor::Proved
        } else {
            Rigor::Conditional(vec![format!("box: {}", names.join(", "))])
        };
        let nodes = proof.nodes as u64;
        self.best.certificate.global = Some(GlobalBound { bound: sense.apply(proof.lower), gap, rigor, nodes });
        self.describe(&proof, gap, &names);
        self.best
    }

    /// Status and message.
    fn describe(&mut self, proof: &GlobalProof, gap: Option<f64>, names: &[String]) {
        let bound = self.problem.leader().sense.apply(proof.lower);
        let closed = gap.is_some_and(|gap| gap <= self.options.gap * (1.0 + 1e-9));
        let shown = gap.map_or("no gap without a feasible point".to_string(), |gap| format!("gap {gap:.1e}"));
        let bound = format!("global bound {bound:.7}, {shown}");
        let place = if names.is_empty() {
            String::new()
        } else {
            format!(", in a box that is artificial in {}", names.join(", "))
        };
        let best = &mut self.best;
        let verified = best.certificate.verdict == Some(Verdict::Verified);
        if closed && names.is_empty() && verified {
            best.status = Status::Optimal;
            best.message = format!("proved to be optimal: {bound}; the follower's optimality is proved");
            return;
        }
        if closed {
            best.message = format!("{}; {bound}{place}", best.message);
            return;
        }
        if self.watch.observer.interrupted() {
            best.status = Status::Interrupted;
            best.message = format!("stopped by the user; {bound}{place}");
        } else if self.watch.late() {
            best.status = Status::TimeLimit;
            best.message = format!("the time limit was reached before the gap was closed; {bound}{place}");
        } else if proof.nodes >= boxes(self.options) {
            best.status = Status::Budget;
            best.message = format!("{} boxes did not close the gap; {bound}{place}", proof.nodes);
        } else {
            best.message = format!("{}; {bound}{place}, not closed", best.message);
        }
    }

    /// The names of variables, the leader's first.
    fn names(&self, variables: &[usize]) -> Vec<String> {
        let n = self.problem.n();
        let name = |&v: &usize| {
            if v < n {
                crate::certificate::variable(&self.problem.leader().blocks, v)
            } else {
                crate::certificate::variable(&self.problem.follower().blocks, v - n)
            }
        };
        variables.iter().map(name).collect()
    }
}
