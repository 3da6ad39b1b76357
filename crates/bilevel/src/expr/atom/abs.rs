//! |z|. Smoothed by the family: `abs_mu(z) = plus_mu(z) + plus_mu(-z)`, at most `2 c mu` above, where `c mu` is the
//! family's error for the positive part [Alcantara & Takeda 2025, §2.2].

use crate::smooth::Smoothing;

/// The value.
#[inline]
pub(in crate::expr) fn value(z: f64, smoothing: Smoothing<'_>) -> f64 {
    if smoothing.mu() > 0.0 { smoothing.abs(z).value } else { z.abs() }
}

/// First and second derivative; 0 and 0 at the exact kink.
#[inline]
pub(in crate::expr) fn slopes(z: f64, smoothing: Smoothing<'_>) -> (f64, f64) {
    let jet = smoothing.abs(z);
    (jet.first, jet.second)
}
