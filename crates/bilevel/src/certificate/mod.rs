//! The certificate: what is known about a point, computed afresh from the problem and the point.
//!
//! ```text
//! violation.rs      feasibility of (x, y) in the user's own constraints
//! follower_gap.rs   f(x, y) − v(x) by a lower solve independent of any method's own
//! feasibility.rs    whether any (x, y) satisfies the constraints of both levels
//! verify.rs         everything joined: proofs, the independent solve, the verdict and its witness
//! words.rs          the same in words
//! clarke.rs         stationarity of phi_o: the shortest subgradient found around x
//! moreau.rs         stationarity of phi_p: a bound of the Moreau envelope's gradient
//! goldstein.rs      the hull of subgradients around x, which is weaker
//! black_box.rs      stationarity of phi_o from values alone
//! kkt.rs            the residuals (2.7) of a point of (VFP_epsilon^mu), multipliers by least squares
//! ```

mod black_box;
mod clarke;
mod feasibility;
mod follower_gap;
mod goldstein;
mod kkt;
mod moreau;
mod verify;
mod violation;
mod words;

pub use black_box::{BlackBoxCheck, BlackBoxSettings, black_box};
pub use clarke::{ClarkeCheck, clarke};
pub use feasibility::jointly_feasible;
pub use follower_gap::{FollowerCheck, check_follower};
pub use goldstein::{goldstein, goldstein_stationarity};
pub use kkt::check_kkt;
pub use moreau::{MoreauCheck, MoreauSettings, moreau};
pub use verify::{ProvedGap, Verifier};
pub use violation::{follower_violation, violation};
pub use words::{refuted_claim, variable};
