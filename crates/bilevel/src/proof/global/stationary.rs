//! Boxes of (x, y) in which the follower can always do better.
//!
//! Let d be a direction in y with, on an open neighbourhood in y of the box: ∇_y f·d < 0; ∇_y g·d < 0 for every g that
//! may be active (<= 0 is enough for a g that is affine in y); ∇_y h·d = 0 exactly for every h, h affine in y; and
//! d_j >= 0 (<= 0) where the box touches the lower (upper) end of Y in y_j. Then at every (x, y) of the box with y in
//! Y(x) a short step along d is feasible and better, so y is no answer: not even a local one.

use crate::proof::dual::affine_in_follower;
use crate::proof::interval::Interval;
use crate::proof::problem::Formulas;
use crate::proof::program::{Builder, Sweep};

/// The test with its memory.
pub struct Stationary<'a> {
    formulas: &'a Formulas,
    sweep: Sweep<Interval>,
    /// For every root: affine in y, whatever x.
    affine: Vec<bool>,
    row: Vec<Interval>,
    /// Gradients in y of f, the live inequalities, the equalities; with "affine in y" and "equality".
    rows: Vec<(Vec<Interval>, bool, bool)>,
    around: Vec<Interval>,
    /// The roots of `rows`.
    live: Vec<usize>,
    /// Whether everything was defined around the last box.
    defined: bool,
}

impl<'a> Stationary<'a> {
    /// For one problem.
    pub fn new(formulas: &'a Formulas) -> Self {
        Self {
            formulas,
            sweep: Sweep::new(&formulas.program),
            affine: affine_in_follower(formulas),
            row: vec![Interval::ZERO; formulas.n + formulas.m],
            rows: Vec::new(),
            around: formulas.domain.clone(),
            live: Vec::new(),
            defined: false,
        }
    }

    /// Whether no point of the box is an answer of the follower.
    pub fn excludes(&mut self, domain: &[Interval]) -> bool {
        if !self.gradients(domain) {
            return false;
        }
        let m = self.formulas.m;
        let mut direction = vec![0.0; m];
        for j in 0..m {
            let slope = self.rows[0].0[j];
            if !slope.contains(0.0) {
                direction[j] = if slope.lo() > 0.0 { -1.0 } else { 1.0 };
                if self.descends(domain, &direction) {
                    return true;
                }
                direction[j] = 0.0;
            }
        }
        for i in 0..m.min(8) {
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

    /// What must hold at every answer in the box, as operations that vanish: with no constraint near, ∇_y f = 0; with
    /// one, ∇_y f and ∇_y g are parallel, and ∇_y f = 0 or g = 0. Nothing where more constraints may be active or a
    /// function has kinks. Assumes that [`Stationary::excludes`] looked at this box last.
    pub fn equations(&self, domain: &[Interval], b: &mut Builder, variables: &[u32]) -> Vec<u32> {
        let equations = self.conditions(domain, b, variables);
        // Where a derivative may not exist (a root at 0), nothing need vanish.
        let program = b.finish(&equations, variables.len());
        let mut sweep = Sweep::<Interval>::new(&program);
        sweep.forward(&program, &self.around);
        if (0..equations.len()).all(|r| sweep.defined(&program, r)) { equations } else { Vec::new() }
    }

    fn conditions(&self, domain: &[Interval], b: &mut Builder, variables: &[u32]) -> Vec<u32> {
        let formulas = self.formulas;
        let (n, m) = (formulas.n, formulas.m);
        if !self.defined || !formulas.follower.equalities.is_empty() {
            return Vec::new();
        }
        let own: Vec<usize> = (n..n + m).collect();
        let touching: Vec<usize> =
            (0..m).filter(|&j| self.blocked(domain, j, -1.0) || self.blocked(domain, j, 1.0)).collect();
        let live: Vec<usize> = self.live.iter().copied().filter(|&r| r != formulas.follower.objective).collect();
        if live.len() + touching.len() > 1 {
            return Vec::new();
        }
        let Some(f) = b.derivatives(&formulas.program, formulas.follower.objective, variables, &own) else {
            return Vec::new();
        };
        if let Some(&j) = touching.first() {
            // Only y_j can be at its end: the other partial derivatives vanish.
            return (0..m).filter(|&i| i != j).map(|i| f[i]).collect();
        }
        let Some(&r) = live.first() else {
            return f;
        };
        let Some(g) = b.derivatives(&formulas.program, r, variables, &own) else {
            return Vec::new();
        };
        let value = b.import(&formulas.program, variables)[r];
        let mut equations: Vec<_> = f.iter().map(|&slope| b.mul(slope, value)).collect();
        for j in 1..m {
            let (left, right) = (b.mul(f[j - 1], g[j]), b.mul(f[j], g[j - 1]));
            equations.push(b.sub(left, right));
        }
        equations
    }

    /// Gradients in y over a neighbourhood of the box; false if a function of the follower is undefined there.
    fn gradients(&mut self, domain: &[Interval]) -> bool {
        let (formulas, program, n) = (self.formulas, &self.formulas.program, self.formulas.n);
        for (v, (z, d)) in self.around.iter_mut().zip(domain).enumerate() {
            // Any margin will do; it is taken from the end's own size, for boxes without an end on the other side.
            let margin = |end: f64| {
                if v < n { 0.0 } else { 1e-9 * (d.width().min(1.0) + 1e-3 * end.abs()) + f64::MIN_POSITIVE }
            };
            let (lo, hi) = (d.lo(), d.hi());
            *z = Interval::new(
                if lo.is_finite() { lo - margin(lo) } else { lo },
                if hi.is_finite() { hi + margin(hi) } else { hi },
            );
        }
        self.sweep.forward(program, &self.around);
        self.rows.clear();
        self.live.clear();
        self.defined = false;
        let f = formulas.follower.objective;
        let inequalities = formulas.follower.inequalities.iter().map(|&r| (r, false));
        let equalities = formulas.follower.equalities.iter().map(|&r| (r, true));
        for (r, equality) in std::iter::once((f, false)).chain(inequalities).chain(equalities) {
            if !self.sweep.defined(program, r) {
                return false;
            }
            if r != f && !equality && self.sweep.value(program, r).hi() < 0.0 {
                continue;
            }
            self.sweep.gradient(program, r, &mut self.row);
            self.rows.push((self.row[n..].to_vec(), self.affine[r], equality));
            self.live.push(r);
        }
        self.defined = true;
        true
    }

    fn blocked(&self, domain: &[Interval], j: usize, d: f64) -> bool {
        let v = self.formulas.n + j;
        let (z, whole) = (domain[v], self.formulas.domain[v]);
        (d < 0.0 && z.lo() <= whole.lo()) || (d > 0.0 && z.hi() >= whole.hi())
    }

    fn descends(&self, domain: &[Interval], direction: &[f64]) -> bool {
        if direction.iter().enumerate().any(|(j, &d)| self.blocked(domain, j, d)) {
            return false;
        }
        self.rows.iter().enumerate().all(|(k, (row, affine, equality))| {
            let terms = row.iter().zip(direction).filter(|&(_, &d)| d != 0.0);
            let along = terms.fold(Interval::ZERO, |sum, (s, &d)| sum + *s * Interval::point(d));
            if *equality {
                *affine && along == Interval::ZERO
            } else {
                along.hi() < 0.0 || (k > 0 && *affine && along.hi() <= 0.0)
            }
        })
    }

    /// The steepest descent direction, projected in turns onto what the constraints and the ends of Y allow.
    fn steepest(&self, domain: &[Interval], direction: &mut [f64]) -> bool {
        for (d, s) in direction.iter_mut().zip(&self.rows[0].0) {
            *d = -s.mid();
        }
        for _ in 0..12 {
            for (row, _, equality) in &self.rows[1..] {
                let middle: Vec<f64> = row.iter().map(|s| s.mid()).collect();
                let square: f64 = middle.iter().map(|a| a * a).sum();
                let along: f64 = middle.iter().zip(direction.iter()).map(|(a, d)| a * d).sum();
                let length = direction.iter().map(|d| d * d).sum::<f64>().sqrt();
                let wanted = if *equality { 0.0 } else { -1e-2 * square.sqrt() * length };
                if square > 0.0 && (along > wanted || *equality) {
                    direction.iter_mut().zip(&middle).for_each(|(d, a)| *d -= (along - wanted) / square * a);
                }
            }
            for (j, d) in direction.iter_mut().enumerate() {
                if self.blocked(domain, j, *d) {
                    *d = 0.0;
                }
            }
        }
        direction.iter().all(|d| d.is_finite()) && direction.iter().any(|&d| d != 0.0)
    }
}
