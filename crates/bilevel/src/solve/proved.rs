//! Bounds of v(x), φ_o(x) and φ_p(x) from interval branch and bound, put into the form of [`super::ValuesAt`].
//!
//! With v_lo <= v(x) <= v_hi proved, the set {f <= v_hi + η} contains S_η(x), so its least and largest F bound φ_o^η from
//! below and φ_p^η from above. Its points may miss S_η(x) by v_hi − v_lo. So the inner ends come from {f <= v_lo + η},
//! a subset of S_η(x), which is empty for η <= v_hi − v_lo. At η = 0 the inner ends are those of the other attitude:
//! φ_o <= φ_p.

use super::at::{Bracket, PhiAt};
use crate::hyper::End;
use crate::problem::{NamedValues, Problem, Sense};
use crate::proof::attitude::HyperProof;
use crate::proof::follower::{FollowerProof, Settings};
use crate::proof::minimum::Tier;
use crate::proof::problem::Formulas;
use crate::solution::Rigor;

/// Followers with more variables are not searched.
const MOST_VARIABLES: usize = 8;
/// Boxes looked at for one bound.
const NODES: usize = 4_000;
/// Relative gaps wanted, of v and of φ.
const GAP: f64 = 1e-10;
const PHI_GAP: f64 = 1e-8;

/// Proved bounds of one φ, and the answer that attains the inner one.
#[derive(Clone, Debug)]
pub(super) struct ProvedPhi {
    /// F at the answer; infinite without one.
    pub value: f64,
    pub lower: End,
    pub upper: End,
    pub y: Option<Vec<f64>>,
}

impl ProvedPhi {
    fn nothing() -> Self {
        let end = |value| End { value, rigor: Rigor::Estimated };
        Self { value: f64::NAN, lower: end(f64::NEG_INFINITY), upper: end(f64::INFINITY), y: None }
    }

    /// φ as far as the proof alone tells.
    pub fn phi(&self, sense: Sense, named: impl Fn(&[f64]) -> NamedValues, by: &str) -> PhiAt {
        let (low, high) = (self.lower.value, self.upper.value);
        let value = if self.value.is_finite() { self.value.clamp(low, high.max(low)) } else { 0.5 * (low + high) };
        let bracket = Bracket { value, lower: self.lower.clone(), upper: self.upper.clone() };
        let known = low.is_finite() || high.is_finite();
        PhiAt {
            bracket: known.then(|| bracket.turned(sense)),
            y: self.y.as_deref().map(named),
            subgradient: None,
            by: by.to_string(),
        }
    }
}

/// What was proved at one x.
#[derive(Clone, Debug)]
pub(super) struct ProvedValues {
    /// Y(x) is empty.
    pub empty: bool,
    pub v_lower: Option<End>,
    pub v_upper: Option<End>,
    pub optimistic: ProvedPhi,
    pub pessimistic: ProvedPhi,
    pub boxes: u64,
}

/// Proves what it can of the problem at x, with the follower's answer `y` to begin with.
/// φ is left out unless S(x) is `bounded`, as far as known.
pub(super) fn prove(problem: &Problem, x: &[f64], y: Option<&[f64]>, eta: f64, bounded: bool) -> ProvedValues {
    let mut out = ProvedValues {
        empty: false,
        v_lower: None,
        v_upper: None,
        optimistic: ProvedPhi::nothing(),
        pessimistic: ProvedPhi::nothing(),
        boxes: 0,
    };
    if problem.m() > MOST_VARIABLES {
        return out;
    }
    let Ok(formulas) = Formulas::new(problem) else { return out };
    let settings = Settings { nodes: NODES, gap: GAP, ..Settings::default() };
    let Ok(follower) = formulas.follower(x, y, &settings) else { return out };
    out.boxes = follower.bound.nodes as u64;
    out.empty = follower.empty;
    if follower.empty {
        return out;
    }
    let box_only = !follower.artificial.is_empty();
    let mut relaxed = true;
    out.v_lower = end(follower.lower, (box_only, false));
    if let Some((tier, answer)) = follower.best_answer() {
        relaxed = tier == Tier::Within;
        out.v_upper = end(answer.value.hi(), (false, relaxed));
    }
    if !bounded {
        return out;
    }
    let Ok(Some(outer)) = formulas.hyper(x, &follower, eta, PHI_GAP, &settings) else { return out };
    out.boxes += outer.nodes as u64;
    let conditions = (!outer.artificial.is_empty(), outer.delta > 0.0);
    out.optimistic.lower = end_or(outer.optimistic_lower, conditions, f64::NEG_INFINITY);
    out.pessimistic.upper = end_or(outer.pessimistic_upper, conditions, f64::INFINITY);
    let inner = inner(&formulas, x, &follower, eta, &settings);
    out.boxes += inner.as_ref().map_or(0, |inner| inner.nodes as u64);
    // v_lo has to hold without conditions for points of {f <= v_lo + eta} to be in S_eta(x).
    let conditions = (box_only, relaxed);
    let constrained = !problem.leader().constraints.is_empty();
    let set = inner.as_ref().unwrap_or(&outer);
    let other = |end: &End| (inner.is_none() && !constrained).then(|| end.clone());
    let certain = inner.is_some().then_some(conditions);
    let least = inner_end(set.optimistic_upper, certain, other(&out.pessimistic.upper));
    let most = inner_end(set.pessimistic_lower, certain, other(&out.optimistic.lower));
    (out.optimistic.upper, out.pessimistic.lower) = (least, most);
    (out.optimistic.value, out.pessimistic.value) = (set.optimistic_upper, set.pessimistic_lower);
    (out.optimistic.y, out.pessimistic.y) = (point(set.best.as_ref()), point(set.worst.as_ref()));
    out
}

/// The inner end of φ: F at a point that is certainly in S_η(x), or a proved end from the other attitude where that is
/// about as tight, or F at a point that may miss S_η(x) by the gap of v.
fn inner_end(value: f64, certain: Option<(bool, bool)>, other: Option<End>) -> End {
    match (certain, other) {
        (Some(conditions), _) => end_or(value, conditions, value),
        (None, Some(other)) if (other.value - value).abs() <= TIGHT * (1.0 + value.abs()) => other,
        _ => End { value, rigor: Rigor::Estimated },
    }
}

/// Ends this close, relatively, count as equally tight.
const TIGHT: f64 = 1e-4;

/// The search over {f <= v_lo + eta}, where that is not empty from the start.
fn inner(
    formulas: &Formulas,
    x: &[f64],
    follower: &FollowerProof,
    eta: f64,
    settings: &Settings,
) -> Option<HyperProof> {
    let (_, answer) = follower.best_answer()?;
    if answer.value.hi() <= follower.lower && eta == 0.0 {
        // v is known exactly, and with it S(x).
        return formulas.hyper(x, follower, 0.0, PHI_GAP, settings).ok().flatten();
    }
    // Rounded up a little, so that level = v_hi + (eta − gap) stays below v_lo + eta.
    let gap = (answer.value.hi() - follower.lower).max(0.0) * (1.0 + 1e-12);
    let gap = gap + 1e-15 * answer.value.mag() + f64::MIN_POSITIVE;
    if !(eta > gap && gap.is_finite()) {
        return None;
    }
    formulas.hyper(x, follower, eta - gap, PHI_GAP, settings).ok().flatten()
}

fn point(candidate: Option<&crate::proof::minimum::Candidate>) -> Option<Vec<f64>> {
    candidate.map(|c| c.point.clone())
}

/// A proved end, or one that holds in a box or for the relaxed constraints only. `None` if it says nothing.
fn end(value: f64, (box_only, relaxed): (bool, bool)) -> Option<End> {
    let mut on = Vec::new();
    if box_only {
        on.push("box".to_string());
    }
    if relaxed {
        on.push("relaxation".to_string());
    }
    let rigor = if on.is_empty() { Rigor::Proved } else { Rigor::Conditional(on) };
    value.is_finite().then_some(End { value, rigor })
}

/// The same, or an end that says nothing.
fn end_or(value: f64, conditions: (bool, bool), none: f64) -> End {
    end(value, conditions).unwrap_or(End { value: none, rigor: Rigor::Estimated })
}
