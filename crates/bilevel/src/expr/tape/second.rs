//! Reverse sweep of tangents (forward over reverse): how the derivatives of a reverse sweep move along a direction.

use super::instruction::{Blocks, Instruction};
use super::pair::{Operand, accumulate};
use super::reverse::{self, add_product, add_scaled};
use super::{Directional, map};
use crate::expr::Op;
use crate::expr::atom::{PairJet, chain, elementary, extremum, group_norms, norm_p};
use crate::smooth::Smoothing;

/// Adds to the tangents, in `moves`, of the derivatives of the operands that depend on `wanted`; `at` holds values,
/// tangents and derivatives.
pub(super) fn run(
    instruction: &Instruction,
    at: Directional<'_>,
    moves: &mut [f64],
    wanted: Blocks,
    smoothing: Smoothing<'_>,
) {
    // The derivative itself is linear in what arrives from the result ...
    reverse::run(instruction, at.values, moves, wanted, smoothing);
    // ... and moves because the operands do.
    let before = &mut moves[..instruction.scratch.start];
    let bar = &at.bars[instruction.out.range()];
    let z = |k: usize| instruction.arg(k, at.values);
    let t = |k: usize| instruction.arg(k, at.tangents);
    for (k, arg) in instruction.args.iter().enumerate().filter(|(_, arg)| arg.depends.meets(wanted)) {
        let target = &mut before[arg.span.range()];
        let both = || [[z(0), z(1)], [t(0), t(1)]];
        match &instruction.op {
            Op::Variable { .. } | Op::Constant { .. } | Op::Add | Op::Sub | Op::Neg | Op::Sum => {}
            Op::MatVec { .. } | Op::Gather(_) | Op::Concat => {}
            Op::Mul => of_pair(target, k, both(), bar, elementary::product),
            Op::Div => of_pair(target, k, both(), bar, elementary::quotient),
            Op::PowerOf => of_pair(target, k, both(), bar, elementary::power_of_jet),
            Op::Max => of_pair(target, k, both(), bar, |a, b| extremum::max_jet(a, b, smoothing)),
            Op::Min => of_pair(target, k, both(), bar, |a, b| extremum::min_jet(a, b, smoothing)),
            Op::Map(function) => {
                let t = t(0);
                map::slopes(*function, z(0), smoothing, |i, _, second| target[i] += chain(bar[i] * t[i], second));
            }
            Op::MaxOf if smoothing.mu() > 0.0 => {
                let (nodes, node_tangents) =
                    (&at.values[instruction.scratch.range()], &at.tangents[instruction.scratch.range()]);
                let tree = extremum::MovingTree { leaves: z(0), nodes, leaf_tangents: t(0), node_tangents };
                extremum::tree_second(tree, bar[0], 0.0, target, smoothing);
            }
            Op::MaxOf => {}
            Op::Dot => add_scaled(target, bar[0], t(1 - k)),
            Op::SumSquares => add_scaled(target, 2.0 * bar[0], t(0)),
            Op::Quadratic { matrix } => {
                let product = &at.tangents[instruction.scratch.range()];
                if instruction.symmetric {
                    add_scaled(target, 2.0 * bar[0], product);
                } else {
                    add_scaled(target, bar[0], product);
                    add_product(target, bar[0], matrix, true, t(0));
                }
            }
            Op::GroupNorms { starts } => {
                for (g, (&b, &norm)) in bar.iter().zip(&at.values[instruction.scratch.range()]).enumerate() {
                    let (group, out) = (starts[g]..starts[g + 1], &mut target[starts[g]..starts[g + 1]]);
                    group_norms::second(&z(0)[group.clone()], norm, &t(0)[group], b, out, smoothing);
                }
            }
            Op::NormP(p) => {
                let (norm, norm_tangent) = (at.values[instruction.out.start], at.tangents[instruction.out.start]);
                let moving = norm_p::Moving { z: z(0), t: t(0), norm, norm_tangent };
                norm_p::second(moving, *p, bar[0], target, smoothing);
            }
        }
    }
}

fn of_pair(target: &mut [f64], k: usize, [z, t]: [[&[f64]; 2]; 2], bar: &[f64], jet: impl Fn(f64, f64) -> PairJet) {
    let n = bar.len();
    let [a, b] = z.map(|v| Operand::new(v, n));
    let [a_tangent, b_tangent] = t.map(|v| Operand::new(v, n));
    accumulate(target, n, |i| {
        let jet = jet(a.at(i), b.at(i));
        let (by_a, by_b) = if k == 0 { (jet.aa, jet.ab) } else { (jet.ab, jet.bb) };
        chain(bar[i] * a_tangent.at(i), by_a) + chain(bar[i] * b_tangent.at(i), by_b)
    });
}
