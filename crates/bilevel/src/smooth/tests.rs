//! The promises of [`Family`], for every family of the registry.

use proptest::prelude::*;

use super::*;

/// Levels and points from tiny to huge, and near the kink.
fn level() -> impl Strategy<Value = f64> {
    (-12.0..2.0_f64).prop_map(|e| 10.0_f64.powf(e))
}

fn multiple() -> impl Strategy<Value = f64> {
    prop_oneof![-3.0..3.0_f64, -50.0..50.0_f64, (-300.0..290.0_f64).prop_map(|e| 10.0_f64.powf(e))]
}

proptest! {
    #[test]
    fn error_bounds_and_ranges(mu in level(), t in multiple(), flip in any::<bool>()) {
        let z = if flip { -t * mu } else { t * mu };
        for family in FAMILIES {
            let jet = family.plus(z, mu);
            let excess = jet.value - z.max(0.0);
            let rounding = 4.0 * f64::EPSILON * (z.abs() + mu);
            let (below, above) = if family.is_envelope() { (family.plus_error(), 0.0) } else { (0.0, family.plus_error()) };
            prop_assert!(excess >= -below * mu - rounding, "{} {z} {mu}", family.name());
            prop_assert!(excess <= above * mu + rounding, "{} {z} {mu}", family.name());
            prop_assert!((0.0..=1.0).contains(&jet.first) && jet.second >= 0.0 && jet.second.is_finite());
            if family.is_envelope() {
                continue;
            }
            let mirrored = family.plus(-z, mu);
            prop_assert!((jet.value - mirrored.value - z).abs() <= rounding);
            prop_assert!((jet.first + mirrored.first - 1.0).abs() <= 1e-15);
            let (abs, sum) = (family.abs(z, mu), jet.value + mirrored.value);
            // Both sides are sums of size up to |z| + 2 mu, with a few roundings on each.
            prop_assert!((abs.value - sum).abs() <= 3.0 * rounding, "{} {z} {mu}", family.name());
            prop_assert!((abs.first - (jet.first - mirrored.first)).abs() <= 1e-15);
            prop_assert!((abs.second - 2.0 * jet.second).abs() * mu <= 1e-14);
        }
    }

    #[test]
    fn derivatives_agree_with_differences(mu in level(), t in -4.0..4.0_f64) {
        for family in FAMILIES {
            let (z, h) = (t * mu, 1e-5 * mu);
            let (before, at, after) = (family.plus(z - h, mu), family.plus(z, mu), family.plus(z + h, mu));
            let slope = (after.value - before.value) / (2.0 * h);
            prop_assert!((slope - at.first).abs() < 1e-5, "{} {slope} {at:?}", family.name());
            // Once differentiable only: the uniform family at the ends of its band, the envelope at 0 and 1.
            let corner = match family.name() {
                "uniform" => (t.abs() - 0.5).abs() < 1e-4,
                "moreau" => t.abs() < 1e-4 || (t - 1.0).abs() < 1e-4,
                _ => false,
            };
            if !corner {
                let bend = (after.first - before.first) / (2.0 * h);
                prop_assert!((bend - at.second).abs() * mu < 1e-4, "{} {bend} {at:?}", family.name());
            }
        }
    }
}

#[test]
fn the_error_is_attained_at_zero_and_kappa_is_the_mean_of_the_density() {
    let expected =
        [("chks", 2.0), ("logistic", 2.0 * std::f64::consts::LN_2), ("uniform", 0.25), ("epanechnikov", 0.375)];
    for (name, kappa) in expected {
        let family = by_name(name).unwrap();
        assert_eq!(family.kappa(), kappa);
        assert!((family.plus(0.0, 0.3).value - 0.15 * kappa).abs() < 1e-16, "{name}");
        // The density at s is the second derivative at level 1; the tail beyond s = T of the heaviest, CHKS, decays
        // like 2/s^3 and holds 4/T of kappa.
        let (steps, end) = (200_000, 2_000.0);
        let h = end / f64::from(steps);
        let tail: f64 = (0..steps).map(|k| (f64::from(k) + 0.5) * h).map(|s| s * family.plus(s, 1.0).second * h).sum();
        assert!((2.0 * tail - kappa).abs() < 3e-3, "{name}: {}", 2.0 * tail);
    }
}

#[test]
fn extreme_points_and_nan() {
    for family in FAMILIES {
        for mu in [1e-300, 1e-8, 1.0, 1e100] {
            for z in [1e300, f64::MAX, f64::INFINITY] {
                assert!((family.plus(z, mu).value / z == 1.0) || z == f64::INFINITY, "{}", family.name());
                assert_eq!(family.plus(z, mu).first, 1.0);
                assert!(family.abs(-z, mu).value / z == 1.0 || z == f64::INFINITY);
                assert_eq!(family.abs(-z, mu).first, -1.0);
                assert!(family.plus(-z, mu).value >= 0.0 && family.plus(-z, mu).value <= mu);
                assert!(family.plus(-z, mu).first < 1e-100);
            }
        }
        let nan = family.plus(f64::NAN, 1.0);
        assert!(nan.value.is_nan() && nan.first.is_nan() && family.abs(f64::NAN, 1.0).value.is_nan());
    }
    let exact = Smoothing::EXACT.plus(f64::NAN);
    assert!(exact.value.is_nan() && exact.first.is_nan());
}

#[test]
fn registry() {
    assert_eq!(names().next(), Some("chks"));
    assert!(names().all(|name| by_name(name).is_some_and(|family| family.name() == name)));
    assert!(by_name("Chks").is_none());
}

#[test]
fn level_zero_is_exact() {
    for mu in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let smoothing = Smoothing::new(&Logistic, mu);
        assert_eq!(smoothing.mu(), 0.0);
        assert_eq!(smoothing.plus(0.0), Jet { value: 0.0, first: 0.5, second: 0.0 });
        assert_eq!(smoothing.abs(-2.0), Jet { value: 2.0, first: -1.0, second: 0.0 });
        assert_eq!(smoothing.abs(0.0).first, 0.0);
    }
}
