//! Problems for the tests, from text.

use crate::expr::Shape;
use crate::expr::parse::{Scope, parse_formula};
use crate::problem::{Model, Problem};
use crate::set::Bounds;

/// A problem in vectors x and y with the same bounds for every entry; constraints are `<= 0`. Infinite bounds make the
/// level free.
#[allow(clippy::too_many_arguments)]
pub fn problem(
    n: usize,
    m: usize,
    upper: &str,
    lower: &str,
    upper_rows: &[&str],
    lower_rows: &[&str],
    x: (f64, f64),
    y: (f64, f64),
) -> Problem {
    let mut model = Model::new();
    let mut scope = Scope::new(model.graph());
    let block = |bounds: (f64, f64), len: usize| Bounds::uniform(len, bounds.0, bounds.1).unwrap();
    let leader = model.leader("x", Shape::Vector(n)).within(block(x, n)).unwrap();
    let follower = model.follower("y", Shape::Vector(m)).within(block(y, m)).unwrap();
    scope.define("x", leader);
    scope.define("y", follower);
    let read = |text: &str| parse_formula(text, &scope).unwrap();
    model.upper(read(upper)).lower(read(lower));
    for row in upper_rows {
        model.upper_subject_to(read(row).at_most(0.0));
    }
    for row in lower_rows {
        model.lower_subject_to(read(row).at_most(0.0));
    }
    model.build().unwrap()
}
