//! The commands.

pub mod check;
pub mod solve;
pub mod verify;
