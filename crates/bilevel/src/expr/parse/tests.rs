use std::sync::Arc;

use bilevel_linalg::{Csr, Dense};
use proptest::prelude::*;

use super::super::{Expr, Function, Graph, Level, Matrix, Op, Shape, Tape, Workspace};
use super::*;
use crate::smooth::Smoothing;

/// x, s scalars, y and z vectors of 3, w of 2, A 2x3, Q 3x3, B sparse 2x3, b constant of 2, c scalar 0.1, idx.
fn scope() -> Scope {
    let graph = Graph::new();
    let mut scope = Scope::new(&graph);
    scope.define("x", graph.variable(Level::Leader, 0, Shape::Scalar));
    scope.define("s", graph.variable(Level::Leader, 1, Shape::Scalar));
    scope.define("y", graph.variable(Level::Follower, 0, Shape::Vector(3)));
    scope.define("z", graph.variable(Level::Follower, 3, Shape::Vector(3)));
    scope.define("w", graph.variable(Level::Follower, 6, Shape::Vector(2)));
    scope.matrix("A", dense(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    scope.matrix("Q", dense(3, 3, &[2.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 3.0]));
    let sparse = Csr::from_triplets(2, 3, &[(0, 0, 1.0), (1, 2, -2.0)]).unwrap();
    scope.matrix("B", sparse.into());
    scope.vector("b", &[0.5, -0.5], false);
    scope.vector("idx", &[2.0, 0.0], false);
    scope.number("c", 0.1, true);
    scope.matrix("train.X", dense(2, 3, &[1.0; 6]));
    scope.forbid("train", "it is a data table", "use `train.X` or `train.y`");
    scope
}

fn dense(rows: usize, cols: usize, data: &[f64]) -> Matrix {
    Dense::from_row_major(rows, cols, data.to_vec()).unwrap().into()
}

fn formula(text: &str) -> Expr {
    parse_formula(text, &scope()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> ParseError {
    parse_formula(text, &scope()).unwrap_err()
}

fn op(expr: &Expr) -> Op {
    expr.graph().node(expr.check().unwrap()).op
}

fn constants(expr: &Expr) -> (Vec<f64>, bool) {
    match op(expr) {
        Op::Constant { values, rounded } => (values.to_vec(), rounded),
        other => panic!("not a constant: {other:?}"),
    }
}

#[test]
fn decimals_know_whether_they_were_rounded() {
    assert_eq!(constants(&formula("0.5")), (vec![0.5], false));
    assert_eq!(constants(&formula("0.1")), (vec![0.1], true));
    assert_eq!(constants(&formula("-0.1")), (vec![-0.1], true));
    assert_eq!(constants(&formula("c")), (vec![0.1], true));
    assert_eq!(constants(&formula("[1, 0.1]")), (vec![1.0, 0.1], true));
    assert_eq!(constants(&formula("-b")), (vec![-0.5, 0.5], false));
    assert_eq!(constants(&formula("b[0]")), (vec![0.5], false));
}

#[test]
fn shapes_of_everything() {
    for (text, shape) in [
        ("x", Shape::Scalar),
        ("2*y - x", Shape::Vector(3)),
        ("A*y + b", Shape::Vector(2)),
        ("A'*w", Shape::Vector(3)),
        ("transpose(A)*w", Shape::Vector(3)),
        ("transpose(A')*y", Shape::Vector(2)),
        ("(2*A/4)*y", Shape::Vector(2)),
        ("-B*y", Shape::Vector(2)),
        ("norm2sq(A*y - b)/(2*rows(A))", Shape::Scalar),
        ("quad(Q, y - z)", Shape::Scalar),
        ("y[0]", Shape::Scalar),
        ("y[0..2]", Shape::Vector(2)),
        ("y[1..]", Shape::Vector(2)),
        ("y[..1]", Shape::Vector(1)),
        ("y[idx]", Shape::Vector(2)),
        ("y[[2, 1, 0, 0]]", Shape::Vector(4)),
        ("y[len(y) - 1]", Shape::Scalar),
        ("[x, y, 1]", Shape::Vector(5)),
        ("concat(w, z)", Shape::Vector(5)),
        ("A[1]", Shape::Vector(3)),
        ("A'[2]", Shape::Vector(2)),
        ("dot(A[1], y)", Shape::Scalar),
        ("A[1, 2]*x", Shape::Scalar),
        ("max(x, s, 0)", Shape::Scalar),
        ("max(y, z, x)", Shape::Vector(3)),
        ("min(y)", Shape::Scalar),
        ("group_norm(y, 3)", Shape::Scalar),
        ("group_norms(y, [1, 2])", Shape::Vector(2)),
        ("huber(y) + huber(z, 0.5)", Shape::Vector(3)),
        ("train.X*y", Shape::Vector(2)),
        ("y^x + 2^y", Shape::Vector(3)),
        ("cols(A)*pi", Shape::Scalar),
    ] {
        assert_eq!(formula(text).shape(), shape, "{text}");
    }
}

#[test]
fn every_function_is_the_operation_of_its_name() {
    for (text, function) in [
        ("exp(x)", Function::Exp),
        ("log(x)", Function::Log),
        ("log1p(x)", Function::Log1p),
        ("expm1(x)", Function::Expm1),
        ("sqrt(x)", Function::Sqrt),
        ("square(x)", Function::Square),
        ("x^2", Function::Square),
        ("sin(x)", Function::Sin),
        ("cos(x)", Function::Cos),
        ("tan(x)", Function::Tan),
        ("tanh(x)", Function::Tanh),
        ("sigmoid(x)", Function::Sigmoid),
        ("softplus(x)", Function::Softplus),
        ("abs(x)", Function::Abs),
        ("plus(x)", Function::Plus),
        ("max(x, 0)", Function::Plus),
        ("hinge(x)", Function::Plus),
        ("huber(x, 2)", Function::Huber(2.0)),
        ("abs_power(x, 0.5)", Function::AbsPower(0.5)),
        ("x^3", Function::Power(3.0)),
        ("x^-1", Function::Power(-1.0)),
        ("x^(1/4)", Function::Power(0.25)),
        ("x^(-(3))", Function::Power(-3.0)),
        ("x^(c + c)", Function::Power(0.2)),
        ("huber(x, sum(b) + 0.1 + 0.1)", Function::Huber(0.2)),
    ] {
        assert!(matches!(op(&formula(text)), Op::Map(found) if found == function), "{text}");
    }
    assert!(matches!(op(&formula("norm_p(y, 0.5)")), Op::NormP(p) if p == 0.5));
    assert!(matches!(op(&formula("norm2(y)")), Op::GroupNorms { .. }));
    assert!(matches!(op(&formula("norm2sq(y)")), Op::SumSquares));
    assert!(matches!(op(&formula("max(x, s, 1)")), Op::MaxOf));
    assert!(matches!(op(&formula("max(x, s)")), Op::Max));
    assert!(matches!(op(&formula("dot(y, z)")), Op::Dot));
    assert!(matches!(op(&formula("x^s")), Op::PowerOf));
    assert!(matches!(op(&formula("quad(Q, y)")), Op::Quadratic { .. }));
    assert!(matches!(op(&formula("B'*w")), Op::MatVec { transpose: true, .. }));
    for name in function_names() {
        assert!(!matches!(error(name).kind, ParseErrorKind::UnknownFunction(_)), "{name}");
        let unknown = parse_formula(&format!("{name}()"), &scope()).unwrap_err();
        assert!(matches!(unknown.kind, ParseErrorKind::ArgumentCount { given: 0, .. }), "{name}: {unknown}");
    }
}

#[test]
fn scaled_matrices_and_their_parts() {
    let scale = |text: &str| match op(&formula(text)) {
        Op::MatVec { matrix, .. } => {
            let mut entries = Vec::new();
            matrix.for_each(|i, j, value| entries.push((i, j, value)));
            entries
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(scale("(2*B)*y"), [(0, 0, 2.0), (1, 2, -4.0)]);
    assert_eq!(scale("(B/2)*y"), [(0, 0, 0.5), (1, 2, -1.0)]);
    assert_eq!(scale("(-A*0.5)*y")[5], (1, 2, -3.0));
    assert_eq!(constants(&formula("A[1]")).0, [4.0, 5.0, 6.0]);
    assert_eq!(constants(&formula("A'[1]")).0, [2.0, 5.0]);
    assert_eq!(constants(&formula("B[1]")).0, [0.0, 0.0, -2.0]);
    assert_eq!(constants(&formula("B'[2]")).0, [0.0, -2.0]);
    assert_eq!(constants(&formula("A[0, 2]")).0, [3.0]);
    assert_eq!(constants(&formula("A'[2, 0]")).0, [3.0]);
    assert_eq!(constants(&formula("B[1, 2]")).0, [-2.0]);
    assert_eq!(constants(&formula("B[1, 1]")).0, [0.0]);
    assert_eq!(constants(&formula("A[1][2]")).0, [6.0]);
}

#[test]
fn mistakes_have_places_and_advice() {
    for (text, place, message, help) in [
        ("x + yy", 4..6, "unknown name `yy`", "did you mean `y`?"),
        ("foo + 1", 0..3, "unknown name `foo`", "known names are"),
        ("exq(x)", 0..3, "unknown function `exq`", "did you mean `exp`?"),
        ("ln(x)", 0..2, "unknown function `ln`", "did you mean `log`?"),
        ("x(1)", 0..1, "unknown function `x`", "`x` is not a function"),
        ("exp + 1", 0..3, "unknown name `exp`", "`exp` is a function"),
        ("train*y", 0..5, "`train` cannot be used here", "train.X"),
        ("exp(x, s)", 0..9, "`exp` takes one argument, got 2", "exp(z)"),
        ("norm_p(y)", 0..9, "`norm_p` takes two arguments, got 1", "norm_p(z, p)"),
        ("y + w", 0..5, "vector(3) + vector(2)", "same length"),
        ("1 + (y - x)*w", 4..13, "vector(3) * vector(2)", "same length"),
        ("A*w", 0..3, "2x3 matrix * vector(2)", "transpose(A)*v"),
        ("A'*y", 0..4, "3x2 matrix * vector(3)", "transpose(A)*v"),
        ("y*A", 0..3, "vector(3) * 2x3 matrix", "to the left"),
        ("x*A", 0..3, "scalar * 2x3 matrix", "multiply the vector first"),
        ("A*A", 0..3, "2x3 matrix * 2x3 matrix", "A*(B*v)"),
        ("A + A", 0..5, "2x3 matrix + 2x3 matrix", "A*v + B*v"),
        ("A/0", 0..3, "2x3 matrix / scalar", "not zero"),
        ("A", 0..1, "needs a scalar or a vector, got a 2x3 matrix", "multiplied"),
        ("exp(A)", 4..5, "`exp` needs a scalar or a vector", "multiplied"),
        ("y'", 0..1, "needs a matrix, got a vector(3)", "dot(a, b)"),
        ("quad(A, y)", 0..10, "2x3 matrix quad vector(3)", "square matrix"),
        ("quad(y, y)", 5..6, "needs a matrix", "[constants]"),
        ("y[3]", 2..3, "index 3 is outside a vector(3)", "start at 0"),
        ("y[-1]", 2..4, "a whole number from 0, got -1", "not negative"),
        ("y[0.5]", 2..5, "a whole number from 0, got 0.5", "whole numbers"),
        ("y[x]", 2..3, "an index must be a constant", "constant"),
        ("y[2..5]", 0..7, "the slice 2..5 is outside", "0 <= a < b <= 3"),
        ("y[2..2]", 0..7, "the slice 2..2 is outside", "0 <= a < b <= 3"),
        ("x[0]", 0..1, "needs a vector, got scalar", "leave out the brackets"),
        ("A[2]", 2..3, "index 2 is outside a 2x3 matrix", "rows"),
        ("A[0, 3]", 5..6, "index 3 is outside", "columns"),
        ("A[0, 1, 2]", 0..10, "one or two indices", "x[[0, 2]]"),
        ("y[0, 1]", 0..7, "one index", "x[[0, 2]]"),
        ("group_norm(y, 2)", 0..16, "multiple of the group size", "shape"),
        ("group_norm(y, x)", 14..15, "a group size must be a constant", "whole numbers"),
        ("norm_p(y, 0)", 0..12, "a positive power, got 0", "parameter"),
        ("huber(y, x)", 9..10, "a constant number", "variables"),
        ("x/0", 2..3, "division by zero", "never zero"),
        ("inf*x", 0..3, "only be used in bounds", "leave"),
        ("[]", 0..2, "at least one entry", "commas"),
        ("x <= 1", 2..4, "a relation cannot be used here", "subject_to"),
        ("norm_p(A, 2)", 7..8, "2x3 matrix", "multiplied"),
        ("rows(y)", 5..6, "needs a matrix", "train.X"),
        ("dot(y, w)", 0..9, "vector(3) dot vector(2)", "same length"),
        ("max(y, w)", 0..9, "vector(3) max vector(2)", "same length"),
    ] {
        let found = error(text);
        assert_eq!(found.span, place, "{text}: {found}");
        assert!(found.kind.to_string().contains(message), "{text}: {found}");
        assert!(found.help.as_deref().unwrap_or_default().contains(help), "{text}: {found}");
    }
}

#[test]
fn both_operands_are_shown() {
    let found = error("1 + (y - x)*w");
    let expected = [(4..11, "vector(3)".to_string()), (12..13, "vector(2)".to_string())];
    assert_eq!(found.others, expected);
    assert_eq!(error("A*(w + x)").others, [(0..1, "2x3 matrix".to_string()), (2..9, "vector(2)".to_string())]);
}

/// Values of formulas in Rust and in text agree: names, precedence and argument order are right.
#[test]
fn values_agree_with_rust() {
    let scope = scope();
    let (x, s) = (0.7, -1.3);
    let y = [0.5, -2.0, 1.5, 3.0, 0.25, -1.0, 2.0, -0.5];
    let group = |a: f64, b: f64| a.hypot(b);
    for (text, expected) in [
        ("x - s - 1", x - s - 1.0),
        ("x/s/2", x / s / 2.0),
        ("-x^2", -(x * x)),
        ("2^-x*3", 2.0_f64.powf(-x) * 3.0),
        ("2^3^x", 2.0_f64.powf(3.0_f64.powf(x))),
        ("x^-2", x.powi(-2)),
        ("max(x, s, 1)", 1.0),
        ("min(x, s)", s),
        ("min(y)", -2.0),
        ("norm1(y)", 4.0),
        ("norm_inf(y)", 2.0),
        ("norm_p(y, 1/2)", (0.5_f64.sqrt() + 2.0_f64.sqrt() + 1.5_f64.sqrt()).powi(2)),
        ("norm2sq(y[1..] - [x, s])", (-2.0 - x).powi(2) + (1.5 - s).powi(2)),
        ("y[2]*z[0]", 4.5),
        ("sum(y[idx])", 2.0),
        ("sum(A*y)", (0.5 - 4.0 + 4.5) + (2.0 - 10.0 + 9.0)),
        ("dot(A'*w, y)", 0.5 * 0.0 + -2.0 * 1.5 + 1.5 * 3.0),
        ("sum(B*y - b)", (0.5 - 0.5) + (-3.0 + 0.5)),
        ("quad(Q, y)", 2.0 * 0.25 + 0.5 * 1.5 + 4.0 + 3.0 * 2.25),
        ("group_norm([y, x], 2)", group(0.5, -2.0) + group(1.5, x)),
        ("group_norm([y, x], [1, 3])", 0.5 + (4.0 + 2.25 + x * x).sqrt()),
        ("hinge(x) + plus(s) + abs(s)", 0.3 + 0.0 + 1.3),
        ("huber(s, 0.5)", 0.5 * (1.3 - 0.25)),
        ("abs_power(s, 1.5)", 1.3_f64.powf(1.5)),
        ("mean(y)*len(y) - sum(y)", 0.0),
        ("log(exp(x)) + log1p(expm1(s))", x + s),
        ("sigmoid(x) + softplus(s)", 1.0 / (1.0 + (-x).exp()) + s.exp().ln_1p()),
        ("sin(pi/2) + cos(0) + tan(0) + tanh(0)", 2.0),
        ("square(sqrt(x)) + c", x + 0.1),
        ("concat(x, y, s)[4]", s),
    ] {
        let expr = parse_formula(text, &scope).unwrap();
        let tape = Tape::compile(&[expr], 2, 8).unwrap();
        let mut workspace = Workspace::new(&tape);
        let value = tape.evaluate(&mut workspace, &[x, s], &y, Smoothing::EXACT).value();
        assert!((value - expected).abs() <= 1e-14 * (1.0 + expected.abs()), "{text}: {value} != {expected}");
    }
}

#[test]
fn an_error_leaves_the_graph_usable() {
    let scope = scope();
    assert!(parse_formula("y + w", &scope).is_err());
    assert!(parse_formula("y[7]", &scope).is_err());
    assert_eq!(scope.graph().first_error(), None);
    assert!(parse_formula("sum(y)", &scope).unwrap().check().is_ok());
}

#[test]
fn constraints() {
    let scope = scope();
    let one = parse_constraint("x + y[0] <= 3", &scope).unwrap();
    assert_eq!((one.len(), one[0].compare, one[0].span.clone()), (1, Compare::AtMost, 0..13));
    let chain = parse_constraint("0 <= y <= 1", &scope).unwrap();
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1].left.id(), parse_formula("y", &scope).unwrap().id());
    assert_eq!(chain[0].right.id(), chain[1].left.id());
    assert_eq!((chain[0].span.clone(), chain[1].span.clone()), (0..6, 5..11));
    for (text, place, message) in [
        ("x + y[0]", 0..8, "needs `<=`"),
        ("0 <= x >= 1", 7..9, "keep its direction"),
        ("0 == x == 1", 7..9, "cannot be chained"),
        ("y <= w", 2..4, "vector(3) <= vector(2)"),
        ("x = 1", 2..3, "unexpected character `=`"),
        ("x <=", 4..4, "the end of the formula"),
        ("A*y <= A", 7..8, "matrix"),
    ] {
        let found = parse_constraint(text, &scope).unwrap_err();
        assert_eq!(found.span, place, "{text}: {found}");
        assert!(found.kind.to_string().contains(message), "{text}: {found}");
    }
}

#[test]
fn constants_may_be_infinite_but_not_variable() {
    let scope = scope();
    let value = |text: &str| parse_constant(text, &scope).unwrap().values;
    assert_eq!(value("-inf"), [f64::NEG_INFINITY]);
    assert_eq!(value("[0, -inf, 2*3]"), [0.0, f64::NEG_INFINITY, 6.0]);
    assert_eq!(value("cols(A)"), [3.0]);
    assert_eq!(value("c*[1, 2] - exp(0)"), [0.1 - 1.0, 0.2 - 1.0]);
    assert_eq!(value("2*inf"), [f64::INFINITY]);
    assert_eq!(value("A*[1, 0, 0]"), [1.0, 4.0]);
    assert!(parse_constant("inf - inf", &scope).unwrap_err().kind.to_string().contains("NaN"));
    assert!(matches!(parse_constant("x", &scope).unwrap_err().kind, ParseErrorKind::NotConstant(_)));
    assert!(parse_constant("A", &scope).is_err());
}

#[test]
fn data_may_be_matrices() {
    let scope = scope();
    let entries = |text: &str| match parse_data(text, &scope).unwrap() {
        ParsedData::Matrix(matrix) => {
            let mut entries = Vec::new();
            matrix.for_each(|i, j, value| entries.push((i, j, value)));
            entries
        }
        ParsedData::Values(constant) => panic!("{constant:?}"),
    };
    assert_eq!(entries("B"), [(0, 0, 1.0), (1, 2, -2.0)]);
    assert_eq!(entries("2*B'"), [(0, 0, 2.0), (2, 1, -4.0)]);
    assert_eq!(entries("A'")[1], (0, 1, 4.0));
    assert!(matches!(parse_data("b", &scope), Ok(ParsedData::Values(ParsedConstant { shape: Shape::Vector(2), .. }))));
    assert!(parse_data("x", &scope).is_err());
}

#[test]
fn a_sum_of_a_hundred_thousand_terms() {
    let text = (0..100_000).map(|i| format!("{i}*x")).collect::<Vec<_>>().join(" + ");
    let expr = formula(&text);
    let (nodes, _) = expr.graph().extract(&[expr.check().unwrap()]);
    // One product for each term but 0*x and 1*x, a constant for each, x itself, and the sums.
    assert!(nodes.len() > 299_990, "{}", nodes.len());
}

#[test]
fn absurd_sizes_are_refused() {
    let graph = Graph::new();
    let mut scope = Scope::new(&graph);
    scope.define("y", graph.variable(Level::Follower, 0, Shape::Vector(1_000_000)));
    let text = vec!["y[1..]"; 30].join(" + ");
    assert!(matches!(parse_formula(&text, &scope).unwrap_err().kind, ParseErrorKind::Size { .. }));
}

#[test]
fn shared_parts_are_stored_once() {
    let scope = scope();
    let a = parse_formula("exp(x*s) + 1", &scope).unwrap();
    let b = parse_formula("exp(x*s) + 1", &scope).unwrap();
    assert_eq!(a.id(), b.id());
}

fn fragments() -> impl Strategy<Value = String> {
    let words = Arc::new([
        "x",
        "y",
        "z",
        "w",
        "A",
        "Q",
        "B",
        "b",
        "c",
        "idx",
        "train",
        "train.X",
        "inf",
        "1",
        "0",
        "2",
        "0.1",
        "1e-3",
        "1e999",
        "+",
        "-",
        "*",
        "/",
        "^",
        "(",
        ")",
        "[",
        "]",
        ",",
        "..",
        "'",
        "<=",
        ">=",
        "==",
        "=",
        "exp",
        "max",
        "norm_p",
        "group_norm",
        "quad",
        "sum",
        "dot",
        "transpose",
        "concat",
        "huber",
        "rows",
        "len",
        " ",
        "é",
        "\0",
    ]);
    prop::collection::vec(0..words.len(), 0..24)
        .prop_map(move |picks| picks.iter().map(|&i| words[i]).collect::<Vec<_>>().join(""))
}

fn all_readers(text: &str) {
    let scope = scope();
    let whole = |error: &ParseError| {
        assert!(error.span.start <= error.span.end && error.span.end <= text.len());
        assert!(text.is_char_boundary(error.span.start) && text.is_char_boundary(error.span.end));
        assert!(error.others.iter().all(|(s, _)| s.end <= text.len() && text.is_char_boundary(s.end)));
        assert!(error.help.is_some());
    };
    match parse_formula(text, &scope) {
        Ok(expr) => assert!(expr.check().is_ok()),
        Err(error) => whole(&error),
    }
    if let Err(error) = parse_constraint(text, &scope) {
        whole(&error);
    }
    if let Err(error) = parse_constant(text, &scope) {
        whole(&error);
    }
    assert_eq!(scope.graph().first_error(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,60}") {
        all_readers(&text);
    }

    #[test]
    fn arbitrary_fragments_never_panic(text in fragments()) {
        all_readers(&text);
    }
}

/// A formula as a tree, to be written in two ways.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(&'static str),
    Negate(Box<Tree>),
    Binary(char, Box<Tree>, Box<Tree>),
    Call(&'static str, Box<Tree>),
}

fn trees() -> impl Strategy<Value = Tree> {
    let leaf = prop::sample::select(vec!["x", "s", "2", "0.1", "c", "y[1]", "b[0]"]).prop_map(Tree::Leaf);
    leaf.prop_recursive(6, 40, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|a| Tree::Negate(Box::new(a))),
            (prop::sample::select(vec!['+', '-', '*', '/', '^']), inner.clone(), inner.clone())
                .prop_map(|(op, a, b)| Tree::Binary(op, Box::new(a), Box::new(b))),
            (prop::sample::select(vec!["exp", "abs", "sin"]), inner).prop_map(|(f, a)| Tree::Call(f, Box::new(a))),
        ]
    })
}

/// With parentheses around every operation.
fn full(tree: &Tree) -> String {
    match tree {
        Tree::Leaf(text) => (*text).to_string(),
        Tree::Negate(a) => format!("(-{})", full(a)),
        Tree::Binary(op, a, b) => format!("({} {op} {})", full(a), full(b)),
        Tree::Call(f, a) => format!("{f}({})", full(a)),
    }
}

/// With parentheses only where the grammar needs them; `least` is the level (1 sum, 2 product, 3 sign, 4 power, 5 atom)
/// that may stand here.
fn sparse(tree: &Tree, least: u8) -> String {
    let (level, text) = match tree {
        Tree::Leaf(text) => (5, (*text).to_string()),
        Tree::Negate(a) => (3, format!("-{}", sparse(a, 3))),
        Tree::Binary(op @ ('+' | '-'), a, b) => (1, format!("{}{op}{}", sparse(a, 1), sparse(b, 2))),
        Tree::Binary(op @ ('*' | '/'), a, b) => (2, format!("{}{op}{}", sparse(a, 2), sparse(b, 3))),
        Tree::Binary(op, a, b) => (4, format!("{}{op}{}", sparse(a, 5), sparse(b, 3))),
        Tree::Call(f, a) => (5, format!("{f}({})", sparse(a, 1))),
    };
    if level < least { format!("({text})") } else { text }
}

proptest! {
    #[test]
    fn parentheses_that_precedence_implies_change_nothing(tree in trees()) {
        let scope = scope();
        let (a, b) = (parse_formula(&full(&tree), &scope), parse_formula(&sparse(&tree, 1), &scope));
        match (a, b) {
            // Equal formulas are stored once.
            (Ok(a), Ok(b)) => prop_assert_eq!(a.id(), b.id(), "{} {}", full(&tree), sparse(&tree, 1)),
            (Err(a), Err(b)) => prop_assert_eq!(&a.kind, &b.kind),
            (a, b) => prop_assert!(false, "{:?} {:?}", a, b),
        }
    }
}
