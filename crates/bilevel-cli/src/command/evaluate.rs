//! `bilevel evaluate FILE --at x=1.0`.

use std::path::PathBuf;

use bilevel::problem::Attitude;
use bilevel::solution::Status;

use crate::options::RunOptions;
use crate::place::place;
use crate::{Failure, deliver, report};

/// What `evaluate` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The problem file.
    file: PathBuf,
    /// A value of a leader's variable, such as `x=1.0` or `x=[1, 2]`; may be repeated. Variables that are not named keep
    /// the file's start.
    #[arg(long = "at", value_name = "NAME=VALUE")]
    at: Vec<String>,
    #[command(flatten)]
    options: RunOptions,
    /// Overrides an entry of the file; may be repeated.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Writes the result to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Evaluates, prints, and returns the exit code.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let file = bilevel_format::load(&arguments.file, &arguments.overrides)?;
    let options = arguments.options.resolve(&file.options, Attitude::Optimistic)?;
    let x = place(&file.problem, &arguments.at)?;
    let values = file.problem.values_at(&x, &options);
    let text = if arguments.json { report::values::json(&values) } else { report::values::table(&values) };
    deliver(&text, arguments.output.as_deref())?;
    Ok(if values.status == Status::Solved { 0 } else { 1 })
}
