//! Overrides from the command line: `table.key=value`.

use std::sync::Arc;

use crate::diagnostic::Diagnostic;
use crate::source::Source;
use crate::tree::{self, Table, Value};

/// Reads `table.key=value`. The value is TOML; what is not (a formula without quotes) is taken as a string.
pub(crate) fn parse(text: &str) -> Result<Table, Diagnostic> {
    let source = Source::new("--set", text);
    let Some((key, value)) = text.split_once('=') else {
        return Err(Diagnostic::new("an override needs `=`")
            .at(&source.at(0..text.len()), "")
            .help("write `--set table.key=value`, for example `--set options.seed=3`"));
    };
    if key.contains(['\n', '[', '#']) || value.contains('\n') {
        return Err(Diagnostic::new("an override is one line `table.key=value`")
            .at(&source.at(0..text.len()), "")
            .help("for example `--set options.seed=3`"));
    }
    match single(&source) {
        Ok(table) => Ok(table),
        Err(_) => {
            let value = value.trim();
            let quotes = if value.contains('\'') { "'''" } else { "'" };
            let quoted = Source::new("--set", format!("{key}={quotes}{value}{quotes}"));
            single(&quoted)
                .map_err(|error| error.help("write `--set table.key=value`, for example `--set options.seed=3`"))
        }
    }
}

fn single(source: &Arc<Source>) -> Result<Table, Diagnostic> {
    tree::parse(source)
}

/// Puts the entries of `over` into `base`: tables are merged, everything else is replaced.
pub(crate) fn merge(base: &mut Table, over: Table) {
    for entry in over.entries {
        match base.entries.iter_mut().find(|known| known.key == entry.key) {
            None => base.entries.push(entry),
            Some(known) => match (&mut known.node.value, entry.node.value) {
                (Value::Table(inner), Value::Table(new)) => merge(inner, new),
                (slot, value) => {
                    *slot = value;
                    known.node.place = entry.node.place;
                    known.key_place = entry.key_place;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(table: &Table, keys: &[&str]) -> Value {
        let entry = table.get(keys[0]).unwrap();
        match &entry.node.value {
            Value::Table(inner) if keys.len() > 1 => value(inner, &keys[1..]),
            other => other.clone(),
        }
    }

    #[test]
    fn values_are_toml_or_strings() {
        let number = |value| Value::Number { value, rounded: false, integer: true };
        assert_eq!(value(&parse("options.seed=3").unwrap(), &["options", "seed"]), number(3.0));
        let text = |s: &str| Value::String(s.to_string());
        assert_eq!(value(&parse("lower.minimize=x^2 + y").unwrap(), &["lower", "minimize"]), text("x^2 + y"));
        assert_eq!(value(&parse("lower.minimize = A'*y").unwrap(), &["lower", "minimize"]), text("A'*y"));
        assert_eq!(value(&parse("leader.x=in [0, 1]").unwrap(), &["leader", "x"]), text("in [0, 1]"));
        assert_eq!(value(&parse("name='a'").unwrap(), &["name"]), text("a"));
        for bad in ["options.seed", "=3", "a b=3", "[a]\nb=3", "a=1\nb=2", "a='''x'''y"] {
            let error = parse(bad).unwrap_err();
            assert!(error.advice().is_some() && error.place().is_some(), "{bad}: {error}");
        }
    }

    #[test]
    fn merging_replaces_values_and_keeps_the_rest() {
        let source = Source::new("f", "[a]\nx = 1\ny = 2\n");
        let mut base = tree::parse(&source).unwrap();
        merge(&mut base, parse("a.x=5").unwrap());
        merge(&mut base, parse("a.z=6").unwrap());
        merge(&mut base, parse("b.c=7").unwrap());
        let number = |value| Value::Number { value, rounded: false, integer: true };
        for (keys, expected) in [(["a", "x"], 5.0), (["a", "y"], 2.0), (["a", "z"], 6.0), (["b", "c"], 7.0)] {
            assert_eq!(value(&base, &keys), number(expected));
        }
    }
}
