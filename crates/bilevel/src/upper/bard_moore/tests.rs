use super::*;
use crate::prelude::*;
use crate::solve::Analysis;

fn searched(problem: &Problem) -> Option<Found> {
    let analysis = Analysis::new(problem);
    let levels = &analysis.levels;
    let pieces = Pieces::new(levels.exact_leader.as_ref()?, levels.exact_follower.as_ref()?, &analysis.bounds)?;
    Some(pieces.search(300, None, &Meter::unlimited(), &|| false))
}

/// F = x - 4 y over the follower's least y in a polygon: kinks at x = 2, where F(x, y(x)) is a local maximum, and at the
/// answer (4, 4).
fn polygon() -> Problem {
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(0.0, f64::INFINITY).unwrap()).unwrap();
    let y = model.follower("y", 1).free().unwrap();
    model.upper((&x - &y * 4.0).sum()).lower(y.sum());
    model.lower_subject_to((&x + &y).sum().at_least(3.0));
    model.lower_subject_to((&x * 2.0 - &y).sum().at_least(0.0));
    model.lower_subject_to((&x * 2.0 + &y).sum().at_most(12.0));
    model.lower_subject_to((&x * 3.0 - &y * 2.0).sum().at_most(4.0));
    model.build().unwrap()
}

#[test]
fn a_linear_follower_is_solved_over_all_its_pieces() {
    let found = searched(&polygon()).unwrap();
    assert!(found.complete && !found.unbounded);
    let (x, y) = &found.points[0];
    assert!((x[0] - 4.0).abs() < 1e-8 && (y[0] - 4.0).abs() < 1e-8, "{x:?} {y:?}");
}

#[test]
fn a_quadratic_follower_between_bounds() {
    // y = clamp(x, 0, 1), F = (x - 3)² + (y - 1/2)²: least at x = 3, where y is held at 1.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-5.0, 5.0).unwrap()).unwrap();
    let y = model.follower("y", 1).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
    model.upper((&x - 3.0).norm2sq() + (&y - 0.5).norm2sq()).lower((&y - &x).norm2sq());
    let found = searched(&model.build().unwrap()).unwrap();
    let (x, y) = &found.points[0];
    assert!(found.complete && (x[0] - 3.0).abs() < 1e-7 && (y[0] - 1.0).abs() < 1e-7, "{x:?} {y:?}");
}

#[test]
fn a_leader_without_end_is_said_to_be() {
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 1).free().unwrap();
    model.upper((&x - &y * 2.0).sum()).lower(y.sum()).lower_subject_to((&y - &x).sum().at_least(0.0));
    assert!(searched(&model.build().unwrap()).unwrap().unbounded);
}

#[test]
fn other_classes_are_left_alone() {
    // A leader that is not convex, a follower that is not linear.
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
    let y = model.follower("y", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
    model.upper((&x * &y).sum()).lower((&y - &x).norm2sq());
    assert!(searched(&model.build().unwrap()).is_none());
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
    let y = model.follower("y", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
    model.upper((&x + &y).sum()).lower((&y - &x).exp().sum());
    assert!(searched(&model.build().unwrap()).is_none());
}

/// Random problems with one x: the least point of all pieces is that of a grid, however much is known before; and knowing
/// the answer leaves less to do.
#[test]
fn the_least_of_all_pieces_is_that_of_a_grid() {
    use crate::upper::pieces::QuadraticProblem;
    use rand::{RngExt, SeedableRng};
    for seed in 0..6 {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let mut random = |rows, cols| bilevel_linalg::Dense::from_fn(rows, cols, |_, _| rng.random_range(-1.0..1.0));
        let m = 4;
        // Positive definite, semidefinite and zero.
        let q = random(m, [4, 2, 0][seed as usize % 3]).row_gram(None).unwrap();
        let (p, b, a) = (random(m, 1), random(2, m), random(2, 1));
        let vectors = random(1, 3 * m).data().to_vec();
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
        let y = model.follower("y", m).within(Bounds::new(-1.0, 0.5).unwrap()).unwrap();
        let vector = |values: &[f64]| x.graph().constant_vector(values);
        let matrix = crate::expr::Matrix::from;
        model.upper((&y - vector(&vectors[..m])).norm2sq() + (&x * vectors[m]).sum());
        let slope = vector(&vectors[m + 1..2 * m + 1]) + &matrix(p) * &x;
        model.lower(y.quadratic(&matrix(q)) / 2.0 + slope.dot(&y));
        model.lower_subject_to((&matrix(a) * &x + &matrix(b) * &y).at_most(vector(&[0.4, 0.3])));
        let problem = model.build().unwrap();
        let analysis = Analysis::new(&problem);
        let (leader, follower) =
            (analysis.levels.exact_leader.as_ref().unwrap(), analysis.levels.exact_follower.as_ref().unwrap());
        let pieces = Pieces::new(leader, follower, &analysis.bounds).unwrap();
        let found = pieces.search(pieces.nodes(), None, &Meter::unlimited(), &|| false);
        let data = QuadraticProblem::recognise(leader, follower).unwrap();
        let value = |x: &[f64], y: &[f64]| data.leader.evaluate(&[x, y].concat()).0;
        let grid = (0..=400).map(|k| {
            let x = [-1.0 + f64::from(k) / 200.0];
            data.follower.answer(&x).map_or(f64::INFINITY, |answer| value(&x, &answer.y))
        });
        let least = grid.fold(f64::INFINITY, f64::min);
        let (x, y) = &found.points[0];
        assert!(found.complete && value(x, y) <= least + 1e-9, "{seed}: {} {least}", value(x, y));
        // y is an answer there.
        let answer = data.follower.answer(x).unwrap();
        assert!(data.follower.value(x, y) <= data.follower.value(x, &answer.y) + 1e-8, "{seed}");
        let (plain, informed) = (Meter::unlimited(), Meter::unlimited());
        pieces.search(300, None, &plain, &|| false);
        let again = pieces.search(300, Some((x, y)), &informed, &|| false);
        assert!(again.complete && informed.used() <= plain.used(), "{seed}");
        assert!((value(&again.points[0].0, &again.points[0].1) - value(x, y)).abs() < 1e-7, "{seed}");
    }
}
