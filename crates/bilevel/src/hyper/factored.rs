//! phi of large least-squares followers: the Hessian H = Cᵀ M C of f is kept in factors, C of full row rank.
//!
//! ```text
//! C = A, M = W                      f = ½ Σ w_i (a_iᵀ y − b_i)² with independent rows, fewer than y has entries
//! C = Q, M = (A Qᵀ)ᵀ W (A Qᵀ)       any A that does not depend on x; Q an orthonormal basis of its rows, found once
//!
//! H⁺ = C⁺ M⁻¹ C⁺ᵀ,   C⁺ = Cᵀ K⁻¹,   K = C Cᵀ
//! ```
//!
//! Where F is of the same form with a positive diagonal part, Q_F = D + Uᵀ Ω U, its least value over S(x) is one
//! Cholesky factorisation: with R the rows of U above those of C, the step from y is
//!
//! ```text
//! dy = −D⁻¹ (∇F + Rᵀ t),   (R D⁻¹ Rᵀ + diag(Ω⁻¹, 0)) t = −R D⁻¹ ∇F
//! ```
//!
//! (block elimination of the system ∇F + Q_F dy + Cᵀ μ = 0, C dy = 0). Any other smooth F is descended by truncated
//! Newton steps in the kernel of C. Whatever does not depend on x is factored once.

use std::sync::Arc;

use bilevel_linalg::vector::{axpy, norm2};
use bilevel_linalg::{Cholesky, Dense};

use super::descent::{self, Limits, SmoothFunction, descend};
use super::facts::Facts;
use super::functions::{Functions, sign};
use super::null_space::{Optimum, Split, finish, not_a_number};
use super::spectrum::Spectrum;
use super::squares::{Block, Rows, Squares};
use super::{Evaluation, HyperFailure};
use crate::problem::{Attitude, Problem};

/// Followers with fewer variables are decomposed densely, which decides the rank better.
const SMALLEST: usize = 100;
/// Squared pivots of Cholesky factors, and weights, may differ by this much.
const SPREAD: f64 = 1e-9;
/// What of f's gradient may be left after a projection, relative to its terms.
const LEFT: f64 = 1e-9;

/// The formulas of f and F in factors, and what does not depend on x.
#[derive(Clone, Debug)]
pub(super) struct Factored {
    lower: Squares,
    upper: Option<Squares>,
    sign: f64,
    /// Q and A Qᵀ, where A is the same at every x and its rows depend on each other.
    range: Option<Range>,
    /// C and the Cholesky factor of K, where A is the same at every x.
    constant: Option<Arc<Answers>>,
    /// The system for the least F, where it is the same at every x.
    best: Option<Arc<Best>>,
}

#[derive(Clone, Debug)]
struct Range {
    images: Arc<Dense>,
}

/// C and the factor of K = C Cᵀ.
#[derive(Clone, Debug)]
struct Answers {
    rows: Arc<Dense>,
    gram: Cholesky,
}

/// M, by its Cholesky factor or its diagonal.
enum Middle {
    Diagonal(Vec<f64>),
    Factor(Cholesky),
}

/// H at one x.
struct Curvature<'a> {
    answers: &'a Answers,
    middle: Middle,
    smallest: f64,
}

/// The system for the least F.
#[derive(Clone, Debug)]
struct Best {
    /// U above C.
    rows: Arc<Dense>,
    diagonal: Vec<f64>,
    factor: Cholesky,
    /// A bound on ‖Q_F‖.
    size: f64,
}

/// A block's rows, dense or by entry.
fn dense(blocks: &[Block], m: usize) -> Option<(Arc<Dense>, Vec<f64>)> {
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
fn factor(matrix: &Dense) -> Option<Cholesky> {
    let mut factor = Cholesky::new();
    factor.factor(matrix, 0.0).ok()?;
    let (low, high) = factor.pivots();
    (low * low > SPREAD * high * high).then_some(factor)
}

impl Answers {
    fn new(rows: Arc<Dense>) -> Option<Self> {
        let gram = factor(&rows.row_gram(None).ok()?)?;
        Some(Self { rows, gram })
    }

    /// `out = C⁺ᵀ v`.
    fn restrict(&self, v: &[f64], out: &mut Vec<f64>) {
        out.clear();
        out.resize(self.rows.rows(), 0.0);
        self.rows.mul_add(1.0, v, out);
        // Solves cannot fail: the factor is there and the length fits.
        let _ = self.gram.solve(out);
    }

    /// `v −= C⁺ C v`: the part of v in the kernel.
    fn to_kernel(&self, v: &mut [f64]) {
        let mut image = Vec::new();
        self.restrict(v, &mut image);
        self.rows.transpose_mul_add(-1.0, &image, v);
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
}

impl Factored {
    /// The factors, where both levels have the form and the follower is large enough for them to pay.
    pub fn new(problem: &Problem, facts: &Facts, attitude: Attitude) -> Option<Self> {
        let (n, m) = (problem.n(), problem.m());
        if m < SMALLEST || !facts.free {
            return None;
        }
        let lower = Squares::new(problem.follower().objective.expr()?, n, m)?;
        let upper = problem.leader().objective.expr().and_then(|expr| Squares::new(expr, n, m));
        let mut out = Self { lower, upper, sign: sign(attitude), range: None, constant: None, best: None };
        if out.lower.constant_rows {
            out.fix_rows(&vec![0.0; n], m)?;
        }
        Some(out)
    }

    /// Computes what the rows of A decide, where they do not depend on x.
    fn fix_rows(&mut self, x: &[f64], m: usize) -> Option<()> {
        let (rows, _) = dense(&self.lower.at(x)?, m)?;
        let full = if rows.rows() <= m { Answers::new(rows.clone()) } else { None };
        let answers = match full {
            Some(answers) => answers,
            None => {
                let mut gram = Dense::zeros(m, m);
                rows.gram_add(1.0, None, &mut gram).ok()?;
                let spectrum = Spectrum::new(&gram).filter(|s| s.certain && !s.negative)?;
                let basis = Arc::new(spectrum.range_basis());
                self.range = Some(Range { images: Arc::new(rows.matmul(&basis.transpose()).ok()?) });
                Answers::new(basis)?
            }
        };
        let upper = self.upper.as_ref().filter(|upper| upper.constant_rows && upper.constant_weights);
        self.best = upper.and_then(|upper| Best::new(upper, x, self.sign, &answers)).map(Arc::new);
        self.constant = Some(Arc::new(answers));
        Some(())
    }

    /// φ at x; `None` where the rank is not clear or a weight vanishes.
    pub fn evaluate(
        &self,
        functions: &mut Functions<'_>,
        facts: &Facts,
        (x, start): (&[f64], &[f64]),
    ) -> Result<Option<Evaluation>, HyperFailure> {
        let Some(blocks) = self.lower.at(x) else { return Ok(None) };
        let Some((answers, middle, lightest)) = self.curvature(&blocks, start.len()) else { return Ok(None) };
        let smallest = lightest * smallest_eigenvalue(&answers.gram, answers.rows.rows());
        let curvature = Curvature { answers: &answers, middle, smallest };
        let mut y = start.to_vec();
        if !project(functions, &curvature, &mut y, 2)? {
            return Ok(None);
        }
        let own = match &self.best {
            Some(best) => Some(best.clone()),
            None => self.upper.as_ref().and_then(|upper| Best::new(upper, x, self.sign, &answers)).map(Arc::new),
        };
        let mut optimum = match own {
            Some(best) => best.solve(functions, y)?,
            None => match descend_kernel(functions, facts, &answers, y)? {
                Some(optimum) => optimum,
                None => return Ok(None),
            },
        };
        if !project(functions, &curvature, &mut optimum.y, 1)? {
            return Ok(None);
        }
        finish(functions, &curvature, optimum, true, "null space, in factors").map(Some)
    }

    /// C, M, and the smallest eigenvalue of M or a bound of it.
    fn curvature(&self, blocks: &[Block], m: usize) -> Option<(Arc<Answers>, Middle, f64)> {
        let heaviest = |weights: &[f64]| weights.iter().fold(0.0, |a: f64, w| a.max(*w));
        let lightest = |weights: &[f64]| weights.iter().fold(f64::INFINITY, |a: f64, w| a.min(*w));
        let clear = |weights: &[f64]| lightest(weights) > SPREAD * heaviest(weights);
        if let Some(range) = &self.range {
            let answers = self.constant.clone()?;
            let weights: Vec<f64> = blocks.iter().flat_map(|block| block.weights.iter().copied()).collect();
            if weights.iter().any(|w| w.is_nan() || *w < 0.0) {
                return None;
            }
            let mut middle = Dense::zeros(range.images.cols(), range.images.cols());
            range.images.gram_add(1.0, Some(&weights), &mut middle).ok()?;
            let middle = factor(&middle)?;
            let lightest = smallest_eigenvalue(&middle, range.images.cols());
            return Some((answers, Middle::Factor(middle), lightest));
        }
        let weights: Vec<f64> = blocks.iter().flat_map(|block| block.weights.iter().copied()).collect();
        if !clear(&weights) {
            return None;
        }
        let answers = match &self.constant {
            Some(answers) => answers.clone(),
            None => {
                let (rows, _) = dense(blocks, m)?;
                if rows.rows() > m {
                    return None;
                }
                Arc::new(Answers::new(rows)?)
            }
        };
        let light = lightest(&weights);
        Some((answers, Middle::Diagonal(weights), light))
    }
}

/// An estimate from above of the smallest eigenvalue of the matrix that was factored, by inverse iteration.
fn smallest_eigenvalue(factor: &Cholesky, n: usize) -> f64 {
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

/// Moves y onto S(x), and says whether f's gradient vanishes there.
fn project(
    functions: &mut Functions<'_>,
    curvature: &Curvature<'_>,
    y: &mut [f64],
    rounds: usize,
) -> Result<bool, HyperFailure> {
    let (mut gradient, mut step) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    let mut first = 0.0;
    for round in 0..rounds {
        functions.lower_gradient(y, &mut gradient);
        let size = norm2(&gradient);
        if !size.is_finite() {
            return Err(not_a_number(functions));
        }
        if round == 0 {
            first = size;
        } else if size > LEFT * first && size > LEFT {
            return Ok(false);
        }
        curvature.pseudo_solve(&gradient, &mut step);
        axpy(-1.0, &step, y);
    }
    Ok(true)
}

impl Best {
    fn new(upper: &Squares, x: &[f64], sign: f64, answers: &Answers) -> Option<Self> {
        let m = answers.rows.cols();
        let mut diagonal = vec![0.0; m];
        let mut rest = Vec::new();
        for block in upper.at(x)? {
            match &block.rows {
                Rows::Picks { columns, values } => {
                    for ((&j, v), w) in columns.iter().zip(values).zip(&block.weights) {
                        diagonal[j] += sign * w * v * v;
                    }
                }
                Rows::Dense(_) => rest.push(block),
            }
        }
        let (u, weights) = dense(&rest, m)?;
        let largest = diagonal.iter().fold(0.0, |a: f64, d| a.max(*d));
        let positive = diagonal.iter().all(|d| *d > SPREAD * largest) && weights.iter().all(|w| sign * w > 0.0);
        if !positive || largest == 0.0 {
            return None;
        }
        let mut rows = Dense::zeros(u.rows() + answers.rows.rows(), m);
        let (above, below) = rows.data_mut().split_at_mut(u.rows() * m);
        above.copy_from_slice(u.data());
        below.copy_from_slice(answers.rows.data());
        let inverse: Vec<f64> = diagonal.iter().map(|d| 1.0 / d).collect();
        let mut system = rows.row_gram(Some(&inverse)).ok()?;
        let mut size = largest;
        for (i, w) in weights.iter().enumerate() {
            system[(i, i)] += 1.0 / (sign * w);
            size += sign * w * norm2(u.row(i)).powi(2);
        }
        let mut factor = Cholesky::new();
        factor.factor(&system, 0.0).ok()?;
        Some(Self { rows: Arc::new(rows), diagonal, factor, size })
    }

    /// The step to the least F, and a second one for the rounding of the first.
    fn solve(&self, functions: &mut Functions<'_>, mut y: Vec<f64>) -> Result<Optimum, HyperFailure> {
        let (mut gradient, mut scaled) = (vec![0.0; y.len()], vec![0.0; y.len()]);
        let mut t = vec![0.0; self.rows.rows()];
        for _ in 0..2 {
            functions.upper_gradient(&y, &mut gradient);
            scaled.iter_mut().zip(gradient.iter().zip(&self.diagonal)).for_each(|(s, (g, d))| *s = g / d);
            t.fill(0.0);
            self.rows.mul_add(-1.0, &scaled, &mut t);
            if self.factor.solve(&mut t).is_err() || !norm2(&t).is_finite() {
                return Err(not_a_number(functions));
            }
            self.rows.transpose_mul_add(1.0, &t, &mut gradient);
            y.iter_mut().zip(gradient.iter().zip(&self.diagonal)).for_each(|(y, (g, d))| *y -= g / d);
        }
        let sigma = self.diagonal.iter().fold(f64::INFINITY, |a: f64, d| a.min(*d));
        Ok(Optimum { y, global: true, size: self.size, sigma })
    }
}

/// y ↦ sign * F with derivatives in the kernel of C.
struct InKernel<'f, 'a> {
    functions: &'f mut Functions<'a>,
    answers: &'f Answers,
}

impl SmoothFunction for InKernel<'_, '_> {
    fn value(&mut self, y: &[f64]) -> f64 {
        self.functions.upper(y)
    }

    fn gradient(&mut self, y: &[f64], out: &mut [f64]) {
        self.functions.upper_gradient(y, out);
        self.answers.to_kernel(out);
    }

    fn product(&mut self, y: &[f64], d: &[f64], out: &mut [f64]) {
        self.functions.upper_product(y, d, out);
        self.answers.to_kernel(out);
    }
}

/// Any smooth F that is known to be convex; `None` where it is not, or a kink stops the descent.
fn descend_kernel(
    functions: &mut Functions<'_>,
    facts: &Facts,
    answers: &Answers,
    mut y: Vec<f64>,
) -> Result<Option<Optimum>, HyperFailure> {
    if !facts.upper.is_convex(functions.sign()) {
        return Ok(None);
    }
    let mut gradient = vec![0.0; y.len()];
    functions.upper_gradient(&y, &mut gradient);
    let limits = Limits { gradient: 1e-13 * (1.0 + norm2(&gradient)), iterations: 500 };
    let found = descend(&mut InKernel { functions, answers }, &mut y, limits);
    match found.end {
        descent::End::Unbounded => return Err(HyperFailure::Infinite),
        descent::End::Numerical => return Err(not_a_number(functions)),
        descent::End::Converged | descent::End::Limit => {}
    }
    functions.upper_gradient(&y, &mut gradient);
    let size = norm2(&gradient);
    answers.to_kernel(&mut gradient);
    let settled = norm2(&gradient) <= 1e-6 * (1e-3 + size);
    Ok(settled.then_some(Optimum { y, global: true, size: f64::NAN, sigma: f64::NAN }))
}

#[cfg(test)]
mod tests {
    use bilevel_linalg::vector::distance_inf;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::testing::{LeastSquares, normals};
    use super::super::{Hyper, HyperObjective, HyperSettings};
    use crate::problem::Attitude;

    /// The same by eigenvalues of the dense Hessian.
    fn agrees(shape: &LeastSquares, seed: u64) {
        let problem = shape.problem(seed);
        let hyper = Hyper::new(&problem, Attitude::Optimistic, &HyperSettings::default());
        let mut twin = hyper.clone();
        twin.factored = None;
        let x: Vec<f64> = normals(shape.n, &mut ChaCha8Rng::seed_from_u64(seed + 9)).iter().map(|v| 0.3 * v).collect();
        let found = hyper.evaluate_in_full(&x, 1e-9, None).unwrap();
        assert_eq!(found.route, "null space, in factors");
        let expected = twin.evaluate_in_full(&x, 1e-9, None).unwrap();
        assert_eq!((expected.route, expected.answers), ("null space", found.answers));
        let (found, expected) = (found.point, expected.point);
        assert!((found.value - expected.value).abs() < 1e-10 * (1.0 + expected.value.abs()));
        assert!(distance_inf(&found.y, &expected.y) < 1e-8);
        assert!(distance_inf(&found.subgradient.unwrap(), &expected.subgradient.unwrap()) < 1e-8);
        assert!(found.lower.value <= expected.value && expected.value <= found.upper.value);
        let warm = hyper.evaluate(&x, 1e-9, Some(&normals(shape.m, &mut ChaCha8Rng::seed_from_u64(1)))).unwrap();
        assert!(distance_inf(&warm.y, &expected.y) < 1e-8);
    }

    #[test]
    fn few_rows_that_turn_with_x() {
        agrees(&LeastSquares { m: 110, p: 40, rank: None, validation: 30, n: 5 }, 1);
    }

    #[test]
    fn many_rows_of_low_rank() {
        agrees(&LeastSquares { m: 110, p: 150, rank: Some(35), validation: 30, n: 5 }, 2);
    }
}
