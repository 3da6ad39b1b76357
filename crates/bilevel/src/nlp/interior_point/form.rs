//! The form in which the interior point method sees a programme: equalities and bounds alone.
//!
//! ```text
//! minimise  weight f(z) + Σ cost_k a_k + ½ Σ w_j (z_j − center_j)²
//! subject to  r_i(z) − target_i + Σ_{k of row i} sign_k a_k = 0,   lower <= (z, a) <= upper
//! ```
//!
//! The auxiliary variables a are the slacks of inequality rows and, in the elastic form, two nonnegative ones a row
//! that take up its violation at a price. One iteration serves both forms.

use super::super::reduced::Reduced;
use bilevel_linalg::Dense;

/// A variable that appears linearly in one row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Auxiliary {
    pub row: usize,
    pub sign: f64,
    pub cost: f64,
}

/// ½ Σ w_j (z_j − center_j)².
#[derive(Clone, Debug)]
pub(super) struct Proximal {
    pub center: Vec<f64>,
    pub weights: Vec<f64>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Form {
    /// Number of variables z.
    pub d: usize,
    /// Number of rows.
    pub m: usize,
    pub auxiliaries: Vec<Auxiliary>,
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    target: Vec<f64>,
    weight: f64,
    proximal: Option<Proximal>,
}

impl Form {
    /// Slacks for the inequality rows. Their bounds are relaxed by `relax * max(1, |bound|)`, so that rows without
    /// an interior get one.
    pub fn standard(problem: &Reduced, relax: f64) -> Self {
        let (d, m) = (problem.variables(), problem.rows());
        let mut form = Self {
            d,
            m,
            auxiliaries: Vec::new(),
            lower: problem.lower.clone(),
            upper: problem.upper.clone(),
            target: vec![0.0; m],
            weight: 1.0,
            proximal: None,
        };
        for i in 0..m {
            let (l, u) = (problem.row_lower[i], problem.row_upper[i]);
            if l == u {
                form.target[i] = l;
            } else {
                form.auxiliaries.push(Auxiliary { row: i, sign: -1.0, cost: 0.0 });
                let slack = |bound: f64| if bound.is_finite() { relax * bound.abs().max(1.0) } else { 0.0 };
                form.lower.push(l - slack(l));
                form.upper.push(u + slack(u));
            }
        }
        form
    }

    /// This form with the violation of every row allowed at the price `cost`, and another objective.
    pub fn elastic(&self, cost: f64, weight: f64, proximal: Option<Proximal>) -> Self {
        let mut form = self.clone();
        for row in 0..self.m {
            for sign in [-1.0, 1.0] {
                form.auxiliaries.push(Auxiliary { row, sign, cost });
                form.lower.push(0.0);
                form.upper.push(f64::INFINITY);
            }
        }
        form.weight = weight;
        form.proximal = proximal;
        form
    }

    /// Number of variables (z, a).
    pub fn n(&self) -> usize {
        self.lower.len()
    }

    /// The objective.
    pub fn objective(&self, problem: &mut Reduced, x: &[f64]) -> f64 {
        let (z, a) = x.split_at(self.d);
        let mut value: f64 = self.auxiliaries.iter().zip(a).map(|(k, v)| k.cost * v).sum();
        if self.weight != 0.0 {
            value += self.weight * problem.objective(z);
        }
        if let Some(p) = &self.proximal {
            value += 0.5
                * p.weights.iter().zip(z.iter().zip(&p.center)).map(|(w, (v, c))| w * (v - c) * (v - c)).sum::<f64>();
        }
        value
    }

    /// Writes the residuals of the rows.
    pub fn residual(&self, problem: &mut Reduced, x: &[f64], out: &mut [f64]) {
        if self.m == 0 {
            return;
        }
        let (z, a) = x.split_at(self.d);
        problem.values(z, out);
        for (c, t) in out.iter_mut().zip(&self.target) {
            *c -= t;
        }
        for (k, v) in self.auxiliaries.iter().zip(a) {
            out[k.row] += k.sign * v;
        }
    }

    /// Writes the objective's gradient (length n).
    pub fn gradient(&self, problem: &mut Reduced, x: &[f64], out: &mut [f64]) {
        let (z, _) = x.split_at(self.d);
        let (gz, ga) = out.split_at_mut(self.d);
        if self.weight == 0.0 {
            gz.fill(0.0);
        } else {
            problem.gradient(z, gz);
            gz.iter_mut().for_each(|g| *g *= self.weight);
        }
        if let Some(p) = &self.proximal {
            for (g, (w, (v, c))) in gz.iter_mut().zip(p.weights.iter().zip(z.iter().zip(&p.center))) {
                *g += w * (v - c);
            }
        }
        for (g, k) in ga.iter_mut().zip(&self.auxiliaries) {
            *g = k.cost;
        }
    }

    /// Writes the Hessian in z of objective + Σ y_i row_i, without the proximal term; false if there is none.
    pub fn hessian(&self, problem: &mut Reduced, x: &[f64], y: &[f64], out: &mut Dense) -> bool {
        problem.hessian(&x[..self.d], self.weight, y, out)
    }

    /// Weight of the proximal term on variable `j`.
    pub fn proximal_weight(&self, j: usize) -> f64 {
        self.proximal.as_ref().map_or(0.0, |p| p.weights[j])
    }

    /// `out += Gᵀ y`, G the Jacobian of the rows in (z, a) whose part in z is `jacobian`.
    pub fn transpose_mul_add(&self, jacobian: &Dense, y: &[f64], out: &mut [f64]) {
        let (z, a) = out.split_at_mut(self.d);
        jacobian.transpose_mul_add(1.0, y, z);
        for (o, k) in a.iter_mut().zip(&self.auxiliaries) {
            *o += k.sign * y[k.row];
        }
    }
}
