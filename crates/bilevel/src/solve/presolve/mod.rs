//! What is done to a problem before a method sees it, and the way back.
//!
//! ```text
//! reduce.rs       bounds among the constraints, rows that are implied, opposite pairs
//! scales.rs       units and factors in which everything is of size about 1
//! equilibrate.rs  the sum of squares that they minimise
//! ```
//!
//! A method works on a problem in other units, `x = D_x x'`, `y = D_y y'`, with objectives and constraints multiplied:
//!
//! ```text
//! F'(x', y') = c_F F(D_x x', D_y y'),   f' = c_f f(...),   g_i' = r_i g_i(...),   X' = D_x⁻¹ X,   Y' = D_y⁻¹ Y
//! ```
//!
//! with powers of two, so that nothing is rounded; fixed variables stay, and formulas have their values instead. Its answers go back to the user's units before anything is said of
//! them: values, violations, gaps and proofs are computed from the user's problem. Where nothing needs it there is no
//! other problem, and the methods see the user's own.

mod equilibrate;
mod reduce;
mod scales;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::certificate::FollowerCheck;
use crate::expr::Expr;
use crate::expr::rewrite::{Change, Rewriter};
use crate::observe::{Observer, Stage};
use crate::problem::{Constraint, Function, NamedValues, Problem, Side};
use crate::set::ConvexSet;
use crate::solution::KktPoint;
use scales::Scales;

/// What is added to the name of a measure that is taken in the units of the methods.
pub const IN_OTHER_UNITS: &str = ", variables and functions in units of their size";

/// A problem as methods see it, with the way back to the user's.
#[derive(Clone, Debug)]
pub struct Presolved<'a> {
    /// The user's problem.
    pub user: &'a Problem,
    /// The problem that methods see.
    pub problem: Cow<'a, Problem>,
    /// The way back.
    pub way: Way,
}

/// Between the user's units and those of the methods.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    /// The units of x and y; `None` for the user's own.
    units: Option<(Vec<f64>, Vec<f64>)>,
    /// What F and f are multiplied with, where there are units.
    factors: (f64, f64),
}

impl<'a> Presolved<'a> {
    /// The problem as methods should see it: the problem itself where nothing needs to be done.
    pub fn new(problem: &'a Problem) -> Self {
        let unchanged = Self { user: problem, problem: Cow::Borrowed(problem), way: Way::default() };
        if has_code(problem) {
            return unchanged;
        }
        let reduced = reduce::reduced(problem);
        let before = reduced.as_ref().unwrap_or(problem);
        match (Scales::of(before).and_then(|scales| scaled(before, &scales)), reduced) {
            (Some((inner, way)), _) => Self { problem: Cow::Owned(inner), way, ..unchanged },
            (None, Some(inner)) => Self { problem: Cow::Owned(inner), ..unchanged },
            (None, None) => unchanged,
        }
    }
}

/// Whether a function is a user's own code: such a problem is left alone.
fn has_code(problem: &Problem) -> bool {
    let sides = [problem.leader(), problem.follower()];
    let mut functions = sides.iter().flat_map(|s| s.constraints.iter().map(|c| &c.function).chain([&s.objective]));
    functions.any(|function| function.expr().is_none())
}

/// What becomes of a level's variables: another unit, and the only value for those that have one.
fn change(side: &Side, units: &[f64]) -> Change {
    let (mut lower, mut upper) = (vec![f64::NEG_INFINITY; units.len()], vec![f64::INFINITY; units.len()]);
    side.set.bounding_box(&mut lower, &mut upper);
    let fixed = lower.iter().zip(&upper).map(|(l, u)| (l == u).then_some(*l)).collect();
    Change { units: units.to_vec(), fixed }
}

/// The problem in other units; `None` if a formula or a set cannot be rewritten.
fn scaled(problem: &Problem, scales: &Scales) -> Option<(Problem, Way)> {
    let powers = |exponents: &[i32]| exponents.iter().map(|&e| f64::from(e).exp2()).collect::<Vec<f64>>();
    let units = (powers(&scales.x), powers(&scales.y));
    let factors = (f64::from(scales.upper).exp2(), f64::from(scales.lower).exp2());
    let mut rewriter = Rewriter::new(change(problem.leader(), &units.0), change(problem.follower(), &units.1));
    let (n, m) = (problem.n(), problem.m());
    let mut side = |side: &Side, units: &[f64], factor: f64, rows: &[Vec<i32>]| {
        let objective = multiplied(&rewriter.rewrite(side.objective.expr()?)?, &[factor]);
        let mut constraints = Vec::with_capacity(side.constraints.len());
        for (constraint, row) in side.constraints.iter().zip(rows) {
            let expr = multiplied(&rewriter.rewrite(constraint.function.expr()?)?, &powers(row));
            constraints.push(Constraint { function: Function::formula(&expr, n, m)?, ..constraint.clone() });
        }
        let objective = Function::formula(&objective, n, m)?;
        Some(Side { set: side.set.in_units(units)?, objective, constraints, ..side.clone() })
    };
    let leader = side(problem.leader(), &units.0, factors.0, &scales.leader_rows)?;
    let follower = side(problem.follower(), &units.1, factors.1, &scales.follower_rows)?;
    let way = if scales.are_none() { Way::default() } else { Way { units: Some(units), factors } };
    let start = problem.start().map(|(x, y)| way.enter(x, y));
    Some((problem.with_sides(leader, follower, start), way))
}

impl Way {
    /// Whether both sides are the same.
    pub fn is_identity(&self) -> bool {
        self.units.is_none()
    }

    /// A point of the user's in the units of the methods.
    pub fn enter(&self, x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        match &self.units {
            Some(units) => (divided(x, &units.0), divided(y, &units.1)),
            None => (x.to_vec(), y.to_vec()),
        }
    }

    /// A point of the methods in the user's units.
    pub fn leave(&self, x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        match &self.units {
            Some(units) => (times(x, &units.0), times(y, &units.1)),
            None => (x.to_vec(), y.to_vec()),
        }
    }

    /// The units of x and y; 1 where both sides are the same.
    pub fn units(&self, n: usize, m: usize) -> (Vec<f64>, Vec<f64>) {
        self.units.clone().unwrap_or_else(|| (vec![1.0; n], vec![1.0; m]))
    }

    /// A value of F in the user's units.
    pub fn upper(&self, value: f64) -> f64 {
        if self.is_identity() { value } else { value / self.factors.0 }
    }

    /// A value or gap of f in the user's units.
    pub fn lower(&self, value: f64) -> f64 {
        if self.is_identity() { value } else { value / self.factors.1 }
    }

    /// A value or gap of the user's f in the units of the methods.
    pub fn enter_lower(&self, value: f64) -> f64 {
        if self.is_identity() { value } else { value * self.factors.1 }
    }

    /// Relaxation and multiplier of the constraint f − v <= epsilon in the user's units.
    pub fn stage(&self, epsilon: f64, lambda: f64) -> (f64, f64) {
        if self.is_identity() {
            return (epsilon, lambda);
        }
        (epsilon / self.factors.1, lambda * self.factors.1 / self.factors.0)
    }

    /// The last smoothed point in the user's units. Its stationarity residual, margin and the error of gradients stay in the
    /// units of the methods, as does the norm of its regulariser: they belong to that programme.
    pub fn leave_kkt(&self, kkt: KktPoint, problem: &Problem) -> KktPoint {
        if self.is_identity() {
            return kkt;
        }
        let flat = |values: &NamedValues| values.0.iter().flat_map(|(_, v)| v.iter().copied()).collect::<Vec<f64>>();
        let (x, y) = self.leave(&flat(&kkt.x), &flat(&kkt.y));
        let centre = self.leave(&[], &flat(&kkt.regulariser_centre)).1;
        let follower = &problem.follower().blocks;
        let regulariser_centre =
            if centre.is_empty() { NamedValues::default() } else { NamedValues::new(follower, &centre) };
        let (epsilon, multiplier) = self.stage(kkt.epsilon, kkt.multiplier);
        KktPoint {
            x: NamedValues::new(&problem.leader().blocks, &x),
            y: NamedValues::new(follower, &y),
            dual: self.stage(0.0, kkt.dual).1,
            complementarity: self.upper(kkt.complementarity),
            violation: self.lower(kkt.violation),
            value_error: self.lower(kkt.value_error),
            regulariser_weight: self.lower(kkt.regulariser_weight),
            region: kkt.region.as_ref().map(|(centre, radius)| (self.leave(&[], centre).1, *radius)),
            epsilon,
            multiplier,
            regulariser_centre,
            ..kkt
        }
    }

    /// What an independent search found, in the user's units; `y` is the answer that was checked, in the user's units.
    pub fn leave_check(&self, check: FollowerCheck, y: &[f64]) -> FollowerCheck {
        if self.is_identity() {
            return check;
        }
        let leave = |y: &[f64]| self.leave(&[], y).1;
        let nearest = check.nearest.as_ref().map(|near| leave(near));
        let to = |near: &Vec<f64>| near.iter().zip(y).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
        FollowerCheck {
            value: self.lower(check.value),
            gap: self.lower(check.gap),
            y: leave(&check.y),
            distance: nearest.as_ref().map_or(f64::INFINITY, to),
            nearest,
            lower_nearby: check.lower_nearby.as_ref().map(|near| leave(near)),
            ..check
        }
    }
}

/// An observer of a method that works in other units.
pub struct InUserUnits<'a> {
    /// The user's observer.
    pub observer: &'a dyn Observer,
    /// The way back.
    pub way: &'a Way,
}

impl Observer for InUserUnits<'_> {
    fn stage(&self, stage: &Stage) {
        let (upper, gap) = (self.way.upper(stage.upper), self.way.lower(stage.gap));
        self.observer.stage(&Stage { upper, gap, ..*stage });
    }

    fn interrupted(&self) -> bool {
        self.observer.interrupted()
    }

    fn flag(&self) -> Option<Arc<AtomicBool>> {
        self.observer.flag()
    }
}

/// A formula times a number, or its entries times numbers.
fn multiplied(expr: &Expr, factors: &[f64]) -> Expr {
    match factors {
        _ if factors.iter().all(|&f| f == 1.0) => expr.clone(),
        [first, ..] if factors.iter().all(|f| f == first) => expr * *first,
        _ => expr * &expr.graph().constant_vector(factors),
    }
}

fn times(values: &[f64], units: &[f64]) -> Vec<f64> {
    values.iter().zip(units).map(|(v, u)| v * u).collect()
}

fn divided(values: &[f64], units: &[f64]) -> Vec<f64> {
    values.iter().zip(units).map(|(v, u)| v / u).collect()
}

#[cfg(test)]
mod tests;
