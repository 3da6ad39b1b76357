//! Kinks, extreme scales, NaN, and vectors without entries.

use bilevel_linalg::Dense;

use crate::expr::{Expr, Graph, Level, Matrix, Shape, Tape, Workspace, concat};
use crate::smooth::{self, Smoothing};

fn follower(m: usize) -> Expr {
    Graph::new().variable(Level::Follower, 0, Shape::Vector(m))
}

/// Value, gradient and Hessian times ones.
fn jet(formula: &Expr, y: &[f64], smoothing: Smoothing<'_>) -> (f64, Vec<f64>, Vec<f64>) {
    let tape = Tape::compile(std::slice::from_ref(formula), 0, y.len()).unwrap();
    let mut workspace = Workspace::new(&tape);
    let mut at = tape.evaluate(&mut workspace, &[], y, smoothing);
    let (mut gradient, mut product) = (vec![0.0; y.len()], vec![0.0; y.len()]);
    at.gradient(&vec![1.0; tape.outputs()], None, Some(&mut gradient));
    at.hessian(&vec![1.0; tape.outputs()]).product(None, Some(&vec![1.0; y.len()]), None, Some(&mut product));
    (at.value(), gradient, product)
}

#[test]
fn the_documented_subgradient_at_kinks() {
    let y = follower(3);
    let cases: Vec<(Expr, [f64; 3], [f64; 3])> = vec![
        (y.plus().sum(), [0.0, 1.0, -1.0], [0.5, 1.0, 0.0]),
        (y.abs().sum(), [0.0, 2.0, -2.0], [0.0, 1.0, -1.0]),
        (y.norm2(), [0.0; 3], [0.0; 3]),
        (y.norm2(), [3.0, 0.0, -4.0], [0.6, 0.0, -0.8]),
        (y.max_of(), [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
        (y.max_of(), [1.0; 3], [1.0 / 3.0; 3]),
        (y.min_of(), [1.0, 2.0, 1.0], [0.5, 0.0, 0.5]),
        (y.norm_inf(), [0.0; 3], [0.0; 3]),
        (y.norm_inf(), [1.0, -2.0, 0.0], [0.0, -1.0, 0.0]),
        (y.index(0).max(&y.index(1)), [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
        (y.index(0).min(&y.index(1)), [1.0, 1.0, 0.0], [0.5, 0.5, 0.0]),
        (y.norm_p(0.5), [0.0, -4.0, 0.0], [0.0, -1.0, 0.0]),
        (y.abs_power(0.5).sum(), [0.0, 4.0, -4.0], [0.0, 0.25, -0.25]),
    ];
    for (formula, point, expected) in cases {
        let (_, gradient, product) = jet(&formula, &point, Smoothing::EXACT);
        assert_eq!(gradient, expected, "{:?} at {point:?}", formula.graph().node(formula.id().unwrap()).op);
        assert!(product.iter().all(|v| v.is_finite()));
    }
}

#[test]
fn extreme_scales() {
    let y = follower(2);
    let exact = |formula: &Expr, point: [f64; 2]| jet(formula, &point, Smoothing::EXACT);
    let (value, gradient, _) = exact(&y.norm2(), [3e300, -4e300]);
    assert!((value / 5e300 - 1.0).abs() < 1e-15 && (gradient[0] - 0.6).abs() < 1e-15);
    let (value, gradient, _) = exact(&y.norm2(), [3e-300, 4e-300]);
    assert!((value / 5e-300 - 1.0).abs() < 1e-15 && (gradient[1] - 0.8).abs() < 1e-15);
    assert_eq!(exact(&y.softplus().sum(), [1e300, -1e300]), (1e300, vec![1.0, 0.0], vec![0.0, 0.0]));
    assert_eq!(exact(&y.sigmoid().sum(), [1e300, -1e300]), (1.0, vec![0.0, 0.0], vec![0.0, 0.0]));
    assert_eq!(exact(&y.tanh().sum(), [1e300, -1e300]).1, [0.0, 0.0]);
    assert_eq!(exact(&y.huber(1.0).sum(), [1e300, 0.0]).1, [1.0, 0.0]);
    for name in smooth::names() {
        for mu in [1e-12, 1.0] {
            let smoothing = Smoothing::new(smooth::by_name(name).unwrap(), mu);
            for formula in [y.norm2(), y.norm_inf(), y.norm1(), y.max_of(), y.norm_p(3.0), y.norm_p(1.5)] {
                let (value, gradient, product) = jet(&formula, &[1e300, -1e-300], smoothing);
                assert!((value / 1e300 - 1.0).abs() < 1e-14, "{name} {value}");
                assert!((gradient[0] - 1.0).abs() < 1e-14 && gradient[1].abs() <= 1.0);
                assert!(product.iter().all(|v| v.is_finite()), "{name} {mu} {product:?}");
            }
            let (_, gradient, product) = jet(&y.norm2(), &[0.0, 0.0], smoothing);
            assert_eq!(gradient, [0.0, 0.0]);
            assert!(product.iter().all(|v| *v > 0.0));
        }
    }
}

#[test]
fn nan_comes_out() {
    let y = follower(3);
    let matrix = Matrix::from(Dense::from_row_major(3, 3, vec![1.0; 9]).unwrap());
    let formulas = vec![
        y.abs().sum(),
        y.plus().sum(),
        y.hinge().sum(),
        y.huber(1.0).sum(),
        y.softplus().sum(),
        y.sigmoid().sum(),
        y.tanh().sum(),
        y.square().sum(),
        y.abs_power(0.5).sum(),
        y.pow(3.0).sum(),
        y.max_of(),
        y.min_of(),
        y.norm1(),
        y.norm2(),
        y.norm_inf(),
        y.norm_p(0.5),
        y.norm_p(3.0),
        y.group_norm(3),
        y.quadratic(&matrix),
        (&matrix * &y).sum(),
        y.dot(&y.sin()),
        y.index(0).max(&y.index(1)),
        y.index(1).max(&y.index(0)),
        y.index(0).min(&y.index(1)),
        y.index(1).min(&y.index(0)),
        y.exp().log().sqrt().sum(),
        y.pow_expr(&y).sum(),
        y.norm2sq(),
        y.mean(),
        concat(&[y.index(1), y.index(0)]).max_of(),
    ];
    for smoothing in [Smoothing::EXACT, Smoothing::new(&smooth::Chks, 0.1), Smoothing::new(&smooth::Uniform, 0.1)] {
        for formula in &formulas {
            let (value, gradient, _) = jet(formula, &[f64::NAN, 1.0, 2.0], smoothing);
            let op = formula.graph().node(formula.id().unwrap()).op;
            assert!(value.is_nan(), "{op:?} {smoothing:?}");
            let linear = tape_is_linear(formula);
            assert!(linear || gradient.iter().any(|g| g.is_nan()), "{op:?} {smoothing:?} {gradient:?}");
        }
    }
    assert!(jet(&y.log().sum(), &[-1.0, 1.0, 1.0], Smoothing::EXACT).0.is_nan());
}

/// Linear formulas have a gradient everywhere.
fn tape_is_linear(formula: &Expr) -> bool {
    let tape = Tape::compile(std::slice::from_ref(formula), 0, 3).unwrap();
    tape.instructions().iter().all(|i| {
        use crate::expr::Op;
        matches!(i.op, Op::Sum | Op::MatVec { .. } | Op::Div)
    })
}

#[test]
fn a_zero_weight_wins_over_an_infinite_derivative() {
    let y = follower(2);
    let (value, gradient, _) = jet(&y.sqrt().max(&(&y + 1.0)).sum(), &[0.0, 4.0], Smoothing::EXACT);
    assert_eq!((value, gradient), (6.0, vec![1.0, 1.0]));
    let tape = Tape::compile(&[y.sqrt().sum(), y.sum()], 0, 2).unwrap();
    let mut workspace = Workspace::new(&tape);
    let mut gradient = [0.0; 2];
    tape.evaluate(&mut workspace, &[], &[0.0, 1.0], Smoothing::EXACT).gradient(&[0.0, 1.0], None, Some(&mut gradient));
    assert_eq!(gradient, [1.0, 1.0]);
}

#[test]
fn vectors_without_entries() {
    let y = follower(3);
    let none = y.slice(1..1);
    let matrix = Matrix::from(Dense::zeros(2, 0));
    let s = y.index(0);
    let zeros = [
        none.sum(),
        none.norm1(),
        none.norm2(),
        none.norm2sq(),
        none.norm_p(3.0),
        none.norm_p(0.5),
        none.norm_inf(),
        none.dot(&none.exp()),
        (&none * &s).sum(),
        (&s / &none).sum(),
        (&matrix * &none).sum(),
        none.group_norm(2),
        matrix.transpose_times(&y.slice(0..2)).sum(),
        none.max(&s).sum(),
        s.min(&none).sum(),
        s.pow_expr(&none).sum(),
        none.quadratic(&Dense::zeros(0, 0).into()),
        concat(&[none.clone(), none.exp()]).sum(),
        none.gather(&[]).sum(),
    ];
    for formula in &zeros {
        for smoothing in [Smoothing::EXACT, Smoothing::new(&smooth::Chks, 0.1)] {
            assert_eq!(jet(formula, &[1.0, 2.0, 3.0], smoothing), (0.0, vec![0.0; 3], vec![0.0; 3]));
        }
    }
}
