//! Batches of independent work, in one thread or several; the order of the results never depends on the number.

use bilevel_linalg::stop;
use rayon::prelude::*;

/// Applies `work` to every item, on `threads` threads (0: as many as there are processors), results in order.
pub fn in_order<T: Send, R: Send>(threads: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let useful = if threads == 0 || items.len() <= 1 { threads } else { threads.min(items.len()) };
    if items.len() <= 1 { items.into_iter().map(work).collect() } else { Workers::new(useful).in_order(items, work) }
}

/// Threads that serve many batches, so that a small batch does not pay for starting them.
#[derive(Debug)]
pub struct Workers {
    /// `None`: the caller's thread does the work.
    pool: Option<rayon::ThreadPool>,
}

impl Workers {
    /// `threads` threads (0: as many as there are processors; 1: none but the caller's). Without threads to be had the
    /// work still gets done.
    pub fn new(threads: usize) -> Self {
        let build = || rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok();
        Self { pool: if threads == 1 { None } else { build() } }
    }

    /// Applies `work` to every item, results in order.
    pub fn in_order<T: Send, R: Send>(&self, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
        let stop = stop::current();
        let work = |item| stop::within(stop.clone(), || work(item));
        match &self.pool {
            Some(pool) if items.len() > 1 => pool.install(|| items.into_par_iter().map(&work).collect()),
            _ => items.into_iter().map(work).collect(),
        }
    }
}
