//! The lifted problem against the original one.

#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN marks what is not defined, and passes")]

use bilevel_linalg::Dense;
use proptest::prelude::*;

use super::*;
use crate::expr::structure::testing::{boxes, evaluate, genes, point, random_formula};
use crate::expr::structure::{Block, Curvature, Range};
use crate::expr::{Function, Graph, Level, Matrix, Node, Op, Shape, concat};

/// The largest entry of the lifted constraints beyond the given ones, and of the violations of the bounds of t.
fn violation(lifted: &Lifted, given: usize, x: &[f64], full: &[f64]) -> f64 {
    let t = &full[full.len() - lifted.auxiliaries()..];
    let mut worst = 0.0_f64;
    for (t, (lower, upper)) in t.iter().zip(lifted.lower.iter().zip(&lifted.upper)) {
        worst = worst.max(lower - t).max(t - upper);
    }
    for (constraint, equality) in &lifted.constraints[given..] {
        assert!(!equality);
        for value in evaluate(constraint, x, full) {
            worst = if value.is_nan() || worst.is_nan() { f64::NAN } else { worst.max(value) };
        }
    }
    worst
}

fn all_bounds(lifted: &Lifted, bounds: &VariableBounds) -> VariableBounds {
    let t: Vec<Range> = lifted.lower.iter().zip(&lifted.upper).map(|(&l, &u)| Range::new(l, u)).collect();
    bounds.extended(&t)
}

/// Atoms that stay: singular at the end of their domain, smooth inside.
fn stays(structure: &Structure, node: &Node) -> bool {
    match node.op {
        Op::Map(Function::Power(_)) => true,
        Op::Map(Function::AbsPower(_)) => structure.range(node.args[0]).iter().any(|r| !r.contains_inside(0.0)),
        Op::NormP(p) => p < 1.0,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn the_smallest_value_over_t_is_the_formula(
        genes in genes(),
        bounds in boxes(),
        places in prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), Just(0.5), 0.0..=1.0f64], 7),
        moves in prop::collection::vec((-1.0..1.0f64, 0..6i32), 8),
    ) {
        let graph = Graph::new();
        let f = random_formula(&graph, &genes);
        // Constraints from the same parts: atoms are shared.
        let c = random_formula(&graph, &genes[1..]);
        let Ok(lifted) = lift(&f, &[(c.clone(), false)], &bounds) else { return Ok(()) };
        let (x, y) = (point(bounds.leader(), &places[..2]), point(bounds.follower(), &places[2..]));
        let (value, constraint) = (evaluate(&f, &x, &y)[0], evaluate(&c, &x, &y)[0]);
        let mut full = y.clone();
        lifted.fill(&x, &y, &mut full);
        prop_assert_eq!(full.len(), 5 + lifted.auxiliaries());
        prop_assert_eq!(lifted.lower.len(), lifted.upper.len());
        let close = |a: f64, b: f64| !((a - b).abs() > 1e-8 * (1.0 + a.abs()));
        if full.iter().all(|v| v.is_finite()) {
            prop_assert!(close(value, evaluate(&lifted.objective, &x, &full)[0]));
            prop_assert!(close(constraint, evaluate(&lifted.constraints[0].0, &x, &full)[0]));
            let size = full.iter().fold(1.0, |s: f64, v| s.max(v.abs()));
            prop_assert!(!(violation(&lifted, 1, &x, &full) > 1e-9 * size));
            // Other values of t are infeasible, or no better.
            for shift in 0..moves.len() {
                let mut other = full.clone();
                for (k, t) in other[5..].iter_mut().enumerate() {
                    let (direction, digits) = moves[(k + shift) % moves.len()];
                    *t += direction * 10f64.powi(-digits);
                }
                if violation(&lifted, 1, &x, &other) <= 0.0 {
                    let found = evaluate(&lifted.objective, &x, &other)[0];
                    prop_assert!(!(found < value - 1e-8 * (1.0 + value.abs())), "{found} < {value}: {f}");
                    let found = evaluate(&lifted.constraints[0].0, &x, &other)[0];
                    prop_assert!(!(found < constraint - 1e-8 * (1.0 + constraint.abs())), "{found} < {constraint}: {c}");
                }
            }
        }
        // What is left is smooth, up to the ends of domains.
        let roots: Vec<Expr> = std::iter::once(&lifted.objective).chain(lifted.constraints.iter().map(|c| &c.0)).cloned().collect();
        let structure = Structure::new(&roots, &all_bounds(&lifted, &bounds)).unwrap();
        for &root in structure.roots() {
            for kink in structure.kinks(root, Block::Follower) {
                let node = &structure.nodes()[kink as usize];
                let all: Vec<String> = roots.iter().map(Expr::to_string).collect();
                prop_assert!(stays(&structure, node), "{node:?} is left of {f} and {c} in {all:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    /// On random pairs of points (y, t): the constraints of t are convex, and so is the objective of a convex formula.
    #[test]
    fn convexity_is_kept(
        genes in genes(),
        bounds in boxes(),
        ends in prop::array::uniform2(prop::collection::vec(prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64], 7)),
        extra in prop::collection::vec(prop_oneof![Just(0.0), 0.0..2.0f64], 8),
    ) {
        let f = random_formula(&Graph::new(), &genes);
        let Ok(lifted) = lift(&f, &[], &bounds) else { return Ok(()) };
        let x = point(bounds.leader(), &ends[0][..2]);
        let [a, b] = [0, 1].map(|k| {
            let y = point(bounds.follower(), &ends[k][2..]);
            let mut full = y.clone();
            lifted.fill(&x, &y, &mut full);
            // Within the bounds, off the values that belong to y.
            for (i, (t, upper)) in full[5..].iter_mut().zip(&lifted.upper).enumerate() {
                *t = (*t + extra[(i + 3 * k) % extra.len()]).min(*upper);
            }
            full
        });
        let middle: Vec<f64> = a.iter().zip(&b).map(|(a, b)| 0.5 * (a + b)).collect();
        let convex = |g: &Expr| {
            let [at_a, at_b, at_middle] = [&a, &b, &middle].map(|z| evaluate(g, &x, z));
            (0..at_a.len()).all(|i| {
                let excess = at_middle[i] - 0.5 * (at_a[i] + at_b[i]);
                !(excess > 1e-7 * (1.0 + at_a[i].abs() + at_b[i].abs()))
            })
        };
        for (constraint, _) in &lifted.constraints {
            prop_assert!(convex(constraint), "{constraint}");
        }
        let structure = Structure::new(std::slice::from_ref(&f), &bounds).unwrap();
        if structure.curvature(structure.roots()[0], Block::Follower).is_convex() {
            prop_assert!(convex(&lifted.objective), "{}", lifted.objective);
        }
    }
}

struct Setting {
    graph: Graph,
    x: Expr,
    w: Expr,
    bounds: VariableBounds,
}

/// x in [0, 2], w in R^4.
fn setting() -> Setting {
    let graph = Graph::new();
    let free = [f64::INFINITY; 4];
    let bounds = VariableBounds::new(&[0.0], &[2.0], &free.map(|v| -v), &free).unwrap();
    let x = graph.variable(Level::Leader, 0, Shape::Scalar);
    let w = graph.variable(Level::Follower, 0, Shape::Vector(4));
    Setting { graph, x, w, bounds }
}

/// Lifts a convex formula and checks that everything is convex and smooth.
fn convex_lift(f: &Expr, bounds: &VariableBounds) -> Lifted {
    let lifted = lift(f, &[], bounds).unwrap();
    let roots: Vec<Expr> =
        std::iter::once(&lifted.objective).chain(lifted.constraints.iter().map(|c| &c.0)).cloned().collect();
    let structure = Structure::new(&roots, &all_bounds(&lifted, bounds)).unwrap();
    for &root in structure.roots() {
        assert!(structure.curvature(root, Block::Follower).is_convex(), "{f}");
        assert!(structure.is_smooth(root, Block::Follower), "{f}");
    }
    lifted
}

#[test]
fn standard_followers_become_smooth_and_convex() {
    let Setting { x, w, bounds, graph } = setting();
    let a = Matrix::from(Dense::from_fn(5, 4, |i, j| f64::from((3 * i + 5 * j) as u32 % 7) - 3.0));
    let b = graph.constant_vector(&[1.0, -1.0, 1.0, 1.0, -1.0]);
    let loss = (&a * &w - &b).norm2sq();
    let cases = [
        (&loss + x.exp() * w.norm1(), 4),
        (&loss + &x * w.norm1() + x.exp() * w.norm2sq(), 4),
        ((-&b * (&a * &w)).softplus().mean() + &x * w.norm1(), 4),
        ((&b * (&a * &w)).hinge().sum() + 0.5 * w.norm2sq(), 5),
        (&loss + &x * w.group_norm(2), 2),
        (&loss + &x * w.group_norm_sized(&[1, 3]) + w.norm1(), 6),
        (&loss + w.norm2() + w.norm_inf(), 2),
        ((&a * &w - &b).huber(0.5).sum(), 10),
        ((&a * &w).max_of() - w.min_of(), 2),
        ((w.index(0).abs() - 1.0).plus().square() + loss.sqrt(), 3),
        ((&w.slice(0..2) * &w.slice(0..2)).sum().sqrt() - (1.0 - w.index(2)).sqrt(), 2),
        (&x * w.index(0).abs() + (w.index(1).max(&(2.0 * w.index(2)))).exp(), 2),
        (loss.clone(), 0),
    ];
    for (f, auxiliaries) in &cases {
        assert_eq!(convex_lift(f, &bounds).auxiliaries(), *auxiliaries, "{f}");
    }
    // Perspective functions are not known to the rules: the values decide, in the random test above.
    assert_eq!(lift(&(&loss + w.norm_p(1.5)), &[], &bounds).unwrap().auxiliaries(), 5);
    assert_eq!(lift(&(&loss + w.norm_p(3.0)), &[], &bounds).unwrap().auxiliaries(), 1);
    let signed = concat(&[w.index(0), w.index(1).square()]).norm_p(1.5);
    assert_eq!(lift(&signed, &[], &bounds).unwrap().auxiliaries(), 2);
}

#[test]
fn smaller_auxiliaries_are_infeasible() {
    let Setting { x, w, bounds, .. } = setting();
    let f =
        &x * w.norm1() + w.plus().sum() + w.norm2() + w.max_of() + w.norm_p(1.5) + w.norm_p(3.0) + w.huber(1.0).sum();
    let lifted = lift(&f, &[], &bounds).unwrap();
    let (x, y) = ([1.0], [3.0, -2.0, 0.0, 0.5]);
    let mut full = y.to_vec();
    lifted.fill(&x, &y, &mut full);
    assert!(violation(&lifted, 0, &x, &full) <= 1e-15);
    let structure = Structure::new(std::slice::from_ref(&lifted.objective), &all_bounds(&lifted, &bounds)).unwrap();
    let rows = structure.quadratic(structure.roots()[0], Block::Follower);
    assert!(rows.is_some(), "what is left is quadratic: {}", lifted.objective);
    for k in 4..full.len() {
        let mut less = full.clone();
        less[k] -= 1e-3;
        let better = evaluate(&lifted.objective, &x, &less)[0] < evaluate(&lifted.objective, &x, &full)[0] - 1e-9;
        assert!(!better || violation(&lifted, 0, &x, &less) > 1e-5, "auxiliary {k}");
    }
    // The tip of the cone is defined, and exact.
    let mut origin = vec![0.0; 4];
    lifted.fill(&x, &[0.0; 4], &mut origin);
    assert!(origin.iter().all(|&v| v == 0.0));
    assert_eq!(violation(&lifted, 0, &x, &origin), 0.0);
    assert_eq!(evaluate(&lifted.objective, &x, &origin), [0.0]);
}

#[test]
fn constraints_keep_their_order() {
    let Setting { x, w, bounds, .. } = setting();
    let given = [(w.norm1() - 1.0, false), (w.sum() - &x, true), (concat(&[w.norm2() - &x, w.index(1) - 2.0]), false)];
    let lifted = lift(&w.norm1(), &given, &bounds).unwrap();
    assert_eq!(lifted.auxiliaries(), 5, "norm1 is shared");
    assert!(!lifted.constraints[0].1 && lifted.constraints[1].1 && !lifted.constraints[2].1);
    assert_eq!(lifted.constraints[1].0.id(), given[1].0.id(), "smooth formulas stay");
    let mut full = vec![1.0, -1.0, 0.0, 0.0];
    lifted.fill(&[2.0], &full.clone(), &mut full);
    assert_eq!(evaluate(&lifted.constraints[0].0, &[2.0], &full), [1.0]);
    assert_eq!(evaluate(&lifted.constraints[2].0, &[2.0], &full), [2f64.sqrt() - 2.0, -3.0]);
    let mut short = Vec::new();
    lifted.fill(&[], &[], &mut short);
    assert!(short.len() == 5 && short.iter().all(|v| v.is_nan()));
}

#[test]
fn only_entries_with_kinks_are_replaced() {
    let graph = Graph::new();
    let w = graph.variable(Level::Follower, 0, Shape::Vector(3));
    let bounds = VariableBounds::new(&[], &[], &[0.0, -1.0, -2.0], &[1.0, 1.0, 0.0]).unwrap();
    let lifted = lift(&(w.abs().exp().sum()), &[], &bounds).unwrap();
    assert_eq!(lifted.auxiliaries(), 1);
    let mut full = vec![0.25, -0.5, -1.0];
    lifted.fill(&[], &full.clone(), &mut full);
    assert_eq!(full[3], 0.5);
    assert_eq!(evaluate(&lifted.objective, &[], &full), [0.25f64.exp() + 0.5f64.exp() + 1f64.exp()]);
}

#[test]
fn positions_that_are_not_convex_are_named() {
    let Setting { x, w, bounds, graph } = setting();
    let y = w.index(0);
    let refused = |f: Expr, constraints: &[(Expr, bool)]| match lift(&f, constraints, &bounds) {
        Err(NotLiftable::Atom { atom, reason }) => (atom, reason),
        other => panic!("{other:?} for {f}"),
    };
    let sign = "it enters with a negative or changing sign";
    let inside = "it stands inside of a function that does not keep convexity";
    let own = "it is not convex in a position that needs convexity";
    let abs = "abs(y[0..4][0])";
    assert_eq!(refused(-y.abs(), &[]), (abs.to_string(), sign));
    assert_eq!(refused((&x - 1.0) * y.abs(), &[]), (abs.to_string(), sign));
    assert_eq!(refused(y.square(), &[(y.abs() - 1.0, true)]), (abs.to_string(), sign));
    assert_eq!(refused((1.0 + y.abs()).log(), &[]), (abs.to_string(), inside));
    assert_eq!(refused(y.abs() * w.index(1).abs(), &[]).1, inside);
    assert_eq!(refused((y.square() - 1.0).abs(), &[]), ("abs(y[0..4][0]^2 - 1)".to_string(), own));
    assert_eq!(refused(w.norm_p(0.5), &[]).1, own);
    assert_eq!(refused(w.abs_power(0.5).sum(), &[]).1, own);
    assert_eq!(refused(y.min(&graph.constant(1.0)), &[]).1, own);
    assert_eq!(refused(y.sqrt(), &[]).1, own);
    // A kink in x alone is no obstacle.
    let lifted = lift(&((&x - 1.0).abs() * y.square() - (&x - 1.0).abs()), &[], &bounds).unwrap();
    assert_eq!(lifted.auxiliaries(), 0);
    let error = lift(&y, &[], &VariableBounds::unbounded(1, 1)).unwrap_err();
    assert!(matches!(error, NotLiftable::Structure(StructureError::Variables { .. })));
    let structure = Structure::new(&[y.abs()], &bounds).unwrap();
    assert_eq!(structure.curvature(structure.roots()[0], Block::Follower), Curvature::Convex);
}
