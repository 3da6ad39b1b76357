//! Damped BFGS approximation of the Hessian of a Lagrangian.
//!
//! B ← B − (Bs)(Bs)ᵀ/(sᵀBs) + r rᵀ/(sᵀr), with r = θy + (1−θ)Bs chosen so that sᵀr >= 0.2 sᵀBs (Powell 1978; Nocedal &
//! Wright, *Numerical Optimization*, procedure 18.2). B stays positive definite.

use bilevel_linalg::Dense;

/// Powell's damping threshold.
const DAMPING: f64 = 0.2;

/// A curvature below this is too small to set the scale.
const FLAT: f64 = 1e-8;

/// A positive definite matrix, updated from steps and gradient differences.
#[derive(Clone, Debug)]
pub(super) struct Bfgs {
    matrix: Dense,
    product: Vec<f64>,
    fresh: bool,
}

impl Bfgs {
    /// The identity of order `d`.
    pub fn new(d: usize) -> Self {
        let mut bfgs = Self { matrix: Dense::zeros(d, d), product: vec![0.0; d], fresh: true };
        bfgs.reset();
        bfgs
    }

    /// Back to the identity.
    pub fn reset(&mut self) {
        self.matrix.data_mut().fill(0.0);
        for i in 0..self.matrix.rows() {
            self.matrix[(i, i)] = 1.0;
        }
        self.fresh = true;
    }

    /// The approximation.
    pub fn matrix(&self) -> &Dense {
        &self.matrix
    }

    /// Updates with the step `s` and the gradient difference `y`, which is overwritten. The first useful pair also
    /// sets the scale of the initial matrix (Nocedal & Wright, 6.20). Callers skip steps of the size of rounding.
    pub fn update(&mut self, s: &[f64], y: &mut [f64]) {
        let ss: f64 = s.iter().map(|v| v * v).sum();
        let mut sy: f64 = s.iter().zip(y.iter()).map(|(a, b)| a * b).sum();
        let yy: f64 = y.iter().map(|v| v * v).sum();
        if !(ss > 0.0 && ss.is_finite() && yy.is_finite()) {
            return;
        }
        if self.fresh && sy > FLAT * ss {
            let scale = (yy / sy).clamp(FLAT, 1.0 / FLAT);
            self.reset();
            for i in 0..s.len() {
                self.matrix[(i, i)] = scale;
            }
            self.fresh = false;
        }
        self.product.fill(0.0);
        self.matrix.mul_add(1.0, s, &mut self.product);
        let sbs: f64 = s.iter().zip(&self.product).map(|(a, b)| a * b).sum();
        if !(sbs > 0.0 && sbs.is_finite()) {
            self.reset();
            return;
        }
        if sy < DAMPING * sbs {
            let theta = (1.0 - DAMPING) * sbs / (sbs - sy);
            for (v, p) in y.iter_mut().zip(&self.product) {
                *v = theta * *v + (1.0 - theta) * p;
            }
            sy = s.iter().zip(y.iter()).map(|(a, b)| a * b).sum();
        }
        if sy.is_nan() || sy <= 0.0 || !(1.0 / sy).is_finite() || !(1.0 / sbs).is_finite() {
            return;
        }
        for i in 0..s.len() {
            let (p, v) = (self.product[i] / sbs, y[i] / sy);
            for ((b, pj), yj) in self.matrix.row_mut(i).iter_mut().zip(&self.product).zip(y.iter()) {
                *b += v * yj - p * pj;
            }
        }
        if self.matrix.data().iter().any(|v| !v.is_finite()) {
            self.reset();
        }
    }
}
