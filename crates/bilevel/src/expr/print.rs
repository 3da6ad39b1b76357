//! Formulas as text, in the grammar of problem files.
//!
//! What is printed can be read again and gives the same formula, as far as text can say it: matrices need a name, and a
//! decimal such as 0.1 is read as standing for the exact decimal, which a constant made by a program does not.

use std::fmt::Write;

use super::{Expr, ExprError, Function, Level, Matrix, Node, Op, Shape};

/// What a name is looked up for.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// A block of variables.
    Variable {
        /// Whose variables.
        level: Level,
        /// Position of the first in the level's vector.
        offset: usize,
        /// Scalar or vector.
        shape: Shape,
    },
    /// A constant vector.
    Vector(&'a [f64]),
    /// A constant matrix.
    Matrix(&'a Matrix),
}

/// Why a formula has no text.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrintError {
    /// The formula is invalid.
    #[error(transparent)]
    Expression(#[from] ExprError),
    /// The text is too long, with shared parts written out.
    #[error("the formula's text would be longer than {0} bytes")]
    Length(usize),
}

/// The longest text that is made.
const LONGEST: usize = 10_000_000;

/// How strongly the outermost operation of a text binds.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum Binding {
    Sum,
    Product,
    Sign,
    Power,
    Atom,
}

#[derive(Clone, Debug)]
struct Text {
    text: String,
    binding: Binding,
}

impl Text {
    /// The text, in parentheses if it binds less than `least`.
    fn at_least(self, least: Binding) -> String {
        if self.binding >= least { self.text } else { format!("({})", self.text) }
    }

    /// The text, in parentheses unless it binds more than `bound`.
    fn above(self, bound: Binding) -> String {
        if self.binding > bound { self.text } else { format!("({})", self.text) }
    }
}

fn atom(text: String) -> Text {
    Text { text, binding: Binding::Atom }
}

impl Expr {
    /// The formula as text, with names from `name`. Where it has none: variables are written `x[2]` or `y[0..3]`,
    /// vectors entry by entry, matrices as `matrix_2x3`.
    ///
    /// # Errors
    /// `Expression` for an invalid formula, `Length` if the text would be too long.
    pub fn print(&self, name: &dyn Fn(Named<'_>) -> Option<String>) -> Result<String, PrintError> {
        let (nodes, roots) = self.graph().extract(&[self.check()?]);
        let mut users = vec![0_usize; nodes.len()];
        nodes.iter().flat_map(|node| &node.args).for_each(|&k| users[k as usize] += 1);
        let mut texts: Vec<Option<Text>> = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let mut parts = Vec::with_capacity(node.args.len());
            for &k in &node.args {
                let k = k as usize;
                users[k] -= 1;
                // The last user takes the text, so that a long sum is not copied for every term.
                parts.extend(if users[k] == 0 { texts[k].take() } else { texts[k].clone() });
            }
            let text = write_node(node, parts, name);
            if text.text.len() > LONGEST {
                return Err(PrintError::Length(LONGEST));
            }
            texts.push(Some(text));
        }
        let root = roots.first().and_then(|&root| texts[root as usize].take());
        Ok(root.map(|text| text.text).unwrap_or_default())
    }
}

/// Names by position, `x[2]` and `y[0..3]`.
impl std::fmt::Display for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.print(&|_| None) {
            Ok(text) => f.write_str(&text),
            Err(error) => write!(f, "({error})"),
        }
    }
}

fn write_node(node: &Node, parts: Vec<Text>, name: &dyn Fn(Named<'_>) -> Option<String>) -> Text {
    let mut parts = parts.into_iter();
    let mut next = || parts.next().unwrap_or_else(|| atom(String::new()));
    let matrix_name = |matrix: &Matrix| {
        name(Named::Matrix(matrix)).unwrap_or_else(|| format!("matrix_{}x{}", matrix.rows(), matrix.cols()))
    };
    match &node.op {
        Op::Variable { level, offset } => {
            let (level, offset, shape) = (*level, *offset, node.shape);
            atom(name(Named::Variable { level, offset, shape }).unwrap_or_else(|| variable(level, offset, shape)))
        }
        Op::Constant { values, .. } => match node.shape {
            Shape::Scalar => number(values.first().copied().unwrap_or(f64::NAN)),
            Shape::Vector(_) => atom(name(Named::Vector(values)).unwrap_or_else(|| list(values))),
        },
        Op::Add => infix(next(), " + ", next(), Binding::Sum),
        Op::Sub => infix(next(), " - ", next(), Binding::Sum),
        Op::Mul => infix(next(), "*", next(), Binding::Product),
        Op::Div => infix(next(), "/", next(), Binding::Product),
        Op::Neg => Text { text: format!("-{}", next().at_least(Binding::Sign)), binding: Binding::Sign },
        Op::PowerOf => power(next(), &next().at_least(Binding::Sign)),
        Op::Map(function) => call_map(*function, next()),
        Op::Max => call("max", &[next().text, next().text]),
        Op::Min => call("min", &[next().text, next().text]),
        Op::MaxOf => call("max", &[next().text]),
        Op::Sum => call("sum", &[next().text]),
        Op::Dot => call("dot", &[next().text, next().text]),
        Op::SumSquares => call("norm2sq", &[next().text]),
        Op::MatVec { matrix, transpose } => {
            let prime = if *transpose { "'" } else { "" };
            let factor = next().above(Binding::Product);
            Text { text: format!("{}{prime}*{factor}", matrix_name(matrix)), binding: Binding::Product }
        }
        Op::Quadratic { matrix } => call("quad", &[matrix_name(matrix), next().text]),
        Op::GroupNorms { starts } => {
            let sizes: Vec<usize> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
            match (node.shape, sizes.first()) {
                (Shape::Scalar, _) => call("norm2", &[next().text]),
                (_, Some(size)) if sizes.iter().all(|s| s == size) => {
                    call("group_norms", &[next().text, size.to_string()])
                }
                _ => call("group_norms", &[next().text, format!("{sizes:?}")]),
            }
        }
        Op::NormP(p) => call("norm_p", &[next().text, number(*p).text]),
        Op::Gather(indices) => gather(next(), indices, node.shape),
        Op::Concat => {
            let all: Vec<String> = parts.map(|part| part.text).collect();
            atom(format!("[{}]", all.join(", ")))
        }
    }
}

fn variable(level: Level, offset: usize, shape: Shape) -> String {
    let letter = match level {
        Level::Leader => 'x',
        Level::Follower => 'y',
    };
    match shape {
        Shape::Scalar => format!("{letter}[{offset}]"),
        Shape::Vector(n) => format!("{letter}[{offset}..{}]", offset + n),
    }
}

fn number(value: f64) -> Text {
    let plain = format!("{value}");
    let short = format!("{value:e}");
    let text = if short.len() < plain.len() { short } else { plain };
    let binding = if value.is_sign_negative() { Binding::Sign } else { Binding::Atom };
    Text { text, binding }
}

fn list(values: &[f64]) -> String {
    let mut out = String::from("[");
    for (i, &value) in values.iter().enumerate() {
        out.push_str(if i == 0 { "" } else { ", " });
        out.push_str(&number(value).text);
    }
    out.push(']');
    out
}

fn infix(left: Text, sign: &str, right: Text, binding: Binding) -> Text {
    let mut text = left.at_least(binding);
    text.push_str(sign);
    text.push_str(&right.above(binding));
    Text { text, binding }
}

fn power(base: Text, exponent: &str) -> Text {
    Text { text: format!("{}^{exponent}", base.at_least(Binding::Atom)), binding: Binding::Power }
}

fn call(function: &str, arguments: &[String]) -> Text {
    atom(format!("{function}({})", arguments.join(", ")))
}

fn call_map(function: Function, z: Text) -> Text {
    let name = match function {
        Function::Exp => "exp",
        Function::Log => "log",
        Function::Log1p => "log1p",
        Function::Expm1 => "expm1",
        Function::Sqrt => "sqrt",
        Function::Square => return power(z, "2"),
        Function::Sin => "sin",
        Function::Cos => "cos",
        Function::Tan => "tan",
        Function::Tanh => "tanh",
        Function::Sigmoid => "sigmoid",
        Function::Softplus => "softplus",
        Function::Abs => "abs",
        Function::Plus => "plus",
        Function::Huber(delta) => return call("huber", &[z.text, number(delta).text]),
        Function::AbsPower(p) => return call("abs_power", &[z.text, number(p).text]),
        Function::Power(p) => return power(z, &number(p).text),
    };
    call(name, &[z.text])
}

fn gather(z: Text, indices: &[usize], shape: Shape) -> Text {
    let mut text = z.at_least(Binding::Atom);
    let first = indices.first().copied().unwrap_or(0);
    let consecutive = indices.iter().enumerate().all(|(i, &index)| index == first + i);
    // Writing to a string cannot fail.
    let _ = match shape {
        Shape::Scalar => write!(text, "[{first}]"),
        Shape::Vector(n) if consecutive => write!(text, "[{first}..{}]", first + n),
        Shape::Vector(_) => write!(text, "[{indices:?}]"),
    };
    atom(text)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use bilevel_linalg::Dense;
    use proptest::prelude::*;

    use super::*;
    use crate::expr::parse::{ParseErrorKind, Scope, parse_formula};
    use crate::expr::structure::testing::{evaluate, genes, random_formula, variables};
    use crate::expr::{Graph, concat};

    #[test]
    fn texts() {
        let graph = Graph::new();
        let x = graph.variable(Level::Leader, 0, Shape::Scalar);
        let w = graph.variable(Level::Follower, 0, Shape::Vector(4));
        let a = Matrix::from(Dense::zeros(2, 4));
        let name = |named: Named<'_>| match named {
            Named::Variable { level: Level::Leader, .. } => Some("x".to_string()),
            Named::Variable { .. } => Some("w".to_string()),
            Named::Matrix(m) if m.same(&a) => Some("train.X".to_string()),
            _ => None,
        };
        let q = Matrix::from(Dense::identity(4));
        let cases = [
            ((&x - 2.0).square() + (&x + 1.0) * (&x / 3.0), "(x - 2)^2 + (x + 1)*(x/3)"),
            (&x - (&x - 1.0) - 2.0, "x - (x - 1) - 2"),
            (-x.square() * -&x, "-x^2*-x"),
            (-(&x * &w.index(1)), "-(x*w[1])"),
            (x.pow(-1.5) - x.pow_expr(&(2.0 * &x)), "x^-1.5 - x^(2*x)"),
            ((-&x).pow(3.0).pow(0.5), "sqrt((-x)^3)"),
            (graph.constant(-2.0).pow_expr(&x), "(-2)^x"),
            ((&a * &w - graph.constant_vector(&[1.0, -2.5])).norm2sq(), "norm2sq(train.X*w - [1, -2.5])"),
            (a.transpose_times(&(&a * &w)).max_of(), "max(train.X'*(train.X*w))"),
            (w.quadratic(&q) + w.slice(1..3).norm2(), "quad(matrix_4x4, w) + norm2(w[1..3])"),
            (w.group_norm(2) + w.group_norm_sized(&[1, 3]), "sum(group_norms(w, 2)) + sum(group_norms(w, [1, 3]))"),
            (w.gather(&[3, 0]).dot(&concat(&[x.clone(), x.exp()])), "dot(w[[3, 0]], [x, exp(x)])"),
            (w.huber(0.5).sum() * 1e-9 + w.norm_p(0.5), "sum(huber(w, 0.5))*1e-9 + norm_p(w, 0.5)"),
            (x.max(&w).min(&x.plus()).abs_power(1.5).sum(), "sum(abs_power(min(max(x, w), plus(x)), 1.5))"),
            (x.max(&w).mean() / (2.0 * &x), "sum(max(x, w))/4/(2*x)"),
        ];
        for (expr, expected) in cases {
            assert_eq!(expr.print(&name).unwrap(), expected);
        }
        assert_eq!((&x + w.sum()).to_string(), "x[0] + sum(y[0..4])");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]
        /// Reading what was printed gives the same node, or, where building simplifies once more, the same values.
        #[test]
        fn texts_can_be_read(genes in genes(), x in prop::array::uniform2(-2.0..2.0f64), y in prop::array::uniform5(-2.0..2.0f64)) {
            let graph = Graph::new();
            let expr = random_formula(&graph, &genes);
            let matrices = RefCell::new(Vec::<Matrix>::new());
            let name = |named: Named<'_>| match named {
                Named::Variable { level: Level::Leader, offset, .. } => Some(format!("x{offset}")),
                Named::Variable { shape: Shape::Scalar, offset, .. } => Some(format!("y{offset}")),
                Named::Variable { .. } => Some("w".to_string()),
                Named::Matrix(matrix) => {
                    let mut known = matrices.borrow_mut();
                    known.push(matrix.clone());
                    Some(format!("A{}", known.len() - 1))
                }
                Named::Vector(_) => None,
            };
            let text = expr.print(&name).unwrap();
            let mut scope = Scope::new(&graph);
            for (name, variable) in ["x0", "x1", "y0", "y1", "w"].into_iter().zip(variables(&graph)) {
                scope.define(name, variable);
            }
            for (i, matrix) in matrices.borrow().iter().enumerate() {
                scope.matrix(format!("A{i}"), matrix.clone());
            }
            // Dividing by a constant zero is refused in a text.
            let read = match parse_formula(&text, &scope) {
                Err(error) if error.kind == ParseErrorKind::ZeroDivision => return Ok(()),
                read => read.map_err(|error| TestCaseError::fail(format!("{error:?} in {text}")))?,
            };
            let (before, after) = (evaluate(&expr, &x, &y), evaluate(&read, &x, &y));
            prop_assert_eq!(format!("{before:?}"), format!("{after:?}"), "{} {}", text, read);
        }
    }

    #[test]
    fn long_and_shared_formulas() {
        let graph = Graph::new();
        let x = graph.variable(Level::Leader, 0, Shape::Scalar);
        let mut sum = x.clone();
        for _ in 0..20_000 {
            sum = sum + &x.exp();
        }
        assert_eq!(sum.to_string().len(), 4 + 20_000 * " + exp(x[0])".len());
        let mut shared = x;
        for _ in 0..40 {
            shared = &shared + &shared;
        }
        assert_eq!(shared.print(&|_| None), Err(PrintError::Length(LONGEST)));
    }
}
