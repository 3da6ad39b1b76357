//! Test problems: formulas in second-order jets, so that derivatives are exact, and a collection with known answers.

use super::{Frame, Nlp};
use bilevel_linalg::{Csr, Dense};
use std::ops::{Add, Div, Mul, Neg, Sub};

/// A value with its gradient and Hessian.
#[derive(Clone, Debug)]
pub struct Jet {
    pub value: f64,
    pub gradient: Vec<f64>,
    pub hessian: Vec<f64>,
}

impl Jet {
    pub fn variable(value: f64, j: usize, d: usize) -> Self {
        let mut gradient = vec![0.0; d];
        gradient[j] = 1.0;
        Self { value, gradient, hessian: vec![0.0; d * d] }
    }

    /// g(self) from g, g', g''.
    fn chain(&self, g: f64, g1: f64, g2: f64) -> Self {
        let d = self.gradient.len();
        let mut hessian = self.hessian.clone();
        for i in 0..d {
            for j in 0..d {
                hessian[i * d + j] = g1 * self.hessian[i * d + j] + g2 * self.gradient[i] * self.gradient[j];
            }
        }
        Self { value: g, gradient: self.gradient.iter().map(|v| g1 * v).collect(), hessian }
    }

    pub fn pow(&self, p: i32) -> Self {
        let (v, q) = (self.value, f64::from(p));
        self.chain(v.powi(p), q * v.powi(p - 1), if p == 1 { 0.0 } else { q * (q - 1.0) * v.powi(p - 2) })
    }

    pub fn exp(&self) -> Self {
        let e = self.value.exp();
        self.chain(e, e, e)
    }

    pub fn ln(&self) -> Self {
        let v = self.value;
        self.chain(v.ln(), 1.0 / v, -1.0 / (v * v))
    }

    pub fn sqrt(&self) -> Self {
        let r = self.value.sqrt();
        self.chain(r, 0.5 / r, -0.25 / (r * self.value))
    }

    pub fn sin(&self) -> Self {
        let (s, c) = self.value.sin_cos();
        self.chain(s, c, -s)
    }

    pub fn cos(&self) -> Self {
        let (s, c) = self.value.sin_cos();
        self.chain(c, -s, -c)
    }

    pub fn abs(&self) -> Self {
        self.chain(self.value.abs(), if self.value >= 0.0 { 1.0 } else { -1.0 }, 0.0)
    }

    fn combine(&self, other: &Self, a: f64, b: f64) -> Self {
        let mix = |u: &[f64], v: &[f64]| u.iter().zip(v).map(|(x, y)| a * x + b * y).collect();
        Self {
            value: a * self.value + b * other.value,
            gradient: mix(&self.gradient, &other.gradient),
            hessian: mix(&self.hessian, &other.hessian),
        }
    }

    fn times(&self, other: &Self) -> Self {
        let d = self.gradient.len();
        let mut out = self.combine(other, other.value, self.value);
        out.value = self.value * other.value;
        for i in 0..d {
            for j in 0..d {
                out.hessian[i * d + j] += self.gradient[i] * other.gradient[j] + self.gradient[j] * other.gradient[i];
            }
        }
        out
    }
}

macro_rules! operators {
    ($left:ty, $right:ty) => {
        impl Add<$right> for $left {
            type Output = Jet;
            fn add(self, o: $right) -> Jet {
                self.combine(&o, 1.0, 1.0)
            }
        }
        impl Sub<$right> for $left {
            type Output = Jet;
            fn sub(self, o: $right) -> Jet {
                self.combine(&o, 1.0, -1.0)
            }
        }
        impl Mul<$right> for $left {
            type Output = Jet;
            fn mul(self, o: $right) -> Jet {
                self.times(&o)
            }
        }
        impl Div<$right> for $left {
            type Output = Jet;
            fn div(self, o: $right) -> Jet {
                self.times(&o.pow(-1))
            }
        }
    };
}
operators!(Jet, Jet);
operators!(&Jet, Jet);
operators!(Jet, &Jet);
operators!(&Jet, &Jet);

macro_rules! scalar_operators {
    ($jet:ty) => {
        impl Add<f64> for $jet {
            type Output = Jet;
            fn add(self, o: f64) -> Jet {
                self.chain(self.value + o, 1.0, 0.0)
            }
        }
        impl Sub<f64> for $jet {
            type Output = Jet;
            fn sub(self, o: f64) -> Jet {
                self.chain(self.value - o, 1.0, 0.0)
            }
        }
        impl Mul<$jet> for f64 {
            type Output = Jet;
            fn mul(self, o: $jet) -> Jet {
                o.chain(self * o.value, self, 0.0)
            }
        }
        impl Neg for $jet {
            type Output = Jet;
            fn neg(self) -> Jet {
                self.chain(-self.value, -1.0, 0.0)
            }
        }
    };
}
scalar_operators!(Jet);
scalar_operators!(&Jet);

/// The formulas of a problem: objective first, then the nonlinear constraints.
pub type Formula = fn(&[Jet]) -> Vec<Jet>;

/// A problem in formulas. Every evaluation recomputes everything: simple, not fast.
pub struct Formulas {
    pub frame: Frame,
    pub formula: Formula,
    pub second_derivatives: bool,
}

impl Formulas {
    fn jets(&self, z: &[f64]) -> Vec<Jet> {
        let d = z.len();
        let variables: Vec<Jet> = z.iter().enumerate().map(|(j, &v)| Jet::variable(v, j, d)).collect();
        (self.formula)(&variables)
    }
}

impl Nlp for Formulas {
    fn frame(&self) -> &Frame {
        &self.frame
    }
    fn objective(&mut self, z: &[f64]) -> f64 {
        self.jets(z)[0].value
    }
    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.jets(z)[0].gradient);
    }
    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        for (o, jet) in out.iter_mut().zip(&self.jets(z)[1..]) {
            *o = jet.value;
        }
    }
    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        for (i, jet) in self.jets(z)[1..].iter().enumerate() {
            out.row_mut(i).copy_from_slice(&jet.gradient);
        }
    }
    fn hessian(&mut self, z: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        if !self.second_derivatives {
            return false;
        }
        out.data_mut().fill(0.0);
        let all = std::iter::once(objective_weight).chain(weights.iter().copied());
        for (w, jet) in all.zip(self.jets(z)) {
            for (o, h) in out.data_mut().iter_mut().zip(&jet.hessian) {
                *o += w * h;
            }
        }
        true
    }
}

pub const INF: f64 = f64::INFINITY;

/// A problem with its start and its known answer.
pub struct Case {
    pub name: &'static str,
    pub nlp: Formulas,
    pub start: Vec<f64>,
    pub objective: f64,
    pub z: Option<Vec<f64>>,
}

impl Case {
    pub fn new(name: &'static str, formula: Formula, start: &[f64], objective: f64) -> Self {
        let d = start.len();
        let frame = Frame::bounded(vec![-INF; d], vec![INF; d]);
        let nlp = Formulas { frame, formula, second_derivatives: true };
        Self { name, nlp, start: start.to_vec(), objective, z: None }
    }

    pub fn bounds(mut self, lower: &[f64], upper: &[f64]) -> Self {
        self.nlp.frame.lower = lower.to_vec();
        self.nlp.frame.upper = upper.to_vec();
        self
    }

    /// Dense affine rows with ranges.
    pub fn rows(mut self, rows: &[(&[f64], f64, f64)]) -> Self {
        let mut triplets = Vec::new();
        for (i, (row, _, _)) in rows.iter().enumerate() {
            triplets.extend(row.iter().enumerate().map(|(j, &v)| (i, j, v)));
        }
        self.nlp.frame.rows = Csr::from_triplets(rows.len(), self.start.len(), &triplets).unwrap();
        self.nlp.frame.row_lower = rows.iter().map(|r| r.1).collect();
        self.nlp.frame.row_upper = rows.iter().map(|r| r.2).collect();
        self
    }

    /// Ranges of the nonlinear constraints.
    pub fn constraints(mut self, ranges: &[(f64, f64)]) -> Self {
        self.nlp.frame.constraint_lower = ranges.iter().map(|r| r.0).collect();
        self.nlp.frame.constraint_upper = ranges.iter().map(|r| r.1).collect();
        self
    }

    pub fn at(mut self, z: &[f64]) -> Self {
        self.z = Some(z.to_vec());
        self
    }
}

const EQ: (f64, f64) = (0.0, 0.0);
const GE: (f64, f64) = (0.0, INF);

/// Problems of Hock & Schittkowski, *Test Examples for Nonlinear Programming Codes* (1981), with answers attained from
/// the published starts; small local solutions of others.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn collection() -> Vec<Case> {
    let rosenbrock: Formula = |x| vec![100.0 * (&x[1] - x[0].pow(2)).pow(2) + (1.0 * &x[0] - 1.0).pow(2)];
    vec![
        Case::new("Rosenbrock", rosenbrock, &[-1.2, 1.0], 0.0).at(&[1.0, 1.0]),
        Case::new("HS1", rosenbrock, &[-2.0, 1.0], 0.0).bounds(&[-INF, -1.5], &[INF; 2]).at(&[1.0, 1.0]),
        Case::new("HS3", |x| vec![&x[1] + 1e-5 * (&x[1] - &x[0]).pow(2)], &[10.0, 1.0], 0.0)
            .bounds(&[-INF, 0.0], &[INF; 2]),
        Case::new("HS4", |x| vec![1.0 / 3.0 * (&x[0] + 1.0).pow(3) + &x[1]], &[1.125, 0.125], 8.0 / 3.0)
            .bounds(&[1.0, 0.0], &[INF; 2])
            .at(&[1.0, 0.0]),
        Case::new(
            "HS5",
            |x| vec![(&x[0] + &x[1]).sin() + (&x[0] - &x[1]).pow(2) - 1.5 * &x[0] + 2.5 * &x[1] + 1.0],
            &[0.0, 0.0],
            -(3f64.sqrt()) / 2.0 - std::f64::consts::FRAC_PI_3,
        )
        .bounds(&[-1.5, -3.0], &[4.0, 3.0]),
        Case::new("HS6", |x| vec![(1.0 * &x[0] - 1.0).pow(2), 10.0 * (&x[1] - x[0].pow(2))], &[-1.2, 1.0], 0.0)
            .constraints(&[EQ])
            .at(&[1.0, 1.0]),
        Case::new(
            "HS7",
            |x| vec![(x[0].pow(2) + 1.0).ln() - &x[1], (x[0].pow(2) + 1.0).pow(2) + x[1].pow(2)],
            &[2.0, 2.0],
            -(3f64.sqrt()),
        )
        .constraints(&[(4.0, 4.0)])
        .at(&[0.0, 3f64.sqrt()]),
        Case::new(
            "HS9",
            |x| {
                let pi = std::f64::consts::PI;
                vec![(pi / 12.0 * &x[0]).sin() * (pi / 16.0 * &x[1]).cos()]
            },
            &[0.0, 0.0],
            -0.5,
        )
        .rows(&[(&[4.0, -3.0], 0.0, 0.0)]),
        Case::new(
            "HS10",
            |x| vec![&x[0] - &x[1], -3.0 * x[0].pow(2) + 2.0 * (&x[0] * &x[1]) - x[1].pow(2) + 1.0],
            &[-10.0, 10.0],
            -1.0,
        )
        .constraints(&[GE])
        .at(&[0.0, 1.0]),
        Case::new(
            "HS11",
            |x| vec![(&x[0] - 5.0).pow(2) + x[1].pow(2) - 25.0, &x[1] - x[0].pow(2)],
            &[4.9, 0.1],
            -8.498_464_223,
        )
        .constraints(&[GE]),
        Case::new(
            "HS12",
            |x| {
                vec![
                    0.5 * x[0].pow(2) + x[1].pow(2) - &x[0] * &x[1] - 7.0 * &x[0] - 7.0 * &x[1],
                    -4.0 * x[0].pow(2) - x[1].pow(2),
                ]
            },
            &[0.0, 0.0],
            -30.0,
        )
        .constraints(&[(-25.0, INF)])
        .at(&[2.0, 3.0]),
        Case::new(
            "HS14",
            |x| vec![(&x[0] - 2.0).pow(2) + (&x[1] - 1.0).pow(2), -0.25 * x[0].pow(2) - x[1].pow(2) + 1.0],
            &[2.0, 2.0],
            9.0 - 2.875 * 7f64.sqrt(),
        )
        .rows(&[(&[1.0, -2.0], -1.0, -1.0)])
        .constraints(&[GE]),
        Case::new(
            "HS15",
            |x| {
                let f = 100.0 * (&x[1] - x[0].pow(2)).pow(2) + (1.0 * &x[0] - 1.0).pow(2);
                vec![f, &x[0] * &x[1], &x[0] + x[1].pow(2)]
            },
            &[-2.0, 1.0],
            306.5,
        )
        .bounds(&[-INF; 2], &[0.5, INF])
        .constraints(&[(1.0, INF), GE])
        .at(&[0.5, 2.0]),
        Case::new("HS21", |x| vec![0.01 * x[0].pow(2) + x[1].pow(2) - 100.0], &[-1.0, -1.0], -99.96)
            .bounds(&[2.0, -50.0], &[50.0, 50.0])
            .rows(&[(&[10.0, -1.0], 10.0, INF)])
            .at(&[2.0, 0.0]),
        Case::new("HS22", |x| vec![(&x[0] - 2.0).pow(2) + (&x[1] - 1.0).pow(2), &x[1] - x[0].pow(2)], &[2.0, 2.0], 1.0)
            .rows(&[(&[1.0, 1.0], -INF, 2.0)])
            .constraints(&[GE])
            .at(&[1.0, 1.0]),
        Case::new(
            "HS24",
            |x| vec![1.0 / (27.0 * 3f64.sqrt()) * (((&x[0] - 3.0).pow(2) - 9.0) * x[1].pow(3))],
            &[1.0, 0.5],
            -1.0,
        )
        .bounds(&[0.0; 2], &[INF; 2])
        .rows(&[(&[1.0 / 3f64.sqrt(), -1.0], 0.0, INF), (&[1.0, 3f64.sqrt()], 0.0, 6.0)])
        .at(&[3.0, 3f64.sqrt()]),
        Case::new(
            "HS26",
            |x| vec![(&x[0] - &x[1]).pow(2) + (&x[1] - &x[2]).pow(4), (x[1].pow(2) + 1.0) * &x[0] + x[2].pow(4) - 3.0],
            &[-2.6, 2.0, 2.0],
            0.0,
        )
        .constraints(&[EQ]),
        Case::new("HS28", |x| vec![(&x[0] + &x[1]).pow(2) + (&x[1] + &x[2]).pow(2)], &[-4.0, 1.0, 1.0], 0.0)
            .rows(&[(&[1.0, 2.0, 3.0], 1.0, 1.0)])
            .at(&[0.5, -0.5, 0.5]),
        Case::new(
            "HS29",
            |x| vec![-(&x[0] * &x[1] * &x[2]), -(x[0].pow(2)) - 2.0 * x[1].pow(2) - 4.0 * x[2].pow(2)],
            &[1.0, 1.0, 1.0],
            -16.0 * 2f64.sqrt(),
        )
        .constraints(&[(-48.0, INF)]),
        Case::new(
            "HS35",
            |x| {
                let squares = 2.0 * x[0].pow(2) + 2.0 * x[1].pow(2) + x[2].pow(2);
                let products = 2.0 * (&x[0] * &x[1]) + 2.0 * (&x[0] * &x[2]);
                vec![squares + products - 8.0 * &x[0] - 6.0 * &x[1] - 4.0 * &x[2] + 9.0]
            },
            &[0.5; 3],
            1.0 / 9.0,
        )
        .bounds(&[0.0; 3], &[INF; 3])
        .rows(&[(&[1.0, 1.0, 2.0], -INF, 3.0)])
        .at(&[4.0 / 3.0, 7.0 / 9.0, 4.0 / 9.0]),
        Case::new(
            "HS38",
            |x| {
                let first = 100.0 * (&x[1] - x[0].pow(2)).pow(2) + (1.0 * &x[0] - 1.0).pow(2);
                let second = 90.0 * (&x[3] - x[2].pow(2)).pow(2) + (1.0 * &x[2] - 1.0).pow(2);
                let third = 10.1 * ((&x[1] - 1.0).pow(2) + (&x[3] - 1.0).pow(2));
                vec![first + second + third + 19.8 * ((&x[1] - 1.0) * (&x[3] - 1.0))]
            },
            &[-3.0, -1.0, -3.0, -1.0],
            0.0,
        )
        .bounds(&[-10.0; 4], &[10.0; 4])
        .at(&[1.0; 4]),
        Case::new(
            "HS39",
            |x| vec![-&x[0], &x[1] - x[0].pow(3) - x[2].pow(2), x[0].pow(2) - &x[1] - x[3].pow(2)],
            &[2.0; 4],
            -1.0,
        )
        .constraints(&[EQ, EQ]),
        Case::new(
            "HS40",
            |x| {
                vec![
                    -(&x[0] * &x[1] * &x[2] * &x[3]),
                    x[0].pow(3) + x[1].pow(2) - 1.0,
                    x[0].pow(2) * &x[3] - &x[2],
                    x[3].pow(2) - &x[1],
                ]
            },
            &[0.8; 4],
            -0.25,
        )
        .constraints(&[EQ, EQ, EQ]),
        Case::new(
            "HS43",
            |x| {
                let sum = x[0].pow(2) + x[1].pow(2);
                vec![
                    &sum + 2.0 * x[2].pow(2) + x[3].pow(2) - 5.0 * &x[0] - 5.0 * &x[1] - 21.0 * &x[2] + 7.0 * &x[3],
                    &sum + x[2].pow(2) + x[3].pow(2) + &x[0] - &x[1] + &x[2] - &x[3],
                    &sum + x[1].pow(2) + x[2].pow(2) + 2.0 * x[3].pow(2) - &x[0] - &x[3],
                    &sum + x[0].pow(2) + x[2].pow(2) + 2.0 * &x[0] - &x[1] - &x[3],
                ]
            },
            &[0.0; 4],
            -44.0,
        )
        .constraints(&[(-INF, 8.0), (-INF, 10.0), (-INF, 5.0)])
        .at(&[0.0, 1.0, 2.0, -1.0]),
        Case::new(
            "HS48",
            |x| vec![(&x[0] - 1.0).pow(2) + (&x[1] - &x[2]).pow(2) + (&x[3] - &x[4]).pow(2)],
            &[3.0, 5.0, -3.0, 2.0, -2.0],
            0.0,
        )
        .rows(&[(&[1.0; 5], 5.0, 5.0), (&[0.0, 0.0, 1.0, -2.0, -2.0], -3.0, -3.0)])
        .at(&[1.0; 5]),
        Case::new(
            "HS63",
            |x| {
                let f = -(x[0].pow(2)) - 2.0 * x[1].pow(2) - x[2].pow(2) - &x[0] * &x[1] - &x[0] * &x[2] + 1000.0;
                vec![f, x[0].pow(2) + x[1].pow(2) + x[2].pow(2)]
            },
            &[2.0; 3],
            961.715_172_1,
        )
        .bounds(&[0.0; 3], &[INF; 3])
        .rows(&[(&[8.0, 14.0, 7.0], 56.0, 56.0)])
        .constraints(&[(25.0, 25.0)]),
        Case::new(
            "HS65",
            |x| {
                let f = (&x[0] - &x[1]).pow(2) + 1.0 / 9.0 * (&x[0] + &x[1] - 10.0).pow(2) + (&x[2] - 5.0).pow(2);
                vec![f, x[0].pow(2) + x[1].pow(2) + x[2].pow(2)]
            },
            &[-5.0, 5.0, 0.0],
            0.953_528_856_7,
        )
        .bounds(&[-4.5, -4.5, -5.0], &[4.5, 4.5, 5.0])
        .constraints(&[(-INF, 48.0)]),
        Case::new(
            "HS71",
            |x| {
                vec![
                    &x[0] * &x[3] * (&x[0] + &x[1] + &x[2]) + &x[2],
                    &x[0] * &x[1] * &x[2] * &x[3],
                    x[0].pow(2) + x[1].pow(2) + x[2].pow(2) + x[3].pow(2),
                ]
            },
            &[1.0, 5.0, 5.0, 1.0],
            17.014_017_289_2,
        )
        .bounds(&[1.0; 4], &[5.0; 4])
        .constraints(&[(25.0, INF), (40.0, 40.0)])
        .at(&[1.0, 4.742_999_64, 3.821_149_98, 1.379_408_29]),
        Case::new(
            "HS76",
            |x| {
                let squares = x[0].pow(2) + 0.5 * x[1].pow(2) + x[2].pow(2) + 0.5 * x[3].pow(2);
                vec![squares - &x[0] * &x[2] + &x[2] * &x[3] - &x[0] - 3.0 * &x[1] + &x[2] - &x[3]]
            },
            &[0.5; 4],
            -4.681_818_181_8,
        )
        .bounds(&[0.0; 4], &[INF; 4])
        .rows(&[
            (&[1.0, 2.0, 1.0, 1.0], -INF, 5.0),
            (&[3.0, 1.0, 2.0, -1.0], -INF, 4.0),
            (&[0.0, 1.0, 4.0, 0.0], 1.5, INF),
        ]),
        Case::new(
            "HS77",
            |x| {
                let f = (&x[0] - 1.0).pow(2) + (&x[0] - &x[1]).pow(2) + (&x[2] - 1.0).pow(2);
                vec![
                    f + (&x[3] - 1.0).pow(4) + (&x[4] - 1.0).pow(6),
                    x[0].pow(2) * &x[3] + (&x[3] - &x[4]).sin(),
                    &x[1] + x[2].pow(4) * x[3].pow(2),
                ]
            },
            &[2.0; 5],
            0.241_505_13,
        )
        .constraints(&[(8f64.sqrt(), 8f64.sqrt()), (8.0 + 2f64.sqrt(), 8.0 + 2f64.sqrt())]),
        Case::new(
            "HS78",
            |x| {
                vec![
                    &x[0] * &x[1] * &x[2] * &x[3] * &x[4],
                    x[0].pow(2) + x[1].pow(2) + x[2].pow(2) + x[3].pow(2) + x[4].pow(2) - 10.0,
                    &x[1] * &x[2] - 5.0 * (&x[3] * &x[4]),
                    x[0].pow(3) + x[1].pow(3) + 1.0,
                ]
            },
            &[-2.0, 1.5, 2.0, -1.0, -1.0],
            -2.919_700_41,
        )
        .constraints(&[EQ, EQ, EQ]),
        Case::new(
            "HS80",
            |x| {
                vec![
                    (&x[0] * &x[1] * &x[2] * &x[3] * &x[4]).exp(),
                    x[0].pow(2) + x[1].pow(2) + x[2].pow(2) + x[3].pow(2) + x[4].pow(2) - 10.0,
                    &x[1] * &x[2] - 5.0 * (&x[3] * &x[4]),
                    x[0].pow(3) + x[1].pow(3) + 1.0,
                ]
            },
            &[-2.0, 2.0, 2.0, -1.0, -1.0],
            0.053_949_847_8,
        )
        .bounds(&[-2.3, -2.3, -3.2, -3.2, -3.2], &[2.3, 2.3, 3.2, 3.2, 3.2])
        .constraints(&[EQ, EQ, EQ]),
        Case::new(
            "HS100",
            |x| {
                let f = (&x[0] - 10.0).pow(2) + 5.0 * (&x[1] - 12.0).pow(2) + x[2].pow(4) + 3.0 * (&x[3] - 11.0).pow(2);
                let g = 10.0 * x[4].pow(6) + 7.0 * x[5].pow(2) + x[6].pow(4) - 4.0 * (&x[5] * &x[6]);
                let a = 2.0 * x[0].pow(2) + 3.0 * x[1].pow(4) + &x[2] + 4.0 * x[3].pow(2) + 5.0 * &x[4];
                let b = 7.0 * &x[0] + 3.0 * &x[1] + 10.0 * x[2].pow(2) + &x[3] - &x[4];
                let c = 23.0 * &x[0] + x[1].pow(2) + 6.0 * x[5].pow(2) - 8.0 * &x[6];
                let e = 4.0 * x[0].pow(2) + x[1].pow(2) - 3.0 * (&x[0] * &x[1]) + 2.0 * x[2].pow(2);
                vec![f + g - 10.0 * &x[5] - 8.0 * &x[6], a, b, c, e + 5.0 * &x[5] - 11.0 * &x[6]]
            },
            &[1.0, 2.0, 0.0, 4.0, 0.0, 1.0, 1.0],
            680.630_057_3,
        )
        .constraints(&[(-INF, 127.0), (-INF, 282.0), (-INF, 196.0), (-INF, 0.0)]),
        Case::new(
            "smallest eigenvalue",
            |x| {
                let f = 2.0 * x[0].pow(2) + 3.0 * x[1].pow(2) + 2.0 * (&x[0] * &x[1]);
                vec![f, x[0].pow(2) + x[1].pow(2)]
            },
            &[1.0, 0.3],
            (5.0 - 5f64.sqrt()) / 2.0,
        )
        .constraints(&[(1.0, 1.0)]),
        Case::new(
            "entropy",
            |x| vec![&x[0] * x[0].ln() + &x[1] * x[1].ln() + &x[2] * x[2].ln()],
            &[0.1, 0.1, 0.8],
            -(3f64.ln()),
        )
        .bounds(&[0.0; 3], &[INF; 3])
        .rows(&[(&[1.0; 3], 1.0, 1.0)])
        .at(&[1.0 / 3.0; 3]),
        Case::new("log barrier outside", |x| vec![-(x[0].ln()) + &x[0]], &[1e-3], 1.0).at(&[1.0]),
        Case::new("linear programme, degenerate vertex", |x| vec![-&x[0] - &x[1]], &[0.2, 0.1], -2.0)
            .bounds(&[0.0; 2], &[INF; 2])
            .rows(&[
                (&[1.0, 0.0], -INF, 1.0),
                (&[0.0, 1.0], -INF, 1.0),
                (&[1.0, 1.0], -INF, 2.0),
                (&[2.0, 1.0], -INF, 3.0),
            ])
            .at(&[1.0, 1.0]),
        Case::new("linear programme, edge of solutions", |x| vec![&x[0] + &x[1]], &[3.0, 0.5], 1.0)
            .bounds(&[0.0; 2], &[INF; 2])
            .rows(&[(&[1.0, 1.0], 1.0, INF)]),
        Case::new("dependent equalities", |x| vec![x[0].pow(2) + x[1].pow(2)], &[3.0, 3.0], 0.5)
            .rows(&[(&[1.0, 1.0], 1.0, 1.0), (&[2.0, 2.0], 2.0, 2.0), (&[-1.0, -1.0], -1.0, -1.0)])
            .at(&[0.5, 0.5]),
        Case::new("opposite inequalities", |x| vec![x[0].pow(2) + x[1].pow(2)], &[3.0, 1.0], 0.5)
            .rows(&[(&[1.0, 1.0], 1.0, INF), (&[1.0, 1.0], -INF, 1.0)])
            .at(&[0.5, 0.5]),
        Case::new("singular quadratic", |x| vec![(&x[0] + &x[1] - 1.0).pow(2)], &[4.0, 7.0], 0.0),
        Case::new("singular quadratic in a box", |x| vec![(&x[0] + &x[1] - 1.0).pow(2)], &[0.4, 0.7], 0.0)
            .bounds(&[0.0; 2], &[1.0; 2]),
        Case::new(
            "fixed variable",
            |x| vec![(&x[0] - &x[1]).pow(2) + (&x[1] - 2.0).pow(2) + &x[2]],
            &[0.0, 9.0, 5.0],
            8.25,
        )
        .bounds(&[-1.0, 3.5, 6.0], &[3.5, 3.5, 6.0])
        .at(&[3.5, 3.5, 6.0]),
        Case::new("quartic bottom", |x| vec![x[0].pow(4) + x[1].pow(4)], &[1.0, 0.5], 0.0),
    ]
}

/// Problems that end with another status than solved.
pub fn without_solution() -> Vec<(Case, super::Status)> {
    use super::Status::{Infeasible, Numerical, Unbounded};
    vec![
        (Case::new("unbounded line", |x| vec![&x[0] - 2.0 * &x[1]], &[0.0, 0.0], 0.0), Unbounded),
        (
            Case::new("unbounded linear programme", |x| vec![-&x[0]], &[1.0, 1.0], 0.0)
                .bounds(&[0.0; 2], &[INF; 2])
                .rows(&[(&[1.0, -1.0], -INF, 1.0)]),
            Unbounded,
        ),
        (Case::new("unbounded concave", |x| vec![-(x[0].pow(2)) + x[1].pow(2)], &[0.1, 1.0], 0.0), Unbounded),
        (
            Case::new("unbounded over a curve", |x| vec![-&x[1], &x[1] - x[0].pow(2)], &[1.0, 0.5], 0.0)
                .constraints(&[(-INF, 0.0)]),
            Unbounded,
        ),
        (
            Case::new("contradicting rows", |x| vec![x[0].pow(2) + x[1].pow(2)], &[0.3, 0.2], 0.0)
                .rows(&[(&[1.0, 1.0], 2.0, INF), (&[1.0, 1.0], -INF, 1.0)]),
            Infeasible,
        ),
        (
            Case::new("row against bounds", |x| vec![&x[0] - &x[1]], &[0.3, 0.2], 0.0)
                .bounds(&[0.0; 2], &[1.0; 2])
                .rows(&[(&[1.0, 1.0], 3.0, 3.0)]),
            Infeasible,
        ),
        (
            Case::new("negative square", |x| vec![&x[0] + &x[1], x[0].pow(2) + x[1].pow(2)], &[1.0, 2.0], 0.0)
                .constraints(&[(-INF, -1.0)]),
            Infeasible,
        ),
        (
            Case::new(
                "disjoint discs",
                |x| {
                    let right = (&x[0] - 3.0).pow(2) + x[1].pow(2);
                    vec![1.0 * &x[1], x[0].pow(2) + x[1].pow(2), right]
                },
                &[5.0, 1.0],
                0.0,
            )
            .constraints(&[(-INF, 1.0), (-INF, 1.0)]),
            Infeasible,
        ),
        (Case::new("crossing bounds", |x| vec![1.0 * &x[0]], &[0.0], 0.0).bounds(&[2.0], &[1.0]), Infeasible),
        (Case::new("logarithm of a negative number", |x| vec![x[0].ln()], &[-1.0], 0.0), Numerical),
        (Case::new("NaN everywhere", |x| vec![f64::NAN * &x[0]], &[-1.0], 0.0).bounds(&[-2.0], &[0.0]), Numerical),
    ]
}

/// Feasible sets without an interior, or without multipliers: the answers are approached, not attained.
pub fn degenerate() -> Vec<Case> {
    vec![
        Case::new("y² <= 0", |x| vec![1.0 * &x[0], x[0].pow(2)], &[1.0], 0.0).constraints(&[(-INF, 0.0)]),
        Case::new("y² <= 0, quadratic", |x| vec![(&x[0] - 1.0).pow(2), x[0].pow(2)], &[0.5], 1.0)
            .constraints(&[(-INF, 0.0)]),
        Case::new(
            "HS13",
            |x| vec![(&x[0] - 2.0).pow(2) + x[1].pow(2), (-&x[0] + 1.0).pow(3) - &x[1]],
            &[-2.0, -2.0],
            1.0,
        )
        .bounds(&[0.0; 2], &[INF; 2])
        .constraints(&[GE]),
        Case::new(
            "touching discs",
            |x| {
                let right = (&x[0] - 2.0).pow(2) + x[1].pow(2);
                vec![&x[0] + &x[1], x[0].pow(2) + x[1].pow(2), right]
            },
            &[0.0, 0.5],
            1.0,
        )
        .constraints(&[(-INF, 1.0), (-INF, 1.0)]),
        Case::new("norm of zero", |x| vec![&x[0] - &x[1], (x[0].pow(2) + x[1].pow(2)).sqrt()], &[0.3, 0.4], 0.0)
            .constraints(&[(-INF, 0.0)]),
        Case::new(
            "opposite nonlinear inequalities",
            |x| vec![x[0].pow(2) + x[1].pow(2), &x[0] * &x[1], &x[0] * &x[1]],
            &[3.0, 1.0],
            2.0,
        )
        .constraints(&[(1.0, INF), (-INF, 1.0)]),
    ]
}

/// Programmes with complementarity constraints product <= t, the products last; `t` is set by [`relax`]. Answers for
/// t = 0, from MacMPEC (Leyffer 2000) or by hand.
pub fn complementarity() -> Vec<(Case, usize)> {
    vec![
        (
            Case::new(
                "bard1",
                |x| {
                    let g1 = 3.0 * &x[0] - &x[1] - 3.0;
                    let g2 = -&x[0] + 0.5 * &x[1] + 4.0;
                    let g3 = -&x[0] - &x[1] + 7.0;
                    let f = (&x[0] - 5.0).pow(2) + (2.0 * &x[1] + 1.0).pow(2);
                    vec![f, &x[2] * g1, &x[3] * g2, &x[4] * g3]
                },
                &[0.0; 5],
                17.0,
            )
            .bounds(&[0.0; 5], &[INF; 5])
            .rows(&[
                (&[-1.5, 2.0, 1.0, -0.5, 1.0], 2.0, 2.0),
                (&[3.0, -1.0, 0.0, 0.0, 0.0], 3.0, INF),
                (&[-1.0, 0.5, 0.0, 0.0, 0.0], -4.0, INF),
                (&[-1.0, -1.0, 0.0, 0.0, 0.0], -7.0, INF),
            ]),
            3,
        ),
        (Case::new("corner", |x| vec![&x[0] + &x[1], &x[0] * &x[1]], &[1.0, 2.0], 0.0).bounds(&[0.0; 2], &[INF; 2]), 1),
        (
            Case::new(
                "either axis",
                |x| vec![(&x[0] - 1.0).pow(2) + (&x[1] - 1.0).pow(2), &x[0] * &x[1]],
                &[0.1, 0.9],
                1.0,
            )
            .bounds(&[0.0; 2], &[INF; 2]),
            1,
        ),
        (
            Case::new(
                "scale1",
                |x| vec![(100.0 * &x[0] - 1.0).pow(2) + (&x[1] - 1.0).pow(2), &x[0] * &x[1]],
                &[1.0, 1.0],
                1.0,
            )
            .bounds(&[0.0; 2], &[INF; 2]),
            1,
        ),
        (
            Case::new("jr1", |x| vec![(&x[0] - 1.0).pow(2) + x[1].pow(2), &x[1] * (&x[1] - &x[0])], &[0.0, 2.0], 0.5)
                .bounds(&[-INF, 0.0], &[INF; 2])
                .rows(&[(&[-1.0, 1.0], 0.0, INF)]),
            1,
        ),
        (
            Case::new("jr2", |x| vec![(&x[1] - 1.0).pow(2) + x[0].pow(2), &x[1] * (&x[1] - &x[0])], &[0.0, 0.5], 0.5)
                .bounds(&[-INF, 0.0], &[INF; 2])
                .rows(&[(&[-1.0, 1.0], 0.0, INF)]),
            1,
        ),
        (
            Case::new(
                "gauvin",
                |x| {
                    let w = 4.0 * &x[0] + 8.0 * &x[1] + &x[2] - 120.0;
                    let room = -&x[0] - &x[1] + 20.0;
                    vec![x[0].pow(2) + (&x[1] - 10.0).pow(2), &x[1] * w, &x[2] * room]
                },
                &[7.5, 10.0, 1.0],
                20.0,
            )
            .bounds(&[0.0; 3], &[15.0, INF, INF])
            .rows(&[(&[4.0, 8.0, 1.0], 120.0, INF), (&[-1.0, -1.0, 0.0], -20.0, INF)]),
            2,
        ),
        (
            // Leader (x − 2)² + (y − 1)², follower ½ y² − x y on y >= 0 with y <= 1: y = min(max(x, 0), 1).
            Case::new(
                "clamped follower",
                |x| {
                    let f = (&x[0] - 2.0).pow(2) + (&x[1] - 0.5).pow(2);
                    vec![f, &x[2] * &x[1], &x[3] * (-&x[1] + 1.0)]
                },
                &[0.0, 0.5, 0.0, 0.0],
                0.25,
            )
            .bounds(&[-INF, 0.0, 0.0, 0.0], &[INF, 1.0, INF, INF])
            .rows(&[(&[-1.0, 1.0, -1.0, 1.0], 0.0, 0.0)]),
            2,
        ),
    ]
}

/// Sets the last `pairs` constraints of a complementarity problem to product <= t.
pub fn relax(case: &mut Case, pairs: usize, t: f64) {
    let ranges = vec![(-INF, t); pairs];
    case.nlp.frame.constraint_lower = ranges.iter().map(|r| r.0).collect();
    case.nlp.frame.constraint_upper = ranges.iter().map(|r| r.1).collect();
}

/// Objectives with kinks; solvers for smooth problems need not solve them, but must end near an answer.
pub fn kinks() -> Vec<Case> {
    vec![
        Case::new("absolute values", |x| vec![(&x[0] - 1.0).abs() + 2.0 * (&x[1] + 2.0).abs()], &[5.0, 3.0], 0.0),
        Case::new(
            "kink on a valley",
            |x| vec![(&x[0] - x[1].pow(2)).abs() + 0.1 * (&x[1] - 1.0).pow(2)],
            &[2.0, -1.0],
            0.0,
        ),
        Case::new(
            "kinked constraint",
            |x| vec![x[0].pow(2) + x[1].pow(2), (&x[0] - 1.0).abs() - &x[1]],
            &[3.0, 4.0],
            0.5,
        )
        .constraints(&[(-INF, 0.0)]),
        Case::new(
            "root at its end",
            |x| vec![&x[0] - 2.0 * x[0].sqrt() + (&x[1] - 3.0).abs().sqrt()],
            &[9.0, 4.0],
            -1.0,
        )
        .bounds(&[0.0, 0.0], &[INF; 2]),
    ]
}
