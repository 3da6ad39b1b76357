//! max(a, b), min(a, b) and the largest entry of a vector.
//!
//! Smoothed pairwise as `max_mu(a, b) = b + plus_mu(a - b)`, `min_mu(a, b) = b - plus_mu(b - a)`: at most `c mu` above
//! the maximum, below the minimum, where `c mu` is the family's error [Alcantara & Takeda 2025, §2.2]. Computed as
//! the larger one plus `plus_mu(-|a - b|)`, which is the same for an even density and cancels nothing.
//!
//! The largest of n entries is smoothed by a balanced tree of pairwise smoothed maxima, each half of the entries being
//! a subtree: at most `ceil(log2 n) c mu` above, because a maximum raises no error of its operands.
//!
//! Exactly at a tie the weights are equal: 1/2 each for a pair, 1/k each for k largest entries.

use super::PairSlopes;
use crate::smooth::{Maximum, Smoothing};

/// max(a, b).
#[inline]
pub(in crate::expr) fn max_value(a: f64, b: f64, smoothing: Smoothing<'_>) -> f64 {
    smoothing.maximum(a, b).value
}

/// min(a, b).
#[inline]
pub(in crate::expr) fn min_value(a: f64, b: f64, smoothing: Smoothing<'_>) -> f64 {
    -smoothing.maximum(-a, -b).value
}

/// Derivatives of max(a, b).
#[inline]
pub(in crate::expr) fn max_slopes(a: f64, b: f64, smoothing: Smoothing<'_>) -> PairSlopes {
    let Maximum { weight, bend, .. } = smoothing.maximum(a, b);
    PairSlopes { a: weight, b: 1.0 - weight, aa: bend, ab: -bend, bb: bend }
}

/// Derivatives of min(a, b).
#[inline]
pub(in crate::expr) fn min_slopes(a: f64, b: f64, smoothing: Smoothing<'_>) -> PairSlopes {
    let Maximum { weight, bend, .. } = smoothing.maximum(-a, -b);
    PairSlopes { a: weight, b: 1.0 - weight, aa: -bend, ab: bend, bb: -bend }
}

/// The exact largest entry; NaN if an entry is NaN, -inf for no entries.
pub(in crate::expr) fn largest(z: &[f64]) -> f64 {
    z.iter().fold(f64::NEG_INFINITY, |most, &v| max_value(most, v, Smoothing::EXACT))
}

/// Adds `weight / k` to `out` at the k entries of `z` that equal `largest`; NaN everywhere if that is NaN.
pub(in crate::expr) fn share(z: &[f64], largest: f64, weight: f64, out: &mut [f64]) {
    let ties = z.iter().filter(|&&v| v == largest).count();
    for (o, &v) in out.iter_mut().zip(z) {
        if v == largest {
            *o += weight / ties as f64;
        } else if largest.is_nan() {
            *o = f64::NAN;
        }
    }
}

/// The mean of `t` over the entries of `z` that equal `largest`.
pub(in crate::expr) fn mean_at_ties(z: &[f64], largest: f64, t: &[f64]) -> f64 {
    let (mut total, mut ties) = (0.0, 0.0);
    for (&v, &d) in z.iter().zip(t) {
        if v == largest {
            total += d;
            ties += 1.0;
        }
    }
    total / ties
}

/// The smoothed largest of `leaves` (at least one). Writes the `leaves.len() - 1` inner nodes of the tree: those of
/// the left half, those of the right half, the top.
pub(in crate::expr) fn tree_values(leaves: &[f64], nodes: &mut [f64], smoothing: Smoothing<'_>) -> f64 {
    if leaves.len() == 1 {
        return leaves[0];
    }
    let half = leaves.len() / 2;
    let (left, rest) = nodes.split_at_mut(half - 1);
    let (right, top) = rest.split_at_mut(leaves.len() - half - 1);
    let (a, b) = (tree_values(&leaves[..half], left, smoothing), tree_values(&leaves[half..], right, smoothing));
    top[0] = max_value(a, b, smoothing);
    top[0]
}

/// The value at the top of a tree that [`tree_values`] has filled.
fn top(leaves: &[f64], nodes: &[f64]) -> f64 {
    if leaves.len() == 1 { leaves[0] } else { nodes[leaves.len() - 2] }
}

/// Derivative of the tree along `t` (one entry per leaf). Writes those of the inner nodes to `out`.
pub(in crate::expr) fn tree_tangents(
    leaves: &[f64],
    nodes: &[f64],
    t: &[f64],
    out: &mut [f64],
    smoothing: Smoothing<'_>,
) -> f64 {
    if leaves.len() == 1 {
        return t[0];
    }
    let half = leaves.len() / 2;
    let (left, right) = (&nodes[..half - 1], &nodes[half - 1..]);
    let (out_left, rest) = out.split_at_mut(half - 1);
    let (out_right, out_top) = rest.split_at_mut(leaves.len() - half - 1);
    let jet = max_slopes(top(&leaves[..half], left), top(&leaves[half..], right), smoothing);
    out_top[0] = jet.a * tree_tangents(&leaves[..half], left, &t[..half], out_left, smoothing)
        + jet.b * tree_tangents(&leaves[half..], right, &t[half..], out_right, smoothing);
    out_top[0]
}

/// Adds `bar` times the tree's gradient to `out` (one entry per leaf).
pub(in crate::expr) fn tree_reverse(
    leaves: &[f64],
    nodes: &[f64],
    bar: f64,
    out: &mut [f64],
    smoothing: Smoothing<'_>,
) {
    if leaves.len() == 1 {
        out[0] += bar;
        return;
    }
    let half = leaves.len() / 2;
    let (left, right) = (&nodes[..half - 1], &nodes[half - 1..]);
    let jet = max_slopes(top(&leaves[..half], left), top(&leaves[half..], right), smoothing);
    let (out_left, out_right) = out.split_at_mut(half);
    tree_reverse(&leaves[..half], left, bar * jet.a, out_left, smoothing);
    tree_reverse(&leaves[half..], right, bar * jet.b, out_right, smoothing);
}

/// A filled tree with its tangents.
#[derive(Clone, Copy)]
pub(in crate::expr) struct MovingTree<'a> {
    pub leaves: &'a [f64],
    pub nodes: &'a [f64],
    pub leaf_tangents: &'a [f64],
    pub node_tangents: &'a [f64],
}

impl<'a> MovingTree<'a> {
    fn halves(self) -> (Self, Self) {
        let half = self.leaves.len() / 2;
        let (left, right) = self.leaves.split_at(half);
        let (left_nodes, right_nodes) = self.nodes.split_at(half - 1);
        let (left_t, right_t) = self.leaf_tangents.split_at(half);
        let (left_nt, right_nt) = self.node_tangents.split_at(half - 1);
        let part = |leaves, nodes, leaf_tangents, node_tangents| Self { leaves, nodes, leaf_tangents, node_tangents };
        (part(left, left_nodes, left_t, left_nt), part(right, right_nodes, right_t, right_nt))
    }

    fn top(self) -> (f64, f64) {
        (top(self.leaves, self.nodes), top(self.leaf_tangents, self.node_tangents))
    }
}

/// Adds the derivative of `bar` times the tree's gradient, where `bar` itself moves by `bar_tangent`.
pub(in crate::expr) fn tree_second(
    tree: MovingTree<'_>,
    bar: f64,
    bar_tangent: f64,
    out: &mut [f64],
    smoothing: Smoothing<'_>,
) {
    if tree.leaves.len() == 1 {
        out[0] += bar_tangent;
        return;
    }
    let (left, right) = tree.halves();
    let ((a, a_tangent), (b, b_tangent)) = (left.top(), right.top());
    let jet = max_slopes(a, b, smoothing);
    let (out_left, out_right) = out.split_at_mut(left.leaves.len());
    let left_tangent = bar_tangent * jet.a + bar * (jet.aa * a_tangent + jet.ab * b_tangent);
    let right_tangent = bar_tangent * jet.b + bar * (jet.ab * a_tangent + jet.bb * b_tangent);
    tree_second(left, bar * jet.a, left_tangent, out_left, smoothing);
    tree_second(right, bar * jet.b, right_tangent, out_right, smoothing);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smooth;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn smoothing_errors(z in prop::collection::vec(-2.0..2.0_f64, 1..20), e in -6.0..0.5_f64) {
            let exact = largest(&z);
            let depth = (z.len() as f64).log2().ceil();
            for name in smooth::names() {
                let family = smooth::by_name(name).unwrap();
                let smoothing = Smoothing::new(family, 10.0_f64.powf(e));
                let bound = family.plus_error() * smoothing.mu();
                let mut nodes = vec![0.0; z.len() - 1];
                let excess = tree_values(&z, &mut nodes, smoothing) - exact;
                let (below, above) = if family.is_envelope() { (depth * bound, 0.0) } else { (0.0, depth * bound) };
                prop_assert!(excess >= -below - 1e-15 && excess <= above + 1e-15);
                let mut weights = vec![0.0; z.len()];
                tree_reverse(&z, &nodes, 1.0, &mut weights, smoothing);
                prop_assert!(weights.iter().all(|w| *w >= 0.0) && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-14);
                let (a, b) = (z[0], z[z.len() - 1]);
                if !family.is_envelope() {
                    let naive = b + family.plus(a - b, smoothing.mu()).value;
                    prop_assert!((max_value(a, b, smoothing) - naive).abs() < 1e-14);
                }
                prop_assert!((min_value(a, b, smoothing) + max_value(-a, -b, smoothing)).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn extreme_operands() {
        for smoothing in [Smoothing::EXACT, Smoothing::new(&smooth::Logistic, 1e-3)] {
            assert_eq!(max_value(1.0, -1e300, smoothing), 1.0);
            assert_eq!(max_value(-f64::MAX, f64::MAX, smoothing), f64::MAX);
            assert_eq!(min_value(1.0, f64::INFINITY, smoothing), 1.0);
            assert_eq!(max_value(f64::INFINITY, f64::INFINITY, smoothing), f64::INFINITY);
            assert!(max_value(f64::NAN, 1.0, smoothing).is_nan() && max_value(1.0, f64::NAN, smoothing).is_nan());
            assert!(min_value(f64::NAN, 1.0, smoothing).is_nan() && min_value(1.0, f64::NAN, smoothing).is_nan());
        }
        assert!(largest(&[1.0, f64::NAN, 2.0]).is_nan() && largest(&[f64::NAN, 3.0]).is_nan());
    }

    #[test]
    fn ties_share() {
        let mut out = [0.0; 4];
        share(&[1.0, 3.0, 3.0, 3.0], 3.0, 6.0, &mut out);
        assert_eq!(out, [0.0, 2.0, 2.0, 2.0]);
        assert_eq!(mean_at_ties(&[1.0, 3.0, 3.0], 3.0, &[9.0, 1.0, 2.0]), 1.5);
        let jet = max_slopes(2.0, 2.0, Smoothing::EXACT);
        assert_eq!((jet.a, jet.b), (0.5, 0.5));
    }
}
