//! Formulas, constraints and constants from arbitrary text.
#![no_main]

use bilevel::expr::parse::{Scope, parse_constant, parse_constraint, parse_formula};
use bilevel::expr::{Graph, Level, Shape};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let graph = Graph::new();
    let mut scope = Scope::new(&graph);
    scope.define("x", graph.variable(Level::Leader, 0, Shape::Scalar));
    scope.define("y", graph.variable(Level::Follower, 0, Shape::Vector(4)));
    scope.vector("b", &[1.0, -0.5], false);
    scope.number("c", 0.1, true);
    let _ = parse_formula(text, &scope);
    let _ = parse_constraint(text, &scope);
    let _ = parse_constant(text, &scope);
    assert_eq!(graph.first_error(), None);
});
