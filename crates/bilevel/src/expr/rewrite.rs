//! Formulas of other variables: every variable of a formula replaced by a number times a variable, or by a number.

use std::collections::HashMap;

use super::{Expr, Graph, Level, NodeId, Op, Shape};

/// Rewrites formulas into a graph of its own: variable j of a level becomes `units[j]` times variable j, and the number
/// `fixed[j]` where there is one.
#[derive(Debug)]
pub struct Rewriter {
    graph: Graph,
    leader: Change,
    follower: Change,
    /// What a block of variables became.
    known: HashMap<(Level, usize, Shape), Expr>,
}

/// What becomes of the variables of one level.
#[derive(Clone, Debug)]
pub struct Change {
    /// The unit of each variable.
    pub units: Vec<f64>,
    /// Its only value, where it has one.
    pub fixed: Vec<Option<f64>>,
}

impl Rewriter {
    /// A rewriter with an empty graph.
    pub fn new(leader: Change, follower: Change) -> Self {
        Self { graph: Graph::new(), leader, follower, known: HashMap::new() }
    }

    /// The formula in the new variables; `None` if it is invalid.
    pub fn rewrite(&mut self, expr: &Expr) -> Option<Expr> {
        let (nodes, roots) = expr.graph().extract(&[expr.id()?]);
        let mut new: Vec<Expr> = Vec::with_capacity(nodes.len());
        for node in nodes {
            new.push(match node.op {
                Op::Variable { level, offset } => self.variable(level, offset, node.shape)?,
                _ => {
                    let args: Option<Vec<NodeId>> = node.args.iter().map(|&arg| new.get(arg as usize)?.id()).collect();
                    self.graph.add(super::Node { args: args?, ..node })
                }
            });
        }
        new.get(*roots.first()? as usize).cloned()
    }

    /// What a block of variables becomes.
    fn variable(&mut self, level: Level, offset: usize, shape: Shape) -> Option<Expr> {
        if let Some(known) = self.known.get(&(level, offset, shape)) {
            return Some(known.clone());
        }
        let change = if level == Level::Leader { &self.leader } else { &self.follower };
        let range = offset..offset + shape.len();
        let (units, fixed) = (change.units.get(range.clone())?, change.fixed.get(range)?);
        let plain = self.graph.variable(level, offset, shape);
        let constant = |values: &[f64]| match (shape, values) {
            (Shape::Scalar, [value]) => self.graph.constant(*value),
            _ => self.graph.constant_vector(values),
        };
        let scaled = if units.iter().all(|&u| u == 1.0) { plain } else { &plain * &constant(units) };
        let out = if fixed.iter().all(Option::is_none) {
            scaled
        } else if fixed.iter().all(Option::is_some) {
            constant(&fixed.iter().flatten().copied().collect::<Vec<_>>())
        } else {
            // Entries of the variable and of the constants behind it, each picked from where it stands.
            let values: Vec<f64> = fixed.iter().map(|value| value.unwrap_or(0.0)).collect();
            let both = super::concat(&[scaled, constant(&values)]);
            let len = values.len();
            let pick = |(j, value): (usize, &Option<f64>)| if value.is_some() { len + j } else { j };
            let indices: Vec<usize> = fixed.iter().enumerate().map(pick).collect();
            both.gather(&indices)
        };
        self.known.insert((level, offset, shape), out.clone());
        Some(out)
    }
}
