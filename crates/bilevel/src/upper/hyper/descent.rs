//! Projected gradient descent with backtracking, for phi_o weakly concave.
//!
//! Weak concavity makes `phi(z) <= phi(x) + s (z - x) + rho/2 ‖z - x‖²` hold for *every* subgradient s at x, so the step
//! `P_X(x - s/L)` decreases phi whenever L >= rho, and `min_k ‖s_k‖² <= 2 rho (phi(x_0) - inf phi)/K` without X: Clarke
//! stationarity at the iterates themselves, at a rate without the dimension in it. L is doubled until the inequality
//! holds, and then tried 0.7 times as large.

use super::oracle::{Ending, Oracle};
use super::projected_norm;
use crate::set::{ConvexSet, Set};

/// Settings of [`descent`].
#[derive(Clone, Debug, PartialEq)]
pub struct DescentSettings {
    /// Ends when the projected subgradient's norm is at most this.
    pub tolerance: f64,
}

const RELAX: f64 = 0.7;
const DOUBLINGS: usize = 60;

/// Minimises phi over X from `start`; the best point is the oracle's.
pub fn descent(oracle: &mut Oracle<'_>, set: &Set, start: &[f64], settings: &DescentSettings) -> Ending {
    match run(oracle, set, start, settings) {
        Ok(ending) | Err(ending) => ending,
    }
}

fn run(oracle: &mut Oracle<'_>, set: &Set, start: &[f64], settings: &DescentSettings) -> Result<Ending, Ending> {
    let mut x = start.to_vec();
    set.project(start, &mut x);
    let (mut at, mut s) = oracle.start(&x)?;
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    let mut curvature = norm(&s) / (1.0 + norm(&x));
    loop {
        if projected_norm(set, &at.x, &s) <= settings.tolerance {
            return Ok(Ending::Stationary);
        }
        let noise = oracle.noise(at.value);
        let mut accepted = None;
        for _ in 0..DOUBLINGS {
            let free: Vec<f64> = at.x.iter().zip(&s).map(|(x, s)| x - s / curvature).collect();
            let mut z = free.clone();
            set.project(&free, &mut z);
            let (mut linear, mut square) = (0.0, 0.0);
            for ((z, x), s) in z.iter().zip(&at.x).zip(&s) {
                linear += s * (z - x);
                square += (z - x) * (z - x);
            }
            if square == 0.0 || -linear <= 0.25 * noise {
                break;
            }
            let trial = oracle.evaluate(&z)?;
            if trial.subgradient.is_some() && trial.value <= at.value + linear + 0.5 * curvature * square {
                accepted = Some(trial);
                break;
            }
            curvature *= 2.0;
        }
        let Some(next) = accepted else { return Ok(Ending::Stalled) };
        s = next.subgradient.clone().unwrap_or_default();
        at = next;
        curvature *= RELAX;
    }
}
