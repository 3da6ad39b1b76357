//! Small numerical helpers that several sets share.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Exp1, StandardNormal};

/// Euclidean norm without overflow or underflow in the squares.
pub(super) fn norm(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = values.clone().fold(0.0, |m: f64, v| if v.is_nan() { v } else { m.max(v.abs()) });
    if largest == 0.0 || !largest.is_finite() {
        return if values.clone().any(f64::is_nan) { f64::NAN } else { largest };
    }
    if (1e-100..1e100).contains(&largest) {
        return values.map(|v| v * v).sum::<f64>().sqrt();
    }
    largest * values.map(|v| (v / largest) * (v / largest)).sum::<f64>().sqrt()
}

/// The positive part, infinite for NaN: a violation must not vanish because it cannot be computed.
pub(super) fn excess(value: f64) -> f64 {
    if value.is_nan() { f64::INFINITY } else { value.max(0.0) }
}

/// The threshold tau with `sum max(w_i - tau, 0) = total`, for `work` holding w with its maximum subtracted (all
/// entries <= 0, one of them 0). Sorts `work`.
///
/// Held, Wolfe & Crowder 1974; Duchi et al. 2008, Fig. 1. The shift keeps the sums as small as `total`, so that the
/// answer is accurate however large w is.
pub(super) fn simplex_threshold(work: &mut [f64], total: f64) -> f64 {
    work.sort_unstable_by(|a, b| b.total_cmp(a));
    let (mut sum, mut tau) = (0.0, -total);
    for (k, &w) in work.iter().enumerate() {
        let candidate = (sum + w - total) / (k + 1) as f64;
        if w <= candidate {
            break;
        }
        sum += w;
        tau = candidate;
    }
    tau
}

/// The minimiser mu of `sum (v_i - mu)^2` over two-sided items plus `sum max(v_i - mu, 0)^2` over one-sided ones,
/// the least such mu; `item(i)` gives `(v_i, two-sided)` for i < n.
///
/// The derivative is concave and increasing in mu, so Newton's method from the left, where every item counts, climbs
/// to its root in finitely many steps [Michelot 1986].
pub(super) fn one_sided_mean(n: usize, item: impl Fn(usize) -> (f64, bool)) -> f64 {
    let mean = |mu: f64| {
        let counted = (0..n).map(&item).filter(|&(v, two_sided)| two_sided || v > mu);
        let (sum, count) = counted.fold((0.0, 0usize), |(s, c), (v, _)| (s + v / n as f64, c + 1));
        (if count == 0 { mu } else { sum * (n as f64 / count as f64) }, count)
    };
    let (mut mu, mut count) = mean(f64::NEG_INFINITY);
    loop {
        let (next, fewer) = mean(mu);
        if fewer >= count {
            return mu;
        }
        (mu, count) = (next.max(mu), fewer);
    }
}

/// Fills `out` with independent standard normal numbers.
pub(super) fn fill_normal(rng: &mut ChaCha8Rng, out: &mut [f64]) {
    out.fill_with(|| rng.sample(StandardNormal));
}

/// Fills `out` with independent standard exponential numbers and returns their sum.
pub(super) fn fill_exponential(rng: &mut ChaCha8Rng, out: &mut [f64]) -> f64 {
    out.fill_with(|| rng.sample(Exp1));
    out.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn norm_neither_overflows_nor_underflows() {
        assert!((norm([3e200, 4e200].into_iter()) / 5e200 - 1.0).abs() < 1e-15);
        assert!((norm([3e-200, 4e-200].into_iter()) / 5e-200 - 1.0).abs() < 1e-15);
        assert_eq!(norm([3.0, -4.0].into_iter()), 5.0);
        assert_eq!(norm([0.0; 0].into_iter()), 0.0);
        assert_eq!(norm([1.0, f64::NEG_INFINITY].into_iter()), f64::INFINITY);
        assert!(norm([f64::NAN, f64::INFINITY].into_iter()).is_nan());
        assert!(norm([f64::INFINITY, f64::NAN, 1.0].into_iter()).is_nan());
    }

    #[test]
    fn one_sided_mean_is_the_minimiser() {
        let items = [(1.0, true), (-2.0, false), (3.0, false), (0.5, false), (2.0, true)];
        let cost =
            |mu: f64| items.iter().map(|&(v, two)| if two || v > mu { (v - mu) * (v - mu) } else { 0.0 }).sum::<f64>();
        let mu = one_sided_mean(items.len(), |i| items[i]);
        assert!(((1.0 + 2.0 + 3.0) / 3.0 - mu).abs() < 1e-15);
        assert!(cost(mu) <= cost(mu + 1e-4) && cost(mu) <= cost(mu - 1e-4));
        let all_one_sided = one_sided_mean(3, |i| ([5.0, -1.0, 5.0][i], false));
        assert!((all_one_sided - 5.0).abs() < 1e-14);
    }
}
