//! A bilevel problem's formulas as programs.
//!
//! Everything that the proofs need of a problem is here: both objectives, the constraints with opposite pairs of
//! inequalities joined to equalities, and the fixed sets as bounds and constraints. The bounds and data of sets are
//! taken as the `f64` that they are.

use std::collections::BTreeMap;

use super::interval::Interval;
use super::minimum::Task;
use super::program::{Builder, Code, CompileError, Compiler, Program, Unary};
use crate::problem::{Function, Problem, Side};
use crate::set::{ConvexSet, Description, Set};

/// Largest number of scalar operations of one formula.
const LARGEST: usize = 2_000_000;

/// Longest sum that is compared with others.
const MOST_TERMS: usize = 5000;

/// A problem that proofs cannot be made of.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// A user's own code cannot be run in intervals.
    #[error("{0} is code, not a formula: nothing can be proved of it")]
    Code(&'static str),
    /// A formula that is too large or invalid.
    #[error("{place}: {error}")]
    Formula {
        /// Which function.
        place: &'static str,
        /// What is wrong.
        error: CompileError,
    },
    /// A point of the wrong length, or with entries that are no numbers.
    #[error("the {level}'s point must have {expected} finite values")]
    Point {
        /// Whose point.
        level: &'static str,
        /// Values needed.
        expected: usize,
    },
}

/// One level's part of the program's roots.
#[derive(Clone, Debug, Default)]
pub struct LevelRoots {
    /// The objective.
    pub objective: usize,
    /// The inequalities (<= 0).
    pub inequalities: Vec<usize>,
    /// The equalities (= 0).
    pub equalities: Vec<usize>,
    /// What the user calls them: the inequalities, then the equalities.
    pub labels: Vec<String>,
}

/// A problem as a program in (x, y), with its roots and its bounds.
#[derive(Clone, Debug)]
pub struct Formulas {
    /// Number of the leader's variables, which come first.
    pub n: usize,
    /// Number of the follower's variables.
    pub m: usize,
    /// All functions.
    pub program: Program,
    /// The leader's functions.
    pub leader: LevelRoots,
    /// The follower's functions.
    pub follower: LevelRoots,
    /// Bounds of all variables from the fixed sets, infinite where there is none.
    pub domain: Vec<Interval>,
}

/// The operations of one level while it is read.
struct Draft {
    objective: u32,
    inequalities: Vec<Row>,
    equalities: Vec<Row>,
}

/// One scalar constraint.
struct Row {
    root: u32,
    label: String,
}

impl Formulas {
    /// Reads a problem.
    ///
    /// # Errors
    /// A user's own code in place of a formula, or a formula that is too large.
    pub fn new(problem: &Problem) -> Result<Self, ProofError> {
        Self::within(problem, LARGEST)
    }

    /// Reads a problem whose formulas have at most `operations` scalar operations.
    ///
    /// # Errors
    /// A user's own code in place of a formula, or a formula that is too large.
    pub fn within(problem: &Problem, operations: usize) -> Result<Self, ProofError> {
        let (n, m) = (problem.n(), problem.m());
        let mut compiler = Compiler::new(n, m, operations);
        let mut domain = vec![Interval::ENTIRE; n + m];
        let leader = draft(&mut compiler, problem.leader(), 0, &mut domain, "the leader's objective or constraint")?;
        let follower =
            draft(&mut compiler, problem.follower(), n, &mut domain, "the follower's objective or constraint")?;
        Ok(Self::assemble(&compiler.builder, n, m, leader, follower, domain))
    }

    /// From operations: the objectives and inequalities (<= 0) of both levels, as tests state them.
    pub fn from_parts(
        builder: &Builder,
        n: usize,
        m: usize,
        upper: (u32, Vec<u32>),
        lower: (u32, Vec<u32>),
        domain: Vec<Interval>,
    ) -> Self {
        let row = |(k, root): (usize, u32)| Row { root, label: format!("constraint {k}") };
        let side = |(objective, roots): (u32, Vec<u32>)| {
            let inequalities = roots.into_iter().enumerate().map(row).collect();
            Draft { objective, inequalities, equalities: Vec::new() }
        };
        Self::assemble(builder, n, m, side(upper), side(lower), domain)
    }

    fn assemble(builder: &Builder, n: usize, m: usize, leader: Draft, follower: Draft, domain: Vec<Interval>) -> Self {
        let mut builder = builder.clone();
        let mut roots = Vec::new();
        let mut place = |side: Draft| {
            let side = joined(&mut builder, side);
            let mut put = |root: u32| {
                roots.push(root);
                roots.len() - 1
            };
            let labels = side.inequalities.iter().chain(&side.equalities).map(|row| row.label.clone()).collect();
            LevelRoots {
                objective: put(side.objective),
                inequalities: side.inequalities.iter().map(|row| put(row.root)).collect(),
                equalities: side.equalities.iter().map(|row| put(row.root)).collect(),
                labels,
            }
        };
        let (leader, follower) = (place(leader), place(follower));
        Self { n, m, program: builder.finish(&roots, n + m), leader, follower, domain }
    }

    /// The follower's problem at `x`, in y alone: minimise f (or another root) over Y(x), perhaps relaxed by `delta`.
    pub fn follower_task(&self, x: &[f64], objective: Option<usize>, delta: f64) -> Task {
        let mut builder = Builder::new();
        let with: Vec<_> = (0..self.n + self.m)
            .map(|v| if v < self.n { builder.number(x[v]) } else { builder.variable(v - self.n) })
            .collect();
        let all = builder.import(&self.program, &with);
        let mut roots = vec![match objective {
            Some(root) => all[root],
            None => builder.number(0.0),
        }];
        let mut inequalities = 0;
        let relaxed = builder.number(delta);
        for &r in &self.follower.inequalities {
            roots.push(builder.sub(all[r], relaxed));
            inequalities += 1;
        }
        let mut equalities = 0;
        for &r in &self.follower.equalities {
            if delta > 0.0 {
                roots.push(builder.sub(all[r], relaxed));
                let negative = builder.apply(Unary::Neg, all[r]);
                roots.push(builder.sub(negative, relaxed));
                inequalities += 2;
            } else {
                roots.push(all[r]);
                equalities += 1;
            }
        }
        let domain = self.domain[self.n..].to_vec();
        Task { program: builder.finish(&roots, self.m), inequalities, equalities, domain }
    }

    /// Checks a point of one level.
    ///
    /// # Errors
    /// A wrong length or an entry that is not finite.
    pub fn check_point(level: &'static str, point: &[f64], expected: usize) -> Result<(), ProofError> {
        if point.len() == expected && point.iter().all(|v| v.is_finite()) {
            return Ok(());
        }
        Err(ProofError::Point { level, expected })
    }
}

fn draft(
    compiler: &mut Compiler,
    side: &Side,
    offset: usize,
    domain: &mut [Interval],
    place: &'static str,
) -> Result<Draft, ProofError> {
    let compile = |compiler: &mut Compiler, function: &Function| match function {
        Function::Formula { expr, .. } => compiler.formula(expr).map_err(|error| ProofError::Formula { place, error }),
        Function::Custom(_) => Err(ProofError::Code(place)),
    };
    let objective = compile(compiler, &side.objective)?.first().copied();
    let objective = objective.ok_or(ProofError::Formula { place, error: CompileError::Invalid })?;
    let mut draft = Draft { objective, inequalities: Vec::new(), equalities: Vec::new() };
    for constraint in &side.constraints {
        let entries = compile(compiler, &constraint.function)?;
        let many = entries.len() > 1;
        let rows = entries.into_iter().enumerate().map(|(k, root)| {
            let label = if many { format!("{} [{k}]", constraint.label) } else { constraint.label.clone() };
            Row { root, label }
        });
        if constraint.is_equality() {
            draft.equalities.extend(rows);
        } else {
            draft.inequalities.extend(rows);
        }
    }
    add_set(&mut compiler.builder, &side.set, offset, domain, &mut draft);
    Ok(draft)
}

/// A constraint that comes from a fixed set.
fn of_set(root: u32) -> Row {
    Row { root, label: "the set of the variables".to_string() }
}

/// A set as bounds and constraints on the variables from `offset`.
fn add_set(b: &mut Builder, set: &Set, offset: usize, domain: &mut [Interval], draft: &mut Draft) {
    match set {
        Set::Product(product) => {
            let mut start = offset;
            for factor in product.factors() {
                add_set(b, factor, start, domain, draft);
                start += factor.ambient_dimension();
            }
        }
        Set::L1Ball(ball) => {
            let mut total = b.number(-ball.radius());
            for (i, &c) in ball.centre().iter().enumerate() {
                let (y, c) = (b.variable(offset + i), b.number(c));
                let difference = b.sub(y, c);
                let size = b.apply(Unary::Abs, difference);
                total = b.add(total, size);
            }
            draft.inequalities.push(of_set(total));
        }
        _ => {
            let mut description = Description::default();
            set.describe(0, &mut description);
            add_description(b, &description, offset, domain, draft);
        }
    }
}

fn add_description(b: &mut Builder, set: &Description, offset: usize, domain: &mut [Interval], draft: &mut Draft) {
    for (i, (&lower, &upper)) in set.lower.iter().zip(&set.upper).enumerate() {
        if let Some(z) = domain.get_mut(offset + i) {
            *z = z.intersect(Interval::new(lower, upper));
        }
    }
    let mut rows = vec![b.number(0.0); set.row_count()];
    for &(row, variable, coefficient) in &set.rows {
        let (y, a) = (b.variable(offset + variable), b.number(coefficient));
        let term = b.mul(a, y);
        rows[row] = b.add(rows[row], term);
    }
    for (row, (&lower, &upper)) in rows.into_iter().zip(set.row_lower.iter().zip(&set.row_upper)) {
        let (low, high) = (b.number(lower.max(-f64::MAX)), b.number(upper.min(f64::MAX)));
        if lower == upper {
            draft.equalities.push(of_set(b.sub(row, low)));
            continue;
        }
        if upper < f64::INFINITY {
            draft.inequalities.push(of_set(b.sub(row, high)));
        }
        if lower > f64::NEG_INFINITY {
            draft.inequalities.push(of_set(b.sub(low, row)));
        }
    }
    for ball in &set.balls {
        let radius = b.number(ball.radius);
        let mut total = b.apply(Unary::Square, radius);
        total = b.apply(Unary::Neg, total);
        for (i, &c) in ball.centre.iter().enumerate() {
            let (y, c) = (b.variable(offset + ball.start + i), b.number(c));
            let difference = b.sub(y, c);
            let square = b.apply(Unary::Square, difference);
            total = b.add(total, square);
        }
        draft.inequalities.push(of_set(total));
    }
}

/// Joins opposite pairs of inequalities, g_i = -g_j, to equalities.
fn joined(builder: &mut Builder, side: Draft) -> Draft {
    let Draft { objective, inequalities, mut equalities } = side;
    let sums: Vec<_> = inequalities.iter().map(|row| terms(builder, row.root)).collect();
    let opposite = |i: usize, j: usize| match (&sums[i], &sums[j]) {
        (Some(a), Some(b)) => a.len() == b.len() && a.iter().zip(b).all(|((s, u), (t, v))| s == t && *u == -v),
        _ => false,
    };
    let mut kept = vec![true; inequalities.len()];
    let mut joined = Vec::new();
    for i in 0..inequalities.len() {
        if let Some(j) = (i + 1..inequalities.len()).find(|&j| kept[i] && kept[j] && opposite(i, j)) {
            (kept[i], kept[j]) = (false, false);
            joined.push(i);
        }
    }
    let mut rest = Vec::with_capacity(inequalities.len());
    for (i, (row, keep)) in inequalities.into_iter().zip(kept).enumerate() {
        if keep {
            rest.push(row);
        } else if joined.contains(&i) {
            equalities.push(row);
        }
    }
    let inequalities = rest;
    Draft { objective, inequalities, equalities }
}

/// A function as a sum of operations with exactly known coefficients; the key of the constant term is the largest.
/// `None` if a coefficient would have to be rounded.
fn terms(builder: &Builder, root: u32) -> Option<BTreeMap<u32, f64>> {
    const CONSTANT: u32 = u32::MAX;
    let mut waiting = vec![(root, Interval::ONE)];
    let mut sum: BTreeMap<u32, Interval> = BTreeMap::new();
    let mut steps = 0;
    while let Some((a, weight)) = waiting.pop() {
        steps += 1;
        let exact = |b: u32| builder.constant_value(b).filter(|c| c.is_point());
        let (key, amount) = match builder.code(a) {
            _ if steps > MOST_TERMS => return None,
            Code::Add(b, c) => {
                waiting.extend([(b, weight), (c, weight)]);
                continue;
            }
            Code::Sub(b, c) => {
                waiting.extend([(b, weight), (c, -weight)]);
                continue;
            }
            Code::Apply(Unary::Neg, b) => {
                waiting.push((b, -weight));
                continue;
            }
            Code::Mul(b, c) => match (exact(b), exact(c)) {
                (Some(factor), _) => {
                    waiting.push((c, weight * factor));
                    continue;
                }
                (_, Some(factor)) => {
                    waiting.push((b, weight * factor));
                    continue;
                }
                _ => (a, weight),
            },
            // A rounded decimal is one number, whatever it is: it counts as a term of its own.
            Code::Constant(value) if value.is_point() => (CONSTANT, weight * value),
            _ => (a, weight),
        };
        let total = sum.entry(key).or_insert(Interval::ZERO);
        *total = *total + amount;
    }
    sum.into_iter().filter(|(_, c)| *c != Interval::ZERO).map(|(k, c)| c.is_point().then_some((k, c.lo()))).collect()
}
