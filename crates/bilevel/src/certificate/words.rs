//! What a certificate says, in the user's names and sense.

use super::FollowerCheck;
use crate::expr::Level;
use crate::problem::{Attitude, Block, NamedValues, Problem};
use crate::proof::check::{PointProof, Witness as Found};
use crate::proof::follower::FollowerProof;
use crate::proof::minimum::{Ended, Tier};
use crate::proof::problem::Formulas;
use crate::solution::{Certificate, Rigor, Verdict, Witness};

/// The witness of a proof, in the user's names and sense.
pub fn witness(problem: &Problem, formulas: &Formulas, proof: &PointProof) -> Option<Witness> {
    let found = proof.witness.as_ref()?;
    Some(match found {
        Found::Constraint { level, index, value } => {
            let roots = if *level == Level::Leader { &formulas.leader } else { &formulas.follower };
            let constraint = roots.labels.get(*index).cloned().unwrap_or_default();
            Witness::Violation { level: name(*level), constraint, by: value.mig() }
        }
        Found::Bound { level, by } => {
            Witness::Violation { level: name(*level), constraint: "the bounds of the variables".to_string(), by: *by }
        }
        Found::Undefined { level } => Witness::Undefined { level: name(*level) },
        Found::Better { answer, tier } => {
            let f = proof.follower.objective.map_or(f64::NAN, |f| f.lo());
            let rigor = match tier {
                Tier::Within => Rigor::Conditional(vec!["delta".to_string()]),
                Tier::Strict | Tier::Existence => Rigor::Proved,
            };
            let feasible = match tier {
                Tier::Within => format!("feasible within {:.1e}, as the point is", answer.violation),
                other => tier_in_words(*other).to_string(),
            };
            Witness::Better {
                y: NamedValues::new(&problem.follower().blocks, &answer.point),
                lower: problem.follower().sense.apply(answer.value.hi()),
                by: f - answer.value.hi(),
                feasible,
                rigor,
            }
        }
        Found::Worse { answer } => Witness::Worse {
            y: NamedValues::new(&problem.follower().blocks, &answer.point),
            upper: problem.leader().sense.apply(answer.value.lo()),
            by: proof.upper.map_or(f64::NAN, |upper| answer.value.lo() - upper.hi()),
        },
    })
}

fn name(level: Level) -> &'static str {
    match level {
        Level::Leader => "leader",
        Level::Follower => "follower",
    }
}

fn tier_in_words(tier: Tier) -> &'static str {
    match tier {
        Tier::Strict => "strictly feasible",
        Tier::Existence => "proved to be next to an exactly feasible answer",
        Tier::Within => "feasible within delta",
    }
}

/// The name of the follower's (or leader's) `index`-th scalar variable, such as `y[2]`.
pub fn variable(blocks: &[Block], index: usize) -> String {
    let block = blocks.iter().find(|b| (b.offset..b.offset + b.shape.len()).contains(&index));
    match block {
        Some(b) if b.shape.len() == 1 => b.name.clone(),
        Some(b) => format!("{}[{}]", b.name, index - b.offset),
        None => format!("variable {index}"),
    }
}

/// Ten decimals; what rounds to minus zero is zero.
fn ten(value: f64) -> String {
    let text = format!("{value:.10}");
    text.strip_prefix('-').filter(|rest| *rest == "0.0000000000").map_or(text.clone(), str::to_string)
}

/// The verdict and everything under it, one statement a line.
pub fn statements(
    problem: &Problem,
    formulas: Option<&Formulas>,
    proof: Option<&PointProof>,
    search: Option<&FollowerCheck>,
    attitude: Attitude,
    certificate: &Certificate,
) -> Vec<String> {
    let mut lines = Vec::new();
    match proof {
        Some(proof) => {
            lines.push(
                "proved in outward-rounded arithmetic (the mathematical library is assumed to be within 4 ulp), for the \
                 numbers x and y as given:"
                    .to_string(),
            );
            about_proof(problem, proof, &mut lines);
        }
        None if formulas.is_none() => {
            lines.push("nothing is proved: a function is code or too large; what follows is estimated".to_string());
        }
        None => lines.push("nothing is proved of a point with entries that are not finite".to_string()),
    }
    let proved = certificate.follower_gap.as_ref().is_some_and(|gap| gap.rigor != Rigor::Estimated);
    if let (Some(search), false) = (search, proved) {
        lines.push(format!(
            "estimated ({}): no better answer than by {:.1e} was found",
            search.by,
            search.gap.max(0.0)
        ));
    }
    if let (Attitude::Pessimistic, Some(proof)) = (attitude, proof)
        && proof.hyper.is_none()
        && certificate.verdict != Some(Verdict::Refuted)
    {
        lines.push("whether y is the worst answer for the leader could not be bounded".to_string());
    }
    lines.extend(certificate.witness.as_ref().map(refuted));
    lines
}

fn about_proof(problem: &Problem, proof: &PointProof, lines: &mut Vec<String>) {
    let follower = &proof.follower;
    let within = |violation: f64| match violation {
        v if v <= 0.0 => "exactly".to_string(),
        v => format!("within {v:.1e}"),
    };
    lines.push(format!(
        "the leader's constraints hold {}, the follower's {}",
        within(proof.leader_violation),
        within(follower.violation)
    ));
    lines.push(about_gap(problem, follower));
    if follower.bound.ended == Ended::Budget && !follower.empty {
        lines.push("the search for better answers stopped at its budget".to_string());
    }
    let names = &problem.follower().blocks;
    if let Some(ray) = &follower.ray {
        let list: Vec<_> = ray
            .direction
            .iter()
            .enumerate()
            .filter(|(_, d)| **d != 0.0)
            .map(|(j, d)| format!("{} by {d}", variable(names, j)))
            .collect();
        let text = "the follower has no optimal answer at this x: its objective falls without end along a ray";
        lines.push(format!("{text} ({})", list.join(", ")));
        return;
    }
    for &j in &follower.on_artificial_face {
        let name = variable(names, j);
        lines.push(format!("the best answer found is at the artificial end of {name}: the follower may be unbounded"));
    }
    if !follower.empty {
        let tier = follower.best_answer().map_or("none was found", |(tier, _)| tier_in_words(tier));
        lines.push(format!("a feasible answer of the follower: {tier}"));
    }
    let Some(hyper) = &proof.hyper else { return };
    let sense = problem.leader().sense;
    let (worse, better) = if sense == crate::problem::Sense::Minimize { (">=", "<=") } else { ("<=", ">=") };
    let mut place = String::new();
    if !hyper.artificial.is_empty() {
        let list: Vec<_> = hyper.artificial.iter().map(|&j| variable(names, j)).collect();
        place = format!(", in a box that is artificial in {}", list.join(", "));
    }
    if hyper.delta > 0.0 {
        place.push_str(&format!(", for constraints relaxed by {:.0e}", hyper.delta));
    }
    lines.push(format!(
        "phi_o(x) {worse} {}, phi_p(x) {better} {}{place}",
        ten(sense.apply(hyper.optimistic_lower)),
        ten(sense.apply(hyper.pessimistic_upper))
    ));
    let by = hyper.undecided_by();
    if by > 1e-2 {
        let width = hyper.eta + hyper.eta_error;
        lines.push(format!("undecided: answers within {width:.1e} of the best differ by {by:.6} in F"));
    }
}

fn about_gap(problem: &Problem, follower: &FollowerProof) -> String {
    if follower.ray.is_some() {
        return "the follower's optimal value is minus infinity (plus infinity for a maximum)".to_string();
    }
    if follower.empty {
        return "the follower has no feasible answer at exactly this x".to_string();
    }
    let mut place = String::new();
    if !follower.artificial.is_empty() {
        let list: Vec<_> = follower
            .artificial
            .iter()
            .map(|&j| {
                let z = follower.domain[j];
                format!("{} in [{:.6}, {:.6}]", variable(&problem.follower().blocks, j), z.lo(), z.hi())
            })
            .collect();
        place = format!(" in the artificial box {}", list.join(", "));
    }
    match (follower.gap(), follower.objective) {
        (Some(gap), Some(f)) if gap.is_finite() => {
            let sense = problem.follower().sense;
            format!(
                "no feasible answer of the follower{place} is better than y by more than {gap:.1e}: v(x) {} {}",
                if sense == crate::problem::Sense::Minimize { ">=" } else { "<=" },
                ten(sense.apply(f.lo() - gap))
            )
        }
        (_, None) => "the follower's objective is not defined at the point".to_string(),
        _ => "no bound of the follower's optimal value was proved".to_string(),
    }
}

fn refuted(witness: &Witness) -> String {
    let at = |y: &NamedValues| {
        let entries = y.0.iter().map(|(name, values)| match values.as_slice() {
            [one] => format!("{name} = {one}"),
            many => format!("{name} = {many:?}"),
        });
        entries.collect::<Vec<_>>().join(", ")
    };
    match witness {
        Witness::Violation { level, constraint, by } => {
            format!("refuted: the {level}'s `{constraint}` is violated by {by:.3e}")
        }
        Witness::Undefined { level } => format!("refuted: a function of the {level} is undefined here"),
        Witness::Better { y, lower, by, feasible, rigor } => format!(
            "refuted ({}): the follower does better by {by:.3e} with {} ({feasible}), f = {}",
            rigor.name(),
            at(y),
            ten(*lower)
        ),
        Witness::Worse { y, upper, by } => format!(
            "refuted: {} is as good for the follower (within 1e-10) and worse for the leader by {by:.3e}, F = {}",
            at(y),
            ten(*upper)
        ),
        Witness::Claim { name, claimed, computed } => {
            format!("refuted: {name} is claimed to be {claimed}, and is {computed}")
        }
    }
}

/// A claim that fails, in words.
pub fn refuted_claim(witness: &Witness) -> String {
    refuted(witness)
}
