//! The upper level in a form that solvers take: bounds of x, and a [`System`] over (x, ỹ) extended by the auxiliary
//! variables of the leader's set, which stand behind ỹ.

use crate::expr::Level;
use crate::lower::Follower;
use crate::problem::{Function, Problem, System, SystemBuilder};
use crate::set::{ConvexSet, Description};

/// The upper level over (x, ỹ, auxiliary variables of X).
#[derive(Clone, Debug)]
pub struct Leader {
    /// F as a function of (x, ỹ).
    pub objective: Function,
    /// Whether F has no kinks.
    pub smooth: bool,
    /// Lower bounds of x, then of the auxiliary variables.
    pub lower: Vec<f64>,
    /// Upper bounds of x, then of the auxiliary variables.
    pub upper: Vec<f64>,
    /// The leader's constraints over (x, ỹ, auxiliary).
    pub system: System,
}

impl Leader {
    /// The upper level of `problem`, to be put together with this form of the follower; `smooth` says whether F is.
    pub fn new(problem: &Problem, follower: &Follower, smooth: bool) -> Self {
        let (n, size) = (problem.n(), follower.size());
        let mut description = Description::default();
        problem.leader().set.describe(0, &mut description);
        let auxiliary = description.lower.len() - n;
        let mut builder = SystemBuilder::new(n, size + auxiliary);
        problem.leader().constraints.iter().for_each(|c| builder.constraint(c));
        builder.set(Level::Leader, &description, |j| if j < n { j } else { size + j });
        Self {
            objective: problem.leader().objective.resized(n, size + auxiliary),
            smooth,
            lower: description.lower,
            upper: description.upper,
            system: builder.build(),
        }
    }

    /// Number of auxiliary variables of the leader's set.
    pub fn auxiliary(&self, n: usize) -> usize {
        self.lower.len() - n
    }
}
