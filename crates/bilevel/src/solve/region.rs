//! Where the leader's variables can lie, for choosing starts: the bounds of X, and where one is missing the extreme value
//! of the variable over the affine constraints of both levels, the follower's optimality left aside. Found by linear
//! programming in floating point: good for sampling, no proof of anything.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};

use crate::expr::structure::Range;
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
        let qp = Qp {
            hessian: QpHessian::Zero,
            linear: &linear,
            lower: &frame.lower,
            upper: &frame.upper,
            rows: &frame.rows,
            row_lower: &frame.row_lower,
            row_upper: &frame.row_upper,
            balls: &[],
        };
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
}
