//! The family of the Epanechnikov density `3/4 (1 - s^2)` on `[-1, 1]`: with `t = z/mu`, `z` for `t >= 1`, `0` for
//! `t <= -1`, `mu (1 + t)^3 (3 - t) / 16` between. An instance of the construction in
//! [Alcantara & Takeda 2025, Example 2.7]; `kappa = 3/8`, and the sharp error is `3 mu/16`, at `z = 0`.
//!
//! It equals the positive part outside a band of width `2 mu` and is twice continuously differentiable.

use super::{Family, Jet};

/// The family of the Epanechnikov density.
#[derive(Clone, Copy, Debug, Default)]
pub struct Epanechnikov;

impl Family for Epanechnikov {
    fn name(&self) -> &'static str {
        "epanechnikov"
    }

    fn plus(&self, z: f64, mu: f64) -> Jet {
        let t = z / mu;
        if t >= 1.0 {
            return Jet { value: z, first: 1.0, second: 0.0 };
        }
        if t <= -1.0 {
            return Jet { value: 0.0, first: 0.0, second: 0.0 };
        }
        let up = 1.0 + t;
        Jet {
            value: mu * (up * up * up * (3.0 - t) / 16.0),
            first: up * up * (2.0 - t) / 4.0,
            second: 0.75 * up * (1.0 - t) / mu,
        }
    }

    fn plus_error(&self) -> f64 {
        0.1875
    }

    fn abs(&self, z: f64, mu: f64) -> Jet {
        let t = z / mu;
        if t.abs() >= 1.0 {
            return Jet { value: z.abs(), first: z.signum(), second: 0.0 };
        }
        let square = t * t;
        Jet {
            value: mu * ((3.0 + square * (6.0 - square)) / 8.0),
            first: 0.5 * t * (3.0 - square),
            second: 1.5 * (1.0 - square) / mu,
        }
    }
}
