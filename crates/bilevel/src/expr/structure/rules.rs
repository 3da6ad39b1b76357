//! Curvature by composition rules, component by component.
//!
//! Beside convex and concave, two more traits are carried for nonnegative functions g: `root_convex`, sqrt(g) is convex
//! (squares of affine functions, and their sums: sqrt(g + h) is the norm of two convex nonnegative functions), and
//! `log_convex`, ln(g) is convex (exponentials of convex functions, sums and products of such). Where all rules are
//! silent, the Hessian's enclosure on the box decides, see [`super::second`].

use super::definite::{Definite, definiteness, definiteness_of, definiteness_of_form};
use super::degree::dominant;
use super::formula::{Formula, visit};
use super::function::{self, Local};
use super::quadratic::quadratic_form;
use super::second::Curves;
use super::{Block, Curvature, Degree, Range};
use crate::expr::{Function, Matrix, Op};

/// What is known of one component in one block.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Traits {
    pub convex: bool,
    pub concave: bool,
    /// Nonnegative with a convex square root.
    pub root_convex: bool,
    /// Nonnegative with a convex logarithm.
    pub log_convex: bool,
}

impl Traits {
    pub const CONSTANT: Traits = Traits { convex: true, concave: true, root_convex: true, log_convex: true };
    const AFFINE: Traits = Traits { root_convex: false, log_convex: false, ..Self::CONSTANT };

    pub fn curvature(self) -> Curvature {
        match (self.convex, self.concave) {
            (true, true) => Curvature::Affine,
            (true, false) => Curvature::Convex,
            (false, true) => Curvature::Concave,
            (false, false) => Curvature::Unknown,
        }
    }

    /// What two functions have in common; their sum has it.
    pub fn and(self, other: Traits) -> Traits {
        Traits {
            convex: self.convex && other.convex,
            concave: self.concave && other.concave,
            root_convex: self.root_convex && other.root_convex,
            log_convex: self.log_convex && other.log_convex,
        }
    }

    fn is_affine(self) -> bool {
        self.convex && self.concave
    }

    fn neg(self) -> Traits {
        Traits { convex: self.concave, concave: self.convex, ..Traits::default() }
    }

    /// The traits of a multiple by a factor that does not depend on the block.
    pub fn scaled(self, factor: Range) -> Traits {
        if factor.is_nonnegative() {
            self
        } else if factor.is_nonpositive() {
            self.neg()
        } else if self.is_affine() {
            Traits::AFFINE
        } else {
            Traits::default()
        }
    }

    /// Whether |z| is convex, for z with these traits and this range.
    fn size_is_convex(self, z: Range) -> bool {
        self.is_affine() || (self.convex && z.is_nonnegative()) || (self.concave && z.is_nonpositive())
    }
}

/// The traits of all components in the block.
pub(super) fn traits(formula: &Formula, degrees: &[Degree], block: Block) -> Vec<Traits> {
    let partial = partial_sums(formula, block);
    let mut pass =
        Pass { formula, degrees, block, partial, traits: vec![Traits::CONSTANT; formula.len()], curves: None };
    for node in 0..formula.nodes.len() {
        pass.visit(node);
    }
    pass.traits
}

/// Sums that only longer sums use: these are decided as a whole, term by term. To decide every part of a sum of k terms
/// would cost k² terms.
fn partial_sums(formula: &Formula, block: Block) -> Vec<bool> {
    let sums: Vec<bool> = (0..formula.nodes.len()).map(|node| is_sum(formula, block, node)).collect();
    let mut partial = sums.clone();
    for (node, sum) in formula.nodes.iter().zip(&sums) {
        node.args.iter().filter(|_| !sum).for_each(|&arg| partial[arg as usize] = false);
    }
    formula.roots.iter().for_each(|&root| partial[root as usize] = false);
    partial
}

/// Whether a node is a weighted sum of its operands, with weights that do not depend on the block.
fn is_sum(formula: &Formula, block: Block, node: usize) -> bool {
    let fixed = |k| formula.argument(node, k).all(|slot| !formula.depends(slot, block));
    match formula.nodes[node].op {
        Op::Add | Op::Sub | Op::Neg | Op::Sum | Op::Gather(_) | Op::Concat | Op::MatVec { .. } => true,
        Op::Mul | Op::Dot => fixed(0) || fixed(1),
        Op::Div => fixed(1),
        _ => false,
    }
}

struct Pass<'a> {
    formula: &'a Formula,
    degrees: &'a [Degree],
    block: Block,
    /// Nodes whose curvature nobody asks for.
    partial: Vec<bool>,
    traits: Vec<Traits>,
    /// Enclosures of second derivatives; made when they are first needed.
    curves: Option<Curves>,
}

impl Pass<'_> {
    fn visit(&mut self, node: usize) {
        let formula = self.formula;
        let slots = formula.slots(node);
        let op = &formula.nodes[node].op;
        if let Op::MatVec { matrix, transpose } = op {
            let argument = formula.argument(node, 0);
            visit(matrix, *transpose, |i, j, a| {
                let term = self.traits[argument.start + j].scaled(Range::point(a));
                self.traits[slots.start + i] = self.traits[slots.start + i].and(term);
            });
        }
        for (i, slot) in slots.enumerate() {
            if !formula.depends(slot, self.block) {
                let nonnegative = formula.ranges[slot].is_nonnegative();
                self.traits[slot] = Traits { root_convex: nonnegative, log_convex: nonnegative, ..Traits::CONSTANT };
                continue;
            }
            if !matches!(op, Op::MatVec { .. }) {
                self.traits[slot] = self.compose(op, node, i);
            }
            if !self.traits[slot].convex && !self.traits[slot].concave && !self.partial[node] {
                self.ask_the_hessian(node, slot);
            }
        }
    }

    fn ask_the_hessian(&mut self, node: usize, slot: usize) {
        let (formula, block) = (self.formula, self.block);
        let summed = matches!(formula.nodes[node].op, Op::Add | Op::Sub | Op::Sum | Op::Dot);
        if summed
            && self.degrees[slot] == Degree::Quadratic
            && let Some(form) = quadratic_form(formula, self.degrees, block, node)
        {
            let Definite { positive, negative } = definiteness_of(&form.hessian);
            (self.traits[slot].convex, self.traits[slot].concave) = (positive, negative);
            return;
        }
        let curves = self.curves.get_or_insert_with(|| Curves::new(formula, block));
        for split in curves.splits(formula, slot, &self.traits) {
            if !split.rest.convex && !split.rest.concave {
                continue;
            }
            let Definite { positive, negative } = definiteness(&split.hessian);
            self.traits[slot].convex |= positive && split.rest.convex;
            self.traits[slot].concave |= negative && split.rest.concave;
            if self.traits[slot].convex || self.traits[slot].concave {
                return;
            }
        }
    }

    fn of_operand(&self, node: usize, k: usize, i: usize) -> (Traits, Range) {
        let slot = self.formula.operand(node, k, i);
        (self.traits[slot], self.formula.ranges[slot])
    }

    /// The traits of component `i` by the rules.
    fn compose(&self, op: &Op, node: usize, i: usize) -> Traits {
        let operand = |k| self.of_operand(node, k, i);
        let sources = || self.formula.sources(op, node, i).map(|slot| (self.traits[slot], self.formula.ranges[slot]));
        let all = || sources().fold(Traits::CONSTANT, |all, (t, _)| all.and(t));
        match op {
            Op::Variable { .. } => Traits::AFFINE,
            Op::Constant { .. } => Traits::CONSTANT,
            Op::Add | Op::Sum | Op::Gather(_) | Op::Concat | Op::MatVec { .. } => all(),
            Op::Sub => operand(0).0.and(operand(1).0.neg()),
            Op::Neg => all().neg(),
            Op::Mul => self.product(self.formula.operand(node, 0, i), self.formula.operand(node, 1, i)),
            Op::Dot => {
                let pairs = self.formula.argument(node, 0).zip(self.formula.argument(node, 1));
                pairs.fold(Traits::CONSTANT, |sum, (a, b)| sum.and(self.product(a, b)))
            }
            Op::Div => self.quotient(node, i),
            Op::PowerOf => self.power_of(node, i),
            Op::Map(f) => map(*f, operand(0).0, operand(0).1),
            Op::Max | Op::Min => match dominant(self.formula, op, node, i) {
                Some(k) => operand(k).0,
                None => {
                    let both = all();
                    let upward = matches!(op, Op::Max);
                    Traits { convex: both.convex && upward, concave: both.concave && !upward, ..both.positive(upward) }
                }
            },
            Op::MaxOf => {
                let both = all();
                Traits { concave: both.concave && sources().count() == 1, ..both }
            }
            Op::SumSquares => {
                let sum = sources().fold(Traits::CONSTANT, |all, (t, z)| all.and(map(Function::Square, t, z)));
                Traits { concave: false, ..sum }
            }
            Op::Quadratic { matrix } => self.quadratic(matrix, node),
            Op::GroupNorms { .. } => {
                let convex = sources().all(|(t, z)| t.size_is_convex(z));
                Traits { convex, root_convex: false, ..Traits::default() }
            }
            Op::NormP(p) if *p >= 1.0 => {
                Traits { convex: sources().all(|(t, z)| t.size_is_convex(z)), ..Traits::default() }
            }
            Op::NormP(_) => {
                // The quasi-norm is concave and nondecreasing on the nonnegative orthant.
                let concave =
                    sources().all(|(t, z)| (t.concave && z.is_nonnegative()) || (t.convex && z.is_nonpositive()));
                Traits { concave, ..Traits::default() }
            }
        }
    }

    fn product(&self, a: usize, b: usize) -> Traits {
        let (s, t) = (self.traits[a], self.traits[b]);
        let (ranges, depends) = (&self.formula.ranges, |slot| self.formula.depends(slot, self.block));
        if a == b {
            return map(Function::Square, s, ranges[a]);
        }
        match (depends(a), depends(b)) {
            (_, false) => s.scaled(ranges[b]),
            (false, true) => t.scaled(ranges[a]),
            // A product of log-convex functions is log-convex.
            (true, true) if s.log_convex && t.log_convex => {
                Traits { convex: true, concave: false, root_convex: true, log_convex: true }
            }
            (true, true) => Traits::default(),
        }
    }

    fn quotient(&self, node: usize, i: usize) -> Traits {
        let ((s, a), (t, b)) = (self.of_operand(node, 0, i), self.of_operand(node, 1, i));
        if !self.formula.depends(self.formula.operand(node, 1, i), self.block) {
            return s.scaled(Range::point(1.0).div(b));
        }
        let (positive, negative) = (b.is_nonnegative(), b.is_nonpositive());
        if !positive && !negative {
            return Traits::default();
        }
        if !self.formula.depends(self.formula.operand(node, 0, i), self.block) {
            // 1/b is convex for a concave b > 0, concave for a convex b < 0.
            let inverse = Traits { convex: positive && t.concave, concave: negative && t.convex, ..Traits::default() };
            return inverse.scaled(a);
        }
        // h²/b with h convex and nonnegative, b concave and positive: the quadratic over linear function, nondecreasing
        // in h and nonincreasing in b.
        Traits {
            convex: positive && s.root_convex && t.concave,
            concave: negative && s.root_convex && t.convex,
            ..Traits::default()
        }
    }

    /// a^b = exp(b ln a), a > 0.
    fn power_of(&self, node: usize, i: usize) -> Traits {
        let ((s, a), (t, b)) = (self.of_operand(node, 0, i), self.of_operand(node, 1, i));
        if !self.formula.depends(self.formula.operand(node, 0, i), self.block) {
            let exponent = t.scaled(a.at_least(0.0).increasing(f64::ln));
            return map(Function::Exp, exponent, Range::ALL);
        }
        if self.formula.depends(self.formula.operand(node, 1, i), self.block) {
            return Traits::default();
        }
        let (least, most) = (b.lower(), b.upper());
        Traits {
            convex: (least >= 1.0 && s.convex) || (most <= 0.0 && s.concave),
            concave: least >= 0.0 && most <= 1.0 && s.concave,
            ..Traits::default()
        }
    }

    fn quadratic(&self, matrix: &Matrix, node: usize) -> Traits {
        let argument = self.formula.argument(node, 0);
        let moving: Vec<bool> = argument.clone().map(|slot| self.formula.depends(slot, self.block)).collect();
        let affine = argument.clone().all(|slot| self.traits[slot].is_affine());
        let growing =
            argument.clone().all(|slot| self.traits[slot].convex && self.formula.ranges[slot].is_nonnegative());
        let mut nonnegative = true;
        visit(matrix, false, |_, _, q| nonnegative &= q >= 0.0);
        let known = affine || (growing && nonnegative);
        if !known {
            return Traits::default();
        }
        let Definite { positive, negative } = definiteness_of_form(matrix, &moving);
        let whole = moving.iter().all(|&m| m);
        Traits { convex: positive, concave: negative && affine, root_convex: positive && whole, log_convex: false }
    }
}

impl Traits {
    /// The traits of nonnegative functions that a pairwise maximum keeps.
    fn positive(self, upward: bool) -> Traits {
        Traits { root_convex: self.root_convex && upward, log_convex: self.log_convex && upward, ..Traits::default() }
    }
}

/// The traits of f(z).
fn map(f: Function, z: Traits, range: Range) -> Traits {
    let Local { slopes, convex, concave, .. } = function::local(f, range);
    let (rises, falls) = (slopes.is_nonnegative(), slopes.is_nonpositive());
    let affine = z.is_affine();
    let mut out = Traits {
        convex: convex && (affine || (rises && z.convex) || (falls && z.concave)),
        concave: concave && (affine || (rises && z.concave) || (falls && z.convex)),
        root_convex: false,
        log_convex: false,
    };
    let size_convex = z.size_is_convex(range);
    match f {
        Function::Exp => out.log_convex = z.convex,
        Function::Log | Function::Log1p => out.convex |= z.log_convex,
        Function::Sqrt => {
            out.convex |= z.root_convex;
            out.log_convex = z.log_convex;
        }
        Function::Square => {
            out.root_convex = size_convex;
            out.log_convex = z.log_convex;
        }
        Function::AbsPower(p) | Function::Power(p) => {
            let even = (p / 2.0).fract() == 0.0;
            let of_size = matches!(f, Function::AbsPower(_)) || even || range.is_nonnegative();
            out.root_convex = p >= 2.0 && of_size && size_convex;
            // g^p = (sqrt g)^2p, nondecreasing and convex for 2p >= 1.
            out.convex |= p >= 0.5 && z.root_convex;
            out.log_convex = p > 0.0 && z.log_convex;
        }
        Function::Abs => {
            out.root_convex = z.root_convex;
            out.log_convex = z.log_convex;
        }
        Function::Expm1
        | Function::Sin
        | Function::Cos
        | Function::Tan
        | Function::Tanh
        | Function::Sigmoid
        | Function::Softplus
        | Function::Plus
        | Function::Huber(_) => {}
    }
    out.root_convex |= out.log_convex;
    out.convex |= out.root_convex;
    out
}
