//! f_mu(x, ·) at a fixed x, the local minimisers of it, and what an integration returns.

use bilevel_linalg::Dense;

use crate::lower::LowerStatus;
use crate::problem::{At, FunctionEvaluator};
use crate::smooth::Smoothing;

/// f_mu(x, ·) at a fixed x, with the evaluator's scratch memory.
pub(super) struct Integrand<'e, 'f> {
    pub f: &'e mut FunctionEvaluator<'f>,
    pub x: &'e [f64],
    pub smoothing: Smoothing<'e>,
    /// The temperature mu of exp(−f / mu).
    pub mu: f64,
    /// Which part of Y counts as the neighbourhood of the minimisers.
    pub neighbourhood: Neighbourhood,
}

impl Integrand<'_, '_> {
    pub fn value(&mut self, y: &[f64]) -> f64 {
        self.f.value(At { x: self.x, y, smoothing: self.smoothing })
    }

    /// Writes the gradient in x.
    pub fn gradient(&mut self, y: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        self.f.add_gradient(At { x: self.x, y, smoothing: self.smoothing }, &[1.0], Some(out), None);
    }

    /// The second-order model at a minimiser.
    pub fn local(&mut self, y: &[f64]) -> Local {
        let m = y.len();
        let at = At { x: self.x, y, smoothing: self.smoothing };
        let (mut gradient, mut hessian) = (vec![0.0; m], Dense::zeros(m, m));
        let value = self.f.value(at);
        self.f.add_gradient(at, &[1.0], None, Some(&mut gradient));
        self.f.add_follower_hessian(at, &[1.0], &mut hessian, 0, false);
        Local { y: y.to_vec(), value, gradient, hessian }
    }
}

/// A local minimiser with the derivatives there.
#[derive(Clone, Debug)]
pub(super) struct Local {
    pub y: Vec<f64>,
    pub value: f64,
    pub gradient: Vec<f64>,
    pub hessian: Dense,
}

/// A neighbourhood of the minimisers: {f <= level}, and within the inner part of a region that cuts an unbounded Y.
#[derive(Clone, Debug)]
pub(super) struct Neighbourhood {
    pub level: f64,
    /// Per component, the interval away from where an unbounded Y was cut; empty where Y is bounded.
    pub inner: Vec<(f64, f64)>,
}

impl Neighbourhood {
    pub fn contains(&self, value: f64, y: &[f64]) -> bool {
        value <= self.level && self.is_inner(y)
    }

    /// Whether y is away from where an unbounded Y was cut.
    pub fn is_inner(&self, y: &[f64]) -> bool {
        y.iter().zip(&self.inner).all(|(y, (low, high))| (low..=high).contains(&y))
    }
}

/// What an integration found. Everything is an estimate.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimate {
    /// ln ∫ exp(−f / mu).
    pub log_integral: f64,
    /// ∫ α ∇ₓf.
    pub gradient: Vec<f64>,
    /// Estimated error of the log-integral.
    pub log_error: f64,
    /// Estimated error of the gradient, in its largest component.
    pub gradient_error: f64,
    /// (Σ w)² / Σ w² over the weights of all nodes: how many of them carry the integral.
    pub effective: f64,
    /// Evaluations of f.
    pub nodes: usize,
    /// Mass of α outside the neighbourhood of the minimisers.
    pub outside_mass: f64,
    /// Mass of α ‖∇ₓf‖∞ outside it.
    pub outside_gradient: f64,
    /// Mass of α next to where an unbounded Y was cut.
    pub cut_mass: f64,
    /// Mass of α ‖∇ₓf‖∞ there.
    pub cut_gradient: f64,
}

/// Sums over nodes, relative to exp(peak).
#[derive(Clone, Debug, Default)]
pub(super) struct Sums {
    /// Σ w.
    pub mass: f64,
    /// Σ w².
    pub squares: f64,
    /// Σ w ∇ₓf.
    pub gradient: Vec<f64>,
    /// Outside masses: of w and of w ‖∇ₓf‖∞ outside the neighbourhood, and of both next to the cut.
    pub outside: [f64; 4],
}

impl Sums {
    pub fn new(n: usize) -> Self {
        Self { gradient: vec![0.0; n], ..Self::default() }
    }

    /// Adds a node.
    pub fn add(&mut self, weight: f64, gradient: &[f64], inside: bool, inner: bool) {
        self.mass += weight;
        self.squares += weight * weight;
        self.gradient.iter_mut().zip(gradient).for_each(|(s, g)| *s += weight * g);
        if !inside {
            let size = gradient.iter().fold(0.0, |a: f64, g| a.max(g.abs()));
            self.outside[0] += weight;
            self.outside[1] += weight * size;
            if !inner {
                self.outside[2] += weight;
                self.outside[3] += weight * size;
            }
        }
    }

    /// Adds other sums, scaled.
    pub fn merge(&mut self, other: &Sums, scale: f64) {
        self.mass += scale * other.mass;
        self.squares += scale * scale * other.squares;
        self.gradient.iter_mut().zip(&other.gradient).for_each(|(s, g)| *s += scale * g);
        self.outside.iter_mut().zip(other.outside).for_each(|(s, o)| *s += scale * o);
    }

    /// The estimate of sums relative to exp(peak), without errors.
    pub fn estimate(&self, peak: f64, nodes: usize) -> Result<Estimate, LowerStatus> {
        let estimate = Estimate {
            log_integral: peak + self.mass.ln(),
            gradient: self.gradient.iter().map(|g| g / self.mass).collect(),
            effective: self.mass * self.mass / self.squares,
            nodes,
            outside_mass: self.outside[0] / self.mass,
            outside_gradient: self.outside[1] / self.mass,
            cut_mass: self.outside[2] / self.mass,
            cut_gradient: self.outside[3] / self.mass,
            ..Estimate::default()
        };
        let finite = estimate.log_integral.is_finite() && estimate.gradient.iter().all(|g| g.is_finite());
        if finite { Ok(estimate) } else { Err(LowerStatus::Numerical) }
    }
}

/// Relative rounding error of a weight exp(−f / mu): that of f, magnified.
pub(super) fn rounding(value: f64, mu: f64) -> f64 {
    32.0 * f64::EPSILON * (1.0 + value.abs() / mu)
}
