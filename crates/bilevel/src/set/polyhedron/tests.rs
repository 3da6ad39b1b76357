//! Tests of the polyhedron against the laws, the other sets and the conic solver.

use super::*;
use crate::set::{L1Ball, Simplex, laws};
use bilevel_linalg::Dense;
use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, QpSolution, QpStatus, solve_qp};
use proptest::prelude::*;

const INF: f64 = f64::INFINITY;

fn rows(entries: &[Vec<f64>], n: usize) -> Csr {
    let list: Vec<_> =
        entries.iter().enumerate().flat_map(|(i, r)| r.iter().enumerate().map(move |(j, &a)| (i, j, a))).collect();
    Csr::from_triplets(entries.len(), n, &list).unwrap()
}

/// The polyhedron of rows `l <= a z <= u`, all components in [low, high].
fn polyhedron(list: &[(&[f64], f64, f64)], n: usize, low: f64, high: f64) -> Result<Polyhedron, SetError> {
    let entries: Vec<Vec<f64>> = list.iter().map(|r| r.0.to_vec()).collect();
    let (l, u): (Vec<f64>, Vec<f64>) = list.iter().map(|r| (r.1, r.2)).unzip();
    Polyhedron::new(&rows(&entries, n), &l, &u, &vec![low; n], &vec![high; n])
}

fn project(set: &dyn ConvexSet, z: &[f64]) -> Vec<f64> {
    let mut out = vec![f64::NAN; z.len()];
    set.project(z, &mut out);
    out
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    norm(a.iter().zip(b).map(|(a, b)| a - b))
}

#[test]
fn bad_data_is_refused() {
    let text = |r: Result<Polyhedron, SetError>| r.unwrap_err().to_string();
    assert_eq!(text(polyhedron(&[(&[1.0, 1.0], 2.0, 1.0)], 2, 0.0, 1.0)), "the set is empty: row 0 in [2, 1]");
    assert_eq!(text(polyhedron(&[(&[0.0, 0.0], 1.0, 2.0)], 2, 0.0, 1.0)), "the set is empty: row 0 in [1, 2]");
    assert_eq!(text(polyhedron(&[], 2, 2.0, 1.0)), "the set is empty: component 0 in [2, 1]");
    assert_eq!(
        text(polyhedron(&[(&[0.0, -2.0], 1.0, 2.0)], 2, 0.0, 1.0)),
        "the set is empty: component 1 in [0, -0.5]"
    );
    assert_eq!(
        text(polyhedron(&[(&[1.0, 1.0], f64::NAN, 1.0)], 2, 0.0, 1.0)),
        "lower bound of row 0 must be a number, got NaN"
    );
    assert!(polyhedron(&[(&[1.0, f64::NAN], 0.0, 1.0)], 2, 0.0, 1.0).is_err());
    assert!(matches!(
        Polyhedron::new(&rows(&[], 2), &[], &[], &[0.0], &[1.0, 1.0]),
        Err(SetError::Length { wanted: 2, got: 1, .. })
    ));
}

#[test]
fn empty_sets_are_refused() {
    let far = polyhedron(&[(&[1.0, 1.0], 3.0, INF)], 2, 0.0, 1.0);
    let Err(SetError::Empty { violation }) = far else { panic!("{far:?}") };
    // At (1 + r, 1 + r), the bounds are violated by r and the unit row by (3 - 2 - 2 r) / sqrt(2).
    assert!((violation - 1.0 / (2.0 + 2f64.sqrt())).abs() < 1e-12, "{violation}");
    let rows: [(&[f64], f64, f64); 3] = [(&[1.0, 1.0], 1.0, INF), (&[1.0, -2.0], 1.0, INF), (&[-2.0, 1.0], 1.0, INF)];
    assert!(matches!(polyhedron(&rows, 2, -INF, INF), Err(SetError::Empty { .. })));
    let equations: [(&[f64], f64, f64); 2] = [(&[1.0, 1.0], 1.0, 1.0), (&[2.0, 2.0], 3.0, 3.0)];
    assert!(matches!(polyhedron(&equations, 2, -INF, INF), Err(SetError::Empty { .. })));
}

#[test]
fn contradictions_by_rounding_are_forgiven() {
    // 0.1 + 0.2 is not 0.3 in floating point.
    let set = Polyhedron::new(&rows(&[vec![1.0, 1.0]], 2), &[0.3], &[0.3], &[0.1, 0.2], &[0.1, 0.2]).unwrap();
    assert_eq!(set.affine_dimension(), Some(0));
    assert!(apart(&project(&set, &[5.0, 5.0]), &[0.1, 0.2]) < 1e-15);
    let inequality = Polyhedron::new(&rows(&[vec![1.0, 1.0]], 2), &[-INF], &[0.3], &[0.1, 0.2], &[1.0, 1.0]).unwrap();
    assert_eq!(inequality.affine_dimension(), Some(0));
    assert!(inequality.violation(&project(&inequality, &[5.0, 5.0])) < 1e-15);
    assert!(polyhedron(&[(&[3.0], 0.9, INF)], 1, -INF, 0.3).is_ok());
}

#[test]
fn flat_sets_have_their_dimension() {
    // x + y <= 0 and x, y >= 0 leave only (0, 0); z is free in [0, 1].
    let set = polyhedron(&[(&[1.0, 1.0, 0.0], -INF, 0.0)], 3, 0.0, 1.0).unwrap();
    assert_eq!((set.affine_dimension(), set.log_volume()), (Some(1), Some(0.0)));
    laws::check(&set, 3);
    // A square in a plane, by two opposite inequalities that are not the same row.
    let rows: [(&[f64], f64, f64); 2] = [(&[1.0, 1.0, 1.0], -INF, 1.0), (&[-2.0, -2.0, -2.0], -INF, -2.0)];
    let set = polyhedron(&rows, 3, 0.0, 1.0).unwrap();
    assert_eq!(set.affine_dimension(), Some(2));
    laws::check(&set, 4);
}

#[test]
fn a_thin_set_beside_large_data_is_not_flat() {
    let rows: [(&[f64], f64, f64); 2] = [(&[1.0, 1.0], -INF, 1e12), (&[1.0, 0.0], 1.0, 1.0 + 1e-6)];
    let set = polyhedron(&rows, 2, 0.0, INF).unwrap();
    assert_eq!(set.affine_dimension(), Some(2));
    let (mut l, mut u) = ([0.0; 2], [0.0; 2]);
    set.bounding_box(&mut l, &mut u);
    assert!(l == [1.0, 0.0] && u[0] == 1.0 + 1e-6 && (u[1] / 1e12 - 1.0).abs() < 1e-11, "{l:?} {u:?}");
    let tiny = polyhedron(&[(&[1.0, 1.0], -INF, 1e-9)], 2, 0.0, INF).unwrap();
    assert_eq!(tiny.affine_dimension(), Some(2));
    assert!(apart(&project(&tiny, &[1.0, 1.0]), &[5e-10, 5e-10]) < 1e-16);
}

#[test]
fn equality_looks_at_the_constraints_alone() {
    let make = || polyhedron(&[(&[1.0, 1.0], 0.0, 1.0)], 2, 0.0, 1.0).unwrap();
    let (a, b) = (make(), make());
    a.bounding_box(&mut [0.0; 2], &mut [0.0; 2]);
    assert_eq!(a, b);
    assert_ne!(a, polyhedron(&[(&[1.0, 1.0], 0.0, 1.5)], 2, 0.0, 1.0).unwrap());
}

#[test]
fn special_polyhedra() {
    let nothing = polyhedron(&[], 0, 0.0, 0.0).unwrap();
    laws::check(&nothing, 1);
    assert_eq!((nothing.affine_dimension(), nothing.log_volume()), (Some(0), Some(0.0)));
    let space = polyhedron(&[], 3, -INF, INF).unwrap();
    laws::check(&space, 1);
    let point = polyhedron(&[(&[1.0, 2.0], 3.0, 3.0), (&[1.0, -1.0], 0.0, 0.0)], 2, -INF, INF).unwrap();
    laws::check(&point, 1);
    assert!(apart(&point.interior_point(), &[1.0, 1.0]) < 1e-14);
    // Rows with one entry are bounds, so this is a box and its volume is known.
    let set = polyhedron(&[(&[2.0, 0.0], -INF, 3.0)], 2, 0.0, 4.0).unwrap();
    assert_eq!(set.upper(), [1.5, 4.0]);
    assert!((set.log_volume().unwrap() - 6f64.ln()).abs() < 1e-15);
    let segment = polyhedron(&[(&[1.0, 1.0], 1.0, 1.0)], 2, 0.0, 1.0).unwrap();
    assert!((segment.log_volume().unwrap() - 0.5 * 2f64.ln()).abs() < 1e-14);
    laws::check(&segment, 2);
}

#[test]
fn is_the_simplex_and_the_l1_ball() {
    let simplex = Simplex::new(4, 1.0).unwrap();
    let twin = polyhedron(&[(&[1.0; 4], 1.0, 1.0)], 4, 0.0, INF).unwrap();
    let ball = L1Ball::new(vec![0.0; 3], 1.0).unwrap();
    let signs: Vec<Vec<f64>> =
        (0..8).map(|s| (0..3).map(|i| if s >> i & 1 == 0 { 1.0 } else { -1.0 }).collect()).collect();
    let ball_rows: Vec<(&[f64], f64, f64)> = signs.iter().map(|s| (s.as_slice(), -INF, 1.0)).collect();
    let ball_twin = polyhedron(&ball_rows, 3, -INF, INF).unwrap();
    for seed in 0..200 {
        let z: Vec<f64> = (0..4).map(|i| ((seed * 7 + i * 13) as f64 * 0.71).sin() * 2.0).collect();
        let v: Vec<f64> = (0..4).map(|i| ((seed * 5 + i * 11) as f64 * 0.37).cos()).collect();
        for (set, twin, n) in [(&simplex as &dyn ConvexSet, &twin, 4), (&ball, &ball_twin, 3)] {
            let (p, q) = (project(set, &z[..n]), project(twin, &z[..n]));
            assert!(apart(&p, &q) < 1e-14, "{p:?} {q:?}");
            let distances = (set.normal_cone_distance(&p, &v[..n], 1e-9), twin.normal_cone_distance(&p, &v[..n], 1e-9));
            assert!((distances.0 - distances.1).abs() < 1e-14, "{distances:?}");
        }
    }
    let (mut l, mut u) = (vec![0.0; 4], vec![0.0; 4]);
    twin.bounding_box(&mut l, &mut u);
    assert!(l.iter().all(|l| *l == 0.0) && u.iter().all(|u| *u >= 1.0 && *u < 1.0 + 1e-13), "{l:?} {u:?}");
}

#[test]
fn the_walk_is_uniform() {
    let tolerance = 0.03;
    // A thin triangle: the mean is the centroid, and second moments are known.
    let set = polyhedron(&[(&[1.0, 1000.0], -INF, 1000.0)], 2, 0.0, INF).unwrap();
    let (mean, second) = laws::moments(&set, 4000);
    assert!((mean[0] / 1000.0 - 1.0 / 3.0).abs() < tolerance && (mean[1] - 1.0 / 3.0).abs() < tolerance, "{mean:?}");
    assert!((second[0] / 1e6 - 1.0 / 6.0).abs() < tolerance && (second[1] - 1.0 / 6.0).abs() < tolerance);
    // A simplex, in its hyperplane: E z_i^2 = 2 / (n (n + 1)).
    let set = polyhedron(&[(&[1.0; 4], 1.0, 1.0)], 4, 0.0, 1.0).unwrap();
    let (mean, second) = laws::moments(&set, 3000);
    for i in 0..4 {
        assert!((mean[i] - 0.25).abs() < 0.015 && (second[i] - 0.1).abs() < 0.01, "{mean:?} {second:?}");
    }
}

#[test]
fn far_points_and_large_data() {
    let set = polyhedron(&[(&[1.0, 1.0], -INF, 1.0)], 2, 0.0, INF).unwrap();
    let p = project(&set, &[3e8, 3e8 + 1.0]);
    assert!(apart(&p, &[0.0, 1.0]) < 1e-7 && set.violation(&p) < 1e-15, "{p:?}");
    let p = project(&set, &[1e150, -1e150]);
    assert!(apart(&p, &[1.0, 0.0]) < 1e-15, "{p:?}");
    let huge = polyhedron(&[(&[1.0, 1.0], -INF, 1e100)], 2, 0.0, INF).unwrap();
    let p = project(&huge, &[1e100, 1e100]);
    assert!(p.iter().all(|p| (p / 5e99 - 1.0).abs() < 1e-14), "{p:?}");
    assert!(project(&set, &[f64::NAN, 0.0])[0].is_nan());
    assert_eq!(set.violation(&[f64::NAN, 0.0]), INF);
}

/// Half-integers, so that no corner or direction of recession is far from the axes.
fn half_integers() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((-4..5i32).prop_map(|a| 0.5 * f64::from(a)), 4)
}

fn reals() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec(-1.0..1.0f64, 4)
}

/// Random rows; the point `inside` satisfies them, so that the set is not empty.
fn random_set(entries: impl Strategy<Value = Vec<f64>>) -> impl Strategy<Value = Polyhedron> {
    let row = (entries, 0..4u8, 0.0..1.0f64);
    let inside = prop::collection::vec(-1.0..1.0f64, 4);
    (prop::collection::vec(row, 0..6), inside, 0..3u8).prop_map(|(list, inside, bounds)| {
        let entries: Vec<Vec<f64>> = list.iter().map(|r| r.0.clone()).collect();
        let at: Vec<f64> = entries.iter().map(|a| a.iter().zip(&inside).map(|(a, z)| a * z).sum()).collect();
        let sides: Vec<(f64, f64)> = list
            .iter()
            .zip(at)
            .map(|(r, b)| match r.1 {
                0 => (b, b),
                1 => (-INF, b + r.2),
                2 => (b, INF),
                _ => (b - r.2, b + r.2),
            })
            .collect();
        let (l, u): (Vec<f64>, Vec<f64>) = sides.into_iter().unzip();
        let lower: Vec<f64> = inside.iter().map(|z| if bounds == 0 { -INF } else { z - 1.0 }).collect();
        let upper: Vec<f64> = inside.iter().map(|z| if bounds == 2 { z + 0.5 } else { INF }).collect();
        Polyhedron::new(&rows(&entries, 4), &l, &u, &lower, &upper).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn laws_hold(seed: u64, set in random_set(half_integers())) {
        let halfspaces = set.hull.halfspaces();
        prop_assert!((0..halfspaces.count()).all(|j| halfspaces.excess(j, set.hull.centre()) < -1e-6));
        prop_assert!(set.contains(&set.interior_point(), 1e-12));
        laws::check(&set, seed);
    }

    #[test]
    fn projection_agrees_with_the_conic_solver(set in prop_oneof![random_set(half_integers()), random_set(reals())], z in prop::collection::vec(-4.0..4.0f64, 4)) {
        let mut identity = Dense::zeros(4, 4);
        (0..4).for_each(|i| identity[(i, i)] = 1.0);
        let linear: Vec<f64> = z.iter().map(|z| -z).collect();
        let solution = conic(&set, QpHessian::Dense(&identity), &linear);
        prop_assume!(solution.status.is_answer());
        let p = project(&set, &z);
        prop_assert!(apart(&p, &solution.z) < 1e-5, "{:?} {:?}", p, solution);
    }

    #[test]
    fn the_box_agrees_with_the_conic_solver(set in prop_oneof![random_set(half_integers()), random_set(reals())]) {
        let (mut lower, mut upper) = ([0.0; 4], [0.0; 4]);
        set.bounding_box(&mut lower, &mut upper);
        for i in 0..4 {
            for (side, sign) in [(lower[i], 1.0), (upper[i], -1.0)] {
                let mut linear = [0.0; 4];
                linear[i] = sign;
                let solution = conic(&set, QpHessian::Zero, &linear);
                let reached = solution.objective * sign;
                match solution.status {
                    QpStatus::Unbounded => prop_assert!(side.is_infinite(), "{} where unbounded", side),
                    status if status.is_answer() && solution.residual < 1e-9 => {
                        prop_assert!((reached - side).abs() < 1e-6 * (1.0 + side.abs()), "{} not {}", side, reached);
                    }
                    _ => {}
                }
            }
        }
    }
}

/// The conic solver's answer over the set.
fn conic(set: &Polyhedron, hessian: QpHessian, linear: &[f64]) -> QpSolution {
    let qp = Qp {
        hessian,
        linear,
        lower: set.lower(),
        upper: set.upper(),
        rows: set.rows(),
        row_lower: set.row_lower(),
        row_upper: set.row_upper(),
        balls: &[],
    };
    solve_qp(&qp, &QpOptions::default()).unwrap()
}
