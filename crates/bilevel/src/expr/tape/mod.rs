//! Formulas compiled to a flat list of instructions on one slab of numbers.
//!
//! ```text
//! compile.rs      formulas -> Tape
//! instruction.rs  what a tape consists of
//! evaluation.rs   Evaluation, Hessian: values and derivatives at a point, in a Workspace
//! forward.rs      values
//! tangent.rs      derivatives along a direction
//! reverse.rs      reverse sweep: gradients
//! second.rs       reverse sweep of tangents: Hessian-vector products (forward over reverse)
//! map.rs pair.rs  loops over entries, of one and of two operands
//! ```
//!
//! A slab holds x, then y, then every constant and every result. An instruction reads spans of the slab and writes one
//! behind them. Values, tangents, derivatives and tangents of derivatives each have a slab of that form, allocated
//! once per [`Workspace`]; nothing is allocated per evaluation.
//!
//! A shared part of a formula is one instruction. A part that depends on no variable is computed while compiling,
//! exactly: constants are not smoothed. For each instruction the tape knows which variable blocks it depends on, and
//! every sweep leaves out what does not matter for the blocks asked for.
//!
//! Values that are not defined are NaN or infinite, and stay so up to the result. In derivatives, a weight that is
//! exactly 0 wins over an infinite derivative.

mod compile;
mod evaluation;
mod forward;
mod instruction;
mod map;
mod pair;
mod reverse;
mod second;
mod tangent;

#[cfg(test)]
mod tests;

pub use compile::TapeError;
pub use evaluation::{Evaluation, Hessian, Workspace};
pub use instruction::{Arg, Blocks, Instruction, Span};

/// Compiled formulas of the variables x (n of them) and y (m of them).
#[derive(Clone, Debug)]
pub struct Tape {
    /// Tells tapes apart; copies are interchangeable and share it.
    id: u64,
    leaders: usize,
    followers: usize,
    instructions: Vec<Instruction>,
    roots: Vec<Arg>,
    initial: Vec<f64>,
    outputs: usize,
}

impl Tape {
    /// The number of leader variables x.
    pub fn leaders(&self) -> usize {
        self.leaders
    }

    /// The number of follower variables y.
    pub fn followers(&self) -> usize {
        self.followers
    }

    /// The number of results, all formulas' entries together.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The instructions, operands before users.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// Where each formula's result is, and the variables that it depends on.
    pub fn roots(&self) -> &[Arg] {
        &self.roots
    }

    /// The slab before an evaluation: constants in their places, zeros elsewhere. Its first entries are x, then y.
    pub fn initial(&self) -> &[f64] {
        &self.initial
    }

    /// The variables that some formula depends on.
    pub fn depends(&self) -> Blocks {
        self.roots.iter().fold(Blocks::NONE, |all, root| all.with(root.depends))
    }
}

/// What a sweep of tangents of derivatives reads.
#[derive(Clone, Copy)]
struct Directional<'a> {
    values: &'a [f64],
    tangents: &'a [f64],
    bars: &'a [f64],
}
