//! Where the follower has several answers: a kink that cannot be crossed, because without the item the optimality system
//! is singular. There y may leave the item's bound while its multiplier stays zero, and how far, t >= 0, is free: t becomes
//! a variable of the leader, who picks among the answers,
//!
//! ```text
//! A_i x + B_i y − t >= low_i  (held),   λ_i = 0  (a guard that stays)
//! ```
//!
//! and the system keeps the item. A bound of a variable becomes a row first.

use bilevel_linalg::Csr;

use super::data::{Coefficients, QuadraticFollower, QuadraticLeader};
use super::piece::Side;

/// Both levels with further variables t of the leader, behind its own.
#[derive(Clone, Debug)]
pub struct Extended {
    pub leader: QuadraticLeader,
    pub follower: QuadraticFollower,
    pub sides: Vec<Side>,
    pub x: Vec<f64>,
    /// Items whose multipliers stay zero.
    pub pinned: Vec<(usize, Side)>,
}

impl Extended {
    /// Nothing added yet.
    pub fn new(leader: &QuadraticLeader, follower: &QuadraticFollower, sides: Vec<Side>, x: Vec<f64>) -> Self {
        Self { leader: leader.clone(), follower: follower.clone(), sides, x, pinned: Vec::new() }
    }

    /// Frees the distance of an item from the side that it touches.
    pub fn free(mut self, item: usize, touched: Side) -> Option<Self> {
        let (n, m) = (self.leader.lower.len(), self.follower.m());
        let (low, high) = self.follower.range(item);
        let row = match item.checked_sub(m) {
            Some(i) => i,
            None => self.row_of_variable(item, touched)?,
        };
        let upper = touched == Side::Upper;
        let (bound_low, bound_high) = if upper { (f64::NEG_INFINITY, high) } else { (low, f64::INFINITY) };
        (self.follower.row_lower[row], self.follower.row_upper[row]) = (bound_low, bound_high);
        self.follower.rows_x = with_column(&self.follower.rows_x, &[(row, n, if upper { 1.0 } else { -1.0 })])?;
        self.follower.cross = widened(&self.follower.cross);
        let leader = &mut self.leader;
        leader.hessian = inserted(&leader.hessian, n)?;
        leader.linear.insert(n, 0.0);
        leader.lower.push(0.0);
        leader.upper.push(high - low);
        leader.rows_x = leader.rows_x.widened(n + 1);
        self.x.push(0.0);
        self.pinned.push((m + row, touched));
        Some(self)
    }

    /// A row that stands for a held bound of a variable, which becomes free.
    fn row_of_variable(&mut self, j: usize, touched: Side) -> Option<usize> {
        let follower = &mut self.follower;
        let (r, m) = (follower.r(), follower.m());
        follower.rows_y = follower.rows_y.stack(&Csr::from_triplets(1, m, &[(0, j, 1.0)])?).ok()?;
        follower.columns_y = follower.rows_y.transpose();
        follower.rows_x = follower.rows_x.stack(&Csr::empty(1, follower.rows_x.cols())).ok()?;
        follower.row_lower.push(follower.lower[j]);
        follower.row_upper.push(follower.upper[j]);
        (follower.lower[j], follower.upper[j]) = (f64::NEG_INFINITY, f64::INFINITY);
        self.sides[j] = Side::Free;
        self.sides.push(touched);
        Some(r)
    }
}

/// A matrix with one more column, which has these entries.
fn with_column(a: &Csr, entries: &[(usize, usize, f64)]) -> Option<Csr> {
    let mut triplets: Vec<_> = (0..a.rows()).flat_map(|i| a.row(i).map(move |(j, v)| (i, j, v))).collect();
    triplets.extend_from_slice(entries);
    Csr::from_triplets(a.rows(), a.cols() + 1, &triplets)
}

/// A matrix with a column of zeros behind the others.
fn widened(a: &Coefficients) -> Coefficients {
    match a {
        Coefficients::Dense(a) => {
            let cols = a.cols();
            let entry = |i: usize, j: usize| if j < cols { a[(i, j)] } else { 0.0 };
            Coefficients::Dense(bilevel_linalg::Dense::from_fn(a.rows(), cols + 1, entry))
        }
        Coefficients::Sparse(a) => Coefficients::Sparse(a.widened(a.cols() + 1)),
    }
}

/// A symmetric matrix with a row and a column of zeros at place n.
fn inserted(a: &Coefficients, n: usize) -> Option<Coefficients> {
    let size = a.rows() + 1;
    let old = |j: usize| if j > n { j - 1 } else { j };
    Some(match a {
        Coefficients::Dense(a) => {
            let entry = |i: usize, j: usize| if i == n || j == n { 0.0 } else { a[(old(i), old(j))] };
            Coefficients::Dense(bilevel_linalg::Dense::from_fn(size, size, entry))
        }
        Coefficients::Sparse(a) => {
            let new = |j: usize| if j >= n { j + 1 } else { j };
            let triplets: Vec<_> =
                (0..a.rows()).flat_map(|i| a.row(i).map(move |(j, v)| (new(i), new(j), v))).collect();
            Coefficients::Sparse(Csr::from_triplets(size, size, &triplets)?)
        }
    })
}
