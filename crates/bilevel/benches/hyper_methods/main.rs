//! Methods that minimise phi, on H1 (phi_o), H2 and H3 (phi_p) in closed form. Run with
//! `cargo bench -p bilevel --bench hyper_methods`; with `-- agreement`, `-- evaluations`, `-- starts` or `-- rates` for one
//! part alone.
//!
//! - agreement: phi and its subgradient from the problem in formulas against the closed form;
//! - evaluations: of phi, from one start, until a residual is certified. For H1 it is the subgradient's norm at a point
//!   evaluated; for H2 and H3 the bound of the Moreau envelope's gradient with gamma = 1/(2 rho), rho known, at the best
//!   point so far (evaluations of the certificate not counted);
//! - starts: the best value of many starts, against enumeration for H1;
//! - rates: the root mean square of |grad phi_o| over all iterates of IZOM as printed, in T and in n (H1).
#![allow(clippy::expect_used, reason = "a benchmark may stop at its own mistakes")]

mod instance;

use std::sync::Mutex;

use bilevel::certificate::{MoreauSettings, moreau};
use bilevel::evaluate::Workers;
use bilevel::expr::structure::Range;
use bilevel::hyper::{Hyper, HyperFailure, HyperObjective, HyperPoint, HyperSettings, UserHyper};
use bilevel::observe::Silent;
use bilevel::set::{Set, Whole};
use bilevel::upper::hyper::{
    BundleSettings, Curvature, DescentSettings, Ending, GradientSamplingSettings, IzomSettings, MultistartSettings,
    Oracle, QuasiNewtonSettings, bundle, descent, gradient_sampling, izom, multistart, quasi_newton,
};
use bilevel_linalg::vector;
use instance::{Instance, Kind};

const KINDS: [Kind; 3] = [Kind::H1, Kind::H2, Kind::H3];
const ACCURACY: f64 = 1e-12;
/// Residuals of the table; methods aim at the last one.
const RESIDUALS: [f64; 4] = [1.0, 0.1, 1e-2, 1e-3];
/// T of IZOM, so twice as many evaluations; evaluations of the others, at most.
const ITERATIONS: usize = 10_000;
const LIMIT: usize = 3_000;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wants = |part: &str| asked.is_empty() || asked.iter().any(|arg| arg == part);
    if wants("agreement") {
        agreement();
    }
    if wants("evaluations") {
        evaluations();
    }
    if wants("starts") {
        starts();
    }
    if wants("rates") {
        rates();
    }
}

fn closed(instance: &Instance) -> UserHyper<impl Fn(&[f64]) -> bilevel::hyper::UserValue + Sync + '_> {
    UserHyper::new(instance.n(), |x: &[f64]| {
        let (value, gradient) = instance.phi(x);
        Ok((value, Some(gradient)))
    })
}

fn agreement() {
    println!("\nphi from formulas against the closed form: largest errors over 5 seeds, 4 points each");
    println!("{:<6} {:>4} {:>12} {:>14}", "", "n", "phi", "subgradient");
    for kind in KINDS {
        for n in [2, 5, 10, 20] {
            let (mut value, mut slope) = (0.0f64, 0.0f64);
            for seed in 0..5 {
                let instance = Instance::new(kind, n, seed);
                let hyper = Hyper::new(&instance.problem(), instance.attitude(), &HyperSettings::default());
                for scale in [1.0, 0.3, -1.0, 2.0] {
                    let x: Vec<f64> = instance.x0.iter().map(|v| scale * v).collect();
                    let (phi, gradient) = instance.phi(&x);
                    let found = hyper.evaluate(&x, ACCURACY, None).expect("phi exists");
                    value = value.max((found.value - phi).abs() / (1.0 + phi.abs()));
                    let own = found.subgradient.expect("a subgradient");
                    let error = vector::distance_squared(&own, &gradient).sqrt();
                    slope = slope.max(error / (1.0 + vector::norm2(&gradient)));
                }
            }
            println!("{:<6} {n:>4} {value:>12.1e} {slope:>14.1e}", format!("{kind:?}"));
        }
    }
}

/// phi that keeps what was asked.
struct Recorder<'a> {
    instance: &'a Instance,
    log: Mutex<Vec<Vec<f64>>>,
}

impl HyperObjective for Recorder<'_> {
    fn dimension(&self) -> usize {
        self.instance.n()
    }

    fn evaluate(&self, x: &[f64], accuracy: f64, warm: Option<&[f64]>) -> Result<HyperPoint, HyperFailure> {
        self.log.lock().expect("no other thread").push(x.to_vec());
        closed(self.instance).evaluate(x, accuracy, warm)
    }
}

const METHODS: [&str; 6] = ["descent", "quasi-newton", "bundle", "gradient-sampling", "izom", "izom-literal"];

/// The points that a method asks for, in order.
fn trace(instance: &Instance, method: &str, tolerance: f64, seed: u64) -> Vec<Vec<f64>> {
    let recorder = Recorder { instance, log: Mutex::new(Vec::new()) };
    let (set, x0): (Set, _) = (Whole::new(instance.n()).into(), &instance.x0);
    let zeroth = method.starts_with("izom");
    let limit = if zeroth { 2 * ITERATIONS } else { LIMIT };
    let mut oracle = Oracle::new(&recorder, ACCURACY, limit, &Silent);
    match method {
        "descent" => {
            descent(&mut oracle, &set, x0, &DescentSettings { tolerance });
        }
        "quasi-newton" => {
            let stop_at_kinks = instance.kind != Kind::H1;
            let settings = QuasiNewtonSettings { tolerance, stop_at_kinks };
            let ending = quasi_newton(&mut oracle, &set, x0, &settings, &mut Curvature::default());
            if stop_at_kinks && matches!(ending, Ending::Kink | Ending::Stalled) {
                let x = oracle.best().expect("a point").x.clone();
                bundle(&mut oracle, &set, &x, &BundleSettings { tolerance, modulus: None });
            }
        }
        "bundle" => {
            bundle(&mut oracle, &set, x0, &BundleSettings { tolerance, modulus: None });
        }
        "gradient-sampling" => {
            let settings = GradientSamplingSettings { tolerance, radius: 0.1, last_radius: 1e-6, seed };
            gradient_sampling(&mut oracle, &set, x0, &settings);
        }
        _ => {
            let literal = method == "izom-literal";
            let settings = izom_settings(instance, literal, ITERATIONS, seed);
            izom(&mut oracle, &set, x0, &settings, &Workers::new(1), &mut |_| ());
        }
    }
    drop(oracle);
    recorder.log.into_inner().expect("no other thread")
}

/// The practical form's defaults; for the literal one eta = 0.3/√(nT), and 0.1 on H3, which diverges with more.
fn izom_settings(instance: &Instance, literal: bool, iterations: usize, seed: u64) -> IzomSettings {
    let step = if literal && instance.kind == Kind::H3 { 0.1 } else { 0.3 };
    IzomSettings { step, ..IzomSettings::new(literal, iterations, seed) }
}

/// Evaluations until each residual is certified.
fn until(instance: &Instance, points: &[Vec<f64>], last: f64) -> Vec<Option<usize>> {
    let mut found = vec![None; RESIDUALS.len()];
    let mut note = |count: usize, residual: f64| {
        for (slot, wanted) in found.iter_mut().zip(RESIDUALS) {
            if residual <= wanted && slot.is_none() {
                *slot = Some(count);
            }
        }
        residual <= last
    };
    if instance.kind == Kind::H1 {
        for (k, x) in points.iter().enumerate() {
            if note(k + 1, vector::norm2(&instance.phi(x).1)) {
                break;
            }
        }
        return found;
    }
    let (set, phi): (Set, _) = (Whole::new(instance.n()).into(), closed(instance));
    let settings = MoreauSettings {
        modulus: Some(instance.rho),
        tolerance: last,
        accuracy: ACCURACY,
        limit: 150 + 2 * instance.n(),
        seed: 0,
    };
    let (mut best, mut next) = ((f64::INFINITY, 0), 1);
    for (k, x) in points.iter().enumerate() {
        let value = instance.phi(x).0;
        if value < best.0 {
            best = (value, k);
        }
        if k + 1 < next && k + 1 < points.len() {
            continue;
        }
        // Every count at first, then ever fewer: what is printed may be a little too large.
        next = (k + 2).max(if k < 500 { (k as f64 * 1.02) as usize } else { (k as f64 * 1.2) as usize });
        let at = &points[best.1];
        let mut near: Vec<Vec<f64>> = points[..=k].iter().rev().take(200).cloned().collect();
        near.sort_by(|a, b| vector::distance_squared(a, at).total_cmp(&vector::distance_squared(b, at)));
        near.truncate(instance.n() + 4);
        if moreau(&phi, &set, at, &near, &settings).is_some_and(|check| note(k + 1, check.bound)) {
            break;
        }
    }
    found
}

fn evaluations() {
    println!("\nevaluations of phi until the certified residual is at most (medians of seeds 0, 1, 2)");
    print!("{:<6} {:>4} {:<18}", "", "n", "method");
    RESIDUALS.iter().for_each(|r| print!(" {r:>8}"));
    println!();
    for kind in KINDS {
        for n in [2, 10] {
            for method in METHODS.into_iter().filter(|m| *m != "descent" || kind == Kind::H1) {
                let last = RESIDUALS[3];
                let rows: Vec<Vec<Option<usize>>> = (0..3)
                    .map(|seed| {
                        let instance = Instance::new(kind, n, seed);
                        until(&instance, &trace(&instance, method, last, seed), last)
                    })
                    .collect();
                print!("{:<6} {n:>4} {method:<18}", format!("{kind:?}"));
                for level in 0..RESIDUALS.len() {
                    let mut counts: Vec<usize> = rows.iter().map(|row| row[level].unwrap_or(usize::MAX)).collect();
                    counts.sort_unstable();
                    let text = if counts[1] == usize::MAX { "-".to_string() } else { counts[1].to_string() };
                    print!(" {text:>8}");
                }
                println!();
            }
        }
    }
}

fn best_of(instance: &Instance, starts: usize, limit: usize, seed: u64) -> (f64, usize) {
    let (set, phi): (Set, _) = (Whole::new(instance.n()).into(), closed(instance));
    let pessimistic = instance.kind != Kind::H1;
    let local = |oracle: &mut Oracle<'_>, x: &[f64], tolerance: f64, curvature: &mut Curvature| {
        if pessimistic {
            return bundle(oracle, &set, x, &BundleSettings { tolerance, modulus: None });
        }
        quasi_newton(oracle, &set, x, &QuasiNewtonSettings { tolerance, stop_at_kinks: false }, curvature)
    };
    let settings = MultistartSettings { starts, least: starts, limit, accuracy: ACCURACY, tolerance: 1e-5, seed };
    let bounds = vec![Range::ALL; instance.n()];
    let found = multistart(&phi, &set, &bounds, &instance.x0, &settings, (&local, &Workers::new(1), &Silent));
    (found.runs[0].best.as_ref().map_or(f64::NAN, |best| best.value), found.evaluations)
}

fn starts() {
    println!("\nmany starts: the best value reached, seeds 0 to 9");
    let seeds = 0..10;
    let (mut hits, mut most) = (0, 0);
    for seed in seeds.clone() {
        let instance = Instance::new(Kind::H1, 10, seed);
        let (value, evaluations) = best_of(&instance, 200, 4000, 0);
        hits += usize::from(value <= instance.least_of_h1() + 1e-6);
        most = most.max(evaluations);
    }
    println!("H1 n = 10, 200 starts: the least of all 1024 wells in {hits} of 10, at most {most} evaluations");
    for (kind, n) in [(Kind::H1, 2), (Kind::H2, 2), (Kind::H3, 2), (Kind::H2, 10), (Kind::H3, 10)] {
        let (mut hits, mut most) = (0, 0);
        for seed in seeds.clone() {
            let instance = Instance::new(kind, n, seed);
            let (value, evaluations) = best_of(&instance, 20, usize::MAX, 0);
            let least = match kind {
                Kind::H1 => instance.least_of_h1(),
                Kind::H2 => best_of(&instance, 300, usize::MAX, 1).0,
                Kind::H3 => 0.0,
            };
            hits += usize::from(value <= least + 1e-6);
            most = most.max(evaluations);
        }
        let against = if kind == Kind::H2 { "the best of 300 others" } else { "the least value" };
        println!("{kind:?} n = {n}, 20 starts: {against} in {hits} of 10, at most {most} evaluations");
    }
}

/// The root mean square of |grad phi_o| over all iterates, relative to the start's where asked.
fn rms(n: usize, iterations: usize, relative: bool) -> f64 {
    let seeds = 3;
    let mean_log: f64 = (0..seeds)
        .map(|seed| {
            let instance = Instance::new(Kind::H1, n, seed);
            let (set, phi): (Set, _) = (Whole::new(n).into(), closed(&instance));
            let mut oracle = Oracle::new(&phi, ACCURACY, usize::MAX, &Silent);
            let mut sum = 0.0;
            let settings = izom_settings(&instance, true, iterations, seed);
            izom(&mut oracle, &set, &instance.x0, &settings, &Workers::new(1), &mut |x| {
                sum += vector::norm2_squared(&instance.phi(x).1);
            });
            let first = if relative { vector::norm2(&instance.phi(&instance.x0).1) } else { 1.0 };
            ((sum / iterations as f64).sqrt() / first).ln() / seeds as f64
        })
        .sum();
    mean_log.exp()
}

/// The slope of a line through (ln a, ln b).
fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len() as f64;
    let logs: Vec<(f64, f64)> = points.iter().map(|(a, b)| (a.ln(), b.ln())).collect();
    let (a, b) = logs.iter().fold((0.0, 0.0), |(a, b), p| (a + p.0 / count, b + p.1 / count));
    let over: f64 = logs.iter().map(|p| (p.0 - a) * (p.1 - b)).sum();
    over / logs.iter().map(|p| (p.0 - a) * (p.0 - a)).sum::<f64>()
}

fn rates() {
    println!("\nIZOM as printed on H1, eta = 0.3/√(nT), delta = 1/√T: rms of |grad phi_o| over all iterates, 3 seeds");
    println!("{:>6} {:>10} {:>10} {:>10} {:>10} {:>8}", "n", "T = 1e2", "1e3", "1e4", "1e5", "slope");
    for n in [2, 10, 50] {
        let points: Vec<(f64, f64)> =
            [100, 1000, 10_000, 100_000].iter().map(|&t| (t as f64, rms(n, t, false))).collect();
        print!("{n:>6}");
        points.iter().for_each(|(_, value)| print!(" {value:>10.3}"));
        println!(" {:>8.3}", slope(&points));
    }
    println!("relative to the start, T = 1e4");
    let points: Vec<(f64, f64)> = [2, 5, 10, 20, 50, 100].iter().map(|&n| (n as f64, rms(n, 10_000, true))).collect();
    points.iter().for_each(|(n, value)| println!("{n:>6} {value:>10.4}"));
    println!("slope in n: {:.3}", slope(&points));
}
