//! Nonlinear programming: the solvers behind the follower's problem, the value-function programme and the polish.
//!
//! ```text
//! minimise objective(z)  subject to  lower <= z <= upper
//!                                    row_lower <= A z <= row_upper          (affine rows, sparse)
//!                                    constraint_lower <= c(z) <= constraint_upper
//! ```

use bilevel_linalg::{Csr, Dense};

/// The constant data of a nonlinear programme in `d` variables. Absent bounds are infinite; equal bounds are an
/// equality.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Lower bounds of the variables (length d).
    pub lower: Vec<f64>,
    /// Upper bounds of the variables (length d).
    pub upper: Vec<f64>,
    /// The affine rows A (r x d).
    pub rows: Csr,
    /// Lower bounds of A z (length r).
    pub row_lower: Vec<f64>,
    /// Upper bounds of A z (length r).
    pub row_upper: Vec<f64>,
    /// Lower bounds of c(z) (length k).
    pub constraint_lower: Vec<f64>,
    /// Upper bounds of c(z) (length k).
    pub constraint_upper: Vec<f64>,
}

/// A nonlinear programme with dense derivatives. Functions may return NaN or infinities where they are not defined:
/// solvers step back from such points.
pub trait Nlp {
    /// Sizes, bounds and affine rows.
    fn frame(&self) -> &Frame;
    /// The objective at `z`.
    fn objective(&mut self, z: &[f64]) -> f64;
    /// Writes the objective's gradient.
    fn gradient(&mut self, z: &[f64], out: &mut [f64]);
    /// Writes c(z).
    fn constraints(&mut self, z: &[f64], out: &mut [f64]);
    /// Writes the Jacobian of c (k x d).
    fn jacobian(&mut self, z: &[f64], out: &mut Dense);
    /// Writes the Hessian of `objective_weight * objective + Σ weights_i c_i` (d x d, both triangles) and returns true;
    /// returns false where second derivatives are not available.
    fn hessian(&mut self, z: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool;
}
