//! The positive part max(z, 0). Smoothed by the family, at most `c mu` above [Alcantara & Takeda 2025, Example 2.7].

use crate::smooth::Smoothing;

/// The value.
#[inline]
pub(in crate::expr) fn value(z: f64, smoothing: Smoothing<'_>) -> f64 {
    if smoothing.mu() > 0.0 {
        smoothing.plus(z).value
    } else if z < 0.0 {
        0.0
    } else {
        z
    }
}

/// First and second derivative; 1/2 and 0 at the exact kink.
#[inline]
pub(in crate::expr) fn slopes(z: f64, smoothing: Smoothing<'_>) -> (f64, f64) {
    let jet = smoothing.plus(z);
    (jet.first, jet.second)
}
