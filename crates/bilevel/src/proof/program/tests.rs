use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::precise::Precise;
use super::*;
use crate::expr::{Graph, Level, Matrix, Shape};
use crate::proof::interval::Interval;

pub const UNARIES: &[Unary] = &[
    Unary::Neg,
    Unary::Square,
    Unary::Exp,
    Unary::Log,
    Unary::Log1p,
    Unary::Expm1,
    Unary::Sqrt,
    Unary::Sin,
    Unary::Cos,
    Unary::Tan,
    Unary::Tanh,
    Unary::Sigmoid,
    Unary::Softplus,
    Unary::Abs,
    Unary::Plus,
    Unary::PlusSquare,
    Unary::Whole(3),
    Unary::Whole(4),
    Unary::Whole(-1),
    Unary::Whole(-2),
    Unary::Huber(0.75),
];

/// A random formula of about `size` operations in `variables` variables.
pub fn random_formula(rng: &mut ChaCha8Rng, b: &mut Builder, variables: usize, size: usize) -> u32 {
    let mut pool: Vec<u32> = (0..variables).map(|v| b.variable(v)).collect();
    pool.push(b.number([1.0, 2.0, -0.5, 0.1][rng.random_range(0..4)]));
    for _ in 0..size {
        let pick = |rng: &mut ChaCha8Rng| pool[pool.len() - 1 - rng.random_range(0..pool.len().min(5))];
        let (x, y) = (pick(rng), pick(rng));
        let made = match rng.random_range(0..14) {
            0..=2 => b.add(x, y),
            3 | 4 => b.sub(x, y),
            5 | 6 => b.mul(x, y),
            7 => b.div(x, y),
            8 => b.max(x, y),
            9 => b.min(x, y),
            10 => match rng.random_range(0..4) {
                0 => b.norm(&[x, y, pool[0]], 2.0),
                1 => b.norm(&[x, y], 3.0),
                2 => b.power(x, 1.5),
                _ => b.abs_power(x, 0.5),
            },
            _ => b.apply(UNARIES[rng.random_range(0..UNARIES.len())], x),
        };
        pool.push(made);
    }
    pool[pool.len() - 1]
}

fn random_box(rng: &mut ChaCha8Rng, variables: usize) -> Vec<Interval> {
    let width = 10f64.powi(rng.random_range(-6..2));
    (0..variables)
        .map(|_| {
            let lo: f64 = if rng.random() { rng.random_range(-3.0..3.0) } else { f64::from(rng.random_range(-2..3)) };
            match rng.random_range(0..8) {
                0 => Interval::point(lo),
                1 => Interval::new(lo, lo + 1e3),
                _ => Interval::new(lo, lo + width * rng.random::<f64>()),
            }
        })
        .collect()
}

/// Boxes of any size and place, up to 1e40 and down to 1e-40.
fn extreme_box(rng: &mut ChaCha8Rng, variables: usize) -> Vec<Interval> {
    (0..variables)
        .map(|_| {
            let mut any = || rng.random_range(-1.0..1.0) * 10f64.powi(rng.random_range(-40..41));
            let (a, b): (f64, f64) = (any(), any());
            match rng.random_range(0..6) {
                0 => Interval::point(a),
                1 => Interval::new(a.min(0.0), a.max(0.0)),
                2 => Interval::new(a, a + 1e-9 * a.abs()),
                _ => Interval::new(a.min(b), a.max(b)),
            }
        })
        .collect()
}

fn random_member(rng: &mut ChaCha8Rng, domain: &[Interval]) -> Vec<f64> {
    domain.iter().map(|z| z.clamp(z.lo() + rng.random::<f64>() * (z.hi() - z.lo()))).collect()
}

/// Whether `value` lies in `z`, up to the error `slack` of the precise number.
fn inside(z: Interval, value: Precise, slack: f64) -> bool {
    let low = value + -Precise(z.lo(), 0.0);
    let high = value + -Precise(z.hi(), 0.0);
    (z.lo() == f64::NEG_INFINITY || low.0 >= -slack) && (z.hi() == f64::INFINITY || high.0 <= slack)
}

/// Every operation's value and the gradient against numbers of 106 bits; returns how many of each were compared.
fn compare_with_precise(
    seed: u64,
    rounds: usize,
    random_box: fn(&mut ChaCha8Rng, usize) -> Vec<Interval>,
) -> (usize, usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut values, mut gradients) = (0, 0);
    for _ in 0..rounds {
        let mut b = Builder::new();
        let root = random_formula(&mut rng, &mut b, 3, 10);
        let program = b.finish(&[root], 3);
        let (mut sweep, mut precise) = (Sweep::<Interval>::new(&program), Sweep::<Precise>::new(&program));
        for _ in 0..3 {
            let domain = random_box(&mut rng, 3);
            sweep.forward(&program, &domain);
            let mut slopes = [Interval::ZERO; 3];
            sweep.gradient(&program, 0, &mut slopes);
            for _ in 0..6 {
                let point: Vec<_> = random_member(&mut rng, &domain).into_iter().map(|v| Precise(v, 0.0)).collect();
                precise.forward(&program, &point);
                let largest = precise.values.iter().fold(1.0, |a: f64, v| a.max(v.0.abs()));
                if !largest.is_finite() || precise.values.iter().any(|v| v.0.is_nan()) || largest > 1e100 {
                    continue;
                }
                for (i, v) in precise.values.iter().enumerate() {
                    let z = sweep.values[i];
                    assert!(
                        inside(z, *v, 1e-25 * largest),
                        "{:?} of {:?}: {v:?} not in {z:?}",
                        program.codes[i],
                        program
                    );
                    values += 1;
                }
                if !sweep.defined(&program, 0) {
                    continue;
                }
                let mut slope = [Precise(0.0, 0.0); 3];
                precise.gradient(&program, 0, &mut slope);
                let size = precise.adjoints.iter().fold(largest, |a: f64, v| a.max(v.0.abs()));
                for (s, z) in slope.iter().zip(slopes) {
                    if s.0.is_finite() && size < 1e100 {
                        assert!(inside(z, *s, 1e-25 * size * size), "slope {s:?} not in {z:?}: {program:?} {domain:?}");
                        gradients += 1;
                    }
                }
            }
        }
    }
    (values, gradients)
}

#[test]
fn values_and_gradients_contain_precise_ones() {
    let (values, gradients) = compare_with_precise(11, 7000, random_box);
    assert!(values > 700_000 && gradients > 100_000, "{values} values, {gradients} slopes");
    let (values, gradients) = compare_with_precise(15, 2000, extreme_box);
    assert!(values > 150_000 && gradients > 20_000, "{values} values, {gradients} slopes");
}

/// The same with millions of each, extreme boxes included: some minutes without optimisation.
#[test]
#[ignore = "slow: run with --release"]
fn a_million_gradients_contain_precise_ones() {
    let (values, gradients) = compare_with_precise(16, 60_000, random_box);
    assert!(values > 5_000_000 && gradients > 1_000_000, "{values} values, {gradients} slopes");
    let (values, gradients) = compare_with_precise(17, 60_000, extreme_box);
    assert!(values > 3_000_000 && gradients > 500_000, "{values} values, {gradients} slopes");
}

/// Second derivatives against differences of precise gradients.
#[test]
fn hessians_contain_differences_of_gradients() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let mut checked = 0;
    for _ in 0..3000 {
        let mut b = Builder::new();
        let root = random_formula(&mut rng, &mut b, 2, 7);
        let program = b.finish(&[root], 2);
        let (mut sweep, mut precise) = (Sweep::<Interval>::new(&program), Sweep::<Precise>::new(&program));
        let domain = random_box(&mut rng, 2);
        sweep.forward(&program, &domain);
        if !sweep.defined(&program, 0) || domain.iter().any(|z| z.is_point()) {
            continue;
        }
        let mut hessian = [Interval::ZERO; 4];
        sweep.hessian(&program, &[Interval::ONE], &[0, 1], &mut hessian);
        for _ in 0..4 {
            // By the mean value theorem the difference quotient of a gradient is a second derivative in between.
            let (p, mut q) = (random_member(&mut rng, &domain), Vec::new());
            q.clone_from(&p);
            let j = rng.random_range(0..2);
            q[j] = random_member(&mut rng, &domain)[j];
            let mut at = |point: &[f64]| {
                let point: Vec<_> = point.iter().map(|&v| Precise(v, 0.0)).collect();
                precise.forward(&program, &point);
                let mut slope = [Precise(0.0, 0.0); 2];
                precise.gradient(&program, 0, &mut slope);
                let all = || precise.adjoints.iter().chain(&precise.values);
                let lost = all().any(|v| v.0.is_nan());
                let size = all().fold(1.0, |a: f64, v| a.max(v.0.abs()));
                (slope, if lost { f64::NAN } else { size })
            };
            let ((g, s), (h, t)) = (at(&p), at(&q));
            let step = Precise(q[j], 0.0) + -Precise(p[j], 0.0);
            if step.0.abs() < 1e-7 || s.is_nan() || t.is_nan() || s.max(t) >= 1e30 {
                continue;
            }
            for i in 0..2 {
                let quotient = (h[i] - g[i]) / step;
                if quotient.0.is_finite() {
                    let (z, slack) = (hessian[2 * i + j], 1e-20 * s.max(t).powi(2));
                    assert!(inside(z, quotient, slack), "({i},{j}): {quotient:?} not in {z:?}: {program:?} {domain:?}");
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 2000, "{checked}");
}

/// No point that satisfies the constraints is cut off.
#[test]
fn contraction_keeps_every_allowed_point() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let (mut kept, mut shrunk) = (0, 0);
    for _ in 0..6000 {
        let mut b = Builder::new();
        let roots = [random_formula(&mut rng, &mut b, 3, 6), random_formula(&mut rng, &mut b, 3, 5)];
        let program = b.finish(&roots, 3);
        let mut sweep = Sweep::<Interval>::new(&program);
        let mut precise = Sweep::<Precise>::new(&program);
        let domain = random_box(&mut rng, 3);
        let points: Vec<_> = (0..8).map(|_| random_member(&mut rng, &domain)).collect();
        let mut value_at = |point: &[f64]| {
            let point: Vec<_> = point.iter().map(|&v| Precise(v, 0.0)).collect();
            precise.forward(&program, &point);
            let bad = precise.values.iter().any(|v| v.0.is_nan() || v.0.abs() >= 1e100);
            [precise.value(&program, 0).0, precise.value(&program, 1).0].map(|v| if bad { f64::NAN } else { v })
        };
        let middle = value_at(&points[0]);
        let allowed = match rng.random_range(0..3) {
            0 => [Interval::at_most(middle[0] + 1e-9 * middle[0].abs()), Interval::ENTIRE],
            1 => [Interval::ENTIRE, Interval::at_least(middle[1])],
            _ => middle.map(|m| Interval::new(m - 0.1, m + 0.1)),
        };
        let mut smaller = domain.clone();
        let result = sweep.contract(&program, &allowed, &mut smaller);
        shrunk += usize::from(result == Contracted::Smaller);
        for point in &points {
            let values = value_at(point);
            // A margin for the rounding of the precise values to one f64.
            let inner = |v: f64, z: Interval| z.lo() + 1e-12 * v.abs() <= v && v <= z.hi() - 1e-12 * v.abs();
            if values.iter().zip(allowed).all(|(&v, z)| inner(v, z)) {
                assert!(result != Contracted::Empty, "{point:?} lost: {program:?} {domain:?} {allowed:?}");
                for (v, z) in point.iter().zip(&smaller) {
                    assert!(z.contains(*v), "{point:?} cut off {smaller:?}: {program:?} {allowed:?}");
                }
                kept += 1;
            }
        }
    }
    assert!(kept > 3000 && shrunk > 1000, "{kept} kept, {shrunk} shrunk");
}

#[test]
fn contraction_solves_small_systems() {
    // x² + y² = 2, x = y, x >= 0.
    let mut b = Builder::new();
    let (x, y) = (b.variable(0), b.variable(1));
    let (xx, yy) = (b.mul(x, x), b.mul(y, y));
    let circle = b.add(xx, yy);
    let line = b.sub(x, y);
    let program = b.finish(&[circle, line], 2);
    let mut sweep = Sweep::new(&program);
    let mut domain = [Interval::new(0.0, 10.0), Interval::new(-10.0, 10.0)];
    for _ in 0..80 {
        assert_ne!(sweep.contract(&program, &[Interval::point(2.0), Interval::ZERO], &mut domain), Contracted::Empty);
    }
    assert!(domain.iter().all(|z| z.contains(1.0) && z.lo() >= 0.0 && z.hi() <= 1.4143), "{domain:?}");
    let nowhere = [Interval::point(300.0), Interval::ZERO];
    let mut domain = [Interval::new(0.0, 10.0), Interval::new(-10.0, 10.0)];
    assert_eq!(sweep.contract(&program, &nowhere, &mut domain), Contracted::Empty);
}

#[test]
fn the_builder_folds_shares_and_knows_degrees() {
    let mut b = Builder::new();
    let (x, y) = (b.variable(0), b.variable(1));
    assert_eq!(b.add(x, y), b.add(y, x));
    let zero = b.number(0.0);
    assert_eq!(b.add(x, zero), x);
    assert_eq!(b.sub(x, x), zero);
    let log = b.apply(Unary::Log, x);
    assert_ne!(b.sub(log, log), zero, "ln x - ln x is not defined for x <= 0");
    assert_ne!(b.mul(zero, log), zero);
    let two = b.number(2.0);
    let four = b.mul(two, two);
    assert_eq!(b.constant_value(four), Some(Interval::point(4.0)));
    let xy = b.mul(x, y);
    let cubic = b.mul(xy, x);
    let affine = b.sub(x, y);
    let abs = b.apply(Unary::Abs, affine);
    let program = b.finish(&[affine, xy, cubic, abs], 2);
    assert_eq!([0, 1, 2, 3].map(|r| program.degree(r)), [1, 2, 3, 3]);
    assert!(program.has_kinks() && !b.finish(&[xy], 2).has_kinks());
    assert!(!b.finish(&[log], 2).is_total(0));
}

/// Every vector operation of the graph against a plain evaluation of its definition.
#[test]
fn vector_operations_are_written_out() {
    let g = Graph::new();
    let y = g.variable(Level::Follower, 0, Shape::Vector(3));
    let dense = bilevel_linalg::Dense::from_row_major(2, 3, vec![1.0, 2.0, 3.0, -1.0, 0.0, 4.0]).unwrap();
    let square =
        bilevel_linalg::Dense::from_row_major(3, 3, vec![1.0, 2.0, 0.0, -1.0, 3.0, 0.5, 4.0, 0.0, -2.0]).unwrap();
    let (a, q) = (Matrix::from(dense), Matrix::from(square));
    let v = [0.5, -2.0, 1.25];
    let product = &a * &y;
    let cases = [
        (product.norm1(), (0.5 - 4.0 + 3.75f64).abs() + (-0.5 + 5.0f64).abs()),
        (y.quadratic(&q), 0.25 - 2.0 * 0.5 * 2.0 + 0.5 * 2.0 + 3.0 * 4.0 - 0.5 * 2.5 + 4.0 * 0.625 - 2.0 * 1.5625),
        (y.norm2(), (0.25 + 4.0 + 1.5625f64).sqrt()),
        (y.norm_inf(), 2.0),
        (y.norm_p(3.0), (0.125 + 8.0 + 1.953125f64).cbrt()),
        (y.max_of() - y.min_of(), 3.25),
        (y.dot(&y.gather(&[2, 0, 1])), 0.625 - 1.0 - 2.5),
        (crate::expr::concat(&[y.slice(1..3), y.index(0)]).norm2sq(), 0.25 + 4.0 + 1.5625),
        (y.mean(), -0.25 / 3.0),
        (y.huber(1.0).sum(), 0.125 + 1.5 + 0.75),
        (y.group_norms_sized(&[1, 2]).sum(), 0.5 + (4.0 + 1.5625f64).sqrt()),
    ];
    for (k, (expr, expected)) in cases.iter().enumerate() {
        let mut compiler = Compiler::new(0, 3, 1000);
        let roots = compiler.formula(expr).unwrap();
        let program = compiler.builder.finish(&roots, 3);
        let mut sweep = Sweep::<Interval>::new(&program);
        sweep.forward(&program, &v.map(Interval::point));
        let z = sweep.value(&program, 0);
        assert!(z.lo() - 1e-14 <= *expected && *expected <= z.hi() + 1e-14, "case {k}: {z:?} {expected}");
        assert!(z.width() < 1e-13, "case {k}: {z:?}");
    }
    let mut compiler = Compiler::new(0, 3, 5);
    assert!(matches!(compiler.formula(&product), Err(CompileError::TooLarge { limit: 5 })));
}

#[test]
fn rounded_decimals_are_widened_and_exact_ones_are_not() {
    let g = Graph::new();
    for (rounded, width) in [(false, 0.0), (true, 0.1f64.next_up() - 0.1f64.next_down())] {
        let mut compiler = Compiler::new(0, 1, 10);
        let roots = compiler.formula(&g.decimal(0.1, rounded)).unwrap();
        let program = compiler.builder.finish(&roots, 1);
        let mut sweep = Sweep::<Interval>::new(&program);
        sweep.forward(&program, &[Interval::ZERO]);
        assert_eq!(sweep.value(&program, 0).width(), width);
    }
}

/// Common terms of a difference cancel exactly in its gradient.
#[test]
fn shared_terms_cancel_in_gradients() {
    let mut b = Builder::new();
    let (x, y, z) = (b.variable(0), b.variable(1), b.variable(2));
    let heavy = b.apply(Unary::Exp, x);
    let (xy, xz) = (b.mul(x, y), b.mul(x, z));
    let (left, right) = (b.add(heavy, xy), b.add(heavy, xz));
    let difference = b.sub(left, right);
    let program = b.finish(&[difference], 3);
    let mut sweep = Sweep::new(&program);
    let unit = Interval::new(0.0, 1.0);
    sweep.forward(&program, &[Interval::new(0.0, 5.0), unit, unit]);
    let mut gradient = [Interval::ZERO; 3];
    sweep.gradient(&program, 0, &mut gradient);
    assert_eq!(gradient[0], Interval::new(-1.0, 1.0));
}

/// Derivatives written out as operations agree with the reverse sweep.
#[test]
fn written_derivatives_are_those_of_the_sweep() {
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    let mut compared = 0;
    for _ in 0..600 {
        let mut b = Builder::new();
        let root = random_formula(&mut rng, &mut b, 2, 7);
        let program = b.finish(&[root], 2);
        let variables = [b.variable(0), b.variable(1)];
        let Some(written) = b.derivatives(&program, 0, &variables, &[0, 1]) else {
            continue;
        };
        let derived = b.finish(&written, 2);
        let (mut sweep, mut other) = (Sweep::<f64>::new(&program), Sweep::<f64>::new(&derived));
        for _ in 0..5 {
            let point = [rng.random_range(-2.0..2.0), rng.random_range(-2.0..2.0)];
            sweep.forward(&program, &point);
            other.forward(&derived, &point);
            let mut slope = [0.0; 2];
            sweep.gradient(&program, 0, &mut slope);
            if sweep.largest() < 1e8 && other.largest() < 1e8 {
                for (i, s) in slope.into_iter().enumerate() {
                    let d = other.value(&derived, i);
                    assert!((s - d).abs() <= 1e-6 * (1.0 + s.abs()), "{s} {d}: {program:?}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}
