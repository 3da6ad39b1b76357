//! The smoothed value-function method [Alcantara & Takeda 2025, §2.3]: for mu_k, epsilon_k going down, an approximate KKT
//! point of (VFP_epsilon^mu) by SQP from the last one (Remark 2.16); then the polish to follower gap 0.

use super::{Leader, PolishSettings, Polished, ValueFunctionProgramme, implicit, optimality_residual, polish};
use crate::lower::{Follower, LowerSolution, LowerSolver, LowerStatus, Meter, Regulariser};
use crate::nlp::{self, sqp};
use crate::observe::{Observer, Stage};
use crate::problem::{At, Failures, FunctionEvaluator, Problem};
use crate::set::ConvexSet;
use crate::smooth::{Family, Smoothing};
use crate::value::{Region, ValueModel};

/// The levels (mu_k, epsilon_k), decreasing.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule(pub Vec<(f64, f64)>);

impl Schedule {
    /// mu = 1, 1e-2, 1e-4, 1e-6 with epsilon = mu: steps of 1e-2 do as well as smaller ones. With many variables the last
    /// level is left out: it costs several times all others, and the finishing step starts as well from the one before.
    pub fn homotopy(variables: usize) -> Self {
        Self::levels(&[1.0, 1e-2, 1e-4, 1e-6], variables)
    }

    /// Starts at small levels: finds other basins than the homotopy does.
    pub fn direct(variables: usize) -> Self {
        if variables > FEW { Self::levels(&[1e-2, 1e-4], variables) } else { Self::levels(&[1e-3, 1e-6], variables) }
    }

    /// For the entropic model: mu only down to 1e-5, where the integrals are still cheap, and epsilon = 8 mu, since v_ent
    /// may lie below v; the polish does the rest.
    pub fn entropic() -> Self {
        Self([1.0, 1e-2, 1e-4, 1e-5].map(|mu| (mu, 8.0 * mu)).to_vec())
    }

    /// The same, started at small levels.
    pub fn entropic_direct() -> Self {
        Self([1e-3, 1e-5].map(|mu| (mu, 8.0 * mu)).to_vec())
    }

    fn levels(mu: &[f64], variables: usize) -> Self {
        let last = if variables > FEW { 1e-4 } else { 0.0 };
        Self(mu.iter().filter(|&&mu| mu >= last).map(|&mu| (mu, mu)).collect())
    }
}

/// Number of variables of both levels up to which the smallest levels are affordable.
const FEW: usize = 20;

/// Both forms of a problem's levels that the method works with.
#[derive(Clone, Debug)]
pub struct Levels {
    /// The follower with its own formulas, smoothed where needed: for (VFP_epsilon^mu).
    pub follower: Follower,
    /// The upper level that goes with it.
    pub leader: Leader,
    /// The follower in exact form: its own formulas if smooth, else in epigraph form, else None.
    pub exact_follower: Option<Follower>,
    /// The upper level that goes with it.
    pub exact_leader: Option<Leader>,
    /// Whether the follower's problem is convex in y.
    pub convex: bool,
}

/// A point that claims to solve the problem; nothing of it is believed until certified.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The leader's decision.
    pub x: Vec<f64>,
    /// The follower's answer.
    pub y: Vec<f64>,
    /// The residual of the optimality system that produced it, if one did.
    pub residual: Option<f64>,
    /// Where it comes from.
    pub source: &'static str,
}

/// The last point of the smoothed, relaxed programme.
#[derive(Clone, Debug)]
pub struct SmoothedPoint {
    /// The leader's decision.
    pub x: Vec<f64>,
    /// The follower's answer.
    pub y: Vec<f64>,
    /// lambda.
    pub multiplier: f64,
    /// The smoothing level.
    pub mu: f64,
    /// The relaxation.
    pub epsilon: f64,
    /// The value model's name.
    pub value_model: &'static str,
    /// The regulariser in force.
    pub regulariser: Regulariser,
    /// The region to which an unbounded Y was cut, if it was.
    pub region: Option<Region>,
}

/// What one start of the method gives.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Points that may be the answer.
    pub candidates: Vec<Candidate>,
    /// The last smoothed point.
    pub smoothed: Option<SmoothedPoint>,
    /// (epsilon, lambda) stage by stage.
    pub multipliers: Vec<(f64, f64)>,
    /// What kept the follower from being solved, if anything did.
    pub lower_failure: Option<LowerStatus>,
    /// Whether F went to minus infinity over feasible points of the relaxed programme.
    pub unbounded: bool,
    /// Lower solves.
    pub lower_solves: u64,
    /// Whether the budget of lower solves ended the run.
    pub over_budget: bool,
    /// Evaluations of F.
    pub upper_evaluations: u64,
}

/// What a value model is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The smoothed, relaxed programme.
    Search,
    /// The polish, which keeps f(x, y) within rounding of v(x).
    Polish,
}

/// Makes value models for a follower.
pub type Models<'m, 'a> = dyn Fn(&'a Follower, Purpose) -> Box<dyn ValueModel + 'a> + 'm;

/// The method, for one problem.
pub struct SmoothedValue<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// Its levels in the forms needed.
    pub levels: &'a Levels,
    /// The smoothing family.
    pub family: &'a dyn Family,
    /// The levels of mu and epsilon.
    pub schedule: Schedule,
    /// The polish.
    pub polish: PolishSettings,
    /// Where failures of a user's functions are kept.
    pub failures: Failures,
    /// Counts lower solves against the run's budget.
    pub meter: Meter,
}

impl<'a> SmoothedValue<'a> {
    /// Runs from (x, y); `models` makes the value models: one for the smoothed programme, one for the polish.
    pub fn run(&self, start: (&[f64], &[f64]), models: &Models<'_, 'a>, observer: &dyn Observer, number: usize) -> Run {
        let mut run = Run::default();
        let levels = self.levels;
        let model = models(&levels.follower, Purpose::Search);
        let mut programme =
            ValueFunctionProgramme::new(&levels.leader, &levels.follower, model, self.family, &self.failures);
        let Some(mut z) = self.start(start, &mut programme, &mut run) else { return run };
        for (iteration, &(mu, epsilon)) in self.schedule.0.iter().enumerate() {
            if self.must_stop(observer) {
                break;
            }
            // (x_k, y_k, lambda_k): an approximate KKT point of (VFP_{epsilon_k}^{mu_k})
            programme.begin_stage(mu, epsilon, &z);
            let mut found = self.solve_stage(&mut programme, &z, observer);
            if found.residuals.violation > STUCK {
                found = self.restart(&mut programme, &z, found, observer);
            }
            run.unbounded |= found.status == nlp::Status::Unbounded;
            if found.status == nlp::Status::Unbounded || found.status == nlp::Status::Numerical {
                continue;
            }
            z = found.z;
            let multiplier = found.multipliers.constraints.last().map_or(0.0, |lambda| -lambda);
            run.multipliers.push((epsilon, multiplier));
            run.unbounded = false;
            self.record(&mut run, &z, multiplier, (mu, epsilon), &mut programme);
            let gap = programme.gap(&z);
            observer.stage(&Stage {
                start: number,
                iteration,
                step: "sqp",
                mu,
                upper: self.problem.leader().sense.apply(found.objective),
                gap,
                residual: found.residuals.scaled,
                lower_solves: self.meter.used(),
            });
        }
        run.upper_evaluations = programme.evaluations();
        self.finish(&mut run, &z, models, observer, number);
        run.over_budget = self.meter.is_empty();
        run.lower_solves = self.meter.used();
        run
    }

    fn must_stop(&self, observer: &dyn Observer) -> bool {
        observer.interrupted() || self.meter.is_empty()
    }

    /// z = (x, y, auxiliary variables): the start, with y projected onto S_mu(x) unless it is an epsilon-answer already.
    fn start(
        &self,
        start: (&[f64], &[f64]),
        programme: &mut ValueFunctionProgramme<'a>,
        run: &mut Run,
    ) -> Option<Vec<f64>> {
        let (n, follower, leader) = (self.problem.n(), &self.levels.follower, &self.levels.leader);
        let mut x = vec![0.0; n];
        self.problem.leader().set.project(start.0, &mut x);
        let y = follower.extend(&x, start.1);
        let mut z = [&x[..], &y].concat();
        for j in n..leader.lower.len() {
            z.push(leader.lower[j].max(0.0).min(leader.upper[j]));
        }
        let (mu, epsilon) = *self.schedule.0.first()?;
        programme.begin_stage(mu, epsilon, &z);
        programme.model().suggest(&y);
        let kept = programme.gap(&z).abs() <= epsilon && self.problem.follower().set.violation(start.1) <= STUCK;
        match programme.value_at(&x) {
            Ok(point) if !kept => z[n..n + follower.m].copy_from_slice(&point.y),
            Ok(_) => {}
            Err(status) => run.lower_failure = Some(status),
        }
        Some(z)
    }

    fn solve_stage(
        &self,
        programme: &mut ValueFunctionProgramme<'a>,
        z: &[f64],
        observer: &dyn Observer,
    ) -> nlp::Solution {
        sqp::solve_with(programme, z, &stage_settings(), Some(&mut |_| !self.must_stop(observer)))
    }

    /// Stuck at a follower's local minimum that is not global, where the constraint qualification fails: starts the stage
    /// again from the follower's best answer at the x reached, and at the x before.
    fn restart(
        &self,
        programme: &mut ValueFunctionProgramme<'a>,
        before: &[f64],
        stuck: nlp::Solution,
        observer: &dyn Observer,
    ) -> nlp::Solution {
        let (n, m) = (self.problem.n(), self.problem.m());
        let mut best = stuck;
        for from in [best.z.clone(), before.to_vec()] {
            let mut z = from;
            let (x, rest) = z.split_at_mut(n);
            let Ok(point) = programme.value_at(x) else { continue };
            rest[..m].copy_from_slice(&point.y);
            let found = self.solve_stage(programme, &z, observer);
            let key = |s: &nlp::Solution| (s.residuals.violation.max(STUCK), s.objective);
            if key(&found) < key(&best) {
                best = found;
            }
        }
        best
    }

    fn record(
        &self,
        run: &mut Run,
        z: &[f64],
        multiplier: f64,
        (mu, epsilon): (f64, f64),
        programme: &mut ValueFunctionProgramme<'a>,
    ) {
        let (n, m) = (self.problem.n(), self.problem.m());
        run.smoothed = Some(SmoothedPoint {
            x: z[..n].to_vec(),
            y: z[n..n + m].to_vec(),
            multiplier,
            mu,
            epsilon,
            value_model: programme.model().name(),
            regulariser: programme.model().regulariser(),
            region: programme.model().region(),
        });
    }

    /// Adds the candidates: the polished point, and exact answers of the follower at the x reached.
    fn finish(&self, run: &mut Run, z: &[f64], models: &Models<'_, 'a>, observer: &dyn Observer, number: usize) {
        let (n, m) = (self.problem.n(), self.problem.m());
        let (x, y) = (&z[..n], &z[n..n + m]);
        let follower = self.levels.exact_follower.as_ref().unwrap_or(&self.levels.follower);
        let leader = self.levels.exact_leader.as_ref().unwrap_or(&self.levels.leader);
        let smoothing = self.final_smoothing();
        let mut solver = LowerSolver::new(follower, &self.failures, &self.meter);
        let answer = solver.solve(x, y, smoothing, &Regulariser::default());
        run.candidates.push(Candidate { x: x.to_vec(), y: y.to_vec(), residual: None, source: "smoothed" });
        if answer.status != LowerStatus::Solved {
            run.lower_failure = Some(answer.status);
            return;
        }
        run.candidates.push(Candidate { x: x.to_vec(), y: answer.y[..m].to_vec(), residual: None, source: "answer" });
        if self.must_stop(observer) {
            return;
        }
        let stop = || self.must_stop(observer);
        let mut step = "polish";
        let mut residual = f64::INFINITY;
        if self.levels.convex && n > 0 {
            let start = (x, answer.y.as_slice());
            if let Some((x, y)) = implicit(leader, follower, start, smoothing, &self.failures, &self.meter, &stop) {
                residual = self.residual((leader, follower), &x, &y, &mut solver).unwrap_or(f64::INFINITY);
                let y = y[..m].to_vec();
                run.candidates.push(Candidate { x, y, residual: Some(residual), source: "implicit" });
                step = "implicit";
            }
        }
        // Where the follower has several answers, or a constraint of the leader decides, y is free to move: the polish. Also
        // where the smoothed point promised more than F(x, y(x)) kept, unless the polish is too large to be tried in vain.
        let kept = run.candidates.last().map_or(f64::INFINITY, |found| self.upper_at(&found.x, &found.y));
        let promised = self.upper_at(x, y);
        let affordable = n + follower.size() <= POLISHED_IN_VAIN;
        let disappointing = affordable && kept > promised + 1e-2 * (1.0 + promised.abs());
        if (residual > CONVERGED || disappointing) && !stop() {
            let polished = self.polished((leader, follower), (x, y), &answer, models);
            residual = residual.min(polished.as_ref().map_or(f64::INFINITY, |polished| polished.residual));
            step = "polish";
            if let Some(polished) = polished {
                self.polish_candidates(run, polished, &mut solver);
            }
        }
        observer.stage(&Stage {
            start: number,
            iteration: self.schedule.0.len(),
            step,
            mu: smoothing.mu(),
            upper: f64::NAN,
            gap: f64::NAN,
            residual,
            lower_solves: self.meter.used(),
        });
    }

    /// The polished point itself, and the same x with a fresh answer of the follower.
    fn polish_candidates(&self, run: &mut Run, polished: Polished, solver: &mut LowerSolver<'a>) {
        let m = self.problem.m();
        run.upper_evaluations += polished.evaluations;
        let residual = Some(polished.residual);
        let again = solver.solve(&polished.x, &polished.y, self.final_smoothing(), &Regulariser::default());
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
    fn residual(
        &self,
        (leader, follower): (&'a Leader, &'a Follower),
        x: &[f64],
        y: &[f64],
        solver: &mut LowerSolver<'a>,
    ) -> Option<f64> {
        let smoothing = self.final_smoothing();
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
    ) -> Option<Polished> {
        let smoothing = self.final_smoothing();
        let from = follower.extend(x, y);
        let mut value = (!self.levels.convex).then(|| models(follower, Purpose::Polish));
        if let Some(value) = &mut value {
            value.begin_stage(smoothing.mu(), y);
            value.suggest(&from);
        }
        let start = (x, from.as_slice(), &answer.multipliers);
        polish(leader, follower, start, value.as_deref_mut(), smoothing, &self.polish, &self.failures)
    }

    /// Exact where the follower has an exact smooth form, else the smallest smoothing that Newton's method resolves.
    fn final_smoothing(&self) -> Smoothing<'a> {
        let mu = if self.levels.exact_follower.is_some() { 0.0 } else { 1e-8 };
        Smoothing::new(self.family, mu)
    }
}

/// Violations above this after a stage mean that the stage failed.
const STUCK: f64 = 1e-6;
/// A polish with a residual above this did not converge.
const CONVERGED: f64 = 1e-6;

/// Variables of both levels up to which a polish is tried where the answer as a function of x has been followed already.
const POLISHED_IN_VAIN: usize = 60;

/// SQP on (VFP_epsilon^mu): v carries the lower solver's rounding, so that progress below that is none.
fn stage_settings() -> sqp::Settings {
    sqp::Settings { max_iterations: 60, progress_tolerance: 1e-10, ..sqp::Settings::default() }
}
