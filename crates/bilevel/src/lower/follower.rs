//! The lower level in a form that solvers take: an objective, bounds and a [`System`] over (x, ỹ), where ỹ is the
//! follower's own y followed by auxiliary variables of sets and of the epigraph form.

use crate::expr::lift::{Lifted, lift};
use crate::expr::structure::{Block, Range, Structure, VariableBounds};
use crate::expr::{Expr, Level};
use crate::problem::{Function, Problem, System, SystemBuilder};
use crate::set::{ConvexSet, Description, Set};

use super::Composite;
use std::sync::Arc;

/// The lower level over (x, ỹ).
#[derive(Clone, Debug)]
pub struct Follower {
    /// Number of the leader's variables.
    pub n: usize,
    /// Number of the follower's own variables y.
    pub m: usize,
    /// f as a function of (x, ỹ).
    pub objective: Function,
    /// Lower bounds of ỹ.
    pub lower: Vec<f64>,
    /// Upper bounds of ỹ.
    pub upper: Vec<f64>,
    /// All other constraints of the follower.
    pub system: System,
    /// The set Y, where the follower's constraints are that set alone and ỹ = y.
    pub set_alone: Option<Set>,
    /// The objective in parts, where exact answers can be found from them.
    pub composite: Option<Arc<Composite>>,
    /// The objective in parts, where its only kinks are powers below 1.
    pub branches: Option<Arc<Composite>>,
    lifted: Option<Lifted>,
}

impl Follower {
    /// The lower level with its own formulas: exact where they are smooth, to be smoothed otherwise.
    pub fn direct(problem: &Problem) -> Self {
        Self::assemble(problem, None)
    }

    /// The lower level in epigraph form: every nonsmooth atom that is convex in y became smooth constraints on an
    /// auxiliary variable, so that the form is exact. `None` if a nonsmooth atom stands in a nonconvex position, or the
    /// objective is a user's own code.
    pub fn epigraph(problem: &Problem, bounds: &VariableBounds) -> Option<Self> {
        let side = problem.follower();
        let objective = side.objective.expr()?;
        let constraints: Option<Vec<_>> =
            side.constraints.iter().map(|c| c.function.expr().map(|e| (e.clone(), c.is_equality()))).collect();
        let lifted = lift(objective, &constraints?, bounds).ok()?;
        let ranges: Vec<Range> = lifted.lower.iter().zip(&lifted.upper).map(|(&l, &u)| Range::new(l, u)).collect();
        // A convex objective whose epigraph form is not convex (a kink that cancels out, say) is better left alone.
        let lost = is_convex(objective, bounds) && !is_convex(&lifted.objective, &bounds.extended(&ranges));
        (!lost).then(|| Self::assemble(problem, Some(lifted)))
    }

    fn assemble(problem: &Problem, lifted: Option<Lifted>) -> Self {
        let (n, m) = (problem.n(), problem.m());
        let side = problem.follower();
        let mut description = Description::default();
        side.set.describe(0, &mut description);
        let (mut lower, mut upper) = (description.lower[..m].to_vec(), description.upper[..m].to_vec());
        if let Some(lifted) = &lifted {
            lower.extend(&lifted.lower);
            upper.extend(&lifted.upper);
        }
        let set_offset = lower.len();
        lower.extend(&description.lower[m..]);
        upper.extend(&description.upper[m..]);
        let size = lower.len();

        let mut builder = SystemBuilder::new(n, size);
        match &lifted {
            None => side.constraints.iter().for_each(|c| builder.constraint(c)),
            Some(lifted) => lifted.constraints.iter().for_each(|(expr, equality)| builder.formula(expr, *equality)),
        }
        builder.set(Level::Follower, &description, |j| n + if j < m { j } else { set_offset + j - m });
        let objective = match &lifted {
            None => side.objective.resized(n, size),
            Some(lifted) => Function::formula(&lifted.objective, n, size).unwrap_or_else(|| side.objective.clone()),
        };
        let alone = side.constraints.is_empty() && size == m;
        let set_alone = alone.then(|| side.set.clone());
        Self {
            n,
            m,
            objective,
            lower,
            upper,
            system: builder.build(),
            set_alone,
            composite: None,
            branches: None,
            lifted,
        }
    }

    /// Completes y to ỹ: epigraph variables at their smallest feasible values, variables of sets at the middle of their
    /// bounds. A vector of full length is returned as it is.
    pub fn extend(&self, x: &[f64], y: &[f64]) -> Vec<f64> {
        let mut full = y.to_vec();
        if full.len() == self.size() {
            return full;
        }
        full.truncate(self.m);
        if let Some(lifted) = &self.lifted {
            lifted.fill(x, y, &mut full);
        }
        for j in full.len()..self.size() {
            full.push(middle(self.lower[j], self.upper[j]));
        }
        full
    }

    /// Number of variables ỹ.
    pub fn size(&self) -> usize {
        self.lower.len()
    }

    /// Whether this is the epigraph form.
    pub fn is_lifted(&self) -> bool {
        self.lifted.is_some()
    }
}

/// Whether composition rules show that a formula is convex in the follower's variables.
fn is_convex(expr: &Expr, bounds: &VariableBounds) -> bool {
    let Ok(structure) = Structure::new(std::slice::from_ref(expr), bounds) else { return false };
    structure.roots().first().is_some_and(|&root| structure.curvature(root, Block::Follower).is_convex())
}

/// A point between two bounds that may be infinite, near 0 where possible.
fn middle(lower: f64, upper: f64) -> f64 {
    match (lower.is_finite(), upper.is_finite()) {
        (true, true) => 0.5 * (lower + upper),
        (true, false) => lower.max(0.0),
        (false, true) => upper.min(0.0),
        (false, false) => 0.0,
    }
}
