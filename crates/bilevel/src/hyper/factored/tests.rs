//! Followers in factors against their twins.

use bilevel_linalg::vector::distance_inf;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::super::testing::{LeastSquares, normals};
use super::super::{Hyper, HyperObjective, HyperSettings};
use crate::problem::Attitude;

/// The same by eigenvalues of the dense Hessian.
fn agrees(shape: &LeastSquares, seed: u64) {
    let problem = shape.problem(seed);
    let hyper = Hyper::new(&problem, Attitude::Optimistic, &HyperSettings::default());
    let mut twin = hyper.clone();
    twin.factored = None;
    let x: Vec<f64> = normals(shape.n, &mut ChaCha8Rng::seed_from_u64(seed + 9)).iter().map(|v| 0.3 * v).collect();
    let found = hyper.evaluate_in_full(&x, 1e-9, None).unwrap();
    assert_eq!(found.route, "null space, in factors");
    let expected = twin.evaluate_in_full(&x, 1e-9, None).unwrap();
    assert_eq!((expected.route, expected.answers), ("null space", found.answers));
    let (found, expected) = (found.point, expected.point);
    assert!((found.value - expected.value).abs() < 1e-10 * (1.0 + expected.value.abs()));
    assert!(distance_inf(&found.y, &expected.y) < 1e-8);
    assert!(distance_inf(&found.subgradient.unwrap(), &expected.subgradient.unwrap()) < 1e-8);
    assert!(found.lower.value <= expected.value && expected.value <= found.upper.value);
    let warm = hyper.evaluate(&x, 1e-9, Some(&normals(shape.m, &mut ChaCha8Rng::seed_from_u64(1)))).unwrap();
    assert!(distance_inf(&warm.y, &expected.y) < 1e-8);
}

#[test]
fn few_rows_that_turn_with_x() {
    agrees(&LeastSquares { m: 110, p: 40, rank: None, validation: 30, n: 5 }, 1);
}

#[test]
fn many_rows_of_low_rank() {
    agrees(&LeastSquares { m: 110, p: 150, rank: Some(35), validation: 30, n: 5 }, 2);
}
