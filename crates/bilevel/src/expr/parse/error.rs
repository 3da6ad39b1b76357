//! What is wrong with a formula's text, and where.

use std::fmt;
use std::ops::Range;

use super::super::{ExprError, Shape};

/// A place in a formula: a range of bytes.
pub type Span = Range<usize>;

/// The shape of an operand as it is shown in messages: matrices included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperandShape {
    /// A scalar or a vector.
    Value(Shape),
    /// A constant matrix.
    Matrix {
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        cols: usize,
    },
}

impl fmt::Display for OperandShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OperandShape::Value(shape) => shape.fmt(f),
            OperandShape::Matrix { rows, cols } => write!(f, "{rows}x{cols} matrix"),
        }
    }
}

/// The kinds of mistakes in a formula's text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// A character that formulas do not use.
    #[error("unexpected character `{}`", .0.escape_debug())]
    Character(char),
    /// A number that cannot be read, or is too large.
    #[error("`{text}` {problem}")]
    Number {
        /// The text, shortened if long.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Something else was expected here.
    #[error("expected {expected}, found {found}")]
    Unexpected {
        /// What would fit.
        expected: &'static str,
        /// What is there.
        found: String,
    },
    /// Parentheses, signs or powers nested too deeply.
    #[error("the formula is nested more than {limit} levels deep")]
    Depth {
        /// The greatest depth allowed.
        limit: usize,
    },
    /// A name that nothing has.
    #[error("unknown name `{0}`")]
    UnknownName(String),
    /// A function that does not exist.
    #[error("unknown function `{0}`")]
    UnknownFunction(String),
    /// A name that exists and may not stand here.
    #[error("`{name}` cannot be used here: {reason}")]
    Forbidden {
        /// The name.
        name: String,
        /// Why not.
        reason: String,
    },
    /// Too few or too many arguments.
    #[error("`{function}` takes {expected}, got {given}")]
    ArgumentCount {
        /// The function.
        function: &'static str,
        /// How many it takes, in words.
        expected: &'static str,
        /// How many were given.
        given: usize,
    },
    /// Two operands that do not fit.
    #[error("shapes do not fit: {left} {operation} {right}")]
    Operands {
        /// The operation as written.
        operation: &'static str,
        /// The left operand's shape.
        left: OperandShape,
        /// The right operand's shape.
        right: OperandShape,
    },
    /// An argument of the wrong shape or kind.
    #[error("`{function}` needs {expected}, got {found}")]
    Argument {
        /// The function as written.
        function: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it got.
        found: String,
    },
    /// An index or a slice outside its vector.
    #[error("{index} is outside a {argument}")]
    Index {
        /// The index or slice, in words.
        index: String,
        /// What was indexed.
        argument: OperandShape,
    },
    /// A constant was needed.
    #[error("{0} must be a constant")]
    NotConstant(&'static str),
    /// `inf` in a formula.
    #[error("`inf` can only be used in bounds")]
    Infinite,
    /// A division by a constant zero.
    #[error("division by zero")]
    ZeroDivision,
    /// `<=`, `>=` or `==` missing, or where it does not belong.
    #[error("{0}")]
    Relation(&'static str),
    /// The result would be too long.
    #[error("a vector of {entries} entries is too long; the limit is {limit}")]
    Size {
        /// Entries asked for.
        entries: usize,
        /// The limit.
        limit: usize,
    },
    /// Anything else that is wrong with what the text stands for.
    #[error("{0}")]
    Invalid(String),
    /// Any other error of the expression graph.
    #[error("{0}")]
    Expression(ExprError),
}

/// A mistake in a formula's text, with its place and advice. Its parts are those of [`Mistake`].
#[derive(Clone, Debug, PartialEq)]
pub struct ParseError(Box<Mistake>);

/// The parts of a [`ParseError`].
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// What is wrong.
    pub kind: ParseErrorKind,
    /// Where, in bytes of the text.
    pub span: Span,
    /// A few words for the place itself; may be empty.
    pub label: String,
    /// Other places that matter, such as the operands, each with a few words.
    pub others: Vec<(Span, String)>,
    /// What to do about it.
    pub help: Option<String>,
}

impl std::ops::Deref for ParseError {
    type Target = Mistake;
    fn deref(&self) -> &Mistake {
        &self.0
    }
}

impl ParseError {
    /// A mistake of `kind` at `span`.
    pub fn new(kind: ParseErrorKind, span: Span) -> Self {
        Self(Box::new(Mistake { kind, span, label: String::new(), others: Vec::new(), help: None }))
    }

    /// The same with another kind.
    #[must_use]
    pub fn kind(mut self, kind: ParseErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same with words for its place.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.0.label = label.into();
        self
    }

    /// The same with another place.
    #[must_use]
    pub fn other(mut self, span: Span, label: impl Into<String>) -> Self {
        self.0.others.push((span, label.into()));
        self
    }

    /// The same with advice.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// The same for a text that starts `offset` bytes later.
    #[must_use]
    pub fn shifted(mut self, offset: usize) -> Self {
        let shift = |span: &mut Span| *span = span.start + offset..span.end + offset;
        shift(&mut self.0.span);
        self.0.others.iter_mut().for_each(|(span, _)| shift(span));
        self
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.span.start)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}
