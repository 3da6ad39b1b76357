//! A primal-dual interior-point method for programmes with dense data, by Cholesky factorisations of blocked kernels.
//!
//! ```text
//! minimise ½ zᵀP z + qᵀz   subject to   E z = e,   C z − s = d,  s >= 0
//! (P + Cᵀ (T/S) C) dz − Eᵀdy = −r_d − Cᵀ(r_m + T r_c)/S,     E dz = −r_e
//! ```
//!
//! with T, S the diagonal matrices of multipliers and slacks. Predictor and corrector of Mehrotra, "On the implementation
//! of a primal-dual interior point method", SIAM J. Optim. 2 (1992), 575-601. C has a row ±e_j for each bound, which only
//! touches the diagonal. What it cannot solve it leaves to the conic method: it claims neither infeasibility nor
//! unboundedness.

use super::{INFINITE_BOUND, Qp, QpHessian, QpSolution, QpStatus};
use crate::cholesky::Cholesky;
use crate::dense::Dense;
use crate::vector::{axpy, dot, norm_inf};

const ITERATIONS: usize = 80;
/// Iterations without an error of half the least before: there is no answer, or rounding prevails.
const PATIENCE: usize = 12;
/// Residuals wanted, relative.
const TOLERANCE: f64 = 1e-13;
/// The part of the way to the boundary that a step goes.
const FRACTION: f64 = 0.995;
/// Added to the diagonal, relative to its largest entry: P may be semidefinite.
const SHIFT: f64 = 1e-14;

/// One side of a bound or row: `sign * value − limit >= 0`.
struct Side {
    /// A variable below n, a row beyond.
    item: usize,
    sign: f64,
    limit: f64,
}

struct Programme<'a> {
    qp: &'a Qp<'a>,
    sides: Vec<Side>,
    /// Equalities: items and values.
    equal: Vec<(usize, f64)>,
    /// A with the rows of inequalities, dense.
    rows: Dense,
    /// Which row of A each of them is.
    numbers: Vec<usize>,
}

struct Point {
    z: Vec<f64>,
    y: Vec<f64>,
    s: Vec<f64>,
    t: Vec<f64>,
}

/// Solves the programme; `None` where the method fails.
pub(super) fn solve(qp: &Qp) -> Option<QpSolution> {
    let programme = Programme::new(qp);
    let mut point = programme.start();
    let mut best: Option<(f64, Point)> = None;
    let (mut iterations, mut halved) = (0, (0, f64::INFINITY));
    for _ in 0..ITERATIONS {
        iterations += 1;
        let Some(system) = System::new(&programme, &point) else { break };
        let error = system.error(&programme, &point);
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
        if !system.step(&programme, &mut point) {
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
        let rows = qp.rows.select_rows(&numbers).to_dense();
        Self { qp, sides, equal, rows, numbers }
    }

    /// The value of an item at z.
    fn value(&self, item: usize, z: &[f64]) -> f64 {
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
    fn add_items(&self, items: impl Iterator<Item = (usize, f64)>, out: &mut [f64]) {
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

/// The Newton system at a point, with the residuals.
struct System {
    dual: Vec<f64>,
    equal: Vec<f64>,
    slack: Vec<f64>,
    complementarity: f64,
    scale: f64,
    hessian: Cholesky,
    /// H⁻¹ Eᵀ, row by row, and E H⁻¹ Eᵀ.
    images: Vec<Vec<f64>>,
    schur: Cholesky,
}

/// A direction.
struct Direction {
    z: Vec<f64>,
    y: Vec<f64>,
    s: Vec<f64>,
    t: Vec<f64>,
}

impl System {
    fn new(programme: &Programme<'_>, point: &Point) -> Option<Self> {
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
        let hessian = factored(programme, point)?;
        let mut system =
            Self { dual, equal, slack, complementarity, scale, hessian, images: Vec::new(), schur: Cholesky::new() };
        system.factor_equalities(programme)?;
        Some(system)
    }

    fn factor_equalities(&mut self, programme: &Programme<'_>) -> Option<()> {
        let (count, n) = (programme.equal.len(), self.dual.len());
        if count == 0 {
            return Some(());
        }
        let mut schur = Dense::zeros(count, count);
        for (a, &(item, _)) in programme.equal.iter().enumerate() {
            let mut image = vec![0.0; n];
            programme.add_items(std::iter::once((item, 1.0)), &mut image);
            self.hessian.solve(&mut image).ok()?;
            for (b, &(other, _)) in programme.equal.iter().enumerate().take(a + 1) {
                schur[(a, b)] = programme.value(other, &image);
            }
            self.images.push(image);
        }
        let largest = (0..count).fold(0.0, |m: f64, k| m.max(schur[(k, k)]));
        self.schur.factor(&schur, SHIFT * largest).ok()
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
    fn step(&self, programme: &Programme<'_>, point: &mut Point) -> bool {
        let plain: Vec<f64> = point.s.iter().zip(&point.t).map(|(s, t)| s * t).collect();
        let Some(affine) = self.direction(programme, point, &plain) else { return false };
        let (a, b) = (length(&point.s, &affine.s, 1.0), length(&point.t, &affine.t, 1.0));
        let count = plain.len().max(1) as f64;
        let moved = |v: &[f64], d: &[f64], t: f64, k: usize| v[k] + t * d[k];
        let after: f64 =
            (0..plain.len()).map(|k| moved(&point.s, &affine.s, a, k) * moved(&point.t, &affine.t, b, k)).sum::<f64>()
                / count;
        let mu = self.complementarity;
        let sigma = if mu > 0.0 { (after / mu).powi(3).clamp(0.0, 1.0) } else { 0.0 };
        let target: Vec<f64> = (0..plain.len()).map(|k| plain[k] + affine.s[k] * affine.t[k] - sigma * mu).collect();
        let Some(d) = self.direction(programme, point, &target) else { return false };
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

    fn direction(&self, programme: &Programme<'_>, point: &Point, products: &[f64]) -> Option<Direction> {
        let mut z: Vec<f64> = self.dual.iter().map(|r| -r).collect();
        let weight = |k: usize| (products[k] + point.t[k] * self.slack[k]) / point.s[k];
        let sides = programme.sides.iter().enumerate().map(|(k, side)| (side.item, -side.sign * weight(k)));
        programme.add_items(sides, &mut z);
        self.hessian.solve(&mut z).ok()?;
        // E H⁻¹ Eᵀ dy = −r_e − E H⁻¹ rhs
        let mut y: Vec<f64> =
            programme.equal.iter().zip(&self.equal).map(|((item, _), r)| -r - programme.value(*item, &z)).collect();
        if !y.is_empty() {
            self.schur.solve(&mut y).ok()?;
            self.images.iter().zip(&y).for_each(|(image, y)| axpy(*y, image, &mut z));
        }
        let values = programme.values(&z);
        let of = |k: usize| programme.sides[k].sign * values[programme.sides[k].item] + self.slack[k];
        let s: Vec<f64> = (0..products.len()).map(of).collect();
        let t = (0..products.len()).map(|k| -(products[k] + point.t[k] * s[k]) / point.s[k]).collect();
        Some(Direction { z, y, s, t })
    }
}

/// P + Cᵀ (T/S) C, factored.
fn factored(programme: &Programme<'_>, point: &Point) -> Option<Cholesky> {
    let n = point.z.len();
    let mut matrix = match programme.qp.hessian {
        QpHessian::Zero => Dense::zeros(n, n),
        QpHessian::Dense(p) => p.clone(),
        QpHessian::Sparse(p) => p.to_dense(),
    };
    let mut weights = vec![0.0; programme.numbers.len()];
    let mut place = 0;
    for (k, side) in programme.sides.iter().enumerate() {
        let weight = point.t[k] / point.s[k];
        match side.item.checked_sub(n) {
            None => matrix[(side.item, side.item)] += weight,
            Some(i) => {
                while programme.numbers[place] != i {
                    place += 1;
                }
                weights[place] += weight;
            }
        }
    }
    if !weights.is_empty() {
        programme.rows.gram_add(1.0, Some(&weights), &mut matrix).ok()?;
    }
    let largest = (0..n).fold(0.0, |a: f64, j| a.max(matrix[(j, j)]));
    let mut factor = Cholesky::new();
    let mut shift = SHIFT * largest.min(1e6);
    for _ in 0..4 {
        if factor.factor(&matrix, shift).is_ok() {
            return Some(factor);
        }
        shift = shift.max(1e-16) * 100.0;
    }
    None
}

/// The longest step up to 1 that keeps `v` positive, times a fraction.
fn length(v: &[f64], d: &[f64], fraction: f64) -> f64 {
    v.iter().zip(d).filter(|(_, d)| **d < 0.0).fold(1.0, |a: f64, (v, d)| a.min(-fraction * v / d))
}
