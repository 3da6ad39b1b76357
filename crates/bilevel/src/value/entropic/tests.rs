//! v_ent and its gradient against closed forms: mathematics of the module's doc, and
//!
//! ```text
//! A  ½‖y − x‖² on a box            a product of truncated Gaussians
//! B  <x, y> on a box               −mu Σ ln(2 mu sinh(x_j / mu) / x_j); at a bound of Y
//! C  two wells of equal depth      two Gaussians of different width
//! L  <x, y> on a ball, a simplex   Bessel functions of half-integer order; divided differences of exp
//! ```

use super::*;
use crate::expr::Expr;
use crate::lower::{Meter, PoolSettings};
use crate::problem::{Model, Problem};
use crate::set::{Ball, Bounds, Halfspace, Simplex, Whole};
use crate::smooth::Uniform;
use bilevel_linalg::Csr;
use std::f64::consts::PI;

/// The problem with this follower; the leader has n free variables.
fn problem(n: usize, m: usize, set: impl Into<Set>, f: impl Fn(&Expr, &Expr) -> Expr) -> Problem {
    let mut model = Model::new();
    let x = model.leader("x", n).free().unwrap();
    let y = model.follower("y", m).within(set).unwrap();
    model.upper(x.norm2sq()).lower(f(&x, &y)).build().unwrap()
}

struct Found {
    point: Result<ValuePoint, LowerStatus>,
    report: EntropicReport,
}

fn evaluate_with(problem: &Problem, x: &[f64], mu: f64, settings: EntropicSettings) -> Found {
    let follower = Follower::direct(problem);
    let failures = Failures::default();
    let solver = LowerSolver::new(&follower, &failures, &Meter::unlimited());
    let y = vec![0.0; problem.m()];
    let pool = Pool::new(PoolSettings::default(), 1, std::slice::from_ref(&y));
    let mut model = EntropicValue::new(solver, &Uniform, pool, settings, &failures).unwrap();
    model.begin_stage(mu, &y);
    let point = model.evaluate(x);
    Found { point, report: model.report().clone() }
}

fn evaluate(problem: &Problem, x: &[f64], mu: f64) -> Found {
    evaluate_with(problem, x, mu, EntropicSettings::default())
}

/// Errors at most `bound`, and within three times those reported.
fn check(name: &str, problem: &Problem, x: &[f64], mu: f64, bound: f64, exact: &(f64, Vec<f64>)) {
    let found = evaluate(problem, x, mu);
    let point = found.point.unwrap_or_else(|e| panic!("{name}, mu = {mu}: {e:?}, {:?}", found.report));
    let value = (point.value - exact.0).abs();
    let gradient = point.gradient.iter().zip(&exact.1).fold(0.0, |a: f64, (g, e)| a.max((g - e).abs()));
    let r = &found.report;
    println!(
        "{name:24} mu {mu:7.0e}  value {value:8.1e} ({:8.1e})  gradient {gradient:8.1e} ({:8.1e})  nodes {:6} effective {:.0}",
        r.value_error, r.gradient_error, r.nodes, r.effective
    );
    assert!(value <= bound && gradient <= bound, "{name}, mu = {mu}: errors {value:e}, {gradient:e}");
    let (v, g) = (3.0 * r.value_error, 3.0 * r.gradient_error);
    assert!(value <= v && gradient <= g, "{name}, mu = {mu}: {value:e}, {gradient:e} above {v:e}, {g:e}");
}

fn cube(m: usize) -> Bounds {
    Bounds::uniform(m, -1.0, 1.0).unwrap()
}

/// Example A.
fn truncated_gaussians(x: &[f64], mu: f64) -> (f64, Vec<f64>) {
    let s = mu.sqrt();
    let density = |z: f64| (-0.5 * z * z).exp() / (2.0 * PI).sqrt();
    let ends = |x: f64| ((-1.0 - x) / s, (1.0 - x) / s);
    let mass = |x: f64| normal::probability(ends(x).0, ends(x).1);
    let value = x.iter().map(|&x| -mu * ((2.0 * PI * mu).sqrt() * mass(x)).ln()).sum();
    let slope = |&x: &f64| -s * (density(ends(x).0) - density(ends(x).1)) / mass(x);
    (value, x.iter().map(slope).collect())
}

/// Example B: ∫ exp(−x y / mu) over [−1, 1] is 2 mu sinh(x / mu) / x.
fn linear_on_box(x: &[f64], mu: f64) -> (f64, Vec<f64>) {
    let one = |x: f64| {
        let a = x.abs() / mu;
        let log = a + (-(-2.0 * a).exp()).ln_1p() - a.ln();
        (-mu * log, -x.signum() * (1.0 / a.tanh() - 1.0 / a))
    };
    (x.iter().map(|&x| one(x).0).sum(), x.iter().map(|&x| one(x).1).collect())
}

fn half_square(x: &Expr, y: &Expr) -> Expr {
    (y - x).norm2sq() * 0.5
}

#[test]
fn boxes_up_to_three_variables() {
    for m in 1..=3 {
        let x = &[0.3, -0.7, 0.9][..m];
        let a = problem(m, m, cube(m), half_square);
        let b = problem(m, m, cube(m), |x, y| x.dot(y));
        for mu in [1.0, 1e-2, 1e-4] {
            check(&format!("A, box, m = {m}"), &a, x, mu, 1e-6, &truncated_gaussians(x, mu));
            check(&format!("B, box, m = {m}"), &b, x, mu, 1e-6, &linear_on_box(x, mu));
        }
    }
}

#[test]
fn abs_of_the_theory_near_its_kink_and_at_it() {
    let abs = problem(1, 1, cube(1), |x, y| (x * y).sum());
    for mu in [1e-1, 1e-3, 1e-5] {
        for x in [-1.0, 0.5 * mu, 1e-3, 0.4] {
            check("abs", &abs, &[x], mu, 1e-6, &linear_on_box(&[x], mu));
        }
        // Both wells: v = −mu ln 2 and slope 0 at the tie.
        check("abs at the tie", &abs, &[0.0], mu, 1e-6, &(-mu * 2f64.ln(), vec![0.0]));
    }
}

/// Example C: wells at 1/2 and −1/4 of curvature 4 and 16 in y_0, tilted by x_0 y_0; ½ (y_1 − x_1)² beside them.
fn wells(m: usize) -> Problem {
    problem(2, m, cube(m), |x, y| {
        let y0 = y.slice(0..1);
        let well = (y0.plus() - 0.5).square() * 2.0 + ((-&y0).plus() - 0.25).square() * 8.0;
        let tilted = (well + x.slice(0..1) * y0).sum();
        (1..m).fold(tilted, |sum, j| sum + (y.slice(j..j + 1) - x.slice(1..2)).norm2sq() * 0.5)
    })
}

fn two_gaussians(x: &[f64], m: usize, mu: f64) -> (f64, Vec<f64>) {
    // ½ κ (y − w)² + ½ + x y = ½ κ (y − w + x/κ)² + ½ + x w − x²/(2κ)
    let well = |kappa: f64, w: f64| {
        let log = -(0.5 + x[0] * w - x[0] * x[0] / (2.0 * kappa)) / mu + 0.5 * (2.0 * PI * mu / kappa).ln();
        (log, w - x[0] / kappa)
    };
    let ((p, mean_p), (q, mean_q)) = (well(4.0, 0.5), well(16.0, -0.25));
    let top = p.max(q);
    let (a, b) = ((p - top).exp(), (q - top).exp());
    let (other, slope) = truncated_gaussians(&x[1..2], mu);
    let count = (m - 1) as f64;
    (-mu * (top + (a + b).ln()) + count * other, vec![(a * mean_p + b * mean_q) / (a + b), count * slope[0]])
}

#[test]
fn both_wells_of_a_tie_count() {
    for m in 1..=3 {
        for mu in [1e-2, 1e-3, 1e-4] {
            for x in [[0.0, 0.2], [0.3 * mu, 0.2], [1e-2, 0.2]] {
                check(&format!("C, m = {m}"), &wells(m), &x, mu, 1e-6, &two_gaussians(&x, m, mu));
            }
        }
    }
    let x = [3e-3, 0.2];
    check("C, m = 6", &wells(6), &x, 1e-2, 1e-3, &two_gaussians(&x, 6, 1e-2));
}

#[test]
fn reported_errors_hold_wherever_x_is() {
    // Additive recurrences: x from −1.2 to 1.2 (minimisers inside and at bounds, peaks cut by them), mu from 1 to 1e-5.
    for k in 0..45 {
        let t = |step: f64| (f64::from(k) * step).fract();
        let x: Vec<f64> = [0.754_878, 0.569_840, 0.430_160, 0.324_718, 0.245_122].map(|a| 2.4 * t(a) - 1.2).to_vec();
        let mu = 10f64.powf(-5.0 * t(0.618_034));
        let sizes: &[usize] = if k % 15 == 0 { &[1, 2, 5] } else { &[1, 2] };
        for &m in sizes {
            let bound = if m < 4 { 1e-6 } else { 3e-3 };
            let (a, b) = (problem(m, m, cube(m), half_square), problem(m, m, cube(m), |x, y| x.dot(y)));
            check(&format!("A, m = {m}"), &a, &x[..m], mu, bound, &truncated_gaussians(&x[..m], mu));
            check(&format!("B, m = {m}"), &b, &x[..m], mu, bound, &linear_on_box(&x[..m], mu));
        }
    }
}

#[test]
fn boxes_of_ten_variables() {
    let x: Vec<f64> = (0..10).map(|j| 0.9 * f64::from(j % 7 - 3) / 3.0 + 0.05).collect();
    let b = problem(10, 10, cube(10), |x, y| x.dot(y));
    let a = problem(10, 10, cube(10), half_square);
    for mu in [1e-1, 1e-2, 1e-4] {
        check("A, box, m = 10", &a, &x, mu, 1e-3, &truncated_gaussians(&x, mu));
        check("B, box, m = 10", &b, &x, mu, 1e-3, &linear_on_box(&x, mu));
    }
}

/// ∫ exp(−<x, y> / mu) over the unit ball of dimension d = 2 ν is (2π)^ν I_ν(a) / a^ν, a = ‖x‖ / mu; (a^{−ν} I_ν)′ = a^{−ν} I_{ν+1}.
fn linear_on_ball(x: &[f64], mu: f64) -> (f64, Vec<f64>) {
    let size = x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let a = size / mu;
    let (s, c) = (0.5 * (1.0 - (-2.0 * a).exp()), 0.5 * (1.0 + (-2.0 * a).exp()));
    // exp(−a) √(π a / 2) I_ν(a) for ν = 3/2, 5/2, 7/2.
    let bessel = [
        c - s / a,
        (1.0 + 3.0 / (a * a)) * s - 3.0 * c / a,
        (1.0 + 15.0 / (a * a)) * c - (6.0 / a + 15.0 / (a * a * a)) * s,
    ];
    let k = (x.len() - 3) / 2;
    let nu = x.len() as f64 / 2.0;
    let log = nu * (2.0 * PI / a).ln() + a - 0.5 * (0.5 * PI * a).ln() + bessel[k].ln();
    (-mu * log, x.iter().map(|x| -x / size * bessel[k + 1] / bessel[k]).collect())
}

#[test]
fn balls() {
    for d in [3, 5] {
        let x = &[0.3, -0.7, 0.9, 0.2, -0.1][..d];
        let ball = problem(d, d, Ball::new(vec![0.0; d], 1.0).unwrap(), |x, y| x.dot(y));
        for mu in [1e-1, 1e-2, 1e-4] {
            check(&format!("L, ball, m = {d}"), &ball, x, mu, 1e-3, &linear_on_ball(x, mu));
        }
    }
    // In two dimensions Z = ∫ 2 sin² θ exp(−a cos θ): the trapezoidal rule converges like a Fourier series.
    let disc = problem(2, 2, Ball::new(vec![0.0; 2], 1.0).unwrap(), |x, y| x.dot(y));
    for mu in [1.0, 1e-2] {
        let x = [0.6, -0.8];
        let a = 1.0 / mu;
        let terms = (0..4000).map(|k| PI * f64::from(k) / 4000.0).map(|t| (t.cos(), 2.0 * t.sin() * t.sin()));
        let (z, zy) = terms.fold((0.0, 0.0), |(z, zy), (c, w)| {
            let e = w * (-a * (c + 1.0)).exp();
            (z + e, zy + e * c)
        });
        let value = -mu * ((z * PI / 4000.0).ln() + a);
        check("L, disc", &disc, &x, mu, 1e-6, &(value, x.iter().map(|x| x * zy / z).collect()));
    }
}

/// ∫ exp(−<x, y> / mu) over the simplex {y >= 0, Σ y = 1} is √n Σ_k e^{−a_k} / Π_{j≠k} (a_j − a_k), a = x / mu.
fn linear_on_simplex(x: &[f64], mu: f64) -> (f64, Vec<f64>) {
    let a: Vec<f64> = x.iter().map(|x| x / mu).collect();
    let least = a.iter().copied().fold(f64::INFINITY, f64::min);
    let others = |k: usize| (0..a.len()).filter(move |&j| j != k);
    let term: Vec<f64> =
        (0..a.len()).map(|k| (least - a[k]).exp() / others(k).map(|j| a[j] - a[k]).product::<f64>()).collect();
    let z: f64 = term.iter().sum();
    let mean = |i: usize| {
        let own = term[i] * (1.0 - others(i).map(|j| 1.0 / (a[j] - a[i])).sum::<f64>());
        (own + others(i).map(|k| term[k] / (a[i] - a[k])).sum::<f64>()) / z
    };
    (-mu * ((a.len() as f64).sqrt().ln() + z.ln() - least), (0..a.len()).map(mean).collect())
}

#[test]
fn simplices() {
    for n in [2, 3, 4, 6] {
        let x = &[0.3, -0.2, 0.9, 0.1, 0.6, -0.5][..n];
        let simplex = problem(n, n, Simplex::new(n, 1.0).unwrap(), |x, y| x.dot(y));
        for mu in [1e-1, 1e-2, 1e-4] {
            check(&format!("L, simplex, n = {n}"), &simplex, x, mu, 1e-3, &linear_on_simplex(x, mu));
        }
    }
}

#[test]
fn polyhedra_agree_with_the_sets_they_are() {
    // The simplex of three and of five as rows; the halfspace y_0 + y_1 <= 0 of a box as rows of the follower.
    for n in [3, 5] {
        let x = &[0.3, -0.2, 0.9, 0.1, 0.6][..n];
        let row: Vec<(usize, usize, f64)> = (0..n).map(|j| (0, j, 1.0)).collect();
        let rows = Csr::from_triplets(1, n, &row).unwrap();
        let set = Polyhedron::new(&rows, &[1.0], &[1.0], &vec![0.0; n], &vec![f64::INFINITY; n]).unwrap();
        let linear = problem(n, n, set, |x, y| x.dot(y));
        for mu in [1e-2, 1e-3] {
            check(&format!("L, polyhedron, n = {n}"), &linear, x, mu, 1e-3, &linear_on_simplex(x, mu));
        }
    }
    let mut model = Model::new();
    let x = model.leader("x", 2).free().unwrap();
    let y = model.follower("y", 2).within(cube(2)).unwrap();
    model.upper(x.norm2sq()).lower((&y - &x).norm2sq() * 0.5).lower_subject_to(y.sum().at_most(0.0));
    let half = model.build().unwrap();
    // By symmetry half of the square's mass, seen from the origin: v = v_box + mu ln 2.
    let whole = truncated_gaussians(&[0.0, 0.0], 1e-2);
    let found = evaluate(&half, &[0.0, 0.0], 1e-2).point.unwrap();
    assert!((found.value - whole.0 - 1e-2 * 2f64.ln()).abs() < 1e-6, "{}", found.value - whole.0);
    // E (x − y) over the half plane: √(mu / π) along each axis.
    assert!(found.gradient.iter().all(|g| (g - (1e-2 / PI).sqrt()).abs() < 1e-5), "{:?}", found.gradient);
}

#[test]
fn flat_solution_sets_have_their_volume() {
    // f = (y_0 − x)²/2 does not depend on y_1: v_ent = v_A(x) − mu ln 2.
    let flat = problem(1, 2, cube(2), |x, y| (y.slice(0..1) - x).norm2sq() * 0.5);
    for mu in [1e-1, 1e-4] {
        let (value, gradient) = truncated_gaussians(&[0.4], mu);
        check("flat", &flat, &[0.4], mu, 1e-6, &(value - mu * 2f64.ln(), gradient));
    }
    // Constant: everything is a minimiser.
    let constant = problem(1, 5, cube(5), |x, y| x.sum() + y.sum() * 0.0);
    check("constant", &constant, &[0.4], 1e-2, 1e-6, &(0.4 - 1e-2 * 5.0 * 2f64.ln(), vec![1.0]));
}

#[test]
fn unbounded_sets_are_cut_and_what_was_cut_is_measured() {
    // The whole of Y: v_ent = −(m/2) mu ln(2π mu), and v does not depend on x.
    for m in [1, 2, 4] {
        let gaussian = problem(m, m, Whole::new(m), half_square);
        for mu in [1e-2, 1e-4] {
            let value = -(m as f64) * 0.5 * mu * (2.0 * PI * mu).ln();
            let x = &[0.3, -2.0, 5.0, 0.4][..m];
            check(&format!("A, whole space, m = {m}"), &gaussian, x, mu, 1e-3, &(value, vec![0.0; m]));
            let report = evaluate(&gaussian, x, mu).report;
            assert!(report.cut.0 < 1e-6 && report.volume_term < 60.0 * mu, "{report:?}");
        }
    }
    // A halfspace through the peak.
    let half = Halfspace::new(vec![1.0, 1.0], 0.0).unwrap();
    let found = evaluate(&problem(2, 2, half, half_square), &[0.0, 0.0], 1e-2).point.unwrap();
    assert!((found.value + 1e-2 * (PI * 1e-2).ln()).abs() < 1e-6, "{}", found.value);
}

#[test]
fn mass_that_does_not_vanish_is_refused() {
    // y² / (1 + y⁴) falls back to its least value at infinity: not level-bounded, and Y_mu's tail takes the mass.
    let tail = problem(1, 1, Whole::new(1), |x, y| {
        let square = y.square();
        ((&square) / (square.square() + 1.0)).sum() + x.sum() * 0.0
    });
    for mu in [1e-3, 1e-5] {
        let found = evaluate(&tail, &[0.0], mu);
        assert_eq!(found.point.map(|p| p.value), Err(LowerStatus::Unreliable), "{:?}", found.report);
    }
}

#[test]
fn what_is_not_resolved_is_refused() {
    // Two evaluations per axis cannot resolve a peak of width 1e-2 in a corner.
    let a = problem(2, 2, cube(2), half_square);
    let coarse = EntropicSettings { most_nodes: 0, goal: 1e-12, ..EntropicSettings::default() };
    let rough = problem(2, 2, cube(2), |x, y| half_square(x, y) + (y * 40.0).sin().sum() * 0.3);
    assert!(evaluate_with(&rough, &[0.3, 0.4], 1e-2, coarse).point.is_err());
    assert!(evaluate(&a, &[0.3, 0.4], 1e-2).point.is_ok());
    // A quartic well in eight variables: the Laplace approximation does not fit, few points carry the sum.
    let quartic = problem(1, 8, cube(8), |x, y| y.square().square().sum() + x.sum());
    let found = evaluate(&quartic, &[0.0], 1e-8);
    assert!(found.point.is_err(), "{:?}", found.report);
}

#[test]
fn sets_that_cannot_be_integrated_over_are_named() {
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 1).within(cube(1)).unwrap();
    model.upper(x.norm2sq()).lower((&y - &x).norm2sq()).lower_subject_to(y.sum().at_most(x.sum()));
    let coupled = model.build().unwrap();
    let error = EntropicValue::set(&Follower::direct(&coupled)).unwrap_err();
    assert_eq!(error, "the follower's constraints depend on x");
    let ball = problem(1, 2, crate::set::L1Ball::new(vec![0.0; 2], 1.0).unwrap(), |x, y| y.norm2sq() + x.sum());
    assert!(EntropicValue::set(&Follower::direct(&ball)).is_err());
}

#[test]
fn a_product_of_sets_integrates_to_the_product() {
    let set = crate::set::Product::new(vec![
        cube(1).into(),
        Simplex::new(3, 1.0).unwrap().into(),
        Ball::new(vec![0.0; 3], 1.0).unwrap().into(),
    ]);
    let linear = problem(7, 7, set, |x, y| x.dot(y));
    let x = [0.4, 0.3, -0.2, 0.9, 0.5, -0.1, 0.2];
    for mu in [1e-1, 1e-3] {
        let parts = [linear_on_box(&x[..1], mu), linear_on_simplex(&x[1..4], mu), linear_on_ball(&x[4..], mu)];
        let value = parts.iter().map(|p| p.0).sum();
        check("product", &linear, &x, mu, 1e-3, &(value, parts.iter().flat_map(|p| p.1.clone()).collect()));
    }
}
