//! Local search over the pieces of a linear or convex quadratic follower by programmes in (x, y, λ): slower than the
//! descent, but whatever the follower's constraints are, degenerate ones too, and for answers that jump.
//!
//! A piece says which items are held at their bounds; the others have no multiplier. With μ = c + P x + Q y − Bᵀλ the
//! multipliers of the bounds:
//!
//! ```text
//! first    min F(x, y) over (x, y, λ)   constraints of both levels; held items at their bounds with multipliers of the
//!                                       right sign, multipliers of the others zero
//! second   min Σ w_i |u_i| over λ       at this (x, y): multipliers u = (μ, λ) of its answer y, w_i the rate at which F
//!                                       would fall if item i could leave its bound
//! ```
//!
//! No product of unknowns is in either. The first goes to the best point of a piece, the second to the neighbour that
//! lets go what F wants to let go; what has a multiplier there is held on the next piece. The point stays on it, so F
//! never rises.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, QpSolution, solve_qp};
use bilevel_linalg::vector::norm_inf;
use bilevel_linalg::{Cholesky, Csr, Dense};

use super::data::{Coefficients, QuadraticFollower, QuadraticLeader};
use super::piece::Side;

/// Pieces at most.
const PIECES: usize = 200;
/// A piece that lowers F by less than this, relative, is the last one.
const PROGRESS: f64 = 1e-9;
/// Distances to bounds and multipliers below this, relative, are zero.
const ZERO: f64 = 1e-7;
/// Weight of ½ λ²: dependent rows leave multipliers without bound otherwise.
const RIDGE: f64 = 1e-10;
/// Leaders with more variables are not asked whether they are convex.
const LARGEST: usize = 2000;

/// Both programmes of one problem.
pub struct Programmes<'a> {
    leader: &'a QuadraticLeader,
    follower: &'a QuadraticFollower,
    /// ∇²F over (x, y, λ).
    hessian: Csr,
    linear: Vec<f64>,
    /// The leader's rows, the follower's, and c + P x + Q y − Bᵀλ without c.
    rows: Csr,
    /// Programmes solved.
    pub solves: u64,
}

/// A point on a piece.
#[derive(Clone, Debug)]
struct Point {
    x: Vec<f64>,
    y: Vec<f64>,
    value: f64,
    /// For each item, how fast F grows with its bound, and how fast with its multiplier.
    rates: Vec<(f64, f64)>,
}

impl<'a> Programmes<'a> {
    /// The programmes; `None` where F is not known to be convex.
    pub fn new(leader: &'a QuadraticLeader, follower: &'a QuadraticFollower) -> Option<Self> {
        let (n, m, r) = (leader.lower.len(), follower.m(), follower.r());
        if !is_convex(&leader.hessian) {
            return None;
        }
        let mut hessian = Vec::new();
        for i in 0..n + m {
            leader.hessian.for_row(i, |j, v| hessian.push((i, j, v)));
        }
        hessian.extend((n + m..n + m + r).map(|k| (k, k, RIDGE)));
        let mut linear = leader.linear.clone();
        linear.resize(n + m + r, 0.0);
        let own = leader.row_lower.len();
        let mut rows = Vec::new();
        for i in 0..own {
            rows.extend(leader.rows_x.row(i).map(|(k, v)| (i, k, v)));
            rows.extend(leader.rows_y.row(i).map(|(j, v)| (i, n + j, v)));
        }
        for i in 0..r {
            rows.extend(follower.rows_x.row(i).map(|(k, v)| (own + i, k, v)));
            rows.extend(follower.rows_y.row(i).map(|(j, v)| (own + i, n + j, v)));
        }
        for j in 0..m {
            let row = own + r + j;
            follower.cross.for_row(j, |k, v| rows.push((row, k, v)));
            follower.hessian.for_row(j, |k, v| rows.push((row, n + k, v)));
            rows.extend(follower.columns_y.row(j).map(|(i, v)| (row, n + m + i, -v)));
        }
        Some(Self {
            leader,
            follower,
            hessian: Csr::from_triplets(n + m + r, n + m + r, &hessian)?,
            linear,
            rows: Csr::from_triplets(own + r + m, n + m + r, &rows)?,
            solves: 0,
        })
    }

    /// From the follower's answer at x from piece to piece; (x, y) at the end. `None` if there is no answer, or the leader's
    /// constraints leave nothing of its piece.
    pub fn run(&mut self, x: &[f64], stop: &dyn Fn() -> bool) -> Option<(Vec<f64>, Vec<f64>)> {
        self.solves += 1;
        let answer = self.follower.answer(x).filter(|answer| answer.status.is_answer())?;
        let sides = self.follower.sides(x, &answer);
        let mut point = self.first(&sides)?;
        for _ in 0..PIECES {
            if stop() {
                break;
            }
            let Some(next) = self.second(&point).and_then(|sides| self.first(&sides)) else { break };
            if next.value >= point.value - PROGRESS * (1.0 + point.value.abs()) {
                break;
            }
            point = next;
        }
        Some((point.x, point.y))
    }

    /// The best point of a piece.
    fn first(&mut self, sides: &[Side]) -> Option<Point> {
        let (leader, follower) = (self.leader, self.follower);
        let (n, m, own) = (leader.lower.len(), follower.m(), leader.row_lower.len());
        let (mut lower, mut upper) = (leader.lower.clone(), leader.upper.clone());
        let (mut row_lower, mut row_upper) = (leader.row_lower.clone(), leader.row_upper.clone());
        let mut multipliers = Vec::with_capacity(sides.len());
        for (item, &side) in sides.iter().enumerate() {
            let (low, high) = follower.range(item);
            let ((low, high), signs) = match side {
                Side::Free => ((low, high), (0.0, 0.0)),
                Side::Lower => ((low, low), (0.0, f64::INFINITY)),
                Side::Upper => ((high, high), (f64::NEG_INFINITY, 0.0)),
                Side::Equal => ((low, high), (f64::NEG_INFINITY, f64::INFINITY)),
            };
            let (lower, upper) = if item < m { (&mut lower, &mut upper) } else { (&mut row_lower, &mut row_upper) };
            lower.push(low);
            upper.push(high);
            multipliers.push(signs);
        }
        for (&(low, high), c) in multipliers[..m].iter().zip(&follower.linear) {
            row_lower.push(low - c);
            row_upper.push(high - c);
        }
        for &(low, high) in &multipliers[m..] {
            lower.push(low);
            upper.push(high);
        }
        self.solves += 1;
        let found = solve(&self.hessian, &self.linear, (&lower, &upper), &self.rows, (&row_lower, &row_upper))?;
        let (bounds, rows) = (&found.bound_multipliers, &found.row_multipliers);
        let of_variable = |j: usize| (bounds[n + j], rows[own + follower.r() + j]);
        let of_row = |i: usize| (rows[own + i], bounds[n + m + i]);
        let rates = (0..m).map(of_variable).chain((0..follower.r()).map(of_row)).collect();
        let (x, y) = (found.z[..n].to_vec(), found.z[n..n + m].to_vec());
        Some(Point { value: leader.evaluate(&found.z[..n + m]).0, x, y, rates })
    }

    /// The neighbouring piece that F falls on fastest; `None` if the point has no multipliers of the follower.
    fn second(&mut self, point: &Point) -> Option<Vec<Side>> {
        let follower = self.follower;
        let (m, r) = (follower.m(), follower.r());
        let touching = touching(follower, &point.x, &point.y);
        let size = 1.0 + point.rates.iter().fold(0.0_f64, |most, rate| most.max(rate.0.abs()));
        // Off a lower bound values grow, off an upper bound they fall.
        let wants_off: Vec<f64> = touching
            .iter()
            .zip(&point.rates)
            .map(|(side, rate)| match side {
                Side::Lower => (-rate.0 - ZERO * size).max(0.0),
                Side::Upper => (rate.0 - ZERO * size).max(0.0),
                Side::Free | Side::Equal => 0.0,
            })
            .collect();
        let sign = |item: usize| if touching[item] == Side::Upper { -1.0 } else { 1.0 };
        let mut gradient = follower.linear.clone();
        follower.cross.mul_add(1.0, &point.x, &mut gradient);
        follower.hessian.mul_add(1.0, &point.y, &mut gradient);
        // Σ w_j s_j μ_j = constant − Σ w_j s_j (Bᵀλ)_j.
        let by_bounds: Vec<f64> = (0..m).map(|j| -wants_off[j] * sign(j)).collect();
        let mut slope: Vec<f64> = (m..m + r).map(|item| wants_off[item] * sign(item)).collect();
        follower.rows_y.mul_add(1.0, &by_bounds, &mut slope);
        let signs = |side: &Side| match side {
            Side::Free => (0.0, 0.0),
            Side::Lower => (0.0, f64::INFINITY),
            Side::Upper => (f64::NEG_INFINITY, 0.0),
            Side::Equal => (f64::NEG_INFINITY, f64::INFINITY),
        };
        let (lower, upper): (Vec<f64>, Vec<f64>) = touching[m..].iter().map(signs).unzip();
        // Bᵀλ = ∇_y f − μ.
        let slack = ZERO * (1.0 + norm_inf(&gradient));
        let (row_lower, row_upper): (Vec<f64>, Vec<f64>) = touching[..m]
            .iter()
            .map(signs)
            .zip(&gradient)
            .map(|((low, high), g)| (g - high - slack, g - low + slack))
            .unzip();
        let ridge: Vec<_> = (0..r).map(|i| (i, i, RIDGE)).collect();
        self.solves += 1;
        let hessian = Csr::from_triplets(r, r, &ridge)?;
        let found = solve(&hessian, &slope, (&lower, &upper), &follower.columns_y, (&row_lower, &row_upper))?;
        let mut multipliers = gradient;
        follower.columns_y.mul_add(-1.0, &found.z, &mut multipliers);
        multipliers.extend_from_slice(&found.z);
        let zero = 10.0 * slack.max(ZERO * (1.0 + norm_inf(&multipliers)));
        let next = |(item, &side): (usize, &Side)| {
            let (u, rate) = (multipliers[item], point.rates[item].1);
            let grows = match side {
                Side::Lower => rate < -ZERO * size,
                Side::Upper => rate > ZERO * size,
                Side::Free | Side::Equal => false,
            };
            if side == Side::Equal || u.abs() > zero || (grows && wants_off[item] == 0.0) { side } else { Side::Free }
        };
        Some(touching.iter().enumerate().map(next).collect())
    }
}

/// Which bounds the items touch at (x, y).
fn touching(follower: &QuadraticFollower, x: &[f64], y: &[f64]) -> Vec<Side> {
    let mut values = y.to_vec();
    values.resize(y.len() + follower.r(), 0.0);
    let (own, activity) = values.split_at_mut(y.len());
    follower.rows_x.mul_add(1.0, x, activity);
    follower.rows_y.mul_add(1.0, own, activity);
    let size = 1.0 + norm_inf(y).max(norm_inf(x));
    let side = |(item, &value): (usize, &f64)| {
        let (low, high) = follower.range(item);
        let at = |bound: f64| bound.is_finite() && (value - bound).abs() <= ZERO * size;
        match (at(low), at(high)) {
            _ if low == high => Side::Equal,
            (true, true) if high - value < value - low => Side::Upper,
            (true, _) => Side::Lower,
            (false, true) => Side::Upper,
            (false, false) => Side::Free,
        }
    };
    values.iter().enumerate().map(side).collect()
}

/// Whether a symmetric matrix is known to be positive semidefinite.
fn is_convex(hessian: &Coefficients) -> bool {
    let size = hessian.rows();
    let (mut diagonal, mut sums) = (vec![0.0; size], vec![0.0; size]);
    for i in 0..size {
        hessian.for_row(i, |j, v| if i == j { diagonal[i] = v } else { sums[i] += v.abs() });
    }
    if diagonal.iter().zip(&sums).all(|(d, s)| d >= s) {
        return true;
    }
    if size > LARGEST || diagonal.iter().zip(&sums).any(|(&d, &s)| d < 0.0 || (d == 0.0 && s > 0.0)) {
        return false;
    }
    let mut dense = Dense::zeros(size, size);
    let largest = norm_inf(&diagonal);
    for i in 0..size {
        hessian.for_row(i, |j, v| dense[(i, j)] = v);
    }
    Cholesky::new().factor(&dense, 1e-12 * largest).is_ok()
}

fn solve(
    hessian: &Csr,
    linear: &[f64],
    (lower, upper): (&[f64], &[f64]),
    rows: &Csr,
    (row_lower, row_upper): (&[f64], &[f64]),
) -> Option<QpSolution> {
    let hessian = QpHessian::Sparse(hessian);
    let qp = Qp { hessian, linear, lower, upper, rows, row_lower, row_upper, balls: &[] };
    solve_qp(&qp, &QpOptions::default()).ok().filter(|found| found.status.is_answer())
}
