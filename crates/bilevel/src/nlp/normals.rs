//! Normal cones of constraints at a point: distance of a vector to the cone, by nonnegative least squares.

use bilevel_linalg::{Dense, nnls};

/// Values within this of their limit (relative to 1 + its size) count as active.
const ACTIVE: f64 = 1e-6;

/// Weight of the row that holds a sum of weights at 1, relative to the vectors' size.
const HEAVY: f64 = 1e3;

/// Normals of active constraints, pointing into the feasible side.
#[derive(Clone, Debug, Default)]
pub struct Normals {
    columns: Vec<Vec<f64>>,
    signed: Vec<bool>,
}

impl Normals {
    /// Adds a normal; `free` if it belongs to an equality.
    pub fn push(&mut self, normal: Vec<f64>, free: bool) {
        self.columns.push(normal);
        self.signed.push(!free);
    }

    /// Adds the normal of `low <= value <= high` if a side is active; `normal` is the gradient of the value.
    pub fn push_range(&mut self, normal: Vec<f64>, value: f64, low: f64, high: f64) {
        let near = |limit: f64| limit.is_finite() && (value - limit).abs() <= ACTIVE * (1.0 + limit.abs());
        if low == high || near(low) {
            self.push(normal, low == high);
        } else if near(high) {
            self.push(normal.iter().map(|a| -a).collect(), false);
        }
    }

    /// Number of normals.
    pub fn len(&self) -> usize {
        self.columns.len()
    }

    /// Whether nothing is active.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// min ‖target − Σ w_i normal_i‖ over w, nonnegative except for equalities: the distance of −target to the normal
    /// cone. `None` if something is not finite.
    pub fn distance(&self, target: &[f64]) -> Option<f64> {
        self.nearest(target).map(|(distance, _)| distance)
    }

    /// The least distance of any convex combination of `targets` to the cone. The weights' sum is held at 1 by a heavy
    /// row, and the result divided by what the sum came to.
    pub fn hull_distance(&self, targets: &[Vec<f64>]) -> Option<f64> {
        let d = targets.first()?.len();
        let size = targets.iter().flatten().fold(1.0, |a: f64, g| a.max(g.abs()));
        let weight = HEAVY * size;
        let mut matrix = Dense::zeros(d + 1, targets.len() + self.columns.len());
        for (j, target) in targets.iter().enumerate() {
            target.iter().enumerate().for_each(|(i, &a)| matrix[(i, j)] = a);
            matrix[(d, j)] = weight;
        }
        for (j, column) in self.columns.iter().enumerate() {
            column.iter().enumerate().for_each(|(i, &a)| matrix[(i, targets.len() + j)] = -a);
        }
        let mut right = vec![0.0; d + 1];
        right[d] = weight;
        let signed: Vec<bool> = std::iter::repeat_n(true, targets.len()).chain(self.signed.iter().copied()).collect();
        let found = nnls(&matrix, &right, &signed).ok()?;
        let total: f64 = found.x[..targets.len()].iter().sum();
        let mut residual = vec![0.0; d + 1];
        matrix.mul_add(1.0, &found.x, &mut residual);
        let distance = residual[..d].iter().map(|r| r * r).sum::<f64>().sqrt();
        (total > 0.5).then_some(distance / total)
    }

    /// That distance with the weights w that attain it.
    pub fn nearest(&self, target: &[f64]) -> Option<(f64, Vec<f64>)> {
        let mut matrix = Dense::zeros(target.len(), self.columns.len());
        for (j, column) in self.columns.iter().enumerate() {
            for (i, &a) in column.iter().enumerate() {
                matrix[(i, j)] = a;
            }
        }
        nnls(&matrix, target, &self.signed).ok().map(|found| (found.residual, found.x))
    }
}

/// The unit vector e_j of length d.
pub fn unit(d: usize, j: usize) -> Vec<f64> {
    let mut unit = vec![0.0; d];
    unit[j] = 1.0;
    unit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|d| (d - expected).abs() < 1e-12), "{found:?}, expected {expected}");
    }

    #[test]
    fn infinite_limits_are_never_active() {
        let mut normals = Normals::default();
        normals.push_range(unit(1, 0), -3.1, f64::NEG_INFINITY, f64::INFINITY);
        assert!(normals.is_empty());
        normals.push_range(unit(1, 0), 2.0, f64::NEG_INFINITY, 2.0);
        close(normals.distance(&[-1.0]), 0.0);
        close(normals.distance(&[1.0]), 1.0);
    }

    #[test]
    fn a_hull_that_holds_zero_is_at_distance_zero() {
        let normals = Normals::default();
        close(normals.hull_distance(&[vec![1.0, 0.0], vec![-3.0, 0.0]]), 0.0);
        // The segment from (1, 1) to (-1, 1) passes zero at distance 1; scaling it away must not help.
        let distance = normals.hull_distance(&[vec![1.0, 1.0], vec![-1.0, 1.0]]);
        assert!(distance.is_some_and(|d| (d - 1.0).abs() < 1e-3), "{distance:?}");
    }

    #[test]
    fn equalities_push_both_ways() {
        let mut normals = Normals::default();
        normals.push_range(unit(2, 1), 0.5, 0.5, 0.5);
        close(normals.distance(&[0.0, -4.0]), 0.0);
        close(normals.distance(&[3.0, 4.0]), 3.0);
    }
}
