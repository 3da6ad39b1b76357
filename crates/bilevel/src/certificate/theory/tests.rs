//! Problems inside and outside of the theory, each outside for one reason.

use bilevel_linalg::vector::distance_squared;
use bilevel_linalg::{Dense, Svd};

use super::*;
use crate::certificate::{Constant, Segment};
use crate::expr::{Expr, Matrix, concat};
use crate::hyper::HyperObjective;
use crate::problem::Model;
use crate::set::{Bounds, Set, Whole};
use crate::solve::Analysis;

fn problem(n: usize, m: usize, set: impl Into<Set>, build: impl Fn(&Expr, &Expr) -> (Expr, Expr)) -> Problem {
    let mut model = Model::new();
    let x = model.leader("x", n).free().unwrap();
    let y = model.follower("y", m).within(set).unwrap();
    let (upper, lower) = build(&x, &y);
    model.upper(upper).lower(lower).build().unwrap()
}

fn looked_at(problem: &Problem) -> Theory {
    theory(problem, &Analysis::new(problem).levels, &TheorySettings::around_start(problem))
}

fn speaks_of(found: &Theory, part: &str) {
    assert!(found.reasons.iter().any(|r| r.contains(part)), "{part} is not among {:?}", found.reasons);
}

/// f = ½ ‖A y − B x‖² with a 2 x 3 matrix A: a line of answers for every x.
fn line() -> (Dense, Dense, Problem) {
    let a = Dense::from_row_major(2, 3, vec![1.0, 0.5, 0.0, 0.0, 2.0, 1.0]).unwrap();
    let b = Dense::from_row_major(2, 2, vec![1.0, -1.0, 0.5, 2.0]).unwrap();
    let problem = problem(2, 3, Whole::new(3), |x, y| {
        let residual = &Matrix::from(a.clone()) * y - &Matrix::from(b.clone()) * x;
        ((y - 1.0).norm2sq() * 0.5 + x.norm2sq(), residual.norm2sq() * 0.5)
    });
    (a, b, problem)
}

#[test]
fn least_squares_without_full_rank_are_inside_with_constants_from_structure() {
    let (a, b, problem) = line();
    let found = looked_at(&problem);
    assert!(found.applies(), "{:?}", found.reasons);
    assert_eq!(found.shape, (Shape::Affine { dimension: Some(1), parallel: true }, Source::Structure));
    let c = found.constants.unwrap();
    let joint = Dense::from_fn(2, 5, |i, j| if j < 2 { -b[(i, j)] } else { a[(i, j - 2)] });
    let largest = Svd::new(&joint, None).unwrap().values()[0].powi(2);
    let smallest = Svd::new(&a, None).unwrap().values()[1].powi(2);
    let from_structure = |value| Constant { value, source: Source::Structure };
    for (constant, value) in [(c.l_f, largest), (c.tau, 1.0 / smallest), (c.h_f, 0.0), (c.l_upper, 2.0)] {
        assert!((constant.value - value).abs() < 1e-10 * (1.0 + value), "{constant:?} {value}");
        assert_eq!(constant.source, Source::Structure);
    }
    assert_eq!(c.m_upper.source, Source::Sampled);
    assert_eq!(c.rho.source, Source::Sampled);
    assert_eq!(c.l_s, from_structure(16.0 * c.m_s.value.powi(2)));
    // What was sampled stays below what is certain.
    let bound = found.error_bound.unwrap();
    assert!(bound.tau <= c.tau.value * (1.0 + 1e-9) && bound.tau > 0.9 * c.tau.value, "{}", bound.tau);
    assert!(found.set_smoothness.unwrap().largest <= c.l_s.value);
    let phi = found.optimistic.unwrap();
    assert!(!phi.alarm && phi.rho <= c.rho.value && phi.lipschitz <= c.m_phi.value);
    assert!(found.pessimistic.is_none(), "the pessimistic value is infinite");
}

#[test]
fn the_constants_of_theorem_1_hold_for_random_triples() {
    let (_, _, problem) = line();
    let found = looked_at(&problem);
    let c = found.constants.unwrap();
    let hyper = Hyper::new(&problem, Attitude::Optimistic, &HyperSettings::default());
    let phi = |x: &[f64]| hyper.evaluate(x, 1e-10, None).unwrap().value;
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for _ in 0..100 {
        let s = Segment::random(&found.settings.x, found.settings.radius, 0.3, &mut rng);
        let (middle, first, second) = (phi(&s.middle()), phi(&s.x1), phi(&s.x2));
        let step = distance_squared(&s.x1, &s.x2);
        assert!((first - second).abs() <= c.m_phi.value * step.sqrt());
        let excess = s.theta * first + (1.0 - s.theta) * second - middle;
        assert!(excess <= 0.5 * c.rho.value * s.theta * (1.0 - s.theta) * step);
    }
}

#[test]
fn a_kernel_that_turns_is_outside() {
    // The answers are the lines exp(x) y1 + y2 = 1.
    let turning = problem(1, 2, Whole::new(2), |x, y| {
        let residual = x.exp() * y.index(0) + y.index(1) - 1.0;
        (y.norm2sq(), residual.square().sum())
    });
    let found = looked_at(&turning);
    speaks_of(&found, "turns with x");
    assert_eq!(found.shape, (Shape::Affine { dimension: Some(1), parallel: false }, Source::Sampled));
    // With a weight that depends on x the kernel stays: the lines y1 + y2 = 1.
    let weighted =
        problem(1, 2, Whole::new(2), |x, y| (y.norm2sq(), (x.exp() * (y.index(0) + y.index(1) - 1.0).square()).sum()));
    let found = looked_at(&weighted);
    assert!(found.applies(), "{:?}", found.reasons);
    assert_eq!(found.shape, (Shape::Affine { dimension: Some(1), parallel: true }, Source::Sampled));
}

#[test]
fn large_followers_are_judged_without_matrices() {
    let m = 210;
    let weights: Vec<f64> = (0..m).map(|j| 1.0 + (j % 7) as f64 / 7.0).collect();
    for (turning, reason) in [(true, true), (false, false)] {
        let large = problem(1, m, Whole::new(m), |x, y| {
            let graph = |values: &[f64]| Matrix::from(Dense::from_row_major(1, values.len(), values.to_vec()).unwrap());
            let factor = x.index(0).exp();
            let scaled = if turning { concat(&[&factor * y.slice(0..100), y.slice(100..m)]) } else { y * factor };
            (y.norm2sq(), (&graph(&weights) * &scaled - 1.0).norm2sq())
        });
        let found = looked_at(&large);
        assert_eq!(found.reasons.iter().any(|r| r.contains("turns")), reason, "{:?}", found.reasons);
        assert!(matches!(found.shape.0, Shape::Affine { dimension: None, parallel } if parallel != turning));
    }
}

#[test]
fn example_1_is_outside_for_its_square_and_its_kink() {
    let square = Bounds::uniform(2, 0.0, 1.0).unwrap();
    let example = problem(1, 2, square, |x, y| (-y.sum(), (y - concat(&[x.clone(), x * 0.0 + 2.0])).norm2sq()));
    let found = looked_at(&example);
    speaks_of(&found, "a set of its own");
    speaks_of(&found, "S is not set-smooth");
    speaks_of(&found, "phi_p is not weakly convex");
    assert_eq!(found.shape, (Shape::Point, Source::Sampled));
    assert!(found.constants.is_none() && found.error_bound.is_none());
}

#[test]
fn followers_without_an_error_bound_are_outside() {
    // Two wells: y = 0 is stationary and no answer.
    let wells = problem(1, 1, Whole::new(1), |x, y| ((x - y).square().sum(), (y.square() - 1.0).square().sum()));
    speaks_of(&looked_at(&wells), "vanishes is no answer");
    // y^4 grows too slowly.
    let flat = problem(1, 1, Whole::new(1), |x, y| ((x - y).square().sum(), (y - x).pow(4.0).sum()));
    let found = looked_at(&flat);
    speaks_of(&found, "(A3)");
}

#[test]
fn a_follower_that_is_not_convex_may_be_inside() {
    // r^2 + 3 sin^2 r satisfies the error bound: r is its only stationary point.
    let wavy = problem(1, 2, Whole::new(2), |x, y| {
        let r = y.index(0) - x.sin();
        ((x - y.index(0)).square().sum() + y.index(1).square(), (r.square() + r.sin().square() * 3.0).sum())
    });
    let found = looked_at(&wavy);
    assert!(found.error_bound.as_ref().unwrap().stray.is_none());
    assert_eq!(found.shape.0, Shape::Affine { dimension: Some(1), parallel: true });
    assert!(found.applies(), "{:?}", found.reasons);
    assert!(found.constants.unwrap().h_f.value > 1.0);
}

#[test]
fn kinks_are_named() {
    let free = |build: &dyn Fn(&Expr, &Expr) -> (Expr, Expr)| looked_at(&problem(1, 1, Whole::new(1), build));
    speaks_of(&free(&|x, y| (y.sum(), (y - x).huber(1.0).sum())), "not twice continuously differentiable");
    speaks_of(&free(&|x, y| ((y + x).abs().sum(), (y - x).square().sum())), "the gradient of F jumps");
    // Differentiable with a Lipschitz gradient, though not twice.
    let found = free(&|x, y| ((y + x).plus().square().sum(), (y - x).square().sum()));
    assert!(found.applies(), "{:?}", found.reasons);
}
