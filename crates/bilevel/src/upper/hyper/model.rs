//! A model of phi from below, and its proximal point over X.
//!
//! ```text
//! phi(z) >= phi_i + s_i (z - z_i) - eta/2 ‖z - z_i‖²          for phi weakly convex with modulus eta
//! m(z)    = max_i { b_i + a_i (z - x) } + mu/2 ‖z - x‖²,   a_i = s_i + eta (z_i - x),
//!           b_i = phi_i - s_i (z_i - x) - eta/2 ‖z_i - x‖²
//! ```
//!
//! so that m(z) <= phi(z) + (eta + mu)/2 ‖z - x‖²: the cuts are convexified around the centre x (Hare & Sagastizábal,
//! *A redistributed proximal bundle method for nonconvex optimization*, SIAM J. Optim. 20 (2010)). Minimising m over X is
//! a small quadratic programme; any of its dual weights give a lower bound of min m, and with it of the Moreau envelope.
//! A sum of cuts by such weights is itself a cut (at x), so that a bundle can be cut down without losing the bound.

use bilevel_linalg::qp::{Ball, Qp, QpHessian, QpOptions, solve_qp};
use bilevel_linalg::{Csr, vector};

use super::columns::{Column, Columns};
use super::oracle::{Known, pairs_modulus};
use crate::set::{ConvexSet, Description, Set};

/// A lower bound of phi: `value + slope (z - point) - eta/2 ‖z - point‖²`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cut {
    /// Where phi was evaluated, or the centre for a sum of cuts.
    pub point: Vec<f64>,
    /// phi there (for a sum: the sum's value).
    pub value: f64,
    /// The subgradient.
    pub slope: Vec<f64>,
    /// Whether it is a sum of cuts, valid for the eta it was made with and larger ones.
    pub aggregate: bool,
}

/// X in the form that the model needs.
#[derive(Clone, Debug)]
enum Feasible {
    Everything,
    /// Half-spaces `normal . z <= offset`.
    Polyhedral(Vec<(Vec<f64>, f64)>),
    /// Balls, or sets with auxiliary variables.
    General(Description),
}

/// The minimiser of the model.
#[derive(Clone, Debug, PartialEq)]
pub struct ProximalPoint {
    /// The point of X.
    pub z: Vec<f64>,
    /// A lower bound of `min over X of phi + (eta + mu)/2 ‖. - x‖²`, if phi is weakly convex with modulus eta.
    pub bound: f64,
    /// The sum of the cuts' slopes by the dual weights.
    pub slope: Vec<f64>,
    /// The sum's value at the centre.
    pub value: f64,
    /// The cuts' weights.
    pub weights: Vec<f64>,
}

/// The set of feasible points, and the solver of proximal problems over it.
#[derive(Clone, Debug)]
pub struct ProximalModel<'a> {
    set: &'a Set,
    feasible: Feasible,
}

impl<'a> ProximalModel<'a> {
    /// Models over `set`.
    pub fn new(set: &'a Set) -> Self {
        let n = set.ambient_dimension();
        let mut description = Description::default();
        set.describe(0, &mut description);
        description.grow(n);
        let plain = description.balls.is_empty() && description.variables() == n;
        let feasible = if plain { polyhedral(&description) } else { Feasible::General(description) };
        Self { set, feasible }
    }

    /// The minimiser of the model around `centre`; `weights` are those of an earlier solve with the first of these cuts.
    /// `None` without cuts or where the quadratic programme fails.
    pub fn minimise(
        &self,
        centre: &[f64],
        cuts: &[Cut],
        (eta, mu): (f64, f64),
        weights: &[f64],
    ) -> Option<ProximalPoint> {
        let lines: Vec<(Vec<f64>, f64)> = cuts.iter().map(|cut| line(cut, centre, eta)).collect();
        let weights = match &self.feasible {
            Feasible::Everything => dual(&lines, &[], centre, mu, weights)?,
            Feasible::Polyhedral(halfspaces) => dual(&lines, halfspaces, centre, mu, weights)?,
            Feasible::General(description) => conic(&lines, description, centre, mu)?,
        };
        Some(self.point_of(&lines, centre, mu, weights))
    }

    /// The model's value for dual weights: the minimum over X of the weighted line plus mu/2 ‖z - x‖² is at the projection
    /// of x - slope/mu.
    fn point_of(&self, lines: &[(Vec<f64>, f64)], centre: &[f64], mu: f64, weights: Vec<f64>) -> ProximalPoint {
        let mut slope = vec![0.0; centre.len()];
        let mut value = 0.0;
        for ((a, b), &w) in lines.iter().zip(&weights) {
            if w != 0.0 {
                vector::axpy(w, a, &mut slope);
                value += w * b;
            }
        }
        let free: Vec<f64> = centre.iter().zip(&slope).map(|(x, s)| x - s / mu).collect();
        let mut z = free.clone();
        self.set.project(&free, &mut z);
        let step: Vec<f64> = z.iter().zip(centre).map(|(z, x)| z - x).collect();
        let bound = value + vector::dot(&slope, &step) + 0.5 * mu * vector::norm2_squared(&step);
        ProximalPoint { z, bound, slope, value, weights }
    }
}

/// A bound of the Moreau envelope's gradient.
#[derive(Clone, Debug, PartialEq)]
pub struct MoreauBound {
    /// The bound of `‖x - prox(x)‖ / gamma`.
    pub value: f64,
    /// gamma.
    pub gamma: f64,
    /// The model's minimiser: where the next evaluation sharpens the bound.
    pub point: ProximalPoint,
    /// The model's own estimate of the gradient's norm, no bound.
    pub estimate: f64,
}

impl ProximalModel<'_> {
    /// An upper bound of the norm of the gradient of the Moreau envelope of phi + delta_X at x, with gamma = 1/(2 rho), for
    /// phi weakly convex with modulus `rho` (raised to [`LEAST_MODULUS`](super::LEAST_MODULUS)); `noise` is what values
    /// may be wrong by. `None` without cuts.
    ///
    /// With psi = phi + ‖. - x‖²/(2 gamma), strongly convex with modulus rho over X, p = prox(x), u = psi(best) over the
    /// cuts' points and l the model's minimum: `u - psi(p) >= rho/2 ‖best - p‖²`, and, the model being strongly convex
    /// around its minimiser z, `psi(p) - l >= rho/2 ‖z - p‖²`. Their sum puts p into a ball around the middle of best and
    /// z; each alone into one around best or z.
    pub fn moreau(&self, x: &[f64], cuts: &[Cut], rho: f64, noise: f64) -> Option<MoreauBound> {
        let rho = rho.max(super::LEAST_MODULUS);
        let gamma = 0.5 / rho;
        let point = self.minimise(x, cuts, (rho, rho), &[])?;
        let psi = |cut: &Cut| cut.value + rho * vector::distance_squared(&cut.point, x);
        let inside = |cut: &&Cut| !cut.aggregate && self.set.violation(&cut.point) <= 1e-12;
        let best = cuts.iter().filter(inside).min_by(|a, b| psi(a).total_cmp(&psi(b)))?;
        // A cut above a value seen shows what the values are wrong by, or that rho is too small.
        let above = |a: &Cut| {
            let (slope, value) = line(a, x, rho);
            let at_best: f64 = slope.iter().zip(&best.point).zip(x).map(|((s, b), x)| s * (b - x)).sum();
            value + at_best + 0.5 * rho * vector::distance_squared(&best.point, x) - psi(best)
        };
        let wrong = cuts.iter().map(&above).fold(0.0, f64::max);
        let gap = (psi(best) - point.bound).max(0.0) + noise + 2.0 * wrong;
        let radius = (2.0 * gap / rho).sqrt();
        let middle: Vec<f64> = best.point.iter().zip(&point.z).map(|(b, z)| 0.5 * (b + z)).collect();
        let inner = (gap / rho - 0.25 * vector::distance_squared(&best.point, &point.z)).max(0.0).sqrt();
        let to = |p: &[f64]| vector::distance_squared(x, p).sqrt();
        let distance = (to(&best.point) + radius).min(to(&point.z) + radius).min(to(&middle) + inner);
        Some(MoreauBound { value: distance / gamma, gamma, estimate: to(&point.z) / gamma, point })
    }
}

/// The largest modulus of weak convexity that pairs of the cuts' points show; values have error `accuracy`.
pub fn modulus(cuts: &[Cut], accuracy: f64) -> f64 {
    let points = cuts.iter().filter(|cut| !cut.aggregate);
    let known: Vec<Known<'_>> = points.map(|c| (c.point.as_slice(), c.value, c.slope.as_slice())).collect();
    pairs_modulus(&known, 1.0, accuracy)
}

/// (a, b) of a cut around the centre.
fn line(cut: &Cut, centre: &[f64], eta: f64) -> (Vec<f64>, f64) {
    let mut a = cut.slope.clone();
    let (mut inner, mut square) = (0.0, 0.0);
    for ((a, p), x) in a.iter_mut().zip(&cut.point).zip(centre) {
        inner += *a * (p - x);
        square += (p - x) * (p - x);
        *a += eta * (p - x);
    }
    (a, cut.value - inner - 0.5 * eta * square)
}

fn polyhedral(description: &Description) -> Feasible {
    let n = description.variables();
    let mut halfspaces = Vec::new();
    let mut add = |normal: &[f64], lower: f64, upper: f64| {
        if upper.is_finite() {
            halfspaces.push((normal.to_vec(), upper));
        }
        if lower.is_finite() {
            halfspaces.push((normal.iter().map(|v| -v).collect(), -lower));
        }
    };
    for j in 0..n {
        let mut normal = vec![0.0; n];
        normal[j] = 1.0;
        add(&normal, description.lower[j], description.upper[j]);
    }
    let mut normals = vec![vec![0.0; n]; description.row_count()];
    for &(row, variable, a) in &description.rows {
        normals[row][variable] += a;
    }
    for (row, normal) in normals.iter().enumerate() {
        add(normal, description.row_lower[row], description.row_upper[row]);
    }
    if halfspaces.is_empty() { Feasible::Everything } else { Feasible::Polyhedral(halfspaces) }
}

/// The weights by the dual programme, half-spaces as rays.
fn dual(
    lines: &[(Vec<f64>, f64)],
    halfspaces: &[(Vec<f64>, f64)],
    centre: &[f64],
    mu: f64,
    weights: &[f64],
) -> Option<Vec<f64>> {
    let mut columns = Columns::new(centre.len());
    let highest = lines.iter().map(|(_, b)| *b).fold(f64::NEG_INFINITY, f64::max);
    for (a, b) in lines {
        columns.push(Column { vector: a.clone(), cost: highest - b, cut: true });
    }
    for (normal, offset) in halfspaces {
        let slack = offset - vector::dot(normal, centre);
        columns.push(Column { vector: normal.clone(), cost: slack.max(0.0), cut: false });
    }
    columns.start_from(weights);
    if !columns.solve(1.0 / mu) {
        return None;
    }
    Some(columns.weights()[..lines.len()].to_vec())
}

/// The weights by an interior-point solve over (z - x, auxiliary variables, level).
fn conic(lines: &[(Vec<f64>, f64)], description: &Description, centre: &[f64], mu: f64) -> Option<Vec<f64>> {
    let (n, size) = (centre.len(), description.variables());
    let level = size;
    let shift = |j: usize| centre.get(j).copied().unwrap_or(0.0);
    let bound = |values: &[f64], free: f64| -> Vec<f64> {
        values.iter().enumerate().map(|(j, v)| v - shift(j)).chain([free]).collect()
    };
    let (lower, upper) = (bound(&description.lower, f64::NEG_INFINITY), bound(&description.upper, f64::INFINITY));
    let mut triplets = Vec::new();
    let (mut row_lower, mut row_upper) = (Vec::new(), Vec::new());
    let highest = lines.iter().map(|(_, b)| *b).fold(f64::NEG_INFINITY, f64::max);
    for (i, (a, b)) in lines.iter().enumerate() {
        triplets.push((i, level, 1.0));
        triplets.extend(a.iter().enumerate().map(|(j, v)| (i, j, -v)));
        row_lower.push(b - highest);
        row_upper.push(f64::INFINITY);
    }
    let mut moved = vec![0.0; description.row_count()];
    for &(row, variable, a) in &description.rows {
        triplets.push((lines.len() + row, variable, a));
        moved[row] += a * shift(variable);
    }
    row_lower.extend(description.row_lower.iter().zip(&moved).map(|(b, m)| b - m));
    row_upper.extend(description.row_upper.iter().zip(&moved).map(|(b, m)| b - m));
    let rows = Csr::from_triplets(row_lower.len(), size + 1, &triplets)?;
    let balls: Vec<Ball> = description
        .balls
        .iter()
        .map(|ball| Ball {
            start: ball.start,
            centre: ball.centre.iter().enumerate().map(|(k, c)| c - shift(ball.start + k)).collect(),
            radius: ball.radius,
        })
        .collect();
    let diagonal: Vec<(usize, usize, f64)> = (0..n).map(|j| (j, j, mu)).collect();
    let hessian = Csr::from_triplets(size + 1, size + 1, &diagonal)?;
    let mut linear = vec![0.0; size + 1];
    linear[level] = 1.0;
    let qp = Qp {
        hessian: QpHessian::Sparse(&hessian),
        linear: &linear,
        lower: &lower,
        upper: &upper,
        rows: &rows,
        row_lower: &row_lower,
        row_upper: &row_upper,
        balls: &balls,
    };
    let solution = solve_qp(&qp, &QpOptions::default()).ok().filter(|s| s.status.is_answer())?;
    let mut weights: Vec<f64> = solution.row_multipliers.iter().take(lines.len()).map(|w| w.max(0.0)).collect();
    let sum: f64 = weights.iter().sum();
    weights.iter_mut().for_each(|w| *w /= sum);
    (sum > 0.5).then_some(weights)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn random(rng: &mut ChaCha8Rng, n: usize, scale: f64) -> Vec<f64> {
        (0..n).map(|_| rng.random_range(-scale..scale)).collect()
    }

    /// Over every kind of set: the point is feasible, the bound is the model's value at the point (strong duality), and no
    /// random feasible point is better.
    #[test]
    fn duality_over_sets() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let sets: Vec<Set> = vec![
            set::Whole::new(3).into(),
            set::Bounds::uniform(3, -0.5, 0.7).unwrap().into(),
            set::Simplex::new(3, 1.0).unwrap().into(),
            set::Ball::new(vec![0.2, 0.1, 0.0], 0.6).unwrap().into(),
            set::L1Ball::new(vec![0.0; 3], 0.8).unwrap().into(),
        ];
        for set in &sets {
            for _ in 0..20 {
                let mut centre = vec![0.0; 3];
                set.project(&random(&mut rng, 3, 1.0), &mut centre);
                let cuts: Vec<Cut> = (0..5)
                    .map(|_| Cut {
                        point: random(&mut rng, 3, 1.0),
                        value: rng.random_range(-1.0..1.0),
                        slope: random(&mut rng, 3, 2.0),
                        aggregate: false,
                    })
                    .collect();
                let (eta, mu) = (0.8, 1.3);
                let model = |z: &[f64]| {
                    let d: Vec<f64> = z.iter().zip(&centre).map(|(a, b)| a - b).collect();
                    let lines = cuts.iter().map(|c| line(c, &centre, eta));
                    lines.map(|(a, b)| b + vector::dot(&a, &d)).fold(f64::NEG_INFINITY, f64::max)
                        + 0.5 * mu * vector::norm2_squared(&d)
                };
                let point = ProximalModel::new(set).minimise(&centre, &cuts, (eta, mu), &[]).unwrap();
                assert!(set.violation(&point.z) < 1e-9, "{set:?}");
                assert!((point.bound - model(&point.z)).abs() < 1e-7, "{set:?}: {} {}", point.bound, model(&point.z));
                for _ in 0..50 {
                    let mut z = vec![0.0; 3];
                    set.project(&random(&mut rng, 3, 2.0), &mut z);
                    assert!(model(&z) >= point.bound - 1e-9, "{set:?}");
                }
            }
        }
    }

    /// The convexified cuts stay below phi + (eta + mu)/2 ‖z - x‖², and so does their sum made into a cut.
    #[test]
    fn the_sum_of_cuts_is_a_cut() {
        let phi = |z: &[f64]| {
            (
                z[0].abs() - 0.5 * z[0] * z[0] + (2.0 * z[1]).cos() / 4.0,
                vec![z[0].signum() - z[0], -(2.0 * z[1]).sin() / 2.0],
            )
        };
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let whole: Set = set::Whole::new(2).into();
        let (eta, mu) = (1.0, 2.0);
        for _ in 0..50 {
            let centre = random(&mut rng, 2, 1.0);
            let mut cuts: Vec<Cut> = (0..4)
                .map(|_| {
                    let point = random(&mut rng, 2, 1.0);
                    let (value, slope) = phi(&point);
                    Cut { point, value, slope, aggregate: false }
                })
                .collect();
            let model = ProximalModel::new(&whole);
            let first = model.minimise(&centre, &cuts, (eta, mu), &[]).unwrap();
            let sum = Cut { point: centre.clone(), value: first.value, slope: first.slope.clone(), aggregate: true };
            let again = model.minimise(&centre, std::slice::from_ref(&sum), (eta, mu), &[]).unwrap();
            assert!((again.bound - first.bound).abs() < 1e-10);
            cuts.push(sum);
            for _ in 0..50 {
                let z = random(&mut rng, 2, 1.5);
                for cut in &cuts {
                    let d: Vec<f64> = z.iter().zip(&cut.point).map(|(a, b)| a - b).collect();
                    let below = cut.value + vector::dot(&cut.slope, &d) - 0.5 * eta * vector::norm2_squared(&d);
                    assert!(phi(&z).0 >= below - 1e-12);
                }
            }
        }
    }
}
