//! The builder that a user meets.

use std::ops::Sub;
use std::sync::Arc;

use super::{Block, Constraint, Function, Objective, Problem, Relation, Sense, Side};
use crate::expr::{Expr, ExprError, Graph, Level, Shape};
use crate::set::{Product, Set, SetError, Whole};

/// What is wrong with a model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A name was used twice.
    #[error("variable `{0}` is declared twice")]
    Duplicate(String),
    /// A name that formulas could not refer to.
    #[error("`{0}` is not a name: use letters, digits and `_`, beginning with a letter")]
    Name(String),
    /// A vector without entries.
    #[error("variable `{0}` has no entries")]
    Empty(String),
    /// A set that does not fit its variable, or is empty.
    #[error("the set of variable `{name}`: {error}")]
    Set {
        /// The variable.
        name: String,
        /// What is wrong.
        error: SetError,
    },
    /// A set that could not be made.
    #[error(transparent)]
    BadSet(#[from] SetError),
    /// A formula with wrong shapes.
    #[error("in {place}: {error}")]
    Formula {
        /// Which formula.
        place: String,
        /// What is wrong.
        error: ExprError,
    },
    /// A formula with variables of another model.
    #[error("{place} uses variables that this model does not have")]
    Foreign {
        /// Which formula.
        place: String,
    },
    /// An objective that is a vector.
    #[error("the {place} must be a scalar, got {shape}; use sum(...) or another reduction")]
    NotScalar {
        /// Which objective.
        place: String,
        /// Its shape.
        shape: Shape,
    },
    /// No objective.
    #[error("the {0} level has no objective")]
    NoObjective(&'static str),
    /// No follower variable.
    #[error("the follower has no variables: declare at least one")]
    NoFollower,
    /// A start that does not fit.
    #[error("the {level}'s start has {given} values (all must be finite), expected {expected}")]
    Start {
        /// Whose start.
        level: &'static str,
        /// Values given.
        given: usize,
        /// Values needed.
        expected: usize,
    },
}

/// A constraint as the user states it: two formulas and how they compare. Made by [`Expr::at_most`],
/// [`Expr::at_least`] and [`Expr::equal_to`].
#[derive(Clone, Debug)]
pub struct Comparison {
    difference: Expr,
    relation: Relation,
    label: Option<String>,
}

impl Comparison {
    /// The same comparison with the text it was written as, for reports.
    pub fn labelled(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }
}

impl Expr {
    /// The constraint `self <= right`, entry by entry.
    pub fn at_most<R>(&self, right: R) -> Comparison
    where
        for<'a> &'a Expr: Sub<R, Output = Expr>,
    {
        Comparison { difference: self - right, relation: Relation::AtMost, label: None }
    }

    /// The constraint `self >= right`, entry by entry.
    pub fn at_least<R>(&self, right: R) -> Comparison
    where
        for<'a> &'a Expr: Sub<R, Output = Expr>,
    {
        Comparison { difference: -(self - right), relation: Relation::AtLeast, label: None }
    }

    /// The constraint `self == right`, entry by entry.
    pub fn equal_to<R>(&self, right: R) -> Comparison
    where
        for<'a> &'a Expr: Sub<R, Output = Expr>,
    {
        Comparison { difference: self - right, relation: Relation::Equal, label: None }
    }
}

#[derive(Clone)]
enum Goal {
    Formula(Expr),
    Custom(Arc<dyn Objective>),
}

#[derive(Clone, Default)]
struct Draft {
    blocks: Vec<Block>,
    sets: Vec<Set>,
    goal: Option<Goal>,
    sense: Sense,
    constraints: Vec<Comparison>,
}

/// Builds a [`Problem`]: declare variables, state both objectives, add constraints, `build`.
///
/// ```
/// use bilevel::prelude::*;
///
/// # fn main() -> Result<(), ModelError> {
/// let mut model = Model::new();
/// let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0)?)?;
/// let y = model.follower("y", 1).within(Bounds::new(-2.0, 2.0)?)?;
/// let problem = model.upper((&x - 2.0).norm2sq() + (&y - 1.0).norm2sq()).lower((&y - &x).norm2sq()).build()?;
/// assert_eq!((problem.n(), problem.m()), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct Model {
    graph: Graph,
    name: String,
    leader: Draft,
    follower: Draft,
    start: Option<(Vec<f64>, Vec<f64>)>,
}

/// A variable that has a name and a shape, and waits for its set.
pub struct Declaration<'m> {
    model: &'m mut Model,
    level: Level,
    name: String,
    shape: Shape,
}

impl Declaration<'_> {
    /// The variable, restricted to `set` (a set, or what makes one of the variable's length).
    ///
    /// # Errors
    /// A name that is taken or no name, no entries, or a set that is empty or of another length.
    pub fn within(self, set: impl Into<Set>) -> Result<Expr, ModelError> {
        let dimension = self.shape.len();
        let set = set.into().sized(dimension).map_err(|error| ModelError::Set { name: self.name.clone(), error })?;
        self.model.declare(self.level, self.name, self.shape, set)
    }

    /// The variable, without any restriction.
    ///
    /// # Errors
    /// A name that is taken or no name, or no entries.
    pub fn free(self) -> Result<Expr, ModelError> {
        let set = Set::from(Whole::new(self.shape.len()));
        self.model.declare(self.level, self.name, self.shape, set)
    }
}

impl Model {
    /// An empty model.
    pub fn new() -> Self {
        Self::default()
    }

    /// The store of this model's formulas, to make constants in.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Names the problem.
    pub fn name(&mut self, name: impl Into<String>) -> &mut Self {
        self.name = name.into();
        self
    }

    /// Declares a leader's variable: a vector of the given length, or [`Shape::Scalar`].
    pub fn leader(&mut self, name: impl Into<String>, shape: impl Into<Shape>) -> Declaration<'_> {
        Declaration { model: self, level: Level::Leader, name: name.into(), shape: shape.into() }
    }

    /// Declares a follower's variable: a vector of the given length, or [`Shape::Scalar`].
    pub fn follower(&mut self, name: impl Into<String>, shape: impl Into<Shape>) -> Declaration<'_> {
        Declaration { model: self, level: Level::Follower, name: name.into(), shape: shape.into() }
    }

    /// The leader minimises `objective` (a scalar formula).
    pub fn upper(&mut self, objective: Expr) -> &mut Self {
        self.set_goal(Level::Leader, Goal::Formula(objective), Sense::Minimize)
    }

    /// The leader maximises `objective` (a scalar formula).
    pub fn upper_maximize(&mut self, objective: Expr) -> &mut Self {
        self.set_goal(Level::Leader, Goal::Formula(-objective), Sense::Maximize)
    }

    /// The leader minimises a function given as code.
    pub fn upper_function(&mut self, objective: Arc<dyn Objective>) -> &mut Self {
        self.set_goal(Level::Leader, Goal::Custom(objective), Sense::Minimize)
    }

    /// The follower minimises `objective` (a scalar formula).
    pub fn lower(&mut self, objective: Expr) -> &mut Self {
        self.set_goal(Level::Follower, Goal::Formula(objective), Sense::Minimize)
    }

    /// The follower maximises `objective` (a scalar formula).
    pub fn lower_maximize(&mut self, objective: Expr) -> &mut Self {
        self.set_goal(Level::Follower, Goal::Formula(-objective), Sense::Maximize)
    }

    /// The follower minimises a function given as code.
    pub fn lower_function(&mut self, objective: Arc<dyn Objective>) -> &mut Self {
        self.set_goal(Level::Follower, Goal::Custom(objective), Sense::Minimize)
    }

    /// A further constraint that the leader must respect; it may contain the follower's variables.
    pub fn upper_subject_to(&mut self, constraint: Comparison) -> &mut Self {
        self.leader.constraints.push(constraint);
        self
    }

    /// A further constraint that the follower must respect; it may contain the leader's variables.
    pub fn lower_subject_to(&mut self, constraint: Comparison) -> &mut Self {
        self.follower.constraints.push(constraint);
        self
    }

    /// Where to start, as flat vectors in the order of declaration. Without it a start is made from the sets.
    pub fn start(&mut self, x: &[f64], y: &[f64]) -> &mut Self {
        self.start = Some((x.to_vec(), y.to_vec()));
        self
    }

    /// Checks everything and makes the problem.
    ///
    /// # Errors
    /// The first mistake found: a formula with wrong shapes, an objective that is missing or no scalar, no follower
    /// variables, or a start of the wrong length.
    pub fn build(&self) -> Result<Problem, ModelError> {
        let (n, m) = (self.leader.dimension(), self.follower.dimension());
        if m == 0 {
            return Err(ModelError::NoFollower);
        }
        let leader = self.leader.side("upper", n, m)?;
        let follower = self.follower.side("lower", n, m)?;
        let problem = Problem { name: self.name.clone(), leader, follower, start: None };
        match &self.start {
            Some((x, y)) => problem.with_start(x, y),
            None => Ok(problem),
        }
    }

    fn draft(&mut self, level: Level) -> &mut Draft {
        match level {
            Level::Leader => &mut self.leader,
            Level::Follower => &mut self.follower,
        }
    }

    fn set_goal(&mut self, level: Level, goal: Goal, sense: Sense) -> &mut Self {
        let draft = self.draft(level);
        draft.goal = Some(goal);
        draft.sense = sense;
        self
    }

    fn declare(&mut self, level: Level, name: String, shape: Shape, set: Set) -> Result<Expr, ModelError> {
        if !is_name(&name) {
            return Err(ModelError::Name(name));
        }
        if self.leader.blocks.iter().chain(&self.follower.blocks).any(|block| block.name == name) {
            return Err(ModelError::Duplicate(name));
        }
        if shape.is_empty() {
            return Err(ModelError::Empty(name));
        }
        let draft = self.draft(level);
        let offset = draft.dimension();
        draft.blocks.push(Block { name, shape, offset });
        draft.sets.push(set);
        Ok(self.graph.variable(level, offset, shape))
    }
}

impl Draft {
    fn dimension(&self) -> usize {
        self.blocks.iter().map(|block| block.shape.len()).sum()
    }

    fn side(&self, level: &'static str, n: usize, m: usize) -> Result<Side, ModelError> {
        let place = format!("{level} objective");
        let objective = match &self.goal {
            None => return Err(ModelError::NoObjective(level)),
            Some(Goal::Custom(objective)) => Function::Custom(objective.clone()),
            Some(Goal::Formula(expr)) => {
                let function = compile(expr, &place, n, m)?;
                if expr.shape().len() != 1 {
                    return Err(ModelError::NotScalar { place, shape: expr.shape() });
                }
                function
            }
        };
        let mut constraints = Vec::with_capacity(self.constraints.len());
        for (index, comparison) in self.constraints.iter().enumerate() {
            let place = comparison.label.clone().unwrap_or_else(|| format!("{level} constraint {index}"));
            let function = compile(&comparison.difference, &place, n, m)?;
            constraints.push(Constraint { label: place, relation: comparison.relation, function });
        }
        let set = Set::from(Product::new(self.sets.clone()));
        Ok(Side { blocks: self.blocks.clone(), set, objective, sense: self.sense, constraints })
    }
}

fn compile(expr: &Expr, place: &str, n: usize, m: usize) -> Result<Function, ModelError> {
    expr.check().map_err(|error| ModelError::Formula { place: place.to_string(), error })?;
    Function::formula(expr, n, m).ok_or_else(|| ModelError::Foreign { place: place.to_string() })
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_alphabetic() || c == '_')
        && characters.all(|c| c.is_alphanumeric() || c == '_')
}
