//! The interior-point solve: `minimise ½ zᵀPz + qᵀz subject to C z + s = d, s in a product of cones`.
//!
//! Order of the cone's rows: equalities (zero cone), inequalities (nonnegative cone), balls (second-order cones).

use clarabel::algebra::CscMatrix;
use clarabel::solver::{
    DefaultSettings, DefaultSolver, IPSolver, NonnegativeConeT, SecondOrderConeT, SolverStatus, SupportedConeT,
    ZeroConeT,
};

use super::{INFINITE_BOUND, Qp, QpHessian, QpOptions, QpSolution, QpStatus};

/// Where a row of the cone programme comes from; `sign` is that of its coefficients.
#[derive(Clone, Copy)]
struct Side {
    origin: Origin,
    sign: f64,
}

#[derive(Clone, Copy)]
enum Origin {
    Variable(usize),
    Row(usize),
}

/// The cone programme of a quadratic programme.
struct Form {
    sides: Vec<Side>,
    equalities: usize,
    right: Vec<f64>,
    cones: Vec<SupportedConeT<f64>>,
}

impl Form {
    fn of(qp: &Qp) -> Self {
        let (mut equal, mut unequal) = (Vec::new(), Vec::new());
        let variables = (0..qp.dimension()).map(|j| (Origin::Variable(j), qp.lower[j], qp.upper[j]));
        let rows = (0..qp.rows.rows()).map(|i| (Origin::Row(i), qp.row_lower[i], qp.row_upper[i]));
        for (origin, lower, upper) in variables.chain(rows) {
            if lower == upper {
                equal.push((Side { origin, sign: 1.0 }, upper));
                continue;
            }
            if upper < INFINITE_BOUND {
                unequal.push((Side { origin, sign: 1.0 }, upper));
            }
            if lower > -INFINITE_BOUND {
                unequal.push((Side { origin, sign: -1.0 }, -lower));
            }
        }
        let (equalities, inequalities) = (equal.len(), unequal.len());
        let (sides, mut right): (Vec<_>, Vec<_>) = equal.into_iter().chain(unequal).unzip();
        let mut cones = Vec::new();
        if equalities > 0 {
            cones.push(ZeroConeT(equalities));
        }
        if inequalities > 0 {
            cones.push(NonnegativeConeT(inequalities));
        }
        for ball in qp.balls.iter().filter(|b| b.is_cone()) {
            cones.push(SecondOrderConeT(ball.centre.len() + 1));
            right.push(ball.radius.min(INFINITE_BOUND));
            right.extend(ball.centre.iter().map(|c| -c));
        }
        Self { sides, equalities, right, cones }
    }

    /// C, in compressed columns.
    fn matrix(&self, qp: &Qp) -> CscMatrix<f64> {
        let (mut rows, mut cols, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (k, side) in self.sides.iter().enumerate() {
            match side.origin {
                Origin::Variable(j) => {
                    rows.push(k);
                    cols.push(j);
                    values.push(side.sign);
                }
                Origin::Row(i) => {
                    for (j, a) in qp.rows.row(i) {
                        rows.push(k);
                        cols.push(j);
                        values.push(side.sign * a);
                    }
                }
            }
        }
        let mut k = self.sides.len();
        for ball in qp.balls.iter().filter(|b| b.is_cone()) {
            for j in 0..ball.centre.len() {
                rows.push(k + 1 + j);
                cols.push(ball.start + j);
                values.push(-1.0);
            }
            k += ball.centre.len() + 1;
        }
        CscMatrix::new_from_triplets(self.right.len(), qp.dimension(), rows, cols, values)
    }

    /// Writes the multipliers that the cone's dual variables stand for.
    fn multipliers(&self, qp: &Qp, dual: &[f64], solution: &mut QpSolution) {
        for (k, side) in self.sides.iter().enumerate() {
            let value = -side.sign * if k < self.equalities { dual[k] } else { dual[k].max(0.0) };
            match side.origin {
                Origin::Variable(j) => solution.bound_multipliers[j] += value,
                Origin::Row(i) => solution.row_multipliers[i] += value,
            }
        }
        let mut k = self.sides.len();
        for (ball, tau) in qp.balls.iter().zip(&mut solution.ball_multipliers) {
            if ball.is_cone() {
                *tau = dual[k].max(0.0);
                k += ball.centre.len() + 1;
            }
        }
    }
}

/// The upper triangle of P in compressed columns.
fn upper_triangle(hessian: &QpHessian, n: usize) -> CscMatrix<f64> {
    let (mut starts, mut rows, mut values) = (Vec::with_capacity(n + 1), Vec::new(), Vec::new());
    starts.push(0);
    for j in 0..n {
        // Row j up to the diagonal is column j down to the diagonal.
        let mut push = |i: usize, value: f64| {
            if value != 0.0 {
                rows.push(i);
                values.push(value);
            }
        };
        match hessian {
            QpHessian::Zero => {}
            QpHessian::Dense(p) => p.row(j)[..=j].iter().enumerate().for_each(|(i, &v)| push(i, v)),
            QpHessian::Sparse(p) => p.row(j).take_while(|&(i, _)| i <= j).for_each(|(i, v)| push(i, v)),
        }
        starts.push(rows.len());
    }
    CscMatrix::new(n, n, starts, rows, values)
}

/// Shorter steps and unscaled data get the method out of the rare stalls (one random programme in twenty thousand).
fn careful_settings(options: &QpOptions) -> DefaultSettings<f64> {
    DefaultSettings { max_step_fraction: 0.9, equilibrate_enable: false, ..settings(options) }
}

fn settings(options: &QpOptions) -> DefaultSettings<f64> {
    let tolerance = if options.tolerance > 0.0 { options.tolerance } else { QpOptions::default().tolerance };
    DefaultSettings {
        verbose: false,
        max_iter: options.max_iterations,
        max_threads: 1,
        presolve_enable: false,
        direct_solve_method: "qdldl".to_string(),
        tol_gap_abs: tolerance,
        tol_gap_rel: tolerance,
        tol_feas: tolerance,
        ..DefaultSettings::default()
    }
}

fn status(answer: SolverStatus) -> QpStatus {
    match answer {
        SolverStatus::Solved => QpStatus::Solved,
        SolverStatus::AlmostSolved => QpStatus::AlmostSolved,
        SolverStatus::PrimalInfeasible => QpStatus::Infeasible,
        SolverStatus::DualInfeasible => QpStatus::Unbounded,
        _ => QpStatus::Numerical,
    }
}

/// Solves without polishing; the residual is left to the caller. `careful` trades iterations for robustness.
pub(super) fn solve(qp: &Qp, options: &QpOptions, careful: bool) -> QpSolution {
    let form = Form::of(qp);
    let (p, c) = (upper_triangle(&qp.hessian, qp.dimension()), form.matrix(qp));
    let settings = if careful { careful_settings(options) } else { settings(options) };
    // The conic solver holds assertions about its own work: one that fails must not end the program.
    let run = || {
        let mut solver = DefaultSolver::new(&p, qp.linear, &c, &form.right, &form.cones, settings).ok()?;
        let stop = crate::stop::current();
        solver.set_termination_callback(move |_: &_| stop.asked());
        solver.solve();
        Some(solver.solution)
    };
    let Some(answer) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).ok().flatten() else {
        return QpSolution::nothing(qp, QpStatus::Numerical);
    };
    let status = status(answer.status);
    let mut solution = QpSolution::nothing(qp, status);
    solution.iterations = answer.iterations as usize;
    if !matches!(status, QpStatus::Infeasible | QpStatus::Unbounded) {
        form.multipliers(qp, &answer.z, &mut solution);
        solution.z = answer.x;
    }
    solution
}
