//! Consistent models pass, an inconsistent smoothing is caught.

use super::hypotheses::{Holds, hypotheses};
use super::{Consistency, follow};
use crate::expr::Expr;
use crate::expr::structure::VariableBounds;
use crate::lower::{Follower, LowerSolver, Meter};
use crate::problem::{Failures, Model, Problem};
use crate::set::Bounds;
use crate::smooth::{Chks, Uniform};
use crate::value::QuadraticValue;
use crate::value::exact::subdifferential;

type Formula = fn(&Expr, &Expr) -> Expr;

fn problem(n: usize, f: impl Fn(&Expr, &Expr) -> Expr) -> (Problem, VariableBounds) {
    let mut model = Model::new();
    let x = model.leader("x", n).within(Bounds::new(-3.0, 3.0).unwrap()).unwrap();
    let y = model.follower("y", 1).within(Bounds::new(-2.0, 2.0).unwrap()).unwrap();
    let bounds = VariableBounds::new(&vec![-3.0; n], &vec![3.0; n], &[-2.0], &[2.0]).unwrap();
    (model.upper(x.sum()).lower(f(&x, &y)).build().unwrap(), bounds)
}

fn run(x: &[f64], f: impl Fn(&Expr, &Expr) -> Expr) -> Consistency {
    let (problem, bounds) = problem(x.len(), f);
    let exact = Follower::epigraph(&problem, &bounds).unwrap_or_else(|| Follower::direct(&problem));
    let found = subdifferential(&problem, &exact, &bounds, x, 0, &Failures::default()).unwrap();
    let direct = Follower::direct(&problem);
    let solver = LowerSolver::new(&direct, &Failures::default(), &Meter::new(u64::MAX));
    follow(&mut QuadraticValue::new(solver, &Chks, &[0.0]), x, &found, 0)
}

#[test]
fn the_quadratic_model_is_consistent_on_the_examples() {
    let cases: [(f64, Formula); 4] = [
        (0.0, |x, y| (x * y).sum()),
        (0.3, |x, y| (x * y).sum()),
        (0.0, |x, y| y.square().sum() - x.abs().sum()),
        (0.75, |x, y| (y - 2.0).square().sum() * 0.5 + x.sum() * y.abs().sum()),
    ];
    for (x, f) in cases {
        let found = run(&[x], f);
        assert!(found.passed(), "{x}: {:?}", found.worst());
        assert_eq!(found.refusals, 0);
    }
    let flat = run(&[0.0, 0.0], |x, y| y.square().sum() - x.norm2());
    assert!(flat.passed(), "{:?}", flat.worst());
}

#[test]
fn kinks_that_cancel_only_exactly_are_caught() {
    // f = y² + |x| - |x| with two families: v = 0, but the gradients at x = mu have other limits.
    let found =
        run(&[0.0], |x, y| y.square().sum() + x.abs().smoothed_by(&Uniform).sum() - x.abs().smoothed_by(&Chks).sum());
    assert!(!found.passed() && found.limit > 0.1, "{}", found.limit);
}

#[test]
fn hypotheses_by_structure_and_by_sampling() {
    let holds = |problem: &Problem, bounds: &VariableBounds, text: &str| {
        let all = hypotheses(problem, bounds, &Chks, (&[0.5], &[0.1]), 3);
        all.iter().find(|h| h.statement.contains(text)).unwrap().holds
    };
    let (lasso, boxed) = problem(1, |x, y| (y - 2.0).square().sum() + x.square().sum() * y.abs().sum());
    for text in ["(x, .) is convex", "level-bounded", "uniformly (Assumption 3.8)", "locally bounded", "compact"] {
        assert_eq!(holds(&lasso, &boxed, text), Holds::Structure, "{text}");
    }
    let free = VariableBounds::unbounded(1, 1);
    assert_eq!(holds(&lasso, &free, "level-bounded"), Holds::Sampled);
    assert_eq!(holds(&lasso, &free, "compact"), Holds::Fails);
    assert_eq!(holds(&lasso, &free, "uniformly (Assumption 3.8)"), Holds::Sampled);
    let (sum, _) = problem(1, |x, y| (y.abs() + x.abs()).sum());
    assert_eq!(holds(&sum, &free, "uniformly (Assumption 3.8)"), Holds::Sampled);
    let (falling, _) = problem(1, |x, y| (x * y).sum());
    assert_eq!(holds(&falling, &free, "level-bounded"), Holds::Fails);
    let (root, _) = problem(1, |x, y| y.abs_power(0.5).sum() * x.square().sum());
    assert_eq!(holds(&root, &boxed, "(x, .) is convex"), Holds::Unknown);
    let at_zero = hypotheses(&root, &boxed, &Chks, (&[0.5], &[0.0]), 3);
    assert_eq!(at_zero.iter().find(|h| h.statement.contains("locally bounded")).unwrap().holds, Holds::Fails);
}
