//! A pattern search for few variables: values only, jumps allowed.
//!
//! Around the best points of a sample of X it tries steps along a random orthonormal basis, doubles the step after a
//! success and halves it after a failure (mesh adaptive direct search without its bookkeeping). On functions with jumps it
//! comes as close to a jump as the last step. It rests on sampling, and proves nothing.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::izom::normal;
use super::oracle::{Ending, Oracle, Sample, distance};
use crate::set::{ConvexSet, Set};

/// Settings of [`direct`].
#[derive(Clone, Debug, PartialEq)]
pub struct DirectSettings {
    /// Points from which it searches, at most.
    pub starts: usize,
    /// The last step, relative to 1 + ‖x‖.
    pub last_step: f64,
    /// Seed of the bases.
    pub seed: u64,
}

/// The first step of a search, relative to the spread of the sample.
const FIRST: f64 = 0.25;

/// Searches from the best of `sample`, which should cover X; the best point is the oracle's.
pub fn direct(oracle: &mut Oracle<'_>, set: &Set, sample: &[Vec<f64>], settings: &DirectSettings) -> Ending {
    match run(oracle, set, sample, settings) {
        Ok(ending) | Err(ending) => ending,
    }
}

fn run(oracle: &mut Oracle<'_>, set: &Set, sample: &[Vec<f64>], settings: &DirectSettings) -> Result<Ending, Ending> {
    let mut points = Vec::new();
    for z in sample {
        let mut x = z.clone();
        set.project(z, &mut x);
        points.push(oracle.evaluate(&x)?);
    }
    points.retain(|p| p.value.is_finite());
    points.sort_by(|a, b| a.value.total_cmp(&b.value));
    let Some(first) = points.first() else {
        return Ok(oracle.failure().cloned().map_or(Ending::Stalled, Ending::Failed));
    };
    let spread = points.iter().map(|p| distance(&p.x, &first.x)).fold(0.0, f64::max).max(1e-3);
    let near = FIRST * spread / (points.len() as f64).powf(1.0 / first.x.len().max(1) as f64);
    let mut taken: Vec<Sample> = Vec::new();
    for point in points {
        if taken.len() < settings.starts && taken.iter().all(|t| distance(&t.x, &point.x) > near) {
            taken.push(point);
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    for start in taken {
        search(oracle, set, start, near.max(1e-3 * spread), settings, &mut rng)?;
    }
    Ok(Ending::Stalled)
}

fn search(
    oracle: &mut Oracle<'_>,
    set: &Set,
    start: Sample,
    first: f64,
    settings: &DirectSettings,
    rng: &mut ChaCha8Rng,
) -> Result<(), Ending> {
    let mut at = start;
    let mut step = first;
    let last = settings.last_step * (1.0 + at.x.iter().map(|v| v * v).sum::<f64>().sqrt());
    while step > last {
        let mut moved = None;
        'poll: for direction in basis(at.x.len(), rng) {
            for sign in [1.0, -1.0] {
                let free: Vec<f64> = at.x.iter().zip(&direction).map(|(x, d)| x + sign * step * d).collect();
                let mut z = free.clone();
                set.project(&free, &mut z);
                if z == at.x {
                    continue;
                }
                let trial = oracle.evaluate(&z)?;
                if trial.value < at.value - oracle.noise(at.value) {
                    moved = Some(trial);
                    break 'poll;
                }
            }
        }
        match moved {
            Some(next) => {
                at = next;
                step = (2.0 * step).min(first);
            }
            None => step *= 0.5,
        }
    }
    Ok(())
}

/// A random orthonormal basis; the coordinate axes every other time.
fn basis(n: usize, rng: &mut ChaCha8Rng) -> Vec<Vec<f64>> {
    let axis = |j: usize| (0..n).map(|i| f64::from(u8::from(i == j))).collect::<Vec<f64>>();
    if n == 1 || rng.random() {
        return (0..n).map(axis).collect();
    }
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(n);
    for j in 0..n {
        let mut v: Vec<f64> = (0..n).map(|_| normal(rng)).collect();
        for other in &rows {
            let part: f64 = v.iter().zip(other).map(|(a, b)| a * b).sum();
            v.iter_mut().zip(other).for_each(|(a, b)| *a -= part * b);
        }
        let length = v.iter().map(|a| a * a).sum::<f64>().sqrt();
        rows.push(if length > 1e-6 { v.iter().map(|a| a / length).collect() } else { axis(j) });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Silent;
    use crate::set::Bounds;
    use crate::upper::hyper::testing::Closed;

    /// Falls towards a jump: the infimum -3/4 at x = -1/4 is not attained.
    #[test]
    fn comes_close_to_an_infimum_at_a_jump() {
        let phi = Closed(1, |x: &[f64]| (if x[0] < -0.25 { -x[0] - 1.0 } else { 1.0 - x[0] }, None));
        let set: Set = Bounds::new(-0.5, 0.5).unwrap().into();
        let sample: Vec<Vec<f64>> = (0..=20).map(|k| vec![-0.5 + 0.05 * f64::from(k)]).collect();
        let mut oracle = Oracle::new(&phi, 1e-12, 2000, &Silent);
        direct(&mut oracle, &set, &sample, &DirectSettings { starts: 3, last_step: 1e-9, seed: 0 });
        let best = oracle.best().unwrap();
        assert!(best.x[0] < -0.25 && best.value < -0.75 + 1e-7, "{best:?}");
    }
}
