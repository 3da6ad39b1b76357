//! The leader's problem in x alone where the follower's answer is exact and nonsmooth: φ(x) = F(x, y(x)) with y(x) by
//! [`proximal`].
//!
//! While the manifold of the answer does not change (which variables are zero, with which signs the others, at which
//! bounds), the follower's optimality conditions on the variables S that move define y_S as a function of x. With
//! K = ∇²_SS f on the manifold and K p = ∇_{y_S} F,
//!
//! ```text
//! ∇φ = ∇ₓF − (∂/∂x ∇_{y_S} f)ᵀ p
//! ```
//!
//! (implicit function theorem; for the lasso: Bertrand et al. 2020). Nothing grows with the number of follower's variables
//! but one product with its matrices. Where a variable is about to leave or to enter S, φ has a kink: each way of it
//! gives a generator, and stationarity means that 0 is in their hull plus the normal cone of X.

use bilevel_linalg::vector::norm_inf;
use bilevel_linalg::{Cholesky, Dense};

use super::Leader;
use super::implicit::leader_frame;
use crate::lower::proximal::Manifold;
use crate::lower::{CompositeAt, Follower, LowerSolver, LowerStatus, Meter, Regulariser};
use crate::nlp::projected::{self, Region, Smooth};
use crate::nlp::{Frame, Nlp, Normals, sqp, unit};
use crate::problem::{At, Failures, FunctionEvaluator};
use crate::set::{ConvexSet, Set};
use crate::smooth::Smoothing;

/// A point where the descent ended.
#[derive(Clone, Debug)]
pub struct Followed {
    /// The leader's decision.
    pub x: Vec<f64>,
    /// The follower's exact answer.
    pub y: Vec<f64>,
    /// The residual of [`reduced_residual`]; infinite if it could not be computed.
    pub residual: f64,
}

/// Whether the method applies: an exact convex follower in parts, and no constraint of the leader on y.
pub fn reducible(leader: &Leader, follower: &Follower) -> bool {
    let convex = follower.composite.as_ref().is_some_and(|composite| composite.power().is_none());
    convex && follower.n > 0 && leader_frame(leader, follower).is_some()
}

/// Up to this many leader's variables SQP with a dense matrix is used, beyond it projections alone.
const DENSE: usize = 200;
/// Optimality conditions with a slack below this, relative to 1 + the weight, may be about to become active.
const WEAK: f64 = 1e-6;
/// A solution of K p = b this much larger than b says that K is singular.
const SINGULAR: f64 = 1e10;
/// Variables about to change at most, for generators.
const MOST_WEAK: usize = 30;

/// Minimises φ from x with the follower's answer y. `None` if it does not apply or nothing could be evaluated.
pub fn reduced<'a>(
    set: &Set,
    leader: &'a Leader,
    follower: &'a Follower,
    start: (&[f64], &[f64]),
    failures: &Failures,
    meter: &Meter,
    stop: &dyn Fn() -> bool,
) -> Option<Followed> {
    let frame = leader_frame(leader, follower)?;
    let mut programme = Reduced::new(leader, follower, start.1, frame, failures, meter)?;
    let x = if follower.n <= DENSE {
        let mut z = start.0.to_vec();
        let frame = &programme.frame;
        z.extend((start.0.len()..frame.lower.len()).map(|j| frame.lower[j].max(0.0).min(frame.upper[j])));
        let settings = sqp::Settings { max_iterations: 60, progress_tolerance: 1e-13, ..sqp::Settings::default() };
        let found = sqp::solve_with(&mut programme, &z, &settings, Some(&mut |_| !stop()));
        found.z[..follower.n].to_vec()
    } else {
        let settings = projected::Settings { tolerance: 1e-7, max_iterations: 500, ..projected::Settings::default() };
        projected::minimise(&mut programme, &Region::new(vec![set]), start.0, &settings, &mut || !stop()).z
    };
    let y = programme.answer(&x)?.to_vec();
    let residual = programme.residual(set, &x, &y).unwrap_or(f64::INFINITY);
    Some(Followed { x, y, residual })
}

/// The least distance of minus a convex combination of the generators of ∂φ at (x, y) to the normal cone of X, relative to
/// 1 + ‖∇F‖∞; y must be the follower's answer at x.
pub fn reduced_residual<'a>(
    set: &Set,
    leader: &'a Leader,
    follower: &'a Follower,
    point: (&[f64], &[f64]),
    failures: &Failures,
) -> Option<f64> {
    let frame = leader_frame(leader, follower)?;
    let mut programme = Reduced::new(leader, follower, point.1, frame, failures, &Meter::unlimited())?;
    programme.residual(set, point.0, point.1)
}

struct Reduced<'a> {
    frame: Frame,
    follower: &'a Follower,
    solver: LowerSolver<'a>,
    at: CompositeAt<'a>,
    upper: FunctionEvaluator<'a>,
    lower: FunctionEvaluator<'a>,
    auxiliary: usize,
    constraints_are_the_set: bool,
    warm: Vec<f64>,
    /// The last x with its answer, if there is one.
    answer: Option<(Vec<f64>, Option<Vec<f64>>)>,
}

impl<'a> Reduced<'a> {
    fn new(
        leader: &'a Leader,
        follower: &'a Follower,
        y: &[f64],
        frame: Frame,
        failures: &Failures,
        meter: &Meter,
    ) -> Option<Self> {
        let (n, m) = (follower.n, follower.m);
        let composite = follower.composite.as_deref().filter(|composite| composite.power().is_none())?;
        Some(Self {
            frame,
            follower,
            solver: LowerSolver::new(follower, failures, meter),
            at: CompositeAt::new(composite),
            upper: FunctionEvaluator::new(&leader.objective, n, m, failures),
            lower: FunctionEvaluator::new(&follower.objective, n, m, failures),
            auxiliary: leader.auxiliary(n),
            constraints_are_the_set: leader.system.places.is_empty(),
            warm: y[..m].to_vec(),
            answer: None,
        })
    }

    /// The follower's answer at x, started from the last one.
    fn answer(&mut self, x: &[f64]) -> Option<&[f64]> {
        if self.answer.as_ref().is_none_or(|(known, _)| known != x) {
            let solution = self.solver.solve(x, &self.warm, Smoothing::EXACT, &Regulariser::default());
            let found = (solution.status == LowerStatus::Solved).then_some(solution.y);
            if let Some(y) = &found {
                self.warm.clone_from(y);
            }
            self.answer = Some((x.to_vec(), found));
        }
        self.answer.as_ref().and_then(|(_, y)| y.as_deref())
    }

    fn phi(&mut self, x: &[f64]) -> f64 {
        let Some(y) = self.answer(x).map(<[f64]>::to_vec) else { return f64::NAN };
        self.upper.value(At { x, y: &self.padded(&y), smoothing: Smoothing::EXACT })
    }

    /// y with room for the auxiliary variables of the leader's set behind it, on which F does not depend.
    fn padded(&self, y: &[f64]) -> Vec<f64> {
        let mut full = y.to_vec();
        full.resize(self.follower.m + self.auxiliary, 0.0);
        full
    }

    /// ∇F at (x, y).
    fn upper_gradient(&mut self, x: &[f64], y: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let full = self.padded(y);
        let (mut by_x, mut by_y) = (vec![0.0; x.len()], vec![0.0; full.len()]);
        let at = At { x, y: &full, smoothing: Smoothing::EXACT };
        self.upper.add_gradient(at, &[1.0], Some(&mut by_x), Some(&mut by_y));
        by_y.truncate(self.follower.m);
        (by_x, by_y)
    }

    /// ∇φ on the manifold of y with further variables that move, in these directions.
    fn gradient_on(&mut self, x: &[f64], y: &[f64], change: &Change) -> Option<Vec<f64>> {
        let (n, m) = (self.follower.n, self.follower.m);
        self.at.fix(x);
        let further: Vec<usize> = change.enter.iter().map(|(j, _)| *j).collect();
        let mut manifold = Manifold::new(&mut self.at, y, &further);
        manifold.without(&change.leave);
        let (upper_x, upper_y) = self.upper_gradient(x, y);
        let mut p: Vec<f64> = manifold.variables.iter().map(|&j| upper_y[j]).collect();
        solve(&manifold.hessian, &mut p)?;
        let mut direction = vec![0.0; m];
        manifold.variables.iter().zip(&p).for_each(|(&j, p)| direction[j] = *p);
        let mut mixed = vec![0.0; n];
        let at = At { x, y, smoothing: Smoothing::EXACT };
        self.lower.hessian_product(at, &[1.0], &direction, Some(&mut mixed), None);
        // At zero the formula's derivative of |y_j| is 0: the sign with which the variable enters is added here.
        let mut seed = vec![0.0; m];
        change.enter.iter().for_each(|&(j, sign)| seed[j] = sign * direction[j]);
        if !change.enter.is_empty() {
            self.at.add_weight_gradient(&seed, &mut mixed);
        }
        let out: Vec<f64> = upper_x.iter().zip(&mixed).map(|(f, c)| f - c).collect();
        out.iter().all(|g| g.is_finite()).then_some(out)
    }

    /// Generators of ∂φ at x: the manifold of y, and those next to it.
    fn generators(&mut self, x: &[f64], y: &[f64]) -> Option<Vec<Vec<f64>>> {
        let base = self.gradient_on(x, y, &Change::default())?;
        let weak = self.weak(x, y);
        let mut all = vec![base];
        let singles = weak.iter().cloned().map(|change| change.into_iter().collect::<Change>());
        let together: Change = weak.iter().flatten().copied().collect();
        for change in singles.chain((weak.len() > 1).then_some(together)) {
            all.extend(self.gradient_on(x, y, &change));
        }
        Some(all)
    }

    /// Variables about to enter the manifold, with their sign, or to leave it (sign 0).
    fn weak(&mut self, x: &[f64], y: &[f64]) -> Vec<Vec<(usize, f64)>> {
        self.at.fix(x);
        let mut gradient = vec![0.0; y.len()];
        self.at.gradient(y, &mut gradient);
        let size = 1.0 + y.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
        let abs = &self.at.weights().abs;
        let mut weak = Vec::new();
        for j in (0..y.len()).filter(|&j| abs[j] > 0.0 && self.at.composite().group_of(j).is_none()) {
            if y[j] == 0.0 && (abs[j] - gradient[j].abs()).abs() <= WEAK * (1.0 + abs[j]) {
                weak.push(vec![(j, -gradient[j].signum())]);
            } else if y[j] != 0.0 && y[j].abs() <= WEAK * size {
                weak.push(vec![(j, 0.0)]);
            }
        }
        weak.truncate(MOST_WEAK);
        weak
    }

    fn residual(&mut self, set: &Set, x: &[f64], y: &[f64]) -> Option<f64> {
        let generators = self.generators(x, y)?;
        let (upper_x, upper_y) = self.upper_gradient(x, y);
        let size = upper_x.iter().chain(&upper_y).fold(1.0, |a: f64, g| a.max(1.0 + g.abs()));
        let by_set = |g: &Vec<f64>| {
            let down: Vec<f64> = g.iter().map(|g| -g).collect();
            let size = 1.0 + x.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
            set.normal_cone_distance(x, &down, 1e-8 * size)
        };
        // The set alone says it for a single generator; a hull is projected with the bounds and rows written out.
        let alone = self.constraints_are_the_set && (generators.len() == 1 || x.len() > DENSE);
        let distance = if alone {
            generators.iter().map(by_set).fold(f64::INFINITY, f64::min)
        } else {
            self.hull_distance(x, &generators)?
        };
        Some(distance / size)
    }

    /// The distance of the hull of the generators to the normals of X given by bounds and rows.
    fn hull_distance(&self, x: &[f64], generators: &[Vec<f64>]) -> Option<f64> {
        let (frame, n) = (&self.frame, x.len());
        // Auxiliary variables of the set are not known here: a set that needs them is asked itself.
        if frame.lower.len() > n {
            return None;
        }
        let mut normals = Normals::default();
        for (j, &value) in x.iter().enumerate() {
            normals.push_range(unit(n, j), value, frame.lower[j], frame.upper[j]);
        }
        for i in 0..frame.rows.rows() {
            let mut normal = vec![0.0; n];
            frame.rows.row(i).for_each(|(j, a)| normal[j] = a);
            let value = bilevel_linalg::vector::dot(&normal, x);
            normals.push_range(normal, value, frame.row_lower[i], frame.row_upper[i]);
        }
        normals.hull_distance(generators)
    }
}

/// How a manifold differs from that of y.
#[derive(Clone, Debug, Default)]
struct Change {
    enter: Vec<(usize, f64)>,
    leave: Vec<usize>,
}

impl FromIterator<(usize, f64)> for Change {
    /// Variables with the sign they enter with; 0 for those that leave.
    fn from_iter<T: IntoIterator<Item = (usize, f64)>>(changes: T) -> Self {
        let mut out = Self::default();
        for (j, sign) in changes {
            if sign == 0.0 { out.leave.push(j) } else { out.enter.push((j, sign)) }
        }
        out
    }
}

/// Replaces `b` by the solution of K p = b. `None` where K is singular: then the follower may have several answers, and
/// nothing says which of them the leader gets.
fn solve(matrix: &Dense, b: &mut [f64]) -> Option<()> {
    let largest = (0..matrix.rows()).fold(0.0, |a: f64, j| a.max(matrix[(j, j)]));
    let size = norm_inf(b);
    let mut factors = Cholesky::new();
    factors.factor(matrix, 0.0).ok()?;
    factors.solve(b).ok()?;
    (norm_inf(b) * largest <= SINGULAR * size).then_some(())
}

impl Nlp for Reduced<'_> {
    fn frame(&self) -> &Frame {
        &self.frame
    }

    fn objective(&mut self, z: &[f64]) -> f64 {
        self.phi(&z[..self.follower.n])
    }

    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        let n = self.follower.n;
        out.fill(0.0);
        Smooth::gradient(self, &z[..n], &mut out[..n]);
    }

    fn constraints(&mut self, _: &[f64], _: &mut [f64]) {}

    fn jacobian(&mut self, _: &[f64], _: &mut Dense) {}

    fn hessian(&mut self, _: &[f64], _: f64, _: &[f64], _: &mut Dense) -> bool {
        false
    }
}

impl Smooth for Reduced<'_> {
    fn value(&mut self, x: &[f64]) -> f64 {
        self.phi(x)
    }

    fn gradient(&mut self, x: &[f64], out: &mut [f64]) {
        let answer = self.answer(x).map(<[f64]>::to_vec);
        match answer.and_then(|y| self.gradient_on(x, &y, &Change::default())) {
            Some(gradient) => out.copy_from_slice(&gradient),
            None => out.fill(f64::NAN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Matrix;
    use crate::problem::{Model, Problem};
    use crate::set::Bounds;
    use crate::solve::Analysis;

    /// A lasso with a weight for each of the first variables, an elastic part, and a smooth F.
    fn problem() -> Problem {
        let entry = |i: usize, j: usize| ((i * 7 + j * 13) % 11) as f64 / 5.0 - 1.0;
        let mut model = Model::new();
        let x = model.leader("x", 3).within(Bounds::new(-4.0, 1.0).unwrap()).unwrap();
        let y = model.follower("y", 5).free().unwrap();
        let a = Matrix::from(Dense::from_fn(8, 5, entry));
        let b = x.graph().constant_vector(&[1.0, -0.5, 0.3, 2.0, -1.0, 0.4, 0.9, -0.2]);
        let weights = x.slice(0..2).exp();
        let loss = (&a * &y - &b).norm2sq() / 4.0 + x.index(2).exp() / 2.0 * y.norm2sq();
        let penalty = weights.dot(&y.slice(0..2).abs()) + 0.3 * y.slice(2..5).norm2() * x.index(0).exp();
        let upper = (&y - 0.2).norm2sq() + x.index(1) * y.index(0) + 0.1 * x.norm2sq();
        model.upper(upper).lower(loss + penalty).build().unwrap()
    }

    #[test]
    fn gradient_by_differences() {
        let problem = problem();
        let analysis = Analysis::new(&problem);
        let (leader, follower) = (&analysis.levels.leader, &analysis.levels.follower);
        assert!(reducible(leader, follower));
        let frame = leader_frame(leader, follower).unwrap();
        let (failures, meter) = (Failures::default(), Meter::unlimited());
        let mut reduced = Reduced::new(leader, follower, &[0.0; 5], frame, &failures, &meter).unwrap();
        for x in [[-2.0, -1.0, -1.5], [-3.0, -2.5, -0.5], [-0.4, -2.0, -2.0]] {
            let mut gradient = vec![0.0; 3];
            Smooth::gradient(&mut reduced, &x, &mut gradient);
            for (j, own) in gradient.iter().enumerate() {
                let shifted = |t: f64| std::array::from_fn::<f64, 3, _>(|k| if k == j { x[k] + t } else { x[k] });
                let difference = (reduced.phi(&shifted(1e-5)) - reduced.phi(&shifted(-1e-5))) / 2e-5;
                assert!((own - difference).abs() < 1e-7, "{j}: {own}, {difference}");
            }
        }
    }

    #[test]
    fn a_kink_of_phi_is_stationary() {
        // y = max(1 - x, 0) and F = 2 y + x / 2.
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(0.0, 3.0).unwrap()).unwrap();
        let y = model.follower("y", 1).free().unwrap();
        let upper = 2.0 * y.sum() + 0.5 * x.sum();
        let problem = model.upper(upper).lower((&y - 1.0).norm2sq() / 2.0 + x.sum() * y.norm1()).build().unwrap();
        let analysis = Analysis::new(&problem);
        let (leader, follower) = (&analysis.levels.leader, &analysis.levels.follower);
        let set = &problem.leader().set;
        let residual = |x: f64| {
            let y = [(1.0 - x).max(0.0)];
            reduced_residual(set, leader, follower, (&[x], &y), &Failures::default()).unwrap()
        };
        // Slope -3/2 before the kink at 1, 1/2 behind it.
        assert!(residual(1.0) < 1e-12, "{}", residual(1.0));
        assert!((residual(0.5) - 0.5).abs() < 1e-9 && (residual(2.0) - 0.5 / 3.0).abs() < 1e-9);
        let found =
            reduced(set, leader, follower, (&[0.2], &[0.8]), &Failures::default(), &Meter::unlimited(), &|| false)
                .unwrap();
        assert!((found.x[0] - 1.0).abs() < 1e-6, "{found:?}");
    }
}
