//! Accelerated projected gradient for large followers whose constraints are their set alone.
//!
//! ```text
//! y⁺ = P_Y(w − ∇f(w) / L),   w⁺ = y⁺ + β (y⁺ − y)
//! ```
//!
//! with L by backtracking (Beck & Teboulle 2009, FISTA) and a restart of the momentum whenever it points uphill
//! (O'Donoghue & Candès 2015). First derivatives only, no matrices: work and memory grow with the formula alone.

use crate::nlp::Nlp;
use crate::set::{ConvexSet, Set};

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bound on ‖y − P_Y(y − ∇f(y))‖∞, relative to 1 + ‖∇f(y)‖∞.
    pub tolerance: f64,
    /// Most iterations.
    pub max_iterations: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tolerance: 1e-10, max_iterations: 50_000 }
    }
}

/// What the method found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The point, in the set.
    pub y: Vec<f64>,
    /// The objective there.
    pub value: f64,
    /// ‖y − P_Y(y − ∇f(y))‖∞ relative to 1 + ‖∇f(y)‖∞; NaN if something was not finite.
    pub residual: f64,
    /// Whether the point ran away: the objective has no minimum.
    pub unbounded: bool,
}

/// Points beyond this have left for infinity.
const FAR: f64 = 1e12;

/// Minimises the programme's objective over `set`, from `start`; the programme's own bounds and rows are not looked at.
pub fn minimise(programme: &mut dyn Nlp, set: &Set, start: &[f64], settings: &Settings) -> Found {
    let d = start.len();
    let (mut y, mut previous) = (vec![0.0; d], vec![0.0; d]);
    set.project(start, &mut y);
    previous.copy_from_slice(&y);
    let mut w = y.clone();
    let (mut gradient, mut trial, mut shifted) = (vec![0.0; d], vec![0.0; d], vec![0.0; d]);
    let (mut lipschitz, mut momentum) = (1.0, 1.0_f64);
    for _ in 0..settings.max_iterations {
        if bilevel_linalg::stop::asked() {
            break;
        }
        let value = programme.objective(&w);
        programme.gradient(&w, &mut gradient);
        loop {
            step(set, &w, &gradient, 1.0 / lipschitz, &mut shifted, &mut trial);
            let (linear, square) = differences(&gradient, &w, &trial);
            let bound = value + linear + 0.5 * lipschitz * square;
            // Rounding of the values must not drive L to infinity once the steps are tiny.
            if programme.objective(&trial) <= bound + 1e-15 * (1.0 + value.abs()) || lipschitz > 1e18 {
                break;
            }
            lipschitz *= 2.0;
        }
        std::mem::swap(&mut previous, &mut y);
        y.copy_from_slice(&trial);
        let uphill: f64 = (0..d).map(|j| (w[j] - y[j]) * (y[j] - previous[j])).sum();
        let next = if uphill > 0.0 { 1.0 } else { 0.5 * (1.0 + (1.0 + 4.0 * momentum * momentum).sqrt()) };
        let beta = if uphill > 0.0 { 0.0 } else { (momentum - 1.0) / next };
        momentum = next;
        for j in 0..d {
            w[j] = y[j] + beta * (y[j] - previous[j]);
        }
        lipschitz *= 0.98;
        let residual = residual(programme, set, &y, &mut gradient, &mut shifted, &mut trial);
        let far = y.iter().any(|v| v.abs() > FAR);
        if residual <= settings.tolerance || residual.is_nan() || far {
            break;
        }
    }
    let residual = residual(programme, set, &y, &mut gradient, &mut shifted, &mut trial);
    Found { value: programme.objective(&y), residual, unbounded: y.iter().any(|v| v.abs() > FAR), y }
}

/// `out = P(w − length * gradient)`.
fn step(set: &Set, w: &[f64], gradient: &[f64], length: f64, shifted: &mut [f64], out: &mut [f64]) {
    for ((s, w), g) in shifted.iter_mut().zip(w).zip(gradient) {
        *s = w - length * g;
    }
    set.project(shifted, out);
}

/// The inner product of the gradient with `to − from`, and the squared length of that.
fn differences(gradient: &[f64], from: &[f64], to: &[f64]) -> (f64, f64) {
    let steps = || to.iter().zip(from).map(|(t, f)| t - f);
    (gradient.iter().zip(steps()).map(|(g, s)| g * s).sum(), steps().map(|s| s * s).sum())
}

fn residual(
    programme: &mut dyn Nlp,
    set: &Set,
    y: &[f64],
    gradient: &mut [f64],
    shifted: &mut [f64],
    projected: &mut [f64],
) -> f64 {
    programme.gradient(y, gradient);
    step(set, y, gradient, 1.0, shifted, projected);
    let size = 1.0 + gradient.iter().fold(0.0, |a: f64, g| a.max(g.abs()));
    let largest = y.iter().zip(projected.iter()).fold(0.0, |a: f64, (y, p)| a.max((y - p).abs()));
    if gradient.iter().all(|g| g.is_finite()) { largest / size } else { f64::NAN }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nlp::Frame;
    use crate::set::{Bounds, Simplex};
    use bilevel_linalg::Dense;

    /// ½ Σ c_j (y_j − a_j)².
    struct Separable {
        c: Vec<f64>,
        a: Vec<f64>,
        frame: Frame,
    }

    impl Separable {
        fn new(d: usize) -> Self {
            let c = (0..d).map(|j| 1.0 + (j % 50) as f64).collect();
            let a = (0..d).map(|j| ((j * 37) % 101) as f64 / 25.0 - 2.0).collect();
            Self { c, a, frame: Frame::bounded(vec![f64::NEG_INFINITY; d], vec![f64::INFINITY; d]) }
        }
    }

    impl Nlp for Separable {
        fn frame(&self) -> &Frame {
            &self.frame
        }
        fn objective(&mut self, z: &[f64]) -> f64 {
            z.iter().zip(&self.a).zip(&self.c).map(|((z, a), c)| 0.5 * c * (z - a) * (z - a)).sum()
        }
        fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
            for j in 0..z.len() {
                out[j] = self.c[j] * (z[j] - self.a[j]);
            }
        }
        fn constraints(&mut self, _: &[f64], _: &mut [f64]) {}
        fn jacobian(&mut self, _: &[f64], _: &mut Dense) {}
        fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
            false
        }
    }

    #[test]
    fn box_by_clipping() {
        let mut programme = Separable::new(1000);
        let set = Set::from(Bounds::uniform(1000, -1.0, 1.0).unwrap());
        let found = minimise(&mut programme, &set, &vec![0.3; 1000], &Settings::default());
        assert!(found.residual <= 1e-10 && !found.unbounded);
        // The residual is relative to 1 + the largest slope, at most 1 + 3 * 50, and the least curvature is 1.
        for (y, a) in found.y.iter().zip(&programme.a) {
            assert!((y - a.clamp(-1.0, 1.0)).abs() < 151.0 * 1e-10 + 1e-12);
        }
    }

    #[test]
    fn simplex_by_its_optimality_conditions() {
        let mut programme = Separable::new(60);
        let set = Set::from(Simplex::new(60, 5.0).unwrap());
        let found = minimise(&mut programme, &set, &[0.0; 60], &Settings::default());
        let mut gradient = vec![0.0; 60];
        programme.gradient(&found.y, &mut gradient);
        let active = |j: &usize| found.y[*j] > 1e-7;
        let level = (0..60).filter(active).map(|j| gradient[j]).fold(f64::NEG_INFINITY, f64::max);
        assert!((0..60).filter(active).all(|j| (gradient[j] - level).abs() < 1e-7));
        assert!((0..60).all(|j| gradient[j] >= level - 1e-7));
    }

    #[test]
    fn falling_for_ever_is_said() {
        let mut programme = Separable::new(1);
        programme.c[0] = -1.0;
        let set = Set::from(crate::set::Whole::new(1));
        assert!(minimise(&mut programme, &set, &[5.0], &Settings::default()).unbounded);
    }
}
