//! `bilevel bench FOLDER`: a folder of problems, each solved and verified in processes of its own, so that one that
//! crashes or hangs cannot take the run down. Every finished row is written at once: a killed run is taken up again
//! with `--resume`.
//!
//! ```text
//! worker.rs    one problem: solve and verify in child processes, killed when they overrun
//! row.rs       one line of the table, and whether its problem counts as solved
//! journal.rs   the rows finished so far, on disk
//! summary.rs   totals per tag, as a table and as JSON
//! compare.rs   what got better and what got worse since an older run
//! ```

mod compare;
mod journal;
mod row;
mod summary;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, anyhow};

use crate::{Failure, deliver};
use journal::Journal;
use row::Row;

/// What `bench` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder; problem files (`.toml`, and `.mps` with `.aux`) in folders below it count too.
    folder: PathBuf,
    /// Seconds for each problem.
    #[arg(long, value_name = "SECONDS", default_value_t = 10.0)]
    time_limit: f64,
    /// Problems solved at the same time, each in one thread.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Only problems with this tag; may be repeated, all are required.
    #[arg(long, value_name = "TAG")]
    tag: Vec<String>,
    /// Prints one JSON object with `rows` and `summary` instead of a table.
    #[arg(long)]
    json: bool,
    /// Writes the result to a file instead of standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Compares with an older run's JSON and lists what got better and what got worse.
    #[arg(long, value_name = "OLD.json")]
    compare: Option<PathBuf>,
    /// Where finished rows are kept, one JSON line each.
    #[arg(long, value_name = "FILE", default_value = "bilevel-bench.jsonl")]
    journal: PathBuf,
    /// Keeps the rows of an interrupted run of the same problems with the same options, and does the rest.
    #[arg(long)]
    resume: bool,
    /// No progress lines.
    #[arg(long)]
    quiet: bool,
    /// Options for `solve`, after `--`.
    #[arg(last = true, value_name = "SOLVE OPTIONS")]
    solve: Vec<String>,
}

/// Runs the folder, prints the table, and returns the exit code: 0 if every problem with a known answer got it.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let old = arguments.compare.as_deref().map(compare::read).transpose()?;
    let mut files = Vec::new();
    collect(&arguments.folder, &mut files)?;
    files.sort();
    if files.is_empty() {
        return Err(anyhow!("{} has no problem files (*.toml, *.mps)", arguments.folder.display()).into());
    }
    let journal = Journal::open(&arguments.journal, &key(arguments), arguments.resume)?;
    let rows = solve_all(arguments, &files, journal)?;
    let text =
        if arguments.json { summary::json(&rows, old.as_deref()) } else { summary::table(&rows, old.as_deref()) };
    deliver(&text, arguments.output.as_deref())?;
    Ok(u8::from(rows.iter().any(|row| row.right == Some(false))))
}

/// What must be the same for rows to be taken over.
fn key(arguments: &Arguments) -> String {
    format!("{} s; {}", arguments.time_limit, arguments.solve.join(" "))
}

/// Problem files below a folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml" || extension == "mps") {
            files.push(path);
        }
    }
    Ok(())
}

fn solve_all(arguments: &Arguments, files: &[PathBuf], journal: Journal) -> anyhow::Result<Vec<Row>> {
    let shared = Mutex::new((journal, Vec::<(usize, Row)>::new(), None));
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.clamp(1, files.len()) {
            scope.spawn(|| {
                loop {
                    let k = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(k) else { break };
                    let name = name(&arguments.folder, file);
                    let known = lock(&shared).0.known(&name);
                    let fresh = known.is_none();
                    let Some(row) = known.or_else(|| worker::run(file, &name, arguments)) else { continue };
                    let mut state = lock(&shared);
                    if fresh && let Err(error) = state.0.append(&row) {
                        state.2.get_or_insert(error);
                    }
                    if !arguments.quiet {
                        eprintln!("{:>4}/{} {}", state.1.len() + 1, files.len(), summary::line(&row));
                    }
                    state.1.push((k, row));
                }
            });
        }
    });
    let (_, mut rows, error) = shared.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(error) = error {
        return Err(error);
    }
    rows.sort_by_key(|(k, _)| *k);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

fn lock<T>(shared: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// The file's path below the folder, without its extension: names repeat between folders.
fn name(folder: &Path, file: &Path) -> String {
    let below = file.strip_prefix(folder).unwrap_or(file).with_extension("");
    below.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
