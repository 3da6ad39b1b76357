//! (VFP_epsilon^mu) as a nonlinear programme [Alcantara & Takeda 2025, §2.3]:
//!
//! ```text
//! min F_mu(x, y)  s.t.  f_mu(x, y) − v_mu(x) <= epsilon,  (x, y) in X x Y,  further constraints of both levels
//! ```
//!
//! in z = (x, ỹ, auxiliary variables of X). The value function enters through a [`ValueModel`]; the last x is cached, so
//! that a value and a gradient at one point cost one lower solve.

use bilevel_linalg::{Csr, Dense};

use super::Leader;
use crate::lower::{Follower, LowerStatus};
use crate::nlp::{Frame, Nlp};
use crate::problem::{At, Failures, FunctionEvaluator};
use crate::smooth::{Family, Smoothing};
use crate::value::{ValueModel, ValuePoint};

/// The programme of one stage.
pub struct ValueFunctionProgramme<'a> {
    n: usize,
    size: usize,
    upper: FunctionEvaluator<'a>,
    lower: FunctionEvaluator<'a>,
    functions: Vec<FunctionEvaluator<'a>>,
    model: Box<dyn ValueModel + 'a>,
    family: &'a dyn Family,
    mu: f64,
    epsilon: f64,
    frame: Frame,
    cached: Option<(Vec<f64>, Result<ValuePoint, LowerStatus>)>,
    evaluations: u64,
}

impl<'a> ValueFunctionProgramme<'a> {
    /// The programme of a problem given by its two levels, with `model` for the value function.
    pub fn new(
        leader: &'a Leader,
        follower: &'a Follower,
        model: Box<dyn ValueModel + 'a>,
        family: &'a dyn Family,
        failures: &Failures,
    ) -> Self {
        let (n, m, size) = (follower.n, follower.m, follower.size());
        let evaluator = |function| FunctionEvaluator::new(function, n, m, failures);
        let functions = leader.system.functions.iter().chain(&follower.system.functions).map(evaluator).collect();
        Self {
            n,
            size,
            upper: evaluator(&leader.objective),
            lower: evaluator(&follower.objective),
            functions,
            model,
            family,
            mu: 1.0,
            epsilon: 1.0,
            frame: joint_frame(leader, follower),
            cached: None,
            evaluations: 0,
        }
    }

    /// Starts a stage with these levels from the point `z`.
    pub fn begin_stage(&mut self, mu: f64, epsilon: f64, z: &[f64]) {
        self.mu = mu;
        self.epsilon = epsilon;
        if let Some(last) = self.frame.constraint_upper.last_mut() {
            *last = epsilon;
        }
        self.model.begin_stage(mu, &z[self.n..self.n + self.size]);
        self.cached = None;
    }

    /// The value model.
    pub fn model(&mut self) -> &mut dyn ValueModel {
        self.model.as_mut()
    }

    /// Counts an evaluation of F made elsewhere.
    pub(super) fn count_evaluation(&mut self) {
        self.evaluations += 1;
    }

    /// Evaluations of F or its gradient so far.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }

    /// v_mu, its gradient and the follower's answer at `x`.
    ///
    /// # Errors
    /// The lower solve's status where there is no value.
    pub fn value_at(&mut self, x: &[f64]) -> Result<&ValuePoint, LowerStatus> {
        if self.cached.as_ref().is_none_or(|(known, _)| known != x) {
            self.cached = Some((x.to_vec(), self.model.evaluate(x)));
        }
        match &self.cached {
            Some((_, Ok(point))) => Ok(point),
            Some((_, Err(status))) => Err(*status),
            None => Err(LowerStatus::Numerical),
        }
    }

    /// f_mu − v_mu at z, NaN where the follower could not be solved.
    pub fn gap(&mut self, z: &[f64]) -> f64 {
        let (n, end) = (self.n, self.n + self.size);
        let f = self.lower.value(At { x: &z[..n], y: &z[n..end], smoothing: self.smoothing() });
        match self.value_at(&z[..n]) {
            Ok(point) => f - point.value,
            Err(_) => f64::NAN,
        }
    }

    /// The smoothing of the stage.
    pub(super) fn smoothing(&self) -> Smoothing<'a> {
        Smoothing::new(self.family, self.mu)
    }

    /// The relaxation of the stage.
    pub(super) fn epsilon(&self) -> f64 {
        self.epsilon
    }
}

/// Bounds and rows of both levels over z = (x, ỹ, auxiliary), and the value-function constraint as the last one.
pub fn joint_frame(leader: &Leader, follower: &Follower) -> Frame {
    let n = follower.n;
    let width = n + follower.size() + leader.auxiliary(n);
    let stack = |own: &[f64], other: &[f64]| own.iter().chain(other).copied().collect::<Vec<f64>>();
    let bounds = |own: &[f64], follower: &[f64]| [&own[..n], follower, &own[n..]].concat();
    let constraint_lower = [&leader.system.lower[..], &follower.system.lower, &[f64::NEG_INFINITY]].concat();
    let constraint_upper = [&leader.system.upper[..], &follower.system.upper, &[0.0]].concat();
    Frame {
        lower: bounds(&leader.lower, &follower.lower),
        upper: bounds(&leader.upper, &follower.upper),
        rows: stack_rows(&leader.system.rows, &follower.system.rows, width),
        row_lower: stack(&leader.system.row_lower, &follower.system.row_lower),
        row_upper: stack(&leader.system.row_upper, &follower.system.row_upper),
        constraint_lower,
        constraint_upper,
    }
}

/// The rows of both levels, padded to a common width.
pub(super) fn stack_rows(leader: &Csr, follower: &Csr, width: usize) -> Csr {
    let (upper, lower) = (leader.widened(width), follower.widened(width));
    // Both have the same width, so that stacking cannot fail; without the follower's rows nothing false is claimed.
    upper.stack(&lower).unwrap_or(upper)
}

impl Nlp for ValueFunctionProgramme<'_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, z: &[f64]) -> f64 {
        self.evaluations += 1;
        self.upper.value(At { x: &z[..self.n], y: &z[self.n..], smoothing: Smoothing::new(self.family, self.mu) })
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let (x, y) = z.split_at(self.n);
        let (out_x, out_y) = out.split_at_mut(self.n);
        let at = At { x, y, smoothing: Smoothing::new(self.family, self.mu) };
        self.upper.add_gradient(at, &[1.0], Some(out_x), Some(out_y));
    }

    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        let smoothing = Smoothing::new(self.family, self.mu);
        let (x, y) = z.split_at(self.n);
        let mut rest = &mut *out;
        for function in &mut self.functions {
            let (own, later) = rest.split_at_mut(function.len());
            function.values(At { x, y, smoothing }, own);
            rest = later;
        }
        let gap = self.gap(z);
        if let Some(last) = out.last_mut() {
            *last = gap;
        }
    }

    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        out.data_mut().fill(0.0);
        let (x, y) = z.split_at(self.n);
        let at = At { x, y, smoothing: Smoothing::new(self.family, self.mu) };
        let mut row = 0;
        for function in &mut self.functions {
            for component in 0..function.len() {
                function.add_component_gradient(at, component, out.row_mut(row));
                row += 1;
            }
        }
        let (out_x, out_y) = out.row_mut(row).split_at_mut(self.n);
        self.lower.add_gradient(at, &[1.0], Some(&mut *out_x), Some(out_y));
        match self.value_at(x) {
            Ok(point) => out_x.iter_mut().zip(&point.gradient).for_each(|(o, g)| *o -= g),
            Err(_) => out_x.fill(f64::NAN),
        }
    }

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}
