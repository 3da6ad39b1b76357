//! Tangents: the derivative of every result along a direction of the variables.

use bilevel_linalg::vector::dot;

use super::forward::{concat, gather, times};
use super::instruction::Instruction;
use super::map;
use super::pair::{self, Operand};
use crate::expr::Op;
use crate::expr::atom::{PairSlopes, chain, elementary, envelope_max, extremum, group_norms, norm_p, sum};
use crate::smooth::Smoothing;

/// Writes the tangent of one instruction's result into `slab`; `values` holds the values.
pub(super) fn run(instruction: &Instruction, values: &[f64], slab: &mut [f64], smoothing: Smoothing<'_>) {
    let smoothing = instruction.smoothing(smoothing);
    let (before, scratch, out) = instruction.split(slab);
    let t = |k: usize| instruction.arg(k, before);
    let z = |k: usize| instruction.arg(k, values);
    match &instruction.op {
        Op::Variable { .. } | Op::Constant { .. } => {}
        Op::Add => pair::write(t(0), t(1), out, |a, b| a + b),
        Op::Sub => pair::write(t(0), t(1), out, |a, b| a - b),
        Op::Mul => of_pair([z(0), z(1)], [t(0), t(1)], out, elementary::product_slopes),
        Op::Div => of_pair([z(0), z(1)], [t(0), t(1)], out, elementary::quotient_slopes),
        Op::PowerOf => of_pair([z(0), z(1)], [t(0), t(1)], out, elementary::power_of_slopes),
        Op::Max => of_pair([z(0), z(1)], [t(0), t(1)], out, |a, b| extremum::max_slopes(a, b, smoothing)),
        Op::Min => of_pair([z(0), z(1)], [t(0), t(1)], out, |a, b| extremum::min_slopes(a, b, smoothing)),
        Op::Neg => {
            for (o, d) in out.iter_mut().zip(t(0)) {
                *o = -d;
            }
        }
        Op::Map(function) => {
            let t = t(0);
            map::slopes(*function, z(0), smoothing, |i, first, _| out[i] = chain(t[i], first));
        }
        Op::MaxOf => {
            let result = values[instruction.out.start];
            out[0] = if smoothing.is_envelope() {
                envelope_max::tangent(z(0), values[instruction.scratch.start], smoothing.mu(), t(0))
            } else if smoothing.mu() > 0.0 {
                extremum::tree_tangents(z(0), &values[instruction.scratch.range()], t(0), scratch, smoothing)
            } else {
                extremum::mean_at_ties(z(0), result, t(0))
            };
        }
        Op::Sum => out[0] = sum(t(0).len(), |i| t(0)[i]),
        Op::Dot => out[0] = dot(z(0), t(1)) + dot(t(0), z(1)),
        Op::SumSquares => out[0] = 2.0 * dot(z(0), t(0)),
        Op::MatVec { matrix, transpose } => times(matrix, *transpose, t(0), out),
        Op::Quadratic { matrix } => {
            times(matrix, false, t(0), scratch);
            out[0] = dot(t(0), &values[instruction.scratch.range()]) + dot(z(0), scratch);
        }
        Op::GroupNorms { starts } => {
            let norms = &values[instruction.scratch.range()];
            for (g, (o, &norm)) in out.iter_mut().zip(norms).enumerate() {
                let group = starts[g]..starts[g + 1];
                *o = group_norms::tangent(&z(0)[group.clone()], norm, &t(0)[group], smoothing);
            }
        }
        Op::NormP(p) => out[0] = norm_p::tangent(z(0), *p, values[instruction.out.start], t(0), smoothing),
        Op::Gather(indices) => gather(t(0), indices, out),
        Op::Concat => concat(instruction, before, out),
    }
}

fn of_pair(z: [&[f64]; 2], t: [&[f64]; 2], out: &mut [f64], jet: impl Fn(f64, f64) -> PairSlopes) {
    let n = out.len();
    let [a, b] = z.map(|v| Operand::new(v, n));
    let [a_tangent, b_tangent] = t.map(|v| Operand::new(v, n));
    for (i, o) in out.iter_mut().enumerate() {
        let jet = jet(a.at(i), b.at(i));
        *o = chain(a_tangent.at(i), jet.a) + chain(b_tangent.at(i), jet.b);
    }
}
