//! v_ent(x) = −mu ln ∫_Y exp(−f_mu(x, y) / mu) dy and its gradient ∫_Y α_mu ∇ₓf_mu dy, α_mu the normalised weight
//! [Alcantara & Takeda 2025, (4.1)–(4.3)]; no convexity needed.
//!
//! ```text
//! domain.rs      Y in nested coordinates of its affine hull; Y_mu where it is unbounded
//! integrand.rs   f at a fixed x, second-order models at minimisers, sums over nodes
//! cubature.rs    adaptive Gauss–Legendre, up to three coordinates        (gauss.rs: the rules)
//! sampling.rs    importance sampling from a mixture, for more            (laplace.rs, normal.rs, lattice.rs)
//! ```
//!
//! The local minimisers come first, from a pool; the integration is seeded at them. Whatever is returned comes with
//! estimated errors, and a value whose errors are too large is not returned at all: a fixed grid that no longer resolves
//! the peak gives numbers that look plausible and are wrong.
//!
//! **Unbounded Y** is cut to Y_mu, |y_j − c_j| <= radius in the components without bounds, with the centre c fixed in x
//! and radius = max(R, (mu^{−1/2} / 2^k)^{1/k}), k the number of such components and R at least twice the distance of the
//! farthest minimiser found. R does not grow as mu falls, so that mu ln vol(Y_mu) → 0 (Assumption 4.16). Assumptions
//! 4.19 and 4.21 are tested by the mass of α_mu and of α_mu ‖∇ₓf_mu‖ in the outer part of Y_mu: it must vanish with mu, so
//! more than √mu of it is refused.

mod cubature;
mod domain;
mod gauss;
mod integrand;
mod laplace;
mod lattice;
mod normal;
mod sampling;
#[cfg(test)]
mod tests;

pub use domain::Region;

use super::{ValueModel, ValuePoint};
use crate::lower::{Follower, LowerSolution, LowerSolver, LowerStatus, Pool};
use crate::problem::{Failures, FunctionEvaluator};
use crate::set::{ConvexSet, Polyhedron, Set};
use crate::smooth::{Family, Smoothing};
use domain::{Chart, Domain, bounding_box};
use integrand::{Estimate, Integrand, Local, Neighbourhood};
use lattice::Lattice;

/// Accuracy asked of the integrals.
#[derive(Clone, Copy, Debug)]
pub struct EntropicSettings {
    /// Cubature stops at this error of ln ∫ and of the gradient (relative to 1 + its size).
    pub goal: f64,
    /// Evaluations of f per value at most, for cubature.
    pub most_nodes: usize,
    /// Values whose ln ∫ has a larger estimated error are refused.
    pub value_tolerance: f64,
    /// Gradients with a larger estimated error, relative to 1 + their size, are refused.
    pub gradient_tolerance: f64,
    /// Fewer effective nodes than this share of one set of sampling points are refused.
    pub least_effective: f64,
}

impl Default for EntropicSettings {
    fn default() -> Self {
        Self { goal: 1e-7, most_nodes: 150_000, value_tolerance: 0.05, gradient_tolerance: 1e-2, least_effective: 0.05 }
    }
}

/// What is known of the last value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EntropicReport {
    /// Estimated error of v_ent.
    pub value_error: f64,
    /// Estimated error of its gradient, in the largest component.
    pub gradient_error: f64,
    /// Effective number of nodes, (Σ w)² / Σ w².
    pub effective: f64,
    /// Evaluations of f.
    pub nodes: usize,
    /// Mass of α_mu where f exceeds its least value by more than 0.1 (1 + |v|), or next to the cut (Lemma 4.20).
    pub outside_mass: f64,
    /// Mass of α_mu ‖∇ₓf_mu‖ there (Assumption 4.21).
    pub outside_gradient: f64,
    /// The same two next to where an unbounded Y was cut.
    pub cut: (f64, f64),
    /// mu ln vol(Y_mu), which must go to 0 (Assumption 4.16); an upper bound for polyhedra.
    pub volume_term: f64,
}

/// Height of the neighbourhood of the minimisers whose mass is reported, relative to 1 + |v|.
const HEIGHT: f64 = 0.1;
/// More variables than this are not integrated over.
const MOST: usize = 40;
/// Y_mu grows like mu^{−GROWTH}.
const GROWTH: f64 = 0.5;
/// The part of Y_mu, per component, whose outside must have no mass.
const INNER: f64 = 0.75;
/// Minimisers whose f / mu exceeds the least by this are left out.
const IRRELEVANT: f64 = 60.0;
/// R covers this many widths of the widest peak, up to 100 (1 + the minimisers' distance).
const WIDTHS: f64 = 8.0;

/// The entropic value function.
pub struct EntropicValue<'a> {
    solver: LowerSolver<'a>,
    pool: Pool,
    family: &'a dyn Family,
    f: FunctionEvaluator<'a>,
    settings: EntropicSettings,
    set: Set,
    mu: f64,
    /// The centre and R, where Y is unbounded.
    region: Option<Region>,
    /// Whether the centre was set: at the first stage, then never again.
    centred: bool,
    prepared: Option<Prepared>,
    report: EntropicReport,
}

/// What is fixed while mu and R are.
struct Prepared {
    domain: Domain,
    chart: Chart,
    lattice: Option<Lattice>,
    /// The interval of each component away from the cut.
    inner: Vec<(f64, f64)>,
}

impl<'a> EntropicValue<'a> {
    /// The model for the solver's follower, with the local minimisers from `pool`.
    ///
    /// # Errors
    /// In words, why the follower's set cannot be integrated over.
    pub fn new(
        solver: LowerSolver<'a>,
        family: &'a dyn Family,
        pool: Pool,
        settings: EntropicSettings,
        failures: &Failures,
    ) -> Result<Self, String> {
        let follower = solver.follower();
        let (set, region) = Self::domain(follower)?;
        let f = FunctionEvaluator::new(&follower.objective, follower.n, follower.m, failures);
        let (mu, prepared, report) = (1.0, None, EntropicReport::default());
        Ok(Self { solver, pool, family, f, settings, set, mu, region, centred: false, prepared, report })
    }

    /// Why the model does not apply to a follower, if it does not.
    pub fn refusal(follower: &Follower) -> Option<String> {
        Self::domain(follower).err()
    }

    /// The dimension of a follower's set, if the model applies and the set is bounded.
    pub fn bounded_dimension(follower: &Follower) -> Option<usize> {
        let (set, region) = Self::domain(follower).ok()?;
        if region.is_some() { None } else { set.affine_dimension() }
    }

    /// The set, and the first region where it is unbounded.
    fn domain(follower: &Follower) -> Result<(Set, Option<Region>), String> {
        let set = Self::set(follower)?;
        let region = is_unbounded(&set).then(|| Region { centre: vec![0.0; follower.m], radius: 1.0 });
        // Said now rather than at the first value: a set that cannot be cut.
        let domain = Domain::new(&set, region.as_ref())?;
        domain.chart()?;
        if domain.dimension > MOST {
            return Err(format!("the follower has {} free variables, integrals take up to {MOST}", domain.dimension));
        }
        Ok((set, region))
    }

    /// The fixed set of a follower: its set, or affine constraints on y alone.
    ///
    /// # Errors
    /// In words, why there is none.
    pub fn set(follower: &Follower) -> Result<Set, String> {
        if let Some(set) = &follower.set_alone {
            return Ok(set.clone());
        }
        let system = &follower.system;
        if follower.size() > follower.m || !system.functions.is_empty() {
            return Err(
                "the follower's constraints are not a fixed set of boxes, balls, simplices and affine rows".into()
            );
        }
        if (0..system.rows.rows()).any(|i| system.rows.row(i).any(|(j, a)| j < follower.n && a != 0.0)) {
            return Err("the follower's constraints depend on x".to_string());
        }
        let rows = system.rows.columns(follower.n..follower.n + follower.m);
        let bounds = (&system.row_lower, &system.row_upper);
        Polyhedron::new(&rows, bounds.0, bounds.1, &follower.lower, &follower.upper)
            .map(Set::from)
            .map_err(|error| error.to_string())
    }

    /// What is known of the last value.
    pub fn report(&self) -> &EntropicReport {
        &self.report
    }

    /// The neighbourhood, domain and chart for the minimisers found; R grows if one of them is far out.
    fn prepare(&mut self, minima: &[Local]) -> Result<(), LowerStatus> {
        if let Some(region) = &mut self.region {
            let needed = radius(region, self.mu, minima);
            if needed > region.radius {
                region.radius = needed;
                self.prepared = None;
            }
        }
        if self.prepared.is_some() {
            return Ok(());
        }
        let mut cut = self.region.clone();
        if let Some(region) = &mut cut {
            let free = unbounded_components(&self.set).max(1) as f64;
            region.radius = region.radius.max(0.5 * self.mu.powf(-GROWTH / free));
        }
        let domain = Domain::new(&self.set, cut.as_ref()).map_err(|_| LowerStatus::Numerical)?;
        let chart = domain.chart().map_err(|_| LowerStatus::Numerical)?;
        let lattice = (chart.len() > cubature::MOST).then(|| Lattice::new(chart.len()));
        let inner = self.region.as_ref().map_or(Vec::new(), |region| inner(&self.set, region));
        self.prepared = Some(Prepared { domain, chart, lattice, inner });
        Ok(())
    }

    fn estimate(
        &mut self,
        x: &[f64],
        smoothing: Smoothing<'a>,
        found: &[LowerSolution],
    ) -> Result<Estimate, LowerStatus> {
        let m = self.solver.follower().m;
        let best = found.first().ok_or(LowerStatus::Numerical)?.value;
        let level = best + HEIGHT * (1.0 + best.abs());
        let neighbourhood = Neighbourhood { level, inner: Vec::new() };
        let mut integrand = Integrand { f: &mut self.f, x, smoothing, mu: self.mu, neighbourhood };
        // Minimisers so far above the least carry no mass.
        let counts = |solution: &&LowerSolution| solution.value <= best + IRRELEVANT * self.mu;
        let minima: Vec<Local> =
            found.iter().filter(counts).map(|solution| integrand.local(&solution.y[..m])).collect();
        self.prepare(&minima)?;
        let prepared = self.prepared.as_ref().ok_or(LowerStatus::Numerical)?;
        let neighbourhood = Neighbourhood { level, inner: prepared.inner.clone() };
        let mut integrand = Integrand { f: &mut self.f, x, smoothing, mu: self.mu, neighbourhood };
        let Prepared { domain, chart, lattice, .. } = prepared;
        match lattice {
            Some(lattice) => sampling::integrate(domain, chart, lattice, &mut integrand, &minima),
            None => {
                let goal = cubature::Goal { tolerance: self.settings.goal, most_nodes: self.settings.most_nodes };
                cubature::integrate(domain, chart, &mut integrand, &minima, goal)
            }
        }
    }

    /// Whether an estimate is good enough to be returned.
    fn acceptable(&self, estimate: &Estimate) -> bool {
        let size = 1.0 + estimate.gradient.iter().fold(0.0, |a: f64, g| a.max(g.abs()));
        let points = self.prepared.as_ref().and_then(|p| p.lattice.as_ref()).map_or(0, Lattice::len);
        let cut = estimate.cut_mass.max(estimate.cut_gradient / size);
        estimate.log_error <= self.settings.value_tolerance
            && estimate.gradient_error <= self.settings.gradient_tolerance * size
            && estimate.effective >= self.settings.least_effective * points as f64
            && cut <= self.mu.sqrt()
    }
}

impl ValueModel for EntropicValue<'_> {
    fn name(&self) -> &'static str {
        "entropic"
    }

    fn begin_stage(&mut self, mu: f64, y: &[f64]) {
        if let (Some(region), false) = (&mut self.region, self.centred) {
            let m = region.centre.len();
            region.centre.copy_from_slice(&y[..m]);
        }
        self.centred = true;
        self.mu = mu;
        self.prepared = None;
    }

    fn resume_region(&mut self, region: &Region) {
        self.region = self.region.is_some().then(|| region.clone());
        self.prepared = None;
    }

    fn region(&self) -> Option<Region> {
        self.region.clone()
    }

    fn suggest(&mut self, y: &[f64]) {
        self.pool.suggest(y);
    }

    fn evaluate(&mut self, x: &[f64]) -> Result<ValuePoint, LowerStatus> {
        let smoothing = Smoothing::new(self.family, self.mu);
        let found = self.pool.minimise(&mut self.solver, x, smoothing)?;
        let estimate = self.estimate(x, smoothing, &found)?;
        let volume = self.prepared.as_ref().map_or(0.0, |prepared| prepared.domain.log_volume);
        self.report = EntropicReport {
            value_error: self.mu * estimate.log_error,
            gradient_error: estimate.gradient_error,
            effective: estimate.effective,
            nodes: estimate.nodes,
            outside_mass: estimate.outside_mass,
            outside_gradient: estimate.outside_gradient,
            cut: (estimate.cut_mass, estimate.cut_gradient),
            volume_term: self.mu * volume,
        };
        if !self.acceptable(&estimate) {
            return Err(LowerStatus::Unreliable);
        }
        let best = found.first().ok_or(LowerStatus::Numerical)?;
        Ok(ValuePoint {
            value: -self.mu * estimate.log_integral,
            gradient: estimate.gradient,
            y: best.y[..self.solver.follower().m].to_vec(),
            value_error: self.report.value_error,
            gradient_error: self.report.gradient_error,
            ..ValuePoint::default()
        })
    }
}

fn is_unbounded(set: &Set) -> bool {
    let (lower, upper) = bounding_box(set);
    lower.iter().chain(&upper).any(|bound| !bound.is_finite())
}

/// Components with an infinite bound.
fn unbounded_components(set: &Set) -> usize {
    let (lower, upper) = bounding_box(set);
    lower.iter().zip(&upper).filter(|(l, u)| !(l.is_finite() && u.is_finite())).count()
}

/// Per component, the inner part of the region on the sides on which the set is unbounded.
fn inner(set: &Set, region: &Region) -> Vec<(f64, f64)> {
    let (lower, upper) = bounding_box(set);
    let reach = INNER * region.radius;
    let interval = |((low, high), centre): ((&f64, &f64), &f64)| {
        let centre = centre.clamp(*low, *high);
        let low = if low.is_finite() { f64::NEG_INFINITY } else { centre - reach };
        let high = if high.is_finite() { f64::INFINITY } else { centre + reach };
        (low, high)
    };
    lower.iter().zip(&upper).zip(&region.centre).map(interval).collect()
}

/// R for these minimisers: twice the distance of the farthest, and a few widths of its peak beyond it.
fn radius(region: &Region, mu: f64, minima: &[Local]) -> f64 {
    let needed = |local: &Local| {
        let away = local.y.iter().zip(&region.centre).fold(0.0, |a: f64, (y, c)| a.max((y - c).abs()));
        let curvature = (0..local.y.len()).map(|j| local.hessian[(j, j)]).fold(f64::INFINITY, f64::min);
        let width = WIDTHS * (mu / curvature.max(f64::MIN_POSITIVE)).sqrt();
        (2.0 * away).max(away + width.min(100.0 * (1.0 + away)))
    };
    minima.iter().map(needed).fold(0.0, f64::max)
}
