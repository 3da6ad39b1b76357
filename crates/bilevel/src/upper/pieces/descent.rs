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

use super::data::{QuadraticFollower, QuadraticLeader};
use super::piece::{Motion, Piece, Response, Side};
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

/// Something that holds with equality.
pub(super) struct Guard {
    pub kind: Kind,
    /// The gradient in x of what is held.
    pub normal: Vec<f64>,
    /// +1 if it may only grow, −1 if it may only fall, 0 if it is fixed.
    pub sign: f64,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A leader's row.
    Row(usize),
    /// An item of the follower, and the side of its range that it touches.
    Kink(usize, Side),
}

/// Where a direction leads to.
#[derive(Clone, Copy)]
enum Event {
    Bound(usize),
    Row(usize, f64),
    Kink(usize, Side),
}

/// Steps shorter than this, relative to 1 + the size of x, are none.
const SHORT: f64 = 1e-9;
/// Multipliers above this, negative and relative to the size of the gradient, count as right.
const WRONG: f64 = 1e-8;
/// Rates below this, relative, do not lead anywhere.
const STILL: f64 = 1e-11;
/// Values closer to their limit than this, relative, are at it.
const AT: f64 = 1e-9;
/// Steps of length zero in a row before kinks are no longer crossed.
const TURNS: usize = 3;
/// Guards made at minimisers at most.
const TOUCHED: usize = 100;
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
    value: f64,
    /// ∇F in y.
    by_y: Vec<f64>,
    pub(super) guards: Vec<Guard>,
    /// Which of the leader's variables are held at a bound.
    pub(super) held: Vec<bool>,
    /// Steps made.
    pub steps: u64,
    /// Exchanges made.
    pub exchanges: u64,
    /// The kink that could not be crossed, where the descent stalled at one.
    pub blocked: Option<(usize, Side)>,
    zero_steps: usize,
    /// Guards made at minimisers.
    touched: usize,
}

impl<'a> Descent<'a> {
    /// Starts on a piece, at its point, which satisfies the leader's constraints; `None` if something is not finite.
    pub fn new(leader: &'a QuadraticLeader, mut piece: Piece<'a>) -> Option<Self> {
        let hessian = reduced_hessian(leader, &mut piece);
        let mut descent = Self::with_hessian(leader, piece, hessian);
        for i in 0..leader.row_lower.len() {
            if leader.row_lower[i] == leader.row_upper[i] {
                descent.guard_row(i, 0.0);
            }
        }
        let finite = descent.value.is_finite() && bilevel_linalg::vector::all_finite(descent.hessian.data());
        finite.then_some(descent)
    }

    /// Keeps the multiplier of a held item at zero for good.
    pub fn pin(&mut self, item: usize, touched: Side) {
        let normal = self.piece.response(item).normal;
        self.guards.push(Guard { kind: Kind::Kink(item, touched), normal, sign: 0.0 });
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

    fn evaluate(&mut self) {
        let z = [&self.piece.x[..], &self.piece.y].concat();
        let (value, gradient) = self.leader.evaluate(&z);
        let (by_x, by_y) = gradient.split_at(self.piece.x.len());
        let (mut reduced, ..) = self.piece.adjoint(by_y, &vec![0.0; self.piece.rows.len()]);
        axpy(1.0, by_x, &mut reduced);
        (self.value, self.gradient, self.by_y) = (value, reduced, by_y.to_vec());
    }

    /// Runs to a stationary point.
    pub fn run(&mut self, limit: usize, stop: &mut dyn FnMut() -> bool) -> Ended {
        for _ in 0..limit {
            if stop() {
                return Ended::Stopped;
            }
            let normals: Vec<&[f64]> = self.guards.iter().map(|guard| guard.normal.as_slice()).collect();
            let Some(step) = reduced::step(&self.hessian, &self.gradient, &normals, &self.held) else {
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

    fn moved(&self, d: &[f64], t: f64) -> Vec<f64> {
        let mut x = self.piece.x.clone();
        axpy(t, d, &mut x);
        x.iter_mut().enumerate().for_each(|(j, v)| *v = v.max(self.leader.lower[j]).min(self.leader.upper[j]));
        x
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

    /// Makes a guard of an item at which both quantities vanish by chance, at a minimiser; false if there is none whose
    /// normal is independent of the guards'.
    fn guard_touching(&mut self) -> bool {
        for item in 0..self.piece.sides.len() {
            let (low, high) = self.piece.follower.range(item);
            let (value, side) = (self.piece.value(item), self.piece.sides[item]);
            let at = |bound: f64| bound.is_finite() && (value - bound).abs() <= AT * (1.0 + bound.abs());
            let touched = match side {
                _ if low == high => continue,
                Side::Equal => continue,
                Side::Free if at(low) => Side::Lower,
                Side::Free if at(high) => Side::Upper,
                Side::Lower | Side::Upper if self.piece.multiplier(item).abs() <= AT => side,
                _ => continue,
            };
            if self.guards.iter().any(|guard| matches!(guard.kind, Kind::Kink(other, _) if other == item)) {
                continue;
            }
            let normal = self.piece.response(item).normal;
            let sign = if touched == Side::Upper { -1.0 } else { 1.0 };
            self.guards.push(Guard { kind: Kind::Kink(item, touched), normal, sign });
            let normals: Vec<&[f64]> = self.guards.iter().map(|guard| guard.normal.as_slice()).collect();
            if self.touched < TOUCHED && reduced::step(&self.hessian, &self.gradient, &normals, &self.held).is_some() {
                self.touched += 1;
                return true;
            }
            self.guards.pop();
        }
        false
    }

    /// For every kink the signed multiplier of the condition that its other quantity, which is zero on this piece, keeps
    /// its sign.
    fn other_sides(&mut self, multipliers: &[f64]) -> Vec<(usize, f64)> {
        if !self.guards.iter().any(|guard| matches!(guard.kind, Kind::Kink(..))) {
            return Vec::new();
        }
        let adjoint = self.full_adjoint(multipliers);
        let mut out = Vec::new();
        for (k, guard) in self.guards.iter().enumerate() {
            if let Kind::Kink(item, touched) = guard.kind {
                let sign = if touched == Side::Upper { -1.0 } else { 1.0 };
                out.push((k, sign * adjoint.other(self.piece.follower, &self.piece, item)));
            }
        }
        out
    }

    /// Multipliers p of the follower's stationarity and q of its items, for given multipliers of the guards.
    pub(super) fn full_adjoint(&mut self, multipliers: &[f64]) -> FullAdjoint {
        let follower = self.piece.follower;
        let (m, r) = (follower.m(), follower.r());
        let (mut by_y, mut by_eta) = (self.by_y.clone(), vec![0.0; r]);
        let (mut p_held, mut q_free) = (vec![0.0; m], vec![0.0; r]);
        for (guard, &nu) in self.guards.iter().zip(multipliers) {
            match guard.kind {
                Kind::Row(i) => self.leader.rows_y.row(i).for_each(|(j, v)| by_y[j] -= nu * v),
                Kind::Kink(item, _) => match (item.checked_sub(m), self.piece.sides[item] != Side::Free) {
                    (None, false) => by_y[item] -= nu,
                    (Some(i), false) => {
                        follower.rows_y.row(i).for_each(|(j, v)| by_y[j] -= nu * v);
                        q_free[i] = nu;
                    }
                    (Some(i), true) => by_eta[i] += nu,
                    (None, true) => {
                        p_held[item] = nu;
                        follower.hessian.for_row(item, |j, v| by_y[j] -= nu * v);
                        follower.columns_y.row(item).for_each(|(i, v)| by_eta[i] -= nu * v);
                    }
                },
            }
        }
        let right = by_y.clone();
        let (_, mut p, mut q) = self.piece.adjoint(&by_y, &by_eta);
        // What is left of the rows of held variables: their q. The terms of guards are in `right` already.
        let mut left = right;
        follower.hessian.mul_add(-1.0, &p, &mut left);
        follower.rows_y.transpose_mul_add(-1.0, &q, &mut left);
        axpy(1.0, &p_held, &mut p);
        axpy(1.0, &q_free, &mut q);
        FullAdjoint { p, q, left }
    }

    /// Exchanges the item: the neighbouring piece becomes the piece.
    fn cross(&mut self, item: usize, touched: Side, response: &Response) -> bool {
        let scale = 1.0 / response.pivot;
        let answers: Vec<f64> = self
            .guards
            .iter()
            .map(|guard| match guard.kind {
                Kind::Row(i) => self.leader.rows_y.row_dot(i, &response.y),
                Kind::Kink(other, _) if other != item => self.piece.answer(other, response),
                Kind::Kink(..) => 0.0,
            })
            .collect();
        let n = self.piece.x.len();
        // R + (Wᵀ H u) aᵀ/S + a (Wᵀ H u)ᵀ/S + uᵀHu a aᵀ/S²
        let mut long = vec![0.0; n + response.y.len()];
        let z = [&vec![0.0; n][..], &response.y].concat();
        self.leader.hessian.mul_add(1.0, &z, &mut long);
        let (by_x, by_y) = long.split_at(n);
        let bend = dot(by_y, &response.y);
        let (mut coupling, ..) = self.piece.adjoint(by_y, &vec![0.0; self.piece.rows.len()]);
        axpy(1.0, by_x, &mut coupling);
        axpy(0.5 * bend * scale, &response.normal, &mut coupling);
        let was_held = self.piece.sides[item] != Side::Free;
        if !self.piece.exchange(item, if was_held { Side::Free } else { touched }) {
            return false;
        }
        for i in 0..n {
            let row = self.hessian.row_mut(i);
            axpy(scale * coupling[i], &response.normal, row);
            axpy(scale * response.normal[i], &coupling, row);
        }
        for (guard, answer) in self.guards.iter_mut().zip(answers) {
            axpy(answer * scale, &response.normal, &mut guard.normal);
        }
        self.exchanges += 1;
        self.evaluate();
        true
    }

    /// Runs along d as far as φ falls; the length run, or `None` if there is no end.
    fn search(&mut self, d: &[f64]) -> Option<f64> {
        let mut length = 0.0;
        loop {
            let slope = dot(&self.gradient, d);
            if slope >= 0.0 {
                return Some(length);
            }
            let mut bent = vec![0.0; d.len()];
            self.hessian.mul_add(1.0, d, &mut bent);
            let curvature = dot(&bent, d);
            let least = if curvature > 0.0 { -slope / curvature } else { f64::INFINITY };
            let motion = self.piece.motion(d);
            let (t, event) = self.first_event(d, &motion);
            if least <= t || event.is_none() {
                if !least.is_finite() {
                    return None;
                }
                let x = self.moved(d, least);
                self.piece.go(&x);
                self.evaluate();
                return Some(length + least);
            }
            let x = self.moved(d, t);
            self.piece.go(&x);
            self.evaluate();
            length += t;
            // On the next piece the guards have other normals: with any, d would lead away from them.
            if !event.is_some_and(|event| self.pass(event, d)) || !self.guards.is_empty() {
                return Some(length);
            }
        }
    }

    /// At an event: goes on into the neighbouring piece, or makes a guard of it and says that the search is over.
    fn pass(&mut self, event: Event, d: &[f64]) -> bool {
        match event {
            Event::Bound(j) => self.held[j] = true,
            Event::Row(i, sign) => self.guard_row(i, sign),
            Event::Kink(item, touched) => {
                let response = self.piece.response(item);
                let change = dot(&self.by_y, &response.y) * dot(&response.normal, d) / response.pivot;
                let slope = dot(&self.gradient, d) + change;
                let falls = slope < -1e-10 * norm_inf(&self.gradient) * norm_inf(d);
                // Crossing back and forth without moving ends with a guard.
                let falls = falls && self.zero_steps < TURNS;
                if response.is_regular() && falls && self.cross(item, touched, &response) {
                    return true;
                }
                let sign = if touched == Side::Upper { -1.0 } else { 1.0 };
                self.guards.push(Guard { kind: Kind::Kink(item, touched), normal: response.normal, sign });
            }
        }
        false
    }

    /// Makes a guard of a leader's row.
    pub(super) fn guard_row(&mut self, i: usize, sign: f64) {
        let mut by_y = vec![0.0; self.piece.y.len()];
        self.leader.rows_y.row(i).for_each(|(j, v)| by_y[j] = v);
        let (mut normal, ..) = self.piece.adjoint(&by_y, &vec![0.0; self.piece.rows.len()]);
        self.leader.rows_x.row(i).for_each(|(j, v)| normal[j] += v);
        self.guards.push(Guard { kind: Kind::Row(i), normal, sign });
    }

    /// The first event along d.
    fn first_event(&self, d: &[f64], motion: &Motion) -> (f64, Option<Event>) {
        let mut first = (f64::INFINITY, None);
        let mut offer = |slack: f64, rate: f64, scale: f64, event: Event| {
            if rate > STILL * scale {
                let t = slack.max(0.0) / rate;
                if t < first.0 {
                    first = (t, Some(event));
                }
            }
        };
        let size = norm_inf(d);
        for (j, &rate) in d.iter().enumerate().filter(|(j, _)| !self.held[*j]) {
            offer(self.piece.x[j] - self.leader.lower[j], -rate, size, Event::Bound(j));
            offer(self.leader.upper[j] - self.piece.x[j], rate, size, Event::Bound(j));
        }
        for i in 0..self.leader.row_lower.len() {
            if self.guards.iter().any(|guard| guard.kind == Kind::Row(i)) {
                continue;
            }
            let value = self.leader.rows_x.row_dot(i, &self.piece.x) + self.leader.rows_y.row_dot(i, &self.piece.y);
            let rate = self.leader.rows_x.row_dot(i, d) + self.leader.rows_y.row_dot(i, &motion.y);
            offer(value - self.leader.row_lower[i], -rate, size, Event::Row(i, 1.0));
            offer(self.leader.row_upper[i] - value, rate, size, Event::Row(i, -1.0));
        }
        let m = self.piece.y.len();
        let mut guarded = vec![false; self.piece.sides.len()];
        for guard in &self.guards {
            if let Kind::Kink(item, _) = guard.kind {
                guarded[item] = true;
            }
        }
        // Activities of equalities do not move but for rounding, which is measured by what moves y.
        let of_values = norm_inf(&motion.y).max(norm_inf(&motion.activity));
        let of_multipliers = norm_inf(&motion.rows).max(norm_inf(&motion.bounds));
        for (item, side) in self.piece.sides.iter().enumerate().filter(|(item, _)| !guarded[*item]) {
            let of = |variables: &[f64], rows: &[f64]| if item < m { variables[item] } else { rows[item - m] };
            let rate_of_multiplier = of(&motion.bounds, &motion.rows);
            match side {
                Side::Free => {
                    let (low, high) = self.piece.follower.range(item);
                    let (rate, value) = (of(&motion.y, &motion.activity), self.piece.value(item));
                    // An equality that is free follows from others.
                    if low < high {
                        offer(value - low, -rate, of_values, Event::Kink(item, Side::Lower));
                        offer(high - value, rate, of_values, Event::Kink(item, Side::Upper));
                    }
                }
                Side::Lower => {
                    offer(
                        self.piece.multiplier(item),
                        -rate_of_multiplier,
                        of_multipliers,
                        Event::Kink(item, Side::Lower),
                    );
                }
                Side::Upper => {
                    offer(
                        -self.piece.multiplier(item),
                        rate_of_multiplier,
                        of_multipliers,
                        Event::Kink(item, Side::Upper),
                    );
                }
                Side::Equal => {}
            }
        }
        first
    }
}

enum Release {
    Bound(usize),
    Guard(usize),
    Cross(usize),
}

/// Multipliers of the follower's optimality system in the leader's problem.
pub(super) struct FullAdjoint {
    /// Of its stationarity.
    pub p: Vec<f64>,
    /// Of the values of its rows.
    pub q: Vec<f64>,
    /// Of the values of its held variables.
    left: Vec<f64>,
}

impl FullAdjoint {
    /// The multiplier of the condition on an item's quantity that is zero on the piece.
    pub fn other(&self, follower: &QuadraticFollower, piece: &Piece<'_>, item: usize) -> f64 {
        let m = follower.m();
        match (item.checked_sub(m), piece.sides[item] != Side::Free) {
            (None, false) => self.p[item],
            (Some(i), false) => follower.rows_y.row_dot(i, &self.p),
            (Some(i), true) => self.q[i],
            (None, true) => self.left[item],
        }
    }
}

/// [I; Z]ᵀ H [I; Z] with y moving as Z x.
fn reduced_hessian(leader: &QuadraticLeader, piece: &mut Piece<'_>) -> Dense {
    let n = piece.x.len();
    let mut moves: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut out = Dense::zeros(n, n);
    for k in 0..n {
        let mut unit = vec![0.0; n];
        unit[k] = 1.0;
        let z = [&unit[..], &piece.motion(&unit).y].concat();
        let mut bent = vec![0.0; z.len()];
        leader.hessian.mul_add(1.0, &z, &mut bent);
        moves.push(z);
        for (l, other) in moves.iter().enumerate() {
            let value = dot(&bent, other);
            (out[(k, l)], out[(l, k)]) = (value, value);
        }
    }
    out
}
