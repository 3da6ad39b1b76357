//! Samples with known answers, conventions, and mistakes with their places.

use std::path::Path;

use bilevel::solve::Options;

use super::{from_sources, load};
use crate::Source;

const MAIN: &str = "NAME small\nROWS\n N cost\n L r1\n E r2\nCOLUMNS\n a cost 1 r1 2\n a r2 1\n b r1 1 r2 -1\n c r2 3\nRHS\n RHS r1 4 cost -5\nRANGES\n RNG r1 3\nBOUNDS\n UP BND a -2\n UP BND c 7\nENDATA\n";
const AUX: &str = "N 2\nM 1\nLC 2\nLC 0\nLR 1\nLO 4\nLO -1\nOS -1\n";

fn read(main: &str, aux: &str) -> Result<crate::ProblemFile, crate::Diagnostics> {
    from_sources(&Source::new("m.mps", main), &Source::new("m.aux", aux))
}

#[test]
fn samples_have_their_answers() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../problems/mps");
    for (name, x, y, value) in [("moore_bard", 8.0, 1.0, -18.0), ("bard_max", 4.0, 4.0, 12.0)] {
        let file = load(&folder.join(name).with_extension("mps")).unwrap();
        let solution = file.problem.solve(&Options::default());
        assert_eq!(solution.status.name(), "solved", "{name}: {}", solution.message);
        assert!((solution.upper.unwrap() - value).abs() < 1e-5 * (1.0 + value.abs()), "{name}: {:?}", solution.upper);
        let at = |values: &bilevel::problem::NamedValues, key: &str| values.get(key).unwrap()[0];
        assert!((at(solution.x.as_ref().unwrap(), "x") - x).abs() < 1e-4);
        assert!((at(solution.y.as_ref().unwrap(), "y") - y).abs() < 1e-4);
    }
}

#[test]
fn conventions() {
    let problem = read(MAIN, AUX).unwrap().problem;
    // Leader: b. Follower, in the order of the aux file: c, a.
    assert_eq!((problem.n(), problem.m()), (1, 2));
    assert_eq!(problem.follower().blocks[0].name, "c");
    let bounds = |lower: &mut [f64], upper: &mut [f64]| {
        use bilevel::set::ConvexSet as _;
        problem.follower().set.bounding_box(lower, upper);
    };
    let (mut lower, mut upper) = ([0.0; 2], [0.0; 2]);
    bounds(&mut lower, &mut upper);
    assert_eq!((lower, upper), ([0.0, f64::NEG_INFINITY], [7.0, -2.0]));
    // r1: 1 <= 2a + b <= 4 is the leader's, r2: a - b + 3c = 0 the follower's.
    let labels = |side: &bilevel::problem::Side| side.constraints.iter().map(|c| c.label.clone()).collect::<Vec<_>>();
    assert_eq!(labels(problem.leader()), ["row r1 <=", "row r1 >="]);
    assert_eq!(labels(problem.follower()), ["row r2 =="]);
    assert_eq!(problem.follower().sense, bilevel::problem::Sense::Maximize);
}

#[test]
fn mistakes_have_places() {
    let cases = [
        (MAIN.replace("ENDATA", ""), AUX.to_string(), "without ENDATA"),
        (MAIN.replace(" L r1", " Q r1"), AUX.to_string(), "unknown kind of row"),
        (MAIN.replace(" c r2 3", " c r9 3"), AUX.to_string(), "no row of this name"),
        (MAIN.replace(" c r2 3", " c r2 three"), AUX.to_string(), "not a number"),
        (MAIN.replace(" UP BND c 7", " BV BND c"), AUX.to_string(), "integer"),
        (MAIN.replace(" UP BND c 7", " LO BND a 7"), AUX.to_string(), "above the upper bound"),
        (MAIN.replace(" a r2 1", " M 'MARKER' 'INTORG'"), AUX.to_string(), "integer columns"),
        (MAIN.to_string(), AUX.replace("LC 2", "LC 3"), "no column of this number"),
        (MAIN.to_string(), AUX.replace("LO 4\n", ""), "2 columns of the follower but 1 costs"),
        (MAIN.to_string(), AUX.replace("LC 2", "LC 0"), "named twice"),
        (MAIN.to_string(), "OS 1\n".to_string(), "no columns"),
        (MAIN.to_string(), AUX.replace("OS -1", "IB 3"), "interdiction"),
    ];
    for (main, aux, expected) in cases {
        let error = read(&main, &aux).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

#[test]
fn truncated_files_do_not_panic() {
    for cut in 0..MAIN.len() {
        assert!(read(&MAIN[..cut], AUX).is_err() || cut + 1 >= MAIN.len());
    }
    for cut in 0..AUX.len() {
        let _ = read(MAIN, &AUX[..cut]);
    }
}
