//! Constant matrices in formulas: times a vector, times a number, rows and entries.

use std::sync::Arc;

use bilevel_linalg::{Csr, Dense};

use super::super::{Graph, Matrix, Shape};
use super::build::{Operand, constant_scalar, finish, not_a_matrix, whole_number};
use super::error::{OperandShape, ParseError, ParseErrorKind, Span};
use super::scope::{Value, constant_vector};
use super::syntax::Operator;

/// An operation with a matrix on at least one side.
pub(super) fn binary(operator: Operator, left: &Operand, right: &Operand, span: &Span) -> Result<Value, ParseError> {
    match (operator, &left.value, &right.value) {
        (Operator::Multiply, Value::Matrix { matrix, transposed }, Value::Expr { expr, constant }) => {
            if matches!(right.shape(), OperandShape::Value(Shape::Scalar)) {
                return match constant_scalar(right) {
                    Some(factor) => Ok(Value::Matrix { matrix: scaled(matrix, factor), transposed: *transposed }),
                    None => Err(variable_times_matrix(operator, left, right, span)),
                };
            }
            let product = if *transposed { matrix.transpose_times(expr) } else { matrix * expr };
            finish(product, *constant, span, &[left.clone(), right.clone()]).map_err(|error| {
                let kind = mismatch(operator, left, right);
                let help = match (left.shape(), right.shape()) {
                    (OperandShape::Matrix { rows, .. }, OperandShape::Value(shape)) if rows == shape.len() => {
                        "the matrix has as many rows as the vector entries: use `transpose(A)*v`"
                    }
                    _ => "the matrix must have as many columns as the vector has entries",
                };
                error.kind(kind).help(help)
            })
        }
        (Operator::Multiply, Value::Expr { .. }, Value::Matrix { matrix, transposed }) => {
            if let Some(factor) = constant_scalar(left) {
                return Ok(Value::Matrix { matrix: scaled(matrix, factor), transposed: *transposed });
            }
            if matches!(left.shape(), OperandShape::Value(Shape::Scalar)) {
                return Err(variable_times_matrix(operator, left, right, span));
            }
            Err(placed(operator, left, right, span).help("a matrix stands to the left of a vector: `transpose(A)*v`"))
        }
        (Operator::Divide, Value::Matrix { matrix, transposed }, Value::Expr { .. }) => match constant_scalar(right) {
            Some(divisor) if divisor != 0.0 => {
                Ok(Value::Matrix { matrix: divided(matrix, divisor), transposed: *transposed })
            }
            _ => {
                Err(placed(operator, left, right, span).help("a matrix can be divided by a constant number, not zero"))
            }
        },
        (Operator::Multiply, Value::Matrix { .. }, Value::Matrix { .. }) => Err(placed(operator, left, right, span)
            .help("products of matrices are not computed: write `A*(B*v)`, or compute the product beforehand")),
        _ => Err(placed(operator, left, right, span)
            .help("a matrix can be multiplied by a number or a vector; for sums, write `A*v + B*v`")),
    }
}

fn mismatch(operator: Operator, left: &Operand, right: &Operand) -> ParseErrorKind {
    ParseErrorKind::Operands { operation: operator.symbol(), left: left.shape(), right: right.shape() }
}

fn placed(operator: Operator, left: &Operand, right: &Operand, span: &Span) -> ParseError {
    ParseError::new(mismatch(operator, left, right), span.clone())
        .other(left.span.clone(), left.shape().to_string())
        .other(right.span.clone(), right.shape().to_string())
}

fn variable_times_matrix(operator: Operator, left: &Operand, right: &Operand, span: &Span) -> ParseError {
    placed(operator, left, right, span).help("a matrix is a constant: multiply the vector first, as in `s*(A*v)`")
}

/// The matrix times a number.
pub(super) fn scaled(matrix: &Matrix, factor: f64) -> Matrix {
    mapped(matrix, |value| factor * value)
}

fn divided(matrix: &Matrix, divisor: f64) -> Matrix {
    mapped(matrix, |value| value / divisor)
}

/// The transposed matrix, as a matrix of its own.
pub(super) fn transposed(matrix: &Matrix) -> Matrix {
    match matrix {
        Matrix::Dense(a) => {
            let mut out = Dense::zeros(a.cols(), a.rows());
            matrix.for_each(|i, j, value| out[(j, i)] = value);
            out.into()
        }
        Matrix::Sparse(a) => {
            let mut triplets = Vec::with_capacity(a.stored());
            matrix.for_each(|i, j, value| triplets.push((j, i, value)));
            // The triplets come from a matrix of this size.
            Csr::from_triplets(a.cols(), a.rows(), &triplets).map_or_else(|| matrix.clone(), Matrix::from)
        }
    }
}

fn mapped(matrix: &Matrix, map: impl Fn(f64) -> f64) -> Matrix {
    match matrix {
        Matrix::Dense(a) => {
            let mut a = Dense::clone(a);
            a.data_mut().iter_mut().for_each(|value| *value = map(*value));
            a.into()
        }
        Matrix::Sparse(a) => {
            let mut triplets = Vec::with_capacity(a.stored());
            matrix.for_each(|i, j, value| triplets.push((i, j, map(value))));
            // The triplets come from a matrix of this size.
            Csr::from_triplets(a.rows(), a.cols(), &triplets).map_or_else(|| matrix.clone(), Matrix::from)
        }
    }
}

/// `A[i]`: a row (of the transposed matrix: a column) as a constant vector.
pub(super) fn row(graph: &Graph, base: &Operand, index: &Operand) -> Result<Value, ParseError> {
    let Value::Matrix { matrix, transposed } = &base.value else { return Err(not_a_matrix("[ ]", base)) };
    let OperandShape::Matrix { rows, cols } = base.shape() else { return Err(not_a_matrix("[ ]", base)) };
    let i = checked(base, index, rows)?;
    let values: Arc<[f64]> = match (matrix, transposed) {
        (Matrix::Dense(a), false) => Arc::from(a.row(i)),
        (Matrix::Dense(a), true) => (0..cols).map(|j| a[(j, i)]).collect(),
        (Matrix::Sparse(a), false) => {
            let mut values = vec![0.0; cols];
            a.row(i).for_each(|(j, value)| values[j] = value);
            Arc::from(values)
        }
        (Matrix::Sparse(a), true) => (0..cols).map(|j| sparse_entry(a, j, i)).collect(),
    };
    Ok(Value::Expr { expr: constant_vector(graph, values, false), constant: true })
}

/// `A[i, j]`: an entry as a constant.
pub(super) fn entry(graph: &Graph, base: &Operand, row: &Operand, column: &Operand) -> Result<Value, ParseError> {
    let Value::Matrix { matrix, transposed } = &base.value else { return Err(not_a_matrix("[ ]", base)) };
    let OperandShape::Matrix { rows, cols } = base.shape() else { return Err(not_a_matrix("[ ]", base)) };
    let (i, j) = (checked(base, row, rows)?, checked(base, column, cols)?);
    let (i, j) = if *transposed { (j, i) } else { (i, j) };
    let value = match matrix {
        Matrix::Dense(a) => a[(i, j)],
        Matrix::Sparse(a) => sparse_entry(a, i, j),
    };
    Ok(Value::Expr { expr: graph.constant(value), constant: true })
}

fn sparse_entry(a: &Csr, i: usize, j: usize) -> f64 {
    a.row(i).find(|&(column, _)| column == j).map_or(0.0, |(_, value)| value)
}

fn checked(base: &Operand, index: &Operand, limit: usize) -> Result<usize, ParseError> {
    let position = whole_number(index, "a matrix index")?;
    if position < limit {
        return Ok(position);
    }
    let kind = ParseErrorKind::Index { index: format!("index {position}"), argument: base.shape() };
    Err(ParseError::new(kind, index.span.clone())
        .other(base.span.clone(), base.shape().to_string())
        .help("indices start at 0; the first counts rows, the second columns"))
}
