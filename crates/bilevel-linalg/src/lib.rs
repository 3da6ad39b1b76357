//! The dense and sparse linear-algebra kernels that the bilevel solver uses, in `f64` only.
//!
//! Nothing outside this crate sees the linear-algebra or conic solver crates behind it.

mod cholesky;
mod dense;
mod error;
mod ldlt;
mod nnls;
mod product;
pub mod qp;
mod qr;
mod sparse;
mod sparse_ldlt;
pub mod stop;
mod svd;
#[cfg(test)]
mod testing;
pub mod vector;

pub use cholesky::Cholesky;
pub use dense::Dense;
pub use error::LinalgError;
pub use ldlt::{Inertia, Ldlt};
pub use nnls::{NnlsSolution, nnls};
pub use qr::PivotedQr;
pub use sparse::Csr;
pub use sparse_ldlt::SparseLdlt;
pub use svd::{Svd, SymmetricEigen};
