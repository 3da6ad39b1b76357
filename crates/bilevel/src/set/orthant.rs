//! Nonnegative orthant `{z : z >= 0}`.

use super::bounds::outside_normal_cone;
use super::numeric::{excess, norm};
use super::{ConvexSet, Description};
use rand_chacha::ChaCha8Rng;

/// The nonnegative orthant of R^n.
#[derive(Clone, Debug, PartialEq)]
pub struct Orthant {
    n: usize,
}

impl Orthant {
    /// The nonnegative orthant of R^n.
    pub fn new(n: usize) -> Self {
        Self { n }
    }
}

impl ConvexSet for Orthant {
    fn ambient_dimension(&self) -> usize {
        self.n
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        for (o, &z) in out.iter_mut().zip(z) {
            // Not `max`, which would turn NaN into 0.
            *o = if z < 0.0 { 0.0 } else { z };
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        z.iter().map(|&z| excess(-z)).fold(0.0, f64::max)
    }

    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        norm(z.iter().zip(v).map(|(&z, &v)| outside_normal_cone(z, v, 0.0, f64::INFINITY, tolerance)))
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        lower.fill(0.0);
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
        for i in 0..self.n {
            description.bound(offset + i, 0.0, f64::INFINITY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::{Bounds, laws};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn laws_hold(seed: u64, n in 0..6usize) {
            laws::check(&Orthant::new(n), seed);
        }

        #[test]
        fn is_the_box_from_zero(points in prop::collection::vec((-2.0..2.0f64, -2.0..2.0f64), 0..5)) {
            let (z, v): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
            let (orthant, twin) = (Orthant::new(z.len()), Bounds::uniform(z.len(), 0.0, f64::INFINITY).unwrap());
            let (mut p, mut q) = (vec![0.0; z.len()], vec![0.0; z.len()]);
            orthant.project(&z, &mut p);
            twin.project(&z, &mut q);
            prop_assert_eq!(&p, &q);
            prop_assert_eq!(orthant.violation(&z), twin.violation(&z));
            prop_assert_eq!(orthant.normal_cone_distance(&p, &v, 1e-9), twin.normal_cone_distance(&p, &v, 1e-9));
        }
    }

    #[test]
    fn nan_stays_nan() {
        let mut p = [0.0];
        Orthant::new(1).project(&[f64::NAN], &mut p);
        assert!(p[0].is_nan());
        assert_eq!(Orthant::new(1).violation(&[f64::NAN]), f64::INFINITY);
    }
}
