//! One problem in child processes of this program: `solve`, then `verify` of its answer. A child that overruns its time
//! is killed.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bilevel_format::Known;
use serde_json::Value;

use super::Arguments;
use super::row::Row;

/// Solves and verifies one file. `None` if the file does not have the tags asked for.
pub fn run(file: &Path, name: &str, arguments: &Arguments) -> Option<Row> {
    let (known, sense) = match bilevel_format::load(file, &[]) {
        Ok(loaded) => (loaded.known, loaded.problem.leader().sense),
        Err(_) => return Some(Row::without_answer(name, "bad input", 0.0, &Known::default())),
    };
    if !arguments.tag.iter().all(|tag| known.tags.contains(tag)) {
        return None;
    }
    let clock = Instant::now();
    let limit = format!("{}", arguments.time_limit);
    let solve = ["solve", "--json", "--quiet", "--threads", "1", "--time-limit", &limit];
    // A run that keeps its own limit still needs to finish the step it is in, and to write.
    let patience = Duration::try_from_secs_f64(2.0 * arguments.time_limit + 5.0).unwrap_or(Duration::MAX);
    let outcome = child(&solve, file, &[], &arguments.solve, b"", patience);
    let seconds = clock.elapsed().as_secs_f64();
    let text = match outcome {
        Outcome::Finished(text) => text,
        Outcome::Killed => return Some(Row::without_answer(name, "killed", seconds, &known)),
        Outcome::Crashed => return Some(Row::without_answer(name, "crashed", seconds, &known)),
    };
    let Ok(solution) = serde_json::from_slice::<Value>(&text) else {
        return Some(Row::without_answer(name, "crashed", seconds, &known));
    };
    let verified = match child(&["verify", "--json", "--threads", "1"], file, &["-"], &[], &text, patience) {
        Outcome::Finished(text) if solution["x"].is_object() => serde_json::from_slice(&text).ok(),
        _ => None,
    };
    Some(Row::new(name, (&solution, verified.as_ref()), seconds, &known, sense))
}

enum Outcome {
    Finished(Vec<u8>),
    Killed,
    Crashed,
}

/// Runs this program with `first FILE after... last...`, `input` on its standard input.
fn child(first: &[&str], file: &Path, after: &[&str], last: &[String], input: &[u8], patience: Duration) -> Outcome {
    let Ok(program) = std::env::current_exe() else { return Outcome::Crashed };
    let mut command = Command::new(program);
    command.args(first).arg(file).args(after).args(last);
    let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = spawned else { return Outcome::Crashed };
    if let Some(mut stdin) = child.stdin.take() {
        // A child that does not read its input is not in the wrong.
        let _ = stdin.write_all(input);
    }
    let stdout = child.stdout.take();
    // Reading beside waiting: a full pipe would stop the child.
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        stdout.map(|mut out| out.read_to_end(&mut text)).is_some_and(|read| read.is_ok()).then_some(text)
    });
    let finished = wait(&mut child, patience);
    let text = reader.join().ok().flatten();
    match (finished, text) {
        (None, _) => Outcome::Killed,
        // 0 and 1 are answers, 2 and above, or a signal, are none.
        (Some(true), Some(text)) => Outcome::Finished(text),
        _ => Outcome::Crashed,
    }
}

/// Whether the child ended with an answer; `None` if it had to be killed.
fn wait(child: &mut Child, patience: Duration) -> Option<bool> {
    let clock = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status.code().is_some_and(|code| code <= 1)),
            Ok(None) if clock.elapsed() < patience => std::thread::sleep(POLL),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
            Err(_) => return Some(false),
        }
    }
}

/// How often a child is looked at.
const POLL: Duration = Duration::from_millis(2);
