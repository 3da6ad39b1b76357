//! The epigraph form of a convex nonsmooth formula: every kink becomes smooth constraints on auxiliary variables of the
//! follower, so that the smallest value over the auxiliary variables t is the formula itself, exactly.
//!
//! An atom that is convex in y may be replaced where a larger value of it can only make the objective larger (or a
//! constraint `c <= 0` harder to satisfy), through operations that keep convexity: sums, factors of known sign that do
//! not depend on y, nondecreasing convex functions (Boyd & Vandenberghe 2004, §4.1.3 and §3.2.4). `min` and `sqrt` are
//! replaced from below in concave positions.
//!
//! | atom | is replaced by | constraints |
//! |---|---|---|
//! | abs(z) | t | z - t <= 0, -z - t <= 0 |
//! | plus(z) | t >= 0 | z - t <= 0 |
//! | max(a, b), max(v) | t | a - t <= 0, b - t <= 0; v - t <= 0 |
//! | min(a, b) | t | t - a <= 0, t - b <= 0 |
//! | huber(z) | a²/2 + delta b | z - a - b <= 0, a - z - b <= 0 (Huber's function as an infimal convolution) |
//! | abs_power(z, p), 1 < p < 2 | t^p, t >= 0 | z - t <= 0, -z - t <= 0 |
//! | Euclidean norms | t >= 0 | sum of squares / (t + [`TINY`]) - t <= 0 |
//! | sqrt(g), sqrt(g) convex | t >= 0 | g / (t + [`TINY`]) - t <= 0 |
//! | sqrt(z), concave | t >= 0 | t² - z <= 0 |
//! | norm_p(z), p > 1 | t >= 0 | Σ abs(z_i)^p (t + [`TINY`])^(1 - p) - t <= 0 |
//!
//! The auxiliary variables have the bounds of the table; where something that is not linear reads them, such as another
//! kink that the range of the first one excludes, they have the whole range of what they stand for.
//!
//! # The cone of a norm
//!
//! ‖z‖ <= t is written as ‖z‖²/t - t <= 0: convex, smooth for t > 0, with bounded multipliers, and its logarithmic barrier
//! together with the one of t >= 0 is the self-concordant barrier -ln(t² - ‖z‖²) of the second-order cone. (‖z‖² - t² is
//! not convex, and its gradient vanishes at the tip; ‖z‖ - t is not smooth there.) At the tip z = 0, t = 0 the quotient
//! would be 0/0, so the divisor is t + [`TINY`]: everything is defined for t >= 0, 0 is exact, and the smallest t is
//! below ‖z‖ by less than half of [`TINY`]. Second derivatives at the tip are of the order 1/[`TINY`]; interior points
//! stay away from it.

mod build;
#[cfg(test)]
mod tests;
mod usage;

use super::structure::{Structure, StructureError, VariableBounds};
use super::{Expr, Tape, TapeError, Workspace};
use crate::smooth::Smoothing;

/// Added to the divisor in the cone of a norm: the norm's value is off by less than half of it.
pub const TINY: f64 = 1e-12;

/// Why there is no epigraph form.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NotLiftable {
    /// A formula cannot be analysed.
    #[error(transparent)]
    Structure(#[from] StructureError),
    /// A formula cannot be compiled.
    #[error(transparent)]
    Compile(#[from] TapeError),
    /// An atom with a kink in y stands where it cannot be replaced.
    #[error("`{atom}` is not smooth in the follower's variables, and {reason}")]
    Atom {
        /// The atom as text.
        atom: String,
        /// Why it cannot be replaced.
        reason: &'static str,
    },
}

/// Formulas over x and ỹ = (y, t), smooth in ỹ; see [`lift`].
#[derive(Clone, Debug)]
pub struct Lifted {
    /// The objective: its smallest value over t that satisfy the constraints is the original one.
    pub objective: Expr,
    /// First the given constraints, in their order, then those of the auxiliary variables: formulas with entries <= 0,
    /// or = 0 where the flag says so.
    pub constraints: Vec<(Expr, bool)>,
    /// Lower bounds of t.
    pub lower: Vec<f64>,
    /// Upper bounds of t.
    pub upper: Vec<f64>,
    /// The values of t as formulas of (x, y).
    definitions: Tape,
}

impl Lifted {
    /// The number of auxiliary variables t; in ỹ they follow y.
    pub fn auxiliaries(&self) -> usize {
        self.lower.len()
    }

    /// Appends the values of t that belong to (x, y): with them the lifted objective has the original value, and all
    /// constraints of t hold. Entries of `y` behind the original variables are ignored; NaN is appended if `x` or `y`
    /// are too short.
    pub fn fill(&self, x: &[f64], y: &[f64], out: &mut Vec<f64>) {
        let start = out.len();
        out.resize(start + self.auxiliaries(), f64::NAN);
        if let (Some(x), Some(y)) = (x.get(..self.definitions.leaders()), y.get(..self.definitions.followers())) {
            let mut workspace = Workspace::new(&self.definitions);
            self.definitions.evaluate(&mut workspace, x, y, Smoothing::EXACT).write_outputs(&mut out[start..]);
        }
    }
}

/// The epigraph form of a follower's objective and constraints (`<= 0`, or `= 0` where the flag says so), exact and
/// smooth in the follower's variables. Kinks in x alone are left as they are. The auxiliary variables are variables of
/// the follower in the same graph, behind the ones that have bounds.
///
/// # Errors
/// `Atom` if a kink stands in a position that is not convex, `Structure` if a formula is invalid or lacks bounds.
pub fn lift(objective: &Expr, constraints: &[(Expr, bool)], bounds: &VariableBounds) -> Result<Lifted, NotLiftable> {
    let roots: Vec<Expr> = std::iter::once(objective).chain(constraints.iter().map(|c| &c.0)).cloned().collect();
    let structure = Structure::new(&roots, bounds)?;
    let equalities: Vec<bool> = std::iter::once(false).chain(constraints.iter().map(|c| c.1)).collect();
    let uses = usage::uses(&structure, &equalities);
    let mut builder = build::Builder::new(objective.graph(), &structure, bounds.follower().len());
    builder.run(&uses)?;
    let lifted: Vec<Expr> = structure.roots().iter().map(|&root| builder.lifted(root)).collect();
    let built = builder.finish();
    let mut all: Vec<(Expr, bool)> = lifted.iter().cloned().zip(equalities).skip(1).collect();
    all.extend(built.constraints.into_iter().map(|c| (c, false)));
    Ok(Lifted {
        objective: lifted.into_iter().next().unwrap_or_else(|| objective.clone()),
        constraints: all,
        lower: built.lower,
        upper: built.upper,
        definitions: Tape::compile(&built.definitions, bounds.leader().len(), bounds.follower().len())?,
    })
}
