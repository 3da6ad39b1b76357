use super::*;
use crate::proof::program::{Builder, Unary};

#[test]
fn double_well() {
    let mut b = Builder::new();
    let y = b.variable(0);
    let (one, c) = (b.number(1.0), b.number(0.25));
    let square = b.apply(Unary::Square, y);
    let inner = b.sub(square, one);
    let well = b.apply(Unary::Square, inner);
    let tilt = b.mul(c, y);
    let f = b.add(well, tilt);
    let task =
        Task { program: b.finish(&[f], 1), inequalities: 0, equalities: 0, domain: vec![Interval::new(-3.0, 3.0)] };
    let bound = Prover::new(&task, Limits::default()).run(&[]);
    // 4 y (y² - 1) + 1/4 = 0 near -1.03.
    let sampled = (0..600_000).map(|i| f64::from(i) * 1e-5 - 3.0).map(|y| (y * y - 1.0).powi(2) + 0.25 * y);
    let least = sampled.fold(f64::INFINITY, f64::min);
    assert_eq!(bound.ended, Ended::Closed, "{bound:?}");
    assert!(bound.lower <= least && bound.lower > least - 1e-6, "{bound:?} {least}");
    assert!(bound.strict.is_some() && bound.nodes < 20, "{bound:?}");
}
