//! The certificate: what is known about a point, computed afresh from the problem and the point.
//!
//! ```text
//! violation.rs      feasibility of (x, y) in the user's own constraints
//! follower_gap.rs   f(x, y) − v(x) by a lower solve independent of any method's own
//! feasibility.rs    whether any (x, y) satisfies the constraints of both levels
//! verify.rs         everything joined: proofs, the independent solve, the verdict and its witness
//! words.rs          the same in words
//! theory.rs         whether the theory of hyper-objectives covers a problem, and why not
//! constants.rs      its constants, from structure or sampled
//! error_bound.rs    the error bound of the follower, sampled
//! set_smoothness.rs set smoothness of S(x) (or of any set-valued map), by projections
//! modulus.rs        weak convexity of phi, as observed
//! projection.rs     projections on S(x) for these
//! segments.rs       segments at shrinking lengths for these
//! clarke.rs         stationarity of phi_o: the shortest subgradient found around x
//! moreau.rs         stationarity of phi_p: a bound of the Moreau envelope's gradient
//! goldstein.rs      the hull of subgradients around x, which is weaker
//! black_box.rs      stationarity of phi_o from values alone
//! degeneracy.rs     constraint qualifications of the follower at the answer
//! multipliers/      multipliers of both levels at the answer, by least squares with signs
//! kkt.rs            the residuals (2.7) of a point of (VFP_epsilon^mu), multipliers by least squares
//! ```

mod black_box;
mod clarke;
mod constants;
mod degeneracy;
mod error_bound;
mod feasibility;
mod follower_gap;
mod goldstein;
mod kkt;
mod modulus;
mod moreau;
mod multipliers;
mod projection;
mod segments;
mod set_smoothness;
mod theory;
mod verify;
mod violation;
mod words;

pub use black_box::{BlackBoxCheck, BlackBoxSettings, black_box};
pub use clarke::{ClarkeCheck, clarke};
pub use constants::{Constant, Constants, Source};
pub use degeneracy::Degeneracy;
pub use error_bound::ErrorBound;
pub use feasibility::jointly_feasible;
pub use follower_gap::{FollowerCheck, check_follower};
pub use goldstein::{goldstein, goldstein_stationarity};
pub use kkt::check_kkt;
pub use modulus::{ObservedModulus, observed_modulus};
pub use moreau::{MoreauCheck, MoreauSettings, moreau};
pub use multipliers::{PointInUnits, multipliers};
pub use projection::AnswerProjector;
pub use segments::Segment;
pub use set_smoothness::{Projection, ScaleRow, SetSmoothness, SetSmoothnessSettings, Triple, set_smoothness};
pub use theory::{Shape, Theory, TheorySettings, kernel_turns, theory};
pub use verify::{ProvedGap, Verifier};
pub use violation::{follower_violation, violation};
pub use words::{refuted_claim, variable};
