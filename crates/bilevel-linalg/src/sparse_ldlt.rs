//! Factorisation `P A Pᵀ = L D Lᵀ` of a sparse symmetric matrix with diagonal D, the order P chosen once for a pattern.
//!
//! The order (approximate minimum degree) and the pattern of L are computed in `new`; `factor` then costs arithmetic
//! only. There is no pivoting for size: it is meant for definite matrices and for symmetric quasi-definite ones,
//! `[H Aᵀ; A -C]` with H and C positive definite, for which L D Lᵀ exists in every order (Vanderbei, "Symmetric
//! quasidefinite matrices", SIAM J. Optim. 5 (1995), 100-113). Add a small multiple of the identity to H and C, and take
//! its effect away by `solve_refined`.

use faer::dyn_stack::{MemBuffer, MemStack, StackReq};
use faer::linalg::cholesky::ldlt::factor::LdltRegularization;
use faer::sparse::linalg::cholesky::{
    LdltRef, SymbolicCholesky, SymbolicCholeskyRaw, SymmetricOrdering, factorize_symbolic_cholesky, supernodal,
};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, Par, Side};

use crate::error::{LinalgError, expect_finite, expect_size};
use crate::ldlt::Inertia;
use crate::sparse::Csr;
use crate::vector::{axpy, norm_inf};

/// A sparse factorisation for one pattern.
pub struct SparseLdlt {
    starts: Vec<usize>,
    indices: Vec<usize>,
    symbolic: SymbolicCholesky<usize>,
    values: Vec<f64>,
    memory: MemBuffer,
    inertia: Inertia,
    factored: bool,
}

impl SparseLdlt {
    /// Analyses the pattern of `a`, whose lower triangle is read (the other may be stored or not).
    ///
    /// # Errors
    /// `Shape` if `a` is not square.
    pub fn new(a: &Csr) -> Result<Self, LinalgError> {
        let n = a.rows();
        expect_size("columns of the matrix to factor", n, a.cols())?;
        // Rows of the lower triangle are columns of the upper one.
        let pattern = SymbolicSparseColMatRef::new_checked(n, n, a.starts(), None, a.indices());
        let symbolic = factorize_symbolic_cholesky(pattern, Side::Upper, SymmetricOrdering::Amd, Default::default())
            .map_err(|_| LinalgError::NoConvergence { what: "the analysis of the pattern" })?;
        let scratch = StackReq::or(
            symbolic.factorize_numeric_ldlt_scratch::<f64>(Par::Seq, Default::default()),
            symbolic.solve_in_place_scratch::<f64>(1, Par::Seq),
        );
        Ok(Self {
            starts: a.starts().to_vec(),
            indices: a.indices().to_vec(),
            values: vec![0.0; symbolic.len_val()],
            symbolic,
            memory: MemBuffer::new(scratch),
            inertia: Inertia::default(),
            factored: false,
        })
    }

    /// The order of the matrix.
    pub fn order(&self) -> usize {
        self.starts.len() - 1
    }

    /// The number of entries of L that are stored: what a solve costs.
    pub fn stored(&self) -> usize {
        self.values.len()
    }

    /// The signs of D in the last factorisation, which are those of the eigenvalues of the matrix.
    pub fn inertia(&self) -> Inertia {
        self.inertia
    }

    /// Factors `a`, which has the pattern given to `new`.
    ///
    /// # Errors
    /// `Shape` for another pattern, `NotFinite`, `Singular` if a pivot is exactly zero.
    pub fn factor(&mut self, a: &Csr) -> Result<Inertia, LinalgError> {
        self.factored = false;
        self.inertia = Inertia::default();
        expect_size("rows of the matrix to factor", self.order(), a.rows())?;
        if a.starts() != self.starts || a.indices() != self.indices {
            let (expected, found) = (self.indices.len(), a.stored());
            return Err(LinalgError::Shape { what: "pattern of the matrix to factor", expected, found });
        }
        expect_finite("the matrix to factor", a.values())?;
        let n = self.order();
        let pattern = SymbolicSparseColMatRef::new_checked(n, n, &self.starts, None, &self.indices);
        let none = LdltRegularization {
            dynamic_regularization_signs: None,
            dynamic_regularization_delta: 0.0,
            dynamic_regularization_epsilon: 0.0,
        };
        self.values.fill(0.0);
        self.symbolic
            .factorize_numeric_ldlt(
                &mut self.values,
                SparseColMatRef::new(pattern, a.values()),
                Side::Upper,
                none,
                Par::Seq,
                MemStack::new(&mut self.memory),
                Default::default(),
            )
            .map_err(|_| LinalgError::Singular)?;
        self.count()?;
        self.factored = true;
        Ok(self.inertia)
    }

    fn count(&mut self) -> Result<(), LinalgError> {
        let inertia = &mut self.inertia;
        let mut add = |d: f64| match d {
            d if !d.is_finite() => Err(LinalgError::NotFinite { what: "the factorisation" }),
            d if d > 0.0 => {
                inertia.positive += 1;
                Ok(())
            }
            d if d < 0.0 => {
                inertia.negative += 1;
                Ok(())
            }
            _ => Err(LinalgError::Singular),
        };
        match self.symbolic.raw() {
            // The first entry of a column of L is its diagonal one, where D is kept.
            SymbolicCholeskyRaw::Simplicial(s) => {
                s.col_ptr().windows(2).filter(|w| w[0] < w[1]).try_for_each(|w| add(self.values[w[0]]))
            }
            SymbolicCholeskyRaw::Supernodal(s) => {
                let factor = supernodal::SupernodalLdltRef::new(s, &self.values);
                (0..s.n_supernodes()).try_for_each(|k| {
                    let block = factor.supernode(k).val();
                    (0..block.ncols()).try_for_each(|j| add(block[(j, j)]))
                })
            }
        }
    }

    /// Replaces `b` by `A⁻¹ b`.
    ///
    /// # Errors
    /// `Shape`; `Singular` without a successful `factor` before.
    pub fn solve(&mut self, b: &mut [f64]) -> Result<(), LinalgError> {
        let n = self.order();
        expect_size("right-hand side", n, b.len())?;
        if !self.factored {
            return Err(LinalgError::Singular);
        }
        if n > 0 {
            LdltRef::new(&self.symbolic, &self.values).solve_in_place_with_conj(
                Conj::No,
                MatMut::from_column_major_slice_mut(b, n, 1),
                Par::Seq,
                MemStack::new(&mut self.memory),
            );
        }
        Ok(())
    }

    /// Replaces `b` by the solution of `a x = b` for an `a` near the matrix that was factored, with both triangles
    /// stored: up to `rounds` steps of iterative refinement. A step that does not reduce the residual is undone.
    ///
    /// # Errors
    /// As `solve`.
    pub fn solve_refined(&mut self, a: &Csr, b: &mut [f64], rounds: usize) -> Result<(), LinalgError> {
        expect_size("rows of the matrix", self.order(), a.rows())?;
        expect_size("columns of the matrix", self.order(), a.cols())?;
        let right = b.to_vec();
        self.solve(b)?;
        let mut residual = right.clone();
        a.mul_add(-1.0, b, &mut residual);
        let mut last = norm_inf(&residual);
        for _ in 0..rounds {
            if last == 0.0 {
                break;
            }
            self.solve(&mut residual)?;
            axpy(1.0, &residual, b);
            let mut next = right.clone();
            a.mul_add(-1.0, b, &mut next);
            let size = norm_inf(&next);
            if size.is_nan() || size >= last {
                axpy(-1.0, &residual, b);
                break;
            }
            (last, residual) = (size, next);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Stream, dense, sparse};
    use crate::{Dense, Ldlt};
    use proptest::prelude::*;

    /// A random quasi-definite matrix with both triangles, and its size of each sign.
    fn quasi_definite(n: usize, m: usize, seed: u64) -> Csr {
        let coupling = sparse(m, n, seed);
        let mut stream = Stream::new(seed + 5);
        let mut triplets = Vec::new();
        for i in 0..n + m {
            triplets.push((i, i, if i < n { 1.2 + stream.next() } else { -1.2 - stream.next() }));
        }
        for i in 0..m {
            for (j, v) in coupling.row(i) {
                triplets.extend([(n + i, j, v), (j, n + i, v)]);
            }
        }
        Csr::from_triplets(n + m, n + m, &triplets).unwrap()
    }

    /// The Laplacian of a grid plus the identity: large enough for supernodes.
    fn grid(side: usize) -> Csr {
        let mut triplets = Vec::new();
        for i in 0..side * side {
            triplets.push((i, i, 5.0));
            if i % side + 1 < side {
                triplets.extend([(i, i + 1, -1.0), (i + 1, i, -1.0)]);
            }
            if i + side < side * side {
                triplets.extend([(i, i + side, -1.0), (i + side, i, -1.0)]);
            }
        }
        Csr::from_triplets(side * side, side * side, &triplets).unwrap()
    }

    fn residual(a: &Csr, x: &[f64], b: &[f64]) -> f64 {
        let mut r: Vec<f64> = b.iter().map(|v| -v).collect();
        a.mul_add(1.0, x, &mut r);
        norm_inf(&r)
    }

    proptest! {
        #[test]
        fn agrees_with_the_dense_factorisation(n in 0..15usize, m in 0..10usize, seed in 0..1000u64) {
            let a = quasi_definite(n, m, seed);
            let mut factor = SparseLdlt::new(&a).unwrap();
            let inertia = factor.factor(&a).unwrap();
            prop_assert_eq!(inertia, Inertia { positive: n, negative: m, zero: 0 });
            prop_assert_eq!(Ldlt::new().factor(&a.to_dense()).unwrap(), inertia);
            let b = dense(1, n + m, seed + 1);
            let mut x = b.data().to_vec();
            factor.solve(&mut x).unwrap();
            prop_assert!(residual(&a, &x, b.data()) < 1e-12);
            // Other values, the same pattern; then refinement takes a perturbation away.
            let mut other = a.clone();
            other.values_mut().iter_mut().for_each(|v| *v *= 1.0 + 1e-7);
            factor.factor(&other).unwrap();
            let mut x = b.data().to_vec();
            factor.solve_refined(&a, &mut x, 5).unwrap();
            prop_assert!(residual(&a, &x, b.data()) < 1e-14);
        }
    }

    #[test]
    fn large_patterns_and_one_triangle() {
        let a = grid(40);
        let lower: Vec<_> =
            (0..a.rows()).flat_map(|i| a.row(i).filter(move |e| e.0 <= i).map(move |(j, v)| (i, j, v))).collect();
        let half = Csr::from_triplets(a.rows(), a.cols(), &lower).unwrap();
        let b = dense(1, a.rows(), 3);
        for matrix in [&a, &half] {
            let mut factor = SparseLdlt::new(matrix).unwrap();
            assert_eq!(factor.factor(matrix).unwrap().positive, 1600);
            assert!(factor.stored() >= half.stored());
            let mut x = b.data().to_vec();
            factor.solve(&mut x).unwrap();
            assert!(residual(&a, &x, b.data()) < 1e-14);
        }
    }

    #[test]
    fn dense_patterns_use_blocks() {
        let mut a = crate::testing::symmetric(150, 4);
        (0..150).for_each(|i| a[(i, i)] = if i % 3 == 0 { -200.0 } else { 200.0 });
        let a = Csr::from_dense(&a);
        let mut factor = SparseLdlt::new(&a).unwrap();
        assert!(matches!(factor.symbolic.raw(), SymbolicCholeskyRaw::Supernodal(_)));
        assert_eq!(factor.factor(&a).unwrap(), Inertia { positive: 100, negative: 50, zero: 0 });
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(SparseLdlt::new(&Csr::empty(1, 2)).is_err());
        let a = Csr::from_dense(&Dense::from_row_major(2, 2, vec![0.0, 1.0, 1.0, 0.0]).unwrap());
        let mut factor = SparseLdlt::new(&a).unwrap();
        assert_eq!(factor.factor(&a), Err(LinalgError::Singular));
        assert!(factor.solve(&mut [1.0, 1.0]).is_err());
        assert!(factor.factor(&Csr::identity(2)).is_err());
        let mut identity = Csr::identity(2);
        let mut factor = SparseLdlt::new(&identity).unwrap();
        identity.values_mut()[0] = f64::NAN;
        assert!(factor.factor(&identity).is_err());
        let mut factor = SparseLdlt::new(&Csr::empty(2, 2)).unwrap();
        assert!(factor.factor(&Csr::empty(2, 2)).is_err());
    }
}
