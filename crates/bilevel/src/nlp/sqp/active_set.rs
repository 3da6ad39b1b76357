//! A dual active-set method for the strictly convex quadratic programmes of SQP.
//!
//! ```text
//! minimise ½ pᵀB p + gᵀp   subject to   lower <= p <= upper,   row_lower <= A p <= row_upper
//! ```
//!
//! Starts at the unconstrained minimiser and adds violated constraints one by one, dropping those whose multiplier
//! would change sign; ends at the solution or with a proof of infeasibility. Source: Goldfarb & Idnani, *A numerically
//! stable dual method for solving strictly convex quadratic programs*, Math. Program. 27 (1983), with J = L⁻ᵀQ and R
//! updated by Givens rotations. Exact active sets, no tolerance to choose, and microseconds for small problems.

use bilevel_linalg::Dense;

/// A constraint normal with less than this part outside the span of the active ones depends on them.
const DEPENDENT: f64 = 1e-11;
/// Violations below this, relative to the terms of the constraint, are rounding.
const ROUNDING: f64 = 1e-14;
/// A dependent constraint with a violation below this, relative to its terms, is taken as redundant.
const REDUNDANT: f64 = 1e-9;

/// Contradictions of dependent constraints below this many times the noise are noise.
const MANY: f64 = 1e3;

/// Rounds of refinement at the end.
const REFINEMENTS: usize = 1;

/// How a solve ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Solved,
    Infeasible,
    /// B is not positive definite, data are not finite, or rounding prevailed.
    Failed,
}

/// The data of a quadratic programme; bounds may be infinite.
#[derive(Clone, Copy)]
pub(super) struct Quadratic<'a> {
    /// B, symmetric positive definite.
    pub hessian: &'a Dense,
    pub linear: &'a [f64],
    pub lower: &'a [f64],
    pub upper: &'a [f64],
    pub rows: &'a Dense,
    pub row_lower: &'a [f64],
    pub row_upper: &'a [f64],
    /// Distances to a constraint below this are rounding errors of the data.
    pub noise: f64,
}

/// An item is a bound (below n) or a row (n + i).
#[derive(Clone, Copy, Debug)]
struct Active {
    item: usize,
    /// 1 where the lower side is active, −1 where the upper one is.
    sign: f64,
    equality: bool,
}

/// The workspace, and the solution of the last solve.
#[derive(Default)]
pub(super) struct ActiveSet {
    n: usize,
    /// The solution (length n).
    pub x: Vec<f64>,
    /// Multipliers of the bounds: >= 0 at lower, <= 0 at upper sides.
    pub bounds: Vec<f64>,
    /// Multipliers of the rows.
    pub rows: Vec<f64>,
    /// L, row by row.
    factor: Vec<f64>,
    /// Jᵀ, row by row.
    jt: Vec<f64>,
    /// R, upper triangular, row by row.
    r: Vec<f64>,
    active: Vec<Active>,
    multipliers: Vec<f64>,
    is_active: Vec<bool>,
    /// Redundant items: not in the active set, but not looked at until it shrinks.
    skipped: Vec<usize>,
    d: Vec<f64>,
    z: Vec<f64>,
    direction: Vec<f64>,
    normal: Vec<f64>,
}

impl ActiveSet {
    /// Solves; the solution is in the public fields.
    pub fn solve(&mut self, q: &Quadratic) -> Outcome {
        self.resize(q);
        if self.n == 0 {
            let empty = q.row_lower.iter().zip(q.row_upper).any(|(l, u)| *l > REDUNDANT || *u < -REDUNDANT);
            return if empty { Outcome::Infeasible } else { Outcome::Solved };
        }
        if !self.factorise(q.hessian) || !q.linear.iter().all(|v| v.is_finite()) {
            return Outcome::Failed;
        }
        self.minimise_unconstrained(q.linear);
        for i in 0..q.rows.rows() {
            if q.row_lower[i] == q.row_upper[i] {
                match self.enforce(q, self.n + i, true) {
                    Outcome::Solved => {}
                    other => return other,
                }
            }
        }
        let limit = 50 + 20 * (self.n + q.rows.rows());
        let mut refined = 0;
        for _ in 0..limit {
            if bilevel_linalg::stop::asked() {
                break;
            }
            let Some(item) = self.most_violated(q) else {
                if refined < REFINEMENTS {
                    refined += 1;
                    self.refine(q);
                    continue;
                }
                self.collect();
                return if self.x.iter().all(|v| v.is_finite()) { Outcome::Solved } else { Outcome::Failed };
            };
            match self.enforce(q, item, false) {
                Outcome::Solved => {}
                other => return other,
            }
        }
        Outcome::Failed
    }

    fn resize(&mut self, q: &Quadratic) {
        let (n, m) = (q.linear.len(), q.rows.rows());
        self.n = n;
        self.active.clear();
        self.multipliers.clear();
        self.skipped.clear();
        for (v, len) in [
            (&mut self.x, n),
            (&mut self.bounds, n),
            (&mut self.rows, m),
            (&mut self.factor, n * n),
            (&mut self.jt, n * n),
            (&mut self.r, n * n),
            (&mut self.d, n),
            (&mut self.z, n),
            (&mut self.direction, n),
            (&mut self.normal, n),
        ] {
            v.clear();
            v.resize(len, 0.0);
        }
        self.is_active.clear();
        self.is_active.resize(n + m, false);
    }

    /// B = L Lᵀ and Jᵀ = L⁻¹.
    fn factorise(&mut self, b: &Dense) -> bool {
        let n = self.n;
        let l = &mut self.factor;
        for i in 0..n {
            for j in 0..=i {
                let (row_i, row_j) = (&l[i * n..i * n + j], &l[j * n..j * n + j]);
                let s = b[(i, j)] - row_i.iter().zip(row_j).map(|(a, c)| a * c).sum::<f64>();
                if i == j {
                    if !(s > 0.0 && s.is_finite()) {
                        return false;
                    }
                    l[i * n + i] = s.sqrt();
                } else {
                    l[i * n + j] = s / l[j * n + j];
                }
            }
        }
        // Row i of L⁻¹ from the rows before it.
        for i in 0..n {
            let (done, rest) = self.jt.split_at_mut(i * n);
            let row = &mut rest[..n];
            for k in 0..i {
                let lik = l[i * n + k];
                for (o, v) in row[..=k].iter_mut().zip(&done[k * n..k * n + k + 1]) {
                    *o -= lik * v;
                }
            }
            row[i] = 1.0;
            let pivot = 1.0 / l[i * n + i];
            row[..=i].iter_mut().for_each(|v| *v *= pivot);
        }
        true
    }

    /// x = −B⁻¹g = −J Jᵀ g.
    fn minimise_unconstrained(&mut self, g: &[f64]) {
        let n = self.n;
        for k in 0..n {
            let row = &self.jt[k * n..(k + 1) * n];
            let d: f64 = row.iter().zip(g).map(|(a, b)| a * b).sum();
            for (x, v) in self.x.iter_mut().zip(row) {
                *x -= d * v;
            }
        }
    }

    /// Value of an item at x, and the size of its terms.
    fn value(&self, q: &Quadratic, item: usize) -> (f64, f64) {
        if item < self.n {
            return (self.x[item], self.x[item].abs());
        }
        let row = q.rows.row(item - self.n);
        row.iter().zip(&self.x).fold((0.0, 0.0), |(v, s), (a, x)| (v + a * x, s + (a * x).abs()))
    }

    fn range(&self, q: &Quadratic, item: usize) -> (f64, f64) {
        if item < self.n {
            (q.lower[item], q.upper[item])
        } else {
            (q.row_lower[item - self.n], q.row_upper[item - self.n])
        }
    }

    /// The inactive item with the largest violation relative to the length of its normal.
    fn most_violated(&self, q: &Quadratic) -> Option<usize> {
        let mut worst = (0.0, None);
        for item in 0..self.is_active.len() {
            if self.is_active[item] {
                continue;
            }
            let (lower, upper) = self.range(q, item);
            if lower == f64::NEG_INFINITY && upper == f64::INFINITY {
                continue;
            }
            let (value, size) = self.value(q, item);
            let violation = (lower - value).max(value - upper);
            let bound = if lower - value > 0.0 { lower } else { upper };
            if violation <= ROUNDING * (size + bound.abs()) {
                continue;
            }
            let length = if item < self.n { 1.0 } else { norm(q.rows.row(item - self.n)) };
            let distance = violation / length.max(f64::MIN_POSITIVE);
            if distance > worst.0 && distance > q.noise {
                worst = (distance, Some(item));
            }
        }
        worst.1
    }

    /// Moves to the solution with `item` added to the active constraints.
    fn enforce(&mut self, q: &Quadratic, item: usize, equality: bool) -> Outcome {
        let (lower, upper) = self.range(q, item);
        let (value, _) = self.value(q, item);
        let sign = if lower - value >= value - upper { 1.0 } else { -1.0 };
        let bound = if sign > 0.0 { lower } else { upper };
        self.normal.fill(0.0);
        if item < self.n {
            self.normal[item] = sign;
        } else {
            for (v, a) in self.normal.iter_mut().zip(q.rows.row(item - self.n)) {
                *v = sign * a;
            }
        }
        let mut multiplier = 0.0;
        loop {
            self.directions();
            let active = self.active.len();
            let inside: f64 = self.d.iter().map(|v| v * v).sum::<f64>();
            let outside: f64 = self.d[active..].iter().map(|v| v * v).sum();
            let (value, size) = self.value(q, item);
            let missing = sign * (bound - value);
            let independent = outside > DEPENDENT * DEPENDENT * inside && outside > 0.0;
            let full = if independent { missing / outside } else { f64::INFINITY };
            let (partial, leaving) = self.blocking();
            if !independent {
                let noise = MANY * q.noise * norm(&self.normal);
                let redundant = missing.abs() <= noise.max(REDUNDANT * (size + bound.abs()));
                if redundant || leaving.is_none() {
                    self.is_active[item] = true;
                    self.skipped.push(item);
                    return if redundant { Outcome::Solved } else { Outcome::Infeasible };
                }
            }
            let step = full.min(partial);
            if !step.is_finite() {
                return Outcome::Failed;
            }
            multiplier += step;
            for (u, r) in self.multipliers.iter_mut().zip(&self.direction) {
                *u -= step * r;
            }
            if independent {
                for (x, z) in self.x.iter_mut().zip(&self.z) {
                    *x += step * z;
                }
            }
            if full <= partial {
                self.is_active[item] = true;
                self.add(Active { item, sign, equality }, multiplier);
                return Outcome::Solved;
            }
            match leaving {
                Some(l) => self.remove(l),
                None => return Outcome::Failed,
            }
        }
    }

    /// d = Jᵀ n, z = J₂ d₂ (the primal direction), direction = R⁻¹ d₁ (the dual one).
    fn directions(&mut self) {
        let (n, k) = (self.n, self.active.len());
        for (d, row) in self.d.iter_mut().zip(self.jt.chunks_exact(n)) {
            *d = row.iter().zip(&self.normal).map(|(a, b)| a * b).sum();
        }
        self.z.fill(0.0);
        for (d, row) in self.d.iter().zip(self.jt.chunks_exact(n)).skip(k) {
            for (z, v) in self.z.iter_mut().zip(row) {
                *z += d * v;
            }
        }
        for i in (0..k).rev() {
            let tail: f64 = (i + 1..k).map(|j| self.r[i * n + j] * self.direction[j]).sum();
            self.direction[i] = (self.d[i] - tail) / self.r[i * n + i];
        }
    }

    /// The longest dual step that keeps multipliers nonnegative, and who stops it.
    fn blocking(&self) -> (f64, Option<usize>) {
        let mut best = (f64::INFINITY, None);
        let largest = self.direction[..self.active.len()].iter().fold(0.0f64, |m, v| m.max(v.abs()));
        for (k, a) in self.active.iter().enumerate() {
            if !a.equality && self.direction[k] > ROUNDING * largest {
                let step = (self.multipliers[k] / self.direction[k]).max(0.0);
                if step < best.0 {
                    best = (step, Some(k));
                }
            }
        }
        best
    }

    /// Appends d as a column of R, after rotations that empty d below it.
    fn add(&mut self, active: Active, multiplier: f64) {
        let (n, k) = (self.n, self.active.len());
        for j in (k + 1..n).rev() {
            let (a, b) = (self.d[j - 1], self.d[j]);
            if b == 0.0 {
                continue;
            }
            let h = a.hypot(b);
            let (c, s) = (a / h, b / h);
            self.d[j - 1] = h;
            self.d[j] = 0.0;
            rotate(&mut self.jt, n, j - 1, j, c, s);
        }
        for i in 0..=k {
            self.r[i * n + k] = self.d[i];
        }
        self.active.push(active);
        self.multipliers.push(multiplier);
    }

    /// Removes column `l` of R and makes R triangular again.
    fn remove(&mut self, l: usize) {
        let n = self.n;
        let removed = self.active.remove(l);
        self.multipliers.remove(l);
        self.is_active[removed.item] = false;
        for item in self.skipped.drain(..) {
            self.is_active[item] = false;
        }
        let k = self.active.len();
        for i in 0..n {
            for j in l..k {
                self.r[i * n + j] = self.r[i * n + j + 1];
            }
            self.r[i * n + k] = 0.0;
        }
        for j in l..k {
            let (a, b) = (self.r[j * n + j], self.r[(j + 1) * n + j]);
            if b == 0.0 {
                continue;
            }
            let h = a.hypot(b);
            let (c, s) = (a / h, b / h);
            for col in j..k {
                let (u, v) = (self.r[j * n + col], self.r[(j + 1) * n + col]);
                self.r[j * n + col] = c * u + s * v;
                self.r[(j + 1) * n + col] = c * v - s * u;
            }
            rotate(&mut self.jt, n, j, j + 1, c, s);
        }
    }

    /// Removes the rounding errors that the steps have left: x moves back onto the active constraints, and to the
    /// minimiser on them; the multipliers are computed afresh.
    fn refine(&mut self, q: &Quadratic) {
        let (n, k) = (self.n, self.active.len());
        // Rᵀ w = what the active constraints miss; x += J₁ w.
        for i in 0..k {
            let a = self.active[i];
            let (lower, upper) = self.range(q, a.item);
            let missing = a.sign * (if a.sign > 0.0 { lower } else { upper } - self.value(q, a.item).0);
            let head: f64 = (0..i).map(|j| self.r[j * n + i] * self.direction[j]).sum();
            self.direction[i] = (missing - head) / self.r[i * n + i];
        }
        for (w, row) in self.direction[..k].iter().zip(self.jt.chunks_exact(n)) {
            self.x.iter_mut().zip(row).for_each(|(x, v)| *x += w * v);
        }
        // x −= J₂ J₂ᵀ(Bx + g);  R u = J₁ᵀ(Bx + g).
        for last in [false, true] {
            self.z.copy_from_slice(q.linear);
            q.hessian.mul_add(1.0, &self.x, &mut self.z);
            for (i, row) in self.jt.chunks_exact(n).enumerate() {
                self.d[i] = row.iter().zip(&self.z).map(|(a, b)| a * b).sum();
                if i >= k && !last {
                    let e = self.d[i];
                    self.x.iter_mut().zip(row).for_each(|(x, v)| *x -= e * v);
                }
            }
        }
        for i in (0..k).rev() {
            let tail: f64 = (i + 1..k).map(|j| self.r[i * n + j] * self.multipliers[j]).sum();
            self.multipliers[i] = (self.d[i] - tail) / self.r[i * n + i];
        }
    }

    fn collect(&mut self) {
        for (a, u) in self.active.iter().zip(&self.multipliers) {
            let value = a.sign * if a.equality { *u } else { u.max(0.0) };
            if a.item < self.n {
                self.bounds[a.item] = value;
            } else {
                self.rows[a.item - self.n] = value;
            }
        }
    }
}

/// Rows (p, q) of the matrix become (c p + s q, c q − s p).
fn rotate(matrix: &mut [f64], n: usize, p: usize, q: usize, c: f64, s: f64) {
    let (head, tail) = matrix.split_at_mut(q * n);
    for (u, v) in head[p * n..(p + 1) * n].iter_mut().zip(&mut tail[..n]) {
        let (a, b) = (*u, *v);
        *u = c * a + s * b;
        *v = c * b - s * a;
    }
}

fn norm(v: &[f64]) -> f64 {
    v.iter().map(|a| a * a).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INF: f64 = f64::INFINITY;

    /// Largest violation of the optimality conditions.
    fn residual(q: &Quadratic, s: &ActiveSet) -> f64 {
        let mut r = q.linear.to_vec();
        q.hessian.mul_add(1.0, &s.x, &mut r);
        q.rows.transpose_mul_add(-1.0, &s.rows, &mut r);
        r.iter_mut().zip(&s.bounds).for_each(|(r, b)| *r -= b);
        let mut worst = r.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let mut ax = vec![0.0; q.rows.rows()];
        q.rows.mul_add(1.0, &s.x, &mut ax);
        let sides = s.x.iter().zip(q.lower).zip(q.upper).zip(&s.bounds);
        for (((v, l), u), y) in sides.chain(ax.iter().zip(q.row_lower).zip(q.row_upper).zip(&s.rows)) {
            worst = worst.max(l - v).max(v - u);
            if l < u && *y != 0.0 {
                worst = worst.max(if *y > 0.0 { y * (v - l).abs() } else { -y * (u - v).abs() });
            }
        }
        worst
    }

    proptest! {
        #[test]
        fn optimality_conditions_hold(n in 1usize..7, m in 0usize..6, seed in prop::collection::vec(-1.0..1.0f64, 160),
                                      equalities in 0usize..3) {
            let b = Dense::from_fn(n, n, |i, j| {
                (0..n).map(|k| seed[i * 7 + k] * seed[j * 7 + k]).sum::<f64>() + if i == j { 0.05 } else { 0.0 }
            });
            let rows = Dense::from_fn(m, n, |i, j| seed[50 + i * 7 + j]);
            // The rows contain the point `inside`, so that the programme is feasible.
            let inside: Vec<f64> = (0..n).map(|j| 2.0 * seed[100 + j]).collect();
            let mut at = vec![0.0; m];
            rows.mul_add(1.0, &inside, &mut at);
            let equal = equalities.min(n - 1);
            let row_lower: Vec<f64> = (0..m).map(|i| if i < equal { at[i] } else if i % 2 == 0 { -INF } else { at[i] - seed[120 + i].abs() }).collect();
            let row_upper: Vec<f64> = (0..m).map(|i| if i < equal { at[i] } else { at[i] + seed[130 + i].abs() }).collect();
            let lower: Vec<f64> = (0..n).map(|j| if j % 3 == 0 { -INF } else { inside[j] - seed[140 + j].abs() }).collect();
            let upper: Vec<f64> = (0..n).map(|j| if j % 4 == 1 { INF } else { inside[j] + seed[150 + j].abs() }).collect();
            let linear: Vec<f64> = (0..n).map(|j| 5.0 * seed[110 + j]).collect();
            let q = Quadratic { hessian: &b, linear: &linear, lower: &lower, upper: &upper, rows: &rows,
                                row_lower: &row_lower, row_upper: &row_upper, noise: 1e-15 };
            let mut solver = ActiveSet::default();
            prop_assert_eq!(solver.solve(&q), Outcome::Solved);
            prop_assert!(residual(&q, &solver) < 1e-9, "{}", residual(&q, &solver));
        }
    }

    #[test]
    fn infeasible_and_dependent_rows() {
        let b = Dense::identity(2);
        let rows = Dense::from_fn(3, 2, |i, _| [1.0, 2.0, 1.0][i]);
        let mut q = Quadratic {
            hessian: &b,
            linear: &[1.0, 1.0],
            lower: &[-INF; 2],
            upper: &[INF; 2],
            rows: &rows,
            row_lower: &[1.0, 2.0, -INF],
            row_upper: &[1.0, 2.0, 1.0],
            noise: 1e-15,
        };
        let mut solver = ActiveSet::default();
        assert_eq!(solver.solve(&q), Outcome::Solved);
        assert!(residual(&q, &solver) < 1e-14);
        q.row_upper = &[1.0, 2.0, 0.9];
        assert_eq!(solver.solve(&q), Outcome::Infeasible);
        q.linear = &[f64::NAN, 0.0];
        assert_eq!(solver.solve(&q), Outcome::Failed);
    }
}
