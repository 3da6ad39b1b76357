//! Averaged iteratively regularised gradients [Kaushik & Yousefian 2021].
//!
//! ```text
//! y ← P_Y(y − γ_k (∇f(y) + η_k ∇F(y))),   γ_k = γ₀ / √(k+1),  η_k = η₀ / (k+1)^b,  0 < b < 1/2
//! ȳ = Σ γ_k^r y_k / Σ γ_k^r,  r < 1
//! ```

use super::{Baseline, SimpleBilevel, Watch};

/// The method with its two constants; its point is the average ȳ.
#[derive(Clone, Copy, Debug)]
pub struct AveragedRegularisation {
    /// η₀, the first weight of F.
    pub weight: f64,
    /// b, how fast the weight falls.
    pub decay: f64,
}

impl Default for AveragedRegularisation {
    fn default() -> Self {
        Self { weight: 0.1, decay: 0.25 }
    }
}

/// r, the power of the step in the average.
const POWER: f64 = 0.5;

impl Baseline for AveragedRegularisation {
    fn name(&self) -> &'static str {
        "a-IRG"
    }

    fn run(&self, problem: &mut SimpleBilevel<'_>, start: &[f64], budget: u64, watch: &mut Watch<'_>) -> Vec<f64> {
        let m = start.len();
        let (smooth_f, smooth_upper) = problem.smoothness(start);
        let first = 1.0 / (smooth_f + self.weight * smooth_upper);
        let (mut y, mut average, mut total) = (start.to_vec(), vec![0.0; m], 0.0);
        let (mut lower, mut upper, mut step) = (vec![0.0; m], vec![0.0; m], vec![0.0; m]);
        let mut k = 0u32;
        while problem.gradients() < budget {
            let count = f64::from(k) + 1.0;
            let (gamma, eta) = (first / count.sqrt(), self.weight / count.powf(self.decay));
            problem.functions.lower_gradient(&y, &mut lower);
            problem.functions.upper_gradient(&y, &mut upper);
            for j in 0..m {
                step[j] = y[j] - gamma * (lower[j] + eta * upper[j]);
            }
            problem.project(&step, &mut y);
            let weight = gamma.powf(POWER);
            total += weight;
            for j in 0..m {
                average[j] += weight / total * (y[j] - average[j]);
            }
            k += 1;
            if k.is_multiple_of(50) {
                let value = problem.functions.upper(&average);
                if !problem.report(value, &average, watch) {
                    break;
                }
            }
        }
        average
    }
}
