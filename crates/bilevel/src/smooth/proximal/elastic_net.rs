//! `h(z) = Σ l1 |z_i| + l2 z_i² / 2`: soft thresholding by `mu l1`, then shrinking by 1 / (1 + mu l2).

use super::{Proximal, soft_threshold};

/// The elastic net's penalty [Zou & Hastie 2005].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ElasticNet {
    /// The weight of the absolute values, at least 0.
    pub l1: f64,
    /// The weight of the halved squares, at least 0.
    pub l2: f64,
}

impl Proximal for ElasticNet {
    fn value(&self, z: &[f64]) -> f64 {
        z.iter().map(|v| self.l1 * v.abs() + 0.5 * self.l2 * v * v).sum()
    }

    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]) {
        for (o, &v) in out.iter_mut().zip(z) {
            *o = soft_threshold(v, mu * self.l1) / (1.0 + mu * self.l2);
        }
    }

    fn lipschitz(&self, d: usize) -> f64 {
        if self.l2 > 0.0 { f64::INFINITY } else { self.l1 * (d as f64).sqrt() }
    }
}
