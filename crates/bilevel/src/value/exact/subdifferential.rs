//! Generators of the Clarke subdifferential of v at x [Alcantara & Takeda 2025, Thms. 3.10-3.12].
//!
//! The distinct global minimisers come from a pool at x, and from solves at points x + delta d close by: as delta goes
//! to 0 the answer there tends to the one of S(x) with the least gradient along d, so that extreme answers of a flat
//! S(x) are found too. Where f is nonsmooth in x, each minimiser gives several generators: gradients by x at points
//! close by, with y fixed (Clarke's definition). All of it is estimated: a minimiser that no solve finds is missed.

use bilevel_linalg::{Dense, nnls};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Danskin;
use crate::expr::structure::VariableBounds;
use crate::lower::{Follower, LowerSolver, LowerStatus, Meter, Pool, PoolSettings};
use crate::problem::{At, Failures, FunctionEvaluator, Problem};
use crate::smooth::Smoothing;

/// One generator and the minimiser that it belongs to.
#[derive(Clone, Debug, PartialEq)]
pub struct Generator {
    /// An element of the subdifferential (or of its outer estimate), length n.
    pub gradient: Vec<f64>,
    /// Index of its minimiser.
    pub minimiser: usize,
}

/// The subdifferential of v at x as the hull of finitely many generators.
#[derive(Clone, Debug, PartialEq)]
pub struct Subdifferential {
    /// v(x), estimated by multistart.
    pub value: f64,
    /// The distinct global minimisers found.
    pub minimisers: Vec<Vec<f64>>,
    /// The generators, at least one.
    pub generators: Vec<Generator>,
    /// Which theorem says that they generate the subdifferential.
    pub case: Danskin,
}

/// How far points close by are, relative to 1 + the size of x.
const NEAR: f64 = 1e-6;
/// Answers whose value at x is within this many times `NEAR` of v(x), relative to 1 + its size, count as minimisers.
const TIE: f64 = 100.0;
/// Generators closer than this, relative to 1 + their size, are one.
const SAME: f64 = 1e-4;
/// Coordinate directions tried, at most, and random ones.
const COORDINATES: usize = 20;
const RANDOM: usize = 12;

/// Generators at `x` for the follower in an exact form (`follower`, convex or not). `seed` fixes all random choices.
///
/// # Errors
/// The status of the lower solve where v has no value at x.
pub fn subdifferential(
    problem: &Problem,
    follower: &Follower,
    bounds: &VariableBounds,
    x: &[f64],
    seed: u64,
    failures: &Failures,
) -> Result<Subdifferential, LowerStatus> {
    let mut search = Search {
        problem,
        solver: LowerSolver::new(follower, failures, &Meter::new(u64::MAX)),
        pool: Pool::new(PoolSettings::default(), seed, &[]),
        objective: FunctionEvaluator::new(&problem.follower().objective, problem.n(), problem.m(), failures),
        rng: ChaCha8Rng::seed_from_u64(seed),
    };
    search.run(x, Danskin::of(problem, bounds))
}

struct Search<'a> {
    problem: &'a Problem,
    solver: LowerSolver<'a>,
    pool: Pool,
    objective: FunctionEvaluator<'a>,
    rng: ChaCha8Rng,
}

/// An answer of the follower with the gradient of v at the point where it was found.
struct Answer {
    y: Vec<f64>,
    gradient: Vec<f64>,
}

impl Search<'_> {
    fn run(&mut self, x: &[f64], case: Danskin) -> Result<Subdifferential, LowerStatus> {
        let radius = NEAR * (1.0 + x.iter().fold(0.0, |most: f64, v| most.max(v.abs())));
        let (value, mut answers) = self.best(x)?;
        let near = value + TIE * NEAR * (1.0 + value.abs());
        for direction in self.directions(x.len()) {
            let point: Vec<f64> = x.iter().zip(&direction).map(|(x, d)| x + radius * d).collect();
            // A point outside the domain of v has nothing to say.
            let Ok((_, found)) = self.best(&point) else { continue };
            for answer in found {
                let at_x = self.objective.value(At { x, y: &answer.y, smoothing: Smoothing::EXACT });
                if case == Danskin::Coupled || at_x <= near {
                    answers.push(answer);
                }
            }
        }
        let mut found = Subdifferential { value, minimisers: Vec::new(), generators: Vec::new(), case };
        for answer in answers {
            let gradients = match case {
                Danskin::Coupled => vec![answer.gradient],
                Danskin::ContinuousGradient => vec![self.gradient(x, &answer.y)],
                _ => self.partial(x, &answer.y, radius),
            };
            found.add(answer.y, gradients);
            if case == Danskin::JointlyConvex {
                // The formula holds at any one answer.
                break;
            }
        }
        Ok(found)
    }

    /// v and the global minimisers at a point.
    fn best(&mut self, x: &[f64]) -> Result<(f64, Vec<Answer>), LowerStatus> {
        let m = self.problem.m();
        let found = self.pool.minimise(&mut self.solver, x, Smoothing::EXACT)?;
        let least = found.first().ok_or(LowerStatus::Numerical)?.value;
        let near = least + NEAR * 1e-2 * (1.0 + least.abs());
        let mut answers = Vec::new();
        for solution in found.iter().take_while(|solution| solution.value <= near) {
            let mut gradient = vec![0.0; x.len()];
            self.solver.value_gradient(solution, &mut gradient);
            answers.push(Answer { y: solution.y[..m].to_vec(), gradient });
        }
        Ok((least, answers))
    }

    fn gradient(&mut self, x: &[f64], y: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; x.len()];
        self.objective.add_gradient(At { x, y, smoothing: Smoothing::EXACT }, &[1.0], Some(&mut gradient), None);
        gradient
    }

    /// Gradients by x at points close to x, y fixed: generators of the partial subdifferential.
    fn partial(&mut self, x: &[f64], y: &[f64], radius: f64) -> Vec<Vec<f64>> {
        let mut gradients = Vec::new();
        for direction in self.directions(x.len()) {
            // A random part keeps the point off kinks that contain the direction.
            let point: Vec<f64> = x
                .iter()
                .zip(&direction)
                .map(|(x, d)| x + radius * (d + 0.1 * self.rng.random_range(-1.0..1.0)))
                .collect();
            gradients.push(self.gradient(&point, y));
        }
        gradients
    }

    /// Both ways along every coordinate, and random directions.
    fn directions(&mut self, n: usize) -> Vec<Vec<f64>> {
        let mut directions = Vec::new();
        for i in 0..n.min(COORDINATES) {
            for sign in [1.0, -1.0] {
                directions.push((0..n).map(|j| if i == j { sign } else { 0.0 }).collect());
            }
        }
        if n > 1 {
            let mut random = || (0..n).map(|_| self.rng.random_range(-1.0..1.0)).collect();
            directions.extend((0..RANDOM).map(|_| random()));
        }
        directions
    }
}

impl Subdifferential {
    /// Adds a minimiser with its generators, unless they are there.
    fn add(&mut self, y: Vec<f64>, gradients: Vec<Vec<f64>>) {
        let same = |a: &[f64], b: &[f64]| a.iter().zip(b).all(|(a, b)| (a - b).abs() <= SAME * (1.0 + a.abs()));
        let known = self.minimisers.iter().position(|known| same(known, &y));
        let minimiser = known.unwrap_or(self.minimisers.len());
        if known.is_none() {
            self.minimisers.push(y);
        }
        for gradient in gradients {
            let finite = gradient.iter().all(|g| g.is_finite());
            if finite && !self.generators.iter().any(|g| same(&g.gradient, &gradient)) {
                self.generators.push(Generator { gradient, minimiser });
            }
        }
    }

    /// The point of the hull of the generators that is nearest to `g`, and its distance. `None` without generators.
    pub fn nearest(&self, g: &[f64]) -> Option<(Vec<f64>, f64)> {
        let (n, count) = (g.len(), self.generators.len());
        // min ‖Σ w_i d_i‖² + s² (Σ w_i − 1)² over w >= 0, d_i = generator − g: for weights of given proportions the
        // best sum makes it s² r² / (s² + r²), which increases with their residual r, so the proportions are optimal.
        let differences = || self.generators.iter().map(|own| own.gradient.iter().zip(g).map(|(a, b)| a - b));
        let scale = differences().flatten().fold(0.0, |most: f64, d| most.max(d.abs()));
        if count == 0 || !scale.is_finite() {
            return None;
        }
        if scale == 0.0 {
            return Some((g.to_vec(), 0.0));
        }
        let mut matrix = Dense::zeros(n + 1, count);
        for (j, difference) in differences().enumerate() {
            difference.enumerate().for_each(|(i, d)| matrix[(i, j)] = d);
            matrix[(n, j)] = scale;
        }
        let mut right = vec![0.0; n + 1];
        right[n] = scale;
        let weights = nnls(&matrix, &right, &vec![true; count]).ok()?.x;
        let total: f64 = weights.iter().sum();
        let mut point = vec![0.0; n];
        for (own, weight) in self.generators.iter().zip(&weights) {
            own.gradient.iter().zip(&mut point).for_each(|(a, p)| *p += a * weight / total);
        }
        let distance = point.iter().zip(g).map(|(p, g)| (p - g) * (p - g)).sum::<f64>().sqrt();
        (total > 0.0).then_some((point, distance))
    }

    /// Distance of `g` to the hull of the generators; infinite without generators.
    pub fn distance(&self, g: &[f64]) -> f64 {
        self.nearest(g).map_or(f64::INFINITY, |(_, distance)| distance)
    }

    /// The element of least norm; `None` without generators.
    pub fn minimum_norm(&self) -> Option<Vec<f64>> {
        let n = self.generators.first()?.gradient.len();
        self.nearest(&vec![0.0; n]).map(|(point, _)| point)
    }
}
