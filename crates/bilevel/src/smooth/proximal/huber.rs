//! `h(z) = w Σ huber(z_i)`, z²/2 up to |z| = delta and delta (|z| - delta/2) beyond: an entry shrinks by the factor
//! 1 / (1 + mu w) where that leaves it in the parabola, else it moves by `mu w delta` towards 0.

use super::Proximal;

/// A multiple of the sum of Huber's functions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Huber {
    /// Where the parabola ends, above 0.
    pub delta: f64,
    /// The weight, at least 0.
    pub weight: f64,
}

impl Proximal for Huber {
    fn value(&self, z: &[f64]) -> f64 {
        let entry = |v: &f64| {
            let size = v.abs();
            if size > self.delta { self.delta * (size - 0.5 * self.delta) } else { 0.5 * size * size }
        };
        self.weight * z.iter().map(entry).sum::<f64>()
    }

    fn prox(&self, z: &[f64], mu: f64, out: &mut [f64]) {
        let step = mu * self.weight;
        for (o, &v) in out.iter_mut().zip(z) {
            let inside = v / (1.0 + step);
            *o = if inside.abs() <= self.delta || v.is_nan() { inside } else { v - (step * self.delta).copysign(v) };
        }
    }

    fn lipschitz(&self, d: usize) -> f64 {
        self.weight * self.delta * (d as f64).sqrt()
    }
}
