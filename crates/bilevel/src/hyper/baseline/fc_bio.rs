//! FC-BiO for smooth problems [Zhang, Chen, Xu & Zhang 2024, arXiv 2409.06530].
//!
//! The least t such that min over y of max{F(y) − t, f(y) − v} is (nearly) 0, by bisection. Each test is a minimax problem
//! of two smooth functions, solved by Nesterov's accelerated method with the step
//!
//! ```text
//! y⁺ = argmin over y of max{F(w) − t + ⟨∇F(w), y − w⟩, f(w) − v + ⟨∇f(w), y − w⟩} + L/2 ‖y − w‖²
//! ```
//!
//! which is one parameter λ in [0, 1] between both gradients: closed in the whole space, by bisection over a set.

use bilevel_linalg::vector::{dot, norm2_squared};

use super::{Baseline, SimpleBilevel, Watch};

/// The method with the accuracy of its tests.
#[derive(Clone, Copy, Debug)]
pub struct FunctionallyConstrained {
    /// ε, the accuracy of F and of f − v.
    pub accuracy: f64,
    /// Most steps of one test.
    pub steps: usize,
}

impl Default for FunctionallyConstrained {
    fn default() -> Self {
        Self { accuracy: 1e-4, steps: 3000 }
    }
}

/// Both functions, linearised at w, and the memory of a step.
struct Linearised {
    upper: f64,
    lower: f64,
    upper_gradient: Vec<f64>,
    lower_gradient: Vec<f64>,
    shifted: Vec<f64>,
}

impl Linearised {
    /// Writes the step's end to `out`.
    fn step(&mut self, problem: &SimpleBilevel<'_>, w: &[f64], smoothness: f64, out: &mut [f64]) {
        // The derivative in λ of the dual is the difference of both models at the step's end: it falls with λ.
        let (mut low, mut high) = (0.0, 1.0);
        let difference = |end: &[f64], this: &Self| {
            let along = |g: &[f64]| dot(g, end) - dot(g, w);
            this.upper + along(&this.upper_gradient) - this.lower - along(&this.lower_gradient)
        };
        let unconstrained = {
            let mut between = self.upper_gradient.clone();
            between.iter_mut().zip(&self.lower_gradient).for_each(|(b, g)| *b -= g);
            let square = norm2_squared(&between);
            let lambda = (smoothness * (self.upper - self.lower) - dot(&between, &self.lower_gradient)) / square;
            if square > 0.0 { lambda.clamp(0.0, 1.0) } else { 0.5 }
        };
        let mut lambda = unconstrained;
        for _ in 0..40 {
            let gradients = self.upper_gradient.iter().zip(&self.lower_gradient);
            for ((shifted, w), (upper, lower)) in self.shifted.iter_mut().zip(w).zip(gradients) {
                *shifted = w - (lambda * upper + (1.0 - lambda) * lower) / smoothness;
            }
            problem.project(&self.shifted, out);
            // In the whole space the closed form is exact.
            if out.iter().zip(&self.shifted).all(|(a, b)| a == b) && lambda == unconstrained {
                return;
            }
            if difference(out, self) > 0.0 {
                low = lambda
            } else {
                high = lambda
            }
            if high - low < 1e-10 {
                return;
            }
            lambda = 0.5 * (low + high);
        }
    }
}

impl FunctionallyConstrained {
    /// Minimises the larger of F − t and f − v from y, which becomes the best point; its value.
    fn test(
        &self,
        problem: &mut SimpleBilevel<'_>,
        (t, v): (f64, f64),
        smoothness: f64,
        budget: u64,
        y: &mut [f64],
    ) -> f64 {
        let m = y.len();
        let zeros = || vec![0.0; m];
        let mut at =
            Linearised { upper: 0.0, lower: 0.0, upper_gradient: zeros(), lower_gradient: zeros(), shifted: zeros() };
        let (mut w, mut next, mut momentum) = (y.to_vec(), zeros(), 1.0_f64);
        let mut previous = y.to_vec();
        let mut best = f64::INFINITY;
        for _ in 0..self.steps {
            (at.upper, at.lower) = (problem.functions.upper(&w) - t, problem.functions.lower(&w) - v);
            problem.functions.upper_gradient(&w, &mut at.upper_gradient);
            problem.functions.lower_gradient(&w, &mut at.lower_gradient);
            at.step(problem, &w, smoothness, &mut next);
            let value = (problem.functions.upper(&next) - t).max(problem.functions.lower(&next) - v);
            if value < best {
                best = value;
                y.copy_from_slice(&next);
            }
            if best <= 0.5 * self.accuracy || problem.gradients() >= budget {
                break;
            }
            let grown = 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt());
            let beta = (momentum - 1.0) / grown;
            momentum = grown;
            for j in 0..m {
                w[j] = next[j] + beta * (next[j] - previous[j]);
            }
            previous.copy_from_slice(&next);
        }
        best
    }
}

impl Baseline for FunctionallyConstrained {
    fn name(&self) -> &'static str {
        "FC-BiO"
    }

    fn run(&self, problem: &mut SimpleBilevel<'_>, start: &[f64], budget: u64, watch: &mut Watch<'_>) -> Vec<f64> {
        let (smooth_f, smooth_upper) = problem.smoothness(start);
        let bottom = problem.minimise((1.0, 0.0), start, 1e-10, 20_000);
        let v = problem.functions.lower(&bottom);
        let free = problem.minimise((0.0, 1.0), &bottom, 1e-10, 20_000);
        let (mut low, mut high) = (problem.functions.upper(&free), problem.functions.upper(&bottom));
        let mut y = bottom;
        while high - low > 0.5 * self.accuracy && problem.gradients() < budget {
            let t = 0.5 * (low + high);
            let mut trial = y.clone();
            let value = self.test(problem, (t, v), smooth_f.max(smooth_upper), budget, &mut trial);
            if value <= 0.5 * self.accuracy {
                high = t;
                y = trial;
            } else {
                low = t;
            }
            if !problem.report(0.5 * (low + high), &y, watch) {
                break;
            }
        }
        y
    }
}
