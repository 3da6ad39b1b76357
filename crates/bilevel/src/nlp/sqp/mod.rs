//! Sequential quadratic programming with first derivatives.
//!
//! ```text
//! minimise ∇fᵀp + ½ pᵀB p   subject to   lower <= z + p <= upper,  rows linearised at z;      z ← z + α p
//! ```
//!
//! B is a damped BFGS matrix of the Lagrangian. α comes from Armijo's rule on the ℓ1 merit function
//! f + Σ ν_i violation_i with Powell's weights, after a second-order correction where the full step fails. Where the
//! linearised rows contradict each other, violated rows are relaxed at a price (elastic mode). After a projection of
//! the start, all iterates satisfy bounds and affine rows: functions are never evaluated outside them.
//!
//! Sources: Han (1977) and Powell (1978) for the method; Nocedal & Wright, *Numerical Optimization*, chapter 18, for
//! the corrections and the elastic mode; Fletcher, Leyffer, Ralph & Scholtes, *Local convergence of SQP methods for
//! mathematical programs with equilibrium constraints*, SIAM J. Optim. 17 (2006), for why it suits complementarity
//! constraints.

mod active_set;
mod subproblem;
#[cfg(test)]
mod tests;

use self::subproblem::{Linearised, Subproblem};
use super::bfgs::Bfgs;
use super::polish::Polisher;
use super::reduced::Reduced;
use super::residual::Assessor;
use super::{Control, Iteration, Multipliers, Nlp, Residuals, Solution, Status};
use bilevel_linalg::Dense;

/// Armijo's constant.
const ARMIJO: f64 = 1e-4;
/// Most step lengths tried in a line search.
const TRIALS: usize = 40;
/// So many steps in a row below a tolerance end the iteration.
const SMALL_STEPS: usize = 3;

/// Steps below this, relative to the point, say nothing about curvature.
const NOISY: f64 = 1e-13;

/// How SQP works. `Settings::default()` is meant for the value-function programme.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Tolerance on [`Residuals::scaled`]; default 1e-9. Positive.
    pub tolerance: f64,
    /// The looser tolerance of [`Status::Acceptable`]; default 1e-6.
    pub acceptable_tolerance: f64,
    /// Most iterations; default 100.
    pub max_iterations: usize,
    /// Steps below this, relative to 1 + |z|, end the iteration; default 1e-14.
    pub step_tolerance: f64,
    /// Steps from which the merit function is predicted to gain less than this, relative to 1 + |objective|, end the
    /// iteration; default 1e-15. Where values or gradients are noisy, their relative error.
    pub progress_tolerance: f64,
    /// No component moves by more than this times max(1, ‖z‖∞) in one iteration; default 10. Infinite for no limit.
    pub trust: f64,
    /// An objective below minus this, or a point this large, is unbounded; default 1e12 (scaled problem).
    pub diverging: f64,
    /// Whether Newton steps on the active set finish the solution, where second derivatives are available; default
    /// true.
    pub polish: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tolerance: 1e-9,
            acceptable_tolerance: 1e-6,
            max_iterations: 100,
            step_tolerance: 1e-14,
            progress_tolerance: 1e-15,
            trust: 10.0,
            diverging: 1e12,
            polish: true,
        }
    }
}

/// Finds a local solution from the point `start` (length d; projected on bounds and affine rows).
pub fn solve(nlp: &mut dyn Nlp, start: &[f64], settings: &Settings) -> Solution {
    solve_with(nlp, start, settings, None)
}

/// As [`solve`], with a control function.
pub fn solve_with<'c>(
    nlp: &mut dyn Nlp,
    start: &[f64],
    settings: &Settings,
    control: Option<&'c mut Control<'c>>,
) -> Solution {
    let frame = nlp.frame();
    let sizes = (frame.variables(), frame.rows.rows(), frame.constraints());
    let mut problem = match Reduced::new(nlp, start) {
        Ok(problem) => problem,
        Err(status) => return Solution::failed(status, start, sizes),
    };
    let mut sqp = Sqp::new(&problem, settings, start);
    let end = match sqp.begin(&mut problem) {
        Ok(()) => sqp.run(&mut problem, control),
        Err(end) => end,
    };
    sqp.conclude(&mut problem, end, sizes)
}

/// Why the iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Converged,
    Stalled,
    Infeasible,
    Unbounded,
    Numerical,
    Limit,
    Interrupted,
}

/// Values at a point: objective and rows.
#[derive(Clone, Debug)]
struct Values {
    f: f64,
    c: Vec<f64>,
}

struct Sqp<'s> {
    settings: &'s Settings,
    z: Vec<f64>,
    at: Values,
    g: Vec<f64>,
    jacobian: Dense,
    bfgs: Bfgs,
    subproblem: Subproblem,
    /// ν: weights of the rows' violations.
    weights: Vec<f64>,
    /// Step, and multipliers of bounds and rows, from the last subproblem.
    p: Vec<f64>,
    bounds: Vec<f64>,
    rows: Vec<f64>,
    trial: Vec<f64>,
    trial_values: Values,
    trial_g: Vec<f64>,
    trial_jacobian: Dense,
    correction: Vec<f64>,
    change: Vec<f64>,
    residual: Vec<f64>,
    iterations: usize,
    step: f64,
}

impl<'s> Sqp<'s> {
    fn new(problem: &Reduced, settings: &'s Settings, start: &[f64]) -> Self {
        let (d, m) = (problem.variables(), problem.rows());
        let mut z = vec![0.0; d];
        problem.gather(start, &mut z);
        let zeros = || vec![0.0; d];
        let values = Values { f: f64::NAN, c: vec![0.0; m] };
        Self {
            settings,
            z,
            at: values.clone(),
            g: zeros(),
            jacobian: Dense::zeros(m, d),
            bfgs: Bfgs::new(d),
            subproblem: Subproblem::new(problem),
            weights: vec![0.0; m],
            p: zeros(),
            bounds: zeros(),
            rows: vec![0.0; m],
            trial: zeros(),
            trial_values: values,
            trial_g: zeros(),
            trial_jacobian: Dense::zeros(m, d),
            correction: zeros(),
            change: zeros(),
            residual: zeros(),
            iterations: 0,
            step: 0.0,
        }
    }

    /// Projects the start, chooses the scaling and evaluates.
    fn begin(&mut self, problem: &mut Reduced) -> Result<(), End> {
        clamp(&mut self.z, problem);
        problem.affine(&self.z, &mut self.at.c);
        if !self.subproblem.project(problem, &mut self.z, &self.at.c) {
            return Err(End::Infeasible);
        }
        clamp(&mut self.z, problem);
        problem.scale(&self.z, &mut self.g, &mut self.jacobian).map_err(|_| End::Numerical)?;
        if evaluate(problem, &self.z, &mut self.at) { Ok(()) } else { Err(End::Numerical) }
    }

    fn run<'c>(&mut self, problem: &mut Reduced, mut control: Option<&'c mut Control<'c>>) -> End {
        let (mut small, mut fresh) = (0, true);
        loop {
            if bilevel_linalg::stop::asked() {
                return End::Interrupted;
            }
            let linearised = self.direction(problem);
            let proceed = control.as_mut().is_none_or(|control| self.report(problem, *control));
            if !proceed {
                return End::Interrupted;
            }
            let feasible = match linearised {
                Linearised::Consistent => true,
                Linearised::Elastic => false,
                Linearised::Stationary => return End::Infeasible,
                Linearised::Failed if fresh => return End::Stalled,
                Linearised::Failed => {
                    self.bfgs.reset();
                    fresh = true;
                    continue;
                }
            };
            if self.error(problem) <= 0.1 * self.settings.tolerance {
                return End::Converged;
            }
            if self.is_diverging(problem) {
                return End::Unbounded;
            }
            if self.iterations >= self.settings.max_iterations {
                return End::Limit;
            }
            self.iterations += 1;
            let slope = self.weigh(problem, feasible);
            if !self.search(problem, slope) {
                if fresh {
                    return End::Stalled;
                }
                // The matrix may be at fault, or weights that grew long ago.
                self.bfgs.reset();
                self.weights.fill(0.0);
                fresh = true;
                continue;
            }
            fresh = false;
            let short = self.advance() <= self.settings.step_tolerance;
            let idle = slope.abs() <= self.settings.progress_tolerance * (1.0 + self.at.f.abs());
            small = if short || idle { small + 1 } else { 0 };
            if small >= SMALL_STEPS {
                return End::Stalled;
            }
        }
    }

    /// Solves the subproblem at z.
    fn direction(&mut self, problem: &Reduced) -> Linearised {
        let reach = self.settings.trust * norm_inf(&self.z).max(1.0);
        self.subproblem.place(problem, &self.z, &self.at.c, reach);
        let (b, g, j) = (self.bfgs.matrix(), &self.g, &self.jacobian);
        let outcome = self.subproblem.solve(b, g, j, &mut self.p, &mut self.bounds, &mut self.rows);
        // A multiplier of the trust box is none of the problem's.
        for (k, m) in self.bounds.iter_mut().enumerate() {
            let distance = if *m > 0.0 { self.z[k] - problem.lower[k] } else { problem.upper[k] - self.z[k] };
            if distance >= reach {
                *m = 0.0;
            }
        }
        outcome
    }

    /// Writes ∇f − bounds − Jᵀ rows into `residual` and returns its norm.
    fn stationarity(&mut self) -> f64 {
        for ((r, g), b) in self.residual.iter_mut().zip(&self.g).zip(&self.bounds) {
            *r = g - b;
        }
        self.jacobian.transpose_mul_add(-1.0, &self.rows, &mut self.residual);
        norm_inf(&self.residual)
    }

    /// The error of the optimality conditions at z, in the manner of [`Residuals::scaled`].
    fn error(&mut self, problem: &Reduced) -> f64 {
        let stationarity = self.stationarity() / norm_inf(&self.g).max(1.0);
        let mut worst = stationarity;
        let size = self.at.f.abs().max(1.0);
        let mut add = |v: f64, l: f64, u: f64, y: f64| {
            worst = worst.max((l - v) / l.abs().max(1.0)).max((v - u) / u.abs().max(1.0));
            if l < u && y != 0.0 {
                worst = worst.max(if y > 0.0 { y * (v - l).abs() } else { -y * (u - v).abs() } / size);
            }
        };
        for i in 0..self.at.c.len() {
            add(self.at.c[i], problem.row_lower[i], problem.row_upper[i], self.rows[i]);
        }
        for j in 0..self.z.len() {
            add(self.z[j], problem.lower[j], problem.upper[j], self.bounds[j]);
        }
        worst
    }

    fn report(&mut self, problem: &mut Reduced, control: &mut Control<'_>) -> bool {
        let stationarity = self.stationarity();
        let violation = (0..self.at.c.len()).fold(0.0f64, |m, i| m.max(violation(problem, i, self.at.c[i])));
        let objective = self.at.f / problem.objective_scale();
        control(&Iteration {
            number: self.iterations,
            z: problem.full(&self.z),
            objective,
            violation,
            stationarity,
            barrier: 0.0,
            step: self.step,
        })
    }

    fn is_diverging(&self, problem: &Reduced) -> bool {
        let far = self.at.f < -self.settings.diverging || norm_inf(&self.z) > self.settings.diverging;
        far && (0..self.at.c.len()).all(|i| violation(problem, i, self.at.c[i]) <= 1e-6 * norm_inf(&self.z).max(1.0))
    }

    /// Updates the weights and returns the merit function's slope along p.
    fn weigh(&mut self, problem: &Reduced, feasible: bool) -> f64 {
        for (w, y) in self.weights.iter_mut().zip(&self.rows) {
            *w = y.abs().max(0.5 * (*w + y.abs()));
        }
        let descent: f64 = self.g.iter().zip(&self.p).map(|(a, b)| a * b).sum();
        self.change.fill(0.0);
        self.bfgs.matrix().mul_add(1.0, &self.p, &mut self.change);
        let curvature: f64 = self.change.iter().zip(&self.p).map(|(a, b)| a * b).sum();
        let (mut gain, mut slope) = (0.0, descent);
        for i in problem.affine_rows()..self.at.c.len() {
            let moved: f64 = self.at.c[i] + dot(self.jacobian.row(i), &self.p);
            let removed = violation(problem, i, self.at.c[i]) - violation(problem, i, moved);
            slope -= self.weights[i] * removed;
            gain += removed;
        }
        // In exact arithmetic a consistent subproblem gives this slope by itself.
        let wanted = -0.5 * curvature;
        if slope > wanted && gain > 0.0 && !feasible {
            let more = (slope - wanted) / gain;
            self.weights[problem.affine_rows()..].iter_mut().for_each(|w| *w += more);
            slope = wanted;
        }
        slope
    }

    /// f + Σ ν_i violation_i over the nonlinear rows.
    fn merit(&self, problem: &Reduced, values: &Values) -> f64 {
        let mut sum = values.f;
        for i in problem.affine_rows()..values.c.len() {
            sum += self.weights[i] * violation(problem, i, values.c[i]);
        }
        sum
    }

    /// Line search along p; on success `trial` holds the new point with its values and derivatives.
    fn search(&mut self, problem: &mut Reduced, slope: f64) -> bool {
        if slope.is_nan() || !self.p.iter().all(|v| v.is_finite()) {
            return false;
        }
        let merit = self.merit(problem, &self.at);
        let noise = self.settings.progress_tolerance.max(4.0 * f64::EPSILON) * (merit.abs() + self.at.f.abs());
        let slope = slope.min(0.0);
        let mut alpha = 1.0;
        for trial in 0..TRIALS {
            let value = self.try_step(problem, alpha, false);
            if value <= merit + ARMIJO * alpha * slope + noise && self.differentiate(problem) {
                self.step = alpha;
                return true;
            }
            if trial == 0 && value.is_finite() && self.correct(problem, merit, slope, noise) {
                self.step = 1.0;
                return true;
            }
            let interpolated = -slope * alpha * alpha / (2.0 * (value - merit - slope * alpha));
            alpha = if interpolated.is_finite() { interpolated.clamp(0.1 * alpha, 0.5 * alpha) } else { 0.25 * alpha };
        }
        false
    }

    /// Evaluates z + α p (+ the correction) and returns the merit there, +∞ where undefined.
    fn try_step(&mut self, problem: &mut Reduced, alpha: f64, corrected: bool) -> f64 {
        for j in 0..self.z.len() {
            let s = if corrected { self.correction[j] } else { alpha * self.p[j] };
            self.trial[j] = self.z[j] + s;
        }
        clamp(&mut self.trial, problem);
        if evaluate(problem, &self.trial, &mut self.trial_values) {
            self.merit(problem, &self.trial_values)
        } else {
            f64::INFINITY
        }
    }

    /// Second-order correction: the step for rows whose values are corrected by what the full step made of them.
    fn correct(&mut self, problem: &mut Reduced, merit: f64, slope: f64, noise: f64) -> bool {
        if problem.rows() == problem.affine_rows() {
            return false;
        }
        for i in 0..self.at.c.len() {
            let curved = self.trial_values.c[i] - dot(self.jacobian.row(i), &self.p);
            self.trial_values.c[i] = if i < problem.affine_rows() { self.at.c[i] } else { curved };
        }
        let reach = self.settings.trust * norm_inf(&self.z).max(1.0);
        self.subproblem.place(problem, &self.z, &self.trial_values.c, reach);
        let (b, g, j) = (self.bfgs.matrix(), &self.g, &self.jacobian);
        if !self.subproblem.correct(b, g, j, &mut self.correction) {
            return false;
        }
        let value = self.try_step(problem, 1.0, true);
        value <= merit + ARMIJO * slope + noise && self.differentiate(problem)
    }

    fn differentiate(&mut self, problem: &mut Reduced) -> bool {
        problem.gradient(&self.trial, &mut self.trial_g);
        problem.jacobian(&self.trial, &mut self.trial_jacobian);
        self.trial_g.iter().chain(self.trial_jacobian.data()).all(|v| v.is_finite())
    }

    /// Moves to the trial point, updates B, and returns the length of the step relative to the point.
    fn advance(&mut self) -> f64 {
        let mut length = 0.0f64;
        for j in 0..self.z.len() {
            self.correction[j] = self.trial[j] - self.z[j];
            self.change[j] = self.trial_g[j] - self.g[j];
            length = length.max(self.correction[j].abs() / (1.0 + self.trial[j].abs()));
        }
        if length > NOISY {
            self.trial_jacobian.transpose_mul_add(-1.0, &self.rows, &mut self.change);
            self.jacobian.transpose_mul_add(1.0, &self.rows, &mut self.change);
            self.bfgs.update(&self.correction, &mut self.change);
        }
        std::mem::swap(&mut self.z, &mut self.trial);
        std::mem::swap(&mut self.at, &mut self.trial_values);
        std::mem::swap(&mut self.g, &mut self.trial_g);
        std::mem::swap(&mut self.jacobian, &mut self.trial_jacobian);
        length
    }

    /// Recomputes the residuals at the last point, polishes it, and chooses the status.
    fn conclude(mut self, problem: &mut Reduced, end: End, sizes: (usize, usize, usize)) -> Solution {
        let mut assessor = Assessor::new(sizes.0, sizes.1, sizes.2);
        let (z, bounds, rows) = (std::mem::take(&mut self.z), &self.bounds, &self.rows);
        let mut best = candidate(problem, &mut assessor, &z, bounds, rows);
        if self.settings.polish && matches!(end, End::Converged | End::Stalled | End::Limit) && best.3.scaled < 1e-2 {
            let mut polisher = Polisher::new(problem, &z, bounds, rows);
            while let Some((z, bounds, rows)) = polisher.step(problem) {
                let next = candidate(problem, &mut assessor, z, bounds, rows);
                if next.3.scaled < best.3.scaled {
                    best = next;
                }
            }
        }
        let (z, multipliers, objective, residuals) = best;
        let status = match end {
            End::Interrupted => Status::Interrupted,
            End::Unbounded => Status::Unbounded,
            End::Numerical => Status::Numerical,
            _ if residuals.scaled <= self.settings.tolerance => Status::Solved,
            _ if residuals.scaled <= self.settings.acceptable_tolerance => Status::Acceptable,
            End::Infeasible => Status::Infeasible,
            End::Limit => Status::IterationLimit,
            End::Converged | End::Stalled => Status::Stalled,
        };
        Solution {
            status,
            z,
            objective,
            multipliers,
            residuals,
            iterations: self.iterations,
            evaluations: problem.evaluations,
        }
    }
}

/// A full point with the problem's multipliers, objective and residuals.
fn candidate(
    problem: &mut Reduced,
    assessor: &mut Assessor,
    z: &[f64],
    bounds: &[f64],
    rows: &[f64],
) -> (Vec<f64>, Multipliers, f64, Residuals) {
    let multipliers = problem.multipliers(z, bounds, rows);
    let full = problem.full(z).to_vec();
    let (objective, residuals) = problem.assess(assessor, &full, &multipliers);
    (full, multipliers, objective, residuals)
}

fn clamp(z: &mut [f64], problem: &Reduced) {
    for (z, (&l, &u)) in z.iter_mut().zip(problem.lower.iter().zip(&problem.upper)) {
        *z = z.clamp(l, u);
    }
}

/// Objective and rows at `z`; false where one is not finite.
fn evaluate(problem: &mut Reduced, z: &[f64], out: &mut Values) -> bool {
    problem.values(z, &mut out.c);
    if !out.c.iter().all(|v| v.is_finite()) {
        return false;
    }
    out.f = problem.objective(z);
    out.f.is_finite()
}

fn violation(problem: &Reduced, i: usize, value: f64) -> f64 {
    (problem.row_lower[i] - value).max(value - problem.row_upper[i]).max(0.0)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn norm_inf(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m, a| m.max(a.abs()))
}
