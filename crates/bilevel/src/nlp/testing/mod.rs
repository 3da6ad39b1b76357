//! Test problems: formulas in second-order jets, so that derivatives are exact, and a collection with known answers.

mod collection;
mod jet;
mod special;

pub use collection::collection;
pub use jet::Jet;
pub use special::{complementarity, degenerate, kinks, relax, without_solution};

use super::{Frame, Nlp};
use bilevel_linalg::{Csr, Dense};

pub const EQ: (f64, f64) = (0.0, 0.0);
pub const GE: (f64, f64) = (0.0, INF);

/// The formulas of a problem: objective first, then the nonlinear constraints.
pub type Formula = fn(&[Jet]) -> Vec<Jet>;

/// A problem in formulas. Every evaluation recomputes everything: simple, not fast.
pub struct Formulas {
    pub frame: Frame,
    pub formula: Formula,
    pub second_derivatives: bool,
}

impl Formulas {
    fn jets(&self, z: &[f64]) -> Vec<Jet> {
        let d = z.len();
        let variables: Vec<Jet> = z.iter().enumerate().map(|(j, &v)| Jet::variable(v, j, d)).collect();
        (self.formula)(&variables)
    }
}

impl Nlp for Formulas {
    fn frame(&self) -> &Frame {
        &self.frame
    }
    fn objective(&mut self, z: &[f64]) -> f64 {
        self.jets(z)[0].value
    }
    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.jets(z)[0].gradient);
    }
    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        for (o, jet) in out.iter_mut().zip(&self.jets(z)[1..]) {
            *o = jet.value;
        }
    }
    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        for (i, jet) in self.jets(z)[1..].iter().enumerate() {
            out.row_mut(i).copy_from_slice(&jet.gradient);
        }
    }
    fn hessian(&mut self, z: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        if !self.second_derivatives {
            return false;
        }
        out.data_mut().fill(0.0);
        let all = std::iter::once(objective_weight).chain(weights.iter().copied());
        for (w, jet) in all.zip(self.jets(z)) {
            for (o, h) in out.data_mut().iter_mut().zip(&jet.hessian) {
                *o += w * h;
            }
        }
        true
    }
}

pub const INF: f64 = f64::INFINITY;

/// A problem with its start and its known answer.
pub struct Case {
    pub name: &'static str,
    pub nlp: Formulas,
    pub start: Vec<f64>,
    pub objective: f64,
    pub z: Option<Vec<f64>>,
}

impl Case {
    pub fn new(name: &'static str, formula: Formula, start: &[f64], objective: f64) -> Self {
        let d = start.len();
        let frame = Frame::bounded(vec![-INF; d], vec![INF; d]);
        let nlp = Formulas { frame, formula, second_derivatives: true };
        Self { name, nlp, start: start.to_vec(), objective, z: None }
    }

    pub fn bounds(mut self, lower: &[f64], upper: &[f64]) -> Self {
        self.nlp.frame.lower = lower.to_vec();
        self.nlp.frame.upper = upper.to_vec();
        self
    }

    /// Dense affine rows with ranges.
    pub fn rows(mut self, rows: &[(&[f64], f64, f64)]) -> Self {
        let mut triplets = Vec::new();
        for (i, (row, _, _)) in rows.iter().enumerate() {
            triplets.extend(row.iter().enumerate().map(|(j, &v)| (i, j, v)));
        }
        self.nlp.frame.rows = Csr::from_triplets(rows.len(), self.start.len(), &triplets).unwrap();
        self.nlp.frame.row_lower = rows.iter().map(|r| r.1).collect();
        self.nlp.frame.row_upper = rows.iter().map(|r| r.2).collect();
        self
    }

    /// Ranges of the nonlinear constraints.
    pub fn constraints(mut self, ranges: &[(f64, f64)]) -> Self {
        self.nlp.frame.constraint_lower = ranges.iter().map(|r| r.0).collect();
        self.nlp.frame.constraint_upper = ranges.iter().map(|r| r.1).collect();
        self
    }

    pub fn at(mut self, z: &[f64]) -> Self {
        self.z = Some(z.to_vec());
        self
    }
}
