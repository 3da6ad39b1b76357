//! Convex quadratic programmes, with Euclidean balls as second-order cones.
//!
//! ```text
//! minimise ½ zᵀP z + qᵀz   subject to  lower <= z <= upper,  row_lower <= A z <= row_upper,
//!                                      ‖z[start..start+len] - centre‖ <= radius  for each ball
//! ```
//!
//! Multipliers λ (rows), μ (bounds) and τ (balls) satisfy `P z + q = Aᵀλ + μ - Σ τ (z - centre)/‖z - centre‖`, with
//! λ, μ >= 0 where a lower side holds, <= 0 where an upper side holds, and τ >= 0. So a multiplier is the rate at which
//! the optimal value grows with its bound.
//!
//! ```text
//! interior.rs  programmes with much dense data, by a primal-dual interior-point method
//! conic.rs     all others, by Clarabel's (Goulart and Chen, "Clarabel: an interior-point solver for conic programs with
//!              quadratic objectives", 2024)
//! polish.rs    improves the answer on its active constraints
//! residual.rs  the violation of the optimality conditions
//! ```

mod conic;
mod interior;
mod newton;
mod polish;
mod residual;
#[cfg(test)]
mod tests;

pub use residual::qp_residual;

use crate::dense::Dense;
use crate::error::{LinalgError, expect_finite, expect_size};
use crate::sparse::Csr;

/// Bounds of at least this absolute value are taken as absent.
pub const INFINITE_BOUND: f64 = 1e20;

/// The matrix P of the objective: symmetric, positive semidefinite, both triangles given.
#[derive(Clone, Copy, Debug)]
pub enum QpHessian<'a> {
    /// No quadratic term.
    Zero,
    /// A dense P.
    Dense(&'a Dense),
    /// A sparse P.
    Sparse(&'a Csr),
}

impl QpHessian<'_> {
    /// `out += scale * P v`.
    pub fn mul_add(&self, scale: f64, v: &[f64], out: &mut [f64]) {
        match self {
            QpHessian::Zero => {}
            QpHessian::Dense(p) => p.mul_add(scale, v, out),
            QpHessian::Sparse(p) => p.mul_add(scale, v, out),
        }
    }

    fn check(&self, n: usize) -> Result<(), LinalgError> {
        let (rows, cols, entries) = match self {
            QpHessian::Zero => return Ok(()),
            QpHessian::Dense(p) => (p.rows(), p.cols(), p.data()),
            QpHessian::Sparse(p) => (p.rows(), p.cols(), p.values()),
        };
        expect_size("rows of the Hessian", n, rows)?;
        expect_size("columns of the Hessian", n, cols)?;
        expect_finite("the Hessian", entries)
    }
}

/// `‖z[start..start + centre.len()] - centre‖ <= radius`.
#[derive(Clone, Debug, PartialEq)]
pub struct Ball {
    /// The first variable of the block.
    pub start: usize,
    /// The centre; its length is the length of the block.
    pub centre: Vec<f64>,
    /// The radius; negative means infeasible. A ball of radius zero fixes its block: the multipliers of the bounds
    /// then speak for it.
    pub radius: f64,
}

impl Ball {
    /// Whether it makes a cone: it has variables and an inside.
    fn is_cone(&self) -> bool {
        !self.centre.is_empty() && self.radius > 0.0
    }
}

/// A convex quadratic programme in n variables with r rows.
#[derive(Clone, Copy, Debug)]
pub struct Qp<'a> {
    /// P (n x n).
    pub hessian: QpHessian<'a>,
    /// q (length n).
    pub linear: &'a [f64],
    /// Lower bounds (length n), `-inf` where there is none.
    pub lower: &'a [f64],
    /// Upper bounds (length n), `inf` where there is none; equal bounds fix a variable.
    pub upper: &'a [f64],
    /// A (r x n).
    pub rows: &'a Csr,
    /// Lower bounds of A z (length r).
    pub row_lower: &'a [f64],
    /// Upper bounds of A z (length r); equal bounds make an equality.
    pub row_upper: &'a [f64],
    /// Balls; their blocks may overlap.
    pub balls: &'a [Ball],
}

impl Qp<'_> {
    /// Number of variables.
    pub fn dimension(&self) -> usize {
        self.linear.len()
    }

    /// `½ zᵀP z + qᵀz`.
    pub fn objective(&self, z: &[f64]) -> f64 {
        let mut gradient = vec![0.0; z.len()];
        self.hessian.mul_add(0.5, z, &mut gradient);
        crate::vector::axpy(1.0, self.linear, &mut gradient);
        crate::vector::dot(&gradient, z)
    }

    /// Whether sizes fit and data are finite (bounds may be infinite, not NaN).
    ///
    /// # Errors
    /// `Shape` or `NotFinite`, with the part that is wrong.
    pub fn check(&self) -> Result<(), LinalgError> {
        let (n, r) = (self.dimension(), self.rows.rows());
        expect_finite("the linear term", self.linear)?;
        self.hessian.check(n)?;
        expect_size("columns of the rows", n, self.rows.cols())?;
        expect_finite("the rows", self.rows.values())?;
        for (what, size, values) in [
            ("lower bounds", n, self.lower),
            ("upper bounds", n, self.upper),
            ("lower bounds of the rows", r, self.row_lower),
            ("upper bounds of the rows", r, self.row_upper),
        ] {
            expect_size(what, size, values.len())?;
            if values.iter().any(|v| v.is_nan()) {
                return Err(LinalgError::NotFinite { what });
            }
        }
        for ball in self.balls {
            expect_finite("the centre of a ball", &ball.centre)?;
            if ball.radius.is_nan() {
                return Err(LinalgError::NotFinite { what: "the radius of a ball" });
            }
            let end = ball.start.saturating_add(ball.centre.len());
            if end > n {
                return Err(LinalgError::Shape { what: "end of a ball's block", expected: n, found: end });
            }
        }
        Ok(())
    }

    /// Whether a single constraint contradicts itself.
    fn plainly_infeasible(&self) -> bool {
        let empty = |l: &f64, u: &f64| l > u || *l >= INFINITE_BOUND || *u <= -INFINITE_BOUND;
        self.lower.iter().zip(self.upper).any(|(l, u)| empty(l, u))
            || self.row_lower.iter().zip(self.row_upper).any(|(l, u)| empty(l, u))
            || self.balls.iter().any(|b| b.radius < 0.0)
            || (0..self.rows.rows()).any(|i| {
                self.rows.row(i).all(|(_, a)| a == 0.0) && (self.row_lower[i] > 0.0 || self.row_upper[i] < 0.0)
            })
    }
}

/// How a quadratic programme ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QpStatus {
    /// To the tolerance.
    Solved,
    /// To a reduced accuracy: the residual says how far.
    AlmostSolved,
    /// No point satisfies the constraints.
    Infeasible,
    /// The objective falls without bound.
    Unbounded,
    /// No answer: the last point and its residual are given.
    Numerical,
}

impl QpStatus {
    /// Whether the point may be used as an answer.
    pub fn is_answer(self) -> bool {
        matches!(self, QpStatus::Solved | QpStatus::AlmostSolved)
    }
}

/// The answer to a quadratic programme.
#[derive(Clone, Debug, PartialEq)]
pub struct QpSolution {
    /// How it ended.
    pub status: QpStatus,
    /// The point (length n).
    pub z: Vec<f64>,
    /// The objective at `z`.
    pub objective: f64,
    /// Multipliers μ of the bounds (length n).
    pub bound_multipliers: Vec<f64>,
    /// Multipliers λ of the rows (length r).
    pub row_multipliers: Vec<f64>,
    /// Multipliers τ of the balls.
    pub ball_multipliers: Vec<f64>,
    /// The relative error of the optimality conditions, see [`qp_residual`]; NaN without an answer.
    pub residual: f64,
    /// Interior-point iterations.
    pub iterations: usize,
}

impl QpSolution {
    fn nothing(qp: &Qp, status: QpStatus) -> Self {
        Self {
            status,
            z: vec![0.0; qp.dimension()],
            objective: f64::NAN,
            bound_multipliers: vec![0.0; qp.dimension()],
            row_multipliers: vec![0.0; qp.rows.rows()],
            ball_multipliers: vec![0.0; qp.balls.len()],
            residual: f64::NAN,
            iterations: 0,
        }
    }
}

/// Settings of [`solve_qp`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QpOptions {
    /// Tolerance of the interior-point method (gap and feasibility, absolute and relative).
    pub tolerance: f64,
    /// Iterations of the interior-point method.
    pub max_iterations: u32,
    /// Whether to solve once more on the active constraints.
    pub polish: bool,
    /// From this many variables on, dense data go to the method for dense data first. It is quick for small programmes
    /// too, but cannot say that there is no answer: then the time is lost.
    pub dense_from: usize,
}

impl Default for QpOptions {
    fn default() -> Self {
        Self { tolerance: 1e-10, max_iterations: 200, polish: true, dense_from: LARGE }
    }
}

/// An answer with at most this residual, or ten times the tolerance, is `Solved`, whatever the interior-point method
/// said.
const SOLVED: f64 = 1e-9;
/// An answer with at most this residual is `AlmostSolved`, and one with more is none.
const ALMOST_SOLVED: f64 = 1e-5;

/// Usual least number of variables of programmes with dense data.
const LARGE: usize = 50;
/// With this part of the entries of a full Hessian in the data, data count as dense.
const FILLED: f64 = 0.1;

/// The answer of the method for dense data, where the data are and it solves the programme.
fn dense(qp: &Qp, options: &QpOptions, solved: f64) -> Option<QpSolution> {
    let n = qp.dimension();
    let of_hessian = match qp.hessian {
        QpHessian::Zero => 0,
        QpHessian::Dense(p) => p.data().len(),
        QpHessian::Sparse(p) => p.stored(),
    };
    let filled = (of_hessian + qp.rows.stored()) as f64 >= FILLED * (n * n) as f64;
    if n < options.dense_from || !filled || !qp.balls.is_empty() {
        return None;
    }
    let mut solution = interior::solve(qp)?;
    solution.residual = qp_residual(qp, &solution);
    if options.polish {
        polish::polish(qp, &mut solution, polish::LARGEST_DENSE);
    }
    solution.objective = qp.objective(&solution.z);
    (solution.residual <= solved).then_some(solution)
}

/// From this order on sparse quadratic programmes are factored by supernodes, up to so many entries.
const LARGE_SPARSE: usize = 600;
const ENTRIES: usize = 40_000_000;

/// The answer of the method for large sparse data, where the data are and it solves the programme.
fn sparse(qp: &Qp, solved: f64) -> Option<QpSolution> {
    let QpHessian::Sparse(_) = qp.hessian else { return None };
    if qp.dimension() + qp.rows.rows() < LARGE_SPARSE || !qp.balls.is_empty() {
        return None;
    }
    let mut solution = interior::solve_sparse(qp, ENTRIES)?;
    solution.residual = qp_residual(qp, &solution);
    solution.objective = qp.objective(&solution.z);
    (solution.residual <= solved).then_some(solution)
}

/// Solves a convex quadratic programme: silent, one thread, the same answer every time.
///
/// # Errors
/// `Shape` or `NotFinite` for data that make no problem. Numerical trouble is a status.
pub fn solve_qp(qp: &Qp, options: &QpOptions) -> Result<QpSolution, LinalgError> {
    qp.check()?;
    let (mut lower, mut upper) = (qp.lower.to_vec(), qp.upper.to_vec());
    for ball in qp.balls.iter().filter(|b| b.radius == 0.0) {
        for (j, &c) in (ball.start..).zip(&ball.centre) {
            (lower[j], upper[j]) = (lower[j].max(c), upper[j].min(c));
        }
    }
    let qp = &Qp { lower: &lower, upper: &upper, ..*qp };
    if qp.plainly_infeasible() {
        return Ok(QpSolution::nothing(qp, QpStatus::Infeasible));
    }
    if qp.dimension() == 0 {
        let mut solution = QpSolution::nothing(qp, QpStatus::Solved);
        (solution.objective, solution.residual) = (0.0, 0.0);
        return Ok(solution);
    }
    let solved = SOLVED.max(10.0 * options.tolerance);
    if let Some(solution) = dense(qp, options, solved).or_else(|| sparse(qp, solved)) {
        return Ok(solution);
    }
    if crate::stop::asked() {
        return Ok(QpSolution::nothing(qp, QpStatus::Numerical));
    }
    let mut best: Option<QpSolution> = None;
    for careful in [false, true] {
        let mut solution = conic::solve(qp, options, careful);
        if matches!(solution.status, QpStatus::Infeasible | QpStatus::Unbounded) {
            return Ok(solution);
        }
        solution.residual = qp_residual(qp, &solution);
        if options.polish {
            polish::polish(qp, &mut solution, polish::LARGEST);
        }
        // Written so that a NaN is replaced, and never replaces.
        if best.as_ref().is_none_or(|b| b.residual.is_nan() || solution.residual < b.residual) {
            best = Some(solution);
        }
        if best.as_ref().is_some_and(|b| b.residual <= solved) || crate::stop::asked() {
            break;
        }
    }
    let mut solution = best.unwrap_or_else(|| QpSolution::nothing(qp, QpStatus::Numerical));
    solution.status = match solution.residual {
        r if r <= solved => QpStatus::Solved,
        r if r <= ALMOST_SOLVED => QpStatus::AlmostSolved,
        _ => QpStatus::Numerical,
    };
    solution.objective = qp.objective(&solution.z);
    Ok(solution)
}
