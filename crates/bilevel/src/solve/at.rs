//! What holds at one x, whatever the leader's method: the follower's value v(x), its answers S(x), and both
//! hyper-objectives φ_o(x) = min F(x, ·) and φ_p(x) = max F(x, ·) over S(x), or over S_η(x) = {y in Y(x): f <= v + η}.
//!
//! Two sources are put together: the numerical ways of [`crate::hyper`], and for small followers bounds proved by interval
//! arithmetic ([`crate::proof`]). A proved end is shown where it is about as tight as the other or tighter; where the
//! proof contradicts the numerical value (a follower's local answer, say), the proof counts.

use super::Options;
use super::proved::{ProvedValues, prove};
use crate::certificate::check_follower;
use crate::hyper::{Answers, End, Evaluation, Hyper, HyperFailure, HyperSettings};
use crate::lower::{LowerSolver, LowerStatus, Meter, Pool, PoolSettings};
use crate::problem::{At, Attitude, Failures, FunctionEvaluator, NamedValues, Problem, Sense};
use crate::set::ConvexSet;
use crate::smooth::Smoothing;
use crate::solution::{Rigor, Status};
use crate::solve::Analysis;

/// An interval around a number, with what each end rests on. All in the user's sense.
#[derive(Clone, Debug)]
pub struct Bracket {
    /// The best estimate.
    pub value: f64,
    /// The lower end; minus infinity where there is none.
    pub lower: End,
    /// The upper end; infinity where there is none.
    pub upper: End,
}

impl Bracket {
    /// What the interval as a whole rests on.
    pub fn rigor(&self) -> Rigor {
        match (&self.lower.rigor, &self.upper.rigor) {
            (Rigor::Estimated, _) | (_, Rigor::Estimated) => Rigor::Estimated,
            (Rigor::Proved, other) | (other, Rigor::Proved) => other.clone(),
            (Rigor::Conditional(a), Rigor::Conditional(b)) => {
                let mut all = a.clone();
                all.extend(b.iter().filter(|on| !a.contains(on)).cloned());
                Rigor::Conditional(all)
            }
        }
    }

    pub(super) fn turned(self, sense: Sense) -> Self {
        match sense {
            Sense::Minimize => self,
            Sense::Maximize => {
                let turn = |end: End| End { value: -end.value, rigor: end.rigor };
                Self { value: -self.value, lower: turn(self.upper), upper: turn(self.lower) }
            }
        }
    }
}

/// What is known of S(x).
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerSet {
    /// One answer.
    Unique,
    /// An affine subspace of this dimension, at least 1.
    Affine(usize),
    /// A convex set with ends, such as a face of the follower's feasible set, of this dimension, at least 1.
    Face(usize),
    /// Several isolated answers.
    Isolated {
        /// How many were found.
        count: usize,
        /// They, as far as listed.
        points: Vec<NamedValues>,
    },
    /// Not one of these, or not known.
    Undecided,
}

/// One hyper-objective at x.
#[derive(Clone, Debug)]
pub struct PhiAt {
    /// φ(x); infinite values are values. `None` where nothing could be computed.
    pub bracket: Option<Bracket>,
    /// The follower's answer that attains it.
    pub y: Option<NamedValues>,
    /// A Clarke subgradient, in the user's sense.
    pub subgradient: Option<NamedValues>,
    /// How it was obtained, or why not.
    pub by: String,
}

/// What holds at one x.
#[derive(Clone, Debug)]
pub struct ValuesAt {
    /// The problem's name.
    pub problem: String,
    /// The leader's decision.
    pub x: NamedValues,
    /// `Solved` where v and both φ have values, or why not.
    pub status: Status,
    /// The status in words.
    pub message: String,
    /// v(x).
    pub v: Option<Bracket>,
    /// S(x).
    pub answers: AnswerSet,
    /// How far x lies outside of the leader's set.
    pub violation: f64,
    /// η.
    pub follower_tolerance: f64,
    /// φ_o(x).
    pub optimistic: PhiAt,
    /// φ_p(x).
    pub pessimistic: PhiAt,
    /// Gradients of f and F in y, Hessian products included.
    pub gradients: u64,
    /// Boxes looked at for proofs.
    pub boxes: u64,
}

impl Problem {
    /// v, S and both hyper-objectives at the leader's decision `x` (n entries). Uses the seed, the starts and the
    /// follower's tolerance of the options.
    pub fn values_at(&self, x: &[f64], options: &Options) -> ValuesAt {
        let mut out = ValuesAt {
            problem: self.name().to_string(),
            x: NamedValues::default(),
            status: Status::Numerical,
            message: String::new(),
            v: None,
            answers: AnswerSet::Undecided,
            violation: 0.0,
            follower_tolerance: options.follower_tolerance,
            optimistic: PhiAt::nothing(""),
            pessimistic: PhiAt::nothing(""),
            gradients: 0,
            boxes: 0,
        };
        if x.len() != self.n() || x.iter().any(|v| !v.is_finite()) {
            out.message = format!("x needs {} finite numbers", self.n());
            return out;
        }
        out.x = NamedValues::new(&self.leader().blocks, x);
        out.violation = self.leader().set.violation(x);
        Collector { problem: self, x, options, failures: Failures::default() }.collect(&mut out);
        out
    }
}

impl PhiAt {
    fn nothing(by: impl Into<String>) -> Self {
        Self { bracket: None, y: None, subgradient: None, by: by.into() }
    }
}

struct Collector<'a> {
    problem: &'a Problem,
    x: &'a [f64],
    options: &'a Options,
    failures: Failures,
}

impl Collector<'_> {
    fn collect(&self, out: &mut ValuesAt) {
        let eta = self.options.follower_tolerance;
        let exact = self.both(0.0);
        let own = self.hyper(Attitude::Pessimistic, 0.0).answers(self.x, None);
        if let Err(failure @ (HyperFailure::NoAnswer | HyperFailure::FollowerUnbounded)) = own {
            return fail(out, &failure);
        }
        // The pessimistic value looks at all of S(x), the optimistic one only at what the leader's constraints allow.
        let known = exact.iter().rev().flatten().next();
        let (answers, mut answer) = match (own, known) {
            (Ok(Some((answers, y))), _) => (answers, Some(y)),
            (_, Some(evaluation)) => (evaluation.answers, Some(evaluation.point.y.clone())),
            _ => (Answers::Undecided, None),
        };
        out.answers = match answers {
            Answers::Unique => AnswerSet::Unique,
            Answers::Affine { dimension } => AnswerSet::Affine(dimension),
            Answers::Face { dimension } => AnswerSet::Face(dimension),
            Answers::Isolated { count } => AnswerSet::Isolated { count, points: Vec::new() },
            Answers::Tolerance | Answers::Undecided => AnswerSet::Undecided,
        };
        let relaxed = if eta > 0.0 { self.both(eta) } else { Vec::new() };
        out.gradients = exact.iter().chain(&relaxed).flatten().map(|evaluation| evaluation.gradients).sum();
        let found = if eta > 0.0 { relaxed } else { exact };
        // Without an answer that the leader's constraints allow, the follower may still have answers.
        let empty = match found.as_slice() {
            [Err(HyperFailure::NoAnswer), Err(HyperFailure::NoAnswer)] => Some(HyperFailure::NoAnswer),
            [Err(HyperFailure::FollowerUnbounded), _] | [_, Err(HyperFailure::FollowerUnbounded)] => {
                Some(HyperFailure::FollowerUnbounded)
            }
            _ => None,
        };
        if let Some(failure) = empty {
            return fail(out, &failure);
        }
        let small = self.problem.m() <= LARGEST_SEARCHED || answer.is_none();
        if small && matches!(out.answers, AnswerSet::Undecided | AnswerSet::Isolated { .. }) {
            match self.search(answer.as_deref()) {
                Ok((set, y)) => {
                    // The search may miss what is known already.
                    if matches!(out.answers, AnswerSet::Undecided) || matches!(set, AnswerSet::Isolated { .. }) {
                        out.answers = set;
                    }
                    answer = answer.or(Some(y));
                }
                Err(LowerStatus::Unbounded) => return fail(out, &HyperFailure::FollowerUnbounded),
                Err(LowerStatus::Infeasible) if answer.is_none() => return fail(out, &HyperFailure::NoAnswer),
                Err(_) => {}
            }
        }
        // An unbounded set of answers could only be searched within an artificial box.
        let bounded = !matches!(out.answers, AnswerSet::Affine(_));
        let proved = prove(self.problem, self.x, answer.as_deref(), eta, bounded);
        out.boxes = proved.boxes;
        if proved.empty {
            return fail(out, &HyperFailure::NoAnswer);
        }
        out.v = self.follower_value(answer.as_deref(), &proved).map(|v| v.turned(self.problem.follower().sense));
        let mut results = found.into_iter();
        for attitude in [Attitude::Optimistic, Attitude::Pessimistic] {
            let result = results.next().unwrap_or(Err(HyperFailure::Numerical(String::new())));
            let phi = self.phi(attitude, result, &proved);
            match attitude {
                Attitude::Optimistic => out.optimistic = phi,
                Attitude::Pessimistic => out.pessimistic = phi,
            }
        }
        self.finish(out);
    }

    /// φ_o, then φ_p.
    fn both(&self, eta: f64) -> Vec<Result<Evaluation, HyperFailure>> {
        [Attitude::Optimistic, Attitude::Pessimistic]
            .into_iter()
            .map(|attitude| self.hyper(attitude, eta).evaluate_in_full(self.x, 1e-9, None))
            .collect()
    }

    fn hyper(&self, attitude: Attitude, eta: f64) -> Hyper {
        let settings = HyperSettings { starts: self.options.starts.max(8), seed: self.options.seed, eta };
        Hyper::at(self.problem, attitude, &settings, self.x)
    }

    fn finish(&self, out: &mut ValuesAt) {
        if let Some(message) = self.failures.first() {
            out.message = format!("a user's function failed: {message}");
            return;
        }
        let missing: Vec<&str> = [
            ("v", out.v.is_some()),
            ("the optimistic value", out.optimistic.bracket.is_some()),
            ("the pessimistic value", out.pessimistic.bracket.is_some()),
        ]
        .into_iter()
        .filter_map(|(name, known)| (!known).then_some(name))
        .collect();
        if out.optimistic.by == EXCLUDED {
            out.status = Status::Infeasible;
            out.message = EXCLUDED.to_string();
        } else if missing.is_empty() {
            out.status = Status::Solved;
            out.message = "v and both hyper-objectives have values at this x".to_string();
        } else {
            out.message = format!("not computed: {}", missing.join(", "));
        }
    }

    /// v(x) from the proof, or from the answer by an independent solve.
    fn follower_value(&self, answer: Option<&[f64]>, proved: &ProvedValues) -> Option<Bracket> {
        let y = answer?;
        let objective = &self.problem.follower().objective;
        let mut f = FunctionEvaluator::new(objective, self.problem.n(), self.problem.m(), &self.failures);
        let value = f.value(At { x: self.x, y, smoothing: Smoothing::EXACT });
        let end =
            |bound: &Option<End>, other: f64| bound.clone().unwrap_or(End { value: other, rigor: Rigor::Estimated });
        let error = 1e-9 * (1.0 + value.abs());
        let (lower, upper) = (end(&proved.v_lower, value - error), end(&proved.v_upper, value + error));
        value.is_finite().then(|| Bracket {
            value: value.clamp(lower.value, upper.value.max(lower.value)),
            lower,
            upper,
        })
    }

    /// Distinct minimisers of the follower, and the best of them.
    fn search(&self, answer: Option<&[f64]>) -> Result<(AnswerSet, Vec<f64>), LowerStatus> {
        let (problem, x) = (self.problem, self.x);
        let analysis = Analysis::new(problem);
        let levels = &analysis.levels;
        let follower = levels.exact_follower.as_ref().unwrap_or(&levels.follower);
        let mut solver = LowerSolver::new(follower, &self.failures, &Meter::unlimited());
        let mut first = vec![0.0; problem.m()];
        let given = answer.or(problem.start().map(|(_, y)| y)).map_or_else(|| first.clone(), <[f64]>::to_vec);
        problem.follower().set.project(&given, &mut first);
        let starts = vec![follower.extend(x, &first)];
        let settings = PoolSettings { first_starts: SEARCH_STARTS, capacity: SEARCH_STARTS, ..PoolSettings::default() };
        let mut pool = Pool::new(settings, self.options.seed, &starts);
        let found = pool.minimise(&mut solver, x, Smoothing::EXACT)?;
        let mut best: Vec<(f64, Vec<f64>)> =
            found.iter().map(|s| (s.plain, s.y.get(..problem.m()).unwrap_or(&[]).to_vec())).collect();
        if let Some(check) = best.first().and_then(|(_, y)| {
            check_follower(problem, levels, x, y, Smoothing::EXACT, self.options.seed, &self.failures)
        }) {
            if check.unbounded {
                return Err(LowerStatus::Unbounded);
            }
            best.push((check.value, check.y));
        }
        best.sort_by(|a, b| a.0.total_cmp(&b.0));
        let least = best.first().map_or(f64::NAN, |b| b.0);
        best.retain(|b| b.0 <= least + SAME_VALUE * (1.0 + least.abs()));
        let mut points: Vec<Vec<f64>> = Vec::new();
        for (_, y) in best {
            if !points.iter().any(|p| near(p, &y, SAME_POINT)) {
                points.push(y);
            }
        }
        let y = points.first().cloned().ok_or(LowerStatus::Numerical)?;
        let set = if points.iter().all(|p| isolated(&mut solver, x, p)) {
            self.isolated_set(points)
        } else {
            AnswerSet::Undecided
        };
        Ok((set, y))
    }

    fn isolated_set(&self, points: Vec<Vec<f64>>) -> AnswerSet {
        if points.len() == 1 {
            return AnswerSet::Unique;
        }
        let named = |y: &Vec<f64>| NamedValues::new(&self.problem.follower().blocks, y);
        AnswerSet::Isolated { count: points.len(), points: points.iter().map(named).collect() }
    }

    /// One hyper-objective from the numerical result and the proof.
    fn phi(&self, attitude: Attitude, result: Result<Evaluation, HyperFailure>, proved: &ProvedValues) -> PhiAt {
        let sense = self.problem.leader().sense;
        let own = match attitude {
            Attitude::Optimistic => &proved.optimistic,
            Attitude::Pessimistic => &proved.pessimistic,
        };
        let named = |y: &[f64]| NamedValues::new(&self.problem.follower().blocks, y);
        let by_proof = "interval branch and bound";
        let numerical = match result {
            Ok(evaluation) => Ok(evaluation),
            Err(HyperFailure::Infinite) => {
                let value = if attitude == Attitude::Optimistic { f64::NEG_INFINITY } else { f64::INFINITY };
                let end = End { value, rigor: Rigor::Estimated };
                let bracket = Bracket { value, lower: end.clone(), upper: end };
                let by = "F is unbounded over the follower's answers".to_string();
                return PhiAt { bracket: Some(bracket.turned(sense)), y: None, subgradient: None, by };
            }
            Err(HyperFailure::NoAnswer) if attitude == Attitude::Optimistic => {
                let end = End { value: f64::INFINITY, rigor: Rigor::Estimated };
                let bracket = Bracket { value: f64::INFINITY, lower: end.clone(), upper: end };
                let by = EXCLUDED.to_string();
                return PhiAt { bracket: Some(bracket.turned(sense)), y: None, subgradient: None, by };
            }
            Err(failure) => Err(describe(&failure)),
        };
        let closed = own.lower.value.is_finite() && own.upper.value.is_finite();
        match numerical {
            Ok(evaluation) => {
                let point = evaluation.point;
                let slack = AGREE * (1.0 + point.value.abs());
                let contradicted = point.value < own.lower.value - slack || point.value > own.upper.value + slack;
                if contradicted {
                    return own.phi(sense, named, by_proof);
                }
                let lower = better_end(&point.lower, &own.lower, slack, 1.0);
                let upper = better_end(&point.upper, &own.upper, slack, -1.0);
                let value = point.value.max(lower.value).min(upper.value.max(lower.value));
                let bracket = Bracket { value, lower, upper };
                let blocks = &self.problem.leader().blocks;
                let subgradient = point
                    .subgradient
                    .map(|s| NamedValues::new(blocks, &s.iter().map(|v| sense.apply(*v)).collect::<Vec<f64>>()));
                let used = bracket.lower.rigor == Rigor::Proved || bracket.upper.rigor == Rigor::Proved;
                let by = if used { format!("{}; {by_proof}", evaluation.route) } else { evaluation.route.to_string() };
                PhiAt { bracket: Some(bracket.turned(sense)), y: Some(named(&point.y)), subgradient, by }
            }
            Err(_) if closed => own.phi(sense, named, by_proof),
            Err(reason) => PhiAt::nothing(reason),
        }
    }
}

/// What is said where S(x) is not empty, but the leader's constraints allow none of it.
const EXCLUDED: &str = "no best answer of the follower satisfies the leader's constraints";
/// Followers with more variables, once an answer is known, are not searched for others.
const LARGEST_SEARCHED: usize = 200;
/// Starts of the search for distinct answers.
const SEARCH_STARTS: usize = 16;
/// Answers whose objectives differ by less, relatively, are equally good.
const SAME_VALUE: f64 = 1e-8;
/// Answers closer than this, relatively, are one.
const SAME_POINT: f64 = 1e-5;
/// A numerical value may differ from proved bounds by this much, relatively: the error of S(x) itself.
const AGREE: f64 = 1e-4;

/// The tighter end, or the proved one where it is nearly as tight. `side` is 1 for lower ends, -1 for upper ones.
fn better_end(numerical: &End, proved: &End, slack: f64, side: f64) -> End {
    let gain = side * (proved.value - numerical.value);
    let preferred = proved.rigor == Rigor::Proved && gain > -slack;
    if proved.value.is_finite() && (preferred || gain > 0.0) { proved.clone() } else { numerical.clone() }
}

fn near(a: &[f64], b: &[f64], tolerance: f64) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= tolerance * (1.0 + a.abs().max(b.abs())))
}

/// Whether solves that are pulled gently to points around `y` come back to it: they do not where S(x) is more than a
/// point there. An estimate.
fn isolated(solver: &mut LowerSolver<'_>, x: &[f64], y: &[f64]) -> bool {
    let size = y.iter().fold(1.0, |a: f64, v| a.max(v.abs()));
    (0..2 * y.len().min(MOST_PULLS)).all(|k| {
        let mut centre = y.to_vec();
        if let Some(entry) = centre.get_mut(k / 2) {
            *entry += if k % 2 == 0 { size } else { -size };
        }
        let pull = crate::lower::Regulariser { weight: PULL, centre };
        let found = solver.solve(x, y, Smoothing::EXACT, &pull);
        found.status != LowerStatus::Solved || near(&found.y[..y.len()], y, 1e-3)
    })
}

/// Weight of the pull, and the most entries of y that are pulled.
const PULL: f64 = 1e-5;
const MOST_PULLS: usize = 50;

fn fail(out: &mut ValuesAt, failure: &HyperFailure) {
    out.status = match failure {
        HyperFailure::NoAnswer => Status::Infeasible,
        HyperFailure::FollowerUnbounded => Status::FollowerUnbounded,
        _ => Status::Numerical,
    };
    out.message = describe(failure);
}

fn describe(failure: &HyperFailure) -> String {
    match failure {
        HyperFailure::NoAnswer => {
            "the follower has no feasible answer at this x, or none that satisfies the leader's constraints".to_string()
        }
        HyperFailure::FollowerUnbounded => "the follower's objective decreases without bound at this x".to_string(),
        HyperFailure::Infinite => "F is unbounded over the follower's answers".to_string(),
        HyperFailure::Numerical(what) => what.clone(),
    }
}
