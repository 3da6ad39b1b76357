//! `bilevel verify` and `bilevel solve --global` as a user meets them.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};

    use serde_json::{Value, json};

    fn problem(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../problems").join(name)
    }

    fn run(arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_bilevel")).args(arguments).output().unwrap_or_else(|error| panic!("{error}"))
    }

    /// A file with this text.
    fn file(name: &str, text: &str) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&path, text).unwrap_or_else(|error| panic!("{error}"));
        path
    }

    fn verify(file_name: &str, point: &Path, more: &[&str]) -> (i32, Value) {
        let problem = problem(file_name);
        let mut arguments = vec!["verify", problem.to_str().unwrap_or(""), point.to_str().unwrap_or(""), "--json"];
        arguments.extend(more);
        let output = run(&arguments);
        let value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap_or(-1), value)
    }

    #[test]
    fn all_ways_to_write_a_point_mean_the_same() {
        for (k, text) in [
            r#"{"x": {"x": [1.0]}, "y": {"y": [0.957504]}}"#,
            r#"{"x": {"x": 1}, "y": [0.957504]}"#,
            r#"{"x": 1, "y": 0.957504, "upper": 1.0018059, "from": "someone"}"#,
            r#"{"schema": 1, "solutions": [{"x": [1.0], "y": [0.957504], "attitude": "optimistic"}]}"#,
        ]
        .into_iter()
        .enumerate()
        {
            let (code, value) = verify("mirrlees.toml", &file(&format!("point{k}.json"), text), &[]);
            assert_eq!((code, &value["verdict"]), (0, &json!("verified")), "{text}");
            assert!(value["witness"].is_null() && value["certificate"]["follower_gap"]["rigor"] == "proved");
        }
    }

    #[test]
    fn wrong_points_are_refuted_with_a_witness() {
        // A stationary point of the follower that is no minimum: what methods that take its first-order conditions return.
        let wrong = file("wrong.json", r#"{"x": 1.99, "y": 0.895}"#);
        let (code, value) = verify("mirrlees.toml", &wrong, &[]);
        assert_eq!((code, &value["verdict"]), (1, &json!("refuted")));
        assert_eq!(value["witness"]["kind"], "better answer");
        assert!(value["witness"]["y"]["y"][0].as_f64().is_some_and(|y| (y + 0.98).abs() < 0.01));
        // Outside the set.
        let (code, value) = verify("mirrlees.toml", &file("outside.json", r#"{"x": 1, "y": 2.001}"#), &[]);
        assert_eq!((code, &value["witness"]["kind"]), (1, &json!("violation")));
        // A value that the point does not have.
        let claim = file("claim.json", r#"{"x": 1, "y": 0.957504, "upper": 0.9}"#);
        let (code, value) = verify("mirrlees.toml", &claim, &[]);
        assert_eq!((code, &value["witness"]["name"]), (1, &json!("F(x, y)")));
        // Bounds of phi that exclude the truth.
        let claim = file("phi.json", r#"{"x": 1, "y": 0.957504, "phi": {"optimistic": {"lower": 0.8, "upper": 0.9}}}"#);
        let (code, value) = verify("mirrlees.toml", &claim, &[]);
        assert_eq!((code, &value["witness"]["name"]), (1, &json!("phi_o(x)")));
    }

    #[test]
    fn a_pessimistic_point_is_judged_by_the_worst_answer() {
        let point = file("tie.json", r#"{"x": 1, "y": 0.957504}"#);
        let (code, value) = verify("mirrlees.toml", &point, &["--attitude", "pessimistic"]);
        assert_eq!((code, &value["witness"]["kind"]), (1, &json!("worse answer")));
        assert!(value["witness"]["upper"].as_f64().is_some_and(|upper| (upper - 4.8318).abs() < 1e-3));
        // The attitude may come with the point; at the worst answer nothing is wrong.
        let worst = file("worst.json", r#"{"attitude": "pessimistic", "x": 1, "y": -0.957504}"#);
        let (code, value) = verify("mirrlees.toml", &worst, &[]);
        assert_eq!((code, &value["attitude"]), (0, &json!("pessimistic")));
        assert_ne!(value["verdict"], "refuted");
    }

    #[test]
    fn bad_points_are_bad_input() {
        for (k, text) in [
            "no json",
            r#"{"x": 1}"#,
            r#"{"x": [1, 2], "y": 0}"#,
            r#"{"x": {"z": 1}, "y": 0}"#,
            r#"{"x": "one", "y": 0}"#,
            r#"{"x": 1, "y": {"y": [0.1, 0.2]}}"#,
            "[1, 2]",
            r#"{"solutions": []}"#,
            r#"{"x": 1, "y": 0, "attitude": "hopeful"}"#,
        ]
        .into_iter()
        .enumerate()
        {
            let point = file(&format!("bad{k}.json"), text);
            let output =
                run(&["verify", problem("mirrlees.toml").to_str().unwrap_or(""), point.to_str().unwrap_or("")]);
            assert_eq!(output.status.code(), Some(2), "{text}");
            assert!(
                String::from_utf8_lossy(&output.stderr).starts_with("error:") && output.stdout.is_empty(),
                "{text}"
            );
        }
    }

    #[test]
    fn what_solve_prints_can_be_verified_and_the_global_optimum_is_proved() {
        let path = problem("mirrlees.toml");
        let path = path.to_str().unwrap_or("");
        let output = run(&["solve", path, "--global", "--gap", "1e-3", "--json", "--quiet"]);
        assert_eq!(output.status.code(), Some(0));
        let solved: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        assert_eq!(solved["status"], "optimal");
        let (bound, upper) = (solved["global_bound"].as_f64(), solved["upper"].as_f64());
        assert!(solved["gap"].as_f64().is_some_and(|gap| gap <= 1e-3));
        assert!(bound.zip(upper).is_some_and(|(bound, upper)| bound <= 1.0018060 && upper < 1.0018061 && bound > 1.0));
        let saved = file("solved.json", &String::from_utf8_lossy(&output.stdout));
        let (code, value) = verify("mirrlees.toml", &saved, &[]);
        assert_eq!((code, &value["verdict"]), (0, &json!("verified")));
    }

    #[test]
    fn problems_without_a_feasible_point_are_proved_infeasible() {
        for name in ["bolib/MitsosBarton2006Ex32.toml", "basblib/mb_2007_02.toml"] {
            for more in [&[][..], &["--global"]] {
                let path = problem(name);
                let mut arguments = vec!["solve", path.to_str().unwrap_or(""), "--json", "--quiet"];
                arguments.extend(more);
                let output = run(&arguments);
                let value: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
                assert_eq!((output.status.code(), &value["status"]), (Some(1), &json!("infeasible")), "{name}");
                assert_eq!(
                    (&value["global_bound"], &value["certificate"]["global"]["rigor"]),
                    (&json!("inf"), &json!("proved"))
                );
            }
        }
    }

    #[test]
    fn a_gap_that_is_not_reached_is_said() {
        let path = problem("bolib/SinhaMaloDeb2014TP7.toml");
        let path = path.to_str().unwrap_or("");
        let output = run(&["solve", path, "--global", "--budget", "100", "--json", "--quiet"]);
        let value: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        assert_eq!(output.status.code(), Some(1), "{value}");
        assert_ne!(value["status"], "optimal");
        assert!(value["global_bound"].as_f64().is_some_and(|bound| bound < -1.9607) || value["global_bound"] == "-inf");
        assert_eq!(run(&["solve", path, "--gap", "0.1"]).status.code(), Some(2), "--gap belongs to --global");
        assert_eq!(run(&["solve", path, "--global", "--gap", "-1"]).status.code(), Some(2));
    }
}
