//! The constraints, bounds, rows and balls of a level that hold with equality at a point.

use bilevel_linalg::vector;

use super::PointInUnits;
use crate::problem::{At, Failures, FunctionEvaluator, Problem, Side};
use crate::set::{ConvexSet, Description};
use crate::smooth::Smoothing;

/// A constraint is active if the point is within this of it, in units, relative to 1 + the point's size.
const NEAR: f64 = 1e-6;

/// What an active constraint belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Owner {
    /// Component of a constraint, both by index.
    Constraint(usize, usize),
    /// The bound of a variable of the level.
    Bound(usize),
    /// A row of the level's set.
    Row,
    /// A ball of the level's set: first variable and number of variables.
    Ball(usize, usize),
}

/// An active constraint.
#[derive(Clone, Debug)]
pub struct Active {
    /// What it belongs to.
    pub owner: Owner,
    /// Its normal over (x, y), in units, of length 1, pointing into the feasible side.
    pub normal: Vec<f64>,
    /// The normal is this times the gradient of the function, in units: the multiplier of the function in the user's units
    /// is the normal's weight times this.
    pub per_unit: f64,
    /// Whether it is an equality.
    pub equality: bool,
}

/// The lower and upper bounds of a level's variables.
pub fn bounds(side: &Side) -> (Vec<f64>, Vec<f64>) {
    let mut description = Description::default();
    side.set.describe(0, &mut description);
    let d = side.dimension();
    description.lower.truncate(d);
    description.upper.truncate(d);
    (description.lower, description.upper)
}

/// The active constraints of the leader and of the follower; `None` for sets with auxiliary variables, and where
/// something is not finite. A constraint of the follower that does not depend on y has a zero normal in y: it adds nothing to
/// the follower's own conditions, and counts among those of the leader.
pub fn active(problem: &Problem, point: PointInUnits<'_>, failures: &Failures) -> Option<(Vec<Active>, Vec<Active>)> {
    let (n, m) = (problem.n(), problem.m());
    let collect = |side: &Side, offset: usize, own: &[f64]| {
        let mut collector = Collector { problem, point, failures, offset, found: Vec::new() };
        collector.set(side, own)?;
        collector.constraints(side)?;
        Some(collector.found)
    };
    let leader = collect(problem.leader(), 0, point.x)?;
    let follower = collect(problem.follower(), n, point.y)?;
    debug_assert!(leader.iter().chain(&follower).all(|active| active.normal.len() == n + m));
    Some((leader, follower))
}

struct Collector<'a> {
    problem: &'a Problem,
    point: PointInUnits<'a>,
    failures: &'a Failures,
    /// First column of the level's own variables.
    offset: usize,
    found: Vec<Active>,
}

impl Collector<'_> {
    fn unit(&self, column: usize) -> f64 {
        let n = self.problem.n();
        if column < n { self.point.units.0[column] } else { self.point.units.1[column - n] }
    }

    /// 1 + the largest entry of the point, in units.
    fn size(&self) -> f64 {
        let pairs =
            |values: &[f64], units: &[f64]| values.iter().zip(units).fold(0.0, |a: f64, (v, u)| a.max((v / u).abs()));
        1.0 + pairs(self.point.x, self.point.units.0).max(pairs(self.point.y, self.point.units.1))
    }

    /// Takes `low <= value <= high` with its gradient in the user's units, if a side is active.
    fn range(&mut self, owner: Owner, mut gradient: Vec<f64>, value: f64, (low, high): (f64, f64)) -> Option<()> {
        for (column, entry) in gradient.iter_mut().enumerate() {
            *entry *= self.unit(column);
        }
        let length = vector::dot(&gradient, &gradient).sqrt();
        if !length.is_finite() || value.is_nan() {
            return None;
        }
        let near = NEAR * self.size() * length;
        let equality = low == high;
        let at_low = equality || value - low <= near;
        if length == 0.0 || !(at_low || high - value <= near) {
            return Some(());
        }
        let per_unit = if at_low { 1.0 / length } else { -1.0 / length };
        let normal = gradient.iter().map(|g| g * per_unit).collect();
        self.found.push(Active { owner, normal, per_unit, equality });
        Some(())
    }

    fn set(&mut self, side: &Side, own: &[f64]) -> Option<()> {
        let mut description = Description::default();
        side.set.describe(0, &mut description);
        let (d, all) = (side.dimension(), self.problem.n() + self.problem.m());
        if description.lower.len() > d {
            return None;
        }
        let row = |entries: &[(usize, f64)]| {
            let mut row = vec![0.0; all];
            entries.iter().for_each(|&(j, a)| row[self.offset + j] += a);
            row
        };
        let mut ranges = Vec::new();
        for (j, ((&value, &low), &high)) in own.iter().zip(&description.lower).zip(&description.upper).enumerate() {
            ranges.push((Owner::Bound(j), row(&[(j, 1.0)]), value, (low, high)));
        }
        for i in 0..description.row_count() {
            let entries: Vec<(usize, f64)> =
                description.rows.iter().filter(|entry| entry.0 == i).map(|&(_, j, a)| (j, a)).collect();
            let value = entries.iter().map(|&(j, a)| a * own[j]).sum();
            ranges.push((Owner::Row, row(&entries), value, (description.row_lower[i], description.row_upper[i])));
        }
        for ball in &description.balls {
            let owner = Owner::Ball(ball.start, ball.centre.len());
            let from = own[ball.start..].iter().zip(&ball.centre).map(|(z, c)| z - c);
            let entries: Vec<(usize, f64)> = from.enumerate().map(|(k, z)| (ball.start + k, 2.0 * z)).collect();
            let squares: f64 = entries.iter().map(|(_, g)| 0.25 * g * g).sum();
            let value = squares - ball.radius * ball.radius;
            ranges.push((owner, row(&entries), value, (f64::NEG_INFINITY, 0.0)));
        }
        ranges.into_iter().try_for_each(|(owner, gradient, value, sides)| self.range(owner, gradient, value, sides))
    }

    fn constraints(&mut self, side: &Side) -> Option<()> {
        let (n, m) = (self.problem.n(), self.problem.m());
        let at = At { x: self.point.x, y: self.point.y, smoothing: Smoothing::EXACT };
        for (c, constraint) in side.constraints.iter().enumerate() {
            let mut function = FunctionEvaluator::new(&constraint.function, n, m, self.failures);
            let mut values = vec![0.0; constraint.len()];
            function.values(at, &mut values);
            let low = if constraint.is_equality() { 0.0 } else { f64::NEG_INFINITY };
            for (component, &value) in values.iter().enumerate() {
                let mut gradient = vec![0.0; n + m];
                function.add_component_gradient(at, component, &mut gradient);
                self.range(Owner::Constraint(c, component), gradient, value, (low, 0.0))?;
            }
        }
        Some(())
    }
}
