//! The quadratic programme of bundle methods in its dual form, over columns (a_j, c_j):
//!
//! ```text
//! minimise  t/2 ‖Σ w_j a_j‖² + Σ w_j c_j   over w >= 0,  Σ_{cuts} w_j = 1
//! ```
//!
//! Cuts are convex-combined (their weights sum to one); rays, the normals of active constraints, are not bounded. The
//! primal method of Wolfe for the nearest point of a polytope (Math. Program. 11, 1976), with linear costs and rays: solve
//! on the support, walk back to the first weight that would turn negative, drop it; else add the column whose multiplier
//! is most violated. It starts from the weights of the last solve, so that one more cut costs a few small factorisations.

use bilevel_linalg::{Dense, Ldlt, vector};

/// A column of the programme.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// a_j.
    pub vector: Vec<f64>,
    /// c_j.
    pub cost: f64,
    /// Whether it is a cut; if not, a ray.
    pub cut: bool,
}

/// The programme with the weights of its last solve.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    columns: Vec<Column>,
    weights: Vec<f64>,
    /// Inner products of all columns, row by row as they were added.
    gram: Vec<Vec<f64>>,
    /// Σ w_j a_j.
    combination: Vec<f64>,
}

/// Multipliers may be violated by this much, relative to the terms that form them.
const TOLERANCE: f64 = 1e-13;
/// The diagonal is shifted by this much of its largest entry where dependent columns make the system singular.
const SHIFTS: [f64; 4] = [0.0, 1e-13, 1e-11, 1e-9];

impl Columns {
    /// No columns, of `dimension` entries.
    pub fn new(dimension: usize) -> Self {
        Self { combination: vec![0.0; dimension], ..Self::default() }
    }

    /// Number of columns.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The weights of the last solve.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// Sets the weights from which the next solve starts; missing ones are 0.
    pub fn start_from(&mut self, weights: &[f64]) {
        for (j, w) in self.weights.iter_mut().enumerate() {
            *w = weights.get(j).copied().unwrap_or(0.0);
        }
    }

    /// Σ w_j a_j at the weights of the last solve.
    pub fn combination(&self) -> &[f64] {
        &self.combination
    }

    /// Adds a column with weight 0.
    pub fn push(&mut self, column: Column) {
        let mut row: Vec<f64> = self.columns.iter().map(|c| vector::dot(&c.vector, &column.vector)).collect();
        row.push(vector::norm2_squared(&column.vector));
        self.gram.push(row);
        self.columns.push(column);
        self.weights.push(0.0);
    }

    fn product(&self, i: usize, j: usize) -> f64 {
        if i >= j { self.gram[i][j] } else { self.gram[j][i] }
    }

    /// Solves for the step `t` > 0; false if there is no cut or data are not finite. Any weights are feasible, so even an
    /// early end gives a valid bound.
    pub fn solve(&mut self, t: f64) -> bool {
        if !self.begin(t) {
            return false;
        }
        let mut support: Vec<usize> = (0..self.len()).filter(|&j| self.weights[j] > 0.0).collect();
        let limit = 20 + 10 * self.len();
        for _ in 0..limit {
            if !self.minimise_on(&mut support, t) {
                break;
            }
            match self.most_violated(&support, t) {
                Some(j) => support.push(j),
                None => break,
            }
        }
        self.normalise();
        true
    }

    /// Makes the weights feasible: the cuts' sum to one.
    fn begin(&mut self, t: f64) -> bool {
        let finite = |c: &Column| c.cost.is_finite() && c.vector.iter().all(|v| v.is_finite());
        let usable = t > 0.0 && t.is_finite() && self.columns.iter().all(finite);
        if !usable {
            return false;
        }
        let sum: f64 = self.cut_sum();
        if sum > 0.5 {
            self.normalise();
            return true;
        }
        let score = |j: &usize| 0.5 * t * self.product(*j, *j) + self.columns[*j].cost;
        let cuts = (0..self.len()).filter(|&j| self.columns[j].cut);
        let Some(first) = cuts.min_by(|a, b| score(a).total_cmp(&score(b))) else { return false };
        self.weights.fill(0.0);
        self.weights[first] = 1.0;
        true
    }

    fn cut_sum(&self) -> f64 {
        self.columns.iter().zip(&self.weights).filter(|(c, _)| c.cut).map(|(_, w)| w).sum()
    }

    fn normalise(&mut self) {
        self.weights.iter_mut().for_each(|w| *w = w.max(0.0));
        let sum = self.cut_sum();
        for (column, w) in self.columns.iter().zip(&mut self.weights) {
            if column.cut {
                *w /= sum;
            }
        }
        self.combination.fill(0.0);
        for (column, &w) in self.columns.iter().zip(&self.weights) {
            if w != 0.0 {
                vector::axpy(w, &column.vector, &mut self.combination);
            }
        }
    }

    /// Minimises over the weights of the support, which shrinks until all of them are positive; false where that fails.
    fn minimise_on(&mut self, support: &mut Vec<usize>, t: f64) -> bool {
        while !support.is_empty() {
            let Some(target) = self.on_support(support, t) else { return false };
            let mut step = 1.0;
            for (&j, &goal) in support.iter().zip(&target) {
                if goal < 0.0 {
                    step = f64::min(step, self.weights[j] / (self.weights[j] - goal));
                }
            }
            for (&j, &goal) in support.iter().zip(&target) {
                self.weights[j] += step * (goal - self.weights[j]);
            }
            if step >= 1.0 {
                return true;
            }
            self.drop_smallest(support, &target);
        }
        false
    }

    /// Takes out of the support the weights that reached zero, at least the one that blocked.
    fn drop_smallest(&mut self, support: &mut Vec<usize>, target: &[f64]) {
        let falling = support.iter().zip(target).filter(|(_, goal)| **goal < 0.0).map(|(&j, _)| j);
        let blocking = falling.min_by(|&a, &b| self.weights[a].total_cmp(&self.weights[b]));
        let weights = &mut self.weights;
        support.retain(|&j| {
            let stays = Some(j) != blocking && weights[j] > 0.0;
            if !stays {
                weights[j] = 0.0;
            }
            stays
        });
    }

    /// The weights of the support without their signs: a system with the sum of the cuts as its last row.
    fn on_support(&self, support: &[usize], t: f64) -> Option<Vec<f64>> {
        let k = support.len();
        let largest = support.iter().map(|&j| self.product(j, j)).fold(f64::MIN_POSITIVE, f64::max);
        let mut matrix = Dense::zeros(k + 1, k + 1);
        let mut right = vec![0.0; k + 1];
        for (a, &i) in support.iter().enumerate() {
            for (b, &j) in support.iter().enumerate().take(a + 1) {
                matrix[(a, b)] = t * self.product(i, j);
            }
            matrix[(k, a)] = f64::from(u8::from(self.columns[i].cut));
            right[a] = -self.columns[i].cost;
        }
        right[k] = 1.0;
        matrix.mirror_lower();
        let mut factor = Ldlt::new();
        for shift in SHIFTS {
            (0..k).for_each(|a| matrix[(a, a)] = t * (self.product(support[a], support[a]) + shift * largest));
            let mut solution = right.clone();
            let solved = factor.factor(&matrix).is_ok()
                && factor.solve_refined(&matrix, &mut solution, 2, &mut vec![0.0; 2 * (k + 1)]).is_ok();
            if solved && solution.iter().all(|w| w.is_finite()) {
                solution.truncate(k);
                return Some(solution);
            }
        }
        None
    }

    /// The column outside the support whose multiplier is most violated.
    fn most_violated(&self, support: &[usize], t: f64) -> Option<usize> {
        let slope = |j: usize| -> (f64, f64) {
            let terms = support.iter().map(|&i| t * self.weights[i] * self.product(i, j));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, a): (f64, f64), v| (s + v, a + v.abs()));
            (sum + self.columns[j].cost, size + self.columns[j].cost.abs())
        };
        let cuts = support.iter().filter(|&&j| self.columns[j].cut);
        let (level, count) = cuts.fold((0.0, 0), |(sum, n), &j| (sum + self.weights[j] * slope(j).0, n + 1));
        if count == 0 {
            return None;
        }
        let mut worst: Option<(f64, usize)> = None;
        for j in (0..self.len()).filter(|j| !support.contains(j)) {
            let (value, size) = slope(j);
            let base = if self.columns[j].cut { level } else { 0.0 };
            let violation = base - value;
            let relative = violation / (size + base.abs()).max(f64::MIN_POSITIVE);
            if relative > TOLERANCE && worst.is_none_or(|(largest, _)| violation > largest) {
                worst = Some((violation, j));
            }
        }
        worst.map(|(_, j)| j)
    }
}

/// The point of the convex hull of `generators` that is nearest to 0, and its weights; `None` without generators or where
/// data are not finite.
pub fn nearest_in_hull(generators: &[Vec<f64>]) -> Option<(Vec<f64>, Vec<f64>)> {
    let mut columns = Columns::new(generators.first()?.len());
    for vector in generators {
        columns.push(Column { vector: vector.clone(), cost: 0.0, cut: true });
    }
    columns.solve(1.0).then(|| (columns.combination.clone(), columns.weights))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The slow twin: projected-gradient steps on the weights of cuts and rays, many times.
    fn slow(columns: &[Column], t: f64) -> f64 {
        let k = columns.len();
        let cuts: Vec<usize> = (0..k).filter(|&j| columns[j].cut).collect();
        let mut w = vec![0.0; k];
        cuts.iter().for_each(|&j| w[j] = 1.0 / cuts.len() as f64);
        let value = |w: &[f64]| {
            let d = columns[0].vector.len();
            let g: Vec<f64> = (0..d).map(|i| (0..k).map(|j| w[j] * columns[j].vector[i]).sum()).collect();
            let cost: f64 = (0..k).map(|j| w[j] * columns[j].cost).sum();
            (0.5 * t * vector::norm2_squared(&g) + cost, g)
        };
        let lipschitz: f64 = t * columns.iter().map(|c| vector::norm2_squared(&c.vector)).sum::<f64>();
        for _ in 0..20_000 {
            let (_, g) = value(&w);
            for j in 0..k {
                w[j] -= (t * vector::dot(&columns[j].vector, &g) + columns[j].cost) / lipschitz;
            }
            let part: Vec<f64> = cuts.iter().map(|&j| w[j]).collect();
            let mut out = vec![0.0; part.len()];
            use crate::set::ConvexSet;
            crate::set::Simplex::new(part.len(), 1.0).unwrap().project(&part, &mut out);
            (0..k).for_each(|j| w[j] = w[j].max(0.0));
            cuts.iter().zip(&out).for_each(|(&j, &v)| w[j] = v);
        }
        value(&w).0
    }

    fn column(d: usize, cut: bool) -> impl Strategy<Value = Column> {
        (proptest::collection::vec(-2.0..2.0f64, d), 0.0..1.0f64).prop_map(move |(vector, cost)| Column {
            vector,
            cost,
            cut,
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn as_good_as_many_slow_steps(
            cuts in proptest::collection::vec(column(3, true), 1..7),
            rays in proptest::collection::vec(column(3, false), 0..3),
            t in 0.1..5.0f64,
        ) {
            let all: Vec<Column> = cuts.into_iter().chain(rays).collect();
            let mut programme = Columns::new(3);
            all.iter().for_each(|c| programme.push(c.clone()));
            prop_assert!(programme.solve(t));
            let w = programme.weights();
            let sum: f64 = all.iter().zip(w).filter(|(c, _)| c.cut).map(|(_, w)| w).sum();
            prop_assert!((sum - 1.0).abs() < 1e-12 && w.iter().all(|&w| w >= 0.0));
            let cost: f64 = all.iter().zip(w).map(|(c, w)| c.cost * w).sum();
            let value = 0.5 * t * vector::norm2_squared(programme.combination()) + cost;
            prop_assert!(value <= slow(&all, t) + 1e-9, "{value} against {}", slow(&all, t));
        }
    }

    #[test]
    fn hull_of_a_triangle_around_zero_and_beside_it() {
        let around = [vec![1.0, 0.0], vec![-1.0, 1.0], vec![-1.0, -1.0]];
        let (point, _) = nearest_in_hull(&around).unwrap();
        assert!(vector::norm2(&point) < 1e-12);
        let beside = [vec![1.0, 1.0], vec![1.0, -3.0], vec![4.0, 0.0], vec![1.0, 1.0]];
        let (point, weights) = nearest_in_hull(&beside).unwrap();
        assert!((point[0] - 1.0).abs() < 1e-12 && point[1].abs() < 1e-12, "{point:?}");
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!(nearest_in_hull(&[]).is_none());
    }
}
