//! A formula as a smooth part and weighted norms of the follower's variables:
//!
//! ```text
//! f(x, y) = s(x, y, z) + Σ_k Σ_i w_ki(x) h_k(y)_i,      z = M (a ∘ y_J) for constant matrices M
//! ```
//!
//! with h_k absolute values, Euclidean norms of groups, or powers |.|^p with p < 1 of single variables times constants:
//! what has a proximal map in closed form. Products of matrices with the variables themselves are taken out of s, so that
//! what is left has cheap derivatives, and a matrix's columns can be read one at a time.
//!
//! Found from the top down: sums, differences, and products with factors that do not depend on y are passed; what is
//! smooth in y belongs to s.

use std::sync::Arc;

use super::structure::{Block, Structure, VariableBounds};
use super::{Expr, Function, Level, Matrix, Node, NodeId, Op, Shape};

/// A variable of the follower times a constant.
pub type Entry = (usize, f64);

/// A formula in parts; see the module.
#[derive(Clone, Debug)]
pub struct Separated {
    /// s as a formula of (x, ŷ), ŷ = (y, z): the results z of the maps are variables of the follower behind its own.
    pub smooth: Expr,
    /// The linear maps, whose results stand in z one after the other.
    pub maps: Vec<LinearMap>,
    /// The norms.
    pub penalties: Vec<Penalty>,
}

/// z = M (a_i y_{j_i})_i, or Mᵀ of it.
#[derive(Clone, Debug)]
pub struct LinearMap {
    /// The matrix M.
    pub matrix: Matrix,
    /// Whether Mᵀ is meant.
    pub transpose: bool,
    /// What it is applied to.
    pub entries: Vec<Entry>,
}

/// Σ_i w_i(x) h(y)_i.
#[derive(Clone, Debug)]
pub struct Penalty {
    /// w: a formula of x with one component per component of h, or a scalar for all of them.
    pub weight: Expr,
    /// h.
    pub kind: PenaltyKind,
    /// The argument of h.
    pub entries: Vec<Entry>,
}

/// The function h of a [`Penalty`].
#[derive(Clone, Debug, PartialEq)]
pub enum PenaltyKind {
    /// |.| of every entry.
    Abs,
    /// Euclidean norms of the entries `starts[g]..starts[g + 1]`.
    Groups(Arc<[usize]>),
    /// |.|^p of every entry, 0 < p < 1.
    Power(f64),
}

/// Takes the follower's objective apart. `None` if it is smooth already, or has a kink that is none of the penalties.
pub fn separate(objective: &Expr, bounds: &VariableBounds) -> Option<Separated> {
    let structure = Structure::new(std::slice::from_ref(objective), bounds).ok()?;
    let root = *structure.roots().first()?;
    if structure.is_smooth(root, Block::Follower) {
        return None;
    }
    let mut walk =
        Walk { structure: &structure, exprs: rebuilt(objective, &structure), smooth: None, found: Vec::new() };
    walk.term(root, &objective.graph().constant(1.0))?;
    let smooth = walk.smooth.unwrap_or_else(|| objective.graph().constant(0.0));
    let (smooth, maps) = without_products(&smooth, bounds.follower().len())?;
    Some(Separated { smooth, maps, penalties: walk.found })
}

/// The nodes of a structure as formulas of the graph that they came from.
fn rebuilt(objective: &Expr, structure: &Structure) -> Vec<Expr> {
    let mut exprs: Vec<Expr> = Vec::with_capacity(structure.nodes().len());
    for node in structure.nodes() {
        exprs.push(rebuild(objective, node, &exprs));
    }
    exprs
}

fn rebuild(objective: &Expr, node: &Node, known: &[Expr]) -> Expr {
    let ids = node.args.iter().filter_map(|&k| known[k as usize].id()).collect();
    objective.graph().expr(node.op.clone(), ids, node.shape)
}

struct Walk<'a> {
    structure: &'a Structure,
    exprs: Vec<Expr>,
    smooth: Option<Expr>,
    found: Vec<Penalty>,
}

impl Walk<'_> {
    /// Adds Σ_i weight_i node_i; the weight does not depend on y and is a scalar, or has the node's shape.
    fn term(&mut self, id: NodeId, weight: &Expr) -> Option<()> {
        let expr = self.exprs[id as usize].clone();
        if self.structure.is_smooth(id, Block::Follower) {
            self.add_smooth(&total(weight, &expr));
            return Some(());
        }
        let node = self.structure.nodes()[id as usize].clone();
        let args = &node.args;
        match &node.op {
            Op::Add => args.iter().try_for_each(|&arg| self.part(arg, weight, node.shape)),
            Op::Sub => {
                self.part(args[0], weight, node.shape)?;
                self.part(args[1], &-weight, node.shape)
            }
            Op::Neg => self.term(args[0], &-weight),
            Op::Mul if !self.moves(args[1]) => {
                let weight = weight * &self.exprs[args[1] as usize];
                self.part(args[0], &weight, node.shape)
            }
            Op::Mul if !self.moves(args[0]) => {
                let weight = weight * &self.exprs[args[0] as usize];
                self.part(args[1], &weight, node.shape)
            }
            Op::Div if !self.moves(args[1]) => {
                let weight = weight / &self.exprs[args[1] as usize];
                self.part(args[0], &weight, node.shape)
            }
            Op::Sum => self.term(args[0], weight),
            Op::Concat => self.parts(args, weight),
            Op::Dot if !self.moves(args[0]) => self.term(args[1], &(weight * &self.exprs[args[0] as usize])),
            Op::Dot if !self.moves(args[1]) => self.term(args[0], &(weight * &self.exprs[args[1] as usize])),
            op => self.penalty(op, args, weight),
        }
    }

    /// An operand of an elementwise operation of this shape, where a scalar stands for all components.
    fn part(&mut self, arg: NodeId, weight: &Expr, shape: Shape) -> Option<()> {
        let own = self.structure.nodes()[arg as usize].shape;
        if own == shape {
            return self.term(arg, weight);
        }
        let weight = if weight.shape() == Shape::Scalar { weight * shape.len() as f64 } else { weight.sum() };
        self.term(arg, &weight)
    }

    /// The operands of a concatenation, each with its part of the weight.
    fn parts(&mut self, args: &[NodeId], weight: &Expr) -> Option<()> {
        let mut first = 0;
        for &arg in args {
            let shape = self.structure.nodes()[arg as usize].shape;
            let own = match (weight.shape(), shape) {
                (Shape::Scalar, _) => weight.clone(),
                (_, Shape::Scalar) => weight.index(first),
                (_, Shape::Vector(len)) => weight.slice(first..first + len),
            };
            self.term(arg, &own)?;
            first += shape.len();
        }
        Some(())
    }

    fn penalty(&mut self, op: &Op, args: &[NodeId], weight: &Expr) -> Option<()> {
        let nodes = self.structure.nodes();
        let argument = args.first().copied()?;
        let inner = &nodes[argument as usize];
        let power = |p: f64| (p > 0.0 && p < 1.0).then_some(PenaltyKind::Power(p));
        let is_abs = matches!(inner.op, Op::Map(Function::Abs));
        let (kind, argument) = match op {
            Op::Map(Function::Abs) => (PenaltyKind::Abs, argument),
            Op::GroupNorms { starts } => (PenaltyKind::Groups(starts.clone()), argument),
            Op::Map(Function::AbsPower(p)) => (power(*p)?, argument),
            Op::Map(Function::Sqrt) if is_abs => (PenaltyKind::Power(0.5), inner.args[0]),
            Op::Map(Function::Power(p)) if is_abs => (power(*p)?, inner.args[0]),
            _ => return None,
        };
        let entries = entries(nodes, argument)?;
        self.found.push(Penalty { weight: weight.clone(), kind, entries });
        Some(())
    }

    fn moves(&self, node: NodeId) -> bool {
        self.structure.depends(node, Block::Follower)
    }

    fn add_smooth(&mut self, part: &Expr) {
        self.smooth = Some(match &self.smooth {
            Some(sum) => sum + part,
            None => part.clone(),
        });
    }
}

/// Σ_i weight_i z_i, the weight a scalar or of z's shape.
fn total(weight: &Expr, z: &Expr) -> Expr {
    match (weight.shape(), z.shape()) {
        (Shape::Scalar, Shape::Scalar) => weight * z,
        (Shape::Scalar, Shape::Vector(_)) => weight * &z.sum(),
        (Shape::Vector(_), Shape::Scalar) => weight.sum() * z,
        _ => weight.dot(z),
    }
}

/// A node whose components are single variables of the follower times constants.
fn entries(nodes: &[Node], id: NodeId) -> Option<Vec<Entry>> {
    let node = &nodes[id as usize];
    let of = |k: usize| entries(nodes, node.args[k]);
    match &node.op {
        Op::Variable { level: Level::Follower, offset } => {
            Some((0..node.shape.len()).map(|i| (offset + i, 1.0)).collect())
        }
        Op::Neg => Some(of(0)?.into_iter().map(|(j, a)| (j, -a)).collect()),
        Op::Gather(indices) => {
            let inner = of(0)?;
            indices.iter().map(|&i| inner.get(i).copied()).collect()
        }
        Op::Concat => {
            let parts: Option<Vec<Vec<Entry>>> = (0..node.args.len()).map(of).collect();
            Some(parts?.concat())
        }
        Op::Mul => match (constant(nodes, node.args[0]), constant(nodes, node.args[1])) {
            (Some(factor), None) => scaled(of(1)?, node.shape, factor),
            (None, Some(factor)) => scaled(of(0)?, node.shape, factor),
            _ => None,
        },
        Op::Div => {
            let divisor = constant(nodes, node.args[1])?;
            scaled(of(0)?, node.shape, |k| 1.0 / divisor(k))
        }
        _ => None,
    }
}

/// Entries times constants; a scalar variable may stand for all components.
fn scaled(inner: Vec<Entry>, shape: Shape, factor: impl Fn(usize) -> f64) -> Option<Vec<Entry>> {
    let own = |i: usize| inner.get(if inner.len() == 1 { 0 } else { i }).copied();
    let entry = |i| own(i).map(|(j, a)| (j, a * factor(i))).filter(|(_, a)| a.is_finite() && *a != 0.0);
    (0..shape.len()).map(entry).collect()
}

/// The components of a constant node.
fn constant(nodes: &[Node], id: NodeId) -> Option<impl Fn(usize) -> f64> {
    match &nodes[id as usize].op {
        Op::Constant { values, .. } => {
            let values = values.clone();
            Some(move |i: usize| values[if values.len() == 1 { 0 } else { i }])
        }
        _ => None,
    }
}

/// The formula with every product of a matrix and variables replaced by new variables, from position `m` on.
fn without_products(smooth: &Expr, m: usize) -> Option<(Expr, Vec<LinearMap>)> {
    let (nodes, roots) = smooth.graph().extract(&[smooth.id()?]);
    let mut exprs: Vec<Expr> = Vec::with_capacity(nodes.len());
    let (mut maps, mut next) = (Vec::new(), m);
    for node in &nodes {
        let expr = match &node.op {
            Op::MatVec { matrix, transpose } => entries(&nodes, node.args[0]).map(|entries| {
                maps.push(LinearMap { matrix: matrix.clone(), transpose: *transpose, entries });
                next += node.shape.len();
                smooth.graph().variable(Level::Follower, next - node.shape.len(), node.shape)
            }),
            _ => None,
        };
        exprs.push(expr.unwrap_or_else(|| rebuild(smooth, node, &exprs)));
    }
    let root = *roots.first()? as usize;
    Some((exprs[root].clone(), maps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::{Graph, Tape, Workspace};
    use crate::smooth::Smoothing;
    use bilevel_linalg::Dense;

    fn variables(graph: &Graph, m: usize) -> (Expr, Expr) {
        (graph.variable(Level::Leader, 0, Shape::Vector(3)), graph.variable(Level::Follower, 0, Shape::Vector(m)))
    }

    fn value(expr: &Expr, x: &[f64], y: &[f64]) -> f64 {
        let tape = Tape::compile(std::slice::from_ref(expr), x.len(), y.len()).unwrap();
        tape.evaluate(&mut Workspace::new(&tape), x, y, Smoothing::EXACT).value()
    }

    /// The parts put together again, by their definition.
    fn assembled(parts: &Separated, x: &[f64], y: &[f64]) -> f64 {
        let mut full = y.to_vec();
        for map in &parts.maps {
            let argument: Vec<f64> = map.entries.iter().map(|&(j, a)| a * y[j]).collect();
            let rows = if map.transpose { map.matrix.cols() } else { map.matrix.rows() };
            let mut out = vec![0.0; rows];
            if map.transpose {
                map.matrix.transpose_mul_add(1.0, &argument, &mut out);
            } else {
                map.matrix.mul_add(1.0, &argument, &mut out);
            }
            full.extend(out);
        }
        let mut sum = value(&parts.smooth, x, &full);
        for penalty in &parts.penalties {
            let argument: Vec<f64> = penalty.entries.iter().map(|&(j, a)| a * y[j]).collect();
            let h: Vec<f64> = match &penalty.kind {
                PenaltyKind::Abs => argument.iter().map(|v| v.abs()).collect(),
                PenaltyKind::Power(p) => argument.iter().map(|v| v.abs().powf(*p)).collect(),
                PenaltyKind::Groups(starts) => {
                    starts.windows(2).map(|w| argument[w[0]..w[1]].iter().map(|v| v * v).sum::<f64>().sqrt()).collect()
                }
            };
            let tape = Tape::compile(std::slice::from_ref(&penalty.weight), x.len(), y.len()).unwrap();
            let mut weights = vec![0.0; penalty.weight.shape().len()];
            tape.evaluate(&mut Workspace::new(&tape), x, y, Smoothing::EXACT).write_outputs(&mut weights);
            sum += h.iter().enumerate().map(|(i, h)| weights[if weights.len() == 1 { 0 } else { i }] * h).sum::<f64>();
        }
        sum
    }

    #[test]
    fn parts_add_up() {
        let graph = Graph::new();
        let (x, y) = variables(&graph, 4);
        let a = Matrix::from(Dense::from_fn(3, 4, |i, j| (i as f64 - 1.0) * 0.7 + 0.3 * j as f64));
        let b = graph.constant_vector(&[1.0, -1.0, 0.5]);
        let loss = (&a * &y - &b).norm2sq() / 6.0;
        let formulas = [
            &loss + x.index(0).exp() * y.norm1(),
            &loss - x.index(1) * (-(2.0 * &y)).norm1() / 3.0 + y.norm2sq() * x.index(2),
            &loss + x.dot(&three(&y)),
            &loss + (y.group_norms(2) * x.index(0)).sum() + 0.25 * y.norm1() - y.group_norms(2).sum(),
            &loss + 0.5 * y.abs().sqrt().sum() + y.abs_power(0.3).sum(),
        ];
        let (at, point) = ([0.4, -0.3, 0.9], [0.7, -1.2, 0.0, 2.5]);
        for (k, formula) in formulas.iter().enumerate() {
            let parts = separate(formula, &VariableBounds::unbounded(3, 4)).unwrap();
            assert_eq!(parts.maps.len(), 1, "formula {k}");
            assert!(!parts.penalties.is_empty());
            let (expected, found) = (value(formula, &at, &point), assembled(&parts, &at, &point));
            assert!((expected - found).abs() < 1e-12, "formula {k}: {found}, expected {expected}");
        }
    }

    fn three(y: &Expr) -> Expr {
        super::super::concat(&[y.index(0).abs(), (y.index(1) * 2.0).abs(), y.index(3).abs()])
    }

    #[test]
    fn other_kinks_are_not_taken() {
        let graph = Graph::new();
        let (x, y) = variables(&graph, 2);
        let bounds = VariableBounds::unbounded(3, 2);
        let refused = [
            (y.index(0) - x.index(0)).abs(),
            (y.index(0) + y.index(1)).abs(),
            (1.0 - &y).plus().sum(),
            y.norm1().exp(),
            (y.norm1() * y.index(0)).sum(),
            y.norm2sq(),
        ];
        assert!(refused.iter().all(|formula| separate(formula, &bounds).is_none()));
    }
}
