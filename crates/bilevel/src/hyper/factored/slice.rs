//! The least of a separable, strictly convex quadratic function on an affine slice of a box, by a semismooth Newton method
//! on the dual (Qi & Sun 1993; for this dual, Li & Swetits 1997):
//!
//! ```text
//! minimise Σ_j ½ a_j y_j² + b_j y_j   subject to C y = d,  l <= y <= u            (a_j > 0)
//!
//! q(ν) = dᵀν + Σ_j min over [l_j, u_j] of ½ a_j t² + (b_j − (Cᵀν)_j) t     concave; at most the least value, for every ν
//! y(ν)_j = clip((Cᵀν − b)_j / a_j),   ∇q = d − C y(ν),   −∂²q ∋ C D Cᵀ,  D_j = 1 / a_j off the bounds, 0 at them
//! ```
//!
//! q is piecewise quadratic, so that the method ends in a few steps of one factorisation each, with exact line searches in
//! between. Where no y in the box has C y = d, q rises for ever along some step.

use bilevel_linalg::vector::{axpy, dot, norm2};
use bilevel_linalg::{Cholesky, Dense};

/// Most Newton steps.
const STEPS: usize = 60;
/// Bisections of a line search, and the longest step.
const BISECTIONS: usize = 80;
const LONGEST: f64 = 1e24;
/// d − C y shorter than this, relative to its terms, is rounding.
const ROUNDING: f64 = 1e-13;
/// Shifts of C D Cᵀ, relative to its largest diagonal entry, where it has no inverse.
const SHIFTS: [f64; 4] = [1e-13, 1e-10, 1e-7, 1e-4];

/// The programme.
pub(super) struct Slice<'a> {
    /// C.
    pub rows: &'a Dense,
    /// d.
    pub right: &'a [f64],
    /// a.
    pub bend: &'a [f64],
    /// b.
    pub linear: &'a [f64],
    /// l.
    pub lower: &'a [f64],
    /// u.
    pub upper: &'a [f64],
}

/// Its solution.
pub(super) struct Nearest {
    /// y(ν).
    pub y: Vec<f64>,
    /// Cᵀν.
    pub slopes: Vec<f64>,
    /// q(ν).
    pub bound: f64,
    /// |νᵀ (d − C y)| + rounding: what the value at y may differ from q(ν) by.
    pub error: f64,
    /// Products with C and its transpose, in pairs.
    pub products: u64,
}

/// q and y at one ν.
struct Point {
    nu: Vec<f64>,
    slopes: Vec<f64>,
    y: Vec<f64>,
    value: f64,
}

impl Slice<'_> {
    /// y where the slopes are Cᵀν.
    fn clipped(&self, j: usize, slope: f64) -> f64 {
        ((slope - self.linear[j]) / self.bend[j]).clamp(self.lower[j], self.upper[j])
    }

    fn at(&self, nu: Vec<f64>, slopes: Vec<f64>) -> Point {
        let mut value = dot(self.right, &nu);
        let mut y = Vec::with_capacity(slopes.len());
        for (j, slope) in slopes.iter().enumerate() {
            let t = self.clipped(j, *slope);
            value += (0.5 * self.bend[j] * t + self.linear[j] - slope) * t;
            y.push(t);
        }
        Point { nu, slopes, y, value }
    }

    /// The step length at which q is largest along a step from `point` whose slopes change by `turn`; `None` if q rises for
    /// ever. The derivative along the step falls with its length.
    fn longest_rise(&self, point: &Point, step: &[f64], turn: &[f64]) -> Option<f64> {
        let rise = dot(self.right, step);
        let derivative = |t: f64| {
            let fall = |(j, (s, w)): (usize, (&f64, &f64))| self.clipped(j, s + t * w) * w;
            rise - point.slopes.iter().zip(turn).enumerate().map(fall).sum::<f64>()
        };
        let (mut low, mut high) = (0.0, 1.0);
        // Rounding of a step that is exact for the active set.
        let noise = 1e-14 * (rise.abs() + turn.iter().zip(&point.y).map(|(w, y)| (w * y).abs()).sum::<f64>());
        if derivative(1.0).abs() <= noise {
            return Some(1.0);
        }
        while derivative(high) > 0.0 {
            low = high;
            high *= 8.0;
            if high > LONGEST {
                return None;
            }
        }
        for _ in 0..BISECTIONS {
            let middle = 0.5 * (low + high);
            if middle <= low || middle >= high {
                break;
            }
            if derivative(middle) > 0.0 { low = middle } else { high = middle }
        }
        Some(0.5 * (low + high))
    }

    /// d − C y, and the size of its terms.
    fn residual(&self, y: &[f64]) -> (Vec<f64>, f64) {
        let mut out = self.right.to_vec();
        self.rows.mul_add(-1.0, y, &mut out);
        let size = norm2(self.right) + self.rows.norm_max() * norm2(y);
        (out, size)
    }

    /// Writes the Newton step for the residual; false if it is not to be had.
    fn step(&self, y: &[f64], factor: &mut Cholesky, step: &mut [f64]) -> bool {
        let free: Vec<usize> = (0..y.len()).filter(|&j| y[j] > self.lower[j] && y[j] < self.upper[j]).collect();
        let p = self.right.len();
        let mut columns = Dense::zeros(p, free.len());
        for i in 0..p {
            let from = self.rows.row(i);
            let to = columns.row_mut(i);
            free.iter().zip(to).for_each(|(&j, t)| *t = from[j] / self.bend[j].sqrt());
        }
        let Ok(gram) = columns.row_gram(None) else { return false };
        let largest = (0..p).fold(f64::MIN_POSITIVE, |a: f64, i| a.max(gram[(i, i)]));
        let scale = if free.is_empty() { 1.0 } else { largest };
        let clear = |factor: &Cholesky| factor.pivots().0.powi(2) > 1e-14 * scale;
        let plain = factor.factor(&gram, 0.0).is_ok() && clear(factor);
        let shifted = plain || SHIFTS.iter().any(|shift| factor.factor(&gram, shift * scale).is_ok() && clear(factor));
        shifted && factor.solve(step).is_ok()
    }

    /// Newton's method from ν = 0, until the values are within `accuracy`; `None` where the slice misses the box, or the
    /// method stalls.
    pub fn nearest(&self, accuracy: f64) -> Option<Nearest> {
        let (p, m) = (self.right.len(), self.bend.len());
        let mut point = self.at(vec![0.0; p], vec![0.0; m]);
        let mut factor = Cholesky::new();
        let mut last = f64::INFINITY;
        for products in 1..=STEPS as u64 {
            let (residual, size) = self.residual(&point.y);
            let left = norm2(&residual);
            let error = dot(&point.nu, &residual).abs() + norm2(&point.nu) * ROUNDING * size;
            // Near the end the residual is a fixed share of the error: both have to be small.
            let close = left <= 1e-6 * size && error <= 0.25 * accuracy;
            if left <= ROUNDING * size || (close && (left >= 0.5 * last || accuracy > 1e-7)) {
                let Point { slopes, y, value, .. } = point;
                return Some(Nearest { y, slopes, bound: value, error, products });
            }
            last = left;
            let mut step = residual;
            if !left.is_finite() || !self.step(&point.y, &mut factor, &mut step) {
                return None;
            }
            let mut turn = vec![0.0; m];
            self.rows.transpose_mul_add(1.0, &step, &mut turn);
            let t = self.longest_rise(&point, &step, &turn)?;
            let Point { mut nu, mut slopes, .. } = point;
            axpy(t, &step, &mut nu);
            axpy(t, &turn, &mut slopes);
            point = self.at(nu, slopes);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::super::testing::{normal_matrix, normals};
    use super::*;

    #[test]
    fn optimality_conditions() {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        for (p, m) in [(1, 4), (6, 20), (30, 90), (20, 24)] {
            let c = normal_matrix(p, m, 1.0, &mut rng);
            let inside: Vec<f64> = normals(m, &mut rng).iter().map(|v| v.clamp(-1.0, 0.5)).collect();
            let mut right = vec![0.0; p];
            c.mul_add(1.0, &inside, &mut right);
            let bend: Vec<f64> = normals(m, &mut rng).iter().map(|v| 0.1 + v.abs()).collect();
            let linear = normals(m, &mut rng);
            let (lower, mut upper) = (vec![-1.0; m], vec![0.5; m]);
            upper[0] = f64::INFINITY;
            let slice = Slice { rows: &c, right: &right, bend: &bend, linear: &linear, lower: &lower, upper: &upper };
            let found = slice.nearest(1e-9).unwrap();
            let value: f64 = (0..m).map(|j| (0.5 * bend[j] * found.y[j] + linear[j]) * found.y[j]).sum();
            assert!((value - found.bound).abs() <= 1e-9, "{value} {}", found.bound);
            assert!(norm2(&slice.residual(&found.y).0) <= 1e-10);
            for j in 0..m {
                let gradient = bend[j] * found.y[j] + linear[j] - found.slopes[j];
                let held =
                    (found.y[j] <= lower[j] && gradient >= -1e-9) || (found.y[j] >= upper[j] && gradient <= 1e-9);
                assert!(held || gradient.abs() <= 1e-9, "{j}: {gradient}");
            }
        }
    }

    #[test]
    fn a_slice_beside_the_box_is_told() {
        let mut rng = ChaCha8Rng::seed_from_u64(9);
        let c = normal_matrix(3, 8, 1.0, &mut rng);
        let slice = Slice {
            rows: &c,
            right: &[50.0, 0.0, 1.0],
            bend: &[1.0; 8],
            linear: &[0.0; 8],
            lower: &[-1.0; 8],
            upper: &[1.0; 8],
        };
        assert!(slice.nearest(1e-9).is_none());
    }
}
