//! Whether the theory of [Chen, Li & So 2025] covers a problem, and with which constants.
//!
//! Their assumptions: f is C² with Lipschitz derivatives (A1), S(x) is nonempty, closed and convex (A2), the error bound
//! holds (A3), F is Lipschitz and smooth (B1), and the follower is free, Y = R^m. Then S(x) is an affine subspace, and
//! these subspaces are parallel: the kernel of ∇²_yy f at the answers is the same at every x. (For y, y + d in S(x),
//! ∇_y f vanishes between them; so ‖∇_y f(y − td)‖ <= H_f t² ‖d‖² / 2, and by (A3) −d is tangent to S(x) too: all tangent
//! cones are subspaces. Parallel by Lemma 1: sets that are Lipschitz have finite distance.) A kernel that turns is therefore
//! a sign of being outside; so are bounded sets of many answers.
//!
//! What can be decided from structure is; the rest is sampled on a region and says so.

use bilevel_linalg::vector::{axpy, norm2};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::constants::{Jet, Known, Sample, constants, gradient_jumps};
use super::error_bound::error_bound;
use super::modulus::observed_modulus;
use super::projection::AnswerProjector;
use super::segments::{normal, unit};
use super::{Constants, ErrorBound, ObservedModulus, SetSmoothness, SetSmoothnessSettings, Source, set_smoothness};
use crate::expr::Blocks;
use crate::hyper::{Hyper, HyperSettings, Spectrum};
use crate::problem::{Attitude, Function, Problem};
use crate::set::{ConvexSet, Description};
use crate::upper::Levels;

/// The region on which sampled statements are made, and the seed.
#[derive(Clone, Debug)]
pub struct TheorySettings {
    /// The middle of the region of x.
    pub x: Vec<f64>,
    /// Half-width of it in every entry.
    pub radius: f64,
    /// The middle of the region of y.
    pub y: Vec<f64>,
    /// Seed of all samples.
    pub seed: u64,
}

/// Half-width of the region of x where no bound asks for less.
const RADIUS: f64 = 0.5;

impl TheorySettings {
    /// The region around the start, or around the points of both sets nearest to 0, within the leader's bounds.
    pub fn around_start(problem: &Problem) -> Self {
        let (n, m) = (problem.n(), problem.m());
        let (mut x, mut y) = (vec![0.0; n], vec![0.0; m]);
        let start = problem.start();
        problem.leader().set.project(start.map_or(&vec![0.0; n], |s| s.0), &mut x);
        problem.follower().set.project(start.map_or(&vec![0.0; m], |s| s.1), &mut y);
        let (mut low, mut high) = (vec![f64::NEG_INFINITY; n], vec![f64::INFINITY; n]);
        problem.leader().set.bounding_box(&mut low, &mut high);
        let widths = low.iter().zip(&high).map(|(l, h)| h - l).filter(|w| *w > 0.0);
        let radius = widths.fold(RADIUS, |r, w| r.min(0.5 * w));
        for ((x, l), h) in x.iter_mut().zip(&low).zip(&high) {
            if h - l >= 2.0 * radius {
                *x = x.clamp(l + radius, h - radius);
            }
        }
        Self { x, radius, y, seed: 0 }
    }
}

/// The shape of S(x), as far as known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One answer.
    Point,
    /// An affine subspace.
    Affine {
        /// Its dimension, where the rank is clear and the follower not too large.
        dimension: Option<usize>,
        /// Whether the subspaces of different x are parallel.
        parallel: bool,
    },
    /// Several answers that are no affine subspace, or not known to be.
    Several,
    /// Not known.
    Unknown,
}

/// What is known of a problem in the light of the theory.
#[derive(Clone, Debug)]
pub struct Theory {
    /// The region.
    pub settings: TheorySettings,
    /// Why the theory does not apply; empty where nothing speaks against it.
    pub reasons: Vec<String>,
    /// The shape of S(x), and where that is known from.
    pub shape: (Shape, Source),
    /// The constants, for a free follower.
    pub constants: Option<Constants>,
    /// The error bound, for a free follower.
    pub error_bound: Option<ErrorBound>,
    /// Set smoothness, where S(x) can be projected on.
    pub set_smoothness: Option<SetSmoothness>,
    /// φ_o as observed, where it has values.
    pub optimistic: Option<ObservedModulus>,
    /// φ_p as observed, where it has values.
    pub pessimistic: Option<ObservedModulus>,
}

impl Theory {
    /// Whether nothing speaks against the theorems, on the region, as far as sampling can tell.
    pub fn applies(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Followers with more variables are looked at with few samples, and their φ is not observed.
const SMALL: usize = 200;
/// A turn of the kernel, or a gradient along it, larger than this relative to the curvature is not rounding.
const TURN: f64 = 1e-6;

/// Looks at a problem.
pub fn theory(problem: &Problem, levels: &Levels, settings: &TheorySettings) -> Theory {
    let free = is_free(problem);
    let upper = Known::of(&problem.leader().objective, problem);
    let lower = Known::of(&problem.follower().objective, problem);
    let mut out = Theory {
        settings: settings.clone(),
        reasons: structural_reasons(problem, free, &lower),
        shape: (Shape::Unknown, Source::Sampled),
        constants: None,
        error_bound: None,
        set_smoothness: None,
        optimistic: None,
        pessimistic: None,
    };
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    if let Some(projector) = AnswerProjector::new(problem, levels, (free, lower.quadratic, lower.smooth)) {
        let look = Look { problem, settings, upper: &upper, lower: &lower };
        look.at_answers(projector, &mut rng, &mut out);
    }
    if problem.m() <= SMALL && problem.n() > 0 {
        out.optimistic = observe(problem, Attitude::Optimistic, settings);
        out.pessimistic = observe(problem, Attitude::Pessimistic, settings);
    }
    sampled_reasons(&mut out);
    out
}

fn is_free(problem: &Problem) -> bool {
    let mut set = Description::default();
    problem.follower().set.describe(0, &mut set);
    let open = |v: &f64| v.is_infinite();
    let whole = set.row_count() == 0 && set.balls.is_empty() && set.lower.iter().chain(&set.upper).all(open);
    problem.follower().constraints.is_empty() && whole
}

fn structural_reasons(problem: &Problem, free: bool, lower: &Known) -> Vec<String> {
    let mut reasons = Vec::new();
    if !free {
        let what = if problem.follower().constraints.is_empty() { "a set of its own" } else { "constraints" };
        reasons.push(format!("the follower has {what}; the theorems need Y = R^m"));
    }
    if !lower.smooth {
        reasons.push("f is not twice continuously differentiable by the rules for formulas".to_string());
    }
    let depends = |function: &Function| match function {
        Function::Formula { tape, .. } => tape.depends().meets(Blocks::FOLLOWER),
        Function::Custom(_) => true,
    };
    if problem.leader().constraints.iter().any(|c| depends(&c.function)) {
        reasons.push("a leader's constraint depends on y: phi is then F over part of S(x) only".to_string());
    }
    reasons
}

/// Everything that needs projections on S(x).
struct Look<'l> {
    problem: &'l Problem,
    settings: &'l TheorySettings,
    upper: &'l Known,
    lower: &'l Known,
}

impl Look<'_> {
    fn at_answers(&self, mut projector: AnswerProjector<'_>, rng: &mut ChaCha8Rng, out: &mut Theory) {
        let Some(centre) = projector.project(&self.settings.x, &self.settings.y) else { return };
        let spread = 1.0 + norm2(&centre) / (centre.len() as f64).sqrt();
        let count = if self.problem.m() <= SMALL { 20 } else { 2 };
        let pairs: Vec<(Vec<f64>, Vec<f64>)> = (0..count)
            .map(|_| {
                let x =
                    self.settings.x.iter().map(|x| x + self.settings.radius * rng.random_range(-1.0..=1.0)).collect();
                (x, centre.iter().map(|y| y + spread * normal(rng)).collect())
            })
            .collect();
        if projector.is_free() {
            let bound = error_bound(&mut projector, &pairs, spread, rng);
            out.constants = Some(self.constants(&mut projector, &pairs, bound.tau, rng, out));
            out.shape = self.shape(&mut projector, &pairs, spread, rng, out);
            out.error_bound = Some(bound);
        } else {
            out.shape = (several(&mut projector, &pairs), Source::Sampled);
        }
        let mut settings = SetSmoothnessSettings::around(&self.settings.x, self.settings.radius, &centre, spread);
        settings.seed = self.settings.seed;
        settings.accuracy = projector.accuracy() * (1.0 + norm2(&centre));
        if settings.accuracy > 1e-9 {
            settings.scales.truncate(3);
        }
        settings.samples = (4000 / (self.problem.m() + 20)).clamp(3, 100);
        if self.problem.m() > SMALL {
            (settings.scales, settings.samples, settings.refined) = (vec![1e-1, 1e-3], 1, 0);
        }
        if self.problem.n() > 0 {
            out.set_smoothness = Some(set_smoothness(&settings, &mut |x, u| projector.project(x, u)));
        }
    }

    /// The constants on the region of Remark 1: within 1.5 M_S diam(D) of S(x), as far as M_S is known by then.
    fn constants(
        &self,
        projector: &mut AnswerProjector<'_>,
        pairs: &[(Vec<f64>, Vec<f64>)],
        tau: f64,
        rng: &mut ChaCha8Rng,
        out: &mut Theory,
    ) -> Constants {
        let place = |answer: &[f64], x: &[f64], reach: f64, rng: &mut ChaCha8Rng| -> Vec<f64> {
            let direction = unit(answer.len(), rng);
            let length = reach * rng.random_range(0.0..=1.0);
            x.iter().copied().chain(answer.iter().zip(&direction).map(|(a, d)| a + length * d)).collect()
        };
        let answers: Vec<(Vec<f64>, &Vec<f64>)> =
            pairs.iter().filter_map(|(x, u)| projector.project(x, u).map(|y| (y, x))).collect();
        let diameter = 2.0 * self.settings.radius * (self.settings.x.len() as f64).sqrt();
        let near: Vec<Vec<f64>> = answers.iter().map(|(y, x)| place(y, x, 0.0, rng)).collect();
        let known = (self.upper, self.lower);
        let first = constants(self.problem, known, tau, &Sample { points: &near, reach: 1.0 }, rng);
        let reach = if first.m_s.value.is_finite() { 1.5 * first.m_s.value * diameter } else { 1.0 };
        let points: Vec<Vec<f64>> = answers.iter().map(|(y, x)| place(y, x, reach, rng)).collect();
        if !self.upper.smooth {
            let mut jet = Jet::new(&self.problem.leader().objective, self.problem);
            if gradient_jumps(&mut jet, &points, reach.max(1.0), rng) {
                out.reasons.push("the gradient of F jumps at sampled points: F is not smooth (B1)".to_string());
            }
        }
        constants(self.problem, known, tau, &Sample { points: &points, reach: reach.max(1e-3) }, rng)
    }

    /// The shape of S(x) of a free follower: from a Hessian that is the same everywhere, or sampled at pairs of x.
    fn shape(
        &self,
        projector: &mut AnswerProjector<'_>,
        pairs: &[(Vec<f64>, Vec<f64>)],
        reach: f64,
        rng: &mut ChaCha8Rng,
        out: &mut Theory,
    ) -> (Shape, Source) {
        if let Some(spectrum) = self.lower.hessian.as_ref().and_then(Spectrum::new) {
            if spectrum.negative {
                out.reasons.push("f is not convex in y although quadratic: the follower has no answer".to_string());
                return (Shape::Unknown, Source::Structure);
            }
            let shape = match (spectrum.certain, spectrum.nullity()) {
                (false, _) => Shape::Unknown,
                (true, 0) => Shape::Point,
                (true, dimension) => Shape::Affine { dimension: Some(dimension), parallel: true },
            };
            return (shape, Source::Structure);
        }
        let answers: Vec<(&Vec<f64>, Vec<f64>)> =
            pairs.iter().filter_map(|(x, u)| projector.project(x, u).map(|y| (x, y))).collect();
        let Some((first_x, first_y)) = answers.first() else { return (Shape::Unknown, Source::Sampled) };
        let dimension = projector.nullity(first_x, first_y);
        let (mut kernel, mut affine, mut turn) = (false, true, 0.0_f64);
        for pair in answers.windows(2) {
            let [(x, y), (x2, y2)] = pair else { continue };
            let Some((direction, curvature, by)) = turn_between(projector, (x, y), (x2, y2), rng) else { continue };
            kernel = true;
            turn = turn.max(by);
            for side in [reach, -reach] {
                let mut moved = y.clone();
                axpy(side, &direction, &mut moved);
                affine &= norm2(&projector.gradient(x, &moved)) <= TURN * reach * curvature;
            }
        }
        if !kernel {
            return (Shape::Point, Source::Sampled);
        }
        if turn > TURN {
            out.reasons.push(format!(
                "the kernel of the follower's Hessian turns with x (by {turn:.1e} on the region): S is not Lipschitz"
            ));
        }
        if !affine {
            out.reasons.push("S(x) is not an affine subspace: f changes along the kernel of its Hessian".to_string());
            return (Shape::Several, Source::Sampled);
        }
        (Shape::Affine { dimension, parallel: turn <= TURN }, Source::Sampled)
    }
}

/// A direction of the kernel of the follower's Hessian at the first point, the curvature of a random one there, and the
/// curvature of the former at the second point, relative to that; `None` where the kernel is 0.
fn turn_between(
    projector: &mut AnswerProjector<'_>,
    (x, y): (&[f64], &[f64]),
    (x2, y2): (&[f64], &[f64]),
    rng: &mut ChaCha8Rng,
) -> Option<(Vec<f64>, f64, f64)> {
    let w = unit(y.len(), rng);
    let mut turned = vec![0.0; y.len()];
    projector.product(x, y, &w, &mut turned);
    let curvature = norm2(&turned);
    let part = projector.kernel_part(x, y, &w).filter(|part| norm2(part) > TURN)?;
    let direction: Vec<f64> = part.iter().map(|p| p / norm2(&part)).collect();
    projector.product(x2, y2, &direction, &mut turned);
    Some((direction, curvature, norm2(&turned) / curvature.max(f64::MIN_POSITIVE)))
}

/// Whether the kernel of the follower's Hessian at (x, y) is another one at an x near by, so that S is not Lipschitz. Only
/// a free follower with f quadratic in y is looked at, for which one solve tells.
pub fn kernel_turns(problem: &Problem, levels: &Levels, (x, y): (&[f64], &[f64]), seed: u64) -> bool {
    let lower = Known::of(&problem.follower().objective, problem);
    if !is_free(problem) || !lower.quadratic || lower.hessian.is_some() {
        return false;
    }
    let Some(mut projector) = AnswerProjector::new(problem, levels, (true, true, lower.smooth)) else { return false };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let beside: Vec<f64> = x.iter().map(|x| x + NEARBY * (1.0 + x.abs()) * rng.random_range(-1.0..=1.0)).collect();
    turn_between(&mut projector, (x, y), (&beside, y), &mut rng).is_some_and(|(_, _, turn)| turn > TURN)
}

/// How far the other x is, relative to 1 + the size of each entry.
const NEARBY: f64 = 0.1;

/// Whether projections of different points end at one answer.
fn several(projector: &mut AnswerProjector<'_>, pairs: &[(Vec<f64>, Vec<f64>)]) -> Shape {
    let mut seen = false;
    for (x, u) in pairs.iter().take(5) {
        let far: Vec<f64> = u.iter().map(|v| -v).collect();
        let (Some(a), Some(b)) = (projector.project(x, u), projector.project(x, &far)) else { continue };
        seen = true;
        let size = 1.0 + norm2(&a);
        if norm2(&a.iter().zip(&b).map(|(a, b)| a - b).collect::<Vec<_>>()) > 1e-4 * size {
            return Shape::Several;
        }
    }
    if seen { Shape::Point } else { Shape::Unknown }
}

fn observe(problem: &Problem, attitude: Attitude, settings: &TheorySettings) -> Option<ObservedModulus> {
    let hyper = Hyper::new(problem, attitude, &HyperSettings::default());
    let samples = (1500 / (problem.m() + 20)).clamp(3, 60);
    let scales = [0.5, 1e-1, 1e-2, 1e-3];
    let region = (&settings.x[..], settings.radius);
    // One evaluation tells whether there is a value at all.
    crate::hyper::HyperObjective::evaluate(&hyper, &settings.x, 1e-8, None).ok()?;
    let found = observed_modulus(&hyper, attitude, region, &scales, samples, settings.seed);
    (found.failures < found.evaluations).then_some(found)
}

/// What the samples say against the theory.
fn sampled_reasons(out: &mut Theory) {
    if let Some(bound) = &out.error_bound {
        if bound.points == 0 {
            out.reasons
                .push("Newton steps do not reach grad_y f = 0: the error bound could not be sampled (A3)".into());
        }
        if bound.alarm {
            out.reasons.push("the error bound fails: dist(y, S(x)) / |grad_y f| grows near S(x) (A3)".to_string());
        }
        if let Some((_, _, above)) = &bound.stray {
            out.reasons.push(format!("a point where grad_y f vanishes is no answer: f is {above:.1e} above v (A3)"));
        }
    }
    if out.set_smoothness.as_ref().is_some_and(|s| s.alarm) {
        out.reasons.push("S is not set-smooth: its modulus grows as x1 and x2 come together".to_string());
    }
    for (name, observed, what) in [("phi_o", &out.optimistic, "concave"), ("phi_p", &out.pessimistic, "convex")] {
        if observed.as_ref().is_some_and(|o| o.alarm) {
            out.reasons.push(format!("{name} is not weakly {what}: its modulus grows as x1 and x2 come together"));
        }
    }
}

#[cfg(test)]
mod tests;
