//! IZOM, the inexact zeroth-order method [Chen, Li & So 2025, Algorithm 1]: it needs values of phi only.
//!
//! ```text
//! G = n/(2 delta) (phi(x + delta u) - phi(x - delta u)) u,    x <- P_X(x - eta G)
//! eta = c/√(nT),  delta = c'/√T,  values to accuracy w = (nT)^(-3/4)                    (Theorem 2)
//! ```
//!
//! The *literal* form draws u from the unit ball as printed, takes these steps, and returns an iterate drawn at random.
//! The *practical* form draws u from the sphere (only there is G unbiased for the gradient of the ball-averaged phi: Lin,
//! Zheng & Jordan 2022, Lemma D.1; on the ball it is short by n/(n+2) for a linear phi), takes steps
//! `c G / √(Σ‖G‖²/n)` that need no constant of phi, averages q directions, and leaves the best point seen with the oracle.
//! With X the points x ± delta u are projected onto X too: what is minimised is phi composed with the projection.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::oracle::{Ending, Oracle};
use crate::evaluate::Workers;
use crate::hyper::{HyperFailure, HyperObjective, HyperPoint};
use crate::set::{ConvexSet, Set};

/// Settings of [`izom`].
#[derive(Clone, Debug, PartialEq)]
pub struct IzomSettings {
    /// Algorithm 1 as printed.
    pub literal: bool,
    /// T, the number of iterations.
    pub iterations: usize,
    /// q, the directions of one iteration (the literal form takes one).
    pub directions: usize,
    /// c, the factor of the steps.
    pub step: f64,
    /// c', the factor of the radius delta.
    pub radius: f64,
    /// Seed of the directions.
    pub seed: u64,
}

impl IzomSettings {
    /// One direction an iteration, c = 0.3 and c' = 1: what did well on functions of very different shapes.
    pub fn new(literal: bool, iterations: usize, seed: u64) -> Self {
        Self { literal, iterations, directions: 1, step: 0.3, radius: 1.0, seed }
    }

    /// w = (nT)^(-3/4), the accuracy of values that Theorem 2 asks for.
    pub fn accuracy(&self, n: usize) -> f64 {
        (n.max(1) as f64 * self.iterations.max(1) as f64).powf(-0.75)
    }

    /// delta.
    pub fn delta(&self) -> f64 {
        self.radius / (self.iterations.max(1) as f64).sqrt()
    }
}

/// What a run of IZOM leaves besides the oracle's best point.
#[derive(Clone, Debug, PartialEq)]
pub struct IzomTrace {
    /// Why it stopped.
    pub ending: Ending,
    /// The last iterate.
    pub last: Vec<f64>,
    /// The output of Algorithm 1: x_R with R uniform on 0..T-1.
    pub random: Vec<f64>,
}

/// Iterations in a row without a finite difference that end the run.
const BLIND: usize = 50;

/// Runs IZOM on phi over X from `start`; `watch` sees every iterate x_0, ..., x_{T-1}. Directions are evaluated as a batch by
/// `workers`; the result does not depend on their number.
pub fn izom(
    oracle: &mut Oracle<'_>,
    set: &Set,
    start: &[f64],
    settings: &IzomSettings,
    workers: &Workers,
    watch: &mut dyn FnMut(&[f64]),
) -> IzomTrace {
    let n = start.len();
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut x = start.to_vec();
    set.project(start, &mut x);
    let chosen = rng.random_range(0..settings.iterations.max(1));
    let mut trace = IzomTrace { ending: Ending::Budget, last: x.clone(), random: x.clone() };
    // Values wrong by w make an error n w/delta in G; a practical delta keeps it below what delta itself changes in phi.
    let least = if settings.literal { 0.0 } else { (n as f64 * oracle.accuracy()).sqrt() };
    let (delta, mut squares, mut blind) = (settings.delta().max(least), 0.0, 0);
    let mut warm: Vec<f64> = Vec::new();
    for iteration in 0..settings.iterations {
        watch(&x);
        trace.last.clone_from(&x);
        if iteration <= chosen {
            trace.random.clone_from(&x);
        }
        if oracle.interrupted() {
            trace.ending = Ending::Interrupted;
            return trace;
        }
        let count = if settings.literal { 1 } else { settings.directions.max(1).min(oracle.left() / 2) };
        if oracle.left() < 2 || count == 0 {
            return trace;
        }
        let draw =
            |rng: &mut ChaCha8Rng| if settings.literal { in_unit_ball(n, rng) } else { random_direction(n, rng) };
        let directions: Vec<Vec<f64>> = (0..count).map(|_| draw(&mut rng)).collect();
        let gradient = match estimate(oracle, set, (&x, delta), directions, workers, &mut warm) {
            Ok(gradient) => gradient,
            Err(ending) => {
                trace.ending = ending;
                return trace;
            }
        };
        blind = if gradient.is_some() { 0 } else { blind + 1 };
        if blind > BLIND {
            let reason = oracle.failure().cloned();
            trace.ending = reason.map_or(Ending::Stalled, Ending::Failed);
            return trace;
        }
        let Some(gradient) = gradient else { continue };
        squares += gradient.iter().map(|g| g * g).sum::<f64>();
        let eta = match (settings.literal, squares > 0.0) {
            (true, _) => settings.step / (n as f64 * settings.iterations as f64).sqrt(),
            (false, true) => settings.step / (squares / n as f64).sqrt(),
            (false, false) => 0.0,
        };
        let free: Vec<f64> = x.iter().zip(&gradient).map(|(x, g)| x - eta * g).collect();
        set.project(&free, &mut x);
    }
    trace
}

/// The two values of one direction, with the points where they were taken.
type Pair = [(Vec<f64>, Result<HyperPoint, HyperFailure>); 2];

/// The mean of G over the directions with finite values; `None` if there is none.
fn estimate(
    oracle: &mut Oracle<'_>,
    set: &Set,
    (x, delta): (&[f64], f64),
    directions: Vec<Vec<f64>>,
    workers: &Workers,
    warm: &mut Vec<f64>,
) -> Result<Option<Vec<f64>>, Ending> {
    let (phi, accuracy) = (oracle.phi(), oracle.accuracy());
    let known = warm.clone();
    let work = |u: Vec<f64>| {
        let pair = both_sides(phi, accuracy, set, (x, delta), &u, &known);
        (u, pair)
    };
    let results = workers.in_order(directions, work);
    let n = x.len();
    let (mut sum, mut used) = (vec![0.0; n], 0);
    for (u, [(plus, high), (minus, low)]) in results {
        oracle.count(2);
        let high = oracle.record(&plus, high)?;
        let low = oracle.record(&minus, low)?;
        let difference = high.value - low.value;
        if difference.is_finite() {
            let factor = n as f64 / (2.0 * delta) * difference;
            sum.iter_mut().zip(&u).for_each(|(s, u)| *s += factor * u);
            used += 1;
            *warm = high.y;
        }
    }
    sum.iter_mut().for_each(|s| *s /= used as f64);
    Ok((used > 0).then_some(sum))
}

/// phi at the projections of x + delta u and x - delta u, the second from the follower's answer at the first.
fn both_sides(
    phi: &dyn HyperObjective,
    accuracy: f64,
    set: &Set,
    (x, delta): (&[f64], f64),
    u: &[f64],
    warm: &[f64],
) -> Pair {
    let at = |sign: f64| {
        let free: Vec<f64> = x.iter().zip(u).map(|(x, u)| x + sign * delta * u).collect();
        let mut z = free.clone();
        set.project(&free, &mut z);
        z
    };
    let (plus, minus) = (at(1.0), at(-1.0));
    let high = phi.evaluate(&plus, accuracy, Some(warm).filter(|y| !y.is_empty()));
    let near = high.as_ref().map_or(warm, |point| point.y.as_slice());
    let low = phi.evaluate(&minus, accuracy, Some(near).filter(|y| !y.is_empty()));
    [(plus, high), (minus, low)]
}

/// A uniform point of the unit sphere: normal entries, scaled to length one.
pub fn random_direction(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    loop {
        let mut u: Vec<f64> = (0..n).map(|_| normal(rng)).collect();
        let length = u.iter().map(|v| v * v).sum::<f64>().sqrt();
        if length > 1e-8 || n == 0 {
            u.iter_mut().for_each(|v| *v /= length);
            return u;
        }
    }
}

/// A uniform point of the unit ball.
fn in_unit_ball(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let length = rng.random::<f64>().powf(1.0 / n.max(1) as f64);
    random_direction(n, rng).into_iter().map(|u| length * u).collect()
}

/// A standard normal number (Box & Muller).
pub(crate) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (a, b): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}
