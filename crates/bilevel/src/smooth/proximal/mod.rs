//! Proximal maps and Moreau envelopes [Alcantara & Takeda 2025, Example 2.8; Moreau 1965].
//!
//! `prox_{mu h}(z)` is the minimiser over u of `h(u) + ‖z - u‖² / (2 mu)`, the envelope `e_mu h(z)` the minimum. Its
//! gradient is `(z - prox) / mu`, and `0 <= h - e_mu h <= L² mu / 2` where h is L-Lipschitz in the Euclidean norm.
//!
//! ```text
//! l1.rs            weights times |z_i|
//! group_norms.rs   Euclidean norms of consecutive groups; one group is the Euclidean norm
//! l_inf.rs         the largest |z_i|
//! plus.rs          the positive part, entry by entry
//! hinge.rs         max(1 - z, 0), entry by entry
//! max_entry.rs     the largest entry
//! huber.rs         Huber's function, entry by entry
//! elastic_net.rs   l1 and squares
//! indicator.rs     the indicator of a set: the envelope is a penalty, the error bound does not apply
//! ```

mod elastic_net;
mod group_norms;
mod hinge;
mod huber;
mod indicator;
mod l1;
mod l_inf;
mod max_entry;
mod plus;

#[cfg(test)]
mod tests;

pub use elastic_net::ElasticNet;
pub use group_norms::GroupNorms;
pub use hinge::Hinge;
pub use huber::Huber;
pub use indicator::Indicator;
pub use l_inf::LInf;
pub use l1::L1;
pub use max_entry::MaxEntry;
pub use plus::Plus;

/// A convex function whose proximal map is known.
pub trait Proximal {
    /// h(z); infinite outside the domain.
    fn value(&self, z: &[f64]) -> f64;

    /// Writes `prox_{mu h}(z)`, for `mu > 0`; `out` is as long as `z`.
    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]);

    /// A Lipschitz constant of h in the Euclidean norm on R^d, infinite where there is none.
    fn lipschitz(&self, d: usize) -> f64;

    /// The Moreau envelope at `z`; writes its gradient, `(z - prox) / mu`.
    fn envelope(&self, z: &[f64], mu: f64, gradient: &mut [f64]) -> f64 {
        self.prox(z, mu, gradient);
        let value = self.value(gradient);
        let mut squares = 0.0;
        for (g, z) in gradient.iter_mut().zip(z) {
            *g = (z - *g) / mu;
            squares += *g * *g;
        }
        value + 0.5 * mu * squares
    }
}

/// The s with Σ max(s - d_i, 0) = `total` for distances d_i >= 0, one of them 0: Newton's method from the right end, where
/// the sum is at least `total`, needs finitely many steps. Distances below the largest entry cancel nothing.
pub(crate) fn depth(distances: impl Iterator<Item = f64> + Clone, total: f64) -> f64 {
    let (mut s, mut count) = (total, usize::MAX);
    loop {
        let near = distances.clone().filter(|d| *d < s);
        let (sum, fewer) = near.fold((0.0, 0_usize), |(sum, k), d| (sum + d, k + 1));
        if fewer >= count || fewer == 0 {
            return s;
        }
        (s, count) = ((total + sum) / fewer as f64, fewer);
    }
}

/// What is left of `z` after moving it by up to `t` towards 0.
pub fn soft_threshold(z: f64, t: f64) -> f64 {
    if z > t {
        z - t
    } else if z < -t {
        z + t
    } else {
        // NaN comes out.
        if z.is_nan() { z } else { 0.0 }
    }
}
