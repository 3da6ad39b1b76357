//! From candidates to an answer: the best one that an independent check of the follower accepts, with its certificate.
//!
//! ```text
//! select.rs       the candidates and their checks
//! status.rs       what may be said of a checked point
//! certificate.rs  gaps, stationarity and multipliers
//! rays.rs         whether F falls along the ray that a run left by
//! ```

mod certificate;
mod rays;
mod status;

use bilevel_linalg::stop;
use std::time::Duration;

use super::presolve::Presolved;
use super::{Analysis, Options, without_point};
use crate::certificate::{FollowerCheck, ProvedGap, Verifier, check_follower, violation};
use crate::lower::{LowerSolver, LowerStatus, Meter, Regulariser};
use crate::observe::Observer;
use crate::problem::{At, Failures, FunctionEvaluator, NamedValues, Problem, Side};
use crate::smooth::Smoothing;
use crate::solution::{Solution, Status, Verdict, Work};
use crate::upper::{Candidate, Run};
use status::no_best_answer;

/// A better answer of the follower counts if F changes by this, relative to 1 + its size. Bounds of phi let answers be
/// worse by 1e-6, which may change F a little where the follower has only one.
const BETTER: f64 = 0.05;
/// Answers that are worse for the follower than this, relative to 1 + |v|, are no ties.
const TIE: f64 = 1e-5;
/// Largest violation, relative to 1 + the point's size, of a solved problem.
const VIOLATION: f64 = 1e-6;
/// Largest follower gap, relative to 1 + |v|, of a solved problem.
const GAP: f64 = 1e-8;
/// Answers that the limit of the gap does not tell apart matter if F differs by this, relative to 1 + |F|.
const HIDDEN: f64 = 1e-3;
/// Candidates checked at most.
const CHECKS: usize = 24;
/// Candidates looked at in place of a feasible one, and how much worse F may be, relative to 1 + its size.
const CLEANER: usize = 4;
const AS_GOOD: f64 = 1e-5;

/// A candidate with what its check says.
struct Checked {
    candidate: Candidate,
    run: usize,
    upper: f64,
    violation: f64,
    check: Option<FollowerCheck>,
    proof: ProvedGap,
    /// F at the answer that a follower gives who looks at the last digit of a flat objective, where that changes F.
    hidden: Option<f64>,
    /// What f is multiplied with for the methods.
    lower_factor: f64,
}

impl Checked {
    /// The gap relative to 1 + |v|, in the user's units or in those of the methods, whichever is larger.
    fn relative_gap(&self) -> f64 {
        let scale = self.lower_factor;
        let relative = |gap: f64, value: f64| gap / (1.0 + value.abs());
        self.check.as_ref().map_or(f64::INFINITY, |check| {
            relative(check.gap, check.value).max(relative(scale * check.gap, scale * check.value))
        })
    }

    fn converged(&self) -> bool {
        self.check.as_ref().is_some_and(|check| check.converged)
    }

    fn accepted(&self) -> bool {
        let refuted = matches!(self.proof, ProvedGap::Better(_));
        self.violation <= VIOLATION
            && self.converged()
            && self.relative_gap() <= GAP
            && !refuted
            && self.hidden.is_none()
    }
}

/// Chooses the answer of a run.
pub fn select(
    presolved: &Presolved<'_>,
    analysis: &Analysis,
    options: &Options,
    runs: &[Run],
    observer: &dyn Observer,
    failures: &Failures,
) -> Solution {
    let stop = stop::current().later(HASTE);
    stop::within(stop, || selected(presolved, analysis, options, runs, observer, failures))
}

/// How long the certificate may take of a run that was told to end.
pub const HASTE: Duration = Duration::from_secs(1);

fn selected(
    presolved: &Presolved<'_>,
    analysis: &Analysis,
    options: &Options,
    runs: &[Run],
    observer: &dyn Observer,
    failures: &Failures,
) -> Solution {
    let mut work = Work::default();
    for run in runs {
        work.lower_solves += run.lower_solves;
        work.upper_evaluations += run.upper_evaluations;
    }
    let chooser = Chooser::new(presolved, analysis, options, failures);
    let best = chooser.best(runs, &mut work);
    let Some(best) = best else {
        let mut solution = without_point(presolved.user, options, Status::Stuck, "no candidate could be evaluated");
        solution.work = work;
        return solution;
    };
    let mut solution = chooser.describe(&best, Some(&runs[best.run]), &mut work);
    if solution.status == Status::Feasible
        && !observer.interrupted()
        && let Some(better) = chooser.cleaner(&best, runs, &mut work)
    {
        solution = better;
    }
    if !solution.status.is_success()
        && !observer.interrupted()
        && let Some(message) = chooser.leader_falls_along_a_ray(&best, runs)
    {
        solution.status = Status::Unbounded;
        solution.message = message;
    }
    if solution.status == Status::Solved
        && let Some(infimum) = chooser.leader_levels_off(&best, runs)
    {
        solution.status = Status::NotAttained;
        solution.message = format!("the leader's objective still falls far beyond this x, towards {infimum:.7}");
        solution.infimum = Some(infimum);
    }
    observer.stage(&crate::observe::Stage {
        start: best.run,
        iteration: 0,
        step: "certificate",
        mu: 0.0,
        upper: solution.upper.unwrap_or(f64::NAN),
        gap: best.check.as_ref().map_or(f64::NAN, |check| check.gap),
        residual: solution.certificate.stationarity.as_ref().map_or(f64::NAN, |s| s.residual),
        lower_solves: work.lower_solves,
    });
    solution.work = work;
    solution
}

/// The certificate of a point from anywhere, as a solution without a history.
pub fn certify(
    presolved: &Presolved<'_>,
    analysis: &Analysis,
    options: &Options,
    (x, y): (&[f64], &[f64]),
    failures: &Failures,
) -> Solution {
    let mut work = Work::default();
    let chooser = Chooser::new(presolved, analysis, options, failures);
    let candidate = Candidate { x: x.to_vec(), y: y.to_vec(), residual: None, source: "given" };
    let mut checked = chooser.evaluated(candidate, 0);
    checked.check = chooser.search(x, y);
    chooser.hidden_by_flatness(&mut checked);
    work.lower_solves += checked.check.as_ref().map_or(0, |check| check.solves);
    let mut solution = chooser.describe(&checked, None, &mut work);
    if solution.certificate.verdict != Some(Verdict::Refuted)
        && let Some((variable, lower)) = chooser.follower_falls_along_an_axis(&checked)
    {
        // However small the gap: no point is an answer of such a follower.
        solution.certificate.verdict = Some(Verdict::Refuted);
        solution.certificate.witness = Some(chooser.better(&checked, &lower));
        solution.certificate.statements.push(no_best_answer(&variable));
    }
    solution.work = work;
    solution
}

/// Points are in the user's units, as is all that is said of them; solvers are asked in those of the methods.
struct Chooser<'a> {
    problem: &'a Problem,
    presolved: &'a Presolved<'a>,
    analysis: &'a Analysis,
    options: &'a Options,
    failures: &'a Failures,
    verifier: Verifier<'a>,
}

impl<'a> Chooser<'a> {
    fn new(presolved: &'a Presolved<'a>, analysis: &'a Analysis, options: &'a Options, failures: &'a Failures) -> Self {
        let problem = presolved.user;
        let verifier = Verifier::new(problem, presolved.way.lower(1.0), failures);
        Self { problem, presolved, analysis, options, failures, verifier }
    }
}

impl Chooser<'_> {
    /// The independent search for answers of the follower.
    fn search(&self, x: &[f64], y: &[f64]) -> Option<FollowerCheck> {
        let levels = &self.analysis.levels;
        let mu = if levels.exact_follower.is_some() { 0.0 } else { 1e-8 };
        let smoothing = Smoothing::new(self.options.smoothing, mu);
        let way = &self.presolved.way;
        let (inner_x, inner_y) = way.enter(x, y);
        let inner = self.presolved.problem.as_ref();
        let found = check_follower(inner, levels, &inner_x, &inner_y, smoothing, self.options.seed, self.failures)?;
        Some(way.leave_check(found, y))
    }

    /// The accepted candidate with the least F; without one, the one that comes nearest to being accepted.
    fn best(&self, runs: &[Run], work: &mut Work) -> Option<Checked> {
        let mut queue: Vec<Checked> = Vec::new();
        for (index, run) in runs.iter().enumerate() {
            for candidate in &run.candidates {
                let (x, y) = self.presolved.way.leave(&candidate.x, &candidate.y);
                queue.push(self.evaluated(Candidate { x, y, ..candidate.clone() }, index));
            }
        }
        queue.retain(|checked| checked.upper.is_finite() && !checked.violation.is_nan());
        let mut fallback: Option<Checked> = None;
        for _ in 0..CHECKS {
            let Some(next) = next(&queue) else { break };
            let mut checked = queue.swap_remove(next);
            let (x, y) = (&checked.candidate.x, &checked.candidate.y);
            checked.check = self.search(x, y);
            work.lower_solves += checked.check.as_ref().map_or(0, |check| check.solves);
            if let Some(other) = self.hidden_by_flatness(&mut checked) {
                queue.push(other);
            } else if checked.accepted() {
                checked.proof = self.verifier.prove_gap(&checked.candidate.x, &checked.candidate.y);
            }
            if checked.accepted() {
                return Some(checked);
            }
            queue.extend(self.corrected(&checked));
            let key = |c: &Checked| (c.violation.max(VIOLATION), !c.converged(), c.relative_gap());
            if fallback.as_ref().is_none_or(|known| key(&checked) < key(known)) {
                fallback = Some(checked);
            }
            if stop::asked() {
                break;
            }
        }
        fallback
    }

    /// Where f is so flat that the limit of the gap does not see a lower answer next to y, and F differs there: the same x
    /// with that answer.
    fn hidden_by_flatness(&self, checked: &mut Checked) -> Option<Checked> {
        let lower = checked.check.as_ref()?.lower_nearby.clone()?;
        let candidate = Candidate { y: lower, residual: None, source: "last digit", ..checked.candidate.clone() };
        let other = self.evaluated(candidate, checked.run);
        if (other.upper - checked.upper).abs() <= HIDDEN * (1.0 + checked.upper.abs()) {
            return None;
        }
        checked.hidden = Some(other.upper);
        (checked.candidate.source != "last digit").then_some(other)
    }

    /// A solved point whose F is that of `best` up to what violations within the tolerance are worth: such a violation makes
    /// F a little better, and the constraint seem inactive.
    fn cleaner(&self, best: &Checked, runs: &[Run], work: &mut Work) -> Option<Solution> {
        let limit = best.upper + AS_GOOD * (1.0 + best.upper.abs());
        let all = runs.iter().enumerate().flat_map(|(index, run)| run.candidates.iter().map(move |c| (index, c)));
        let evaluated = all.map(|(index, candidate)| {
            let (x, y) = self.presolved.way.leave(&candidate.x, &candidate.y);
            self.evaluated(Candidate { x, y, ..candidate.clone() }, index)
        });
        let mut others: Vec<Checked> =
            evaluated.filter(|c| c.upper <= limit && c.violation < best.violation.max(f64::EPSILON)).collect();
        others.sort_by(|a, b| a.violation.total_cmp(&b.violation));
        others.into_iter().take(CLEANER).find_map(|mut other| {
            other.check = self.search(&other.candidate.x, &other.candidate.y);
            self.hidden_by_flatness(&mut other);
            work.lower_solves += other.check.as_ref().map_or(0, |check| check.solves);
            let solution = other.accepted().then(|| self.describe(&other, Some(&runs[other.run]), work))?;
            (solution.status == Status::Solved).then_some(solution)
        })
    }

    fn evaluated(&self, candidate: Candidate, run: usize) -> Checked {
        let upper = self.value(self.problem.leader(), &candidate.x, &candidate.y);
        let mut violation = violation(self.problem, &candidate.x, &candidate.y, self.failures);
        let way = &self.presolved.way;
        if !way.is_identity() {
            // Where the user's units make a tolerance loose, that of the methods counts.
            let (x, y) = way.enter(&candidate.x, &candidate.y);
            violation = violation.max(self::violation(&self.presolved.problem, &x, &y, self.failures));
        }
        let lower_factor = way.enter_lower(1.0);
        let (check, proof, hidden) = (None, ProvedGap::Unknown, None);
        Checked { candidate, run, upper, violation, check, proof, hidden, lower_factor }
    }

    /// The check or the proof found a better answer of the follower: with it, the same x is a candidate again.
    fn corrected(&self, checked: &Checked) -> Option<Checked> {
        let (y, source) = match (&checked.proof, checked.check.as_ref()) {
            (ProvedGap::Better(y), _) if checked.candidate.source != "proof" => (y.clone(), "proof"),
            (_, Some(check)) if !check.unbounded && checked.relative_gap() > GAP => (check.y.clone(), "check"),
            _ => return None,
        };
        if checked.candidate.source == source {
            return None;
        }
        let candidate = Candidate {
            x: checked.candidate.x.clone(),
            y: self.settled(&checked.candidate.x, &y),
            residual: None,
            source,
        };
        let corrected = self.evaluated(candidate, checked.run);
        corrected.upper.is_finite().then_some(corrected)
    }

    /// The local minimiser of the follower next to y.
    fn settled(&self, x: &[f64], y: &[f64]) -> Vec<f64> {
        let (_, follower, smoothing) = self.analysis.levels.exact(self.options.smoothing);
        let mut solver = LowerSolver::new(follower, self.failures, &Meter::unlimited());
        let (inner_x, inner_y) = self.presolved.way.enter(x, y);
        let found = solver.solve(&inner_x, &inner_y, smoothing, &Regulariser::default());
        match found.status {
            LowerStatus::Solved => self.presolved.way.leave(&inner_x, &found.y[..y.len()]).1,
            _ => y.to_vec(),
        }
    }

    fn value(&self, side: &Side, x: &[f64], y: &[f64]) -> f64 {
        let (n, m) = (self.problem.n(), self.problem.m());
        FunctionEvaluator::new(&side.objective, n, m, self.failures).value(At { x, y, smoothing: Smoothing::EXACT })
    }

    fn final_smoothing(&self) -> Smoothing<'_> {
        self.analysis.levels.exact(self.options.smoothing).2
    }

    fn describe(&self, best: &Checked, run: Option<&Run>, work: &mut Work) -> Solution {
        let problem = self.problem;
        let (x, y) = (&best.candidate.x, &best.candidate.y);
        let (certificate, multipliers) = self.certificate(best, run, work);
        let (status, message) = self.status(best, &certificate);
        let mut solution = without_point(problem, self.options, status, message);
        solution.x = Some(NamedValues::new(&problem.leader().blocks, x));
        solution.y = Some(NamedValues::new(&problem.follower().blocks, y));
        solution.upper = Some(problem.leader().sense.apply(best.upper));
        solution.lower = Some(problem.follower().sense.apply(self.value(problem.follower(), x, y)));
        solution.multipliers = multipliers;
        solution.certificate = certificate;
        solution
    }
}

/// The most promising candidate left: feasible ones first, polished or exact answers before smoothed points, then by F.
fn next(queue: &[Checked]) -> Option<usize> {
    let key = |c: &Checked| (c.violation > VIOLATION, c.candidate.source == "smoothed", c.upper);
    (0..queue.len()).min_by(|&a, &b| key(&queue[a]).partial_cmp(&key(&queue[b])).unwrap_or(std::cmp::Ordering::Equal))
}
