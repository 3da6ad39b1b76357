//! Feasible answers near a point that is feasible within δ only: the tier between strict and δ.
//!
//! Equalities, and inequalities that are violated by rounding, become a square system e(y_B) = 0 in as many variables
//! as there are equations; the others are held fixed. Krawczyk's operator on a tiny box Y around ŷ,
//!
//! ```text
//! K = ŷ - C e(ŷ) + (I - C J(Y)) (Y - ŷ),    C near the inverse of J(ŷ),
//! ```
//!
//! lies inside Y only if there is a solution in K [Krawczyk 1969; Neumaier 1990, ch. 5]. All other constraints are then
//! checked over K, and the objective's range over K is that of a feasible answer.

use bilevel_linalg::{Dense, PivotedQr};

use super::interval::Interval;
use super::minimum::{Candidate, Task};
use super::program::Sweep;

/// Constraints within this of equality may join the system.
const NEAR: f64 = 1e-7;

/// Looks for an exactly feasible answer near `y`. The candidate's value encloses the objective of that answer; its
/// point is only near it.
pub fn exists_near(task: &Task, y: &[f64]) -> Option<Candidate> {
    // First with the violated inequalities as equations, then with all that are nearly active.
    [0.0, -NEAR].into_iter().find_map(|threshold| System::new(task, y, threshold)?.solve())
}

struct System<'a> {
    task: &'a Task,
    /// The roots that must vanish.
    equations: Vec<usize>,
    /// The variables that are solved for.
    basic: Vec<usize>,
    y: Vec<f64>,
    /// C, row by row.
    inverse: Vec<f64>,
}

impl<'a> System<'a> {
    fn new(task: &'a Task, y: &[f64], threshold: f64) -> Option<Self> {
        let program = &task.program;
        let y: Vec<f64> = y.iter().zip(&task.domain).map(|(&v, z)| at_end(*z, v)).collect();
        let mut spot = Sweep::<f64>::new(program);
        spot.forward(program, &y);
        let equations: Vec<usize> =
            (1..program.roots()).filter(|&r| r > task.inequalities || spot.value(program, r) > threshold).collect();
        let free: Vec<usize> =
            (0..y.len()).filter(|&v| task.domain[v].lo() < y[v] && y[v] < task.domain[v].hi()).collect();
        let k = equations.len();
        if k == 0 || k > free.len() {
            return None;
        }
        let mut jacobian = Dense::zeros(k, free.len());
        let mut row = vec![0.0; y.len()];
        for (i, &r) in equations.iter().enumerate() {
            spot.gradient(program, r, &mut row);
            free.iter().enumerate().for_each(|(j, &v)| jacobian[(i, j)] = row[v]);
        }
        let mut qr = PivotedQr::new();
        qr.factor(&jacobian, None).ok()?;
        if qr.rank() < k {
            return None;
        }
        let columns = qr.order()[..k].to_vec();
        let square = Dense::from_row_major(k, k, (0..k * k).map(|at| jacobian[(at / k, columns[at % k])]).collect())?;
        let basic = columns.into_iter().map(|j| free[j]).collect();
        let inverse = inverse(&square)?;
        Some(Self { task, equations, basic, y, inverse })
    }

    fn solve(mut self) -> Option<Candidate> {
        let program = &self.task.program;
        let k = self.basic.len();
        let mut spot = Sweep::<f64>::new(program);
        for _ in 0..3 {
            spot.forward(program, &self.y);
            let e: Vec<f64> = self.equations.iter().map(|&r| spot.value(program, r)).collect();
            for (i, &v) in self.basic.iter().enumerate() {
                self.y[v] -= (0..k).map(|j| self.inverse[i * k + j] * e[j]).sum::<f64>();
            }
        }
        if self.y.iter().any(|v| !v.is_finite()) {
            return None;
        }
        [1e-13, 1e-11, 1e-9, 1e-7].into_iter().find_map(|radius| self.krawczyk(radius))
    }

    fn krawczyk(&self, radius: f64) -> Option<Candidate> {
        let (task, program) = (self.task, &self.task.program);
        let k = self.basic.len();
        let mut domain: Vec<_> = self.y.iter().map(|&v| Interval::point(v)).collect();
        let mut sweep = Sweep::<Interval>::new(program);
        sweep.forward(program, &domain);
        let errors: Vec<_> = self.equations.iter().map(|&r| sweep.value(program, r)).collect();
        for &v in &self.basic {
            let reach = radius * (1.0 + self.y[v].abs());
            domain[v] = Interval::new(self.y[v] - reach, self.y[v] + reach);
        }
        sweep.forward(program, &domain);
        if (0..program.roots()).any(|r| !sweep.defined(program, r)) {
            return None;
        }
        let mut rows = Vec::with_capacity(k);
        for &r in &self.equations {
            let mut row = vec![Interval::ZERO; domain.len()];
            sweep.gradient(program, r, &mut row);
            rows.push(row);
        }
        let c = |i: usize, j: usize| Interval::point(self.inverse[i * k + j]);
        let mut image = domain.clone();
        for (i, &v) in self.basic.iter().enumerate() {
            let mut z = Interval::point(self.y[v]);
            for (j, e) in errors.iter().enumerate() {
                z = z - c(i, j) * *e;
            }
            for (l, &w) in self.basic.iter().enumerate() {
                let identity = if l == i { Interval::ONE } else { Interval::ZERO };
                let entry = (0..k).fold(identity, |sum, j| sum - c(i, j) * rows[j][w]);
                z = z + entry * (domain[w] - Interval::point(self.y[w]));
            }
            if !(domain[v].lo() < z.lo() && z.hi() < domain[v].hi()) {
                return None;
            }
            image[v] = z;
        }
        sweep.forward(program, &image);
        let holds = (1..=task.inequalities)
            .filter(|r| !self.equations.contains(r))
            .all(|r| sweep.value(program, r).hi() <= 0.0);
        let inside = image.iter().zip(&task.domain).all(|(z, whole)| whole.encloses(*z));
        if !holds || !inside {
            return None;
        }
        let violation = (1..program.roots()).map(|r| sweep.value(program, r).mag()).fold(0.0, f64::max);
        Some(Candidate { point: self.y.clone(), value: sweep.value(program, 0), violation })
    }
}

/// An end of the interval if `v` is as good as there.
fn at_end(z: Interval, v: f64) -> f64 {
    let v = z.clamp(v);
    [z.lo(), z.hi()].into_iter().find(|end| (v - end).abs() <= 1e-9 * (1.0 + end.abs())).unwrap_or(v)
}

/// The inverse of a small matrix, row by row, in ordinary rounding.
fn inverse(matrix: &Dense) -> Option<Vec<f64>> {
    let k = matrix.rows();
    let mut qr = PivotedQr::new();
    qr.factor(matrix, None).ok()?;
    let mut out = vec![0.0; k * k];
    let (mut right, mut column) = (vec![0.0; k], vec![0.0; k]);
    for j in 0..k {
        right.fill(0.0);
        right[j] = 1.0;
        qr.solve(&mut right, &mut column).ok()?;
        column.iter().enumerate().for_each(|(i, &v)| out[i * k + j] = v);
    }
    out.iter().all(|v| v.is_finite()).then_some(out)
}
