//! The distinct local minimisers of a nonconvex follower, kept from one x to the next.
//!
//! Every evaluation starts a local solve at each minimiser known so far; the first one adds starts spread over Y, and
//! every few evaluations some more, so that a minimiser that appears as x moves is found. The least of them is an upper
//! bound on v(x), and an estimate of it: never a proof.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{LowerSolution, LowerSolver, LowerStatus, Regulariser};
use crate::smooth::Smoothing;

/// How hard to look for local minimisers (defaults from the measurements in `docs/how-to-choose.md`).
#[derive(Clone, Copy, Debug)]
pub struct PoolSettings {
    /// Starts sampled at the first evaluation.
    pub first_starts: usize,
    /// Starts added at every `period`-th evaluation.
    pub later_starts: usize,
    /// See `later_starts`.
    pub period: u64,
    /// Minimisers kept.
    pub capacity: usize,
    /// Half-width of the sampling box around the known points where Y is unbounded.
    pub radius: f64,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { first_starts: 8, later_starts: 3, period: 5, capacity: 6, radius: 5.0 }
    }
}

/// A pool of local minimisers.
pub struct Pool {
    settings: PoolSettings,
    rng: ChaCha8Rng,
    minimisers: Vec<Vec<f64>>,
    evaluations: u64,
    /// The shift of the spread starts in every bounded component, drawn once, and how many were taken.
    shift: Vec<Option<f64>>,
    spread: u64,
}

impl Pool {
    /// A pool that starts its first solves at `starts` and at sampled points.
    pub fn new(settings: PoolSettings, seed: u64, starts: &[Vec<f64>]) -> Self {
        let (rng, minimisers) = (ChaCha8Rng::seed_from_u64(seed), starts.to_vec());
        Self { settings, rng, minimisers, evaluations: 0, shift: Vec::new(), spread: 0 }
    }

    /// Adds a point from which the next evaluation starts a solve too.
    pub fn suggest(&mut self, y: &[f64]) {
        self.minimisers.push(y.to_vec());
    }

    /// The distinct local minimisers at `x`, best first; empty with the last solve's status if none was found.
    pub fn minimise<'a>(
        &mut self,
        solver: &mut LowerSolver<'a>,
        x: &[f64],
        smoothing: Smoothing<'a>,
    ) -> Result<Vec<LowerSolution>, LowerStatus> {
        let extra = if self.evaluations == 0 {
            self.settings.first_starts
        } else if self.evaluations.is_multiple_of(self.settings.period) {
            self.settings.later_starts
        } else {
            0
        };
        self.evaluations += 1;
        let mut starts = std::mem::take(&mut self.minimisers);
        for _ in 0..extra {
            let start = self.sample(solver, &starts);
            starts.push(start);
        }
        let mut found: Vec<LowerSolution> = Vec::new();
        let mut status = LowerStatus::Numerical;
        for start in &starts {
            let solution = solver.solve(x, start, smoothing, &Regulariser::default());
            status = solution.status;
            if status == LowerStatus::Unbounded {
                self.minimisers = starts;
                return Err(status);
            }
            if status == LowerStatus::Solved && !found.iter().any(|known| same(&known.y, &solution.y)) {
                found.push(solution);
            }
        }
        found.sort_by(|a, b| a.value.total_cmp(&b.value));
        found.truncate(self.settings.capacity);
        if found.is_empty() {
            self.minimisers = starts;
            self.minimisers.truncate(self.settings.capacity);
            return Err(status);
        }
        self.minimisers = found.iter().map(|solution| solution.y.clone()).collect();
        Ok(found)
    }

    /// The next start. Between two finite bounds it moves by an additive recurrence, which leaves smaller gaps than
    /// random numbers do (Roberts 2018: steps φ^{−1}, φ^{−2}, ... with φ^{d+1} = φ + 1): a narrow well at a bound must not
    /// be missed by chance. Where a bound is infinite it is random, in a box around a known point.
    fn sample(&mut self, solver: &LowerSolver<'_>, known: &[Vec<f64>]) -> Vec<f64> {
        let follower = solver.follower();
        let d = follower.size();
        for j in self.shift.len()..d {
            let bounded = follower.lower[j].is_finite() && follower.upper[j].is_finite();
            self.shift.push(bounded.then(|| self.rng.random_range(0.0..1.0)));
        }
        self.spread += 1;
        let ratio = (0..40).fold(2.0, |phi: f64, _| (1.0 + phi).powf(1.0 / (d as f64 + 1.0)));
        (0..d)
            .map(|j| {
                let centre = known.first().and_then(|y| y.get(j)).copied().unwrap_or(0.0);
                let radius = self.settings.radius.max(2.0 * centre.abs());
                let (mut low, mut high) = (follower.lower[j], follower.upper[j]);
                if let Some(shift) = self.shift[j] {
                    let t = shift + self.spread as f64 * ratio.powi(-(j as i32 + 1));
                    return low + (t - t.floor()) * (high - low).max(0.0);
                }
                if !low.is_finite() {
                    low = if high.is_finite() { high.min(centre) - radius } else { centre - radius };
                }
                if !high.is_finite() {
                    high = low.max(centre) + radius;
                }
                if low < high { self.rng.random_range(low..=high) } else { low }
            })
            .collect()
    }
}

fn same(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + a.abs().max(b.abs())))
}
