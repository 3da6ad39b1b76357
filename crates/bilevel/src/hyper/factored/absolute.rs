//! F as a weighted sum of absolute values, Σ_j w_j(x) |y_j|, read off its formula.

use std::ops::Range;
use std::sync::Arc;

use crate::expr::separate::{Entry, PenaltyKind, separate};
use crate::expr::structure::{Block, Degree, Structure, VariableBounds};
use crate::expr::{Expr, Tape, Workspace};
use crate::smooth::Smoothing;

/// The weights as formulas of x.
#[derive(Clone, Debug)]
pub(super) struct Absolute {
    weights: Arc<Tape>,
    terms: Vec<(Range<usize>, Vec<Entry>)>,
    m: usize,
}

impl Absolute {
    /// `None` if the formula has other terms in y.
    pub fn new(formula: &Expr, bounds: &VariableBounds) -> Option<Self> {
        let parts = separate(formula, bounds)?;
        let (n, m) = (bounds.leader().len(), bounds.follower().len());
        let images: usize = parts.maps.iter().map(|map| map.matrix.rows() + map.matrix.cols()).sum();
        let wide = VariableBounds::unbounded(n, m + images);
        let rest = Structure::new(std::slice::from_ref(&parts.smooth), &wide).ok()?;
        if rest.degree(*rest.roots().first()?, Block::Follower) != Degree::Constant {
            return None;
        }
        let formulas: Vec<Expr> = parts.penalties.iter().map(|penalty| penalty.weight.clone()).collect();
        let weights = Arc::new(Tape::compile(&formulas, n, 0).ok()?);
        let (mut first, mut terms) = (0, Vec::with_capacity(parts.penalties.len()));
        for penalty in parts.penalties {
            let end = first + penalty.weight.shape().len();
            terms.push((first..end, penalty.entries));
            first = end;
            if penalty.kind != PenaltyKind::Abs {
                return None;
            }
        }
        Some(Self { weights, terms, m })
    }

    /// The weights of sign * F at x; `None` unless all are positive.
    pub fn at(&self, x: &[f64], sign: f64) -> Option<Vec<f64>> {
        let mut values = vec![0.0; self.weights.outputs()];
        let mut workspace = Workspace::new(&self.weights);
        self.weights.evaluate(&mut workspace, x, &[], Smoothing::EXACT).write_outputs(&mut values);
        let mut out = vec![0.0; self.m];
        for (range, entries) in &self.terms {
            let own = &values[range.clone()];
            for (i, &(j, factor)) in entries.iter().enumerate() {
                out[j] += sign * factor.abs() * own[if own.len() == 1 { 0 } else { i }];
            }
        }
        let largest = out.iter().fold(0.0, |a: f64, w| a.max(*w));
        (largest.is_finite() && out.iter().all(|w| *w > 1e-9 * largest)).then_some(out)
    }
}
