//! The follower at a fixed x: a proved lower bound of v(x), and what it says of a given answer y.
//!
//! Statement: *y violates no constraint of the follower by more than `violation`, and no y' in Y(x) within the box has
//! an objective below `lower`*. Feasibility is proved in one of three tiers that are never mixed. If Y(x) is proved
//! empty, nothing is said of gaps. Where a variable has no bound, neither from the sets and constraints nor from
//! "f <= f(x, y)", the box is artificial in it and the statement says so.

use super::existence::exists_near;
use super::interval::Interval;
use super::minimum::{Bound, Candidate, Ended, Limits, Prover, Task, Tier};
use super::problem::{Formulas, ProofError};
use super::program::{Contracted, Sweep};
use super::recession::Ray;

/// Followers up to this many variables are always searched by branch and bound too.
const SMALL: usize = 12;
/// Followers with more variables are left to duality alone: each box would take a factorisation of that size.
const LARGE: usize = 60;
/// Searches that may look at fewer boxes than this are not begun: they would not get far.
const WORTHWHILE: usize = 50;

/// Work of a search, in the units of [`Settings::work`], for what is left open where duality closed the gap.
pub(super) const CONVEX: usize = 30_000;

/// How far the proofs go.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Most boxes looked at for one bound.
    pub nodes: usize,
    /// Most work in one search, in boxes times what a box takes: about one operation of the formulas for each variable.
    pub work: usize,
    /// Relative gap at which a bound is good enough.
    pub gap: f64,
    /// Violation that still counts as feasible, in the tier of that name.
    pub delta: f64,
    /// Half-width of the artificial box around the answer where a variable has no bound; at least twice the answer's
    /// size.
    pub radius: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { nodes: 20_000, work: 40_000_000, gap: 2e-9, delta: 1e-9, radius: 1e4 }
    }
}

/// What was proved of the follower at x.
#[derive(Clone, Debug)]
pub struct FollowerProof {
    /// No feasible answer in the box has a smaller objective.
    pub lower: f64,
    /// Y(x), within the box, was proved empty: then `lower` is +inf and gaps mean nothing.
    pub empty: bool,
    /// f(x, y) at the given answer, if one was given and f is defined there.
    pub objective: Option<Interval>,
    /// Upper bound of the given answer's largest violation of the follower's constraints.
    pub violation: f64,
    /// The box that the statement is about.
    pub domain: Vec<Interval>,
    /// Variables in which the box is artificial.
    pub artificial: Vec<usize>,
    /// Those of them in which the best answer found lies on the box's face.
    pub on_artificial_face: Vec<usize>,
    /// Where no strictly feasible answer is known: one that is proved to exist near a point feasible within delta.
    pub existing: Option<Candidate>,
    /// Whether duality alone shows that the given answer is optimal in the box: the follower is convex.
    pub by_duality: bool,
    /// A ray of Y(x) along which the objective is proved to fall without end: then no answer is optimal.
    pub ray: Option<Ray>,
    /// The search itself: candidates by tier, boxes looked at.
    pub bound: Bound,
}

impl FollowerProof {
    /// The best answer known to be feasible, in the strongest tier there is one in.
    pub fn best_answer(&self) -> Option<(Tier, &Candidate)> {
        let strict = self.bound.strict.as_ref().map(|c| (Tier::Strict, c));
        let existing = self.existing.as_ref().map(|c| (Tier::Existence, c));
        strict.or(existing).or(self.bound.within.as_ref().map(|c| (Tier::Within, c)))
    }

    /// Proved upper bound of f(x, y) - v(x) for the given answer; `None` without one, or where Y(x) is empty.
    pub fn gap(&self) -> Option<f64> {
        if self.empty {
            return None;
        }
        self.objective.map(|f| (Interval::point(f.hi()) - Interval::point(self.lower)).hi().max(0.0))
    }
}

impl Formulas {
    /// Proves a lower bound of v(x), with the answer `y` (if given) as the value to beat.
    ///
    /// # Errors
    /// Points of the wrong length or with entries that are not finite.
    pub fn follower(&self, x: &[f64], y: Option<&[f64]>, settings: &Settings) -> Result<FollowerProof, ProofError> {
        Self::check_point("leader", x, self.n)?;
        if let Some(y) = y {
            Self::check_point("follower", y, self.m)?;
        }
        let (objective, violation) = y.map_or((None, 0.0), |y| self.answer(x, y));
        let beat = objective.map_or(f64::INFINITY, |f| f.hi());
        let enough = |lower: f64| beat - lower <= settings.gap * (1.0 + beat.abs());
        let whole = &self.domain[self.n..];
        let mut dual = f64::NEG_INFINITY;
        if let (Some(y), true) = (y, beat.is_finite()) {
            dual = self.dual_bound(x, y, whole).map_or(dual, |d| d.lower);
            if enough(dual) && violation <= settings.delta {
                let bound = Bound::by_duality(dual.min(beat), y, objective, violation);
                return Ok(self.by_duality(x, y, bound, (objective, violation), settings));
            }
        }
        let on_whole = dual;
        let mut task = self.follower_task(x, Some(self.follower.objective), 0.0);
        let starts: Vec<Vec<f64>> = y.iter().map(|y| y.to_vec()).collect();
        let natural = narrowed(&task, beat);
        let Some(natural) = natural else {
            // Nothing in Y(x) is as good as the given answer, by propagation alone.
            let empty = self.is_empty(x, &starts, settings);
            let bound = Bound::nothing_below(if empty { f64::INFINITY } else { beat });
            return Ok(self.report(task.domain.clone(), Vec::new(), objective, violation, bound, empty));
        };
        let mut artificial: Vec<_> = (0..self.m).filter(|&j| !natural[j].is_bounded()).collect();
        task.domain = boxed(&natural, y, settings.radius);
        if let (Some(y), true) = (y, dual == f64::NEG_INFINITY && beat.is_finite()) {
            dual = self.dual_bound(x, y, &task.domain).map_or(dual, |d| d.lower);
        }
        let nodes = self.affordable(settings.nodes, settings, &task);
        let limits = Limits { nodes, gap: settings.gap, delta: settings.delta, ..Limits::default() };
        let mut bound = if nodes == 0 {
            Bound { ended: Ended::Budget, ..Bound::nothing_below(dual) }
        } else if self.m <= SMALL || !enough(dual) {
            let open = self.without_box(&task, &natural, &artificial, limits, &starts);
            if let Some(bound) = open {
                // The dual bound may be one for the artificial box only.
                dual = on_whole;
                task.domain = natural.clone();
                artificial.clear();
                bound
            } else {
                Prover::new(&task, limits).run(&starts)
            }
        } else {
            Bound::nothing_below(dual)
        };
        if bound.ended == Ended::Budget && !artificial.is_empty() && !enough(dual) && nodes > 0 {
            let smaller = Task { domain: boxed(&natural, y, 10.0), ..task.clone() };
            let again = Prover::new(&smaller, limits).run(&starts);
            if again.ended == Ended::Closed {
                (task, bound, dual) = (smaller, again, on_whole);
            }
        }
        bound.lower = bound.lower.max(dual);
        if !artificial.is_empty() {
            // Duality at the best answer found may do without the artificial box.
            let found = bound.within.as_ref().or(bound.strict.as_ref());
            let lower = found.and_then(|c| self.dual_bound(x, &c.point, whole)).map_or(f64::NEG_INFINITY, |d| d.lower);
            if lower.is_finite() && lower >= bound.lower - settings.gap * (1.0 + bound.lower.abs()) {
                bound.lower = lower;
                task.domain = whole.to_vec();
                artificial.clear();
            }
        }
        let nowhere = bound.ended == Ended::Empty && artificial.is_empty() && beat == f64::INFINITY;
        // Answers worse than the given one were cut off by propagation.
        bound.lower = bound.lower.min(beat);
        let by_duality = enough(dual);
        let empty = nowhere || self.has_no_answer(x, &starts, &bound, by_duality, settings);
        if empty {
            bound.lower = f64::INFINITY;
        }
        let mut proof = self.report(task.domain, artificial, objective, violation, bound, empty);
        proof.by_duality = by_duality;
        proof.ray = self.ray_of(x, y, &proof);
        if proof.ray.is_some() {
            proof.lower = f64::NEG_INFINITY;
        }
        Ok(self.with_existence(x, proof))
    }

    /// Where the best answer lies on an artificial face: a ray from it along which f falls for ever, if there is one.
    fn ray_of(&self, x: &[f64], y: Option<&[f64]>, proof: &FollowerProof) -> Option<Ray> {
        if proof.on_artificial_face.is_empty() {
            return None;
        }
        let far = proof.bound.strict.as_ref().or(proof.bound.within.as_ref())?;
        let origin = y.map_or_else(|| vec![0.0; self.m], <[f64]>::to_vec);
        let towards: Vec<f64> = far.point.iter().zip(&origin).map(|(a, b)| a - b).collect();
        let starts = [Some(far.point.as_slice()), y];
        starts.into_iter().flatten().find_map(|from| self.falling_ray(x, from, &towards))
    }

    /// The proof by duality alone, with a strictly feasible answer beside y where y is none.
    fn by_duality(
        &self,
        x: &[f64],
        y: &[f64],
        mut bound: Bound,
        (objective, violation): (Option<Interval>, f64),
        settings: &Settings,
    ) -> FollowerProof {
        let mut empty = false;
        if violation > 0.0 && self.m <= SMALL {
            bound.strict = self.strict_answer(x, y, settings);
            empty = self.has_no_answer(x, &[y.to_vec()], &bound, true, settings);
        }
        let mut proof = self.report(self.domain[self.n..].to_vec(), Vec::new(), objective, violation, bound, empty);
        proof.by_duality = true;
        self.with_existence(x, proof)
    }

    /// A short search on the unbounded box itself: where f grows in an unbounded variable, or nothing as good lies
    /// far away, no artificial box is needed.
    fn without_box(
        &self,
        task: &Task,
        natural: &[Interval],
        artificial: &[usize],
        limits: Limits,
        starts: &[Vec<f64>],
    ) -> Option<Bound> {
        if artificial.is_empty() {
            return None;
        }
        let open = Task { domain: natural.to_vec(), ..task.clone() };
        let bound = Prover::new(&open, Limits { nodes: 200.min(limits.nodes), ..limits }).run(starts);
        // Values without end mean an unbounded follower, which an artificial box shows better.
        (bound.ended == Ended::Closed && bound.lower.abs() < 1e100).then_some(bound)
    }

    /// A strictly feasible answer near the best, if local searches find one.
    fn strict_answer(&self, x: &[f64], y: &[f64], settings: &Settings) -> Option<Candidate> {
        let mut task = self.follower_task(x, Some(self.follower.objective), 0.0);
        task.domain = boxed(&task.domain, Some(y), settings.radius);
        let limits = Limits { nodes: 1, gap: settings.gap, delta: settings.delta, ..Limits::default() };
        Prover::new(&task, limits).run(&[y.to_vec()]).strict
    }

    fn report(
        &self,
        domain: Vec<Interval>,
        artificial: Vec<usize>,
        objective: Option<Interval>,
        violation: f64,
        bound: Bound,
        empty: bool,
    ) -> FollowerProof {
        let best = bound.strict.as_ref().or(bound.within.as_ref());
        let touches = |j: usize| {
            best.is_some_and(|c| {
                let (z, v) = (domain[j], c.point[j]);
                let near = 1e-6 * z.width();
                v - z.lo() <= near || z.hi() - v <= near
            })
        };
        let on_artificial_face = artificial.iter().copied().filter(|&j| touches(j)).collect();
        FollowerProof {
            lower: bound.lower,
            empty,
            objective,
            violation,
            domain,
            artificial,
            on_artificial_face,
            existing: None,
            by_duality: false,
            ray: None,
            bound,
        }
    }

    /// Adds an answer of the existence tier where a strictly feasible one is missing.
    fn with_existence(&self, x: &[f64], mut proof: FollowerProof) -> FollowerProof {
        if let (None, Some(within), false) = (&proof.bound.strict, &proof.bound.within, proof.empty)
            && (self.m <= SMALL || proof.by_duality && self.m <= LARGE)
        {
            let task = self.follower_task(x, Some(self.follower.objective), 0.0);
            proof.existing = exists_near(&task, &within.point);
        }
        proof
    }

    /// Whether Y(x) is proved empty, looked at where no exactly feasible answer is known, nor proved to exist near one that
    /// is feasible within δ. Where duality closed the gap little is spent on it: only a hair's breadth is in doubt.
    fn has_no_answer(
        &self,
        x: &[f64],
        starts: &[Vec<f64>],
        bound: &Bound,
        by_duality: bool,
        settings: &Settings,
    ) -> bool {
        if bound.strict.is_some() {
            return false;
        }
        let task = self.follower_task(x, Some(self.follower.objective), 0.0);
        if bound.within.as_ref().is_some_and(|within| exists_near(&task, &within.point).is_some()) {
            return false;
        }
        let work = if by_duality { settings.work.min(CONVEX) } else { settings.work };
        self.is_empty(x, starts, &Settings { work, ..*settings })
    }

    /// Whether Y(x) is proved empty: by propagation and branching on the constraints alone, without any box that the
    /// problem does not have.
    fn is_empty(&self, x: &[f64], starts: &[Vec<f64>], settings: &Settings) -> bool {
        let mut task = self.follower_task(x, None, 0.0);
        match narrowed(&task, f64::INFINITY) {
            None => return true,
            Some(natural) => task.domain = natural,
        }
        let nodes = self.affordable(settings.nodes.min(2000), settings, &task);
        let limits = Limits { nodes, delta: 0.0, ..Limits::default() };
        nodes > 0 && Prover::new(&task, limits).run(starts).ended == Ended::Empty
    }

    /// Boxes that a search may look at, given that each takes evaluations and factorisations; 0 if a search is not worth
    /// while.
    pub(super) fn affordable(&self, nodes: usize, settings: &Settings, task: &Task) -> usize {
        let most = settings.work / self.work_of_a_box(task);
        if most < WORTHWHILE || self.m > LARGE { 0 } else { nodes.min(most) }
    }

    /// What a box takes.
    pub(super) fn work_of_a_box(&self, task: &Task) -> usize {
        1 + task.program.len() * (1 + self.m) + 5 * self.m.pow(3)
    }
}

impl Formulas {
    /// f(x, y), if defined, and an upper bound of the largest violation of the follower's constraints.
    pub fn answer(&self, x: &[f64], y: &[f64]) -> (Option<Interval>, f64) {
        let mut sweep = Sweep::<Interval>::new(&self.program);
        let at: Vec<_> = x.iter().chain(y).map(|&v| Interval::point(v)).collect();
        sweep.forward(&self.program, &at);
        let mut violation = outside(&self.domain[self.n..], y);
        for &r in &self.follower.inequalities {
            let by = sweep.value(&self.program, r).hi();
            violation = violation.max(if sweep.defined(&self.program, r) { by } else { f64::INFINITY });
        }
        for &r in &self.follower.equalities {
            let by = sweep.value(&self.program, r).mag();
            violation = violation.max(if sweep.defined(&self.program, r) { by } else { f64::INFINITY });
        }
        let f = self.follower.objective;
        (sweep.defined(&self.program, f).then(|| sweep.value(&self.program, f)), violation)
    }
}

/// How far `y` lies outside a box, at most.
pub(super) fn outside(domain: &[Interval], y: &[f64]) -> f64 {
    let mut violation = 0.0_f64;
    for (z, &v) in domain.iter().zip(y) {
        let below = Interval::point(z.lo()) - Interval::point(v);
        let above = Interval::point(v) - Interval::point(z.hi());
        for (end, by) in [(z.lo(), below), (z.hi(), above)] {
            if end.is_finite() {
                violation = violation.max(by.hi());
            }
        }
    }
    violation
}

/// The box after propagation of all constraints and "objective <= beat"; `None` if nothing is left.
pub(super) fn narrowed(task: &Task, beat: f64) -> Option<Vec<Interval>> {
    let mut allowed = vec![Interval::at_most(0.0); task.program.roots()];
    allowed[0] = Interval::at_most(beat);
    allowed[1 + task.inequalities..].fill(Interval::ZERO);
    let mut domain = task.domain.clone();
    let mut sweep = Sweep::new(&task.program);
    for _ in 0..8 {
        match sweep.contract(&task.program, &allowed, &mut domain) {
            Contracted::Empty => return None,
            Contracted::Same => break,
            Contracted::Smaller => {}
        }
    }
    Some(domain)
}

/// The box with its infinite ends replaced by artificial ones.
pub(super) fn boxed(natural: &[Interval], y: Option<&[f64]>, radius: f64) -> Vec<Interval> {
    let largest = y.map_or(0.0, |y| y.iter().fold(0.0, |m: f64, v| m.max(v.abs())));
    let radius = radius.max(2.0 * largest);
    let place = |(j, z): (usize, &Interval)| {
        let centre = y.map_or_else(|| z.clamp(0.0), |y| z.clamp(y[j]));
        z.intersect(Interval::new(
            if z.lo().is_finite() { z.lo() } else { centre - radius },
            if z.hi().is_finite() { z.hi() } else { centre + radius },
        ))
    };
    natural.iter().enumerate().map(place).collect()
}
