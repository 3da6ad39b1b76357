//! The untrusted local solver: it proposes points and multipliers, which the proofs then check.
//!
//! A primal-dual interior-point method for
//!
//! ```text
//! minimise f(y)  subject to  g(y) + shift <= 0,  h(y) = 0,  lower <= y <= upper
//! ```
//!
//! with slacks for the inequalities, a Newton system reduced to the variables, the equalities as a stiff penalty, a
//! shift of the diagonal until the matrix is positive definite, and an ℓ1 merit function with backtracking
//! [Nocedal & Wright 2006, ch. 19]. Nothing here is rounded outward and nothing has to be: a bad answer makes a weak
//! bound, never a wrong one.

use bilevel_linalg::{Cholesky, Dense};

use super::interval::Interval;
use super::program::{Program, Sweep};

/// Stiffness of the equalities.
const PENALTY: f64 = 1e9;
/// Where the barrier ends, relative to 1.
const LAST_BARRIER: f64 = 1e-12;

/// The local solver with its memory and its last answer.
#[derive(Clone, Debug)]
pub struct LocalSearch {
    sweep: Sweep<f64>,
    inequalities: usize,
    equalities: usize,
    /// The last answer.
    pub point: Vec<f64>,
    /// Its multipliers of the inequalities, >= 0.
    pub inequality_multipliers: Vec<f64>,
    /// Its multipliers of the equalities.
    pub equality_multipliers: Vec<f64>,
    factor: Cholesky,
}

/// A point with its slacks and multipliers.
#[derive(Clone, Debug)]
struct State {
    y: Vec<f64>,
    slack: Vec<f64>,
    dual: Vec<f64>,
    equality: Vec<f64>,
    lower_dual: Vec<f64>,
    upper_dual: Vec<f64>,
}

/// Everything that a Newton step needs at a point.
struct Model {
    gradient: Vec<f64>,
    values: Vec<f64>,
    jacobian: Vec<Vec<f64>>,
}

/// The box in `f64`, restricted to the variables that move.
struct Frame<'a> {
    program: &'a Program,
    domain: &'a [Interval],
    active: Vec<usize>,
    shift: f64,
}

impl Frame<'_> {
    fn to_lower(&self, v: usize, y: f64) -> f64 {
        y - self.domain[v].lo()
    }
    fn to_upper(&self, v: usize, y: f64) -> f64 {
        self.domain[v].hi() - y
    }
}

impl LocalSearch {
    /// For programs with one objective, then `inequalities`, then `equalities`.
    pub fn new(program: &Program, inequalities: usize, equalities: usize) -> Self {
        Self {
            sweep: Sweep::new(program),
            inequalities,
            equalities,
            point: vec![0.0; program.variables()],
            inequality_multipliers: vec![0.0; inequalities],
            equality_multipliers: vec![0.0; equalities],
            factor: Cholesky::new(),
        }
    }

    /// Searches in `domain` from `start`; the answer is in `point` and the multipliers. Returns false if not even the
    /// start could be evaluated.
    pub fn run(
        &mut self,
        program: &Program,
        domain: &[Interval],
        start: &[f64],
        shift: f64,
        iterations: usize,
    ) -> bool {
        let active: Vec<_> = (0..domain.len()).filter(|&v| !domain[v].is_point()).collect();
        let frame = Frame { program, domain, active, shift };
        self.point.clear();
        self.point.extend(start.iter().zip(domain).map(|(&y, z)| inside(*z, y)));
        self.inequality_multipliers.fill(0.0);
        self.equality_multipliers.fill(0.0);
        let Some(mut values) = self.values(&frame, &self.point.clone()) else {
            return false;
        };
        let mut state = self.initial(&frame, &values);
        let mut barrier = 0.1;
        let mut stuck = 0;
        for _ in 0..iterations {
            let model = self.model(&frame, &state, values);
            let error = residual(&frame, &state, &model, 0.0, self.inequalities);
            if error < 1e-10 {
                break;
            }
            while barrier > LAST_BARRIER
                && residual(&frame, &state, &model, barrier, self.inequalities) < 10.0 * barrier
            {
                barrier = (0.2 * barrier).min(barrier.powf(1.5)).max(LAST_BARRIER);
            }
            let Some(step) = self.direction(&frame, &state, &model, barrier) else {
                break;
            };
            match self.advance(&frame, &mut state, &model, &step, barrier) {
                Some((new, long)) => {
                    values = new;
                    stuck = if long { 0 } else { stuck + 1 };
                }
                None => break,
            }
            if stuck > 6 {
                break;
            }
        }
        self.point.clone_from(&state.y);
        self.inequality_multipliers.clone_from(&state.dual);
        self.equality_multipliers.clone_from(&state.equality);
        true
    }

    /// Objective, inequalities (shifted) and equalities; `None` if one is not finite.
    fn values(&mut self, frame: &Frame<'_>, y: &[f64]) -> Option<Vec<f64>> {
        self.sweep.forward(frame.program, y);
        let values: Vec<_> = (0..frame.program.roots())
            .map(|r| {
                let shift = if r >= 1 && r <= self.inequalities { frame.shift } else { 0.0 };
                self.sweep.value(frame.program, r) + shift
            })
            .collect();
        values.iter().all(|v| v.is_finite()).then_some(values)
    }

    fn initial(&self, frame: &Frame<'_>, values: &[f64]) -> State {
        let slack: Vec<_> = values[1..=self.inequalities].iter().map(|g| (-g).max(1e-2)).collect();
        let bound_dual = |distance: f64| if distance.is_finite() { (0.1 / distance).min(1e6) } else { 0.0 };
        State {
            y: self.point.clone(),
            dual: slack.iter().map(|s| 0.1 / s).collect(),
            slack,
            equality: vec![0.0; self.equalities],
            lower_dual: frame.active.iter().map(|&v| bound_dual(frame.to_lower(v, self.point[v]))).collect(),
            upper_dual: frame.active.iter().map(|&v| bound_dual(frame.to_upper(v, self.point[v]))).collect(),
        }
    }

    /// First derivatives; the sweep holds the forward values at the state already.
    fn model(&mut self, frame: &Frame<'_>, state: &State, values: Vec<f64>) -> Model {
        self.sweep.forward(frame.program, &state.y);
        let mut row = vec![0.0; frame.program.variables()];
        let mut rows: Vec<Vec<f64>> = Vec::with_capacity(values.len());
        for r in 0..frame.program.roots() {
            self.sweep.gradient(frame.program, r, &mut row);
            rows.push(frame.active.iter().map(|&v| finite(row[v])).collect());
        }
        let jacobian = rows.split_off(1);
        Model { gradient: rows.pop().unwrap_or_default(), values, jacobian }
    }

    /// The Newton step in the variables.
    fn direction(&mut self, frame: &Frame<'_>, state: &State, model: &Model, barrier: f64) -> Option<Vec<f64>> {
        let k = frame.active.len();
        let p = self.inequalities;
        let mut weights = vec![1.0; 1 + p + self.equalities];
        weights[1..=p].copy_from_slice(&state.dual);
        weights[1 + p..].copy_from_slice(&state.equality);
        let mut matrix = Dense::zeros(k, k);
        self.sweep.hessian(frame.program, &weights, &frame.active, matrix.data_mut());
        matrix.data_mut().iter_mut().for_each(|h| *h = finite(*h));
        let mut right: Vec<f64> = model.gradient.iter().map(|g| -g).collect();
        for (i, row) in model.jacobian.iter().enumerate() {
            let value = model.values[1 + i];
            // Multiplier estimate and curvature of the row: barrier rows for inequalities, stiff ones for equalities.
            let (estimate, stiffness) = if i < p {
                let ratio = state.dual[i] / state.slack[i];
                (barrier / state.slack[i] + ratio * (value + state.slack[i]), ratio)
            } else {
                (state.equality[i - p] + PENALTY * value, PENALTY)
            };
            for a in 0..k {
                if row[a] != 0.0 {
                    right[a] -= row[a] * estimate;
                    let scaled = stiffness * row[a];
                    matrix.row_mut(a).iter_mut().zip(row).for_each(|(m, r)| *m += scaled * r);
                }
            }
        }
        for (a, &v) in frame.active.iter().enumerate() {
            let (below, above) = (frame.to_lower(v, state.y[v]), frame.to_upper(v, state.y[v]));
            if below.is_finite() {
                matrix[(a, a)] += state.lower_dual[a] / below;
                right[a] += barrier / below;
            }
            if above.is_finite() {
                matrix[(a, a)] += state.upper_dual[a] / above;
                right[a] -= barrier / above;
            }
        }
        let largest = (0..k).fold(1e-8, |m: f64, a| m.max(matrix[(a, a)].abs().min(1e12)));
        let mut shift = 0.0;
        for _ in 0..24 {
            if self.factor.factor(&matrix, shift).is_ok() && self.factor.solve(&mut right).is_ok() {
                return right.iter().all(|r| r.is_finite()).then_some(right);
            }
            shift = if shift == 0.0 { 1e-8 * largest.min(1e4) } else { 8.0 * shift };
        }
        None
    }

    /// Moves along the step; the new values and whether the step was of a useful length.
    fn advance(
        &mut self,
        frame: &Frame<'_>,
        state: &mut State,
        model: &Model,
        step: &[f64],
        barrier: f64,
    ) -> Option<(Vec<f64>, bool)> {
        const TO_BOUNDARY: f64 = 0.995;
        let p = self.inequalities;
        let dot = |row: &[f64]| row.iter().zip(step).map(|(a, b)| a * b).sum::<f64>();
        let mut slack_step = vec![0.0; p];
        let mut dual_step = vec![0.0; p];
        let (mut primal, mut dual) = (1.0_f64, 1.0_f64);
        let limit = |length: &mut f64, value: f64, change: f64| {
            if change < 0.0 {
                *length = length.min(-TO_BOUNDARY * value / change);
            }
        };
        for i in 0..p {
            let (s, z) = (state.slack[i], state.dual[i]);
            slack_step[i] = -(model.values[1 + i] + s) - dot(&model.jacobian[i]);
            dual_step[i] = barrier / s - z - z / s * slack_step[i];
            limit(&mut primal, s, slack_step[i]);
            limit(&mut dual, z, dual_step[i]);
        }
        let (mut lower_step, mut upper_step) = (vec![0.0; step.len()], vec![0.0; step.len()]);
        for (a, &v) in frame.active.iter().enumerate() {
            let (below, above) = (frame.to_lower(v, state.y[v]), frame.to_upper(v, state.y[v]));
            if below.is_finite() {
                lower_step[a] = barrier / below - state.lower_dual[a] * (1.0 + step[a] / below);
                limit(&mut primal, below, step[a]);
                limit(&mut dual, state.lower_dual[a], lower_step[a]);
            }
            if above.is_finite() {
                upper_step[a] = barrier / above - state.upper_dual[a] * (1.0 - step[a] / above);
                limit(&mut primal, above, -step[a]);
                limit(&mut dual, state.upper_dual[a], upper_step[a]);
            }
        }
        let weight = 2.0 * state.dual.iter().chain(&state.equality).fold(1.0, |m: f64, z| m.max(z.abs()));
        let start = merit(frame, &state.y, &state.slack, &model.values, barrier, weight, p);
        for attempt in 0..12 {
            let mut y = state.y.clone();
            for (a, &v) in frame.active.iter().enumerate() {
                y[v] += primal * step[a];
            }
            let slack: Vec<_> = state.slack.iter().zip(&slack_step).map(|(s, d)| s + primal * d).collect();
            if let Some(values) = self.values(frame, &y) {
                let now = merit(frame, &y, &slack, &values, barrier, weight, p);
                if now <= start + 1e-9 * (1.0 + start.abs()) || attempt == 11 {
                    for i in 0..self.equalities {
                        let row = &model.jacobian[p + i];
                        let change = PENALTY * (model.values[1 + p + i] + dot(row));
                        state.equality[i] += primal * change.clamp(-1e8, 1e8);
                    }
                    state.y = y;
                    state.slack = slack;
                    add(&mut state.dual, dual, &dual_step);
                    add(&mut state.lower_dual, dual, &lower_step);
                    add(&mut state.upper_dual, dual, &upper_step);
                    return Some((values, attempt < 6 && primal > 1e-3));
                }
            }
            primal *= 0.5;
        }
        None
    }
}

fn add(z: &mut [f64], length: f64, step: &[f64]) {
    z.iter_mut().zip(step).for_each(|(z, d)| *z = (*z + length * d).max(1e-300));
}

fn finite(v: f64) -> f64 {
    if v.is_finite() { v } else { 0.0 }
}

/// A point well inside `z`, near `y`.
fn inside(z: Interval, y: f64) -> f64 {
    if z.is_point() {
        return z.lo();
    }
    let y = if y.is_finite() { y } else { z.mid() };
    if z.is_bounded() {
        let margin = 1e-2 * (z.hi() - z.lo());
        return y.clamp(z.lo() + margin, (z.hi() - margin).max(z.lo() + margin));
    }
    let margin = 1e-2 * (1.0 + y.abs());
    y.max(z.lo() + margin).min(z.hi() - margin)
}

/// Largest error of the optimality conditions with complementarity at `barrier`.
fn residual(frame: &Frame<'_>, state: &State, model: &Model, barrier: f64, p: usize) -> f64 {
    let mut stationarity = model.gradient.clone();
    for (i, row) in model.jacobian.iter().enumerate() {
        let multiplier = if i < p { state.dual[i] } else { state.equality[i - p] };
        stationarity.iter_mut().zip(row).for_each(|(s, a)| *s += multiplier * a);
    }
    let mut error = 0.0_f64;
    for (a, &v) in frame.active.iter().enumerate() {
        let (below, above) = (frame.to_lower(v, state.y[v]), frame.to_upper(v, state.y[v]));
        stationarity[a] += state.upper_dual[a] - state.lower_dual[a];
        error = error.max(stationarity[a].abs());
        for (distance, dual) in [(below, state.lower_dual[a]), (above, state.upper_dual[a])] {
            if distance.is_finite() {
                error = error.max((distance * dual - barrier).abs());
            }
        }
    }
    let size = 1.0 + state.dual.iter().chain(&state.equality).fold(0.0, |m: f64, z| m.max(z.abs())) / 100.0;
    error /= size;
    for i in 0..p {
        error = error.max((model.values[1 + i] + state.slack[i]).abs());
        error = error.max((state.slack[i] * state.dual[i] - barrier).abs() / size);
    }
    model.values[1 + p..].iter().fold(error, |m, h| m.max(h.abs()))
}

fn merit(frame: &Frame<'_>, y: &[f64], slack: &[f64], values: &[f64], barrier: f64, weight: f64, p: usize) -> f64 {
    let mut sum = values[0];
    for (i, s) in slack.iter().enumerate() {
        sum += weight * (values[1 + i] + s).abs() - barrier * s.ln();
    }
    sum += values[1 + p..].iter().map(|h| weight * h.abs()).sum::<f64>();
    for &v in &frame.active {
        for distance in [frame.to_lower(v, y[v]), frame.to_upper(v, y[v])] {
            if distance.is_finite() {
                sum -= barrier * distance.ln();
            }
        }
    }
    sum
}
