//! The residuals of an approximate KKT point of (VFP_epsilon^mu) [Alcantara & Takeda 2025, (2.7), Remark 2.16],
//! recomputed from the problem and the stored (x, y, lambda, mu, epsilon, smoothing family, value model, regulariser).

use bilevel_linalg::{Dense, vector};

use crate::nlp::{Frame, Nlp, Normals, unit};
use crate::problem::{At, Failures, FunctionEvaluator, NamedValues, Problem};
use crate::set::ConvexSet;
use crate::smooth::{Family, Smoothing};
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
    let gap = programme.gap(&z);
    if z.len() > DENSE && problem.leader().constraints.is_empty() && problem.follower().constraints.is_empty() {
        return by_sets(problem, point, &mut programme, gap, family);
    }
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
        ennamcq_margin: if active { normals.distance(&value_row)? } else { f64::INFINITY },
    })
}

/// Points with more variables are measured by the sets' normal cones alone, where there are no other constraints.
const DENSE: usize = 300;
/// Bounds within this of equality, relative to 1 + their size, count as active for the sets.
const NEAR_SET: f64 = 1e-8;

/// The same without matrices: X and Y say themselves how far a vector is from their normal cones.
fn by_sets<'a>(
    problem: &Problem,
    point: &SmoothedPoint,
    programme: &mut ValueFunctionProgramme<'a>,
    gap: f64,
    family: &'a dyn Family,
) -> Option<KktPoint> {
    let (n, m) = (point.x.len(), point.y.len());
    let smoothing = Smoothing::new(family, point.mu);
    let at = At { x: &point.x, y: &point.y, smoothing };
    let failures = Failures::default();
    let gradient = |function| {
        let (mut by_x, mut by_y) = (vec![0.0; n], vec![0.0; m]);
        FunctionEvaluator::new(function, n, m, &failures).add_gradient(at, &[1.0], Some(&mut by_x), Some(&mut by_y));
        (by_x, by_y)
    };
    let (upper_x, upper_y) = gradient(&problem.leader().objective);
    let (mut gap_x, gap_y) = gradient(&problem.follower().objective);
    let value = programme.value_at(&point.x).ok()?;
    gap_x.iter_mut().zip(&value.gradient).for_each(|(g, v)| *g -= v);
    let distance = |weight: f64, with_upper: f64| {
        let down = |f: &[f64], g: &[f64]| -> Vec<f64> {
            f.iter().zip(g).map(|(f, g)| -(with_upper * f + weight * g)).collect()
        };
        let tolerance = |v: &[f64]| NEAR_SET * (1.0 + vector::norm_inf(v));
        let (x, y) = (&point.x, &point.y);
        let by_x = problem.leader().set.normal_cone_distance(x, &down(&upper_x, &gap_x), tolerance(x));
        let by_y = problem.follower().set.normal_cone_distance(y, &down(&upper_y, &gap_y), tolerance(y));
        by_x.hypot(by_y)
    };
    let slack = gap - point.epsilon;
    let active = slack > -ACTIVE.min(0.1 * point.epsilon);
    let multiplier = point.multiplier;
    let stationarity = distance(multiplier.max(0.0), 1.0);
    (gap.is_finite() && stationarity.is_finite()).then(|| KktPoint {
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
        ennamcq_margin: if active { distance(1.0, 0.0) } else { f64::INFINITY },
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
