//! Where the leader's variables can lie, for choosing starts: the bounds of X, and where one is missing the extreme value
//! of the variable over the affine constraints of both levels, the follower's optimality left aside; and the nearest x that
//! these constraints allow. Found by linear and quadratic programming in floating point: good for sampling, no proof of
//! anything.

use bilevel_linalg::Csr;
use bilevel_linalg::qp::{QpHessian, QpOptions, solve_qp};

use crate::expr::structure::Range;
use crate::nlp::Frame;
use crate::upper::{Levels, joint_frame};

/// Larger problems are not looked at: a linear programme for each missing bound would cost more than it helps.
const LEADERS: usize = 30;
const VARIABLES: usize = 400;

/// Bounds of x: `known`, with missing ones replaced where the constraints imply some.
pub fn implied(levels: &Levels, known: &[Range]) -> Vec<Range> {
    let frame = joint_frame(&levels.leader, &levels.follower);
    let width = frame.lower.len();
    if frame.rows.rows() == 0 || known.len() > LEADERS || width > VARIABLES {
        return known.to_vec();
    }
    let extreme = |j: usize, sign: f64| {
        let mut linear = vec![0.0; width];
        linear[j] = sign;
        let qp = frame.quadratic(QpHessian::Zero, &linear);
        let found = solve_qp(&qp, &QpOptions { tolerance: 1e-8, ..QpOptions::default() }).ok()?;
        found.status.is_answer().then(|| found.z[j])
    };
    let tightened = |(j, range): (usize, &Range)| {
        let end = |given: f64, sign: f64| if given.is_finite() { given } else { extreme(j, sign).unwrap_or(given) };
        let (lower, upper) = (end(range.lower(), 1.0), end(range.upper(), -1.0));
        if lower <= upper { Range::new(lower, upper) } else { *range }
    };
    known.iter().enumerate().map(tightened).collect()
}

/// The x that the affine constraints of both levels allow for some y.
pub struct Allowed {
    frame: Frame,
    hessian: Csr,
    weights: Vec<f64>,
}

impl Allowed {
    /// `None` where no affine constraint speaks of x, or the problem is too large. Distances are relative to the widths of
    /// the `bounds`.
    pub fn new(levels: &Levels, bounds: &[Range]) -> Option<Self> {
        let frame = joint_frame(&levels.leader, &levels.follower);
        let (n, width) = (bounds.len(), frame.lower.len());
        let speaks = (0..frame.rows.rows()).any(|i| frame.rows.row(i).any(|(j, _)| j < n));
        if !speaks || n > LEADERS || width > VARIABLES {
            return None;
        }
        let weight = |range: &Range| {
            let size = range.upper() - range.lower();
            if size > 0.0 && size.is_finite() { 1.0 / (size * size) } else { 1.0 }
        };
        let weights: Vec<f64> = bounds.iter().map(weight).collect();
        let diagonal: Vec<(usize, usize, f64)> = weights.iter().enumerate().map(|(j, &w)| (j, j, w)).collect();
        let hessian = Csr::from_triplets(width, width, &diagonal)?;
        Some(Self { frame, hessian, weights })
    }

    /// The nearest x that is allowed; x itself where none is found.
    pub fn nearest(&self, x: &[f64]) -> Vec<f64> {
        let frame = &self.frame;
        let mut linear = vec![0.0; frame.lower.len()];
        linear.iter_mut().zip(x.iter().zip(&self.weights)).for_each(|(c, (x, w))| *c = -w * x);
        let qp = frame.quadratic(QpHessian::Sparse(&self.hessian), &linear);
        match solve_qp(&qp, &QpOptions { tolerance: 1e-8, ..QpOptions::default() }) {
            Ok(found) if found.status.is_answer() => found.z[..x.len()].to_vec(),
            _ => x.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;
    use crate::solve::Analysis;

    #[test]
    fn missing_bounds_come_from_the_rows_of_both_levels() -> Result<(), ModelError> {
        let mut model = Model::new();
        let x = model.leader("x", 2).within(Bounds::new(0.0, f64::INFINITY)?)?;
        let y = model.follower("y", 1).free()?;
        model.upper(-x.sum()).lower(y.sum());
        // x_0 + 2 y <= 10, 2 x_0 - y <= 15: x_0 <= 8. Nothing bounds x_1.
        model.lower_subject_to((x.index(0) + &y * 2.0).sum().at_most(10.0));
        model.upper_subject_to((x.index(0) * 2.0 - &y).sum().at_most(15.0));
        let analysis = Analysis::new(&model.build()?);
        let found = implied(&analysis.levels, analysis.bounds.leader());
        assert!((found[0].upper() - 8.0).abs() < 1e-6 && found[0].lower() == 0.0, "{found:?}");
        assert!(found[1].upper() == f64::INFINITY, "{found:?}");
        Ok(())
    }

    #[test]
    fn the_nearest_allowed_x_satisfies_the_rows_of_both_levels() -> Result<(), ModelError> {
        let mut model = Model::new();
        let x = model.leader("x", 2).within(Bounds::new(0.0, 10.0)?)?;
        let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0)?)?;
        model.upper(x.sum()).lower(y.sum());
        // x_0 + x_1 <= 4 for the leader; x_0 - 2 <= y <= 1 for the follower: x_0 <= 3.
        model.upper_subject_to(x.sum().at_most(4.0)).lower_subject_to((x.index(0) - &y).sum().at_most(2.0));
        let analysis = Analysis::new(&model.build()?);
        let allowed = Allowed::new(&analysis.levels, analysis.bounds.leader())
            .map(|allowed| [allowed.nearest(&[9.0, 0.0]), allowed.nearest(&[5.0, 5.0]), allowed.nearest(&[1.0, 1.0])]);
        let expected = [[3.0, 0.0], [2.0, 2.0], [1.0, 1.0]];
        for (found, expected) in allowed.iter().flatten().zip(expected) {
            let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(near && found.len() == 2, "{found:?} {expected:?}");
        }
        Ok(())
    }
}
