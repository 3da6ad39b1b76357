//! Which items are held at an answer where more of them touch their bounds than can be held independently, or rows follow
//! from others: a crossover from an interior point to a basis.
//!
//! Held rows R and held bounds are independent just if the columns of the others, with a slack for every inequality in R,
//! have the rank of R. So columns are taken in the order in which they may be free (those off their bounds first, then
//! by growing multiplier) and reduced by those before, until the rank is reached: a left-looking factorisation
//! (Gilbert & Peierls, "Sparse partial pivoting in time proportional to arithmetic operations", 1988). Columns that raise
//! the rank are free, however near their bound; the bounds of all others that touch are held. A row that no column
//! reaches follows from others.

use super::data::QuadraticFollower;
use super::piece::Side;

/// Values this near their bounds, relative, touch them.
const TOUCHING: f64 = 1e-7;
/// What is left of a column below this, relative to its size, is rounding.
const ROUNDING: f64 = 1e-9;
/// Of the entries of a column that are at least this part of the largest, the one in the row with the fewest entries
/// becomes the pivot.
const THRESHOLD: f64 = 0.1;

/// Where an item stands that touches a bound, and its multiplier's size.
struct Touching {
    side: Side,
    weight: f64,
}

impl QuadraticFollower {
    /// The sides at a point with these values (of variables, then rows) and multipliers.
    pub(super) fn basis(&self, values: &[f64], multipliers: &[f64]) -> Vec<Side> {
        let m = self.m();
        let touching: Vec<Option<Touching>> = values
            .iter()
            .zip(multipliers)
            .enumerate()
            .map(|(item, (&v, &u))| touching(self.range(item), v, u))
            .collect();
        let mut rows = Rows::new(self, &touching);
        let mut columns: Vec<(f64, usize, usize)> = Vec::new();
        for (item, touching) in touching.iter().enumerate() {
            let count = if item < m { self.columns_y.row(item).count() } else { 1 };
            match touching {
                Some(Touching { side: Side::Equal, .. }) => {}
                Some(touching) => columns.push((touching.weight, count, item)),
                None if item < m => columns.push((-1.0, count, item)),
                None => {}
            }
        }
        columns.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).unwrap_or(std::cmp::Ordering::Equal));
        let mut sides: Vec<Side> = touching.iter().map(|t| t.as_ref().map_or(Side::Free, |t| t.side)).collect();
        for (_, _, item) in columns {
            if rows.is_full() {
                break;
            }
            if rows.take(self, item) {
                sides[item] = Side::Free;
            }
        }
        rows.left().for_each(|i| sides[m + i] = Side::Free);
        sides
    }
}

fn touching((low, high): (f64, f64), value: f64, multiplier: f64) -> Option<Touching> {
    let at = |bound: f64| bound.is_finite() && (value - bound).abs() <= TOUCHING * (1.0 + bound.abs());
    let side = match (at(low), at(high)) {
        _ if low == high => Side::Equal,
        (true, true) if multiplier < 0.0 => Side::Upper,
        (true, _) => Side::Lower,
        (false, true) => Side::Upper,
        (false, false) => return None,
    };
    Some(Touching { side, weight: multiplier.abs() })
}

/// The rows that touch, reduced by the columns taken so far.
struct Rows {
    /// Place of a row among them, by its number.
    place: Vec<Option<usize>>,
    numbers: Vec<usize>,
    /// Entries of each row.
    counts: Vec<usize>,
    /// Pivot rows, and what is subtracted from the rows that had no pivot then.
    pivots: Vec<(usize, Vec<(usize, f64)>)>,
    has_pivot: Vec<bool>,
    work: Vec<f64>,
}

impl Rows {
    fn new(follower: &QuadraticFollower, touching: &[Option<Touching>]) -> Self {
        let m = follower.m();
        let numbers: Vec<usize> = (0..follower.r()).filter(|&i| touching[m + i].is_some()).collect();
        let mut place = vec![None; follower.r()];
        numbers.iter().enumerate().for_each(|(k, &i)| place[i] = Some(k));
        let counts = numbers.iter().map(|&i| follower.rows_y.row(i).count()).collect();
        let (has_pivot, work) = (vec![false; numbers.len()], vec![0.0; numbers.len()]);
        Self { place, numbers, counts, pivots: Vec::new(), has_pivot, work }
    }

    fn is_full(&self) -> bool {
        self.pivots.len() == self.numbers.len()
    }

    /// Takes a column if it raises the rank.
    fn take(&mut self, follower: &QuadraticFollower, item: usize) -> bool {
        let m = follower.m();
        self.work.fill(0.0);
        let mut size = 0.0f64;
        match item.checked_sub(m) {
            Some(i) => self.place[i].into_iter().for_each(|k| self.work[k] = 1.0),
            None => {
                for (i, v) in follower.columns_y.row(item) {
                    size = size.max(v.abs());
                    self.place[i].into_iter().for_each(|k| self.work[k] = v);
                }
            }
        }
        let size = size.max(1e-300);
        for (row, below) in &self.pivots {
            let value = self.work[*row];
            if value != 0.0 {
                below.iter().for_each(|&(k, v)| self.work[k] -= v * value);
            }
        }
        let open = |k: &usize| !self.has_pivot[*k];
        let largest = (0..self.work.len()).filter(open).fold(0.0, |a: f64, k| a.max(self.work[k].abs()));
        let size = if item < m { size } else { 1.0 };
        if largest.is_nan() || largest <= ROUNDING * size {
            return false;
        }
        let wide = (0..self.work.len()).filter(open).filter(|&k| self.work[k].abs() >= THRESHOLD * largest);
        let Some(row) = wide.min_by_key(|&k| self.counts[k]) else { return false };
        let pivot = self.work[row];
        let below = (0..self.work.len())
            .filter(|&k| k != row && !self.has_pivot[k] && self.work[k].abs() > 1e-14 * largest)
            .map(|k| (k, self.work[k] / pivot))
            .collect();
        self.has_pivot[row] = true;
        self.pivots.push((row, below));
        true
    }

    /// Rows without a pivot.
    fn left(&self) -> impl Iterator<Item = usize> + '_ {
        self.numbers.iter().zip(&self.has_pivot).filter(|(_, has)| !**has).map(|(&i, _)| i)
    }
}

#[cfg(test)]
mod tests {
    use bilevel_linalg::{Csr, PivotedQr};

    use super::*;
    use crate::upper::pieces::Coefficients;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// The twin: normals of held items stacked densely, and their rank.
    fn independent(follower: &QuadraticFollower, sides: &[Side]) -> (usize, usize) {
        let m = follower.m();
        let held: Vec<usize> = (0..sides.len()).filter(|&item| sides[item] != Side::Free).collect();
        let mut normals = bilevel_linalg::Dense::zeros(m, held.len());
        for (k, &item) in held.iter().enumerate() {
            match item.checked_sub(m) {
                None => normals[(item, k)] = 1.0,
                Some(i) => follower.rows_y.row(i).for_each(|(j, v)| normals[(j, k)] = v),
            }
        }
        let mut factor = PivotedQr::new();
        factor.factor(&normals, Some(1e-9)).unwrap();
        (held.len(), factor.rank())
    }

    #[test]
    fn held_items_are_independent_and_as_many_as_there_can_be() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..40 {
            // A network with all flows at zero but a few: rows outnumber the arcs that are used, and add up to nothing.
            let (nodes, m) = (6, 12);
            let mut triplets = Vec::new();
            for j in 0..m {
                let (from, to) = (rng.random_range(0..nodes), rng.random_range(0..nodes - 1));
                triplets.extend([(from, j, 1.0), ((from + 1 + to) % nodes, j, -1.0)]);
            }
            triplets.push((nodes, 0, 1.0));
            let rows_y = Csr::from_triplets(nodes + 1, m, &triplets).unwrap();
            let mut row_lower = vec![0.0; nodes];
            row_lower.push(f64::NEG_INFINITY);
            let follower = QuadraticFollower {
                hessian: Coefficients::Sparse(Csr::identity(m)),
                cross: Coefficients::Sparse(Csr::empty(m, 1)),
                linear: vec![0.0; m],
                lower: vec![0.0; m],
                upper: vec![1.0; m],
                rows_x: Csr::empty(nodes + 1, 1),
                columns_y: rows_y.transpose(),
                rows_y,
                row_lower,
                row_upper: vec![0.0; nodes + 1],
            };
            let values: Vec<f64> = (0..m)
                .map(|_| if rng.random_range(0..4) == 0 { 0.5 } else { 0.0 })
                .chain(vec![0.0; nodes + 1])
                .collect();
            let multipliers: Vec<f64> = (0..m + nodes + 1).map(|_| rng.random_range(0.0..1.0)).collect();
            let sides = follower.basis(&values, &multipliers);
            let (held, rank) = independent(&follower, &sides);
            assert_eq!(held, rank);
            let free = |item: &usize| values[*item] != 0.0 && *item < m;
            assert!((0..m).filter(free).all(|j| sides[j] == Side::Free));
            let all: Vec<Side> = (0..m + nodes + 1).map(|k| if free(&k) { Side::Free } else { Side::Lower }).collect();
            assert_eq!(rank, independent(&follower, &all).1);
        }
    }
}
