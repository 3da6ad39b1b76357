//! Elementwise functions over slices: one loop per function, so that the choice is made once per instruction.

use crate::expr::Function;
use crate::expr::atom::{abs, abs_power, elementary, huber, plus};
use crate::smooth::Smoothing;

/// Writes the values at `z`.
pub(super) fn values(function: Function, z: &[f64], out: &mut [f64], smoothing: Smoothing<'_>) {
    #[inline]
    fn each(z: &[f64], out: &mut [f64], f: impl Fn(f64) -> f64) {
        for (o, &v) in out.iter_mut().zip(z) {
            *o = f(v);
        }
    }
    match function {
        Function::Exp => each(z, out, f64::exp),
        Function::Log => each(z, out, f64::ln),
        Function::Log1p => each(z, out, f64::ln_1p),
        Function::Expm1 => each(z, out, f64::exp_m1),
        Function::Sqrt => each(z, out, f64::sqrt),
        Function::Square => each(z, out, |v| v * v),
        Function::Sin => each(z, out, f64::sin),
        Function::Cos => each(z, out, f64::cos),
        Function::Tan => each(z, out, f64::tan),
        Function::Tanh => each(z, out, f64::tanh),
        Function::Sigmoid => each(z, out, elementary::sigmoid),
        Function::Softplus => each(z, out, elementary::softplus),
        Function::Abs => each(z, out, |v| abs::value(v, smoothing)),
        Function::Plus => each(z, out, |v| plus::value(v, smoothing)),
        Function::Huber(delta) => each(z, out, |v| huber::value(v, delta)),
        Function::AbsPower(p) => each(z, out, |v| abs_power::value(v, p, smoothing.mu())),
        Function::Power(p) => each(z, out, |v| elementary::power(v, p)),
    }
}

/// Calls `sink(i, first, second)` with the derivatives at every `z[i]`.
#[inline]
pub(super) fn slopes(function: Function, z: &[f64], smoothing: Smoothing<'_>, sink: impl FnMut(usize, f64, f64)) {
    #[inline]
    fn each(z: &[f64], mut sink: impl FnMut(usize, f64, f64), f: impl Fn(f64) -> (f64, f64)) {
        for (i, &v) in z.iter().enumerate() {
            let (first, second) = f(v);
            sink(i, first, second);
        }
    }
    match function {
        Function::Exp | Function::Expm1 => each(z, sink, |v| (v.exp(), v.exp())),
        Function::Log => each(z, sink, elementary::log_slopes),
        Function::Log1p => each(z, sink, elementary::log1p_slopes),
        Function::Sqrt => each(z, sink, elementary::sqrt_slopes),
        Function::Square => each(z, sink, |v| (2.0 * v, 2.0)),
        Function::Sin => each(z, sink, |v| (v.cos(), -v.sin())),
        Function::Cos => each(z, sink, |v| (-v.sin(), -v.cos())),
        Function::Tan => each(z, sink, elementary::tan_slopes),
        Function::Tanh => each(z, sink, elementary::tanh_slopes),
        Function::Sigmoid => each(z, sink, elementary::sigmoid_slopes),
        Function::Softplus => each(z, sink, elementary::softplus_slopes),
        Function::Abs => each(z, sink, |v| abs::slopes(v, smoothing)),
        Function::Plus => each(z, sink, |v| plus::slopes(v, smoothing)),
        Function::Huber(delta) => each(z, sink, |v| huber::slopes(v, delta)),
        Function::AbsPower(p) => each(z, sink, |v| abs_power::slopes(v, p, smoothing.mu())),
        Function::Power(p) => each(z, sink, |v| elementary::power_slopes(v, p)),
    }
}
