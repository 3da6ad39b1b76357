//! Methods on phi through the public face: the default for undecided followers, the same answer with any number of threads,
//! ends before the goal.

use std::sync::atomic::{AtomicUsize, Ordering};

use bilevel::observe::Stage;
use bilevel::prelude::*;
use bilevel::problem::NamedValues;
use bilevel::solve::METHODS;

/// y = (a, z): the follower fixes a = x and does not care for z. With b_j > 0 the optimistic leader gets
///
/// phi_o = Σ (x_j − t_j)² + ½ (Σ x_j)²  + min over z of Σ x_j z_j + (|z_j| − 1)₊²  =  ... − Σ (|x_j| + x_j²/4)
fn wells(t: &[f64]) -> Result<Problem, ModelError> {
    let n = t.len();
    let mut model = Model::new();
    let x = model.leader("x", n).free()?;
    let y = model.follower("y", 2 * n).free()?;
    let part = |from: usize| bilevel::expr::concat(&(from..from + n).map(|j| y.index(j)).collect::<Vec<_>>());
    let (a, z) = (part(0), part(n));
    let target = model.graph().constant_vector(t);
    let well = (z.abs() - 1.0).plus().square().sum();
    model
        .upper((&a - target).square().sum() + x.sum().square() * 0.5 + x.dot(&z) + well)
        .lower((&a - &x).norm2sq())
        .start(&vec![0.3; n], &vec![0.0; 2 * n])
        .build()
}

/// The least of phi_o over all patterns of signs: (3/2 I + 11ᵀ) x = 2 t + s by Sherman & Morrison.
fn least(t: &[f64]) -> f64 {
    let n = t.len();
    let mut best = f64::INFINITY;
    for pattern in 0..1u32 << n {
        let right: Vec<f64> = (0..n).map(|j| 2.0 * t[j] + if pattern >> j & 1 == 1 { 1.0 } else { -1.0 }).collect();
        let shift = right.iter().sum::<f64>() / (1.5 + n as f64);
        let x: Vec<f64> = right.iter().map(|r| (r - shift) / 1.5).collect();
        let sum: f64 = x.iter().sum();
        let own: f64 = x.iter().zip(t).map(|(x, t)| (x - t) * (x - t) - x.abs() - 0.25 * x * x).sum();
        best = best.min(own + 0.5 * sum * sum);
    }
    best
}

fn numbers(values: &Option<NamedValues>, name: &str) -> Vec<f64> {
    values.as_ref().and_then(|v| v.get(name)).map(<[f64]>::to_vec).unwrap_or_default()
}

#[test]
fn the_default_finds_the_best_of_many_wells() -> Result<(), ModelError> {
    for t in [vec![0.2, -0.1, 0.3, 0.05], vec![0.4, 0.4, 0.4, 0.4, 0.4, -0.3, 0.1, 0.0]] {
        let solution = wells(&t)?.solve(&Options { threads: 1, ..Options::default() });
        assert_eq!(solution.status, Status::Solved, "{solution:?}");
        let (found, least) = (solution.upper.unwrap_or(f64::NAN), least(&t));
        assert!((found - least).abs() < 1e-8, "{found} against {least}");
        let stationarity = solution.certificate.stationarity.as_ref();
        assert!(stationarity.is_some_and(|s| s.measure == "clarke" && s.residual < 1e-5), "{stationarity:?}");
        assert!(solution.certificate.follower_gap.as_ref().is_some_and(|gap| gap.value < 1e-8));
    }
    Ok(())
}

#[test]
fn kinks_of_the_leaders_objective_are_left_to_the_value_function() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).free()?;
    let y = model.follower("y", 1).free()?;
    let problem = model.upper((&y - 1.0).abs().sum() + x.norm2sq() * 0.1).lower((&y - &x).norm2sq()).build()?;
    let solution = problem.solve(&Options { threads: 1, ..Options::default() });
    assert_eq!(solution.status, Status::Solved, "{solution:?}");
    assert!((solution.upper.unwrap_or(f64::NAN) - 0.1).abs() < 1e-6, "{solution:?}");
    Ok(())
}

#[test]
fn the_same_answer_with_one_and_two_threads_for_every_method() -> Result<(), ModelError> {
    let problem = wells(&[0.2, -0.4])?;
    for attitude in [Attitude::Optimistic, Attitude::Pessimistic] {
        for method in std::iter::once(None).chain(METHODS.iter().map(Some)) {
            // The pessimistic phi of this problem is infinite for some x: any answer will do, but the same one.
            let solve = |threads| {
                problem.solve(&Options {
                    attitude,
                    method: method.map(ToString::to_string),
                    starts: 3,
                    budget: 600,
                    threads,
                    ..Options::default()
                })
            };
            let (one, two) = (solve(1), solve(2));
            assert_eq!(one.status, two.status, "{method:?}");
            assert_eq!(numbers(&one.x, "x"), numbers(&two.x, "x"), "{method:?}");
            assert_eq!(numbers(&one.y, "y"), numbers(&two.y, "y"), "{method:?}");
            assert_eq!(one.work.hyper_evaluations, two.work.hyper_evaluations, "{method:?}");
            assert_eq!(one.work.lower_solves, two.work.lower_solves, "{method:?}");
        }
    }
    Ok(())
}

/// The literal form returns the iterate that it drew, not the best one; the practical form returns the best.
#[test]
fn literal_izom_returns_its_random_iterate() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 2).free()?;
    let y = model.follower("y", 2).free()?;
    let problem = model.upper(y.norm2sq()).lower((&y - &x).norm2sq()).start(&[3.0, -2.0], &[0.0, 0.0]).build()?;
    let value = |method: &str, seed: u64| {
        let options = Options { method: Some(method.into()), budget: 400, seed, threads: 1, ..Options::default() };
        problem.solve(&options).upper.unwrap_or(f64::NAN)
    };
    let literal: Vec<f64> = (0..8).map(|seed| value("izom-literal", seed)).collect();
    // Early iterates are near the start, where phi = 13, late ones near 0: draws spread between.
    assert!(literal.iter().any(|v| *v > 1.0) && literal.iter().any(|v| *v < 1.0), "{literal:?}");
    for seed in 0..4 {
        assert!(value("izom", seed) < 1e-3);
    }
    Ok(())
}

/// Ends a run after four calls.
struct StopAfter(AtomicUsize);

impl Observer for StopAfter {
    fn stage(&self, _: &Stage) {}

    fn interrupted(&self) -> bool {
        // One call for each evaluation of phi.
        self.0.fetch_add(1, Ordering::Relaxed) >= 4
    }
}

#[test]
fn an_early_end_keeps_the_best_point() -> Result<(), ModelError> {
    let problem = wells(&[0.2, -0.4, 0.1])?;
    for method in ["quasi-newton", "bundle", "descent", "gradient-sampling", "izom", "izom-literal"] {
        let options = |budget| Options { method: Some(method.into()), budget, threads: 1, ..Options::default() };
        let cut = problem.solve(&options(3));
        assert!(cut.x.is_some() && cut.status == Status::Budget, "{method}: {cut:?}");
        assert!(cut.work.hyper_evaluations <= 3, "{method}");
        let stopped = problem.solve_observed(&options(20_000), &StopAfter(AtomicUsize::new(0)));
        assert!(stopped.x.is_some() && stopped.status == Status::Interrupted, "{method}: {stopped:?}");
    }
    Ok(())
}

/// A time limit that is over before the first evaluation is no budget.
#[test]
fn a_time_limit_of_nothing_is_named() -> Result<(), ModelError> {
    let options = Options { time_limit: Some(std::time::Duration::ZERO), threads: 1, ..Options::default() };
    for attitude in [Attitude::Optimistic, Attitude::Pessimistic] {
        let solution = wells(&[0.2, -0.4, 0.1])?.solve(&Options { attitude, ..options.clone() });
        assert_eq!(solution.status, Status::TimeLimit, "{attitude:?}: {solution:?}");
    }
    Ok(())
}

#[test]
fn a_leader_whose_value_falls_for_ever_is_unbounded() -> Result<(), ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).free()?;
    let y = model.follower("y", 2).free()?;
    let problem = model.upper(y.sum()).lower((y.index(0) - x.index(0)).square()).build()?;
    let solution = problem.solve(&Options { threads: 1, ..Options::default() });
    assert_eq!(solution.status, Status::Unbounded, "{solution:?}");
    Ok(())
}

/// The follower's answers are the lines exp(x) y_0 + y_1 = 1, whose direction depends on x.
#[test]
fn a_kernel_that_turns_is_said_with_the_answer() -> Result<(), ModelError> {
    let solve = |turning: bool| -> Result<Solution, ModelError> {
        let mut model = Model::new();
        let x = model.leader("x", 1).free()?;
        let y = model.follower("y", 2).free()?;
        let factor = if turning { x.exp() } else { x.exp() * 0.0 + 2.0 };
        let residual = factor * y.index(0) + y.index(1) - &x;
        let problem = model.upper(y.norm2sq() + (&x - 1.0).square().sum()).lower(residual.square().sum()).build()?;
        Ok(problem.solve(&Options { threads: 1, ..Options::default() }))
    };
    let (turning, parallel) = (solve(true)?, solve(false)?);
    assert!(turning.status == Status::Solved && turning.message.contains("turns with x"), "{turning:?}");
    assert!(parallel.status == Status::Solved && !parallel.message.contains("turns"), "{parallel:?}");
    Ok(())
}
