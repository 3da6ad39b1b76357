//! What a descent holds with equality: leader's rows, and kinks, items of the follower at which value and multiplier are
//! both zero.

use super::Descent;
use super::descent::AT;
use super::piece::Side;
use super::reduced;

/// Something that holds with equality.
pub(super) struct Guard {
    pub kind: Kind,
    /// The gradient in x of what is held.
    pub normal: Vec<f64>,
    /// +1 if it may only grow, −1 if it may only fall, 0 if it is fixed.
    pub sign: f64,
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// A leader's row.
    Row(usize),
    /// An item of the follower, and the side of its range that it touches.
    Kink(usize, Side),
}

/// Guards made at minimisers at most.
const TOUCHED: usize = 100;

impl Descent<'_> {
    /// Keeps the multiplier of a held item at zero for good.
    pub fn pin(&mut self, item: usize, touched: Side) {
        self.guard_kink(item, touched, 0.0);
    }

    /// Makes a guard of an item at a kink.
    pub(super) fn guard_kink(&mut self, item: usize, touched: Side, sign: f64) {
        let normal = self.piece.response(item).normal;
        self.guards.push(Guard { kind: Kind::Kink(item, touched), normal, sign });
    }

    /// Whether a free item is at its bound without being held there: the answer is degenerate.
    pub(super) fn touches_unguarded(&self) -> bool {
        let guarded = |item: usize| self.guards.iter().any(|g| matches!(g.kind, Kind::Kink(other, _) if other == item));
        (0..self.piece.sides.len()).any(|item| {
            let ((low, high), value) = (self.piece.follower.range(item), self.piece.value(item));
            let at = |bound: f64| bound.is_finite() && (value - bound).abs() <= AT * (1.0 + bound.abs());
            low < high && self.piece.sides[item] == Side::Free && (at(low) || at(high)) && !guarded(item)
        })
    }

    /// Makes a guard of a leader's row.
    pub(super) fn guard_row(&mut self, i: usize, sign: f64) {
        let mut by_y = vec![0.0; self.piece.y.len()];
        self.leader.rows_y.row(i).for_each(|(j, v)| by_y[j] = v);
        let (mut normal, ..) = self.piece.adjoint(&by_y, &vec![0.0; self.piece.rows.len()]);
        self.leader.rows_x.row(i).for_each(|(j, v)| normal[j] += v);
        self.guards.push(Guard { kind: Kind::Row(i), normal, sign });
    }

    /// Makes a guard of an item at which both quantities vanish by chance, at a minimiser; false if there is none whose
    /// normal is independent of the guards'.
    pub(super) fn guard_touching(&mut self) -> bool {
        for item in 0..self.piece.sides.len() {
            let (low, high) = self.piece.follower.range(item);
            let (value, side) = (self.piece.value(item), self.piece.sides[item]);
            let at = |bound: f64| bound.is_finite() && (value - bound).abs() <= AT * (1.0 + bound.abs());
            let touched = match side {
                _ if low == high => continue,
                Side::Equal => continue,
                Side::Free if at(low) => Side::Lower,
                Side::Free if at(high) => Side::Upper,
                Side::Lower | Side::Upper if self.piece.multiplier(item).abs() <= AT => side,
                _ => continue,
            };
            if self.guards.iter().any(|guard| matches!(guard.kind, Kind::Kink(other, _) if other == item)) {
                continue;
            }
            self.guard_kink(item, touched, touched.inward());
            let normals: Vec<&[f64]> = self.guards.iter().map(|guard| guard.normal.as_slice()).collect();
            if self.touched < TOUCHED
                && reduced::step(&self.hessian, &self.gradient, &normals, &self.held, None).is_some()
            {
                self.touched += 1;
                return true;
            }
            self.guards.pop();
        }
        false
    }
}
