//! Text to formulas.
//!
//! ```text
//! formula    := sum
//! constraint := sum (('<=' | '>=' | '==') sum)+        one direction in a chain, '==' only once
//! sum        := product (('+' | '-') product)*
//! product    := unary (('*' | '/') unary)*
//! unary      := ('-' | '+') unary | power              -x^2 is -(x^2)
//! power      := attached ('^' unary)?                  right associative; 2^-1 is a half
//! attached   := atom ("'" | '[' index ']')*            transpose, entries
//! index      := sum | sum ',' sum | sum? '..' sum?     one, of a matrix, a slice without its end
//! atom       := number | name | name '(' list ')' | '[' list ']' | '(' sum ')'
//! ```
//!
//! The text becomes tokens ([`tokens`]), a flat syntax tree (Pratt parser), and a formula in the scope's graph; every
//! mistake has its place in the text and advice. Nesting is limited to [`DEPTH_LIMIT`] levels.

mod build;
mod constant;
mod decimal;
mod error;
mod functions;
mod lexer;
mod matrices;
mod scope;
mod suggest;
mod syntax;
#[cfg(test)]
mod tests;

use super::{Expr, Matrix, Shape};
use build::{Builder, Operand, finish, not_a_matrix};
use constant::constant_entries;

pub use decimal::read_decimal;
pub use error::{Mistake, OperandShape, ParseError, ParseErrorKind, Span};
pub use functions::function_names;
pub use lexer::{Token, TokenKind, is_name, tokens};
pub use scope::Scope;
pub use suggest::closest;
pub use syntax::{Compare, DEPTH_LIMIT};

use scope::Value;

/// A constraint read from text: `left compare right`, entry by entry.
#[derive(Clone, Debug)]
pub struct ParsedConstraint {
    /// The left side.
    pub left: Expr,
    /// The relation.
    pub compare: Compare,
    /// The right side.
    pub right: Expr,
    /// Where it stands in the text.
    pub span: Span,
}

/// A constant read from text.
#[derive(Clone, Debug, PartialEq)]
pub struct ParsedConstant {
    /// The entries; one if it is a scalar.
    pub values: Vec<f64>,
    /// Scalar or vector.
    pub shape: Shape,
}

/// A constant or a matrix read from text.
#[derive(Clone, Debug)]
pub enum ParsedData {
    /// A scalar or a vector.
    Values(ParsedConstant),
    /// A matrix.
    Matrix(Matrix),
}

/// Reads a formula with the names of `scope`.
///
/// # Errors
/// The first mistake in the text, with its place. No error stays behind in the scope's graph.
///
/// ```
/// use bilevel::expr::parse::{Scope, parse_formula};
/// use bilevel::expr::{Graph, Level, Shape};
///
/// let graph = Graph::new();
/// let mut scope = Scope::new(&graph);
/// scope.define("x", graph.variable(Level::Leader, 0, Shape::Scalar));
/// scope.define("y", graph.variable(Level::Follower, 0, Shape::Vector(3)));
/// assert!(parse_formula("exp(-x^2) + sum(y[0..2])", &scope).is_ok());
/// let error = parse_formula("x + z", &scope).unwrap_err();
/// assert_eq!(error.span, 4..5);
/// ```
pub fn parse_formula(text: &str, scope: &Scope) -> Result<Expr, ParseError> {
    expression(&single(text, scope, false)?)
}

/// Reads a constraint. A chain such as `0 <= x <= 1` gives one constraint for each relation.
///
/// # Errors
/// As for [`parse_formula`]; and where the relation is missing, or a chain changes direction.
pub fn parse_constraint(text: &str, scope: &Scope) -> Result<Vec<ParsedConstraint>, ParseError> {
    let syntax = syntax::parse(text, &tokens(text)?)?;
    let Some((first, _)) = syntax.compares.first() else {
        let error = ParseErrorKind::Relation("a constraint needs `<=`, `>=` or `==`");
        return Err(ParseError::new(error, 0..text.len()).help("write for example `x + y <= 3`"));
    };
    if let Some((_, place)) = syntax.compares.iter().skip(1).find(|(c, _)| c != first || *c == Compare::Equal) {
        let kind = ParseErrorKind::Relation("a chain must keep its direction, and `==` cannot be chained");
        return Err(ParseError::new(kind, place.clone()).help("write two constraints"));
    }
    let sides = Builder::new(text, scope, false).run(&syntax)?;
    let mut constraints = Vec::with_capacity(syntax.compares.len());
    for (pair, (compare, place)) in sides.windows(2).zip(&syntax.compares) {
        let (left, right) = (expression(&pair[0])?, expression(&pair[1])?);
        // The difference is what is stored in the end: its shape is checked here, where both places are known.
        let span = pair[0].span.start..pair[1].span.end;
        finish(&left - &right, false, place, pair).map_err(|error| relation_mismatch(error, *compare))?;
        constraints.push(ParsedConstraint { left, compare: *compare, right, span });
    }
    Ok(constraints)
}

/// Reads a scalar or vector without variables; `inf` is allowed.
///
/// # Errors
/// As for [`parse_formula`]; and where a variable or a matrix stands, or the value is not a number.
pub fn parse_constant(text: &str, scope: &Scope) -> Result<ParsedConstant, ParseError> {
    constant(&single(text, scope, true)?)
}

/// Reads anything without variables: a scalar, a vector or a matrix; `inf` is allowed.
///
/// # Errors
/// As for [`parse_constant`], but matrices are welcome.
pub fn parse_data(text: &str, scope: &Scope) -> Result<ParsedData, ParseError> {
    let operand = single(text, scope, true)?;
    match &operand.value {
        Value::Matrix { matrix, transposed } if *transposed => Ok(ParsedData::Matrix(matrices::transposed(matrix))),
        Value::Matrix { matrix, .. } => Ok(ParsedData::Matrix(matrix.clone())),
        Value::Expr { .. } => constant(&operand).map(ParsedData::Values),
    }
}

fn constant(operand: &Operand) -> Result<ParsedConstant, ParseError> {
    let expr = expression(operand)?;
    let span = operand.span.clone();
    let Some(values) = constant_entries(&expr) else {
        return Err(ParseError::new(ParseErrorKind::NotConstant("this"), span)
            .label("contains a variable")
            .help("use numbers and constants only"));
    };
    if values.iter().any(|value| value.is_nan()) {
        let kind = ParseErrorKind::Argument {
            function: "a constant",
            expected: "numbers",
            found: "an undefined value (NaN)".to_string(),
        };
        return Err(ParseError::new(kind, span).help("check divisions, roots and logarithms"));
    }
    Ok(ParsedConstant { values, shape: expr.shape() })
}

fn single(text: &str, scope: &Scope, infinite: bool) -> Result<Operand, ParseError> {
    let syntax = syntax::parse(text, &tokens(text)?)?;
    if let Some((_, place)) = syntax.compares.first() {
        let kind = ParseErrorKind::Relation("a relation cannot be used here");
        return Err(ParseError::new(kind, place.clone()).help("constraints belong in `subject_to`"));
    }
    let mut sides = Builder::new(text, scope, infinite).run(&syntax)?;
    // A text without relations has exactly one side.
    sides.pop().ok_or_else(|| ParseError::new(ParseErrorKind::Relation("the formula is empty"), 0..text.len()))
}

fn expression(operand: &Operand) -> Result<Expr, ParseError> {
    match &operand.value {
        Value::Expr { expr, .. } => Ok(expr.clone()),
        Value::Matrix { .. } => Err(not_a_matrix("a formula", operand)),
    }
}

fn relation_mismatch(error: ParseError, compare: Compare) -> ParseError {
    let operation = match compare {
        Compare::AtMost => "<=",
        Compare::AtLeast => ">=",
        Compare::Equal => "==",
    };
    match error.kind {
        ParseErrorKind::Operands { left, right, .. } => error.kind(ParseErrorKind::Operands { operation, left, right }),
        _ => error,
    }
}
