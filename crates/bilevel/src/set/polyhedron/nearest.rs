//! The nearest point of `{w : <g_j, w> <= h_j}`, exactly, by the dual active-set method of Goldfarb & Idnani 1983 with
//! the identity as Hessian; and linear programmes over it as repeated projections.
//!
//! The method starts from the point itself, with its violated bounds as active constraints, and adds violated
//! constraints one at a time, keeping all multipliers nonnegative. At the end the point is computed afresh from the
//! active constraints, so that the answer is as exact as their equations allow.

use crate::set::basis::{Basis, DEPENDENT, span};
use crate::set::numeric::norm;
use bilevel_linalg::Dense;
use bilevel_linalg::vector::{axpy, dot};

/// Parts of unit vectors in the recession cone below this are zero.
const RECEDES: f64 = 1e-9;

/// Halfspaces with unit normals: row j of `normals` is g_j.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Halfspaces {
    normals: Dense,
    bounds: Vec<f64>,
    /// Where g_j is an axis: which, and its sign.
    axes: Vec<Option<(usize, f64)>>,
}

/// The nearest point and the constraints that hold it there: `p - point = sum multipliers_i g_(active_i)`.
#[derive(Clone, Debug)]
pub(super) struct Nearest {
    pub point: Vec<f64>,
    pub active: Vec<usize>,
    pub multipliers: Vec<f64>,
}

/// The state of the method: the active constraints, their basis, multipliers, and the point they give.
struct State<'a> {
    set: &'a Halfspaces,
    target: &'a [f64],
    basis: Basis,
    answer: Nearest,
    /// Whether the point and the multipliers were computed from the active constraints.
    fresh: bool,
}

impl Halfspaces {
    /// The halfspaces of these unit normals and bounds.
    pub fn new(normals: Dense, bounds: Vec<f64>) -> Self {
        let axis = |j: usize| {
            let mut entries = normals.row(j).iter().enumerate().filter(|(_, a)| **a != 0.0);
            let (i, a) = entries.next()?;
            (a.abs() == 1.0 && entries.next().is_none()).then_some((i, *a))
        };
        Self { axes: (0..bounds.len()).map(axis).collect(), normals, bounds }
    }

    /// The dimension of the space.
    pub fn dimension(&self) -> usize {
        self.normals.cols()
    }

    /// The number of halfspaces.
    pub fn count(&self) -> usize {
        self.bounds.len()
    }

    /// The normal g_j.
    pub fn normal(&self, j: usize) -> &[f64] {
        self.normals.row(j)
    }

    /// The bound h_j.
    pub fn bound(&self, j: usize) -> f64 {
        self.bounds[j]
    }

    /// The same normals with all bounds smaller by `margin`.
    pub fn shrunk(&self, margin: f64) -> Self {
        Self { bounds: self.bounds.iter().map(|h| h - margin).collect(), ..self.clone() }
    }

    /// The amount by which `<g_j, w>` exceeds h_j.
    pub fn excess(&self, j: usize, w: &[f64]) -> f64 {
        self.along(j, w) - self.bounds[j]
    }

    /// `<g_j, d>`.
    pub fn along(&self, j: usize, d: &[f64]) -> f64 {
        match self.axes[j] {
            Some((i, sign)) => sign * d[i],
            None => dot(self.normals.row(j), d),
        }
    }

    /// The cone `{d : <g_j, d> <= 0}` of the constraints in `chosen`.
    pub fn cone(&self, chosen: impl Iterator<Item = usize>) -> Self {
        let rows: Vec<&[f64]> = chosen.map(|j| self.normals.row(j)).collect();
        let mut normals = Dense::zeros(rows.len(), self.dimension());
        for (i, row) in rows.iter().enumerate() {
            normals.row_mut(i).copy_from_slice(row);
        }
        let bounds = vec![0.0; rows.len()];
        Self::new(normals, bounds)
    }

    /// The point nearest to `target`.
    ///
    /// Where rounding has made the constraints contradict each other slightly, the ones that cannot be met are left.
    pub fn nearest(&self, target: &[f64]) -> Nearest {
        let mut state = State::new(self, target);
        let mut ignored = vec![false; self.bounds.len()];
        // Far more changes than the method makes; a guard against cycling by rounding.
        for _ in 0..100 + 20 * (self.bounds.len() + self.dimension()) {
            if let Some(entering) = self.most_violated(&state, &ignored) {
                ignored[entering] = !state.add(entering);
            } else if state.fresh {
                break;
            } else {
                state.refresh();
            }
        }
        if !state.fresh {
            state.refresh();
        }
        state.answer
    }

    /// A maximiser of `<c, w>` for a unit vector c, where there is one, and the multipliers of its constraints (up to
    /// a common factor), from any `start` in the set.
    ///
    /// The proximal method `w <- nearest(w + t c)` ends at a maximiser after finitely many steps [Rockafellar 1976].
    pub fn maximise(&self, c: &[f64], start: &[f64]) -> Nearest {
        let push = |w: &[f64], t: f64| {
            let target: Vec<f64> = w.iter().zip(c).map(|(w, c)| w + t * c).collect();
            self.nearest(&target)
        };
        let size = |w: &[f64]| 1.0 + norm(w.iter().copied());
        let mut step = size(start);
        let mut last = push(start, step);
        let mut moved = distance(&last.point, start);
        for _ in 0..120 {
            if moved <= 1e-10 * step {
                break;
            }
            step *= 64.0;
            let next = push(&last.point, step);
            moved = distance(&last.point, &next.point);
            last = next;
        }
        // A short last step keeps the rounding error at the size of the answer.
        if step > 8.0 * size(&last.point) { push(&last.point, size(&last.point)) } else { last }
    }

    /// Whether `<c, w>` is unbounded on the set, for a unit vector c: whether c has a part in the recession cone.
    pub fn recedes(&self, c: &[f64]) -> bool {
        let part = self.cone(0..self.bounds.len()).nearest(c).point;
        norm(part.into_iter()) > RECEDES
    }

    /// Whether the set is bounded: `sum of u_j g_j = 0` for some u > 0, and the g_j span the space.
    pub fn bounded(&self) -> bool {
        let m = self.bounds.len();
        let rows: Vec<Vec<f64>> = (0..m).map(|j| self.normals.row(j).to_vec()).collect();
        if span(&rows).0.len() < self.dimension() {
            return false;
        }
        let mut inward = vec![0.0; self.dimension()];
        rows.iter().for_each(|row| axpy(-1.0 / m as f64, row, &mut inward));
        // By Farkas' lemma there is such u unless some recession direction goes inward from a g_j.
        norm(self.cone(0..m).nearest(&inward).point.into_iter()) <= RECEDES
    }

    /// The constraint that is violated most, by more than rounding.
    fn most_violated(&self, state: &State, ignored: &[bool]) -> Option<usize> {
        let point = &state.answer.point;
        let size = norm(state.target.iter().copied()) + norm(point.iter().copied());
        let rounding = (8 + self.dimension()) as f64 * f64::EPSILON;
        let mut worst = (0.0, None);
        for (j, h) in self.bounds.iter().enumerate() {
            let above = self.excess(j, point);
            if above > rounding * (size + h.abs())
                && above > worst.0
                && !ignored[j]
                && !state.answer.active.contains(&j)
            {
                worst = (above, Some(j));
            }
        }
        worst.1
    }
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    norm(a.iter().zip(b).map(|(a, b)| a - b))
}

impl<'a> State<'a> {
    /// The target with its violated bounds made active: their normals are orthogonal, so each multiplier is the
    /// violation.
    fn new(set: &'a Halfspaces, target: &'a [f64]) -> Self {
        let answer = Nearest { point: target.to_vec(), active: Vec::new(), multipliers: Vec::new() };
        let mut state = Self { set, target, basis: Basis::default(), answer, fresh: true };
        for (j, axis) in set.axes.iter().enumerate() {
            let Some((i, sign)) = *axis else { continue };
            let above = set.excess(j, &state.answer.point);
            if above > 0.0 && state.answer.point[i] == target[i] {
                state.answer.point[i] = sign * set.bounds[j];
                state.answer.active.push(j);
                state.answer.multipliers.push(above);
                state.basis.push_orthogonal(set.normals.row(j));
            }
        }
        state
    }

    /// Makes the constraint active, giving up others whose multipliers would turn negative. False, with everything as
    /// before, if it contradicts the active ones.
    fn add(&mut self, entering: usize) -> bool {
        let saved = self.answer.clone();
        let normal = self.set.normals.row(entering);
        let mut multiplier = 0.0;
        loop {
            let split = self.basis.split(normal);
            let mut change = split.inside.clone();
            self.basis.solve(&mut change);
            let (mut dual_step, mut leaving) = (f64::INFINITY, None);
            for (i, (&r, &u)) in change.iter().zip(&self.answer.multipliers).enumerate() {
                if r > DEPENDENT && u / r < dual_step {
                    (dual_step, leaving) = (u / r, Some(i));
                }
            }
            let above = self.set.excess(entering, &self.answer.point).max(0.0);
            let dependent = split.length <= DEPENDENT;
            let full_step = if dependent { f64::INFINITY } else { above / (split.length * split.length) };
            let step = full_step.min(dual_step);
            if step == f64::INFINITY {
                self.restore(saved);
                return false;
            }
            self.fresh = false;
            multiplier += step;
            axpy(-step, &change, &mut self.answer.multipliers);
            if !dependent {
                axpy(-step, &split.rest, &mut self.answer.point);
            }
            match leaving {
                Some(leaving) if dual_step < full_step => {
                    self.basis.remove(leaving);
                    self.answer.active.remove(leaving);
                    self.answer.multipliers.remove(leaving);
                }
                _ => {
                    self.basis.push(split);
                    self.answer.active.push(entering);
                    self.answer.multipliers.push(multiplier);
                    return true;
                }
            }
        }
    }

    /// Goes back to an earlier answer.
    fn restore(&mut self, saved: Nearest) {
        if saved.active != self.answer.active {
            self.basis = Basis::default();
            for &j in &saved.active {
                self.basis.push(self.basis.split(self.set.normals.row(j)));
            }
        }
        self.answer = saved;
    }

    /// The point and multipliers of the active constraints, computed afresh.
    fn refresh(&mut self) {
        let Nearest { point, active, multipliers } = &mut self.answer;
        let normals: Vec<&[f64]> = active.iter().map(|&j| self.set.normals.row(j)).collect();
        let levels: Vec<f64> = active.iter().map(|&j| self.set.bounds[j]).collect();
        point.copy_from_slice(self.target);
        self.basis.move_onto(&normals, &levels, point);
        let moved: Vec<f64> = self.target.iter().zip(point.iter()).map(|(t, p)| t - p).collect();
        *multipliers = self.basis.coordinates(&moved);
        self.basis.solve(multipliers);
        multipliers.iter_mut().for_each(|u| *u = u.max(0.0));
        self.fresh = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bilevel_linalg::Csr;
    use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
    use proptest::prelude::*;

    fn halfspaces(list: &[(Vec<f64>, f64)]) -> Halfspaces {
        let mut normals = Dense::zeros(list.len(), list[0].0.len());
        let mut bounds = Vec::new();
        for (j, (g, h)) in list.iter().enumerate() {
            let length = norm(g.iter().copied());
            normals.row_mut(j).iter_mut().zip(g).for_each(|(n, g)| *n = g / length);
            bounds.push(h / length);
        }
        Halfspaces::new(normals, bounds)
    }

    /// Feasible, and `p - point` is a nonnegative combination of active normals: the conditions that characterise it.
    fn check(set: &Halfspaces, p: &[f64], answer: &Nearest) {
        let mut left: Vec<f64> = p.iter().zip(&answer.point).map(|(p, w)| p - w).collect();
        for (&j, &u) in answer.active.iter().zip(&answer.multipliers) {
            assert!(u >= 0.0);
            assert!(set.excess(j, &answer.point).abs() < 1e-12);
            axpy(-u, set.normals.row(j), &mut left);
        }
        assert!(norm(left.iter().copied()) < 1e-11, "not stationary by {left:?}");
        for j in 0..set.bounds.len() {
            assert!(set.excess(j, &answer.point) < 1e-12, "row {j} violated by {}", set.excess(j, &answer.point));
        }
    }

    fn list(k: usize, most: usize) -> impl Strategy<Value = Vec<(Vec<f64>, f64)>> {
        // Small integers make degenerate corners and repeated rows; 0 is feasible.
        let integer = prop::collection::vec((-2..3i32).prop_map(f64::from), k);
        let real = prop::collection::vec(-1.0..1.0f64, k);
        let row = (prop_oneof![integer, real], prop_oneof![Just(0.0), Just(1.0), 0.0..1.0f64]);
        prop::collection::vec(row.prop_filter("zero", |r| norm(r.0.iter().copied()) > 0.3), 1..most)
    }

    proptest! {
        #[test]
        fn nearest_points_are_optimal(list in prop_oneof![list(4, 12), list(9, 40)], p in prop::collection::vec(-5.0..5.0f64, 9)) {
            let set = halfspaces(&list);
            let p = &p[..set.dimension()];
            check(&set, p, &set.nearest(p));
        }

        #[test]
        fn maximisers_agree_with_the_conic_solver(list in list(3, 12), c in prop::collection::vec(-1.0..1.0f64, 3)) {
            let length = norm(c.iter().copied());
            prop_assume!(length > 0.1);
            let c: Vec<f64> = c.iter().map(|c| c / length).collect();
            let mut list = list;
            let uncaged = halfspaces(&list);
            for i in 0..3 {
                for sign in [-1.0, 1.0] {
                    let mut axis = vec![0.0; 3];
                    axis[i] = sign;
                    list.push((axis, 10.0));
                }
            }
            let set = halfspaces(&list);
            prop_assert!(set.bounded());
            let best = set.maximise(&c, &[0.0; 3]).point;
            prop_assert!((0..set.bounds.len()).all(|j| set.excess(j, &best) < 1e-11));
            let value = conic_maximum(&set, &c);
            prop_assert!((dot(&c, &best) - value).abs() < 1e-6 * (1.0 + value.abs()), "{} {}", dot(&c, &best), value);
            // The part of c in the recession cone, against the largest <c, d> over that cone in the same cage.
            let mut cone = set.clone();
            cone.bounds[..uncaged.bounds.len()].fill(0.0);
            let slope = conic_maximum(&cone, &c) / 10.0;
            let part = norm(uncaged.cone(0..uncaged.bounds.len()).nearest(&c).point.into_iter());
            prop_assert!(part - 1e-6 <= slope && slope <= 3f64.sqrt() * part + 1e-6, "{part} {slope}");
        }
    }

    /// The maximum by an interior-point method.
    fn conic_maximum(set: &Halfspaces, c: &[f64]) -> f64 {
        let (m, k) = (set.bounds.len(), c.len());
        let entries: Vec<_> = (0..m * k).map(|e| (e / k, e % k, set.normals.data()[e])).collect();
        let rows = Csr::from_triplets(m, k, &entries).unwrap();
        let linear: Vec<f64> = c.iter().map(|c| -c).collect();
        let (low, high) = (vec![f64::NEG_INFINITY; k.max(m)], vec![f64::INFINITY; k]);
        let qp = Qp {
            hessian: QpHessian::Zero,
            linear: &linear,
            lower: &low[..k],
            upper: &high,
            rows: &rows,
            row_lower: &low[..m],
            row_upper: &set.bounds,
            balls: &[],
        };
        -solve_qp(&qp, &QpOptions::default()).unwrap().objective
    }

    #[test]
    fn boundedness() {
        let triangle = [(vec![-1.0, 0.0], 0.0), (vec![0.0, -1.0], 0.0), (vec![1.0, 1.0], 1.0)];
        assert!(halfspaces(&triangle).bounded());
        assert!(!halfspaces(&triangle[..2]).bounded());
        let slab = [(vec![1.0, 0.0], 1.0), (vec![-1.0, 0.0], 1.0)];
        assert!(!halfspaces(&slab).bounded());
        assert!(halfspaces(&slab).recedes(&[0.0, 1.0]) && !halfspaces(&slab).recedes(&[1.0, 0.0]));
    }
}
