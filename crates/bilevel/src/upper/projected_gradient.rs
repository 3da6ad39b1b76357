//! The smoothing projected gradient method, after Lin, Xu & Ye (2014, Algorithm 3.1) as described in Alcantara & Takeda
//! 2025, Remark 2.17: F is smoothed too, X x Y is kept by projection, all other constraints are in a smoothed exact penalty
//!
//! ```text
//! G(z) = F_mu(z) + c Σ_i plus_mu(c_i(z)),     plus_mu(t) = (t + √(t² + 4 mu²)) / 2     (their 1/ρ = 4 mu²)
//! z⁺ = P(z − a ∇G(z)),    G(z⁺) <= G(z) + σ ∇G(z)ᵀ(z⁺ − z)                              (Calamai & Moré 1987)
//! ```
//!
//! until ‖z⁺ − z‖ / a < η mu; then c grows if a constraint is violated, and mu falls with the next stage. (The printed step
//! rules are rebuilt from what is known of them.) Equalities enter with |.|, as plus of both signs.

use bilevel_linalg::vector::{dot, norm_inf};

use super::matrix_free::MatrixFree;

/// How the method works.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// η: a stage ends when ‖z⁺ − z‖∞ / a is below this times mu.
    pub accuracy: f64,
    /// Gradient steps of a stage at most.
    pub max_iterations: usize,
    /// σ' by which c grows.
    pub growth: f64,
    /// Violations up to this times mu do not make c grow.
    pub slack: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { accuracy: 1.0, max_iterations: 300, growth: 5.0, slack: 1.0 }
    }
}

/// What a stage found.
#[derive(Clone, Debug)]
pub struct Found {
    /// (x, y).
    pub z: Vec<f64>,
    /// F there.
    pub objective: f64,
    /// c plus_mu'(c_i): estimates of the multipliers, that of the value-function constraint last.
    pub multipliers: Vec<f64>,
    /// The largest violation of a constraint.
    pub violation: f64,
    /// ‖z⁺ − z‖∞ / a at the end, relative to 1 + ‖∇G‖∞.
    pub residual: f64,
}

/// Armijo's σ, and the largest penalty.
const ARMIJO: f64 = 1e-4;
const LARGEST_PENALTY: f64 = 1e8;
/// Step lengths.
const SHORTEST: f64 = 1e-14;

/// Runs a stage from `start` with the penalty c, which it may raise.
pub fn solve(
    programme: &mut MatrixFree<'_, '_>,
    start: &[f64],
    penalty: &mut f64,
    mu: f64,
    settings: &Settings,
    proceed: &mut dyn FnMut() -> bool,
) -> Found {
    let equalities = programme.equalities();
    let d = start.len();
    let mut state = State { programme, values: vec![0.0; equalities.len()], equalities, penalty: *penalty, mu };
    let mut z = vec![0.0; d];
    state.programme.region.project(start, &mut z);
    let (mut gradient, mut trial, mut shifted) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    let mut value = state.value(&z);
    state.gradient(&z, &mut gradient);
    let (mut length, mut residual) = (1.0 / (1.0 + norm_inf(&gradient)), f64::INFINITY);
    for _ in 0..settings.max_iterations {
        if !value.is_finite() || !proceed() {
            break;
        }
        let Some(found) = state.step(&z, &gradient, value, &mut length, (&mut shifted, &mut trial)) else {
            if !state.grow(&z, settings) {
                break;
            }
            value = state.value(&z);
            state.gradient(&z, &mut gradient);
            continue;
        };
        let moved = z.iter().zip(&trial).fold(0.0, |a: f64, (z, t)| a.max((z - t).abs()));
        residual = moved / length / (1.0 + norm_inf(&gradient));
        z.copy_from_slice(&trial);
        value = found;
        // The stage's accuracy is reached: the end, unless the penalty was too small.
        if moved / length < settings.accuracy * mu {
            if !state.grow(&z, settings) {
                break;
            }
            value = state.value(&z);
        }
        state.gradient(&z, &mut gradient);
        length *= 4.0;
    }
    let objective = state.programme.values(&z, &mut state.values);
    *penalty = state.penalty;
    Found { objective, multipliers: state.multipliers(), violation: state.violation(), residual, z }
}

struct State<'l, 'p, 'a> {
    programme: &'l mut MatrixFree<'p, 'a>,
    equalities: Vec<bool>,
    values: Vec<f64>,
    penalty: f64,
    mu: f64,
}

impl State<'_, '_, '_> {
    fn value(&mut self, z: &[f64]) -> f64 {
        let objective = self.programme.values(z, &mut self.values);
        let terms = self.values.iter().zip(&self.equalities).map(|(&c, &equality)| {
            let root = root(c, self.mu);
            if equality { root } else { 0.5 * (c + root) }
        });
        objective + self.penalty * terms.sum::<f64>()
    }

    /// c plus_mu'(c_i) at the last point.
    fn multipliers(&self) -> Vec<f64> {
        let each = self.values.iter().zip(&self.equalities).map(|(&c, &equality)| {
            let slope = c / root(c, self.mu);
            self.penalty * if equality { slope } else { 0.5 * (1.0 + slope) }
        });
        each.collect()
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        let weights = self.multipliers();
        self.programme.gradient(z, &weights, out);
    }

    fn violation(&self) -> f64 {
        let each = self.values.iter().zip(&self.equalities);
        let worse = |a: f64, v: f64| if v.is_nan() { f64::INFINITY } else { a.max(v) };
        each.map(|(c, equality)| if *equality { c.abs() } else { *c }).fold(0.0, worse)
    }

    /// Raises the penalty where constraints are violated at z; false if they are not, or it is at its end.
    fn grow(&mut self, z: &[f64], settings: &Settings) -> bool {
        self.value(z);
        let wanted = self.violation() > settings.slack * self.mu && self.penalty < LARGEST_PENALTY;
        if wanted {
            self.penalty *= settings.growth;
        }
        wanted
    }

    /// P(z − a ∇G) with the first a of a, a/2, ... that decreases G enough; None if none does.
    fn step(
        &mut self,
        z: &[f64],
        gradient: &[f64],
        value: f64,
        length: &mut f64,
        (shifted, trial): (&mut [f64], &mut [f64]),
    ) -> Option<f64> {
        while *length > SHORTEST {
            for j in 0..z.len() {
                shifted[j] = z[j] - *length * gradient[j];
            }
            self.programme.region.project(shifted, trial);
            let slope = dot(gradient, trial) - dot(gradient, z);
            let found = self.value(trial);
            if found <= value + ARMIJO * slope && slope < 0.0 {
                return Some(found);
            }
            *length *= 0.5;
        }
        *length = 1.0 / (1.0 + norm_inf(gradient));
        None
    }
}

/// √(t² + 4 mu²).
fn root(t: f64, mu: f64) -> f64 {
    t.hypot(2.0 * mu)
}
