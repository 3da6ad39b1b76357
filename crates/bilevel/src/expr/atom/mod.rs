//! The functions behind the operations: values, first and second derivatives, safe at every scale.
//!
//! A function of one variable gives `value` and `slopes` (first and second derivative); one of two variables gives a
//! [`PairSlopes`]; one of a vector works on slices. The tape calls them; it alone knows about storage. NaN in gives NaN
//! out, so nothing here uses `f64::max` on values that may be NaN.

pub(super) mod abs;
pub(super) mod abs_power;
pub(super) mod elementary;
pub(super) mod envelope_max;
pub(super) mod extremum;
pub(super) mod group_norms;
pub(super) mod huber;
pub(super) mod norm_p;
pub(super) mod plus;

/// First and second derivatives of a function of `(a, b)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PairSlopes {
    pub a: f64,
    pub b: f64,
    pub aa: f64,
    pub ab: f64,
    pub bb: f64,
}

/// `weight * derivative`, where a weight of 0 wins over an infinite derivative: what does not count cannot spoil the
/// rest.
#[inline]
pub(super) fn chain(weight: f64, derivative: f64) -> f64 {
    if weight == 0.0 { 0.0 } else { weight * derivative }
}

/// The largest of |z_i|, 0 for no entries, NaN if an entry is NaN.
pub(super) fn largest_magnitude(z: &[f64]) -> f64 {
    let mut most = 0.0;
    for v in z {
        if v.is_nan() {
            return f64::NAN;
        }
        if v.abs() > most {
            most = v.abs();
        }
    }
    most
}

/// The sum of `term(i)` for `i` in `0..n`, in eight partial sums: a chain of additions would wait for each of them.
#[inline]
pub(super) fn sum(n: usize, term: impl Fn(usize) -> f64) -> f64 {
    const LANES: usize = 8;
    let mut partial = [0.0; LANES];
    let whole = n - n % LANES;
    for start in (0..whole).step_by(LANES) {
        for (lane, p) in partial.iter_mut().enumerate() {
            *p += term(start + lane);
        }
    }
    for i in whole..n {
        partial[0] += term(i);
    }
    ((partial[0] + partial[1]) + (partial[2] + partial[3])) + ((partial[4] + partial[5]) + (partial[6] + partial[7]))
}
