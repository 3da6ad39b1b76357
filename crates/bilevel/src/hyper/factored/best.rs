//! The least of F over y + ker C, for F a sum of squares with a positive diagonal part: one Cholesky factorisation.

use std::sync::Arc;

use bilevel_linalg::vector::norm2;
use bilevel_linalg::{Cholesky, Dense};

use super::super::HyperFailure;
use super::super::affine::Optimum;
use super::super::functions::Functions;
use super::super::squares::{Rows, Squares};
use super::curvature::{SPREAD, dense};

/// The system for the least F.
#[derive(Clone, Debug)]
pub(super) struct Best {
    /// U above C.
    rows: Arc<Dense>,
    diagonal: Vec<f64>,
    factor: Cholesky,
    /// A bound on ‖Q_F‖.
    size: f64,
}

/// The rows of U above those of C, with D, Ω and R D⁻¹ Rᵀ.
pub(super) struct Stacked {
    pub rows: Arc<Dense>,
    pub diagonal: Vec<f64>,
    pub weights: Vec<f64>,
    pub gram: Dense,
}

impl Stacked {
    /// `None` where sign * F has no positive diagonal part, or a negative weight.
    pub fn new(upper: &Squares, x: &[f64], sign: f64, answers: &Dense) -> Option<Self> {
        let m = answers.cols();
        let mut diagonal = vec![0.0; m];
        let mut rest = Vec::new();
        for block in upper.at(x)? {
            match &block.rows {
                Rows::Picks { columns, values } => {
                    for ((&j, v), w) in columns.iter().zip(values).zip(&block.weights) {
                        diagonal[j] += sign * w * v * v;
                    }
                }
                Rows::Dense(_) => rest.push(block),
            }
        }
        let (u, mut weights) = dense(&rest, m)?;
        weights.iter_mut().for_each(|w| *w *= sign);
        let largest = diagonal.iter().fold(0.0, |a: f64, d| a.max(*d));
        let positive = diagonal.iter().all(|d| *d > SPREAD * largest) && weights.iter().all(|w| *w > 0.0);
        if !positive || largest == 0.0 {
            return None;
        }
        let mut rows = Dense::zeros(u.rows() + answers.rows(), m);
        let (above, below) = rows.data_mut().split_at_mut(u.rows() * m);
        above.copy_from_slice(u.data());
        below.copy_from_slice(answers.data());
        let gram = if is_uniform(&diagonal) {
            let mut gram = rows.row_gram(None).ok()?;
            gram.data_mut().iter_mut().for_each(|v| *v /= diagonal[0]);
            gram
        } else {
            let inverse: Vec<f64> = diagonal.iter().map(|d| 1.0 / d).collect();
            rows.row_gram(Some(&inverse)).ok()?
        };
        Some(Self { rows: Arc::new(rows), diagonal, weights, gram })
    }

    /// C Cᵀ, where D is a multiple of the identity.
    pub fn answers_gram(&self) -> Option<Dense> {
        let (first, count) = (self.weights.len(), self.rows.rows() - self.weights.len());
        let scale = self.diagonal[0];
        is_uniform(&self.diagonal)
            .then(|| Dense::from_fn(count, count, |i, j| scale * self.gram[(first + i, first + j)]))
    }
}

pub(super) fn is_uniform(diagonal: &[f64]) -> bool {
    diagonal.iter().all(|d| *d == diagonal[0])
}

impl Best {
    pub fn new(stacked: Stacked) -> Option<Self> {
        let Stacked { rows, diagonal, weights, mut gram } = stacked;
        let mut size = diagonal.iter().fold(0.0, |a: f64, d| a.max(*d));
        for (i, w) in weights.iter().enumerate() {
            gram[(i, i)] += 1.0 / w;
            size += w * norm2(rows.row(i)).powi(2);
        }
        let mut factor = Cholesky::new();
        factor.factor(&gram, 0.0).ok()?;
        Some(Self { rows, diagonal, factor, size })
    }

    /// The step to the least F, and a second one for the rounding of the first.
    pub fn solve(&self, functions: &mut Functions<'_>, mut y: Vec<f64>) -> Result<Optimum, HyperFailure> {
        let (mut gradient, mut scaled) = (vec![0.0; y.len()], vec![0.0; y.len()]);
        let mut t = vec![0.0; self.rows.rows()];
        for _ in 0..2 {
            functions.upper_gradient(&y, &mut gradient);
            scaled.iter_mut().zip(gradient.iter().zip(&self.diagonal)).for_each(|(s, (g, d))| *s = g / d);
            t.fill(0.0);
            self.rows.mul_add(-1.0, &scaled, &mut t);
            if self.factor.solve(&mut t).is_err() || !norm2(&t).is_finite() {
                return Err(functions.not_a_number());
            }
            self.rows.transpose_mul_add(1.0, &t, &mut gradient);
            y.iter_mut().zip(gradient.iter().zip(&self.diagonal)).for_each(|(y, (g, d))| *y -= g / d);
        }
        let sigma = self.diagonal.iter().fold(f64::INFINITY, |a: f64, d| a.min(*d));
        Ok(Optimum { y, global: true, size: self.size, sigma })
    }
}

/// The Hessian of sign * F at x where it is diagonal and positive; `None` elsewhere.
pub(super) fn diagonal(upper: &Squares, x: &[f64], sign: f64, m: usize) -> Option<Vec<f64>> {
    let mut out = vec![0.0; m];
    for block in upper.at(x)? {
        let Rows::Picks { columns, values } = &block.rows else { return None };
        for ((&j, v), w) in columns.iter().zip(values).zip(&block.weights) {
            out[j] += sign * w * v * v;
        }
    }
    let largest = out.iter().fold(0.0, |a: f64, d| a.max(*d));
    (largest > 0.0 && out.iter().all(|d| *d > SPREAD * largest)).then_some(out)
}
