//! Closed convex sets: project, normal cone, membership, volume, sampling; one set per file.
//!
//! [`Set`] is any of them; [`ConvexSet`] is what they can do. Every constructor checks its data, so that a value of
//! these types is a nonempty set.

mod affine;
mod any;
mod ball;
mod basis;
mod bounds;
mod error;
mod halfspace;
mod l1_ball;
#[cfg(test)]
mod laws;
mod numeric;
mod orthant;
mod polyhedron;
mod product;
mod simplex;
mod units;
mod whole;

pub use affine::Affine;
pub use any::Set;
pub use ball::Ball;
pub use bounds::Bounds;
pub use error::SetError;
pub use halfspace::Halfspace;
pub use l1_ball::L1Ball;
pub use orthant::Orthant;
pub use polyhedron::{HullForm, Polyhedron};
pub use product::Product;
pub use simplex::Simplex;
pub use whole::Whole;

use rand_chacha::ChaCha8Rng;

/// A nonempty closed convex set in R^d.
///
/// All slices have d entries. A NaN in a point gives NaN in its projection and an infinite violation.
pub trait ConvexSet {
    /// The dimension d of the space that the set lies in.
    fn ambient_dimension(&self) -> usize;
    /// Writes the projection of `z` onto the set.
    fn project(&self, z: &[f64], out: &mut [f64]);
    /// How far `z` is from satisfying the set's constraints (0 inside), in the largest violation.
    fn violation(&self, z: &[f64]) -> f64;
    /// Whether `z` satisfies the set's constraints up to `tolerance`.
    fn contains(&self, z: &[f64], tolerance: f64) -> bool {
        self.violation(z) <= tolerance
    }
    /// Distance of `v` to the normal cone N_C(z) at a point `z` of the set; constraints within `tolerance` of
    /// equality count as active.
    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64;
    /// Writes the smallest box that contains the set, infinite where unbounded (a valid outer box where the
    /// smallest is not cheap).
    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]);
    /// Dimension of the affine hull, where known.
    fn affine_dimension(&self) -> Option<usize>;
    /// Natural logarithm of the volume in the affine hull (+inf if unbounded), where known; 0 for a single point.
    fn log_volume(&self) -> Option<f64>;
    /// Writes a uniformly distributed point; false (and nothing useful written) if the set is unbounded.
    fn sample(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool;
    /// Adds the set's constraints, on the variables from `offset`, to `description`. The description gets the
    /// variables up to `offset + d` if it does not have them yet; auxiliary variables go to its end, so a caller with
    /// several blocks makes room for all of them first ([`Description::with_variables`]).
    fn describe(&self, offset: usize, description: &mut Description);
}

/// Sets as constraints that a nonlinear or conic solver understands: bounds, affine rows, balls, and auxiliary variables
/// for sets that need them (the l1 ball). Variables are the set's own, then the auxiliary ones.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Description {
    /// Lower bounds of all variables.
    pub lower: Vec<f64>,
    /// Upper bounds of all variables.
    pub upper: Vec<f64>,
    /// Affine rows as (row, variable, coefficient).
    pub rows: Vec<(usize, usize, f64)>,
    /// Lower bounds of the rows.
    pub row_lower: Vec<f64>,
    /// Upper bounds of the rows.
    pub row_upper: Vec<f64>,
    /// Euclidean balls: the variables from `start`, one per entry of the centre.
    pub balls: Vec<BallPart>,
}

impl Description {
    /// A description of `variables` free variables.
    pub fn with_variables(variables: usize) -> Self {
        let mut description = Self::default();
        description.grow(variables);
        description
    }

    /// Number of variables, auxiliary ones included.
    pub fn variables(&self) -> usize {
        self.lower.len()
    }

    /// Number of affine rows.
    pub fn row_count(&self) -> usize {
        self.row_lower.len()
    }

    /// Adds free variables until there are at least `variables`.
    pub fn grow(&mut self, variables: usize) {
        let size = variables.max(self.lower.len());
        self.lower.resize(size, f64::NEG_INFINITY);
        self.upper.resize(size, f64::INFINITY);
    }

    /// Adds `count` auxiliary variables in [0, upper] and returns the first.
    pub fn auxiliary(&mut self, count: usize, upper: f64) -> usize {
        let first = self.lower.len();
        self.lower.resize(first + count, 0.0);
        self.upper.resize(first + count, upper);
        first
    }

    /// Narrows the bounds of `variable`, which must exist, to those also in [lower, upper].
    pub fn bound(&mut self, variable: usize, lower: f64, upper: f64) {
        if let Some(l) = self.lower.get_mut(variable) {
            *l = l.max(lower);
        }
        if let Some(u) = self.upper.get_mut(variable) {
            *u = u.min(upper);
        }
    }

    /// Adds the row `lower <= sum of coefficient * variable <= upper`; zero coefficients are left out.
    pub fn row(&mut self, lower: f64, upper: f64, entries: impl IntoIterator<Item = (usize, f64)>) {
        let row = self.row_lower.len();
        self.rows.extend(entries.into_iter().filter(|e| e.1 != 0.0).map(|(variable, a)| (row, variable, a)));
        self.row_lower.push(lower);
        self.row_upper.push(upper);
    }
}

/// A Euclidean ball on consecutive variables of a [`Description`].
#[derive(Clone, Debug, PartialEq)]
pub struct BallPart {
    /// First variable.
    pub start: usize,
    /// The centre.
    pub centre: Vec<f64>,
    /// The radius, > 0.
    pub radius: f64,
}
