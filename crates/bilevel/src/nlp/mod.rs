//! Nonlinear programming: the solvers behind the follower's problem, the value-function programme and the polish.
//!
//! ```text
//! minimise objective(z)  subject to  lower <= z <= upper
//!                                    row_lower <= A z <= row_upper          (affine rows, sparse)
//!                                    constraint_lower <= c(z) <= constraint_upper
//! ```
//!
//! Two local solvers take the same [`Nlp`] and return the same [`Solution`]: [`interior_point`] (second derivatives,
//! for smooth and above all convex problems) and [`sqp`] (first derivatives, for the value-function programme and for
//! complementarity constraints). Both are deterministic.
//!
//! **Multipliers.** At a solution ∇objective = bounds + Aᵀ rows + Jᵀ constraints; a multiplier is `>= 0` where the
//! lower side is active, `<= 0` where the upper side is, free for an equality, and zero elsewhere. A multiplier is
//! thus the change of the optimal value per unit of its active bound.

mod bfgs;
pub mod interior_point;
mod normals;
mod polish;
pub mod projected;
mod reduced;
mod residual;
pub mod sqp;
#[cfg(test)]
mod testing;

use bilevel_linalg::qp::{Qp, QpHessian};
use bilevel_linalg::{Csr, Dense};
use thiserror::Error;

pub use normals::{Normals, unit};
pub use residual::assess;

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
///
/// Solvers ask for constraints and objective at a trial point, and for derivatives only at the last point whose values
/// they asked for, so an implementation for which values are costly may keep what it computed there.
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

/// What is wrong with a [`Frame`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// Two parts of the frame disagree about a length.
    #[error("{part} has length {found}, expected {expected}")]
    Length {
        /// The part with the wrong length.
        part: &'static str,
        /// Its length.
        found: usize,
        /// The length that the other parts ask for.
        expected: usize,
    },
    /// A bound is NaN, or a lower bound is +∞, or an upper bound −∞.
    #[error("{part} has an impossible bound at index {index}")]
    Bound {
        /// Which pair of bounds.
        part: &'static str,
        /// Where.
        index: usize,
    },
}

impl Frame {
    /// A quadratic programme over the same bounds and affine rows.
    pub fn quadratic<'a>(&'a self, hessian: QpHessian<'a>, linear: &'a [f64]) -> Qp<'a> {
        let Self { lower, upper, rows, row_lower, row_upper, .. } = self;
        Qp { hessian, linear, lower, upper, rows, row_lower, row_upper, balls: &[] }
    }

    /// A frame with bounds on the variables alone.
    pub fn bounded(lower: Vec<f64>, upper: Vec<f64>) -> Self {
        let rows = Csr::empty(0, lower.len());
        let none = Vec::new;
        Self {
            lower,
            upper,
            rows,
            row_lower: none(),
            row_upper: none(),
            constraint_lower: none(),
            constraint_upper: none(),
        }
    }

    /// Number of variables.
    pub fn variables(&self) -> usize {
        self.lower.len()
    }

    /// Number of nonlinear constraints.
    pub fn constraints(&self) -> usize {
        self.constraint_lower.len()
    }

    /// Checks that lengths agree and bounds are numbers. Crossing bounds are not an error here: the solvers answer
    /// [`Status::Infeasible`].
    ///
    /// # Errors
    /// The first part with a wrong length or an impossible bound.
    pub fn check(&self) -> Result<(), FrameError> {
        let d = self.lower.len();
        let length = |part, found, expected| {
            if found == expected { Ok(()) } else { Err(FrameError::Length { part, found, expected }) }
        };
        length("upper", self.upper.len(), d)?;
        length("rows (columns)", self.rows.cols(), d)?;
        length("row_lower", self.row_lower.len(), self.rows.rows())?;
        length("row_upper", self.row_upper.len(), self.rows.rows())?;
        length("constraint_upper", self.constraint_upper.len(), self.constraint_lower.len())?;
        let bounds = |part, lower: &[f64], upper: &[f64]| {
            let bad = |(&l, &u): (&f64, &f64)| l.is_nan() || u.is_nan() || l == f64::INFINITY || u == f64::NEG_INFINITY;
            match lower.iter().zip(upper).position(bad) {
                Some(index) => Err(FrameError::Bound { part, index }),
                None => Ok(()),
            }
        };
        bounds("variables", &self.lower, &self.upper)?;
        bounds("rows", &self.row_lower, &self.row_upper)?;
        bounds("constraints", &self.constraint_lower, &self.constraint_upper)
    }
}

/// Why a solver stopped. What the point is worth is in [`Residuals`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// The optimality conditions hold to the tolerance.
    Solved,
    /// They hold to the looser acceptable tolerance, and no further progress was possible.
    Acceptable,
    /// The violation of the constraints is stationary, and not small: there is no feasible point nearby (for convex
    /// problems: none at all). Also crossing bounds.
    Infeasible,
    /// The objective or the iterates diverge over feasible points.
    Unbounded,
    /// No step is accepted although the conditions do not hold: kinks, rounding, or a minimiser without multipliers.
    Stalled,
    /// Not a number at the start, or a malformed frame.
    Numerical,
    /// The iteration limit was reached.
    IterationLimit,
    /// The caller's control function asked to stop.
    Interrupted,
}

impl Status {
    /// Whether the point is a solution: solved, or acceptable.
    pub fn is_success(self) -> bool {
        matches!(self, Self::Solved | Self::Acceptable)
    }
}

/// Multipliers in the convention of the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Multipliers {
    /// Of the variables' bounds (length d).
    pub bounds: Vec<f64>,
    /// Of the affine rows (length r).
    pub rows: Vec<f64>,
    /// Of the nonlinear constraints (length k).
    pub constraints: Vec<f64>,
}

/// How well a point and multipliers satisfy the optimality conditions (largest absolute values).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Residuals {
    /// ‖∇objective − bounds − Aᵀ rows − Jᵀ constraints‖∞.
    pub stationarity: f64,
    /// Largest violation of a bound, a row or a constraint.
    pub violation: f64,
    /// Largest |multiplier| · distance to the side that its sign names (infinite if that side is absent).
    pub complementarity: f64,
    /// The three made comparable, largest of: stationarity, less its rounding error, over max(1, ‖∇objective‖∞);
    /// violation over max(1, |bound|); complementarity over max(1, |objective|). This is what tolerances refer to.
    pub scaled: f64,
}

impl Residuals {
    /// The residuals of a point where nothing could be evaluated.
    pub const UNKNOWN: Self =
        Self { stationarity: f64::NAN, violation: f64::NAN, complementarity: f64::NAN, scaled: f64::INFINITY };
}

/// How often the problem's functions were evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evaluations {
    /// Objective and constraint values.
    pub values: usize,
    /// Gradients and Jacobians.
    pub gradients: usize,
    /// Hessians.
    pub hessians: usize,
}

/// What a solver returns. Residuals and objective are recomputed from the problem at the returned point.
#[derive(Clone, Debug)]
pub struct Solution {
    /// Why the solver stopped.
    pub status: Status,
    /// The point (length d); within the variables' bounds exactly, unless the status is [`Status::Numerical`].
    pub z: Vec<f64>,
    /// The objective there.
    pub objective: f64,
    /// The multipliers.
    pub multipliers: Multipliers,
    /// The residuals of point and multipliers.
    pub residuals: Residuals,
    /// Iterations, restoration included.
    pub iterations: usize,
    /// Evaluations of the problem's functions.
    pub evaluations: Evaluations,
}

impl Solution {
    /// The answer where nothing could be solved; `sizes` are d, r and k.
    fn failed(status: Status, start: &[f64], sizes: (usize, usize, usize)) -> Self {
        let (d, r, k) = sizes;
        let multipliers = Multipliers { bounds: vec![0.0; d], rows: vec![0.0; r], constraints: vec![0.0; k] };
        Self {
            status,
            z: start.to_vec(),
            objective: f64::NAN,
            multipliers,
            residuals: Residuals::UNKNOWN,
            iterations: 0,
            evaluations: Evaluations::default(),
        }
    }
}

/// What a control function sees at the start of an iteration.
#[derive(Clone, Copy, Debug)]
pub struct Iteration<'a> {
    /// Iteration number, from 0.
    pub number: usize,
    /// The current point.
    pub z: &'a [f64],
    /// Objective there.
    pub objective: f64,
    /// Largest constraint violation, in the solver's scaling.
    pub violation: f64,
    /// Stationarity residual, in the solver's scaling.
    pub stationarity: f64,
    /// Barrier parameter of an interior point method; 0 for others.
    pub barrier: f64,
    /// Length of the last step relative to the full one, 0 before the first.
    pub step: f64,
}

/// A caller's hook, called once an iteration: `false` stops the solver with [`Status::Interrupted`].
pub type Control<'a> = dyn FnMut(&Iteration<'_>) -> bool + 'a;
