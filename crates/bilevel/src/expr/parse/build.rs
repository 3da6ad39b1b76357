//! Syntax tree to formulas: names resolved, shapes checked, mistakes placed.

use std::sync::Arc;

use super::super::{Expr, ExprError, Graph, Shape, concat};
use super::constant::constant_entries;
use super::error::{OperandShape, ParseError, ParseErrorKind, Span};
use super::functions;
use super::lexer::shorten;
use super::matrices;
use super::scope::{Entry, Scope, Value, constant_values, constant_vector};
use super::suggest::closest;
use super::syntax::{Id, Kind, Node, Operator, Syntax};

/// The longest vector that concatenation and gathering may make, and the most entries that they may make in one text.
pub(super) const SIZE_LIMIT: usize = 20_000_000;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub(super) value: Value,
    pub(super) span: Span,
}

impl Operand {
    pub(super) fn shape(&self) -> OperandShape {
        self.value.shape()
    }
}

/// Computes the sides of a syntax tree. Operands come before operators, so this is one pass over the nodes.
pub(super) struct Builder<'a> {
    text: &'a str,
    scope: &'a Scope,
    infinite: bool,
    values: Vec<Option<Value>>,
    entries: usize,
}

impl<'a> Builder<'a> {
    /// `infinite`: whether `inf` is allowed.
    pub(super) fn new(text: &'a str, scope: &'a Scope, infinite: bool) -> Self {
        Self { text, scope, infinite, values: Vec::new(), entries: 0 }
    }

    pub(super) fn run(&mut self, syntax: &Syntax) -> Result<Vec<Operand>, ParseError> {
        self.values = Vec::with_capacity(syntax.nodes.len());
        for node in &syntax.nodes {
            let value = self.node(&syntax.nodes, node)?;
            self.values.push(Some(value));
        }
        syntax.sides.iter().map(|&side| self.take(&syntax.nodes, side)).collect()
    }

    pub(super) fn graph(&self) -> &'a Graph {
        self.scope.graph()
    }

    /// The operand with this number; every node is used once.
    fn take(&mut self, nodes: &[Node], id: Id) -> Result<Operand, ParseError> {
        let span = nodes[id].span.clone();
        match self.values[id].take() {
            Some(value) => Ok(Operand { value, span }),
            None => Err(ParseError::new(ParseErrorKind::Expression(ExprError::TwoGraphs), span)),
        }
    }

    fn take_all(&mut self, nodes: &[Node], ids: &[Id]) -> Result<Vec<Operand>, ParseError> {
        ids.iter().map(|&id| self.take(nodes, id)).collect()
    }

    fn node(&mut self, nodes: &[Node], node: &Node) -> Result<Value, ParseError> {
        match &node.kind {
            &Kind::Number { value, rounded } => {
                Ok(Value::Expr { expr: self.graph().decimal(value, rounded), constant: true })
            }
            Kind::Name(name) => self.name(name),
            &Kind::Negate(inner) => {
                let operand = self.take(nodes, inner)?;
                negate(operand)
            }
            &Kind::Binary { operator, left, right } => {
                let (left, right) = (self.take(nodes, left)?, self.take(nodes, right)?);
                binary(operator, &left, &right, &node.span)
            }
            Kind::Call { name, arguments } => {
                let arguments = self.take_all(nodes, arguments)?;
                functions::call(self, &self.text[name.clone()], name, &node.span, arguments)
            }
            Kind::List(items) => {
                let items = self.take_all(nodes, items)?;
                self.join(&items, &node.span)
            }
            Kind::Index { base, indices } => {
                let base = self.take(nodes, *base)?;
                let indices = self.take_all(nodes, indices)?;
                self.index(&base, &indices, &node.span)
            }
            &Kind::Slice { base, from, to } => {
                let base = self.take(nodes, base)?;
                let from = from.map(|id| self.take(nodes, id)).transpose()?;
                let to = to.map(|id| self.take(nodes, id)).transpose()?;
                self.slice(&base, from.as_ref(), to.as_ref(), &node.span)
            }
            &Kind::Transpose(inner) => transpose(self.take(nodes, inner)?),
        }
    }

    /// Whether a name is defined.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.scope.get(name).is_some()
    }

    fn name(&self, span: &Span) -> Result<Value, ParseError> {
        let name = &self.text[span.clone()];
        match self.scope.get(name) {
            Some(Entry::Value(value)) => return Ok(value.clone()),
            Some(Entry::Forbidden { reason, help }) => {
                let kind = ParseErrorKind::Forbidden { name: name.to_string(), reason: reason.clone() };
                return Err(ParseError::new(kind, span.clone()).help(help.clone()));
            }
            None => {}
        }
        match name {
            "inf" if self.infinite => Ok(Value::Expr { expr: self.graph().constant(f64::INFINITY), constant: true }),
            "inf" => Err(ParseError::new(ParseErrorKind::Infinite, span.clone())
                .help("a formula computes with finite numbers; leave the infinite part out")),
            "pi" => Ok(Value::Expr { expr: self.graph().decimal(std::f64::consts::PI, true), constant: true }),
            _ => Err(self.unknown_name(name, span)),
        }
    }

    fn unknown_name(&self, name: &str, span: &Span) -> ParseError {
        let error = ParseError::new(ParseErrorKind::UnknownName(shorten(name)), span.clone());
        if functions::exists(name) {
            return error.help(format!("`{name}` is a function: write its argument in parentheses, `{name}(...)`"));
        }
        if let Some(near) = closest(name, self.scope.names()) {
            return error.help(format!("did you mean `{near}`?"));
        }
        const MOST: usize = 12;
        let known: Vec<String> = self.scope.names().take(MOST + 1).map(|n| format!("`{n}`")).collect();
        match known.len() {
            0 => error.help("no names are defined here"),
            n if n > MOST => error.help(format!("known names are {}, …", known[..MOST].join(", "))),
            _ => error.help(format!("known names are {}", known.join(", "))),
        }
    }

    /// `[a, b, c]`: parts one after the other; one constant if all parts are.
    pub(super) fn join(&mut self, items: &[Operand], span: &Span) -> Result<Value, ParseError> {
        if items.is_empty() {
            let kind =
                ParseErrorKind::Argument { function: "[ ]", expected: "at least one entry", found: "none".to_string() };
            return Err(ParseError::new(kind, span.clone()).help("write the entries with commas between them"));
        }
        let (mut parts, mut constants, mut rounded) = (Vec::with_capacity(items.len()), Some(Vec::new()), false);
        for item in items {
            let Value::Expr { expr, .. } = &item.value else { return Err(not_a_matrix("[ ]", item)) };
            self.count(expr.shape().len(), span)?;
            constants = constants.zip(constant_values(expr)).map(|(mut values, (new, inexact))| {
                values.extend_from_slice(&new);
                rounded |= inexact;
                values
            });
            parts.push(expr.clone());
        }
        if let Some(values) = constants {
            let expr = constant_vector(self.graph(), Arc::from(values), rounded);
            return Ok(Value::Expr { expr, constant: true });
        }
        let constant = items.iter().all(|item| matches!(item.value, Value::Expr { constant: true, .. }));
        finish(concat(&parts), constant, span, items)
    }

    /// `x[i]`, `x[indices]`, `A[i]` (a row), `A[i, j]`.
    fn index(&mut self, base: &Operand, indices: &[Operand], span: &Span) -> Result<Value, ParseError> {
        match (&base.value, indices) {
            (Value::Expr { expr, constant }, [index]) => {
                self.require_vector(base, "`[ ]`")?;
                let positions = whole_numbers(index, "an index")?;
                let result = if matches!(index.shape(), OperandShape::Value(Shape::Scalar)) {
                    expr.index(positions[0])
                } else {
                    self.count(positions.len(), span)?;
                    expr.gather(&positions)
                };
                finish_constant(self.graph(), result, expr, &positions, *constant)
                    .map_err(|error| place_index(error, base, index))
            }
            (Value::Matrix { .. }, [row]) => matrices::row(self.graph(), base, row),
            (Value::Matrix { .. }, [row, column]) => matrices::entry(self.graph(), base, row, column),
            _ => {
                let expected =
                    if matches!(base.value, Value::Matrix { .. }) { "one or two indices" } else { "one index" };
                let found = format!("{}", indices.len());
                let kind = ParseErrorKind::Argument { function: "[ ]", expected, found };
                Err(ParseError::new(kind, span.clone())
                    .other(base.span.clone(), base.shape().to_string())
                    .help("several entries are picked by a list: `x[[0, 2]]`"))
            }
        }
    }

    fn slice(
        &mut self,
        base: &Operand,
        from: Option<&Operand>,
        to: Option<&Operand>,
        span: &Span,
    ) -> Result<Value, ParseError> {
        let Value::Expr { expr, constant } = &base.value else { return Err(not_a_matrix("[ .. ]", base)) };
        self.require_vector(base, "a slice")?;
        let length = expr.shape().len();
        let start = from.map_or(Ok(0), |o| whole_number(o, "the start of a slice"))?;
        let end = to.map_or(Ok(length), |o| whole_number(o, "the end of a slice"))?;
        if start >= end || end > length {
            let kind = ParseErrorKind::Index { index: format!("the slice {start}..{end}"), argument: base.shape() };
            let help = format!("a slice `x[a..b]` has the entries a, …, b - 1 with 0 <= a < b <= {length}");
            return Err(ParseError::new(kind, span.clone())
                .other(base.span.clone(), base.shape().to_string())
                .help(help));
        }
        self.count(end - start, span)?;
        let positions: Vec<usize> = (start..end).collect();
        finish_constant(self.graph(), expr.slice(start..end), expr, &positions, *constant)
            .map_err(|error| place_index(error, base, base))
    }

    fn require_vector(&self, base: &Operand, function: &'static str) -> Result<(), ParseError> {
        match base.shape() {
            OperandShape::Value(Shape::Scalar) => {
                let kind = ParseErrorKind::Argument { function, expected: "a vector", found: base.shape().to_string() };
                Err(ParseError::new(kind, base.span.clone())
                    .label("scalar")
                    .help("a scalar has no entries: leave out the brackets"))
            }
            _ => Ok(()),
        }
    }

    /// Counts entries that are about to be made.
    pub(super) fn count(&mut self, entries: usize, span: &Span) -> Result<(), ParseError> {
        self.entries = self.entries.saturating_add(entries);
        if self.entries <= SIZE_LIMIT {
            return Ok(());
        }
        let kind = ParseErrorKind::Size { entries: self.entries, limit: SIZE_LIMIT };
        Err(ParseError::new(kind, span.clone()).help("split the problem, or keep the vectors whole"))
    }
}

/// Picking from a constant gives a constant.
fn finish_constant(
    graph: &Graph,
    result: Expr,
    from: &Expr,
    positions: &[usize],
    constant: bool,
) -> Result<Value, ExprError> {
    result.check().map_err(|error| result.take_error().unwrap_or(error))?;
    let Some((values, rounded)) = constant_values(from) else { return Ok(Value::Expr { expr: result, constant }) };
    let picked: Arc<[f64]> = positions.iter().filter_map(|&i| values.get(i).copied()).collect();
    let expr = match (result.shape(), picked.first()) {
        (Shape::Scalar, Some(&value)) => graph.decimal(value, rounded),
        _ => constant_vector(graph, picked, rounded),
    };
    Ok(Value::Expr { expr, constant: true })
}

fn place_index(error: ExprError, base: &Operand, index: &Operand) -> ParseError {
    let kind = match error {
        ExprError::Index { index, .. } => {
            ParseErrorKind::Index { index: format!("index {index}"), argument: base.shape() }
        }
        other => ParseErrorKind::Expression(other),
    };
    ParseError::new(kind, index.span.clone())
        .other(base.span.clone(), base.shape().to_string())
        .help("indices start at 0: the last entry of a vector(n) is n - 1")
}

/// A formula, or its error placed at `span` with the operands' shapes beside them.
pub(super) fn finish(expr: Expr, constant: bool, span: &Span, operands: &[Operand]) -> Result<Value, ParseError> {
    let error = match expr.check() {
        Ok(_) => return Ok(Value::Expr { expr, constant }),
        Err(error) => expr.take_error().unwrap_or(error),
    };
    let (kind, help) = match (error, operands) {
        (ExprError::Shapes { operation, .. }, [left, right]) => {
            let kind = ParseErrorKind::Operands { operation, left: left.shape(), right: right.shape() };
            (kind, "both sides must have the same length, or one of them must be a scalar")
        }
        (ExprError::Argument { operation, expected, argument }, _) => {
            let found = argument.to_string();
            (ParseErrorKind::Argument { function: operation, expected, found }, "change the argument's shape")
        }
        (ExprError::Parameter { operation, expected, value }, _) => {
            let found = value.to_string();
            (ParseErrorKind::Argument { function: operation, expected, found }, "change the parameter")
        }
        (error, _) => (ParseErrorKind::Expression(error), "change the shapes so that they fit"),
    };
    let error = ParseError::new(kind, span.clone()).help(help);
    Err(operands.iter().fold(error, |e, operand| e.other(operand.span.clone(), operand.shape().to_string())))
}

/// The refusal of a matrix where a scalar or vector is needed.
pub(super) fn not_a_matrix(function: &'static str, operand: &Operand) -> ParseError {
    let kind = ParseErrorKind::Argument {
        function,
        expected: "a scalar or a vector",
        found: format!("a {}", operand.shape()),
    };
    ParseError::new(kind, operand.span.clone())
        .label(operand.shape().to_string())
        .help("a matrix can only be multiplied: `A*v`, `transpose(A)*v`, `2*A`, `quad(A, v)`, or indexed")
}

fn negate(operand: Operand) -> Result<Value, ParseError> {
    match operand.value {
        Value::Expr { ref expr, constant } => {
            if let (Shape::Vector(_), Some((values, rounded))) = (expr.shape(), constant_values(expr)) {
                let negative: Arc<[f64]> = values.iter().map(|v| -v).collect();
                let expr = constant_vector(expr.graph(), negative, rounded);
                return Ok(Value::Expr { expr, constant: true });
            }
            finish(-expr, constant, &operand.span, std::slice::from_ref(&operand))
        }
        Value::Matrix { matrix, transposed } => {
            Ok(Value::Matrix { matrix: matrices::scaled(&matrix, -1.0), transposed })
        }
    }
}

fn transpose(operand: Operand) -> Result<Value, ParseError> {
    match operand.value {
        Value::Matrix { matrix, transposed } => Ok(Value::Matrix { matrix, transposed: !transposed }),
        Value::Expr { .. } => {
            let found = format!("a {}", operand.shape());
            let kind = ParseErrorKind::Argument { function: "transpose", expected: "a matrix", found };
            Err(ParseError::new(kind, operand.span.clone())
                .label(operand.shape().to_string())
                .help("vectors have no orientation: an inner product is `dot(a, b)`, a quadratic form `quad(Q, y)`"))
        }
    }
}

fn binary(operator: Operator, left: &Operand, right: &Operand, span: &Span) -> Result<Value, ParseError> {
    let (Value::Expr { expr: a, constant: c }, Value::Expr { expr: b, constant: d }) = (&left.value, &right.value)
    else {
        return matrices::binary(operator, left, right, span);
    };
    let result = match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => {
            if constant_values(b).is_some_and(|(values, _)| values.contains(&0.0)) {
                return Err(ParseError::new(ParseErrorKind::ZeroDivision, right.span.clone())
                    .label("this is zero")
                    .help("divide by something that is never zero"));
            }
            a / b
        }
        Operator::Power => match constant_scalar(right) {
            Some(p) => a.pow(p),
            None => a.pow_expr(b),
        },
    };
    finish(result, *c && *d, span, &[left.clone(), right.clone()])
}

/// The value of a constant scalar.
pub(super) fn constant_scalar(operand: &Operand) -> Option<f64> {
    match &operand.value {
        Value::Expr { expr, constant: true } if expr.shape() == Shape::Scalar => {
            expr.constant_value().or_else(|| constant_entries(expr)?.first().copied())
        }
        _ => None,
    }
}

/// The entries of a constant scalar or vector as whole numbers from 0.
pub(super) fn whole_numbers(operand: &Operand, what: &'static str) -> Result<Vec<usize>, ParseError> {
    let entries = match &operand.value {
        Value::Expr { expr, constant: true } => constant_entries(expr),
        _ => None,
    };
    let Some(entries) = entries else {
        return Err(ParseError::new(ParseErrorKind::NotConstant(what), operand.span.clone())
            .label(format!("a {} that may change", operand.shape()))
            .help("use whole numbers, or a constant"));
    };
    entries
        .iter()
        .map(|&value| {
            const LARGEST: f64 = 1e15;
            if (0.0..=LARGEST).contains(&value) && value.fract() == 0.0 {
                return Ok(value as usize);
            }
            let kind = ParseErrorKind::Argument {
                function: what,
                expected: "a whole number from 0",
                found: value.to_string(),
            };
            Err(ParseError::new(kind, operand.span.clone()).help("indices and counts are whole numbers, not negative"))
        })
        .collect()
}

/// A constant whole number from 0.
pub(super) fn whole_number(operand: &Operand, what: &'static str) -> Result<usize, ParseError> {
    let numbers = whole_numbers(operand, what)?;
    match (operand.shape(), numbers.as_slice()) {
        (OperandShape::Value(Shape::Scalar), &[number]) => Ok(number),
        _ => {
            let found = format!("a {}", operand.shape());
            let kind = ParseErrorKind::Argument { function: what, expected: "one whole number", found };
            Err(ParseError::new(kind, operand.span.clone()).help("use a single number here"))
        }
    }
}
