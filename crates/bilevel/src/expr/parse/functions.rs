//! The functions that a formula may call, by name.

use super::super::{Expr, Matrix, Shape, concat};
use super::build::{Builder, Operand, constant_scalar, finish, not_a_matrix, whole_numbers};
use super::error::{OperandShape, ParseError, ParseErrorKind, Span};
use super::scope::Value;
use super::suggest::closest;

/// What a function does with its arguments.
#[derive(Clone, Copy)]
enum Action {
    /// One argument, no parameter.
    Unary(fn(&Expr) -> Expr),
    /// One argument and a constant number; with a default, the number may be left out.
    Parameter(fn(&Expr, f64) -> Expr, Option<f64>),
    /// One argument and a group size, or a vector of group sizes.
    Groups(fn(&Expr, usize) -> Expr, fn(&Expr, &[usize]) -> Expr),
    /// Of one vector, of two elementwise, or of several.
    Extremum { pair: fn(&Expr, &Expr) -> Expr, all: fn(&Expr) -> Expr },
    /// Inner product.
    Dot,
    /// Quadratic form.
    Quadratic,
    /// Transposed matrix.
    Transpose,
    /// Parts one after the other.
    Concat,
    /// A length as a constant number.
    Size(fn(OperandShape) -> Option<usize>),
}

const FUNCTIONS: [(&str, Action); 35] = [
    ("exp", Action::Unary(Expr::exp)),
    ("log", Action::Unary(Expr::log)),
    ("log1p", Action::Unary(Expr::log1p)),
    ("expm1", Action::Unary(Expr::expm1)),
    ("sqrt", Action::Unary(Expr::sqrt)),
    ("square", Action::Unary(Expr::square)),
    ("sin", Action::Unary(Expr::sin)),
    ("cos", Action::Unary(Expr::cos)),
    ("tan", Action::Unary(Expr::tan)),
    ("tanh", Action::Unary(Expr::tanh)),
    ("sigmoid", Action::Unary(Expr::sigmoid)),
    ("softplus", Action::Unary(Expr::softplus)),
    ("abs", Action::Unary(Expr::abs)),
    ("plus", Action::Unary(Expr::plus)),
    ("hinge", Action::Unary(Expr::hinge)),
    ("huber", Action::Parameter(Expr::huber, Some(1.0))),
    ("abs_power", Action::Parameter(Expr::abs_power, None)),
    ("sum", Action::Unary(Expr::sum)),
    ("mean", Action::Unary(Expr::mean)),
    ("norm1", Action::Unary(Expr::norm1)),
    ("norm2", Action::Unary(Expr::norm2)),
    ("norm2sq", Action::Unary(Expr::norm2sq)),
    ("norm_inf", Action::Unary(Expr::norm_inf)),
    ("norm_p", Action::Parameter(Expr::norm_p, None)),
    ("group_norm", Action::Groups(Expr::group_norm, Expr::group_norm_sized)),
    ("group_norms", Action::Groups(Expr::group_norms, Expr::group_norms_sized)),
    ("max", Action::Extremum { pair: Expr::max, all: Expr::max_of }),
    ("min", Action::Extremum { pair: Expr::min, all: Expr::min_of }),
    ("dot", Action::Dot),
    ("quad", Action::Quadratic),
    ("transpose", Action::Transpose),
    ("concat", Action::Concat),
    ("len", Action::Size(length)),
    ("rows", Action::Size(rows)),
    ("cols", Action::Size(cols)),
];

fn find(name: &str) -> Option<(&'static str, Action)> {
    FUNCTIONS.iter().find(|(known, _)| *known == name).copied()
}

/// Whether there is a function of this name.
pub(super) fn exists(name: &str) -> bool {
    find(name).is_some()
}

/// The names of all functions that a formula may call.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|(name, _)| *name)
}

/// Calls the function `name` (written at `place`; the whole call at `span`).
pub(super) fn call(
    builder: &mut Builder<'_>,
    name: &str,
    place: &Span,
    span: &Span,
    mut arguments: Vec<Operand>,
) -> Result<Value, ParseError> {
    let Some((function, action)) = find(name) else { return Err(unknown(builder, name, place)) };
    match (action, arguments.as_slice()) {
        (Action::Unary(apply), [z]) => {
            let (expr, constant) = vector(function, z)?;
            finish(apply(expr), constant, span, &arguments)
        }
        (Action::Parameter(apply, _), [z, parameter]) => {
            let (expr, constant) = vector(function, z)?;
            let value = constant_scalar(parameter).ok_or_else(|| needs_number(function, parameter))?;
            finish(apply(expr, value), constant, span, &arguments)
        }
        (Action::Parameter(apply, Some(value)), [z]) => {
            let (expr, constant) = vector(function, z)?;
            finish(apply(expr, value), constant, span, &arguments)
        }
        (Action::Groups(one, many), [z, sizes]) => {
            let (expr, constant) = vector(function, z)?;
            let numbers = whole_numbers(sizes, "a group size")?;
            let result = match (sizes.shape(), numbers.as_slice()) {
                (OperandShape::Value(Shape::Scalar), &[size]) => one(expr, size),
                _ => many(expr, &numbers),
            };
            finish(result, constant, span, &arguments)
        }
        (Action::Extremum { all, .. }, [z]) => {
            let (expr, constant) = vector(function, z)?;
            finish(all(expr), constant, span, &arguments)
        }
        (Action::Extremum { pair, all }, [_, _, ..]) => extremum(function, pair, all, span, &arguments),
        (Action::Dot, [a, b]) => {
            let ((a, c), (b, d)) = (vector(function, a)?, vector(function, b)?);
            finish(a.dot(b), c && d, span, &arguments)
        }
        (Action::Quadratic, [q, z]) => {
            let Value::Matrix { matrix, .. } = &q.value else { return Err(needs_matrix(function, q)) };
            let (expr, constant) = vector(function, z)?;
            quadratic(matrix, expr, constant, span, &arguments)
        }
        (Action::Transpose, [a]) => match &a.value {
            Value::Matrix { matrix, transposed } => {
                Ok(Value::Matrix { matrix: matrix.clone(), transposed: !transposed })
            }
            Value::Expr { .. } => Err(needs_matrix(function, a)),
        },
        (Action::Concat, [_, ..]) => builder.join(&std::mem::take(&mut arguments), span),
        (Action::Size(measure), [z]) => match measure(z.shape()) {
            Some(size) => Ok(Value::Expr { expr: builder.graph().constant(size as f64), constant: true }),
            None if function == "len" => Err(not_a_matrix(function, z)),
            None => Err(needs_matrix(function, z)),
        },
        _ => Err(wrong_count(function, action, arguments.len(), span)),
    }
}

fn length(shape: OperandShape) -> Option<usize> {
    match shape {
        OperandShape::Value(shape) => Some(shape.len()),
        OperandShape::Matrix { .. } => None,
    }
}

fn rows(shape: OperandShape) -> Option<usize> {
    match shape {
        OperandShape::Matrix { rows, .. } => Some(rows),
        OperandShape::Value(_) => None,
    }
}

fn cols(shape: OperandShape) -> Option<usize> {
    match shape {
        OperandShape::Matrix { cols, .. } => Some(cols),
        OperandShape::Value(_) => None,
    }
}

/// The largest or smallest of several: of scalars as one vector (its smoothing treats all alike), else pair by pair.
fn extremum(
    function: &'static str,
    pair: fn(&Expr, &Expr) -> Expr,
    all: fn(&Expr) -> Expr,
    span: &Span,
    arguments: &[Operand],
) -> Result<Value, ParseError> {
    let (mut parts, mut constant) = (Vec::with_capacity(arguments.len()), true);
    for argument in arguments {
        let (expr, fixed) = vector(function, argument)?;
        parts.push(expr.clone());
        constant &= fixed;
    }
    if parts.len() > 2 && parts.iter().all(|part| part.shape() == Shape::Scalar) {
        return finish(all(&concat(&parts)), constant, span, arguments);
    }
    let mut result = parts[0].clone();
    for (part, argument) in parts.iter().zip(arguments).skip(1) {
        let left = Operand { value: Value::Expr { expr: result.clone(), constant }, span: arguments[0].span.clone() };
        let left = Operand { span: left.span.start..argument.span.start.max(left.span.end), ..left };
        let left = if arguments.len() == 2 { arguments[0].clone() } else { left };
        result = pair(&result, part);
        finish(result.clone(), constant, span, &[left, argument.clone()])?;
    }
    Ok(Value::Expr { expr: result, constant })
}

fn quadratic(
    matrix: &Matrix,
    expr: &Expr,
    constant: bool,
    span: &Span,
    arguments: &[Operand],
) -> Result<Value, ParseError> {
    finish(expr.quadratic(matrix), constant, span, arguments).map_err(|error| {
        let [q, z] = arguments else { return error };
        let kind = ParseErrorKind::Operands { operation: "quad", left: q.shape(), right: z.shape() };
        error.kind(kind).help("`quad(Q, y)` needs a square matrix with as many rows as `y` has entries")
    })
}

fn vector<'a>(function: &'static str, operand: &'a Operand) -> Result<(&'a Expr, bool), ParseError> {
    match &operand.value {
        Value::Expr { expr, constant } => Ok((expr, *constant)),
        Value::Matrix { .. } => Err(not_a_matrix(function, operand)),
    }
}

fn needs_matrix(function: &'static str, operand: &Operand) -> ParseError {
    let found = format!("a {}", operand.shape());
    let kind = ParseErrorKind::Argument { function, expected: "a matrix", found };
    ParseError::new(kind, operand.span.clone())
        .label(operand.shape().to_string())
        .help("a matrix comes from [constants] or from a [data] table, such as `train.X`")
}

fn needs_number(function: &'static str, operand: &Operand) -> ParseError {
    let kind = ParseErrorKind::Argument {
        function,
        expected: "a constant number as its second argument",
        found: format!("a {}", operand.shape()),
    };
    ParseError::new(kind, operand.span.clone())
        .help("the parameter may not contain variables; with a variable power, use `abs(z)^p`")
}

fn unknown(builder: &Builder<'_>, name: &str, place: &Span) -> ParseError {
    let error = ParseError::new(ParseErrorKind::UnknownFunction(super::lexer::shorten(name)), place.clone());
    if builder.knows(name) {
        return error.help(format!("`{name}` is not a function: multiply with `*`, pick entries with `{name}[0]`"));
    }
    let elsewhere = match name {
        "ln" => Some("log"),
        "pow" => return error.help("powers are written `x^p`"),
        "norm" => Some("norm2"),
        "relu" | "pos" | "positive" => Some("plus"),
        "maximum" => Some("max"),
        "minimum" => Some("min"),
        "logistic" => Some("sigmoid"),
        "inner" => Some("dot"),
        _ => closest(name, function_names()),
    };
    match elsewhere {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help(format!("the functions are {}", function_names().collect::<Vec<_>>().join(", "))),
    }
}

fn wrong_count(function: &'static str, action: Action, given: usize, span: &Span) -> ParseError {
    let (expected, help) = match action {
        Action::Unary(_) | Action::Size(_) | Action::Transpose => ("one argument", format!("write `{function}(z)`")),
        Action::Parameter(_, None) => ("two arguments", format!("write `{function}(z, p)` with a constant p")),
        Action::Parameter(..) => ("one or two arguments", format!("write `{function}(z)` or `{function}(z, delta)`")),
        Action::Groups(..) => ("two arguments", format!("write `{function}(z, size)` or `{function}(z, [size, ...])`")),
        Action::Extremum { .. } | Action::Concat => {
            ("at least one argument", format!("write `{function}(a, b)` or `{function}(v)`"))
        }
        Action::Dot => ("two arguments", "write `dot(a, b)`".to_string()),
        Action::Quadratic => ("two arguments", "write `quad(Q, y)`, the matrix first".to_string()),
    };
    ParseError::new(ParseErrorKind::ArgumentCount { function, expected, given }, span.clone()).help(help)
}
