//! Descent over x on φ(x) = F(x, y(x)) through the pieces of the follower's answer.
//!
//! On a piece φ is quadratic. Steps minimise it over the face given by the guards: leader's bounds and rows that hold, and
//! kinks, items of the follower at which value and multiplier are both zero. A step runs through the pieces: at a kink it
//! goes on, with the item exchanged, as long as φ falls, else the kink becomes a guard. At a face's minimiser a guard whose
//! multiplier has the wrong sign is let go: a kink into this piece or, if the multiplier of its other side is wrong, into
//! the neighbour. Where none is wrong the point is strongly stationary. An active-set method for quadratic programmes
//! with equilibrium constraints (Júdice, Sherali, Ribeiro & Faustino, "Complementarity active-set algorithm for
//! mathematical programming problems with equilibrium constraints", 2007; Luo, Pang & Ralph 1996, chapter 6), in the
//! space of x. An exchange changes the reduced Hessian and all normals by matrices of rank one.

use bilevel_linalg::Dense;
use bilevel_linalg::vector::{axpy, dot, norm_inf};

use super::crossing::reduced_hessian;
use super::data::QuadraticLeader;
use super::guard::{Guard, Kind};
use super::piece::{Piece, Side};
use super::reduced;

/// How a descent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// No guard wants to be let go.
    Stationary,
    /// φ falls without end.
    Unbounded,
    /// Stopped from outside, or after too many steps.
    Stopped,
    /// Dependent guards, or rounding prevailed.
    Stalled,
}

/// Steps shorter than this, relative to 1 + the size of x, are none.
const SHORT: f64 = 1e-9;
/// Multipliers above this, negative and relative to the size of the gradient, count as right.
const WRONG: f64 = 1e-8;
/// Values closer to their limit than this, relative, are at it.
pub(super) const AT: f64 = 1e-9;
/// Steps of length zero in a row before the descent is given up.
const ZERO_STEPS: usize = 200;

/// The descent.
pub struct Descent<'a> {
    pub(super) leader: &'a QuadraticLeader,
    /// The piece, with the point.
    pub piece: Piece<'a>,
    /// R, the Hessian of φ on the piece.
    pub(super) hessian: Dense,
    /// ∇φ on the piece.
    pub(super) gradient: Vec<f64>,
    pub(super) value: f64,
    /// ∇F in y.
    pub(super) by_y: Vec<f64>,
    pub(super) guards: Vec<Guard>,
    /// Which of the leader's variables are held at a bound.
    pub(super) held: Vec<bool>,
    /// Steps made.
    pub steps: u64,
    /// Exchanges made.
    pub exchanges: u64,
    /// The kink that could not be crossed, where the descent stalled at one.
    pub blocked: Option<(usize, Side)>,
    pub(super) zero_steps: usize,
    /// Guards made at minimisers.
    pub(super) touched: usize,
}

impl<'a> Descent<'a> {
    /// Starts on a piece, at its point, which satisfies the leader's constraints; `None` if something is not finite,
    /// or it is time to stop.
    pub fn new(leader: &'a QuadraticLeader, mut piece: Piece<'a>) -> Option<Self> {
        let hessian = reduced_hessian(leader, &mut piece)?;
        let mut descent = Self::with_hessian(leader, piece, hessian);
        for i in 0..leader.row_lower.len() {
            if leader.row_lower[i] == leader.row_upper[i] {
                descent.guard_row(i, 0.0);
            }
        }
        let finite = descent.value.is_finite() && bilevel_linalg::vector::all_finite(descent.hessian.data());
        finite.then_some(descent)
    }

    /// The same with another matrix in place of the reduced Hessian, and without guards.
    pub(super) fn with_hessian(leader: &'a QuadraticLeader, piece: Piece<'a>, hessian: Dense) -> Self {
        let n = piece.x.len();
        let near = |x: f64, bound: f64| bound.is_finite() && (x - bound).abs() <= AT * (1.0 + bound.abs());
        let held = (0..n).map(|j| near(piece.x[j], leader.lower[j]) || near(piece.x[j], leader.upper[j])).collect();
        let mut descent = Self {
            leader,
            piece,
            hessian,
            gradient: Vec::new(),
            value: 0.0,
            by_y: Vec::new(),
            guards: Vec::new(),
            held,
            steps: 0,
            exchanges: 0,
            blocked: None,
            zero_steps: 0,
            touched: 0,
        };
        descent.evaluate();
        descent
    }

    /// F at the point.
    pub fn value(&self) -> f64 {
        self.value
    }

    pub(super) fn evaluate(&mut self) {
        let z = [&self.piece.x[..], &self.piece.y].concat();
        let (value, gradient) = self.leader.evaluate(&z);
        let (by_x, by_y) = gradient.split_at(self.piece.x.len());
        let (mut reduced, ..) = self.piece.adjoint(by_y, &vec![0.0; self.piece.rows.len()]);
        axpy(1.0, by_x, &mut reduced);
        (self.value, self.gradient, self.by_y) = (value, reduced, by_y.to_vec());
    }

    /// Runs to a stationary point, or until `watch`, who sees every step, says that it is enough.
    pub fn run(&mut self, limit: usize, watch: &mut dyn FnMut(&Self) -> bool) -> Ended {
        for _ in 0..limit {
            if watch(self) {
                return Ended::Stopped;
            }
            let normals: Vec<&[f64]> = self.guards.iter().map(|guard| guard.normal.as_slice()).collect();
            let Some(step) = reduced::step(&self.hessian, &self.gradient, &normals, &self.held, None) else {
                return Ended::Stalled;
            };
            self.steps += 1;
            let size = 1.0 + norm_inf(&self.piece.x);
            if norm_inf(&step.d) > SHORT * size && dot(&self.gradient, &step.d) < 0.0 {
                match self.search(&step.d) {
                    Some(length) if length * norm_inf(&step.d) > 1e-14 * size => self.zero_steps = 0,
                    Some(_) => self.zero_steps += 1,
                    None => return Ended::Unbounded,
                }
                if self.zero_steps > ZERO_STEPS {
                    return Ended::Stalled;
                }
            } else {
                // A last short step takes the error of the one before away.
                if norm_inf(&step.d) > 0.0 {
                    let x = self.moved(&step.d, 1.0);
                    self.piece.go(&x);
                    self.evaluate();
                }
                match self.release(&step) {
                    Some(true) => {}
                    Some(false) if self.guard_touching() => {}
                    Some(false) => return Ended::Stationary,
                    None => return Ended::Stalled,
                }
            }
        }
        Ended::Stopped
    }

    /// Lets go the guard whose multiplier is wrong most; false if there is none, `None` if that cannot be done.
    fn release(&mut self, step: &reduced::Step) -> Option<bool> {
        let size = 1.0 + norm_inf(&self.gradient).max(norm_inf(&self.by_y));
        let mut worst = (-WRONG * size, None);
        let mut offer = |multiplier: f64, normal: f64, what: Release| {
            let scaled = multiplier * normal;
            if scaled < worst.0 {
                worst = (scaled, Some(what));
            }
        };
        for (j, &nu) in step.bounds.iter().enumerate().filter(|(j, _)| self.held[*j]) {
            let (low, high) = (self.leader.lower[j], self.leader.upper[j]);
            if low < high {
                let at_lower = (self.piece.x[j] - low).abs() <= (self.piece.x[j] - high).abs();
                offer(if at_lower { nu } else { -nu }, 1.0, Release::Bound(j));
            }
        }
        for (k, (guard, nu)) in self.guards.iter().zip(&step.guards).enumerate() {
            if guard.sign != 0.0 {
                offer(guard.sign * nu, norm_inf(&guard.normal), Release::Guard(k));
            }
        }
        let others = self.other_sides(&step.guards);
        for (k, theta) in others.into_iter().filter(|(k, _)| self.guards[*k].sign != 0.0) {
            offer(theta, 1.0, Release::Cross(k));
        }
        match worst.1 {
            None => return Some(false),
            Some(Release::Bound(j)) => self.held[j] = false,
            Some(Release::Guard(k)) => drop(self.guards.remove(k)),
            Some(Release::Cross(k)) => {
                let Kind::Kink(item, touched) = self.guards[k].kind else { return None };
                let response = self.piece.response(item);
                if !response.is_regular() || !self.cross(item, touched, &response) {
                    self.blocked = Some((item, touched));
                    return None;
                }
                self.guards.remove(k);
            }
        }
        Some(true)
    }
}

enum Release {
    Bound(usize),
    Guard(usize),
    Cross(usize),
}
