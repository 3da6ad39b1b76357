//! Low-discrepancy points: a rank-1 lattice {i z / N}, its generator z built component by component for the worst-case
//! error of the weighted Korobov space of smoothness 2 [Sloan, Kuo & Joe 2002], under fixed shifts [Cranley & Patterson
//! 1976], each point with its mirror image 1 − u.
//!
//! The points are the same for all x and mu (common random numbers): differences of integrals at nearby x then carry
//! no noise of the points. The spread over the shifts estimates the error.

use std::f64::consts::PI;

/// Points of one lattice; a prime, so that every generator gives N different projections.
const POINTS: usize = 1021;

/// A shifted lattice in d dimensions.
#[derive(Clone, Debug)]
pub(super) struct Lattice {
    generator: Vec<usize>,
}

impl Lattice {
    /// The lattice in d dimensions.
    pub fn new(d: usize) -> Self {
        Self { generator: generator(d) }
    }

    /// Number of points under one shift, mirror images included.
    pub fn len(&self) -> usize {
        2 * POINTS
    }

    /// Writes point i of `len()` under the given shift, strictly inside the cube.
    pub fn point(&self, i: usize, shift: usize, out: &mut [f64]) {
        let index = i / 2;
        for (k, (o, z)) in out.iter_mut().zip(&self.generator).enumerate() {
            let t = (index * z % POINTS) as f64 / POINTS as f64 + offset(shift, k);
            let t = (t - t.floor()).clamp(1e-12, 1.0 - 1e-12);
            *o = if i.is_multiple_of(2) { t } else { 1.0 - t };
        }
    }
}

/// The fixed shift of component k: a bit mixer (Steele, Lea & Flood 2014, SplitMix64) of the pair.
fn offset(shift: usize, k: usize) -> f64 {
    let mut z = (shift as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add((k as u64) << 32 | 0x51);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / 2f64.powi(64)
}

/// The generator: every component minimises Σ_i Π_k (1 + ω({i z_k / N}) / k²), ω(t) = 2π²(t² − t + 1/6), the ones before
/// it held fixed.
fn generator(d: usize) -> Vec<usize> {
    let omega: Vec<f64> = (0..POINTS)
        .map(|i| {
            let t = i as f64 / POINTS as f64;
            2.0 * PI * PI * (t * t - t + 1.0 / 6.0)
        })
        .collect();
    let mut product = vec![1.0; POINTS];
    let mut chosen = Vec::with_capacity(d);
    for k in 0..d {
        let weight = 1.0 / ((k + 1) as f64 * (k + 1) as f64);
        let error =
            |z: usize| -> f64 { (0..POINTS).map(|i| product[i] * (1.0 + weight * omega[i * z % POINTS])).sum() };
        // The first component is free by symmetry; z and N − z give the same points, mirrored.
        let candidates = if k == 0 { 1..2 } else { 2..POINTS / 2 };
        let best = candidates.map(|z| (error(z), z)).min_by(|a, b| a.0.total_cmp(&b.0)).map_or(1, |best| best.1);
        for (i, p) in product.iter_mut().enumerate() {
            *p *= 1.0 + weight * omega[i * best % POINTS];
        }
        chosen.push(best);
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The integral over the cube by one shifted lattice.
    fn integral(d: usize, shift: usize, f: impl Fn(&[f64]) -> f64) -> f64 {
        let lattice = Lattice::new(d);
        let mut u = vec![0.0; d];
        (0..lattice.len())
            .map(|i| {
                lattice.point(i, shift, &mut u);
                f(&u)
            })
            .sum::<f64>()
            / lattice.len() as f64
    }

    #[test]
    fn odd_functions_integrate_to_nothing_and_smooth_ones_nearly() {
        for shift in 0..8 {
            assert!(integral(10, shift, |u| u.iter().map(|u| (u - 0.5).powi(3)).sum()).abs() < 1e-15);
            // As many independent random points have an error near 6e-3 here.
            let found = integral(10, shift, |u| u.iter().map(|u| 1.0 + 0.3 * (u * u - 1.0 / 3.0)).product());
            assert!((found - 1.0).abs() < 2e-3, "{found}");
        }
    }

    #[test]
    fn shifts_and_components_differ() {
        let all: Vec<f64> = (0..8).flat_map(|s| (0..8).map(move |k| offset(s, k))).collect();
        assert!(all.iter().enumerate().all(|(i, a)| (0.0..1.0).contains(a) && all[..i].iter().all(|b| a != b)));
    }
}
