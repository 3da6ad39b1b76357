//! Methods that minimise a hyper-objective phi over X, from values and Clarke subgradients.
//!
//! ```text
//! oracle.rs             phi evaluated for one run: counts, warm starts, the points seen
//! quasi_newton.rs       (L-)BFGS with weak Wolfe line search; with X, quadratic programmes over X
//! bundle.rs             proximal bundle with convexified cuts, for weakly convex phi_p
//! model.rs              the bundle's cuts and their proximal point over X
//! columns.rs            the small quadratic programme behind it, and minimum-norm points of hulls
//! descent.rs            gradient steps with backtracking, for weakly concave phi_o
//! gradient_sampling.rs  Goldstein's direction from sampled subgradients (a baseline)
//! direct.rs             a pattern search for functions with jumps (few variables)
//! izom.rs               zeroth order [Chen, Li & So 2025, Algorithm 1], literal and practical
//! kink.rs               after a stop: does phi decrease at a subgradient from the other side of a kink?
//! multistart.rs         rounds of starts: random ones, and hops from the best point
//! ```
//!
//! All methods minimise `phi + delta_X` with X closed and convex, keep the best point seen, and stop for one of the
//! reasons of [`Ending`]. What is then known of the point is the certificate's business.

mod bundle;
mod columns;
mod descent;
mod direct;
mod gradient_sampling;
mod izom;
mod kink;
mod model;
mod multistart;
mod oracle;
mod quasi_newton;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use bundle::{BundleSettings, bundle};
pub use columns::{Column, Columns, nearest_in_hull};
pub use descent::{DescentSettings, descent};
pub use direct::{DirectSettings, direct};
pub use gradient_sampling::{GradientSamplingSettings, gradient_sampling};
pub use izom::{IzomSettings, IzomTrace, izom, random_direction};
pub use kink::leave_kink;
pub use model::{Cut, MoreauBound, ProximalModel, ProximalPoint, modulus};
pub use multistart::{Found, Local, LocalRun, MultistartSettings, multistart};
pub(crate) use oracle::distance;
pub use oracle::{Ending, Oracle, Sample};
pub use quasi_newton::{Curvature, QuasiNewtonSettings, quasi_newton};

use crate::set::{ConvexSet, Set};

/// The distance of minus a subgradient to the normal cone of X at a point of X: 0 where the subgradient says stationary.
pub fn projected_norm(set: &Set, x: &[f64], subgradient: &[f64]) -> f64 {
    let minus: Vec<f64> = subgradient.iter().map(|s| -s).collect();
    let size = x.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
    set.normal_cone_distance(x, &minus, ACTIVE * size)
}

/// Bounds within this distance, relative to 1 + the point's size, count as active.
const ACTIVE: f64 = 1e-10;

/// The least modulus of weak convexity that certificates use: gamma = 1/(2 rho) then meets gamma (rho + 1) < 1, which
/// Theorem 2 of Chen, Li & So needs, for every phi.
pub const LEAST_MODULUS: f64 = 1.01;

/// Certificates take a modulus that is only observed this many times as large: pairs of points show it from below.
pub const MODULUS_SAFETY: f64 = 4.0;
