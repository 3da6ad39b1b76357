//! The `[constants]` table: numbers, vectors, matrices, and files that hold them.

use std::path::Path;

use bilevel::expr::Matrix;
use bilevel::expr::parse::{Scope, is_name};
use bilevel_linalg::Dense;

use crate::context::Context;
use crate::data::csv::CsvTable;
use crate::data::{DataError, libsvm, npy};
use crate::diagnostic::Diagnostic;
use crate::source::Place;
use crate::tree::{Entry, Node, Table, Value};

/// A constant.
pub(crate) enum Constant {
    Number { value: f64, rounded: bool },
    Vector { values: Vec<f64>, rounded: bool },
    Matrix(Matrix),
}

impl Constant {
    pub(crate) fn define(self, scope: &mut Scope, name: &str) {
        match self {
            Constant::Number { value, rounded } => scope.number(name, value, rounded),
            Constant::Vector { values, rounded } => scope.vector(name, &values, rounded),
            Constant::Matrix(matrix) => scope.matrix(name, matrix),
        }
    }
}

const HELP: &str = "a constant is a number, an array of numbers, an array of rows, or the name of a file";

/// Reads the table into `scope`.
pub(crate) fn read(context: &mut Context, table: &Table, scope: &mut Scope) {
    for entry in &table.entries {
        check_name(context, entry, "constant");
        if let Some(constant) = constant(context, &entry.node) {
            constant.define(scope, &entry.key);
        }
    }
}

/// Reports a key that formulas could not refer to.
pub(crate) fn check_name(context: &mut Context, entry: &Entry, what: &str) {
    if is_name(&entry.key) {
        return;
    }
    let message = format!("`{}` cannot be the name of a {what}", entry.key.escape_debug());
    let help = "use letters, digits and `_`, beginning with a letter; `in` and `inf` have a meaning of their own";
    context.report(Diagnostic::new(message).at(&entry.key_place, "").help(help));
}

fn constant(context: &mut Context, node: &Node) -> Option<Constant> {
    match &node.value {
        &Value::Number { value, rounded, .. } => {
            finite(context, value, node).map(|value| Constant::Number { value, rounded })
        }
        Value::String(name) => file(context, name, &node.place),
        Value::Array(items) if items.is_empty() => {
            context.report(Diagnostic::new("an empty array").at(&node.place, "").help(HELP));
            None
        }
        Value::Array(items) if items.iter().all(|item| matches!(item.value, Value::Array(_))) => rows(context, items),
        Value::Array(items) => {
            let (mut values, mut rounded) = (Vec::with_capacity(items.len()), false);
            for item in items {
                let (value, inexact) = entry(context, item)?;
                values.push(value);
                rounded |= inexact;
            }
            Some(Constant::Vector { values, rounded })
        }
        _ => {
            context.wrong_type(node, "a number, a vector, a matrix or a file name", HELP);
            None
        }
    }
}

fn entry(context: &mut Context, node: &Node) -> Option<(f64, bool)> {
    match node.value {
        Value::Number { value, rounded, .. } => finite(context, value, node).map(|value| (value, rounded)),
        _ => {
            context.wrong_type(node, "a number", HELP);
            None
        }
    }
}

/// Infinite constants are allowed (for bounds), undefined ones are not.
fn finite(context: &mut Context, value: f64, node: &Node) -> Option<f64> {
    if !value.is_nan() {
        return Some(value);
    }
    context.report(Diagnostic::new("this is not a number that can be used").at(&node.place, "").help(HELP));
    None
}

fn rows(context: &mut Context, items: &[Node]) -> Option<Constant> {
    let mut data = Vec::new();
    let mut first: Option<(usize, &Node)> = None;
    for item in items {
        let Value::Array(row) = &item.value else { return None };
        match first {
            None if row.is_empty() => {
                context.report(Diagnostic::new("a row without entries").at(&item.place, "").help(HELP));
                return None;
            }
            None => first = Some((row.len(), item)),
            Some((length, place)) if row.len() != length => {
                let message = format!("rows of different lengths: {length} and {}", row.len());
                let diagnostic = Diagnostic::new(message)
                    .at(&item.place, format!("{} entries", row.len()))
                    .also(&place.place, format!("{length} entries"))
                    .help("all rows of a matrix need the same length");
                context.report(diagnostic);
                return None;
            }
            Some(_) => {}
        }
        for node in row {
            data.push(entry(context, node)?.0);
        }
    }
    let cols = first.map_or(0, |(length, _)| length);
    Dense::from_row_major(items.len(), cols, data).map(|matrix| Constant::Matrix(matrix.into()))
}

/// The kinds of data files, by their names' ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum FileKind {
    Csv,
    Npy,
    Libsvm,
}

/// The kind of a data file; reports an unknown one.
pub(crate) fn file_kind(context: &mut Context, name: &str, place: &Place) -> Option<FileKind> {
    match Path::new(name).extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => Some(FileKind::Csv),
        Some("npy") => Some(FileKind::Npy),
        Some("libsvm") => Some(FileKind::Libsvm),
        _ => {
            let message = format!("`{}` is not the name of a data file", name.escape_debug());
            let help = "data files end in `.csv`, `.npy` or `.libsvm`";
            context.report(Diagnostic::new(message).at(place, "").help(help));
            None
        }
    }
}

fn file(context: &mut Context, name: &str, place: &Place) -> Option<Constant> {
    let kind = file_kind(context, name, place)?;
    let bytes = context.data_file(name, place)?;
    match load(kind, &bytes) {
        Ok(constant) => Some(constant),
        Err(error) => {
            context.data_mistake(name, &bytes, place, &error);
            None
        }
    }
}

fn load(kind: FileKind, bytes: &[u8]) -> Result<Constant, DataError> {
    let vector = |values: Vec<f64>| Constant::Vector { values, rounded: false };
    match kind {
        FileKind::Libsvm => Ok(Constant::Matrix(libsvm::read(bytes, 0)?.features.into())),
        FileKind::Csv => {
            let table = CsvTable::open(bytes, None)?;
            let matrix = table.read(&(0..table.names().len()).collect::<Vec<_>>())?;
            match (matrix.rows(), matrix.cols()) {
                (0, _) => Err(DataError::new("the table has no rows", "add rows below the names")),
                (_, 1) => Ok(vector(matrix.data().to_vec())),
                _ => Ok(Constant::Matrix(matrix.into())),
            }
        }
        FileKind::Npy => {
            let array = npy::read(bytes)?;
            if array.data.iter().any(|value| value.is_nan()) {
                return Err(DataError::new("the array holds undefined values (NaN)", "clean the data first"));
            }
            match array.shape.as_slice() {
                [] => Ok(Constant::Number { value: array.data.first().copied().unwrap_or_default(), rounded: false }),
                _ if array.data.is_empty() => Err(DataError::new("the array is empty", HELP)),
                &[rows, cols] => Dense::from_row_major(rows, cols, array.data)
                    .map(|matrix| Constant::Matrix(matrix.into()))
                    .ok_or_else(|| DataError::new("the array is not a matrix", HELP)),
                _ => Ok(vector(array.data)),
            }
        }
    }
}
