//! Batches of independent work, in one thread or several; the order of the results never depends on the number.

use rayon::prelude::*;

/// Applies `work` to every item, on `threads` threads (0: as many as there are processors), results in order.
pub fn in_order<T: Send, R: Send>(threads: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if threads == 1 || items.len() <= 1 {
        return items.into_iter().map(work).collect();
    }
    let useful = if threads == 0 { 0 } else { threads.min(items.len()) };
    match rayon::ThreadPoolBuilder::new().num_threads(useful).build() {
        Ok(pool) => pool.install(|| items.into_par_iter().map(&work).collect()),
        // No threads to be had: the work still gets done.
        Err(_) => items.into_iter().map(work).collect(),
    }
}
