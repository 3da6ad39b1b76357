//! `h(z) = Σ w ‖z_g‖` over consecutive groups: each group shrinks towards 0 by `mu w`.

use super::Proximal;

/// A multiple of the sum of Euclidean norms of groups.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupNorms {
    /// The groups' sizes, in order; entries beyond their sum are not penalised.
    pub sizes: Vec<usize>,
    /// The weight, at least 0.
    pub weight: f64,
}

impl GroupNorms {
    /// The Euclidean norm of all `d` entries.
    pub fn norm2(d: usize, weight: f64) -> Self {
        Self { sizes: vec![d], weight }
    }
}

fn norm(z: &[f64]) -> f64 {
    z.iter().fold(0.0, |sum: f64, &v| sum.hypot(v))
}

impl Proximal for GroupNorms {
    fn value(&self, z: &[f64]) -> f64 {
        let mut rest = z;
        let mut total = 0.0;
        for &size in &self.sizes {
            let (group, after) = rest.split_at(size.min(rest.len()));
            total += norm(group);
            rest = after;
        }
        self.weight * total
    }

    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]) {
        out.copy_from_slice(z);
        let mut rest = out;
        for &size in &self.sizes {
            let (group, after) = rest.split_at_mut(size.min(rest.len()));
            let length = norm(group);
            // 0, or NaN for NaN.
            let keep = if length <= mu * self.weight { 0.0 } else { 1.0 - mu * self.weight / length };
            group.iter_mut().for_each(|v| *v *= keep);
            rest = after;
        }
    }

    fn lipschitz(&self, _: usize) -> f64 {
        self.weight * (self.sizes.len() as f64).sqrt()
    }
}
