//! A nonlinear programme as the solvers see it: fixed variables eliminated, rows without bounds dropped, affine and
//! nonlinear rows in one list, objective and rows scaled so that gradients at the start are at most 100.
//!
//! Source of the scaling: Wächter & Biegler, *On the implementation of an interior-point filter line-search algorithm
//! for large-scale nonlinear programming*, Math. Program. 106 (2006), section 3.8.

use super::residual::Assessor;
use super::{Evaluations, Frame, Multipliers, Nlp, Residuals, Status};
use bilevel_linalg::Dense;

/// Gradients larger than this at the start are scaled down to it.
const LARGEST_GRADIENT: f64 = 100.0;
/// No scaling factor is smaller than this.
const SMALLEST_SCALE: f64 = 1e-8;

/// Where a row comes from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Affine(usize),
    Nonlinear(usize),
}

/// The programme in the free variables, with rows r(z) in `row_lower..row_upper`.
pub(super) struct Reduced<'a> {
    nlp: &'a mut dyn Nlp,
    free: Vec<usize>,
    full: Vec<f64>,
    /// Bounds of the free variables.
    pub lower: Vec<f64>,
    /// Bounds of the free variables.
    pub upper: Vec<f64>,
    /// Scaled bounds of the rows.
    pub row_lower: Vec<f64>,
    /// Scaled bounds of the rows.
    pub row_upper: Vec<f64>,
    sources: Vec<Source>,
    affine_count: usize,
    row_scale: Vec<f64>,
    objective_scale: f64,
    /// The affine rows over the free variables, scaled, and what the fixed variables add to them.
    affine: Dense,
    affine_constant: Vec<f64>,
    full_gradient: Vec<f64>,
    full_values: Vec<f64>,
    full_jacobian: Dense,
    full_weights: Vec<f64>,
    full_hessian: Dense,
    all_free: bool,
    /// Evaluations so far.
    pub evaluations: Evaluations,
}

impl<'a> Reduced<'a> {
    /// Reads the frame. `start` has one entry a variable; fixed variables take their bound's value.
    ///
    /// Errors: [`Status::Numerical`] for a malformed frame or start, [`Status::Infeasible`] for crossing bounds.
    pub fn new(nlp: &'a mut dyn Nlp, start: &[f64]) -> Result<Self, Status> {
        let frame = nlp.frame();
        let (n, k) = (frame.variables(), frame.constraints());
        if frame.check().is_err() || start.len() != n || start.iter().any(|v| !v.is_finite()) {
            return Err(Status::Numerical);
        }
        if crosses(frame) {
            return Err(Status::Infeasible);
        }
        let mut full = start.to_vec();
        let mut place = vec![usize::MAX; n];
        let mut free = Vec::with_capacity(n);
        for (j, z) in full.iter_mut().enumerate() {
            if frame.lower[j] < frame.upper[j] {
                place[j] = free.len();
                free.push(j);
                *z = z.clamp(frame.lower[j], frame.upper[j]);
            } else {
                *z = frame.lower[j];
            }
        }
        let (sources, row_lower, row_upper) = bounded_rows(frame);
        let affine_count = sources.iter().filter(|s| matches!(s, Source::Affine(_))).count();
        let mut affine = Dense::zeros(affine_count, free.len());
        let mut affine_constant = vec![0.0; affine_count];
        for (row, source) in sources.iter().enumerate() {
            if let Source::Affine(i) = *source {
                for (j, a) in frame.rows.row(i) {
                    match place[j] {
                        usize::MAX => affine_constant[row] += a * full[j],
                        column => affine[(row, column)] = a,
                    }
                }
            }
        }
        let kept = |bounds: &[f64]| free.iter().map(|&j| bounds[j]).collect();
        let (lower, upper) = (kept(&frame.lower), kept(&frame.upper));
        Ok(Self {
            nlp,
            all_free: free.len() == n,
            free,
            full,
            lower,
            upper,
            row_scale: vec![1.0; sources.len()],
            row_lower,
            row_upper,
            sources,
            affine_count,
            objective_scale: 1.0,
            affine,
            affine_constant,
            full_gradient: vec![0.0; n],
            full_values: vec![0.0; k],
            full_jacobian: Dense::zeros(k, n),
            full_weights: vec![0.0; k],
            full_hessian: Dense::zeros(n, n),
            evaluations: Evaluations::default(),
        })
    }

    /// Number of free variables.
    pub fn variables(&self) -> usize {
        self.free.len()
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.sources.len()
    }

    /// How many of the rows, the first ones, are affine.
    pub fn affine_rows(&self) -> usize {
        self.affine_count
    }

    /// The matrix of the affine rows over the free variables.
    pub fn affine_matrix(&self) -> &Dense {
        &self.affine
    }

    /// Writes the values of the affine rows into the first entries of `out`.
    pub fn affine(&self, z: &[f64], out: &mut [f64]) {
        let out = &mut out[..self.affine_count];
        out.copy_from_slice(&self.affine_constant);
        self.affine.mul_add(1.0, z, out);
    }

    /// Objective and residuals at a full point.
    pub fn assess(&mut self, assessor: &mut Assessor, full: &[f64], multipliers: &Multipliers) -> (f64, Residuals) {
        self.evaluations.values += 1;
        self.evaluations.gradients += 1;
        assessor.assess(self.nlp, full, multipliers)
    }

    /// The factor between the problem's objective and the scaled one.
    pub fn objective_scale(&self) -> f64 {
        self.objective_scale
    }

    /// The free part of a full point.
    pub fn gather(&self, full: &[f64], out: &mut [f64]) {
        for (o, &j) in out.iter_mut().zip(&self.free) {
            *o = full[j];
        }
    }

    /// The full point with free part `z`.
    pub fn full(&mut self, z: &[f64]) -> &[f64] {
        for (&j, v) in self.free.iter().zip(z) {
            self.full[j] = *v;
        }
        &self.full
    }

    /// Chooses the scaling from the derivatives at `z` and writes them, scaled. Errors: [`Status::Numerical`] if they are not finite.
    pub fn scale(&mut self, z: &[f64], gradient: &mut [f64], jacobian: &mut Dense) -> Result<(), Status> {
        self.gradient(z, gradient);
        self.jacobian(z, jacobian);
        if !gradient.iter().chain(jacobian.data()).all(|v| v.is_finite()) {
            return Err(Status::Numerical);
        }
        let factor = |v: &[f64]| {
            let size = v.iter().fold(0.0f64, |m, a| m.max(a.abs()));
            if size > LARGEST_GRADIENT { (LARGEST_GRADIENT / size).max(SMALLEST_SCALE) } else { 1.0 }
        };
        // Relative to the scaling that may be there already.
        let s = factor(gradient);
        self.objective_scale *= s;
        gradient.iter_mut().for_each(|g| *g *= s);
        for i in 0..self.rows() {
            let s = factor(jacobian.row(i));
            self.row_scale[i] *= s;
            self.row_lower[i] *= s;
            self.row_upper[i] *= s;
            jacobian.row_mut(i).iter_mut().for_each(|a| *a *= s);
            if i < self.affine_count {
                self.affine.row_mut(i).iter_mut().for_each(|a| *a *= s);
                self.affine_constant[i] *= s;
            }
        }
        Ok(())
    }

    /// The scaled objective.
    pub fn objective(&mut self, z: &[f64]) -> f64 {
        self.full(z);
        self.evaluations.values += 1;
        self.objective_scale * self.nlp.objective(&self.full)
    }

    /// Writes the scaled rows r(z).
    pub fn values(&mut self, z: &[f64], out: &mut [f64]) {
        self.full(z);
        self.affine(z, out);
        let nonlinear = &mut out[self.affine_count..];
        if nonlinear.is_empty() {
            return;
        }
        self.nlp.constraints(&self.full, &mut self.full_values);
        for ((o, source), s) in
            nonlinear.iter_mut().zip(&self.sources[self.affine_count..]).zip(&self.row_scale[self.affine_count..])
        {
            if let Source::Nonlinear(i) = *source {
                *o = s * self.full_values[i];
            }
        }
    }

    /// Writes the scaled objective's gradient.
    pub fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        self.full(z);
        self.evaluations.gradients += 1;
        self.nlp.gradient(&self.full, &mut self.full_gradient);
        for (o, &j) in out.iter_mut().zip(&self.free) {
            *o = self.objective_scale * self.full_gradient[j];
        }
    }

    /// Writes the Jacobian of the scaled rows.
    pub fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        self.full(z);
        let split = self.affine_count * self.free.len();
        out.data_mut()[..split].copy_from_slice(self.affine.data());
        if self.rows() == self.affine_count {
            return;
        }
        self.nlp.jacobian(&self.full, &mut self.full_jacobian);
        for row in self.affine_count..self.rows() {
            if let Source::Nonlinear(i) = self.sources[row] {
                let s = self.row_scale[row];
                let from = self.full_jacobian.row(i);
                for (o, &j) in out.row_mut(row).iter_mut().zip(&self.free) {
                    *o = s * from[j];
                }
            }
        }
    }

    /// Writes the Hessian of `weight * objective + Σ y_i r_i` (both triangles); false if the problem has none.
    pub fn hessian(&mut self, z: &[f64], weight: f64, y: &[f64], out: &mut Dense) -> bool {
        self.full(z);
        for ((source, s), y) in self.sources.iter().zip(&self.row_scale).zip(y) {
            if let Source::Nonlinear(i) = *source {
                self.full_weights[i] = s * y;
            }
        }
        let weight = weight * self.objective_scale;
        if self.all_free {
            let available = self.nlp.hessian(&self.full, weight, &self.full_weights, out);
            self.evaluations.hessians += usize::from(available);
            return available;
        }
        if !self.nlp.hessian(&self.full, weight, &self.full_weights, &mut self.full_hessian) {
            return false;
        }
        self.evaluations.hessians += 1;
        for (a, &i) in self.free.iter().enumerate() {
            let from = self.full_hessian.row(i);
            for (o, &j) in out.row_mut(a).iter_mut().zip(&self.free) {
                *o = from[j];
            }
        }
        true
    }

    /// Multipliers of the problem from those of the scaled rows and of the free variables' bounds, in the module's
    /// sign convention. The multipliers of fixed variables are what stationarity asks for at the point `z`.
    pub fn multipliers(&mut self, z: &[f64], bounds: &[f64], rows: &[f64]) -> Multipliers {
        let (r, k) = (self.nlp.frame().rows.rows(), self.full_weights.len());
        let mut out = Multipliers { bounds: vec![0.0; self.full.len()], rows: vec![0.0; r], constraints: vec![0.0; k] };
        for (&j, b) in self.free.iter().zip(bounds) {
            out.bounds[j] = b / self.objective_scale;
        }
        for ((source, s), y) in self.sources.iter().zip(&self.row_scale).zip(rows) {
            let value = y * s / self.objective_scale;
            match *source {
                Source::Affine(i) => out.rows[i] = value,
                Source::Nonlinear(i) => out.constraints[i] = value,
            }
        }
        if !self.all_free {
            self.fixed_multipliers(z, &mut out);
        }
        out
    }

    fn fixed_multipliers(&mut self, z: &[f64], out: &mut Multipliers) {
        self.full(z);
        self.nlp.gradient(&self.full, &mut self.full_gradient);
        if self.rows() > self.affine_count {
            self.nlp.jacobian(&self.full, &mut self.full_jacobian);
            self.full_jacobian.transpose_mul_add(-1.0, &out.constraints, &mut self.full_gradient);
        }
        let frame = self.nlp.frame();
        frame.rows.transpose_mul_add(-1.0, &out.rows, &mut self.full_gradient);
        for j in 0..self.full.len() {
            if frame.lower[j] == frame.upper[j] {
                out.bounds[j] = self.full_gradient[j];
            }
        }
    }

    /// The reverse of [`Self::multipliers`]: scaled multipliers of rows and of free bounds; lengths are checked by
    /// the caller.
    pub fn scaled_multipliers(&self, from: &Multipliers, bounds: &mut [f64], rows: &mut [f64]) {
        for (b, &j) in bounds.iter_mut().zip(&self.free) {
            *b = from.bounds[j] * self.objective_scale;
        }
        for ((y, source), s) in rows.iter_mut().zip(&self.sources).zip(&self.row_scale) {
            let value = match *source {
                Source::Affine(i) => from.rows[i],
                Source::Nonlinear(i) => from.constraints[i],
            };
            *y = value * self.objective_scale / s;
        }
    }
}

/// Whether some lower bound lies above its upper bound.
fn crosses(frame: &Frame) -> bool {
    let crossing = |lower: &[f64], upper: &[f64]| lower.iter().zip(upper).any(|(l, u)| l > u);
    crossing(&frame.lower, &frame.upper)
        || crossing(&frame.row_lower, &frame.row_upper)
        || crossing(&frame.constraint_lower, &frame.constraint_upper)
}

/// The rows with at least one finite bound, affine ones first, and their bounds.
fn bounded_rows(frame: &Frame) -> (Vec<Source>, Vec<f64>, Vec<f64>) {
    let affine = frame.row_lower.iter().zip(&frame.row_upper).enumerate();
    let nonlinear = frame.constraint_lower.iter().zip(&frame.constraint_upper).enumerate();
    let all = affine
        .map(|(i, bounds)| (Source::Affine(i), bounds))
        .chain(nonlinear.map(|(i, bounds)| (Source::Nonlinear(i), bounds)));
    let (mut sources, mut lower, mut upper) = (Vec::new(), Vec::new(), Vec::new());
    for (source, (&l, &u)) in all.filter(|(_, (l, u))| l.is_finite() || u.is_finite()) {
        sources.push(source);
        lower.push(l);
        upper.push(u);
    }
    (sources, lower, upper)
}
