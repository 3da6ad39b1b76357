//! Claims about random formulas against samples, and standard examples.

#![expect(clippy::neg_cmp_op_on_partial_ord, reason = "NaN marks what is not defined, and passes")]

use bilevel_linalg::{Csr, Dense};
use proptest::prelude::*;

use super::testing::{boxes, evaluate, evaluate_nodes, genes, point, random_formula};
use super::*;
use crate::expr::{Graph, Level, Matrix, Shape, concat};

/// A position in a box: ends and middles are as likely as anything else.
fn place() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(prop_oneof![Just(0.0), Just(0.5), Just(1.0), 0.0..=1.0f64, 0.0..=1.0f64], 7)
}

fn at(bounds: &VariableBounds, t: &[f64]) -> (Vec<f64>, Vec<f64>) {
    (point(bounds.leader(), &t[..2]), point(bounds.follower(), &t[2..]))
}

/// The second position in the block, the first one elsewhere.
fn moved(block: Block, from: &[f64], to: &[f64]) -> Vec<f64> {
    let inside = |i: usize| match block {
        Block::Leader => i < 2,
        Block::Follower => i >= 2,
        Block::Both => true,
    };
    (0..7).map(|i| if inside(i) { to[i] } else { from[i] }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn ranges_and_curvatures_hold_at_samples(
        genes in genes(), bounds in boxes(), s in place(), t in place(), along in 0.0..=1.0f64,
    ) {
        let root = random_formula(&Graph::new(), &genes);
        let structure = Structure::new(&[root], &bounds).unwrap();
        let values = |t: &[f64]| {
            let (x, y) = at(&bounds, t);
            evaluate_nodes(structure.nodes(), &x, &y)
        };
        let start = values(&s);
        for (id, node) in start.iter().enumerate() {
            for (value, range) in node.iter().zip(structure.range(id as NodeId)) {
                let slack = 1e-9 * (1.0 + value.abs());
                prop_assert!(
                    !value.is_finite() || (range.lower() - slack <= *value && *value <= range.upper() + slack),
                    "{id} {value} {range:?} {:?}", structure.nodes()
                );
            }
        }
        for block in Block::ALL {
            let target = moved(block, &s, &t);
            let between: Vec<f64> = s.iter().zip(&target).map(|(a, b)| a + along * (b - a)).collect();
            let (end, middle) = (values(&target), values(&between));
            for id in 0..start.len() {
                for (i, curvature) in structure.curvatures(id as NodeId, block).into_iter().enumerate() {
                    let chord = start[id][i] + along * (end[id][i] - start[id][i]);
                    let excess = middle[id][i] - chord;
                    let slack = 1e-7 * (1.0 + start[id][i].abs() + end[id][i].abs());
                    if excess.is_finite() {
                        prop_assert!(!curvature.is_convex() || excess <= slack, "{block:?} {id} convex: {excess} {:?}", structure.nodes());
                        prop_assert!(!curvature.is_concave() || excess >= -slack, "{block:?} {id} concave: {excess} {:?}", structure.nodes());
                    }
                }
            }
        }
    }

    #[test]
    fn degrees_hold_at_samples(genes in genes(), bounds in boxes(), s in place(), t in place()) {
        let root = random_formula(&Graph::new(), &genes);
        let structure = Structure::new(&[root], &bounds).unwrap();
        for block in Block::ALL {
            let target = moved(block, &s, &t);
            let values: Vec<_> = (0..4)
                .map(|k| {
                    let between: Vec<f64> = s.iter().zip(&target).map(|(a, b)| a + f64::from(k) / 3.0 * (b - a)).collect();
                    let (x, y) = at(&bounds, &between);
                    evaluate_nodes(structure.nodes(), &x, &y)
                })
                .collect();
            for id in 0..structure.nodes().len() {
                for (i, degree) in structure.degrees(id as NodeId, block).iter().enumerate() {
                    let v: Vec<f64> = values.iter().map(|v| v[id][i]).collect();
                    let size = 1.0 + v.iter().fold(0.0, |s: f64, v| s.max(v.abs()));
                    let difference = match degree {
                        Degree::Constant => v[1] - v[0],
                        Degree::Affine => v[2] - 2.0 * v[1] + v[0],
                        Degree::Quadratic => v[3] - 3.0 * v[2] + 3.0 * v[1] - v[0],
                        Degree::Nonlinear => 0.0,
                    };
                    prop_assert!(!(difference.abs() > 1e-8 * size), "{block:?} {id} {degree:?} {v:?} {:?}", structure.nodes());
                }
            }
        }
    }

    #[test]
    fn coefficients_reproduce_the_formula(genes in genes(), bounds in boxes(), t in place()) {
        let root = random_formula(&Graph::new(), &genes);
        let structure = Structure::new(&[root], &bounds).unwrap();
        let (x, y) = at(&bounds, &t);
        let values = evaluate_nodes(structure.nodes(), &x, &y);
        for (id, expected) in values.iter().enumerate() {
            let close = |value: f64, i: usize| !((value - expected[i]).abs() > 1e-8 * (1.0 + expected[i].abs()));
            if let Some(rows) = structure.affine_rows(id as NodeId) {
                let mut found = rows.constant.clone();
                rows.leader.mul_add(1.0, &x, &mut found);
                rows.follower.mul_add(1.0, &y, &mut found);
                prop_assert!(found.iter().enumerate().all(|(i, &v)| close(v, i)), "{id} {found:?} {expected:?}");
            } else if structure.degree(id as NodeId, Block::Both) <= Degree::Affine {
                let undefined = expected.iter().any(|v| v.is_nan());
                let unbounded = structure.range(id as NodeId).iter().any(|r| !r.is_finite());
                prop_assert!(undefined || unbounded, "no coefficients of {id} {:?}", structure.nodes());
            }
            for block in Block::ALL {
                let Some(form) = structure.quadratic(id as NodeId, block) else { continue };
                let z: Vec<f64> = match block {
                    Block::Leader => x.clone(),
                    Block::Follower => y.clone(),
                    Block::Both => x.iter().chain(&y).copied().collect(),
                };
                if let (Some(linear), Some(constant)) = (&form.linear, form.constant) {
                    let mut product = vec![0.0; z.len()];
                    form.hessian.mul_add(0.5, &z, &mut product);
                    let found = z.iter().zip(product.iter().zip(linear)).map(|(z, (q, c))| z * (q + c)).sum::<f64>() + constant;
                    prop_assert!(close(found, 0), "{block:?} {id} {found} {expected:?}");
                }
                prop_assert!(block != Block::Both || form.linear.is_some(), "{id} {:?}", structure.nodes());
            }
        }
    }

    /// Where smoothness is claimed, there is no jump of the slope at the points where kinks are likely.
    #[test]
    fn smooth_formulas_have_no_kinks_at_samples(genes in genes(), bounds in boxes(), s in place(), t in place()) {
        let root = random_formula(&Graph::new(), &genes);
        let structure = Structure::new(&[root], &bounds).unwrap();
        for block in Block::ALL {
            let target = moved(block, &s, &t);
            // Second differences over the step, at 1/2 of the way.
            let bend = |h: f64| {
                let [before, middle, after] = [0.5 - h, 0.5, 0.5 + h].map(|k| {
                    let between: Vec<f64> = s.iter().zip(&target).map(|(a, b)| a + k * (b - a)).collect();
                    let (x, y) = at(&bounds, &between);
                    evaluate_nodes(structure.nodes(), &x, &y)
                });
                let component = |id: usize, i: usize| (after[id][i] - 2.0 * middle[id][i] + before[id][i]) / h;
                (0..middle.len()).map(|id| (0..middle[id].len()).map(|i| component(id, i)).collect()).collect::<Vec<Vec<f64>>>()
            };
            let (coarse, fine) = (bend(1e-4), bend(1e-5));
            let (x, y) = at(&bounds, &s);
            // Rounding errors of large values look like jumps.
            let size = evaluate_nodes(structure.nodes(), &x, &y).iter().flatten().fold(1.0, |s: f64, v| s.max(v.abs()));
            if size > 1e3 {
                continue;
            }
            for id in 0..structure.nodes().len() {
                if structure.is_smooth(id as NodeId, block) {
                    for (a, b) in coarse[id].iter().zip(&fine[id]) {
                        let jump = b.abs() > 0.3 && (a - b).abs() < 0.1 * a.abs();
                        prop_assert!(!jump, "{block:?} {id}: {a} {b}");
                    }
                }
            }
        }
    }
}

/// One leader variable in [0, 2], a follower vector of 3, unbounded, and a scalar follower variable, unbounded.
struct Setting {
    graph: Graph,
    x: Expr,
    w: Expr,
    y: Expr,
    bounds: VariableBounds,
}

fn setting() -> Setting {
    let graph = Graph::new();
    let free = [f64::INFINITY; 4];
    let bounds = VariableBounds::new(&[0.0], &[2.0], &free.map(|v| -v), &free).unwrap();
    Setting {
        x: graph.variable(Level::Leader, 0, Shape::Scalar),
        w: graph.variable(Level::Follower, 0, Shape::Vector(3)),
        y: graph.variable(Level::Follower, 3, Shape::Scalar),
        graph,
        bounds,
    }
}

fn curvature(expr: &Expr, bounds: &VariableBounds, block: Block) -> Curvature {
    let structure = Structure::new(std::slice::from_ref(expr), bounds).unwrap();
    structure.curvature(structure.roots()[0], block)
}

fn data() -> (Matrix, Expr, Setting) {
    let setting = setting();
    let matrix = Dense::from_row_major(4, 3, (0..12).map(|i| f64::from(i * i % 7) - 2.0).collect()).unwrap();
    let target = setting.graph.constant_vector(&[1.0, -1.0, 1.0, 1.0]);
    (matrix.into(), target, setting)
}

#[test]
fn standard_followers_are_convex() {
    let (a, b, s) = data();
    let (x, w, y) = (&s.x, &s.w, &s.y);
    let convex = [
        (&a * w - &b).norm2sq() + x * w.norm1(),
        (&a * w - &b).norm2sq() / 8.0 + x.exp() * w.norm1() + (2.0 * x).exp() * w.norm2sq(),
        (-(&b * (&a * w))).softplus().mean() + x * w.norm1(),
        (&b * (&a * w - y)).hinge().sum() + 0.5 * (x.exp() * w.norm2sq()),
        x * y.abs(),
        (&a * w - &b).huber(0.5).sum(),
        (&a * w - &b).norm_inf() + w.norm_p(3.0) + w.group_norm_sized(&[1, 2]),
        (&a * w).exp().sum().log() - y,
        (w.square().sum() + y.square() + 1.0).sqrt(),
        (w.norm2sq()) / (y.square() * 0.0 + 2.0 + x),
        y.pow(4.0) + x * y.square() + (y - 1.0).plus().square(),
        (y + 1.0).max(&(2.0 * y)).max(&-y) - (y.min(&s.graph.constant(3.0)) * 2.0),
    ];
    for (i, f) in convex.iter().enumerate() {
        let found = curvature(f, &s.bounds, Block::Follower);
        assert_eq!(found, Curvature::Convex, "{i}");
        assert_eq!(curvature(&-f, &s.bounds, Block::Follower), Curvature::Concave, "{i}");
    }
    for (i, f) in [(x - 1.0) * y.abs(), w.norm_p(0.5), y.sin(), y.abs_power(0.5), y.pow(3.0)].iter().enumerate() {
        assert_eq!(curvature(f, &s.bounds, Block::Follower), Curvature::Unknown, "{i}");
    }
    assert_eq!(curvature(&((x - 1.0) * y), &s.bounds, Block::Follower), Curvature::Affine);
    assert_eq!(curvature(&((x - 1.0) * y), &s.bounds, Block::Both), Curvature::Unknown);
    assert_eq!(curvature(&(x * (1.0 - y).log()), &s.bounds, Block::Follower), Curvature::Concave);
}

#[test]
fn quadratics_are_decided_by_their_hessian() {
    let graph = Graph::new();
    let [y1, y2] = [0, 1].map(|i| graph.variable(Level::Follower, i, Shape::Scalar));
    let x = graph.variable(Level::Leader, 0, Shape::Scalar);
    let bounds = VariableBounds::new(&[1.0], &[2.0], &[f64::NEG_INFINITY; 2], &[f64::INFINITY; 2]).unwrap();
    let check = |f: &Expr, expected| assert_eq!(curvature(f, &bounds, Block::Follower), expected);
    let f = (&y1 + &y2 - &x).square() + 0.5 * (&y1 * &y2) + y1.square();
    check(&((&y1 + &y2 - &x).square() + &y1 * &y2 + y1.square()), Curvature::Unknown);
    check(&f, Curvature::Convex);
    check(&(&f - 2.0 * y1.square()), Curvature::Unknown);
    check(&(&y1 * &y2 + y1.abs() + y1.square() + y2.square() * 0.25), Curvature::Convex);
    check(&(&y1 * &y2 + y1.abs() + y1.square() + y2.square() * 0.2), Curvature::Unknown);
    check(&(y1.square() + 2.0 * (&y1 * &y2) + y2.square()), Curvature::Convex);
    check(&(&x * &y1 * &y2 + 2.0 * y1.square() + y2.square()), Curvature::Convex);
    check(&(&x * &y1 * &y2 + y1.square() + y2.square() * 0.9), Curvature::Unknown);
    check(&(&x * y1.square() - y1.square() * 0.5 - &y2), Curvature::Convex);
    check(&(y1.exp() + &y1 * &y2 - (y1.square() + y2.square())), Curvature::Unknown);
    check(&(0.1 * (&y1 * &y2) - (y1.square() + y2.square()) + (1.0 - &y1).log()), Curvature::Concave);
    // In all variables together: (y1 + y2 - x)^2 + y1 y2 / 2 + y1^2 has no term in x alone besides the square.
    assert_eq!(curvature(&f, &bounds, Block::Both), Curvature::Unknown);
    assert_eq!(curvature(&(&f + 3.0 * (x.square() + y2.square())), &bounds, Block::Both), Curvature::Convex);
    assert_eq!(curvature(&f, &bounds, Block::Leader), Curvature::Convex);
}

#[test]
fn second_derivatives_on_the_box_decide_where_rules_are_silent() {
    let graph = Graph::new();
    let y = graph.variable(Level::Follower, 0, Shape::Scalar);
    let z = graph.variable(Level::Follower, 1, Shape::Scalar);
    let on = |lower: f64, upper: f64| VariableBounds::new(&[], &[], &[lower, 0.0], &[upper, 0.1]).unwrap();
    let f = y.pow(4.0) - 2.0 * y.square();
    assert_eq!(curvature(&f, &on(1.0, 3.0), Block::Follower), Curvature::Convex);
    assert_eq!(curvature(&f, &on(-0.5, 0.5), Block::Follower), Curvature::Concave);
    assert_eq!(curvature(&f, &on(0.0, 3.0), Block::Follower), Curvature::Unknown);
    assert_eq!(curvature(&(&y * y.exp()), &on(-0.25, 1.0), Block::Follower), Curvature::Convex);
    let coupled = &y * y.exp() + &z * &y * 0.1 + 2.0 * z.square();
    assert_eq!(curvature(&coupled, &on(0.0, 1.0), Block::Follower), Curvature::Convex);
    assert_eq!(curvature(&y.sin(), &on(0.0, 3.0), Block::Follower), Curvature::Concave);
    // Travel time that grows with the flow: the second derivative 1 / (x + 1) is positive, without an upper bound.
    let x = graph.variable(Level::Leader, 0, Shape::Scalar);
    let bounds = VariableBounds::new(&[-1.0], &[f64::INFINITY], &[0.0; 2], &[f64::INFINITY; 2]).unwrap();
    let flow = &y * (&y / (2.0 * (&x + 1.0)) + 10.0) + 5.0 * z.square() / (x + 1.0);
    assert_eq!(curvature(&flow, &bounds, Block::Follower), Curvature::Convex);
}

#[test]
fn kinks_are_found_where_the_range_meets_them() {
    let s = setting();
    let f = s.w.abs().sum() + s.x.abs() + (&s.x - 1.0).abs() * &s.y + (s.y.square() + 1.0).sqrt();
    let structure = Structure::new(&[f], &s.bounds).unwrap();
    let root = structure.roots()[0];
    assert_eq!(structure.kinks(root, Block::Follower).len(), 1);
    assert_eq!(structure.kinks(root, Block::Leader).len(), 1);
    assert_eq!(structure.kinks(root, Block::Both).len(), 2);
    assert!(!structure.is_smooth(root, Block::Follower));
    assert!(structure.depends(root, Block::Leader));
    let structure = Structure::new(&[s.w.square().exp().sum() * s.x.abs()], &s.bounds).unwrap();
    assert!(structure.is_smooth(structure.roots()[0], Block::Both));
}

#[test]
fn rows_and_bounds() {
    let graph = Graph::new();
    let x = graph.variable(Level::Leader, 0, Shape::Vector(2));
    let y = graph.variable(Level::Follower, 0, Shape::Vector(2));
    let sparse = Csr::from_triplets(2, 2, &[(0, 0, 3.0), (1, 1, 0.5)]).unwrap();
    let f = concat(&[2.0 * x.index(0) + y.index(1) - 3.0, -4.0 * y.index(0) + 1.0, &Matrix::from(sparse) * &x / 3.0]);
    let structure = Structure::new(&[f], &VariableBounds::unbounded(2, 2)).unwrap();
    let rows = structure.affine_rows(structure.roots()[0]).unwrap();
    let leader = [(0, 0, 2.0), (2, 0, 1.0), (3, 1, 0.5 / 3.0)];
    assert_eq!(rows.leader, Csr::from_triplets(4, 2, &leader).unwrap());
    assert_eq!(rows.follower, Csr::from_triplets(4, 2, &[(0, 1, 1.0), (1, 0, -4.0)]).unwrap());
    assert_eq!(rows.constant, [-3.0, 1.0, 0.0, 0.0]);
    assert_eq!(rows.bound(0, false), None);
    let bound = |level, index, lower, upper| Some(VariableBound { level, index, lower, upper });
    assert_eq!(rows.bound(1, false), bound(Level::Follower, 0, 0.25, f64::INFINITY));
    assert_eq!(rows.bound(2, false), bound(Level::Leader, 0, f64::NEG_INFINITY, 0.0));
    assert_eq!(rows.bound(1, true), bound(Level::Follower, 0, 0.25, 0.25));
    assert_eq!(rows.bound(9, true), None);
}

#[test]
fn quadratic_forms_of_a_block() {
    let (a, b, s) = data();
    let f = (&a * &s.w - &b).norm2sq() + s.x.exp() * &s.y + s.x.sin();
    let structure = Structure::new(&[f], &s.bounds).unwrap();
    let form = structure.quadratic(structure.roots()[0], Block::Follower).unwrap();
    assert!(form.linear.is_none() && form.constant.is_none());
    let gram = match &a {
        Matrix::Dense(a) => a.transpose().matmul(a).unwrap(),
        Matrix::Sparse(_) => panic!("the data are dense"),
    };
    let mut expected = Dense::zeros(4, 4);
    for i in 0..3 {
        for j in 0..3 {
            expected[(i, j)] = 2.0 * gram[(i, j)];
        }
    }
    let mut found = Dense::zeros(4, 4);
    form.hessian.for_each(|i, j, v| found[(i, j)] += v);
    assert_eq!(found, expected);
    assert!(structure.quadratic(structure.roots()[0], Block::Both).is_none());
    let f = &s.x * s.y.square();
    let structure = Structure::new(&[f], &s.bounds).unwrap();
    assert!(structure.quadratic(structure.roots()[0], Block::Follower).is_none(), "the Hessian depends on x");
}

#[test]
fn many_dense_rows_give_a_dense_hessian() {
    let n = 100;
    let graph = Graph::new();
    let y = graph.variable(Level::Follower, 0, Shape::Vector(n));
    let a = Dense::from_fn(40, n, |i, j| f64::from((i * 31 + j * 17) as u32 % 11) - 5.0);
    let f = (&Matrix::from(a.clone()) * &y).norm2sq() * 0.5;
    let structure = Structure::new(&[f], &VariableBounds::unbounded(0, n)).unwrap();
    let form = structure.quadratic(structure.roots()[0], Block::Follower).unwrap();
    let Matrix::Dense(hessian) = &form.hessian else { panic!("not dense") };
    assert_eq!(**hessian, a.transpose().matmul(&a).unwrap());
}

#[test]
fn mistakes_are_errors() {
    let s = setting();
    let few = VariableBounds::unbounded(1, 3);
    let error = Structure::new(std::slice::from_ref(&s.y), &few).unwrap_err();
    assert_eq!(error, StructureError::Variables { level: "follower", needed: 4, given: 3 });
    assert!(matches!(
        VariableBounds::new(&[0.0], &[], &[], &[]),
        Err(StructureError::Lengths { level: "leader", lower: 1, upper: 0 })
    ));
    let other = setting();
    let error = Structure::new(&[s.x.clone(), other.x.clone()], &s.bounds).unwrap_err();
    assert_eq!(error, StructureError::Expression(ExprError::TwoGraphs));
    let structure = Structure::new(&[s.x], &s.bounds).unwrap();
    assert!(
        structure.range(7).is_empty()
            && structure.affine_rows(7).is_none()
            && structure.kinks(7, Block::Both).is_empty()
    );
    assert!(structure.quadratic(7, Block::Both).is_none());
    assert_eq!(evaluate(&other.x, &[2.0], &[]), [2.0]);
}

#[test]
fn large_formulas_stay_cheap() {
    let (n, m) = (300, 1500);
    let graph = Graph::new();
    let y = graph.variable(Level::Follower, 0, Shape::Vector(m));
    let x = graph.variable(Level::Leader, 0, Shape::Scalar);
    let a = Matrix::from(Dense::from_fn(n, m, |i, j| (((i * 7 + j * 13) % 19) as f64) / 19.0));
    let f = (&a * &y).norm2sq() + x.exp() * y.norm1() + (&a * &y.abs()).max_of();
    let structure = Structure::new(&[f], &VariableBounds::unbounded(1, m)).unwrap();
    let root = structure.roots()[0];
    assert_eq!(structure.curvature(root, Block::Follower), Curvature::Convex);
    assert_eq!(structure.curvature(root, Block::Both), Curvature::Unknown);
}

/// Σ_ij q_ij y_i y_j + Σ_i y_i x_i written out term by term, and as products of vectors.
#[test]
fn long_sums_are_decided_as_a_whole() {
    let m = 60;
    let root = Dense::from_fn(m, m, |i, j| ((7 * i + 3 * j + i * j) % 11) as f64 - 5.0);
    let q = root.row_gram(None).unwrap();
    let graph = Graph::new();
    let (x, y) =
        (graph.variable(Level::Leader, 0, Shape::Vector(m)), graph.variable(Level::Follower, 0, Shape::Vector(m)));
    let written_out = |shift: f64| {
        let mut sum = x.index(0) * y.index(0);
        for i in 0..m {
            for j in 0..m {
                sum = sum + y.index(i) * y.index(j) * (q[(i, j)] + if i == j { shift } else { 0.0 });
            }
            sum = sum + x.index(i) * y.index(i);
        }
        sum
    };
    let in_vectors = |shift: f64| {
        let moved = Dense::from_fn(m, m, |i, j| q[(i, j)] + if i == j { shift } else { 0.0 });
        y.dot(&(&Matrix::from(moved) * &y)) + x.dot(&y)
    };
    let bounds = VariableBounds::unbounded(m, m);
    for (shift, curvature) in [(1.0, Curvature::Convex), (-1e6, Curvature::Concave), (-10.0, Curvature::Unknown)] {
        for formula in [written_out(shift), in_vectors(shift)] {
            let structure = Structure::new(&[formula], &bounds).unwrap();
            assert_eq!(structure.curvature(structure.roots()[0], Block::Follower), curvature, "{shift}");
            assert_eq!(structure.curvature(structure.roots()[0], Block::Both), Curvature::Unknown);
        }
    }
}

/// Neither term is convex by itself; the exponential, whose second derivative is known within wide bounds only, is left
/// to the rules.
#[test]
fn undecided_terms_are_decided_together() {
    let graph = Graph::new();
    let (x, y) =
        (graph.variable(Level::Leader, 0, Shape::Vector(1)), graph.variable(Level::Follower, 0, Shape::Vector(2)));
    let (a, b) = (y.index(0), y.index(1));
    let indefinite = x.index(0) * &a * &b;
    let formula = indefinite + (a.square() + b.square()) + (&a * 3.0 + &b).exp();
    let bounds = VariableBounds::new(&[1.0], &[2.0], &[-3.0; 2], &[3.0; 2]).unwrap();
    let structure = Structure::new(&[formula], &bounds).unwrap();
    assert_eq!(structure.curvature(structure.roots()[0], Block::Follower), Curvature::Convex);
}
