//! The options of a run: the command line's over the file's over the defaults.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bilevel::problem::{Attitude, Problem};
use bilevel::set::ConvexSet as _;
use bilevel::smooth;
use bilevel::solve::{METHODS, Options};
use bilevel::value::ValueKind;
use bilevel_format::FileOptions;

use crate::Failure;

/// Options that every run understands.
#[derive(Debug, clap::Args)]
pub struct RunOptions {
    /// What the leader expects of an undecided follower: optimistic, pessimistic or both.
    #[arg(long, value_parser = ["optimistic", "pessimistic", "both"])]
    attitude: Option<String>,
    /// The method; without it one is chosen.
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// The smoothing family of nonsmooth functions.
    #[arg(long, value_name = "NAME")]
    smoothing: Option<String>,
    /// The model of the value function: quadratic, pool, soft-pool, entropic, barrier or moreau; without it one is chosen.
    #[arg(long, value_name = "NAME", value_parser = ValueKind::ALL.map(ValueKind::name))]
    value_model: Option<String>,
    /// By how much the follower's answer may miss its optimum.
    #[arg(long, value_name = "ETA")]
    follower_tolerance: Option<f64>,
    /// Largest stationarity residual of a solved problem.
    #[arg(long)]
    tolerance: Option<f64>,
    /// Seed of everything random.
    #[arg(long)]
    seed: Option<u64>,
    /// Number of starts.
    #[arg(long, value_name = "N")]
    starts: Option<usize>,
    /// Largest number of lower solves.
    #[arg(long, value_name = "N")]
    budget: Option<u64>,
    /// Threads; 0 means one per processor.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Seconds after which the run ends with the best point so far.
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<f64>,
}

impl RunOptions {
    /// The attitudes asked for.
    pub fn attitudes(&self, file: &FileOptions) -> Result<Vec<Attitude>, Failure> {
        match self.attitude.as_deref().or_else(|| file.text("attitude")) {
            Some("both") => Ok(vec![Attitude::Optimistic, Attitude::Pessimistic]),
            Some("pessimistic") => Ok(vec![Attitude::Pessimistic]),
            _ => Ok(vec![Attitude::Optimistic]),
        }
    }

    /// The attitudes asked for on the command line, if any.
    pub fn given_attitudes(&self) -> Result<Option<Vec<Attitude>>, Failure> {
        self.attitude.as_ref().map(|_| self.attitudes(&FileOptions::default())).transpose()
    }

    /// The options of one run.
    ///
    /// # Errors
    /// An unknown name, or a number out of its range, at its place in the file where it stands there.
    pub fn resolve(&self, file: &FileOptions, attitude: Attitude) -> Result<Options, Failure> {
        let mut options = Options { attitude, ..Options::default() };
        options.method = self.method(file)?;
        if let Some(name) = self.smoothing.as_deref().or_else(|| file.text("smoothing")) {
            options.smoothing = smooth::by_name(name).ok_or_else(|| unknown_smoothing(self, file, name))?;
        }
        let value_model = self.value_model.as_deref().or_else(|| file.text("value_model"));
        options.value_model = value_model.and_then(ValueKind::by_name);
        let number = |own: Option<f64>, key: &str| own.or_else(|| file.number(key));
        if let Some(eta) = number(self.follower_tolerance, "follower_tolerance") {
            options.follower_tolerance = checked("follower-tolerance", eta, eta >= 0.0)?;
        }
        if let Some(tolerance) = number(self.tolerance, "tolerance") {
            options.tolerance = checked("tolerance", tolerance, tolerance > 0.0)?;
        }
        if let Some(seconds) = number(self.time_limit, "time_limit") {
            let seconds = checked("time-limit", seconds, seconds > 0.0)?;
            options.time_limit = Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
        }
        if let Some(gap) = number(None, "gap") {
            options.gap = checked("gap", gap, gap > 0.0)?;
        }
        let count = |own: Option<u64>, key: &str| own.or_else(|| file.count(key));
        if let Some(seed) = count(self.seed, "seed") {
            options.seed = seed;
        }
        if let Some(budget) = count(self.budget, "budget") {
            options.budget = budget;
            checked("budget", budget as f64, budget > 0)?;
        }
        if let Some(starts) = count(self.starts.map(|n| n as u64), "starts") {
            options.starts = usize::try_from(starts).unwrap_or(usize::MAX);
            checked("starts", starts as f64, starts > 0)?;
        }
        if let Some(threads) = count(self.threads.map(|n| n as u64), "threads") {
            options.threads = threads as usize;
        }
        Ok(options)
    }
}

impl RunOptions {
    /// The method asked for, if there is one of that name.
    fn method(&self, file: &FileOptions) -> Result<Option<String>, Failure> {
        let Some(name) = self.method.as_deref().or_else(|| file.text("method")) else { return Ok(None) };
        if METHODS.contains(&name) {
            return Ok(Some(name.to_string()));
        }
        let (message, help) = (format!("there is no method `{name}`"), format!("methods: {}", METHODS.join(", ")));
        Err(match &self.method {
            Some(_) => anyhow!("--method: {message}; {help}").into(),
            None => file.mistake("method", message, help).into(),
        })
    }
}

fn checked(name: &str, value: f64, fine: bool) -> Result<f64, Failure> {
    if fine && value.is_finite() { Ok(value) } else { Err(anyhow!("--{name}: {value} is out of range").into()) }
}

fn unknown_smoothing(own: &RunOptions, file: &FileOptions, name: &str) -> Failure {
    let names: Vec<&str> = smooth::names().collect();
    let help = format!("families: {}", names.join(", "));
    if own.smoothing.is_some() {
        anyhow!("--smoothing: there is no family `{name}`; {help}").into()
    } else {
        file.mistake("smoothing", format!("there is no smoothing family `{name}`"), help).into()
    }
}

/// The problem, started from the point in a JSON file; `x` alone is enough.
///
/// # Errors
/// A file that cannot be read, is no JSON, or does not have the problem's variables.
pub fn with_start(problem: Problem, path: &Path) -> Result<Problem, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let point: serde_json::Value = serde_json::from_str(&text).with_context(|| format!("{shown} is no JSON"))?;
    let read = |key, blocks| crate::point::level(&point, key, blocks).with_context(|| shown.to_string());
    let x = read("x", &problem.leader().blocks)?;
    let y = match point.get("y") {
        None | Some(serde_json::Value::Null) => usual_answer(&problem),
        Some(_) => read("y", &problem.follower().blocks)?,
    };
    Ok(problem.with_start(&x, &y).map_err(anyhow::Error::from)?)
}

/// y where a start names x alone: that of the problem's own start, or the point of the follower's set nearest to 0.
fn usual_answer(problem: &Problem) -> Vec<f64> {
    if let Some((_, y)) = problem.start() {
        return y.to_vec();
    }
    let mut y = vec![0.0; problem.m()];
    problem.follower().set.project(&vec![0.0; problem.m()], &mut y);
    y
}
