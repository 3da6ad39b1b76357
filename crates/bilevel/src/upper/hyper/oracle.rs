//! phi evaluated for one run: with a limit on the number of evaluations, warm-started from the last answer of the
//! follower, and with the points seen kept for bundles and certificates.

use crate::hyper::{HyperFailure, HyperObjective};
use crate::observe::Observer;

/// Points kept, at most.
const KEPT: usize = 256;

/// phi at one x.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The leader's variables.
    pub x: Vec<f64>,
    /// phi(x); infinite where x has no value.
    pub value: f64,
    /// A Clarke subgradient, where there is one.
    pub subgradient: Option<Vec<f64>>,
    /// The follower's answer that attains the value.
    pub y: Vec<f64>,
}

/// Why a method stopped.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// Its own test of stationarity holds.
    Stationary,
    /// No step decreases phi by more than its noise.
    Stalled,
    /// Steps meet kinks, where another method does better.
    Kink,
    /// The evaluations were used up.
    Budget,
    /// The observer ended the run.
    Interrupted,
    /// phi decreases without bound.
    Unbounded,
    /// phi has no value where the method began.
    Failed(HyperFailure),
    /// The method needs subgradients, and phi has none at a point where it was asked.
    NoSubgradient,
}

/// phi, counted.
pub struct Oracle<'a> {
    phi: &'a dyn HyperObjective,
    observer: &'a dyn Observer,
    accuracy: f64,
    limit: usize,
    used: usize,
    warm: Vec<f64>,
    seen: std::collections::VecDeque<Sample>,
    best: Option<Sample>,
    failure: Option<HyperFailure>,
    cold: bool,
}

impl<'a> Oracle<'a> {
    /// phi to `accuracy`, at most `limit` times.
    pub fn new(phi: &'a dyn HyperObjective, accuracy: f64, limit: usize, observer: &'a dyn Observer) -> Self {
        let (seen, warm) = (std::collections::VecDeque::new(), Vec::new());
        Self { phi, observer, accuracy, limit, used: 0, warm, seen, best: None, failure: None, cold: false }
    }

    /// The same, with no evaluation started from the answer at another x.
    pub fn cold(mut self) -> Self {
        self.cold = true;
        self
    }

    /// Asks for values to another accuracy from now on.
    pub fn ask(&mut self, accuracy: f64) {
        self.accuracy = accuracy;
    }

    /// Makes this the run's answer, whatever was better: a method's output may be another point than its best.
    pub fn settle(&mut self, answer: Sample) {
        self.best = Some(answer);
    }

    /// Starts the next evaluation from this answer of the follower.
    pub fn warm_from(&mut self, y: &[f64]) {
        self.warm = y.to_vec();
    }

    /// phi at x. Where x has no value (no answer of the follower, F unbounded on S(x), NaN), the value is infinity: such
    /// an x is never better than another, and [`failure`](Self::failure) keeps the first reason.
    ///
    /// # Errors
    /// The limit is reached, the observer ends the run, or phi is minus infinity.
    pub fn evaluate(&mut self, x: &[f64]) -> Result<Sample, Ending> {
        if self.used >= self.limit {
            return Err(Ending::Budget);
        }
        if self.observer.interrupted() {
            return Err(Ending::Interrupted);
        }
        self.used += 1;
        let warm = Some(self.warm.as_slice()).filter(|y| !y.is_empty() && !self.cold);
        let result = self.phi.evaluate(x, self.accuracy, warm);
        self.record(x, result)
    }

    /// Takes an evaluation made elsewhere (in a batch) into the count and the points seen.
    ///
    /// # Errors
    /// phi is minus infinity.
    pub fn record(
        &mut self,
        x: &[f64],
        result: Result<crate::hyper::HyperPoint, HyperFailure>,
    ) -> Result<Sample, Ending> {
        let point = match result {
            Ok(point) if point.value == f64::NEG_INFINITY => return Err(Ending::Unbounded),
            Ok(point) if point.value.is_finite() => point,
            Ok(_) => return Ok(self.without_value(x, HyperFailure::Numerical("phi is not finite".to_string()))),
            Err(failure) => return Ok(self.without_value(x, failure)),
        };
        let finite = |s: &Vec<f64>| s.len() == x.len() && s.iter().all(|v| v.is_finite());
        if !point.y.is_empty() {
            self.warm.clone_from(&point.y);
        }
        let subgradient = point.subgradient.filter(finite);
        let sample = Sample { x: x.to_vec(), value: point.value, subgradient, y: point.y };
        if self.best.as_ref().is_none_or(|best| sample.value < best.value) {
            self.best = Some(sample.clone());
        }
        if self.seen.len() == KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back(sample.clone());
        Ok(sample)
    }

    fn without_value(&mut self, x: &[f64], failure: HyperFailure) -> Sample {
        self.failure.get_or_insert(failure);
        Sample { x: x.to_vec(), value: f64::INFINITY, subgradient: None, y: Vec::new() }
    }

    /// phi and a subgradient at a method's start.
    ///
    /// # Errors
    /// As for [`evaluate`](Self::evaluate), and where the start has no value or no subgradient.
    pub fn start(&mut self, x: &[f64]) -> Result<(Sample, Vec<f64>), Ending> {
        let sample = self.evaluate(x)?;
        if !sample.value.is_finite() {
            let reason = self.failure.clone();
            return Err(Ending::Failed(reason.unwrap_or(HyperFailure::Numerical("phi is not finite".to_string()))));
        }
        match sample.subgradient.clone() {
            Some(subgradient) => Ok((sample, subgradient)),
            None => Err(Ending::NoSubgradient),
        }
    }

    /// phi itself, for batches.
    pub fn phi(&self) -> &'a dyn HyperObjective {
        self.phi
    }

    /// The accuracy asked of every value.
    pub fn accuracy(&self) -> f64 {
        self.accuracy
    }

    /// Differences of phi below this are noise: twice the accuracy, or rounding.
    pub fn noise(&self, value: f64) -> f64 {
        (2.0 * self.accuracy).max(4.0 * f64::EPSILON * value.abs())
    }

    /// Evaluations made.
    pub fn used(&self) -> usize {
        self.used
    }

    /// Counts evaluations made elsewhere.
    pub fn count(&mut self, evaluations: usize) {
        self.used += evaluations;
    }

    /// Evaluations left.
    pub fn left(&self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    /// Whether the observer wants the run to end.
    pub fn interrupted(&self) -> bool {
        self.observer.interrupted()
    }

    /// The best point seen.
    pub fn best(&self) -> Option<&Sample> {
        self.best.as_ref()
    }

    /// The points seen last, oldest first.
    pub fn seen(&self) -> impl DoubleEndedIterator<Item = &Sample> {
        self.seen.iter()
    }

    /// Why an x had no value, the first time that it happened.
    pub fn failure(&self) -> Option<&HyperFailure> {
        self.failure.as_ref()
    }

    /// The largest weak-convexity modulus that pairs of the points seen show within `radius` of `x`:
    /// `2 [phi(a) + s_a (b - a) - phi(b)] / ‖b - a‖²`, with sign -1 for weak concavity. A lower estimate.
    pub fn observed_modulus(&self, x: &[f64], radius: f64, sign: f64) -> f64 {
        let near = self.seen.iter().filter(|s| distance(&s.x, x) <= radius);
        pairs_modulus(&near.filter_map(Sample::known).collect::<Vec<_>>(), sign, self.accuracy)
    }
}

impl Sample {
    /// The point with its value and subgradient, if it has one.
    pub(crate) fn known(&self) -> Option<Known<'_>> {
        Some((&self.x, self.value, self.subgradient.as_deref()?))
    }
}

/// A point, phi there and a subgradient.
pub(crate) type Known<'a> = (&'a [f64], f64, &'a [f64]);

/// Relative error of values that is taken off before a pair of points shows curvature: a follower is solved by iterations
/// whose last digits differ, and close points would make a large modulus of that.
pub(crate) const ROUGH: f64 = 1e-9;
/// Points closer than this, relative to 1 + their size, show no curvature: which piece of phi a subgradient belongs to is
/// uncertain there.
pub(crate) const CLOSE: f64 = 1e-6;

/// The largest modulus that pairs of points show, the error of their values taken off.
pub(crate) fn pairs_modulus(points: &[Known<'_>], sign: f64, accuracy: f64) -> f64 {
    let mut largest: f64 = 0.0;
    for &(a, at_a, slope) in points {
        for &(b, at_b, _) in points {
            let (mut inner, mut square) = (0.0, 0.0);
            for ((s, p), q) in slope.iter().zip(a).zip(b) {
                inner += s * (q - p);
                square += (q - p) * (q - p);
            }
            let excess = sign * (at_a + inner - at_b);
            let noise = 2.0 * accuracy + ROUGH * (1.0 + at_a.abs().max(at_b.abs()) + inner.abs());
            let size = 1.0 + b.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            if square > (CLOSE * size).powi(2) && excess > noise {
                largest = largest.max(2.0 * (excess - noise) / square);
            }
        }
    }
    largest
}

/// The Euclidean distance.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}
