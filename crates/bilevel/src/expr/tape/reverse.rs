//! Reverse sweep: each instruction adds its result's derivative ("bar"), times its own, to those of its operands.

use bilevel_linalg::vector::axpy;

use super::instruction::{Blocks, Instruction};
use super::map;
use super::pair::{Operand, accumulate, accumulate_both, accumulate_product, accumulate_with};
use crate::expr::atom::{PairSlopes, chain, elementary, envelope_max, extremum, group_norms, norm_p};
use crate::expr::{Matrix, Op};
use crate::smooth::Smoothing;

/// Adds to the derivatives, in `bars`, of the operands that depend on `wanted`.
pub(super) fn run(
    instruction: &Instruction,
    values: &[f64],
    bars: &mut [f64],
    wanted: Blocks,
    smoothing: Smoothing<'_>,
) {
    let smoothing = instruction.smoothing(smoothing);
    let (before, _, bar) = instruction.split(bars);
    let bar = &*bar;
    match &instruction.op {
        Op::PowerOf => return of_pair(instruction, values, bar, before, wanted, elementary::power_of_slopes),
        Op::Max => {
            return of_pair(instruction, values, bar, before, wanted, |a, b| extremum::max_slopes(a, b, smoothing));
        }
        Op::Min => {
            return of_pair(instruction, values, bar, before, wanted, |a, b| extremum::min_slopes(a, b, smoothing));
        }
        _ => {}
    }
    for (k, arg) in instruction.args.iter().enumerate().filter(|(_, arg)| arg.depends.meets(wanted)) {
        to_operand(instruction, k, values, bar, &mut before[arg.span.range()], smoothing);
    }
}

/// Adds to the derivative of operand `k`.
fn to_operand(
    instruction: &Instruction,
    k: usize,
    values: &[f64],
    bar: &[f64],
    target: &mut [f64],
    smoothing: Smoothing<'_>,
) {
    let z = |k: usize| instruction.arg(k, values);
    match &instruction.op {
        // Variables and constants are no instructions; the others do all operands at once.
        Op::Variable { .. } | Op::Constant { .. } | Op::PowerOf | Op::Max | Op::Min => {}
        Op::Add => accumulate(target, 1.0, bar),
        Op::Sub => accumulate(target, if k == 0 { 1.0 } else { -1.0 }, bar),
        Op::Neg => accumulate(target, -1.0, bar),
        Op::Mul => accumulate_product(target, bar, z(1 - k)),
        Op::Div if k == 0 => accumulate_with(target, bar, [z(0), z(1)], |_, b| 1.0 / b),
        Op::Div => accumulate_with(target, bar, [&values[instruction.out.range()], z(1)], |q, b| -q / b),
        Op::Map(function) => {
            map::slopes(*function, z(0), smoothing, |i, first, _| target[i] += chain(bar[i], first));
        }
        Op::MaxOf if smoothing.is_envelope() => {
            envelope_max::reverse(z(0), values[instruction.scratch.start], smoothing.mu(), bar[0], target);
        }
        Op::MaxOf if smoothing.mu() > 0.0 => {
            extremum::tree_reverse(z(0), &values[instruction.scratch.range()], bar[0], target, smoothing);
        }
        Op::MaxOf => extremum::share(z(0), values[instruction.out.start], bar[0], target),
        Op::Sum => add(target, bar[0]),
        Op::Dot => axpy(bar[0], z(1 - k), target),
        Op::SumSquares => axpy(2.0 * bar[0], z(0), target),
        Op::MatVec { matrix, transpose } => add_product(target, 1.0, matrix, !transpose, bar),
        Op::Quadratic { matrix } => quadratic(instruction, matrix, values, bar[0], target),
        Op::GroupNorms { starts } => {
            for (g, (&b, &norm)) in bar.iter().zip(&values[instruction.scratch.range()]).enumerate() {
                let group = starts[g]..starts[g + 1];
                group_norms::reverse(&z(0)[group.clone()], norm, b, &mut target[group], smoothing);
            }
        }
        Op::NormP(p) => norm_p::reverse(z(0), *p, values[instruction.out.start], bar[0], target, smoothing),
        Op::Gather(indices) => {
            for (&i, b) in indices.iter().zip(bar) {
                target[i] += b;
            }
        }
        Op::Concat => {
            let start: usize = instruction.args[..k].iter().map(|arg| arg.span.len).sum();
            axpy(1.0, &bar[start..], target);
        }
    }
}

fn of_pair(
    instruction: &Instruction,
    values: &[f64],
    bar: &[f64],
    slab: &mut [f64],
    wanted: Blocks,
    slopes: impl Fn(f64, f64) -> PairSlopes,
) {
    let [a, b] = [0, 1].map(|k| Operand::new(instruction.arg(k, values), bar.len()));
    accumulate_both(instruction, slab, wanted, |i| {
        let slopes = slopes(a.at(i), b.at(i));
        (chain(bar[i], slopes.a), chain(bar[i], slopes.b))
    });
}

fn add(target: &mut [f64], value: f64) {
    for t in target {
        *t += value;
    }
}

/// `target += scale * A v`, or with Aᵀ.
pub(super) fn add_product(target: &mut [f64], scale: f64, matrix: &Matrix, transpose: bool, v: &[f64]) {
    if transpose {
        matrix.transpose_mul_add(scale, v, target);
    } else {
        matrix.mul_add(scale, v, target);
    }
}

/// Adds `bar (Q + Qᵀ) z`; the forward sweep has left Q z in the scratch.
fn quadratic(instruction: &Instruction, matrix: &Matrix, values: &[f64], bar: f64, target: &mut [f64]) {
    let product = &values[instruction.scratch.range()];
    if instruction.symmetric {
        axpy(2.0 * bar, product, target);
    } else {
        axpy(bar, product, target);
        add_product(target, bar, matrix, true, instruction.arg(0, values));
    }
}
