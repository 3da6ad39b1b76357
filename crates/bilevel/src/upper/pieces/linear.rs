//! Linear followers whose constraints do not depend on x: min over y of (c + P x)ᵀy subject to bounds and rows B y.
//!
//! Here y(x) jumps, and a descent over x sees nothing of it. But strong stationarity falls into two programmes without
//! complementarity and without any large constant:
//!
//! ```text
//! x-step   min F(x, y) over (x, λ, μ)   c + P x = Bᵀλ + μ, signs of λ, μ (or zero) by where y stands
//! y-step   min F(x, y) over y ∈ Y       y and B y held at the bounds whose multipliers are not zero
//! ```
//!
//! The first is over all x for which y stays an answer, the second over the answers S(x). A point that neither improves
//! is strongly stationary: their multipliers p and q together are those of `residual`, for the system has no term that
//! joins them. They are solved in turn, F falling each time (for tolls: Brotcorne, Labbé, Marcotte & Savard, "A bilevel
//! model for toll optimization on a multicommodity transportation network", 2001, section 4).

use bilevel_linalg::Csr;
use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, QpSolution, solve_qp};
use bilevel_linalg::vector::{axpy, norm_inf};

use super::{QuadraticProblem, StrongStationarity};

/// Turns at most.
const TURNS: usize = 40;
/// Turns that lower F by less than this, relative, end the search.
const PROGRESS: f64 = 1e-9;
/// Distances to bounds and multipliers below this, relative, are zero.
const ZERO: f64 = 1e-7;

/// A point, with multipliers of the follower.
#[derive(Clone, Debug)]
pub struct LinearPoint {
    /// x and the auxiliary variables of its set.
    pub x: Vec<f64>,
    /// y.
    pub y: Vec<f64>,
    /// F.
    pub value: f64,
}

impl QuadraticProblem {
    /// Whether the follower is of this kind.
    pub fn is_linear(&self) -> bool {
        self.follower.is_flat() && self.follower.rows_x.values().iter().all(|v| *v == 0.0)
    }

    /// Steps in turn from the follower's answer at x; `None` if there is none, or the leader cannot be satisfied from
    /// there.
    pub fn alternate(&self, x: &[f64], solves: &mut u64, stop: &dyn Fn() -> bool) -> Option<LinearPoint> {
        *solves += 1;
        let answer = self.follower.answer(x).filter(|answer| answer.status.is_answer())?;
        let mut y = answer.y;
        let mut best: Option<LinearPoint> = None;
        for _ in 0..TURNS {
            if stop() {
                break;
            }
            *solves += 2;
            let (x, _) = self.x_step(&y, None)?;
            let multipliers = self.multipliers_of(&x);
            let next = self.y_step(&x[..self.leader.lower.len()], &multipliers)?.z;
            let value = self.leader.evaluate(&[&x[..self.leader.lower.len()], &next].concat()).0;
            let better = best.as_ref().is_none_or(|b| value < b.value - PROGRESS * (1.0 + b.value.abs()));
            if !better {
                break;
            }
            best = Some(LinearPoint { x: x[..self.leader.lower.len()].to_vec(), y: next.clone(), value });
            y = next;
        }
        best
    }

    /// μ = c + P x − Bᵀλ for (x, λ), then λ.
    fn multipliers_of(&self, z: &[f64]) -> Vec<f64> {
        let (x, lambda) = z.split_at(self.leader.lower.len());
        let mut mu = self.follower.linear.clone();
        self.follower.cross.mul_add(1.0, x, &mut mu);
        self.follower.rows_y.transpose_mul_add(-1.0, lambda, &mut mu);
        mu.extend_from_slice(lambda);
        mu
    }

    /// The signs that multipliers may have where the items stand at y: the range of each.
    fn ranges(&self, y: &[f64]) -> Vec<(f64, f64)> {
        let follower = &self.follower;
        let mut values = y.to_vec();
        values.resize(y.len() + follower.r(), 0.0);
        let (own, activity) = values.split_at_mut(y.len());
        follower.rows_y.mul_add(1.0, own, activity);
        let size = 1.0 + norm_inf(y);
        let range = |(item, &value): (usize, &f64)| {
            let (low, high) = follower.range(item);
            let at = |bound: f64| bound.is_finite() && (value - bound).abs() <= ZERO * size;
            let (below, above) = (at(low), at(high));
            (if above { f64::NEG_INFINITY } else { 0.0 }, if below { f64::INFINITY } else { 0.0 })
        };
        values.iter().enumerate().map(range).collect()
    }

    /// The best (x, λ) for which y is an answer; with `fixed` at this x.
    fn x_step(&self, y: &[f64], fixed: Option<&[f64]>) -> Option<(Vec<f64>, QpSolution)> {
        let (leader, follower) = (&self.leader, &self.follower);
        let (n, m, r) = (leader.lower.len(), follower.m(), follower.r());
        let z = [&vec![0.0; n][..], y].concat();
        let mut slope = leader.linear.clone();
        leader.hessian.mul_add(1.0, &z, &mut slope);
        slope.truncate(n);
        slope.resize(n + r, 0.0);
        let hessian = Csr::from_triplets(n + r, n + r, &self.hessian_block(0..n))?;
        let ranges = self.ranges(y);
        let (low, high) = fixed.map_or((&leader.lower[..], &leader.upper[..]), |x| (x, x));
        let (mut lower, mut upper) = (low.to_vec(), high.to_vec());
        ranges[m..].iter().for_each(|&(low, high)| {
            lower.push(low);
            upper.push(high);
        });
        let mut entries = Vec::new();
        for j in 0..m {
            follower.cross.for_row(j, |k, v| entries.push((j, k, v)));
            entries.extend(follower.columns_y.row(j).map(|(i, v)| (j, n + i, -v)));
        }
        let (mut row_lower, mut row_upper): (Vec<f64>, Vec<f64>) =
            ranges[..m].iter().zip(&follower.linear).map(|((l, u), c)| (l - c, u - c)).unzip();
        for i in 0..leader.row_lower.len() {
            entries.extend(leader.rows_x.row(i).map(|(k, v)| (m + i, k, v)));
            let fixed = leader.rows_y.row_dot(i, y);
            row_lower.push(leader.row_lower[i] - fixed);
            row_upper.push(leader.row_upper[i] - fixed);
        }
        let rows = Csr::from_triplets(row_lower.len(), n + r, &entries)?;
        let found = solve(&hessian, &slope, (&lower, &upper), &rows, (&row_lower, &row_upper))?;
        Some((found.z.clone(), found))
    }

    /// The best answer in S(x), given multipliers (μ, λ) there.
    fn y_step(&self, x: &[f64], multipliers: &[f64]) -> Option<QpSolution> {
        let (leader, follower) = (&self.leader, &self.follower);
        let (n, m) = (x.len(), follower.m());
        let z = [x, &vec![0.0; m][..]].concat();
        let mut slope = leader.linear.clone();
        leader.hessian.mul_add(1.0, &z, &mut slope);
        let hessian = Csr::from_triplets(m, m, &self.hessian_block(n..n + m))?;
        let size = 1.0 + norm_inf(&multipliers[..m]);
        let held = |item: usize| {
            let (low, high) = follower.range(item);
            match multipliers[item] {
                u if u > ZERO * size && low.is_finite() => (low, low),
                u if u < -ZERO * size && high.is_finite() => (high, high),
                _ => (low, high),
            }
        };
        let (lower, upper): (Vec<f64>, Vec<f64>) = (0..m).map(held).unzip();
        let (mut row_lower, mut row_upper): (Vec<f64>, Vec<f64>) = (m..m + follower.r()).map(held).unzip();
        for i in 0..leader.row_lower.len() {
            let fixed = leader.rows_x.row_dot(i, x);
            row_lower.push(leader.row_lower[i] - fixed);
            row_upper.push(leader.row_upper[i] - fixed);
        }
        let rows = follower.rows_y.stack(&leader.rows_y).ok()?;
        solve(&hessian, &slope[n..], (&lower, &upper), &rows, (&row_lower, &row_upper))
    }

    /// The entries of a diagonal block of the leader's Hessian.
    fn hessian_block(&self, range: std::ops::Range<usize>) -> Vec<(usize, usize, f64)> {
        let mut out = Vec::new();
        for i in range.clone() {
            self.leader.hessian.for_row(i, |j, v| {
                if range.contains(&j) {
                    out.push((i - range.start, j - range.start, v));
                }
            });
        }
        out
    }

    /// Strong stationarity at (x, y): both programmes solved afresh, and what their multipliers leave of the system. The
    /// follower's multipliers are those that the x-step ends with or, if they are not for this x, any for it.
    pub(super) fn linear_stationarity(&self, x: &[f64], y: &[f64]) -> Option<StrongStationarity> {
        let n = x.len();
        let (z, found) = self.x_step(y, None)?;
        let own = self.linear_residual((x, y), &found, &z[n..]);
        if own.as_ref().is_some_and(|own| own.residual <= ZERO) {
            return own;
        }
        let other = self.x_step(y, Some(x)).and_then(|(z, _)| self.linear_residual((x, y), &found, &z[n..]));
        [own, other].into_iter().flatten().min_by(|a, b| a.residual.total_cmp(&b.residual))
    }

    /// What is left of the system at (x, y, λ) with the multipliers of an x-step and of a fresh y-step.
    fn linear_residual(
        &self,
        (x, y): (&[f64], &[f64]),
        found: &QpSolution,
        lambda: &[f64],
    ) -> Option<StrongStationarity> {
        let (leader, follower) = (&self.leader, &self.follower);
        let (n, m) = (x.len(), follower.m());
        let multipliers = self.multipliers_of(&[x, lambda].concat());
        let second = self.y_step(x, &multipliers)?;
        let (_, gradient) = leader.evaluate(&[x, y].concat());
        let (p, nu) = found.row_multipliers.split_at(m);
        let mut by_x = gradient[..n].to_vec();
        follower.cross.transpose_mul_add(-1.0, p, &mut by_x);
        leader.rows_x.transpose_mul_add(-1.0, nu, &mut by_x);
        axpy(-1.0, &found.bound_multipliers[..n], &mut by_x);
        let (q, nu) = second.row_multipliers.split_at(follower.r());
        let mut by_y = gradient[n..].to_vec();
        follower.rows_y.transpose_mul_add(-1.0, q, &mut by_y);
        leader.rows_y.transpose_mul_add(-1.0, nu, &mut by_y);
        axpy(-1.0, &second.bound_multipliers, &mut by_y);
        let mut worst = norm_inf(&by_x).max(norm_inf(&by_y));
        let mut rows = vec![0.0; follower.r()];
        follower.rows_y.mul_add(1.0, p, &mut rows);
        let (theta, q) = ([p, &rows].concat(), [&second.bound_multipliers[..], q].concat());
        let (ranges, size) = (self.ranges(y), 1.0 + norm_inf(&multipliers[..m]));
        for (item, &(low, high)) in ranges.iter().enumerate() {
            let vanishes = multipliers[item].abs() <= ZERO * size;
            let pair = (theta[item], if vanishes { q[item] } else { 0.0 });
            worst = worst.max(self.pair_residual(item, (low, high), multipliers[item], pair));
        }
        for (j, &u) in found.bound_multipliers[..n].iter().enumerate() {
            worst = worst.max(one_sided(x[j], (leader.lower[j], leader.upper[j]), u));
        }
        let residual = worst / (1.0 + norm_inf(&gradient));
        let (bounds, rows) = multipliers.split_at(m);
        residual.is_finite().then(|| StrongStationarity {
            residual,
            rows: rows.to_vec(),
            bounds: bounds.to_vec(),
            slope: Vec::new(),
        })
    }

    /// What an item leaves of its conditions: `range` are the multipliers that its place allows, θ belongs to the
    /// multiplier and q to the value, zero where it is held by a multiplier.
    fn pair_residual(&self, item: usize, range: (f64, f64), multiplier: f64, (theta, q): (f64, f64)) -> f64 {
        let (low, high) = self.follower.range(item);
        if low == high {
            return theta.abs();
        }
        let outside = (range.0 - multiplier).max(multiplier - range.1).max(0.0);
        match range {
            // Off its bounds: nothing on the value.
            (0.0, 0.0) => outside.max(q.abs()),
            // At the lower bound: θ >= 0 and only where the multiplier vanishes, q >= 0.
            (0.0, _) => outside.max(-theta).max(theta.min(multiplier)).max(-q),
            (_, 0.0) => outside.max(theta).max((-theta).min(-multiplier)).max(q),
            _ => theta.abs(),
        }
    }
}

/// What a multiplier of a bound leaves of its conditions.
fn one_sided(value: f64, (low, high): (f64, f64), multiplier: f64) -> f64 {
    let slack = if multiplier > 0.0 { value - low } else { high - value };
    multiplier.abs().min(slack.abs())
}

fn solve(
    hessian: &Csr,
    linear: &[f64],
    (lower, upper): (&[f64], &[f64]),
    rows: &Csr,
    (row_lower, row_upper): (&[f64], &[f64]),
) -> Option<QpSolution> {
    let flat = hessian.stored() == 0;
    let hessian = if flat { QpHessian::Zero } else { QpHessian::Sparse(hessian) };
    let qp = Qp { hessian, linear, lower, upper, rows, row_lower, row_upper, balls: &[] };
    solve_qp(&qp, &QpOptions::default()).ok().filter(|found| found.status.is_answer())
}
