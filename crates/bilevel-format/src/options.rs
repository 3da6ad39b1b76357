//! The `[options]` table: names and types are checked here, their meaning belongs to the solver.

use bilevel::value::ValueKind;

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::source::Place;
use crate::tree::{Node, Table, Value};

/// The value of an option.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// A word, such as a method's name.
    Text(String),
    /// A finite number.
    Number(f64),
    /// A whole number from 0.
    Count(u64),
}

/// The options that a problem file sets.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FileOptions {
    entries: Vec<(String, OptionValue, Place)>,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    Smoothing,
    ValueModel,
    Attitude,
    Positive,
    Nonnegative,
    Count { least: u64 },
}

const KINDS: [(&str, Kind); 12] = [
    ("method", Kind::Text),
    ("smoothing", Kind::Smoothing),
    ("value_model", Kind::ValueModel),
    ("tolerance", Kind::Positive),
    ("seed", Kind::Count { least: 0 }),
    ("starts", Kind::Count { least: 1 }),
    ("attitude", Kind::Attitude),
    ("follower_tolerance", Kind::Nonnegative),
    ("budget", Kind::Count { least: 1 }),
    ("threads", Kind::Count { least: 0 }),
    ("time_limit", Kind::Positive),
    ("gap", Kind::Positive),
];

impl FileOptions {
    /// The value of an option, if the file sets it.
    pub fn get(&self, key: &str) -> Option<&OptionValue> {
        self.entries.iter().find(|(known, _, _)| known == key).map(|(_, value, _)| value)
    }

    /// The text of an option, if the file sets it to a text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(OptionValue::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The number of an option, if the file sets it to one.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.get(key) {
            Some(&OptionValue::Number(value)) => Some(value),
            Some(&OptionValue::Count(value)) => Some(value as f64),
            _ => None,
        }
    }

    /// The whole number of an option, if the file sets it to one.
    pub fn count(&self, key: &str) -> Option<u64> {
        match self.get(key) {
            Some(&OptionValue::Count(value)) => Some(value),
            _ => None,
        }
    }

    /// All options in the order in which they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &OptionValue)> {
        self.entries.iter().map(|(key, value, _)| (key.as_str(), value))
    }

    /// A mistake in the value of an option, at its place in the file; for what only the solver knows, such as the names
    /// of methods.
    pub fn mistake(&self, key: &str, message: impl Into<String>, help: impl Into<String>) -> Diagnostic {
        let diagnostic = Diagnostic::new(message).help(help);
        match self.entries.iter().find(|(known, _, _)| known == key) {
            Some((_, _, place)) => diagnostic.at(place, ""),
            None => diagnostic,
        }
    }
}

/// Reads the table.
pub(crate) fn read(context: &mut Context, table: &Table) -> FileOptions {
    let keys: Vec<&str> = KINDS.iter().map(|(key, _)| *key).collect();
    context.check_keys(table, "[options]", &keys);
    let mut entries = Vec::new();
    for entry in &table.entries {
        let Some((_, kind)) = KINDS.iter().find(|(key, _)| *key == entry.key) else { continue };
        if let Some(value) = value(context, &entry.key, *kind, &entry.node) {
            entries.push((entry.key.clone(), value, entry.node.place.clone()));
        }
    }
    FileOptions { entries }
}

fn value(context: &mut Context, key: &str, kind: Kind, node: &Node) -> Option<OptionValue> {
    const ATTITUDES: [&str; 3] = ["optimistic", "pessimistic", "both"];
    let expected = match (kind, &node.value) {
        (Kind::Text, Value::String(text)) => return Some(OptionValue::Text(text.clone())),
        (Kind::Attitude, Value::String(text)) if ATTITUDES.contains(&text.as_str()) => {
            return Some(OptionValue::Text(text.clone()));
        }
        (Kind::Positive, &Value::Number { value, .. }) if value > 0.0 && value.is_finite() => {
            return Some(OptionValue::Number(value));
        }
        (Kind::Nonnegative, &Value::Number { value, .. }) if value >= 0.0 && value.is_finite() => {
            return Some(OptionValue::Number(value));
        }
        (Kind::Count { least }, &Value::Number { value, rounded: false, integer: true })
            if value >= least as f64 && value < u64::MAX as f64 =>
        {
            return Some(OptionValue::Count(value as u64));
        }
        (Kind::Smoothing, Value::String(text)) if bilevel::smooth::by_name(text).is_some() => {
            return Some(OptionValue::Text(text.clone()));
        }
        (Kind::ValueModel, Value::String(text)) if ValueKind::by_name(text).is_some() => {
            return Some(OptionValue::Text(text.clone()));
        }
        (Kind::Text, _) => "a string".to_string(),
        (Kind::ValueModel, _) => format!("one of {}", ValueKind::ALL.map(ValueKind::name).join(", ")),
        (Kind::Smoothing, _) => format!("one of {}", bilevel::smooth::names().collect::<Vec<_>>().join(", ")),
        (Kind::Attitude, _) => "\"optimistic\", \"pessimistic\" or \"both\"".to_string(),
        (Kind::Positive, _) => "a positive number".to_string(),
        (Kind::Nonnegative, _) => "a number from 0".to_string(),
        (Kind::Count { least }, _) => format!("a whole number from {least}"),
    };
    let message = format!("the option `{key}` needs {expected}");
    context.report(Diagnostic::new(message).at(&node.place, "").help("see docs/file-format.md for all options"));
    None
}
