//! The least separable quadratic F over many consistent equations, without factors: Craig's method (Craig 1955; Björck 1996,
//! section 7.4), conjugate gradients on C D⁻¹ Cᵀ ν = d − C y₀ with the iterates kept in y:
//!
//! ```text
//! minimise ½ (y − y₀)ᵀ D (y − y₀)  subject to C y = d:      D (y − y₀) = Cᵀν
//! α = ‖r‖² / pᵀDp,  y += α p,  r −= α C p,  p = D⁻¹ Cᵀ r + β p
//! ```
//!
//! α is known before C p is, so that each step is one pass over the rows. F(y) + νᵀr is the dual value at ν, a lower bound;
//! it falls short of the least value by half the squared error of y, of which every step takes α ‖r‖² off.

use bilevel_linalg::Dense;
use bilevel_linalg::vector::{axpy, dot, norm2_squared};

/// Most steps.
const STEPS: usize = 3000;
/// Steps over which the rate is taken.
const WINDOW: usize = 10;
/// Residuals below this, relative to the first, are rounding.
const ROUNDING: f64 = 1e-13;

/// Where the method ended.
pub(super) struct Craig {
    /// y.
    pub y: Vec<f64>,
    /// νᵀ (d − C y).
    pub left: f64,
    /// What the dual value falls short of the least value by, estimated from the rate.
    pub error: f64,
    /// Passes over the rows.
    pub passes: u64,
}

/// From y₀, until the dual value is estimated to be within `accuracy`; `None` where that is not reached, such as for
/// equations that contradict each other.
pub(super) fn craig(rows: &Dense, right: &[f64], bend: &[f64], y0: Vec<f64>, accuracy: f64) -> Option<Craig> {
    let mut y = y0;
    let mut residual = right.to_vec();
    rows.mul_add(-1.0, &y, &mut residual);
    let mut image = vec![0.0; y.len()];
    rows.transpose_mul_add(1.0, &residual, &mut image);
    let over = |image: &[f64]| -> Vec<f64> { image.iter().zip(bend).map(|(g, a)| g / a).collect() };
    let mut direction = over(&image);
    let (mut nu, mut pi) = (vec![0.0; right.len()], residual.clone());
    let first = norm2_squared(&residual);
    let mut square = first;
    let mut gains: Vec<f64> = Vec::new();
    let floor = first * ROUNDING * ROUNDING;
    for step in 0..STEPS {
        if square <= floor {
            let left = residual_product(rows, right, &y, &nu);
            return Some(Craig { y, left, error: square * 1e-12, passes: step as u64 + 3 });
        }
        let bent: f64 = direction.iter().zip(bend).map(|(p, a)| p * p * a).sum();
        let alpha = square / bent;
        if !(alpha > 0.0 && alpha.is_finite()) {
            return None;
        }
        gains.push(0.5 * alpha * square);
        axpy(alpha, &direction, &mut y);
        axpy(alpha, &pi, &mut nu);
        image.fill(0.0);
        for (i, r) in residual.iter_mut().enumerate() {
            let row = rows.row(i);
            *r -= alpha * dot(row, &direction);
            axpy(*r, row, &mut image);
        }
        let new = norm2_squared(&residual);
        let beta = new / square;
        square = new;
        direction.iter_mut().zip(image.iter().zip(bend)).for_each(|(p, (g, a))| *p = g / a + beta * *p);
        pi.iter_mut().zip(&residual).for_each(|(p, r)| *p = r + beta * *p);
        if let Some(error) = tail(&gains).filter(|error| *error <= 0.25 * accuracy) {
            let left = residual_product(rows, right, &y, &nu);
            return Some(Craig { y, left, error, passes: step as u64 + 4 });
        }
    }
    None
}

/// What is still to be gained, from the largest gains of the last two windows.
fn tail(gains: &[f64]) -> Option<f64> {
    let count = gains.len();
    if count < 2 * WINDOW {
        return None;
    }
    let largest = |range: &[f64]| range.iter().fold(0.0, |a: f64, g| a.max(*g));
    let (before, last) = (largest(&gains[count - 2 * WINDOW..count - WINDOW]), largest(&gains[count - WINDOW..]));
    let rate = last / before;
    (rate < 0.9).then(|| last * WINDOW as f64 * rate / (1.0 - rate))
}

/// νᵀ (d − C y), computed afresh.
fn residual_product(rows: &Dense, right: &[f64], y: &[f64], nu: &[f64]) -> f64 {
    let mut residual = right.to_vec();
    rows.mul_add(-1.0, y, &mut residual);
    dot(nu, &residual)
}

#[cfg(test)]
mod tests {
    use bilevel_linalg::Svd;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::super::testing::{normal_matrix, normals};
    use super::*;

    #[test]
    fn the_nearest_point_by_the_pseudo_inverse() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let c = normal_matrix(30, 80, 1.0, &mut rng);
        let (right, y0) = (normals(30, &mut rng), normals(80, &mut rng));
        let mut off = right.clone();
        c.mul_add(-1.0, &y0, &mut off);
        let mut step = vec![0.0; 80];
        Svd::new(&c, None).unwrap().solve(&off, &mut step).unwrap();
        let least = 0.5 * 2.0 * norm2_squared(&step);
        for accuracy in [1e-1, 1e-4, 1e-9] {
            let found = craig(&c, &right, &[2.0; 80], y0.clone(), accuracy).unwrap();
            let moved: f64 = found.y.iter().zip(&y0).map(|(a, b)| (a - b) * (a - b)).sum();
            let dual = moved + found.left;
            assert!(dual <= least + 1e-12 * least && least <= dual + found.error + accuracy, "{dual} {least}");
        }
        let contradicting = Dense::from_fn(2, 3, |_, j| j as f64);
        assert!(craig(&contradicting, &[1.0, 2.0], &[1.0; 3], vec![0.0; 3], 1e-6).is_none());
    }
}
