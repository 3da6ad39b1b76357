//! What a tape consists of, and how its memory is used.

use crate::expr::{Blocks, Expr, ExprError, Graph, Level, Op, Shape, Tape, TapeError, Workspace, concat};
use crate::smooth::{Chks, Family, Moreau, Smoothing, Uniform};

fn variables(n: usize, m: usize) -> (Expr, Expr) {
    let graph = Graph::new();
    (graph.variable(Level::Leader, 0, Shape::Vector(n)), graph.variable(Level::Follower, 0, Shape::Vector(m)))
}

fn value(tape: &Tape, x: &[f64], y: &[f64]) -> f64 {
    tape.evaluate(&mut Workspace::default(), x, y, Smoothing::EXACT).value()
}

#[test]
fn shared_parts_are_computed_once() {
    let (x, y) = variables(3, 3);
    // Doubling forty times: 2^40 leaves if the tape were a tree.
    let mut sum = (&x * &y).exp();
    for _ in 0..40 {
        sum = &sum + &sum;
    }
    let formulas = [sum.sum(), (&x * &y).exp().norm2()];
    let tape = Tape::compile(&formulas, 3, 3).unwrap();
    assert_eq!(tape.instructions().len(), 2 + 40 + 2);
    let exps = tape.instructions().iter().filter(|i| matches!(i.op, Op::Map(_))).count();
    assert_eq!(exps, 1);
}

#[test]
fn constants_are_folded_exactly_and_unsmoothed() {
    let (x, _) = variables(2, 0);
    let constant = x.graph().constant_vector(&[-3.0, 4.0]);
    let formula = constant.norm2() * constant.abs().log().sum() * x.sum();
    let tape = Tape::compile(&[formula], 2, 0).unwrap();
    assert_eq!(tape.instructions().len(), 2);
    let smoothing = Smoothing::new(&crate::smooth::Chks, 0.5);
    let value = tape.evaluate(&mut Workspace::default(), &[1.0, 1.0], &[], smoothing).value();
    assert!((value - 5.0 * 12.0_f64.ln() * 2.0).abs() < 1e-14);
}

#[test]
fn views_are_no_instructions() {
    let (x, y) = variables(2, 5);
    let formulas = [y.index(3), y.slice(1..4), y.gather(&[2]), concat(&[x.clone(), y.clone()]), y.slice(2..2)];
    let tape = Tape::compile(&formulas, 2, 5).unwrap();
    assert!(tape.instructions().is_empty());
    let lengths: Vec<usize> = tape.roots().iter().map(|root| root.span.len).collect();
    assert_eq!(lengths, [1, 3, 1, 7, 0]);
    assert_eq!(tape.roots()[0].span.start, 5);
    assert_eq!(tape.roots()[3].depends, Blocks::BOTH);
    let gathered = Tape::compile(&[y.gather(&[3, 2])], 2, 5).unwrap();
    assert_eq!(gathered.instructions().len(), 1);
}

#[test]
fn dependence_is_known() {
    let (x, y) = variables(1, 1);
    let tape = Tape::compile(&[x.exp(), y.exp(), &x * &y], 1, 1).unwrap();
    let flags: Vec<Blocks> = tape.roots().iter().map(|root| root.depends).collect();
    assert_eq!(flags, [Blocks::LEADER, Blocks::FOLLOWER, Blocks::BOTH]);
    assert_eq!(tape.depends(), Blocks::BOTH);
    assert!(!Blocks::LEADER.meets(Blocks::FOLLOWER) && Blocks::BOTH.contains(Blocks::LEADER));
}

#[test]
fn bad_formulas_are_refused() {
    let (x, y) = variables(2, 3);
    let beyond = TapeError::Variable { level: Level::Follower, start: 0, end: 3, available: 2 };
    assert_eq!(Tape::compile(&[y.sum()], 2, 2).unwrap_err(), beyond);
    let other = Graph::new().constant(1.0);
    assert_eq!(Tape::compile(&[y.sum(), other], 2, 3).unwrap_err(), ExprError::TwoGraphs.into());
    let invalid = Tape::compile(&[y.sum(), &x + &y], 2, 3).unwrap_err();
    assert!(matches!(invalid, TapeError::Expr(ExprError::Shapes { .. })));
}

#[test]
fn no_formulas_and_no_variables() {
    let empty = Tape::compile(&[], 1, 0).unwrap();
    assert_eq!(empty.outputs(), 0);
    assert!(value(&empty, &[1.0], &[]).is_nan());
    let (_, y) = variables(0, 2);
    let tape = Tape::compile(&[y.norm2sq()], 0, 2).unwrap();
    assert_eq!(value(&tape, &[], &[3.0, 4.0]), 25.0);
}

#[test]
fn a_workspace_serves_several_tapes() {
    let (x, y) = variables(1, 1);
    let first = Tape::compile(&[&x * 3.0 + &y], 1, 1).unwrap();
    let second = Tape::compile(&[&x * 5.0 - y.exp() + 100.0], 1, 1).unwrap();
    let mut workspace = Workspace::new(&first);
    for _ in 0..2 {
        assert_eq!(first.evaluate(&mut workspace, &[2.0], &[0.0], Smoothing::EXACT).value(), 6.0);
        assert_eq!(second.evaluate(&mut workspace, &[2.0], &[0.0], Smoothing::EXACT).value(), 109.0);
        assert_eq!(first.clone().evaluate(&mut workspace, &[1.0], &[0.0], Smoothing::EXACT).value(), 3.0);
    }
}

#[test]
fn an_operation_with_its_own_family_follows_it() {
    let graph = Graph::new();
    let y = graph.variable(Level::Follower, 0, Shape::Vector(2));
    let mixed = y.abs().smoothed_by(&Moreau).sum() + y.plus().sum() + y.exp().smoothed_by(&Moreau).sum();
    let tape = Tape::compile(std::slice::from_ref(&mixed), 0, 2).unwrap();
    let mut workspace = Workspace::default();
    let (point, mu) = ([0.03, -0.4], 0.1);
    for family in [&Chks as &dyn Family, &Uniform] {
        let value = tape.evaluate(&mut workspace, &[], &point, Smoothing::new(family, mu)).value();
        let term = |z: f64| Moreau.abs(z, mu).value + family.plus(z, mu).value + z.exp();
        assert!((value - point.iter().map(|&z| term(z)).sum::<f64>()).abs() < 1e-14);
    }
    // Equal operations with different families are different nodes.
    assert_ne!(y.abs().id(), y.abs().smoothed_by(&Moreau).id());
    assert_ne!(y.abs().smoothed_by(&Chks).id(), y.abs().smoothed_by(&Moreau).id());
    assert_eq!(y.abs().smoothed_by(&Moreau).id(), y.abs().smoothed_by(&Moreau).id());
}
