//! The log-barrier value function (mathematics of coupled constraints; outside the papers' theorems):
//!
//! ```text
//! v_τ(x) = min over ỹ of f(x, ỹ) − τ Σ_i ln s_i(x, ỹ),     ∇v_τ(x) = ∇ₓf − Σ_i u_i ∇ₓs_i − Σ_k w_k ∇ₓe_k,   u_i = τ / s_i
//! ```
//!
//! with a slack s_i for every finite side of the follower's inequalities, its bounds included, and equalities e_k = 0 kept.
//! For a convex follower it is smooth in x wherever a strictly feasible answer exists (Slater), also where the active set
//! of v changes; f − v at its minimiser is at most τ times the number of sides (duality). Slacks above 1 take v_τ below v,
//! so that the relaxation has to grow with τ and the number of sides. Where there is no strictly feasible answer it has no
//! value.
//!
//! The minimiser is found by the interior-point method in (ỹ, s): an objective with −τ ln s_i, and rows s_i = slack, so
//! that a start need not be feasible.

use bilevel_linalg::{Csr, Dense};

use super::{ValueModel, ValuePoint};
use crate::lower::{Follower, FollowerProgram, LowerStatus, Meter, Regulariser};
use crate::nlp::{self, Frame, Multipliers, Nlp, interior_point};
use crate::problem::Failures;
use crate::smooth::{Family, Smoothing};

/// The barrier model of v.
pub struct BarrierValue<'a> {
    programme: BarrierProgramme<'a>,
    family: &'a dyn Family,
    mu: f64,
    warm: Vec<f64>,
    meter: Meter,
}

impl<'a> BarrierValue<'a> {
    /// The model for a follower; `start` is where the first solve starts.
    pub fn new(
        follower: &'a Follower,
        family: &'a dyn Family,
        start: &[f64],
        failures: &Failures,
        meter: &Meter,
    ) -> Self {
        let programme = BarrierProgramme::new(follower, failures);
        Self { programme, family, mu: 1.0, warm: start.to_vec(), meter: meter.clone() }
    }
}

impl BarrierValue<'_> {
    /// The number of sides in the barrier.
    pub fn sides(follower: &Follower) -> usize {
        let system = &follower.system;
        let all = [(&follower.lower, &follower.upper), (&system.row_lower, &system.row_upper)];
        let linear: usize = all.iter().map(|(lower, upper)| sides(lower, upper).0.len()).sum();
        linear + sides(&system.lower, &system.upper).0.len()
    }
}

impl ValueModel for BarrierValue<'_> {
    fn name(&self) -> &'static str {
        "barrier"
    }

    fn begin_stage(&mut self, mu: f64, _: &[f64]) {
        self.mu = mu;
    }

    fn suggest(&mut self, y: &[f64]) {
        self.warm = y.to_vec();
    }

    fn evaluate(&mut self, x: &[f64]) -> Result<ValuePoint, LowerStatus> {
        self.meter.count_many(1);
        let programme = &mut self.programme;
        let start = programme.fix(x, Smoothing::new(self.family, self.mu), self.mu, &self.warm);
        let found = interior_point::solve(programme, &start, &interior_point::Settings::default());
        match found.status {
            nlp::Status::Solved | nlp::Status::Acceptable => {}
            nlp::Status::Infeasible => return Err(LowerStatus::Infeasible),
            nlp::Status::Unbounded => return Err(LowerStatus::Unbounded),
            _ => return Err(LowerStatus::Numerical),
        }
        let size = programme.size();
        let y = &found.z[..size];
        // −τ ln s has no minimum where s is held at zero: a slack that vanishes says that Slater fails.
        if programme.least_slack(&found.z) < self.mu * STRICT {
            return Err(LowerStatus::Infeasible);
        }
        let mut gradient = vec![0.0; x.len()];
        let multipliers = programme.multipliers(&found);
        programme.inner.value_gradient(y, &multipliers, &mut gradient);
        self.warm = y.to_vec();
        let y = y[..programme.inner.follower().m].to_vec();
        Ok(ValuePoint { value: found.objective, gradient, y, ..ValuePoint::default() })
    }
}

/// A slack below this, relative to τ, would have a multiplier beyond its inverse.
const STRICT: f64 = 1e-9;

/// A finite side of an inequality: of which row or component, its limit, and +1 for a lower one.
#[derive(Clone, Copy, Debug)]
struct Side {
    index: usize,
    sign: f64,
}

/// min f − τ Σ ln s over (ỹ, s) at a fixed x.
struct BarrierProgramme<'a> {
    inner: FollowerProgram<'a>,
    tau: f64,
    /// Sides of rows, then of components; each has a slack variable.
    rows: Vec<Side>,
    components: Vec<Side>,
    equality_rows: Vec<usize>,
    equality_components: Vec<usize>,
    frame: Frame,
    values: Vec<f64>,
    jacobian: Dense,
    hessian: Dense,
}

impl<'a> BarrierProgramme<'a> {
    fn new(follower: &'a Follower, failures: &Failures) -> Self {
        let inner = FollowerProgram::new(follower, failures);
        let (size, system) = (follower.size(), &follower.system);
        let (rows, equality_rows) = sides(&system.row_lower, &system.row_upper);
        let (components, equality_components) = sides(&system.lower, &system.upper);
        let slacks = rows.len() + components.len();
        let mut frame = Frame::bounded(follower.lower.clone(), follower.upper.clone());
        frame.lower.resize(size + slacks, 0.0);
        frame.upper.resize(size + slacks, f64::INFINITY);
        let own = &inner.frame().rows;
        let mut triplets: Vec<(usize, usize, f64)> = Vec::new();
        for (k, side) in rows.iter().enumerate() {
            triplets.extend(own.row(side.index).map(|(j, a)| (k, j, side.sign * a)));
            triplets.push((k, size + k, -1.0));
        }
        for (k, &i) in equality_rows.iter().enumerate() {
            triplets.extend(own.row(i).map(|(j, a)| (rows.len() + k, j, a)));
        }
        let count = rows.len() + equality_rows.len();
        frame.rows =
            Csr::from_triplets(count, size + slacks, &triplets).unwrap_or_else(|| Csr::empty(count, size + slacks));
        frame.row_lower = vec![0.0; count];
        frame.row_upper = vec![0.0; count];
        let limits: Vec<f64> = components
            .iter()
            .map(|side| side.sign * if side.sign > 0.0 { system.lower[side.index] } else { system.upper[side.index] })
            .chain(equality_components.iter().map(|&i| system.lower[i]))
            .collect();
        frame.constraint_lower.clone_from(&limits);
        frame.constraint_upper = limits;
        let all = system.upper.len();
        Self {
            inner,
            tau: 1.0,
            rows,
            components,
            equality_rows,
            equality_components,
            frame,
            values: vec![0.0; all],
            jacobian: Dense::zeros(all, size),
            hessian: Dense::zeros(size, size),
        }
    }

    fn size(&self) -> usize {
        self.inner.follower().size()
    }

    /// Sets x and τ; the start that goes with `y`.
    fn fix(&mut self, x: &[f64], smoothing: Smoothing<'a>, tau: f64, y: &[f64]) -> Vec<f64> {
        self.inner.fix(x, smoothing, &Regulariser::default());
        self.tau = tau;
        let own = self.inner.frame();
        let limit = |side: &Side| if side.sign > 0.0 { own.row_lower[side.index] } else { own.row_upper[side.index] };
        let limits: Vec<f64> = (self.rows.iter().map(|side| side.sign * limit(side)))
            .chain(self.equality_rows.iter().map(|&i| own.row_lower[i]))
            .collect();
        self.frame.row_lower.clone_from(&limits);
        self.frame.row_upper = limits;
        let mut z = self.inner.follower().extend(x, y);
        for (k, side) in self.rows.iter().enumerate() {
            let value = self.inner.frame().rows.row_dot(side.index, &z);
            z.push((side.sign * value - self.frame.row_lower[k]).max(tau));
        }
        self.inner.constraints(&z[..self.size()], &mut self.values);
        for (k, side) in self.components.iter().enumerate() {
            z.push((side.sign * self.values[side.index] - self.frame.constraint_lower[k]).max(tau));
        }
        z
    }

    /// The sides of ỹ's bounds: (variable, distance, sign).
    fn bounds(&self, z: &[f64]) -> Vec<(usize, f64, f64)> {
        let follower = self.inner.follower();
        let mut out = Vec::new();
        for (j, value) in z[..self.size()].iter().enumerate() {
            let (low, high) = (follower.lower[j], follower.upper[j]);
            if low < high {
                out.extend(low.is_finite().then(|| (j, value - low, 1.0)));
                out.extend(high.is_finite().then(|| (j, high - value, -1.0)));
            }
        }
        out
    }

    fn least_slack(&self, z: &[f64]) -> f64 {
        z[self.size()..].iter().fold(f64::INFINITY, |a: f64, &s| a.min(s))
    }

    /// τ / s for the inequalities, the solve's multipliers for the equalities, in the follower's own terms.
    fn multipliers(&self, found: &nlp::Solution) -> Multipliers {
        let system = &self.inner.follower().system;
        let mut out = Multipliers {
            bounds: vec![0.0; self.size()],
            rows: vec![0.0; system.row_upper.len()],
            constraints: vec![0.0; system.upper.len()],
        };
        let slacks = &found.z[self.size()..];
        for (side, s) in self.rows.iter().zip(slacks) {
            out.rows[side.index] += side.sign * self.tau / s;
        }
        for (side, s) in self.components.iter().zip(&slacks[self.rows.len()..]) {
            out.constraints[side.index] += side.sign * self.tau / s;
        }
        for (&i, w) in self.equality_rows.iter().zip(&found.multipliers.rows[self.rows.len()..]) {
            out.rows[i] = *w;
        }
        for (&i, w) in self.equality_components.iter().zip(&found.multipliers.constraints[self.components.len()..]) {
            out.constraints[i] = *w;
        }
        out
    }
}

/// The finite sides of inequalities, and which ones are equalities.
fn sides(lower: &[f64], upper: &[f64]) -> (Vec<Side>, Vec<usize>) {
    let (mut sides, mut equalities) = (Vec::new(), Vec::new());
    for (index, (&low, &high)) in lower.iter().zip(upper).enumerate() {
        if low == high {
            equalities.push(index);
            continue;
        }
        sides.extend(low.is_finite().then_some(Side { index, sign: 1.0 }));
        sides.extend(high.is_finite().then_some(Side { index, sign: -1.0 }));
    }
    (sides, equalities)
}

impl Nlp for BarrierProgramme<'_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, z: &[f64]) -> f64 {
        let size = self.size();
        let logs: f64 = z[size..].iter().map(|s| s.ln()).sum();
        let bounds: f64 = self.bounds(z).iter().map(|(_, distance, _)| distance.ln()).sum();
        self.inner.objective(&z[..size]) - self.tau * (logs + bounds)
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        let size = self.size();
        self.inner.gradient(&z[..size], &mut out[..size]);
        for (j, distance, sign) in self.bounds(z) {
            out[j] -= sign * self.tau / distance;
        }
        for (o, s) in out[size..].iter_mut().zip(&z[size..]) {
            *o = -self.tau / s;
        }
    }

    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        let size = self.size();
        self.inner.constraints(&z[..size], &mut self.values);
        let first = size + self.rows.len();
        for (k, side) in self.components.iter().enumerate() {
            out[k] = side.sign * self.values[side.index] - z[first + k];
        }
        for (o, &i) in out[self.components.len()..].iter_mut().zip(&self.equality_components) {
            *o = self.values[i];
        }
    }

    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        let size = self.size();
        out.data_mut().fill(0.0);
        self.inner.jacobian(&z[..size], &mut self.jacobian);
        let first = size + self.rows.len();
        for (k, side) in self.components.iter().enumerate() {
            let row = out.row_mut(k);
            row.iter_mut().zip(self.jacobian.row(side.index)).for_each(|(o, a)| *o = side.sign * a);
            row[first + k] = -1.0;
        }
        for (k, &i) in self.equality_components.iter().enumerate() {
            out.row_mut(self.components.len() + k)[..size].copy_from_slice(self.jacobian.row(i));
        }
    }

    fn hessian(&mut self, z: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        let size = self.size();
        let mut own = vec![0.0; self.values.len()];
        for (side, w) in self.components.iter().zip(weights) {
            own[side.index] += side.sign * w;
        }
        for (&i, w) in self.equality_components.iter().zip(&weights[self.components.len()..]) {
            own[i] += w;
        }
        if !self.inner.hessian(&z[..size], objective_weight, &own, &mut self.hessian) {
            return false;
        }
        out.data_mut().fill(0.0);
        for j in 0..size {
            out.row_mut(j)[..size].copy_from_slice(self.hessian.row(j));
        }
        for (j, distance, _) in self.bounds(z) {
            out[(j, j)] += objective_weight * self.tau / (distance * distance);
        }
        for (k, s) in z[size..].iter().enumerate() {
            out[(size + k, size + k)] = objective_weight * self.tau / (s * s);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prelude::*;
    use crate::smooth::Chks;

    fn model<'a>(follower: &'a Follower, y: f64) -> BarrierValue<'a> {
        BarrierValue::new(follower, &Chks, &vec![y; follower.m], &Failures::default(), &Meter::unlimited())
    }

    /// f = y over y >= x, y >= -x: v = |x|. With p = y - x, q = y + x: 1 = τ (1/p + 1/q), hence y = τ + √(τ² + x²) and
    /// v_τ = y - τ ln(y² - x²), v_τ' = τ 2x / (y² - x²) by the envelope.
    #[test]
    fn the_absolute_value_in_closed_form() {
        let mut problem = Model::new();
        let x = problem.leader("x", 1).free().unwrap();
        let y = problem.follower("y", 1).free().unwrap();
        problem.upper(x.sum()).lower(y.sum());
        problem.lower_subject_to((&y - &x).sum().at_least(0.0)).lower_subject_to((&y + &x).sum().at_least(0.0));
        let problem = problem.build().unwrap();
        let follower = Follower::direct(&problem);
        let mut value = model(&follower, 3.0);
        for tau in [1.0, 1e-2, 1e-4, 1e-6] {
            value.begin_stage(tau, &[]);
            for x in [0.0, 0.3, -0.7, 2.0] {
                let found = value.evaluate(&[x]).unwrap();
                let y = tau + (tau * tau + x * x).sqrt();
                let product = 2.0 * tau * y;
                let exact = y - tau * product.ln();
                assert!((found.value - exact).abs() < 1e-8, "tau {tau}, x {x}: {} {exact}", found.value);
                assert!((found.gradient[0] - 2.0 * tau * x / product).abs() < 1e-5, "tau {tau}, x {x}: {found:?}");
                assert!((exact - x.abs()).abs() <= 2.0 * tau * (1.0 + tau.ln().abs()));
            }
        }
    }

    /// A quadratic follower in a disc that moves with x, an equality, and bounds: gradients by differences, and v as τ
    /// goes to 0.
    #[test]
    fn gradients_by_differences_and_the_limit() {
        let mut problem = Model::new();
        let x = problem.leader("x", 2).free().unwrap();
        let y = problem.follower("y", 3).within(Bounds::new(-2.0, 2.0).unwrap()).unwrap();
        problem.upper(x.sum()).lower((&y - 1.0).norm2sq() + (x.index(0) * y.index(1)).sum());
        problem.lower_subject_to((y.index(0).square() + y.index(1).square() - x.index(1).square()).sum().at_most(1.0));
        problem.lower_subject_to((y.index(0) + y.index(2) - x.index(0)).sum().equal_to(0.0));
        let problem = problem.build().unwrap();
        let follower = Follower::direct(&problem);
        let failures = Failures::default();
        let mut value = model(&follower, 0.1);
        let mut exact = crate::lower::LowerSolver::new(&follower, &failures, &Meter::unlimited());
        for (tau, near) in [(1e-1, 1.0), (1e-3, 0.05), (1e-6, 1e-4)] {
            value.begin_stage(tau, &[]);
            for x in [[0.3, 0.2], [-0.4, 0.6], [1.0, -0.5]] {
                let found = value.evaluate(&x).unwrap();
                for j in 0..2 {
                    let mut at = |t: f64| {
                        let mut z = x;
                        z[j] += t;
                        value.evaluate(&z).unwrap().value
                    };
                    let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
                    assert!((difference - found.gradient[j]).abs() < 1e-5, "{j}: {difference} {:?}", found.gradient);
                }
                let v = exact.solve(&x, &[0.1; 3], Smoothing::EXACT, &Regulariser::default()).value;
                assert!((found.value - v).abs() < near, "tau {tau}: {} for {v}", found.value);
            }
        }
    }

    #[test]
    fn no_value_without_a_strictly_feasible_answer() {
        let mut problem = Model::new();
        let x = problem.leader("x", 1).free().unwrap();
        let y = problem.follower("y", 1).free().unwrap();
        problem.upper(x.sum()).lower(y.sum()).lower_subject_to((y.square() - &x).sum().at_most(0.0));
        let problem = problem.build().unwrap();
        let follower = Follower::direct(&problem);
        let mut value = model(&follower, 0.0);
        value.begin_stage(1e-2, &[]);
        assert!(value.evaluate(&[1.0]).is_ok());
        assert!(value.evaluate(&[-1.0]).is_err());
    }
}
