//! Smoothing of nonsmooth functions [Alcantara & Takeda 2025, §2.2].
//!
//! A [`Family`] says how the positive part is smoothed; everything piecewise linear follows from it.
//! A [`Smoothing`] is a family at a level `mu`; it is an argument of every evaluation of a formula, so
//! that one formula serves both the exact function (`mu = 0`) and all of its smoothings.
//!
//! # Convention at kinks
//!
//! At `mu = 0` the values are exact and the derivatives of every function are one element of its Clarke
//! subdifferential: `plus'(0) = 1/2` and `abs'(0) = 0` (the limits of the smoothed derivatives at the kink itself), the
//! gradient of a norm at 0 is 0, and a maximum with ties shares its weight equally among the largest entries.
//! Second derivatives are those of the smooth pieces, 0 at the kink.
//!
//! # Adding a family
//!
//! One file with a [`Family`], and one line in `FAMILIES` below: tests run over all of them.

mod chks;
mod epanechnikov;
mod logistic;
mod moreau;
pub mod proximal;
mod uniform;

#[cfg(test)]
mod tests;

pub use chks::Chks;
pub use epanechnikov::Epanechnikov;
pub use logistic::Logistic;
pub use moreau::Moreau;
pub use uniform::Uniform;

use std::fmt::Debug;

/// Value, first and second derivative of a function of one variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jet {
    /// The value.
    pub value: f64,
    /// The first derivative.
    pub first: f64,
    /// The second derivative.
    pub second: f64,
}

/// A smoothed maximum of two numbers `a` and `b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Maximum {
    /// The value.
    pub value: f64,
    /// The derivative by `a`; that by `b` is `1 - weight`.
    pub weight: f64,
    /// The second derivative by `a`, which is also that by `b`, and minus the mixed one.
    pub bend: f64,
}

/// sqrt(a² + b²) without overflow or underflow; several times faster than the standard library's where squares are safe.
#[inline]
pub(crate) fn hypotenuse(a: f64, b: f64) -> f64 {
    let squares = a * a + b * b;
    if squares > 1e-280 && squares < 1e300 { squares.sqrt() } else { a.hypot(b) }
}

/// A smoothing family: how the positive part `max(z, 0)` is replaced by a smooth function.
///
/// Implementors guarantee, for every `mu > 0`: `value` nondecreasing and convex in `z`, `0 <= first <= 1`, no overflow
/// for finite `z`, the limits at `z = -inf` and `inf`, and NaN for NaN. A density (Example 2.7) lies above:
/// `0 <= plus(z, mu).value - max(z, 0) <= plus_error() * mu`, and is even: `plus(z) - plus(-z) = z`. An envelope
/// (Example 2.8) lies below by as much.
pub trait Family: Debug + Send + Sync {
    /// The name used in problem files and reports.
    fn name(&self) -> &'static str;

    /// The smoothed positive part at level `mu > 0` (Example 2.7).
    fn plus(&self, z: f64, mu: f64) -> Jet;

    /// The sharp constant of the error bound `|plus_mu(z) - max(z, 0)| <= constant * mu`; a density attains it at 0.
    fn plus_error(&self) -> f64;

    /// `kappa`, the mean of `|s|` under the density: the constant of the papers' error bound, twice the sharp one for
    /// an even density.
    fn kappa(&self) -> f64 {
        2.0 * self.plus_error()
    }

    /// Whether atoms become their Moreau envelopes (from below) rather than means under a density (from above).
    fn is_envelope(&self) -> bool {
        false
    }

    /// The smoothed larger of `a` and `b`; by default `b + plus(a - b)` for an even density, computed as the larger one
    /// plus `plus(-|a - b|)`, which cancels nothing.
    fn maximum(&self, a: f64, b: f64, mu: f64) -> Maximum {
        // Equal infinities have no difference.
        let tail = self.plus(if a == b { 0.0 } else { -(a - b).abs() }, mu);
        let (larger, weight) = if a >= b { (a, 1.0 - tail.first) } else { (b, tail.first) };
        Maximum { value: larger + tail.value, weight, bend: tail.second }
    }

    /// The smoothed absolute value; by default `plus(z) + plus(-z)`.
    fn abs(&self, z: f64, mu: f64) -> Jet {
        let (right, left) = (self.plus(z, mu), self.plus(-z, mu));
        Jet { value: right.value + left.value, first: right.first - left.first, second: right.second + left.second }
    }
}

static FAMILIES: [&dyn Family; 5] = [&Chks, &Logistic, &Uniform, &Epanechnikov, &Moreau];

/// The family with this name, as in problem files.
pub fn by_name(name: &str) -> Option<&'static dyn Family> {
    FAMILIES.iter().copied().find(|family| family.name() == name)
}

/// The names of all families, the default first.
pub fn names() -> impl Iterator<Item = &'static str> {
    FAMILIES.iter().map(|family| family.name())
}

/// A smoothing family at a level `mu`; `mu = 0` means the exact function.
#[derive(Clone, Copy, Debug)]
pub struct Smoothing<'a> {
    family: &'a dyn Family,
    mu: f64,
}

impl Smoothing<'static> {
    /// No smoothing: exact values, and the documented subgradient at kinks.
    pub const EXACT: Smoothing<'static> = Smoothing { family: &Chks, mu: 0.0 };
}

impl<'a> Smoothing<'a> {
    /// `family` at level `mu`; a negative or not finite `mu` counts as 0 (exact).
    pub fn new(family: &'a dyn Family, mu: f64) -> Self {
        let mu = if mu.is_finite() && mu > 0.0 { mu } else { 0.0 };
        Self { family, mu }
    }

    /// The level; 0 for the exact function.
    pub fn mu(&self) -> f64 {
        self.mu
    }

    /// The family.
    pub fn family(&self) -> &'a dyn Family {
        self.family
    }

    /// Whether atoms are replaced by their Moreau envelopes.
    pub fn is_envelope(&self) -> bool {
        self.mu > 0.0 && self.family.is_envelope()
    }

    /// The same family at another level.
    pub fn at(&self, mu: f64) -> Self {
        Self::new(self.family, mu)
    }

    /// The positive part at `z`.
    pub fn plus(&self, z: f64) -> Jet {
        if self.mu > 0.0 {
            return self.family.plus(z, self.mu);
        }
        if z.is_nan() {
            return Jet { value: z, first: z, second: 0.0 };
        }
        let first = if z > 0.0 {
            1.0
        } else if z < 0.0 {
            0.0
        } else {
            0.5
        };
        Jet { value: z.max(0.0), first, second: 0.0 }
    }

    /// The larger of `a` and `b`; exactly at a tie the weight is 1/2.
    pub fn maximum(&self, a: f64, b: f64) -> Maximum {
        if self.mu > 0.0 {
            return self.family.maximum(a, b, self.mu);
        }
        // Written so that NaN in either operand comes out.
        let value = if a >= b || a.is_nan() { a } else { b };
        let weight = if a == b {
            0.5
        } else if (a - b).is_nan() {
            f64::NAN
        } else {
            f64::from(a > b)
        };
        Maximum { value, weight, bend: 0.0 }
    }

    /// The absolute value at `z`.
    pub fn abs(&self, z: f64) -> Jet {
        if self.mu > 0.0 {
            return self.family.abs(z, self.mu);
        }
        let first = if z == 0.0 { 0.0 } else { z.signum() };
        Jet { value: z.abs(), first, second: 0.0 }
    }
}
