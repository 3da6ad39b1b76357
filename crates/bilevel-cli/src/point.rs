//! Points from JSON files: anyone's.
//!
//! Accepted are an object with `x` and `y`, alone or with more (such as the output of `solve --json`), and an object with
//! several of them under `solutions`. `x` and `y` are objects that name every variable, or all values of the level in the
//! order of declaration; a variable's value is a number or an array. What else is known of the point (`attitude`, `upper`,
//! `lower`, `phi` beside them or in a `certificate`) is taken as a claim to be checked.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use bilevel::problem::{Attitude, Block, Problem};
use bilevel::solve::Claims;
use serde_json::Value;

use crate::Failure;

/// A point with what is claimed of it.
#[derive(Clone, Debug)]
pub struct Point {
    /// The leader's variables.
    pub x: Vec<f64>,
    /// The follower's variables.
    pub y: Vec<f64>,
    /// The attitude that it was found for.
    pub attitude: Option<Attitude>,
    /// The numbers that came with it.
    pub claims: Claims,
}

/// Reads all points of a file; `-` is standard input.
///
/// # Errors
/// A file that cannot be read, is no JSON, or does not have the problem's variables.
pub fn read(path: &Path, problem: &Problem) -> Result<Vec<Point>, Failure> {
    let shown = path.display();
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    }
    let value: Value = serde_json::from_str(&text).with_context(|| format!("{shown} is no JSON"))?;
    let points = match value.get("solutions").and_then(Value::as_array) {
        Some(several) => several.iter().map(|value| point(value, problem)).collect::<anyhow::Result<Vec<_>>>(),
        None => point(&value, problem).map(|point| vec![point]),
    };
    let points = points.with_context(|| shown.to_string())?;
    if points.is_empty() {
        return Err(anyhow!("{shown} has no points").into());
    }
    Ok(points)
}

fn point(value: &Value, problem: &Problem) -> anyhow::Result<Point> {
    if !value.is_object() {
        bail!("a point is an object such as {{\"x\": {{...}}, \"y\": {{...}}}}");
    }
    let attitude = match value.get("attitude").and_then(Value::as_str) {
        None => None,
        Some("optimistic") => Some(Attitude::Optimistic),
        Some("pessimistic") => Some(Attitude::Pessimistic),
        Some(other) => bail!("the attitude `{other}` is neither `optimistic` nor `pessimistic`"),
    };
    Ok(Point {
        x: level(value, "x", &problem.leader().blocks)?,
        y: level(value, "y", &problem.follower().blocks)?,
        attitude,
        claims: claims(value)?,
    })
}

/// All values of one level: by name under `key`, in order, or, where no variable has that name, beside each other.
pub fn level(point: &Value, key: &str, blocks: &[Block]) -> anyhow::Result<Vec<f64>> {
    let needed: usize = blocks.iter().map(|block| block.shape.len()).sum();
    let found = match point.get(key) {
        Some(Value::Null) | None if needed == 0 => return Ok(Vec::new()),
        Some(Value::Null) | None => bail!("there is no `{key}`"),
        Some(found) => found,
    };
    let Value::Object(named) = found else {
        let values = numbers(found, key)?;
        if values.len() != needed {
            bail!("`{key}` has {} values, the problem has {needed}", values.len());
        }
        return Ok(values);
    };
    if let Some(unknown) = named.keys().find(|name| blocks.iter().all(|block| block.name != **name)) {
        let names: Vec<&str> = blocks.iter().map(|block| block.name.as_str()).collect();
        bail!("`{key}` has no variable `{unknown}`; its variables: {}", names.join(", "));
    }
    let mut out = Vec::with_capacity(needed);
    for block in blocks {
        let value = named.get(&block.name).ok_or_else(|| anyhow!("no value for variable `{}`", block.name))?;
        let values = numbers(value, &block.name)?;
        if values.len() != block.shape.len() {
            let (given, needed) = (values.len(), block.shape.len());
            bail!("variable `{}` has {needed} entries, {given} are given", block.name);
        }
        out.extend(values);
    }
    Ok(out)
}

/// A number, or an array of numbers.
fn numbers(value: &Value, name: &str) -> anyhow::Result<Vec<f64>> {
    let number = |value: &Value| {
        value.as_f64().filter(|v| v.is_finite()).ok_or_else(|| anyhow!("`{name}`: {value} is no finite number"))
    };
    match value {
        Value::Array(entries) => entries.iter().map(number).collect(),
        other => Ok(vec![number(other)?]),
    }
}

fn claims(point: &Value) -> anyhow::Result<Claims> {
    let number = |key: &str| match point.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => real(value, key).map(Some),
    };
    let phi = point.get("phi").or_else(|| point.get("certificate")?.get("phi"));
    let bounds = |key: &str| match phi.and_then(|phi| phi.get(key)) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(ends)) => {
            let end = |name: &str, absent: f64| ends.get(name).map_or(Ok(absent), |value| real(value, name));
            Ok(Some((end("lower", f64::NEG_INFINITY)?, end("upper", f64::INFINITY)?)))
        }
        Some(value) => real(value, key).map(|value| Some((value, value))),
    };
    Ok(Claims {
        upper: number("upper")?,
        lower: number("lower")?,
        optimistic: bounds("optimistic")?,
        pessimistic: bounds("pessimistic")?,
    })
}

/// A number, or an infinity written as text.
fn real(value: &Value, name: &str) -> anyhow::Result<f64> {
    match value.as_str() {
        Some("inf") => Ok(f64::INFINITY),
        Some("-inf") => Ok(f64::NEG_INFINITY),
        _ => value.as_f64().ok_or_else(|| anyhow!("`{name}`: {value} is no number")),
    }
}
