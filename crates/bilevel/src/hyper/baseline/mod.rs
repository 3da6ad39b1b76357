//! First-order methods of the literature for simple bilevel problems, as baselines for the ways of [`super::Hyper`].
//!
//! ```text
//! minimise F(y)  over the minimisers of f over Y          (x fixed; for phi_p: −F)
//! ```
//!
//! | file | method |
//! |---|---|
//! | fc_bio.rs | FC-BiO, Zhang, Chen, Xu & Zhang 2024 (arXiv 2409.06530) |
//! | level_bisection.rs | bisection on the value function of the functional constraint, Jiang, Shi & Wang 2024 (2409.08948) |
//! | cg_bio.rs | CG-BiO, Jiang, Abolfazli, Mokhtari & Yazdandoost Hamedani 2022 |
//! | a_irg.rs | averaged iteratively regularised gradients, Kaushik & Yousefian 2021 |
//! | penalty.rs | the penalty path of [`super::Hyper`] in the same form |
//!
//! None of them is chosen by `solve`: measured, they need ten to a hundred times the gradients
//! (`cargo bench -p bilevel --bench simple_bilevel`).

mod a_irg;
mod cg_bio;
mod fc_bio;
mod level_bisection;
mod penalty;

pub use a_irg::AveragedRegularisation;
pub use cg_bio::ConditionalGradient;
pub use fc_bio::FunctionallyConstrained;
pub use level_bisection::LevelBisection;
pub use penalty::PenaltyPath;

use super::functions::Functions;
use crate::lower::accelerated;
use crate::problem::{Attitude, Problem};
use crate::set::{ConvexSet, Set};

/// A simple bilevel problem: both objectives at a fixed x, and the follower's set.
pub struct SimpleBilevel<'a> {
    functions: Functions<'a>,
    set: Set,
    m: usize,
}

/// What a watcher sees now and then.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'p> {
    /// Gradients of f and F so far.
    pub gradients: u64,
    /// The method's own estimate of the least F, without the attitude's sign.
    pub estimate: f64,
    /// Its point.
    pub y: &'p [f64],
}

/// Called at the method's pace; `false` stops it.
pub type Watch<'w> = dyn FnMut(&Progress<'_>) -> bool + 'w;

/// A method for simple bilevel problems.
pub trait Baseline {
    /// The name in tables.
    fn name(&self) -> &'static str;
    /// Runs from `start` until the watcher stops it, `budget` gradients are used, or the method is done; the last point.
    fn run(&self, problem: &mut SimpleBilevel<'_>, start: &[f64], budget: u64, watch: &mut Watch<'_>) -> Vec<f64>;
}

impl<'a> SimpleBilevel<'a> {
    /// The objectives of `problem` at `x`; its further constraints on the follower, if any, are not looked at.
    pub fn new(problem: &'a Problem, attitude: Attitude, x: &'a [f64]) -> Self {
        let set = problem.follower().set.clone();
        Self { functions: Functions::new(problem, attitude, x), set, m: problem.m() }
    }

    /// Gradients so far.
    pub fn gradients(&self) -> u64 {
        self.functions.gradients
    }

    /// F as reported: without the attitude's sign.
    fn shown(&self, value: f64) -> f64 {
        self.functions.sign() * value
    }

    fn project(&self, z: &[f64], out: &mut [f64]) {
        self.set.project(z, out);
    }

    /// Reports a point whose sign * F is `value`.
    fn report(&self, value: f64, y: &[f64], watch: &mut Watch<'_>) -> bool {
        watch(&Progress { gradients: self.gradients(), estimate: self.shown(value), y })
    }

    /// Minimises lower * f + upper * sign * F over the set.
    fn minimise(&mut self, (lower, upper): (f64, f64), start: &[f64], tolerance: f64, iterations: usize) -> Vec<f64> {
        let settings = accelerated::Settings { tolerance, max_iterations: iterations };
        let mut weighted = super::penalty::Weighted::new(&mut self.functions, lower, upper, self.m);
        accelerated::minimise(&mut weighted, &self.set, start, &settings).y
    }

    /// Lipschitz constants of both gradients, estimated by power iteration on Hessian products at `y`.
    fn smoothness(&mut self, y: &[f64]) -> (f64, f64) {
        let mut largest = [1e-12; 2];
        let (mut v, mut image) = (vec![0.0; self.m], vec![0.0; self.m]);
        for (which, estimate) in largest.iter_mut().enumerate() {
            v.iter_mut().enumerate().for_each(|(i, v)| *v = 1.0 + ((i * 31) % 17) as f64 / 17.0);
            for _ in 0..30 {
                let size = bilevel_linalg::vector::norm2(&v);
                if size == 0.0 || !size.is_finite() {
                    break;
                }
                v.iter_mut().for_each(|x| *x /= size);
                match which {
                    0 => self.functions.lower_product(y, &v, &mut image),
                    _ => self.functions.upper_product(y, &v, &mut image),
                }
                *estimate = bilevel_linalg::vector::norm2(&image).max(1e-12);
                v.copy_from_slice(&image);
            }
        }
        (1.05 * largest[0], 1.05 * largest[1])
    }
}
