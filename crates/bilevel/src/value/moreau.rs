//! Two smoothings of v itself [Alcantara & Takeda 2025, Ex. 2.9, 2.10].
//!
//! f jointly convex (constraints too): the Moreau envelope
//!
//! ```text
//! e_mu v(x) = min over z, y of f(z, y) + ‖z − x‖² / (2 mu)  <=  v(x),      ∇ = ∇_z L at the minimiser = (x − z) / mu
//! ```
//!
//! one smooth convex programme in (z, y), in the scaled variable u = (z − x) / √mu. f(·, y) concave for every y, over a
//! fixed Y: v = min_y f is concave, and
//!
//! ```text
//! −e_mu(−v)(x) = max_z v(z) − ‖z − x‖² / (2 mu)  >=  v(x),      ∇ = (z − x) / mu
//! ```
//!
//! by a bundle of the planes f(z_k, y) + ∇ₓf(z_k, y)ᵀ(z − z_k) >= v(z), y a follower's minimiser at z_k (Hiriart-Urruty &
//! Lemaréchal 1993, ch. XV). Plane and value bracket the maximum; the bracket δ bounds the error of the value by δ and,
//! by strong concavity, of the gradient by √(2 δ / mu). Neither needs f to be smooth in x.

use bilevel_linalg::qp::{self, QpHessian, QpOptions};
use bilevel_linalg::{Csr, Dense, vector};

use super::{ValueModel, ValuePoint};
use crate::lower::{Follower, LowerSolver, LowerStatus, Pool};
use crate::nlp::{self, Frame, Nlp, sqp};
use crate::problem::{At, Failures, FunctionEvaluator};
use crate::smooth::{Family, Smoothing};

/// Gradients with a larger estimated error, relative to 1 + their size, are refused.
const GRADIENT_TOLERANCE: f64 = 1e-2;

/// The envelope e_mu v of a jointly convex problem (Ex. 2.9).
pub struct JointMoreau<'a> {
    programme: JointProgramme<'a>,
    family: &'a dyn Family,
    /// Whether f is smooth in (x, y): then it is taken as it is, else smoothed at mu.
    smooth: bool,
    mu: f64,
    warm: Vec<f64>,
}

impl<'a> JointMoreau<'a> {
    /// The envelope for a follower whose objective and constraints are jointly convex, started at `start` (y or ỹ).
    pub fn new(
        follower: &'a Follower,
        family: &'a dyn Family,
        smooth: bool,
        start: &[f64],
        failures: &Failures,
    ) -> Self {
        let warm = follower.extend(&vec![0.0; follower.n], start);
        Self { programme: JointProgramme::new(follower, failures), family, smooth, mu: 1.0, warm }
    }
}

impl ValueModel for JointMoreau<'_> {
    fn name(&self) -> &'static str {
        "moreau"
    }

    fn begin_stage(&mut self, mu: f64, _: &[f64]) {
        self.mu = mu;
    }

    fn suggest(&mut self, y: &[f64]) {
        self.warm = self.programme.follower.extend(&vec![0.0; self.programme.follower.n], y);
    }

    fn evaluate(&mut self, x: &[f64]) -> Result<ValuePoint, LowerStatus> {
        let n = x.len();
        let smoothing = if self.smooth { Smoothing::EXACT } else { Smoothing::new(self.family, self.mu) };
        self.programme.fix(x, self.mu, smoothing);
        let start = [&vec![0.0; n][..], &self.warm].concat();
        let found = sqp::solve(&mut self.programme, &start, &sqp::Settings::default());
        match found.status {
            status if status.is_success() => {}
            nlp::Status::Unbounded => return Err(LowerStatus::Unbounded),
            nlp::Status::Infeasible => return Err(LowerStatus::Infeasible),
            _ if found.residuals.scaled <= LOOSE => {}
            _ => return Err(LowerStatus::Numerical),
        }
        let gradient = self.programme.envelope_gradient(&found);
        let root = self.mu.sqrt();
        // The same vector in exact arithmetic: their difference is what the inner solve left.
        let gradient_error = gradient.iter().zip(&found.z).fold(0.0, |a: f64, (g, u)| a.max((g + u / root).abs()));
        let size = 1.0 + vector::norm_inf(&gradient);
        if gradient_error.is_nan() || gradient_error > GRADIENT_TOLERANCE * size {
            return Err(LowerStatus::Unreliable);
        }
        self.warm = found.z[n..].to_vec();
        // By strong convexity in u the value's error is at most half the squared residual; the solver's own tolerance adds.
        let value_error = 0.5 * self.mu * gradient_error * gradient_error + 1e-12 * (1.0 + found.objective.abs());
        let y = found.z[n..n + self.programme.follower.m].to_vec();
        Ok(ValuePoint { value: found.objective, gradient, y, value_error, gradient_error, ..ValuePoint::default() })
    }
}

/// A solve that stopped early still counts when its residual is below this.
const LOOSE: f64 = 1e-6;

/// min over (u, ỹ) of f(x + √mu u, ỹ) + ½ ‖u‖² subject to the follower's constraints.
struct JointProgramme<'a> {
    follower: &'a Follower,
    objective: FunctionEvaluator<'a>,
    functions: Vec<FunctionEvaluator<'a>>,
    x: Vec<f64>,
    root: f64,
    smoothing: Smoothing<'a>,
    z: Vec<f64>,
    seed: Vec<f64>,
    frame: Frame,
}

impl<'a> JointProgramme<'a> {
    fn new(follower: &'a Follower, failures: &Failures) -> Self {
        let (n, m) = (follower.n, follower.m);
        let system = &follower.system;
        let evaluator = |function| FunctionEvaluator::new(function, n, m, failures);
        let free = |end: f64, own: &[f64]| [&vec![end; n][..], own].concat();
        let frame = Frame {
            lower: free(f64::NEG_INFINITY, &follower.lower),
            upper: free(f64::INFINITY, &follower.upper),
            rows: system.rows.clone(),
            row_lower: system.row_lower.clone(),
            row_upper: system.row_upper.clone(),
            constraint_lower: system.lower.clone(),
            constraint_upper: system.upper.clone(),
        };
        Self {
            follower,
            objective: evaluator(&follower.objective),
            functions: system.functions.iter().map(evaluator).collect(),
            x: vec![0.0; n],
            root: 1.0,
            smoothing: Smoothing::EXACT,
            z: vec![0.0; n],
            seed: Vec::new(),
            frame,
        }
    }

    fn fix(&mut self, x: &[f64], mu: f64, smoothing: Smoothing<'a>) {
        self.x.copy_from_slice(x);
        self.smoothing = smoothing;
        let system = &self.follower.system;
        if self.root != mu.sqrt() {
            self.root = mu.sqrt();
            let scaled = |(i, j, a): (usize, usize, f64)| (i, j, if j < x.len() { self.root * a } else { a });
            let rows = (0..system.rows.rows()).flat_map(|i| system.rows.row(i).map(move |(j, a)| (i, j, a)));
            let triplets: Vec<(usize, usize, f64)> = rows.map(scaled).collect();
            // The same pattern as before, in range: there is always such a matrix.
            if let Some(rows) = Csr::from_triplets(system.rows.rows(), system.rows.cols(), &triplets) {
                self.frame.rows = rows;
            }
        }
        self.frame.row_lower.copy_from_slice(&system.row_lower);
        self.frame.row_upper.copy_from_slice(&system.row_upper);
        let rows_x = system.rows.columns(0..x.len());
        rows_x.mul_add(-1.0, x, &mut self.frame.row_lower);
        rows_x.mul_add(-1.0, x, &mut self.frame.row_upper);
    }

    /// Sets z = x + √mu u and returns the point's ỹ.
    fn place<'p>(&mut self, point: &'p [f64]) -> &'p [f64] {
        let (u, y) = point.split_at(self.x.len());
        vector::add_scaled(&self.x, self.root, u, &mut self.z);
        y
    }

    /// ∇_z of the Lagrangian f − rowsᵀ A − constraintsᵀ c, without the quadratic.
    fn envelope_gradient(&mut self, found: &nlp::Solution) -> Vec<f64> {
        let y = self.place(&found.z);
        let at = At { x: &self.z, y, smoothing: self.smoothing };
        let mut out = vec![0.0; self.x.len()];
        self.objective.add_gradient(at, &[1.0], Some(&mut out), None);
        let rows = self.follower.system.rows.columns(0..self.x.len());
        rows.transpose_mul_add(-1.0, &found.multipliers.rows, &mut out);
        let mut first = 0;
        for function in &mut self.functions {
            let range = first..first + function.len();
            first = range.end;
            let weights: Vec<f64> = found.multipliers.constraints[range].iter().map(|u| -u).collect();
            function.add_gradient(at, &weights, Some(&mut out), None);
        }
        out
    }
}

impl Nlp for JointProgramme<'_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, point: &[f64]) -> f64 {
        let y = self.place(point);
        let squares = vector::norm2_squared(&point[..self.x.len()]);
        self.objective.value(At { x: &self.z, y, smoothing: self.smoothing }) + 0.5 * squares
    }

    fn gradient(&mut self, point: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let y = self.place(point);
        let (out_u, out_y) = out.split_at_mut(self.x.len());
        let at = At { x: &self.z, y, smoothing: self.smoothing };
        self.objective.add_gradient(at, &[1.0], Some(&mut *out_u), Some(out_y));
        out_u.iter_mut().zip(point).for_each(|(g, u)| *g = self.root * *g + u);
    }

    fn constraints(&mut self, point: &[f64], out: &mut [f64]) {
        let y = self.place(point);
        let mut rest = out;
        for function in &mut self.functions {
            let (own, later) = rest.split_at_mut(function.len());
            function.values(At { x: &self.z, y, smoothing: self.smoothing }, own);
            rest = later;
        }
    }

    fn jacobian(&mut self, point: &[f64], out: &mut Dense) {
        out.data_mut().fill(0.0);
        let y = self.place(point);
        let at = At { x: &self.z, y, smoothing: self.smoothing };
        let mut row = 0;
        for function in &mut self.functions {
            self.seed.resize(function.len(), 0.0);
            for component in 0..function.len() {
                self.seed.fill(0.0);
                self.seed[component] = 1.0;
                let (out_u, out_y) = out.row_mut(row).split_at_mut(self.x.len());
                function.add_gradient(at, &self.seed, Some(&mut *out_u), Some(out_y));
                out_u.iter_mut().for_each(|g| *g *= self.root);
                row += 1;
            }
        }
    }

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}

/// The envelope −e_mu(−v) of a problem whose f(·, y) is concave for every y (Ex. 2.10).
pub struct ConcaveMoreau<'a> {
    solver: LowerSolver<'a>,
    pool: Pool,
    family: &'a dyn Family,
    /// Whether f is smooth in y: then it is taken as it is, kinks in x included, else smoothed at mu.
    smooth: bool,
    mu: f64,
}

/// Rounds of the bundle.
const ROUNDS: usize = 60;
/// The bracket at which it stops, relative to 1 + |v|.
const BRACKET: f64 = 1e-13;

/// A plane above v: value + slopeᵀ(z − x).
struct Plane {
    value: f64,
    slope: Vec<f64>,
}

impl<'a> ConcaveMoreau<'a> {
    /// The envelope for the solver's follower, with its minimisers from `pool`.
    pub fn new(solver: LowerSolver<'a>, family: &'a dyn Family, smooth: bool, pool: Pool) -> Self {
        Self { solver, pool, family, smooth, mu: 1.0 }
    }

    /// v(x + s), the follower's best answer there, and the planes of all minimisers found, as functions of z − x.
    fn planes(&mut self, x: &[f64], s: &[f64], planes: &mut Vec<Plane>) -> Result<(f64, Vec<f64>), LowerStatus> {
        let smoothing = if self.smooth { Smoothing::EXACT } else { Smoothing::new(self.family, self.mu) };
        let z: Vec<f64> = x.iter().zip(s).map(|(x, s)| x + s).collect();
        let found = self.pool.minimise(&mut self.solver, &z, smoothing)?;
        for solution in &found {
            let mut slope = vec![0.0; x.len()];
            self.solver.value_gradient(solution, &mut slope);
            planes.push(Plane { value: solution.value - vector::dot(&slope, s), slope });
        }
        let best = found.first().ok_or(LowerStatus::Numerical)?;
        Ok((best.value, best.y[..self.solver.follower().m].to_vec()))
    }
}

impl ValueModel for ConcaveMoreau<'_> {
    fn name(&self) -> &'static str {
        "moreau"
    }

    fn begin_stage(&mut self, mu: f64, _: &[f64]) {
        self.mu = mu;
    }

    fn suggest(&mut self, y: &[f64]) {
        self.pool.suggest(y);
    }

    fn evaluate(&mut self, x: &[f64]) -> Result<ValuePoint, LowerStatus> {
        let mut s = vec![0.0; x.len()];
        let mut planes = Vec::new();
        let (mut lower, y) = self.planes(x, &s, &mut planes)?;
        let mut best = None;
        for _ in 0..ROUNDS {
            let (upper, gradient) = highest(&planes, self.mu).ok_or(LowerStatus::Numerical)?;
            s.iter_mut().zip(&gradient).for_each(|(s, g)| *s = self.mu * g);
            let (v, _) = self.planes(x, &s, &mut planes)?;
            lower = lower.max(v - 0.5 * self.mu * vector::norm2_squared(&gradient));
            let bracket = (upper - lower).max(0.0);
            let better = best.as_ref().is_none_or(|(known, _, _)| bracket < *known);
            if better {
                best = Some((bracket, upper, gradient));
            }
            if bracket <= BRACKET * (1.0 + upper.abs()) || !better {
                break;
            }
        }
        let (bracket, upper, gradient) = best.ok_or(LowerStatus::Numerical)?;
        let rounding = 1e-15 * (1.0 + upper.abs());
        let gradient_error = (2.0 * (bracket + rounding) / self.mu).sqrt();
        if gradient_error.is_nan() || gradient_error > GRADIENT_TOLERANCE * (1.0 + vector::norm_inf(&gradient)) {
            return Err(LowerStatus::Unreliable);
        }
        let value_error = bracket + rounding;
        Ok(ValuePoint { value: upper, gradient, y, value_error, gradient_error, ..ValuePoint::default() })
    }
}

/// max over s of min_j (value_j + slope_jᵀ s) − ‖s‖² / (2 mu), and Σ w_j slope_j = s / mu at the maximum: the dual is
/// min over the simplex of Σ w_j value_j + (mu / 2) ‖Σ w_j slope_j‖².
fn highest(planes: &[Plane], mu: f64) -> Option<(f64, Vec<f64>)> {
    let k = planes.len();
    let least = planes.iter().map(|plane| plane.value).fold(f64::INFINITY, f64::min);
    let gram = Dense::from_fn(k, k, |i, j| mu * vector::dot(&planes[i].slope, &planes[j].slope));
    let linear: Vec<f64> = planes.iter().map(|plane| plane.value - least).collect();
    // Values and squares are as small as mu: scaled, so that the programme's tolerance is relative to them.
    let scale = 1.0 / (gram.norm_max() + f64::MIN_POSITIVE.sqrt());
    let gram = Dense::from_fn(k, k, |i, j| scale * gram[(i, j)]);
    let linear: Vec<f64> = linear.iter().map(|value| (scale * value).min(FAR)).collect();
    let ones: Vec<(usize, usize, f64)> = (0..k).map(|j| (0, j, 1.0)).collect();
    let rows = Csr::from_triplets(1, k, &ones)?;
    let (lower, upper) = (vec![0.0; k], vec![f64::INFINITY; k]);
    let programme = qp::Qp {
        hessian: QpHessian::Dense(&gram),
        linear: &linear,
        lower: &lower,
        upper: &upper,
        rows: &rows,
        row_lower: &[1.0],
        row_upper: &[1.0],
        balls: &[],
    };
    let found = qp::solve_qp(&programme, &QpOptions::default()).ok()?;
    if !found.status.is_answer() {
        return None;
    }
    let total: f64 = found.z.iter().map(|w| w.max(0.0)).sum();
    let mut gradient = vec![0.0; planes.first()?.slope.len()];
    let mut value = 0.0;
    for (w, plane) in found.z.iter().zip(planes) {
        let w = w.max(0.0) / total;
        vector::axpy(w, &plane.slope, &mut gradient);
        // Weighed relative to the least, so that rounding stays that of the differences.
        value += if w > 0.0 { w * (plane.value - least) } else { 0.0 };
    }
    Some((least + value + 0.5 * mu * vector::norm2_squared(&gradient), gradient))
}

/// Planes higher than this above the lowest, relative to the scale of the squares, play no part.
const FAR: f64 = 1e8;

#[cfg(test)]
mod tests;
