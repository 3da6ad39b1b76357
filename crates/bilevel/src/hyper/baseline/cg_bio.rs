//! CG-BiO, conditional gradients with a cut [Jiang, Abolfazli, Mokhtari & Yazdandoost Hamedani 2022].
//!
//! ```text
//! s_k = argmin ⟨∇F(y_k), s⟩  over s in Z with ⟨∇f(y_k), s − y_k⟩ <= f(y_0) − f(y_k)
//! y_{k+1} = y_k + γ_k (s_k − y_k),  γ_k = 2 / (k + 2),   y_0 a nearly best answer of f
//! ```
//!
//! Z must be bounded: the follower's box where it has one, else a ball around the start. The cut has one multiplier;
//! between the two ends of its bisection the least convex combination is taken.

use bilevel_linalg::vector::{dot, norm2};

use super::{Baseline, SimpleBilevel, Watch};
use crate::set::ConvexSet;

/// The method with the accuracy of its start and, for unbounded sets, the ball.
#[derive(Clone, Copy, Debug)]
pub struct ConditionalGradient {
    /// f(y_0) − v is at most about this, relative to 1 + |v|.
    pub accuracy: f64,
    /// The ball's radius, relative to 1 + ‖y_0‖.
    pub radius: f64,
}

impl Default for ConditionalGradient {
    fn default() -> Self {
        Self { accuracy: 1e-8, radius: 2.0 }
    }
}

/// Where Z is: a box, or a ball around 0.
struct Region {
    lower: Vec<f64>,
    upper: Vec<f64>,
    radius: f64,
    bounded: bool,
}

impl Region {
    /// Writes the minimiser of ⟨g, s⟩ over Z.
    fn least(&self, g: &[f64], out: &mut [f64]) {
        if self.bounded {
            for j in 0..g.len() {
                out[j] = if g[j] > 0.0 { self.lower[j] } else { self.upper[j] };
            }
            return;
        }
        let size = norm2(g).max(f64::MIN_POSITIVE);
        out.iter_mut().zip(g).for_each(|(o, g)| *o = -self.radius * g / size);
    }

    /// The minimiser of ⟨g, s⟩ over Z with ⟨a, s⟩ <= b.
    fn least_cut(&self, g: &[f64], a: &[f64], b: f64) -> Vec<f64> {
        let m = g.len();
        let weighted = |mu: f64| {
            let mut out = vec![0.0; m];
            let sum: Vec<f64> = g.iter().zip(a).map(|(g, a)| g + mu * a).collect();
            self.least(&sum, &mut out);
            out
        };
        let mut outside = weighted(0.0);
        if dot(a, &outside) <= b {
            return outside;
        }
        let (mut low, mut high) = (0.0, 1.0);
        let mut inside = weighted(high);
        while dot(a, &inside) > b && high < 1e16 {
            high *= 4.0;
            inside = weighted(high);
        }
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            let s = weighted(middle);
            if dot(a, &s) > b {
                (low, outside) = (middle, s);
            } else {
                (high, inside) = (middle, s);
            }
        }
        let (far, near) = (dot(a, &outside) - b, b - dot(a, &inside));
        let share = if far + near > 0.0 { near / (far + near) } else { 0.0 };
        inside.iter().zip(&outside).map(|(i, o)| i + share.clamp(0.0, 1.0) * (o - i)).collect()
    }
}

impl Baseline for ConditionalGradient {
    fn name(&self) -> &'static str {
        "CG-BiO"
    }

    fn run(&self, problem: &mut SimpleBilevel<'_>, start: &[f64], budget: u64, watch: &mut Watch<'_>) -> Vec<f64> {
        let m = start.len();
        let mut y = problem.minimise((1.0, 0.0), start, self.accuracy, 20_000);
        let first = problem.functions.lower(&y);
        let mut region = Region {
            lower: vec![0.0; m],
            upper: vec![0.0; m],
            radius: self.radius * (1.0 + norm2(&y)),
            bounded: false,
        };
        problem.set.bounding_box(&mut region.lower, &mut region.upper);
        region.bounded = region.lower.iter().chain(&region.upper).all(|v| v.is_finite());
        let (mut lower, mut upper) = (vec![0.0; m], vec![0.0; m]);
        let mut k = 0u32;
        while problem.gradients() < budget {
            problem.functions.lower_gradient(&y, &mut lower);
            problem.functions.upper_gradient(&y, &mut upper);
            let room = first - problem.functions.lower(&y);
            let s = region.least_cut(&upper, &lower, room + dot(&lower, &y));
            let gamma = 2.0 / (f64::from(k) + 2.0);
            y.iter_mut().zip(&s).for_each(|(y, s)| *y += gamma * (s - *y));
            k += 1;
            if k.is_multiple_of(20) {
                let value = problem.functions.upper(&y);
                if !problem.report(value, &y, watch) {
                    break;
                }
            }
        }
        y
    }
}
