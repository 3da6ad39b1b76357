//! A follower that is not convex, followed on one of its basins: from the best answer at x, F(x, y(x)) is minimised over x
//! with y(x) the local minimiser that continues it ([`implicit`]). Where the basin is still the follower's best at the end,
//! that is an answer; where another one has become better on the way, the answer of the basin lies where the two tie, and
//! the polish goes on from there.

use super::{Models, Purpose, SmoothedValue};
use crate::lower::{Follower, LowerSolution, LowerSolver, LowerStatus, Regulariser};
use crate::observe::Observer;
use crate::upper::{Candidate, Leader, Run, implicit};

/// How a basin ended.
pub(super) enum Basin {
    /// Its minimiser over x, where it is the follower's best: the residual of the optimality system there.
    Minimiser(f64),
    /// The last point found at which it is the follower's best.
    Edge(Vec<f64>, LowerSolution),
    /// Nothing could be followed.
    Nothing,
}

/// A local minimiser is the best one while it is not worse by this, relative to 1 + |v|.
const BEST: f64 = 1e-9;
/// Halvings on the way back to where a basin is the best.
const HALVINGS: usize = 30;

impl<'a> SmoothedValue<'a> {
    /// Follows the basin of the best answer at x; candidates go into `run`.
    pub(super) fn follow_basin(
        &self,
        (leader, follower): (&'a Leader, &'a Follower),
        (x, y): (&[f64], &[f64]),
        models: &Models<'_, 'a>,
        observer: &dyn Observer,
        run: &mut Run,
    ) -> Basin {
        let m = self.problem.m();
        let smoothing = self.levels.multiplied(self.family).2;
        let mut least = models(follower, Purpose::Polish);
        least.begin_stage(smoothing.mu(), y);
        least.suggest(y);
        let Ok(best) = least.evaluate(x) else { return Basin::Nothing };
        let y = best.y;
        run.candidates.push(Candidate { x: x.to_vec(), y: y.clone(), residual: None, source: "answer" });
        let mut solver = LowerSolver::new(follower, &self.failures, &self.meter);
        let stop = || self.must_stop(observer);
        let from = follower.extend(x, &y);
        let Some((end, answer)) = implicit(leader, follower, (x, &from), smoothing, &self.failures, &self.meter, &stop)
        else {
            return Basin::Nothing;
        };
        let mut at = |x: &[f64], y: &[f64]| -> Option<(LowerSolution, bool)> {
            let own = solver.solve(x, y, smoothing, &Regulariser::default());
            least.suggest(&own.y);
            let v = least.evaluate(x).ok()?.value;
            (own.status == LowerStatus::Solved).then(|| {
                let best = own.value <= v + BEST * (1.0 + v.abs());
                (own, best)
            })
        };
        match at(&end, &answer) {
            Some((own, true)) => {
                let residual = self.residual((leader, follower), &end, &own.y, &mut solver).unwrap_or(f64::INFINITY);
                let y = own.y[..m].to_vec();
                run.candidates.push(Candidate { x: end, y, residual: Some(residual), source: "implicit" });
                Basin::Minimiser(residual)
            }
            Some((_, false)) => {
                // Between x, where the basin is the best, and the end, where it is not.
                let (mut low, mut high) = (0.0, 1.0);
                let mut edge = None;
                let mut warm = from;
                for _ in 0..HALVINGS {
                    let middle = 0.5 * (low + high);
                    let point: Vec<f64> = x.iter().zip(&end).map(|(a, b)| a + middle * (b - a)).collect();
                    match at(&point, &warm) {
                        Some((own, true)) => {
                            low = middle;
                            warm.clone_from(&own.y);
                            edge = Some((point, own));
                        }
                        _ => high = middle,
                    }
                }
                let Some((x, own)) = edge else { return Basin::Nothing };
                let y = own.y[..m].to_vec();
                run.candidates.push(Candidate { x: x.clone(), y, residual: None, source: "answer" });
                Basin::Edge(x, own)
            }
            None => Basin::Nothing,
        }
    }
}
