//! Gradient sampling (Burke, Lewis & Overton, *A robust gradient sampling algorithm for nonsmooth, nonconvex optimization*,
//! SIAM J. Optim. 15 (2005)): a baseline.
//!
//! The direction is minus the nearest point to 0 in the hull of the subgradients at x and at n + 1 points of B(x, radius)
//! in X; the radius falls by ten where that point is short. It stops with a *Goldstein* point: the hull over a ball, which
//! is weaker than any single subgradient in it.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::columns::nearest_in_hull;
use super::izom::random_direction;
use super::oracle::{Ending, Oracle, Sample};
use super::projected_norm;
use crate::set::{ConvexSet, Set};

/// Settings of [`gradient_sampling`].
#[derive(Clone, Debug, PartialEq)]
pub struct GradientSamplingSettings {
    /// Ends when the hull's nearest point to 0 is at most this at the last radius.
    pub tolerance: f64,
    /// The first radius, relative to 1 + ‖x‖.
    pub radius: f64,
    /// The last radius.
    pub last_radius: f64,
    /// Seed of the sampled points.
    pub seed: u64,
}

const SUFFICIENT: f64 = 1e-4;
const HALVINGS: usize = 40;

/// Minimises phi over X from `start`; the best point is the oracle's.
pub fn gradient_sampling(
    oracle: &mut Oracle<'_>,
    set: &Set,
    start: &[f64],
    settings: &GradientSamplingSettings,
) -> Ending {
    match run(oracle, set, start, settings) {
        Ok(ending) | Err(ending) => ending,
    }
}

fn run(
    oracle: &mut Oracle<'_>,
    set: &Set,
    start: &[f64],
    settings: &GradientSamplingSettings,
) -> Result<Ending, Ending> {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut x = start.to_vec();
    set.project(start, &mut x);
    let (mut at, mut s) = oracle.start(&x)?;
    let size = 1.0 + x.iter().map(|v| v * v).sum::<f64>().sqrt();
    let mut radius = settings.radius * size;
    loop {
        let mut generators = vec![s.clone()];
        for _ in 0..=x.len() {
            let near = in_ball(&at.x, radius, set, &mut rng);
            generators.extend(oracle.evaluate(&near)?.subgradient);
        }
        let Some((nearest, _)) = nearest_in_hull(&generators) else { return Ok(Ending::Stalled) };
        let norm = projected_norm(set, &at.x, &nearest);
        let target = settings.tolerance.max(radius / size);
        let moved = if norm > target { line_search(oracle, set, &at, &nearest)? } else { None };
        match moved {
            Some(next) => {
                s = next.subgradient.clone().unwrap_or_default();
                at = next;
            }
            None if radius <= settings.last_radius * size => {
                return Ok(if norm <= settings.tolerance { Ending::Stationary } else { Ending::Stalled });
            }
            None => radius = (0.1 * radius).max(settings.last_radius * size),
        }
    }
}

fn line_search(oracle: &mut Oracle<'_>, set: &Set, at: &Sample, g: &[f64]) -> Result<Option<Sample>, Ending> {
    let noise = oracle.noise(at.value);
    let mut t = 1.0;
    for _ in 0..HALVINGS {
        let free: Vec<f64> = at.x.iter().zip(g).map(|(x, g)| x - t * g).collect();
        let mut z = free.clone();
        set.project(&free, &mut z);
        let promised: f64 = at.x.iter().zip(&z).zip(g).map(|((x, z), g)| g * (x - z)).sum();
        if promised <= 0.5 * noise {
            return Ok(None);
        }
        let trial = oracle.evaluate(&z)?;
        if trial.value <= at.value - SUFFICIENT * promised && trial.subgradient.is_some() {
            return Ok(Some(trial));
        }
        t *= 0.5;
    }
    Ok(None)
}

/// A point of B(x, radius), uniform before its projection onto X.
fn in_ball(x: &[f64], radius: f64, set: &Set, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let direction = random_direction(x.len(), rng);
    let length = radius * rng.random::<f64>().powf(1.0 / x.len().max(1) as f64);
    let free: Vec<f64> = x.iter().zip(&direction).map(|(x, u)| x + length * u).collect();
    let mut z = free.clone();
    set.project(&free, &mut z);
    z
}
