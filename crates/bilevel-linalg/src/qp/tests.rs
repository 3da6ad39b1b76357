use super::*;
use crate::testing::{Stream, dense, spd};
use proptest::prelude::*;

struct Data {
    hessian: Dense,
    linear: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    rows: Csr,
    row_lower: Vec<f64>,
    row_upper: Vec<f64>,
    balls: Vec<Ball>,
}

impl Data {
    fn qp(&self) -> Qp<'_> {
        Qp {
            hessian: QpHessian::Dense(&self.hessian),
            linear: &self.linear,
            lower: &self.lower,
            upper: &self.upper,
            rows: &self.rows,
            row_lower: &self.row_lower,
            row_upper: &self.row_upper,
            balls: &self.balls,
        }
    }

    /// A feasible programme: the bounds and rows are set around a point.
    fn random(n: usize, r: usize, seed: u64) -> Self {
        let mut stream = Stream::new(seed);
        let point: Vec<f64> = (0..n).map(|_| stream.next()).collect();
        let matrix = dense(r, n, seed + 1);
        let mut image = vec![0.0; r];
        matrix.mul_add(1.0, &point, &mut image);
        let mut around = |v: f64| match stream.below(5) {
            0 => (v, v),
            1 => (f64::NEG_INFINITY, v),
            2 => (v - 1.0, f64::INFINITY),
            3 => (f64::NEG_INFINITY, f64::INFINITY),
            _ => (v - 0.5, v + 0.3),
        };
        let (lower, upper) = point.iter().map(|&v| around(v)).unzip();
        let (row_lower, row_upper) = image.iter().map(|&v| around(v)).unzip();
        Self {
            hessian: spd(n, seed + 2),
            linear: dense(1, n, seed + 3).data().iter().map(|v| 3.0 * v).collect(),
            lower,
            upper,
            rows: Csr::from_dense(&matrix),
            row_lower,
            row_upper,
            balls: Vec::new(),
        }
    }
}

fn solve(data: &Data) -> QpSolution {
    solve_qp(&data.qp(), &QpOptions::default()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn answers_satisfy_the_optimality_conditions(n in 1..12usize, r in 0..8usize, seed in 0..10_000u64) {
        let data = Data::random(n, r, seed);
        let s = solve(&data);
        prop_assert_eq!(s.status, QpStatus::Solved);
        prop_assert!(s.residual <= 1e-12, "residual {}", s.residual);
        prop_assert_eq!(s.residual, qp_residual(&data.qp(), &s));
        // Stationarity with the documented signs, written out.
        for j in 0..n {
            let left: f64 = (0..n).map(|i| data.hessian[(j, i)] * s.z[i]).sum::<f64>() + data.linear[j];
            let right: f64 = (0..r).map(|i| data.rows.to_dense()[(i, j)] * s.row_multipliers[i]).sum::<f64>() + s.bound_multipliers[j];
            prop_assert!((left - right).abs() <= 1e-8 * (1.0 + left.abs()));
            prop_assert!(s.bound_multipliers[j] <= 1e-9 || data.lower[j].is_finite());
            prop_assert!(s.bound_multipliers[j] >= -1e-9 || data.upper[j].is_finite());
        }
        prop_assert_eq!(&s, &solve(&data));
        // The sparse Hessian gives the same programme.
        let sparse = Csr::from_dense(&data.hessian);
        let twin = solve_qp(&Qp { hessian: QpHessian::Sparse(&sparse), ..data.qp() }, &QpOptions::default()).unwrap();
        prop_assert!((twin.objective - s.objective).abs() <= 1e-9 * (1.0 + s.objective.abs()));
    }

    #[test]
    fn balls_project(n in 1..6usize, radius in 0.01..3.0f64, seed in 0..1000u64) {
        // The projection of a point onto a ball, in closed form.
        let mut data = Data::random(n, 0, seed);
        data.hessian = Dense::identity(n);
        (data.lower, data.upper) = (vec![f64::NEG_INFINITY; n], vec![f64::INFINITY; n]);
        let (point, centre) = (dense(1, n, seed + 7), dense(1, n, seed + 8));
        data.linear = point.data().iter().map(|v| -v).collect();
        data.balls = vec![Ball { start: 0, centre: centre.data().to_vec(), radius }];
        let s = solve(&data);
        prop_assert_eq!(s.status, QpStatus::Solved);
        let away = crate::vector::distance_squared(point.data(), centre.data()).sqrt();
        let shrink = (radius / away).min(1.0);
        for j in 0..n {
            let expected = centre.data()[j] + shrink * (point.data()[j] - centre.data()[j]);
            prop_assert!((s.z[j] - expected).abs() <= 1e-8, "{} {}", s.z[j], expected);
        }
        prop_assert!((s.ball_multipliers[0] - (away - radius).max(0.0)).abs() <= 1e-7);
    }

    #[test]
    fn balls_with_rows_and_bounds(n in 2..8usize, r in 0..4usize, seed in 0..1000u64) {
        let mut data = Data::random(n, r, seed);
        // The point that the bounds were made around stays feasible.
        let mut stream = Stream::new(seed);
        let point: Vec<f64> = (0..n).map(|_| stream.next()).collect();
        data.balls = vec![
            Ball { start: 0, centre: point[..n - 1].iter().map(|v| v + 0.1).collect(), radius: 0.5 },
            Ball { start: 1, centre: point[1..].to_vec(), radius: 0.3 },
        ];
        let s = solve(&data);
        prop_assert!(s.status.is_answer());
        prop_assert!(s.residual <= 1e-7, "residual {}", s.residual);
    }

    #[test]
    fn degenerate_and_badly_scaled_programmes(n in 1..10usize, r in 0..12usize, rank in 0..5usize, seed in 0..100_000u64) {
        // P of low rank, every row twice, entries over eight decades.
        let mut data = Data::random(n, r, seed);
        let mut stream = Stream::new(seed + 9);
        data.hessian = Dense::zeros(n, n);
        dense(rank, n, seed + 4).gram_add(10f64.powf(2.0 * stream.next()), None, &mut data.hessian).unwrap();
        let (mut lower, mut upper) = (vec![-5.0; n], vec![5.0; n]);
        for j in 0..n {
            if data.lower[j] == data.upper[j] {
                (lower[j], upper[j]) = (data.lower[j], data.upper[j]);
            }
        }
        (data.lower, data.upper) = (lower, upper);
        let mut rows = data.rows.to_dense();
        for i in 0..r {
            let size = 10f64.powf(4.0 * stream.next());
            crate::vector::scale(size, rows.row_mut(i));
            data.row_lower[i] *= size;
            data.row_upper[i] *= size;
        }
        let rows = Csr::from_dense(&rows);
        data.rows = rows.stack(&rows).unwrap();
        data.row_lower.extend_from_within(..);
        data.row_upper.extend_from_within(..);
        let s = solve(&data);
        prop_assert!(s.status.is_answer(), "{:?} {}", s.status, s.residual);
        prop_assert!(s.residual <= 1e-8, "{:?} residual {}", s.status, s.residual);
    }

    #[test]
    fn linear_programmes_have_no_quadratic_term(n in 1..10usize, r in 0..6usize, seed in 0..1000u64) {
        let mut data = Data::random(n, r, seed);
        (data.lower, data.upper) = (vec![-2.0; n], vec![3.0; n]);
        let s = solve_qp(&Qp { hessian: QpHessian::Zero, ..data.qp() }, &QpOptions::default()).unwrap();
        prop_assert!(s.status.is_answer());
        prop_assert!(s.residual <= 1e-8, "residual {}", s.residual);
    }
}

fn tiny() -> Data {
    Data {
        hessian: Dense::identity(2),
        linear: vec![-1.0, -1.0],
        lower: vec![0.0, 0.0],
        upper: vec![1.0, 1.0],
        rows: Csr::empty(0, 2),
        row_lower: vec![],
        row_upper: vec![],
        balls: vec![],
    }
}

#[test]
fn infeasible_and_unbounded_programmes_are_named() {
    let mut data = tiny();
    data.rows = Csr::from_triplets(1, 2, &[(0, 0, 1.0), (0, 1, 1.0)]).unwrap();
    (data.row_lower, data.row_upper) = (vec![2.5], vec![f64::INFINITY]);
    assert_eq!(solve(&data).status, QpStatus::Infeasible);
    data.row_lower = vec![2.0];
    data.row_upper = vec![1.0];
    assert_eq!(solve(&data).status, QpStatus::Infeasible);
    (data.rows, data.row_lower, data.row_upper) = (Csr::empty(1, 2), vec![1.0], vec![2.0]);
    assert_eq!(solve(&data).status, QpStatus::Infeasible);

    let mut data = tiny();
    data.hessian = Dense::from_diagonal(&[1.0, 0.0]);
    data.upper = vec![f64::INFINITY; 2];
    assert_eq!(solve(&data).status, QpStatus::Unbounded);
    data.balls = vec![Ball { start: 0, centre: vec![0.0, 0.0], radius: -1.0 }];
    assert_eq!(solve(&data).status, QpStatus::Infeasible);
    data.balls[0].radius = 2.0;
    assert_eq!(solve(&data).status, QpStatus::Solved);
}

#[test]
fn degenerate_programmes() {
    // Everything fixed.
    let mut data = tiny();
    data.upper = vec![0.0, 0.0];
    let s = solve(&data);
    assert_eq!((s.status, &s.z[..]), (QpStatus::Solved, &[0.0, 0.0][..]));
    assert_eq!(s.bound_multipliers, vec![-1.0, -1.0]);
    // No constraint at all.
    let mut data = tiny();
    (data.lower, data.upper) = (vec![f64::NEG_INFINITY; 2], vec![f64::INFINITY; 2]);
    let s = solve(&data);
    assert_eq!(s.status, QpStatus::Solved);
    assert!(crate::vector::distance_inf(&s.z, &[1.0, 1.0]) < 1e-15);
    // The same row five times, once as an equality.
    let mut data = tiny();
    let triplets: Vec<_> = (0..10).map(|k| (k / 2, k % 2, 1.0)).collect();
    data.rows = Csr::from_triplets(5, 2, &triplets).unwrap();
    (data.row_lower, data.row_upper) = (vec![1.0, 0.0, 0.0, 0.0, 0.0], vec![1.0; 5]);
    let s = solve(&data);
    assert_eq!(s.status, QpStatus::Solved);
    assert!(crate::vector::distance_inf(&s.z, &[0.5, 0.5]) < 1e-12);
    assert!((crate::vector::sum(&s.row_multipliers) + 0.5).abs() < 1e-9);
    // No variables; a ball of radius zero; an empty ball.
    let none = Qp {
        hessian: QpHessian::Zero,
        linear: &[],
        lower: &[],
        upper: &[],
        rows: &Csr::empty(1, 0),
        row_lower: &[-1.0],
        row_upper: &[1.0],
        balls: &[],
    };
    assert_eq!(solve_qp(&none, &QpOptions::default()).unwrap().status, QpStatus::Solved);
    let none = Qp { row_lower: &[0.5], ..none };
    assert_eq!(solve_qp(&none, &QpOptions::default()).unwrap().status, QpStatus::Infeasible);
    let mut data = tiny();
    data.balls =
        vec![Ball { start: 0, centre: vec![0.25, 0.5], radius: 0.0 }, Ball { start: 2, centre: vec![], radius: 1.0 }];
    let s = solve(&data);
    assert_eq!((s.status, &s.z[..]), (QpStatus::Solved, &[0.25, 0.5][..]));
    assert_eq!(s.bound_multipliers, vec![-0.75, -0.5]);
    data.balls[0].centre[0] = -1.0;
    assert_eq!(solve(&data).status, QpStatus::Infeasible);
}

#[test]
fn bad_data_are_errors() {
    let mut data = tiny();
    data.linear[0] = f64::NAN;
    assert!(solve_qp(&data.qp(), &QpOptions::default()).is_err());
    let mut data = tiny();
    data.lower[1] = f64::NAN;
    assert!(solve_qp(&data.qp(), &QpOptions::default()).is_err());
    let mut data = tiny();
    data.hessian = Dense::identity(3);
    assert!(solve_qp(&data.qp(), &QpOptions::default()).is_err());
    let mut data = tiny();
    data.balls = vec![Ball { start: usize::MAX, centre: vec![0.0], radius: 1.0 }];
    assert!(solve_qp(&data.qp(), &QpOptions::default()).is_err());
    // Not convex: no panic, no endless loop.
    let mut data = tiny();
    data.hessian = Dense::from_diagonal(&[-1.0, -3.0]);
    let _ = solve(&data);
    data.hessian = Dense::from_diagonal(&[1e300, 1e-300]);
    let _ = solve(&data);
}

#[test]
fn a_stall_is_overcome() {
    // Takes the interior-point method 200 iterations to nowhere in its usual settings.
    let s = solve(&Data::random(11, 6, 4540));
    assert_eq!(s.status, QpStatus::Solved);
    assert!(s.residual < 1e-14);
}

#[test]
fn the_method_for_dense_data_agrees_with_the_conic_one() {
    for seed in 0..4 {
        let n = 60;
        let hessian = crate::testing::of_rank(n, n, if seed % 2 == 0 { n } else { 40 }, seed).row_gram(None).unwrap();
        let linear = crate::testing::dense(1, n, seed + 10).data().to_vec();
        let rows = Csr::from_dense(&crate::testing::dense(20, n, seed + 20));
        let (mut row_lower, mut row_upper) = (vec![f64::NEG_INFINITY; 20], vec![0.3; 20]);
        (row_lower[0], row_upper[0], row_lower[1]) = (0.1, 0.1, -0.2);
        let (lower, mut upper) = (vec![-1.0; n], vec![1.0; n]);
        (upper[3], upper[4]) = (f64::INFINITY, -1.0);
        let qp = Qp {
            hessian: QpHessian::Dense(&hessian),
            linear: &linear,
            lower: &lower,
            upper: &upper,
            rows: &rows,
            row_lower: &row_lower,
            row_upper: &row_upper,
            balls: &[],
        };
        let mut dense = super::interior::solve(&qp).unwrap();
        dense.residual = qp_residual(&qp, &dense);
        let conic = super::conic::solve(&qp, &QpOptions::default(), false);
        assert!(dense.residual < 1e-9, "{}", dense.residual);
        assert!((qp.objective(&dense.z) - qp.objective(&conic.z)).abs() < 1e-7);
    }
}
