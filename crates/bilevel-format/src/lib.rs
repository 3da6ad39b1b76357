//! Problem files and data files for the bilevel solver.

pub mod data;
pub mod diagnostic;
pub mod source;
mod tree;
