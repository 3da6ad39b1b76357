//! What may be said of a checked point: its status, and what the follower's better answers mean for it.

use super::{BETTER, Checked, Chooser, GAP, TIE, VIOLATION};
use crate::certificate::{follower_violation, jointly_feasible, variable};
use crate::problem::{Attitude, NamedValues};
use crate::solution::{Certificate, Rigor, Status, Verdict, Witness};

impl Chooser<'_> {
    /// The status of a point with this certificate, and why in words.
    pub(super) fn status(&self, best: &Checked, certificate: &Certificate) -> (Status, String) {
        let gap = best.relative_gap();
        if best.check.as_ref().is_some_and(|check| check.unbounded) {
            let message = "the follower's objective decreases without bound at this x";
            return (Status::FollowerUnbounded, message.to_string());
        }
        if best.violation > VIOLATION {
            return self.violated(best);
        }
        if gap.is_infinite() {
            return (Status::Stuck, "the independent solve found no feasible answer of the follower here".to_string());
        }
        if !best.converged() {
            let message = "the independent solve of the follower did not converge: nothing confirms its answer";
            return (Status::Stuck, message.to_string());
        }
        if gap > 1e-4 {
            return (Status::Stuck, format!("the follower has a better answer than this y: relative gap {gap:.1e}"));
        }
        if gap > GAP {
            return (Status::Relaxed, format!("the follower gap is {gap:.1e} (relative), above {GAP:.0e}"));
        }
        let basis = match (&certificate.follower_gap, self.analysis.levels.convex) {
            (Some(gap), _) if gap.rigor == Rigor::Proved => "the follower's optimality is proved",
            (_, true) => "the follower is convex in y by structure",
            (Some(gap), false) if matches!(gap.rigor, Rigor::Conditional(_)) => {
                "the follower's optimality is proved in a box"
            }
            _ => "the follower's optimality rests on a multistart",
        };
        if let Some(upper) = best.hidden {
            let upper = self.problem.leader().sense.apply(upper);
            let text = "the follower's objective is so flat here that a better answer is within the limit of the gap";
            return (Status::Relaxed, format!("{text}: with it F = {upper:.7}; {basis}"));
        }
        if let Some((variable, _)) = self.follower_falls_along_an_axis(best) {
            return (Status::FollowerUnbounded, no_best_answer(&variable));
        }
        match &certificate.stationarity {
            _ if certificate.verdict == Some(Verdict::Refuted) => {
                let reason = certificate.statements.last().cloned().unwrap_or_default();
                (Status::Stuck, reason)
            }
            Some(s) if s.residual <= self.options.tolerance => {
                if let Some(better) = self.better_answer(best, certificate) {
                    let text = "stationary, but among the answers that are as good for the follower one is better for the leader";
                    return (Status::Feasible, format!("{text}: F = {better:.7}; {basis}"));
                }
                (Status::Solved, format!("feasible, follower optimal, stationary; {basis}"))
            }
            Some(s) => (Status::Feasible, format!("stationarity residual {:.1e}; {basis}", s.residual)),
            None => (Status::Feasible, format!("no stationarity residual could be computed; {basis}")),
        }
    }

    /// The follower's variable, if there is one, along which f is smaller at points far beyond y and never rises, with the
    /// first of them: an infimum that no answer attains, within the tolerances of a gap.
    pub(super) fn follower_falls_along_an_axis(&self, best: &Checked) -> Option<(String, Vec<f64>)> {
        let (x, y) = (&best.candidate.x, &best.candidate.y);
        let here = self.value(self.problem.follower(), x, y);
        let ranges = self.analysis.bounds.follower();
        for (j, range) in ranges.iter().enumerate() {
            for (sign, end) in [(1.0, range.upper()), (-1.0, range.lower())] {
                let mut last = here;
                let falling = end.is_infinite()
                    && [1.0, 10.0, 100.0].iter().all(|step| {
                        let mut far = y.clone();
                        far[j] += sign * step * (1.0 + y[j].abs());
                        let value = self.value(self.problem.follower(), x, &far);
                        let falls = if last == here { value < last } else { value <= last };
                        last = value;
                        falls && follower_violation(self.problem, x, &far, self.failures) <= VIOLATION
                    });
                if falling {
                    let mut lower = y.clone();
                    lower[j] += sign * (1.0 + y[j].abs());
                    return Some((variable(&self.problem.follower().blocks, j), lower));
                }
            }
        }
        None
    }

    /// A feasible y with a lower value of f, as a witness.
    pub(super) fn better(&self, than: &Checked, y: &[f64]) -> Witness {
        let (follower, x) = (self.problem.follower(), &than.candidate.x);
        let (own, lower) = (self.value(follower, x, &than.candidate.y), self.value(follower, x, y));
        Witness::Better {
            y: NamedValues::new(&follower.blocks, y),
            lower: follower.sense.apply(lower),
            by: own - lower,
            feasible: "feasible".to_string(),
            rigor: Rigor::Estimated,
        }
    }

    /// F at another answer of the follower, in the user's sense, where the bounds of phi show one that is clearly better
    /// for an optimistic leader than y: a stationary y need not be the best of S(x).
    fn better_answer(&self, best: &Checked, certificate: &Certificate) -> Option<f64> {
        let phi = certificate.phi.as_ref().filter(|_| self.options.attitude == Attitude::Optimistic)?;
        // An end that holds only for answers much worse than the best says nothing.
        let size = 1.0 + best.check.as_ref().map_or(0.0, |check| check.value.abs());
        if phi.eta + phi.eta_error > TIE * size {
            return None;
        }
        let sense = self.problem.leader().sense;
        let ends = [phi.optimistic.lower, phi.optimistic.upper].map(|end| sense.apply(end));
        let attained = ends[0].max(ends[1]);
        (attained < best.upper - BETTER * (1.0 + best.upper.abs())).then(|| sense.apply(attained))
    }

    /// Violations remain: is there any point that satisfies the constraints of both levels?
    fn violated(&self, best: &Checked) -> (Status, String) {
        let remaining = format!("constraints are violated by {:.1e} (relative)", best.violation);
        let (x, y) = self.presolved.way.enter(&best.candidate.x, &best.candidate.y);
        if jointly_feasible(&self.analysis.levels, (&x, &y), self.failures) {
            (Status::Stuck, remaining)
        } else {
            let text = "no point satisfies the constraints of both levels, the follower's optimality left aside";
            (Status::Infeasible, format!("{text}: a search from several points ended at violations; {remaining}"))
        }
    }
}

/// What is said of a follower whose objective keeps falling.
pub(super) fn no_best_answer(variable: &str) -> String {
    format!("the follower has no best answer: its objective keeps falling as {variable} goes to infinity")
}
