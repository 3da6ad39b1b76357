//! phi of small problems that can be worked out by hand.

use super::{Answers, Evaluation, Hyper, HyperFailure, HyperSettings};
use crate::expr::Expr;
use crate::problem::{Attitude, Model, Problem};
use crate::set::{Bounds, Set, Whole};

fn problem(m: usize, set: impl Into<Set>, build: impl Fn(&Expr, &Expr) -> (Expr, Expr)) -> Problem {
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", m).within(set).unwrap();
    let (upper, lower) = build(&x, &y);
    model.upper(upper).lower(lower).build().unwrap()
}

fn at(problem: &Problem, attitude: Attitude, x: f64) -> Result<Evaluation, HyperFailure> {
    Hyper::new(problem, attitude, &HyperSettings::default()).evaluate_in_full(&[x], 1e-8, None)
}

fn close(found: &Result<Evaluation, HyperFailure>, value: f64, slope: Option<f64>) {
    let found = found.as_ref().unwrap();
    assert!((found.point.value - value).abs() < 1e-6, "{} for {value}", found.point.value);
    assert!(found.point.lower.value <= value + 1e-12 && value <= found.point.upper.value + 1e-12, "{found:?}");
    if let Some(slope) = slope {
        let subgradient = found.point.subgradient.as_ref().unwrap();
        assert!((subgradient[0] - slope).abs() < 1e-6, "{subgradient:?} for {slope}");
    }
}

use Attitude::{Optimistic, Pessimistic};

/// Example 1 of Chen, Li & So: φ_p = −1 − clip(x, 0, 1).
#[test]
fn projection_on_a_square() {
    let square = Bounds::uniform(2, 0.0, 1.0).unwrap();
    let problem = problem(2, square, |x, y| {
        let target = crate::expr::concat(&[x.clone(), x * 0.0 + 2.0]);
        (-y.sum(), (y - target).norm2sq())
    });
    for (x, phi, slope) in [(-0.7, -1.0, Some(0.0)), (0.3, -1.3, Some(-1.0)), (1.8, -2.0, Some(0.0)), (0.0, -1.0, None)]
    {
        for attitude in [Optimistic, Pessimistic] {
            let found = at(&problem, attitude, x);
            close(&found, phi, slope);
            assert_eq!(found.unwrap().answers, Answers::Unique);
        }
    }
}

/// f = x y over [−1, 1]: two answers at 0, and everything between them.
#[test]
fn a_linear_follower_that_is_indifferent() {
    let problem = problem(1, Bounds::uniform(1, -1.0, 1.0).unwrap(), |x, y| (x + y, (x * y).sum()));
    close(&at(&problem, Optimistic, 0.0), -1.0, None);
    close(&at(&problem, Pessimistic, 0.0), 1.0, None);
    assert_eq!(at(&problem, Optimistic, 0.0).unwrap().answers, Answers::Face { dimension: 1 });
    close(&at(&problem, Optimistic, 0.5), -0.5, Some(1.0));
    close(&at(&problem, Pessimistic, 0.5), -0.5, Some(1.0));
    close(&at(&problem, Pessimistic, -0.5), 0.5, Some(1.0));
}

/// Linear follower with a coupled constraint y1 + y2 >= x: any split of x is optimal.
#[test]
fn a_face_that_moves_with_x() {
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 2).within(Bounds::uniform(2, 0.0, 5.0).unwrap()).unwrap();
    let upper = (y.index(0) - 1.0).square() + y.index(1) * 3.0 + (&x * &x).sum();
    model.lower_subject_to((y.sum()).at_least(&x.index(0)));
    let problem = model.upper(upper).lower(y.sum()).build().unwrap();
    // At x = 2: y = (2, 0), F = 1 + 4; y1 = x throughout: slope 2 (x − 1) + 2 x.
    close(&at(&problem, Optimistic, 2.0), 5.0, Some(6.0));
    // The worst: y = (0, 2): 1 + 6 + 4, slope 3 + 2 x.
    close(&at(&problem, Pessimistic, 2.0), 11.0, Some(7.0));
    assert_eq!(at(&problem, Optimistic, 2.0).unwrap().answers, Answers::Face { dimension: 1 });
}

/// Mirrlees 1999 at x = 1: two global answers.
#[test]
fn two_wells_tie() {
    let problem = problem(1, Bounds::uniform(1, -2.0, 2.0).unwrap(), |x, y| {
        let well = |shift: f64| (-(y + shift).square()).exp();
        let upper = (x - 2.0).square() + (y - 1.0).square();
        (upper.sum(), -(x * well(1.0)).sum() - well(-1.0).sum())
    });
    let found = at(&problem, Optimistic, 1.0);
    close(&found, 1.0018059, None);
    assert_eq!(found.unwrap().answers, Answers::Isolated { count: 2 });
    let worst = at(&problem, Pessimistic, 1.0).unwrap();
    assert!((worst.point.value - 4.8318).abs() < 1e-3, "{}", worst.point.value);
    assert_eq!(at(&problem, Pessimistic, 1.1).unwrap().answers, Answers::Unique);
}

/// f = |y1 + y2 − x| over a box: a segment of answers; F convex, so the worst end is a vertex.
#[test]
fn a_nonsmooth_follower() {
    let problem = problem(2, Bounds::uniform(2, -1.0, 1.0).unwrap(), |x, y| (y.norm2sq(), (y.sum() - x).abs().sum()));
    // Along y1 + y2 = 1/2 the nearest point is (1/4, 1/4), the farthest (1, −1/2).
    close(&at(&problem, Optimistic, 0.5), 0.125, Some(0.5));
    let worst = at(&problem, Pessimistic, 0.5).unwrap();
    assert!((worst.point.value - 1.25).abs() < 1e-6, "{}", worst.point.value);
    assert_eq!(worst.point.upper.value, f64::INFINITY);
}

#[test]
fn no_answer_no_bound_no_limit() {
    let free = problem(1, Whole::new(1), |x, y| ((x * y).sum(), (x * y).sum()));
    assert_eq!(at(&free, Optimistic, 1.0).unwrap_err(), HyperFailure::FollowerUnbounded);
    assert_eq!(at(&free, Optimistic, 0.0).unwrap().answers, Answers::Affine { dimension: 1 });
    let flat = problem(1, Whole::new(1), |x, y| ((x - y).square().sum(), x.square().sum()));
    close(&at(&flat, Optimistic, 0.3), 0.0, None);
    assert_eq!(at(&flat, Pessimistic, 0.3).unwrap_err(), HyperFailure::Infinite);
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 1).within(Bounds::uniform(1, 0.0, 1.0).unwrap()).unwrap();
    model.lower_subject_to(y.sum().at_least(&x.index(0)));
    let empty = model.upper(y.sum()).lower(y.sum()).build().unwrap();
    assert_eq!(at(&empty, Optimistic, 2.0).unwrap_err(), HyperFailure::NoAnswer);
    close(&at(&empty, Optimistic, 0.5), 0.5, Some(1.0));
}

/// f = (y1 + y2 − x)⁴: curvature vanishes on S(x), a segment.
#[test]
fn a_flat_bottom() {
    let problem = problem(2, Bounds::uniform(2, -2.0, 2.0).unwrap(), |x, y| {
        (y.norm2sq(), (y.sum() - x.index(0)).square().square())
    });
    let found = at(&problem, Optimistic, 0.5).unwrap();
    assert!((found.point.value - 0.125).abs() < 2e-2, "{}", found.point.value);
}

/// F with a kink on an affine S(x), and a follower with a set where F is concave.
#[test]
fn kinks_of_the_leader() {
    let free = problem(2, Whole::new(2), |x, y| (y.abs().sum(), (y.index(0) + y.index(1) * 2.0 - x.index(0)).square()));
    // The shortest in the sum of absolute values: (0, x / 2).
    close(&at(&free, Optimistic, 3.0), 1.5, None);
    assert_eq!(at(&free, Optimistic, 3.0).unwrap().answers, Answers::Affine { dimension: 1 });
}

#[test]
fn nearly_best_answers() {
    let with_eta = |problem: &Problem, attitude, x: f64, eta: f64| {
        Hyper::new(problem, attitude, &HyperSettings { eta, ..HyperSettings::default() }).evaluate_in_full(
            &[x],
            1e-8,
            None,
        )
    };
    let ball = problem(1, Whole::new(1), |x, y| (y.sum(), (y - x).square().sum()));
    close(&with_eta(&ball, Optimistic, 0.7, 0.01), 0.6, Some(1.0));
    close(&with_eta(&ball, Pessimistic, 0.7, 0.01), 0.8, Some(1.0));
    // f = x y on [−1, 1]: y <= −1 + eta / x.
    let linear = problem(1, Bounds::uniform(1, -1.0, 1.0).unwrap(), |x, y| (x - y, (x * y).sum()));
    close(&with_eta(&linear, Optimistic, 0.5, 0.25), 1.0, Some(2.0));
    close(&with_eta(&linear, Pessimistic, 0.5, 0.25), 1.5, Some(1.0));
    assert_eq!(with_eta(&linear, Optimistic, 0.5, 0.25).unwrap().answers, Answers::Tolerance);
}

/// A rank-deficient logistic follower: the answer solves the optimality conditions of the simple bilevel problem.
#[test]
fn a_convex_follower_that_is_not_quadratic() {
    use super::testing::{normal_matrix, normals};
    use bilevel_linalg::vector::{norm2, sub};
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
    let a = normal_matrix(4, 12, 1.0, &mut rng);
    let target = normals(12, &mut rng);
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 12).free().unwrap();
    let image = &crate::expr::Matrix::from(a.clone()) * &y;
    // Every softplus against its mirror image: a minimum exists.
    let lower = image.softplus().sum() + (-&image).softplus().sum() + (&image - x.index(0)).square().sum() * 0.1;
    let upper = (&y - model.graph().constant_vector(&target)).norm2sq() * 0.5;
    let problem = model.upper(upper).lower(lower).build().unwrap();
    let hyper = |x: f64| Hyper::new(&problem, Optimistic, &HyperSettings::default()).evaluate_in_full(&[x], 1e-8, None);
    let found = hyper(0.8).unwrap();
    assert_eq!((found.route, found.answers), ("null space", Answers::Affine { dimension: 8 }));
    // Every image t solves tanh(t / 2) + 0.2 (t − x) = 0.
    let mut images = vec![0.0; 4];
    a.mul_add(1.0, &found.point.y, &mut images);
    assert!(images.iter().all(|t| ((t / 2.0).tanh() + 0.2 * (t - 0.8)).abs() < 1e-10), "{images:?}");
    // y − target lies in the range of Aᵀ.
    let mut off = vec![0.0; 12];
    sub(&found.point.y, &target, &mut off);
    let svd = bilevel_linalg::Svd::new(&a, None).unwrap();
    let mut part = vec![0.0; 8];
    svd.null_space().mul_add(1.0, &off, &mut part);
    assert!(norm2(&part) < 1e-9);
    let (left, right) = (hyper(0.8 - 1e-5).unwrap().point.value, hyper(0.8 + 1e-5).unwrap().point.value);
    assert!(((right - left) / 2e-5 - found.point.subgradient.unwrap()[0]).abs() < 1e-6);
}

/// The leader's constraint y1 >= 1 restricts what an optimistic leader may count on.
#[test]
fn constraints_of_the_leader_on_the_answer() {
    let build = |at_least: f64| {
        let mut model = Model::new();
        let x = model.leader("x", 1).free().unwrap();
        let y = model.follower("y", 2).within(Bounds::uniform(2, 0.0, 3.0).unwrap()).unwrap();
        model.upper_subject_to(y.index(0).at_least(at_least));
        model.upper(y.norm2sq()).lower((y.sum() - x.index(0)).square()).build().unwrap()
    };
    // y1 + y2 = x: without the constraint (x/2, x/2), with it (1, x − 1).
    close(&at(&build(1.0), Optimistic, 1.5), 1.25, Some(1.0));
    close(&at(&build(0.5), Optimistic, 1.5), 1.125, Some(1.5));
    assert_eq!(at(&build(2.0), Optimistic, 1.5).unwrap_err(), HyperFailure::NoAnswer);
}

/// Random followers, half of them over a box: the interval holds the value of a programme that is solved another way.
#[test]
fn intervals_hold_the_value() {
    use super::testing::{normal_matrix, normals};
    use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
    use bilevel_linalg::{Csr, Dense};
    use rand::SeedableRng;
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(12);
    for round in 0..200 {
        let (m, p) = (3 + round % 6, 1 + round % 3);
        let (a, target) = (normal_matrix(p, m, 1.0, &mut rng), normals(m, &mut rng));
        let inside: Vec<f64> = normals(m, &mut rng).iter().map(|v| v.tanh()).collect();
        let mut b = vec![0.0; p];
        a.mul_add(1.0, &inside, &mut b);
        let half = if round % 2 == 0 { f64::INFINITY } else { 1.0 };
        let mut model = Model::new();
        let x = model.leader("x", 1).free().unwrap();
        let set = Bounds::from_vectors(vec![-half; m], vec![half; m]).unwrap();
        let y = model.follower("y", m).within(set).unwrap();
        let constant = |values: &[f64]| model.graph().constant_vector(values);
        let lower = (&crate::expr::Matrix::from(a.clone()) * &y - constant(&b) * x.index(0)).norm2sq();
        let upper = (&y - constant(&target)).norm2sq() * 0.5;
        let problem = model.upper(upper).lower(lower).build().unwrap();
        let found = at(&problem, Optimistic, 1.0).unwrap().point;
        let linear: Vec<f64> = target.iter().map(|t| -t).collect();
        let qp = Qp {
            hessian: QpHessian::Dense(&Dense::identity(m)),
            linear: &linear,
            lower: &vec![-half; m],
            upper: &vec![half; m],
            rows: &Csr::from_dense(&a),
            row_lower: &b,
            row_upper: &b,
            balls: &[],
        };
        let exact = solve_qp(&qp, &QpOptions::default()).unwrap();
        let phi = exact.objective + 0.5 * target.iter().map(|t| t * t).sum::<f64>();
        // The reference is exact to about 1e-12 itself.
        let slack = 1e-11 * (1.0 + phi.abs());
        assert!(found.lower.value <= phi + slack && phi - slack <= found.upper.value, "{round}: {phi} {found:?}");
        assert!((found.value - phi).abs() < 1e-7 * (1.0 + phi.abs()), "{round}: {phi} {}", found.value);
    }
}

/// f = x y with y² <= 2: next to x = 0 the multiplier is rounding, and all y are answers as far as anyone can tell.
#[test]
fn a_follower_that_is_indifferent_within_rounding() {
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 1).within(Bounds::uniform(1, -2.0, 2.0).unwrap()).unwrap();
    model.lower_subject_to(y.square().at_most(2.0));
    let problem = model.upper((&y - 0.5).square().sum()).lower((&x * &y).sum()).build().unwrap();
    let (near, far) = ((2f64.sqrt() - 0.5).powi(2), (2f64.sqrt() + 0.5).powi(2));
    for x in [1e-4, 1e-7, 1e-8, 3e-9, 1e-9, 1e-10, 1e-12, 0.0] {
        // The answer that is exactly right counts, whatever else does.
        let value = |x: f64, attitude| at(&problem, attitude, x).unwrap().point.value;
        assert!(value(x, Pessimistic) > far - 1e-5 && value(-x, Pessimistic) > near - 1e-5, "{x}");
        if x <= 3e-9 {
            assert!(value(-x, Pessimistic) > far - 1e-5 && value(x, Optimistic) < 1e-5, "{x}");
        }
    }
}

/// The face is all of Y, F is convex, and f rises by more than rounding to the far end: the near end is the worst.
#[test]
fn a_step_back_is_never_behind_the_minimiser() {
    let problem = problem(1, Bounds::uniform(1, -2.0, 2.0).unwrap(), |x, y| ((y + 0.3).square(), (x * y).sum()));
    for x in [3e-9, 5e-9, 1e-8, 5e-8] {
        assert!(at(&problem, Pessimistic, x).unwrap().point.value >= 1.7f64.powi(2) - 1e-9, "{x}");
    }
}
