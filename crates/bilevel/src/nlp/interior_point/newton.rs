//! The Newton system of the perturbed optimality conditions, condensed to (z, y).
//!
//! ```text
//! [ W + Σ_z + δ_w    Jᵀ     ] [dz]     [ ∇φ_z + Jᵀy                     ]
//! [ J            −D − δ_c   ] [dy] = − [ c_i − Σ_k sign_k t_k / Σ_k     ],  t_k = ∇φ_k + sign_k y_i,  D_i = Σ_k 1/Σ_k
//! ```
//!
//! Σ = zl/(x − lower) + zu/(upper − x). The auxiliaries are eliminated exactly. δ_w makes the inertia (d, m, 0), so
//! that the step descends; δ_c stands in for the missing rank of J. Source: Wächter & Biegler (2006), section 3.1.

use super::form::Form;
use bilevel_linalg::{Dense, Inertia, Ldlt};

/// First δ_w when there was none before.
const FIRST_SHIFT: f64 = 1e-4;
/// δ_w beyond which the matrix is given up.
const LARGEST_SHIFT: f64 = 1e40;
/// Rounds of iterative refinement.
const REFINEMENT: usize = 2;

/// The system and its factorisation.
pub(super) struct Newton {
    d: usize,
    matrix: Dense,
    scale: Vec<f64>,
    ldlt: Ldlt,
    rhs: Vec<f64>,
    work: Vec<f64>,
    /// The δ_w of the last correction, 0 before the first.
    last_shift: f64,
    shift: f64,
    /// Whether the last matrix had directions of negative curvature before its correction.
    pub indefinite: bool,
}

impl Newton {
    pub fn new(form: &Form) -> Self {
        let order = form.d + form.m;
        Self {
            d: form.d,
            matrix: Dense::zeros(order, order),
            scale: vec![1.0; order],
            ldlt: Ldlt::new(),
            rhs: vec![0.0; order],
            work: vec![0.0; 2 * order],
            last_shift: 0.0,
            shift: 0.0,
            indefinite: false,
        }
    }

    /// Assembles and factors with the smallest tried δ_w that gives the right inertia. False if none does, or the
    /// data are not finite.
    pub fn factor(&mut self, form: &Form, w: &Dense, jacobian: &Dense, sigma: &[f64], mu: f64) -> bool {
        let wanted = Inertia { positive: form.d, negative: form.m, zero: 0 };
        self.shift = 0.0;
        let mut dual_shift = 0.0;
        self.indefinite = false;
        loop {
            self.assemble(form, w, jacobian, sigma, dual_shift);
            let Ok(inertia) = self.ldlt.factor(&self.matrix) else { return false };
            if inertia == wanted {
                break;
            }
            self.indefinite |= self.shift == 0.0 && inertia.negative > form.m;
            if dual_shift == 0.0 && form.m > 0 && inertia.positive >= form.d {
                // Rows that depend on each other, not a lack of convexity.
                dual_shift = 1e-8 * mu.powf(0.25);
                continue;
            }
            self.shift = match (self.shift, self.last_shift) {
                (0.0, 0.0) => FIRST_SHIFT,
                (0.0, last) => (last / 3.0).max(1e-20),
                (shift, 0.0) => 100.0 * shift,
                (shift, _) => 8.0 * shift,
            };
            if self.shift > LARGEST_SHIFT {
                return false;
            }
        }
        if self.shift > 0.0 {
            self.last_shift = self.shift;
        }
        true
    }

    /// Forgets earlier corrections.
    pub fn forget(&mut self) {
        self.last_shift = 0.0;
    }

    /// Fills the lower triangle, scaled by the square roots of the largest entries of its rows.
    fn assemble(&mut self, form: &Form, w: &Dense, jacobian: &Dense, sigma: &[f64], dual_shift: f64) {
        let d = self.d;
        for i in 0..d {
            let row = &mut self.matrix.row_mut(i)[..=i];
            row.copy_from_slice(&w.row(i)[..=i]);
            row[i] += sigma[i] + self.shift + form.proximal_weight(i);
        }
        for i in 0..form.m {
            let row = &mut self.matrix.row_mut(d + i)[..=d + i];
            row[..d].copy_from_slice(jacobian.row(i));
            row[d..].fill(0.0);
            row[d + i] = -dual_shift;
        }
        for (k, s) in form.auxiliaries.iter().zip(&sigma[d..]) {
            self.matrix[(d + k.row, d + k.row)] -= 1.0 / (s + self.shift);
        }
        self.equilibrate();
    }

    fn equilibrate(&mut self) {
        let n = self.scale.len();
        self.scale.fill(0.0);
        for i in 0..n {
            let mut largest = self.scale[i];
            for (v, s) in self.matrix.row(i)[..=i].iter().zip(self.scale.iter_mut()) {
                largest = largest.max(v.abs());
                *s = s.max(v.abs());
            }
            self.scale[i] = self.scale[i].max(largest);
        }
        for s in self.scale.iter_mut() {
            *s = if *s > 0.0 { 1.0 / s.sqrt() } else { 1.0 };
        }
        for i in 0..n {
            let si = self.scale[i];
            for (v, s) in self.matrix.row_mut(i)[..=i].iter_mut().zip(&self.scale) {
                *v *= si * s;
            }
        }
        self.matrix.mirror_lower();
    }

    /// Solves for the step (`dx` of length n, `dy` of length m) with the barrier gradient `gradient` (length n), the
    /// residual `c` and the products `jty` = Gᵀ y (length n). False if the result is not finite.
    #[expect(clippy::too_many_arguments, reason = "the parts of one linear system")]
    pub fn solve(
        &mut self,
        form: &Form,
        sigma: &[f64],
        gradient: &[f64],
        jty: &[f64],
        c: &[f64],
        dx: &mut [f64],
        dy: &mut [f64],
    ) -> bool {
        let d = self.d;
        for (r, (g, p)) in self.rhs.iter_mut().zip(gradient.iter().zip(jty)).take(d) {
            *r = -(g + p);
        }
        for (r, c) in self.rhs[d..].iter_mut().zip(c) {
            *r = -c;
        }
        for (k, j) in form.auxiliaries.iter().zip(d..) {
            self.rhs[d + k.row] += k.sign * (gradient[j] + jty[j]) / (sigma[j] + self.shift);
        }
        for (r, s) in self.rhs.iter_mut().zip(&self.scale) {
            *r *= s;
        }
        if self.ldlt.solve_refined(&self.matrix, &mut self.rhs, REFINEMENT, &mut self.work).is_err() {
            return false;
        }
        for (r, s) in self.rhs.iter_mut().zip(&self.scale) {
            *r *= s;
        }
        dx[..d].copy_from_slice(&self.rhs[..d]);
        dy.copy_from_slice(&self.rhs[d..]);
        for (k, j) in form.auxiliaries.iter().zip(d..) {
            dx[j] = -(gradient[j] + jty[j] + k.sign * dy[k.row]) / (sigma[j] + self.shift);
        }
        dx.iter().chain(dy.iter()).all(|v| v.is_finite())
    }
}
