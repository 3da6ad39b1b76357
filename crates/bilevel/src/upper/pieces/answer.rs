//! The follower's answer at one x, from nothing: a quadratic programme.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, QpSolution, QpStatus, solve_qp};
use bilevel_linalg::vector::{dot, norm_inf};

use super::data::{Coefficients, QuadraticFollower};
use super::piece::{Piece, Side};

/// The follower's answer at x with its multipliers.
#[derive(Clone, Debug)]
pub struct Answer {
    /// What the solver says of it.
    pub status: QpStatus,
    /// y.
    pub y: Vec<f64>,
    /// Multipliers λ of the rows.
    pub rows: Vec<f64>,
    /// Multipliers μ of the bounds.
    pub bounds: Vec<f64>,
    /// The relative residual of the optimality conditions.
    pub residual: f64,
}

/// How often a guessed set of held items is corrected.
const CORRECTIONS: usize = 12;

impl QuadraticFollower {
    /// Solves the follower's programme at x, by an interior-point method.
    pub fn answer(&self, x: &[f64]) -> Option<Answer> {
        let mut linear = self.linear.clone();
        self.cross.mul_add(1.0, x, &mut linear);
        self.minimise(x, &linear, &self.hessian)
    }

    /// The same with ½ weight ‖y − centre‖² added to the objective: where the follower has several answers, and `weight`
    /// is small, the one next to `centre`.
    pub fn answer_near(&self, x: &[f64], centre: &[f64], weight: f64) -> Option<Answer> {
        let mut linear = self.linear.clone();
        self.cross.mul_add(1.0, x, &mut linear);
        linear.iter_mut().zip(centre).for_each(|(l, c)| *l -= weight * c);
        let hessian = match &self.hessian {
            Coefficients::Dense(q) => {
                let mut q = q.clone();
                (0..q.rows()).for_each(|j| q[(j, j)] += weight);
                Coefficients::Dense(q)
            }
            Coefficients::Sparse(q) => {
                let diagonal = (0..q.rows()).map(|j| (j, j, weight));
                let entries = (0..q.rows()).flat_map(|i| q.row(i).map(move |(j, v)| (i, j, v)));
                let triplets: Vec<_> = entries.chain(diagonal).collect();
                Coefficients::Sparse(bilevel_linalg::Csr::from_triplets(q.rows(), q.cols(), &triplets)?)
            }
        };
        self.minimise(x, &linear, &hessian)
    }

    fn minimise(&self, x: &[f64], linear: &[f64], hessian: &Coefficients) -> Option<Answer> {
        let shift = |bounds: &[f64]| {
            let mut out = bounds.to_vec();
            self.rows_x.mul_add(-1.0, x, &mut out);
            out
        };
        let (row_lower, row_upper) = (shift(&self.row_lower), shift(&self.row_upper));
        let qp = Qp {
            hessian: match hessian {
                Coefficients::Dense(q) => QpHessian::Dense(q),
                Coefficients::Sparse(q) if q.stored() == 0 => QpHessian::Zero,
                Coefficients::Sparse(q) => QpHessian::Sparse(q),
            },
            linear,
            lower: &self.lower,
            upper: &self.upper,
            rows: &self.rows_y,
            row_lower: &row_lower,
            row_upper: &row_upper,
            balls: &[],
        };
        let QpSolution { status, z, bound_multipliers, row_multipliers, residual, .. } =
            solve_qp(&qp, &QpOptions { dense_from: 0, ..QpOptions::default() }).ok()?;
        Some(Answer { status, y: z, rows: row_multipliers, bounds: bound_multipliers, residual })
    }

    /// A lower bound of v(x) by weak duality from y and multipliers, good or not:
    ///
    /// ```text
    /// f(y') >= f(y) + ∇f(y)ᵀ(y' − y) = f(y) + (Bᵀλ + μ)ᵀ(y' − y) + ρᵀ(y' − y)
    /// ```
    ///
    /// where what is left over, ρ, goes to the bounds it belongs to; on variables without one it counts with the
    /// distance 1 + |y_j|, which makes the bound an estimate. Without the part of f in x alone.
    pub fn lower_bound(&self, x: &[f64], answer: &Answer) -> f64 {
        let (m, y) = (self.m(), &answer.y);
        let mut gradient = self.linear.clone();
        self.cross.mul_add(1.0, x, &mut gradient);
        let mut value = dot(&gradient, y);
        let mut curved = vec![0.0; m];
        self.hessian.mul_add(1.0, y, &mut curved);
        value += 0.5 * dot(&curved, y);
        bilevel_linalg::vector::axpy(1.0, &curved, &mut gradient);
        let mut activity = vec![0.0; self.r()];
        self.rows_x.mul_add(1.0, x, &mut activity);
        self.rows_y.mul_add(1.0, y, &mut activity);
        let mut rest = gradient;
        let mut lambda = answer.rows.clone();
        for (i, l) in lambda.iter_mut().enumerate() {
            let bound = if *l > 0.0 { self.row_lower[i] } else { self.row_upper[i] };
            if bound.is_infinite() {
                *l = 0.0;
            } else {
                value += *l * (bound - activity[i]);
            }
        }
        self.rows_y.transpose_mul_add(-1.0, &lambda, &mut rest);
        for (j, &slope) in rest.iter().enumerate() {
            let bound = if slope > 0.0 { self.lower[j] } else { self.upper[j] };
            value -= slope.abs() * if bound.is_finite() { (bound - y[j]).abs() } else { 1.0 + y[j].abs() };
        }
        value
    }

    /// f(x, y) without its part in x alone.
    pub fn value(&self, x: &[f64], y: &[f64]) -> f64 {
        let mut gradient = self.linear.clone();
        self.cross.mul_add(1.0, x, &mut gradient);
        self.hessian.mul_add(0.5, y, &mut gradient);
        dot(&gradient, y)
    }

    /// Where the items stand at an answer.
    pub fn sides(&self, x: &[f64], answer: &Answer) -> Vec<Side> {
        let mut activity = vec![0.0; self.r()];
        self.rows_x.mul_add(1.0, x, &mut activity);
        self.rows_y.mul_add(1.0, &answer.y, &mut activity);
        let values = answer.y.iter().zip(&answer.bounds).chain(activity.iter().zip(&answer.rows));
        values.enumerate().map(|(item, (&value, &multiplier))| side(value, self.range(item), multiplier)).collect()
    }

    /// Where the items stand, with only so many held that their gradients are independent.
    fn independent(&self, x: &[f64], answer: &Answer) -> Vec<Side> {
        let mut activity = vec![0.0; self.r()];
        self.rows_x.mul_add(1.0, x, &mut activity);
        self.rows_y.mul_add(1.0, &answer.y, &mut activity);
        self.basis(&[&answer.y[..], &activity].concat(), &[&answer.bounds[..], &answer.rows].concat())
    }

    /// The piece on which the follower's answer at x lies; `None` if there is none, or its system is singular.
    pub fn piece(&self, x: &[f64]) -> Option<Piece<'_>> {
        let answer = self.answer(x).filter(|answer| answer.status.is_answer())?;
        let mut sides = self.sides(x, &answer);
        for _ in 0..CORRECTIONS {
            let piece = match Piece::new(self, sides.clone(), x) {
                Some(piece) => piece,
                None => Piece::new(self, self.independent(x, &answer), x)?,
            };
            let corrected = corrected(&piece);
            if corrected == piece.sides {
                return Some(piece);
            }
            sides = corrected;
        }
        None
    }
}

fn side(value: f64, (low, high): (f64, f64), multiplier: f64) -> Side {
    if low == high {
        Side::Equal
    } else if multiplier > 0.0 && (value - low) / (1.0 + low.abs()) < multiplier {
        Side::Lower
    } else if multiplier < 0.0 && (high - value) / (1.0 + high.abs()) < -multiplier {
        Side::Upper
    } else {
        Side::Free
    }
}

/// The sides that the values and multipliers on a piece ask for.
fn corrected(piece: &Piece<'_>) -> Vec<Side> {
    let size = 1.0 + norm_inf(&piece.rows).max(norm_inf(&piece.bounds));
    let wrong = |item: usize, side: Side| {
        let (low, high) = piece.follower.range(item);
        let (value, multiplier) = (piece.value(item), piece.multiplier(item));
        let tiny = |bound: f64| 1e-9 * (1.0 + bound.abs());
        match side {
            Side::Free if value < low - tiny(low) => Side::Lower,
            Side::Free if value > high + tiny(high) => Side::Upper,
            Side::Lower if multiplier < -1e-9 * size => Side::Free,
            Side::Upper if multiplier > 1e-9 * size => Side::Free,
            other => other,
        }
    };
    piece.sides.iter().enumerate().map(|(item, &side)| wrong(item, side)).collect()
}
