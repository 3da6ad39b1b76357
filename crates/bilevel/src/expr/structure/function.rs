//! What is known of an elementwise function on a range of its argument: values, slopes, second derivatives, and the
//! polynomial piece that it coincides with there (`abs` on z >= 0 is the identity).

use super::Range;
use crate::expr::Function;

/// A function on a range of its argument.
pub(in crate::expr) struct Local {
    /// Encloses the values.
    pub values: Range,
    /// Encloses the one-sided slopes.
    pub slopes: Range,
    /// Encloses the second derivative where the slope is Lipschitz; `None` where there is a kink.
    pub second: Option<Range>,
    /// Whether the function is twice continuously differentiable wherever it is defined.
    pub smooth: bool,
    /// Whether it is convex.
    pub convex: bool,
    /// Whether it is concave.
    pub concave: bool,
}

/// The polynomial that a function coincides with on a range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Piece {
    /// `offset + slope * z`.
    Affine { slope: f64, offset: f64 },
    /// `weight * z²`.
    Square { weight: f64 },
    /// No polynomial of degree 2 or less.
    Other,
}

/// The piece of `function` on `z`.
pub(super) fn piece(function: Function, z: Range) -> Piece {
    let linear = |slope| Piece::Affine { slope, offset: 0.0 };
    match function {
        Function::Square => Piece::Square { weight: 1.0 },
        Function::Abs if z.is_nonnegative() => linear(1.0),
        Function::Abs if z.is_nonpositive() => linear(-1.0),
        Function::Plus if z.is_nonnegative() => linear(1.0),
        Function::Plus if z.is_nonpositive() => linear(0.0),
        Function::Huber(delta) if z.magnitude() <= delta => Piece::Square { weight: 0.5 },
        Function::Huber(delta) if z.lower() >= delta => Piece::Affine { slope: delta, offset: -0.5 * delta * delta },
        Function::Huber(delta) if z.upper() <= -delta => Piece::Affine { slope: -delta, offset: -0.5 * delta * delta },
        Function::AbsPower(2.0) | Function::Power(2.0) => Piece::Square { weight: 1.0 },
        Function::AbsPower(1.0) => piece(Function::Abs, z),
        Function::Power(1.0) => linear(1.0),
        Function::Power(0.0) => Piece::Affine { slope: 0.0, offset: 1.0 },
        Function::Exp
        | Function::Log
        | Function::Log1p
        | Function::Expm1
        | Function::Sqrt
        | Function::Sin
        | Function::Cos
        | Function::Tan
        | Function::Tanh
        | Function::Sigmoid
        | Function::Softplus
        | Function::Abs
        | Function::Plus
        | Function::Huber(_)
        | Function::AbsPower(_)
        | Function::Power(_) => Piece::Other,
    }
}

/// A twice differentiable function, convex or concave as its second derivative says.
fn regular(values: Range, slopes: Range, second: Range) -> Local {
    Local {
        values,
        slopes,
        second: Some(second),
        smooth: true,
        convex: second.is_nonnegative(),
        concave: second.is_nonpositive(),
    }
}

fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let small = z.exp();
        small / (1.0 + small)
    }
}

fn softplus(z: f64) -> f64 {
    if z == f64::INFINITY { z } else { z.max(0.0) + (-z.abs()).exp().ln_1p() }
}

/// What is known of `function` on `z`.
pub(in crate::expr) fn local(function: Function, z: Range) -> Local {
    match function {
        Function::Exp => {
            let values = z.increasing(f64::exp);
            regular(values, values, values)
        }
        Function::Expm1 => {
            let slopes = z.increasing(f64::exp);
            regular(z.increasing(f64::exp_m1), slopes, slopes)
        }
        Function::Log => {
            let domain = z.at_least(0.0);
            regular(domain.increasing(f64::ln), domain.power(-1.0), domain.power(-2.0).neg())
        }
        Function::Log1p => {
            let domain = z.at_least(-1.0);
            let shifted = domain.add(Range::point(1.0));
            regular(domain.increasing(f64::ln_1p), shifted.power(-1.0), shifted.power(-2.0).neg())
        }
        Function::Sqrt => {
            let domain = z.at_least(0.0);
            let smooth = z.lower() > 0.0;
            let second = domain.power(-1.5).scale(-0.25);
            Local { smooth, ..regular(domain.increasing(f64::sqrt), domain.power(-0.5).scale(0.5), second) }
        }
        Function::Square => regular(z.square(), z.scale(2.0), Range::point(2.0)),
        Function::Sin => regular(z.sin(), z.cos(), z.sin().neg()),
        Function::Cos => regular(z.cos(), z.sin().neg(), z.cos().neg()),
        Function::Tan => tan(z),
        Function::Tanh => {
            let values = z.increasing(f64::tanh);
            let slopes = Range::point(1.0).sub(values.square()).at_least(0.0);
            regular(values, slopes, values.mul(slopes).scale(-2.0))
        }
        Function::Sigmoid => {
            let values = z.increasing(sigmoid);
            let slopes = values.mul(z.neg().increasing(sigmoid));
            let turn = Range::new(0.5 * (-0.5 * z.upper()).tanh(), 0.5 * (-0.5 * z.lower()).tanh());
            regular(values, slopes, slopes.mul(turn).scale(2.0))
        }
        Function::Softplus => {
            let slopes = z.increasing(sigmoid);
            regular(z.increasing(softplus), slopes, slopes.mul(z.neg().increasing(sigmoid)))
        }
        Function::Abs => kink(function, z, z.abs(), z.increasing(f64::signum)),
        Function::Plus => kink(function, z, z.at_least(0.0), z.increasing(|z| if z > 0.0 { 1.0 } else { 0.0 })),
        Function::Huber(delta) => huber(delta, z),
        Function::AbsPower(p) => abs_power(p, z),
        Function::Power(p) => power(p, z),
    }
}

fn tan(z: Range) -> Local {
    use std::f64::consts::{FRAC_PI_2, PI};
    if z.magnitude() > 1e6 || z.meets(FRAC_PI_2, PI) {
        return regular(Range::ALL, Range::ALL, Range::ALL);
    }
    let values = z.increasing(f64::tan);
    let slopes = values.square().add(Range::point(1.0));
    regular(values, slopes, values.mul(slopes).scale(2.0))
}

/// A piecewise linear convex function with its kink at 0.
fn kink(function: Function, z: Range, values: Range, slopes: Range) -> Local {
    match piece(function, z) {
        Piece::Affine { slope, .. } => regular(values, Range::point(slope), Range::ZERO),
        _ => Local { values, slopes, second: None, smooth: false, convex: true, concave: false },
    }
}

fn huber(delta: f64, z: Range) -> Local {
    let size = z.abs();
    let at = |z: f64| if z <= delta { 0.5 * z * z } else { delta * (z - 0.5 * delta) };
    let slopes = z.increasing(|z| z.clamp(-delta, delta));
    let piece = piece(Function::Huber(delta), z);
    let second = match piece {
        Piece::Square { .. } => Range::point(1.0),
        Piece::Affine { .. } => Range::ZERO,
        Piece::Other => Range::new(0.0, 1.0),
    };
    let smooth = piece != Piece::Other;
    Local { smooth, ..regular(size.increasing(at), slopes, second) }
}

fn abs_power(p: f64, z: Range) -> Local {
    if p == 1.0 {
        return local(Function::Abs, z);
    }
    let size = z.abs();
    let values = size.power(p);
    let one_sided = z.is_nonnegative() || z.is_nonpositive();
    let steep = size.power(p - 1.0).scale(p);
    let slopes = if z.is_nonnegative() {
        steep
    } else if z.is_nonpositive() {
        steep.neg()
    } else {
        steep.hull(steep.neg())
    };
    // For p = 2 the exponent p - 2 is 0, and the second derivative is 2 everywhere.
    let second = (p > 1.0 || one_sided).then(|| size.power(p - 2.0).scale(p * (p - 1.0)));
    let smooth = p >= 2.0 || size.lower() > 0.0;
    Local { values, slopes, second, smooth, convex: p >= 1.0, concave: p < 1.0 && one_sided }
}

fn power(p: f64, z: Range) -> Local {
    let whole = p.fract() == 0.0;
    let domain = if whole { z } else { z.at_least(0.0) };
    let slopes = if p == 0.0 { Range::ZERO } else { domain.power(p - 1.0).scale(p) };
    let factor = p * (p - 1.0);
    let second = if factor == 0.0 { Range::ZERO } else { domain.power(p - 2.0).scale(factor) };
    if whole && p < 0.0 && z.contains_inside(0.0) {
        // The domain falls into two parts: nothing holds across the pole.
        return regular(domain.power(p), Range::ALL, Range::ALL);
    }
    let smooth = whole || !(0.0..2.0).contains(&p) || z.lower() > 0.0;
    Local { smooth, ..regular(domain.power(p), slopes, second) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::structure::testing::function_value;
    use proptest::prelude::*;

    fn functions() -> impl Strategy<Value = Function> {
        prop_oneof![
            Just(Function::Exp),
            Just(Function::Log),
            Just(Function::Log1p),
            Just(Function::Expm1),
            Just(Function::Sqrt),
            Just(Function::Square),
            Just(Function::Sin),
            Just(Function::Cos),
            Just(Function::Tan),
            Just(Function::Tanh),
            Just(Function::Sigmoid),
            Just(Function::Softplus),
            Just(Function::Abs),
            Just(Function::Plus),
            (0.1..2.0f64).prop_map(Function::Huber),
            prop_oneof![0.1..4.0f64, (1i32..5).prop_map(f64::from)].prop_map(Function::AbsPower),
            prop_oneof![-3.0..4.0f64, (-4i32..5).prop_map(f64::from)].prop_map(Function::Power),
        ]
    }

    fn contains(range: Range, value: f64, slack: f64) -> bool {
        !value.is_finite() || (range.lower() - slack <= value && value <= range.upper() + slack)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn claims_hold_at_samples(
            function in functions(),
            ends in prop_oneof![(-3.0..3.0f64, -3.0..3.0f64), (-3i32..=3, -3i32..=3).prop_map(|(a, b)| (a.into(), b.into()))],
            t in 0.0..=1.0f64,
            s in 0.0..=1.0f64,
        ) {
            let z = Range::between(ends.0, ends.1);
            let width = z.upper() - z.lower();
            let known = local(function, z);
            let (a, b) = (z.lower() + t * width, z.lower() + s * width);
            let f = |z: f64| function_value(function, z);
            let (fa, fb, fm) = (f(a), f(b), f(0.5 * (a + b)));
            prop_assert!(contains(known.values, fa, 1e-9 * (1.0 + fa.abs())), "{:?} {fa}", known.values);
            let chord = 0.5 * (fa + fb) - fm;
            let slack = 1e-9 * (1.0 + fa.abs() + fb.abs());
            if chord.is_finite() {
                prop_assert!(!known.convex || chord >= -slack, "{function:?} on {z:?} is not convex: {a} {b}");
                prop_assert!(!known.concave || chord <= slack, "{function:?} on {z:?} is not concave: {a} {b}");
            }
            let slope = (fb - fa) / (b - a);
            if (b - a).abs() > 1e-3 {
                prop_assert!(contains(known.slopes, slope, 1e-6 * (1.0 + slope.abs())), "{:?} {slope}", known.slopes);
            }
            if let (Some(second), true) = (known.second, (b - a).abs() > 1e-2) {
                // A chord's second difference is an average of the second derivative.
                let bend = 8.0 * chord / ((b - a) * (b - a));
                prop_assert!(contains(second, bend, 1e-4 * (1.0 + bend.abs())), "{second:?} {bend}");
            }
            match piece(function, z) {
                Piece::Affine { slope, offset } => prop_assert!((offset + slope * a - fa).abs() < 1e-9 * (1.0 + fa.abs())),
                Piece::Square { weight } => prop_assert!((weight * a * a - fa).abs() < 1e-9 * (1.0 + fa.abs())),
                Piece::Other => {}
            }
        }
    }

    #[test]
    fn smoothness_follows_the_range() {
        let smooth = |f, a, b| local(f, Range::new(a, b)).smooth;
        assert!(smooth(Function::Abs, 0.0, 2.0) && !smooth(Function::Abs, -1.0, 2.0));
        assert!(smooth(Function::Sqrt, 0.1, 2.0) && !smooth(Function::Sqrt, 0.0, 2.0));
        assert!(smooth(Function::AbsPower(3.0), -1.0, 1.0) && !smooth(Function::AbsPower(1.5), -1.0, 1.0));
        assert!(smooth(Function::Huber(1.0), -1.0, 1.0) && !smooth(Function::Huber(1.0), -1.0, 1.1));
        assert!(smooth(Function::Log, -1.0, 1.0), "smooth where it is defined");
        assert!(smooth(Function::Power(3.0), -1.0, 1.0) && !smooth(Function::Power(1.5), -1.0, 1.0));
    }
}
