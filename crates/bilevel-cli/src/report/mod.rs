//! Solutions for people and for programs.

pub mod json;
pub mod table;
pub mod theory;
pub mod values;
