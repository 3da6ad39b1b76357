//! l1 ball `{z : |z - c|_1 <= r}`.
//!
//! Projection by thresholding |z - c| as on a simplex [Duchi et al. 2008, Fig. 1; Condat 2016]. Volume `(2r)^n / n!`.
//! Uniform points: n + 1 exponentials over their sum, the last dropped, with random signs.
//! As constraints: `-t <= z - c <= t`, `sum t <= r` with auxiliary variables t.

use super::error::{check_finite, check_positive};
use super::numeric::{excess, fill_exponential, norm, one_sided_mean, simplex_threshold};
use super::{ConvexSet, Description, SetError};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::Exp1;

/// An l1 ball.
#[derive(Clone, Debug, PartialEq)]
pub struct L1Ball {
    centre: Vec<f64>,
    radius: f64,
}

impl L1Ball {
    /// The l1 ball around `centre`, in the dimension of the centre.
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
        z.iter().zip(&self.centre).map(|(z, c)| (z - c).abs()).sum()
    }
}

impl ConvexSet for L1Ball {
    fn ambient_dimension(&self) -> usize {
        self.centre.len()
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        if self.distance_to_centre(z) <= self.radius {
            return out.copy_from_slice(z);
        }
        let mut largest = 0.0;
        for ((o, z), c) in out.iter_mut().zip(z).zip(&self.centre) {
            *o = (z - c).abs();
            largest = if o.is_nan() { f64::NAN } else { o.max(largest) };
        }
        out.iter_mut().for_each(|o| *o -= largest);
        let tau = simplex_threshold(out, self.radius);
        for ((o, z), c) in out.iter_mut().zip(z).zip(&self.centre) {
            let left = (z - c).abs() - largest - tau;
            *o = if left <= 0.0 { *c } else { c + left.copysign(z - c) };
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        excess(self.distance_to_centre(z) - self.radius)
    }

    /// On the surface the normals are `λ s` with `λ >= 0`, s_i the sign of z_i - c_i, or any number in [-1, 1] where
    /// that is (within the tolerance) zero.
    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        let distance = self.distance_to_centre(z);
        if distance < self.radius - tolerance || distance == 0.0 {
            return norm(v.iter().copied());
        }
        let item = |i: usize| {
            let u = z[i] - self.centre[i];
            if u.abs() > tolerance { (v[i] * u.signum(), true) } else { (v[i].abs(), false) }
        };
        let lambda = one_sided_mean(v.len(), item).max(0.0);
        norm((0..v.len()).map(item).map(|(a, two_sided)| if two_sided || a > lambda { a - lambda } else { 0.0 }))
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
        Some(n * (std::f64::consts::LN_2 + self.radius.ln()) - libm::lgamma(n + 1.0))
    }

    fn sample(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool {
        let sum = fill_exponential(rng, out) + rng.sample::<f64, _>(Exp1);
        for (o, c) in out.iter_mut().zip(&self.centre) {
            let size = self.radius * (*o / sum);
            *o = if rng.random::<bool>() { c + size } else { c - size };
        }
        true
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        let n = self.centre.len();
        description.grow(offset + n);
        let first = description.auxiliary(n, self.radius);
        for (i, &c) in self.centre.iter().enumerate() {
            description.row(f64::NEG_INFINITY, c, [(offset + i, 1.0), (first + i, -1.0)]);
            description.row(c, f64::INFINITY, [(offset + i, 1.0), (first + i, 1.0)]);
        }
        description.row(f64::NEG_INFINITY, self.radius, (first..first + n).map(|t| (t, 1.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::laws;
    use proptest::prelude::*;

    /// The projection by bisection on the threshold.
    fn naive(set: &L1Ball, z: &[f64]) -> Vec<f64> {
        let u: Vec<f64> = z.iter().zip(&set.centre).map(|(z, c)| z - c).collect();
        let size = |tau: f64| u.iter().map(|u| (u.abs() - tau).max(0.0)).sum::<f64>();
        let (mut low, mut high) = (0.0, u.iter().fold(0.0f64, |m, u| m.max(u.abs())));
        if size(0.0) > set.radius {
            for _ in 0..200 {
                let middle = 0.5 * (low + high);
                if size(middle) > set.radius { low = middle } else { high = middle }
            }
        } else {
            high = 0.0;
        }
        u.iter().zip(&set.centre).map(|(u, c)| c + u.signum() * (u.abs() - high).max(0.0)).collect()
    }

    #[test]
    fn bad_data_is_refused() {
        assert_eq!(L1Ball::new(vec![0.0], -2.0).unwrap_err().to_string(), "radius must be positive and finite, got -2");
        assert!(L1Ball::new(vec![f64::INFINITY], 1.0).is_err());
    }

    #[test]
    fn volumes_in_low_dimension() {
        let volume = |n: usize, r| L1Ball::new(vec![0.0; n], r).unwrap().log_volume().unwrap().exp();
        for (got, want) in
            [(volume(0, 7.0), 1.0), (volume(1, 3.0), 6.0), (volume(2, 1.0), 2.0), (volume(3, 1.0), 8.0 / 6.0)]
        {
            assert!((got / want - 1.0).abs() < 1e-14, "{got}, not {want}");
        }
    }

    #[test]
    fn huge_points_are_projected_accurately() {
        let set = L1Ball::new(vec![0.0; 3], 1.0).unwrap();
        let mut p = [0.0; 3];
        set.project(&[1e150, -1e150, 1e149], &mut p);
        assert_eq!(p, [0.5, -0.5, 0.0]);
        set.project(&[f64::NAN, 0.0, 9.0], &mut p);
        assert!(p[0].is_nan());
        assert_eq!(set.violation(&[f64::NAN, 0.0, 0.0]), f64::INFINITY);
    }

    #[test]
    fn samples_are_uniform() {
        let set = L1Ball::new(vec![1.0, 0.0, -1.0], 2.0).unwrap();
        let (mean, second) = laws::moments(&set, 20_000);
        for (got, want) in mean.iter().zip(set.centre()) {
            assert!((got - want).abs() < 0.03);
        }
        // E z_i^2 = 2 r^2 / ((n + 1) (n + 2)) around the centre.
        assert!((second[1] - 8.0 / 20.0).abs() < 0.02, "{}", second[1]);
        let size = laws::mean_of(&set, 20_000, |z| set.distance_to_centre(z));
        assert!((size - 2.0 * 3.0 / 4.0).abs() < 0.02);
    }

    #[test]
    fn the_description_needs_exactly_the_ball() {
        let set = L1Ball::new(vec![1.0, -1.0], 2.0).unwrap();
        let mut description = Description::with_variables(3);
        set.describe(1, &mut description);
        assert_eq!(description.variables(), 5);
        let point = |z: [f64; 2]| {
            let t = [(z[0] - 1.0f64).abs(), (z[1] + 1.0f64).abs()];
            laws::description_violation(&description, &[9.0, z[0], z[1], t[0], t[1]])
        };
        assert_eq!(point([2.0, -2.0]), 0.0);
        assert_eq!(point([2.0, -2.5]), 0.5);
        // The auxiliary variables cannot be smaller than the distances.
        assert_eq!(laws::description_violation(&description, &[0.0, 2.0, -1.0, 0.5, 0.0]), 0.5);
        assert_eq!(laws::description_violation(&description, &[0.0, 0.0, -1.0, 0.5, 0.0]), 0.5);
    }

    proptest! {
        #[test]
        fn laws_hold(seed: u64, centre in prop::collection::vec(-2.0..2.0f64, 0..7), radius in 0.1..3.0f64) {
            laws::check(&L1Ball::new(centre, radius).unwrap(), seed);
        }

        #[test]
        fn projection_agrees_with_bisection(
            points in prop::collection::vec((-3.0..3.0f64, -1.0..1.0f64), 1..20), radius in 0.1..10.0f64,
        ) {
            let (z, centre): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
            let set = L1Ball::new(centre, radius).unwrap();
            let mut p = vec![0.0; z.len()];
            set.project(&z, &mut p);
            for (p, q) in p.iter().zip(naive(&set, &z)) {
                prop_assert!((p - q).abs() < 1e-13);
            }
        }
    }
}
