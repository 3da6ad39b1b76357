//! `bilevel solve --start`: a point from a file, whole or the leader's part alone.

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::Command;

    use serde_json::Value;

    /// phi = -1 for x <= 0, where a single start stays, and -2 for x >= 1.
    fn from(start: &str, name: &str) -> (Option<i32>, Value) {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&file, start).unwrap();
        let problem = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../problems/hyper/example1.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bilevel"));
        command.arg("solve").arg(problem).args(["--json", "--quiet", "--starts", "1", "--start"]).arg(file);
        let output = command.output().unwrap();
        (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    #[test]
    fn x_alone_is_a_start_and_counts() {
        for (x, value) in [(-0.5, -1.0), (0.5, -2.0)] {
            let (code, solution) = from(&format!("{{\"x\": {{\"x\": {x}}}}}"), &format!("start_{value}.json"));
            assert_eq!(code, Some(0));
            assert!((solution["upper"].as_f64().unwrap() - value).abs() < 1e-6, "{solution}");
        }
    }

    #[test]
    fn a_wrong_y_is_a_mistake() {
        assert_eq!(from("{\"x\": [0.5], \"y\": [1]}", "start_short.json").0, Some(2));
        assert_eq!(from("{\"y\": [1, 1]}", "start_no_x.json").0, Some(2));
    }
}
