use super::*;
use crate::expr::{Expr, Level};
use crate::problem::{At, Failures, FunctionEvaluator, Model};
use crate::set::{Bounds, Simplex};
use crate::smooth::Smoothing;
use crate::solution::{Solution, Status, Verdict};
use crate::solve::{Claims, Options};

/// min (x − 3)² + (y − 1)² with y the least y >= x/2 − 1/2, x + y <= 4, written in the units u_x, u_y and with rows and
/// objectives multiplied: y = (x − 1)/2, so F = (x − 3)² + (x/2 − 3/2)², least at x = 3, y = 1 with F = 0.
fn hidden(units: (f64, f64), rows: (f64, f64), goals: (f64, f64)) -> Problem {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 10.0 / units.0).unwrap()).unwrap();
    let y = model.follower("y", 1).within(Bounds::new(0.0, 10.0 / units.1).unwrap()).unwrap();
    let (u, v) = (&x * units.0, &y * units.1);
    model.upper(((&u - 3.0).square() + (&v - 1.0).square()).sum() * goals.0);
    model.lower(((&v + 1.0).square()).sum() * goals.1);
    model.upper_subject_to(((&u + &v - 4.5) * rows.0).at_most(0.0));
    model.lower_subject_to(((&u * 0.5 - 0.5 - &v) * rows.1).at_most(0.0));
    model.start(&[1.0 / units.0], &[2.0 / units.1]);
    model.build().unwrap()
}

const SCALED: ((f64, f64), (f64, f64), (f64, f64)) = ((2e3, 7e-4), (3e-4, 5e3), (1.0, 1.0));

fn solved(problem: &Problem) -> Solution {
    problem.solve(&Options { threads: 1, ..Options::default() })
}

fn value(problem: &Problem, side: &Side, x: &[f64], y: &[f64]) -> f64 {
    let failures = Failures::default();
    FunctionEvaluator::new(&side.objective, problem.n(), problem.m(), &failures).value(At {
        x,
        y,
        smoothing: Smoothing::EXACT,
    })
}

#[test]
fn a_problem_of_moderate_size_is_left_alone() {
    let problem = hidden((1.0, 1.0), (1.0, 1.0), (1.0, 1.0));
    let presolved = Presolved::new(&problem);
    assert!(presolved.way.is_identity() && matches!(presolved.problem, Cow::Borrowed(_)));
}

#[test]
fn functions_are_the_same_to_the_last_bit() {
    let problem = hidden(SCALED.0, SCALED.1, (1e-4, 3e7));
    let presolved = Presolved::new(&problem);
    assert!(!presolved.way.is_identity());
    for k in 0..20 {
        let (x, y) = ([0.001 * f64::from(k).sin()], [900.0 * f64::from(k).cos()]);
        let (u, v) = presolved.way.enter(&x, &y);
        assert_eq!(presolved.way.leave(&u, &v), (x.to_vec(), y.to_vec()));
        let upper = value(&presolved.problem, presolved.problem.leader(), &u, &v);
        assert_eq!(presolved.way.upper(upper), value(&problem, problem.leader(), &x, &y));
        let lower = value(&presolved.problem, presolved.problem.follower(), &u, &v);
        assert_eq!(presolved.way.lower(lower), value(&problem, problem.follower(), &x, &y));
    }
}

#[test]
fn the_same_problem_results_whatever_the_units() {
    let first = Presolved::new(&hidden(SCALED.0, SCALED.1, SCALED.2)).problem.into_owned();
    let other = Presolved::new(&hidden((3e-4, 4e3), (2e4, 7e-5), (1.0, 1.0))).problem.into_owned();
    let bound = |problem: &Problem| problem.variable_bounds().leader()[0].upper();
    // Up to the rounding of units to powers of two.
    assert!((bound(&first) / bound(&other)).log2().abs() < 1.01);
}

#[test]
fn badly_scaled_problems_are_solved_and_verified_in_the_users_units() {
    for goals in [(1.0, 1.0), (1e-4, 1e4), (1e4, 1e-4)] {
        let (units, rows, _) = SCALED;
        let problem = hidden(units, rows, goals);
        let solution = solved(&problem);
        assert_eq!(solution.status, Status::Solved, "{goals:?}: {}", solution.message);
        let (x, y) = (solution.x.as_ref().unwrap().get("x").unwrap(), solution.y.as_ref().unwrap().get("y").unwrap());
        assert!((x[0] * units.0 - 3.0).abs() < 1e-4 && (y[0] * units.1 - 1.0).abs() < 1e-4, "{x:?} {y:?}");
        assert!(solution.certificate.violation.unwrap() <= 1e-6);
        let follower = value(&problem, problem.follower(), x, y);
        assert_eq!(solution.lower, Some(follower));
        let kkt = solution.certificate.kkt.as_ref().unwrap();
        let (near_x, near_y) = (kkt.x.get("x").unwrap(), kkt.y.get("y").unwrap());
        assert!((near_x[0] * units.0 - 3.0).abs() < 0.1 && (near_y[0] * units.1 - 1.0).abs() < 0.1, "{kkt:?}");
        let verified = problem.verify(x, y, &Claims::default(), &Options::default()).unwrap();
        assert_ne!(verified.certificate.verdict, Some(Verdict::Refuted));
        assert_eq!(verified.status, Status::Solved, "{}", verified.message);
    }
}

#[test]
fn a_loose_unit_does_not_hide_a_wrong_answer() {
    // In these units f and the row hardly change: y = 4 in place of 1 has a gap and violates nothing, in the user's own.
    let problem = hidden((1.0, 1e-3), (1.0, 1e-4), (1.0, 1e-12));
    let verified = problem.verify(&[3.0], &[4e3], &Claims::default(), &Options::default()).unwrap();
    assert_ne!(verified.status, Status::Solved, "{}", verified.message);
}

#[test]
fn a_maximising_leader_and_a_simplex_keep_their_names_and_sense() {
    // max 1000 t s_0 over tolls t <= 1e-3: the follower takes road 0 as long as 1000 t <= 0.6.
    let mut model = Model::new();
    let toll = model.leader("toll", 1).within(Bounds::new(0.0, 2e-4).unwrap()).unwrap();
    let share = model.follower("share", 2).within(Simplex::new(2, 1.0).unwrap()).unwrap();
    let cost = toll.sum() * 1e4;
    model.upper_maximize(&cost * &share.index(0));
    model.lower(&cost * &share.index(0) + share.index(1) * 0.6);
    let problem = model.build().unwrap();
    assert!(!Presolved::new(&problem).way.is_identity());
    let solution = solved(&problem);
    assert_eq!(solution.status, Status::Solved, "{}", solution.message);
    assert!((solution.upper.unwrap() - 0.6).abs() < 1e-5, "{:?}", solution.upper);
    assert!((solution.x.unwrap().get("toll").unwrap()[0] - 6e-5).abs() < 1e-9);
}

#[test]
fn fixed_and_scaled_entries_of_a_vector() {
    let graph = crate::expr::Graph::new();
    let y = graph.variable(Level::Follower, 0, crate::expr::Shape::Vector(3));
    let formula: Expr = y.norm2sq() + y.index(1) * 10.0;
    let change = |units: &[f64], fixed: &[Option<f64>]| Change { units: units.to_vec(), fixed: fixed.to_vec() };
    let mut rewriter = Rewriter::new(change(&[], &[]), change(&[2.0, 4.0, 8.0], &[None, Some(5.0), None]));
    let rewritten = rewriter.rewrite(&formula).unwrap();
    let function = Function::formula(&rewritten, 0, 3).unwrap();
    let failures = Failures::default();
    let mut evaluator = FunctionEvaluator::new(&function, 0, 3, &failures);
    let at = At { x: &[], y: &[1.0, 100.0, -1.0], smoothing: Smoothing::EXACT };
    assert_eq!(evaluator.value(at), 4.0 + 25.0 + 64.0 + 50.0);
    let mut gradient = [0.0; 3];
    evaluator.add_gradient(at, &[1.0], None, Some(&mut gradient));
    assert_eq!(gradient, [8.0, 0.0, -128.0]);
}
