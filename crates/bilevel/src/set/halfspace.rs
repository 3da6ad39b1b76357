//! Halfspace `{z : <a, z> <= b}`.

use super::error::check_finite;
use super::numeric::{excess, norm};
use super::{ConvexSet, Description, SetError};
use bilevel_linalg::vector::dot;
use rand_chacha::ChaCha8Rng;

/// A halfspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Halfspace {
    normal: Vec<f64>,
    bound: f64,
    /// The normal and the bound divided by the normal's length.
    unit: Vec<f64>,
    unit_bound: f64,
}

impl Halfspace {
    /// `{z : <normal, z> <= bound}`, in the dimension of the normal.
    ///
    /// # Errors
    /// A zero normal (also an empty one), or numbers that are not finite.
    pub fn new(normal: Vec<f64>, bound: f64) -> Result<Self, SetError> {
        check_finite("normal component", &normal)?;
        let length = norm(normal.iter().copied());
        if length == 0.0 {
            return Err(SetError::ZeroNormal);
        }
        if !bound.is_finite() {
            return Err(SetError::Scalar { what: "bound", wanted: "finite", value: bound });
        }
        let unit = normal.iter().map(|a| a / length).collect();
        Ok(Self { normal, bound, unit, unit_bound: bound / length })
    }

    /// The normal a, as given.
    pub fn normal(&self) -> &[f64] {
        &self.normal
    }

    /// The bound b, as given.
    pub fn bound(&self) -> f64 {
        self.bound
    }
}

impl ConvexSet for Halfspace {
    fn ambient_dimension(&self) -> usize {
        self.normal.len()
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        out.copy_from_slice(z);
        let mut above = dot(&self.unit, out) - self.unit_bound;
        if above <= 0.0 {
            return;
        }
        // The second step removes the rounding error of the first.
        for _ in 0..2 {
            out.iter_mut().zip(&self.unit).for_each(|(o, a)| *o -= above * a);
            above = dot(&self.unit, out) - self.unit_bound;
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        excess(dot(&self.normal, z) - self.bound)
    }

    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        let active = dot(&self.unit, z) >= self.unit_bound - tolerance;
        let along = if active { dot(&self.unit, v).max(0.0) } else { 0.0 };
        norm(v.iter().zip(&self.unit).map(|(v, a)| v - along * a))
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        lower.fill(f64::NEG_INFINITY);
        upper.fill(f64::INFINITY);
        if self.normal.iter().filter(|a| **a != 0.0).count() != 1 {
            return;
        }
        for ((l, u), a) in lower.iter_mut().zip(upper).zip(&self.normal) {
            if *a > 0.0 {
                *u = self.bound / a;
            } else if *a < 0.0 {
                *l = self.bound / a;
            }
        }
    }

    fn affine_dimension(&self) -> Option<usize> {
        Some(self.normal.len())
    }

    fn log_volume(&self) -> Option<f64> {
        Some(f64::INFINITY)
    }

    fn sample(&self, _rng: &mut ChaCha8Rng, _out: &mut [f64]) -> bool {
        false
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        description.grow(offset + self.normal.len());
        let entries = self.normal.iter().enumerate().map(|(i, &a)| (offset + i, a));
        description.row(f64::NEG_INFINITY, self.bound, entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::laws;
    use proptest::prelude::*;

    #[test]
    fn bad_data_is_refused() {
        assert_eq!(Halfspace::new(vec![0.0, 0.0], 1.0), Err(SetError::ZeroNormal));
        assert_eq!(Halfspace::new(vec![], 1.0), Err(SetError::ZeroNormal));
        assert_eq!(
            Halfspace::new(vec![1.0, f64::NAN], 1.0).unwrap_err().to_string(),
            "normal component 1 must be finite, got NaN"
        );
        assert_eq!(Halfspace::new(vec![1.0], f64::INFINITY).unwrap_err().to_string(), "bound must be finite, got inf");
    }

    #[test]
    fn closed_form_in_the_plane() {
        let set = Halfspace::new(vec![3e-8, 4e-8], 5e-8).unwrap();
        let mut p = [0.0; 2];
        set.project(&[3.6, 4.8], &mut p);
        assert!((p[0] - 0.6).abs() < 1e-15 && (p[1] - 0.8).abs() < 1e-15);
        // At a distance of 1 inside, the constraint is not active however short its normal.
        assert_eq!(set.normal_cone_distance(&[0.0, 0.0], &[3.0, 4.0], 1e-6), 5.0);
        assert!(set.normal_cone_distance(&[0.6, 0.8], &[3.0, 4.0], 1e-6) < 1e-15);
        assert_eq!(set.normal_cone_distance(&[0.6, 0.8], &[-3.0, -4.0], 1e-6), 5.0);
        set.project(&[1e150, 1e150], &mut p);
        assert!((p[0] / 1.6e149 - 1.0).abs() < 1e-14 && (p[1] / -1.2e149 - 1.0).abs() < 1e-14);
    }

    #[test]
    fn a_normal_along_an_axis_bounds_that_component() {
        let set = Halfspace::new(vec![0.0, -2.0], 6.0).unwrap();
        let (mut l, mut u) = ([0.0; 2], [0.0; 2]);
        set.bounding_box(&mut l, &mut u);
        assert_eq!((l[1], u[1], u[0]), (-3.0, f64::INFINITY, f64::INFINITY));
    }

    /// Zero or not small, so that "unbounded" shows within the laws' reach.
    fn coefficient() -> impl Strategy<Value = f64> {
        prop_oneof![Just(0.0), 0.2..2.0f64, -2.0..-0.2f64]
    }

    proptest! {
        #[test]
        fn laws_hold(seed: u64, normal in prop::collection::vec(coefficient(), 1..6), bound in -2.0..2.0f64) {
            prop_assume!(normal.iter().any(|a| *a != 0.0));
            laws::check(&Halfspace::new(normal, bound).unwrap(), seed);
        }
    }
}
