//! Affine subspace `{z : A z = b}`; A may have dependent rows.
//!
//! With an orthonormal basis Q of the row space and a point p of the set, the projection is `z - Q Qᵀ(z - p)` and the
//! normal cone is the row space.

use super::basis::{Basis, span};
use super::error::check_finite;
use super::numeric::norm;
use super::{ConvexSet, Description, SetError};
use bilevel_linalg::Csr;
use bilevel_linalg::vector::{axpy, dot};
use rand_chacha::ChaCha8Rng;

/// An affine subspace.
#[derive(Clone, Debug, PartialEq)]
pub struct Affine {
    rows: Csr,
    rhs: Vec<f64>,
    basis: Basis,
    /// `Qᵀ p` for any point p of the set.
    levels: Vec<f64>,
    /// The point of the set that is nearest to 0.
    point: Vec<f64>,
}

/// Residuals up to this, relative to the size of the row's terms, are rounding.
const CONSISTENT: f64 = 1e-9;

/// A component whose axis is this close to the row space is fixed.
const FIXED: f64 = 1e-10;

impl Affine {
    /// `{z : rows z = rhs}`, in the dimension of the number of columns.
    ///
    /// # Errors
    /// A right-hand side of another length, numbers that are not finite, or equations without a solution.
    pub fn new(rows: Csr, rhs: Vec<f64>) -> Result<Self, SetError> {
        super::error::check_length("the right-hand side", rows.rows(), rhs.len())?;
        check_finite("right-hand side of row", &rhs)?;
        check_rows(&rows)?;
        let mut units = Vec::new();
        let mut levels = Vec::new();
        for (i, &b) in rhs.iter().enumerate() {
            let (unit, length) = unit_row(&rows, i);
            levels.push(if length > 0.0 { b / length } else { 0.0 });
            units.push(unit);
        }
        let (basis, taken) = span(&units);
        let mut point = vec![0.0; rows.cols()];
        let vectors: Vec<&[f64]> = taken.iter().map(|&i| units[i].as_slice()).collect();
        let targets: Vec<f64> = taken.iter().map(|&i| levels[i]).collect();
        basis.move_onto(&vectors, &targets, &mut point);
        check_solution(&rows, &rhs, &point)?;
        let levels = basis.coordinates(&point);
        Ok(Self { rows, rhs, basis, levels, point })
    }

    /// The matrix A, as given.
    pub fn rows(&self) -> &Csr {
        &self.rows
    }

    /// The right-hand side b, as given.
    pub fn rhs(&self) -> &[f64] {
        &self.rhs
    }
}

/// An error if a stored entry is not finite.
pub(super) fn check_rows(rows: &Csr) -> Result<(), SetError> {
    for i in 0..rows.rows() {
        if let Some((_, value)) = rows.row(i).find(|(_, a)| !a.is_finite()) {
            return Err(SetError::Value { what: "coefficient in row", index: i, wanted: "finite", value });
        }
    }
    Ok(())
}

/// Row `i` divided by its length, dense, and the length.
pub(super) fn unit_row(rows: &Csr, i: usize) -> (Vec<f64>, f64) {
    let entries: Vec<(usize, f64)> = rows.row(i).collect();
    let length = norm(entries.iter().map(|e| e.1));
    let mut unit = vec![0.0; rows.cols()];
    for (j, a) in entries {
        unit[j] = if length > 0.0 { a / length } else { 0.0 };
    }
    (unit, length)
}

/// An error if a row is not satisfied at `point`, up to rounding.
fn check_solution(rows: &Csr, rhs: &[f64], point: &[f64]) -> Result<(), SetError> {
    let mut worst: Option<(usize, f64)> = None;
    for (i, b) in rhs.iter().enumerate() {
        let (sum, size) =
            rows.row(i).fold((0.0, b.abs()), |(s, m), (j, a)| (s + a * point[j], m + (a * point[j]).abs()));
        let residual = (sum - b).abs();
        if residual > CONSISTENT * size && worst.is_none_or(|w| residual > w.1) {
            worst = Some((i, residual));
        }
    }
    worst.map_or(Ok(()), |(row, residual)| Err(SetError::Inconsistent { row, residual }))
}

impl ConvexSet for Affine {
    fn ambient_dimension(&self) -> usize {
        self.rows.cols()
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        out.copy_from_slice(z);
        // The second step removes the rounding error of the first.
        for _ in 0..2 {
            for (q, level) in self.basis.vectors().iter().zip(&self.levels) {
                axpy(level - dot(q, out), q, out);
            }
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        let off = |(i, b): (usize, &f64)| (self.rows.row(i).map(|(j, a)| a * z[j]).sum::<f64>() - b).abs();
        self.rhs.iter().enumerate().map(off).map(super::numeric::excess).fold(0.0, f64::max)
    }

    fn normal_cone_distance(&self, _z: &[f64], v: &[f64], _tolerance: f64) -> f64 {
        self.basis.split(v).length
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        let mut axis = vec![0.0; self.point.len()];
        for i in 0..self.point.len() {
            axis[i] = 1.0;
            let fixed = self.basis.split(&axis).length <= FIXED;
            (lower[i], upper[i]) =
                if fixed { (self.point[i], self.point[i]) } else { (f64::NEG_INFINITY, f64::INFINITY) };
            axis[i] = 0.0;
        }
    }

    fn affine_dimension(&self) -> Option<usize> {
        Some(self.point.len() - self.basis.len())
    }

    fn log_volume(&self) -> Option<f64> {
        Some(if self.basis.len() == self.point.len() { 0.0 } else { f64::INFINITY })
    }

    fn sample(&self, _rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool {
        if self.basis.len() < self.point.len() {
            return false;
        }
        out.copy_from_slice(&self.point);
        true
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        description.grow(offset + self.point.len());
        for (i, &b) in self.rhs.iter().enumerate() {
            description.row(b, b, self.rows.row(i).map(|(j, a)| (offset + j, a)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::{Simplex, laws};
    use proptest::prelude::*;

    fn rows(entries: &[&[f64]], n: usize) -> Csr {
        let list: Vec<_> =
            entries.iter().enumerate().flat_map(|(i, r)| r.iter().enumerate().map(move |(j, &a)| (i, j, a))).collect();
        Csr::from_triplets(entries.len(), n, &list).unwrap()
    }

    #[test]
    fn bad_data_is_refused() {
        let twice = rows(&[&[1.0, 1.0], &[2.0, 2.0]], 2);
        let error = Affine::new(twice.clone(), vec![1.0, 3.0]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the equations have no solution: row 1 is off by 1 at their least-squares solution"
        );
        assert!(Affine::new(twice.clone(), vec![1.0, 2.0]).is_ok());
        assert!(matches!(Affine::new(twice.clone(), vec![1.0]), Err(SetError::Length { wanted: 2, got: 1, .. })));
        assert!(Affine::new(twice, vec![1.0, f64::NAN]).is_err());
        assert!(Affine::new(rows(&[&[1.0, f64::INFINITY]], 2), vec![1.0]).is_err());
        assert!(Affine::new(rows(&[&[0.0, 0.0]], 2), vec![1.0]).is_err());
    }

    #[test]
    fn degenerate_dimensions() {
        let nothing = Affine::new(rows(&[], 0), vec![]).unwrap();
        laws::check(&nothing, 1);
        let free = Affine::new(rows(&[], 3), vec![]).unwrap();
        laws::check(&free, 1);
        let point = Affine::new(rows(&[&[1.0, 1.0], &[1.0, -1.0]], 2), vec![3.0, 1.0]).unwrap();
        laws::check(&point, 1);
        assert_eq!((point.affine_dimension(), point.log_volume()), (Some(0), Some(0.0)));
        let half_fixed = Affine::new(rows(&[&[0.0, 2.0, 0.0]], 3), vec![5.0]).unwrap();
        let (mut l, mut u) = ([0.0; 3], [0.0; 3]);
        half_fixed.bounding_box(&mut l, &mut u);
        assert_eq!((l[1], u[1], l[0]), (2.5, 2.5, f64::NEG_INFINITY));
    }

    #[test]
    fn projects_onto_the_hyperplane_of_a_simplex() {
        let set = Affine::new(rows(&[&[1.0; 3], &[2.0; 3]], 3), vec![1.0, 2.0]).unwrap();
        let (mut p, mut q) = ([0.0; 3], [0.0; 3]);
        set.project(&[0.5, 0.6, 0.7], &mut p);
        Simplex::new(3, 1.0).unwrap().project(&[0.5, 0.6, 0.7], &mut q);
        assert!(p.iter().zip(q).all(|(p, q)| (p - q).abs() < 1e-15));
    }

    #[test]
    fn rows_of_very_different_sizes() {
        let set = Affine::new(rows(&[&[1e150, 0.0, 1e150], &[0.0, 1e-150, 0.0]], 3), vec![2e150, 3e-150]).unwrap();
        let mut p = [0.0; 3];
        set.project(&[0.0; 3], &mut p);
        assert!(p.iter().zip([1.0, 3.0, 1.0]).all(|(p, q)| (p - q).abs() < 1e-14));
    }

    proptest! {
        #[test]
        fn laws_hold(
            seed: u64, entries in prop::collection::vec(prop::collection::vec(-2..3i32, 5), 1..4),
            solution in prop::collection::vec(-2.0..2.0f64, 5), twice: bool,
        ) {
            let mut entries: Vec<Vec<f64>> = entries.iter().map(|r| r.iter().map(|&a| f64::from(a)).collect()).collect();
            if twice {
                entries.push(entries.iter().fold(vec![0.0; 5], |s, r| s.iter().zip(r).map(|(s, a)| s + a).collect()));
            }
            let rhs = entries.iter().map(|r| dot(r, &solution)).collect();
            let views: Vec<&[f64]> = entries.iter().map(Vec::as_slice).collect();
            laws::check(&Affine::new(rows(&views, 5), rhs).unwrap(), seed);
        }
    }
}
