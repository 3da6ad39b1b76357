//! Newton steps on the optimality conditions with a guessed active set: from a point accurate to 1e-8 to one accurate
//! to rounding, with active bounds hit exactly.
//!
//! ```text
//! [ W_ff + δ   J_afᵀ ] [dz_f]     [ (∇f + Jᵀy)_f ]
//! [ J_af        −δ   ] [dy_a] = − [ r_a − bound_a ],     z_j = bound for active bounds, y_i = 0 for inactive rows
//! ```
//!
//! A bound or row is taken as active where its multiplier exceeds its distance; wrong signs and violations found on
//! the way correct the guess. δ = 0 unless the system is singular (solutions or multipliers that are not unique), and
//! then small: the step is a proximal one, near the given point. Whether the result is an improvement is for the
//! caller to judge.

use super::reduced::Reduced;
use bilevel_linalg::{Dense, Inertia, Ldlt};

/// Most Newton steps.
const STEPS: usize = 8;
/// δ for singular systems.
const SHIFTS: [f64; 3] = [0.0, 1e-8, 1e-5];
/// Signs and violations below this, relative to 1 + size, are rounding.
const ROUNDING: f64 = 1e-13;

/// Which side of a range holds with equality.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Inactive,
    Lower,
    Upper,
    /// An equality: its multiplier may have either sign.
    Both,
}

/// The side of a range that multiplier and distances point to.
fn guess(value: f64, multiplier: f64, lower: f64, upper: f64) -> Side {
    if lower == upper {
        Side::Both
    } else if multiplier > 0.0 && value - lower < multiplier {
        Side::Lower
    } else if multiplier < 0.0 && upper - value < -multiplier {
        Side::Upper
    } else {
        Side::Inactive
    }
}

/// Corrects a guess by the outcome of a step. Returns whether it changed.
fn correct(side: &mut Side, value: f64, multiplier: f64, lower: f64, upper: f64) -> bool {
    let wrong = -ROUNDING * (1.0 + multiplier.abs());
    let new = match *side {
        Side::Lower if multiplier < wrong => Side::Inactive,
        Side::Upper if -multiplier < wrong => Side::Inactive,
        Side::Inactive if lower - value > ROUNDING * (1.0 + lower.abs()) => Side::Lower,
        Side::Inactive if value - upper > ROUNDING * (1.0 + upper.abs()) => Side::Upper,
        same => same,
    };
    let changed = new != *side;
    *side = new;
    changed
}

/// The state of the Newton iteration, in the reduced problem's scaling; multipliers in the module's convention.
pub(super) struct Polisher {
    z: Vec<f64>,
    bounds: Vec<f64>,
    rows: Vec<f64>,
    bound_sides: Vec<Side>,
    row_sides: Vec<Side>,
    free: Vec<usize>,
    active: Vec<usize>,
    gradient: Vec<f64>,
    values: Vec<f64>,
    jacobian: Dense,
    hessian: Dense,
    negated: Vec<f64>,
    matrix: Dense,
    ldlt: Ldlt,
    rhs: Vec<f64>,
    work: Vec<f64>,
    steps: usize,
    last_size: f64,
}

impl Polisher {
    /// Starts from a point within its bounds and multipliers of bounds and rows.
    pub fn new(problem: &mut Reduced, z: &[f64], bounds: &[f64], rows: &[f64]) -> Self {
        let (d, m) = (problem.variables(), problem.rows());
        let mut polisher = Self {
            z: z.to_vec(),
            bounds: bounds.to_vec(),
            rows: rows.to_vec(),
            bound_sides: vec![Side::Inactive; d],
            row_sides: vec![Side::Inactive; m],
            free: Vec::with_capacity(d),
            active: Vec::with_capacity(m),
            gradient: vec![0.0; d],
            values: vec![0.0; m],
            jacobian: Dense::zeros(m, d),
            hessian: Dense::zeros(d, d),
            negated: vec![0.0; m],
            matrix: Dense::zeros(0, 0),
            ldlt: Ldlt::new(),
            rhs: Vec::with_capacity(d + m),
            work: vec![0.0; 2 * (d + m)],
            steps: 0,
            last_size: f64::INFINITY,
        };
        problem.values(z, &mut polisher.values);
        for j in 0..d {
            polisher.bound_sides[j] = guess(z[j], bounds[j], problem.lower[j], problem.upper[j]);
        }
        for (i, side) in polisher.row_sides.iter_mut().enumerate() {
            *side = guess(polisher.values[i], rows[i], problem.row_lower[i], problem.row_upper[i]);
        }
        polisher
    }

    /// One Newton step: the new point with the multipliers of bounds and rows. `None` when there is nothing more to
    /// do, or no way to do it.
    pub fn step(&mut self, problem: &mut Reduced) -> Option<(&[f64], &[f64], &[f64])> {
        if self.steps == STEPS {
            return None;
        }
        self.steps += 1;
        self.pin(problem);
        self.linearise(problem)?;
        self.solve()?;
        let size = self.apply();
        let crossed = self.stop_at_bounds(problem);
        self.bound_multipliers(problem)?;
        let changed = self.revise(problem) || crossed;
        if !changed && size <= 1e-15 * (1.0 + self.last_size.min(1.0)) {
            self.steps = STEPS;
        }
        self.last_size = size;
        Some((&self.z, &self.bounds, &self.rows))
    }

    /// Puts active bounds on their value and lists the free variables and active rows.
    fn pin(&mut self, problem: &Reduced) {
        self.free.clear();
        for (j, side) in self.bound_sides.iter().enumerate() {
            match side {
                Side::Lower => self.z[j] = problem.lower[j],
                Side::Upper => self.z[j] = problem.upper[j],
                _ => self.free.push(j),
            }
        }
        self.active.clear();
        for (i, side) in self.row_sides.iter().enumerate() {
            if *side == Side::Inactive {
                self.rows[i] = 0.0;
            } else {
                self.active.push(i);
            }
        }
    }

    /// Evaluates everything at z; the right-hand side is left in `rhs`.
    fn linearise(&mut self, problem: &mut Reduced) -> Option<()> {
        problem.gradient(&self.z, &mut self.gradient);
        problem.values(&self.z, &mut self.values);
        problem.jacobian(&self.z, &mut self.jacobian);
        for (n, y) in self.negated.iter_mut().zip(&self.rows) {
            *n = -y;
        }
        if !problem.hessian(&self.z, 1.0, &self.negated, &mut self.hessian) {
            return None;
        }
        self.jacobian.transpose_mul_add(1.0, &self.negated, &mut self.gradient);
        self.rhs.clear();
        for &j in &self.free {
            self.rhs.push(-self.gradient[j]);
        }
        for &i in &self.active {
            let bound = match self.row_sides[i] {
                Side::Upper => problem.row_upper[i],
                _ => problem.row_lower[i],
            };
            self.rhs.push(bound - self.values[i]);
        }
        Some(())
    }

    /// Factors with the smallest shift that gives a regular matrix, preferring one that is convex on the free space.
    fn solve(&mut self) -> Option<()> {
        let (f, a) = (self.free.len(), self.active.len());
        let wanted = Inertia { positive: f, negative: a, zero: 0 };
        for (attempt, shift) in SHIFTS.into_iter().enumerate() {
            self.assemble(shift);
            let inertia = self.ldlt.factor(&self.matrix).ok()?;
            let last = attempt + 1 == SHIFTS.len();
            if inertia == wanted || (last && inertia.zero == 0) {
                let work = &mut self.work[..2 * (f + a)];
                self.ldlt.solve_refined(&self.matrix, &mut self.rhs, 2, work).ok()?;
                return self.rhs.iter().all(|v| v.is_finite()).then_some(());
            }
        }
        None
    }

    fn assemble(&mut self, shift: f64) {
        let (f, a) = (self.free.len(), self.active.len());
        self.matrix.reset(f + a, f + a);
        for (p, &j) in self.free.iter().enumerate() {
            for (q, &k) in self.free[..=p].iter().enumerate() {
                self.matrix[(p, q)] = self.hessian[(j, k)];
            }
            self.matrix[(p, p)] += shift;
        }
        for (p, &i) in self.active.iter().enumerate() {
            for (q, &j) in self.free.iter().enumerate() {
                self.matrix[(f + p, q)] = self.jacobian[(i, j)];
            }
            self.matrix[(f + p, f + p)] = -shift;
        }
        self.matrix.mirror_lower();
    }

    /// Moves by the step and returns its size relative to the point.
    fn apply(&mut self) -> f64 {
        let f = self.free.len();
        let mut size = 0.0f64;
        for (&j, s) in self.free.iter().zip(&self.rhs) {
            self.z[j] += s;
            size = size.max(s.abs() / (1.0 + self.z[j].abs()));
        }
        for (&i, s) in self.active.iter().zip(&self.rhs[f..]) {
            self.rows[i] -= s;
            size = size.max(s.abs() / (1.0 + self.rows[i].abs()));
        }
        size
    }

    /// Bounds that the step crossed become active.
    fn stop_at_bounds(&mut self, problem: &Reduced) -> bool {
        let mut crossed = false;
        for &j in &self.free {
            let (l, u) = (problem.lower[j], problem.upper[j]);
            if self.z[j] < l {
                (self.z[j], self.bound_sides[j], crossed) = (l, Side::Lower, true);
            } else if self.z[j] > u {
                (self.z[j], self.bound_sides[j], crossed) = (u, Side::Upper, true);
            }
        }
        crossed
    }

    /// The multipliers of active bounds are what stationarity leaves at the new point.
    fn bound_multipliers(&mut self, problem: &mut Reduced) -> Option<()> {
        problem.gradient(&self.z, &mut self.gradient);
        problem.values(&self.z, &mut self.values);
        problem.jacobian(&self.z, &mut self.jacobian);
        self.jacobian.transpose_mul_add(-1.0, &self.rows, &mut self.gradient);
        for ((b, side), g) in self.bounds.iter_mut().zip(&self.bound_sides).zip(&self.gradient) {
            *b = if *side == Side::Inactive { 0.0 } else { *g };
        }
        self.bounds.iter().chain(&self.values).all(|v| v.is_finite()).then_some(())
    }

    fn revise(&mut self, problem: &Reduced) -> bool {
        let mut changed = false;
        for (j, side) in self.bound_sides.iter_mut().enumerate() {
            changed |= correct(side, self.z[j], self.bounds[j], problem.lower[j], problem.upper[j]);
        }
        for (i, side) in self.row_sides.iter_mut().enumerate() {
            changed |= correct(side, self.values[i], self.rows[i], problem.row_lower[i], problem.row_upper[i]);
        }
        changed
    }
}
