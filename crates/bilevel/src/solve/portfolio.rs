//! The starts: the user's point with the homotopy in mu, then direct starts at small mu from the same and from the most
//! promising of many screened points. Diversity comes from different initial levels as much as from different points.
//!
//! Before them, pieces of a linear or convex-quadratic follower are searched ([`super::pieces`]): where that comes to an
//! end, one start is enough. After them, a second round starts from more points and with other models of v where the
//! first one leaves doubt ([`doubtful`]).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::presolve::Presolved;
use super::{Analysis, Options, models, overlook, region};
use crate::certificate::violation;
use crate::expr::structure::Range;
use crate::lower::{LowerSolver, LowerStatus, Meter, Pool, PoolSettings, Regulariser};
use crate::observe::Observer;
use crate::problem::{At, Failures, FunctionEvaluator, Problem};
use crate::set::ConvexSet;
use crate::smooth::{Chks, Smoothing};
use crate::solution::Solution;
use crate::upper::{Candidate, PolishSettings, Purpose, Run, Schedule, SmoothedValue};
use crate::value::{BarrierValue, ValueKind};

/// Where a run starts, and with which levels.
#[derive(Clone, Debug)]
pub struct Start {
    /// The leader's variables.
    pub x: Vec<f64>,
    /// The follower's variables.
    pub y: Vec<f64>,
    /// The levels of mu and epsilon.
    pub schedule: Schedule,
    /// The model of the value function.
    pub value_model: ValueKind,
    /// The seed of the run's own random numbers.
    pub seed: u64,
    /// Whether y is an answer of the follower at x.
    pub screened: bool,
}

/// Variables of both levels beyond which further starts go to the finishing step at once, where answers are exact.
const FINISH_ALONE: usize = 20;
/// Half-widths of the sampling boxes where a variable is unbounded: around the first start, and around the point of X
/// nearest to 0.
const RADIUS: f64 = 5.0;
const NEAR_ZERO: f64 = 3.0;
/// Points screened for each start that is taken from them.
const SCREENED: usize = 8;
/// Corners of X among the points screened, at most.
const CORNERS: usize = 4;

/// Which starts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// The user's point twice (homotopy, direct), then screened points: so many in all.
    First(usize),
    /// As many from other points, with other models and levels.
    Second(usize),
}

/// The starts of a round, in order. Screened points are corners of X and sampled points, each with an answer of the
/// follower; the most promising are taken.
pub fn starts(
    problem: &Problem,
    analysis: &Analysis,
    options: &Options,
    round: Round,
    meter: &Meter,
    failures: &Failures,
) -> Vec<Start> {
    let first = first_point(problem, analysis);
    let (skipped, mut points, count, seed) = match round {
        Round::First(count) => (0, vec![first.clone(), first.clone()], count, options.seed),
        Round::Second(count) => (options.starts.max(1), Vec::new(), count, options.seed.wrapping_add(SECOND)),
    };
    if count > points.len() {
        let bounds = region::implied(&analysis.levels, analysis.bounds.leader());
        let allowed = region::Allowed::new(&analysis.levels, &bounds);
        let screen = Screen { problem, analysis, bounds, allowed, seed, meter, failures };
        points.extend(screen.best(&first, count - points.len()));
    }
    let start = |(k, (x, y)): (usize, (Vec<f64>, Vec<f64>))| {
        let value_model =
            options.value_model.unwrap_or_else(|| models::kind_of_start(analysis, k, options.starts.max(1)));
        let schedule = schedule(analysis, value_model, k, problem.n() + problem.m());
        let screened = k >= 2;
        Start { x, y, schedule, value_model, seed: options.seed.wrapping_add(k as u64), screened }
    };
    points.into_iter().take(count).enumerate().map(|(k, point)| start((skipped + k, point))).collect()
}

/// Offset of the seed of the second round.
const SECOND: u64 = 1 << 24;

/// The levels of the k-th start.
fn schedule(analysis: &Analysis, value_model: ValueKind, k: usize, variables: usize) -> Schedule {
    // Where the follower's answer is exact, stages only choose the basin: with more than a few variables once is enough.
    let exact = analysis.levels.follower.composite.is_some() && variables > FINISH_ALONE;
    match value_model {
        _ if exact && k > 0 => Schedule::none(),
        ValueKind::Entropic if k == 0 => Schedule::entropic(),
        ValueKind::Entropic => Schedule::entropic_direct(),
        ValueKind::Barrier => Schedule::barrier(BarrierValue::sides(&analysis.levels.follower)),
        _ if k == 0 => Schedule::homotopy(variables),
        // First order on phi: the basin of the follower's best answer at the start is followed at once.
        _ if !analysis.levels.convex && k > 2 && k % 2 == 1 => Schedule::none(),
        _ => Schedule::direct(variables),
    }
}

/// The user's point, or one in the middle of X and Y.
fn first_point(problem: &Problem, analysis: &Analysis) -> (Vec<f64>, Vec<f64>) {
    match problem.start() {
        Some((x, y)) => (x.to_vec(), y.to_vec()),
        None => {
            let bounds = &analysis.bounds;
            (central(problem.leader(), bounds.leader()), central(problem.follower(), bounds.follower()))
        }
    }
}

/// Variables of both levels up to which runs are cheap.
const SMALL: usize = 6;

/// Lower solves of a first round that is not dear.
const CHEAP: u64 = 3_000;

/// Whether a second round is worth its price, decided by what the first one found: no solution, or a solution that too
/// few of the runs lead to.
pub fn doubtful(presolved: &Presolved<'_>, analysis: &Analysis, solution: &Solution, runs: &[Run]) -> bool {
    let problem = presolved.problem.as_ref();
    if problem.n() == 0 || problem.n() + problem.m() > FINISH_ALONE {
        return false;
    }
    let (true, Some(upper)) = (solution.status.is_success(), solution.upper) else { return true };
    // F in the units of the methods.
    let upper = problem.leader().sense.apply(upper) / presolved.way.upper(1.0);
    let failures = Failures::default();
    let mut objective = FunctionEvaluator::new(&problem.leader().objective, problem.n(), problem.m(), &failures);
    let mut reaches = |candidate: &Candidate| {
        let value = objective.value(At { x: &candidate.x, y: &candidate.y, smoothing: Smoothing::EXACT });
        candidate.source != "smoothed" && (value - upper).abs() <= 1e-4 * (1.0 + upper.abs())
    };
    let agreeing = runs.iter().filter(|run| run.candidates.iter().any(&mut reaches)).count();
    // The first two start at the same point. Where runs are dear, fewer have to do.
    let easy = analysis.levels.convex || problem.n() == 1;
    let small = problem.n() + problem.m() <= SMALL;
    // Beyond a handful of variables agreement is all there is, since no look over the region can be afforded: all runs have
    // to agree, where they are not dear.
    let cheap = solution.work.lower_solves <= CHEAP;
    let large = problem.n() + problem.m() > overlook::VARIABLES && !easy && cheap;
    let enough = 2 + usize::from(small) + usize::from(!easy) + 3 * usize::from(large);
    agreeing < enough.min(runs.len())
}

/// The user's x, or the middle of X.
pub fn first_x(problem: &Problem, analysis: &Analysis) -> Vec<f64> {
    match problem.start() {
        Some((x, _)) => {
            let mut out = x.to_vec();
            problem.leader().set.project(x, &mut out);
            out
        }
        None => central(problem.leader(), analysis.bounds.leader()),
    }
}

/// About `count` points spread over X: evenly in one dimension, random points in more.
pub fn spread_over_x(problem: &Problem, analysis: &Analysis, first: &[f64], count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (set, bounds) = (&problem.leader().set, analysis.bounds.leader());
    let mut points = vec![first.to_vec()];
    if let ([range], [x]) = (bounds, first) {
        let radius = RADIUS.max(2.0 * x.abs());
        let (low, high) = (range.lower().max(x.min(0.0) - radius), range.upper().min(x.max(0.0) + radius));
        points.extend((0..=count).map(|k| vec![low + (high - low) * k as f64 / count as f64]));
        return points;
    }
    let zero = vec![0.0; first.len()];
    for k in 0..count {
        let (centre, radius) = if k % 2 == 0 { (first, RADIUS) } else { (zero.as_slice(), NEAR_ZERO) };
        points.push(sampled(set, bounds, centre, radius, &mut rng));
    }
    points
}

/// Looks at many x with an answer of the follower each: of a nonconvex one the best of a pool of local minimisers.
struct Screen<'a> {
    problem: &'a Problem,
    analysis: &'a Analysis,
    /// Where x can lie.
    bounds: Vec<Range>,
    /// Where rows of both levels let it lie.
    allowed: Option<region::Allowed>,
    seed: u64,
    meter: &'a Meter,
    failures: &'a Failures,
}

/// A screened point: how far it is from feasible, F, x, y.
type Screened = (f64, f64, Vec<f64>, Vec<f64>);

impl Screen<'_> {
    /// The `count` most promising points: feasible ones first, then by F, none close to one taken before.
    fn best(&self, first: &(Vec<f64>, Vec<f64>), count: usize) -> Vec<(Vec<f64>, Vec<f64>)> {
        let mut screened = self.screened(first, SCREENED * count);
        screened.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap_or(std::cmp::Ordering::Equal));
        let mut taken: Vec<Screened> = Vec::new();
        for separation in [0.2, 0.0] {
            for point in &screened {
                let apart = |other: &Screened| spread(&point.2, &other.2) > separation;
                if taken.len() < count && taken.iter().all(apart) {
                    taken.push(point.clone());
                }
            }
        }
        taken.into_iter().map(|(_, _, x, y)| (x, y)).collect()
    }

    fn screened(&self, first: &(Vec<f64>, Vec<f64>), count: usize) -> Vec<Screened> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let (problem, levels) = (self.problem, &self.analysis.levels);
        let (_, follower, smoothing) = levels.exact(&Chks);
        let smoothing = if smoothing.mu() > 0.0 { smoothing.at(SCREENING_MU) } else { smoothing };
        let mut solver = LowerSolver::new(follower, self.failures, self.meter);
        let mut pool = Pool::new(PoolSettings::default(), self.seed, &[follower.extend(&first.0, &first.1)]);
        let mut objective =
            FunctionEvaluator::new(&problem.leader().objective, problem.n(), problem.m(), self.failures);
        let mut points = Vec::new();
        for k in 0..count {
            if self.meter.is_empty() {
                break;
            }
            let x = self.point(k, &first.0, &mut rng);
            let x = self.allowed.as_ref().map_or_else(|| x.clone(), |allowed| allowed.nearest(&x));
            let y = sampled(&problem.follower().set, self.analysis.bounds.follower(), &first.1, RADIUS, &mut rng);
            for y in answers(levels.convex, &mut solver, &mut pool, (&x, &y), smoothing) {
                let y = y[..problem.m()].to_vec();
                let upper = objective.value(At { x: &x, y: &y, smoothing: Smoothing::EXACT });
                let violation = violation(problem, &x, &y, self.failures);
                if upper.is_finite() && violation.is_finite() {
                    points.push((violation.max(1e-6), upper, x.clone(), y));
                }
            }
        }
        points
    }

    /// The k-th point of X to look at.
    fn point(&self, k: usize, first: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
        let (set, bounds) = (&self.problem.leader().set, &self.bounds[..]);
        let boxed = !bounds.is_empty() && bounds.iter().all(|range| range.is_finite());
        if boxed && k < CORNERS {
            let corner: Vec<f64> = bounds
                .iter()
                .map(|range| match k {
                    0 => range.lower(),
                    1 => range.upper(),
                    _ if rng.random_range(0..2) == 0 => range.lower(),
                    _ => range.upper(),
                })
                .collect();
            let mut x = corner.clone();
            set.project(&corner, &mut x);
            x
        } else if k.is_multiple_of(2) {
            sampled(set, bounds, first, RADIUS, rng)
        } else {
            sampled(set, bounds, &vec![0.0; first.len()], NEAR_ZERO, rng)
        }
    }
}

/// The follower's answers at x that are as good as the best one found.
fn answers<'a>(
    convex: bool,
    solver: &mut LowerSolver<'a>,
    pool: &mut Pool,
    (x, y): (&[f64], &[f64]),
    smoothing: Smoothing<'a>,
) -> Vec<Vec<f64>> {
    if convex {
        let answer = solver.solve(x, y, smoothing, &Regulariser::default());
        return if answer.status == LowerStatus::Solved { vec![answer.y] } else { Vec::new() };
    }
    pool.suggest(&solver.follower().extend(x, y));
    let Ok(found) = pool.minimise(solver, x, smoothing) else { return Vec::new() };
    let Some(least) = found.first().map(|best| best.value) else { return Vec::new() };
    let near = least + 1e-6 * (1.0 + least.abs());
    found.into_iter().filter(|solution| solution.value <= near).map(|solution| solution.y).collect()
}

/// The smoothing of followers that have no exact smooth form, while screening.
const SCREENING_MU: f64 = 1e-4;

/// The largest difference of two points, relative to 1 + their size.
fn spread(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / (1.0 + a.abs().max(b.abs()))).fold(0.0, f64::max)
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
fn sampled(set: &impl ConvexSet, bounds: &[Range], centre: &[f64], radius: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut out = vec![0.0; centre.len()];
    if set.sample(rng, &mut out) {
        return out;
    }
    let point: Vec<f64> = bounds
        .iter()
        .zip(centre)
        .map(|(range, &c)| {
            let radius = radius.max(2.0 * c.abs());
            let c = c.clamp(range.lower(), range.upper());
            let (low, high) = (range.lower().max(c - radius), range.upper().min(c + radius));
            if low < high { rng.random_range(low..=high) } else { c }
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
        method: options.stages(problem.n() + problem.m()),
        family: options.smoothing,
        schedule: start.schedule.clone(),
        polish: PolishSettings::default(),
        failures: failures.clone(),
        meter: meter.clone(),
    };
    let seed = models::Seed { x: &start.x, y: &start.y, seed: start.seed };
    let models = |follower, purpose| {
        let kind = match purpose {
            Purpose::Search => start.value_model,
            // The polish asks for the least value itself.
            Purpose::Polish => models::default_kind(analysis),
        };
        models::value_model(kind, follower, analysis, options, seed, failures, &meter)
    };
    let mut run = method.run((&start.x, &start.y), &models, observer, number);
    if start.screened {
        let (x, y) = (start.x.clone(), start.y.clone());
        run.candidates.push(Candidate { x, y, residual: None, source: "answer" });
    }
    run
}
