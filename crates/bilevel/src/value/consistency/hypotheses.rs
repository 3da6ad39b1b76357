//! The hypotheses of the theorems on smoothing families of v [Alcantara & Takeda 2025, Thms. 3.9, 3.14, 4.12, 4.24]:
//! which hold by structure, which were only sampled, which fail.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::super::exact::Danskin;
use crate::expr::structure::{Block, Range, Structure, VariableBounds};
use crate::expr::{Function, Op};
use crate::problem::{At, Failures, FunctionEvaluator, Problem};
use crate::smooth::{Family, Smoothing};

/// What a hypothesis rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Holds, by the structure of the formulas.
    Structure,
    /// No sampled point contradicts it.
    Sampled,
    /// A sampled point, or the structure, contradicts it.
    Fails,
    /// Nothing is known.
    Unknown,
}

impl Holds {
    /// The name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Holds::Structure => "by structure",
            Holds::Sampled => "sampled",
            Holds::Fails => "fails",
            Holds::Unknown => "unknown",
        }
    }
}

/// One hypothesis.
#[derive(Clone, Debug, PartialEq)]
pub struct Hypothesis {
    /// The theorems that need it.
    pub theorems: &'static str,
    /// What is assumed.
    pub statement: &'static str,
    /// What it rests on.
    pub holds: Holds,
}

/// All hypotheses at `x`, for the smoothing `family` and variables within `bounds`; `y` is an answer at x.
pub fn hypotheses(
    problem: &Problem,
    bounds: &VariableBounds,
    family: &dyn Family,
    (x, y): (&[f64], &[f64]),
    seed: u64,
) -> Vec<Hypothesis> {
    let failures = Failures::default();
    let objective = &problem.follower().objective;
    let structure = objective.expr().and_then(|expr| Structure::new(std::slice::from_ref(expr), bounds).ok());
    let mut facts = Facts {
        structure,
        bounds,
        objective: FunctionEvaluator::new(objective, problem.n(), problem.m(), &failures),
        family,
        rng: ChaCha8Rng::seed_from_u64(seed),
    };
    let danskin = match Danskin::of(problem, bounds) {
        Danskin::OuterEstimate => Holds::Unknown,
        Danskin::Coupled => Holds::Fails,
        _ => Holds::Structure,
    };
    let compact = if bounds.follower().iter().all(|range| range.is_finite()) { Holds::Structure } else { Holds::Fails };
    let of = |theorems, statement, holds| Hypothesis { theorems, statement, holds };
    vec![
        of("3.9, 3.14", "f_mu(x, .) is convex (Assumption 3.1(b))", facts.convex()),
        of("3.9, 3.14", "f_mu is bounded below (Assumption 3.1(a))", facts.bounded_below()),
        of("3.9, 3.14", "f_mu is continuous in (x, y, mu) (Assumption 3.6)", facts.continuous()),
        of(
            "3.9, 3.14, 4.24",
            "f is level-bounded in y locally uniformly in x (Assumption 3.7)",
            facts.level_bounded(x, y),
        ),
        of("3.9, 3.14, 4.12, 4.24", "f_mu tends to f uniformly (Assumption 3.8)", facts.uniform(x, y)),
        of("3.14", "f_mu is gradient consistent", facts.consistent()),
        of("3.14", "the gradient of f_mu is locally bounded", facts.gradient_bounded(x, y)),
        of("3.14, 4.12, 4.24", "(a) gradient in x continuous, (b) weakly concave in x, or (c) jointly convex", danskin),
        of(
            "4.12, 4.24",
            "the gradient in x of f_mu tends to that of f uniformly (Assumption 4.7)",
            facts.leader_gradient(),
        ),
        of("4.12", "Y is compact", compact),
        of("4.24", "mu ln vol(Y_mu) tends to 0 (Assumption 4.16)", Holds::Structure),
        of(
            "4.24",
            "the weights outside S(x) are dominated (Assumptions 4.19, 4.21)",
            match compact {
                Holds::Structure => Holds::Structure,
                _ => Holds::Unknown,
            },
        ),
    ]
}

struct Facts<'a> {
    structure: Option<Structure>,
    bounds: &'a VariableBounds,
    objective: FunctionEvaluator<'a>,
    family: &'a dyn Family,
    rng: ChaCha8Rng,
}

/// Points, or rays, sampled for each hypothesis.
const SAMPLES: usize = 60;
/// Half-width of the region sampled around the point, and lengths along rays.
const RADIUS: f64 = 2.0;
const FAR: [f64; 4] = [1e1, 1e2, 1e3, 1e4];

impl Facts<'_> {
    fn says(&self, claim: impl Fn(&Structure, u32) -> bool) -> bool {
        self.structure.as_ref().is_some_and(|s| s.roots().first().is_some_and(|&root| claim(s, root)))
    }

    /// Families are convex and nondecreasing, so that the composition rules hold for f_mu as they do for f.
    fn convex(&self) -> Holds {
        if self.says(|s, root| s.curvature(root, Block::Follower).is_convex()) {
            Holds::Structure
        } else {
            Holds::Unknown
        }
    }

    fn continuous(&self) -> Holds {
        if self.structure.is_some() { Holds::Structure } else { Holds::Unknown }
    }

    fn bounded_below(&self) -> Holds {
        let below = |s: &Structure, root: u32| s.range(root).iter().all(|range| range.lower().is_finite());
        if self.says(below) { Holds::Structure } else { Holds::Unknown }
    }

    /// On a box everything is; else f must grow along every sampled ray of Y.
    fn level_bounded(&mut self, x: &[f64], y: &[f64]) -> Holds {
        if self.bounds.follower().iter().all(|range| range.is_finite()) {
            return Holds::Structure;
        }
        let start = self.objective.value(At { x, y, smoothing: Smoothing::EXACT });
        for k in 0..SAMPLES {
            let direction = self.ray(y.len(), k);
            let along = |t: f64| {
                let moved = y.iter().zip(&direction).zip(self.bounds.follower());
                moved.map(|((y, d), range)| (y + t * d).clamp(range.lower(), range.upper())).collect::<Vec<f64>>()
            };
            let ends: Vec<Vec<f64>> = FAR.iter().map(|&t| along(t)).collect();
            let values: Vec<f64> =
                ends.iter().map(|y| self.objective.value(At { x, y, smoothing: Smoothing::EXACT })).collect();
            let moves = ends.windows(2).all(|pair| pair[0] != pair[1]);
            // f may fall at first.
            let growing = values[3] > values[2] && values[3] > start;
            if moves && !growing {
                return Holds::Fails;
            }
        }
        Holds::Sampled
    }

    /// The k-th direction in y: both ways along the coordinates first, then random ones.
    fn ray(&mut self, m: usize, k: usize) -> Vec<f64> {
        if k < 2 * m {
            return (0..m)
                .map(|j| {
                    if j != k / 2 {
                        0.0
                    } else if k.is_multiple_of(2) {
                        1.0
                    } else {
                        -1.0
                    }
                })
                .collect();
        }
        (0..m).map(|_| self.rng.random_range(-1.0..1.0)).collect()
    }

    /// Smooth formulas are not changed; bounded variables make continuous functions converge uniformly; else the error at
    /// sampled points must fall with mu.
    fn uniform(&mut self, x: &[f64], y: &[f64]) -> Holds {
        let boxed = |ranges: &[Range]| ranges.iter().all(|range| range.is_finite());
        let smooth = self.says(|s, root| s.is_smooth(root, Block::Both));
        if self.structure.is_some() && (smooth || boxed(self.bounds.leader()) && boxed(self.bounds.follower())) {
            return Holds::Structure;
        }
        let mut errors = [0.0_f64; 2];
        for _ in 0..SAMPLES {
            let (x, y) = (self.near(x, 50.0), self.near(y, 50.0));
            let exact = self.objective.value(At { x: &x, y: &y, smoothing: Smoothing::EXACT });
            for (error, mu) in errors.iter_mut().zip([1e-2, 1e-4]) {
                let smoothed = self.objective.value(At { x: &x, y: &y, smoothing: Smoothing::new(self.family, mu) });
                // Beyond rounding of the values themselves.
                let size = 1e-13 * exact.abs();
                *error = error.max((smoothed - exact).abs() - size);
            }
        }
        if errors[1] <= 0.5 * errors[0] || errors[1] <= 0.0 { Holds::Sampled } else { Holds::Fails }
    }

    /// Convex f: convergence of convex functions carries their subdifferentials along. One kink, or none: nothing can
    /// cancel.
    fn consistent(&self) -> Holds {
        let plain = |s: &Structure, root: u32| {
            let curvature = s.curvature(root, Block::Both);
            curvature.is_convex() || curvature.is_concave() || s.kinks(root, Block::Both).len() <= 1
        };
        if self.says(plain) { Holds::Structure } else { Holds::Unknown }
    }

    /// Fails for |z|^p with p < 1 at 0; else by sampling close to the point.
    fn gradient_bounded(&mut self, x: &[f64], y: &[f64]) -> Holds {
        let steep = |s: &Structure, _: u32| {
            s.nodes().iter().any(|node| match node.op {
                Op::Map(Function::AbsPower(p) | Function::Power(p)) => p < 1.0,
                Op::NormP(p) => p < 1.0,
                Op::Map(Function::Sqrt | Function::Log) => true,
                _ => false,
            })
        };
        if self.structure.is_some() && !self.says(steep) {
            return Holds::Structure;
        }
        let mut sizes = [0.0_f64; 2];
        for _ in 0..SAMPLES {
            for (size, mu) in sizes.iter_mut().zip([1e-3, 1e-9]) {
                let (x, y) = (self.near(x, mu), self.near(y, mu));
                let (mut gx, mut gy) = (vec![0.0; x.len()], vec![0.0; y.len()]);
                let at = At { x: &x, y: &y, smoothing: Smoothing::new(self.family, mu) };
                self.objective.add_gradient(at, &[1.0], Some(&mut gx), Some(&mut gy));
                *size = gx
                    .iter()
                    .chain(&gy)
                    .fold(*size, |most, g| if g.is_nan() { f64::INFINITY } else { most.max(g.abs()) });
            }
        }
        if sizes[1] <= 100.0 * (1.0 + sizes[0]) { Holds::Sampled } else { Holds::Fails }
    }

    fn leader_gradient(&self) -> Holds {
        if self.says(|s, root| s.is_smooth(root, Block::Leader) && s.kinks(root, Block::Both).is_empty()) {
            Holds::Structure
        } else {
            Holds::Unknown
        }
    }

    fn near(&mut self, centre: &[f64], radius: f64) -> Vec<f64> {
        let radius = radius.min(RADIUS * 25.0);
        centre.iter().map(|c| c + radius * self.rng.random_range(-1.0..1.0)).collect()
    }
}
