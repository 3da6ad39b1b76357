//! The whole space R^n.

use super::numeric::norm;
use super::{ConvexSet, Description};
use rand_chacha::ChaCha8Rng;

/// All of R^n.
#[derive(Clone, Debug, PartialEq)]
pub struct Whole {
    n: usize,
}

impl Whole {
    /// R^n; n = 0 is the space of one point.
    pub fn new(n: usize) -> Self {
        Self { n }
    }
}

impl ConvexSet for Whole {
    fn ambient_dimension(&self) -> usize {
        self.n
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        for (o, &z) in out.iter_mut().zip(z) {
            *o = z;
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        if z.iter().any(|z| z.is_nan()) { f64::INFINITY } else { 0.0 }
    }

    fn normal_cone_distance(&self, _z: &[f64], v: &[f64], _tolerance: f64) -> f64 {
        norm(v.iter().copied())
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        lower.fill(f64::NEG_INFINITY);
        upper.fill(f64::INFINITY);
    }

    fn affine_dimension(&self) -> Option<usize> {
        Some(self.n)
    }

    fn log_volume(&self) -> Option<f64> {
        Some(if self.n == 0 { 0.0 } else { f64::INFINITY })
    }

    fn sample(&self, _rng: &mut ChaCha8Rng, _out: &mut [f64]) -> bool {
        self.n == 0
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        description.grow(offset + self.n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::laws;

    #[test]
    fn laws_hold() {
        for n in 0..4 {
            laws::check(&Whole::new(n), n as u64);
        }
    }

    #[test]
    fn only_the_point_has_finite_volume() {
        assert_eq!(Whole::new(0).log_volume(), Some(0.0));
        assert_eq!(Whole::new(2).log_volume(), Some(f64::INFINITY));
        assert!(Whole::new(1).violation(&[f64::NAN]) > 0.0);
    }
}
