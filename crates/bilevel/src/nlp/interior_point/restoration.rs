//! Feasibility restoration: where no step is acceptable, the violation itself is minimised.
//!
//! ```text
//! minimise ρ Σ (p + n) + ½ ζ Σ ((z_j − z̄_j) / max(1, |z̄_j|))²   subject to   row_i − p_i + n_i = 0,  p, n >= 0, bounds
//! ```
//!
//! by the same interior point iteration, until a point is acceptable to the filter. A minimiser that still violates
//! rows shows that the problem is (locally) infeasible. Source: Wächter & Biegler (2006), section 3.3; ρ, ζ theirs.

use super::super::reduced::Reduced;
use super::core::{Core, End, Run};
use super::filter::{Filter, improves};
use super::form::{Form, Proximal};
use super::measure::{barrier_value, norm_inf, norm1};

/// ρ: the price of violation.
const PRICE: f64 = 1000.0;
/// The violation must fall to this part of what it was.
const REDUCTION: f64 = 0.9;
/// A stationary violation above this multiple of the tolerance is called infeasible.
const CLEARLY_INFEASIBLE: f64 = 1e4;

/// A restoration that stalls with an error below this, relative to the price, is at a minimiser of the violation.
const STATIONARY: f64 = 1e-7;

/// What the restoration is to reach: a point with less violation, acceptable to the outer filter.
pub(super) struct Goal<'a> {
    form: &'a Form,
    filter: &'a Filter,
    mu: f64,
    theta: f64,
    phi: f64,
}

impl Goal<'_> {
    /// Whether the outer part of the restoration's point `x` meets the goal.
    pub fn met(&self, problem: &mut Reduced, x: &[f64]) -> bool {
        let outer = &x[..self.form.n()];
        let mut c = vec![0.0; self.form.m];
        self.form.residual(problem, outer, &mut c);
        let theta = norm1(&c);
        // A NaN is not acceptable.
        if !theta.is_finite() || theta > REDUCTION * self.theta {
            return false;
        }
        let phi = barrier_value(self.form, self.mu, self.form.objective(problem, outer), outer);
        phi.is_finite() && self.filter.accepts(theta, phi) && improves(theta, phi, self.theta, self.phi)
    }
}

/// Restores feasibility. `None` if the outer iteration can go on from its new point.
pub(super) fn restore(core: &mut Core, problem: &mut Reduced, run: &mut Run) -> Option<End> {
    let (theta, phi) = core.measures();
    core.filter.add(theta, phi);
    let outer = core.form.n();
    let d = core.form.d;
    let mut c = vec![0.0; core.form.m];
    core.form.residual(problem, &core.point.x, &mut c);
    let mu = core.mu.max(norm_inf(&c));
    let center = core.point.x[..d].to_vec();
    let weights = center.iter().map(|z| mu.min(1.0).sqrt() / z.abs().max(1.0).powi(2)).collect();
    let form = core.form.elastic(PRICE, 0.0, Some(Proximal { center, weights }));
    let mut inner = Core::new(form, mu);
    inner.point.x[..outer].copy_from_slice(&core.point.x);
    split_violation(&mut inner, outer, &c, PRICE);
    inner.center_duals();
    for duals in [&mut inner.point.zl, &mut inner.point.zu] {
        duals[..outer].iter_mut().for_each(|z| *z = z.min(PRICE));
    }
    if !inner.start(problem) {
        return Some(End::Numerical);
    }
    let goal = Goal { form: &core.form, filter: &core.filter, mu: core.mu, theta, phi };
    let end = inner.run(problem, run, Some(&goal));
    core.point.x.copy_from_slice(&inner.point.x[..outer]);
    core.form.residual(problem, &core.point.x, &mut c);
    if end == End::Restored {
        return if resume(core, problem) { None } else { Some(End::Numerical) };
    }
    match judge(end, &mut inner, &c, PRICE, run.tolerance) {
        End::Infeasible => {
            core.point.y.copy_from_slice(&inner.point.y);
            Some(End::Infeasible)
        }
        End::Converged => Some(End::Stalled),
        other => Some(other),
    }
}

/// What the end of an elastic iteration means where `c` are the violations that are left at the price `cost`.
pub(super) fn judge(end: End, core: &mut Core, c: &[f64], cost: f64, tolerance: f64) -> End {
    let stationary = match end {
        End::Converged => true,
        End::Stalled => core.error() <= STATIONARY * cost,
        _ => false,
    };
    if stationary && norm_inf(c) > CLEARLY_INFEASIBLE * tolerance { End::Infeasible } else { end }
}

/// Splits the residuals `c` into the elastic variables after the first `outer` ones, centred for the price `cost`.
pub(super) fn split_violation(core: &mut Core, outer: usize, c: &[f64], cost: f64) {
    for (i, &q) in c.iter().enumerate() {
        let half = (core.mu - cost * q) / (2.0 * cost);
        let negative = half + (half * half + core.mu * q / (2.0 * cost)).max(0.0).sqrt();
        let floor = f64::MIN_POSITIVE.max(1e-16 * q.abs());
        core.point.x[outer + 2 * i] = (q + negative).max(floor);
        core.point.x[outer + 2 * i + 1] = negative.max(floor);
    }
}

/// New multipliers at the restored point, which keeps its filter.
fn resume(core: &mut Core, problem: &mut Reduced) -> bool {
    let filter = core.filter.clone();
    if !core.start(problem) {
        return false;
    }
    core.filter = filter;
    core.center_duals();
    core.estimate_multipliers();
    true
}
