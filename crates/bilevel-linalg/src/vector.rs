//! Vector kernels on slices.
//!
//! Where two slices differ in length the shorter one decides: nothing here panics. Sums use eight running totals, so
//! that the compiler may vectorise them; the order of summation is fixed, hence results repeat to the last bit.

const LANES: usize = 8;

/// `Σ a_i b_i`.
#[inline]
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let (a_blocks, a_rest) = a.as_chunks::<LANES>();
    let (b_blocks, b_rest) = b.as_chunks::<LANES>();
    let mut total = [0.0; LANES];
    for (x, y) in a_blocks.iter().zip(b_blocks) {
        for k in 0..LANES {
            total[k] += x[k] * y[k];
        }
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(x, y)| x * y).sum();
    fold(total) + rest
}

fn fold(t: [f64; LANES]) -> f64 {
    ((t[0] + t[4]) + (t[2] + t[6])) + ((t[1] + t[5]) + (t[3] + t[7]))
}

/// `y += alpha * x`.
#[inline]
pub fn axpy(alpha: f64, x: &[f64], y: &mut [f64]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += alpha * x;
    }
}

/// `y = alpha * x + beta * y`; with `beta = 0` whatever `y` held (NaN too) is forgotten.
#[inline]
pub fn axpby(alpha: f64, x: &[f64], beta: f64, y: &mut [f64]) {
    if beta == 0.0 {
        for (y, x) in y.iter_mut().zip(x) {
            *y = alpha * x;
        }
    } else {
        for (y, x) in y.iter_mut().zip(x) {
            *y = alpha * x + beta * *y;
        }
    }
}

/// `out = a + alpha * b`.
#[inline]
pub fn add_scaled(a: &[f64], alpha: f64, b: &[f64], out: &mut [f64]) {
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        *o = a + alpha * b;
    }
}

/// `out = a - b`.
#[inline]
pub fn sub(a: &[f64], b: &[f64], out: &mut [f64]) {
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        *o = a - b;
    }
}

/// `x *= alpha`.
#[inline]
pub fn scale(alpha: f64, x: &mut [f64]) {
    for x in x {
        *x *= alpha;
    }
}

/// `Σ x_i`.
#[inline]
pub fn sum(x: &[f64]) -> f64 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut total = [0.0; LANES];
    for block in blocks {
        for k in 0..LANES {
            total[k] += block[k];
        }
    }
    fold(total) + rest.iter().sum::<f64>()
}

/// `Σ |x_i|`.
#[inline]
pub fn norm1(x: &[f64]) -> f64 {
    let (blocks, rest) = x.as_chunks::<LANES>();
    let mut total = [0.0; LANES];
    for block in blocks {
        for k in 0..LANES {
            total[k] += block[k].abs();
        }
    }
    fold(total) + rest.iter().map(|x| x.abs()).sum::<f64>()
}

/// `Σ x_i²`.
#[inline]
pub fn norm2_squared(x: &[f64]) -> f64 {
    dot(x, x)
}

/// The Euclidean norm, without overflow or harmful underflow in between.
pub fn norm2(x: &[f64]) -> f64 {
    let squared = dot(x, x);
    if squared > 1e-280 && squared < f64::INFINITY {
        return squared.sqrt();
    }
    let largest = norm_inf(x);
    if largest == 0.0 || !largest.is_finite() {
        return largest;
    }
    largest * x.iter().map(|v| (v / largest).powi(2)).sum::<f64>().sqrt()
}

/// `max |x_i|`; 0 for no entries, NaN if one is NaN.
#[inline]
pub fn norm_inf(x: &[f64]) -> f64 {
    x.iter().fold(0.0, |m, v| if v.abs() > m || v.is_nan() { v.abs() } else { m })
}

/// `max |a_i - b_i|`; NaN if a difference is NaN.
#[inline]
pub fn distance_inf(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).fold(0.0, |m, (a, b)| {
        let d = (a - b).abs();
        if d > m || d.is_nan() { d } else { m }
    })
}

/// `‖a - b‖²`.
#[inline]
pub fn distance_squared(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

/// Whether no entry is NaN or infinite.
#[inline]
pub fn all_finite(x: &[f64]) -> bool {
    x.iter().all(|v| v.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sums_match_their_definitions(pairs in prop::collection::vec((-10.0..10.0f64, -10.0..10.0f64), 0..40), s in -3.0..3.0f64) {
            let (a, b): (Vec<f64>, Vec<f64>) = pairs.into_iter().unzip();
            let close = |x: f64, y: f64| (x - y).abs() <= 1e-11;
            prop_assert!(close(dot(&a, &b), a.iter().zip(&b).map(|(x, y)| x * y).sum()));
            prop_assert!(close(sum(&a), a.iter().sum()));
            prop_assert!(close(norm1(&a), a.iter().map(|x| x.abs()).sum()));
            prop_assert!(close(norm2(&a).powi(2), a.iter().map(|x| x * x).sum()));
            prop_assert_eq!(norm_inf(&a), a.iter().map(|x| x.abs()).fold(0.0, f64::max));
            prop_assert_eq!(distance_inf(&a, &b), a.iter().zip(&b).map(|(x, y)| (x - y).abs()).fold(0.0, f64::max));
            let mut y = b.clone();
            axpy(s, &a, &mut y);
            let mut z = vec![f64::NAN; a.len()];
            add_scaled(&b, s, &a, &mut z);
            prop_assert_eq!(&y, &z);
            sub(&y, &b, &mut z);
            prop_assert!(close(norm2(&z), s.abs() * norm2(&a)));
            prop_assert!(close(distance_squared(&y, &b), norm2_squared(&z)));
            axpby(2.0, &a, 0.0, &mut z);
            axpby(1.0, &a, -0.5, &mut z);
            prop_assert!(norm_inf(&z) <= 1e-13);
            scale(s, &mut y);
            prop_assert!(close(sum(&y), s * (sum(&b) + s * sum(&a))));
        }
    }

    #[test]
    fn the_norm_neither_overflows_nor_vanishes() {
        assert!((norm2(&[3e200, 4e200]) / 5e200 - 1.0).abs() < 1e-15);
        assert!((norm2(&[3e-200, 4e-200]) / 5e-200 - 1.0).abs() < 1e-15);
        assert_eq!(norm2(&[]), 0.0);
        assert!(norm2(&[f64::NAN, 1.0]).is_nan());
        assert_eq!(norm2(&[f64::INFINITY, 1.0]), f64::INFINITY);
    }

    #[test]
    fn nan_is_not_lost() {
        assert!(norm_inf(&[1.0, f64::NAN, 2.0]).is_nan());
        assert!(distance_inf(&[1.0, f64::NAN], &[0.0, 0.0]).is_nan());
        assert!(!all_finite(&[0.0, f64::NEG_INFINITY]));
    }
}
