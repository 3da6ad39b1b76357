//! The commands.

pub mod check;
mod consistency;
pub mod solve;
