//! Bounds on what the leader gets at a fixed x: φ_o(x) = min F(x, y) and φ_p(x) = max F(x, y) over the follower's
//! answers S(x).
//!
//! Let v_hi be at least v(x), the objective of a feasible answer. The set {y in Y(x): f(x, y) <= v_hi + η} contains
//! S(x) for every η >= 0, so a lower bound of F over it bounds φ_o(x) from below and an upper bound bounds φ_p(x) from
//! above, without any condition on η. Values of F at points of the set speak of the η-problem only: with η' = v_hi + η -
//! v(x), which lies between η and η + v_hi - v_lo, the set is that of the η'-optimal answers, φ_o^η'(x) is at most F at
//! any point of it, and φ_p^η'(x) at least.
//!
//! The answer whose objective is v_hi must be feasible in the same sense in which Y(x) is meant. Where only a point
//! feasible within δ is known, Y(x) is relaxed by δ on both sides, and the statement is about that set.

use super::follower::{CONVEX, FollowerProof, Settings, boxed, narrowed};
use super::interval::Interval;
use super::minimum::{Bound, Candidate, Ended, Limits, Prover, Task, Tier};
use super::problem::{Formulas, ProofError};
use super::program::{Builder, Unary};

/// Bounds that hold in an artificial box only are worth this part of the boxes looked at: where S(x) has no ends, they
/// hardly ever close.
const IN_A_BOX: usize = 64;

/// Proved bounds of φ_o and φ_p at one x.
#[derive(Clone, Debug)]
pub struct HyperProof {
    /// φ_o(x) is at least this (+inf: no answer in S(x) satisfies the leader's constraints).
    pub optimistic_lower: f64,
    /// φ_o^η(x) is at most this; +inf where no point is known.
    pub optimistic_upper: f64,
    /// φ_p(x) is at most this.
    pub pessimistic_upper: f64,
    /// φ_p^η(x) is at least this; -inf where no point is known.
    pub pessimistic_lower: f64,
    /// The tie width η.
    pub eta: f64,
    /// The ends that come from points (`optimistic_upper`, `pessimistic_lower`) hold for a tie width between η and this
    /// much more: what is not known of v(x).
    pub eta_error: f64,
    /// By how much Y(x) is relaxed: 0, or δ where no exactly feasible answer is known. Then all numbers here speak of
    /// the relaxed set's φ, which may differ from that of Y(x) by more than δ.
    pub delta: f64,
    /// The η-optimal answer that is best for the leader, as far as found.
    pub best: Option<Candidate>,
    /// The η-optimal answer that is worst for the leader, as far as found; its value is F.
    pub worst: Option<Candidate>,
    /// Variables in which the bounds speak of an artificial box only.
    pub artificial: Vec<usize>,
    /// Whether both searches closed their gap.
    pub closed: bool,
    /// Boxes looked at.
    pub nodes: usize,
}

impl HyperProof {
    /// Proved: two answers exist, optimal within η + [`HyperProof::eta_error`], between which the leader's objective
    /// differs by at least this.
    pub fn undecided_by(&self) -> f64 {
        match (&self.best, &self.worst) {
            (Some(best), Some(worst)) => (worst.value - best.value).lo().max(0.0),
            _ => 0.0,
        }
    }
}

impl Formulas {
    /// Proves bounds of φ_o(x) and φ_p(x) from what is proved of the follower at x. `None` where Y(x) is empty or no
    /// feasible answer is known. The relative gap wanted is `gap`.
    ///
    /// # Errors
    /// Points of the wrong length or with entries that are not finite.
    pub fn hyper(
        &self,
        x: &[f64],
        follower: &FollowerProof,
        eta: f64,
        gap: f64,
        settings: &Settings,
    ) -> Result<Option<HyperProof>, ProofError> {
        Self::check_point("leader", x, self.n)?;
        let (answer, delta) = match follower.best_answer() {
            Some((Tier::Strict | Tier::Existence, answer)) => (answer, 0.0),
            Some((Tier::Within, answer)) if !follower.empty => (answer, settings.delta),
            _ => return Ok(None),
        };
        let level = (Interval::point(answer.value.hi()) + Interval::point(eta)).hi();
        let mut runs = Vec::with_capacity(2);
        let mut artificial = Vec::new();
        for worst in [false, true] {
            let mut task = self.level_task(x, worst, level, delta);
            let natural = narrowed(&task, f64::INFINITY);
            let Some(natural) = natural else {
                runs.push(Bound::nothing_below(f64::INFINITY));
                continue;
            };
            artificial.extend((0..self.m).filter(|&j| !natural[j].is_bounded()));
            task.domain = boxed(&natural, Some(&answer.point), settings.radius);
            let asked =
                if natural.iter().all(|range| range.is_bounded()) { settings.nodes } else { settings.nodes / IN_A_BOX };
            let nodes = self.affordable(asked, settings, &task);
            if nodes == 0 {
                return Ok(None);
            }
            // Over answers of a convex follower the first second-order bounds say nearly all; and with equalities no point
            // is ever exactly feasible, so that no search closes.
            let few = (CONVEX / self.work_of_a_box(&task)).max(1);
            let nodes = if follower.by_duality { nodes.min(few) } else { nodes };
            let limits = Limits { nodes, gap, delta: 0.0, ..Limits::default() };
            let starts = [Some(answer), follower.bound.within.as_ref()];
            let starts: Vec<_> = starts.into_iter().flatten().map(|c| c.point.clone()).collect();
            runs.push(Prover::new(&task, limits).run(&starts));
        }
        artificial.sort_unstable();
        artificial.dedup();
        let [best, worst] = &runs[..] else {
            return Ok(None);
        };
        let turned = worst.strict.clone().map(|c| Candidate { value: -c.value, ..c });
        Ok(Some(HyperProof {
            optimistic_lower: best.lower,
            optimistic_upper: best.strict.as_ref().map_or(f64::INFINITY, |c| c.value.hi()),
            pessimistic_upper: -worst.lower,
            pessimistic_lower: turned.as_ref().map_or(f64::NEG_INFINITY, |c| c.value.lo()),
            eta,
            eta_error: (Interval::point(answer.value.hi()) - Interval::point(follower.lower)).hi().max(0.0),
            delta,
            best: best.strict.clone(),
            worst: turned,
            artificial,
            closed: best.ended != Ended::Budget && worst.ended != Ended::Budget,
            nodes: best.nodes + worst.nodes,
        }))
    }

    /// Minimise F (or -F) over the follower's answers with an objective of at most `level`; the leader's constraints
    /// count for the best answer only.
    fn level_task(&self, x: &[f64], worst: bool, level: f64, delta: f64) -> Task {
        let mut builder = Builder::new();
        let with: Vec<_> = (0..self.n + self.m)
            .map(|v| if v < self.n { builder.number(x[v]) } else { builder.variable(v - self.n) })
            .collect();
        let all = builder.import(&self.program, &with);
        let objective = all[self.leader.objective];
        let mut roots = vec![if worst { builder.apply(Unary::Neg, objective) } else { objective }];
        let cut = builder.number(level);
        roots.push(builder.sub(all[self.follower.objective], cut));
        let relaxed = builder.number(delta);
        for &r in &self.follower.inequalities {
            roots.push(builder.sub(all[r], relaxed));
        }
        let mut equalities = Vec::new();
        for &r in &self.follower.equalities {
            if delta > 0.0 {
                roots.push(builder.sub(all[r], relaxed));
                let negative = builder.apply(Unary::Neg, all[r]);
                roots.push(builder.sub(negative, relaxed));
            } else {
                equalities.push(all[r]);
            }
        }
        if !worst {
            for &r in self.leader.inequalities.iter().chain(&self.leader.equalities) {
                roots.push(builder.sub(all[r], relaxed));
            }
            for &r in &self.leader.equalities {
                let negative = builder.apply(Unary::Neg, all[r]);
                roots.push(builder.sub(negative, relaxed));
            }
        }
        let inequalities = roots.len() - 1;
        let count = equalities.len();
        roots.extend(equalities);
        let domain = self.domain[self.n..].to_vec();
        Task { program: builder.finish(&roots, self.m), inequalities, equalities: count, domain }
    }
}
