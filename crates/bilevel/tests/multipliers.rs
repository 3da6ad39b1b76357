//! Multipliers of both levels against closed forms and against differences of optimal values.

use bilevel::prelude::*;
use bilevel::problem::NamedValues;
use bilevel::solution::Multipliers;

type Outcome = Result<(), ModelError>;

fn solved(model: &Model) -> Result<Solution, ModelError> {
    let solution = model.build()?.solve(&Options { threads: 1, ..Options::default() });
    assert_eq!(solution.status, Status::Solved, "{}", solution.message);
    Ok(solution)
}

fn close(multipliers: &NamedValues, name: &str, expected: &[f64]) {
    let found = multipliers.get(name).unwrap_or_default();
    let near = |(a, b): (&f64, &f64)| (a - b).abs() < 1e-4 * (1.0 + b.abs());
    assert!(
        found.len() == expected.len() && found.iter().zip(expected).all(near),
        "{name}: {found:?}, not {expected:?}"
    );
}

/// The follower wants y = 5 and may have y <= x; the leader wants (3, 3) and may have x + y <= b: y = x = b/2, and
/// F = 2 (b/2 − 3)².  In units (u, v), with rows multiplied.
fn chain(b: f64, (u, v): (f64, f64), (r, s): (f64, f64)) -> Result<Model, ModelError> {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 10.0 / u)?)? * u;
    let y = model.follower("y", 1).within(Bounds::new(0.0, 10.0 / v)?)? * v;
    model.upper((&x - 3.0).norm2sq() + (&y - 3.0).norm2sq()).lower((&y - 5.0).norm2sq());
    model.upper_subject_to(((&x + &y) * r).at_most(b * r).labelled("sum"));
    model.lower_subject_to((&x * s).at_least(&y * s).labelled("below"));
    Ok(model)
}

#[test]
fn a_shadow_price_is_the_slope_of_the_optimal_value() -> Outcome {
    let at = solved(&chain(4.0, (1.0, 1.0), (1.0, 1.0))?)?;
    close(&at.multipliers.leader, "sum", &[2.0]);
    close(&at.multipliers.follower, "below", &[6.0]);
    close(&at.multipliers.leader, "bounds of x", &[0.0]);
    close(&at.multipliers.follower, "bounds of y", &[0.0]);
    assert!(at.multipliers.remarks.is_empty(), "{:?}", at.multipliers.remarks);
    let value = |b| Ok::<f64, ModelError>(solved(&chain(b, (1.0, 1.0), (1.0, 1.0))?)?.upper.unwrap_or(f64::NAN));
    let slope = (value(3.99)? - value(4.01)?) / 0.02;
    close(&at.multipliers.leader, "sum", &[slope]);
    Ok(())
}

#[test]
fn rows_that_are_multiplied_have_multipliers_that_are_divided() -> Outcome {
    let (r, s) = (2e-4, 3e3);
    let at = solved(&chain(4.0, (5e3, 2e-4), (r, s))?)?;
    close(&at.multipliers.leader, "sum", &[2.0 / r]);
    close(&at.multipliers.follower, "below", &[6.0 / s]);
    Ok(())
}

#[test]
fn second_derivatives_of_the_follower_enter() -> Outcome {
    // y = x² from f = y²/2 − x² y: the leader wants x small, and y <= b stops it at x = −√b, with the slope −1/(2√b).
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-2.0, 0.0)?)?;
    let y = model.follower("y", 1).free()?;
    model.upper(x.sum()).lower(y.norm2sq() * 0.5 - (x.square() * &y).sum());
    model.upper_subject_to(y.at_most(0.25).labelled("cap")).start(&[-0.1], &[0.0]);
    let at = solved(&model)?;
    assert!((at.upper.unwrap_or(f64::NAN) + 0.5).abs() < 1e-6);
    close(&at.multipliers.leader, "cap", &[1.0]);
    Ok(())
}

#[test]
fn bounds_and_a_maximising_level() -> Outcome {
    // max 3 x + y, x <= 2, and the follower maximises 2 y up to y <= 1: raising x's bound earns 3; the follower's 2.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 2.0)?)?;
    let y = model.follower("y", 1).within(Bounds::new(0.0, 5.0)?)?;
    model.upper_maximize((&x * 3.0 + &y).sum()).lower_maximize((&y * 2.0).sum());
    model.lower_subject_to(y.at_most(1.0).labelled("cap"));
    let at = solved(&model)?;
    close(&at.multipliers.leader, "bounds of x", &[3.0]);
    // Tightening takes away.
    close(&at.multipliers.follower, "cap", &[-2.0]);
    Ok(())
}

#[test]
fn an_equality_is_priced_by_its_right_side() -> Outcome {
    // min y² + z² with y + 2 z == b has the value b²/5: falling right sides change it by −2 b / 5.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0)?)?;
    let y = model.follower("y", 2).free()?;
    model.upper((&x - 0.5).norm2sq() + y.index(0)).lower(y.norm2sq());
    model.lower_subject_to((y.index(0) + y.index(1) * 2.0).equal_to(5.0).labelled("total"));
    close(&solved(&model)?.multipliers.follower, "total", &[-2.0]);
    Ok(())
}

#[test]
fn dependent_constraints_are_remarked_on() -> Outcome {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, 1.0)?)?;
    let y = model.follower("y", 1).free()?;
    model.upper((&x - 0.5).norm2sq() + y.norm2sq()).lower(y.sum());
    model.lower_subject_to((&y * 2.0).at_least(2.0)).lower_subject_to(y.at_least(1.0));
    let Multipliers { follower, remarks, .. } = solved(&model)?.multipliers;
    let sum = 2.0 * follower.0[0].1[0] + follower.0[1].1[0];
    assert!((sum - 1.0).abs() < 1e-6, "{follower:?}");
    assert!(remarks.iter().any(|remark| remark.contains("follower's multipliers are not unique")), "{remarks:?}");
    Ok(())
}
