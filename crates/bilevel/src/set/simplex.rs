//! Simplex `{z >= 0 : sum z = total}`.
//!
//! Projection by thresholding [Held, Wolfe & Crowder 1974; Condat 2016]. Volume in the hyperplane
//! `total^(n-1) sqrt(n) / (n-1)!`. Uniform points: exponentials over their sum (a flat Dirichlet distribution).

use super::error::check_positive;
use super::numeric::{excess, fill_exponential, norm, one_sided_mean, simplex_threshold};
use super::{ConvexSet, Description, SetError};
use rand_chacha::ChaCha8Rng;

/// A simplex.
#[derive(Clone, Debug, PartialEq)]
pub struct Simplex {
    n: usize,
    total: f64,
}

impl Simplex {
    /// The nonnegative vectors of R^n, n >= 1, whose entries sum to `total`.
    ///
    /// # Errors
    /// n = 0, or a total that is not positive and finite.
    pub fn new(n: usize, total: f64) -> Result<Self, SetError> {
        check_positive("total", total)?;
        if n == 0 {
            return Err(SetError::EmptySimplex { total });
        }
        Ok(Self { n, total })
    }

    /// The sum of the entries.
    pub fn total(&self) -> f64 {
        self.total
    }
}

impl ConvexSet for Simplex {
    fn ambient_dimension(&self) -> usize {
        self.n
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        let largest =
            z.iter().fold(f64::NEG_INFINITY, |m: f64, &z| if z.is_nan() || m.is_nan() { f64::NAN } else { m.max(z) });
        for (o, z) in out.iter_mut().zip(z) {
            *o = z - largest;
        }
        let tau = simplex_threshold(out, self.total);
        for (o, z) in out.iter_mut().zip(z) {
            let left = z - largest - tau;
            *o = if left <= 0.0 { 0.0 } else { left };
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        let negative = z.iter().map(|&z| excess(-z)).fold(0.0, f64::max);
        negative.max(excess((z.iter().sum::<f64>() - self.total).abs()))
    }

    /// The normals are `v_i = μ` where z_i > 0 and `v_i <= μ` where z_i is (within the tolerance) zero, any μ.
    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        let item = |i: usize| (v[i], z[i] > tolerance);
        let mu = one_sided_mean(v.len(), item);
        norm((0..v.len()).map(item).map(|(v, two_sided)| if two_sided || v > mu { v - mu } else { 0.0 }))
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        lower.fill(if self.n == 1 { self.total } else { 0.0 });
        upper.fill(self.total);
    }

    fn affine_dimension(&self) -> Option<usize> {
        Some(self.n - 1)
    }

    fn log_volume(&self) -> Option<f64> {
        let n = self.n as f64;
        Some((n - 1.0) * self.total.ln() + 0.5 * n.ln() - libm::lgamma(n))
    }

    fn sample(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool {
        let sum = fill_exponential(rng, out);
        out.iter_mut().for_each(|o| *o = self.total * (*o / sum));
        true
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        description.grow(offset + self.n);
        for i in offset..offset + self.n {
            description.bound(i, 0.0, self.total);
        }
        description.row(self.total, self.total, (offset..offset + self.n).map(|i| (i, 1.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::laws;
    use proptest::prelude::*;

    #[test]
    fn bad_data_is_refused() {
        assert_eq!(Simplex::new(3, 0.0).unwrap_err().to_string(), "total must be positive and finite, got 0");
        assert_eq!(
            Simplex::new(0, 1.0).unwrap_err().to_string(),
            "a simplex of 0 components is empty: their sum cannot be 1"
        );
    }

    #[test]
    fn volumes_in_low_dimension() {
        let volume = |n, total| Simplex::new(n, total).unwrap().log_volume().unwrap().exp();
        // A point, a segment, an equilateral triangle of side total * sqrt(2).
        for (got, want) in
            [(volume(1, 5.0), 1.0), (volume(2, 3.0), 3.0 * 2f64.sqrt()), (volume(3, 2.0), 8.0 * 3f64.sqrt() / 4.0)]
        {
            assert!((got / want - 1.0).abs() < 1e-14, "{got}, not {want}");
        }
        assert_eq!(Simplex::new(4, 2.0).unwrap().affine_dimension(), Some(3));
    }

    #[test]
    fn huge_points_are_projected_accurately() {
        let set = Simplex::new(3, 1.0).unwrap();
        let mut p = [0.0; 3];
        set.project(&[1e150, 1e150, -1e308], &mut p);
        assert_eq!(p, [0.5, 0.5, 0.0]);
        set.project(&[0.2, f64::NAN, 0.0], &mut p);
        assert!(p.iter().all(|p| p.is_nan()));
        assert_eq!(set.violation(&[f64::NAN, 0.0, 1.0]), f64::INFINITY);
        let one = Simplex::new(1, 2.0).unwrap();
        let (mut l, mut u) = ([0.0], [0.0]);
        one.bounding_box(&mut l, &mut u);
        assert_eq!((l, u), ([2.0], [2.0]));
    }

    #[test]
    fn samples_are_uniform() {
        let set = Simplex::new(3, 2.0).unwrap();
        let (mean, second) = laws::moments(&set, 20_000);
        for i in 0..3 {
            assert!((mean[i] - 2.0 / 3.0).abs() < 0.02);
            // E z_i^2 = 2 total^2 / (n (n + 1)).
            assert!((second[i] - 8.0 / 12.0).abs() < 0.02);
        }
    }

    proptest! {
        #[test]
        fn laws_hold(seed: u64, n in 1..8usize, total in 0.1..3.0f64) {
            laws::check(&Simplex::new(n, total).unwrap(), seed);
        }

        #[test]
        fn the_normal_cone_at_a_point_is_v_below_its_largest_on_the_support(
            v in prop::collection::vec(-1.0..1.0f64, 3..6)
        ) {
            let set = Simplex::new(v.len(), 1.0).unwrap();
            let mut z = vec![0.0; v.len()];
            z[0] = 1.0;
            let largest = v.iter().skip(1).fold(f64::NEG_INFINITY, |m, &v| m.max(v));
            prop_assert_eq!(set.normal_cone_distance(&z, &v, 1e-9) < 1e-14, v[0] >= largest);
        }
    }
}
