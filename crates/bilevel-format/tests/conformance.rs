//! Problems from the literature with convex followers over fixed sets, solved with default options, counted as the
//! collections count: feasible, follower optimal, and no worse than the known value.

use std::path::{Path, PathBuf};

use bilevel::prelude::*;
use bilevel_format::{ProblemFile, load};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../problems").join(name)
}

fn files(name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder(name)).map(|found| found.flatten().map(|e| e.path()).collect());
    let mut files: Vec<PathBuf> = entries.unwrap_or_default();
    files.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    files.sort();
    files
}

fn reaches(file: &ProblemFile, solution: &Solution) -> bool {
    let (Some(target), Some(upper), Some(lower)) = (file.known.upper, solution.upper, solution.lower) else {
        return false;
    };
    let certificate = &solution.certificate;
    let feasible = certificate.violation.is_some_and(|v| v <= 1e-6);
    let optimal = certificate.follower_gap.as_ref().is_some_and(|g| g.value <= 1e-8 * (1.0 + lower.abs()));
    feasible && optimal && upper <= target + 1e-3 * (1.0 + target.abs())
}

#[test]
fn convex_followers_over_fixed_sets_are_solved() {
    let mut total = 0;
    let mut missed = Vec::new();
    for path in ["bolib", "basblib", "traps"].into_iter().flat_map(files) {
        let file = match load(&path, &[]) {
            Ok(file) => file,
            Err(mistakes) => panic!("{}", mistakes.render(false)),
        };
        let tagged = |tag: &str| file.known.tags.iter().any(|t| t == tag);
        if file.known.upper.is_none() || !tagged("lower-convex") || !tagged("XY-fixed-convex") {
            continue;
        }
        total += 1;
        let solution = file.problem.solve(&Options::default());
        if !reaches(&file, &solution) {
            missed.push(format!("{}: {} {:?}", path.display(), solution.status.name(), solution.upper));
        }
    }
    assert!(total >= 25, "only {total} problems found");
    assert!(missed.len() * 10 <= total, "{} of {total} missed: {missed:#?}", missed.len());
}

#[test]
fn real_data_reaches_the_grid_search() {
    let Ok(file) = load(&folder("elastic_net_diabetes.toml"), &[]) else { panic!("the file does not load") };
    let solution = file.problem.solve(&Options::default());
    assert_eq!(solution.status, Status::Solved);
    // Best of a 60 x 60 grid, every point solved to 1e-10 (tools/grid_reference.py).
    assert!(solution.upper.is_some_and(|upper| upper <= 0.2780820497009707), "{:?}", solution.upper);
    assert!(solution.certificate.follower_gap.is_some_and(|gap| gap.value <= 1e-8));
}
