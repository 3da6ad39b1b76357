//! Strong stationarity of a point, from the data and the point alone.
//!
//! With multipliers p of the follower's stationarity Qy + c + Px = Bᵀλ + μ, q of its items (values of variables and rows)
//! and ν of the leader's rows and bounds:
//!
//! ```text
//! F_x − Pᵀp − Aᵀq − G_xᵀν − ν_bounds = 0,     F_y − Qp − Bᵀq − q_bounds − G_yᵀν = 0,
//! q_i = 0 where an item is off its bound,     B_i p = 0 where its multiplier is not zero,
//! q_i and B_i p of the sign of the side where both vanish  (Scheel & Scholtes 2000, Theorem 2)
//! ```
//!
//! The multipliers are found by least squares on the piece of a fresh answer, and the system is evaluated as it stands.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
use bilevel_linalg::vector::{axpy, norm_inf};
use bilevel_linalg::{Csr, Dense};

use super::guard::{Guard, Kind};
use super::piece::{Piece, Side};
use super::{Descent, QuadraticFollower, QuadraticProblem, reduced};
use crate::nlp::Normals;

/// Values and multipliers below this, relative, count as zero.
const ACTIVE: f64 = 1e-6;
/// Least-squares multipliers with signs as wrong as this, relative, are looked for with signs.
const WRONG: f64 = 1e-9;

/// How far a point is from strongly stationary, with the follower's multipliers there.
#[derive(Clone, Debug)]
pub struct StrongStationarity {
    /// The residual of the system, relative to 1 + ‖∇F‖.
    pub residual: f64,
    /// λ.
    pub rows: Vec<f64>,
    /// μ.
    pub bounds: Vec<f64>,
    /// What the best multipliers leave of ∇F in x, where they were looked for by a programme.
    pub slope: Vec<f64>,
}

impl QuadraticProblem {
    /// The residual at (x, y), y being an answer of the follower: by multipliers of the piece where there is one, else by
    /// a programme over all multipliers.
    pub fn strong_stationarity(&self, x: &[f64], y: &[f64]) -> Option<StrongStationarity> {
        if self.leader.lower.len() != x.len() {
            return None;
        }
        if self.is_linear() {
            return self.linear_stationarity(x, y);
        }
        let size = 1.0 + norm_inf(y);
        let same = |piece: &Piece<'_>| y.iter().zip(&piece.y).all(|(a, b)| (a - b).abs() <= ACTIVE * size);
        let piece = self.follower.any_piece(x).filter(same);
        let multipliers = piece.as_ref().map(|piece| (piece.rows.clone(), piece.bounds.clone()));
        match piece.and_then(|piece| self.on_piece(x, piece)) {
            Some(found) if found.residual <= ACTIVE => Some(found),
            other => self.by_multipliers(x, y, multipliers).or(other),
        }
    }

    /// The least residual over the follower's multipliers that are known: those in the middle of all, and those of a piece.
    fn by_multipliers(
        &self,
        x: &[f64],
        y: &[f64],
        of_piece: Option<(Vec<f64>, Vec<f64>)>,
    ) -> Option<StrongStationarity> {
        let answer = self.follower.answer(x).filter(|answer| answer.status.is_answer())?;
        let cleaned = self.follower.cleaned(x, y, &answer.rows, &answer.bounds);
        let central = self.by_programme(x, y, cleaned.unwrap_or((answer.rows, answer.bounds)));
        if central.as_ref().is_some_and(|found| found.residual <= ACTIVE) {
            return central;
        }
        let other = of_piece.and_then(|multipliers| self.by_programme(x, y, multipliers));
        [central, other].into_iter().flatten().min_by(|a, b| a.residual.total_cmp(&b.residual))
    }

    /// The residual on the piece of a fresh answer.
    fn on_piece(&self, x: &[f64], piece: Piece<'_>) -> Option<StrongStationarity> {
        let n = x.len();
        let mut descent = Descent::with_hessian(&self.leader, piece, Dense::identity(n));
        descent.guard_all(ACTIVE)?;
        let normals: Vec<&[f64]> = descent.guards.iter().map(|guard| guard.normal.as_slice()).collect();
        let step = reduced::step(&descent.hessian, &descent.gradient, &normals, &descent.held, None);
        let scale = 1.0 + norm_inf(&descent.gradient);
        let plain = step.map(|step| (step.guards, step.bounds)).filter(|(guards, bounds)| {
            let right = descent.guards.iter().zip(guards).all(|(g, nu)| g.sign * nu >= -WRONG * scale);
            right && (0..n).all(|j| descent.bound_sign(j) * bounds[j] >= -WRONG * scale)
        });
        let (guards, bounds) = plain.or_else(|| descent.signed_multipliers())?;
        let residual = descent.system_residual(&guards, &bounds);
        let (rows, bounds) = (descent.piece.rows, descent.piece.bounds);
        Some(StrongStationarity { residual, rows, bounds, slope: Vec::new() })
    }
}

impl QuadraticProblem {
    /// The least squares of the whole system over all multipliers with their signs: a convex quadratic programme in
    /// (p, q, ν, and what is left of the two equations). The follower's multipliers are given.
    fn by_programme(
        &self,
        x: &[f64],
        y: &[f64],
        (of_rows, of_bounds): (Vec<f64>, Vec<f64>),
    ) -> Option<StrongStationarity> {
        let (leader, follower) = (&self.leader, &self.follower);
        let (n, m, r) = (x.len(), follower.m(), follower.r());
        let gradient = leader.evaluate(&[x, y].concat()).1;
        let mut activity = vec![0.0; r];
        follower.rows_x.mul_add(1.0, x, &mut activity);
        follower.rows_y.mul_add(1.0, y, &mut activity);
        let mut columns = Columns { entries: Vec::new(), lower: Vec::new(), upper: Vec::new() };
        let mut rows = Vec::new();
        for j in 0..m {
            let column = columns.push(f64::NEG_INFINITY, f64::INFINITY);
            follower.cross.for_row(j, |k, v| columns.entries.push((k, column, v)));
            follower.hessian.for_row(j, |k, v| columns.entries.push((n + k, column, v)));
        }
        let sizes = (1.0 + norm_inf(&of_bounds), 1.0 + norm_inf(&of_rows));
        for (item, &value) in y.iter().chain(&activity).enumerate() {
            let (low, high) = follower.range(item);
            let at = touched(value, low, high, ACTIVE);
            let (multiplier, size) = if item < m { (of_bounds[item], sizes.0) } else { (of_rows[item - m], sizes.1) };
            let strictly = multiplier.abs() > ACTIVE * size;
            let range = match at {
                None if !strictly => continue,
                Some(sign) if !strictly && sign != 0.0 => one_way(sign),
                _ => (f64::NEG_INFINITY, f64::INFINITY),
            };
            let of_p = if strictly || at == Some(0.0) { (0.0, 0.0) } else { range };
            let column = columns.push(range.0, range.1);
            match item.checked_sub(m) {
                None => {
                    columns.entries.push((n + item, column, 1.0));
                    (columns.lower[item], columns.upper[item]) = of_p;
                }
                Some(i) => {
                    columns.entries.extend(follower.rows_x.row(i).map(|(k, v)| (k, column, v)));
                    columns.entries.extend(follower.rows_y.row(i).map(|(k, v)| (n + k, column, v)));
                    rows.push((i, of_p));
                }
            }
        }
        self.leader_columns(x, y, &mut columns);
        let (residual, mut slope) = columns.least(&gradient, follower, &rows)?;
        slope.truncate(n);
        Some(StrongStationarity { residual, rows: of_rows, bounds: of_bounds, slope })
    }

    fn leader_columns(&self, x: &[f64], y: &[f64], columns: &mut Columns) {
        let (leader, n) = (&self.leader, x.len());
        for i in 0..leader.row_lower.len() {
            let value = leader.rows_x.row_dot(i, x) + leader.rows_y.row_dot(i, y);
            if let Some(sign) = touched(value, leader.row_lower[i], leader.row_upper[i], ACTIVE) {
                let (low, high) = one_way(sign);
                let column = columns.push(low, high);
                columns.entries.extend(leader.rows_x.row(i).map(|(k, v)| (k, column, v)));
                columns.entries.extend(leader.rows_y.row(i).map(|(k, v)| (n + k, column, v)));
            }
        }
        for (j, &value) in x.iter().enumerate() {
            if let Some(sign) = touched(value, leader.lower[j], leader.upper[j], ACTIVE) {
                let (low, high) = one_way(sign);
                let column = columns.push(low, high);
                columns.entries.push((j, column, 1.0));
            }
        }
    }
}

/// The range of a multiplier of a side: nonnegative, nonpositive, or free for an equality.
fn one_way(sign: f64) -> (f64, f64) {
    if sign > 0.0 {
        (0.0, f64::INFINITY)
    } else if sign < 0.0 {
        (f64::NEG_INFINITY, 0.0)
    } else {
        (f64::NEG_INFINITY, f64::INFINITY)
    }
}

/// Columns of the system's matrix with the ranges of their multipliers.
struct Columns {
    entries: Vec<(usize, usize, f64)>,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Columns {
    fn push(&mut self, low: f64, high: f64) -> usize {
        self.lower.push(low);
        self.upper.push(high);
        self.lower.len() - 1
    }

    /// The largest entry of what the best multipliers leave of the gradient, relative to 1 + its size, and what they leave;
    /// `rows` are ranges of B_i p.
    fn least(
        mut self,
        gradient: &[f64],
        follower: &QuadraticFollower,
        rows: &[(usize, (f64, f64))],
    ) -> Option<(f64, Vec<f64>)> {
        let (count, left) = (self.lower.len(), gradient.len());
        for k in 0..left {
            let column = self.push(f64::NEG_INFINITY, f64::INFINITY);
            self.entries.push((k, column, 1.0));
        }
        let (mut row_lower, mut row_upper) = (gradient.to_vec(), gradient.to_vec());
        for (k, (i, (low, high))) in rows.iter().enumerate() {
            self.entries.extend(follower.rows_y.row(*i).map(|(j, v)| (left + k, j, v)));
            row_lower.push(*low);
            row_upper.push(*high);
        }
        let matrix = Csr::from_triplets(row_lower.len(), count + left, &self.entries)?;
        let squares: Vec<_> = (count..count + left).map(|k| (k, k, 1.0)).collect();
        let hessian = Csr::from_triplets(count + left, count + left, &squares)?;
        let found = solve_qp(
            &Qp {
                hessian: QpHessian::Sparse(&hessian),
                linear: &vec![0.0; count + left],
                lower: &self.lower,
                upper: &self.upper,
                rows: &matrix,
                row_lower: &row_lower,
                row_upper: &row_upper,
                balls: &[],
            },
            &QpOptions::default(),
        )
        .ok()
        .filter(|found| found.status.is_answer())?;
        // The multipliers within their ranges, and what they leave then.
        let clipped: Vec<f64> =
            (0..count).map(|k| found.z[k].max(self.lower[k]).min(self.upper[k])).chain(vec![0.0; left]).collect();
        let mut value = vec![0.0; row_lower.len()];
        matrix.mul_add(1.0, &clipped, &mut value);
        let off = |k: usize| (row_lower[k] - value[k]).max(value[k] - row_upper[k]).max(0.0);
        let worst = (0..value.len()).map(off).fold(0.0, f64::max);
        let rest = (0..left).map(|k| gradient[k] - value[k]).collect();
        worst.is_finite().then_some((worst / (1.0 + norm_inf(gradient)), rest))
    }
}

impl Descent<'_> {
    /// Makes guards of everything that holds at the point. `None` where an item's response is not finite.
    fn guard_all(&mut self, tolerance: f64) -> Option<()> {
        let leader = self.leader;
        for i in 0..leader.row_lower.len() {
            let (low, high) = (leader.row_lower[i], leader.row_upper[i]);
            let value = leader.rows_x.row_dot(i, &self.piece.x) + leader.rows_y.row_dot(i, &self.piece.y);
            if let Some(sign) = touched(value, low, high, tolerance) {
                self.guard_row(i, sign);
            }
        }
        for item in 0..self.piece.sides.len() {
            let side = self.piece.sides[item];
            let (low, high) = self.piece.follower.range(item);
            let touched = match side {
                _ if low == high => None,
                Side::Equal => None,
                Side::Free => touched(self.piece.value(item), low, high, tolerance)
                    .map(|sign| if sign < 0.0 { Side::Upper } else { Side::Lower }),
                Side::Lower | Side::Upper => (self.piece.multiplier(item).abs() <= tolerance).then_some(side),
            };
            if let Some(touched) = touched {
                let response = self.piece.response(item);
                let sign = touched.inward();
                if !bilevel_linalg::vector::all_finite(&response.normal) {
                    return None;
                }
                self.guards.push(Guard { kind: Kind::Kink(item, touched), normal: response.normal, sign });
            }
        }
        Some(())
    }

    /// +1 where x_j is held at its lower bound, −1 at its upper one, 0 if it is fixed.
    fn bound_sign(&self, j: usize) -> f64 {
        let (low, high) = (self.leader.lower[j], self.leader.upper[j]);
        match (self.piece.x[j] - low).abs() <= (self.piece.x[j] - high).abs() {
            _ if low == high => 0.0,
            true => 1.0,
            false => -1.0,
        }
    }

    /// Multipliers of guards and bounds with their signs, by nonnegative least squares.
    fn signed_multipliers(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        let n = self.gradient.len();
        let mut normals = Normals::default();
        for guard in &self.guards {
            let sign = if guard.sign < 0.0 { -1.0 } else { 1.0 };
            normals.push(guard.normal.iter().map(|v| sign * v).collect(), guard.sign == 0.0);
        }
        let held: Vec<usize> = (0..n).filter(|&j| self.held[j]).collect();
        for &j in &held {
            let sign = self.bound_sign(j);
            let mut normal = vec![0.0; n];
            normal[j] = if sign < 0.0 { -1.0 } else { 1.0 };
            normals.push(normal, sign == 0.0);
        }
        let (_, weights) = normals.nearest(&self.gradient)?;
        let signed = |sign: f64, weight: f64| if sign < 0.0 { -weight } else { weight };
        let guards: Vec<f64> = self.guards.iter().zip(&weights).map(|(g, &w)| signed(g.sign, w)).collect();
        let mut bounds = vec![0.0; n];
        held.iter().zip(&weights[guards.len()..]).for_each(|(&j, &w)| bounds[j] = signed(self.bound_sign(j), w));
        Some((guards, bounds))
    }

    /// The largest violation of the whole system for these multipliers, relative to 1 + ‖∇F‖.
    fn system_residual(&mut self, guards: &[f64], bounds: &[f64]) -> f64 {
        let adjoint = self.full_adjoint(guards);
        let (follower, leader) = (self.piece.follower, self.leader);
        let (n, m) = (self.piece.x.len(), self.piece.y.len());
        let z = [&self.piece.x[..], &self.piece.y].concat();
        let (_, gradient) = leader.evaluate(&z);
        let mut by_x = gradient[..n].to_vec();
        follower.cross.transpose_mul_add(-1.0, &adjoint.p, &mut by_x);
        follower.rows_x.transpose_mul_add(-1.0, &adjoint.q, &mut by_x);
        axpy(-1.0, bounds, &mut by_x);
        let mut by_y = gradient[n..].to_vec();
        follower.hessian.mul_add(-1.0, &adjoint.p, &mut by_y);
        follower.rows_y.transpose_mul_add(-1.0, &adjoint.q, &mut by_y);
        let mut worst = 0.0f64;
        let mut both = vec![false; self.piece.sides.len()];
        for (guard, &nu) in self.guards.iter().zip(guards) {
            worst = worst.max(-guard.sign * nu);
            match guard.kind {
                Kind::Row(i) => {
                    leader.rows_x.row(i).for_each(|(j, v)| by_x[j] -= nu * v);
                    leader.rows_y.row(i).for_each(|(j, v)| by_y[j] -= nu * v);
                }
                Kind::Kink(item, touched) => {
                    both[item] = true;
                    let sign = touched.inward();
                    worst = worst.max(-sign * adjoint.other(follower, &self.piece, item));
                    if item < m && self.piece.sides[item] == Side::Free {
                        by_y[item] -= nu;
                    }
                }
            }
        }
        (0..n).for_each(|j| worst = worst.max(-self.bound_sign(j) * bounds[j]));
        for (item, side) in self.piece.sides.iter().enumerate() {
            let held = *side != Side::Free;
            if item < m && !held {
                worst = worst.max(by_y[item].abs());
            }
            // Strictly held, or with equal bounds: nothing but the multiplier may carry p.
            if held && !both[item] {
                let product = if item < m { adjoint.p[item] } else { follower.rows_y.row_dot(item - m, &adjoint.p) };
                worst = worst.max(product.abs());
            }
        }
        let residual = norm_inf(&by_x).max(worst) / (1.0 + norm_inf(&gradient));
        if residual.is_nan() { f64::INFINITY } else { residual }
    }
}

/// Which side of its range a value is at: +1 the lower, −1 the upper, 0 if the range is a point; `None` if at neither.
fn touched(value: f64, low: f64, high: f64, tolerance: f64) -> Option<f64> {
    let near = |bound: f64| bound.is_finite() && (value - bound).abs() <= tolerance * (1.0 + bound.abs());
    match (near(low), near(high)) {
        _ if low == high => Some(0.0),
        (true, _) => Some(1.0),
        (false, true) => Some(-1.0),
        (false, false) => None,
    }
}
