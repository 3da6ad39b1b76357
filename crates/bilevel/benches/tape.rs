//! What derivatives cost, measured. Run with `cargo bench -p bilevel --bench tape`.
//!
//! Two claims: a gradient costs at most five times the value, for each of twenty formulas; and `norm2sq(A*w - b)` with
//! its gradient costs at most 1.5 times the two products `A w` and `Aᵀ r` that it needs.
#![allow(clippy::expect_used, reason = "a benchmark may stop at its own mistakes")]

use std::hint::black_box;
use std::time::Instant;

use bilevel::expr::{Expr, Graph, Level, Matrix, Shape, Tape, Workspace, concat};
use bilevel::smooth::{Chks, Smoothing};
use bilevel_linalg::{Csr, Dense};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const LEADERS: usize = 20;
const FOLLOWERS: usize = 200;

fn main() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    println!("gradient against value, {LEADERS} leader and {FOLLOWERS} follower variables, mu = 0.001");
    println!("{:<24} {:>12} {:>12} {:>7}", "formula", "value", "gradient", "ratio");
    let mut worst: f64 = 0.0;
    for (name, formula) in suite(&mut rng) {
        worst = worst.max(compare(name, &formula, &mut rng));
    }
    println!("largest ratio {worst:.2}, {}\n", verdict(worst <= 5.0));

    println!("norm2sq(A*w - b), value and gradient against the bare products A w and A' r");
    println!("{:<24} {:>12} {:>12} {:>7}", "matrix", "products", "tape", "ratio");
    let dense = least_squares("dense 2000x2000", random_dense(2000, 2000, &mut rng), &mut rng);
    let sparse = least_squares("sparse, 1e6 nonzeros", random_sparse(50_000, 20_000, 20, &mut rng), &mut rng);
    println!("largest ratio {:.2}, {}", dense.max(sparse), verdict(dense.max(sparse) <= 1.5));
}

fn verdict(kept: bool) -> &'static str {
    if kept { "as claimed" } else { "MORE THAN CLAIMED" }
}

/// The least times of one call of each in seconds, over many short repetitions, taken in turns so that
/// whatever else the machine does slows both.
fn times(mut first: impl FnMut(), mut second: impl FnMut()) -> (f64, f64) {
    const ROUNDS: usize = 200;
    let (first_repeat, second_repeat) = (repetitions(&mut first), repetitions(&mut second));
    let mut best = (f64::INFINITY, f64::INFINITY);
    for _ in 0..ROUNDS {
        best.0 = best.0.min(time(first_repeat, &mut first));
        best.1 = best.1.min(time(second_repeat, &mut second));
    }
    best
}

fn time(repeat: usize, call: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    (0..repeat).for_each(|_| call());
    start.elapsed().as_secs_f64() / repeat as f64
}

fn repetitions(call: &mut impl FnMut()) -> usize {
    const SPAN: f64 = 0.0003;
    call();
    (SPAN / time(1, call).max(1e-9)).clamp(1.0, 1e6) as usize
}

fn print_row(name: &str, first: f64, second: f64) -> f64 {
    println!("{name:<24} {:>9.2} us {:>9.2} us {:>7.2}", first * 1e6, second * 1e6, second / first);
    second / first
}

fn random(length: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    (0..length).map(|_| rng.random_range(-1.0..1.0)).collect()
}

fn random_dense(rows: usize, cols: usize, rng: &mut ChaCha8Rng) -> Matrix {
    Dense::from_row_major(rows, cols, random(rows * cols, rng)).expect("as many entries as places").into()
}

fn random_sparse(rows: usize, cols: usize, per_row: usize, rng: &mut ChaCha8Rng) -> Matrix {
    let mut triplets = Vec::new();
    for i in 0..rows {
        // Distinct columns, spread at random over the row.
        let width = cols / per_row;
        triplets.extend((0..per_row).map(|k| (i, k * width + rng.random_range(0..width), rng.random_range(-1.0..1.0))));
    }
    Csr::from_triplets(rows, cols, &triplets).expect("entries inside").into()
}

fn compare(name: &str, formula: &Expr, rng: &mut ChaCha8Rng) -> f64 {
    let tape = Tape::compile(std::slice::from_ref(formula), LEADERS, FOLLOWERS).expect("a valid formula");
    let mut workspace = Workspace::new(&tape);
    let (x, y) = (random(LEADERS, rng), random(FOLLOWERS, rng));
    let (mut gx, mut gy) = (vec![0.0; LEADERS], vec![0.0; FOLLOWERS]);
    let smoothing = Smoothing::new(&Chks, 1e-3);
    let mut other = workspace.clone();
    let (value, gradient) = times(
        || {
            black_box(tape.evaluate(&mut workspace, black_box(&x), black_box(&y), smoothing).value());
        },
        || {
            let mut at = tape.evaluate(&mut other, black_box(&x), black_box(&y), smoothing);
            at.gradient(&[1.0], Some(&mut gx), Some(&mut gy));
            black_box((&gx, &gy));
        },
    );
    print_row(name, value, gradient)
}

fn least_squares(name: &str, matrix: Matrix, rng: &mut ChaCha8Rng) -> f64 {
    let (rows, cols) = (matrix.rows(), matrix.cols());
    let w = Graph::new().variable(Level::Follower, 0, Shape::Vector(cols));
    let formula = (&matrix * &w - w.graph().constant_vector(&random(rows, rng))).norm2sq();
    let tape = Tape::compile(&[formula], 0, cols).expect("a valid formula");
    let mut workspace = Workspace::new(&tape);
    let (point, residual) = (random(cols, rng), random(rows, rng));
    let (mut product, mut bare_gradient, mut gradient) = (vec![0.0; rows], vec![0.0; cols], vec![0.0; cols]);
    let (bare, ours) = times(
        || {
            product.fill(0.0);
            matrix.mul_add(1.0, black_box(&point), &mut product);
            bare_gradient.fill(0.0);
            matrix.transpose_mul_add(1.0, black_box(&residual), &mut bare_gradient);
            black_box((&product, &bare_gradient));
        },
        || {
            let mut at = tape.evaluate(&mut workspace, &[], black_box(&point), Smoothing::EXACT);
            at.gradient(&[1.0], None, Some(&mut gradient));
            black_box((at.value(), &gradient));
        },
    );
    print_row(name, bare, ours)
}

/// Twenty formulas: the usual followers' objectives, textbook functions, and one of every kind of operation.
fn suite(rng: &mut ChaCha8Rng) -> Vec<(&'static str, Expr)> {
    let graph = Graph::new();
    let x = graph.variable(Level::Leader, 0, Shape::Vector(LEADERS));
    let y = graph.variable(Level::Follower, 0, Shape::Vector(FOLLOWERS));
    let (a, b) = (x.index(0), y.index(0));
    let data = random_dense(300, FOLLOWERS, rng);
    let few = random_sparse(300, FOLLOWERS, 10, rng);
    let labels = graph.constant_vector(&random(300, rng));
    let square = random_dense(FOLLOWERS, FOLLOWERS, rng);
    let game = random_dense(LEADERS, FOLLOWERS, rng);
    let positive = y.square() + 0.5;
    let residual = &data * &y - &labels;
    let (early, late) = (y.slice(0..FOLLOWERS - 1), y.slice(1..FOLLOWERS));
    let reversed: Vec<usize> = (0..FOLLOWERS).rev().collect();
    let scalars = (&a - 2.0).square() + (&b - 1.0).square() * &a + (&a * &b - 0.5).pow(3.0) - &b / (a.square() + 1.0);
    vec![
        ("rosenbrock", (&late - early.square()).norm2sq() * 100.0 + (1.0 - &early).norm2sq()),
        ("mirrlees", -(&a * (-(&y + 1.0).square()).exp()).sum() - (-(&y - 1.0).square()).exp().sum()),
        ("few scalars", scalars),
        ("lasso", residual.norm2sq() / 600.0 + a.exp() * y.norm1()),
        ("elastic net, sparse", (&few * &y - &labels).norm2sq() / 600.0 + a.exp() * y.norm1() + &a * y.norm2sq()),
        ("logistic regression", (-(&labels * (&data * &y))).softplus().mean() + a.exp() * y.norm2sq()),
        ("hinge loss, sparse", (&labels * (&few * &y)).hinge().mean() + a.exp() * y.norm2sq()),
        ("huber, sparse", (&few * &y - &labels).huber(0.5).sum() + a.exp() * y.norm1()),
        ("group lasso, sparse", (&few * &y - &labels).norm2sq() + a.exp() * y.group_norm(5)),
        ("half-power penalty", a.exp() * y.abs_power(0.5).sum()),
        ("norm_p 3", y.norm_p(3.0) * &a),
        ("norm_p 0.5", y.norm_p(0.5) * &a),
        ("largest of affine", (&game * &y - &x).max_of() + (&y - &a).max_of()),
        ("norm_inf", (&y - &a).norm_inf()),
        ("quadratic form", y.quadratic(&square) + x.dot(&(&game * &y))),
        ("log of sum of exp", y.exp().sum().log() + (&y * &a).sum()),
        ("rational", (&a / (y.square() + 1.0)).sum() + (&y / &positive).norm2sq()),
        ("trigonometric", (y.sin() * y.cos() + y.tanh() + y.sigmoid()).sum()),
        ("variable exponents", positive.pow_expr(&a).sum() + positive.pow(1.5).sum()),
        ("pairs and gathers", concat(&[y.max(&y.gather(&reversed)), y.min(&a)]).abs().sum()),
    ]
}
