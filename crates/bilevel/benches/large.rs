//! Large followers, timed. Run with `cargo bench -p bilevel --bench large`, with `-- all` for the slow rows too.
//!
//! A lasso whose penalty the leader chooses by the loss on other data: m features of which few matter, and the number of
//! variables at which methods without matrices overtake SQP. One thread.
#![allow(clippy::expect_used, reason = "a benchmark may stop at its own mistakes")]

use std::time::Instant;

use bilevel::prelude::*;
use bilevel_linalg::Dense;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn main() {
    let all = std::env::args().any(|argument| argument == "all");
    println!(
        "{:<24} {:<22} {:>6} {:<10} {:>16} {:>8} {:>9}",
        "problem", "method", "starts", "status", "F", "solves", "seconds"
    );
    for (rows, features) in [(20, 40), (40, 80), (50, 160), (80, 320)] {
        for method in ["smoothed-value", "augmented-lagrangian", "projected-gradient"] {
            run(rows, features, Some(method), 1);
        }
    }
    for (rows, features) in [(200, 5000), (500, 5000), (200, 10_000)] {
        run(rows, features, Some("augmented-lagrangian"), 1);
        run(rows, features, None, Options::default().starts);
        if all {
            run(rows, features, Some("projected-gradient"), 1);
        }
    }
}

fn run(rows: usize, features: usize, method: Option<&str>, starts: usize) {
    let problem = lasso(rows, features, 1).expect("a valid problem");
    let options = Options { method: method.map(str::to_string), starts, threads: 1, ..Options::default() };
    let clock = Instant::now();
    let solution = problem.solve(&options);
    println!(
        "{:<24} {:<22} {:>6} {:<10} {:>16.12} {:>8} {:>9.3}",
        format!("lasso {rows} x {features}"),
        method.unwrap_or("default"),
        starts,
        solution.status.name(),
        solution.upper.unwrap_or(f64::NAN),
        solution.work.lower_solves,
        clock.elapsed().as_secs_f64()
    );
}

/// rows training and as many validation rows of standard normal features, every twentieth row's worth of which matters.
fn lasso(rows: usize, features: usize, seed: u64) -> Result<Problem, ModelError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // A sum of twelve uniform numbers is normal enough.
    let mut normal = move || (0..12).map(|_| rng.random_range(-0.5..0.5)).sum::<f64>();
    let train = Dense::from_fn(rows, features, |_, _| normal());
    let valid = Dense::from_fn(rows, features, |_, _| normal());
    let relevant = (rows / 20).max(3);
    let truth: Vec<f64> = (0..relevant).map(|_| normal()).collect();
    let noise = 0.5 * truth.iter().map(|w| w * w).sum::<f64>().sqrt();
    let mut answers = |a: &Dense| -> Vec<f64> {
        (0..rows).map(|i| truth.iter().zip(a.row(i)).map(|(w, a)| w * a).sum::<f64>() + noise * normal()).collect()
    };
    let (b, c) = (answers(&train), answers(&valid));
    let mut model = Model::new();
    let t = model.leader("log_penalty", 1).within(Bounds::new(-6.0, 1.0)?)?;
    let w = model.follower("w", features).free()?;
    let scale = 2.0 * rows as f64;
    let loss = |a: Dense, b: Vec<f64>| {
        let target = w.graph().constant_vector(&b);
        (&Matrix::from(a) * &w - target).norm2sq() / scale
    };
    let upper = loss(valid, c);
    let lower = loss(train, b) + t.exp().sum() * w.norm1();
    model.upper(upper).lower(lower).start(&[0.0], &vec![0.0; features]).build()
}
