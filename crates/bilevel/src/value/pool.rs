//! The least value over a pool of local minimisers: the search model for nonconvex followers (mathematics §4b).
//!
//! Where two minimisers tie, v has a kink and the gradient returned is that of one of them.

use super::{ValueModel, ValuePoint};
use crate::lower::{LowerSolver, LowerStatus, Pool};
use crate::smooth::{Family, Smoothing};

/// Values within this of the least, relative to 1 + its size, tie with it.
const TIE: f64 = 1e-5;

/// v(x) by a pool of local minimisers.
pub struct PoolValue<'a> {
    solver: LowerSolver<'a>,
    family: &'a dyn Family,
    mu: f64,
    pool: Pool,
}

impl<'a> PoolValue<'a> {
    /// The model for the solver's follower, searching with `pool`.
    pub fn new(solver: LowerSolver<'a>, family: &'a dyn Family, pool: Pool) -> Self {
        Self { solver, family, mu: 1.0, pool }
    }
}

impl ValueModel for PoolValue<'_> {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn begin_stage(&mut self, mu: f64, _: &[f64]) {
        self.mu = mu;
    }

    fn suggest(&mut self, y: &[f64]) {
        self.pool.suggest(y);
    }

    fn evaluate(&mut self, x: &[f64]) -> Result<ValuePoint, LowerStatus> {
        let found = self.pool.minimise(&mut self.solver, x, Smoothing::new(self.family, self.mu))?;
        let best = found.first().ok_or(LowerStatus::Numerical)?;
        let near = best.value + TIE * (1.0 + best.value.abs());
        // The gradients need the programme fixed at this x, which it is: all of the pool's solves were at x.
        let mut gradients = found.iter().take_while(|solution| solution.value <= near).map(|solution| {
            let mut gradient = vec![0.0; x.len()];
            self.solver.value_gradient(solution, &mut gradient);
            gradient
        });
        let gradient = gradients.next().unwrap_or_default();
        let ties = gradients.collect();
        Ok(ValuePoint { value: best.value, gradient, ties, y: best.y[..self.solver.follower().m].to_vec(), ..ValuePoint::default() })
    }
}
