//! The value models of a problem: which of them apply, and how each is made.

use super::{Analysis, Options};
use crate::lower::{Follower, LowerSolver, Meter, Pool, PoolSettings};
use crate::problem::Failures;
use crate::value::{
    BarrierValue, ConcaveMoreau, EntropicSettings, EntropicValue, JointMoreau, PoolValue, QuadraticValue, ValueKind,
    ValueModel,
};

/// Why a value model does not apply to a problem, if it does not.
pub fn refusal(analysis: &Analysis, kind: ValueKind) -> Option<String> {
    let reason = match kind {
        ValueKind::Pool | ValueKind::SoftPool => return None,
        ValueKind::Quadratic if analysis.levels.convex => return None,
        ValueKind::Barrier if analysis.levels.convex && analysis.levels.follower.composite.is_none() => return None,
        ValueKind::Barrier if analysis.levels.convex => "the follower's objective has kinks".to_string(),
        ValueKind::Quadratic | ValueKind::Barrier => "the follower is not known to be convex in y".to_string(),
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

/// The model of the k-th start. The second one searches with the entropic integral where the follower has one bounded
/// variable: there it costs as much as a pool, is smooth at ties, and finds other basins. With two or three variables it
/// is ten to thirty times slower, and left to the user's choice. Beyond the first `usual` starts, every second one takes
/// another model: the barrier for convex followers with constraints, the soft pool for others.
pub fn kind_of_start(analysis: &Analysis, k: usize, usual: usize) -> ValueKind {
    let convex = analysis.levels.convex;
    let affordable = || EntropicValue::bounded_dimension(&analysis.levels.follower) == Some(1);
    if k >= usual && k % 2 == 1 {
        return match refusal(analysis, ValueKind::Barrier) {
            None if analysis.coupled_lower => ValueKind::Barrier,
            _ if convex => default_kind(analysis),
            _ => ValueKind::SoftPool,
        };
    }
    if k == 1 && !convex && affordable() { ValueKind::Entropic } else { default_kind(analysis) }
}

/// Starts of the first search for the integral's seeds: a narrow well at a bound that no seed sits in is not seen.
const ENTROPIC_STARTS: usize = 16;

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
    let pool = |first_starts| {
        // A convex follower has one minimiser: no search for others.
        let single = PoolSettings { first_starts: 0, later_starts: 0, ..PoolSettings::default() };
        let several = PoolSettings { first_starts, ..PoolSettings::default() };
        let settings = if analysis.levels.convex { single } else { several };
        Pool::new(settings, seed.seed, std::slice::from_ref(&y))
    };
    let usual = PoolSettings::default().first_starts;
    match kind {
        ValueKind::Quadratic => Box::new(QuadraticValue::new(solver(), family, &y)),
        ValueKind::SoftPool => Box::new(PoolValue::soft(solver(), family, pool(usual))),
        ValueKind::Moreau if analysis.jointly_convex => {
            Box::new(JointMoreau::new(follower, family, analysis.jointly_smooth, &y, failures))
        }
        ValueKind::Moreau => Box::new(ConcaveMoreau::new(solver(), family, analysis.smooth, pool(usual))),
        ValueKind::Entropic => {
            let settings = EntropicSettings::default();
            match EntropicValue::new(solver(), family, pool(ENTROPIC_STARTS), settings, failures) {
                Ok(model) => Box::new(model),
                Err(_) => Box::new(PoolValue::hard(solver(), family, pool(usual))),
            }
        }
        ValueKind::Barrier => Box::new(BarrierValue::new(follower, family, &y, failures, meter)),
        ValueKind::Pool => Box::new(PoolValue::hard(solver(), family, pool(usual))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::{Model, Problem};
    use crate::set::Bounds;
    use crate::solution::{Solution, Status};

    fn with(problem: &Problem, kind: ValueKind) -> Solution {
        problem.solve(&Options { value_model: Some(kind), starts: 2, threads: 1, ..Options::default() })
    }

    /// Solved to `upper`, and the smoothed point recomputed with the same model.
    fn solved(problem: &Problem, kind: ValueKind, upper: f64) {
        let solution = with(problem, kind);
        assert_eq!(solution.status, Status::Solved, "{kind:?}: {}", solution.message);
        let found = solution.upper.unwrap();
        assert!((found - upper).abs() < 1e-5 * (1.0 + upper.abs()), "{kind:?}: F = {found}, not {upper}");
        let kkt = solution.certificate.kkt.unwrap();
        assert_eq!(kkt.value_model, kind.name());
        assert!(kkt.stationarity < 1e-3 && kkt.violation < 1e-6 && kkt.dual == 0.0, "{kind:?}: {kkt:?}");
        assert!(kkt.value_error < 1e-6 && kkt.gradient_error < 1e-2, "{kind:?}: {kkt:?}");
    }

    /// Mirrlees: two wells that tie at the solution x = 1.
    fn mirrlees() -> Problem {
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0).unwrap()).unwrap();
        let y = model.follower("y", 1).within(Bounds::new(-2.0, 2.0).unwrap()).unwrap();
        let wells = -(&x * (-(&y + 1.0).square()).exp()).sum() - (-(&y - 1.0).square()).exp().sum();
        model.upper((&x - 2.0).square().sum() + (&y - 1.0).square().sum()).lower(wells).build().unwrap()
    }

    /// y = x / 2: F = (x − 1)² + (x/2 − 2)² is least at x = 8/5.
    fn jointly_convex() -> Problem {
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0).unwrap()).unwrap();
        let y = model.follower("y", 1).within(Bounds::new(-5.0, 5.0).unwrap()).unwrap();
        let f = ((&y - &x).norm2sq() + y.norm2sq()) * 0.5;
        model.upper((&x - 1.0).norm2sq() + (&y - 2.0).norm2sq()).lower(f).build().unwrap()
    }

    #[test]
    fn models_that_are_smooth_at_a_tie_find_it() {
        for kind in [ValueKind::Pool, ValueKind::SoftPool, ValueKind::Entropic] {
            solved(&mirrlees(), kind, 1.001_805_9);
        }
    }

    #[test]
    fn every_model_that_applies_solves_a_convex_problem() {
        for kind in ValueKind::ALL {
            solved(&jointly_convex(), kind, 0.36 + 1.44);
        }
    }

    #[test]
    fn a_follower_that_is_concave_in_the_leader() {
        // f = −|x| y + y²/2 on [0, 5] has y = |x|; F = (x − 3)² + (y − 1)² is least at x = 2.
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0).unwrap()).unwrap();
        let y = model.follower("y", 1).within(Bounds::new(0.0, 5.0).unwrap()).unwrap();
        let f = -(x.abs() * &y).sum() + y.norm2sq() * 0.5;
        model.upper((&x - 3.0).norm2sq() + (&y - 1.0).norm2sq()).lower(f).start(&[1.0], &[1.0]);
        solved(&model.build().unwrap(), ValueKind::Moreau, 2.0);
    }

    #[test]
    fn models_that_do_not_apply_are_refused_with_the_reason() {
        let refused = |problem: &Problem, kind, part: &str| {
            let solution = with(problem, kind);
            assert_eq!(solution.status, Status::Unsupported);
            assert!(
                solution.message.contains(part) && solution.message.contains(ValueKind::name(kind)),
                "{}",
                solution.message
            );
        };
        refused(&mirrlees(), ValueKind::Quadratic, "not known to be convex in y");
        // Convex in x, concave in y.
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
        let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
        model.upper(x.sum()).lower(x.norm2sq() - y.norm2sq());
        refused(&model.build().unwrap(), ValueKind::Moreau, "convex in (x, y)");
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
        let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
        model.upper(x.sum()).lower(y.sum()).lower_subject_to(y.at_least(&x));
        refused(&model.build().unwrap(), ValueKind::Entropic, "depend on x");
    }
}
