//! Values: each instruction writes its result into the slab.

use bilevel_linalg::vector::dot;

use super::instruction::Instruction;
use super::{map, pair};
use crate::expr::atom::{elementary, envelope_max, extremum, group_norms, norm_p, sum};
use crate::expr::{Matrix, Op};
use crate::smooth::Smoothing;

/// Runs one instruction.
pub(super) fn run(instruction: &Instruction, slab: &mut [f64], smoothing: Smoothing<'_>) {
    let smoothing = instruction.smoothing(smoothing);
    let (before, scratch, out) = instruction.split(slab);
    let arg = |k: usize| instruction.arg(k, before);
    match &instruction.op {
        Op::Variable { .. } | Op::Constant { .. } => {}
        Op::Add => pair::write(arg(0), arg(1), out, |a, b| a + b),
        Op::Sub => pair::write(arg(0), arg(1), out, |a, b| a - b),
        Op::Mul => pair::write(arg(0), arg(1), out, |a, b| a * b),
        Op::Div => pair::write(arg(0), arg(1), out, |a, b| a / b),
        Op::PowerOf => pair::write(arg(0), arg(1), out, elementary::power_of),
        Op::Max => pair::write(arg(0), arg(1), out, |a, b| extremum::max_value(a, b, smoothing)),
        Op::Min => pair::write(arg(0), arg(1), out, |a, b| extremum::min_value(a, b, smoothing)),
        Op::Neg => map_to(arg(0), out, |v| -v),
        Op::Map(function) => map::values(*function, arg(0), out, smoothing),
        Op::MaxOf => out[0] = max_of(arg(0), scratch, smoothing),
        Op::Sum => out[0] = sum(arg(0).len(), |i| arg(0)[i]),
        Op::Dot => out[0] = dot(arg(0), arg(1)),
        Op::SumSquares => out[0] = dot(arg(0), arg(0)),
        Op::MatVec { matrix, transpose } => times(matrix, *transpose, arg(0), out),
        Op::Quadratic { matrix } => {
            times(matrix, false, arg(0), scratch);
            out[0] = dot(arg(0), scratch);
        }
        Op::GroupNorms { starts } => {
            for (g, (norm, o)) in scratch.iter_mut().zip(out).enumerate() {
                *norm = group_norms::norm(&arg(0)[starts[g]..starts[g + 1]]);
                *o = group_norms::value(*norm, smoothing);
            }
        }
        Op::NormP(p) => out[0] = norm_p::value(arg(0), *p, smoothing),
        Op::Gather(indices) => gather(arg(0), indices, out),
        Op::Concat => concat(instruction, before, out),
    }
}

fn map_to(z: &[f64], out: &mut [f64], f: impl Fn(f64) -> f64) {
    for (o, &v) in out.iter_mut().zip(z) {
        *o = f(v);
    }
}

/// The exact maximum needs no tree.
fn max_of(z: &[f64], nodes: &mut [f64], smoothing: Smoothing<'_>) -> f64 {
    match nodes.first_mut() {
        Some(depth) if smoothing.is_envelope() => {
            *depth = envelope_max::depth(z, smoothing.mu());
            envelope_max::value(z, *depth, smoothing.mu())
        }
        Some(_) if smoothing.mu() > 0.0 => extremum::tree_values(z, nodes, smoothing),
        _ => extremum::largest(z),
    }
}

/// Writes A v or Aᵀ v.
pub(super) fn times(matrix: &Matrix, transpose: bool, v: &[f64], out: &mut [f64]) {
    out.fill(0.0);
    if transpose {
        matrix.transpose_mul_add(1.0, v, out);
    } else {
        matrix.mul_add(1.0, v, out);
    }
}

/// Picks entries.
pub(super) fn gather(z: &[f64], indices: &[usize], out: &mut [f64]) {
    for (o, &i) in out.iter_mut().zip(indices) {
        *o = z[i];
    }
}

/// Joins the operands found in `slab`.
pub(super) fn concat(instruction: &Instruction, slab: &[f64], out: &mut [f64]) {
    let mut start = 0;
    for arg in &instruction.args {
        out[start..start + arg.span.len].copy_from_slice(&slab[arg.span.range()]);
        start += arg.span.len;
    }
}
