//! v(x) itself and its Clarke subdifferential.
//!
//! ```text
//! danskin.rs           which Danskin-type theorem gives the subdifferential, by structure
//! subdifferential.rs   generators from the distinct global minimisers; distance and minimum norm
//! ```

mod danskin;
mod subdifferential;
#[cfg(test)]
mod tests;

pub use danskin::Danskin;
pub use subdifferential::{Generator, Subdifferential, subdifferential};
