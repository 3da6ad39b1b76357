//! `h(z) = w Σ max(z_i, 0)`: a positive entry moves down by `mu w`, not below 0.

use super::Proximal;

/// A multiple of the sum of positive parts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plus {
    /// The weight, at least 0.
    pub weight: f64,
}

impl Proximal for Plus {
    fn value(&self, z: &[f64]) -> f64 {
        self.weight * z.iter().map(|&v| if v < 0.0 { 0.0 } else { v }).sum::<f64>()
    }

    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]) {
        let step = mu * self.weight;
        for (o, &v) in out.iter_mut().zip(z) {
            *o = if v > step {
                v - step
            } else if v > 0.0 {
                0.0
            } else {
                v
            };
        }
    }

    fn lipschitz(&self, d: usize) -> f64 {
        self.weight * (d as f64).sqrt()
    }
}
