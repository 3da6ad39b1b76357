//! Is the value attained? A pessimistic phi_p jumps up where answers join S(x); towards the jump it may decrease to a value
//! that it does not take. An optimistic phi_o does so where answers leave S(x), which takes constraints of the follower
//! that depend on x and lose their interior.
//!
//! From the best point, a look in several directions for a jump nearby; bisection to it; then three questions: does phi
//! still decrease as the jump comes closer, is the value behind it higher, and is the best value nowhere else. The point
//! returned keeps a distance from the jump, so that rounding does not decide on which side it lies.

use bilevel_linalg::vector;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::set::{ConvexSet, Set};
use crate::upper::hyper::{Oracle, Sample, distance, random_direction};

/// An infimum that is approached.
#[derive(Clone, Debug, PartialEq)]
pub struct Approach {
    /// The value approached.
    pub infimum: f64,
    /// A point near the jump, on its low side.
    pub point: Sample,
    /// phi at the jump's other side.
    pub beyond: f64,
}

/// Distances, relative to 1 + ‖x‖, at which a jump is looked for.
const REACH: [f64; 3] = [1e-6, 1e-4, 1e-2];
/// The jump must be this many times larger than what phi changes by on the low side, and larger than this in itself.
const JUMP: f64 = 100.0;
const LEAST: f64 = 1e-5;
/// Points seen that are looked at for a jump on the way to them.
const SUSPECTS: usize = 3;
/// The value given up by keeping a distance from the jump, relative to 1 + |infimum|.
const GIVEN_UP: f64 = 1e-4;

/// Looks for a jump next to `at`: in the axes and a few random directions, and on the way to points of `seen` that are close
/// and much worse, where phi may be large at one point alone. `None` where there is none, or where the value is attained on
/// the low side.
pub fn approach(oracle: &mut Oracle<'_>, set: &Set, at: &Sample, seen: &[Sample], seed: u64) -> Option<Approach> {
    let n = at.x.len();
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut directions: Vec<Vec<f64>> =
        (0..n.min(20)).map(|j| (0..n).map(|i| f64::from(u8::from(i == j))).collect()).collect();
    if n > 1 {
        directions.extend((0..4).map(|_| random_direction(n, &mut rng)));
    }
    let size = 1.0 + at.x.iter().map(|v| v * v).sum::<f64>().sqrt();
    for reach in REACH {
        for direction in &directions {
            for sign in [1.0, -1.0] {
                let line = Line { set, from: &at.x, direction, sign };
                if let Some(found) = along(oracle, at, &line, reach * size, size) {
                    return Some(found);
                }
            }
        }
    }
    for (direction, distance) in suspects(at, seen, REACH[2] * size) {
        let line = Line { set, from: &at.x, direction: &direction, sign: 1.0 };
        if let Some(found) = along(oracle, at, &line, distance, size) {
            return Some(found);
        }
    }
    None
}

/// Unit directions to the points within `reach` to which phi rises most steeply, with their distances.
fn suspects(at: &Sample, seen: &[Sample], reach: f64) -> Vec<(Vec<f64>, f64)> {
    let least = LEAST * (1.0 + at.value.abs());
    let close = seen.iter().map(|s| (s, distance(&s.x, &at.x))).filter(|(s, d)| {
        let worse = s.value.is_finite() && s.value - at.value > least;
        worse && *d > 0.0 && *d <= reach
    });
    let mut close: Vec<(&Sample, f64)> = close.collect();
    close.sort_by(|a, b| ((b.0.value - at.value) / b.1).total_cmp(&((a.0.value - at.value) / a.1)));
    let towards = |(s, d): &(&Sample, f64)| (s.x.iter().zip(&at.x).map(|(a, b)| (a - b) / d).collect(), *d);
    close.iter().take(SUSPECTS).map(towards).collect()
}

/// The same for a value that is known to be reached next to `x` only: looks from points a step back from it, whose value
/// is the same up to the step.
pub fn approach_from_behind(
    oracle: &mut Oracle<'_>,
    set: &Set,
    (x, value): (&[f64], f64),
    seed: u64,
) -> Option<Approach> {
    let size = 1.0 + x.iter().map(|v| v * v).sum::<f64>().sqrt();
    for step in BEHIND {
        for j in 0..x.len() {
            for sign in [1.0, -1.0] {
                let mut back = x.to_vec();
                back[j] += sign * step * size;
                if set.violation(&back) > 0.0 {
                    continue;
                }
                let Ok(sample) = oracle.evaluate(&back) else { return None };
                let near = (sample.value - value).abs() <= NEAR * (1.0 + value.abs());
                if !near {
                    continue;
                }
                if let Some(found) = approach(oracle, set, &sample, &[], seed) {
                    return missed_at_the_end(oracle, set, x, &found, size).then_some(found);
                }
            }
        }
    }
    None
}

/// Whether the value is missed at the very point that it is approached at, which tolerances hide: known where that point has
/// a short decimal expansion.
fn missed_at_the_end(oracle: &mut Oracle<'_>, set: &Set, x: &[f64], found: &Approach, size: f64) -> bool {
    let rounded: Vec<f64> = x.iter().map(|v| (v / SHORT).round() * SHORT).collect();
    let near = x.iter().zip(&rounded).all(|(a, b)| (a - b).abs() <= 1e-6 * size);
    let half = 0.5 * (found.infimum + found.beyond);
    near && set.violation(&rounded) <= 0.0 && oracle.evaluate(&rounded).is_ok_and(|sample| sample.value > half)
}

/// The last decimal of a short expansion.
const SHORT: f64 = 1e-5;
/// Steps back, relative to 1 + ‖x‖, and how much the value may change by them.
const BEHIND: [f64; 2] = [1e-5, 1e-3];
const NEAR: f64 = 1e-2;

/// Whether phi falls without end from `base` in the direction of `towards`: at 1, 10, ... 10^6 times the size of `base`, each
/// time by more than before.
pub fn falls_without_end(oracle: &mut Oracle<'_>, set: &Set, base: &[f64], towards: &[f64]) -> bool {
    let size = 1.0 + vector::norm_inf(base);
    let mut direction: Vec<f64> = towards.iter().zip(base).map(|(a, b)| a - b).collect();
    let length = vector::norm_inf(&direction);
    if !(length > 0.0 && length.is_finite()) {
        return false;
    }
    vector::scale(size / length, &mut direction);
    let line = Line { set, from: base, direction: &direction, sign: 1.0 };
    let (mut last, mut drop) = (None, 0.0);
    for power in 0..=6 {
        let Some(value) = line.value(oracle, 10f64.powi(power)).map(|sample| sample.value) else { return false };
        if let Some(last) = last {
            let falls = last - value > drop;
            if !falls {
                return false;
            }
            drop = last - value;
        }
        last = Some(value);
    }
    last.is_some_and(f64::is_finite)
}

/// A ray from a point.
struct Line<'a> {
    set: &'a Set,
    from: &'a [f64],
    direction: &'a [f64],
    sign: f64,
}

impl Line<'_> {
    fn point(&self, t: f64) -> Option<Vec<f64>> {
        let z: Vec<f64> = self.from.iter().zip(self.direction).map(|(x, d)| x + self.sign * t * d).collect();
        (self.set.violation(&z) <= 0.0).then_some(z)
    }

    /// The length of the ray within the set, up to `reach`: the set's last point may be what a value is not attained at.
    fn length(&self, reach: f64) -> f64 {
        if self.point(reach).is_some() {
            return reach;
        }
        let (mut low, mut high) = (0.0, reach);
        for _ in 0..60 {
            let middle = 0.5 * (low + high);
            if self.point(middle).is_some() { low = middle } else { high = middle }
        }
        low
    }

    fn value(&self, oracle: &mut Oracle<'_>, t: f64) -> Option<Sample> {
        oracle.evaluate(&self.point(t)?).ok()
    }
}

fn along(oracle: &mut Oracle<'_>, at: &Sample, line: &Line<'_>, reach: f64, size: f64) -> Option<Approach> {
    let scale = 1.0 + at.value.abs();
    let reach = line.length(reach);
    if reach <= 1e-8 * size {
        return None;
    }
    let far = line.value(oracle, reach)?;
    let back = line.value(oracle, -reach)?;
    let slope = (back.value - at.value).abs() / reach;
    // Answers that join S(x) make phi larger at once.
    // Where phi has no value at all, x has left what it is defined on: its end may well be attained.
    let jumps = far.value.is_finite() && far.value - at.value > LEAST * scale + JUMP * slope * reach;
    if !jumps {
        return None;
    }
    // Close to a jump tolerances smear it: the low side ends where values begin to rise.
    let (mut low, mut high, mut nearest) = (0.0, reach, at.clone());
    while high - low > 1e-9 * size {
        let middle = 0.5 * (low + high);
        let sample = line.value(oracle, middle)?;
        if sample.value <= at.value + 1e-9 * scale {
            (low, nearest) = (middle, sample);
        } else {
            high = middle;
        }
    }
    // Past a peak that is narrower than that, what was seen of it counts.
    let beyond = line.value(oracle, (high + 1e-8 * size).min(reach)).map_or(far.value, |sample| sample.value);
    let beyond = if beyond - at.value > 0.5 * (far.value - at.value) { beyond } else { far.value };
    // Attained on the low side: phi does not decrease towards the jump.
    let step = 1e-4 * size;
    let before = line.value(oracle, low - step)?;
    let decrease = before.value - nearest.value;
    if decrease <= 2.0 * oracle.noise(at.value) + 1e-9 * scale || nearest.value > at.value + 1e-9 * scale {
        return None;
    }
    let infimum = nearest.value;
    let mut point = nearest;
    for distance in [1e-2, 1e-3, 1e-4, 1e-5, 1e-6] {
        let Some(sample) = line.value(oracle, low - distance * size) else { continue };
        if sample.value <= infimum + GIVEN_UP * (1.0 + infimum.abs()) {
            point = sample;
            break;
        }
    }
    Some(Approach { infimum, point, beyond })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Silent;
    use crate::set::{Bounds, Whole};
    use crate::upper::hyper::testing::Closed;

    fn look(phi: impl Fn(f64) -> f64 + Sync, at: f64) -> Option<Approach> {
        let phi = Closed(1, |x: &[f64]| (phi(x[0]), None));
        let mut oracle = Oracle::new(&phi, 1e-12, 10_000, &Silent);
        let sample = oracle.evaluate(&[at]).unwrap();
        let seen: Vec<Sample> = [0.0, 1.0].iter().map(|&x| oracle.evaluate(&[x]).unwrap()).collect();
        approach(&mut oracle, &Whole::new(1).into(), &sample, &seen, 0)
    }

    #[test]
    fn decreasing_towards_a_jump_is_not_attained() {
        let phi = |x: f64| if x < -0.25 { -x - 1.0 } else { 1.0 - x };
        let found = look(phi, -0.25 - 1e-9).unwrap();
        assert!((found.infimum + 0.75).abs() < 1e-7 && (found.beyond - 1.25).abs() < 1e-7);
        let (x, value) = (found.point.x[0], found.point.value);
        assert!(x < -0.25 - 1e-6 && value <= -0.75 + 2e-4, "{x} {value}");
    }

    #[test]
    fn flat_or_rising_towards_a_jump_and_no_jump_at_all_are_attained() {
        assert!(look(|x| if x < 0.0 { 2.0 } else { 3.0 }, -1e-9).is_none());
        assert!(look(|x| if x < 0.1 { x * x } else { 3.0 }, 0.0).is_none());
        assert!(look(|x| x.abs(), 0.0).is_none());
        assert!(look(|x| 50.0 * (x - 1.0).max(0.0) - x, 1.0).is_none());
    }

    #[test]
    fn a_peak_at_one_point_alone_is_found_from_a_point_seen() {
        let found = look(|x| if x.abs() < 1e-8 { 4.0 } else { x * x - 2.0 }, 5e-7).unwrap();
        assert!((found.infimum + 2.0).abs() < 1e-6 && found.beyond == 4.0, "{found:?}");
        assert!(found.point.x[0].abs() > 1e-6);
    }

    #[test]
    fn a_rise_within_rounding_of_the_jump_does_not_hide_it() {
        // 4 at 0 and beyond; from -3e-8 on it rises to that.
        let blurred = |x: f64| (-x + 4e8 * (x + 3e-8).max(0.0)).min(4.0);
        let found = look(|x| if x < 0.0 { blurred(x) } else { 4.0 }, -3.5e-8).unwrap();
        assert!(found.infimum.abs() < 1e-6 && found.beyond >= 4.0, "{found:?}");
    }

    #[test]
    fn what_falls_faster_and_faster_is_told_from_what_levels_off() {
        let falls = |phi: fn(f64) -> f64| {
            let phi = Closed(1, move |x: &[f64]| (phi(x[0]), None));
            let mut oracle = Oracle::new(&phi, 1e-12, 1000, &Silent);
            falls_without_end(&mut oracle, &Whole::new(1).into(), &[1.0], &[1e12])
        };
        assert!(falls(|x| -x) && falls(|x| 3.0 - x.sqrt()) && falls(|x| -x * x));
        assert!(!falls(|x| 1.0 / (1.0 + x * x)) && !falls(|x| x) && !falls(|x| (x - 5.0).abs()));
    }

    #[test]
    fn the_end_of_the_set_is_no_jump() {
        let phi = Closed(1, |x: &[f64]| (x[0], None));
        let mut oracle = Oracle::new(&phi, 1e-12, 1000, &Silent);
        let sample = oracle.evaluate(&[0.0]).unwrap();
        let set: Set = Bounds::new(0.0, 1.0).unwrap().into();
        assert!(approach(&mut oracle, &set, &sample, &[], 0).is_none());
    }
}
