//! Methods on the leader's problem.
//!
//! ```text
//! smoothed_value.rs   the main loop: SQP on (VFP_epsilon^mu) with mu and epsilon going to 0, then the polish
//! programme.rs        (VFP_epsilon^mu) as a nonlinear programme in (x, y)
//! polish.rs           the follower's optimality system with relaxed complementarity, driven to gap 0
//! implicit.rs         F(x, y(x)) minimised over x alone, where the follower's answer is a function of x
//! leader.rs           Leader: the upper level as an objective, bounds and a System
//! ```

mod implicit;
mod leader;
mod polish;
mod programme;
mod smoothed_value;

pub use implicit::implicit;
pub use leader::Leader;
pub use polish::{PolishSettings, Polished, optimality_residual, polish};
pub use programme::{ValueFunctionProgramme, joint_frame};
pub use smoothed_value::{Candidate, Levels, Models, Purpose, Run, Schedule, SmoothedPoint, SmoothedValue};
