//! How far φ is from convex or concave, as observed.
//!
//! φ_p is ρ-weakly convex if φ(x^θ) <= θφ(x₁) + (1−θ)φ(x₂) + ρ/2 θ(1−θ) ‖x₁ − x₂‖² for all x₁, x₂, θ; φ_o is ρ-weakly
//! concave if −φ_o is ρ-weakly convex. The largest ρ that a sampled triple needs is a lower estimate of the true one. If
//! it grows without bound as x₁ and x₂ come together, there is none (Example 1 of [Chen, Li & So 2025] at x = 0).

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::segments::{Segment, grows};
use crate::hyper::HyperObjective;
use crate::problem::Attitude;

/// What was observed of a hyper-objective.
#[derive(Clone, Debug)]
pub struct ObservedModulus {
    /// The largest ρ that a triple needs; 0 if none needs any.
    pub rho: f64,
    /// The triple that needs it.
    pub worst: Option<Segment>,
    /// ‖x₁ − x₂‖, falling, each with its largest ρ.
    pub scales: Vec<(f64, f64)>,
    /// Whether ρ grows as x₁ and x₂ come together: φ is not weakly convex (concave), as far as sampling can tell.
    pub alarm: bool,
    /// The largest |φ(x₁) − φ(x₂)| / ‖x₁ − x₂‖.
    pub lipschitz: f64,
    /// Evaluations of φ.
    pub evaluations: usize,
    /// Triples at which φ had no finite value.
    pub failures: usize,
}

/// Triples of one length that are looked at again at the next.
const REFINED: usize = 3;
/// Accuracy asked of φ, and error assumed of it where its interval says nothing, relative to its size.
const ACCURACY: f64 = 1e-10;

/// Observes φ on the box of half-width `radius` around `x`: `samples` triples at each of the lengths `scales` (relative to
/// the radius, falling).
pub fn observed_modulus(
    phi: &dyn HyperObjective,
    attitude: Attitude,
    (x, radius): (&[f64], f64),
    scales: &[f64],
    samples: usize,
    seed: u64,
) -> ObservedModulus {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut out = ObservedModulus {
        rho: 0.0,
        worst: None,
        scales: Vec::new(),
        alarm: false,
        lipschitz: 0.0,
        evaluations: 0,
        failures: 0,
    };
    let sign = if attitude == Attitude::Optimistic { -1.0 } else { 1.0 };
    let mut suspects: Vec<Segment> = Vec::new();
    for length in scales.iter().map(|s| s * radius) {
        let mut segments: Vec<Segment> = (0..samples).map(|_| Segment::random(x, radius, length, &mut rng)).collect();
        for suspect in &suspects {
            segments.extend(suspect.pieces(length, &mut rng));
        }
        let mut found: Vec<(f64, Segment)> = Vec::new();
        for segment in segments {
            match needed(phi, sign, &segment, &mut out) {
                Some(rho) => found.push((rho, segment)),
                None => out.failures += 1,
            }
        }
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let largest = found.first().map_or(0.0, |first| first.0.max(0.0));
        out.scales.push((length, largest));
        if let Some((rho, segment)) = found.first().filter(|first| first.0 > out.rho) {
            (out.rho, out.worst) = (*rho, Some(segment.clone()));
        }
        found.truncate(REFINED);
        suspects = found.into_iter().map(|(_, segment)| segment).collect();
    }
    out.alarm = grows(&out.scales);
    out
}

/// The least ρ that fits one triple, the error of the three values taken off; negative where φ bends the other way.
fn needed(phi: &dyn HyperObjective, sign: f64, segment: &Segment, out: &mut ObservedModulus) -> Option<f64> {
    let mut warm: Option<Vec<f64>> = None;
    let mut values = [0.0; 3];
    let mut error = 0.0_f64;
    for (value, place) in values.iter_mut().zip([&segment.middle(), &segment.x1, &segment.x2]) {
        out.evaluations += 1;
        let point = phi.evaluate(place, ACCURACY, warm.as_deref()).ok().filter(|point| point.value.is_finite())?;
        let width = point.upper.value - point.lower.value;
        error += if width.is_finite() { width } else { ACCURACY * (1.0 + point.value.abs()) };
        error += 4.0 * f64::EPSILON * point.value.abs();
        (*value, warm) = (point.value, Some(point.y));
    }
    let [middle, first, second] = values;
    let length = segment.length();
    out.lipschitz = out.lipschitz.max(((first - second).abs() - error).max(0.0) / length);
    let theta = segment.theta;
    let excess = sign * (middle - theta * first - (1.0 - theta) * second);
    Some(2.0 * (excess - error) / (theta * (1.0 - theta) * length * length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyper::{End, HyperFailure, HyperPoint};
    use crate::solution::Rigor;

    struct Plain(fn(f64) -> f64);

    impl HyperObjective for Plain {
        fn dimension(&self) -> usize {
            1
        }

        fn evaluate(&self, x: &[f64], _: f64, _: Option<&[f64]>) -> Result<HyperPoint, HyperFailure> {
            let value = (self.0)(x[0]);
            let end = || End { value, rigor: Rigor::Estimated };
            Ok(HyperPoint { value, lower: end(), upper: end(), y: vec![], subgradient: None })
        }
    }

    const SCALES: [f64; 5] = [0.5, 1e-1, 1e-2, 1e-3, 1e-4];

    fn observe(function: fn(f64) -> f64, attitude: Attitude) -> ObservedModulus {
        observed_modulus(&Plain(function), attitude, (&[0.1], 1.0), &SCALES, 100, 3)
    }

    #[test]
    fn quadratics_and_kinks_have_the_modulus_that_they_have() {
        let bowl = observe(|x| -1.5 * x * x, Attitude::Pessimistic);
        assert!((bowl.rho - 3.0).abs() < 1e-3 && !bowl.alarm, "{}", bowl.rho);
        assert_eq!(observe(|x| -1.5 * x * x, Attitude::Optimistic).rho, 0.0);
        // A kink of the good kind costs nothing, one of the bad kind everything.
        let good = observe(|x| x.abs() - x * x, Attitude::Pessimistic);
        assert!((good.rho - 2.0).abs() < 1e-3 && !good.alarm, "{}", good.rho);
        let bad = observe(|x| x.abs() - x * x, Attitude::Optimistic);
        assert!(bad.alarm && bad.rho > 1e3, "{:?}", bad.scales);
        assert!((bad.lipschitz - 1.3).abs() < 0.1, "{}", bad.lipschitz);
    }

    #[test]
    fn example_1_raises_the_alarm_and_the_same_seed_gives_the_same_answer() {
        let phi = |x: f64| -1.0 - x.clamp(0.0, 1.0);
        let found = observe(phi, Attitude::Pessimistic);
        assert!(found.alarm, "{:?}", found.scales);
        assert_eq!(found.scales, observe(phi, Attitude::Pessimistic).scales);
    }

    #[test]
    fn failures_are_counted() {
        let found = observe(|x| if x > 0.0 { x } else { f64::INFINITY }, Attitude::Pessimistic);
        assert!(found.failures > 50 && found.rho == 0.0);
    }
}
