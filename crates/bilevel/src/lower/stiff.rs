//! A preconditioner for smoothed followers in parts.
//!
//! Where a smoothed kink is stiff, it is stiff along the axes: there the diagonal says enough. On the variables that the
//! kinks leave soft the Hessian is that of the smooth part, formed and factored where they are few.

use bilevel_linalg::{Cholesky, Dense};

use super::composite::CompositeAt;
use super::newton::Preconditioner;
use crate::smooth::Smoothing;

/// Variables whose penalty has less curvature than this times that of s are soft.
const SOFT: f64 = 10.0;
/// Soft variables that are treated together, at most; with more, the kinks are smooth enough for the diagonal alone.
const TOGETHER: usize = 200;

/// The diagonal, with a dense block on the soft variables.
pub struct StiffAndSoft<'c, 'a> {
    at: &'c mut CompositeAt<'a>,
    smoothing: Smoothing<'a>,
    /// The regulariser's weight.
    weight: f64,
    smooth: Vec<f64>,
    diagonal: Vec<f64>,
    soft: Vec<usize>,
    hessian: Dense,
    factors: Option<Cholesky>,
    right: Vec<f64>,
}

impl<'c, 'a> StiffAndSoft<'c, 'a> {
    /// For the x that `at` is fixed at.
    pub fn new(at: &'c mut CompositeAt<'a>, smoothing: Smoothing<'a>, weight: f64) -> Self {
        let m = at.composite().m();
        let (smooth, diagonal) = (vec![0.0; m], vec![0.0; m]);
        let (soft, right) = (Vec::new(), Vec::new());
        Self { at, smoothing, weight, smooth, diagonal, soft, hessian: Dense::zeros(0, 0), factors: None, right }
    }
}

impl Preconditioner for StiffAndSoft<'_, '_> {
    fn prepare(&mut self, y: &[f64]) {
        self.at.smooth_diagonal(y, &mut self.smooth);
        self.at.penalty_diagonal(y, self.smoothing, &mut self.diagonal);
        let ratio = |j: usize| self.diagonal[j] / self.smooth[j];
        self.soft = (0..y.len()).filter(|&j| ratio(j) < SOFT).collect();
        if self.soft.len() > TOGETHER {
            self.soft.clear();
        }
        self.at.hessian(y, &self.soft, &mut self.hessian);
        for (a, &j) in self.soft.iter().enumerate() {
            self.hessian[(a, a)] += self.diagonal[j] + self.weight;
        }
        let largest = (0..self.soft.len()).fold(0.0, |m: f64, a| m.max(self.hessian[(a, a)]));
        let mut factors = Cholesky::new();
        self.factors = factors.factor(&self.hessian, 1e-12 * largest).is_ok().then_some(factors);
        for (d, s) in self.diagonal.iter_mut().zip(&self.smooth) {
            *d += s + self.weight;
        }
    }

    fn apply(&mut self, r: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(r).zip(&self.diagonal).for_each(|((o, r), d)| *o = r / d);
        let Some(factors) = &self.factors else { return };
        self.right.clear();
        self.right.extend(self.soft.iter().map(|&j| r[j]));
        if factors.solve(&mut self.right).is_ok() {
            self.soft.iter().zip(&self.right).for_each(|(&j, v)| out[j] = *v);
        }
    }
}
