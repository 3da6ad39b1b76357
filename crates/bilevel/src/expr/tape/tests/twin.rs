//! A naive evaluator: recursive over nodes, by the definitions, shared parts computed again and again.

use crate::expr::{Expr, Function, Graph, Level, NodeId, Op};
use crate::smooth::Smoothing;
use crate::smooth::proximal::{L1, MaxEntry, Proximal};

/// The values of a formula.
pub fn values(formula: &Expr, x: &[f64], y: &[f64], smoothing: Smoothing<'_>) -> Vec<f64> {
    Twin { graph: formula.graph(), x, y, smoothing }.eval(formula.check().unwrap())
}

struct Twin<'a> {
    graph: &'a Graph,
    x: &'a [f64],
    y: &'a [f64],
    smoothing: Smoothing<'a>,
}

impl Twin<'_> {
    fn eval(&self, id: NodeId) -> Vec<f64> {
        let node = self.graph.node(id);
        let args: Vec<Vec<f64>> = node.args.iter().map(|&arg| self.eval(arg)).collect();
        let constant = node.args.iter().all(|&arg| self.is_constant(arg));
        let s = if constant { Smoothing::EXACT } else { self.smoothing };
        let n = node.shape.len();
        let pair = |f: &dyn Fn(f64, f64) -> f64| {
            let at = |k: usize, i: usize| args[k][if args[k].len() == 1 { 0 } else { i }];
            (0..n).map(|i| f(at(0, i), at(1, i))).collect::<Vec<f64>>()
        };
        match &node.op {
            Op::Variable { level: Level::Leader, offset } => self.x[*offset..offset + n].to_vec(),
            Op::Variable { level: Level::Follower, offset } => self.y[*offset..offset + n].to_vec(),
            Op::Constant { values, .. } => values.to_vec(),
            Op::Add => pair(&|a, b| a + b),
            Op::Sub => pair(&|a, b| a - b),
            Op::Mul => pair(&|a, b| a * b),
            Op::Div => pair(&|a, b| a / b),
            Op::PowerOf => pair(&|a, b| (b * a.ln()).exp()),
            Op::Max => pair(&|a, b| larger(a, b, s)),
            Op::Min => pair(&|a, b| -larger(-a, -b, s)),
            Op::Neg => args[0].iter().map(|z| -z).collect(),
            Op::Map(function) => args[0].iter().map(|&z| map(*function, z, s)).collect(),
            Op::MaxOf => vec![tree(&args[0], s)],
            Op::Sum => vec![args[0].iter().sum()],
            Op::Dot => vec![args[0].iter().zip(&args[1]).map(|(a, b)| a * b).sum()],
            Op::SumSquares => vec![args[0].iter().map(|z| z * z).sum()],
            Op::MatVec { matrix, transpose } => {
                let mut out = vec![0.0; n];
                matrix.for_each(|i, j, a| if *transpose { out[j] += a * args[0][i] } else { out[i] += a * args[0][j] });
                out
            }
            Op::Quadratic { matrix } => {
                let mut total = 0.0;
                matrix.for_each(|i, j, q| total += args[0][i] * q * args[0][j]);
                vec![total]
            }
            Op::GroupNorms { starts } => starts
                .windows(2)
                .map(|w| s.abs(args[0][w[0]..w[1]].iter().map(|z| z * z).sum::<f64>().sqrt()).value)
                .collect(),
            Op::NormP(p) => {
                let mu = s.mu();
                let size = |z: f64| if *p < 1.0 { (z * z + mu * mu).sqrt() } else { s.abs(z).value };
                vec![args[0].iter().map(|&z| size(z).powf(*p)).sum::<f64>().powf(1.0 / p)]
            }
            Op::Gather(indices) => indices.iter().map(|&i| args[0][i]).collect(),
            Op::Concat => args.concat(),
        }
    }

    fn is_constant(&self, id: NodeId) -> bool {
        let node = self.graph.node(id);
        !matches!(node.op, Op::Variable { .. }) && node.args.iter().all(|&arg| self.is_constant(arg))
    }
}

/// The larger of two: its envelope, or by the positive part.
fn larger(a: f64, b: f64, s: Smoothing<'_>) -> f64 {
    if s.is_envelope() { envelope(&MaxEntry { weight: 1.0 }, &[a, b], s) } else { b + s.plus(a - b).value }
}

fn envelope(h: &dyn Proximal, z: &[f64], s: Smoothing<'_>) -> f64 {
    h.envelope(z, s.mu(), &mut vec![0.0; z.len()])
}

fn tree(z: &[f64], s: Smoothing<'_>) -> f64 {
    if z.len() == 1 {
        return z[0];
    }
    if s.is_envelope() {
        return envelope(&MaxEntry { weight: 1.0 }, z, s);
    }
    let (a, b) = z.split_at(z.len() / 2);
    let (a, b) = (tree(a, s), tree(b, s));
    larger(a, b, s)
}

fn map(function: Function, z: f64, s: Smoothing<'_>) -> f64 {
    match function {
        Function::Exp => z.exp(),
        Function::Log => z.ln(),
        Function::Log1p => (1.0 + z).ln(),
        Function::Expm1 => z.exp() - 1.0,
        Function::Sqrt => z.sqrt(),
        Function::Square => z * z,
        Function::Sin => z.sin(),
        Function::Cos => z.cos(),
        Function::Tan => z.sin() / z.cos(),
        Function::Tanh => (z.exp() - (-z).exp()) / (z.exp() + (-z).exp()),
        Function::Sigmoid => 1.0 / (1.0 + (-z).exp()),
        Function::Softplus => (1.0 + z.exp()).ln(),
        Function::Abs if s.is_envelope() => envelope(&L1 { weight: 1.0 }, &[z], s),
        Function::Abs => s.plus(z).value + s.plus(-z).value,
        Function::Plus => s.plus(z).value,
        Function::Huber(delta) if z.abs() <= delta => z * z / 2.0,
        Function::Huber(delta) => delta * (z.abs() - delta / 2.0),
        Function::AbsPower(p) if p < 2.0 => (z * z + s.mu() * s.mu()).powf(p / 2.0),
        Function::AbsPower(p) => z.abs().powf(p),
        Function::Power(p) => z.powf(p),
    }
}
