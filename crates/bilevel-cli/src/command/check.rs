//! `bilevel check FILE`.

use std::fmt::Write as _;
use std::path::PathBuf;

use bilevel::certificate::{self, TheorySettings};
use bilevel::expr::structure::Convexity;
use bilevel::problem::{Attitude, Problem, Side};
use bilevel::solve::{Analysis, DerivativeCheck, FollowerConvexity, Options, check_derivatives, phi_is_default};
use bilevel::upper::Method;

use super::consistency;
use crate::options::RunOptions;
use crate::place::place;
use crate::{Failure, deliver, report};

/// What `check` takes.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The problem file.
    file: PathBuf,
    /// Follows gradients of the smoothed value function to a point and compares them with the subdifferential there.
    #[arg(long)]
    gradient_consistency: bool,
    /// The leader's point for it: `name=1.5` or `name=[1, 2]`, may be repeated; the rest is taken from the start.
    #[arg(long, value_name = "NAME=VALUE", requires = "gradient_consistency")]
    at: Vec<String>,
    #[command(flatten)]
    options: RunOptions,
    /// Overrides an entry of the file; may be repeated.
    #[arg(long = "set", value_name = "TABLE.KEY=VALUE")]
    overrides: Vec<String>,
}

/// Derivatives that differ by more than this, relative to their size, are reported as wrong.
const DERIVATIVES: f64 = 1e-5;

/// Reads the file, prints what is known of the problem, and returns the exit code.
pub fn run(arguments: &Arguments) -> Result<u8, Failure> {
    let file = bilevel_format::load(&arguments.file, &arguments.overrides)?;
    let problem = &file.problem;
    let analysis = Analysis::new(problem);
    let mut out = String::new();
    line(&mut out, "problem", if problem.name().is_empty() { "(no name)" } else { problem.name() });
    side(&mut out, "leader", problem.leader());
    side(&mut out, "follower", problem.follower());
    structure(&mut out, problem, &analysis);
    let region = TheorySettings::around_start(problem);
    for (label, text) in report::theory::lines(&certificate::theory(problem, &analysis.levels, &region)) {
        line(&mut out, label, &text);
    }
    let fine = derivatives(&mut out, &check_derivatives(problem));
    let consistent = !arguments.gradient_consistency || {
        let x = place(problem, &arguments.at)?;
        let options = arguments.options.resolve(&file.options, Attitude::Optimistic)?;
        consistency::section(&mut out, problem, &x, &options)
    };
    deliver(&out, None)?;
    Ok(if fine && consistent { 0 } else { 1 })
}

fn side(out: &mut String, name: &str, side: &Side) {
    let names: Vec<String> = side.blocks.iter().map(|block| format!("{} ({})", block.name, block.shape)).collect();
    let rows: usize = side.constraints.iter().map(bilevel::problem::Constraint::len).sum();
    let variables = if names.is_empty() { "no variables".to_string() } else { names.join(", ") };
    line(out, name, &format!("{variables}; {rows} constraint rows beside the sets"));
}

fn structure(out: &mut String, problem: &Problem, analysis: &Analysis) {
    let smooth = |yes| if yes { "smooth" } else { "nonsmooth" };
    line(out, "leader's F", smooth(analysis.leader_smooth));
    let exact = match (&analysis.levels.exact_follower, analysis.smooth) {
        (_, true) => "smooth in y",
        _ if analysis.levels.follower.composite.is_some() => {
            "nonsmooth in y; solved exactly, as a smooth part and norms"
        }
        _ if analysis.levels.follower.branches.is_some() => "nonsmooth in y; powers below 1, solved support by support",
        (Some(_), false) => "nonsmooth in y; solved exactly in epigraph form",
        (None, false) => "nonsmooth in y, not in epigraph form: solved with smoothing",
    };
    line(out, "follower's f", exact);
    let convexity = match &analysis.convexity {
        FollowerConvexity::Structure => "convex in y by composition rules, for every x in X".to_string(),
        FollowerConvexity::Unknown => match analysis.sampled_convexity(problem) {
            Convexity::Refuted { witness } => format!(
                "not convex in y: midpoint inequality broken by {:.1e} between y = {:?} and {:?} at x = {:?}",
                witness.excess, witness.a, witness.b, witness.x
            ),
            Convexity::Sampled | Convexity::Proved => {
                "not known to be convex in y: rules are silent, samples found no counterexample (sampled only)"
                    .to_string()
            }
            Convexity::Unknown => "not known to be convex in y: rules are silent, sampling gave no answer".to_string(),
        },
    };
    line(out, "", &convexity);
    let coupled = |yes, what: &str| format!("{what}: {}", if yes { "yes" } else { "no" });
    line(
        out,
        "coupling",
        &format!(
            "{}; {}",
            coupled(analysis.coupled_lower, "follower's constraints depend on x"),
            coupled(analysis.coupled_upper, "leader's constraints depend on y")
        ),
    );
    line(out, "theory", &theory(analysis));
    let model =
        if analysis.levels.convex { "quadratic regularisation of v" } else { "v by a pool of local minimisers" };
    let method = match Options::default().stages(problem.n() + problem.m()) {
        Method::Sqp => "smoothed-value: SQP",
        Method::AugmentedLagrangian => "augmented-lagrangian: no dense matrices",
        Method::ProjectedGradient => "projected-gradient",
    };
    let text = if phi_is_default(problem, analysis) {
        format!("quasi-newton on phi_o, from many starts; where that does not end stationary, {method} with {model}")
    } else {
        format!("{method}; {model}, mu and epsilon going to 0, then the finishing step")
    };
    line(out, "method", &text);
}

/// Which theorem covers the value model, and what of it is only assumed.
fn theory(analysis: &Analysis) -> String {
    if analysis.coupled_lower {
        return "follower constraints depend on x: outside the theorems; multipliers give the gradient of v"
            .to_string();
    }
    if !analysis.levels.convex {
        return "follower not known to be convex: v is a multistart estimate, no theorem applies".to_string();
    }
    "Prop. 3.4 and Thm. 3.9 of Alcantara & Takeda (2025); level-boundedness of f in y is assumed, not checked"
        .to_string()
}

fn derivatives(out: &mut String, checks: &[DerivativeCheck]) -> bool {
    let mut fine = true;
    for check in checks {
        let text = match check.error {
            Some(error) if error <= DERIVATIVES => format!("agree with differences to {error:.1e}"),
            Some(error) => {
                fine = false;
                format!("DIFFER from differences by {error:.1e} at the start: a kink there, or a wrong derivative")
            }
            None => "not defined at the start".to_string(),
        };
        line(out, "derivatives", &format!("{}: {text}", check.function));
    }
    fine
}

pub(super) fn line(out: &mut String, label: &str, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{label:<13} {text}");
}
