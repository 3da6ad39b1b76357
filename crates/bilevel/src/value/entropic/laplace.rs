//! One component of the sampling mixture: the Laplace approximation of exp(−f / mu) at a local minimiser, in nested
//! coordinates that follow the active bounds there.
//!
//! Along an active bound with slope λ the density is an exponential of mean 2 / (a + √(a² + 4b)), a = λ / mu,
//! b = curvature / mu; in the other coordinates a Gaussian with the inverse Hessian of the Lagrangian, coordinate after
//! coordinate, each cut to its interval given those before it [Genz 1992]. All scales are inflated, so that the tails of
//! the mixture are heavier than those of the integrand.

use bilevel_linalg::{Cholesky, Dense, vector};

use super::domain::{Chart, Domain, Part, Section, hull_axis};
use super::integrand::Local;
use super::normal;
use crate::set::HullForm;

/// How much wider than the Laplace approximation, in up to four coordinates. In more the excess of the variance falls
/// like 1 / d, or the spread of the weights would grow exponentially with d.
const INFLATION: f64 = 1.25;
const INFLATED: f64 = 4.0;
/// A bound within this of the minimiser, relative to the size of the interval, is active.
const ACTIVE: f64 = 1e-6;

/// The density of one coordinate, given those before it.
#[derive(Clone, Debug)]
enum Law {
    /// Exponential from the lower (or upper) end of the interval, with this mean.
    Exponential { from_upper: bool, mean: f64 },
    /// The Gaussian number `row` of the component.
    Gaussian { row: usize },
    /// Uniform over the interval.
    Uniform,
}

/// A component: a density on the domain that can be drawn from and evaluated.
#[derive(Clone, Debug)]
pub(super) struct Component {
    chart: Chart,
    laws: Vec<Law>,
    /// The minimiser's coordinates.
    centre: Vec<f64>,
    /// Lower triangular factor of the Gaussians' covariance, inflated.
    factor: Dense,
    /// ln of the mass that the Laplace approximation gives this minimiser.
    pub log_mass: f64,
}

impl Component {
    /// The Laplace approximation at a minimiser; `None` if the derivatives there are not finite.
    pub fn laplace(domain: &Domain, local: &Local, mu: f64) -> Option<Self> {
        let Oriented { chart, sides, bending } = Oriented::new(domain, local);
        let d = chart.len();
        let mut centre = vec![0.0; d];
        chart.coordinates(&local.y, &mut centre);
        let curvature = chart.curvature(&local.hessian);
        let slopes: Vec<f64> = (0..d).map(|k| chart.slope(k, &local.gradient)).collect();
        if !vector::all_finite(curvature.data()) || !vector::all_finite(&slopes) {
            return None;
        }
        let (mut laws, mut free, mut log_mass) = (Vec::new(), Vec::new(), -local.value / mu + chart.log_measure);
        for (k, side) in sides.iter().enumerate() {
            let (low, high) = chart.section(k, &centre);
            if let Some(from_upper) = *side {
                let a = slopes[k].abs() / mu;
                let b = curvature[(k, k)].max(0.0) / mu;
                let mean = (2.0 / (a + (a * a + 4.0 * b).sqrt())).min((high - low).max(f64::MIN_POSITIVE));
                log_mass += mean.ln();
                laws.push(Law::Exponential { from_upper, mean: inflation(d) * mean });
            } else {
                laws.push(Law::Gaussian { row: free.len() });
                free.push(Free { k, width: high - low, bending: bending[k] });
            }
        }
        let (factor, log_volume) = covariance(&free, &curvature, mu, inflation(d))?;
        Some(Self { chart, laws, centre, factor, log_mass: log_mass + log_volume })
    }

    /// A density that is positive everywhere: each coordinate uniform given those before it.
    pub fn uniform(chart: &Chart) -> Self {
        let d = chart.len();
        let laws = vec![Law::Uniform; d];
        Self {
            chart: chart.clone(),
            laws,
            centre: vec![0.0; d],
            factor: Dense::zeros(0, 0),
            log_mass: f64::NEG_INFINITY,
        }
    }

    /// Writes the point that the uniform numbers `u` are mapped to; `z` and `w` are scratch of length d.
    pub fn draw(&self, u: &[f64], w: &mut [f64], z: &mut [f64], y: &mut [f64]) {
        for k in 0..self.laws.len() {
            let (low, high) = self.chart.section(k, w);
            w[k] = match self.laws[k] {
                Law::Uniform => low + u[k] * (high - low),
                Law::Exponential { from_upper, mean } => {
                    let cut = -f64::exp_m1(-(high - low) / mean);
                    let s = -mean * f64::ln_1p(-u[k] * cut);
                    if from_upper { high - s } else { low + s }
                }
                Law::Gaussian { row } => {
                    let (mean, deviation) = self.conditional(k, row, z);
                    z[row] = normal::quantile((low - mean) / deviation, (high - mean) / deviation, u[k]);
                    mean + deviation * z[row]
                }
            }
            .clamp(low, high);
        }
        self.chart.lift(w, y);
    }

    /// ln of the density at a point of the domain, per unit of the hull's measure.
    pub fn log_density(&self, y: &[f64], w: &mut [f64], z: &mut [f64]) -> f64 {
        self.chart.coordinates(y, w);
        let mut sum = -self.chart.log_measure;
        for k in 0..self.laws.len() {
            let (low, high) = self.chart.section(k, w);
            sum += match self.laws[k] {
                Law::Uniform => -(high - low).max(f64::MIN_POSITIVE).ln(),
                Law::Exponential { from_upper, mean } => {
                    let s = if from_upper { high - w[k] } else { w[k] - low };
                    if s < 0.0 && s < -1e-9 * mean {
                        return f64::NEG_INFINITY;
                    }
                    -s / mean - mean.ln() - (-f64::exp_m1(-(high - low) / mean)).max(f64::MIN_POSITIVE).ln()
                }
                Law::Gaussian { row } => {
                    let (mean, deviation) = self.conditional(k, row, z);
                    z[row] = (w[k] - mean) / deviation;
                    let ends = ((low - mean) / deviation, (high - mean) / deviation);
                    normal::log_density(ends.0, ends.1, z[row]) - deviation.ln()
                }
            };
        }
        sum
    }

    /// Mean and deviation of a Gaussian coordinate, given those before it.
    fn conditional(&self, k: usize, row: usize, z: &[f64]) -> (f64, f64) {
        let factors = self.factor.row(row);
        (self.centre[k] + vector::dot(&factors[..row], &z[..row]), factors[row])
    }
}

/// The inflation of scales in d coordinates.
fn inflation(d: usize) -> f64 {
    (1.0 + (INFLATION * INFLATION - 1.0) * (INFLATED / d as f64).min(1.0)).sqrt()
}

/// The inflated factor of mu H⁻¹ over the free coordinates, and ln of the volume (2π mu)^{k/2} det H^{−1/2}; where H is
/// not positive definite it is shifted until it is, and never lets a Gaussian be wider than its interval.
fn covariance(free: &[Free], curvature: &Dense, mu: f64, inflation: f64) -> Option<(Dense, f64)> {
    let k = free.len();
    let mut hessian = Dense::from_fn(k, k, |i, j| curvature[(free[i].k, free[j].k)]);
    for (i, free) in free.iter().enumerate() {
        let width = free.width.max(f64::MIN_POSITIVE.sqrt());
        hessian[(i, i)] += free.bending + mu / (width * width);
    }
    let mut factors = Cholesky::new();
    let mut shift = 0.0;
    let step = 1e-6 * (hessian.norm_max() + f64::MIN_POSITIVE);
    while factors.factor(&hessian, shift).is_err() {
        shift = if shift == 0.0 { step } else { 4.0 * shift };
        if !shift.is_finite() {
            return None;
        }
    }
    let mut inverse = Dense::zeros(k, k);
    for i in 0..k {
        let row = inverse.row_mut(i);
        row[i] = inflation * inflation * mu;
        factors.solve(row).ok()?;
    }
    let log_volume = 0.5 * (k as f64 * (std::f64::consts::TAU * mu).ln() - factors.log_determinant());
    lower_factor(&inverse).map(|factor| (factor, log_volume))
}

/// L with A = L Lᵀ.
fn lower_factor(a: &Dense) -> Option<Dense> {
    let n = a.rows();
    let mut l = Dense::zeros(n, n);
    for i in 0..n {
        for j in 0..=i {
            let sum = a[(i, j)] - vector::dot(&l.row(i)[..j], &l.row(j)[..j]);
            l[(i, j)] = if i == j { sum.sqrt() } else { sum / l[(j, j)] };
        }
        if !(l[(i, i)] > 0.0 && l[(i, i)].is_finite()) {
            return None;
        }
    }
    Some(l)
}

/// A coordinate without an active bound.
struct Free {
    k: usize,
    /// Length of its interval.
    width: f64,
    /// Curvature that a curved boundary adds.
    bending: f64,
}

/// Coordinates that follow the active bounds at a minimiser.
struct Oriented {
    chart: Chart,
    /// Per coordinate, whether it starts at an active bound, and whether that is the upper end.
    sides: Vec<Option<bool>>,
    /// Per coordinate, the curvature that a curved boundary adds to the objective's.
    bending: Vec<f64>,
}

impl Oriented {
    fn new(domain: &Domain, local: &Local) -> Self {
        let mut oriented = Self { chart: domain.empty_chart(), sides: Vec::new(), bending: Vec::new() };
        for part in domain.parts() {
            match part {
                Part::Interval { at, lower, upper } => {
                    let room = ACTIVE * (upper - lower);
                    let side = match local.y[*at] {
                        y if y - lower <= room => Some(false),
                        y if upper - y <= room => Some(true),
                        _ => None,
                    };
                    let section = Section::Interval { lower: *lower, upper: *upper };
                    oriented.push((*at, &[1.0], &[1.0]), section, side, 0.0);
                }
                Part::Simplex { start, n, total } => oriented.simplex(&local.y, *start, *n, *total),
                Part::Ball { start, centre, radius } => oriented.ball(local, *start, centre, *radius),
                Part::Polyhedron { start, hull, lower, upper } => {
                    oriented.polyhedron(&local.y, *start, hull, (lower, upper));
                }
            }
        }
        oriented
    }

    fn push(&mut self, axis: (usize, &[f64], &[f64]), section: Section, side: Option<bool>, bending: f64) {
        self.chart.coordinate(axis.0, axis.1, axis.2, section);
        self.sides.push(side);
        self.bending.push(bending);
    }

    /// The largest component is the one left out, so that it is not near 0.
    fn simplex(&mut self, y: &[f64], start: usize, n: usize, total: f64) {
        let part = &y[start..start + n];
        let dropped = (0..n).max_by(|&i, &j| part[i].total_cmp(&part[j])).unwrap_or(0);
        self.chart.simplex(start, n, total, dropped);
        for (_, y) in part.iter().enumerate().filter(|(j, _)| *j != dropped) {
            self.sides.push((*y <= ACTIVE * total).then_some(false));
            self.bending.push(0.0);
        }
    }

    /// On the boundary, the last coordinate is the outward normal (by a reflection), and the boundary bends away from
    /// the tangents: λ / radius is added to their curvature.
    fn ball(&mut self, local: &Local, start: usize, centre: &[f64], radius: f64) {
        let n = centre.len();
        let first = self.chart.len();
        let part = &local.y[start..start + n];
        let mut normal: Vec<f64> = part.iter().zip(centre).map(|(y, c)| y - c).collect();
        let length = vector::norm2(&normal);
        let bound = length >= radius * (1.0 - ACTIVE);
        let mut mirror = vec![0.0; n];
        if bound && let Some(last) = mirror.last_mut() {
            normal.iter_mut().for_each(|v| *v /= length);
            *last = 1.0;
            mirror.iter_mut().zip(&normal).for_each(|(v, nu)| *v -= nu);
        }
        let squares = vector::norm2_squared(&mirror);
        let slope = vector::dot(&normal, &local.gradient[start..start + n]);
        let bending = if bound { (-slope / radius).max(0.0) } else { 0.0 };
        for k in 0..n {
            let mut axis = crate::nlp::unit(n, k);
            if squares > 0.0 {
                let along = 2.0 * mirror[k] / squares;
                vector::axpy(-along, &mirror, &mut axis);
            }
            let (side, bending) = if bound && k + 1 == n { (Some(true), 0.0) } else { (None, bending) };
            self.push((start, &axis, &axis), Section::Ball { first, radius }, side, bending);
        }
    }

    /// The slacks of a largest independent set of active halfspaces, then orthonormal coordinates along all of them.
    fn polyhedron(&mut self, y: &[f64], start: usize, hull: &HullForm, (lower, upper): (&[f64], &[f64])) {
        let (m, d) = (hull.origin.len(), lower.len());
        let lift = |v: &[f64]| {
            let mut out = vec![0.0; m];
            v.iter().enumerate().for_each(|(k, v)| vector::axpy(*v, &hull_axis(hull, k), &mut out));
            out
        };
        let from: Vec<f64> = y[start..start + m].iter().zip(&hull.origin).map(|(y, o)| y - o).collect();
        let w: Vec<f64> = (0..d).map(|k| vector::dot(&hull_axis(hull, k), &from)).collect();
        let diameter = lower.iter().zip(upper).map(|(l, u)| (u - l) * (u - l)).sum::<f64>().sqrt();
        let mut basis: Vec<Vec<f64>> = Vec::new();
        let mut active: Vec<usize> = Vec::new();
        for i in 0..hull.bounds.len() {
            let slack = hull.bounds[i] - vector::dot(hull.normals.row(i), &w);
            if slack <= ACTIVE * diameter && extend(&mut basis, hull.normals.row(i)) {
                active.push(i);
            }
        }
        let gram = Dense::from_fn(active.len(), active.len(), |i, j| {
            vector::dot(hull.normals.row(active[i]), hull.normals.row(active[j]))
        });
        let mut factors = Cholesky::new();
        if factors.factor(&gram, 0.0).is_err() {
            active.clear();
            basis.clear();
        }
        // The minimiser, moved onto the hull, from which it may be a rounding error away.
        let mut base = lift(&w);
        vector::axpy(1.0, &hull.origin, &mut base);
        self.chart.move_origin(start, &base);
        for (row, &i) in active.iter().enumerate() {
            let mut weights = crate::nlp::unit(active.len(), row);
            // The Gram matrix has its order: the solve cannot fail.
            let _ = factors.solve(&mut weights);
            let mut direction = vec![0.0; d];
            for (weight, &j) in weights.iter().zip(&active) {
                vector::axpy(-weight, hull.normals.row(j), &mut direction);
            }
            let inverse: Vec<f64> = hull.normals.row(i).iter().map(|a| -a).collect();
            let slack = hull.bounds[i] - vector::dot(hull.normals.row(i), &w);
            let section = Section::Interval { lower: -slack, upper: diameter };
            self.push((start, &lift(&direction), &lift(&inverse)), section, Some(false), 0.0);
        }
        if !active.is_empty() {
            self.chart.log_measure -= 0.5 * factors.log_determinant();
        }
        let slacks = basis.len();
        for k in 0..d {
            extend(&mut basis, &crate::nlp::unit(d, k));
        }
        for axis in &basis[slacks..] {
            let axis = lift(axis);
            self.push((start, &axis, &axis), Section::Interval { lower: -diameter, upper: diameter }, None, 0.0);
        }
    }
}

/// Adds the part of a unit vector that is orthogonal to an orthonormal basis; false if there is none.
fn extend(basis: &mut Vec<Vec<f64>>, v: &[f64]) -> bool {
    let mut rest = v.to_vec();
    for _ in 0..2 {
        for q in basis.iter() {
            vector::axpy(-vector::dot(q, &rest), q, &mut rest);
        }
    }
    let length = vector::norm2(&rest);
    if length < 1e-6 {
        return false;
    }
    rest.iter_mut().for_each(|r| *r /= length);
    basis.push(rest);
    true
}
