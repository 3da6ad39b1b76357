//! How far a point and its multipliers are from the optimality conditions.

use super::{INFINITE_BOUND, Qp, QpSolution};
use crate::vector::{axpy, norm_inf};

/// The largest relative violation among the optimality conditions (infinity norms):
///
/// - stationarity, relative to `1 + max(‖P z‖, ‖q‖, ‖Aᵀλ‖, ‖μ‖)`;
/// - feasibility of each bound and row, relative to `1 + |bound|`, and of each ball, relative to `1 + radius`;
/// - each multiplier of the wrong sign, or of a side that is not there;
/// - complementarity: for each constraint the product of slack and multiplier, each relative as above.
///
/// NaN if something is not finite.
pub fn qp_residual(qp: &Qp, s: &QpSolution) -> f64 {
    let (stationarity, scale) = stationarity(qp, s);
    let mut worst = stationarity / scale;
    let mut add = |value: f64| {
        if value > worst || value.is_nan() {
            worst = value;
        }
    };
    for (j, &z) in s.z.iter().enumerate() {
        add(one_sided(z, qp.lower[j], qp.upper[j], s.bound_multipliers[j], scale));
    }
    let mut image = vec![0.0; qp.rows.rows()];
    qp.rows.mul_add(1.0, &s.z, &mut image);
    for (i, &value) in image.iter().enumerate() {
        add(one_sided(value, qp.row_lower[i], qp.row_upper[i], s.row_multipliers[i], scale));
    }
    for (ball, &tau) in qp.balls.iter().zip(&s.ball_multipliers) {
        let slack = (ball.radius - distance(&s.z[ball.start..], &ball.centre)) / (1.0 + ball.radius);
        add(-slack);
        add(-tau / scale);
        add((slack * tau / scale).abs());
    }
    worst
}

/// `‖a - b‖` over the length of `b`.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    crate::vector::distance_squared(a, b).sqrt()
}

/// The residual of stationarity and what it is relative to.
fn stationarity(qp: &Qp, s: &QpSolution) -> (f64, f64) {
    let n = qp.dimension();
    let (mut hessian_part, mut row_part, mut rest) = (vec![0.0; n], vec![0.0; n], vec![0.0; n]);
    qp.hessian.mul_add(1.0, &s.z, &mut hessian_part);
    qp.rows.transpose_mul_add(1.0, &s.row_multipliers, &mut row_part);
    for (ball, &tau) in qp.balls.iter().zip(&s.ball_multipliers) {
        let length = distance(&s.z[ball.start..], &ball.centre);
        if tau != 0.0 && length > 0.0 {
            for (k, c) in ball.centre.iter().enumerate() {
                rest[ball.start + k] += tau * (s.z[ball.start + k] - c) / length;
            }
        }
    }
    let mut scale: f64 = 1.0;
    for part in [&hessian_part[..], &row_part, qp.linear, &s.bound_multipliers, &rest] {
        scale = scale.max(1.0 + norm_inf(part));
    }
    axpy(1.0, &hessian_part, &mut rest);
    axpy(1.0, qp.linear, &mut rest);
    axpy(-1.0, &row_part, &mut rest);
    axpy(-1.0, &s.bound_multipliers, &mut rest);
    (norm_inf(&rest), scale)
}

/// The worst violation of `lower <= value <= upper` with its multiplier.
fn one_sided(value: f64, lower: f64, upper: f64, multiplier: f64, scale: f64) -> f64 {
    if value.is_nan() || multiplier.is_nan() {
        return f64::NAN;
    }
    let slack = |bound: f64, inward: f64| {
        if bound.abs() >= INFINITE_BOUND { f64::INFINITY } else { inward / (1.0 + bound.abs()) }
    };
    let (below, above) = (slack(lower, value - lower), slack(upper, upper - value));
    // A positive multiplier belongs to the lower side, a negative one to the upper side.
    let side = if multiplier > 0.0 { below } else { above };
    let size = multiplier.abs() / scale;
    // A multiplier without its bound is wrong as it stands.
    let product = if side.is_infinite() { size } else { size * side.abs() };
    (-below).max(-above).max(product)
}
