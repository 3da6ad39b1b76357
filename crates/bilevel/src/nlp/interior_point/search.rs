//! Step lengths: the fraction to the boundary, the filter line search with second-order corrections, and the soft
//! step.
//!
//! Source: Wächter & Biegler (2006), sections 2.2 to 2.4.

use super::super::reduced::Reduced;
use super::core::Core;
use super::filter::{improves, not_above, smallest_step};
use super::measure::{finite, norm_inf, norm1};

/// η: Armijo's constant.
const ARMIJO: f64 = 1e-4;
/// Most second-order corrections in a row.
const CORRECTIONS: usize = 4;
/// A step is tiny when no component moves by more than this, relative to its size.
const TINY: f64 = 10.0 * f64::EPSILON;

/// The current point and step in a line search.
pub(super) struct Judged {
    theta: f64,
    phi: f64,
    descent: f64,
    alpha: f64,
}

impl Core {
    /// Fraction to the boundary: the largest step in [0, 1] along `dx`.
    pub(super) fn primal_limit(&self, dx: &[f64]) -> f64 {
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

    pub(super) fn dual_limit(&self) -> f64 {
        let tau = (1.0 - self.mu).max(0.99);
        let mut alpha: f64 = 1.0;
        for (z, s) in self.point.zl.iter().zip(&self.dzl).chain(self.point.zu.iter().zip(&self.dzu)) {
            if *s < 0.0 {
                alpha = alpha.min(-tau * z / s);
            }
        }
        alpha
    }

    pub(super) fn is_tiny(&self) -> bool {
        norm_inf(&self.c) <= 1e-4 && self.dx.iter().zip(&self.point.x).all(|(s, x)| s.abs() <= TINY * (1.0 + x.abs()))
    }

    /// Takes a step too small for function values to judge.
    pub(super) fn accept_tiny(&mut self, problem: &mut Reduced) -> bool {
        let alpha = self.primal_limit(&self.dx);
        self.set_trial(alpha, false);
        let Some(f) = self.evaluate_trial(problem) else { return false };
        self.derivatives_at_trial(problem) && {
            self.accept(f, alpha, false);
            true
        }
    }

    /// trial = x + α dx (or the corrected dx).
    pub(super) fn set_trial(&mut self, alpha: f64, corrected: bool) {
        let dx = if corrected { &self.corrected_dx } else { &self.dx };
        for ((t, x), s) in self.trial.iter_mut().zip(&self.point.x).zip(dx) {
            *t = x + alpha * s;
        }
    }

    /// The objective at the trial point; `None` if a function is not finite there, or a bound is touched.
    pub(super) fn evaluate_trial(&mut self, problem: &mut Reduced) -> Option<f64> {
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

    pub(super) fn derivatives_at_trial(&mut self, problem: &mut Reduced) -> bool {
        self.form.gradient(problem, &self.trial, &mut self.trial_g);
        problem.jacobian(&self.trial[..self.form.d], &mut self.trial_jacobian);
        finite(&self.trial_g) && finite(self.trial_jacobian.data())
    }

    /// The filter line search. False if no step length is accepted.
    pub(super) fn search(&mut self, problem: &mut Reduced) -> bool {
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
    pub(super) fn judge(&self, at: &Judged, theta: f64, phi: f64) -> bool {
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
    pub(super) fn switches(&self, at: &Judged) -> bool {
        at.descent < 0.0 && at.alpha * (-at.descent).powf(2.3) > at.theta.powf(1.1)
    }

    /// Adds the current point to the filter unless the step was judged by the objective alone.
    pub(super) fn remember(&mut self, at: &Judged, trial_phi: f64) {
        if !self.switches(at) || !not_above(trial_phi, at.phi + ARMIJO * at.alpha * at.descent) {
            self.filter.add(at.theta, at.phi);
        }
    }

    /// Second-order correction of a rejected full step.
    pub(super) fn correct(&mut self, problem: &mut Reduced, at: &Judged) -> bool {
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

    /// One step for all variables, judged by the error of the optimality conditions instead of the filter. It is
    /// what remains where rounding errors decide the filter's comparisons.
    pub(super) fn soft_step(&mut self, problem: &mut Reduced) -> bool {
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
}
