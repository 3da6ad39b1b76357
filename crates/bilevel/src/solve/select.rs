//! From candidates to an answer: the best one that an independent check of the follower accepts, with its certificate.

mod rays;

use bilevel_linalg::stop;
use std::time::Duration;

use super::presolve::{IN_OTHER_UNITS, Presolved};
use super::{Analysis, Options, models, without_point};
use crate::certificate::{
    Degeneracy, FollowerCheck, PointInUnits, ProvedGap, Verifier, check_follower, check_kkt, follower_violation,
    jointly_feasible, multipliers, variable, violation,
};
use crate::lower::{LowerSolver, LowerStatus, Meter, Pool, PoolSettings, Regulariser};
use crate::observe::Observer;
use crate::problem::{At, Attitude, Failures, FunctionEvaluator, NamedValues, Place, Problem, Side};
use crate::smooth::Smoothing;
use crate::solution::{Certificate, Multipliers, Rigor, Solution, Stationarity, Status, Verdict, Witness, Work};
use crate::upper::{Candidate, Run, branch_residual, optimality_residual, reduced_residual, reducible};
use crate::value::ValueKind;

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

    fn status(&self, best: &Checked, certificate: &Certificate) -> (Status, String) {
        let gap = best.relative_gap();
        if best.check.as_ref().is_some_and(|check| check.unbounded) {
            let message = "the follower's objective decreases without bound at this x";
            return (Status::FollowerUnbounded, message.to_string());
        }
        if best.violation > VIOLATION {
            return self.violated(best);
        }
        if gap.is_infinite() {
            return (Status::Stuck, "the independent solve found no feasible answer of the follower here".to_string());
        }
        if !best.converged() {
            let message = "the independent solve of the follower did not converge: nothing confirms its answer";
            return (Status::Stuck, message.to_string());
        }
        if gap > 1e-4 {
            return (Status::Stuck, format!("the follower has a better answer than this y: relative gap {gap:.1e}"));
        }
        if gap > GAP {
            return (Status::Relaxed, format!("the follower gap is {gap:.1e} (relative), above {GAP:.0e}"));
        }
        let basis = match (&certificate.follower_gap, self.analysis.levels.convex) {
            (Some(gap), _) if gap.rigor == Rigor::Proved => "the follower's optimality is proved",
            (_, true) => "the follower is convex in y by structure",
            (Some(gap), false) if matches!(gap.rigor, Rigor::Conditional(_)) => {
                "the follower's optimality is proved in a box"
            }
            _ => "the follower's optimality rests on a multistart",
        };
        if let Some(upper) = best.hidden {
            let upper = self.problem.leader().sense.apply(upper);
            let text = "the follower's objective is so flat here that a better answer is within the limit of the gap";
            return (Status::Relaxed, format!("{text}: with it F = {upper:.7}; {basis}"));
        }
        if let Some((variable, _)) = self.follower_falls_along_an_axis(best) {
            return (Status::FollowerUnbounded, no_best_answer(&variable));
        }
        match &certificate.stationarity {
            _ if certificate.verdict == Some(Verdict::Refuted) => {
                let reason = certificate.statements.last().cloned().unwrap_or_default();
                (Status::Stuck, reason)
            }
            Some(s) if s.residual <= self.options.tolerance => {
                if let Some(better) = self.better_answer(best, certificate) {
                    let text = "stationary, but among the answers that are as good for the follower one is better for the leader";
                    return (Status::Feasible, format!("{text}: F = {better:.7}; {basis}"));
                }
                (Status::Solved, format!("feasible, follower optimal, stationary; {basis}"))
            }
            Some(s) => (Status::Feasible, format!("stationarity residual {:.1e}; {basis}", s.residual)),
            None => (Status::Feasible, format!("no stationarity residual could be computed; {basis}")),
        }
    }

    /// The follower's variable, if there is one, along which f is smaller at points far beyond y and never rises, with the
    /// first of them: an infimum that no answer attains, within the tolerances of a gap.
    fn follower_falls_along_an_axis(&self, best: &Checked) -> Option<(String, Vec<f64>)> {
        let (x, y) = (&best.candidate.x, &best.candidate.y);
        let here = self.value(self.problem.follower(), x, y);
        let ranges = self.analysis.bounds.follower();
        for (j, range) in ranges.iter().enumerate() {
            for (sign, end) in [(1.0, range.upper()), (-1.0, range.lower())] {
                let mut last = here;
                let falling = end.is_infinite()
                    && [1.0, 10.0, 100.0].iter().all(|step| {
                        let mut far = y.clone();
                        far[j] += sign * step * (1.0 + y[j].abs());
                        let value = self.value(self.problem.follower(), x, &far);
                        let falls = if last == here { value < last } else { value <= last };
                        last = value;
                        falls && follower_violation(self.problem, x, &far, self.failures) <= VIOLATION
                    });
                if falling {
                    let mut lower = y.clone();
                    lower[j] += sign * (1.0 + y[j].abs());
                    return Some((variable(&self.problem.follower().blocks, j), lower));
                }
            }
        }
        None
    }

    /// A feasible y with a lower value of f, as a witness.
    fn better(&self, than: &Checked, y: &[f64]) -> Witness {
        let (follower, x) = (self.problem.follower(), &than.candidate.x);
        let (own, lower) = (self.value(follower, x, &than.candidate.y), self.value(follower, x, y));
        Witness::Better {
            y: NamedValues::new(&follower.blocks, y),
            lower: follower.sense.apply(lower),
            by: own - lower,
            feasible: "feasible".to_string(),
            rigor: Rigor::Estimated,
        }
    }

    /// F at another answer of the follower, in the user's sense, where the bounds of phi show one that is clearly better
    /// for an optimistic leader than y: a stationary y need not be the best of S(x).
    fn better_answer(&self, best: &Checked, certificate: &Certificate) -> Option<f64> {
        let phi = certificate.phi.as_ref().filter(|_| self.options.attitude == Attitude::Optimistic)?;
        // An end that holds only for answers much worse than the best says nothing.
        let size = 1.0 + best.check.as_ref().map_or(0.0, |check| check.value.abs());
        if phi.eta + phi.eta_error > TIE * size {
            return None;
        }
        let sense = self.problem.leader().sense;
        let ends = [phi.optimistic.lower, phi.optimistic.upper].map(|end| sense.apply(end));
        let attained = ends[0].max(ends[1]);
        (attained < best.upper - BETTER * (1.0 + best.upper.abs())).then(|| sense.apply(attained))
    }

    /// Violations remain: is there any point that satisfies the constraints of both levels?
    fn violated(&self, best: &Checked) -> (Status, String) {
        let remaining = format!("constraints are violated by {:.1e} (relative)", best.violation);
        let (x, y) = self.presolved.way.enter(&best.candidate.x, &best.candidate.y);
        if jointly_feasible(&self.analysis.levels, (&x, &y), self.failures) {
            (Status::Stuck, remaining)
        } else {
            let text = "no point satisfies the constraints of both levels, the follower's optimality left aside";
            (Status::Infeasible, format!("{text}: a search from several points ended at violations; {remaining}"))
        }
    }

    /// Constraint qualifications of the follower that fail at y, in words; looked at where it has an exact smooth form.
    fn degeneracies(&self, x: &[f64], y: &[f64]) -> Vec<String> {
        let levels = &self.analysis.levels;
        let follower = levels.exact_follower.as_ref().filter(|follower| !follower.is_lifted());
        let (x, y) = self.presolved.way.enter(x, y);
        let found = follower.and_then(|follower| Degeneracy::of(follower, &x, &y, self.failures));
        found.map_or_else(Vec::new, |degeneracy| degeneracy.statements(levels.convex))
    }

    fn certificate(&self, best: &Checked, run: Option<&Run>, work: &mut Work) -> (Certificate, Multipliers) {
        let (x, y) = (&best.candidate.x, &best.candidate.y);
        let mut certificate = self.verifier.certificate(x, y, self.options.attitude, best.check.as_ref());
        if certificate.witness.is_none() {
            certificate.statements.extend(self.degeneracies(x, y));
        }
        if let Some(run) = run {
            let way = &self.presolved.way;
            certificate.multipliers_by_stage =
                run.multipliers.iter().map(|&(epsilon, lambda)| way.stage(epsilon, lambda)).collect();
            certificate.kkt = self.kkt(run, work).map(|kkt| way.leave_kkt(kkt, self.problem));
        }
        let (mut stationarity, solved) = self.stationarity(best, work);
        if let Some(stationarity) = stationarity.as_mut().filter(|_| !self.presolved.way.is_identity()) {
            stationarity.measure.push_str(IN_OTHER_UNITS);
        }
        certificate.stationarity = stationarity;
        (certificate, self.fitted(best, solved))
    }

    /// The multipliers of both levels; `solved` are the follower's where it has an exact form that shows more than its own
    /// formulas do.
    fn fitted(&self, best: &Checked, solved: Multipliers) -> Multipliers {
        if best.violation > VIOLATION {
            return Multipliers::default();
        }
        let (problem, way) = (self.problem, &self.presolved.way);
        let units = way.units(problem.n(), problem.m());
        let (x, y) = (&best.candidate.x, &best.candidate.y);
        let point = PointInUnits { x, y, units: (&units.0, &units.1) };
        let mut found = multipliers(problem, point, self.options.attitude, self.failures);
        let same = matches!(self.presolved.problem, std::borrow::Cow::Borrowed(_));
        if found.follower.0.is_empty() && !solved.follower.0.is_empty() && same {
            found = solved;
        }
        found
    }

    fn kkt(&self, run: &Run, work: &mut Work) -> Option<crate::solution::KktPoint> {
        let point = run.smoothed.as_ref()?;
        let seed = models::Seed { x: &point.x, y: &point.y, seed: self.options.seed.wrapping_add(FRESH) };
        let kind = ValueKind::by_name(point.value_model)?;
        let levels = &self.analysis.levels;
        let meter = Meter::unlimited();
        let model =
            models::value_model(kind, &levels.follower, self.analysis, self.options, seed, self.failures, &meter);
        let point = check_kkt(&self.presolved.problem, levels, point, model, self.options.smoothing, self.failures);
        work.lower_solves += meter.used();
        point
    }

    /// The residual of the combined optimality system at the answer, with multipliers from a fresh lower solve.
    fn stationarity(&self, best: &Checked, work: &mut Work) -> (Option<Stationarity>, Multipliers) {
        let levels = &self.analysis.levels;
        let (x, y) = &self.presolved.way.enter(&best.candidate.x, &best.candidate.y);
        if let Some(found) = levels.quadratic.as_ref().and_then(|quadratic| quadratic.strong_stationarity(x, y))
            && (found.residual <= self.options.tolerance || x.len() + y.len() > LARGEST_SYSTEM / 5)
        {
            work.lower_solves += 1;
            let (bounds, rows, constraints) = (found.bounds, found.rows, Vec::new());
            let measure = "strong stationarity of both levels' optimality system".to_string();
            let stationarity =
                Stationarity { residual: found.residual, radius: None, measure, rigor: Rigor::Estimated };
            return (Some(stationarity), self.multipliers(&crate::nlp::Multipliers { bounds, rows, constraints }));
        }
        let (leader, follower, _) = levels.exact(self.options.smoothing);
        let set = &self.presolved.problem.leader().set;
        let (residual, measure) = if follower.branches.is_some() {
            (branch_residual(leader, follower, x, y, self.failures), "strong stationarity on the answer's branch")
        } else if reducible(leader, follower) {
            let residual = reduced_residual(set, leader, follower, (x, y), self.failures);
            (residual, "generators of the subdifferential of F(x, y(x)) on the answer's manifold")
        } else {
            (None, "")
        };
        let only = levels.exact_follower.is_none();
        if let Some(residual) = residual.filter(|residual| *residual <= self.options.tolerance || only) {
            let (measure, rigor) = (measure.to_string(), Rigor::Estimated);
            return (Some(Stationarity { residual, radius: None, measure, rigor }), Multipliers::default());
        }
        let (leader, follower, smoothing) = levels.multiplied(self.options.smoothing);
        if follower.size() > if stop::hurried() { HASTY_SYSTEM } else { LARGEST_SYSTEM } {
            return (None, Multipliers::default());
        }
        let meter = Meter::unlimited();
        let mut solver = LowerSolver::new(follower, self.failures, &meter);
        let full = follower.extend(x, y);
        let answer = solver.solve(x, &full, smoothing, &Regulariser::default());
        let ties = if levels.convex { Vec::new() } else { self.ties(&mut solver, x, answer.value) };
        work.lower_solves += meter.used();
        if answer.status != LowerStatus::Solved {
            return (None, Multipliers::default());
        }
        let point = (x.as_slice(), full.as_slice(), &answer.multipliers);
        let fresh = optimality_residual(leader, follower, point, &ties, smoothing, self.failures);
        let polished = best.candidate.residual;
        let finished = match best.candidate.source {
            "implicit" => "strong stationarity where the finishing step ended",
            "pieces" => "the least point of all pieces of the follower's optimality conditions",
            _ => "relaxed kkt of the polish",
        };
        let residual = match (fresh, polished) {
            (Some(fresh), Some(polished)) if polished < fresh => Some((polished, finished)),
            (Some(fresh), _) if leader.smooth => Some((fresh, "strong stationarity of the combined system")),
            (Some(fresh), _) => Some((fresh, "strong stationarity, gradients of F within 1e-6 of the point")),
            (None, Some(polished)) => Some((polished, finished)),
            (None, None) => None,
        };
        let stationarity = residual.map(|(residual, measure)| Stationarity {
            residual,
            radius: None,
            measure: measure.to_string(),
            rigor: Rigor::Estimated,
        });
        (stationarity, self.multipliers(&answer.multipliers))
    }

    /// Gradients in x of f(x, y_j) at the local minimisers y_j that tie with the best.
    fn ties<'s>(&'s self, solver: &mut LowerSolver<'s>, x: &[f64], value: f64) -> Vec<Vec<f64>> {
        let mut pool = Pool::new(PoolSettings::default(), self.options.seed.wrapping_add(FRESH), &[]);
        let found = pool.minimise(solver, x, self.final_smoothing()).unwrap_or_default();
        let near = 1e-6 * (1.0 + value.abs());
        let gradient = |solution| {
            let mut out = vec![0.0; x.len()];
            solver.value_gradient(solution, &mut out);
            out
        };
        found.iter().filter(|solution| solution.value <= value + near).map(gradient).collect()
    }

    /// The follower's multipliers by constraint.
    fn multipliers(&self, found: &crate::nlp::Multipliers) -> Multipliers {
        let side = self.problem.follower();
        let (_, follower, _) = self.analysis.levels.multiplied(self.options.smoothing);
        if follower.is_lifted() {
            return Multipliers::default();
        }
        let named = side.constraints.iter().zip(&follower.system.places).map(|(constraint, place)| {
            let values = match place {
                Place::Rows(range) => found.rows[range.clone()].to_vec(),
                Place::Components(range) => found.constraints[range.clone()].to_vec(),
            };
            (constraint.label.clone(), values.iter().map(|u| side.sense.apply(-u)).collect())
        });
        Multipliers { follower: NamedValues(named.collect()), ..Multipliers::default() }
    }
}

fn no_best_answer(variable: &str) -> String {
    format!("the follower has no best answer: its objective keeps falling as {variable} goes to infinity")
}

/// Followers with more variables are too large for the dense optimality system.
const LARGEST_SYSTEM: usize = 1500;
/// The same, for a run that was told to end.
const HASTY_SYSTEM: usize = 200;
/// Offset of seeds, so that a check never repeats the random numbers of what it checks.
const FRESH: u64 = 1 << 32;

/// The most promising candidate left: feasible ones first, polished or exact answers before smoothed points, then by F.
fn next(queue: &[Checked]) -> Option<usize> {
    let key = |c: &Checked| (c.violation > VIOLATION, c.candidate.source == "smoothed", c.upper);
    (0..queue.len()).min_by(|&a, &b| key(&queue[a]).partial_cmp(&key(&queue[b])).unwrap_or(std::cmp::Ordering::Equal))
}
