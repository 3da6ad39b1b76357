//! The affine hull of a polyhedron, and the polyhedron as halfspaces with interior in orthonormal coordinates of it.

use super::nearest::Halfspaces;
use crate::set::SetError;
use crate::set::affine::{check_rows, unit_row};
use crate::set::basis::{complement, span};
use crate::set::error::check_length;
use crate::set::numeric::norm;
use bilevel_linalg::vector::{axpy, dot};
use bilevel_linalg::{Csr, Dense};

/// Checked data, rows with one entry made into bounds.
pub(super) struct Data {
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    pub rows: Csr,
    pub row_lower: Vec<f64>,
    pub row_upper: Vec<f64>,
}

impl Data {
    /// Checks the data of a polyhedron.
    pub fn new(
        rows: &Csr,
        row_lower: &[f64],
        row_upper: &[f64],
        lower: &[f64],
        upper: &[f64],
    ) -> Result<Self, SetError> {
        check_length("lower bounds", rows.cols(), lower.len())?;
        check_length("upper bounds", rows.cols(), upper.len())?;
        check_length("lower bounds of the rows", rows.rows(), row_lower.len())?;
        check_length("upper bounds of the rows", rows.rows(), row_upper.len())?;
        check_rows(rows)?;
        let (mut lower, mut upper) = (lower.to_vec(), upper.to_vec());
        for (component, (&l, &u)) in lower.iter().zip(&upper).enumerate() {
            check_number("lower bound of component", component, l)?;
            check_number("upper bound of component", component, u)?;
            if empty(l, u) {
                return Err(SetError::EmptyInterval { component, lower: l, upper: u });
            }
        }
        let (mut kept, mut low, mut high) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (&l, &u)) in row_lower.iter().zip(row_upper).enumerate() {
            check_number("lower bound of row", row, l)?;
            check_number("upper bound of row", row, u)?;
            let entries: Vec<(usize, f64)> = rows.row(row).filter(|e| e.1 != 0.0).collect();
            if empty(l, u) || (entries.is_empty() && (l > 0.0 || u < 0.0)) {
                return Err(SetError::EmptyRow { row, lower: l, upper: u });
            }
            match entries[..] {
                [] => {}
                [(j, a)] => narrow(j, a, (l, u), &mut lower, &mut upper)?,
                _ => {
                    kept.extend(entries.iter().map(|&(j, a)| (low.len(), j, a)));
                    low.push(l);
                    high.push(u);
                }
            }
        }
        let rows = Csr::from_triplets(low.len(), lower.len(), &kept).unwrap_or_else(|| Csr::empty(0, lower.len()));
        Ok(Self { lower, upper, rows, row_lower: low, row_upper: high })
    }
}

fn check_number(what: &'static str, index: usize, value: f64) -> Result<(), SetError> {
    if value.is_nan() { Err(SetError::Value { what, index, wanted: "a number", value }) } else { Ok(()) }
}

fn empty(lower: f64, upper: f64) -> bool {
    lower > upper || lower == f64::INFINITY || upper == f64::NEG_INFINITY
}

/// Narrows the bounds of component j by `l <= a z_j <= u`.
fn narrow(j: usize, a: f64, (l, u): (f64, f64), lower: &mut [f64], upper: &mut [f64]) -> Result<(), SetError> {
    let (l, u) = if a > 0.0 { (l / a, u / a) } else { (u / a, l / a) };
    (lower[j], upper[j]) = (lower[j].max(l), upper[j].min(u));
    if empty(lower[j], upper[j]) {
        // Two ways to write one number may differ by rounding.
        if lower[j] - upper[j] > 1e-14 * upper[j].abs() || !upper[j].is_finite() {
            return Err(SetError::EmptyInterval { component: j, lower: lower[j], upper: upper[j] });
        }
        upper[j] = lower[j];
    }
    Ok(())
}

/// `<normal, z> <= bound`, or `=`, with a unit normal.
struct Constraint {
    normal: Vec<f64>,
    bound: f64,
    equality: bool,
}

/// The affine hull, and the halfspaces in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hull {
    /// The point of the hull with coordinates 0.
    origin: Vec<f64>,
    /// The axes of the coordinates as rows, where the hull is not the whole space.
    axes: Option<Dense>,
    halfspaces: Halfspaces,
    /// An interior point, in coordinates.
    centre: Vec<f64>,
}

impl Constraint {
    /// The size of the terms of `<normal, z> - bound`, which its rounding error is relative to.
    fn terms(&self, z: &[f64]) -> f64 {
        self.bound.abs() + self.normal.iter().zip(z).map(|(a, z)| (a * z).abs()).sum::<f64>()
    }
}

/// Constraints that contradict each other by less than this, relative to the size of their terms, do so by rounding.
const ROUNDING: f64 = 1e-10;
/// A set thinner than this, relative to the size of the terms that make it thin, is flat.
const FLAT: f64 = 1e-11;
/// Rounding error of the largest ball's radius where all terms vanish.
const ZERO: f64 = 4e-15;

impl Hull {
    /// Finds the hull.
    ///
    /// # Errors
    /// An empty polyhedron.
    pub fn new(data: &Data) -> Result<Self, SetError> {
        let n = data.lower.len();
        let mut constraints = constraints(data);
        let size = constraints.iter().map(|c| c.bound.abs()).fold(0.0, f64::max);
        let size = if size > 0.0 { size } else { 1.0 };
        loop {
            let (mut hull, sources) = Self::of_equations(&constraints, n)?;
            let m = hull.halfspaces.count();
            if m == 0 || hull.guess_centre(data, &constraints, &sources) {
                return Ok(hull);
            }
            let (widest, radius) = chebyshev(&hull.halfspaces, size);
            hull.centre = widest.point[..hull.dimension()].to_vec();
            let centre = hull.lift(&hull.centre);
            let tight = widest.active.iter().filter(|&&j| j < m).map(|&j| constraints[sources[j]].terms(&centre));
            let terms = tight.fold(0.0, f64::max);
            if radius < -ROUNDING * terms - ZERO {
                return Err(SetError::Empty { violation: -radius });
            }
            if radius > FLAT * terms + ZERO {
                return Ok(hull);
            }
            // Flat: sum u_j (h_j - <g_j, w>) = 0 at every member w for the multipliers u >= 0 of the largest radius, so
            // constraints with u_j > 0 are equations.
            let largest = widest.multipliers.iter().fold(0.0f64, |m, &u| m.max(u));
            let mut found = false;
            for (&j, &u) in widest.active.iter().zip(&widest.multipliers) {
                if j < m && u > 1e-9 * largest {
                    constraints[sources[j]].equality = true;
                    found = true;
                }
            }
            if !found {
                return Ok(hull);
            }
        }
    }

    /// The solutions of the equations among the constraints, with the other constraints that are not constant there,
    /// and where those came from.
    fn of_equations(constraints: &[Constraint], n: usize) -> Result<(Self, Vec<usize>), SetError> {
        let equations: Vec<&Constraint> = constraints.iter().filter(|c| c.equality).collect();
        let units: Vec<Vec<f64>> = equations.iter().map(|c| c.normal.clone()).collect();
        let (basis, taken) = span(&units);
        let mut origin = vec![0.0; n];
        let normals: Vec<&[f64]> = taken.iter().map(|&i| units[i].as_slice()).collect();
        let levels: Vec<f64> = taken.iter().map(|&i| equations[i].bound).collect();
        basis.move_onto(&normals, &levels, &mut origin);
        for c in &equations {
            let off = (dot(&c.normal, &origin) - c.bound).abs();
            if off > ROUNDING * c.terms(&origin) + ZERO {
                return Err(SetError::Empty { violation: off });
            }
        }
        let axes = (basis.len() > 0).then(|| dense(&complement(&basis, n), n));
        let k = axes.as_ref().map_or(n, Dense::rows);
        let mut hull =
            Self { origin, axes, halfspaces: Halfspaces::new(Dense::zeros(0, k), Vec::new()), centre: vec![0.0; k] };
        let (mut rows, mut bounds, mut sources) = (Vec::new(), Vec::new(), Vec::new());
        for (source, c) in constraints.iter().enumerate().filter(|(_, c)| !c.equality) {
            let mut row = hull.direction(&c.normal);
            let (length, slack) = (norm(row.iter().copied()), c.bound - dot(&c.normal, &hull.origin));
            if length > 1e-10 {
                row.iter_mut().for_each(|a| *a /= length);
                rows.push(row);
                bounds.push(slack / length);
                sources.push(source);
            } else if slack < -ROUNDING * c.terms(&hull.origin) - ZERO {
                return Err(SetError::Empty { violation: -slack });
            }
        }
        hull.halfspaces = Halfspaces::new(dense(&rows, k), bounds);
        Ok((hull, sources))
    }

    /// Looks for an interior point near the middle of the bounds, which spares the largest ball; whether it was found.
    fn guess_centre(&mut self, data: &Data, constraints: &[Constraint], sources: &[usize]) -> bool {
        let middle: Vec<f64> = data.lower.iter().zip(&data.upper).map(|(&l, &u)| middle(l, u)).collect();
        let middle = self.coordinates(&middle);
        for margin in [1e-2, 1e-5] {
            let w = self.halfspaces.shrunk(margin).nearest(&middle).point;
            let z = self.lift(&w);
            let inside = |j: usize| {
                let slack = -self.halfspaces.excess(j, &w);
                slack > 0.5 * margin && slack > FLAT * constraints[sources[j]].terms(&z) + ZERO
            };
            if (0..self.halfspaces.count()).all(inside) {
                self.centre = w;
                return true;
            }
        }
        false
    }

    /// The dimension of the hull.
    pub fn dimension(&self) -> usize {
        self.centre.len()
    }

    /// The axes of the coordinates as rows, where the hull is not the whole space.
    pub fn axes(&self) -> Option<&Dense> {
        self.axes.as_ref()
    }

    /// The polyhedron in coordinates.
    pub fn halfspaces(&self) -> &Halfspaces {
        &self.halfspaces
    }

    /// An interior point, in coordinates.
    pub fn centre(&self) -> &[f64] {
        &self.centre
    }

    /// The coordinates of the point of the hull that is nearest to `z`.
    pub fn coordinates(&self, z: &[f64]) -> Vec<f64> {
        let from_origin: Vec<f64> = z.iter().zip(&self.origin).map(|(z, o)| z - o).collect();
        self.direction(&from_origin)
    }

    /// The coordinates of the part of `v` that is parallel to the hull.
    pub fn direction(&self, v: &[f64]) -> Vec<f64> {
        let Some(axes) = &self.axes else { return v.to_vec() };
        let mut out = vec![0.0; axes.rows()];
        axes.mul_add(1.0, v, &mut out);
        out
    }

    /// The point with coordinates `w`.
    pub fn lift(&self, w: &[f64]) -> Vec<f64> {
        let mut z = self.origin.clone();
        match &self.axes {
            Some(axes) => axes.transpose_mul_add(1.0, w, &mut z),
            None => axpy(1.0, w, &mut z),
        }
        z
    }

    /// The length of a bounded hull of dimension 1.
    pub fn length(&self) -> Option<f64> {
        let ends = (0..self.halfspaces.count()).map(|j| (self.halfspaces.normal(j)[0], self.halfspaces.bound(j)));
        let end = |sign: f64| ends.clone().filter(|e| e.0 * sign > 0.0).map(|e| e.1 / e.0.abs()).reduce(f64::min);
        Some(end(1.0)? + end(-1.0)?)
    }

    /// Narrows bounds that enclose the set to the smallest ones.
    pub fn shrink_box(&self, bounded: bool, lower: &mut [f64], upper: &mut [f64]) {
        // Members met on the way show which bounds are attained, and spare their programmes.
        let centre = self.lift(&self.centre);
        let (mut least, mut most) = (centre.clone(), centre);
        for i in 0..lower.len() {
            let mut axis = vec![0.0; lower.len()];
            axis[i] = 1.0;
            let along = self.direction(&axis);
            let length = norm(along.iter().copied());
            if length <= 1e-10 {
                let fixed = self.origin[i].clamp(lower[i], upper[i]);
                (lower[i], upper[i]) = (fixed, fixed);
                continue;
            }
            for sign in [-1.0, 1.0] {
                let attained = if sign < 0.0 { least[i] <= lower[i] } else { most[i] >= upper[i] };
                let c: Vec<f64> = along.iter().map(|a| sign * a / length).collect();
                if attained || (!bounded && self.halfspaces.recedes(&c)) {
                    continue;
                }
                let z = self.lift(&self.halfspaces.maximise(&c, &self.centre).point);
                for ((least, most), z) in least.iter_mut().zip(&mut most).zip(&z) {
                    (*least, *most) = (least.min(*z), most.max(*z));
                }
                // A little room, so that rounding does not cut off members.
                let room = 1e-14 * norm(z.iter().copied());
                if sign < 0.0 { lower[i] = lower[i].max(z[i] - room) } else { upper[i] = upper[i].min(z[i] + room) }
            }
            if lower[i] > upper[i] {
                // By rounding, where the set is thin.
                (lower[i], upper[i]) = (upper[i], lower[i]);
            }
        }
    }
}

/// A number inside an interval: the middle, or 1 away from the only finite end.
fn middle(lower: f64, upper: f64) -> f64 {
    match (lower.is_finite(), upper.is_finite()) {
        (true, true) => 0.5 * lower + 0.5 * upper,
        (true, false) => lower + 1.0,
        (false, true) => upper - 1.0,
        (false, false) => 0.0,
    }
}

/// All constraints, bounds first.
fn constraints(data: &Data) -> Vec<Constraint> {
    let n = data.lower.len();
    let mut list = Vec::new();
    let mut add = |normal: &[f64], l: f64, u: f64| {
        if u.is_finite() {
            list.push(Constraint { normal: normal.to_vec(), bound: u, equality: l == u });
        }
        if l.is_finite() && l < u {
            list.push(Constraint { normal: normal.iter().map(|a| -a).collect(), bound: -l, equality: false });
        }
    };
    for (i, (&l, &u)) in data.lower.iter().zip(&data.upper).enumerate() {
        let mut axis = vec![0.0; n];
        axis[i] = 1.0;
        add(&axis, l, u);
    }
    for (i, (l, u)) in data.row_lower.iter().zip(&data.row_upper).enumerate() {
        let (unit, length) = unit_row(&data.rows, i);
        add(&unit, l / length, u / length);
    }
    list
}

/// The centre and radius of a largest ball in the set, the radius at most `size`, negative where the set is empty: the
/// largest r with `<g_j, w> + r <= h_j` for all j. The answer's point is (w, r), its constraints those of the set and
/// then `r <= size`.
fn chebyshev(set: &Halfspaces, size: f64) -> (super::nearest::Nearest, f64) {
    let (m, k) = (set.count(), set.dimension());
    let half = 0.5f64.sqrt();
    let mut normals = Dense::zeros(m + 1, k + 1);
    for j in 0..m {
        let row = normals.row_mut(j);
        row[..k].iter_mut().zip(set.normal(j)).for_each(|(a, g)| *a = half * g);
        row[k] = half;
    }
    normals[(m, k)] = 1.0;
    let mut bounds: Vec<f64> = (0..m).map(|j| half * set.bound(j)).collect();
    bounds.push(size);
    let mut start = vec![0.0; k + 1];
    start[k] = (0..m).map(|j| set.bound(j)).fold(size, f64::min);
    let mut upwards = vec![0.0; k + 1];
    upwards[k] = 1.0;
    let answer = Halfspaces::new(normals, bounds).maximise(&upwards, &start);
    // Rounding may leave the point a little outside: the radius is what it has room for.
    let radius = (0..m).map(|j| -set.excess(j, &answer.point[..k])).fold(size, f64::min);
    (answer, radius)
}

/// Rows as a matrix.
fn dense(rows: &[Vec<f64>], cols: usize) -> Dense {
    let mut matrix = Dense::zeros(rows.len(), cols);
    for (i, row) in rows.iter().enumerate() {
        matrix.row_mut(i).copy_from_slice(row);
    }
    matrix
}
