use super::super::testing::{Case, INF, collection, complementarity, degenerate, relax, without_solution};
use super::super::{Frame, Iteration, sqp};
use super::*;
use bilevel_linalg::Csr;
use proptest::prelude::*;

fn run(case: &mut Case) -> Solution {
    solve(&mut case.nlp, &case.start.clone(), &Settings::default())
}

fn line(name: &str, s: &Solution) -> String {
    format!(
        "{:38} {:?} {:3} it {:3} ev f {:.10} z {:?} {:?}",
        name, s.status, s.iterations, s.evaluations.values, s.objective, s.z, s.residuals
    )
}

/// Runs all cases and lists those that the check refuses.
fn check_all(cases: Vec<Case>, mut check: impl FnMut(&Case, &Solution) -> bool) {
    let mut bad = Vec::new();
    for mut case in cases {
        let s = run(&mut case);
        println!("{}", line(case.name, &s));
        if !check(&case, &s) {
            bad.push(line(case.name, &s));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn collection_is_solved() {
    check_all(collection(), |case, s| {
        let close = (s.objective - case.objective).abs() <= 1e-8 * (1.0 + case.objective.abs());
        let near = case.z.as_ref().is_none_or(|z| z.iter().zip(&s.z).all(|(a, b)| (a - b).abs() < 1e-7));
        s.status == Status::Solved && s.iterations <= 60 && close && near
    });
}

#[test]
fn polished_solutions_are_accurate_to_rounding() {
    check_all(collection(), |case, s| {
        // The bottom of a quartic is flat: there only the residual is small.
        let flat = ["quartic bottom", "HS26"].contains(&case.name);
        s.residuals.scaled <= if flat { 1e-10 } else { 1e-12 }
    });
}

#[test]
fn no_solution_is_said() {
    for (mut case, status) in without_solution() {
        let s = run(&mut case);
        assert_eq!(s.status, status, "{}", line(case.name, &s));
    }
}

#[test]
fn degenerate_problems_come_close() {
    check_all(degenerate(), |case, s| (s.objective - case.objective).abs() < 1e-3 && s.residuals.violation < 1e-4);
    // Without an interior or multipliers, but reached to the accuracy that the violation allows.
    for (mut case, expected) in degenerate().into_iter().zip([true, true, false, true, false, true]) {
        assert_eq!(run(&mut case).status.is_success(), expected, "{}", case.name);
    }
}

#[test]
fn quasi_newton_solves_without_second_derivatives() {
    let mut cases = collection();
    cases.iter_mut().for_each(|c| c.nlp.second_derivatives = false);
    check_all(cases, |case, s| {
        let close = (s.objective - case.objective).abs() <= 1e-6 * (1.0 + case.objective.abs());
        s.status.is_success() && close && s.evaluations.hessians == 0
    });
}

#[test]
fn complementarity_constraints() {
    for (mut case, pairs) in complementarity() {
        relax(&mut case, pairs, 1e-6);
        let s = run(&mut case);
        println!("{}", line(case.name, &s));
        assert!(s.status.is_success() && (s.objective - case.objective).abs() < 1e-2, "{}", line(case.name, &s));
    }
}

#[test]
fn both_solvers_agree_on_multipliers() {
    for name in ["HS35", "HS43", "HS65", "HS71", "HS76", "HS100", "HS22"] {
        let mut case = collection().into_iter().find(|c| c.name == name).unwrap();
        let a = run(&mut case);
        let b = sqp::solve(&mut case.nlp, &case.start, &sqp::Settings::default());
        let all = |s: &Solution| {
            let m = &s.multipliers;
            s.z.iter().chain(&m.bounds).chain(&m.rows).chain(&m.constraints).copied().collect::<Vec<_>>()
        };
        for (u, v) in all(&a).iter().zip(all(&b)) {
            assert!((u - v).abs() <= 1e-6 * (1.0 + v.abs()), "{name}: {:?} {:?}", all(&a), all(&b));
        }
    }
}

#[test]
fn multipliers_are_sensitivities() {
    // min (x − 3)² + (y + 2)² with x <= 1 and 2y >= −1: raising the bounds by one costs 2(1 − 3), and 2 · 1.5 / 2.
    let mut case = Case::new("box", |x| vec![(&x[0] - 3.0).pow(2) + (&x[1] + 2.0).pow(2), 2.0 * &x[1]], &[0.0; 2], 0.0)
        .bounds(&[-INF; 2], &[1.0, INF])
        .constraints(&[(-1.0, INF)]);
    for s in [run(&mut case), sqp::solve(&mut case.nlp, &[0.0; 2], &sqp::Settings::default())] {
        assert_eq!(s.z[0], 1.0);
        assert!((s.multipliers.bounds[0] + 4.0).abs() < 1e-9 && s.multipliers.bounds[1] == 0.0, "{s:?}");
        assert!((s.multipliers.constraints[0] - 1.5).abs() < 1e-9, "{s:?}");
    }
}

#[test]
fn fixed_variables_get_their_multiplier() {
    let mut case =
        Case::new("fixed", |x| vec![&x[0] * &x[1] + x[0].pow(2)], &[7.0, 0.0], 0.0).bounds(&[2.0, -1.0], &[2.0, 1.0]);
    let s = run(&mut case);
    assert_eq!(s.z, [2.0, -1.0]);
    assert!((s.multipliers.bounds[0] - 3.0).abs() < 1e-9 && (s.multipliers.bounds[1] - 2.0).abs() < 1e-9);
    // All variables fixed: nothing to do but to look at the constraints.
    for (range, status) in [((1.0, 3.0), Status::Solved), ((3.0, 4.0), Status::Infeasible)] {
        let mut case = Case::new("all fixed", |x| vec![1.0 * &x[0], &x[0] * &x[0]], &[0.0], 0.0)
            .bounds(&[1.5], &[1.5])
            .constraints(&[range]);
        assert_eq!(run(&mut case).status, status);
        assert_eq!(sqp::solve(&mut case.nlp, &[0.0], &sqp::Settings::default()).status, status);
    }
}

#[test]
fn warm_starts_save_iterations() {
    for name in ["HS35", "HS71", "HS76", "HS100"] {
        let mut case = collection().into_iter().find(|c| c.name == name).unwrap();
        let cold = run(&mut case);
        let near: Vec<f64> = cold.z.iter().map(|z| z + 1e-4).collect();
        let warm = Some(WarmStart { multipliers: &cold.multipliers, barrier: 1e-6 });
        let again = solve_with(&mut case.nlp, &near, warm, &Settings::default(), None);
        assert_eq!(again.status, Status::Solved);
        assert!(again.iterations <= 5, "{name} {} {}", cold.iterations, again.iterations);
        let wrong = Multipliers::default();
        let warm = Some(WarmStart { multipliers: &wrong, barrier: 1e-6 });
        assert_eq!(solve_with(&mut case.nlp, &near, warm, &Settings::default(), None).status, Status::Solved);
    }
}

#[test]
fn control_interrupts() {
    let mut case = collection().remove(0);
    let mut seen = Vec::new();
    let mut stop = |i: &Iteration| {
        seen.push((i.number, i.objective));
        i.number < 3
    };
    let s = solve_with(&mut case.nlp, &case.start, None, &Settings::default(), Some(&mut stop));
    assert_eq!((s.status, s.iterations), (Status::Interrupted, 3));
    assert_eq!(seen.len(), 4);
    assert!((seen[0].1 - 24.2).abs() < 1e-12 && s.objective < 24.2);
    let mut count = 0;
    let mut stop = |_: &Iteration| {
        count += 1;
        count < 3
    };
    let s = sqp::solve_with(&mut case.nlp, &case.start, &sqp::Settings::default(), Some(&mut stop));
    assert_eq!((s.status, s.iterations), (Status::Interrupted, 2));
}

#[test]
fn bad_input_is_a_status() {
    let mut case = collection().remove(0);
    for start in [vec![], vec![0.0; 3], vec![f64::NAN, 0.0], vec![INF, 0.0]] {
        assert_eq!(solve(&mut case.nlp, &start, &Settings::default()).status, Status::Numerical);
        assert_eq!(sqp::solve(&mut case.nlp, &start, &sqp::Settings::default()).status, Status::Numerical);
    }
    case.nlp.frame.upper.pop();
    assert!(case.nlp.frame.check().is_err());
    assert_eq!(solve(&mut case.nlp, &[0.0; 2], &Settings::default()).status, Status::Numerical);
    case.nlp.frame.upper.push(f64::NAN);
    assert!(case.nlp.frame.check().is_err());
    let none = Settings { max_iterations: 0, ..Settings::default() };
    let mut case = collection().remove(0);
    assert_eq!(solve(&mut case.nlp, &[0.0; 2], &none).status, Status::IterationLimit);
}

/// Formulas that are undefined in part of the space are stepped back from.
#[test]
fn undefined_regions_are_left() {
    let cases = || {
        vec![
            Case::new(
                "logarithms",
                |x| vec![-((&x[0] - 1.0).ln()) - (-&x[0] - &x[1] + 3.0).ln() + &x[1] * &x[1]],
                &[1.1, 1.0],
                0.0,
            ),
            Case::new("root", |x| vec![&x[0] - (&x[0] - 2.0).sqrt()], &[40.0], 1.75),
            Case::new("logarithm in a constraint", |x| vec![1.0 * &x[0], (x[0]).ln()], &[9.0], 0.5f64.exp())
                .constraints(&[(0.5, INF)]),
            Case::new("overflow", |x| vec![x[0].exp().exp() - 10.0 * &x[0]], &[3.0], 0.0),
        ]
    };
    for mut case in cases() {
        let s = run(&mut case);
        assert_eq!(s.status, Status::Solved, "{}", line(case.name, &s));
        let t = sqp::solve(&mut case.nlp, &case.start, &sqp::Settings::default());
        assert!(t.status.is_success() && (t.objective - s.objective).abs() < 1e-8, "{}", line(case.name, &t));
        if case.objective != 0.0 {
            assert!((s.objective - case.objective).abs() < 1e-9, "{}", line(case.name, &s));
        }
    }
}

#[test]
fn saddle_points_are_left() {
    let cases = vec![
        Case::new("top of a parabola", |x| vec![-(x[0].pow(2)) + x[1].pow(2)], &[0.0, 0.0], -4.0)
            .bounds(&[-2.0; 2], &[2.0; 2]),
        Case::new("double well", |x| vec![(x[0].pow(2) - 1.0).pow(2)], &[0.0], 0.0),
        Case::new("saddle on a circle", |x| vec![&x[0] * &x[1], x[0].pow(2) + x[1].pow(2)], &[1.0, 1.0], -0.5)
            .constraints(&[(1.0, 1.0)]),
        Case::new("symmetric product", |x| vec![-(&x[0] * &x[1])], &[0.0, 0.0], -1.0).bounds(&[-1.0; 2], &[1.0; 2]),
    ];
    check_all(cases, |case, s| s.status == Status::Solved && (s.objective - case.objective).abs() < 1e-9);
    // A flat bottom is no saddle: no second attempt.
    let mut flat = collection().into_iter().find(|c| c.name == "singular quadratic").unwrap();
    assert!(run(&mut flat).iterations < 5);
}

/// Rows and objectives with large gradients are scaled inside; what is returned is not.
#[test]
fn scaling_is_invisible() {
    let mut case = Case::new("large", |x| vec![1e6 * (&x[0] - 3.0).pow(2), 1e5 * x[0].pow(2)], &[0.5], 4e6)
        .constraints(&[(-INF, 1e5)]);
    for s in [run(&mut case), sqp::solve(&mut case.nlp, &[0.5], &sqp::Settings::default())] {
        assert!((s.z[0] - 1.0).abs() < 1e-9 && (s.objective - 4e6).abs() < 1e-2, "{s:?}");
        assert!((s.multipliers.constraints[0] + 20.0).abs() < 1e-6, "{s:?}");
    }
}

/// A convex quadratic programme ½ zᵀP z + qᵀz.
struct Quadratic {
    frame: Frame,
    p: Dense,
    q: Vec<f64>,
}

impl Nlp for Quadratic {
    fn frame(&self) -> &Frame {
        &self.frame
    }
    fn objective(&mut self, z: &[f64]) -> f64 {
        let mut pz = vec![0.0; z.len()];
        self.p.mul_add(0.5, z, &mut pz);
        z.iter().zip(pz.iter().zip(&self.q)).map(|(z, (p, q))| z * (p + q)).sum()
    }
    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&self.q);
        self.p.mul_add(1.0, z, out);
    }
    fn constraints(&mut self, _: &[f64], _: &mut [f64]) {}
    fn jacobian(&mut self, _: &[f64], _: &mut Dense) {}
    fn hessian(&mut self, _: &[f64], objective_weight: f64, _: &[f64], out: &mut Dense) -> bool {
        for (o, p) in out.data_mut().iter_mut().zip(self.p.data()) {
            *o = objective_weight * p;
        }
        true
    }
}

/// A feasible, bounded programme of random rank with random active rows, equalities and one-sided ranges.
fn quadratic(n: usize, m: usize, rank: usize, seed: &[f64]) -> Quadratic {
    let at = |k: usize| seed[k % seed.len()];
    let p = Dense::from_fn(n, n, |i, j| (0..rank).map(|k| at(31 * i + 7 * k) * at(31 * j + 7 * k)).sum());
    let inside: Vec<f64> = (0..n).map(|j| at(200 + 3 * j)).collect();
    let mut triplets = Vec::new();
    for i in 0..m {
        triplets.extend((0..n).map(|j| (i, j, (4.0 * at(13 * i + 11 * j + 5)).round())));
    }
    let rows = Csr::from_triplets(m, n, &triplets).unwrap();
    let mut values = vec![0.0; m];
    rows.mul_add(1.0, &inside, &mut values);
    let frame = Frame {
        // Some bounds hold with equality at the inside point: the feasible set may be flat.
        lower: (0..n).map(|j| inside[j] - at(90 + j).max(0.0)).collect(),
        upper: (0..n).map(|j| inside[j] + 0.1 + at(60 + j).abs()).collect(),
        rows,
        row_lower: (0..m).map(|i| if i % 3 == 1 { -INF } else { values[i] - at(40 + i).max(0.0) }).collect(),
        row_upper: (0..m).map(|i| if i % 3 == 2 { INF } else { values[i] + at(41 + i).max(0.0) }).collect(),
        constraint_lower: vec![],
        constraint_upper: vec![],
    };
    Quadratic { frame, p, q: (0..n).map(|j| 3.0 * at(170 + 5 * j)).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn convex_quadratic_programmes(n in 1usize..8, m in 0usize..7, rank in 0usize..8,
                                   seed in prop::collection::vec(-1.0..1.0f64, 251)) {
        let mut qp = quadratic(n, m, rank, &seed);
        let s = solve(&mut qp, &vec![0.0; n], &Settings::default());
        prop_assert_eq!(s.status, Status::Solved, "{:?}", s);
        prop_assert!(s.residuals.scaled <= 1e-10);
        prop_assert!((0..n).all(|j| s.z[j] >= qp.frame.lower[j] && s.z[j] <= qp.frame.upper[j]));
        let t = sqp::solve(&mut qp, &vec![0.0; n], &sqp::Settings::default());
        prop_assert!(t.status.is_success(), "{:?}", t);
        prop_assert!((s.objective - t.objective).abs() <= 1e-7 * (1.0 + s.objective.abs()), "{} {}", s.objective, t.objective);
    }
}

/// A convex programme with k ellipsoids ½ zᵀP_i z + q_iᵀz <= r_i around a feasible point and an exponential objective.
struct Ellipsoids {
    base: Quadratic,
    balls: Vec<Quadratic>,
}

impl Nlp for Ellipsoids {
    fn frame(&self) -> &Frame {
        &self.base.frame
    }
    fn objective(&mut self, z: &[f64]) -> f64 {
        self.base.objective(z) + z.iter().map(|v| (2.0 * v).exp()).sum::<f64>()
    }
    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        self.base.gradient(z, out);
        out.iter_mut().zip(z).for_each(|(o, v)| *o += 2.0 * (2.0 * v).exp());
    }
    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        out.iter_mut().zip(&mut self.balls).for_each(|(o, b)| *o = b.objective(z));
    }
    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        self.balls.iter_mut().enumerate().for_each(|(i, b)| b.gradient(z, out.row_mut(i)));
    }
    fn hessian(&mut self, z: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        self.base.hessian(z, objective_weight, &[], out);
        for (b, w) in self.balls.iter().zip(weights) {
            out.data_mut().iter_mut().zip(b.p.data()).for_each(|(o, p)| *o += w * p);
        }
        (0..z.len()).for_each(|j| out[(j, j)] += objective_weight * 4.0 * (2.0 * z[j]).exp());
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn convex_programmes(n in 1usize..7, m in 0usize..3, k in 0usize..5, rank in 1usize..7, spread in 0.0..8.0f64,
                         seed in prop::collection::vec(-1.0..1.0f64, 251)) {
        let mut base = quadratic(n, m, rank, &seed);
        base.frame.lower.iter_mut().step_by(2).for_each(|l| *l = -30.0);
        // Scales from 1 to e^spread.
        base.q.iter_mut().enumerate().for_each(|(j, q)| *q *= (spread * j as f64 / n as f64).exp());
        let inside: Vec<f64> = (0..n).map(|j| seed[(200 + 3 * j) % seed.len()]).collect();
        let mut balls: Vec<_> = (0..k).map(|i| quadratic(n, 0, rank.max(2), &seed[10 * i..])).collect();
        let values: Vec<f64> = balls.iter_mut().map(|b| b.objective(&inside)).collect();
        base.frame.constraint_lower = vec![-INF; k];
        // The last ellipsoid almost passes through the point.
        base.frame.constraint_upper = (0..k).map(|i| values[i] + 0.01 + (k - 1 - i) as f64 * 0.2).collect();
        let mut problem = Ellipsoids { base, balls };
        let s = solve(&mut problem, &vec![0.0; n], &Settings::default());
        prop_assert!(s.status.is_success(), "{:?}", s);
        let t = sqp::solve(&mut problem, &vec![0.0; n], &sqp::Settings::default());
        prop_assert!(t.status.is_success(), "{:?}", t);
        prop_assert!((s.objective - t.objective).abs() <= 1e-5 * (1.0 + s.objective.abs()), "{} {}", s.objective, t.objective);
    }

    #[test]
    fn nonconvex_programmes(n in 1usize..7, m in 0usize..3, k in 0usize..3,
                            seed in prop::collection::vec(-1.0..1.0f64, 251)) {
        // Indefinite objective and constraints, feasible at the inside point.
        let indefinite = |q: &mut Quadratic| (0..n).for_each(|j| q.p[(j, j)] -= 2.0);
        let mut base = quadratic(n, m, n, &seed);
        indefinite(&mut base);
        let inside: Vec<f64> = (0..n).map(|j| seed[(200 + 3 * j) % seed.len()]).collect();
        let mut balls: Vec<_> = (0..k).map(|i| quadratic(n, 0, 2, &seed[10 * i..])).collect();
        balls.iter_mut().for_each(indefinite);
        base.frame.constraint_lower = vec![-INF; k];
        base.frame.constraint_upper = balls.iter_mut().map(|b| b.objective(&inside) + 0.1).collect();
        let mut problem = Ellipsoids { base, balls };
        let s = solve(&mut problem, &vec![0.0; n], &Settings::default());
        prop_assert!(s.status.is_success() || s.status == Status::Infeasible, "{:?}", s);
        let t = sqp::solve(&mut problem, &vec![0.0; n], &sqp::Settings::default());
        prop_assert!(t.status.is_success() || t.status == Status::Infeasible, "{:?}", t);
    }

    #[test]
    fn infeasible_programmes(n in 1usize..6, seed in prop::collection::vec(-1.0..1.0f64, 251), gap in 1e-3..2.0f64) {
        // Row 0 asks for at least `gap` more than its maximum over the box, or than another row allows.
        let mut qp = quadratic(n, 3, n, &seed);
        prop_assume!(qp.frame.rows.row(0).count() > 0);
        if seed[0] > 0.0 {
            let most: f64 = qp.frame.rows.row(0)
                .map(|(j, a)| if a > 0.0 { a * qp.frame.upper[j] } else { a * qp.frame.lower[j] }).sum();
            (qp.frame.row_lower[0], qp.frame.row_upper[0]) = (most + gap, INF);
        } else {
            let twice: Vec<_> = qp.frame.rows.row(0).map(|(j, a)| (0, j, a)).chain(qp.frame.rows.row(0).map(|(j, a)| (1, j, -a))).collect();
            qp.frame.rows = Csr::from_triplets(3, n, &twice).unwrap();
            qp.frame.row_lower = vec![1.0, -1.0 + gap, -1.0];
            qp.frame.row_upper = vec![INF; 3];
        }
        let s = solve(&mut qp, &vec![0.0; n], &Settings::default());
        prop_assert_eq!(s.status, Status::Infeasible, "{:?}", s);
        prop_assert_eq!(sqp::solve(&mut qp, &vec![0.0; n], &sqp::Settings::default()).status, Status::Infeasible);
    }
}
