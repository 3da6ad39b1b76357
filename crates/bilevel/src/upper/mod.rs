//! Methods on the leader's problem.
//!
//! ```text
//! smoothed_value/     the main loop: SQP on (VFP_epsilon^mu) with mu and epsilon going to 0, then the polish
//! augmented_lagrangian.rs  the same stages by an augmented Lagrangian, without matrices
//! projected_gradient.rs    the same stages by a smoothed penalty and projected gradients, after Lin, Xu & Ye
//! matrix_free.rs      (VFP_epsilon^mu) for these two
//! programme.rs        (VFP_epsilon^mu) as a nonlinear programme in (x, y)
//! polish.rs           the follower's optimality system with relaxed complementarity, driven to gap 0
//! implicit.rs         F(x, y(x)) minimised over x alone, where the follower's answer is a function of x
//! reduced.rs          the same where the follower is nonsmooth and its answer exact, however many variables it has
//! branches.rs         the same branch by branch, where the follower has powers below 1
//! bard_moore.rs       linear and convex-quadratic followers piece by piece: branching on complementarity
//! pieces/             convex quadratic followers of any size: descent over x from piece to piece of the answer
//! leader.rs           Leader: the upper level as an objective, bounds and a System
//! levels.rs           Levels: both levels in the forms that methods take
//! run.rs              Run: what one start of a method gives
//! ```

mod augmented_lagrangian;
pub mod bard_moore;
mod branches;
pub mod hyper;
mod implicit;
mod leader;
mod levels;
mod matrix_free;
pub mod pieces;
mod polish;
mod programme;
mod projected_gradient;
mod reduced;
mod run;
mod smoothed_value;

pub use branches::{branch_residual, follow_branches};
pub use implicit::implicit;
pub use leader::Leader;
pub use levels::Levels;
pub use polish::{PolishSettings, Polished, optimality_residual, polish};
pub use programme::{ValueFunctionProgramme, joint_frame};
pub use reduced::{Followed, reduced, reduced_residual, reducible};
pub use run::{Candidate, Run, SmoothedPoint};
pub use smoothed_value::{Method, Models, Purpose, Schedule, SmoothedValue};
