//! Tokens to a syntax tree: a Pratt parser, after Pratt, "Top down operator precedence" (POPL 1973).
//!
//! Every operator has a binding power; `expression(least)` reads operators that bind at least as strongly. The tree is
//! a flat list in which operands come before their operators, so that nothing that reads or drops it recurses. Only
//! parentheses, signs and powers nest the parser's own calls, and their depth is limited; a long sum is a loop.

use super::error::{ParseError, ParseErrorKind, Span};
use super::lexer::{Token, TokenKind, shorten};

/// How deeply parentheses, brackets, signs and powers may nest.
pub const DEPTH_LIMIT: usize = 200;

/// Index of a node in a [`Syntax`].
pub(super) type Id = usize;

/// A syntax node.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Number { value: f64, rounded: bool },
    Name(Span),
    Negate(Id),
    Binary { operator: Operator, left: Id, right: Id },
    Call { name: Span, arguments: Vec<Id> },
    List(Vec<Id>),
    Index { base: Id, indices: Vec<Id> },
    Slice { base: Id, from: Option<Id>, to: Option<Id> },
    Transpose(Id),
}

/// A binary operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
}

impl Operator {
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Power => "^",
        }
    }
}

/// The relation of a constraint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `<=`
    AtMost,
    /// `>=`
    AtLeast,
    /// `==`
    Equal,
}

/// A node with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) span: Span,
}

/// A parsed text: nodes, operands first; the sides of its relations, and the relations with their places.
#[derive(Debug, Default)]
pub(super) struct Syntax {
    pub(super) nodes: Vec<Node>,
    pub(super) sides: Vec<Id>,
    pub(super) compares: Vec<(Compare, Span)>,
}

/// Reads a whole text: one side, or sides with relations between them.
pub(super) fn parse(text: &str, tokens: &[Token]) -> Result<Syntax, ParseError> {
    let mut parser = Parser { text, tokens, at: 0, depth: 0, syntax: Syntax::default() };
    loop {
        let side = parser.expression(0)?;
        parser.syntax.sides.push(side);
        let Some(token) = parser.next() else { return Ok(parser.syntax) };
        match compare(token.kind) {
            Some(compare) => parser.syntax.compares.push((compare, token.span.clone())),
            None => return Err(parser.misplaced(token)),
        }
    }
}

fn compare(kind: TokenKind) -> Option<Compare> {
    match kind {
        TokenKind::AtMost => Some(Compare::AtMost),
        TokenKind::AtLeast => Some(Compare::AtLeast),
        TokenKind::Equal => Some(Compare::Equal),
        _ => None,
    }
}

/// Binding powers: `+ -` 10, `* /` 20, signs 25, `^` 30 to its left and 29 to its right (right associative; a sign on
/// its right belongs to the exponent). So `-x^2` is `-(x^2)` and `2^-1` is a half.
fn binding(kind: TokenKind) -> Option<(Operator, u8, u8)> {
    match kind {
        TokenKind::Plus => Some((Operator::Add, 10, 11)),
        TokenKind::Minus => Some((Operator::Subtract, 10, 11)),
        TokenKind::Times => Some((Operator::Multiply, 20, 21)),
        TokenKind::Divide => Some((Operator::Divide, 20, 21)),
        TokenKind::Power => Some((Operator::Power, 30, 29)),
        _ => None,
    }
}

const SIGN: u8 = 25;

struct Parser<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    depth: usize,
    syntax: Syntax,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<&'a Token> {
        let token = self.peek();
        self.at += usize::from(token.is_some());
        token
    }

    fn add(&mut self, kind: Kind, span: Span) -> Id {
        self.syntax.nodes.push(Node { kind, span });
        self.syntax.nodes.len() - 1
    }

    fn span(&self, id: Id) -> Span {
        self.syntax.nodes[id].span.clone()
    }

    /// Where the last token read ends.
    fn end(&self) -> usize {
        self.at.checked_sub(1).and_then(|i| self.tokens.get(i)).map_or(0, |t| t.span.end)
    }

    fn nested<T>(
        &mut self,
        span: &Span,
        read: impl FnOnce(&mut Self) -> Result<T, ParseError>,
    ) -> Result<T, ParseError> {
        if self.depth >= DEPTH_LIMIT {
            let kind = ParseErrorKind::Depth { limit: DEPTH_LIMIT };
            return Err(ParseError::new(kind, span.clone()).help("split the formula, or remove parentheses and signs"));
        }
        self.depth += 1;
        let result = read(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self, least: u8) -> Result<Id, ParseError> {
        let mut left = self.operand()?;
        while let Some(token) = self.peek() {
            let Some((operator, left_power, right_power)) = binding(token.kind) else { break };
            if left_power < least {
                break;
            }
            self.at += 1;
            let right = if operator == Operator::Power {
                self.nested(&token.span, |p| p.expression(right_power))?
            } else {
                self.expression(right_power)?
            };
            // A parenthesised operand's span has no parentheses: take them in.
            let span = self.span(left).start..self.end();
            left = self.add(Kind::Binary { operator, left, right }, span);
        }
        Ok(left)
    }

    /// A number, name, call, list, parenthesis or signed operand, with what is attached to its right.
    fn operand(&mut self) -> Result<Id, ParseError> {
        let Some(token) = self.next() else { return Err(self.missing("a number, a name or `(`")) };
        let span = token.span.clone();
        let operand = match token.kind {
            TokenKind::Number { value, rounded } => self.add(Kind::Number { value, rounded }, span),
            TokenKind::Name => match self.peek().map(|t| t.kind) {
                Some(TokenKind::LeftParenthesis) => self.call(span)?,
                _ => self.add(Kind::Name(span.clone()), span),
            },
            TokenKind::Minus => {
                let inner = self.nested(&span, |p| p.expression(SIGN))?;
                let end = self.end();
                return Ok(self.add(Kind::Negate(inner), span.start..end));
            }
            TokenKind::Plus => return self.nested(&span, |p| p.expression(SIGN)),
            TokenKind::LeftParenthesis => {
                let inner = self.nested(&span, |p| p.expression(0))?;
                self.close(&span, TokenKind::RightParenthesis, "`)`")?;
                // The place of what stands in parentheses includes them, so that carets show the whole operand.
                self.syntax.nodes[inner].span = span.start..self.end();
                inner
            }
            TokenKind::LeftBracket => {
                let items = self.list(&span, TokenKind::RightBracket, "`,` or `]`")?;
                let end = self.end();
                self.add(Kind::List(items), span.start..end)
            }
            _ => return Err(self.unexpected(token, "a number, a name or `(`")),
        };
        self.attached(operand)
    }

    /// Quotes and brackets behind an operand.
    fn attached(&mut self, mut operand: Id) -> Result<Id, ParseError> {
        while let Some(token) = self.peek() {
            let start = self.span(operand).start;
            operand = match token.kind {
                TokenKind::Quote => {
                    self.at += 1;
                    self.add(Kind::Transpose(operand), start..token.span.end)
                }
                TokenKind::LeftBracket => {
                    self.at += 1;
                    let kind = self.brackets(operand, &token.span)?;
                    let end = self.end();
                    self.add(kind, start..end)
                }
                _ => break,
            };
        }
        Ok(operand)
    }

    /// The inside of `x[i]`, `A[i, j]`, `x[from..to]`, `x[from..]`, `x[..to]`.
    fn brackets(&mut self, base: Id, open: &Span) -> Result<Kind, ParseError> {
        let at_dots = |p: &Self| p.peek().is_some_and(|t| t.kind == TokenKind::Dots);
        let from = if at_dots(self) { None } else { Some(self.nested(open, |p| p.expression(0))?) };
        if at_dots(self) {
            self.at += 1;
            let closed = self.peek().is_some_and(|t| t.kind == TokenKind::RightBracket);
            let to = if closed { None } else { Some(self.nested(open, |p| p.expression(0))?) };
            self.close(open, TokenKind::RightBracket, "`]`")?;
            return Ok(Kind::Slice { base, from, to });
        }
        let mut indices: Vec<Id> = from.into_iter().collect();
        while self.peek().is_some_and(|t| t.kind == TokenKind::Comma) {
            self.at += 1;
            indices.push(self.nested(open, |p| p.expression(0))?);
        }
        self.close(open, TokenKind::RightBracket, "`]`")?;
        Ok(Kind::Index { base, indices })
    }

    fn call(&mut self, name: Span) -> Result<Id, ParseError> {
        let open = self.next().map_or(name.clone(), |t| t.span.clone());
        let arguments = self.list(&open, TokenKind::RightParenthesis, "`,` or `)`")?;
        let span = name.start..self.end();
        Ok(self.add(Kind::Call { name, arguments }, span))
    }

    /// Expressions with commas between them, to the closing bracket.
    fn list(&mut self, open: &Span, close: TokenKind, expected: &'static str) -> Result<Vec<Id>, ParseError> {
        let mut items = Vec::new();
        if self.peek().is_some_and(|t| t.kind == close) {
            self.at += 1;
            return Ok(items);
        }
        loop {
            items.push(self.nested(open, |p| p.expression(0))?);
            match self.peek() {
                Some(token) if token.kind == TokenKind::Comma => self.at += 1,
                _ => break self.close(open, close, expected)?,
            }
        }
        Ok(items)
    }

    fn close(&mut self, open: &Span, kind: TokenKind, expected: &'static str) -> Result<(), ParseError> {
        match self.next() {
            Some(token) if token.kind == kind => Ok(()),
            Some(token) => Err(self.unexpected(token, expected).other(open.clone(), "opened here")),
            None => Err(self.missing(expected).other(open.clone(), "opened here")),
        }
    }

    /// The text ends too soon.
    fn missing(&self, expected: &'static str) -> ParseError {
        let end = self.text.trim_end().len();
        let found = if end == 0 { "nothing" } else { "the end of the formula" };
        let kind = ParseErrorKind::Unexpected { expected, found: found.to_string() };
        ParseError::new(kind, end..end).help("complete the formula")
    }

    fn unexpected(&self, token: &Token, expected: &'static str) -> ParseError {
        let found = format!("`{}`", shorten(&self.text[token.span.clone()]));
        let kind = ParseErrorKind::Unexpected { expected, found };
        let help = match token.kind {
            TokenKind::Name | TokenKind::Number { .. } | TokenKind::LeftParenthesis => {
                "an operator is missing before it; multiplication is written with `*`"
            }
            TokenKind::Dots => "a range belongs in brackets behind a vector: `x[0..3]`",
            TokenKind::Quote => "a quote transposes the matrix before it: `A'*v`",
            TokenKind::AtMost | TokenKind::AtLeast | TokenKind::Equal => {
                "a relation stands between two whole formulas, outside of all parentheses"
            }
            _ => "remove it, or complete what stands before it",
        };
        ParseError::new(kind, token.span.clone()).help(help)
    }

    /// A token where an operator or the end should be.
    fn misplaced(&self, token: &Token) -> ParseError {
        match token.kind {
            TokenKind::RightParenthesis | TokenKind::RightBracket => {
                self.unexpected(token, "an operator or the end").help("nothing was opened that it could close")
            }
            _ => self.unexpected(token, "an operator or the end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::tokens;
    use super::*;

    fn tree(text: &str) -> Result<String, ParseError> {
        let syntax = parse(text, &tokens(text)?)?;
        Ok(syntax.sides.iter().map(|&side| show(text, &syntax, side)).collect::<Vec<_>>().join(" ? "))
    }

    fn show(text: &str, syntax: &Syntax, id: Id) -> String {
        let show = |&id: &Id| show(text, syntax, id);
        let node = &syntax.nodes[id];
        match &node.kind {
            Kind::Number { value, .. } => format!("{value}"),
            Kind::Name(name) => text[name.clone()].to_string(),
            Kind::Negate(inner) => format!("(- {})", show(inner)),
            Kind::Binary { operator, left, right } => {
                format!("({} {} {})", operator.symbol(), show(left), show(right))
            }
            Kind::Call { name, arguments } => {
                format!("({} {})", &text[name.clone()], arguments.iter().map(show).collect::<Vec<_>>().join(" "))
            }
            Kind::List(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
            Kind::Index { base, indices } => {
                format!("(at {} {})", show(base), indices.iter().map(show).collect::<Vec<_>>().join(" "))
            }
            Kind::Slice { base, from, to } => {
                let side = |id: &Option<Id>| id.as_ref().map_or("_".to_string(), show);
                format!("(slice {} {} {})", show(base), side(from), side(to))
            }
            Kind::Transpose(inner) => format!("(' {})", show(inner)),
        }
    }

    #[test]
    fn precedence_and_associativity() {
        for (text, expected) in [
            ("1 - 2 - 3", "(- (- 1 2) 3)"),
            ("1 + 2*3 - 4/5/6", "(- (+ 1 (* 2 3)) (/ (/ 4 5) 6))"),
            ("2^3^4", "(^ 2 (^ 3 4))"),
            ("-x^2", "(- (^ x 2))"),
            ("2^-1", "(^ 2 (- 1))"),
            ("2^-x^2*3", "(* (^ 2 (- (^ x 2))) 3)"),
            ("2*-x", "(* 2 (- x))"),
            ("-x*y", "(* (- x) y)"),
            ("--x", "(- (- x))"),
            ("+x - +y", "(- x y)"),
            ("(1 + 2)*3", "(* (+ 1 2) 3)"),
            ("A'*w", "(* (' A) w)"),
            ("x[0]^2", "(^ (at x 0) 2)"),
            ("x[1..3]", "(slice x 1 3)"),
            ("x[..3] + x[1..]", "(+ (slice x _ 3) (slice x 1 _))"),
            ("A[0, 1]", "(at A 0 1)"),
            ("max(x, [1, y], f())", "(max x [1 y] (f ))"),
            ("x + y <= 3", "(+ x y) ? 3"),
        ] {
            assert_eq!(tree(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, place, message) in [
            ("", 0..0, "found nothing"),
            ("1 + ", 3..3, "the end of the formula"),
            ("(1 + 2", 6..6, "expected `)`"),
            ("max(1, 2", 8..8, "expected `,` or `)`"),
            ("1 + 2)", 5..6, "found `)`"),
            ("2x", 1..2, "found `x`"),
            ("x y", 2..3, "found `y`"),
            ("* 2", 0..1, "found `*`"),
            ("x[0", 3..3, "expected `]`"),
            ("x[]", 2..3, "found `]`"),
            ("max(1,)", 6..7, "found `)`"),
            ("(x <= 1)", 3..5, "expected `)`"),
            ("0..3", 1..3, "found `..`"),
        ] {
            let error = tree(text).unwrap_err();
            assert_eq!(error.span, place, "{text}: {error}");
            assert!(error.to_string().contains(message), "{text}: {error}");
            assert!(error.help.is_some(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        let deep = 10_000;
        for text in [
            format!("{}x{}", "(".repeat(deep), ")".repeat(deep)),
            format!("{}x", "-".repeat(deep)),
            format!("{}x", "+".repeat(deep)),
            format!("x{}", "^x".repeat(deep)),
            format!("{}x{}", "exp(".repeat(deep), ")".repeat(deep)),
            format!("{}x{}", "[".repeat(deep), "]".repeat(deep)),
            format!("{}0{}", "x[".repeat(deep), "]".repeat(deep)),
        ] {
            assert!(matches!(tree(&text).unwrap_err().kind, ParseErrorKind::Depth { limit: DEPTH_LIMIT }));
        }
        let fits = format!("{}x{}", "(".repeat(DEPTH_LIMIT), ")".repeat(DEPTH_LIMIT));
        assert_eq!(tree(&fits).as_deref(), Ok("x"));
    }

    #[test]
    fn long_flat_formulas_are_loops() {
        let sum = vec!["x"; 100_000].join(" + ");
        let syntax = parse(&sum, &tokens(&sum).unwrap()).unwrap();
        assert_eq!(syntax.nodes.len(), 199_999);
        let quotes = format!("x{}", "'".repeat(100_000));
        assert_eq!(parse(&quotes, &tokens(&quotes).unwrap()).unwrap().nodes.len(), 100_001);
    }
}
