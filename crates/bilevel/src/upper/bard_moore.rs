//! Followers whose optimality conditions are linear: a convex quadratic objective over affine constraints. The leader's
//! problem is then, without a large constant anywhere,
//!
//! ```text
//! min F(x, ỹ)  s.t.  the affine constraints of both levels,  ∇_ỹ f(x, ỹ) = Bᵀλ + μ,  every item at its lower bound with
//!                    a multiplier >= 0, between its bounds with 0, or at its upper bound with one <= 0
//! ```
//!
//! where items are the variables ỹ, with multipliers μ, and the follower's rows, with multipliers λ. Of μ nothing has to be
//! known but its sign: it is no variable, but what bounds the row (∇_ỹ f − Bᵀλ)_j, and of a variable that may still be
//! anywhere there is no row at all. Where F is convex and quadratic too, branching on where the items stand over its
//! relaxation ends at the least point of all pieces [Bard & Moore, *A branch and bound algorithm for the bilevel
//! programming problem*, SIAM J. Sci. Stat. Comput. 11 (1990)]. All of it is floating-point arithmetic: a way to find
//! points, no proof of anything.

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, QpSolution, QpStatus, solve_qp};
use bilevel_linalg::{Csr, vector};

use super::{Leader, joint_frame};
use crate::expr::structure::{Block, QuadraticForm, Range, Structure, VariableBounds};
use crate::lower::{Follower, Meter};
use crate::nlp::Frame;
use crate::problem::Function;

/// Relaxations at most.
const NODES: usize = 300;
/// Arithmetic that a search may need, in [`Pieces::work`] of a relaxation.
const WORK: usize = 1_500_000;
/// What a relaxation costs however small it is.
const LEAST: usize = 4_000;
/// A search that may look at fewer nodes than this is not begun.
const WORTHWHILE: usize = 30;
/// A multiplier and a slack that are both below this, relative to 1 + the point's size, count as complementary.
const ZERO: f64 = 1e-9;
/// A piece whose bound is not better than the best point by this, relative to 1 + |F|, holds nothing of interest.
const GAIN: f64 = 1e-9;
/// Weight of ½ λ² in the relaxation: dependent rows leave multipliers without bound otherwise.
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

/// Where an item may stand: a set of [`LOWER`], [`FREE`] and [`UPPER`], or [`EQUAL`] alone.
type Places = u8;
/// At the lower bound, multiplier >= 0.
const LOWER: Places = 1;
/// Between the bounds, multiplier 0.
const FREE: Places = 2;
/// At the upper bound, multiplier <= 0.
const UPPER: Places = 4;
/// At both, any multiplier.
const EQUAL: Places = 8;

/// A variable of the follower or a row of it: its column or row, and where its multiplier is.
#[derive(Clone, Copy, Debug)]
enum Item {
    /// The multiplier is what the stationarity row of this number leaves.
    Variable { column: usize, stationarity: usize },
    /// The multiplier is a column.
    Row { row: usize, column: usize },
}

/// The problem in pieces.
pub struct Pieces {
    n: usize,
    size: usize,
    hessian: Csr,
    linear: Vec<f64>,
    frame: Frame,
    items: Vec<Item>,
    /// What the stationarity rows are without μ, by item: −c.
    shift: Vec<f64>,
}

impl Pieces {
    /// The pieces of a problem; `None` where they are not linear, or F is not known to be convex, or the search would not
    /// get far.
    pub fn new(leader: &Leader, follower: &Follower, bounds: &VariableBounds) -> Option<Self> {
        if !leader.system.functions.is_empty() || !follower.system.functions.is_empty() {
            return None;
        }
        let (n, size) = (follower.n, follower.size());
        let frame = joint_frame(leader, follower);
        if WORK / work(frame.lower.len() + follower.system.rows.rows()) < WORTHWHILE {
            return None;
        }
        let lower = convex_quadratic(&follower.objective, n, size, bounds, follower, Block::Follower)?;
        let upper = convex_quadratic(&leader.objective, n, size, bounds, follower, Block::Both)?;
        let mut build = Build { n, size, frame, triplets: Vec::new(), items: Vec::new(), shift: Vec::new() };
        build.rows(leader, follower);
        build.stationarity(&lower)?;
        let width = build.frame.lower.len();
        let mut hessian: Vec<(usize, usize, f64)> = Vec::new();
        upper.hessian.for_each(|i, j, a| hessian.push((i, j, a)));
        hessian.extend(build.items.iter().filter_map(|item| match item {
            Item::Row { column, .. } => Some((*column, *column, RIDGE)),
            Item::Variable { .. } => None,
        }));
        let mut linear = upper.linear?;
        linear.resize(width, 0.0);
        let hessian = Csr::from_triplets(width, width, &hessian)?;
        let Build { frame, items, shift, .. } = build;
        Some(Self { n, size, hessian, linear, frame, items, shift })
    }

    /// How many relaxations a search may make.
    pub fn nodes(&self) -> usize {
        NODES.min(WORK / work(self.frame.lower.len()))
    }

    /// Searches with at most `nodes` relaxations, each counted as a lower solve. `known` is a point (x, ỹ) on a piece, if
    /// one is known: what is not better does not matter.
    pub fn search(
        &self,
        nodes: usize,
        known: Option<(&[f64], &[f64])>,
        meter: &Meter,
        stop: &dyn Fn() -> bool,
    ) -> Found {
        let mut found = Found { complete: true, ..Found::default() };
        let mut best: Vec<(f64, Vec<f64>)> = Vec::new();
        if let Some((x, y)) = known {
            let z = [x, y].concat();
            best.push((self.objective(&z), z));
        }
        let mut open = vec![self.root()];
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
                    for places in [node[k] & !first, first] {
                        let mut child = node.clone();
                        child[k] = places;
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

    /// Every item anywhere that its bounds allow.
    fn root(&self) -> Vec<Places> {
        let places = |k| match self.range(k) {
            (low, high) if low == high => EQUAL,
            (low, high) => FREE | if low.is_finite() { LOWER } else { 0 } | if high.is_finite() { UPPER } else { 0 },
        };
        (0..self.items.len()).map(places).collect()
    }

    /// The bounds of an item.
    fn range(&self, k: usize) -> (f64, f64) {
        match self.items[k] {
            Item::Variable { column, .. } => (self.frame.lower[column], self.frame.upper[column]),
            Item::Row { row, .. } => (self.frame.row_lower[row], self.frame.row_upper[row]),
        }
    }

    /// The relaxation of a node; `None` where it has no point.
    fn relaxed(&self, node: &[Places]) -> Option<QpSolution> {
        let frame = &self.frame;
        let (mut lower, mut upper) = (frame.lower.clone(), frame.upper.clone());
        let (mut row_lower, mut row_upper) = (frame.row_lower.clone(), frame.row_upper.clone());
        for (k, &places) in node.iter().enumerate() {
            let (low, high) = self.range(k);
            let (low, high) = match places {
                LOWER => (low, low),
                UPPER => (high, high),
                _ => (low, high),
            };
            let least = if places & (UPPER | EQUAL) == 0 { 0.0 } else { f64::NEG_INFINITY };
            let most = if places & (LOWER | EQUAL) == 0 { 0.0 } else { f64::INFINITY };
            match self.items[k] {
                Item::Variable { column, stationarity } => {
                    (lower[column], upper[column]) = (low, high);
                    (row_lower[stationarity], row_upper[stationarity]) = (least + self.shift[k], most + self.shift[k]);
                }
                Item::Row { row, column } => {
                    (row_lower[row], row_upper[row]) = (low, high);
                    (lower[column], upper[column]) = (least, most);
                }
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
        let mut found = solve_qp(&qp, &QpOptions { dense_from: 0, ..QpOptions::default() }).ok()?;
        // The ridge ends what would fall without end.
        if found.status.is_answer() && vector::norm_inf(&found.z[..self.n + self.size]) > FAR {
            found.status = QpStatus::Unbounded;
        }
        (found.status != QpStatus::Infeasible).then_some(found)
    }

    /// The item to decide next, and the places of its more promising child: the item that is farthest from complementary.
    /// Without a point the first that may stand at several places. `None` where all are complementary or decided.
    fn branch(&self, node: &[Places], relaxed: &QpSolution) -> Option<(usize, Places)> {
        let open = (0..node.len()).filter(|&k| node[k].count_ones() > 1);
        if !relaxed.status.is_answer() {
            let first = open.into_iter().next()?;
            return Some((first, if node[first] & LOWER != 0 { LOWER } else { UPPER }));
        }
        let zero = ZERO * (1.0 + vector::norm_inf(&relaxed.z[..self.n + self.size]));
        let (k, (side, slack, u)) = open
            .map(|k| (k, self.pair(k, &relaxed.z)))
            .filter(|(_, (_, slack, u))| slack.min(*u) > zero)
            .max_by(|(_, a), (_, b)| (a.1 * a.2).total_cmp(&(b.1 * b.2)))?;
        Some((k, if u >= slack { side } else { node[k] & !side }))
    }

    /// The node's point once more with every item decided, so that it is complementary to the last digit.
    fn settled(&self, node: &[Places], relaxed: &QpSolution) -> Vec<f64> {
        let decide = |(k, &places): (usize, &Places)| {
            let (side, slack, u) = self.pair(k, &relaxed.z);
            match places {
                decided if decided.count_ones() == 1 => decided,
                _ if slack <= u && places & side != 0 => side,
                _ => FREE,
            }
        };
        let decided: Vec<Places> = node.iter().enumerate().map(decide).collect();
        match self.relaxed(&decided) {
            Some(again) if again.status.is_answer() && again.objective <= relaxed.objective + 1e-7 => again.z,
            _ => relaxed.z.clone(),
        }
    }

    /// The side of an item that its multiplier belongs to, the distance from there, and the multiplier's size.
    fn pair(&self, k: usize, z: &[f64]) -> (Places, f64, f64) {
        let ((low, high), frame) = (self.range(k), &self.frame);
        let (value, multiplier) = match self.items[k] {
            Item::Variable { column, stationarity } => (z[column], frame.rows.row_dot(stationarity, z) - self.shift[k]),
            Item::Row { row, column } => (frame.rows.row_dot(row, z), z[column]),
        };
        if multiplier > 0.0 { (LOWER, value - low, multiplier) } else { (UPPER, high - value, -multiplier) }
    }

    /// F, up to a constant, at a point that begins with (x, ỹ).
    fn objective(&self, z: &[f64]) -> f64 {
        let joint = self.n + self.size;
        let mut full = vec![0.0; self.linear.len()];
        full[..joint].copy_from_slice(&z[..joint]);
        let mut gradient = vec![0.0; full.len()];
        self.hessian.mul_add(0.5, &full, &mut gradient);
        vector::axpy(1.0, &self.linear, &mut gradient);
        vector::dot(&gradient, &full)
    }
}

/// What a relaxation in so many variables costs.
fn work(width: usize) -> usize {
    LEAST + width.pow(3)
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
    /// Of λ in the stationarity rows: (ỹ's index, column, coefficient).
    triplets: Vec<(usize, usize, f64)>,
    items: Vec<Item>,
    shift: Vec<f64>,
}

impl Build {
    /// The follower's rows: a multiplier for each that depends on ỹ.
    fn rows(&mut self, leader: &Leader, follower: &Follower) {
        let (rows, first) = (&follower.system.rows, leader.system.rows.rows());
        for i in 0..rows.rows() {
            let column = self.frame.lower.len();
            let before = self.triplets.len();
            let normal = rows.row(i).filter(|&(j, _)| j >= self.n).map(|(j, a)| (j - self.n, column, -a));
            self.triplets.extend(normal);
            if self.triplets.len() > before {
                self.frame.lower.push(f64::NEG_INFINITY);
                self.frame.upper.push(f64::INFINITY);
                self.items.push(Item::Row { row: first + i, column });
                self.shift.push(0.0);
            }
        }
    }

    /// Adds the rows (∇_ỹ f − Bᵀλ)_j, each with a variable.
    fn stationarity(&mut self, lower: &QuadraticForm) -> Option<()> {
        let (n, size, width) = (self.n, self.size, self.frame.lower.len());
        let mut triplets = std::mem::take(&mut self.triplets);
        lower.hessian.for_each(|i, j, a| {
            if i >= n {
                triplets.push((i - n, j, a));
            }
        });
        let rows = Csr::from_triplets(size, width, &triplets)?;
        let first = self.frame.rows.rows();
        self.frame.rows = self.frame.rows.widened(width).stack(&rows).ok()?;
        let linear = lower.linear.as_ref()?;
        self.shift.extend(linear[n..n + size].iter().map(|c| -c));
        self.items.extend((0..size).map(|j| Item::Variable { column: n + j, stationarity: first + j }));
        self.frame.row_lower.resize(first + size, f64::NEG_INFINITY);
        self.frame.row_upper.resize(first + size, f64::INFINITY);
        Some(())
    }
}

#[cfg(test)]
mod tests;
