//! Followers whose only kinks are powers |y_j|^p, p < 1: neither convex nor Lipschitz at 0, so that every y_j = 0 is a
//! local minimum along its axis. Local minimisers are found support by support:
//!
//! ```text
//! min over y_S of s(x, y) + Σ_{j in S} π_j(x) |y_j|^p,   y_j = 0 outside of S,
//! ```
//!
//! smooth while no y_j of S reaches 0: Newton's method from the minimiser of s on S, and from points known before. With few
//! variables all supports are tried, with many those on the way from all variables to none.

use bilevel_linalg::vector::norm_inf;
use bilevel_linalg::{Cholesky, Dense};

use super::composite::CompositeAt;

/// A local minimiser.
#[derive(Clone, Debug)]
pub struct Branch {
    /// The answer, zero outside of its support.
    pub y: Vec<f64>,
    /// f(x, y).
    pub value: f64,
}

impl Branch {
    /// Whether two minimisers have the same support.
    pub fn same_support(&self, other: &[f64]) -> bool {
        self.y.iter().zip(other).all(|(a, b)| (*a == 0.0) == (*b == 0.0))
    }
}

/// Up to this many variables with a kink all supports are tried.
const ALL: usize = 6;
/// Newton steps at most, and the violation at which they end, relative to 1 + the slope.
const STEPS: usize = 200;
const TOLERANCE: f64 = 1e-12;
/// An entry of the support below this has vanished.
const VANISHED: f64 = 1e-10;

/// The local minimisers at the x that `at` is fixed at, least first; supports of `hints` are tried too, from there.
pub fn branches(at: &mut CompositeAt<'_>, hints: &[&[f64]]) -> Vec<Branch> {
    let m = at.composite().m();
    let kinked: Vec<usize> = (0..m).filter(|&j| at.weights().power[j] > 0.0).collect();
    let mut found: Vec<Branch> = hints.iter().filter_map(|hint| follow(at, hint)).collect();
    if kinked.len() <= ALL {
        for subset in 0..1_usize << kinked.len() {
            let zero: Vec<usize> = (0..kinked.len()).filter(|k| subset >> k & 1 == 0).map(|k| kinked[k]).collect();
            found.extend(from_smooth(at, &zero));
        }
    } else {
        downwards(at, &kinked, &mut found);
    }
    found.sort_by(|a, b| a.value.total_cmp(&b.value));
    let mut distinct: Vec<Branch> = Vec::new();
    for branch in found {
        let same = |known: &Branch| known.y.iter().zip(&branch.y).all(|(a, b)| (a - b).abs() <= 1e-7 * (1.0 + a.abs()));
        if !distinct.iter().any(same) {
            distinct.push(branch);
        }
    }
    distinct
}

/// From all variables down to none, each time without the smallest; then each variable alone.
fn downwards(at: &mut CompositeAt<'_>, kinked: &[usize], found: &mut Vec<Branch>) {
    let mut zero: Vec<usize> = Vec::new();
    while zero.len() < kinked.len() {
        let Some(branch) = from_smooth(at, &zero) else {
            let Some(&next) = kinked.iter().find(|j| !zero.contains(j)) else { break };
            zero.push(next);
            continue;
        };
        let moving = kinked.iter().filter(|j| !zero.contains(j));
        let Some(&smallest) = moving.min_by(|&&a, &&b| branch.y[a].abs().total_cmp(&branch.y[b].abs())) else { break };
        found.push(branch);
        zero.push(smallest);
    }
    found.extend(from_smooth(at, kinked));
    for &alone in kinked {
        let zero: Vec<usize> = kinked.iter().copied().filter(|&j| j != alone).collect();
        found.extend(from_smooth(at, &zero));
    }
}

/// The minimiser on the support that leaves out `zero`, from the minimiser of s there.
fn from_smooth(at: &mut CompositeAt<'_>, zero: &[usize]) -> Option<Branch> {
    let m = at.composite().m();
    let moving: Vec<usize> = (0..m).filter(|j| !zero.contains(j)).collect();
    let start = newton(at, &moving, &vec![0.0; m], 0.0)?;
    newton(at, &moving, &start, 1.0).map(|y| branch_at(at, y))
}

/// The minimiser on the support of `y`, from there.
pub fn follow(at: &mut CompositeAt<'_>, y: &[f64]) -> Option<Branch> {
    let power = &at.weights().power;
    let moving: Vec<usize> = (0..y.len()).filter(|&j| y[j].abs() > VANISHED || power[j] == 0.0).collect();
    let mut start = y.to_vec();
    (0..y.len()).filter(|j| !moving.contains(j)).for_each(|j| start[j] = 0.0);
    newton(at, &moving, &start, 1.0).map(|y| branch_at(at, y))
}

fn branch_at(at: &mut CompositeAt<'_>, y: Vec<f64>) -> Branch {
    Branch { value: at.smooth(&y) + at.penalty(&y), y }
}

/// Damped Newton on the moving variables for s + scale Σ π_j |y_j|^p; `None` if an entry with a kink vanishes, or the end is
/// no strict minimiser.
fn newton(at: &mut CompositeAt<'_>, moving: &[usize], start: &[f64], scale: f64) -> Option<Vec<f64>> {
    let p = at.composite().power()?;
    let (lower, upper) = at.composite().bounds();
    let clip = |j: usize, v: f64| v.max(lower[j]).min(upper[j]);
    let power: Vec<f64> = at.weights().power.iter().map(|w| scale * w).collect();
    let mut y: Vec<f64> = (0..start.len()).map(|j| clip(j, start[j])).collect();
    let cost = |at: &mut CompositeAt<'_>, y: &[f64]| {
        at.smooth(y) + y.iter().zip(&power).filter(|e| *e.1 > 0.0).map(|(y, w)| w * y.abs().powf(p)).sum::<f64>()
    };
    let mut value = cost(at, &y);
    let (mut gradient, mut hessian) = (vec![0.0; y.len()], Dense::zeros(0, 0));
    for _ in 0..STEPS {
        at.gradient(&y, &mut gradient);
        let size = 1.0 + norm_inf(&gradient);
        if moving.iter().any(|&j| power[j] > 0.0 && y[j].abs() < VANISHED) {
            return None;
        }
        let slope = |j: usize| gradient[j] + power[j] * p * pull(y[j], p - 1.0, power[j]) * y[j].signum();
        let held = |j: usize| (y[j] <= lower[j] && slope(j) > 0.0) || (y[j] >= upper[j] && slope(j) < 0.0);
        let free: Vec<usize> = moving.iter().copied().filter(|&j| !held(j)).collect();
        let mut step: Vec<f64> = free.iter().map(|&j| -slope(j)).collect();
        at.hessian(&y, &free, &mut hessian);
        for (a, &j) in free.iter().enumerate() {
            hessian[(a, a)] += power[j] * p * (p - 1.0) * pull(y[j], p - 2.0, power[j]);
        }
        let strict = Cholesky::new().factor(&hessian, 0.0).is_ok();
        if norm_inf(&step) <= TOLERANCE * size {
            return (strict || scale == 0.0).then_some(y);
        }
        let downhill: f64 = -step.iter().map(|s| s * s).sum::<f64>();
        let gradient_step = step.clone();
        shifted_solve(&hessian, &mut step)?;
        let along: f64 = -step.iter().zip(&gradient_step).map(|(s, g)| s * g).sum::<f64>();
        let along = if along < 0.0 { along } else { downhill };
        let room = free.iter().zip(&step).filter(|(j, s)| power[**j] > 0.0 && y[**j] * **s < 0.0);
        let mut length = room.map(|(&j, s)| 0.9 * y[j].abs() / s.abs()).fold(1.0, f64::min);
        let mut accepted = false;
        for _ in 0..50 {
            let mut trial = y.clone();
            free.iter().zip(&step).for_each(|(&j, s)| trial[j] = clip(j, y[j] + length * s));
            let found = cost(at, &trial);
            if found <= value + 1e-4 * length * along + 1e-15 * (1.0 + value.abs()) {
                (y, value, accepted) = (trial, found, true);
                break;
            }
            length *= 0.5;
        }
        if !accepted {
            // Rounding ends the search: near enough to a minimiser or not at all.
            return (strict && norm_inf(&gradient_step) <= 1e-8 * size).then_some(y);
        }
    }
    None
}

/// |y|^q where there is a weight, else 0: a power without weight has no pull, wherever y is.
fn pull(y: f64, q: f64, weight: f64) -> f64 {
    if weight > 0.0 { y.abs().powf(q) } else { 0.0 }
}

/// Replaces `b` by the solution of (H + shift I) p = b with the first shift that makes it positive definite.
fn shifted_solve(hessian: &Dense, b: &mut [f64]) -> Option<()> {
    let largest = (0..b.len()).fold(1e-300, |a: f64, j| a.max(hessian[(j, j)].abs()));
    let mut factors = Cholesky::new();
    let shifts = (0..40).map(|k| if k == 0 { 0.0 } else { 1e-10 * largest * 3f64.powi(k) });
    shifts.into_iter().find(|&shift| factors.factor(hessian, shift).is_ok())?;
    factors.solve(b).ok()
}

/// The variables that move with the answer, and the Hessian of f on them.
pub fn manifold(at: &mut CompositeAt<'_>, y: &[f64]) -> Option<(Vec<usize>, Dense)> {
    let p = at.composite().power()?;
    let (lower, upper) = at.composite().bounds();
    let power = at.weights().power.clone();
    let free = |&j: &usize| (y[j] != 0.0 || power[j] == 0.0) && y[j] > lower[j] && y[j] < upper[j];
    let variables: Vec<usize> = (0..y.len()).filter(free).collect();
    let mut hessian = Dense::zeros(0, 0);
    at.hessian(y, &variables, &mut hessian);
    for (a, &j) in variables.iter().enumerate() {
        hessian[(a, a)] += power[j] * p * (p - 1.0) * pull(y[j], p - 2.0, power[j]);
    }
    Some((variables, hessian))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::structure::VariableBounds;
    use crate::lower::Composite;
    use crate::problem::Model;
    use crate::set::Bounds;

    #[test]
    fn half_threshold() {
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(0.0, 4.0).unwrap()).unwrap();
        let y = model.follower("y", 2).within(Bounds::new(-5.0, 5.0).unwrap()).unwrap();
        let lower = (y.index(0) - x.index(0)).square() / 2.0 + (y.index(1) + 2.0).square() / 2.0;
        let problem = model.upper(x.sum()).lower(lower + y.abs().sqrt().sum()).build().unwrap();
        let parts = Composite::new(&problem, &VariableBounds::unbounded(1, 2)).unwrap();
        let mut at = CompositeAt::new(&parts);
        // Xu, Chang, Xu & Zhang 2012: zero below 3/2; at 3/2 both 0 and 1 are optimal.
        for x in [0.5, 1.4, 1.5, 1.6, 3.0] {
            assert!(at.fix(&[x]));
            let found = branches(&mut at, &[]);
            let best = &found[0];
            assert!(best.y[1] < -1.0);
            let on_grid =
                (0..60_001).map(|k| f64::from(k) * 1e-4 - 3.0).map(|y| (y - x) * (y - x) / 2.0 + y.abs().sqrt());
            let least = on_grid.fold(f64::INFINITY, f64::min);
            let other = (best.y[1] + 2.0).powi(2) / 2.0 + best.y[1].abs().sqrt();
            assert!(best.value - other <= least + 1e-12, "{x}: {}", best.value - other);
            assert_eq!(best.y[0] == 0.0, x < 1.5 || (x == 1.5 && best.y[0] == 0.0));
            if x == 1.5 {
                let tied = found.iter().filter(|b| b.value <= best.value + 1e-12).count();
                assert_eq!(tied, 2);
                assert!(found.iter().any(|b| (b.y[0] - 1.0).abs() < 1e-8));
            }
        }
    }
}
