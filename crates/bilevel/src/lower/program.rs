//! The follower's problem at a fixed x as a nonlinear programme in ỹ, with smoothing and regularisation.

use bilevel_linalg::{Csr, Dense};

use super::Follower;
use crate::nlp::{Frame, Multipliers, Nlp};
use crate::problem::{At, Failures, FunctionEvaluator, Product};
use crate::smooth::Smoothing;

/// The quadratic regulariser `weight / 2 * ‖y − centre‖²` on the follower's own variables (§3.1, centred).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regulariser {
    /// The weight mu_r; 0 means none.
    pub weight: f64,
    /// The centre y_ref, constant within a stage (length m).
    pub centre: Vec<f64>,
}

/// `min over ỹ of f(x, ỹ) + regulariser` subject to the follower's constraints, at a fixed x.
pub struct FollowerProgram<'a> {
    follower: &'a Follower,
    objective: FunctionEvaluator<'a>,
    functions: Vec<FunctionEvaluator<'a>>,
    x: Vec<f64>,
    smoothing: Smoothing<'a>,
    regulariser: Regulariser,
    rows_x: Csr,
    frame: Frame,
    seed: Vec<f64>,
}

impl<'a> FollowerProgram<'a> {
    /// The programme of `follower`; call [`FollowerProgram::fix`] before solving it.
    pub fn new(follower: &'a Follower, failures: &Failures) -> Self {
        let (n, m, size) = (follower.n, follower.m, follower.size());
        let system = &follower.system;
        let evaluator = |function| FunctionEvaluator::new(function, n, m, failures);
        let frame = Frame {
            lower: follower.lower.clone(),
            upper: follower.upper.clone(),
            rows: system.rows.columns(n..n + size),
            row_lower: system.row_lower.clone(),
            row_upper: system.row_upper.clone(),
            constraint_lower: system.lower.clone(),
            constraint_upper: system.upper.clone(),
        };
        Self {
            follower,
            objective: evaluator(&follower.objective),
            functions: system.functions.iter().map(evaluator).collect(),
            x: vec![0.0; n],
            smoothing: Smoothing::EXACT,
            regulariser: Regulariser::default(),
            rows_x: system.rows.columns(0..n),
            frame,
            seed: Vec::new(),
        }
    }

    /// Sets the leader's decision, the smoothing and the regulariser.
    pub fn fix(&mut self, x: &[f64], smoothing: Smoothing<'a>, regulariser: &Regulariser) {
        self.x.copy_from_slice(x);
        self.smoothing = smoothing;
        self.regulariser.clone_from(regulariser);
        let system = &self.follower.system;
        self.frame.row_lower.copy_from_slice(&system.row_lower);
        self.frame.row_upper.copy_from_slice(&system.row_upper);
        self.rows_x.mul_add(-1.0, x, &mut self.frame.row_lower);
        self.rows_x.mul_add(-1.0, x, &mut self.frame.row_upper);
    }

    /// The follower that this is the programme of.
    pub fn follower(&self) -> &'a Follower {
        self.follower
    }

    /// f at (x, ỹ) without the regulariser, at the smoothing that was set.
    pub fn plain_objective(&mut self, y: &[f64]) -> f64 {
        self.objective.value(At { x: &self.x, y, smoothing: self.smoothing })
    }

    /// Hands out products of the objective's Hessian at `y` with directions, regulariser included; false where there are
    /// none.
    pub fn with_hessian(&mut self, y: &[f64], run: &mut dyn FnMut(&mut Product<'_>)) -> bool {
        let at = At { x: &self.x, y, smoothing: self.smoothing };
        let weight = self.regulariser.weight;
        self.objective.with_follower_hessian(at, &mut |product| {
            run(&mut |direction, out| {
                product(direction, out);
                out.iter_mut().zip(direction).for_each(|(o, d)| *o += weight * d);
            });
        })
    }

    /// The weight of the regulariser.
    pub fn regulariser_weight(&self) -> f64 {
        self.regulariser.weight
    }

    /// Writes the gradient in x of the Lagrangian f − rowsᵀ A (x, ỹ) − constraintsᵀ c(x, ỹ): by the envelope theorem
    /// the gradient of the value function where minimiser and multipliers are unique (Prop. 3.4; mathematics §4b).
    pub fn value_gradient(&mut self, y: &[f64], multipliers: &Multipliers, out: &mut [f64]) {
        out.fill(0.0);
        let at = At { x: &self.x, y, smoothing: self.smoothing };
        self.objective.add_gradient(at, &[1.0], Some(out), None);
        self.rows_x.transpose_mul_add(-1.0, &multipliers.rows, out);
        let mut first = 0;
        for function in &mut self.functions {
            let weights: Vec<f64> = multipliers.constraints[first..first + function.len()].iter().map(|u| -u).collect();
            first += function.len();
            if weights.iter().any(|&w| w != 0.0) {
                function.add_gradient(at, &weights, Some(out), None);
            }
        }
    }

    /// Adds the mixed second derivatives ∇²_xỹ of the Lagrangian f − constraintsᵀ c, applied to a direction in ỹ.
    pub fn add_mixed_product(&mut self, y: &[f64], constraints: &[f64], direction: &[f64], out: &mut [f64]) {
        let at = At { x: &self.x, y, smoothing: self.smoothing };
        let mut product = vec![0.0; out.len()];
        self.objective.hessian_product(at, &[1.0], direction, Some(&mut product), None);
        out.iter_mut().zip(&product).for_each(|(o, p)| *o += p);
        let mut first = 0;
        for function in &mut self.functions {
            let weights: Vec<f64> = constraints[first..first + function.len()].iter().map(|u| -u).collect();
            first += function.len();
            if weights.iter().any(|&w| w != 0.0) {
                function.hessian_product(at, &weights, direction, Some(&mut product), None);
                out.iter_mut().zip(&product).for_each(|(o, p)| *o += p);
            }
        }
    }

    /// Adds the gradient in x of rowsᵀ A (x, ỹ) + constraintsᵀ c(x, ỹ).
    pub fn add_constraint_gradient_x(&mut self, y: &[f64], rows: &[f64], constraints: &[f64], out: &mut [f64]) {
        let at = At { x: &self.x, y, smoothing: self.smoothing };
        self.rows_x.transpose_mul_add(1.0, rows, out);
        let mut first = 0;
        for function in &mut self.functions {
            let weights = &constraints[first..first + function.len()];
            first += function.len();
            if weights.iter().any(|&w| w != 0.0) {
                function.add_gradient(at, weights, Some(out), None);
            }
        }
    }
}

impl Nlp for FollowerProgram<'_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, y: &[f64]) -> f64 {
        let Regulariser { weight, centre } = &self.regulariser;
        let distance: f64 = y.iter().zip(centre).map(|(y, c)| (y - c) * (y - c)).sum();
        self.objective.value(At { x: &self.x, y, smoothing: self.smoothing }) + 0.5 * weight * distance
    }

    fn gradient(&mut self, y: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let at = At { x: &self.x, y, smoothing: self.smoothing };
        self.objective.add_gradient(at, &[1.0], None, Some(out));
        let Regulariser { weight, centre } = &self.regulariser;
        for ((out, y), c) in out.iter_mut().zip(y).zip(centre) {
            *out += weight * (y - c);
        }
    }

    fn constraints(&mut self, y: &[f64], out: &mut [f64]) {
        let mut rest = out;
        for function in &mut self.functions {
            let (own, later) = rest.split_at_mut(function.len());
            function.values(At { x: &self.x, y, smoothing: self.smoothing }, own);
            rest = later;
        }
    }

    fn jacobian(&mut self, y: &[f64], out: &mut Dense) {
        out.data_mut().fill(0.0);
        let at = At { x: &self.x, y, smoothing: self.smoothing };
        let mut row = 0;
        for function in &mut self.functions {
            self.seed.resize(function.len(), 0.0);
            for component in 0..function.len() {
                self.seed.fill(0.0);
                self.seed[component] = 1.0;
                function.add_gradient(at, &self.seed, None, Some(out.row_mut(row)));
                row += 1;
            }
        }
    }

    fn hessian(&mut self, y: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        out.data_mut().fill(0.0);
        let at = At { x: &self.x, y, smoothing: self.smoothing };
        self.objective.add_follower_hessian(at, &[objective_weight], out, 0, false);
        let mut first = 0;
        for function in &mut self.functions {
            let own = &weights[first..first + function.len()];
            first += own.len();
            if own.iter().any(|&w| w != 0.0) {
                function.add_follower_hessian(at, own, out, 0, false);
            }
        }
        for j in 0..self.regulariser.centre.len() {
            out[(j, j)] += objective_weight * self.regulariser.weight;
        }
        true
    }
}
