//! Evaluating phi: the library's default against first-order methods of the literature, on simple bilevel problems.
//! Run with `cargo bench -p bilevel --bench simple_bilevel`, with `-- large` for the larger sizes too, with `-- quick` for
//! the default and the penalty path alone, with `-- evaluations` for the last table alone.
//!
//! For every method and tolerance: gradients (of f and F, Hessian products included) and seconds of work until the method's own
//! estimate of phi is within the tolerance, relative to max(1, |phi|), and stays there. The default is asked for each
//! accuracy anew, its set-up time included; its ends are checked too: `!` marks an interval without phi. Last, the price
//! of an evaluation with subgradient of two problems with 1000 follower variables.
#![allow(clippy::expect_used, reason = "a benchmark may stop at its own mistakes")]

use std::sync::OnceLock;
use std::time::Instant;

use bilevel::expr::{Expr, Matrix};
use bilevel::hyper::baseline::{
    AveragedRegularisation, Baseline, ConditionalGradient, FunctionallyConstrained, LevelBisection, PenaltyPath,
    SimpleBilevel,
};
use bilevel::hyper::{Evaluation, Hyper, HyperSettings};
use bilevel::problem::{Attitude, Model, Problem};
use bilevel::set::{Bounds, Set, Whole};
use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
use bilevel_linalg::{Csr, Dense, Svd};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const TOLERANCES: [f64; 3] = [1e-2, 1e-4, 1e-6];
/// Gradients after which a method is stopped.
const BUDGET: u64 = 60_000;
/// A method is stopped too once it has taken this much longer than the default, or this many seconds.
const PATIENCE: f64 = 20.0;

fn main() {
    let asked = |what: &str| std::env::args().any(|arg| arg == what);
    let sizes: &[usize] = if asked("large") { &[200, 1000] } else { &[200] };
    if !asked("evaluations") {
        compare_all(sizes, if asked("quick") { 1 } else { 5 });
    }
    println!("\nphi and its subgradient, m = 1000");
    println!("{:<40} {:>8} {:>10} {:>10}", "problem", "set-up s", "ms", "gradients");
    for n in [50, 500] {
        evaluation(&format!("feature relevance, n = {n}"), &relevance(n));
        evaluation(&format!("hyper-cleaning by groups, n = {n}"), &cleaning(n));
    }
}

fn compare_all(sizes: &[usize], methods: usize) {
    let compare = |name: &str, case: Case| compare(name, case, methods);
    for &m in sizes {
        compare(&format!("least distance, least squares, m = {m}"), least_distance(m));
        compare(&format!("least distance, logistic, m = {m}"), logistic(m));
        compare(&format!("validation loss and ridge, least squares, m = {m}"), validation(m));
        compare(&format!("least distance in a box, least squares, m = {m}"), boxed(m));
        compare(&format!("least sum of absolute values, least squares, m = {m}"), shortest(m));
        compare(&format!("least distance, nonconvex PL, m = {m}"), nonconvex(m));
    }
    if sizes.contains(&1000) {
        compare("least distance, least squares, m = 2000", least_distance(2000));
    }
}

/// Seconds that this thread has worked, where the system tells (Linux); else seconds since the first call.
fn clock() -> f64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let worked = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = worked.and_then(|text| text.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()));
    nanoseconds.map_or_else(|| FIRST.get_or_init(Instant::now).elapsed().as_secs_f64(), |n| 1e-9 * n)
}

/// A problem with no leader variables, and its phi where that is known otherwise.
struct Case {
    problem: Problem,
    phi: Option<f64>,
}

fn compare(name: &str, case: Case, count: usize) {
    let (reference, _) = default(&case, 1e-9);
    let phi = case.phi.unwrap_or(reference.point.value);
    let known = if case.phi.is_some() { "known" } else { "by the default" };
    println!("\n{name}: phi = {phi:.6} ({known})");
    println!("{:<42} {:>18} {:>18} {:>18}   error at the end", "method", "1e-2", "1e-4", "1e-6");
    let size = phi.abs().max(1.0);
    print!("{:<42}", format!("default: {}", reference.route));
    let (mut last, mut slowest) = (f64::NAN, 0.0_f64);
    for tolerance in TOLERANCES {
        let (found, seconds) = default(&case, tolerance * size);
        last = (found.point.value - phi).abs() / size;
        slowest = slowest.max(seconds);
        let rounding = 1e-9 * size;
        let holds = found.point.lower.value <= phi + rounding && phi - rounding <= found.point.upper.value;
        let mark = if holds { ' ' } else { '!' };
        match last <= tolerance {
            true => print!(" {:>9} {seconds:>7.4}{mark}", found.gradients),
            false => print!(" {:>17}{mark}", "-"),
        }
    }
    println!("   {last:.1e}");
    let seconds = slowest;
    let limit = PATIENCE.max(10.0 * seconds);
    let methods: [&dyn Baseline; 5] = [
        &PenaltyPath,
        &FunctionallyConstrained::default(),
        &LevelBisection::default(),
        &ConditionalGradient::default(),
        &AveragedRegularisation::default(),
    ];
    for method in methods.into_iter().take(count) {
        let start = clock();
        let mut simple = SimpleBilevel::new(&case.problem, Attitude::Optimistic, &[]);
        let mut history = Vec::new();
        let zero = vec![0.0; case.problem.m()];
        method.run(&mut simple, &zero, BUDGET, &mut |progress| {
            let seconds = clock() - start;
            history.push((progress.gradients, seconds, (progress.estimate - phi).abs() / phi.abs().max(1.0)));
            seconds < limit
        });
        print_row(method.name(), &history);
    }
}

/// Clocks tick in milliseconds: what is faster than this is run again.
const MEASURABLE: f64 = 0.2;

/// The library's way to an accuracy, from nothing; its time.
fn default(case: &Case, accuracy: f64) -> (Evaluation, f64) {
    let start = clock();
    let mut runs = 0.0;
    loop {
        let hyper = Hyper::new(&case.problem, Attitude::Optimistic, &HyperSettings::default());
        let found = hyper.evaluate_in_full(&[], accuracy, None).expect("phi exists");
        runs += 1.0;
        let seconds = clock() - start;
        if seconds > MEASURABLE || runs > 200.0 {
            return (found, seconds / runs);
        }
    }
}

fn print_row(name: &str, history: &[(u64, f64, f64)]) {
    print!("{name:<42}");
    for tolerance in TOLERANCES {
        let last_outside = history.iter().rposition(|h| h.2.is_nan() || h.2 > tolerance);
        match history.get(last_outside.map_or(0, |k| k + 1)) {
            Some((gradients, seconds, _)) => print!(" {gradients:>9} {seconds:>8.4}"),
            None => print!(" {:>18}", "-"),
        }
    }
    println!("   {:.1e}", history.last().map_or(f64::NAN, |h| h.2));
}

fn evaluation(name: &str, problem: &Problem) {
    let start = clock();
    let hyper = Hyper::new(problem, Attitude::Optimistic, &HyperSettings::default());
    let set_up = clock() - start;
    let mut x = vec![0.0; problem.n()];
    let mut gradients = 0;
    let mut y: Option<Vec<f64>> = None;
    let start = clock();
    for round in 0..ROUNDS {
        x.iter_mut().enumerate().for_each(|(j, x)| *x = 0.02 * round as f64 * ((j % 7) as f64 - 3.0));
        let found = hyper.evaluate_in_full(&x, 1e-9, y.as_deref()).expect("phi exists");
        assert!(found.point.subgradient.is_some(), "{}: no subgradient", found.route);
        gradients = found.gradients;
        y = Some(found.point.y);
    }
    let each = (clock() - start) / ROUNDS as f64;
    println!("{name:<40} {set_up:>8.2} {:>10.2} {gradients:>10}", 1e3 * each);
}

/// Evaluations at as many x.
const ROUNDS: usize = 30;

fn normals(count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..count).map(|_| StandardNormal.sample(rng)).collect()
}

fn normal_matrix(rows: usize, cols: usize, rng: &mut ChaCha8Rng) -> Dense {
    Dense::from_row_major(rows, cols, normals(rows * cols, rng)).expect("as many as asked for")
}

/// p x m of rank p with singular values from 1 to 0.1: cond(AᵀA) = 100 on the range.
fn conditioned(p: usize, m: usize, rng: &mut ChaCha8Rng) -> Dense {
    let right = Svd::new(&normal_matrix(p, m, rng), None).expect("finite").row_space();
    let left = Svd::new(&normal_matrix(p, p, rng), None).expect("finite").row_space();
    let scaled = Dense::from_fn(p, m, |i, j| 10f64.powf(-(i as f64) / (p as f64 - 1.0)) * right[(i, j)]);
    left.matmul(&scaled).expect("sizes fit")
}

fn model(m: usize, set: impl Into<Set>, build: impl FnOnce(&Model, &Expr) -> (Expr, Expr)) -> Problem {
    let mut model = Model::new();
    let y = model.follower("y", m).within(set).expect("a set of m variables");
    let (upper, lower) = build(&model, &y);
    model.upper(upper).lower(lower).build().expect("a problem")
}

fn residual(model: &Model, y: &Expr, a: &Matrix, b: &[f64]) -> Expr {
    a * y - model.graph().constant_vector(b)
}

fn distance(model: &Model, y: &Expr, c: &[f64]) -> Expr {
    (y - model.graph().constant_vector(c)).norm2sq() * 0.5
}

fn least_distance(m: usize) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let a = conditioned(m / 2, m, &mut rng);
    let (b, c) = (normals(m / 2, &mut rng), normals(m, &mut rng));
    let mut off: Vec<f64> = b.iter().map(|b| -b).collect();
    a.mul_add(1.0, &c, &mut off);
    let mut step = vec![0.0; m];
    Svd::new(&a, None).expect("finite").solve(&off, &mut step).expect("sizes fit");
    let phi = 0.5 * step.iter().map(|s| s * s).sum::<f64>();
    let a = Matrix::from(a);
    let problem =
        model(m, Whole::new(m), |model, y| (distance(model, y, &c), residual(model, y, &a, &b).norm2sq() * 0.5));
    Case { problem, phi: Some(phi) }
}

/// Rank m / 4, labels at random: no separating direction.
fn logistic(m: usize) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (p, rank) = (3 * m / 2, m / 5);
    let left = normal_matrix(p, rank, &mut rng);
    let a = left.matmul(&normal_matrix(rank, m, &mut rng)).expect("sizes fit");
    let a = Dense::from_fn(p, m, |i, j| a[(i, j)] / m as f64);
    let c = normals(m, &mut rng);
    let a = Matrix::from(a);
    let signs: Vec<f64> = normals(p, &mut rng).iter().map(|v| v.signum()).collect();
    let problem = model(m, Whole::new(m), |model, y| {
        let margins = &a * y * model.graph().constant_vector(&signs);
        (distance(model, y, &c), margins.softplus().mean())
    });
    Case { problem, phi: None }
}

fn validation(m: usize) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let a = Matrix::from(conditioned(m / 2, m, &mut rng));
    let b = normals(m / 2, &mut rng);
    let shown = normal_matrix(m / 2, m, &mut rng);
    let shown = Matrix::from(Dense::from_fn(m / 2, m, |i, j| shown[(i, j)] / (m as f64).sqrt()));
    let problem = model(m, Whole::new(m), |model, y| {
        ((&shown * y).softplus().mean() + y.norm2sq() * 0.05, residual(model, y, &a, &b).norm2sq() * 0.5)
    });
    Case { problem, phi: None }
}

/// S is the part of an affine subspace in the unit box: a quadratic programme.
fn boxed(m: usize) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(4);
    let p = 3 * m / 10;
    let a = normal_matrix(p, m, &mut rng);
    let a = Dense::from_fn(p, m, |i, j| a[(i, j)] / (m as f64).sqrt());
    let inside: Vec<f64> = normals(m, &mut rng).iter().map(|v| (0.5 + 0.5 * v).clamp(0.0, 1.0)).collect();
    let mut b = vec![0.0; p];
    a.mul_add(1.0, &inside, &mut b);
    let c = normals(m, &mut rng);
    let linear: Vec<f64> = c.iter().map(|c| -c).collect();
    let qp = Qp {
        hessian: QpHessian::Sparse(&Csr::identity(m)),
        linear: &linear,
        lower: &vec![0.0; m],
        upper: &vec![1.0; m],
        rows: &Csr::from_dense(&a),
        row_lower: &b,
        row_upper: &b,
        balls: &[],
    };
    let exact = solve_qp(&qp, &QpOptions::default()).expect("a valid programme");
    let phi = exact.objective + 0.5 * c.iter().map(|c| c * c).sum::<f64>();
    let a = Matrix::from(a);
    let unit = Bounds::uniform(m, 0.0, 1.0).expect("a box");
    let problem = model(m, unit, |model, y| (distance(model, y, &c), residual(model, y, &a, &b).norm2sq() * 0.5));
    Case { problem, phi: Some(phi) }
}

fn shortest(m: usize) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let p = 2 * m / 5;
    let a = normal_matrix(p, m, &mut rng);
    let a = Matrix::from(Dense::from_fn(p, m, |i, j| a[(i, j)] / (p as f64).sqrt()));
    let b = normals(p, &mut rng);
    let problem = model(m, Whole::new(m), |model, y| (y.abs().sum(), residual(model, y, &a, &b).norm2sq() * 0.5));
    Case { problem, phi: None }
}

fn nonconvex(m: usize) -> Case {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let a = conditioned(m / 4, m, &mut rng);
    let (b, c) = (normals(m / 4, &mut rng), normals(m, &mut rng));
    let mut off: Vec<f64> = b.iter().map(|b| -b).collect();
    a.mul_add(1.0, &c, &mut off);
    let mut step = vec![0.0; m];
    Svd::new(&a, None).expect("finite").solve(&off, &mut step).expect("sizes fit");
    let phi = 0.5 * step.iter().map(|s| s * s).sum::<f64>();
    let a = Matrix::from(a);
    let problem = model(m, Whole::new(m), |model, y| {
        let r = residual(model, y, &a, &b);
        (distance(model, y, &c), r.norm2sq() + r.sin().square().sum() * 3.0)
    });
    Case { problem, phi: Some(phi) }
}

const LARGE: usize = 1000;

fn groups(count: usize, n: usize) -> Vec<usize> {
    (0..count).map(|i| i * n / count).collect()
}

/// f = ½ ‖A diag(exp x_group) y − b‖² with 300 rows.
fn relevance(n: usize) -> Problem {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let (p, shown) = (300, 200);
    let (a, b) = (Matrix::from(normal_matrix(p, LARGE, &mut rng)), normals(p, &mut rng));
    let (av, bv) = (Matrix::from(normal_matrix(shown, LARGE, &mut rng)), normals(shown, &mut rng));
    let mut model = Model::new();
    let x = model.leader("x", n).free().expect("a variable");
    let y = model.follower("y", LARGE).free().expect("a variable");
    let scaled = x.gather(&groups(LARGE, n)).exp() * &y;
    let lower = residual(&model, &scaled, &a, &b).norm2sq() * 0.5;
    let misfit = residual(&model, &scaled, &av, &bv).norm2sq() * (0.5 / shown as f64);
    model.upper(misfit + y.norm2sq() * 5e-3 + x.norm2sq() * 5e-4).lower(lower).build().expect("a problem")
}

/// f = ½ Σ sigmoid(x_group) (a_i y − b_i)² with 2000 rows of rank 300.
fn cleaning(n: usize) -> Problem {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let (p, rank, shown) = (2000, 300, 400);
    let thin = Svd::new(&normal_matrix(rank, LARGE, &mut rng), None).expect("finite").row_space();
    let a = normal_matrix(p, rank, &mut rng).matmul(&thin).expect("sizes fit");
    let (a, b) = (Matrix::from(a), normals(p, &mut rng));
    let (av, bv) = (Matrix::from(normal_matrix(shown, LARGE, &mut rng)), normals(shown, &mut rng));
    let mut model = Model::new();
    let x = model.leader("x", n).free().expect("a variable");
    let y = model.follower("y", LARGE).free().expect("a variable");
    let weights = x.gather(&groups(p, n)).sigmoid();
    let lower = (weights * residual(&model, &y, &a, &b).square()).sum() * 0.5;
    let misfit = residual(&model, &y, &av, &bv).norm2sq() * (0.5 / shown as f64);
    model.upper(misfit + y.norm2sq() * 0.05 + x.norm2sq() * 5e-5).lower(lower).build().expect("a problem")
}
