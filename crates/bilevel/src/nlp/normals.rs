//! Normal cones of constraints at a point: distance of a vector to the cone, by nonnegative least squares.

use bilevel_linalg::{Dense, nnls};

/// Values within this of their limit (relative to 1 + its size) count as active.
const ACTIVE: f64 = 1e-6;

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
    fn equalities_push_both_ways() {
        let mut normals = Normals::default();
        normals.push_range(unit(2, 1), 0.5, 0.5, 0.5);
        close(normals.distance(&[0.0, -4.0]), 0.0);
        close(normals.distance(&[3.0, 4.0]), 3.0);
    }
}
