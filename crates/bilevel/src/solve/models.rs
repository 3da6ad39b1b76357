//! The value models of a problem: which of them apply, and how each is made.

use super::{Analysis, Options};
use crate::lower::{Follower, LowerSolver, Meter, Pool, PoolSettings};
use crate::problem::Failures;
use crate::value::{
    ConcaveMoreau, EntropicSettings, EntropicValue, JointMoreau, PoolValue, QuadraticValue, SoftPoolValue, ValueKind,
    ValueModel,
};

/// Why a value model does not apply to a problem, if it does not.
pub fn refusal(analysis: &Analysis, kind: ValueKind) -> Option<String> {
    let reason = match kind {
        ValueKind::Pool | ValueKind::SoftPool => return None,
        ValueKind::Quadratic if analysis.levels.convex => return None,
        ValueKind::Quadratic => "the follower is not known to be convex in y".to_string(),
        ValueKind::Entropic => EntropicValue::refusal(&analysis.levels.follower)?,
        ValueKind::Moreau if analysis.jointly_convex => return None,
        ValueKind::Moreau if analysis.concave_in_leader && !analysis.coupled_lower => return None,
        ValueKind::Moreau => {
            "the follower is not known to be convex in (x, y), nor its objective concave in x for every \
             y over fixed constraints"
                .to_string()
        }
    };
    Some(format!("the value model `{}` does not apply: {reason}", kind.name()))
}

/// The model that is taken without a choice of the user's: quadratic regularisation if the follower is convex, a pool of
/// local minimisers if not.
pub fn default_kind(analysis: &Analysis) -> ValueKind {
    if analysis.levels.convex { ValueKind::Quadratic } else { ValueKind::Pool }
}

/// What a value model starts from.
#[derive(Clone, Copy, Debug)]
pub struct Seed<'s> {
    /// The follower's answer to start from.
    pub y: &'s [f64],
    /// The leader's decision that goes with it.
    pub x: &'s [f64],
    /// The seed of random numbers.
    pub seed: u64,
}

/// A value model for a follower; a kind that does not apply is replaced by the pool, and named so.
pub fn value_model<'a>(
    kind: ValueKind,
    follower: &'a Follower,
    analysis: &Analysis,
    options: &Options,
    seed: Seed<'_>,
    failures: &Failures,
    meter: &Meter,
) -> Box<dyn ValueModel + 'a> {
    let family = options.smoothing;
    let solver = || LowerSolver::new(follower, failures, meter);
    let y = follower.extend(seed.x, seed.y);
    let pool = || {
        // A convex follower has one minimiser: no search for others.
        let single = PoolSettings { first_starts: 0, later_starts: 0, ..PoolSettings::default() };
        let settings = if analysis.levels.convex { single } else { PoolSettings::default() };
        Pool::new(settings, seed.seed, std::slice::from_ref(&y))
    };
    match kind {
        ValueKind::Quadratic => Box::new(QuadraticValue::new(solver(), family, &y)),
        ValueKind::SoftPool => Box::new(SoftPoolValue::new(solver(), family, pool())),
        ValueKind::Moreau if analysis.jointly_convex => {
            Box::new(JointMoreau::new(follower, family, analysis.jointly_smooth, &y, failures))
        }
        ValueKind::Moreau => Box::new(ConcaveMoreau::new(solver(), family, analysis.smooth, pool())),
        ValueKind::Entropic => {
            match EntropicValue::new(solver(), family, pool(), EntropicSettings::default(), failures) {
                Ok(model) => Box::new(model),
                Err(_) => Box::new(PoolValue::new(solver(), family, pool())),
            }
        }
        ValueKind::Pool => Box::new(PoolValue::new(solver(), family, pool())),
    }
}
