//! What a tape consists of: instructions on ranges of one slab of numbers.

use std::ops::Range;

use crate::expr::{Level, Op};
use crate::smooth::{Family, Smoothing};

/// Consecutive entries of the slab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first entry.
    pub start: usize,
    /// The number of entries.
    pub len: usize,
}

impl Span {
    /// The entries as a range, to index a slab with.
    pub fn range(self) -> Range<usize> {
        self.start..self.start + self.len
    }
}

/// A set of variable blocks: none, the leader's x, the follower's y, or both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Blocks(u8);

impl Blocks {
    /// No block: what depends on it is constant.
    pub const NONE: Blocks = Blocks(0);
    /// The leader's variables.
    pub const LEADER: Blocks = Blocks(1);
    /// The follower's variables.
    pub const FOLLOWER: Blocks = Blocks(2);
    /// All variables.
    pub const BOTH: Blocks = Blocks(3);

    /// The block of one level.
    pub fn of(level: Level) -> Self {
        match level {
            Level::Leader => Self::LEADER,
            Level::Follower => Self::FOLLOWER,
        }
    }

    /// The blocks in either set.
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether some block is in both sets.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether all blocks of `other` are in this set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The blocks of x and y for which something is given.
    pub(super) fn given<T>(x: Option<&T>, y: Option<&T>) -> Self
    where
        T: ?Sized,
    {
        let leader = if x.is_some() { Self::LEADER } else { Self::NONE };
        leader.with(if y.is_some() { Self::FOLLOWER } else { Self::NONE })
    }
}

/// An operand of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arg {
    /// Where its values are.
    pub span: Span,
    /// The variables that it depends on.
    pub depends: Blocks,
}

/// One step of a tape: an operation, where its operands are and where its results go.
///
/// Operands come before `scratch`, which comes just before `out`. Variables and constants are no instructions, and
/// neither are indexing, slices and joins of consecutive entries: they are spans of what exists already.
#[derive(Clone, Debug)]
pub struct Instruction {
    /// The operation; never a variable or a constant.
    pub op: Op,
    /// The operands.
    pub args: Box<[Arg]>,
    /// Room for intermediate results: the inner nodes of the tree of `MaxOf`, Q z for `Quadratic`, the
    /// exact norms for `GroupNorms`; empty for other operations.
    pub scratch: Span,
    /// Where the result goes.
    pub out: Span,
    /// The variables that the result depends on; at least one block.
    pub depends: Blocks,
    /// The smoothing family of this operation, where it has its own.
    pub family: Option<&'static dyn Family>,
    /// For `Quadratic`: whether the matrix is symmetric.
    pub symmetric: bool,
}

impl Instruction {
    /// The smoothing that this operation follows, where the formula's is `smoothing`.
    #[inline]
    pub(super) fn smoothing<'a>(&self, smoothing: Smoothing<'a>) -> Smoothing<'a> {
        self.family.map_or(smoothing, |family| Smoothing::new(family, smoothing.mu()))
    }

    /// An operand's values in a slab. Operations have as many operands as [`Op`] says.
    #[inline]
    pub(super) fn arg<'a>(&self, k: usize, slab: &'a [f64]) -> &'a [f64] {
        &slab[self.args[k].span.range()]
    }

    /// Splits a slab into what comes before the instruction, its scratch, and its result.
    #[inline]
    pub(super) fn split<'a>(&self, slab: &'a mut [f64]) -> (&'a mut [f64], &'a mut [f64], &'a mut [f64]) {
        let (before, own) = slab.split_at_mut(self.scratch.start);
        let (scratch, rest) = own.split_at_mut(self.scratch.len);
        (before, scratch, &mut rest[..self.out.len])
    }
}
