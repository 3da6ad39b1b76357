//! Rebuilds formulas with their atoms replaced by auxiliary variables.

use bilevel_linalg::Csr;

use super::usage::Use;
use super::{NotLiftable, TINY};
use crate::expr::structure::{Block, Range, Structure};
use crate::expr::{Expr, Function, Graph, Level, Matrix, Node, NodeId, Op, Shape, concat};

/// What was built beside the formulas themselves.
#[derive(Default)]
pub(super) struct Built {
    pub constraints: Vec<Expr>,
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    pub definitions: Vec<Expr>,
}

pub(super) struct Builder<'a> {
    graph: &'a Graph,
    structure: &'a Structure,
    /// The follower's own variables; auxiliary ones follow.
    variables: usize,
    original: Vec<Expr>,
    lifted: Vec<Expr>,
    /// Whether something that is not linear reads the node: then what it knows of the node's range must stay known.
    ranged: Vec<bool>,
    built: Built,
}

/// The components of one node that are to be replaced.
struct Part<'a> {
    node: usize,
    op: &'a Op,
    components: Vec<usize>,
    /// Whether these are all components.
    whole: bool,
    shape: Shape,
    /// Whether users grow with them (else they fall).
    up: bool,
}

impl<'a> Builder<'a> {
    pub fn new(graph: &'a Graph, structure: &'a Structure, variables: usize) -> Self {
        let (original, lifted) = (Vec::new(), Vec::new());
        Self { graph, structure, variables, original, lifted, ranged: ranged(structure), built: Built::default() }
    }

    /// The lifted formula of a node.
    pub fn lifted(&self, node: NodeId) -> Expr {
        self.lifted[node as usize].clone()
    }

    pub fn finish(self) -> Built {
        self.built
    }

    pub fn run(&mut self, uses: &[Use]) -> Result<(), NotLiftable> {
        let structure = self.structure;
        for (id, node) in structure.nodes().iter().enumerate() {
            let original = self.rebuild(node, &self.original);
            let rebuilt = self.rebuild(node, &self.lifted);
            self.original.push(original);
            let part = self.select(id, node, uses)?;
            let lifted = match part {
                None => rebuilt,
                Some(part) => {
                    let replaced = self.replace(&part);
                    if part.whole { replaced } else { patch(&rebuilt, &replaced, &part.components) }
                }
            };
            self.lifted.push(lifted);
        }
        Ok(())
    }

    fn rebuild(&self, node: &Node, known: &[Expr]) -> Expr {
        let ids = node.args.iter().filter_map(|&k| known[k as usize].id()).collect();
        self.graph.add(Node { args: ids, ..node.clone() })
    }

    /// The components of a node that must be replaced.
    fn select(&self, id: usize, node: &'a Node, uses: &[Use]) -> Result<Option<Part<'a>>, NotLiftable> {
        let slots = self.structure.formula().slots(id);
        let (mut components, mut up, mut down) = (Vec::new(), false, false);
        for (i, slot) in slots.clone().enumerate() {
            let (_, kink) = self.structure.smooth_and_kink(slot);
            if kink && !uses[slot].is_none() {
                match self.judge(id, i, uses[slot]) {
                    Ok(true) => components.push(i),
                    Ok(false) => {}
                    Err(reason) => return Err(NotLiftable::Atom { atom: self.original[id].to_string(), reason }),
                }
                (up, down) = (up || uses[slot].up, down || uses[slot].down);
            }
        }
        if up && down {
            let reason = "its entries stand in positions of different signs";
            return Err(NotLiftable::Atom { atom: self.original[id].to_string(), reason });
        }
        if components.is_empty() {
            return Ok(None);
        }
        let whole = components.len() == slots.len();
        let shape = if whole { node.shape } else { Shape::Vector(components.len()) };
        Ok(Some(Part { node: id, op: &node.op, components, whole, shape, up }))
    }

    /// Whether a kink is to be replaced, or why it cannot be.
    fn judge(&self, id: usize, i: usize, used: Use) -> Result<bool, &'static str> {
        let formula = self.structure.formula();
        let curvature = self.structure.curvature_at(formula.slots(id).start + i);
        let position = || {
            if used.bent {
                Err("it stands inside of a function that does not keep convexity")
            } else if used.up && !curvature.is_convex() {
                Err("it is not convex in a position that needs convexity")
            } else if used.down && !curvature.is_concave() {
                Err("it enters with a negative or changing sign")
            } else {
                Ok(true)
            }
        };
        let one_sided = |slot: usize| !formula.ranges[slot].contains_inside(0.0);
        match &formula.nodes[id].op {
            // Singular at the end of the domain only: smooth inside, where interior points stay. But a power below 1 that
            // is convex has a kink: it is the power of a norm.
            Op::Map(Function::Power(p)) => position().map(|_| *p < 1.0 && used.up),
            Op::Map(Function::AbsPower(p)) if one_sided(formula.operand(id, 0, i)) => {
                position().map(|_| *p < 1.0 && used.up)
            }
            Op::NormP(p) if *p < 1.0 => position().map(|_| false),
            _ => position(),
        }
    }

    /// A new block of auxiliary variables within bounds, whose values are those of `definition`.
    fn auxiliary(&mut self, definition: Expr, bounds: &[Range]) -> Expr {
        let t = self.graph.variable(Level::Follower, self.variables + self.built.lower.len(), definition.shape());
        self.built.lower.extend(bounds.iter().map(|range| range.lower()));
        self.built.upper.extend(bounds.iter().map(|range| range.upper()));
        self.built.definitions.push(definition);
        t
    }

    /// The bounds of variables that stand for the part itself: its range where somebody counts on it, at least `least`
    /// anywhere.
    fn bounds(&self, part: &Part<'_>, least: f64) -> Vec<Range> {
        let ranges = self.structure.range(part.node as NodeId);
        let of = |&i: &usize| if self.ranged[part.node] { ranges[i] } else { Range::new(least, f64::INFINITY) };
        part.components.iter().map(of).collect()
    }

    /// The ranges of the first `count` entries of the part's argument.
    fn argument_ranges(&self, part: &Part<'_>, count: usize) -> Vec<Range> {
        let argument = self.structure.range(self.structure.nodes()[part.node].args[0]);
        (0..count).map(|i| argument[if part.whole { i } else { part.components[i] }]).collect()
    }

    /// The bounds of variables that stand for a function of z, by z's ranges: the image of the range where somebody
    /// counts on it, else `free`.
    fn image(
        &self,
        part: &Part<'_>,
        z: &[Range],
        image: impl Fn(Range) -> Range,
        free: impl Fn(Range) -> Range,
    ) -> Vec<Range> {
        z.iter().map(|&z| if self.ranged[part.node] { image(z) } else { free(z) }).collect()
    }

    /// Adds the constraint that all entries are at most 0.
    fn at_most_zero(&mut self, constraint: Expr) {
        self.built.constraints.push(constraint);
    }

    /// Argument `k` at the components of a part, in terms of original or of lifted formulas.
    fn argument(&self, part: &Part<'_>, k: usize, formulas: &[Expr]) -> Expr {
        let argument = &formulas[self.structure.nodes()[part.node].args[k] as usize];
        if part.whole || argument.shape().len() == 1 { argument.clone() } else { argument.gather(&part.components) }
    }

    /// The part itself as an original formula.
    fn definition(&self, part: &Part<'_>) -> Expr {
        let original = &self.original[part.node];
        if part.whole { original.clone() } else { original.gather(&part.components) }
    }

    fn replace(&mut self, part: &Part<'_>) -> Expr {
        match part.op {
            Op::Map(f) => {
                let z = self.argument(part, 0, &self.lifted);
                let before = self.argument(part, 0, &self.original);
                self.replace_map(*f, &z, &before, part)
            }
            Op::Max | Op::Min => {
                let t = self.auxiliary(self.definition(part), &self.bounds(part, f64::NEG_INFINITY));
                for k in 0..2 {
                    let z = self.argument(part, k, &self.lifted);
                    self.at_most_zero(if matches!(part.op, Op::Max) { z - &t } else { &t - z });
                }
                t
            }
            Op::MaxOf => {
                let t = self.auxiliary(self.definition(part), &self.bounds(part, f64::NEG_INFINITY));
                self.at_most_zero(self.whole_argument(part) - &t);
                t
            }
            Op::GroupNorms { starts } => self.replace_norms(part, starts),
            Op::NormP(p) => self.replace_norm_p(part, *p),
            // No other operation has a kink.
            Op::Variable { .. }
            | Op::Constant { .. }
            | Op::Add
            | Op::Sub
            | Op::Mul
            | Op::Div
            | Op::Neg
            | Op::PowerOf
            | Op::Sum
            | Op::Dot
            | Op::SumSquares
            | Op::MatVec { .. }
            | Op::Quadratic { .. }
            | Op::Gather(_)
            | Op::Concat => self.definition(part),
        }
    }

    fn whole_argument(&self, part: &Part<'_>) -> Expr {
        self.lifted[self.structure.nodes()[part.node].args[0] as usize].clone()
    }

    fn replace_map(&mut self, f: Function, z: &Expr, before: &Expr, part: &Part<'_>) -> Expr {
        match f {
            Function::Plus => {
                let t = self.auxiliary(self.definition(part), &self.bounds(part, 0.0));
                self.at_most_zero(z - &t);
                t
            }
            Function::Huber(delta) => self.replace_huber(delta, z, before, part),
            Function::Power(p) | Function::AbsPower(p) if p < 1.0 => {
                let ranges = self.argument_ranges(part, part.components.len());
                let root = |z: Range| z.at_least(0.0).increasing(f64::sqrt);
                let bounds = self.image(part, &ranges, root, |_| Range::new(0.0, f64::INFINITY));
                let t = self.auxiliary(before.sqrt(), &bounds);
                self.at_most_zero(z / (&t + TINY) - &t);
                t.pow(2.0 * p)
            }
            Function::AbsPower(p) => {
                let t = self.size(z, before, part, 0.0);
                t.pow(p)
            }
            Function::Sqrt => {
                let t = self.auxiliary(self.definition(part), &self.bounds(part, 0.0));
                self.at_most_zero(if part.up { z / (&t + TINY) - &t } else { t.square() - z });
                t
            }
            // Only the absolute value is left: the other functions have no kinks.
            _ => self.size(z, before, part, f64::NEG_INFINITY),
        }
    }

    /// Variables t >= |z|.
    fn size(&mut self, z: &Expr, before: &Expr, part: &Part<'_>, least: f64) -> Expr {
        let ranges = self.argument_ranges(part, z.shape().len());
        let bounds = self.image(part, &ranges, Range::abs, |_| Range::new(least, f64::INFINITY));
        let t = self.auxiliary(before.abs(), &bounds);
        self.at_most_zero(z - &t);
        self.at_most_zero(-z - &t);
        t
    }

    /// a²/2 + delta b with |z - a| <= b. Where z has one sign only one side is needed, with b >= 0; the other side would
    /// not be convex for a convex z >= 0.
    fn replace_huber(&mut self, delta: f64, z: &Expr, before: &Expr, part: &Part<'_>) -> Expr {
        let limit = self.graph.constant(delta);
        let inner = before.min(&limit).max(&-limit);
        let rest = (before - &inner).abs();
        let ranges = self.argument_ranges(part, part.components.len());
        let clamp = |z: Range| z.increasing(|z| z.clamp(-delta, delta));
        let beyond = |z: Range| z.abs().increasing(|size| (size - delta).max(0.0));
        let at_least_0 = |z: Range| if z.contains_inside(0.0) { Range::ALL } else { Range::new(0.0, f64::INFINITY) };
        let inside = self.image(part, &ranges, clamp, |_| Range::ALL);
        let outside = self.image(part, &ranges, beyond, at_least_0);
        let a = self.auxiliary(inner, &inside);
        let b = self.auxiliary(rest, &outside);
        let entries = |keep: fn(Range) -> bool| (0..ranges.len()).filter(|&i| keep(ranges[i])).collect::<Vec<_>>();
        for (side, keep) in
            [(z - &a - &b, entries(|z| !z.is_nonpositive())), (&a - z - &b, entries(|z| !z.is_nonnegative()))]
        {
            if keep.len() == ranges.len() {
                self.at_most_zero(side);
            } else if !keep.is_empty() {
                self.at_most_zero(side.gather(&keep));
            }
        }
        a.square() * 0.5 + b * delta
    }

    fn replace_norms(&mut self, part: &Part<'_>, starts: &[usize]) -> Expr {
        let t = self.auxiliary(self.definition(part), &self.bounds(part, 0.0));
        let z = self.whole_argument(part);
        let squares = match part.shape {
            Shape::Scalar => z.norm2sq(),
            Shape::Vector(_) => {
                let groups = part.components.iter().enumerate();
                let ones: Vec<_> =
                    groups.flat_map(|(row, &g)| (starts[g]..starts[g + 1]).map(move |j| (row, j, 1.0))).collect();
                let sums = Csr::from_triplets(part.components.len(), z.shape().len(), &ones);
                match sums {
                    Some(sums) => &Matrix::from(sums) * z.square(),
                    // Groups lie within the vector by construction.
                    None => z.square(),
                }
            }
        };
        self.at_most_zero(squares / (&t + TINY) - &t);
        t
    }

    fn replace_norm_p(&mut self, part: &Part<'_>, p: f64) -> Expr {
        let z = self.whole_argument(part);
        let powers = if p >= 2.0 { z.abs_power(p) } else { self.sizes(part, &z).pow(p) };
        if p == 1.0 {
            return powers.sum();
        }
        let t = self.auxiliary(self.definition(part), &self.bounds(part, 0.0));
        self.at_most_zero(powers.sum() * (&t + TINY).pow(1.0 - p) - &t);
        t
    }

    /// The absolute values of all entries of a norm's argument: entries of one sign as they are, or negated, auxiliary
    /// variables for the others.
    fn sizes(&mut self, part: &Part<'_>, z: &Expr) -> Expr {
        let argument = self.structure.nodes()[part.node].args[0];
        let before = self.original[argument as usize].clone();
        let ranges = self.structure.range(argument);
        let signs: Vec<f64> = ranges.iter().map(|r| if r.is_nonpositive() { -1.0 } else { 1.0 }).collect();
        let components: Vec<usize> = (0..ranges.len()).filter(|&i| ranges[i].contains_inside(0.0)).collect();
        let signed = z * self.graph.constant_vector(&signs);
        if components.is_empty() {
            return signed;
        }
        if components.len() == ranges.len() {
            return self.size(z, &before, part, 0.0);
        }
        let (chosen, chosen_before) = (z.gather(&components), before.gather(&components));
        let some = Part { components: components.clone(), whole: false, ..*part };
        let t = self.size(&chosen, &chosen_before, &some, 0.0);
        patch(&signed, &t, &components)
    }
}

/// Whether each node is read, through sums or directly, by something that is not linear in y.
fn ranged(structure: &Structure) -> Vec<bool> {
    let nodes = structure.nodes();
    let mut out = vec![false; nodes.len()];
    for (id, node) in nodes.iter().enumerate().rev() {
        let fixed = |k: usize| !structure.depends(node.args[k], Block::Follower);
        let linear = match &node.op {
            Op::Add | Op::Sub | Op::Neg | Op::Sum | Op::Gather(_) | Op::Concat | Op::MatVec { .. } => true,
            Op::Mul | Op::Dot => fixed(0) || fixed(1),
            Op::Div => fixed(1),
            _ => false,
        };
        for &argument in &node.args {
            out[argument as usize] |= !linear || out[id];
        }
    }
    out
}

/// A vector with some of its components replaced.
fn patch(rebuilt: &Expr, replaced: &Expr, components: &[usize]) -> Expr {
    let length = rebuilt.shape().len();
    let mut order: Vec<usize> = (0..length).collect();
    for (k, &component) in components.iter().enumerate() {
        order[component] = length + k;
    }
    concat(&[rebuilt.clone(), replaced.clone()]).gather(&order)
}
