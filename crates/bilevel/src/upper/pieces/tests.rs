//! Random problems against twins that know nothing of pieces: fresh factorisations, differences, searches over x.

use bilevel_linalg::vector::norm_inf;
use bilevel_linalg::{Csr, Dense};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::kkt::Kkt;
use super::*;
use crate::observe::Silent;

/// A random problem with r rows; `rank` is that of Q, `spread` the part of entries of all matrices that are not zero.
fn random(n: usize, m: usize, r: usize, rank: usize, spread: f64, seed: u64) -> QuadraticProblem {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut dense = |rows: usize, cols: usize| {
        Dense::from_fn(rows, cols, |_, _| {
            let value = rng.random_range(-1.0..1.0);
            if rng.random_range(0.0..1.0) < spread { value } else { 0.0 }
        })
    };
    let factor = dense(m, rank);
    let mut q = factor.row_gram(None).unwrap();
    (0..m).for_each(|j| q[(j, j)] += if rank == m { 0.3 } else { 0.0 });
    let (cross, a, b) = (dense(m, n), dense(r, n), dense(r, m));
    let (c, t) = (dense(1, m).data().to_vec(), dense(1, n + m).data().to_vec());
    let right: Vec<f64> = dense(1, r).data().iter().map(|v| 0.2 + v.abs()).collect();
    let rows_y = Csr::from_dense(&b);
    let of = |a: Dense| if spread < 1.0 { Coefficients::Sparse(Csr::from_dense(&a)) } else { Coefficients::Dense(a) };
    let follower = QuadraticFollower {
        hessian: of(q),
        cross: of(cross),
        linear: c,
        lower: vec![-1.0; m],
        upper: vec![1.5; m],
        rows_x: Csr::from_dense(&a),
        columns_y: rows_y.transpose(),
        rows_y,
        row_lower: vec![f64::NEG_INFINITY; r],
        row_upper: right,
    };
    let leader = QuadraticLeader {
        hessian: Coefficients::Sparse(Csr::identity(n + m)),
        linear: t.iter().map(|v| -2.0 * v).collect(),
        constant: 0.0,
        lower: vec![-1.0; n],
        upper: vec![1.0; n],
        rows_x: Csr::empty(0, n),
        rows_y: Csr::empty(0, m),
        row_lower: Vec::new(),
        row_upper: Vec::new(),
    };
    QuadraticProblem { leader, follower, n, y: m }
}

#[test]
fn a_bordered_system_solves_as_a_fresh_one() {
    for (seed, spread) in [(1, 1.0), (2, 0.1), (3, 1.0)] {
        let problem = random(2, 90, 30, 90, spread, seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut held: Vec<bool> = (0..120).map(|k| k % 4 == 1 && (k < 90 || k % 3 == 0)).collect();
        let mut kkt = Kkt::new(&problem.follower, held.clone()).unwrap();
        for _ in 0..40 {
            let item = rng.random_range(0..120);
            if kkt.exchange(item) {
                held[item] = !held[item];
            }
        }
        let mut fresh = Kkt::new(&problem.follower, held).unwrap();
        let (mut y, mut rows) = (vec![1.0; 90], vec![0.5; 30]);
        let (mut y2, mut rows2) = (y.clone(), rows.clone());
        kkt.solve(&mut y, &mut rows);
        fresh.solve(&mut y2, &mut rows2);
        let close = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-8 * (1.0 + b.abs()));
        assert!(close(&y, &y2) && close(&rows, &rows2));
    }
}

#[test]
fn motion_and_exchanges_are_what_a_fresh_answer_says() {
    for seed in 0..6 {
        let problem = random(3, 12, 6, 12, 1.0, seed);
        let x = [0.1, -0.2, 0.3];
        let mut piece = problem.follower.piece(&x).unwrap();
        let d = [0.5, 1.0, -0.7];
        let motion = piece.motion(&d);
        let moved: Vec<f64> = x.iter().zip(&d).map(|(x, d)| x + 1e-3 * d).collect();
        let other = Piece::new(&problem.follower, piece.sides.clone(), &moved).unwrap();
        for j in 0..12 {
            assert!((other.y[j] - piece.y[j] - 1e-3 * motion.y[j]).abs() < 1e-11);
            assert!((other.bounds[j] - piece.bounds[j] - 1e-3 * motion.bounds[j]).abs() < 1e-11);
        }
        for item in 0..18 {
            let response = piece.response(item);
            let along: f64 = response.normal.iter().zip(&d).map(|(a, d)| a * d).sum();
            let mut sides = piece.sides.clone();
            sides[item] = if sides[item] == Side::Free { Side::Upper } else { Side::Free };
            let after = Piece::new(&problem.follower, sides, &x).map(|mut piece| piece.motion(&d));
            let (true, Some(after)) = (response.is_regular(), after) else { continue };
            for j in 0..12 {
                let expected = motion.y[j] + response.y[j] * along / response.pivot;
                assert!((after.y[j] - expected).abs() < 1e-9, "{item} {j}: {} {expected}", after.y[j]);
            }
        }
    }
}

/// φ at x by a solve from nothing.
fn phi(problem: &QuadraticProblem, x: &[f64]) -> f64 {
    let answer = problem.follower.answer(x).unwrap();
    problem.leader.evaluate(&[x, &answer.y].concat()).0
}

#[test]
fn with_one_variable_the_best_end_is_that_of_a_grid() {
    for seed in 0..8 {
        let problem = random(1, 6, 3, 6, 1.0, seed);
        let starts: Vec<Vec<f64>> = (0..9).map(|k| vec![-1.0 + 0.25 * f64::from(k)]).collect();
        let run = problem.search(&starts, (6, 0), &|f| f, &Silent);
        let best = run.candidates.iter().map(|c| phi(&problem, &c.x)).fold(f64::INFINITY, f64::min);
        let grid = (0..=400).map(|k| phi(&problem, &[-1.0 + f64::from(k) / 200.0])).fold(f64::INFINITY, f64::min);
        assert!(best <= grid + 1e-9, "{seed}: {best} {grid}");
    }
}

#[test]
fn ends_are_stationary_and_nothing_near_is_better() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    for (seed, rank, spread) in [(1, 16, 1.0), (2, 16, 1.0), (3, 11, 1.0), (4, 11, 1.0), (5, 16, 0.4), (6, 16, 0.4)] {
        let problem = random(5, 16, 8, rank, spread, seed);
        let run = problem.search(&[vec![0.0; 5], vec![0.5; 5]], (6, 0), &|f| f, &Silent);
        assert!(!run.candidates.is_empty());
        for candidate in &run.candidates {
            let found = problem.strong_stationarity(&candidate.x, &candidate.y).unwrap();
            assert!(found.residual < 1e-7, "{seed}: {}", found.residual);
            let value = problem.leader.evaluate(&[&candidate.x[..], &candidate.y].concat()).0;
            for _ in 0..60 {
                let near: Vec<f64> =
                    candidate.x.iter().map(|x| (x + 1e-4 * rng.random_range(-1.0..1.0f64)).clamp(-1.0, 1.0)).collect();
                assert!(phi(&problem, &near) >= value - 1e-7, "{seed}");
            }
            // A point beside it is not stationary.
            let beside: Vec<f64> = candidate.x.iter().map(|x| x * 0.7 + 0.1).collect();
            let y = problem.follower.answer(&beside).unwrap().y;
            assert!(problem.strong_stationarity(&beside, &y).is_none_or(|found| found.residual > 1e-4));
        }
    }
}

#[test]
fn the_bound_of_weak_duality_lies_below_and_close() {
    for seed in 0..10 {
        let problem = random(2, 10, 5, 7, 1.0, seed);
        let x = [0.3, -0.4];
        let mut answer = problem.follower.answer(&x).unwrap();
        let v = problem.follower.value(&x, &answer.y);
        let bound = problem.follower.lower_bound(&x, &answer);
        assert!(bound <= v + 1e-12 && bound >= v - 1e-9);
        // With bad multipliers, at another point, it is still a bound.
        answer.rows.iter_mut().enumerate().for_each(|(i, l)| *l -= 0.1 * i as f64);
        answer.y.iter_mut().for_each(|y| *y *= 0.9);
        let worse = problem.follower.lower_bound(&x, &answer);
        assert!(worse <= v + 1e-12, "{worse} {v}");
    }
}

/// Two variables of the follower: y_0 = x_0, and y_1 in [0, 1] at the bound that x_1 says, either where x_1 = 0.
fn undecided() -> QuadraticProblem {
    let mut problem = random(2, 2, 0, 2, 0.5, 0);
    let csr = |triplets: &[(usize, usize, f64)], size| {
        Coefficients::Sparse(Csr::from_triplets(size, size, triplets).unwrap())
    };
    problem.follower.hessian = csr(&[(0, 0, 1.0)], 2);
    problem.follower.cross = csr(&[(0, 0, -1.0), (1, 1, 1.0)], 2);
    problem.follower.linear = vec![0.0; 2];
    (problem.follower.lower, problem.follower.upper) = (vec![-2.0, 0.0], vec![2.0, 1.0]);
    // (y_0 − 1/2)² + x_1² + (y_1 − 1/2)²
    problem.leader.hessian = csr(&[(1, 1, 2.0), (2, 2, 2.0), (3, 3, 2.0)], 4);
    problem.leader.linear = vec![0.0, 0.0, -1.0, -1.0];
    problem.leader.constant = 0.5;
    problem
}

#[test]
fn the_leader_picks_among_several_answers() {
    let problem = undecided();
    let run = problem.search(&[vec![0.2, 0.7]], (6, 0), &|f| f, &Silent);
    let found = &run.candidates[0];
    assert!(norm_inf(&[found.x[0] - 0.5, found.x[1], found.y[0] - 0.5, found.y[1] - 0.5]) < 1e-9, "{found:?}");
    assert!(problem.strong_stationarity(&found.x, &found.y).unwrap().residual < 1e-7);
    // With another answer at the same x the leader is not content.
    assert!(problem.strong_stationarity(&found.x, &[0.5, 0.1]).is_none_or(|found| found.residual > 1e-2));
}

/// One unit from 0 to 1 over a free way of cost 1 or a way of cost 0.2 and the toll x in [0, 5]: the best toll is 0.8.
fn toll() -> QuadraticProblem {
    let mut problem = random(1, 2, 1, 0, 0.0, 0);
    let csr = |rows, cols, triplets: &[(usize, usize, f64)]| Csr::from_triplets(rows, cols, triplets).unwrap();
    problem.follower.cross = Coefficients::Sparse(csr(2, 1, &[(1, 0, 1.0)]));
    problem.follower.linear = vec![1.0, 0.2];
    (problem.follower.lower, problem.follower.upper) = (vec![0.0; 2], vec![f64::INFINITY; 2]);
    problem.follower.rows_y = csr(1, 2, &[(0, 0, 1.0), (0, 1, 1.0)]);
    problem.follower.columns_y = problem.follower.rows_y.transpose();
    (problem.follower.row_lower, problem.follower.row_upper) = (vec![1.0], vec![1.0]);
    problem.leader.hessian = Coefficients::Sparse(csr(3, 3, &[(0, 2, -1.0), (2, 0, -1.0)]));
    problem.leader.linear = vec![0.0; 3];
    (problem.leader.lower, problem.leader.upper) = (vec![0.0], vec![5.0]);
    problem
}

#[test]
fn a_toll_goes_as_high_as_the_free_way_allows() {
    let problem = toll();
    assert!(problem.is_linear());
    let run = problem.search(&[vec![0.1]], (6, 0), &|f| f, &Silent);
    let found = &run.candidates[0];
    assert!((found.x[0] - 0.8).abs() < 1e-7 && (found.y[1] - 1.0).abs() < 1e-7, "{found:?}");
    assert!(problem.strong_stationarity(&found.x, &found.y).unwrap().residual < 1e-6);
    assert!(problem.strong_stationarity(&[0.5], &[0.0, 1.0]).is_none_or(|found| found.residual > 1e-3));
    assert!(problem.strong_stationarity(&[0.8], &[1.0, 0.0]).is_none_or(|found| found.residual > 1e-3));
}

/// A grid of side² nodes with arcs both ways; one unit goes from a corner to the opposite one, tolls are on every third
/// arc, and congestion makes the cost of a flow y_a grow by `congestion` y_a.
fn network(side: usize, congestion: f64, seed: u64) -> QuadraticProblem {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut arcs = Vec::new();
    for k in 0..side * side {
        if k % side + 1 < side {
            arcs.extend([(k, k + 1), (k + 1, k)]);
        }
        if k + side < side * side {
            arcs.extend([(k, k + side), (k + side, k)]);
        }
    }
    let (m, r) = (arcs.len(), side * side);
    let tolls: Vec<usize> = (0..m).step_by(3).collect();
    let n = tolls.len();
    let cost: Vec<f64> = (0..m).map(|a| rng.random_range(1.0..2.0) * if a % 3 == 0 { 0.5 } else { 1.0 }).collect();
    let flow: Vec<_> = arcs.iter().enumerate().flat_map(|(a, &(i, j))| [(i, a, 1.0), (j, a, -1.0)]).collect();
    let rows_y = Csr::from_triplets(r, m, &flow).unwrap();
    let mut demand = vec![0.0; r];
    (demand[0], demand[r - 1]) = (1.0, -1.0);
    let paid: Vec<_> = tolls.iter().enumerate().map(|(k, &a)| (a, k, 1.0)).collect();
    let squares: Vec<_> = (0..m).map(|a| (a, a, congestion)).collect();
    let gain: Vec<_> = paid.iter().flat_map(|&(a, k, _)| [(k, n + a, -1.0), (n + a, k, -1.0)]).collect();
    let follower = QuadraticFollower {
        hessian: Coefficients::Sparse(Csr::from_triplets(m, m, &squares).unwrap()),
        cross: Coefficients::Sparse(Csr::from_triplets(m, n, &paid).unwrap()),
        linear: cost,
        lower: vec![0.0; m],
        upper: vec![1.0; m],
        rows_x: Csr::empty(r, n),
        columns_y: rows_y.transpose(),
        rows_y,
        row_lower: demand.clone(),
        row_upper: demand,
    };
    let leader = QuadraticLeader {
        hessian: Coefficients::Sparse(Csr::from_triplets(n + m, n + m, &gain).unwrap()),
        linear: vec![0.0; n + m],
        constant: 0.0,
        lower: vec![0.0; n],
        upper: vec![2.0; n],
        rows_x: Csr::empty(0, n),
        rows_y: Csr::empty(0, m),
        row_lower: Vec::new(),
        row_upper: Vec::new(),
    };
    QuadraticProblem { leader, follower, n, y: m }
}

#[test]
fn tolls_on_congested_networks_end_where_no_toll_nearby_earns_more() {
    for seed in 1..5 {
        let problem = network(4, 0.1, seed);
        assert!(problem.has_products_alone());
        let starts = problem.promising(&[vec![1.0; problem.n]], 1, &|| false);
        let run = problem.search(&starts, (1, 0), &|f| f, &Silent);
        let earned = |x: &[f64]| {
            let answer = problem.follower.answer(x).unwrap();
            problem.leader.evaluate(&[x, &answer.y].concat()).0
        };
        let best = run.candidates.iter().min_by(|a, b| earned(&a.x).total_cmp(&earned(&b.x))).unwrap();
        let least = earned(&best.x);
        assert!(least < -0.1, "{least}");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for k in 0..3 * problem.n {
            let mut x = best.x.clone();
            let step = if k % 2 == 0 { 1e-2 } else { -1e-2 };
            for (j, x) in x.iter_mut().enumerate() {
                if k / 2 == j || k >= 2 * problem.n {
                    *x = (*x + step * rng.random_range(0.5..1.0)).clamp(0.0, 2.0);
                }
            }
            assert!(earned(&x) >= least - 1e-4 * (1.0 + least.abs()), "{seed} {k}: {} {least}", earned(&x));
        }
    }
}

#[test]
fn further_starts_never_make_it_worse_and_one_is_one() {
    let mut better = 0;
    for seed in 0..6 {
        let problem = random(6, 18, 9, 12, 1.0, seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let spread: Vec<Vec<f64>> = (0..30).map(|_| (0..6).map(|_| rng.random_range(-1.0..1.0)).collect()).collect();
        let value = |run: &crate::upper::Run| {
            let first = &run.candidates[0];
            problem.leader.evaluate(&[&first.x[..], &first.y].concat()).0
        };
        let one = problem.search(&spread[..1], (1, 0), &|f| f, &Silent);
        let many = problem.search(&spread, (6, 0), &|f| f, &Silent);
        assert!(one.candidates.len() == 1 && value(&many) <= value(&one) + 1e-12, "{seed}");
        better += usize::from(value(&many) < value(&one) - 1e-6);
        let again = problem.search(&spread, (6, 0), &|f| f, &Silent);
        assert_eq!(many.candidates[0].x, again.candidates[0].x, "the same seed, the same answer");
        // Ends are different ones, best first.
        let values: Vec<f64> =
            many.candidates.iter().map(|c| problem.leader.evaluate(&[&c.x[..], &c.y].concat()).0).collect();
        assert!(values.windows(2).all(|pair| pair[0] < pair[1]), "{values:?}");
    }
    assert!(better >= 2, "{better}");
}

#[test]
fn work_bounds_the_number_of_descents() {
    let problem = random(4, 60, 30, 60, 1.0, 1);
    let spread = vec![vec![0.1; 4]; 200];
    let (few, more) =
        (problem.search(&spread, (1, 0), &|f| f, &Silent), problem.search(&spread, (4, 0), &|f| f, &Silent));
    assert!(few.lower_solves < more.lower_solves, "{} {}", few.lower_solves, more.lower_solves);
    assert!(problem.starts(1) == 1 && problem.starts(6) > 6);
}

/// The best of F over the follower's answers at x, by two programmes.
fn best_of_answers(problem: &QuadraticProblem, x: &[f64]) -> Option<f64> {
    use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
    let (leader, follower) = (&problem.leader, &problem.follower);
    let answer = follower.answer(x).filter(|answer| answer.status.is_answer())?;
    let (n, m) = (x.len(), follower.m());
    let mut cost = follower.linear.clone();
    follower.cross.mul_add(1.0, x, &mut cost);
    let least: f64 = cost.iter().zip(&answer.y).map(|(c, y)| c * y).sum();
    let row = Csr::from_triplets(1, m, &cost.iter().enumerate().map(|(j, &c)| (0, j, c)).collect::<Vec<_>>())?;
    let rows = follower.rows_y.stack(&row).ok()?;
    let (mut row_lower, mut row_upper) = (follower.row_lower.clone(), follower.row_upper.clone());
    follower.rows_x.mul_add(-1.0, x, &mut row_lower);
    follower.rows_x.mul_add(-1.0, x, &mut row_upper);
    row_lower.push(f64::NEG_INFINITY);
    row_upper.push(least + 1e-9);
    let qp = Qp {
        hessian: QpHessian::Zero,
        linear: &leader.linear[n..],
        lower: &follower.lower,
        upper: &follower.upper,
        rows: &rows,
        row_lower: &row_lower,
        row_upper: &row_upper,
        balls: &[],
    };
    let found = solve_qp(&qp, &QpOptions::default()).ok().filter(|found| found.status.is_answer())?;
    Some(leader.evaluate(&[x, &found.z].concat()).0)
}

/// A linear follower with several answers (costs of zero), answers at which too many rows hold (each row twice), and rows
/// and costs that depend on x.
fn linear_follower(m: usize, seed: u64) -> QuadraticProblem {
    let mut problem = random(1, m, m / 2, m, 1.0, seed);
    let follower = &mut problem.follower;
    follower.hessian = Coefficients::Sparse(Csr::empty(m, m));
    follower.linear.iter_mut().step_by(4).for_each(|c| *c = 0.0);
    if seed.is_multiple_of(2) {
        follower.cross = Coefficients::Sparse(Csr::empty(m, 1));
    }
    follower.rows_x = follower.rows_x.stack(&follower.rows_x).unwrap();
    follower.rows_y = follower.rows_y.stack(&follower.rows_y).unwrap();
    follower.columns_y = follower.rows_y.transpose();
    follower.row_lower.extend_from_within(..);
    follower.row_upper.extend_from_within(..);
    problem.leader.hessian = Coefficients::Sparse(Csr::empty(m + 1, m + 1));
    problem
}

#[test]
fn programmes_find_what_a_grid_finds_for_linear_followers() {
    for seed in 0..12 {
        let problem = linear_follower(8, seed);
        let of_grid = (0..=200).filter_map(|k| best_of_answers(&problem, &[-1.0 + 0.01 * k as f64]));
        let least = of_grid.fold(f64::INFINITY, f64::min);
        let mut best = f64::INFINITY;
        for start in [-0.9, -0.5, -0.1, 0.3, 0.6, 0.95] {
            let mut programmes = programmes::Programmes::new(&problem.leader, &problem.follower).unwrap();
            let Some((x, y)) = programmes.run(&[start], &|| false) else { continue };
            let value = problem.leader.evaluate(&[&x[..], &y].concat()).0;
            let answer = problem.follower.answer(&x).unwrap();
            let gap = problem.follower.value(&x, &y) - problem.follower.value(&x, &answer.y);
            assert!(gap < 1e-6, "seed {seed} from {start}: {gap}");
            let before = best_of_answers(&problem, &[start]).unwrap();
            assert!(value <= before + 1e-6, "seed {seed} from {start}: {value} {before}");
            best = best.min(value);
        }
        assert!(best <= least + 1e-6, "seed {seed}: {best} {least}");
    }
}

#[test]
fn programmes_and_descents_agree_on_quadratic_followers() {
    for seed in 0..6 {
        let problem = random(3, 10, 5, 10, 1.0, seed);
        let mut programmes = programmes::Programmes::new(&problem.leader, &problem.follower).unwrap();
        let (x, y) = programmes.run(&[0.1, -0.2, 0.3], &|| false).unwrap();
        let found = problem.strong_stationarity(&x, &y).unwrap();
        assert!(found.residual < 1e-6, "seed {seed}: {}", found.residual);
    }
}
