//! `bilevel verify FILE POINT.json`.

use std::path::PathBuf;

use bilevel::problem::Attitude;
use bilevel::solution::{Solution, Verdict};

use crate::options::RunOptions;
use crate::point::{self, Point};
use crate::{Failure, deliver, report};

/// What `verify` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The problem file.
    file: PathBuf,
    /// The point, as JSON: an object with `x` and `y`, such as the output of `solve --json`; `-` reads standard input.
    point: PathBuf,
    #[command(flatten)]
    options: RunOptions,
    /// Overrides an entry of the problem file, such as `lower.minimize='(y - x)^2'`; may be repeated.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
    /// Prints one JSON object instead of a table.
    #[arg(long)]
    json: bool,
    /// Writes the result to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Checks the point, prints, and returns the exit code: 1 if it is refuted.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let file = bilevel_format::load(&arguments.file, &arguments.overrides)?;
    let points = point::read(&arguments.point, &file.problem)?;
    let given = arguments.options.given_attitudes()?;
    let mut solutions = Vec::new();
    for point in &points {
        let attitudes = match (&given, point.attitude) {
            (Some(given), _) => given.clone(),
            (None, Some(own)) => vec![own],
            (None, None) => arguments.options.attitudes(&file.options)?,
        };
        for attitude in attitudes {
            solutions.push(verify(arguments, &file, point, attitude)?);
        }
    }
    let text = if arguments.json {
        report::json::solutions(&solutions)
    } else {
        report::table::verdicts(&solutions, &file.known)
    };
    deliver(&text, arguments.output.as_deref())?;
    let refuted = solutions.iter().any(|s| s.certificate.verdict == Some(Verdict::Refuted));
    Ok(u8::from(refuted))
}

fn verify(
    arguments: &Arguments,
    file: &bilevel_format::ProblemFile,
    point: &Point,
    attitude: Attitude,
) -> Result<Solution, Failure> {
    let options = arguments.options.resolve(&file.options, attitude)?;
    let solution = file.problem.verify(&point.x, &point.y, &point.claims, &options);
    Ok(solution.map_err(anyhow::Error::from)?)
}
