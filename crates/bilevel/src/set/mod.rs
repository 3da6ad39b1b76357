//! Closed convex sets: project, normal cone, membership, volume, sampling; one set per file.

use rand_chacha::ChaCha8Rng;

/// A nonempty closed convex set in R^d.
pub trait ConvexSet {
    /// The dimension d of the space that the set lies in.
    fn ambient_dimension(&self) -> usize;
    /// Writes the projection of `z` onto the set.
    fn project(&self, z: &[f64], out: &mut [f64]);
    /// How far `z` is from satisfying the set's constraints (0 inside), in the largest violation.
    fn violation(&self, z: &[f64]) -> f64;
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
    /// Adds the set's constraints, on the variables from `offset`, to `description`.
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
