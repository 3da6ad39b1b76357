//! A primal-dual interior point method with a filter line search, for smooth problems with second derivatives.
//!
//! ```text
//! minimise f(z) − μ Σ ln(slacks)  for μ ↓ 0;   Newton steps on   ∇f + Jᵀy − zl + zu = 0,  rows = 0,  slack · dual = μ
//! ```
//!
//! Source: Wächter & Biegler, *On the implementation of an interior-point filter line-search algorithm for large-scale
//! nonlinear programming*, Math. Program. 106 (2006) 25-57. Dense linear algebra: for up to a few hundred variables.
//! What is added: fixed variables are eliminated, and at the end Newton steps on the active set (module `polish`)
//! bring point and multipliers to rounding accuracy. Without constraints and bounds it is a Newton method.
//!
//! A stationary point with directions of negative curvature is left once more for a lower one nearby.
//!
//! Without second derivatives a damped BFGS matrix takes their place.

mod core;
mod filter;
mod form;
mod measure;
mod newton;
mod restoration;
mod search;
#[cfg(test)]
mod tests;

use self::core::{Core, End, Run, push_inside};
use self::form::Form;
use super::polish::Polisher;
use super::reduced::Reduced;
use super::residual::Assessor;
use super::{Control, Evaluations, Multipliers, Nlp, Residuals, Solution, Status};
use bilevel_linalg::Dense;

/// Part of the tolerance by which inequality rows are relaxed, so that every feasible set has an interior.
const RELAXATION: f64 = 0.1;
/// Prices of violation tried where the method fails on the problem itself.
const PRICES: [f64; 2] = [1e4, 1e7];
/// The barrier parameter that they start from, and how far the start is pushed inside: it is near a solution.
const ELASTIC_BARRIER: f64 = 1e-4;

/// How far beside a stationary point with negative curvature the second attempt starts.
const SADDLE_STEP: f64 = 1e-2;

/// How the interior point method works. `Settings::default()` is meant for the follower's problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Tolerance on [`Residuals::scaled`]; default 1e-10. Positive.
    pub tolerance: f64,
    /// The looser tolerance of [`Status::Acceptable`]; default 1e-6.
    pub acceptable_tolerance: f64,
    /// Most iterations, restoration included; default 200. Where the method fails on the problem itself, each of up
    /// to two attempts with violations at a price has as many.
    pub max_iterations: usize,
    /// The first barrier parameter, for the scaled problem; default 0.1.
    pub barrier: f64,
    /// How far inside its bounds the start is pushed, relative to bound and width; default 1e-2. In (0, 0.5).
    pub push: f64,
    /// Whether Newton steps on the active set finish the solution; default true.
    pub polish: bool,
    /// An objective below minus this, or a point this large, is unbounded; default 1e12 (scaled problem).
    pub diverging: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tolerance: 1e-10,
            acceptable_tolerance: 1e-6,
            max_iterations: 200,
            barrier: 0.1,
            push: 1e-2,
            polish: true,
            diverging: 1e12,
        }
    }
}

/// Where a solve starts from when a similar problem was solved before.
#[derive(Clone, Debug)]
pub struct WarmStart<'a> {
    /// Multipliers in the module's convention.
    pub multipliers: &'a Multipliers,
    /// The first barrier parameter, such as 1e-4; it is also how far the start is pushed inside its bounds.
    pub barrier: f64,
}

/// Finds a local solution from the point `start` (length d; moved inside the bounds if need be).
pub fn solve(nlp: &mut dyn Nlp, start: &[f64], settings: &Settings) -> Solution {
    solve_with(nlp, start, None, settings, None)
}

/// As [`solve`], with multipliers to start from and a control function.
///
/// A warm start whose lengths do not fit is ignored.
pub fn solve_with<'c>(
    nlp: &mut dyn Nlp,
    start: &[f64],
    warm: Option<WarmStart<'_>>,
    settings: &Settings,
    control: Option<&'c mut Control<'c>>,
) -> Solution {
    let frame = nlp.frame();
    let (n, r, k) = (frame.variables(), frame.rows.rows(), frame.constraints());
    let mut problem = match Reduced::new(nlp, start) {
        Ok(problem) => problem,
        Err(status) => return Solution::failed(status, start, (n, r, k)),
    };
    let mut run = Run {
        tolerance: settings.tolerance.max(1e-14),
        diverging: settings.diverging,
        iterations: 0,
        limit: settings.max_iterations,
        control,
    };
    let mut z = vec![0.0; problem.variables()];
    problem.gather(start, &mut z);
    clamp(&mut z, &problem);
    let fits = |w: &WarmStart| {
        let m = w.multipliers;
        (m.bounds.len(), m.rows.len(), m.constraints.len()) == (n, r, k)
    };
    let warm = warm.filter(fits);
    let mut solver = Solver { settings, assessor: Assessor::new(n, r, k), best: None };
    let end = solver.first(&mut problem, &z, warm, &mut run);
    let status = solver.conclude(&mut problem, end, &mut run);
    solver.solution(problem, status, run.iterations, start)
}

/// A point with its multipliers, in the problem's own units.
struct Candidate {
    z: Vec<f64>,
    multipliers: Multipliers,
    objective: f64,
    residuals: Residuals,
}

struct Solver<'s> {
    settings: &'s Settings,
    assessor: Assessor,
    best: Option<Candidate>,
}

impl Solver<'_> {
    /// The method on the problem as it is.
    fn first(&mut self, problem: &mut Reduced, z: &[f64], warm: Option<WarmStart<'_>>, run: &mut Run) -> End {
        let (mu, push) = match &warm {
            Some(w) => {
                let mu = w.barrier.clamp(0.1 * run.tolerance, 1e3);
                (mu, self.settings.push.min(mu))
            }
            None => (self.settings.barrier.max(0.1 * run.tolerance), self.settings.push),
        };
        // Functions may be undefined near the bounds: then the start moves further inside.
        let Some(mut core) = [push, 0.1, 0.4].into_iter().find_map(|push| prepare(problem, z, mu, push, run.tolerance))
        else {
            return End::Numerical;
        };
        match warm {
            Some(w) => warm_duals(&mut core, problem, w.multipliers),
            None => core.estimate_multipliers(),
        }
        let end = core.run(problem, run, None);
        self.offer(problem, &core);
        if matches!(end, End::Converged | End::Stalled) && core.is_saddle(problem) {
            self.leave_saddle(problem, run);
        }
        end
    }

    /// Tries again from a point beside the stationary one, where directions of negative curvature show in the
    /// gradient. What is found is kept if it is solved and lower.
    fn leave_saddle(&mut self, problem: &mut Reduced, run: &mut Run) {
        let is_stationary = |b: &Candidate| b.residuals.scaled <= self.settings.acceptable_tolerance;
        let Some(saddle) = self.best.take_if(|b| is_stationary(b)) else { return };
        let mut z = vec![0.0; problem.variables()];
        problem.gather(&saddle.z, &mut z);
        for (j, z) in z.iter_mut().enumerate() {
            // No component is zero, none equals another: no symmetry survives.
            let shift = SADDLE_STEP * (0.5 + (1.0 + j as f64).sqrt().fract()) * z.abs().max(1.0);
            *z += if j % 2 == 0 { shift } else { -shift };
        }
        clamp(&mut z, problem);
        if let Some(mut core) = prepare(problem, &z, SADDLE_STEP, SADDLE_STEP, run.tolerance) {
            core.estimate_multipliers();
            core.run(problem, run, None);
            self.offer(problem, &core);
        }
        let lower = |b: &Candidate| {
            let gain = saddle.objective - b.objective;
            b.residuals.scaled <= run.tolerance && gain > run.tolerance * (1.0 + saddle.objective.abs())
        };
        if !self.best.as_ref().is_some_and(lower) {
            self.best = Some(saddle);
        }
    }

    /// Turns the end of the iteration into a status; tries the elastic form where the method broke down.
    fn conclude(&mut self, problem: &mut Reduced, end: End, run: &mut Run) -> Status {
        let error = |s: &Self| s.best.as_ref().map_or(f64::INFINITY, |b| b.residuals.scaled);
        match end {
            End::Interrupted => return Status::Interrupted,
            End::Unbounded => return Status::Unbounded,
            End::Numerical if self.best.is_none() => return Status::Numerical,
            _ => {}
        }
        let mut infeasible = end == End::Infeasible;
        if error(self) > run.tolerance && problem.rows() > 0 && !infeasible {
            for price in PRICES {
                match self.elastic(problem, price, run) {
                    End::Interrupted => return Status::Interrupted,
                    _ if error(self) <= run.tolerance => break,
                    End::Infeasible => infeasible = true,
                    _ => {}
                }
            }
        }
        if error(self) <= run.tolerance {
            return Status::Solved;
        }
        match end {
            _ if error(self) <= self.settings.acceptable_tolerance => Status::Acceptable,
            _ if infeasible => Status::Infeasible,
            End::Limit => Status::IterationLimit,
            End::Numerical => Status::Numerical,
            _ => Status::Stalled,
        }
    }

    /// The problem with violations at a price, from the best point so far.
    fn elastic(&mut self, problem: &mut Reduced, price: f64, run: &mut Run) -> End {
        let d = problem.variables();
        let Some(best) = &self.best else { return End::Numerical };
        let (mut z, mut bounds, mut rows) = (vec![0.0; d], vec![0.0; d], vec![0.0; problem.rows()]);
        problem.gather(&best.z, &mut z);
        problem.scaled_multipliers(&best.multipliers, &mut bounds, &mut rows);
        let standard = Form::standard(problem, 0.0);
        let outer = standard.n();
        let mut core = Core::new(standard.elastic(price, 1.0, None), ELASTIC_BARRIER);
        core.point.x[..d].copy_from_slice(&z);
        if !place_slacks(&mut core, problem, ELASTIC_BARRIER) {
            return End::Numerical;
        }
        let mut c = vec![0.0; core.form.m];
        standard.residual(problem, &core.point.x[..outer], &mut c);
        restoration::split_violation(&mut core, outer, &c, price);
        core.center_duals();
        for (y, r) in core.point.y.iter_mut().zip(&rows) {
            *y = if r.is_finite() { -r.clamp(-0.9 * price, 0.9 * price) } else { 0.0 };
        }
        if !core.start(problem) {
            return End::Numerical;
        }
        run.limit = run.iterations + self.settings.max_iterations;
        let end = core.run(problem, run, None);
        self.offer(problem, &core);
        standard.residual(problem, &core.point.x[..outer], &mut c);
        restoration::judge(end, &mut core, &c, price, run.tolerance)
    }

    /// Keeps the core's point if it is better than the best so far, and polishes it.
    fn offer(&mut self, problem: &mut Reduced, core: &Core) {
        let d = core.form.d;
        let mut z = core.point.x[..d].to_vec();
        clamp(&mut z, problem);
        let bounds: Vec<f64> = (0..d).map(|j| core.point.zl[j] - core.point.zu[j]).collect();
        let rows: Vec<f64> = core.point.y.iter().map(|y| -y).collect();
        self.keep(problem, &z, &bounds, &rows);
        if self.settings.polish && finite_enough(self.best.as_ref()) {
            let mut polisher = Polisher::new(problem, &z, &bounds, &rows);
            while let Some((z, bounds, rows)) = polisher.step(problem) {
                self.keep(problem, z, bounds, rows);
            }
        }
    }

    fn keep(&mut self, problem: &mut Reduced, z: &[f64], bounds: &[f64], rows: &[f64]) -> bool {
        let multipliers = problem.multipliers(z, bounds, rows);
        let full = problem.full(z).to_vec();
        let (objective, residuals) = problem.assess(&mut self.assessor, &full, &multipliers);
        let better = self.best.as_ref().is_none_or(|b| residuals.scaled < b.residuals.scaled);
        if better {
            self.best = Some(Candidate { z: full, multipliers, objective, residuals });
        }
        better
    }

    fn solution(self, problem: Reduced, status: Status, iterations: usize, start: &[f64]) -> Solution {
        let evaluations: Evaluations = problem.evaluations;
        match self.best {
            Some(b) => Solution {
                status,
                z: b.z,
                objective: b.objective,
                multipliers: b.multipliers,
                residuals: b.residuals,
                iterations,
                evaluations,
            },
            None => Solution { iterations, evaluations, ..Solution::failed(status, start, self.assessor.sizes()) },
        }
    }
}

fn clamp(z: &mut [f64], problem: &Reduced) {
    for (z, (&l, &u)) in z.iter_mut().zip(problem.lower.iter().zip(&problem.upper)) {
        *z = z.clamp(l, u);
    }
}

fn finite_enough(best: Option<&Candidate>) -> bool {
    best.is_some_and(|b| b.residuals.scaled < 1e-2)
}

/// The iteration at a start pushed inside its bounds. `None` if something is not finite there.
fn prepare(problem: &mut Reduced, z: &[f64], mu: f64, push: f64, tolerance: f64) -> Option<Core> {
    let d = problem.variables();
    let mut inside = z.to_vec();
    push_inside(&mut inside, &problem.lower, &problem.upper, push);
    let (mut gradient, mut jacobian) = (vec![0.0; d], Dense::zeros(problem.rows(), d));
    problem.scale(&inside, &mut gradient, &mut jacobian).ok()?;
    let mut core = Core::new(Form::standard(problem, RELAXATION * tolerance), mu);
    core.point.x[..d].copy_from_slice(&inside);
    if !place_slacks(&mut core, problem, push) {
        return None;
    }
    core.center_duals();
    core.start(problem).then_some(core)
}

/// Slacks at the values of their rows, pushed inside their bounds. False if a value is not finite.
fn place_slacks(core: &mut Core, problem: &mut Reduced, push: f64) -> bool {
    let d = core.form.d;
    let mut values = vec![0.0; core.form.m];
    let z = core.point.x[..d].to_vec();
    problem.values(&z, &mut values);
    for (k, a) in core.form.auxiliaries.iter().zip(core.point.x[d..].iter_mut()) {
        *a = values[k.row];
    }
    push_inside(&mut core.point.x, &core.form.lower, &core.form.upper, push);
    core.point.x.iter().all(|v| v.is_finite())
}

/// Duals from a solution of a similar problem, kept near the central path of the current μ.
fn warm_duals(core: &mut Core, problem: &Reduced, from: &Multipliers) {
    let d = core.form.d;
    let (mut bounds, mut rows) = (vec![0.0; d], vec![0.0; core.form.m]);
    problem.scaled_multipliers(from, &mut bounds, &mut rows);
    let all_finite = bounds.iter().chain(&rows).all(|v| v.is_finite());
    if !all_finite {
        core.estimate_multipliers();
        return;
    }
    for (y, r) in core.point.y.iter_mut().zip(&rows) {
        *y = -r;
    }
    let on_slacks = core.form.auxiliaries.iter().map(|k| rows[k.row]);
    for (j, multiplier) in bounds.iter().copied().chain(on_slacks).enumerate() {
        let (low, high) = (multiplier.max(0.0), (-multiplier).max(0.0));
        core.point.zl[j] = core.point.zl[j].max(low);
        core.point.zu[j] = core.point.zu[j].max(high);
        if core.form.lower[j] == f64::NEG_INFINITY {
            core.point.zl[j] = 0.0;
        }
        if core.form.upper[j] == f64::INFINITY {
            core.point.zu[j] = 0.0;
        }
    }
}
