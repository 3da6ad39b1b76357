//! The certificate: what is known about a point, computed afresh from the problem and the point.
//!
//! ```text
//! violation.rs      feasibility of (x, y) in the user's own constraints
//! follower_gap.rs   f(x, y) − v(x) by a lower solve independent of any method's own
//! feasibility.rs    whether any (x, y) satisfies the constraints of both levels
//! proved_gap.rs     the same gap proved, where the follower is small enough
//! set_smoothness.rs set smoothness of S(x) (or of any set-valued map), by projections
//! kkt.rs            the residuals (2.7) of a point of (VFP_epsilon^mu), multipliers by least squares
//! ```

mod feasibility;
mod follower_gap;
mod kkt;
mod proved_gap;
mod set_smoothness;
mod violation;

pub use feasibility::jointly_feasible;
pub use follower_gap::{FollowerCheck, check_follower};
pub use kkt::check_kkt;
pub use proved_gap::{GapProver, ProvedGap};
pub use set_smoothness::{ScaleRow, SetSmoothness, SetSmoothnessSettings, Triple, set_smoothness};
pub use violation::{follower_violation, violation};
