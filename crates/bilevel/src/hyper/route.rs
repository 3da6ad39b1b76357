//! The problem's own phi: looks at the structure once, chooses how to evaluate, and says which way it took.

use super::constrained::{Constrained, best_minimiser};
use super::factored::{Factored, Outcome};
use super::facts::{Facts, LARGEST_DENSE};
use super::functions::{Functions, sign};
use super::krylov;
use super::null_space::NullSpace;
use super::penalty;
use super::{End, HyperFailure, HyperObjective, HyperPoint};
use crate::expr::structure::{Degree, VariableBounds};
use crate::problem::{Attitude, Problem};

/// Followers over a set alone with more variables are solved without matrices where that is possible.
const LARGE: usize = 200;

/// How phi is evaluated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HyperSettings {
    /// Starts over S(x) where F is not known to be convex there; at least 1.
    pub starts: usize,
    /// Seed of those starts.
    pub seed: u64,
    /// How much worse than the best the follower's answers may be, >= 0 (mathematics §4b); 0: only best answers count.
    pub eta: f64,
}

impl Default for HyperSettings {
    fn default() -> Self {
        Self { starts: 8, seed: 0, eta: 0.0 }
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
    /// A convex set with ends, such as a face of the follower's feasible set.
    Face {
        /// Its dimension, at least 1.
        dimension: usize,
    },
    /// Several isolated answers, as far as found.
    Isolated {
        /// How many.
        count: usize,
    },
    /// All answers within the follower's tolerance eta.
    Tolerance,
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
///
/// An optimistic phi counts only answers that satisfy the leader's constraints on y; where S(x) has none,
/// [`HyperFailure::NoAnswer`]. A pessimistic phi is over all of S(x): whether all of it satisfies them is a question of
/// its own. With `eta > 0` neither looks at them.
///
/// ```
/// use bilevel::hyper::{Answers, Hyper, HyperSettings};
/// use bilevel::problem::Attitude;
/// use bilevel::prelude::*;
///
/// # fn main() -> Result<(), ModelError> {
/// let mut model = Model::new();
/// let x = model.leader("x", 1).free()?;
/// let y = model.follower("y", 2).free()?;
/// // The follower only cares for y0 + y1 = x; the leader wants a short y.
/// let problem = model.upper((&y).norm2sq()).lower((y.sum() - x.index(0)).square()).build()?;
/// let phi = Hyper::new(&problem, Attitude::Optimistic, &HyperSettings::default());
/// let found = phi.evaluate_in_full(&[1.0], 1e-8, None);
/// assert!(found.is_ok_and(|f| f.answers == Answers::Affine { dimension: 1 } && (f.point.value - 0.5).abs() < 1e-12));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Hyper {
    problem: Problem,
    attitude: Attitude,
    settings: HyperSettings,
    facts: Facts,
    /// Where S(x) is affine, and f a sum of many squares.
    pub(super) factored: Option<Factored>,
    /// Where S(x) is affine.
    pub(super) null_space: Option<NullSpace>,
    /// Everywhere else, and where F has kinks that the null space cannot deal with.
    constrained: Constrained,
}

impl Hyper {
    /// The hyper-objective of `problem` for an attitude.
    pub fn new(problem: &Problem, attitude: Attitude, settings: &HyperSettings) -> Self {
        Self::within(problem, attitude, settings, &problem.variable_bounds())
    }

    /// The same for this x alone, about which the rules for formulas may know more.
    pub fn at(problem: &Problem, attitude: Attitude, settings: &HyperSettings, x: &[f64]) -> Self {
        Self::within(problem, attitude, settings, &problem.variable_bounds().with_leader_at(x))
    }

    fn within(problem: &Problem, attitude: Attitude, settings: &HyperSettings, bounds: &VariableBounds) -> Self {
        let facts = Facts::new(problem, bounds);
        let settled = facts.lower.degree <= Degree::Quadratic || facts.lower.curvature.is_convex();
        let bound = attitude == Attitude::Optimistic && !facts.coupled.is_empty();
        let affine = facts.free && facts.lower.smooth && settled && settings.eta <= 0.0 && !bound;
        let boxed = facts.bounded && facts.lower.smooth && settings.eta <= 0.0 && !bound;
        let factored = if affine || boxed { Factored::new(problem, &facts, attitude) } else { None };
        let null_space = affine.then(|| match factored {
            // The fallback of a large follower: nothing is worth computing ahead.
            Some(_) => NullSpace::default(),
            None if problem.m() > LARGEST_DENSE => NullSpace::default(),
            None => NullSpace::new(&facts, attitude),
        });
        let constrained = Constrained::new(problem, &facts, attitude, bounds);
        Self { problem: problem.clone(), attitude, settings: *settings, facts, factored, null_space, constrained }
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
    pub fn evaluate_in_full(&self, x: &[f64], accuracy: f64, warm: Option<&[f64]>) -> Result<Evaluation, HyperFailure> {
        let (n, m) = (self.problem.n(), self.problem.m());
        if x.len() != n {
            return Err(HyperFailure::Numerical(format!("x has {} entries, the leader has {n}", x.len())));
        }
        let start = self.start(warm);
        let mut kinked = false;
        if let Some(route) = &self.factored {
            let mut functions = Functions::new(&self.problem, self.attitude, x);
            match route.evaluate(&mut functions, &self.facts, (x, &start), accuracy)? {
                Outcome::Found(evaluation) => return Ok(*evaluation),
                Outcome::Kink => kinked = true,
                Outcome::Unclear => {}
            }
        }
        let large = m > LARGE && self.problem.follower().constraints.is_empty() && self.settings.eta <= 0.0;
        let by_penalty = large && penalty::applies(&self.facts, self.attitude) && self.facts.coupled.is_empty();
        if (m > LARGEST_DENSE || (large && self.facts.lower.degree > Degree::Quadratic))
            && let Some(evaluation) = self.without_matrices(x, &start, (by_penalty, accuracy))?
        {
            return Ok(evaluation);
        }
        if let Some(route) = self.null_space.as_ref().filter(|_| !kinked) {
            let mut functions = Functions::new(&self.problem, self.attitude, x);
            let found = route.evaluate(&mut functions, &self.facts, &self.settings, &start)?;
            if let Some(evaluation) = found {
                return Ok(evaluation);
            }
        }
        let (route, at) = (&self.constrained, (x, start.as_slice()));
        if self.settings.eta > 0.0 {
            return route.rational(&self.problem, self.attitude, &self.facts, &self.settings, at);
        }
        if by_penalty {
            return self.by_penalty(x, &start, accuracy);
        }
        route.evaluate(&self.problem, self.attitude, &self.facts, &self.settings, at)
    }
}

impl Hyper {
    /// What S(x) looks like whatever F is, and one of its points: looked at more closely than in an evaluation, and the
    /// leader's constraints do not count. `None` for followers that are too large for that.
    ///
    /// # Errors
    /// Why S(x) is empty or not found.
    pub fn answers(&self, x: &[f64], warm: Option<&[f64]>) -> Result<Option<(Answers, Vec<f64>)>, HyperFailure> {
        if x.len() != self.problem.n() || self.problem.m() > LARGE {
            return Ok(None);
        }
        let start = self.start(warm);
        let affine = self.facts.free && self.facts.lower.smooth && self.facts.lower.curvature.is_convex();
        if affine || (self.facts.free && self.facts.lower.degree <= Degree::Quadratic) {
            let mut functions = Functions::new(&self.problem, self.attitude, x);
            return NullSpace::default().answers(&mut functions, &self.facts, start).map(Some);
        }
        self.constrained.answers(&self.problem, &self.facts, &self.settings, (x, &start)).map(Some)
    }

    /// Where evaluations start from: the answer at a nearby x, the problem's own start, or 0.
    fn start(&self, warm: Option<&[f64]>) -> Vec<f64> {
        let m = self.problem.m();
        let warm = warm.filter(|y| y.len() == m && y.iter().all(|v| v.is_finite()));
        match (warm, self.problem.start()) {
            (Some(y), _) | (None, Some((_, y))) => y.to_vec(),
            (None, None) => vec![0.0; m],
        }
    }

    /// Followers too large for a dense Hessian, where F is smooth and convex.
    fn without_matrices(
        &self,
        x: &[f64],
        start: &[f64],
        (penalty, accuracy): (bool, f64),
    ) -> Result<Option<Evaluation>, HyperFailure> {
        let Facts { lower, upper, .. } = &self.facts;
        let free = self.facts.free && self.settings.eta <= 0.0;
        let bound = self.attitude == Attitude::Optimistic && !self.facts.coupled.is_empty();
        if free && !bound && lower.smooth && upper.smooth && upper.is_convex(sign(self.attitude)) {
            let mut functions = Functions::new(&self.problem, self.attitude, x);
            let quadratic = lower.degree <= Degree::Quadratic;
            let convex = lower.curvature.is_convex();
            let best = if convex { None } else { best_minimiser(&self.problem, x, start, &self.settings)? };
            let from = best.as_deref().unwrap_or(start);
            if (convex || !quadratic)
                && let Some(evaluation) = krylov::evaluate(&mut functions, quadratic && convex, from, accuracy)?
            {
                return Ok(Some(evaluation));
            }
        }
        if penalty { self.by_penalty(x, start, accuracy).map(Some) } else { Ok(None) }
    }

    fn by_penalty(&self, x: &[f64], start: &[f64], accuracy: f64) -> Result<Evaluation, HyperFailure> {
        let mut functions = Functions::new(&self.problem, self.attitude, x);
        penalty::evaluate(&mut functions, &self.problem.follower().set, start, accuracy)
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
