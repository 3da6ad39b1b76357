//! Many local runs, in rounds of fixed size so that the result does not depend on the number of threads.
//!
//! The first start is the user's. One in four of the others is a random point of X, three in four are hops: one of the
//! best points so far with one or a few of its coordinates moved far, mostly towards 0 and beyond. On an objective with many wells of
//! similar shape, hops find better wells far sooner than fresh starts do. With w different wells after k runs,
//! w (k - 1)/(k - w - 2) of them are expected in all (Boender & Rinnooy Kan, *Bayesian stopping rules for multistart global
//! optimization methods*, Math. Program. 37 (1987)): once that rounds to w, the starts end. A run starts with the curvature that the last
//! round learnt, and explores to a coarse tolerance; only the best points are then refined.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::izom::normal;
use super::oracle::{Ending, Oracle, Sample, distance};
use super::quasi_newton::Curvature;
use crate::evaluate::Workers;
use crate::expr::structure::Range;
use crate::hyper::HyperObjective;
use crate::observe::Observer;
use crate::set::{ConvexSet, Set};

/// Settings of [`multistart`].
#[derive(Clone, Debug, PartialEq)]
pub struct MultistartSettings {
    /// Largest number of starts, the user's included.
    pub starts: usize,
    /// The starts after which a run may end because more of them are not likely to find another well.
    pub least: usize,
    /// Evaluations of phi over all starts.
    pub limit: usize,
    /// Accuracy of values.
    pub accuracy: f64,
    /// Tolerance of the final runs.
    pub tolerance: f64,
    /// Seed of the starts.
    pub seed: u64,
}

/// A local method: oracle, start, tolerance, curvature.
pub type Local<'a> = dyn Fn(&mut Oracle<'_>, &[f64], f64, &mut Curvature) -> Ending + Sync + 'a;

/// A run of the local method.
#[derive(Clone, Debug)]
pub struct LocalRun {
    /// Why it stopped.
    pub ending: Ending,
    /// Its best point; `None` if phi had no value anywhere.
    pub best: Option<Sample>,
    /// The points it saw last.
    pub seen: Vec<Sample>,
    /// Evaluations.
    pub evaluations: usize,
    curvature: Curvature,
}

/// Start, tolerance, limit of evaluations, curvature, the follower's answer to begin with, and the seed of further hops.
type Task = (Vec<f64>, f64, usize, Curvature, Vec<f64>, Option<u64>);

/// What all runs found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The refined runs, best first.
    pub runs: Vec<LocalRun>,
    /// Evaluations over all runs.
    pub evaluations: usize,
    /// Endings of the starts, in order.
    pub endings: Vec<Ending>,
}

/// Starts of one round.
const ROUND: usize = 4;
/// Tolerance of exploring runs, in final tolerances, and at least this much.
const COARSE: f64 = 1e-2;
/// Wells kept, from which hops start, and points refined at the end.
const KEPT: usize = 6;
const REFINED: usize = 2;
/// A run that used at most this many evaluations goes on with hops of its own.
const CHEAP: usize = 12;
/// Evaluations of one exploring run, at most.
const EACH: usize = 200;
const EACH_VARIABLE: usize = 30;
/// A refining run may take this many times as many: without that, one that ends at a jump would use up all.
const FINE: usize = 4;
/// Ends of runs within this, relative to 1 + their size, are one well. Exploring runs are coarse.
const SAME: f64 = 1e-2;
/// Half-width of the box from which starts are drawn where X has no bounds, around the first start and around 0.
const RADIUS: f64 = 2.0;

/// Runs `local` from many starts and refines the best points.
pub fn multistart(
    phi: &dyn HyperObjective,
    set: &Set,
    bounds: &[Range],
    start: &[f64],
    settings: &MultistartSettings,
    (local, workers, observer): (&Local<'_>, &Workers, &dyn Observer),
) -> Found {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let run = |(x, tolerance, limit, mut curvature, y, hops): Task| {
        let mut oracle = Oracle::new(phi, settings.accuracy, limit, observer);
        oracle.warm_from(&y);
        let ending = local(&mut oracle, &x, tolerance, &mut curvature);
        let mut rng = ChaCha8Rng::seed_from_u64(hops.unwrap_or_default());
        // Cheap runs go on with hops of their own: a chain of wells, each lower than the last.
        while hops.is_some() && oracle.used() <= CHEAP && ending == Ending::Stationary {
            let Some(next) = oracle.best().map(|best| hop(set, bounds, &best.x, &mut rng)) else { break };
            let before = oracle.used();
            local(&mut oracle, &next, tolerance, &mut curvature);
            if oracle.used() == before {
                break;
            }
        }
        let (best, seen) = (oracle.best().cloned(), oracle.seen().cloned().collect());
        LocalRun { ending, best, seen, evaluations: oracle.used(), curvature }
    };
    let single = settings.starts <= 1;
    let coarse = if single { settings.tolerance } else { settings.tolerance.max(COARSE) };
    let mut found = Found { runs: Vec::new(), evaluations: 0, endings: Vec::new() };
    let mut curvature = Curvature::default();
    let (mut begun, mut wells) = (0, Vec::new());
    while begun < settings.starts.max(1) && found.evaluations < settings.limit && !observer.interrupted() {
        if begun >= settings.least && all_seen(wells.len(), begun) {
            break;
        }
        let count = if begun == 0 { 1 } else { ROUND.min(settings.starts - begun) };
        let left = settings.limit - found.evaluations;
        let remaining = settings.starts.max(1) - begun;
        let share = (left / count).min((4 * left / remaining).max(20)).max(1);
        let share = if single { share } else { share.min(EACH + EACH_VARIABLE * start.len()) };
        let bests: Vec<Vec<f64>> = found.runs.iter().filter_map(|r| r.best.as_ref()).map(|b| b.x.clone()).collect();
        let next = |k: usize, rng: &mut ChaCha8Rng| match begun + k {
            0 => start.to_vec(),
            k if k % 4 != 3 && !bests.is_empty() => hop(set, bounds, &bests[rng.random_range(0..bests.len())], rng),
            _ => anywhere(set, bounds, start, rng),
        };
        let points: Vec<Vec<f64>> = (0..count).map(|k| next(k, &mut rng)).collect();
        let seed = |k: usize| (!single).then(|| settings.seed.wrapping_add((begun + k) as u64));
        let task = |(k, x)| (x, coarse, share, curvature.clone(), Vec::new(), seed(k));
        let items = points.into_iter().enumerate().map(task).collect();
        let runs = workers.in_order(items, run);
        begun += count;
        for run in runs {
            found.evaluations += run.evaluations;
            found.endings.push(run.ending.clone());
            if run.ending == Ending::Unbounded {
                found.runs.insert(0, run);
                return found;
            }
            if matches!(run.ending, Ending::Stationary | Ending::Stalled) {
                curvature = run.curvature.clone();
            }
            count_well(&mut wells, &run);
            keep(&mut found.runs, run);
        }
    }
    if !single && coarse > settings.tolerance {
        refine(&mut found, settings, &run);
    }
    found
}

/// Whether no more wells than those seen are expected.
fn all_seen(wells: usize, runs: usize) -> bool {
    let (w, k) = (wells as f64, runs as f64);
    wells > 0 && k > w + 2.0 && w * (k - 1.0) / (k - w - 2.0) < w + 0.5
}

/// Adds the end of a run that converged, if no other was near it.
fn count_well(wells: &mut Vec<Vec<f64>>, run: &LocalRun) {
    let settled = matches!(run.ending, Ending::Stationary | Ending::Stalled);
    let Some(best) = run.best.as_ref().filter(|_| settled) else { return };
    if !wells.iter().any(|x| is_near(x, &best.x)) {
        wells.push(best.x.clone());
    }
}

fn is_near(a: &[f64], b: &[f64]) -> bool {
    distance(a, b) <= SAME * (1.0 + a.iter().fold(0.0, |m: f64, v| m.max(v.abs())))
}

/// Runs from the best points to the final tolerance.
fn refine(found: &mut Found, settings: &MultistartSettings, run: &dyn Fn(Task) -> LocalRun) {
    let mut explored = std::mem::take(&mut found.runs);
    explored.truncate(REFINED);
    for coarse in explored {
        let left = settings.limit.saturating_sub(found.evaluations);
        let n = coarse.best.as_ref().map_or(0, |best| best.x.len());
        let left = left.min(FINE * (EACH + EACH_VARIABLE * n));
        let Some(best) = coarse.best.clone().filter(|_| left > 0) else {
            found.runs.push(coarse);
            continue;
        };
        let mut fine = run((best.x.clone(), settings.tolerance, left, coarse.curvature.clone(), best.y.clone(), None));
        found.evaluations += fine.evaluations;
        if fine.best.as_ref().is_none_or(|b| b.value > best.value) {
            fine.best = Some(best);
        }
        fine.seen.splice(0..0, coarse.seen);
        keep(&mut found.runs, fine);
    }
}

/// Keeps the best few runs, ordered by value, ends of the same well once.
fn keep(runs: &mut Vec<LocalRun>, run: LocalRun) {
    let value = |r: &LocalRun| r.best.as_ref().map_or(f64::INFINITY, |b| b.value);
    let same = |a: &LocalRun, b: &LocalRun| match (&a.best, &b.best) {
        (Some(p), Some(q)) => is_near(&p.x, &q.x),
        (None, None) => true,
        _ => false,
    };
    if let Some(twin) = runs.iter().position(|other| same(other, &run)) {
        if value(&run) < value(&runs[twin]) {
            runs[twin] = run;
        }
    } else {
        runs.push(run);
    }
    runs.sort_by(|a, b| value(a).total_cmp(&value(b)));
    runs.truncate(KEPT);
}

/// A point with one coordinate moved far, or two or three of them.
fn hop(set: &Set, bounds: &[Range], best: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let n = best.len();
    let size = (best.iter().map(|v| v * v).sum::<f64>() / n.max(1) as f64).sqrt().max(0.1);
    let mut free = best.to_vec();
    let more = if rng.random() { 0 } else { 1 + rng.random_range(0..2usize) };
    for _ in 0..=more.min(n.saturating_sub(1)) {
        let Some(j) = (n > 0).then(|| rng.random_range(0..n)) else { break };
        let width = bounds.get(j).filter(|r| r.is_finite()).map_or(f64::INFINITY, |r| 0.5 * (r.upper() - r.lower()));
        let length = (2.0 * size * (0.5 + normal(rng).abs())).min(width);
        let sign = if rng.random::<f64>() < 0.75 { -free[j].signum() } else { free[j].signum() };
        free[j] += sign * length;
    }
    let mut x = free.clone();
    set.project(&free, &mut x);
    x
}

/// A random point of X: uniform where X can be sampled, else the projection of a point of a box.
fn anywhere(set: &Set, bounds: &[Range], start: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let mut x = start.to_vec();
    if set.sample(rng, &mut x) {
        return x;
    }
    let around_start: bool = rng.random();
    let free: Vec<f64> = start
        .iter()
        .enumerate()
        .map(|(j, &c)| {
            let radius = RADIUS.max(c.abs());
            let middle = if around_start { c } else { 0.0 };
            let (low, high) = bounds.get(j).map_or((middle - radius, middle + radius), |range| {
                let middle = middle.clamp(range.lower(), range.upper());
                (range.lower().max(middle - radius), range.upper().min(middle + radius))
            });
            if low < high { rng.random_range(low..=high) } else { low }
        })
        .collect();
    set.project(&free, &mut x);
    x
}
