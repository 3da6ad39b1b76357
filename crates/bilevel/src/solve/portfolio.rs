//! The starts: the user's point with the homotopy in mu, then direct starts at small mu from the same and from sampled
//! points. Diversity comes from different initial levels more than from different points (docs/how-to-choose.md).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Analysis, Options};
use crate::expr::structure::Range;
use crate::lower::{Follower, LowerSolver, Meter, Pool, PoolSettings};
use crate::observe::Observer;
use crate::problem::{At, Failures, FunctionEvaluator, Problem};
use crate::set::ConvexSet;
use crate::smooth::Smoothing;
use crate::upper::{PolishSettings, Run, Schedule, SmoothedValue};
use crate::value::{PoolValue, QuadraticValue, ValueModel};

/// Where a run starts, and with which levels.
#[derive(Clone, Debug)]
pub struct Start {
    /// The leader's variables.
    pub x: Vec<f64>,
    /// The follower's variables.
    pub y: Vec<f64>,
    /// The levels of mu and epsilon.
    pub schedule: Schedule,
    /// The seed of the run's own random numbers.
    pub seed: u64,
}

/// Half-width of the sampling box where a variable is unbounded.
const RADIUS: f64 = 5.0;

/// The starts of a run, in order.
pub fn starts(problem: &Problem, analysis: &Analysis, options: &Options) -> Vec<Start> {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let first = match problem.start() {
        Some((x, y)) => (x.to_vec(), y.to_vec()),
        None => (
            central(problem.leader(), analysis.bounds.leader()),
            central(problem.follower(), analysis.bounds.follower()),
        ),
    };
    (0..options.starts.max(1))
        .map(|k| {
            let (x, y) = if k < 2 {
                first.clone()
            } else {
                let x = sampled(&problem.leader().set, analysis.bounds.leader(), &first.0, &mut rng);
                (x, sampled(&problem.follower().set, analysis.bounds.follower(), &first.1, &mut rng))
            };
            let schedule = if k == 0 { Schedule::homotopy() } else { Schedule::direct() };
            Start { x, y, schedule, seed: options.seed.wrapping_add(k as u64) }
        })
        .collect()
}

/// The projection of the middle of the bounds onto a level's set.
fn central(side: &crate::problem::Side, bounds: &[Range]) -> Vec<f64> {
    let middle: Vec<f64> = bounds
        .iter()
        .map(|range| match (range.lower().is_finite(), range.upper().is_finite()) {
            (true, true) => 0.5 * (range.lower() + range.upper()),
            (true, false) => range.lower().max(0.0),
            (false, true) => range.upper().min(0.0),
            (false, false) => 0.0,
        })
        .collect();
    let mut out = middle.clone();
    side.set.project(&middle, &mut out);
    out
}

/// A random point of a set: uniform where the set can be sampled, else the projection of a point of a box.
fn sampled(set: &impl ConvexSet, bounds: &[Range], centre: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut out = vec![0.0; centre.len()];
    if set.sample(rng, &mut out) {
        return out;
    }
    let point: Vec<f64> = bounds
        .iter()
        .zip(centre)
        .map(|(range, &c)| {
            let radius = RADIUS.max(2.0 * c.abs());
            let (low, high) = (range.lower().max(c - radius), range.upper().min(c + radius));
            if low < high { rng.random_range(low..=high) } else { c.clamp(range.lower(), range.upper()) }
        })
        .collect();
    set.project(&point, &mut out);
    out
}

/// Whether both objectives are numbers at one of the starts.
///
/// # Errors
/// A message that names the objective that is not.
pub fn check_start(problem: &Problem, starts: &[Start], failures: &Failures) -> Result<(), String> {
    let mut bad = "F";
    for start in starts {
        let value = |side: &crate::problem::Side| {
            FunctionEvaluator::new(&side.objective, problem.n(), problem.m(), failures).value(At {
                x: &start.x,
                y: &start.y,
                smoothing: Smoothing::EXACT,
            })
        };
        let (upper, lower) = (value(problem.leader()), value(problem.follower()));
        if !upper.is_nan() && !lower.is_nan() {
            return Ok(());
        }
        bad = if upper.is_nan() { "the leader's objective" } else { "the follower's objective" };
    }
    Err(format!("{bad} is not a number at the start, nor at {} sampled points", starts.len().saturating_sub(1)))
}

/// Runs the method from one start.
pub fn run(
    problem: &Problem,
    analysis: &Analysis,
    options: &Options,
    (number, start): (usize, &Start),
    budget: u64,
    observer: &dyn Observer,
    failures: &Failures,
) -> Run {
    let meter = Meter::new(budget);
    let method = SmoothedValue {
        problem,
        levels: &analysis.levels,
        family: options.smoothing,
        schedule: start.schedule.clone(),
        polish: PolishSettings::default(),
        failures: failures.clone(),
        meter: meter.clone(),
    };
    let models = |follower| value_model(follower, analysis, options, start, failures, &meter);
    method.run((&start.x, &start.y), &models, observer, number)
}

/// The value model for a follower: quadratic regularisation if it is convex, a pool of local minimisers if not.
pub fn value_model<'a>(
    follower: &'a Follower,
    analysis: &Analysis,
    options: &Options,
    start: &Start,
    failures: &Failures,
    meter: &Meter,
) -> Box<dyn ValueModel + 'a> {
    let solver = LowerSolver::new(follower, failures, meter);
    let y = follower.extend(&start.x, &start.y);
    if analysis.levels.convex {
        Box::new(QuadraticValue::new(solver, options.smoothing, &y))
    } else {
        let pool = Pool::new(PoolSettings::default(), start.seed, &[y]);
        Box::new(PoolValue::new(solver, options.smoothing, pool))
    }
}
