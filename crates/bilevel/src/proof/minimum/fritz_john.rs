//! Boxes that cannot contain a minimiser: some direction decreases f and keeps every possibly active constraint.
//!
//! Let d satisfy, with gradients enclosed over an open neighbourhood of the box: ∇f·d < 0; ∇g·d < 0 for every g that
//! may be active (<= 0 is enough for an affine g); ∇h·d = 0 exactly, h affine; and d_j >= 0 (<= 0) where the box
//! touches the lower (upper) end of the whole domain in y_j. From any feasible point of the box a short step along d
//! is then feasible and better, so no minimiser (not even a Fritz John point) lies in the box. If boxes are dropped
//! only for this reason or with a bound, the smallest bound still holds: among the finitely many dropped boxes, which
//! are compact, f would take its smallest feasible value at a point, and the step leads out of all of them.

use super::Prover;
use crate::proof::interval::Interval;

impl Prover<'_> {
    /// Whether the box is proved to contain no minimiser. Assumes that the sweep holds the box.
    pub(super) fn no_fritz_john_point(&mut self, domain: &[Interval]) -> bool {
        // Minimisers must exist where they are argued about: on bounded boxes.
        if self.task.domain.iter().any(|z| !z.is_bounded()) || !self.surroundings(domain) {
            return false;
        }
        let k = domain.len();
        let mut direction = vec![0.0; k];
        for j in 0..k {
            let slope = self.slopes[0][j];
            if slope.contains(0.0) {
                continue;
            }
            direction[j] = if slope.lo() > 0.0 { -1.0 } else { 1.0 };
            if self.descends(domain, &direction) {
                return true;
            }
            direction[j] = 0.0;
        }
        for i in 0..k.min(8) {
            for j in 0..i {
                for (a, b) in [(1.0, -1.0), (-1.0, 1.0), (1.0, 1.0), (-1.0, -1.0)] {
                    (direction[i], direction[j]) = (a, b);
                    if self.descends(domain, &direction) {
                        return true;
                    }
                    (direction[i], direction[j]) = (0.0, 0.0);
                }
            }
        }
        self.steepest(domain, &mut direction) && self.descends(domain, &direction)
    }

    /// Gradients over an open neighbourhood of the box. False if something is undefined there.
    fn surroundings(&mut self, domain: &[Interval]) -> bool {
        let program = &self.task.program;
        if self.kinks || self.partial {
            for (z, d) in self.spot_row.iter_mut().zip(domain) {
                let margin = 1e-9 * (d.width() + 1e-3 * d.mag()) + f64::MIN_POSITIVE;
                *z = Interval::new(d.lo() - margin, d.hi() + margin);
            }
            self.spot.forward(program, &self.spot_row);
            for r in 0..program.roots() {
                // Also a constraint that cannot be active must stay defined.
                if !self.spot.defined(program, r) {
                    return false;
                }
                if self.high[r] >= 0.0 {
                    self.spot.gradient(program, r, &mut self.slopes[r]);
                }
            }
        } else {
            for r in 0..program.roots() {
                if self.high[r] >= 0.0 {
                    self.sweep.gradient(program, r, &mut self.slopes[r]);
                }
            }
        }
        true
    }

    /// Whether `direction` is one of feasible descent everywhere in the box.
    fn descends(&self, domain: &[Interval], direction: &[f64]) -> bool {
        for ((z, whole), &d) in domain.iter().zip(&self.task.domain).zip(direction) {
            if (d < 0.0 && z.lo() <= whole.lo()) || (d > 0.0 && z.hi() >= whole.hi()) {
                return false;
            }
        }
        let along = |r: usize| {
            let terms = self.slopes[r].iter().zip(direction).filter(|&(_, &d)| d != 0.0);
            terms.fold(Interval::ZERO, |sum, (s, &d)| sum + *s * Interval::point(d))
        };
        if along(0).hi() >= 0.0 {
            return false;
        }
        (1..self.slopes.len()).filter(|&r| self.high[r] >= 0.0).all(|r| {
            let change = along(r);
            let affine = self.task.program.degree(r) <= 1;
            if r > self.task.inequalities {
                affine && change.lo() == 0.0 && change.hi() == 0.0
            } else {
                change.hi() < 0.0 || (affine && change.hi() <= 0.0)
            }
        })
    }

    /// The steepest descent direction, projected in turns onto what the constraints and the domain's ends allow.
    fn steepest(&self, domain: &[Interval], direction: &mut [f64]) -> bool {
        let middle = |r: usize| self.slopes[r].iter().map(|s| s.mid());
        for (d, s) in direction.iter_mut().zip(middle(0)) {
            *d = -s;
        }
        let live: Vec<Vec<f64>> =
            (1..=self.task.inequalities).filter(|&r| self.high[r] >= 0.0).map(|r| middle(r).collect()).collect();
        for _ in 0..12 {
            for row in &live {
                let square: f64 = row.iter().map(|a| a * a).sum();
                let along: f64 = row.iter().zip(direction.iter()).map(|(a, d)| a * d).sum();
                // A little beyond the boundary, so that a strict decrease is left.
                let wanted = -1e-2 * square.sqrt() * direction.iter().map(|d| d * d).sum::<f64>().sqrt();
                if along > wanted && square > 0.0 {
                    direction.iter_mut().zip(row).for_each(|(d, a)| *d -= (along - wanted) / square * a);
                }
            }
            for ((d, z), whole) in direction.iter_mut().zip(domain).zip(&self.task.domain) {
                if (*d < 0.0 && z.lo() <= whole.lo()) || (*d > 0.0 && z.hi() >= whole.hi()) {
                    *d = 0.0;
                }
            }
        }
        direction.iter().all(|d| d.is_finite()) && direction.iter().any(|&d| d != 0.0)
    }
}
