//! Proofs: bounds that hold in exact arithmetic, whatever rounding and whichever solver found the point. Why each rule
//! is sound is written in `docs/theory/proof.md`.
//!
//! ```text
//! interval/      intervals with outward rounding
//! program/       formulas as straight-line programs: value, gradient, Hessian over boxes; constraint propagation
//! problem.rs     Formulas: a bilevel problem as a program, where everything starts
//! search.rs      the untrusted local solver
//! minimum/       proved lower bounds by branch and bound
//! dual/          convex followers of any size by duality
//! existence.rs   feasible answers proved to exist near a point
//! follower.rs    Formulas::follower: v(x) from below, the gap of an answer
//! attitude.rs    Formulas::hyper: bounds of φ_o and φ_p
//! check.rs       Formulas::check: everything of one point, refutation with a witness, the verdict
//! global/        Formulas::global: F from below over all bilevel feasible points
//! ```

pub mod attitude;
pub mod check;
pub mod dual;
mod existence;
pub mod follower;
pub mod global;
pub mod interval;
pub mod minimum;
pub mod problem;
pub mod program;
pub mod recession;
mod search;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
