//! How functions of y bend, by composition rules.

use crate::proof::interval::Interval;
use crate::proof::program::Unary;

/// How a function of y bends, x fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Constant,
    Affine,
    Convex,
    Concave,
    Unknown,
}

impl Shape {
    pub fn plus(self, other: Shape) -> Shape {
        match (self, other) {
            (Shape::Constant, s) | (s, Shape::Constant) => s,
            (Shape::Affine, s) | (s, Shape::Affine) => s,
            (a, b) if a == b => a,
            _ => Shape::Unknown,
        }
    }

    pub fn negated(self) -> Shape {
        match self {
            Shape::Convex => Shape::Concave,
            Shape::Concave => Shape::Convex,
            other => other,
        }
    }

    pub fn scaled(self, by: Interval) -> Shape {
        if by.lo() >= 0.0 {
            self
        } else if by.hi() <= 0.0 {
            self.negated()
        } else {
            self.plus(self.negated())
        }
    }

    pub fn is_affine(self) -> bool {
        matches!(self, Shape::Constant | Shape::Affine)
    }

    pub fn is_convex(self) -> bool {
        self.is_affine() || self == Shape::Convex
    }

    pub fn is_concave(self) -> bool {
        self.is_affine() || self == Shape::Concave
    }
}

/// How the composition with `function` bends, for an argument of shape `inner` with values in `z`.
pub(super) fn composed(function: Unary, inner: Shape, z: Interval) -> Shape {
    let (convex, concave) = (inner.is_convex(), inner.is_concave());
    let choose = |is_convex: bool, is_concave: bool| match (is_convex, is_concave) {
        (true, _) => Shape::Convex,
        (_, true) => Shape::Concave,
        _ => Shape::Unknown,
    };
    if inner == Shape::Constant {
        return Shape::Constant;
    }
    // Even convex functions: of an affine argument, or where they are monotone.
    let even = inner.is_affine() || (convex && z.lo() >= 0.0) || (concave && z.hi() <= 0.0);
    match function {
        Unary::Neg => inner.negated(),
        Unary::Square | Unary::Abs | Unary::Huber(_) => choose(even, false),
        Unary::Exp | Unary::Expm1 | Unary::Softplus | Unary::Plus | Unary::PlusSquare => choose(convex, false),
        Unary::Log | Unary::Log1p | Unary::Sqrt => choose(false, concave),
        Unary::Whole(n) if n > 0 && n % 2 == 0 => choose(even, false),
        Unary::Whole(n) if n > 0 => choose(convex && z.lo() >= 0.0, concave && z.hi() <= 0.0),
        Unary::Whole(n) if n < 0 => choose(concave && z.lo() > 0.0, false),
        Unary::Power(p) if p.lo() >= 1.0 => choose(convex && z.lo() >= 0.0, false),
        Unary::Power(p) if p.hi() < 0.0 => choose(concave && z.lo() > 0.0, false),
        Unary::Power(p) if p.lo() >= 0.0 && p.hi() <= 1.0 => choose(false, concave),
        Unary::AbsPower(p) if p.lo() >= 1.0 => choose(even, false),
        _ => Shape::Unknown,
    }
}
