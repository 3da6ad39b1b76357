//! Followers of the form of [`Composite`](super::Composite) with p absent: exact answers, without smoothing.
//!
//! A working set W holds the variables that are not zero and those that violate optimality most. On it, prox-Newton steps
//! [Lee, Sun & Saunders 2014]: the model
//!
//! ```text
//! g_Wᵀ d + ½ dᵀ ∇²_WW s d + P(y + d)
//! ```
//!
//! is minimised by coordinate and group descent, accelerated by Newton steps on the manifold of the nonzero variables up
//! to the first sign change (`model.rs`), and followed by a line search. A quadratic s needs one such step per working
//! set. Only the gradient of s touches all m variables. Ends when no variable violates the optimality conditions.

mod model;
#[cfg(test)]
mod tests;

use bilevel_linalg::Dense;

use super::composite::{CompositeAt, Weights};
use crate::smooth::proximal::soft_threshold;
use model::Model;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bound on the largest violation of an optimality condition, relative to 1 + ‖∇s‖∞.
    pub tolerance: f64,
    /// Most working sets.
    pub max_iterations: usize,
    /// Most variables of a working set.
    pub capacity: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tolerance: 1e-13, max_iterations: 300, capacity: 2000 }
    }
}

/// What the method found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The answer.
    pub y: Vec<f64>,
    /// f(x, y).
    pub value: f64,
    /// The largest violation of an optimality condition, relative to 1 + ‖∇s‖∞; NaN if something was not finite.
    pub residual: f64,
    /// Whether the point ran away: f has no minimum in y.
    pub unbounded: bool,
    /// Working sets.
    pub iterations: usize,
}

/// Points beyond this have left for infinity.
const FAR: f64 = 1e12;
/// Decrease of the objective, relative to that of the model, asked of a step.
const ARMIJO: f64 = 1e-4;
/// Differences of values below this, relative to 1 + |f|, are rounding.
const ROUNDING: f64 = 1e-13;

/// Minimises f(x, ·) at the x that `at` is fixed at, from `start`.
pub fn minimise(at: &mut CompositeAt<'_>, start: &[f64], settings: &Settings) -> Found {
    let (lower, upper) = at.composite().bounds();
    let mut y: Vec<f64> = start.iter().zip(lower.iter().zip(upper)).map(|(y, (&l, &u))| y.max(l).min(u)).collect();
    thin(at, &mut y);
    let mut gradient = vec![0.0; y.len()];
    let mut hessian = Dense::zeros(0, 0);
    let mut value = at.gradient(&y, &mut gradient) + at.penalty(&y);
    let mut best = f64::INFINITY;
    let (mut iterations, mut stalled) = (0, 0);
    let residual = loop {
        let violations = Violations::new(at, &y, &gradient);
        let residual = violations.largest() / (1.0 + norm_inf(&gradient));
        let far = norm_inf(&y) > FAR;
        // Violations that no longer fall are rounding.
        stalled = if residual < 0.5 * best { 0 } else { stalled + 1 };
        best = residual.min(best);
        let ended = residual <= settings.tolerance || !residual.is_finite() || far;
        if ended
            || iterations >= settings.max_iterations
            || bilevel_linalg::stop::asked()
            || (stalled > 8 && residual <= 1e-10)
        {
            break residual;
        }
        iterations += 1;
        let variables = violations.working_set(at, &y, settings);
        at.hessian(&y, &variables, &mut hessian);
        let mut model = Model::new(at, &y, &gradient, &variables, &hessian);
        model.minimise();
        let predicted = model.decrease();
        let target = model.into_point();
        if !step(at, &mut y, (&variables, &target), predicted, &mut value) {
            break residual;
        }
        at.gradient(&y, &mut gradient);
    };
    Found { unbounded: norm_inf(&y) > FAR, y, value, residual, iterations }
}

/// Starts with more nonzero entries than this are dense: points of a smoothed programme, or random ones.
const DENSE_START: usize = 300;
/// Entries of a dense start that are kept.
const KEPT: usize = 100;

/// Keeps only the largest entries of a dense start where a penalty can make them zero: the first working set must not hold
/// everything.
fn thin(at: &CompositeAt<'_>, y: &mut [f64]) {
    let (lower, upper) = at.composite().bounds();
    let abs = &at.weights().abs;
    let penalised =
        |j: usize| (abs[j] > 0.0 || at.composite().group_of(j).is_some()) && lower[j] <= 0.0 && upper[j] >= 0.0;
    let mut entries: Vec<usize> = (0..y.len()).filter(|&j| y[j] != 0.0 && penalised(j)).collect();
    if entries.len() > DENSE_START {
        entries.sort_by(|&a, &b| y[b].abs().total_cmp(&y[a].abs()).then(a.cmp(&b)));
        entries.iter().skip(KEPT).for_each(|&j| y[j] = 0.0);
    }
}

/// Moves from y towards the target on the working set as far as f decreases enough; false if it does not at all.
fn step(
    at: &mut CompositeAt<'_>,
    y: &mut Vec<f64>,
    (variables, target): (&[usize], &[f64]),
    predicted: f64,
    value: &mut f64,
) -> bool {
    let mut length = 1.0;
    let mut trial = y.clone();
    for _ in 0..40 {
        for (&j, &t) in variables.iter().zip(target) {
            trial[j] = if length == 1.0 { t } else { y[j] + length * (t - y[j]) };
        }
        let found = at.smooth(&trial) + at.penalty(&trial);
        if found <= *value + ARMIJO * length * predicted + ROUNDING * (1.0 + value.abs()) {
            *y = trial;
            *value = found;
            return true;
        }
        length *= 0.5;
    }
    false
}

/// How much each block (a variable without group, or a group) violates its optimality condition.
struct Violations {
    /// (violation, first variable of the block), violated ones only.
    blocks: Vec<(f64, usize)>,
    finite: bool,
}

impl Violations {
    fn new(at: &CompositeAt<'_>, y: &[f64], gradient: &[f64]) -> Self {
        let composite = at.composite();
        let Weights { abs, group, .. } = at.weights();
        let (lower, upper) = composite.bounds();
        let mut blocks = Vec::new();
        for j in (0..y.len()).filter(|&j| composite.group_of(j).is_none()) {
            let violation = variable_violation(y[j], gradient[j], abs[j], (lower[j], upper[j]));
            if violation > 0.0 {
                blocks.push((violation, j));
            }
        }
        for (members, &weight) in composite.groups().iter().zip(group) {
            let violation = group_violation(members, y, gradient, abs, weight);
            if violation > 0.0 {
                blocks.push((violation, members[0]));
            }
        }
        let finite = gradient.iter().chain(y).all(|v| v.is_finite());
        Self { blocks, finite }
    }

    fn largest(&self) -> f64 {
        if self.finite { self.blocks.iter().fold(0.0, |a: f64, b| a.max(b.0)) } else { f64::NAN }
    }

    /// The variables that are not zero, and the blocks that violate most: as many again, and at least 20.
    fn working_set(mut self, at: &CompositeAt<'_>, y: &[f64], settings: &Settings) -> Vec<usize> {
        let composite = at.composite();
        let mut chosen: Vec<usize> = (0..y.len()).filter(|&j| y[j] != 0.0).collect();
        self.blocks.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let room = (2 * chosen.len()).max(20).min(settings.capacity.max(chosen.len()));
        chosen.extend(self.blocks.iter().map(|block| block.1).take(room.saturating_sub(chosen.len()).max(1)));
        let groups: Vec<usize> = chosen.iter().filter_map(|&j| composite.group_of(j)).collect();
        chosen.extend(groups.into_iter().flat_map(|g| composite.groups()[g].iter().copied()));
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

/// By how much g y + w |y| over [l, u] has a downhill slope at y.
fn variable_violation(y: f64, g: f64, w: f64, (l, u): (f64, f64)) -> f64 {
    let right = g + if y >= 0.0 { w } else { -w };
    let left = g + if y > 0.0 { w } else { -w };
    let up = if y < u { -right } else { 0.0 };
    let down = if y > l { left } else { 0.0 };
    up.max(down).max(0.0)
}

/// The same for a group with norm weight ω: ‖soft(g, w)‖ − ω at 0, else the least-norm subgradient's largest entry.
fn group_violation(members: &[usize], y: &[f64], gradient: &[f64], abs: &[f64], weight: f64) -> f64 {
    let norm = members.iter().map(|&j| y[j] * y[j]).sum::<f64>().sqrt();
    if norm == 0.0 {
        let soft: f64 = members.iter().map(|&j| soft_threshold(gradient[j], abs[j]).powi(2)).sum();
        return (soft.sqrt() - weight).max(0.0);
    }
    let entry = |&j: &usize| {
        if y[j] == 0.0 {
            soft_threshold(gradient[j], abs[j])
        } else {
            gradient[j] + abs[j] * y[j].signum() + weight * y[j] / norm
        }
    };
    members.iter().map(entry).fold(0.0, |a: f64, v| a.max(v.abs()))
}

fn norm_inf(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |a: f64, v| a.max(v.abs()))
}

/// How far answers are looked for by [`gap_bound`], relative to 1 + ‖y‖∞.
const REACH: f64 = 10.0;

/// An upper bound of f(x, y) − f(x, u) over all u within `REACH` (1 + ‖y‖∞) of 0 in every entry, from `gradient` = ∇_y s
/// at y alone: s is convex, so that f(x, u) >= s(y) + ∇s(y)ᵀ(u − y) + P(u), which separates.
pub fn gap_bound(at: &CompositeAt<'_>, y: &[f64], gradient: &[f64]) -> f64 {
    let composite = at.composite();
    let Weights { abs, group, .. } = at.weights();
    let (lower, upper) = composite.bounds();
    let reach = REACH * (1.0 + norm_inf(y));
    let mut bound = 0.0;
    for j in (0..y.len()).filter(|&j| composite.group_of(j).is_none()) {
        let cost = |u: f64| gradient[j] * u + abs[j] * u.abs();
        let (l, u) = (lower[j].max(-reach), upper[j].min(reach));
        bound += cost(y[j]) - cost(l).min(cost(u)).min(cost(0.0_f64.max(l).min(u)));
    }
    for (members, &weight) in composite.groups().iter().zip(group) {
        let norm = members.iter().map(|&j| y[j] * y[j]).sum::<f64>().sqrt();
        let own: f64 = members.iter().map(|&j| gradient[j] * y[j] + abs[j] * y[j].abs()).sum();
        let slope: f64 = members.iter().map(|&j| soft_threshold(gradient[j], abs[j]).powi(2)).sum::<f64>().sqrt();
        let size = reach * (members.len() as f64).sqrt();
        bound += own + weight * norm + (slope - weight).max(0.0) * size;
    }
    bound
}

/// The variables that move on the manifold of y: not zero and off their bounds; and the Hessian of f on them.
#[derive(Clone, Debug)]
pub struct Manifold {
    /// The variables, increasing.
    pub variables: Vec<usize>,
    /// ∇² of f with signs and nonzero groups kept.
    pub hessian: Dense,
}

impl Manifold {
    /// The manifold of y, with further variables that are allowed to move.
    pub fn new(at: &mut CompositeAt<'_>, y: &[f64], further: &[usize]) -> Self {
        let (lower, upper) = at.composite().bounds();
        let abs = &at.weights().abs;
        let free = |&j: &usize| (y[j] != 0.0 || abs[j] == 0.0) && y[j] > lower[j] && y[j] < upper[j];
        let grouped_zero = |j: usize| at.composite().group_of(j).is_some_and(|g| group_norm(at, g, y) == 0.0);
        let mut variables: Vec<usize> = (0..y.len()).filter(free).filter(|&j| !grouped_zero(j)).collect();
        variables.extend(further);
        variables.sort_unstable();
        variables.dedup();
        let mut hessian = Dense::zeros(0, 0);
        at.hessian(y, &variables, &mut hessian);
        add_group_curvature(at, y, &variables, &mut hessian);
        Self { variables, hessian }
    }

    /// Takes variables out again.
    pub fn without(&mut self, leave: &[usize]) {
        let kept: Vec<usize> = (0..self.variables.len()).filter(|&a| !leave.contains(&self.variables[a])).collect();
        if kept.len() < self.variables.len() {
            self.hessian = Dense::from_fn(kept.len(), kept.len(), |a, b| self.hessian[(kept[a], kept[b])]);
            self.variables = kept.iter().map(|&a| self.variables[a]).collect();
        }
    }
}

fn group_norm(at: &CompositeAt<'_>, g: usize, y: &[f64]) -> f64 {
    at.composite().groups()[g].iter().map(|&j| y[j] * y[j]).sum::<f64>().sqrt()
}

/// Adds ω (I − u uᵀ) / ‖y_g‖, u = y_g / ‖y_g‖, for groups that are not zero.
fn add_group_curvature(at: &CompositeAt<'_>, y: &[f64], variables: &[usize], hessian: &mut Dense) {
    let composite = at.composite();
    for (a, &j) in variables.iter().enumerate() {
        let Some(g) = composite.group_of(j) else { continue };
        let norm = group_norm(at, g, y);
        if norm == 0.0 {
            continue;
        }
        let scale = at.weights().group[g] / norm;
        hessian[(a, a)] += scale;
        for (b, &k) in variables.iter().enumerate() {
            if composite.group_of(k) == Some(g) {
                hessian[(a, b)] -= scale * (y[j] / norm) * (y[k] / norm);
            }
        }
    }
}
