//! The logistic family, known from neural networks: `plus_mu(z) = mu ln(1 + e^(z/mu))`
//! [Alcantara & Takeda 2025, Example 2.7]. Its density has `kappa = 2 ln 2`; the sharp error is `mu ln 2`, at `z = 0`.

use super::{Family, Jet};

/// The logistic family.
#[derive(Clone, Copy, Debug, Default)]
pub struct Logistic;

impl Family for Logistic {
    fn name(&self) -> &'static str {
        "logistic"
    }

    fn plus(&self, z: f64, mu: f64) -> Jet {
        // With e = e^(-|z|/mu) nothing overflows, and the tail for z < 0 keeps its relative accuracy.
        let e = (-(z / mu).abs()).exp();
        let value = z.max(0.0) + mu * e.ln_1p();
        let first = if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
        Jet { value, first, second: e / ((1.0 + e) * (1.0 + e)) / mu }
    }

    fn plus_error(&self) -> f64 {
        std::f64::consts::LN_2
    }

    fn abs(&self, z: f64, mu: f64) -> Jet {
        let e = (-(z / mu).abs()).exp();
        let second = 2.0 * e / ((1.0 + e) * (1.0 + e)) / mu;
        Jet { value: z.abs() + 2.0 * mu * e.ln_1p(), first: (0.5 * (z / mu)).tanh(), second }
    }
}
