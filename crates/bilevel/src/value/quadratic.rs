//! v_quad(x) = min over y of f_mu(x, y) + (mu_r / 2) ‖y − y_ref‖² for a convex follower
//! [Alcantara & Takeda 2025, §3.1, Prop. 3.4], with the regulariser centred and scaled:
//! y_ref is the follower's answer at the start of the stage, mu_r = mu * min(1, 1 / (1 + ‖y_ref‖²)).

use super::{ValueModel, ValuePoint};
use crate::lower::{LowerSolver, LowerStatus, Regulariser};
use crate::smooth::{Family, Smoothing};

/// The quadratically regularised value function.
pub struct QuadraticValue<'a> {
    solver: LowerSolver<'a>,
    family: &'a dyn Family,
    mu: f64,
    regulariser: Regulariser,
    warm: Vec<f64>,
}

impl<'a> QuadraticValue<'a> {
    /// The model for the solver's follower; `start` is where the first lower solve starts.
    pub fn new(solver: LowerSolver<'a>, family: &'a dyn Family, start: &[f64]) -> Self {
        Self { solver, family, mu: 1.0, regulariser: Regulariser::default(), warm: start.to_vec() }
    }
}

impl ValueModel for QuadraticValue<'_> {
    fn name(&self) -> &'static str {
        "quadratic"
    }

    fn begin_stage(&mut self, mu: f64, y: &[f64]) {
        let centre = y[..self.solver.follower().m].to_vec();
        let squares: f64 = centre.iter().map(|c| c * c).sum();
        self.mu = mu;
        self.regulariser = Regulariser { weight: mu / (1.0 + squares), centre };
    }

    fn resume(&mut self, regulariser: &Regulariser) {
        self.regulariser.clone_from(regulariser);
    }

    fn suggest(&mut self, y: &[f64]) {
        self.warm = y.to_vec();
    }

    fn evaluate(&mut self, x: &[f64]) -> Result<ValuePoint, LowerStatus> {
        let smoothing = Smoothing::new(self.family, self.mu);
        let solution = self.solver.solve(x, &self.warm, smoothing, &self.regulariser);
        if solution.status != LowerStatus::Solved {
            return Err(solution.status);
        }
        let mut gradient = vec![0.0; x.len()];
        self.solver.value_gradient(&solution, &mut gradient);
        let y = solution.y[..self.solver.follower().m].to_vec();
        self.warm = solution.y;
        Ok(ValuePoint { value: solution.value, gradient, y, ..ValuePoint::default() })
    }

    fn regulariser(&self) -> Regulariser {
        self.regulariser.clone()
    }
}
