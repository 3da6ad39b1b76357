//! The residuals (2.7) of the last point of (VFP_epsilon^mu), recomputed by hand from what the certificate stores: value
//! and gradient of v_mu by a one-dimensional search or sum, normal cones of intervals by cases.

#[cfg(test)]
mod tests {
    use bilevel::prelude::*;
    use bilevel::smooth;
    use bilevel::solution::KktPoint;

    /// A problem with x in [-2, 2] and y in [-3, 3], and the same functions written out: |y| smoothed as sqrt(y² + 4 mu²).
    struct Case {
        problem: Problem,
        upper: fn(f64, f64) -> f64,
        lower: fn(f64, f64, f64) -> f64,
    }

    fn case(
        build: impl Fn(&Expr, &Expr) -> (Expr, Expr),
        upper: fn(f64, f64) -> f64,
        lower: fn(f64, f64, f64) -> f64,
    ) -> Case {
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(-2.0, 2.0).unwrap()).unwrap();
        let y = model.follower("y", 1).within(Bounds::new(-3.0, 3.0).unwrap()).unwrap();
        let (over, under) = build(&x, &y);
        Case { problem: model.upper(over).lower(under).build().unwrap(), upper, lower }
    }

    fn cases() -> Vec<Case> {
        vec![
            case(
                |x, y| ((x - 1.0).norm2sq() + (y - 2.0).norm2sq(), (y - x).norm2sq() + y.abs().sum()),
                |x, y| (x - 1.0).powi(2) + (y - 2.0).powi(2),
                |x, y, mu| (y - x).powi(2) + y.hypot(2.0 * mu),
            ),
            case(
                |x, y| ((x + y).norm2sq() + x.sum() * 0.3, (y - 1.0).norm2sq() * 0.5 + (x * y).sum()),
                |x, y| (x + y).powi(2) + 0.3 * x,
                |x, y, _| 0.5 * (y - 1.0).powi(2) + x * y,
            ),
            case(
                |x, y| ((x + 0.5).norm2sq() + (y - 1.2).norm2sq(), (y.square() - 1.0).norm2sq() + (x * y).sum()),
                |x, y| (x + 0.5).powi(2) + (y - 1.2).powi(2),
                |x, y, _| (y * y - 1.0).powi(2) + x * y,
            ),
        ]
    }

    /// The least of `f` over [-3, 3]: a grid, then golden sections around its best points.
    fn minimum(f: impl Fn(f64) -> f64) -> (f64, f64) {
        let steps = 4000;
        let at = |k: i32| -3.0 + 6.0 * f64::from(k) / f64::from(steps);
        let mut best = (f64::INFINITY, 0.0);
        for k in 0..=steps {
            let (mut low, mut high) = (at(k - 1).max(-3.0), at(k + 1).min(3.0));
            if f(at(k)) > f(low).min(f(high)) {
                continue;
            }
            for _ in 0..120 {
                let (a, b) = (high - 0.618_033_988_75 * (high - low), low + 0.618_033_988_75 * (high - low));
                if f(a) < f(b) { high = b } else { low = a }
            }
            let y = 0.5 * (low + high);
            if f(y) < best.0 {
                best = (f(y), y);
            }
        }
        best
    }

    /// -mu ln of the integral of exp(-f/mu) over [-3, 3], by the trapezoidal rule on a grid finer than any peak.
    fn entropic(mu: f64, f: impl Fn(f64) -> f64) -> f64 {
        let steps = 400_000;
        let step = 6.0 / f64::from(steps);
        let at = |k: i32| f(-3.0 + step * f64::from(k));
        let least = (0..=steps).map(at).fold(f64::INFINITY, f64::min);
        let weight = |k: i32| if k == 0 || k == steps { 0.5 } else { 1.0 };
        let sum: f64 = (0..=steps).map(|k| weight(k) * (-(at(k) - least) / mu).exp()).sum();
        least - mu * (sum * step).ln()
    }

    /// Central difference.
    fn slope(f: impl Fn(f64) -> f64, z: f64) -> f64 {
        let h = 1e-6;
        (f(z + h) - f(z - h)) / (2.0 * h)
    }

    /// Distance of v to the normal cone of an interval at z.
    fn to_normals(z: f64, v: f64, low: f64, high: f64) -> f64 {
        if z <= low + 1e-7 {
            v.max(0.0)
        } else if z >= high - 1e-7 {
            (-v).max(0.0)
        } else {
            v.abs()
        }
    }

    /// (epsilon_1, epsilon_2, violation, epsilon_3).
    fn residuals(case: &Case, point: &KktPoint) -> [f64; 4] {
        let (x, y) = (point.x.get("x").unwrap()[0], point.y.get("y").unwrap()[0]);
        let (mu, lambda) = (point.mu, point.multiplier);
        let centre = point.regulariser_centre.get("y").map_or(0.0, |c| c[0]);
        let regularised =
            |x: f64, y: f64| (case.lower)(x, y, mu) + 0.5 * point.regulariser_weight * (y - centre).powi(2);
        let model = |x: f64| match point.value_model.as_str() {
            "entropic" => entropic(mu, |y| (case.lower)(x, y, mu)),
            _ => minimum(|y| regularised(x, y)).0,
        };
        let by_x = slope(|x| (case.upper)(x, y), x) + lambda * (slope(|x| (case.lower)(x, y, mu), x) - slope(model, x));
        let by_y = slope(|y| (case.upper)(x, y), y) + lambda * slope(|y| (case.lower)(x, y, mu), y);
        let slack = (case.lower)(x, y, mu) - model(x) - point.epsilon;
        let stationarity = to_normals(x, -by_x, -2.0, 2.0).hypot(to_normals(y, -by_y, -3.0, 3.0));
        [stationarity, (-lambda).max(0.0), slack.max(0.0), (lambda * slack).abs()]
    }

    #[test]
    fn residuals_agree_with_a_naive_computation() {
        for (k, case) in cases().iter().enumerate() {
            let options = Options { smoothing: smooth::by_name("chks").unwrap(), ..Options::default() };
            let solution = case.problem.solve(&options);
            assert_eq!(solution.status, Status::Solved, "{k}: {}", solution.message);
            let point = solution.certificate.kkt.as_ref().unwrap();
            let [stationarity, dual, violation, complementarity] = residuals(case, point);
            // Differences of numbers of size 1 are good to 1e-9, times lambda.
            let close = |a: f64, b: f64| (a - b).abs() <= 1e-6 * (1.0 + point.multiplier.abs());
            assert!(close(stationarity, point.stationarity), "{k}: {stationarity} {point:?}");
            assert!(close(complementarity, point.complementarity), "{k}: {complementarity} {point:?}");
            assert!(close(violation, point.violation) && dual == point.dual, "{k}: {violation} {dual} {point:?}");
            assert!(point.multiplier > 0.0 && point.epsilon > 0.0 && point.mu > 0.0, "{k}");
            // A wrong multiplier would show.
            let wrong = KktPoint { multiplier: point.multiplier + 1.0, ..point.clone() };
            assert!(residuals(case, &wrong)[0] > 10.0 * stationarity.max(1e-6), "{k}");
        }
    }
}
