//! Functions of (x, y) that a problem is made of: compiled formulas, or a user's own code.
//!
//! Solvers never call either directly. They take a [`FunctionEvaluator`], which owns the scratch memory, counts
//! evaluations, and turns a failing callback into NaN with the message kept in [`Failures`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::expr::{Expr, NodeId, Tape, TapeWorkspace};
use crate::smooth::Smoothing;

/// A user's code could not evaluate a function.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct CallbackError {
    /// What went wrong, in the user's words.
    pub message: String,
}

impl CallbackError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

/// A user's own scalar function of (x, y), as an alternative to a formula.
pub trait Objective: Send + Sync {
    /// The value at (x, y); at `smoothing.mu() = 0` exact, else smoothed (a smooth function may ignore it).
    ///
    /// # Errors
    /// Whatever keeps it from being evaluated; the run then ends with status `numerical` and the best point so far.
    fn value(&self, x: &[f64], y: &[f64], smoothing: Smoothing<'_>) -> Result<f64, CallbackError>;

    /// Writes the gradients in x and y (one subgradient at kinks) and returns the value.
    ///
    /// # Errors
    /// As for [`Objective::value`].
    fn gradient(
        &self,
        x: &[f64],
        y: &[f64],
        smoothing: Smoothing<'_>,
        gradient_x: &mut [f64],
        gradient_y: &mut [f64],
    ) -> Result<f64, CallbackError>;

    /// Writes the Hessian applied to the direction (dx, dy) and returns true; or returns false, and the Hessian is
    /// approximated by differences of gradients.
    ///
    /// # Errors
    /// As for [`Objective::value`].
    #[allow(clippy::too_many_arguments)]
    fn hessian_vector(
        &self,
        _x: &[f64],
        _y: &[f64],
        _smoothing: Smoothing<'_>,
        _direction: (&[f64], &[f64]),
        _out_x: &mut [f64],
        _out_y: &mut [f64],
    ) -> Result<bool, CallbackError> {
        Ok(false)
    }
}

/// A vector-valued function of (x, y).
#[derive(Clone)]
pub enum Function {
    /// A formula with its compiled tape.
    Formula {
        /// The formula.
        expr: Expr,
        /// Its compiled form, with one output: the formula.
        tape: Arc<Tape>,
    },
    /// A user's own scalar function.
    Custom(Arc<dyn Objective>),
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Function::Formula { expr, .. } => f.debug_tuple("Formula").field(&expr.id()).finish(),
            Function::Custom(_) => f.write_str("Custom"),
        }
    }
}

impl Function {
    /// Compiles a valid formula in `n` leader and `m` follower variables.
    pub(crate) fn formula(expr: Expr, node: NodeId, n: usize, m: usize) -> Self {
        let tape = Arc::new(Tape::compile(expr.graph(), &[node], n, m));
        Function::Formula { expr, tape }
    }

    /// The same function for vectors of other lengths, at least as long as the variables it uses.
    pub(crate) fn resized(&self, n: usize, m: usize) -> Self {
        match self {
            Function::Formula { expr, .. } => Self::compiled(expr, n, m).unwrap_or_else(|| self.clone()),
            Function::Custom(_) => self.clone(),
        }
    }

    /// Compiles a formula, unless it is invalid.
    pub(crate) fn compiled(expr: &Expr, n: usize, m: usize) -> Option<Self> {
        expr.check().ok().map(|node| Self::formula(expr.clone(), node, n, m))
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        match self {
            Function::Formula { expr, .. } => expr.shape().len(),
            Function::Custom(_) => 1,
        }
    }

    /// Whether there are no components.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The formula, unless it is a user's own code.
    pub fn expr(&self) -> Option<&Expr> {
        match self {
            Function::Formula { expr, .. } => Some(expr),
            Function::Custom(_) => None,
        }
    }
}

/// The first failure of a user's callback in a run, shared by all evaluators of that run.
#[derive(Clone, Debug, Default)]
pub struct Failures(Arc<Mutex<Option<String>>>);

impl Failures {
    /// The first failure's message.
    pub fn first(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn or_nan(&self, result: Result<f64, CallbackError>) -> f64 {
        result.unwrap_or_else(|error| {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error.message);
            f64::NAN
        })
    }
}

/// Evaluates a [`Function`] with its own scratch memory. One per thread.
///
/// The follower's vector may be longer than the problem's own (auxiliary variables at its end): a user's own code sees
/// its first `m` entries only.
pub struct FunctionEvaluator<'a> {
    function: &'a Function,
    workspace: Option<TapeWorkspace>,
    failures: Failures,
    own: usize,
    seed: Vec<f64>,
    gradients: [Vec<f64>; 4],
}

impl<'a> FunctionEvaluator<'a> {
    /// An evaluator of `function` for a problem with `n` leader and `m` follower variables of its own.
    pub fn new(function: &'a Function, n: usize, m: usize, failures: &Failures) -> Self {
        let workspace = match function {
            Function::Formula { tape, .. } => Some(tape.workspace()),
            Function::Custom(_) => None,
        };
        let custom = workspace.is_none();
        let scratch = |length: usize| if custom { vec![0.0; length] } else { Vec::new() };
        let gradients = [scratch(n), scratch(m), scratch(n), scratch(m)];
        Self { function, workspace, failures: failures.clone(), own: m, seed: vec![0.0; function.len()], gradients }
    }

    /// Number of components.
    pub fn len(&self) -> usize {
        self.seed.len()
    }

    /// Whether there are no components.
    pub fn is_empty(&self) -> bool {
        self.seed.is_empty()
    }

    /// Writes all components; NaN where a user's code fails.
    pub fn values(&mut self, x: &[f64], y: &[f64], smoothing: Smoothing<'_>, out: &mut [f64]) {
        match (self.function, &mut self.workspace) {
            (Function::Formula { tape, .. }, Some(workspace)) => tape.values(x, y, smoothing, workspace, out),
            (Function::Custom(code), _) => {
                out[0] = self.failures.or_nan(code.value(x, &y[..self.own], smoothing));
            }
            (Function::Formula { .. }, None) => out.fill(f64::NAN),
        }
    }

    /// The value of a scalar function; NaN where a user's code fails.
    pub fn value(&mut self, x: &[f64], y: &[f64], smoothing: Smoothing<'_>) -> f64 {
        let mut out = [f64::NAN];
        self.values(x, y, smoothing, &mut out);
        out[0]
    }

    /// Adds `weight` times the gradients of component `component` to those wanted.
    pub fn add_gradient(
        &mut self,
        at: At<'_>,
        component: usize,
        weight: f64,
        gradient_x: Option<&mut [f64]>,
        gradient_y: Option<&mut [f64]>,
    ) {
        self.seed.fill(0.0);
        self.seed[component] = weight;
        let seed = std::mem::take(&mut self.seed);
        self.add_weighted_gradient(at, &seed, gradient_x, gradient_y);
        self.seed = seed;
    }

    /// Adds the gradients of the weighted sum of all components to those wanted.
    pub fn add_weighted_gradient(
        &mut self,
        at: At<'_>,
        weights: &[f64],
        gradient_x: Option<&mut [f64]>,
        gradient_y: Option<&mut [f64]>,
    ) {
        match (self.function, &mut self.workspace) {
            (Function::Formula { tape, .. }, Some(workspace)) => {
                tape.add_gradient(at.x, at.y, at.smoothing, workspace, weights, gradient_x, gradient_y);
            }
            (Function::Custom(code), _) => {
                let [gx, gy, ..] = &mut self.gradients;
                let value = code.gradient(at.x, &at.y[..self.own], at.smoothing, gx, gy);
                let scale = if self.failures.or_nan(value).is_nan() { f64::NAN } else { weights[0] };
                for (wanted, own) in [(gradient_x, gx), (gradient_y, gy)] {
                    if let Some(wanted) = wanted {
                        wanted.iter_mut().zip(own.iter()).for_each(|(w, g)| *w += scale * g);
                    }
                }
            }
            (Function::Formula { .. }, None) => {}
        }
    }

    /// Adds the Hessian of the weighted sum of all components, applied to `direction`, to those wanted.
    pub fn add_hessian_vector(
        &mut self,
        at: At<'_>,
        weights: &[f64],
        direction: (Option<&[f64]>, Option<&[f64]>),
        out_x: Option<&mut [f64]>,
        out_y: Option<&mut [f64]>,
    ) {
        match (self.function, &mut self.workspace) {
            (Function::Formula { tape, .. }, Some(workspace)) => {
                tape.add_hessian_vector(at.x, at.y, at.smoothing, workspace, weights, direction, out_x, out_y);
            }
            (Function::Custom(code), _) => {
                let product = custom_hessian_vector(code.as_ref(), at, self.own, direction, &mut self.gradients);
                let scale = if self.failures.or_nan(product).is_nan() { f64::NAN } else { weights[0] };
                let [_, _, hx, hy] = &self.gradients;
                for (wanted, own) in [(out_x, hx), (out_y, hy)] {
                    if let Some(wanted) = wanted {
                        wanted.iter_mut().zip(own).for_each(|(w, h)| *w += scale * h);
                    }
                }
            }
            (Function::Formula { .. }, None) => {}
        }
    }
}

/// A point and a smoothing level at which derivatives are taken.
#[derive(Clone, Copy, Debug)]
pub struct At<'a> {
    /// The leader's variables.
    pub x: &'a [f64],
    /// The follower's variables.
    pub y: &'a [f64],
    /// The smoothing.
    pub smoothing: Smoothing<'a>,
}

/// The Hessian of a user's code applied to a direction, into the last two of `scratch`: the user's own product, or
/// central differences of its gradients.
fn custom_hessian_vector(
    code: &dyn Objective,
    at: At<'_>,
    own: usize,
    direction: (Option<&[f64]>, Option<&[f64]>),
    scratch: &mut [Vec<f64>; 4],
) -> Result<f64, CallbackError> {
    let y = &at.y[..own];
    let dx = direction.0.map_or_else(|| vec![0.0; at.x.len()], <[f64]>::to_vec);
    let dy = direction.1.map_or_else(|| vec![0.0; own], |d| d[..own].to_vec());
    let [gx, gy, hx, hy] = scratch;
    if code.hessian_vector(at.x, y, at.smoothing, (&dx, &dy), hx, hy)? {
        return Ok(0.0);
    }
    let length = dx.iter().chain(&dy).fold(0.0, |a: f64, d| a.max(d.abs()));
    if length == 0.0 {
        hx.fill(0.0);
        hy.fill(0.0);
        return Ok(0.0);
    }
    let size = at.x.iter().chain(y).fold(1.0, |a: f64, z| a.max(z.abs()));
    let step = f64::EPSILON.cbrt() * size / length;
    let shifted = |z: &[f64], d: &[f64], t: f64| -> Vec<f64> { z.iter().zip(d).map(|(z, d)| z + t * d).collect() };
    code.gradient(&shifted(at.x, &dx, step), &shifted(y, &dy, step), at.smoothing, hx, hy)?;
    code.gradient(&shifted(at.x, &dx, -step), &shifted(y, &dy, -step), at.smoothing, gx, gy)?;
    for (forward, backward) in [(hx, gx), (hy, gy)] {
        forward.iter_mut().zip(backward.iter()).for_each(|(f, b)| *f = (*f - b) / (2.0 * step));
    }
    Ok(0.0)
}
