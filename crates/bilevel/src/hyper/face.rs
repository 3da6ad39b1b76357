//! phi through the face of the follower's answers: constraints, sets, linear and nonlinear followers.
//!
//! Let ȳ be a minimiser with multipliers, L the follower's Lagrangian, W = ∇²_yy L at ȳ, and s the constraints with a
//! positive multiplier. For a convex follower the multipliers are the same for all its answers, so that
//!
//! ```text
//! S(x) = { y feasible : y minimises L, s(y) = 0 }
//!      = { y feasible : W (y − ȳ) = 0, J_s (y − ȳ) = 0 }        f quadratic, constraints affine (Mangasarian 1988)
//! ```
//!
//! The second form is a polyhedron; with N a basis of the null space of (W; J_s) it is what is feasible of ȳ + N z. No
//! column in N: the answer is unique. For other followers the form is a guess that is checked: f must not rise from ȳ
//! to the answer chosen. A nonconvex follower has one such piece for each of its global minimisers.

use bilevel_linalg::qp::{QpHessian, QpOptions, QpStatus, solve_qp};
use bilevel_linalg::vector::{norm_inf, norm2, sub};
use bilevel_linalg::{Csr, Dense, Svd};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::HyperFailure;
use super::spectrum::Spectrum;
use crate::lower::{FollowerProgram, LowerSolution};
use crate::nlp::{self, Frame, Nlp, interior_point};

/// Multipliers above this, relative to the gradient, hold their constraint on all of S(x).
const STRONG: f64 = 1e-7;
/// Rows of (W; J_s) with smaller singular values, relative to the largest, depend on the others.
const DEPENDENT: f64 = 1e-9;
/// Coordinates beyond this, relative to 1 + the size of ȳ, have left for infinity.
const FAR: f64 = 1e7;
/// Directions of N whose y-part is shorter than this, relative to the longest, do not move y.
pub(super) const UNMOVED_Y: f64 = 1e-9;
/// Rows of a constraint on z shorter than this do not move with z.
const UNMOVED: f64 = 1e-10;

/// The equations that all answers near one minimiser satisfy.
pub(super) struct Face {
    /// The minimiser ỹ.
    pub base: Vec<f64>,
    /// The constraints with a multiplier.
    pub held: Vec<Held>,
    /// The free directions N, one a row.
    pub basis: Dense,
    /// Whether the rank of W is clear.
    pub certain: bool,
}

/// A constraint of the follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Held {
    /// A bound of a variable.
    Bound(usize),
    /// An affine row.
    Row(usize),
    /// A component of the nonlinear constraints.
    Component(usize),
}

impl Face {
    /// The face at a minimiser of `program`, which is fixed at its x. `None` if something is not finite.
    pub fn new(program: &mut FollowerProgram<'_>, minimiser: &LowerSolution) -> Option<Self> {
        let base = minimiser.y.clone();
        let d = base.len();
        let multipliers = &minimiser.multipliers;
        let mut gradient = vec![0.0; d];
        program.gradient(&base, &mut gradient);
        let threshold = STRONG * (1.0 + norm2(&gradient));
        // What does not hold its constraint does not bend the Lagrangian either: its multiplier may be rounding.
        let weights = multipliers.constraints.iter().map(|u| if u.abs() > threshold { -u } else { 0.0 });
        let weights: Vec<f64> = weights.collect();
        let mut curvature = Dense::zeros(d, d);
        program.hessian(&base, 1.0, &weights, &mut curvature);
        let mut rows = Rows::new(program, &base);
        let frame = program.frame();
        for (j, mu) in multipliers.bounds.iter().enumerate() {
            if mu.abs() > threshold || frame.lower[j] == frame.upper[j] {
                rows.hold(Held::Bound(j));
            }
        }
        for (i, mu) in multipliers.rows.iter().enumerate() {
            if mu.abs() > threshold || frame.row_lower[i] == frame.row_upper[i] {
                rows.hold(Held::Row(i));
            }
        }
        for (i, mu) in multipliers.constraints.iter().enumerate() {
            if mu.abs() > threshold || frame.constraint_lower[i] == frame.constraint_upper[i] {
                rows.hold(Held::Component(i));
            }
        }
        let (strong, held) = (rows.matrix(frame), rows.held);
        let spectrum = Spectrum::new(&curvature)?;
        let basis = null_space(&spectrum.range_basis(), &strong)?;
        Some(Self { base, held, basis, certain: spectrum.certain })
    }

    /// The face with further variables behind ỹ, free to move, at the end of `base`.
    pub fn widened(&self, base: Vec<f64>) -> Self {
        let (k, d, more) = (self.basis.rows(), self.basis.cols(), base.len() - self.basis.cols());
        let mut basis = Dense::zeros(k + more, d + more);
        for i in 0..k {
            basis.row_mut(i)[..d].copy_from_slice(self.basis.row(i));
        }
        (0..more).for_each(|i| basis[(k + i, d + i)] = 1.0);
        Self { base, held: self.held.clone(), basis, certain: self.certain }
    }

    /// Whether the other face is the same affine subspace: as many directions, and its base lies in this one.
    pub fn holds(&self, other: &Face) -> bool {
        self.dimension() == other.dimension() && self.held == other.held && self.contains(&other.base)
    }

    /// Whether ỹ lies in the affine subspace of the face.
    pub fn contains(&self, y: &[f64]) -> bool {
        let mut off = vec![0.0; self.base.len()];
        sub(y, &self.base, &mut off);
        let length = norm2(&off);
        let mut along = vec![0.0; self.dimension()];
        self.basis.mul_add(1.0, &off, &mut along);
        self.basis.transpose_mul_add(-1.0, &along, &mut off);
        norm2(&off) <= 1e-6 * (1.0 + length)
    }

    /// The number of directions in which the answers may differ.
    pub fn dimension(&self) -> usize {
        self.basis.rows()
    }
}

/// A basis of the vectors orthogonal to the rows of both matrices, one a row.
fn null_space(first: &Dense, second: &Dense) -> Option<Dense> {
    let d = first.cols();
    let mut all = Dense::zeros(first.rows() + second.rows(), d);
    for i in 0..first.rows() {
        all.row_mut(i).copy_from_slice(first.row(i));
    }
    for i in 0..second.rows() {
        let size = norm2(second.row(i)).max(f64::MIN_POSITIVE);
        let target = all.row_mut(first.rows() + i);
        target.iter_mut().zip(second.row(i)).for_each(|(t, v)| *t = v / size);
    }
    Some(Svd::new(&all, Some(DEPENDENT)).ok()?.null_space())
}

/// Collects gradients of constraints at a point.
pub(super) struct Rows {
    jacobian: Dense,
    pub held: Vec<Held>,
}

impl Rows {
    pub fn new(program: &mut FollowerProgram<'_>, at: &[f64]) -> Self {
        let mut jacobian = Dense::zeros(program.frame().constraints(), at.len());
        program.jacobian(at, &mut jacobian);
        Self { jacobian, held: Vec::new() }
    }

    pub fn hold(&mut self, constraint: Held) {
        self.held.push(constraint);
    }

    /// The gradients, one a row.
    pub fn matrix(&self, frame: &Frame) -> Dense {
        let mut out = Dense::zeros(self.held.len(), frame.variables());
        for (k, held) in self.held.iter().enumerate() {
            match *held {
                Held::Bound(j) => out[(k, j)] = 1.0,
                Held::Row(i) => frame.rows.row(i).for_each(|(j, a)| out[(k, j)] = a),
                Held::Component(i) => out.row_mut(k).copy_from_slice(self.jacobian.row(i)),
            }
        }
        out
    }
}

/// z ↦ objective(ȳ + Nᵀ z) under the constraints that move with z.
struct OnFace<'p, 'a> {
    inner: &'p mut FollowerProgram<'a>,
    face: &'p Face,
    frame: Frame,
    y: Vec<f64>,
    full: Vec<f64>,
    wide: Dense,
    square: Dense,
}

impl<'p, 'a> OnFace<'p, 'a> {
    fn new(inner: &'p mut FollowerProgram<'a>, face: &'p Face) -> Self {
        let d = face.base.len();
        let mut constant = vec![0.0; inner.frame().constraints()];
        inner.constraints(&face.base, &mut constant);
        let frame = moved_frame(inner.frame(), face, &constant);
        let wide = Dense::zeros(constant.len(), d);
        Self { inner, face, frame, y: vec![0.0; d], full: vec![0.0; d], wide, square: Dense::zeros(d, d) }
    }

    fn move_to(&mut self, z: &[f64]) {
        self.y.copy_from_slice(&self.face.base);
        self.face.basis.transpose_mul_add(1.0, z, &mut self.y);
    }

    /// The largest violation of a row or a constraint at z.
    fn violation(&mut self, z: &[f64]) -> f64 {
        let mut values = vec![0.0; self.frame.constraints()];
        self.constraints(z, &mut values);
        let outside = |value: f64, lower: f64, upper: f64| (lower - value).max(value - upper).max(0.0);
        let frame = &self.frame;
        let rows =
            (0..frame.rows.rows()).map(|i| outside(frame.rows.row_dot(i, z), frame.row_lower[i], frame.row_upper[i]));
        let functions =
            (0..values.len()).map(|i| outside(values[i], frame.constraint_lower[i], frame.constraint_upper[i]));
        rows.chain(functions).fold(0.0, f64::max)
    }

    /// N M Nᵀ for the square matrix held.
    fn reduced(&self) -> Option<Dense> {
        self.face.basis.matmul(&self.square).ok()?.matmul(&self.face.basis.transpose()).ok()
    }
}

/// The constraints on z; rounding at ȳ does not make z = 0 violate them.
pub(super) fn moved_frame(frame: &Frame, face: &Face, constant: &[f64]) -> Frame {
    let k = face.dimension();
    let base = &face.base;
    let (mut triplets, mut row_lower, mut row_upper) = (Vec::new(), Vec::new(), Vec::new());
    let mut add = |row: &[f64], lower: f64, upper: f64, value: f64| {
        if norm2(row) > UNMOVED && (lower.is_finite() || upper.is_finite()) {
            triplets.extend(row.iter().enumerate().map(|(j, &a)| (row_lower.len(), j, a)));
            row_lower.push(absorbed(lower - value, value));
            row_upper.push(-absorbed(value - upper, value));
        }
    };
    let mut row = vec![0.0; k];
    for (j, &value) in base.iter().enumerate() {
        (0..k).for_each(|i| row[i] = face.basis[(i, j)]);
        add(&row, frame.lower[j], frame.upper[j], value);
    }
    for i in 0..frame.rows.rows() {
        row.fill(0.0);
        for (j, a) in frame.rows.row(i) {
            (0..k).for_each(|i| row[i] += a * face.basis[(i, j)]);
        }
        add(&row, frame.row_lower[i], frame.row_upper[i], frame.rows.row_dot(i, base));
    }
    let count = row_lower.len();
    let below = |(&bound, &value): (&f64, &f64)| value + absorbed(bound - value, value) - 1e-9 * (1.0 + value.abs());
    let above = |(&bound, &value): (&f64, &f64)| value - absorbed(value - bound, value) + 1e-9 * (1.0 + value.abs());
    Frame {
        lower: vec![f64::NEG_INFINITY; k],
        upper: vec![f64::INFINITY; k],
        rows: Csr::from_triplets(count, k, &triplets).unwrap_or_else(|| Csr::empty(count, k)),
        row_lower,
        row_upper,
        constraint_lower: frame.constraint_lower.iter().zip(constant).map(below).collect(),
        constraint_upper: frame.constraint_upper.iter().zip(constant).map(above).collect(),
    }
}

/// How far a side of a constraint lies beyond its value at ȳ; 0 in place of a violation that is rounding.
fn absorbed(beyond: f64, value: f64) -> f64 {
    if beyond > 0.0 && beyond <= 1e-7 * (1.0 + value.abs()) { 0.0 } else { beyond }
}

impl Nlp for OnFace<'_, '_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, z: &[f64]) -> f64 {
        self.move_to(z);
        self.inner.objective(&self.y)
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        self.move_to(z);
        self.inner.gradient(&self.y, &mut self.full);
        out.fill(0.0);
        self.face.basis.mul_add(1.0, &self.full, out);
    }

    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        self.move_to(z);
        self.inner.constraints(&self.y, out);
    }

    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        self.move_to(z);
        self.inner.jacobian(&self.y, &mut self.wide);
        out.fill(0.0);
        for i in 0..self.wide.rows() {
            self.face.basis.mul_add(1.0, self.wide.row(i), out.row_mut(i));
        }
    }

    fn hessian(&mut self, z: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        self.move_to(z);
        let there = self.inner.hessian(&self.y, objective_weight, weights, &mut self.square);
        match self.reduced() {
            Some(reduced) if there => out.copy_from(&reduced),
            _ => return false,
        }
        true
    }
}

/// The least of sign * F on a face.
pub(super) struct OnFaceOptimum {
    /// ỹ.
    pub y: Vec<f64>,
    /// Its coordinates on the face.
    pub z: Vec<f64>,
    /// Whether the value is the least on the face, not only a local one, and the solve has converged.
    pub global: bool,
}

/// What is known of the objective on a face, and how hard to look.
#[derive(Clone, Copy, Debug)]
pub(super) struct Search {
    /// Whether it is quadratic in ỹ.
    pub quadratic: bool,
    /// Whether it is convex.
    pub convex: bool,
    /// Starts where it is not convex.
    pub starts: usize,
    /// Their seed.
    pub seed: u64,
}

/// Minimises the objective of `program` (sign * F over the follower's constraints, fixed at x) on a face, from the
/// coordinates `origin`.
pub(super) fn optimise(
    program: &mut FollowerProgram<'_>,
    face: &Face,
    search: Search,
    origin: &[f64],
) -> Result<OnFaceOptimum, HyperFailure> {
    let mut on_face = OnFace::new(program, face);
    if search.quadratic
        && on_face.frame.constraints() == 0
        && let Some(result) = programme(&mut on_face, &vec![0.0; origin.len()])
    {
        return result;
    }
    let mut starts = vec![origin.to_vec()];
    if !search.convex {
        starts.extend(vertices(&on_face.frame, search.starts, search.seed));
    }
    let settings = interior_point::Settings::default();
    let mut best: Option<(f64, Vec<f64>)> = None;
    let mut converged = false;
    for start in &starts {
        let found = interior_point::solve(&mut on_face, start, &settings);
        if found.status == nlp::Status::Unbounded {
            return Err(HyperFailure::Infinite);
        }
        let violation = on_face.violation(start);
        let ends = [(start, violation), (&found.z, found.residuals.violation)];
        for (k, (z, violation)) in ends.into_iter().enumerate() {
            let value = on_face.objective(z);
            if !value.is_finite() || violation > 1e-8 * (1.0 + norm2(z)) {
                continue;
            }
            // The least value may be the start's own: what counts is that a solve has converged to it.
            converged |= k == 1 && found.status.is_success();
            if best.as_ref().is_none_or(|b| value < b.0) {
                best = Some((value, z.clone()));
            }
        }
    }
    let best = best.ok_or(HyperFailure::NoAnswer)?;
    on_face.move_to(&best.1);
    Ok(OnFaceOptimum { y: on_face.y, z: best.1, global: search.convex && converged })
}

/// A convex quadratic objective over a polyhedral face; `None` if it is not convex or could not be solved.
fn programme(on_face: &mut OnFace<'_, '_>, origin: &[f64]) -> Option<Result<OnFaceOptimum, HyperFailure>> {
    let k = origin.len();
    let mut linear = vec![0.0; k];
    on_face.gradient(origin, &mut linear);
    let mut hessian = Dense::zeros(k, k);
    if !on_face.hessian(origin, 1.0, &[], &mut hessian) {
        return None;
    }
    let spectrum = Spectrum::new(&hessian)?;
    if spectrum.negative {
        return None;
    }
    let mut solution = solve_linear_quadratic(&on_face.frame, QpHessian::Dense(&hessian), &linear)?;
    if solution.0 == QpStatus::Unbounded {
        // Badly scaled rows can look so: a minimum must lie on the walls of a very large box, too.
        let far = FAR * (1.0 + norm2(&on_face.face.base));
        let boxed = Frame { lower: vec![-far; k], upper: vec![far; k], ..on_face.frame.clone() };
        solution = match solve_linear_quadratic(&boxed, QpHessian::Dense(&hessian), &linear) {
            Some((QpStatus::Solved, z)) if norm_inf(&z) < 0.5 * far => (QpStatus::Solved, z),
            _ => solution,
        };
    }
    match solution.0 {
        QpStatus::Unbounded => Some(Err(HyperFailure::Infinite)),
        QpStatus::Solved => {
            on_face.move_to(&solution.1);
            Some(Ok(OnFaceOptimum { y: on_face.y.clone(), z: solution.1, global: true }))
        }
        _ => None,
    }
}

fn solve_linear_quadratic(frame: &Frame, hessian: QpHessian<'_>, linear: &[f64]) -> Option<(QpStatus, Vec<f64>)> {
    let qp = frame.quadratic(hessian, linear);
    let solution = solve_qp(&qp, &QpOptions::default()).ok()?;
    Some((solution.status, solution.z))
}

/// Starts on a face: the farthest points in random directions (local minimisers of a concave function are among such
/// vertices), or random points where the face has no end there.
fn vertices(frame: &Frame, count: usize, seed: u64) -> Vec<Vec<f64>> {
    let k = frame.variables();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut starts = Vec::with_capacity(count);
    for _ in 0..count {
        let direction: Vec<f64> = (0..k).map(|_| StandardNormal.sample(&mut rng)).collect();
        match solve_linear_quadratic(frame, QpHessian::Zero, &direction) {
            Some((QpStatus::Solved, z)) if frame.constraints() == 0 => starts.push(z),
            _ => starts.push(direction),
        }
    }
    starts
}

/// Distance of two answers in the follower's own variables.
pub(super) fn distance(a: &[f64], b: &[f64], m: usize) -> f64 {
    let mut difference = vec![0.0; m];
    sub(&a[..m], &b[..m], &mut difference);
    norm2(&difference)
}

/// The rank of the first m columns of a basis, one vector a row.
pub(super) fn rank_of_own(basis: &Dense, m: usize) -> usize {
    if basis.rows() == 0 || basis.cols() == m {
        return basis.rows();
    }
    let own = Dense::from_fn(basis.rows(), m, |i, j| basis[(i, j)]);
    // The rows have length 1 with the auxiliary variables: y-parts that are rounding do not count.
    Svd::new(&own, Some(0.0)).map_or(basis.rows(), |svd| svd.values().iter().filter(|v| **v > UNMOVED_Y).count())
}
