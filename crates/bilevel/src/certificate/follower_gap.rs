//! How far y is from the follower's best answer, by a solve that shares nothing with a method's own: another algorithm
//! (SQP, first derivatives only, where methods use the interior-point method) from other starts.
//!
//! For a follower that is convex by structure any solve that ends in a minimiser finds v(x) up to its residual; for
//! others the least value over many starts is an upper bound on v(x), so the gap reported is an estimate from below.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::follower_violation;
use crate::lower::{Follower, FollowerProgram, Regulariser};
use crate::nlp::{self, interior_point, sqp};
use crate::problem::{At, Failures, FunctionEvaluator, Problem};
use crate::smooth::Smoothing;
use crate::upper::Levels;

/// What the independent solve found.
#[derive(Clone, Debug)]
pub struct FollowerCheck {
    /// The least value of f(x, ·) found over feasible answers.
    pub value: f64,
    /// The answer that attains it.
    pub y: Vec<f64>,
    /// f(x, y) − value; negative if y is better than anything the check found.
    pub gap: f64,
    /// Distance of y to the nearest answer found whose value is within rounding of the best.
    pub distance: f64,
    /// Multipliers of the exact follower's problem at that answer.
    pub multipliers: nlp::Multipliers,
    /// The check's own answer in full (auxiliary variables included).
    pub full: Vec<f64>,
    /// Lower solves made.
    pub solves: u64,
    /// How it was done, in a few words.
    pub by: String,
    /// Whether the follower's problem is unbounded below at this x.
    pub unbounded: bool,
}

/// Starts for followers that are convex, and for others.
const CONVEX_STARTS: usize = 2;
const NONCONVEX_STARTS: usize = 12;
/// Answers may violate the follower's constraints by this much, relative to their size.
const FEASIBLE: f64 = 1e-9;

/// Solves the follower's problem at `x` from other starts and compares `y`. `None` if no feasible answer was found.
pub fn check_follower(
    problem: &Problem,
    levels: &Levels,
    x: &[f64],
    y: &[f64],
    smoothing: Smoothing<'_>,
    seed: u64,
    failures: &Failures,
) -> Option<FollowerCheck> {
    let follower = levels.exact_follower.as_ref().unwrap_or(&levels.follower);
    let mut program = FollowerProgram::new(follower, failures);
    program.fix(x, smoothing, &Regulariser::default());
    let mut objective = FunctionEvaluator::new(&problem.follower().objective, problem.n(), problem.m(), failures);
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SEED);
    let count = if levels.convex { CONVEX_STARTS } else { NONCONVEX_STARTS };
    let mut answers: Vec<(f64, nlp::Solution)> = Vec::new();
    let mut unbounded = false;
    for k in 0..count {
        let start = sample(follower, x, y, k, &mut rng);
        let mut found = sqp::solve(&mut program, &start, &sqp::Settings::default());
        if !found.status.is_success() {
            // The other algorithm gave up: the interior-point method from this other start still shares no path.
            found = interior_point::solve(&mut program, &start, &interior_point::Settings::default());
        }
        unbounded |= found.status == nlp::Status::Unbounded;
        let own = &found.z[..problem.m()];
        let size = own.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
        if follower_violation(problem, x, own, failures) <= FEASIBLE * size {
            let value = objective.value(At { x, y: own, smoothing: Smoothing::EXACT });
            if value.is_finite() {
                answers.push((value, found));
            }
        }
    }
    answers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let f = objective.value(At { x, y, smoothing: Smoothing::EXACT });
    let (value, best) = answers.first()?;
    let near = 1e-9 * (1.0 + value.abs());
    let distance = answers
        .iter()
        .filter(|(other, _)| *other <= value + near)
        .map(|(_, found)| distance(y, &found.z[..problem.m()]))
        .fold(f64::INFINITY, f64::min);
    let kind = if levels.convex { "convex follower" } else { "multistart" };
    Some(FollowerCheck {
        value: *value,
        y: best.z[..problem.m()].to_vec(),
        gap: f - value,
        distance,
        multipliers: best.multipliers.clone(),
        full: best.z.clone(),
        solves: count as u64,
        by: format!("independent sqp, {kind}, {count} starts"),
        unbounded,
    })
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A start away from y: the k-th is a random point of the bounds, or of a box around y of growing size where there are
/// none.
fn sample(follower: &Follower, x: &[f64], y: &[f64], k: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let start: Vec<f64> = (0..follower.m)
        .map(|j| {
            let radius = (1.0 + y[j].abs()) * (1.0 + k as f64);
            let low = follower.lower[j].max(y[j] - radius);
            let high = follower.upper[j].min(y[j] + radius);
            if low < high { rng.random_range(low..=high) } else { low.min(follower.upper[j]) }
        })
        .collect();
    follower.extend(x, &start)
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}
