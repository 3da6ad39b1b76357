//! Multipliers of both levels at an answer, fitted afresh by least squares with signs.
//!
//! ```text
//! active.rs  the constraints that hold with equality at the point, with their gradients
//! ```
//!
//! The follower's, at its own problem:
//!
//! ```text
//! ∇_y f + Σ_i u_i ∇_y g_i = 0,   u_i >= 0 for active inequalities, free for equalities.
//! ```
//!
//! The leader's, at the combined problem min F over (x, y, u) subject to G <= 0 and the system above with u_i g_i = 0
//! (mathematics §4b): with L = f + Σ u_i g_i,
//!
//! ```text
//! ∇F + Σ_k mu_k ∇G_k + Σ_i xi_i ∇g_i + Σ_j lambda_j ∇(∂L/∂y_j) = 0        in (x, y),
//! Σ_j lambda_j ∂g_i/∂y_j = 0 where u_i > 0,   >= 0 where u_i = 0           in u,
//! ```
//!
//! mu >= 0, lambda free, xi_i free where u_i > 0 and >= 0 where u_i = 0 (strong stationarity, Scheel & Scholtes 2000).
//! mu_k is the rate at which the leader's best value near this answer changes as its constraint is tightened, where it is
//! unique. Unknowns are measured in the given units, and all normals have length 1, so that the fit does not depend on
//! the user's units.

mod active;

use bilevel_linalg::{Dense, PivotedQr, nnls, vector};

use crate::problem::{At, Attitude, Block, Failures, FunctionEvaluator, NamedValues, Problem, Side};
use crate::smooth::Smoothing;
use crate::solution::Multipliers;
use active::{Active, Owner, active};

/// Problems with more variables of both levels get no multipliers: the fit is dense.
const MOST_VARIABLES: usize = 200;
/// A fit counts if what is left is at most this, relative to 1 + the size of the gradient.
const FITTED: f64 = 1e-4;
/// Multipliers below this, relative to the largest, count as zero when branches are told apart.
const ZERO: f64 = 1e-6;
/// Gradients of length 1 count as dependent below this.
const DEPENDENT: f64 = 1e-8;

/// A point, with the units in which its entries are of moderate size.
#[derive(Clone, Copy, Debug)]
pub struct PointInUnits<'a> {
    /// The leader's decision.
    pub x: &'a [f64],
    /// The follower's answer.
    pub y: &'a [f64],
    /// The units of x and y.
    pub units: (&'a [f64], &'a [f64]),
}

/// The multipliers of both levels at a point; empty, with a remark, where there are none.
pub fn multipliers(problem: &Problem, point: PointInUnits<'_>, attitude: Attitude, failures: &Failures) -> Multipliers {
    let mut out = Multipliers::default();
    if problem.n() + problem.m() > MOST_VARIABLES {
        out.remarks.push(format!("multipliers are not computed for more than {MOST_VARIABLES} variables"));
        return out;
    }
    let Some((leader, follower)) = active(problem, point, failures) else {
        out.remarks.push("no multipliers: a set has no plain constraints, or something is not finite".to_string());
        return out;
    };
    let fit = Fit { problem, point, failures };
    let Some(own) = fit.follower(&follower, &mut out) else { return out };
    if attitude == Attitude::Optimistic && problem.n() > 0 {
        fit.leader(&leader, &follower, &own, &mut out);
    }
    out
}

struct Fit<'a> {
    problem: &'a Problem,
    point: PointInUnits<'a>,
    failures: &'a Failures,
}

impl Fit<'_> {
    fn at(&self) -> At<'_> {
        At { x: self.point.x, y: self.point.y, smoothing: Smoothing::EXACT }
    }

    /// The gradient of a level's objective over (x, y), in units.
    fn gradient(&self, side: &Side) -> Vec<f64> {
        let (n, m) = (self.problem.n(), self.problem.m());
        let mut out = vec![0.0; n + m];
        let mut objective = FunctionEvaluator::new(&side.objective, n, m, self.failures);
        let (x, y) = out.split_at_mut(n);
        objective.add_gradient(self.at(), &[1.0], Some(x), Some(y));
        let units = self.point.units.0.iter().chain(self.point.units.1);
        out.iter_mut().zip(units).for_each(|(g, u)| *g *= u);
        out
    }

    /// u, for the normals of length 1; `None` without a fit.
    fn follower(&self, active: &[Active], out: &mut Multipliers) -> Option<Vec<f64>> {
        let n = self.problem.n();
        let side = self.problem.follower();
        let gradient = self.gradient(side)[n..].to_vec();
        let columns: Vec<Vec<f64>> = active.iter().map(|a| a.normal[n..].to_vec()).collect();
        let free: Vec<bool> = active.iter().map(|a| a.equality).collect();
        let (weights, residual) = solve(&columns, &free, &gradient)?;
        if residual > FITTED * (1.0 + vector::norm_inf(&gradient)) {
            out.remarks.push(format!("no multipliers fit the follower's conditions: {residual:.1e} is left"));
            return None;
        }
        let present = columns.iter().filter(|column| column.iter().any(|&a| a != 0.0)).count();
        if rank(&columns, gradient.len()) < present {
            out.remarks.push(
                "the follower's multipliers are not unique: gradients of its active constraints are dependent"
                    .to_string(),
            );
        }
        out.follower = named(side, active, &weights);
        Some(weights)
    }

    fn leader(&self, leader: &[Active], follower: &[Active], own: &[f64], out: &mut Multipliers) {
        let side = self.problem.leader();
        let (n, all) = (self.problem.n(), self.problem.n() + self.problem.m());
        let mut target = self.gradient(side);
        target.resize(all + follower.len(), 0.0);
        let mut columns: Vec<Vec<f64>> = Vec::new();
        let mut free: Vec<bool> = Vec::new();
        let long = |normal: &[f64]| [normal, &vec![0.0; follower.len()]].concat();
        for active in leader {
            columns.push(long(&active.normal));
            free.push(active.equality);
        }
        let largest = vector::norm_inf(own);
        for (k, active) in follower.iter().enumerate() {
            let fixed = active.equality || own[k] > ZERO * largest;
            columns.push(long(&active.normal));
            free.push(fixed);
            if !fixed {
                let mut dual = vec![0.0; all + follower.len()];
                dual[all + k] = 1.0;
                columns.push(dual);
                free.push(false);
            }
        }
        let Some(second) = self.second_order(follower, own) else {
            out.remarks.push("no multipliers of the leader: second derivatives are not defined".to_string());
            return;
        };
        for (j, mut row) in second.into_iter().enumerate() {
            row.extend(follower.iter().map(|active| -active.normal[n + j]));
            columns.push(row);
            free.push(true);
        }
        let size = 1.0 + vector::norm_inf(&target);
        let found = solve(&columns, &free, &target).filter(|(_, residual)| *residual <= FITTED * size);
        let Some((weights, _)) = found else {
            out.remarks.push(
                "no multipliers fit the leader's conditions: a kink, a tie of the follower's answers, or no stationary point"
                    .to_string(),
            );
            return;
        };
        let (own, others) = columns.split_at(leader.len());
        if rank(&columns, target.len()) < own.len() + rank(others, target.len()) {
            out.remarks.push(
                "the leader's multipliers are not unique: gradients of active constraints are dependent".to_string(),
            );
        }
        out.leader = named(side, leader, &weights[..leader.len()]);
    }

    /// The gradients over (x, y) of ∂L/∂y_j for every j, in units. As the normals point into the feasible side, L is f less
    /// their functions times `own`.
    fn second_order(&self, follower: &[Active], own: &[f64]) -> Option<Vec<Vec<f64>>> {
        let (n, m) = (self.problem.n(), self.problem.m());
        let side = self.problem.follower();
        let mut parts = vec![(FunctionEvaluator::new(&side.objective, n, m, self.failures), vec![1.0])];
        for (c, constraint) in side.constraints.iter().enumerate() {
            let mut weights = vec![0.0; constraint.len()];
            for (active, u) in follower.iter().zip(own) {
                if let Owner::Constraint(index, component) = active.owner
                    && index == c
                {
                    weights[component] -= u * active.per_unit;
                }
            }
            if weights.iter().any(|&w| w != 0.0) {
                parts.push((FunctionEvaluator::new(&constraint.function, n, m, self.failures), weights));
            }
        }
        let mut rows = Vec::with_capacity(m);
        for j in 0..m {
            let mut direction = vec![0.0; m];
            direction[j] = self.point.units.1[j];
            let mut row = vec![0.0; n + m];
            for (function, weights) in &mut parts {
                let (mut by_x, mut by_y) = (vec![0.0; n], vec![0.0; m]);
                function.hessian_product(self.at(), weights, &direction, Some(&mut by_x), Some(&mut by_y));
                row.iter_mut().zip(by_x.iter().chain(&by_y)).for_each(|(r, v)| *r += v);
            }
            for (active, u) in follower.iter().zip(own) {
                // A ball ‖z − c‖² <= r² has the Hessian 2 I on its variables.
                if let Owner::Ball(start, len) = active.owner
                    && (start..start + len).contains(&j)
                {
                    row[n + j] -= 2.0 * u * active.per_unit * direction[j];
                }
            }
            let units = self.point.units.0.iter().chain(self.point.units.1);
            row.iter_mut().zip(units).for_each(|(r, u)| *r *= u);
            rows.push(row);
        }
        rows.iter().flatten().all(|v| v.is_finite()).then_some(rows)
    }
}

/// Least squares with signs: `target` by the columns, each of length 1 but for zero ones. Weights and what is left.
fn solve(columns: &[Vec<f64>], free: &[bool], target: &[f64]) -> Option<(Vec<f64>, f64)> {
    let lengths: Vec<f64> = columns.iter().map(|c| vector::dot(c, c).sqrt()).collect();
    let mut matrix = Dense::zeros(target.len(), columns.len());
    for (j, (column, length)) in columns.iter().zip(&lengths).enumerate() {
        for (i, a) in column.iter().enumerate().filter(|_| *length > 0.0) {
            matrix[(i, j)] = a / length;
        }
    }
    let signed: Vec<bool> = free.iter().map(|free| !free).collect();
    let found = nnls(&matrix, target, &signed).ok()?;
    let weights = found.x.iter().zip(&lengths).map(|(w, length)| if *length > 0.0 { w / length } else { 0.0 });
    Some((weights.collect(), found.residual))
}

fn rank(columns: &[Vec<f64>], rows: usize) -> usize {
    let mut matrix = Dense::zeros(rows, columns.len());
    for (j, column) in columns.iter().enumerate() {
        let length = vector::dot(column, column).sqrt();
        for (i, a) in column.iter().enumerate().filter(|_| length > 0.0) {
            matrix[(i, j)] = a / length;
        }
    }
    let mut qr = PivotedQr::new();
    qr.factor(&matrix, Some(DEPENDENT)).map_or(0, |()| qr.rank())
}

/// Weights of the normals by the names of what they belong to, in the user's units and sense.
fn named(side: &Side, active: &[Active], weights: &[f64]) -> NamedValues {
    let mut out: Vec<(String, Vec<f64>)> =
        side.constraints.iter().map(|c| (c.label.clone(), vec![0.0; c.len()])).collect();
    let mut bounds = vec![0.0; side.dimension()];
    for (active, &weight) in active.iter().zip(weights) {
        // The normal points into the feasible side: the multiplier of `g <= 0` is the weight, of a bound the rate at which
        // the value rises with it. An equality's sign is that of its function as stored.
        let weight = side.sense.apply(weight * active.per_unit.abs());
        match active.owner {
            Owner::Constraint(c, component) if active.equality => {
                out[c].1[component] = -weight * active.per_unit.signum()
            }
            Owner::Constraint(c, component) => out[c].1[component] = weight,
            Owner::Bound(j) => bounds[j] += weight * active.per_unit.signum(),
            Owner::Row | Owner::Ball(..) => {}
        }
    }
    let limited = limited(side);
    let of_block = |block: &Block| (format!("bounds of {}", block.name), block.slice(&bounds).to_vec());
    let has_bounds = |block: &&Block| limited[block.offset..][..block.shape.len()].contains(&true);
    out.extend(side.blocks.iter().filter(has_bounds).map(of_block));
    // No negative zeros in reports.
    out.iter_mut().flat_map(|(_, values)| values).for_each(|v| *v += 0.0);
    NamedValues(out)
}

/// Which variables have a bound.
fn limited(side: &Side) -> Vec<bool> {
    let (lower, upper) = active::bounds(side);
    lower.iter().zip(&upper).map(|(l, u)| l.is_finite() || u.is_finite()).collect()
}
