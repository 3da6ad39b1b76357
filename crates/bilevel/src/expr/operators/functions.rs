//! Elementwise functions, powers, and pairwise maximum and minimum.

use super::fold;
use super::{binary, out_of_range, unary};
use crate::expr::{Expr, Function, Op};

fn map(function: Function, z: &Expr) -> Expr {
    unary(Op::Map(function), z, z.shape())
}

/// The functions that need no parameter.
impl Expr {
    /// e^z, elementwise.
    pub fn exp(&self) -> Expr {
        map(Function::Exp, self)
    }

    /// Natural logarithm, elementwise; defined for z > 0.
    pub fn log(&self) -> Expr {
        map(Function::Log, self)
    }

    /// ln(1 + z), elementwise, accurate for small z; defined for z > -1.
    pub fn log1p(&self) -> Expr {
        map(Function::Log1p, self)
    }

    /// e^z - 1, elementwise, accurate for small z.
    pub fn expm1(&self) -> Expr {
        map(Function::Expm1, self)
    }

    /// Square root, elementwise; defined for z >= 0. The root of an absolute value is [`Expr::abs_power`], which is smoothed
    /// as a whole.
    pub fn sqrt(&self) -> Expr {
        match self.inside_abs() {
            Some(z) => z.abs_power(0.5),
            None => map(Function::Sqrt, self),
        }
    }

    /// z, if this is |z| without a smoothing family of its own.
    fn inside_abs(&self) -> Option<Expr> {
        let node = self.graph().node(self.id()?);
        match (node.op, &node.args[..]) {
            (Op::Map(Function::Abs), &[z]) if node.family.is_none() => Some(self.with_id(z)),
            _ => None,
        }
    }

    /// z², elementwise.
    pub fn square(&self) -> Expr {
        fold::power(self, 2.0).unwrap_or_else(|| map(Function::Square, self))
    }

    /// Sine, elementwise (radians).
    pub fn sin(&self) -> Expr {
        map(Function::Sin, self)
    }

    /// Cosine, elementwise (radians).
    pub fn cos(&self) -> Expr {
        map(Function::Cos, self)
    }

    /// Tangent, elementwise (radians).
    pub fn tan(&self) -> Expr {
        map(Function::Tan, self)
    }

    /// Hyperbolic tangent, elementwise.
    pub fn tanh(&self) -> Expr {
        map(Function::Tanh, self)
    }

    /// 1 / (1 + e^-z), elementwise.
    pub fn sigmoid(&self) -> Expr {
        map(Function::Sigmoid, self)
    }

    /// ln(1 + e^z), elementwise.
    pub fn softplus(&self) -> Expr {
        map(Function::Softplus, self)
    }

    /// |z|, elementwise.
    pub fn abs(&self) -> Expr {
        map(Function::Abs, self)
    }

    /// The positive part max(z, 0), elementwise.
    pub fn plus(&self) -> Expr {
        map(Function::Plus, self)
    }

    /// The hinge loss max(1 - z, 0), elementwise.
    pub fn hinge(&self) -> Expr {
        (1.0 - self).plus()
    }
}

/// Functions with a parameter, and of two formulas.
impl Expr {
    /// Huber's function, elementwise: z²/2 for |z| <= delta, delta (|z| - delta/2) beyond. Invalid unless
    /// 0 < delta < inf.
    pub fn huber(&self, delta: f64) -> Expr {
        if !(delta > 0.0 && delta.is_finite()) {
            return out_of_range("huber", "a positive width", delta, self);
        }
        map(Function::Huber(delta), self)
    }

    /// |z|^p, elementwise. Invalid unless 0 < p < inf.
    pub fn abs_power(&self, p: f64) -> Expr {
        if !(p > 0.0 && p.is_finite()) {
            return out_of_range("abs_power", "a positive power", p, self);
        }
        match p {
            1.0 => self.abs(),
            2.0 => self.square(),
            _ => map(Function::AbsPower(p), self),
        }
    }

    /// z^p for a constant p, elementwise: every z if p is an integer (z != 0 if p < 0), else z >= 0. Invalid if p is
    /// infinite or NaN.
    pub fn pow(&self, p: f64) -> Expr {
        if !p.is_finite() {
            return out_of_range("^", "a finite power", p, self);
        }
        if p == 1.0 {
            return self.clone();
        }
        if let Some(folded) = fold::power(self, p) {
            return folded;
        }
        match p {
            2.0 => self.square(),
            0.5 => self.sqrt(),
            _ => match self.inside_abs() {
                Some(z) if p > 0.0 => z.abs_power(p),
                _ => map(Function::Power(p), self),
            },
        }
    }

    /// z^p, elementwise, scalars broadcast. A constant scalar p gives [`Expr::pow`], with the nearest `f64` as its
    /// power; any other is exp(p ln z), defined for z > 0.
    pub fn pow_expr(&self, p: &Expr) -> Expr {
        match fold::scalar(p) {
            Some((value, _)) if self.graph().same(p.graph()) => self.pow(value),
            _ => binary("^", Op::PowerOf, self, p),
        }
    }

    /// The larger of two, elementwise, scalars broadcast.
    pub fn max(&self, other: &Expr) -> Expr {
        if self.graph().same(other.graph()) {
            if fold::is(other, 0.0) {
                return self.plus();
            }
            if fold::is(self, 0.0) {
                return other.plus();
            }
        }
        binary("max", Op::Max, self, other)
    }

    /// The smaller of two, elementwise, scalars broadcast.
    pub fn min(&self, other: &Expr) -> Expr {
        binary("min", Op::Min, self, other)
    }

    /// The value of a formula that is a scalar constant. Arithmetic of constants gives a constant.
    pub fn constant_value(&self) -> Option<f64> {
        fold::scalar(self).map(|(value, _)| value)
    }
}
