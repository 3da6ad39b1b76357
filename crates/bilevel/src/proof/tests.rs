use super::check::{Claim, Tolerances, Verdict, Witness};
use super::follower::Settings;
use super::interval::Interval;
use super::minimum::{Ended, Tier};
use super::problem::{Formulas, ProofError};
use super::testing::problem;

const FREE: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

fn formulas(m: usize, lower: &str, rows: &[&str], y: (f64, f64)) -> Formulas {
    Formulas::new(&problem(1, m, "x[0] + y[0]", lower, &[], rows, (-10.0, 10.0), y)).unwrap()
}

#[test]
fn a_convex_follower_without_bounds_needs_no_artificial_box() {
    let f = formulas(2, "(y[0] - x[0])^2 + (y[1] + y[0])^2 + y[1]^2", &["1 - y[0] - y[1]"], FREE);
    // At x = 3: stationarity with the constraint inactive or active, by hand: y0 = 2, y1 = -1 has y0 + y1 = 1.
    let proof = f.follower(&[3.0], Some(&[2.0, -1.0]), &Settings::default()).unwrap();
    assert!(proof.artificial.is_empty() && proof.gap().unwrap() < 1e-9 && proof.violation == 0.0, "{proof:?}");
    assert_eq!(proof.bound.nodes, 0, "duality alone");
}

#[test]
fn an_unbounded_follower_shows_on_the_artificial_face() {
    let proof = formulas(1, "-y[0]", &[], FREE).follower(&[0.0], Some(&[5.0]), &Settings::default()).unwrap();
    assert_eq!((proof.artificial.clone(), proof.on_artificial_face.clone()), (vec![0], vec![0]), "{proof:?}");
    assert!(proof.ray.is_some_and(|ray| ray.direction == [1.0] && ray.slope >= 1.0));
}

#[test]
fn an_empty_answer_set_is_its_own_answer() {
    let f = formulas(1, "y[0]^2", &["x[0] - y[0]", "y[0] - 1"], (-4.0, 4.0));
    let proof = f.follower(&[1.5], Some(&[1.2]), &Settings::default()).unwrap();
    assert!(proof.empty && proof.gap().is_none(), "{proof:?}");
    // A nonlinear emptiness that takes branching.
    let f = formulas(2, "y[0]", &["y[0]^2 + y[1]^2 - 1", "1.5 - y[0] - y[1]"], (-2.0, 2.0));
    assert!(f.follower(&[0.0], None, &Settings::default()).unwrap().empty);
    let f = formulas(2, "y[0]", &["y[0]^2 + y[1]^2 - 1", "1.4 - y[0] - y[1]"], (-2.0, 2.0));
    assert!(!f.follower(&[0.0], None, &Settings::default()).unwrap().empty);
}

#[test]
fn opposite_inequalities_are_an_equality() {
    let f = formulas(2, "y[0]^2 + y[1]^2", &["y[0] + y[1] - x[0]", "x[0] - y[0] - y[1]"], (-5.0, 5.0));
    assert_eq!((f.follower.inequalities.len(), f.follower.equalities.len()), (0, 1));
    let proof = f.follower(&[1.0], Some(&[0.5, 0.5]), &Settings::default()).unwrap();
    assert!(proof.gap().unwrap() < 1e-9 && proof.violation == 0.0 && !proof.empty, "{proof:?}");
}

/// Over answers of a convex follower with an equality no point is exactly feasible, and a search for ties never closes: it
/// is cut short, and what it says holds.
#[test]
fn ties_of_a_convex_follower_with_an_equality_take_few_boxes() {
    let (rows, lower) = (
        ["0.3*(y[0] + y[1] + y[2]) - 0.1*x[0]", "0.1*x[0] - 0.3*(y[0] + y[1] + y[2])"],
        "y[0]^2 + 2*y[1]^2 + 3*y[2]^2",
    );
    let f = Formulas::new(&problem(1, 3, "x[0] + y[0]", lower, &[], &rows, (-10.0, 10.0), (-5.0, 5.0))).unwrap();
    // y_j in the ratio 1 : 1/2 : 1/3, with sum 1/3.
    let y = [2.0 / 11.0, 1.0 / 11.0, 2.0 / 33.0];
    let check = f.check(&[1.0], &y, Claim::Optimistic, &Tolerances::default(), &Settings::default()).unwrap();
    let hyper = check.hyper.unwrap();
    assert_eq!(check.verdict, Verdict::Verified);
    assert!(check.follower.by_duality && hyper.nodes <= 600, "{} boxes", hyper.nodes);
    let value = 1.0 + y[0];
    assert!(hyper.optimistic_lower <= value && hyper.pessimistic_upper >= value);
    assert!(hyper.pessimistic_upper - hyper.optimistic_lower < 0.01, "{hyper:?}");
}

#[test]
fn tiers_are_kept_apart() {
    // Y(x) = {0} without an interior point: only 0 itself is strictly feasible.
    let f = formulas(1, "-y[0]", &["y[0]^2"], (-1.0, 1.0));
    let proof = f.follower(&[0.0], Some(&[1e-5]), &Settings::default()).unwrap();
    assert!(proof.violation > 0.0 && !proof.empty);
    assert!(proof.bound.strict.as_ref().is_none_or(|c| c.point == [0.0]), "{proof:?}");
    assert!(proof.lower <= 0.0, "{proof:?}");
}

/// Verdicts at right and wrong points of the follower of Mirrlees 1999.
#[test]
fn verdicts() {
    let lower = "-x[0]*exp(-(y[0] + 1)^2) - exp(-(y[0] - 1)^2)";
    let mirrlees = problem(1, 1, "(x[0] - 2)^2 + (y[0] - 1)^2", lower, &["x[0] - 2"], &[], (-5.0, 5.0), (-2.0, 2.0));
    let f = Formulas::new(&mirrlees).unwrap();
    let check =
        |x: f64, y: f64| f.check(&[x], &[y], Claim::Optimistic, &Tolerances::default(), &Settings::default()).unwrap();
    let answer = |x: f64, guess: f64| {
        let proof = f.follower(&[x], Some(&[guess]), &Settings::default()).unwrap();
        proof.bound.strict.unwrap().point[0]
    };
    let right = check(0.9, answer(0.9, 0.957));
    assert_eq!(right.verdict, Verdict::Verified, "{right:?}");
    let hyper = right.hyper.unwrap();
    assert!(
        hyper.optimistic_lower <= right.upper.unwrap().hi() && hyper.pessimistic_upper >= right.upper.unwrap().lo()
    );
    assert!(hyper.pessimistic_upper - hyper.optimistic_lower < 1e-2);
    // The other local minimiser, which every method that uses the first-order conditions accepts.
    let wrong = check(0.9, -0.95);
    assert_eq!(wrong.verdict, Verdict::Refuted);
    assert!(matches!(wrong.witness, Some(Witness::Better { tier: Tier::Strict, .. })), "{wrong:?}");
    // A leader's constraint and a bound.
    let outside = check(2.5, answer(2.5, -0.95));
    assert!(matches!(outside.witness, Some(Witness::Constraint { index: 0, .. })), "{outside:?}");
    assert!(matches!(check(0.0, 2.5).witness, Some(Witness::Bound { .. })));
    // At x = 1 both wells are equally deep: the answer is undecided.
    let tie = check(1.0, answer(1.0, 0.957));
    assert!(tie.hyper.unwrap().undecided_by() > 1.5, "both wells are answers");
}

#[test]
fn wrong_points_are_refused() {
    let f = formulas(1, "y[0]^2", &[], (-1.0, 1.0));
    let settings = Settings::default();
    assert!(matches!(f.follower(&[], None, &settings), Err(ProofError::Point { level: "leader", .. })));
    assert!(matches!(f.follower(&[0.0], Some(&[f64::NAN]), &settings), Err(ProofError::Point { .. })));
}

/// The dual bound of convex followers against the answers of coordinate descent; wrong answers have wide bounds.
#[test]
fn dual_bounds_of_quadratic_followers() {
    use crate::problem::Model;
    use crate::set::Bounds;
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(41);
    for m in [1, 3, 12, 40] {
        let a: Vec<f64> = (0..m * m).map(|_| rng.random_range(-1.0..1.0)).collect();
        let entry = |i: usize, j: usize| (0..m).map(|k| a[k * m + i] * a[k * m + j]).sum::<f64>() / m as f64;
        let q: Vec<f64> = (0..m * m).map(|k| entry(k / m, k % m) + if k / m == k % m { 0.05 } else { 0.0 }).collect();
        let c: Vec<f64> = (0..m).map(|_| rng.random_range(-2.0..2.0)).collect();
        let mut y = vec![0.0; m];
        for _ in 0..3000 {
            for i in 0..m {
                let slope = (0..m).map(|j| q[i * m + j] * y[j]).sum::<f64>() - c[i];
                y[i] = f64::clamp(y[i] - slope / q[i * m + i], -1.0, 1.0);
            }
        }
        let mut model = Model::new();
        let x = model.leader("x", 1).free().unwrap();
        let v = model.follower("y", m).within(Bounds::uniform(m, -1.0, 1.0).unwrap()).unwrap();
        let matrix = bilevel_linalg::Dense::from_row_major(m, m, q).unwrap();
        let f = v.quadratic(&matrix.into()) * 0.5 - v.dot(&model.graph().constant_vector(&c));
        model.upper(x.norm2sq()).lower(f);
        let formulas = Formulas::new(&model.build().unwrap()).unwrap();
        let domain = vec![Interval::new(-1.0, 1.0); m];
        let bound = formulas.dual_bound(&[0.0], &y, &domain).unwrap();
        let (f, _) = formulas.answer(&[0.0], &y);
        let gap = f.unwrap().hi() - bound.lower;
        assert!((0.0..1e-9).contains(&gap) && bound.modulus > 0.0, "m = {m}: gap {gap:e}, {bound:?}");
        // Bounds from other points hold too.
        let elsewhere: Vec<f64> = y.iter().map(|v| 0.5 * v + 0.1).collect();
        assert!(formulas.dual_bound(&[0.0], &elsewhere, &domain).unwrap().lower <= f.unwrap().hi());
    }
}

/// Duality never speaks where convexity fails, and its bounds are never above samples where it holds.
#[test]
fn dual_bounds_need_convexity() {
    let concave = [
        "-y[0]^2",
        "y[0]*y[1]",
        "sin(y[0])",
        "y[0]^3",
        "-abs(y[0])",
        "min(y[0], y[1])",
        "(y[0]^2 - 1)^2",
        "y[0]^2 + 3*y[0]*y[1] + y[1]^2",
        "sqrt(y[0] + 3)",
        "x[0]*y[0]^2",
    ];
    for text in concave {
        let f = formulas(2, text, &[], (-2.0, 2.0));
        assert!(f.dual_bound(&[-1.0], &[0.5, 0.5], &[Interval::new(-2.0, 2.0); 2]).is_none(), "{text}");
    }
    let convex = [
        "y[0]^2 + y[0]*y[1] + y[1]^2",
        "exp(y[0] - y[1]) + abs(y[0])",
        "-log(y[0] + 3) + max(y[1], 0.3)",
        "(y[0] + 3)^3 + y[1]^4",
        "norm2(y) + huber(y[0], 0.5)",
        "softplus(y[0]) - x[0]*y[1]^2",
        "sum(abs(y - 0.5))^2",
    ];
    for text in convex {
        let f = formulas(2, text, &["y[0] + y[1] - 1", "y[0]^2 + y[1]^2 - 3"], (-2.0, 2.0));
        for (a, b) in [(0.5, 0.5), (-1.0, 0.3), (0.0, 0.0), (-1.2, -1.2)] {
            let bound = f.dual_bound(&[-1.0], &[a, b], &[Interval::new(-2.0, 2.0); 2]).expect(text).lower;
            for i in -16..=16 {
                for j in -16..=16 {
                    let y = [f64::from(i) / 8.0, f64::from(j) / 8.0];
                    let (value, violation) = f.answer(&[-1.0], &y);
                    assert!(violation > 0.0 || value.unwrap().hi() >= bound, "{text}: {y:?} below {bound}");
                }
            }
        }
    }
}

#[test]
fn searches_end_as_they_say() {
    let f = formulas(3, "(y[0]^2 - 1)^2 + (y[1]^2 - 1)^2 + (y[2]^2 - 1)^2 + 0.3*y[0]*y[1]*y[2]", &[], (-2.0, 2.0));
    let few = f.follower(&[0.0], None, &Settings { nodes: 3, ..Settings::default() }).unwrap();
    assert_eq!(few.bound.ended, Ended::Budget);
    let many = f.follower(&[0.0], None, &Settings::default()).unwrap();
    assert_eq!(many.bound.ended, Ended::Closed);
    assert!(few.lower <= many.bound.upper() && many.bound.upper() - many.lower < 1e-6);
}

/// Answers that no `f64` is: they are proved to exist near one.
#[test]
fn existence_on_equations_without_exact_solutions() {
    // y0² + y1² = 3 with y0 = y1: the answer is irrational.
    let rows = ["y[0]^2 + y[1]^2 - 3", "3 - y[0]^2 - y[1]^2", "y[0] - y[1]", "y[1] - y[0]"];
    let f = formulas(2, "y[0] + y[1]", &rows, (-4.0, 4.0));
    let root = -(1.5f64.sqrt());
    let proof = f.follower(&[0.0], Some(&[root, root]), &Settings::default()).unwrap();
    assert!(proof.bound.strict.is_none() && !proof.empty, "{proof:?}");
    let (tier, answer) = proof.best_answer().unwrap();
    assert_eq!(tier, Tier::Existence, "{proof:?}");
    assert!(answer.value.contains(2.0 * root) && answer.value.width() < 1e-9, "{answer:?}");
    // The other solution is refuted by it.
    let wrong = f.check(&[0.0], &[-root, -root], Claim::Answer, &Tolerances::default(), &Settings::default()).unwrap();
    assert!(matches!(wrong.witness, Some(Witness::Better { tier: Tier::Existence, .. })), "{wrong:?}");
    // Nothing is claimed where there is no solution.
    let rows = ["y[0]^2 + y[1]^2 - 1", "1 - y[0]^2 - y[1]^2", "y[0] + y[1] - 1.5", "1.5 - y[0] - y[1]"];
    let none = formulas(2, "y[0]", &rows, (-4.0, 4.0)).follower(&[0.0], None, &Settings::default()).unwrap();
    assert!(none.existing.is_none() && none.bound.strict.is_none());
}

/// What is said of a follower holds for every sample of the box that it is said of: free variables, random formulas
/// with and without growth, answers given at random.
#[test]
fn no_sample_contradicts_what_is_said_of_a_follower() {
    use super::program::tests::random_formula;
    use super::program::{Builder, Sweep, Unary};
    use rand::{RngExt, SeedableRng};
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(42);
    let (mut compared, mut unconditional, mut verified) = (0, 0, 0);
    for round in 0..700 {
        let m = rng.random_range(1..3);
        let mut b = Builder::new();
        let mut lower = random_formula(&mut rng, &mut b, m, 4);
        let growth = rng.random_range(0..3);
        for v in 0..if growth > 0 { m } else { 0 } {
            let y = b.variable(v);
            let square = b.apply(if growth == 1 { Unary::Square } else { Unary::Whole(4) }, y);
            lower = b.add(lower, square);
        }
        let rows: Vec<_> = (0..rng.random_range(0..3)).map(|_| random_formula(&mut rng, &mut b, m, 2)).collect();
        let zero = b.number(0.0);
        let bound = |rng: &mut rand_chacha::ChaCha8Rng| match rng.random_range(0..4) {
            0 => Interval::new(-2.0, 2.0),
            1 => Interval::at_least(-1.0),
            _ => Interval::ENTIRE,
        };
        let domain = (0..m).map(|_| bound(&mut rng)).collect();
        let f = Formulas::from_parts(&b, 0, m, (zero, Vec::new()), (lower, rows), domain);
        let settings = Settings { nodes: 100, ..Settings::default() };
        let mut given: Vec<f64> = (0..m).map(|_| f64::from(rng.random_range(-2..3))).collect();
        let first = f.follower(&[], Some(&given), &settings).unwrap();
        if let Some(best) = &first.bound.within {
            given.clone_from(&best.point);
        }
        let proof = f.follower(&[], Some(&given), &settings).unwrap();
        unconditional += usize::from(proof.artificial.is_empty() && proof.lower > f64::NEG_INFINITY && !proof.empty);
        verified += usize::from(proof.gap().is_some_and(|gap| gap < 1e-6));
        let mut sweep = Sweep::<f64>::new(&f.program);
        for _ in 0..150 {
            let scale = 10f64.powi(rng.random_range(-1..4));
            let y: Vec<f64> = given.iter().map(|v| v + scale * rng.random_range(-1.0..1.0)).collect();
            sweep.forward(&f.program, &y);
            let (value, violation) = f.answer(&[], &y);
            let said = proof.artificial.iter().all(|&j| proof.domain[j].contains(y[j]));
            if violation <= 0.0 && said && sweep.largest() < 1e12 {
                assert!(!proof.empty, "round {round}: {y:?} is feasible: {f:?}");
                let Some(value) = value else { continue };
                assert!(value.hi() >= proof.lower, "round {round}: {value:?} at {y:?} below {}: {f:?}", proof.lower);
                compared += 1;
            }
        }
    }
    assert!(compared > 20_000 && unconditional > 200 && verified > 200, "{compared} {unconditional} {verified}");
}
