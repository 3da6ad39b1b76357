//! The units in which a problem's variables and functions are of size about 1, from bounds, the start, and the terms of
//! all functions: coefficients of affine ones, and values, gradients and Hessians of the others at a few points.
//!
//! All are powers of two, so that nothing is rounded. Points are chosen by bounds, the start, and the units found so far:
//! in other units the same points are chosen, and the same scaled problem results.

use bilevel_linalg::Dense;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::equilibrate::{Term, equilibrate};
use crate::expr::structure::Range;
use crate::expr::{Tape, Workspace};
use crate::problem::{Function, Place, Problem, System, SystemBuilder};
use crate::smooth::Smoothing;

/// Base-2 logarithms of units and factors.
#[derive(Clone, Debug, PartialEq)]
pub struct Scales {
    /// Of the leader's variables.
    pub x: Vec<i32>,
    /// Of the follower's variables.
    pub y: Vec<i32>,
    /// Of F.
    pub upper: i32,
    /// Of f.
    pub lower: i32,
    /// Of the leader's constraints, by component.
    pub leader_rows: Vec<Vec<i32>>,
    /// Of the follower's constraints.
    pub follower_rows: Vec<Vec<i32>>,
}

/// Nothing is scaled where everything is within this power of two of its wanted size.
const FINE: i32 = 7;
/// The same where only gradients are looked at: they tell units from each other, and less of their size.
const FINE_BY_GRADIENTS: i32 = 10;
/// The wanted sizes of variables and of the terms of constraints, as powers of two: those that people's own units have in
/// the published libraries, to which the methods' tolerances and boxes are made.
const SIZE: f64 = 1.5;
const ROW_SIZE: f64 = 2.0;
/// An objective is multiplied if its terms are smaller than 2 to minus the first, or larger than 2 to the second.
const SMALL: i32 = 4;
const HUGE: i32 = 18;
/// The largest power of two.
const LARGEST: f64 = 60.0;
/// Points at which functions are looked at, besides the start and 0.
const POINTS: usize = 4;
/// Variables of both levels up to which Hessians are looked at.
const SECOND: usize = 60;
/// Components of nonlinear functions that are looked at.
const COMPONENTS: usize = 400;
/// Weights of what is said by bounds and by the start, next to a term's 1.
const BOUND: f64 = 1.0;
const START: f64 = 0.25;
/// Seed of the points.
const SEED: u64 = 0x5ca1e;

impl Scales {
    /// The scales of a problem of formulas; `None` where there is nothing to do: everything is of moderate size, and no
    /// variable is fixed.
    pub fn of(problem: &Problem) -> Option<Self> {
        let survey = Survey::new(problem);
        let scales = survey.scales();
        let fine = if survey.variables() <= SECOND { FINE } else { FINE_BY_GRADIENTS };
        if scales.all().any(|e| e.abs() >= fine) {
            return Some(scales);
        }
        let fixed = survey.bounds.iter().any(|range| range.lower() == range.upper());
        fixed.then(|| scales.none())
    }

    fn all(&self) -> impl Iterator<Item = i32> + '_ {
        let rows = self.leader_rows.iter().chain(&self.follower_rows).flatten();
        self.x.iter().chain(&self.y).chain([&self.upper, &self.lower]).chain(rows).copied()
    }

    /// Whether everything keeps its size.
    pub fn are_none(&self) -> bool {
        self.all().all(|e| e == 0)
    }

    /// As many scales that change nothing.
    fn none(&self) -> Self {
        let rows = |rows: &[Vec<i32>]| rows.iter().map(|row| vec![0; row.len()]).collect();
        Self {
            x: vec![0; self.x.len()],
            y: vec![0; self.y.len()],
            upper: 0,
            lower: 0,
            leader_rows: rows(&self.leader_rows),
            follower_rows: rows(&self.follower_rows),
        }
    }
}

/// What is known of the sizes of a problem's terms.
struct Survey<'a> {
    problem: &'a Problem,
    system: System,
    bounds: Vec<Range>,
    start: Vec<f64>,
}

impl<'a> Survey<'a> {
    fn new(problem: &'a Problem) -> Self {
        let (n, m) = (problem.n(), problem.m());
        let mut builder = SystemBuilder::new(n, m);
        let constraints = problem.leader().constraints.iter().chain(&problem.follower().constraints);
        constraints.for_each(|constraint| builder.constraint(constraint));
        let ranges = problem.variable_bounds();
        let bounds: Vec<Range> = ranges.leader().iter().chain(ranges.follower()).copied().collect();
        let start = match problem.start() {
            Some((x, y)) => x.iter().chain(y).copied().collect(),
            None => vec![0.0; n + m],
        };
        Self { problem, system: builder.build(), bounds, start }
    }

    fn variables(&self) -> usize {
        self.bounds.len()
    }

    /// Unknowns: a unit of every variable, a factor of F, of f, of every row and of every component.
    fn unknowns(&self) -> usize {
        self.variables() + 2 + self.system.row_upper.len() + self.system.upper.len()
    }

    fn scales(&self) -> Scales {
        let n = self.problem.n();
        let mut terms = self.terms_of_variables();
        self.terms_of_rows(&mut terms);
        let mut points = vec![self.start.clone(), vec![0.0; self.variables()]];
        let first = self.fitted(&terms, &points);
        // Where bounds and the start say nothing, the first units say where to look.
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        points.extend((0..POINTS).map(|_| self.point(&first, &mut rng)));
        let z = self.fitted(&terms, &points);
        // What no term speaks of stays as it is.
        let power = |z: f64, size: f64| if z == 0.0 { 0 } else { (z + size).clamp(-LARGEST, LARGEST).round() as i32 };
        let unit = |z: f64| power(z, -SIZE);
        let mut units: Vec<i32> = z[..self.variables()].iter().map(|&z| unit(z)).collect();
        for (side, offset) in [(self.problem.leader(), 0), (self.problem.follower(), n)] {
            side.set.for_each_rigid(offset, &mut |range| {
                let mean = z[range.clone()].iter().sum::<f64>() / range.len().max(1) as f64;
                units[range].fill(unit(mean));
            });
        }
        let factors: Vec<i32> = z[self.variables()..].iter().map(|&z| power(z, ROW_SIZE)).collect();
        let rows = |places: &[Place]| places.iter().map(|place| self.factors_of(place, &factors)).collect();
        let leaders = self.problem.leader().constraints.len();
        Scales {
            x: units[..n].to_vec(),
            y: units[n..].to_vec(),
            upper: objective(factors[0]),
            lower: objective(factors[1]),
            leader_rows: rows(&self.system.places[..leaders]),
            follower_rows: rows(&self.system.places[leaders..]),
        }
    }

    fn factors_of(&self, place: &Place, factors: &[i32]) -> Vec<i32> {
        match place {
            Place::Rows(range) => factors[2..][range.clone()].to_vec(),
            Place::Components(range) => factors[2 + self.system.row_upper.len()..][range.clone()].to_vec(),
        }
    }

    fn fitted(&self, terms: &[Term], points: &[Vec<f64>]) -> Vec<f64> {
        let mut terms = terms.to_vec();
        for point in points {
            let weight = 1.0 / points.len() as f64;
            let first = self.variables();
            for (factor, side) in [(first, self.problem.leader()), (first + 1, self.problem.follower())] {
                self.terms_at(&side.objective, (factor, false), point, weight, &mut terms);
            }
            let mut factor = first + 2 + self.system.row_upper.len();
            for function in &self.system.functions {
                self.terms_at(function, (factor, true), point, weight, &mut terms);
                factor += function.len();
            }
        }
        equilibrate(self.unknowns(), &terms)
    }

    /// The width of an interval, the distance of a single bound from 0, and the start are of the size of the unit.
    fn terms_of_variables(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        for (j, range) in self.bounds.iter().enumerate() {
            let (lower, upper) = (range.lower(), range.upper());
            let size = match (lower.is_finite(), upper.is_finite()) {
                (true, true) if lower < upper => upper - lower,
                (true, _) => lower.abs(),
                (_, true) => upper.abs(),
                _ => 0.0,
            };
            for (size, weight) in [(size, BOUND), (self.start[j].abs(), START)] {
                if size > 0.0 {
                    terms.push(Term { size: -size.log2(), powers: vec![(j, 1.0)], weight });
                }
            }
        }
        terms
    }

    /// Coefficients and right-hand sides of the affine rows.
    fn terms_of_rows(&self, terms: &mut Vec<Term>) {
        let system = &self.system;
        for i in 0..system.row_upper.len() {
            let factor = self.variables() + 2 + i;
            let entries = system.rows.row(i).map(|(j, a)| (a, vec![(j, 1.0), (factor, 1.0)]));
            let constant = (system.row_upper[i], vec![(factor, 1.0)]);
            for (coefficient, powers) in entries.chain([constant]) {
                push(terms, coefficient, powers, 1.0);
            }
        }
    }

    /// Value (of a constraint), gradient and Hessian of every component at a point.
    fn terms_at(
        &self,
        function: &Function,
        (factor, with_value): (usize, bool),
        point: &[f64],
        weight: f64,
        terms: &mut Vec<Term>,
    ) {
        let Function::Formula { tape, .. } = function else { return };
        let n = self.problem.n();
        let mut workspace = Workspace::new(tape);
        for k in 0..function.len().min(COMPONENTS) {
            let factor = factor + k;
            let mut seed = vec![0.0; function.len()];
            seed[k] = 1.0;
            let (x, y) = point.split_at(n);
            let mut gradient = vec![0.0; self.variables()];
            let mut values = vec![0.0; function.len()];
            let mut evaluation = tape.evaluate(&mut workspace, x, y, Smoothing::EXACT);
            evaluation.write_outputs(&mut values);
            let (by_x, by_y) = gradient.split_at_mut(n);
            evaluation.gradient(&seed, Some(by_x), Some(by_y));
            if with_value {
                push(terms, values[k], vec![(factor, 1.0)], weight);
            }
            for (j, &g) in gradient.iter().enumerate() {
                push(terms, g, vec![(j, 1.0), (factor, 1.0)], weight);
            }
            if self.variables() <= SECOND {
                self.second_terms(tape, &mut workspace, (&seed, factor), point, weight, terms);
            }
        }
    }

    /// Entries of a Hessian, halves on the diagonal as in the Taylor polynomial; together they count as much as the
    /// gradient's.
    fn second_terms(
        &self,
        tape: &Tape,
        workspace: &mut Workspace,
        (seed, factor): (&[f64], usize),
        point: &[f64],
        weight: f64,
        terms: &mut Vec<Term>,
    ) {
        let all = self.variables();
        let (x, y) = point.split_at(self.problem.n());
        let mut hessian = Dense::zeros(all, all);
        tape.evaluate(workspace, x, y, Smoothing::EXACT).hessian(seed).block(0..all, 0..all, &mut hessian);
        let present = |v: f64| v != 0.0 && v.is_finite();
        let entries = (0..all).flat_map(|i| (0..=i).map(move |j| (i, j)));
        let found: Vec<(usize, usize)> = entries.filter(|&entry| present(hessian[entry])).collect();
        let own = (0..all).filter(|&i| hessian.row(i).iter().any(|&v| present(v))).count();
        let weight = weight * own as f64 / found.len().max(1) as f64;
        for (i, j) in found {
            let (size, powers) = match i == j {
                true => (0.5 * hessian[(i, i)], vec![(i, 2.0), (factor, 1.0)]),
                false => (hessian[(i, j)], vec![(i, 1.0), (j, 1.0), (factor, 1.0)]),
            };
            push(terms, size, powers, weight);
        }
    }

    /// A random point of the bounds; of an interval around the start, as wide as the unit, where there are none.
    fn point(&self, z: &[f64], rng: &mut ChaCha8Rng) -> Vec<f64> {
        let entry = |(j, range): (usize, &Range)| {
            let share = rng.random_range(0.0..1.0);
            let unit = z[j].clamp(-LARGEST, LARGEST).exp2();
            let centre = self.start[j].clamp(range.lower(), range.upper());
            let (low, high) = (range.lower().max(centre - 2.0 * unit), range.upper().min(centre + 2.0 * unit));
            low + share * (high - low)
        };
        self.bounds.iter().enumerate().map(entry).collect()
    }
}

/// Methods take objectives of very different sizes as they are: only much smaller and huge ones are multiplied.
fn objective(power: i32) -> i32 {
    if (-HUGE..=SMALL).contains(&power) { 0 } else { power }
}

fn push(terms: &mut Vec<Term>, coefficient: f64, powers: Vec<(usize, f64)>, weight: f64) {
    if coefficient != 0.0 && coefficient.is_finite() {
        terms.push(Term { size: coefficient.abs().log2(), powers, weight });
    }
}
