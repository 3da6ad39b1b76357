//! The follower's optimality system on a set of held items, factored once and bordered where the set changes.
//!
//! ```text
//! [ Q_FF  B_RFᵀ ] [ y_F ]   [ b_F ]
//! [ B_RF  0     ] [ η_R ] = [ b_R ]      η = −λ
//! ```
//!
//! with F the variables that are not held at a bound and R the rows that are held. An exchange adds a border to the
//! system that was factored (a unit vector that fixes a variable or drops a row, or the column of a variable or row that
//! came in), and the small Schur complement of the borders is factored afresh: Gill, Murray, Saunders & Wright, "A
//! Schur-complement method for sparse quadratic programming" (1990). After many borders everything is factored again.

use bilevel_linalg::vector::{axpy, dot, norm_inf};
use bilevel_linalg::{Cholesky, Csr, Dense, Ldlt, SparseLdlt};

use super::data::{Coefficients, QuadraticFollower};

/// Borders before the system is factored again.
const BORDERS: usize = 60;
/// Steps of iterative refinement, and the residual, relative to the right side, that ends it.
const REFINEMENTS: usize = 4;
const REFINED: f64 = 1e-14;
/// Relative shift of the sparse factorisation, taken away by refinement.
const SHIFT: f64 = 1e-9;
/// What refinement may leave of a right side of size 1 for a system that is not singular.
const REGULAR: f64 = 1e-6;
/// Systems of at least this order with a definite Q are factored by blocks.
const BLOCKED: usize = 100;
/// Systems with fewer entries than this part of all are factored sparsely, beyond this order.
const SPARSE: f64 = 0.1;
const SMALL: usize = 60;
/// No place in the factored system.
const NONE: usize = usize::MAX;

enum Base {
    /// Q_FF = L Lᵀ and B Q⁻¹ Bᵀ = M Mᵀ.
    Definite {
        hessian: Cholesky,
        rows: Csr,
        schur: Cholesky,
    },
    Dense(Ldlt),
    Sparse(Box<SparseLdlt>),
}

struct Border {
    item: usize,
    /// Coefficients over the factored system.
    column: Vec<f64>,
    /// The factored system's solution for them.
    image: Vec<f64>,
    /// Whether a unit vector: something of the factored system is taken out.
    fixes: bool,
}

/// The system for the items that are held now.
pub struct Kkt<'a> {
    follower: &'a QuadraticFollower,
    held: Vec<bool>,
    base: Base,
    order: usize,
    /// Place of an item in the factored system.
    place: Vec<usize>,
    borders: Vec<Border>,
    schur: Ldlt,
}

impl<'a> Kkt<'a> {
    /// Factors the system; `None` if it is singular or not of the inertia of a strict minimiser.
    pub fn new(follower: &'a QuadraticFollower, held: Vec<bool>) -> Option<Self> {
        let m = follower.m();
        let free: Vec<usize> = (0..m).filter(|&j| !held[j]).collect();
        let rows: Vec<usize> = (0..follower.r()).filter(|&i| held[m + i]).collect();
        let mut place = vec![NONE; held.len()];
        free.iter().enumerate().for_each(|(k, &j)| place[j] = k);
        rows.iter().enumerate().for_each(|(k, &i)| place[m + i] = free.len() + k);
        if rows.len() > free.len() {
            return None;
        }
        let base = Base::new(follower, &free, &rows, &place)?;
        let order = free.len() + rows.len();
        let mut kkt = Self { follower, held, base, order, place, borders: Vec::new(), schur: Ldlt::new() };
        let sound = !matches!(kkt.base, Base::Sparse(_)) || kkt.is_regular();
        sound.then_some(kkt)
    }

    /// Whether refinement takes the shift of the sparse factorisation away, for a right side without any pattern: not if
    /// the system is singular.
    fn is_regular(&mut self) -> bool {
        let (m, r) = (self.follower.m(), self.follower.r());
        let wave = |k: usize| (1.0 + k as f64).sin();
        let (mut y, mut rows): (Vec<f64>, Vec<f64>) = ((0..m).map(wave).collect(), (m..m + r).map(wave).collect());
        y.iter_mut().enumerate().filter(|(j, _)| self.held[*j]).for_each(|(_, v)| *v = 0.0);
        rows.iter_mut().enumerate().filter(|(i, _)| !self.held[m + *i]).for_each(|(_, v)| *v = 0.0);
        let (right_y, right_rows) = (y.clone(), rows.clone());
        self.solve(&mut y, &mut rows);
        let (left_y, left_rows) = self.residual(&right_y, &right_rows, &y, &rows);
        norm_inf(&left_y).max(norm_inf(&left_rows)) <= REGULAR
    }

    /// Whether an item is held.
    pub fn is_held(&self, item: usize) -> bool {
        self.held[item]
    }

    /// Holds the item if it is free, and frees it if it is held; false, with nothing changed, if the system would be
    /// singular.
    pub fn exchange(&mut self, item: usize) -> bool {
        self.held[item] = !self.held[item];
        if let Some(k) = self.borders.iter().position(|border| border.item == item) {
            let border = self.borders.remove(k);
            if self.factor_schur() {
                return true;
            }
            self.borders.insert(k, border);
            self.held[item] = !self.held[item];
            self.factor_schur();
            return false;
        }
        if self.borders.len() >= BORDERS {
            let Some(fresh) = Self::new(self.follower, self.held.clone()) else {
                self.held[item] = !self.held[item];
                return false;
            };
            *self = fresh;
            return true;
        }
        let fixes = self.place[item] != NONE;
        let column = if fixes { self.unit(item) } else { self.column(item) };
        let mut image = column.clone();
        self.base.solve(&mut image);
        self.borders.push(Border { item, column, image, fixes });
        if self.factor_schur() {
            return true;
        }
        self.borders.pop();
        self.held[item] = !self.held[item];
        self.factor_schur();
        false
    }

    fn unit(&self, item: usize) -> Vec<f64> {
        let mut out = vec![0.0; self.order];
        out[self.place[item]] = 1.0;
        out
    }

    /// The column of a variable or row that the factored system does not have.
    fn column(&self, item: usize) -> Vec<f64> {
        let (follower, m) = (self.follower, self.follower.m());
        let mut out = vec![0.0; self.order];
        let mut put = |k: usize, v: f64| {
            if k != NONE {
                out[k] = v;
            }
        };
        match item.checked_sub(m) {
            None => {
                follower.hessian.for_row(item, |j, v| put(self.place[j], v));
                follower.columns_y.row(item).for_each(|(i, v)| put(self.place[m + i], v));
            }
            Some(i) => follower.rows_y.row(i).for_each(|(j, v)| put(self.place[j], v)),
        }
        out
    }

    /// The coefficient between two borders that are no unit vectors.
    fn between(&self, a: usize, b: usize) -> f64 {
        let m = self.follower.m();
        match (a < m, b < m) {
            (true, true) => self.follower.hessian.entry(a, b),
            (false, false) => 0.0,
            (true, false) => self.follower.columns_y.row(a).find(|e| e.0 == b - m).map_or(0.0, |e| e.1),
            (false, true) => self.between(b, a),
        }
    }

    fn factor_schur(&mut self) -> bool {
        let count = self.borders.len();
        let mut matrix = Dense::zeros(count, count);
        for a in 0..count {
            for b in 0..=a {
                let (one, other) = (&self.borders[a], &self.borders[b]);
                let direct = if one.fixes || other.fixes { 0.0 } else { self.between(one.item, other.item) };
                matrix[(a, b)] = direct - dot(&one.column, &other.image);
            }
        }
        matrix.mirror_lower();
        self.schur.factor(&matrix).is_ok_and(|inertia| inertia.zero == 0)
    }

    /// Solves for right sides `y` (at free variables) and `rows` (at held rows); writes y with zeros at held variables
    /// and η with zeros at free rows.
    pub fn solve(&mut self, y: &mut [f64], rows: &mut [f64]) {
        let m = self.follower.m();
        y.iter_mut().enumerate().filter(|(j, _)| self.held[*j]).for_each(|(_, v)| *v = 0.0);
        rows.iter_mut().enumerate().filter(|(i, _)| !self.held[m + *i]).for_each(|(_, v)| *v = 0.0);
        let (right_y, right_rows) = (y.to_vec(), rows.to_vec());
        self.solve_once(y, rows);
        let mut last = f64::INFINITY;
        let size = norm_inf(&right_y).max(norm_inf(&right_rows));
        for _ in 0..REFINEMENTS {
            let (mut left_y, mut left_rows) = self.residual(&right_y, &right_rows, y, rows);
            let now = norm_inf(&left_y).max(norm_inf(&left_rows));
            if now.is_nan() || now <= REFINED * size || now >= 0.5 * last {
                break;
            }
            last = now;
            self.solve_once(&mut left_y, &mut left_rows);
            axpy(1.0, &left_y, y);
            axpy(1.0, &left_rows, rows);
        }
    }

    fn residual(&self, right_y: &[f64], right_rows: &[f64], y: &[f64], rows: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let m = y.len();
        let (mut left_y, mut left_rows) = (right_y.to_vec(), right_rows.to_vec());
        self.follower.hessian.mul_add(-1.0, y, &mut left_y);
        self.follower.rows_y.transpose_mul_add(-1.0, rows, &mut left_y);
        self.follower.rows_y.mul_add(-1.0, y, &mut left_rows);
        (0..m).filter(|&j| self.held[j]).for_each(|j| left_y[j] = 0.0);
        (0..rows.len()).filter(|&i| !self.held[m + i]).for_each(|i| left_rows[i] = 0.0);
        (left_y, left_rows)
    }

    fn solve_once(&mut self, y: &mut [f64], rows: &mut [f64]) {
        let m = self.follower.m();
        let mut right = vec![0.0; self.order];
        let value = |item: usize, y: &[f64], rows: &[f64]| if item < m { y[item] } else { rows[item - m] };
        for (item, &k) in self.place.iter().enumerate().filter(|(_, k)| **k != NONE) {
            right[k] = value(item, y, rows);
        }
        self.base.solve(&mut right);
        let mut small: Vec<f64> = self
            .borders
            .iter()
            .map(|b| if b.fixes { 0.0 } else { value(b.item, y, rows) } - dot(&b.column, &right))
            .collect();
        // A singular complement was refused when it was made.
        if !small.is_empty() && self.schur.solve(&mut small).is_err() {
            small.fill(f64::NAN);
        }
        for (border, w) in self.borders.iter().zip(&small) {
            axpy(-w, &border.image, &mut right);
        }
        y.fill(0.0);
        rows.fill(0.0);
        let mut write = |item: usize, v: f64| if item < m { y[item] = v } else { rows[item - m] = v };
        for (item, &k) in self.place.iter().enumerate().filter(|(_, k)| **k != NONE) {
            write(item, right[k]);
        }
        for (border, &w) in self.borders.iter().zip(&small) {
            write(border.item, if border.fixes { 0.0 } else { w });
        }
    }
}

impl Base {
    fn new(follower: &QuadraticFollower, free: &[usize], rows: &[usize], place: &[usize]) -> Option<Self> {
        let order = free.len() + rows.len();
        let entries = entries(follower, free, rows, place);
        let of_q = matches!(&follower.hessian, Coefficients::Dense(_));
        if order > SMALL && !of_q && (entries.len() as f64) < SPARSE * (order * order) as f64 {
            return Self::sparse(&entries, free.len(), order);
        }
        if free.len() >= BLOCKED
            && let Some(base) = Self::definite(follower, free, rows, place)
        {
            return Some(base);
        }
        let mut matrix = Dense::zeros(order, order);
        entries.iter().for_each(|&(a, b, v)| matrix[(a, b)] = v);
        let mut factor = Ldlt::new();
        let inertia = factor.factor(&matrix).ok()?;
        (inertia.zero == 0 && inertia.negative == rows.len()).then_some(Base::Dense(factor))
    }

    fn sparse(entries: &[(usize, usize, f64)], free: usize, order: usize) -> Option<Self> {
        let size = entries.iter().fold(0.0, |a: f64, e| a.max(e.2.abs()));
        let shift = SHIFT * size.max(1e-3);
        let mut all = entries.to_vec();
        all.extend((0..order).map(|k| (k, k, if k < free { shift } else { -shift })));
        let matrix = Csr::from_triplets(order, order, &all)?;
        let mut factor = SparseLdlt::new(&matrix).ok()?;
        let inertia = factor.factor(&matrix).ok()?;
        (inertia.negative == order - free).then(|| Base::Sparse(Box::new(factor)))
    }

    /// By blocks, where Q is positive definite on the free variables and the rows are independent.
    fn definite(follower: &QuadraticFollower, free: &[usize], rows: &[usize], place: &[usize]) -> Option<Self> {
        let count = free.len();
        let mut matrix = Dense::zeros(count, count);
        for (k, &j) in free.iter().enumerate() {
            follower.hessian.for_row(j, |i, v| {
                if place[i] < count {
                    matrix[(k, place[i])] = v;
                }
            });
        }
        let mut hessian = Cholesky::new();
        hessian.factor(&matrix, 0.0).ok()?;
        let (least, largest) = hessian.pivots();
        if least < 1e-5 * largest {
            return None;
        }
        let mut triplets = Vec::new();
        let mut half = Dense::zeros(rows.len(), count);
        for (k, &i) in rows.iter().enumerate() {
            for (j, v) in follower.rows_y.row(i).filter(|&(j, _)| place[j] < count) {
                triplets.push((k, place[j], v));
                half[(k, place[j])] = v;
            }
            hessian.solve_lower(half.row_mut(k)).ok()?;
        }
        let gram = half.row_gram(None).ok()?;
        let mut schur = Cholesky::new();
        if !rows.is_empty() {
            schur.factor(&gram, 0.0).ok()?;
            let (least, largest) = schur.pivots();
            if least < 1e-6 * largest {
                return None;
            }
        }
        Some(Base::Definite { hessian, rows: Csr::from_triplets(rows.len(), count, &triplets)?, schur })
    }

    fn solve(&mut self, b: &mut [f64]) {
        let done = match self {
            Base::Dense(factor) => b.is_empty() || factor.solve(b).is_ok(),
            Base::Sparse(factor) => factor.solve(b).is_ok(),
            Base::Definite { hessian, rows, schur } => {
                let (y, eta) = b.split_at_mut(rows.cols());
                let mut first = y.to_vec();
                let mut done = hessian.solve(&mut first).is_ok();
                if !eta.is_empty() {
                    // B Q⁻¹ Bᵀ η = B Q⁻¹ b_F − b_R
                    eta.iter_mut().for_each(|v| *v = -*v);
                    rows.mul_add(1.0, &first, eta);
                    done &= schur.solve(eta).is_ok();
                    rows.transpose_mul_add(-1.0, eta, y);
                    done &= hessian.solve(y).is_ok();
                } else {
                    y.copy_from_slice(&first);
                }
                done
            }
        };
        if !done {
            b.fill(f64::NAN);
        }
    }
}

/// The entries of the system, both triangles.
fn entries(follower: &QuadraticFollower, free: &[usize], rows: &[usize], place: &[usize]) -> Vec<(usize, usize, f64)> {
    let mut out = Vec::new();
    for (k, &j) in free.iter().enumerate() {
        follower.hessian.for_row(j, |i, v| {
            if place[i] != NONE {
                out.push((k, place[i], v));
            }
        });
    }
    for (k, &i) in rows.iter().enumerate() {
        let k = free.len() + k;
        for (j, v) in follower.rows_y.row(i).filter(|&(j, _)| place[j] != NONE) {
            out.push((k, place[j], v));
            out.push((place[j], k, v));
        }
    }
    out
}
