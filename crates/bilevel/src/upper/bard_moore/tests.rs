use super::*;
use crate::prelude::*;
use crate::solve::Analysis;

fn searched(problem: &Problem) -> Option<Found> {
    let analysis = Analysis::new(problem);
    let levels = &analysis.levels;
    let pieces = Pieces::new(levels.exact_leader.as_ref()?, levels.exact_follower.as_ref()?, &analysis.bounds)?;
    Some(pieces.search(300, &Meter::unlimited(), &|| false))
}

/// F = x - 4 y over the follower's least y in a polygon: kinks at x = 2, where F(x, y(x)) is a local maximum, and at the
/// answer (4, 4).
fn polygon() -> Problem {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, f64::INFINITY).unwrap()).unwrap();
    let y = model.follower("y", 1).free().unwrap();
    model.upper((&x - &y * 4.0).sum()).lower(y.sum());
    model.lower_subject_to((&x + &y).sum().at_least(3.0));
    model.lower_subject_to((&x * 2.0 - &y).sum().at_least(0.0));
    model.lower_subject_to((&x * 2.0 + &y).sum().at_most(12.0));
    model.lower_subject_to((&x * 3.0 - &y * 2.0).sum().at_most(4.0));
    model.build().unwrap()
}

#[test]
fn a_linear_follower_is_solved_over_all_its_pieces() {
    let found = searched(&polygon()).unwrap();
    assert!(found.complete && !found.unbounded);
    let (x, y) = &found.points[0];
    assert!((x[0] - 4.0).abs() < 1e-8 && (y[0] - 4.0).abs() < 1e-8, "{x:?} {y:?}");
}

#[test]
fn a_quadratic_follower_between_bounds() {
    // y = clamp(x, 0, 1), F = (x - 3)² + (y - 1/2)²: least at x = 3, where y is held at 1.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0).unwrap()).unwrap();
    let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
    model.upper((&x - 3.0).norm2sq() + (&y - 0.5).norm2sq()).lower((&y - &x).norm2sq());
    let found = searched(&model.build().unwrap()).unwrap();
    let (x, y) = &found.points[0];
    assert!(found.complete && (x[0] - 3.0).abs() < 1e-7 && (y[0] - 1.0).abs() < 1e-7, "{x:?} {y:?}");
}

#[test]
fn a_leader_without_end_is_said_to_be() {
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 1).free().unwrap();
    model.upper((&x - &y * 2.0).sum()).lower(y.sum()).lower_subject_to((&y - &x).sum().at_least(0.0));
    assert!(searched(&model.build().unwrap()).unwrap().unbounded);
}

#[test]
fn other_classes_are_left_alone() {
    // A leader that is not convex, a follower that is not linear.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
    let y = model.follower("y", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
    model.upper((&x * &y).sum()).lower((&y - &x).norm2sq());
    assert!(searched(&model.build().unwrap()).is_none());
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
    let y = model.follower("y", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
    model.upper((&x + &y).sum()).lower((&y - &x).exp().sum());
    assert!(searched(&model.build().unwrap()).is_none());
}
