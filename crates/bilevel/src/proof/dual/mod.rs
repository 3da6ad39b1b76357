//! Convex followers of any size: a lower bound of v(x) by duality, with the rounding accounted for.
//!
//! Let L = f + λᵀg + μᵀh be convex in y with λ >= 0, and let its Hessian minus σ I be positive semidefinite. At any ŷ
//! and for every feasible y in the box,
//!
//! ```text
//! f(y) >= L(y) >= L(ŷ) + Σ_j min over y_j of ( ∂_j L(ŷ) (y_j - ŷ_j) + σ (y_j - ŷ_j)² / 2 )
//! ```
//!
//! The multipliers come from least squares with signs on the active constraints at ŷ and need not be good. Convexity
//! is proved by composition rules; what is left over (products, and squares against them) is a quadratic form, whose
//! matrix must be positive semidefinite: a Cholesky factorisation of the matrix minus a shift runs to its end, and the
//! shift pays for its rounding errors [Rump 2006, *Verification of positive definiteness*; Higham 2002, thm. 10.3].
//! With σ > 0 unbounded variables do no harm; a tiny negative σ costs little on a bounded box.
//!
//! ```text
//! mod.rs          the bound
//! multipliers.rs  the multipliers λ and μ
//! shape.rs        convexity by composition rules
//! form.rs         the quadratic form that is left over, and σ
//! ```

mod form;
mod multipliers;
mod shape;

use std::collections::BTreeMap;

use super::interval::Interval;
use super::problem::Formulas;
use super::program::{Code, Program, Sweep, Unary};
use form::QuadraticForm;
use shape::{Shape, composed};

/// Squares of affine functions with more entries than this are left to the composition rules, unless needed.
const LONG_SQUARE: usize = 16;

/// What the dual bound rests on, and the bound.
#[derive(Clone, Copy, Debug)]
pub struct DualBound {
    /// No feasible y in the box has a smaller objective; -inf if the box is unbounded where it matters.
    pub lower: f64,
    /// The proved modulus of convexity σ.
    pub modulus: f64,
}

/// The follower's Lagrangian in y, x fixed.
struct Lagrangian<'a> {
    formulas: &'a Formulas,
    program: &'a Program,
    /// Weights of all roots.
    weights: Vec<Interval>,
    /// Values over {x} x box.
    values: Vec<Interval>,
    shapes: Vec<Shape>,
}

impl Formulas {
    /// A proved lower bound of f over the feasible y in `domain`, from convexity and multipliers at `y`; `None` where
    /// convexity could not be proved or something is undefined at y.
    pub fn dual_bound(&self, x: &[f64], y: &[f64], domain: &[Interval]) -> Option<DualBound> {
        // The tangent must touch inside the box: convexity is proved there only.
        let y: Vec<f64> = y.iter().zip(domain).map(|(&v, z)| z.clamp(v)).collect();
        if y.iter().any(|v| !v.is_finite()) {
            return None;
        }
        let y = y.as_slice();
        let mut spot = Sweep::<Interval>::new(&self.program);
        let at: Vec<_> = x.iter().chain(y).map(|&v| Interval::point(v)).collect();
        spot.forward(&self.program, &at);
        let used = self.follower.inequalities.iter().chain(&self.follower.equalities);
        if !used.chain([&self.follower.objective]).all(|&r| spot.defined(&self.program, r)) {
            return None;
        }
        let weights = self.multipliers(&mut spot, y, domain)?;
        let over: Vec<_> = at[..self.n].iter().chain(domain).copied().collect();
        let mut sweep = Sweep::<Interval>::new(&self.program);
        sweep.forward(&self.program, &over);
        let mut lagrangian = Lagrangian {
            formulas: self,
            program: &self.program,
            weights,
            values: sweep.into_values(),
            shapes: Vec::new(),
        };
        lagrangian.classify();
        let modulus = lagrangian.modulus(domain.iter().any(|z| !z.is_bounded()))?;
        let roots = lagrangian.weights.iter().enumerate().filter(|(_, w)| **w != Interval::ZERO);
        let mut lower = roots.fold(Interval::ZERO, |sum, (r, w)| sum + *w * spot.value(&self.program, r));
        let mut gradient = vec![Interval::ZERO; self.n + self.m];
        spot.weighted_gradient(&self.program, &lagrangian.weights, &mut gradient);
        for ((z, &v), slope) in domain.iter().zip(y).zip(&gradient[self.n..]) {
            let least = least_parabola(*slope, modulus, *z - Interval::point(v));
            if least == f64::NEG_INFINITY {
                return Some(DualBound { lower: least, modulus });
            }
            lower = lower + Interval::point(least);
        }
        Some(DualBound { lower: lower.lo(), modulus })
    }
}

/// A lower bound of `slope d + modulus d² / 2` over the steps.
fn least_parabola(slope: Interval, modulus: f64, steps: Interval) -> f64 {
    let linear = (slope * steps).lo();
    if modulus > 0.0 {
        let deepest = Interval::point(slope.mag()).square() / (Interval::point(2.0) * Interval::point(modulus));
        return linear.max(-deepest.hi());
    }
    let bend = Interval::point(0.5) * Interval::point(modulus) * steps.square();
    (Interval::point(linear) + bend).lo()
}

impl Lagrangian<'_> {
    fn in_y(&self, variable: u32) -> Option<usize> {
        (variable as usize).checked_sub(self.formulas.n)
    }

    /// How every operation bends in y.
    fn classify(&mut self) {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.program.len());
        for (i, &code) in self.program.codes().iter().enumerate() {
            let shape = |a: u32| shapes[a as usize];
            let value = |a: u32| self.values[a as usize];
            let made = match code {
                Code::Constant(_) => Shape::Constant,
                Code::Variable(v) => self.in_y(v).map_or(Shape::Constant, |_| Shape::Affine),
                Code::Add(a, b) => shape(a).plus(shape(b)),
                Code::Sub(a, b) => shape(a).plus(shape(b).negated()),
                Code::Mul(a, b) => match (shape(a), shape(b)) {
                    (Shape::Constant, s) => s.scaled(value(a)),
                    (s, Shape::Constant) => s.scaled(value(b)),
                    _ => Shape::Unknown,
                },
                Code::Div(a, b) if shape(b) == Shape::Constant && !value(b).contains(0.0) => {
                    shape(a).scaled(Interval::ONE / value(b))
                }
                Code::Div(..) => Shape::Unknown,
                Code::Max(a, b) | Code::Min(a, b) if shape(a) == Shape::Constant && shape(b) == Shape::Constant => {
                    Shape::Constant
                }
                Code::Max(a, b) if shape(a).is_convex() && shape(b).is_convex() => Shape::Convex,
                Code::Min(a, b) if shape(a).is_concave() && shape(b).is_concave() => Shape::Concave,
                Code::Max(..) | Code::Min(..) => Shape::Unknown,
                Code::Apply(f, a) => composed(f, shape(a), value(a)),
                Code::Norm { p, .. } => {
                    let args = self.program.norm_arguments(i);
                    if args.iter().all(|&a| shape(a) == Shape::Constant) {
                        Shape::Constant
                    } else if p >= 1.0 && args.iter().all(|&a| shape(a).is_affine()) {
                        Shape::Convex
                    } else {
                        Shape::Unknown
                    }
                }
            };
            shapes.push(made);
        }
        self.shapes = shapes;
    }

    /// A proved modulus of convexity of the Lagrangian in y, perhaps slightly negative; `None` if there is no proof.
    /// `thorough`: long squares are written out too, since a positive modulus is needed.
    fn modulus(&self, thorough: bool) -> Option<f64> {
        let mut weights = vec![Interval::ZERO; self.program.len()];
        for (r, w) in self.weights.iter().enumerate() {
            let root = self.program.root(r) as usize;
            weights[root] = weights[root] + *w;
        }
        let mut form = QuadraticForm::new(self.formulas.m);
        let mut long_squares = Vec::new();
        for i in (0..self.program.len()).rev() {
            let w = weights[i];
            if w == Interval::ZERO || self.shapes[i].is_affine() {
                continue;
            }
            let mut give = |a: u32, amount: Interval| weights[a as usize] = weights[a as usize] + amount;
            match self.program.codes()[i] {
                Code::Add(a, b) => {
                    give(a, w);
                    give(b, w);
                }
                Code::Sub(a, b) => {
                    give(a, w);
                    give(b, -w);
                }
                Code::Apply(Unary::Neg, a) => give(a, -w),
                Code::Mul(a, b) if self.shapes[a as usize] == Shape::Constant => give(b, w * self.values[a as usize]),
                Code::Mul(a, b) if self.shapes[b as usize] == Shape::Constant => give(a, w * self.values[b as usize]),
                Code::Div(a, b) if self.shapes[b as usize] == Shape::Constant => give(a, w / self.values[b as usize]),
                Code::Mul(a, b) if self.shapes[a as usize].is_affine() && self.shapes[b as usize].is_affine() => {
                    form.add_product(w, &self.affine(a)?, &self.affine(b)?)?;
                    form.mixed = true;
                }
                Code::Apply(Unary::Square, a) if self.shapes[a as usize].is_affine() => {
                    let row = self.affine(a)?;
                    if w.lo() < 0.0 {
                        form.mixed = true;
                        form.add_product(w, &row, &row)?;
                    } else if row.len() <= LONG_SQUARE {
                        form.add_product(w, &row, &row)?;
                    } else {
                        long_squares.push((w, row));
                    }
                }
                _ => {
                    let shape = self.shapes[i].scaled(w);
                    if !shape.is_convex() {
                        return None;
                    }
                }
            }
        }
        if form.mixed || thorough {
            for (w, row) in &long_squares {
                if form.add_product(*w, row, row).is_none() && form.mixed {
                    return None;
                }
            }
        }
        form.modulus()
    }

    /// The coefficients in y of an affine operation.
    fn affine(&self, root: u32) -> Option<Vec<(usize, Interval)>> {
        self.affine_tree(root).or_else(|| self.affine_graph(root))
    }

    /// The same for an operation that shares few parts, which most do; `None` after too many steps.
    fn affine_tree(&self, root: u32) -> Option<Vec<(usize, Interval)>> {
        let mut row = vec![Interval::ZERO; self.formulas.m];
        let mut waiting = vec![(root, Interval::ONE)];
        for _ in 0..8 * self.formulas.m + 64 {
            let Some((i, w)) = waiting.pop() else {
                return Some(row.into_iter().enumerate().filter(|(_, w)| *w != Interval::ZERO).collect());
            };
            let constant = |a: u32| self.shapes[a as usize] == Shape::Constant;
            if constant(i) {
                continue;
            }
            match self.program.codes()[i as usize] {
                Code::Variable(v) => {
                    let j = self.in_y(v)?;
                    row[j] = row[j] + w;
                }
                Code::Add(a, b) => waiting.extend([(a, w), (b, w)]),
                Code::Sub(a, b) => waiting.extend([(a, w), (b, -w)]),
                Code::Apply(Unary::Neg, a) => waiting.push((a, -w)),
                Code::Mul(a, b) if constant(a) => waiting.push((b, w * self.values[a as usize])),
                Code::Mul(a, b) => waiting.push((a, w * self.values[b as usize])),
                Code::Div(a, b) => waiting.push((a, w / self.values[b as usize])),
                _ => return None,
            }
        }
        None
    }

    /// The same for any operation: every part is visited once, its users first.
    fn affine_graph(&self, root: u32) -> Option<Vec<(usize, Interval)>> {
        let mut row = BTreeMap::new();
        let mut waiting = BTreeMap::from([(root, Interval::ONE)]);
        while let Some((i, w)) = waiting.pop_last() {
            if self.shapes[i as usize] == Shape::Constant {
                continue;
            }
            let mut give = |a: u32, amount: Interval| {
                let sum = waiting.entry(a).or_insert(Interval::ZERO);
                *sum = *sum + amount;
            };
            match self.program.codes()[i as usize] {
                Code::Variable(v) => {
                    row.insert(self.in_y(v)?, w);
                }
                Code::Add(a, b) => {
                    give(a, w);
                    give(b, w);
                }
                Code::Sub(a, b) => {
                    give(a, w);
                    give(b, -w);
                }
                Code::Apply(Unary::Neg, a) => give(a, -w),
                Code::Mul(a, b) if self.shapes[a as usize] == Shape::Constant => give(b, w * self.values[a as usize]),
                Code::Mul(a, b) => give(a, w * self.values[b as usize]),
                Code::Div(a, b) => give(a, w / self.values[b as usize]),
                _ => return None,
            }
        }
        Some(row.into_iter().collect())
    }
}

/// For every root of the problem's program: whether it is affine in y, whatever x in the domain.
pub(super) fn affine_in_follower(formulas: &Formulas) -> Vec<bool> {
    let mut sweep = Sweep::<Interval>::new(&formulas.program);
    sweep.forward(&formulas.program, &formulas.domain);
    let mut lagrangian = Lagrangian {
        formulas,
        program: &formulas.program,
        weights: Vec::new(),
        values: sweep.into_values(),
        shapes: Vec::new(),
    };
    lagrangian.classify();
    (0..formulas.program.roots()).map(|r| lagrangian.shapes[formulas.program.root(r) as usize].is_affine()).collect()
}
