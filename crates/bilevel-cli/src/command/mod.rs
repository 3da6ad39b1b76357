//! The commands.

pub mod bench;
pub mod check;
mod consistency;
pub mod solve;
