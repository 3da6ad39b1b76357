//! The least value over a pool of local minimisers, the search model for nonconvex followers, and the soft minimum over
//! it, which is smooth where minimisers tie:
//!
//! ```text
//! v_pool = min_j f_j(x)       v_soft = −mu ln Σ_j exp(−f_j / mu),  ∇v_soft = Σ_j w_j ∇f_j,  v_pool − mu ln K <= v_soft <= v_pool
//! ```
//!
//! Where two minimisers tie, v has a kink; the hard minimum's gradient is then that of one of them.

use bilevel_linalg::vector;

use super::{ValueModel, ValuePoint};
use crate::lower::{LowerSolution, LowerSolver, LowerStatus, Pool};
use crate::smooth::{Family, Smoothing};

/// Values within this of the least, relative to 1 + its size, tie with it.
const TIE: f64 = 1e-5;

/// v(x) by a pool of local minimisers.
pub struct PoolValue<'a> {
    solver: LowerSolver<'a>,
    family: &'a dyn Family,
    mu: f64,
    pool: Pool,
    soft: bool,
}

impl<'a> PoolValue<'a> {
    /// The least value of the solver's follower, searching with `pool`.
    pub fn hard(solver: LowerSolver<'a>, family: &'a dyn Family, pool: Pool) -> Self {
        Self { solver, family, mu: 1.0, pool, soft: false }
    }

    /// The soft minimum.
    pub fn soft(solver: LowerSolver<'a>, family: &'a dyn Family, pool: Pool) -> Self {
        Self { soft: true, ..Self::hard(solver, family, pool) }
    }

    /// The best minimiser's gradient, and those of the ones that tie with it.
    fn least(&mut self, found: &[LowerSolution], best: &LowerSolution, n: usize) -> ValuePoint {
        let near = best.value + TIE * (1.0 + best.value.abs());
        // The gradients need the programme fixed at this x, which it is: all of the pool's solves were at x.
        let mut gradients = found.iter().take_while(|solution| solution.value <= near).map(|solution| {
            let mut gradient = vec![0.0; n];
            self.solver.value_gradient(solution, &mut gradient);
            gradient
        });
        let gradient = gradients.next().unwrap_or_default();
        let ties = gradients.collect();
        ValuePoint { value: best.value, gradient, ties, ..ValuePoint::default() }
    }

    fn soft_minimum(&mut self, found: &[LowerSolution], best: &LowerSolution, n: usize) -> ValuePoint {
        let (mut total, mut gradient, mut own) = (0.0, vec![0.0; n], vec![0.0; n]);
        for solution in found {
            let weight = (-(solution.value - best.value) / self.mu).exp();
            if weight == 0.0 {
                break;
            }
            self.solver.value_gradient(solution, &mut own);
            total += weight;
            vector::axpy(weight, &own, &mut gradient);
        }
        vector::scale(1.0 / total, &mut gradient);
        ValuePoint { value: best.value - self.mu * f64::ln(total), gradient, ..ValuePoint::default() }
    }
}

impl ValueModel for PoolValue<'_> {
    fn name(&self) -> &'static str {
        if self.soft { "soft-pool" } else { "pool" }
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
        let y = best.y[..self.solver.follower().m].to_vec();
        let point =
            if self.soft { self.soft_minimum(&found, best, x.len()) } else { self.least(&found, best, x.len()) };
        Ok(ValuePoint { y, ..point })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lower::{Follower, Meter, PoolSettings};
    use crate::problem::{Failures, Model};
    use crate::set::Bounds;
    use crate::smooth::Chks;

    /// f = x y on [−1, 1]: local minimisers at both ends for x near 0 (with a hill between: (1 − y²)).
    fn with_models(check: impl Fn(&mut dyn ValueModel, &mut dyn ValueModel)) {
        let mut model = Model::new();
        let x = model.leader("x", 1).free().unwrap();
        let y = model.follower("y", 1).within(Bounds::new(-1.0, 1.0).unwrap()).unwrap();
        model.upper(x.norm2sq()).lower((&x * &y).sum() + (y.square() * -1.0 + 1.0).sum());
        let problem = model.build().unwrap();
        let follower = Follower::direct(&problem);
        let failures = Failures::default();
        let solver = || LowerSolver::new(&follower, &failures, &Meter::unlimited());
        let pool = || Pool::new(PoolSettings::default(), 3, &[vec![-0.5], vec![0.5]]);
        let mut hard = PoolValue::hard(solver(), &Chks, pool());
        let mut soft = PoolValue::soft(solver(), &Chks, pool());
        check(&mut hard, &mut soft);
    }

    #[test]
    fn the_soft_minimum_of_two_is_minus_mu_log_of_a_hyperbolic_cosine() {
        with_models(|hard, soft| {
            for mu in [1.0, 1e-2, 1e-4] {
                soft.begin_stage(mu, &[0.0]);
                hard.begin_stage(mu, &[0.0]);
                for x in [0.0, 0.7 * mu, -1.5 * mu, 0.5] {
                    let (s, h) = (soft.evaluate(&[x]).unwrap(), hard.evaluate(&[x]).unwrap());
                    // f_j = ± x: v = −mu ln(2 cosh(x / mu)), v′ = −tanh(x / mu).
                    let a = f64::abs(x) / mu;
                    let exact = -mu * (a + (-2.0 * a).exp().ln_1p());
                    assert!((s.value - exact).abs() < 1e-7, "{} for {exact}", s.value);
                    assert!(
                        (s.gradient[0] + (x / mu).tanh()).abs() < 1e-6 + 1e-8 / mu,
                        "mu {mu} x {x}: {:?}",
                        s.gradient
                    );
                    assert!(s.value <= h.value + 1e-9 && h.value - s.value <= mu * 2f64.ln() + 1e-8);
                }
            }
        });
    }
}
