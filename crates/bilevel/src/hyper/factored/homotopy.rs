//! The least weighted sum of absolute values on an affine subspace, by the homotopy of the lasso (Osborne, Presnell &
//! Turlach 2000; Efron, Hastie, Johnstone & Tibshirani 2004):
//!
//! ```text
//! minimise Σ_j w_j |y_j|  subject to C y = d:       y(s) minimises ½ ‖C y − d‖² + s Σ w_j |y_j|,   s from ∞ down to 0
//! ```
//!
//! y(s) is linear between values of s where an entry leaves 0 or returns to it. With r = d − C y and ν = r / s all
//! |C_jᵀ ν| <= w_j, so that dᵀν is a lower bound by duality all along the path; C y = d is restored by the shortest step for
//! an upper one. The path ends when both are within the accuracy, at s = 0 at the latest, where they meet.

use bilevel_linalg::Dense;
use bilevel_linalg::vector::{axpy, dot, norm2};

use super::curvature::Answers;
use super::growing::GrowingCholesky;

/// Steps of the path between two looks at the bounds.
const LOOK: usize = 16;
/// Most steps, relative to the number of rows: ties that make the path cycle end here.
const STEPS: usize = 12;
/// Slopes this close to that of s run beside it and do not meet it.
const PARALLEL: f64 = 1e-11;

/// What the path came to.
pub(super) struct Shortest {
    /// A point with C y = d.
    pub y: Vec<f64>,
    /// ν.
    pub multipliers: Vec<f64>,
    /// dᵀν, no more than the least value.
    pub bound: f64,
    /// Products with C and its transpose, in pairs.
    pub products: u64,
}

/// The path at one s, in the scaled variables u = w ∘ y.
struct Path<'a> {
    /// Row j is column j of C, divided by w_j.
    columns: &'a Dense,
    active: Vec<usize>,
    signs: Vec<f64>,
    factor: GrowingCholesky,
    u: Vec<f64>,
    s: f64,
    residual: Vec<f64>,
    /// Columns times residual.
    correlation: Vec<f64>,
}

/// What ends a piece of the path.
enum Event {
    Join(usize, f64),
    Leave(usize),
    End,
}

impl<'a> Path<'a> {
    fn new(columns: &'a Dense, right: &[f64]) -> Option<Self> {
        let (m, p) = (columns.rows(), columns.cols());
        let mut correlation = vec![0.0; m];
        columns.mul_add(1.0, &right[..p], &mut correlation);
        let (first, s) = correlation.iter().map(|c| c.abs()).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))?;
        let mut path = Self {
            columns,
            active: Vec::new(),
            signs: Vec::new(),
            factor: GrowingCholesky::default(),
            u: vec![0.0; m],
            s,
            residual: right.to_vec(),
            correlation,
        };
        let sign = path.correlation[first].signum();
        (s > 0.0 && s.is_finite() && path.join(first, sign)).then_some(path)
    }

    fn join(&mut self, j: usize, sign: f64) -> bool {
        let column = self.columns.row(j);
        let products: Vec<f64> = self.active.iter().map(|&k| dot(self.columns.row(k), column)).collect();
        let independent = self.factor.add(&products, dot(column, column));
        if independent {
            self.active.push(j);
            self.signs.push(sign);
        }
        independent
    }

    /// The change of u on the active set per unit of −s, that of the residual, and that of the correlations.
    fn direction(&self) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
        let mut along = self.signs.clone();
        self.factor.solve(&mut along);
        let mut image = vec![0.0; self.columns.cols()];
        self.active.iter().zip(&along).for_each(|(&j, d)| axpy(*d, self.columns.row(j), &mut image));
        let mut fall = vec![0.0; self.columns.rows()];
        self.columns.mul_add(1.0, &image, &mut fall);
        (along, image, fall)
    }

    /// The first event on the way down, and how far it is. `left` has just left: it does not join at once.
    fn next(&self, along: &[f64], fall: &[f64], left: Option<usize>) -> (f64, Event) {
        let (mut step, mut event) = (self.s, Event::End);
        let mut is_active = vec![false; self.u.len()];
        self.active.iter().for_each(|&j| is_active[j] = true);
        // With as many columns as rows the residual falls straight to 0, and all correlations with it.
        let full = self.active.len() == self.columns.cols();
        for (j, (c, a)) in self.correlation.iter().zip(fall).enumerate() {
            if is_active[j] || full {
                continue;
            }
            for sign in [1.0, -1.0] {
                let closing = 1.0 - sign * a;
                let distance = (self.s - sign * c).max(0.0) / closing;
                let again = left == Some(j) && *c * sign > 0.0;
                if closing > PARALLEL && distance < step && !again {
                    (step, event) = (distance, Event::Join(j, sign));
                }
            }
        }
        for (k, (&j, d)) in self.active.iter().zip(along).enumerate() {
            let distance = -self.u[j] / d;
            // An entry that has just joined moves away from 0.
            if distance > 0.0 && distance < step {
                (step, event) = (distance, Event::Leave(k));
            }
        }
        (step, event)
    }

    /// Follows one piece; `None` at a dead end.
    fn advance(&mut self, left: &mut Option<usize>) -> Option<bool> {
        let (along, image, fall) = self.direction();
        let (step, event) = self.next(&along, &fall, *left);
        self.active.iter().zip(&along).for_each(|(&j, d)| self.u[j] += step * d);
        axpy(-step, &image, &mut self.residual);
        axpy(-step, &fall, &mut self.correlation);
        self.s -= step;
        *left = None;
        match event {
            Event::End => return Some(true),
            Event::Join(j, sign) => {
                if !self.join(j, sign) {
                    return None;
                }
            }
            Event::Leave(k) => {
                self.factor.remove(k);
                self.signs.remove(k);
                let j = self.active.remove(k);
                self.u[j] = 0.0;
                *left = Some(j);
            }
        }
        (!self.active.is_empty()).then_some(false)
    }

    /// ν before the last piece ends: the residual in units of s, or its limit.
    fn multipliers(&self, done: bool) -> Vec<f64> {
        if !done {
            return self.residual.iter().map(|r| r / self.s).collect();
        }
        self.direction().1
    }
}

/// Follows the path for Σ w_j |y_j| over {C y = d}, to within `accuracy`; `None` if it stalls or its ends do not meet.
pub(super) fn shortest(answers: &Answers, weights: &[f64], right: &[f64], accuracy: f64) -> Option<Shortest> {
    let mut columns = answers.rows.transpose();
    for (j, w) in weights.iter().enumerate() {
        columns.row_mut(j).iter_mut().for_each(|v| *v /= w);
    }
    let mut path = Path::new(&columns, right)?;
    let mut left = None;
    let most = STEPS * right.len() + 100;
    for step in 1..=most {
        let done = path.advance(&mut left)?;
        if !done && step % LOOK != 0 {
            continue;
        }
        let found = ends(&path, done, (answers, weights, right), step as u64);
        let gap = found.1 - found.0.bound;
        let rounding = 1e-9 * (1.0 + found.1.abs());
        if gap <= accuracy.max(if done { rounding } else { 0.0 }) {
            return Some(found.0);
        }
        if done {
            return None;
        }
    }
    None
}

/// Both bounds at a point of the path, and the value of the upper one.
fn ends(
    path: &Path<'_>,
    done: bool,
    (answers, weights, right): (&Answers, &[f64], &[f64]),
    steps: u64,
) -> (Shortest, f64) {
    let mut multipliers = path.multipliers(done);
    let mut slopes = vec![0.0; weights.len()];
    path.columns.mul_add(1.0, &multipliers, &mut slopes);
    let largest = slopes.iter().fold(1.0, |a: f64, c| a.max(c.abs()));
    multipliers.iter_mut().for_each(|v| *v /= largest);
    let bound = dot(&multipliers, right);
    let mut y: Vec<f64> = path.u.iter().zip(weights).map(|(u, w)| u / w).collect();
    // Twice: the second time for the rounding of the first.
    for _ in 0..2 {
        let mut off = right.to_vec();
        answers.rows.mul_add(-1.0, &y, &mut off);
        if done && norm2(&off) <= 1e-14 * (norm2(right) + f64::MIN_POSITIVE) {
            break;
        }
        // The factor is there and the length fits.
        let _ = answers.gram.solve(&mut off);
        answers.rows.transpose_mul_add(1.0, &off, &mut y);
    }
    let value = y.iter().zip(weights).map(|(y, w)| w * y.abs()).sum();
    (Shortest { y, multipliers, bound, products: steps }, value)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::super::testing::{normal_matrix, normals};
    use super::*;

    /// The optimality conditions: C y = d, and Σ w |y| = dᵀν with |C_jᵀν| <= w_j.
    fn check(c: Dense, weights: &[f64], right: &[f64], accuracy: f64) {
        let answers = Answers::new(Arc::new(c)).unwrap();
        let found = shortest(&answers, weights, right, accuracy).unwrap();
        let value: f64 = found.y.iter().zip(weights).map(|(y, w)| w * y.abs()).sum();
        assert!(value - found.bound <= accuracy.max(1e-9 * (1.0 + value)), "{value} {}", found.bound);
        assert!(found.bound <= value + 1e-12 * value);
        let mut off = right.to_vec();
        answers.rows.mul_add(-1.0, &found.y, &mut off);
        assert!(norm2(&off) <= 1e-11 * norm2(right));
        let mut slopes = vec![0.0; weights.len()];
        answers.rows.transpose_mul_add(1.0, &found.multipliers, &mut slopes);
        assert!(slopes.iter().zip(weights).all(|(s, w)| s.abs() <= w * (1.0 + 1e-12)));
        assert!((dot(&found.multipliers, right) - found.bound).abs() <= 1e-12 * (1.0 + value));
    }

    #[test]
    fn duality_certifies_the_end() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        for (p, m) in [(1, 3), (5, 12), (20, 50), (30, 31)] {
            let c = normal_matrix(p, m, 1.0, &mut rng);
            let weights: Vec<f64> = normals(m, &mut rng).iter().map(|v| 0.2 + v.abs()).collect();
            let right = normals(p, &mut rng);
            for accuracy in [1e-1, 1e-3, 1e-9] {
                check(c.clone(), &weights, &right, accuracy);
            }
        }
    }

    #[test]
    fn equal_columns_do_no_harm() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let half = normal_matrix(6, 10, 1.0, &mut rng);
        let c = Dense::from_fn(6, 20, |i, j| if j < 10 { half[(i, j)] } else { -half[(i, j - 10)] });
        check(c, &[1.0; 20], &normals(6, &mut rng), 1e-9);
    }
}
