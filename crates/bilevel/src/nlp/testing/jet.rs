//! Values with exact first and second derivatives.

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
