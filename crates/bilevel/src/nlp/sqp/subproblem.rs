//! The quadratic subproblem: ranges of the step, the elastic form, and the projection of the start.
//!
//! Elastic form, for rows violated at p = 0 that the linearisation cannot repair:
//!
//! ```text
//! minimise ∇fᵀp + ½ pᵀB p + ρ Σ (t_i + ½ t_i²)   subject to   violated rows shifted by t_i >= 0, the others as they are
//! ```
//!
//! Since p = 0 with t_i = violation_i is feasible, it always has a solution.

use super::super::reduced::Reduced;
use super::active_set::{ActiveSet, Outcome, Quadratic};
use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, QpStatus, solve_qp};
use bilevel_linalg::{Csr, Dense};

/// ρ starts here relative to the gradient, grows by the factor, and ends here.
const FIRST_PRICE: f64 = 100.0;
const PRICE_FACTOR: f64 = 10.0;
const LAST_PRICE: f64 = 1e9;
/// The elastic step must remove at least this part of the linearised violation, or the price grows.
const WORTHWHILE: f64 = 0.1;
/// A violation below this is not worth an elastic step.
const NEGLIGIBLE: f64 = 1e-12;

/// How the linearised rows were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Linearised {
    /// They can be satisfied.
    Consistent,
    /// They cannot; the step lowers their violation.
    Elastic,
    /// No step lowers their violation.
    Stationary,
    /// The quadratic programme could not be solved.
    Failed,
}

/// The workspace of the subproblems.
pub(super) struct Subproblem {
    active_set: ActiveSet,
    lower: Vec<f64>,
    upper: Vec<f64>,
    row_lower: Vec<f64>,
    row_upper: Vec<f64>,
    /// Number of affine rows, the first ones.
    affine: usize,
    noise: f64,
    price: f64,
    elastic: Option<Elastic>,
}

/// The data of the elastic form.
struct Elastic {
    hessian: Dense,
    rows: Dense,
    linear: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

impl Subproblem {
    pub fn new(problem: &Reduced) -> Self {
        let (d, m) = (problem.variables(), problem.rows());
        Self {
            active_set: ActiveSet::default(),
            lower: vec![0.0; d],
            upper: vec![0.0; d],
            row_lower: vec![0.0; m],
            row_upper: vec![0.0; m],
            affine: problem.affine_rows(),
            noise: 0.0,
            price: 0.0,
            elastic: None,
        }
    }

    /// Ranges of the step at `z` where the rows have values `c`; no component moves further than `reach`.
    pub fn place(&mut self, problem: &Reduced, z: &[f64], c: &[f64], reach: f64) {
        self.noise = 4.0 * f64::EPSILON * z.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        for (j, z) in z.iter().enumerate() {
            self.lower[j] = (problem.lower[j] - z).max(-reach);
            self.upper[j] = (problem.upper[j] - z).min(reach);
        }
        for (i, c) in c.iter().enumerate() {
            self.row_lower[i] = problem.row_lower[i] - c;
            self.row_upper[i] = problem.row_upper[i] - c;
        }
    }

    fn quadratic<'a>(&'a self, b: &'a Dense, g: &'a [f64], rows: &'a Dense) -> Quadratic<'a> {
        Quadratic {
            hessian: b,
            linear: g,
            lower: &self.lower,
            upper: &self.upper,
            rows,
            row_lower: &self.row_lower,
            row_upper: &self.row_upper,
            noise: self.noise,
        }
    }

    /// Moves `z` to the nearest point within bounds and affine rows; `c` holds the rows' values at z. False if there
    /// is none.
    pub fn project(&mut self, problem: &Reduced, z: &mut [f64], c: &[f64]) -> bool {
        let r = problem.affine_rows();
        let outside = |i: usize| c[i] < problem.row_lower[i] || c[i] > problem.row_upper[i];
        if !(0..r).any(outside) {
            return true;
        }
        self.place(problem, z, c, f64::INFINITY);
        let (d, identity) = (z.len(), Dense::identity(z.len()));
        let quadratic = Quadratic {
            hessian: &identity,
            linear: &vec![0.0; d],
            lower: &self.lower,
            upper: &self.upper,
            rows: problem.affine_matrix(),
            row_lower: &self.row_lower[..r],
            row_upper: &self.row_upper[..r],
            noise: self.noise,
        };
        let mut solver = std::mem::take(&mut self.active_set);
        let outcome = match solver.solve(&quadratic) {
            Outcome::Failed => second_opinion(&quadratic, &mut solver),
            outcome => outcome,
        };
        if outcome == Outcome::Solved {
            z.iter_mut().zip(&solver.x).for_each(|(z, p)| *z += p);
        }
        self.active_set = solver;
        outcome != Outcome::Infeasible
    }

    /// Solves the subproblem, in its elastic form if need be, and writes step and multipliers.
    pub fn solve(
        &mut self,
        b: &Dense,
        g: &[f64],
        rows: &Dense,
        p: &mut [f64],
        bounds: &mut [f64],
        multipliers: &mut [f64],
    ) -> Linearised {
        let mut solver = std::mem::take(&mut self.active_set);
        let quadratic = self.quadratic(b, g, rows);
        let mut outcome = solver.solve(&quadratic);
        if outcome == Outcome::Failed {
            outcome = second_opinion(&quadratic, &mut solver);
        }
        let linearised = match outcome {
            Outcome::Solved => Linearised::Consistent,
            Outcome::Failed => Linearised::Failed,
            Outcome::Infeasible => self.relax(&mut solver, b, g, rows),
        };
        if linearised != Linearised::Failed {
            p.copy_from_slice(&solver.x[..p.len()]);
            bounds.copy_from_slice(&solver.bounds[..p.len()]);
            multipliers.copy_from_slice(&solver.rows);
        }
        self.active_set = solver;
        linearised
    }

    /// The step alone, for a second-order correction. False if the rows contradict each other.
    pub fn correct(&mut self, b: &Dense, g: &[f64], rows: &Dense, p: &mut [f64]) -> bool {
        let mut solver = std::mem::take(&mut self.active_set);
        let solved = solver.solve(&self.quadratic(b, g, rows)) == Outcome::Solved;
        if solved {
            p.copy_from_slice(&solver.x);
        }
        self.active_set = solver;
        solved
    }

    /// The elastic form, with the price raised until a worthwhile part of the violation goes.
    fn relax(&mut self, solver: &mut ActiveSet, b: &Dense, g: &[f64], rows: &Dense) -> Linearised {
        // Affine rows hold already, up to rounding.
        let violated: Vec<(usize, f64)> = (self.affine..rows.rows())
            .filter_map(|i| match (self.row_lower[i], self.row_upper[i]) {
                (l, _) if l > 0.0 => Some((i, 1.0)),
                (_, u) if u < 0.0 => Some((i, -1.0)),
                _ => None,
            })
            .collect();
        let before: f64 = violated.iter().map(|&(i, _)| self.row_lower[i].max(-self.row_upper[i])).sum();
        if violated.is_empty() || before <= NEGLIGIBLE {
            return Linearised::Failed;
        }
        self.fill_elastic(b, g, rows, &violated);
        let size = g.iter().fold(1.0f64, |m, v| m.max(v.abs()));
        self.price = self.price.max(FIRST_PRICE * size);
        loop {
            let Some(after) = self.solve_elastic(solver, g.len()) else { return Linearised::Failed };
            if after <= (1.0 - WORTHWHILE) * before {
                return Linearised::Elastic;
            }
            if self.price >= LAST_PRICE {
                return if after <= (1.0 - 1e-6) * before { Linearised::Elastic } else { Linearised::Stationary };
            }
            self.price *= PRICE_FACTOR;
        }
    }

    fn fill_elastic(&mut self, b: &Dense, g: &[f64], rows: &Dense, violated: &[(usize, f64)]) {
        let (d, e) = (g.len(), violated.len());
        let mut elastic = Elastic {
            hessian: Dense::zeros(d + e, d + e),
            rows: Dense::zeros(rows.rows(), d + e),
            linear: g.to_vec(),
            lower: self.lower.clone(),
            upper: self.upper.clone(),
        };
        for i in 0..d {
            elastic.hessian.row_mut(i)[..d].copy_from_slice(b.row(i));
        }
        for i in 0..rows.rows() {
            elastic.rows.row_mut(i)[..d].copy_from_slice(rows.row(i));
        }
        for (k, &(i, sign)) in violated.iter().enumerate() {
            elastic.rows[(i, d + k)] = sign;
        }
        elastic.lower.resize(d + e, 0.0);
        elastic.upper.resize(d + e, f64::INFINITY);
        elastic.linear.resize(d + e, 0.0);
        self.elastic = Some(elastic);
    }

    /// Solves the elastic form at the current price; returns the violation that is left.
    fn solve_elastic(&mut self, solver: &mut ActiveSet, d: usize) -> Option<f64> {
        let elastic = self.elastic.as_mut()?;
        for k in d..elastic.linear.len() {
            elastic.linear[k] = self.price;
            elastic.hessian[(k, k)] = self.price;
        }
        let quadratic = Quadratic {
            hessian: &elastic.hessian,
            linear: &elastic.linear,
            lower: &elastic.lower,
            upper: &elastic.upper,
            rows: &elastic.rows,
            row_lower: &self.row_lower,
            row_upper: &self.row_upper,
            noise: self.noise,
        };
        let mut outcome = solver.solve(&quadratic);
        if outcome == Outcome::Failed {
            outcome = second_opinion(&quadratic, solver);
        }
        (outcome == Outcome::Solved).then(|| solver.x[d..].iter().sum())
    }
}

/// Solves by an interior point method what the active-set method could not; the answer is written into `solver`.
fn second_opinion(q: &Quadratic, solver: &mut ActiveSet) -> Outcome {
    let rows = Csr::from_dense(q.rows);
    let qp = Qp {
        hessian: QpHessian::Dense(q.hessian),
        linear: q.linear,
        lower: q.lower,
        upper: q.upper,
        rows: &rows,
        row_lower: q.row_lower,
        row_upper: q.row_upper,
        balls: &[],
    };
    match solve_qp(&qp, &QpOptions::default()) {
        Ok(s) if s.status.is_answer() => {
            solver.x = s.z;
            solver.bounds = s.bound_multipliers;
            solver.rows = s.row_multipliers;
            Outcome::Solved
        }
        Ok(s) if s.status == QpStatus::Infeasible => Outcome::Infeasible,
        _ => Outcome::Failed,
    }
}
