//! What a user calls to build formulas: operators, functions, reductions, norms, matrices, indexing.
//!
//! Every function checks shapes and parameters. A mistake gives an invalid formula, and the graph keeps the first
//! error. Scalars broadcast; a vector of length 1 is not a scalar, and fits only vectors of length 1 and scalars.
//!
//! Some simplifications are made on the way, none of which changes a value:
//!
//! * arithmetic of scalar constants, where one rounding at most is made (see [`fold`]);
//! * `z + 0`, `z - 0`, `z * 1`, `z / 1`, `-(-z)`, `z^1` give `z`;
//! * `z * z` and `z^2` give the square, `z^0.5` the root, `dot(z, z)` and `sum(z^2)` the sum of squares;
//! * `max(z, 0)` gives the positive part;
//! * a gather of a gather gives one gather.

mod arithmetic;
mod fold;
mod functions;
mod reductions;
#[cfg(test)]
mod tests;
mod vectors;

pub use vectors::concat;

use super::{Expr, ExprError, Graph, Node, NodeId, Op, Shape};

/// The nodes of two operands in their common graph, or the invalid formula to answer with.
fn pair<'a>(left: &'a Expr, right: &Expr) -> Result<(&'a Graph, NodeId, NodeId), Expr> {
    let graph = left.graph();
    if !graph.same(right.graph()) {
        return Err(graph.invalid(ExprError::TwoGraphs));
    }
    match (left.id(), right.id()) {
        (Some(a), Some(b)) => Ok((graph, a, b)),
        _ => Err(left.poisoned()),
    }
}

/// The shape of an elementwise operation: equal shapes, or a scalar with anything.
fn broadcast(left: Shape, right: Shape) -> Option<Shape> {
    match (left, right) {
        _ if left == right => Some(left),
        (Shape::Scalar, other) | (other, Shape::Scalar) => Some(other),
        _ => None,
    }
}

/// An elementwise operation of two operands.
fn binary(name: &'static str, op: Op, left: &Expr, right: &Expr) -> Expr {
    let (graph, a, b) = match pair(left, right) {
        Ok(found) => found,
        Err(invalid) => return invalid,
    };
    let (left, right) = (left.shape(), right.shape());
    match broadcast(left, right) {
        Some(shape) => graph.expr(op, vec![a, b], shape),
        None => graph.invalid(ExprError::Shapes { operation: name, left, right }),
    }
}

/// An operation of one operand.
fn unary(op: Op, argument: &Expr, shape: Shape) -> Expr {
    match argument.id() {
        Some(id) => argument.graph().expr(op, vec![id], shape),
        None => argument.poisoned(),
    }
}

/// The node behind a valid formula.
fn node(expr: &Expr) -> Option<Node> {
    expr.id().map(|id| expr.graph().node(id))
}

/// An invalid formula because `argument` has the wrong shape.
fn wrong(operation: &'static str, expected: &'static str, argument: &Expr) -> Expr {
    if argument.id().is_none() {
        return argument.poisoned();
    }
    argument.graph().invalid(ExprError::Argument { operation, expected, argument: argument.shape() })
}

/// An invalid formula because a parameter is out of range.
fn out_of_range(operation: &'static str, expected: &'static str, value: f64, argument: &Expr) -> Expr {
    if argument.id().is_none() {
        return argument.poisoned();
    }
    argument.graph().invalid(ExprError::Parameter { operation, expected, value })
}
