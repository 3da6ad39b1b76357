//! Degenerate followers: flows that are zero along whole parts of a network, more rows than free variables, ties between
//! answers. There the held items that determine an answer are not unique, and a descent from piece to piece may circle
//! among them or be held where nothing holds it.
//!
//! With bounds and costs moved by small random amounts the answers are regular, with probability one (Charnes,
//! "Optimality and degeneracy in linear programming", 1952). The descent runs there; at its end the amounts go back to
//! zero while everything that holds goes on to hold, which moves the point by as little. What is claimed of it is
//! computed from the true problem, as of any point.

use bilevel_linalg::vector::norm_inf;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::data::{QuadraticFollower, QuadraticLeader};
use super::guard::Kind;
use super::piece::{Piece, Side};
use super::{Descent, reduced};

/// The changes, relative, and where their random numbers start.
pub(super) const PERTURBATIONS: [f64; 3] = [1e-5, 1e-6, 1e-7];
pub(super) const SEED: u64 = 0x5eed;
/// Values off their bounds by this, relative, are on the wrong side.
const OUTSIDE: f64 = 1e-8;
/// Steps to the point where everything holds.
const STEPS: usize = 3;

impl QuadraticFollower {
    /// The same with bounds, bounds of inequality rows and costs moved by up to `size`, relative to 1 + theirs.
    pub(super) fn perturbed(&self, size: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut out = self.clone();
        let mut wider = |low: &mut f64, high: &mut f64| {
            if low == high {
                return;
            }
            *low -= size * (1.0 + low.abs()) * rng.random_range(0.5..1.0);
            *high += size * (1.0 + high.abs()) * rng.random_range(0.5..1.0);
        };
        out.lower.iter_mut().zip(&mut out.upper).for_each(|(low, high)| wider(low, high));
        out.row_lower.iter_mut().zip(&mut out.row_upper).for_each(|(low, high)| wider(low, high));
        out.linear.iter_mut().for_each(|c| *c += size * (1.0 + c.abs()) * rng.random_range(-1.0..1.0));
        out
    }

    /// A piece on which an answer at x lies: where the answer is degenerate, one of those that meet there.
    pub(super) fn any_piece(&self, x: &[f64]) -> Option<Piece<'_>> {
        let beside = |size: &f64| {
            let sides = self.perturbed(*size, SEED).piece(x)?.sides;
            Piece::new(self, sides, x).filter(follower_holds)
        };
        self.piece(x).or_else(|| PERTURBATIONS.iter().find_map(beside))
    }
}

/// The end of a descent, as what holds there.
pub(super) struct End {
    pub sides: Vec<Side>,
    pub guards: Vec<(Kind, f64)>,
    pub held: Vec<bool>,
    pub x: Vec<f64>,
}

impl End {
    pub fn of(descent: Descent<'_>) -> Self {
        let guards = descent.guards.iter().map(|guard| (guard.kind, guard.sign)).collect();
        Self { sides: descent.piece.sides, guards, held: descent.held, x: descent.piece.x }
    }

    /// The point of these levels where the same holds: (x, y); `None` if there is none, or something else would have to
    /// hold there.
    pub fn settled(&self, leader: &QuadraticLeader, follower: &QuadraticFollower) -> Option<(Vec<f64>, Vec<f64>)> {
        let piece = Piece::new(follower, self.sides.clone(), &self.x)?;
        let mut descent = Descent::new(leader, piece)?;
        descent.guards.clear();
        descent.held.clone_from(&self.held);
        for &(kind, sign) in &self.guards {
            match kind {
                Kind::Row(i) => descent.guard_row(i, sign),
                Kind::Kink(item, touched) => descent.guard_kink(item, touched, sign),
            }
        }
        for _ in 0..STEPS {
            let missing: Vec<f64> = descent.guards.iter().map(|guard| descent.missing(guard.kind)).collect();
            let normals: Vec<&[f64]> = descent.guards.iter().map(|guard| guard.normal.as_slice()).collect();
            let step = reduced::step(&descent.hessian, &descent.gradient, &normals, &descent.held, Some(&missing))?;
            let x = descent.moved(&step.d, 1.0);
            descent.piece.go(&x);
            descent.evaluate();
        }
        let inside = follower_holds(&descent.piece);
        inside.then_some((descent.piece.x, descent.piece.y))
    }
}

impl Descent<'_> {
    /// By how much a guard's quantity has to grow to hold.
    fn missing(&self, kind: Kind) -> f64 {
        match kind {
            Kind::Row(i) => {
                let value = self.leader.rows_x.row_dot(i, &self.piece.x) + self.leader.rows_y.row_dot(i, &self.piece.y);
                value.max(self.leader.row_lower[i]).min(self.leader.row_upper[i]) - value
            }
            Kind::Kink(item, touched) => {
                let (low, high) = self.piece.follower.range(item);
                let bound = if touched == Side::Upper { high } else { low };
                match self.piece.sides[item] {
                    Side::Free => bound - self.piece.value(item),
                    _ => -self.piece.multiplier(item),
                }
            }
        }
    }
}

/// Whether values and multipliers on a piece have their signs.
fn follower_holds(piece: &Piece<'_>) -> bool {
    let size = 1.0 + norm_inf(&piece.rows).max(norm_inf(&piece.bounds));
    piece.sides.iter().enumerate().all(|(item, side)| {
        let (low, high) = piece.follower.range(item);
        let (value, multiplier) = (piece.value(item), piece.multiplier(item));
        match side {
            Side::Free => value >= low - OUTSIDE * (1.0 + low.abs()) && value <= high + OUTSIDE * (1.0 + high.abs()),
            Side::Lower => multiplier >= -OUTSIDE * size,
            Side::Upper => multiplier <= OUTSIDE * size,
            Side::Equal => true,
        }
    })
}
