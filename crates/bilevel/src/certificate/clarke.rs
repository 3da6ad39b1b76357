//! Clarke stationarity of phi_o at x, over a ball [Chen, Li & So 2025, after Definition 1]:
//!
//! ```text
//! dist(0, ∂phi_o(z) + N_X(z))   for some z in B(x, nu) ∩ X
//! ```
//!
//! One subgradient s at one such z bounds it: the distance of -s to N_X(z). No sampling and no confidence come in; what is
//! assumed is that s is a subgradient (the error bound of the follower, or constant rank of its Hessian).

use crate::hyper::HyperObjective;
use crate::observe::Silent;
use crate::set::{ConvexSet, Set};
use crate::solution::{Rigor, Stationarity};
use crate::upper::hyper::{Oracle, projected_norm};

/// What was found around x.
#[derive(Clone, Debug, PartialEq)]
pub struct ClarkeCheck {
    /// The smallest projected subgradient norm.
    pub residual: f64,
    /// The distance of the point where it was found.
    pub radius: f64,
    /// Evaluations of phi.
    pub evaluations: usize,
}

/// Evaluates phi afresh at x and at those of `near` that lie in B(x, nu) and in X, and takes the shortest projected
/// subgradient. `None` where phi has no subgradient at any of them.
pub fn clarke(
    phi: &dyn HyperObjective,
    set: &Set,
    x: &[f64],
    near: &[Vec<f64>],
    (nu, accuracy): (f64, f64),
) -> Option<ClarkeCheck> {
    let mut oracle = Oracle::new(phi, accuracy, usize::MAX, &Silent);
    let to = |z: &[f64]| z.iter().zip(x).map(|(z, x)| (z - x) * (z - x)).sum::<f64>().sqrt();
    let inside = near.iter().filter(|z| z.as_slice() != x && to(z) <= nu && set.violation(z) <= 0.0);
    let mut best: Option<(f64, f64)> = None;
    for z in std::iter::once(x).chain(inside.map(Vec::as_slice)) {
        let Ok(sample) = oracle.evaluate(z) else { continue };
        let Some(s) = sample.subgradient else { continue };
        let found = (projected_norm(set, z, &s), to(z));
        if best.is_none_or(|known| found < known) {
            best = Some(found);
        }
    }
    best.map(|(residual, radius)| ClarkeCheck { residual, radius, evaluations: oracle.used() })
}

impl ClarkeCheck {
    /// As an entry of a certificate; `assumed` is what the subgradients rest on.
    pub fn stationarity(&self, assumed: Vec<String>) -> Stationarity {
        Stationarity {
            residual: self.residual,
            radius: Some(self.radius),
            measure: "clarke".to_string(),
            rigor: Rigor::Conditional(assumed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::{Bounds, Whole};
    use crate::upper::hyper::testing::{Closed, Instance, Kind};

    #[test]
    fn the_subgradient_itself_without_a_set_and_its_projection_with_one() {
        let instance = Instance::random(Kind::H1, 4, 7);
        let phi = instance.objective();
        let (_, s) = instance.phi(&instance.x0);
        let norm = s.iter().map(|v| v * v).sum::<f64>().sqrt();
        let check = clarke(&phi, &Whole::new(4).into(), &instance.x0, &[], (1e-4, 1e-12)).unwrap();
        assert!((check.residual - norm).abs() < 1e-12 && check.radius == 0.0);
        // A linear phi on a box: stationary exactly at the corner that it points to.
        let linear = Closed(2, |x: &[f64]| (x[0] - 2.0 * x[1], Some(vec![1.0, -2.0])));
        let set: Set = Bounds::uniform(2, 0.0, 1.0).unwrap().into();
        let at = |x: [f64; 2]| clarke(&linear, &set, &x, &[], (0.0, 0.0)).unwrap().residual;
        assert_eq!(at([0.0, 1.0]), 0.0);
        assert_eq!(at([0.0, 0.5]), 2.0);
        assert_eq!(at([1.0, 1.0]), 1.0);
    }

    #[test]
    fn a_better_point_of_the_ball_counts_and_one_outside_does_not() {
        let phi = Closed(1, |x: &[f64]| (x[0] * x[0], Some(vec![2.0 * x[0]])));
        let set: Set = Whole::new(1).into();
        let near = [vec![0.3], vec![0.0]];
        let check = clarke(&phi, &set, &[0.5], &near, (0.25, 0.0)).unwrap();
        assert!((check.residual - 0.6).abs() < 1e-15 && (check.radius - 0.2).abs() < 1e-15);
    }
}
