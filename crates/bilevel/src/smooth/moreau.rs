//! The Moreau envelope `e_mu h(z) = min over u of h(u) + ‖z - u‖² / (2 mu)` of every atom
//! [Alcantara & Takeda 2025, Example 2.8]: from below, at most `mu / 2` under a function that is 1-Lipschitz.
//!
//! The positive part becomes 0 for z <= 0, z² / (2 mu) up to z = mu, z - mu/2 beyond; the absolute value and Euclidean
//! norms become Huber's function of |z|; a maximum becomes the envelope of the whole maximum, through the projection
//! onto the simplex. Once continuously differentiable. [`super::proximal`] has the proximal maps.

use super::{Family, Jet, Maximum};

/// Moreau envelopes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moreau;

impl Family for Moreau {
    fn name(&self) -> &'static str {
        "moreau"
    }

    fn plus(&self, z: f64, mu: f64) -> Jet {
        if z <= 0.0 { Jet { value: 0.0, first: 0.0, second: 0.0 } } else { beyond_zero(z, mu) }
    }

    fn plus_error(&self) -> f64 {
        0.5
    }

    /// The constant of `h - e_mu h <= L² mu / 2` with L = 1.
    fn kappa(&self) -> f64 {
        0.5
    }

    fn is_envelope(&self) -> bool {
        true
    }

    fn abs(&self, z: f64, mu: f64) -> Jet {
        let jet = beyond_zero(z.abs(), mu);
        Jet { first: if z < 0.0 { -jet.first } else { jet.first }, ..jet }
    }

    fn maximum(&self, a: f64, b: f64, mu: f64) -> Maximum {
        // The weights (w, 1 - w) are the projection of (a, b) / mu onto the simplex.
        let (ahead, larger) = if a >= b { (a - b, a) } else { (b - a, b) };
        if ahead.is_nan() && a != b {
            return Maximum { value: f64::NAN, weight: f64::NAN, bend: 0.0 };
        }
        let behind = if a == b { 0.5 } else { (0.5 - 0.5 * ahead / mu).max(0.0) };
        let lead = 1.0 - behind;
        let loss = if behind > 0.0 { behind * ahead } else { 0.0 };
        let value = larger - loss - 0.5 * mu * (lead * lead + behind * behind);
        let weight = if a >= b { lead } else { behind };
        Maximum { value, weight, bend: if behind > 0.0 { 0.5 / mu } else { 0.0 } }
    }
}

/// Huber's function for `z >= 0`, or NaN.
fn beyond_zero(z: f64, mu: f64) -> Jet {
    if z < mu {
        Jet { value: 0.5 * z * (z / mu), first: z / mu, second: 1.0 / mu }
    } else if z.is_nan() {
        Jet { value: z, first: z, second: 0.0 }
    } else {
        Jet { value: z - 0.5 * mu, first: 1.0, second: 0.0 }
    }
}
