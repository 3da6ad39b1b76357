//! Local solves of the follower's problem, by the interior-point method, with warm starts and counted work.

use super::composite::CompositeAt;
use super::stiff::StiffAndSoft;
use super::{Follower, FollowerProgram, Meter, Regulariser, accelerated, newton, proximal};
use crate::nlp::{self, Multipliers, interior_point};
use crate::problem::Failures;
use crate::set::Set;
use crate::smooth::Smoothing;

/// How a lower solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LowerStatus {
    /// A minimiser (global if the follower is convex, else local).
    Solved,
    /// No feasible answer was found: none exists if the follower is convex.
    Infeasible,
    /// The follower's objective decreases without bound.
    Unbounded,
    /// NaN, or no progress.
    Numerical,
    /// The follower was solved, but what was asked about its value could not be computed accurately enough.
    Unreliable,
}

/// A local minimiser of the follower's problem at a fixed x.
#[derive(Clone, Debug)]
pub struct LowerSolution {
    /// How the solve ended.
    pub status: LowerStatus,
    /// ỹ: the follower's y, then auxiliary variables.
    pub y: Vec<f64>,
    /// f(x, ỹ) at the smoothing used, without the regulariser.
    pub plain: f64,
    /// The minimised value, regulariser included.
    pub value: f64,
    /// Multipliers of bounds, rows and constraints (convention of [`nlp`]).
    pub multipliers: Multipliers,
    /// The scaled optimality residual.
    pub residual: f64,
}

/// Solves one follower's problem for many x.
pub struct LowerSolver<'a> {
    program: FollowerProgram<'a>,
    composite: Option<CompositeAt<'a>>,
    settings: interior_point::Settings,
    meter: Meter,
}

impl<'a> LowerSolver<'a> {
    /// A solver for `follower`; a failing user's function is recorded in `failures`, every solve
    /// counted by `meter`.
    pub fn new(follower: &'a Follower, failures: &Failures, meter: &Meter) -> Self {
        let settings = interior_point::Settings::default();
        let composite = follower.composite.as_deref().map(CompositeAt::new);
        Self { program: FollowerProgram::new(follower, failures), composite, settings, meter: meter.clone() }
    }

    /// The follower.
    pub fn follower(&self) -> &'a Follower {
        self.program.follower()
    }

    /// Minimises over ỹ at `x`, from `start` (y or ỹ; missing auxiliary entries are filled in).
    pub fn solve(
        &mut self,
        x: &[f64],
        start: &[f64],
        smoothing: Smoothing<'a>,
        regulariser: &Regulariser,
    ) -> LowerSolution {
        self.meter.count();
        self.program.fix(x, smoothing, regulariser);
        let follower = self.follower();
        if smoothing.mu() == 0.0 && regulariser.weight == 0.0 && self.composite.is_some() {
            return self.proximal(x, start);
        }
        if let Some(found) = self.smoothed(x, start, smoothing) {
            return found;
        }
        if let (Some(set), true) = (&follower.set_alone, follower.m > LARGE) {
            return self.accelerated(set, start);
        }
        let start = follower.extend(x, start);
        let found = interior_point::solve(&mut self.program, &start, &self.settings);
        let status = match found.status {
            nlp::Status::Solved | nlp::Status::Acceptable => LowerStatus::Solved,
            nlp::Status::Infeasible => LowerStatus::Infeasible,
            nlp::Status::Unbounded => LowerStatus::Unbounded,
            _ if found.residuals.scaled <= LOOSE => LowerStatus::Solved,
            _ => LowerStatus::Numerical,
        };
        let plain = self.program.plain_objective(&found.z);
        LowerSolution {
            status,
            plain,
            value: found.objective,
            multipliers: found.multipliers,
            residual: found.residuals.scaled,
            y: found.z,
        }
    }

    /// Exactly, by the objective's parts.
    fn proximal(&mut self, x: &[f64], start: &[f64]) -> LowerSolution {
        let m = self.follower().m;
        let start = &start[..m];
        let found = self.composite.as_mut().and_then(|at| {
            // Weights below zero, or undefined: nothing that this method solves.
            at.fix(x).then(|| proximal::minimise(at, start, &proximal::Settings::default()))
        });
        let Some(found) = found else { return self.without_multipliers(LowerStatus::Numerical, start, f64::NAN) };
        let status = match found.residual {
            _ if found.unbounded => LowerStatus::Unbounded,
            residual if residual <= EXACT => LowerStatus::Solved,
            _ => LowerStatus::Numerical,
        };
        self.without_multipliers(status, &found.y, found.residual)
    }

    /// A smoothed follower in parts, by Newton steps; none where it has other parts, or the method fails.
    fn smoothed(&mut self, x: &[f64], start: &[f64], smoothing: Smoothing<'a>) -> Option<LowerSolution> {
        let at = self.composite.as_mut().filter(|_| smoothing.mu() > 0.0)?;
        if !at.fix(x) {
            return None;
        }
        let m = at.composite().m();
        let (lower, upper) = at.composite().bounds();
        let settings = newton::Settings {
            tolerance: if m > LARGE { 1e-8 } else { 1e-10 },
            max_iterations: 100,
            dense: LARGE,
            lower,
            upper,
        };
        let weight = self.program.regulariser_weight();
        let mut preconditioner = StiffAndSoft::new(at, smoothing, weight);
        let found = newton::minimise(&mut self.program, &start[..m], &settings, &mut preconditioner);
        let solved = found.residual <= if m > LARGE { LOOSE } else { EXACT };
        solved.then(|| {
            let solution = self.without_multipliers(LowerStatus::Solved, &found.y, found.residual);
            LowerSolution { value: found.value, ..solution }
        })
    }

    /// A large follower over a set alone: no matrices. Its multipliers are not needed, since nothing depends on x.
    fn accelerated(&mut self, set: &Set, start: &[f64]) -> LowerSolution {
        let m = self.follower().m;
        let found = accelerated::minimise(&mut self.program, set, &start[..m], &accelerated::Settings::default());
        let status = match found.residual {
            _ if found.unbounded => LowerStatus::Unbounded,
            residual if residual <= LOOSE => LowerStatus::Solved,
            _ => LowerStatus::Numerical,
        };
        let solution = self.without_multipliers(status, &found.y, found.residual);
        LowerSolution { value: found.value, ..solution }
    }

    /// A solution whose multipliers are not needed, since no constraint depends on x.
    fn without_multipliers(&mut self, status: LowerStatus, y: &[f64], residual: f64) -> LowerSolution {
        let system = &self.follower().system;
        let multipliers = Multipliers {
            bounds: vec![0.0; self.follower().size()],
            rows: vec![0.0; system.row_upper.len()],
            constraints: vec![0.0; system.upper.len()],
        };
        let y = self.follower().extend(&[], y);
        let plain = self.program.plain_objective(&y);
        LowerSolution { status, plain, value: plain, multipliers, residual, y }
    }

    /// Writes the gradient of the value function at the x, smoothing and regulariser of the last solve.
    pub fn value_gradient(&mut self, solution: &LowerSolution, out: &mut [f64]) {
        self.program.value_gradient(&solution.y, &solution.multipliers, out);
    }
}

/// Followers with more variables than this are solved without matrices where their constraints allow it.
const LARGE: usize = 200;
/// An exact solve counts when no optimality condition is violated by more, relative to 1 + the slope.
const EXACT: f64 = 1e-9;
/// A solve that stopped early still counts when its residual is below this.
const LOOSE: f64 = 1e-6;
