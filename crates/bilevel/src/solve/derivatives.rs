//! A check of all first derivatives against central differences, at a problem's start.

use super::portfolio::{self, Round};
use super::{Analysis, Options};
use crate::lower::Meter;
use crate::problem::{At, Failures, FunctionEvaluator, Problem, Side};
use crate::smooth::Smoothing;

/// How well the derivatives of one function agree with differences.
#[derive(Clone, Debug, PartialEq)]
pub struct DerivativeCheck {
    /// Which function.
    pub function: String,
    /// Largest difference over all variables and components, relative to 1 + the derivative's size; `None` if the
    /// function is not defined at the start.
    pub error: Option<f64>,
}

/// Compares the gradients of both objectives and all constraints with central differences, slightly off the start so that
/// a kink exactly there does not count.
pub fn check_derivatives(problem: &Problem) -> Vec<DerivativeCheck> {
    let analysis = Analysis::new(problem);
    let only_first = Options { starts: 1, ..Options::default() };
    let starts =
        portfolio::starts(problem, &analysis, &only_first, Round::First(1), &Meter::unlimited(), &Failures::default());
    let Some(start) = starts.first() else { return Vec::new() };
    let nudge = |z: &[f64]| -> Vec<f64> {
        z.iter().enumerate().map(|(j, z)| z + 1e-3 * (1.0 + z.abs()) * (0.5 + 0.1 * (j % 5) as f64)).collect()
    };
    let at = (nudge(&start.x), nudge(&start.y));
    let mut checks = Vec::new();
    for (name, side) in [("upper", problem.leader()), ("lower", problem.follower())] {
        checks.push(check(problem, &side.objective, format!("{name} objective"), &at));
        checks.extend(constraints(problem, side, &at));
    }
    checks
}

fn constraints(problem: &Problem, side: &Side, at: &(Vec<f64>, Vec<f64>)) -> Vec<DerivativeCheck> {
    side.constraints.iter().map(|c| check(problem, &c.function, c.label.clone(), at)).collect()
}

fn check(
    problem: &Problem,
    function: &crate::problem::Function,
    name: String,
    (x, y): &(Vec<f64>, Vec<f64>),
) -> DerivativeCheck {
    let (n, m) = (problem.n(), problem.m());
    let failures = Failures::default();
    let mut evaluator = FunctionEvaluator::new(function, n, m, &failures);
    let z = [&x[..], y].concat();
    let k = function.len();
    let mut worst: f64 = 0.0;
    let mut values = |z: &[f64], out: &mut [f64]| {
        evaluator.values(At { x: &z[..n], y: &z[n..], smoothing: Smoothing::EXACT }, out);
    };
    let (mut high, mut low) = (vec![0.0; k], vec![0.0; k]);
    let mut differences = vec![vec![0.0; n + m]; k];
    for j in 0..n + m {
        let step = f64::EPSILON.cbrt() * (1.0 + z[j].abs());
        let mut shifted = z.clone();
        shifted[j] = z[j] + step;
        values(&shifted, &mut high);
        shifted[j] = z[j] - step;
        values(&shifted, &mut low);
        for i in 0..k {
            differences[i][j] = (high[i] - low[i]) / (2.0 * step);
        }
    }
    for (i, row) in differences.iter().enumerate() {
        let mut gradient = vec![0.0; n + m];
        evaluator.add_component_gradient(At { x, y, smoothing: Smoothing::EXACT }, i, &mut gradient);
        let size = gradient.iter().fold(1.0, |a: f64, g| a.max(g.abs()));
        for (g, d) in gradient.iter().zip(row) {
            let error = (g - d).abs() / size;
            if !error.is_finite() {
                return DerivativeCheck { function: name, error: None };
            }
            worst = worst.max(error);
        }
    }
    DerivativeCheck { function: name, error: Some(worst) }
}
