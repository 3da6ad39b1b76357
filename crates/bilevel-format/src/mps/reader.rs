//! The MPS file: NAME, OBJSENSE, ROWS, COLUMNS, RHS, RANGES, BOUNDS, ENDATA, words separated by blanks.
//!
//! Conventions: the first N row is the objective, its right-hand side is minus a constant; a negative upper bound on a
//! column without a lower one makes the lower bound infinite; a range r of an equality opens it upwards for r > 0 and
//! downwards for r < 0.

use std::collections::HashMap;
use std::sync::Arc;

use super::{Word, lines, mistake};
use crate::diagnostic::Diagnostics;
use crate::source::Source;

/// A linear programme `lower <= A z <= upper` with bounds on z.
#[derive(Clone, Debug, Default)]
pub struct Programme {
    pub name: String,
    pub maximise: bool,
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// (row, column, value).
    pub entries: Vec<(usize, usize, f64)>,
    pub objective_name: Option<String>,
    pub objective_constant: f64,
    column_of: HashMap<String, usize>,
    row_of: HashMap<String, usize>,
}

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub cost: f64,
    pub lower: f64,
    pub upper: f64,
    lower_given: bool,
}

#[derive(Clone, Debug)]
pub struct Row {
    pub name: String,
    pub kind: Kind,
    pub right: f64,
    pub range: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Free,
    AtMost,
    AtLeast,
    Equal,
}

impl Row {
    /// The row's two sides.
    pub fn sides(&self) -> (f64, f64) {
        let (b, range) = (self.right, self.range);
        match (self.kind, range) {
            (Kind::Free, _) => (f64::NEG_INFINITY, f64::INFINITY),
            (Kind::AtMost, None) => (f64::NEG_INFINITY, b),
            (Kind::AtMost, Some(r)) => (b - r.abs(), b),
            (Kind::AtLeast, None) => (b, f64::INFINITY),
            (Kind::AtLeast, Some(r)) => (b, b + r.abs()),
            (Kind::Equal, None) => (b, b),
            (Kind::Equal, Some(r)) => (b.min(b + r), b.max(b + r)),
        }
    }
}

impl Programme {
    pub fn column(&self, name: &str) -> Option<usize> {
        self.column_of.get(name).copied()
    }

    pub fn row(&self, name: &str) -> Option<usize> {
        self.row_of.get(name).copied()
    }
}

/// Reads the file.
pub fn read(source: &Arc<Source>) -> Result<Programme, Diagnostics> {
    let mut reader = Reader { source, programme: Programme::default(), section: String::new() };
    for words in lines(source) {
        let [first, rest @ ..] = &words[..] else { continue };
        // Sections start in the first column, data does not.
        let line_start = first.span.start == 0 || source.text().as_bytes().get(first.span.start - 1) == Some(&b'\n');
        if line_start && first.text == "ENDATA" {
            return reader.finish(first);
        }
        if line_start {
            reader.begin(first, rest)?;
        } else {
            reader.data(&words)?;
        }
    }
    let end = Word { text: "", span: source.text().len()..source.text().len() };
    Err(mistake(source, &end, "the file ends without ENDATA", "it may have been cut short"))
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    programme: Programme,
    section: String,
}

const SECTIONS: [&str; 7] = ["NAME", "OBJSENSE", "ROWS", "COLUMNS", "RHS", "RANGES", "BOUNDS"];

impl Reader<'_> {
    fn begin(&mut self, first: &Word<'_>, rest: &[Word<'_>]) -> Result<(), Diagnostics> {
        if !SECTIONS.contains(&first.text) {
            let help =
                format!("sections that are read: {}, ENDATA; data lines start with a blank", SECTIONS.join(", "));
            return Err(mistake(self.source, first, "unknown section", &help));
        }
        self.section = first.text.to_string();
        match (first.text, rest) {
            ("NAME", [name, ..]) => self.programme.name = name.text.to_string(),
            ("OBJSENSE", [sense, ..]) => self.sense(sense)?,
            _ => {}
        }
        Ok(())
    }

    fn data(&mut self, words: &[Word<'_>]) -> Result<(), Diagnostics> {
        match (self.section.as_str(), words) {
            ("OBJSENSE", [sense]) => self.sense(sense),
            ("ROWS", [kind, name]) => self.row(kind, name),
            ("COLUMNS", [_, marker, ..]) if marker.text == "'MARKER'" => Err(mistake(
                self.source,
                marker,
                "integer columns are not handled",
                "only continuous problems can be read: remove the markers for the continuous relaxation",
            )),
            ("COLUMNS", [column, pairs @ ..]) if matches!(pairs.len(), 2 | 4) => self.column(column, pairs),
            ("RHS", pairs) | ("RHS", [_, pairs @ ..]) if matches!(pairs.len(), 2 | 4) => self.right(pairs),
            ("RANGES", pairs) | ("RANGES", [_, pairs @ ..]) if matches!(pairs.len(), 2 | 4) => self.range(pairs),
            ("BOUNDS", [kind, rest @ ..]) => self.bound(kind, rest),
            (_, [first, ..]) => {
                let message = format!("this line does not fit section {}", self.section);
                Err(mistake(self.source, first, &message, "names must not hold blanks"))
            }
            _ => Ok(()),
        }
    }

    fn sense(&mut self, word: &Word<'_>) -> Result<(), Diagnostics> {
        self.programme.maximise = match word.text.to_ascii_uppercase().as_str() {
            "MAX" | "MAXIMIZE" | "MAXIMISE" => true,
            "MIN" | "MINIMIZE" | "MINIMISE" => false,
            _ => return Err(mistake(self.source, word, "unknown sense", "write MIN or MAX")),
        };
        Ok(())
    }

    fn row(&mut self, kind: &Word<'_>, name: &Word<'_>) -> Result<(), Diagnostics> {
        let kind = match kind.text {
            "N" => Kind::Free,
            "L" => Kind::AtMost,
            "G" => Kind::AtLeast,
            "E" => Kind::Equal,
            _ => return Err(mistake(self.source, kind, "unknown kind of row", "write N, L, G or E")),
        };
        let programme = &mut self.programme;
        let known = programme.row_of.contains_key(name.text) || programme.objective_name.as_deref() == Some(name.text);
        if known {
            return Err(mistake(self.source, name, "there are two rows of this name", "rename one of them"));
        }
        if kind == Kind::Free && programme.objective_name.is_none() {
            programme.objective_name = Some(name.text.to_string());
            return Ok(());
        }
        programme.row_of.insert(name.text.to_string(), programme.rows.len());
        programme.rows.push(Row { name: name.text.to_string(), kind, right: 0.0, range: None });
        Ok(())
    }

    fn column(&mut self, name: &Word<'_>, pairs: &[Word<'_>]) -> Result<(), Diagnostics> {
        let programme = &mut self.programme;
        let next = programme.columns.len();
        let column = *programme.column_of.entry(name.text.to_string()).or_insert(next);
        if column == next {
            let name = name.text.to_string();
            let (lower, upper) = (0.0, f64::INFINITY);
            programme.columns.push(Column { name, cost: 0.0, lower, upper, lower_given: false });
        }
        for pair in pairs.chunks_exact(2) {
            let value = pair[1].number(self.source)?;
            match self.place(&pair[0])? {
                None => self.programme.columns[column].cost += value,
                Some(row) => self.programme.entries.push((row, column, value)),
            }
        }
        Ok(())
    }

    fn right(&mut self, pairs: &[Word<'_>]) -> Result<(), Diagnostics> {
        for pair in pairs.chunks_exact(2) {
            let value = pair[1].number(self.source)?;
            match self.place(&pair[0])? {
                None => self.programme.objective_constant = -value,
                Some(row) => self.programme.rows[row].right = value,
            }
        }
        Ok(())
    }

    fn range(&mut self, pairs: &[Word<'_>]) -> Result<(), Diagnostics> {
        for pair in pairs.chunks_exact(2) {
            let value = pair[1].number(self.source)?;
            if let Some(row) = self.place(&pair[0])? {
                self.programme.rows[row].range = Some(value);
            }
        }
        Ok(())
    }

    /// The row of this name; `None` for the objective.
    fn place(&self, name: &Word<'_>) -> Result<Option<usize>, Diagnostics> {
        if self.programme.objective_name.as_deref() == Some(name.text) {
            return Ok(None);
        }
        let row = self.programme.row(name.text);
        row.map(Some)
            .ok_or_else(|| mistake(self.source, name, "there is no row of this name", "rows are named in ROWS"))
    }

    /// `kind [set] column [value]`.
    fn bound(&mut self, kind: &Word<'_>, rest: &[Word<'_>]) -> Result<(), Diagnostics> {
        let valued = match kind.text {
            "UP" | "LO" | "FX" => true,
            "FR" | "MI" | "PL" => false,
            "BV" | "LI" | "UI" | "SC" => {
                let help = "only continuous problems can be read";
                return Err(mistake(self.source, kind, "bounds of integer columns are not handled", help));
            }
            _ => return Err(mistake(self.source, kind, "unknown kind of bound", "write UP, LO, FX, FR, MI or PL")),
        };
        let (name, value) = match (valued, rest) {
            (true, [name, value]) | (true, [_, name, value]) => (name, value.number(self.source)?),
            (false, [name]) => (name, 0.0),
            (false, [first, second, ..]) => {
                (if self.programme.column(second.text).is_some() { second } else { first }, 0.0)
            }
            _ => return Err(mistake(self.source, kind, "a bound needs a column and a value", "such as ` UP BND x 4`")),
        };
        let column = self.programme.column(name.text);
        let Some(column) = column.and_then(|column| self.programme.columns.get_mut(column)) else {
            return Err(mistake(self.source, name, "there is no column of this name", "columns are named in COLUMNS"));
        };
        match kind.text {
            "UP" => {
                column.upper = value;
                if value < 0.0 && !column.lower_given {
                    column.lower = f64::NEG_INFINITY;
                }
            }
            "LO" => (column.lower, column.lower_given) = (value, true),
            "FX" => (column.lower, column.upper, column.lower_given) = (value, value, true),
            "MI" => (column.lower, column.lower_given) = (f64::NEG_INFINITY, true),
            "PL" => column.upper = f64::INFINITY,
            _ => (column.lower, column.upper) = (f64::NEG_INFINITY, f64::INFINITY),
        }
        if column.lower > column.upper {
            return Err(mistake(self.source, name, "the lower bound is above the upper bound", "correct one of them"));
        }
        Ok(())
    }

    fn finish(self, end: &Word<'_>) -> Result<Programme, Diagnostics> {
        let finite = self.programme.entries.iter().all(|entry| entry.2.is_finite());
        if !finite || self.programme.columns.iter().any(|column| !column.cost.is_finite()) {
            return Err(mistake(self.source, end, "a coefficient is infinite", "coefficients must be finite"));
        }
        Ok(self.programme)
    }
}
