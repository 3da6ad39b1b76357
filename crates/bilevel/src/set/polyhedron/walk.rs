//! Hit-and-run: from a point in the interior, go to a uniform point of the chord in a random direction, many times.
//!
//! Directions are normal with the inverse Hessian of the logarithmic barrier at its centre as covariance, so that the
//! walk sees a round body (within a factor of the number of constraints), however long and thin the set is.

use super::nearest::Halfspaces;
use crate::set::numeric::{fill_normal, norm};
use bilevel_linalg::vector::{axpy, dot};
use bilevel_linalg::{Cholesky, Dense};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A walk on a bounded set of halfspaces with interior.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Walk {
    start: Vec<f64>,
    /// Row i is the i-th axis of the ellipsoid of directions.
    axes: Dense,
    steps: usize,
}

impl Walk {
    /// The walk from the analytic centre, which Newton's method finds from a point `inside`.
    pub fn new(set: &Halfspaces, inside: &[f64]) -> Self {
        let k = set.dimension();
        let mut start = inside.to_vec();
        let mut factor = Cholesky::new();
        for _ in 0..100 {
            let (mut gradient, hessian) = barrier(set, &start);
            if factor.factor(&hessian, 0.0).is_err() {
                break;
            }
            let slope = gradient.clone();
            if factor.solve(&mut gradient).is_err() {
                break;
            }
            // Newton's decrement; damped steps stay inside by self-concordance [Nesterov & Nemirovskii 1994].
            let decrement = dot(&slope, &gradient).max(0.0).sqrt();
            axpy(-1.0 / (1.0 + decrement), &gradient, &mut start);
            if decrement < 1e-3 {
                break;
            }
        }
        let mut axes = Dense::zeros(k, k);
        let rounded = factor.factor(&barrier(set, &start).1, 0.0).is_ok();
        for i in 0..k {
            let axis = axes.row_mut(i);
            axis[i] = 1.0;
            if rounded && factor.solve_upper(axis).is_err() {
                axis.fill(0.0);
                axis[i] = 1.0;
            }
        }
        // One step is exactly uniform on a segment; else of the order k^2 steps mix in a rounded body.
        Self { start, axes, steps: if k <= 1 { k } else { 60 + 5 * k * k } }
    }

    /// A point that is uniform up to the mixing of the walk.
    pub fn sample(&self, set: &Halfspaces, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let k = set.dimension();
        let (mut w, mut direction, mut weights) = (self.start.clone(), vec![0.0; k], vec![0.0; k]);
        let (mut slacks, mut rates) = (vec![0.0; set.count()], vec![0.0; set.count()]);
        for step in 0..self.steps {
            if step % REFRESH == 0 {
                slacks.iter_mut().enumerate().for_each(|(j, s)| *s = -set.excess(j, &w));
            }
            fill_normal(rng, &mut weights);
            direction.fill(0.0);
            self.axes.transpose_mul_add(1.0, &weights, &mut direction);
            rates.iter_mut().enumerate().for_each(|(j, r)| *r = set.along(j, &direction));
            let (low, high) = chord(&slacks, &rates, norm(direction.iter().copied()));
            let t: f64 = rng.random();
            let t = low + t * (high - low);
            axpy(t, &direction, &mut w);
            axpy(-t, &rates, &mut slacks);
        }
        w
    }
}

/// The slacks are computed afresh after so many steps.
const REFRESH: usize = 64;

/// The interval of t with `t rates <= slacks`, [0, 0] where it is not found; t = 0 is in it.
fn chord(slacks: &[f64], rates: &[f64], length: f64) -> (f64, f64) {
    let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
    for (slack, rate) in slacks.iter().zip(rates) {
        if rate.abs() <= 1e-15 * length {
            continue;
        }
        let end = slack.max(0.0) / rate;
        if *rate > 0.0 { high = high.min(end) } else { low = low.max(end) }
    }
    if low.is_finite() && high.is_finite() { (low, high) } else { (0.0, 0.0) }
}

/// Gradient and Hessian of `-sum ln(h_j - <g_j, w>)`.
fn barrier(set: &Halfspaces, w: &[f64]) -> (Vec<f64>, Dense) {
    let k = set.dimension();
    let (mut gradient, mut hessian) = (vec![0.0; k], Dense::zeros(k, k));
    for j in 0..set.count() {
        let (row, slack) = (set.normal(j), (-set.excess(j, w)).max(f64::MIN_POSITIVE));
        axpy(1.0 / slack, row, &mut gradient);
        for (i, g) in row.iter().enumerate() {
            axpy(g / slack / slack, row, hessian.row_mut(i));
        }
    }
    (gradient, hessian)
}
