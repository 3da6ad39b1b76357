//! The dense and sparse linear-algebra kernels that the bilevel solver uses, in `f64` only.
//!
//! Nothing outside this crate sees the linear-algebra or conic solver crates behind it.

mod dense;
mod sparse;

pub use dense::Dense;
pub use sparse::Csr;
