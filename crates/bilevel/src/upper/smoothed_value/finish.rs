//! The end of a start: the follower's exact answer, F(x, y(x)) over x where the answer can be followed, and the polish.

use super::basin::Basin;
use super::{Models, Purpose, SmoothedValue};
use crate::lower::{Follower, LowerSolution, LowerSolver, LowerStatus, Regulariser};
use crate::observe::{Observer, Stage};
use crate::problem::{At, FunctionEvaluator};
use crate::smooth::Smoothing;
use crate::upper::{
    Candidate, Leader, Polished, Run, follow_branches, implicit, optimality_residual, polish, reduced, reducible,
};

/// A polish with a residual above this did not converge.
const CONVERGED: f64 = 1e-6;

/// Variables of both levels up to which a polish is tried where the answer as a function of x has been followed already.
const POLISHED_IN_VAIN: usize = 60;
/// Variables of both levels up to which the polish, with its dense matrices, is tried at all.
const POLISHED: usize = 500;

impl<'a> SmoothedValue<'a> {
    /// Adds the candidates: the polished point, and exact answers of the follower at the x reached.
    pub(super) fn finish(
        &self,
        run: &mut Run,
        z: &[f64],
        models: &Models<'_, 'a>,
        observer: &dyn Observer,
        number: usize,
    ) {
        let (n, m) = (self.problem.n(), self.problem.m());
        let (x, y) = (&z[..n], &z[n..n + m]);
        let (_, follower, smoothing) = self.levels.exact(self.family);
        let mut solver = LowerSolver::new(follower, &self.failures, &self.meter);
        let answer = solver.solve(x, y, smoothing, &Regulariser::default());
        if !self.schedule.0.is_empty() {
            run.candidates.push(Candidate { x: x.to_vec(), y: y.to_vec(), residual: None, source: "smoothed" });
        }
        if answer.status != LowerStatus::Solved {
            run.lower_failure = Some(answer.status);
            return;
        }
        run.candidates.push(Candidate { x: x.to_vec(), y: answer.y[..m].to_vec(), residual: None, source: "answer" });
        if self.must_stop(observer) {
            return;
        }
        let (mut residual, basin) = self.follow_answer((x, &answer.y), &mut solver, models, observer, run);
        let mut step = if residual.is_finite() { "implicit" } else { "polish" };
        if self.polish_is_wanted(run, (x, y), residual) && !self.must_stop(observer) {
            let polished = self.polish_from((x, y), &answer.y[..m], basin, (models, observer), run);
            (residual, step) = (residual.min(polished), "polish");
        }
        observer.stage(&Stage {
            start: number,
            iteration: self.schedule.0.len(),
            step,
            mu: 0.0,
            upper: f64::NAN,
            gap: f64::NAN,
            residual,
            lower_solves: self.meter.used(),
        });
    }

    /// Follows the exact answer ỹ at x over x, in the way that its kind allows; the residual at the end, infinite without
    /// one, and how a basin ended.
    fn follow_answer(
        &self,
        (x, y): (&[f64], &[f64]),
        solver: &mut LowerSolver<'a>,
        models: &Models<'_, 'a>,
        observer: &dyn Observer,
        run: &mut Run,
    ) -> (f64, Basin) {
        if self.levels.follower.branches.is_some() {
            return (self.follow_powers((x, y), observer, run), Basin::Nothing);
        }
        if self.levels.convex || self.problem.n() == 0 {
            let (leader, follower, _) = self.levels.exact(self.family);
            return (self.follow((leader, follower), (x, y), solver, observer, run), Basin::Nothing);
        }
        let (leader, follower, _) = self.levels.multiplied(self.family);
        let basin = self.follow_basin((leader, follower), (x, &y[..self.problem.m()]), models, observer, run);
        let residual = if let Basin::Minimiser(residual) = basin { residual } else { f64::INFINITY };
        (residual, basin)
    }

    /// Where the follower has several answers, or a constraint of the leader decides, y is free to move: the polish. Also
    /// where the smoothed point (x, y) promised more than F(x, y(x)) kept, unless the polish is too large to be tried in
    /// vain.
    fn polish_is_wanted(&self, run: &Run, (x, y): (&[f64], &[f64]), residual: f64) -> bool {
        let kept = run.candidates.last().map_or(f64::INFINITY, |found| self.upper_at(&found.x, &found.y));
        let promised = self.upper_at(x, y);
        let variables = self.problem.n() + self.levels.multiplied(self.family).1.size();
        let disappointing = variables <= POLISHED_IN_VAIN && kept > promised + 1e-2 * (1.0 + promised.abs());
        (residual > CONVERGED && variables <= POLISHED) || disappointing
    }

    /// Polishes from the smoothed point and from where a basin ended; the least residual.
    fn polish_from(
        &self,
        (x, y): (&[f64], &[f64]),
        answer: &[f64],
        basin: Basin,
        (models, observer): (&Models<'_, 'a>, &dyn Observer),
        run: &mut Run,
    ) -> f64 {
        let m = self.problem.m();
        let (leader, follower, smoothing) = self.levels.multiplied(self.family);
        let mut solver = LowerSolver::new(follower, &self.failures, &self.meter);
        let answer = solver.solve(x, answer, smoothing, &Regulariser::default());
        let mut from = vec![(x.to_vec(), y.to_vec(), answer)];
        if let Basin::Edge(x, answer) = basin {
            from.push((x, answer.y[..m].to_vec(), answer));
        }
        let mut residual = f64::INFINITY;
        for (x, y, answer) in &from {
            if let Some(polished) = self.polished((leader, follower), (x, y), answer, models, observer) {
                residual = residual.min(polished.residual);
                self.polish_candidates(run, polished, &mut solver);
            }
        }
        residual
    }

    /// Follows the answer as a function of x, where it is one; the residual at its end, infinite without one.
    fn follow(
        &self,
        (leader, follower): (&'a Leader, &'a Follower),
        (x, y): (&[f64], &[f64]),
        solver: &mut LowerSolver<'a>,
        observer: &dyn Observer,
        run: &mut Run,
    ) -> f64 {
        let (m, stop) = (self.problem.m(), || self.must_stop(observer));
        if self.problem.n() == 0 {
            return f64::INFINITY;
        }
        let found = if reducible(leader, follower) {
            let set = &self.problem.leader().set;
            reduced(set, leader, follower, (x, y), &self.failures, &self.meter, &stop)
                .map(|found| (found.x, found.y, found.residual))
        } else {
            let smoothing = self.levels.exact(self.family).2;
            implicit(leader, follower, (x, y), smoothing, &self.failures, &self.meter, &stop).map(|(x, y)| {
                let residual = self.residual((leader, follower), &x, &y, solver).unwrap_or(f64::INFINITY);
                (x, y[..m].to_vec(), residual)
            })
        };
        let Some((x, y, residual)) = found else { return f64::INFINITY };
        run.candidates.push(Candidate { x, y, residual: Some(residual), source: "implicit" });
        residual
    }

    /// Follows the branches of an answer whose only kinks are powers; the least residual at their ends.
    fn follow_powers(&self, point: (&[f64], &[f64]), observer: &dyn Observer, run: &mut Run) -> f64 {
        let stop = || self.must_stop(observer);
        let (leader, follower) = (&self.levels.leader, &self.levels.follower);
        let mut least = f64::INFINITY;
        for found in follow_branches(leader, follower, point, &self.failures, &self.meter, &stop) {
            least = least.min(found.residual);
            let residual = Some(found.residual);
            run.candidates.push(Candidate { x: found.x, y: found.y, residual, source: "implicit" });
        }
        least
    }

    /// The polished point itself, and the same x with a fresh answer of the follower.
    fn polish_candidates(&self, run: &mut Run, polished: Polished, solver: &mut LowerSolver<'a>) {
        let m = self.problem.m();
        run.upper_evaluations += polished.evaluations;
        let residual = Some(polished.residual);
        let smoothing = self.levels.multiplied(self.family).2;
        let again = solver.solve(&polished.x, &polished.y, smoothing, &Regulariser::default());
        if again.status == LowerStatus::Solved {
            let y = again.y[..m].to_vec();
            run.candidates.push(Candidate { x: polished.x.clone(), y, residual, source: "polished answer" });
        }
        let y = polished.y[..m].to_vec();
        run.candidates.push(Candidate { x: polished.x, y, residual, source: "polished" });
    }

    /// F at a point.
    fn upper_at(&self, x: &[f64], y: &[f64]) -> f64 {
        let objective = &self.problem.leader().objective;
        FunctionEvaluator::new(objective, self.problem.n(), self.problem.m(), &self.failures).value(At {
            x,
            y,
            smoothing: Smoothing::EXACT,
        })
    }

    /// The residual of the combined optimality system at x and an answer ỹ.
    pub(super) fn residual(
        &self,
        (leader, follower): (&'a Leader, &'a Follower),
        x: &[f64],
        y: &[f64],
        solver: &mut LowerSolver<'a>,
    ) -> Option<f64> {
        let smoothing = self.levels.exact(self.family).2;
        let answer = solver.solve(x, y, smoothing, &Regulariser::default());
        let point = (x, answer.y.as_slice(), &answer.multipliers);
        optimality_residual(leader, follower, point, &[], smoothing, &self.failures)
    }

    /// The polish from (x, y) with the multipliers of an answer of the follower at x.
    fn polished(
        &self,
        (leader, follower): (&'a Leader, &'a Follower),
        (x, y): (&[f64], &[f64]),
        answer: &LowerSolution,
        models: &Models<'_, 'a>,
        observer: &dyn Observer,
    ) -> Option<Polished> {
        let smoothing = self.levels.multiplied(self.family).2;
        let from = follower.extend(x, y);
        let mut value = (!self.levels.convex).then(|| models(follower, Purpose::Polish));
        if let Some(value) = &mut value {
            value.begin_stage(smoothing.mu(), y);
            value.suggest(&from);
        }
        let start = (x, from.as_slice(), &answer.multipliers);
        // A polish that is under way may go over the budget, but not without end.
        let proceed = || !observer.interrupted() && !self.meter.is_far_over();
        let (levels, value) = ((leader, follower), value.as_deref_mut());
        polish(levels, start, value, smoothing, &self.polish, &self.failures, &proceed)
    }
}
