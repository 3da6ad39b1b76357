//! Polyhedron `{z : row_lower <= A z <= row_upper, lower <= z <= upper}`.
//!
//! At construction the affine hull is found (equations, fixed components, and inequalities that hold as equations at
//! every member), with an interior point of the set in it. Everything else is computed in orthonormal coordinates of
//! the hull, where projection is an exact active-set method: projection itself, the distance to the normal cone (the
//! length of the projection onto the tangent cone, by Moreau's decomposition), and the bounding box (linear programmes
//! as repeated projections). Uniform points come from a hit-and-run walk [Smith 1984; Lovász & Vempala 2006].
//!
//! The kernels here allocate, unlike those of the other sets.

mod hull;
mod nearest;
mod walk;

use super::bounds::Bounds;
use super::numeric::{excess, norm};
use super::{ConvexSet, Description, SetError};
use bilevel_linalg::{Csr, Dense};
use hull::Hull;
use rand_chacha::ChaCha8Rng;
use std::sync::OnceLock;
use walk::Walk;

/// A polyhedron.
#[derive(Clone, Debug)]
pub struct Polyhedron {
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// The rows with more than one entry; the others are in the bounds.
    rows: Csr,
    row_lower: Vec<f64>,
    row_upper: Vec<f64>,
    hull: Hull,
    // What takes longer to compute, when it is first asked for.
    bounding_box: OnceLock<Bounds>,
    bounded: OnceLock<bool>,
    walk: OnceLock<Walk>,
}

/// A polyhedron in orthonormal coordinates w of its affine hull: `z = origin + axesᵀ w`, `normals w <= bounds`.
#[derive(Clone, Debug, PartialEq)]
pub struct HullForm {
    /// The point with coordinates 0.
    pub origin: Vec<f64>,
    /// The axes as rows; none where the hull is the whole space.
    pub axes: Option<Dense>,
    /// Unit normals of the halfspaces as rows, in coordinates.
    pub normals: Dense,
    /// Their bounds.
    pub bounds: Vec<f64>,
}

/// Two polyhedra are equal if their constraints are the same.
impl PartialEq for Polyhedron {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
            && (&self.lower, &self.upper) == (&other.lower, &other.upper)
            && (&self.row_lower, &self.row_upper) == (&other.row_lower, &other.row_upper)
    }
}

/// Up to this dimension the bounding box is the smallest one, by two linear programmes per component.
const EXACT_BOX: usize = 64;

impl Polyhedron {
    /// `{z : row_lower <= rows z <= row_upper, lower <= z <= upper}`, in the dimension of the number of columns. Bounds
    /// may be infinite, or equal. Rows with one entry become bounds.
    ///
    /// # Errors
    /// Lengths that do not fit, NaN, coefficients that are not finite, an empty interval, or no point that satisfies
    /// all constraints.
    pub fn new(
        rows: &Csr,
        row_lower: &[f64],
        row_upper: &[f64],
        lower: &[f64],
        upper: &[f64],
    ) -> Result<Self, SetError> {
        let data = hull::Data::new(rows, row_lower, row_upper, lower, upper)?;
        let hull = Hull::new(&data)?;
        let hull::Data { lower, upper, rows, row_lower, row_upper } = data;
        Ok(Self {
            lower,
            upper,
            rows,
            row_lower,
            row_upper,
            hull,
            bounding_box: OnceLock::new(),
            bounded: OnceLock::new(),
            walk: OnceLock::new(),
        })
    }

    /// Lower bounds of the components, those from rows with one entry included.
    pub fn lower(&self) -> &[f64] {
        &self.lower
    }

    /// Upper bounds of the components, those from rows with one entry included.
    pub fn upper(&self) -> &[f64] {
        &self.upper
    }

    /// The rows with more than one entry.
    pub fn rows(&self) -> &Csr {
        &self.rows
    }

    /// Lower bounds of [`rows`](Self::rows).
    pub fn row_lower(&self) -> &[f64] {
        &self.row_lower
    }

    /// Upper bounds of [`rows`](Self::rows).
    pub fn row_upper(&self) -> &[f64] {
        &self.row_upper
    }

    /// A point of the relative interior.
    pub fn interior_point(&self) -> Vec<f64> {
        self.hull.lift(self.hull.centre())
    }

    /// The set in orthonormal coordinates of its affine hull.
    pub fn hull_form(&self) -> HullForm {
        let halfspaces = self.hull.halfspaces();
        let k = self.hull.dimension();
        let mut normals = Dense::zeros(halfspaces.count(), k);
        for j in 0..halfspaces.count() {
            normals.row_mut(j).copy_from_slice(halfspaces.normal(j));
        }
        let bounds = (0..halfspaces.count()).map(|j| halfspaces.bound(j)).collect();
        HullForm { origin: self.hull.lift(&vec![0.0; k]), axes: self.hull.axes().cloned(), normals, bounds }
    }

    fn bounded(&self) -> bool {
        *self.bounded.get_or_init(|| self.hull.halfspaces().bounded())
    }

    /// The row's value at `z`.
    fn value(&self, i: usize, z: &[f64]) -> f64 {
        self.rows.row(i).map(|(j, a)| a * z[j]).sum()
    }

    fn smallest_box(&self) -> Bounds {
        let (mut lower, mut upper) = (self.lower.clone(), self.upper.clone());
        if self.hull.dimension() <= EXACT_BOX {
            self.hull.shrink_box(self.bounded(), &mut lower, &mut upper);
        }
        // Never an error: the bounds enclose a point of the set.
        Bounds::from_vectors(lower, upper).unwrap_or_else(|_| Bounds::everything(self.lower.len()))
    }
}

impl ConvexSet for Polyhedron {
    fn ambient_dimension(&self) -> usize {
        self.lower.len()
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        if self.violation(z) == 0.0 {
            return out.copy_from_slice(z);
        }
        let target = self.hull.coordinates(z);
        let mut nearest = self.hull.halfspaces().nearest(&target).point;
        if norm(target.into_iter()) > 4.0 * norm(nearest.iter().copied()) {
            // From far away, constraints are met only to the rounding error of the distance: once more from nearby.
            nearest = self.hull.halfspaces().nearest(&nearest).point;
        }
        out.copy_from_slice(&self.hull.lift(&nearest));
        for ((o, l), u) in out.iter_mut().zip(&self.lower).zip(&self.upper) {
            *o = o.clamp(*l, *u);
        }
    }

    fn violation(&self, z: &[f64]) -> f64 {
        let outside = |z: f64, l: f64, u: f64| excess(l - z).max(excess(z - u));
        let bounds = z.iter().zip(self.lower.iter().zip(&self.upper)).map(|(&z, (&l, &u))| outside(z, l, u));
        let rows = self.row_lower.iter().zip(&self.row_upper).enumerate();
        bounds.chain(rows.map(|(i, (&l, &u))| outside(self.value(i, z), l, u))).fold(0.0, f64::max)
    }

    fn normal_cone_distance(&self, z: &[f64], v: &[f64], tolerance: f64) -> f64 {
        let (halfspaces, at) = (self.hull.halfspaces(), self.hull.coordinates(z));
        let active = (0..halfspaces.count()).filter(|&j| halfspaces.excess(j, &at) >= -tolerance);
        let tangent_part = halfspaces.cone(active).nearest(&self.hull.direction(v)).point;
        norm(tangent_part.into_iter())
    }

    fn bounding_box(&self, lower: &mut [f64], upper: &mut [f64]) {
        self.bounding_box.get_or_init(|| self.smallest_box()).bounding_box(lower, upper);
    }

    fn affine_dimension(&self) -> Option<usize> {
        Some(self.hull.dimension())
    }

    /// Known for a single point, a segment, a box, and where infinite.
    fn log_volume(&self) -> Option<f64> {
        match self.hull.dimension() {
            0 => Some(0.0),
            _ if !self.bounded() => Some(f64::INFINITY),
            1 => self.hull.length().map(f64::ln),
            _ if self.rows.rows() == 0 => {
                Bounds::from_vectors(self.lower.clone(), self.upper.clone()).ok()?.log_volume()
            }
            _ => None,
        }
    }

    fn sample(&self, rng: &mut ChaCha8Rng, out: &mut [f64]) -> bool {
        if !self.bounded() {
            return false;
        }
        let walk = self.walk.get_or_init(|| Walk::new(self.hull.halfspaces(), self.hull.centre()));
        out.copy_from_slice(&self.hull.lift(&walk.sample(self.hull.halfspaces(), rng)));
        for ((o, l), u) in out.iter_mut().zip(&self.lower).zip(&self.upper) {
            *o = o.clamp(*l, *u);
        }
        true
    }

    fn describe(&self, offset: usize, description: &mut Description) {
        description.grow(offset + self.lower.len());
        for (i, (&l, &u)) in self.lower.iter().zip(&self.upper).enumerate() {
            description.bound(offset + i, l, u);
        }
        for (i, (&l, &u)) in self.row_lower.iter().zip(&self.row_upper).enumerate() {
            description.row(l, u, self.rows.row(i).map(|(j, a)| (offset + j, a)));
        }
    }
}

#[cfg(test)]
mod tests;
