//! The first-order oracle with constraints: a subgradient of φ from the system that the attaining answer solves.
//!
//! Near x the answers satisfy ∇_y L(x, y, λ) = 0 and s(x, y) = 0 for the constraints s that have a multiplier, and φ is
//! the least (largest) F among them. By the envelope theorem, with p and q such that
//!
//! ```text
//! W p + J_sᵀ q = −∇_y F,   J_s p = 0:        ∇φ = ∇ₓF + (∇²_xy L) p + (∇ₓ s) q
//! ```
//!
//! Without constraints p = −(∇²_yy f)⁺ ∇_y F. Where F pushes the answer against a constraint without a multiplier of the
//! follower, that constraint joins with a q of its own, but without a row for p. No solution: φ has a kink here, or the
//! answer does not attain it, and no subgradient is claimed.

use bilevel_linalg::vector::{norm2, norm2_squared};
use bilevel_linalg::{Dense, Svd};

use super::face::{Face, Held, Rows};
use crate::lower::FollowerProgram;
use crate::nlp::{Multipliers, Nlp};

/// Largest relative residual of the system.
const SOLVED: f64 = 1e-7;
/// Constraints within this of equality, relative to 1 + their size, may push.
const ACTIVE: f64 = 1e-7;
/// Relative cut of singular values of the system.
const CUT: f64 = 1e-11;
/// Systems with more unknowns are not solved densely.
const LARGEST: usize = 1200;

/// F's gradients at the answer, without sign: in ỹ (padded with zeros) and in x.
pub(super) struct Slopes {
    pub y: Vec<f64>,
    pub x: Vec<f64>,
}

/// A subgradient of φ at the x of `program`, with the answer ỹ that attains it and the follower's multipliers.
pub(super) fn subgradient(
    program: &mut FollowerProgram<'_>,
    face: &Face,
    y: &[f64],
    multipliers: &Multipliers,
    slopes: &Slopes,
) -> Option<Vec<f64>> {
    if slopes.x.is_empty() {
        return Some(Vec::new());
    }
    if y.len() + face.held.len() > LARGEST {
        return None;
    }
    let d = y.len();
    let weights: Vec<f64> = multipliers.constraints.iter().map(|u| -u).collect();
    let mut curvature = Dense::zeros(d, d);
    program.hessian(y, 1.0, &weights, &mut curvature);
    let mut strong = Rows::new(program, y);
    face.held.iter().for_each(|&held| strong.hold(held));
    let mut pushing = Rows::new(program, y);
    weakly_active(program, y, &face.held).into_iter().for_each(|held| pushing.hold(held));
    let (strong_rows, pushing_rows) = (strong.matrix(program.frame()), pushing.matrix(program.frame()));
    let empty = Dense::zeros(0, d);
    let mut solution = solve(&curvature, &strong_rows, &empty, &slopes.y);
    let mut held = face.held.clone();
    if solution.is_none() && pushing_rows.rows() > 0 {
        solution = solve(&curvature, &strong_rows, &pushing_rows, &slopes.y);
        held.extend(&pushing.held);
    }
    let solution = solution?;
    let (p, q) = solution.split_at(d);
    let mut out = slopes.x.clone();
    program.add_mixed_product(y, &multipliers.constraints, p, &mut out);
    let mut rows = vec![0.0; program.frame().rows.rows()];
    let mut components = vec![0.0; program.frame().constraints()];
    for (held, q) in held.iter().zip(q) {
        match *held {
            Held::Bound(_) => {}
            Held::Row(i) => rows[i] = *q,
            Held::Component(i) => components[i] = *q,
        }
    }
    program.add_constraint_gradient_x(y, &rows, &components, &mut out);
    out.iter().all(|v| v.is_finite()).then_some(out)
}

/// The shortest (p, q) of the system, if it has a solution.
fn solve(curvature: &Dense, strong: &Dense, pushing: &Dense, slope: &[f64]) -> Option<Vec<f64>> {
    let (d, s, w) = (slope.len(), strong.rows(), pushing.rows());
    let mut matrix = Dense::zeros(d + s, d + s + w);
    for i in 0..d {
        matrix.row_mut(i)[..d].copy_from_slice(curvature.row(i));
        (0..s).for_each(|k| matrix[(i, d + k)] = strong[(k, i)]);
        (0..w).for_each(|k| matrix[(i, d + s + k)] = pushing[(k, i)]);
    }
    for k in 0..s {
        matrix.row_mut(d + k)[..d].copy_from_slice(strong.row(k));
    }
    let mut right = vec![0.0; d + s];
    right[..d].iter_mut().zip(slope).for_each(|(r, g)| *r = -g);
    let svd = Svd::new(&matrix, Some(CUT)).ok()?;
    let mut solution = vec![0.0; d + s + w];
    svd.solve(&right, &mut solution).ok()?;
    let mut residual = right;
    residual.iter_mut().for_each(|r| *r = -*r);
    matrix.mul_add(1.0, &solution, &mut residual);
    let scale = norm2(slope) + 1e-300;
    (norm2_squared(&residual).sqrt() <= SOLVED * (scale + 1e-3)).then_some(solution)
}

/// The constraints that hold with equality at ỹ, apart from `held`.
fn weakly_active(program: &mut FollowerProgram<'_>, y: &[f64], held: &[Held]) -> Vec<Held> {
    let mut values = vec![0.0; program.frame().constraints()];
    program.constraints(y, &mut values);
    let frame = program.frame();
    let touches = |value: f64, lower: f64, upper: f64| {
        let slack = ACTIVE * (1.0 + value.abs());
        value - lower <= slack || upper - value <= slack
    };
    let mut found = Vec::new();
    found.extend((0..y.len()).filter(|&j| touches(y[j], frame.lower[j], frame.upper[j])).map(Held::Bound));
    let row = |i: usize| frame.rows.row_dot(i, y);
    let rows = 0..frame.rows.rows();
    found.extend(rows.filter(|&i| touches(row(i), frame.row_lower[i], frame.row_upper[i])).map(Held::Row));
    let component = |&i: &usize| touches(values[i], frame.constraint_lower[i], frame.constraint_upper[i]);
    found.extend((0..values.len()).filter(component).map(Held::Component));
    found.retain(|constraint| !held.contains(constraint));
    found
}
