//! S(x) by itself, whatever F is: what it looks like, and one of its points.
//!
//! A face of answers is an affine subspace cut off by constraints, ỹ = ȳ + N z with A z <= b. Constraints that hold with
//! equality on all of it lower its dimension; they are found by one linear programme (Freund, Roundy & Todd 1985),
//!
//! ```text
//! maximise Σ τ_i   subject to A z + τ <= b μ,  0 <= τ <= 1,  1 <= μ <= μ_max:      equality on all of it where τ_i = 0
//! ```
//!
//! and auxiliary variables (of an epigraph form, of a set) do not count: the dimension is that of the y-part alone.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, QpStatus, solve_qp};
use bilevel_linalg::{Csr, Dense, Svd};

use super::constrained::Constrained;
use super::face::{Face, UNMOVED_Y, moved_frame, rank_of_own};
use super::facts::Facts;
use super::{Answers, HyperFailure, HyperSettings};
use crate::lower::{FollowerProgram, Regulariser};
use crate::nlp::{Frame, Nlp};
use crate::problem::{Failures, Problem};

/// Slacks below the inverse of this count as none.
const LARGEST_SCALE: f64 = 1e6;
/// Faces with more directions are not looked at that closely.
const LARGEST: usize = 200;

/// One face of answers.
struct Shape {
    /// The dimension of its y-part.
    dimension: usize,
    /// Whether constraints cut it off somewhere.
    ends: bool,
    /// Whether all this is clear.
    certain: bool,
}

impl Constrained {
    /// What S(x) looks like, and one of its points.
    pub fn answers(
        &self,
        problem: &Problem,
        facts: &Facts,
        settings: &HyperSettings,
        at: (&[f64], &[f64]),
    ) -> Result<(Answers, Vec<f64>), HyperFailure> {
        let failures = Failures::default();
        let smoothing = self.smoothing();
        let minimisers = self.minimisers(problem, facts, settings, at, smoothing, &failures)?;
        let mut lower = FollowerProgram::new(self.lower(), &failures);
        lower.fix(at.0, smoothing, &Regulariser::default());
        let mut faces: Vec<Face> = Vec::new();
        let mut shapes = Vec::new();
        for minimiser in &minimisers {
            let face = Face::new(&mut lower, minimiser).ok_or_else(|| HyperFailure::unsolved(&failures))?;
            if faces.iter().any(|known| known.holds(&face) || known.contains(&face.base)) {
                continue;
            }
            let mut shape = shape(&mut lower, &face, problem.m());
            // The face of a smoothed follower is none of its own.
            shape.certain &= self.smoothing().mu() == 0.0 || shape.dimension == 0;
            // Where f is not quadratic the face is a guess: its middle direction shows whether f stays as low.
            shape.certain &= shape.dimension == 0 || flat(&mut lower, &face, minimiser.plain);
            shapes.push(shape);
            faces.push(face);
        }
        let mut y = minimisers.first().map_or_else(Vec::new, |best| best.y.clone());
        y.truncate(problem.m());
        Ok((described(&shapes, facts.follower_convex), y))
    }
}

fn described(shapes: &[Shape], convex: bool) -> Answers {
    match shapes {
        [] => Answers::Undecided,
        shapes if shapes.iter().any(|shape| !shape.certain) => Answers::Undecided,
        [Shape { dimension: 0, .. }] => Answers::Unique,
        [Shape { dimension, ends: false, .. }] => Answers::Affine { dimension: *dimension },
        [Shape { dimension, .. }] => Answers::Face { dimension: *dimension },
        shapes if !convex && shapes.iter().all(|shape| shape.dimension == 0) => {
            Answers::Isolated { count: shapes.len() }
        }
        _ => Answers::Undecided,
    }
}

/// The shape of a face; `m` of its variables are the follower's own.
fn shape(program: &mut FollowerProgram<'_>, face: &Face, m: usize) -> Shape {
    let mut constant = vec![0.0; program.frame().constraints()];
    program.constraints(&face.base, &mut constant);
    let frame = moved_frame(program.frame(), face, &constant);
    let plain = Shape { dimension: rank_of_own(&face.basis, m), ends: frame.rows.rows() > 0, certain: face.certain };
    if plain.dimension == 0 || face.dimension() > LARGEST || frame.rows.rows() == 0 && constant.is_empty() {
        return plain;
    }
    // Nonlinear constraints that are slack do not cut a piece off around the base; others may leave less than they seem to.
    let slack = |(value, (l, u)): (&f64, (&f64, &f64))| value - l > 1e-6 && u - value > 1e-6;
    let sides = program.frame().constraint_lower.iter().zip(&program.frame().constraint_upper);
    let smooth = constant.iter().zip(sides).all(slack);
    let ends = frame.rows.rows() > 0 || !constant.is_empty();
    match relative_interior(&frame) {
        Some(free) => {
            let moved = free.matmul(&face.basis).unwrap_or_else(|_| face.basis.clone());
            let dimension = rank_of_own(&moved, m);
            Shape { dimension, ends, certain: face.certain && (smooth || dimension == 0) }
        }
        None => Shape { ends, certain: false, ..plain },
    }
}

/// A basis, one a row, of the directions within {z: constraints of the frame}; `None` where that could not be decided.
fn relative_interior(frame: &Frame) -> Option<Dense> {
    let (k, rows) = (frame.variables(), &frame.rows);
    // Sides as a z <= b; variables are z, μ, then one τ for each side.
    let mut sides: Vec<(usize, f64, f64)> = Vec::new();
    for i in 0..rows.rows() {
        let ends = [(1.0, frame.row_upper[i]), (-1.0, -frame.row_lower[i])];
        sides.extend(ends.into_iter().filter(|end| end.1.is_finite()).map(|(sign, end)| (i, sign, end)));
    }
    let (count, size) = (sides.len(), k + 1 + sides.len());
    let mut triplets = Vec::new();
    for (s, &(i, sign, end)) in sides.iter().enumerate() {
        triplets.extend(rows.row(i).map(|(j, a)| (s, j, sign * a)));
        triplets.push((s, k, -end));
        triplets.push((s, k + 1 + s, 1.0));
    }
    let matrix = Csr::from_triplets(count, size, &triplets)?;
    let mut linear = vec![-1.0; size];
    linear[..=k].fill(0.0);
    let (mut lower, mut upper) = (vec![0.0; size], vec![1.0; size]);
    lower[..k].fill(f64::NEG_INFINITY);
    upper[..k].fill(f64::INFINITY);
    (lower[k], upper[k]) = (1.0, LARGEST_SCALE);
    let qp = Qp {
        hessian: QpHessian::Zero,
        linear: &linear,
        lower: &lower,
        upper: &upper,
        rows: &matrix,
        row_lower: &vec![f64::NEG_INFINITY; count],
        row_upper: &vec![0.0; count],
        balls: &[],
    };
    let found = solve_qp(&qp, &QpOptions::default()).ok().filter(|found| found.status == QpStatus::Solved)?;
    let held: Vec<usize> = (0..count).filter(|s| found.z[k + 1 + s] < 0.5).map(|s| sides[s].0).collect();
    if held.is_empty() {
        return Some(Dense::identity(k));
    }
    let dense = rows.select_rows(&held).to_dense();
    Some(Svd::new(&dense, Some(UNMOVED_Y)).ok()?.null_space())
}

/// Whether f does not rise along the directions of the face, as far as its constraints allow a step.
fn flat(program: &mut FollowerProgram<'_>, face: &Face, least: f64) -> bool {
    let allowed = super::constrained::TIE * (1.0 + least.abs());
    let frame = program.frame().clone();
    let mut y = face.base.clone();
    (0..face.dimension()).all(|k| {
        [1e-2, -1e-2].into_iter().all(|step| {
            y.copy_from_slice(&face.base);
            bilevel_linalg::vector::axpy(step, face.basis.row(k), &mut y);
            let inside = y.iter().zip(frame.lower.iter().zip(&frame.upper)).all(|(y, (l, u))| l <= y && y <= u);
            !inside || program.plain_objective(&y) - least <= allowed
        })
    })
}
