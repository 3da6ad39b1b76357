//! Gradient consistency of a smooth model of v, followed along sequences [Alcantara & Takeda 2025, Def. 2.6].
//!
//! The model is consistent at x̄ if every limit of its gradients at x_k -> x̄ for mu_k -> 0 lies in the subdifferential
//! of v there. [`follow`] computes gradients at x_k = x̄ + c mu_k d for several d and c, where kinks and their smoothing
//! are of one size, and their distance to the generators. A sequence that stays away shows that the model is not
//! consistent; sequences that come close are evidence, not a proof: [`hypotheses`] says what the theorems still need.

pub mod hypotheses;
#[cfg(test)]
mod tests;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::ValueModel;
use super::exact::Subdifferential;

/// Gradients along one sequence.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequence {
    /// d, of largest entry 1; zero for the constant sequence x_k = x̄.
    pub direction: Vec<f64>,
    /// c in x_k = x̄ + c mu_k d.
    pub rate: f64,
    /// (mu_k, distance of the gradient at x_k to the subdifferential at x̄), as far as the model gave gradients.
    pub distances: Vec<(f64, f64)>,
}

/// What the sequences show.
#[derive(Clone, Debug, PartialEq)]
pub struct Consistency {
    /// All sequences.
    pub sequences: Vec<Sequence>,
    /// The largest distance at the last level of a sequence.
    pub limit: f64,
    /// The distance up to which a sequence counts as arrived.
    pub tolerance: f64,
    /// Evaluations at which the model gave no value.
    pub refusals: usize,
}

impl Consistency {
    /// Whether all sequences came close; false if none has a gradient at the last level.
    pub fn passed(&self) -> bool {
        self.limit <= self.tolerance && self.sequences.iter().any(|sequence| sequence.distances.len() == LEVELS.len())
    }

    /// The sequence that stays farthest away.
    pub fn worst(&self) -> Option<&Sequence> {
        let last = |sequence: &&Sequence| sequence.distances.last().map_or(0.0, |step| step.1);
        self.sequences.iter().max_by(|a, b| last(a).total_cmp(&last(b)))
    }
}

/// mu_k.
const LEVELS: [f64; 5] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5];
/// c: at the kink, within the smoothing and at its rim.
const RATES: [f64; 4] = [0.2, 0.5, 1.0, 4.0];
/// Coordinate directions, at most, and random ones.
const COORDINATES: usize = 8;
const RANDOM: usize = 4;
/// The distance that counts as arrived, relative to 1 + the size of the generators.
const ARRIVED: f64 = 2e-3;

/// Follows the gradients of `model` to x̄, where `subdifferential` was computed. `seed` fixes the random directions.
pub fn follow(model: &mut dyn ValueModel, x: &[f64], subdifferential: &Subdifferential, seed: u64) -> Consistency {
    let y = subdifferential.minimisers.first().cloned().unwrap_or_default();
    let mut sequences = vec![Sequence { direction: vec![0.0; x.len()], rate: 0.0, distances: Vec::new() }];
    for direction in directions(x.len(), seed) {
        for rate in RATES {
            sequences.push(Sequence { direction: direction.clone(), rate, distances: Vec::new() });
        }
    }
    let mut refusals = 0;
    for mu in LEVELS {
        model.begin_stage(mu, &y);
        for sequence in &mut sequences {
            let point: Vec<f64> = x.iter().zip(&sequence.direction).map(|(x, d)| x + sequence.rate * mu * d).collect();
            match model.evaluate(&point) {
                Ok(found) => sequence.distances.push((mu, subdifferential.distance(&found.gradient))),
                Err(_) => refusals += 1,
            }
        }
    }
    let size = subdifferential.generators.iter().flat_map(|g| &g.gradient).fold(1.0, |most: f64, g| most.max(g.abs()));
    let last = |sequence: &Sequence| sequence.distances.last().map_or(0.0, |step| step.1);
    let limit = sequences.iter().map(last).fold(0.0, f64::max);
    Consistency { sequences, limit, tolerance: ARRIVED * size, refusals }
}

fn directions(n: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut directions: Vec<Vec<f64>> = Vec::new();
    for i in 0..n.min(COORDINATES) {
        for sign in [1.0, -1.0] {
            directions.push((0..n).map(|j| if i == j { sign } else { 0.0 }).collect());
        }
    }
    if n > 1 {
        directions.extend((0..RANDOM).map(|_| (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()));
    }
    directions
}
