//! The optimality conditions at a point, computed from the problem alone.
//!
//! r = ∇objective − bounds − Aᵀ rows − Jᵀ constraints, the violations, and the products of multipliers and distances.

use super::{Frame, Multipliers, Nlp, Residuals};
use bilevel_linalg::Dense;

/// The residuals of `z` and `multipliers` (lengths as in the frame; otherwise [`Residuals::UNKNOWN`]) together with
/// the objective. Allocates; meant for the end of a solve and for checks.
pub fn assess(nlp: &mut dyn Nlp, z: &[f64], multipliers: &Multipliers) -> (f64, Residuals) {
    let frame = nlp.frame();
    let (d, r, k) = (frame.variables(), frame.rows.rows(), frame.constraints());
    let lengths = (z.len(), multipliers.bounds.len(), multipliers.rows.len(), multipliers.constraints.len());
    if frame.check().is_err() || lengths != (d, d, r, k) {
        return (f64::NAN, Residuals::UNKNOWN);
    }
    let mut parts = Assessor::new(d, r, k);
    parts.assess(nlp, z, multipliers)
}

/// The workspace of [`assess`], for repeated use on one problem.
pub(super) struct Assessor {
    gradient: Vec<f64>,
    jacobian: Dense,
    values: Vec<f64>,
    rows: Vec<f64>,
    size: Vec<f64>,
}

impl Assessor {
    pub fn new(d: usize, r: usize, k: usize) -> Self {
        Self {
            gradient: vec![0.0; d],
            jacobian: Dense::zeros(k, d),
            values: vec![0.0; k],
            rows: vec![0.0; r],
            size: vec![0.0; d],
        }
    }

    /// Numbers of variables, affine rows and constraints.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.gradient.len(), self.rows.len(), self.values.len())
    }

    /// The objective at `z` and the residuals.
    pub fn assess(&mut self, nlp: &mut dyn Nlp, z: &[f64], multipliers: &Multipliers) -> (f64, Residuals) {
        let objective = nlp.objective(z);
        nlp.gradient(z, &mut self.gradient);
        if !self.values.is_empty() {
            nlp.constraints(z, &mut self.values);
            nlp.jacobian(z, &mut self.jacobian);
        }
        let frame = nlp.frame();
        let gradient_size = self.gradient.iter().fold(1.0f64, |m, g| m.max(g.abs()));
        let (stationarity, beyond_rounding) = self.stationarity(frame, multipliers);
        self.rows.fill(0.0);
        frame.rows.mul_add(1.0, z, &mut self.rows);
        let mut sides = Sides::default();
        sides.add(z, &frame.lower, &frame.upper, &multipliers.bounds);
        sides.add(&self.rows, &frame.row_lower, &frame.row_upper, &multipliers.rows);
        sides.add(&self.values, &frame.constraint_lower, &frame.constraint_upper, &multipliers.constraints);
        let scaled = (beyond_rounding / gradient_size)
            .max(sides.scaled_violation)
            .max(sides.complementarity / objective.abs().max(1.0));
        let numbers = [objective, stationarity, sides.violation, sides.complementarity, scaled];
        let scaled = if numbers.iter().any(|v| v.is_nan()) || !sides.defined { f64::INFINITY } else { scaled };
        let residuals =
            Residuals { stationarity, violation: sides.violation, complementarity: sides.complementarity, scaled };
        (objective, residuals)
    }

    /// ‖r‖∞, and the same less a bound of the rounding error of each component. Leaves r in `gradient`.
    fn stationarity(&mut self, frame: &Frame, multipliers: &Multipliers) -> (f64, f64) {
        for ((s, g), b) in self.size.iter_mut().zip(self.gradient.iter_mut()).zip(&multipliers.bounds) {
            *s = g.abs() + b.abs();
            *g -= b;
        }
        for (i, y) in multipliers.rows.iter().enumerate() {
            for (j, a) in frame.rows.row(i) {
                self.gradient[j] -= y * a;
                self.size[j] += (y * a).abs();
            }
        }
        for (i, y) in multipliers.constraints.iter().enumerate().filter(|(_, y)| **y != 0.0) {
            for ((g, s), a) in self.gradient.iter_mut().zip(self.size.iter_mut()).zip(self.jacobian.row(i)) {
                *g -= y * a;
                *s += (y * a).abs();
            }
        }
        let (mut norm, mut beyond) = (0.0f64, 0.0f64);
        for (g, s) in self.gradient.iter().zip(&self.size) {
            if g.is_nan() {
                return (f64::NAN, f64::INFINITY);
            }
            norm = norm.max(g.abs());
            beyond = beyond.max(g.abs() - 8.0 * f64::EPSILON * s);
        }
        (norm, beyond)
    }
}

/// Violation and complementarity, accumulated over groups of ranges.
struct Sides {
    violation: f64,
    scaled_violation: f64,
    complementarity: f64,
    defined: bool,
}

impl Default for Sides {
    fn default() -> Self {
        Self { violation: 0.0, scaled_violation: 0.0, complementarity: 0.0, defined: true }
    }
}

impl Sides {
    fn add(&mut self, values: &[f64], lower: &[f64], upper: &[f64], multipliers: &[f64]) {
        for (((&v, &l), &u), &y) in values.iter().zip(lower).zip(upper).zip(multipliers) {
            self.defined &= v.is_finite() && y.is_finite();
            let violation = (l - v).max(v - u).max(0.0);
            let bound = if l - v > v - u { l } else { u };
            self.violation = self.violation.max(violation);
            if violation > 0.0 {
                self.scaled_violation = self.scaled_violation.max(violation / bound.abs().max(1.0));
            }
            if l < u && y != 0.0 {
                let distance = if y > 0.0 { (v - l).abs() } else { (u - v).abs() };
                self.complementarity = self.complementarity.max(y.abs() * distance);
            }
        }
    }
}
