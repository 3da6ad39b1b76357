//! What a user may choose.

use std::time::Duration;

use crate::problem::Attitude;
use crate::smooth::{self, Family};
use crate::upper::Method;
use crate::value::ValueKind;

/// Options of a run; the defaults work without knowing the theory.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the leader expects where the follower is undecided.
    pub attitude: Attitude,
    /// The method; `None` lets the solver choose. Names: [`METHODS`].
    pub method: Option<String>,
    /// The smoothing family of nonsmooth atoms.
    pub smoothing: &'static dyn Family,
    /// The model of the value function; `None` lets the solver choose.
    pub value_model: Option<ValueKind>,
    /// Largest stationarity residual, relative to 1 + the size of the leader's gradient, that counts as solved.
    pub tolerance: f64,
    /// Seed of everything random; the same seed gives the same answer with any number of threads.
    pub seed: u64,
    /// Number of starts.
    pub starts: usize,
    /// Largest number of lower solves, over all starts.
    pub budget: u64,
    /// Threads; 0 means as many as there are processors.
    pub threads: usize,
    /// Wall-clock limit; it only cuts a run short.
    pub time_limit: Option<Duration>,
    /// The follower's tolerance eta: its answer may be worse than optimal by this much.
    pub follower_tolerance: f64,
    /// Whether a bound over all bilevel-feasible points is wanted: the run ends `optimal` once the gap is proved.
    pub global: bool,
    /// The gap wanted then, relative to max(1, |F|).
    pub gap: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attitude: Attitude::Optimistic,
            method: None,
            smoothing: &smooth::Chks,
            value_model: None,
            tolerance: 1e-5,
            seed: 0,
            starts: 6,
            budget: 20_000,
            threads: 0,
            time_limit: None,
            follower_tolerance: 0.0,
            global: false,
            gap: 1e-3,
        }
    }
}

/// The methods that exist, by name.
pub const METHODS: [&str; 9] = [
    "smoothed-value",
    "augmented-lagrangian",
    "projected-gradient",
    "bundle",
    "quasi-newton",
    "descent",
    "gradient-sampling",
    "izom",
    "izom-literal",
];

/// The first so many of them work on the value-function programme, the others on phi.
const VALUE_FUNCTION: usize = 3;

/// Problems with more variables of both levels are solved without dense matrices by default.
const LARGE: usize = 150;

impl Options {
    /// How the stages of the value-function programme are solved, for this many variables of both levels.
    pub fn stages(&self, variables: usize) -> Method {
        match self.method.as_deref() {
            Some("augmented-lagrangian") => Method::AugmentedLagrangian,
            Some("projected-gradient") => Method::ProjectedGradient,
            None if variables > LARGE => Method::AugmentedLagrangian,
            _ => Method::Sqp,
        }
    }

    /// Why these options ask for something that is not handled, if they do.
    pub(super) fn unsupported(&self) -> Option<String> {
        if !(self.follower_tolerance >= 0.0 && self.follower_tolerance.is_finite()) {
            return Some(format!("the follower's tolerance is {}, not a number from 0", self.follower_tolerance));
        }
        let other = self.method.as_deref().filter(|name| !METHODS.contains(name))?;
        Some(format!("there is no method `{other}`; methods: {}", METHODS.join(", ")))
    }

    /// Whether the solver may choose between the value-function programme and phi.
    pub(super) fn leaves_open(&self) -> bool {
        self.method.is_none() && self.value_model.is_none() && !self.global
    }

    /// Whether a method on phi is needed: for a pessimistic leader, a follower with a tolerance, or by name.
    pub(super) fn on_phi(&self) -> bool {
        let named = self.method.as_deref().is_some_and(|name| METHODS.iter().skip(VALUE_FUNCTION).any(|m| *m == name));
        named || self.attitude == Attitude::Pessimistic || self.follower_tolerance > 0.0
    }
}
