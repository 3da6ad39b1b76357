//! The methods on hyper-objectives in closed form: H1 (phi_o), H2 and H3 (phi_p) of random sizes and seeds, Example 1, and
//! simple functions over sets.

use super::testing::{Closed, Instance, Kind, example_1, in_box};
use super::*;
use crate::certificate::{MoreauSettings, moreau};
use crate::evaluate::Workers;
use crate::expr::structure::Range;
use crate::observe::Silent;
use crate::set::{self, ConvexSet};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const ACCURACY: f64 = 1e-12;

fn whole(n: usize) -> Set {
    set::Whole::new(n).into()
}

fn run_quasi_newton(instance: &Instance, tolerance: f64) -> (Ending, usize, Sample) {
    let phi = instance.objective();
    let mut oracle = Oracle::new(&phi, ACCURACY, 2000, &Silent);
    let settings = QuasiNewtonSettings { tolerance, stop_at_kinks: instance.kind != Kind::H1 };
    let (set, x0) = (whole(instance.x0.len()), &instance.x0);
    let mut ending = quasi_newton(&mut oracle, &set, x0, &settings, &mut Curvature::default());
    if ending == Ending::Kink {
        let x = oracle.best().unwrap().x.clone();
        ending = bundle(&mut oracle, &set, &x, &BundleSettings { tolerance, modulus: None });
    }
    (ending, oracle.used(), oracle.best().unwrap().clone())
}

/// What the bundle says of its end holds: an independent bound with the true modulus, from fresh evaluations.
#[test]
fn bundle_ends_where_a_fresh_certificate_agrees() {
    for (kind, n) in [(Kind::H2, 2), (Kind::H2, 6), (Kind::H3, 2), (Kind::H3, 6)] {
        for seed in 0..4 {
            let instance = Instance::random(kind, n, seed);
            let phi = instance.objective();
            let set = whole(n);
            let mut oracle = Oracle::new(&phi, ACCURACY, 1000, &Silent);
            let ending = bundle(&mut oracle, &set, &instance.x0, &BundleSettings { tolerance: 1e-3, modulus: None });
            assert_eq!(ending, Ending::Stationary, "{kind:?} {n} {seed}");
            let best = oracle.best().unwrap();
            let near: Vec<Vec<f64>> = oracle.seen().rev().take(n + 4).map(|s| s.x.clone()).collect();
            let settings = MoreauSettings { modulus: None, tolerance: 1e-3, accuracy: ACCURACY, limit: 300, seed };
            let check = moreau(&phi, &set, &best.x, &near, &settings).unwrap();
            assert!(check.bound <= 2e-3 && !check.alarm, "{kind:?} {n} {seed}: {check:?}");
        }
    }
}

#[test]
fn quasi_newton_needs_few_evaluations() {
    for seed in 0..6 {
        let (ending, used, best) = run_quasi_newton(&Instance::random(Kind::H1, 10, seed), 1e-3);
        assert!(ending == Ending::Stationary && used <= 26, "{ending:?} {used}");
        let (_, gradient) = Instance::random(Kind::H1, 10, seed).phi(&best.x);
        assert!(projected_norm(&whole(10), &best.x, &gradient) <= 1e-3);
        let (ending, used, _) = run_quasi_newton(&Instance::random(Kind::H3, 10, seed), 1e-3);
        assert!(ending == Ending::Stationary && used <= 287, "{ending:?} {used}");
    }
}

#[test]
fn descent_obeys_its_lemma_and_gradient_sampling_reaches_a_kink() {
    let instance = Instance::random(Kind::H1, 6, 3);
    let phi = instance.objective();
    let mut oracle = Oracle::new(&phi, ACCURACY, 500, &Silent);
    let ending = descent(&mut oracle, &whole(6), &instance.x0, &DescentSettings { tolerance: 1e-5 });
    assert_eq!(ending, Ending::Stationary);
    let instance = Instance::random(Kind::H2, 2, 3);
    let phi = instance.objective();
    let mut oracle = Oracle::new(&phi, ACCURACY, 3000, &Silent);
    let settings = GradientSamplingSettings { tolerance: 1e-4, radius: 0.1, last_radius: 1e-6, seed: 0 };
    gradient_sampling(&mut oracle, &whole(2), &instance.x0, &settings);
    let (_, _, best) = run_quasi_newton(&instance, 1e-4);
    assert!(oracle.best().unwrap().value <= best.value + 1e-4);
}

/// ½‖x − c‖² + ‖x‖_1 over sets: the minimiser by a long projected-subgradient-free twin, proximal point of the l1 norm on a
/// box, and the optimality condition elsewhere.
#[test]
fn every_method_respects_the_set() {
    let c = [1.5, -0.4, 0.3];
    let phi = Closed(3, move |x: &[f64]| {
        let value = x.iter().zip(&c).map(|(x, c)| 0.5 * (x - c) * (x - c)).sum();
        (value, Some(x.iter().zip(&c).map(|(x, c)| x - c).collect()))
    });
    let sets: Vec<Set> = vec![
        set::Bounds::uniform(3, 0.0, 1.0).unwrap().into(),
        set::Simplex::new(3, 1.0).unwrap().into(),
        set::Ball::new(vec![0.0; 3], 0.7).unwrap().into(),
        set::L1Ball::new(vec![0.0; 3], 1.0).unwrap().into(),
    ];
    for set in &sets {
        let mut projection = vec![0.0; 3];
        set.project(&c, &mut projection);
        for method in 0..3 {
            let mut oracle = Oracle::new(&phi, ACCURACY, 600, &Silent);
            let start = [0.2, 0.3, 0.1];
            match method {
                0 => {
                    let settings = QuasiNewtonSettings { tolerance: 1e-7, stop_at_kinks: false };
                    quasi_newton(&mut oracle, set, &start, &settings, &mut Curvature::default())
                }
                1 => bundle(&mut oracle, set, &start, &BundleSettings { tolerance: 1e-5, modulus: None }),
                _ => descent(&mut oracle, set, &start, &DescentSettings { tolerance: 1e-7 }),
            };
            let best = oracle.best().unwrap();
            assert!(oracle.seen().all(|s| set.violation(&s.x) < 1e-9), "{method} {set:?}");
            let away = oracle::distance(&best.x, &projection);
            assert!(away < 1e-4, "method {method}, {set:?}: {away:.1e} from the projection");
        }
    }
}

/// On the sphere G is unbiased for a linear phi; on the ball it is short by n/(n+2).
#[test]
fn the_estimator_of_izom_on_sphere_and_ball() {
    let n = 3;
    let slope = [1.0, -2.0, 0.5];
    let phi = Closed(n, move |x: &[f64]| (x.iter().zip(&slope).map(|(x, s)| x * s).sum(), None));
    for (literal, factor) in [(false, 1.0), (true, n as f64 / (n as f64 + 2.0))] {
        let (mut mean, count) = (vec![0.0; n], 4000);
        for seed in 0..count {
            let mut oracle = Oracle::new(&phi, ACCURACY, 4, &Silent);
            let settings = IzomSettings { literal, iterations: 2, directions: 1, step: 1.0, radius: 0.1, seed };
            let mut iterates: Vec<Vec<f64>> = Vec::new();
            izom(&mut oracle, &whole(n), &[0.0; 3], &settings, &Workers::new(1), &mut |x| iterates.push(x.to_vec()));
            // The literal step is eta G; the practical one is c G √n/‖G‖, from which G is not to be had: use its values.
            let seen: Vec<&Sample> = oracle.seen().collect();
            let u: Vec<f64> =
                seen[0].x.iter().zip(&seen[1].x).map(|(a, b)| (a - b) / (2.0 * settings.delta())).collect();
            let g = n as f64 / (2.0 * settings.delta()) * (seen[0].value - seen[1].value);
            mean.iter_mut().zip(&u).for_each(|(m, u)| *m += g * u / count as f64);
            if literal {
                let eta = 1.0 / (n as f64 * 2.0).sqrt();
                assert!(iterates[1].iter().zip(&u).all(|(x, u)| (x + eta * g * u).abs() < 1e-9));
            }
        }
        for (m, s) in mean.iter().zip(&slope) {
            assert!((m - factor * s).abs() < 0.12, "{literal}: {mean:?}");
        }
    }
}

/// Root mean square of the gradient over all iterates of the literal form, on H1.
fn rms(n: usize, iterations: usize, seed: u64) -> f64 {
    let instance = Instance::random(Kind::H1, n, seed);
    let phi = instance.objective();
    let mut oracle = Oracle::new(&phi, ACCURACY, usize::MAX, &Silent);
    let settings = IzomSettings { literal: true, iterations, directions: 1, step: 0.3, radius: 1.0, seed };
    let (mut sum, mut count) = (0.0, 0.0);
    izom(&mut oracle, &whole(n), &instance.x0, &settings, &Workers::new(1), &mut |x| {
        sum += instance.phi(x).1.iter().map(|g| g * g).sum::<f64>();
        count += 1.0;
    });
    (sum / count).sqrt()
}

#[test]
fn literal_izom_falls_like_the_fourth_root_of_its_iterations() {
    let mean = |iterations: usize| (0..6).map(|seed| rms(10, iterations, seed).ln()).sum::<f64>() / 6.0;
    let slope = (mean(10_000) - mean(300)) / (10_000f64 / 300.0).ln();
    assert!((slope + 0.25).abs() <= 0.05, "{slope}");
}

fn boundless(n: usize) -> Vec<Range> {
    vec![Range::ALL; n]
}

fn many_starts(instance: &Instance, starts: usize, limit: usize, threads: usize) -> Found {
    let n = instance.x0.len();
    let phi = instance.objective();
    let set = whole(n);
    let pessimistic = instance.kind != Kind::H1;
    let local = |oracle: &mut Oracle<'_>, x: &[f64], tolerance: f64, curvature: &mut Curvature| {
        if pessimistic {
            bundle(oracle, &set, x, &BundleSettings { tolerance, modulus: None })
        } else {
            let settings = QuasiNewtonSettings { tolerance, stop_at_kinks: false };
            quasi_newton(oracle, &set, x, &settings, curvature)
        }
    };
    let settings = MultistartSettings { starts, least: starts, limit, accuracy: ACCURACY, tolerance: 1e-5, seed: 0 };
    let workers = Workers::new(threads);
    multistart(&phi, &set, &boundless(n), &instance.x0, &settings, (&local, &workers, &Silent))
}

/// H1 by enumeration: each sign pattern has one quadratic.
fn global_of_h1(instance: &Instance) -> f64 {
    let n = instance.x0.len();
    let p = instance.d.len();
    let mut best = f64::INFINITY;
    for pattern in 0..(1u32 << n) {
        let sign = |j: usize| if pattern >> j & 1 == 1 { 1.0 } else { -1.0 };
        // (C'C + I) x = C'd + sign, the minimiser of the piece continued over all x.
        let mut matrix = bilevel_linalg::Dense::identity(n);
        let mut right: Vec<f64> = (0..n).map(sign).collect();
        for i in 0..n {
            for j in 0..n {
                matrix[(i, j)] += (0..p).map(|k| instance.c[(k, i)] * instance.c[(k, j)]).sum::<f64>();
            }
        }
        instance.c.transpose_mul_add(1.0, &instance.d, &mut right);
        let mut factor = bilevel_linalg::Cholesky::new();
        factor.factor(&matrix, 0.0).unwrap();
        factor.solve(&mut right).unwrap();
        best = best.min(instance.phi(&right).0);
    }
    best
}

#[test]
fn many_starts_find_the_best_of_a_thousand_wells() {
    let instance = Instance::random(Kind::H1, 10, 1);
    let found = many_starts(&instance, 200, 4000, 1);
    let value = found.runs[0].best.as_ref().unwrap().value;
    assert!(found.evaluations <= 4000, "{}", found.evaluations);
    assert!(value <= global_of_h1(&instance) + 1e-6, "{value} against {}", global_of_h1(&instance));
}

#[test]
fn starts_end_once_all_wells_are_seen() {
    let count = |phi: &Closed<fn(&[f64]) -> super::testing::Values>, starts: usize, least: usize| {
        let set = whole(1);
        let local = |oracle: &mut Oracle<'_>, x: &[f64], tolerance: f64, curvature: &mut Curvature| {
            let settings = QuasiNewtonSettings { tolerance, stop_at_kinks: false };
            quasi_newton(oracle, &set, x, &settings, curvature)
        };
        let settings =
            MultistartSettings { starts, least, limit: 10_000, accuracy: ACCURACY, tolerance: 1e-6, seed: 0 };
        let found = multistart(phi, &set, &boundless(1), &[1.5], &settings, (&local, &Workers::new(1), &Silent));
        (found.endings.len(), found.runs[0].best.as_ref().unwrap().value)
    };
    let one: Closed<fn(&[f64]) -> super::testing::Values> = Closed(1, |x| (x[0] * x[0], Some(vec![2.0 * x[0]])));
    let (starts, value) = count(&one, 200, 6);
    assert!((8..=12).contains(&starts) && value < 1e-10, "{starts} {value}");
    assert_eq!(count(&one, 20, 20).0, 20);
    // (x² - 1)² + x/10 has two wells.
    let two: Closed<fn(&[f64]) -> super::testing::Values> = Closed(1, |x| {
        let q = x[0] * x[0] - 1.0;
        (q * q + 0.1 * x[0], Some(vec![4.0 * x[0] * q + 0.1]))
    });
    let (starts, value) = count(&two, 200, 6);
    assert!(starts < 40 && value < -0.1, "{starts} {value}");
}

#[test]
fn the_same_answer_with_any_number_of_threads() {
    let instance = Instance::random(Kind::H2, 4, 2);
    let (one, two) = (many_starts(&instance, 9, 3000, 1), many_starts(&instance, 9, 3000, 2));
    assert_eq!(one.runs[0].best, two.runs[0].best);
    assert_eq!((one.evaluations, one.endings), (two.evaluations, two.endings));
    let phi = instance.objective();
    let settings = IzomSettings { literal: false, iterations: 50, directions: 4, step: 0.3, radius: 1.0, seed: 3 };
    let last = |threads| {
        let mut oracle = Oracle::new(&phi, ACCURACY, 1000, &Silent);
        izom(&mut oracle, &whole(4), &instance.x0, &settings, &Workers::new(threads), &mut |_| ()).last
    };
    assert_eq!(last(1), last(2));
}

#[test]
fn practical_izom_decreases_and_stays_in_the_set() {
    let instance = Instance::random(Kind::H1, 4, 2);
    let phi = instance.objective();
    let set: Set = set::Bounds::uniform(4, -1.0, 1.0).unwrap().into();
    let mut oracle = Oracle::new(&phi, ACCURACY, 4000, &Silent);
    let settings = IzomSettings { literal: false, iterations: 1000, directions: 2, step: 0.3, radius: 1.0, seed: 3 };
    let start = in_box(4, 1.0, &mut ChaCha8Rng::seed_from_u64(1));
    let trace = izom(&mut oracle, &set, &start, &settings, &Workers::new(1), &mut |_| ());
    assert_eq!(trace.ending, Ending::Budget);
    assert!(oracle.seen().all(|s| set.violation(&s.x) <= 0.0));
    assert!(oracle.best().unwrap().value < instance.phi(&start).0);
}

#[test]
fn example_1_is_left_at_its_kink_and_flat_on_its_left() {
    let phi = Closed(1, example_1);
    let mut oracle = Oracle::new(&phi, ACCURACY, 100, &Silent);
    let at = oracle.evaluate(&[0.0]).unwrap();
    let next = leave_kink(&mut oracle, &whole(1), &at, (1e-4, 1e-3), (1, 0)).unwrap().unwrap();
    assert!(next.x[0] > 0.0);
    let settings = QuasiNewtonSettings { tolerance: 1e-6, stop_at_kinks: true };
    quasi_newton(&mut oracle, &whole(1), &next.x, &settings, &mut Curvature::default());
    assert!((oracle.best().unwrap().value + 2.0).abs() < 1e-12);
    let at = oracle.evaluate(&[-0.2]).unwrap();
    assert!(leave_kink(&mut oracle, &whole(1), &at, (1e-4, 1e-3), (2, 0)).unwrap().is_none());
}

#[test]
fn a_limit_and_a_falling_phi_end_runs() {
    let falling = Closed(1, |x: &[f64]| (if x[0] < -3.0 { f64::NEG_INFINITY } else { x[0] }, Some(vec![1.0])));
    let mut oracle = Oracle::new(&falling, ACCURACY, 100, &Silent);
    let settings = QuasiNewtonSettings { tolerance: 1e-6, stop_at_kinks: false };
    let ending = quasi_newton(&mut oracle, &whole(1), &[0.0], &settings, &mut Curvature::default());
    assert_eq!(ending, Ending::Unbounded);
    let instance = Instance::random(Kind::H2, 5, 0);
    let phi = instance.objective();
    let mut oracle = Oracle::new(&phi, ACCURACY, 7, &Silent);
    let ending = bundle(&mut oracle, &whole(5), &instance.x0, &BundleSettings { tolerance: 1e-9, modulus: None });
    assert!(ending == Ending::Budget && oracle.used() == 7);
    let blind = Closed(1, |x: &[f64]| (x[0] * x[0], None));
    let mut oracle = Oracle::new(&blind, ACCURACY, 10, &Silent);
    let ending = bundle(&mut oracle, &whole(1), &[1.0], &BundleSettings { tolerance: 1e-3, modulus: None });
    assert_eq!(ending, Ending::NoSubgradient);
}
