//! The rows finished so far, one JSON line each, after a first line that says with which options.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::row::Row;

/// A file that grows by a line per row.
#[derive(Debug)]
pub struct Journal {
    file: File,
    known: HashMap<String, Row>,
}

impl Journal {
    /// Starts a journal, or takes up the one that is there if it has the same `key`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn open(path: &Path, key: &str, resume: bool) -> anyhow::Result<Self> {
        let mut known = HashMap::new();
        if resume && let Ok(text) = std::fs::read_to_string(path) {
            // The last line of a killed run may be cut short: it is not a row.
            let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap_or_default());
            if lines.next().is_some_and(|first| first["options"] == key) {
                known.extend(lines.filter_map(|line| Row::read(&line)).map(|row| (row.name.clone(), row)));
            }
        }
        let cannot = || format!("cannot write {}", path.display());
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).open(path).with_context(cannot)?;
        writeln!(file, "{}", json!({"options": key})).with_context(cannot)?;
        for row in known.values() {
            writeln!(file, "{}", row.json()).with_context(cannot)?;
        }
        Ok(Self { file, known })
    }

    /// The row of an earlier run.
    pub fn known(&self, name: &str) -> Option<Row> {
        self.known.get(name).cloned()
    }

    /// Adds a row, on disk before this returns.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn append(&mut self, row: &Row) -> anyhow::Result<()> {
        writeln!(self.file, "{}", row.json()).context("cannot write the journal")?;
        self.file.flush().context("cannot write the journal")
    }
}
