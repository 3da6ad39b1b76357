//! A look over the whole region once local runs have ended: some boxes of the branch and bound of [`crate::proof::global`].
//!
//! Local runs that agree may all have missed a better basin; a few hundred boxes of a small problem often show a
//! bilevel-feasible point in it, which a run from there finishes, or that there is none. What is found is a point like any
//! other, and is certified like one; no bound is claimed.

use super::portfolio::{self, Start};
use super::presolve::Presolved;
use super::{Analysis, Options, models};
use crate::lower::{LowerSolver, LowerStatus, Meter, Regulariser};
use crate::observe::Observer;
use crate::problem::{At, Failures, FunctionEvaluator, NamedValues, Problem, Side};
use crate::proof::global::{GlobalSearch, GlobalSettings};
use crate::proof::problem::Formulas;
use crate::smooth::{Chks, Smoothing};
use crate::solution::{Solution, Status};
use crate::upper::{Run, Schedule};

/// Variables of both levels up to which boxes are looked at: the number of boxes that a bound needs grows fast with them.
pub const VARIABLES: usize = 8;
/// Scalar operations of a formula, at most.
const OPERATIONS: usize = 2_000;
/// The relative gap at which nothing better is left to be found.
const GAP: f64 = 1e-4;
/// The follower's gap of points looked for, relative to 1 + |f|. The proof of a small one takes more; a larger one may be all
/// that makes a point better.
pub const FOLLOWER_GAPS: [f64; 2] = [1e-8, 1e-10];
/// A point counts as better if F is by this, relative to 1 + |F|.
const BETTER: f64 = 1e-5;
/// The last decimal of a short number.
const SHORT: f64 = 1e-3;
/// Differences of f, relative to 1 + |f|, that rounding explains.
const ROUNDING: f64 = 1e-14;

/// What is known before and after a look.
pub struct Region<'a> {
    problem: &'a Problem,
    presolved: &'a Presolved<'a>,
    analysis: &'a Analysis,
    formulas: Formulas,
}

/// How a look ended.
pub enum Sight {
    /// A bilevel-feasible point that is better, in the units of the methods.
    Better(Vec<f64>, Vec<f64>),
    /// There is no better point.
    Nothing,
    /// The boxes did not decide.
    Open,
}

impl<'a> Region<'a> {
    /// The region of a small problem of formulas.
    pub fn of(presolved: &'a Presolved<'a>, analysis: &'a Analysis) -> Option<Self> {
        let problem = presolved.problem.as_ref();
        // Objectives in parts have their own exact answers, and kinks at which boxes are slow to close.
        let in_parts = analysis.levels.follower.composite.is_some() || analysis.levels.follower.branches.is_some();
        if problem.n() == 0 || problem.n() + problem.m() > VARIABLES || in_parts {
            return None;
        }
        let formulas = Formulas::within(problem, OPERATIONS).ok()?;
        Some(Self { problem, presolved, analysis, formulas })
    }

    /// Begins to look for points that are better than `solution`.
    pub fn search(&self, solution: &Solution, follower_gap: f64, failures: &Failures) -> Option<GlobalSearch<'_>> {
        let assumed_upper = self.value(solution, failures);
        let settings = GlobalSettings { gap: GAP, follower_gap, assumed_upper, ..GlobalSettings::default() };
        let points: Vec<_> = self.point(solution).into_iter().collect();
        self.formulas.global_search(&points, &settings).ok()
    }

    /// Looks at `boxes` more boxes.
    pub fn look(&self, search: &mut GlobalSearch<'_>, best: f64, boxes: usize, observer: &dyn Observer) -> Sight {
        let finished = search.advance(boxes, &|| observer.interrupted());
        if let Some(found) = search.incumbent().filter(|found| Self::is_worse(best, found.value.hi())) {
            return Sight::Better(found.x.clone(), found.y.clone());
        }
        if finished && best.is_finite() && search.proof().artificial.is_empty() { Sight::Nothing } else { Sight::Open }
    }

    /// Whether a value of F is clearly worse than another.
    pub fn is_worse(value: f64, than: f64) -> bool {
        value > than + BETTER * (1.0 + than.abs())
    }

    /// A point that was found, with the minimiser that its y leads to where that is better for the follower: flat objectives
    /// let y be far from S(x) within any gap. A y that is as good stays, since S(x) may be large.
    pub fn settled(&self, (x, y): (Vec<f64>, Vec<f64>), failures: &Failures) -> (Vec<f64>, Vec<f64>) {
        let (_, follower, smoothing) = self.analysis.levels.exact(&Chks);
        let mut solver = LowerSolver::new(follower, failures, &Meter::unlimited());
        let found = solver.solve(&x, &follower.extend(&x, &y), smoothing, &Regulariser::default());
        if found.status != LowerStatus::Solved {
            return (x, y);
        }
        let minimiser = found.y[..y.len()].to_vec();
        let side = self.problem.follower();
        let (own, other) = (self.at(side, &x, &y, failures), self.at(side, &x, &minimiser, failures));
        if other < own - ROUNDING * (1.0 + own.abs()) { (x, minimiser) } else { (x, y) }
    }

    /// F at a solution, infinite where it is no bilevel-feasible point.
    pub fn value(&self, solution: &Solution, failures: &Failures) -> f64 {
        let held = matches!(solution.status, Status::Solved | Status::Feasible);
        let value = self.point(solution).filter(|_| held).map(|(x, y)| self.upper(&x, &y, failures));
        value.filter(|value| value.is_finite()).unwrap_or(f64::INFINITY)
    }

    /// F in the units of the methods.
    pub fn upper(&self, x: &[f64], y: &[f64], failures: &Failures) -> f64 {
        self.at(self.problem.leader(), x, y, failures)
    }

    fn at(&self, side: &Side, x: &[f64], y: &[f64], failures: &Failures) -> f64 {
        let mut objective = FunctionEvaluator::new(&side.objective, self.problem.n(), self.problem.m(), failures);
        objective.value(At { x, y, smoothing: Smoothing::EXACT })
    }

    /// The point of a solution in the units of the methods.
    pub fn point(&self, solution: &Solution) -> Option<(Vec<f64>, Vec<f64>)> {
        let flat = |values: &NamedValues| values.0.iter().flat_map(|(_, v)| v.iter().copied()).collect::<Vec<f64>>();
        Some(self.presolved.way.enter(&flat(solution.x.as_ref()?), &flat(solution.y.as_ref()?)))
    }
}

/// x with few decimals: where S(x) is larger than elsewhere at one x alone, that is often a short number, and points within
/// the gap are only next to it.
pub fn rounded(x: &[f64]) -> Vec<f64> {
    x.iter().map(|v| (v / SHORT).round() * SHORT).collect()
}

/// What a local run makes of a point that was found.
pub fn run_from(
    problem: &Problem,
    (analysis, options): (&Analysis, &Options),
    (x, y): (Vec<f64>, Vec<f64>),
    (number, budget): (usize, u64),
    observer: &dyn Observer,
    failures: &Failures,
) -> Run {
    let (schedule, value_model) = (Schedule::direct(problem.n() + problem.m()), models::default_kind(analysis));
    let start = Start { x, y, schedule, value_model, seed: options.seed, screened: false };
    portfolio::run(problem, analysis, options, (number, &start), budget, observer, failures)
}
