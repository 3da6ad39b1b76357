//! Set smoothness of a set-valued map, sampled [Chen, Li & So 2025, Def. 2 and Prop. 2].
//!
//! S is L-smooth if for all x₁, x₂, θ in (0, 1) and every y in S(x^θ), x^θ = θx₁ + (1−θ)x₂, there are y₁ in S(x₁) and
//! y₂ in S(x₂) with
//!
//! ```text
//! (5)  ‖θy₁ + (1−θ)y₂ − y‖ <= L θ(1−θ) ‖x₁ − x₂‖²        (6)  ‖y₁ − y₂‖² <= L ‖x₁ − x₂‖²
//! ```
//!
//! The pair is built by projections (Prop. 2): ȳᵢ = Π_S(xᵢ)(y), ȳ^θ = θȳ₁ + (1−θ)ȳ₂, ŷ^θ = Π_S(x^θ)(ȳ^θ),
//! yᵢ = Π_S(xᵢ)(ȳᵢ + y − ŷ^θ). That it satisfies both is proved for the answers of a free follower with an error bound.
//! For other maps it may miss a pair that exists: at a boundary point of {(a, b): x <= b <= x + 2} it leaves an error of
//! order ‖x₁ − x₂‖ in (5), though y₁, y₂ on the same boundary have none. So the correction is repeated,
//! yᵢ ← Π_S(xᵢ)(yᵢ + y − θy₁ − (1−θ)y₂), which for convex S(xᵢ) is a projected gradient step on the error of (5) and
//! ends at the least error that any pair has.
//!
//! The largest L needed by a sample is a lower estimate of the true one. Where L exists it stays bounded as
//! ‖x₁ − x₂‖ → 0. Growth by 5 or more for each decade is the alarm. A kink is a rare place: the worst triples of one scale
//! are looked at again at the next, along the segment from x₁ to x₂.

use bilevel_linalg::vector::{distance_squared, norm2, sub};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::segments::{Segment, grows, normal};

/// Where and how densely set smoothness is sampled.
#[derive(Clone, Debug)]
pub struct SetSmoothnessSettings {
    /// The middle of the region of x.
    pub x: Vec<f64>,
    /// Half-width of the region in every entry of x.
    pub radius: f64,
    /// The middle of the points that are projected on S(x^θ).
    pub y: Vec<f64>,
    /// Standard deviation of these points in every entry.
    pub spread: f64,
    /// ‖x₁ − x₂‖ relative to the radius, falling.
    pub scales: Vec<f64>,
    /// Random triples at each scale.
    pub samples: usize,
    /// The worst triples of one scale that are looked at again at the next.
    pub refined: usize,
    /// Error of a projection: what it explains of (5) and (6) is not counted.
    pub accuracy: f64,
    /// Seed of the samples.
    pub seed: u64,
}

impl SetSmoothnessSettings {
    /// Scales 1e-1 to 1e-4, 200 triples each, for exact projections.
    pub fn around(x: &[f64], radius: f64, y: &[f64], spread: f64) -> Self {
        let scales = vec![1e-1, 1e-2, 1e-3, 1e-4];
        Self {
            x: x.to_vec(),
            radius,
            y: y.to_vec(),
            spread,
            scales,
            samples: 200,
            refined: 4,
            accuracy: 1e-13,
            seed: 0,
        }
    }
}

/// A sampled triple with the pair of answers built for it.
#[derive(Clone, Debug)]
pub struct Triple {
    /// x₁, x₂ and θ.
    pub segment: Segment,
    /// y in S(x^θ).
    pub y: Vec<f64>,
    /// y₁ in S(x₁).
    pub y1: Vec<f64>,
    /// y₂ in S(x₂).
    pub y2: Vec<f64>,
    /// The least L with (5).
    pub midpoint: f64,
    /// The least L with (6).
    pub distance: f64,
}

impl Triple {
    /// The least L with both.
    pub fn modulus(&self) -> f64 {
        self.midpoint.max(self.distance)
    }
}

/// What was seen at one scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScaleRow {
    /// ‖x₁ − x₂‖.
    pub scale: f64,
    /// The largest L needed for (5).
    pub midpoint: f64,
    /// The largest L needed for (6).
    pub distance: f64,
    /// Triples for which all projections succeeded.
    pub triples: usize,
}

/// The outcome of the test.
#[derive(Clone, Debug)]
pub struct SetSmoothness {
    /// The largest L that a triple needs; 0 without any triple.
    pub largest: f64,
    /// The triple that needs it.
    pub worst: Option<Triple>,
    /// The scales, largest first.
    pub scales: Vec<ScaleRow>,
    /// Whether L grows by 5 or more per decade as x₁ and x₂ come together: no L exists, as far as sampling can tell.
    pub alarm: bool,
    /// Triples at which a projection failed.
    pub failures: usize,
}

/// Corrections of a pair. With θ in [0.2, 0.8] each removes at least a fifth of what can be removed.
const CORRECTIONS: usize = 100;

/// Samples set smoothness of the map whose projections are `project(x, u)` = Π_S(x)(u), `None` where that fails.
pub fn set_smoothness(
    settings: &SetSmoothnessSettings,
    project: &mut dyn FnMut(&[f64], &[f64]) -> Option<Vec<f64>>,
) -> SetSmoothness {
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut out = SetSmoothness { largest: 0.0, worst: None, scales: Vec::new(), alarm: false, failures: 0 };
    let mut suspects: Vec<Triple> = Vec::new();
    for scale in settings.scales.iter().map(|s| s * settings.radius) {
        let mut found = Vec::new();
        for triple in plan(settings, scale, &suspects, &mut rng) {
            match built(triple, settings.accuracy, project) {
                Some(triple) => found.push(triple),
                None => out.failures += 1,
            }
        }
        found.sort_by(|a, b| b.modulus().total_cmp(&a.modulus()));
        let largest = |of: fn(&Triple) -> f64| found.iter().map(of).fold(0.0, f64::max);
        let (midpoint, distance) = (largest(|t| t.midpoint), largest(|t| t.distance));
        out.scales.push(ScaleRow { scale, midpoint, distance, triples: found.len() });
        if let Some(first) = found.first().filter(|t| t.modulus() > out.largest || out.worst.is_none()) {
            (out.largest, out.worst) = (first.modulus(), Some(first.clone()));
        }
        found.truncate(settings.refined);
        suspects = found;
    }
    let rows: Vec<(f64, f64)> = out.scales.iter().map(|row| (row.scale, row.midpoint.max(row.distance))).collect();
    out.alarm = grows(&rows);
    out
}

/// What is sampled at one scale: y is still a point to be projected on S(x^θ).
fn plan(settings: &SetSmoothnessSettings, scale: f64, suspects: &[Triple], rng: &mut ChaCha8Rng) -> Vec<Triple> {
    let triple = |segment, y| Triple { segment, y, y1: vec![], y2: vec![], midpoint: 0.0, distance: 0.0 };
    let mut out = Vec::new();
    for _ in 0..settings.samples {
        let segment = Segment::random(&settings.x, settings.radius, scale, rng);
        out.push(triple(segment, settings.y.iter().map(|y| y + settings.spread * normal(rng)).collect()));
    }
    for suspect in suspects {
        out.extend(suspect.segment.pieces(scale, rng).into_iter().map(|segment| triple(segment, suspect.y.clone())));
    }
    out
}

/// The triple with its pair of answers; `None` if a projection fails.
fn built(
    mut triple: Triple,
    accuracy: f64,
    project: &mut dyn FnMut(&[f64], &[f64]) -> Option<Vec<f64>>,
) -> Option<Triple> {
    let Segment { x1, x2, theta } = &triple.segment;
    let middle = triple.segment.middle();
    let step = distance_squared(x1, x2);
    let weight = theta * (1.0 - theta) * step;
    let y = finite(project(&middle, &triple.y)?)?;
    let (mut y1, mut y2) = (finite(project(x1, &y)?)?, finite(project(x2, &y)?)?);
    let mean = triple.segment.between(&y1, &y2);
    let mut shift = vec![0.0; y.len()];
    sub(&y, &project(&middle, &mean)?, &mut shift);
    // Rounding of an average of numbers of this size.
    let noise = 4.0 * accuracy + 4.0 * f64::EPSILON * norm2(&y);
    let mut best: Option<(f64, f64)> = None;
    for _ in 0..=CORRECTIONS {
        let moved = |from: &[f64]| -> Vec<f64> { from.iter().zip(&shift).map(|(a, s)| a + s).collect() };
        (y1, y2) = (finite(project(x1, &moved(&y1))?)?, finite(project(x2, &moved(&y2))?)?);
        sub(&y, &triple.segment.between(&y1, &y2), &mut shift);
        let midpoint = (norm2(&shift) - noise).max(0.0) / weight;
        let distance = (distance_squared(&y1, &y2).sqrt() - noise).max(0.0).powi(2) / step;
        let gained = best.is_none_or(|(m, d)| midpoint.max(distance) < m.max(d));
        let hopeless = best.is_some_and(|(m, _)| midpoint > 0.9 * m);
        if gained {
            best = Some((midpoint, distance));
            (triple.y1, triple.y2) = (y1.clone(), y2.clone());
        }
        if midpoint <= distance || hopeless {
            break;
        }
    }
    (triple.midpoint, triple.distance) = best?;
    triple.y = y;
    Some(triple)
}

fn finite(y: Vec<f64>) -> Option<Vec<f64>> {
    y.iter().all(|v| v.is_finite()).then_some(y)
}

#[cfg(test)]
mod tests {
    use bilevel_linalg::{Dense, Svd};

    use super::*;

    fn test(settings: &SetSmoothnessSettings, mut project: impl FnMut(&[f64], &[f64]) -> Vec<f64>) -> SetSmoothness {
        set_smoothness(settings, &mut |x, u| Some(project(x, u)))
    }

    #[test]
    fn the_strip_of_figure_1_is_1_smooth() {
        let settings = SetSmoothnessSettings::around(&[0.3], 1.0, &[0.0, 1.0], 2.0);
        let found = test(&settings, |x, u| vec![u[0], u[1].clamp(x[0], x[0] + 2.0)]);
        assert!(!found.alarm);
        assert!((0.99..=1.001).contains(&found.largest), "L = {}", found.largest);
        for row in &found.scales {
            assert!((0.9..=1.001).contains(&row.distance) && row.midpoint < 1.0, "{row:?}");
        }
    }

    #[test]
    fn example_1_is_not_set_smooth() {
        for seed in 0..5 {
            let settings =
                SetSmoothnessSettings { seed, ..SetSmoothnessSettings::around(&[0.2], 1.5, &[0.5, 0.5], 1.0) };
            let found = test(&settings, |x, _| vec![x[0].clamp(0.0, 1.0), 1.0]);
            assert!(found.alarm, "{:?}", found.scales);
            // The worst triple straddles a kink, and its ratio (5) is of the order of 1 / its size.
            let worst = found.worst.unwrap();
            let (a, b) = (worst.segment.x1[0], worst.segment.x2[0]);
            let (low, high) = (a.min(b), a.max(b));
            assert!((low < 0.0 && high > 0.0) || (low < 1.0 && high > 1.0), "{low} to {high}");
            assert!(worst.midpoint > 0.2 / (high - low), "{} at {}", worst.midpoint, high - low);
        }
    }

    #[test]
    fn a_kink_in_one_of_many_directions_is_found_too() {
        let settings = SetSmoothnessSettings::around(&[0.0; 5], 1.0, &[0.0; 2], 1.0);
        let found = test(&settings, |x, u| vec![(x[0] - 0.5 * x[3]).abs(), u[1]]);
        assert!(found.alarm, "{:?}", found.scales);
    }

    #[test]
    fn affine_families_pass_with_the_modulus_of_their_points() {
        // S(x) = {y : A y = B x}: its nearest points move by A⁺B.
        let a = Dense::from_row_major(2, 4, vec![1.0, 0.5, 0.0, -1.0, 0.0, 2.0, 1.0, 1.0]).unwrap();
        let svd = Svd::new(&a, None).unwrap();
        let project = |x: &[f64], u: &[f64]| {
            let right = [2.0 * x[0] - x[1], x[0] + 3.0 * x[1]];
            let mut residual = [0.0; 2];
            a.mul_add(-1.0, u, &mut residual);
            let mut step = [0.0; 4];
            svd.solve(&[right[0] + residual[0], right[1] + residual[1]], &mut step).unwrap();
            u.iter().zip(step).map(|(u, s)| u + s).collect()
        };
        let settings = SetSmoothnessSettings::around(&[1.0, -1.0], 2.0, &[0.0; 4], 3.0);
        let found = test(&settings, project);
        let map =
            svd.pseudo_inverse().matmul(&Dense::from_row_major(2, 2, vec![2.0, -1.0, 1.0, 3.0]).unwrap()).unwrap();
        let modulus = Svd::new(&map, None).unwrap().values()[0].powi(2);
        assert!(!found.alarm);
        assert!(found.largest <= modulus * (1.0 + 1e-6), "{} > {modulus}", found.largest);
        assert!(found.largest >= 0.9 * modulus, "{} < {modulus}", found.largest);
        assert!(found.scales.iter().all(|row| row.midpoint < 1e-3), "{:?}", found.scales);
    }

    #[test]
    fn curved_points_have_a_bounded_modulus_and_subspaces_that_turn_do_not() {
        // One answer sin(3x): (5) needs |y''| / 2 = 4.5.
        let settings = SetSmoothnessSettings::around(&[0.5], 1.0, &[0.0], 1.0);
        let curved = test(&settings, |x, _| vec![(3.0 * x[0]).sin()]);
        assert!(!curved.alarm && curved.scales.iter().all(|row| row.midpoint < 4.6 && row.midpoint > 4.0));
        // A line through 0 that turns with x: far out its points need any L, but not more for nearer x.
        let line = |x: &[f64], u: &[f64]| {
            let (s, c) = x[0].sin_cos();
            let t = u[0] * c + u[1] * s;
            vec![t * c, t * s]
        };
        let near = test(&SetSmoothnessSettings::around(&[0.5], 0.3, &[0.0; 2], 1.0), line);
        let far = test(&SetSmoothnessSettings::around(&[0.5], 0.3, &[0.0; 2], 100.0), line);
        assert!(far.largest > 1e3 * near.largest, "{} and {}", far.largest, near.largest);
    }

    #[test]
    fn failures_are_counted_and_the_same_seed_gives_the_same_answer() {
        let settings = SetSmoothnessSettings::around(&[0.0], 1.0, &[0.0], 1.0);
        let run = || set_smoothness(&settings, &mut |x, _| (x[0] > 0.0).then(|| vec![x[0]]));
        let (first, second) = (run(), run());
        assert!(first.failures > 0 && first.scales.iter().all(|row| row.triples > 0));
        assert_eq!((first.largest, first.scales), (second.largest, second.scales));
        let none = set_smoothness(&settings, &mut |_, _| None);
        assert!(!none.alarm && none.worst.is_none() && none.largest == 0.0);
    }
}
