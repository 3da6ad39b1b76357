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
