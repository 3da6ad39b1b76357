//! The penalty path of [`crate::hyper`] as a method among the others.

use super::{Baseline, SimpleBilevel, Watch};
use crate::hyper::penalty::path;

/// The penalty path; its estimate is 2 D(s) − F(y_s).
#[derive(Clone, Copy, Debug, Default)]
pub struct PenaltyPath;

impl Baseline for PenaltyPath {
    fn name(&self) -> &'static str {
        "penalty path"
    }

    fn run(&self, problem: &mut SimpleBilevel<'_>, start: &[f64], budget: u64, watch: &mut Watch<'_>) -> Vec<f64> {
        let sign = problem.functions.sign();
        let set = problem.set.clone();
        let mut see = |point: &crate::hyper::penalty::PathPoint, gradients: u64| {
            let progress = super::Progress { gradients, estimate: sign * point.estimate, y: &point.y };
            watch(&progress) && gradients < budget
        };
        match path(&mut problem.functions, &set, start, 0.0, &mut see) {
            Ok((_, points)) => points.into_iter().next_back().map_or_else(|| start.to_vec(), |point| point.y),
            Err(_) => start.to_vec(),
        }
    }
}
