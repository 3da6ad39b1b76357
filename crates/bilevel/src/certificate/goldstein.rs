//! Goldstein stationarity: the nearest point to 0 in the convex hull of subgradients over B(x, nu). *Weaker* than the Clarke
//! measure over the same ball, where one subgradient has to be short by itself: around a kink that no minimiser is near to,
//! the hull may contain 0. It is shown under its own name.

use crate::solution::{Rigor, Stationarity};
use crate::upper::hyper::{Sample, nearest_in_hull};

/// The hull's measure over those of `samples` that lie in B(x, nu), with their number; `None` if there is none.
pub fn goldstein(samples: &[Sample], x: &[f64], nu: f64) -> Option<(f64, usize)> {
    let to = |z: &[f64]| z.iter().zip(x).map(|(z, x)| (z - x) * (z - x)).sum::<f64>().sqrt();
    let inside = samples.iter().filter(|s| to(&s.x) <= nu);
    let generators: Vec<Vec<f64>> = inside.filter_map(|s| s.subgradient.clone()).collect();
    let (nearest, _) = nearest_in_hull(&generators)?;
    Some((nearest.iter().map(|v| v * v).sum::<f64>().sqrt(), generators.len()))
}

/// As an entry of a certificate.
pub fn goldstein_stationarity(value: f64, nu: f64, assumed: Vec<String>) -> Stationarity {
    Stationarity {
        residual: value,
        radius: Some(nu),
        measure: "goldstein".to_string(),
        rigor: Rigor::Conditional(assumed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(x: f64, s: f64) -> Sample {
        Sample { x: vec![x], value: 0.0, subgradient: Some(vec![s]), y: Vec::new() }
    }

    #[test]
    fn zero_around_a_kink_where_no_subgradient_is_short() {
        let samples = [sample(-0.1, -1.0), sample(0.1, 1.0), sample(2.0, 0.0)];
        let (value, count) = goldstein(&samples, &[0.05], 0.2).unwrap();
        assert!(value < 1e-12 && count == 2);
        let (value, count) = goldstein(&samples, &[0.05], 0.1).unwrap();
        assert!((value - 1.0).abs() < 1e-12 && count == 1);
        assert!(goldstein(&samples, &[5.0], 0.1).is_none());
    }
}
