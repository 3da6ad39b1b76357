//! Convex quadratic (and linear) followers of any size, solved piece by piece.
//!
//! While the set of the follower's active constraints does not change, its answer y(x) and its multipliers are affine in
//! x and φ(x) = F(x, y(x)) is quadratic. The descent goes from piece to piece until no neighbour is better.
//!
//! ```text
//! data.rs       QuadraticFollower, QuadraticLeader: both levels as data, sparse where they are
//! recognise.rs  from formulas to data
//! answer.rs     the follower's answer at one x from nothing, and a lower bound of its value
//! basis.rs      which items are held where too many touch their bounds
//! perturb.rs    degenerate followers, by small changes of their bounds and costs
//! kkt.rs        the optimality system on a set of held items: factored once, bordered by exchanges
//! piece.rs      Piece: y and multipliers as functions of x, and what an exchange does to them
//! extend.rs     Extended: the leader picks among several answers
//! reduced.rs    the step on a face of a piece
//! descent.rs    Descent: the method
//! guard.rs      what it holds with equality
//! path.rs       its run along a direction through the pieces
//! crossing.rs   the Hessian of φ, and an exchange's change of it
//! adjoint.rs    multipliers of the follower's optimality system
//! linear.rs     linear followers, whose answer jumps: two programmes in turn
//! multipliers.rs the follower's multipliers where its answer is degenerate
//! residual.rs   strong stationarity of a point, from the data alone
//! starts.rs     where they begin when F has products of variables alone
//! run.rs        one descent, from any x
//! tour.rs       descents from several starts, the later ones near the best end
//! ```

mod adjoint;
mod answer;
mod basis;
mod crossing;
mod data;
mod descent;
mod extend;
mod guard;
mod kkt;
mod linear;
mod multipliers;
mod path;
mod perturb;
mod piece;
mod recognise;
mod reduced;
mod residual;
mod run;
mod starts;
#[cfg(test)]
mod tests;
mod tour;

pub use answer::Answer;
pub use data::{Coefficients, QuadraticFollower, QuadraticLeader};
pub use descent::{Descent, Ended};
pub use piece::{Piece, Side};
pub use residual::StrongStationarity;

/// A problem with a convex quadratic follower, a quadratic leader and affine constraints.
#[derive(Clone, Debug)]
pub struct QuadraticProblem {
    /// The leader, over x and the auxiliary variables of its set.
    pub leader: QuadraticLeader,
    /// The follower, over y and the auxiliary variables of its set.
    pub follower: QuadraticFollower,
    /// Number of variables x.
    pub n: usize,
    /// Number of variables y.
    pub y: usize,
}
