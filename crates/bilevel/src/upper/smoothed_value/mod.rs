//! The smoothed value-function method [Alcantara & Takeda 2025, §2.3]: for mu_k, epsilon_k going down, an approximate KKT
//! point of (VFP_epsilon^mu) by SQP from the last one (Remark 2.16); then the polish to follower gap 0.
//!
//! ```text
//! mod.rs       the main loop
//! schedule.rs  the levels of mu and epsilon
//! finish.rs    the exact answer at the end, followed over x and polished
//! basin.rs     the same on one basin of a follower that is not convex
//! ```

mod basin;
mod finish;
mod schedule;

pub use schedule::Schedule;

use super::matrix_free::MatrixFree;
use super::{Levels, PolishSettings, Run, SmoothedPoint, ValueFunctionProgramme};
use super::{augmented_lagrangian, projected_gradient};
use crate::lower::{Follower, Meter};
use crate::nlp::{self, sqp};
use crate::observe::{Observer, Stage};
use crate::problem::{Failures, Problem};
use crate::set::ConvexSet;
use crate::smooth::Family;
use crate::value::ValueModel;

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
/// SQP on (VFP_epsilon^mu): v carries the lower solver's rounding, so that progress below that is none.
fn stage_settings() -> sqp::Settings {
    sqp::Settings { max_iterations: 60, progress_tolerance: 1e-10, ..sqp::Settings::default() }
}
