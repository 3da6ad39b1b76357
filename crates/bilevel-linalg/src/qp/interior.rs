//! A primal-dual interior-point method for programmes with dense data, and for large sparse ones.
//!
//! ```text
//! minimise ½ zᵀP z + qᵀz   subject to   E z = e,   C z − s = d,  s >= 0
//! (P + Cᵀ (T/S) C) dz − Eᵀdy = −r_d − Cᵀ(r_m + T r_c)/S,     E dz = −r_e
//! ```
//!
//! with T, S the diagonal matrices of multipliers and slacks. Predictor and corrector of Mehrotra, "On the implementation
//! of a primal-dual interior point method", SIAM J. Optim. 2 (1992), 575-601. C has a row ±e_j for each bound, which only
//! touches the diagonal; `newton` solves the system. What it cannot solve it leaves to the conic method: it claims neither infeasibility nor
//! unboundedness.

use super::newton::{Blocks, Newton, Quasidefinite};
use super::{INFINITE_BOUND, Qp, QpSolution, QpStatus};
use crate::vector::{axpy, dot, norm_inf};

const ITERATIONS: usize = 80;
/// Iterations without an error of half the least before: there is no answer, or rounding prevails.
const PATIENCE: usize = 12;
/// Residuals wanted, relative.
const TOLERANCE: f64 = 1e-13;
/// The part of the way to the boundary that a step goes.
const FRACTION: f64 = 0.995;

/// One side of a bound or row: `sign * value − limit >= 0`.
pub(super) struct Side {
    /// A variable below n, a row beyond.
    pub item: usize,
    sign: f64,
    limit: f64,
}

pub(super) struct Programme<'a> {
    pub qp: &'a Qp<'a>,
    pub sides: Vec<Side>,
    /// Equalities: items and values.
    pub equal: Vec<(usize, f64)>,
    /// The rows of A that are inequalities.
    pub numbers: Vec<usize>,
}

pub(super) struct Point {
    pub z: Vec<f64>,
    y: Vec<f64>,
    pub s: Vec<f64>,
    pub t: Vec<f64>,
}

/// Solves a programme with dense data; `None` where the method fails.
pub(super) fn solve(qp: &Qp) -> Option<QpSolution> {
    let programme = Programme::new(qp);
    let newton = Newton::Dense(Box::new(Blocks::new(&programme)));
    run(&programme, newton)
}

/// Solves a programme with sparse data, where a factorisation has at most `most` entries.
pub(super) fn solve_sparse(qp: &Qp, most: usize) -> Option<QpSolution> {
    let programme = Programme::new(qp);
    let newton = Newton::Sparse(Box::new(Quasidefinite::new(&programme, most)?));
    run(&programme, newton)
}

fn run(programme: &Programme<'_>, mut newton: Newton) -> Option<QpSolution> {
    let mut point = programme.start();
    let mut best: Option<(f64, Point)> = None;
    let (mut iterations, mut halved) = (0, (0, f64::INFINITY));
    for _ in 0..ITERATIONS {
        if crate::stop::asked() {
            break;
        }
        iterations += 1;
        let system = System::new(programme, &point);
        let error = system.error(programme, &point);
        if error <= 0.5 * halved.1 {
            halved = (iterations, error);
        } else if iterations - halved.0 > PATIENCE {
            break;
        }
        if best.as_ref().is_none_or(|(known, _)| error < *known) {
            best = Some((error, point.copy()));
        }
        if error <= TOLERANCE || !error.is_finite() {
            break;
        }
        if newton.factor(programme, &point).is_none() || !system.step(programme, &mut newton, &mut point) {
            break;
        }
    }
    best.map(|(_, point)| programme.solution(&point, iterations))
}

impl Point {
    fn copy(&self) -> Self {
        Self { z: self.z.clone(), y: self.y.clone(), s: self.s.clone(), t: self.t.clone() }
    }
}

impl<'a> Programme<'a> {
    fn new(qp: &'a Qp<'a>) -> Self {
        let n = qp.dimension();
        let (mut sides, mut equal) = (Vec::new(), Vec::new());
        let variables = (0..n).map(|j| (j, qp.lower[j], qp.upper[j]));
        let rows = (0..qp.rows.rows()).map(|i| (n + i, qp.row_lower[i], qp.row_upper[i]));
        for (item, low, high) in variables.chain(rows) {
            if low == high {
                equal.push((item, low));
                continue;
            }
            if low > -INFINITE_BOUND {
                sides.push(Side { item, sign: 1.0, limit: low });
            }
            if high < INFINITE_BOUND {
                sides.push(Side { item, sign: -1.0, limit: -high });
            }
        }
        let mut numbers: Vec<usize> = sides.iter().filter_map(|side| side.item.checked_sub(n)).collect();
        numbers.dedup();
        Self { qp, sides, equal, numbers }
    }

    /// The value of an item at z.
    pub fn value(&self, item: usize, z: &[f64]) -> f64 {
        let n = z.len();
        if item < n { z[item] } else { self.qp.rows.row_dot(item - n, z) }
    }

    /// Values of all items at z.
    fn values(&self, z: &[f64]) -> Vec<f64> {
        let mut rows = vec![0.0; self.qp.rows.rows()];
        self.qp.rows.mul_add(1.0, z, &mut rows);
        [z, &rows].concat()
    }

    /// `out += Σ weight_k * row of the item k`.
    pub fn add_items(&self, items: impl Iterator<Item = (usize, f64)>, out: &mut [f64]) {
        let n = out.len();
        let mut rows = vec![0.0; self.qp.rows.rows()];
        for (item, weight) in items {
            if item < n {
                out[item] += weight;
            } else {
                rows[item - n] += weight;
            }
        }
        if norm_inf(&rows) != 0.0 {
            self.qp.rows.transpose_mul_add(1.0, &rows, out);
        }
    }

    fn start(&self) -> Point {
        let z: Vec<f64> = (0..self.qp.dimension())
            .map(|j| match (self.qp.lower[j] > -INFINITE_BOUND, self.qp.upper[j] < INFINITE_BOUND) {
                (true, true) => 0.5 * (self.qp.lower[j] + self.qp.upper[j]),
                (true, false) => self.qp.lower[j].max(0.0),
                (false, true) => self.qp.upper[j].min(0.0),
                (false, false) => 0.0,
            })
            .collect();
        let values = self.values(&z);
        let s: Vec<f64> = self.sides.iter().map(|side| (side.sign * values[side.item] - side.limit).max(1.0)).collect();
        let t = vec![1.0 + 0.1 * norm_inf(self.qp.linear); s.len()];
        Point { z, y: vec![0.0; self.equal.len()], s, t }
    }

    fn solution(&self, point: &Point, iterations: usize) -> QpSolution {
        let mut out = QpSolution::nothing(self.qp, QpStatus::Solved);
        let n = self.qp.dimension();
        out.z.clone_from(&point.z);
        let sides = self.sides.iter().zip(&point.t).map(|(side, t)| (side.item, side.sign * t));
        for (item, multiplier) in sides.chain(self.equal.iter().zip(&point.y).map(|(e, y)| (e.0, *y))) {
            match item.checked_sub(n) {
                None => out.bound_multipliers[item] += multiplier,
                Some(i) => out.row_multipliers[i] += multiplier,
            }
        }
        out.iterations = iterations;
        out
    }
}

/// The residuals at a point.
struct System {
    dual: Vec<f64>,
    equal: Vec<f64>,
    slack: Vec<f64>,
    complementarity: f64,
    scale: f64,
}

/// A direction.
struct Direction {
    z: Vec<f64>,
    y: Vec<f64>,
    s: Vec<f64>,
    t: Vec<f64>,
}

impl System {
    fn new(programme: &Programme<'_>, point: &Point) -> Self {
        let qp = programme.qp;
        let mut dual = qp.linear.to_vec();
        let mut scale = 1.0 + norm_inf(&dual);
        qp.hessian.mul_add(1.0, &point.z, &mut dual);
        scale = scale.max(1.0 + norm_inf(&dual));
        let multipliers = programme.sides.iter().zip(&point.t).map(|(side, t)| (side.item, -side.sign * t));
        let others = programme.equal.iter().zip(&point.y).map(|(e, y)| (e.0, -y));
        programme.add_items(multipliers.chain(others), &mut dual);
        let values = programme.values(&point.z);
        let equal: Vec<f64> = programme.equal.iter().map(|(item, value)| values[*item] - value).collect();
        let slacks = programme.sides.iter().zip(&point.s);
        let slack: Vec<f64> = slacks.map(|(side, s)| side.sign * values[side.item] - side.limit - s).collect();
        let complementarity = dot(&point.s, &point.t) / point.s.len().max(1) as f64;
        Self { dual, equal, slack, complementarity, scale }
    }

    /// The largest relative residual.
    fn error(&self, programme: &Programme<'_>, point: &Point) -> f64 {
        let size = 1.0 + norm_inf(&point.z);
        let products = point.s.iter().zip(&point.t).fold(0.0, |a: f64, (s, t)| a.max(s * t));
        let objective = 1.0 + programme.qp.objective(&point.z).abs();
        let gap = dot(&point.s, &point.t) / objective;
        (norm_inf(&self.dual) / self.scale)
            .max(norm_inf(&self.equal) / size)
            .max(norm_inf(&self.slack) / size)
            .max(products / (self.scale * size))
            .max(gap * 1e-2)
    }

    /// Predictor and corrector; false where there is no progress.
    fn step(&self, programme: &Programme<'_>, newton: &mut Newton, point: &mut Point) -> bool {
        let plain: Vec<f64> = point.s.iter().zip(&point.t).map(|(s, t)| s * t).collect();
        let Some(affine) = self.direction(programme, newton, point, &plain) else { return false };
        let (a, b) = (length(&point.s, &affine.s, 1.0), length(&point.t, &affine.t, 1.0));
        let count = plain.len().max(1) as f64;
        let moved = |v: &[f64], d: &[f64], t: f64, k: usize| v[k] + t * d[k];
        let after: f64 =
            (0..plain.len()).map(|k| moved(&point.s, &affine.s, a, k) * moved(&point.t, &affine.t, b, k)).sum::<f64>()
                / count;
        let mu = self.complementarity;
        let sigma = if mu > 0.0 { (after / mu).powi(3).clamp(0.0, 1.0) } else { 0.0 };
        let target: Vec<f64> = (0..plain.len()).map(|k| plain[k] + affine.s[k] * affine.t[k] - sigma * mu).collect();
        let Some(d) = self.direction(programme, newton, point, &target) else { return false };
        // With a quadratic objective both parts take the same step.
        let step = length(&point.s, &d.s, FRACTION).min(length(&point.t, &d.t, FRACTION));
        if step < 1e-10 || step.is_nan() {
            return false;
        }
        axpy(step, &d.z, &mut point.z);
        axpy(step, &d.y, &mut point.y);
        axpy(step, &d.s, &mut point.s);
        axpy(step, &d.t, &mut point.t);
        true
    }

    fn direction(
        &self,
        programme: &Programme<'_>,
        newton: &mut Newton,
        point: &Point,
        products: &[f64],
    ) -> Option<Direction> {
        let mut z: Vec<f64> = self.dual.iter().map(|r| -r).collect();
        let weight = |k: usize| (products[k] + point.t[k] * self.slack[k]) / point.s[k];
        let sides = programme.sides.iter().enumerate().map(|(k, side)| (side.item, -side.sign * weight(k)));
        programme.add_items(sides, &mut z);
        let mut y: Vec<f64> = self.equal.iter().map(|r| -r).collect();
        newton.solve(programme, &mut z, &mut y)?;
        let values = programme.values(&z);
        let of = |k: usize| programme.sides[k].sign * values[programme.sides[k].item] + self.slack[k];
        let s: Vec<f64> = (0..products.len()).map(of).collect();
        let t = (0..products.len()).map(|k| -(products[k] + point.t[k] * s[k]) / point.s[k]).collect();
        Some(Direction { z, y, s, t })
    }
}

/// The longest step up to 1 that keeps `v` positive, times a fraction.
fn length(v: &[f64], d: &[f64], fraction: f64) -> f64 {
    v.iter().zip(d).filter(|(_, d)| **d < 0.0).fold(1.0, |a: f64, (v, d)| a.min(-fraction * v / d))
}
