//! Reverse sweep of tangents (forward over reverse): how the derivatives of a reverse sweep move along a direction.

use bilevel_linalg::vector::axpy;

use super::instruction::{Blocks, Instruction};
use super::pair::{Operand, accumulate_both};
use super::reverse::add_product;
use super::{Directional, map};
use crate::expr::Op;
use crate::expr::atom::{PairSlopes, chain, elementary, envelope_max, extremum, group_norms, norm_p};
use crate::smooth::Smoothing;

/// Adds to the tangents, in `moves`, of the derivatives of the operands that depend on `wanted`, what comes from the
/// move of the operands themselves; `at` holds values, tangents and derivatives. What comes from the result's own
/// tangent is linear in it: a reverse step on `moves`.
pub(super) fn run(
    instruction: &Instruction,
    at: Directional<'_>,
    moves: &mut [f64],
    wanted: Blocks,
    smoothing: Smoothing<'_>,
) {
    let smoothing = instruction.smoothing(smoothing);
    let before = &mut moves[..instruction.scratch.start];
    let pair = Pair { instruction, at, wanted };
    match &instruction.op {
        Op::Mul => return pair.run(before, elementary::product_slopes),
        Op::Div => return pair.run(before, elementary::quotient_slopes),
        Op::PowerOf => return pair.run(before, elementary::power_of_slopes),
        Op::Max => return pair.run(before, |a, b| extremum::max_slopes(a, b, smoothing)),
        Op::Min => return pair.run(before, |a, b| extremum::min_slopes(a, b, smoothing)),
        _ => {}
    }
    for (k, arg) in instruction.args.iter().enumerate().filter(|(_, arg)| arg.depends.meets(wanted)) {
        to_operand(instruction, k, at, &mut before[arg.span.range()], smoothing);
    }
}

/// Adds what the move of the operands does to the derivative of operand `k`.
fn to_operand(instruction: &Instruction, k: usize, at: Directional<'_>, target: &mut [f64], smoothing: Smoothing<'_>) {
    let bar = &at.bars[instruction.out.range()];
    let (scratch, out) = (instruction.scratch.range(), instruction.out.start);
    let z = |k: usize| instruction.arg(k, at.values);
    let t = |k: usize| instruction.arg(k, at.tangents);
    match &instruction.op {
        // Linear operations move nothing; those of two operands do both at once.
        Op::Variable { .. } | Op::Constant { .. } | Op::Add | Op::Sub | Op::Neg | Op::Sum => {}
        Op::MatVec { .. } | Op::Gather(_) | Op::Concat => {}
        Op::Mul | Op::Div | Op::PowerOf | Op::Max | Op::Min => {}
        Op::Map(function) => {
            let t = t(0);
            map::slopes(*function, z(0), smoothing, |i, _, second| target[i] += chain(bar[i] * t[i], second));
        }
        Op::MaxOf if smoothing.is_envelope() => {
            envelope_max::second(z(0), at.values[scratch.start], smoothing.mu(), t(0), bar[0], target);
        }
        Op::MaxOf if smoothing.mu() > 0.0 => {
            let (nodes, node_tangents) = (&at.values[scratch.clone()], &at.tangents[scratch]);
            let tree = extremum::MovingTree { leaves: z(0), nodes, leaf_tangents: t(0), node_tangents };
            extremum::tree_second(tree, bar[0], 0.0, target, smoothing);
        }
        Op::MaxOf => {}
        Op::Dot => axpy(bar[0], t(1 - k), target),
        Op::SumSquares => axpy(2.0 * bar[0], t(0), target),
        Op::Quadratic { matrix } => {
            let product = &at.tangents[scratch];
            if instruction.symmetric {
                axpy(2.0 * bar[0], product, target);
            } else {
                axpy(bar[0], product, target);
                add_product(target, bar[0], matrix, true, t(0));
            }
        }
        Op::GroupNorms { starts } => {
            for (g, (&b, &norm)) in bar.iter().zip(&at.values[scratch]).enumerate() {
                let (group, out) = (starts[g]..starts[g + 1], &mut target[starts[g]..starts[g + 1]]);
                group_norms::second(&z(0)[group.clone()], norm, &t(0)[group], b, out, smoothing);
            }
        }
        Op::NormP(p) => {
            let moving = norm_p::Moving { z: z(0), t: t(0), norm: at.values[out], norm_tangent: at.tangents[out] };
            norm_p::second(moving, *p, bar[0], target, smoothing);
        }
    }
}

/// An elementwise operation of two operands.
struct Pair<'a> {
    instruction: &'a Instruction,
    at: Directional<'a>,
    wanted: Blocks,
}

impl Pair<'_> {
    fn run(&self, slab: &mut [f64], slopes: impl Fn(f64, f64) -> PairSlopes) {
        let bar = &self.at.bars[self.instruction.out.range()];
        let [a, b] = [0, 1].map(|k| Operand::new(self.instruction.arg(k, self.at.values), bar.len()));
        let [a_tangent, b_tangent] = [0, 1].map(|k| Operand::new(self.instruction.arg(k, self.at.tangents), bar.len()));
        accumulate_both(self.instruction, slab, self.wanted, |i| {
            let slopes = slopes(a.at(i), b.at(i));
            let (by_a, by_b) = (bar[i] * a_tangent.at(i), bar[i] * b_tangent.at(i));
            (chain(by_a, slopes.aa) + chain(by_b, slopes.ab), chain(by_a, slopes.ab) + chain(by_b, slopes.bb))
        });
    }
}
