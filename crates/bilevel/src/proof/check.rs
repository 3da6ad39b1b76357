//! Everything proved of one point (x, y), whoever found it, and a verdict.
//!
//! *Refuted* needs a witness: a constraint that is violated by more than the tolerance, a better feasible answer, or,
//! for the pessimistic attitude, an answer that is as good for the follower and worse for the leader. *Verified* means
//! that the violation and the follower's gap (and, for the pessimistic attitude, that y is the worst answer) are proved
//! to be within the tolerances, on no estimate and in no artificial box. Everything between is *consistent*.

use super::attitude::HyperProof;
use super::follower::{CONVEX, FollowerProof, Settings, boxed, outside};
use super::interval::Interval;
use super::minimum::{Candidate, Limits, Prover, Tier};
use super::problem::{Formulas, LevelRoots, ProofError};
use super::program::Sweep;
use crate::expr::Level;

/// What is claimed of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// (x, y) is bilevel feasible: the constraints hold and y is optimal for the follower. Bounds of φ are not looked for.
    Answer,
    /// The same; bounds of φ_o and φ_p are looked for.
    Optimistic,
    /// Also, no other answer of the follower is worse for the leader: F(x, y) = φ_p(x).
    Pessimistic,
}

/// What counts as wrong.
#[derive(Clone, Copy, Debug)]
pub struct Tolerances {
    /// Violations up to this times (1 + the point's size) are accepted.
    pub violation: f64,
    /// Follower gaps up to this times (1 + |f|) are accepted.
    pub gap: f64,
    /// A better answer that is feasible within δ only must be better by this times (1 + |f|): without a strictly
    /// feasible point v may move by the root of δ.
    pub loose_gap: f64,
    /// Answers whose objectives differ by at most this times (1 + |f|) are tied: what rounding x may do.
    pub tie: f64,
    /// How much worse for the leader, times (1 + |F|), an answer must be to refute a pessimistic claim.
    pub upper: f64,
    /// Tie width η for the bounds of φ.
    pub eta: f64,
    /// Relative gap of the bounds of φ.
    pub hyper_gap: f64,
}

impl Default for Tolerances {
    fn default() -> Self {
        Self { violation: 1e-6, gap: 1e-8, loose_gap: 1e-3, tie: 1e-10, upper: 1e-3, eta: 1e-6, hyper_gap: 1e-4 }
    }
}

/// Why a point is refuted.
#[derive(Clone, Debug, PartialEq)]
pub enum Witness {
    /// A constraint is violated: component `index` of the level's inequalities, then equalities, as [`LevelRoots`]
    /// lists them.
    Constraint {
        /// Whose constraint.
        level: Level,
        /// Which one.
        index: usize,
        /// Its value (<= 0 or = 0 is wanted).
        value: Interval,
    },
    /// A variable lies outside its set's bounds.
    Bound {
        /// Whose variable.
        level: Level,
        /// By how much the largest violation exceeds the bounds.
        by: f64,
    },
    /// A function is undefined at the point.
    Undefined {
        /// Whose function.
        level: Level,
    },
    /// A feasible answer that is better for the follower.
    Better {
        /// The answer.
        answer: Candidate,
        /// In which sense it is feasible.
        tier: Tier,
    },
    /// A feasible answer that is as good for the follower (within [`Tolerances::tie`]) and worse for the leader.
    Worse {
        /// The answer; its value is F.
        answer: Candidate,
    },
}

/// The conclusion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything claimed is proved.
    Verified,
    /// Nothing speaks against the point, but something is not proved.
    Consistent,
    /// The point is wrong; there is a witness.
    Refuted,
}

/// Everything proved of one point.
#[derive(Clone, Debug)]
pub struct PointProof {
    /// F(x, y); `None` where undefined.
    pub upper: Option<Interval>,
    /// Upper bound of the largest violation of the leader's constraints and set.
    pub leader_violation: f64,
    /// The follower at x, with its gap at y.
    pub follower: FollowerProof,
    /// Bounds of φ_o and φ_p.
    pub hyper: Option<HyperProof>,
    /// Why the point is wrong, if it is.
    pub witness: Option<Witness>,
    /// The conclusion.
    pub verdict: Verdict,
}

impl Formulas {
    /// Proves what can be proved of (x, y).
    ///
    /// # Errors
    /// Points of the wrong length or with entries that are not finite.
    pub fn check(
        &self,
        x: &[f64],
        y: &[f64],
        claim: Claim,
        tolerances: &Tolerances,
        settings: &Settings,
    ) -> Result<PointProof, ProofError> {
        let follower = self.follower(x, Some(y), settings)?;
        let mut sweep = Sweep::<Interval>::new(&self.program);
        let at: Vec<_> = x.iter().chain(y).map(|&v| Interval::point(v)).collect();
        sweep.forward(&self.program, &at);
        let size = 1.0 + x.iter().chain(y).fold(0.0, |m: f64, v| m.max(v.abs()));
        let accepted = tolerances.violation * size;
        let point = [x, y].concat();
        let leader_violation = self.violation(&sweep, &self.leader, &self.domain[..self.n], x);
        let upper = self.leader.objective;
        let upper = sweep.defined(&self.program, upper).then(|| sweep.value(&self.program, upper));
        let mut witness = self
            .violated(&sweep, Level::Leader, &point, accepted)
            .or_else(|| self.violated(&sweep, Level::Follower, &point, accepted))
            .or_else(|| better(&follower, tolerances))
            .or_else(|| self.farther_out(x, &follower, tolerances))
            .or_else(|| self.better_in_relaxed_set(x, y, &follower, tolerances, settings));
        let mut hyper = None;
        if claim != Claim::Answer && witness.is_none() {
            hyper = self.hyper(x, &follower, tolerances.eta, tolerances.hyper_gap, settings)?;
        }
        if let (Claim::Pessimistic, Some(upper), None) = (claim, upper, &witness) {
            witness = self.worse(x, &follower, hyper.as_ref(), upper, tolerances, settings);
        }
        let mut proved = follower.artificial.is_empty()
            && follower.gap().zip(follower.objective).is_some_and(|(gap, f)| {
                gap <= tolerances.gap * (1.0 + f.mag())
                    && leader_violation <= accepted
                    && follower.violation <= accepted
            });
        if claim == Claim::Pessimistic {
            let free_leader = !self.leader.inequalities.iter().chain(&self.leader.equalities).any(|&r| self.uses_y(r));
            proved &= free_leader && upper.is_some_and(|upper| worst_is(upper, hyper.as_ref(), tolerances));
        }
        let verdict = match (&witness, proved) {
            (Some(_), _) => Verdict::Refuted,
            (None, true) => Verdict::Verified,
            (None, false) => Verdict::Consistent,
        };
        Ok(PointProof { upper, leader_violation, follower, hyper, witness, verdict })
    }

    fn uses_y(&self, root: usize) -> bool {
        self.program.variables_of(root).iter().any(|&v| v >= self.n)
    }

    fn violation(&self, sweep: &Sweep<Interval>, level: &LevelRoots, domain: &[Interval], point: &[f64]) -> f64 {
        let mut violation = outside(domain, point);
        for (&r, equality) in
            level.inequalities.iter().map(|r| (r, false)).chain(level.equalities.iter().map(|r| (r, true)))
        {
            let z = sweep.value(&self.program, r);
            let by = if equality { z.mag() } else { z.hi() };
            violation = violation.max(if sweep.defined(&self.program, r) { by } else { f64::INFINITY });
        }
        violation
    }

    /// A constraint, bound or undefined function of one level that is proved to be wrong by more than `accepted`.
    fn violated(&self, sweep: &Sweep<Interval>, level: Level, point: &[f64], accepted: f64) -> Option<Witness> {
        let (roots, range) = match level {
            Level::Leader => (&self.leader, 0..self.n),
            Level::Follower => (&self.follower, self.n..self.n + self.m),
        };
        let by = outside(&self.domain[range.clone()], &point[range]);
        if by > accepted {
            return Some(Witness::Bound { level, by });
        }
        let all = roots.inequalities.iter().map(|&r| (r, false)).chain(roots.equalities.iter().map(|&r| (r, true)));
        for (index, (r, equality)) in all.enumerate() {
            let value = sweep.value(&self.program, r);
            if value.is_empty() {
                return Some(Witness::Undefined { level });
            }
            if value.lo() > accepted || (equality && value.hi() < -accepted) {
                return Some(Witness::Constraint { level, index, value });
            }
        }
        sweep.value(&self.program, roots.objective).is_empty().then_some(Witness::Undefined { level })
    }

    /// Where Y(x) is empty, or no exactly feasible answer is known, y is itself feasible within some δ only: an answer
    /// that violates no more than y does (or the δ of the settings) and is clearly better refutes it all the same.
    fn better_in_relaxed_set(
        &self,
        x: &[f64],
        y: &[f64],
        follower: &FollowerProof,
        tolerances: &Tolerances,
        settings: &Settings,
    ) -> Option<Witness> {
        let f = follower.objective?;
        if follower.bound.strict.is_some() || follower.existing.is_some() {
            return None;
        }
        let delta = follower.violation.max(settings.delta);
        let mut task = self.follower_task(x, Some(self.follower.objective), delta);
        task.domain = boxed(&self.domain[self.n..], Some(y), settings.radius);
        let nodes = self.affordable(settings.nodes.min(500), settings, &task);
        if nodes == 0 {
            return None;
        }
        let few = (CONVEX / self.work_of_a_box(&task)).max(1);
        let nodes = if follower.by_duality { nodes.min(few) } else { nodes };
        let limits = Limits { nodes, gap: settings.gap, delta: 0.0, ..Limits::default() };
        let answer = Prover::new(&task, limits).run(&[y.to_vec()]).strict?;
        let answer = Candidate { violation: delta, ..answer };
        (answer.value.hi() < f.lo() - tolerances.loose_gap * (1.0 + f.mag()))
            .then_some(Witness::Better { answer, tier: Tier::Within })
    }

    /// A better answer further along a ray on which f falls without end.
    fn farther_out(&self, x: &[f64], follower: &FollowerProof, tolerances: &Tolerances) -> Option<Witness> {
        let (f, ray) = (follower.objective?, follower.ray.as_ref()?);
        [1.0, 1e2, 1e4, 1e6].into_iter().find_map(|t| {
            let point: Vec<f64> = ray.from.iter().zip(&ray.direction).map(|(y, d)| y + t * d).collect();
            let (value, violation) = self.answer(x, &point);
            let value = value.filter(|value| value.hi() < f.lo() - tolerances.gap * (1.0 + f.mag()))?;
            let answer = Candidate { point, value, violation };
            (violation <= 0.0).then_some(Witness::Better { answer, tier: Tier::Strict })
        })
    }

    /// An answer that is as good for the follower and worse for the leader: the worst η-optimal one, moved to the
    /// follower's minimiser next to it, and the best answers known.
    fn worse(
        &self,
        x: &[f64],
        follower: &FollowerProof,
        hyper: Option<&HyperProof>,
        upper: Interval,
        tolerances: &Tolerances,
        settings: &Settings,
    ) -> Option<Witness> {
        let f = follower.objective?;
        let level = f.lo() + tolerances.tie * (1.0 + f.mag());
        let mut points: Vec<Vec<f64>> = Vec::new();
        if let Some(worst) = hyper.and_then(|hyper| hyper.worst.as_ref()) {
            let mut task = self.follower_task(x, Some(self.follower.objective), 0.0);
            task.domain = boxed(&task.domain, Some(&worst.point), settings.radius);
            let limits = Limits { nodes: 1, gap: 0.0, delta: settings.delta, ..Limits::default() };
            let near = Prover::new(&task, limits).near(&worst.point);
            points.extend([Some(worst.point.clone()), near].into_iter().flatten());
        }
        points.extend(follower.bound.strict.iter().map(|c| c.point.clone()));
        let bar = upper.hi() + tolerances.upper * (1.0 + upper.mag());
        let mut sweep = Sweep::<Interval>::new(&self.program);
        points.into_iter().find_map(|point| {
            let (objective, violation) = self.answer(x, &point);
            if violation > 0.0 || objective?.hi() > level {
                return None;
            }
            let at: Vec<_> = x.iter().chain(&point).map(|&v| Interval::point(v)).collect();
            sweep.forward(&self.program, &at);
            let value = sweep.value(&self.program, self.leader.objective);
            (!value.is_empty() && value.lo() > bar)
                .then_some(Witness::Worse { answer: Candidate { point, value, violation } })
        })
    }
}

/// Whether F(x, y) is proved to be φ_p(x) within the tolerance.
fn worst_is(upper: Interval, hyper: Option<&HyperProof>, tolerances: &Tolerances) -> bool {
    let bar = upper.lo() + tolerances.upper * (1.0 + upper.mag());
    hyper.is_some_and(|h| h.artificial.is_empty() && h.delta == 0.0 && h.pessimistic_upper <= bar)
}

/// A better answer than the given one, by more than the tolerance.
fn better(follower: &FollowerProof, tolerances: &Tolerances) -> Option<Witness> {
    let f = follower.objective?;
    let beats = |c: &Candidate, by: f64| c.value.hi() < f.lo() - by * (1.0 + f.mag());
    let found = [(Tier::Strict, &follower.bound.strict), (Tier::Existence, &follower.existing)];
    for (tier, candidate) in found {
        if let Some(answer) = candidate.as_ref().filter(|c| beats(c, tolerances.gap)) {
            return Some(Witness::Better { answer: answer.clone(), tier });
        }
    }
    let within = follower.bound.within.as_ref().filter(|c| beats(c, tolerances.loose_gap))?;
    Some(Witness::Better { answer: within.clone(), tier: Tier::Within })
}
