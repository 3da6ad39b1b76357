use super::super::Frame;
use super::super::testing::{Case, collection, degenerate, without_solution};
use super::*;

fn run(case: &mut Case) -> Solution {
    solve(&mut case.nlp, &case.start.clone(), &Settings::default())
}

fn line(name: &str, s: &Solution) -> String {
    format!(
        "{:38} {:?} {:3} it {:3} ev f {:.10} z {:?} {:?}",
        name, s.status, s.iterations, s.evaluations.values, s.objective, s.z, s.residuals
    )
}

#[test]
fn collection_is_solved() {
    let mut bad = Vec::new();
    for mut case in collection() {
        case.nlp.second_derivatives = false;
        let s = run(&mut case);
        println!("{}", line(case.name, &s));
        let close = (s.objective - case.objective).abs() <= 1e-7 * (1.0 + case.objective.abs());
        if !s.status.is_success() || !close {
            bad.push(line(case.name, &s));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn no_solution_is_said() {
    let mut bad = Vec::new();
    for (mut case, status) in without_solution() {
        let s = run(&mut case);
        println!("{}", line(case.name, &s));
        if s.status != status {
            bad.push(line(case.name, &s));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn degenerate_problems_come_close() {
    let mut bad = Vec::new();
    for mut case in degenerate() {
        let s = run(&mut case);
        println!("{}", line(case.name, &s));
        if s.residuals.violation.is_nan() || s.residuals.violation > 1e-5 || (s.objective - case.objective).abs() > 1e-3
        {
            bad.push(line(case.name, &s));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn complementarity_constraints_are_followed_to_the_limit() {
    let mut bad = Vec::new();
    for (mut case, pairs) in super::super::testing::complementarity() {
        case.nlp.second_derivatives = false;
        let mut z = case.start.clone();
        for t in [1e-5, 1e-8, 1e-11] {
            super::super::testing::relax(&mut case, pairs, t);
            let s = solve(&mut case.nlp, &z, &Settings::default());
            println!("{t:.0e} {}", line(case.name, &s));
            if !s.status.is_success() || (s.objective - case.objective).abs() > 20.0 * t.sqrt().max(1e-5) {
                bad.push(format!("{t:.0e} {}", line(case.name, &s)));
            }
            z = s.z;
        }
        // Directly, without the path.
        let s = run(&mut case);
        println!("direct {}", line(case.name, &s));
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn kinks_do_not_hang() {
    for mut case in super::super::testing::kinks() {
        case.nlp.second_derivatives = false;
        let s = run(&mut case);
        println!("{}", line(case.name, &s));
        assert!(s.evaluations.values < 2000, "{}", line(case.name, &s));
        assert!((s.objective - case.objective).abs() < 5e-2, "{}", line(case.name, &s));
    }
}

/// A problem whose values and gradients carry errors of relative size 1e-9, as the follower's values do.
struct Noisy(Case, u64);

impl Noisy {
    fn noise(&mut self) -> f64 {
        self.1 = self.1.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1.0 + 1e-9 * ((self.1 >> 33) as f64 / 2f64.powi(31) - 0.5)
    }
}

impl Nlp for Noisy {
    fn frame(&self) -> &Frame {
        self.0.nlp.frame()
    }
    fn objective(&mut self, z: &[f64]) -> f64 {
        self.0.nlp.objective(z) * self.noise()
    }
    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        self.0.nlp.gradient(z, out);
        out.iter_mut().for_each(|o| *o *= self.noise());
    }
    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        self.0.nlp.constraints(z, out);
        out.iter_mut().for_each(|o| *o *= self.noise());
    }
    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        self.0.nlp.jacobian(z, out);
        out.data_mut().iter_mut().for_each(|o| *o *= self.noise());
    }
    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}

#[test]
fn noise_costs_accuracy_but_not_evaluations() {
    // HS38 passes a saddle point whose slopes are lost in the noise.
    for case in collection().into_iter().filter(|c| c.name != "HS38") {
        let (start, exact) = (case.start.clone(), case.objective);
        let name = case.name;
        let settings = Settings { progress_tolerance: 1e-9, ..Settings::default() };
        let s = solve(&mut Noisy(case, 1), &start, &settings);
        println!("{}", line(name, &s));
        assert!(s.evaluations.values <= 300, "{}", line(name, &s));
        assert!((s.objective - exact).abs() <= 1e-3 * (1.0 + exact.abs()), "{}", line(name, &s));
    }
}
