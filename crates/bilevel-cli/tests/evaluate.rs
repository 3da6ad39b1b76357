//! `bilevel evaluate` as a user meets it: values, rigor, exit codes, messages.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};

    use serde_json::Value;

    fn problems() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../problems")
    }

    fn run(file: &Path, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bilevel")).arg("evaluate").arg(file).args(arguments).output().unwrap()
    }

    fn values(name: &str, arguments: &[&str]) -> Value {
        let output = run(&problems().join(name), &[arguments, &["--json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// A problem of one's own, written to a file of this name.
    fn written(name: &str, text: &str) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn near(value: &Value, expected: f64, tolerance: f64) {
        let number = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
        assert!((number - expected).abs() <= tolerance, "{number} is not {expected}");
    }

    /// One φ of the values: its ends contain the truth, and its value is near it.
    fn phi(values: &Value, attitude: &str, expected: f64, tolerance: f64) {
        let phi = &values["phi"][attitude];
        near(&phi["value"], expected, tolerance);
        assert!(phi["lower"].as_f64().unwrap() <= expected + 1e-12, "{phi}");
        assert!(phi["upper"].as_f64().unwrap() >= expected - 1e-12, "{phi}");
    }

    #[test]
    fn ties_are_shown_side_by_side() {
        let found = values("ties.toml", &["--at", "x=0"]);
        phi(&found, "optimistic", -1.0, 1e-9);
        phi(&found, "pessimistic", 1.0, 1e-9);
        for attitude in ["optimistic", "pessimistic"] {
            assert_eq!(found["phi"][attitude]["rigor"], "proved");
        }
        assert_eq!(found["answers"]["kind"], "face");
        let found = values("ties.toml", &["--at", "x=0.25"]);
        phi(&found, "optimistic", 1.25, 1e-9);
        phi(&found, "pessimistic", 1.25, 1e-9);
        assert_eq!(found["answers"]["kind"], "unique");
        near(&found["v"]["value"], -0.25, 1e-9);
        assert_eq!(found["v"]["rigor"], "proved");
    }

    #[test]
    fn a_flat_follower_is_unbounded_for_the_pessimist() {
        let found = values("traps/flat_follower.toml", &["--at", "x=1"]);
        phi(&found, "optimistic", 0.0, 1e-9);
        assert_eq!(found["phi"]["pessimistic"]["value"], "inf");
        assert_eq!((&found["answers"]["kind"], &found["answers"]["dimension"]), (&"affine".into(), &1.into()));
    }

    #[test]
    fn isolated_answers_are_listed() {
        let found = values("mirrlees.toml", &["--at", "x=1.0"]);
        assert_eq!(found["answers"]["kind"], "isolated");
        assert_eq!(found["answers"]["count"], 2);
        near(&found["v"]["value"], -1.0198658, 1e-7);
        near(&found["phi"]["optimistic"]["value"], 1.0018059, 1e-6);
        near(&found["phi"]["pessimistic"]["value"], 4.8318, 1e-4);
        assert_eq!(found["phi"]["optimistic"]["lower_rigor"], "proved");
        assert_eq!(found["phi"]["pessimistic"]["upper_rigor"], "proved");
    }

    #[test]
    fn a_follower_tolerance_widens_the_set_of_answers() {
        // f = x y at x = 0.5: S_eta = [-1, -1 + 2 eta], F = x - y.
        let found = values("ties.toml", &["--at", "x=0.5", "--follower-tolerance", "0.1"]);
        phi(&found, "optimistic", 1.3, 1e-6);
        phi(&found, "pessimistic", 1.5, 1e-6);
        assert_eq!(found["phi"]["optimistic"]["rigor"], "proved");
        near(&found["follower_tolerance"], 0.1, 0.0);
    }

    #[test]
    fn everything_is_in_the_users_sense() {
        let text = "[leader]\nx = \"free\"\na = \"vector(2)\"\n[follower]\ny = \"in [-1, 1]\"\n[upper]\nmaximize = 'y + x'\n\
                [lower]\nmaximize = 'x*y - a[1]'\n[start]\nx = 0\na = [1, 2]\ny = 0\n";
        let file = written("sense.toml", text);
        let output = run(&file, &["--json", "--at", "x=0"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        phi(&found, "optimistic", 1.0, 1e-9);
        phi(&found, "pessimistic", -1.0, 1e-9);
        near(&found["v"]["value"], -2.0, 1e-9);
        let output = run(&file, &["--json", "--at", "a=[0, 7]", "--at", "x=2"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        near(&found["v"]["value"], -5.0, 1e-8);
        near(&found["x"]["a"][1], 7.0, 0.0);
    }

    #[test]
    fn no_answer_is_an_answer_with_exit_code_1() {
        let infeasible = "[leader]\nx = \"in [0, 2]\"\n[follower]\ny = \"free\"\n[upper]\nminimize = 'y'\n[lower]\n\
                      minimize = 'y^2'\nsubject_to = ['y >= x', 'y <= 1']\n";
        let unbounded = "[leader]\nx = \"in [0, 2]\"\n[follower]\ny = \"free\"\n[upper]\nminimize = 'y'\n[lower]\n\
                     minimize = 'x*y'\n";
        for (name, text, status) in
            [("infeasible.toml", infeasible, "infeasible"), ("unbounded.toml", unbounded, "follower_unbounded")]
        {
            let output = run(&written(name, text), &["--at", "x=2", "--json"]);
            assert_eq!(output.status.code(), Some(1), "{name}");
            let found: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(found["status"], status, "{found}");
            assert!(found["phi"]["optimistic"].is_null() && found["v"].is_null());
        }
    }

    #[test]
    fn mistakes_are_named() {
        let ties = problems().join("ties.toml");
        for (arguments, part) in [
            (&["--at", "z=1"][..], "no leader's variable `z`; the leader's variables are `x`"),
            (&["--at", "y=1"], "`y` is the follower's"),
            (&["--at", "x=[1, 2]"], "2 numbers are given, `x` has 1"),
            (&["--at", "x=one"], "`one` is neither a finite number nor a list"),
            (&["--at", "x=inf"], "`inf` is neither"),
            (&["--at", "x"], "expected NAME=VALUE"),
            (&["--at", "x=1", "--at", "x=2"], "`x` is given twice"),
        ] {
            let output = run(&ties, arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
            let message = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(message.contains(part), "{arguments:?}: {message}");
            assert!(output.stdout.is_empty());
        }
    }

    #[test]
    fn the_table_shows_both_attitudes() {
        let output = run(&problems().join("ties.toml"), &["--at", "x=0"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("phi optimistic   -1") && text.contains("phi pessimistic  1"), "{text}");
    }
}
