//! Two runs of the same problems.

use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde_json::Value;

use super::row::Row;

/// What changed for one problem.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The problem.
    pub name: String,
    /// Whether it changed for the better.
    pub better: bool,
    /// What changed, in words.
    pub what: String,
}

/// The rows of an older run: its JSON object, or an array of rows.
///
/// # Errors
/// A file that cannot be read or holds no rows.
pub fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is no JSON"))?;
    let rows = value.as_array().or_else(|| value["rows"].as_array());
    let rows = rows.ok_or_else(|| anyhow!("{shown}: expected the output of `bilevel bench --json`"))?;
    Ok(rows.iter().filter_map(Row::read).collect())
}

/// Times below this many seconds, and ratios below this, are not compared.
const SECONDS: f64 = 0.1;
const RATIO: f64 = 2.0;

/// What got better and what got worse, problem by problem.
pub fn changes(old: &[Row], new: &[Row]) -> Vec<Change> {
    let mut changes = Vec::new();
    for row in new {
        let Some(before) = old.iter().find(|other| other.name == row.name) else { continue };
        let mut add = |better, what| changes.push(Change { name: row.name.clone(), better, what });
        if row.right != before.right {
            add(row.right == Some(true), format!("{} -> {}", right(before), right(row)));
        } else if row.status != before.status {
            add(row.status == "solved" || row.status == "optimal", format!("{} -> {}", before.status, row.status));
        }
        let (slow, fast) = (row.seconds.max(before.seconds), row.seconds.min(before.seconds));
        if slow > SECONDS && slow > RATIO * fast {
            add(row.seconds < before.seconds, format!("{:.2} s -> {:.2} s", before.seconds, row.seconds));
        }
    }
    changes
}

fn right(row: &Row) -> &'static str {
    match row.right {
        Some(true) => "right",
        Some(false) => "not right",
        None => "nothing known",
    }
}
