//! F and f at a fixed x, with their derivatives in y and the mixed ones that the first-order oracle needs.

use bilevel_linalg::Dense;

use super::HyperFailure;
use crate::problem::{At, Attitude, Failures, FunctionEvaluator, Problem};
use crate::smooth::Smoothing;

/// Both objectives at one x. F carries the attitude's sign: `sign * F` is minimised over S(x), for both attitudes.
pub(super) struct Functions<'a> {
    upper: FunctionEvaluator<'a>,
    lower: FunctionEvaluator<'a>,
    failures: Failures,
    x: &'a [f64],
    m: usize,
    sign: f64,
    /// Gradients of f and of F in y, Hessian products included: the unit in which methods are compared.
    pub gradients: u64,
}

/// The sign with which F is minimised.
pub(super) fn sign(attitude: Attitude) -> f64 {
    match attitude {
        Attitude::Optimistic => 1.0,
        Attitude::Pessimistic => -1.0,
    }
}

impl<'a> Functions<'a> {
    /// The problem's objectives at `x`.
    pub fn new(problem: &'a Problem, attitude: Attitude, x: &'a [f64]) -> Self {
        let failures = Failures::default();
        let evaluator = |function| FunctionEvaluator::new(function, problem.n(), problem.m(), &failures);
        Self {
            upper: evaluator(&problem.leader().objective),
            lower: evaluator(&problem.follower().objective),
            x,
            m: problem.m(),
            sign: sign(attitude),
            gradients: 0,
            failures,
        }
    }

    /// The message of the first user's function that failed.
    pub fn failure(&self) -> Option<String> {
        self.failures.first()
    }

    /// What an objective or a derivative that is not finite means.
    pub fn not_a_number(&self) -> HyperFailure {
        let text = self.failures.first().unwrap_or_else(|| "an objective or its derivatives are not finite".into());
        HyperFailure::Numerical(text)
    }

    /// The sign with which F is minimised.
    pub fn sign(&self) -> f64 {
        self.sign
    }

    /// m, the number of the follower's variables.
    pub fn followers(&self) -> usize {
        self.m
    }

    /// n, the number of the leader's variables.
    pub fn leaders(&self) -> usize {
        self.x.len()
    }

    fn at<'b>(&self, y: &'b [f64]) -> At<'b>
    where
        'a: 'b,
    {
        At { x: self.x, y, smoothing: Smoothing::EXACT }
    }

    /// sign * F.
    pub fn upper(&mut self, y: &[f64]) -> f64 {
        let at = self.at(y);
        self.sign * self.upper.value(at)
    }

    /// Writes sign * ∇_y F.
    pub fn upper_gradient(&mut self, y: &[f64], out: &mut [f64]) {
        self.gradients += 1;
        out.fill(0.0);
        let at = self.at(y);
        self.upper.add_gradient(at, &[self.sign], None, Some(out));
    }

    /// Writes ∇ₓF, without the sign.
    pub fn upper_gradient_x(&mut self, y: &[f64], out: &mut [f64]) {
        out.fill(0.0);
        let at = self.at(y);
        self.upper.add_gradient(at, &[1.0], Some(out), None);
    }

    /// Writes sign * ∇²_yy F d.
    pub fn upper_product(&mut self, y: &[f64], d: &[f64], out: &mut [f64]) {
        self.gradients += 1;
        let at = self.at(y);
        self.upper.hessian_product(at, &[1.0], d, None, Some(out));
        out.iter_mut().for_each(|v| *v *= self.sign);
    }

    /// Adds sign * ∇²_yy F to `out` (m x m).
    pub fn add_upper_hessian(&mut self, y: &[f64], out: &mut Dense) {
        self.gradients += y.len() as u64;
        let at = self.at(y);
        self.upper.add_follower_hessian(at, &[self.sign], out, 0, false);
    }

    /// f.
    pub fn lower(&mut self, y: &[f64]) -> f64 {
        let at = self.at(y);
        self.lower.value(at)
    }

    /// Writes ∇_y f.
    pub fn lower_gradient(&mut self, y: &[f64], out: &mut [f64]) {
        self.gradients += 1;
        out.fill(0.0);
        let at = self.at(y);
        self.lower.add_gradient(at, &[1.0], None, Some(out));
    }

    /// Writes ∇ₓf.
    pub fn lower_gradient_x(&mut self, y: &[f64], out: &mut [f64]) {
        self.gradients += 1;
        out.fill(0.0);
        let at = self.at(y);
        self.lower.add_gradient(at, &[1.0], Some(out), None);
    }

    /// Writes ∇²_yy f d.
    pub fn lower_product(&mut self, y: &[f64], d: &[f64], out: &mut [f64]) {
        self.gradients += 1;
        let at = self.at(y);
        self.lower.hessian_product(at, &[1.0], d, None, Some(out));
    }

    /// Adds ∇²_yy f to `out` (m x m).
    pub fn add_lower_hessian(&mut self, y: &[f64], out: &mut Dense) {
        self.gradients += y.len() as u64;
        let at = self.at(y);
        self.lower.add_follower_hessian(at, &[1.0], out, 0, false);
    }

    /// Writes ∇²ₓ_y f d for a direction d in y: n entries.
    pub fn lower_mixed_product(&mut self, y: &[f64], d: &[f64], out: &mut [f64]) {
        self.gradients += 1;
        let at = self.at(y);
        self.lower.hessian_product(at, &[1.0], d, Some(out), None);
    }
}
