//! `bilevel solve FILE`.

use std::path::PathBuf;

use bilevel::problem::{Attitude, Problem};
use bilevel::solution::{Solution, Status};
use bilevel::solve::Options;

use crate::options::RunOptions;
use crate::progress::Progress;
use crate::{Failure, deliver, report};

/// What `solve` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The problem file.
    file: PathBuf,
    #[command(flatten)]
    options: RunOptions,
    /// Overrides an entry of the file, such as `lower.minimize='(y - x)^2'`; may be repeated.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
    /// Starts from the point in a JSON file with `x` and `y` (such as the output of an earlier run).
    #[arg(long, value_name = "FILE.json")]
    start: Option<PathBuf>,
    /// Proves a bound over all bilevel-feasible points too, and goes on until the gap is small (`--gap`).
    #[arg(long)]
    global: bool,
    /// The gap wanted with `--global`, relative to max(1, |F|); 1e-3 without it.
    #[arg(long, value_name = "REL", value_parser = positive, requires = "global")]
    gap: Option<f64>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Writes the result to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Writes one JSON line per stage to a file.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// No progress lines.
    #[arg(long)]
    quiet: bool,
}

/// Solves, prints, and returns the exit code.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let file = bilevel_format::load(&arguments.file, &arguments.overrides)?;
    let attitudes = arguments.options.attitudes(&file.options)?;
    let mut problem = file.problem.clone();
    if let Some(path) = &arguments.start {
        problem = crate::options::with_start(problem, path)?;
    }
    let progress = Progress::new(!arguments.quiet, arguments.history.as_deref())?;
    let (mut solutions, mut others) = (Vec::new(), Vec::new());
    let both = attitudes.len() > 1;
    for attitude in attitudes {
        let mut options = arguments.options.resolve(&file.options, attitude)?;
        options.global = arguments.global;
        options.gap = arguments.gap.unwrap_or(options.gap);
        let solution = problem.solve_observed(&options, &progress);
        others.push(if both { other_value(&problem, &solution, &options) } else { None });
        solutions.push(solution);
    }
    drop(progress);
    let text = if arguments.json {
        report::json::solutions(&solutions, &others)
    } else {
        report::table::solutions(&solutions, &others, &file.known)
    };
    deliver(&text, arguments.output.as_deref())?;
    Ok(exit_code(&solutions))
}

/// What the leader would get at the answer's x with the other attitude.
fn other_value(problem: &Problem, solution: &Solution, options: &Options) -> Option<f64> {
    let x: Vec<f64> = solution.x.as_ref()?.0.iter().flat_map(|(_, values)| values.iter().copied()).collect();
    let values = problem.values_at(&x, options);
    let other = match solution.attitude {
        Attitude::Optimistic => values.pessimistic,
        Attitude::Pessimistic => values.optimistic,
    };
    other.bracket.map(|bracket| bracket.value)
}

/// A positive number on the command line.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("expected a positive number".to_string()),
    }
}

fn exit_code(solutions: &[Solution]) -> u8 {
    if solutions.iter().any(|s| s.status == Status::Interrupted) {
        130
    } else if solutions.iter().all(|s| s.status.is_success()) {
        0
    } else {
        1
    }
}
