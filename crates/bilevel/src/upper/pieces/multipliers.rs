//! Multipliers of the follower at a degenerate answer, where an interior-point method leaves those that vanish together with
//! the distance to their bound at the root of its accuracy only.
//!
//! With Z the bounds whose multipliers are to vanish, and R the rows that may have one, λ is moved as little as
//!
//! ```text
//! min over δ of ½ ‖μ_Z − B_RZᵀ δ‖² + ½ ε ‖δ‖²,     μ = c + P x + Q y − Bᵀλ
//! ```
//!
//! asks for; multipliers that do not vanish then leave Z. What comes out satisfies the conditions to rounding, or nothing
//! does.

use bilevel_linalg::vector::norm_inf;
use bilevel_linalg::{Csr, SparseLdlt};

use super::data::QuadraticFollower;

/// Multipliers below this, relative, are tried without.
const SMALL: f64 = 1e-4;
/// Multipliers below this, relative, vanish.
const NONE: f64 = 1e-9;
/// Values this near a bound, relative, are at it.
const AT: f64 = 1e-6;
/// The weight ε of changes.
const WEIGHT: f64 = 1e-8;
const ROUNDS: usize = 6;

impl QuadraticFollower {
    /// Multipliers of rows and bounds at the answer y at x, from approximate ones.
    pub(super) fn cleaned(&self, x: &[f64], y: &[f64], rows: &[f64], bounds: &[f64]) -> Option<(Vec<f64>, Vec<f64>)> {
        let mut gradient = self.linear.clone();
        self.cross.mul_add(1.0, x, &mut gradient);
        self.hessian.mul_add(1.0, y, &mut gradient);
        let mut activity = vec![0.0; self.r()];
        self.rows_x.mul_add(1.0, x, &mut activity);
        self.rows_y.mul_add(1.0, y, &mut activity);
        let size = 1.0 + norm_inf(rows).max(norm_inf(bounds));
        let small = |u: f64| u.abs() <= SMALL * size;
        let used: Vec<usize> = (0..self.r())
            .filter(|&i| match allowed(self.range(self.m() + i), activity[i]) {
                (low, high) if low == f64::NEG_INFINITY && high == f64::INFINITY => true,
                (low, high) => rows[i] >= low && rows[i] <= high && !small(rows[i]),
            })
            .collect();
        let signs: Vec<(f64, f64)> = (0..self.m()).map(|j| allowed(self.range(j), y[j])).collect();
        let mut zero: Vec<usize> = (0..self.m())
            .filter(|&j| signs[j] == (0.0, 0.0) || (small(bounds[j]) && self.lower[j] < self.upper[j]))
            .collect();
        let mut lambda = vec![0.0; self.r()];
        used.iter().for_each(|&i| lambda[i] = rows[i]);
        for _ in 0..ROUNDS {
            let mut mu = gradient.clone();
            self.rows_y.transpose_mul_add(-1.0, &lambda, &mut mu);
            self.reduce(&mu, &used, &zero, &mut lambda)?;
            let mut mu = gradient.clone();
            self.rows_y.transpose_mul_add(-1.0, &lambda, &mut mu);
            let before = zero.len();
            zero.retain(|&j| mu[j].abs() <= NONE * size || signs[j] == (0.0, 0.0));
            if zero.len() == before {
                let fine = |(u, (low, high)): (&f64, &(f64, f64))| *u >= low - NONE * size && *u <= high + NONE * size;
                let rows_fine = used.iter().all(|&i| {
                    let (low, high) = allowed(self.range(self.m() + i), activity[i]);
                    lambda[i] >= low && lambda[i] <= high
                });
                return (rows_fine && mu.iter().zip(&signs).all(fine)).then_some((lambda, mu));
            }
        }
        None
    }

    /// One least-squares step.
    fn reduce(&self, mu: &[f64], used: &[usize], zero: &[usize], lambda: &mut [f64]) -> Option<()> {
        let count = zero.len();
        let order = count + used.len();
        let mut place = vec![usize::MAX; self.m()];
        zero.iter().enumerate().for_each(|(k, &j)| place[j] = k);
        let mut triplets: Vec<(usize, usize, f64)> = (0..count).map(|k| (k, k, 1.0)).collect();
        for (k, &i) in used.iter().enumerate().map(|(k, i)| (count + k, i)) {
            triplets.push((k, k, -WEIGHT));
            triplets.extend(
                self.rows_y
                    .row(i)
                    .filter(|(j, _)| place[*j] != usize::MAX)
                    .flat_map(|(j, v)| [(k, place[j], v), (place[j], k, v)]),
            );
        }
        let matrix = Csr::from_triplets(order, order, &triplets)?;
        let mut factor = SparseLdlt::new(&matrix).ok()?;
        factor.factor(&matrix).ok()?;
        let mut right: Vec<f64> = zero.iter().map(|&j| mu[j]).collect();
        right.resize(order, 0.0);
        factor.solve_refined(&matrix, &mut right, 3).ok()?;
        used.iter().zip(&right[count..]).for_each(|(&i, d)| lambda[i] += d);
        bilevel_linalg::vector::all_finite(lambda).then_some(())
    }
}

/// The range of a multiplier where an item has this value.
fn allowed((low, high): (f64, f64), value: f64) -> (f64, f64) {
    let at = |bound: f64| bound.is_finite() && (value - bound).abs() <= AT * (1.0 + bound.abs());
    match (at(low), at(high)) {
        _ if low == high => (f64::NEG_INFINITY, f64::INFINITY),
        (true, true) => (f64::NEG_INFINITY, f64::INFINITY),
        (true, false) => (0.0, f64::INFINITY),
        (false, true) => (f64::NEG_INFINITY, 0.0),
        (false, false) => (0.0, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upper::pieces::Coefficients;

    #[test]
    fn multipliers_that_vanish_are_found_exactly() {
        // min ½ y₀² + y₁ + y₂ s.t. y₀ + y₁ − y₂ = 1, y >= 0: at x = 0 y = (1, 0, 0), λ = 1, μ = (0, 0, 2).
        let rows_y = Csr::from_triplets(1, 3, &[(0, 0, 1.0), (0, 1, 1.0), (0, 2, -1.0)]).unwrap();
        let follower = QuadraticFollower {
            hessian: Coefficients::Sparse(Csr::from_triplets(3, 3, &[(0, 0, 1.0)]).unwrap()),
            cross: Coefficients::Sparse(Csr::empty(3, 1)),
            linear: vec![0.0, 1.0, 1.0],
            lower: vec![0.0; 3],
            upper: vec![f64::INFINITY; 3],
            rows_x: Csr::empty(1, 1),
            columns_y: rows_y.transpose(),
            rows_y,
            row_lower: vec![1.0],
            row_upper: vec![1.0],
        };
        let y = [1.0, 1e-9, 0.0];
        let (rows, bounds) = follower.cleaned(&[0.0], &y, &[1.0 - 2e-6], &[2e-6, 2e-6, 2.0]).unwrap();
        assert!((rows[0] - 1.0).abs() < 1e-8);
        assert!(bounds[0].abs() < 1e-8 && bounds[1].abs() < 1e-8 && (bounds[2] - 2.0).abs() < 1e-6);
        // One that does not vanish keeps its value.
        let (_, bounds) = follower.cleaned(&[0.0], &[1.0, 0.0, 0.0], &[1.0 + 1e-6], &[0.0, 1e-6, 2.0]).unwrap();
        assert!((bounds[2] - 2.0).abs() < 1e-6);
        // No multipliers: y is no answer.
        assert!(follower.cleaned(&[0.0], &[3.0, 0.0, 2.0], &[1.0], &[0.0, 0.0, 2.0]).is_none());
    }
}
