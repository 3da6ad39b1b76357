//! Bilevel optimization: a leader chooses `x`, a follower answers with an optimal `y` of its own problem.
//!
//! ```text
//! minimise F(x, y)  over x in X, y      subject to  G(x, y) <= 0, H(x, y) = 0,
//!                                                   y in argmin { f(x, y') : y' in Y, g(x, y') <= 0, h(x, y') = 0 }
//! ```
//!
//! The follower may be nonsmooth, nonconvex and constrained. Every answer carries a [`solution::Certificate`], computed
//! afresh from the problem and the point.
//!
//! ```
//! use bilevel::prelude::*;
//!
//! # fn main() -> Result<(), ModelError> {
//! let mut model = Model::new();
//! let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0)?)?;
//! let y = model.follower("y", 1).within(Bounds::new(-2.0, 2.0)?)?;
//! let problem = model
//!     .upper((&x - 2.0).square().sum() + (&y - 1.0).square().sum())
//!     .lower((&y - &x).square().sum() + (&y).abs().sum())
//!     .build()?;
//!
//! let solution = problem.solve(&Options::default());
//! assert_eq!(solution.status, Status::Solved);
//! // y = max(|x| - 1/2, 0): the best x is 7/4.
//! assert!((solution.upper.unwrap_or(f64::NAN) - 0.125).abs() < 1e-6);
//! # Ok(())
//! # }
//! ```
//!
//! # Map
//!
//! Modules use those above them, never those below ([`proof`] only the first three and [`problem`]):
//!
//! | module | what it holds |
//! |---|---|
//! | [`set`] | closed convex sets: project, normal cone, sample |
//! | [`smooth`] | smoothing families |
//! | [`expr`] | formulas: build, parse, evaluate, differentiate, analyse |
//! | [`problem`] | both levels, their variables, objectives, constraints |
//! | [`observe`], [`evaluate`], [`solution`] | progress, parallel work, what a run returns |
//! | [`nlp`] | interior-point method and SQP |
//! | [`lower`] | the follower's problem at a fixed x |
//! | [`value`] | models of the value function v(x) |
//! | [`hyper`] | the hyper-objectives phi_o and phi_p |
//! | [`upper`] | the smoothed value-function method and its finishing steps |
//! | [`proof`] | interval arithmetic, branch and bound |
//! | [`certificate`] | what is known of a point, recomputed |
//! | [`solve`] | the front door |

pub mod certificate;
pub mod evaluate;
pub mod expr;
pub mod hyper;
pub mod lower;
pub mod nlp;
pub mod observe;
pub mod problem;
pub mod proof;
pub mod set;
pub mod smooth;
pub mod solution;
pub mod solve;
pub mod upper;
pub mod value;

/// What most users need.
pub mod prelude {
    pub use crate::expr::{Expr, Matrix, Shape, concat};
    pub use crate::observe::Observer;
    pub use crate::problem::{Attitude, Model, ModelError, Problem};
    pub use crate::set::{Affine, Ball, Bounds, Halfspace, L1Ball, Orthant, Polyhedron, Product, Set, Simplex, Whole};
    pub use crate::solution::{Solution, Status};
    pub use crate::solve::Options;
}
