use super::super::testing::{Case, INF, collection, degenerate, without_solution};
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
        if !(s.residuals.violation < 1e-5) || (s.objective - case.objective).abs() > 1e-3 {
            bad.push(line(case.name, &s));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn trace() {
    let Ok(name) = std::env::var("TRACE") else { return };
    let all = collection().into_iter().chain(degenerate()).chain(without_solution().into_iter().map(|c| c.0));
    for mut case in all.filter(|c| c.name == name) {
        case.nlp.second_derivatives = false;
        let start = case.start.clone();
        let mut show = |i: &Iteration| {
            println!(
                "{:4} f {:.6e} viol {:.1e} stat {:.1e} step {:.1e} z {:.6?}",
                i.number, i.objective, i.violation, i.stationarity, i.step, i.z
            );
            true
        };
        let s = solve_with(&mut case.nlp, &start, &Settings::default(), Some(&mut show));
        println!("{}", line(case.name, &s));
    }
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
