//! Least squares with signs: minimise `½‖A x - b‖²` subject to `x_j >= 0` for some j, the others free.
//!
//! The active-set method of Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23, where free variables
//! never leave the passive set. Each passive problem is solved by QR with column pivoting, so dependent columns do no
//! harm. With `w = Aᵀ(b - A x)` the answer satisfies `w_j = 0` for free and positive variables and `w_j <= 0` at zeros.

use crate::dense::Dense;
use crate::error::{LinalgError, expect_finite, expect_size};
use crate::qr::PivotedQr;
use crate::vector::{norm_inf, norm2};

/// The answer of [`nnls`].
#[derive(Clone, Debug, PartialEq)]
pub struct NnlsSolution {
    /// The coefficients (one per column of A).
    pub x: Vec<f64>,
    /// `‖A x - b‖`.
    pub residual: f64,
    /// False if the iteration limit (3 n + 30) was reached: `x` has the right signs but need not be the best.
    pub converged: bool,
}

struct Problem<'a> {
    /// Row j is column j of A.
    columns: Dense,
    b: &'a [f64],
    qr: PivotedQr,
    passive: Vec<usize>,
    work: Vec<f64>,
    part: Vec<f64>,
}

impl Problem<'_> {
    /// Least squares over the passive columns, written to `z`; zeros elsewhere.
    fn passive_solution(&mut self, z: &mut [f64]) -> Result<(), LinalgError> {
        let (m, k) = (self.b.len(), self.passive.len());
        let chosen = Dense::from_fn(m, k, |i, j| self.columns[(self.passive[j], i)]);
        self.qr.factor(&chosen, None)?;
        self.work.clear();
        self.work.extend_from_slice(self.b);
        self.part.clear();
        self.part.resize(k, 0.0);
        self.qr.solve(&mut self.work, &mut self.part)?;
        z.fill(0.0);
        for (&j, &value) in self.passive.iter().zip(&self.part) {
            z[j] = value;
        }
        Ok(())
    }

    /// `A x - b`.
    fn residual(&self, x: &[f64]) -> Vec<f64> {
        let mut out: Vec<f64> = self.b.iter().map(|v| -v).collect();
        self.columns.transpose_mul_add(1.0, x, &mut out);
        out
    }
}

/// Minimises `‖A x - b‖` with `x_j >= 0` where `nonnegative[j]`.
///
/// # Errors
/// `Shape` if `b` does not have A's rows or `nonnegative` not its columns, `NotFinite`.
pub fn nnls(a: &Dense, b: &[f64], nonnegative: &[bool]) -> Result<NnlsSolution, LinalgError> {
    let n = a.cols();
    expect_size("right-hand side", a.rows(), b.len())?;
    expect_size("signs", n, nonnegative.len())?;
    expect_finite("the matrix", a.data())?;
    expect_finite("the right-hand side", b)?;
    let mut problem = Problem {
        columns: a.transpose(),
        b,
        qr: PivotedQr::new(),
        passive: (0..n).filter(|&j| !nonnegative[j]).collect(),
        work: Vec::new(),
        part: Vec::new(),
    };
    let (mut x, mut z) = (vec![0.0; n], vec![0.0; n]);
    problem.passive_solution(&mut x)?;
    // What a gradient entry may be in size and still be a rounding error.
    let noise: Vec<f64> = (0..n).map(|j| 10.0 * f64::EPSILON * norm2(problem.columns.row(j))).collect();
    let mut barred = vec![false; n];
    let mut converged = false;
    for _ in 0..3 * n + 30 {
        let r = problem.residual(&x);
        let size = norm2(&r) + norm2(b);
        let mut gradient = vec![0.0; n];
        problem.columns.mul_add(-1.0, &r, &mut gradient);
        let candidates = (0..n).filter(|&j| nonnegative[j] && !barred[j] && !problem.passive.contains(&j));
        let entering =
            candidates.filter(|&j| gradient[j] > noise[j] * size).max_by(|&i, &j| gradient[i].total_cmp(&gradient[j]));
        let Some(entering) = entering else {
            converged = true;
            break;
        };
        problem.passive.push(entering);
        problem.passive_solution(&mut z)?;
        if z[entering] <= 0.0 {
            // Rounding, or a column that depends on the passive ones: it would come back at once.
            problem.passive.pop();
            barred[entering] = true;
            continue;
        }
        barred.fill(false);
        descend(&mut problem, nonnegative, &mut x, &mut z)?;
    }
    let residual = norm2(&problem.residual(&x));
    if norm_inf(&x).is_finite() {
        Ok(NnlsSolution { x, residual, converged })
    } else {
        Err(LinalgError::NotFinite { what: "the coefficients" })
    }
}

/// Moves `x` towards the passive solution `z` as far as signs allow, drops what reached zero, and repeats until the
/// passive solution has the right signs. Ends: the passive set shrinks each time.
fn descend(problem: &mut Problem, nonnegative: &[bool], x: &mut [f64], z: &mut [f64]) -> Result<(), LinalgError> {
    loop {
        let blocks = |j: usize, z: &[f64]| nonnegative[j] && z[j] <= 0.0;
        let mut step: f64 = 1.0;
        let mut blocking = None;
        for &j in problem.passive.iter().filter(|&&j| blocks(j, z)) {
            let limit = if x[j] > z[j] { x[j] / (x[j] - z[j]) } else { 0.0 };
            if blocking.is_none() || limit < step {
                (step, blocking) = (limit, Some(j));
            }
        }
        let Some(blocking) = blocking else {
            x.copy_from_slice(z);
            return Ok(());
        };
        for (x, z) in x.iter_mut().zip(&*z) {
            *x += step * (z - *x);
        }
        problem.passive.retain(|&j| {
            let stays = !nonnegative[j] || (j != blocking && x[j] > 0.0);
            if !stays {
                x[j] = 0.0;
            }
            stays
        });
        problem.passive_solution(z)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Stream, dense, of_rank};
    use proptest::prelude::*;

    fn check(a: &Dense, b: &[f64], nonnegative: &[bool], s: &NnlsSolution) {
        assert!(s.converged);
        let mut r: Vec<f64> = b.iter().map(|v| -v).collect();
        a.mul_add(1.0, &s.x, &mut r);
        assert!((norm2(&r) - s.residual).abs() < 1e-12 * (1.0 + s.residual));
        let mut w = vec![0.0; a.cols()];
        a.transpose_mul_add(-1.0, &r, &mut w);
        let small = 1e-11 * (1.0 + norm_inf(&s.x));
        for j in 0..a.cols() {
            assert!(!nonnegative[j] || s.x[j] >= 0.0);
            assert!(w[j] <= small, "{}", w[j]);
            assert!(w[j] >= -small || (nonnegative[j] && s.x[j] == 0.0), "{} {}", w[j], s.x[j]);
        }
    }

    proptest! {
        #[test]
        fn satisfies_the_optimality_conditions(m in 0..10usize, n in 0..12usize, seed in 0..2000u64) {
            let (a, b) = (dense(m, n, seed), dense(1, m, seed + 1));
            let mut stream = Stream::new(seed);
            let nonnegative: Vec<bool> = (0..n).map(|_| stream.below(3) > 0).collect();
            let s = nnls(&a, b.data(), &nonnegative).unwrap();
            check(&a, b.data(), &nonnegative, &s);
        }

        #[test]
        fn dependent_columns_do_no_harm(m in 1..8usize, n in 1..10usize, r in 1..4usize, seed in 0..2000u64) {
            let a = of_rank(m, n, r, seed);
            let svd = crate::Svd::new(&a, None).unwrap();
            prop_assume!(svd.values().iter().all(|s| *s > 1e-3 || *s < 1e-13));
            let b = dense(1, m, seed + 1);
            let s = nnls(&a, b.data(), &vec![true; n]).unwrap();
            check(&a, b.data(), &vec![true; n], &s);
        }
    }

    #[test]
    fn closed_forms_and_bad_input() {
        let s = nnls(&Dense::identity(3), &[1.0, -2.0, -3.0], &[true, true, false]).unwrap();
        assert_eq!(s.x, vec![1.0, 0.0, -3.0]);
        assert_eq!(s.residual, 2.0);
        assert!(nnls(&Dense::identity(1), &[f64::NAN], &[true]).is_err());
        assert!(nnls(&Dense::identity(1), &[1.0], &[]).is_err());
        assert!(nnls(&Dense::identity(2), &[1.0], &[true, true]).is_err());
        assert_eq!(nnls(&Dense::zeros(2, 2), &[1.0, 0.0], &[true, false]).unwrap().x, vec![0.0, 0.0]);
    }
}
