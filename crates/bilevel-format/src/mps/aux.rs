//! The aux file: which columns and rows are the follower's, and its objective.
//!
//! Numbered form: `N` columns, `M` rows, then a line `LC i` for each column, `LR i` for each row (numbers from 0, rows
//! without the objective), `LO c` for the cost of each column in the order of the `LC` lines, `OS 1` to minimise and
//! `OS -1` to maximise. Named form: `@NUMVARS`, `@NUMCONSTRS`, names and costs between `@VARSBEGIN` and `@VARSEND`, names
//! between `@CONSTRSBEGIN` and `@CONSTRSEND`.

use std::sync::Arc;

use super::reader::Programme;
use super::{Word, lines, mistake};
use crate::diagnostic::Diagnostics;
use crate::source::Source;

/// The follower's part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Follower {
    /// Columns with their costs.
    pub columns: Vec<(usize, f64)>,
    pub rows: Vec<usize>,
    pub maximise: bool,
}

/// Reads the file.
pub fn read(source: &Arc<Source>, programme: &Programme) -> Result<Follower, Diagnostics> {
    let mut reader =
        Reader { source, programme, columns: Vec::new(), costs: Vec::new(), rows: Vec::new(), maximise: false };
    let mut list = "";
    for words in lines(source) {
        match &words[..] {
            [word] if word.text.ends_with("BEGIN") && word.text.starts_with('@') => list = word.text,
            [word] if word.text.ends_with("END") && word.text.starts_with('@') => list = "",
            [name, cost] if list == "@VARSBEGIN" => reader.named_column(name, cost)?,
            [name] if list == "@CONSTRSBEGIN" => reader.named_row(name)?,
            [key, value] => reader.numbered(key, value)?,
            // Counts and names of the named form stand on lines of their own; what they say is said again below.
            [_] | [] => {}
            [first, ..] => {
                return Err(mistake(source, first, "this line is not understood", "two words: a key and a value"));
            }
        }
    }
    reader.finish()
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    programme: &'a Programme,
    columns: Vec<usize>,
    costs: Vec<f64>,
    rows: Vec<usize>,
    maximise: bool,
}

impl Reader<'_> {
    fn numbered(&mut self, key: &Word<'_>, value: &Word<'_>) -> Result<(), Diagnostics> {
        let count = |limit: usize, what: &str| {
            let number = value.text.parse().ok().filter(|&i: &usize| i < limit);
            number.ok_or_else(|| {
                mistake(self.source, value, &format!("there is no {what} of this number"), "numbers start at 0")
            })
        };
        match key.text {
            "LC" => self.columns.push(count(self.programme.columns.len(), "column")?),
            "LR" => self.rows.push(count(self.programme.rows.len(), "row")?),
            "LO" => self.costs.push(value.number(self.source)?),
            "OS" => self.maximise = value.number(self.source)? < 0.0,
            "N" | "M" | "@NUMVARS" | "@NUMCONSTRS" | "@NAME" | "@MPS" | "@LP" => {}
            "IC" | "IB" | "@IC" => {
                return Err(mistake(self.source, key, "interdiction data is not handled", "give the problem in full"));
            }
            _ => return Err(mistake(self.source, key, "unknown key", "keys: N, M, LC, LR, LO, OS, or the named form")),
        }
        Ok(())
    }

    fn named_column(&mut self, name: &Word<'_>, cost: &Word<'_>) -> Result<(), Diagnostics> {
        let column = self.programme.column(name.text);
        let help = "the names are those of the MPS file";
        self.columns.push(column.ok_or_else(|| mistake(self.source, name, "there is no column of this name", help))?);
        self.costs.push(cost.number(self.source)?);
        Ok(())
    }

    fn named_row(&mut self, name: &Word<'_>) -> Result<(), Diagnostics> {
        let row = self.programme.row(name.text);
        let help = "the names are those of the MPS file";
        self.rows.push(row.ok_or_else(|| mistake(self.source, name, "there is no row of this name", help))?);
        Ok(())
    }

    fn finish(self) -> Result<Follower, Diagnostics> {
        let whole = Word { text: "", span: 0..0 };
        let wrong = |message: &str, help: &str| Err(mistake(self.source, &whole, message, help));
        let twice = |list: &[usize]| {
            let mut sorted = list.to_vec();
            sorted.sort_unstable();
            sorted.windows(2).any(|pair| pair[0] == pair[1])
        };
        if self.columns.is_empty() {
            return wrong("the follower has no columns", "name at least one");
        }
        if self.columns.len() != self.costs.len() {
            let message = format!("{} columns of the follower but {} costs", self.columns.len(), self.costs.len());
            return wrong(&message, "give one LO line for each LC line");
        }
        if twice(&self.columns) || twice(&self.rows) {
            return wrong("a column or a row is named twice", "remove one of them");
        }
        let columns = self.columns.into_iter().zip(self.costs).collect();
        Ok(Follower { columns, rows: self.rows, maximise: self.maximise })
    }
}
