//! A solution as JSON (design: one object, or an array `solutions`); floats in full precision, infinities as strings,
//! what was not computed absent.

use bilevel::problem::{Attitude, NamedValues};
use bilevel::solution::{Certificate, GlobalBound, KktPoint, Measured, Phi, PhiBounds, Rigor, Solution, Witness};
use serde_json::{Map, Value, json};

/// The text to print for one or several solutions; `others` are the values of the other attitude at the same x, where they
/// are wanted.
pub fn solutions(solutions: &[Solution], others: &[Option<f64>]) -> String {
    let with_other = |(k, one): (usize, &Solution)| {
        let mut value = solution(one);
        let other = others.get(k).copied().flatten().and_then(number);
        if let (Some(out), Some(upper)) = (value.as_object_mut(), other) {
            let name = attitude(match one.attitude {
                Attitude::Optimistic => Attitude::Pessimistic,
                Attitude::Pessimistic => Attitude::Optimistic,
            });
            out.insert("other_attitude".into(), json!({"attitude": name, "upper": upper}));
        }
        value
    };
    let value = match solutions {
        [one] => with_other((0, one)),
        several => json!({"schema": 1, "solutions": several.iter().enumerate().map(with_other).collect::<Vec<_>>()}),
    };
    // Serialising a value with string keys cannot fail.
    let mut text = serde_json::to_string_pretty(&value).unwrap_or_default();
    text.push('\n');
    text
}

fn solution(solution: &Solution) -> Value {
    let mut out = Map::new();
    out.insert("schema".into(), json!(1));
    out.insert("problem".into(), json!(solution.problem));
    out.insert("attitude".into(), json!(attitude(solution.attitude)));
    out.insert("status".into(), json!(solution.status.name()));
    out.insert("message".into(), json!(solution.message));
    insert(&mut out, "advice", Some(solution.status.advice()).filter(|a| !a.is_empty()).map(Value::from));
    insert(&mut out, "verdict", solution.certificate.verdict.map(|verdict| json!(verdict.name())));
    insert(&mut out, "witness", solution.certificate.witness.as_ref().map(witness));
    insert(&mut out, "x", solution.x.as_ref().map(named));
    insert(&mut out, "y", solution.y.as_ref().map(named));
    insert(&mut out, "upper", solution.upper.and_then(number));
    insert(&mut out, "lower", solution.lower.and_then(number));
    insert(&mut out, "infimum", solution.infimum.and_then(number));
    if let Some(global) = &solution.certificate.global {
        insert(&mut out, "global_bound", number(global.bound));
        insert(&mut out, "gap", global.gap.and_then(number));
    }
    let multipliers = &solution.multipliers;
    let mut both = Map::new();
    both.insert("leader".into(), named(&multipliers.leader));
    both.insert("follower".into(), named(&multipliers.follower));
    insert(&mut both, "remarks", Some(json!(multipliers.remarks)).filter(|v| *v != json!([])));
    out.insert("multipliers".into(), Value::Object(both));
    out.insert("certificate".into(), certificate(&solution.certificate));
    let work = &solution.work;
    out.insert(
        "work".into(),
        json!({
            "upper_evaluations": work.upper_evaluations, "lower_solves": work.lower_solves,
            "hyper_evaluations": work.hyper_evaluations, "certificate_evaluations": work.certificate_evaluations,
            "seconds": work.seconds,
        }),
    );
    Value::Object(out)
}

fn certificate(certificate: &Certificate) -> Value {
    let mut out = Map::new();
    insert(&mut out, "follower_gap", certificate.follower_gap.as_ref().and_then(measured));
    insert(&mut out, "follower_distance", certificate.follower_distance.as_ref().and_then(measured));
    insert(&mut out, "upper_error", certificate.upper_error.as_ref().and_then(measured));
    insert(&mut out, "violation", certificate.violation.and_then(number));
    insert(&mut out, "phi", certificate.phi.as_ref().map(phi));
    insert(&mut out, "global", certificate.global.as_ref().map(global));
    insert(&mut out, "kkt", certificate.kkt.as_ref().map(kkt));
    let stages: Vec<Value> = certificate
        .multipliers_by_stage
        .iter()
        .map(|&(epsilon, multiplier)| json!({"epsilon": number(epsilon), "multiplier": number(multiplier)}))
        .collect();
    insert(&mut out, "multipliers_by_stage", Some(Value::from(stages)).filter(|v| *v != json!([])));
    if let Some(stationarity) = &certificate.stationarity {
        let mut entry = Map::new();
        insert(&mut entry, "residual", number(stationarity.residual));
        insert(&mut entry, "radius", stationarity.radius.and_then(number));
        entry.insert("measure".into(), json!(stationarity.measure));
        rigor(&mut entry, &stationarity.rigor);
        out.insert("stationarity".into(), Value::Object(entry));
    }
    insert(&mut out, "statements", Some(json!(certificate.statements)).filter(|v| *v != json!([])));
    Value::Object(out)
}

fn phi(phi: &Phi) -> Value {
    let bounds = |bounds: &PhiBounds| {
        let mut out = Map::new();
        insert(&mut out, "lower", number(bounds.lower));
        insert(&mut out, "upper", number(bounds.upper));
        rigor(&mut out, &bounds.rigor);
        Value::Object(out)
    };
    let mut out = Map::new();
    out.insert("optimistic".into(), bounds(&phi.optimistic));
    out.insert("pessimistic".into(), bounds(&phi.pessimistic));
    insert(&mut out, "eta", number(phi.eta));
    insert(&mut out, "eta_error", number(phi.eta_error));
    insert(&mut out, "undecided_by", number(phi.undecided_by));
    Value::Object(out)
}

fn global(global: &GlobalBound) -> Value {
    let mut out = Map::new();
    insert(&mut out, "bound", number(global.bound));
    insert(&mut out, "gap", global.gap.and_then(number));
    rigor(&mut out, &global.rigor);
    out.insert("nodes".into(), json!(global.nodes));
    Value::Object(out)
}

fn witness(witness: &Witness) -> Value {
    let mut out = Map::new();
    match witness {
        Witness::Violation { level, constraint, by } => {
            out.insert("kind".into(), json!("violation"));
            out.insert("level".into(), json!(level));
            out.insert("constraint".into(), json!(constraint));
            insert(&mut out, "by", number(*by));
        }
        Witness::Undefined { level } => {
            out.insert("kind".into(), json!("undefined"));
            out.insert("level".into(), json!(level));
        }
        Witness::Better { y, lower, by, feasible, rigor: basis } => {
            out.insert("kind".into(), json!("better answer"));
            out.insert("y".into(), named(y));
            insert(&mut out, "lower", number(*lower));
            insert(&mut out, "by", number(*by));
            out.insert("feasible".into(), json!(feasible));
            rigor(&mut out, basis);
        }
        Witness::Worse { y, upper, by } => {
            out.insert("kind".into(), json!("worse answer"));
            out.insert("y".into(), named(y));
            insert(&mut out, "upper", number(*upper));
            insert(&mut out, "by", number(*by));
        }
        Witness::Claim { name, claimed, computed } => {
            out.insert("kind".into(), json!("claim"));
            out.insert("name".into(), json!(name));
            insert(&mut out, "claimed", number(*claimed));
            insert(&mut out, "computed", number(*computed));
        }
    }
    Value::Object(out)
}

fn kkt(point: &KktPoint) -> Value {
    let mut out = Map::new();
    insert(&mut out, "x", Some(named(&point.x)));
    insert(&mut out, "y", Some(named(&point.y)));
    for (key, value) in [
        ("stationarity", point.stationarity),
        ("dual", point.dual),
        ("complementarity", point.complementarity),
        ("violation", point.violation),
        ("multiplier", point.multiplier),
        ("mu", point.mu),
        ("epsilon", point.epsilon),
        ("ennamcq_margin", point.ennamcq_margin),
        ("value_error", point.value_error),
        ("gradient_error", point.gradient_error),
    ] {
        insert(&mut out, key, number(value));
    }
    out.insert("smoothing".into(), json!(point.smoothing));
    out.insert("value_model".into(), json!(point.value_model));
    if point.regulariser_weight > 0.0 {
        let regulariser =
            json!({"weight": number(point.regulariser_weight), "centre": named(&point.regulariser_centre)});
        out.insert("regulariser".into(), regulariser);
    }
    if let Some((centre, radius)) = &point.region {
        out.insert("region".into(), json!({"centre": centre, "radius": number(*radius)}));
    }
    Value::Object(out)
}

fn measured(measured: &Measured) -> Option<Value> {
    let mut out = Map::new();
    out.insert("value".into(), number(measured.value)?);
    rigor(&mut out, &measured.rigor);
    out.insert("by".into(), json!(measured.by));
    Some(Value::Object(out))
}

pub(super) fn rigor(out: &mut Map<String, Value>, rigor: &Rigor) {
    out.insert("rigor".into(), json!(rigor.name()));
    if let Rigor::Conditional(on) = rigor {
        out.insert("on".into(), json!(on));
    }
}

fn attitude(attitude: Attitude) -> &'static str {
    match attitude {
        Attitude::Optimistic => "optimistic",
        Attitude::Pessimistic => "pessimistic",
    }
}

/// Every variable by name, always as an array.
pub(super) fn named(values: &NamedValues) -> Value {
    let entry = |(name, values): &(String, Vec<f64>)| {
        let entries: Vec<Value> = values.iter().map(|&v| number(v).unwrap_or(Value::Null)).collect();
        (name.clone(), Value::from(entries))
    };
    Value::Object(values.0.iter().map(entry).collect())
}

pub(super) fn insert(out: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        out.insert(key.to_string(), value);
    }
}

/// A number; infinities as strings, NaN as nothing. Minus zero is zero.
pub(super) fn number(value: f64) -> Option<Value> {
    if value.is_nan() {
        None
    } else if value.is_infinite() {
        Some(json!(if value > 0.0 { "inf" } else { "-inf" }))
    } else {
        Some(json!(value + 0.0))
    }
}
