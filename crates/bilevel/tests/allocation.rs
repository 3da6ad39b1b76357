//! Evaluations allocate nothing: counted by an allocator, for values, gradients, Jacobians and Hessians of a formula
//! with every kind of operation.

use bilevel::expr::{Expr, Graph, Level, Matrix, Shape, Tape, Workspace, concat};
use bilevel::smooth::{self, Smoothing};
use bilevel_linalg::{Csr, Dense};

const N: usize = 3;
const M: usize = 8;

fn formulas() -> Vec<Expr> {
    let graph = Graph::new();
    let x = graph.variable(Level::Leader, 0, Shape::Vector(N));
    let y = graph.variable(Level::Follower, 0, Shape::Vector(M));
    let dense = Matrix::from(Dense::from_fn(M, M, |i, j| ((i * M + j) % 5) as f64 - 1.5));
    let entries = Dense::from_fn(M, M, |i, j| match (i, j) {
        (0, 1) => 2.0,
        (3, 3) => 1.0,
        (7, 0) => -1.0,
        _ => 0.0,
    });
    let sparse = Matrix::from(Csr::from_dense(&entries));
    let positive = y.square() + 0.5;
    let a = x.index(0);
    let smooth =
        y.sin() * y.cos() + y.tan().tanh() - y.sigmoid() / &positive + y.exp().log1p() + (&positive + 1.0).log().sqrt();
    let kinked =
        y.abs() + y.plus().softplus() + y.hinge().expm1() + y.huber(0.3) + y.abs_power(0.5) + positive.pow(1.3);
    let pairs = y.max(&a) + y.min(&y.gather(&[7, 6, 5, 4, 3, 2, 1, 0])) + positive.pow_expr(&(&a * &y));
    let norms = y.norm2() + y.norm_inf() + y.norm_p(3.0) + y.norm_p(0.5) + y.group_norm(2) + y.max_of() - y.min_of();
    let products = (&dense * &y).dot(&sparse.transpose_times(&y)) + y.quadratic(&dense) + y.quadratic(&sparse);
    vec![
        norms * &a + products + (&sparse * &y).norm2sq() + y.mean(),
        smooth + kinked + pairs,
        concat(&[y.exp(), x.clone(), -&y]).norm1(),
    ]
}

#[test]
fn evaluations_allocate_nothing() {
    let tape = Tape::compile(&formulas(), N, M).unwrap();
    let k = tape.outputs();
    let mut workspace = Workspace::new(&tape);
    let (x, y, seed) = (vec![0.3; N], vec![-0.2; M], vec![1.0; k]);
    let (mut gx, mut gy, mut out) = (vec![0.0; N], vec![0.0; M], vec![0.0; k]);
    let (mut jacobian, mut hessian) = (Dense::zeros(k, N), Dense::zeros(N + M, M));
    for smoothing in [Smoothing::EXACT, Smoothing::new(&smooth::Chks, 0.1), Smoothing::new(&smooth::Logistic, 0.1)] {
        let counted = allocation_counter::measure(|| {
            let mut at = tape.evaluate(&mut workspace, &x, &y, smoothing);
            at.move_follower(&y);
            at.write_outputs(&mut out);
            at.gradient(&seed, Some(&mut gx), Some(&mut gy));
            at.directional(Some(&x), None, &mut out);
            at.jacobian(0..N, &mut jacobian);
            let mut second = at.hessian(&seed);
            second.product(Some(&x), Some(&y), Some(&mut gx), Some(&mut gy));
            second.block(0..N + M, N..N + M, &mut hessian);
        });
        assert_eq!(counted.count_total, 0);
        assert!(hessian.data().iter().all(|v| v.is_finite()) && hessian.norm_max() > 0.0);
    }
    let counted = allocation_counter::measure(|| drop(Workspace::new(&tape)));
    assert!(counted.count_total > 0, "the counter counts");
}
