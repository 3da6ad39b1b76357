//! The hyper-objectives phi_o(x) = min F(x, y) and phi_p(x) = max F(x, y) over the follower's answers y in S(x)
//! [Chen, Li & So 2025], as intervals with the answer that attains them and a subgradient.
//!
//! A [`HyperObjective`] is what the methods on phi take: the problem's own phi, or a function that the user gives.
//!
//! ```text
//! route.rs        Hyper: the problem's own phi; chooses a way by structure
//! facts.rs        what the structure says
//! functions.rs    F and f at a fixed x
//! spectrum.rs     the follower's Hessian: rank, null space, pseudo-inverse
//! squares.rs      a formula as a weighted sum of squares
//! factored/       the same for large least-squares followers, with the Hessian in factors
//! null_space.rs   f quadratic in y, follower free: S(x) is affine
//! affine.rs       the interval and the subgradient where S(x) is affine
//! minimiser.rs    a minimiser of f, follower free
//! constrained.rs  followers with constraints, sets, several answers: minimisers, then the best answer on each face
//! face.rs         the answers near one minimiser as a polyhedron, and F on it
//! answers.rs      what S(x) looks like, whatever F is
//! eta.rs          the same for a follower who takes any answer within eta of the best
//! user.rs         UserHyper: a user's own function of x
//! krylov.rs       free quadratic followers with thousands of variables, by Hessian products alone
//! penalty.rs      large convex followers over a set: the penalty path, first derivatives only
//! baseline/       methods of the literature for the same task, to compare with
//! directional.rs  one-sided directional derivatives
//! oracle.rs       a subgradient of phi with constraints
//! custom.rs       a user's objective with its sign turned
//! descent.rs      trust-region Newton method for what is left of F on S(x)
//! pieces.rs       a step for functions made of quadratic pieces
//! ```

mod affine;
mod answers;
pub mod baseline;
mod constrained;
mod custom;
mod descent;
mod directional;
mod eta;
mod face;
mod factored;
mod facts;
mod functions;
mod krylov;
mod minimiser;
mod null_space;
mod oracle;
mod penalty;
mod pieces;
mod route;
mod spectrum;
mod squares;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod user;

pub(crate) use minimiser::follower_minimiser;
pub(crate) use spectrum::Spectrum;

pub use directional::{Directional, directional_derivative};
pub use route::{Answers, Evaluation, Hyper, HyperSettings};
pub use user::{UserHyper, UserValue};

use crate::problem::Failures;

/// phi at one x.
#[derive(Clone, Debug)]
pub struct HyperPoint {
    /// The best estimate of phi(x).
    pub value: f64,
    /// The lower end of an interval that contains phi(x); minus infinity where there is none.
    pub lower: End,
    /// The upper end; infinity where there is none.
    pub upper: End,
    /// The follower's answer that attains the value, empty for a function of x alone.
    pub y: Vec<f64>,
    /// A Clarke subgradient of phi at x, where one could be computed.
    pub subgradient: Option<Vec<f64>>,
}

/// One end of an interval, and what it rests on.
#[derive(Clone, Debug)]
pub struct End {
    /// The number.
    pub value: f64,
    /// What it rests on.
    pub rigor: crate::solution::Rigor,
}

/// Why phi has no value at an x.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HyperFailure {
    /// The follower has no feasible answer at x.
    NoAnswer,
    /// The follower's objective decreases without bound.
    FollowerUnbounded,
    /// F is unbounded over S(x): phi is minus infinity (optimistic) or infinity (pessimistic).
    Infinite,
    /// NaN, a failing function, no progress; the text says which.
    Numerical(String),
}

impl HyperFailure {
    /// The follower's problem could not be solved, or a user's function failed.
    fn unsolved(failures: &Failures) -> Self {
        let text = failures.first().unwrap_or_else(|| "the follower's problem could not be solved".into());
        HyperFailure::Numerical(text)
    }
}

/// A function of the leader's x that methods minimise: phi_o, phi_p, or a user's own.
pub trait HyperObjective: Sync {
    /// The number of the leader's variables.
    fn dimension(&self) -> usize;

    /// phi at `x` to about `accuracy` (absolute), starting from the answer at a nearby x where one is given. The same
    /// arguments give the same result, in any thread.
    ///
    /// # Errors
    /// Why there is no value.
    fn evaluate(&self, x: &[f64], accuracy: f64, warm: Option<&[f64]>) -> Result<HyperPoint, HyperFailure>;
}
