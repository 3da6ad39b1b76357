//! Arithmetic of scalar constants.
//!
//! A result is folded into one constant where its operands are exact and the result is finite. The operations are
//! correctly rounded, so a result that is not exact lies within one ulp of the true one: just what a constant marked
//! as rounded stands for. Operands that are rounded themselves are left alone, because two errors could add up.

use crate::expr::{Expr, Op, Shape};

/// An operation of two numbers.
#[derive(Clone, Copy)]
pub(super) enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
}

/// The value of a scalar constant and whether it stands for a nearby decimal.
pub(super) fn scalar(expr: &Expr) -> Option<(f64, bool)> {
    let node = super::node(expr)?;
    match (node.op, node.shape) {
        (Op::Constant { values, rounded }, Shape::Scalar) => values.first().map(|&v| (v, rounded)),
        _ => None,
    }
}

/// Whether `expr` is the scalar constant `value`, exactly.
pub(super) fn is(expr: &Expr, value: f64) -> bool {
    scalar(expr) == Some((value, false))
}

/// `left op right` as one constant, where both are exact scalar constants of one graph.
pub(super) fn arithmetic(op: Arithmetic, left: &Expr, right: &Expr) -> Option<Expr> {
    let ((a, false), (b, false)) = (scalar(left)?, scalar(right)?) else {
        return None;
    };
    let (value, exact) = compute(op, a, b);
    (value.is_finite() && left.graph().same(right.graph())).then(|| left.graph().decimal(value, !exact))
}

/// `z^p` as one constant for an exact constant `z`, where every product on the way is exact.
pub(super) fn power(z: &Expr, p: f64) -> Option<Expr> {
    const MOST: f64 = 64.0;
    let (base, false) = scalar(z)? else {
        return None;
    };
    if !(0.0..=MOST).contains(&p) || p.fract() != 0.0 {
        return None;
    }
    let mut value = 1.0;
    for _ in 0..p as usize {
        let (product, exact) = compute(Arithmetic::Mul, value, base);
        if !exact || !product.is_finite() {
            return None;
        }
        value = product;
    }
    Some(z.graph().constant(value))
}

/// The rounded result, and whether it is exact.
fn compute(op: Arithmetic, a: f64, b: f64) -> (f64, bool) {
    match op {
        Arithmetic::Add => {
            let sum = a + b;
            // Knuth's two-sum: the error of a sum is itself a number.
            let part = sum - a;
            let error = (a - (sum - part)) + (b - part);
            (sum, error == 0.0)
        }
        Arithmetic::Sub => compute(Arithmetic::Add, a, -b),
        Arithmetic::Mul => {
            let product = a * b;
            (product, a == 0.0 || b == 0.0 || (no_underflow(product) && a.mul_add(b, -product) == 0.0))
        }
        Arithmetic::Div => {
            let quotient = a / b;
            let checked = no_underflow(quotient) && no_underflow(a);
            (quotient, a == 0.0 || (checked && quotient.mul_add(b, -a) == 0.0))
        }
    }
}

/// Whether the error of an operation with this result is representable.
fn no_underflow(result: f64) -> bool {
    result.abs() > 1e-280
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactness_is_recognised() {
        use Arithmetic::{Add, Div, Mul, Sub};
        assert_eq!(compute(Add, 1.0, 2.0), (3.0, true));
        assert_eq!(compute(Add, 1.0, 1e-30), (1.0, false));
        assert_eq!(compute(Sub, 0.1, 0.1), (0.0, true));
        assert_eq!(compute(Mul, 2.0, 3.0), (6.0, true));
        assert!(!compute(Mul, 0.1, 0.1).1);
        assert_eq!(compute(Mul, 1e-200, 1e-200), (0.0, false));
        assert_eq!(compute(Div, 6.0, 3.0), (2.0, true));
        assert!(!compute(Div, 1.0, 3.0).1);
        assert_eq!(compute(Div, 1e-200, 1e200), (0.0, false));
    }
}
