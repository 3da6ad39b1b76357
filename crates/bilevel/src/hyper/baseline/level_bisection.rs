//! Bisection on the value function of the functional constraint [Jiang, Shi & Wang 2024, arXiv 2409.08948].
//!
//! ```text
//! g(c) = min { f(y) : F(y) <= c, y in Y }:   the least c with g(c) <= v is the least F over the minimisers of f
//! ```
//!
//! g falls with c. Each value is an accelerated projected gradient method on f over the level set of F, whose projection
//! is found through its one multiplier: y(λ) minimises ½ ‖y − w‖² + λ F(y), and F(y(λ)) falls with λ.

use super::{Baseline, SimpleBilevel, Watch};

/// The method with the accuracy of its tests.
#[derive(Clone, Copy, Debug)]
pub struct LevelBisection {
    /// ε: g(c) − v up to this passes, relative to 1 + |v|.
    pub accuracy: f64,
    /// Most accelerated steps of one test.
    pub steps: usize,
}

impl Default for LevelBisection {
    fn default() -> Self {
        Self { accuracy: 1e-8, steps: 2000 }
    }
}

impl LevelBisection {
    /// The projection of w on {F <= c}, to within a small violation; `lambda` is the multiplier to start from.
    fn onto_level(problem: &mut SimpleBilevel<'_>, w: &[f64], c: f64, smooth: f64, lambda: &mut f64) -> Vec<f64> {
        if problem.functions.upper(w) <= c {
            return w.to_vec();
        }
        let mut low = 0.0;
        let mut high = f64::INFINITY;
        let mut trial = lambda.max(1e-3);
        let mut y = w.to_vec();
        for _ in 0..60 {
            y = Self::proximal(problem, w, trial, smooth, &y);
            let excess = problem.functions.upper(&y) - c;
            if excess.abs() <= 1e-12 * (1.0 + c.abs()) {
                break;
            }
            if excess > 0.0 {
                low = trial
            } else {
                high = trial
            }
            if high - low <= 1e-12 * high {
                break;
            }
            trial = if high.is_finite() { 0.5 * (low + high) } else { 4.0 * trial };
        }
        *lambda = trial;
        y
    }

    /// The minimiser of ½ ‖y − w‖² + λ F(y) over the set, by gradient steps with the momentum of a strongly convex
    /// function.
    fn proximal(problem: &mut SimpleBilevel<'_>, w: &[f64], lambda: f64, smooth: f64, start: &[f64]) -> Vec<f64> {
        let m = w.len();
        let bend = 1.0 + lambda * smooth;
        let beta = (bend.sqrt() - 1.0) / (bend.sqrt() + 1.0);
        let (mut y, mut z, mut gradient, mut shifted) = (start.to_vec(), start.to_vec(), vec![0.0; m], vec![0.0; m]);
        for _ in 0..200 {
            problem.functions.upper_gradient(&z, &mut gradient);
            let mut moved: f64 = 0.0;
            for j in 0..m {
                shifted[j] = z[j] - (z[j] - w[j] + lambda * gradient[j]) / bend;
            }
            let before = y.clone();
            problem.project(&shifted, &mut y);
            for j in 0..m {
                moved = moved.max((y[j] - before[j]).abs());
                z[j] = y[j] + beta * (y[j] - before[j]);
            }
            if moved <= 1e-13 * (1.0 + y.iter().fold(0.0, |a: f64, v| a.max(v.abs()))) {
                break;
            }
        }
        y
    }

    /// Minimises f over {F <= c} from y; stops as soon as it is clear on which side of v + ε it ends, or at the limit.
    fn value(
        &self,
        problem: &mut SimpleBilevel<'_>,
        (c, target): (f64, f64),
        smooth: (f64, f64),
        budget: u64,
        y: &mut Vec<f64>,
    ) -> bool {
        let m = y.len();
        let (mut lambda, mut momentum) = (0.0, 1.0_f64);
        *y = Self::onto_level(problem, y, c, smooth.1, &mut lambda);
        let (mut w, mut gradient, mut shifted) = (y.clone(), vec![0.0; m], vec![0.0; m]);
        for _ in 0..self.steps {
            problem.functions.lower_gradient(&w, &mut gradient);
            for j in 0..m {
                shifted[j] = w[j] - gradient[j] / smooth.0;
            }
            let next = Self::onto_level(problem, &shifted, c, smooth.1, &mut lambda);
            let moved = next.iter().zip(y.iter()).fold(0.0, |a: f64, (p, q)| a.max((p - q).abs()));
            let grown = 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt());
            for j in 0..m {
                w[j] = next[j] + (momentum - 1.0) / grown * (next[j] - y[j]);
            }
            momentum = grown;
            *y = next;
            if problem.functions.lower(y) <= target {
                return true;
            }
            if moved <= 1e-13 || problem.gradients() >= budget {
                return false;
            }
        }
        false
    }
}

impl Baseline for LevelBisection {
    fn name(&self) -> &'static str {
        "level bisection"
    }

    fn run(&self, problem: &mut SimpleBilevel<'_>, start: &[f64], budget: u64, watch: &mut Watch<'_>) -> Vec<f64> {
        let smooth = problem.smoothness(start);
        let bottom = problem.minimise((1.0, 0.0), start, 1e-12, 20_000);
        let v = problem.functions.lower(&bottom);
        let target = v + self.accuracy * (1.0 + v.abs());
        let free = problem.minimise((0.0, 1.0), &bottom, 1e-10, 20_000);
        let (mut low, mut high) = (problem.functions.upper(&free), problem.functions.upper(&bottom));
        let mut y = bottom;
        while high - low > 1e-9 * (1.0 + high.abs()) && problem.gradients() < budget {
            let c = 0.5 * (low + high);
            let mut trial = y.clone();
            if self.value(problem, (c, target), smooth, budget, &mut trial) {
                high = c;
                y = trial;
            } else {
                low = c;
            }
            if !problem.report(0.5 * (low + high), &y, watch) {
                break;
            }
        }
        y
    }
}
