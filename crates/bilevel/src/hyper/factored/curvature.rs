//! The Hessian H = Cᵀ M C of f in factors: its rows C with the Cholesky factor of K = C Cᵀ, and the middle M.

use std::sync::Arc;

use bilevel_linalg::vector::{axpy, norm2};
use bilevel_linalg::{Cholesky, Dense};

use super::super::HyperFailure;
use super::super::affine::Split;
use super::super::functions::Functions;
use super::super::squares::{Block, Rows};
use super::best::Stacked;

/// Squared pivots of Cholesky factors, and weights, may differ by this much.
pub(super) const SPREAD: f64 = 1e-9;
/// What of f's gradient may be left after a projection, relative to its terms.
const LEFT: f64 = 1e-9;

#[derive(Clone, Debug)]
pub(super) struct Range {
    pub images: Arc<Dense>,
}

/// C and the factor of K = C Cᵀ.
#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub rows: Arc<Dense>,
    pub gram: Cholesky,
}

/// M, by its Cholesky factor or its diagonal.
pub(super) enum Middle {
    Diagonal(Vec<f64>),
    Factor(Cholesky),
}

/// What H is made of at one x.
pub(super) struct Parts {
    pub answers: Arc<Answers>,
    pub middle: Middle,
    /// The smallest eigenvalue of M, or an estimate of it.
    pub lightest: f64,
    /// The rows of F above those of C, where they were needed for K.
    pub stacked: Option<Stacked>,
}

/// H at one x.
pub(super) struct Curvature<'a> {
    pub answers: &'a Answers,
    pub middle: Middle,
    pub smallest: f64,
    /// About the largest eigenvalue of H.
    pub largest: f64,
}

/// A block's rows, dense or by entry.
pub(super) fn dense(blocks: &[Block], m: usize) -> Option<(Arc<Dense>, Vec<f64>)> {
    if let [Block { rows: Rows::Dense(rows), weights }] = blocks {
        return Some((rows.clone(), weights.clone()));
    }
    let count: usize = blocks.iter().map(|block| block.rows.len()).sum();
    let mut out = Dense::zeros(count, m);
    let mut weights = Vec::with_capacity(count);
    for block in blocks {
        for i in 0..block.rows.len() {
            let row = out.row_mut(weights.len());
            match &block.rows {
                Rows::Dense(rows) => row.copy_from_slice(rows.row(i)),
                Rows::Picks { columns, values } => row[columns[i]] = values[i],
            }
            weights.push(block.weights[i]);
        }
    }
    Some((Arc::new(out), weights))
}

/// A Cholesky factor of a matrix that is clearly positive definite.
pub(super) fn factor(matrix: &Dense) -> Option<Cholesky> {
    let mut factor = Cholesky::new();
    factor.factor(matrix, 0.0).ok()?;
    let (low, high) = factor.pivots();
    (low * low > SPREAD * high * high).then_some(factor)
}

impl Answers {
    pub fn new(rows: Arc<Dense>) -> Option<Self> {
        let gram = rows.row_gram(None).ok()?;
        Self::with_gram(rows, &gram)
    }

    /// With K known.
    pub fn with_gram(rows: Arc<Dense>, gram: &Dense) -> Option<Self> {
        let gram = factor(gram)?;
        Some(Self { rows, gram })
    }

    /// `out = C⁺ᵀ v`.
    pub fn restrict(&self, v: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.rows.rows(), 0.0);
        self.rows.mul_add(1.0, v, out);
        // Solves cannot fail: the factor is there and the length fits.
        let _ = self.gram.solve(out);
    }

    /// `v −= C⁺ C v`: the part of v in the kernel.
    pub fn to_kernel(&self, v: &mut [f64]) {
        let mut image = Vec::new();
        self.restrict(v, &mut image);
        self.rows.transpose_mul_add(-1.0, &image, v);
    }
}

impl<'a> Curvature<'a> {
    pub fn new(answers: &'a Answers, middle: Middle, lightest: f64) -> Self {
        let smallest = lightest * smallest_eigenvalue(&answers.gram, answers.rows.rows());
        let heaviest = match &middle {
            Middle::Diagonal(weights) => weights.iter().fold(0.0, |a: f64, w| a.max(*w)),
            Middle::Factor(factor) => factor.pivots().1.powi(2),
        };
        let largest = heaviest * answers.gram.pivots().1.powi(2);
        Self { answers, middle, smallest, largest }
    }

    /// Whether what is left of f's gradient after a projection to y is rounding; `before` is its length before.
    pub fn settled(&self, before: f64, after: f64, y: &[f64]) -> bool {
        after <= LEFT * (before + self.largest * norm2(y))
    }
}

impl Split for Curvature<'_> {
    fn pseudo_solve(&self, b: &[f64], out: &mut [f64]) {
        let mut image = Vec::new();
        self.answers.restrict(b, &mut image);
        match &self.middle {
            Middle::Diagonal(weights) => image.iter_mut().zip(weights).for_each(|(v, w)| *v /= w),
            Middle::Factor(factor) => drop(factor.solve(&mut image)),
        }
        let _ = self.answers.gram.solve(&mut image);
        out.fill(0.0);
        self.answers.rows.transpose_mul_add(1.0, &image, out);
    }

    fn null_part(&self, b: &[f64]) -> f64 {
        let mut part = b.to_vec();
        self.answers.to_kernel(&mut part);
        norm2(&part)
    }

    fn smallest_positive(&self) -> f64 {
        self.smallest
    }

    fn nullity(&self) -> usize {
        self.answers.rows.cols() - self.answers.rows.rows()
    }

    fn is_certain(&self) -> bool {
        true
    }

    fn is_exact(&self) -> bool {
        false
    }
}

/// An estimate from above of the smallest eigenvalue of the matrix that was factored, by inverse iteration.
pub(super) fn smallest_eigenvalue(factor: &Cholesky, n: usize) -> f64 {
    let mut v: Vec<f64> = (0..n).map(|i| 1.0 + 0.1 * ((i * 7919) % 101) as f64 / 101.0).collect();
    let mut estimate = f64::INFINITY;
    for _ in 0..5 {
        let size = norm2(&v);
        v.iter_mut().for_each(|x| *x /= size);
        if factor.solve(&mut v).is_err() {
            return 0.0;
        }
        estimate = 1.0 / norm2(&v);
    }
    estimate
}

/// Moves y onto S(x); the length of f's gradient before.
pub(super) fn project(
    functions: &mut Functions<'_>,
    curvature: &Curvature<'_>,
    y: &mut [f64],
) -> Result<f64, HyperFailure> {
    let (mut gradient, mut step) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    functions.lower_gradient(y, &mut gradient);
    let size = norm2(&gradient);
    if !size.is_finite() {
        return Err(functions.not_a_number());
    }
    curvature.pseudo_solve(&gradient, &mut step);
    axpy(-1.0, &step, y);
    Ok(size)
}
