//! Texts that diagnostics point into.

use std::ops::Range;
use std::sync::Arc;

/// A named text: a problem file, a data file, or an override from the command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
}

/// A place in a [`Source`]: a range of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text.
    pub source: Arc<Source>,
    /// The bytes.
    pub span: Range<usize>,
}

impl Source {
    /// A text with the name that is shown for it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { name: name.into(), text: text.into() })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub fn position(&self, byte: usize) -> (usize, usize) {
        let byte = self.boundary(byte);
        let before = &self.text[..byte];
        let line = before.bytes().filter(|&b| b == b'\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        (line, before[start..].chars().count() + 1)
    }

    /// The nearest character boundary at or before `byte`, within the text.
    pub(crate) fn boundary(&self, byte: usize) -> usize {
        let mut byte = byte.min(self.text.len());
        while !self.text.is_char_boundary(byte) {
            byte -= 1;
        }
        byte
    }

    /// `span` cut to character boundaries within the text.
    pub(crate) fn clamp(&self, span: &Range<usize>) -> Range<usize> {
        let start = self.boundary(span.start);
        start..self.boundary(span.end).max(start)
    }

    /// The bytes of the whole lines that `span` touches, without the last line's end.
    pub(crate) fn lines(&self, span: &Range<usize>) -> Range<usize> {
        let span = self.clamp(span);
        let start = self.text[..span.start].rfind('\n').map_or(0, |i| i + 1);
        // A span that ends with a line's end does not touch the next line.
        let from = if span.end > span.start && self.text[..span.end].ends_with('\n') { span.end - 1 } else { span.end };
        let end = self.text[from..].find('\n').map_or(self.text.len(), |i| from + i);
        start..end.max(start)
    }

    /// A place in this text.
    pub fn at(self: &Arc<Self>, span: Range<usize>) -> Place {
        Place { source: self.clone(), span }
    }
}

impl Place {
    /// The text at this place.
    pub fn text(&self) -> &str {
        &self.source.text[self.source.clamp(&self.span)]
    }

    /// Line and column where it starts, from 1.
    pub fn position(&self) -> (usize, usize) {
        self.source.position(self.span.start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("f", "aé\nbcd\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (1, 3));
        assert_eq!(source.position(2), (1, 2), "inside a character: its start");
        assert_eq!(source.position(4), (2, 1));
        assert_eq!(source.position(8), (3, 1));
        assert_eq!(source.position(99), (3, 1));
    }

    #[test]
    fn lines_are_whole() {
        let source = Source::new("f", "ab\ncd\nef");
        assert_eq!(source.lines(&(3..4)), 3..5);
        assert_eq!(source.lines(&(1..4)), 0..5);
        assert_eq!(source.lines(&(0..3)), 0..2);
        assert_eq!(source.lines(&(2..2)), 0..2);
        assert_eq!(source.lines(&(8..8)), 6..8);
        assert_eq!(Source::new("f", "").lines(&(0..9)), 0..0);
    }
}
