//! What the structure of a problem says, and both levels in the forms that methods take.

use crate::expr::Blocks;
use crate::expr::structure::{Block, Convexity, Sample, Structure, VariableBounds, sampled_convexity};
use crate::lower::{Composite, Follower};
use crate::problem::{At, Failures, FunctionEvaluator, Problem, Side};
use crate::smooth::Smoothing;
use crate::upper::pieces::QuadraticProblem;
use crate::upper::{Leader, Levels};
use std::sync::Arc;

/// What is known of the follower's convexity in y.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerConvexity {
    /// Objective and constraints are convex in y by composition rules, for every x in X.
    Structure,
    /// The rules are silent: treated as not convex.
    Unknown,
}

/// A problem with what its structure says.
#[derive(Debug)]
pub struct Analysis {
    /// Bounds of all variables.
    pub bounds: VariableBounds,
    /// What is known of the follower's convexity.
    pub convexity: FollowerConvexity,
    /// Whether all of the follower's functions are smooth in y.
    pub smooth: bool,
    /// Whether all of the leader's functions are smooth.
    pub leader_smooth: bool,
    /// Whether the follower's objective and constraints are convex in (x, y) together, by composition rules.
    pub jointly_convex: bool,
    /// Whether the follower's objective is concave in x for every y, by composition rules.
    pub concave_in_leader: bool,
    /// Whether all of the follower's functions are smooth in (x, y).
    pub jointly_smooth: bool,
    /// Whether a follower's constraint depends on x.
    pub coupled_lower: bool,
    /// Whether a leader's constraint depends on y.
    pub coupled_upper: bool,
    /// The levels for the methods.
    pub levels: Levels,
}

impl Analysis {
    /// Looks at a problem.
    pub fn new(problem: &Problem) -> Self {
        let bounds = problem.variable_bounds();
        let lower = facts(problem.follower(), &bounds, Block::Follower);
        let upper = facts(problem.leader(), &bounds, Block::Both);
        let joint = facts(problem.follower(), &bounds, Block::Both);
        let concave_in_leader = is_concave_in_leader(problem, &bounds);
        let mut follower = Follower::direct(problem);
        if !lower.smooth
            && let Some(parts) = Composite::new(problem, &bounds)
        {
            let of_powers = parts.is_of_powers();
            let parts = Some(Arc::new(parts));
            if of_powers {
                follower.branches = parts;
            } else if lower.convex {
                follower.composite = parts;
            }
        }
        let leader = Leader::new(problem, &follower, upper.smooth);
        let exact_follower = if lower.smooth {
            Some(follower.clone())
        } else if follower.composite.is_some() && follower.m > LARGE {
            None
        } else {
            Follower::epigraph(problem, &bounds)
        };
        let exact_leader = exact_follower.as_ref().map(|follower| Leader::new(problem, follower, upper.smooth));
        let quadratic = exact_leader.as_ref().zip(exact_follower.as_ref()).filter(|_| lower.convex && upper.smooth);
        let quadratic = quadratic
            .filter(|_| problem.n() + problem.m() >= PIECES)
            .and_then(|(leader, follower)| QuadraticProblem::recognise(leader, follower))
            .map(Arc::new);
        let levels = Levels { follower, leader, exact_follower, exact_leader, convex: lower.convex, quadratic };
        Self {
            bounds,
            convexity: if lower.convex { FollowerConvexity::Structure } else { FollowerConvexity::Unknown },
            smooth: lower.smooth,
            leader_smooth: upper.smooth,
            jointly_convex: joint.convex,
            concave_in_leader,
            jointly_smooth: joint.smooth,
            coupled_lower: constraints_depend(problem.follower(), Blocks::LEADER),
            coupled_upper: constraints_depend(problem.leader(), Blocks::FOLLOWER),
            levels,
        }
    }
}

impl Analysis {
    /// A second opinion on the convexity of the follower's objective in y, by sampling: never a proof.
    pub fn sampled_convexity(&self, problem: &Problem) -> Convexity {
        let failures = Failures::default();
        let evaluator = FunctionEvaluator::new(&problem.follower().objective, problem.n(), problem.m(), &failures);
        sampled_convexity(&mut Sampler(evaluator), &self.bounds, SAMPLES, 0)
    }
}

/// Pairs of points sampled for the second opinion.
const SAMPLES: usize = 200;

struct Sampler<'a>(FunctionEvaluator<'a>);

impl Sample for Sampler<'_> {
    fn value(&mut self, x: &[f64], y: &[f64]) -> f64 {
        self.0.value(At { x, y, smoothing: Smoothing::EXACT })
    }
}

/// From this many variables of both levels on, convex quadratic followers are treated as data.
const PIECES: usize = 10;

/// Followers with more variables have no epigraph form where their objective's parts give exact answers.
const LARGE: usize = 150;

struct Facts {
    smooth: bool,
    convex: bool,
}

/// Smoothness and convexity of one level's functions in a block; a user's own code counts as smooth and not convex.
fn facts(side: &Side, bounds: &VariableBounds, block: Block) -> Facts {
    let mut facts = Facts { smooth: true, convex: true };
    let functions = std::iter::once((&side.objective, false))
        .chain(side.constraints.iter().map(|c| (&c.function, c.is_equality())));
    for (function, equality) in functions {
        let structure = function.expr().map(|expr| Structure::new(std::slice::from_ref(expr), bounds));
        let Some(Ok(structure)) = structure else {
            facts.convex = false;
            continue;
        };
        let Some(&root) = structure.roots().first() else { continue };
        let curvature = structure.curvature(root, block);
        facts.smooth &= structure.is_smooth(root, block);
        facts.convex &= if equality { curvature.is_convex() && curvature.is_concave() } else { curvature.is_convex() };
    }
    facts
}

fn is_concave_in_leader(problem: &Problem, bounds: &VariableBounds) -> bool {
    let Some(expr) = problem.follower().objective.expr() else { return false };
    let Ok(structure) = Structure::new(std::slice::from_ref(expr), bounds) else { return false };
    structure.roots().first().is_some_and(|&root| structure.curvature(root, Block::Leader).is_concave())
}

fn constraints_depend(side: &Side, on: Blocks) -> bool {
    side.constraints.iter().any(|constraint| constraint.function.depends_on(on))
}
