//! The promises of [`Proximal`], for every function: the proximal point is optimal, the envelope's gradient is right, the
//! error bound holds, and Moreau's envelope is what the family `moreau` gives.

use proptest::prelude::*;

use super::*;
use crate::set::{Ball, Bounds, Set};
use crate::smooth::{Family, Moreau};

fn functions(d: usize) -> Vec<Box<dyn Proximal>> {
    vec![
        Box::new(L1 { weight: 0.7 }),
        Box::new(GroupNorms { sizes: vec![2, d - 2], weight: 1.3 }),
        Box::new(GroupNorms::norm2(d, 0.5)),
        Box::new(LInf { weight: 1.7 }),
        Box::new(MaxEntry { weight: 0.9 }),
        Box::new(Plus { weight: 1.1 }),
        Box::new(Hinge { weight: 0.6 }),
        Box::new(Huber { delta: 0.4, weight: 2.0 }),
        Box::new(ElasticNet { l1: 0.8, l2: 0.5 }),
        Box::new(Indicator { set: Set::from(Ball::new(vec![0.1; d], 0.7).unwrap()) }),
        Box::new(Indicator { set: Set::from(Bounds::uniform(d, -0.5, 0.3).unwrap()) }),
    ]
}

fn squares(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
}

proptest! {
    #[test]
    fn proximal_points_minimise_and_gradients_are_right(
        z in prop::collection::vec(-3.0..3.0_f64, 5), other in prop::collection::vec(-3.0..3.0_f64, 5), e in -2.0..1.0_f64,
    ) {
        let mu = 10.0_f64.powf(e);
        for h in functions(5) {
            let mut p = vec![0.0; 5];
            h.prox(&z, mu, &mut p);
            let cost = |u: &[f64]| h.value(u) + squares(&z, u) / (2.0 * mu);
            // Strong convexity: cost(u) >= cost(p) + ‖u - p‖² / (2 mu) for every u of the domain.
            let mut feasible = vec![0.0; 5];
            h.prox(&other, 1e-9, &mut feasible);
            for t in [1e-3, 0.3, 1.0] {
                let u: Vec<f64> = p.iter().zip(&feasible).map(|(p, q)| p + t * (q - p)).collect();
                prop_assert!(cost(&u) >= cost(&p) + squares(&u, &p) / (2.0 * mu) - 1e-9 * (1.0 + cost(&p).abs()));
            }
            let mut gradient = vec![0.0; 5];
            let value = h.envelope(&z, mu, &mut gradient);
            let mut scratch = vec![0.0; 5];
            for i in 0..5 {
                let step = 1e-5 * mu.min(1.0);
                let at = |s: f64, out: &mut [f64]| {
                    let mut moved = z.clone();
                    moved[i] += s;
                    h.envelope(&moved, mu, out)
                };
                let slope = (at(step, &mut scratch) - at(-step, &mut scratch)) / (2.0 * step);
                prop_assert!((slope - gradient[i]).abs() < 1e-3 * (1.0 + slope.abs()), "{slope} {}", gradient[i]);
            }
            let bound = 0.5 * mu * h.lipschitz(5).powi(2);
            prop_assert!(value <= h.value(&z) + 1e-12 && h.value(&z) - value <= bound * (1.0 + 1e-9) + 1e-12);
        }
    }

    #[test]
    fn the_family_moreau_is_the_envelope(z in -3.0..3.0_f64, w in -3.0..3.0_f64, e in -2.0..0.5_f64) {
        let mu = 10.0_f64.powf(e);
        let (mut one, mut two) = ([0.0], [0.0; 2]);
        let (plus, l1, largest) = (Plus { weight: 1.0 }, L1 { weight: 1.0 }, MaxEntry { weight: 1.0 });
        let jet = Moreau.plus(z, mu);
        prop_assert!((jet.value - plus.envelope(&[z], mu, &mut one)).abs() < 1e-13);
        prop_assert!((jet.first - one[0]).abs() < 1e-12);
        let jet = Moreau.abs(z, mu);
        prop_assert!((jet.value - l1.envelope(&[z], mu, &mut one)).abs() < 1e-13);
        prop_assert!((jet.first - one[0]).abs() < 1e-12);
        let pair = Moreau.maximum(z, w, mu);
        prop_assert!((pair.value - largest.envelope(&[z, w], mu, &mut two)).abs() < 1e-13);
        prop_assert!((pair.weight - two[0]).abs() < 1e-12);
    }
}

#[test]
fn extreme_and_undefined_entries() {
    for h in functions(3).into_iter().take(9) {
        let mut p = vec![0.0; 3];
        h.prox(&[1e200, -1e200, 0.0], 1e-3, &mut p);
        assert!(p.iter().all(|v| v.is_finite()));
        h.prox(&[f64::NAN, 0.0, 1.0], 1.0, &mut p);
        assert!(p[0].is_nan());
    }
}
