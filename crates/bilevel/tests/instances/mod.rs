//! Random problems whose v and hyper-objectives have closed forms, with and without followers' sets and constraints, scaled
//! and shifted over many powers of ten; and the count of how often bounds contain the true value.

use bilevel::hyper::End;
use bilevel::prelude::*;
use bilevel::solution::Rigor;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A problem, an x, and what is true there.
pub struct Case {
    pub name: &'static str,
    pub problem: Problem,
    pub x: Vec<f64>,
    /// The follower's tolerance.
    pub eta: f64,
    pub v: f64,
    pub optimistic: f64,
    pub pessimistic: f64,
    /// The size of the terms that f and F are sums of: closed forms have rounding errors too.
    pub sizes: (f64, f64),
}

/// F' = a F + b, f' = c f + d, y' = s y: none of it changes the problem.
#[derive(Clone, Copy)]
pub struct Twist {
    pub a: f64,
    pub b: f64,
    pub c: f64,
    pub d: f64,
    pub s: f64,
}

impl Twist {
    /// None at all.
    pub const NONE: Twist = Twist { a: 1.0, b: 0.0, c: 1.0, d: 0.0, s: 1.0 };

    /// Factors over 10^±`powers`, offsets up to a million times larger than what they are added to.
    pub fn random(rng: &mut ChaCha8Rng, powers: f64) -> Self {
        let mut factor = || 10f64.powf(uniform(rng, -powers, powers));
        let (a, c, s) = (factor(), factor(), factor());
        let mut offset = |of: f64| if rng.random::<bool>() { of * 10f64.powf(uniform(rng, -2.0, 6.0)) } else { 0.0 };
        Self { a, b: offset(a), c, d: offset(c), s }
    }

    /// The model's problem and its truth, from what holds without the twist.
    fn case(
        self,
        name: &'static str,
        mut model: Model,
        (upper, lower): (Expr, Expr),
        x: Vec<f64>,
        truth: Truth,
    ) -> Case {
        let problem = model.upper(upper * self.a + self.b).lower(lower * self.c + self.d).build().unwrap();
        let of = |phi: f64| self.a * phi + self.b;
        Case {
            name,
            problem,
            x,
            eta: self.c * truth.eta,
            v: self.c * truth.v + self.d,
            optimistic: of(truth.phi.0),
            pessimistic: of(truth.phi.1),
            sizes: (self.c * truth.sizes.0 + self.d.abs(), self.a * truth.sizes.1 + self.b.abs()),
        }
    }

    fn bounds(self, lower: &[f64], upper: &[f64]) -> Bounds {
        let scaled = |values: &[f64]| values.iter().map(|v| self.s * v).collect();
        Bounds::from_vectors(scaled(lower), scaled(upper)).unwrap()
    }
}

/// What holds without a twist: v, both φ, η, the sizes of the terms of f and F.
struct Truth {
    v: f64,
    phi: (f64, f64),
    eta: f64,
    sizes: (f64, f64),
}

impl Truth {
    fn new(v: f64, phi: (f64, f64)) -> Self {
        Self { v, phi, eta: 0.0, sizes: (10.0, 30.0) }
    }
}

pub fn uniform(rng: &mut ChaCha8Rng, low: f64, high: f64) -> f64 {
    rng.random_range(low..=high)
}

fn coin(rng: &mut ChaCha8Rng) -> bool {
    rng.random()
}

/// The least and the largest of a function of one variable over an interval that it is monotone on outside of `turns`.
fn extremes(f: impl Fn(f64) -> f64, low: f64, high: f64, turns: &[f64]) -> (f64, f64) {
    let inside = turns.iter().copied().filter(|t| (low..=high).contains(t));
    let values = [low, high].into_iter().chain(inside).map(f);
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
}

/// f = ½ (a p − c x)² with p, q the coordinates of y turned by an angle: S(x) is a line; F quadratic along it.
fn affine(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let (a, c, t) = (uniform(rng, 0.3, 2.0), uniform(rng, -2.0, 2.0), uniform(rng, -2.0, 2.0));
    let (sin, cos) = uniform(rng, 0.0, 3.0).sin_cos();
    let curve = uniform(rng, 0.2, 2.0) * if coin(rng) { 1.0 } else { -1.0 };
    let x0 = uniform(rng, -2.0, 2.0);
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 2).free().unwrap() / twist.s;
    let (p, q) = (y.index(0) * cos + y.index(1) * sin, y.index(1) * cos - y.index(0) * sin);
    let upper = (&p - 1.0).square() * 0.5 + (&q - t).square() * (0.5 * curve) + &q * &x.index(0) + x.sum();
    let lower = (p * a - x.sum() * c).square() * 0.5;
    // ½ curve (q − t)² + q x0 is least (largest) at q = t − x0 / curve.
    let turned = 0.5 * (c * x0 / a - 1.0).powi(2) + x0 + t * x0 - 0.5 * x0 * x0 / curve;
    let phi = if curve > 0.0 { (turned, f64::INFINITY) } else { (f64::NEG_INFINITY, turned) };
    let size = 30.0 + (c * x0 / a).powi(2) + x0 * x0 / curve.abs();
    twist.case("affine", model, (upper, lower), vec![x0], Truth { sizes: (10.0, size), ..Truth::new(0.0, phi) })
}

/// f linear over a box, some of its coefficients zero: a face of answers. F separable.
fn face(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let m = rng.random_range(1..=3);
    separable("face", m, rng, twist)
}

/// The same with many variables.
fn large_face(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let m = rng.random_range(9..=20);
    separable("large face", m, rng, twist)
}

fn separable(name: &'static str, m: usize, rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let x0 = uniform(rng, 0.2, 1.5);
    let mut model = Model::new();
    let x = model.leader("x", 1).within(Bounds::uniform(1, 0.0, 2.0).unwrap()).unwrap();
    let (low, high): (Vec<f64>, Vec<f64>) = (0..m).map(|_| (uniform(rng, -2.0, 0.0), uniform(rng, 0.1, 2.0))).unzip();
    let y = model.follower("y", m).within(twist.bounds(&low, &high)).unwrap() / twist.s;
    let (mut upper, mut lower) = (x.sum() * 0.5, x.sum() * 0.0);
    let (mut v, mut phi) = (0.0, (0.5 * x0, 0.5 * x0));
    for j in 0..m {
        let slope = if coin(rng) { 0.0 } else { uniform(rng, -1.5, 1.5) };
        let (w, t) = (uniform(rng, -1.0, 1.0), uniform(rng, -2.5, 2.5));
        lower = lower + y.index(j) * &x.index(0) * slope;
        upper = upper + (y.index(j) - t).square() * w;
        let (l, h) = (low[j], high[j]);
        let (l, h) = if slope > 0.0 {
            (l, l)
        } else if slope < 0.0 {
            (h, h)
        } else {
            (l, h)
        };
        v += slope * x0 * l;
        let ends = extremes(|y: f64| w * (y - t).powi(2), l, h, &[t]);
        phi = (phi.0 + ends.0, phi.1 + ends.1);
    }
    let sizes = (5.0 * m as f64, 25.0 * m as f64);
    twist.case(name, model, (upper, lower), vec![x0], Truth { sizes, ..Truth::new(v, phi) })
}

/// f = ½ (y1 − x)² over a box in two variables: y1 is the nearest point, y2 anything.
fn nearest(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let (l, h, x0) = (uniform(rng, -1.0, 0.0), uniform(rng, 0.1, 1.0), uniform(rng, -1.5, 1.5));
    let (w, t, slope) = (uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0));
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 2).within(twist.bounds(&[l, -1.0], &[h, 0.5])).unwrap() / twist.s;
    let upper = y.index(0) * slope + (y.index(1) - t).square() * w + y.index(0) * y.index(0);
    let lower = (y.index(0) - x.index(0)).square() * 0.5;
    let y1 = x0.clamp(l, h);
    let phi = extremes(|y: f64| w * (y - t).powi(2) + slope * y1 + y1 * y1, -1.0, 0.5, &[t]);
    twist.case("nearest", model, (upper, lower), vec![x0], Truth::new(0.5 * (y1 - x0).powi(2), phi))
}

/// Two wells, tilted by x: one answer, found by bisection; the tilt may be tiny, or none.
fn wells(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let tilt = if coin(rng) { uniform(rng, 0.05, 1.0) } else { 10f64.powf(uniform(rng, -16.0, -1.0)) };
    let x0 = if rng.random_range(0..6) == 0 { 0.0 } else { tilt * if coin(rng) { 1.0 } else { -1.0 } };
    let (slope, t) = (uniform(rng, -2.0, 2.0), uniform(rng, -1.0, 1.0));
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 1).within(twist.bounds(&[-2.0], &[2.0])).unwrap() / twist.s;
    let upper = y.sum() * slope + (&y - t).square().sum();
    let lower = (y.square() - 1.0).square().sum() + (&x * &y).sum();
    // The global minimiser has the sign of −x and solves 4 y (y² − 1) + |x| = 0 beyond 1 in size.
    let (mut inner, mut outer) = (1.0_f64, 2.0_f64);
    for _ in 0..200 {
        let middle = 0.5 * (inner + outer);
        if 4.0 * middle * (middle * middle - 1.0) - x0.abs() > 0.0 { outer = middle } else { inner = middle }
    }
    let at = |y: f64| slope * y + (y - t).powi(2);
    let y0 = -x0.signum() * inner;
    let phi = if x0 == 0.0 { (at(1.0).min(at(-1.0)), at(1.0).max(at(-1.0))) } else { (at(y0), at(y0)) };
    twist.case("wells", model, (upper, lower), vec![x0], Truth::new((y0 * y0 - 1.0).powi(2) + x0 * y0, phi))
}

/// f = ½ ‖y − x c‖² over a ball around 0: one answer.
fn ball(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let c = [uniform(rng, -2.0, 2.0), uniform(rng, -2.0, 2.0)];
    let (radius, x0) = (uniform(rng, 0.3, 1.5), uniform(rng, -1.5, 1.5));
    let weights = [uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0)];
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 2).within(Ball::new(vec![0.0; 2], twist.s * radius).unwrap()).unwrap() / twist.s;
    let lower = (y.index(0) - x.index(0) * c[0]).square() + (y.index(1) - x.index(0) * c[1]).square();
    let upper = y.index(0) * weights[0] + y.index(1).square() * weights[1];
    let target = [c[0] * x0, c[1] * x0];
    let size = target[0].hypot(target[1]);
    let factor = if size > radius { radius / size } else { 1.0 };
    let answer = [target[0] * factor, target[1] * factor];
    let phi = weights[0] * answer[0] + weights[1] * answer[1] * answer[1];
    let v = 0.5 * (size - size * factor).powi(2);
    twist.case("ball", model, (upper, lower * 0.5), vec![x0], Truth::new(v, (phi, phi)))
}

/// f = y1 + y2 (+ y1) with y1 + y2 >= x, y in a box: a segment, or its end; the constraint may be there several times.
fn coupled(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let x0 = uniform(rng, 0.1, 1.5);
    let (w, tie) = (uniform(rng, 0.2, 1.0), coin(rng));
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 2).within(twist.bounds(&[0.0; 2], &[1.0; 2])).unwrap() / twist.s;
    for k in 0..rng.random_range(1..=3) {
        model.lower_subject_to((y.sum() * (1.0 + k as f64)).at_least(&(x.index(0) * (1.0 + k as f64))));
    }
    let lower = if tie { y.sum() } else { y.sum() + y.index(0) };
    let upper = y.index(0) * w + y.index(1).square();
    // y1 + y2 = x; y1 between max(0, x − 1) and min(1, x); the least y1 without a tie.
    let (low, high) = ((x0 - 1.0).max(0.0), x0.min(1.0));
    let v = if tie { x0 } else { x0 + low };
    let phi = extremes(|y1: f64| w * y1 + (x0 - y1).powi(2), low, if tie { high } else { low }, &[x0 - 0.5 * w]);
    twist.case("coupled", model, (upper, lower), vec![x0], Truth::new(v, phi))
}

/// f = Σ w_j max(0, |y_j − c_j x| − r_j): a box of answers. F separable.
fn hinges(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let m = rng.random_range(1..=2);
    let x0 = uniform(rng, -1.0, 1.0);
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", m).free().unwrap() / twist.s;
    let (mut upper, mut lower, mut phi) = (x.sum(), x.sum() * 0.0, (x0, x0));
    for j in 0..m {
        let (c, r) = (uniform(rng, -1.0, 1.0), uniform(rng, 0.1, 1.0));
        let (w, t) = (uniform(rng, -1.0, 1.0), uniform(rng, -2.0, 2.0));
        let hinge = ((y.index(j) - x.index(0) * c).abs() - r).plus();
        lower = lower + hinge * uniform(rng, 0.5, 2.0);
        upper = upper + (y.index(j) - t).square() * w;
        let ends = extremes(|y: f64| w * (y - t).powi(2), c * x0 - r, c * x0 + r, &[t]);
        phi = (phi.0 + ends.0, phi.1 + ends.1);
    }
    twist.case("hinges", model, (upper, lower), vec![x0], Truth::new(0.0, phi))
}

/// f linear over a simplex with ties among its coefficients, F linear: vertices.
fn simplex(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let m = rng.random_range(2..=4);
    let x0 = uniform(rng, 0.5, 1.5);
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", m).within(Simplex::new(m, twist.s).unwrap()).unwrap() / twist.s;
    let (mut upper, mut lower) = (x.sum(), x.sum() * 0.0);
    let costs: Vec<f64> = (0..m).map(|_| rng.random_range(0..3) as f64).collect();
    let least = costs.iter().fold(f64::INFINITY, |a: f64, c| a.min(*c));
    let mut phi = (f64::INFINITY, f64::NEG_INFINITY);
    for (j, cost) in costs.iter().enumerate() {
        let g = uniform(rng, -2.0, 2.0);
        lower = lower + y.index(j) * &x.index(0) * *cost;
        upper = upper + y.index(j) * g;
        if *cost == least {
            phi = (phi.0.min(x0 + g), phi.1.max(x0 + g));
        }
    }
    twist.case("simplex", model, (upper, lower), vec![x0], Truth::new(least * x0, phi))
}

/// f = ½ a y1² + ½ b y2² (b perhaps nearly 0) with y1 + y2 = x: one answer.
fn equality(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let x0 = uniform(rng, -1.0, 1.0);
    let (a, b) = (uniform(rng, 0.5, 2.0), 10f64.powf(uniform(rng, -12.0, 0.0)));
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 2).within(twist.bounds(&[-3.0; 2], &[3.0; 2])).unwrap() / twist.s;
    model.lower_subject_to(y.sum().equal_to(&x.index(0)));
    let (g, h) = (uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0));
    let upper = y.index(0) * g + y.index(1).square() * h;
    let lower = y.index(0).square() * (0.5 * a) + y.index(1).square() * (0.5 * b);
    let (y1, y2) = (b * x0 / (a + b), a * x0 / (a + b));
    let phi = g * y1 + h * y2 * y2;
    let v = 0.5 * a * y1 * y1 + 0.5 * b * y2 * y2;
    twist.case("equality", model, (upper, lower), vec![x0], Truth::new(v, (phi, phi)))
}

/// A nearly singular Hessian on a box: f = ½ (y1 − x)² + ½ b (y2 − d)², b down to 1e-14, in turned coordinates no box would
/// cut: y1, y2 stay inside.
fn nearly_flat(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let (x0, d) = (uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0));
    let b = 10f64.powf(uniform(rng, -14.0, 0.0));
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 2).within(twist.bounds(&[-2.0; 2], &[2.0; 2])).unwrap() / twist.s;
    let (g, h) = (uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0));
    let upper = y.index(0) * g + y.index(1) * h;
    let lower = (y.index(0) - x.index(0)).square() * 0.5 + (y.index(1) - d).square() * (0.5 * b);
    let phi = g * x0 + h * d;
    twist.case("nearly flat", model, (upper, lower), vec![x0], Truth::new(0.0, (phi, phi)))
}

/// An η-rational follower: f = ½ a (y − c x)² within bounds, or s y, whose answers are an interval each.
fn tolerant(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let (x0, eta) = (uniform(rng, -1.0, 1.0), 10f64.powf(uniform(rng, -8.0, 0.5)));
    let (l, h) = (uniform(rng, -2.0, -1.2), uniform(rng, 1.2, 2.0));
    let (w, t) = (uniform(rng, -1.0, 1.0), uniform(rng, -2.0, 2.0));
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 1).within(twist.bounds(&[l], &[h])).unwrap() / twist.s;
    let y = y.index(0);
    let (lower, v, ends) = if coin(rng) {
        let (a, c) = (uniform(rng, 0.5, 2.0), uniform(rng, -1.0, 1.0));
        let width = (2.0 * eta / a).sqrt();
        let ends = ((c * x0 - width).max(l), (c * x0 + width).min(h));
        ((&y - x.index(0) * c).square() * (0.5 * a), 0.0, ends)
    } else {
        let s = uniform(rng, 0.3, 2.0);
        (&y * s + x.index(0), s * l + x0, (l, h.min(l + eta / s)))
    };
    let upper = (&y - t).square() * w + &y;
    let turn = if w == 0.0 { t } else { t - 0.5 / w };
    let phi = extremes(|y: f64| w * (y - t).powi(2) + y, ends.0, ends.1, &[turn]);
    // A small change of eta moves the ends by its root.
    let sizes = (10.0, 30.0 * (1.0 + 1.0 / eta.sqrt().max(1e-4)));
    twist.case("tolerant", model, (upper, lower), vec![x0], Truth { eta, sizes, ..Truth::new(v, phi) })
}

/// The leader's constraint y1 >= r on a segment of answers binds an optimistic leader.
fn guarded(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let (x0, r) = (uniform(rng, -1.0, 1.0), uniform(rng, -0.9, 0.9));
    let (w, t) = (uniform(rng, -1.0, 1.0), uniform(rng, -1.5, 1.5));
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", 2).within(twist.bounds(&[-1.0; 2], &[1.0; 2])).unwrap() / twist.s;
    model.upper_subject_to(y.index(0).at_least(r));
    let upper = (y.index(0) - t).square() * w + x.index(0);
    let lower = (y.index(1) - x.index(0)).square();
    let f = |y: f64| w * (y - t).powi(2) + x0;
    let phi = (extremes(f, r, 1.0, &[t]).0, extremes(f, -1.0, 1.0, &[t]).1);
    twist.case("guarded", model, (upper, lower), vec![x0], Truth::new(0.0, phi))
}

/// f = ½ ‖A y − b‖² with independent or repeated rows and F = ½ curve ‖y − c‖²: S(x) affine, the nearest point by a QR-free
/// construction from orthonormal directions.
fn subspace(rng: &mut ChaCha8Rng, twist: Twist) -> Case {
    let m = [3, 6, 12, 30][rng.random_range(0..4)];
    let p = rng.random_range(1..m);
    let x0 = uniform(rng, -1.0, 1.0);
    // Householder reflections of the unit vectors: orthonormal, with entries that a double holds to rounding.
    let u: Vec<f64> = (0..m).map(|_| uniform(rng, -1.0, 1.0)).collect();
    let square: f64 = u.iter().map(|u| u * u).sum();
    let direction =
        |k: usize| -> Vec<f64> { (0..m).map(|j| f64::from(u8::from(j == k)) - 2.0 * u[k] * u[j] / square).collect() };
    let mut model = Model::new();
    let x = model.leader("x", 1).free().unwrap();
    let y = model.follower("y", m).free().unwrap() / twist.s;
    let c: Vec<f64> = (0..m).map(|_| uniform(rng, -1.0, 1.0)).collect();
    let curve = if coin(rng) { 1.0 } else { -1.0 };
    let (mut lower, mut distance) = (x.sum() * 0.0, 0.0);
    for k in 0..p {
        let (d, b, w) = (direction(k), uniform(rng, -1.0, 1.0), uniform(rng, 0.05, 2.0));
        let along = model.graph().constant_vector(&d).dot(&y);
        let off = along - x.index(0) * b;
        for _ in 0..rng.random_range(1..=2) {
            lower = lower + off.square() * (0.5 * w);
        }
        let own: f64 = d.iter().zip(&c).map(|(d, c)| d * c).sum();
        distance += (own - b * x0).powi(2);
    }
    let upper = (&y - model.graph().constant_vector(&c)).norm2sq() * (0.5 * curve) + x.sum();
    let value = x0 + 0.5 * curve * distance;
    let phi = if curve > 0.0 { (value, f64::INFINITY) } else { (f64::NEG_INFINITY, value) };
    let sizes = (10.0 * m as f64, 10.0 * m as f64);
    twist.case("subspace", model, (upper, lower), vec![x0], Truth { sizes, ..Truth::new(0.0, phi) })
}

/// A family of cases.
pub type Family = fn(&mut ChaCha8Rng, Twist) -> Case;

/// All families.
pub const FAMILIES: [Family; 15] = [
    affine,
    face,
    nearest,
    wells,
    ball,
    coupled,
    hinges,
    simplex,
    equality,
    nearly_flat,
    tolerant,
    guarded,
    subspace,
    large_face,
    wells,
];

/// How often something held.
#[derive(Default)]
pub struct Tally {
    pub held: usize,
    pub all: usize,
    pub misses: Vec<String>,
}

impl Tally {
    pub fn count(&mut self, held: bool, miss: impl FnOnce() -> String) {
        self.all += 1;
        self.held += usize::from(held);
        if !held {
            self.misses.push(miss());
        }
    }

    pub fn line(&self, what: &str) -> String {
        format!("{what}: {} of {} hold", self.held, self.all)
    }
}

/// Ends by what they rest on, and the values themselves.
#[derive(Default)]
pub struct Report {
    pub proved: Tally,
    pub conditional: Tally,
    pub estimated: Tally,
    pub values: Tally,
    /// Values of phi, those that are known, and those between two proved ends.
    pub asked: usize,
    pub known: usize,
    pub intervals: usize,
}

/// Rounding of the closed forms, relative to the size of their terms.
const ROUNDING: f64 = 1e-13;

impl Report {
    /// Evaluates one case and compares.
    pub fn add(&mut self, k: usize, case: &Case) {
        let options = Options { follower_tolerance: case.eta, ..Options::default() };
        let found = case.problem.values_at(&case.x, &options);
        let (name, x) = (case.name, case.x[0]);
        if let Some(v) = &found.v {
            self.ends(&format!("{name} {k} v at {x}"), (&v.lower, &v.upper), case.v, case.sizes.0);
        }
        for (phi, truth) in [(&found.optimistic, case.optimistic), (&found.pessimistic, case.pessimistic)] {
            self.asked += 1;
            let Some(bracket) = &phi.bracket else { continue };
            self.known += 1;
            self.ends(&format!("{name} {k} phi at {x}"), (&bracket.lower, &bracket.upper), truth, case.sizes.1);
            self.intervals += usize::from(bracket.rigor() == Rigor::Proved);
            let near = bracket.value == truth || (bracket.value - truth).abs() <= 1e-5 * (case.sizes.1 + truth.abs());
            self.values.count(near, || format!("{name} {k}: {} for {truth} by {}", bracket.value, phi.by));
        }
    }

    fn ends(&mut self, what: &str, (lower, upper): (&End, &End), truth: f64, size: f64) {
        let slack = if truth.is_finite() { ROUNDING * (size + truth.abs()) } else { 0.0 };
        for (end, held) in [(lower, lower.value <= truth + slack), (upper, upper.value >= truth - slack)] {
            let tally = match &end.rigor {
                Rigor::Proved => &mut self.proved,
                Rigor::Conditional(_) => &mut self.conditional,
                Rigor::Estimated => &mut self.estimated,
            };
            tally.count(held, || format!("{what}: {:e} {:e} for {truth:e}: {}", lower.value, upper.value, end.value));
        }
    }

    pub fn lines(&self) -> Vec<String> {
        vec![
            self.proved.line("proved ends"),
            self.conditional.line("conditional ends"),
            self.estimated.line("estimated ends"),
            self.values.line("values, to 1e-5 of the size of their terms"),
            format!("{} of {} phi known, {} proved on both sides", self.known, self.asked, self.intervals),
        ]
    }
}

/// `count` cases of all families in turn, scaled over 10^±`powers`.
pub fn run(count: usize, seed: u64, powers: f64) -> Report {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut report = Report::default();
    for k in 0..count {
        let twist = if powers > 0.0 { Twist::random(&mut rng, powers) } else { Twist::NONE };
        let case = FAMILIES[k % FAMILIES.len()](&mut rng, twist);
        report.add(k, &case);
    }
    report
}
