//! Box `{z : lower <= z <= upper}`, per component; bounds may be infinite (one-sided) or equal (fixed component).

use super::error::check_length;
use super::numeric::{excess, norm};
use super::{ConvexSet, Description, SetError};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A box.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// Built from one pair of numbers: it takes the length of the block that it is given to.
    scalar: bool,
}

impl Bounds {
    /// The interval [lower, upper], which [`sized`](Self::sized) repeats for every component of a block. Infinite
    /// bounds mean none.
    ///
    /// # Errors
    /// An empty interval or a NaN.
    pub fn new(lower: f64, upper: f64) -> Result<Self, SetError> {
        check_interval(0, lower, upper)?;
        Ok(Self { lower: vec![lower], upper: vec![upper], scalar: true })
    }

    /// The box [lower, upper]^n.
    ///
    /// # Errors
    /// An empty interval or a NaN.
    pub fn uniform(n: usize, lower: f64, upper: f64) -> Result<Self, SetError> {
        check_interval(0, lower, upper)?;
        Ok(Self { lower: vec![lower; n], upper: vec![upper; n], scalar: false })
    }

    /// The box with component i in [lower_i, upper_i].
    ///
    /// # Errors
    /// Different lengths, an empty interval or a NaN.
    pub fn from_vectors(lower: Vec<f64>, upper: Vec<f64>) -> Result<Self, SetError> {
        check_length("upper bounds", lower.len(), upper.len())?;
        for (i, (&l, &u)) in lower.iter().zip(&upper).enumerate() {
            check_interval(i, l, u)?;
        }
        Ok(Self { lower, upper, scalar: false })
    }

    /// The box without bounds in dimension n.
    pub(super) fn everything(n: usize) -> Self {
        Self { lower: vec![f64::NEG_INFINITY; n], upper: vec![f64::INFINITY; n], scalar: false }
    }

    /// The box in dimension n: itself if it has that dimension, its interval repeated if it was built by
    /// [`new`](Self::new).
    ///
    /// # Errors
    /// Another dimension.
    pub fn sized(self, n: usize) -> Result<Self, SetError> {
        if let (true, Some(&lower), Some(&upper)) = (self.scalar, self.lower.first(), self.upper.first()) {
            return Ok(Self { lower: vec![lower; n], upper: vec![upper; n], scalar: false });
        }
        check_length("the box", n, self.lower.len())?;
        Ok(self)
    }

    /// The lower bounds.
    pub fn lower(&self) -> &[f64] {
        &self.lower
    }

    /// The upper bounds.
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    fn pairs(&self) -> impl Iterator<Item = (f64, f64)> + Clone + '_ {
        self.lower.iter().copied().zip(self.upper.iter().copied())
    }
}

/// An error unless some real number is in [lower, upper].
fn check_interval(component: usize, lower: f64, upper: f64) -> Result<(), SetError> {
    for (what, value) in [("lower bound of component", lower), ("upper bound of component", upper)] {
        if value.is_nan() {
            return Err(SetError::Value { what, index: component, wanted: "a number", value });
        }
    }
    if lower > upper || lower == f64::INFINITY || upper == f64::NEG_INFINITY {
        return Err(SetError::EmptyInterval { component, lower, upper });
    }
    Ok(())
}

/// How much of `v` is left outside the normal cone of [lower, upper] at `z`.
pub(super) fn outside_normal_cone(z: f64, v: f64, lower: f64, upper: f64, tolerance: f64) -> f64 {
    let (at_lower, at_upper) = (z <= lower + tolerance, z >= upper - tolerance);
    // At a bound, v may point out of the interval: down at the lower one, up at the upper one.
    if (v < 0.0 && at_lower) || (v > 0.0 && at_upper) { 0.0 } else { v }
}

impl ConvexSet for Bounds {
    fn ambient_dimension(&self) -> usize {
        self.lower.len()
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        for ((o, &z), (l, u)) in out.iter_mut().zip(z).zip(self.pairs()) {
            *o = z.clamp(l, u);
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        z.iter().zip(self.pairs()).map(|(&z, (l, u))| excess(l - z).max(excess(z - u))).fold(0.0, f64::max)
    }

    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        let parts = z.iter().zip(v).zip(self.pairs());
        norm(parts.map(|((&z, &v), (l, u))| outside_normal_cone(z, v, l, u, tolerance)))
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        for ((lo, up), (l, u)) in lower.iter_mut().zip(upper).zip(self.pairs()) {
            (*lo, *up) = (l, u);
        }
    }

    fn affine_dimension(&self) -> Option<usize> {
        Some(self.pairs().filter(|(l, u)| l < u).count())
    }

    fn log_volume(&self) -> Option<f64> {
        // Half the difference cannot overflow.
        let log_length = |(l, u): (f64, f64)| (0.5 * u - 0.5 * l).ln() + std::f64::consts::LN_2;
        Some(self.pairs().filter(|(l, u)| l < u).map(log_length).sum())
    }

    fn sample(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool {
        if self.pairs().any(|(l, u)| !(l.is_finite() && u.is_finite())) {
            return false;
        }
        for (o, (l, u)) in out.iter_mut().zip(self.pairs()) {
            let t: f64 = rng.random();
            *o = (l * (1.0 - t) + u * t).clamp(l, u);
        }
        true
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        description.grow(offset + self.lower.len());
        for (i, (l, u)) in self.pairs().enumerate() {
            description.bound(offset + i, l, u);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::laws;
    use proptest::prelude::*;

    const INF: f64 = f64::INFINITY;

    #[test]
    fn bad_bounds_are_refused_with_component_and_value() {
        let text = |r: Result<Bounds, SetError>| r.unwrap_err().to_string();
        assert_eq!(text(Bounds::new(2.0, 1.0)), "the set is empty: component 0 in [2, 1]");
        assert_eq!(
            text(Bounds::from_vectors(vec![0.0, 5.0], vec![1.0, -1.0])),
            "the set is empty: component 1 in [5, -1]"
        );
        assert_eq!(text(Bounds::new(f64::NAN, 1.0)), "lower bound of component 0 must be a number, got NaN");
        assert_eq!(
            text(Bounds::from_vectors(vec![0.0, 0.0], vec![1.0, f64::NAN])),
            "upper bound of component 1 must be a number, got NaN"
        );
        assert_eq!(text(Bounds::new(INF, INF)), "the set is empty: component 0 in [inf, inf]");
        assert_eq!(text(Bounds::uniform(3, -INF, -INF)), "the set is empty: component 0 in [-inf, -inf]");
        assert_eq!(text(Bounds::from_vectors(vec![0.0], vec![])), "upper bounds must have 1 entries, got 0");
        assert_eq!(text(Bounds::uniform(2, 0.0, 1.0).unwrap().sized(3)), "the box must have 3 entries, got 2");
    }

    #[test]
    fn scalar_bounds_take_the_length_of_the_block() {
        let interval = Bounds::new(-5.0, 5.0).unwrap();
        assert_eq!(interval.clone().sized(3).unwrap(), Bounds::uniform(3, -5.0, 5.0).unwrap());
        assert_eq!(interval.sized(0).unwrap().ambient_dimension(), 0);
        let one = Bounds::from_vectors(vec![0.0], vec![1.0]).unwrap();
        assert!(one.sized(2).is_err());
    }

    #[test]
    fn infinite_fixed_and_huge_components() {
        let set = Bounds::from_vectors(vec![-INF, 1.0, -1e308, -INF], vec![0.0, 1.0, 1e308, INF]).unwrap();
        let mut p = [0.0; 4];
        set.project(&[5.0, 7.0, 1e300, -1e300], &mut p);
        assert_eq!(p, [0.0, 1.0, 1e300, -1e300]);
        assert_eq!(set.affine_dimension(), Some(3));
        assert_eq!(set.log_volume(), Some(INF));
        assert_eq!(set.normal_cone_distance(&p, &[1.0, -9.0, 3.0, -4.0], 1e-9), 5.0);
        let finite = Bounds::from_vectors(vec![1.0, -1e308], vec![1.0, 1e308]).unwrap();
        assert!((finite.log_volume().unwrap() - (2f64.ln() + 308.0 * 10f64.ln())).abs() < 1e-10);
        assert_eq!(Bounds::uniform(2, 3.0, 3.0).unwrap().log_volume(), Some(0.0));
        assert_eq!(Bounds::uniform(3, 0.0, 2.0).unwrap().log_volume(), Some(3.0 * 2f64.ln()));
    }

    #[test]
    fn samples_are_uniform() {
        let set = Bounds::from_vectors(vec![-1.0, 2.0, 0.0], vec![3.0, 2.0, 1.0]).unwrap();
        let (mean, second) = laws::moments(&set, 20_000);
        for (got, want) in mean.iter().zip([1.0, 2.0, 0.5]) {
            assert!((got - want).abs() < 0.03, "mean {got}, not {want}");
        }
        assert!((second[0] - 16.0 / 12.0 - 1.0).abs() < 0.05);
        assert!((second[2] - 1.0 / 3.0).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn laws_hold(seed: u64, sides in prop::collection::vec((-2.0..2.0f64, 0.0..3.0f64, 0..4u8), 0..6)) {
            let lower = sides.iter().map(|s| if s.2 == 1 { -INF } else { s.0 }).collect();
            let upper = sides.iter().map(|s| match s.2 { 2 => INF, 3 => s.0, _ => s.0 + s.1 }).collect();
            laws::check(&Bounds::from_vectors(lower, upper).unwrap(), seed);
        }
    }
}
