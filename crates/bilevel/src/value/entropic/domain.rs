//! The follower's set Y as a domain of integration, in coordinates w of its affine hull.
//!
//! Coordinates are nested: each runs over an interval that depends on those before it,
//!
//! ```text
//! box       [lower_k, upper_k]
//! simplex   [0, total − Σ_{j<k} w_j], one component left out, measure √n dw
//! ball      ± √(radius² − Σ_{j<k} w_j²)
//! polyhedron of up to 3 dimensions: halfspaces after elimination of the later coordinates (Fourier–Motzkin)
//! polyhedron of more: the interval of its bounding box; points outside do not count
//! ```
//!
//! so that quadrature runs over a unit cube, and random points are drawn one coordinate after the other. An unbounded
//! set is cut by a box around a centre: Y_mu of Assumption 4.16.

use std::f64::consts::{FRAC_PI_2, PI};

use bilevel_linalg::{Csr, Dense, vector};

use crate::set::{Bounds, ConvexSet, Description, HullForm, Polyhedron, Set};

/// A compact convex set to integrate over.
#[derive(Clone, Debug)]
pub(super) struct Domain {
    /// Number of components of a point.
    pub m: usize,
    /// Dimension of the affine hull.
    pub dimension: usize,
    /// ln of the volume in the hull; an upper bound for polyhedra.
    pub log_volume: f64,
    /// A point of the hull, with the fixed components.
    origin: Vec<f64>,
    parts: Vec<Part>,
    /// The polyhedra, whose indicator random points need, each with its first component.
    indicators: Vec<(usize, Polyhedron)>,
}

/// A factor of the domain.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Interval { at: usize, lower: f64, upper: f64 },
    Simplex { start: usize, n: usize, total: f64 },
    Ball { start: usize, centre: Vec<f64>, radius: f64 },
    Polyhedron { start: usize, hull: HullForm, lower: Vec<f64>, upper: Vec<f64> },
}

/// Where an unbounded set is cut: |y_j − centre_j| <= radius in the components without bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The centre (length m).
    pub centre: Vec<f64>,
    /// The radius R, > 0.
    pub radius: f64,
}

/// Polyhedra of at most this dimension are cut exactly.
pub(super) const EXACT: usize = 3;
/// Random points this far outside count as inside: rounding, on a part of no measure.
const ON_BOUNDARY: f64 = 1e-9;
/// Halfspaces kept when coordinates are eliminated.
const MOST_PLANES: usize = 2000;

impl Domain {
    /// The domain of a set; `region` cuts it where it is unbounded.
    ///
    /// # Errors
    /// In words, why the set cannot be integrated over.
    pub fn new(set: &Set, region: Option<&Region>) -> Result<Self, String> {
        let m = set.ambient_dimension();
        let mut domain =
            Self { m, dimension: 0, log_volume: 0.0, origin: vec![0.0; m], parts: Vec::new(), indicators: Vec::new() };
        domain.add(set, 0, region)?;
        Ok(domain)
    }

    fn add(&mut self, set: &Set, start: usize, region: Option<&Region>) -> Result<(), String> {
        match set {
            Set::Product(product) => {
                let mut at = start;
                for factor in product.factors() {
                    self.add(factor, at, region)?;
                    at += factor.ambient_dimension();
                }
                return Ok(());
            }
            Set::Bounds(bounds) => self.interval(bounds, start, region)?,
            Set::Whole(_) | Set::Orthant(_) => {
                let (lower, upper) = bounding_box(set);
                let bounds = Bounds::from_vectors(lower, upper).map_err(|e| e.to_string())?;
                self.interval(&bounds, start, region)?;
            }
            Set::Simplex(simplex) => {
                let n = simplex.ambient_dimension();
                self.origin[start..start + n].fill(if n == 1 { simplex.total() } else { 0.0 });
                self.push(Part::Simplex { start, n, total: simplex.total() }, n - 1, set.log_volume());
            }
            Set::Ball(ball) => {
                let centre = ball.centre().to_vec();
                self.origin[start..start + centre.len()].copy_from_slice(&centre);
                let n = centre.len();
                self.push(Part::Ball { start, centre, radius: ball.radius() }, n, set.log_volume());
            }
            _ => self.polyhedron(set, start, region)?,
        }
        Ok(())
    }

    fn push(&mut self, part: Part, dimension: usize, log_volume: Option<f64>) {
        self.dimension += dimension;
        self.log_volume += log_volume.unwrap_or(0.0);
        self.parts.push(part);
    }

    fn interval(&mut self, bounds: &Bounds, start: usize, region: Option<&Region>) -> Result<(), String> {
        for (k, (&lower, &upper)) in bounds.lower().iter().zip(bounds.upper()).enumerate() {
            let at = start + k;
            let (lower, upper) = cut(lower, upper, at, region)?;
            if lower < upper {
                self.push(Part::Interval { at, lower, upper }, 1, Some((upper - lower).ln()));
            } else {
                self.origin[at] = lower;
            }
        }
        Ok(())
    }

    fn polyhedron(&mut self, set: &Set, start: usize, region: Option<&Region>) -> Result<(), String> {
        let m = set.ambient_dimension();
        let mut description = Description::default();
        set.describe(0, &mut description);
        if description.variables() > m || !description.balls.is_empty() {
            return Err("its set is not a product of boxes, balls, simplices and polyhedra".to_string());
        }
        let (lower, upper) = bounding_box(set);
        for j in 0..m {
            // Only where it is unbounded: other bounds would be redundant, and active at its vertices.
            let (low, high) = cut(lower[j], upper[j], start + j, region)?;
            if !lower[j].is_finite() {
                description.lower[j] = low;
            }
            if !upper[j].is_finite() {
                description.upper[j] = high;
            }
        }
        let rows = Csr::from_triplets(description.row_count(), m, &description.rows);
        let rows = rows.ok_or_else(|| "its rows cannot be read".to_string())?;
        let d = &description;
        let polyhedron =
            Polyhedron::new(&rows, &d.row_lower, &d.row_upper, &d.lower, &d.upper).map_err(|e| e.to_string())?;
        let hull = polyhedron.hull_form();
        let dimension = hull.normals.cols();
        let (lower, upper) = hull_box(&polyhedron, &hull);
        let sides: f64 = lower.iter().zip(&upper).map(|(l, u)| (u - l).ln()).sum();
        self.origin[start..start + m].copy_from_slice(&hull.origin);
        let log_volume = polyhedron.log_volume().unwrap_or(sides);
        self.push(Part::Polyhedron { start, hull, lower, upper }, dimension, Some(log_volume));
        self.indicators.push((start, polyhedron));
        Ok(())
    }

    /// Whether a point drawn is in the set: always, but for polyhedra.
    pub fn contains(&self, y: &[f64]) -> bool {
        self.indicators.iter().all(|(start, set)| {
            let n = set.ambient_dimension();
            set.contains(&y[*start..*start + n], ON_BOUNDARY)
        })
    }

    /// The factors.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The coordinates for quadrature.
    ///
    /// # Errors
    /// A polyhedron with too many faces.
    pub fn chart(&self) -> Result<Chart, String> {
        let mut chart = Chart::new(self);
        for part in &self.parts {
            chart.add(part)?;
        }
        Ok(chart)
    }

    /// An empty chart over this domain's origin, to be filled part by part.
    pub fn empty_chart(&self) -> Chart {
        Chart::new(self)
    }
}

/// The ends of component `at`, cut by the region where infinite.
fn cut(lower: f64, upper: f64, at: usize, region: Option<&Region>) -> Result<(f64, f64), String> {
    if lower.is_finite() && upper.is_finite() {
        return Ok((lower, upper));
    }
    let Some(region) = region else { return Err("its set is unbounded".to_string()) };
    // The centre may lie outside a one-sided bound.
    let centre = region.centre[at].clamp(lower, upper);
    let low = if lower.is_finite() { lower } else { centre - region.radius };
    let high = if upper.is_finite() { upper } else { centre + region.radius };
    Ok((low, high))
}

pub(super) fn bounding_box(set: &impl ConvexSet) -> (Vec<f64>, Vec<f64>) {
    let m = set.ambient_dimension();
    let (mut lower, mut upper) = (vec![f64::NEG_INFINITY; m], vec![f64::INFINITY; m]);
    set.bounding_box(&mut lower, &mut upper);
    (lower, upper)
}

/// A box in the hull's coordinates that contains the polyhedron, from its box in the space around.
fn hull_box(polyhedron: &Polyhedron, hull: &HullForm) -> (Vec<f64>, Vec<f64>) {
    let (lower, upper) = bounding_box(polyhedron);
    let Some(axes) = &hull.axes else { return (lower, upper) };
    (0..axes.rows())
        .map(|k| {
            let terms = axes.row(k).iter().zip(lower.iter().zip(&upper)).zip(&hull.origin);
            terms.fold((0.0, 0.0), |(low, high), ((a, (l, u)), o)| {
                let (p, q) = (a * (l - o), a * (u - o));
                (low + p.min(q), high + p.max(q))
            })
        })
        .unzip()
}

/// A halfspace: its normal and its bound.
type Plane = (Vec<f64>, f64);

/// The interval of one coordinate, given those before it.
#[derive(Clone, Debug)]
pub(super) enum Section {
    Interval {
        lower: f64,
        upper: f64,
    },
    Simplex {
        first: usize,
        total: f64,
    },
    Ball {
        first: usize,
        radius: f64,
    },
    /// Σ_{first <= j <= k} normal_j w_j <= bound.
    Planes {
        first: usize,
        planes: Vec<(Vec<f64>, f64)>,
    },
}

/// Nested coordinates: y = origin + basis w, w = inverse (y − origin).
#[derive(Clone, Debug)]
pub(super) struct Chart {
    origin: Vec<f64>,
    /// Column k is the direction of coordinate k, as rows here.
    directions: Vec<Vec<f64>>,
    inverse: Vec<Vec<f64>>,
    sections: Vec<Section>,
    /// ln of the hull's measure per unit of dw.
    pub log_measure: f64,
}

impl Chart {
    fn new(domain: &Domain) -> Self {
        let (directions, inverse) = (Vec::new(), Vec::new());
        Self { origin: domain.origin.clone(), directions, inverse, sections: Vec::new(), log_measure: 0.0 }
    }

    /// Number of coordinates.
    pub fn len(&self) -> usize {
        self.sections.len()
    }

    /// Moves the origin in the components from `start`.
    pub fn move_origin(&mut self, start: usize, to: &[f64]) {
        self.origin[start..start + to.len()].copy_from_slice(to);
    }

    /// Adds a coordinate along `direction`, read off by `inverse` (both on the components from `start`).
    pub fn coordinate(&mut self, start: usize, direction: &[f64], inverse: &[f64], section: Section) {
        let place = |v: &[f64]| {
            let mut out = vec![0.0; self.origin.len()];
            out[start..start + v.len()].copy_from_slice(v);
            out
        };
        let (direction, inverse) = (place(direction), place(inverse));
        self.directions.push(direction);
        self.inverse.push(inverse);
        self.sections.push(section);
    }

    /// Adds the coordinates of a part, in its usual order.
    pub fn add(&mut self, part: &Part) -> Result<(), String> {
        match part {
            Part::Interval { at, lower, upper } => {
                self.coordinate(*at, &[1.0], &[1.0], Section::Interval { lower: *lower, upper: *upper });
            }
            Part::Simplex { start, n, total } => self.simplex(*start, *n, *total, n - 1),
            Part::Ball { start, centre, radius } => {
                let first = self.len();
                for k in 0..centre.len() {
                    let axis = crate::nlp::unit(centre.len(), k);
                    self.coordinate(*start, &axis, &axis, Section::Ball { first, radius: *radius });
                }
            }
            Part::Polyhedron { start, hull, lower, upper } => {
                let first = self.len();
                let planes = if lower.len() <= EXACT { eliminated(hull)? } else { Vec::new() };
                for (k, (&lower, &upper)) in lower.iter().zip(upper).enumerate() {
                    let section = match planes.get(k) {
                        Some(planes) => Section::Planes { first, planes: planes.clone() },
                        None => Section::Interval { lower, upper },
                    };
                    let axis = hull_axis(hull, k);
                    self.coordinate(*start, &axis, &axis, section);
                }
            }
        }
        Ok(())
    }

    /// Adds a simplex, with component `dropped` as what the others leave of the total.
    pub fn simplex(&mut self, start: usize, n: usize, total: f64, dropped: usize) {
        let first = self.len();
        let mut base = vec![0.0; n];
        base[dropped] = total;
        self.move_origin(start, &base);
        for j in (0..n).filter(|&j| j != dropped) {
            let mut direction = crate::nlp::unit(n, j);
            let inverse = direction.clone();
            direction[dropped] = -1.0;
            self.coordinate(start, &direction, &inverse, Section::Simplex { first, total });
        }
        self.log_measure += 0.5 * (n as f64).ln();
    }

    /// The interval of coordinate k, given w_0 .. w_{k−1}; its ends in order.
    pub fn section(&self, k: usize, w: &[f64]) -> (f64, f64) {
        let (low, high) = match &self.sections[k] {
            Section::Interval { lower, upper } => (*lower, *upper),
            Section::Simplex { first, total } => (0.0, total - w[*first..k].iter().sum::<f64>()),
            Section::Ball { first, radius } => {
                let left = radius * radius - w[*first..k].iter().map(|w| w * w).sum::<f64>();
                (-left.max(0.0).sqrt(), left.max(0.0).sqrt())
            }
            Section::Planes { first, planes } => {
                let (mut low, mut high) = (f64::NEG_INFINITY, f64::INFINITY);
                for (normal, bound) in planes {
                    let along = normal[k - first];
                    let rest = bound - vector::dot(&normal[..k - first], &w[*first..k]);
                    if along > 0.0 {
                        high = high.min(rest / along);
                    } else {
                        low = low.max(rest / along);
                    }
                }
                (low, high)
            }
        };
        (low, high.max(low))
    }

    /// The point with coordinates `w`.
    pub fn lift(&self, w: &[f64], y: &mut [f64]) {
        y.copy_from_slice(&self.origin);
        for (w, direction) in w.iter().zip(&self.directions) {
            vector::axpy(*w, direction, y);
        }
    }

    /// The coordinates of a point of the hull.
    pub fn coordinates(&self, y: &[f64], w: &mut [f64]) {
        for (w, row) in w.iter_mut().zip(&self.inverse) {
            *w = row.iter().zip(y.iter().zip(&self.origin)).map(|(r, (y, o))| r * (y - o)).sum();
        }
    }

    /// The slope along coordinate k of a function with gradient `g` in y.
    pub fn slope(&self, k: usize, g: &[f64]) -> f64 {
        vector::dot(&self.directions[k], g)
    }

    /// The second derivatives along the coordinates of a function with Hessian `h` in y.
    pub fn curvature(&self, h: &Dense) -> Dense {
        let d = self.len();
        let mut product = vec![0.0; self.origin.len()];
        let mut out = Dense::zeros(d, d);
        for k in 0..d {
            product.fill(0.0);
            h.mul_add(1.0, &self.directions[k], &mut product);
            for l in 0..d {
                out[(k, l)] = vector::dot(&product, &self.directions[l]);
            }
        }
        out
    }

    /// The point of the unit cube as coordinates, and the measure per unit of du. Balls go by angles, w = r sin θ, so
    /// that the square roots of their sections do no harm.
    pub fn place(&self, u: &[f64], w: &mut [f64]) -> f64 {
        let mut measure = 1.0;
        for k in 0..self.len() {
            let (low, high) = self.section(k, w);
            let half = 0.5 * (high - low);
            if matches!(self.sections[k], Section::Ball { .. }) {
                let angle = PI * (u[k] - 0.5);
                w[k] = half * angle.sin();
                measure *= half * PI * angle.cos();
            } else {
                w[k] = low + u[k] * (high - low);
                measure *= high - low;
            }
        }
        measure
    }

    /// Where value `w_k` of coordinate k lies in the unit interval, given those before it; the middle of an empty one.
    pub fn to_unit(&self, k: usize, value: f64, w: &[f64]) -> f64 {
        let (low, high) = self.section(k, w);
        if high <= low {
            return 0.5;
        }
        let t = ((value - low) / (high - low)).clamp(0.0, 1.0);
        if matches!(self.sections[k], Section::Ball { .. }) {
            0.5 + (2.0 * t - 1.0).clamp(-1.0, 1.0).asin() / (2.0 * FRAC_PI_2)
        } else {
            t
        }
    }
}

/// Axis k of the hull, in the space around.
pub(super) fn hull_axis(hull: &HullForm, k: usize) -> Vec<f64> {
    match &hull.axes {
        Some(axes) => axes.row(k).to_vec(),
        None => crate::nlp::unit(hull.origin.len(), k),
    }
}

/// For each coordinate, the halfspaces on it and those before it that are left when the later ones are eliminated.
fn eliminated(hull: &HullForm) -> Result<Vec<Vec<Plane>>, String> {
    let d = hull.normals.cols();
    let mut planes: Vec<Plane> =
        (0..hull.bounds.len()).map(|i| (hull.normals.row(i).to_vec(), hull.bounds[i])).collect();
    let mut levels = Vec::new();
    for k in (0..d).rev() {
        let scale = |p: &Plane| p.0.iter().fold(0.0, |a: f64, x| a.max(x.abs()));
        let on = |p: &Plane| p.0[k].abs() > 1e-12 * scale(p);
        let (here, mut rest): (Vec<_>, Vec<_>) = planes.into_iter().partition(on);
        for up in here.iter().filter(|p| p.0[k] > 0.0) {
            for down in here.iter().filter(|p| p.0[k] < 0.0) {
                let (a, b) = (1.0 / up.0[k], -1.0 / down.0[k]);
                let normal: Vec<f64> = up.0.iter().zip(&down.0).take(k).map(|(p, q)| a * p + b * q).collect();
                rest.push((normal, a * up.1 + b * down.1));
            }
        }
        rest.iter_mut().for_each(|p| p.0.truncate(k));
        if rest.len() > MOST_PLANES {
            return Err(format!("its polyhedron has too many faces: {} after elimination", rest.len()));
        }
        levels.push(here);
        planes = rest;
    }
    levels.reverse();
    Ok(levels)
}
