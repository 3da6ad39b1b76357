//! Where a part of a TOML string stands in the file: quotes, escapes and line ends between the two are accounted for.

use std::ops::Range;

use crate::source::Place;

/// The place of the bytes `span` of `value`, the string that was read from `place`.
pub(crate) fn locate(place: &Place, value: &str, span: &Range<usize>) -> Place {
    let raw = place.text();
    let start = raw_offset(raw, value, span.start);
    let end = if span.end > span.start { raw_offset(raw, value, span.end) } else { start };
    let base = place.span.start;
    // An empty span at the end of the text points at the closing quote.
    let end = if end == start && start < raw.len() { start + 1 } else { end };
    place.source.at(base + start..base + end.max(start))
}

fn raw_offset(raw: &str, value: &str, wanted: usize) -> usize {
    let (mut at, basic) = opening(raw);
    let mut seen = 0;
    while seen < wanted {
        let (Some(written), Some(read)) = (next(raw, at), next(value, seen)) else { break };
        if basic && written == '\\' {
            let rest = raw.get(at + 1..).unwrap_or_default();
            match rest.chars().next() {
                Some(c) if c.is_whitespace() => {
                    // A backslash at the end of a line: it and all white space behind it stand for nothing.
                    at += 1 + (rest.len() - rest.trim_start().len());
                    continue;
                }
                Some('u') => at += 6,
                Some('U') => at += 10,
                Some('x') => at += 4,
                Some(c) => at += 1 + c.len_utf8(),
                None => break,
            }
        } else if written == '\r' && read != '\r' {
            at += 1;
            continue;
        } else {
            at += written.len_utf8();
        }
        seen += read.len_utf8();
    }
    at.min(raw.len())
}

/// The length of the opening quotes (and of a line end right behind three of them), and whether escapes count.
fn opening(raw: &str) -> (usize, bool) {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(rest) = raw.strip_prefix(quotes) {
            let line_end = ["\r\n", "\n"].iter().find(|end| rest.starts_with(**end)).map_or(0, |end| end.len());
            return (3 + line_end, quotes.starts_with('"'));
        }
    }
    (usize::from(raw.starts_with(['"', '\''])), raw.starts_with('"'))
}

fn next(text: &str, at: usize) -> Option<char> {
    text.get(at..)?.chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;
    use crate::tree::{Value, parse};

    /// What stands in the file where `part` stands in the string.
    fn located(toml: &str, part: &str) -> String {
        let source = Source::new("t", toml);
        let table = parse(&source).unwrap();
        let node = &table.get("a").unwrap().node;
        let Value::String(value) = &node.value else { panic!() };
        let start = value.find(part).unwrap();
        locate(&node.place, value, &(start..start + part.len())).text().to_string()
    }

    #[test]
    fn parts_are_found_in_every_kind_of_string() {
        assert_eq!(located("a = 'x + yy'", "yy"), "yy");
        assert_eq!(located("a = \"x + yy\"", "yy"), "yy");
        assert_eq!(located("a = '''\nx +\n yy'''", "yy"), "yy");
        assert_eq!(located("a = \"\"\"\r\nx +\r\n yy\"\"\"", "yy"), "yy");
        assert_eq!(located("a = \"\\u0078\\t+ yy\"", "yy"), "yy");
        assert_eq!(located("a = \"\"\"x + \\\n   yy\"\"\"", "yy"), "\\\n   yy");
        assert_eq!(located("a = \"é \\\"q\\\" yy\"", "yy"), "yy");
        assert_eq!(located("a = \"x\\U0001F600 yy\"", "yy"), "yy");
    }

    #[test]
    fn the_end_of_a_text_is_the_closing_quote() {
        let source = Source::new("t", "a = 'x +'");
        let table = parse(&source).unwrap();
        let node = &table.get("a").unwrap().node;
        assert_eq!(locate(&node.place, "x +", &(3..3)).span, 8..9);
    }
}
