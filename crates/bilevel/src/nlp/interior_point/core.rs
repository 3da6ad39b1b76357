//! The iteration: Newton steps on the perturbed optimality conditions, a filter line search, a barrier parameter that
//! falls when its problem is solved well enough.
//!
//! Source: Wächter & Biegler (2006), Algorithm A, with their constants. x = (z, a) as in [`super::form`].

use super::super::bfgs::Bfgs;
use super::super::reduced::Reduced;
use super::super::{Control, Iteration};
use super::filter::Filter;
use super::form::Form;
use super::measure::{DAMPING, Errors, finite, norm_inf, norm1};
use super::newton::Newton;
use super::restoration::Goal;
use bilevel_linalg::Dense;

/// κ_ε: a barrier problem is solved when its error is below this multiple of μ.
const BARRIER_ACCURACY: f64 = 10.0;
/// κ_μ and θ_μ: μ falls to min(κ_μ μ, μ^θ_μ).
const BARRIER_FACTOR: f64 = 0.2;
const BARRIER_POWER: f64 = 1.5;
/// κ_Σ: dual variables stay within this factor of μ / distance.
const DUAL_RANGE: f64 = 1e10;
/// So many steps in a row below this length are taken as a failure of the line search.
const MANY_SHORT: usize = 8;
const SHORT: f64 = 1e-2;
/// Multiplier estimates larger than this are discarded.
const LARGEST_ESTIMATE: f64 = 1e3;

/// Why the iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The error is below the tolerance.
    Converged,
    /// No further progress; the point may still be good.
    Stalled,
    /// The violation is stationary and not small.
    Infeasible,
    Unbounded,
    Numerical,
    Limit,
    Interrupted,
    /// The restoration's goal is met.
    Restored,
}

/// What all phases of one solve share.
pub(super) struct Run<'c> {
    pub tolerance: f64,
    pub diverging: f64,
    pub iterations: usize,
    pub limit: usize,
    pub control: Option<&'c mut Control<'c>>,
}

/// Primal and dual variables.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    pub zl: Vec<f64>,
    pub zu: Vec<f64>,
}

/// The iteration's state and workspace.
pub(super) struct Core {
    pub(super) form: Form,
    pub(super) point: Point,
    pub(super) mu: f64,
    pub(super) filter: Filter,
    pub(super) newton: Newton,
    pub(super) bfgs: Option<Bfgs>,
    /// Objective, gradient, row residuals, Jacobian at the current point.
    pub(super) f: f64,
    pub(super) g: Vec<f64>,
    pub(super) c: Vec<f64>,
    pub(super) jacobian: Dense,
    pub(super) w: Dense,
    pub(super) jty: Vec<f64>,
    pub(super) sigma: Vec<f64>,
    pub(super) barrier_gradient: Vec<f64>,
    pub(super) dx: Vec<f64>,
    pub(super) dy: Vec<f64>,
    pub(super) dzl: Vec<f64>,
    pub(super) dzu: Vec<f64>,
    pub(super) trial: Vec<f64>,
    pub(super) trial_c: Vec<f64>,
    pub(super) corrected_c: Vec<f64>,
    pub(super) corrected_dx: Vec<f64>,
    pub(super) corrected_dy: Vec<f64>,
    pub(super) trial_g: Vec<f64>,
    pub(super) trial_jacobian: Dense,
    pub(super) small_violation: f64,
    pub(super) step: f64,
    pub(super) soft_steps: usize,
    pub(super) tiny_steps: usize,
    pub(super) short_steps: usize,
}

impl Core {
    /// Room for a form. The point is at the start that the caller writes.
    pub(super) fn new(form: Form, mu: f64) -> Self {
        let (n, m, d) = (form.n(), form.m, form.d);
        let zeros = || vec![0.0; n];
        Self {
            newton: Newton::new(&form),
            point: Point { x: zeros(), y: vec![0.0; m], zl: zeros(), zu: zeros() },
            mu,
            filter: Filter::default(),
            bfgs: None,
            f: 0.0,
            g: zeros(),
            c: vec![0.0; m],
            jacobian: Dense::zeros(m, d),
            w: Dense::zeros(d, d),
            jty: zeros(),
            sigma: zeros(),
            barrier_gradient: zeros(),
            dx: zeros(),
            dy: vec![0.0; m],
            dzl: zeros(),
            dzu: zeros(),
            trial: zeros(),
            trial_c: vec![0.0; m],
            corrected_c: vec![0.0; m],
            corrected_dx: zeros(),
            corrected_dy: vec![0.0; m],
            trial_g: zeros(),
            trial_jacobian: Dense::zeros(m, d),
            small_violation: 0.0,
            step: 0.0,
            soft_steps: 0,
            tiny_steps: 0,
            short_steps: 0,
            form,
        }
    }

    /// Dual variables of the bounds from the barrier: μ / distance.
    pub(super) fn center_duals(&mut self) {
        for j in 0..self.form.n() {
            self.point.zl[j] = self.mu / (self.point.x[j] - self.form.lower[j]);
            self.point.zu[j] = self.mu / (self.form.upper[j] - self.point.x[j]);
        }
    }

    /// Evaluates everything at the current point and resets the filter. False if something is not finite.
    pub(super) fn start(&mut self, problem: &mut Reduced) -> bool {
        self.f = self.form.objective(problem, &self.point.x);
        self.form.residual(problem, &self.point.x, &mut self.c);
        self.form.gradient(problem, &self.point.x, &mut self.g);
        problem.jacobian(&self.point.x[..self.form.d], &mut self.jacobian);
        let theta = norm1(&self.c);
        self.filter = Filter::new(1e4 * theta.max(1.0));
        self.small_violation = 1e-4 * theta.max(1.0);
        self.f.is_finite() && finite(&self.c) && finite(&self.g) && finite(self.jacobian.data())
    }

    /// Least-squares estimate of the row multipliers at the current point (zero where it is large).
    pub(super) fn estimate_multipliers(&mut self) {
        if self.form.m == 0 {
            return;
        }
        self.w.data_mut().fill(0.0);
        self.sigma.fill(1.0);
        for j in 0..self.form.n() {
            self.barrier_gradient[j] = self.g[j] - self.point.zl[j] + self.point.zu[j];
        }
        self.jty.fill(0.0);
        self.corrected_c.fill(0.0);
        let solved = self.newton.factor(&self.form, &self.w, &self.jacobian, &self.sigma, self.mu)
            && self.newton.solve(
                &self.form,
                &self.sigma,
                &self.barrier_gradient,
                &self.jty,
                &self.corrected_c,
                &mut self.dx,
                &mut self.dy,
            );
        if solved && self.dy.iter().all(|v| v.abs() <= LARGEST_ESTIMATE) {
            self.point.y.copy_from_slice(&self.dy);
        } else {
            self.point.y.fill(0.0);
        }
        self.newton.forget();
    }

    /// Iterates until something in [`End`] happens. [`Self::start`] must have succeeded.
    pub(super) fn run(&mut self, problem: &mut Reduced, run: &mut Run, goal: Option<&Goal>) -> End {
        loop {
            self.product();
            let errors = self.errors();
            if let Some(end) = self.finished(problem, run, goal, &errors) {
                return end;
            }
            run.iterations += 1;
            self.lower_barrier(run.tolerance, &errors);
            if !self.direction(problem) {
                match self.rescue(problem, run, goal) {
                    Some(end) => return end,
                    None => continue,
                }
            }
            if self.is_tiny() {
                self.tiny_steps += 1;
                if self.tiny_steps > 2 || !self.accept_tiny(problem) {
                    if self.force_barrier(run.tolerance) {
                        self.tiny_steps = 0;
                        continue;
                    }
                    return End::Stalled;
                }
                continue;
            }
            self.tiny_steps = 0;
            if self.search(problem) {
                self.soft_steps = 0;
                self.short_steps = if self.step < SHORT { self.short_steps + 1 } else { 0 };
                if self.short_steps < MANY_SHORT {
                    continue;
                }
                self.short_steps = 0;
                if let Some(end) = self.rescue(problem, run, goal) {
                    return end;
                }
                continue;
            }
            if self.soft_steps < 10 && self.soft_step(problem) {
                self.soft_steps += 1;
                continue;
            }
            self.soft_steps = 0;
            if let Some(end) = self.rescue(problem, run, goal) {
                return end;
            }
        }
    }

    /// jty = Gᵀ y at the current point.
    pub(super) fn product(&mut self) {
        self.jty.fill(0.0);
        self.form.transpose_mul_add(&self.jacobian, &self.point.y, &mut self.jty);
    }

    pub(super) fn finished(
        &mut self,
        problem: &mut Reduced,
        run: &mut Run,
        goal: Option<&Goal>,
        errors: &Errors,
    ) -> Option<End> {
        if let Some(control) = run.control.as_mut() {
            let scale = problem.objective_scale();
            let keep = control(&Iteration {
                number: run.iterations,
                z: problem.full(&self.point.x[..self.form.d]),
                objective: self.f / scale,
                violation: errors.primal,
                stationarity: errors.dual,
                barrier: self.mu,
                step: self.step,
            });
            if !keep {
                return Some(End::Interrupted);
            }
        }
        if bilevel_linalg::stop::asked() {
            return Some(End::Interrupted);
        }
        if let Some(goal) = goal
            && goal.met(problem, &self.point.x)
        {
            return Some(End::Restored);
        }
        if self.total(errors, 0.0) <= run.tolerance {
            return Some(End::Converged);
        }
        let far = norm_inf(&self.point.x) > run.diverging || self.f < -run.diverging;
        if far && goal.is_none() {
            return Some(if errors.primal <= 1e-6 * norm_inf(&self.point.x).max(1.0) {
                End::Unbounded
            } else {
                End::Stalled
            });
        }
        (run.iterations >= run.limit).then_some(End::Limit)
    }

    /// Lowers μ while the current barrier problem is solved.
    pub(super) fn lower_barrier(&mut self, tolerance: f64, errors: &Errors) {
        while self.total(errors, self.mu) <= BARRIER_ACCURACY * self.mu && self.force_barrier(tolerance) {}
    }

    /// Lowers μ once; false if it is at its floor.
    pub(super) fn force_barrier(&mut self, tolerance: f64) -> bool {
        let floor = 0.1 * tolerance;
        if self.mu <= floor {
            return false;
        }
        self.mu = (BARRIER_FACTOR * self.mu).min(self.mu.powf(BARRIER_POWER)).max(floor);
        self.filter.clear();
        true
    }

    pub(super) fn bounded(&self, j: usize) -> (bool, bool) {
        (self.form.lower[j].is_finite(), self.form.upper[j].is_finite())
    }

    /// Assembles and solves the Newton system. False if it cannot be solved.
    pub(super) fn direction(&mut self, problem: &mut Reduced) -> bool {
        if self.bfgs.is_none() && !self.form.hessian(problem, &self.point.x, &self.point.y, &mut self.w) {
            self.bfgs = Some(Bfgs::new(self.form.d));
        }
        for j in 0..self.form.n() {
            let (has_lower, has_upper) = self.bounded(j);
            let (mut sigma, mut gradient) = (0.0, self.g[j]);
            if has_lower {
                let distance = self.point.x[j] - self.form.lower[j];
                sigma += self.point.zl[j] / distance;
                gradient -= self.mu / distance;
            }
            if has_upper {
                let distance = self.form.upper[j] - self.point.x[j];
                sigma += self.point.zu[j] / distance;
                gradient += self.mu / distance;
            }
            if has_lower != has_upper {
                gradient += if has_lower { DAMPING * self.mu } else { -DAMPING * self.mu };
            }
            self.sigma[j] = sigma;
            self.barrier_gradient[j] = gradient;
        }
        let w = self.bfgs.as_ref().map_or(&self.w, |b| b.matrix());
        self.newton.factor(&self.form, w, &self.jacobian, &self.sigma, self.mu)
            && self.newton.solve(
                &self.form,
                &self.sigma,
                &self.barrier_gradient,
                &self.jty,
                &self.c,
                &mut self.dx,
                &mut self.dy,
            )
            && self.dual_direction()
    }

    /// The step of the bounds' duals that belongs to dx.
    pub(super) fn dual_direction(&mut self) -> bool {
        for j in 0..self.form.n() {
            let (has_lower, has_upper) = self.bounded(j);
            if has_lower {
                let distance = self.point.x[j] - self.form.lower[j];
                self.dzl[j] = (self.mu - self.point.zl[j] * self.dx[j]) / distance - self.point.zl[j];
            }
            if has_upper {
                let distance = self.form.upper[j] - self.point.x[j];
                self.dzu[j] = (self.mu + self.point.zu[j] * self.dx[j]) / distance - self.point.zu[j];
            }
        }
        finite(&self.dzl) && finite(&self.dzu)
    }

    /// Moves to the trial point, with step length `alpha` for y and the dual limit for the bounds' duals.
    pub(super) fn accept(&mut self, f: f64, alpha: f64, corrected: bool) {
        if corrected {
            // The duals follow the corrected step, so that they belong to the point that is taken.
            std::mem::swap(&mut self.dx, &mut self.corrected_dx);
            self.dual_direction();
            self.dy.copy_from_slice(&self.corrected_dy);
        }
        let dual = self.dual_limit();
        self.step = alpha;
        for (y, s) in self.point.y.iter_mut().zip(&self.dy) {
            *y += alpha * s;
        }
        self.update_bfgs();
        std::mem::swap(&mut self.point.x, &mut self.trial);
        std::mem::swap(&mut self.c, &mut self.trial_c);
        std::mem::swap(&mut self.g, &mut self.trial_g);
        std::mem::swap(&mut self.jacobian, &mut self.trial_jacobian);
        self.f = f;
        for j in 0..self.form.n() {
            let (has_lower, has_upper) = self.bounded(j);
            if has_lower {
                let center = self.mu / (self.point.x[j] - self.form.lower[j]);
                let z = self.point.zl[j] + dual * self.dzl[j];
                self.point.zl[j] = z.clamp(center / DUAL_RANGE, center * DUAL_RANGE);
            }
            if has_upper {
                let center = self.mu / (self.form.upper[j] - self.point.x[j]);
                let z = self.point.zu[j] + dual * self.dzu[j];
                self.point.zu[j] = z.clamp(center / DUAL_RANGE, center * DUAL_RANGE);
            }
        }
    }

    /// Feeds the change of the Lagrangian's gradient to the quasi-Newton matrix, where there is one.
    pub(super) fn update_bfgs(&mut self) {
        let Some(bfgs) = self.bfgs.as_mut() else { return };
        let d = self.form.d;
        let (s, change) = (&mut self.corrected_dx[..d], &mut self.jty[..d]);
        for (j, (s, v)) in s.iter_mut().zip(change.iter_mut()).enumerate() {
            *s = self.trial[j] - self.point.x[j];
            *v = self.trial_g[j] - self.g[j] - self.form.proximal_weight(j) * *s;
        }
        self.trial_jacobian.transpose_mul_add(1.0, &self.point.y, change);
        self.jacobian.transpose_mul_add(-1.0, &self.point.y, change);
        bfgs.update(s, change);
    }

    /// Whether the barrier problem has directions of negative curvature here.
    pub(super) fn is_saddle(&mut self, problem: &mut Reduced) -> bool {
        self.product();
        // Without a step there is no factorisation yet.
        (self.step > 0.0 || self.direction(problem)) && self.newton.indefinite
    }

    /// What remains when no step is accepted: settle near a solution, reset elastic variables, or restore
    /// feasibility. `None` to go on.
    pub(super) fn rescue(&mut self, problem: &mut Reduced, run: &mut Run, goal: Option<&Goal>) -> Option<End> {
        self.product();
        let errors = self.errors();
        if self.total(&errors, 0.0) <= 1e3 * run.tolerance {
            return Some(End::Stalled);
        }
        if goal.is_some() || self.form.m == 0 || errors.primal <= run.tolerance {
            // At a feasible point a better barrier problem may be all that is missing.
            return if self.force_barrier(run.tolerance) { None } else { Some(End::Stalled) };
        }
        super::restoration::restore(self, problem, run)
    }
}

/// Moves x strictly inside its bounds, by at least `push` relative to bound and width.
pub(super) fn push_inside(x: &mut [f64], lower: &[f64], upper: &[f64], push: f64) {
    for ((x, &l), &u) in x.iter_mut().zip(lower).zip(upper) {
        let width = if u - l < f64::INFINITY { push * (u - l) } else { f64::INFINITY };
        let inward = |bound: f64| if bound.is_finite() { (push * bound.abs().max(1.0)).min(width) } else { 0.0 };
        let (low, high) = (l + inward(l), u - inward(u));
        *x = if low <= high { x.clamp(low, high) } else { 0.5 * (l + u) };
    }
}
