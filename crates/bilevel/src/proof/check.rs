//! Everything proved of one point (x, y), whoever found it, and a verdict.
//!
//! *Refuted* needs a witness: a constraint that is violated by more than the tolerance, or a better feasible answer.
//! *Verified* means that the violation and the follower's gap are proved to be within the tolerances, on no estimate
//! and in no artificial box. Everything between is *consistent*.

use super::attitude::HyperProof;
use super::follower::{FollowerProof, Settings, outside};
use super::interval::Interval;
use super::minimum::{Candidate, Ended, Tier};
use super::problem::{Formulas, LevelRoots, ProofError};
use super::program::Sweep;
use crate::expr::Level;

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
    /// Tie width η for the bounds of φ.
    pub eta: f64,
    /// Relative gap of the bounds of φ.
    pub hyper_gap: f64,
}

impl Default for Tolerances {
    fn default() -> Self {
        Self { violation: 1e-6, gap: 1e-8, loose_gap: 1e-3, eta: 1e-6, hyper_gap: 1e-4 }
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
    /// Proves what can be proved of (x, y); `hyper` asks for the bounds of φ too.
    ///
    /// # Errors
    /// Points of the wrong length or with entries that are not finite.
    pub fn check(
        &self,
        x: &[f64],
        y: &[f64],
        hyper: bool,
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
        let witness = self
            .violated(&sweep, Level::Leader, &point, accepted)
            .or_else(|| self.violated(&sweep, Level::Follower, &point, accepted))
            .or_else(|| better(&follower, tolerances));
        let hyper = if hyper && witness.is_none() {
            self.hyper(x, &follower, tolerances.eta, tolerances.hyper_gap, settings)?
        } else {
            None
        };
        let proved = follower.gap().zip(follower.objective).is_some_and(|(gap, f)| {
            gap <= tolerances.gap * (1.0 + f.mag()) && leader_violation <= accepted && follower.violation <= accepted
        });
        let verdict = match (&witness, proved && follower.artificial.is_empty()) {
            (Some(_), _) => Verdict::Refuted,
            (None, true) => Verdict::Verified,
            (None, false) => Verdict::Consistent,
        };
        let upper = self.leader.objective;
        let upper = sweep.defined(&self.program, upper).then(|| sweep.value(&self.program, upper));
        Ok(PointProof { upper, leader_violation, follower, hyper, witness, verdict })
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

/// A tier in words.
fn words(tier: Tier) -> &'static str {
    match tier {
        Tier::Strict => "strictly feasible",
        Tier::Existence => "proved to be near a feasible answer",
        Tier::Within => "feasible within delta",
    }
}

impl PointProof {
    /// What is proved, in words, one statement a line.
    pub fn statements(&self) -> Vec<String> {
        let follower = &self.follower;
        let mut lines = vec![
            "Proved in outward-rounded arithmetic (the mathematical library is assumed within 4 ulp), for the numbers x \
             and y as given:"
                .to_string(),
            format!(
                "the leader's constraints hold within {:.1e}, the follower's within {:.1e}",
                self.leader_violation, follower.violation
            ),
        ];
        let place = if follower.artificial.is_empty() {
            String::new()
        } else {
            let names: Vec<_> = follower.artificial.iter().map(|j| format!("y[{j}]")).collect();
            format!(" in a box that is artificial in {}", names.join(", "))
        };
        match (follower.gap(), follower.objective) {
            _ if follower.empty => lines.push("the follower has no feasible answer at this x".into()),
            (Some(gap), Some(f)) if gap.is_finite() => lines.push(format!(
                "no feasible answer{place} has an objective below f(x, y) - {gap:.1e} = {:.10}",
                f.lo() - gap
            )),
            _ => lines.push("no bound of the follower's optimal value was proved".into()),
        }
        if follower.bound.ended == Ended::Budget {
            lines.push("the search for better answers stopped at its budget".into());
        }
        for &j in &follower.on_artificial_face {
            lines.push(format!(
                "the best answer found lies on the artificial end of y[{j}]: the follower may be unbounded"
            ));
        }
        if !follower.empty {
            let tier = follower.best_answer().map_or("not found", |(tier, _)| words(tier));
            lines.push(format!("an answer known to be feasible: {tier}"));
        }
        if let Some(h) = &self.hyper {
            let place = if h.artificial.is_empty() { "" } else { ", in an artificial box" };
            lines.push(format!(
                "phi_o(x) >= {:.10}, phi_p(x) <= {:.10}{place}",
                h.optimistic_lower, h.pessimistic_upper
            ));
            let by = h.undecided_by();
            if by > 0.0 {
                lines.push(format!("answers within {:.0e} of the best exist that differ by {by:.6} in F", h.eta));
            }
        }
        match &self.witness {
            Some(Witness::Better { answer, tier }) => lines.push(format!(
                "refuted: y = {:?} is {} and has f = {:.10}",
                answer.point,
                words(*tier),
                answer.value.hi()
            )),
            Some(Witness::Constraint { level, index, value }) => {
                lines.push(format!("refuted: {level:?} constraint {index} has the value {:.3e}", value.mid()));
            }
            Some(Witness::Bound { level, by }) => lines.push(format!("refuted: {level:?} bounds exceeded by {by:.1e}")),
            Some(Witness::Undefined { level }) => {
                lines.push(format!("refuted: a {level:?} function is undefined here"))
            }
            None => {}
        }
        lines
    }
}
