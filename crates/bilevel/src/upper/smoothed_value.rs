//! The smoothed value-function method [Alcantara & Takeda 2025, §2.3]: for mu_k, epsilon_k going down, an approximate KKT
//! point of (VFP_epsilon^mu) by SQP from the last one (Remark 2.16); then the polish to follower gap 0.

use std::sync::Arc;

use super::basin::Basin;
use super::matrix_free::MatrixFree;
use super::pieces::QuadraticProblem;
use super::{
    Leader, PolishSettings, Polished, ValueFunctionProgramme, follow_branches, implicit, optimality_residual, polish,
    reduced, reducible,
};
use super::{augmented_lagrangian, projected_gradient};
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

    /// For the barrier over so many sides: v_tau may lie below v by tau times the logarithms of their slacks.
    pub fn barrier(sides: usize) -> Self {
        Self([1.0, 1e-2, 1e-4, 1e-6].map(|mu| (mu, 8.0 * mu * sides.max(1) as f64)).to_vec())
    }

    /// No levels: the finishing step alone.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    fn levels(mu: &[f64], variables: usize) -> Self {
        let last = match variables {
            0..=FEW => 0.0,
            _ if variables <= MANY => 1e-4,
            _ => 1e-2,
        };
        Self(mu.iter().filter(|&&mu| mu >= last).map(|&mu| (mu, mu)).collect())
    }
}

/// Number of variables of both levels up to which the smallest levels are affordable.
const FEW: usize = 20;
/// Number of variables of both levels beyond which one more level is left out.
const MANY: usize = 2000;

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
    /// The problem as data, where the follower is convex quadratic, the leader quadratic and all constraints affine.
    pub quadratic: Option<Arc<QuadraticProblem>>,
}

impl Levels {
    /// The forms in which exact answers of the follower are found, and the smoothing that is left: none where the
    /// objective's parts give them or the follower has an exact smooth form, else the smallest that Newton's method
    /// resolves.
    pub fn exact<'a>(&'a self, family: &'a dyn Family) -> (&'a Leader, &'a Follower, Smoothing<'a>) {
        if self.follower.composite.is_some() {
            return (&self.leader, &self.follower, Smoothing::new(family, 0.0));
        }
        match (&self.exact_leader, &self.exact_follower) {
            (Some(leader), Some(follower)) => (leader, follower, Smoothing::new(family, 0.0)),
            _ => (&self.leader, &self.follower, Smoothing::new(family, 1e-8)),
        }
    }

    /// The forms with multipliers: the exact smooth one where there is one.
    pub fn multiplied<'a>(&'a self, family: &'a dyn Family) -> (&'a Leader, &'a Follower, Smoothing<'a>) {
        match (&self.exact_leader, &self.exact_follower) {
            (Some(leader), Some(follower)) => (leader, follower, Smoothing::new(family, 0.0)),
            _ => (&self.leader, &self.follower, Smoothing::new(family, 1e-8)),
        }
    }
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

/// How the stages' programmes are solved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// SQP, with dense matrices of the order n + m.
    #[default]
    Sqp,
    /// The augmented Lagrangian, without matrices.
    AugmentedLagrangian,
    /// The smoothed penalty with projected gradients, after Lin, Xu & Ye (2014).
    ProjectedGradient,
}

impl Method {
    /// The name of the step in progress reports.
    fn step(self) -> &'static str {
        match self {
            Method::Sqp => "sqp",
            Method::AugmentedLagrangian => "augmented lagrangian",
            Method::ProjectedGradient => "projected gradient",
        }
    }
}

/// The method, for one problem.
pub struct SmoothedValue<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// Its levels in the forms needed.
    pub levels: &'a Levels,
    /// How the stages are solved.
    pub method: Method,
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
        let mut z = self.start(start, &mut programme, &mut run);
        let mut memory = Memory::default();
        for (iteration, &(mu, epsilon)) in self.schedule.0.iter().enumerate() {
            if self.must_stop(observer) {
                break;
            }
            // (x_k, y_k, lambda_k): an approximate KKT point of (VFP_{epsilon_k}^{mu_k})
            programme.begin_stage(mu, epsilon, &z);
            let mut found = self.solve_stage(&mut programme, &z, &mut memory, observer);
            // Methods without matrices end with a violation of the order of their tolerance.
            let stuck = if self.method == Method::Sqp { STUCK } else { STUCK.max(epsilon) };
            if found.residuals.violation > stuck {
                found = self.restart(&mut programme, &z, found, &mut memory, observer);
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
                step: self.method.step(),
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

    pub(super) fn must_stop(&self, observer: &dyn Observer) -> bool {
        observer.interrupted() || self.meter.is_empty()
    }

    /// z = (x, y, auxiliary variables): the start, with y projected onto S_mu(x) unless it is an epsilon-answer already.
    fn start(&self, start: (&[f64], &[f64]), programme: &mut ValueFunctionProgramme<'a>, run: &mut Run) -> Vec<f64> {
        let (n, follower, leader) = (self.problem.n(), &self.levels.follower, &self.levels.leader);
        let mut x = vec![0.0; n];
        self.problem.leader().set.project(start.0, &mut x);
        let y = follower.extend(&x, start.1);
        let mut z = [&x[..], &y].concat();
        for j in n..leader.lower.len() {
            z.push(leader.lower[j].max(0.0).min(leader.upper[j]));
        }
        let Some(&(mu, epsilon)) = self.schedule.0.first() else { return z };
        programme.begin_stage(mu, epsilon, &z);
        programme.model().suggest(&y);
        let kept = programme.gap(&z).abs() <= epsilon && self.problem.follower().set.violation(start.1) <= STUCK;
        match programme.value_at(&x) {
            Ok(point) if !kept => z[n..n + follower.m].copy_from_slice(&point.y),
            Ok(_) => {}
            Err(status) => run.lower_failure = Some(status),
        }
        z
    }

    fn solve_stage(
        &self,
        programme: &mut ValueFunctionProgramme<'a>,
        z: &[f64],
        memory: &mut Memory,
        observer: &dyn Observer,
    ) -> nlp::Solution {
        let patient = self.method == Method::Sqp;
        let mut proceed = || !self.must_stop(observer) && (patient || !self.meter.is_low());
        if self.method == Method::Sqp {
            return sqp::solve_with(programme, z, &stage_settings(), Some(&mut |_| proceed()));
        }
        let mu = programme.smoothing().mu();
        let start = &z[..self.problem.n() + self.problem.m()];
        let mut free = MatrixFree::new(self.problem, programme, &self.failures);
        memory.multipliers.resize(free.equalities().len(), 0.0);
        if self.method == Method::AugmentedLagrangian {
            let settings = augmented_lagrangian::Settings::stage(mu, start.len());
            let found = augmented_lagrangian::solve(&mut free, start, &memory.multipliers, &settings, &mut proceed);
            memory.multipliers.clone_from(&found.multipliers);
            return self.solution(z, found.z, (found.objective, found.multipliers), (found.violation, found.residual));
        }
        let settings = projected_gradient::Settings::default();
        let found = projected_gradient::solve(&mut free, start, &mut memory.penalty, mu, &settings, &mut proceed);
        self.solution(z, found.z, (found.objective, found.multipliers), (found.violation, found.residual))
    }

    /// What a method without matrices found at (x, y), in the form of the others; `before` has the auxiliary variables.
    fn solution(
        &self,
        before: &[f64],
        point: Vec<f64>,
        (objective, multipliers): (f64, Vec<f64>),
        (violation, residual): (f64, f64),
    ) -> nlp::Solution {
        let (n, m) = (self.problem.n(), self.problem.m());
        let follower = &self.levels.follower;
        let mut z = point[..n].to_vec();
        z.extend(follower.extend(&point[..n], &point[n..n + m]));
        z.extend(&before[n + follower.size()..]);
        let far = point.iter().any(|v| v.abs() > FAR);
        let finite = objective.is_finite() && point.iter().all(|v| v.is_finite());
        let status = match finite {
            false => nlp::Status::Numerical,
            true if far => nlp::Status::Unbounded,
            true => nlp::Status::Acceptable,
        };
        let multipliers = nlp::Multipliers {
            constraints: multipliers.iter().map(|lambda| -lambda).collect(),
            ..nlp::Multipliers::default()
        };
        let residuals = nlp::Residuals { violation, stationarity: residual, scaled: residual, complementarity: 0.0 };
        let (iterations, evaluations) = (0, nlp::Evaluations::default());
        nlp::Solution { status, z, objective, multipliers, residuals, iterations, evaluations }
    }

    /// Stuck at a follower's local minimum that is not global, where the constraint qualification fails: starts the stage
    /// again from the follower's best answer at the x reached, and at the x before.
    fn restart(
        &self,
        programme: &mut ValueFunctionProgramme<'a>,
        before: &[f64],
        stuck: nlp::Solution,
        memory: &mut Memory,
        observer: &dyn Observer,
    ) -> nlp::Solution {
        let (n, m) = (self.problem.n(), self.problem.m());
        let mut best = stuck;
        for from in [best.z.clone(), before.to_vec()] {
            let mut z = from;
            let (x, rest) = z.split_at_mut(n);
            let Ok(point) = programme.value_at(x) else { continue };
            rest[..m].copy_from_slice(&point.y);
            let found = self.solve_stage(programme, &z, memory, observer);
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
        let (leader, follower, smoothing) = self.levels.exact(self.family);
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
        let mut basin = Basin::Nothing;
        let mut residual = if self.levels.follower.branches.is_some() {
            self.follow_powers((x, &answer.y), observer, run)
        } else if self.levels.convex || n == 0 {
            self.follow((leader, follower), (x, &answer.y), &mut solver, observer, run)
        } else {
            let (leader, follower, _) = self.levels.multiplied(self.family);
            basin = self.follow_basin((leader, follower), (x, &answer.y[..m]), models, observer, run);
            if let Basin::Minimiser(residual) = basin { residual } else { f64::INFINITY }
        };
        let mut step = if residual.is_finite() { "implicit" } else { "polish" };
        // Where the follower has several answers, or a constraint of the leader decides, y is free to move: the polish. Also
        // where the smoothed point promised more than F(x, y(x)) kept, unless the polish is too large to be tried in vain.
        let kept = run.candidates.last().map_or(f64::INFINITY, |found| self.upper_at(&found.x, &found.y));
        let promised = self.upper_at(x, y);
        let (leader, follower, smoothing) = self.levels.multiplied(self.family);
        let variables = n + follower.size();
        let disappointing = variables <= POLISHED_IN_VAIN && kept > promised + 1e-2 * (1.0 + promised.abs());
        let wanted = (residual > CONVERGED && variables <= POLISHED) || disappointing;
        if wanted && !self.must_stop(observer) {
            let mut solver = LowerSolver::new(follower, &self.failures, &self.meter);
            let answer = solver.solve(x, &answer.y[..m], smoothing, &Regulariser::default());
            let mut from = vec![(x.to_vec(), y.to_vec(), answer)];
            if let Basin::Edge(x, answer) = basin {
                from.push((x, answer.y[..m].to_vec(), answer));
            }
            for (x, y, answer) in &from {
                let polished = self.polished((leader, follower), (x, y), answer, models, observer);
                residual = residual.min(polished.as_ref().map_or(f64::INFINITY, |polished| polished.residual));
                step = "polish";
                if let Some(polished) = polished {
                    self.polish_candidates(run, polished, &mut solver);
                }
            }
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
        let (levels, value) = ((leader, follower), value.as_deref_mut());
        polish(levels, start, value, smoothing, &self.polish, &self.failures, &|| !self.must_stop(observer))
    }
}

/// What methods without matrices keep from one stage to the next.
struct Memory {
    multipliers: Vec<f64>,
    penalty: f64,
}

impl Default for Memory {
    fn default() -> Self {
        Self { multipliers: Vec::new(), penalty: 1.0 }
    }
}

/// A point beyond this has left for infinity.
const FAR: f64 = 1e8;
/// Violations above this after a stage mean that the stage failed.
const STUCK: f64 = 1e-6;
/// A polish with a residual above this did not converge.
const CONVERGED: f64 = 1e-6;

/// Variables of both levels up to which a polish is tried where the answer as a function of x has been followed already.
const POLISHED_IN_VAIN: usize = 60;
/// Variables of both levels up to which the polish, with its dense matrices, is tried at all.
const POLISHED: usize = 500;

/// SQP on (VFP_epsilon^mu): v carries the lower solver's rounding, so that progress below that is none.
fn stage_settings() -> sqp::Settings {
    sqp::Settings { max_iterations: 60, progress_tolerance: 1e-10, ..sqp::Settings::default() }
}
