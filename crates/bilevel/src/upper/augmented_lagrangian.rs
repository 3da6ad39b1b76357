//! The augmented Lagrangian (Powell, Hestenes, Rockafellar) on (VFP_epsilon^mu), with projections for X x Y and no
//! matrices [Birgin & Martínez 2014, Algorithm 4.1]:
//!
//! ```text
//! L(z) = F(z) + ρ/2 Σ_{inequalities} max(0, c_i(z) + λ_i/ρ)² + ρ/2 Σ_{equalities} (c_i(z) + λ_i/ρ)²
//! λ_i := max(0, λ_i + ρ c_i(z))   (without max for equalities)
//! ```
//!
//! L is minimised over X x Y by [`projected`]; ρ grows when neither violation nor complementarity has fallen enough.

use super::matrix_free::MatrixFree;
use crate::nlp::projected::{self, Smooth};

/// How the method works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Tolerance of violation and stationarity.
    pub tolerance: f64,
    /// Updates of the multipliers at most.
    pub max_updates: usize,
    /// Iterations of all inner solves together at most.
    pub max_iterations: usize,
    /// Iterations over y alone before each inner solve: v(x) stays as it is, so that they cost no lower solve.
    pub y_iterations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tolerance: 1e-7, max_updates: 25, max_iterations: 600, y_iterations: 0 }
    }
}

impl Settings {
    /// For a stage at this level and so many variables: a stage need not be solved more accurately than its level, and
    /// where every iteration costs a large lower solve, what is left to do is left to the finishing step.
    pub fn stage(mu: f64, variables: usize) -> Self {
        let (max_updates, max_iterations, y_iterations) = if variables > MANY { (4, 12, 40) } else { (15, 200, 0) };
        Self { tolerance: (1e-2 * mu).clamp(1e-6, 1e-3), max_updates, max_iterations, y_iterations }
    }
}

/// Variables of both levels from which a stage gets fewer iterations.
const MANY: usize = 150;

/// What the method found.
#[derive(Clone, Debug)]
pub struct Found {
    /// (x, y).
    pub z: Vec<f64>,
    /// F there.
    pub objective: f64,
    /// The multipliers, that of the value-function constraint last.
    pub multipliers: Vec<f64>,
    /// The largest violation of a constraint.
    pub violation: f64,
    /// ‖z − P(z − ∇L)‖∞ relative to 1 + ‖∇L‖∞.
    pub residual: f64,
}

/// Factors of the penalty, and the decrease of the violation that keeps it.
const GROWTH: f64 = 10.0;
const ENOUGH: f64 = 0.25;
const LARGEST_PENALTY: f64 = 1e9;

/// Runs from `start` with a first guess of the multipliers (last: of the value-function constraint).
pub fn solve(
    programme: &mut MatrixFree<'_, '_>,
    start: &[f64],
    multipliers: &[f64],
    settings: &Settings,
    proceed: &mut dyn FnMut() -> bool,
) -> Found {
    let equalities = programme.equalities();
    let mut values = vec![0.0; equalities.len()];
    let mut z = vec![0.0; start.len()];
    programme.region.project(start, &mut z);
    let objective = programme.values(&z, &mut values);
    let squares: f64 =
        values.iter().zip(&equalities).map(|(c, e)| if *e { *c } else { c.max(0.0) }).map(|c| c * c).sum();
    let penalty = (10.0 * objective.abs().max(1.0) / (0.5 * squares).max(1.0)).clamp(1e-6, 10.0);
    let mut lagrangian = Lagrangian {
        weights: vec![0.0; equalities.len()],
        values,
        multipliers: multipliers.to_vec(),
        equalities,
        penalty: if penalty.is_finite() { penalty } else { 1.0 },
        programme,
    };
    let (mut progress, mut used, mut tolerance) = (f64::INFINITY, 0, settings.tolerance.max(1e-3));
    let mut residual = f64::INFINITY;
    for _ in 0..settings.max_updates {
        let inner = projected::Settings {
            tolerance,
            max_iterations: (settings.max_iterations - used).min(settings.max_iterations / 3 + 1),
            ..projected::Settings::default()
        };
        let region = lagrangian.programme.region.clone();
        if settings.y_iterations > 0
            && let Some(fixed) = lagrangian.programme.leader_point(&z)
        {
            let only = projected::Settings { max_iterations: settings.y_iterations, ..inner };
            let moved = projected::minimise(&mut lagrangian, &fixed.region(), &z, &only, proceed);
            if moved.value.is_finite() {
                z = moved.z;
            }
        }
        let found = projected::minimise(&mut lagrangian, &region, &z, &inner, proceed);
        used += found.iterations;
        residual = found.residual;
        if !found.value.is_finite() {
            break;
        }
        z = found.z;
        lagrangian.value(&z);
        let reached = lagrangian.progress();
        lagrangian.update_multipliers();
        let done = reached <= settings.tolerance && residual <= 10.0 * settings.tolerance;
        if done || used >= settings.max_iterations || !proceed() {
            break;
        }
        if reached > ENOUGH * progress && reached > settings.tolerance {
            lagrangian.penalty = (lagrangian.penalty * GROWTH).min(LARGEST_PENALTY);
        }
        progress = reached;
        tolerance = (0.1 * tolerance).max(settings.tolerance);
    }
    let objective = lagrangian.programme.values(&z, &mut lagrangian.values);
    let violation = lagrangian.violation();
    Found { objective, multipliers: lagrangian.multipliers, violation, residual, z }
}

struct Lagrangian<'l, 'p, 'a> {
    programme: &'l mut MatrixFree<'p, 'a>,
    equalities: Vec<bool>,
    multipliers: Vec<f64>,
    penalty: f64,
    /// c at the last point, and the weights of the gradients there: λ + ρ c, cut off at 0 for inequalities.
    values: Vec<f64>,
    weights: Vec<f64>,
}

impl Lagrangian<'_, '_, '_> {
    fn update_weights(&mut self) {
        for i in 0..self.values.len() {
            let weight = self.multipliers[i] + self.penalty * self.values[i];
            self.weights[i] = if self.equalities[i] { weight } else { weight.max(0.0) };
        }
    }

    fn update_multipliers(&mut self) {
        self.multipliers.copy_from_slice(&self.weights);
    }

    /// The larger of violation and failing complementarity, ‖max(c, −λ/ρ)‖∞.
    fn progress(&self) -> f64 {
        let each = (0..self.values.len()).map(|i| {
            if self.equalities[i] {
                self.values[i].abs()
            } else {
                self.values[i].max(-self.multipliers[i] / self.penalty).abs()
            }
        });
        each.fold(0.0, f64::max)
    }

    fn violation(&self) -> f64 {
        let each = self.values.iter().zip(&self.equalities);
        let worse = |a: f64, v: f64| if v.is_nan() { f64::INFINITY } else { a.max(v) };
        each.map(|(c, equality)| if *equality { c.abs() } else { *c }).fold(0.0, worse)
    }
}

impl Smooth for Lagrangian<'_, '_, '_> {
    fn value(&mut self, z: &[f64]) -> f64 {
        let objective = self.programme.values(z, &mut self.values);
        self.update_weights();
        let terms = self.weights.iter().zip(&self.multipliers).map(|(w, l)| (w * w - l * l) / (2.0 * self.penalty));
        objective + terms.sum::<f64>()
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        self.programme.gradient(z, &self.weights, out);
    }
}
