//! `h(z) = w Σ max(1 - z_i, 0)`: an entry below 1 moves up by `mu w`, not above 1.

use super::Proximal;

/// A multiple of the sum of hinge losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hinge {
    /// The weight, at least 0.
    pub weight: f64,
}

impl Proximal for Hinge {
    fn value(&self, z: &[f64]) -> f64 {
        self.weight * z.iter().map(|&v| if v > 1.0 { 0.0 } else { 1.0 - v }).sum::<f64>()
    }

    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]) {
        let step = mu * self.weight;
        for (o, &v) in out.iter_mut().zip(z) {
            *o = if v < 1.0 - step {
                v + step
            } else if v < 1.0 {
                1.0
            } else {
                v
            };
        }
    }

    fn lipschitz(&self, d: usize) -> f64 {
        self.weight * (d as f64).sqrt()
    }
}
