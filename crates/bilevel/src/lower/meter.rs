//! A count of lower solves that several parts of a run share, with a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts lower solves against a budget. Clones share the count.
#[derive(Clone, Debug)]
pub struct Meter {
    used: Arc<AtomicU64>,
    budget: u64,
}

impl Meter {
    /// A meter at 0.
    pub fn new(budget: u64) -> Self {
        Self { used: Arc::new(AtomicU64::new(0)), budget }
    }

    /// A meter that never runs out.
    pub fn unlimited() -> Self {
        Self::new(u64::MAX)
    }

    /// Lower solves so far.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Whether the budget is used up.
    pub fn is_empty(&self) -> bool {
        self.used() >= self.budget
    }

    /// Whether so much of the budget is used up that only finishing steps should go on.
    pub fn is_low(&self) -> bool {
        self.used() >= self.budget / 10 * 7
    }

    /// Whether twice the budget is used up: what finishes a run may go over it, but no further.
    pub fn is_far_over(&self) -> bool {
        self.used() >= self.budget.saturating_mul(2)
    }

    /// Counts solves made elsewhere.
    pub fn count_many(&self, solves: u64) {
        self.used.fetch_add(solves, Ordering::Relaxed);
    }

    /// Counts one lower solve.
    pub(super) fn count(&self) {
        self.used.fetch_add(1, Ordering::Relaxed);
    }
}
