//! What every closed convex set must satisfy, checked on a given one.

use super::{ConvexSet, Description};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const INF: f64 = f64::INFINITY;

fn random(rng: &mut ChaCha8Rng, n: usize, scale: f64) -> Vec<f64> {
    (0..n).map(|_| rng.random_range(-scale..scale)).collect()
}

fn project(set: &dyn ConvexSet, z: &[f64]) -> Vec<f64> {
    let mut out = vec![f64::NAN; z.len()];
    set.project(z, &mut out);
    out
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn length(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// A member: a sample where there are any, else the projection of a random point.
fn member(set: &dyn ConvexSet, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let n = set.ambient_dimension();
    let mut z = vec![f64::NAN; n];
    if !set.sample(rng, &mut z) {
        z = project(set, &random(rng, n, 20.0));
    }
    z
}

/// All laws, on a set with data of size about 1.
pub(super) fn check(set: &dyn ConvexSet, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = set.ambient_dimension();
    for _ in 0..8 {
        let (z, other, inside) = (random(&mut rng, n, 4.0), random(&mut rng, n, 4.0), member(set, &mut rng));
        let (p, q) = (project(set, &z), project(set, &other));
        check_projection(set, &z, &p, &inside);
        let (moved, apart) = (length(&minus(&p, &q)), length(&minus(&z, &other)));
        assert!(moved <= apart + 1e-12, "not nonexpansive: {moved} > {apart}");
        let kept = length(&minus(&project(set, &inside), &inside));
        assert!(kept <= 1e-12, "moves a member by {kept}");
        let v = random(&mut rng, n, 1.0);
        for at in [&p, &inside] {
            check_normal_cone(set, at, &v);
        }
        let out = minus(&z, &p);
        let distance = set.normal_cone_distance(&p, &out, 1e-9);
        assert!(distance <= 1e-9, "z - Pz is {distance} from the normal cone");
        check_description(set, &z, &inside);
    }
    check_box(set, &mut rng);
    check_dimensions(set, &mut rng);
}

/// Membership, idempotence and the variational inequality.
fn check_projection(set: &dyn ConvexSet, z: &[f64], p: &[f64], inside: &[f64]) {
    assert!(set.violation(p) <= 1e-12, "projection violates by {}", set.violation(p));
    assert!(set.violation(inside) <= 1e-12, "member violates by {}", set.violation(inside));
    assert!(set.contains(inside, 1e-12));
    let again = length(&minus(&project(set, p), p));
    assert!(again <= 1e-12, "not idempotent: moves by {again}");
    let product = dot(&minus(z, p), &minus(inside, p));
    assert!(product <= 1e-11, "variational inequality fails by {product} at {z:?}");
    if length(&minus(z, p)) > 1e-6 {
        assert!(set.violation(z) > 0.0, "a point moved by the projection must violate something");
    }
}

/// The distance of v to the normal cone is the speed of the projection along v (Moreau's decomposition).
fn check_normal_cone(set: &dyn ConvexSet, z: &[f64], v: &[f64]) {
    let step = 1e-7;
    let distance = set.normal_cone_distance(z, v, 1e-10);
    if distance != set.normal_cone_distance(z, v, 1e-6) {
        // The step would cross a constraint that is nearly, not quite, active.
        return;
    }
    let ahead: Vec<f64> = z.iter().zip(v).map(|(z, v)| z + step * v).collect();
    let speed = length(&minus(&project(set, &ahead), z)) / step;
    let distance = set.normal_cone_distance(z, v, 1e-10);
    assert!(
        (speed - distance).abs() < 1e-4,
        "distance {distance}, but the projection moves at {speed}, at {z:?} {v:?}"
    );
}

/// Without auxiliary variables, the description is satisfied exactly by the members.
fn check_description(set: &dyn ConvexSet, z: &[f64], inside: &[f64]) {
    let mut description = Description::with_variables(1);
    set.describe(1, &mut description);
    if description.variables() > 1 + z.len() {
        return;
    }
    let shifted = |z: &[f64]| [&[7.0], z].concat();
    assert!(description_violation(&description, &shifted(inside)) <= 1e-12);
    let (described, direct) = (description_violation(&description, &shifted(z)), set.violation(z));
    assert_eq!(described > 1e-9, direct > 1e-9, "described violation {described}, direct {direct}");
}

/// The box contains members, and far projections along an axis come to its sides.
fn check_box(set: &dyn ConvexSet, rng: &mut ChaCha8Rng) {
    let n = set.ambient_dimension();
    let (mut lower, mut upper) = (vec![f64::NAN; n], vec![f64::NAN; n]);
    set.bounding_box(&mut lower, &mut upper);
    for _ in 0..8 {
        let z = member(set, rng);
        for i in 0..n {
            assert!(lower[i] - 1e-12 <= z[i] && z[i] <= upper[i] + 1e-12, "{z:?} outside {lower:?}, {upper:?}");
        }
    }
    let centre = member(set, rng);
    for i in 0..n {
        for (side, sign) in [(lower[i], -1.0), (upper[i], 1.0)] {
            let mut far = centre.clone();
            far[i] += sign * 1e7;
            let reached = project(set, &far)[i];
            if side.is_finite() {
                assert!((reached - side).abs() < 1e-5, "component {i} reaches {reached}, not {side}");
            } else {
                assert!(reached * sign > 1e2, "component {i} only reaches {reached}, not {side}");
            }
        }
    }
}

/// A bounded set has a finite volume and samples, an unbounded one has neither; a point is a point.
fn check_dimensions(set: &dyn ConvexSet, rng: &mut ChaCha8Rng) {
    let n = set.ambient_dimension();
    let (mut lower, mut upper) = (vec![0.0; n], vec![0.0; n]);
    set.bounding_box(&mut lower, &mut upper);
    let bounded = lower.iter().chain(&upper).all(|b| b.is_finite());
    assert_eq!(set.sample(rng, &mut vec![0.0; n]), bounded);
    if let Some(volume) = set.log_volume() {
        assert_eq!(volume < INF, bounded, "log volume {volume}");
    }
    if let Some(dimension) = set.affine_dimension() {
        assert!(dimension <= n);
        let first = member(set, rng);
        let apart = (0..40).map(|_| length(&minus(&member(set, rng), &first))).fold(0.0, f64::max);
        assert_eq!(dimension == 0, apart <= 1e-12, "dimension {dimension}, members {apart} apart");
    }
}

/// The largest violation of a description's constraints at `z`.
pub(super) fn description_violation(description: &Description, z: &[f64]) -> f64 {
    assert_eq!((z.len(), z.len()), (description.lower.len(), description.upper.len()));
    let mut rows = vec![0.0; description.row_count()];
    for &(row, variable, a) in &description.rows {
        rows[row] += a * z[variable];
    }
    let interval = |z: &[f64], l: &[f64], u: &[f64]| {
        z.iter().zip(l.iter().zip(u)).map(|(z, (l, u))| (l - z).max(z - u)).fold(0.0, f64::max)
    };
    let balls = description.balls.iter().map(|ball| {
        let part = &z[ball.start..ball.start + ball.centre.len()];
        length(&minus(part, &ball.centre)) - ball.radius
    });
    interval(z, &description.lower, &description.upper)
        .max(interval(&rows, &description.row_lower, &description.row_upper))
        .max(balls.fold(0.0, f64::max))
}

/// The mean of `value` over samples of a bounded set.
pub(super) fn mean_of(set: &dyn ConvexSet, count: usize, value: impl Fn(&[f64]) -> f64) -> f64 {
    let mut sum = 0.0;
    each_sample(set, count, |z| sum += value(z));
    sum / count as f64
}

/// The means of z_i and z_i^2 over samples of a bounded set.
pub(super) fn moments(set: &dyn ConvexSet, count: usize) -> (Vec<f64>, Vec<f64>) {
    let n = set.ambient_dimension();
    let (mut mean, mut second) = (vec![0.0; n], vec![0.0; n]);
    each_sample(set, count, |z| {
        for i in 0..n {
            mean[i] += z[i] / count as f64;
            second[i] += z[i] * z[i] / count as f64;
        }
    });
    (mean, second)
}

fn each_sample(set: &dyn ConvexSet, count: usize, mut act: impl FnMut(&[f64])) {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let mut z = vec![0.0; set.ambient_dimension()];
    for _ in 0..count {
        assert!(set.sample(&mut rng, &mut z));
        act(&z);
    }
}
