//! The certificate: what is known about a point, computed afresh from the problem and the point.
//!
//! ```text
//! violation.rs      feasibility of (x, y) in the user's own constraints
//! follower_gap.rs   f(x, y) − v(x) by a lower solve independent of any method's own
//! feasibility.rs    whether any (x, y) satisfies the constraints of both levels
//! verify.rs         everything joined: proofs, the independent solve, the verdict and its witness
//! words.rs          the same in words
//! kkt.rs            the residuals (2.7) of a point of (VFP_epsilon^mu), multipliers by least squares
//! ```

mod feasibility;
mod follower_gap;
mod kkt;
mod verify;
mod violation;
mod words;

pub use feasibility::jointly_feasible;
pub use follower_gap::{FollowerCheck, check_follower};
pub use kkt::check_kkt;
pub use verify::{ProvedGap, Verifier};
pub use violation::{follower_violation, violation};
pub use words::{refuted_claim, variable};
