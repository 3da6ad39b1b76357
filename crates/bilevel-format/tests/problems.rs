//! All problem files of the repository are read.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use bilevel_format::load;

fn problem_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            problem_files(&path, found);
        } else if path.extension().is_some_and(|e| e == "toml") {
            found.push(path);
        }
    }
}

#[test]
fn every_problem_of_the_repository_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../problems");
    let mut found = Vec::new();
    problem_files(&folder, &mut found);
    assert!(found.len() > 100, "{}", found.len());
    for path in found {
        let file = load(&path, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert!(file.problem.m() > 0);
        assert!(!file.problem.name().is_empty(), "{}", path.display());
        assert!(
            file.known.upper.is_some() || file.known.expect.is_some() || !file.known.notes.is_empty(),
            "{}",
            path.display()
        );
    }
}
