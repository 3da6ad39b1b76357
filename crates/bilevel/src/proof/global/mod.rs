//! A proved lower bound of the bilevel problem: of F over all (x, y) in a box with y in S(x) and the leader's
//! constraints met.
//!
//! ```text
//! mod.rs         the best-first loop over boxes of (x, y), incumbents
//! cut.rs         value-function cuts f(x, y) <= f(x, ȳ(x)) with an affine ȳ that is proved feasible
//! stationary.rs  boxes in which the follower can always do better (Fritz John in y)
//! ```
//!
//! On each box the relaxation {G, g, h, cuts, stationarity} is bounded like any minimisation (propagation, mean values, Lagrangian
//! second-order bound). Upper values come from points at which the follower's gap is proved; the bound itself needs
//! none of them to be right: it never claims more than the upper value it was given. The bound is one for the
//! pessimistic problem too, since φ_p >= φ_o.

mod cut;
mod stationary;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::check::Claim;
use super::follower::{Settings, boxed};
use super::interval::Interval;
use super::minimum::{Limits, Node, Prover, Task};
use super::problem::{Formulas, ProofError};
use super::program::{Contracted, Sweep};
use cut::{Cut, CutMaker};
use stationary::Stationary;

/// Work and aims of the global search.
#[derive(Clone, Debug)]
pub struct GlobalSettings {
    /// Most boxes looked at.
    pub nodes: usize,
    /// Relative gap at which the search ends: upper - lower <= gap max(1, |upper|).
    pub gap: f64,
    /// Follower gap, relative to 1 + |f|, up to which a point counts as bilevel feasible.
    pub follower_gap: f64,
    /// An upper value taken for true without proof; the bound never exceeds it.
    pub assumed_upper: f64,
    /// Half-width of the artificial box around the known points where a variable has no bound; at least twice their
    /// size.
    pub radius: f64,
    /// Whether the given points and others are tried as incumbents; else the points only place the artificial box.
    pub search: bool,
}

impl Default for GlobalSettings {
    fn default() -> Self {
        Self { nodes: 20_000, gap: 1e-3, follower_gap: 1e-8, assumed_upper: f64::INFINITY, radius: 10.0, search: true }
    }
}

/// A bilevel feasible point with what is proved of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Incumbent {
    /// The leader's variables.
    pub x: Vec<f64>,
    /// The follower's answer.
    pub y: Vec<f64>,
    /// F(x, y).
    pub value: Interval,
    /// Proved upper bound of f(x, y) - v(x).
    pub follower_gap: f64,
}

/// What was proved.
#[derive(Clone, Debug)]
pub struct GlobalProof {
    /// Every bilevel feasible point of the box has F at least this; +inf if there is none.
    pub lower: f64,
    /// The best incumbent.
    pub incumbent: Option<Incumbent>,
    /// Upper minus lower, relative to max(1, |upper|); +inf without an upper value.
    pub gap: f64,
    /// Whether the aim was reached.
    pub closed: bool,
    /// The box that the statement is about.
    pub domain: Vec<Interval>,
    /// Variables (the leader's first) in which the box is artificial.
    pub artificial: Vec<usize>,
    /// Boxes looked at.
    pub nodes: usize,
}

impl GlobalProof {
    /// What is proved, in words.
    pub fn statement(&self) -> String {
        let place = if self.artificial.is_empty() {
            "every bilevel feasible point".to_string()
        } else {
            format!("every bilevel feasible point of a box that is artificial in {} variables", self.artificial.len())
        };
        match &self.incumbent {
            _ if self.lower == f64::INFINITY => "there is no bilevel feasible point".to_string(),
            Some(best) => format!(
                "{place} has F >= {:.10}; the point found has F = {:.10} with a follower gap of at most {:.1e}",
                self.lower,
                best.value.hi(),
                best.follower_gap
            ),
            None => format!("{place} has F >= {:.10}", self.lower),
        }
    }
}

/// Boxes looked at outside one artificial end.
const OUTSIDE: usize = 60;

/// A box of (x, y) with its bound and what its children inherit.
struct Place {
    node: Node,
    cuts: Vec<Rc<Cut>>,
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Place {}
impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        self.node.cmp(&other.node)
    }
}

/// A search that can be continued: [`GlobalSearch::advance`] until it is finished, with points offered in between.
pub struct GlobalSearch<'a> {
    formulas: &'a Formulas,
    settings: GlobalSettings,
    maker: CutMaker<'a>,
    stationary: Stationary<'a>,
    upper: f64,
    incumbent: Option<Incumbent>,
    domain: Vec<Interval>,
    /// The box without artificial ends.
    natural: Vec<Interval>,
    artificial: Vec<usize>,
    base: Rc<Task>,
    heap: BinaryHeap<Place>,
    /// The smallest bound of the boxes that were dropped.
    discarded: f64,
    nodes: usize,
    finished: bool,
}

impl Formulas {
    /// Proves a lower bound of F over all bilevel feasible points, and looks for incumbents, starting from `points`.
    ///
    /// # Errors
    /// Points of the wrong length or with entries that are not finite.
    pub fn global(
        &self,
        points: &[(Vec<f64>, Vec<f64>)],
        settings: &GlobalSettings,
    ) -> Result<GlobalProof, ProofError> {
        let mut search = self.global_search(points, settings)?;
        search.advance(settings.nodes, &|| false);
        Ok(search.proof())
    }

    /// Begins the same search, to be continued step by step.
    ///
    /// # Errors
    /// Points of the wrong length or with entries that are not finite.
    pub fn global_search(
        &self,
        points: &[(Vec<f64>, Vec<f64>)],
        settings: &GlobalSettings,
    ) -> Result<GlobalSearch<'_>, ProofError> {
        for (x, y) in points {
            Self::check_point("leader", x, self.n)?;
            Self::check_point("follower", y, self.m)?;
        }
        let mut search = GlobalSearch {
            formulas: self,
            settings: settings.clone(),
            maker: CutMaker::new(self),
            stationary: Stationary::new(self),
            upper: settings.assumed_upper,
            incumbent: None,
            domain: self.domain.clone(),
            natural: self.domain.clone(),
            artificial: Vec::new(),
            base: Rc::new(self.relaxation(&[], None, self.domain.clone())),
            heap: BinaryHeap::new(),
            discarded: f64::INFINITY,
            nodes: 0,
            finished: false,
        };
        for (x, y) in points.iter().filter(|_| settings.search) {
            search.offer(x, y);
        }
        search.begin(points);
        Ok(search)
    }

    /// The relaxation on a box: F over G, g, h, the cuts, and what must hold at every answer in the box.
    fn relaxation(&self, cuts: &[Rc<Cut>], stationary: Option<&Stationary<'_>>, domain: Vec<Interval>) -> Task {
        let mut builder = super::program::Builder::new();
        let variables: Vec<_> = (0..self.n + self.m).map(|v| builder.variable(v)).collect();
        let all = builder.import(&self.program, &variables);
        let mut roots = vec![all[self.leader.objective]];
        roots.extend(self.leader.inequalities.iter().chain(&self.follower.inequalities).map(|&r| all[r]));
        for cut in cuts {
            roots.push(cut.root(self, &mut builder, all[self.follower.objective]));
        }
        let inequalities = roots.len() - 1;
        roots.extend(self.leader.equalities.iter().chain(&self.follower.equalities).map(|&r| all[r]));
        if let Some(stationary) = stationary {
            roots.extend(stationary.equations(&domain, &mut builder, &variables));
        }
        let equalities = roots.len() - 1 - inequalities;
        Task { program: builder.finish(&roots, self.n + self.m), inequalities, equalities, domain }
    }
}

impl GlobalSearch<'_> {
    /// Takes (x, y) as incumbent if it is proved to be bilevel feasible and is better.
    pub fn offer(&mut self, x: &[f64], y: &[f64]) {
        let point = [x, y].concat();
        if point.iter().zip(&self.domain).any(|(&v, z)| !z.contains(v)) {
            return;
        }
        let settings = Settings { nodes: 2000, gap: 0.1 * self.settings.follower_gap, ..Settings::default() };
        let tolerances = super::check::Tolerances { gap: self.settings.follower_gap, ..Default::default() };
        let Ok(proof) = self.formulas.check(x, y, Claim::Answer, &tolerances, &settings) else {
            return;
        };
        let (Some(value), Some(gap), Some(f)) = (proof.upper, proof.follower.gap(), proof.follower.objective) else {
            return;
        };
        let accepted = tolerances.violation * (1.0 + point.iter().fold(0.0, |m: f64, v| m.max(v.abs())));
        let feasible = proof.leader_violation <= accepted && proof.follower.violation <= accepted;
        if feasible && gap <= self.settings.follower_gap * (1.0 + f.mag()) {
            let better = self.incumbent.as_ref().is_none_or(|known| value.hi() < known.value.hi());
            if better {
                self.incumbent = Some(Incumbent { x: x.to_vec(), y: y.to_vec(), value, follower_gap: gap });
            }
            self.upper = self.upper.min(value.hi());
        }
    }

    /// Looks for an incumbent at `x`: the follower's answer that is best for the leader.
    fn try_leader(&mut self, x: &[f64]) {
        let settings = Settings { nodes: 1000, gap: 1e-9, ..Settings::default() };
        let Ok(follower) = self.formulas.follower(x, None, &settings) else {
            return;
        };
        let best = self.formulas.hyper(x, &follower, 1e-9, 1e-5, &settings).ok().flatten().and_then(|hyper| hyper.best);
        if let Some(best) = best.filter(|best| best.value.hi() < self.upper) {
            self.offer(x, &best.point);
        }
        for answer in [follower.bound.strict, follower.bound.within].into_iter().flatten() {
            self.offer(x, &answer.point);
        }
    }

    fn enough(&self) -> f64 {
        if self.upper.is_finite() { self.upper - self.settings.gap * self.upper.abs().max(1.0) } else { f64::INFINITY }
    }

    /// The box of the statement (bounds, propagation, and artificial ends for what is left unbounded), and the first box.
    fn begin(&mut self, points: &[(Vec<f64>, Vec<f64>)]) {
        let task = self.formulas.relaxation(&[], None, self.formulas.domain.clone());
        let mut domain = task.domain.clone();
        let mut allowed = vec![Interval::at_most(0.0); task.program.roots()];
        allowed[0] = Interval::at_most(self.upper);
        allowed[1 + task.inequalities..].fill(Interval::ZERO);
        let mut sweep = Sweep::new(&task.program);
        for _ in 0..8 {
            match sweep.contract(&task.program, &allowed, &mut domain) {
                Contracted::Empty => {
                    self.finished = true;
                    return;
                }
                Contracted::Same => break,
                Contracted::Smaller => {}
            }
        }
        self.artificial = (0..domain.len()).filter(|&v| !domain[v].is_bounded()).collect();
        let centre = points.first().map(|(x, y)| [x.as_slice(), y.as_slice()].concat());
        self.domain = boxed(&domain, centre.as_deref(), self.settings.radius);
        self.natural = domain;
        self.base = Rc::new(Task { domain: self.domain.clone(), ..task });
        let root = Node {
            domain: self.domain.clone(),
            lower: f64::NEG_INFINITY,
            centre: centre.unwrap_or_default(),
            multipliers: Vec::new(),
            split: 0,
            depth: 0,
        };
        self.nodes = 1;
        self.file(Place { node: root, cuts: Vec::new() });
    }

    /// Looks at up to `nodes` more boxes, or until `stop` says so. Returns whether there is nothing left to do: the aim is
    /// reached, or all boxes are dropped.
    pub fn advance(&mut self, nodes: usize, stop: &dyn Fn() -> bool) -> bool {
        let end = self.nodes.saturating_add(nodes);
        while !self.finished {
            if self.heap.peek().is_none_or(|place| place.node.lower >= self.enough()) {
                self.finished = true;
                self.look_outside();
                break;
            }
            if self.nodes >= end || stop() {
                break;
            }
            let Some(place) = self.heap.pop() else { break };
            self.divide(place);
        }
        self.finished
    }

    fn divide(&mut self, place: Place) {
        let z = place.node.domain[place.node.split];
        let middle = z.mid();
        if !(z.lo() < middle && middle < z.hi()) {
            self.discarded = self.discarded.min(place.node.lower);
            return;
        }
        for half in [Interval::new(z.lo(), middle), Interval::new(middle, z.hi())] {
            let mut node = place.node.clone();
            node.domain[node.split] = half;
            node.depth += 1;
            self.nodes += 1;
            self.file(Place { node, cuts: place.cuts.clone() });
        }
    }

    /// What lies outside the artificial ends: where all of it can be dropped too, the ends do not matter.
    fn look_outside(&mut self) {
        let mut kept = Vec::new();
        let mut ranges = self.natural.clone();
        for v in std::mem::take(&mut self.artificial) {
            let (inner, whole) = (self.domain[v], self.natural[v]);
            let below = (whole.lo() < inner.lo()).then(|| Interval::new(whole.lo(), inner.lo()));
            let above = (whole.hi() > inner.hi()).then(|| Interval::new(inner.hi(), whole.hi()));
            let nothing = [below, above].into_iter().flatten().all(|shell| {
                let mut domain = ranges.clone();
                domain[v] = shell;
                self.nothing_in(domain)
            });
            if !nothing {
                kept.push(v);
            }
            // Of the other shells only what lies inside this one's ends remains to be looked at; where it was kept, the
            // statement is about the inside anyway.
            ranges[v] = inner;
        }
        self.artificial = kept;
    }

    /// Whether an unbounded box is dropped whole, within a small budget.
    fn nothing_in(&mut self, domain: Vec<Interval>) -> bool {
        let node =
            Node { domain, lower: f64::NEG_INFINITY, centre: Vec::new(), multipliers: Vec::new(), split: 0, depth: 0 };
        let base = self.formulas.relaxation(&[], None, node.domain.clone());
        let mut waiting = vec![Place { node, cuts: Vec::new() }];
        let mut dropped = f64::INFINITY;
        for _ in 0..OUTSIDE {
            let Some(mut place) = waiting.pop() else {
                self.discarded = self.discarded.min(dropped);
                return true;
            };
            self.nodes += 1;
            self.examine(&mut place, &base);
            if place.node.lower >= self.enough() {
                dropped = dropped.min(place.node.lower);
                continue;
            }
            let z = place.node.domain[place.node.split];
            let middle = z.mid();
            if !(z.lo() < middle && middle < z.hi()) {
                return false;
            }
            for half in [Interval::new(z.lo(), middle), Interval::new(middle, z.hi())] {
                let mut node = place.node.clone();
                node.domain[node.split] = half;
                waiting.push(Place { node, cuts: place.cuts.clone() });
            }
        }
        false
    }

    /// What is proved so far.
    pub fn proof(&self) -> GlobalProof {
        let open = self.heap.peek().map_or(f64::INFINITY, |place| place.node.lower);
        // Boxes were cut by F <= upper, so that nothing above the upper value is claimed.
        let lower = open.min(self.discarded).min(self.upper);
        let gap = if self.upper.is_finite() {
            ((Interval::point(self.upper) - Interval::point(lower)) / Interval::point(self.upper.abs().max(1.0))).hi()
        } else {
            f64::INFINITY
        };
        let closed = gap <= self.settings.gap * (1.0 + 1e-9) || lower == f64::INFINITY;
        GlobalProof {
            lower,
            incumbent: self.incumbent.clone(),
            gap,
            closed,
            domain: self.domain.clone(),
            artificial: self.artificial.clone(),
            nodes: self.nodes,
        }
    }

    /// The best bilevel-feasible point so far.
    pub fn incumbent(&self) -> Option<&Incumbent> {
        self.incumbent.as_ref()
    }

    /// Looks at a box, then keeps it or writes its bound down.
    fn file(&mut self, mut place: Place) {
        let base = Rc::clone(&self.base);
        self.examine(&mut place, &base);
        if place.node.lower >= self.enough() {
            self.discarded = self.discarded.min(place.node.lower);
        } else {
            self.heap.push(place);
        }
    }

    /// Bounds a box. Its domain only loses points that are not bilevel feasible or worse than the upper value: rules
    /// that speak of the relaxation's minimiser alone (monotonicity) work on a copy, because later cuts change that
    /// minimiser.
    fn examine(&mut self, place: &mut Place, base: &Task) {
        let count = self.nodes;
        let (n, m) = (self.formulas.n, self.formulas.m);
        let Place { node, cuts } = place;
        if !self.narrow(base, &mut node.domain) || self.stationary.excludes(&node.domain) {
            node.lower = f64::INFINITY;
            return;
        }
        if let Some(cut) = self.maker.make(&node.domain, &node.centre) {
            cuts.truncate(1);
            cuts.insert(0, Rc::new(cut));
        }
        let mut task = self.formulas.relaxation(cuts, Some(&self.stationary), node.domain.clone());
        if !self.narrow(&task, &mut node.domain) {
            node.lower = f64::INFINITY;
            return;
        }
        task.domain.clone_from(&node.domain);
        if node.multipliers.len() + 1 != task.program.roots() {
            node.multipliers = vec![0.0; task.program.roots() - 1];
        }
        let mut copy = node.clone();
        copy.lower = f64::NEG_INFINITY;
        // No point of the relaxation counts as a candidate: it need not be bilevel feasible.
        let limits = Limits { enough: self.enough(), beat: self.upper, gap: 0.0, delta: -1.0, ..Limits::default() };
        let mut prover = Prover::new(&task, limits);
        let found = prover.examine(&mut copy);
        node.lower = node.lower.max(found);
        if node.lower >= self.enough() {
            return;
        }
        node.centre = copy.centre;
        node.multipliers = copy.multipliers;
        prover.aim(node);
        if self.settings.search && node.centre.len() == n + m && worth_a_try(count) {
            let x: Vec<_> = node.centre[..n].to_vec();
            self.try_leader(&x);
        }
    }

    /// Propagation on a box; false if nothing is left.
    fn narrow(&self, task: &Task, domain: &mut [Interval]) -> bool {
        let mut allowed = vec![Interval::at_most(0.0); task.program.roots()];
        allowed[0] = Interval::at_most(self.upper);
        allowed[1 + task.inequalities..].fill(Interval::ZERO);
        let mut sweep = Sweep::new(&task.program);
        (0..2).all(|_| sweep.contract(&task.program, &allowed, domain) != Contracted::Empty)
    }
}

/// Incumbents are looked for often at first, then rarely.
fn worth_a_try(count: usize) -> bool {
    count < 4 || count.is_power_of_two() || count.is_multiple_of(64)
}
