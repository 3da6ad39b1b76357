//! What the iteration measures: the errors of the perturbed optimality conditions, violation and barrier objective.
//!
//! Source: Wächter & Biegler (2006), equations 5 and 6.

use super::core::Core;
use super::form::Form;

/// κ_d: the weight that keeps one-sided bounds from letting iterates drift away.
pub(super) const DAMPING: f64 = 1e-5;
/// Large multipliers loosen the tolerances by at most this factor.
const LARGEST_SCALE: f64 = 100.0;

/// Errors of the optimality conditions at the current point.
#[derive(Clone, Copy, Debug)]
pub(super) struct Errors {
    pub dual: f64,
    pub primal: f64,
    pub dual_scale: f64,
    pub slack_scale: f64,
}

impl Core {
    pub(super) fn errors(&self) -> Errors {
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
    pub(super) fn complementarity(&self, mu: f64) -> f64 {
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

    pub(super) fn total(&self, e: &Errors, mu: f64) -> f64 {
        (e.dual / e.dual_scale).max(e.primal).max(self.complementarity(mu) / e.slack_scale)
    }

    /// The error of the optimality conditions at the current point.
    pub(super) fn error(&mut self) -> f64 {
        self.product();
        let errors = self.errors();
        self.total(&errors, 0.0)
    }

    /// The barrier objective at `x` with objective value `f`.
    pub(super) fn barrier(&self, f: f64, x: &[f64]) -> f64 {
        barrier_value(&self.form, self.mu, f, x)
    }

    pub(super) fn perturbed_error(&self) -> f64 {
        let e = self.errors();
        e.dual.max(e.primal).max(self.complementarity(self.mu))
    }

    /// The current violation and barrier objective, for the restoration's goal.
    pub(super) fn measures(&self) -> (f64, f64) {
        (norm1(&self.c), self.barrier(self.f, &self.point.x))
    }
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
