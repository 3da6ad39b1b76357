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
//!
//! ```text
//! curvature.rs   H in factors
//! best.rs        the least sum of squares on S(x)
//! kernel.rs      the least of another smooth F
//! absolute.rs    F as a sum of absolute values, and
//! homotopy.rs      its least value, with growing.rs
//! craig.rs       the least separable quadratic F for many rows, without factors
//! slice.rs       the least separable quadratic F for a follower within bounds
//! special.rs     ends and subgradients of these two
//! ```

mod absolute;
mod best;
mod craig;
mod curvature;
mod growing;
mod homotopy;
mod kernel;
mod slice;
mod special;

use std::sync::Arc;

use bilevel_linalg::Dense;

use super::affine::finish;
use super::facts::Facts;
use super::functions::{Functions, sign};
use super::spectrum::Spectrum;
use super::squares::{Block, Squares};
use super::{Evaluation, HyperFailure};
use crate::problem::{Attitude, Problem};
use absolute::Absolute;
use best::{Best, Stacked};
use curvature::{Answers, Curvature, Middle, Parts, Range, SPREAD, dense, factor, project, smallest_eigenvalue};
use kernel::descend_kernel;
use special::shortest;

/// Followers with fewer variables are decomposed densely, which decides the rank better, where F has no kinks.
const SMALLEST: usize = 100;
/// As many rows are not factored for a single evaluation.
const MANY_ROWS: usize = 600;

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
    /// F, where it is a sum of absolute values.
    absolute: Option<Absolute>,
    /// The follower's bounds, where there are any.
    bounds: Option<(Vec<f64>, Vec<f64>)>,
}

impl Factored {
    /// The factors, where both levels have the form and the follower is large enough for them to pay.
    pub fn new(problem: &Problem, facts: &Facts, attitude: Attitude) -> Option<Self> {
        let (n, m) = (problem.n(), problem.m());
        if !(facts.free || facts.bounded) {
            return None;
        }
        let formula = problem.leader().objective.expr();
        let bounds = problem.variable_bounds();
        let kinked = facts.free && !facts.upper.smooth;
        let absolute = formula.filter(|_| kinked).and_then(|expr| Absolute::new(expr, &bounds));
        if m < SMALLEST && absolute.is_none() {
            return None;
        }
        let lower = Squares::new(problem.follower().objective.expr()?, n, m)?;
        let upper = formula.and_then(|expr| Squares::new(expr, n, m));
        let ends = |ranges: &[crate::expr::structure::Range]| ranges.iter().map(|r| (r.lower(), r.upper())).unzip();
        let bounds = facts.bounded.then(|| ends(bounds.follower()));
        let sign = sign(attitude);
        let mut out = Self { lower, upper, sign, range: None, constant: None, best: None, absolute, bounds };
        if out.lower.constant_rows && !out.is_for_one_evaluation(m) {
            out.fix_rows(&vec![0.0; n], m)?;
        }
        Some(out)
    }

    /// Without a leader's variables there is one evaluation: factors of many rows would not pay.
    fn is_for_one_evaluation(&self, m: usize) -> bool {
        let lower = &self.lower;
        let many = || lower.at(&[]).and_then(|blocks| dense(&blocks, m)).is_some_and(|(r, _)| r.rows() >= MANY_ROWS);
        lower.is_free_of_leader() && self.bounds.is_none() && self.upper.is_some() && many()
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
        let free = self.bounds.is_none();
        let upper = self.upper.as_ref().filter(|upper| free && upper.constant_rows && upper.constant_weights);
        let stacked = upper.and_then(|upper| Stacked::new(upper, x, self.sign, &answers.rows));
        self.best = stacked.and_then(Best::new).map(Arc::new);
        self.constant = Some(Arc::new(answers));
        Some(())
    }

    /// φ at x, to `accuracy` where less work is done for less.
    pub fn evaluate(
        &self,
        functions: &mut Functions<'_>,
        facts: &Facts,
        (x, start): (&[f64], &[f64]),
        accuracy: f64,
    ) -> Result<Outcome, HyperFailure> {
        let Some(blocks) = self.lower.at(x) else { return Ok(Outcome::Unclear) };
        if self.constant.is_none() && x.is_empty() {
            if let Some(found) = self.without_factors(functions, &blocks, start.len(), accuracy)? {
                return Ok(Outcome::Found(Box::new(found)));
            }
            let mut fixed = self.clone();
            if self.lower.constant_rows && fixed.fix_rows(x, start.len()).is_some() && fixed.constant.is_some() {
                return fixed.evaluate(functions, facts, (x, start), accuracy);
            }
        }
        let Some(parts) = self.curvature(&blocks, (x, start.len())) else { return Ok(Outcome::Unclear) };
        let Parts { answers, middle, lightest, stacked } = parts;
        let curvature = Curvature::new(&answers, middle, lightest);
        let mut y = start.to_vec();
        let before = project(functions, &curvature, &mut y)?;
        let special = match (&self.bounds, &self.absolute) {
            (Some(bounds), _) => Some(self.in_box(functions, &curvature, (x, &mut y), bounds, accuracy)?),
            (None, Some(absolute)) => match absolute.at(x, self.sign) {
                Some(weights) => Some(shortest(functions, &curvature, &mut y, &weights, accuracy)?),
                None => return Ok(Outcome::Unclear),
            },
            (None, None) => None,
        };
        if let Some(outcome) = special {
            return Ok(outcome);
        }
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
        if !curvature.settled(before, after, &optimum.y) {
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

#[cfg(test)]
mod tests;
