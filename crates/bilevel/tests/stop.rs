//! Runs that are told to end, at the first question or later, keep the best point with its certificate.
#![allow(clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bilevel::expr::Matrix;
use bilevel::observe::Observer;
use bilevel::prelude::*;
use bilevel::solution::Status;
use bilevel_linalg::Dense;

/// Says that the run should end from the k-th question on, and raises the flag then.
struct After {
    calls: AtomicUsize,
    k: usize,
    flag: Arc<AtomicBool>,
}

impl After {
    fn new(k: usize) -> Self {
        Self { calls: AtomicUsize::new(0), k, flag: Arc::new(AtomicBool::new(k == 0)) }
    }
}

impl Observer for After {
    fn interrupted(&self) -> bool {
        if self.calls.fetch_add(1, Ordering::Relaxed) + 1 >= self.k {
            self.flag.store(true, Ordering::Relaxed);
        }
        self.flag.load(Ordering::Relaxed)
    }

    fn flag(&self) -> Option<Arc<AtomicBool>> {
        Some(Arc::clone(&self.flag))
    }
}

/// A convex quadratic follower of m variables with rows and bounds.
fn quadratic(n: usize, m: usize) -> Result<Problem, ModelError> {
    let wave = |k: usize| (0.7 + 1.3 * k as f64).sin();
    let factor = Dense::from_fn(m, m, |i, j| wave(i * m + j) / (m as f64).sqrt());
    let mut q = factor.row_gram(None).expect("shapes fit");
    (0..m).for_each(|j| q[(j, j)] += 0.2);
    let p = Dense::from_fn(m, n, |i, j| wave(7 * i + 3 * j));
    let b = Dense::from_fn(m / 3, m, |i, j| wave(5 * i + 11 * j));
    let mut model = Model::new();
    let x = model.leader("x", n).within(Bounds::new(-1.0, 1.0)?)?;
    let y = model.follower("y", m).within(Bounds::new(-1.0, 1.0)?)?;
    model.upper((&y - 0.4).norm2sq() + 0.1 * x.norm2sq());
    model.lower(y.quadratic(&Matrix::from(q)) / 2.0 + (&Matrix::from(p) * &x).dot(&y));
    model.lower_subject_to((&Matrix::from(b) * &y).at_most(0.3));
    model.build()
}

/// A follower with kinks, and one that is not convex.
fn kinked(m: usize) -> Result<Problem, ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.01, 3.0)?)?;
    let y = model.follower("y", m).within(Bounds::new(-5.0, 5.0)?)?;
    model.upper((&y - 0.5).norm2sq());
    model.lower((&y - 1.0).norm2sq() / 2.0 + x.sum() * y.norm1());
    model.build()
}

fn wells() -> Result<Problem, ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 2).within(Bounds::new(-1.0, 1.0)?)?;
    let y = model.follower("y", 2).within(Bounds::new(-2.0, 2.0)?)?;
    model.upper((&x - 0.3).norm2sq() + (&y - 1.0).norm2sq());
    model.lower((y.square() - 1.0).norm2sq() + x.dot(&y));
    model.build()
}

#[test]
fn an_early_end_keeps_a_point_with_its_certificate() -> Result<(), ModelError> {
    let problems = [quadratic(3, 12)?, quadratic(8, 45)?, kinked(5)?, wells()?];
    for (number, problem) in problems.iter().enumerate() {
        for k in [0, 1, 2, 4, 9, 30] {
            let observer = After::new(k);
            let options = Options { threads: 1, ..Options::default() };
            let solution = problem.solve_observed(&options, &observer);
            let asked = observer.flag.load(Ordering::Relaxed);
            let known = matches!(solution.status, Status::Interrupted | Status::Solved);
            assert!(known && (asked || solution.status == Status::Solved), "{number} {k}: {solution:?}");
            assert!(solution.x.is_some() && solution.certificate.violation.is_some(), "{number} {k}: {solution:?}");
            assert!(solution.certificate.follower_gap.is_some(), "{number} {k}: {solution:?}");
        }
    }
    Ok(())
}

#[test]
fn other_attitudes_end_early_too() -> Result<(), ModelError> {
    let problem = wells()?;
    for k in [0, 1, 3, 10] {
        let options = Options { attitude: Attitude::Pessimistic, threads: 2, ..Options::default() };
        let solution = problem.solve_observed(&options, &After::new(k));
        assert!(matches!(solution.status, Status::Interrupted | Status::Solved), "{k}: {solution:?}");
    }
    Ok(())
}
