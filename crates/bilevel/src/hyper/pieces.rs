//! One step for functions made of quadratic pieces, some of them flat, such as Σ (|z_j| − 1)₊².
//!
//! A trust region crosses flat pieces one after the other, in hundreds of iterations if slopes differ in size. Instead:
//! the part s of −g in the kernel of the Hessian H here leads far out, z₁ = z + t s, to the pieces that bound the function
//! below; Newton's step from there lands at the minimum of an outer piece. Whether that is an improvement, the value says.
//!
//! ```text
//! s = −g − H⁺ H (−g),     z⁺ = z₁ − H(z₁)⁺ g(z₁)
//! ```
//!
//! Both pseudo-inverses by conjugate gradients that stop where only curvature at the level of rounding is left.

use bilevel_linalg::vector::{add_scaled, axpy, dot, norm2};

use super::descent::SmoothFunction;

/// How far out, relative to 1 + ‖z‖, in this order: the far end reaches the pieces behind small slopes too, the near one
/// is not spoilt by rounding.
const OUT: [f64; 2] = [1e8, 1e4];
/// Curvature below this, relative to the largest met, counts as none.
const FLAT: f64 = 1e-9;
/// Relative residuals of the two systems.
const KERNEL: f64 = 1e-10;
const NEWTON: f64 = 1e-15;
/// Slopes in the kernel below this, relative to g, are not looked at.
const LEAST: f64 = 1e-9;

/// The step's end and the memory to find it.
pub(super) struct Pieces {
    /// Where the last step ended.
    pub end: Vec<f64>,
    out: Vec<f64>,
    slope: Vec<f64>,
    flat: Vec<f64>,
    step: Vec<f64>,
    residual: Vec<f64>,
    direction: Vec<f64>,
    product: Vec<f64>,
}

impl Pieces {
    pub fn new(d: usize) -> Self {
        let zeros = || vec![0.0; d];
        Self {
            end: zeros(),
            out: zeros(),
            slope: zeros(),
            flat: zeros(),
            step: zeros(),
            residual: zeros(),
            direction: zeros(),
            product: zeros(),
        }
    }

    /// The value at `end` if a step from z, where the value is `value` and the gradient `g`, leads lower.
    pub fn step(&mut self, function: &mut dyn SmoothFunction, z: &[f64], value: f64, g: &[f64]) -> Option<f64> {
        function.product(z, g, &mut self.slope);
        self.solve(function, z, KERNEL);
        add_scaled(&self.step, -1.0, g, &mut self.flat);
        let size = norm2(&self.flat);
        if size <= LEAST * norm2(g) || size.is_nan() {
            return None;
        }
        for far in OUT {
            add_scaled(z, far * (1.0 + norm2(z)) / size, &self.flat, &mut self.out);
            let out = std::mem::take(&mut self.out);
            function.gradient(&out, &mut self.slope);
            let curved = self.solve(function, &out, NEWTON);
            add_scaled(&out, -1.0, &self.step, &mut self.end);
            self.out = out;
            let new = if curved { function.value(&self.end) } else { f64::INFINITY };
            if new < value {
                return Some(new);
            }
        }
        None
    }

    /// `step` = H(z)⁺ `slope`; false where the first direction is flat.
    fn solve(&mut self, function: &mut dyn SmoothFunction, z: &[f64], tolerance: f64) -> bool {
        self.step.fill(0.0);
        self.residual.copy_from_slice(&self.slope);
        self.direction.copy_from_slice(&self.slope);
        let mut square = dot(&self.residual, &self.residual);
        let (goal, mut largest) = (tolerance * square.sqrt(), 0.0f64);
        let rounds = if square > 0.0 { 2 * z.len() + 10 } else { 0 };
        for round in 0..rounds {
            function.product(z, &self.direction, &mut self.product);
            let (curvature, length) = (dot(&self.direction, &self.product), norm2(&self.direction));
            largest = largest.max(norm2(&self.product) / length);
            if curvature <= FLAT * largest * length * length || curvature.is_nan() {
                return round > 0;
            }
            let alpha = square / curvature;
            axpy(alpha, &self.direction, &mut self.step);
            axpy(-alpha, &self.product, &mut self.residual);
            let new = dot(&self.residual, &self.residual);
            if new.sqrt() <= goal {
                return true;
            }
            let beta = new / square;
            square = new;
            for (s, r) in self.direction.iter_mut().zip(&self.residual) {
                *s = r + beta * *s;
            }
        }
        rounds > 0
    }
}
