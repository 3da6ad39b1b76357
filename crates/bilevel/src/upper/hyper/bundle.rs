//! A proximal bundle method for phi weakly convex on X.
//!
//! Null steps gather cuts until the model's proximal point decreases phi by a share of what the model promised; then the
//! centre moves. eta, the modulus by which cuts are convexified, is not known: it is twice the largest that pairs of the
//! bundle's points show, and is raised as soon as a cut lies above phi at the centre. mu follows Kiwiel (*Proximity control
//! in bundle methods*, Math. Program. 46 (1990)), from eta/20 on once eta is known. Sources for the convexified
//! cuts: Hare & Sagastizábal 2010 (see `model`).
//!
//! The stop is the certificate's own: an upper bound of the Moreau envelope's gradient at the centre with
//! gamma = 1/(2 rho), rho four times the modulus shown.

use bilevel_linalg::vector;

use super::model::{Cut, MoreauBound, ProximalModel, ProximalPoint, modulus};
use super::oracle::{Ending, Oracle, Sample};
use crate::set::{ConvexSet, Set};

/// Settings of [`bundle`].
#[derive(Clone, Debug, PartialEq)]
pub struct BundleSettings {
    /// Ends when the bound of the Moreau envelope's gradient is at most this.
    pub tolerance: f64,
    /// The modulus of weak convexity, if it is known.
    pub modulus: Option<f64>,
}

/// Share of the promised decrease that makes a serious step.
const SERIOUS: f64 = 0.1;
/// Share above which mu may fall.
const GOOD: f64 = 0.5;
/// rho of the stopping test, in moduli shown.
const SAFETY: f64 = super::MODULUS_SAFETY;
/// The endgame begins where the model's slope is at most this many tolerances.
const NEAR: f64 = 20.0;
/// Points without a value or subgradient in a row that end the run, and null steps in a row that do.
const BLIND: usize = 40;
const NULLS: usize = 150;

/// Minimises phi over X from `start`; the best point is the oracle's. Points that the oracle has seen already become cuts.
pub fn bundle(oracle: &mut Oracle<'_>, set: &Set, start: &[f64], settings: &BundleSettings) -> Ending {
    let mut x = start.to_vec();
    set.project(start, &mut x);
    let known = oracle.seen().find(|s| s.x == x && s.subgradient.is_some()).cloned();
    let begun = known.and_then(|s| s.subgradient.clone().map(|slope| (s, slope)));
    let mut state = match begun.map_or_else(|| oracle.start(&x), Ok) {
        Ok((sample, slope)) => State::new(set, sample, slope, settings),
        Err(ending) => return ending,
    };
    state.take_cuts(oracle);
    loop {
        match state.step(oracle) {
            Ok(None) => {}
            Ok(Some(ending)) | Err(ending) => return ending,
        }
    }
}

struct State<'a> {
    model: ProximalModel<'a>,
    settings: &'a BundleSettings,
    centre: Sample,
    cuts: Vec<Cut>,
    weights: Vec<f64>,
    eta: f64,
    mu: f64,
    nulls: usize,
    blind: usize,
    /// Serious steps in a row with the same mu.
    steady: usize,
}

impl<'a> State<'a> {
    fn new(set: &'a Set, centre: Sample, slope: Vec<f64>, settings: &'a BundleSettings) -> Self {
        let size = vector::norm2(&slope).max(f64::MIN_POSITIVE);
        let mu = 2.0 * size / (1.0 + vector::norm2(&centre.x));
        let cut = Cut { point: centre.x.clone(), value: centre.value, slope, aggregate: false };
        Self {
            model: ProximalModel::new(set),
            settings,
            centre,
            cuts: vec![cut],
            weights: Vec::new(),
            eta: settings.modulus.unwrap_or(0.0),
            mu,
            nulls: 0,
            blind: 0,
            steady: 0,
        }
    }

    /// Cuts from points that an earlier method of the same run saw last, and with them the modulus.
    fn take_cuts(&mut self, oracle: &Oracle<'_>) {
        let others = oracle.seen().rev().filter(|s| s.x != self.centre.x);
        for sample in others.filter(|s| s.subgradient.is_some()).take(self.centre.x.len() + 4) {
            let slope = sample.subgradient.clone().unwrap_or_default();
            self.cuts.push(Cut { point: sample.x.clone(), value: sample.value, slope, aggregate: false });
        }
        self.learn_modulus(oracle.accuracy());
    }

    /// One evaluation; `Some` when the run ends.
    fn step(&mut self, oracle: &mut Oracle<'_>) -> Result<Option<Ending>, Ending> {
        let noise = oracle.noise(self.centre.value);
        let Some(point) = self.model.minimise(&self.centre.x, &self.cuts, (self.eta, self.mu), &self.weights) else {
            return Ok(Some(Ending::Stalled));
        };
        let point = match self.endgame(&point, noise) {
            Some(bound) if bound.value <= self.settings.tolerance => return Ok(Some(Ending::Stationary)),
            Some(bound) => bound.point,
            None => point,
        };
        self.weights.clone_from(&point.weights);
        let promised = self.centre.value - point.bound;
        if promised <= noise || self.nulls > NULLS || self.blind > BLIND {
            return Ok(Some(Ending::Stalled));
        }
        let trial = oracle.evaluate(&point.z)?;
        let Some(slope) = trial.subgradient.clone() else {
            self.blind += 1;
            self.mu *= 4.0;
            return Ok(None);
        };
        self.blind = 0;
        self.make_room(&point);
        self.cuts.push(Cut { point: trial.x.clone(), value: trial.value, slope, aggregate: false });
        if trial.value <= self.centre.value - SERIOUS * promised {
            self.serious(trial, &point, promised);
        } else {
            self.null(&trial, &point);
        }
        self.learn_modulus(oracle.accuracy());
        Ok(None)
    }

    /// Where the model's slope is short, the certificate's own proximal problem takes over: its bound ends the run, or its
    /// minimiser is the next point, with eta = mu = rho.
    fn endgame(&mut self, point: &ProximalPoint, noise: f64) -> Option<MoreauBound> {
        let step: f64 = point.z.iter().zip(&self.centre.x).map(|(z, x)| (z - x) * (z - x)).sum();
        if self.mu * step.sqrt() > NEAR * self.settings.tolerance {
            return None;
        }
        let rho = self.settings.modulus.unwrap_or(0.5 * SAFETY * self.eta).max(super::LEAST_MODULUS);
        self.mu = rho;
        self.model.moreau(&self.centre.x, &self.cuts, rho, noise)
    }

    fn serious(&mut self, trial: Sample, point: &ProximalPoint, promised: f64) {
        let interpolated = self.interpolated(&trial, point);
        let good = trial.value <= self.centre.value - GOOD * promised;
        self.steady = if self.nulls > 0 { 0 } else { self.steady + 1 };
        self.centre = trial;
        self.nulls = 0;
        // Sums of cuts are bounds around the old centre still: they stay.
        if good && self.steady > 0 {
            self.mu = interpolated.clamp(0.1 * self.mu, 0.5 * self.mu);
        } else if self.steady > 1 {
            self.mu *= 0.5;
        }
        self.bound_mu();
    }

    fn null(&mut self, trial: &Sample, point: &ProximalPoint) {
        self.nulls += 1;
        self.steady = 0;
        let rise = trial.value - self.centre.value;
        let promised = self.centre.value - point.bound;
        if rise > 0.5 * promised {
            self.mu = self.interpolated(trial, point).clamp(self.mu, 4.0 * self.mu);
        }
        self.bound_mu();
    }

    /// The mu at which a quadratic through the two values has its minimum at the trial point's place (Kiwiel's u_int).
    fn interpolated(&self, trial: &Sample, point: &ProximalPoint) -> f64 {
        let step: f64 = point.z.iter().zip(&self.centre.x).map(|(z, x)| (z - x) * (z - x)).sum();
        let promised = self.centre.value - (point.bound - 0.5 * self.mu * step);
        2.0 * self.mu * (1.0 + (trial.value - self.centre.value) / promised)
    }

    fn bound_mu(&mut self) {
        if self.eta > 0.0 {
            self.mu = self.mu.max(self.eta / 20.0);
        }
    }

    /// Twice the modulus that the bundle's points show. Where it changes, sums of cuts made with another one go.
    fn learn_modulus(&mut self, accuracy: f64) {
        if self.settings.modulus.is_some() {
            return;
        }
        let shown = 2.0 * modulus(&self.cuts, accuracy);
        let falls = self.nulls == 0 && shown < 0.125 * self.eta;
        if shown > self.eta || falls {
            self.eta = shown.max(0.5 * self.eta);
            let keep: Vec<bool> = self.cuts.iter().map(|cut| !cut.aggregate).collect();
            self.retain(&keep);
            self.bound_mu();
        }
    }

    /// Keeps at most n + 10 cuts: those with weights, and the latest of the others; a sum of all takes the place of what
    /// has to go although it has weight.
    fn make_room(&mut self, point: &ProximalPoint) {
        let limit = self.centre.x.len() + 10;
        self.weights.resize(self.cuts.len(), 0.0);
        if self.cuts.len() < limit {
            return;
        }
        let idle = |j: &usize| self.weights[*j] <= 1e-12 && self.cuts[*j].point != self.centre.x;
        let mut keep = vec![true; self.cuts.len()];
        match (0..self.cuts.len()).find(idle) {
            Some(oldest) => keep[oldest] = false,
            None => {
                let others = (0..self.cuts.len()).filter(|&j| self.cuts[j].point != self.centre.x);
                let least = others.min_by(|&a, &b| self.weights[a].total_cmp(&self.weights[b]));
                (0..keep.len()).for_each(|j| keep[j] = Some(j) != least && !self.cuts[j].aggregate);
            }
        }
        let lost = keep.iter().zip(&self.weights).any(|(keep, w)| !keep && *w > 1e-12);
        self.retain(&keep);
        if lost {
            let (value, slope) = (point.value, point.slope.clone());
            let point = self.centre.x.clone();
            self.cuts.push(Cut { point, value, slope, aggregate: true });
            self.weights.push(0.0);
        }
    }

    fn retain(&mut self, keep: &[bool]) {
        let kept = |j: usize| keep.get(j).copied().unwrap_or(true);
        let mut j = 0;
        self.cuts.retain(|_| {
            j += 1;
            kept(j - 1)
        });
        j = 0;
        self.weights.retain(|_| {
            j += 1;
            kept(j - 1)
        });
    }
}
