//! The rounds of starts of the value-function methods: a first one, a look over the whole region where the problem is small,
//! and a second one where doubt is left.

use super::overlook::{self, Region, Sight};
use super::pieces::Searched;
use super::portfolio::{self, Round, Start};
use super::presolve::{InUserUnits, Presolved};
use super::{Analysis, Options, Watch, finish_status, select};
use crate::evaluate;
use crate::lower::Meter;
use crate::observe::Observer;
use crate::problem::Failures;
use crate::solution::{Solution, Status};
use crate::upper::{Candidate, Run};

/// The second round may use so many times the lower solves of the first, or of this many if it was quick.
const TWICE: u64 = 2;
const LEAST: u64 = 2_000;

/// Boxes of a look over the whole region, and where the runs leave doubt; better points gone on from, at most.
const BOXES: usize = 200;
const MORE_BOXES: usize = 1_000;
const LOOKS: usize = 4;

/// The rounds of starts over one problem.
pub(super) struct Rounds<'a> {
    pub presolved: &'a Presolved<'a>,
    pub analysis: &'a Analysis,
    pub options: &'a Options,
    pub watch: &'a Watch<'a>,
    pub failures: &'a Failures,
    pub pieces: &'a Searched,
}

impl Rounds<'_> {
    /// The best point of the search over pieces, the first round and, where that leaves doubt, the second one; and whether
    /// no piece has a point.
    pub fn solution(&self) -> Result<(Solution, bool), String> {
        let Self { presolved, analysis, options, watch, failures, pieces } = *self;
        let (mut runs, mut screened) = (Vec::new(), 0);
        let count = if pieces.complete { 1 } else { options.starts.max(1) };
        let limit = options.budget.saturating_sub(pieces.lower_solves());
        screened += self.round(Round::First(count), limit, &mut runs)?;
        runs.extend(pieces.pieces.iter().filter(|run| !run.candidates.is_empty()).cloned());
        let mut solution = self.select(&runs, screened);
        if pieces.empty && solution.status == Status::Stuck {
            return Ok((solution, true));
        }
        if pieces.falls() && failures.first().is_none() && !watch.interrupted() {
            solution.status = Status::Unbounded;
            let text = "the leader's objective falls without end on a piece of the follower's optimality conditions";
            solution.message = format!("{text}; the point shown is the best that was found");
            return Ok((solution, false));
        }
        let again = || options.starts > 1 && !pieces.complete && !watch.interrupted() && failures.first().is_none();
        let doubtful = again() && portfolio::doubtful(presolved, analysis, &solution, &runs);
        let affordable = solution.work.lower_solves < options.budget;
        if again() && affordable && self.overlook(doubtful, screened, &mut runs, &mut solution) {
            return Ok((solution, false));
        }
        let used = solution.work.lower_solves;
        let left = options.budget.saturating_sub(used).min(TWICE * used.max(LEAST));
        if doubtful && left > 0 && again() {
            screened += self.round(Round::Second(options.starts), left, &mut runs)?;
            solution = self.select(&runs, screened);
        }
        Ok((solution, false))
    }

    /// Looks over the whole region for better points, and goes on from those; whether it comes to an end with a solution.
    fn overlook(&self, doubtful: bool, screened: u64, runs: &mut Vec<Run>, solution: &mut Solution) -> bool {
        let Self { presolved, analysis, options, watch, failures, .. } = *self;
        if options.method.is_some() || options.global {
            return false;
        }
        let Some(region) = Region::of(presolved, analysis) else { return false };
        let boxes = if doubtful { MORE_BOXES } else { BOXES };
        for follower_gap in overlook::FOLLOWER_GAPS {
            let Some(mut search) = region.search(solution, follower_gap, failures) else { return false };
            for _ in 0..LOOKS {
                let found = match region.look(&mut search, region.value(solution, failures), boxes, watch) {
                    Sight::Nothing => return solution.status == Status::Solved,
                    Sight::Open => return false,
                    Sight::Better(x, y) => (x, y),
                };
                if !self.go_on_from(&region, found, screened, runs, solution) {
                    // Better within the gap alone, it seems: with a smaller one, what is better is.
                    break;
                }
                if let Some((x, y)) = region.point(solution) {
                    search.offer(&x, &y);
                }
            }
        }
        false
    }

    /// Goes on from a better point; whether the solution is better then.
    fn go_on_from(
        &self,
        region: &Region<'_>,
        (x, y): (Vec<f64>, Vec<f64>),
        screened: u64,
        runs: &mut Vec<Run>,
        solution: &mut Solution,
    ) -> bool {
        let Self { presolved, analysis, options, watch, failures, .. } = *self;
        let observer = InUserUnits { observer: watch, way: &presolved.way };
        let (parts, work) = ((analysis, options), (runs.len(), options.budget / 20));
        let (problem, before) = (presolved.problem.as_ref(), region.value(solution, failures));
        let mut run = overlook::run_from(problem, parts, (x.clone(), y.clone()), work, &observer, failures);
        run.over_budget = false;
        runs.push(run);
        *solution = self.select(runs, screened);
        // Where the run makes nothing of it, the point itself counts, and the one that it is next to.
        for point in [(x.clone(), y.clone()), (overlook::rounded(&x), y)] {
            let (x, y) = region.settled(point, failures);
            let better = Region::is_worse(region.value(solution, failures), region.upper(&x, &y, failures));
            if let Some(run) = runs.last_mut().filter(|_| better) {
                run.candidates.push(Candidate { x, y, residual: None, source: "answer" });
                *solution = self.select(runs, screened);
            }
        }
        Region::is_worse(before, region.value(solution, failures))
    }

    /// Runs the starts of a round, within `limit` lower solves; returns those of the screening.
    fn round(&self, round: Round, limit: u64, runs: &mut Vec<Run>) -> Result<u64, String> {
        let Self { presolved, analysis, options, watch, failures, .. } = *self;
        let problem = presolved.problem.as_ref();
        let observer = InUserUnits { observer: watch, way: &presolved.way };
        let screening = Meter::new(limit / 4);
        let starts = portfolio::starts(problem, analysis, options, round, &screening, failures);
        if runs.is_empty() {
            portfolio::check_start(problem, &starts, failures)?;
        }
        let budget = limit.saturating_sub(screening.used()) / starts.len().max(1) as u64;
        let first = runs.len();
        let run = |(number, start): (usize, &Start)| {
            portfolio::run(problem, analysis, options, (first + number, start), budget, &observer, failures)
        };
        runs.extend(evaluate::in_order(options.threads, starts.iter().enumerate().collect(), run));
        Ok(screening.used())
    }

    fn select(&self, runs: &[Run], screened: u64) -> Solution {
        let Self { presolved, analysis, options, watch, failures, .. } = *self;
        let mut solution = select::select(presolved, analysis, options, runs, watch, failures);
        solution.work.lower_solves += screened;
        finish_status(&mut solution, options, runs, watch, failures);
        solution
    }
}
