//! The iteration: Newton steps on the perturbed optimality conditions, a filter line search, a barrier parameter that
//! falls when its problem is solved well enough.
//!
//! Source: Wächter & Biegler (2006), Algorithm A, with their constants. x = (z, a) as in [`super::form`].

use super::super::bfgs::Bfgs;
use super::super::reduced::Reduced;
use super::super::{Control, Iteration};
use super::filter::{Filter, improves, not_above, smallest_step};
use super::form::Form;
use super::newton::Newton;
use super::restoration::Goal;
use bilevel_linalg::Dense;

/// κ_ε: a barrier problem is solved when its error is below this multiple of μ.
const BARRIER_ACCURACY: f64 = 10.0;
/// κ_μ and θ_μ: μ falls to min(κ_μ μ, μ^θ_μ).
const BARRIER_FACTOR: f64 = 0.2;
const BARRIER_POWER: f64 = 1.5;
/// κ_d: the weight that keeps one-sided bounds from letting iterates drift away.
const DAMPING: f64 = 1e-5;
/// κ_Σ: dual variables stay within this factor of μ / distance.
const DUAL_RANGE: f64 = 1e10;
/// η: Armijo's constant.
const ARMIJO: f64 = 1e-4;
/// Most second-order corrections in a row.
const CORRECTIONS: usize = 4;
/// A step is tiny when no component moves by more than this, relative to its size.
const TINY: f64 = 10.0 * f64::EPSILON;
/// So many steps in a row below this length are taken as a failure of the line search.
const MANY_SHORT: usize = 8;
const SHORT: f64 = 1e-2;
/// Large multipliers loosen the tolerances by at most this factor.
const LARGEST_SCALE: f64 = 100.0;
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

/// Errors of the optimality conditions at the current point.
#[derive(Clone, Copy, Debug)]
struct Errors {
    dual: f64,
    primal: f64,
    dual_scale: f64,
    slack_scale: f64,
}

/// The iteration's state and workspace.
pub(super) struct Core {
    pub form: Form,
    pub point: Point,
    pub mu: f64,
    pub filter: Filter,
    newton: Newton,
    bfgs: Option<Bfgs>,
    /// Objective, gradient, row residuals, Jacobian at the current point.
    f: f64,
    g: Vec<f64>,
    c: Vec<f64>,
    jacobian: Dense,
    w: Dense,
    jty: Vec<f64>,
    sigma: Vec<f64>,
    barrier_gradient: Vec<f64>,
    dx: Vec<f64>,
    dy: Vec<f64>,
    dzl: Vec<f64>,
    dzu: Vec<f64>,
    trial: Vec<f64>,
    trial_c: Vec<f64>,
    corrected_c: Vec<f64>,
    corrected_dx: Vec<f64>,
    corrected_dy: Vec<f64>,
    trial_g: Vec<f64>,
    trial_jacobian: Dense,
    small_violation: f64,
    step: f64,
    soft_steps: usize,
    tiny_steps: usize,
    short_steps: usize,
}

impl Core {
    /// Room for a form. The point is at the start that the caller writes.
    pub fn new(form: Form, mu: f64) -> Self {
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

    /// Moves x strictly inside its bounds, by at least `push` relative to bound and width.
    pub fn push_inside(&mut self, push: f64) {
        for ((x, &l), &u) in self.point.x.iter_mut().zip(&self.form.lower).zip(&self.form.upper) {
            let width = if u - l < f64::INFINITY { push * (u - l) } else { f64::INFINITY };
            let inward = |bound: f64| if bound.is_finite() { (push * bound.abs().max(1.0)).min(width) } else { 0.0 };
            let (low, high) = (l + inward(l), u - inward(u));
            *x = if low <= high { x.clamp(low, high) } else { 0.5 * (l + u) };
        }
    }

    /// Dual variables of the bounds from the barrier: μ / distance.
    pub fn center_duals(&mut self) {
        for j in 0..self.form.n() {
            self.point.zl[j] = self.mu / (self.point.x[j] - self.form.lower[j]);
            self.point.zu[j] = self.mu / (self.form.upper[j] - self.point.x[j]);
        }
    }

    /// Evaluates everything at the current point and resets the filter. False if something is not finite.
    pub fn start(&mut self, problem: &mut Reduced) -> bool {
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
    pub fn estimate_multipliers(&mut self) {
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
    pub fn run(&mut self, problem: &mut Reduced, run: &mut Run, goal: Option<&Goal>) -> End {
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
    fn product(&mut self) {
        self.jty.fill(0.0);
        self.form.transpose_mul_add(&self.jacobian, &self.point.y, &mut self.jty);
    }

    fn errors(&self) -> Errors {
        let p = &self.point;
        let (mut dual, mut sum) = (0.0f64, 0.0f64);
        for j in 0..self.form.n() {
            dual = dual.max((self.g[j] + self.jty[j] - p.zl[j] + p.zu[j]).abs());
            sum += p.zl[j] + p.zu[j];
        }
        let bounds = self.form.n() as f64;
        let all = sum + norm1(&p.y);
        Errors {
            dual,
            primal: norm_inf(&self.c),
            dual_scale: (all / (bounds + self.form.m as f64).max(1.0) / 100.0).clamp(1.0, LARGEST_SCALE),
            slack_scale: (sum / bounds.max(1.0) / 100.0).clamp(1.0, LARGEST_SCALE),
        }
    }

    /// max |(x − bound) z − μ| over the finite bounds.
    fn complementarity(&self, mu: f64) -> f64 {
        let p = &self.point;
        let mut worst = 0.0f64;
        for j in 0..self.form.n() {
            if self.form.lower[j].is_finite() {
                worst = worst.max(((p.x[j] - self.form.lower[j]) * p.zl[j] - mu).abs());
            }
            if self.form.upper[j].is_finite() {
                worst = worst.max(((self.form.upper[j] - p.x[j]) * p.zu[j] - mu).abs());
            }
        }
        worst
    }

    fn total(&self, e: &Errors, mu: f64) -> f64 {
        (e.dual / e.dual_scale).max(e.primal).max(self.complementarity(mu) / e.slack_scale)
    }

    fn finished(&mut self, problem: &mut Reduced, run: &mut Run, goal: Option<&Goal>, errors: &Errors) -> Option<End> {
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
    fn lower_barrier(&mut self, tolerance: f64, errors: &Errors) {
        while self.total(errors, self.mu) <= BARRIER_ACCURACY * self.mu && self.force_barrier(tolerance) {}
    }

    /// Lowers μ once; false if it is at its floor.
    fn force_barrier(&mut self, tolerance: f64) -> bool {
        let floor = 0.1 * tolerance;
        if self.mu <= floor {
            return false;
        }
        self.mu = (BARRIER_FACTOR * self.mu).min(self.mu.powf(BARRIER_POWER)).max(floor);
        self.filter.clear();
        true
    }

    fn bounded(&self, j: usize) -> (bool, bool) {
        (self.form.lower[j].is_finite(), self.form.upper[j].is_finite())
    }

    /// The barrier objective at `x` with objective value `f`.
    fn barrier(&self, f: f64, x: &[f64]) -> f64 {
        barrier_value(&self.form, self.mu, f, x)
    }

    /// Assembles and solves the Newton system. False if it cannot be solved.
    fn direction(&mut self, problem: &mut Reduced) -> bool {
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
    fn dual_direction(&mut self) -> bool {
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

    /// Fraction to the boundary: the largest step in [0, 1] along `dx`.
    fn primal_limit(&self, dx: &[f64]) -> f64 {
        let tau = (1.0 - self.mu).max(0.99);
        let mut alpha: f64 = 1.0;
        for (j, &s) in dx.iter().enumerate() {
            if s < 0.0 {
                alpha = alpha.min(-tau * (self.point.x[j] - self.form.lower[j]) / s);
            } else if s > 0.0 {
                alpha = alpha.min(tau * (self.form.upper[j] - self.point.x[j]) / s);
            }
        }
        alpha
    }

    fn dual_limit(&self) -> f64 {
        let tau = (1.0 - self.mu).max(0.99);
        let mut alpha: f64 = 1.0;
        for (z, s) in self.point.zl.iter().zip(&self.dzl).chain(self.point.zu.iter().zip(&self.dzu)) {
            if *s < 0.0 {
                alpha = alpha.min(-tau * z / s);
            }
        }
        alpha
    }

    fn is_tiny(&self) -> bool {
        norm_inf(&self.c) <= 1e-4 && self.dx.iter().zip(&self.point.x).all(|(s, x)| s.abs() <= TINY * (1.0 + x.abs()))
    }

    /// Takes a step too small for function values to judge.
    fn accept_tiny(&mut self, problem: &mut Reduced) -> bool {
        let alpha = self.primal_limit(&self.dx);
        self.set_trial(alpha, false);
        let Some(f) = self.evaluate_trial(problem) else { return false };
        self.derivatives_at_trial(problem) && {
            self.accept(f, alpha, false);
            true
        }
    }

    /// trial = x + α dx (or the corrected dx).
    fn set_trial(&mut self, alpha: f64, corrected: bool) {
        let dx = if corrected { &self.corrected_dx } else { &self.dx };
        for ((t, x), s) in self.trial.iter_mut().zip(&self.point.x).zip(dx) {
            *t = x + alpha * s;
        }
    }

    /// The objective at the trial point; `None` if a function is not finite there, or a bound is touched.
    fn evaluate_trial(&mut self, problem: &mut Reduced) -> Option<f64> {
        let inside = |j: usize| self.trial[j] > self.form.lower[j] && self.trial[j] < self.form.upper[j];
        if !(0..self.form.n()).all(inside) {
            return None;
        }
        self.form.residual(problem, &self.trial, &mut self.trial_c);
        if !finite(&self.trial_c) {
            return None;
        }
        let f = self.form.objective(problem, &self.trial);
        f.is_finite().then_some(f)
    }

    fn derivatives_at_trial(&mut self, problem: &mut Reduced) -> bool {
        self.form.gradient(problem, &self.trial, &mut self.trial_g);
        problem.jacobian(&self.trial[..self.form.d], &mut self.trial_jacobian);
        finite(&self.trial_g) && finite(self.trial_jacobian.data())
    }

    /// The filter line search. False if no step length is accepted.
    fn search(&mut self, problem: &mut Reduced) -> bool {
        let theta = norm1(&self.c);
        let phi = self.barrier(self.f, &self.point.x);
        let descent: f64 = self.barrier_gradient.iter().zip(&self.dx).map(|(g, s)| g * s).sum();
        let longest = self.primal_limit(&self.dx);
        let shortest = smallest_step(theta, self.small_violation, descent);
        let mut alpha = longest;
        while alpha >= shortest {
            self.set_trial(alpha, false);
            if let Some(f) = self.evaluate_trial(problem) {
                let trial_theta = norm1(&self.trial_c);
                let trial_phi = self.barrier(f, &self.trial);
                let judged = Judged { theta, phi, descent, alpha };
                if self.judge(&judged, trial_theta, trial_phi) && self.derivatives_at_trial(problem) {
                    self.remember(&judged, trial_phi);
                    self.accept(f, alpha, false);
                    return true;
                }
                if alpha == longest && trial_theta >= theta && self.form.m > 0 && self.correct(problem, &judged) {
                    return true;
                }
            }
            alpha *= 0.5;
        }
        false
    }

    /// Whether the trial values are acceptable to the filter and to the current point.
    fn judge(&self, at: &Judged, theta: f64, phi: f64) -> bool {
        if !phi.is_finite() || !self.filter.accepts(theta, phi) {
            return false;
        }
        if self.switches(at) && at.theta <= self.small_violation {
            not_above(phi, at.phi + ARMIJO * at.alpha * at.descent)
        } else {
            improves(theta, phi, at.theta, at.phi)
        }
    }

    /// The switching condition: the step promises more for the objective than the violation is worth.
    fn switches(&self, at: &Judged) -> bool {
        at.descent < 0.0 && at.alpha * (-at.descent).powf(2.3) > at.theta.powf(1.1)
    }

    /// Adds the current point to the filter unless the step was judged by the objective alone.
    fn remember(&mut self, at: &Judged, trial_phi: f64) {
        if !self.switches(at) || !not_above(trial_phi, at.phi + ARMIJO * at.alpha * at.descent) {
            self.filter.add(at.theta, at.phi);
        }
    }

    /// Second-order correction of a rejected full step.
    fn correct(&mut self, problem: &mut Reduced, at: &Judged) -> bool {
        let mut alpha = at.alpha;
        self.corrected_c.copy_from_slice(&self.c);
        let mut last = at.theta;
        for _ in 0..CORRECTIONS {
            for (o, t) in self.corrected_c.iter_mut().zip(&self.trial_c) {
                *o = alpha * *o + t;
            }
            let solved = self.newton.solve(
                &self.form,
                &self.sigma,
                &self.barrier_gradient,
                &self.jty,
                &self.corrected_c,
                &mut self.corrected_dx,
                &mut self.corrected_dy,
            );
            if !solved {
                return false;
            }
            alpha = self.primal_limit(&self.corrected_dx);
            self.set_trial(alpha, true);
            let Some(f) = self.evaluate_trial(problem) else { return false };
            let theta = norm1(&self.trial_c);
            let phi = self.barrier(f, &self.trial);
            if self.judge(at, theta, phi) && self.derivatives_at_trial(problem) {
                self.remember(at, phi);
                self.accept(f, alpha, true);
                return true;
            }
            if theta > 0.99 * last {
                return false;
            }
            last = theta;
        }
        false
    }

    /// Moves to the trial point, with step length `alpha` for y and the dual limit for the bounds' duals.
    fn accept(&mut self, f: f64, alpha: f64, corrected: bool) {
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
    fn update_bfgs(&mut self) {
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

    /// One step for all variables, judged by the error of the optimality conditions instead of the filter. It is
    /// what remains where rounding errors decide the filter's comparisons.
    fn soft_step(&mut self, problem: &mut Reduced) -> bool {
        let before = self.perturbed_error();
        let alpha = self.primal_limit(&self.dx).min(self.dual_limit());
        self.set_trial(alpha, false);
        let Some(f) = self.evaluate_trial(problem) else { return false };
        if !self.derivatives_at_trial(problem) {
            return false;
        }
        let saved = (self.point.clone(), self.f, self.c.clone(), self.bfgs.clone());
        let (theta, phi) = (norm1(&self.c), self.barrier(self.f, &self.point.x));
        self.accept(f, alpha, false);
        self.product();
        if self.perturbed_error() <= (1.0 - 1e-4) * before {
            self.filter.add(theta, phi);
            return true;
        }
        // Gradient and Jacobian of the old point are in the trial's places after the swap.
        std::mem::swap(&mut self.g, &mut self.trial_g);
        std::mem::swap(&mut self.jacobian, &mut self.trial_jacobian);
        (self.point, self.f, self.c, self.bfgs) = saved;
        self.product();
        false
    }

    fn perturbed_error(&self) -> f64 {
        let e = self.errors();
        e.dual.max(e.primal).max(self.complementarity(self.mu))
    }

    /// What remains when no step is accepted: settle near a solution, reset elastic variables, or restore
    /// feasibility. `None` to go on.
    fn rescue(&mut self, problem: &mut Reduced, run: &mut Run, goal: Option<&Goal>) -> Option<End> {
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

    /// The current violation and barrier objective, for the restoration's goal.
    pub fn measures(&self) -> (f64, f64) {
        (norm1(&self.c), self.barrier(self.f, &self.point.x))
    }
}

/// The current point and step in a line search.
struct Judged {
    theta: f64,
    phi: f64,
    descent: f64,
    alpha: f64,
}

/// f − μ Σ ln(distances to bounds), damped where only one bound is present.
pub(super) fn barrier_value(form: &Form, mu: f64, f: f64, x: &[f64]) -> f64 {
    let mut sum = 0.0;
    let mut damped = 0.0;
    for ((&v, &l), &u) in x.iter().zip(&form.lower).zip(&form.upper) {
        match (l.is_finite(), u.is_finite()) {
            (true, true) => sum += ((v - l) * (u - v)).ln(),
            (true, false) => {
                sum += (v - l).ln();
                damped += v - l;
            }
            (false, true) => {
                sum += (u - v).ln();
                damped += u - v;
            }
            (false, false) => {}
        }
    }
    f - mu * sum + DAMPING * mu * damped
}

pub(super) fn norm1(v: &[f64]) -> f64 {
    v.iter().map(|a| a.abs()).sum()
}

pub(super) fn norm_inf(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m, a| m.max(a.abs()))
}

pub(super) fn finite(v: &[f64]) -> bool {
    v.iter().all(|a| a.is_finite())
}
