//! Bilevel optimization: a leader chooses `x`, a follower answers with an optimal `y` of its own problem.

pub mod expr;
pub mod nlp;
pub mod proof;
pub mod set;
pub mod smooth;
