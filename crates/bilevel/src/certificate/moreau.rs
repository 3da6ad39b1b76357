//! Moreau stationarity of phi_p at x [Chen, Li & So 2025, Lemma 3 and (3)]: an upper bound of
//!
//! ```text
//! ‖grad (phi_p + delta_X)_gamma(x)‖ = ‖x - prox(x)‖ / gamma,     gamma = 1/(2 rho)
//! ```
//!
//! by a bundle around x. Its dual value is a lower bound of the envelope, an evaluated point an upper one; strong convexity
//! turns their gap into a ball that contains prox(x) (`ProximalModel::moreau`). A point within gamma times the bound of x is
//! then nearly stationary. The bound holds if phi_p is weakly convex with modulus rho around x: rho is the largest that
//! pairs of points around x show, four times, unless it is given; so the bound is conditional on it.
//!
//! Where the modulus grows as points come closer, phi_p is not weakly convex there at all, and the guarantee is void: an
//! alarm.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::hyper::HyperObjective;
use crate::observe::Silent;
use crate::set::{ConvexSet, Set};
use crate::solution::{Rigor, Stationarity};
use crate::upper::hyper::{Cut, MODULUS_SAFETY, MoreauBound, Oracle, ProximalModel, Sample, modulus, random_direction};

/// Settings of [`moreau`].
#[derive(Clone, Debug, PartialEq)]
pub struct MoreauSettings {
    /// The modulus of weak convexity, if it is known.
    pub modulus: Option<f64>,
    /// The bound aimed at.
    pub tolerance: f64,
    /// Accuracy of values.
    pub accuracy: f64,
    /// Evaluations at most.
    pub limit: usize,
    /// Seed of the probes of the modulus.
    pub seed: u64,
}

/// What was found around x.
#[derive(Clone, Debug, PartialEq)]
pub struct MoreauCheck {
    /// The bound of the envelope's gradient.
    pub bound: f64,
    /// The envelope's parameter.
    pub gamma: f64,
    /// rho, as used.
    pub modulus: f64,
    /// Whether rho was given; else it is observed.
    pub given: bool,
    /// The modulus observed grows by five or more with each tenfold smaller distance: phi_p is not weakly convex here.
    pub alarm: bool,
    /// A point that is lower than x by more than first-order stationarity allows, if one was met.
    pub lower: Option<Vec<f64>>,
    /// Evaluations of phi.
    pub evaluations: usize,
}

/// Relative distances at which the modulus is probed.
const SCALES: [f64; 3] = [1e-2, 1e-3, 1e-4];
/// Growth per step of the scales that raises the alarm, and the least modulus that can.
const GROWTH: f64 = 5.0;
const SUSPICIOUS: f64 = 10.0;
/// Evaluations in a row that do not improve the bound by a tenth.
const PATIENCE: usize = 25;

/// Bounds the envelope's gradient at x by fresh evaluations: at x, at `near`, around x for the modulus, and where the bundle
/// asks. `None` where phi has no subgradient at x.
pub fn moreau(
    phi: &dyn HyperObjective,
    set: &Set,
    x: &[f64],
    near: &[Vec<f64>],
    settings: &MoreauSettings,
) -> Option<MoreauCheck> {
    let mut oracle = Oracle::new(phi, settings.accuracy, settings.limit.max(1), &Silent);
    let at = oracle.evaluate(x).ok()?;
    let mut cuts = vec![cut(&at)?];
    for z in near.iter().filter(|z| z.as_slice() != x) {
        cuts.extend(oracle.evaluate(z).ok().as_ref().and_then(cut));
    }
    let (probes, alarm) = probe(&mut oracle, set, &at, settings.seed);
    let lower = probes.iter().find(|(z, scale)| is_lower(&at, z, *scale, &oracle)).map(|(z, _)| z.x.clone());
    cuts.extend(probes.iter().filter_map(|(z, _)| cut(z)));
    let model = ProximalModel::new(set);
    let noise = oracle.noise(at.value);
    let mut best: Option<(MoreauBound, f64)> = None;
    let mut idle = 0;
    loop {
        let rho = settings.modulus.unwrap_or_else(|| MODULUS_SAFETY * modulus(&cuts, settings.accuracy));
        let Some(bound) = model.moreau(x, &cuts, rho, noise) else { break };
        // A larger modulus seen later replaces what smaller ones gave.
        let better = best.as_ref().is_none_or(|(known, r)| rho > *r || bound.value < 0.9 * known.value);
        idle = if better { 0 } else { idle + 1 };
        let next = bound.point.z.clone();
        if best.as_ref().is_none_or(|(known, r)| rho > *r || bound.value < known.value) {
            best = Some((bound.clone(), rho));
        }
        if bound.value <= settings.tolerance || idle > PATIENCE {
            break;
        }
        let Ok(sample) = oracle.evaluate(&next) else { break };
        let Some(new) = cut(&sample) else { break };
        cuts.push(new);
    }
    let (bound, rho) = best?;
    Some(MoreauCheck {
        bound: bound.value,
        gamma: bound.gamma,
        modulus: rho,
        given: settings.modulus.is_some(),
        alarm,
        lower,
        evaluations: oracle.used(),
    })
}

fn cut(sample: &Sample) -> Option<Cut> {
    let slope = sample.subgradient.clone()?;
    Some(Cut { point: sample.x.clone(), value: sample.value, slope, aggregate: false })
}

/// Points on both sides of x at three distances, with the distance, and whether the modulus grows as they come closer.
fn probe(oracle: &mut Oracle<'_>, set: &Set, at: &Sample, seed: u64) -> (Vec<(Sample, f64)>, bool) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let size = 1.0 + at.x.iter().map(|v| v * v).sum::<f64>().sqrt();
    let direction = random_direction(at.x.len(), &mut rng);
    let (mut points, mut shown) = (Vec::new(), Vec::new());
    for scale in SCALES {
        let mut here: Vec<Cut> = cut(at).into_iter().collect();
        for sign in [1.0, -1.0] {
            let free: Vec<f64> = at.x.iter().zip(&direction).map(|(x, u)| x + sign * scale * size * u).collect();
            let mut z = free.clone();
            set.project(&free, &mut z);
            if z == at.x {
                continue;
            }
            let Ok(sample) = oracle.evaluate(&z) else { continue };
            here.extend(cut(&sample));
            points.push((sample, scale * size));
        }
        shown.push(modulus(&here, oracle.accuracy()));
    }
    let grows = shown.windows(2).all(|pair| pair[1] >= GROWTH * pair[0]);
    (points, grows && shown.last().is_some_and(|last| *last >= SUSPICIOUS))
}

/// Whether phi falls towards z by more than half of a slope that would not be called stationary.
fn is_lower(at: &Sample, z: &Sample, distance: f64, oracle: &Oracle<'_>) -> bool {
    z.value < at.value - 2.0 * oracle.noise(at.value) - 0.05 * distance
}

impl MoreauCheck {
    /// As an entry of a certificate: conditional on rho, and on what the subgradients rest on.
    pub fn stationarity(&self, mut assumed: Vec<String>) -> Stationarity {
        assumed.insert(0, "rho".to_string());
        Stationarity {
            residual: self.bound,
            radius: Some(self.gamma * self.bound),
            measure: "moreau".to_string(),
            rigor: Rigor::Conditional(assumed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::{Bounds, Whole};
    use crate::upper::hyper::testing::{Closed, Instance, Kind, example_1, in_box};

    fn settings(modulus: Option<f64>) -> MoreauSettings {
        MoreauSettings { modulus, tolerance: 1e-6, accuracy: 1e-13, limit: 400, seed: 1 }
    }

    /// phi = |x| - x²/2 on an interval: prox and envelope by hand.
    #[test]
    fn bounds_the_true_gradient_and_reaches_it() {
        let phi = Closed(1, |x: &[f64]| (x[0].abs() - 0.5 * x[0] * x[0], Some(vec![x[0].signum() - x[0]])));
        let set: Set = Bounds::new(-0.8, 0.8).unwrap().into();
        for x in [-0.7, -0.3, 0.0, 1e-3, 0.2, 0.6] {
            let check = moreau(&phi, &set, &[x], &[], &settings(Some(1.5))).unwrap();
            // gamma = 1/3: min |z| - z²/2 + 1.5 (z - x)²; for z > 0: 1 - z + 3 (z - x) = 0.
            let gamma = 1.0 / 3.0;
            let z = ((3.0 * f64::abs(x) - 1.0) / 2.0).max(0.0) * f64::signum(x);
            let truth = (x - z).abs() / gamma;
            assert!(check.bound >= truth - 1e-9, "{x}: {} below {truth}", check.bound);
            assert!(check.bound <= truth + 1e-4, "{x}: {} above {truth}", check.bound);
            assert!((check.gamma - gamma).abs() < 1e-12);
        }
    }

    /// A long run of the proximal problem as the truth: random points of H2 and H3 with the true modulus.
    #[test]
    fn never_below_the_truth_on_random_points() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        for kind in [Kind::H2, Kind::H3] {
            let instance = Instance::random(kind, 3, 11);
            let phi = instance.objective();
            let set: Set = Whole::new(3).into();
            for _ in 0..6 {
                let x = in_box(3, 1.0, &mut rng);
                let rho = 30.0;
                let fine = moreau(&phi, &set, &x, &[], &settings(Some(rho))).unwrap();
                let coarse = MoreauSettings { limit: 12, ..settings(Some(rho)) };
                let coarse = moreau(&phi, &set, &x, &[], &coarse).unwrap();
                assert!(coarse.bound >= fine.bound - 1e-6 * (1.0 + fine.bound));
                // dist(0, ∂phi(x)) bounds the gradient from above: (3).
                let (_, s) = instance.phi(&x);
                let norm = s.iter().map(|v| v * v).sum::<f64>().sqrt();
                assert!(fine.bound <= 2.0 * norm + 1e-3, "{} and {norm}", fine.bound);
            }
        }
    }

    #[test]
    fn example_1_raises_the_alarm_at_zero_and_not_elsewhere() {
        let phi = Closed(1, example_1);
        let set: Set = Whole::new(1).into();
        let at = |x: f64| moreau(&phi, &set, &[x], &[], &settings(None)).unwrap();
        assert!(at(0.0).alarm);
        assert!(at(0.0).lower.is_some());
        assert!(!at(-0.5).alarm && at(-0.5).bound < 1e-5);
        assert!(!at(1.5).alarm);
    }
}
