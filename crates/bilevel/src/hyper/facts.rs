//! What the structure of a problem says about its hyper-objectives, looked at once.

use std::sync::{Arc, OnceLock};

use bilevel_linalg::Dense;

use crate::expr::structure::{Block, Curvature, Degree, Structure, VariableBounds};
use crate::expr::{Blocks, Expr, Matrix};
use crate::problem::{Constraint, Function, Problem};
use crate::set::Set;

/// Free followers with more variables are solved without matrices.
pub(super) const LARGEST_DENSE: usize = 3000;

/// An objective as a function of y.
#[derive(Clone, Debug)]
pub(super) struct ObjectiveFacts {
    /// Its degree in y.
    pub degree: Degree,
    /// Its curvature in y, by rules.
    pub curvature: Curvature,
    /// Whether it is twice continuously differentiable in y.
    pub smooth: bool,
    constant: Constant,
}

/// A Hessian in y that is the same at every x, written down when it is first asked for: it may be large.
#[derive(Clone, Debug, Default)]
struct Constant {
    formula: Option<(Expr, VariableBounds)>,
    matrix: Arc<OnceLock<Option<Dense>>>,
}

impl Constant {
    fn write(&self) -> Option<Dense> {
        let (formula, bounds) = self.formula.as_ref()?;
        let structure = Structure::new(std::slice::from_ref(formula), bounds).ok()?;
        let form = structure.quadratic(*structure.roots().first()?, Block::Follower)?;
        Some(match form.hessian {
            Matrix::Dense(matrix) => matrix.as_ref().clone(),
            Matrix::Sparse(matrix) => matrix.to_dense(),
        })
    }
}

impl ObjectiveFacts {
    pub fn new(function: &Function, bounds: &VariableBounds) -> Self {
        let unknown = Self {
            degree: Degree::Nonlinear,
            curvature: Curvature::Unknown,
            smooth: true,
            constant: Constant::default(),
        };
        let Some(Ok(structure)) = function.expr().map(|e| Structure::new(std::slice::from_ref(e), bounds)) else {
            return unknown;
        };
        let Some(&root) = structure.roots().first() else { return unknown };
        let degree = structure.degree(root, Block::Follower);
        let small = bounds.follower().len() <= LARGEST_DENSE;
        let formula = function.expr().filter(|_| small && degree <= Degree::Quadratic);
        let formula = formula.map(|formula| (formula.clone(), bounds.clone()));
        let constant = Constant { formula, ..Constant::default() };
        let curvature = structure.curvature(root, Block::Follower);
        Self { degree, curvature, smooth: structure.is_smooth(root, Block::Follower), constant }
    }

    /// The Hessian in y, where the objective is quadratic in y and the Hessian is the same at every x.
    pub fn hessian(&self) -> Option<&Dense> {
        self.constant.matrix.get_or_init(|| self.constant.write()).as_ref()
    }

    /// Whether sign * the objective is convex in y by rules.
    pub fn is_convex(&self, sign: f64) -> bool {
        if sign > 0.0 { self.curvature.is_convex() } else { self.curvature.is_concave() }
    }
}

/// What is known of a problem.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// F.
    pub upper: ObjectiveFacts,
    /// f.
    pub lower: ObjectiveFacts,
    /// Whether the follower may choose any y: Y = R^m and no constraints.
    pub free: bool,
    /// Whether the follower's only constraints are bounds of y, at least one.
    pub bounded: bool,
    /// Whether all of the follower's functions are smooth in y.
    pub follower_smooth: bool,
    /// Whether the follower's problem is convex in y by rules.
    pub follower_convex: bool,
    /// The leader's constraints that restrict y: an optimistic leader may only count on answers that satisfy them.
    pub coupled: Vec<Constraint>,
    /// Whether they are convex in y by rules.
    pub coupled_convex: bool,
}

impl Facts {
    /// By the rules for formulas, on a box of both levels' variables.
    pub fn new(problem: &Problem, bounds: &VariableBounds) -> Self {
        let side = problem.follower();
        let upper = ObjectiveFacts::new(&problem.leader().objective, bounds);
        let lower = ObjectiveFacts::new(&side.objective, bounds);
        let (mut follower_smooth, mut follower_convex) = (lower.smooth, lower.curvature.is_convex());
        for constraint in &side.constraints {
            follower_smooth &= curvature(&constraint.function, bounds).1;
            follower_convex &= is_convex(constraint, bounds);
        }
        let (boxed, whole) = shape(&side.set, problem.m());
        let alone = side.constraints.is_empty();
        let (free, bounded) = (alone && whole, alone && boxed && !whole);
        let on_answers = |constraint: &&Constraint| match &constraint.function {
            Function::Formula { tape, .. } => tape.depends().meets(Blocks::FOLLOWER),
            Function::Custom(_) => true,
        };
        let coupled: Vec<Constraint> = problem.leader().constraints.iter().filter(on_answers).cloned().collect();
        let coupled_convex = coupled.iter().all(|c| is_convex(c, bounds));
        Self { upper, lower, free, bounded, follower_smooth, follower_convex, coupled, coupled_convex }
    }
}

/// Whether a constraint's answers form a convex set by rules.
fn is_convex(constraint: &Constraint, bounds: &VariableBounds) -> bool {
    let (curvature, _) = curvature(&constraint.function, bounds);
    curvature.is_convex() && (!constraint.is_equality() || curvature.is_concave())
}

/// Curvature and smoothness in y of a constraint; a user's own code counts as smooth.
fn curvature(function: &Function, bounds: &VariableBounds) -> (Curvature, bool) {
    let structure = function.expr().map(|e| Structure::new(std::slice::from_ref(e), bounds));
    let Some(Ok(structure)) = structure else { return (Curvature::Unknown, true) };
    let Some(&root) = structure.roots().first() else { return (Curvature::Unknown, true) };
    (structure.curvature(root, Block::Follower), structure.is_smooth(root, Block::Follower))
}

/// Whether a set of m variables is a box, and whether it is everything.
fn shape(set: &Set, m: usize) -> (bool, bool) {
    let mut description = crate::set::Description::default();
    crate::set::ConvexSet::describe(set, 0, &mut description);
    let unbounded = |&v: &f64| v.is_infinite();
    let plain = description.row_count() == 0 && description.balls.is_empty();
    let open = description.lower.iter().all(unbounded) && description.upper.iter().all(unbounded);
    (plain && description.lower.len() == m, plain && open)
}
