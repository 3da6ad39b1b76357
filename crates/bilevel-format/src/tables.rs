//! The `[data.NAME]` tables: features `NAME.X` and, with a target, `NAME.y`.

use std::ops::Range;

use bilevel::expr::Matrix;
use bilevel::expr::parse::{Scope, closest};
use bilevel_linalg::{Csr, Dense};

use crate::constants::{FileKind, check_name, file_kind};
use crate::context::Context;
use crate::data::csv::CsvTable;
use crate::data::{DataError, ENTRY_LIMIT, libsvm, npy};
use crate::diagnostic::Diagnostic;
use crate::source::Place;
use crate::tree::{Entry, Node, Table, Value};

const KEYS: [&str; 7] = ["file", "target", "columns", "rows", "header", "standardize", "standardize_target"];

/// Features and target as they are in the file, after the selection of rows and columns.
struct Raw {
    name: String,
    features: Matrix,
    target: Option<Vec<f64>>,
}

/// Mean and standard deviation of each column.
struct Statistics {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

/// Reads all data tables into `scope`.
pub(crate) fn read(context: &mut Context, tables: &Table, scope: &mut Scope) {
    let mut raws: Vec<(Raw, &Table)> = Vec::new();
    for entry in &tables.entries {
        check_name(context, entry, "data table");
        let Some(table) = context.table(entry) else { continue };
        context.check_keys(table, &format!("[data.{}]", entry.key), &KEYS);
        if let Some(raw) = load(context, entry, table) {
            raws.push((raw, table));
        }
    }
    for (raw, table) in &raws {
        let help = format!("use its features `{0}.X` or its target `{0}.y`", raw.name);
        scope.forbid(&raw.name, "it is a data table", help);
        let features = standardize(context, &raws, raw, table, "standardize");
        let target = standardize(context, &raws, raw, table, "standardize_target");
        if let Some(features) = features {
            let matrix = match features {
                None => raw.features.clone(),
                Some(statistics) => standardized(&raw.features, &statistics),
            };
            scope.matrix(format!("{}.X", raw.name), matrix);
        }
        match (&raw.target, target) {
            (Some(values), Some(None)) => scope.vector(format!("{}.y", raw.name), values, false),
            (Some(values), Some(Some(s))) => {
                let scaled: Vec<f64> = values.iter().map(|v| (v - s.mean[0]) / s.deviation[0]).collect();
                scope.vector(format!("{}.y", raw.name), &scaled, false);
            }
            (None, _) => {
                let help = format!("name the target's column: [data.{}] target = \"...\"", raw.name);
                scope.forbid(format!("{}.y", raw.name), "the data table has no target", help);
            }
            (Some(_), None) => {}
        }
    }
}

fn load(context: &mut Context, entry: &Entry, table: &Table) -> Option<Raw> {
    let Some(file) = table.get("file") else {
        let message = format!("[data.{}] has no `file`", entry.key);
        context.report(Diagnostic::new(message).at(&entry.key_place, "").help("add `file = \"name.csv\"`"));
        return None;
    };
    let name = context.string(&file.node, "write the file's name in quotes")?;
    let place = &file.node.place;
    let kind = file_kind(context, name, place)?;
    let bytes = context.data_file(name, place)?;
    let (features, target) = match kind {
        FileKind::Csv => csv(context, table, name, &bytes, place)?,
        FileKind::Npy => array(context, table, name, &bytes, place)?,
        FileKind::Libsvm => samples(context, table, name, &bytes, place)?,
    };
    let rows = match table.get("rows") {
        Some(rows) => Some(selection(context, &rows.node, features.rows(), "row", |_| None)?),
        None => None,
    };
    let (features, target) = match &rows {
        None => (features, target),
        Some(rows) => (pick_rows(&features, rows), target.map(|y| rows.iter().map(|&i| y[i]).collect())),
    };
    if features.rows() == 0 || features.cols() == 0 {
        let message = format!("`{name}` has no {}", if features.rows() == 0 { "rows" } else { "columns" });
        context.report(Diagnostic::new(message).at(place, "").help("check the file, `rows` and `columns`"));
        return None;
    }
    Some(Raw { name: entry.key.clone(), features, target })
}

type Parts = (Matrix, Option<Vec<f64>>);

fn csv(context: &mut Context, table: &Table, name: &str, bytes: &[u8], place: &Place) -> Option<Parts> {
    let header = match table.get("header") {
        Some(entry) => Some(context.boolean(&entry.node, "`true` if the first line holds names")?),
        None => None,
    };
    let opened = CsvTable::open(bytes, header);
    let data = match opened {
        Ok(data) => data,
        Err(error) => {
            context.data_mistake(name, bytes, place, &error);
            return None;
        }
    };
    let names: Vec<&str> = data.names().iter().map(String::as_str).collect();
    let (columns, target) = columns(context, table, &names)?;
    let mut wanted = columns.clone();
    wanted.extend(target);
    match data.read(&wanted) {
        Ok(all) => Some(split(&all, columns.len(), target.is_some())),
        Err(error) => {
            context.data_mistake(name, bytes, place, &error);
            None
        }
    }
}

/// The first `count` columns, and the one behind them if there is a target.
fn split(all: &Dense, count: usize, target: bool) -> Parts {
    let mut features = Dense::zeros(all.rows(), count);
    for i in 0..all.rows() {
        features.row_mut(i).copy_from_slice(&all.row(i)[..count]);
    }
    (features.into(), target.then(|| (0..all.rows()).map(|i| all[(i, count)]).collect()))
}

fn array(context: &mut Context, table: &Table, name: &str, bytes: &[u8], place: &Place) -> Option<Parts> {
    refuse(context, table, "header", "only `.csv` files have a line of names")?;
    let loaded = npy::read(bytes).and_then(|array| {
        if array.data.iter().any(|value| !value.is_finite()) {
            return Err(DataError::new("the array holds values that are not finite", "clean the data first"));
        }
        let rows = array.shape.first().copied().unwrap_or(1);
        let cols = array.shape.get(1).copied().unwrap_or(1);
        Dense::from_row_major(rows, cols, array.data).ok_or_else(|| DataError::new("not a matrix", "use a matrix"))
    });
    let all = match loaded {
        Ok(all) => all,
        Err(error) => {
            context.data_mistake(name, bytes, place, &error);
            return None;
        }
    };
    let (columns, target) = columns(context, table, &vec![""; all.cols()])?;
    let mut wanted = Dense::zeros(all.rows(), columns.len() + usize::from(target.is_some()));
    for i in 0..all.rows() {
        for (to, &from) in columns.iter().chain(&target).enumerate() {
            wanted[(i, to)] = all[(i, from)];
        }
    }
    Some(split(&wanted, columns.len(), target.is_some()))
}

fn samples(context: &mut Context, table: &Table, name: &str, bytes: &[u8], place: &Place) -> Option<Parts> {
    refuse(context, table, "header", "only `.csv` files have a line of names")?;
    refuse(context, table, "target", "the labels of a `.libsvm` file are its target")?;
    // A range beyond the largest index that occurs adds columns of zeros, so that two files can agree.
    let least = match table.get("columns").map(|entry| &entry.node.value) {
        Some(Value::String(text)) => {
            range(text).and_then(|(_, end)| end).filter(|&end| end <= ENTRY_LIMIT).unwrap_or(0)
        }
        _ => 0,
    };
    match libsvm::read(bytes, least) {
        Err(error) => {
            context.data_mistake(name, bytes, place, &error);
            None
        }
        Ok(samples) => {
            let features = match table.get("columns") {
                None => samples.features,
                Some(entry) => {
                    let cols = samples.features.cols();
                    let columns = selection(context, &entry.node, cols, "column", |_| None)?;
                    pick_columns(&samples.features, &columns)
                }
            };
            Some((features.into(), Some(samples.labels)))
        }
    }
}

fn refuse(context: &mut Context, table: &Table, key: &str, reason: &str) -> Option<()> {
    let Some(entry) = table.get(key) else { return Some(()) };
    context.report(Diagnostic::new(format!("`{key}` has no meaning here")).at(&entry.key_place, "").help(reason));
    None
}

/// The columns of the features and of the target.
fn columns(context: &mut Context, table: &Table, names: &[&str]) -> Option<(Vec<usize>, Option<usize>)> {
    let target = match table.get("target") {
        None => None,
        Some(entry) => Some(column(context, &entry.node, names)?),
    };
    let by_name = |name: &str| names.iter().position(|known| *known == name && !known.is_empty());
    let columns = match table.get("columns") {
        None => (0..names.len()).filter(|&i| Some(i) != target).collect(),
        Some(entry) => {
            let columns = selection_with_names(context, &entry.node, names, by_name)?;
            if let Some(target) = target.filter(|target| columns.contains(target)) {
                let message = format!("column {target} is the target and a feature");
                let help = "leave the target out of `columns`";
                context.report(Diagnostic::new(message).at(&entry.node.place, "").help(help));
                return None;
            }
            columns
        }
    };
    Some((columns, target))
}

/// One column by name or number.
fn column(context: &mut Context, node: &Node, names: &[&str]) -> Option<usize> {
    let found = match &node.value {
        Value::String(name) => names.iter().position(|known| known == name && !known.is_empty()),
        &Value::Number { value, integer: true, .. } => index(value, names.len()),
        _ => {
            context.wrong_type(node, "a column's name or number", "numbers count from 0");
            return None;
        }
    };
    if found.is_none() {
        unknown_column(context, node, names);
    }
    found
}

fn unknown_column(context: &mut Context, node: &Node, names: &[&str]) {
    let known = names.iter().copied().filter(|name| !name.is_empty());
    let (message, help) = match &node.value {
        Value::String(name) => {
            let help = match closest(name, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if known.clone().next().is_none() => {
                    format!("the file has no names: use a number from 0 to {}", names.len().saturating_sub(1))
                }
                None => format!("the columns are {}", known.take(20).collect::<Vec<_>>().join(", ")),
            };
            (format!("there is no column {}", crate::data::quoted(name)), help)
        }
        _ => (
            format!("there is no column {}", node.place.text()),
            format!("the file has {} columns, numbered from 0", names.len()),
        ),
    };
    context.report(Diagnostic::new(message).at(&node.place, "").help(help));
}

fn selection_with_names(
    context: &mut Context,
    node: &Node,
    names: &[&str],
    by_name: impl Fn(&str) -> Option<usize>,
) -> Option<Vec<usize>> {
    if let Value::Array(items) = &node.value {
        for item in items {
            if matches!(&item.value, Value::String(name) if by_name(name).is_none()) {
                unknown_column(context, item, names);
                return None;
            }
        }
    }
    selection(context, node, names.len(), "column", by_name)
}

/// Rows or columns: a range `"0..300"`, or an array of numbers (or of names).
fn selection(
    context: &mut Context,
    node: &Node,
    count: usize,
    what: &str,
    by_name: impl Fn(&str) -> Option<usize>,
) -> Option<Vec<usize>> {
    let help = "write a range `\"0..300\"` (its end is left out), `\"300..\"`, or an array of numbers from 0";
    match &node.value {
        Value::String(text) => match range(text) {
            Some((start, end)) => {
                let range: Range<usize> = start..end.unwrap_or(count);
                if range.start < range.end && range.end <= count {
                    return Some(range.collect());
                }
                let message =
                    format!("the file has {count} {what}s: {} is not a part of them", crate::data::quoted(text));
                context.report(Diagnostic::new(message).at(&node.place, "").help(help));
                None
            }
            None => {
                let message = format!("{} is not a range", crate::data::quoted(text));
                context.report(Diagnostic::new(message).at(&node.place, "").help(help));
                None
            }
        },
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .map(|item| {
                let position = match &item.value {
                    Value::String(name) => by_name(name),
                    &Value::Number { value, integer: true, .. } => index(value, count),
                    _ => None,
                };
                if position.is_none() {
                    let message = format!("there is no {what} {}", item.place.text());
                    let help = format!("the file has {count} {what}s, numbered from 0");
                    context.report(Diagnostic::new(message).at(&item.place, "").help(help));
                }
                position
            })
            .collect(),
        _ => {
            context.wrong_type(node, "a range or an array", help);
            None
        }
    }
}

fn index(value: f64, count: usize) -> Option<usize> {
    (value >= 0.0 && value < count as f64).then_some(value as usize)
}

/// `"a..b"`, `"a.."`, `"..b"`: start and, if given, end.
fn range(text: &str) -> Option<(usize, Option<usize>)> {
    let (start, end) = text.split_once("..")?;
    let (start, end) = (start.trim(), end.trim());
    let start = if start.is_empty() { 0 } else { start.parse().ok()? };
    let end = if end.is_empty() { None } else { Some(end.parse().ok()?) };
    Some((start, end))
}

fn pick_rows(matrix: &Matrix, rows: &[usize]) -> Matrix {
    match matrix {
        Matrix::Dense(a) => {
            let mut picked = Dense::zeros(rows.len(), a.cols());
            for (to, &from) in rows.iter().enumerate() {
                picked.row_mut(to).copy_from_slice(a.row(from));
            }
            picked.into()
        }
        Matrix::Sparse(a) => {
            let triplets: Vec<_> =
                rows.iter().enumerate().flat_map(|(to, &from)| a.row(from).map(move |(j, v)| (to, j, v))).collect();
            Csr::from_triplets(rows.len(), a.cols(), &triplets).map_or_else(|| matrix.clone(), Matrix::from)
        }
    }
}

fn pick_columns(a: &Csr, columns: &[usize]) -> Csr {
    let mut places: Vec<Vec<usize>> = vec![Vec::new(); a.cols()];
    for (to, &from) in columns.iter().enumerate() {
        places[from].push(to);
    }
    let mut triplets = Vec::new();
    for i in 0..a.rows() {
        for (j, value) in a.row(i) {
            triplets.extend(places[j].iter().map(|&to| (i, to, value)));
        }
    }
    Csr::from_triplets(a.rows(), columns.len(), &triplets).unwrap_or_else(|| a.clone())
}

/// The statistics that a table asks for: `Some(None)` for none, `None` after a mistake.
fn standardize(
    context: &mut Context,
    raws: &[(Raw, &Table)],
    raw: &Raw,
    table: &Table,
    key: &str,
) -> Option<Option<Statistics>> {
    let Some(entry) = table.get(key) else { return Some(None) };
    let node = &entry.node;
    let own = match &node.value {
        Value::Boolean(false) => return Some(None),
        Value::Boolean(true) => raw,
        Value::String(name) => match raws.iter().find(|(other, _)| other.name == *name) {
            Some((other, _)) => other,
            None => {
                let help = match closest(name, raws.iter().map(|(other, _)| other.name.as_str())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name another data table, whose mean and deviation are used".to_string(),
                };
                let message = format!("there is no data table {}", crate::data::quoted(name));
                context.report(Diagnostic::new(message).at(&node.place, "").help(help));
                return None;
            }
        },
        _ => {
            context.wrong_type(node, "`true`, `false` or a data table's name", "for example `standardize = \"train\"`");
            return None;
        }
    };
    if [own, raw].iter().any(|r| r.features.rows().saturating_mul(r.features.cols()) > ENTRY_LIMIT) {
        let message = format!("`{}` is too large to be standardised", raw.name);
        let help = "standardising fills in the zeros of a sparse table";
        context.report(Diagnostic::new(message).at(&node.place, "").help(help));
        return None;
    }
    let statistics = match (key, &own.target) {
        ("standardize", _) => column_statistics(&own.features),
        (_, Some(target)) => Statistics::of(target.iter().map(|&v| vec![v]), 1),
        (_, None) => {
            let message = format!("the data table `{}` has no target", own.name);
            context.report(Diagnostic::new(message).at(&node.place, "").help("add `target`, or remove this line"));
            return None;
        }
    };
    if key == "standardize" && statistics.mean.len() != raw.features.cols() {
        let message =
            format!("`{}` has {} columns, `{}` has {}", raw.name, raw.features.cols(), own.name, statistics.mean.len());
        let help = "both tables need the same columns: select them with `columns`";
        context.report(Diagnostic::new(message).at(&node.place, "").help(help));
        return None;
    }
    Some(Some(statistics))
}

fn column_statistics(matrix: &Matrix) -> Statistics {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    match matrix {
        Matrix::Dense(a) => Statistics::of((0..rows).map(|i| a.row(i).to_vec()), cols),
        Matrix::Sparse(a) => Statistics::of(
            (0..rows).map(|i| {
                let mut row = vec![0.0; cols];
                a.row(i).for_each(|(j, value)| row[j] = value);
                row
            }),
            cols,
        ),
    }
}

impl Statistics {
    /// Mean and population standard deviation; a column without variation gets the deviation 1.
    fn of(rows: impl Iterator<Item = Vec<f64>> + Clone, cols: usize) -> Self {
        let (mut mean, mut deviation) = (vec![0.0; cols], vec![0.0; cols]);
        let count = rows.clone().count().max(1) as f64;
        for row in rows.clone() {
            mean.iter_mut().zip(&row).for_each(|(m, v)| *m += v / count);
        }
        for row in rows {
            for ((d, v), m) in deviation.iter_mut().zip(&row).zip(&mean) {
                *d += (v - m) * (v - m) / count;
            }
        }
        for (d, m) in deviation.iter_mut().zip(&mean) {
            let root = d.sqrt();
            // Rounding of the mean makes a constant column look as if it varied.
            *d = if root <= 1e-14 * m.abs() || root == 0.0 { 1.0 } else { root };
        }
        Self { mean, deviation }
    }
}

/// Each column minus its mean, divided by its deviation.
fn standardized(matrix: &Matrix, statistics: &Statistics) -> Matrix {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let mut out = Dense::zeros(rows, cols);
    matrix.for_each(|i, j, value| out[(i, j)] = value);
    for i in 0..rows {
        for ((v, m), d) in out.row_mut(i).iter_mut().zip(&statistics.mean).zip(&statistics.deviation) {
            *v = (*v - m) / d;
        }
    }
    out.into()
}
