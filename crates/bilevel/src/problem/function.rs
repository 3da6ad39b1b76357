//! Functions of (x, y) that a problem is made of: compiled formulas, or a user's own code.
//!
//! Solvers never call either directly. They take a [`FunctionEvaluator`], which owns the scratch memory, counts
//! evaluations, and turns a failing callback into NaN with the message kept in [`Failures`].

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bilevel_linalg::Dense;

use crate::expr::{Blocks, Expr, Tape, Workspace};
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
    /// Compiles a formula in `n` leader and `m` follower variables; `None` if it is invalid or uses others.
    pub(crate) fn formula(expr: &Expr, n: usize, m: usize) -> Option<Self> {
        let tape = Tape::compile(std::slice::from_ref(expr), n, m).ok()?;
        Some(Function::Formula { expr: expr.clone(), tape: Arc::new(tape) })
    }

    /// The same function for vectors of other lengths, at least as long as the variables it uses.
    pub(crate) fn resized(&self, n: usize, m: usize) -> Self {
        match self {
            Function::Formula { expr, .. } => Self::formula(expr, n, m).unwrap_or_else(|| self.clone()),
            Function::Custom(_) => self.clone(),
        }
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

    /// Whether any of the blocks' variables occur; a user's own code may use all.
    pub fn depends_on(&self, blocks: Blocks) -> bool {
        match self {
            Function::Formula { tape, .. } => tape.depends().meets(blocks),
            Function::Custom(_) => true,
        }
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
/// The follower's vector may be longer than the function needs (auxiliary variables at its end); a user's own code sees
/// the problem's own `m` entries only.
pub struct FunctionEvaluator<'a> {
    function: &'a Function,
    workspace: Workspace,
    failures: Failures,
    followers: usize,
    gradient_x: Vec<f64>,
    gradient_y: Vec<f64>,
    direction: Vec<f64>,
    seed: Vec<f64>,
}

impl<'a> FunctionEvaluator<'a> {
    /// An evaluator of `function` for a problem with `n` leader and `m` follower variables of its own.
    pub fn new(function: &'a Function, n: usize, m: usize, failures: &Failures) -> Self {
        let (workspace, followers) = match function {
            Function::Formula { tape, .. } => (Workspace::new(tape), tape.followers()),
            Function::Custom(_) => (Workspace::default(), m),
        };
        Self {
            function,
            workspace,
            failures: failures.clone(),
            followers,
            gradient_x: vec![0.0; n],
            gradient_y: vec![0.0; followers],
            direction: vec![0.0; followers],
            seed: vec![0.0; function.len()],
        }
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
    pub fn values(&mut self, at: At<'_>, out: &mut [f64]) {
        let y = &at.y[..self.followers];
        match self.function {
            Function::Formula { tape, .. } => {
                tape.evaluate(&mut self.workspace, at.x, y, at.smoothing).write_outputs(out);
            }
            Function::Custom(code) => out[0] = self.failures.or_nan(code.value(at.x, y, at.smoothing)),
        }
    }

    /// The value of a scalar function; NaN where a user's code fails.
    pub fn value(&mut self, at: At<'_>) -> f64 {
        let mut out = [f64::NAN];
        self.values(at, &mut out);
        out[0]
    }

    /// Adds the gradients of the sum of all components, weighted, to those wanted (the first entries, where longer).
    pub fn add_gradient(&mut self, at: At<'_>, weights: &[f64], x: Option<&mut [f64]>, y: Option<&mut [f64]>) {
        let own_x = x.is_some().then_some(&mut self.gradient_x[..]);
        let own_y = y.is_some().then_some(&mut self.gradient_y[..]);
        let mut scale = 1.0;
        match self.function {
            Function::Formula { tape, .. } => {
                let y = &at.y[..self.followers];
                tape.evaluate(&mut self.workspace, at.x, y, at.smoothing).gradient(weights, own_x, own_y);
            }
            Function::Custom(code) => {
                let (gx, gy) = (&mut self.gradient_x, &mut self.gradient_y);
                let value = code.gradient(at.x, &at.y[..self.followers], at.smoothing, gx, gy);
                scale = if self.failures.or_nan(value).is_nan() { f64::NAN } else { weights[0] };
            }
        }
        for (wanted, own) in [(x, &self.gradient_x), (y, &self.gradient_y)] {
            if let Some(wanted) = wanted {
                add(scale, own, wanted);
            }
        }
    }

    /// Adds the gradients of one component to a row over (x, y).
    pub fn add_component_gradient(&mut self, at: At<'_>, component: usize, row: &mut [f64]) {
        let mut seed = std::mem::take(&mut self.seed);
        seed.fill(0.0);
        seed[component] = 1.0;
        let (x, y) = row.split_at_mut(at.x.len());
        self.add_gradient(at, &seed, Some(x), Some(y));
        self.seed = seed;
    }

    /// Writes the Hessian of the weighted sum of all components applied to the direction (0, `direction`), as far as the
    /// rows of x and of y are asked for; NaN where a user's code fails. `direction` may be longer than needed, the rows
    /// of y must be as many as the function's own y.
    pub fn hessian_product(
        &mut self,
        at: At<'_>,
        weights: &[f64],
        direction: &[f64],
        x: Option<&mut [f64]>,
        y: Option<&mut [f64]>,
    ) {
        let n = at.x.len();
        let (own, direction) = (&at.y[..self.followers], &direction[..self.followers]);
        match self.function {
            Function::Formula { tape, .. } => {
                let mut evaluation = tape.evaluate(&mut self.workspace, at.x, own, at.smoothing);
                evaluation.hessian(weights).product(None, Some(direction), x, y);
            }
            Function::Custom(code) => {
                let out = (&mut self.gradient_x[..], &mut self.gradient_y[..]);
                let product = custom_hessian_column(code.as_ref(), at, (n, own), direction, out);
                let scale = if self.failures.or_nan(product).is_nan() { f64::NAN } else { weights[0] };
                for (wanted, own) in [(x, &self.gradient_x), (y, &self.gradient_y)] {
                    if let Some(wanted) = wanted {
                        wanted.fill(0.0);
                        add(scale, own, wanted);
                    }
                }
            }
        }
    }

    /// Evaluates a scalar formula once and hands out the function that writes its Hessian in y times a direction; false
    /// for a user's own code.
    pub fn with_follower_hessian(&mut self, at: At<'_>, run: &mut dyn FnMut(&mut Product<'_>)) -> bool {
        let Function::Formula { tape, .. } = self.function else { return false };
        let mut evaluation = tape.evaluate(&mut self.workspace, at.x, &at.y[..self.followers], at.smoothing);
        let mut hessian = evaluation.hessian(&[1.0]);
        run(&mut |direction, out| hessian.product(None, Some(direction), None, Some(out)));
        true
    }

    /// Adds the rows of the Hessian of the weighted sum that belong to y: row j of it to row `first + j` of `out`, whose
    /// columns are (x, y) or y alone.
    pub fn add_follower_hessian(&mut self, at: At<'_>, weights: &[f64], out: &mut Dense, first: usize, with_x: bool) {
        let n = at.x.len();
        let y = &at.y[..self.followers];
        match self.function {
            Function::Formula { tape, .. } => {
                let mut evaluation = tape.evaluate(&mut self.workspace, at.x, y, at.smoothing);
                let mut hessian = evaluation.hessian(weights);
                for j in 0..self.followers {
                    self.direction.fill(0.0);
                    self.direction[j] = 1.0;
                    let x = with_x.then_some(&mut self.gradient_x[..]);
                    hessian.product(None, Some(&self.direction), x, Some(&mut self.gradient_y));
                    add_row(out.row_mut(first + j), with_x.then_some(&self.gradient_x), &self.gradient_y, 1.0);
                }
            }
            Function::Custom(code) => {
                for j in 0..self.followers {
                    self.direction.fill(0.0);
                    self.direction[j] = 1.0;
                    let out_pair = (&mut self.gradient_x[..], &mut self.gradient_y[..]);
                    let product = custom_hessian_column(code.as_ref(), at, (n, y), &self.direction, out_pair);
                    let scale = if self.failures.or_nan(product).is_nan() { f64::NAN } else { weights[0] };
                    add_row(out.row_mut(first + j), with_x.then_some(&self.gradient_x), &self.gradient_y, scale);
                }
            }
        }
    }
}

fn add(scale: f64, from: &[f64], to: &mut [f64]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += scale * from);
}

fn add_row(row: &mut [f64], x: Option<&Vec<f64>>, y: &[f64], scale: f64) {
    let (out_x, out_y) = row.split_at_mut(x.map_or(0, Vec::len));
    if let Some(x) = x {
        add(scale, x, out_x);
    }
    add(scale, y, out_y);
}

/// Writes a matrix times its first argument to the second.
pub type Product<'a> = dyn FnMut(&[f64], &mut [f64]) + 'a;

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

/// The Hessian of a user's code applied to a direction in y: the user's own product, or central differences.
fn custom_hessian_column(
    code: &dyn Objective,
    at: At<'_>,
    (n, y): (usize, &[f64]),
    direction: &[f64],
    (out_x, out_y): (&mut [f64], &mut [f64]),
) -> Result<f64, CallbackError> {
    if code.hessian_vector(at.x, y, at.smoothing, (&vec![0.0; n], direction), out_x, out_y)? {
        return Ok(0.0);
    }
    let size = y.iter().fold(1.0, |a: f64, z| a.max(z.abs()));
    let step = f64::EPSILON.cbrt() * size;
    let shifted = |t: f64| -> Vec<f64> { y.iter().zip(direction).map(|(z, d)| z + t * d).collect() };
    let (mut back_x, mut back_y) = (vec![0.0; n], vec![0.0; y.len()]);
    code.gradient(at.x, &shifted(step), at.smoothing, out_x, out_y)?;
    code.gradient(at.x, &shifted(-step), at.smoothing, &mut back_x, &mut back_y)?;
    for (forward, backward) in [(out_x, back_x), (out_y, back_y)] {
        forward.iter_mut().zip(&backward).for_each(|(f, b)| *f = (*f - b) / (2.0 * step));
    }
    Ok(0.0)
}
