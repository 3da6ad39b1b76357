//! The problem's own phi: looks at the structure once, chooses how to evaluate, and says which way it took.

use super::facts::Facts;
use super::functions::Functions;
use super::null_space::NullSpace;
use super::{End, HyperFailure, HyperObjective, HyperPoint};
use crate::expr::structure::Degree;
use crate::problem::{Attitude, Problem};

/// How phi is evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HyperSettings {
    /// Starts over S(x) where F is not known to be convex there; at least 1.
    pub starts: usize,
    /// Seed of those starts.
    pub seed: u64,
}

impl Default for HyperSettings {
    fn default() -> Self {
        Self { starts: 8, seed: 0 }
    }
}

/// What S(x) looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// One answer.
    Unique,
    /// An affine subspace.
    Affine {
        /// Its dimension, at least 1.
        dimension: usize,
    },
    /// Not known.
    Undecided,
}

/// phi at one x with what is known about it.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Value, interval, attaining answer, subgradient.
    pub point: HyperPoint,
    /// What S(x) looks like.
    pub answers: Answers,
    /// The way that was taken.
    pub route: &'static str,
    /// Gradients of f and F in y, Hessian products included.
    pub gradients: u64,
}

/// phi_o or phi_p of a problem.
#[derive(Clone, Debug)]
pub struct Hyper {
    problem: Problem,
    attitude: Attitude,
    settings: HyperSettings,
    facts: Facts,
    route: Route,
}

#[derive(Clone, Debug)]
enum Route {
    NullSpace(NullSpace),
    Unsupported(&'static str),
}

impl Hyper {
    /// The hyper-objective of `problem` for an attitude.
    pub fn new(problem: &Problem, attitude: Attitude, settings: &HyperSettings) -> Self {
        let facts = Facts::new(problem);
        let route = if facts.free && facts.lower.degree <= Degree::Quadratic && facts.lower.smooth {
            Route::NullSpace(NullSpace::new(&facts, attitude))
        } else {
            Route::Unsupported("hyper-objectives of this follower are not implemented")
        };
        Self { problem: problem.clone(), attitude, settings: *settings, facts, route }
    }

    /// The attitude.
    pub fn attitude(&self) -> Attitude {
        self.attitude
    }

    /// phi at `x` (n entries) with everything that is known, from the answer at a nearby x where one is given (m
    /// entries).
    ///
    /// # Errors
    /// Why there is no value; vectors of wrong lengths.
    pub fn evaluate_in_full(
        &self,
        x: &[f64],
        _accuracy: f64,
        warm: Option<&[f64]>,
    ) -> Result<Evaluation, HyperFailure> {
        let (n, m) = (self.problem.n(), self.problem.m());
        let warm = warm.filter(|y| y.len() == m && y.iter().all(|v| v.is_finite()));
        if x.len() != n {
            return Err(HyperFailure::Numerical(format!("x has {} entries, the leader has {n}", x.len())));
        }
        let start = match (warm, self.problem.start()) {
            (Some(y), _) | (None, Some((_, y))) => y.to_vec(),
            (None, None) => vec![0.0; m],
        };
        let mut functions = Functions::new(&self.problem, self.attitude, x);
        match &self.route {
            Route::NullSpace(route) => route.evaluate(&mut functions, &self.facts, &self.settings, &start),
            Route::Unsupported(what) => Err(HyperFailure::Numerical((*what).into())),
        }
    }
}

impl HyperObjective for Hyper {
    fn dimension(&self) -> usize {
        self.problem.n()
    }

    fn evaluate(&self, x: &[f64], accuracy: f64, warm: Option<&[f64]>) -> Result<HyperPoint, HyperFailure> {
        self.evaluate_in_full(x, accuracy, warm).map(|evaluation| evaluation.point)
    }
}

impl HyperPoint {
    /// From quantities of sign * F, which is minimised: ends and value change places and sign for sign = -1.
    pub(super) fn signed(
        sign: f64,
        value: f64,
        least: End,
        most: End,
        y: Vec<f64>,
        subgradient: Option<Vec<f64>>,
    ) -> Self {
        let turned = |end: End| End { value: sign * end.value, rigor: end.rigor };
        let (lower, upper) = if sign > 0.0 { (least, most) } else { (turned(most), turned(least)) };
        Self { value: sign * value, lower, upper, y, subgradient }
    }
}
