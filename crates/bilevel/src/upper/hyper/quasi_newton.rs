//! Quasi-Newton descent on phi over X.
//!
//! Without X: `d = -H s` with H by BFGS (dense up to n = 500, 20 pairs beyond) and a weak Wolfe line search, which is all
//! that BFGS needs to work on nonsmooth functions too (Lewis & Overton, *Nonsmooth optimization via quasi-Newton methods*,
//! Math. Program. 141 (2013)). With X: d minimises `s d + ½ dᵀB d` over x + d in X, so that every step stays in X; beyond
//! n = 500, or where that programme fails, d is a projected gradient step with Barzilai and Borwein's length.

use std::collections::VecDeque;

use bilevel_linalg::qp::{Ball, Qp, QpHessian, QpOptions, solve_qp};
use bilevel_linalg::{Csr, Dense, vector};

use super::oracle::{Ending, Oracle, Sample};
use super::projected_norm;
use crate::set::{ConvexSet, Description, Set};

/// Settings of [`quasi_newton`].
#[derive(Clone, Debug, PartialEq)]
pub struct QuasiNewtonSettings {
    /// Ends when the projected subgradient's norm is at most this.
    pub tolerance: f64,
    /// Ends with [`Ending::Kink`] where line searches in a row meet kinks: a bundle method goes on faster from there.
    pub stop_at_kinks: bool,
}

const SUFFICIENT: f64 = 1e-4;
const CURVATURE: f64 = 0.9;
const BISECTIONS: usize = 50;
/// Line searches in a row that meet a kink before the run says so.
const KINKS: usize = 2;
/// Largest dimension of a dense matrix; pairs kept beyond it.
const DENSE: usize = 500;
const PAIRS: usize = 20;

/// What a run has learnt of phi's curvature; another run from elsewhere may start with it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curvature {
    /// The inverse Hessian (no set) or the Hessian (with one), empty for n > 500.
    matrix: Option<Dense>,
    /// Steps and gradient differences, for n > 500.
    pairs: VecDeque<(Vec<f64>, Vec<f64>)>,
}

impl Curvature {
    /// Whether nothing has been learnt.
    fn is_fresh(&self) -> bool {
        self.matrix.is_none() && self.pairs.is_empty()
    }
}

/// Minimises phi over X from `start`, with the curvature of an earlier run if there is one, which is updated.
pub fn quasi_newton(
    oracle: &mut Oracle<'_>,
    set: &Set,
    start: &[f64],
    settings: &QuasiNewtonSettings,
    curvature: &mut Curvature,
) -> Ending {
    let mut x = start.to_vec();
    set.project(start, &mut x);
    let (sample, slope) = match oracle.start(&x) {
        Ok(pair) => pair,
        Err(ending) => return ending,
    };
    let mut run = Run { set, settings, frame: Frame::new(set), at: sample, slope, scale: None, kinks: 0 };
    loop {
        match run.iterate(oracle, curvature) {
            Ok(None) => {}
            Ok(Some(ending)) | Err(ending) => return ending,
        }
    }
}

/// X for the quadratic programmes; `None` for the whole space.
struct Frame {
    description: Option<Description>,
}

impl Frame {
    fn new(set: &Set) -> Self {
        let mut description = Description::default();
        set.describe(0, &mut description);
        description.grow(set.ambient_dimension());
        let free = description.lower.iter().all(|l| *l == f64::NEG_INFINITY)
            && description.upper.iter().all(|u| *u == f64::INFINITY)
            && description.row_count() == 0
            && description.balls.is_empty();
        Self { description: (!free).then_some(description) }
    }
}

struct Run<'a> {
    set: &'a Set,
    settings: &'a QuasiNewtonSettings,
    frame: Frame,
    at: Sample,
    slope: Vec<f64>,
    /// Barzilai and Borwein's step length, from the last step.
    scale: Option<f64>,
    /// Line searches in a row that met a kink.
    kinks: usize,
}

impl Run<'_> {
    fn iterate(&mut self, oracle: &mut Oracle<'_>, curvature: &mut Curvature) -> Result<Option<Ending>, Ending> {
        if projected_norm(self.set, &self.at.x, &self.slope) <= self.settings.tolerance {
            return Ok(Some(Ending::Stationary));
        }
        if self.kinks >= KINKS {
            return Ok(Some(Ending::Kink));
        }
        let Some(direction) = self.direction(curvature) else {
            // A matrix that gives no descent is forgotten, once.
            let fresh = curvature.is_fresh();
            *curvature = Curvature::default();
            return Ok(fresh.then_some(Ending::Stalled));
        };
        let Some((next, slope)) = self.line_search(oracle, &direction, curvature)? else {
            let fresh = curvature.is_fresh();
            *curvature = Curvature::default();
            return Ok(fresh.then_some(Ending::Stalled));
        };
        let decrease = self.at.value - next.value;
        self.learn(curvature, &next, &slope);
        self.at = next;
        self.slope = slope;
        Ok((decrease <= 0.5 * oracle.noise(self.at.value)).then_some(Ending::Stalled))
    }

    /// A direction of descent, such that x + d is in X.
    fn direction(&mut self, curvature: &Curvature) -> Option<Vec<f64>> {
        let s = &self.slope;
        let direction = match (&self.frame.description, &curvature.matrix) {
            (None, Some(inverse)) => {
                let mut d = vec![0.0; s.len()];
                inverse.mul_add(-1.0, s, &mut d);
                d
            }
            (None, None) if !curvature.pairs.is_empty() => two_loops(&curvature.pairs, s),
            (None, None) => {
                let length = f64::min(1.0, 0.5 * (1.0 + vector::norm2(&self.at.x)) / vector::norm2(s));
                s.iter().map(|v| -length * v).collect()
            }
            (Some(description), Some(hessian)) => {
                over_set(description, hessian, &self.at.x, s).or_else(|| Some(self.projected_step()))?
            }
            (Some(_), None) => self.projected_step(),
        };
        let slope = vector::dot(&direction, s);
        (slope < 0.0 && vector::all_finite(&direction)).then_some(direction)
    }

    fn projected_step(&self) -> Vec<f64> {
        let s = &self.slope;
        let first = f64::min(1.0, 0.5 * (1.0 + vector::norm2(&self.at.x)) / vector::norm2(s));
        let length = self.scale.unwrap_or(first);
        let free: Vec<f64> = self.at.x.iter().zip(s).map(|(x, s)| x - length * s).collect();
        let mut z = free.clone();
        self.set.project(&free, &mut z);
        z.iter().zip(&self.at.x).map(|(z, x)| z - x).collect()
    }

    /// A point that satisfies the weak Wolfe conditions, found by doubling and bisection; with X, steps are at most 1. The
    /// best point of sufficient decrease if the conditions cannot be met; `None` if there is no decrease.
    fn line_search(
        &mut self,
        oracle: &mut Oracle<'_>,
        d: &[f64],
        curvature: &Curvature,
    ) -> Result<Option<(Sample, Vec<f64>)>, Ending> {
        let slope = vector::dot(&self.slope, d);
        let longest = if self.frame.description.is_some() { 1.0 } else { f64::INFINITY };
        let (mut low, mut high, mut t) = (0.0, f64::INFINITY, 1.0);
        let mut accepted: Option<(Sample, Vec<f64>)> = None;
        let noise = oracle.noise(self.at.value);
        let before = oracle.used();
        for _ in 0..BISECTIONS {
            let mut x: Vec<f64> = self.at.x.iter().zip(d).map(|(x, d)| x + t * d).collect();
            if self.frame.description.is_some() {
                let free = x.clone();
                self.set.project(&free, &mut x);
            }
            if x == self.at.x {
                break;
            }
            let trial = oracle.evaluate(&x)?;
            match trial.subgradient.clone() {
                Some(s) if trial.value <= self.at.value + SUFFICIENT * t * slope => {
                    let bent = vector::dot(&s, d) >= CURVATURE * slope;
                    low = t;
                    accepted = Some((trial, s));
                    if bent || t >= longest {
                        break;
                    }
                }
                _ => {
                    high = t;
                    // Below the noise of phi nothing more can be learnt.
                    if accepted.is_none() && -t * slope <= 0.5 * noise {
                        break;
                    }
                }
            }
            t = if high.is_finite() { 0.5 * (low + high) } else { 2.0 * t }.min(longest);
        }
        // Near a smooth minimum the first step is accepted; where it needs halving after halving, there is a kink.
        let kinked = oracle.used() - before > 3 && !curvature.is_fresh();
        self.kinks = if kinked && self.settings.stop_at_kinks { self.kinks + 1 } else { 0 };
        Ok(accepted)
    }

    fn learn(&mut self, curvature: &mut Curvature, next: &Sample, slope: &[f64]) {
        let step: Vec<f64> = next.x.iter().zip(&self.at.x).map(|(a, b)| a - b).collect();
        let change: Vec<f64> = slope.iter().zip(&self.slope).map(|(a, b)| a - b).collect();
        let (sy, yy, ss) = (vector::dot(&step, &change), vector::norm2_squared(&change), vector::norm2_squared(&step));
        if !(sy > 1e-12 * (yy * ss).sqrt() && sy.is_finite()) {
            self.scale = None;
            return;
        }
        self.scale = Some((ss / sy).clamp(1e-10, 1e10));
        let n = step.len();
        if n > DENSE {
            curvature.pairs.push_back((step, change));
            if curvature.pairs.len() > PAIRS {
                curvature.pairs.pop_front();
            }
        } else if self.frame.description.is_none() {
            let fresh = || Dense::from_diagonal(&vec![sy / yy; n]);
            update_inverse(curvature.matrix.get_or_insert_with(fresh), &step, &change, sy);
        } else {
            let fresh = || Dense::from_diagonal(&vec![yy / sy; n]);
            update_hessian(curvature.matrix.get_or_insert_with(fresh), &step, &change, sy);
        }
        if curvature.matrix.as_ref().is_some_and(|m| !vector::all_finite(m.data())) {
            *curvature = Curvature::default();
        }
    }
}

/// H ← (I − s yᵀ/sᵀy) H (I − y sᵀ/sᵀy) + s sᵀ/sᵀy.
fn update_inverse(h: &mut Dense, s: &[f64], y: &[f64], sy: f64) {
    let mut hy = vec![0.0; s.len()];
    h.mul_add(1.0, y, &mut hy);
    let factor = (1.0 + vector::dot(y, &hy) / sy) / sy;
    for i in 0..s.len() {
        let (a, b) = (s[i], hy[i]);
        for ((h, sj), hyj) in h.row_mut(i).iter_mut().zip(s).zip(&hy) {
            *h += factor * a * sj - (a * hyj + b * sj) / sy;
        }
    }
}

/// B ← B − B s sᵀB/(sᵀB s) + y yᵀ/sᵀy.
fn update_hessian(b: &mut Dense, s: &[f64], y: &[f64], sy: f64) {
    let mut bs = vec![0.0; s.len()];
    b.mul_add(1.0, s, &mut bs);
    let sbs = vector::dot(s, &bs);
    for i in 0..s.len() {
        let (p, q) = (bs[i] / sbs, y[i] / sy);
        for ((b, bsj), yj) in b.row_mut(i).iter_mut().zip(&bs).zip(y) {
            *b += q * yj - p * bsj;
        }
    }
}

/// −H s by the two-loop recursion (Nocedal & Wright, algorithm 7.4).
fn two_loops(pairs: &VecDeque<(Vec<f64>, Vec<f64>)>, s: &[f64]) -> Vec<f64> {
    let mut q: Vec<f64> = s.iter().map(|v| -v).collect();
    let mut alphas = Vec::with_capacity(pairs.len());
    for (step, change) in pairs.iter().rev() {
        let alpha = vector::dot(step, &q) / vector::dot(step, change);
        vector::axpy(-alpha, change, &mut q);
        alphas.push(alpha);
    }
    if let Some((step, change)) = pairs.back() {
        vector::scale(vector::dot(step, change) / vector::norm2_squared(change), &mut q);
    }
    for ((step, change), alpha) in pairs.iter().zip(alphas.iter().rev()) {
        let beta = vector::dot(change, &q) / vector::dot(step, change);
        vector::axpy(alpha - beta, step, &mut q);
    }
    q
}

/// The minimiser of `s d + ½ dᵀB d` over x + d in X.
fn over_set(description: &Description, hessian: &Dense, x: &[f64], s: &[f64]) -> Option<Vec<f64>> {
    let (n, size) = (x.len(), description.variables());
    let shift = |j: usize| x.get(j).copied().unwrap_or(0.0);
    let moved = |values: &[f64]| -> Vec<f64> { values.iter().enumerate().map(|(j, v)| v - shift(j)).collect() };
    let mut at_x = vec![0.0; description.row_count()];
    description.rows.iter().for_each(|&(row, j, a)| at_x[row] += a * shift(j));
    let less = |bounds: &[f64]| -> Vec<f64> { bounds.iter().zip(&at_x).map(|(b, r)| b - r).collect() };
    let rows = Csr::from_triplets(description.row_count(), size, &description.rows)?;
    let ball = |b: &crate::set::BallPart| Ball {
        start: b.start,
        centre: b.centre.iter().enumerate().map(|(k, c)| c - shift(b.start + k)).collect(),
        radius: b.radius,
    };
    let balls: Vec<Ball> = description.balls.iter().map(ball).collect();
    let mut linear = s.to_vec();
    linear.resize(size, 0.0);
    let wide = Dense::from_fn(size, size, |i, j| if i < n && j < n { hessian[(i, j)] } else { 0.0 });
    let qp = Qp {
        hessian: QpHessian::Dense(&wide),
        linear: &linear,
        lower: &moved(&description.lower),
        upper: &moved(&description.upper),
        rows: &rows,
        row_lower: &less(&description.row_lower),
        row_upper: &less(&description.row_upper),
        balls: &balls,
    };
    let mut z = solve_qp(&qp, &QpOptions::default()).ok().filter(|q| q.status.is_answer())?.z;
    z.truncate(n);
    Some(z)
}
