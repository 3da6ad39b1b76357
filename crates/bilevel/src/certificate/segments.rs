//! Segments x₁x₂ with a point x^θ between, sampled at shrinking lengths: how second-order moduli are looked for.
//!
//! A kink is a rare place. So the worst segments of one length are cut up at the next, where the kink lies in one of the
//! pieces; and a modulus that grows as the segments shrink is taken as a sign that there is none.

use bilevel_linalg::vector::norm2;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Growth of a modulus for each decade of length that raises the alarm.
const GROWTH: f64 = 5.0;
/// Pieces into which a suspect segment is cut.
const PIECES: usize = 12;

/// Two points with one between them.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// x₁.
    pub x1: Vec<f64>,
    /// x₂.
    pub x2: Vec<f64>,
    /// θ in (0, 1).
    pub theta: f64,
}

impl Segment {
    /// θ a + (1−θ) b for any two vectors; x^θ for x₁ and x₂.
    pub fn between(&self, a: &[f64], b: &[f64]) -> Vec<f64> {
        a.iter().zip(b).map(|(a, b)| self.theta * a + (1.0 - self.theta) * b).collect()
    }

    /// x^θ.
    pub fn middle(&self) -> Vec<f64> {
        self.between(&self.x1, &self.x2)
    }

    /// ‖x₁ − x₂‖.
    pub fn length(&self) -> f64 {
        norm2(&self.step())
    }

    fn step(&self) -> Vec<f64> {
        self.x1.iter().zip(&self.x2).map(|(a, b)| a - b).collect()
    }

    fn around(middle: &[f64], direction: &[f64], length: f64, rng: &mut ChaCha8Rng) -> Self {
        let theta = rng.random_range(0.2..=0.8);
        let place = |t: f64| middle.iter().zip(direction).map(|(x, d)| x + t * length * d).collect();
        Self { x1: place(1.0 - theta), x2: place(-theta), theta }
    }

    /// A segment of the length, its x^θ uniform in the box around `centre`.
    pub(super) fn random(centre: &[f64], radius: f64, length: f64, rng: &mut ChaCha8Rng) -> Self {
        let middle: Vec<f64> = centre.iter().map(|x| x + radius * rng.random_range(-1.0..=1.0)).collect();
        let direction = unit(centre.len(), rng);
        Self::around(&middle, &direction, length, rng)
    }

    /// Shorter segments along this one.
    pub(super) fn pieces(&self, length: f64, rng: &mut ChaCha8Rng) -> Vec<Self> {
        let (whole, step) = (self.length(), self.step());
        if whole == 0.0 {
            return Vec::new();
        }
        let direction: Vec<f64> = step.iter().map(|d| d / whole).collect();
        (0..PIECES)
            .map(|piece| {
                let t = (piece as f64 + rng.random_range(0.0..1.0)) / PIECES as f64;
                let middle: Vec<f64> = self.x2.iter().zip(&step).map(|(x, d)| x + t * d).collect();
                Self::around(&middle, &direction, length, rng)
            })
            .collect()
    }
}

/// Whether a modulus grows by [`GROWTH`] for each decade over some two decades, and at least doubles from each length to
/// the next. `rows` holds lengths, falling, with their moduli.
pub(super) fn grows(rows: &[(f64, f64)]) -> bool {
    (0..rows.len()).any(|i| {
        let tail = rows.get(i..).unwrap_or(&[]);
        let Some(&(length, first)) = tail.first() else { return false };
        let Some(last) = tail.iter().position(|row| (length / row.0).log10() > 1.99) else { return false };
        let part = tail.get(..=last).unwrap_or(&[]);
        let rising = part.windows(2).all(|w| matches!(w, [(_, a), (_, b)] if *b >= 2.0 * a));
        part.last().is_some_and(|&(short, end)| {
            rising && end > 0.0 && end >= GROWTH.powf((length / short).log10()) * first.max(0.0)
        })
    })
}

/// A standard normal number (Box & Muller 1958).
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// A unit vector, uniform on the sphere; empty for n = 0.
pub(super) fn unit(n: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    loop {
        let v: Vec<f64> = (0..n).map(|_| normal(rng)).collect();
        let length = norm2(&v);
        if length > 1e-8 || n == 0 {
            return v.iter().map(|v| v / length).collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn segments_have_their_length_and_pieces_lie_along_them() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..50 {
            let segment = Segment::random(&[1.0, 2.0, 3.0], 0.5, 0.1, &mut rng);
            assert!((segment.length() - 0.1).abs() < 1e-14);
            assert!(segment.middle().iter().zip([1.0, 2.0, 3.0]).all(|(x, c)| (x - c).abs() <= 0.5 + 1e-14));
            for piece in segment.pieces(0.01, &mut rng) {
                assert!((piece.length() - 0.01).abs() < 1e-14);
                let along = |x: &[f64]| -> f64 {
                    x.iter().zip(&segment.x2).zip(segment.step()).map(|((x, b), d)| (x - b) * d / 0.01).sum()
                };
                assert!((-0.1..=1.1).contains(&along(&piece.middle())));
                assert!((along(&piece.x1) - along(&piece.x2) - 0.1).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn growth_is_told_from_noise_and_limits() {
        assert!(grows(&[(0.1, 5.0), (0.01, 50.0), (0.001, 500.0)]));
        assert!(grows(&[(1.0, 3.0), (0.1, 5.0), (0.01, 30.0), (0.001, 500.0)]));
        assert!(!grows(&[(0.1, 5.0), (0.01, 9.0), (0.001, 12.0)]));
        assert!(!grows(&[(0.1, 5.0), (0.01, 500.0), (0.001, 510.0)]));
        assert!(!grows(&[(0.1, 0.0), (0.01, 0.0), (0.001, 0.0)]));
        assert!(!grows(&[(0.1, 5.0)]) && !grows(&[]));
    }
}
