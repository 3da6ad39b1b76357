//! The text of a variable: its shape and its set.
//!
//! ```text
//! variable := shape? restriction? | set
//! shape    := 'scalar' | 'vector' '(' n ')'
//! restriction := 'in' '[' lower ',' upper ']' | 'free' | 'nonnegative'
//! set      := 'simplex' '(' n (',' total)? ')' | ('ball' | 'l1ball') '(' n ',' radius (',' centre)? ')'
//!           | 'halfspace' '(' a ',' b ')'
//!           | ('polyhedron' | 'affine') '(' A ',' b ')' ('in' '[' lower ',' upper ']')?
//! ```

use std::ops::Range;

use bilevel::expr::Matrix;
use bilevel::expr::Shape;
use bilevel::expr::parse::{
    ParseError, ParseErrorKind, ParsedConstant, ParsedData, Scope, Token, TokenKind, closest, parse_data, tokens,
};
use bilevel::set::{Affine, Ball, Bounds, Halfspace, L1Ball, Orthant, Polyhedron, Set, SetError, Simplex, Whole};
use bilevel_linalg::Csr;

/// The most scalar variables of a problem.
pub(crate) const VARIABLE_LIMIT: usize = 1_000_000;

/// What a variable's text says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Declared {
    pub(crate) shape: Shape,
    pub(crate) set: Set,
}

const FORMS: &str = "for example \"in [0, 1]\", \"vector(3) in [0, inf]\", \"vector(2)\", \"simplex(4)\", \"ball(3, 1.5)\", \"l1ball(3, 1.5)\"";

const WORDS: [&str; 11] =
    ["scalar", "vector", "in", "free", "nonnegative", "simplex", "ball", "l1ball", "halfspace", "polyhedron", "affine"];

/// Reads a variable's text; sizes and bounds may use the constants of `scope`.
pub(crate) fn parse(text: &str, scope: &Scope) -> Result<Declared, ParseError> {
    let tokens = tokens(text)?;
    let mut reader = Reader { text, tokens: &tokens, at: 0, scope };
    let declared = reader.declaration()?;
    match reader.peek() {
        None => Ok(declared),
        Some(token) => Err(unexpected("nothing more", &text[token.span.clone()], token.span.clone())),
    }
}

struct Reader<'a> {
    text: &'a str,
    tokens: &'a [Token],
    at: usize,
    scope: &'a Scope,
}

/// An argument: a constant or a matrix, and its place.
struct Argument {
    data: ParsedData,
    span: Range<usize>,
}

impl Argument {
    /// The constant; an error for a matrix.
    fn constant(&self) -> Result<&ParsedConstant, ParseError> {
        match &self.data {
            ParsedData::Values(constant) => Ok(constant),
            ParsedData::Matrix(_) => Err(self.wrong("a number or a vector", "a matrix".to_string())),
        }
    }

    fn wrong(&self, expected: &'static str, found: String) -> ParseError {
        let kind = ParseErrorKind::Argument { function: "a variable", expected, found };
        ParseError::new(kind, self.span.clone()).help(FORMS)
    }
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn word(&self) -> Option<(&'a str, Range<usize>)> {
        let token = self.peek().filter(|token| token.kind == TokenKind::Name)?;
        Some((&self.text[token.span.clone()], token.span.clone()))
    }

    fn declaration(&mut self) -> Result<Declared, ParseError> {
        let Some((word, span)) = self.word() else {
            let (found, span) = self.found();
            return Err(unexpected("a shape or a set", &found, span));
        };
        let shape = match word {
            "scalar" => {
                self.at += 1;
                Shape::Scalar
            }
            "vector" => {
                self.at += 1;
                let (arguments, place) = self.arguments()?;
                let [n] = arguments.as_slice() else { return Err(count("vector", "one size: `vector(3)`", place)) };
                Shape::Vector(size(n)?)
            }
            "in" | "free" | "nonnegative" => Shape::Scalar,
            "simplex" | "ball" | "l1ball" | "halfspace" => {
                self.at += 1;
                let (arguments, place) = self.arguments()?;
                return named_set(word, &arguments, place);
            }
            "polyhedron" | "affine" => {
                self.at += 1;
                let (arguments, place) = self.arguments()?;
                return self.rows(word, &arguments, place);
            }
            _ => return Err(unknown(word, span)),
        };
        let set = self.restriction(shape)?;
        Ok(Declared { shape, set })
    }

    fn restriction(&mut self, shape: Shape) -> Result<Set, ParseError> {
        let n = shape.len();
        let Some(token) = self.peek() else { return Ok(Whole::new(n).into()) };
        let word = &self.text[token.span.clone()];
        match word {
            "free" => {
                self.at += 1;
                Ok(Whole::new(n).into())
            }
            "nonnegative" => {
                self.at += 1;
                Ok(Orthant::new(n).into())
            }
            "in" => {
                self.at += 1;
                self.bounds(n)
            }
            _ if token.kind == TokenKind::Name => Err(unknown(word, token.span.clone())),
            _ => Err(unexpected("`in [lower, upper]`", word, token.span.clone())),
        }
    }

    /// `[lower, upper]`, each a number for all components, or one number for each.
    fn bounds(&mut self, n: usize) -> Result<Set, ParseError> {
        let ([lower, upper], place) = self.interval(n)?;
        if lower.iter().all(|&l| l == f64::NEG_INFINITY) && upper.iter().all(|&u| u == f64::INFINITY) {
            return Ok(Whole::new(n).into());
        }
        Bounds::from_vectors(lower, upper).map(Set::from).map_err(|error| set_error(&error, place))
    }

    fn interval(&mut self, n: usize) -> Result<([Vec<f64>; 2], Range<usize>), ParseError> {
        let (parts, place) = self.list(TokenKind::LeftBracket, TokenKind::RightBracket, "`[lower, upper]`")?;
        let [lower, upper] = parts.as_slice() else {
            return Err(count("in", "a lower and an upper bound: `in [0, 1]`", place));
        };
        Ok(([entries(lower, n)?, entries(upper, n)?], place))
    }

    /// `polyhedron(A, b)` or `affine(A, b)`, perhaps with bounds behind it.
    fn rows(&mut self, word: &str, arguments: &[Argument], place: Range<usize>) -> Result<Declared, ParseError> {
        let [a, b] = arguments else {
            return Err(count("polyhedron", "a matrix and a vector: `polyhedron(A, b)`", place));
        };
        let ParsedData::Matrix(matrix) = &a.data else {
            return Err(a.wrong("a matrix", format!("a {}", a.constant()?.shape)));
        };
        let n = matrix.cols();
        if n > VARIABLE_LIMIT {
            return Err(a.wrong("at most 1000000 columns", n.to_string()));
        }
        let rows = sparse(matrix).ok_or_else(|| a.wrong("a matrix", "none".to_string()))?;
        let upper = entries(b, matrix.rows())?;
        let lower = if word == "affine" { upper.clone() } else { vec![f64::NEG_INFINITY; upper.len()] };
        let set = if self.word().is_some_and(|(word, _)| word == "in") {
            self.at += 1;
            let ([low, high], _) = self.interval(n)?;
            Polyhedron::new(&rows, &lower, &upper, &low, &high).map(Set::from)
        } else if word == "affine" {
            Affine::new(rows, upper).map(Set::from)
        } else {
            let (low, high) = (vec![f64::NEG_INFINITY; n], vec![f64::INFINITY; n]);
            Polyhedron::new(&rows, &lower, &upper, &low, &high).map(Set::from)
        };
        let set = set.map_err(|error| set_error(&error, place))?;
        Ok(Declared { shape: Shape::Vector(n), set })
    }

    fn arguments(&mut self) -> Result<(Vec<Argument>, Range<usize>), ParseError> {
        self.list(TokenKind::LeftParenthesis, TokenKind::RightParenthesis, "`(`")
    }

    /// Constants between brackets, with commas between them; and the place of the whole.
    fn list(
        &mut self,
        open: TokenKind,
        close: TokenKind,
        expected: &'static str,
    ) -> Result<(Vec<Argument>, Range<usize>), ParseError> {
        let Some(first) = self.peek().filter(|token| token.kind == open) else {
            let (found, span) = self.found();
            return Err(unexpected(expected, &found, span));
        };
        self.at += 1;
        let mut arguments = Vec::new();
        loop {
            let start = self.at;
            let end = self.part_end();
            let from = self.tokens.get(start.wrapping_sub(1)).map_or(0, |token| token.span.end);
            let Some(token) = self.tokens.get(end) else {
                let error = unexpected("a closing bracket", "the end", self.text.len()..self.text.len());
                return Err(error.other(first.span.clone(), "opened here"));
            };
            let to = token.span.start;
            let trimmed = self.text[from..to].trim_start();
            let from = to - trimmed.len();
            let span = from..from + trimmed.trim_end().len();
            self.at = end + 1;
            if token.kind == close && arguments.is_empty() && span.is_empty() {
                return Ok((arguments, first.span.start..token.span.end));
            }
            let data = parse_data(&self.text[span.clone()], self.scope).map_err(|error| error.shifted(span.start))?;
            arguments.push(Argument { data, span });
            if token.kind == close {
                return Ok((arguments, first.span.start..token.span.end));
            }
            if token.kind != TokenKind::Comma {
                return Err(unexpected("`,` or the other bracket", &self.text[token.span.clone()], token.span.clone()));
            }
        }
    }

    /// The index of the token that ends the part at the current token: a comma or bracket outside of inner brackets.
    fn part_end(&self) -> usize {
        let mut depth = 0_usize;
        for (i, token) in self.tokens.iter().enumerate().skip(self.at) {
            match token.kind {
                TokenKind::LeftBracket | TokenKind::LeftParenthesis => depth += 1,
                TokenKind::RightBracket | TokenKind::RightParenthesis if depth == 0 => return i,
                TokenKind::RightBracket | TokenKind::RightParenthesis => depth -= 1,
                TokenKind::Comma if depth == 0 => return i,
                _ => {}
            }
        }
        self.tokens.len()
    }

    fn found(&self) -> (String, Range<usize>) {
        match self.peek() {
            Some(token) => (self.text[token.span.clone()].to_string(), token.span.clone()),
            None => ("the end".to_string(), self.text.len()..self.text.len()),
        }
    }
}

fn unexpected(expected: &'static str, found: &str, span: Range<usize>) -> ParseError {
    let found = if found == "the end" { found.to_string() } else { crate::data::quoted(found) };
    ParseError::new(ParseErrorKind::Unexpected { expected, found }, span).help(FORMS)
}

fn unknown(word: &str, span: Range<usize>) -> ParseError {
    let help = match closest(word, WORDS) {
        Some(near) => format!("did you mean `{near}`?"),
        None => FORMS.to_string(),
    };
    ParseError::new(ParseErrorKind::UnknownName(word.to_string()), span).help(help)
}

fn count(function: &'static str, expected: &'static str, span: Range<usize>) -> ParseError {
    let kind = ParseErrorKind::Argument { function, expected, found: "another number of values".to_string() };
    ParseError::new(kind, span).help(FORMS)
}

fn set_error(error: &SetError, span: Range<usize>) -> ParseError {
    let help = match error {
        SetError::EmptyInterval { .. } => "every lower bound must be at most the upper bound",
        SetError::Empty { .. } | SetError::Inconsistent { .. } => "the conditions contradict each other",
        _ => FORMS,
    };
    ParseError::new(ParseErrorKind::Invalid(error.to_string()), span).help(help)
}

fn sparse(matrix: &Matrix) -> Option<Csr> {
    match matrix {
        Matrix::Sparse(a) => Some(Csr::clone(a)),
        Matrix::Dense(a) => {
            let mut triplets = Vec::new();
            matrix.for_each(|i, j, value| {
                if value != 0.0 {
                    triplets.push((i, j, value));
                }
            });
            Csr::from_triplets(a.rows(), a.cols(), &triplets)
        }
    }
}

fn scalar(argument: &Argument, expected: &'static str) -> Result<f64, ParseError> {
    let constant = argument.constant()?;
    match (constant.shape, constant.values.as_slice()) {
        (Shape::Scalar, &[value]) => Ok(value),
        _ => Err(argument.wrong(expected, format!("a {}", constant.shape))),
    }
}

fn size(argument: &Argument) -> Result<usize, ParseError> {
    let value = scalar(argument, "a size")?;
    if value.fract() != 0.0 || value < 1.0 {
        return Err(argument.wrong("a whole number from 1 as its size", value.to_string()));
    }
    if value > VARIABLE_LIMIT as f64 {
        return Err(argument.wrong("at most 1000000 entries", value.to_string()));
    }
    Ok(value as usize)
}

/// `n` numbers from one for all or one for each.
fn entries(argument: &Argument, n: usize) -> Result<Vec<f64>, ParseError> {
    let constant = argument.constant()?;
    let values = &constant.values;
    match constant.shape {
        Shape::Scalar => Ok(vec![values.first().copied().unwrap_or(f64::NAN); n]),
        Shape::Vector(length) if length == n => Ok(values.clone()),
        Shape::Vector(length) => {
            let message = format!("{length} bounds for {n} components");
            Err(ParseError::new(ParseErrorKind::Invalid(message), argument.span.clone())
                .help("give one number for all components, or one for each"))
        }
    }
}

fn named_set(word: &str, arguments: &[Argument], place: Range<usize>) -> Result<Declared, ParseError> {
    let (n, set) = match (word, arguments) {
        ("simplex", [n]) => (size(n)?, Simplex::new(size(n)?, 1.0).map(Set::from)),
        ("simplex", [n, total]) => (size(n)?, Simplex::new(size(n)?, scalar(total, "a total")?).map(Set::from)),
        ("simplex", _) => return Err(count("simplex", "a size and perhaps a total: `simplex(4)`", place)),
        ("ball" | "l1ball", [n, radius, rest @ ..]) if rest.len() <= 1 => {
            let n = size(n)?;
            let centre = rest.first().map_or_else(|| Ok(vec![0.0; n]), |centre| entries(centre, n))?;
            let radius = scalar(radius, "a radius")?;
            let set = match word {
                "ball" => Ball::new(centre, radius).map(Set::from),
                _ => L1Ball::new(centre, radius).map(Set::from),
            };
            (n, set)
        }
        ("ball", _) => return Err(count("ball", "a size and a radius: `ball(3, 1.5)`", place)),
        ("l1ball", _) => return Err(count("l1ball", "a size and a radius: `l1ball(3, 1.5)`", place)),
        ("halfspace", [normal, bound]) => {
            let values = normal.constant()?.values.clone();
            (values.len(), Halfspace::new(values, scalar(bound, "a bound")?).map(Set::from))
        }
        _ => return Err(count("halfspace", "a normal and a bound: `halfspace([1, 2], 3)`", place)),
    };
    let set = set.map_err(|error| set_error(&error, place))?;
    Ok(Declared { shape: Shape::Vector(n), set })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bilevel::expr::Graph;
    use bilevel::set::ConvexSet;
    use bilevel_linalg::Dense;

    fn scope() -> Scope {
        let mut scope = Scope::new(&Graph::new());
        scope.number("n", 3.0, false);
        scope.vector("lo", &[0.0, -1.0, f64::NEG_INFINITY], false);
        scope.matrix("A", Dense::from_row_major(1, 3, vec![1.0, 1.0, 0.0]).unwrap().into());
        scope.forbid("y", "it is a variable", "write a constraint");
        scope
    }

    fn bounds(text: &str) -> (Shape, Vec<f64>, Vec<f64>) {
        let declared = parse(text, &scope()).unwrap_or_else(|e| panic!("{text}: {e}"));
        let n = declared.shape.len();
        let (mut lower, mut upper) = (vec![0.0; n], vec![0.0; n]);
        declared.set.bounding_box(&mut lower, &mut upper);
        (declared.shape, lower, upper)
    }

    #[test]
    fn shapes_and_sets() {
        use Shape::{Scalar, Vector};
        const I: f64 = f64::INFINITY;
        const N: f64 = f64::NEG_INFINITY;
        for (text, expected) in [
            ("in [-5, 5]", (Scalar, vec![-5.0], vec![5.0])),
            ("scalar", (Scalar, vec![N], vec![I])),
            ("scalar in [1/4, 2*n]", (Scalar, vec![0.25], vec![6.0])),
            ("in [0, inf]", (Scalar, vec![0.0], vec![I])),
            ("in [2, 2]", (Scalar, vec![2.0], vec![2.0])),
            ("free", (Scalar, vec![N], vec![I])),
            ("nonnegative", (Scalar, vec![0.0], vec![I])),
            ("vector(2) nonnegative", (Vector(2), vec![0.0; 2], vec![I; 2])),
            ("vector(n)", (Vector(3), vec![N; 3], vec![I; 3])),
            ("vector(1) in [0, 1]", (Vector(1), vec![0.0], vec![1.0])),
            ("vector(3) in [[0, -inf, 1], [5, inf, 2]]", (Vector(3), vec![0.0, N, 1.0], vec![5.0, I, 2.0])),
            ("vector(3) in [lo, 7]", (Vector(3), vec![0.0, -1.0, N], vec![7.0; 3])),
            ("vector(2) in [max(0, 1), 2]", (Vector(2), vec![1.0; 2], vec![2.0; 2])),
            ("simplex(4)", (Vector(4), vec![0.0; 4], vec![1.0; 4])),
            ("simplex(4, 2)", (Vector(4), vec![0.0; 4], vec![2.0; 4])),
            ("ball(2, 1.5)", (Vector(2), vec![-1.5; 2], vec![1.5; 2])),
            ("ball(2, 1.5, [1, 0])", (Vector(2), vec![-0.5, -1.5], vec![2.5, 1.5])),
            ("l1ball(3, 2)", (Vector(3), vec![-2.0; 3], vec![2.0; 3])),
            ("halfspace([1, 2], 3)", (Vector(2), vec![N; 2], vec![I; 2])),
            ("polyhedron(A, 1) in [0, 4]", (Vector(3), vec![0.0; 3], vec![1.0, 1.0, 4.0])),
            ("polyhedron(A, [1])", (Vector(3), vec![N; 3], vec![I; 3])),
            ("affine(A, 1)", (Vector(3), vec![N; 3], vec![I; 3])),
            ("affine(2*A, 1) in [0, inf]", (Vector(3), vec![0.0; 3], vec![0.5, 0.5, I])),
        ] {
            let (shape, lower, upper) = bounds(text);
            assert_eq!(shape, expected.0, "{text}");
            // The bounding box of a polyhedron is computed; all others are exact.
            let near = |a: &f64, b: &f64| a == b || (a - b).abs() < 1e-12;
            assert!(lower.iter().zip(&expected.1).all(|(a, b)| near(a, b)), "{text}: {lower:?}");
            assert!(upper.iter().zip(&expected.2).all(|(a, b)| near(a, b)), "{text}: {upper:?}");
        }
    }

    #[test]
    fn mistakes_are_placed() {
        for (text, place, message, help) in [
            ("", 0..0, "expected a shape or a set, found the end", "for example"),
            ("vectr(3)", 0..5, "unknown name `vectr`", "did you mean `vector`?"),
            ("vector", 6..6, "expected `(`", "for example"),
            ("vector()", 6..8, "one size", "for example"),
            ("vector(0)", 7..8, "a whole number from 1", "for example"),
            ("vector(2.5)", 7..10, "a whole number from 1", "for example"),
            ("vector(1e12)", 7..11, "at most 1000000 entries", "for example"),
            ("vector([1, 2])", 7..13, "needs a size, got a vector(2)", "for example"),
            ("vector(k)", 7..8, "unknown name `k`", "known names"),
            ("in [2, 1]", 3..9, "the set is empty", "at most the upper"),
            ("in [inf, inf]", 3..13, "the set is empty", "at most the upper"),
            ("in [1]", 3..6, "a lower and an upper bound", "for example"),
            ("in 3", 3..4, "expected `[lower, upper]`", "for example"),
            ("in [0, 1", 8..8, "a closing bracket", "for example"),
            ("in [0, 1)", 8..9, "", "for example"),
            ("in [0, y]", 7..8, "`y` cannot be used here", "constraint"),
            ("in [0, ]", 7..7, "found nothing", ""),
            ("in [0, 1] + 2", 10..11, "expected nothing more", "for example"),
            ("vector(3) in [[0, 1], 2]", 14..20, "2 bounds for 3 components", "one for each"),
            ("ball(3)", 4..7, "a size and a radius", "for example"),
            ("ball(3, -1)", 4..11, "radius", "for example"),
            ("simplex(4, -1)", 7..14, "", "for example"),
            ("polyhedron(A)", 10..13, "a matrix and a vector", "for example"),
            ("polyhedron(n, 1)", 11..12, "needs a matrix, got a scalar", "for example"),
            ("polyhedron(A, [1, 2])", 14..20, "2 bounds for 1 components", "one for each"),
            ("polyhedron(A, -1) in [0, 1]", 10..17, "the set is empty", ""),
            ("vector(A)", 7..8, "a number or a vector, got a matrix", "for example"),
            ("vector(3) within [0, 1]", 10..16, "unknown name `within`", "for example"),
        ] {
            let error = parse(text, &scope()).unwrap_err();
            assert!(error.kind.to_string().contains(message), "{text}: {error}");
            assert_eq!(error.span, place, "{text}: {error}");
            assert!(error.help.as_deref().unwrap_or_default().contains(help), "{text}: {error}");
        }
    }
}
