//! The closed list of operations. Everything that interprets formulas (tape, structure, intervals,
//! printing) matches on [`Op`] without a wildcard, so that the compiler names each place to extend.

use std::sync::Arc;

use super::Matrix;

/// The level that a variable belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// The leader (upper level), variables `x`.
    Leader,
    /// The follower (lower level), variables `y`.
    Follower,
}

/// An elementwise function of one argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// e^z.
    Exp,
    /// Natural logarithm; NaN for z < 0, -inf at 0.
    Log,
    /// ln(1 + z).
    Log1p,
    /// e^z - 1.
    Expm1,
    /// Square root; NaN for z < 0.
    Sqrt,
    /// z².
    Square,
    /// Sine (radians).
    Sin,
    /// Cosine (radians).
    Cos,
    /// Tangent (radians).
    Tan,
    /// Hyperbolic tangent.
    Tanh,
    /// 1 / (1 + e^-z).
    Sigmoid,
    /// ln(1 + e^z).
    Softplus,
    /// |z|, smoothed by the family.
    Abs,
    /// max(z, 0), smoothed by the family.
    Plus,
    /// Huber's function: z²/2 for |z| <= delta, delta (|z| - delta/2) beyond; delta > 0.
    Huber(f64),
    /// |z|^p, p > 0; smoothed to (z² + mu²)^(p/2) for p < 2 (Example 4.11).
    AbsPower(f64),
    /// z^p for a constant p; an integer p is defined for every z (nonzero for p < 0), others for z >= 0.
    Power(f64),
}

/// An operation of the expression graph. Lengths follow from the arguments' shapes.
#[derive(Clone, Debug)]
pub enum Op {
    /// A block of variables, starting at `offset` in its level's vector.
    Variable {
        /// Whose variable.
        level: Level,
        /// Position of its first component in the level's flat vector.
        offset: usize,
    },
    /// A constant. `rounded` says that the text it was read from is a decimal that no `f64` equals, so that
    /// proofs take one ulp to either side.
    Constant {
        /// The values.
        values: Arc<[f64]>,
        /// Whether the values stand for nearby decimals.
        rounded: bool,
    },
    /// Elementwise sum, scalars broadcast.
    Add,
    /// Elementwise difference, scalars broadcast.
    Sub,
    /// Elementwise product, scalars broadcast.
    Mul,
    /// Elementwise quotient, scalars broadcast.
    Div,
    /// Negation.
    Neg,
    /// Elementwise a^b with an exponent that is not constant: exp(b ln a), a > 0; scalars broadcast.
    PowerOf,
    /// An elementwise function.
    Map(Function),
    /// Elementwise larger of two, scalars broadcast; smoothed as b + plus(a - b).
    Max,
    /// Elementwise smaller of two, scalars broadcast; smoothed as b - plus(b - a).
    Min,
    /// Largest entry of a vector (a scalar); smoothed as a balanced tree of pairwise maxima.
    MaxOf,
    /// Sum of all entries (a scalar).
    Sum,
    /// Inner product of two vectors (a scalar).
    Dot,
    /// Sum of squares of all entries (a scalar).
    SumSquares,
    /// Constant matrix times vector, or its transpose times vector.
    MatVec {
        /// The matrix A.
        matrix: Matrix,
        /// Whether Aᵀ is meant.
        transpose: bool,
    },
    /// zᵀ Q z with a constant square Q (a scalar).
    Quadratic {
        /// The matrix Q, not necessarily symmetric.
        matrix: Matrix,
    },
    /// Euclidean norms of consecutive groups; group `g` holds the entries `starts[g]..starts[g + 1]`. With one
    /// group it is norm2. Smoothed as abs_mu(‖z_g‖).
    GroupNorms {
        /// Group boundaries, increasing, from 0 to the argument's length.
        starts: Arc<[usize]>,
    },
    /// (Σ|z_i|^p)^(1/p), p > 0; for p < 1 a quasi-norm. Smoothed through |z_i| -> abs_mu(z_i) for p > 1 and
    /// |z_i|^p -> (z_i² + mu²)^(p/2) for p < 1.
    NormP(f64),
    /// Picks entries: `out[i] = arg[indices[i]]`. Indexing and slicing are gathers.
    Gather(Arc<[usize]>),
    /// All arguments one after the other.
    Concat,
}

impl Op {
    /// Whether a smoothing family changes the operation.
    pub fn has_kink(&self) -> bool {
        matches!(
            self,
            Op::Map(Function::Abs | Function::Plus)
                | Op::Max
                | Op::Min
                | Op::MaxOf
                | Op::GroupNorms { .. }
                | Op::NormP(_)
        )
    }
}
