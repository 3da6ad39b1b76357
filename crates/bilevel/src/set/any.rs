//! Any of the sets, as one type.

use super::error::check_length;
use super::{
    Affine, Ball, Bounds, ConvexSet, Description, Halfspace, L1Ball, Orthant, Polyhedron, Product, SetError, Simplex,
    Whole,
};
use rand_chacha::ChaCha8Rng;

/// One of the closed convex sets.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Set {
    /// The whole space.
    Whole(Whole),
    /// A box.
    Bounds(Bounds),
    /// The nonnegative orthant.
    Orthant(Orthant),
    /// A Euclidean ball.
    Ball(Ball),
    /// An l1 ball.
    L1Ball(L1Ball),
    /// A simplex.
    Simplex(Simplex),
    /// A halfspace.
    Halfspace(Halfspace),
    /// An affine subspace.
    Affine(Affine),
    /// A polyhedron.
    Polyhedron(Box<Polyhedron>),
    /// A product of sets.
    Product(Product),
}

impl Set {
    /// The set for a block of n variables: a box given by one interval takes that length, any other set must have it.
    ///
    /// # Errors
    /// A set of another dimension.
    pub fn sized(self, n: usize) -> Result<Self, SetError> {
        if let Self::Bounds(bounds) = self {
            return Ok(Self::Bounds(bounds.sized(n)?));
        }
        check_length("the set", n, self.ambient_dimension())?;
        Ok(self)
    }

    fn inner(&self) -> &dyn ConvexSet {
        match self {
            Self::Whole(set) => set,
            Self::Bounds(set) => set,
            Self::Orthant(set) => set,
            Self::Ball(set) => set,
            Self::L1Ball(set) => set,
            Self::Simplex(set) => set,
            Self::Halfspace(set) => set,
            Self::Affine(set) => set,
            Self::Polyhedron(set) => set.as_ref(),
            Self::Product(set) => set,
        }
    }
}

macro_rules! from_sets {
    ($($name:ident),*) => {$(
        impl From<$name> for Set {
            fn from(set: $name) -> Self {
                Self::$name(set)
            }
        }
    )*};
}
from_sets!(Whole, Bounds, Orthant, Ball, L1Ball, Simplex, Halfspace, Affine, Product);

impl From<Polyhedron> for Set {
    fn from(set: Polyhedron) -> Self {
        Self::Polyhedron(Box::new(set))
    }
}

impl ConvexSet for Set {
    fn ambient_dimension(&self) -> usize {
        self.inner().ambient_dimension()
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        self.inner().project(z, out);
    }

    fn violation(&self, z: &[f64]) -> f64 {
        self.inner().violation(z)
    }

    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        self.inner().normal_cone_distance(z, v, tolerance)
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        self.inner().bounding_box(lower, upper);
    }

    fn affine_dimension(&self) -> Option<usize> {
        self.inner().affine_dimension()
    }

    fn log_volume(&self) -> Option<f64> {
        self.inner().log_volume()
    }

    fn sample(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool {
        self.inner().sample(rng, out)
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        self.inner().describe(offset, description);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_takes_the_length_of_its_block() {
        let interval = Set::from(Bounds::new(0.0, 1.0).unwrap());
        assert_eq!(interval.sized(4).unwrap().ambient_dimension(), 4);
        let simplex = Set::from(Simplex::new(3, 1.0).unwrap());
        assert!(simplex.clone().sized(3).is_ok());
        assert_eq!(simplex.sized(4).unwrap_err().to_string(), "the set must have 4 entries, got 3");
    }
}
