//! H1, H2 and H3 of any size from a seed: phi in closed form, and the problem in formulas.
//!
//! y = V a + Z z with V, Z orthonormal, f = ½‖s∘(Vᵀy) − Bx‖², C = diag(1/s) B; p = n + 2, k = n (H3: 3n):
//!
//! ```text
//! H1  ¾‖x‖² + ½‖a − d‖² + x z + Σ(|z| − 1)₊²              phi_o = ¾‖x‖² + ½‖Cx − d‖² − Σ(|x| + x²/4)
//! H2  Σ cos 2x + ½‖a − d‖² + (Qx) z − Σ(|z| − 1)₊²        phi_p = Σ cos 2x + ½‖Cx − d‖² + Σ(|Qx| + (Qx)²/4)
//! H3  mean(r z − (|z| − 1)₊²), r = (Qx)² − b              phi_p = mean(|r| + r²/4), least value 0
//! ```

use bilevel::expr::Matrix;
use bilevel::prelude::*;
use bilevel_linalg::{Cholesky, Dense, Svd, vector};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// Which family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Optimistic, weakly concave, up to 2^n wells.
    H1,
    /// Pessimistic, weakly convex, minima at kinks.
    H2,
    /// Pessimistic, weakly convex, sharp minimum 0.
    H3,
}

/// One instance.
pub struct Instance {
    pub kind: Kind,
    pub x0: Vec<f64>,
    /// A modulus of weak convexity of phi_p (weak concavity of phi_o).
    pub rho: f64,
    basis: Dense,
    s: Vec<f64>,
    map: Dense,
    c: Dense,
    d: Vec<f64>,
    q: Dense,
    b: Vec<f64>,
}

fn normals(count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

fn matrix(rows: usize, columns: usize, rng: &mut ChaCha8Rng) -> Dense {
    Dense::from_row_major(rows, columns, normals(rows * columns, rng)).expect("as many entries")
}

fn orthonormal(n: usize, rng: &mut ChaCha8Rng) -> Dense {
    Svd::new(&matrix(n, n, rng), None).expect("a finite matrix").row_space()
}

fn times(a: &Dense, x: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; a.rows()];
    a.mul_add(1.0, x, &mut out);
    out
}

/// The largest eigenvalue of Σ w_i q_i q_iᵀ.
fn largest(q: &Dense, w: &[f64]) -> f64 {
    let mut v = vec![1.0; q.cols()];
    let mut size = 0.0;
    for _ in 0..500 {
        let scaled: Vec<f64> = times(q, &v).iter().zip(w).map(|(a, w)| a * w).collect();
        let mut next = vec![0.0; v.len()];
        q.transpose_mul_add(1.0, &scaled, &mut next);
        size = vector::norm2(&next) / vector::norm2(&v);
        let length = vector::norm2(&next);
        v = next.iter().map(|a| a / length).collect();
    }
    size
}

impl Instance {
    pub fn new(kind: Kind, n: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let p = n + 2;
        let k = if kind == Kind::H3 { 3 * n } else { n };
        let basis = orthonormal(p + k, &mut rng);
        let s: Vec<f64> = (0..p).map(|i| 0.5f64.powf(i as f64 / (p - 1) as f64)).collect();
        let raw = matrix(p, n, &mut rng);
        let map = Dense::from_fn(p, n, |i, j| raw[(i, j)] * 0.7 / (n as f64).sqrt());
        let c = Dense::from_fn(p, n, |i, j| map[(i, j)] / s[i]);
        let (d, mut x0) = (normals(p, &mut rng), normals(n, &mut rng));
        let root = (n as f64).sqrt();
        let (mut q, mut b, mut rho) = (Dense::identity(n), Vec::new(), 4.0);
        match kind {
            Kind::H1 => rho = 1.0 + largest(&c, &vec![1.0; p]),
            Kind::H2 => q = orthonormal(n, &mut rng),
            Kind::H3 => {
                q = matrix(k, n, &mut rng);
                let star: Vec<f64> = normals(n, &mut rng).iter().map(|v| v / root).collect();
                b = times(&q, &star).iter().map(|v| v * v).collect();
                x0 = star.iter().zip(normals(n, &mut rng)).map(|(s, e)| s + 0.6 * e / root).collect();
                let weights: Vec<f64> = b.iter().map(|b| 2.0 + b).collect();
                rho = largest(&q, &weights) / k as f64;
            }
        }
        Self { kind, x0, rho, basis, s, map, c, d, q, b }
    }

    pub fn n(&self) -> usize {
        self.x0.len()
    }

    pub fn attitude(&self) -> Attitude {
        if self.kind == Kind::H1 { Attitude::Optimistic } else { Attitude::Pessimistic }
    }

    /// phi and a subgradient.
    pub fn phi(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let rx = times(&self.q, x);
        let k = rx.len() as f64;
        let (mut value, mut gradient) = (0.0, vec![0.0; x.len()]);
        if self.kind != Kind::H3 {
            let left: Vec<f64> = times(&self.c, x).iter().zip(&self.d).map(|(a, d)| a - d).collect();
            value += 0.5 * vector::norm2_squared(&left);
            self.c.transpose_mul_add(1.0, &left, &mut gradient);
        }
        let (r, slope): (Vec<f64>, Vec<f64>) = match self.kind {
            Kind::H3 => {
                (rx.iter().zip(&self.b).map(|(a, b)| a * a - b).collect(), rx.iter().map(|a| 2.0 * a).collect())
            }
            _ => (rx, vec![1.0; x.len()]),
        };
        let weight = match self.kind {
            Kind::H1 => -1.0,
            Kind::H2 => 1.0,
            Kind::H3 => 1.0 / k,
        };
        value += weight * r.iter().map(|r| r.abs() + 0.25 * r * r).sum::<f64>();
        let sign = |r: f64| if r == 0.0 { 0.0 } else { r.signum() };
        let pull: Vec<f64> = r.iter().zip(&slope).map(|(r, s)| weight * (sign(*r) + 0.5 * r) * s).collect();
        self.q.transpose_mul_add(1.0, &pull, &mut gradient);
        match self.kind {
            Kind::H1 => {
                value += 0.75 * vector::norm2_squared(x);
                vector::axpy(1.5, x, &mut gradient);
            }
            Kind::H2 => {
                value += x.iter().map(|v| (2.0 * v).cos()).sum::<f64>();
                gradient.iter_mut().zip(x).for_each(|(g, v)| *g -= 2.0 * (2.0 * v).sin());
            }
            Kind::H3 => {}
        }
        (value, gradient)
    }

    /// The problem in formulas.
    pub fn problem(&self) -> Problem {
        let (n, m, p) = (self.n(), self.basis.rows(), self.s.len());
        let mut model = Model::new();
        let x = model.leader("x", n).free().expect("a variable");
        let y = model.follower("y", m).free().expect("a variable");
        let rows = |from: usize, count: usize| Matrix::from(Dense::from_fn(count, m, |i, j| self.basis[(from + i, j)]));
        let constant = |values: &[f64]| model.graph().constant_vector(values);
        let (a, z) = (&rows(0, p) * &y, &rows(p, m - p) * &y);
        let qx = &Matrix::from(self.q.clone()) * &x;
        let misfit = (&a - constant(&self.d)).norm2sq() * 0.5;
        let wells = (z.abs() - 1.0).plus().square();
        let upper = match self.kind {
            Kind::H1 => x.norm2sq() * 0.75 + misfit + x.dot(&z) + wells.sum(),
            Kind::H2 => (&x * 2.0).cos().sum() + misfit + qx.dot(&z) - wells.sum(),
            Kind::H3 => ((qx.square() - constant(&self.b)) * &z - &wells).mean(),
        };
        let lower = (constant(&self.s) * &a - &Matrix::from(self.map.clone()) * &x).norm2sq() * 0.5;
        model.upper(upper).lower(lower).start(&self.x0, &vec![0.0; m]).build().expect("a problem")
    }

    /// The least value of H1: every pattern of signs has one quadratic, whose minimiser solves (CᵀC + I) x = Cᵀd + signs.
    pub fn least_of_h1(&self) -> f64 {
        let n = self.n();
        let mut square = self.c.transpose().matmul(&self.c).expect("sizes agree");
        (0..n).for_each(|j| square[(j, j)] += 1.0);
        let mut factor = Cholesky::new();
        factor.factor(&square, 0.0).expect("positive definite");
        let mut base = vec![0.0; n];
        self.c.transpose_mul_add(1.0, &self.d, &mut base);
        let minimum = |pattern: u32| {
            let mut x: Vec<f64> =
                base.iter().enumerate().map(|(j, b)| b + if pattern >> j & 1 == 1 { 1.0 } else { -1.0 }).collect();
            factor.solve(&mut x).expect("a factor");
            self.phi(&x).0
        };
        (0..1u32 << n).map(minimum).fold(f64::INFINITY, f64::min)
    }
}
