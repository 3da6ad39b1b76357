//! The functions of one argument.

use crate::proof::interval::Interval;

/// A function of one argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// -z.
    Neg,
    /// z².
    Square,
    /// e^z.
    Exp,
    /// ln z, z > 0.
    Log,
    /// ln(1 + z), z > -1.
    Log1p,
    /// e^z - 1.
    Expm1,
    /// Root of z >= 0.
    Sqrt,
    /// Sine.
    Sin,
    /// Cosine.
    Cos,
    /// Tangent.
    Tan,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-z).
    Sigmoid,
    /// ln(1 + e^z).
    Softplus,
    /// |z|.
    Abs,
    /// max(z, 0).
    Plus,
    /// max(z, 0)².
    PlusSquare,
    /// z^n for an integer n.
    Whole(i32),
    /// z^p, z >= 0, for a constant p that an interval encloses.
    Power(Interval),
    /// |z|^p, p > 0.
    AbsPower(Interval),
    /// Huber's function with its bend at d > 0.
    Huber(f64),
}

impl Unary {
    /// Whether the function is defined (and continuous) at all of `z`.
    pub fn defined_on(self, z: Interval) -> bool {
        match self {
            Unary::Log => z.lo() > 0.0,
            Unary::Log1p => z.lo() > -1.0,
            Unary::Sqrt => z.lo() >= 0.0,
            Unary::Tan => !z.has_tangent_pole(),
            Unary::Whole(n) => n >= 0 || !z.contains(0.0),
            Unary::Power(p) => z.lo() > 0.0 || (z.lo() == 0.0 && p.lo() > 0.0),
            _ => true,
        }
    }

    /// Whether the function is defined everywhere.
    pub(super) fn is_total(self) -> bool {
        !matches!(self, Unary::Log | Unary::Log1p | Unary::Sqrt | Unary::Tan | Unary::Power(_))
            && !matches!(self, Unary::Whole(n) if n < 0)
    }

    /// Whether a derivative jumps or blows up at some point.
    pub(super) fn has_kink(self) -> bool {
        matches!(self, Unary::Abs | Unary::Plus | Unary::AbsPower(_) | Unary::PlusSquare | Unary::Huber(_))
    }

    /// A number for the function and its constants; equal for equal functions.
    pub(super) fn key(self) -> (u8, u64, u64) {
        let interval = |tag, p: Interval| (tag, p.lo().to_bits(), p.hi().to_bits());
        match self {
            Unary::Neg => (0, 0, 0),
            Unary::Square => (1, 0, 0),
            Unary::Exp => (2, 0, 0),
            Unary::Log => (3, 0, 0),
            Unary::Log1p => (4, 0, 0),
            Unary::Expm1 => (5, 0, 0),
            Unary::Sqrt => (6, 0, 0),
            Unary::Sin => (7, 0, 0),
            Unary::Cos => (8, 0, 0),
            Unary::Tan => (9, 0, 0),
            Unary::Tanh => (10, 0, 0),
            Unary::Sigmoid => (11, 0, 0),
            Unary::Softplus => (12, 0, 0),
            Unary::Abs => (13, 0, 0),
            Unary::Plus => (14, 0, 0),
            Unary::PlusSquare => (15, 0, 0),
            Unary::Whole(n) => (16, n as u64, 0),
            Unary::Power(p) => interval(17, p),
            Unary::AbsPower(p) => interval(18, p),
            Unary::Huber(d) => (19, d.to_bits(), 0),
        }
    }
}

/// A constant exponent: a fraction with few binary digits is meant exactly, any other may be a rounded decimal.
pub(super) fn exponent(p: f64) -> Interval {
    if (p * 1_048_576.0).fract() == 0.0 { Interval::point(p) } else { Interval::rounded(p) }
}
