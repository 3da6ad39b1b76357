//! One line of the table: what a worker found, and whether it is right.
//!
//! A problem counts as solved if violations are at most 1e-6, the follower gap is at most 1e-8 (1 + |f|), both as
//! recomputed by `verify`, which must not refute the point, and the value is at most the known one + 1e-3 (1 + its
//! size). Where no value is known but an outcome is expected, the status must say so.

use bilevel::problem::Sense;
use bilevel_format::Known;
use serde_json::{Map, Value, json};

/// One problem's row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Path below the folder, without extension.
    pub name: String,
    /// The status of `solve`; `killed` and `crashed` for a worker that gave no answer, `bad input` for a bad file.
    pub status: String,
    /// F at the answer.
    pub upper: Option<f64>,
    /// The known value for the attitude solved.
    pub target: Option<f64>,
    /// The outcome to expect where no value is known.
    pub expect: Option<String>,
    /// The follower gap.
    pub gap: Option<f64>,
    /// What `verify` says of the point.
    pub verdict: Option<String>,
    /// Lower solves made.
    pub lower_solves: u64,
    /// Wall-clock seconds of `solve`, the start of its process included.
    pub seconds: f64,
    /// Whether the answer is right; `None` if nothing is known to compare it with.
    pub right: Option<bool>,
    /// Keywords of the problem.
    pub tags: Vec<String>,
}

/// Tolerances of the count.
const VIOLATION: f64 = 1e-6;
const GAP: f64 = 1e-8;
const VALUE: f64 = 1e-3;

impl Row {
    /// A row without an answer.
    pub fn without_answer(name: &str, status: &str, seconds: f64, known: &Known) -> Self {
        Self {
            name: name.to_string(),
            status: status.to_string(),
            upper: None,
            target: known.upper,
            expect: known.expect.clone(),
            gap: None,
            verdict: None,
            lower_solves: 0,
            seconds,
            right: (known.upper.is_some() || known.expect.is_some()).then_some(false),
            tags: known.tags.clone(),
        }
    }

    /// The row of a solution and of what `verify` says of it, both as their JSON. `sense` is the leader's.
    pub fn new(
        name: &str,
        (solution, verified): (&Value, Option<&Value>),
        seconds: f64,
        known: &Known,
        sense: Sense,
    ) -> Self {
        let pessimistic = solution["attitude"] == "pessimistic";
        let (value, attained) = if pessimistic && solution["infimum"].is_number() {
            (&solution["infimum"], false)
        } else {
            (&solution["upper"], true)
        };
        let upper = value.as_f64();
        let target = if pessimistic { known.pessimistic_upper } else { known.upper };
        let certificate = &verified.unwrap_or(solution)["certificate"];
        let status = solution["status"].as_str().unwrap_or("no status").to_string();
        let gap = certificate["follower_gap"]["value"].as_f64();
        let verdict = verified.and_then(|v| v["verdict"].as_str()).map(str::to_string);
        let size = solution["lower"].as_f64().unwrap_or(0.0).abs();
        let feasible = certificate["violation"].as_f64().is_some_and(|v| v <= VIOLATION)
            && gap.is_some_and(|gap| gap <= GAP * (1.0 + size))
            && verdict.as_deref() != Some("refuted");
        // The value that a minimising leader must not exceed, a maximising one not fall below.
        let reached = |target: f64, upper: f64| sense.apply(upper - target) <= VALUE * (1.0 + target.abs());
        let right = match (target, &known.expect) {
            (Some(target), _) => {
                Some(feasible && attained_or_said(attained, &status) && upper.is_some_and(|u| reached(target, u)))
            }
            (None, Some(expect)) => expected(expect, &status),
            (None, None) => None,
        };
        let work = &solution["work"]["lower_solves"];
        Self {
            name: name.to_string(),
            status,
            upper,
            target,
            expect: known.expect.clone(),
            gap,
            verdict,
            lower_solves: work.as_u64().unwrap_or(0),
            seconds,
            right,
            tags: known.tags.clone(),
        }
    }

    /// The row as JSON.
    pub fn json(&self) -> Value {
        let mut out = Map::new();
        out.insert("name".into(), json!(self.name));
        out.insert("status".into(), json!(self.status));
        for (key, number) in [("upper", self.upper), ("target", self.target), ("gap", self.gap)] {
            out.insert(key.into(), json!(number));
        }
        out.insert("verdict".into(), json!(self.verdict));
        out.insert("lower_solves".into(), json!(self.lower_solves));
        out.insert("seconds".into(), json!(self.seconds));
        out.insert("right".into(), json!(self.right));
        out.insert("expect".into(), json!(self.expect));
        out.insert("tags".into(), json!(self.tags));
        Value::Object(out)
    }

    /// The row that [`Row::json`] wrote; `None` for anything else.
    pub fn read(value: &Value) -> Option<Self> {
        let text = |key: &str| value[key].as_str().map(str::to_string);
        let tags = value["tags"].as_array();
        Some(Self {
            name: text("name")?,
            status: text("status")?,
            upper: value["upper"].as_f64(),
            target: value["target"].as_f64(),
            expect: text("expect"),
            gap: value["gap"].as_f64(),
            verdict: text("verdict"),
            lower_solves: value["lower_solves"].as_u64().unwrap_or(0),
            seconds: value["seconds"].as_f64().unwrap_or(f64::NAN),
            right: value["right"].as_bool(),
            tags: tags.into_iter().flatten().filter_map(|tag| tag.as_str().map(str::to_string)).collect(),
        })
    }
}

/// A value that no point reaches is right only under the status that says so.
fn attained_or_said(attained: bool, status: &str) -> bool {
    attained || status == "not_attained"
}

/// Whether a status is the outcome that the file expects; `None` if the file says nothing that a status could.
fn expected(expect: &str, status: &str) -> Option<bool> {
    let outcome = expect.replace(' ', "_");
    ["infeasible", "not_attained", "unbounded", "follower_unbounded"]
        .contains(&outcome.as_str())
        .then_some(outcome == status)
}
