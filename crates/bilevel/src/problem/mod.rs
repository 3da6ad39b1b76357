//! The bilevel problem: two levels, each with variables, an objective, a fixed convex set and constraints of (x, y).
//!
//! ```text
//! model.rs      Model: the builder that a user meets; everything about shapes and names is checked in `build`
//! function.rs   Function: a formula or a user's own code, evaluated through a FunctionEvaluator
//! block.rs      Block: a named group of variables, and values by name
//! system.rs     System: constraints sorted into affine rows and nonlinear functions
//! ball.rs       a Euclidean ball as a constraint function
//! ```
//!
//! Inside the library both levels minimise and constraints read `<= 0` or `= 0`; [`Sense`] and [`Relation`] keep what the
//! user wrote, for reports.

mod ball;
mod block;
mod function;
mod model;
mod system;

pub use block::{Block, NamedValues};
pub use function::{At, CallbackError, Failures, Function, FunctionEvaluator, Objective, Product};
pub use model::{Comparison, Declaration, Model, ModelError};
pub use system::{Place, System, SystemBuilder};

use crate::expr::structure::VariableBounds;
use crate::set::{ConvexSet, Set};

/// Whether a level minimises or maximises, as the user wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sense {
    /// Smaller is better.
    #[default]
    Minimize,
    /// Larger is better; the stored objective is the negative of the user's.
    Maximize,
}

impl Sense {
    /// Turns a value of the stored (minimised) objective into the user's, and back.
    pub fn apply(self, value: f64) -> f64 {
        match self {
            Sense::Minimize => value,
            Sense::Maximize => -value,
        }
    }
}

/// How a constraint was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// left <= right, stored as left - right <= 0.
    AtMost,
    /// left >= right, stored as right - left <= 0.
    AtLeast,
    /// left == right, stored as left - right = 0.
    Equal,
}

/// What the leader expects of a follower with several optimal answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Attitude {
    /// Ties go to the leader's advantage.
    #[default]
    Optimistic,
    /// Ties go against the leader.
    Pessimistic,
}

/// A vector-valued constraint function, each component `<= 0` (or `= 0`).
#[derive(Clone, Debug)]
pub struct Constraint {
    /// The text it was written as, or a number such as `constraint 2`; used in reports.
    pub label: String,
    /// How it was written.
    pub relation: Relation,
    /// The stored function.
    pub function: Function,
}

impl Constraint {
    /// Whether it is an equality.
    pub fn is_equality(&self) -> bool {
        self.relation == Relation::Equal
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.function.len()
    }

    /// Whether there are no components.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One level of a problem.
#[derive(Clone, Debug)]
pub struct Side {
    /// The variables, in the order of declaration.
    pub blocks: Vec<Block>,
    /// The fixed convex set of all variables of this level.
    pub set: Set,
    /// The objective, minimised.
    pub objective: Function,
    /// How the user stated the objective.
    pub sense: Sense,
    /// Further constraints on (x, y) that this level must respect.
    pub constraints: Vec<Constraint>,
}

impl Side {
    /// The number of scalar variables.
    pub fn dimension(&self) -> usize {
        self.blocks.iter().map(|block| block.shape.len()).sum()
    }
}

/// A bilevel problem, checked and ready to be solved. Built by [`Model`].
#[derive(Clone, Debug)]
pub struct Problem {
    name: String,
    leader: Side,
    follower: Side,
    start: Option<(Vec<f64>, Vec<f64>)>,
}

impl Problem {
    /// The name; empty if none was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The upper level.
    pub fn leader(&self) -> &Side {
        &self.leader
    }

    /// The lower level.
    pub fn follower(&self) -> &Side {
        &self.follower
    }

    /// n, the number of the leader's variables; 0 for a simple bilevel problem.
    pub fn n(&self) -> usize {
        self.leader.dimension()
    }

    /// m, the number of the follower's variables; at least 1.
    pub fn m(&self) -> usize {
        self.follower.dimension()
    }

    /// The same problem with another follower's objective (minimised).
    pub(crate) fn with_lower_objective(&self, objective: Function) -> Self {
        let mut out = self.clone();
        (out.follower.objective, out.follower.sense) = (objective, Sense::Minimize);
        out
    }

    /// The same problem with both levels and the start rewritten, for as many variables.
    pub(crate) fn with_sides(&self, leader: Side, follower: Side, start: Option<(Vec<f64>, Vec<f64>)>) -> Self {
        Self { name: self.name.clone(), leader, follower, start }
    }

    /// The bounding boxes of both levels' sets.
    pub fn variable_bounds(&self) -> VariableBounds {
        let of = |side: &Side| {
            let d = side.dimension();
            let (mut lower, mut upper) = (vec![f64::NEG_INFINITY; d], vec![f64::INFINITY; d]);
            side.set.bounding_box(&mut lower, &mut upper);
            (lower, upper)
        };
        let (x, y) = (of(&self.leader), of(&self.follower));
        VariableBounds::new(&x.0, &x.1, &y.0, &y.1).unwrap_or_else(|_| VariableBounds::unbounded(self.n(), self.m()))
    }

    /// The same follower under a leader without constraints that minimises component `k` of `function`, or its negative;
    /// `None` if that is no formula.
    pub(crate) fn with_leader_objective(&self, function: &Function, k: usize, negative: bool) -> Option<Self> {
        let objective = match function {
            Function::Custom(_) if !negative && k == 0 => function.clone(),
            Function::Custom(_) => return None,
            Function::Formula { expr, .. } => {
                let part = if function.len() > 1 { expr.index(k) } else { expr.sum() };
                let part = if negative { -&part } else { part };
                Function::formula(&part, self.n(), self.m())?
            }
        };
        let leader = Side { objective, sense: Sense::Minimize, constraints: Vec::new(), ..self.leader.clone() };
        Some(Self { leader, ..self.clone() })
    }

    /// The start (x, y) given by the user, if any.
    pub fn start(&self) -> Option<(&[f64], &[f64])> {
        self.start.as_ref().map(|(x, y)| (x.as_slice(), y.as_slice()))
    }

    /// The same problem with another start.
    ///
    /// # Errors
    /// [`ModelError::Start`] if a length is wrong or a value is not finite.
    pub fn with_start(mut self, x: &[f64], y: &[f64]) -> Result<Self, ModelError> {
        for (level, given, expected) in [("leader", x, self.n()), ("follower", y, self.m())] {
            if given.len() != expected || given.iter().any(|v| !v.is_finite()) {
                return Err(ModelError::Start { level, given: given.len(), expected });
            }
        }
        self.start = Some((x.to_vec(), y.to_vec()));
        Ok(self)
    }
}
