//! How far y is from the follower's best answer, by a solve that shares nothing with a method's own: another algorithm
//! (SQP, first derivatives only, where methods use the interior-point method; truncated Newton steps for large free convex
//! followers) from other starts.
//!
//! For a follower that is convex by structure any solve that ends in a minimiser finds v(x) up to its residual; for
//! others the least value over many starts is an upper bound on v(x), so the gap reported is an estimate from below.

use bilevel_linalg::{Dense, stop, vector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::follower_violation;
use crate::hyper::follower_minimiser;
use crate::lower::{Composite, CompositeAt, Follower, FollowerProgram, Regulariser, branches, proximal};
use crate::nlp::{self, Nlp, interior_point, sqp};
use crate::problem::{At, Failures, FunctionEvaluator, Problem};
use crate::set::{ConvexSet, Description};
use crate::smooth::Smoothing;
use crate::upper::Levels;
use crate::upper::pieces::QuadraticProblem;

/// What the independent solve found.
#[derive(Clone, Debug)]
pub struct FollowerCheck {
    /// The least value of f(x, ·) found over feasible answers.
    pub value: f64,
    /// The answer that attains it.
    pub y: Vec<f64>,
    /// f(x, y) − value; negative if y is better than anything the check found.
    pub gap: f64,
    /// Whether a solve of the check ended in a minimiser. Without one nothing speaks for y, however small the gap.
    pub converged: bool,
    /// The nearest to y of the check's answers that are as good as the best; a solve from y itself included.
    pub nearest: Option<Vec<f64>>,
    /// Distance of y to it; infinite without one.
    pub distance: f64,
    /// Where f is so flat at y that the limit of the gap does not see it: a lower answer to which y leads.
    pub lower_nearby: Option<Vec<f64>>,
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
/// Scaled optimality residual up to which a solve counts as converged.
const CONVERGED: f64 = 1e-7;

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
    if let Some(composite) = &levels.follower.composite {
        return in_parts(problem, composite, x, y, failures);
    }
    if let Some(composite) = &levels.follower.branches {
        return by_branches(problem, composite, x, y, failures);
    }
    if let Some(quadratic) = &levels.quadratic
        && let Some(check) = by_duality(problem, quadratic, x, y, failures)
    {
        return Some(check);
    }
    let hopeless = levels.quadratic.is_some() && problem.m() > LARGEST_DENSE;
    if hopeless || stop::asked() {
        return None;
    }
    let follower = levels.exact_follower.as_ref().unwrap_or(&levels.follower);
    let large = problem.m() > LARGE && levels.convex && levels.exact_follower.is_some();
    if large && is_free(problem, follower) {
        let found = without_matrices(problem, x, y, seed, failures).filter(|found| found.converged);
        if found.is_some() {
            return found;
        }
    }
    let mut program = FollowerProgram::new(follower, failures);
    program.fix(x, smoothing, &Regulariser::default());
    let mut judge = Judge {
        problem,
        x,
        failures,
        objective: FunctionEvaluator::new(&problem.follower().objective, problem.n(), problem.m(), failures),
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SEED);
    let count = if levels.convex { CONVEX_STARTS } else { NONCONVEX_STARTS };
    let mut answers: Vec<Answer> = Vec::new();
    let mut unbounded = false;
    for k in 0..count {
        let start = sample(follower, x, y, k, &mut rng);
        let found = solve(&mut program, &start);
        unbounded |= found.status == nlp::Status::Unbounded;
        answers.extend(judge.answer(found));
    }
    answers.sort_by(|a, b| a.value.total_cmp(&b.value));
    let converged = answers.iter().any(|answer| answer.converged);
    let best = answers.first()?.clone();
    // Where the follower has several answers, the one next to y tells how far y is from S(x).
    answers.extend(judge.answer(solve(&mut program, &follower.extend(x, y))));
    let near = best.value + 1e-9 * (1.0 + best.value.abs());
    let as_good = answers.iter().filter(|answer| answer.converged && answer.value <= near);
    let nearest = as_good.map(|answer| &answer.y).min_by(|a, b| distance(y, a).total_cmp(&distance(y, b))).cloned();
    let kind = if levels.convex { "convex follower" } else { "multistart" };
    let lower_nearby = lower_nearby(&mut program, &mut judge, &follower.extend(x, y), smoothing);
    Some(FollowerCheck {
        gap: judge.objective.value(At { x, y, smoothing: Smoothing::EXACT }) - best.value,
        distance: nearest.as_ref().map_or(f64::INFINITY, |answer| distance(y, answer)),
        nearest,
        lower_nearby,
        value: best.value,
        y: best.y,
        converged,
        solves: count as u64 + 1,
        by: format!("independent sqp, {kind}, {count} starts"),
        unbounded,
    })
}

/// For a convex quadratic follower: v(x) is at least what weak duality says of the multipliers that an interior-point
/// method ends with. `None` if they are not good enough to say anything, or the leader's set needs further variables.
fn by_duality(
    problem: &Problem,
    quadratic: &QuadraticProblem,
    x: &[f64],
    y: &[f64],
    failures: &Failures,
) -> Option<FollowerCheck> {
    let data = &quadratic.follower;
    if data.n() != x.len() || data.m() != y.len() {
        return None;
    }
    let answer = data.answer(x).filter(|answer| answer.status.is_answer())?;
    let objective = &problem.follower().objective;
    let mut whole = FunctionEvaluator::new(objective, problem.n(), problem.m(), failures);
    let mut f = |y: &[f64]| whole.value(At { x, y, smoothing: Smoothing::EXACT });
    let (own, found) = (f(y), f(&answer.y));
    // The part of f in x alone is in f, not in the data.
    let lower = found + (data.lower_bound(x, &answer) - data.value(x, &answer.y));
    // Without another check to turn to, a bound that is less sharp is what there is to say.
    let tight = if problem.m() > LARGEST_DENSE { 10.0 * TIGHT } else { TIGHT };
    if found - lower > tight * (1.0 + found.abs()) {
        return None;
    }
    let mut nearest = answer.y.clone();
    if distance(y, &nearest) > NEXT * (1.0 + vector::norm_inf(y)) && own - lower <= NEXT * (1.0 + own.abs()) {
        nearest = data.answer_near(x, y, NEXT).map_or(nearest, |answer| answer.y);
    }
    Some(FollowerCheck {
        lower_nearby: None,
        gap: own - lower,
        distance: distance(y, &nearest),
        nearest: Some(nearest),
        value: lower,
        y: answer.y,
        converged: true,
        solves: 1,
        by: "weak duality with an interior-point method's multipliers".to_string(),
        unbounded: false,
    })
}

/// Quadratic followers with more variables are checked by duality or not at all: the other checks are dense.
const LARGEST_DENSE: usize = 1500;
/// Free convex followers with more variables are checked without matrices.
const LARGE: usize = 200;
/// The slope left, relative to 1 + the start's, of a minimiser found so.
const FLAT: f64 = 1e-9;

/// Whether the follower may choose any y, without auxiliary variables.
fn is_free(problem: &Problem, follower: &Follower) -> bool {
    let mut set = Description::default();
    problem.follower().set.describe(0, &mut set);
    let open = set.lower.iter().chain(&set.upper).all(|bound| bound.is_infinite());
    let whole = open && set.row_count() == 0 && set.balls.is_empty();
    whole && problem.follower().constraints.is_empty() && follower.lower.len() == problem.m()
}

/// For large free convex followers: minimisers of f by truncated Newton steps from a random point, and from y.
fn without_matrices(problem: &Problem, x: &[f64], y: &[f64], seed: u64, failures: &Failures) -> Option<FollowerCheck> {
    let mut f = FunctionEvaluator::new(&problem.follower().objective, problem.n(), problem.m(), failures);
    let mut f = |y: &[f64]| f.value(At { x, y, smoothing: Smoothing::EXACT });
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SEED);
    let away: Vec<f64> = y.iter().map(|y| y + (1.0 + y.abs()) * rng.random_range(-1.0..=1.0)).collect();
    let (best, left) = follower_minimiser(problem, x, &away)?;
    let nearest = follower_minimiser(problem, x, y).map(|(y, _)| y);
    let value = f(&best);
    Some(FollowerCheck {
        lower_nearby: None,
        gap: f(y) - value,
        distance: nearest.as_ref().map_or(f64::INFINITY, |answer| distance(y, answer)),
        nearest,
        value,
        y: best,
        converged: left <= FLAT,
        solves: 2,
        by: "independent truncated Newton, convex follower".to_string(),
        unbounded: false,
    })
}

/// Answers that differ by more than this, relative, are looked at for the one next to y; and the weight with which.
const NEXT: f64 = 1e-5;

/// A bound on the gap, relative to 1 + |v|, from which nothing better needs to be looked for.
const TIGHT: f64 = 1e-9;

/// For a convex objective in parts: a bound of v(x) from below by convexity at y itself; where that leaves a gap, at the
/// answer of a solve from another start. What speaks for y is the bound, not how it was found.
fn in_parts(
    problem: &Problem,
    composite: &Composite,
    x: &[f64],
    y: &[f64],
    failures: &Failures,
) -> Option<FollowerCheck> {
    let mut at = CompositeAt::new(composite);
    let objective = &problem.follower().objective;
    let mut whole = FunctionEvaluator::new(objective, problem.n(), problem.m(), failures);
    if !at.fix(x) {
        return None;
    }
    let f = whole.value(At { x, y, smoothing: Smoothing::EXACT });
    let near = proximal::minimise(&mut at, y, &proximal::Settings::default());
    let mut best = (bounded(&mut at, &mut whole, x, y), y.to_vec());
    let mut solves = 1;
    if best.0.gap() > TIGHT * (1.0 + f.abs()) {
        let start = vec![0.0; y.len()];
        let far = proximal::minimise(&mut at, &start, &proximal::Settings::default());
        solves += 1;
        if far.unbounded {
            let (value, gap) = (f64::NEG_INFINITY, f64::INFINITY);
            let by = "descent without end".to_string();
            let (distance, nearest, converged) = (f64::INFINITY, None, false);
            return Some(FollowerCheck {
                value,
                y: far.y,
                gap,
                converged,
                nearest,
                lower_nearby: None,
                distance,
                solves,
                by,
                unbounded: true,
            });
        }
        for other in [far.y, near.y.clone()] {
            let bound = bounded(&mut at, &mut whole, x, &other);
            if bound.lower > best.0.lower {
                best = (bound, other);
            }
        }
    }
    let (bound, answer) = best;
    let converged = bound.gap() <= TIGHT * (1.0 + bound.value.abs());
    Some(FollowerCheck {
        gap: f - bound.lower,
        distance: distance(y, &near.y),
        nearest: Some(near.y),
        lower_nearby: None,
        value: bound.lower,
        y: answer,
        converged,
        solves,
        by: "convexity: linear below f's smooth part, its norms exact".to_string(),
        unbounded: false,
    })
}

/// For powers below 1: the least of the local minimisers found afresh, support by support.
fn by_branches(
    problem: &Problem,
    composite: &Composite,
    x: &[f64],
    y: &[f64],
    failures: &Failures,
) -> Option<FollowerCheck> {
    let mut at = CompositeAt::new(composite);
    if !at.fix(x) {
        return None;
    }
    let all = branches(&mut at, &[]);
    let objective = &problem.follower().objective;
    let mut whole = FunctionEvaluator::new(objective, problem.n(), problem.m(), failures);
    let mut f = |y: &[f64]| whole.value(At { x, y, smoothing: Smoothing::EXACT });
    let best = all.first()?;
    let value = f(&best.y);
    let near = value + 1e-9 * (1.0 + value.abs());
    let as_good = all.iter().filter(|branch| branch.value <= near);
    let nearest = as_good.map(|branch| &branch.y).min_by(|a, b| distance(y, a).total_cmp(&distance(y, b))).cloned();
    let agree = (value - best.value).abs() <= 1e-9 * (1.0 + value.abs());
    Some(FollowerCheck {
        gap: f(y) - value,
        distance: nearest.as_ref().map_or(f64::INFINITY, |answer| distance(y, answer)),
        nearest,
        lower_nearby: None,
        value,
        y: best.y.clone(),
        converged: agree,
        solves: all.len() as u64,
        by: format!("local minimisers by support, {} found", all.len()),
        unbounded: false,
    })
}

/// f at an answer, and a lower bound of v from there.
struct Bound {
    value: f64,
    lower: f64,
}

impl Bound {
    fn gap(&self) -> f64 {
        if self.lower.is_nan() { f64::INFINITY } else { self.value - self.lower }
    }
}

/// The bound from y, by the problem's own formula for f; none if the parts do not add up to it.
fn bounded(at: &mut CompositeAt<'_>, whole: &mut FunctionEvaluator<'_>, x: &[f64], y: &[f64]) -> Bound {
    let point = At { x, y, smoothing: Smoothing::EXACT };
    let value = whole.value(point);
    let mut gradient = vec![0.0; y.len()];
    whole.add_gradient(point, &[1.0], None, Some(&mut gradient));
    at.subtract_penalty_gradient(y, &mut gradient);
    let parts = at.smooth(y) + at.penalty(y);
    let agree = (parts - value).abs() <= 1e-9 * (1.0 + value.abs());
    let lower = if agree { value - proximal::gap_bound(at, y, &gradient).max(0.0) } else { f64::NAN };
    Bound { value, lower }
}

/// A feasible answer of the follower.
#[derive(Clone, Debug)]
struct Answer {
    value: f64,
    y: Vec<f64>,
    converged: bool,
}

/// Decides whether a solve's result is an answer, with the problem's own functions.
struct Judge<'a> {
    problem: &'a Problem,
    x: &'a [f64],
    failures: &'a Failures,
    objective: FunctionEvaluator<'a>,
}

impl Judge<'_> {
    fn answer(&mut self, found: nlp::Solution) -> Option<Answer> {
        let y = found.z[..self.problem.m()].to_vec();
        let size = y.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
        let feasible = follower_violation(self.problem, self.x, &y, self.failures) <= FEASIBLE * size;
        let value = self.objective.value(At { x: self.x, y: &y, smoothing: Smoothing::EXACT });
        let converged = found.residuals.scaled <= CONVERGED;
        (feasible && value.is_finite()).then_some(Answer { value, y, converged })
    }
}

/// SQP; where it gives up, the interior-point method from the same start, which still shares no path with a method's own.
fn solve(program: &mut dyn Nlp, start: &[f64]) -> nlp::Solution {
    let found = sqp::solve(program, start, &sqp::Settings::default());
    if found.status.is_success() {
        return found;
    }
    let second = interior_point::solve(program, start, &interior_point::Settings::default());
    if second.residuals.scaled < found.residuals.scaled { second } else { found }
}

/// Slope and curvature below which f counts as flat at an answer.
const FLAT_SLOPE: f64 = 1e-4;
/// A lower answer counts where it gains this much once slope and curvature are of the size of 1.
const LOWER: f64 = 1e-6;

/// Where f is flat at ỹ: the answer to which ỹ leads once f is scaled up to slopes and curvatures of the size of 1, if it is
/// lower. A follower cares about the last digit of its objective, whatever units it is written in.
fn lower_nearby<'a>(
    program: &mut FollowerProgram<'a>,
    judge: &mut Judge<'_>,
    y: &[f64],
    smoothing: Smoothing<'a>,
) -> Option<Vec<f64>> {
    if smoothing.mu() > 0.0 || y.len() > LARGEST_FLAT {
        return None;
    }
    let (d, size) = (y.len(), vector::norm_inf(y));
    let (mut gradient, mut hessian) = (vec![0.0; d], Dense::zeros(d, d));
    program.gradient(y, &mut gradient);
    let constraints = vec![0.0; program.frame().constraint_upper.len()];
    let known = program.hessian(y, 1.0, &constraints, &mut hessian);
    let bend = if known { hessian.norm_max() * (1.0 + size) } else { f64::INFINITY };
    let scale = vector::norm_inf(&gradient).max(bend);
    if !(scale > 0.0 && scale < FLAT_SLOPE) {
        return None;
    }
    let m = judge.problem.m();
    let here = judge.objective.value(At { x: judge.x, y: &y[..m], smoothing: Smoothing::EXACT });
    let found = solve(&mut Scaled { program, factor: 1.0 / scale }, y);
    let answer = judge.answer(found)?;
    let lower = here - answer.value > LOWER * scale;
    (lower && !flatter_beside(program, judge.x, y, &gradient, smoothing)).then_some(answer.y)
}

/// Whether f loses its slope at ỹ altogether within rounding of x: then ỹ is an answer there, and f only looks flat because x
/// is not met to the last digit.
fn flatter_beside<'a>(
    program: &mut FollowerProgram<'a>,
    x: &[f64],
    y: &[f64],
    gradient: &[f64],
    smoothing: Smoothing<'a>,
) -> bool {
    let reach = BESIDE * (1.0 + vector::norm_inf(x));
    let mut slope = |x: &[f64]| {
        let mut out = vec![0.0; y.len()];
        program.fix(x, smoothing, &Regulariser::default());
        program.gradient(y, &mut out);
        out
    };
    // A Gauss-Newton step in each variable of x, by differences.
    let mut best = vector::norm_inf(gradient);
    let mut at = x.to_vec();
    for j in (0..x.len()).chain(0..x.len()) {
        let here = slope(&at);
        let mut beside = at.clone();
        beside[j] += 0.1 * reach;
        let change: Vec<f64> = slope(&beside).iter().zip(&here).map(|(a, b)| (a - b) / (0.1 * reach)).collect();
        let squares = vector::dot(&change, &change);
        if squares > 0.0 {
            beside[j] = at[j] - (vector::dot(&change, &here) / squares).clamp(-reach, reach);
            let size = vector::norm_inf(&slope(&beside));
            if size < best {
                (best, at) = (size, beside);
            }
        }
    }
    program.fix(x, smoothing, &Regulariser::default());
    best <= FLATTER * vector::norm_inf(gradient)
}

/// Distance in x, relative to 1 + its size, that counts as rounding, and the part of a slope that may be left beside x.
const BESIDE: f64 = 1e-6;
const FLATTER: f64 = 1e-2;

/// Larger followers are not looked at for flatness.
const LARGEST_FLAT: usize = 100;

/// The follower's programme with its objective multiplied by a factor.
struct Scaled<'p, 'a> {
    program: &'p mut FollowerProgram<'a>,
    factor: f64,
}

impl Nlp for Scaled<'_, '_> {
    fn frame(&self) -> &nlp::Frame {
        self.program.frame()
    }

    fn objective(&mut self, z: &[f64]) -> f64 {
        self.factor * self.program.objective(z)
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        self.program.gradient(z, out);
        vector::scale(self.factor, out);
    }

    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        self.program.constraints(z, out);
    }

    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        self.program.jacobian(z, out);
    }

    fn hessian(&mut self, z: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        self.program.hessian(z, self.factor * objective_weight, weights, out)
    }
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
