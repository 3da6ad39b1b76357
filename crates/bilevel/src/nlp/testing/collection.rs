//! Problems with solutions.

use super::{Case, EQ, Formula, GE, INF};

/// Problems of Hock & Schittkowski, *Test Examples for Nonlinear Programming Codes* (1981), with answers attained from
/// the published starts; small local solutions of others.
#[expect(clippy::too_many_lines, reason = "a table")]
pub fn collection() -> Vec<Case> {
    let rosenbrock: Formula = |x| vec![100.0 * (&x[1] - x[0].pow(2)).pow(2) + (1.0 * &x[0] - 1.0).pow(2)];
    vec![
        Case::new("Rosenbrock", rosenbrock, &[-1.2, 1.0], 0.0).at(&[1.0, 1.0]),
        Case::new("HS1", rosenbrock, &[-2.0, 1.0], 0.0).bounds(&[-INF, -1.5], &[INF; 2]).at(&[1.0, 1.0]),
        Case::new("HS3", |x| vec![&x[1] + 1e-5 * (&x[1] - &x[0]).pow(2)], &[10.0, 1.0], 0.0)
            .bounds(&[-INF, 0.0], &[INF; 2]),
        Case::new("HS4", |x| vec![1.0 / 3.0 * (&x[0] + 1.0).pow(3) + &x[1]], &[1.125, 0.125], 8.0 / 3.0)
            .bounds(&[1.0, 0.0], &[INF; 2])
            .at(&[1.0, 0.0]),
        Case::new(
            "HS5",
            |x| vec![(&x[0] + &x[1]).sin() + (&x[0] - &x[1]).pow(2) - 1.5 * &x[0] + 2.5 * &x[1] + 1.0],
            &[0.0, 0.0],
            -(3f64.sqrt()) / 2.0 - std::f64::consts::FRAC_PI_3,
        )
        .bounds(&[-1.5, -3.0], &[4.0, 3.0]),
        Case::new("HS6", |x| vec![(1.0 * &x[0] - 1.0).pow(2), 10.0 * (&x[1] - x[0].pow(2))], &[-1.2, 1.0], 0.0)
            .constraints(&[EQ])
            .at(&[1.0, 1.0]),
        Case::new(
            "HS7",
            |x| vec![(x[0].pow(2) + 1.0).ln() - &x[1], (x[0].pow(2) + 1.0).pow(2) + x[1].pow(2)],
            &[2.0, 2.0],
            -(3f64.sqrt()),
        )
        .constraints(&[(4.0, 4.0)])
        .at(&[0.0, 3f64.sqrt()]),
        Case::new(
            "HS9",
            |x| {
                let pi = std::f64::consts::PI;
                vec![(pi / 12.0 * &x[0]).sin() * (pi / 16.0 * &x[1]).cos()]
            },
            &[0.0, 0.0],
            -0.5,
        )
        .rows(&[(&[4.0, -3.0], 0.0, 0.0)]),
        Case::new(
            "HS10",
            |x| vec![&x[0] - &x[1], -3.0 * x[0].pow(2) + 2.0 * (&x[0] * &x[1]) - x[1].pow(2) + 1.0],
            &[-10.0, 10.0],
            -1.0,
        )
        .constraints(&[GE])
        .at(&[0.0, 1.0]),
        Case::new(
            "HS11",
            |x| vec![(&x[0] - 5.0).pow(2) + x[1].pow(2) - 25.0, &x[1] - x[0].pow(2)],
            &[4.9, 0.1],
            -8.498_464_223,
        )
        .constraints(&[GE]),
        Case::new(
            "HS12",
            |x| {
                vec![
                    0.5 * x[0].pow(2) + x[1].pow(2) - &x[0] * &x[1] - 7.0 * &x[0] - 7.0 * &x[1],
                    -4.0 * x[0].pow(2) - x[1].pow(2),
                ]
            },
            &[0.0, 0.0],
            -30.0,
        )
        .constraints(&[(-25.0, INF)])
        .at(&[2.0, 3.0]),
        Case::new(
            "HS14",
            |x| vec![(&x[0] - 2.0).pow(2) + (&x[1] - 1.0).pow(2), -0.25 * x[0].pow(2) - x[1].pow(2) + 1.0],
            &[2.0, 2.0],
            9.0 - 2.875 * 7f64.sqrt(),
        )
        .rows(&[(&[1.0, -2.0], -1.0, -1.0)])
        .constraints(&[GE]),
        Case::new(
            "HS15",
            |x| {
                let f = 100.0 * (&x[1] - x[0].pow(2)).pow(2) + (1.0 * &x[0] - 1.0).pow(2);
                vec![f, &x[0] * &x[1], &x[0] + x[1].pow(2)]
            },
            &[-2.0, 1.0],
            306.5,
        )
        .bounds(&[-INF; 2], &[0.5, INF])
        .constraints(&[(1.0, INF), GE])
        .at(&[0.5, 2.0]),
        Case::new("HS21", |x| vec![0.01 * x[0].pow(2) + x[1].pow(2) - 100.0], &[-1.0, -1.0], -99.96)
            .bounds(&[2.0, -50.0], &[50.0, 50.0])
            .rows(&[(&[10.0, -1.0], 10.0, INF)])
            .at(&[2.0, 0.0]),
        Case::new("HS22", |x| vec![(&x[0] - 2.0).pow(2) + (&x[1] - 1.0).pow(2), &x[1] - x[0].pow(2)], &[2.0, 2.0], 1.0)
            .rows(&[(&[1.0, 1.0], -INF, 2.0)])
            .constraints(&[GE])
            .at(&[1.0, 1.0]),
        Case::new(
            "HS24",
            |x| vec![1.0 / (27.0 * 3f64.sqrt()) * (((&x[0] - 3.0).pow(2) - 9.0) * x[1].pow(3))],
            &[1.0, 0.5],
            -1.0,
        )
        .bounds(&[0.0; 2], &[INF; 2])
        .rows(&[(&[1.0 / 3f64.sqrt(), -1.0], 0.0, INF), (&[1.0, 3f64.sqrt()], 0.0, 6.0)])
        .at(&[3.0, 3f64.sqrt()]),
        Case::new(
            "HS26",
            |x| vec![(&x[0] - &x[1]).pow(2) + (&x[1] - &x[2]).pow(4), (x[1].pow(2) + 1.0) * &x[0] + x[2].pow(4) - 3.0],
            &[-2.6, 2.0, 2.0],
            0.0,
        )
        .constraints(&[EQ]),
        Case::new("HS28", |x| vec![(&x[0] + &x[1]).pow(2) + (&x[1] + &x[2]).pow(2)], &[-4.0, 1.0, 1.0], 0.0)
            .rows(&[(&[1.0, 2.0, 3.0], 1.0, 1.0)])
            .at(&[0.5, -0.5, 0.5]),
        Case::new(
            "HS29",
            |x| vec![-(&x[0] * &x[1] * &x[2]), -(x[0].pow(2)) - 2.0 * x[1].pow(2) - 4.0 * x[2].pow(2)],
            &[1.0, 1.0, 1.0],
            -16.0 * 2f64.sqrt(),
        )
        .constraints(&[(-48.0, INF)]),
        Case::new(
            "HS35",
            |x| {
                let squares = 2.0 * x[0].pow(2) + 2.0 * x[1].pow(2) + x[2].pow(2);
                let products = 2.0 * (&x[0] * &x[1]) + 2.0 * (&x[0] * &x[2]);
                vec![squares + products - 8.0 * &x[0] - 6.0 * &x[1] - 4.0 * &x[2] + 9.0]
            },
            &[0.5; 3],
            1.0 / 9.0,
        )
        .bounds(&[0.0; 3], &[INF; 3])
        .rows(&[(&[1.0, 1.0, 2.0], -INF, 3.0)])
        .at(&[4.0 / 3.0, 7.0 / 9.0, 4.0 / 9.0]),
        Case::new(
            "HS38",
            |x| {
                let first = 100.0 * (&x[1] - x[0].pow(2)).pow(2) + (1.0 * &x[0] - 1.0).pow(2);
                let second = 90.0 * (&x[3] - x[2].pow(2)).pow(2) + (1.0 * &x[2] - 1.0).pow(2);
                let third = 10.1 * ((&x[1] - 1.0).pow(2) + (&x[3] - 1.0).pow(2));
                vec![first + second + third + 19.8 * ((&x[1] - 1.0) * (&x[3] - 1.0))]
            },
            &[-3.0, -1.0, -3.0, -1.0],
            0.0,
        )
        .bounds(&[-10.0; 4], &[10.0; 4])
        .at(&[1.0; 4]),
        Case::new(
            "HS39",
            |x| vec![-&x[0], &x[1] - x[0].pow(3) - x[2].pow(2), x[0].pow(2) - &x[1] - x[3].pow(2)],
            &[2.0; 4],
            -1.0,
        )
        .constraints(&[EQ, EQ]),
        Case::new(
            "HS40",
            |x| {
                vec![
                    -(&x[0] * &x[1] * &x[2] * &x[3]),
                    x[0].pow(3) + x[1].pow(2) - 1.0,
                    x[0].pow(2) * &x[3] - &x[2],
                    x[3].pow(2) - &x[1],
                ]
            },
            &[0.8; 4],
            -0.25,
        )
        .constraints(&[EQ, EQ, EQ]),
        Case::new(
            "HS43",
            |x| {
                let sum = x[0].pow(2) + x[1].pow(2);
                vec![
                    &sum + 2.0 * x[2].pow(2) + x[3].pow(2) - 5.0 * &x[0] - 5.0 * &x[1] - 21.0 * &x[2] + 7.0 * &x[3],
                    &sum + x[2].pow(2) + x[3].pow(2) + &x[0] - &x[1] + &x[2] - &x[3],
                    &sum + x[1].pow(2) + x[2].pow(2) + 2.0 * x[3].pow(2) - &x[0] - &x[3],
                    &sum + x[0].pow(2) + x[2].pow(2) + 2.0 * &x[0] - &x[1] - &x[3],
                ]
            },
            &[0.0; 4],
            -44.0,
        )
        .constraints(&[(-INF, 8.0), (-INF, 10.0), (-INF, 5.0)])
        .at(&[0.0, 1.0, 2.0, -1.0]),
        Case::new(
            "HS48",
            |x| vec![(&x[0] - 1.0).pow(2) + (&x[1] - &x[2]).pow(2) + (&x[3] - &x[4]).pow(2)],
            &[3.0, 5.0, -3.0, 2.0, -2.0],
            0.0,
        )
        .rows(&[(&[1.0; 5], 5.0, 5.0), (&[0.0, 0.0, 1.0, -2.0, -2.0], -3.0, -3.0)])
        .at(&[1.0; 5]),
        Case::new(
            "HS63",
            |x| {
                let f = -(x[0].pow(2)) - 2.0 * x[1].pow(2) - x[2].pow(2) - &x[0] * &x[1] - &x[0] * &x[2] + 1000.0;
                vec![f, x[0].pow(2) + x[1].pow(2) + x[2].pow(2)]
            },
            &[2.0; 3],
            961.715_172_1,
        )
        .bounds(&[0.0; 3], &[INF; 3])
        .rows(&[(&[8.0, 14.0, 7.0], 56.0, 56.0)])
        .constraints(&[(25.0, 25.0)]),
        Case::new(
            "HS65",
            |x| {
                let f = (&x[0] - &x[1]).pow(2) + 1.0 / 9.0 * (&x[0] + &x[1] - 10.0).pow(2) + (&x[2] - 5.0).pow(2);
                vec![f, x[0].pow(2) + x[1].pow(2) + x[2].pow(2)]
            },
            &[-5.0, 5.0, 0.0],
            0.953_528_856_7,
        )
        .bounds(&[-4.5, -4.5, -5.0], &[4.5, 4.5, 5.0])
        .constraints(&[(-INF, 48.0)]),
        Case::new(
            "HS71",
            |x| {
                vec![
                    &x[0] * &x[3] * (&x[0] + &x[1] + &x[2]) + &x[2],
                    &x[0] * &x[1] * &x[2] * &x[3],
                    x[0].pow(2) + x[1].pow(2) + x[2].pow(2) + x[3].pow(2),
                ]
            },
            &[1.0, 5.0, 5.0, 1.0],
            17.014_017_289_2,
        )
        .bounds(&[1.0; 4], &[5.0; 4])
        .constraints(&[(25.0, INF), (40.0, 40.0)])
        .at(&[1.0, 4.742_999_64, 3.821_149_98, 1.379_408_29]),
        Case::new(
            "HS76",
            |x| {
                let squares = x[0].pow(2) + 0.5 * x[1].pow(2) + x[2].pow(2) + 0.5 * x[3].pow(2);
                vec![squares - &x[0] * &x[2] + &x[2] * &x[3] - &x[0] - 3.0 * &x[1] + &x[2] - &x[3]]
            },
            &[0.5; 4],
            -4.681_818_181_8,
        )
        .bounds(&[0.0; 4], &[INF; 4])
        .rows(&[
            (&[1.0, 2.0, 1.0, 1.0], -INF, 5.0),
            (&[3.0, 1.0, 2.0, -1.0], -INF, 4.0),
            (&[0.0, 1.0, 4.0, 0.0], 1.5, INF),
        ]),
        Case::new(
            "HS77",
            |x| {
                let f = (&x[0] - 1.0).pow(2) + (&x[0] - &x[1]).pow(2) + (&x[2] - 1.0).pow(2);
                vec![
                    f + (&x[3] - 1.0).pow(4) + (&x[4] - 1.0).pow(6),
                    x[0].pow(2) * &x[3] + (&x[3] - &x[4]).sin(),
                    &x[1] + x[2].pow(4) * x[3].pow(2),
                ]
            },
            &[2.0; 5],
            0.241_505_13,
        )
        .constraints(&[(8f64.sqrt(), 8f64.sqrt()), (8.0 + 2f64.sqrt(), 8.0 + 2f64.sqrt())]),
        Case::new(
            "HS78",
            |x| {
                vec![
                    &x[0] * &x[1] * &x[2] * &x[3] * &x[4],
                    x[0].pow(2) + x[1].pow(2) + x[2].pow(2) + x[3].pow(2) + x[4].pow(2) - 10.0,
                    &x[1] * &x[2] - 5.0 * (&x[3] * &x[4]),
                    x[0].pow(3) + x[1].pow(3) + 1.0,
                ]
            },
            &[-2.0, 1.5, 2.0, -1.0, -1.0],
            -2.919_700_41,
        )
        .constraints(&[EQ, EQ, EQ]),
        Case::new(
            "HS80",
            |x| {
                vec![
                    (&x[0] * &x[1] * &x[2] * &x[3] * &x[4]).exp(),
                    x[0].pow(2) + x[1].pow(2) + x[2].pow(2) + x[3].pow(2) + x[4].pow(2) - 10.0,
                    &x[1] * &x[2] - 5.0 * (&x[3] * &x[4]),
                    x[0].pow(3) + x[1].pow(3) + 1.0,
                ]
            },
            &[-2.0, 2.0, 2.0, -1.0, -1.0],
            0.053_949_847_8,
        )
        .bounds(&[-2.3, -2.3, -3.2, -3.2, -3.2], &[2.3, 2.3, 3.2, 3.2, 3.2])
        .constraints(&[EQ, EQ, EQ]),
        Case::new(
            "HS100",
            |x| {
                let f = (&x[0] - 10.0).pow(2) + 5.0 * (&x[1] - 12.0).pow(2) + x[2].pow(4) + 3.0 * (&x[3] - 11.0).pow(2);
                let g = 10.0 * x[4].pow(6) + 7.0 * x[5].pow(2) + x[6].pow(4) - 4.0 * (&x[5] * &x[6]);
                let a = 2.0 * x[0].pow(2) + 3.0 * x[1].pow(4) + &x[2] + 4.0 * x[3].pow(2) + 5.0 * &x[4];
                let b = 7.0 * &x[0] + 3.0 * &x[1] + 10.0 * x[2].pow(2) + &x[3] - &x[4];
                let c = 23.0 * &x[0] + x[1].pow(2) + 6.0 * x[5].pow(2) - 8.0 * &x[6];
                let e = 4.0 * x[0].pow(2) + x[1].pow(2) - 3.0 * (&x[0] * &x[1]) + 2.0 * x[2].pow(2);
                vec![f + g - 10.0 * &x[5] - 8.0 * &x[6], a, b, c, e + 5.0 * &x[5] - 11.0 * &x[6]]
            },
            &[1.0, 2.0, 0.0, 4.0, 0.0, 1.0, 1.0],
            680.630_057_3,
        )
        .constraints(&[(-INF, 127.0), (-INF, 282.0), (-INF, 196.0), (-INF, 0.0)]),
        Case::new(
            "smallest eigenvalue",
            |x| {
                let f = 2.0 * x[0].pow(2) + 3.0 * x[1].pow(2) + 2.0 * (&x[0] * &x[1]);
                vec![f, x[0].pow(2) + x[1].pow(2)]
            },
            &[1.0, 0.3],
            (5.0 - 5f64.sqrt()) / 2.0,
        )
        .constraints(&[(1.0, 1.0)]),
        Case::new(
            "entropy",
            |x| vec![&x[0] * x[0].ln() + &x[1] * x[1].ln() + &x[2] * x[2].ln()],
            &[0.1, 0.1, 0.8],
            -(3f64.ln()),
        )
        .bounds(&[0.0; 3], &[INF; 3])
        .rows(&[(&[1.0; 3], 1.0, 1.0)])
        .at(&[1.0 / 3.0; 3]),
        Case::new("log barrier outside", |x| vec![-(x[0].ln()) + &x[0]], &[1e-3], 1.0).at(&[1.0]),
        Case::new("linear programme, degenerate vertex", |x| vec![-&x[0] - &x[1]], &[0.2, 0.1], -2.0)
            .bounds(&[0.0; 2], &[INF; 2])
            .rows(&[
                (&[1.0, 0.0], -INF, 1.0),
                (&[0.0, 1.0], -INF, 1.0),
                (&[1.0, 1.0], -INF, 2.0),
                (&[2.0, 1.0], -INF, 3.0),
            ])
            .at(&[1.0, 1.0]),
        Case::new("linear programme, edge of solutions", |x| vec![&x[0] + &x[1]], &[3.0, 0.5], 1.0)
            .bounds(&[0.0; 2], &[INF; 2])
            .rows(&[(&[1.0, 1.0], 1.0, INF)]),
        Case::new("dependent equalities", |x| vec![x[0].pow(2) + x[1].pow(2)], &[3.0, 3.0], 0.5)
            .rows(&[(&[1.0, 1.0], 1.0, 1.0), (&[2.0, 2.0], 2.0, 2.0), (&[-1.0, -1.0], -1.0, -1.0)])
            .at(&[0.5, 0.5]),
        Case::new("opposite inequalities", |x| vec![x[0].pow(2) + x[1].pow(2)], &[3.0, 1.0], 0.5)
            .rows(&[(&[1.0, 1.0], 1.0, INF), (&[1.0, 1.0], -INF, 1.0)])
            .at(&[0.5, 0.5]),
        Case::new("singular quadratic", |x| vec![(&x[0] + &x[1] - 1.0).pow(2)], &[4.0, 7.0], 0.0),
        Case::new("singular quadratic in a box", |x| vec![(&x[0] + &x[1] - 1.0).pow(2)], &[0.4, 0.7], 0.0)
            .bounds(&[0.0; 2], &[1.0; 2]),
        Case::new(
            "fixed variable",
            |x| vec![(&x[0] - &x[1]).pow(2) + (&x[1] - 2.0).pow(2) + &x[2]],
            &[0.0, 9.0, 5.0],
            8.25,
        )
        .bounds(&[-1.0, 3.5, 6.0], &[3.5, 3.5, 6.0])
        .at(&[3.5, 3.5, 6.0]),
        Case::new("quartic bottom", |x| vec![x[0].pow(4) + x[1].pow(4)], &[1.0, 0.5], 0.0),
    ]
}
