//! The hyper-objectives of an eta-rational follower, who takes any answer within eta of the best:
//!
//! ```text
//! S_eta(x) = { y feasible : f(x, y) <= v(x) + eta },      φ^eta = min or max of F over it        (mathematics §4b)
//! ```
//!
//! One nonlinear programme with f as a further constraint; with eta > 0 it has an interior wherever the follower's own
//! constraints have one. By the envelope theorem, with u <= 0 the multiplier of f <= v + eta,
//! ∇φ^eta = ∇ₓ(Lagrangian of F) − u (∇ₓf − ∇v). From several starts, and as a one-sided bound, where F is not convex over
//! S_eta(x) or the follower is not.

use bilevel_linalg::Dense;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::constrained::{Constrained, signed};
use super::facts::Facts;
use super::functions::Functions;
use super::{Answers, End, Evaluation, HyperFailure, HyperPoint, HyperSettings};
use crate::lower::{FollowerProgram, LowerSolver, Meter, Regulariser};
use crate::nlp::{self, Frame, Multipliers, Nlp, interior_point};
use crate::problem::{Attitude, Failures, Problem};
use crate::smooth::{Chks, Smoothing};
use crate::solution::Rigor;

/// A solution may violate its constraints by this, relative to 1 + the size of their bounds.
const FEASIBLE: f64 = 1e-8;

/// Smoothing level of F's kinks.
const KINKS: f64 = 1e-6;

/// sign * F over the follower's constraints and f <= level.
struct NearlyBest<'p, 'a> {
    upper: &'p mut FollowerProgram<'a>,
    lower: &'p mut FollowerProgram<'a>,
    frame: Frame,
    own: usize,
    square: Dense,
    wide: Dense,
}

impl<'p, 'a> NearlyBest<'p, 'a> {
    fn new(upper: &'p mut FollowerProgram<'a>, lower: &'p mut FollowerProgram<'a>, level: f64) -> Self {
        let mut frame = upper.frame().clone();
        let (own, d) = (frame.constraints(), frame.variables());
        frame.constraint_lower.push(f64::NEG_INFINITY);
        frame.constraint_upper.push(level);
        Self { upper, lower, frame, own, square: Dense::zeros(d, d), wide: Dense::zeros(own, d) }
    }
}

impl Nlp for NearlyBest<'_, '_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, y: &[f64]) -> f64 {
        self.upper.objective(y)
    }

    fn gradient(&mut self, y: &[f64], out: &mut [f64]) {
        self.upper.gradient(y, out);
    }

    fn constraints(&mut self, y: &[f64], out: &mut [f64]) {
        let (own, level) = out.split_at_mut(self.own);
        self.upper.constraints(y, own);
        level[0] = self.lower.objective(y);
    }

    fn jacobian(&mut self, y: &[f64], out: &mut Dense) {
        self.upper.jacobian(y, &mut self.wide);
        for i in 0..self.own {
            out.row_mut(i).copy_from_slice(self.wide.row(i));
        }
        self.lower.gradient(y, out.row_mut(self.own));
    }

    fn hessian(&mut self, y: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        let (own, level) = weights.split_at(self.own);
        let there = self.upper.hessian(y, objective_weight, own, out);
        let also = self.lower.hessian(y, level[0], &vec![0.0; self.own], &mut self.square);
        out.data_mut().iter_mut().zip(self.square.data()).for_each(|(o, s)| *o += s);
        there && also
    }
}

impl Constrained {
    /// φ^eta at x, with eta > 0 from the settings.
    pub fn rational(
        &self,
        problem: &Problem,
        attitude: Attitude,
        facts: &Facts,
        settings: &HyperSettings,
        (x, start): (&[f64], &[f64]),
    ) -> Result<Evaluation, HyperFailure> {
        let failures = Failures::default();
        let smoothing = self.smoothing();
        let minimisers = self.minimisers(problem, facts, settings, (x, start), smoothing, &failures)?;
        let v = minimisers.first().map_or(f64::NAN, |best| best.plain);
        let objective = signed(&problem.leader().objective, attitude, self.lower().n, self.lower().size());
        let form = self.lower().with_objective(objective);
        let mut lower = FollowerProgram::new(self.lower(), &failures);
        let mut upper = FollowerProgram::new(&form, &failures);
        let kinks = if facts.upper.smooth { Smoothing::EXACT } else { Smoothing::new(&Chks, KINKS) };
        lower.fix(x, smoothing, &Regulariser::default());
        upper.fix(x, kinks, &Regulariser::default());
        let mut functions = Functions::new(problem, attitude, x);
        let convex = facts.follower_convex && facts.upper.is_convex(functions.sign());
        let mut programme = NearlyBest::new(&mut upper, &mut lower, v + settings.eta);
        let bases: Vec<&[f64]> = minimisers.iter().map(|solution| solution.y.as_slice()).collect();
        let found = search(&mut programme, &bases, convex, settings)?;
        let m = problem.m();
        let value = functions.upper(&found.z[..m]);
        if !value.is_finite() {
            return Err(HyperFailure::unsolved(&failures));
        }
        let mut solver = LowerSolver::new(self.lower(), &failures, &Meter::unlimited());
        let again = solver.solve(x, &minimisers[0].y, smoothing, &Regulariser::default());
        let mut slope_v = vec![0.0; x.len()];
        solver.value_gradient(&again, &mut slope_v);
        // Several answers that tie make v nonsmooth: its gradient is not one vector.
        let smooth = minimisers.len() == 1;
        let sign = functions.sign();
        let subgradient = if smooth { envelope(&mut upper, &mut lower, &found, &slope_v, sign) } else { None };
        let error = FEASIBLE * (1.0 + value.abs());
        let global = convex && found.status.is_success();
        let least = End { value: if global { value - error } else { f64::NEG_INFINITY }, rigor: Rigor::Estimated };
        let most = End { value: value + error, rigor: Rigor::Estimated };
        let point = HyperPoint::signed(sign, value, least, most, found.z[..m].to_vec(), subgradient);
        let route = "answers within the follower's tolerance";
        Ok(Evaluation { point, answers: Answers::Tolerance, route, gradients: functions.gradients })
    }
}

/// The best local solution from the follower's minimisers and, unless convex, from points around them.
fn search(
    programme: &mut NearlyBest<'_, '_>,
    bases: &[&[f64]],
    convex: bool,
    settings: &HyperSettings,
) -> Result<nlp::Solution, HyperFailure> {
    let mut starts: Vec<Vec<f64>> = bases.iter().map(|base| base.to_vec()).collect();
    if convex {
        starts.truncate(1);
    } else {
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        for k in 0..settings.starts {
            let base = bases[k % bases.len()];
            // From narrow to wide: eta says nothing about the size of S_eta in y.
            let width = 10f64.powi((k % 4) as i32 - 2);
            let noise = |v: &f64| v + width * (1.0 + v.abs()) * standard(&mut rng);
            starts.push(base.iter().map(noise).collect());
        }
    }
    let options = interior_point::Settings::default();
    let mut best: Option<nlp::Solution> = None;
    for start in &starts {
        let found = interior_point::solve(programme, start, &options);
        if found.status == nlp::Status::Unbounded {
            return Err(HyperFailure::Infinite);
        }
        let size = found.z.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
        let usable = found.objective.is_finite() && found.residuals.violation <= FEASIBLE * size;
        if usable && best.as_ref().is_none_or(|b| found.objective < b.objective) {
            best = Some(found);
        }
    }
    best.ok_or_else(|| HyperFailure::Numerical("no answer within the follower's tolerance was found".into()))
}

fn standard(rng: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(rng)
}

/// ∇φ^eta by the envelope theorem.
fn envelope(
    upper: &mut FollowerProgram<'_>,
    lower: &mut FollowerProgram<'_>,
    found: &nlp::Solution,
    slope_v: &[f64],
    sign: f64,
) -> Option<Vec<f64>> {
    let (u, own) = found.multipliers.constraints.split_last()?;
    let multipliers = Multipliers { constraints: own.to_vec(), ..found.multipliers.clone() };
    let none =
        Multipliers { rows: vec![0.0; multipliers.rows.len()], constraints: vec![0.0; own.len()], bounds: Vec::new() };
    let (mut out, mut slope_f) = (vec![0.0; slope_v.len()], vec![0.0; slope_v.len()]);
    upper.value_gradient(&found.z, &multipliers, &mut out);
    lower.value_gradient(&found.z, &none, &mut slope_f);
    for ((out, f), v) in out.iter_mut().zip(&slope_f).zip(slope_v) {
        *out = sign * (*out - u * (f - v));
    }
    out.iter().all(|v| v.is_finite()).then_some(out)
}
