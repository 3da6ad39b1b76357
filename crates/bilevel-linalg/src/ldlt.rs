//! Factorisation `P A Pᵀ = L D Lᵀ` of a dense symmetric, possibly indefinite matrix, with its inertia.
//!
//! D has blocks of order one and two, chosen by the bounded Bunch-Kaufman ("rook") rule: Ashcraft, Grimes and Lewis,
//! "Accurate symmetric indefinite linear equation solvers", SIAM J. Matrix Anal. Appl. 20 (1998), 513-561, section 2.
//! Unlike with partial pivoting, the entries of L are bounded (by 2.78), so that a pivot that should be zero is not
//! blurred by a large multiplier. By Sylvester's law D has as many positive, negative and zero eigenvalues as A; a
//! block of order two chosen by this rule always has one of each sign.
//!
//! Column k of L is kept as a contiguous row, so that each elimination step is a sequence of vector updates.

use crate::dense::Dense;
use crate::error::{LinalgError, expect_finite, expect_size};
use crate::vector::{axpy, dot};

/// Numbers of positive, negative and zero eigenvalues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inertia {
    /// Number of positive eigenvalues.
    pub positive: usize,
    /// Number of negative eigenvalues.
    pub negative: usize,
    /// Number of eigenvalues that are zero, or lost in rounding errors.
    pub zero: usize,
}

/// A factorisation with storage that later ones reuse.
#[derive(Clone, Debug, Default)]
pub struct Ldlt {
    n: usize,
    /// Row k, right of the diagonal, is column k of L below the diagonal.
    factor: Vec<f64>,
    /// The diagonal of D.
    diagonal: Vec<f64>,
    /// `off[k]` is `D[k+1][k]`: not zero where a block of order two starts.
    off: Vec<f64>,
    /// `swaps[k]`: the row exchanged with row k.
    swaps: Vec<usize>,
    /// Sum of absolute contributions subtracted from each diagonal entry: the scale of its rounding error.
    eliminated: Vec<f64>,
    inertia: Inertia,
    factored: bool,
}

/// The row that comes to place k, and for a block of order two the one that comes to place k + 1.
struct Pivot {
    first: usize,
    second: Option<usize>,
}

impl Ldlt {
    /// An empty factorisation; `factor` fills it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The order of the matrix last given to `factor`.
    pub fn order(&self) -> usize {
        self.n
    }

    /// The inertia of the matrix last factored.
    ///
    /// A pivot counts as zero where it is exactly zero, or not above `16 n` rounding errors of the terms that were
    /// subtracted to form it. This sees the usual rank deficiency; it is no proof: the sign of an eigenvalue that is
    /// smaller than the rounding errors of the whole elimination may be wrong. A pivot is not compared with the other
    /// pivots: a matrix with entries of very different sizes, as an interior-point method makes, is not called
    /// singular for that.
    pub fn inertia(&self) -> Inertia {
        self.inertia
    }

    /// Factors `a`, reading its lower triangle. Allocates only where the storage is too small.
    ///
    /// A singular matrix is factored too: the inertia says so, and `solve` refuses.
    ///
    /// # Errors
    /// `Shape` if `a` is not square, `NotFinite` if an entry is NaN or infinite or the elimination overflows.
    pub fn factor(&mut self, a: &Dense) -> Result<Inertia, LinalgError> {
        self.load(a)?;
        let n = self.n;
        let mut k = 0;
        while k < n {
            let pivot = self.choose(k);
            self.exchange(k, pivot.first);
            if let Some(second) = pivot.second {
                // The row that was at place k is where the first one came from.
                self.exchange(k + 1, if second == k { pivot.first } else { second });
                self.eliminate_two(k);
                k += 2;
            } else {
                self.eliminate_one(k);
                k += 1;
            }
        }
        expect_finite("the factorisation", &self.diagonal)?;
        expect_finite("the factorisation", &self.off)?;
        self.count();
        self.factored = true;
        Ok(self.inertia)
    }

    fn load(&mut self, a: &Dense) -> Result<(), LinalgError> {
        self.factored = false;
        self.inertia = Inertia::default();
        expect_size("columns of the matrix to factor", a.rows(), a.cols())?;
        let n = a.rows();
        self.n = n;
        self.factor.resize(n * n, 0.0);
        for i in 0..n {
            let row = a.row(i);
            expect_finite("the matrix to factor", &row[..=i])?;
            for (j, &value) in row[..=i].iter().enumerate() {
                self.factor[j * n + i] = value;
            }
        }
        for v in [&mut self.diagonal, &mut self.off, &mut self.eliminated] {
            v.clear();
            v.resize(n, 0.0);
        }
        self.swaps.clear();
        self.swaps.extend(0..n);
        Ok(())
    }

    /// Rook search: follow the largest entries from column to column until a diagonal entry is large enough, or one
    /// entry is the largest of both its columns. The threshold (1 + √17)/8 bounds the growth of the entries. The
    /// largest entry increases from turn to turn, hence the search ends.
    fn choose(&self, k: usize) -> Pivot {
        let alpha = (1.0 + 17f64.sqrt()) / 8.0;
        let n = self.n;
        let (mut p, mut largest, mut r) = (k, 0.0, k);
        for turn in 0..n {
            let (at, size) = self.largest_beside(k, r);
            if self.factor[r * n + r].abs() >= alpha * size {
                return Pivot { first: r, second: None };
            }
            if turn > 0 && size <= largest {
                return Pivot { first: p, second: Some(r) };
            }
            (p, largest, r) = (r, size, at);
        }
        Pivot { first: k, second: None }
    }

    /// The largest entry beside the diagonal in row r of the matrix that is left at step k: its column and size.
    fn largest_beside(&self, k: usize, r: usize) -> (usize, f64) {
        let n = self.n;
        let row = &self.factor[r * n + r + 1..(r + 1) * n];
        let mut size = row.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let mut at = r + 1 + row.iter().position(|x| x.abs() == size).unwrap_or(0);
        for j in k..r {
            let entry = self.factor[j * n + r].abs();
            if entry > size {
                (at, size) = (j, entry);
            }
        }
        (at, size)
    }

    /// Exchanges rows and columns p <= q of the matrix that is left, and rows p and q of L.
    fn exchange(&mut self, p: usize, q: usize) {
        self.swaps[p] = q;
        if p == q {
            return;
        }
        let n = self.n;
        let w = &mut self.factor;
        for j in 0..p {
            w.swap(j * n + p, j * n + q);
        }
        w.swap(p * n + p, q * n + q);
        for i in p + 1..q {
            w.swap(p * n + i, i * n + q);
        }
        let (upper, lower) = w.split_at_mut(q * n);
        upper[p * n + q + 1..(p + 1) * n].swap_with_slice(&mut lower[q + 1..n]);
        self.eliminated.swap(p, q);
    }

    fn eliminate_one(&mut self, k: usize) {
        let n = self.n;
        let (done, rest) = self.factor.split_at_mut((k + 1) * n);
        let column = &mut done[k * n..];
        let d = column[k];
        self.diagonal[k] = d;
        if d == 0.0 {
            // The rule takes a zero pivot only where its whole column is zero.
            return;
        }
        for (j, row) in (k + 1..n).zip(rest.chunks_exact_mut(n)) {
            let l = column[j] / d;
            if l != 0.0 {
                axpy(-l, &column[j..], &mut row[j..]);
                self.eliminated[j] += (l * column[j]).abs();
            }
            column[j] = l;
        }
    }

    fn eliminate_two(&mut self, k: usize) {
        let n = self.n;
        let (done, rest) = self.factor.split_at_mut((k + 2) * n);
        let (first, second) = done[k * n..].split_at_mut(n);
        let (d1, off, d2) = (first[k], first[k + 1], second[k + 1]);
        (self.diagonal[k], self.diagonal[k + 1], self.off[k]) = (d1, d2, off);
        first[k + 1] = 0.0;
        // Scaled by the entry beside the diagonal, which is the largest: no overflow.
        let (a, b) = (d2 / off, d1 / off);
        let t = 1.0 / (a * b - 1.0) / off;
        for (j, row) in (k + 2..n).zip(rest.chunks_exact_mut(n)) {
            let l1 = t * (a * first[j] - second[j]);
            let l2 = t * (b * second[j] - first[j]);
            if l1 != 0.0 || l2 != 0.0 {
                for ((r, x), y) in row[j..].iter_mut().zip(&first[j..]).zip(&second[j..]) {
                    *r -= l1 * x + l2 * y;
                }
                self.eliminated[j] += (l1 * first[j]).abs() + (l2 * second[j]).abs();
            }
            (first[j], second[j]) = (l1, l2);
        }
    }

    fn count(&mut self) {
        let unit = 16.0 * f64::EPSILON * self.n.max(1) as f64;
        let mut k = 0;
        while k < self.n {
            if self.off[k] != 0.0 {
                let noise = unit * (self.eliminated[k] * self.eliminated[k + 1]).sqrt();
                if self.off[k].abs() > noise {
                    self.inertia.positive += 1;
                    self.inertia.negative += 1;
                } else {
                    self.inertia.zero += 2;
                }
                k += 2;
                continue;
            }
            let d = self.diagonal[k];
            if d.abs() <= unit * self.eliminated[k] {
                self.inertia.zero += 1;
            } else if d > 0.0 {
                self.inertia.positive += 1;
            } else {
                self.inertia.negative += 1;
            }
            k += 1;
        }
    }

    /// Replaces `b` by `A⁻¹ b`.
    ///
    /// # Errors
    /// `Singular` if the inertia has zeros or nothing was factored, `Shape` if `b` has the wrong length.
    pub fn solve(&self, b: &mut [f64]) -> Result<(), LinalgError> {
        expect_size("right-hand side", self.n, b.len())?;
        if !self.factored || self.inertia.zero > 0 {
            return Err(LinalgError::Singular);
        }
        let n = self.n;
        for (k, &r) in self.swaps.iter().enumerate() {
            b.swap(k, r);
        }
        for k in 0..n {
            let bk = b[k];
            if bk != 0.0 {
                axpy(-bk, &self.factor[k * n + k + 1..(k + 1) * n], &mut b[k + 1..]);
            }
        }
        self.solve_blocks(b);
        for k in (0..n).rev() {
            b[k] -= dot(&self.factor[k * n + k + 1..(k + 1) * n], &b[k + 1..]);
        }
        for (k, &r) in self.swaps.iter().enumerate().rev() {
            b.swap(k, r);
        }
        Ok(())
    }

    fn solve_blocks(&self, b: &mut [f64]) {
        let mut k = 0;
        while k < self.n {
            let off = self.off[k];
            if off == 0.0 {
                b[k] /= self.diagonal[k];
                k += 1;
            } else {
                let (p, q) = (self.diagonal[k + 1] / off, self.diagonal[k] / off);
                let (x, y) = (b[k] / off, b[k + 1] / off);
                let t = 1.0 / (p * q - 1.0);
                b[k] = t * (p * x - y);
                b[k + 1] = t * (q * y - x);
                k += 2;
            }
        }
    }

    /// Replaces `b` by `A⁻¹ b`, with `rounds` steps of iterative refinement against `a`, the matrix that was factored.
    /// `work` must have twice the length of `b`. A step that does not reduce the residual is undone.
    ///
    /// # Errors
    /// As `solve`; `Shape` if `work` is too short.
    pub fn solve_refined(&self, a: &Dense, b: &mut [f64], rounds: usize, work: &mut [f64]) -> Result<(), LinalgError> {
        expect_size("order of the matrix", self.n, a.rows())?;
        if work.len() < 2 * b.len() {
            return Err(LinalgError::Shape { what: "work space", expected: 2 * b.len(), found: work.len() });
        }
        let (right, rest) = work.split_at_mut(b.len());
        let step = &mut rest[..b.len()];
        right.copy_from_slice(b);
        self.solve(b)?;
        let mut last = residual_size(a, b, right);
        for _ in 0..rounds {
            if last == 0.0 {
                break;
            }
            step.copy_from_slice(right);
            a.mul_add(-1.0, b, step);
            self.solve(step)?;
            axpy(1.0, step, b);
            let size = residual_size(a, b, right);
            if size.is_nan() || size >= last {
                axpy(-1.0, step, b);
                break;
            }
            last = size;
        }
        Ok(())
    }
}

/// `‖b - A x‖_inf`.
fn residual_size(a: &Dense, x: &[f64], b: &[f64]) -> f64 {
    b.iter().enumerate().fold(0.0, |size: f64, (i, r)| size.max((r - dot(a.row(i), x)).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Stream, dense, of_rank, residual, symmetric};
    use crate::vector::norm_inf;
    use proptest::prelude::*;

    /// A congruence of a diagonal matrix: its inertia is known.
    fn with_inertia(positive: usize, negative: usize, zero: usize, seed: u64) -> Dense {
        let n = positive + negative + zero;
        let mut stream = Stream::new(seed);
        let signs: Vec<f64> = (0..n)
            .map(|i| if i < positive { 1.0 } else if i < positive + negative { -1.0 } else { 0.0 } * (1.5 + stream.next()))
            .collect();
        // Unit upper triangular times a permutation of the columns: well conditioned, invertible.
        let shift = stream.below(n.max(1));
        let factor = Dense::from_fn(n, n, |i, j| {
            let j = (j + shift) % n;
            if i == j {
                1.0
            } else if j > i {
                0.5 * stream.next()
            } else {
                0.0
            }
        });
        let mut a = Dense::zeros(n, n);
        factor.gram_add(1.0, Some(&signs), &mut a).unwrap();
        a
    }

    proptest! {
        #[test]
        fn solves(n in 0..40usize, seed in 0..1000u64) {
            let a = symmetric(n, seed);
            let b = dense(1, n, seed + 1);
            let mut factor = Ldlt::new();
            factor.factor(&symmetric(7, seed)).unwrap();
            let inertia = factor.factor(&a).unwrap();
            prop_assert_eq!(inertia.positive + inertia.negative + inertia.zero, n);
            if inertia.zero == 0 {
                let mut x = b.data().to_vec();
                factor.solve(&mut x).unwrap();
                prop_assert!(residual(&a, &x, b.data()) <= 1e-14 * (1.0 + norm_inf(&x)) * (n as f64 + 1.0).powi(2));
                let mut y = b.data().to_vec();
                factor.solve_refined(&a, &mut y, 2, &mut vec![0.0; 2 * n]).unwrap();
                prop_assert!(residual(&a, &y, b.data()) <= residual(&a, &x, b.data()));
            }
        }

        #[test]
        fn counts_signs(p in 0..12usize, m in 0..12usize, z in 0..4usize, seed in 0..1000u64) {
            let a = with_inertia(p, m, z, seed);
            let mut factor = Ldlt::new();
            let inertia = factor.factor(&a).unwrap();
                prop_assert_eq!(inertia, Inertia { positive: p, negative: m, zero: z });
            prop_assert_eq!(factor.solve(&mut vec![1.0; p + m + z]).is_err(), z > 0);
        }

        #[test]
        fn saddle_points_have_their_inertia(n in 1..15usize, m in 0..8usize, seed in 0..1000u64) {
            // [D Jᵀ; J 0] with D positive over twelve decades and J of full rank: n positive, m negative.
            let m = m.min(n);
            let mut stream = Stream::new(seed);
            let jacobian = dense(m, n, seed + 3);
            let weights: Vec<f64> = (0..n).map(|_| 10f64.powf(6.0 * stream.next())).collect();
            let inverse: Vec<f64> = weights.iter().map(|d| 1.0 / d).collect();
            let mut schur = Dense::zeros(m, m);
            jacobian.transpose().gram_add(1.0, Some(&inverse), &mut schur).unwrap();
            let eigen = crate::SymmetricEigen::new(&schur).unwrap();
            prop_assume!(m == 0 || eigen.values()[0] > 1e-11 * eigen.values()[m - 1]);
            let mut a = Dense::zeros(n + m, n + m);
            for i in 0..n {
                a[(i, i)] = weights[i];
                for j in 0..m {
                    a[(n + j, i)] = jacobian[(j, i)];
                }
            }
            let inertia = Ldlt::new().factor(&a).unwrap();
            prop_assert_eq!(inertia, Inertia { positive: n, negative: m, zero: 0 });
        }
    }

    #[test]
    fn singular_matrices_are_seen() {
        let a = of_rank(6, 3, 3, 5);
        let mut gram = Dense::zeros(6, 6);
        a.transpose().gram_add(1.0, None, &mut gram).unwrap();
        assert_eq!(Ldlt::new().factor(&gram).unwrap(), Inertia { positive: 3, negative: 0, zero: 3 });
        assert_eq!(Ldlt::new().factor(&Dense::zeros(3, 3)).unwrap().zero, 3);
        assert_eq!(Ldlt::new().factor(&Dense::zeros(0, 0)).unwrap(), Inertia::default());
    }

    #[test]
    fn bad_input_is_refused() {
        let mut factor = Ldlt::new();
        assert!(factor.factor(&Dense::from_diagonal(&[1.0, f64::NAN])).is_err());
        assert!(factor.factor(&Dense::zeros(1, 2)).is_err());
        assert!(factor.factor(&Dense::identity(2)).is_ok());
        assert!(factor.solve(&mut [1.0]).is_err());
        assert!(factor.solve_refined(&Dense::identity(2), &mut [1.0, 1.0], 1, &mut [0.0]).is_err());
        // [0 1e200; 1e200 0] next to small entries: no overflow on the way.
        let a = Dense::from_row_major(2, 2, vec![1e-200, 1e200, 1e200, 0.0]).unwrap();
        assert_eq!(factor.factor(&a).unwrap(), Inertia { positive: 1, negative: 1, zero: 0 });
        let mut b = [1e200, 0.0];
        factor.solve(&mut b).unwrap();
        assert_eq!(b, [0.0, 1.0]);
    }
}
