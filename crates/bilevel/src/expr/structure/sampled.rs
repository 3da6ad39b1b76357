//! A second opinion on convexity in y, by sampling: midpoints of random pairs, `f(x, (a+b)/2) <= (f(x,a) + f(x,b))/2`,
//! and the most negative curvature of the Hessian at random points, confirmed by a midpoint along it.
//!
//! A sampled answer proves nothing and its type says so; a refutation carries the points that show it.

use bilevel_linalg::Dense;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{Block, Range, Structure, VariableBounds};
use crate::expr::NodeId;

/// What is known of the convexity of a function in y, and how.
#[derive(Clone, Debug, PartialEq)]
pub enum Convexity {
    /// By rules, or by a bound on the Hessian over the whole box.
    Proved,
    /// No counterexample among the samples.
    Sampled,
    /// A counterexample was found.
    Refuted {
        /// The points that show it.
        witness: Witness,
    },
    /// The function could not be evaluated at enough sample points.
    Unknown,
}

/// Points at which a function of y breaks the midpoint inequality: `f(x, (a+b)/2) - (f(x,a) + f(x,b))/2 = excess > 0`.
#[derive(Clone, Debug, PartialEq)]
pub struct Witness {
    /// The leader's variables.
    pub x: Vec<f64>,
    /// One end, within the bounds of y.
    pub a: Vec<f64>,
    /// The other end, within the bounds of y.
    pub b: Vec<f64>,
    /// By how much the inequality is broken, well above rounding errors.
    pub excess: f64,
}

/// A function to be sampled.
pub trait Sample {
    /// The value at (x, y); NaN where it is not defined.
    fn value(&mut self, x: &[f64], y: &[f64]) -> f64;

    /// Writes the Hessian in y (m x m, both triangles) and returns true, or returns false if there is none.
    fn hessian(&mut self, x: &[f64], y: &[f64], out: &mut Dense) -> bool {
        let _ = (x, y, out);
        false
    }
}

/// Relative excess above which a midpoint counts as a counterexample.
const EXCESS: f64 = 1e-9;

/// Samples convexity in y on the box of the bounds: `samples` random pairs, and as many Hessians where there are some.
/// The same seed gives the same answer.
pub fn sampled_convexity(function: &mut dyn Sample, bounds: &VariableBounds, samples: usize, seed: u64) -> Convexity {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (n, m) = (bounds.leader().len(), bounds.follower().len());
    let (mut x, mut y) = (vec![0.0; n], vec![0.0; m]);
    let mut pair = Pair { a: vec![0.0; m], b: vec![0.0; m], middle: vec![0.0; m] };
    let mut hessian = Dense::zeros(m, m);
    let mut used = 0;
    for _ in 0..samples {
        let spread = [1.0, 10.0, 100.0][rng.random_range(0..3)];
        draw(bounds.leader(), spread, &mut rng, &mut x);
        draw(bounds.follower(), spread, &mut rng, &mut pair.a);
        draw(bounds.follower(), spread, &mut rng, &mut pair.b);
        // Every other pair differs in one variable only, so that the curvature of the others cannot hide its own.
        if m > 0 && rng.random::<bool>() {
            let alone = rng.random_range(0..m);
            let kept = pair.b[alone];
            pair.b.copy_from_slice(&pair.a);
            pair.b[alone] = kept;
        }
        y.copy_from_slice(&pair.a);
        match pair.excess(function, &x) {
            Some(excess) if excess > 0.0 => return refuted(&x, pair, excess),
            Some(_) => used += 1,
            None => {}
        }
        if function.hessian(&x, &y, &mut hessian)
            && let Some(direction) = negative_direction(&hessian, &mut rng)
        {
            for step in [1.0, 1e-1, 1e-2, 1e-3] {
                pair.around(&y, &direction, step * spread, bounds.follower());
                if let Some(excess) = pair.excess(function, &x).filter(|&e| e > 0.0) {
                    return refuted(&x, pair, excess);
                }
            }
        }
    }
    if used > 0 && 4 * used >= samples { Convexity::Sampled } else { Convexity::Unknown }
}

fn refuted(x: &[f64], pair: Pair, excess: f64) -> Convexity {
    Convexity::Refuted { witness: Witness { x: x.to_vec(), a: pair.a, b: pair.b, excess } }
}

struct Pair {
    a: Vec<f64>,
    b: Vec<f64>,
    middle: Vec<f64>,
}

impl Pair {
    /// The amount by which the midpoint inequality is broken beyond rounding; 0 if it holds, `None` if a value is not
    /// a number.
    fn excess(&mut self, function: &mut dyn Sample, x: &[f64]) -> Option<f64> {
        for (middle, (a, b)) in self.middle.iter_mut().zip(self.a.iter().zip(&self.b)) {
            *middle = 0.5 * (a + b);
        }
        let (fa, fb) = (function.value(x, &self.a), function.value(x, &self.b));
        let excess = function.value(x, &self.middle) - 0.5 * (fa + fb);
        if !excess.is_finite() {
            return None;
        }
        Some(if excess > EXCESS * (1.0 + fa.abs() + fb.abs()) { excess } else { 0.0 })
    }

    /// The points `centre ± step * direction`, with the step shortened so that both lie in the box.
    fn around(&mut self, centre: &[f64], direction: &[f64], step: f64, bounds: &[Range]) {
        let mut step = step;
        for ((&c, &d), range) in centre.iter().zip(direction).zip(bounds) {
            let room = (range.upper() - c).min(c - range.lower()).max(0.0);
            if d != 0.0 {
                step = step.min(room / d.abs());
            }
        }
        for (i, (&c, &d)) in centre.iter().zip(direction).enumerate() {
            (self.a[i], self.b[i]) = (c - step * d, c + step * d);
        }
    }
}

/// A point of the box, uniform where it is bounded, within `spread` of the bound (or of 0) where it is not.
fn draw(bounds: &[Range], spread: f64, rng: &mut impl Rng, out: &mut [f64]) {
    for (range, value) in bounds.iter().zip(out) {
        let (lower, upper) = match (range.lower().is_finite(), range.upper().is_finite()) {
            (true, true) => (range.lower(), range.upper()),
            (true, false) => (range.lower(), range.lower() + spread),
            (false, true) => (range.upper() - spread, range.upper()),
            (false, false) => (-spread, spread),
        };
        *value = (lower + rng.random::<f64>() * (upper - lower)).clamp(lower, upper);
    }
}

/// A direction of clearly negative curvature, by power iteration on `c I - H` with c above all eigenvalues.
fn negative_direction(hessian: &Dense, rng: &mut impl Rng) -> Option<Vec<f64>> {
    const STEPS: usize = 60;
    let m = hessian.rows();
    let shift = (0..m).map(|i| hessian.row(i).iter().map(|h| h.abs()).sum::<f64>()).fold(0.0, f64::max);
    if !shift.is_finite() || shift == 0.0 {
        return None;
    }
    let mut v: Vec<f64> = (0..m).map(|_| rng.random::<f64>() - 0.5).collect();
    let mut image = vec![0.0; m];
    for _ in 0..STEPS {
        image.iter_mut().zip(&v).for_each(|(o, v)| *o = shift * v);
        hessian.mul_add(-1.0, &v, &mut image);
        let size = image.iter().map(|z| z * z).sum::<f64>().sqrt();
        if size == 0.0 || !size.is_finite() {
            return None;
        }
        v.iter_mut().zip(&image).for_each(|(v, z)| *v = z / size);
    }
    image.fill(0.0);
    hessian.mul_add(1.0, &v, &mut image);
    let curvature: f64 = image.iter().zip(&v).map(|(h, v)| h * v).sum();
    (curvature < -EXCESS * shift).then_some(v)
}

impl Structure {
    /// Convexity of a node in y: proved by its structure, or else sampled through `function`, which must evaluate the
    /// same formula.
    pub fn convexity(
        &self,
        node: NodeId,
        function: &mut dyn Sample,
        bounds: &VariableBounds,
        samples: usize,
        seed: u64,
    ) -> Convexity {
        if (node as usize) < self.nodes().len() && self.curvature(node, Block::Follower).is_convex() {
            return Convexity::Proved;
        }
        sampled_convexity(function, bounds, samples, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Cubic {
        with_hessian: bool,
    }

    impl Sample for Cubic {
        fn value(&mut self, x: &[f64], y: &[f64]) -> f64 {
            x[0] * (y[0] * y[0] - y[1]) + y[1].powi(3)
        }

        fn hessian(&mut self, x: &[f64], y: &[f64], out: &mut Dense) -> bool {
            out.data_mut().copy_from_slice(&[2.0 * x[0], 0.0, 0.0, 6.0 * y[1]]);
            self.with_hessian
        }
    }

    fn bounds(x: (f64, f64), y1: (f64, f64), y2: (f64, f64)) -> VariableBounds {
        VariableBounds::new(&[x.0], &[x.1], &[y1.0, y2.0], &[y1.1, y2.1]).unwrap()
    }

    #[test]
    fn samples_agree_with_the_truth() {
        let free = (f64::NEG_INFINITY, f64::INFINITY);
        let convex = bounds((0.0, 1.0), free, (0.0, f64::INFINITY));
        let mut cubic = Cubic { with_hessian: true };
        assert_eq!(sampled_convexity(&mut cubic, &convex, 100, 1), Convexity::Sampled);
        for with_hessian in [true, false] {
            let mut cubic = Cubic { with_hessian };
            let Convexity::Refuted { witness } =
                sampled_convexity(&mut cubic, &bounds((0.0, 1.0), free, (-0.5, 4.0)), 100, 1)
            else {
                panic!("not refuted")
            };
            let middle: Vec<f64> = witness.a.iter().zip(&witness.b).map(|(a, b)| 0.5 * (a + b)).collect();
            let ends = cubic.value(&witness.x, &witness.a) + cubic.value(&witness.x, &witness.b);
            assert_eq!(cubic.value(&witness.x, &middle) - 0.5 * ends, witness.excess);
            assert!(witness.excess > 0.0);
            for end in [&witness.a, &witness.b] {
                assert!(end[1] >= -0.5 && end[1] <= 4.0);
            }
        }
    }

    /// A narrow dip between large convex parts: random pairs miss it, curvature at the points finds it.
    #[test]
    fn curvature_finds_what_pairs_miss() {
        struct Saddle(bool);
        impl Sample for Saddle {
            fn value(&mut self, _: &[f64], y: &[f64]) -> f64 {
                y.iter().map(|v| v * v).sum::<f64>() + 2.02 * y[0] * y[1]
            }
            fn hessian(&mut self, _: &[f64], _: &[f64], out: &mut Dense) -> bool {
                let m = out.rows();
                for i in 0..m {
                    out[(i, i)] = 2.0;
                }
                (out[(0, 1)], out[(1, 0)]) = (2.02, 2.02);
                self.0
            }
        }
        let bounds = VariableBounds::unbounded(0, 12);
        assert_eq!(sampled_convexity(&mut Saddle(false), &bounds, 20, 1), Convexity::Sampled);
        assert!(matches!(sampled_convexity(&mut Saddle(true), &bounds, 20, 1), Convexity::Refuted { .. }));
    }

    #[test]
    fn a_function_that_is_nowhere_defined_is_unknown() {
        struct Nowhere;
        impl Sample for Nowhere {
            fn value(&mut self, _: &[f64], _: &[f64]) -> f64 {
                f64::NAN
            }
        }
        let bounds = VariableBounds::unbounded(1, 1);
        assert_eq!(sampled_convexity(&mut Nowhere, &bounds, 50, 1), Convexity::Unknown);
    }
}
