//! The leader's problem in x alone, where the follower's answer is a function of x: minimise φ(x) = F(x, y(x)).
//!
//! On the follower's active set A the optimality system ∇_ỹ L = 0, s_A = 0 defines ỹ and the multipliers as functions
//! of x; with its matrix M = [∇²_ỹỹ L, −(∂s_A/∂ỹ)ᵀ; −∂s_A/∂ỹ, 0] and M (p, q) = (∇_ỹ F, 0),
//!
//! ```text
//! ∇φ = ∇ₓF − (∇²_ỹx L)ᵀ p + (∂s_A/∂x)ᵀ q
//! ```
//!
//! (implicit function theorem; a generalised gradient where the active set changes), and the same for constraints of the
//! leader that depend on y. One lower solve and one factorisation per evaluation, however many variables the follower has:
//! where x is small this finishes what the polish, with all of the follower's variables and multipliers, does not.

use bilevel_linalg::{Csr, Dense, Ldlt};

use super::Leader;
use super::polish::KktProgramme;
use crate::lower::{Follower, LowerSolution, LowerSolver, LowerStatus, Meter, Regulariser};
use crate::nlp::{Frame, Nlp, sqp};
use crate::problem::{At, Failures, FunctionEvaluator};
use crate::smooth::Smoothing;

/// Added to the diagonal of the zero block, so that dependent active constraints do not make M singular.
const REGULARISATION: f64 = 1e-12;

/// Minimises φ from x with the follower's answer y; returns the best (x, ỹ) found. `None` if nothing could be evaluated.
pub fn implicit<'a>(
    leader: &'a Leader,
    follower: &'a Follower,
    start: (&[f64], &[f64]),
    smoothing: Smoothing<'a>,
    failures: &Failures,
    meter: &Meter,
    stop: &dyn Fn() -> bool,
) -> Option<(Vec<f64>, Vec<f64>)> {
    let coupled = Coupled::new(leader, follower, failures);
    let frame = coupled.frame(leader, follower)?;
    let solver = LowerSolver::new(follower, failures, meter);
    let kkt = KktProgramme::new(leader, follower, None, smoothing, 0.0, failures);
    let warm = follower.extend(start.0, start.1);
    let mut z = start.0.to_vec();
    z.extend((start.0.len()..frame.lower.len()).map(|j| frame.lower[j].max(0.0).min(frame.upper[j])));
    let mut programme = ImplicitProgramme { frame, coupled, solver, kkt, smoothing, warm, answer: None };
    let settings = sqp::Settings { max_iterations: 60, progress_tolerance: 1e-12, ..sqp::Settings::default() };
    let found = sqp::solve_with(&mut programme, &z, &settings, Some(&mut |_| !stop()));
    let x = found.z[..follower.n].to_vec();
    let answer = programme.answer_at(&x)?;
    // Violations are judged relative to a point's size: a point that has left for infinity would pass.
    let near = x.iter().chain(&answer.y).all(|v| v.abs() <= FAR);
    near.then(|| (x, answer.y.clone()))
}

/// A point beyond this has left for infinity.
const FAR: f64 = 1e8;

/// The leader's constraints that become functions of x through the follower's answer: rows with entries of y, and all
/// that is not affine.
struct Coupled<'a> {
    rows: Vec<Vec<(usize, f64)>>,
    row_lower: Vec<f64>,
    row_upper: Vec<f64>,
    functions: Vec<FunctionEvaluator<'a>>,
    on_y: Vec<bool>,
}

impl<'a> Coupled<'a> {
    fn new(leader: &'a Leader, follower: &Follower, failures: &Failures) -> Self {
        let (n, size, system) = (follower.n, follower.size(), &leader.system);
        let evaluator = |function| FunctionEvaluator::new(function, n, follower.m, failures);
        let on_y = |i: &usize| system.rows.row(*i).any(|(j, _)| (n..n + size).contains(&j));
        let on_y: Vec<bool> = (0..system.rows.rows()).map(|i| on_y(&i)).collect();
        let mut coupled = Self {
            rows: Vec::new(),
            row_lower: Vec::new(),
            row_upper: Vec::new(),
            functions: system.functions.iter().map(evaluator).collect(),
            on_y,
        };
        for i in (0..system.rows.rows()).filter(|&i| coupled.on_y[i]) {
            coupled.rows.push(system.rows.row(i).collect());
            coupled.row_lower.push(system.row_lower[i]);
            coupled.row_upper.push(system.row_upper[i]);
        }
        coupled
    }

    /// Bounds and rows over (x, auxiliary variables), and these constraints.
    fn frame(&self, leader: &Leader, follower: &Follower) -> Option<Frame> {
        let (n, size, system) = (follower.n, follower.size(), &leader.system);
        let kept: Vec<usize> = (0..system.rows.rows()).filter(|&i| !self.on_y[i]).collect();
        let triplets: Vec<(usize, usize, f64)> = kept
            .iter()
            .enumerate()
            .flat_map(|(k, &i)| system.rows.row(i).map(move |(j, a)| (k, if j < n { j } else { j - size }, a)))
            .collect();
        let mut frame = Frame::bounded(leader.lower.clone(), leader.upper.clone());
        frame.rows = Csr::from_triplets(kept.len(), leader.lower.len(), &triplets)?;
        frame.row_lower = kept.iter().map(|&i| system.row_lower[i]).collect();
        frame.row_upper = kept.iter().map(|&i| system.row_upper[i]).collect();
        frame.constraint_lower = [&self.row_lower[..], &system.lower].concat();
        frame.constraint_upper = [&self.row_upper[..], &system.upper].concat();
        Some(frame)
    }

    /// Values at (x, ỹ, auxiliary variables).
    fn values(&mut self, n: usize, z: &[f64], smoothing: Smoothing<'_>, out: &mut [f64]) {
        let (rows, mut rest) = out.split_at_mut(self.rows.len());
        for (value, row) in rows.iter_mut().zip(&self.rows) {
            *value = row.iter().map(|&(j, a)| a * z[j]).sum();
        }
        for function in &mut self.functions {
            let (own, later) = rest.split_at_mut(function.len());
            function.values(At { x: &z[..n], y: &z[n..], smoothing }, own);
            rest = later;
        }
    }

    /// Gradients at (x, ỹ, auxiliary variables).
    fn gradients(&mut self, n: usize, z: &[f64], smoothing: Smoothing<'_>) -> Vec<Vec<f64>> {
        let mut out = Vec::new();
        for row in &self.rows {
            let mut gradient = vec![0.0; z.len()];
            row.iter().for_each(|&(j, a)| gradient[j] = a);
            out.push(gradient);
        }
        for function in &mut self.functions {
            for component in 0..function.len() {
                let mut gradient = vec![0.0; z.len()];
                function.add_component_gradient(At { x: &z[..n], y: &z[n..], smoothing }, component, &mut gradient);
                out.push(gradient);
            }
        }
        out
    }
}

/// Bounds and rows of the leader over (x, auxiliary variables); `None` if a constraint depends on y or is not affine.
pub(super) fn leader_frame(leader: &Leader, follower: &Follower) -> Option<Frame> {
    let (n, size) = (follower.n, follower.size());
    let system = &leader.system;
    let on_y = |j: usize| (n..n + size).contains(&j);
    if !system.functions.is_empty() || (0..system.rows.rows()).any(|i| system.rows.row(i).any(|(j, _)| on_y(j))) {
        return None;
    }
    let mut frame = Frame::bounded(leader.lower.clone(), leader.upper.clone());
    let triplets: Vec<(usize, usize, f64)> = (0..system.rows.rows())
        .flat_map(|i| system.rows.row(i).map(move |(j, a)| (i, if j < n { j } else { j - size }, a)))
        .collect();
    frame.rows = Csr::from_triplets(system.rows.rows(), leader.lower.len(), &triplets)?;
    frame.row_lower.clone_from(&system.row_lower);
    frame.row_upper.clone_from(&system.row_upper);
    Some(frame)
}

struct ImplicitProgramme<'a> {
    frame: Frame,
    coupled: Coupled<'a>,
    solver: LowerSolver<'a>,
    kkt: KktProgramme<'a, 'a>,
    smoothing: Smoothing<'a>,
    warm: Vec<f64>,
    answer: Option<(Vec<f64>, LowerSolution)>,
}

impl ImplicitProgramme<'_> {
    /// The follower's answer at x, from the last one.
    fn answer_at(&mut self, x: &[f64]) -> Option<&LowerSolution> {
        if self.answer.as_ref().is_none_or(|(known, _)| known != x) {
            let solution = self.solver.solve(x, &self.warm, self.smoothing, &Regulariser::default());
            if solution.status == LowerStatus::Solved {
                self.warm.clone_from(&solution.y);
            }
            self.answer = Some((x.to_vec(), solution));
        }
        self.answer.as_ref().map(|(_, solution)| solution).filter(|s| s.status == LowerStatus::Solved)
    }
}

impl Nlp for ImplicitProgramme<'_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, z: &[f64]) -> f64 {
        let x = &z[..self.solver.follower().n];
        let Some(y) = self.answer_at(x).map(|answer| answer.y.clone()) else { return f64::NAN };
        self.kkt.upper_value(At { x, y: &y, smoothing: self.smoothing })
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let n = self.solver.follower().n;
        let x = &z[..n];
        let found = self.answer_at(x).cloned();
        let total = found.and_then(|answer| {
            let gradient = self.kkt.upper_gradient(x, &answer);
            self.kkt.sensitivity(x, &answer)?.total(&gradient)
        });
        match total {
            Some(total) => out[..n].copy_from_slice(&total),
            None => out[..n].fill(f64::NAN),
        }
    }

    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        if out.is_empty() {
            return;
        }
        match self.joint(z) {
            Some((joint, _)) => self.coupled.values(self.solver.follower().n, &joint, self.smoothing, out),
            None => out.fill(f64::NAN),
        }
    }

    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        out.data_mut().fill(0.0);
        if out.rows() == 0 {
            return;
        }
        let (n, size) = (self.solver.follower().n, self.solver.follower().size());
        let Some((joint, answer)) = self.joint(z) else { return out.data_mut().fill(f64::NAN) };
        let sensitivity = self.kkt.sensitivity(&z[..n], &answer);
        for (i, gradient) in self.coupled.gradients(n, &joint, self.smoothing).iter().enumerate() {
            let row = out.row_mut(i);
            match sensitivity.as_ref().and_then(|s| s.total(gradient)) {
                Some(total) => row[..n].copy_from_slice(&total),
                None => row[..n].fill(f64::NAN),
            }
            row[n..].copy_from_slice(&gradient[n + size..]);
        }
    }

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}

impl ImplicitProgramme<'_> {
    /// (x, ỹ, auxiliary variables) with the follower's answer at x.
    fn joint(&mut self, z: &[f64]) -> Option<(Vec<f64>, LowerSolution)> {
        let n = self.solver.follower().n;
        let answer = self.answer_at(&z[..n])?.clone();
        Some(([&z[..n], &answer.y[..], &z[n..]].concat(), answer))
    }
}

/// How the follower's answer moves with x, on its active set.
struct Sensitivity {
    n: usize,
    size: usize,
    /// Rows of ∇_ỹ L over (x, ỹ).
    rows: Dense,
    active: Vec<Vec<f64>>,
    matrix: Dense,
    factors: Ldlt,
}

impl Sensitivity {
    /// The gradient over x of a function of (x, ỹ(x)) from its gradient over (x, ỹ, ..).
    fn total(&self, gradient: &[f64]) -> Option<Vec<f64>> {
        let (n, size) = (self.n, self.size);
        let order = size + self.active.len();
        let mut adjoint = vec![0.0; order];
        adjoint[..size].copy_from_slice(&gradient[n..n + size]);
        let mut work = vec![0.0; 2 * order];
        self.factors.solve_refined(&self.matrix, &mut adjoint, 2, &mut work).ok()?;
        let mut out = gradient[..n].to_vec();
        for (j, o) in out.iter_mut().enumerate() {
            *o -= (0..size).map(|a| self.rows[(a, j)] * adjoint[a]).sum::<f64>();
            *o += self.active.iter().zip(&adjoint[size..]).map(|(slack, q)| slack[j] * q).sum::<f64>();
        }
        out.iter().all(|g| g.is_finite()).then_some(out)
    }
}

impl KktProgramme<'_, '_> {
    /// ∇F over z at x and the follower's answer.
    fn upper_gradient(&mut self, x: &[f64], answer: &LowerSolution) -> Vec<f64> {
        let z = self.start(x, &answer.y, &answer.multipliers);
        let mut gradient = vec![0.0; z.len()];
        self.gradient(&z, &mut gradient);
        gradient
    }

    /// The system M at x, with the follower's answer and multipliers there; `None` where it is singular.
    fn sensitivity(&mut self, x: &[f64], answer: &LowerSolution) -> Option<Sensitivity> {
        let (n, size) = (self.n, self.size);
        let z = self.start(x, &answer.y, &answer.multipliers);
        let mut jacobian = Dense::zeros(self.frame().constraint_upper.len(), z.len());
        self.jacobian(&z, &mut jacobian);
        let first = self.first_complementarity - size;
        let active = self.active_slacks(&z);
        let order = size + active.len();
        let mut matrix = Dense::zeros(order, order);
        for a in 0..size {
            for b in 0..size {
                matrix[(a, b)] = jacobian[(first + a, n + b)];
            }
        }
        for (k, slack) in active.iter().enumerate() {
            for a in 0..size {
                matrix[(a, size + k)] = -slack[n + a];
                matrix[(size + k, a)] = -slack[n + a];
            }
            matrix[(size + k, size + k)] = -REGULARISATION;
        }
        let mut factors = Ldlt::new();
        factors.factor(&matrix).ok()?;
        let rows = Dense::from_fn(size, n, |a, j| jacobian[(first + a, j)]);
        Some(Sensitivity { n, size, rows, active, matrix, factors })
    }
}
