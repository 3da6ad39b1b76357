//! Values against the twin; gradients, Jacobians and Hessians against differences and each other.

use bilevel_linalg::Dense;
use proptest::prelude::*;

use super::twin;
use super::zoo::{Kind, Zoo};
use crate::expr::{Expr, Tape, Workspace};
use crate::smooth::{self, Smoothing};

/// A tape at a point (x, y), with seeds for its outputs and a direction.
struct Case<'a> {
    tape: &'a Tape,
    z: Vec<f64>,
    seed: Vec<f64>,
    direction: Vec<f64>,
    smoothing: Smoothing<'a>,
}

impl Case<'_> {
    fn n(&self) -> usize {
        self.tape.leaders()
    }

    fn outputs(&self, z: &[f64]) -> Vec<f64> {
        let mut workspace = Workspace::new(self.tape);
        let mut out = vec![0.0; self.tape.outputs()];
        let (x, y) = z.split_at(self.n());
        self.tape.evaluate(&mut workspace, x, y, self.smoothing).write_outputs(&mut out);
        out
    }

    fn gradient(&self, z: &[f64]) -> Vec<f64> {
        let mut workspace = Workspace::new(self.tape);
        let (x, y) = z.split_at(self.n());
        let mut out = vec![0.0; z.len()];
        let (gx, gy) = out.split_at_mut(self.n());
        self.tape.evaluate(&mut workspace, x, y, self.smoothing).gradient(&self.seed, Some(gx), Some(gy));
        out
    }

    fn weighted(&self, z: &[f64]) -> f64 {
        dot(&self.outputs(z), &self.seed)
    }

    /// The point moved by `h` along the direction.
    fn moved(&self, h: f64) -> Vec<f64> {
        self.z.iter().zip(&self.direction).map(|(z, d)| z + h * d).collect()
    }

    /// Slope of the weighted outputs, with the smaller of two steps' disagreement as its error.
    fn slope(&self) -> Option<f64> {
        let at = |h: f64| (self.weighted(&self.moved(h)) - self.weighted(&self.moved(-h))) / (2.0 * h);
        agree(at(1e-5), at(3e-6))
    }

    /// Slopes of the gradient.
    fn bend(&self) -> Vec<Option<f64>> {
        let at = |h: f64| {
            let (after, before) = (self.gradient(&self.moved(h)), self.gradient(&self.moved(-h)));
            after.iter().zip(&before).map(|(a, b)| (a - b) / (2.0 * h)).collect::<Vec<f64>>()
        };
        at(1e-5).into_iter().zip(at(3e-6)).map(|(a, b)| agree(a, b)).collect()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Differences with two steps, unless they show that a kink is near.
fn agree(a: f64, b: f64) -> Option<f64> {
    ((a - b).abs() <= 1e-5 * (1.0 + a.abs())).then_some(a)
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs()))
}

fn check_values(formula: &Expr, case: &Case<'_>) {
    let (x, y) = case.z.split_at(case.n());
    let naive = twin::values(formula, x, y, case.smoothing);
    let ours = case.outputs(&case.z);
    assert_eq!(naive.len(), ours.len());
    assert!(naive.iter().zip(&ours).all(|(a, b)| close(*a, *b, 1e-11)), "values {naive:?} {ours:?}");
}

/// Returns how many comparisons with differences were possible.
fn check_first(case: &Case<'_>) -> usize {
    let gradient = case.gradient(&case.z);
    let (x, y) = case.z.split_at(case.n());
    let mut workspace = Workspace::default();
    let mut at = case.tape.evaluate(&mut workspace, x, y, case.smoothing);
    let (mut gx, mut gy) = (vec![9.0; x.len()], vec![9.0; y.len()]);
    at.gradient(&case.seed, Some(&mut gx), None);
    at.gradient(&case.seed, None, Some(&mut gy));
    assert_eq!([&gx[..], &gy[..]].concat(), gradient, "a fixed block changes nothing");

    let mut along = vec![0.0; case.tape.outputs()];
    let (dx, dy) = case.direction.split_at(case.n());
    at.directional(Some(dx), Some(dy), &mut along);
    let by_gradient = dot(&gradient, &case.direction);
    assert!(close(dot(&along, &case.seed), by_gradient, 1e-10), "forward and reverse: {along:?} {gradient:?}");
    let mut along_y = vec![0.0; along.len()];
    at.directional(None, Some(dy), &mut along_y);
    assert!(close(dot(&along_y, &case.seed), dot(&gy, dy), 1e-10));

    for columns in [0..case.z.len(), case.n()..case.z.len()] {
        let mut jacobian = Dense::zeros(case.tape.outputs(), columns.len());
        at.jacobian(columns.clone(), &mut jacobian);
        let mut weighted = vec![0.0; columns.len()];
        jacobian.transpose_mul_add(1.0, &case.seed, &mut weighted);
        assert!(weighted.iter().zip(&gradient[columns]).all(|(a, b)| close(*a, *b, 1e-10)), "jacobian");
    }
    match case.slope() {
        Some(slope) => {
            assert!(close(slope, by_gradient, 2e-5), "difference {slope}, gradient {by_gradient}");
            1
        }
        None => 0,
    }
}

/// Returns how many comparisons with differences were possible.
fn check_second(case: &Case<'_>) -> usize {
    let (n, d) = (case.n(), case.z.len());
    let (x, y) = case.z.split_at(n);
    let mut workspace = Workspace::default();
    let mut at = case.tape.evaluate(&mut workspace, x, y, case.smoothing);
    let mut hessian = at.hessian(&case.seed);
    let mut product = vec![0.0; d];
    let (dx, dy) = case.direction.split_at(n);
    let (px, py) = product.split_at_mut(n);
    hessian.product(Some(dx), Some(dy), Some(px), Some(py));

    let mut full = Dense::zeros(d, d);
    hessian.block(0..d, 0..d, &mut full);
    let mut by_matrix = vec![0.0; d];
    full.mul_add(1.0, &case.direction, &mut by_matrix);
    for i in 0..d {
        assert!(close(product[i], by_matrix[i], 1e-9), "product {product:?} matrix {by_matrix:?}");
        for j in 0..i {
            assert!(close(full[(i, j)], full[(j, i)], 1e-9), "not symmetric: {full:?}");
        }
    }
    // Blocks, and products with a block left out, in a fresh evaluation.
    let mut at = case.tape.evaluate(&mut workspace, x, y, case.smoothing);
    let mut hessian = at.hessian(&case.seed);
    let (mut cross, mut hy) = (Dense::zeros(n, d - n), vec![0.0; d - n]);
    hessian.product(Some(dx), None, None, Some(&mut hy));
    hessian.block(0..n, n..d, &mut cross);
    let mut expected = vec![0.0; d - n];
    cross.transpose_mul_add(1.0, dx, &mut expected);
    assert!(hy.iter().zip(&expected).all(|(a, b)| close(*a, *b, 1e-9)), "blocks");
    assert!((0..n).all(|i| (n..d).all(|j| close(cross[(i, j - n)], full[(i, j)], 1e-9))));

    let mut own = Dense::zeros(n, n);
    hessian.block(0..n, 0..n, &mut own);
    assert!((0..n).all(|i| (0..n).all(|j| close(own[(i, j)], full[(i, j)], 1e-9))), "rows asked for later");

    let mut compared = 0;
    for (difference, exact) in case.bend().into_iter().zip(&product) {
        if let Some(difference) = difference {
            assert!(close(difference, *exact, 3e-5), "difference {difference}, product {exact}");
            compared += 1;
        }
    }
    compared
}

fn point(length: usize) -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1.4..1.4_f64, length)
}

/// Checks every formula; returns the share of comparisons with differences that were possible.
fn check_all(zoo: &Zoo, z: &[f64], direction: &[f64], smoothing: Smoothing<'_>) -> f64 {
    let d = zoo.n + zoo.m;
    let (mut compared, mut possible) = (0, 0);
    for (name, kind, formula) in zoo.formulas() {
        let tape = zoo.tape(std::slice::from_ref(&formula));
        let seed = (0..tape.outputs()).map(|i| 1.0 - 0.3 * i as f64).collect();
        let case = Case { tape: &tape, z: z[..d].to_vec(), seed, direction: direction[..d].to_vec(), smoothing };
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check_values(&formula, &case);
            check_first(&case) + check_second(&case)
        }));
        let Ok(count) = run else {
            panic!("formula `{name}` with {smoothing:?} at {:?} along {:?}", case.z, case.direction);
        };
        // The uniform family and the envelopes bend by jumps.
        let jumps = smoothing.mu() == 0.0 || ["uniform", "moreau"].contains(&smoothing.family().name());
        if kind == Kind::Smooth || !jumps {
            compared += count;
            possible += 1 + d;
        }
    }
    compared as f64 / possible as f64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn every_operation(
        (n, m) in (1..4_usize, 1..5_usize),
        z in point(7), direction in point(7), entries in point(7),
        family in 0..smooth::names().count(),
    ) {
        let zoo = Zoo::new(n, m, &entries);
        let family = smooth::names().nth(family).and_then(smooth::by_name).unwrap();
        // A wide smoothing: differences must not step over it.
        for smoothing in [Smoothing::EXACT, Smoothing::new(family, 0.3)] {
            let compared = check_all(&zoo, &z, &direction, smoothing);
            prop_assert!(compared > 0.95, "differences said too little: {compared}");
        }
    }
}

proptest! {
    #[test]
    fn many_formulas_on_one_tape(z in point(5), entries in point(7)) {
        let zoo = Zoo::new(2, 3, &entries);
        let formulas: Vec<Expr> = zoo.formulas().into_iter().map(|(.., formula)| formula).collect();
        let tape = zoo.tape(&formulas);
        let smoothing = Smoothing::new(&smooth::Chks, 0.1);
        let (x, y) = z.split_at(2);
        let mut workspace = Workspace::new(&tape);
        tape.evaluate(&mut workspace, &[0.3, 0.2], &[0.1; 3], smoothing);
        let mut at = tape.evaluate(&mut workspace, x, &[0.5; 3], smoothing);
        at.move_follower(y);
        let mut all = vec![0.0; tape.outputs()];
        at.write_outputs(&mut all);
        let mut start = 0;
        for (k, formula) in formulas.iter().enumerate() {
            let single = zoo.tape(std::slice::from_ref(formula));
            let mut other = Workspace::new(&single);
            let alone = single.evaluate(&mut other, x, y, smoothing);
            prop_assert_eq!(at.output(k), alone.output(0));
            prop_assert_eq!(&all[start..start + single.outputs()], alone.output(0));
            start += single.outputs();
        }
        prop_assert!(at.output(formulas.len()).is_empty());
    }
}
