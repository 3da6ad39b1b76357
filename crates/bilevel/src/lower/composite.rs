//! Followers with an objective that is a smooth part plus weighted norms of their variables, over a box:
//!
//! ```text
//! f(x, y) = s(x, y) + P(x, y),      P = Σ_j w_j(x) |y_j| + Σ_g ω_g(x) ‖y_g‖ + Σ_j π_j(x) |y_j|^p,      l <= y <= u
//! ```
//!
//! with disjoint groups g that have no bounds. [`Composite`] holds the parts, compiled; [`CompositeAt`] evaluates them at
//! one x: values, the gradient of s, and the Hessian of s on a few variables by columns of its matrices, so that nothing
//! of size m² is ever formed. The matrices are kept once more, transposed, for their columns.

use std::ops::Range;
use std::sync::Arc;

use bilevel_linalg::Dense;

use crate::expr::separate::{LinearMap, Penalty, PenaltyKind, separate};
use crate::expr::structure::VariableBounds;
use crate::expr::{Matrix, Tape, Workspace};
use crate::problem::Problem;
use crate::set::{ConvexSet, Description};
use crate::smooth::Smoothing;

/// The follower's objective in parts.
#[derive(Clone, Debug)]
pub struct Composite {
    n: usize,
    m: usize,
    smooth: Arc<Tape>,
    maps: Vec<Map>,
    weights: Arc<Tape>,
    penalties: Vec<Part>,
    /// The groups' variables, increasing.
    groups: Vec<Vec<usize>>,
    /// The group of each variable.
    group_of: Vec<Option<usize>>,
    /// The power p where there is one.
    power: Option<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
}

/// One matrix with its results' place in z.
#[derive(Clone, Debug)]
struct Map {
    /// Applied to the argument (a_i y_{j_i})_i.
    matrix: Matrix,
    transpose: bool,
    /// The matrix's columns as rows.
    columns: Matrix,
    /// For each argument the variable and its factor.
    entries: Vec<(usize, f64)>,
    /// For each variable its arguments and their factors.
    of_variable: Vec<Vec<(usize, f64)>>,
    out: Range<usize>,
    /// The squared length of each variable's column.
    squares: Vec<f64>,
}

/// One penalty: which weights it takes, and where they go.
#[derive(Clone, Debug)]
struct Part {
    /// Its weights among all weights; one entry for all components, or one for each.
    weights: Range<usize>,
    kind: Kind,
    /// For each component, the variable or group, and the constant factor of the weight.
    targets: Vec<(usize, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Abs,
    Group,
    Power,
}

/// The weights at one x.
#[derive(Clone, Debug, Default)]
pub struct Weights {
    /// w_j.
    pub abs: Vec<f64>,
    /// ω_g.
    pub group: Vec<f64>,
    /// π_j.
    pub power: Vec<f64>,
}

impl Composite {
    /// Takes the problem's follower apart. `None` if its objective has other kinks or none, if it has constraints beyond
    /// bounds, or if groups overlap or are bounded.
    pub fn new(problem: &Problem, bounds: &VariableBounds) -> Option<Self> {
        let (n, m) = (problem.n(), problem.m());
        let side = problem.follower();
        let mut description = Description::default();
        side.set.describe(0, &mut description);
        let boxed = description.rows.is_empty() && description.row_lower.is_empty() && description.balls.is_empty();
        if !side.constraints.is_empty() || !boxed || description.lower.len() != m {
            return None;
        }
        let parts = separate(side.objective.expr()?, bounds)?;
        let mut first = m;
        let maps: Vec<Map> = parts.maps.iter().map(|map| Map::new(map, m, &mut first)).collect();
        let smooth = Tape::compile(std::slice::from_ref(&parts.smooth), n, first).ok()?;
        let formulas: Vec<_> = parts.penalties.iter().map(|penalty| penalty.weight.clone()).collect();
        let weights = Tape::compile(&formulas, n, 0).ok()?;
        let mut composite = Self {
            n,
            m,
            smooth: Arc::new(smooth),
            maps,
            weights: Arc::new(weights),
            penalties: Vec::new(),
            groups: Vec::new(),
            group_of: vec![None; m],
            power: None,
            lower: description.lower,
            upper: description.upper,
        };
        let mut start = 0;
        for penalty in &parts.penalties {
            let len = penalty.weight.shape().len();
            composite.add(penalty, start..start + len)?;
            start += len;
        }
        Some(composite)
    }

    fn add(&mut self, penalty: &Penalty, weights: Range<usize>) -> Option<()> {
        let entries = &penalty.entries;
        let (kind, targets) = match &penalty.kind {
            PenaltyKind::Abs => (Kind::Abs, entries.iter().map(|&(j, a)| (j, a.abs())).collect()),
            PenaltyKind::Power(p) => {
                if self.power.is_some_and(|known| known != *p) {
                    return None;
                }
                self.power = Some(*p);
                (Kind::Power, entries.iter().map(|&(j, a)| (j, a.abs().powf(*p))).collect())
            }
            PenaltyKind::Groups(starts) => {
                let groups: Option<Vec<_>> = starts.windows(2).map(|w| self.group(entries.get(w[0]..w[1])?)).collect();
                (Kind::Group, groups?)
            }
        };
        self.penalties.push(Part { weights, kind, targets });
        Some(())
    }

    /// The number of the group with these entries, and the factor of its norm; a new group must not meet another one.
    fn group(&mut self, entries: &[(usize, f64)]) -> Option<(usize, f64)> {
        let factor = entries.first()?.1.abs();
        let mut members: Vec<usize> = entries.iter().map(|entry| entry.0).collect();
        members.sort_unstable();
        members.dedup();
        let fits = members.len() == entries.len() && entries.iter().all(|entry| entry.1.abs() == factor);
        let free = members.iter().all(|&j| self.lower[j] == f64::NEG_INFINITY && self.upper[j] == f64::INFINITY);
        if !fits || !free {
            return None;
        }
        let known = self.group_of[*members.first()?];
        if let Some(known) = known {
            return (self.groups[known] == members).then_some((known, factor));
        }
        if members.iter().any(|&j| self.group_of[j].is_some()) {
            return None;
        }
        members.iter().for_each(|&j| self.group_of[j] = Some(self.groups.len()));
        self.groups.push(members);
        Some((self.groups.len() - 1, factor))
    }

    /// Number of the leader's variables.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of the follower's variables.
    pub fn m(&self) -> usize {
        self.m
    }

    /// The groups' variables, each increasing.
    pub fn groups(&self) -> &[Vec<usize>] {
        &self.groups
    }

    /// The group of a variable.
    pub fn group_of(&self, j: usize) -> Option<usize> {
        self.group_of[j]
    }

    /// The power p < 1, where there is one: then f is not convex in y.
    pub fn power(&self) -> Option<f64> {
        self.power
    }

    /// Whether powers are its only kinks.
    pub fn is_of_powers(&self) -> bool {
        self.penalties.iter().all(|part| part.kind == Kind::Power)
    }

    /// The bounds of y.
    pub fn bounds(&self) -> (&[f64], &[f64]) {
        (&self.lower, &self.upper)
    }

    /// The entries of the matrices that an evaluation of s reads: a measure of its cost.
    pub fn cost(&self) -> usize {
        self.maps.iter().map(|map| map.matrix.rows() * map.matrix.cols()).sum::<usize>() + self.m
    }
}

impl Map {
    fn new(map: &LinearMap, m: usize, first: &mut usize) -> Self {
        let (rows, _) =
            if map.transpose { (map.matrix.cols(), map.matrix.rows()) } else { (map.matrix.rows(), map.matrix.cols()) };
        let columns = match (&map.matrix, map.transpose) {
            (matrix, true) => matrix.clone(),
            (Matrix::Dense(a), false) => Matrix::from(a.transpose()),
            (Matrix::Sparse(a), false) => Matrix::from(a.transpose()),
        };
        let mut of_variable = vec![Vec::new(); m];
        for (i, &(j, a)) in map.entries.iter().enumerate() {
            of_variable[j].push((i, a));
        }
        let out = *first..*first + rows;
        *first = out.end;
        let mut squares = vec![0.0; m];
        columns.for_each(|i, _, v| {
            if let Some(&(j, a)) = map.entries.get(i) {
                squares[j] += (a * v) * (a * v);
            }
        });
        let (matrix, transpose) = (map.matrix.clone(), map.transpose);
        Self { matrix, transpose, columns, entries: map.entries.clone(), of_variable, out, squares }
    }

    /// `out += scale * (column of variable j)`.
    fn add_column(&self, j: usize, scale: f64, out: &mut [f64]) {
        for &(i, a) in &self.of_variable[j] {
            add_row(&self.columns, i, scale * a, out);
        }
    }

    /// The inner product of the column of variable j with `v`.
    fn column_dot(&self, j: usize, v: &[f64]) -> f64 {
        self.of_variable[j].iter().map(|&(i, a)| a * row_dot(&self.columns, i, v)).sum()
    }

    /// `out += (all columns)ᵀ v`, over the variables.
    fn transpose_add(&self, v: &[f64], argument: &mut Vec<f64>, out: &mut [f64]) {
        argument.clear();
        argument.resize(self.entries.len(), 0.0);
        if self.transpose {
            self.matrix.mul_add(1.0, v, argument);
        } else {
            self.matrix.transpose_mul_add(1.0, v, argument);
        }
        for (&(j, a), value) in self.entries.iter().zip(argument.iter()) {
            out[j] += a * value;
        }
    }

    /// `out += M (a ∘ y)`, by columns where most entries are zero.
    fn mul_add(&self, y: &[f64], argument: &mut Vec<f64>, out: &mut [f64]) {
        argument.clear();
        argument.extend(self.entries.iter().map(|&(j, a)| a * y[j]));
        let nonzero = argument.iter().filter(|v| **v != 0.0).count();
        if 4 * nonzero < argument.len() {
            for (i, &v) in argument.iter().enumerate().filter(|(_, v)| **v != 0.0) {
                add_row(&self.columns, i, v, out);
            }
        } else if self.transpose {
            self.matrix.transpose_mul_add(1.0, argument, out);
        } else {
            self.matrix.mul_add(1.0, argument, out);
        }
    }
}

fn add_row(matrix: &Matrix, i: usize, scale: f64, out: &mut [f64]) {
    match matrix {
        Matrix::Dense(a) => out.iter_mut().zip(a.row(i)).for_each(|(o, a)| *o += scale * a),
        Matrix::Sparse(a) => a.row(i).for_each(|(j, v)| out[j] += scale * v),
    }
}

fn row_dot(matrix: &Matrix, i: usize, v: &[f64]) -> f64 {
    match matrix {
        Matrix::Dense(a) => bilevel_linalg::vector::dot(a.row(i), v),
        Matrix::Sparse(a) => a.row_dot(i, v),
    }
}

/// The parts at one x, with the memory of their evaluation.
pub struct CompositeAt<'a> {
    composite: &'a Composite,
    workspace: Workspace,
    x: Vec<f64>,
    weights: Weights,
    /// (y, z) at the last point.
    full: Vec<f64>,
    gradient: Vec<f64>,
    direction: Vec<f64>,
    argument: Vec<f64>,
}

impl<'a> CompositeAt<'a> {
    /// Memory for evaluations; call [`CompositeAt::fix`] before anything else.
    pub fn new(composite: &'a Composite) -> Self {
        let size = composite.smooth.followers();
        Self {
            composite,
            workspace: Workspace::new(&composite.smooth),
            x: vec![0.0; composite.n],
            weights: Weights::default(),
            full: vec![0.0; size],
            gradient: vec![0.0; size],
            direction: vec![0.0; size],
            argument: Vec::new(),
        }
    }

    /// The parts.
    pub fn composite(&self) -> &'a Composite {
        self.composite
    }

    /// Sets the leader's decision. False if a weight is not a number, or negative.
    pub fn fix(&mut self, x: &[f64]) -> bool {
        self.x.copy_from_slice(x);
        let Composite { m, weights, penalties, groups, .. } = self.composite;
        let mut values = vec![0.0; weights.outputs()];
        weights.evaluate(&mut Workspace::new(weights), x, &[], Smoothing::EXACT).write_outputs(&mut values);
        let mut found = Weights { abs: vec![0.0; *m], group: vec![0.0; groups.len()], power: vec![0.0; *m] };
        for part in penalties {
            let own = &values[part.weights.clone()];
            let target = match part.kind {
                Kind::Abs => &mut found.abs,
                Kind::Group => &mut found.group,
                Kind::Power => &mut found.power,
            };
            for (i, &(k, factor)) in part.targets.iter().enumerate() {
                target[k] += factor * own[if own.len() == 1 { 0 } else { i }];
            }
        }
        self.weights = found;
        let all = self.weights.abs.iter().chain(&self.weights.group).chain(&self.weights.power);
        all.into_iter().all(|w| w.is_finite() && *w >= 0.0)
    }

    /// The weights at this x.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Adds Σ_j seed_j ∇w_j(x) to `out` (n entries).
    pub fn add_weight_gradient(&self, seed: &[f64], out: &mut [f64]) {
        self.add_gradient_of(Kind::Abs, seed, out);
    }

    /// Adds ∇ₓf(x, y) to `out`, for an objective with powers: where y_j = 0, |y_j|^p does not depend on x.
    pub fn add_leader_gradient(&mut self, y: &[f64], out: &mut [f64]) {
        self.set_point(y);
        let Some(p) = self.composite.power else { return };
        let mut gradient = vec![0.0; self.x.len()];
        let tape = &self.composite.smooth;
        let mut evaluation = tape.evaluate(&mut self.workspace, &self.x, &self.full, Smoothing::EXACT);
        evaluation.gradient(&[1.0], Some(&mut gradient), None);
        out.iter_mut().zip(&gradient).for_each(|(o, g)| *o += g);
        let seed: Vec<f64> = y.iter().map(|y| if *y == 0.0 { 0.0 } else { y.abs().powf(p) }).collect();
        self.add_gradient_of(Kind::Power, &seed, out);
    }

    /// Adds ∂/∂x (∇_y f)ᵀ times a direction that is zero where y is, for an objective with powers.
    pub fn add_mixed_product(&mut self, y: &[f64], direction: &[f64], out: &mut [f64]) {
        self.set_point(y);
        let Composite { m, smooth, maps, power, .. } = self.composite;
        let Some(p) = power else { return };
        self.direction[..*m].copy_from_slice(direction);
        self.direction[*m..].fill(0.0);
        for map in maps {
            map.mul_add(direction, &mut self.argument, &mut self.direction[map.out.clone()]);
        }
        let mut mixed = vec![0.0; self.x.len()];
        let mut evaluation = smooth.evaluate(&mut self.workspace, &self.x, &self.full, Smoothing::EXACT);
        evaluation.hessian(&[1.0]).product(None, Some(&self.direction), Some(&mut mixed), None);
        out.iter_mut().zip(&mixed).for_each(|(o, g)| *o += g);
        let slope = |(y, d): (&f64, &f64)| if *y == 0.0 { 0.0 } else { p * y.abs().powf(p - 1.0) * y.signum() * d };
        let seed: Vec<f64> = y.iter().zip(direction).map(slope).collect();
        self.add_gradient_of(Kind::Power, &seed, out);
    }

    /// Adds Σ_j seed_j ∇(weight of variable j in penalties of this kind) to `out`.
    fn add_gradient_of(&self, kind: Kind, seed: &[f64], out: &mut [f64]) {
        let Composite { weights, penalties, .. } = self.composite;
        let mut seeds = vec![0.0; weights.outputs()];
        for part in penalties.iter().filter(|part| part.kind == kind) {
            let single = part.weights.len() == 1;
            for (i, &(j, factor)) in part.targets.iter().enumerate() {
                seeds[part.weights.start + if single { 0 } else { i }] += factor * seed[j];
            }
        }
        let mut gradient = vec![0.0; self.x.len()];
        let mut workspace = Workspace::new(weights);
        weights.evaluate(&mut workspace, &self.x, &[], Smoothing::EXACT).gradient(&seeds, Some(&mut gradient), None);
        out.iter_mut().zip(&gradient).for_each(|(o, g)| *o += g);
    }

    /// P(x, y).
    pub fn penalty(&self, y: &[f64]) -> f64 {
        let Weights { abs, group, power } = &self.weights;
        let mut sum: f64 = y.iter().zip(abs).map(|(y, w)| w * y.abs()).sum();
        for (members, w) in self.composite.groups.iter().zip(group) {
            sum += w * members.iter().map(|&j| y[j] * y[j]).sum::<f64>().sqrt();
        }
        if let Some(p) = self.composite.power {
            sum += y.iter().zip(power).filter(|(_, w)| **w != 0.0).map(|(y, w)| w * y.abs().powf(p)).sum::<f64>();
        }
        sum
    }

    /// Takes the gradient of P off a gradient of f, both with the convention that kinks at zero have slope 0.
    pub fn subtract_penalty_gradient(&self, y: &[f64], gradient: &mut [f64]) {
        for ((g, y), w) in gradient.iter_mut().zip(y).zip(&self.weights.abs) {
            if *y != 0.0 {
                *g -= w * y.signum();
            }
        }
        for (members, w) in self.composite.groups.iter().zip(&self.weights.group) {
            let norm = members.iter().map(|&j| y[j] * y[j]).sum::<f64>().sqrt();
            if norm > 0.0 {
                members.iter().for_each(|&j| gradient[j] -= w * y[j] / norm);
            }
        }
    }

    fn set_point(&mut self, y: &[f64]) {
        let m = self.composite.m;
        self.full[..m].copy_from_slice(y);
        self.full[m..].fill(0.0);
        for map in &self.composite.maps {
            map.mul_add(y, &mut self.argument, &mut self.full[map.out.clone()]);
        }
    }

    /// s(x, y).
    pub fn smooth(&mut self, y: &[f64]) -> f64 {
        self.set_point(y);
        self.composite.smooth.evaluate(&mut self.workspace, &self.x, &self.full, Smoothing::EXACT).value()
    }

    /// Writes ∇_y s and returns s.
    pub fn gradient(&mut self, y: &[f64], out: &mut [f64]) -> f64 {
        self.set_point(y);
        let m = self.composite.m;
        let tape = &self.composite.smooth;
        let mut evaluation = tape.evaluate(&mut self.workspace, &self.x, &self.full, Smoothing::EXACT);
        let value = evaluation.value();
        evaluation.gradient(&[1.0], None, Some(&mut self.gradient));
        out.copy_from_slice(&self.gradient[..m]);
        for map in &self.composite.maps {
            map.transpose_add(&self.gradient[map.out.clone()], &mut self.argument, out);
        }
        value
    }

    /// Writes an estimate of the diagonal of ∇²s, positive: exact where the maps' results enter s separately and with equal
    /// weight.
    pub fn smooth_diagonal(&mut self, y: &[f64], out: &mut [f64]) {
        self.set_point(y);
        let Composite { m, smooth, maps, .. } = self.composite;
        let mut evaluation = smooth.evaluate(&mut self.workspace, &self.x, &self.full, Smoothing::EXACT);
        self.direction.fill(1.0);
        evaluation.hessian(&[1.0]).product(None, Some(&self.direction), None, Some(&mut self.gradient));
        out.copy_from_slice(&self.gradient[..*m]);
        for map in maps {
            let rows = &self.gradient[map.out.clone()];
            let mean = rows.iter().map(|v| v.abs()).sum::<f64>() / rows.len().max(1) as f64;
            out.iter_mut().zip(&map.squares).for_each(|(o, s)| *o += mean * s);
        }
        let least = 1e-8 * out.iter().fold(1e-300, |a: f64, v| a.max(v.abs()));
        out.iter_mut().for_each(|v| *v = v.abs().max(least));
    }

    /// Writes the curvature of the smoothed P along each variable.
    pub fn penalty_diagonal(&self, y: &[f64], smoothing: Smoothing<'_>, out: &mut [f64]) {
        out.fill(0.0);
        for ((o, y), w) in out.iter_mut().zip(y).zip(&self.weights.abs) {
            if *w > 0.0 {
                *o += w * smoothing.abs(*y).second;
            }
        }
        for (members, w) in self.composite.groups.iter().zip(&self.weights.group) {
            let norm = members.iter().map(|&j| y[j] * y[j]).sum::<f64>().sqrt();
            let jet = smoothing.abs(norm);
            let curvature = if norm > 0.0 { jet.first / norm } else { jet.second };
            members.iter().for_each(|&j| out[j] += w * curvature);
        }
    }

    /// Writes the rows and columns `variables` of ∇²_yy s at y.
    pub fn hessian(&mut self, y: &[f64], variables: &[usize], out: &mut Dense) {
        self.set_point(y);
        let Composite { smooth, maps, .. } = self.composite;
        out.reset(variables.len(), variables.len());
        let mut evaluation = smooth.evaluate(&mut self.workspace, &self.x, &self.full, Smoothing::EXACT);
        let mut hessian = evaluation.hessian(&[1.0]);
        for (a, &j) in variables.iter().enumerate() {
            self.direction.fill(0.0);
            self.direction[j] = 1.0;
            for map in maps {
                map.add_column(j, 1.0, &mut self.direction[map.out.clone()]);
            }
            hessian.product(None, Some(&self.direction), None, Some(&mut self.gradient));
            for (b, &k) in variables.iter().enumerate().take(a + 1) {
                let by_maps: f64 = maps.iter().map(|map| map.column_dot(k, &self.gradient[map.out.clone()])).sum();
                out[(a, b)] = self.gradient[k] + by_maps;
            }
        }
        out.mirror_lower();
    }
}
