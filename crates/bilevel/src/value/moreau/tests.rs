//! Both envelopes against closed forms, and against the definition.

use super::*;
use crate::expr::Expr;
use crate::lower::{Meter, PoolSettings};
use crate::problem::{Model, Problem};
use crate::set::{Bounds, Set, Whole};
use crate::smooth::Chks;

fn problem(n: usize, set: impl Into<Set>, m: usize, f: impl Fn(&Expr, &Expr) -> Expr) -> Problem {
    let mut model = Model::new();
    let x = model.leader("x", n).free().unwrap();
    let y = model.follower("y", m).within(set).unwrap();
    model.upper(x.norm2sq()).lower(f(&x, &y)).build().unwrap()
}

fn check(point: &ValuePoint, value: f64, gradient: &[f64], tolerance: f64) {
    let difference = vector::distance_inf(&point.gradient, gradient);
    assert!((point.value - value).abs() <= tolerance, "value {} for {value}", point.value);
    assert!(difference <= tolerance.max(3.0 * point.gradient_error), "{:?} for {gradient:?}", point.gradient);
    assert!(
        (point.value - value).abs() <= 3.0 * point.value_error,
        "{value}: above the reported {}",
        point.value_error
    );
    assert!(
        difference <= 3.0 * point.gradient_error + 1e-14,
        "{difference} above the reported {}",
        point.gradient_error
    );
}

fn joint(problem: &Problem, x: &[f64], mu: f64) -> ValuePoint {
    let follower = Follower::direct(problem);
    let failures = Failures::default();
    let mut model = JointMoreau::new(&follower, &Chks, true, &vec![0.0; problem.m()], &failures);
    model.begin_stage(mu, &[]);
    model.evaluate(x).unwrap()
}

fn concave(problem: &Problem, x: &[f64], mu: f64) -> ValuePoint {
    let follower = Follower::direct(problem);
    let failures = Failures::default();
    let solver = LowerSolver::new(&follower, &failures, &Meter::unlimited());
    let pool = Pool::new(PoolSettings::default(), 1, &[vec![0.0; problem.m()]]);
    let mut model = ConcaveMoreau::new(solver, &Chks, true, pool);
    model.begin_stage(mu, &[]);
    model.evaluate(x).unwrap()
}

#[test]
fn joint_envelope_of_a_quadratic() {
    // f = ½ (y − x)² + ½ y²: v = x²/4, e_mu v = x² / (4 + 2 mu).
    let quadratic = problem(1, Whole::new(1), 1, |x, y| ((y - x).norm2sq() + y.norm2sq()) * 0.5);
    for mu in [1.0, 1e-2, 1e-4, 1e-6] {
        for x in [-3.0, 0.0, 0.7] {
            check(&joint(&quadratic, &[x], mu), x * x / (4.0 + 2.0 * mu), &[2.0 * x / (4.0 + 2.0 * mu)], 1e-9);
        }
    }
}

#[test]
fn joint_envelope_where_v_has_a_kink() {
    // y >= x and y >= −x: v = |x|, whose envelope is Huber's function; the constraints are coupled.
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 1).free().unwrap();
    model.upper(x.norm2sq()).lower(y.sum());
    model.lower_subject_to(y.at_least(&x)).lower_subject_to(y.at_least(-&x));
    let kink = model.build().unwrap();
    for mu in [1.0, 1e-2, 1e-4] {
        for x in [-0.5, 0.3 * mu, 0.0, 2.0] {
            let (value, slope) =
                if f64::abs(x) <= mu { (x * x / (2.0 * mu), x / mu) } else { (x.abs() - 0.5 * mu, x.signum()) };
            check(&joint(&kink, &[x], mu), value, &[slope], 1e-8);
        }
    }
}

#[test]
fn concave_envelope_of_a_quadratic() {
    // f = −½ x² + x y + y²: v = −¾ x², −e_mu(−v) = −¾ x² / (1 + 3/2 mu).
    let quadratic = problem(1, Whole::new(1), 1, |x, y| x.norm2sq() * -0.5 + x.dot(y) + y.norm2sq());
    for mu in [1.0, 1e-2, 1e-4] {
        for x in [-2.0, 0.0, 0.4] {
            let scale = 0.75 / (1.0 + 1.5 * mu);
            check(&concave(&quadratic, &[x], mu), -scale * x * x, &[-2.0 * scale * x], 1e-7);
        }
    }
}

#[test]
fn concave_envelope_of_minus_abs_is_minus_huber() {
    let kink = problem(1, Whole::new(1), 1, |x, y| y.norm2sq() - x.abs().sum());
    for mu in [1.0, 1e-2, 1e-4] {
        for x in [-0.5, 0.3 * mu, 0.0, 2.0] {
            let (value, slope) =
                if f64::abs(x) <= mu { (x * x / (2.0 * mu), x / mu) } else { (x.abs() - 0.5 * mu, x.signum()) };
            check(&concave(&kink, &[x], mu), -value, &[-slope], 1e-8);
        }
    }
}

#[test]
fn concave_envelope_with_two_minimisers_of_a_nonconvex_follower() {
    // f = <x, y> on [−1, 1]²: v = −‖x‖₁, separable.
    let abs = problem(2, Bounds::uniform(2, -1.0, 1.0).unwrap(), 2, |x, y| x.dot(y));
    let mu = 1e-2;
    let x = [0.004, -0.3];
    let value = -(0.004 * 0.004 / (2.0 * mu)) - (0.3 - 0.5 * mu);
    check(&concave(&abs, &x, mu), value, &[-0.4, 1.0], 1e-8);
}

#[test]
fn a_follower_without_a_minimum_has_no_envelope() {
    let falling = problem(1, Whole::new(1), 1, |x, y| x.norm2sq() + y.sum());
    let follower = Follower::direct(&falling);
    let failures = Failures::default();
    let mut model = JointMoreau::new(&follower, &Chks, true, &[0.0], &failures);
    model.begin_stage(1e-2, &[]);
    assert!(model.evaluate(&[0.3]).is_err());
}
