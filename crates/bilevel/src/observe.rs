//! Progress: the library never prints; whoever wants to see a run, or to stop it, is an [`Observer`].

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What a method reports after each stage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// Which start of the portfolio, from 0.
    pub start: usize,
    /// Number of the stage, from 0.
    pub iteration: usize,
    /// What was done: `sqp`, `polish`, `certificate`.
    pub step: &'static str,
    /// The smoothing level.
    pub mu: f64,
    /// F at the stage's point, in the user's sense.
    pub upper: f64,
    /// f - v at the stage's point, by the method's own lower solver.
    pub gap: f64,
    /// The stage's stationarity residual.
    pub residual: f64,
    /// Lower solves so far.
    pub lower_solves: u64,
}

/// Sees a run, and may end it.
pub trait Observer: Send + Sync {
    /// Called after each stage.
    fn stage(&self, _stage: &Stage) {}

    /// Asked often; true ends the run with the best point so far.
    fn interrupted(&self) -> bool {
        false
    }

    /// The flag that says the same, if there is one: it is looked at in long loops far below the method, where nobody
    /// can ask.
    fn flag(&self) -> Option<Arc<AtomicBool>> {
        None
    }
}

/// An observer that looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Observer for Silent {}
