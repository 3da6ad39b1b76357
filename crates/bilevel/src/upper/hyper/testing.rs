//! Closed-form hyper-objectives: H1 (phi_o, weakly concave), H2 and H3 (phi_p, weakly convex), Example 1 and simple ones.

use bilevel_linalg::{Dense, vector};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::izom::normal;
use crate::hyper::{End, HyperFailure, HyperObjective, HyperPoint};
use crate::solution::Rigor;

/// A value and a subgradient.
pub(crate) type Values = (f64, Option<Vec<f64>>);

/// A function of x with value and subgradient.
pub(crate) struct Closed<F>(pub usize, pub F);

impl<F: Fn(&[f64]) -> Values + Sync> HyperObjective for Closed<F> {
    fn dimension(&self) -> usize {
        self.0
    }

    fn evaluate(&self, x: &[f64], _: f64, _: Option<&[f64]>) -> Result<HyperPoint, HyperFailure> {
        let (value, subgradient) = (self.1)(x);
        let end = || End { value, rigor: Rigor::Proved };
        Ok(HyperPoint { value, lower: end(), upper: end(), y: Vec::new(), subgradient })
    }
}

/// The kinds of `make_instances.py`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    H1,
    H2,
    H3,
}

/// An instance of one kind in closed form.
#[derive(Clone, Debug)]
pub(crate) struct Instance {
    pub kind: Kind,
    pub c: Dense,
    pub d: Vec<f64>,
    pub q: Dense,
    pub b: Vec<f64>,
    pub x0: Vec<f64>,
}

impl Instance {
    /// A random instance with the distribution of the generator of the given instances.
    pub fn random(kind: Kind, n: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let p = n + 2;
        let k = if kind == Kind::H3 { 3 * n } else { n };
        let s: Vec<f64> = (0..p).map(|i| 0.5f64.powf(i as f64 / (p - 1) as f64)).collect();
        let scale = 0.7 / (n as f64).sqrt();
        let c = Dense::from_fn(p, n, |i, _| scale * normal(&mut rng) / s[i]);
        let d = (0..p).map(|_| normal(&mut rng)).collect();
        let mut x0: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
        let raw = Dense::from_fn(k, n, |_, _| normal(&mut rng));
        let (mut q, mut b) = (raw.clone(), Vec::new());
        if kind == Kind::H2 {
            q = orthogonal(&raw);
        }
        if kind == Kind::H3 {
            let star: Vec<f64> = (0..n).map(|_| normal(&mut rng) / (n as f64).sqrt()).collect();
            b = (0..k).map(|i| vector::dot(q.row(i), &star).powi(2)).collect();
            x0 = star.iter().map(|v| v + 0.6 * normal(&mut rng) / (n as f64).sqrt()).collect();
        }
        Self { kind, c, d, q, b, x0 }
    }

    /// phi and a subgradient.
    pub fn phi(&self, x: &[f64]) -> (f64, Vec<f64>) {
        let (n, k) = (x.len(), self.q.rows());
        let (mut value, mut gradient) = (0.0, vec![0.0; n]);
        if self.kind != Kind::H3 {
            let mut r: Vec<f64> = self.d.iter().map(|d| -d).collect();
            self.c.mul_add(1.0, x, &mut r);
            value += 0.5 * vector::norm2_squared(&r);
            self.c.transpose_mul_add(1.0, &r, &mut gradient);
        }
        let mut kink = |t: f64, weight: f64, direction: &dyn Fn(usize) -> f64| {
            value += weight * (t.abs() + 0.25 * t * t);
            let sign = if t > 0.0 {
                1.0
            } else if t < 0.0 {
                -1.0
            } else {
                0.0
            };
            (0..n).for_each(|j| gradient[j] += weight * (sign + 0.5 * t) * direction(j));
        };
        match self.kind {
            Kind::H1 => {
                (0..n).for_each(|i| kink(x[i], -1.0, &|j| f64::from(u8::from(i == j))));
                value += 0.75 * vector::norm2_squared(x);
                vector::axpy(1.5, x, &mut gradient);
            }
            Kind::H2 => {
                (0..k).for_each(|i| kink(vector::dot(self.q.row(i), x), 1.0, &|j| self.q[(i, j)]));
                value += x.iter().map(|v| (2.0 * v).cos()).sum::<f64>();
                (0..n).for_each(|j| gradient[j] -= 2.0 * (2.0 * x[j]).sin());
            }
            Kind::H3 => (0..k).for_each(|i| {
                let inner = vector::dot(self.q.row(i), x);
                kink(inner * inner - self.b[i], 1.0 / k as f64, &|j| 2.0 * inner * self.q[(i, j)]);
            }),
        }
        (value, gradient)
    }

    /// As a hyper-objective.
    pub fn objective(&self) -> Closed<impl Fn(&[f64]) -> Values + Sync + '_> {
        Closed(self.x0.len(), |x: &[f64]| {
            let (value, gradient) = self.phi(x);
            (value, Some(gradient))
        })
    }
}

/// A square matrix with orthonormal rows from a random one (Gram & Schmidt, twice).
fn orthogonal(raw: &Dense) -> Dense {
    let n = raw.rows();
    let mut q = raw.clone();
    for i in 0..n {
        for _ in 0..2 {
            for j in 0..i {
                let other = q.row(j).to_vec();
                let part = vector::dot(q.row(i), &other);
                vector::axpy(-part, &other, q.row_mut(i));
            }
        }
        let length = vector::norm2(q.row(i));
        vector::scale(1.0 / length, q.row_mut(i));
    }
    q
}

/// phi_p of Example 1 [Chen, Li & So 2025, (8)].
pub(crate) fn example_1(x: &[f64]) -> (f64, Option<Vec<f64>>) {
    let inside = x[0] > 0.0 && x[0] < 1.0;
    (-1.0 - x[0].clamp(0.0, 1.0), Some(vec![if inside { -1.0 } else { 0.0 }]))
}

/// A uniform point of a box, for tests.
pub(crate) fn in_box(n: usize, half: f64, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..n).map(|_| rng.random_range(-half..half)).collect()
}
