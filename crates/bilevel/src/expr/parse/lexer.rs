//! Text to tokens, each with its place.

use super::decimal::read_decimal;
use super::error::{ParseError, ParseErrorKind, Span};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TokenKind {
    /// A number, and whether its decimal differs from the `f64`.
    Number {
        /// The nearest `f64`.
        value: f64,
        /// Whether the decimal is another number.
        rounded: bool,
    },
    /// A name, dots included: `x`, `train.X`.
    Name,
    /// `+`
    Plus,
    /// `-`
    Minus,
    /// `*`
    Times,
    /// `/`
    Divide,
    /// `^`
    Power,
    /// `'`
    Quote,
    /// `(`
    LeftParenthesis,
    /// `)`
    RightParenthesis,
    /// `[`
    LeftBracket,
    /// `]`
    RightBracket,
    /// `,`
    Comma,
    /// `..`
    Dots,
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

/// A token and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is.
    pub span: Span,
}

/// The longest text of a formula, in bytes: room for about 200,000 terms.
const LONGEST: usize = 4 << 20;

/// The tokens of a text.
///
/// # Errors
/// For a text of more than 4 MB; at the first character that no token starts with, and at a number that cannot be read.
pub fn tokens(text: &str) -> Result<Vec<Token>, ParseError> {
    if text.len() > LONGEST {
        let kind = ParseErrorKind::Invalid(format!("a formula of {} MB is too long", text.len() >> 20));
        return Err(
            ParseError::new(kind, 0..0).help("a formula may have 4 MB; use vectors and matrices instead of many terms")
        );
    }
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        let start = at;
        if character.is_whitespace() {
            at += character.len_utf8();
            continue;
        }
        let kind = if starts_name(character) {
            at = name_end(text, at);
            TokenKind::Name
        } else if starts_number(&text.as_bytes()[at..]) {
            at = number_end(text.as_bytes(), at);
            number(text, start..at)?
        } else {
            let (kind, length) = symbol(&text[at..]).ok_or_else(|| unexpected(&text[at..], character, start))?;
            at += length;
            kind
        };
        tokens.push(Token { kind, span: start..at });
    }
    Ok(tokens)
}

/// Whether `name` can be the name of a variable or a constant: letters, digits and underscores, not starting with a
/// digit, and not one of the words `in` and `inf`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(starts_name) && name.chars().all(continues_name) && name != "in" && name != "inf"
}

fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The end of the name that starts at `at`; a dot belongs to it if another name follows.
fn name_end(text: &str, at: usize) -> usize {
    let mut end = at;
    loop {
        let rest = &text[end..];
        end += rest.find(|c| !continues_name(c)).unwrap_or(rest.len());
        match text[end..].strip_prefix('.') {
            Some(after) if after.starts_with(starts_name) => end += 1,
            _ => return end,
        }
    }
}

fn starts_number(bytes: &[u8]) -> bool {
    match bytes {
        [b'.', second, ..] => second.is_ascii_digit(),
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    }
}

/// The end of the number that starts at `at`. In `0..3` the dots are not part of it.
fn number_end(bytes: &[u8], mut at: usize) -> usize {
    let digits = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    at = digits(at);
    if bytes.get(at) == Some(&b'.') && bytes.get(at + 1) != Some(&b'.') {
        at = digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        let end = digits(at + 1 + sign);
        if end > at + 1 + sign {
            at = end;
        }
    }
    at
}

fn number(text: &str, span: Span) -> Result<TokenKind, ParseError> {
    match read_decimal(&text[span.clone()]) {
        Some((value, rounded)) => Ok(TokenKind::Number { value, rounded }),
        None => {
            let text = shorten(&text[span.clone()]);
            let kind = ParseErrorKind::Number { text, problem: "is too large a number" };
            Err(ParseError::new(kind, span).help("the largest number is about 1.8e308; write `inf` for no bound"))
        }
    }
}

/// At most 40 characters of `text`.
pub(super) fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_string(),
    }
}

fn symbol(rest: &str) -> Option<(TokenKind, usize)> {
    const SYMBOLS: [(&str, TokenKind); 20] = [
        ("<=", TokenKind::AtMost),
        (">=", TokenKind::AtLeast),
        ("==", TokenKind::Equal),
        ("≤", TokenKind::AtMost),
        ("≥", TokenKind::AtLeast),
        ("−", TokenKind::Minus),
        ("·", TokenKind::Times),
        ("×", TokenKind::Times),
        ("..", TokenKind::Dots),
        ("+", TokenKind::Plus),
        ("-", TokenKind::Minus),
        ("*", TokenKind::Times),
        ("/", TokenKind::Divide),
        ("^", TokenKind::Power),
        ("'", TokenKind::Quote),
        ("(", TokenKind::LeftParenthesis),
        (")", TokenKind::RightParenthesis),
        ("[", TokenKind::LeftBracket),
        ("]", TokenKind::RightBracket),
        (",", TokenKind::Comma),
    ];
    if rest.starts_with("**") {
        return None;
    }
    SYMBOLS.iter().find(|(text, _)| rest.starts_with(text)).map(|(text, kind)| (*kind, text.len()))
}

fn unexpected(rest: &str, character: char, start: usize) -> ParseError {
    let help = match character {
        '*' => "powers are written with `^`",
        '@' => "a matrix times a vector is written with `*`",
        '=' => "equations are written with `==`",
        '<' => "inequalities are written with `<=`",
        '>' => "inequalities are written with `>=`",
        '²' => "powers are written with `^`: `x^2`",
        '{' | '}' => "use parentheses `( )`",
        '|' => "absolute values and norms are functions: `abs(x)`, `norm2(x)`",
        ':' => "a slice is written `x[0..3]`",
        _ => "formulas consist of numbers, names, `+ - * / ^ ( ) [ ] , '` and, in constraints, `<= >= ==`",
    };
    let length = if rest.starts_with("**") { 2 } else { character.len_utf8() };
    ParseError::new(ParseErrorKind::Character(character), start..start + length).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<TokenKind> {
        tokens(text).unwrap().into_iter().map(|t| t.kind).collect()
    }

    #[test]
    fn numbers_and_ranges() {
        let number = |value| TokenKind::Number { value, rounded: false };
        assert_eq!(kinds("1"), [number(1.0)]);
        assert_eq!(kinds("1.5 .5 2. 1e3 2.5E-1"), [1.5, 0.5, 2.0, 1000.0, 0.25].map(number));
        assert_eq!(kinds("0..3"), [number(0.0), TokenKind::Dots, number(3.0)]);
        assert_eq!(kinds("1.5..3"), [number(1.5), TokenKind::Dots, number(3.0)]);
        assert_eq!(kinds("2e"), [number(2.0), TokenKind::Name]);
        assert_eq!(kinds("2e+"), [number(2.0), TokenKind::Name, TokenKind::Plus]);
        assert_eq!(kinds("0.1"), [TokenKind::Number { value: 0.1, rounded: true }]);
    }

    #[test]
    fn names_keep_their_dots() {
        let spans = |text| tokens(text).unwrap().into_iter().map(|t: Token| t.span).collect::<Vec<_>>();
        assert_eq!(spans("train.X*w_1"), [0..7, 7..8, 8..11]);
        assert_eq!(spans("a..b"), [0..1, 1..3, 3..4]);
        assert_eq!(spans("λ' "), [0..2, 2..3]);
    }

    #[test]
    fn characters_of_other_languages_get_advice() {
        for (text, place, advice) in [
            ("x**2", 1..3, "`^`"),
            ("A @ w", 2..3, "`*`"),
            ("x = 1", 2..3, "`==`"),
            ("x < 1", 2..3, "`<=`"),
            ("x[0:2]", 3..4, "`x[0..3]`"),
            ("{x}", 0..1, "parentheses"),
            ("x # y", 2..3, "formulas consist"),
            ("a\0", 1..2, "formulas consist"),
        ] {
            let error = tokens(text).unwrap_err();
            assert_eq!(error.span, place, "{text}");
            assert!(error.help.as_deref().unwrap().contains(advice), "{text}: {error}");
        }
        assert!(matches!(tokens("1e999").unwrap_err().kind, ParseErrorKind::Number { .. }));
    }

    #[test]
    fn texts_of_absurd_length_are_refused() {
        assert!(tokens(&" ".repeat(LONGEST)).is_ok());
        assert!(matches!(tokens(&" ".repeat(LONGEST + 1)).unwrap_err().kind, ParseErrorKind::Invalid(_)));
    }

    #[test]
    fn names_that_a_variable_may_have() {
        assert!(["x", "_a", "x1", "λ", "infinity"].into_iter().all(is_name));
        assert!(["", "1x", "a.b", "in", "inf", "a b", "x-y"].into_iter().all(|n| !is_name(n)));
    }
}
