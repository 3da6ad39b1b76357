//! Weak convexity and concavity by terms: a sum of smooth terms and of concave (convex) ones is weakly concave (convex)
//! on bounded sets, because a twice continuously differentiable term has a bounded Hessian there.

use super::{Block, Structure};
use crate::expr::{NodeId, Op};

/// What is claimed of a node, on every bounded part of the box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeakCurvature {
    /// Convex up to a multiple of the squared norm.
    pub convex: bool,
    /// Concave up to a multiple of the squared norm.
    pub concave: bool,
}

impl WeakCurvature {
    fn and(self, other: Self) -> Self {
        Self { convex: self.convex && other.convex, concave: self.concave && other.concave }
    }

    fn negated(self) -> Self {
        Self { convex: self.concave, concave: self.convex }
    }
}

impl Structure {
    /// Weak convexity and concavity of all components of a node in the block.
    pub fn weak_curvature(&self, node: NodeId, block: Block) -> WeakCurvature {
        let smooth = self.is_smooth(node, block);
        let curvature = self.curvature(node, block);
        let own = WeakCurvature { convex: smooth || curvature.is_convex(), concave: smooth || curvature.is_concave() };
        let Some(parts) = self.nodes().get(node as usize) else { return own };
        if own.convex && own.concave {
            return own;
        }
        let arg = |k: usize| parts.args.get(k).map_or(own, |&arg| self.weak_curvature(arg, block));
        let terms = match parts.op {
            Op::Add => arg(0).and(arg(1)),
            Op::Sub => arg(0).and(arg(1).negated()),
            Op::Neg => arg(0).negated(),
            Op::Sum => arg(0),
            _ => own,
        };
        WeakCurvature { convex: own.convex || terms.convex, concave: own.concave || terms.concave }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::structure::VariableBounds;
    use crate::expr::{Graph, Level, Shape};

    #[test]
    fn sums_of_smooth_and_concave_terms() {
        let graph = Graph::new();
        let x = graph.variable(Level::Leader, 0, Shape::Vector(2));
        let cases = [
            (x.square().sum() - x.abs().sum(), false, true),
            (x.exp().sum() + x.abs().sum() * 2.0, true, false),
            (x.square().sum() * x.exp().sum(), true, true),
            (x.abs().sum() - x.plus().sum(), false, false),
            (-(x.sin() - x.abs()).sum(), true, false),
        ];
        for (formula, convex, concave) in cases {
            let structure = Structure::new(std::slice::from_ref(&formula), &VariableBounds::unbounded(2, 0)).unwrap();
            let found = structure.weak_curvature(structure.roots()[0], Block::Leader);
            assert_eq!(found, WeakCurvature { convex, concave });
        }
    }
}
