use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::proof::program::tests::random_formula;
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

/// A minimisation with random formulas, kinks and partly undefined ones among them.
fn random_task(rng: &mut ChaCha8Rng) -> Task {
    let m = rng.random_range(1..4);
    let mut b = Builder::new();
    let size = rng.random_range(2..9);
    let mut roots = vec![random_formula(rng, &mut b, m, size)];
    let inequalities = rng.random_range(0..3);
    for _ in 0..inequalities {
        let size = rng.random_range(1..5);
        roots.push(random_formula(rng, &mut b, m, size));
    }
    let domain = (0..m).map(|_| {
        let lo = rng.random_range(-3..1);
        Interval::new(f64::from(lo), f64::from(lo + rng.random_range(1..5)))
    });
    let domain = domain.collect();
    Task { program: b.finish(&roots, m), inequalities, equalities: 0, domain }
}

/// Bounds of random problems are never crossed by feasible samples or by what local searches find.
#[test]
fn no_sample_is_below_a_proved_bound() {
    let mut rng = ChaCha8Rng::seed_from_u64(21);
    let (mut compared, mut closed, mut empty) = (0, 0, 0);
    for round in 0..1500 {
        let task = random_task(&mut rng);
        let limits = Limits { nodes: 120, gap: 1e-6, ..Limits::default() };
        let bound = Prover::new(&task, limits).run(&[]);
        closed += usize::from(bound.ended == Ended::Closed);
        empty += usize::from(bound.ended == Ended::Empty);
        let mut sweep = Sweep::<f64>::new(&task.program);
        let mut local = LocalSearch::new(&task.program, task.inequalities, 0);
        for sample in 0..60 {
            let mut point: Vec<f64> = task
                .domain
                .iter()
                .map(|z| match rng.random_range(0..5) {
                    0 => z.lo(),
                    1 => z.hi(),
                    _ => rng.random_range(z.lo()..=z.hi()),
                })
                .collect();
            if sample % 10 == 0 && local.run(&task.program, &task.domain, &point, 1e-8, 40) {
                point.clone_from(&local.point);
            }
            sweep.forward(&task.program, &point);
            let values: Vec<_> = (0..task.program.roots()).map(|r| sweep.value(&task.program, r)).collect();
            // A margin for the rounding of the sample; intermediate values must be moderate for it.
            let fine = sweep.largest() < 1e6 && values[1..].iter().all(|&g| g < -1e-8);
            if fine {
                let lower = bound.lower;
                assert!(values[0] >= lower - 1e-8, "round {round}: {values:?} at {point:?}, {bound:?}, {task:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 10_000 && closed > 700 && empty > 50, "{compared} compared, {closed} closed, {empty} empty");
}

/// The same with an affine equality, sampled along it.
#[test]
fn no_sample_on_an_equality_is_below_a_proved_bound() {
    let mut rng = ChaCha8Rng::seed_from_u64(22);
    let mut compared = 0;
    for round in 0..400 {
        let mut b = Builder::new();
        let f = random_formula(&mut rng, &mut b, 2, 6);
        let (x, y, one) = (b.variable(0), b.variable(1), b.number(1.0));
        let sum = b.add(x, y);
        let h = b.sub(sum, one);
        let unit = Interval::new(-1.0, 2.0);
        let task = Task { program: b.finish(&[f, h], 2), inequalities: 0, equalities: 1, domain: vec![unit, unit] };
        let bound = Prover::new(&task, Limits { nodes: 120, ..Limits::default() }).run(&[]);
        let mut sweep = Sweep::<f64>::new(&task.program);
        for i in 0..=192 {
            let x = f64::from(i) / 64.0 - 1.0;
            sweep.forward(&task.program, &[x, 1.0 - x]);
            if sweep.largest() < 1e6 {
                let value = sweep.value(&task.program, 0);
                assert!(value >= bound.lower - 1e-8, "round {round}: {value} at {x}: {bound:?} {task:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 20_000, "{compared}");
}
