//! What a problem says twice, or in a roundabout way: bounds written as constraints, rows that others imply, and opposite
//! inequalities that are one equality. Everything stays within its level, and the variables stay: no answer is lost, and
//! none is gained.
//!
//! ```text
//! a z_j + b <= 0                        a bound of z_j, where z_j belongs to the level
//! c <= 0                                nothing, where it holds
//! a·z + b <= 0,  k (a·z + b') <= 0      the stricter of the two, k > 0
//! e <= 0,  −k e <= 0                    e = 0
//! max over the bounds of a·z + b <= 0   nothing
//! ```
//!
//! after Brearley, Mitra & Williams (1975). Whether two nonlinear functions are opposite is decided at random points; as
//! every answer is checked with the user's own constraints, a wrong guess costs a search and nothing else.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::expr::Level;
use crate::expr::structure::{AffineRows, Structure, VariableBounds};
use crate::problem::{At, Constraint, Failures, FunctionEvaluator, Problem, Relation, Side};
use crate::set::{Bounds, ConvexSet, Product, Set};
use crate::smooth::Smoothing;

/// Coefficients that differ by this, relative to the row's largest, are equal: rows may be multiplied with rounding.
const EQUAL: f64 = 1e-12;
/// Points at which nonlinear functions are compared, and how well they have to agree.
const POINTS: usize = 6;
const AGREE: f64 = 1e-11;
/// Constraints of a level beyond which nonlinear ones are not compared, pair by pair.
const MANY: usize = 100;
/// Seed of the points.
const SEED: u64 = 0x0dd;

/// The problem with less to say; `None` where there is nothing to leave out.
pub fn reduced(problem: &Problem) -> Option<Problem> {
    let leader = Reduction::new(problem, Level::Leader).side();
    // The leader's new bounds hold for whatever the follower is asked.
    let first = leader.map(|side| problem.with_sides(side, problem.follower().clone(), start(problem)));
    let before = first.as_ref().unwrap_or(problem);
    let follower = Reduction::new(before, Level::Follower).side();
    match follower {
        Some(side) => Some(before.with_sides(before.leader().clone(), side, start(problem))),
        None => first,
    }
}

fn start(problem: &Problem) -> Option<(Vec<f64>, Vec<f64>)> {
    problem.start().map(|(x, y)| (x.to_vec(), y.to_vec()))
}

/// One component of a constraint as `entries · (x, y) + constant <= 0` (or `= 0`).
#[derive(Clone, Debug)]
struct Row {
    entries: Vec<(usize, f64)>,
    constant: f64,
    /// The largest coefficient's size.
    size: f64,
}

impl Row {
    fn all(rows: &AffineRows, n: usize) -> Vec<Row> {
        let of = |(i, &constant): (usize, &f64)| {
            let mut entries: Vec<(usize, f64)> = rows.leader.row(i).filter(|e| e.1 != 0.0).collect();
            entries.extend(rows.follower.row(i).filter(|e| e.1 != 0.0).map(|(j, a)| (n + j, a)));
            let size = entries.iter().fold(0.0, |m: f64, e| m.max(e.1.abs()));
            Row { entries, constant, size }
        };
        rows.constant.iter().enumerate().map(of).collect()
    }

    /// The k with `other = k self` in all coefficients.
    fn factor(&self, other: &Row) -> Option<f64> {
        let (&(_, a), &(_, b)) = (self.entries.first()?, other.entries.first()?);
        let k = b / a;
        let same = |(own, theirs): (&(usize, f64), &(usize, f64))| {
            own.0 == theirs.0 && (k * own.1 - theirs.1).abs() <= EQUAL * other.size
        };
        (self.entries.len() == other.entries.len() && self.entries.iter().zip(&other.entries).all(same)).then_some(k)
    }

    /// The largest value over a box.
    fn most(&self, lower: &[f64], upper: &[f64]) -> f64 {
        let term = |&(j, a): &(usize, f64)| if a > 0.0 { a * upper[j] } else { a * lower[j] };
        self.constant + self.entries.iter().map(term).sum::<f64>()
    }
}

/// The work on one level.
struct Reduction<'a> {
    problem: &'a Problem,
    side: &'a Side,
    /// First column of the level's own variables in (x, y).
    offset: usize,
    /// Bounds of (x, y).
    lower: Vec<f64>,
    upper: Vec<f64>,
    /// Which of the level's own variables may get other bounds.
    open: Vec<bool>,
    /// The rows of each constraint that is affine.
    rows: Vec<Option<Vec<Row>>>,
    keep: Vec<bool>,
    relation: Vec<Relation>,
}

impl<'a> Reduction<'a> {
    fn new(problem: &'a Problem, level: Level) -> Self {
        let n = problem.n();
        let (side, offset) = if level == Level::Leader { (problem.leader(), 0) } else { (problem.follower(), n) };
        let bounds = problem.variable_bounds();
        let both = || bounds.leader().iter().chain(bounds.follower());
        let unbounded = VariableBounds::unbounded(n, problem.m());
        let rows = |constraint: &Constraint| {
            let structure = Structure::new(std::slice::from_ref(constraint.function.expr()?), &unbounded).ok()?;
            Some(Row::all(&structure.affine_rows(*structure.roots().first()?)?, n))
        };
        Self {
            problem,
            side,
            offset,
            lower: both().map(|range| range.lower()).collect(),
            upper: both().map(|range| range.upper()).collect(),
            open: open(&side.set),
            rows: side.constraints.iter().map(rows).collect(),
            keep: vec![true; side.constraints.len()],
            relation: side.constraints.iter().map(|c| c.relation).collect(),
        }
    }

    /// The level with what is left; `None` if that is everything.
    fn side(mut self) -> Option<Side> {
        self.take_bounds();
        self.compare_rows();
        self.compare_functions();
        self.drop_implied();
        let same = self.keep.iter().all(|&keep| keep)
            && self.relation.iter().zip(&self.side.constraints).all(|(r, c)| *r == c.relation);
        if same {
            return None;
        }
        let left = self.side.constraints.iter().zip(&self.relation).zip(&self.keep).filter(|(_, keep)| **keep);
        let constraints = left.map(|((c, &relation), _)| Constraint { relation, ..c.clone() }).collect();
        let own = self.offset..self.offset + self.side.dimension();
        let set = narrowed(&self.side.set, &self.lower[own.clone()], &self.upper[own])?;
        Some(Side { set, constraints, ..self.side.clone() })
    }

    fn is_equality(&self, c: usize) -> bool {
        self.relation[c] == Relation::Equal
    }

    /// Rows in one variable of the level, and rows without any.
    fn take_bounds(&mut self) {
        for c in 0..self.rows.len() {
            let Some(rows) = self.rows[c].clone() else { continue };
            let mut done = true;
            for row in &rows {
                done &= match row.entries[..] {
                    [] => {
                        if self.is_equality(c) {
                            row.constant == 0.0
                        } else {
                            row.constant <= 0.0
                        }
                    }
                    [(column, a)] => self.take_bound(column, -row.constant / a, (a > 0.0, self.is_equality(c))),
                    _ => false,
                };
            }
            self.keep[c] &= !done;
        }
    }

    /// Narrows a variable's bounds; false where that is not possible, or would leave no point.
    fn take_bound(&mut self, column: usize, end: f64, (above, equality): (bool, bool)) -> bool {
        let own = column.checked_sub(self.offset).and_then(|j| self.open.get(j)).is_some_and(|&open| open);
        if !own || !end.is_finite() {
            return false;
        }
        let lower = if equality || !above { self.lower[column].max(end) } else { self.lower[column] };
        let upper = if equality || above { self.upper[column].min(end) } else { self.upper[column] };
        if lower > upper {
            return false;
        }
        (self.lower[column], self.upper[column]) = (lower, upper);
        true
    }

    /// Rows that are multiples of each other.
    fn compare_rows(&mut self) {
        let single = |rows: &Option<Vec<Row>>| match rows.as_deref() {
            Some([row]) if !row.entries.is_empty() => Some(row.clone()),
            _ => None,
        };
        let rows: Vec<Option<Row>> = self.rows.iter().map(single).collect();
        let mut order: Vec<usize> = (0..rows.len()).filter(|&c| rows[c].is_some() && self.keep[c]).collect();
        // Rows with the same variables stand next to each other.
        let columns = |c: usize| rows[c].as_ref().map(|row| row.entries.iter().map(|e| e.0).collect::<Vec<_>>());
        order.sort_by_key(|&c| columns(c));
        for (k, &first) in order.iter().enumerate() {
            for &second in order[k + 1..].iter().take_while(|&&second| columns(second) == columns(first)) {
                if let (Some(a), Some(b)) = (&rows[first], &rows[second])
                    && self.keep[first]
                    && self.keep[second]
                    && let Some(factor) = a.factor(b)
                {
                    // second: factor (a·z) + b.constant <= 0.
                    self.join((first, a.constant), (second, b.constant / factor), factor > 0.0, EQUAL * a.size);
                }
            }
        }
    }

    /// Two constraints `e + p <= 0` and `±(e + q) <= 0`, or equalities.
    fn join(&mut self, (first, p): (usize, f64), (second, q): (usize, f64), same_side: bool, near: f64) {
        let equal = (p - q).abs() <= near.max(EQUAL * p.abs());
        match (self.is_equality(first), self.is_equality(second), same_side) {
            (false, false, true) => self.keep[if p >= q { second } else { first }] = false,
            (false, false, false) if equal => {
                self.relation[first] = Relation::Equal;
                self.keep[second] = false;
            }
            (true, _, _) if equal => self.keep[second] = false,
            (_, true, _) if equal => self.keep[first] = false,
            _ => {}
        }
    }

    /// Nonlinear functions that are multiples of each other at random points.
    fn compare_functions(&mut self) {
        let scalar = |&c: &usize| self.rows[c].is_none() && self.side.constraints[c].len() == 1;
        let chosen: Vec<usize> = (0..self.rows.len()).filter(scalar).collect();
        if chosen.len() < 2 || chosen.len() > MANY {
            return;
        }
        let values: Vec<Vec<f64>> = chosen.iter().map(|&c| self.values(c)).collect();
        for (k, &first) in chosen.iter().enumerate() {
            for (l, &second) in chosen.iter().enumerate().skip(k + 1) {
                if self.keep[first]
                    && self.keep[second]
                    && let Some(factor) = ratio(&values[k], &values[l])
                {
                    self.join((first, 0.0), (second, 0.0), factor > 0.0, 0.0);
                }
            }
        }
    }

    /// A constraint's values at points of the bounds, around the start where there are none.
    fn values(&self, c: usize) -> Vec<f64> {
        let (n, m) = (self.problem.n(), self.problem.m());
        let failures = Failures::default();
        let mut function = FunctionEvaluator::new(&self.side.constraints[c].function, n, m, &failures);
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let start: Vec<f64> =
            self.problem.start().map_or(vec![0.0; n + m], |(x, y)| x.iter().chain(y).copied().collect());
        let mut value = || {
            let entry = |j: usize| {
                let (share, radius) = (rng.random_range(0.0..1.0), 1.0 + start[j].abs());
                let centre = start[j].clamp(self.lower[j], self.upper[j]);
                let (low, high) = (self.lower[j].max(centre - radius), self.upper[j].min(centre + radius));
                low + share * (high - low)
            };
            let point: Vec<f64> = (0..n + m).map(entry).collect();
            function.value(At { x: &point[..n], y: &point[n..], smoothing: Smoothing::EXACT })
        };
        (0..POINTS).map(|_| value()).collect()
    }

    /// Rows that the bounds imply.
    fn drop_implied(&mut self) {
        for c in 0..self.rows.len() {
            let Some(rows) = &self.rows[c] else { continue };
            let implied = |row: &Row| row.most(&self.lower, &self.upper) <= 0.0;
            if self.keep[c] && !self.is_equality(c) && rows.iter().all(implied) {
                self.keep[c] = false;
            }
        }
    }
}

/// The k with `b = k a` at all points.
fn ratio(a: &[f64], b: &[f64]) -> Option<f64> {
    let (&u, &v) = a.iter().zip(b).max_by(|p, q| p.0.abs().total_cmp(&q.0.abs()))?;
    let k = v / u;
    let size = a.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    let same = |(u, v): (&f64, &f64)| (k * u - v).abs() <= AGREE * k.abs() * size;
    (k.is_finite() && k != 0.0 && a.iter().zip(b).all(same)).then_some(k)
}

/// Which variables of a set have no more than bounds.
fn open(set: &Set) -> Vec<bool> {
    match set {
        Set::Product(product) => product.factors().iter().flat_map(open).collect(),
        _ => vec![matches!(set, Set::Whole(_) | Set::Orthant(_) | Set::Bounds(_)); set.ambient_dimension()],
    }
}

/// The set with other bounds where it has no more than bounds.
fn narrowed(set: &Set, lower: &[f64], upper: &[f64]) -> Option<Set> {
    match set {
        Set::Product(product) => {
            let (mut factors, mut first) = (Vec::with_capacity(product.factors().len()), 0);
            for factor in product.factors() {
                let range = first..first + factor.ambient_dimension();
                first = range.end;
                factors.push(narrowed(factor, &lower[range.clone()], &upper[range])?);
            }
            Some(Product::new(factors).into())
        }
        Set::Whole(_) if lower.iter().chain(upper).all(|b| b.is_infinite()) => Some(set.clone()),
        Set::Whole(_) | Set::Orthant(_) | Set::Bounds(_) => {
            Some(Bounds::from_vectors(lower.to_vec(), upper.to_vec()).ok()?.into())
        }
        _ => Some(set.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::{Expr, Model};
    use crate::set::Simplex;

    /// A model with x in R², y in R² and these follower constraints; its reduced follower.
    fn follower(rows: impl Fn(&Expr, &Expr) -> Vec<crate::problem::Comparison>) -> Option<Side> {
        let mut model = Model::new();
        let x = model.leader("x", 2).within(Bounds::new(0.0, 1.0).unwrap()).unwrap();
        let y = model.follower("y", 2).free().unwrap();
        model.upper(x.sum()).lower(y.norm2sq());
        for row in rows(&x, &y) {
            model.lower_subject_to(row);
        }
        reduced(&model.build().unwrap()).map(|problem| problem.follower().clone())
    }

    fn box_of(side: &Side) -> (Vec<f64>, Vec<f64>) {
        let d = side.dimension();
        let (mut lower, mut upper) = (vec![f64::NEG_INFINITY; d], vec![f64::INFINITY; d]);
        side.set.bounding_box(&mut lower, &mut upper);
        (lower, upper)
    }

    #[test]
    fn bounds_written_as_constraints() {
        let side = follower(|_, y| vec![(y.index(0) * 2e-4).at_most(6e-4), y.at_least(-1.0)]).unwrap();
        assert!(side.constraints.is_empty());
        assert_eq!(box_of(&side), (vec![-1.0, -1.0], vec![6e-4 / 2e-4, f64::INFINITY]));
    }

    #[test]
    fn rows_of_the_other_level_or_without_a_point_stay() {
        assert!(follower(|x, _| vec![x.index(0).at_most(0.5)]).is_none());
        let side = follower(|_, y| vec![y.index(0).at_most(0.0), y.index(0).at_least(1.0)]).unwrap();
        assert_eq!(side.constraints.len(), 1);
    }

    #[test]
    fn opposite_rows_and_functions_are_equalities() {
        let rows = |x: &Expr, y: &Expr| {
            let linear = y.index(0) * 0.3 + x.index(1) - 0.7;
            let curved = y.index(0).square() + y.index(1).exp() - 2.0;
            vec![
                (&linear * 3e-4).at_most(0.0),
                (&linear * -7e3).at_most(0.0),
                (&curved * 2e3).at_least(0.0),
                (&curved * -1e-3).at_least(0.0),
                (&curved + 1.0).at_most(3.0),
            ]
        };
        let side = follower(rows).unwrap();
        let kinds: Vec<bool> = side.constraints.iter().map(Constraint::is_equality).collect();
        assert_eq!(kinds, [true, true, false]);
    }

    #[test]
    fn the_stricter_of_two_rows_and_none_that_bounds_imply() {
        let rows = |x: &Expr, y: &Expr| {
            let sum = y.index(0) + y.index(1);
            vec![sum.at_most(2.0), (&sum * 4.0).at_most(4.0), (x.index(0) + x.index(1)).at_most(2.5)]
        };
        let side = follower(rows).unwrap();
        assert_eq!(side.constraints.len(), 1);
        assert_eq!(side.constraints[0].label, "lower constraint 1");
    }

    #[test]
    fn sets_with_more_than_bounds_keep_their_rows() {
        let mut model = Model::new();
        let y = model.follower("y", 2).within(Simplex::new(2, 1.0).unwrap()).unwrap();
        model.upper(y.index(0)).lower(y.norm2sq()).lower_subject_to(y.index(0).at_most(0.25));
        assert!(reduced(&model.build().unwrap()).is_none());
    }
}
