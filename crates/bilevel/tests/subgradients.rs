//! Subgradients of both hyper-objectives against differences, on random problems with sets, constraints and kinks, small
//! ones and ones that are taken in factors.

#[cfg(test)]
mod tests {
    use bilevel::hyper::{Hyper, HyperObjective, HyperSettings};
    use bilevel::prelude::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn numbers(count: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    fn matrix(rows: usize, cols: usize, rng: &mut ChaCha8Rng) -> Matrix {
        let data = numbers(rows * cols, rng);
        Matrix::from(bilevel_linalg::Dense::from_row_major(rows, cols, data).unwrap())
    }

    /// A follower ½ ‖A y − B x − b‖² (+ ridge) in m variables with p rows, and F = ½ ‖y − c‖² + y·(D x) + Σ exp(y_j / 4).
    struct Recipe {
        m: usize,
        p: usize,
        ridge: f64,
        bounds: bool,
        row: bool,
        absolute: bool,
        smooth: bool,
        route: &'static str,
    }

    const N: usize = 2;

    fn problem(recipe: &Recipe, rng: &mut ChaCha8Rng) -> Problem {
        let Recipe { m, p, .. } = *recipe;
        let mut model = Model::new();
        let x = model.leader("x", N).free().unwrap();
        let (low, high) = if recipe.bounds { (-0.6, 0.8) } else { (f64::NEG_INFINITY, f64::INFINITY) };
        let y = model.follower("y", m).within(Bounds::uniform(m, low, high).unwrap()).unwrap();
        let (a, b, d) = (matrix(p, m, rng), matrix(p, N, rng), matrix(m, N, rng));
        let target = &b * &x * 0.3 + model.graph().constant_vector(&numbers(p, rng)) * 0.2;
        let mut lower = (&a * &y - target).norm2sq() * 0.5;
        if recipe.ridge > 0.0 {
            lower = lower + y.norm2sq() * recipe.ridge;
        }
        if recipe.absolute {
            lower = lower + y.abs().sum() * 0.05;
        }
        if recipe.row {
            model.lower_subject_to(y.sum().at_most(&(x.index(0) * 0.5)));
        }
        let upper = if recipe.smooth {
            let away = (&y - model.graph().constant_vector(&numbers(m, rng))).norm2sq() * 0.5;
            let bent = if recipe.route.is_empty() { (&y * 0.25).exp().sum() } else { x.norm2sq() };
            away + y.dot(&(&d * &x)) + bent
        } else {
            (y.abs() * (model.graph().constant_vector(&numbers(m, rng)) * 0.3 + 1.0)).sum() + x.norm2sq()
        };
        model.upper(upper).lower(lower).build().unwrap()
    }

    /// Compares along a random direction; `None` where φ has a kink within the step.
    fn agrees(problem: &Problem, recipe: &Recipe, rng: &mut ChaCha8Rng) -> Option<bool> {
        let hyper = Hyper::new(problem, Attitude::Optimistic, &HyperSettings::default());
        let (x, direction) = (numbers(N, rng), numbers(N, rng));
        let at = |t: f64| {
            let moved: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + t * d).collect();
            hyper.evaluate_in_full(&moved, 1e-10, None).ok()
        };
        let here = at(0.0)?;
        assert!(recipe.route.is_empty() || here.route == recipe.route, "{} for {}", here.route, recipe.route);
        let step = 2e-4;
        let (ahead, behind) = (at(step)?.point.value, at(-step)?.point.value);
        let (right, left) = ((ahead - here.point.value) / step, (here.point.value - behind) / step);
        // More than the bend of smooth parts over such a step.
        if (right - left).abs() > 1e-3 * (1.0 + right.abs()) {
            return None;
        }
        let subgradient = here.point.subgradient?;
        let slope: f64 = subgradient.iter().zip(&direction).map(|(s, d)| s * d).sum();
        Some((slope - 0.5 * (right + left)).abs() <= 1e-3 * (1.0 + slope.abs()))
    }

    #[test]
    fn subgradients_are_slopes() {
        let base =
            Recipe { m: 5, p: 3, ridge: 0.0, bounds: false, row: false, absolute: false, smooth: true, route: "" };
        let factors = "null space, in factors";
        let recipes = [
            Recipe { ..base },
            Recipe { bounds: true, ..base },
            Recipe { row: true, ..base },
            Recipe { bounds: true, row: true, ridge: 0.3, ..base },
            Recipe { absolute: true, ridge: 0.1, ..base },
            Recipe { bounds: true, row: true, p: 2, ..base },
            Recipe { smooth: false, route: "path of the lasso", ..base },
            Recipe { m: 110, p: 30, route: factors, ..base },
            Recipe { m: 110, p: 30, bounds: true, route: "slice of the follower's box, by duality", ..base },
            Recipe { m: 110, p: 30, smooth: false, route: "path of the lasso", ..base },
        ];
        for (k, recipe) in recipes.iter().enumerate() {
            let mut rng = ChaCha8Rng::seed_from_u64(40 + k as u64);
            let (mut seen, mut right) = (0, 0);
            for _ in 0..12 {
                let problem = problem(recipe, &mut rng);
                if let Some(holds) = agrees(&problem, recipe, &mut rng) {
                    seen += 1;
                    right += usize::from(holds);
                }
            }
            println!("recipe {k}: {right} of {seen}");
            assert!(seen >= 5 && right == seen, "recipe {k}: {right} of {seen} in 12");
        }
    }

    /// Where an eigenvalue is neither clearly zero nor clearly positive, S(x) is undecided and no subgradient is claimed.
    #[test]
    fn an_unclear_rank_is_said() {
        for (small, decided) in [(1e-3, true), (1e-10, false), (0.0, true)] {
            let mut model = Model::new();
            let x = model.leader("x", 1).free().unwrap();
            let y = model.follower("y", 2).free().unwrap();
            let lower = (y.index(0) - x.index(0)).square() + (y.index(1) - x.index(0)).square() * small;
            let problem = model.upper(y.norm2sq() + x.sum()).lower(lower).build().unwrap();
            let hyper = Hyper::new(&problem, Attitude::Optimistic, &HyperSettings::default());
            let found = hyper.evaluate(&[0.5], 1e-9, None).unwrap();
            assert_eq!(found.subgradient.is_some(), decided, "{small}");
        }
    }
}
