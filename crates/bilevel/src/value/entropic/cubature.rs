//! Adaptive Gauss–Legendre cubature for up to three coordinates, seeded at the local minimisers.
//!
//! The unit cube of the chart's coordinates is cut around every minimiser to a box of a few widths of the peak there;
//! then the cells with the largest error are halved, across the axis along which they are resolved worst. The error of a
//! cell is the difference of the rules with n and n − 2 nodes per axis on it. All sums are relative to the largest node's
//! exponent, cell by cell (log-sum-exp).

use super::domain::{Chart, Domain};
use super::gauss::Rule;
use super::integrand::{Estimate, Integrand, Local, Sums, rounding};
use crate::lower::LowerStatus;

/// Coordinates up to which cubature is used.
pub(super) const MOST: usize = 3;
/// Nodes per axis, by number of coordinates.
const NODES: [usize; MOST + 1] = [1, 12, 12, 9];
/// With three coordinates the goal is this many times looser: the errors' estimates exceed the errors by more than that.
const LOOSER: [f64; MOST + 1] = [1.0, 1.0, 1.0, 10.0];
/// Cells of three coordinates on which f / mu exceeds its least value by this at all nodes of a small rule are left out.
const SCREENED: f64 = 60.0;
/// Nodes per axis of that rule.
const SCREEN: usize = 3;
/// Rises of f / mu along an axis that bound the boxes around a minimiser.
const RISES: [f64; 2] = [12.0, 36.0];
/// Larger boxes around it grow by this factor.
const GROWTH: f64 = 8.0;
/// Nodes whose weight is below exp of this, relative to the heaviest cell, have no gradient taken.
const NEGLIGIBLE: f64 = -46.0;

/// Exponents relative to a cell's peak are cut off here, against overflow.
const FARTHEST: f64 = 300.0;

/// Peaks are not looked for below this width, relative to the cube's.
const NARROWEST: f64 = 1e-10;

/// When to stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal {
    /// Error of the log-integral, and of the gradient relative to 1 + its size.
    pub tolerance: f64,
    /// Evaluations of f at most, roughly.
    pub most_nodes: usize,
}

/// Integrates over the domain.
///
/// # Errors
/// `Numerical` if f is not a number at a node.
pub(super) fn integrate(
    domain: &Domain,
    chart: &Chart,
    integrand: &mut Integrand<'_, '_>,
    minima: &[Local],
    goal: Goal,
) -> Result<Estimate, LowerStatus> {
    let d = chart.len();
    let n = integrand.x.len();
    let order = NODES[d.min(MOST)];
    let mut work = Work {
        chart,
        integrand,
        high: Rule::new(order),
        low: Rule::new(order.saturating_sub(2).max(1)),
        heaviest: f64::NEG_INFINITY,
        nodes: 0,
        y: vec![0.0; domain.m],
        w: vec![0.0; d],
        u: vec![0.0; d],
        points: Vec::new(),
        logs: Vec::new(),
        gradient: vec![0.0; n],
    };
    let goal = Goal { tolerance: LOOSER[d.min(MOST)] * goal.tolerance, ..goal };
    let least = minima.iter().map(|local| local.value).fold(f64::INFINITY, f64::min);
    let mut cells = Vec::new();
    for (low, high) in seeded(&mut work, minima) {
        if d < MOST || work.counts((&low, &high), least + SCREENED * work.integrand.mu)? {
            cells.push(work.cell(low, high)?);
        }
    }
    loop {
        let (estimate, errors) = total(&cells, n, work.nodes)?;
        let size = 1.0 + estimate.gradient.iter().fold(0.0, |a: f64, g| a.max(g.abs()));
        let room = goal.most_nodes.saturating_sub(work.nodes) / (2 * work.cost());
        let reached = estimate.log_error <= goal.tolerance && estimate.gradient_error <= goal.tolerance * size;
        if reached || room == 0 {
            return Ok(finished(estimate, minima, work.integrand.mu));
        }
        for index in worst(&errors, size, goal.tolerance, room) {
            let Cell { low, high, axis, .. } = cells[index].clone();
            let middle = 0.5 * (low[axis] + high[axis]);
            let (mut left, mut right) = (high, low);
            (left[axis], right[axis]) = (middle, middle);
            cells[index] = work.cell(low, left)?;
            cells.push(work.cell(right, high)?);
        }
    }
}

type Corner = [f64; MOST];

/// A box of the unit cube with its sums.
#[derive(Clone, Debug)]
struct Cell {
    low: Corner,
    high: Corner,
    /// The exponent that the sums are relative to.
    peak: f64,
    sums: Sums,
    coarse: Sums,
    /// The axis along which the integrand is resolved worst.
    axis: usize,
}

/// The cube, cut around the minimisers: at the boxes where f has risen by so much, and at larger ones, so that next to
/// a peak there is no cell too large to see its tail.
fn seeded(work: &mut Work<'_, '_, '_>, minima: &[Local]) -> Vec<(Corner, Corner)> {
    let d = work.chart.len();
    let mut high = [0.0; MOST];
    high[..d].fill(1.0);
    let mut cells = vec![([0.0; MOST], high)];
    for local in minima {
        let (centre, mut reach) = work.widths(local, RISES[1]);
        let mut boxes = vec![around(&centre, &work.widths(local, RISES[0]).1, d)];
        while reach[..d].iter().any(|side| side.0.min(side.1) < 1.0) {
            boxes.push(around(&centre, &reach, d));
            reach.iter_mut().for_each(|side| *side = (GROWTH * side.0, GROWTH * side.1));
        }
        for peak in boxes.iter().rev() {
            let mut next = Vec::new();
            cells.into_iter().for_each(|cell| carve(cell, peak, d, &mut next));
            cells = next;
        }
    }
    cells
}

/// The box that reaches so far below and above a point, within the cube.
fn around(centre: &Corner, reach: &[(f64, f64); MOST], d: usize) -> (Corner, Corner) {
    let (mut low, mut high) = ([0.0; MOST], [1.0; MOST]);
    for k in 0..d {
        low[k] = (centre[k] - reach[k].0).max(0.0);
        high[k] = (centre[k] + reach[k].1).min(1.0);
    }
    (low, high)
}

/// Cuts a cell along the faces of a box that it meets.
fn carve(cell: (Corner, Corner), peak: &(Corner, Corner), d: usize, out: &mut Vec<(Corner, Corner)>) {
    let (mut low, mut high) = cell;
    let meets = (0..d).all(|k| peak.0[k] < high[k] && low[k] < peak.1[k]);
    if !meets {
        out.push(cell);
        return;
    }
    for k in 0..d {
        // No slivers: a face next to a cell's own is left alone.
        let sliver = 1e-3 * (peak.1[k] - peak.0[k]).min(high[k] - low[k]);
        if peak.0[k] > low[k] + sliver {
            let mut outer = high;
            outer[k] = peak.0[k];
            out.push((low, outer));
            low[k] = peak.0[k];
        }
        if peak.1[k] < high[k] - sliver {
            let mut outer = low;
            outer[k] = peak.1[k];
            out.push((outer, high));
            high[k] = peak.1[k];
        }
    }
    out.push((low, high));
}

/// The cells to halve: the worst ones, until what is left is within half the tolerance.
fn worst(errors: &[[f64; 2]], size: f64, tolerance: f64, room: usize) -> Vec<usize> {
    let mut scores: Vec<(f64, usize)> =
        errors.iter().enumerate().map(|(i, [log, gradient])| (log.max(gradient / size), i)).collect();
    scores.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut left: f64 = scores.iter().map(|score| score.0).sum();
    let mut chosen = Vec::new();
    for (score, index) in scores {
        if chosen.len() >= room || (left <= 0.5 * tolerance && !chosen.is_empty()) {
            break;
        }
        left -= score;
        chosen.push(index);
    }
    chosen
}

/// The sum over cells, and each cell's errors of the log-integral and of the gradient.
fn total(cells: &[Cell], n: usize, nodes: usize) -> Result<(Estimate, Vec<[f64; 2]>), LowerStatus> {
    let peak = cells.iter().map(|cell| cell.peak).fold(f64::NEG_INFINITY, f64::max);
    let mut sums = Sums::new(n);
    for cell in cells {
        sums.merge(&cell.sums, (cell.peak - peak).exp());
    }
    let mut estimate = sums.estimate(peak, nodes)?;
    let errors: Vec<[f64; 2]> = cells
        .iter()
        .map(|cell| {
            let scale = (cell.peak - peak).exp() / sums.mass;
            let mass = cell.sums.mass - cell.coarse.mass;
            // The error of a quotient: of N − ĝ Z, over Z.
            let parts = cell.sums.gradient.iter().zip(&cell.coarse.gradient).zip(&estimate.gradient);
            let gradient = parts.fold(0.0, |a: f64, ((fine, coarse), g)| a.max((fine - coarse - g * mass).abs()));
            [scale * mass.abs(), scale * gradient]
        })
        .collect();
    estimate.log_error = errors.iter().map(|e| e[0]).sum();
    estimate.gradient_error = errors.iter().map(|e| e[1]).sum();
    Ok((estimate, errors))
}

/// Adds what rounding may have done to the errors.
fn finished(mut estimate: Estimate, minima: &[Local], mu: f64) -> Estimate {
    let value = minima.iter().fold(0.0, |a: f64, local| a.max(local.value.abs()));
    let size = estimate.gradient.iter().fold(1.0, |a: f64, g| a.max(g.abs()));
    let noise = rounding(value, mu);
    estimate.log_error += noise;
    estimate.gradient_error += noise * size;
    estimate
}

struct Work<'w, 'e, 'f> {
    chart: &'w Chart,
    integrand: &'w mut Integrand<'e, 'f>,
    high: Rule,
    low: Rule,
    /// The largest exponent of a node so far.
    heaviest: f64,
    nodes: usize,
    y: Vec<f64>,
    w: Vec<f64>,
    u: Vec<f64>,
    points: Vec<f64>,
    logs: Vec<(f64, f64)>,
    gradient: Vec<f64>,
}

impl Work<'_, '_, '_> {
    /// Evaluations for one cell.
    fn cost(&self) -> usize {
        let d = self.chart.len() as u32;
        self.high.len().pow(d) + self.low.len().pow(d)
    }

    /// The minimiser in the unit cube, and how far below and above it along each axis f has risen by `rise` mu.
    fn widths(&mut self, local: &Local, rise: f64) -> (Corner, [(f64, f64); MOST]) {
        let d = self.chart.len();
        self.chart.coordinates(&local.y, &mut self.w);
        let mut centre = [0.0; MOST];
        for (k, c) in centre.iter_mut().enumerate().take(d) {
            *c = self.chart.to_unit(k, self.w[k], &self.w);
        }
        let level = local.value + rise * self.integrand.mu;
        let mut reach = [(1.0, 1.0); MOST];
        for (k, side) in reach.iter_mut().enumerate().take(d) {
            *side = (self.reach(&centre, k, -1.0, level), self.reach(&centre, k, 1.0, level));
        }
        (centre, reach)
    }

    /// How far from `centre` along axis k f stays below `level`, to a tenth; all the way if it does at the end.
    fn reach(&mut self, centre: &Corner, k: usize, sign: f64, level: f64) -> f64 {
        let end = if sign < 0.0 { centre[k] } else { 1.0 - centre[k] };
        let below = |work: &mut Self, t: f64| {
            work.u.copy_from_slice(&centre[..work.chart.len()]);
            work.u[k] = centre[k] + sign * t;
            work.chart.place(&work.u, &mut work.w);
            work.chart.lift(&work.w, &mut work.y);
            work.nodes += 1;
            work.integrand.value(&work.y) <= level
        };
        // From the peak outwards, so that the first rise counts where there are several.
        let (mut inside, mut t) = (0.0, NARROWEST);
        while t < end && below(self, t) {
            (inside, t) = (t, 4.0 * t);
        }
        if t >= end && below(self, end) {
            return 1.0;
        }
        let (mut low, mut high) = (inside, t.min(end));
        while high > 1.1 * low && high > NARROWEST {
            let middle = if low > 0.0 { (low * high).sqrt() } else { 0.5 * high };
            if below(self, middle) { low = middle } else { high = middle }
        }
        high
    }

    /// Evaluates both rules on a box.
    fn cell(&mut self, low: Corner, high: Corner) -> Result<Cell, LowerStatus> {
        let (fine, coarse) = (self.high.clone(), self.low.clone());
        let (peak, sums, axis) = self.sums(&fine, (&low, &high), None, true)?;
        let (_, coarse, _) = self.sums(&coarse, (&low, &high), Some(peak), false)?;
        Ok(Cell { low, high, peak, sums, coarse, axis })
    }

    /// Whether f is below a level at some node of a small rule.
    fn counts(&mut self, (low, high): (&Corner, &Corner), level: f64) -> Result<bool, LowerStatus> {
        let d = self.chart.len();
        let rule = Rule::new(SCREEN);
        for node in 0..SCREEN.pow(d as u32) {
            let mut rest = node;
            for j in 0..d {
                self.u[j] = low[j] + (high[j] - low[j]) * rule.nodes[rest % SCREEN];
                rest /= SCREEN;
            }
            self.chart.place(&self.u, &mut self.w);
            self.chart.lift(&self.w, &mut self.y);
            self.nodes += 1;
            let value = self.integrand.value(&self.y);
            if value.is_nan() {
                return Err(LowerStatus::Numerical);
            }
            if value <= level {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The sums of one rule over a box, relative to exp(peak); to the largest node's exponent if no peak is given.
    fn sums(
        &mut self,
        rule: &Rule,
        (low, high): (&Corner, &Corner),
        peak: Option<f64>,
        wants_axis: bool,
    ) -> Result<(f64, Sums, usize), LowerStatus> {
        let (d, m, k) = (self.chart.len(), self.y.len(), rule.len());
        let count = k.pow(d as u32);
        self.points.resize(count * m, 0.0);
        self.logs.clear();
        let volume: f64 = (0..d).map(|j| high[j] - low[j]).product();
        for node in 0..count {
            let mut rest = node;
            let mut weight = volume;
            for j in 0..d {
                self.u[j] = low[j] + (high[j] - low[j]) * rule.nodes[rest % k];
                weight *= rule.weights[rest % k];
                rest /= k;
            }
            let measure = self.chart.place(&self.u, &mut self.w);
            self.chart.lift(&self.w, &mut self.y);
            let value = self.integrand.value(&self.y);
            if value.is_nan() {
                return Err(LowerStatus::Numerical);
            }
            self.points[node * m..(node + 1) * m].copy_from_slice(&self.y);
            self.logs.push((value, (weight * measure).ln() + self.chart.log_measure - value / self.integrand.mu));
        }
        self.nodes += count;
        let largest = self.logs.iter().map(|log| log.1).fold(f64::NEG_INFINITY, f64::max);
        self.heaviest = self.heaviest.max(largest);
        let peak = peak.unwrap_or(if largest.is_finite() { largest } else { -f64::MAX });
        let mut sums = Sums::new(self.gradient.len());
        for (node, &(value, log)) in self.logs.iter().enumerate() {
            if log - self.heaviest <= NEGLIGIBLE {
                continue;
            }
            let y = &self.points[node * m..(node + 1) * m];
            self.integrand.gradient(y, &mut self.gradient);
            let near = &self.integrand.neighbourhood;
            sums.add((log - peak).min(FARTHEST).exp(), &self.gradient, near.contains(value, y), near.is_inner(y));
        }
        let axis = if wants_axis { self.worst_axis(rule, peak) } else { 0 };
        Ok((peak, sums, axis))
    }

    /// The axis with the largest highest Legendre coefficients, summed over the lines of nodes along it.
    fn worst_axis(&self, rule: &Rule, peak: f64) -> usize {
        let (d, k) = (self.chart.len(), rule.len());
        let mut best = (f64::NEG_INFINITY, 0);
        for axis in 0..d {
            let stride = k.pow(axis as u32);
            let mut sum = 0.0;
            for first in (0..self.logs.len()).filter(|node| (node / stride) % k == 0) {
                let (mut a, mut b) = (0.0, 0.0);
                for i in 0..k {
                    // The weight along the line is divided out; the others are what the line counts for.
                    let value = (self.logs[first + i * stride].1 - peak).exp() / rule.weights[i];
                    a += rule.highest[0][i] * value;
                    b += rule.highest[1][i] * value;
                }
                sum += f64::abs(a) + f64::abs(b);
            }
            if sum > best.0 {
                best = (sum, axis);
            }
        }
        best.1
    }
}
