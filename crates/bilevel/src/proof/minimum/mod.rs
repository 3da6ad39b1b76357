//! Branch and bound: a proved lower bound of
//!
//! ```text
//! minimise f(y)  subject to  g(y) <= 0,  h(y) = 0,  y in a box
//! ```
//!
//! ```text
//! mod.rs          Task, Limits, Bound; the best-first loop
//! node.rs         what is done with one box: propagation, mean values, monotonicity
//! lagrange.rs     second-order bound of the Lagrangian at a local solution
//! fritz_john.rs   boxes without a Fritz John point
//! convex.rs       proofs that a matrix of intervals is positive semidefinite
//! ```
//!
//! The bound holds for all points of the box at which f, g and h are defined; nothing that the local solver says is
//! trusted.

mod convex;
mod fritz_john;
mod lagrange;
mod node;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::interval::Interval;
use super::program::{Program, Sweep};
use super::search::LocalSearch;

/// A minimisation over a box.
#[derive(Clone, Debug)]
pub struct Task {
    /// Roots: the objective, then the inequalities (<= 0), then the equalities (= 0).
    pub program: Program,
    /// Number of inequalities.
    pub inequalities: usize,
    /// Number of equalities.
    pub equalities: usize,
    /// The box, one entry a variable; infinite ends are allowed but make weak bounds.
    pub domain: Vec<Interval>,
}

/// How much work may be done, and what counts as done.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most boxes looked at.
    pub nodes: usize,
    /// Relative gap at which the search ends: upper - lower <= gap (1 + |upper|).
    pub gap: f64,
    /// Violation up to which a point counts as feasible in the tier [`Tier::Within`].
    pub delta: f64,
    /// The search ends once the bound is above this.
    pub enough: f64,
    /// Points with a larger objective do not matter: no bound above this is claimed.
    pub beat: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { nodes: 20_000, gap: 1e-7, delta: 1e-9, enough: f64::INFINITY, beat: f64::INFINITY }
    }
}

/// In which sense a point was proved feasible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Every constraint holds exactly.
    Strict,
    /// A point that satisfies every constraint exactly exists within a tiny box around the given one.
    Existence,
    /// Every constraint holds up to delta.
    Within,
}

/// A point with what is proved of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// The point.
    pub point: Vec<f64>,
    /// The objective there.
    pub value: Interval,
    /// An upper bound of its largest violation (0 in the strict tier).
    pub violation: f64,
}

/// Why the search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The gap is closed.
    Closed,
    /// There is no feasible point.
    Empty,
    /// The bound is above [`Limits::enough`].
    Enough,
    /// The work is used up.
    Budget,
}

/// What was proved.
#[derive(Clone, Debug)]
pub struct Bound {
    /// No feasible point of the box has a smaller objective; +inf if there is none.
    pub lower: f64,
    /// The best point in the strict tier.
    pub strict: Option<Candidate>,
    /// The best point feasible within delta.
    pub within: Option<Candidate>,
    /// Why the search ended.
    pub ended: Ended,
    /// Boxes looked at.
    pub nodes: usize,
    /// Multipliers of the last local solution at the best point: inequalities, then equalities.
    pub multipliers: Vec<f64>,
}

impl Bound {
    /// The best candidate's upper end, strict or within delta; +inf without one.
    pub fn upper(&self) -> f64 {
        let end = |c: &Option<Candidate>| c.as_ref().map_or(f64::INFINITY, |c| c.value.hi());
        end(&self.strict).min(end(&self.within))
    }
}

/// A box that may still contain the minimum.
#[derive(Clone, Debug)]
pub(in crate::proof) struct Node {
    pub(in crate::proof) domain: Vec<Interval>,
    pub(in crate::proof) lower: f64,
    pub(in crate::proof) centre: Vec<f64>,
    pub(in crate::proof) multipliers: Vec<f64>,
    /// Variable to divide next.
    pub(in crate::proof) split: usize,
    /// How often the whole box was divided to get here.
    pub(in crate::proof) depth: usize,
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Node {}
impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Node {
    /// The heap's first is the node with the smallest bound; of equal ones, the deepest.
    fn cmp(&self, other: &Self) -> Ordering {
        other.lower.total_cmp(&self.lower).then(self.depth.cmp(&other.depth))
    }
}

/// The search, with all its memory.
pub struct Prover<'a> {
    task: &'a Task,
    limits: Limits,
    sweep: Sweep<Interval>,
    spot: Sweep<Interval>,
    local: LocalSearch,
    allowed: Vec<Interval>,
    /// Gradients over the current box, one row a root.
    slopes: Vec<Vec<Interval>>,
    /// Upper ends of the inequalities over the current box; +inf where undefined, and for f and the equalities.
    high: Vec<f64>,
    row: Vec<Interval>,
    spot_row: Vec<Interval>,
    hessian: Vec<Interval>,
    strict: Option<Candidate>,
    within: Option<Candidate>,
    best_multipliers: Vec<f64>,
    kinks: bool,
    partial: bool,
}

impl<'a> Prover<'a> {
    /// For one task.
    pub fn new(task: &'a Task, limits: Limits) -> Self {
        let program = &task.program;
        let (roots, variables) = (program.roots(), program.variables());
        Self {
            task,
            limits,
            sweep: Sweep::new(program),
            spot: Sweep::new(program),
            local: LocalSearch::new(program, task.inequalities, task.equalities),
            allowed: vec![Interval::ENTIRE; roots],
            slopes: vec![vec![Interval::ZERO; variables]; roots],
            high: vec![f64::INFINITY; roots],
            row: vec![Interval::ZERO; variables],
            spot_row: vec![Interval::ZERO; variables],
            hessian: vec![Interval::ZERO; variables * variables],
            strict: None,
            within: None,
            best_multipliers: vec![0.0; roots.saturating_sub(1)],
            kinks: program.has_kinks(),
            partial: (0..roots).any(|r| !program.is_total(r)),
        }
    }

    /// The smallest value of the objective that matters.
    fn upper(&self) -> f64 {
        let end = |c: &Option<Candidate>| c.as_ref().map_or(f64::INFINITY, |c| c.value.hi());
        end(&self.strict).min(end(&self.within)).min(self.limits.beat)
    }

    /// Bounds from here on are good enough.
    fn cutoff(&self) -> f64 {
        let upper = self.upper();
        let closed = if upper.is_finite() { upper - self.limits.gap * (1.0 + upper.abs()) } else { f64::INFINITY };
        closed.min(self.limits.enough)
    }

    /// Offers a point: kept if it lies in the box, is feasible (at least within delta) and better than the known ones.
    pub fn offer(&mut self, point: &[f64]) {
        let task = self.task;
        let outside = |(&v, z): (&f64, &Interval)| !v.is_finite() || !z.contains(v);
        if point.len() != task.domain.len() || point.iter().zip(&task.domain).any(outside) {
            return;
        }
        for (z, &v) in self.spot_row.iter_mut().zip(point) {
            *z = Interval::point(v);
        }
        let program = &task.program;
        self.spot.forward(program, &self.spot_row);
        if (0..program.roots()).any(|r| !self.spot.defined(program, r)) {
            return;
        }
        let value = self.spot.value(program, 0);
        let mut violation = 0.0_f64;
        for r in 1..program.roots() {
            let z = self.spot.value(program, r);
            violation = violation.max(if r <= task.inequalities { z.hi() } else { z.mag() });
        }
        if value.hi().is_nan() || violation > self.limits.delta {
            return;
        }
        let better = |known: &Option<Candidate>| known.as_ref().is_none_or(|k| value.hi() < k.value.hi());
        let candidate = Candidate { point: point.to_vec(), value, violation };
        if violation <= 0.0 && better(&self.strict) {
            self.strict = Some(candidate.clone());
        }
        if better(&self.within) {
            self.within = Some(candidate);
        }
    }

    /// A local search in `domain`; its answer is offered, also with nearly active bounds made active.
    fn search(&mut self, domain: &[Interval], start: &[f64], shift: f64) -> bool {
        let task = self.task;
        if !self.local.run(&task.program, domain, start, shift, 60) {
            return false;
        }
        let before = self.upper();
        let mut point = std::mem::take(&mut self.local.point);
        self.offer(&point);
        for (v, z) in point.iter_mut().zip(domain) {
            for end in [z.lo(), z.hi()] {
                if end.is_finite() && (*v - end).abs() <= 1e-6 * (1.0 + end.abs()) {
                    *v = end;
                }
            }
        }
        self.offer(&point);
        let rounded: Vec<_> = point.iter().map(|&v| snapped(v)).collect();
        if rounded != point {
            self.offer(&rounded);
        }
        self.local.point = point;
        if self.upper() < before {
            let p = task.inequalities;
            self.best_multipliers[..p].copy_from_slice(&self.local.inequality_multipliers);
            self.best_multipliers[p..].copy_from_slice(&self.local.equality_multipliers);
        }
        true
    }

    /// First candidates: from the given points and the middle of the box; and a point pulled inside the constraints.
    fn first_candidates(&mut self, starts: &[Vec<f64>]) {
        let domain = self.task.domain.clone();
        let middle: Vec<_> = domain.iter().map(|z| z.mid()).collect();
        for start in starts.iter().chain(std::iter::once(&middle)) {
            self.offer(start);
            self.search(&domain, start, 0.0);
        }
        let gap = |prover: &Self| {
            let strict = prover.strict.as_ref().map_or(f64::INFINITY, |c| c.value.hi());
            strict > prover.upper() + prover.limits.gap * (1.0 + strict.abs()) || strict == f64::INFINITY
        };
        for shift in [1e-9, 1e-7] {
            if gap(self) && self.task.inequalities > 0 {
                let start = self.within.as_ref().map_or_else(|| middle.clone(), |c| c.point.clone());
                self.search(&domain, &start, shift);
            }
        }
    }

    /// The feasible point that a local search from `start` ends at.
    pub(in crate::proof) fn near(mut self, start: &[f64]) -> Option<Vec<f64>> {
        let domain = self.task.domain.clone();
        self.search(&domain, start, 0.0);
        self.strict.map(|candidate| candidate.point)
    }

    /// Runs the search from the given start points.
    pub fn run(mut self, starts: &[Vec<f64>]) -> Bound {
        if self.task.domain.iter().any(|z| z.is_empty()) {
            return self.result(f64::INFINITY, Ended::Empty, 0);
        }
        self.first_candidates(starts);
        let mut heap = BinaryHeap::new();
        let mut discarded = f64::INFINITY;
        let mut nodes = 1;
        let root = Node {
            domain: self.task.domain.clone(),
            lower: f64::NEG_INFINITY,
            centre: self.within.as_ref().map_or_else(Vec::new, |c| c.point.clone()),
            multipliers: self.best_multipliers.clone(),
            split: 0,
            depth: 0,
        };
        self.file(root, &mut heap, &mut discarded);
        while let Some(node) = heap.pop() {
            let floor = node.lower.min(discarded);
            if node.lower >= self.cutoff() {
                let ended = if node.lower > self.limits.enough { Ended::Enough } else { Ended::Closed };
                return self.result(floor, ended, nodes);
            }
            if nodes >= self.limits.nodes || bilevel_linalg::stop::asked() {
                return self.result(floor, Ended::Budget, nodes);
            }
            let Some(children) = halves(&node) else {
                // Too small to be divided: what is proved of it stands.
                discarded = discarded.min(node.lower);
                continue;
            };
            for child in children {
                nodes += 1;
                self.file(child, &mut heap, &mut discarded);
            }
        }
        let ended = if discarded == f64::INFINITY && self.upper() == f64::INFINITY {
            Ended::Empty
        } else if discarded >= self.cutoff() {
            Ended::Closed
        } else {
            Ended::Budget
        };
        self.result(discarded, ended, nodes)
    }

    /// Looks at a box, then keeps it or writes its bound down.
    fn file(&mut self, mut node: Node, heap: &mut BinaryHeap<Node>, discarded: &mut f64) {
        node.lower = self.examine(&mut node).max(node.lower);
        if node.lower >= self.cutoff() {
            *discarded = discarded.min(node.lower);
        } else {
            heap.push(node);
        }
    }

    /// Boxes were cut by `f <= upper`, so that nothing above the final upper value is claimed.
    fn result(self, lower: f64, ended: Ended, nodes: usize) -> Bound {
        let lower = lower.min(self.upper());
        Bound { lower, strict: self.strict, within: self.within, ended, nodes, multipliers: self.best_multipliers }
    }
}

/// The nearest multiple of 1/64 if it is near.
fn snapped(v: f64) -> f64 {
    let near = (v * 64.0).round() / 64.0;
    if (near - v).abs() <= 1e-6 { near } else { v }
}

/// Both halves of a box, divided in its `split` variable; `None` if that cannot be divided.
fn halves(node: &Node) -> Option<[Node; 2]> {
    let z = *node.domain.get(node.split)?;
    let middle = z.mid();
    if !(z.lo() < middle && middle < z.hi()) {
        return None;
    }
    let mut parts = [node.clone(), node.clone()];
    parts.iter_mut().for_each(|part| part.depth += 1);
    parts[0].domain[node.split] = Interval::new(z.lo(), middle);
    parts[1].domain[node.split] = Interval::new(middle, z.hi());
    Some(parts)
}

impl Bound {
    /// A bound by duality at the answer `y`.
    pub(super) fn by_duality(lower: f64, y: &[f64], objective: Option<Interval>, violation: f64) -> Self {
        let candidate = objective.map(|value| Candidate { point: y.to_vec(), value, violation });
        let strict = if violation <= 0.0 { candidate.clone() } else { None };
        Self { lower, strict, within: candidate, ended: Ended::Closed, nodes: 0, multipliers: Vec::new() }
    }

    /// A bound found without a search.
    pub(super) fn nothing_below(lower: f64) -> Self {
        let ended = if lower == f64::INFINITY { Ended::Empty } else { Ended::Closed };
        Self { lower, strict: None, within: None, ended, nodes: 0, multipliers: Vec::new() }
    }
}
