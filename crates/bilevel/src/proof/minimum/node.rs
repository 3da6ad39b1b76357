//! What is done with one box, cheap rules first.
//!
//! *Propagation*: HC4 on g, h and f <= the best known value. *Natural and mean-value forms*: f(y) lies in f(box) and in
//! f(c) + ∇f(box) (y - c). *Monotonicity*: if f and every possibly active g do not decrease in y_j and no h depends on
//! it, the smallest value over the box is on its face where y_j is smallest.

use super::{Node, Prover};
use crate::proof::interval::Interval;
use crate::proof::program::Contracted;

/// Most rounds of the first-order rules on one box.
const ROUNDS: usize = 3;

impl Prover<'_> {
    /// A lower bound of f over the feasible points of the box, +inf if there are none (or none at most the best known
    /// value, or no minimiser); the box may shrink.
    pub(in crate::proof) fn examine(&mut self, node: &mut Node) -> f64 {
        let mut lower = node.lower;
        for _ in 0..ROUNDS {
            if !self.propagate(&mut node.domain) || !self.evaluate(&node.domain) {
                return f64::INFINITY;
            }
            lower = lower.max(self.sweep.value(&self.task.program, 0).lo());
            if lower >= self.cutoff() {
                return lower;
            }
            if !self.smooth_here() {
                self.choose_split(node);
                return lower;
            }
            match self.mean_values(&node.domain) {
                Some(better) => lower = lower.max(better),
                None => return f64::INFINITY,
            }
            if lower >= self.cutoff() {
                return lower;
            }
            if !self.collapse(&mut node.domain) {
                break;
            }
        }
        if !self.evaluate(&node.domain) || (self.smooth_here() && self.no_fritz_john_point(&node.domain)) {
            return f64::INFINITY;
        }
        lower = self.lagrange(node, lower);
        self.choose_split(node);
        lower
    }

    /// Chooses the variable in which the node's box is divided next.
    pub(in crate::proof) fn aim(&mut self, node: &mut Node) {
        if self.evaluate(&node.domain) && self.smooth_here() {
            self.mean_values(&node.domain);
        }
        self.choose_split(node);
    }

    fn propagate(&mut self, domain: &mut [Interval]) -> bool {
        let p = self.task.inequalities;
        self.allowed[0] = Interval::at_most(self.upper());
        self.allowed[1..=p].fill(Interval::at_most(0.0));
        self.allowed[1 + p..].fill(Interval::ZERO);
        for _ in 0..2 {
            let before: f64 = domain.iter().map(|z| z.width().min(1e100)).sum();
            match self.sweep.contract(&self.task.program, &self.allowed, domain) {
                Contracted::Empty => return false,
                Contracted::Same => break,
                Contracted::Smaller => {
                    let after: f64 = domain.iter().map(|z| z.width().min(1e100)).sum();
                    if after > 0.9 * before {
                        break;
                    }
                }
            }
        }
        true
    }

    /// Natural values; says which constraints may be active. False if one cannot hold.
    pub(super) fn evaluate(&mut self, domain: &[Interval]) -> bool {
        let program = &self.task.program;
        self.sweep.forward(program, domain);
        self.high[0] = f64::INFINITY;
        for r in 0..program.roots() {
            let z = self.sweep.value(program, r);
            if z.is_empty() {
                return false;
            }
            if r == 0 {
                continue;
            }
            let possible = if r <= self.task.inequalities { z.lo() <= 0.0 } else { z.contains(0.0) };
            if !possible {
                return false;
            }
            let sure = r <= self.task.inequalities && self.sweep.defined(program, r);
            self.high[r] = if sure { z.hi() } else { f64::INFINITY };
        }
        true
    }

    /// Whether f and all constraints that may be active are defined on the whole box, so that derivatives mean something.
    pub(super) fn smooth_here(&self) -> bool {
        let program = &self.task.program;
        (0..program.roots()).all(|r| self.high[r] < 0.0 || self.sweep.defined(program, r))
    }

    /// Gradients over the box and mean-value forms: a bound of f, or `None` if a constraint cannot hold. Assumes that
    /// the sweep holds the box.
    fn mean_values(&mut self, domain: &[Interval]) -> Option<f64> {
        let program = &self.task.program;
        for (z, d) in self.spot_row.iter_mut().zip(domain) {
            *z = Interval::point(d.mid());
        }
        self.spot.forward(program, &self.spot_row);
        let mut lower = f64::NEG_INFINITY;
        for r in 0..program.roots() {
            if self.high[r] < 0.0 {
                continue;
            }
            self.sweep.gradient(program, r, &mut self.row);
            self.slopes[r].copy_from_slice(&self.row);
            if !self.spot.defined(program, r) {
                continue;
            }
            let mut form = self.spot.value(program, r);
            for ((d, c), slope) in domain.iter().zip(&self.spot_row).zip(&self.row) {
                form = form + *slope * (*d - *c);
            }
            if r == 0 {
                lower = form.lo();
            } else if r <= self.task.inequalities {
                if form.lo() > 0.0 {
                    return None;
                }
                self.high[r] = self.high[r].min(form.hi());
            } else if !form.contains(0.0) {
                return None;
            }
        }
        Some(lower)
    }

    /// Monotonicity; true if the box changed.
    fn collapse(&mut self, domain: &mut [Interval]) -> bool {
        let mut changed = false;
        for (j, z) in domain.iter_mut().enumerate() {
            if z.is_point() {
                continue;
            }
            let (mut falls, mut rises) = (true, true);
            for (r, slope) in self.slopes.iter().enumerate().filter(|&(r, _)| self.high[r] > 0.0) {
                let s = slope[j];
                if r > self.task.inequalities {
                    falls &= s.lo() == 0.0 && s.hi() == 0.0;
                    rises &= s.lo() == 0.0 && s.hi() == 0.0;
                } else {
                    rises &= s.lo() >= 0.0;
                    falls &= s.hi() <= 0.0;
                }
            }
            let face = if rises && z.lo().is_finite() {
                z.lo()
            } else if falls && z.hi().is_finite() {
                z.hi()
            } else {
                continue;
            };
            *z = Interval::point(face);
            changed = true;
        }
        changed
    }

    /// The variable whose width matters most to f and the live constraints.
    fn choose_split(&self, node: &mut Node) {
        let mut best = (-1.0, 0);
        let known = self.smooth_here();
        for (j, z) in node.domain.iter().enumerate() {
            let width = z.width().min(1e200);
            if width == 0.0 {
                continue;
            }
            let slope = |r: usize| if known { self.slopes[r][j].mag() } else { f64::INFINITY };
            let largest = (1..self.slopes.len()).filter(|&r| self.high[r] >= 0.0).map(slope).fold(0.0, f64::max);
            let mut weight = slope(0) + largest;
            if !(weight > 0.0 && weight < 1e100) {
                weight = if weight > 0.0 { 1e100 } else { 1e-100 };
            }
            if width * weight > best.0 {
                best = (width * weight, j);
            }
        }
        node.split = best.1;
    }
}
