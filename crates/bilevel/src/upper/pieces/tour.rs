//! Where descents start: a descent ends at the stationary point of its basin, so several are made, the later ones from
//! where the best one ended.
//!
//! ```text
//! first          the user's point, or the middle of X
//! relaxation     x of min F(x, y) over the constraints of both levels, the follower's optimality left aside
//! spread         points all over X
//! neighbours     part of the way from the best point known to a point of the spread
//! ```
//!
//! The last are what iterated local search is made of (Lourenço, Martin & Stützle, "Iterated local search", 2003): basins
//! of low value lie near each other.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
use bilevel_linalg::stop;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::data::Coefficients;
use super::run::Found;
use super::{Ended, QuadraticProblem};
use crate::observe::Observer;
use crate::upper::{Candidate, Run};

/// Work of all descents for each start that is wanted, in squares of the order of the follower's system: what the first
/// leaves of it goes to further ones.
const WORK: f64 = 24_000.0;
/// What an answer from nothing costs, times the order, and what a step or an exchange costs.
const ANSWER: f64 = 5.0;
const STEP: f64 = 60.0;
/// What a programme over both levels and the multipliers costs, times the order.
const PROGRAMME: f64 = 25.0;
/// Starts that are made at most for each that is wanted, times the square of the order: one for the largest problems.
const MOST: usize = 1_000_000;
/// So many times what is wanted at most, for the smallest problems.
const CHEAP: usize = 14;
/// Steps of the first descent at most.
const STEPS: usize = 20_000;
/// One start out of so many is a point of the spread, the others lie near the best.
const AFAR: usize = 3;
/// The part of the variables in which a neighbour differs from the best, at least and at most.
const PART: (f64, f64) = (0.1, 0.4);
/// Violations of the leader's constraints below this, relative, are none.
const VIOLATED: f64 = 1e-8;
/// Ends whose values differ by less than this, relative, are one.
const SAME: f64 = 1e-9;
/// Where a descent is dear, the tour ends once so many of them have ended at the best point known: it is hardly missed then.
const SURE: usize = 4;
/// Descents on systems of a larger order are dear.
const DEAR: usize = 300;
/// Ends kept, best first.
const KEPT: usize = 6;

/// Where a descent ended.
struct End {
    x: Vec<f64>,
    y: Vec<f64>,
    /// Whether the leader's constraints are violated.
    violated: bool,
    value: f64,
}

/// Descents and what they found.
struct Tour<'a> {
    problem: &'a QuadraticProblem,
    shown: &'a dyn Fn(f64) -> f64,
    observer: &'a dyn Observer,
    ends: Vec<End>,
    made: usize,
    /// Descents that ended at the best point.
    alike: usize,
    /// In squares of the order.
    work: f64,
    run: Run,
}

impl QuadraticProblem {
    /// How many starts may be worth their work: more than wanted for the smallest problems, one for the largest.
    pub fn starts(&self, wanted: usize) -> usize {
        let most = if wanted > 1 { CHEAP * wanted } else { 1 };
        (wanted * MOST / self.order().pow(2).max(1)).clamp(1, most)
    }

    /// Descents from at most as many starts as there are points in `spread`, the first of which is the first start, within
    /// the work that `wanted` starts are worth. `shown` gives F as the user knows it.
    pub fn search(
        &self,
        spread: &[Vec<f64>],
        (wanted, seed): (usize, u64),
        shown: &dyn Fn(f64) -> f64,
        observer: &dyn Observer,
    ) -> Run {
        let (ends, run) = (Vec::new(), Run::default());
        let mut tour = Tour { problem: self, shown, observer, ends, made: 0, alike: 0, work: 0.0, run };
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let most = WORK * wanted as f64;
        for (k, point) in spread.iter().enumerate() {
            let average = tour.work / tour.made.max(1) as f64;
            if k > 0 && (stop::asked() || observer.interrupted() || tour.work + average > most) {
                break;
            }
            if tour.alike >= SURE && self.order() > DEAR {
                break;
            }
            let start = match (k, tour.ends.first()) {
                (1, _) => self.relaxed().unwrap_or_else(|| point.clone()),
                (2.., Some(best)) if k % AFAR != 0 => {
                    let part = rng.random_range(PART.0..PART.1);
                    let mut mixed = |(a, b): (&f64, &f64)| if rng.random_range(0.0..1.0) < part { *b } else { *a };
                    best.x.iter().zip(point).map(&mut mixed).collect()
                }
                _ => point.clone(),
            };
            let steps = if k == 0 { STEPS } else { ((most - tour.work) / STEP).max(0.0) as usize };
            tour.descend(&start, steps.min(STEPS));
        }
        let Tour { ends, mut run, .. } = tour;
        let candidate = |end: End| Candidate { x: end.x, y: end.y, residual: None, source: "pieces" };
        run.candidates = ends.into_iter().map(candidate).collect();
        run
    }

    /// x of the least F over the constraints of both levels, where a programme finds it.
    fn relaxed(&self) -> Option<Vec<f64>> {
        let (leader, follower) = (&self.leader, &self.follower);
        let mut triplets = Vec::new();
        let n = leader.lower.len();
        for (first, x, y) in
            [(0, &leader.rows_x, &leader.rows_y), (leader.row_lower.len(), &follower.rows_x, &follower.rows_y)]
        {
            for i in 0..x.rows() {
                triplets.extend(x.row(i).map(|(j, v)| (first + i, j, v)));
                triplets.extend(y.row(i).map(|(j, v)| (first + i, n + j, v)));
            }
        }
        let rows =
            bilevel_linalg::Csr::from_triplets(leader.row_lower.len() + follower.r(), n + follower.m(), &triplets)?;
        let join = |a: &[f64], b: &[f64]| [a, b].concat();
        let qp = Qp {
            hessian: match &leader.hessian {
                Coefficients::Dense(h) => QpHessian::Dense(h),
                Coefficients::Sparse(h) if h.stored() == 0 => QpHessian::Zero,
                Coefficients::Sparse(h) => QpHessian::Sparse(h),
            },
            linear: &leader.linear,
            lower: &join(&leader.lower, &follower.lower),
            upper: &join(&leader.upper, &follower.upper),
            rows: &rows,
            row_lower: &join(&leader.row_lower, &follower.row_lower),
            row_upper: &join(&leader.row_upper, &follower.row_upper),
            balls: &[],
        };
        let options = QpOptions { polish: false, tolerance: 1e-6, dense_from: 0, ..QpOptions::default() };
        let found = solve_qp(&qp, &options).ok().filter(|found| found.status.is_answer())?;
        Some(found.z[..n].to_vec())
    }

    /// Whether the leader's constraints are violated.
    fn violates(&self, x: &[f64], y: &[f64]) -> bool {
        let leader = &self.leader;
        let outside = |value: f64, low: f64, high: f64| {
            let by = (low - value).max(value - high);
            by.is_nan() || by > VIOLATED * (1.0 + value.abs())
        };
        let (x, y) = (&x[..leader.lower.len()], &y[..self.follower.m()]);
        let rows = (0..leader.row_lower.len()).any(|i| {
            let value = leader.rows_x.row_dot(i, x) + leader.rows_y.row_dot(i, y);
            outside(value, leader.row_lower[i], leader.row_upper[i])
        });
        rows || (0..self.n).any(|j| outside(x[j], leader.lower[j], leader.upper[j]))
    }
}

impl Tour<'_> {
    /// A descent from x of at most so many steps.
    fn descend(&mut self, x: &[f64], steps: usize) {
        let problem = self.problem;
        let before = self.run.lower_solves + self.run.upper_evaluations;
        let found = problem.ends(x, (self.made, steps), &mut self.run, self.shown, self.observer);
        let moves = self.run.lower_solves + self.run.upper_evaluations - before;
        self.work += ANSWER * problem.order() as f64 + STEP * moves as f64;
        self.made += 1;
        let best = self.ends.first().map(|end| (end.violated, end.value));
        let values: Vec<f64> = found.iter().map(|end| problem.value(end)).collect();
        for end in found {
            self.work += PROGRAMME * problem.order() as f64 * end.programmes as f64;
            self.run.unbounded |= end.ended == Ended::Unbounded;
            self.keep(&end);
        }
        let Some(now) = self.ends.first() else { return };
        let same = |value: f64| (now.value - value).abs() <= SAME * (1.0 + value.abs());
        if best.is_none_or(|(violated, value)| violated != now.violated || !same(value)) {
            self.alike = 1;
        } else if values.into_iter().any(same) {
            self.alike += 1;
        }
    }

    /// Keeps an end that is among the best.
    fn keep(&mut self, end: &Found) {
        let problem = self.problem;
        let value = problem.value(end);
        let violated = problem.violates(&end.x, &end.y);
        let again = |end: &End| (end.value - value).abs() <= SAME * (1.0 + value.abs());
        if self.ends.iter().any(|end| end.violated == violated && again(end)) {
            return;
        }
        let (x, y) = (end.x[..problem.n].to_vec(), end.y[..problem.y].to_vec());
        self.ends.push(End { x, y, violated, value });
        self.ends.sort_by(|a, b| a.violated.cmp(&b.violated).then(a.value.total_cmp(&b.value)));
        self.ends.truncate(KEPT);
    }
}
