//! Shapes, errors and simplifications.

use bilevel_linalg::Dense;

use super::concat;
use crate::expr::{Expr, ExprError, Function, Graph, Level, Matrix, Op, Shape};

fn variables() -> (Graph, Expr, Expr, Expr) {
    let graph = Graph::new();
    let s = graph.variable(Level::Leader, 0, Shape::Scalar);
    let v = graph.variable(Level::Follower, 0, Shape::Vector(3));
    let w = graph.variable(Level::Follower, 3, Shape::Vector(3));
    (graph, s, v, w)
}

fn op(expr: &Expr) -> Op {
    expr.graph().node(expr.check().unwrap()).op
}

fn error(expr: &Expr) -> ExprError {
    expr.check().unwrap_err();
    expr.take_error().unwrap()
}

#[test]
fn scalars_broadcast_and_vectors_must_agree() {
    let (graph, s, v, w) = variables();
    assert_eq!((&s + &v).shape(), Shape::Vector(3));
    assert_eq!((&v * &s).shape(), Shape::Vector(3));
    assert_eq!((2.0 - &v / w).shape(), Shape::Vector(3));
    let one = v.slice(1..2);
    assert_eq!((&one + &s).shape(), Shape::Vector(1));
    let expected = ExprError::Shapes { operation: "*", left: Shape::Vector(1), right: Shape::Vector(3) };
    assert_eq!(error(&(&one * &v)), expected);
    assert_eq!(graph.first_error(), None);
}

#[test]
fn an_invalid_part_makes_the_whole_invalid_and_the_first_error_stays() {
    let (graph, s, v, _) = variables();
    let bad = v.index(7);
    let whole = concat(&[(bad.exp() + &s).sum().norm2(), s.clone()]).quadratic(&Dense::zeros(1, 1).into());
    assert!(whole.check().is_err());
    assert_eq!(graph.first_error(), Some(ExprError::Index { index: 7, argument: Shape::Vector(3) }));
    assert_eq!(whole.check(), Err(ExprError::Index { index: 7, argument: Shape::Vector(3) }));
}

#[test]
fn models_do_not_mix() {
    let (_, s, v, _) = variables();
    let (_, other, ..) = variables();
    assert_eq!(error(&(&s + &other)), ExprError::TwoGraphs);
    assert_eq!(error(&v.max(&other)), ExprError::TwoGraphs);
    assert_eq!(error(&v.dot(&other)), ExprError::TwoGraphs);
    assert_eq!(error(&concat(&[v.clone(), other.clone()])), ExprError::TwoGraphs);
    assert_eq!(error(&(&s + other.graph().constant(0.0))), ExprError::TwoGraphs);
    let one = other.graph().constant(1.0);
    assert_eq!(error(&(&s * &one)), ExprError::TwoGraphs);
    assert_eq!(error(&s.pow_expr(&one)), ExprError::TwoGraphs);
}

#[test]
fn wrong_arguments_are_named() {
    let (_, s, v, _) = variables();
    let matrix = Matrix::from(Dense::zeros(2, 3));
    let misfit = |transpose, n| ExprError::Matrix { rows: 2, cols: 3, transpose, argument: Shape::Vector(n) };
    assert_eq!((&matrix * &v).shape(), Shape::Vector(2));
    assert_eq!(error(&matrix.transpose_times(&v)), misfit(true, 3));
    assert_eq!(error(&v.quadratic(&matrix)), misfit(true, 3));
    assert_eq!(error(&v.slice(0..2).quadratic(&matrix)), misfit(false, 2));
    assert!(matches!(error(&v.huber(0.0)), ExprError::Parameter { operation: "huber", .. }));
    assert!(matches!(error(&v.norm_p(f64::NAN)), ExprError::Parameter { operation: "norm_p", .. }));
    assert!(matches!(error(&v.abs_power(-1.0)), ExprError::Parameter { .. }));
    assert!(matches!(error(&v.pow(f64::INFINITY)), ExprError::Parameter { .. }));
    assert!(matches!(error(&v.group_norms(2)), ExprError::Argument { .. }));
    assert!(matches!(error(&v.group_norms(0)), ExprError::Argument { .. }));
    assert!(matches!(error(&v.group_norms_sized(&[3, 0])), ExprError::Argument { .. }));
    assert!(matches!(error(&v.slice(0..0).max_of()), ExprError::Argument { .. }));
    assert!(matches!(error(&v.slice(0..0).mean()), ExprError::Argument { .. }));
    assert!(matches!(error(&s.index(0)), ExprError::Argument { .. }));
    assert!(matches!(error(&s.dot(&v)), ExprError::Shapes { .. }));
    assert_eq!(error(&v.slice(2..4)), ExprError::Index { index: 3, argument: Shape::Vector(3) });
    assert!(matches!(concat(&[]).take_error(), Some(ExprError::Argument { .. })));
    #[expect(clippy::reversed_empty_ranges, reason = "a reversed range is what is tested")]
    let reversed = 2..1;
    assert!(matches!(error(&v.slice(reversed)), ExprError::Index { .. }));
}

#[test]
fn constants_fold_with_at_most_one_rounding() {
    let (graph, s, ..) = variables();
    let c = |value| graph.constant(value);
    assert_eq!((c(2.0) * c(3.0) + c(1.0)).constant_value(), Some(7.0));
    assert_eq!((c(2.0).pow_expr(&c(10.0)) - 24.0).constant_value(), Some(1000.0));
    let third = c(1.0) / c(3.0);
    assert!(matches!(op(&third), Op::Constant { rounded: true, .. }));
    assert!(matches!(op(&-&third), Op::Constant { rounded: true, .. }));
    assert!(matches!(op(&(third * 3.0)), Op::Mul), "a rounded operand is left alone");
    assert!(matches!(op(&(graph.decimal(1.0, true) * &s)), Op::Mul), "a rounded 1 is not 1");
    assert!(matches!(op(&(c(1.0) / c(0.0))), Op::Div));
}

#[test]
fn simplifications_keep_values() {
    let (graph, s, v, _) = variables();
    for same in [&v + 0.0, 0.0 + &v, &v - 0.0, &v * 1.0, 1.0 * &v, &v / 1.0, -(-&v), v.pow(1.0), v.slice(0..3)] {
        assert_eq!(same.id(), v.id());
    }
    assert!(matches!(op(&(&v * &v)), Op::Map(Function::Square)));
    assert!(matches!(op(&v.pow(0.5)), Op::Map(Function::Sqrt)));
    assert!(matches!(op(&v.pow(-2.0)), Op::Map(Function::Power(_))));
    assert!(matches!(op(&v.pow_expr(&s)), Op::PowerOf));
    assert!(matches!(op(&graph.constant(0.0).max(&v)), Op::Map(Function::Plus)));
    assert_eq!(v.dot(&v).id(), v.square().sum().id());
    assert!(matches!(op(&v.dot(&v)), Op::SumSquares));
    assert_eq!(s.dot(&s).id(), s.square().id());
    let picked = v.gather(&[2, 0, 0]).slice(1..3);
    assert!(matches!(op(&picked), Op::Gather(indices) if *indices == [0, 0]));
    assert_eq!(v.slice(0..2).index(1).id(), v.index(1).id());
}

#[test]
fn equal_formulas_are_stored_once() {
    let (_, s, v, _) = variables();
    let first = (&s * &v).exp().sum() + v.norm_inf();
    let second = (&s * &v).exp().sum() + v.norm_inf();
    assert_eq!(first.id(), second.id());
}
