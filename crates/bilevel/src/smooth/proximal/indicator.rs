//! The indicator of a closed convex set C, 0 on it and infinite elsewhere: its proximal map is the projection, its
//! envelope the penalty `dist(z, C)² / (2 mu)`. The indicator is not Lipschitz: no error bound.

use super::Proximal;
use crate::set::{ConvexSet, Set};

/// The indicator of a set.
#[derive(Clone, Debug, PartialEq)]
pub struct Indicator {
    /// The set.
    pub set: Set,
}

/// A projection is within rounding of its set.
const INSIDE: f64 = 1e-9;

impl Proximal for Indicator {
    fn value(&self, z: &[f64]) -> f64 {
        let size = z.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
        if self.set.contains(z, INSIDE * size) { 0.0 } else { f64::INFINITY }
    }

    fn prox(&self, z: &[f64], _: f64, out: &mut [f64]) {
        self.set.project(z, out);
    }

    fn lipschitz(&self, _: usize) -> f64 {
        f64::INFINITY
    }
}
