//! The error bound dist(y, S(x)) <= τ ‖∇_y f(x, y)‖ [Chen, Li & So 2025, (A3)], sampled.
//!
//! It says more than that τ is finite: a point with ∇_y f = 0 has distance 0, so that S(x) = {y: ∇_y f(x, y) = 0}. Both are
//! looked for: the largest ratio at falling distances from S(x), along random directions and along that of the least
//! curvature; and points with a vanishing gradient whose f is above v(x).

use bilevel_linalg::vector::{axpy, dot, norm2};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::projection::AnswerProjector;
use super::segments::{grows, unit};

/// Distances from S(x), relative to the reach.
const DISTANCES: [f64; 4] = [1.0, 1e-1, 1e-2, 1e-3];
/// Inverse iterations towards the direction of the least curvature.
const INVERSE: usize = 4;
/// A gradient this small, relative to its size in the region, counts as zero.
const VANISHES: f64 = 1e-9;
/// Starts around each answer of the search for other stationary points.
const STARTS: usize = 3;
/// Gauss-Newton steps towards a vanishing gradient, and conjugate-gradient steps in each.
const GAUSS_NEWTON: usize = 30;
const CONJUGATE: usize = 40;
/// f this far above v(x), relatively, is no answer.
const ABOVE: f64 = 1e-6;

/// What was seen of the error bound.
#[derive(Clone, Debug)]
pub struct ErrorBound {
    /// The largest dist(y, S(x)) / ‖∇_y f(x, y)‖.
    pub tau: f64,
    /// The distances, largest first, each with its largest ratio.
    pub scales: Vec<(f64, f64)>,
    /// Whether the ratio grows as y approaches S(x): no τ exists, as far as sampling can tell.
    pub alarm: bool,
    /// A point (x, y) with ∇_y f = 0 that is no answer, and how far f is above v(x) there.
    pub stray: Option<(Vec<f64>, Vec<f64>, f64)>,
    /// Points looked at.
    pub points: usize,
}

/// Samples the error bound at the pairs (x, u): around the answer nearest to u, within `reach`.
pub(super) fn error_bound(
    projector: &mut AnswerProjector<'_>,
    pairs: &[(Vec<f64>, Vec<f64>)],
    reach: f64,
    rng: &mut ChaCha8Rng,
) -> ErrorBound {
    let mut worst = [0.0_f64; DISTANCES.len()];
    let (mut points, mut stray) = (0, None);
    for (x, u) in pairs {
        let Some(answer) = projector.project(x, u) else { continue };
        let mut directions = vec![unit(answer.len(), rng), unit(answer.len(), rng)];
        directions.extend(least_curvature(projector, x, &answer, rng));
        for direction in directions {
            for (k, relative) in DISTANCES.iter().enumerate() {
                let length = relative * reach * rng.random_range(0.3..=1.0);
                let y: Vec<f64> = answer.iter().zip(&direction).map(|(a, d)| a + length * d).collect();
                let Some(nearest) = projector.project(x, &y) else { continue };
                let away = norm2(&y.iter().zip(&nearest).map(|(a, b)| a - b).collect::<Vec<_>>());
                let gradient = norm2(&projector.gradient(x, &y));
                points += 1;
                // Directions within S(x) say nothing, and rounding counts where y is nearly an answer.
                if away > 1e-3 * length && away > 1e4 * projector.accuracy() * (1.0 + norm2(&y)) {
                    worst[k] = worst[k].max(away / gradient);
                }
            }
        }
        // A quadratic function has no other stationary points.
        if stray.is_none() && !projector.is_quadratic() {
            let found = (0..STARTS).find_map(|_| stray_point(projector, x, &answer, reach, rng));
            stray = found.map(|(y, above)| (x.clone(), y, above));
        }
    }
    let scales: Vec<(f64, f64)> = DISTANCES.iter().map(|d| d * reach).zip(worst).collect();
    let tau = worst.iter().fold(0.0, |a: f64, b| a.max(*b));
    let seen: Vec<(f64, f64)> = scales.iter().filter(|row| row.1 > 0.0).copied().collect();
    ErrorBound { tau, alarm: !tau.is_finite() || grows(&seen), scales, stray, points }
}

/// The direction of the least positive curvature at an answer, by inverse iteration within the range of ∇²_yy f.
fn least_curvature(
    projector: &mut AnswerProjector<'_>,
    x: &[f64],
    answer: &[f64],
    rng: &mut ChaCha8Rng,
) -> Option<Vec<f64>> {
    let mut turned = vec![0.0; answer.len()];
    projector.product(x, answer, &unit(answer.len(), rng), &mut turned);
    for _ in 0..INVERSE {
        let next = projector.pseudo_inverse(x, answer, &turned)?;
        let length = norm2(&next);
        if !(length > 0.0 && length.is_finite()) {
            return None;
        }
        turned = next.iter().map(|v| v / length).collect();
    }
    Some(turned)
}

/// A point where the gradient vanishes but f is above its value at the answer: from a random point by Gauss-Newton steps
/// on ‖∇_y f‖², which end at maximisers and saddle points as well as at minimisers.
fn stray_point(
    projector: &mut AnswerProjector<'_>,
    x: &[f64],
    answer: &[f64],
    reach: f64,
    rng: &mut ChaCha8Rng,
) -> Option<(Vec<f64>, f64)> {
    let direction = unit(answer.len(), rng);
    let mut y = answer.to_vec();
    axpy(rng.random_range(0.0..=2.0 * reach), &direction, &mut y);
    let mut gradient = projector.gradient(x, &y);
    let scale = norm2(&gradient);
    for _ in 0..GAUSS_NEWTON {
        if norm2(&gradient) <= VANISHES * scale {
            break;
        }
        let step = least_squares(projector, x, &y, &gradient);
        // No farther than the region.
        let length = norm2(&step);
        let factor = if length > reach { reach / length } else { 1.0 };
        axpy(-factor, &step, &mut y);
        gradient = projector.gradient(x, &y);
    }
    let (f, v) = (projector.value(x, &y), projector.value(x, answer));
    let above = f - v;
    (norm2(&gradient) <= VANISHES * scale && above > ABOVE * (1.0 + v.abs())).then_some((y, above))
}

/// A minimiser of ‖H s − g‖, H = ∇²_yy f of any inertia: conjugate gradients on the normal equations.
fn least_squares(projector: &mut AnswerProjector<'_>, x: &[f64], y: &[f64], g: &[f64]) -> Vec<f64> {
    let m = g.len();
    let (mut s, mut residual, mut turned) = (vec![0.0; m], g.to_vec(), vec![0.0; m]);
    let mut normal = vec![0.0; m];
    projector.product(x, y, &residual, &mut normal);
    let mut direction = normal.clone();
    let mut rest = dot(&normal, &normal);
    let goal = 1e-24 * rest;
    for _ in 0..m.min(CONJUGATE) {
        projector.product(x, y, &direction, &mut turned);
        let curvature = dot(&turned, &turned);
        if rest <= goal || curvature.is_nan() || curvature <= 0.0 {
            break;
        }
        axpy(rest / curvature, &direction, &mut s);
        axpy(-rest / curvature, &turned, &mut residual);
        projector.product(x, y, &residual, &mut normal);
        let next = dot(&normal, &normal);
        direction.iter_mut().zip(&normal).for_each(|(d, n)| *d = n + next / rest * *d);
        rest = next;
    }
    s
}
