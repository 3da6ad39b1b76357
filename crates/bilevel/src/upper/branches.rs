//! The leader's problem over x on one branch of the follower's local minimisers, where its only kinks are powers below 1:
//!
//! ```text
//! min F(x, y_S(x))   s.t.   v_S(x) <= v_T(x) for the other branches T,   x in X
//! ```
//!
//! S and T are supports; y_S(x) is the minimiser on S, v_S its value. The constraints keep the answer a global one, up to
//! ties, where the leader may choose the branch.

use bilevel_linalg::{Cholesky, Dense, vector};

use super::Leader;
use super::implicit::leader_frame;
use crate::lower::{Branch, CompositeAt, Follower, Meter, branches, follow, manifold};
use crate::nlp::{Frame, Nlp, Normals, sqp, unit};
use crate::problem::{At, Failures, FunctionEvaluator};
use crate::smooth::Smoothing;

use super::reduced::Followed;

/// Branches that are followed at most.
const FOLLOWED: usize = 4;
/// Values within this, relative to 1 + their size, tie.
const TIED: f64 = 1e-7;

/// The best points of the most promising branches from x, the one of y among them.
pub fn follow_branches<'a>(
    leader: &'a Leader,
    follower: &'a Follower,
    (x, y): (&[f64], &[f64]),
    failures: &Failures,
    meter: &Meter,
    stop: &dyn Fn() -> bool,
) -> Vec<Followed> {
    let Some(mut programme) = BranchProgramme::new(leader, follower, failures) else { return Vec::new() };
    programme.at.fix(x);
    let all = branches(&mut programme.at, &[&y[..follower.m]]);
    let mut found = Vec::new();
    for k in 0..all.len().min(FOLLOWED) {
        if stop() {
            break;
        }
        programme.own = all[k].y.clone();
        programme.others = all.iter().enumerate().filter(|(i, _)| *i != k).map(|(_, branch)| branch.clone()).collect();
        programme.frame.constraint_lower = vec![f64::NEG_INFINITY; programme.others.len()];
        programme.frame.constraint_upper = vec![0.0; programme.others.len()];
        let mut z = x.to_vec();
        z.extend(
            (x.len()..programme.frame.lower.len())
                .map(|j| programme.frame.lower[j].max(0.0).min(programme.frame.upper[j])),
        );
        let settings = sqp::Settings { max_iterations: 60, progress_tolerance: 1e-13, ..sqp::Settings::default() };
        let ended = sqp::solve_with(&mut programme, &z, &settings, Some(&mut |_| !stop()));
        let x = ended.z[..follower.n].to_vec();
        meter.count_many(programme.take_solves());
        let Some(answer) = programme.own_at(&x) else { continue };
        let residual = programme.residual(&x, &answer.y).unwrap_or(f64::INFINITY);
        found.push(Followed { x, y: answer.y, residual });
    }
    found
}

/// The residual of the branch's optimality conditions at (x, y), relative to 1 + ‖∇F‖∞; the other branches are found afresh.
pub fn branch_residual(leader: &Leader, follower: &Follower, x: &[f64], y: &[f64], failures: &Failures) -> Option<f64> {
    BranchProgramme::new(leader, follower, failures)?.residual(x, y)
}

struct BranchProgramme<'a> {
    frame: Frame,
    n: usize,
    at: CompositeAt<'a>,
    upper: FunctionEvaluator<'a>,
    auxiliary: usize,
    own: Vec<f64>,
    others: Vec<Branch>,
    solves: u64,
}

impl<'a> BranchProgramme<'a> {
    fn new(leader: &'a Leader, follower: &'a Follower, failures: &Failures) -> Option<Self> {
        let composite = follower.branches.as_deref()?;
        Some(Self {
            frame: leader_frame(leader, follower)?,
            n: follower.n,
            at: CompositeAt::new(composite),
            upper: FunctionEvaluator::new(&leader.objective, follower.n, follower.m, failures),
            auxiliary: leader.auxiliary(follower.n),
            own: vec![0.0; follower.m],
            others: Vec::new(),
            solves: 0,
        })
    }

    fn take_solves(&mut self) -> u64 {
        std::mem::take(&mut self.solves)
    }

    /// The branch's minimiser at x.
    fn own_at(&mut self, x: &[f64]) -> Option<Branch> {
        self.at.fix(x);
        self.solves += 1;
        let found = follow(&mut self.at, &self.own)?;
        if found.same_support(&self.own) {
            self.own.clone_from(&found.y);
        }
        Some(found)
    }

    fn upper_gradient(&mut self, x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let full = self.padded(y);
        let (mut by_x, mut by_y) = (vec![0.0; x.len()], vec![0.0; full.len()]);
        let at = At { x, y: &full, smoothing: Smoothing::EXACT };
        self.upper.add_gradient(at, &[1.0], Some(&mut by_x), Some(&mut by_y));
        by_y.truncate(y.len());
        (by_x, by_y)
    }

    fn padded(&self, y: &[f64]) -> Vec<f64> {
        let mut full = y.to_vec();
        full.resize(y.len() + self.auxiliary, 0.0);
        full
    }

    /// ∇ of F(x, y_S(x)) at an answer.
    fn reduced_gradient(&mut self, x: &[f64], y: &[f64]) -> Option<Vec<f64>> {
        self.at.fix(x);
        let (upper_x, upper_y) = self.upper_gradient(x, y);
        let (variables, hessian) = manifold(&mut self.at, y)?;
        let mut p: Vec<f64> = variables.iter().map(|&j| upper_y[j]).collect();
        if !p.is_empty() {
            let mut factors = Cholesky::new();
            factors.factor(&hessian, 0.0).ok()?;
            factors.solve(&mut p).ok()?;
        }
        let mut direction = vec![0.0; y.len()];
        variables.iter().zip(&p).for_each(|(&j, p)| direction[j] = *p);
        let mut mixed = vec![0.0; x.len()];
        self.at.add_mixed_product(y, &direction, &mut mixed);
        let out: Vec<f64> = upper_x.iter().zip(&mixed).map(|(f, c)| f - c).collect();
        out.iter().all(|g| g.is_finite()).then_some(out)
    }

    /// ∇v_S at an answer: ∇ₓf there.
    fn value_gradient(&mut self, x: &[f64], y: &[f64]) -> Vec<f64> {
        self.at.fix(x);
        let mut out = vec![0.0; x.len()];
        self.at.add_leader_gradient(y, &mut out);
        out
    }

    fn residual(&mut self, x: &[f64], y: &[f64]) -> Option<f64> {
        self.at.fix(x);
        let own = follow(&mut self.at, y)?;
        let gradient = self.reduced_gradient(x, &own.y)?;
        let (upper_x, upper_y) = self.upper_gradient(x, &own.y);
        let size = 1.0 + vector::norm_inf(&upper_x).max(vector::norm_inf(&upper_y));
        let n = x.len();
        if self.frame.lower.len() > n {
            return None;
        }
        let mut normals = Normals::default();
        for (j, &value) in x.iter().enumerate() {
            normals.push_range(unit(n, j), value, self.frame.lower[j], self.frame.upper[j]);
        }
        for i in 0..self.frame.rows.rows() {
            let mut normal = vec![0.0; n];
            self.frame.rows.row(i).for_each(|(j, a)| normal[j] = a);
            let value = vector::dot(&normal, x);
            normals.push_range(normal, value, self.frame.row_lower[i], self.frame.row_upper[i]);
        }
        let slope = self.value_gradient(x, &own.y);
        self.at.fix(x);
        let all = branches(&mut self.at, &[]);
        let near = own.value + TIED * (1.0 + own.value.abs());
        for other in all.iter().filter(|other| other.value <= near && !own.same_support(&other.y)) {
            let theirs = self.value_gradient(x, &other.y);
            normals.push(theirs.iter().zip(&slope).map(|(t, o)| t - o).collect(), false);
        }
        normals.distance(&gradient).map(|distance| distance / size)
    }
}

impl Nlp for BranchProgramme<'_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, z: &[f64]) -> f64 {
        let x = &z[..self.n];
        let Some(answer) = self.own_at(x) else { return f64::NAN };
        let full = self.padded(&answer.y);
        self.upper.value(At { x, y: &full, smoothing: Smoothing::EXACT })
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let (x, n) = (&z[..self.n], self.n);
        match self.own_at(x).and_then(|answer| self.reduced_gradient(x, &answer.y)) {
            Some(gradient) => out[..n].copy_from_slice(&gradient),
            None => out[..n].fill(f64::NAN),
        }
    }

    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        let x = &z[..self.n];
        let own = self.own_at(x).map_or(f64::NAN, |answer| answer.value);
        for (k, o) in out.iter_mut().enumerate() {
            self.solves += 1;
            // A branch that has ended takes nothing from the leader.
            *o = follow(&mut self.at, &self.others[k].y).map_or(-1.0, |other| own - other.value);
        }
    }

    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        out.data_mut().fill(0.0);
        let (x, n) = (&z[..self.n], self.n);
        let Some(own) = self.own_at(x) else { return };
        let slope = self.value_gradient(x, &own.y);
        for k in 0..self.others.len() {
            let Some(other) = follow(&mut self.at, &self.others[k].y) else { continue };
            let theirs = self.value_gradient(x, &other.y);
            for j in 0..n {
                out[(k, j)] = slope[j] - theirs[j];
            }
        }
    }

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}
