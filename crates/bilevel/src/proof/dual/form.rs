//! The part of the Lagrangian that composition rules do not decide: a quadratic form, and its modulus of convexity.

use bilevel_linalg::{Cholesky, Csr, Dense, SparseLdlt};

use crate::proof::interval::Interval;

/// Most entries of the quadratic form's terms that are written out.
const MOST_ENTRIES: usize = 30_000_000;
/// Forms of more variables are kept and factored sparsely, if they have and their factors get at most so many entries.
const LARGEST_FORM: usize = 2500;
const SPARSE_ENTRIES: usize = 3_000_000;
const FACTOR_ENTRIES: usize = 30_000_000;

/// The Hessian of the quadratic part, in intervals: its diagonal alone while all products are of single variables.
pub(super) struct QuadraticForm {
    m: usize,
    diagonal: Vec<Interval>,
    /// Both triangles without what is in `diagonal`; empty while there is nothing.
    hessian: Vec<Interval>,
    /// The same where there are many variables: terms of the lower triangle.
    terms: Vec<(usize, usize, Interval)>,
    entries: usize,
    /// Whether there is a part that is not convex by itself.
    pub mixed: bool,
}

impl QuadraticForm {
    pub fn new(m: usize) -> Self {
        Self { m, diagonal: vec![Interval::ZERO; m], hessian: Vec::new(), terms: Vec::new(), entries: 0, mixed: false }
    }

    /// Adds the Hessian of `w (aᵀy) (bᵀy)`; `None` if that is too much work.
    pub fn add_product(&mut self, w: Interval, a: &[(usize, Interval)], b: &[(usize, Interval)]) -> Option<()> {
        self.entries = self.entries.saturating_add(a.len() * b.len());
        if self.entries > MOST_ENTRIES {
            return None;
        }
        if let ([(i, u)], [(j, v)]) = (a, b)
            && i == j
        {
            let term = w * *u * *v;
            self.diagonal[*i] = self.diagonal[*i] + term + term;
            return Some(());
        }
        if self.m > LARGEST_FORM {
            return self.add_terms(w, a, b);
        }
        self.hessian.resize(self.m * self.m, Interval::ZERO);
        for &(i, u) in a {
            let scaled = w * u;
            for &(j, v) in b {
                let term = scaled * v;
                let (p, q) = (i * self.m + j, j * self.m + i);
                self.hessian[p] = self.hessian[p] + term;
                self.hessian[q] = self.hessian[q] + term;
            }
        }
        Some(())
    }

    pub fn add_terms(&mut self, w: Interval, a: &[(usize, Interval)], b: &[(usize, Interval)]) -> Option<()> {
        if self.terms.len() + a.len() * b.len() > SPARSE_ENTRIES {
            return None;
        }
        for &(i, u) in a {
            let scaled = w * u;
            for &(j, v) in b {
                let term = scaled * v;
                self.terms.push((i.max(j), i.min(j), if i == j { term + term } else { term }));
            }
        }
        Some(())
    }

    /// σ with every symmetric matrix in the form minus σ I positive semidefinite.
    pub fn modulus(mut self) -> Option<f64> {
        let m = self.m;
        if !self.terms.is_empty() {
            return self.sparse_modulus();
        }
        if self.hessian.is_empty() {
            return self.diagonal_modulus();
        }
        for (i, d) in self.diagonal.iter().enumerate() {
            self.hessian[i * m + i] = self.hessian[i * m + i] + *d;
        }
        if !self.hessian.iter().all(|h| h.is_bounded()) {
            return None;
        }
        let middle = Dense::from_row_major(m, m, self.hessian.iter().map(|h| h.mid()).collect())?;
        let largest = (0..m).fold(0.0, |d: f64, i| d.max(middle[(i, i)]));
        if largest == 0.0 && !self.mixed {
            return Some(0.0);
        }
        let mut factor = Cholesky::new();
        let safety = self.safety(&middle);
        // Strongly convex if possible: that makes the bound sharpest.
        let tries = [0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8].map(|part| part * largest);
        for modulus in tries.into_iter().chain([0.0, -safety, -4.0 * safety]) {
            let shift = -(modulus + safety);
            if modulus == 0.0 && !self.mixed {
                // A sum of convex squares needs no further proof.
                return Some(0.0);
            }
            if factor.factor(&middle, shift.next_down()).is_ok() {
                return Some(modulus);
            }
        }
        None
    }

    /// The same for a sparse form, by factorisations L D Lᵀ without pivoting: with D positive the error bound is that of
    /// Cholesky's, for |L| D |Lᵀ| has entries of at most the same size.
    fn sparse_modulus(mut self) -> Option<f64> {
        let m = self.m;
        self.terms.extend(self.diagonal.iter().enumerate().map(|(i, d)| (i, i, *d)));
        self.terms.sort_by_key(|&(i, j, _)| (i, j));
        let mut sums: Vec<(usize, usize, Interval)> = Vec::new();
        for &(i, j, term) in &self.terms {
            match sums.last_mut() {
                Some(last) if (last.0, last.1) == (i, j) => last.2 = last.2 + term,
                _ => sums.push((i, j, term)),
            }
        }
        if !sums.iter().all(|(.., h)| h.is_bounded()) {
            return None;
        }
        let (mut radii, mut trace, mut largest) = (vec![0.0; m], 0.0, 0.0f64);
        for &(i, j, h) in &sums {
            radii[i] += h.width();
            if i == j {
                trace += h.mid().abs();
                largest = largest.max(h.mid());
            } else {
                radii[j] += h.width();
            }
        }
        if largest == 0.0 && !self.mixed {
            return Some(0.0);
        }
        let safety = 2.0 * safety(m, radii.into_iter().fold(0.0, f64::max), trace);
        let triplets: Vec<_> = sums.iter().map(|&(i, j, h)| (i, j, h.mid())).collect();
        let middle = Csr::from_triplets(m, m, &triplets)?;
        let mut factor = SparseLdlt::new(&middle).ok().filter(|factor| factor.stored() <= FACTOR_ENTRIES)?;
        let mut shifted = middle.clone();
        let ends: Vec<usize> = middle.starts()[1..].iter().map(|end| end - 1).collect();
        for modulus in [0.1, 1e-2, 1e-4, 1e-6].map(|part| part * largest).into_iter().chain([0.0, -safety]) {
            if modulus == 0.0 && !self.mixed {
                return Some(0.0);
            }
            let shift = (modulus + safety).next_up();
            ends.iter().for_each(|&k| shifted.values_mut()[k] = (middle.values()[k] - shift).next_down());
            if factor.factor(&shifted).is_ok_and(|inertia| inertia.positive == m) {
                return Some(modulus);
            }
        }
        None
    }

    /// The same where the form is diagonal: its least entry. Slightly negative by rounding is still a bound; more than
    /// that is a form that is not convex, of which duality does not speak.
    fn diagonal_modulus(&self) -> Option<f64> {
        if self.m == 0 {
            return Some(0.0);
        }
        let least = self.diagonal.iter().fold(f64::INFINITY, |a: f64, d| a.min(d.lo()));
        let trace: f64 = self.diagonal.iter().map(|d| d.mag()).sum();
        let convex = if self.mixed { least } else { least.max(0.0) };
        let rounding = 4.0 * (self.m as f64 + 4.0) * f64::EPSILON * trace;
        (self.diagonal.iter().all(|d| d.is_bounded()) && convex >= -rounding).then_some(convex)
    }

    /// What the smallest eigenvalue may lose to the intervals' widths and to the rounding errors of a Cholesky
    /// factorisation of the shifted middle that runs to its end: at most (n + 2) u / (1 - 2 (n + 2) u) times the trace,
    /// the widths' row sums and one rounding of each diagonal entry. Doubled, so that its own rounding does not matter.
    fn safety(&self, middle: &Dense) -> f64 {
        let m = self.m;
        let (mut radius, mut trace) = (0.0_f64, 0.0_f64);
        for i in 0..m {
            let row = &self.hessian[i * m..(i + 1) * m];
            radius = radius.max(row.iter().map(|h| h.width()).sum());
            trace += middle[(i, i)].abs();
        }
        safety(m, radius, trace)
    }
}

/// The safety of m variables with these widths' row sums and trace.
fn safety(m: usize, radius: f64, trace: f64) -> f64 {
    let unit = f64::EPSILON;
    2.0 * (radius + (m as f64 + 4.0) * unit * trace * 1.01 + 2.0 * unit * trace) + 1e-290
}
