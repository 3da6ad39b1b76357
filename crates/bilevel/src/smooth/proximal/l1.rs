//! `h(z) = Σ w |z_i|` with one weight w >= 0: soft thresholding by `mu w`.

use super::{Proximal, soft_threshold};

/// A multiple of the l1 norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct L1 {
    /// The weight, at least 0.
    pub weight: f64,
}

impl Proximal for L1 {
    fn value(&self, z: &[f64]) -> f64 {
        self.weight * z.iter().map(|v| v.abs()).sum::<f64>()
    }

    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]) {
        for (o, &v) in out.iter_mut().zip(z) {
            *o = soft_threshold(v, mu * self.weight);
        }
    }

    fn lipschitz(&self, d: usize) -> f64 {
        self.weight * (d as f64).sqrt()
    }
}
