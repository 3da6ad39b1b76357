//! All rows: totals per tag, as a table for people and as JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::compare::{Change, changes};
use super::row::Row;

/// Totals of some rows.
#[derive(Clone, Debug, Default, PartialEq)]
struct Totals {
    problems: usize,
    known: usize,
    right: usize,
    refuted: usize,
    median_seconds: f64,
    seconds: f64,
    lower_solves: u64,
}

impl Totals {
    fn of<'a>(rows: impl Iterator<Item = &'a Row>) -> Self {
        let mut totals = Self::default();
        let mut times = Vec::new();
        for row in rows {
            totals.problems += 1;
            totals.known += usize::from(row.right.is_some());
            totals.right += usize::from(row.right == Some(true));
            totals.refuted += usize::from(is_refuted(row));
            totals.seconds += row.seconds;
            totals.lower_solves += row.lower_solves;
            times.push(row.seconds);
        }
        times.sort_by(f64::total_cmp);
        totals.median_seconds = times.get(times.len() / 2).copied().unwrap_or(0.0);
        totals
    }

    fn json(&self) -> Value {
        json!({
            "problems": self.problems, "known": self.known, "right": self.right, "refuted": self.refuted,
            "median_seconds": self.median_seconds, "seconds": self.seconds, "lower_solves": self.lower_solves,
        })
    }
}

/// A claim of `solve` that `verify` does not accept.
fn is_refuted(row: &Row) -> bool {
    ["solved", "optimal"].contains(&row.status.as_str()) && row.verdict.as_deref() == Some("refuted")
}

fn by_tag(rows: &[Row]) -> BTreeMap<&str, Totals> {
    let tags = rows.iter().flat_map(|row| &row.tags);
    let of = |tag: &str| Totals::of(rows.iter().filter(|row| row.tags.iter().any(|own| own == tag)));
    tags.map(|tag| (tag.as_str(), of(tag))).collect()
}

/// One JSON object: rows, totals, and changes where there is an older run.
pub fn json(rows: &[Row], old: Option<&[Row]>) -> String {
    let tags: serde_json::Map<String, Value> =
        by_tag(rows).iter().map(|(tag, totals)| ((*tag).to_string(), totals.json())).collect();
    let mut out = json!({
        "schema": 1,
        "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        "summary": {"all": Totals::of(rows.iter()).json(), "tags": tags},
    });
    if let Some(old) = old {
        let list = |better: bool| {
            let chosen = changes(old, rows).into_iter().filter(move |change| change.better == better);
            chosen.map(|change| json!({"name": change.name, "what": change.what})).collect::<Vec<_>>()
        };
        out["changes"] = json!({"better": list(true), "worse": list(false)});
    }
    // Serialising a value with string keys cannot fail.
    serde_json::to_string_pretty(&out).unwrap_or_default() + "\n"
}

/// A row as text.
pub fn line(row: &Row) -> String {
    let number = |value: Option<f64>| value.map_or("-".to_string(), |v| format!("{v:.6}"));
    let right = match row.right {
        Some(true) => "right",
        Some(false) => "WRONG",
        None => "",
    };
    let gap = row.gap.map_or("-".to_string(), |gap| format!("{gap:.1e}"));
    let target = row.expect.clone().filter(|_| row.target.is_none()).unwrap_or_else(|| number(row.target));
    format!(
        "{:<34} {:<12} {:>14} {:>14} {:>8} {:<10} {:<5} {:>7} {:>8.3}",
        row.name,
        row.status,
        number(row.upper),
        target,
        gap,
        row.verdict.as_deref().unwrap_or("-"),
        right,
        row.lower_solves,
        row.seconds
    )
}

/// The table: every row, totals per tag, and changes where there is an older run.
pub fn table(rows: &[Row], old: Option<&[Row]>) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{:<34} {:<12} {:>14} {:>14} {:>8} {:<10} {:<5} {:>7} {:>8}",
        "problem", "status", "value", "target", "gap", "verdict", "", "solves", "seconds"
    );
    for row in rows {
        let _ = writeln!(out, "{}", line(row));
    }
    let _ = writeln!(
        out,
        "\n{:<34} {:>8} {:>14} {:>8} {:>10} {:>10}",
        "tag", "problems", "right/known", "refuted", "median s", "total s"
    );
    let all = Totals::of(rows.iter());
    for (tag, totals) in by_tag(rows).into_iter().chain([("all", all)]) {
        let _ = writeln!(
            out,
            "{tag:<34} {:>8} {:>14} {:>8} {:>10.3} {:>10.2}",
            totals.problems,
            format!("{}/{}", totals.right, totals.known),
            totals.refuted,
            totals.median_seconds,
            totals.seconds
        );
    }
    if let Some(old) = old {
        let all = changes(old, rows);
        for (title, better) in [("better", true), ("worse", false)] {
            let chosen: Vec<&Change> = all.iter().filter(|change| change.better == better).collect();
            let _ = writeln!(out, "\n{title}: {}", chosen.len());
            for change in chosen {
                let _ = writeln!(out, "  {:<34} {}", change.name, change.what);
            }
        }
    }
    out
}
