//! The residuals of an approximate KKT point of (VFP_epsilon^mu) [Alcantara & Takeda 2025, (2.7), Remark 2.16],
//! recomputed from the problem and the stored (x, y, lambda, mu, epsilon, smoothing family, value model, regulariser).

use bilevel_linalg::{Dense, vector};

use crate::nlp::{Frame, Nlp, Normals, unit};
use crate::problem::{Failures, NamedValues, Problem};
use crate::smooth::Family;
use crate::solution::KktPoint;
use crate::upper::{Levels, SmoothedPoint, ValueFunctionProgramme};
use crate::value::ValueModel;

/// The value-function constraint counts as active within this of epsilon.
const ACTIVE: f64 = 1e-6;

/// Recomputes the residuals of `point` with a fresh value model. `None` if the follower cannot be solved at its x.
pub fn check_kkt<'a>(
    problem: &Problem,
    levels: &'a Levels,
    point: &SmoothedPoint,
    model: Box<dyn ValueModel + 'a>,
    family: &'a dyn Family,
    failures: &Failures,
) -> Option<KktPoint> {
    let mut programme = ValueFunctionProgramme::new(&levels.leader, &levels.follower, model, family, failures);
    let full = levels.follower.extend(&point.x, &point.y);
    let mut z = [&point.x[..], &full].concat();
    for j in point.x.len()..levels.leader.lower.len() {
        z.push(levels.leader.lower[j].max(0.0).min(levels.leader.upper[j]));
    }
    programme.begin_stage(point.mu, point.epsilon, &z);
    programme.model().resume(&point.regulariser);
    if let Some(region) = &point.region {
        programme.model().resume_region(region);
    }
    let gap = programme.gap(&z);
    let width = z.len();
    let rows = programme.frame().constraint_upper.len();
    let mut gradient = vec![0.0; width];
    programme.gradient(&z, &mut gradient);
    let mut jacobian = Dense::zeros(rows, width);
    programme.jacobian(&z, &mut jacobian);
    let mut values = vec![0.0; rows];
    programme.constraints(&z, &mut values);
    if !gap.is_finite() || !vector::all_finite(&gradient) || !vector::all_finite(jacobian.data()) {
        return None;
    }
    let value_row = jacobian.row(rows - 1).to_vec();
    let normals = active_normals(programme.frame(), &z, &jacobian, &values);
    let others = tied_rows(&mut programme, &value_row, &point.x)?;
    let (stationarity, multiplier) = stationarity(&gradient, &value_row, &others, &normals, point.multiplier)?;
    let slack = gap - point.epsilon;
    let errors = programme.value_at(&point.x).map_or((f64::NAN, f64::NAN), |v| (v.value_error, v.gradient_error));
    let active = slack > -ACTIVE.min(0.1 * point.epsilon);
    Some(KktPoint {
        x: NamedValues::new(&problem.leader().blocks, &point.x),
        y: NamedValues::new(&problem.follower().blocks, &point.y),
        stationarity,
        dual: (-multiplier).max(0.0),
        complementarity: (multiplier * slack).abs(),
        violation: slack.max(0.0),
        multiplier,
        mu: point.mu,
        epsilon: point.epsilon,
        smoothing: family.name().to_string(),
        value_model: point.value_model.to_string(),
        value_error: errors.0,
        gradient_error: errors.1,
        ennamcq_margin: if active { normals.distance(&value_row)? } else { f64::INFINITY },
    })
}

/// The gradients of f − v at z for the follower's other answers that tie with the one in the value row.
fn tied_rows(programme: &mut ValueFunctionProgramme<'_>, value_row: &[f64], x: &[f64]) -> Option<Vec<Vec<f64>>> {
    let point = programme.value_at(x).ok()?;
    let row = |tie: &Vec<f64>| {
        let mut row = value_row.to_vec();
        for ((r, own), other) in row.iter_mut().zip(&point.gradient).zip(tie) {
            *r += own - other;
        }
        row
    };
    Some(point.ties.iter().map(row).collect())
}

/// epsilon_1 and lambda: with the stored lambda where v is differentiable; at a tie the least residual over the convex
/// hull of the generators, with the lambda that attains it (Def. 2.11).
fn stationarity(
    gradient: &[f64],
    value_row: &[f64],
    others: &[Vec<f64>],
    normals: &Normals,
    stored: f64,
) -> Option<(f64, f64)> {
    if others.is_empty() {
        let lagrangian: Vec<f64> = gradient.iter().zip(value_row).map(|(f, g)| f + stored.max(0.0) * g).collect();
        return Some((normals.distance(&lagrangian)?, stored));
    }
    let mut all = normals.clone();
    let first = all.len();
    for row in std::iter::once(value_row).chain(others.iter().map(Vec::as_slice)) {
        all.push(row.iter().map(|r| -r).collect(), false);
    }
    let (residual, weights) = all.nearest(gradient)?;
    Some((residual, weights[first..].iter().sum()))
}

/// Normals of the active bounds, rows and constraints, without the value-function constraint.
fn active_normals(frame: &Frame, z: &[f64], jacobian: &Dense, values: &[f64]) -> Normals {
    let mut normals = Normals::default();
    for (j, &value) in z.iter().enumerate() {
        normals.push_range(unit(z.len(), j), value, frame.lower[j], frame.upper[j]);
    }
    for i in 0..frame.row_upper.len() {
        let mut normal = vec![0.0; z.len()];
        frame.rows.row(i).for_each(|(j, a)| normal[j] = a);
        let value = vector::dot(&normal, z);
        normals.push_range(normal, value, frame.row_lower[i], frame.row_upper[i]);
    }
    for (i, &value) in values.iter().enumerate().take(values.len() - 1) {
        normals.push_range(jacobian.row(i).to_vec(), value, frame.constraint_lower[i], frame.constraint_upper[i]);
    }
    normals
}
