//! `+ - * /` and unary `-`, between formulas, references to formulas and numbers.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::fold::{self, Arithmetic};
use super::{binary, node, unary};
use crate::expr::{Expr, Function, Op, Shape};

fn add(a: &Expr, b: &Expr) -> Expr {
    if let Some(folded) = fold::arithmetic(Arithmetic::Add, a, b) {
        return folded;
    }
    match (fold::is(a, 0.0), fold::is(b, 0.0)) {
        (_, true) if a.graph().same(b.graph()) => a.clone(),
        (true, _) if a.graph().same(b.graph()) => b.clone(),
        _ => binary("+", Op::Add, a, b),
    }
}

fn sub(a: &Expr, b: &Expr) -> Expr {
    if let Some(folded) = fold::arithmetic(Arithmetic::Sub, a, b) {
        return folded;
    }
    if fold::is(b, 0.0) && a.graph().same(b.graph()) {
        return a.clone();
    }
    binary("-", Op::Sub, a, b)
}

fn mul(a: &Expr, b: &Expr) -> Expr {
    if let Some(folded) = fold::arithmetic(Arithmetic::Mul, a, b) {
        return folded;
    }
    if a.graph().same(b.graph()) {
        if fold::is(b, 1.0) {
            return a.clone();
        }
        if fold::is(a, 1.0) {
            return b.clone();
        }
        if a.id().is_some() && a.id() == b.id() {
            return unary(Op::Map(Function::Square), a, a.shape());
        }
    }
    binary("*", Op::Mul, a, b)
}

fn div(a: &Expr, b: &Expr) -> Expr {
    if let Some(folded) = fold::arithmetic(Arithmetic::Div, a, b) {
        return folded;
    }
    if fold::is(b, 1.0) && a.graph().same(b.graph()) {
        return a.clone();
    }
    binary("/", Op::Div, a, b)
}

fn neg(a: &Expr) -> Expr {
    match node(a) {
        Some(inner) => match inner.op {
            Op::Constant { values, rounded } if inner.shape == Shape::Scalar => {
                let value = values.first().copied().unwrap_or_default();
                a.graph().decimal(-value, rounded)
            }
            Op::Neg => a.with_id(inner.args[0]),
            _ => unary(Op::Neg, a, a.shape()),
        },
        None => a.poisoned(),
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $function:ident) => {
        impl $trait<&Expr> for &Expr {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr {
                $function(self, other)
            }
        }
        impl $trait<Expr> for &Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                $function(self, &other)
            }
        }
        impl $trait<&Expr> for Expr {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr {
                $function(&self, other)
            }
        }
        impl $trait<Expr> for Expr {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                $function(&self, &other)
            }
        }
        impl $trait<f64> for &Expr {
            type Output = Expr;
            fn $method(self, other: f64) -> Expr {
                $function(self, &self.graph().constant(other))
            }
        }
        impl $trait<f64> for Expr {
            type Output = Expr;
            fn $method(self, other: f64) -> Expr {
                $function(&self, &self.graph().constant(other))
            }
        }
        impl $trait<&Expr> for f64 {
            type Output = Expr;
            fn $method(self, other: &Expr) -> Expr {
                $function(&other.graph().constant(self), other)
            }
        }
        impl $trait<Expr> for f64 {
            type Output = Expr;
            fn $method(self, other: Expr) -> Expr {
                $function(&other.graph().constant(self), &other)
            }
        }
    };
}

operator!(Add, add, add);
operator!(Sub, sub, sub);
operator!(Mul, mul, mul);
operator!(Div, div, div);

impl Neg for &Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        neg(self)
    }
}

impl Neg for Expr {
    type Output = Expr;
    fn neg(self) -> Expr {
        neg(&self)
    }
}
