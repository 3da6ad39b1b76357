//! Which formula for the subdifferential of v holds [Alcantara & Takeda 2025, Thms. 2.1, 2.2, 3.10-3.12, (3.15)].

use crate::expr::Blocks;
use crate::expr::structure::{Block, Structure, VariableBounds};
use crate::problem::Problem;

/// The theorem that applies, decided by the structure of f. All need f level-bounded in y locally uniformly in x.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Danskin {
    /// (a) The gradient in x exists and is continuous: the hull of the gradients over S(x) (Thm. 3.10).
    ContinuousGradient,
    /// (b) f is weakly concave in x for every y: the hull of the partial subdifferentials over S(x) (Thm. 3.11).
    WeaklyConcave,
    /// (c) f is jointly convex and its kinks each belong to one level: the partial subdifferential at any one answer
    /// (Thm. 3.12).
    JointlyConvex,
    /// No theorem gives equality: an outer estimate (3.15).
    OuterEstimate,
    /// The follower's constraints depend on x: limits of gradients of v, outside the theorems.
    Coupled,
}

impl Danskin {
    /// Decides for a problem whose variables have these bounds.
    pub fn of(problem: &Problem, bounds: &VariableBounds) -> Self {
        let side = problem.follower();
        let depends = |constraint: &crate::problem::Constraint| constraint.function.depends_on(Blocks::LEADER);
        if side.constraints.iter().any(depends) {
            return Danskin::Coupled;
        }
        let structure = side.objective.expr().map(|expr| Structure::new(std::slice::from_ref(expr), bounds));
        let Some(Ok(structure)) = structure else { return Danskin::OuterEstimate };
        let Some(&root) = structure.roots().first() else { return Danskin::OuterEstimate };
        let one_level =
            |&kink: &u32| !(structure.depends(kink, Block::Leader) && structure.depends(kink, Block::Follower));
        if structure.is_smooth(root, Block::Leader) {
            Danskin::ContinuousGradient
        } else if structure.weak_curvature(root, Block::Leader).concave {
            Danskin::WeaklyConcave
        } else if structure.curvature(root, Block::Both).is_convex()
            && structure.kinks(root, Block::Both).iter().all(one_level)
        {
            Danskin::JointlyConvex
        } else {
            Danskin::OuterEstimate
        }
    }

    /// The case in words.
    pub fn describe(self) -> &'static str {
        match self {
            Danskin::ContinuousGradient => "(a) gradient in x continuous: hull of the gradients over S(x) (Thm. 3.10)",
            Danskin::WeaklyConcave => "(b) weakly concave in x: hull of partial subdifferentials over S(x) (Thm. 3.11)",
            Danskin::JointlyConvex => "(c) jointly convex: partial subdifferential at one answer (Thm. 3.12)",
            Danskin::OuterEstimate => "outer estimate only (3.15)",
            Danskin::Coupled => "limits of gradients: the follower's constraints depend on x, outside the theorems",
        }
    }

    /// Whether the generators span the subdifferential itself, not a larger set, given all answers.
    pub fn is_equality(self) -> bool {
        !matches!(self, Danskin::OuterEstimate | Danskin::Coupled)
    }
}
