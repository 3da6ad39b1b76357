//! Answers against a naive twin (proximal gradient, many small steps), optimality conditions and closed forms.

use bilevel_linalg::Dense;
use proptest::prelude::*;

use super::*;
use crate::expr::structure::VariableBounds;
use crate::expr::{Expr, Matrix};
use crate::lower::Composite;
use crate::problem::{Model, Problem};
use crate::set::Bounds;

/// Numbers in [-1, 1] from a seed.
fn numbers(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A follower with m variables and the penalty given by the second function; x has two entries.
fn problem(rows: usize, m: usize, seed: u64, bounds: Option<(f64, f64)>, penalty: fn(&Expr, &Expr) -> Expr) -> Problem {
    let matrix = Dense::from_row_major(rows, m, numbers(seed, rows * m)).unwrap();
    let mut model = Model::new();
    let x = model.leader("x", 2).within(Bounds::new(0.0, 10.0).unwrap()).unwrap();
    let y = match bounds {
        Some((low, high)) => model.follower("y", m).within(Bounds::new(low, high).unwrap()).unwrap(),
        None => model.follower("y", m).free().unwrap(),
    };
    let a = Matrix::from(matrix);
    let b = x.graph().constant_vector(&numbers(seed + 1, rows));
    let loss = (&a * &y - b).norm2sq() / 2.0;
    model.upper(y.norm2sq()).lower(loss + penalty(&x, &y)).build().unwrap()
}

fn composite(problem: &Problem) -> Composite {
    Composite::new(problem, &VariableBounds::unbounded(2, problem.m())).unwrap()
}

/// The naive twin: the proximal map of the penalty by coordinates and groups, tiny fixed steps.
fn by_proximal_gradient(at: &mut CompositeAt<'_>, m: usize) -> Vec<f64> {
    let (mut y, mut g) = (vec![0.0; m], vec![0.0; m]);
    let Weights { abs, group, .. } = at.weights().clone();
    let (lower, upper) = at.composite().bounds();
    let groups = at.composite().groups().to_vec();
    let t = 1.0 / (4.0 * m as f64 + 2.0 * 40.0);
    for _ in 0..60_000 {
        at.gradient(&y, &mut g);
        for j in 0..m {
            y[j] = soft_threshold(y[j] - t * g[j], t * abs[j]).max(lower[j]).min(upper[j]);
        }
        for (members, w) in groups.iter().zip(&group) {
            let norm = members.iter().map(|&j| y[j] * y[j]).sum::<f64>().sqrt();
            let kept = if norm > 0.0 { (1.0 - t * w / norm).max(0.0) } else { 0.0 };
            members.iter().for_each(|&j| y[j] *= kept);
        }
    }
    y
}

fn penalties() -> Vec<fn(&Expr, &Expr) -> Expr> {
    vec![
        |x, y| x.index(0) * y.norm1(),
        |x, y| x.index(0) * y.slice(1..4).norm1() + x.index(1) * y.index(0).abs() * 0.3,
        |x, y| x.index(0) * y.norm1() + x.index(1) / 2.0 * y.norm2sq(),
        |x, y| x.index(0) * y.group_norm(2),
        |x, y| x.index(0) * y.norm1() * 0.5 + (y.slice(0..4).group_norms(2) * x.index(1)).sum(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn as_the_naive_twin(seed in 1_u64..1000, first in 0.05_f64..0.6, second in 0.05_f64..0.6) {
        for (k, penalty) in penalties().into_iter().enumerate() {
            let problem = problem(12, 6, seed, None, penalty);
            let parts = composite(&problem);
            let mut at = CompositeAt::new(&parts);
            prop_assert!(at.fix(&[first, second]));
            let found = minimise(&mut at, &[0.0; 6], &Settings::default());
            prop_assert!(found.residual <= 1e-12, "penalty {k}: {}", found.residual);
            let twin = by_proximal_gradient(&mut at, 6);
            for (a, b) in found.y.iter().zip(&twin) {
                prop_assert!((a - b).abs() < 1e-6, "penalty {k}: {:?}, naive {twin:?}", found.y);
            }
        }
    }

    #[test]
    fn bounds_are_kept_and_the_gap_bound_holds(seed in 1_u64..1000, weight in 0.05_f64..0.4) {
        let problem = problem(10, 8, seed, Some((-0.1, 0.2)), |x, y| x.index(0) * y.norm1());
        let parts = composite(&problem);
        let mut at = CompositeAt::new(&parts);
        prop_assert!(at.fix(&[weight, 0.0]));
        let best = minimise(&mut at, &[0.0; 8], &Settings::default());
        prop_assert!(best.residual <= 1e-12);
        prop_assert!(best.y.iter().all(|y| (-0.1..=0.2).contains(y)));
        let mut gradient = vec![0.0; 8];
        at.gradient(&best.y, &mut gradient);
        prop_assert!(gap_bound(&at, &best.y, &gradient) < 1e-11);
        for other in numbers(seed + 7, 24).chunks(8) {
            let y: Vec<f64> = other.iter().map(|v| (0.2 * v).clamp(-0.1, 0.2)).collect();
            let value = at.gradient(&y, &mut gradient) + at.penalty(&y);
            prop_assert!(value >= best.value - 1e-12);
            prop_assert!(gap_bound(&at, &y, &gradient) >= value - best.value - 1e-12);
        }
    }
}

#[test]
fn more_variables_than_rows_from_any_start() {
    let problem = problem(15, 60, 3, None, |x, y| x.index(0) * y.norm1());
    let parts = composite(&problem);
    let mut at = CompositeAt::new(&parts);
    assert!(at.fix(&[0.3, 0.0]));
    let cold = minimise(&mut at, &[0.0; 60], &Settings::default());
    let dense = minimise(&mut at, &numbers(9, 60), &Settings::default());
    assert!(cold.residual <= 1e-12 && dense.residual <= 1e-12, "{} {}", cold.residual, dense.residual);
    assert!((cold.value - dense.value).abs() < 1e-13);
    assert!(cold.y.iter().filter(|y| **y != 0.0).count() <= 15);
    // The first-order conditions written out.
    let mut gradient = vec![0.0; 60];
    at.gradient(&cold.y, &mut gradient);
    for (y, g) in cold.y.iter().zip(&gradient) {
        assert!(if *y == 0.0 { g.abs() <= 0.3 + 1e-11 } else { (g + 0.3 * y.signum()).abs() < 1e-11 });
    }
}

#[test]
fn everything_is_zero_under_a_large_weight() {
    let problem = problem(15, 60, 3, None, |x, y| x.index(0) * y.norm1());
    let parts = composite(&problem);
    let mut at = CompositeAt::new(&parts);
    assert!(at.fix(&[10.0, 0.0]));
    let found = minimise(&mut at, &numbers(4, 60), &Settings::default());
    assert!(found.y.iter().all(|y| *y == 0.0) && found.residual == 0.0, "{found:?}");
}

#[test]
fn falling_for_ever_is_said() {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
    let y = model.follower("y", 2).free().unwrap();
    let problem = model.upper(x.sum()).lower(y.index(0).abs() * 0.5 - y.index(0) + y.index(1).abs()).build().unwrap();
    let parts = Composite::new(&problem, &VariableBounds::unbounded(1, 2)).unwrap();
    let mut at = CompositeAt::new(&parts);
    assert!(at.fix(&[0.0]));
    assert!(minimise(&mut at, &[0.0, 1.0], &Settings::default()).unbounded);
}
