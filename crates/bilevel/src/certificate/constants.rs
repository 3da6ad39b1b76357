//! The constants of [Chen, Li & So 2025, Theorem 1] on a bounded region (Remark 1).
//!
//! ```text
//! L_f  ∇f is L_f-Lipschitz in (x, y)               M_S = L_f τ
//! H_f  ∇∇_y f is H_f-Lipschitz in (x, y)           M_φ = M_F (1 + L_f τ)
//! τ    dist(y, S(x)) <= τ ‖∇_y f(x, y)‖            L_S = max{H_f τ (1 + 19 L_f² τ²), 16 L_f² τ²}
//! M_F  F is M_F-Lipschitz in (x, y)                ρ   = 2 M_F L_S + L_F (1 + √L_S)²
//! L_F  ∇F is L_F-Lipschitz in (x, y)
//! ```
//!
//! Then φ_o is ρ-weakly concave, φ_p ρ-weakly convex, both are M_φ-Lipschitz. All norms are Euclidean norms of (x, y)
//! together (the proofs use them so, also where the assumptions speak of sums of norms).
//!
//! Each constant says where it comes from. From structure: computed from coefficients that hold everywhere, up to
//! rounding. Sampled: the largest value seen, a lower estimate of the true one, and so not a proof of anything.

use bilevel_linalg::vector::{axpy, norm2};
use bilevel_linalg::{Dense, SymmetricEigen};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::segments::unit;
use crate::expr::Matrix;
use crate::expr::structure::{Block, Degree, Structure};
use crate::hyper::Spectrum;
use crate::problem::{At, Failures, Function, FunctionEvaluator, Problem};
use crate::smooth::Smoothing;

/// Where a constant comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// From coefficients that hold everywhere.
    Structure,
    /// The largest value seen: a lower estimate.
    Sampled,
}

impl Source {
    /// The source in words.
    pub fn name(self) -> &'static str {
        match self {
            Source::Structure => "from structure",
            Source::Sampled => "sampled",
        }
    }

    fn and(self, other: Source) -> Source {
        if self == Source::Structure { other } else { self }
    }
}

/// A constant with its source.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constant {
    /// Its value, possibly infinite.
    pub value: f64,
    /// Where it comes from.
    pub source: Source,
}

impl Constant {
    pub(super) fn sampled(value: f64) -> Self {
        Self { value, source: Source::Sampled }
    }

    fn structural(value: f64) -> Self {
        Self { value, source: Source::Structure }
    }
}

/// The constants of Theorem 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constants {
    /// L_f.
    pub l_f: Constant,
    /// H_f.
    pub h_f: Constant,
    /// τ.
    pub tau: Constant,
    /// M_F.
    pub m_upper: Constant,
    /// L_F.
    pub l_upper: Constant,
    /// M_S: S is M_S-Lipschitz.
    pub m_s: Constant,
    /// M_φ: both φ are M_φ-Lipschitz.
    pub m_phi: Constant,
    /// L_S: S is L_S-smooth.
    pub l_s: Constant,
    /// ρ: φ_o is ρ-weakly concave, φ_p ρ-weakly convex.
    pub rho: Constant,
}

impl Constants {
    /// The derived constants from L_f, H_f, τ, M_F, L_F.
    pub fn derive(l_f: Constant, h_f: Constant, tau: Constant, m_upper: Constant, l_upper: Constant) -> Self {
        let lower = l_f.source.and(tau.source);
        let slope = l_f.value * tau.value;
        let bend = if h_f.value == 0.0 { 0.0 } else { h_f.value * tau.value * (1.0 + 19.0 * slope * slope) };
        let l_s = Constant { value: bend.max(16.0 * slope * slope), source: lower.and(h_f.source) };
        let rho = 2.0 * m_upper.value * l_s.value + l_upper.value * (1.0 + l_s.value.sqrt()).powi(2);
        Self {
            l_f,
            h_f,
            tau,
            m_upper,
            l_upper,
            m_s: Constant { value: slope, source: lower },
            m_phi: Constant { value: m_upper.value * (1.0 + slope), source: lower.and(m_upper.source) },
            l_s,
            rho: Constant { value: rho, source: l_s.source.and(m_upper.source).and(l_upper.source) },
        }
    }
}

/// Joint Hessians up to this many variables are decomposed; larger ones are measured by power iteration.
const DENSE: usize = 400;
/// Matrices ∇∇_y f up to this many entries are compared as a whole; of larger ones, random columns.
const COMPARED: usize = 60_000;
/// Steps of power iterations.
const POWER: usize = 8;
/// Half of the distance over which gradients are compared, relative to the reach.
const STEP: f64 = 1e-3;

/// One objective's gradient in (x, y) and its second derivatives.
pub(super) struct Jet<'a> {
    evaluator: FunctionEvaluator<'a>,
    n: usize,
    m: usize,
}

impl<'a> Jet<'a> {
    pub fn new(function: &'a Function, problem: &Problem) -> Self {
        let (n, m) = (problem.n(), problem.m());
        Self { evaluator: FunctionEvaluator::new(function, n, m, &Failures::default()), n, m }
    }

    /// ∇ at z = (x, y).
    pub fn gradient(&mut self, z: &[f64]) -> Vec<f64> {
        let (x, y) = z.split_at(self.n);
        let mut out = vec![0.0; self.n + self.m];
        let (gx, gy) = out.split_at_mut(self.n);
        self.evaluator.add_gradient(At { x, y, smoothing: Smoothing::EXACT }, &[1.0], Some(gx), Some(gy));
        out
    }

    /// ‖∇(a) − ∇(b)‖ / ‖a − b‖ and the difference of gradients: a lower bound of the gradient's Lipschitz constant.
    pub fn quotient(&mut self, a: &[f64], b: &[f64]) -> (f64, Vec<f64>) {
        let mut change = self.gradient(a);
        axpy(-1.0, &self.gradient(b), &mut change);
        let step: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        (norm2(&change) / norm2(&step), change)
    }

    /// The largest quotient found around z, the direction turned towards the largest change (power iteration).
    pub fn steepest(&mut self, z: &[f64], step: f64, rng: &mut ChaCha8Rng) -> f64 {
        let mut direction = unit(z.len(), rng);
        let mut largest = 0.0_f64;
        for _ in 0..POWER {
            let place = |t: f64| -> Vec<f64> { z.iter().zip(&direction).map(|(z, d)| z + t * d).collect() };
            let (quotient, change) = self.quotient(&place(step), &place(-step));
            largest = largest.max(quotient);
            let length = norm2(&change);
            if !(length > 0.0 && length.is_finite()) {
                break;
            }
            direction = change.iter().map(|c| c / length).collect();
        }
        largest
    }

    /// ∇∇_y at z as an m x (n + m) matrix.
    fn rows_of_y(&mut self, z: &[f64]) -> Dense {
        let (x, y) = z.split_at(self.n);
        let mut out = Dense::zeros(self.m, self.n + self.m);
        self.evaluator.add_follower_hessian(At { x, y, smoothing: Smoothing::EXACT }, &[1.0], &mut out, 0, true);
        out
    }

    /// The columns of ∇∇_y at z in a direction d of y: n + m entries.
    fn column(&mut self, z: &[f64], d: &[f64]) -> Vec<f64> {
        let (x, y) = z.split_at(self.n);
        let mut out = vec![0.0; self.n + self.m];
        let (gx, gy) = out.split_at_mut(self.n);
        self.evaluator.hessian_product(At { x, y, smoothing: Smoothing::EXACT }, &[1.0], d, Some(gx), Some(gy));
        out
    }

    /// ‖∇∇_y(a) − ∇∇_y(b)‖ / ‖a − b‖, at least in some directions.
    fn bend(&mut self, a: &[f64], b: &[f64], rng: &mut ChaCha8Rng) -> f64 {
        let length = norm2(&a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>());
        if self.m * (self.n + self.m) <= COMPARED {
            let mut change = self.rows_of_y(a);
            let other = self.rows_of_y(b);
            axpy(-1.0, other.data(), change.data_mut());
            return norm(&change, rng) / length;
        }
        let mut change = Vec::new();
        for _ in 0..3 {
            let d = unit(self.m, rng);
            let mut column = self.column(a, &d);
            axpy(-1.0, &self.column(b, &d), &mut column);
            change.push(norm2(&column));
        }
        change.into_iter().fold(0.0, f64::max) / length
    }
}

/// The largest singular value, by power iteration.
fn norm(matrix: &Dense, rng: &mut ChaCha8Rng) -> f64 {
    let mut v = unit(matrix.cols(), rng);
    let mut largest = 0.0_f64;
    for _ in 0..4 * POWER {
        let (mut u, mut back) = (vec![0.0; matrix.rows()], vec![0.0; matrix.cols()]);
        matrix.mul_add(1.0, &v, &mut u);
        matrix.transpose_mul_add(1.0, &u, &mut back);
        largest = largest.max(norm2(&u));
        let length = norm2(&back);
        if !(length > 0.0 && length.is_finite()) {
            break;
        }
        v = back.iter().map(|b| b / length).collect();
    }
    largest
}

/// What structure says of an objective in (x, y).
pub(super) struct Known {
    /// The largest curvature, where it is quadratic in (x, y).
    pub curvature: Option<f64>,
    /// Whether it is affine in (x, y).
    pub affine: bool,
    /// Whether it is twice continuously differentiable.
    pub smooth: bool,
    /// The Hessian in y, where it is the same everywhere.
    pub hessian: Option<Dense>,
    /// Whether it is at most quadratic in y.
    pub quadratic: bool,
}

impl Known {
    pub fn of(function: &Function, problem: &Problem) -> Self {
        let nothing = Self { curvature: None, affine: false, smooth: false, hessian: None, quadratic: false };
        let bounds = problem.variable_bounds();
        let Some(Ok(structure)) = function.expr().map(|e| Structure::new(std::slice::from_ref(e), &bounds)) else {
            // A user's own code counts as smooth.
            return Self { smooth: function.expr().is_none(), ..nothing };
        };
        let Some(&root) = structure.roots().first() else { return nothing };
        // Gathering the coefficients of large forms costs more than all samples together.
        let small = problem.n() + problem.m() <= 2 * DENSE;
        let form = |block| if small { structure.quadratic(root, block).map(|form| form.hessian) } else { None };
        Self {
            curvature: form(Block::Both).and_then(|hessian| largest_curvature(&hessian)),
            affine: structure.degree(root, Block::Both) <= Degree::Affine,
            smooth: structure.is_smooth(root, Block::Both),
            hessian: form(Block::Follower).map(|hessian| dense(&hessian)),
            quadratic: structure.degree(root, Block::Follower) <= Degree::Quadratic,
        }
    }
}

fn dense(matrix: &Matrix) -> Dense {
    match matrix {
        Matrix::Dense(matrix) => matrix.as_ref().clone(),
        Matrix::Sparse(matrix) => matrix.to_dense(),
    }
}

/// The largest absolute eigenvalue of a symmetric matrix.
fn largest_curvature(matrix: &Matrix) -> Option<f64> {
    let matrix = dense(matrix);
    if matrix.rows() <= DENSE {
        let eigen = SymmetricEigen::new(&matrix).ok()?;
        return Some(eigen.values().iter().fold(0.0, |a, v| a.max(v.abs())));
    }
    // The Frobenius norm is never too small.
    Some(norm2(matrix.data()))
}

/// What is sampled: points (x, y) of the region, and how far around them.
pub(super) struct Sample<'s> {
    pub points: &'s [Vec<f64>],
    pub reach: f64,
}

/// The constants of a problem on a sampled region, with τ from elsewhere where structure does not give it.
pub(super) fn constants(
    problem: &Problem,
    (upper, lower): (&Known, &Known),
    sampled_tau: f64,
    sample: &Sample<'_>,
    rng: &mut ChaCha8Rng,
) -> Constants {
    let step = STEP * sample.reach;
    let mut f = Jet::new(&problem.follower().objective, problem);
    let mut leader = Jet::new(&problem.leader().objective, problem);
    let sampled = |jet: &mut Jet<'_>, rng: &mut ChaCha8Rng| {
        Constant::sampled(sample.points.iter().map(|z| jet.steepest(z, step, rng)).fold(0.0, f64::max))
    };
    let structural = |known: &Known| known.curvature.map(Constant::structural);
    let l_f = structural(lower).unwrap_or_else(|| sampled(&mut f, rng));
    let l_upper = structural(upper).unwrap_or_else(|| sampled(&mut leader, rng));
    let h_f = if lower.curvature.is_some() {
        Constant::structural(0.0)
    } else {
        Constant::sampled(sample.points.iter().map(|z| bend_around(&mut f, z, sample.reach, rng)).fold(0.0, f64::max))
    };
    let spectrum = lower.hessian.as_ref().and_then(Spectrum::new).filter(|s| s.certain && !s.negative);
    let tau = match spectrum {
        Some(spectrum) => Constant::structural(1.0 / spectrum.smallest_positive()),
        None => Constant::sampled(sampled_tau),
    };
    let slope = sample.points.iter().map(|z| norm2(&leader.gradient(z))).fold(0.0, f64::max);
    let m_upper = if upper.affine { Constant::structural(slope) } else { Constant::sampled(slope) };
    Constants::derive(l_f, h_f, tau, m_upper, l_upper)
}

/// Changes of ∇∇_y f over short and long steps from z.
fn bend_around(f: &mut Jet<'_>, z: &[f64], reach: f64, rng: &mut ChaCha8Rng) -> f64 {
    [STEP, 0.1, 1.0]
        .iter()
        .map(|relative| {
            let direction = unit(z.len(), rng);
            let length = relative * reach * rng.random_range(0.5..=1.0);
            let other: Vec<f64> = z.iter().zip(&direction).map(|(z, d)| z + length * d).collect();
            f.bend(z, &other, rng)
        })
        .fold(0.0, f64::max)
}

/// Whether the gradient of a function jumps: the segment with the largest quotient is halved again and again towards the
/// larger quotient of its halves, which then grows without end at a jump and settles at a Lipschitz constant elsewhere.
pub(super) fn gradient_jumps(jet: &mut Jet<'_>, points: &[Vec<f64>], reach: f64, rng: &mut ChaCha8Rng) -> bool {
    points.iter().any(|z| {
        let direction = unit(z.len(), rng);
        let mut a = z.clone();
        axpy(0.5 * reach, &direction, &mut a);
        let mut b = z.clone();
        axpy(-0.5 * reach, &direction, &mut b);
        let first = jet.quotient(&a, &b).0;
        let mut last = first;
        for _ in 0..HALVINGS {
            let middle: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 0.5 * (a + b)).collect();
            let (left, right) = (jet.quotient(&a, &middle).0, jet.quotient(&middle, &b).0);
            last = left.max(right);
            if left >= right {
                b = middle;
            } else {
                a = middle;
            }
        }
        last > JUMP * (first + f64::MIN_POSITIVE) && last.is_finite() && last > 1e-6
    })
}

/// Halvings of a segment, and the growth of the quotient over them that shows a jump (a jump doubles it each time).
const HALVINGS: usize = 16;
const JUMP: f64 = 1e3;
