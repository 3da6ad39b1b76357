//! Linear bilevel problems as an MPS file with a file `.aux` beside it, the format of MibS and of collections made for it.
//!
//! The MPS file holds all columns and rows and the leader's objective; the aux file says which columns and rows are the
//! follower's and what its objective is. Continuous problems only. Bounds belong to the level of their column.
//!
//! ```text
//! reader.rs   the MPS file: sections, rows, columns
//! aux.rs      the aux file, in its numbered and in its named form
//! build.rs    both together as a problem
//! ```

mod aux;
mod build;
mod reader;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use crate::context::{PROBLEM_LIMIT, read_file, source_of};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::ProblemFile;
use crate::source::Source;

/// Reads `path` and the file of the same name that ends in `.aux`.
///
/// # Errors
/// The first mistake found, with its place.
pub fn load(path: &Path) -> Result<ProblemFile, Diagnostics> {
    let read = |path: &Path, what: &str, help: &str| {
        let name = path.display().to_string();
        let bytes = read_file(path, PROBLEM_LIMIT).map_err(|reason| {
            let place = Source::new(&name, "").at(0..0);
            Diagnostic::new(format!("cannot read the {what} file: {reason}")).at(&place, "").help(help)
        })?;
        source_of(&name, &bytes)
    };
    let main = read(path, "MPS", "check the file's name")?;
    let help = "it says which columns and rows are the follower's, and must lie beside the MPS file";
    let aux = read(&path.with_extension("aux"), "aux", help)?;
    from_sources(&main, &aux)
}

/// Reads both texts.
///
/// # Errors
/// The first mistake found, with its place.
pub fn from_sources(main: &Arc<Source>, aux: &Arc<Source>) -> Result<ProblemFile, Diagnostics> {
    let programme = reader::read(main)?;
    let follower = aux::read(aux, &programme)?;
    build::build(main, programme, &follower)
}

/// The words of a text with their places, line by line; comments (from `*` or `#` at the start of a line) and empty
/// lines are left out.
fn lines(source: &Arc<Source>) -> impl Iterator<Item = Vec<Word<'_>>> {
    let mut start = 0;
    source.text().split('\n').filter_map(move |line| {
        let first = start;
        start += line.len() + 1;
        let words: Vec<Word<'_>> = words(line, first).collect();
        let comment = words.first().is_none_or(|word| word.text.starts_with(['*', '#']));
        (!comment).then_some(words)
    })
}

fn words(line: &str, first: usize) -> impl Iterator<Item = Word<'_>> {
    line.split_whitespace().map(move |text| {
        // `text` is a part of `line`: their distance is its place.
        let start = first + (text.as_ptr() as usize - line.as_ptr() as usize);
        Word { text, span: start..start + text.len() }
    })
}

/// A word and its bytes in the file.
#[derive(Clone, Debug)]
struct Word<'a> {
    text: &'a str,
    span: Range<usize>,
}

impl Word<'_> {
    fn number(&self, source: &Arc<Source>) -> Result<f64, Diagnostics> {
        let value = self.text.parse().ok().filter(|v: &f64| !v.is_nan());
        value.ok_or_else(|| mistake(source, self, "this is not a number", "write a decimal number"))
    }
}

fn mistake(source: &Arc<Source>, word: &Word<'_>, message: &str, help: &str) -> Diagnostics {
    Diagnostic::new(message).at(&source.at(word.span.clone()), "").help(help).into()
}
