//! The square-root family of Chen, Harker, Kanzow and Smale: `plus_mu(z) = (z + sqrt(z^2 + 4 mu^2)) / 2`
//! [Alcantara & Takeda 2025, Example 2.7]. Its density has `kappa = 2`; the sharp error is `mu`, at `z = 0`.

use super::{Family, Jet, hypotenuse};

/// The square-root family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chks;

impl Family for Chks {
    fn name(&self) -> &'static str {
        "chks"
    }

    fn plus(&self, z: f64, mu: f64) -> Jet {
        let root = hypotenuse(z, 2.0 * mu);
        // The excess over max(z, 0) is (root - |z|) / 2, which cancels: use its conjugate form, dividing first so that
        // nothing overflows.
        let excess = 2.0 * mu * (mu / (root + z.abs()));
        let slope = excess / root;
        let ratio = 2.0 * mu / root;
        let second = 0.5 * ratio * ratio / root;
        if z > 0.0 {
            Jet { value: z + excess, first: 1.0 - slope, second }
        } else {
            Jet { value: excess, first: slope, second }
        }
    }

    fn plus_error(&self) -> f64 {
        1.0
    }

    fn abs(&self, z: f64, mu: f64) -> Jet {
        let root = hypotenuse(z, 2.0 * mu);
        let ratio = 2.0 * mu / root;
        Jet { value: root, first: if z.is_infinite() { z.signum() } else { z / root }, second: ratio * ratio / root }
    }
}
