//! The certificate of a checked point: gaps, stationarity and the multipliers of both levels.

use bilevel_linalg::stop;

use super::super::models;
use super::super::presolve::IN_OTHER_UNITS;
use super::{Checked, Chooser, VIOLATION};
use crate::certificate::{Degeneracy, PointInUnits, check_kkt, multipliers};
use crate::lower::{LowerSolver, LowerStatus, Meter, Pool, PoolSettings, Regulariser};
use crate::problem::{NamedValues, Place};
use crate::solution::{Certificate, Multipliers, Rigor, Stationarity, Work};
use crate::upper::{Run, branch_residual, optimality_residual, reduced_residual, reducible};
use crate::value::ValueKind;

/// Followers with more variables are too large for the dense optimality system.
const LARGEST_SYSTEM: usize = 1500;
/// The same, for a run that was told to end.
const HASTY_SYSTEM: usize = 200;
/// Offset of seeds, so that a check never repeats the random numbers of what it checks.
const FRESH: u64 = 1 << 32;

impl Chooser<'_> {
    /// What is known of a checked point.
    pub(super) fn certificate(&self, best: &Checked, run: Option<&Run>, work: &mut Work) -> (Certificate, Multipliers) {
        let (x, y) = (&best.candidate.x, &best.candidate.y);
        let mut certificate = self.verifier.certificate(x, y, self.options.attitude, best.check.as_ref());
        if certificate.witness.is_none() {
            certificate.statements.extend(self.degeneracies(x, y));
        }
        if let Some(run) = run {
            let way = &self.presolved.way;
            certificate.multipliers_by_stage =
                run.multipliers.iter().map(|&(epsilon, lambda)| way.stage(epsilon, lambda)).collect();
            certificate.kkt = self.kkt(run, work).map(|kkt| way.leave_kkt(kkt, self.problem));
        }
        let (mut stationarity, solved) = self.stationarity(best, work);
        if let Some(stationarity) = stationarity.as_mut().filter(|_| !self.presolved.way.is_identity()) {
            stationarity.measure.push_str(IN_OTHER_UNITS);
        }
        certificate.stationarity = stationarity;
        (certificate, self.fitted(best, solved))
    }

    /// Constraint qualifications of the follower that fail at y, in words; looked at where it has an exact smooth form.
    fn degeneracies(&self, x: &[f64], y: &[f64]) -> Vec<String> {
        let levels = &self.analysis.levels;
        let follower = levels.exact_follower.as_ref().filter(|follower| !follower.is_lifted());
        let (x, y) = self.presolved.way.enter(x, y);
        let found = follower.and_then(|follower| Degeneracy::of(follower, &x, &y, self.failures));
        found.map_or_else(Vec::new, |degeneracy| degeneracy.statements(levels.convex))
    }

    /// The multipliers of both levels; `solved` are the follower's where it has an exact form that shows more than its own
    /// formulas do.
    fn fitted(&self, best: &Checked, solved: Multipliers) -> Multipliers {
        if best.violation > VIOLATION {
            return Multipliers::default();
        }
        let (problem, way) = (self.problem, &self.presolved.way);
        let units = way.units(problem.n(), problem.m());
        let (x, y) = (&best.candidate.x, &best.candidate.y);
        let point = PointInUnits { x, y, units: (&units.0, &units.1) };
        let mut found = multipliers(problem, point, self.options.attitude, self.failures);
        let same = matches!(self.presolved.problem, std::borrow::Cow::Borrowed(_));
        if found.follower.0.is_empty() && !solved.follower.0.is_empty() && same {
            found = solved;
        }
        found
    }

    fn kkt(&self, run: &Run, work: &mut Work) -> Option<crate::solution::KktPoint> {
        let point = run.smoothed.as_ref()?;
        let seed = models::Seed { x: &point.x, y: &point.y, seed: self.options.seed.wrapping_add(FRESH) };
        let kind = ValueKind::by_name(point.value_model)?;
        let levels = &self.analysis.levels;
        let meter = Meter::unlimited();
        let model =
            models::value_model(kind, &levels.follower, self.analysis, self.options, seed, self.failures, &meter);
        let point = check_kkt(&self.presolved.problem, levels, point, model, self.options.smoothing, self.failures);
        work.lower_solves += meter.used();
        point
    }

    /// The residual of the combined optimality system at the answer, with multipliers from a fresh lower solve.
    fn stationarity(&self, best: &Checked, work: &mut Work) -> (Option<Stationarity>, Multipliers) {
        let levels = &self.analysis.levels;
        let (x, y) = &self.presolved.way.enter(&best.candidate.x, &best.candidate.y);
        if let Some(found) = levels.quadratic.as_ref().and_then(|quadratic| quadratic.strong_stationarity(x, y))
            && (found.residual <= self.options.tolerance || x.len() + y.len() > LARGEST_SYSTEM / 5)
        {
            work.lower_solves += 1;
            let (bounds, rows, constraints) = (found.bounds, found.rows, Vec::new());
            let measure = "strong stationarity of both levels' optimality system".to_string();
            let stationarity =
                Stationarity { residual: found.residual, radius: None, measure, rigor: Rigor::Estimated };
            return (Some(stationarity), self.multipliers(&crate::nlp::Multipliers { bounds, rows, constraints }));
        }
        let (leader, follower, _) = levels.exact(self.options.smoothing);
        let set = &self.presolved.problem.leader().set;
        let (residual, measure) = if follower.branches.is_some() {
            (branch_residual(leader, follower, x, y, self.failures), "strong stationarity on the answer's branch")
        } else if reducible(leader, follower) {
            let residual = reduced_residual(set, leader, follower, (x, y), self.failures);
            (residual, "generators of the subdifferential of F(x, y(x)) on the answer's manifold")
        } else {
            (None, "")
        };
        let only = levels.exact_follower.is_none();
        if let Some(residual) = residual.filter(|residual| *residual <= self.options.tolerance || only) {
            let (measure, rigor) = (measure.to_string(), Rigor::Estimated);
            return (Some(Stationarity { residual, radius: None, measure, rigor }), Multipliers::default());
        }
        let (leader, follower, smoothing) = levels.multiplied(self.options.smoothing);
        if follower.size() > if stop::hurried() { HASTY_SYSTEM } else { LARGEST_SYSTEM } {
            return (None, Multipliers::default());
        }
        let meter = Meter::unlimited();
        let mut solver = LowerSolver::new(follower, self.failures, &meter);
        let full = follower.extend(x, y);
        let answer = solver.solve(x, &full, smoothing, &Regulariser::default());
        let ties = if levels.convex { Vec::new() } else { self.ties(&mut solver, x, answer.value) };
        work.lower_solves += meter.used();
        if answer.status != LowerStatus::Solved {
            return (None, Multipliers::default());
        }
        let point = (x.as_slice(), full.as_slice(), &answer.multipliers);
        let fresh = optimality_residual(leader, follower, point, &ties, smoothing, self.failures);
        let polished = best.candidate.residual;
        let finished = match best.candidate.source {
            "implicit" => "strong stationarity where the finishing step ended",
            "pieces" => "the least point of all pieces of the follower's optimality conditions",
            _ => "relaxed kkt of the polish",
        };
        let residual = match (fresh, polished) {
            (Some(fresh), Some(polished)) if polished < fresh => Some((polished, finished)),
            (Some(fresh), _) if leader.smooth => Some((fresh, "strong stationarity of the combined system")),
            (Some(fresh), _) => Some((fresh, "strong stationarity, gradients of F within 1e-6 of the point")),
            (None, Some(polished)) => Some((polished, finished)),
            (None, None) => None,
        };
        let stationarity = residual.map(|(residual, measure)| Stationarity {
            residual,
            radius: None,
            measure: measure.to_string(),
            rigor: Rigor::Estimated,
        });
        (stationarity, self.multipliers(&answer.multipliers))
    }

    /// Gradients in x of f(x, y_j) at the local minimisers y_j that tie with the best.
    fn ties<'s>(&'s self, solver: &mut LowerSolver<'s>, x: &[f64], value: f64) -> Vec<Vec<f64>> {
        let mut pool = Pool::new(PoolSettings::default(), self.options.seed.wrapping_add(FRESH), &[]);
        let found = pool.minimise(solver, x, self.final_smoothing()).unwrap_or_default();
        let near = 1e-6 * (1.0 + value.abs());
        let gradient = |solution| {
            let mut out = vec![0.0; x.len()];
            solver.value_gradient(solution, &mut out);
            out
        };
        found.iter().filter(|solution| solution.value <= value + near).map(gradient).collect()
    }

    /// The follower's multipliers by constraint.
    fn multipliers(&self, found: &crate::nlp::Multipliers) -> Multipliers {
        let side = self.problem.follower();
        let (_, follower, _) = self.analysis.levels.multiplied(self.options.smoothing);
        if follower.is_lifted() {
            return Multipliers::default();
        }
        let named = side.constraints.iter().zip(&follower.system.places).map(|(constraint, place)| {
            let values = match place {
                Place::Rows(range) => found.rows[range.clone()].to_vec(),
                Place::Components(range) => found.constraints[range.clone()].to_vec(),
            };
            (constraint.label.clone(), values.iter().map(|u| side.sense.apply(-u)).collect())
        });
        Multipliers { follower: NamedValues(named.collect()), ..Multipliers::default() }
    }
}
