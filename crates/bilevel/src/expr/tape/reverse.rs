//! Reverse sweep: each instruction adds its result's derivative ("bar"), times its own, to those of its operands.

use super::instruction::{Blocks, Instruction};
use super::map;
use super::pair::{Operand, accumulate, accumulate_product};
use crate::expr::atom::{PairJet, chain, elementary, extremum, group_norms, norm_p};
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
    let (before, _, bar) = instruction.split(bars);
    let bar = &*bar;
    let z = |k: usize| instruction.arg(k, values);
    for (k, arg) in instruction.args.iter().enumerate().filter(|(_, arg)| arg.depends.meets(wanted)) {
        let target = &mut before[arg.span.range()];
        match &instruction.op {
            Op::Variable { .. } | Op::Constant { .. } => {}
            Op::Add => accumulate(target, bar.len(), |i| bar[i]),
            Op::Sub if k == 0 => accumulate(target, bar.len(), |i| bar[i]),
            Op::Sub | Op::Neg => accumulate(target, bar.len(), |i| -bar[i]),
            Op::Mul => accumulate_product(target, bar, z(1 - k)),
            Op::Div if k == 0 => {
                let divisor = Operand::new(z(1), bar.len());
                accumulate(target, bar.len(), |i| bar[i] / divisor.at(i));
            }
            Op::Div => of_pair(target, k, [z(0), z(1)], bar, elementary::quotient),
            Op::PowerOf => of_pair(target, k, [z(0), z(1)], bar, elementary::power_of_jet),
            Op::Max => of_pair(target, k, [z(0), z(1)], bar, |a, b| extremum::max_jet(a, b, smoothing)),
            Op::Min => of_pair(target, k, [z(0), z(1)], bar, |a, b| extremum::min_jet(a, b, smoothing)),
            Op::Map(function) => {
                map::slopes(*function, z(0), smoothing, |i, first, _| target[i] += chain(bar[i], first));
            }
            Op::MaxOf if smoothing.mu() > 0.0 => {
                extremum::tree_reverse(z(0), &values[instruction.scratch.range()], bar[0], target, smoothing);
            }
            Op::MaxOf => extremum::share(z(0), values[instruction.out.start], bar[0], target),
            Op::Sum => add(target, bar[0]),
            Op::Dot => add_scaled(target, bar[0], z(1 - k)),
            Op::SumSquares => add_scaled(target, 2.0 * bar[0], z(0)),
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
                accumulate(target, arg.span.len, |i| bar[start + i]);
            }
        }
    }
}

fn of_pair(target: &mut [f64], k: usize, z: [&[f64]; 2], bar: &[f64], jet: impl Fn(f64, f64) -> PairJet) {
    let [a, b] = z.map(|v| Operand::new(v, bar.len()));
    accumulate(target, bar.len(), |i| {
        let jet = jet(a.at(i), b.at(i));
        chain(bar[i], if k == 0 { jet.a } else { jet.b })
    });
}

fn add(target: &mut [f64], value: f64) {
    for t in target {
        *t += value;
    }
}

/// `target += scale * v`.
pub(super) fn add_scaled(target: &mut [f64], scale: f64, v: &[f64]) {
    for (t, v) in target.iter_mut().zip(v) {
        *t += scale * v;
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
        add_scaled(target, 2.0 * bar, product);
    } else {
        add_scaled(target, bar, product);
        add_product(target, bar, matrix, true, instruction.arg(0, values));
    }
}
