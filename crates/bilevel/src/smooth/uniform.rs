//! The uniform family: `z` for `z >= mu/2`, `0` for `z <= -mu/2`, `(z + mu/2)^2 / (2 mu)` between
//! [Alcantara & Takeda 2025, Example 2.7]. Its density has `kappa = 1/4`; the sharp error is `mu/8`, at `z = 0`.
//!
//! It equals the positive part outside a band of width `mu`. It is only once continuously differentiable: the second
//! derivative jumps at the ends of the band, and counts as that of the band there.

use super::{Family, Jet};

/// The uniform family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uniform;

impl Family for Uniform {
    fn name(&self) -> &'static str {
        "uniform"
    }

    fn plus(&self, z: f64, mu: f64) -> Jet {
        let half = 0.5 * mu;
        if z > half {
            return Jet { value: z, first: 1.0, second: 0.0 };
        }
        if z < -half {
            return Jet { value: 0.0, first: 0.0, second: 0.0 };
        }
        let first = (z + half) / mu;
        Jet { value: 0.5 * (z + half) * first, first, second: 1.0 / mu }
    }

    fn plus_error(&self) -> f64 {
        0.125
    }

    fn abs(&self, z: f64, mu: f64) -> Jet {
        if z.abs() > 0.5 * mu {
            return Jet { value: z.abs(), first: z.signum(), second: 0.0 };
        }
        let ratio = z / mu;
        Jet { value: z * ratio + 0.25 * mu, first: 2.0 * ratio, second: 2.0 / mu }
    }
}
