//! phi of followers with constraints, sets, or several answers: minimisers first, then the best answer on the face of each.
//!
//! A convex follower has one face ([`super::face`]). A nonconvex one is searched from many starts; every minimiser whose
//! value ties with the least one brings a piece of S(x). That the least one is global is an estimate, and so is all that
//! follows from it.

use bilevel_linalg::qp::{QpHessian, QpOptions, QpStatus, solve_qp};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::face::{Face, OnFaceOptimum, Search, distance, optimise, rank_of_own};
use super::facts::{Facts, ObjectiveFacts};
use super::functions::{Functions, sign};
use super::minimiser::minimise_lower_to;
use super::oracle::{Slopes, subgradient};
use super::{Answers, End, Evaluation, HyperFailure, HyperPoint, HyperSettings};
use crate::expr::structure::{Degree, VariableBounds};
use crate::lower::{
    Follower, FollowerProgram, LowerSolution, LowerSolver, LowerStatus, Meter, Pool, PoolSettings, Regulariser,
};
use crate::nlp::{Multipliers, Nlp};
use crate::problem::{Attitude, Failures, Function, Problem};
use crate::smooth::{Chks, Smoothing};
use crate::solution::Rigor;

/// Answers whose value is within this of the least, relative to 1 + its size, are answers too.
pub(super) const TIE: f64 = 1e-8;
/// Violations of the leader's constraints up to this, relative to 1 + the answer's size, are rounding.
const FEASIBLE: f64 = 1e-7;
/// Answers this close, relative to 1 + their size, are one.
const SAME: f64 = 1e-6;
/// Half-width of the box around the start from which a free follower is searched.
const RADIUS: f64 = 5.0;
/// Gradients at the end of a descent, relative to that at 0: where a minimiser is wanted, and where only the best of several
/// valleys is.
const EXACT: f64 = 1e-14;
const ROUGH: f64 = 1e-3;
/// How finely a way along a face is divided, and the share of it below which it is none.
const HALVINGS: usize = 30;
const ALONE: f64 = 1e-6;
/// Smoothing level where kinks have no exact form.
const SMOOTHED: f64 = 1e-8;

/// The lower level, and F over the same variables and constraints.
#[derive(Clone, Debug)]
pub(super) struct Constrained {
    lower: Follower,
    upper: Follower,
    /// Whether the follower's form is exact, or f has to be smoothed.
    exact: bool,
    /// Whether the faces of its answers are exact: f at most quadratic in its own form, all constraints affine.
    polyhedral: bool,
    /// Whether F's form is exact, or F has to be smoothed.
    upper_exact: bool,
    /// Whether F is quadratic in its own form.
    upper_quadratic: bool,
    /// The lower level with the leader's constraints on y, which bind an optimistic leader's choice; without such, the
    /// lower level.
    guarded: Follower,
}

/// sign * F at ỹ.
type Signed<'f> = dyn FnMut(&[f64]) -> f64 + 'f;

/// One piece of S(x) with the best answer on it.
struct Piece {
    value: f64,
    y: Vec<f64>,
    dimension: usize,
    /// Whether the value is the least on the piece, and the piece is what it should be.
    global: bool,
    certain: bool,
    index: usize,
}

impl Constrained {
    /// The forms that serve on a box of both levels' variables.
    pub fn new(problem: &Problem, facts: &Facts, attitude: Attitude, bounds: &VariableBounds) -> Self {
        let lifted = if facts.follower_smooth { None } else { Follower::epigraph(problem, bounds) };
        let exact = facts.follower_smooth || lifted.is_some();
        let lower = lifted.unwrap_or_else(|| Follower::direct(problem));
        let objective = signed(&problem.leader().objective, attitude, lower.n, lower.size());
        let convex = facts.upper.is_convex(sign(attitude));
        let bound = attitude == Attitude::Optimistic && !facts.coupled.is_empty();
        let guarded = if bound { lower.with_constraints(&facts.coupled) } else { lower.clone() };
        let plain = facts.follower_smooth && lower.size() == lower.m && !bound;
        let lifted = if !facts.upper.smooth && convex && plain {
            Follower::epigraph(&problem.with_lower_objective(objective.clone()), bounds)
        } else {
            None
        };
        let upper_exact = facts.upper.smooth || lifted.is_some();
        let upper = lifted.unwrap_or_else(|| guarded.with_objective(objective));
        // An epigraph form is another formula; else the form's objective is the level's own.
        let of = |form: &Follower, own: &ObjectiveFacts| {
            if form.is_lifted() { is_quadratic(form) } else { own.degree <= Degree::Quadratic && own.smooth }
        };
        let upper_quadratic = of(&upper, &facts.upper);
        let polyhedral = exact && of(&lower, &facts.lower) && lower.system.functions.is_empty();
        Self { lower, upper, exact, polyhedral, upper_exact, upper_quadratic, guarded }
    }

    /// φ at x.
    pub fn evaluate(
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
        let mut lower = FollowerProgram::new(&self.lower, &failures);
        let mut upper = FollowerProgram::new(&self.upper, &failures);
        lower.fix(x, smoothing, &Regulariser::default());
        let mut functions = Functions::new(problem, attitude, x);
        let mut faces: Vec<(Face, &LowerSolution)> = Vec::with_capacity(minimisers.len());
        let mut pieces = Vec::with_capacity(minimisers.len());
        for minimiser in &minimisers {
            // A free follower's other minimisers are often on a face that is known: not worth a factorisation.
            if facts.free && faces.iter().any(|(known, _)| known.contains(&minimiser.y)) {
                continue;
            }
            let face = Face::new(&mut lower, minimiser).ok_or_else(|| HyperFailure::unsolved(&failures))?;
            if faces.iter().any(|(known, _)| known.holds(&face)) {
                continue;
            }
            let programs = (&mut lower, &mut upper);
            let found = self.best_on(&face, x, programs, minimiser, (facts, &mut functions), settings);
            let mut piece = match found {
                // The leader's constraints rule this piece out.
                Err(HyperFailure::NoAnswer) => continue,
                found => found?,
            };
            piece.index = faces.len();
            piece.value = functions.upper(&piece.y[..problem.m()]);
            pieces.push(piece);
            faces.push((face, minimiser));
        }
        if pieces.is_empty() {
            return Err(HyperFailure::NoAnswer);
        }
        let answers = describe(&pieces, facts.free && !self.lower.is_lifted());
        let all_global = pieces.iter().all(|piece| piece.global);
        let best = pieces.into_iter().min_by(|a, b| a.value.total_cmp(&b.value));
        let best = best.filter(|b| b.value.is_finite()).ok_or_else(|| HyperFailure::unsolved(&failures))?;
        let slopes = slopes(&mut functions, &best.y, (problem.n(), problem.m()));
        let mut guarded = FollowerProgram::new(&self.guarded, &failures);
        guarded.fix(x, smoothing, &Regulariser::default());
        let mut multipliers = faces[best.index].1.multipliers.clone();
        multipliers.rows.resize(guarded.frame().rows.rows(), 0.0);
        multipliers.constraints.resize(guarded.frame().constraints(), 0.0);
        let subgradient = subgradient(&mut guarded, &faces[best.index].0, &best.y, &multipliers, &slopes);
        let point = point(&functions, best, all_global, problem.m(), subgradient);
        let route = if facts.follower_convex { "face of the convex follower" } else { "faces of a pool of minimisers" };
        Ok(Evaluation { point, answers, route, gradients: functions.gradients })
    }

    /// The lower level.
    pub fn lower(&self) -> &Follower {
        &self.lower
    }

    /// How f is smoothed: not at all where that is not needed.
    pub fn smoothing(&self) -> Smoothing<'static> {
        if self.exact { Smoothing::EXACT } else { Smoothing::new(&Chks, SMOOTHED) }
    }

    /// The minimiser of a convex quadratic follower with affine constraints; `None` for others.
    fn programme(&self, facts: &Facts, x: &[f64], failures: &Failures) -> Option<Result<LowerSolution, HyperFailure>> {
        let hessian = facts.lower.hessian().filter(|_| facts.follower_convex)?;
        if self.lower.is_lifted() || self.lower.size() != hessian.rows() || !self.lower.system.functions.is_empty() {
            return None;
        }
        let mut program = FollowerProgram::new(&self.lower, failures);
        program.fix(x, Smoothing::EXACT, &Regulariser::default());
        let mut linear = vec![0.0; hessian.rows()];
        program.gradient(&vec![0.0; hessian.rows()], &mut linear);
        let frame = program.frame();
        let qp = frame.quadratic(QpHessian::Dense(hessian), &linear);
        let found = solve_qp(&qp, &QpOptions::default()).ok()?;
        match found.status {
            QpStatus::Infeasible => return Some(Err(HyperFailure::NoAnswer)),
            QpStatus::Unbounded => return Some(Err(HyperFailure::FollowerUnbounded)),
            QpStatus::Solved => {}
            QpStatus::AlmostSolved | QpStatus::Numerical => return None,
        }
        let value = program.plain_objective(&found.z);
        let multipliers =
            Multipliers { bounds: found.bound_multipliers, rows: found.row_multipliers, constraints: Vec::new() };
        let (status, residual) = (LowerStatus::Solved, found.residual);
        Some(Ok(LowerSolution { status, y: found.z, plain: value, value, multipliers, residual }))
    }

    /// The follower's minimisers at x whose values tie with the least, best first; at least one.
    pub fn minimisers(
        &self,
        problem: &Problem,
        facts: &Facts,
        settings: &HyperSettings,
        (x, start): (&[f64], &[f64]),
        smoothing: Smoothing<'static>,
        failures: &Failures,
    ) -> Result<Vec<LowerSolution>, HyperFailure> {
        if let Some(found) = self.programme(facts, x, failures) {
            return found.map(|solution| vec![solution]);
        }
        let mut solver = LowerSolver::new(&self.lower, failures, &Meter::unlimited());
        if facts.follower_convex {
            let found = solver.solve(x, start, smoothing, &Regulariser::default());
            return match found.status {
                LowerStatus::Solved => Ok(vec![found]),
                other => Err(failure(other, failures)),
            };
        }
        let starts = PoolSettings { first_starts: settings.starts.max(1), ..PoolSettings::default() };
        let mut pool = Pool::new(starts, settings.seed, &[start.to_vec()]);
        let mut found = if facts.free && facts.lower.smooth && self.lower.size() == self.lower.m {
            free_minimisers(problem, x, start, (settings, EXACT))?
        } else {
            pool.minimise(&mut solver, x, smoothing).map_err(|status| failure(status, failures))?
        };
        let least = found.first().map_or(f64::NAN, |solution| solution.value);
        found.retain(|solution| solution.value <= least + TIE * (1.0 + least.abs()));
        let mut distinct: Vec<LowerSolution> = Vec::new();
        for solution in found {
            let m = self.lower.m;
            let size = 1.0 + solution.y[..m].iter().fold(0.0, |a: f64, v| a.max(v.abs()));
            if !distinct.iter().any(|known| distance(&known.y, &solution.y, m) <= SAME * size) {
                distinct.push(solution);
            }
        }
        Ok(distinct)
    }
}

/// The best minimiser found of a free smooth follower, roughly.
pub(super) fn best_minimiser(
    problem: &Problem,
    x: &[f64],
    start: &[f64],
    settings: &HyperSettings,
) -> Result<Option<Vec<f64>>, HyperFailure> {
    Ok(free_minimisers(problem, x, start, (settings, ROUGH))?.into_iter().next().map(|best| best.y))
}

/// Local minimisers of a free smooth follower, best first: descents from `start` and from random points around it, every
/// second one opposite to the one before.
fn free_minimisers(
    problem: &Problem,
    x: &[f64],
    start: &[f64],
    (settings, relative): (&HyperSettings, f64),
) -> Result<Vec<LowerSolution>, HyperFailure> {
    let mut functions = Functions::new(problem, Attitude::Optimistic, x);
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut found = Vec::with_capacity(settings.starts + 1);
    let mut offset = vec![0.0; start.len()];
    for k in 0..=settings.starts {
        for (o, v) in offset.iter_mut().zip(start) {
            let radius = RADIUS.max(2.0 * v.abs());
            *o = if k % 2 == 0 { -*o } else { rng.random_range(-radius..radius) };
        }
        let mut y: Vec<f64> = start.iter().zip(&offset).map(|(v, o)| v + o).collect();
        minimise_lower_to(&mut functions, &mut y, relative)?;
        let value = functions.lower(&y);
        let none = Vec::new;
        let multipliers = Multipliers { bounds: vec![0.0; y.len()], rows: none(), constraints: none() };
        let status = LowerStatus::Solved;
        found.push(LowerSolution { status, y, plain: value, value, multipliers, residual: 0.0 });
    }
    found.sort_by(|a, b| a.value.total_cmp(&b.value));
    Ok(found)
}

/// Whether the objective is at most quadratic in ỹ.
fn is_quadratic(form: &Follower) -> bool {
    let facts = ObjectiveFacts::new(&form.objective, &VariableBounds::unbounded(form.n, form.size()));
    facts.degree <= Degree::Quadratic && facts.smooth
}

/// sign * F as a function of (x, ỹ).
pub(super) fn signed(objective: &Function, attitude: Attitude, n: usize, size: usize) -> Function {
    match (attitude, objective) {
        (Attitude::Optimistic, _) => objective.resized(n, size),
        (Attitude::Pessimistic, Function::Formula { expr, .. }) => {
            Function::formula(&-expr, n, size).unwrap_or_else(|| objective.clone())
        }
        (Attitude::Pessimistic, Function::Custom(code)) => Function::Custom(super::custom::negative(code.clone())),
    }
}

impl Constrained {
    /// The best answer on one face.
    fn best_on(
        &self,
        face: &Face,
        x: &[f64],
        (lower, upper): (&mut FollowerProgram<'_>, &mut FollowerProgram<'_>),
        minimiser: &LowerSolution,
        (facts, functions): (&Facts, &mut Functions<'_>),
        settings: &HyperSettings,
    ) -> Result<Piece, HyperFailure> {
        // Auxiliary variables do not count.
        let (dimension, certain) = (rank_of_own(&face.basis, self.lower.m), face.certain);
        let mut piece = Piece { value: f64::NAN, y: face.base.clone(), dimension, global: true, certain, index: 0 };
        if face.dimension() == 0 {
            upper.fix(x, Smoothing::EXACT, &Regulariser::default());
            let size = 1.0 + piece.y.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
            let y = self.upper.extend(x, &piece.y);
            return if violation(upper, &y) <= FEASIBLE * size { Ok(piece) } else { Err(HyperFailure::NoAnswer) };
        }
        let sign = functions.sign();
        let free = sign < 0.0 || facts.coupled_convex;
        let convex = facts.upper.is_convex(sign) && free;
        let (starts, seed) = (settings.starts, settings.seed);
        let search = Search { quadratic: self.upper_quadratic, convex, starts, seed };
        let found = match self.least(face, x, upper, search) {
            Ok(found) => found,
            // Without limit on the face; whether the face is S(x) so far out is known where it is exact.
            Err(HyperFailure::Infinite) if !self.polyhedral => {
                return Err(HyperFailure::Numerical("F seems unbounded on the follower's answers".into()));
            }
            Err(other) => return Err(other),
        };
        (piece.y, piece.global) = (found.y, found.global);
        piece.y.truncate(face.base.len());
        let m = self.lower.m;
        step_back(&mut piece, face, (lower, &mut |y| functions.upper(&y[..m])), minimiser.plain);
        Ok(piece)
    }

    /// The least of sign * F on a face: exact, or with F's kinks smoothed less and less.
    fn least(
        &self,
        face: &Face,
        x: &[f64],
        upper: &mut FollowerProgram<'_>,
        search: Search,
    ) -> Result<OnFaceOptimum, HyperFailure> {
        if self.upper_exact {
            upper.fix(x, Smoothing::EXACT, &Regulariser::default());
            let wide = face.widened(self.upper.extend(x, &face.base));
            return optimise(upper, &wide, search, &vec![0.0; wide.dimension()]);
        }
        let mut z = vec![0.0; face.dimension()];
        let mut converged = true;
        let mut mu = 1e-1;
        loop {
            upper.fix(x, Smoothing::new(&Chks, mu), &Regulariser::default());
            let mut found = optimise(upper, face, search, &z)?;
            converged &= found.global;
            if mu <= SMOOTHED {
                found.global = converged;
                return Ok(found);
            }
            z = found.z;
            mu = (0.03 * mu).max(SMOOTHED);
        }
    }
}

/// The largest violation of a row or a constraint of a programme.
fn violation(program: &mut FollowerProgram<'_>, y: &[f64]) -> f64 {
    let mut values = vec![0.0; program.frame().constraints()];
    program.constraints(y, &mut values);
    let frame = program.frame();
    let outside = |value: f64, lower: f64, upper: f64| (lower - value).max(value - upper).max(0.0);
    let rows =
        (0..frame.rows.rows()).map(|i| outside(frame.rows.row_dot(i, y), frame.row_lower[i], frame.row_upper[i]));
    let functions = (0..values.len()).map(|i| outside(values[i], frame.constraint_lower[i], frame.constraint_upper[i]));
    rows.chain(functions).fold(0.0, f64::max)
}

/// The face is a guess where f is not quadratic, and where multipliers are small: go only as far from the minimiser as f
/// stays level, and nowhere if sign * F, `objective`, is no better there.
fn step_back(
    piece: &mut Piece,
    face: &Face,
    (lower, objective): (&mut FollowerProgram<'_>, &mut Signed<'_>),
    least: f64,
) {
    let allowed = least + TIE * (1.0 + least.abs());
    if lower.plain_objective(&piece.y) <= allowed {
        return;
    }
    (piece.global, piece.certain) = (false, false);
    let target = std::mem::replace(&mut piece.y, face.base.clone());
    let mut y = target.clone();
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let share = 0.5 * (low + high);
        y.iter_mut().zip(face.base.iter().zip(&target)).for_each(|(y, (b, t))| *y = b + share * (t - b));
        // NaN counts as a rise.
        if lower.plain_objective(&y) <= allowed {
            low = share;
            piece.y.copy_from_slice(&y);
        } else {
            high = share;
        }
    }
    // Nothing but the minimiser itself: isolated, with derivatives that vanish to higher order.
    if low <= ALONE {
        piece.dimension = 0;
    }
    if low <= ALONE || objective(&piece.y) > objective(&face.base) {
        piece.y.copy_from_slice(&face.base);
    }
}

fn describe(pieces: &[Piece], affine: bool) -> Answers {
    if pieces.iter().any(|piece| !piece.certain) {
        return Answers::Undecided;
    }
    match pieces {
        [piece] if piece.dimension == 0 => Answers::Unique,
        [piece] if affine => Answers::Affine { dimension: piece.dimension },
        [piece] => Answers::Face { dimension: piece.dimension },
        _ if pieces.iter().all(|piece| piece.dimension == 0) => Answers::Isolated { count: pieces.len() },
        _ => Answers::Undecided,
    }
}

fn slopes(functions: &mut Functions<'_>, y: &[f64], (n, m): (usize, usize)) -> Slopes {
    let mut slopes = Slopes { y: vec![0.0; y.len()], x: vec![0.0; n] };
    functions.upper_gradient(&y[..m], &mut slopes.y[..m]);
    let sign = functions.sign();
    slopes.y.iter_mut().for_each(|v| *v *= sign);
    functions.upper_gradient_x(&y[..m], &mut slopes.x);
    slopes
}

fn point(functions: &Functions<'_>, best: Piece, global: bool, m: usize, subgradient: Option<Vec<f64>>) -> HyperPoint {
    let error = TIE * (1.0 + best.value.abs());
    let least = if global { best.value - error } else { f64::NEG_INFINITY };
    let least = End { value: least, rigor: Rigor::Estimated };
    let most = End { value: best.value + error, rigor: Rigor::Estimated };
    let mut y = best.y;
    y.truncate(m);
    HyperPoint::signed(functions.sign(), best.value, least, most, y, subgradient)
}

fn failure(status: LowerStatus, failures: &Failures) -> HyperFailure {
    match status {
        LowerStatus::Infeasible => HyperFailure::NoAnswer,
        LowerStatus::Unbounded => HyperFailure::FollowerUnbounded,
        LowerStatus::Solved | LowerStatus::Numerical | LowerStatus::Unreliable => HyperFailure::unsolved(failures),
    }
}
