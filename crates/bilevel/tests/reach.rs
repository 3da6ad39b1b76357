//! Better points that local runs miss, values that fall without end, and followers without answers.

use bilevel::prelude::*;
use bilevel::solution::Verdict;
use bilevel::solve::Claims;

fn one_thread() -> Options {
    Options { threads: 1, ..Options::default() }
}

/// f = x² y: S(x) = {−1} for x ≠ 0, and [−1, 1] at x = 0, where the leader of F = x − y finds y = 1 and F = −1. All runs
/// from elsewhere end at x = −1, F = 0.
#[test]
fn an_answer_that_exists_at_one_x_alone_is_found() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0)?)?;
    let y = model.follower("y", 1).within(Bounds::new(-1.0, 1.0)?)?;
    let problem = model.upper((&x - &y).sum()).lower((&x.square() * &y).sum()).build()?;
    let solution = problem.solve(&one_thread());
    assert!((solution.upper.unwrap_or(f64::NAN) + 1.0).abs() < 1e-5, "{solution:?}");
    assert_ne!(solution.certificate.verdict, Some(Verdict::Refuted));
    Ok(())
}

/// F = x₁y₁ + x₂y₂² + x₁x₂y₃³ with ‖y‖² in [3/2, 5/2] for a follower of x₁y₁² + x₂y₂² + (x₁ − x₂)y₃² on [−1, 1]³ (after
/// Mitsos & Barton 2006, Example 3.26): at x = (−1, −1) the follower has no opinion on y₃, and the leader's is −1/√2.
#[test]
fn the_basin_of_an_undecided_follower_is_found_for_every_seed() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 2).within(Bounds::new(-1.0, 1.0)?)?;
    let y = model.follower("y", 3).within(Bounds::new(-1.0, 1.0)?)?;
    let (a, b) = (x.index(0), x.index(1));
    let (p, q, r) = (y.index(0), y.index(1), y.index(2));
    model.upper(&a * &p + &b * q.square() + &a * &b * (&r * r.square()));
    model.lower(&a * p.square() + &b * q.square() + (&a - &b) * r.square());
    model.upper_subject_to(a.square().at_least(0.1));
    model.upper_subject_to(y.norm2sq().at_least(1.5));
    model.upper_subject_to(y.norm2sq().at_most(2.5));
    let problem = model.build()?;
    for seed in 0..3 {
        let solution = problem.solve(&Options { seed, ..one_thread() });
        let wanted = -2.0 - 0.5 * 0.5f64.sqrt();
        assert!((solution.upper.unwrap_or(f64::NAN) - wanted).abs() < 1e-4, "seed {seed}: {solution:?}");
    }
    Ok(())
}

/// A quartic f is flat around its minimiser: a gap of 1e-9 is worth 0.3 in F, and must not be spent on it.
#[test]
fn a_flat_follower_gives_no_gain_within_the_gap() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 15.0)?)?;
    let y = model.follower("y", 1).within(Bounds::new(0.0, 20.0)?)?;
    let cube = |v: &Expr| v * v.square();
    model.upper((cube(&(10.0 - &x)) + cube(&(10.0 - &y))).sum()).lower((&x + &y * 2.0 - 15.0).square().square().sum());
    let problem = model.build()?;
    let solution = problem.solve(&one_thread());
    let (x, y) = (solution.x.as_ref().and_then(|x| x.get("x")), solution.y.as_ref().and_then(|y| y.get("y")));
    let off = x.zip(y).map_or(f64::NAN, |(x, y)| x[0] + 2.0 * y[0] - 15.0);
    assert!(off.abs() < 2e-3, "{off} {solution:?}");
    Ok(())
}

#[test]
fn a_leader_and_a_copying_follower_without_bounds_are_unbounded() -> Result<(), ModelError> {
    for attitude in [Attitude::Optimistic, Attitude::Pessimistic] {
        for both in [0.0, 1.0] {
            let mut model = Model::new();
            let x = model.leader("x", 1).free()?;
            let y = model.follower("y", 1).free()?;
            let problem = model.upper((&x + &y * both).sum()).lower((&y - &x).norm2sq()).build()?;
            let solution = problem.solve(&Options { attitude, ..one_thread() });
            assert_eq!(solution.status, Status::Unbounded, "{attitude:?} {both}: {}", solution.message);
        }
    }
    Ok(())
}

#[test]
fn no_point_is_an_answer_of_a_follower_whose_objective_keeps_falling() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0)?)?;
    let y = model.follower("y", 1).free()?;
    let problem = model.upper((&x + &y).sum()).lower((-&y).exp().sum()).build()?;
    // exp(-30) is within any gap of the infimum.
    let verified = problem.verify(&[0.0], &[30.0], &Claims::default(), &one_thread()).ok();
    assert_eq!(verified.and_then(|solution| solution.certificate.verdict), Some(Verdict::Refuted));
    assert!(!problem.solve(&one_thread()).status.is_success());
    Ok(())
}

#[test]
fn an_infimum_at_infinity_is_not_attained_and_a_far_minimum_is() -> Result<(), ModelError> {
    let build = |far: f64| {
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(0.0, f64::INFINITY)?)?;
        let y = model.follower("y", 1).within(Bounds::new(0.0, f64::INFINITY)?)?;
        let share = (&x + 1.0).pow(-1.0);
        let upper = (&share + &y).sum() + (&x - 2e4).norm2sq() * far;
        model.upper(upper).lower((&y - &share).norm2sq()).build()
    };
    let away = build(0.0)?.solve(&one_thread());
    assert_eq!(away.status, Status::NotAttained, "{}", away.message);
    assert!(away.infimum.is_some_and(|infimum| infimum.abs() < 1e-3), "{:?}", away.infimum);
    let far = build(1e-6)?.solve(&one_thread());
    assert_ne!(far.status, Status::NotAttained, "{}", far.message);
    Ok(())
}
