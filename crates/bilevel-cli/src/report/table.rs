//! A solution as a small table for people.

use std::fmt::Write as _;

use bilevel::problem::{Attitude, NamedValues};
use bilevel::solution::{Certificate, Measured, Multipliers, Rigor, Solution, Verdict};
use bilevel_format::Known;

/// Entries of a vector shown before it is cut.
const SHOWN: usize = 8;
/// Multipliers up to this are not shown.
const NOTHING: f64 = 1e-9;

/// The text to print for one or several solutions of a problem.
///
/// `others` are the values of the other attitude at the same x, where they are wanted.
pub fn solutions(solutions: &[Solution], others: &[Option<f64>], known: &Known) -> String {
    let table = |(k, s): (usize, &Solution)| {
        let mut out = solution(s, known);
        if let Some(value) = others.get(k).copied().flatten() {
            let label = match s.attitude {
                Attitude::Optimistic => "worst case here",
                Attitude::Pessimistic => "best case here",
            };
            line(&mut out, label, &number(value));
        }
        out
    };
    let tables: Vec<String> = solutions.iter().enumerate().map(table).collect();
    tables.join("\n")
}

/// The text to print for one or several points that were verified.
pub fn verdicts(solutions: &[Solution], known: &Known) -> String {
    let tables: Vec<String> = solutions.iter().map(|s| verdict(s, known)).collect();
    tables.join("\n")
}

fn verdict(solution: &Solution, known: &Known) -> String {
    let mut out = String::new();
    let verdict = solution.certificate.verdict.map_or("consistent", Verdict::name);
    line(&mut out, title(solution), &format!("{verdict} ({})", attitude(solution.attitude)));
    for statement in &solution.certificate.statements {
        line(&mut out, "", statement);
    }
    point(&mut out, solution, known);
    out
}

fn title(solution: &Solution) -> &str {
    if solution.problem.is_empty() { "problem" } else { &solution.problem }
}

fn attitude(attitude: Attitude) -> &'static str {
    match attitude {
        Attitude::Optimistic => "optimistic",
        Attitude::Pessimistic => "pessimistic",
    }
}

fn solution(solution: &Solution, known: &Known) -> String {
    let mut out = String::new();
    line(&mut out, title(solution), &format!("{} ({})", solution.status.name(), attitude(solution.attitude)));
    line(&mut out, "", &solution.message);
    if !solution.status.advice().is_empty() {
        line(&mut out, "", solution.status.advice());
    }
    point(&mut out, solution, known);
    out
}

/// The point, its values, its certificate and the work.
fn point(out: &mut String, solution: &Solution, known: &Known) {
    variables(out, solution.x.as_ref());
    variables(out, solution.y.as_ref());
    if let Some(upper) = solution.upper {
        let target = match (known.upper, solution.attitude) {
            (Some(target), Attitude::Optimistic) => format!("   (known: {target})"),
            _ => String::new(),
        };
        line(out, "F", &format!("{}{target}", number(upper)));
    }
    if let Some(global) = &solution.certificate.global {
        let gap = global.gap.map_or(String::new(), |gap| format!(", gap {}", small(gap)));
        let text = format!("{}{gap}   {}, {} boxes", number(global.bound), global.rigor.name(), global.nodes);
        line(out, "global bound", &text);
    }
    if let Some(lower) = solution.lower {
        line(out, "f", &number(lower));
    }
    multipliers(out, &solution.multipliers);
    certificate(out, &solution.certificate);
    let work = &solution.work;
    let seconds =
        if work.seconds < 1.0 { format!("{:.0} ms", 1e3 * work.seconds) } else { format!("{:.1} s", work.seconds) };
    line(out, "work", &format!("{} lower solves, {seconds}", work.lower_solves));
}

/// The multipliers that are not zero, a line each, as far as they are few; and the remarks.
fn multipliers(out: &mut String, multipliers: &Multipliers) {
    for (level, values) in [("leader", &multipliers.leader), ("follower", &multipliers.follower)] {
        let present: Vec<_> = values.0.iter().filter(|(_, v)| v.iter().any(|u| u.abs() > NOTHING)).collect();
        for (name, entries) in present.iter().take(SHOWN) {
            line(out, "multiplier", &format!("{} of the {level}'s {name}", folded(entries)));
        }
        if present.len() > SHOWN {
            line(out, "", &format!("… and of {} more of the {level}'s constraints", present.len() - SHOWN));
        }
    }
    multipliers.remarks.iter().for_each(|remark| line(out, "", remark));
}

fn certificate(out: &mut String, certificate: &Certificate) {
    let mut measured = |label: &str, value: &Option<Measured>| {
        if let Some(m) = value {
            line(out, label, &format!("{}   {}: {}", small(m.value), m.rigor.name(), m.by));
        }
    };
    measured("follower gap", &certificate.follower_gap);
    measured("distance of y", &certificate.follower_distance);
    measured("error of F", &certificate.upper_error);
    if let Some(violation) = certificate.violation {
        line(out, "violation", &format!("{}   computed, relative", small(violation)));
    }
    if let Some(phi) = &certificate.phi {
        for (label, bounds) in [("phi_o", &phi.optimistic), ("phi_p", &phi.pessimistic)] {
            let text = format!("{} to {}   {}", number(bounds.lower), number(bounds.upper), bounds.rigor.name());
            line(out, label, &format!("{text}, eta = {:.0e}", phi.eta));
        }
    }
    if let Some(s) = &certificate.stationarity {
        let on = match &s.rigor {
            Rigor::Conditional(on) => format!(" on {}", on.join(", ")),
            _ => String::new(),
        };
        let within = s.radius.map(|radius| format!(", within {}", small(radius))).unwrap_or_default();
        line(out, "stationarity", &format!("{}   {}{on}: {}{within}", small(s.residual), s.rigor.name(), s.measure));
    }
    if let Some(kkt) = &certificate.kkt {
        let text = format!(
            "residual {}, multiplier {:.3}, at mu = {:.0e}, epsilon = {:.0e}",
            small(kkt.stationarity),
            kkt.multiplier,
            kkt.mu,
            kkt.epsilon
        );
        line(out, "smoothed point", &text);
    }
}

pub(super) fn variables(out: &mut String, values: Option<&NamedValues>) {
    for (name, values) in values.iter().flat_map(|values| &values.0) {
        line(out, name, &folded(values));
    }
}

/// The first entries of a vector.
fn folded(values: &[f64]) -> String {
    let shown: Vec<String> = values.iter().take(SHOWN).map(|&v| number(v)).collect();
    let rest = if values.len() > SHOWN { format!(", … ({} entries)", values.len()) } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

pub(super) fn line(out: &mut String, label: &str, text: &str) {
    let label = if label.chars().count() > 16 && text.contains('(') { format!("{label}:") } else { label.to_string() };
    // Writing to a string cannot fail.
    let _ = writeln!(out, "{label:<16} {text}");
}

/// Seven decimals, or seven digits where the number is very large or small.
pub(super) fn number(value: f64) -> String {
    if value.abs() < 1e-10 {
        "0".to_string()
    } else if (1e-4..1e7).contains(&value.abs()) {
        let text = format!("{value:.7}");
        let trimmed = text.trim_end_matches('0').trim_end_matches('.');
        if trimmed == "-0" { "0".to_string() } else { trimmed.to_string() }
    } else {
        format!("{value:.6e}")
    }
}

/// Two digits of an error.
pub(super) fn small(value: f64) -> String {
    if value == 0.0 { "0".to_string() } else { format!("{value:.1e}") }
}
