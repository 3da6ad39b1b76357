//! Data files: `.csv`, `.npy` and `.libsvm`.
//!
//! Each reader takes the bytes of a file and never trusts a size that the file claims: memory grows with what the file
//! holds. Mistakes carry their place in the file.

pub mod csv;
pub mod libsvm;
pub mod npy;

use std::ops::Range;

/// The most entries that a data file may be expanded to.
pub const ENTRY_LIMIT: usize = 100_000_000;

/// A mistake in a data file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct DataError {
    /// What is wrong.
    pub message: String,
    /// Where, in bytes of the file; `None` if the file as a whole is wrong.
    pub span: Option<Range<usize>>,
    /// What to do about it.
    pub help: String,
}

impl DataError {
    /// A mistake of the whole file.
    pub fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), span: None, help: help.into() }
    }

    /// The same at a place in the file.
    #[must_use]
    pub fn at(mut self, span: Range<usize>) -> Self {
        self.span = Some(span);
        self
    }
}

/// The text of a file: UTF-8, without a byte order mark. Places of mistakes count from behind that mark.
///
/// # Errors
/// At the first byte that is not UTF-8.
pub fn text(bytes: &[u8]) -> Result<&str, DataError> {
    let rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    std::str::from_utf8(rest).map_err(|error| {
        let at = error.valid_up_to();
        let help = if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
            "this is UTF-16: save the file as UTF-8"
        } else {
            "save the file as UTF-8 text"
        };
        let byte = rest.get(at).copied().unwrap_or_default();
        DataError::new(format!("this is not UTF-8 text: byte 0x{byte:02x}"), help).at(at..at + 1)
    })
}

/// A cell's text for a message: short, without control characters.
pub(crate) fn quoted(cell: &str) -> String {
    const LONGEST: usize = 30;
    let short: String = cell.chars().take(LONGEST).collect();
    let dots = if short.len() < cell.len() { "…" } else { "" };
    format!("`{}{dots}`", short.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf8_without_its_mark() {
        assert_eq!(text(b"abc"), Ok("abc"));
        assert_eq!(text(b"\xef\xbb\xbfabc"), Ok("abc"));
        let error = text(b"ab\xffc").unwrap_err();
        assert_eq!(error.span, Some(2..3));
        assert!(error.message.contains("0xff"));
        assert!(text(b"\xff\xfea\0").unwrap_err().help.contains("UTF-16"));
    }

    #[test]
    fn quoted_cells_are_short() {
        assert_eq!(quoted("a\0"), "`a\\0`");
        assert_eq!(quoted(&"é".repeat(99)), format!("`{}…`", "é".repeat(30)));
    }
}
