//! The `[start]` and `[known]` tables.

use bilevel::expr::{Level, Shape};
use bilevel::problem::NamedValues;
use bilevel::set::ConvexSet;

use crate::context::Context;
use crate::diagnostic::Diagnostic;
use crate::levels::{Variable, variables_table};
use crate::tree::{Entry, Node, Table, Value};

/// What is known of a problem's answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The leader's value (key `F`), in the user's sense.
    pub upper: Option<f64>,
    /// The follower's value (key `f`), in the user's sense.
    pub lower: Option<f64>,
    /// The leader's value when ties go against it (key `pessimistic_F`).
    pub pessimistic_upper: Option<f64>,
    /// Whether a point reaches that value.
    pub pessimistic_attained: Option<bool>,
    /// The value in the literature (key `best_F`).
    pub published_upper: Option<f64>,
    /// What to expect where there is no value, such as `infeasible`.
    pub expect: Option<String>,
    /// The leader's variables at the answer, as far as given.
    pub x: NamedValues,
    /// The follower's variables at the answer, as far as given.
    pub y: NamedValues,
    /// Where this is known from.
    pub source: Vec<String>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Keywords.
    pub tags: Vec<String>,
}

const KEYS: [&str; 9] =
    ["F", "f", "pessimistic_F", "pessimistic_attained", "best_F", "expect", "source", "notes", "tags"];

/// Reads `[known]`.
pub(crate) fn known(context: &mut Context, table: &Table, variables: &[Variable]) -> Known {
    let mut known = Known::default();
    let number = "write a finite number";
    for entry in &table.entries {
        let node = &entry.node;
        match entry.key.as_str() {
            "F" => known.upper = context.number(node, number),
            "f" => known.lower = context.number(node, number),
            "pessimistic_F" => known.pessimistic_upper = context.number(node, number),
            "pessimistic_attained" => known.pessimistic_attained = context.boolean(node, "write `true` or `false`"),
            "best_F" => known.published_upper = context.number(node, number),
            "expect" => known.expect = context.string(node, "write it in quotes").map(str::to_string),
            "source" => known.source = strings(context, node),
            "notes" => known.notes = strings(context, node),
            "tags" => known.tags = strings(context, node),
            name => match variables.iter().find(|variable| variable.name == name) {
                Some(variable) => {
                    if let Some(values) = values(context, entry, variable) {
                        let point = if variable.level == Level::Leader { &mut known.x } else { &mut known.y };
                        point.0.push((name.to_string(), values));
                    }
                }
                None => match whole_level(context, entry, variables) {
                    Some((Level::Leader, values)) => known.x = values,
                    Some((Level::Follower, values)) => known.y = values,
                    None => unknown(context, entry, variables, "[known]", &KEYS),
                },
            },
        }
    }
    known
}

/// `x` or `y` where no variable has that name: all values of the leader or of the follower, one after another. Nothing if
/// the key is another one; empty values after a mistake.
fn whole_level(context: &mut Context, entry: &Entry, variables: &[Variable]) -> Option<(Level, NamedValues)> {
    let level = match entry.key.as_str() {
        "x" => Level::Leader,
        "y" => Level::Follower,
        _ => return None,
    };
    let Some(flat) = context.numbers(&entry.node, "write a number, or an array of numbers") else {
        return Some((level, NamedValues::default()));
    };
    let mine: Vec<&Variable> = variables.iter().filter(|variable| variable.level == level).collect();
    let total: usize = mine.iter().map(|variable| variable.declared.shape.len()).sum();
    if total != flat.len() {
        let name = variables_table(level);
        let diagnostic = Diagnostic::new(format!("the {name} has {total} values, got {}", flat.len()))
            .at(&entry.node.place, format!("{} numbers", flat.len()))
            .help(format!(
                "without a variable `{}`, give all values of the {name} in the order of declaration",
                entry.key
            ));
        context.report(diagnostic);
        return Some((level, NamedValues::default()));
    }
    let mut rest = flat.as_slice();
    let mut values = Vec::new();
    for variable in mine {
        let (own, others) = rest.split_at(variable.declared.shape.len());
        values.push((variable.name.clone(), own.to_vec()));
        rest = others;
    }
    Some((level, NamedValues(values)))
}

/// A string or an array of strings.
pub(crate) fn strings(context: &mut Context, node: &Node) -> Vec<String> {
    let help = "write a string, or an array of strings";
    let items = match &node.value {
        Value::Array(items) => items.as_slice(),
        _ => std::slice::from_ref(node),
    };
    items.iter().filter_map(|item| context.string(item, help).map(str::to_string)).collect()
}

/// Reads `[start]` into flat vectors (x, y). A variable without a start begins at the point of its set nearest to 0.
pub(crate) fn start(context: &mut Context, table: &Table, variables: &[Variable]) -> Option<(Vec<f64>, Vec<f64>)> {
    for entry in &table.entries {
        if !variables.iter().any(|variable| variable.name == entry.key) {
            unknown(context, entry, variables, "[start]", &[]);
        }
    }
    if table.entries.is_empty() {
        return None;
    }
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for variable in variables {
        let n = variable.declared.shape.len();
        let values = match table.get(&variable.name) {
            Some(entry) => values(context, entry, variable).unwrap_or_else(|| vec![0.0; n]),
            None => {
                let mut nearest = vec![0.0; n];
                variable.declared.set.project(&vec![0.0; n], &mut nearest);
                nearest
            }
        };
        match variable.level {
            Level::Leader => x.extend(values),
            Level::Follower => y.extend(values),
        }
    }
    Some((x, y))
}

/// The values of a variable: as many numbers as it has entries, or one number for all.
fn values(context: &mut Context, entry: &Entry, variable: &Variable) -> Option<Vec<f64>> {
    let shape = variable.declared.shape;
    let values = context.numbers(&entry.node, "write a number, or an array of numbers")?;
    let single = !matches!(entry.node.value, Value::Array(_));
    match shape {
        _ if values.len() == shape.len() => Some(values),
        Shape::Vector(n) if single => Some(vec![values.first().copied().unwrap_or_default(); n]),
        _ => {
            let given = if single { "one number".to_string() } else { format!("{} numbers", values.len()) };
            let diagnostic = Diagnostic::new(format!("`{}` is a {shape}, got {given}", variable.name))
                .at(&entry.node.place, given)
                .also(&variable.place, shape.to_string())
                .help("give one number for each entry");
            context.report(diagnostic);
            None
        }
    }
}

fn unknown(context: &mut Context, entry: &Entry, variables: &[Variable], what: &str, keys: &[&str]) {
    let known: Vec<&str> = keys.iter().copied().chain(variables.iter().map(|v| v.name.as_str())).collect();
    let single = Table { entries: vec![entry.clone()] };
    context.check_keys(&single, what, &known);
}
