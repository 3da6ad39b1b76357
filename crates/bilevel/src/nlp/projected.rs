//! Smooth functions over a product of convex sets, by projections alone: no matrices.
//!
//! Where the sets are boxes: the two-metric projection method (Bertsekas 1982) with limited-memory BFGS directions on the
//! variables that are off their bounds, and an Armijo search along the projected path. Otherwise the spectral projected
//! gradient (Birgin, Martínez & Raydan 2000), nonmonotone.

use std::collections::VecDeque;

use bilevel_linalg::vector::{dot, norm_inf};

use crate::set::{ConvexSet, Description, Set};

/// A differentiable function. Gradients are asked for at the last point whose value was.
pub trait Smooth {
    /// The value; NaN where it is not defined.
    fn value(&mut self, z: &[f64]) -> f64;
    /// Writes the gradient.
    fn gradient(&mut self, z: &[f64], out: &mut [f64]);
    /// Writes an estimate of the Hessian's diagonal, positive, and returns true; false if there is none.
    fn diagonal(&mut self, _z: &[f64], _out: &mut [f64]) -> bool {
        false
    }
}

/// A product of sets, of one block of variables after the other.
#[derive(Clone, Debug)]
pub struct Region<'a> {
    sets: Vec<&'a Set>,
    bounds: Option<(Vec<f64>, Vec<f64>)>,
}

impl<'a> Region<'a> {
    /// The product of these sets.
    pub fn new(sets: Vec<&'a Set>) -> Self {
        let (mut lower, mut upper, mut boxed) = (Vec::new(), Vec::new(), true);
        for set in &sets {
            let mut description = Description::default();
            set.describe(0, &mut description);
            boxed &= description.row_count() == 0 && description.balls.is_empty();
            boxed &= description.variables() == set.ambient_dimension();
            lower.extend(description.lower);
            upper.extend(description.upper);
        }
        Self { sets, bounds: boxed.then_some((lower, upper)) }
    }

    /// The bounds, if the region is a box.
    pub fn bounds(&self) -> Option<(&[f64], &[f64])> {
        self.bounds.as_ref().map(|(lower, upper)| (lower.as_slice(), upper.as_slice()))
    }

    /// Writes the projection of `z`.
    pub fn project(&self, z: &[f64], out: &mut [f64]) {
        let mut first = 0;
        for set in &self.sets {
            let end = first + set.ambient_dimension();
            set.project(&z[first..end], &mut out[first..end]);
            first = end;
        }
    }

    /// Writes z − P(z − g) and returns its largest entry.
    pub fn residual(&self, z: &[f64], g: &[f64], out: &mut [f64]) -> f64 {
        let shifted: Vec<f64> = z.iter().zip(g).map(|(z, g)| z - g).collect();
        self.project(&shifted, out);
        out.iter_mut().zip(z).for_each(|(o, z)| *o = z - *o);
        norm_inf(out)
    }
}

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bound on ‖z − P(z − ∇f)‖∞, relative to 1 + ‖∇f‖∞.
    pub tolerance: f64,
    /// Most iterations.
    pub max_iterations: usize,
    /// A point beyond this has left for infinity.
    pub diverging: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tolerance: 1e-8, max_iterations: 200, diverging: 1e10 }
    }
}

/// What the method found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The point, in the region.
    pub z: Vec<f64>,
    /// The value there.
    pub value: f64,
    /// ‖z − P(z − ∇f)‖∞ relative to 1 + ‖∇f‖∞; NaN if something was not finite.
    pub residual: f64,
    /// Iterations.
    pub iterations: usize,
}

/// Pairs of steps and gradient changes kept.
const MEMORY: usize = 12;
/// Values that a nonmonotone search compares with.
const WINDOW: usize = 8;
/// Sufficient decrease.
const ARMIJO: f64 = 1e-4;
/// Variables within this of a bound that the gradient pushes against are held.
const NEAR: f64 = 1e-10;

/// Minimises over the region from `start`; `proceed` is asked once an iteration.
pub fn minimise(
    function: &mut dyn Smooth,
    region: &Region<'_>,
    start: &[f64],
    settings: &Settings,
    proceed: &mut dyn FnMut() -> bool,
) -> Found {
    let d = start.len();
    let mut z = vec![0.0; d];
    region.project(start, &mut z);
    let mut state = State::new(d);
    let mut value = function.value(&z);
    function.gradient(&z, &mut state.gradient);
    state.recent.push_back(value);
    let mut iterations = 0;
    loop {
        let residual = region.residual(&z, &state.gradient, &mut state.work) / (1.0 + norm_inf(&state.gradient));
        let done = residual <= settings.tolerance || !residual.is_finite() || !value.is_finite();
        let over = iterations >= settings.max_iterations || norm_inf(&z) > settings.diverging;
        if done || over || !proceed() || bilevel_linalg::stop::asked() {
            return Found { z, value, residual, iterations };
        }
        iterations += 1;
        let moved = state.advance(function, region, &mut z, &mut value);
        if !moved && !state.forget() {
            return Found { z, value, residual, iterations };
        }
    }
}

struct State {
    gradient: Vec<f64>,
    previous: Vec<f64>,
    direction: Vec<f64>,
    trial: Vec<f64>,
    shifted: Vec<f64>,
    diagonal: Vec<f64>,
    scaled: bool,
    held: Vec<bool>,
    work: Vec<f64>,
    pairs: VecDeque<(Vec<f64>, Vec<f64>)>,
    recent: VecDeque<f64>,
    spectral: f64,
}

impl State {
    fn new(d: usize) -> Self {
        let zeros = || vec![0.0; d];
        Self {
            gradient: zeros(),
            previous: zeros(),
            direction: zeros(),
            trial: zeros(),
            shifted: zeros(),
            diagonal: vec![1.0; d],
            scaled: false,
            held: vec![false; d],
            work: zeros(),
            pairs: VecDeque::new(),
            recent: VecDeque::new(),
            spectral: 0.0,
        }
    }

    /// Forgets the curvature collected; false if there was none.
    fn forget(&mut self) -> bool {
        let known = !self.pairs.is_empty() || self.spectral != 0.0;
        self.pairs.clear();
        self.spectral = 0.0;
        known
    }

    /// One iteration; false if no step was accepted.
    fn advance(&mut self, function: &mut dyn Smooth, region: &Region<'_>, z: &mut [f64], value: &mut f64) -> bool {
        self.scaled = function.diagonal(z, &mut self.diagonal);
        let accepted = match region.bounds() {
            Some(bounds) => {
                self.quasi_newton_direction(z, bounds);
                self.search_path(function, region, z, *value)
            }
            None => {
                self.spectral_direction(region, z);
                self.search_segment(function, z)
            }
        };
        let Some(found) = accepted else { return false };
        self.previous.copy_from_slice(&self.gradient);
        function.gradient(&self.trial, &mut self.gradient);
        self.remember(z);
        z.copy_from_slice(&self.trial);
        *value = found;
        self.recent.push_back(found);
        if self.recent.len() > WINDOW {
            self.recent.pop_front();
        }
        true
    }

    /// Keeps the last step with its change of gradient, where it shows positive curvature.
    fn remember(&mut self, z: &[f64]) {
        let step: Vec<f64> = self.trial.iter().zip(z).map(|(t, z)| t - z).collect();
        let change: Vec<f64> = self.gradient.iter().zip(&self.previous).map(|(g, p)| g - p).collect();
        let curvature = dot(&step, &change);
        let squares = dot(&step, &step);
        self.spectral = if curvature > 1e-12 * squares { squares / curvature } else { self.spectral };
        if curvature > 1e-10 * (squares * dot(&change, &change)).sqrt() {
            self.pairs.push_back((step, change));
            if self.pairs.len() > MEMORY {
                self.pairs.pop_front();
            }
        }
    }

    /// −H g on the variables that may move, −g on those that a bound holds.
    fn quasi_newton_direction(&mut self, z: &[f64], (lower, upper): (&[f64], &[f64])) {
        let g = &self.gradient;
        for j in 0..z.len() {
            let near = |bound: f64| bound.is_finite() && (z[j] - bound).abs() <= NEAR * (1.0 + bound.abs());
            self.held[j] = (g[j] > 0.0 && near(lower[j])) || (g[j] < 0.0 && near(upper[j]));
            self.direction[j] = if self.held[j] { 0.0 } else { -g[j] };
        }
        let held = &self.held;
        let inner = |a: &[f64], b: &[f64]| -> f64 {
            a.iter().zip(b).zip(held).filter(|(_, held)| !**held).map(|((a, b), _)| a * b).sum()
        };
        let mut weights = Vec::with_capacity(self.pairs.len());
        for (step, change) in self.pairs.iter().rev() {
            let curvature = inner(step, change);
            let weight = if curvature > 0.0 { inner(step, &self.direction) / curvature } else { 0.0 };
            weights.push((weight, curvature));
            self.direction.iter_mut().zip(change).for_each(|(d, c)| *d -= weight * c);
        }
        self.scale_direction(z);
        for ((step, change), (weight, curvature)) in self.pairs.iter().zip(weights.into_iter().rev()) {
            if curvature > 0.0 {
                let held = &self.held;
                let back: f64 =
                    change.iter().zip(&self.direction).zip(held).filter(|(_, h)| !**h).map(|((c, d), _)| c * d).sum();
                let factor = weight - back / curvature;
                self.direction.iter_mut().zip(step).for_each(|(d, s)| *d += factor * s);
            }
        }
        for j in 0..z.len() {
            if self.held[j] {
                self.direction[j] = -self.gradient[j];
            }
        }
        if dot(&self.direction, &self.gradient) >= 0.0 {
            self.direction.iter_mut().zip(&self.gradient).for_each(|(d, g)| *d = -g);
        }
    }

    /// The initial metric of BFGS: the diagonal estimate, or the last pair's curvature; a short step without either.
    fn scale_direction(&mut self, z: &[f64]) {
        let scaled = self.scaled;
        let inverse = |j: usize, diagonal: &[f64]| if scaled { 1.0 / diagonal[j] } else { 1.0 };
        let factor = match self.pairs.back() {
            Some((step, change)) => {
                let size: f64 = (0..z.len()).map(|j| change[j] * change[j] * inverse(j, &self.diagonal)).sum();
                dot(step, change) / size
            }
            None if scaled => 1.0,
            None => (0.1 * (1.0 + norm_inf(z)) / norm_inf(&self.gradient).max(1e-300)).min(1.0),
        };
        for j in 0..z.len() {
            self.direction[j] *= factor * inverse(j, &self.diagonal);
        }
    }

    /// Armijo's rule along P(z + t d).
    fn search_path(&mut self, function: &mut dyn Smooth, region: &Region<'_>, z: &[f64], value: f64) -> Option<f64> {
        let mut t = 1.0;
        for _ in 0..40 {
            let moved = z.iter().zip(&self.direction).map(|(z, d)| z + t * d);
            self.shifted.iter_mut().zip(moved).for_each(|(s, m)| *s = m);
            region.project(&self.shifted, &mut self.trial);
            let found = function.value(&self.trial);
            let slope: f64 = (0..z.len()).map(|j| self.gradient[j] * (self.trial[j] - z[j])).sum();
            if slope < 0.0 && found <= value + ARMIJO * slope {
                return Some(found);
            }
            t *= 0.4;
        }
        None
    }

    /// P(z − α g) − z with the spectral step α.
    fn spectral_direction(&mut self, region: &Region<'_>, z: &[f64]) {
        let first = 1.0 / norm_inf(&self.gradient).max(1e-12);
        let alpha = if self.spectral > 0.0 { self.spectral.clamp(1e-12, 1e12) } else { first };
        let moved = z.iter().zip(&self.gradient).map(|(z, g)| z - alpha * g);
        self.shifted.iter_mut().zip(moved).for_each(|(s, m)| *s = m);
        region.project(&self.shifted, &mut self.direction);
        self.direction.iter_mut().zip(z).for_each(|(d, z)| *d -= z);
    }

    /// Armijo's rule on the segment, against the largest of the last values.
    fn search_segment(&mut self, function: &mut dyn Smooth, z: &[f64]) -> Option<f64> {
        let reference = self.recent.iter().fold(f64::NEG_INFINITY, |a: f64, v| a.max(*v));
        let slope = dot(&self.gradient, &self.direction);
        let mut t = 1.0;
        for _ in 0..40 {
            let moved = z.iter().zip(&self.direction).map(|(z, d)| z + t * d);
            self.trial.iter_mut().zip(moved).for_each(|(s, m)| *s = m);
            let found = function.value(&self.trial);
            if slope < 0.0 && found <= reference + ARMIJO * t * slope {
                return Some(found);
            }
            t *= 0.4;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::{Ball, Bounds, Simplex};

    /// Rosenbrock's function in pairs, shifted.
    struct Valley;

    impl Smooth for Valley {
        fn value(&mut self, z: &[f64]) -> f64 {
            z.chunks(2).map(|p| 100.0 * (p[1] - p[0] * p[0]).powi(2) + (1.0 - p[0]).powi(2)).sum()
        }
        fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
            for (p, o) in z.chunks(2).zip(out.chunks_mut(2)) {
                let r = p[1] - p[0] * p[0];
                o[0] = -400.0 * p[0] * r - 2.0 * (1.0 - p[0]);
                o[1] = 200.0 * r;
            }
        }
    }

    /// ½ Σ c_j (z_j − a_j)².
    struct Separable(Vec<f64>, Vec<f64>);

    impl Smooth for Separable {
        fn value(&mut self, z: &[f64]) -> f64 {
            z.iter().zip(&self.0).zip(&self.1).map(|((z, c), a)| 0.5 * c * (z - a) * (z - a)).sum()
        }
        fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
            for j in 0..z.len() {
                out[j] = self.0[j] * (z[j] - self.1[j]);
            }
        }
    }

    #[test]
    fn valley_in_a_box() {
        let set = Set::from(Bounds::uniform(20, -2.0, 0.5).unwrap());
        let settings = Settings { max_iterations: 500, ..Settings::default() };
        let found = minimise(&mut Valley, &Region::new(vec![&set]), &[-1.2; 20], &settings, &mut || true);
        // On the bound z_0 = 1/2 of each pair: z_1 = 1/4.
        assert!(found.residual <= 1e-8, "{found:?}");
        assert!(found.z.chunks(2).all(|p| (p[0] - 0.5).abs() < 1e-9 && (p[1] - 0.25).abs() < 1e-7));
    }

    #[test]
    fn product_of_ball_and_simplex() {
        let ball = Set::from(Ball::new(vec![0.0, 0.0], 1.0).unwrap());
        let simplex = Set::from(Simplex::new(3, 1.0).unwrap());
        let mut function = Separable(vec![1.0, 10.0, 1.0, 2.0, 5.0], vec![0.0, 3.0, 2.0, 0.5, -1.0]);
        let region = Region::new(vec![&ball, &simplex]);
        let found = minimise(&mut function, &region, &[0.2; 5], &Settings::default(), &mut || true);
        assert!(found.residual <= 1e-8);
        // (0, 1) on the circle; on the simplex z = a − λ/c where positive: only the first entry.
        for (z, expected) in found.z.iter().zip([0.0, 1.0, 1.0, 0.0, 0.0]) {
            assert!((z - expected).abs() < 1e-6, "{:?}", found.z);
        }
    }

    #[test]
    fn a_good_diagonal_pays() {
        struct Scaled(Separable);
        impl Smooth for Scaled {
            fn value(&mut self, z: &[f64]) -> f64 {
                self.0.value(z)
            }
            fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
                self.0.gradient(z, out);
            }
            fn diagonal(&mut self, _: &[f64], out: &mut [f64]) -> bool {
                out.copy_from_slice(&self.0.0);
                true
            }
        }
        let set = Set::from(crate::set::Whole::new(50));
        let curvatures: Vec<f64> = (0..50).map(|j| 10f64.powi(j % 7 - 3)).collect();
        let mut function = Scaled(Separable(curvatures, vec![1.0; 50]));
        let found = minimise(&mut function, &Region::new(vec![&set]), &[0.0; 50], &Settings::default(), &mut || true);
        assert!(found.residual <= 1e-8 && found.iterations <= 2, "{}", found.iterations);
    }
}
