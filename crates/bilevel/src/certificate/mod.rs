//! The certificate: what is known about a point, computed afresh from the problem and the point.
//!
//! ```text
//! violation.rs      feasibility of (x, y) in the user's own constraints
//! follower_gap.rs   f(x, y) − v(x) by a lower solve independent of any method's own
//! kkt.rs            the residuals (2.7) of a point of (VFP_epsilon^mu), multipliers by least squares
//! ```

mod follower_gap;
mod kkt;
mod violation;

pub use follower_gap::{FollowerCheck, check_follower};
pub use kkt::check_kkt;
pub use violation::{follower_violation, violation};
