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

use std::collections::BTreeMap;

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
use bilevel_linalg::{Cholesky, Csr, Dense, PivotedQr, SparseLdlt, nnls};

use super::interval::Interval;
use super::problem::Formulas;
use super::program::{Code, Program, Sweep, Unary};

/// A constraint within this of equality may have a multiplier.
const NEARLY_ACTIVE: f64 = 1e-6;
/// Most entries of the quadratic form's terms that are written out.
const MOST_ENTRIES: usize = 30_000_000;
/// Forms of more variables are kept and factored sparsely, if they have and their factors get at most so many entries.
const LARGEST_FORM: usize = 2500;
const SPARSE_ENTRIES: usize = 3_000_000;
const FACTOR_ENTRIES: usize = 30_000_000;
/// Squares of affine functions with more entries than this are left to the composition rules, unless needed.
const LONG_SQUARE: usize = 16;

/// How a function of y bends, x fixed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Constant,
    Affine,
    Convex,
    Concave,
    Unknown,
}

impl Shape {
    fn plus(self, other: Shape) -> Shape {
        match (self, other) {
            (Shape::Constant, s) | (s, Shape::Constant) => s,
            (Shape::Affine, s) | (s, Shape::Affine) => s,
            (a, b) if a == b => a,
            _ => Shape::Unknown,
        }
    }

    fn negated(self) -> Shape {
        match self {
            Shape::Convex => Shape::Concave,
            Shape::Concave => Shape::Convex,
            other => other,
        }
    }

    fn scaled(self, by: Interval) -> Shape {
        if by.lo() >= 0.0 {
            self
        } else if by.hi() <= 0.0 {
            self.negated()
        } else {
            self.plus(self.negated())
        }
    }

    fn is_affine(self) -> bool {
        matches!(self, Shape::Constant | Shape::Affine)
    }

    fn is_convex(self) -> bool {
        self.is_affine() || self == Shape::Convex
    }

    fn is_concave(self) -> bool {
        self.is_affine() || self == Shape::Concave
    }
}

/// How the composition with `function` bends, for an argument of shape `inner` with values in `z`.
fn composed(function: Unary, inner: Shape, z: Interval) -> Shape {
    let (convex, concave) = (inner.is_convex(), inner.is_concave());
    let choose = |is_convex: bool, is_concave: bool| match (is_convex, is_concave) {
        (true, _) => Shape::Convex,
        (_, true) => Shape::Concave,
        _ => Shape::Unknown,
    };
    if inner == Shape::Constant {
        return Shape::Constant;
    }
    // Even convex functions: of an affine argument, or where they are monotone.
    let even = inner.is_affine() || (convex && z.lo() >= 0.0) || (concave && z.hi() <= 0.0);
    match function {
        Unary::Neg => inner.negated(),
        Unary::Square | Unary::Abs | Unary::Huber(_) => choose(even, false),
        Unary::Exp | Unary::Expm1 | Unary::Softplus | Unary::Plus | Unary::PlusSquare => choose(convex, false),
        Unary::Log | Unary::Log1p | Unary::Sqrt => choose(false, concave),
        Unary::Whole(n) if n > 0 && n % 2 == 0 => choose(even, false),
        Unary::Whole(n) if n > 0 => choose(convex && z.lo() >= 0.0, concave && z.hi() <= 0.0),
        Unary::Whole(n) if n < 0 => choose(concave && z.lo() > 0.0, false),
        Unary::Power(p) if p.lo() >= 1.0 => choose(convex && z.lo() >= 0.0, false),
        Unary::Power(p) if p.hi() < 0.0 => choose(concave && z.lo() > 0.0, false),
        Unary::Power(p) if p.lo() >= 0.0 && p.hi() <= 1.0 => choose(false, concave),
        Unary::AbsPower(p) if p.lo() >= 1.0 => choose(even, false),
        _ => Shape::Unknown,
    }
}

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

    /// Weights of all roots: 1 for f, multipliers for the nearly active constraints.
    fn multipliers(&self, spot: &mut Sweep<Interval>, y: &[f64], domain: &[Interval]) -> Option<Vec<Interval>> {
        let program = &self.program;
        let mut weights = vec![Interval::ZERO; program.roots()];
        weights[self.follower.objective] = Interval::ONE;
        let active = self.follower.inequalities.iter().filter(|&&r| spot.value(program, r).mid() > -NEARLY_ACTIVE);
        let active: Vec<usize> = active.copied().collect();
        let signed = active.len();
        let columns: Vec<usize> = active.into_iter().chain(self.follower.equalities.iter().copied()).collect();
        if columns.is_empty() {
            return Some(weights);
        }
        let at_end = |j: usize| {
            let z = domain[j];
            y[j] - z.lo() <= NEARLY_ACTIVE || z.hi() - y[j] <= NEARLY_ACTIVE
        };
        let rows: Vec<usize> = (0..self.m).filter(|&j| !at_end(j)).collect();
        // Fewer variables between their ends than active constraints: a degenerate corner. With few variables the search
        // deals with it.
        let degenerate = rows.len() < columns.len() && self.m > FEW;
        if self.m * columns.len() > DENSE || degenerate {
            return self.multipliers_of_corner(spot, (y, domain), (&columns, signed), weights);
        }
        let mut gradient = vec![Interval::ZERO; self.n + self.m];
        let mut matrix = Dense::zeros(rows.len(), columns.len());
        for (k, &r) in columns.iter().enumerate() {
            spot.gradient(program, r, &mut gradient);
            for (i, &j) in rows.iter().enumerate() {
                matrix[(i, k)] = gradient[self.n + j].mid();
            }
        }
        spot.gradient(program, self.follower.objective, &mut gradient);
        let wanted: Vec<f64> = rows.iter().map(|&j| -gradient[self.n + j].mid()).collect();
        let found = signed_least_squares(&matrix, &wanted, signed)?;
        for (k, (&r, &v)) in columns.iter().zip(&found).enumerate() {
            // Simple multipliers cancel exactly, which unbounded variables without curvature need.
            let near = (v * 64.0).round() / 64.0;
            let v = if (near - v).abs() <= 1e-12 * (1.0 + v.abs()) { near } else { v };
            weights[r] = Interval::point(if k < signed { v.max(0.0) } else { v });
        }
        Some(weights)
    }
}

impl Formulas {
    /// The same for many variables and constraints, and at degenerate corners: multipliers of the follower's linearisation at y,
    /// min ∇fᵀd subject to the active constraints and the box, a sparse linear programme. Where Y(x) has degenerate
    /// corners least squares does not know which of the variables at their ends may move.
    fn multipliers_of_corner(
        &self,
        spot: &mut Sweep<Interval>,
        (y, domain): (&[f64], &[Interval]),
        (columns, signed): (&[usize], usize),
        mut weights: Vec<Interval>,
    ) -> Option<Vec<Interval>> {
        let program = &self.program;
        let mut gradient = vec![Interval::ZERO; self.n + self.m];
        let mut triplets = Vec::new();
        for (k, &r) in columns.iter().enumerate() {
            spot.gradient(program, r, &mut gradient);
            let row = gradient[self.n..].iter().enumerate().filter(|(_, g)| **g != Interval::ZERO);
            triplets.extend(row.map(|(j, g)| (k, j, g.mid())));
        }
        spot.gradient(program, self.follower.objective, &mut gradient);
        let linear: Vec<f64> = gradient[self.n..].iter().map(|g| g.mid()).collect();
        let rows = Csr::from_triplets(columns.len(), self.m, &triplets)?;
        let mut row_lower = vec![f64::NEG_INFINITY; signed];
        row_lower.resize(columns.len(), 0.0);
        let (lower, upper): (Vec<f64>, Vec<f64>) =
            domain.iter().zip(y).map(|(z, v)| ((z.lo() - v).min(0.0), (z.hi() - v).max(0.0))).unzip();
        let qp = Qp {
            hessian: QpHessian::Zero,
            linear: &linear,
            lower: &lower,
            upper: &upper,
            rows: &rows,
            row_lower: &row_lower,
            row_upper: &vec![0.0; columns.len()],
            balls: &[],
        };
        let options = QpOptions { tolerance: 1e-11, ..QpOptions::default() };
        let found = solve_qp(&qp, &options).ok().filter(|found| found.status.is_answer())?;
        for (k, (&r, &v)) in columns.iter().zip(&found.row_multipliers).enumerate() {
            weights[r] = Interval::point(if k < signed { (-v).max(0.0) } else { -v });
        }
        Some(weights)
    }
}

/// Followers of at most so many variables are searched box by box.
const FEW: usize = 8;
/// Matrices with more entries than this are not written out.
const DENSE: usize = 250_000;

/// Least squares, the first `signed` coefficients nonnegative; plain least squares where that has the signs already.
fn signed_least_squares(matrix: &Dense, wanted: &[f64], signed: usize) -> Option<Vec<f64>> {
    let columns = matrix.cols();
    let mut qr = PivotedQr::new();
    let mut right = wanted.to_vec();
    let mut plain = vec![0.0; columns];
    if qr.factor(matrix, None).is_ok() && qr.solve(&mut right, &mut plain).is_ok() {
        let size = plain.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        if plain[..signed].iter().all(|&v| v >= -1e-9 * size) {
            return Some(plain);
        }
    }
    let signs: Vec<bool> = (0..columns).map(|k| k < signed).collect();
    nnls(matrix, wanted, &signs).ok().map(|solution| solution.x)
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

/// The Hessian of the quadratic part, in intervals: its diagonal alone while all products are of single variables.
struct QuadraticForm {
    m: usize,
    diagonal: Vec<Interval>,
    /// Both triangles without what is in `diagonal`; empty while there is nothing.
    hessian: Vec<Interval>,
    /// The same where there are many variables: terms of the lower triangle.
    terms: Vec<(usize, usize, Interval)>,
    entries: usize,
    /// Whether there is a part that is not convex by itself.
    mixed: bool,
}

impl QuadraticForm {
    fn new(m: usize) -> Self {
        Self { m, diagonal: vec![Interval::ZERO; m], hessian: Vec::new(), terms: Vec::new(), entries: 0, mixed: false }
    }

    /// Adds the Hessian of `w (aᵀy) (bᵀy)`; `None` if that is too much work.
    fn add_product(&mut self, w: Interval, a: &[(usize, Interval)], b: &[(usize, Interval)]) -> Option<()> {
        self.entries = self.entries.saturating_add(a.len() * b.len());
        if self.entries > MOST_ENTRIES {
            return None;
        }
        if let ([(i, u)], [(j, v)]) = (a, b)
            && i == j
        {
            let term = w * *u * *v;
            self.diagonal[*i] = self.diagonal[*i] + term + term;
            return Some(());
        }
        if self.m > LARGEST_FORM {
            return self.add_terms(w, a, b);
        }
        self.hessian.resize(self.m * self.m, Interval::ZERO);
        for &(i, u) in a {
            let scaled = w * u;
            for &(j, v) in b {
                let term = scaled * v;
                let (p, q) = (i * self.m + j, j * self.m + i);
                self.hessian[p] = self.hessian[p] + term;
                self.hessian[q] = self.hessian[q] + term;
            }
        }
        Some(())
    }

    fn add_terms(&mut self, w: Interval, a: &[(usize, Interval)], b: &[(usize, Interval)]) -> Option<()> {
        if self.terms.len() + a.len() * b.len() > SPARSE_ENTRIES {
            return None;
        }
        for &(i, u) in a {
            let scaled = w * u;
            for &(j, v) in b {
                let term = scaled * v;
                self.terms.push((i.max(j), i.min(j), if i == j { term + term } else { term }));
            }
        }
        Some(())
    }

    /// σ with every symmetric matrix in the form minus σ I positive semidefinite.
    fn modulus(mut self) -> Option<f64> {
        let m = self.m;
        if !self.terms.is_empty() {
            return self.sparse_modulus();
        }
        if self.hessian.is_empty() {
            return self.diagonal_modulus();
        }
        for (i, d) in self.diagonal.iter().enumerate() {
            self.hessian[i * m + i] = self.hessian[i * m + i] + *d;
        }
        if !self.hessian.iter().all(|h| h.is_bounded()) {
            return None;
        }
        let middle = Dense::from_row_major(m, m, self.hessian.iter().map(|h| h.mid()).collect())?;
        let largest = (0..m).fold(0.0, |d: f64, i| d.max(middle[(i, i)]));
        if largest == 0.0 && !self.mixed {
            return Some(0.0);
        }
        let mut factor = Cholesky::new();
        let safety = self.safety(&middle);
        // Strongly convex if possible: that makes the bound sharpest.
        let tries = [0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8].map(|part| part * largest);
        for modulus in tries.into_iter().chain([0.0, -safety, -4.0 * safety]) {
            let shift = -(modulus + safety);
            if modulus == 0.0 && !self.mixed {
                // A sum of convex squares needs no further proof.
                return Some(0.0);
            }
            if factor.factor(&middle, shift.next_down()).is_ok() {
                return Some(modulus);
            }
        }
        None
    }

    /// The same for a sparse form, by factorisations L D Lᵀ without pivoting: with D positive the error bound is that of
    /// Cholesky's, for |L| D |Lᵀ| has entries of at most the same size.
    fn sparse_modulus(mut self) -> Option<f64> {
        let m = self.m;
        self.terms.extend(self.diagonal.iter().enumerate().map(|(i, d)| (i, i, *d)));
        self.terms.sort_by_key(|&(i, j, _)| (i, j));
        let mut sums: Vec<(usize, usize, Interval)> = Vec::new();
        for &(i, j, term) in &self.terms {
            match sums.last_mut() {
                Some(last) if (last.0, last.1) == (i, j) => last.2 = last.2 + term,
                _ => sums.push((i, j, term)),
            }
        }
        if !sums.iter().all(|(.., h)| h.is_bounded()) {
            return None;
        }
        let (mut radii, mut trace, mut largest) = (vec![0.0; m], 0.0, 0.0f64);
        for &(i, j, h) in &sums {
            radii[i] += h.width();
            if i == j {
                trace += h.mid().abs();
                largest = largest.max(h.mid());
            } else {
                radii[j] += h.width();
            }
        }
        if largest == 0.0 && !self.mixed {
            return Some(0.0);
        }
        let safety = 2.0 * safety(m, radii.into_iter().fold(0.0, f64::max), trace);
        let triplets: Vec<_> = sums.iter().map(|&(i, j, h)| (i, j, h.mid())).collect();
        let middle = Csr::from_triplets(m, m, &triplets)?;
        let mut factor = SparseLdlt::new(&middle).ok().filter(|factor| factor.stored() <= FACTOR_ENTRIES)?;
        let mut shifted = middle.clone();
        let ends: Vec<usize> = middle.starts()[1..].iter().map(|end| end - 1).collect();
        for modulus in [0.1, 1e-2, 1e-4, 1e-6].map(|part| part * largest).into_iter().chain([0.0, -safety]) {
            if modulus == 0.0 && !self.mixed {
                return Some(0.0);
            }
            let shift = (modulus + safety).next_up();
            ends.iter().for_each(|&k| shifted.values_mut()[k] = (middle.values()[k] - shift).next_down());
            if factor.factor(&shifted).is_ok_and(|inertia| inertia.positive == m) {
                return Some(modulus);
            }
        }
        None
    }

    /// The same where the form is diagonal: its least entry. Slightly negative by rounding is still a bound; more than
    /// that is a form that is not convex, of which duality does not speak.
    fn diagonal_modulus(&self) -> Option<f64> {
        if self.m == 0 {
            return Some(0.0);
        }
        let least = self.diagonal.iter().fold(f64::INFINITY, |a: f64, d| a.min(d.lo()));
        let trace: f64 = self.diagonal.iter().map(|d| d.mag()).sum();
        let convex = if self.mixed { least } else { least.max(0.0) };
        let rounding = 4.0 * (self.m as f64 + 4.0) * f64::EPSILON * trace;
        (self.diagonal.iter().all(|d| d.is_bounded()) && convex >= -rounding).then_some(convex)
    }

    /// What the smallest eigenvalue may lose to the intervals' widths and to the rounding errors of a Cholesky
    /// factorisation of the shifted middle that runs to its end: at most (n + 2) u / (1 - 2 (n + 2) u) times the trace,
    /// the widths' row sums and one rounding of each diagonal entry. Doubled, so that its own rounding does not matter.
    fn safety(&self, middle: &Dense) -> f64 {
        let m = self.m;
        let (mut radius, mut trace) = (0.0_f64, 0.0_f64);
        for i in 0..m {
            let row = &self.hessian[i * m..(i + 1) * m];
            radius = radius.max(row.iter().map(|h| h.width()).sum());
            trace += middle[(i, i)].abs();
        }
        safety(m, radius, trace)
    }
}

/// The safety of m variables with these widths' row sums and trace.
fn safety(m: usize, radius: f64, trace: f64) -> f64 {
    let unit = f64::EPSILON;
    2.0 * (radius + (m as f64 + 4.0) * unit * trace * 1.01 + 2.0 * unit * trace) + 1e-290
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
