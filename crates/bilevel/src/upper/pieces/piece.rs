//! One piece of the follower's answer: which items are held, at which side; there y and the multipliers are affine in x.

use bilevel_linalg::vector::norm_inf;

use super::data::QuadraticFollower;
use super::kkt::Kkt;

/// Where an item (a variable below m, a row beyond) stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Between its bounds, without multiplier.
    Free,
    /// At its lower bound, multiplier >= 0.
    Lower,
    /// At its upper bound, multiplier <= 0.
    Upper,
    /// Its bounds are equal.
    Equal,
}

impl Side {
    /// The sign of the way off this side: −1 off an upper bound, else 1.
    pub fn inward(self) -> f64 {
        if self == Side::Upper { -1.0 } else { 1.0 }
    }
}

/// How y and the multipliers move with x along a direction.
pub struct Motion {
    pub y: Vec<f64>,
    pub activity: Vec<f64>,
    /// Of λ.
    pub rows: Vec<f64>,
    /// Of μ.
    pub bounds: Vec<f64>,
}

/// What an exchange of an item does: to the value w of the item that is not zero on this piece (the distance to the bound
/// of a free one, the multiplier of a held one), to y and to η.
pub struct Response {
    /// The gradient of w in x.
    pub normal: Vec<f64>,
    /// The pivot: an exchange changes y by `y * (normal · dx) / pivot`, likewise η.
    pub pivot: f64,
    pub y: Vec<f64>,
    pub eta: Vec<f64>,
    /// The size of the terms of the pivot.
    pub scale: f64,
}

impl Response {
    /// Whether the pivot is more than rounding.
    pub fn is_regular(&self) -> bool {
        self.pivot.is_finite() && self.pivot.abs() > 1e-11 * self.scale
    }
}

/// A piece with the point on it.
pub struct Piece<'a> {
    /// The follower.
    pub follower: &'a QuadraticFollower,
    /// Where the items stand: variables, then rows.
    pub sides: Vec<Side>,
    kkt: Kkt<'a>,
    /// x.
    pub x: Vec<f64>,
    /// y(x).
    pub y: Vec<f64>,
    /// A x + B y.
    pub activity: Vec<f64>,
    /// λ.
    pub rows: Vec<f64>,
    /// μ.
    pub bounds: Vec<f64>,
}

impl<'a> Piece<'a> {
    /// The piece with these sides, at x; `None` if its system is singular.
    pub fn new(follower: &'a QuadraticFollower, sides: Vec<Side>, x: &[f64]) -> Option<Self> {
        let (m, r) = (follower.m(), follower.r());
        let kkt = Kkt::new(follower, sides.iter().map(|side| *side != Side::Free).collect())?;
        let (y, bounds) = (vec![0.0; m], vec![0.0; m]);
        let (activity, rows) = (vec![0.0; r], vec![0.0; r]);
        let mut piece = Self { follower, sides, kkt, x: x.to_vec(), y, activity, rows, bounds };
        piece.refresh();
        Some(piece)
    }

    /// Moves to x.
    pub fn go(&mut self, x: &[f64]) {
        self.x.copy_from_slice(x);
        self.refresh();
    }

    /// Computes y and the multipliers at x from the data.
    fn refresh(&mut self) {
        let (follower, m) = (self.follower, self.follower.m());
        let held: Vec<f64> = (0..m).map(|j| self.held_value(j).unwrap_or(0.0)).collect();
        let mut y: Vec<f64> = follower.linear.iter().map(|c| -c).collect();
        follower.cross.mul_add(-1.0, &self.x, &mut y);
        follower.hessian.mul_add(-1.0, &held, &mut y);
        let mut rows: Vec<f64> = (0..follower.r()).map(|i| self.held_value(m + i).unwrap_or(0.0)).collect();
        follower.rows_x.mul_add(-1.0, &self.x, &mut rows);
        follower.rows_y.mul_add(-1.0, &held, &mut rows);
        self.kkt.solve(&mut y, &mut rows);
        self.y = y.iter().zip(&held).map(|(a, b)| a + b).collect();
        self.rows = rows.iter().map(|eta| -eta).collect();
        self.bounds.copy_from_slice(&follower.linear);
        follower.cross.mul_add(1.0, &self.x, &mut self.bounds);
        follower.hessian.mul_add(1.0, &self.y, &mut self.bounds);
        follower.rows_y.transpose_mul_add(-1.0, &self.rows, &mut self.bounds);
        (0..m).filter(|&j| self.sides[j] == Side::Free).for_each(|j| self.bounds[j] = 0.0);
        self.activity.fill(0.0);
        follower.rows_x.mul_add(1.0, &self.x, &mut self.activity);
        follower.rows_y.mul_add(1.0, &self.y, &mut self.activity);
    }

    fn held_value(&self, item: usize) -> Option<f64> {
        let (low, high) = self.follower.range(item);
        match self.sides[item] {
            Side::Free => None,
            Side::Lower | Side::Equal => Some(low),
            Side::Upper => Some(high),
        }
    }

    /// The value of an item: y_j, or the activity of a row.
    pub fn value(&self, item: usize) -> f64 {
        let m = self.y.len();
        if item < m { self.y[item] } else { self.activity[item - m] }
    }

    /// The multiplier of an item.
    pub fn multiplier(&self, item: usize) -> f64 {
        let m = self.y.len();
        if item < m { self.bounds[item] } else { self.rows[item - m] }
    }

    /// The motion along a direction of x.
    pub fn motion(&mut self, d: &[f64]) -> Motion {
        let (follower, m, r) = (self.follower, self.follower.m(), self.follower.r());
        let mut by_x = vec![0.0; m];
        follower.cross.mul_add(1.0, d, &mut by_x);
        let mut activity = vec![0.0; r];
        follower.rows_x.mul_add(1.0, d, &mut activity);
        let mut y: Vec<f64> = by_x.iter().map(|v| -v).collect();
        let mut rows: Vec<f64> = activity.iter().map(|v| -v).collect();
        self.kkt.solve(&mut y, &mut rows);
        follower.rows_y.mul_add(1.0, &y, &mut activity);
        rows.iter_mut().for_each(|v| *v = -*v);
        let mut bounds = by_x;
        follower.hessian.mul_add(1.0, &y, &mut bounds);
        follower.rows_y.transpose_mul_add(-1.0, &rows, &mut bounds);
        (0..m).filter(|&j| self.sides[j] == Side::Free).for_each(|j| bounds[j] = 0.0);
        Motion { y, activity, rows, bounds }
    }

    /// The gradient in x of a function of y and η with these gradients, and the adjoint (p_y, p_η).
    pub fn adjoint(&mut self, by_y: &[f64], by_eta: &[f64]) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let (mut y, mut eta) = (by_y.to_vec(), by_eta.to_vec());
        self.kkt.solve(&mut y, &mut eta);
        let mut gradient = vec![0.0; self.x.len()];
        self.follower.cross.transpose_mul_add(-1.0, &y, &mut gradient);
        self.follower.rows_x.transpose_mul_add(-1.0, &eta, &mut gradient);
        (gradient, y, eta)
    }

    /// What an exchange of the item does.
    pub fn response(&mut self, item: usize) -> Response {
        let (follower, m, r) = (self.follower, self.follower.m(), self.follower.r());
        let (mut by_y, mut by_eta) = (vec![0.0; m], vec![0.0; r]);
        let held = self.kkt.is_held(item);
        match (item.checked_sub(m), held) {
            (None, false) => by_y[item] = 1.0,
            (Some(i), false) => follower.rows_y.row(i).for_each(|(j, v)| by_y[j] = v),
            (Some(i), true) => by_eta[i] = -1.0,
            (None, true) => {
                follower.hessian.for_row(item, |j, v| by_y[j] = v);
                follower.columns_y.row(item).for_each(|(i, v)| by_eta[i] = v);
            }
        }
        let (mut normal, mut y, mut eta) = self.adjoint(&by_y, &by_eta);
        let (pivot, scale) = match (item.checked_sub(m), held) {
            (None, false) => (-y[item], norm_inf(&y)),
            (Some(i), false) => {
                follower.rows_x.row(i).for_each(|(k, v)| normal[k] += v);
                eta[i] -= 1.0;
                let size = follower.rows_y.row(i).fold(0.0, |a: f64, (j, v)| a.max((v * y[j]).abs()));
                (-follower.rows_y.row_dot(i, &y), size)
            }
            (Some(i), true) => (eta[i], norm_inf(&eta)),
            (None, true) => {
                follower.cross.for_row(item, |k, v| normal[k] += v);
                let diagonal = follower.hessian.entry(item, item);
                let mut product = follower.columns_y.row(item).map(|(i, v)| v * eta[i]).sum::<f64>();
                let mut size = follower.columns_y.row(item).fold(diagonal.abs(), |a, (i, v)| a.max((v * eta[i]).abs()));
                follower.hessian.for_row(item, |j, v| {
                    if j != item {
                        product += v * y[j];
                        size = size.max((v * y[j]).abs());
                    }
                });
                y[item] = -1.0;
                (diagonal - product, size)
            }
        };
        Response { normal, pivot, y, eta, scale }
    }

    /// How the value w of another item answers to an exchange, per unit of `(normal · dx) / pivot`.
    pub fn answer(&self, item: usize, response: &Response) -> f64 {
        let (follower, m) = (self.follower, self.follower.m());
        match (item.checked_sub(m), self.kkt.is_held(item)) {
            (None, false) => response.y[item],
            (Some(i), false) => follower.rows_y.row_dot(i, &response.y),
            (Some(i), true) => -response.eta[i],
            (None, true) => {
                let rows: f64 = follower.columns_y.row(item).map(|(i, v)| v * response.eta[i]).sum();
                rows + follower.hessian.row_dot(item, &response.y)
            }
        }
    }

    /// Holds the item at a side, or frees it; false if the system would be singular.
    pub fn exchange(&mut self, item: usize, side: Side) -> bool {
        if !self.kkt.exchange(item) {
            return false;
        }
        self.sides[item] = side;
        self.refresh();
        true
    }
}
