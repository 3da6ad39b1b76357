//! Small problems with known answers, solved through the public face.

use bilevel::prelude::*;
use bilevel::solution::Rigor;

type Built = Result<Problem, ModelError>;

fn upper(solution: &Solution) -> f64 {
    solution.upper.unwrap_or(f64::NAN)
}

/// The follower copies the leader.
fn copying(model: &mut Model, low: f64, high: f64) -> Result<(Expr, Expr), ModelError> {
    let x = model.leader("x", 1).within(Bounds::new(low, high)?)?;
    let y = model.follower("y", 1).free()?;
    model.lower((&y - &x).norm2sq());
    Ok((x, y))
}

#[test]
fn quad1_reaches_two_and_not_less() -> Result<(), ModelError> {
    let mut model = Model::new();
    let (x, y) = copying(&mut model, -1.0, f64::INFINITY)?;
    let problem = model.upper((&x - 1.0).norm2sq() + (&y + 1.0).norm2sq()).start(&[0.5], &[0.5]).build()?;
    let solution = problem.solve(&Options::default());
    assert_eq!(solution.status, Status::Solved);
    assert!((upper(&solution) - 2.0).abs() < 1e-6, "{solution:?}");
    let gap = solution.certificate.follower_gap.as_ref();
    assert!(gap.is_some_and(|gap| gap.value <= 1e-8 && gap.rigor == Rigor::Proved), "{gap:?}");
    Ok(())
}

#[test]
fn a_leader_without_bounds_is_unbounded_and_not_solved() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).free()?;
    let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0)?)?;
    let problem = model.upper((&x + &y).sum()).lower((&y - &x).norm2sq()).build()?;
    assert_eq!(problem.solve(&Options::default()).status, Status::Unbounded);
    Ok(())
}

#[test]
fn a_narrow_global_minimum_of_the_follower_is_not_missed() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0)?)?;
    let y = model.follower("y", 1).within(Bounds::new(-10.0, 10.0)?)?;
    let needle = ((&y - 5.0).square() * -100.0).exp().sum();
    let problem =
        model.upper((&y - 3.0).norm2sq() + x.norm2sq()).lower((&y - &x).norm2sq() * 0.001 - needle).build()?;
    let solution = problem.solve(&Options::default());
    let y = solution.y.as_ref().and_then(|y| y.get("y")).map_or(f64::NAN, |y| y[0]);
    assert!((y - 5.0).abs() < 0.1 || !solution.status.is_success(), "{solution:?}");
    Ok(())
}

fn status_of(build: impl FnOnce(&mut Model) -> Built) -> Result<Status, ModelError> {
    Ok(build(&mut Model::new())?.solve(&Options::default()).status)
}

#[test]
fn statuses_say_what_is_wrong() -> Result<(), ModelError> {
    let unbounded_follower = status_of(|model| {
        let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0)?)?;
        let y = model.follower("y", 1).free()?;
        model.upper(x.norm2sq()).lower(y.sum()).build()
    })?;
    assert_eq!(unbounded_follower, Status::FollowerUnbounded);
    let infeasible = status_of(|model| {
        let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0)?)?;
        let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0)?)?;
        model.upper(x.sum()).lower((&y - &x).norm2sq()).upper_subject_to((&x + &y).at_least(20.0)).build()
    })?;
    assert_eq!(infeasible, Status::Infeasible);
    let not_a_number = status_of(|model| {
        let (x, y) = copying(model, -3.0, -2.0)?;
        model.upper(x.log().sum() + y.sum()).build()
    })?;
    assert_eq!(not_a_number, Status::Numerical);
    Ok(())
}

#[test]
fn the_pessimistic_attitude_agrees_where_the_follower_is_decided() -> Result<(), ModelError> {
    let mut model = Model::new();
    let (x, y) = copying(&mut model, 0.0, 1.0)?;
    let problem = model.upper((&x + &y).sum()).build()?;
    let options = Options { attitude: Attitude::Pessimistic, ..Options::default() };
    let solution = problem.solve(&options);
    // The follower is decided: both attitudes agree.
    assert_eq!(solution.status, Status::Solved, "{}", solution.message);
    assert!(solution.upper.is_some_and(|upper| upper.abs() < 1e-6), "{:?}", solution.upper);
    Ok(())
}

#[test]
fn the_same_seed_gives_the_same_answer_with_any_number_of_threads() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 2).within(Bounds::new(-2.0, 2.0)?)?;
    let y = model.follower("y", 2).within(Bounds::new(-2.0, 2.0)?)?;
    let waves = (&y * 3.0).sin().sum() + (&x - &y).norm2sq();
    let problem = model.upper(x.norm2sq() + (&y - 1.0).norm2sq()).lower(waves).build()?;
    let run = |threads| {
        let mut solution = problem.solve(&Options { threads, ..Options::default() });
        solution.work.seconds = 0.0;
        solution
    };
    let first = run(1);
    assert_eq!(first, run(1));
    assert_eq!(first, run(2));
    Ok(())
}

#[test]
fn a_follower_without_a_minimiser_is_not_solved() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0)?)?;
    let y = model.follower("y", 1).free()?;
    let problem = model.upper(x.sum()).lower((-&y).exp().sum()).build()?;
    let solution = problem.solve(&Options::default());
    assert_eq!(solution.status, Status::FollowerUnbounded, "{}", solution.message);
    assert!(solution.message.contains("as y goes to infinity"), "{}", solution.message);
    Ok(())
}

/// F = x - 4 y over the follower's least y in a polygon; F(x, y(x)) has a local maximum at the kink x = 2.
fn polygon() -> Result<Model, ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, f64::INFINITY)?)?;
    let y = model.follower("y", 1).free()?;
    model.upper((&x - &y * 4.0).sum()).lower(y.sum());
    model.lower_subject_to((&x + &y).at_least(3.0)).lower_subject_to((&x * 2.0 - &y).at_least(0.0));
    model.lower_subject_to((&x * 2.0 + &y).at_most(12.0)).lower_subject_to((&x * 3.0 - &y * 2.0).at_most(4.0));
    Ok(model)
}

#[test]
fn a_kink_that_is_a_local_maximum_is_left_from_any_start() -> Result<(), ModelError> {
    let mut state: u64 = 12_345;
    let mut random = |low: f64, high: f64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        low + (high - low) * (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut starts = vec![(2.0, 2.0)];
    starts.extend((0..20).map(|_| (random(0.0, 10.0), random(-5.0, 10.0))));
    let problem = polygon()?.build()?;
    for (x, y) in starts {
        let solution = problem.clone().with_start(&[x], &[y])?.solve(&Options::default());
        assert_eq!(solution.status, Status::Solved, "from ({x}, {y}): {}", solution.message);
        assert!((upper(&solution) + 12.0).abs() < 1e-6, "from ({x}, {y}): {:?}", solution.upper);
    }
    Ok(())
}

#[test]
fn a_basin_of_the_follower_is_followed_to_its_end() -> Result<(), ModelError> {
    // F draws y to where the follower has a local minimum only; its answer is y near 0.9, and F least near x = -0.9.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-2.0, 2.0)?)?;
    let y = model.follower("y", 1).within(Bounds::new(-2.0, 2.0)?)?;
    model.upper((&x + 0.94).norm2sq() + (&y + 1.29).norm2sq() * 0.93);
    let cubic = &y.square() * &y * 0.17 - &y * 0.31;
    model.lower((&x * &y.square() * 0.23 + cubic + (&y * 3.62).cos()).sum());
    model.lower_subject_to((y.square() - &x * &y * 0.11).at_most(1.17)).start(&[0.0], &[0.0]);
    let solution = model.build()?.solve(&Options::default());
    assert_eq!(solution.status, Status::Solved, "{}", solution.message);
    assert!((upper(&solution) - 4.416_239).abs() < 1e-4, "{:?}", solution.upper);
    Ok(())
}

#[test]
fn a_flat_follower_does_not_leave_its_answer_to_the_leader() -> Result<(), ModelError> {
    // Every y is within the limit of the gap, none but 0 is the answer.
    let linear = |factor: f64| {
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0)?)?;
        let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0)?)?;
        model.upper((&x - &y).sum()).lower(y.sum() * factor).build()
    };
    let solution = linear(1e-12)?.solve(&Options::default());
    assert!(!solution.status.is_success() || upper(&solution).abs() < 1e-3, "{solution:?}");
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.01, 1.0)?)?;
    let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0)?)?;
    let problem = model.upper((&x - &y).sum()).lower((x.pow(16.0) * y.square()).sum()).build()?;
    let solution = problem.solve(&Options::default());
    assert!(!solution.status.is_success() || (upper(&solution) - 0.01).abs() < 1e-3, "{solution:?}");
    // A follower that is undecided at x = 1/4, met up to rounding: the best of its answers is the leader's.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-0.5, 0.5)?)?;
    let y = model.follower("y", 1).within(Bounds::new(-1.0, 1.0)?)?;
    let problem = model.upper(-(&x + &y).sum()).lower(((&x - 0.25) * &y).sum()).build()?;
    let solution = problem.solve(&Options::default());
    assert_eq!(solution.status, Status::Solved, "{}", solution.message);
    assert!((upper(&solution) + 1.25).abs() < 1e-4, "{:?}", solution.upper);
    Ok(())
}

#[test]
fn a_follower_without_answers_at_the_start_does_not_end_the_search() -> Result<(), ModelError> {
    // x <= y <= 1 - x is empty beyond x = 1/2; F = (x - 2)² + y with y = x: least at x = 1/2.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 2.0)?)?;
    let y = model.follower("y", 1).free()?;
    model.upper((&x - 2.0).norm2sq() + y.sum()).lower(y.exp().sum());
    model.lower_subject_to((&y - &x).at_least(0.0)).lower_subject_to((&x + &y).at_most(1.0));
    let solution = model.start(&[2.0], &[2.0]).build()?.solve(&Options::default());
    assert!((upper(&solution) - 2.75).abs() < 1e-4, "{solution:?}");
    // There the interval closes, and that is said.
    let said = |part: &str| solution.certificate.statements.iter().any(|line| line.contains(part));
    assert!(said("Slater") && said("directionally differentiable"), "{:?}", solution.certificate.statements);
    Ok(())
}
