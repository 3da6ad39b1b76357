//! What can be said of a formula from its parts and the bounds of its variables: ranges, dependence, degree,
//! smoothness, curvature, and its coefficients where it is affine or quadratic.
//!
//! ```text
//! range.rs      intervals
//! function.rs   the elementwise functions on a range: values, slopes, second derivatives, polynomial pieces
//! formula.rs    nodes component by component: dependence and ranges
//! degree.rs     Constant, Affine, Quadratic, Nonlinear; smoothness
//! rules.rs      curvature by composition rules
//! second.rs     intervals of gradients and Hessians, where the rules are silent
//! definite.rs   whether a matrix of intervals is positive semidefinite
//! rows.rs       coefficients of affine formulas; bounds among them
//! quadratic.rs  coefficients of quadratic formulas
//! weak.rs       weak convexity and concavity, term by term
//! sampled.rs    a second opinion by sampling, labelled so
//! ```
//!
//! Everything holds on the box of the bounds, component by component for vectors. Statements are one-sided: `Affine`,
//! `Convex` and "smooth" are claims, `Nonlinear`, `Unknown` and "not smooth" only say that no rule applies. Convexity
//! is claimed where the formula is defined: of `log` for positive arguments.
//!
//! The composition rules are those of disciplined convex programming (Grant, Boyd & Ye 2006), with signs from ranges
//! in place of signs from types; rules for sums of squares under a root and sums of exponentials under a logarithm are
//! added (Boyd & Vandenberghe 2004, §3.2.4 and §3.5).

mod definite;
mod degree;
mod formula;
mod function;
mod quadratic;
mod range;
mod rows;
mod rules;
mod sampled;
mod second;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod weak;

pub use quadratic::QuadraticForm;
pub use range::Range;
pub use rows::{AffineRows, VariableBound};
pub use sampled::{Convexity, Sample, Witness, sampled_convexity};
pub use weak::WeakCurvature;

pub(super) use formula::{Formula, row_of};
pub(super) use function::{Local, local};

use super::{Expr, ExprError, Level, Node, NodeId, Op};
use degree::Degrees;
use rules::Traits;

/// The variables that a question is about; the others are held fixed at any value within their bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Block {
    /// The leader's variables x.
    Leader,
    /// The follower's variables y.
    Follower,
    /// x and y together.
    Both,
}

impl Block {
    const ALL: [Block; 3] = [Block::Leader, Block::Follower, Block::Both];
}

/// The degree of a formula as a polynomial in a block, its coefficients free to depend on the other variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Degree {
    /// Does not depend on the block.
    Constant,
    /// At most degree 1.
    Affine,
    /// At most degree 2.
    Quadratic,
    /// Anything else.
    Nonlinear,
}

/// The curvature of a formula in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Curvature {
    /// Convex and concave.
    Affine,
    /// Convex.
    Convex,
    /// Concave.
    Concave,
    /// No rule applies.
    Unknown,
}

impl Curvature {
    /// Whether convexity is claimed.
    pub fn is_convex(self) -> bool {
        matches!(self, Curvature::Affine | Curvature::Convex)
    }

    /// Whether concavity is claimed.
    pub fn is_concave(self) -> bool {
        matches!(self, Curvature::Affine | Curvature::Concave)
    }
}

/// Why formulas cannot be analysed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StructureError {
    /// A formula is invalid, or formulas belong to two models.
    #[error(transparent)]
    Expression(#[from] ExprError),
    /// Lower and upper bounds of different lengths.
    #[error("{lower} lower bounds but {upper} upper bounds for the {level}'s variables")]
    Lengths {
        /// Whose variables.
        level: &'static str,
        /// Number of lower bounds.
        lower: usize,
        /// Number of upper bounds.
        upper: usize,
    },
    /// A formula uses variables that have no bounds.
    #[error("a formula uses {needed} variables of the {level}, bounds are given for {given}")]
    Variables {
        /// Whose variables.
        level: &'static str,
        /// How many variables the formulas use.
        needed: usize,
        /// How many have bounds.
        given: usize,
    },
}

/// Bounds of all variables of both levels, infinite where there are none.
#[derive(Clone, Debug, PartialEq)]
pub struct VariableBounds {
    leader: Vec<Range>,
    follower: Vec<Range>,
}

impl VariableBounds {
    /// From lower and upper bounds of x and of y. NaN, or a lower above an upper bound, counts as no bound.
    ///
    /// # Errors
    /// `Lengths` if lower and upper bounds differ in number.
    pub fn new(x_lower: &[f64], x_upper: &[f64], y_lower: &[f64], y_upper: &[f64]) -> Result<Self, StructureError> {
        let pair = |level, lower: &[f64], upper: &[f64]| {
            if lower.len() != upper.len() {
                return Err(StructureError::Lengths { level, lower: lower.len(), upper: upper.len() });
            }
            Ok(lower.iter().zip(upper).map(|(&l, &u)| Range::new(l, u)).collect())
        };
        Ok(Self { leader: pair("leader", x_lower, x_upper)?, follower: pair("follower", y_lower, y_upper)? })
    }

    /// No bounds on `n` variables of the leader and `m` of the follower.
    pub fn unbounded(n: usize, m: usize) -> Self {
        Self { leader: vec![Range::ALL; n], follower: vec![Range::ALL; m] }
    }

    /// The ranges of the leader's variables.
    pub fn leader(&self) -> &[Range] {
        &self.leader
    }

    /// The ranges of the follower's variables.
    pub fn follower(&self) -> &[Range] {
        &self.follower
    }

    /// The same with the leader's variables fixed.
    pub fn with_leader_at(&self, x: &[f64]) -> Self {
        Self { leader: x.iter().map(|&v| Range::point(v)).collect(), follower: self.follower.clone() }
    }

    /// The same with more variables of the follower.
    pub fn extended(&self, follower: &[Range]) -> Self {
        let mut out = self.clone();
        out.follower.extend_from_slice(follower);
        out
    }

    fn check(&self, nodes: &[Node]) -> Result<(), StructureError> {
        for node in nodes {
            let Op::Variable { level, offset } = node.op else { continue };
            let (level, given) = match level {
                Level::Leader => ("leader", self.leader.len()),
                Level::Follower => ("follower", self.follower.len()),
            };
            let needed = offset.saturating_add(node.shape.len());
            if needed > given {
                return Err(StructureError::Variables { level, needed, given });
            }
        }
        Ok(())
    }
}

/// Answers to questions about formulas. Nodes are numbered as by [`super::Graph::extract`] of the same roots; a number
/// that no node has gives empty or unknown answers.
#[derive(Debug)]
pub struct Structure {
    formula: Formula,
    degrees: [Degrees; 3],
    traits: [Vec<Traits>; 3],
}

impl Structure {
    /// Analyses the formulas on the box of the bounds.
    ///
    /// # Errors
    /// `Expression` for an invalid formula or formulas of two models, `Variables` if bounds are missing.
    pub fn new(roots: &[Expr], bounds: &VariableBounds) -> Result<Self, StructureError> {
        let formula = Formula::new(roots, bounds)?;
        let degrees = Block::ALL.map(|block| Degrees::new(&formula, block));
        let traits = Block::ALL.map(|block| rules::traits(&formula, &degrees[block as usize].degree, block));
        Ok(Self { formula, degrees, traits })
    }

    /// The nodes, arguments before users.
    pub fn nodes(&self) -> &[Node] {
        &self.formula.nodes
    }

    /// The nodes of the formulas that were given, in their order.
    pub fn roots(&self) -> &[NodeId] {
        &self.formula.roots
    }

    /// Enclosures of a node's components on the box, up to rounding.
    pub fn range(&self, node: NodeId) -> &[Range] {
        &self.formula.ranges[self.formula.slots(node as usize)]
    }

    /// Whether any component of the node depends on the block.
    pub fn depends(&self, node: NodeId, block: Block) -> bool {
        self.formula.slots(node as usize).any(|slot| self.formula.depends(slot, block))
    }

    /// The degrees of a node's components in the block.
    pub fn degrees(&self, node: NodeId, block: Block) -> &[Degree] {
        &self.degrees[block as usize].degree[self.formula.slots(node as usize)]
    }

    /// The largest degree of a node's components in the block.
    pub fn degree(&self, node: NodeId, block: Block) -> Degree {
        self.degrees(node, block).iter().copied().max().unwrap_or(Degree::Constant)
    }

    /// Whether a node is twice continuously differentiable in the block wherever it is defined on the box. A kink in
    /// the other variables alone does not count; a root at 0 does, the logarithm at 0 does not.
    pub fn is_smooth(&self, node: NodeId, block: Block) -> bool {
        self.formula.slots(node as usize).all(|slot| self.degrees[block as usize].smooth[slot])
    }

    /// The nodes below `node` (itself included) that bring kinks in the block: their own operation is not smooth, in a
    /// component that `node` needs.
    pub fn kinks(&self, node: NodeId, block: Block) -> Vec<NodeId> {
        let formula = &self.formula;
        let mut needed = vec![false; formula.len()];
        needed[formula.slots(node as usize)].fill(true);
        let mut found = Vec::new();
        for id in (0..formula.nodes.len().min((node as usize).saturating_add(1))).rev() {
            let used: Vec<usize> =
                formula.slots(id).filter(|&slot| needed[slot] && formula.depends(slot, block)).collect();
            if used.iter().any(|&slot| self.degrees[block as usize].kink[slot]) {
                found.push(id as NodeId);
            }
            let op = &formula.nodes[id].op;
            let start = formula.slots(id).start;
            if let Op::MatVec { matrix, transpose } = op {
                let argument = formula.argument(id, 0).start;
                formula::visit(matrix, *transpose, |i, j, _| needed[argument + j] |= needed[start + i]);
                continue;
            }
            for slot in used {
                formula.sources(op, id, slot - start).for_each(|source| needed[source] = true);
            }
        }
        found.reverse();
        found
    }

    /// The curvatures of a node's components in the block. Of a part of a sum that only longer sums use, the rules alone
    /// are asked.
    pub fn curvatures(&self, node: NodeId, block: Block) -> Vec<Curvature> {
        self.formula.slots(node as usize).map(|slot| self.traits[block as usize][slot].curvature()).collect()
    }

    /// The curvature that all components of a node have in the block.
    pub fn curvature(&self, node: NodeId, block: Block) -> Curvature {
        let traits = &self.traits[block as usize][self.formula.slots(node as usize)];
        traits.iter().fold(Traits::CONSTANT, |all, t| all.and(*t)).curvature()
    }

    /// The formulas laid out component by component.
    pub(super) fn formula(&self) -> &Formula {
        &self.formula
    }

    /// Whether the component in `slot` is smooth in y, and whether its own operation brings a kink in y.
    pub(super) fn smooth_and_kink(&self, slot: usize) -> (bool, bool) {
        let degrees = &self.degrees[Block::Follower as usize];
        (degrees.smooth[slot], degrees.kink[slot])
    }

    /// The curvature in y of the component in `slot`.
    pub(super) fn curvature_at(&self, slot: usize) -> Curvature {
        self.traits[Block::Follower as usize][slot].curvature()
    }
}
