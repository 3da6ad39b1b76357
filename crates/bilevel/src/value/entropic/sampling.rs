//! Importance sampling from a mixture of Laplace approximations at the local minimisers and a uniform density.
//!
//! ```text
//! ∫ exp(−f / mu) ≈ Σ_j p_j mean_i exp(−f(y_ij) / mu) / q(y_ij),   q = Σ_k p_k q_k   (balance heuristic, Veach & Guibas 1995)
//! ```
//!
//! with y_ij drawn from component j by the same low-discrepancy points for every j, x and mu, so that the sum is a smooth
//! function of x (common random numbers). The weights p_j follow the Laplace masses and are floored at 0.05. Eight
//! shifts of the points give eight independent sums, whose spread is the error's estimate.

use super::domain::{Chart, Domain};
use super::integrand::{Estimate, Integrand, Local, Sums, rounding};
use super::laplace::Component;
use super::lattice::Lattice;
use crate::lower::LowerStatus;

/// Independent shifts of the lattice.
const SHIFTS: usize = 8;
/// Student's t at 95 % for the mean of eight.
const CONFIDENCE: f64 = 2.4;
/// Least weight of a component.
const FLOOR: f64 = 0.05;
/// Points whose weight is below exp of this, relative to the Laplace masses, have no gradient taken.
const NEGLIGIBLE: f64 = -38.0;
/// Exponents relative to the Laplace masses are cut off here, against overflow.
const FARTHEST: f64 = 300.0;

/// Integrates over the domain.
///
/// # Errors
/// `Numerical` if f is not a number at a point, or no mass was found.
pub(super) fn integrate(
    domain: &Domain,
    chart: &Chart,
    lattice: &Lattice,
    integrand: &mut Integrand<'_, '_>,
    minima: &[Local],
) -> Result<Estimate, LowerStatus> {
    let mixture = Mixture::new(domain, chart, integrand.mu, minima);
    let (d, n) = (chart.len(), integrand.x.len());
    let mut shifts = vec![Sums::new(n); SHIFTS];
    let (mut u, mut w, mut z) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    let (mut y, mut gradient) = (vec![0.0; domain.m], vec![0.0; n]);
    let mut nodes = 0;
    for (component, log_weight) in mixture.components.iter().zip(&mixture.log_weights) {
        let share = log_weight - (lattice.len() as f64).ln();
        for (shift, sums) in shifts.iter_mut().enumerate() {
            for i in 0..lattice.len() {
                lattice.point(i, shift, &mut u);
                component.draw(&u, &mut w, &mut z, &mut y);
                if !domain.contains(&y) {
                    continue;
                }
                nodes += 1;
                let value = integrand.value(&y);
                if value.is_nan() {
                    return Err(LowerStatus::Numerical);
                }
                let log = -value / integrand.mu - mixture.log_mass;
                let log = log + share - mixture.log_density(&y, &mut w, &mut z);
                if log + (lattice.len() as f64).ln() <= NEGLIGIBLE {
                    continue;
                }
                integrand.gradient(&y, &mut gradient);
                let near = &integrand.neighbourhood;
                sums.add(log.min(FARTHEST).exp(), &gradient, near.contains(value, &y), near.is_inner(&y));
            }
        }
    }
    let mut sums = Sums::new(n);
    shifts.iter().for_each(|shift| sums.merge(shift, 1.0 / SHIFTS as f64));
    let mut estimate = sums.estimate(mixture.log_mass, nodes)?;
    spread(&shifts, &sums, &mut estimate);
    let value = minima.iter().fold(0.0, |a: f64, local| a.max(local.value.abs()));
    let noise = rounding(value, integrand.mu);
    estimate.log_error += noise;
    estimate.gradient_error += noise * estimate.gradient.iter().fold(1.0, |a: f64, g| a.max(g.abs()));
    Ok(estimate)
}

/// The errors from the spread over the shifts: of Z, and of N − ĝ Z, both over Z.
fn spread(shifts: &[Sums], mean: &Sums, estimate: &mut Estimate) {
    let scale = CONFIDENCE / ((shifts.len() * (shifts.len() - 1)) as f64).sqrt() / mean.mass;
    let squares: f64 = shifts.iter().map(|s| (s.mass - mean.mass) * (s.mass - mean.mass)).sum();
    estimate.log_error = scale * squares.sqrt();
    estimate.gradient_error = (0..estimate.gradient.len())
        .map(|i| {
            let rest = |s: &Sums| s.gradient[i] - estimate.gradient[i] * s.mass;
            scale * shifts.iter().map(|s| rest(s) * rest(s)).sum::<f64>().sqrt()
        })
        .fold(0.0, f64::max);
}

/// The mixture q.
struct Mixture {
    components: Vec<Component>,
    log_weights: Vec<f64>,
    /// ln of the mass of all Laplace approximations.
    log_mass: f64,
}

impl Mixture {
    fn new(domain: &Domain, chart: &Chart, mu: f64, minima: &[Local]) -> Self {
        let mut components: Vec<Component> =
            minima.iter().filter_map(|local| Component::laplace(domain, local, mu)).collect();
        let best = components.iter().map(|c| c.log_mass).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = components.iter().map(|c| (c.log_mass - best).exp()).sum();
        let fallback = -minima.iter().map(|local| local.value).fold(f64::INFINITY, f64::min) / mu;
        let log_mass = if components.is_empty() { fallback } else { best + total.ln() };
        let mut weights: Vec<f64> = components.iter().map(|c| (c.log_mass - log_mass).exp().max(FLOOR)).collect();
        components.push(Component::uniform(chart));
        weights.push(FLOOR);
        let sum: f64 = weights.iter().sum();
        let log_weights = weights.iter().map(|w| (w / sum).ln()).collect();
        Self { components, log_weights, log_mass }
    }

    /// ln q(y).
    fn log_density(&self, y: &[f64], w: &mut [f64], z: &mut [f64]) -> f64 {
        let (mut largest, mut sum) = (f64::NEG_INFINITY, 0.0);
        for (component, weight) in self.components.iter().zip(&self.log_weights) {
            let log = weight + component.log_density(y, w, z);
            if log > largest {
                sum = sum * (largest - log).exp() + 1.0;
                largest = log;
            } else if log > f64::NEG_INFINITY {
                sum += (log - largest).exp();
            }
        }
        largest + sum.ln()
    }
}
