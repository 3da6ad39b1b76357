//! One descent: mending first, then from piece to piece, with answers that the leader picks among.

use bilevel_linalg::Csr;

use super::data::{Coefficients, QuadraticLeader};
use super::extend::Extended;
use super::programmes::Programmes;
use super::{Descent, Ended, Piece, QuadraticProblem};
use crate::observe::Observer;
use crate::upper::Run;

/// Rounds in which a violated constraint of the leader is mended.
const MENDING: usize = 6;
/// Answers of the follower that the leader picks among: dimensions at most.
const EXTENSIONS: usize = 40;
/// Violations of the leader's rows below this, relative, are none.
const VIOLATED: f64 = 1e-9;

impl QuadraticProblem {
    /// A descent from x of at most so many steps: its end, with y.
    pub(super) fn descend(
        &self,
        x: &[f64],
        steps: usize,
        run: &mut Run,
        observer: &dyn Observer,
    ) -> Option<(Vec<f64>, Vec<f64>, Ended)> {
        let start = self.start(x);
        if self.is_linear() {
            let found = self.alternate(&start, &mut run.lower_solves, &|| observer.interrupted())?;
            return Some((found.x, found.y, Ended::Stationary));
        }
        self.along_pieces(&start, steps, run, observer).or_else(|| {
            let (x, y) = self.by_programmes(&start, run, observer)?;
            Some((x, y, Ended::Stationary))
        })
    }

    /// From piece to piece along the follower's answer; `None` where its system is singular on one.
    fn along_pieces(
        &self,
        x: &[f64],
        steps: usize,
        run: &mut Run,
        observer: &dyn Observer,
    ) -> Option<(Vec<f64>, Vec<f64>, Ended)> {
        let mut piece = self.follower.piece(x)?;
        for _ in 0..MENDING {
            let Some(mending) = self.mending(&piece.x, &piece.y) else { break };
            let mut descent = Descent::new(&mending, piece)?;
            descent.run(steps, &mut || observer.interrupted());
            run.lower_solves += descent.exchanges;
            let (sides, x) = (descent.piece.sides, descent.piece.x);
            piece = Piece::new(&self.follower, sides, &x)?;
        }
        let mut state = Extended::new(&self.leader, &self.follower, piece.sides, piece.x);
        loop {
            let piece = Piece::new(&state.follower, state.sides.clone(), &state.x)?;
            let mut descent = Descent::new(&state.leader, piece)?;
            state.pinned.iter().for_each(|&(item, side)| descent.pin(item, side));
            let ended = descent.run(steps, &mut || observer.interrupted());
            run.lower_solves += descent.exchanges;
            run.upper_evaluations += descent.steps;
            let blocked = descent.blocked.filter(|_| state.pinned.len() < EXTENSIONS);
            let (sides, x, y) = (descent.piece.sides, descent.piece.x, descent.piece.y);
            let Some((item, side)) = blocked else { return Some((x, y, ended)) };
            state = Extended { sides, x, ..state }.free(item, side)?;
        }
    }

    /// From piece to piece by programmes, the leader's violated rows first.
    fn by_programmes(&self, x: &[f64], run: &mut Run, observer: &dyn Observer) -> Option<(Vec<f64>, Vec<f64>)> {
        let stop = || observer.interrupted();
        let mut x = x.to_vec();
        for _ in 0..MENDING {
            let answer = self.follower.answer(&x).filter(|answer| answer.status.is_answer())?;
            run.lower_solves += 1;
            let Some(mending) = self.mending(&x, &answer.y) else { break };
            let mut programmes = Programmes::new(&mending, &self.follower)?;
            let found = programmes.run(&x, &stop);
            run.lower_solves += programmes.solves;
            x = found?.0;
        }
        let mut programmes = Programmes::new(&self.leader, &self.follower)?;
        let found = programmes.run(&x, &stop);
        run.lower_solves += programmes.solves;
        found
    }

    /// x within its bounds, with auxiliary variables.
    fn start(&self, x: &[f64]) -> Vec<f64> {
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
