//! Multipliers of the nearly active constraints at a point: good ones make the bound sharp, any are allowed.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
use bilevel_linalg::{Csr, Dense, PivotedQr, nnls};

use crate::proof::interval::Interval;
use crate::proof::problem::Formulas;
use crate::proof::program::Sweep;

/// A constraint within this of equality may have a multiplier.
const NEARLY_ACTIVE: f64 = 1e-6;
/// Followers of at most so many variables are searched box by box.
const FEW: usize = 8;
/// Matrices with more entries than this are not written out.
const DENSE: usize = 250_000;

impl Formulas {
    /// Weights of all roots: 1 for f, multipliers for the nearly active constraints.
    pub(super) fn multipliers(
        &self,
        spot: &mut Sweep<Interval>,
        y: &[f64],
        domain: &[Interval],
    ) -> Option<Vec<Interval>> {
        let program = &self.program;
        let mut weights = vec![Interval::ZERO; program.roots()];
        weights[self.follower.objective] = Interval::ONE;
        let active = self.follower.inequalities.iter().filter(|&&r| spot.value(program, r).mid() > -NEARLY_ACTIVE);
        let active: Vec<usize> = active.copied().collect();
        let signed = active.len();
        let columns: Vec<usize> = active.into_iter().chain(self.follower.equalities.iter().copied()).collect();
        if columns.is_empty() {
            return Some(weights);
        }
        let at_end = |j: usize| {
            let z = domain[j];
            y[j] - z.lo() <= NEARLY_ACTIVE || z.hi() - y[j] <= NEARLY_ACTIVE
        };
        let rows: Vec<usize> = (0..self.m).filter(|&j| !at_end(j)).collect();
        // Fewer variables between their ends than active constraints: a degenerate corner. With few variables the search
        // deals with it.
        let degenerate = rows.len() < columns.len() && self.m > FEW;
        if self.m * columns.len() > DENSE || degenerate {
            return self.multipliers_of_corner(spot, (y, domain), (&columns, signed), weights);
        }
        let mut gradient = vec![Interval::ZERO; self.n + self.m];
        let mut matrix = Dense::zeros(rows.len(), columns.len());
        for (k, &r) in columns.iter().enumerate() {
            spot.gradient(program, r, &mut gradient);
            for (i, &j) in rows.iter().enumerate() {
                matrix[(i, k)] = gradient[self.n + j].mid();
            }
        }
        spot.gradient(program, self.follower.objective, &mut gradient);
        let wanted: Vec<f64> = rows.iter().map(|&j| -gradient[self.n + j].mid()).collect();
        let found = signed_least_squares(&matrix, &wanted, signed)?;
        for (k, (&r, &v)) in columns.iter().zip(&found).enumerate() {
            // Simple multipliers cancel exactly, which unbounded variables without curvature need.
            let near = (v * 64.0).round() / 64.0;
            let v = if (near - v).abs() <= 1e-12 * (1.0 + v.abs()) { near } else { v };
            weights[r] = Interval::point(if k < signed { v.max(0.0) } else { v });
        }
        Some(weights)
    }

    /// The same for many variables and constraints, and at degenerate corners: multipliers of the follower's linearisation at y,
    /// min ∇fᵀd subject to the active constraints and the box, a sparse linear programme. Where Y(x) has degenerate
    /// corners least squares does not know which of the variables at their ends may move.
    fn multipliers_of_corner(
        &self,
        spot: &mut Sweep<Interval>,
        (y, domain): (&[f64], &[Interval]),
        (columns, signed): (&[usize], usize),
        mut weights: Vec<Interval>,
    ) -> Option<Vec<Interval>> {
        let program = &self.program;
        let mut gradient = vec![Interval::ZERO; self.n + self.m];
        let mut triplets = Vec::new();
        for (k, &r) in columns.iter().enumerate() {
            spot.gradient(program, r, &mut gradient);
            let row = gradient[self.n..].iter().enumerate().filter(|(_, g)| **g != Interval::ZERO);
            triplets.extend(row.map(|(j, g)| (k, j, g.mid())));
        }
        spot.gradient(program, self.follower.objective, &mut gradient);
        let linear: Vec<f64> = gradient[self.n..].iter().map(|g| g.mid()).collect();
        let rows = Csr::from_triplets(columns.len(), self.m, &triplets)?;
        let mut row_lower = vec![f64::NEG_INFINITY; signed];
        row_lower.resize(columns.len(), 0.0);
        let (lower, upper): (Vec<f64>, Vec<f64>) =
            domain.iter().zip(y).map(|(z, v)| ((z.lo() - v).min(0.0), (z.hi() - v).max(0.0))).unzip();
        let qp = Qp {
            hessian: QpHessian::Zero,
            linear: &linear,
            lower: &lower,
            upper: &upper,
            rows: &rows,
            row_lower: &row_lower,
            row_upper: &vec![0.0; columns.len()],
            balls: &[],
        };
        let options = QpOptions { tolerance: 1e-11, ..QpOptions::default() };
        let found = solve_qp(&qp, &options).ok().filter(|found| found.status.is_answer())?;
        for (k, (&r, &v)) in columns.iter().zip(&found.row_multipliers).enumerate() {
            weights[r] = Interval::point(if k < signed { (-v).max(0.0) } else { -v });
        }
        Some(weights)
    }
}

/// Least squares, the first `signed` coefficients nonnegative; plain least squares where that has the signs already.
fn signed_least_squares(matrix: &Dense, wanted: &[f64], signed: usize) -> Option<Vec<f64>> {
    let columns = matrix.cols();
    let mut qr = PivotedQr::new();
    let mut right = wanted.to_vec();
    let mut plain = vec![0.0; columns];
    if qr.factor(matrix, None).is_ok() && qr.solve(&mut right, &mut plain).is_ok() {
        let size = plain.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        if plain[..signed].iter().all(|&v| v >= -1e-9 * size) {
            return Some(plain);
        }
    }
    let signs: Vec<bool> = (0..columns).map(|k| k < signed).collect();
    nnls(matrix, wanted, &signs).ok().map(|solution| solution.x)
}
