//! Formulas: a vector-valued expression graph, compiled to a flat tape.
//!
//! ```text
//! graph.rs      Graph, Expr: build formulas, shapes checked on the way, shared parts stored once
//! operators/    + - * / and the functions a user calls on an Expr
//! op.rs         Op: the closed list of operations; everything that interprets formulas matches on it
//! atom/         the functions behind the operations, one per file
//! tape/         Tape: value, gradient (reverse), Hessian-vector product (forward over reverse)
//! structure/    what can be said of a formula: linear, quadratic, convex in a block, smooth
//! lift/         epigraph form: convex nonsmooth atoms become smooth constraints on extra variables
//! parse/        text to Expr (Pratt parser), with source spans in its errors
//! rewrite.rs    formulas of other variables: units, fixed values
//! separate.rs  a smooth part and weighted norms of single variables: what has a proximal map
//! print.rs      Expr to text
//! ```

mod atom;
mod graph;
pub mod lift;
mod matrix;
mod op;
mod operators;
pub mod parse;
mod print;
pub mod rewrite;
pub mod separate;
pub mod structure;
mod tape;

pub use graph::{Expr, ExprError, Graph, Node, NodeId, Shape};
pub use matrix::Matrix;
pub use op::{Function, Level, Op};
pub use operators::concat;
pub use print::{Named, PrintError};
pub use tape::{Arg, Blocks, Evaluation, Hessian, Instruction, Span, Tape, TapeError, Workspace};
