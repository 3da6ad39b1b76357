//! One descent from any x: mending first, then from piece to piece, with answers that the leader picks among.

use bilevel_linalg::vector::norm_inf;
use bilevel_linalg::{Csr, stop};

use super::data::{Coefficients, QuadraticFollower, QuadraticLeader};
use super::extend::Extended;
use super::perturb::{End, PERTURBATIONS, SEED};
use super::programmes::Programmes;
use super::{Descent, Ended, Piece, QuadraticProblem};
use crate::observe::{Observer, Stage};
use crate::upper::Run;

/// Rounds in which a violated constraint of the leader is mended.
const MENDING: usize = 6;
/// Answers of the follower that the leader picks among: dimensions at most.
const EXTENSIONS: usize = 40;
/// Violations of the leader's rows below this, relative, are none.
const VIOLATED: f64 = 1e-9;
/// Descents on degenerate followers with other changes, while F falls by this, relative.
const ROUNDS: u64 = 12;
/// A residual that is small enough; else the first step tried, relative to 1 + the size of x, and how many shorter ones.
const STATIONARY: f64 = 1e-6;
const REACH: f64 = 0.1;
const LENGTHS: i32 = 6;
const BETTER: f64 = 1e-7;
/// Descents on linear followers are gone on from by programmes while these have at most so many variables.
const SMALL: usize = 2_000;
/// Arithmetic between two reports of a descent.
const REPORTED: u64 = 50_000_000;

/// Where a descent ended.
pub(super) struct Found {
    /// x, the auxiliary variables of its set, and further ones.
    pub x: Vec<f64>,
    /// y.
    pub y: Vec<f64>,
    /// How the descent ended.
    pub ended: Ended,
    /// Programmes that led here.
    pub programmes: u64,
    /// Whether more touches its bounds there than holds.
    degenerate: bool,
}

impl Found {
    fn new(x: Vec<f64>, y: Vec<f64>, ended: Ended) -> Self {
        Self { x, y, ended, programmes: 0, degenerate: false }
    }
}

/// Tells the observer of descents, and whether to go on.
struct Watch<'a> {
    observer: &'a dyn Observer,
    /// F as the user knows it.
    shown: &'a dyn Fn(f64) -> f64,
    start: usize,
    /// Steps of one descent at most.
    steps: usize,
    /// Steps between two reports, and until the next one.
    every: u64,
    left: u64,
    reports: usize,
    /// Exchanges and steps of descents that ended.
    lower_solves: u64,
    upper_evaluations: u64,
}

impl Watch<'_> {
    fn run(&mut self, descent: &mut Descent<'_>) -> Ended {
        let ended = descent.run(self.steps, &mut |descent| self.look(descent));
        self.lower_solves += descent.exchanges;
        self.upper_evaluations += descent.steps;
        ended
    }

    fn look(&mut self, descent: &Descent<'_>) -> bool {
        self.left -= 1;
        if self.left == 0 {
            self.left = self.every;
            self.report(descent.value(), descent.exchanges);
        }
        self.stopped()
    }

    fn stopped(&self) -> bool {
        stop::asked() || self.observer.interrupted()
    }

    fn report(&mut self, value: f64, exchanges: u64) {
        self.observer.stage(&Stage {
            start: self.start,
            iteration: self.reports,
            step: "pieces",
            mu: 0.0,
            upper: (self.shown)(value),
            gap: 0.0,
            residual: f64::NAN,
            lower_solves: self.lower_solves + exchanges,
        });
        self.reports += 1;
    }
}

impl QuadraticProblem {
    /// The order of both levels' systems together.
    pub(super) fn order(&self) -> usize {
        self.follower.m() + self.follower.r().min(self.follower.m()) + self.n
    }

    /// The ends of descents of at most so many steps from x, the start of this number; what they took is added to `run`.
    /// `shown` gives F as the user knows it.
    pub(super) fn ends(
        &self,
        x: &[f64],
        (start, steps): (usize, usize),
        run: &mut Run,
        shown: &dyn Fn(f64) -> f64,
        observer: &dyn Observer,
    ) -> Vec<Found> {
        let every = (REPORTED / (self.order() * self.order()).max(1) as u64).max(1);
        let (reports, lower_solves, upper_evaluations) = (0, 1, 0);
        let mut watch =
            Watch { observer, shown, start, steps, every, left: every, reports, lower_solves, upper_evaluations };
        let found = self.descend(&self.start(x), &mut watch);
        found.iter().for_each(|found| watch.report(self.value(found), 0));
        run.lower_solves += watch.lower_solves;
        run.upper_evaluations += watch.upper_evaluations;
        found
    }

    /// Descents from x: on the follower as it is and, where that leads to no stationary point, with small changes.
    fn descend(&self, start: &[f64], watch: &mut Watch<'_>) -> Vec<Found> {
        if self.is_linear() {
            let found =
                self.alternate(start, &mut watch.lower_solves, &|| stop::asked() || watch.observer.interrupted());
            let found = found.map(|found| Found::new(found.x, found.y, Ended::Stationary));
            let found = found.or_else(|| self.by_programmes(start, watch));
            return found.or_else(|| self.unfinished(start, watch)).into_iter().collect();
        }
        let own = self.regular(start, watch);
        // Linear answers jump, and many rows meet in their corners: programmes go on past both, while they are small.
        if self.follower.is_flat() && self.programme_size() <= SMALL && !watch.stopped() {
            let from = own.as_ref().map_or(start, |own| &own.x[..start.len()]);
            if let Some(last) = self.by_programmes(from, watch) {
                return own.into_iter().chain([last]).collect();
            }
        }
        let ended = own.as_ref().is_some_and(|own| own.ended != Ended::Stalled && !own.degenerate);
        if ended || watch.stopped() {
            return own.or_else(|| self.unfinished(start, watch)).into_iter().collect();
        }
        let better = |a: &Found, b: &Found| self.value(a) < self.value(b) - BETTER * (1.0 + self.value(b).abs());
        let from = own.as_ref().map_or(start, |own| &own.x[..start.len()]);
        let mut other = self.degenerate(from, SEED, watch);
        // Small changes make small hollows, in which a descent may be caught: other changes make others, and a step along
        // what the multipliers leave of the gradient leads out of them.
        for round in 1..ROUNDS {
            let Some(best) = &other else { break };
            let next = self.degenerate(&best.x, SEED + round, watch).filter(|next| better(next, best));
            let next = next.or_else(|| {
                let x = self.step_out(best, watch)?;
                self.degenerate(&x, SEED + round, watch).filter(|next| better(next, best))
            });
            let Some(next) = next else { break };
            other = Some(next);
        }
        let settled = |end: &Option<Found>| end.as_ref().is_some_and(|end| end.ended != Ended::Stalled);
        let last = if settled(&other) || watch.stopped() { None } else { self.by_programmes(from, watch) };
        let mut found: Vec<Found> = own.into_iter().chain(other).chain(last).collect();
        if found.is_empty() {
            found.extend(self.unfinished(start, watch));
        }
        found
    }

    /// By programmes from piece to piece, the leader's violated rows first.
    fn by_programmes(&self, x: &[f64], watch: &mut Watch<'_>) -> Option<Found> {
        let mut x = x.to_vec();
        let mut solves = 0;
        for _ in 0..MENDING {
            solves += 1;
            let answer = self.follower.answer(&x).filter(|answer| answer.status.is_answer())?;
            let Some(mending) = self.mending(&x, &answer.y) else { break };
            let mut programmes = Programmes::new(&mending, &self.follower)?;
            let found = programmes.run(&x, &|| watch.stopped());
            solves += programmes.solves;
            x = found?.0;
        }
        let mut programmes = Programmes::new(&self.leader, &self.follower)?;
        let found = programmes.run(&x, &|| watch.stopped());
        solves += programmes.solves;
        watch.lower_solves += solves;
        let ended = if watch.stopped() { Ended::Stopped } else { Ended::Stationary };
        found.map(|(x, y)| Found { programmes: solves, ..Found::new(x, y, ended) })
    }

    /// The number of unknowns in a programme over both levels and the multipliers.
    fn programme_size(&self) -> usize {
        self.leader.lower.len() + self.follower.m() + self.follower.r()
    }

    /// A point beside one that is not stationary, with a lower F at the follower's answer.
    fn step_out(&self, best: &Found, watch: &mut Watch<'_>) -> Option<Vec<f64>> {
        let found = self.strong_stationarity(&best.x, &best.y).filter(|found| found.residual > STATIONARY)?;
        let (size, here) = (norm_inf(&found.slope), self.value(best));
        if size == 0.0 {
            return None;
        }
        let reach = REACH * (1.0 + norm_inf(&best.x));
        let (lower, upper) = (&self.leader.lower, &self.leader.upper);
        (0..LENGTHS).find_map(|k| {
            let length = reach * 0.2f64.powi(k) / size;
            let step = |(j, (x, g)): (usize, (&f64, &f64))| (x - length * g).max(lower[j]).min(upper[j]);
            let x: Vec<f64> = best.x.iter().zip(&found.slope).enumerate().map(step).collect();
            watch.lower_solves += 1;
            let y = self.follower.answer(&x).filter(|answer| answer.status.is_answer() && !watch.stopped())?.y;
            let falls = self.leader.evaluate(&[&x[..], &y].concat()).0 < here - BETTER * (1.0 + here.abs());
            (falls && self.mending(&x, &y).is_none()).then_some(x)
        })
    }

    /// F at the end of a descent; further variables of the leader have no part in it.
    pub(super) fn value(&self, found: &Found) -> f64 {
        let (x, y) = (&found.x[..self.leader.lower.len()], &found.y[..self.follower.m()]);
        self.leader.evaluate(&[x, y].concat()).0
    }

    /// Where a run had to end before it had any point: the start, with whatever answer there is.
    fn unfinished(&self, start: &[f64], watch: &Watch<'_>) -> Option<Found> {
        let y = self.follower.answer(start).filter(|answer| answer.status.is_answer() || watch.stopped())?.y;
        let inside = |(y, (l, u)): (&f64, (&f64, &f64))| y.max(*l).min(*u);
        let y = y.iter().zip(self.follower.lower.iter().zip(&self.follower.upper)).map(inside).collect();
        Some(Found::new(start.to_vec(), y, Ended::Stopped))
    }

    /// A descent on the follower as it is, with further variables of the leader where the follower has several answers.
    fn regular(&self, start: &[f64], watch: &mut Watch<'_>) -> Option<Found> {
        let piece = self.feasible_piece(&self.follower, start, watch)?;
        let here = Found::new(piece.x.clone(), piece.y.clone(), Ended::Stopped);
        let mut state = Extended::new(&self.leader, &self.follower, piece.sides, piece.x);
        loop {
            let piece = Piece::new(&state.follower, state.sides.clone(), &state.x)?;
            let Some(mut descent) = Descent::new(&state.leader, piece) else {
                return watch.stopped().then_some(here);
            };
            state.pinned.iter().for_each(|&(item, side)| descent.pin(item, side));
            let ended = watch.run(&mut descent);
            let blocked = descent.blocked.filter(|_| state.pinned.len() < EXTENSIONS && ended != Ended::Stopped);
            let degenerate = descent.touches_unguarded();
            let (sides, x, y) = (descent.piece.sides, descent.piece.x, descent.piece.y);
            let found = Found { x: x.clone(), y, ended, programmes: 0, degenerate };
            let Some((item, side)) = blocked else { return Some(found) };
            let Some(next) = (Extended { sides, x, ..state }).free(item, side) else { return Some(found) };
            state = next;
        }
    }

    /// A descent on a follower with small changes, the smaller the longer the end cannot be carried over to the true one.
    fn degenerate(&self, start: &[f64], seed: u64, watch: &mut Watch<'_>) -> Option<Found> {
        let mut last = None;
        let mut x = start.to_vec();
        for size in PERTURBATIONS {
            if watch.stopped() {
                break;
            }
            let follower = self.follower.perturbed(size, seed);
            let Some(piece) = self.feasible_piece(&follower, &x, watch) else { continue };
            let Some(mut descent) = Descent::new(&self.leader, piece) else { continue };
            let ended = watch.run(&mut descent);
            let y = descent.piece.y.clone();
            let end = End::of(descent);
            x.clone_from(&end.x);
            if ended == Ended::Stopped {
                return Some(Found::new(x, y, ended));
            }
            if let Some((x, y)) = end.settled(&self.leader, &self.follower) {
                return Some(Found::new(x, y, ended));
            }
            last = Some(ended);
        }
        let y = self.follower.answer(&x).filter(|answer| answer.status.is_answer())?.y;
        Some(Found::new(x, y, last?))
    }

    /// The piece of the follower's answer at x or, where the leader's rows are violated there, at a point nearby.
    fn feasible_piece<'a>(
        &self,
        follower: &'a QuadraticFollower,
        x: &[f64],
        watch: &mut Watch<'_>,
    ) -> Option<Piece<'a>> {
        let mut piece = follower.piece(x)?;
        for _ in 0..MENDING {
            let Some(mending) = self.mending(&piece.x, &piece.y) else { break };
            let mut descent = Descent::new(&mending, piece)?;
            watch.run(&mut descent);
            let (sides, x) = (descent.piece.sides, descent.piece.x);
            piece = Piece::new(follower, sides, &x)?;
        }
        Some(piece)
    }

    /// x within its bounds, with auxiliary variables.
    pub(super) fn start(&self, x: &[f64]) -> Vec<f64> {
        let (lower, upper) = (&self.leader.lower, &self.leader.upper);
        let mut start: Vec<f64> = x.iter().zip(lower.iter().zip(upper)).map(|(x, (l, u))| x.max(*l).min(*u)).collect();
        start.extend((x.len()..lower.len()).map(|j| lower[j].max(0.0).min(upper[j])));
        start
    }

    /// Half the squared violations of the leader's rows that are violated, to be minimised subject to the others; `None`
    /// if none is.
    fn mending(&self, x: &[f64], y: &[f64]) -> Option<QuadraticLeader> {
        let (leader, size) = (&self.leader, x.len() + y.len());
        let (mut keep, mut triplets, mut linear) = (Vec::new(), Vec::new(), vec![0.0; size]);
        for i in 0..leader.row_lower.len() {
            let value = leader.rows_x.row_dot(i, x) + leader.rows_y.row_dot(i, y);
            let target = value.max(leader.row_lower[i]).min(leader.row_upper[i]);
            if (value - target).abs() <= VIOLATED * (1.0 + target.abs()) {
                keep.push(i);
                continue;
            }
            let row: Vec<(usize, f64)> =
                leader.rows_x.row(i).chain(leader.rows_y.row(i).map(|(j, v)| (x.len() + j, v))).collect();
            for &(a, v) in &row {
                linear[a] -= target * v;
                triplets.extend(row.iter().map(|&(b, w)| (a, b, v * w)));
            }
        }
        if keep.len() == leader.row_lower.len() {
            return None;
        }
        Some(QuadraticLeader {
            hessian: Coefficients::Sparse(Csr::from_triplets(size, size, &triplets)?),
            linear,
            constant: 0.0,
            rows_x: leader.rows_x.select_rows(&keep),
            rows_y: leader.rows_y.select_rows(&keep),
            row_lower: keep.iter().map(|&i| leader.row_lower[i]).collect(),
            row_upper: keep.iter().map(|&i| leader.row_upper[i]).collect(),
            ..leader.clone()
        })
    }
}
