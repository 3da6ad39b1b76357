//! Proofs: bounds that hold in exact arithmetic, whatever rounding and whichever solver found the point.

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
mod search;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
