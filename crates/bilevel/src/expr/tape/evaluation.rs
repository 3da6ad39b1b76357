//! Values and derivatives of a tape at a point.

use std::ops::Range;

use bilevel_linalg::Dense;

use super::{Arg, Blocks, Directional, Instruction, Tape, forward, reverse, second, tangent};
use crate::smooth::Smoothing;

/// The memory of evaluations. It fits itself to a tape at the first evaluation, and again only when used with
/// another tape.
#[derive(Clone, Debug, Default)]
pub struct Workspace {
    tape: u64,
    values: Vec<f64>,
    tangents: Vec<f64>,
    bars: Vec<f64>,
    moves: Vec<f64>,
    seed: Vec<f64>,
}

impl Workspace {
    /// Memory for evaluations of `tape`.
    pub fn new(tape: &Tape) -> Self {
        let mut workspace = Self::default();
        workspace.fit(tape);
        workspace
    }

    fn fit(&mut self, tape: &Tape) {
        if self.tape == tape.id {
            return;
        }
        self.tape = tape.id;
        self.values.clear();
        self.values.extend_from_slice(&tape.initial);
        for slab in [&mut self.tangents, &mut self.bars, &mut self.moves] {
            slab.clear();
            slab.resize(tape.initial.len(), 0.0);
        }
        self.seed.clear();
        self.seed.resize(tape.outputs, 0.0);
    }
}

/// A tape evaluated at a point: the values are there, derivatives are computed on demand.
///
/// Slices passed to its methods must have the lengths stated; as for the standard library's `copy_from_slice`, other
/// lengths are a programming error and panic.
#[derive(Debug)]
pub struct Evaluation<'a> {
    tape: &'a Tape,
    workspace: &'a mut Workspace,
    smoothing: Smoothing<'a>,
}

impl Tape {
    /// Evaluates all formulas at `x` (n entries) and `y` (m entries).
    pub fn evaluate<'a>(
        &'a self,
        workspace: &'a mut Workspace,
        x: &[f64],
        y: &[f64],
        smoothing: Smoothing<'a>,
    ) -> Evaluation<'a> {
        workspace.fit(self);
        let (leaders, followers) = (self.leaders_range(), self.followers_range());
        workspace.values[leaders].copy_from_slice(x);
        workspace.values[followers].copy_from_slice(y);
        for instruction in &self.instructions {
            forward::run(instruction, &mut workspace.values, smoothing);
        }
        Evaluation { tape: self, workspace, smoothing }
    }

    fn leaders_range(&self) -> Range<usize> {
        0..self.leaders
    }

    fn followers_range(&self) -> Range<usize> {
        self.leaders..self.leaders + self.followers
    }
}

impl Evaluation<'_> {
    /// The first result: the value of a tape of one scalar formula. NaN for a tape without results.
    pub fn value(&self) -> f64 {
        let first = self.tape.roots.iter().find(|root| root.span.len > 0);
        first.map_or(f64::NAN, |root| self.workspace.values[root.span.start])
    }

    /// The results of formula `root`, in the order given to [`Tape::compile`]; empty if there is no such formula.
    pub fn output(&self, root: usize) -> &[f64] {
        self.tape.roots.get(root).map_or(&[], |root| &self.workspace.values[root.span.range()])
    }

    /// Writes the results of all formulas, one after the other.
    pub fn write_outputs(&self, out: &mut [f64]) {
        write_roots(&self.tape.roots, &self.workspace.values, out);
    }

    /// Moves to another `y` at the same x: only what depends on y is computed again.
    pub fn move_follower(&mut self, y: &[f64]) {
        self.workspace.values[self.tape.followers_range()].copy_from_slice(y);
        for instruction in self.tape.instructions.iter().filter(|i| i.depends.meets(Blocks::FOLLOWER)) {
            forward::run(instruction, &mut self.workspace.values, self.smoothing);
        }
    }

    /// Writes the gradient of `Σ seed_i output_i` (one seed per output) by x and by y; what is `None` is held fixed
    /// and costs nothing.
    pub fn gradient(&mut self, seed: &[f64], x: Option<&mut [f64]>, y: Option<&mut [f64]>) {
        let wanted = Blocks::given(x.as_deref(), y.as_deref());
        self.sweep(seed, wanted);
        self.tape.write_blocks(&self.workspace.bars, x, y);
    }

    /// Writes the derivative of all outputs along the direction (`x`, `y`); `None` stands for zeros.
    pub fn directional(&mut self, x: Option<&[f64]>, y: Option<&[f64]>, out: &mut [f64]) {
        self.set_direction(x, y);
        self.sweep_tangents(Blocks::given(x, y));
        write_roots(&self.tape.roots, &self.workspace.tangents, out);
    }

    /// Writes the Jacobian of all outputs by the variables `columns`, counted in (x, y): outputs by rows. `out` has
    /// one row per output and one column per variable.
    pub fn jacobian(&mut self, columns: Range<usize>, out: &mut Dense) {
        if self.tape.outputs <= columns.len() {
            self.jacobian_by_rows(columns, out);
        } else {
            self.jacobian_by_columns(columns, out);
        }
    }

    /// Second derivatives of `Σ seed_i output_i` (one seed per output).
    pub fn hessian(&mut self, seed: &[f64]) -> Hessian<'_> {
        self.workspace.seed.copy_from_slice(seed);
        Hessian { tape: self.tape, workspace: self.workspace, smoothing: self.smoothing, swept: Blocks::NONE }
    }

    fn jacobian_by_rows(&mut self, columns: Range<usize>, out: &mut Dense) {
        let wanted = self.tape.blocks_of(&columns);
        let mut row = 0;
        for root in &self.tape.roots {
            for entry in root.span.range() {
                self.workspace.bars.fill(0.0);
                self.workspace.bars[entry] = 1.0;
                let Workspace { values, bars, .. } = &mut *self.workspace;
                sweep(self.tape, values, bars, wanted, self.smoothing);
                out.row_mut(row).copy_from_slice(&bars[columns.clone()]);
                row += 1;
            }
        }
    }

    fn jacobian_by_columns(&mut self, columns: Range<usize>, out: &mut Dense) {
        for (j, column) in columns.enumerate() {
            self.set_direction(None, None);
            self.workspace.tangents[column] = 1.0;
            self.sweep_tangents(self.tape.blocks_of(&(column..column + 1)));
            let entries = self.tape.roots.iter().flat_map(|root| root.span.range());
            for (row, entry) in entries.enumerate() {
                out[(row, j)] = self.workspace.tangents[entry];
            }
        }
    }

    fn sweep(&mut self, seed: &[f64], wanted: Blocks) {
        let Workspace { values, bars, .. } = &mut *self.workspace;
        bars.fill(0.0);
        plant(&self.tape.roots, seed, bars);
        sweep(self.tape, values, bars, wanted, self.smoothing);
    }

    fn set_direction(&mut self, x: Option<&[f64]>, y: Option<&[f64]>) {
        set_direction(self.tape, &mut self.workspace.tangents, x, y);
    }

    fn sweep_tangents(&mut self, moving: Blocks) {
        let Workspace { values, tangents, .. } = &mut *self.workspace;
        sweep_tangents(self.tape, values, tangents, moving, self.smoothing);
    }
}

/// Second derivatives of a weighted sum of a tape's outputs at a point.
#[derive(Debug)]
pub struct Hessian<'a> {
    tape: &'a Tape,
    workspace: &'a mut Workspace,
    smoothing: Smoothing<'a>,
    /// The blocks for which the reverse sweep of first derivatives is there.
    swept: Blocks,
}

impl Hessian<'_> {
    /// Writes the Hessian times the direction (`x_direction`, `y_direction`), where `None` stands for zeros, as far as
    /// the rows of x and of y are asked for.
    pub fn product(
        &mut self,
        x_direction: Option<&[f64]>,
        y_direction: Option<&[f64]>,
        x: Option<&mut [f64]>,
        y: Option<&mut [f64]>,
    ) {
        let wanted = Blocks::given(x.as_deref(), y.as_deref());
        set_direction(self.tape, &mut self.workspace.tangents, x_direction, y_direction);
        self.run(Blocks::given(x_direction, y_direction), wanted);
        self.tape.write_blocks(&self.workspace.moves, x, y);
    }

    /// Writes the block of the Hessian with the given rows and columns, both counted in (x, y): `0..n` is x,
    /// `n..n + m` is y. Costs one product per column.
    pub fn block(&mut self, rows: Range<usize>, columns: Range<usize>, out: &mut Dense) {
        let wanted = self.tape.blocks_of(&rows);
        for (j, column) in columns.enumerate() {
            set_direction(self.tape, &mut self.workspace.tangents, None, None);
            self.workspace.tangents[column] = 1.0;
            self.run(self.tape.blocks_of(&(column..column + 1)), wanted);
            for (i, row) in rows.clone().enumerate() {
                out[(i, j)] = self.workspace.moves[row];
            }
        }
    }

    fn run(&mut self, moving: Blocks, wanted: Blocks) {
        let Workspace { values, tangents, bars, moves, seed, .. } = &mut *self.workspace;
        if !self.swept.contains(wanted) {
            self.swept = self.swept.with(wanted);
            bars.fill(0.0);
            plant(&self.tape.roots, seed, bars);
            sweep(self.tape, values, bars, self.swept, self.smoothing);
        }
        sweep_tangents(self.tape, values, tangents, moving, self.smoothing);
        moves.fill(0.0);
        let at = Directional { values, tangents, bars };
        for instruction in self.tape.instructions.iter().rev().filter(|i| i.depends.meets(wanted)) {
            if !is_zero(&moves[instruction.out.range()]) {
                reverse::run(instruction, values, moves, wanted, self.smoothing);
            }
            if is_moving(instruction, tangents, moving) && !is_zero(&bars[instruction.out.range()]) {
                second::run(instruction, at, moves, wanted, self.smoothing);
            }
        }
    }
}

impl Tape {
    /// The blocks that a range of variables, counted in (x, y), meets.
    fn blocks_of(&self, variables: &Range<usize>) -> Blocks {
        let leader = !variables.is_empty() && variables.start < self.leaders;
        let follower = !variables.is_empty() && variables.end > self.leaders;
        Blocks::given(leader.then_some(&()), follower.then_some(&()))
    }

    fn write_blocks(&self, slab: &[f64], x: Option<&mut [f64]>, y: Option<&mut [f64]>) {
        if let Some(x) = x {
            x.copy_from_slice(&slab[self.leaders_range()]);
        }
        if let Some(y) = y {
            y.copy_from_slice(&slab[self.followers_range()]);
        }
    }
}

fn write_roots(roots: &[Arg], slab: &[f64], out: &mut [f64]) {
    let mut rest = out;
    for root in roots {
        let (own, after) = rest.split_at_mut(root.span.len);
        own.copy_from_slice(&slab[root.span.range()]);
        rest = after;
    }
}

/// Adds the seeds at the roots, which may share places.
fn plant(roots: &[Arg], seed: &[f64], bars: &mut [f64]) {
    for (entry, s) in roots.iter().flat_map(|root| root.span.range()).zip(seed) {
        bars[entry] += s;
    }
}

fn is_zero(slab: &[f64]) -> bool {
    slab.iter().all(|&v| v == 0.0)
}

/// Whether an operand has a tangent; `moving` are the blocks that the direction moves.
fn is_moving(instruction: &Instruction, tangents: &[f64], moving: Blocks) -> bool {
    let moves = |arg: &Arg| arg.depends.meets(moving) && !is_zero(&tangents[arg.span.range()]);
    instruction.depends.meets(moving) && instruction.args.iter().any(moves)
}

fn sweep(tape: &Tape, values: &[f64], bars: &mut [f64], wanted: Blocks, smoothing: Smoothing<'_>) {
    for instruction in tape.instructions.iter().rev() {
        if instruction.depends.meets(wanted) && !is_zero(&bars[instruction.out.range()]) {
            reverse::run(instruction, values, bars, wanted, smoothing);
        }
    }
}

fn set_direction(tape: &Tape, tangents: &mut [f64], x: Option<&[f64]>, y: Option<&[f64]>) {
    for (range, direction) in [(tape.leaders_range(), x), (tape.followers_range(), y)] {
        match direction {
            Some(direction) => tangents[range].copy_from_slice(direction),
            None => tangents[range].fill(0.0),
        }
    }
}

fn sweep_tangents(tape: &Tape, values: &[f64], tangents: &mut [f64], moving: Blocks, smoothing: Smoothing<'_>) {
    for instruction in &tape.instructions {
        if is_moving(instruction, tangents, moving) {
            tangent::run(instruction, values, tangents, smoothing);
        } else {
            clear_own(instruction, tangents);
        }
    }
}

fn clear_own(instruction: &Instruction, slab: &mut [f64]) {
    slab[instruction.scratch.start..instruction.out.range().end].fill(0.0);
}
