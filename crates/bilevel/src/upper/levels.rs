//! Both levels of a problem in the forms that methods take.

use std::sync::Arc;

use super::Leader;
use super::pieces::QuadraticProblem;
use crate::lower::Follower;
use crate::smooth::{Family, Smoothing};

/// Both forms of a problem's levels that the method works with.
#[derive(Clone, Debug)]
pub struct Levels {
    /// The follower with its own formulas, smoothed where needed: for (VFP_epsilon^mu).
    pub follower: Follower,
    /// The upper level that goes with it.
    pub leader: Leader,
    /// The follower in exact form: its own formulas if smooth, else in epigraph form, else None.
    pub exact_follower: Option<Follower>,
    /// The upper level that goes with it.
    pub exact_leader: Option<Leader>,
    /// Whether the follower's problem is convex in y.
    pub convex: bool,
    /// The problem as data, where the follower is convex quadratic, the leader quadratic and all constraints affine.
    pub quadratic: Option<Arc<QuadraticProblem>>,
}

impl Levels {
    /// The forms in which exact answers of the follower are found, and the smoothing that is left: none where the
    /// objective's parts give them or the follower has an exact smooth form, else the smallest that Newton's method
    /// resolves.
    pub fn exact<'a>(&'a self, family: &'a dyn Family) -> (&'a Leader, &'a Follower, Smoothing<'a>) {
        if self.follower.composite.is_some() {
            return (&self.leader, &self.follower, Smoothing::new(family, 0.0));
        }
        match (&self.exact_leader, &self.exact_follower) {
            (Some(leader), Some(follower)) => (leader, follower, Smoothing::new(family, 0.0)),
            _ => (&self.leader, &self.follower, Smoothing::new(family, 1e-8)),
        }
    }

    /// The forms with multipliers: the exact smooth one where there is one.
    pub fn multiplied<'a>(&'a self, family: &'a dyn Family) -> (&'a Leader, &'a Follower, Smoothing<'a>) {
        match (&self.exact_leader, &self.exact_follower) {
            (Some(leader), Some(follower)) => (leader, follower, Smoothing::new(family, 0.0)),
            _ => (&self.leader, &self.follower, Smoothing::new(family, 1e-8)),
        }
    }
}
