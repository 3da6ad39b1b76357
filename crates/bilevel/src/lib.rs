//! Bilevel optimization: a leader chooses `x`, a follower answers with an optimal `y` of its own problem.

pub mod certificate;
pub mod evaluate;
pub mod expr;
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
