//! The commands.

pub mod check;
pub mod evaluate;
pub mod solve;
