//! `--at NAME=VALUE`: a point of the leader's variables.

use anyhow::anyhow;
use bilevel::problem::Problem;
use bilevel::set::ConvexSet as _;

/// The leader's decision: the start, or the point of X nearest to 0, with the entries that are named replaced.
pub fn place(problem: &Problem, settings: &[String]) -> anyhow::Result<Vec<f64>> {
    let mut x = vec![0.0; problem.n()];
    match problem.start() {
        Some((start, _)) => x.copy_from_slice(start),
        None => problem.leader().set.project(&vec![0.0; problem.n()], &mut x),
    }
    let mut named: Vec<&str> = Vec::new();
    for setting in settings {
        let (name, text) =
            setting.split_once('=').ok_or_else(|| anyhow!("--at {setting}: expected NAME=VALUE, such as x=1.0"))?;
        let name = name.trim();
        let block = problem.leader().blocks.iter().find(|b| b.name == name).ok_or_else(|| unknown(problem, name))?;
        if named.contains(&name) {
            return Err(anyhow!("--at: `{name}` is given twice"));
        }
        named.push(name);
        let values = numbers(text).ok_or_else(|| {
            anyhow!("--at {name}: `{}` is neither a finite number nor a list of them such as [1, 2]", text.trim())
        })?;
        let (given, needed) = (values.len(), block.shape.len());
        let single = !text.trim().starts_with('[');
        if given != needed && !single {
            return Err(anyhow!("--at {name}: {given} numbers are given, `{name}` has {needed}"));
        }
        for (k, entry) in x.iter_mut().skip(block.offset).take(needed).enumerate() {
            // A single number fills a vector, as in [start].
            *entry = values.get(if single { 0 } else { k }).copied().unwrap_or(f64::NAN);
        }
    }
    Ok(x)
}

/// A number, or a list of numbers in brackets.
fn numbers(text: &str) -> Option<Vec<f64>> {
    let text = text.trim();
    let items: Vec<&str> = match text.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.split(',').collect(),
        None => vec![text],
    };
    let values: Option<Vec<f64>> = items.iter().map(|item| item.trim().parse().ok()).collect();
    values.filter(|values| values.iter().all(|v| v.is_finite()))
}

fn unknown(problem: &Problem, name: &str) -> anyhow::Error {
    if problem.follower().blocks.iter().any(|b| b.name == name) {
        return anyhow!(
            "--at: `{name}` is the follower's; only the leader's variables can be set, the follower answers"
        );
    }
    let names: Vec<String> = problem.leader().blocks.iter().map(|b| format!("`{}`", b.name)).collect();
    if names.is_empty() {
        return anyhow!("--at: there is no variable `{name}`; this problem has no leader's variables");
    }
    anyhow!("--at: there is no leader's variable `{name}`; the leader's variables are {}", names.join(", "))
}
