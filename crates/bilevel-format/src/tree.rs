//! A problem file as a tree of tables, arrays and values, each with its place, in the order in which they were written.

use std::ops::Range;
use std::sync::Arc;

use bilevel::expr::parse::read_decimal;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::diagnostic::Diagnostic;
use crate::source::{Place, Source};

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) place: Place,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    String(String),
    /// A number; `rounded` if it was written as a decimal that no `f64` equals; `integer` if written without a point.
    Number {
        value: f64,
        rounded: bool,
        integer: bool,
    },
    Boolean(bool),
    Datetime,
    Array(Vec<Node>),
    Table(Table),
}

/// A table's entries, in the order in which they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_place: Place,
    pub(crate) node: Node,
}

impl Value {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Value::String(_) => "a string",
            Value::Number { integer: true, .. } => "an integer",
            Value::Number { .. } => "a number",
            Value::Boolean(_) => "a boolean",
            Value::Datetime => "a date",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }
}

impl Table {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// Reads TOML.
pub(crate) fn parse(source: &Arc<Source>) -> Result<Table, Diagnostic> {
    match DeTable::parse(source.text()) {
        Ok(table) => Ok(convert_table(source, table.into_inner())),
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            Err(Diagnostic::new(format!("this is not TOML: {}", error.message().trim()))
                .at(&source.at(visible(source, span)), "")
                .help(syntax_help(error.message())))
        }
    }
}

/// An empty span is widened to a character, unless at the end of a line.
fn visible(source: &Source, span: Range<usize>) -> Range<usize> {
    let span = source.clamp(&span);
    if !span.is_empty() {
        return span;
    }
    let next = source.text()[span.start..].chars().next().filter(|&c| c != '\n' && c != '\r');
    span.start..span.start + next.map_or(0, char::len_utf8)
}

fn syntax_help(message: &str) -> &'static str {
    if message.contains("duplicate") {
        "every key and every table may stand only once"
    } else if message.contains("string") || message.contains("quot") {
        "formulas are written in single quotes: minimize = 'x^2'"
    } else {
        "a problem file consists of tables `[name]` and lines `key = value`; see docs/file-format.md"
    }
}

fn convert_table(source: &Arc<Source>, table: DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = table
        .into_iter()
        .map(|(key, node)| {
            let key_place = source.at(key.span());
            Entry { key: key.into_inner().into_owned(), key_place, node: convert(source, node) }
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_place.span.start);
    Table { entries }
}

fn convert(source: &Arc<Source>, node: Spanned<DeValue<'_>>) -> Node {
    let place = source.at(node.span());
    let value = match node.into_inner() {
        DeValue::String(text) => Value::String(text.into_owned()),
        DeValue::Integer(integer) => integer_value(integer.as_str(), integer.radix()),
        DeValue::Float(float) => float_value(float.as_str()),
        DeValue::Boolean(value) => Value::Boolean(value),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(items) => convert_array(source, items),
        DeValue::Table(table) => Value::Table(convert_table(source, table)),
    };
    Node { value, place }
}

fn convert_array(source: &Arc<Source>, items: DeArray<'_>) -> Value {
    Value::Array(items.into_iter().map(|item| convert(source, item)).collect())
}

fn integer_value(text: &str, radix: u32) -> Value {
    if radix != 10 {
        let value = u64::from_str_radix(&text.replace('_', ""), radix).unwrap_or(u64::MAX);
        return Value::Number { value: value as f64, rounded: value as f64 as u64 != value, integer: true };
    }
    let (value, rounded) = read_decimal(text).unwrap_or((f64::NAN, true));
    Value::Number { value, rounded, integer: true }
}

/// A float as TOML writes it; too large a one becomes NaN, which is refused where it is used.
fn float_value(text: &str) -> Value {
    let (value, rounded) = match text {
        "inf" | "+inf" => (f64::INFINITY, false),
        "-inf" => (f64::NEG_INFINITY, false),
        _ => read_decimal(text).unwrap_or((f64::NAN, true)),
    };
    Value::Number { value, rounded, integer: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        parse(&Source::new("t.toml", text)).unwrap()
    }

    #[test]
    fn order_and_places_are_kept() {
        let table = table("x10 = 1\nx2 = 0.1\n[b]\nc.d = 'e'\n[a]\n");
        let keys: Vec<&str> = table.entries.iter().map(|e| e.key.as_str()).collect();
        assert_eq!(keys, ["x10", "x2", "b", "a"]);
        let x2 = &table.entries[1];
        assert_eq!((x2.key_place.text(), x2.node.place.text()), ("x2", "0.1"));
        assert_eq!(x2.node.value, Value::Number { value: 0.1, rounded: true, integer: false });
        let Value::Table(b) = &table.get("b").unwrap().node.value else { panic!() };
        let Value::Table(c) = &b.get("c").unwrap().node.value else { panic!() };
        assert_eq!(c.get("d").unwrap().node.place.text(), "'e'");
    }

    #[test]
    fn numbers_of_all_kinds() {
        let table =
            table("a = 0xff\nb = -inf\nc = 1_000\nd = -0.5\ne = nan\nf = 1e999\ng = 99999999999999999999\nh=+1");
        let value = |key| match table.get(key).unwrap().node.value {
            Value::Number { value, rounded, .. } => (value, rounded),
            _ => panic!(),
        };
        assert_eq!(value("a"), (255.0, false));
        assert_eq!(value("b"), (f64::NEG_INFINITY, false));
        assert_eq!(value("c"), (1000.0, false));
        assert_eq!(value("d"), (-0.5, false));
        assert!(value("e").0.is_nan() && value("f").0.is_nan());
        assert_eq!(value("g"), (1e20, true));
        assert_eq!(value("h"), (1.0, false));
    }

    #[test]
    fn syntax_errors_have_places() {
        for (text, line) in [("a = \n", 1), ("\n[b\n", 2), ("a = 1\na = 2\n", 2), ("a = 'x\n", 1), ("x = 1 y = 2", 1)] {
            let error = parse(&Source::new("t.toml", text)).unwrap_err();
            assert_eq!(error.place().unwrap().position().0, line, "{error}");
            assert!(error.to_string().contains("not TOML") && error.advice().is_some(), "{error}");
        }
        let deep = format!("a = {}", "[".repeat(100_000));
        assert!(parse(&Source::new("t.toml", deep)).is_err());
    }
}
