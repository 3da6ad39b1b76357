//! How the formulas use each component: whether they grow or fall with it, and whether convexity survives on the way.
//!
//! One sweep from the roots down. Smooth components end it: nothing below them needs to be replaced.

use crate::expr::structure::{Block, Formula, Local, Range, Structure, local, row_of};
use crate::expr::{Function, Op};

/// How a component is used, over all of its users.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Use {
    /// Some user grows with it.
    pub up: bool,
    /// Some user falls with it.
    pub down: bool,
    /// Some user is a function that does not keep convexity.
    pub bent: bool,
}

impl Use {
    pub fn is_none(self) -> bool {
        !self.up && !self.down
    }

    fn join(&mut self, other: Use) {
        self.up |= other.up;
        self.down |= other.down;
        self.bent |= other.bent;
    }

    fn flipped(self) -> Use {
        Use { up: self.down, down: self.up, ..self }
    }

    fn both(self) -> Use {
        Use { up: true, down: true, ..self }
    }

    fn bent_if(self, bent: bool) -> Use {
        Use { bent: self.bent || bent, ..self }
    }

    /// The use of z in a function whose slope in z is in `slope`.
    fn by_slope(self, slope: Range) -> Use {
        if slope.is_nonnegative() {
            self
        } else if slope.is_nonpositive() {
            self.flipped()
        } else {
            self.both()
        }
    }

    /// The use of z in something that grows with |z|.
    fn of_size(self, z: Range) -> Use {
        if z.is_nonnegative() {
            self
        } else if z.is_nonpositive() {
            self.flipped()
        } else {
            self.both()
        }
    }
}

/// The use of every component in y; `equalities` says which roots are constraints `= 0`.
pub(super) fn uses(structure: &Structure, equalities: &[bool]) -> Vec<Use> {
    let formula = structure.formula();
    let mut uses = vec![Use::default(); formula.len()];
    for (&root, &equality) in structure.roots().iter().zip(equalities) {
        for slot in formula.slots(root as usize) {
            uses[slot].join(Use { up: true, down: equality, bent: false });
        }
    }
    for node in (0..formula.nodes.len()).rev() {
        for (i, slot) in formula.slots(node).enumerate() {
            let (smooth, kink) = structure.smooth_and_kink(slot);
            if !uses[slot].is_none() && !smooth {
                pass(formula, node, i, kink, uses[slot], &mut uses);
            }
        }
    }
    uses
}

/// Passes the use of component `i` on to what it reads.
fn pass(formula: &Formula, node: usize, i: usize, kink: bool, from: Use, uses: &mut [Use]) {
    let op = &formula.nodes[node].op;
    let operand = |k| formula.operand(node, k, i);
    let mut give = |slot: usize, part: Use| uses[slot].join(part);
    match op {
        Op::Variable { .. } | Op::Constant { .. } => {}
        Op::Add | Op::Sum | Op::Gather(_) | Op::Concat | Op::Max | Op::Min | Op::MaxOf => {
            formula.sources(op, node, i).for_each(|slot| give(slot, from));
        }
        Op::Sub => {
            give(operand(0), from);
            give(operand(1), from.flipped());
        }
        Op::Neg => give(operand(0), from.flipped()),
        Op::MatVec { matrix, transpose } => {
            let start = formula.argument(node, 0).start;
            for (j, a) in row_of(matrix, *transpose, i) {
                give(start + j, from.by_slope(Range::point(a)));
            }
        }
        Op::Mul => product(formula, operand(0), operand(1), from, give),
        Op::Dot => {
            for (a, b) in formula.argument(node, 0).zip(formula.argument(node, 1)) {
                product(formula, a, b, from, &mut give);
            }
        }
        Op::Div => quotient(formula, operand(0), operand(1), from, give),
        Op::Map(f) => give(operand(0), in_map(*f, formula.ranges[operand(0)], kink, from)),
        Op::SumSquares => {
            for slot in formula.sources(op, node, i) {
                give(slot, from.of_size(formula.ranges[slot]).bent_if(from.down));
            }
        }
        Op::GroupNorms { .. } | Op::NormP(_) => {
            for slot in formula.sources(op, node, i) {
                give(slot, from.of_size(formula.ranges[slot]));
            }
        }
        Op::PowerOf | Op::Quadratic { .. } => {
            formula.sources(op, node, i).for_each(|slot| give(slot, from.both().bent_if(true)));
        }
    }
}

/// A product keeps convexity where one factor does not depend on y and has a known sign.
fn product(formula: &Formula, a: usize, b: usize, from: Use, mut give: impl FnMut(usize, Use)) {
    let moves = |slot| formula.depends(slot, Block::Follower);
    let bent = moves(a) && moves(b);
    if moves(a) {
        give(a, from.by_slope(formula.ranges[b]).bent_if(bent));
    }
    if moves(b) {
        give(b, from.by_slope(formula.ranges[a]).bent_if(bent));
    }
}

fn quotient(formula: &Formula, a: usize, b: usize, from: Use, mut give: impl FnMut(usize, Use)) {
    let moves = |slot| formula.depends(slot, Block::Follower);
    let (above, below) = (formula.ranges[a], formula.ranges[b]);
    if moves(a) {
        // The slope in a is 1/b, which has the sign of b.
        give(a, from.by_slope(below).bent_if(moves(b)));
    }
    if moves(b) {
        // a/b falls with b where a > 0, and is convex in b > 0.
        let sign = above.mul(below);
        let known = !below.contains_inside(0.0);
        let bent = (from.up && !sign.is_nonnegative()) || (from.down && !sign.is_nonpositive());
        give(b, from.flipped().by_slope(above).bent_if(moves(a) || bent || !known));
    }
}

fn in_map(f: Function, z: Range, kink: bool, from: Use) -> Use {
    match f {
        Function::Abs if kink => from.both(),
        Function::Huber(_) if kink => from.of_size(z),
        Function::AbsPower(p) if kink && p >= 1.0 && z.contains_inside(0.0) => from.both(),
        Function::Plus if kink => from,
        // The cone needs the square root of what is inside to be convex: a variable in place of a kink is not enough.
        Function::Sqrt if kink => from.bent_if(from.up),
        _ => {
            let Local { slopes, convex, concave, .. } = local(f, z);
            from.by_slope(slopes).bent_if((from.up && !convex) || (from.down && !concave))
        }
    }
}
