//! Product of sets `C_1 × ... × C_k`, on consecutive components.

use super::numeric::norm;
use super::{ConvexSet, Description, Set};
use rand_chacha::ChaCha8Rng;

/// A product of sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    factors: Vec<Set>,
}

impl Product {
    /// The product of `factors`, in that order; of none, the space of one point.
    pub fn new(factors: Vec<Set>) -> Self {
        Self { factors }
    }

    /// The factors.
    pub fn factors(&self) -> &[Set] {
        &self.factors
    }

    /// The factors, each with the range of its components.
    fn parts(&self) -> impl Iterator<Item = (&Set, std::ops::Range<usize>)> + Clone {
        self.factors.iter().scan(0, |start, set| {
            let range = *start..*start + set.ambient_dimension();
            *start = range.end;
            Some((set, range))
        })
    }
}

impl ConvexSet for Product {
    fn ambient_dimension(&self) -> usize {
        self.factors.iter().map(ConvexSet::ambient_dimension).sum()
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        for (set, range) in self.parts() {
            set.project(&z[range.clone()], &mut out[range]);
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        self.parts().map(|(set, range)| set.violation(&z[range])).fold(0.0, f64::max)
    }

    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        norm(self.parts().map(|(set, range)| set.normal_cone_distance(&z[range.clone()], &v[range], tolerance)))
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        for (set, range) in self.parts() {
            set.bounding_box(&mut lower[range.clone()], &mut upper[range]);
        }
    }

    fn affine_dimension(&self) -> Option<usize> {
        self.factors.iter().map(ConvexSet::affine_dimension).sum()
    }

    fn log_volume(&self) -> Option<f64> {
        self.factors.iter().map(ConvexSet::log_volume).sum()
    }

    fn sample(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool {
        self.parts().all(|(set, range)| set.sample(rng, &mut out[range]))
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        // Room for all factors first: auxiliary variables of one must not land among the variables of the next.
        description.grow(offset + self.ambient_dimension());
        for (set, range) in self.parts() {
            set.describe(offset + range.start, description);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::{Ball, Bounds, L1Ball, Orthant, Simplex, Whole, laws};
    use proptest::prelude::*;

    fn mixed() -> Product {
        Product::new(vec![
            Bounds::uniform(2, -1.0, 1.0).unwrap().into(),
            Simplex::new(3, 1.0).unwrap().into(),
            Whole::new(0).into(),
            Ball::new(vec![0.5, 0.5], 2.0).unwrap().into(),
        ])
    }

    #[test]
    fn dimension_and_volume_add_up() {
        let set = mixed();
        assert_eq!(set.ambient_dimension(), 7);
        assert_eq!(set.affine_dimension(), Some(6));
        let want = 4f64.ln() + (3f64.sqrt() / 2.0).ln() + (4.0 * std::f64::consts::PI).ln();
        assert!((set.log_volume().unwrap() - want).abs() < 1e-14);
        let unbounded = Product::new(vec![set.into(), Orthant::new(1).into()]);
        assert_eq!(unbounded.log_volume(), Some(f64::INFINITY));
        let empty = Product::new(vec![]);
        assert_eq!((empty.ambient_dimension(), empty.affine_dimension(), empty.log_volume()), (0, Some(0), Some(0.0)));
    }

    #[test]
    fn auxiliary_variables_come_after_all_factors() {
        let ball = L1Ball::new(vec![0.0; 2], 1.0).unwrap();
        let set = Product::new(vec![ball.clone().into(), Bounds::uniform(2, 3.0, 4.0).unwrap().into(), ball.into()]);
        let mut description = Description::default();
        set.describe(1, &mut description);
        assert_eq!(description.variables(), 1 + 6 + 4);
        assert_eq!(description.lower[3..5], [3.0, 3.0]);
        let point = [0.0, 0.5, -0.5, 3.0, 4.0, 0.0, 1.0, 0.5, 0.5, 0.0, 1.0];
        assert_eq!(laws::description_violation(&description, &point), 0.0);
    }

    proptest! {
        #[test]
        fn laws_hold(seed: u64) {
            laws::check(&mixed(), seed);
            let nested = Product::new(vec![mixed().into(), Orthant::new(2).into()]);
            laws::check(&nested, seed);
        }
    }
}
