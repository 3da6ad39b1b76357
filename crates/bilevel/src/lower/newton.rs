//! Smoothed followers over a box: projected Newton (Bertsekas 1982) from a warm start.
//!
//! On the variables off their bounds a Newton step, on the others a gradient step, and Armijo's rule along the projected
//! path. With few variables the step comes from a Cholesky factorisation, with many from conjugate gradients on products
//! with the Hessian, preconditioned.

use bilevel_linalg::vector::norm_inf;
use bilevel_linalg::{Cholesky, Dense};

use super::FollowerProgram;
use crate::nlp::Nlp;
use crate::problem::Product;

/// When to stop, and the box.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// Bound on ‖y − P(y − ∇f)‖∞, relative to 1 + ‖∇f‖∞.
    pub tolerance: f64,
    /// Most Newton steps.
    pub max_iterations: usize,
    /// Up to this many variables the Hessian is formed.
    pub dense: usize,
    /// Lower bounds.
    pub lower: &'a [f64],
    /// Upper bounds.
    pub upper: &'a [f64],
}

/// An approximate inverse of the Hessian.
pub trait Preconditioner {
    /// Prepares the one at y.
    fn prepare(&mut self, y: &[f64]);
    /// Writes it times `r`.
    fn apply(&mut self, r: &[f64], out: &mut [f64]);
}

/// What the method found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The point.
    pub y: Vec<f64>,
    /// The objective there, regulariser included.
    pub value: f64,
    /// ‖y − P(y − ∇f)‖∞ relative to 1 + ‖∇f‖∞; NaN if something was not finite.
    pub residual: f64,
}

/// Sufficient decrease.
const ARMIJO: f64 = 1e-4;
/// Variables within this of a bound that the gradient pushes against are held.
const NEAR: f64 = 1e-12;
/// Differences of values below this, relative to 1 + |f|, are rounding.
const ROUNDING: f64 = 1e-14;
/// Rounds of conjugate gradients at most.
const ROUNDS: usize = 300;

/// Minimises the programme's objective over the box, from `start`.
pub fn minimise(
    programme: &mut FollowerProgram<'_>,
    start: &[f64],
    settings: &Settings<'_>,
    preconditioner: &mut dyn Preconditioner,
) -> Found {
    let d = start.len();
    let clip = |j: usize, v: f64| v.max(settings.lower[j]).min(settings.upper[j]);
    let mut y: Vec<f64> = (0..d).map(|j| clip(j, start[j])).collect();
    let (mut gradient, mut trial) = (vec![0.0; d], vec![0.0; d]);
    let mut value = programme.objective(&y);
    programme.gradient(&y, &mut gradient);
    let mut step = Step::new(d, settings.dense);
    let mut best = f64::INFINITY;
    let mut stalled = 0;
    let residual = |y: &[f64], g: &[f64]| {
        let largest = (0..d).fold(0.0, |a: f64, j| a.max((y[j] - clip(j, y[j] - g[j])).abs()));
        if g.iter().all(|g| g.is_finite()) { largest / (1.0 + norm_inf(g)) } else { f64::NAN }
    };
    for _ in 0..settings.max_iterations {
        if bilevel_linalg::stop::asked() {
            break;
        }
        let reached = residual(&y, &gradient);
        stalled = if reached < 0.5 * best { 0 } else { stalled + 1 };
        best = best.min(reached);
        // Residuals that no longer fall are rounding.
        if reached <= settings.tolerance || !reached.is_finite() || (stalled > 6 && reached <= 1e-7) {
            break;
        }
        let held = |j: usize| {
            let near = |bound: f64| bound.is_finite() && (y[j] - bound).abs() <= NEAR * (1.0 + bound.abs());
            (gradient[j] > 0.0 && near(settings.lower[j])) || (gradient[j] < 0.0 && near(settings.upper[j]))
        };
        let free: Vec<usize> = (0..d).filter(|&j| !held(j)).collect();
        step.compute(programme, (&y, &gradient), &free, reached, preconditioner);
        let (mut length, mut moved) = (1.0, false);
        for _ in 0..40 {
            (0..d).for_each(|j| trial[j] = clip(j, y[j] + length * step.direction[j]));
            let slope: f64 = (0..d).map(|j| gradient[j] * (trial[j] - y[j])).sum();
            let found = programme.objective(&trial);
            if found <= value + ARMIJO * slope + ROUNDING * (1.0 + value.abs()) {
                (value, moved) = (found, true);
                y.copy_from_slice(&trial);
                break;
            }
            length *= 0.4;
        }
        if !moved {
            break;
        }
        programme.gradient(&y, &mut gradient);
    }
    Found { residual: residual(&y, &gradient), value, y }
}

struct Step {
    direction: Vec<f64>,
    dense: usize,
    hessian: Dense,
    product: Vec<f64>,
    residual: Vec<f64>,
    scaled: Vec<f64>,
    search: Vec<f64>,
    total: Vec<f64>,
}

impl Step {
    fn new(d: usize, dense: usize) -> Self {
        let zeros = || vec![0.0; d];
        Self {
            direction: zeros(),
            dense,
            hessian: Dense::zeros(0, 0),
            product: zeros(),
            residual: zeros(),
            scaled: zeros(),
            search: zeros(),
            total: zeros(),
        }
    }

    fn compute(
        &mut self,
        programme: &mut FollowerProgram<'_>,
        (y, gradient): (&[f64], &[f64]),
        free: &[usize],
        reached: f64,
        preconditioner: &mut dyn Preconditioner,
    ) {
        self.direction.iter_mut().zip(gradient).for_each(|(d, g)| *d = -g);
        if free.is_empty() {
            return;
        }
        let solved = y.len() <= self.dense && self.factored(programme, y, gradient, free);
        if !solved {
            preconditioner.prepare(y);
            programme.with_hessian(y, &mut |product| {
                self.conjugate_gradients(product, gradient, free, reached, preconditioner);
            });
        }
        let downhill: f64 = free.iter().map(|&j| self.direction[j] * gradient[j]).sum();
        if !downhill.is_finite() || downhill >= 0.0 {
            free.iter().for_each(|&j| self.direction[j] = -gradient[j]);
        }
    }

    fn factored(&mut self, programme: &mut FollowerProgram<'_>, y: &[f64], gradient: &[f64], free: &[usize]) -> bool {
        self.hessian.reset(y.len(), y.len());
        if !programme.hessian(y, 1.0, &[], &mut self.hessian) {
            return false;
        }
        let matrix = Dense::from_fn(free.len(), free.len(), |a, b| self.hessian[(free[a], free[b])]);
        let largest = (0..free.len()).fold(0.0, |m: f64, a| m.max(matrix[(a, a)]));
        let mut factors = Cholesky::new();
        let shifts = [0.0, 1e-12 * largest, 1e-8 * largest];
        let mut step: Vec<f64> = free.iter().map(|&j| -gradient[j]).collect();
        let factored = shifts.iter().any(|&shift| factors.factor(&matrix, shift).is_ok());
        if !factored || factors.solve(&mut step).is_err() || step.iter().any(|s| !s.is_finite()) {
            return false;
        }
        free.iter().zip(&step).for_each(|(&j, s)| self.direction[j] = *s);
        true
    }

    /// H d = −g on the free variables, to a tolerance that falls with the residual.
    fn conjugate_gradients(
        &mut self,
        product: &mut Product<'_>,
        gradient: &[f64],
        free: &[usize],
        reached: f64,
        preconditioner: &mut dyn Preconditioner,
    ) {
        for v in [&mut self.residual, &mut self.search, &mut self.total] {
            v.fill(0.0);
        }
        free.iter().for_each(|&j| self.residual[j] = -gradient[j]);
        preconditioner.apply(&self.residual, &mut self.scaled);
        free.iter().for_each(|&j| self.search[j] = self.scaled[j]);
        let mut size = self.inner(free);
        let target = size * reached.sqrt().clamp(1e-6, 0.1).powi(2);
        for _ in 0..ROUNDS {
            product(&self.search, &mut self.product);
            let curvature: f64 = free.iter().map(|&j| self.search[j] * self.product[j]).sum();
            if curvature.is_nan() || curvature <= 0.0 || size.is_nan() {
                break;
            }
            let alpha = size / curvature;
            for &j in free {
                self.total[j] += alpha * self.search[j];
                self.residual[j] -= alpha * self.product[j];
            }
            preconditioner.apply(&self.residual, &mut self.scaled);
            let next = self.inner(free);
            if next <= target {
                break;
            }
            let beta = next / size;
            free.iter().for_each(|&j| self.search[j] = self.scaled[j] + beta * self.search[j]);
            size = next;
        }
        if self.total.iter().any(|t| *t != 0.0) {
            free.iter().for_each(|&j| self.direction[j] = self.total[j]);
        }
    }

    fn inner(&self, free: &[usize]) -> f64 {
        free.iter().map(|&j| self.residual[j] * self.scaled[j]).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Matrix;
    use crate::lower::{Follower, Regulariser};
    use crate::nlp::interior_point;
    use crate::problem::{Failures, Model};
    use crate::set::Bounds;
    use crate::smooth::{Chks, Smoothing};

    /// No preconditioner.
    struct Plain;

    impl Preconditioner for Plain {
        fn prepare(&mut self, _: &[f64]) {}
        fn apply(&mut self, r: &[f64], out: &mut [f64]) {
            out.copy_from_slice(r);
        }
    }

    #[test]
    fn as_the_interior_point_method() {
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
        let y = model.follower("y", 6).within(Bounds::new(-0.3, 2.0).unwrap()).unwrap();
        let a = Matrix::from(Dense::from_fn(9, 6, |i, j| ((i * 5 + j * 7) % 13) as f64 / 6.0 - 1.0));
        let b = x.graph().constant_vector(&[1.0, -2.0, 0.5, 0.3, -0.8, 1.4, 0.2, -0.6, 0.9]);
        let lower = (&a * &y - b).norm2sq() / 2.0 + x.sum() * y.norm1();
        let problem = model.upper(x.sum()).lower(lower).build().unwrap();
        let follower = Follower::direct(&problem);
        let mut programme = FollowerProgram::new(&follower, &Failures::default());
        let regulariser = Regulariser { weight: 1e-3, centre: vec![0.1; 6] };
        for mu in [1.0, 1e-2, 1e-4] {
            programme.fix(&[0.7], Smoothing::new(&Chks, mu), &regulariser);
            let expected = interior_point::solve(&mut programme, &[0.5; 6], &interior_point::Settings::default());
            for dense in [0, 6] {
                let (lower, upper) = (&follower.lower[..], &follower.upper[..]);
                let settings = Settings { tolerance: 1e-10, max_iterations: 200, dense, lower, upper };
                let found = minimise(&mut programme, &[0.5; 6], &settings, &mut Plain);
                assert!(found.residual <= 1e-9, "{mu} {dense}: {}", found.residual);
                assert!((found.value - expected.objective).abs() < 1e-8, "{} {}", found.value, expected.objective);
            }
        }
    }
}
