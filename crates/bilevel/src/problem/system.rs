//! Constraints on (x, y), sorted into affine rows and nonlinear functions, so that solvers treat each as it deserves.

use std::ops::Range;
use std::sync::Arc;

use bilevel_linalg::Csr;

use super::ball::BallFunction;
use super::{Constraint, Function};
use crate::expr::structure::{AffineRows, Structure, VariableBounds};
use crate::expr::{Expr, Level};
use crate::set::Description;

/// Where a constraint went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Rows of the matrix.
    Rows(Range<usize>),
    /// Components of the nonlinear functions, counted through.
    Components(Range<usize>),
}

/// `row_lower <= A (x, y) <= row_upper` and `lower <= c(x, y) <= upper`.
#[derive(Clone, Debug)]
pub struct System {
    /// The affine rows over (x, y); r x (n + m).
    pub rows: Csr,
    /// Lower bounds of the rows.
    pub row_lower: Vec<f64>,
    /// Upper bounds of the rows.
    pub row_upper: Vec<f64>,
    /// The nonlinear functions, vector-valued.
    pub functions: Vec<Function>,
    /// Lower bounds of all components of all functions.
    pub lower: Vec<f64>,
    /// Upper bounds of all components of all functions.
    pub upper: Vec<f64>,
    /// For each constraint added, in order, where it went.
    pub places: Vec<Place>,
}

/// Collects constraints for a [`System`] in `n` leader and `m` follower variables (auxiliary ones included).
#[derive(Debug)]
pub struct SystemBuilder {
    n: usize,
    m: usize,
    triplets: Vec<(usize, usize, f64)>,
    row_lower: Vec<f64>,
    row_upper: Vec<f64>,
    functions: Vec<Function>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    places: Vec<Place>,
}

impl SystemBuilder {
    /// No constraints yet.
    pub fn new(n: usize, m: usize) -> Self {
        let (triplets, row_lower, row_upper) = (Vec::new(), Vec::new(), Vec::new());
        let (functions, lower, upper, places) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { n, m, triplets, row_lower, row_upper, functions, lower, upper, places }
    }

    /// Adds a constraint of the problem.
    pub fn constraint(&mut self, constraint: &Constraint) {
        match &constraint.function {
            Function::Formula { expr, .. } => self.formula(expr, constraint.is_equality()),
            Function::Custom(_) => self.nonlinear(constraint.function.clone(), constraint.is_equality()),
        }
    }

    /// Adds `expr <= 0`, or `expr = 0`.
    pub fn formula(&mut self, expr: &Expr, equality: bool) {
        match affine(expr, self.n, self.m) {
            Some(affine) => {
                let first = self.row_upper.len();
                for (i, &constant) in affine.constant.iter().enumerate() {
                    self.triplets.extend(affine.leader.row(i).map(|(j, a)| (first + i, j, a)));
                    self.triplets.extend(affine.follower.row(i).map(|(j, a)| (first + i, self.n + j, a)));
                    self.row_lower.push(if equality { -constant } else { f64::NEG_INFINITY });
                    self.row_upper.push(-constant);
                }
                self.places.push(Place::Rows(first..self.row_upper.len()));
            }
            None => {
                if let Some(function) = Function::formula(expr, self.n, self.m) {
                    self.nonlinear(function, equality);
                }
            }
        }
    }

    /// Adds the rows and balls of a level's set; `column` maps the variables of its description to columns of (x, y).
    pub fn set(&mut self, level: Level, set: &Description, column: impl Fn(usize) -> usize) {
        let first = self.row_upper.len();
        self.triplets.extend(set.rows.iter().map(|&(i, j, a)| (first + i, column(j), a)));
        self.row_lower.extend(&set.row_lower);
        self.row_upper.extend(&set.row_upper);
        for ball in &set.balls {
            self.nonlinear(Function::Custom(Arc::new(BallFunction::new(level, ball.clone()))), false);
        }
    }

    /// Puts everything together.
    pub fn build(self) -> System {
        // Triplets are in range by construction; an empty matrix stands in otherwise.
        let rows = Csr::from_triplets(self.row_upper.len(), self.n + self.m, &self.triplets)
            .unwrap_or_else(|| Csr::empty(self.row_upper.len(), self.n + self.m));
        System {
            rows,
            row_lower: self.row_lower,
            row_upper: self.row_upper,
            functions: self.functions,
            lower: self.lower,
            upper: self.upper,
            places: self.places,
        }
    }

    fn nonlinear(&mut self, function: Function, equality: bool) {
        let (first, len) = (self.upper.len(), function.len());
        self.lower.resize(first + len, if equality { 0.0 } else { f64::NEG_INFINITY });
        self.upper.resize(first + len, 0.0);
        self.functions.push(function);
        self.places.push(Place::Components(first..first + len));
    }
}

/// The coefficients of a formula that is affine in all variables.
fn affine(expr: &Expr, n: usize, m: usize) -> Option<AffineRows> {
    let structure = Structure::new(std::slice::from_ref(expr), &VariableBounds::unbounded(n, m)).ok()?;
    structure.affine_rows(*structure.roots().first()?)
}
