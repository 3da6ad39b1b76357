//! Clarke stationarity of phi_o from values alone [Chen, Li & So 2025, Lemma 5, sharpened]:
//!
//! ```text
//! dist(0, ∪ ∂phi(z), z in B(x, nu)) <= ‖grad phi^delta(x)‖ + (rho r + 1/r) √(2 delta M),   nu = r √(2 delta M)
//! ```
//!
//! for any r > 0 (here the best one, rho^(-1/2)), with phi^delta the mean of phi over B(x, delta) and M a Lipschitz
//! constant. Its gradient is the mean of G = n/(2 delta) (phi(x + delta u) - phi(x - delta u)) u over the sphere; with N
//! samples, E‖mean - gradient‖ <= √(16 √(2 pi) n M²/N), and one sample moves the mean by at most 2 n M/N, so that by
//! McDiarmid's inequality the distance exceeds that by n M √(2 ln(1/alpha)/N) with probability at most alpha. Values with
//! error w add n w/delta. All of this is large: it is for a phi without subgradients.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::hyper::HyperObjective;
use crate::observe::Silent;
use crate::solution::{Rigor, Stationarity};
use crate::upper::hyper::{Oracle, random_direction};

/// Settings of [`black_box`].
#[derive(Clone, Debug, PartialEq)]
pub struct BlackBoxSettings {
    /// The modulus of weak concavity; what is observed, or given.
    pub modulus: f64,
    /// The Lipschitz constant, if it is known; else four times what the samples show.
    pub lipschitz: Option<f64>,
    /// delta.
    pub delta: f64,
    /// w, the error of values.
    pub accuracy: f64,
    /// N, the number of directions; each costs two evaluations.
    pub samples: usize,
    /// alpha, the probability that the bound fails although rho and M hold.
    pub alpha: f64,
    /// Seed of the directions.
    pub seed: u64,
}

/// The bound and its parts.
#[derive(Clone, Debug, PartialEq)]
pub struct BlackBoxCheck {
    /// The bound.
    pub bound: f64,
    /// nu.
    pub radius: f64,
    /// The norm of the mean of G: an estimate, no bound.
    pub estimate: f64,
    /// M, as used.
    pub lipschitz: f64,
    /// 1 - alpha.
    pub confidence: f64,
    /// Evaluations of phi.
    pub evaluations: usize,
}

/// Bounds the measure at x, for X = R^n. `None` where phi has no value at one of the points.
pub fn black_box(phi: &dyn HyperObjective, x: &[f64], settings: &BlackBoxSettings) -> Option<BlackBoxCheck> {
    let n = x.len();
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut oracle = Oracle::new(phi, settings.accuracy, usize::MAX, &Silent);
    let (mut mean, mut steepest) = (vec![0.0; n], 0.0f64);
    let (samples, delta) = (settings.samples.max(1), settings.delta);
    for _ in 0..samples {
        let u = random_direction(n, &mut rng);
        let mut at = |sign: f64| {
            let z: Vec<f64> = x.iter().zip(&u).map(|(x, u)| x + sign * delta * u).collect();
            oracle.evaluate(&z).ok().map(|s| s.value).filter(|v| v.is_finite())
        };
        let slope = (at(1.0)? - at(-1.0)?) / (2.0 * delta);
        steepest = steepest.max(slope.abs());
        mean.iter_mut().zip(&u).for_each(|(m, u)| *m += n as f64 * slope * u / samples as f64);
    }
    let lipschitz = settings.lipschitz.unwrap_or(4.0 * steepest);
    let estimate = mean.iter().map(|v| v * v).sum::<f64>().sqrt();
    let (dimension, count) = (n as f64, samples as f64);
    let variance = 16.0 * (std::f64::consts::TAU).sqrt() * dimension / count;
    let chance = dimension * (2.0 * (1.0 / settings.alpha).ln() / count).sqrt();
    let inexact = dimension * settings.accuracy / delta;
    let root = (2.0 * delta * lipschitz).sqrt();
    let smoothing = 2.0 * settings.modulus.sqrt() * root;
    Some(BlackBoxCheck {
        bound: estimate + lipschitz * (variance.sqrt() + chance) + inexact + smoothing,
        radius: root / settings.modulus.sqrt(),
        estimate,
        lipschitz,
        confidence: 1.0 - settings.alpha,
        evaluations: oracle.used(),
    })
}

impl BlackBoxCheck {
    /// As an entry of a certificate: conditional on rho, M and the confidence.
    pub fn stationarity(&self) -> Stationarity {
        let confidence = format!("confidence {}", self.confidence);
        Stationarity {
            residual: self.bound,
            radius: Some(self.radius),
            measure: "clarke, from values".to_string(),
            rigor: Rigor::Conditional(vec!["rho".to_string(), "lipschitz".to_string(), confidence]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upper::hyper::testing::Closed;

    /// phi = -|x_1| + x_2²/2 ... at a point with known subgradients: the bound is above the truth, and tends to it.
    #[test]
    fn above_the_truth_and_closer_with_more_samples() {
        let phi = Closed(2, |x: &[f64]| (0.3 * x[0] - 0.5 * x[1] * x[1], None));
        let settings = |samples| BlackBoxSettings {
            modulus: 1.0,
            lipschitz: Some(1.0),
            delta: 1e-6,
            accuracy: 0.0,
            samples,
            alpha: 0.05,
            seed: 2,
        };
        let truth = (0.3f64 * 0.3 + 0.4 * 0.4).sqrt();
        let few = black_box(&phi, &[1.0, 0.4], &settings(100)).unwrap();
        let many = black_box(&phi, &[1.0, 0.4], &settings(20_000)).unwrap();
        assert!(few.bound >= truth && many.bound >= truth && many.bound < few.bound);
        assert!((many.estimate - truth).abs() < 0.02, "{}", many.estimate);
        assert!(many.bound < truth + 0.2, "{}", many.bound);
        assert_eq!(few.evaluations, 200);
    }

    #[test]
    fn no_value_no_bound() {
        let phi = Closed(1, |x: &[f64]| (if x[0] > 0.0 { f64::INFINITY } else { 0.0 }, None));
        let settings = BlackBoxSettings {
            modulus: 1.0,
            lipschitz: None,
            delta: 1e-3,
            accuracy: 0.0,
            samples: 4,
            alpha: 0.05,
            seed: 2,
        };
        assert!(black_box(&phi, &[0.0], &settings).is_none());
    }
}
