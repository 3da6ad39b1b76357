//! Euclidean ball `{z : |z - c| <= r}`.
//!
//! Volume `π^(n/2) r^n / Γ(n/2 + 1)`. Uniform points: a normal direction times `r U^(1/n)` [Muller 1959].

use super::error::{check_finite, check_positive};
use super::numeric::{excess, fill_normal, norm};
use super::{BallPart, ConvexSet, Description, SetError};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A Euclidean ball.
#[derive(Clone, Debug, PartialEq)]
pub struct Ball {
    centre: Vec<f64>,
    radius: f64,
}

impl Ball {
    /// The ball around `centre`, in the dimension of the centre.
    ///
    /// # Errors
    /// A centre that is not finite, or a radius that is not positive and finite.
    pub fn new(centre: Vec<f64>, radius: f64) -> Result<Self, SetError> {
        check_finite("centre component", &centre)?;
        check_positive("radius", radius)?;
        Ok(Self { centre, radius })
    }

    /// The centre.
    pub fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// The radius.
    pub fn radius(&self) -> f64 {
        self.radius
    }

    fn distance_to_centre(&self, z: &[f64]) -> f64 {
        norm(z.iter().zip(&self.centre).map(|(z, c)| z - c))
    }
}

impl ConvexSet for Ball {
    fn ambient_dimension(&self) -> usize {
        self.centre.len()
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        let distance = self.distance_to_centre(z);
        for ((o, &z), &c) in out.iter_mut().zip(z).zip(&self.centre) {
            *o = if distance <= self.radius { z } else { c + self.radius * ((z - c) / distance) };
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        excess(self.distance_to_centre(z) - self.radius)
    }

    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        let distance = self.distance_to_centre(z);
        if distance < self.radius - tolerance || distance == 0.0 {
            return norm(v.iter().copied());
        }
        let unit = z.iter().zip(&self.centre).map(|(z, c)| (z - c) / distance);
        let along: f64 = unit.clone().zip(v).map(|(u, v)| u * v).sum();
        norm(unit.zip(v).map(|(u, v)| v - along.max(0.0) * u))
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        for ((l, u), c) in lower.iter_mut().zip(upper).zip(&self.centre) {
            (*l, *u) = (c - self.radius, c + self.radius);
        }
    }

    fn affine_dimension(&self) -> Option<usize> {
        Some(self.centre.len())
    }

    fn log_volume(&self) -> Option<f64> {
        let n = self.centre.len() as f64;
        Some(0.5 * n * std::f64::consts::PI.ln() - libm::lgamma(0.5 * n + 1.0) + n * self.radius.ln())
    }

    fn sample(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool {
        let n = self.centre.len();
        if n == 0 {
            return true;
        }
        fill_normal(rng, out);
        let length = norm(out.iter().copied());
        let t: f64 = rng.random();
        let scale = self.radius * t.powf(1.0 / n as f64);
        for (o, c) in out.iter_mut().zip(&self.centre) {
            // A direction of length 0 has probability 0; the centre then stands for it.
            *o = c + if length > 0.0 { scale * (*o / length) } else { 0.0 };
        }
        true
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        description.grow(offset + self.centre.len());
        if !self.centre.is_empty() {
            description.balls.push(BallPart { start: offset, centre: self.centre.clone(), radius: self.radius });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::laws;
    use proptest::prelude::*;

    #[test]
    fn bad_data_is_refused() {
        let text = |r: Result<Ball, SetError>| r.unwrap_err().to_string();
        assert_eq!(text(Ball::new(vec![0.0], 0.0)), "radius must be positive and finite, got 0");
        assert_eq!(text(Ball::new(vec![0.0], -1.0)), "radius must be positive and finite, got -1");
        assert_eq!(text(Ball::new(vec![0.0], f64::INFINITY)), "radius must be positive and finite, got inf");
        assert_eq!(text(Ball::new(vec![0.0, f64::NAN], 1.0)), "centre component 1 must be finite, got NaN");
    }

    #[test]
    fn volumes_in_low_dimension() {
        let volume = |n: usize, r| Ball::new(vec![0.0; n], r).unwrap().log_volume().unwrap().exp();
        let pi = std::f64::consts::PI;
        for (got, want) in
            [(volume(0, 7.0), 1.0), (volume(1, 3.0), 6.0), (volume(2, 2.0), 4.0 * pi), (volume(3, 1.0), 4.0 / 3.0 * pi)]
        {
            assert!((got / want - 1.0).abs() < 1e-14, "{got}, not {want}");
        }
    }

    #[test]
    fn huge_scales_do_not_overflow() {
        let set = Ball::new(vec![0.0; 2], 1e200).unwrap();
        let mut p = [0.0; 2];
        set.project(&[3e300, 4e300], &mut p);
        assert!((p[0] / 6e199 - 1.0).abs() < 1e-15 && (p[1] / 8e199 - 1.0).abs() < 1e-15);
        assert!(set.normal_cone_distance(&p, &[3e180, 4e180], 1e190) < 1e166);
        let unit = Ball::new(vec![0.0; 2], 1.0).unwrap();
        unit.project(&[1e300, 0.0], &mut p);
        assert_eq!(p, [1.0, 0.0]);
    }

    #[test]
    fn samples_are_uniform() {
        let set = Ball::new(vec![1.0, -2.0, 0.0], 2.0).unwrap();
        let (mean, _) = laws::moments(&set, 20_000);
        for (got, want) in mean.iter().zip(set.centre()) {
            assert!((got - want).abs() < 0.03);
        }
        let radius = laws::mean_of(&set, 20_000, |z| set.distance_to_centre(z));
        assert!((radius - 2.0 * 3.0 / 4.0).abs() < 0.02, "mean radius {radius}");
    }

    proptest! {
        #[test]
        fn laws_hold(seed: u64, centre in prop::collection::vec(-2.0..2.0f64, 0..6), radius in 0.1..3.0f64) {
            laws::check(&Ball::new(centre, radius).unwrap(), seed);
        }
    }
}
