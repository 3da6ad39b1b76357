//! A naive evaluator, and random formulas, for tests.

use proptest::prelude::*;

use super::formula::visit;
use super::{Range, VariableBounds};
use crate::expr::{Expr, Function, Graph, Level, Node, Op, Shape, concat};

pub(crate) fn function_value(function: Function, z: f64) -> f64 {
    match function {
        Function::Exp => z.exp(),
        Function::Log => z.ln(),
        Function::Log1p => z.ln_1p(),
        Function::Expm1 => z.exp_m1(),
        Function::Sqrt => z.sqrt(),
        Function::Square => z * z,
        Function::Sin => z.sin(),
        Function::Cos => z.cos(),
        Function::Tan => z.tan(),
        Function::Tanh => z.tanh(),
        Function::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        Function::Softplus => z.max(0.0) + (-z.abs()).exp().ln_1p(),
        Function::Abs => z.abs(),
        Function::Plus => larger(z, 0.0),
        Function::Huber(d) if z.abs() <= d => 0.5 * z * z,
        Function::Huber(d) => d * (z.abs() - 0.5 * d),
        Function::AbsPower(p) => z.abs().powf(p),
        Function::Power(p) => z.powf(p),
    }
}

/// The larger of two, NaN if one is NaN.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) }
}

/// The values of all nodes, one by one.
pub(crate) fn evaluate_nodes(nodes: &[Node], x: &[f64], y: &[f64]) -> Vec<Vec<f64>> {
    let mut values: Vec<Vec<f64>> = Vec::new();
    for node in nodes {
        let n = node.shape.len();
        let arg = |k: usize| &values[node.args[k] as usize];
        let at = |k: usize, i: usize| if arg(k).len() == 1 { arg(k)[0] } else { arg(k)[i] };
        let pairwise = |f: fn(f64, f64) -> f64| (0..n).map(|i| f(at(0, i), at(1, i))).collect();
        let value: Vec<f64> = match &node.op {
            Op::Variable { level: Level::Leader, offset } => x[*offset..offset + n].to_vec(),
            Op::Variable { level: Level::Follower, offset } => y[*offset..offset + n].to_vec(),
            Op::Constant { values, .. } => values.to_vec(),
            Op::Add => pairwise(|a, b| a + b),
            Op::Sub => pairwise(|a, b| a - b),
            Op::Mul => pairwise(|a, b| a * b),
            Op::Div => pairwise(|a, b| a / b),
            Op::PowerOf => pairwise(|a, b| (b * a.ln()).exp()),
            Op::Max => pairwise(larger),
            Op::Min => pairwise(|a, b| -larger(-a, -b)),
            Op::Neg => arg(0).iter().map(|v| -v).collect(),
            Op::Map(f) => arg(0).iter().map(|&v| function_value(*f, v)).collect(),
            Op::MaxOf => vec![arg(0).iter().copied().fold(f64::NEG_INFINITY, larger)],
            Op::Sum => vec![arg(0).iter().sum()],
            Op::Dot => vec![arg(0).iter().zip(arg(1)).map(|(a, b)| a * b).sum()],
            Op::SumSquares => vec![arg(0).iter().map(|a| a * a).sum()],
            Op::MatVec { matrix, transpose } => {
                let mut out = vec![0.0; n];
                visit(matrix, *transpose, |i, j, a| out[i] += a * arg(0)[j]);
                out
            }
            Op::Quadratic { matrix } => {
                let mut out = 0.0;
                visit(matrix, false, |i, j, a| out += a * arg(0)[i] * arg(0)[j]);
                vec![out]
            }
            Op::GroupNorms { starts } => {
                let norm = |g: usize| arg(0)[starts[g]..starts[g + 1]].iter().map(|v| v * v).sum::<f64>().sqrt();
                (0..n).map(norm).collect()
            }
            Op::NormP(p) => vec![arg(0).iter().map(|v| v.abs().powf(*p)).sum::<f64>().powf(1.0 / p)],
            Op::Gather(indices) => indices.iter().map(|&i| arg(0)[i]).collect(),
            Op::Concat => (0..node.args.len()).flat_map(|k| arg(k).clone()).collect(),
        };
        // Infinite means undefined, and must not be hidden by a maximum.
        values.push(value.into_iter().map(|v| if v.is_finite() { v } else { f64::NAN }).collect());
    }
    values
}

/// The value of a formula.
pub(crate) fn evaluate(expr: &Expr, x: &[f64], y: &[f64]) -> Vec<f64> {
    let (nodes, roots) = expr.graph().extract(&[expr.check().unwrap()]);
    evaluate_nodes(&nodes, x, y).swap_remove(roots[0] as usize)
}

/// A point of a box, `t` in [0, 1] componentwise.
pub(crate) fn point(bounds: &[Range], t: &[f64]) -> Vec<f64> {
    bounds.iter().zip(t).map(|(r, t)| (r.lower() + t * (r.upper() - r.lower())).clamp(r.lower(), r.upper())).collect()
}

/// Leader's variables x1, x2; follower's y1, y2 and the vector w = (y3, y4, y5).
pub(crate) fn variables(graph: &Graph) -> Vec<Expr> {
    vec![
        graph.variable(Level::Leader, 0, Shape::Scalar),
        graph.variable(Level::Leader, 1, Shape::Scalar),
        graph.variable(Level::Follower, 0, Shape::Scalar),
        graph.variable(Level::Follower, 1, Shape::Scalar),
        graph.variable(Level::Follower, 2, Shape::Vector(3)),
    ]
}

/// Bounds for [`variables`]: random signs, widths up to 4.
pub(crate) fn boxes() -> impl Strategy<Value = VariableBounds> {
    let end = prop_oneof![(-2i32..=2).prop_map(f64::from), -2.0..2.0f64];
    let width = prop_oneof![0.0..2.0f64, Just(1.0), Just(2.0)];
    prop::collection::vec((end, width), 7).prop_map(|ends| {
        let lower: Vec<f64> = ends.iter().map(|e| e.0).collect();
        let upper: Vec<f64> = ends.iter().map(|e| e.0 + e.1).collect();
        VariableBounds::new(&lower[..2], &upper[..2], &lower[2..], &upper[2..]).unwrap()
    })
}

/// Numbers that steer the building of a random formula.
pub(crate) fn genes() -> impl Strategy<Value = Vec<u32>> {
    prop::collection::vec(any::<u32>(), 4..40)
}

/// A scalar formula in [`variables`], steered by genes.
pub(crate) fn random_formula(graph: &Graph, genes: &[u32]) -> Expr {
    let mut builder =
        Builder { graph, variables: variables(graph), genes: genes.iter().copied().cycle(), left: genes.len() };
    builder.scalar(5)
}

struct Builder<'a, I> {
    graph: &'a Graph,
    variables: Vec<Expr>,
    genes: I,
    left: usize,
}

impl<I: Iterator<Item = u32>> Builder<'_, I> {
    fn pick(&mut self, n: u32) -> u32 {
        self.left = self.left.saturating_sub(1);
        self.genes.next().unwrap_or(0) / 7 % n
    }

    fn number(&mut self) -> f64 {
        f64::from(self.pick(13)) * 0.5 - 3.0
    }

    fn leaf(&mut self) -> Expr {
        match self.pick(8) {
            0 => self.variables[0].clone(),
            1 => self.variables[1].clone(),
            2 | 3 => self.variables[2].clone(),
            4 | 5 => self.variables[3].clone(),
            6 => {
                let i = self.pick(3) as usize;
                self.variables[4].index(i)
            }
            _ => {
                let value = self.number();
                self.graph.constant(value)
            }
        }
    }

    fn scalar(&mut self, depth: usize) -> Expr {
        if depth == 0 || self.left == 0 {
            return self.leaf();
        }
        let next = depth - 1;
        match self.pick(26) {
            0..=3 => self.scalar(next) + self.scalar(next),
            4 | 5 => self.scalar(next) - self.scalar(next),
            6..=8 => self.scalar(next) * self.scalar(next),
            9 => self.scalar(next) / self.scalar(next),
            10 => -self.scalar(next),
            11..=15 => {
                let z = self.scalar(next);
                self.function(&z)
            }
            16 => self.scalar(next).max(&self.scalar(next)),
            17 => self.scalar(next).min(&self.scalar(next)),
            18 => self.vector(next).sum(),
            19 => self.vector(next).norm2sq(),
            20 => self.vector(next).norm2(),
            21 => self.vector(next).max_of(),
            22 => {
                let p = [0.5, 1.0, 1.5, 2.5][self.pick(4) as usize];
                self.vector(next).norm_p(p)
            }
            23 => self.vector(next).dot(&self.vector(next)),
            24 => {
                let entries = (0..9).map(|_| self.number()).collect();
                let matrix = bilevel_linalg::Dense::from_row_major(3, 3, entries).unwrap();
                self.vector(next).quadratic(&matrix.into())
            }
            _ => self.leaf(),
        }
    }

    fn vector(&mut self, depth: usize) -> Expr {
        if depth == 0 || self.left == 0 {
            return self.variables[4].clone();
        }
        let next = depth - 1;
        match self.pick(8) {
            0 => self.vector(next) + self.scalar(next),
            1 => self.vector(next) - self.vector(next),
            2 => self.vector(next) * self.scalar(next),
            3 => {
                let z = self.vector(next);
                self.function(&z)
            }
            4 => {
                let entries = (0..9).map(|_| self.number()).collect();
                let matrix = crate::expr::Matrix::from(bilevel_linalg::Dense::from_row_major(3, 3, entries).unwrap());
                if self.pick(2) == 0 { &matrix * self.vector(next) } else { matrix.transpose_times(&self.vector(next)) }
            }
            5 => concat(&[self.scalar(next), self.vector(next).slice(1..3)]),
            6 => self.vector(next).gather(&[2, 0, 0]),
            _ => self.variables[4].clone(),
        }
    }

    fn function(&mut self, z: &Expr) -> Expr {
        match self.pick(24) {
            0 => z.exp(),
            1 => z.log(),
            2 => z.log1p(),
            3 => z.expm1(),
            4 => z.sqrt(),
            5..=7 => z.square(),
            8 => z.sin(),
            9 => z.cos(),
            10 => z.tanh(),
            11 => z.sigmoid(),
            12 => z.softplus(),
            13..=15 => z.abs(),
            16 => z.plus(),
            17 => z.huber(0.75),
            18 => z.abs_power(1.5),
            19 => z.abs_power(0.5),
            20 => z.pow(3.0),
            21 => z.pow(-1.0),
            22 => z.pow(1.5),
            _ => z.pow(4.0),
        }
    }
}
