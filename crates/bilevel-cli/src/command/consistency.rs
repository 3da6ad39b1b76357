//! The section of `check --gradient-consistency`.

use std::fmt::Write as _;

use bilevel::solve::{ConsistencyCheck, Options, check_consistency};

use super::check::line;
use bilevel::problem::Problem;

/// Writes the section; returns whether the model of v is consistent at `x` as far as was seen.
pub fn section(out: &mut String, problem: &Problem, x: &[f64], options: &Options) -> bool {
    let _ = writeln!(out, "\ngradient consistency at x = {}", numbers(x));
    match check_consistency(problem, x, options) {
        Ok(check) => print(out, &check),
        Err(status) => {
            line(out, "value", &format!("v has no value there: the follower's problem is {status:?}").to_lowercase());
            false
        }
    }
}

fn print(out: &mut String, check: &ConsistencyCheck) -> bool {
    let found = &check.subdifferential;
    line(out, "v(x)", &format!("{} (multistart), {} answers found", found.value, found.minimisers.len()));
    line(out, "dv(x)", &format!("{} generators; {}", found.generators.len(), found.case.describe()));
    for generator in found.generators.iter().take(SHOWN) {
        line(out, "", &format!("{} from answer {}", numbers(&generator.gradient), generator.minimiser + 1));
    }
    let consistency = &check.consistency;
    let verdict = match (consistency.passed(), found.case.is_equality()) {
        (true, true) => "all limits of gradients are in dv(x) (sampled sequences, no proof)",
        (true, false) => {
            "all limits of gradients are in an outer estimate of dv(x), which proves less than consistency"
        }
        (false, _) if consistency.refusals > 0 => "not decided: the model gave no value at some points",
        (false, _) => "NOT CONSISTENT: gradients stay away from dv(x)",
    };
    line(out, "model", &format!("{}: {verdict}", check.model));
    let limit = (consistency.limit, consistency.tolerance);
    line(out, "limit", &format!("largest distance {:.1e}, up to {:.1e} counts as arrived", limit.0, limit.1));
    if let Some(worst) = consistency.worst() {
        let steps: Vec<String> = worst.distances.iter().map(|(mu, d)| format!("mu {mu:.0e}: {d:.1e}")).collect();
        let text = format!("x + {} mu {}: {}", worst.rate, numbers(&worst.direction), steps.join(", "));
        line(out, "farthest", &text);
    }
    for hypothesis in &check.hypotheses {
        let text = format!("{} (Thm. {})", hypothesis.statement, hypothesis.theorems);
        line(out, hypothesis.holds.name(), &text);
    }
    consistency.passed()
}

/// Generators and entries shown.
const SHOWN: usize = 8;

fn numbers(values: &[f64]) -> String {
    let shown: Vec<String> = values.iter().take(SHOWN).map(|v| format!("{v:.6}")).collect();
    format!("[{}{}]", shown.join(", "), if values.len() > SHOWN { ", ..." } else { "" })
}
