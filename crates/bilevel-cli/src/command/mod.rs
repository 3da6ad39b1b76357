//! The commands.

pub mod bench;
pub mod check;
mod consistency;
pub mod evaluate;
pub mod solve;
pub mod verify;
