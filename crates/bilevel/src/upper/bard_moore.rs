//! Followers whose optimality conditions are linear: a convex quadratic objective over affine constraints. The leader's
//! problem is then, without a large constant anywhere,
//!
//! ```text
//! min F(x, ỹ)  s.t.  the affine constraints of both levels,  ∇_ỹ f(x, ỹ) = Σ a_i u_i,  u >= 0,  u_i s_i = 0
//! ```
//!
//! with a slack s_i and a multiplier u_i for every finite side of the follower's constraints. Where F is convex and
//! quadratic too, branching on the pairs (u_i = 0, or s_i = 0) over its relaxation ends at the least point of all pieces
//! [Bard & Moore, *A branch and bound algorithm for the bilevel programming problem*, SIAM J. Sci. Stat. Comput. 11 (1990)].
//! All of it is floating-point arithmetic: a way to find points, no proof of anything.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, QpSolution, QpStatus, solve_qp};
use bilevel_linalg::{Csr, vector};

use super::{Leader, joint_frame};
use crate::expr::structure::{Block, QuadraticForm, Range, Structure, VariableBounds};
use crate::lower::{Follower, Meter};
use crate::nlp::Frame;
use crate::problem::Function;

/// Larger problems are left to other methods.
const PAIRS: usize = 40;
const WIDTH: usize = 120;
/// A multiplier and a slack that are both below this, relative to 1 + the point's size, count as complementary.
const ZERO: f64 = 1e-9;
/// A piece whose bound is not better than the best point by this, relative to 1 + |F|, holds nothing of interest.
const GAIN: f64 = 1e-9;
/// Weight of ½ u² in the relaxation: opposite sides leave multipliers without bound otherwise.
const RIDGE: f64 = 1e-10;
/// A point beyond this has left for infinity.
const FAR: f64 = 1e8;
/// Points kept, best first.
const KEPT: usize = 3;

/// What the search found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// (x, ỹ), best first.
    pub points: Vec<(Vec<f64>, Vec<f64>)>,
    /// Whether every piece was looked at, as far as rounding lets one say.
    pub complete: bool,
    /// Whether F falls without end on a piece.
    pub unbounded: bool,
}

/// One side of a constraint of the follower: where its multiplier is, and what makes its slack zero.
#[derive(Clone, Copy, Debug)]
struct Pair {
    multiplier: usize,
    item: Item,
    upper: bool,
}

#[derive(Clone, Copy, Debug)]
enum Item {
    Bound(usize),
    Row(usize),
}

/// What a node decides of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Open,
    NoMultiplier,
    NoSlack,
}

/// The problem in pieces.
pub struct Pieces {
    n: usize,
    size: usize,
    hessian: Csr,
    linear: Vec<f64>,
    frame: Frame,
    pairs: Vec<Pair>,
}

impl Pieces {
    /// The pieces of a problem; `None` where they are not linear, or F is not known to be convex, or there are too many.
    pub fn new(leader: &Leader, follower: &Follower, bounds: &VariableBounds) -> Option<Self> {
        if !leader.system.functions.is_empty() || !follower.system.functions.is_empty() {
            return None;
        }
        let (n, size) = (follower.n, follower.size());
        let joint = joint_frame(leader, follower);
        let lower = convex_quadratic(&follower.objective, n, size, bounds, follower, Block::Follower)?;
        let upper = convex_quadratic(&leader.objective, n, size, bounds, follower, Block::Both)?;
        let mut build = Build { n, size, frame: joint, triplets: Vec::new(), pairs: Vec::new() };
        build.multipliers(leader, follower);
        if build.pairs.len() > PAIRS || build.frame.lower.len() > WIDTH {
            return None;
        }
        build.stationarity(&lower)?;
        let width = build.frame.lower.len();
        let mut hessian: Vec<(usize, usize, f64)> = Vec::new();
        upper.hessian.for_each(|i, j, a| hessian.push((i, j, a)));
        hessian.extend(build.pairs.iter().map(|pair| (pair.multiplier, pair.multiplier, RIDGE)));
        let mut linear = upper.linear?;
        linear.resize(width, 0.0);
        let hessian = Csr::from_triplets(width, width, &hessian)?;
        Some(Self { n, size, hessian, linear, frame: build.frame, pairs: build.pairs })
    }

    /// Searches with at most `nodes` relaxations, each counted as a lower solve.
    pub fn search(&self, nodes: usize, meter: &Meter, stop: &dyn Fn() -> bool) -> Found {
        let mut found = Found { complete: true, ..Found::default() };
        let mut best: Vec<(f64, Vec<f64>)> = Vec::new();
        let mut open = vec![vec![Side::Open; self.pairs.len()]];
        for _ in 0..nodes {
            let Some(node) = open.pop() else { break };
            if meter.is_empty() || stop() {
                found.complete = false;
                break;
            }
            meter.count_many(1);
            let Some(relaxed) = self.relaxed(&node) else { continue };
            let least = best.first().map_or(f64::INFINITY, |b| b.0);
            if relaxed.status.is_answer() && relaxed.objective >= least - GAIN * (1.0 + least.abs()) {
                continue;
            }
            match self.branch(&node, &relaxed) {
                Some((k, first)) => {
                    let second = if first == Side::NoSlack { Side::NoMultiplier } else { Side::NoSlack };
                    for side in [second, first] {
                        let mut child = node.clone();
                        child[k] = side;
                        open.push(child);
                    }
                }
                None if relaxed.status == QpStatus::Unbounded => found.unbounded = true,
                None if relaxed.status.is_answer() => {
                    let z = self.settled(&node, &relaxed);
                    best.push((self.objective(&z), z));
                    best.sort_by(|a, b| a.0.total_cmp(&b.0));
                    best.truncate(KEPT);
                }
                None => found.complete = false,
            }
        }
        found.complete &= open.is_empty();
        let split = |(_, z): (f64, Vec<f64>)| (z[..self.n].to_vec(), z[self.n..self.n + self.size].to_vec());
        found.points = best.into_iter().map(split).collect();
        found
    }

    /// The relaxation of a node; `None` where it has no point.
    fn relaxed(&self, node: &[Side]) -> Option<QpSolution> {
        let frame = &self.frame;
        let (mut lower, mut upper) = (frame.lower.clone(), frame.upper.clone());
        let (mut row_lower, mut row_upper) = (frame.row_lower.clone(), frame.row_upper.clone());
        for (pair, side) in self.pairs.iter().zip(node) {
            match (side, pair.item, pair.upper) {
                (Side::Open, _, _) => {}
                (Side::NoMultiplier, _, _) => upper[pair.multiplier] = 0.0,
                (Side::NoSlack, Item::Bound(j), true) => lower[j] = upper[j],
                (Side::NoSlack, Item::Bound(j), false) => upper[j] = lower[j],
                (Side::NoSlack, Item::Row(i), true) => row_lower[i] = row_upper[i],
                (Side::NoSlack, Item::Row(i), false) => row_upper[i] = row_lower[i],
            }
        }
        let qp = Qp {
            hessian: QpHessian::Sparse(&self.hessian),
            linear: &self.linear,
            lower: &lower,
            upper: &upper,
            rows: &frame.rows,
            row_lower: &row_lower,
            row_upper: &row_upper,
            balls: &[],
        };
        let mut found = solve_qp(&qp, &QpOptions::default()).ok()?;
        // The ridge ends what would fall without end.
        if found.status.is_answer() && vector::norm_inf(&found.z[..self.n + self.size]) > FAR {
            found.status = QpStatus::Unbounded;
        }
        (found.status != QpStatus::Infeasible).then_some(found)
    }

    /// The pair to decide next, and its more promising side: the one that is farthest from complementary. Without a
    /// point the first that is open. `None` where all pairs are complementary or decided.
    fn branch(&self, node: &[Side], relaxed: &QpSolution) -> Option<(usize, Side)> {
        if !relaxed.status.is_answer() {
            let first = node.iter().position(|side| *side == Side::Open)?;
            return Some((first, Side::NoSlack));
        }
        let zero = ZERO * (1.0 + vector::norm_inf(&relaxed.z[..self.n + self.size]));
        let open = (0..node.len()).filter(|&k| node[k] == Side::Open);
        let (k, slack, u) = open
            .map(|k| (k, self.slack(k, &relaxed.z), relaxed.z[self.pairs[k].multiplier]))
            .filter(|(_, slack, u)| slack.min(*u) > zero)
            .max_by(|a, b| (a.1 * a.2).total_cmp(&(b.1 * b.2)))?;
        Some((k, if u >= slack { Side::NoSlack } else { Side::NoMultiplier }))
    }

    /// The node's point once more with every pair decided, so that it is complementary to the last digit.
    fn settled(&self, node: &[Side], relaxed: &QpSolution) -> Vec<f64> {
        let decide = |(k, side): (usize, &Side)| match side {
            Side::Open if self.slack(k, &relaxed.z) <= relaxed.z[self.pairs[k].multiplier] => Side::NoSlack,
            Side::Open => Side::NoMultiplier,
            decided => *decided,
        };
        let decided: Vec<Side> = node.iter().enumerate().map(decide).collect();
        match self.relaxed(&decided) {
            Some(again) if again.status.is_answer() && again.objective <= relaxed.objective + 1e-7 => again.z,
            _ => relaxed.z.clone(),
        }
    }

    fn slack(&self, k: usize, z: &[f64]) -> f64 {
        let (frame, pair) = (&self.frame, self.pairs[k]);
        let (value, low, high) = match pair.item {
            Item::Bound(j) => (z[j], frame.lower[j], frame.upper[j]),
            Item::Row(i) => (frame.rows.row_dot(i, z), frame.row_lower[i], frame.row_upper[i]),
        };
        if pair.upper { high - value } else { value - low }
    }

    /// F, up to a constant.
    fn objective(&self, z: &[f64]) -> f64 {
        let mut gradient = vec![0.0; z.len()];
        self.hessian.mul_add(0.5, z, &mut gradient);
        vector::axpy(1.0, &self.linear, &mut gradient);
        let joint = self.n + self.size;
        vector::dot(&gradient[..joint], &z[..joint])
    }
}

/// A function of (x, ỹ) that is quadratic in both blocks together and convex in `block`.
fn convex_quadratic(
    function: &Function,
    n: usize,
    size: usize,
    bounds: &VariableBounds,
    follower: &Follower,
    block: Block,
) -> Option<QuadraticForm> {
    let extra: Vec<Range> =
        (bounds.follower().len()..size).map(|j| Range::new(follower.lower[j], follower.upper[j])).collect();
    let structure = Structure::new(std::slice::from_ref(function.expr()?), &bounds.extended(&extra)).ok()?;
    let root = *structure.roots().first()?;
    if !structure.curvature(root, block).is_convex() {
        return None;
    }
    let form = structure.quadratic(root, Block::Both)?;
    (form.linear.as_ref().is_some_and(|c| c.len() == n + size)).then_some(form)
}

/// Puts the frame together.
struct Build {
    n: usize,
    size: usize,
    frame: Frame,
    /// Of the multipliers in the stationarity rows: (ỹ's index, column, coefficient).
    triplets: Vec<(usize, usize, f64)>,
    pairs: Vec<Pair>,
}

impl Build {
    fn multipliers(&mut self, leader: &Leader, follower: &Follower) {
        for j in 0..self.size {
            let (low, high) = (follower.lower[j], follower.upper[j]);
            self.item(Item::Bound(self.n + j), (low, high), &[(j, 1.0)]);
        }
        let system = &follower.system;
        let first = leader.system.rows.rows();
        for i in 0..system.rows.rows() {
            let normal: Vec<(usize, f64)> =
                system.rows.row(i).filter(|&(j, _)| j >= self.n).map(|(j, a)| (j - self.n, a)).collect();
            self.item(Item::Row(first + i), (system.row_lower[i], system.row_upper[i]), &normal);
        }
    }

    /// The multipliers of one constraint: a free one for an equality, else one for each finite side.
    fn item(&mut self, item: Item, (low, high): (f64, f64), normal: &[(usize, f64)]) {
        if normal.is_empty() {
            return;
        }
        if low == high {
            self.column(normal, -1.0, f64::NEG_INFINITY);
            return;
        }
        for (limit, sign, upper) in [(low, -1.0, false), (high, 1.0, true)] {
            if limit.is_finite() {
                let multiplier = self.column(normal, sign, 0.0);
                self.pairs.push(Pair { multiplier, item, upper });
            }
        }
    }

    fn column(&mut self, normal: &[(usize, f64)], sign: f64, lower: f64) -> usize {
        let column = self.frame.lower.len();
        self.frame.lower.push(lower);
        self.frame.upper.push(f64::INFINITY);
        self.triplets.extend(normal.iter().map(|&(j, a)| (j, column, sign * a)));
        column
    }

    /// Adds the rows ∇_ỹ f + Σ ± a_i u_i = 0.
    fn stationarity(&mut self, lower: &QuadraticForm) -> Option<()> {
        let (n, size, width) = (self.n, self.size, self.frame.lower.len());
        let mut triplets = std::mem::take(&mut self.triplets);
        lower.hessian.for_each(|i, j, a| {
            if i >= n {
                triplets.push((i - n, j, a));
            }
        });
        let rows = Csr::from_triplets(size, width, &triplets)?;
        self.frame.rows = self.frame.rows.widened(width).stack(&rows).ok()?;
        let linear = &lower.linear.as_ref()?[n..n + size];
        for side in [&mut self.frame.row_lower, &mut self.frame.row_upper] {
            side.extend(linear.iter().map(|c| -c));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests;
