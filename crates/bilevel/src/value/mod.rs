//! The value function v(x) and its smooth models.
//!
//! ```text
//! quadratic.rs   v_quad: the regularised minimum of a convex follower (§3.1)
//! consistency/   gradient consistency followed along sequences; the theorems' hypotheses
//! exact/         v itself and its subdifferential: generators from the distinct minimisers
//! pool.rs        the least of a pool of local minimisers of a nonconvex follower, and its soft version
//! entropic/      v_ent: −mu ln of the integral of exp(−f / mu) (§4)
//! barrier.rs     the log-barrier value function of followers with constraints that depend on x
//! moreau.rs      Moreau envelopes of v: jointly convex f, and f concave in x (§2, Ex. 2.9 and 2.10)
//! ```

mod barrier;
pub mod consistency;
pub mod entropic;
pub mod exact;
mod moreau;
mod pool;
mod quadratic;

pub use barrier::BarrierValue;
pub use entropic::{EntropicReport, EntropicSettings, EntropicValue, Region};
pub use moreau::{ConcaveMoreau, JointMoreau};
pub use pool::PoolValue;
pub use quadratic::QuadraticValue;

use crate::lower::{LowerStatus, Regulariser};

/// The value function or a smooth model of it, at one x.
#[derive(Clone, Debug, Default)]
pub struct ValuePoint {
    /// v_mu(x).
    pub value: f64,
    /// Its gradient (where the minimiser is not unique: one of the generators of the subdifferential).
    pub gradient: Vec<f64>,
    /// Gradients at other answers that tie with the best one: further generators.
    pub ties: Vec<Vec<f64>>,
    /// The follower's answer that attains it, without auxiliary variables.
    pub y: Vec<f64>,
    /// Estimated error of the value that the model's own computation leaves (integration, inner iterations); 0 where it is
    /// a lower solve's alone.
    pub value_error: f64,
    /// The same of the gradient, in its largest component.
    pub gradient_error: f64,
}

/// A smooth model of the value function at a level mu.
pub trait ValueModel {
    /// The name in reports.
    fn name(&self) -> &'static str;

    /// Starts a stage: sets the level, and takes what a stage keeps constant (such as the regulariser's centre) from the
    /// best-known point.
    fn begin_stage(&mut self, mu: f64, y: &[f64]);

    /// Takes a regulariser that was in force before, to recompute a stored point.
    fn resume(&mut self, _regulariser: &Regulariser) {}

    /// Takes the region to which an unbounded Y was cut before, to recompute a stored point.
    fn resume_region(&mut self, _region: &Region) {}

    /// The region to which an unbounded Y is cut, where the model integrates over one.
    fn region(&self) -> Option<Region> {
        None
    }

    /// Suggests a start for the next lower solve.
    fn suggest(&mut self, y: &[f64]);

    /// Value, gradient and attaining answer at `x`.
    ///
    /// # Errors
    /// The status of the lower solve where there is no value.
    fn evaluate(&mut self, x: &[f64]) -> Result<ValuePoint, LowerStatus>;

    /// The regulariser in force, which a check of the point must know.
    fn regulariser(&self) -> Regulariser {
        Regulariser::default()
    }
}

/// The value models, as a user names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// The quadratically regularised minimum; for followers convex in y.
    Quadratic,
    /// The least over a pool of local minimisers.
    Pool,
    /// The soft minimum over that pool.
    SoftPool,
    /// The entropic integral; for followers with a fixed set.
    Entropic,
    /// The log-barrier value function; for followers convex in y with constraints.
    Barrier,
    /// A Moreau envelope of v; for jointly convex problems, and for f concave in x over a fixed set.
    Moreau,
}

impl ValueKind {
    /// All of them.
    pub const ALL: [ValueKind; 6] =
        [Self::Quadratic, Self::Pool, Self::SoftPool, Self::Entropic, Self::Barrier, Self::Moreau];

    /// The name in problem files and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Quadratic => "quadratic",
            Self::Pool => "pool",
            Self::SoftPool => "soft-pool",
            Self::Entropic => "entropic",
            Self::Barrier => "barrier",
            Self::Moreau => "moreau",
        }
    }

    /// The model of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}
