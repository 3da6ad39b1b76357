//! Mistakes in problem files, shown as rustc shows them: file, line, column, the text with a caret, and advice.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::source::{Place, Source};

/// A mistake with its places and advice.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostic {
    message: String,
    primary: Option<(Place, String)>,
    others: Vec<(Place, String)>,
    help: Option<String>,
}

impl Diagnostic {
    /// A mistake without a place.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), primary: None, others: Vec::new(), help: None }
    }

    /// The same at a place, with a few words for it (may be empty).
    #[must_use]
    pub fn at(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.primary = Some((place.clone(), label.into()));
        self
    }

    /// The same with another place that matters.
    #[must_use]
    pub fn also(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.others.push((place.clone(), label.into()));
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where.
    pub fn place(&self) -> Option<&Place> {
        self.primary.as_ref().map(|(place, _)| place)
    }

    /// What to do about it.
    pub fn advice(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// As text for a terminal, with or without colours.
    pub fn render(&self, colour: bool) -> String {
        const WIDTH: usize = 120;
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let parts = self.parts();
        let mut group = Group::with_title(Level::ERROR.primary_title(&*self.message));
        for part in &parts {
            if let Some((name, line, column)) = &part.origin {
                group = group.element(Origin::path(*name).line(*line).char_column(*column));
            }
            let snippet = Snippet::source(part.text).line_start(part.line).annotations(part.annotations());
            group = group.element(if part.origin.is_none() { snippet.path(part.name) } else { snippet });
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(&**help));
        }
        renderer.term_width(WIDTH).render(&[group])
    }

    /// The pieces of text to show: one for each source, or one for each place where they lie far apart.
    fn parts(&self) -> Vec<Part<'_>> {
        let mut parts: Vec<Part<'_>> = Vec::new();
        let places = self.primary.iter().map(|p| (p, true)).chain(self.others.iter().map(|p| (p, false)));
        for ((place, label), primary) in places {
            let joined = parts.iter_mut().any(|part| part.join(place, label, primary));
            if !joined {
                parts.push(Part::new(place, label, primary));
            }
        }
        parts
    }
}

/// A piece of a source with the marks in it.
struct Part<'a> {
    source: &'a Arc<Source>,
    name: &'a str,
    range: Range<usize>,
    text: &'a str,
    line: usize,
    /// Name, line and column, where the piece does not begin with a line.
    origin: Option<(&'a str, usize, usize)>,
    marks: Vec<(Range<usize>, &'a str, bool)>,
}

/// The longest piece shown as a whole; of a longer line, only the neighbourhood is shown.
const LONGEST: usize = 20_000;

impl<'a> Part<'a> {
    fn new(place: &'a Place, label: &'a str, primary: bool) -> Self {
        let source = &place.source;
        let span = source.clamp(&place.span);
        let (line, column) = source.position(span.start);
        let whole = source.lines(&span);
        let (range, origin) = if whole.len() <= LONGEST {
            (whole, None)
        } else {
            const AROUND: usize = 50;
            let start = source.boundary(span.start.saturating_sub(AROUND)).max(whole.start);
            let end = source.boundary(span.start + AROUND);
            let line_end = source.text()[span.start..end].find('\n').map_or(end, |i| span.start + i);
            (start..line_end, Some((source.name(), line, column)))
        };
        let text = &source.text()[range.clone()];
        let mut part = Self { source, name: source.name(), range, text, line, origin, marks: Vec::new() };
        part.mark(span, label, primary);
        part
    }

    /// Takes a further place of the same source, if the lines from the first to the last are not too long.
    fn join(&mut self, place: &'a Place, label: &'a str, primary: bool) -> bool {
        if !Arc::ptr_eq(self.source, &place.source) || self.origin.is_some() {
            return false;
        }
        let lines = self.source.lines(&place.span);
        let range = self.range.start.min(lines.start)..self.range.end.max(lines.end);
        if range.len() > LONGEST {
            return false;
        }
        let shift = self.range.start - range.start;
        self.marks.iter_mut().for_each(|(span, _, _)| *span = span.start + shift..span.end + shift);
        self.line = self.source.position(range.start).0;
        self.text = &self.source.text()[range.clone()];
        self.range = range;
        self.mark(self.source.clamp(&place.span), label, primary);
        true
    }

    fn mark(&mut self, span: Range<usize>, label: &'a str, primary: bool) {
        let start = span.start.clamp(self.range.start, self.range.end);
        let end = span.end.clamp(start, self.range.end);
        self.marks.push((start - self.range.start..end - self.range.start, label, primary));
    }

    fn annotations(&self) -> Vec<Annotation<'a>> {
        self.marks
            .iter()
            .map(|(span, label, primary)| {
                let kind = if *primary { AnnotationKind::Primary } else { AnnotationKind::Context };
                let annotation = kind.span(span.clone());
                if label.is_empty() { annotation } else { annotation.label(*label) }
            })
            .collect()
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// All mistakes found in a problem file; at least one.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// From the mistakes found; `None` if there are none.
    pub fn new(mistakes: Vec<Diagnostic>) -> Option<Self> {
        (!mistakes.is_empty()).then_some(Self(mistakes))
    }

    /// The mistakes, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.0.iter()
    }

    /// As text for a terminal, with or without colours.
    pub fn render(&self, colour: bool) -> String {
        self.0.iter().map(|diagnostic| diagnostic.render(colour)).collect::<Vec<_>>().join("\n\n")
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_like_rustc() {
        let file = Source::new("p.toml", "[leader]\nx = \"in [2, 1]\"\n");
        let data = Source::new("d.csv", "a,b\n1,x\n");
        let diagnostic = Diagnostic::new("the set is empty")
            .at(&file.at(14..23), "no number lies in it")
            .also(&file.at(0..8), "in this level")
            .also(&data.at(6..7), "from here")
            .help("swap the bounds");
        let expected = "\
error: the set is empty
 --> p.toml:2:6
  |
1 | [leader]
  | -------- in this level
2 | x = \"in [2, 1]\"
  |      ^^^^^^^^^ no number lies in it
  |
 ::: d.csv:2:3
  |
2 | 1,x
  |   - from here
  |
  = help: swap the bounds";
        assert_eq!(diagnostic.to_string(), expected);
        assert!(diagnostic.render(true).contains("\u{1b}["));
    }

    #[test]
    fn long_lines_and_distant_places_are_cut() {
        let text = format!("{}!{}\n{}here", "a ".repeat(100_000), "b ".repeat(100_000), "\n".repeat(100_000));
        let source = Source::new("big", text);
        let end = source.text().len();
        let shown = Diagnostic::new("m")
            .at(&source.at(200_000..200_001), "mark")
            .also(&source.at(end - 4..end), "far")
            .to_string();
        assert!(shown.len() < 2_000, "{}", shown.len());
        assert!(shown.contains("big:1:200001") && shown.contains("^ mark") && shown.contains("---- far"), "{shown}");
        assert!(shown.contains("100002 | here"), "{shown}");
    }

    #[test]
    fn places_outside_of_the_text_do_no_harm() {
        let source = Source::new("s", "é\n");
        for span in [0..0, 1..1, 1..2, 0..99, 50..99, 3..3] {
            assert!(Diagnostic::new("m").at(&source.at(span), "here").to_string().contains("here"));
        }
        assert!(Diagnostic::new("m").at(&Source::new("e", "").at(0..0), "here").to_string().contains("e:1:1"));
    }
}
