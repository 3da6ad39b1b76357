//! What all sections of a problem file share while it is read: the mistakes found so far, and typed access to values.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bilevel::expr::parse::{ParseError, closest};

use crate::data::{DataError, text};
use crate::diagnostic::Diagnostic;
use crate::source::{Place, Source};
use crate::text::locate;
use crate::tree::{Entry, Node, Table, Value};

/// The largest problem file.
pub(crate) const PROBLEM_LIMIT: u64 = 64 << 20;
/// The largest data file.
const DATA_LIMIT: u64 = 2 << 30;

/// The state of reading a problem file.
pub(crate) struct Context {
    /// The folder that file names start from.
    folder: PathBuf,
    mistakes: Vec<Diagnostic>,
    /// How many mistakes there are beyond the first ones, and where the first of those is.
    more: usize,
    next: Option<Place>,
}

/// The most mistakes that are shown.
const MOST_MISTAKES: usize = 20;

impl Context {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf(), mistakes: Vec::new(), more: 0, next: None }
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        if self.mistakes.len() < MOST_MISTAKES {
            self.mistakes.push(diagnostic);
        } else {
            self.count(diagnostic.place());
        }
    }

    /// Counts a mistake that is not shown.
    fn count(&mut self, place: Option<&Place>) {
        self.more += 1;
        if self.next.is_none() {
            self.next = place.cloned();
        }
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.mistakes.is_empty()
    }

    pub(crate) fn into_mistakes(mut self) -> Vec<Diagnostic> {
        if let Some(place) = &self.next {
            let message = if self.more == 1 { "and one more".to_string() } else { format!("and {} more", self.more) };
            let help = "correct the ones above first";
            self.mistakes.push(Diagnostic::new(message).at(place, "").help(help));
        }
        self.mistakes
    }

    /// Reports keys that a table does not have.
    pub(crate) fn check_keys(&mut self, table: &Table, what: &str, known: &[&str]) {
        for entry in &table.entries {
            // The search for a similar key is costly: only for what is shown.
            if !known.contains(&entry.key.as_str()) && self.mistakes.len() >= MOST_MISTAKES {
                self.count(Some(&entry.key_place));
            } else if !known.contains(&entry.key.as_str()) {
                let help = match closest(&entry.key, known.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("{what} knows the keys {}", known.join(", ")),
                };
                let message = format!("unknown key `{}` in {what}", entry.key);
                self.report(Diagnostic::new(message).at(&entry.key_place, "").help(help));
            }
        }
    }

    /// Reports a value of the wrong type.
    pub(crate) fn wrong_type(&mut self, node: &Node, expected: &str, help: &str) {
        let message = format!("expected {expected}, found {}", node.value.kind());
        self.report(Diagnostic::new(message).at(&node.place, "").help(help));
    }

    /// The table of an entry; reports anything else.
    pub(crate) fn table<'a>(&mut self, entry: &'a Entry) -> Option<&'a Table> {
        match &entry.node.value {
            Value::Table(table) => Some(table),
            _ => {
                let help = format!("write a table: a line `[{}]`, and its keys below", entry.key);
                self.wrong_type(&entry.node, "a table", &help);
                None
            }
        }
    }

    /// A string; reports anything else.
    pub(crate) fn string<'a>(&mut self, node: &'a Node, help: &str) -> Option<&'a str> {
        match &node.value {
            Value::String(text) => Some(text),
            _ => {
                self.wrong_type(node, "a string", help);
                None
            }
        }
    }

    /// A finite number; reports anything else.
    pub(crate) fn number(&mut self, node: &Node, help: &str) -> Option<f64> {
        match node.value {
            Value::Number { value, .. } if value.is_finite() => Some(value),
            Value::Number { .. } => {
                self.report(Diagnostic::new("expected a finite number").at(&node.place, "").help(help));
                None
            }
            _ => {
                self.wrong_type(node, "a number", help);
                None
            }
        }
    }

    /// A boolean; reports anything else.
    pub(crate) fn boolean(&mut self, node: &Node, help: &str) -> Option<bool> {
        match node.value {
            Value::Boolean(value) => Some(value),
            _ => {
                self.wrong_type(node, "`true` or `false`", help);
                None
            }
        }
    }

    /// A number or an array of numbers, all finite; reports anything else.
    pub(crate) fn numbers(&mut self, node: &Node, help: &str) -> Option<Vec<f64>> {
        match &node.value {
            Value::Array(items) => items.iter().map(|item| self.number(item, help)).collect(),
            _ => self.number(node, help).map(|value| vec![value]),
        }
    }

    /// Reports a mistake in the formula `value` that was read from `place`.
    pub(crate) fn formula_mistake(&mut self, place: &Place, value: &str, error: &ParseError) {
        let mut diagnostic =
            Diagnostic::new(error.kind.to_string()).at(&locate(place, value, &error.span), &*error.label);
        for (span, label) in &error.others {
            diagnostic = diagnostic.also(&locate(place, value, span), label);
        }
        let help = error.help.as_deref().unwrap_or("see docs/file-format.md for what formulas may contain");
        self.report(diagnostic.help(help));
    }

    /// The bytes of a data file named at `place`; reports why there are none.
    pub(crate) fn data_file(&mut self, name: &str, place: &Place) -> Option<Vec<u8>> {
        match read_file(&self.folder.join(name), DATA_LIMIT) {
            Ok(bytes) => Some(bytes),
            Err(reason) => {
                let message = format!("cannot read the data file `{name}`: {reason}");
                let help = format!("file names start from the problem file's folder, {}", shown(&self.folder));
                self.report(Diagnostic::new(message).at(place, "").help(help));
                None
            }
        }
    }

    /// Reports a mistake in a data file that was named at `place`.
    pub(crate) fn data_mistake(&mut self, name: &str, bytes: &[u8], place: &Place, error: &DataError) {
        let diagnostic = match &error.span {
            None => Diagnostic::new(format!("in `{name}`: {error}")).at(place, ""),
            Some(span) => {
                let shown = match text(bytes) {
                    Ok(text) => text.to_string(),
                    Err(_) => String::from_utf8_lossy(bytes).into_owned(),
                };
                let source = Source::new(name, shown);
                Diagnostic::new(error.message.clone()).at(&source.at(span.clone()), "").also(place, "read from here")
            }
        };
        self.report(diagnostic.help(&*error.help));
    }
}

fn shown(folder: &Path) -> String {
    if folder.as_os_str().is_empty() { "the current folder".to_string() } else { format!("`{}`", folder.display()) }
}

/// The bytes of a regular file of at most `limit` bytes, or why not.
pub(crate) fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, String> {
    let about = fs::metadata(path).map_err(|error| reason(&error))?;
    if !about.is_file() {
        return Err("it is not a file".to_string());
    }
    let too_large = |length: u64| format!("it has {} MB, the limit is {} MB", length >> 20, limit >> 20);
    if about.len() > limit {
        return Err(too_large(about.len()));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| reason(&error))?;
    // Some files hold more than they say.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| reason(&error))?;
    if bytes.len() as u64 > limit {
        return Err(too_large(bytes.len() as u64));
    }
    Ok(bytes)
}

fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".to_string(),
        std::io::ErrorKind::PermissionDenied => "it may not be read".to_string(),
        _ => error.to_string(),
    }
}

/// A problem file's text as a source, or the reason why it is none.
pub(crate) fn source_of(name: &str, bytes: &[u8]) -> Result<Arc<Source>, Diagnostic> {
    match text(bytes) {
        Ok(text) => Ok(Source::new(name, text)),
        Err(error) => {
            let start = error.span.as_ref().map_or(0, |span| span.start);
            // Only the neighbourhood is shown: the file may be large and is no text.
            const AROUND: usize = 4096;
            let end = (start + AROUND).min(bytes.len());
            let rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let shown = String::from_utf8_lossy(rest.get(..end.min(rest.len())).unwrap_or_default()).into_owned();
            let source = Source::new(name, shown);
            let end = start + '\u{fffd}'.len_utf8();
            Err(Diagnostic::new(error.message).at(&source.at(start..end), "").help(error.help))
        }
    }
}
