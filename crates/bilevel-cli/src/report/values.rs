//! What holds at one x, as a table for people and as JSON for programs.

use bilevel::hyper::End;
use bilevel::solution::Rigor;
use bilevel::solve::{AnswerSet, Bracket, PhiAt, ValuesAt};
use serde_json::{Map, Value, json};

use super::json::{insert, named, number, rigor};
use super::table;

/// One JSON object.
pub fn json(values: &ValuesAt) -> String {
    let mut out = Map::new();
    out.insert("schema".into(), json!(1));
    out.insert("problem".into(), json!(values.problem));
    out.insert("status".into(), json!(values.status.name()));
    out.insert("message".into(), json!(values.message));
    out.insert("x".into(), named(&values.x));
    insert(&mut out, "violation", number(values.violation));
    insert(&mut out, "follower_tolerance", number(values.follower_tolerance));
    insert(&mut out, "v", values.v.as_ref().map(|v| Value::Object(bracket(v))));
    if values.v.is_some() {
        out.insert("answers".into(), answers(&values.answers));
    }
    let mut both = Map::new();
    insert(&mut both, "optimistic", phi(&values.optimistic));
    insert(&mut both, "pessimistic", phi(&values.pessimistic));
    out.insert("phi".into(), Value::Object(both));
    out.insert("work".into(), json!({"gradients": values.gradients, "boxes": values.boxes}));
    // Serialising a value with string keys cannot fail.
    let mut text = serde_json::to_string_pretty(&Value::Object(out)).unwrap_or_default();
    text.push('\n');
    text
}

fn bracket(bracket: &Bracket) -> Map<String, Value> {
    let mut out = Map::new();
    insert(&mut out, "value", number(bracket.value));
    insert(&mut out, "lower", number(bracket.lower.value));
    insert(&mut out, "upper", number(bracket.upper.value));
    rigor(&mut out, &bracket.rigor());
    for (key, end) in [("lower_rigor", &bracket.lower), ("upper_rigor", &bracket.upper)] {
        out.insert(key.into(), json!(end.rigor.name()));
    }
    out
}

fn answers(answers: &AnswerSet) -> Value {
    match answers {
        AnswerSet::Unique => json!({"kind": "unique", "dimension": 0}),
        AnswerSet::Affine(dimension) => json!({"kind": "affine", "dimension": dimension}),
        AnswerSet::Face(dimension) => json!({"kind": "face", "dimension": dimension}),
        AnswerSet::Isolated { count, points } => {
            json!({"kind": "isolated", "count": count, "points": points.iter().map(named).collect::<Vec<_>>()})
        }
        AnswerSet::Undecided => json!({"kind": "undecided"}),
    }
}

fn phi(phi: &PhiAt) -> Option<Value> {
    let mut out = bracket(phi.bracket.as_ref()?);
    insert(&mut out, "y", phi.y.as_ref().map(named));
    insert(&mut out, "subgradient", phi.subgradient.as_ref().map(named));
    out.insert("by".into(), json!(phi.by));
    Some(Value::Object(out))
}

/// A table.
pub fn table(values: &ValuesAt) -> String {
    let mut out = String::new();
    let name = if values.problem.is_empty() { "problem" } else { &values.problem };
    table::line(&mut out, name, &format!("at one x: {}", values.message));
    table::variables(&mut out, Some(&values.x));
    if values.violation > 0.0 {
        let text = format!("x lies outside of the leader's set by {}", table::small(values.violation));
        table::line(&mut out, "violation", &text);
    }
    if values.follower_tolerance > 0.0 {
        let text = format!("{}: S(x) holds all answers that are worse by no more", values.follower_tolerance);
        table::line(&mut out, "tolerance", &text);
    }
    if let Some(v) = &values.v {
        table::line(&mut out, "v(x)", &interval(v));
        table::line(&mut out, "S(x)", &answers_in_words(&values.answers));
    }
    for (label, answer, value) in
        [("phi optimistic", "  at y", &values.optimistic), ("phi pessimistic", "  at y", &values.pessimistic)]
    {
        match &value.bracket {
            Some(bracket) => table::line(&mut out, label, &format!("{}: {}", interval(bracket), value.by)),
            None if value.by.is_empty() => continue,
            None => table::line(&mut out, label, &format!("not computed: {}", value.by)),
        }
        if let Some(y) = &value.y {
            let mut shown = String::new();
            table::variables(&mut shown, Some(y));
            let entries: Vec<String> =
                shown.lines().map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
            table::line(&mut out, answer, &entries.join("; "));
        }
    }
    out
}

fn interval(bracket: &Bracket) -> String {
    let shown = |value: f64| if value.is_infinite() { value.to_string() } else { table::number(value) };
    if bracket.value.is_infinite() {
        return format!("{}   {}", shown(bracket.value), rigor_in_words(&bracket.rigor()));
    }
    let width = bracket.upper.value - bracket.lower.value;
    let ends = if width <= 1e-6 * (1.0 + bracket.value.abs()) {
        format!("± {}", table::small(width))
    } else {
        format!("in [{}, {}]", shown(bracket.lower.value), shown(bracket.upper.value))
    };
    let words = match (&bracket.lower, &bracket.upper) {
        (End { rigor: a, .. }, End { rigor: b, .. }) if a.name() == b.name() => rigor_in_words(&bracket.rigor()),
        (lower, upper) => {
            format!("lower end {}, upper end {}", rigor_in_words(&lower.rigor), rigor_in_words(&upper.rigor))
        }
    };
    format!("{} {ends}   {words}", shown(bracket.value))
}

fn rigor_in_words(rigor: &Rigor) -> String {
    match rigor {
        Rigor::Conditional(on) => format!("conditional on {}", on.join(", ")),
        other => other.name().to_string(),
    }
}

fn answers_in_words(answers: &AnswerSet) -> String {
    match answers {
        AnswerSet::Unique => "one answer".to_string(),
        AnswerSet::Affine(dimension) => format!("an affine subspace of dimension {dimension}"),
        AnswerSet::Face(dimension) => {
            format!("a convex set with ends, of dimension {dimension}: the follower is undecided")
        }
        AnswerSet::Isolated { count, .. } => format!("{count} isolated answers found: the follower is undecided"),
        AnswerSet::Undecided => "more than isolated points, or not known: the follower may be undecided".to_string(),
    }
}
