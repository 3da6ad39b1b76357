//! A wish to stop, seen from inside long loops.
//!
//! A run may be ended by its user, or at a deadline, while it is deep in a solver that knows nothing of either. Whoever
//! starts a run says so once, by [`within`]; loops that may take long ask [`asked`] in each iteration and end with what
//! they have, as at their limit of iterations: a stopped loop never counts as one that converged. The wish belongs to the
//! thread; work that is handed to other threads takes [`current`] along.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// When to stop: never, once a flag is raised, or at a deadline.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    flag: Option<Arc<AtomicBool>>,
    deadline: Option<Instant>,
    grace: Duration,
    /// When the flag was first seen raised.
    seen: Arc<OnceLock<Instant>>,
}

impl Stop {
    /// Once the flag is raised, or at the deadline.
    pub fn new(flag: Option<Arc<AtomicBool>>, deadline: Option<Instant>) -> Self {
        Self { flag, deadline, ..Self::default() }
    }

    /// The same, but so much later: what finishing work may take.
    pub fn later(&self, grace: Duration) -> Self {
        Self { grace: self.grace + grace, seen: Arc::default(), ..self.clone() }
    }

    /// Whether it would be time without what [`Stop::later`] adds.
    pub fn is_due(&self) -> bool {
        self.deadline.is_some_and(|deadline| Instant::now() >= deadline)
            || self.flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Whether it is time.
    pub fn asked(&self) -> bool {
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline + self.grace) {
            return true;
        }
        let raised = self.flag.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
        raised && self.seen.get_or_init(Instant::now).elapsed() >= self.grace
    }
}

thread_local! {
    static CURRENT: RefCell<Stop> = RefCell::default();
}

/// Whether the work on this thread should end.
pub fn asked() -> bool {
    CURRENT.with_borrow(Stop::asked)
}

/// Whether the work on this thread has only what finishing work may take.
pub fn hurried() -> bool {
    CURRENT.with_borrow(Stop::is_due)
}

/// The wish that holds on this thread.
pub fn current() -> Stop {
    CURRENT.with_borrow(Stop::clone)
}

/// Does the work under a wish; the one before holds again afterwards.
pub fn within<T>(stop: Stop, work: impl FnOnce() -> T) -> T {
    struct Restore(Stop);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(CURRENT.replace(stop));
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_inside_and_no_longer_outside() {
        let flag = Arc::new(AtomicBool::new(false));
        assert!(!asked());
        within(Stop::new(Some(Arc::clone(&flag)), None), || {
            assert!(!asked());
            flag.store(true, Ordering::Relaxed);
            assert!(asked());
            // Finishing work has its own time, and the wish goes along to other threads.
            within(current().later(Duration::from_secs(3600)), || assert!(!asked() && hurried()));
            let stop = current();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    assert!(!asked());
                    within(stop, || assert!(asked()));
                });
            });
        });
        assert!(!asked());
    }

    #[test]
    fn deadlines_pass() {
        let past = Stop::new(None, Some(Instant::now()));
        assert!(past.asked());
        assert!(!past.later(Duration::from_secs(3600)).asked());
        assert!(!Stop::new(None, Instant::now().checked_add(Duration::from_secs(3600))).asked());
    }
}
