//! Newton's method on the active constraints of an approximate answer.
//!
//! With the active bounds fixed, active rows `A_R z = b_R` and active balls `½(‖z - c‖² - r²) = 0`, each step solves
//!
//! ```text
//! [ P + Σσ I + δI   A_Rᵀ   Gᵀ  ] [  dz ]     [ P z + q - A_Rᵀλ + Σσ (z - c) ]
//! [ A_R             -δI        ] [ -dλ ] = - [ A_R z - b_R                  ]
//! [ G                     -δI  ] [  dσ ]     [ ½(‖z - c‖² - r²)             ]
//! ```
//!
//! (σ = τ/r), where δ keeps the matrix nonsingular and iterative refinement takes its effect away: Stellato and others,
//! "OSQP: an operator splitting solver for quadratic programs", Math. Prog. Comp. 12 (2020), section 5.2. Without balls
//! one step solves the programme, if the active set is right; constraints on the wrong side are then exchanged, a few
//! times. An answer replaces the old one only if its residual is smaller.

use super::residual::{distance, qp_residual};
use super::{INFINITE_BOUND, Qp, QpHessian, QpSolution};
use crate::dense::Dense;
use crate::ldlt::Ldlt;
use crate::vector::{axpy, norm_inf};

/// Systems larger than this are left alone: the factorisation is dense. Where the data are dense too, a system of this
/// method costs as much as one of the interior-point method.
pub(super) const LARGEST: usize = 500;
pub(super) const LARGEST_DENSE: usize = 4000;
const EXCHANGES: usize = 4;
const NEWTON_STEPS: usize = 4;
const REFINEMENTS: usize = 5;
const SHIFT: f64 = 1e-9;

/// On which side a constraint holds with equality.
#[derive(Clone, Copy, PartialEq)]
enum Held {
    Free,
    Lower,
    Upper,
    Equal,
}

struct Active {
    variables: Vec<Held>,
    rows: Vec<Held>,
    balls: Vec<bool>,
}

/// Improves `solution` (whose residual is set) where it can, by systems of order `largest` at most.
pub(super) fn polish(qp: &Qp, solution: &mut QpSolution, largest: usize) {
    if !crate::vector::all_finite(&solution.z) || !solution.residual.is_finite() {
        return;
    }
    let mut active = Active::of(qp, solution);
    for _ in 0..EXCHANGES {
        let mut system = System::new(qp, &active);
        if system.order() > largest || crate::stop::asked() {
            return;
        }
        let mut candidate = solution.clone();
        for _ in 0..NEWTON_STEPS {
            if !system.step(qp, &active, &mut candidate) {
                return;
            }
            candidate.residual = qp_residual(qp, &candidate);
            if candidate.residual < solution.residual {
                *solution = candidate.clone();
            }
            if candidate.residual <= 4.0 * f64::EPSILON || !candidate.residual.is_finite() {
                break;
            }
        }
        if !active.exchange(qp, &candidate) {
            return;
        }
    }
}

fn side(value: f64, lower: f64, upper: f64, multiplier: f64) -> Held {
    let near =
        |bound: f64| bound.abs() < INFINITE_BOUND && (value - bound).abs() / (1.0 + bound.abs()) < multiplier.abs();
    if lower == upper {
        Held::Equal
    } else if multiplier > 0.0 && near(lower) {
        Held::Lower
    } else if multiplier < 0.0 && near(upper) {
        Held::Upper
    } else {
        Held::Free
    }
}

/// The side on which a constraint should be held, seen from an answer computed with `held`.
fn corrected(held: Held, value: f64, lower: f64, upper: f64, multiplier: f64) -> Held {
    let tiny = |bound: f64| 1e-12 * (1.0 + bound.abs());
    match held {
        Held::Lower if multiplier < 0.0 => Held::Free,
        Held::Upper if multiplier > 0.0 => Held::Free,
        Held::Free if value < lower - tiny(lower) => Held::Lower,
        Held::Free if value > upper + tiny(upper) => Held::Upper,
        other => other,
    }
}

impl Active {
    fn of(qp: &Qp, s: &QpSolution) -> Self {
        let variables =
            (0..qp.dimension()).map(|j| side(s.z[j], qp.lower[j], qp.upper[j], s.bound_multipliers[j])).collect();
        let rows = (0..qp.rows.rows())
            .map(|i| side(qp.rows.row_dot(i, &s.z), qp.row_lower[i], qp.row_upper[i], s.row_multipliers[i]))
            .collect();
        let balls = qp.balls.iter().zip(&s.ball_multipliers);
        let balls = balls
            .map(|(b, &tau)| b.is_cone() && (b.radius - distance(&s.z[b.start..], &b.centre)) / (1.0 + b.radius) < tau)
            .collect();
        Self { variables, rows, balls }
    }

    /// Corrects the sets after an answer that was computed with them; false if nothing changed. The multipliers of
    /// `s` are those of the equalities, of either sign.
    fn exchange(&mut self, qp: &Qp, s: &QpSolution) -> bool {
        let mut changed = false;
        for (j, held) in self.variables.iter_mut().enumerate() {
            let new = corrected(*held, s.z[j], qp.lower[j], qp.upper[j], s.bound_multipliers[j]);
            changed |= new != *held;
            *held = new;
        }
        for (i, held) in self.rows.iter_mut().enumerate() {
            let value = qp.rows.row_dot(i, &s.z);
            let new = corrected(*held, value, qp.row_lower[i], qp.row_upper[i], s.row_multipliers[i]);
            changed |= new != *held;
            *held = new;
        }
        changed
    }
}

/// The Newton system over the free variables, the active rows and the active balls.
struct System {
    free: Vec<usize>,
    rows: Vec<usize>,
    balls: Vec<usize>,
    /// Place of a variable in `free`.
    place: Vec<Option<usize>>,
    exact: Dense,
    factor: Ldlt,
}

impl System {
    fn new(qp: &Qp, active: &Active) -> Self {
        let held = |h: &Held| *h != Held::Free;
        let free: Vec<usize> = (0..qp.dimension()).filter(|&j| !held(&active.variables[j])).collect();
        let rows = (0..qp.rows.rows()).filter(|&i| held(&active.rows[i])).collect();
        let balls = (0..qp.balls.len()).filter(|&b| active.balls[b]).collect();
        let mut place = vec![None; qp.dimension()];
        for (k, &j) in free.iter().enumerate() {
            place[j] = Some(k);
        }
        Self { free, rows, balls, place, exact: Dense::zeros(0, 0), factor: Ldlt::new() }
    }

    fn order(&self) -> usize {
        self.free.len() + self.rows.len() + self.balls.len()
    }

    /// One Newton step from `s`; false if the system could not be solved.
    fn step(&mut self, qp: &Qp, active: &Active, s: &mut QpSolution) -> bool {
        self.hold(qp, active, s);
        self.assemble(qp, s);
        let (n, order) = (self.free.len(), self.order());
        let mut shifted = self.exact.clone();
        let shift = SHIFT * (1.0 + self.exact.norm_max());
        for k in 0..order {
            shifted[(k, k)] += if k < n { shift } else { -shift };
        }
        let (mut right, mut work) = (self.right_side(qp, active, s), vec![0.0; 2 * order]);
        let solved = self.factor.factor(&shifted).is_ok()
            && self.factor.solve_refined(&self.exact, &mut right, REFINEMENTS, &mut work).is_ok();
        if !solved || !crate::vector::all_finite(&right) {
            return false;
        }
        for (k, &j) in self.free.iter().enumerate() {
            s.z[j] += right[k];
        }
        for (k, &i) in self.rows.iter().enumerate() {
            s.row_multipliers[i] -= right[n + k];
        }
        for (k, &b) in self.balls.iter().enumerate() {
            s.ball_multipliers[b] += right[n + self.rows.len() + k] * qp.balls[b].radius;
        }
        // What the held bounds must carry.
        let gradient = lagrangian_gradient(qp, s);
        for (j, held) in active.variables.iter().enumerate() {
            s.bound_multipliers[j] = if *held == Held::Free { 0.0 } else { gradient[j] };
        }
        true
    }

    /// Puts held variables on their bounds and drops the multipliers of what is not held.
    fn hold(&self, qp: &Qp, active: &Active, s: &mut QpSolution) {
        for (j, held) in active.variables.iter().enumerate() {
            match held {
                Held::Free => {}
                Held::Lower => s.z[j] = qp.lower[j],
                Held::Upper | Held::Equal => s.z[j] = qp.upper[j],
            }
        }
        for (i, held) in active.rows.iter().enumerate() {
            if *held == Held::Free {
                s.row_multipliers[i] = 0.0;
            }
        }
        for (b, held) in active.balls.iter().enumerate() {
            if !held {
                s.ball_multipliers[b] = 0.0;
            }
        }
    }

    fn assemble(&mut self, qp: &Qp, s: &QpSolution) {
        let (n, order) = (self.free.len(), self.order());
        let place = &self.place;
        self.exact.reset(order, order);
        for (k, &j) in self.free.iter().enumerate() {
            match qp.hessian {
                QpHessian::Zero => {}
                QpHessian::Dense(p) => {
                    self.free.iter().enumerate().for_each(|(l, &i)| self.exact[(k, l)] = p[(j, i)]);
                }
                QpHessian::Sparse(p) => {
                    p.row(j).for_each(|(i, v)| place[i].into_iter().for_each(|l| self.exact[(k, l)] = v));
                }
            }
        }
        for (k, &i) in self.rows.iter().enumerate() {
            for (j, a) in qp.rows.row(i) {
                if let Some(l) = place[j] {
                    (self.exact[(n + k, l)], self.exact[(l, n + k)]) = (a, a);
                }
            }
        }
        for (k, &b) in self.balls.iter().enumerate() {
            let (ball, k) = (&qp.balls[b], n + self.rows.len() + k);
            let sigma = s.ball_multipliers[b] / ball.radius;
            for (j, c) in (ball.start..).zip(&ball.centre) {
                if let Some(l) = place[j] {
                    self.exact[(l, l)] += sigma;
                    let a = s.z[j] - c;
                    (self.exact[(k, l)], self.exact[(l, k)]) = (a, a);
                }
            }
        }
    }

    fn right_side(&self, qp: &Qp, active: &Active, s: &QpSolution) -> Vec<f64> {
        let gradient = lagrangian_gradient(qp, s);
        let mut right: Vec<f64> = self.free.iter().map(|&j| -gradient[j]).collect();
        for &i in &self.rows {
            let bound = if active.rows[i] == Held::Lower { qp.row_lower[i] } else { qp.row_upper[i] };
            right.push(bound - qp.rows.row_dot(i, &s.z));
        }
        for &b in &self.balls {
            let (ball, length) = (&qp.balls[b], distance(&s.z[qp.balls[b].start..], &qp.balls[b].centre));
            right.push(-0.5 * (length - ball.radius) * (length + ball.radius));
        }
        right
    }
}

/// `P z + q - Aᵀλ + Σ (τ/r)(z - c)`.
fn lagrangian_gradient(qp: &Qp, s: &QpSolution) -> Vec<f64> {
    let mut out = qp.linear.to_vec();
    qp.hessian.mul_add(1.0, &s.z, &mut out);
    if norm_inf(&s.row_multipliers) != 0.0 {
        qp.rows.transpose_mul_add(-1.0, &s.row_multipliers, &mut out);
    }
    for (ball, &tau) in qp.balls.iter().zip(&s.ball_multipliers) {
        if tau != 0.0 && ball.is_cone() {
            let block = ball.start..ball.start + ball.centre.len();
            axpy(tau / ball.radius, &s.z[block.clone()], &mut out[block.clone()]);
            axpy(-tau / ball.radius, &ball.centre, &mut out[block]);
        }
    }
    out
}
