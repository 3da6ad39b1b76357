//! Unconstrained minimisation of a smooth function by truncated Newton steps in a trust region (Steihaug 1983; Nocedal &
//! Wright, *Numerical Optimization*, algorithms 4.1 and 7.2). Second derivatives enter as products only. Where the model has
//! no curvature along its step, the pieces further out are tried first (`pieces`).

use bilevel_linalg::vector::{add_scaled, axpy, dot, norm2};

use super::pieces::Pieces;

/// A function of z with first derivatives and Hessian products.
pub(super) trait SmoothFunction {
    /// The value at z.
    fn value(&mut self, z: &[f64]) -> f64;
    /// Writes the gradient.
    fn gradient(&mut self, z: &[f64], out: &mut [f64]);
    /// Writes the Hessian times d.
    fn product(&mut self, z: &[f64], d: &[f64], out: &mut [f64]);
}

/// How a descent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The gradient is within its tolerance, or at the level of rounding.
    Converged,
    /// The points run away while the value falls.
    Unbounded,
    /// The iteration limit.
    Limit,
    /// NaN.
    Numerical,
}

/// What a descent found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Descent {
    /// The value.
    pub value: f64,
    /// How it ended.
    pub end: End,
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// The gradient's length to be reached.
    pub gradient: f64,
    /// Most iterations.
    pub iterations: usize,
    /// Whether flat pieces are crossed at once: for F on S(x). A function that flattens out smoothly has no pieces, and a
    /// step far out only costs it digits.
    pub pieces: bool,
}

/// Points farther than this from the start, relative to 1 + its size, have left for infinity.
const FAR: f64 = 1e9;
/// Rounding of a value, relative to its size.
const NOISE: f64 = 1e-14;
/// Curvature along a step below this, relative to the largest met on the way, is a lack of curvature.
const FLAT: f64 = 1e-3;

/// Minimises from `z`, which becomes the best point found.
pub(super) fn descend(function: &mut dyn SmoothFunction, z: &mut [f64], limits: Limits) -> Descent {
    let d = z.len();
    let far = FAR * (1.0 + norm2(z));
    let mut step = Step::new(d);
    let (mut gradient, mut next) = (vec![0.0; d], vec![0.0; d]);
    let (mut trial, mut radius) = (vec![0.0; d], 1.0 + norm2(z));
    let mut value = function.value(z);
    function.gradient(z, &mut gradient);
    let mut size = norm2(&gradient);
    let first = size;
    let mut pieces = limits.pieces.then(|| Pieces::new(d));
    for _ in 0..limits.iterations {
        if bilevel_linalg::stop::asked() {
            break;
        }
        if !(value.is_finite() && size.is_finite()) {
            return Descent { value, end: if value == f64::NEG_INFINITY { End::Unbounded } else { End::Numerical } };
        }
        if size <= limits.gradient {
            return Descent { value, end: End::Converged };
        }
        let forcing = (size / first).sqrt().min(0.1);
        step.truncated(function, z, &gradient, forcing * size, radius);
        if let Some(outer) = pieces.as_mut().filter(|_| step.flat) {
            if let Some(lower) = outer.step(function, z, value, &gradient) {
                z.copy_from_slice(&outer.end);
                function.gradient(z, &mut gradient);
                (value, size) = (lower, norm2(&gradient));
                continue;
            }
            pieces = None;
        }
        add_scaled(z, 1.0, &step.p, &mut trial);
        let new = function.value(&trial);
        let noise = NOISE * (1.0 + value.abs());
        let predicted = step.predicted.max(0.0);
        let small = predicted <= 10.0 * noise;
        let ratio = (value - new + noise) / (predicted + noise);
        let mut accepted = new.is_finite() && ratio > 1e-4;
        if accepted {
            function.gradient(&trial, &mut next);
            // Where values cannot tell any more, the gradient must fall.
            accepted = !small || norm2(&next) < 0.9 * size;
        }
        let length = norm2(&step.p);
        if !accepted && small {
            return Descent { value, end: End::Converged };
        }
        if !accepted || ratio < 0.25 {
            radius = 0.25 * length;
        } else if ratio > 0.75 && length > 0.9 * radius {
            radius *= 3.0;
        }
        if accepted {
            z.copy_from_slice(&trial);
            std::mem::swap(&mut gradient, &mut next);
            (value, size) = (new, norm2(&gradient));
            if norm2(z) > far {
                return Descent { value, end: End::Unbounded };
            }
        }
    }
    Descent { value, end: End::Limit }
}

/// The step and the memory to compute it.
struct Step {
    p: Vec<f64>,
    /// The Hessian times p.
    bent: Vec<f64>,
    residual: Vec<f64>,
    direction: Vec<f64>,
    product: Vec<f64>,
    predicted: f64,
    /// Whether it ends at the boundary for lack of curvature.
    flat: bool,
}

impl Step {
    fn new(d: usize) -> Self {
        let zeros = || vec![0.0; d];
        Self {
            p: zeros(),
            bent: zeros(),
            residual: zeros(),
            direction: zeros(),
            product: zeros(),
            predicted: 0.0,
            flat: false,
        }
    }

    /// Minimises the quadratic model by conjugate gradients, up to the trust region's boundary.
    fn truncated(&mut self, function: &mut dyn SmoothFunction, z: &[f64], g: &[f64], tolerance: f64, radius: f64) {
        let d = z.len();
        self.p.fill(0.0);
        self.bent.fill(0.0);
        self.flat = false;
        for ((r, s), g) in self.residual.iter_mut().zip(&mut self.direction).zip(g) {
            (*r, *s) = (-g, -g);
        }
        let mut square = dot(&self.residual, &self.residual);
        let mut stiffest: f64 = 0.0;
        for _ in 0..2 * d + 10 {
            function.product(z, &self.direction, &mut self.product);
            let curvature = dot(&self.direction, &self.product);
            stiffest = stiffest.max(norm2(&self.product) / norm2(&self.direction));
            let length = dot(&self.direction, &self.direction);
            let to_boundary = boundary(&self.p, &self.direction, radius);
            // Curvature at the level of rounding counts as none: the boundary is the better guess.
            let flat = curvature <= 1e-15 * length.sqrt() * norm2(&self.product) || curvature <= 0.0;
            let alpha = if flat { to_boundary } else { (square / curvature).min(to_boundary) };
            axpy(alpha, &self.direction, &mut self.p);
            axpy(alpha, &self.product, &mut self.bent);
            if flat || alpha >= to_boundary {
                self.flat = curvature.abs() <= FLAT * stiffest * length;
                break;
            }
            axpy(-alpha, &self.product, &mut self.residual);
            let new = dot(&self.residual, &self.residual);
            if new.sqrt() <= tolerance {
                break;
            }
            let beta = new / square;
            square = new;
            for (s, r) in self.direction.iter_mut().zip(&self.residual) {
                *s = r + beta * *s;
            }
        }
        self.predicted = -(dot(g, &self.p) + 0.5 * dot(&self.bent, &self.p));
    }
}

/// The t >= 0 with ‖p + t d‖ = radius.
fn boundary(p: &[f64], d: &[f64], radius: f64) -> f64 {
    let (dd, pd, pp) = (dot(d, d), dot(p, d), dot(p, p));
    let inside = (radius * radius - pp).max(0.0);
    let root = (pd * pd + dd * inside).sqrt();
    if pd > 0.0 { inside / (pd + root) } else { (root - pd) / dd }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rosenbrock's function.
    struct Valley;

    impl SmoothFunction for Valley {
        fn value(&mut self, z: &[f64]) -> f64 {
            100.0 * (z[1] - z[0] * z[0]).powi(2) + (1.0 - z[0]).powi(2)
        }
        fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
            let r = z[1] - z[0] * z[0];
            out.copy_from_slice(&[-400.0 * z[0] * r - 2.0 * (1.0 - z[0]), 200.0 * r]);
        }
        fn product(&mut self, z: &[f64], d: &[f64], out: &mut [f64]) {
            let r = z[1] - z[0] * z[0];
            out[0] = (-400.0 * r + 800.0 * z[0] * z[0] + 2.0) * d[0] - 400.0 * z[0] * d[1];
            out[1] = -400.0 * z[0] * d[0] + 200.0 * d[1];
        }
    }

    /// Σ c_j z_j + (|z_j| − 1)₊²: no curvature between −1 and 1.
    struct Wells(Vec<f64>);

    impl SmoothFunction for Wells {
        fn value(&mut self, z: &[f64]) -> f64 {
            z.iter().zip(&self.0).map(|(z, c)| c * z + (z.abs() - 1.0).max(0.0).powi(2)).sum()
        }
        fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
            for ((o, z), c) in out.iter_mut().zip(z).zip(&self.0) {
                *o = c + 2.0 * (z.abs() - 1.0).max(0.0) * z.signum();
            }
        }
        fn product(&mut self, z: &[f64], d: &[f64], out: &mut [f64]) {
            for ((o, z), d) in out.iter_mut().zip(z).zip(d) {
                *o = if z.abs() > 1.0 { 2.0 * d } else { 0.0 };
            }
        }
    }

    const LIMITS: Limits = Limits { gradient: 1e-12, iterations: 200, pieces: true };

    #[test]
    fn curved_valley() {
        let mut z = [-1.2, 1.0];
        let found = descend(&mut Valley, &mut z, LIMITS);
        assert_eq!(found.end, End::Converged);
        assert!((z[0] - 1.0).abs() < 1e-9 && (z[1] - 1.0).abs() < 1e-9, "{z:?}");
    }

    #[test]
    fn flat_pieces_are_crossed() {
        let c = vec![0.3, -2.0, 1e-3, 5.0];
        let mut z = vec![0.0; 4];
        let found = descend(&mut Wells(c.clone()), &mut z, LIMITS);
        assert_eq!(found.end, End::Converged);
        for (z, c) in z.iter().zip(&c) {
            assert!((z + c.signum() + c / 2.0).abs() < 1e-10, "{z} {c}");
        }
    }

    /// Slopes of very different sizes: pieces are not crossed one by one, which takes hundreds of iterations.
    #[test]
    fn many_flat_pieces_at_once() {
        for scale in [1.0, 1e-3, 1e-6] {
            let c: Vec<f64> = (0..60).map(|j| scale * f64::from(j % 7 - 3) * 0.1f64.powi(j % 5)).collect();
            for start in [0.0, 1.0, -1.0] {
                let mut z = vec![start; 60];
                let found =
                    descend(&mut Wells(c.clone()), &mut z, Limits { gradient: 1e-14, iterations: 12, pieces: true });
                assert_eq!(found.end, End::Converged, "{scale}");
                for (z, c) in z.iter().zip(&c).filter(|(_, c)| **c != 0.0) {
                    assert!((z + c.signum() + c / 2.0).abs() < 1e-8, "{scale}: {z} {c}");
                }
            }
        }
    }

    #[test]
    fn no_minimum_is_said() {
        struct Slope;
        impl SmoothFunction for Slope {
            fn value(&mut self, z: &[f64]) -> f64 {
                z[0] - (1.0 + z[0] * z[0]).sqrt() - 0.1 * z[0]
            }
            fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
                out[0] = 0.9 - z[0] / (1.0 + z[0] * z[0]).sqrt();
            }
            fn product(&mut self, z: &[f64], d: &[f64], out: &mut [f64]) {
                out[0] = -d[0] / (1.0 + z[0] * z[0]).powf(1.5);
            }
        }
        assert_eq!(descend(&mut Slope, &mut [3.0], LIMITS).end, End::Unbounded);
    }
}
