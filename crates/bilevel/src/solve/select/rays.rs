//! Does the leader's objective fall along a ray that leaves for infinity? Without end, and the problem is unbounded; towards a
//! value that it does not reach, and its infimum is not attained.

use bilevel_linalg::vector;

use super::{Checked, Chooser, VIOLATION};
use crate::certificate::violation;
use crate::set::ConvexSet;
use crate::upper::Run;

/// A point of this size lies on the way to infinity, or has lost its digits.
const OUT: f64 = 1e8;
/// A point of this size, in units in which variables are of the size of 1, may be on the way to infinity.
const AWAY: f64 = 1e4;
/// Steps beyond it at which F has to be smaller each time, and by how much, relative to 1 + |F|.
const BEYOND: usize = 3;
const FALLS: f64 = 1e-12;

impl Chooser<'_> {
    /// Whether F keeps falling over bilevel-feasible points along the ray from another start's point through the best one:
    /// at 10, 100, ... 10^6 times the distance, each time by more than before. From a best point so far out that its
    /// digits are gone, the ray is walked from the other end.
    pub(super) fn leader_falls_along_a_ray(&self, best: &Checked, runs: &[Run]) -> Option<String> {
        let (problem, x) = (self.problem, &best.candidate.x);
        let seen = runs.iter().flat_map(|run| &run.candidates).map(|c| self.presolved.way.leave(&c.x, &c.y));
        let far =
            |other: &(Vec<f64>, Vec<f64>)| other.0.iter().zip(x).any(|(a, b)| (a - b).abs() > 1e-3 * (1.0 + b.abs()));
        let mut seen = seen.filter(far);
        let (mut base, mut answer, mut last) = (x.clone(), best.candidate.y.clone(), best.upper);
        let mut direction: Vec<f64>;
        if vector::norm_inf(x) > OUT {
            (base, answer) = seen.min_by(|a, b| vector::norm_inf(&a.0).total_cmp(&vector::norm_inf(&b.0)))?;
            answer = self.settled(&base, &answer);
            last = self.value(problem.leader(), &base, &answer);
            let length = vector::norm_inf(x) / (1.0 + vector::norm_inf(&base));
            direction = x.iter().zip(&base).map(|(b, a)| (b - a) / length).collect();
        } else {
            let from = seen.next()?.0;
            direction = x.iter().zip(&from).map(|(b, a)| b - a).collect();
        }
        let (mut drop, mut size) = (0.0, 0.0);
        for _ in 1..=6 {
            vector::scale(10.0, &mut direction);
            let target: Vec<f64> = base.iter().zip(&direction).map(|(b, d)| b + d).collect();
            let mut point = target.clone();
            problem.leader().set.project(&target, &mut point);
            let y = self.settled(&point, &answer);
            let upper = self.value(problem.leader(), &point, &y);
            let fine = violation(problem, &point, &y, self.failures) <= VIOLATION;
            let falling = last - upper > drop;
            if !fine || !falling {
                return None;
            }
            (drop, last) = (last - upper, upper);
            size = vector::norm_inf(&point);
        }
        let shown = problem.leader().sense.apply(last);
        Some(format!("the leader's objective falls without end along a ray: {shown:.3e} at an x of size {size:.1e}"))
    }

    /// The value, in the user's sense, that F falls towards on the ray from the candidate nearest to 0 through the best point,
    /// where that is far out: F has to be smaller at 10, 100 and 1000 times the distance.
    pub(super) fn leader_levels_off(&self, best: &Checked, runs: &[Run]) -> Option<f64> {
        let (problem, way) = (self.problem, &self.presolved.way);
        let x = &best.candidate.x;
        if vector::norm_inf(&way.enter(x, &best.candidate.y).0) < AWAY {
            return None;
        }
        let seen = runs.iter().flat_map(|run| &run.candidates).map(|c| way.leave(&c.x, &c.y).0);
        let base = seen.min_by(|a, b| vector::norm_inf(a).total_cmp(&vector::norm_inf(b)))?;
        let mut direction: Vec<f64> = x.iter().zip(&base).map(|(b, a)| b - a).collect();
        let mut last = best.upper;
        for _ in 0..BEYOND {
            vector::scale(10.0, &mut direction);
            let target: Vec<f64> = base.iter().zip(&direction).map(|(b, d)| b + d).collect();
            let mut point = target.clone();
            problem.leader().set.project(&target, &mut point);
            let y = self.settled(&point, &best.candidate.y);
            let upper = self.value(problem.leader(), &point, &y);
            let falls = last - upper > FALLS * (1.0 + last.abs());
            if !falls || violation(problem, &point, &y, self.failures) > VIOLATION {
                return None;
            }
            last = upper;
        }
        Some(problem.leader().sense.apply(last))
    }
}
