//! How often the bounds of v and phi contain the true value, on random problems with closed forms.
//!
//!     cargo run --release -p bilevel --example intervals -- [COUNT] [SEED] [POWERS]
//!
//! COUNT cases (1000) of all families, as they are and then with objectives and answers scaled over 10^±POWERS (8) and
//! shifted. Ends that are called proved must all hold; the exit code says whether they do.
#![allow(clippy::unwrap_used, reason = "a check may stop at its own mistakes")]

#[path = "../tests/instances/mod.rs"]
mod instances;

use std::process::ExitCode;

fn main() -> ExitCode {
    let argument = |k: usize| std::env::args().nth(k).and_then(|text| text.parse::<f64>().ok());
    let (count, seed) = (argument(1).unwrap_or(1000.0) as usize, argument(2).unwrap_or(1.0) as u64);
    let mut held = true;
    for powers in [0.0, argument(3).unwrap_or(8.0)] {
        let report = instances::run(count, seed, powers);
        println!("{count} cases, seed {seed}, scaled over 10^±{powers}");
        report.lines().iter().for_each(|line| println!("  {line}"));
        for tally in [&report.proved, &report.conditional, &report.estimated, &report.values] {
            tally.misses.iter().take(40).for_each(|miss| println!("    {miss}"));
        }
        held &= report.proved.misses.is_empty();
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
