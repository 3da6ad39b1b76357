//! The leader's problem in x alone, where the follower's answer is a function of x: minimise φ(x) = F(x, y(x)).
//!
//! On the follower's active set A the optimality system ∇_ỹ L = 0, s_A = 0 defines ỹ and the multipliers as functions
//! of x; with its matrix M = [∇²_ỹỹ L, −(∂s_A/∂ỹ)ᵀ; −∂s_A/∂ỹ, 0] and M (p, q) = (∇_ỹ F, 0),
//!
//! ```text
//! ∇φ = ∇ₓF − (∇²_ỹx L)ᵀ p + (∂s_A/∂x)ᵀ q
//! ```
//!
//! (implicit function theorem; a generalised gradient where the active set changes). One lower solve and one linear
//! solve per evaluation, however many variables the follower has: where x is small this finishes what the polish, with
//! all of the follower's variables and multipliers, does not.

use bilevel_linalg::{Dense, Ldlt};

use super::Leader;
use super::polish::KktProgramme;
use crate::lower::{Follower, LowerSolution, LowerSolver, LowerStatus, Meter, Regulariser};
use crate::nlp::{Frame, Nlp, sqp};
use crate::problem::{At, Failures};
use crate::smooth::Smoothing;

/// Added to the diagonal of the zero block, so that dependent active constraints do not make M singular.
const REGULARISATION: f64 = 1e-12;

/// Minimises φ from x with the follower's answer y; returns the best (x, ỹ) found. `None` if a constraint of the leader
/// depends on y, or nothing could be evaluated.
pub fn implicit<'a>(
    leader: &'a Leader,
    follower: &'a Follower,
    start: (&[f64], &[f64]),
    smoothing: Smoothing<'a>,
    failures: &Failures,
    meter: &Meter,
    stop: &dyn Fn() -> bool,
) -> Option<(Vec<f64>, Vec<f64>)> {
    let frame = leader_frame(leader, follower)?;
    let solver = LowerSolver::new(follower, failures, meter);
    let kkt = KktProgramme::new(leader, follower, None, smoothing, 0.0, failures);
    let warm = follower.extend(start.0, start.1);
    let mut z = start.0.to_vec();
    z.extend((start.0.len()..frame.lower.len()).map(|j| frame.lower[j].max(0.0).min(frame.upper[j])));
    let mut programme = ImplicitProgramme { frame, solver, kkt, smoothing, warm, answer: None };
    let settings = sqp::Settings { max_iterations: 60, progress_tolerance: 1e-12, ..sqp::Settings::default() };
    let found = sqp::solve_with(&mut programme, &z, &settings, Some(&mut |_| !stop()));
    let x = found.z[..follower.n].to_vec();
    let answer = programme.answer_at(&x)?;
    Some((x, answer.y.clone()))
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
    frame.rows = bilevel_linalg::Csr::from_triplets(system.rows.rows(), leader.lower.len(), &triplets)?;
    frame.row_lower.clone_from(&system.row_lower);
    frame.row_upper.clone_from(&system.row_upper);
    Some(frame)
}

struct ImplicitProgramme<'a> {
    frame: Frame,
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
        match found.and_then(|answer| self.kkt.implicit_gradient(x, &answer)) {
            Some(gradient) => out[..n].copy_from_slice(&gradient),
            None => out[..n].fill(f64::NAN),
        }
    }

    fn constraints(&mut self, _: &[f64], _: &mut [f64]) {}

    fn jacobian(&mut self, _: &[f64], _: &mut Dense) {}

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}

impl KktProgramme<'_, '_> {
    /// ∇φ at x, with the follower's answer and multipliers there; `None` where the system is singular.
    fn implicit_gradient(&mut self, x: &[f64], answer: &LowerSolution) -> Option<Vec<f64>> {
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
        let mut gradient = vec![0.0; z.len()];
        self.gradient(&z, &mut gradient);
        let mut adjoint = vec![0.0; order];
        adjoint[..size].copy_from_slice(&gradient[n..n + size]);
        let mut factors = Ldlt::new();
        factors.factor(&matrix).ok()?;
        let mut work = vec![0.0; 2 * order];
        factors.solve_refined(&matrix, &mut adjoint, 2, &mut work).ok()?;
        let mut out = gradient[..n].to_vec();
        for (j, o) in out.iter_mut().enumerate() {
            *o -= (0..size).map(|a| jacobian[(first + a, j)] * adjoint[a]).sum::<f64>();
            *o += active.iter().zip(&adjoint[size..]).map(|(slack, q)| slack[j] * q).sum::<f64>();
        }
        out.iter().all(|g| g.is_finite()).then_some(out)
    }
}
