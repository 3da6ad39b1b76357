//! `bilevel bench`: what counts as right, broken files, resumption, comparison.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::{Command, Output};

    use serde_json::Value;

    /// y = x, so F = x² + (x - 1)², least 1/2 at x = 1/2.
    const GOOD: &str = "[leader]\nx = 'in [-2, 2]'\n[follower]\ny = 'in [-3, 3]'\n[upper]\nminimize = 'x^2 + (y - 1)^2'\n\
                        [lower]\nminimize = '(y - x)^2'\n[known]\nF = 0.5\ntags = ['easy']\n";

    /// A folder of its own with a right target, a target that cannot be reached, and a file with a mistake.
    fn folder(name: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let below = folder.join("below");
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(folder.join("good.toml"), GOOD).unwrap();
        std::fs::write(below.join("high.toml"), GOOD.replace("F = 0.5", "F = 0.1").replace("'easy'", "'hard'"))
            .unwrap();
        std::fs::write(folder.join("broken.toml"), GOOD.replace("(y - x)^2", "(y - z)^2")).unwrap();
        folder
    }

    fn bench(folder: &Path, more: &[&str]) -> Output {
        let journal = folder.join("journal.jsonl");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bilevel"));
        command.arg("bench").arg(folder).args(["--quiet", "--journal"]).arg(journal).args(more).output().unwrap()
    }

    fn rows(output: &Output) -> Value {
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn row<'a>(all: &'a Value, name: &str) -> &'a Value {
        all["rows"].as_array().unwrap().iter().find(|row| row["name"] == name).unwrap()
    }

    #[test]
    fn rows_say_what_is_right_and_a_broken_file_stops_nothing() {
        let output = bench(&folder("bench_rows"), &["--json", "--jobs", "2"]);
        assert_eq!(output.status.code(), Some(1));
        let all = rows(&output);
        let (good, high, broken) = (row(&all, "good"), row(&all, "below/high"), row(&all, "broken"));
        assert_eq!((&good["status"], &good["right"]), (&Value::from("solved"), &Value::from(true)));
        assert!((good["upper"].as_f64().unwrap() - 0.5).abs() < 1e-6 && good["gap"].as_f64().unwrap() <= 1e-8);
        assert_eq!(good["verdict"], "verified");
        assert_eq!((&high["status"], &high["right"]), (&Value::from("solved"), &Value::from(false)));
        assert_eq!(broken["status"], "bad input");
        assert_eq!((&all["summary"]["all"]["problems"], &all["summary"]["all"]["right"]), (&3.into(), &1.into()));
        assert_eq!(all["summary"]["tags"]["easy"]["right"], 1);
    }

    #[test]
    fn linear_problems_in_mps_files_count_too() {
        let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../problems/mps");
        let journal = folder("bench_mps").join("mps.jsonl");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bilevel"));
        let output = command.arg("bench").arg(samples).args(["--quiet", "--json", "--journal"]).arg(journal).output();
        let all = rows(&output.unwrap());
        // Moore and Bard (1990): x = 8, y = 1.
        assert!((row(&all, "moore_bard")["upper"].as_f64().unwrap() + 18.0).abs() < 1e-4);
        assert_eq!(row(&all, "moore_bard")["verdict"], "verified");
    }

    #[test]
    fn finished_rows_are_kept_and_tags_choose() {
        let folder = folder("bench_resume");
        assert!(bench(&folder, &["--tag", "easy"]).status.success());
        // A row that was finished is taken as it stands, a line that was cut short is not.
        let journal = folder.join("journal.jsonl");
        let text = std::fs::read_to_string(&journal).unwrap().replace("0.5", "0.25");
        std::fs::write(&journal, format!("{text}{{\"name\": \"below/hi")).unwrap();
        let all = rows(&bench(&folder, &["--json", "--resume"]));
        assert_eq!(row(&all, "good")["target"], 0.25);
        assert_eq!(row(&all, "below/high")["status"], "solved");
        let again = rows(&bench(&folder, &["--json"]));
        assert_eq!(row(&again, "good")["target"], 0.5);
    }

    #[test]
    fn runs_are_compared_and_options_passed_on() {
        let folder = folder("bench_compare");
        let old = folder.join("old.json");
        let first = bench(&folder, &["--json", "--", "--budget", "1"]);
        let mut all = rows(&first);
        assert_ne!(row(&all, "good")["status"], "solved");
        all["rows"].as_array_mut().unwrap().retain(|row| row["name"] != "broken");
        std::fs::write(&old, all.to_string()).unwrap();
        let output = bench(&folder, &["--compare", old.to_str().unwrap()]);
        let text = String::from_utf8_lossy(&output.stdout);
        let (better, worse) = text.split_once("better: ").unwrap().1.split_once("worse: ").unwrap();
        assert!(better.contains("good") && !worse.contains("good"), "{text}");
        let missing = bench(&folder, &["--compare", "nowhere.json"]);
        assert_eq!(missing.status.code(), Some(2));
    }
}
