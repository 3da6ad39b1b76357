//! The Lagrangian second-order bound at a local solution.
//!
//! For any λ >= 0 and any μ, L = f + λᵀg + μᵀh is at most f at every feasible point, so every lower bound of L over the
//! box bounds f. With c in the box, d = y - c and H an enclosure of the Hessian over the box, L(y) is at least
//!
//! ```text
//! L(c) + ∇L(box)ᵀ d                              mean value
//! L(c) + ∇L(c)ᵀ d + Σ_i q_i d_i² / 2             q_i = H_ii - Σ_{j≠i} |H_ij| s_j / s_i, s = the box's widths (Gershgorin)
//! L(c) + ∇L(c)ᵀ d                                if every matrix in H is positive semidefinite
//! ```
//!
//! At a local solution with its multipliers ∇L(c) nearly vanishes and the bound is nearly f(c): this closes the last
//! boxes around a minimiser at once. Where L is monotone in y_j over the box, the box is first replaced by the face on
//! which L is smallest.

use super::convex::is_positive_semidefinite;
use super::{Node, Prover};
use crate::proof::interval::Interval;

/// Multipliers below this are left out.
const NEGLIGIBLE: f64 = 1e-13;

impl Prover<'_> {
    /// Improves the bound of a box with inherited multipliers, then with those of a local solve in the box.
    pub(super) fn lagrange(&mut self, node: &mut Node, mut lower: f64) -> f64 {
        if node.centre.len() == node.domain.len() {
            let centre: Vec<_> = node.centre.iter().zip(&node.domain).map(|(&c, z)| z.clamp(c)).collect();
            lower = lower.max(self.lagrangian_bound(&node.domain, &centre, &node.multipliers));
            if lower >= self.cutoff() {
                return lower;
            }
        }
        let middle: Vec<_> = node.domain.iter().map(|z| z.mid()).collect();
        let inside =
            node.centre.len() == node.domain.len() && node.centre.iter().zip(&node.domain).all(|(&c, z)| z.contains(c));
        let start = if inside { node.centre.clone() } else { middle };
        let domain = std::mem::take(&mut node.domain);
        if self.search(&domain, &start, 0.0) {
            node.centre.clone_from(&self.local.point);
            node.multipliers.clear();
            node.multipliers.extend(&self.local.inequality_multipliers);
            node.multipliers.extend(&self.local.equality_multipliers);
            lower = lower.max(self.lagrangian_bound(&domain, &node.centre, &node.multipliers));
        }
        node.domain = domain;
        lower
    }

    /// A lower bound of the Lagrangian over the box.
    fn lagrangian_bound(&mut self, domain: &[Interval], centre: &[f64], multipliers: &[f64]) -> f64 {
        let Some(weights) = self.weights(multipliers) else {
            return f64::NEG_INFINITY;
        };
        let program = &self.task.program;
        let mut reduced = domain.to_vec();
        let mut centre = centre.to_vec();
        let mut best = f64::NEG_INFINITY;
        for _ in 0..3 {
            self.sweep.forward(program, &reduced);
            let used = |r: usize| weights[r] != Interval::ZERO;
            best = best.max(
                (0..program.roots())
                    .filter(|&r| used(r))
                    .fold(Interval::ZERO, |sum, r| sum + weights[r] * self.sweep.value(program, r))
                    .lo(),
            );
            if (0..program.roots()).any(|r| used(r) && !self.sweep.defined(program, r)) {
                return best;
            }
            self.sweep.weighted_gradient(program, &weights, &mut self.row);
            // Unused roots may be undefined and leave marks of that: their adjoints are 0, so they do not count.
            let mut changed = false;
            for ((z, c), slope) in reduced.iter_mut().zip(&mut centre).zip(&self.row) {
                if z.is_point() {
                    *c = z.lo();
                } else if slope.lo() >= 0.0 && z.lo().is_finite() {
                    *z = Interval::point(z.lo());
                    *c = z.lo();
                    changed = true;
                } else if slope.hi() <= 0.0 && z.hi().is_finite() {
                    *z = Interval::point(z.hi());
                    *c = z.hi();
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        best.max(self.expansion(&reduced, &centre, &weights))
    }

    /// 1 for the objective, the multipliers where they may be used; `None` if one is not finite.
    fn weights(&self, multipliers: &[f64]) -> Option<Vec<Interval>> {
        let p = self.task.inequalities;
        let mut weights = vec![Interval::ONE];
        for (i, &m) in multipliers.iter().enumerate() {
            if !m.is_finite() {
                return None;
            }
            let kept = if i < p { m > NEGLIGIBLE } else { m.abs() > NEGLIGIBLE };
            weights.push(if kept { Interval::point(m) } else { Interval::ZERO });
        }
        (weights.len() == self.task.program.roots()).then_some(weights)
    }

    /// Mean-value and second-order expansions around `centre`. Assumes that the sweep and `row` hold L over the box, or a
    /// larger one.
    fn expansion(&mut self, domain: &[Interval], centre: &[f64], weights: &[Interval]) -> f64 {
        let program = &self.task.program;
        self.sweep.forward(program, domain);
        self.sweep.weighted_gradient(program, weights, &mut self.row);
        for (z, &c) in self.spot_row.iter_mut().zip(centre) {
            *z = Interval::point(c);
        }
        self.spot.forward(program, &self.spot_row);
        let used = |r: usize| weights[r] != Interval::ZERO;
        if (0..program.roots()).any(|r| used(r) && !(self.spot.defined(program, r) && self.sweep.defined(program, r))) {
            return f64::NEG_INFINITY;
        }
        let at_centre = (0..program.roots())
            .filter(|&r| used(r))
            .fold(Interval::ZERO, |sum, r| sum + weights[r] * self.spot.value(program, r));
        let steps: Vec<_> = domain.iter().zip(centre).map(|(z, &c)| *z - Interval::point(c)).collect();
        let form = |row: &[Interval]| row.iter().zip(&steps).fold(at_centre, |sum, (s, d)| sum + *s * *d).lo();
        let mut best = form(&self.row);
        self.spot.weighted_gradient(program, weights, &mut self.spot_row);
        let active: Vec<_> = (0..domain.len()).filter(|&v| !domain[v].is_point()).collect();
        let k = active.len();
        if k == 0 {
            return best.max(at_centre.lo());
        }
        let hessian = &mut self.hessian[..k * k];
        self.sweep.hessian(program, weights, &active, hessian);
        if hessian.iter().all(|h| h.is_bounded()) {
            let mut second = at_centre;
            for (a, &v) in active.iter().enumerate() {
                let curvature = gershgorin(hessian, k, a, |b| domain[active[b]].width());
                second = second + Interval::point(parabola(self.spot_row[v], curvature, steps[v]));
            }
            best = best.max(second.lo());
            let tangent = active.iter().fold(at_centre, |sum, &v| sum + self.spot_row[v] * steps[v]).lo();
            if tangent > best && is_positive_semidefinite(hessian, k) {
                best = tangent;
            }
        }
        best
    }
}

/// A lower bound of the scaled Gershgorin disc of row `a`.
fn gershgorin(hessian: &[Interval], k: usize, a: usize, width: impl Fn(usize) -> f64) -> f64 {
    let own = Interval::point(width(a));
    let mut disc = Interval::point(hessian[a * k + a].lo());
    for b in (0..k).filter(|&b| b != a) {
        let size = Interval::point(hessian[a * k + b].mag());
        if size != Interval::ZERO {
            disc = disc - size * Interval::point(width(b)) / own;
        }
    }
    if disc.is_empty() { f64::NEG_INFINITY } else { disc.lo() }
}

/// A lower bound of `slope d + curvature d² / 2` over the steps d.
fn parabola(slope: Interval, curvature: f64, steps: Interval) -> f64 {
    if curvature > 0.0 {
        let deepest = Interval::point(slope.mag()).square() / (Interval::point(2.0) * Interval::point(curvature));
        return (slope * steps).lo().max(-deepest.hi());
    }
    // Concave for every slope: smallest at an end.
    let half = Interval::point(0.5) * Interval::point(curvature);
    let at = |end: f64| {
        let d = Interval::point(end);
        (slope * d + half * d.square()).lo()
    };
    if !steps.is_bounded() {
        return f64::NEG_INFINITY;
    }
    at(steps.lo()).min(at(steps.hi()))
}
