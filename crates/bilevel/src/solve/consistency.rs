//! Gradient consistency of the model of v that a run would use, at one x.

use super::{Analysis, Options, models};
use crate::lower::{LowerStatus, Meter};
use crate::problem::{Failures, Problem};
use crate::value::ValueKind;
use crate::value::consistency::hypotheses::{Hypothesis, hypotheses};
use crate::value::consistency::{Consistency, follow};
use crate::value::exact::{Subdifferential, subdifferential};

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
    let kind = options.value_model.unwrap_or_else(|| smooth_model(&analysis, y.len()));
    let seed = models::Seed { x, y: &y, seed: options.seed };
    let meter = Meter::unlimited();
    let mut model = models::value_model(kind, &levels.follower, &analysis, options, seed, &failures, &meter);
    let consistency = follow(model.as_mut(), x, &subdifferential, options.seed);
    let hypotheses = hypotheses(problem, &analysis.bounds, options.smoothing, (x, &y), options.seed);
    Ok(ConsistencyCheck { model: model.name(), subdifferential, consistency, hypotheses })
}

/// Followers with more variables than this are not integrated over here.
const SMALL: usize = 3;

/// A model that is smooth, unlike the hard minimum that searches take for nonconvex followers.
fn smooth_model(analysis: &Analysis, m: usize) -> ValueKind {
    if analysis.levels.convex {
        ValueKind::Quadratic
    } else if m <= SMALL && models::refusal(analysis, ValueKind::Entropic).is_none() {
        ValueKind::Entropic
    } else {
        ValueKind::SoftPool
    }
}
