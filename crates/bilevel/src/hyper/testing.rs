//! Hyper-objectives in closed form, for tests: y = V a + Z z with V, Z orthonormal, f = ½ ‖s∘(Vᵀy) − B x‖².

use bilevel_linalg::vector::norm2_squared;
use bilevel_linalg::{Dense, Svd};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::expr::Matrix;
use crate::problem::{Attitude, Model, Problem};

/// Which family of instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// F = ¾‖x‖² + ½‖a − d‖² + Σ x_j z_j + Σ(|z_j| − 1)₊², optimistic.
    Wells,
    /// F = Σ cos 2x_j + ½‖a − d‖² + Σ (Qx)_j z_j − Σ(|z_j| − 1)₊², pessimistic.
    Waves,
    /// F = mean(r_i z_i − (|z_i| − 1)₊²), r_i = (q_iᵀx)² − b_i, pessimistic.
    Phases,
}

/// An instance with its data.
pub(super) struct Instance {
    pub kind: Kind,
    pub attitude: Attitude,
    pub problem: Problem,
    pub x: Vec<f64>,
    c: Dense,
    d: Vec<f64>,
    q: Dense,
    b: Vec<f64>,
    v: Dense,
    z: Dense,
}

pub(super) fn normals(count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

pub(super) fn normal_matrix(rows: usize, cols: usize, scale: f64, rng: &mut ChaCha8Rng) -> Dense {
    let data = normals(rows * cols, rng).into_iter().map(|v| scale * v).collect();
    Dense::from_row_major(rows, cols, data).unwrap()
}

fn times(a: &Dense, v: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; a.rows()];
    a.mul_add(1.0, v, &mut out);
    out
}

impl Instance {
    pub fn new(kind: Kind, n: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let p = n + 2;
        let k = if kind == Kind::Phases { 3 * n } else { n };
        let m = p + k;
        let basis = Svd::new(&normal_matrix(m, m, 1.0, &mut rng), None).unwrap().row_space();
        let v = Dense::from_fn(p, m, |i, j| basis[(i, j)]);
        let z = Dense::from_fn(k, m, |i, j| basis[(p + i, j)]);
        let s: Vec<f64> = (0..p).map(|i| 0.5f64.powf(i as f64 / (p - 1) as f64)).collect();
        let big = normal_matrix(p, n, 0.7 / (n as f64).sqrt(), &mut rng);
        let c = Dense::from_fn(p, n, |i, j| big[(i, j)] / s[i]);
        let d = normals(p, &mut rng);
        let (q, b, x) = match kind {
            Kind::Wells => (Dense::identity(n), Vec::new(), normals(n, &mut rng)),
            Kind::Waves => (
                Svd::new(&normal_matrix(n, n, 1.0, &mut rng), None).unwrap().row_space(),
                Vec::new(),
                normals(n, &mut rng),
            ),
            Kind::Phases => {
                let q = normal_matrix(k, n, 1.0, &mut rng);
                let star: Vec<f64> = normals(n, &mut rng).iter().map(|v| v / (n as f64).sqrt()).collect();
                let b = times(&q, &star).iter().map(|v| v * v).collect();
                let shift = normals(n, &mut rng);
                (q, b, star.iter().zip(shift).map(|(s, e)| s + 0.6 * e / (n as f64).sqrt()).collect())
            }
        };
        let attitude = if kind == Kind::Wells { Attitude::Optimistic } else { Attitude::Pessimistic };
        let mut model = Model::new();
        let xs = model.leader("x", n).free().unwrap();
        let ys = model.follower("y", m).free().unwrap();
        let constant = |values: &[f64]| model.graph().constant_vector(values);
        let matrix = |a: &Dense| Matrix::from(a.clone());
        let (a_part, z_part) = (&matrix(&v) * &ys, &matrix(&z) * &ys);
        let misfit = (&a_part - constant(&d)).norm2sq() * 0.5;
        let wells = (z_part.abs() - 1.0).plus().square();
        let upper = match kind {
            Kind::Wells => xs.norm2sq() * 0.75 + misfit + xs.dot(&z_part) + wells.sum(),
            Kind::Waves => (&xs * 2.0).cos().sum() + misfit + (&matrix(&q) * &xs).dot(&z_part) - wells.sum(),
            Kind::Phases => (((&matrix(&q) * &xs).square() - constant(&b)) * &z_part - &wells).mean(),
        };
        let lower = (constant(&s) * &a_part - &matrix(&big) * &xs).norm2sq() * 0.5;
        let problem = model.upper(upper).lower(lower).build().unwrap();
        Self { kind, attitude, problem, x, c, d, q, b, v, z }
    }

    /// phi, its gradient and the attaining answer at x.
    pub fn exact(&self, x: &[f64]) -> (f64, Vec<f64>, Vec<f64>) {
        let a = times(&self.c, x);
        let ridge = if self.kind == Kind::Phases { 0.0 } else { 1.0 };
        let side = if self.kind == Kind::Wells { -1.0 } else { 1.0 };
        let rx = times(&self.q, x);
        let k = rx.len() as f64;
        let (r, scale, weight): (Vec<f64>, Vec<f64>, f64) = match self.kind {
            Kind::Phases => (
                rx.iter().zip(&self.b).map(|(q, b)| q * q - b).collect(),
                rx.iter().map(|q| 2.0 * q).collect(),
                1.0 / k,
            ),
            _ => (rx.clone(), vec![1.0; rx.len()], 1.0),
        };
        let residual: Vec<f64> = a.iter().zip(&self.d).map(|(a, d)| a - d).collect();
        let own = match self.kind {
            Kind::Wells => 0.75 * norm2_squared(x),
            Kind::Waves => x.iter().map(|v| (2.0 * v).cos()).sum(),
            Kind::Phases => 0.0,
        };
        let phi = own
            + 0.5 * ridge * norm2_squared(&residual)
            + side * weight * r.iter().map(|r| r.abs() + r * r / 4.0).sum::<f64>();
        let mut gradient: Vec<f64> = match self.kind {
            Kind::Wells => x.iter().map(|v| 1.5 * v).collect(),
            Kind::Waves => x.iter().map(|v| -2.0 * (2.0 * v).sin()).collect(),
            Kind::Phases => vec![0.0; x.len()],
        };
        self.c.transpose_mul_add(ridge, &residual, &mut gradient);
        let z: Vec<f64> = r.iter().map(|r| side * (r.signum() + r / 2.0)).collect();
        let pulled: Vec<f64> = z.iter().zip(&scale).map(|(z, s)| weight * z * s).collect();
        self.q.transpose_mul_add(1.0, &pulled, &mut gradient);
        let mut y = vec![0.0; self.v.cols()];
        self.v.transpose_mul_add(1.0, &a, &mut y);
        self.z.transpose_mul_add(1.0, &z, &mut y);
        (phi, gradient, y)
    }
}

/// Feature relevance and hyper-cleaning: large least squares with few rows, and with rows that depend on each other.
pub(super) struct LeastSquares {
    /// Size of y.
    pub m: usize,
    /// Number of rows of f.
    pub p: usize,
    /// Their rank, where they are to depend on each other.
    pub rank: Option<usize>,
    /// Number of rows of F.
    pub validation: usize,
    /// Size of x.
    pub n: usize,
}

impl LeastSquares {
    /// Without a rank: f = ½ ‖A diag(exp x_group) y − b‖². With one: f = ½ Σ sigmoid(x_group) (A y − b)².
    /// F = ‖A_v .. y − b_v‖² / (2 rows) + ½ ridge ‖y‖² + ½ 1e-3 ‖x‖².
    pub fn problem(&self, seed: u64) -> Problem {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let Self { m, p, validation, n, .. } = *self;
        let a = match self.rank {
            None => normal_matrix(p, m, 1.0, &mut rng),
            Some(rank) => {
                let thin = normal_matrix(rank, m, 1.0 / (m as f64).sqrt(), &mut rng);
                normal_matrix(p, rank, 1.0, &mut rng).matmul(&thin).unwrap()
            }
        };
        let (b, av, bv) =
            (normals(p, &mut rng), normal_matrix(validation, m, 1.0, &mut rng), normals(validation, &mut rng));
        let mut model = Model::new();
        let x = model.leader("x", n).free().unwrap();
        let y = model.follower("y", m).free().unwrap();
        let constant = |values: &[f64]| model.graph().constant_vector(values);
        let groups = |count: usize| (0..count).map(|i| i * n / count).collect::<Vec<usize>>();
        let (a, av) = (Matrix::from(a), Matrix::from(av));
        let (lower, shown) = match self.rank {
            None => {
                let scaled = x.gather(&groups(m)).exp() * &y;
                ((&a * &scaled - constant(&b)).norm2sq() * 0.5, scaled)
            }
            Some(_) => {
                let weights = x.gather(&groups(p)).sigmoid();
                ((weights * (&a * &y - constant(&b)).square()).sum() * 0.5, y.clone())
            }
        };
        let misfit = (&av * &shown - constant(&bv)).norm2sq() * (0.5 / validation as f64);
        let upper = misfit + y.norm2sq() * 0.05 + x.norm2sq() * 5e-4;
        model.upper(upper).lower(lower).build().unwrap()
    }
}
