//! `h(z) = w max |z_i|`: by Moreau's identity z minus the projection of z onto the l1 ball of radius `mu w`, that is,
//! entries are cut at a level t with Σ max(|z_i| - t, 0) = mu w, or all are 0.

use super::{Proximal, depth};

/// A multiple of the maximum norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LInf {
    /// The weight, at least 0.
    pub weight: f64,
}

impl Proximal for LInf {
    fn value(&self, z: &[f64]) -> f64 {
        self.weight * z.iter().fold(0.0, |most: f64, v| if v.is_nan() { f64::NAN } else { most.max(v.abs()) })
    }

    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]) {
        let radius = mu * self.weight;
        let level = level(z.iter().map(|v| v.abs()), radius).max(0.0);
        for (o, &v) in out.iter_mut().zip(z) {
            *o = if v.is_nan() { v } else { v.clamp(-level, level) };
        }
    }

    fn lipschitz(&self, _: usize) -> f64 {
        self.weight
    }
}

/// The t with Σ max(v_i - t, 0) = `total`.
pub(super) fn level(values: impl Iterator<Item = f64> + Clone, total: f64) -> f64 {
    let most = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if most.is_finite() { most - depth(values.map(|v| most - v), total) } else { most }
}
