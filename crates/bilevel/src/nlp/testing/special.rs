//! Problems without solutions, without multipliers, with complementarity constraints, with kinks.

use super::super::Status;
use super::{Case, GE, INF};

/// Problems that end with another status than solved.
pub fn without_solution() -> Vec<(Case, Status)> {
    use Status::{Infeasible, Numerical, Unbounded};
    vec![
        (Case::new("unbounded line", |x| vec![&x[0] - 2.0 * &x[1]], &[0.0, 0.0], 0.0), Unbounded),
        (
            Case::new("unbounded linear programme", |x| vec![-&x[0]], &[1.0, 1.0], 0.0)
                .bounds(&[0.0; 2], &[INF; 2])
                .rows(&[(&[1.0, -1.0], -INF, 1.0)]),
            Unbounded,
        ),
        (Case::new("unbounded concave", |x| vec![-(x[0].pow(2)) + x[1].pow(2)], &[0.1, 1.0], 0.0), Unbounded),
        (
            Case::new("unbounded over a curve", |x| vec![-&x[1], &x[1] - x[0].pow(2)], &[1.0, 0.5], 0.0)
                .constraints(&[(-INF, 0.0)]),
            Unbounded,
        ),
        (
            Case::new("contradicting rows", |x| vec![x[0].pow(2) + x[1].pow(2)], &[0.3, 0.2], 0.0)
                .rows(&[(&[1.0, 1.0], 2.0, INF), (&[1.0, 1.0], -INF, 1.0)]),
            Infeasible,
        ),
        (
            Case::new("row against bounds", |x| vec![&x[0] - &x[1]], &[0.3, 0.2], 0.0)
                .bounds(&[0.0; 2], &[1.0; 2])
                .rows(&[(&[1.0, 1.0], 3.0, 3.0)]),
            Infeasible,
        ),
        (
            Case::new("negative square", |x| vec![&x[0] + &x[1], x[0].pow(2) + x[1].pow(2)], &[1.0, 2.0], 0.0)
                .constraints(&[(-INF, -1.0)]),
            Infeasible,
        ),
        (
            Case::new(
                "disjoint discs",
                |x| {
                    let right = (&x[0] - 3.0).pow(2) + x[1].pow(2);
                    vec![1.0 * &x[1], x[0].pow(2) + x[1].pow(2), right]
                },
                &[5.0, 1.0],
                0.0,
            )
            .constraints(&[(-INF, 1.0), (-INF, 1.0)]),
            Infeasible,
        ),
        (Case::new("crossing bounds", |x| vec![1.0 * &x[0]], &[0.0], 0.0).bounds(&[2.0], &[1.0]), Infeasible),
        (Case::new("logarithm of a negative number", |x| vec![x[0].ln()], &[-1.0], 0.0), Numerical),
        (Case::new("NaN everywhere", |x| vec![f64::NAN * &x[0]], &[-1.0], 0.0).bounds(&[-2.0], &[0.0]), Numerical),
    ]
}

/// Feasible sets without an interior, or without multipliers: the answers are approached, not attained.
pub fn degenerate() -> Vec<Case> {
    vec![
        Case::new("y² <= 0", |x| vec![1.0 * &x[0], x[0].pow(2)], &[1.0], 0.0).constraints(&[(-INF, 0.0)]),
        Case::new("y² <= 0, quadratic", |x| vec![(&x[0] - 1.0).pow(2), x[0].pow(2)], &[0.5], 1.0)
            .constraints(&[(-INF, 0.0)]),
        Case::new(
            "HS13",
            |x| vec![(&x[0] - 2.0).pow(2) + x[1].pow(2), (-&x[0] + 1.0).pow(3) - &x[1]],
            &[-2.0, -2.0],
            1.0,
        )
        .bounds(&[0.0; 2], &[INF; 2])
        .constraints(&[GE]),
        Case::new(
            "touching discs",
            |x| {
                let right = (&x[0] - 2.0).pow(2) + x[1].pow(2);
                vec![&x[0] + &x[1], x[0].pow(2) + x[1].pow(2), right]
            },
            &[0.0, 0.5],
            1.0,
        )
        .constraints(&[(-INF, 1.0), (-INF, 1.0)]),
        Case::new("norm of zero", |x| vec![&x[0] - &x[1], (x[0].pow(2) + x[1].pow(2)).sqrt()], &[0.3, 0.4], 0.0)
            .constraints(&[(-INF, 0.0)]),
        Case::new(
            "opposite nonlinear inequalities",
            |x| vec![x[0].pow(2) + x[1].pow(2), &x[0] * &x[1], &x[0] * &x[1]],
            &[3.0, 1.0],
            2.0,
        )
        .constraints(&[(1.0, INF), (-INF, 1.0)]),
    ]
}

/// Programmes with complementarity constraints product <= t, the products last; `t` is set by [`relax`]. Answers for
/// t = 0, from MacMPEC (Leyffer 2000) or by hand.
pub fn complementarity() -> Vec<(Case, usize)> {
    vec![
        (
            Case::new(
                "bard1",
                |x| {
                    let g1 = 3.0 * &x[0] - &x[1] - 3.0;
                    let g2 = -&x[0] + 0.5 * &x[1] + 4.0;
                    let g3 = -&x[0] - &x[1] + 7.0;
                    let f = (&x[0] - 5.0).pow(2) + (2.0 * &x[1] + 1.0).pow(2);
                    vec![f, &x[2] * g1, &x[3] * g2, &x[4] * g3]
                },
                &[0.0; 5],
                17.0,
            )
            .bounds(&[0.0; 5], &[INF; 5])
            .rows(&[
                (&[-1.5, 2.0, 1.0, -0.5, 1.0], 2.0, 2.0),
                (&[3.0, -1.0, 0.0, 0.0, 0.0], 3.0, INF),
                (&[-1.0, 0.5, 0.0, 0.0, 0.0], -4.0, INF),
                (&[-1.0, -1.0, 0.0, 0.0, 0.0], -7.0, INF),
            ]),
            3,
        ),
        (Case::new("corner", |x| vec![&x[0] + &x[1], &x[0] * &x[1]], &[1.0, 2.0], 0.0).bounds(&[0.0; 2], &[INF; 2]), 1),
        (
            Case::new(
                "either axis",
                |x| vec![(&x[0] - 1.0).pow(2) + (&x[1] - 1.0).pow(2), &x[0] * &x[1]],
                &[0.1, 0.9],
                1.0,
            )
            .bounds(&[0.0; 2], &[INF; 2]),
            1,
        ),
        (
            Case::new(
                "scale1",
                |x| vec![(100.0 * &x[0] - 1.0).pow(2) + (&x[1] - 1.0).pow(2), &x[0] * &x[1]],
                &[1.0, 1.0],
                1.0,
            )
            .bounds(&[0.0; 2], &[INF; 2]),
            1,
        ),
        (
            Case::new("jr1", |x| vec![(&x[0] - 1.0).pow(2) + x[1].pow(2), &x[1] * (&x[1] - &x[0])], &[0.0, 2.0], 0.5)
                .bounds(&[-INF, 0.0], &[INF; 2])
                .rows(&[(&[-1.0, 1.0], 0.0, INF)]),
            1,
        ),
        (
            Case::new("jr2", |x| vec![(&x[1] - 1.0).pow(2) + x[0].pow(2), &x[1] * (&x[1] - &x[0])], &[0.0, 0.5], 0.5)
                .bounds(&[-INF, 0.0], &[INF; 2])
                .rows(&[(&[-1.0, 1.0], 0.0, INF)]),
            1,
        ),
        (
            Case::new(
                "gauvin",
                |x| {
                    let w = 4.0 * &x[0] + 8.0 * &x[1] + &x[2] - 120.0;
                    let room = -&x[0] - &x[1] + 20.0;
                    vec![x[0].pow(2) + (&x[1] - 10.0).pow(2), &x[1] * w, &x[2] * room]
                },
                &[7.5, 10.0, 1.0],
                20.0,
            )
            .bounds(&[0.0; 3], &[15.0, INF, INF])
            .rows(&[(&[4.0, 8.0, 1.0], 120.0, INF), (&[-1.0, -1.0, 0.0], -20.0, INF)]),
            2,
        ),
        (
            // Leader (x − 2)² + (y − 1)², follower ½ y² − x y on y >= 0 with y <= 1: y = min(max(x, 0), 1).
            Case::new(
                "clamped follower",
                |x| {
                    let f = (&x[0] - 2.0).pow(2) + (&x[1] - 0.5).pow(2);
                    vec![f, &x[2] * &x[1], &x[3] * (-&x[1] + 1.0)]
                },
                &[0.0, 0.5, 0.0, 0.0],
                0.25,
            )
            .bounds(&[-INF, 0.0, 0.0, 0.0], &[INF, 1.0, INF, INF])
            .rows(&[(&[-1.0, 1.0, -1.0, 1.0], 0.0, 0.0)]),
            2,
        ),
    ]
}

/// Sets the last `pairs` constraints of a complementarity problem to product <= t.
pub fn relax(case: &mut Case, pairs: usize, t: f64) {
    let ranges = vec![(-INF, t); pairs];
    case.nlp.frame.constraint_lower = ranges.iter().map(|r| r.0).collect();
    case.nlp.frame.constraint_upper = ranges.iter().map(|r| r.1).collect();
}

/// Objectives with kinks; solvers for smooth problems need not solve them, but must end near an answer.
pub fn kinks() -> Vec<Case> {
    vec![
        Case::new("absolute values", |x| vec![(&x[0] - 1.0).abs() + 2.0 * (&x[1] + 2.0).abs()], &[5.0, 3.0], 0.0),
        Case::new(
            "kink on a valley",
            |x| vec![(&x[0] - x[1].pow(2)).abs() + 0.1 * (&x[1] - 1.0).pow(2)],
            &[2.0, -1.0],
            0.0,
        ),
        Case::new(
            "kinked constraint",
            |x| vec![x[0].pow(2) + x[1].pow(2), (&x[0] - 1.0).abs() - &x[1]],
            &[3.0, 4.0],
            0.5,
        )
        .constraints(&[(-INF, 0.0)]),
        Case::new(
            "root at its end",
            |x| vec![&x[0] - 2.0 * x[0].sqrt() + (&x[1] - 3.0).abs().sqrt()],
            &[9.0, 4.0],
            -1.0,
        )
        .bounds(&[0.0, 0.0], &[INF; 2]),
    ]
}
