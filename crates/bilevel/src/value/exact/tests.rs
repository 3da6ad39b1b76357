//! Subdifferentials that are known in closed form (mathematics, section 6).

use super::{Danskin, Subdifferential, subdifferential};
use crate::expr::Expr;
use crate::expr::structure::VariableBounds;
use crate::lower::Follower;
use crate::problem::{Comparison, Failures, Model};
use crate::set::{Bounds, ConvexSet};

/// The subdifferential at `x` of a follower with variables x in [-3, 3] and y in [-2, 2].
fn at(x: &[f64], m: usize, f: impl Fn(&Expr, &Expr) -> Expr, coupled: Option<Comparisons>) -> Subdifferential {
    let mut model = Model::new();
    let leader = model.leader("x", x.len()).within(Bounds::new(-3.0, 3.0).unwrap()).unwrap();
    let follower = model.follower("y", m).within(Bounds::new(-2.0, 2.0).unwrap()).unwrap();
    model.upper(leader.sum()).lower(f(&leader, &follower));
    for comparison in coupled.iter().flat_map(|make| make(&leader, &follower)) {
        model.lower_subject_to(comparison);
    }
    let problem = model.build().unwrap();
    let range = |d: usize, r: f64| (vec![-r; d], vec![r; d]);
    let ((xl, xu), (yl, yu)) = (range(x.len(), 3.0), range(m, 2.0));
    let bounds = VariableBounds::new(&xl, &xu, &yl, &yu).unwrap();
    let follower = Follower::epigraph(&problem, &bounds).unwrap_or_else(|| Follower::direct(&problem));
    assert_eq!(problem.follower().set.ambient_dimension(), m);
    subdifferential(&problem, &follower, &bounds, x, 1, &Failures::default()).unwrap()
}

type Comparisons = fn(&Expr, &Expr) -> Vec<Comparison>;

fn is_interval(found: &Subdifferential, low: f64, high: f64) {
    for (g, distance) in [(low, 0.0), (high, 0.0), (0.5 * (low + high), 0.0), (low - 2.0, 2.0), (high + 0.5, 0.5)] {
        assert!((found.distance(&[g]) - distance).abs() < 1e-4, "{g}: {} in {found:?}", found.distance(&[g]));
    }
}

#[test]
fn flat_answers_give_all_slopes() {
    // f = xy: v = -2|x| on [-2, 2].
    let found = at(&[0.0], 1, |x, y| (x * y).sum(), None);
    assert_eq!(found.case, Danskin::ContinuousGradient);
    is_interval(&found, -2.0, 2.0);
    assert!(found.minimum_norm().unwrap()[0].abs() < 1e-6);
    is_interval(&at(&[0.5], 1, |x, y| (x * y).sum(), None), -2.0, -2.0);
}

#[test]
fn two_wells() {
    let f = |x: &Expr, y: &Expr| ((y.square() - 1.0).square() + x * y).sum();
    let found = at(&[0.0], 1, f, None);
    is_interval(&found, -1.0, 1.0);
    assert_eq!(found.minimisers.len(), 2);
    let away = at(&[0.5], 1, f, None);
    assert_eq!(away.minimisers.len(), 1);
}

#[test]
fn several_generators_at_one_answer() {
    // f = -|x| + y²: v = -|x|, the only answer is 0.
    let found = at(&[0.0], 1, |x, y| y.square().sum() - x.abs().sum(), None);
    assert_eq!(found.case, Danskin::WeaklyConcave);
    assert_eq!((found.minimisers.len(), found.generators.len()), (1, 2));
    is_interval(&found, -1.0, 1.0);
}

#[test]
fn jointly_convex_with_separate_kinks() {
    // v = |x_1| + |x_2|.
    let found = at(&[0.0, 1.0], 1, |x, y| y.square().sum() + x.abs().sum() + y.abs().sum(), None);
    assert_eq!(found.case, Danskin::JointlyConvex);
    assert!(found.distance(&[0.3, 1.0]) < 1e-6 && (found.distance(&[2.0, 1.0]) - 1.0).abs() < 1e-6);
    assert!((found.distance(&[0.0, 0.0]) - 1.0).abs() < 1e-6);
}

#[test]
fn kinks_that_join_the_levels_give_an_outer_estimate() {
    // f = |y - x|: v = 0, the estimate holds the slopes of f at y = x.
    let found = at(&[0.5], 1, |x, y| (y - x).abs().sum(), None);
    assert_eq!(found.case, Danskin::OuterEstimate);
    assert!(!found.case.is_equality() && found.distance(&[0.0]) < 1e-6);
}

#[test]
fn lasso_has_the_norm_of_its_answer() {
    // f = ½(y - 2)² + x |y|: y = 2 - x, v' = |y|.
    let found = at(&[0.75], 1, |x, y| (y - 2.0).square().sum() * 0.5 + x.sum() * y.abs().sum(), None);
    is_interval(&found, 1.25, 1.25);
}

#[test]
fn coupled_constraints_give_limits_of_gradients() {
    // min y with y >= x, y >= -x: v = |x|.
    let rows: Comparisons = |x, y| vec![y.at_least(x), y.at_least(-x)];
    let found = at(&[0.0], 1, |_, y| y.sum(), Some(rows));
    assert_eq!(found.case, Danskin::Coupled);
    is_interval(&found, -1.0, 1.0);
}
