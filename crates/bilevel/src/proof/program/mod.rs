//! Formulas as straight-line programs of scalar operations, to be run in intervals.
//!
//! ```text
//! code.rs      the operations, and programs of them
//! unary.rs     the functions of one argument
//! builder.rs   stores equal operations once and folds constants
//! compile.rs   from the expression graph: vector operations are written out entry by entry
//! number.rs    the arithmetics: Interval and f64
//! sweep.rs     value, gradient (reverse), Hessian (forward over reverse)
//! derive.rs    derivatives as operations
//! contract.rs  constraint propagation (HC4: forward values, backward projections)
//! ```
//!
//! A program has variables, roots (the functions that are wanted), and a scratch memory [`Sweep`] per arithmetic.
//! The real function that a root stands for is undefined where an operation on the way is (a logarithm of -1, a
//! division by 0): enclosures speak of the points of the box where it is defined, and [`Sweep::defined`] says
//! whether that is all of them. Rules that use derivatives need that.

mod builder;
mod code;
mod compile;
mod contract;
mod derive;
mod number;
#[cfg(test)]
mod precise;
mod sweep;
#[cfg(test)]
pub(super) mod tests;
mod unary;

pub use builder::Builder;
pub use code::{Code, Program};
pub use compile::{CompileError, Compiler};
pub use contract::Contracted;
pub use number::Number;
pub use sweep::Sweep;
pub use unary::Unary;
