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

/// What an attempt in factors came to.
pub(super) enum Outcome {
    /// A value.
    Found(Box<Evaluation>),
    /// A kink of F stopped the descent.
    Kink,
    /// The rank is not clear, a weight vanishes, or F is not convex.
    Unclear,
}

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

/// What H is made of at one x.
struct Parts {
    answers: Arc<Answers>,
    middle: Middle,
    /// The smallest eigenvalue of M, or an estimate of it.
    lightest: f64,
    /// The rows of F above those of C, where they were needed for K.
    stacked: Option<Stacked>,
}

/// H at one x.
struct Curvature<'a> {
    answers: &'a Answers,
    middle: Middle,
    smallest: f64,
    /// About the largest eigenvalue of H.
    largest: f64,
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
        let gram = rows.row_gram(None).ok()?;
        Self::with_gram(rows, &gram)
    }

    /// With K known.
    fn with_gram(rows: Arc<Dense>, gram: &Dense) -> Option<Self> {
        let gram = factor(gram)?;
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
        let stacked = upper.and_then(|upper| Stacked::new(upper, x, self.sign, &answers.rows));
        self.best = stacked.and_then(Best::new).map(Arc::new);
        self.constant = Some(Arc::new(answers));
        Some(())
    }

    /// φ at x.
    pub fn evaluate(
        &self,
        functions: &mut Functions<'_>,
        facts: &Facts,
        (x, start): (&[f64], &[f64]),
    ) -> Result<Outcome, HyperFailure> {
        let Some(blocks) = self.lower.at(x) else { return Ok(Outcome::Unclear) };
        let Some(parts) = self.curvature(&blocks, (x, start.len())) else { return Ok(Outcome::Unclear) };
        let Parts { answers, middle, lightest, stacked } = parts;
        let smallest = lightest * smallest_eigenvalue(&answers.gram, answers.rows.rows());
        let heaviest = match &middle {
            Middle::Diagonal(weights) => weights.iter().fold(0.0, |a: f64, w| a.max(*w)),
            Middle::Factor(factor) => factor.pivots().1.powi(2),
        };
        let largest = heaviest * answers.gram.pivots().1.powi(2);
        let curvature = Curvature { answers: &answers, middle, smallest, largest };
        let mut y = start.to_vec();
        let before = project(functions, &curvature, &mut y)?;
        let own = match &self.best {
            Some(best) => Some(best.clone()),
            None => {
                let upper = self.upper.as_ref();
                let stacked = stacked.or_else(|| Stacked::new(upper?, x, self.sign, &answers.rows));
                stacked.and_then(Best::new).map(Arc::new)
            }
        };
        let mut optimum = match own {
            Some(best) => best.solve(functions, y)?,
            None if facts.upper.is_convex(self.sign) => match descend_kernel(functions, &answers, y)? {
                Some(optimum) => optimum,
                None => return Ok(Outcome::Kink),
            },
            None => return Ok(Outcome::Unclear),
        };
        // One step brings any y onto S(x), where the step to the optimum stays: what is left is rounding.
        let after = project(functions, &curvature, &mut optimum.y)?;
        let scale = before + curvature.largest * norm2(&optimum.y);
        if after > LEFT * scale {
            return Ok(Outcome::Unclear);
        }
        let found = finish(functions, &curvature, optimum, true, "null space, in factors")?;
        Ok(Outcome::Found(Box::new(found)))
    }

    /// What H is made of.
    fn curvature(&self, blocks: &[Block], (x, m): (&[f64], usize)) -> Option<Parts> {
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
            return Some(Parts { answers, middle: Middle::Factor(middle), lightest, stacked: None });
        }
        let weights: Vec<f64> = blocks.iter().flat_map(|block| block.weights.iter().copied()).collect();
        if !clear(&weights) {
            return None;
        }
        let lightest = lightest(&weights);
        let middle = Middle::Diagonal(weights);
        if let Some(answers) = &self.constant {
            return Some(Parts { answers: answers.clone(), middle, lightest, stacked: None });
        }
        let (rows, _) = dense(blocks, m)?;
        if rows.rows() > m {
            return None;
        }
        let stacked = self.upper.as_ref().and_then(|upper| Stacked::new(upper, x, self.sign, &rows));
        // Where D is a multiple of the identity the products that K needs are there already.
        let answers = match stacked.as_ref().and_then(Stacked::answers_gram) {
            Some(gram) => Answers::with_gram(rows, &gram)?,
            None => Answers::new(rows)?,
        };
        Some(Parts { answers: Arc::new(answers), middle, lightest, stacked })
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

/// Moves y onto S(x); the length of f's gradient before.
fn project(functions: &mut Functions<'_>, curvature: &Curvature<'_>, y: &mut [f64]) -> Result<f64, HyperFailure> {
    let (mut gradient, mut step) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    functions.lower_gradient(y, &mut gradient);
    let size = norm2(&gradient);
    if !size.is_finite() {
        return Err(not_a_number(functions));
    }
    curvature.pseudo_solve(&gradient, &mut step);
    axpy(-1.0, &step, y);
    Ok(size)
}

/// The rows of U above those of C, with D, Ω and R D⁻¹ Rᵀ.
struct Stacked {
    rows: Arc<Dense>,
    diagonal: Vec<f64>,
    weights: Vec<f64>,
    gram: Dense,
}

impl Stacked {
    /// `None` where sign * F has no positive diagonal part, or a negative weight.
    fn new(upper: &Squares, x: &[f64], sign: f64, answers: &Dense) -> Option<Self> {
        let m = answers.cols();
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
        let (u, mut weights) = dense(&rest, m)?;
        weights.iter_mut().for_each(|w| *w *= sign);
        let largest = diagonal.iter().fold(0.0, |a: f64, d| a.max(*d));
        let positive = diagonal.iter().all(|d| *d > SPREAD * largest) && weights.iter().all(|w| *w > 0.0);
        if !positive || largest == 0.0 {
            return None;
        }
        let mut rows = Dense::zeros(u.rows() + answers.rows(), m);
        let (above, below) = rows.data_mut().split_at_mut(u.rows() * m);
        above.copy_from_slice(u.data());
        below.copy_from_slice(answers.data());
        let gram = if is_uniform(&diagonal) {
            let mut gram = rows.row_gram(None).ok()?;
            gram.data_mut().iter_mut().for_each(|v| *v /= diagonal[0]);
            gram
        } else {
            let inverse: Vec<f64> = diagonal.iter().map(|d| 1.0 / d).collect();
            rows.row_gram(Some(&inverse)).ok()?
        };
        Some(Self { rows: Arc::new(rows), diagonal, weights, gram })
    }

    /// C Cᵀ, where D is a multiple of the identity.
    fn answers_gram(&self) -> Option<Dense> {
        let (first, count) = (self.weights.len(), self.rows.rows() - self.weights.len());
        let scale = self.diagonal[0];
        is_uniform(&self.diagonal)
            .then(|| Dense::from_fn(count, count, |i, j| scale * self.gram[(first + i, first + j)]))
    }
}

fn is_uniform(diagonal: &[f64]) -> bool {
    diagonal.iter().all(|d| *d == diagonal[0])
}

impl Best {
    fn new(stacked: Stacked) -> Option<Self> {
        let Stacked { rows, diagonal, weights, mut gram } = stacked;
        let mut size = diagonal.iter().fold(0.0, |a: f64, d| a.max(*d));
        for (i, w) in weights.iter().enumerate() {
            gram[(i, i)] += 1.0 / w;
            size += w * norm2(rows.row(i)).powi(2);
        }
        let mut factor = Cholesky::new();
        factor.factor(&gram, 0.0).ok()?;
        Some(Self { rows, diagonal, factor, size })
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

/// Any convex F; `None` where a kink stops the descent.
fn descend_kernel(
    functions: &mut Functions<'_>,
    answers: &Answers,
    mut y: Vec<f64>,
) -> Result<Option<Optimum>, HyperFailure> {
    let mut gradient = vec![0.0; y.len()];
    functions.upper_gradient(&y, &mut gradient);
    let limits = Limits { gradient: 1e-13 * (1.0 + norm2(&gradient)), iterations: 200 };
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
