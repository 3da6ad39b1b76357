//! Gradient consistency of the model of v that a run would use, at one x.

use super::{Analysis, Options};
use crate::lower::{LowerSolver, LowerStatus, Meter, Pool, PoolSettings};
use crate::problem::{Failures, Problem};
use crate::value::consistency::hypotheses::{Hypothesis, hypotheses};
use crate::value::consistency::{Consistency, follow};
use crate::value::exact::{Subdifferential, subdifferential};
use crate::value::{PoolValue, QuadraticValue, ValueModel};

/// What is known of gradient consistency at a point.
#[derive(Clone, Debug)]
pub struct ConsistencyCheck {
    /// The model's name.
    pub model: &'static str,
    /// The subdifferential of v there.
    pub subdifferential: Subdifferential,
    /// The sequences followed.
    pub consistency: Consistency,
    /// The theorems' hypotheses.
    pub hypotheses: Vec<Hypothesis>,
}

/// Follows gradients of the smooth model of v to `x` [Alcantara & Takeda 2025, Def. 2.6].
///
/// # Errors
/// The status of the lower solve where v has no value at `x`.
pub fn check_consistency(problem: &Problem, x: &[f64], options: &Options) -> Result<ConsistencyCheck, LowerStatus> {
    let analysis = Analysis::new(problem);
    let levels = &analysis.levels;
    let failures = Failures::default();
    let exact = levels.exact_follower.as_ref().unwrap_or(&levels.follower);
    let subdifferential = subdifferential(problem, exact, &analysis.bounds, x, options.seed, &failures)?;
    let y = subdifferential.minimisers.first().cloned().unwrap_or_default();
    let solver = LowerSolver::new(&levels.follower, &failures, &Meter::new(u64::MAX));
    let mut model: Box<dyn ValueModel> = if levels.convex {
        Box::new(QuadraticValue::new(solver, options.smoothing, &y))
    } else {
        let pool = Pool::new(PoolSettings::default(), options.seed, &subdifferential.minimisers);
        Box::new(PoolValue::new(solver, options.smoothing, pool))
    };
    let consistency = follow(model.as_mut(), x, &subdifferential, options.seed);
    let hypotheses = hypotheses(problem, &analysis.bounds, options.smoothing, (x, &y), options.seed);
    Ok(ConsistencyCheck { model: model.name(), subdifferential, consistency, hypotheses })
}
