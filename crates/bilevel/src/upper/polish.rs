//! The polish: from a point near a solution of (VFP_epsilon) to follower gap 0 (mathematics §4b).
//!
//! The follower's optimality system replaces its optimality, with complementarity relaxed by t:
//!
//! ```text
//! min F(x, y)  over (x, ỹ, u, w)
//! s.t. ∇_ỹ f − Σ u_i ∇_ỹ s_i − Σ w_k ∇_ỹ e_k = 0        s_i: the follower's inequalities as slacks s_i >= 0
//!      s_i >= 0,  e_k = 0,  u_i >= 0,  u_i s_i <= t      e_k: its equalities
//!      the leader's constraints
//!      f(x, ỹ) − v(x) <= 1e-9                            (followers that are not convex)
//! ```
//!
//! for t = 1e-5, 1e-8, 1e-11 (Scholtes). Bounds of ỹ are inequalities s_i like the others.

mod residual;
mod sides;

use bilevel_linalg::Dense;

use super::Leader;
use super::programme::stack_rows;
use crate::lower::Follower;
use crate::nlp::{Frame, Multipliers, Nlp, Status, sqp};
use crate::problem::{At, Failures, FunctionEvaluator};
use crate::smooth::Smoothing;
use crate::value::ValueModel;
use sides::{Side, Sides};

/// How to polish.
#[derive(Clone, Debug)]
pub struct PolishSettings {
    /// The relaxations t, decreasing.
    pub relaxations: Vec<f64>,
    /// Bound on f − v where a value model is given.
    pub gap: f64,
    /// The SQP's settings.
    pub sqp: sqp::Settings,
}

/// Whether to go on.
pub type Proceed<'s> = dyn Fn() -> bool + 's;

impl Default for PolishSettings {
    fn default() -> Self {
        Self { relaxations: vec![1e-5, 1e-8, 1e-11], gap: 1e-9, sqp: sqp::Settings::default() }
    }
}

/// What the polish found.
#[derive(Clone, Debug)]
pub struct Polished {
    /// The leader's decision.
    pub x: Vec<f64>,
    /// ỹ: the follower's answer with auxiliary variables.
    pub y: Vec<f64>,
    /// Multipliers of the follower's constraints in the convention of [`crate::nlp`], for its own problem.
    pub follower_multipliers: Multipliers,
    /// The scaled optimality residual of the relaxed system at its last solved t.
    pub residual: f64,
    /// Evaluations of F.
    pub evaluations: u64,
}

/// Polishes from (x, ỹ) with the follower's multipliers at ỹ, as long as `proceed` allows. With `value`, f − v <= gap is a
/// constraint too.
pub fn polish<'a>(
    (leader, follower): (&'a Leader, &'a Follower),
    start: (&[f64], &[f64], &Multipliers),
    value: Option<&mut (dyn ValueModel + 'a)>,
    smoothing: Smoothing<'a>,
    settings: &PolishSettings,
    failures: &Failures,
    proceed: &Proceed<'_>,
) -> Option<Polished> {
    let mut programme = KktProgramme::new(leader, follower, value, smoothing, settings.gap, failures);
    let mut z = programme.start(start.0, start.1, start.2);
    let mut best = None;
    for &t in &settings.relaxations {
        programme.relax(t);
        let found = sqp::solve_with(&mut programme, &z, &settings.sqp, Some(&mut |_| proceed()));
        let usable = found.status.is_success() || found.residuals.violation <= 1e-7;
        if !usable || matches!(found.status, Status::Numerical | Status::Unbounded) {
            break;
        }
        z = found.z;
        best = Some((z.clone(), found.residuals.scaled));
    }
    let (z, residual) = best?;
    let (n, size) = (follower.n, follower.size());
    Some(Polished {
        x: z[..n].to_vec(),
        y: z[n..n + size].to_vec(),
        follower_multipliers: programme.sides.multipliers(follower, &z[programme.first_multiplier..]),
        residual,
        evaluations: programme.evaluations,
    })
}

/// The residual of the unrelaxed system at (x, ỹ) with the follower's multipliers there: least squares over all other
/// multipliers, relative to 1 + ‖∇F‖∞. `ties` are gradients in x of f(x, y_j) at answers that tie with ỹ. `None` where
/// something is not defined.
pub fn optimality_residual(
    leader: &Leader,
    follower: &Follower,
    point: (&[f64], &[f64], &Multipliers),
    ties: &[Vec<f64>],
    smoothing: Smoothing<'_>,
    failures: &Failures,
) -> Option<f64> {
    let mut programme = KktProgramme::new(leader, follower, None, smoothing, 0.0, failures);
    let z = programme.start(point.0, point.1, point.2);
    programme.optimality_residual(&z, ties)
}

/// The relaxed optimality system as a nonlinear programme in z = (x, ỹ, auxiliary variables of X, multipliers).
pub(super) struct KktProgramme<'a, 'v> {
    pub(super) n: usize,
    pub(super) size: usize,
    first_multiplier: usize,
    upper: FunctionEvaluator<'a>,
    lower: FunctionEvaluator<'a>,
    leader_functions: Vec<FunctionEvaluator<'a>>,
    follower_functions: Vec<FunctionEvaluator<'a>>,
    follower: &'a Follower,
    sides: Sides,
    value: Option<&'v mut (dyn ValueModel + 'a)>,
    smoothing: Smoothing<'a>,
    frame: Frame,
    evaluations: u64,
    /// Whether F has no kinks.
    smooth: bool,
    leader_rows: usize,
    leader_values: Vec<f64>,
    /// Values and Jacobian of the follower's functions over (x, ỹ) at the last point.
    components: Vec<f64>,
    component_jacobian: Dense,
    pub(super) first_complementarity: usize,
}

impl<'a, 'v> KktProgramme<'a, 'v> {
    pub(super) fn new(
        leader: &'a Leader,
        follower: &'a Follower,
        value: Option<&'v mut (dyn ValueModel + 'a)>,
        smoothing: Smoothing<'a>,
        gap: f64,
        failures: &Failures,
    ) -> Self {
        let (n, m, size) = (follower.n, follower.m, follower.size());
        let sides = Sides::new(follower);
        let first_multiplier = n + size + leader.auxiliary(n);
        let evaluator = |function| FunctionEvaluator::new(function, n, m, failures);
        let components = follower.system.upper.len();
        let frame = kkt_frame(leader, follower, &sides, value.is_some().then_some(gap));
        Self {
            n,
            size,
            first_multiplier,
            upper: evaluator(&leader.objective),
            lower: evaluator(&follower.objective),
            leader_functions: leader.system.functions.iter().map(evaluator).collect(),
            follower_functions: follower.system.functions.iter().map(evaluator).collect(),
            follower,
            value,
            smoothing,
            evaluations: 0,
            smooth: leader.smooth,
            leader_rows: leader.system.row_upper.len(),
            leader_values: vec![0.0; leader.system.upper.len()],
            components: vec![0.0; components],
            component_jacobian: Dense::zeros(components, n + size),
            first_complementarity: leader.system.upper.len() + components + size,
            frame,
            sides,
        }
    }

    /// z from (x, ỹ) and the follower's multipliers.
    pub(super) fn start(&self, x: &[f64], y: &[f64], multipliers: &Multipliers) -> Vec<f64> {
        let mut z = [x, y].concat();
        for j in z.len()..self.first_multiplier {
            z.push(self.frame.lower[j].max(0.0).min(self.frame.upper[j]));
        }
        self.sides.push_multipliers(multipliers, &mut z);
        z
    }

    fn relax(&mut self, t: f64) {
        let first = self.first_complementarity;
        self.frame.constraint_upper[first..first + self.sides.inequalities.len()].fill(t);
    }

    /// Splits z into x, the rest after x (ỹ first), and the multipliers.
    fn split<'z>(&self, z: &'z [f64]) -> (&'z [f64], &'z [f64], &'z [f64]) {
        (&z[..self.n], &z[self.n..self.first_multiplier], &z[self.first_multiplier..])
    }

    fn update_components(&mut self, z: &[f64]) {
        let (x, y, _) = self.split(z);
        let at = At { x, y, smoothing: self.smoothing };
        self.component_jacobian.data_mut().fill(0.0);
        let mut first = 0;
        for function in &mut self.leader_functions {
            function.values(at, &mut self.leader_values[first..first + function.len()]);
            first += function.len();
        }
        first = 0;
        for function in &mut self.follower_functions {
            let len = function.len();
            function.values(at, &mut self.components[first..first + len]);
            for component in 0..len {
                function.add_component_gradient(at, component, self.component_jacobian.row_mut(first + component));
            }
            first += len;
        }
    }

    /// The gradient of a side's slack over (x, ỹ), added with a weight.
    fn add_slack_gradient(&self, side: Side, weight: f64, out: &mut [f64]) {
        let weight = weight * side.sign();
        match side {
            Side::Bound { index, .. } => out[self.n + index] += weight,
            Side::Row { index, .. } => {
                for (j, a) in self.follower.system.rows.row(index) {
                    out[j] += weight * a;
                }
            }
            Side::Component { index, .. } => {
                for (o, a) in out.iter_mut().zip(self.component_jacobian.row(index)) {
                    *o += weight * a;
                }
            }
        }
    }

    /// The slack of a side at z; `update_components` must have been called.
    fn slack(&self, side: Side, z: &[f64]) -> f64 {
        let value = match side {
            Side::Bound { index, .. } => z[self.n + index],
            Side::Row { index, .. } => self.follower.system.rows.row(index).map(|(j, a)| a * z[j]).sum(),
            Side::Component { index, .. } => self.components[index],
        };
        side.sign() * (value - side.limit())
    }

    /// Weights of the follower's functions in its Lagrangian: −Σ u_i sign_i.
    fn component_weights(&self, multipliers: &[f64]) -> Vec<f64> {
        let mut weights = vec![0.0; self.components.len()];
        for (side, &u) in self.sides.all().zip(multipliers) {
            if let Side::Component { index, .. } = side {
                weights[index] -= u * side.sign();
            }
        }
        weights
    }

    /// F at a point.
    pub(super) fn upper_value(&mut self, at: At<'_>) -> f64 {
        self.upper.value(at)
    }

    /// Gradients over z of the slacks that are active at z, equalities included; the Jacobian must have been computed there.
    pub(super) fn active_slacks(&self, z: &[f64]) -> Vec<Vec<f64>> {
        let inequalities = self.sides.inequalities.len();
        let mut active = Vec::new();
        for (k, side) in self.sides.all().enumerate() {
            let multiplier = z[self.first_multiplier + k];
            if k >= inequalities || self.slack(side, z) < multiplier {
                let mut gradient = vec![0.0; z.len()];
                self.add_slack_gradient(side, 1.0, &mut gradient);
                active.push(gradient);
            }
        }
        active
    }

    /// The gradient of f over z.
    fn lower_gradient(&mut self, z: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; z.len()];
        let (x, y, _) = self.split(z);
        let at = At { x, y, smoothing: self.smoothing };
        let (out_x, out_y) = gradient.split_at_mut(self.n);
        self.lower.add_gradient(at, &[1.0], Some(out_x), Some(out_y));
        gradient
    }

    fn gap_row(&mut self, z: &[f64]) -> Option<f64> {
        let (x, y, _) = self.split(z);
        let f = self.lower.value(At { x, y, smoothing: self.smoothing });
        let value = self.value.as_deref_mut()?;
        Some(value.evaluate(x).map_or(f64::NAN, |point| f - point.value))
    }
}

/// Constraints in order: the leader's functions, the follower's functions, stationarity (= 0), complementarity (<= t),
/// and where wanted the gap.
fn kkt_frame(leader: &Leader, follower: &Follower, sides: &Sides, gap: Option<f64>) -> Frame {
    let (n, size) = (follower.n, follower.size());
    let width = n + size + leader.auxiliary(n) + sides.len();
    let multiplier_lower: Vec<f64> =
        sides.inequalities.iter().map(|_| 0.0).chain(sides.equalities.iter().map(|_| f64::NEG_INFINITY)).collect();
    let multiplier_upper = vec![f64::INFINITY; sides.len()];
    let pairs = sides.inequalities.len();
    let mut constraint_lower = [&leader.system.lower[..], &follower.system.lower].concat();
    let mut constraint_upper = [&leader.system.upper[..], &follower.system.upper].concat();
    constraint_lower.extend(std::iter::repeat_n(0.0, size));
    constraint_upper.extend(std::iter::repeat_n(0.0, size));
    constraint_lower.extend(std::iter::repeat_n(f64::NEG_INFINITY, pairs));
    constraint_upper.extend(std::iter::repeat_n(0.0, pairs));
    if let Some(gap) = gap {
        constraint_lower.push(f64::NEG_INFINITY);
        constraint_upper.push(gap);
    }
    Frame {
        lower: [&leader.lower[..n], &follower.lower, &leader.lower[n..], &multiplier_lower].concat(),
        upper: [&leader.upper[..n], &follower.upper, &leader.upper[n..], &multiplier_upper].concat(),
        rows: stack_rows(&leader.system.rows, &follower.system.rows, width),
        row_lower: [&leader.system.row_lower[..], &follower.system.row_lower].concat(),
        row_upper: [&leader.system.row_upper[..], &follower.system.row_upper].concat(),
        constraint_lower,
        constraint_upper,
    }
}

impl Nlp for KktProgramme<'_, '_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, z: &[f64]) -> f64 {
        self.evaluations += 1;
        let (x, y, _) = self.split(z);
        self.upper.value(At { x, y, smoothing: self.smoothing })
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let (x, y, _) = self.split(z);
        let (out_x, out_y) = out.split_at_mut(self.n);
        let at = At { x, y, smoothing: self.smoothing };
        self.upper.add_gradient(at, &[1.0], Some(out_x), Some(out_y));
    }

    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        self.update_components(z);
        let (x, y, multipliers) = self.split(z);
        let mut row = self.leader_values.len();
        out[..row].copy_from_slice(&self.leader_values);
        out[row..row + self.components.len()].copy_from_slice(&self.components);
        row += self.components.len();
        let at = At { x, y, smoothing: self.smoothing };
        let mut gradient = vec![0.0; self.n + self.size];
        self.lower.add_gradient(at, &[1.0], None, Some(&mut gradient[self.n..]));
        for (side, &u) in self.sides.all().zip(multipliers) {
            self.add_slack_gradient(side, -u, &mut gradient);
        }
        out[row..row + self.size].copy_from_slice(&gradient[self.n..]);
        row += self.size;
        for (&side, &u) in self.sides.inequalities.iter().zip(multipliers) {
            out[row] = u * self.slack(side, z);
            row += 1;
        }
        if let Some(gap) = self.gap_row(z) {
            out[row] = gap;
        }
    }

    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        out.data_mut().fill(0.0);
        self.update_components(z);
        let (x, y, multipliers) = self.split(z);
        let at = At { x, y, smoothing: self.smoothing };
        let mut row = 0;
        for function in &mut self.leader_functions {
            for component in 0..function.len() {
                function.add_component_gradient(at, component, out.row_mut(row));
                row += 1;
            }
        }
        for component in 0..self.components.len() {
            let width = self.n + self.size;
            out.row_mut(row)[..width].copy_from_slice(self.component_jacobian.row(component));
            row += 1;
        }
        row = self.stationarity_rows(at, multipliers, row, out);
        row = self.complementarity_rows(z, row, out);
        self.gap_gradient(at, row, out);
    }

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}

impl KktProgramme<'_, '_> {
    /// Rows of ∇_ỹ L: second derivatives of the follower's Lagrangian, and minus the slack gradients for the multipliers.
    fn stationarity_rows(&mut self, at: At<'_>, multipliers: &[f64], first: usize, out: &mut Dense) -> usize {
        let weights = self.component_weights(multipliers);
        self.lower.add_follower_hessian(at, &[1.0], out, first, true);
        let mut start = 0;
        for function in &mut self.follower_functions {
            let own = &weights[start..start + function.len()];
            start += own.len();
            if own.iter().any(|&w| w != 0.0) {
                function.add_follower_hessian(at, own, out, first, true);
            }
        }
        let mut gradient = vec![0.0; self.n + self.size];
        for (k, side) in self.sides.all().enumerate() {
            gradient.fill(0.0);
            self.add_slack_gradient(side, -1.0, &mut gradient);
            for (a, &g) in gradient[self.n..].iter().enumerate() {
                out[(first + a, self.first_multiplier + k)] = g;
            }
        }
        first + self.size
    }

    fn complementarity_rows(&self, z: &[f64], first: usize, out: &mut Dense) -> usize {
        for (k, &side) in self.sides.inequalities.iter().enumerate() {
            let row = out.row_mut(first + k);
            self.add_slack_gradient(side, z[self.first_multiplier + k], &mut row[..self.n + self.size]);
            row[self.first_multiplier + k] += self.slack(side, z);
        }
        first + self.sides.inequalities.len()
    }

    fn gap_gradient(&mut self, at: At<'_>, row: usize, out: &mut Dense) {
        let Some(value) = self.value.as_deref_mut() else { return };
        let (out_x, out_y) = out.row_mut(row).split_at_mut(self.n);
        self.lower.add_gradient(at, &[1.0], Some(&mut *out_x), Some(out_y));
        match value.evaluate(at.x) {
            Ok(point) => out_x.iter_mut().zip(&point.gradient).for_each(|(o, g)| *o -= g),
            Err(_) => out_x.fill(f64::NAN),
        }
    }
}
