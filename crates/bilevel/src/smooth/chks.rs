//! The square-root family of Chen, Harker, Kanzow and Smale: `plus_mu(z) = (z + sqrt(z^2 + 4 mu^2)) / 2`
//! [Alcantara & Takeda 2025, Example 2.7]. Its density has `kappa = 2`; the sharp error is `mu`, at `z = 0`.

use super::{Family, Jet};

/// The square-root family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chks;

impl Family for Chks {
    fn name(&self) -> &'static str {
        "chks"
    }

    fn plus(&self, z: f64, mu: f64) -> Jet {
        let root = z.hypot(2.0 * mu);
        // For z < 0 the sum z + root cancels: use the conjugate form 4 mu^2 / (root - z), dividing first
        // so that nothing overflows.
        let value = if z >= 0.0 { 0.5 * (z + root) } else { 2.0 * mu * (mu / (root - z)) };
        let first = value / root;
        let ratio = 2.0 * mu / root;
        Jet { value, first, second: 0.5 * ratio * ratio / root }
    }

    fn plus_error(&self) -> f64 {
        1.0
    }

    fn abs(&self, z: f64, mu: f64) -> Jet {
        let root = z.hypot(2.0 * mu);
        let ratio = 2.0 * mu / root;
        Jet { value: root, first: z / root, second: ratio * ratio / root }
    }
}
