//! Nonsmooth followers with closed answers: every method with every smoothing family, and a lasso of many features.

use bilevel::expr::Matrix;
use bilevel::prelude::*;
use bilevel::smooth;
use bilevel_linalg::Dense;

/// The methods on the value-function programme.
const METHODS: [&str; 3] = ["smoothed-value", "augmented-lagrangian", "projected-gradient"];

/// Solves by every method with every family; the same value each time, and solved.
fn everywhere(problem: &Problem, expected: f64, starts: usize) {
    for method in METHODS {
        for family in smooth::names() {
            let Some(smoothing) = smooth::by_name(family) else { continue };
            let options = Options { method: Some(method.to_string()), smoothing, starts, ..Options::default() };
            let solution = problem.solve(&options);
            let upper = solution.upper.unwrap_or(f64::NAN);
            let what = format!("{method}, {family}: {upper}, {:?}, {}", solution.status, solution.message);
            assert!((upper - expected).abs() <= 1e-6 * (1.0 + expected.abs()), "{what}");
            assert_eq!(solution.status, Status::Solved, "{what}");
        }
    }
}

#[test]
fn lasso() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 3.0)?)?;
    let y = model.follower("y", 2).free()?;
    let (b, c) = (x.graph().constant_vector(&[2.0, -1.0]), x.graph().constant_vector(&[1.5, -0.2]));
    let lower = (&y - b).norm2sq() / 2.0 + x.sum() * y.norm1();
    let problem = model.upper((&y - c).norm2sq() / 2.0).lower(lower).start(&[2.5], &[0.0; 2]).build()?;
    // y = (2 - x, x - 1) up to x = 1: (1/2 - x)²/2 + (x - 4/5)²/2 is least at 13/20.
    everywhere(&problem, 0.0225, 2);
    Ok(())
}

#[test]
fn group_lasso() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 6.0)?)?;
    let y = model.follower("y", 4).free()?;
    let b = x.graph().constant_vector(&[3.0, 4.0, 0.6, 0.8]);
    let c = x.graph().constant_vector(&[2.4, 3.2, 0.3, 0.4]);
    let lower = (&y - b).norm2sq() / 2.0 + x.sum() * y.group_norm(2);
    let problem = model.upper((&y - c).norm2sq() / 2.0).lower(lower).start(&[3.0], &[0.0; 4]).build()?;
    everywhere(&problem, 0.0625, 2);
    Ok(())
}

#[test]
fn hinge() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.1, 4.0)?)?;
    let y = model.follower("y", 1).free()?;
    let lower = x.sum() / 2.0 * y.norm2sq() + y.hinge().sum();
    let upper = (&y - 2.0).norm2sq() + (&x - 3.0).norm2sq() / 10.0;
    let problem = model.upper(upper).lower(lower).start(&[3.0], &[0.0]).build()?;
    // y = min(1, 1/x): the leader stops at the kink.
    everywhere(&problem, 1.4, 3);
    Ok(())
}

#[test]
fn larger_of_two() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0)?)?;
    let y = model.follower("y", 1).within(Bounds::new(-10.0, 10.0)?)?;
    let lower = (&x - &y).max(&(2.0 * &y - 2.0)).sum();
    let upper = (&x - 1.0).norm2sq() + (&y - 2.0).norm2sq();
    let problem = model.upper(upper).lower(lower).start(&[-3.0], &[0.0]).build()?;
    everywhere(&problem, 0.9, 2);
    Ok(())
}

/// F = (x - 1)² + (y - target)² with f = (y - x)²/2 + sqrt|y|.
fn half_power(target: f64) -> Result<Problem, ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 4.0)?)?;
    let y = model.follower("y", 1).within(Bounds::new(-5.0, 5.0)?)?;
    let lower = (&y - &x).norm2sq() / 2.0 + y.abs().sqrt().sum();
    let upper = (&x - 1.0).norm2sq() + (&y - target).norm2sq();
    model.upper(upper).lower(lower).start(&[3.0], &[3.0]).build()
}

#[test]
fn half_power_with_a_tie() -> Result<(), ModelError> {
    // At x = 3/2 the follower is undecided between 0 and 1.
    everywhere(&half_power(1.0)?, 0.25, 6);
    Ok(())
}

#[test]
fn half_power_with_an_answer_that_is_exactly_zero() -> Result<(), ModelError> {
    let problem = half_power(0.1)?;
    everywhere(&problem, 0.01, 2);
    let y = problem.solve(&Options::default()).y.and_then(|y| y.get("y").map(<[f64]>::to_vec));
    assert_eq!(y, Some(vec![0.0]));
    Ok(())
}

#[test]
fn many_features_without_dense_matrices() -> Result<(), ModelError> {
    let (rows, features) = (15, 160);
    let noise = |k: usize| ((k.wrapping_mul(2_654_435_761) >> 7) % 2000) as f64 / 1000.0 - 1.0;
    let matrix = |seed: usize| Dense::from_fn(rows, features, |i, j| noise(seed + i * features + j));
    let mut model = Model::new();
    let t = model.leader("t", 1).within(Bounds::new(-5.0, 1.0)?)?;
    let w = model.follower("w", features).free()?;
    let loss = |seed: usize| {
        let a = matrix(seed);
        let target: Vec<f64> = (0..rows).map(|i| 2.0 * a[(i, 0)] - a[(i, 1)] + 0.3 * noise(seed + 77 * i)).collect();
        (&Matrix::from(a) * &w - w.graph().constant_vector(&target)).norm2sq() / (2.0 * rows as f64)
    };
    let lower = loss(0) + t.exp().sum() * w.norm1();
    let problem = model.upper(loss(1_000_003)).lower(lower).start(&[0.0], &vec![0.0; features]).build()?;
    let solve = |method: Option<&str>| {
        problem.solve(&Options { method: method.map(str::to_string), starts: 3, ..Options::default() })
    };
    let (chosen, named) = (solve(None), solve(Some("augmented-lagrangian")));
    assert_eq!(chosen.upper, named.upper);
    assert_eq!(chosen.status, Status::Solved, "{}", chosen.message);
    let best = chosen.upper.unwrap_or(f64::NAN);
    let gap = chosen.certificate.follower_gap.map_or(f64::NAN, |gap| gap.value);
    assert!(gap < 1e-9 && best > 0.0, "{gap} {best}");
    let kkt = chosen.certificate.kkt.map_or(f64::NAN, |point| point.stationarity);
    assert!(kkt.is_finite());
    Ok(())
}
