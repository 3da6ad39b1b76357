//! After a stop: a subgradient 0 at a concave kink says "stationary", yet phi decreases on both sides. Points close by, on
//! opposite sides, see that.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::izom::random_direction;
use super::oracle::{Ending, Oracle, Sample};
use crate::set::{ConvexSet, Set};

/// Looks at `pairs` opposite pairs of points of B(x, radius) in X. The best one, if phi is lower there by more than `slope`
/// times its distance and twice the noise: a method that ended at x goes on from it.
///
/// At a kink where phi is the minimum of smooth pieces, one of them with gradient 0, almost every direction or its
/// opposite shows the decrease, so that one pair is enough there.
///
/// # Errors
/// The oracle's endings.
pub fn leave_kink(
    oracle: &mut Oracle<'_>,
    set: &Set,
    at: &Sample,
    (radius, slope): (f64, f64),
    (pairs, seed): (usize, u64),
) -> Result<Option<Sample>, Ending> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let noise = 2.0 * oracle.noise(at.value);
    let mut best: Option<Sample> = None;
    for _ in 0..pairs {
        let direction = random_direction(at.x.len(), &mut rng);
        for sign in [1.0, -1.0] {
            let free: Vec<f64> = at.x.iter().zip(&direction).map(|(x, u)| x + sign * radius * u).collect();
            let mut z = free.clone();
            set.project(&free, &mut z);
            if z == at.x {
                continue;
            }
            let trial = oracle.evaluate(&z)?;
            let lower = trial.value < at.value - noise - slope * super::oracle::distance(&z, &at.x);
            if lower && best.as_ref().is_none_or(|b| trial.value < b.value) {
                best = Some(trial);
            }
        }
    }
    Ok(best)
}
