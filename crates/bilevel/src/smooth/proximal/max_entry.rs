//! `h(z) = w max z_i`: by Moreau's identity z minus the projection of z onto the simplex of size `mu w`, that is, entries
//! are cut from above at the level t with Σ max(z_i - t, 0) = mu w.

use super::{Proximal, l_inf::level};

/// A multiple of the largest entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MaxEntry {
    /// The weight, at least 0.
    pub weight: f64,
}

impl Proximal for MaxEntry {
    fn value(&self, z: &[f64]) -> f64 {
        self.weight * z.iter().fold(f64::NEG_INFINITY, |most, &v| if v.is_nan() { v } else { v.max(most) })
    }

    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]) {
        let level = level(z.iter().copied(), mu * self.weight);
        for (o, &v) in out.iter_mut().zip(z) {
            *o = if v > level { level } else { v };
        }
    }

    fn lipschitz(&self, _: usize) -> f64 {
        self.weight
    }
}
