//! Π_S(x)(u): the follower's answer nearest to u, for diagnostics.
//!
//! A free follower (Y = R^m) with f quadratic in y: u − H⁺ ∇_y f(x, u), H = ∇²_yy f. Otherwise, with S(x) affine as it
//! has to be under the assumptions of [Chen, Li & So 2025]: an answer ŷ from a local solve, then u − H⁺H (u − ŷ), and
//! Newton steps for what S(x) bends. H⁺ by factorisation, for large m by conjugate gradients, which stay in the range of H.
//!
//! A convex follower with constraints: argmin f(x, y) + s/2 ‖y − u‖² tends to Π_S(x)(u) as s → 0.

use bilevel_linalg::Dense;
use bilevel_linalg::vector::{axpy, dot, norm2};

use crate::hyper::Spectrum;
use crate::lower::{LowerSolver, LowerStatus, Meter, Regulariser};
use crate::problem::{At, Failures, FunctionEvaluator, Problem};
use crate::smooth::Smoothing;
use crate::upper::Levels;

/// Followers with more variables are projected without matrices.
const DENSE: usize = 200;
/// Spectra kept, of the x used last.
const KEPT: usize = 3;
/// Newton steps for an S(x) that is not quite affine.
const NEWTON: usize = 6;
/// ‖∇_y f‖ relative to its terms at which a point counts as an answer.
const ANSWER: f64 = 1e-10;
/// The pull towards u, relative to the size of f's slope, in falling order.
const PULLS: [f64; 3] = [1e-2, 1e-5, 1e-8];

/// Projects on S(x) for one problem.
pub struct AnswerProjector<'a> {
    f: FunctionEvaluator<'a>,
    solver: LowerSolver<'a>,
    way: Way,
    spectra: Vec<(Vec<f64>, Spectrum)>,
    m: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Free, quadratic in y.
    Quadratic,
    /// Free, smooth.
    Newton,
    /// Constrained, convex.
    Pulled,
}

impl<'a> AnswerProjector<'a> {
    /// For a free and smooth follower, or one that is convex by structure; `None` for others. `quadratic` says that f is
    /// quadratic in y, `free` that the follower may choose any y.
    pub fn new(
        problem: &'a Problem,
        levels: &'a Levels,
        (free, quadratic, smooth): (bool, bool, bool),
    ) -> Option<Self> {
        let way = match (free && smooth, quadratic) {
            (true, true) => Way::Quadratic,
            (true, false) if problem.m() <= DENSE => Way::Newton,
            _ if levels.convex && problem.m() <= DENSE => Way::Pulled,
            _ => return None,
        };
        let failures = Failures::default();
        let follower = levels.exact_follower.as_ref().unwrap_or(&levels.follower);
        Some(Self {
            f: FunctionEvaluator::new(&problem.follower().objective, problem.n(), problem.m(), &failures),
            solver: LowerSolver::new(follower, &failures, &Meter::unlimited()),
            way,
            spectra: Vec::new(),
            m: problem.m(),
        })
    }

    /// Whether f is quadratic in y and the follower free.
    pub fn is_quadratic(&self) -> bool {
        self.way == Way::Quadratic
    }

    /// Whether the follower is free: only then does ∇_y f vanish at its answers.
    pub fn is_free(&self) -> bool {
        self.way != Way::Pulled
    }

    /// The error of a projection, relative to the size of y.
    pub fn accuracy(&self) -> f64 {
        match self.way {
            Way::Quadratic if self.m <= DENSE => 1e-13,
            Way::Quadratic => 1e-11,
            Way::Newton => 1e-10,
            Way::Pulled => 1e-7,
        }
    }

    /// The answer at `x` nearest to `u`; `None` where none is found.
    pub fn project(&mut self, x: &[f64], u: &[f64]) -> Option<Vec<f64>> {
        let y = match self.way {
            Way::Quadratic => self.newton(x, u.to_vec(), 2)?,
            Way::Newton => {
                let found = self.solver.solve(x, u, Smoothing::EXACT, &Regulariser::default());
                let answer = found.y.get(..self.m).filter(|_| found.status == LowerStatus::Solved)?;
                let answer = self.newton(x, answer.to_vec(), NEWTON)?;
                let away: Vec<f64> = u.iter().zip(&answer).map(|(u, a)| u - a).collect();
                let (mut turned, mut y) = (vec![0.0; self.m], u.to_vec());
                let at = At { x, y: &answer, smoothing: Smoothing::EXACT };
                self.f.hessian_product(at, &[1.0], &away, None, Some(&mut turned));
                let step = self.pseudo_solve(x, &answer, &turned, true)?;
                axpy(-1.0, &step, &mut y);
                self.newton(x, y, NEWTON)?
            }
            Way::Pulled => self.pulled(x, u)?,
        };
        y.iter().all(|v| v.is_finite()).then_some(y)
    }

    /// ∇_y f(x, y).
    pub fn gradient(&mut self, x: &[f64], y: &[f64]) -> Vec<f64> {
        let mut out = vec![0.0; self.m];
        self.f.add_gradient(At { x, y, smoothing: Smoothing::EXACT }, &[1.0], None, Some(&mut out));
        out
    }

    /// f(x, y).
    pub fn value(&mut self, x: &[f64], y: &[f64]) -> f64 {
        self.f.value(At { x, y, smoothing: Smoothing::EXACT })
    }

    /// Writes ∇²_yy f(x, y) d.
    pub fn product(&mut self, x: &[f64], y: &[f64], d: &[f64], out: &mut [f64]) {
        self.f.hessian_product(At { x, y, smoothing: Smoothing::EXACT }, &[1.0], d, None, Some(out));
    }

    /// The part of `w` in the kernel of ∇²_yy f(x, y), up to rounding.
    pub fn kernel_part(&mut self, x: &[f64], y: &[f64], w: &[f64]) -> Option<Vec<f64>> {
        let mut turned = vec![0.0; self.m];
        self.product(x, y, w, &mut turned);
        let step = self.pseudo_solve(x, y, &turned, false)?;
        let mut out = w.to_vec();
        axpy(-1.0, &step, &mut out);
        Some(out)
    }

    /// `(∇²_yy f)⁺ b`.
    pub fn pseudo_inverse(&mut self, x: &[f64], y: &[f64], b: &[f64]) -> Option<Vec<f64>> {
        self.pseudo_solve(x, y, b, false)
    }

    /// The dimension of the kernel of ∇²_yy f(x, y) where its rank is clear; `None` also for large m.
    pub fn nullity(&mut self, x: &[f64], y: &[f64]) -> Option<usize> {
        let spectrum = (self.m <= DENSE).then(|| self.spectrum(x, y))??;
        spectrum.certain.then(|| spectrum.nullity())
    }

    /// Steps y − H⁺ ∇_y f until the gradient is rounding; `None` if it does not become small.
    fn newton(&mut self, x: &[f64], mut y: Vec<f64>, steps: usize) -> Option<Vec<f64>> {
        let mut left = f64::INFINITY;
        for k in 0..steps {
            let gradient = self.gradient(x, &y);
            left = norm2(&gradient);
            // The same Hessian serves all steps where f is quadratic.
            let step = self.pseudo_solve(x, &y, &gradient, self.way == Way::Quadratic || k > 1)?;
            axpy(-1.0, &step, &mut y);
            if norm2(&step) <= 1e-15 * (1.0 + norm2(&y)) {
                break;
            }
        }
        let scale = norm2(&self.gradient(x, &vec![0.0; self.m])) + norm2(&y) + left;
        (norm2(&self.gradient(x, &y)) <= ANSWER * scale.max(1.0)).then_some(y)
    }

    fn pulled(&mut self, x: &[f64], u: &[f64]) -> Option<Vec<f64>> {
        let scale = norm2(&self.gradient(x, u)).max(1e-3) / (1.0 + norm2(u));
        let mut y = u.to_vec();
        for pull in PULLS {
            let regulariser = Regulariser { weight: pull * scale, centre: u.to_vec() };
            let found = self.solver.solve(x, &y, Smoothing::EXACT, &regulariser);
            if found.status != LowerStatus::Solved {
                return None;
            }
            y = found.y.get(..self.m)?.to_vec();
        }
        Some(y)
    }

    /// H⁺ b with H at y; at any y of this x where `any` is set.
    fn pseudo_solve(&mut self, x: &[f64], y: &[f64], b: &[f64], any: bool) -> Option<Vec<f64>> {
        if self.m > DENSE {
            return self.conjugate_gradients(x, y, b);
        }
        let mut out = vec![0.0; self.m];
        if any && let Some((_, spectrum)) = self.spectra.iter().find(|(known, _)| known == x) {
            spectrum.pseudo_solve(b, &mut out);
            return Some(out);
        }
        let spectrum = self.spectrum(x, y)?;
        spectrum.pseudo_solve(b, &mut out);
        self.spectra.retain(|(known, _)| known != x);
        self.spectra.insert(0, (x.to_vec(), spectrum));
        self.spectra.truncate(KEPT);
        Some(out)
    }

    fn spectrum(&mut self, x: &[f64], y: &[f64]) -> Option<Spectrum> {
        let mut hessian = Dense::zeros(self.m, self.m);
        self.f.add_follower_hessian(At { x, y, smoothing: Smoothing::EXACT }, &[1.0], &mut hessian, 0, false);
        Spectrum::new(&hessian)
    }

    /// H⁺ b for b in the range of a positive semidefinite H (Hestenes & Stiefel 1952).
    fn conjugate_gradients(&mut self, x: &[f64], y: &[f64], b: &[f64]) -> Option<Vec<f64>> {
        let (mut out, mut residual) = (vec![0.0; self.m], b.to_vec());
        let mut direction = residual.clone();
        let mut turned = vec![0.0; self.m];
        let (mut rest, goal) = (dot(&residual, &residual), 1e-28 * dot(b, b));
        for _ in 0..2 * self.m {
            if rest <= goal {
                break;
            }
            self.product(x, y, &direction, &mut turned);
            let curvature = dot(&direction, &turned);
            if curvature.is_nan() || curvature <= 0.0 {
                break;
            }
            let step = rest / curvature;
            axpy(step, &direction, &mut out);
            axpy(-step, &turned, &mut residual);
            let next = dot(&residual, &residual);
            for (d, r) in direction.iter_mut().zip(&residual) {
                *d = r + next / rest * *d;
            }
            rest = next;
        }
        rest.is_finite().then_some(out)
    }
}
