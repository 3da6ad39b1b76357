//! The `bilevel` program: problem files in, answers with certificates out.
//!
//! ```text
//! command/    one file per command
//! options.rs  the command line's options over the file's
//! place.rs    a point of the leader's variables
//! point.rs    points from JSON files, with what is claimed of them
//! progress.rs progress lines on standard error, Ctrl-C
//! report/     a solution as a table for people, as JSON for programs
//! ```
//!
//! Results go to standard output, everything else to standard error. Exit codes: 0 solved (or not refuted), 1 any other
//! honest answer, 2 bad input, 130 interrupted.

mod command;
mod options;
mod place;
mod point;
mod progress;
mod report;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};

/// Bilevel optimization: a leader chooses x, a follower answers with an optimal y of its own problem.
#[derive(Debug, Parser)]
#[command(name = "bilevel", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Solves and verifies a folder of problems and prints a table.
    Bench(Box<command::bench::Arguments>),
    /// Reads a problem, says what its structure is and which method `solve` would take, and checks derivatives.
    Check(Box<command::check::Arguments>),
    /// Shows what holds at one x: the follower's value and answers, and both hyper-objectives with their intervals.
    Evaluate(Box<command::evaluate::Arguments>),
    /// Solves a problem and prints the answer with its certificate.
    Solve(Box<command::solve::Arguments>),
    /// Checks a point that anyone found: recomputes everything, says what is proved, and refutes it where it is wrong.
    Verify(Box<command::verify::Arguments>),
}

/// Why a command gave no answer.
#[derive(Debug)]
enum Failure {
    /// Mistakes in the problem file or its data.
    Input(bilevel_format::Diagnostics),
    /// Anything else, such as an option's value or a file that cannot be written.
    Other(anyhow::Error),
}

impl From<bilevel_format::Diagnostics> for Failure {
    fn from(mistakes: bilevel_format::Diagnostics) -> Self {
        Failure::Input(mistakes)
    }
}

impl From<bilevel_format::Diagnostic> for Failure {
    fn from(mistake: bilevel_format::Diagnostic) -> Self {
        Failure::Input(mistake.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Other(error)
    }
}

const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match &arguments.command {
        Command::Bench(arguments) => command::bench::run(arguments),
        Command::Check(arguments) => command::check::run(arguments),
        Command::Evaluate(arguments) => command::evaluate::run(arguments),
        Command::Solve(arguments) => command::solve::run(arguments),
        Command::Verify(arguments) => command::verify::run(arguments),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(Failure::Input(mistakes)) => {
            eprintln!("{}", mistakes.render(std::io::stderr().is_terminal()));
            ExitCode::from(BAD_INPUT)
        }
        Err(Failure::Other(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

/// Prints a result, to a file if one was named, else to standard output.
fn deliver(text: &str, output: Option<&std::path::Path>) -> anyhow::Result<()> {
    use std::io::Write as _;
    match output {
        Some(path) => std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display())),
        // A reader that closes the pipe early (`| head`) is no error.
        None => match std::io::stdout().lock().write_all(text.as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        },
    }
}
