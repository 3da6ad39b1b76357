use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::proof::program::tests::random_formula;
use crate::proof::program::{Builder, Unary};
use crate::proof::testing::problem;

/// A random problem with x in [-1, 1], y in [-2, 2], and perhaps y <= a + b x.
fn random_problem(rng: &mut ChaCha8Rng) -> (Formulas, Option<(f64, f64)>) {
    let mut b = Builder::new();
    let mut upper = random_formula(rng, &mut b, 2, 4);
    let (x, y) = (b.variable(0), b.variable(1));
    let square = b.apply(Unary::Square, y);
    if rng.random() {
        upper = b.add(upper, square);
    }
    let mut lower = random_formula(rng, &mut b, 2, 6);
    if rng.random() {
        let product = b.mul(x, y);
        lower = b.add(lower, product);
    }
    let row = rng
        .random::<bool>()
        .then(|| (f64::from(rng.random_range(-2..3)) / 2.0, f64::from(rng.random_range(-2..3)) / 2.0));
    let mut constraints = Vec::new();
    if let Some((a, slope)) = row {
        let (a, slope) = (b.number(a), b.number(slope));
        let product = b.mul(slope, x);
        let end = b.add(a, product);
        constraints.push(b.sub(y, end));
    }
    let domain = vec![Interval::new(-1.0, 1.0), Interval::new(-2.0, 2.0)];
    (Formulas::from_parts(&b, 1, 1, (upper, Vec::new()), (lower, constraints), domain), row)
}

/// F at the follower's answer, by brute force, where that answer is clearly the only one.
fn leader_value(formulas: &Formulas, sweep: &mut Sweep<f64>, x: f64, row: Option<(f64, f64)>) -> Option<f64> {
    let end = row.map_or(2.0, |(a, b)| f64::min(2.0, a + b * x));
    if end < -1.99 {
        return None;
    }
    let mut f = |y: f64| {
        sweep.forward(&formulas.program, &[x, y]);
        let value = sweep.value(&formulas.program, formulas.follower.objective);
        if value.is_nan() || sweep.largest() == f64::INFINITY { f64::INFINITY } else { value }
    };
    const STEPS: usize = 500;
    let at = |i: usize| -2.0 + (end + 2.0) * i as f64 / STEPS as f64;
    let values: Vec<f64> = (0..=STEPS).map(|i| f(at(i))).collect();
    if values.iter().any(|v| !v.is_finite() || v.abs() > 1e4) {
        return None;
    }
    let best = (0..=STEPS).min_by(|&i, &j| values[i].total_cmp(&values[j]))?;
    let elsewhere = (0..=STEPS).filter(|i| i.abs_diff(best) > 20).map(|i| values[i]).fold(f64::INFINITY, f64::min);
    if elsewhere < values[best] + 1e-3 {
        return None;
    }
    let (mut lo, mut hi) = (at(best.saturating_sub(1)), at((best + 1).min(STEPS)));
    for _ in 0..80 {
        let (a, b) = (lo + (hi - lo) / 3.0, hi - (hi - lo) / 3.0);
        if f(a) <= f(b) { hi = b } else { lo = a }
    }
    let mut y = 0.5 * (lo + hi);
    for end in [-2.0, end] {
        if f(end) <= f(y) {
            y = end;
        }
    }
    // How far the answer may move within the noise of f.
    let level = f(y) + 1e-12;
    let spread = 1e-4;
    let steep =
        [y - spread, y + spread].into_iter().filter(|&z| (-2.0..=end).contains(&z)).all(|z| f(z) > level + 1e-9);
    let value = sweep_value(formulas, sweep, x, y);
    let beside = [y - spread, y + spread].map(|z| (sweep_value(formulas, sweep, x, z) - value).abs());
    (steep && value.is_finite() && beside.iter().all(|d| *d < 1e-2)).then_some(value + beside[0].max(beside[1]))
}

fn sweep_value(formulas: &Formulas, sweep: &mut Sweep<f64>, x: f64, y: f64) -> f64 {
    sweep.forward(&formulas.program, &[x, y]);
    // A formula that passes through infinity is undefined, whatever comes out.
    if sweep.largest() == f64::INFINITY { f64::NAN } else { sweep.value(&formulas.program, formulas.leader.objective) }
}

/// With an upper value that is too high on purpose, no bound rises above what a brute-force search reaches.
#[test]
fn bounds_with_a_false_upper_value_stay_below_sampled_values() {
    let mut rng = ChaCha8Rng::seed_from_u64(31);
    let (mut compared, mut near) = (0, 0);
    for round in 0..160 {
        let (formulas, row) = random_problem(&mut rng);
        let mut sweep = Sweep::<f64>::new(&formulas.program);
        let values = (0..=60).filter_map(|i| leader_value(&formulas, &mut sweep, f64::from(i) / 30.0 - 1.0, row));
        let best = values.fold(f64::INFINITY, f64::min);
        if best.abs() > 1e3 {
            continue;
        }
        let settings =
            GlobalSettings { assumed_upper: best + 0.5, nodes: 100, search: false, ..GlobalSettings::default() };
        let proof = formulas.global(&[], &settings).unwrap();
        assert!(proof.lower <= best + 1e-7, "round {round}: {} above {best}: {formulas:?}", proof.lower);
        near += usize::from(proof.lower > best - 0.05);
        compared += 1;
    }
    assert!(compared > 55 && near * 2 > compared, "{compared} compared, {near} near");
}

/// Problems with known answers: the bound reaches them, and with a false upper value does not pass them.
#[test]
fn known_optima_are_reached_and_not_passed() {
    let mirrlees = "-x[0]*exp(-(y[0] + 1)^2) - exp(-(y[0] - 1)^2)";
    let cases = [
        // Mirrlees 1999: the first-order conditions of the follower mislead.
        (problem(1, 1, "(x[0] - 2)^2 + (y[0] - 1)^2", mirrlees, &[], &[], (-5.0, 5.0), (-2.0, 2.0)), 1.0018059),
        // y = x.
        (problem(1, 1, "(x[0] - 1)^2 + (y[0] + 1)^2", "(y[0] - x[0])^2", &[], &[], (-3.0, 3.0), (-3.0, 3.0)), 2.0),
        // A tie at x = 0 only, broken in the leader's favour.
        (problem(1, 1, "(x[0] - 0.5)^2 + (y[0] + 1)^2", "-x[0]*y[0]", &[], &[], (-1.0, 1.0), (-1.0, 1.0)), 0.25),
        // Coupled: y = max(x, 1 - x), so F = y - x/4 is least at x = 1/2.
        (
            problem(1, 1, "y[0] - x[0]/4", "y[0]", &[], &["x[0] - y[0]", "1 - x[0] - y[0]"], (0.0, 1.0), (-5.0, 5.0)),
            0.375,
        ),
        // A concave follower jumps from y = 1 to y = -1 at x = 0.
        (problem(1, 1, "x[0] + y[0]", "x[0]*y[0] - y[0]^2", &[], &[], (-1.0, 1.0), (-1.0, 1.0)), -1.0),
        // The answer y = 0 is where the follower's derivative does not exist.
        (problem(1, 1, "2*(y[0] + 2) + y[0]^2", "sqrt(y[0]^2)", &[], &[], (-1.0, 1.0), (-2.0, 2.0)), 4.0),
        // Two answers in the plane, y0 + y1 = x.
        (
            problem(
                1,
                2,
                "y[0]^2 + (y[1] - 1)^2 + (x[0] - 1)^2",
                "(y[0] + y[1] - x[0])^2",
                &[],
                &[],
                (-2.0, 2.0),
                (-2.0, 2.0),
            ),
            0.0,
        ),
    ];
    for (k, (problem, known)) in cases.iter().enumerate() {
        let known: f64 = *known;
        let formulas = Formulas::new(problem).unwrap();
        let settings = GlobalSettings { nodes: 1500, ..GlobalSettings::default() };
        let proof = formulas.global(&[], &settings).unwrap();
        assert!(proof.closed && proof.lower > known - 2e-3 * f64::max(1.0, known.abs()), "case {k}: {proof:?}");
        assert!(proof.artificial.is_empty());
        let assumed = GlobalSettings { assumed_upper: known + 0.5, search: false, nodes: 600, ..settings };
        let shifted = formulas.global(&[], &assumed).unwrap();
        assert!(shifted.lower <= known + 1e-7, "case {k}: {} above {known}", shifted.lower);
    }
}

/// No bilevel feasible point: the leader asks for what the follower never answers.
#[test]
fn infeasible_problems_are_proved_infeasible() {
    let problem = problem(1, 1, "x[0]", "(y[0] - x[0])^2", &["x[0] + 1 - y[0]"], &[], (-2.0, 2.0), (-4.0, 4.0));
    let proof =
        Formulas::new(&problem).unwrap().global(&[], &GlobalSettings { nodes: 400, ..Default::default() }).unwrap();
    assert_eq!(proof.lower, f64::INFINITY, "{proof:?}");
}

/// Pessimistic problems whose follower has several answers for all x: the bound is that of the worst one.
#[test]
fn pessimistic_bounds_know_the_worst_answer() {
    let cases = [
        // Two wells of the same depth: φ_p(x) = max((x - 1)², (x + 1)²), least at x = 0.
        (problem(1, 1, "(x[0] - y[0])^2", "(y[0]^2 - 1)^2", &[], &[], (-2.0, 2.0), (-3.0, 3.0)), 1.0, 0.0),
        // Any y is an answer: φ_p(x) = (x + 1)².
        (problem(1, 1, "(x[0] - y[0])^2", "0*y[0]", &[], &[], (0.0, 2.0), (-1.0, 1.0)), 1.0, 0.0),
        // A face of answers, y0 + y1 = 1.
        (problem(1, 2, "(x[0] - 1)^2 + y[0]", "(y[0] + y[1] - 1)^2", &[], &[], (0.0, 2.0), (0.0, 2.0)), 1.0, 0.0),
    ];
    for (k, (problem, pessimistic, optimistic)) in cases.into_iter().enumerate() {
        let formulas = Formulas::new(&problem).unwrap();
        let settings = |pessimistic: bool, upper: f64| GlobalSettings {
            pessimistic,
            assumed_upper: upper,
            search: false,
            nodes: 300,
            ..GlobalSettings::default()
        };
        let worst = formulas.global(&[], &settings(true, pessimistic)).unwrap().lower;
        assert!(worst >= pessimistic - 2e-3, "case {k}: {worst}");
        // With an upper value that is false on purpose the bound stays below the true one.
        let shifted = formulas.global(&[], &settings(true, pessimistic + 0.5)).unwrap().lower;
        assert!(shifted <= pessimistic + 1e-7 && shifted > optimistic + 0.5, "case {k}: {shifted}");
        let best = formulas.global(&[], &settings(false, optimistic)).unwrap().lower;
        assert!(best <= optimistic + 1e-9, "case {k}: {best}");
    }
}
