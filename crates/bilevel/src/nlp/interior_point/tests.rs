use super::super::testing::{Case, INF, collection};
use super::*;

fn run(case: &mut Case) -> Solution {
    solve(&mut case.nlp, &case.start.clone(), &Settings::default())
}

#[test]
fn collection_is_solved() {
    let mut bad = Vec::new();
    for mut case in collection() {
        let s = run(&mut case);
        let close = (s.objective - case.objective).abs() <= 1e-8 * (1.0 + case.objective.abs());
        let near = case.z.as_ref().is_none_or(|z| z.iter().zip(&s.z).all(|(a, b)| (a - b).abs() < 1e-7));
        println!(
            "{:38} {:?} {:3} it {:3} ev f {:.10} res {:.1e} {:.1e} {:.1e} {:.1e}",
            case.name,
            s.status,
            s.iterations,
            s.evaluations.values,
            s.objective,
            s.residuals.stationarity,
            s.residuals.violation,
            s.residuals.complementarity,
            s.residuals.scaled
        );
        if s.status != Status::Solved || !close || !near {
            bad.push(format!(
                "{} {:?} f {} (expected {}) z {:?} {:?}",
                case.name, s.status, s.objective, case.objective, s.z, s.residuals
            ));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

fn line(name: &str, s: &Solution) -> String {
    format!(
        "{:38} {:?} {:3} it {:3} ev f {:.10} z {:?} {:?}",
        name, s.status, s.iterations, s.evaluations.values, s.objective, s.z, s.residuals
    )
}

#[test]
fn no_solution_is_said() {
    let mut bad = Vec::new();
    for (mut case, status) in super::super::testing::without_solution() {
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
    for mut case in super::super::testing::degenerate() {
        let s = run(&mut case);
        println!("{}", line(case.name, &s));
        if !s.status.is_success() || (s.objective - case.objective).abs() > 1e-3 {
            bad.push(line(case.name, &s));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn trace() {
    let Ok(name) = std::env::var("TRACE") else { return };
    let all = collection()
        .into_iter()
        .chain(super::super::testing::degenerate())
        .chain(super::super::testing::without_solution().into_iter().map(|c| c.0));
    for mut case in all.filter(|c| c.name == name) {
        let start = case.start.clone();
        let mut show = |i: &super::super::Iteration| {
            println!(
                "{:4} f {:.6e} viol {:.1e} stat {:.1e} mu {:.1e} step {:.1e} z {:.6?}",
                i.number, i.objective, i.violation, i.stationarity, i.barrier, i.step, i.z
            );
            true
        };
        let s = solve_with(&mut case.nlp, &start, None, &Settings::default(), Some(&mut show));
        println!("{}", line(case.name, &s));
    }
}
