//! The adjoint of the follower's optimality system: multipliers of its stationarity and of its items, for given multipliers
//! of the guards.

use bilevel_linalg::vector::axpy;

use super::guard::Kind;
use super::piece::{Piece, Side};
use super::{Descent, QuadraticFollower};

impl Descent<'_> {
    /// For every kink the signed multiplier of the condition that its other quantity, which is zero on this piece, keeps
    /// its sign.
    pub(super) fn other_sides(&mut self, multipliers: &[f64]) -> Vec<(usize, f64)> {
        if !self.guards.iter().any(|guard| matches!(guard.kind, Kind::Kink(..))) {
            return Vec::new();
        }
        let adjoint = self.full_adjoint(multipliers);
        let mut out = Vec::new();
        for (k, guard) in self.guards.iter().enumerate() {
            if let Kind::Kink(item, touched) = guard.kind {
                let sign = touched.inward();
                out.push((k, sign * adjoint.other(self.piece.follower, &self.piece, item)));
            }
        }
        out
    }

    /// Multipliers p of the follower's stationarity and q of its items, for given multipliers of the guards.
    pub(super) fn full_adjoint(&mut self, multipliers: &[f64]) -> FullAdjoint {
        let follower = self.piece.follower;
        let (m, r) = (follower.m(), follower.r());
        let (mut by_y, mut by_eta) = (self.by_y.clone(), vec![0.0; r]);
        let (mut p_held, mut q_free) = (vec![0.0; m], vec![0.0; r]);
        for (guard, &nu) in self.guards.iter().zip(multipliers) {
            match guard.kind {
                Kind::Row(i) => self.leader.rows_y.row(i).for_each(|(j, v)| by_y[j] -= nu * v),
                Kind::Kink(item, _) => match (item.checked_sub(m), self.piece.sides[item] != Side::Free) {
                    (None, false) => by_y[item] -= nu,
                    (Some(i), false) => {
                        follower.rows_y.row(i).for_each(|(j, v)| by_y[j] -= nu * v);
                        q_free[i] = nu;
                    }
                    (Some(i), true) => by_eta[i] += nu,
                    (None, true) => {
                        p_held[item] = nu;
                        follower.hessian.for_row(item, |j, v| by_y[j] -= nu * v);
                        follower.columns_y.row(item).for_each(|(i, v)| by_eta[i] -= nu * v);
                    }
                },
            }
        }
        let right = by_y.clone();
        let (_, mut p, mut q) = self.piece.adjoint(&by_y, &by_eta);
        // What is left of the rows of held variables: their q. The terms of guards are in `right` already.
        let mut left = right;
        follower.hessian.mul_add(-1.0, &p, &mut left);
        follower.rows_y.transpose_mul_add(-1.0, &q, &mut left);
        axpy(1.0, &p_held, &mut p);
        axpy(1.0, &q_free, &mut q);
        FullAdjoint { p, q, left }
    }
}

/// Multipliers of the follower's optimality system in the leader's problem.
pub(super) struct FullAdjoint {
    /// Of its stationarity.
    pub p: Vec<f64>,
    /// Of the values of its rows.
    pub q: Vec<f64>,
    /// Of the values of its held variables.
    left: Vec<f64>,
}

impl FullAdjoint {
    /// The multiplier of the condition on an item's quantity that is zero on the piece.
    pub fn other(&self, follower: &QuadraticFollower, piece: &Piece<'_>, item: usize) -> f64 {
        let m = follower.m();
        match (item.checked_sub(m), piece.sides[item] != Side::Free) {
            (None, false) => self.p[item],
            (Some(i), false) => follower.rows_y.row_dot(i, &self.p),
            (Some(i), true) => self.q[i],
            (None, true) => self.left[item],
        }
    }
}
