//! The follower's problem at a fixed x.
//!
//! ```text
//! accelerated.rs    accelerated projected gradient, for large followers over a set alone
//! branches.rs       local minimisers by support, where powers below 1 are the only kinks
//! composite.rs      Composite: an objective as a smooth part plus weighted norms, over a box
//! follower.rs       Follower: the lower level as an objective, bounds and a System; smooth or in epigraph form
//! newton.rs         smoothed followers over a box: projected Newton, with or without matrices
//! program.rs        FollowerProgram: that at a fixed x, as a nonlinear programme in y
//! proximal.rs       exact answers of such followers: prox-Newton on working sets
//! solve.rs          LowerSolver: local solves with warm starts, values, multipliers, the gradient of v
//! stiff.rs          their preconditioner
//! meter.rs          Meter: the count of lower solves, against a budget
//! multistart.rs     Pool: the distinct local minimisers of a nonconvex follower
//! ```

pub mod accelerated;
mod branches;
mod composite;
mod follower;
mod meter;
mod multistart;
mod newton;
mod program;
pub mod proximal;
mod solve;
mod stiff;

pub use branches::{Branch, branches, follow, manifold};
pub use composite::{Composite, CompositeAt, Weights};
pub use follower::Follower;
pub use meter::Meter;
pub use multistart::{Pool, PoolSettings};
pub use program::{FollowerProgram, Regulariser};
pub use solve::{LowerSolution, LowerSolver, LowerStatus};
