//! The linear system of an interior-point iteration,
//!
//! ```text
//! (P + Cᵀ W C) dz − Eᵀ dy = r,     E dz = e,     W = T/S
//! ```
//!
//! densely by two Cholesky factorisations, or sparsely as a quasi-definite system with the same pattern in every iteration,
//!
//! ```text
//! [ P + D   Eᵀ    Cᵀ   ] [  dz ]   [ r ]
//! [ E       0     0    ] [ −dy ] = [ e ]
//! [ C       0    −W⁻¹  ] [  u  ]   [ 0 ]
//! ```
//!
//! with D the weights of bounds and C the rows that are inequalities; a small shift keeps it quasi-definite, and
//! refinement takes the shift away.

use super::interior::{Point, Programme};
use super::{Qp, QpHessian};
use crate::cholesky::Cholesky;
use crate::dense::Dense;
use crate::sparse::Csr;
use crate::sparse_ldlt::SparseLdlt;
use crate::vector::axpy;

/// Added to the diagonal, relative to its largest entry: P may be semidefinite.
const SHIFT: f64 = 1e-14;
/// The shift of the sparse system, relative to 1 + the largest entry of P, and steps of refinement.
const SPARSE_SHIFT: f64 = 1e-10;
const REFINEMENTS: usize = 4;

/// The system, factored at one point after the other.
pub(super) enum Newton {
    Dense(Box<Blocks>),
    Sparse(Box<Quasidefinite>),
}

impl Newton {
    /// Factors it at a point; `None` if that fails.
    pub fn factor(&mut self, programme: &Programme<'_>, point: &Point) -> Option<()> {
        match self {
            Newton::Dense(blocks) => blocks.factor(programme, point),
            Newton::Sparse(system) => system.factor(programme, point),
        }
    }

    /// Replaces r by dz and e by dy.
    pub fn solve(&mut self, programme: &Programme<'_>, r: &mut [f64], e: &mut [f64]) -> Option<()> {
        match self {
            Newton::Dense(blocks) => blocks.solve(programme, r, e),
            Newton::Sparse(system) => system.solve(r, e),
        }
    }
}

/// H = P + Cᵀ W C = L Lᵀ and E H⁻¹ Eᵀ = M Mᵀ.
pub(super) struct Blocks {
    /// The rows of inequalities, dense.
    rows: Dense,
    hessian: Cholesky,
    /// H⁻¹ Eᵀ, row by row.
    images: Vec<Vec<f64>>,
    schur: Cholesky,
}

impl Blocks {
    pub fn new(programme: &Programme<'_>) -> Self {
        let rows = programme.qp.rows.select_rows(&programme.numbers).to_dense();
        Self { rows, hessian: Cholesky::new(), images: Vec::new(), schur: Cholesky::new() }
    }

    fn factor(&mut self, programme: &Programme<'_>, point: &Point) -> Option<()> {
        let n = point.z.len();
        let mut matrix = match programme.qp.hessian {
            QpHessian::Zero => Dense::zeros(n, n),
            QpHessian::Dense(p) => p.clone(),
            QpHessian::Sparse(p) => p.to_dense(),
        };
        let (bounds, rows) = weights(programme, point);
        bounds.iter().enumerate().for_each(|(j, w)| matrix[(j, j)] += w);
        if !rows.is_empty() {
            self.rows.gram_add(1.0, Some(&rows), &mut matrix).ok()?;
        }
        let largest = (0..n).fold(0.0, |a: f64, j| a.max(matrix[(j, j)]));
        let mut shift = SHIFT * largest.min(1e6);
        for _ in 0..4 {
            if self.hessian.factor(&matrix, shift).is_ok() {
                return self.factor_equalities(programme, n);
            }
            shift = shift.max(1e-16) * 100.0;
        }
        None
    }

    fn factor_equalities(&mut self, programme: &Programme<'_>, n: usize) -> Option<()> {
        self.images.clear();
        let count = programme.equal.len();
        if count == 0 {
            return Some(());
        }
        let mut schur = Dense::zeros(count, count);
        for (a, &(item, _)) in programme.equal.iter().enumerate() {
            let mut image = vec![0.0; n];
            programme.add_items(std::iter::once((item, 1.0)), &mut image);
            self.hessian.solve(&mut image).ok()?;
            for (b, &(other, _)) in programme.equal.iter().enumerate().take(a + 1) {
                schur[(a, b)] = programme.value(other, &image);
            }
            self.images.push(image);
        }
        let largest = (0..count).fold(0.0, |m: f64, k| m.max(schur[(k, k)]));
        self.schur.factor(&schur, SHIFT * largest).ok()
    }

    fn solve(&self, programme: &Programme<'_>, r: &mut [f64], e: &mut [f64]) -> Option<()> {
        self.hessian.solve(r).ok()?;
        if !e.is_empty() {
            // E H⁻¹ Eᵀ dy = e − E H⁻¹ r
            programme.equal.iter().zip(&mut *e).for_each(|((item, _), e)| *e -= programme.value(*item, r));
            self.schur.solve(e).ok()?;
            self.images.iter().zip(&*e).for_each(|(image, y)| axpy(*y, image, r));
        }
        Some(())
    }
}

/// The weights t/s of bounds by variable, and of the rows of inequalities in their order.
fn weights(programme: &Programme<'_>, point: &Point) -> (Vec<f64>, Vec<f64>) {
    let n = point.z.len();
    let (mut bounds, mut rows) = (vec![0.0; n], vec![0.0; programme.numbers.len()]);
    let mut place = 0;
    for (k, side) in programme.sides.iter().enumerate() {
        let weight = point.t[k] / point.s[k];
        match side.item.checked_sub(n) {
            None => bounds[side.item] += weight,
            Some(i) => {
                while programme.numbers[place] != i {
                    place += 1;
                }
                rows[place] += weight;
            }
        }
    }
    (bounds, rows)
}

/// The quasi-definite system with its factorisation.
pub(super) struct Quasidefinite {
    /// Without the shift, both triangles.
    exact: Csr,
    shifted: Csr,
    /// Places of the diagonal's entries, and what P has there.
    diagonal: Vec<usize>,
    fixed: Vec<f64>,
    shift: f64,
    factor: SparseLdlt,
    right: Vec<f64>,
}

impl Quasidefinite {
    /// Analyses the pattern; `None` if L would have more than `most` entries.
    pub fn new(programme: &Programme<'_>, most: usize) -> Option<Self> {
        let qp: &Qp<'_> = programme.qp;
        let (n, equal) = (qp.dimension(), programme.equal.len());
        let order = n + equal + programme.numbers.len();
        let mut triplets: Vec<(usize, usize, f64)> = (0..order).map(|k| (k, k, 0.0)).collect();
        let mut fixed = vec![0.0; order];
        let mut add = |i: usize, j: usize, v: f64| {
            triplets.push((i, j, v));
            if i == j {
                fixed[i] += v;
            }
        };
        match qp.hessian {
            QpHessian::Zero => {}
            QpHessian::Dense(p) => (0..n).for_each(|i| p.row(i).iter().enumerate().for_each(|(j, &v)| add(i, j, v))),
            QpHessian::Sparse(p) => (0..n).for_each(|i| p.row(i).for_each(|(j, v)| add(i, j, v))),
        }
        let size = fixed.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
        let items = programme.equal.iter().map(|e| e.0).chain(programme.numbers.iter().map(|i| n + i));
        for (k, item) in items.enumerate().map(|(k, item)| (n + k, item)) {
            match item.checked_sub(n) {
                None => triplets.extend([(k, item, 1.0), (item, k, 1.0)]),
                Some(i) => qp.rows.row(i).for_each(|(j, v)| triplets.extend([(k, j, v), (j, k, v)])),
            }
        }
        let exact = Csr::from_triplets(order, order, &triplets)?;
        let (starts, indices) = (exact.starts(), exact.indices());
        let place = |k: usize| indices[starts[k]..starts[k + 1]].binary_search(&k).ok().map(|p| starts[k] + p);
        let diagonal = (0..order).map(place).collect::<Option<Vec<usize>>>()?;
        let factor = SparseLdlt::new(&exact).ok().filter(|factor| factor.stored() <= most)?;
        let (shifted, right) = (exact.clone(), vec![0.0; order]);
        Some(Self { exact, shifted, diagonal, fixed, shift: SPARSE_SHIFT * size, factor, right })
    }

    fn factor(&mut self, programme: &Programme<'_>, point: &Point) -> Option<()> {
        let (bounds, rows) = weights(programme, point);
        let (n, equal) = (bounds.len(), programme.equal.len());
        for (k, &place) in self.diagonal.iter().enumerate() {
            let (value, sign) = match k.checked_sub(n) {
                None => (self.fixed[k] + bounds[k], 1.0),
                Some(k) if k < equal => (0.0, -1.0),
                Some(k) => (-1.0 / rows[k - equal], -1.0),
            };
            self.exact.values_mut()[place] = value;
            self.shifted.values_mut()[place] = value + sign * self.shift;
        }
        let inertia = self.factor.factor(&self.shifted).ok()?;
        (inertia.positive == n).then_some(())
    }

    fn solve(&mut self, r: &mut [f64], e: &mut [f64]) -> Option<()> {
        let n = r.len();
        self.right.fill(0.0);
        self.right[..n].copy_from_slice(r);
        self.right[n..n + e.len()].copy_from_slice(e);
        self.factor.solve_refined(&self.exact, &mut self.right, REFINEMENTS).ok()?;
        r.copy_from_slice(&self.right[..n]);
        e.iter_mut().zip(&self.right[n..]).for_each(|(e, v)| *e = -v);
        crate::vector::all_finite(&self.right).then_some(())
    }
}
