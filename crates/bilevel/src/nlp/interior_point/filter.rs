//! The filter: pairs (violation, barrier objective) that later iterates must not be dominated by.
//!
//! Source: Wächter & Biegler (2006), sections 2.3 and 3.3; the constants are theirs.

/// γ_θ = γ_φ: the margin by which an iterate must improve on a filter entry.
const MARGIN: f64 = 1e-5;

/// A set of forbidden corners.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    entries: Vec<(f64, f64)>,
    largest: f64,
}

impl Filter {
    /// An empty filter that forbids violations above `largest`.
    pub fn new(largest: f64) -> Self {
        Self { entries: Vec::new(), largest }
    }

    /// Forgets the entries (the barrier parameter changed).
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Forbids what does not improve on (`theta`, `phi`).
    pub fn add(&mut self, theta: f64, phi: f64) {
        let entry = ((1.0 - MARGIN) * theta, phi - MARGIN * theta);
        self.entries.retain(|&(t, p)| t < entry.0 || p < entry.1);
        self.entries.push(entry);
    }

    /// Whether no entry dominates the pair.
    pub fn accepts(&self, theta: f64, phi: f64) -> bool {
        theta <= self.largest && self.entries.iter().all(|&(t, p)| theta <= t || not_above(phi, p))
    }
}

/// Whether the pair is enough of an improvement on the current (`theta0`, `phi0`).
pub(super) fn improves(theta: f64, phi: f64, theta0: f64, phi0: f64) -> bool {
    theta <= (1.0 - MARGIN) * theta0 || not_above(phi, phi0 - MARGIN * theta0)
}

/// `a <= b` up to the rounding errors of values of this size.
pub(super) fn not_above(a: f64, b: f64) -> bool {
    a - b <= 10.0 * f64::EPSILON * b.abs()
}

/// The step length below which the line search gives up (Wächter & Biegler, eq. 23, with γ_α = 0.05).
pub(super) fn smallest_step(theta: f64, small: f64, descent: f64) -> f64 {
    let mut alpha = MARGIN;
    if descent < 0.0 {
        alpha = alpha.min(MARGIN * theta / -descent);
        if theta <= small {
            alpha = alpha.min(theta.powf(1.1) / (-descent).powf(2.3));
        }
    }
    (0.05 * alpha).max(1e-14)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dominated_pairs_are_refused() {
        let mut filter = Filter::new(10.0);
        assert!(filter.accepts(5.0, 1e9) && !filter.accepts(11.0, 0.0));
        filter.add(1.0, 2.0);
        filter.add(0.5, 3.0);
        assert!(!filter.accepts(1.0, 2.0));
        assert!(!filter.accepts(0.7, 4.0));
        assert!(filter.accepts(0.7, 1.0));
        assert!(filter.accepts(0.1, 100.0));
        // An entry that dominates both replaces them.
        filter.add(0.4, 1.0);
        assert_eq!(filter.entries.len(), 1);
        assert!(!filter.accepts(0.7, 1.0));
    }

    #[test]
    fn improvement_in_either_measure() {
        assert!(improves(0.9, 5.0, 1.0, 1.0));
        assert!(improves(1.0, 0.9, 1.0, 1.0));
        assert!(!improves(1.0, 1.0, 1.0, 1.0));
        assert!(improves(0.0, 1.0, 0.0, 1.0));
    }
}
