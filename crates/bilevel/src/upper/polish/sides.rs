//! The follower's constraints as one-sided slacks s_i >= 0 and equalities e_k = 0.

use crate::lower::Follower;
use crate::nlp::Multipliers;

/// One side of a bound, row or component: the slack is `sign * (value − limit)`, with sign +1 for a lower limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Side {
    Bound { index: usize, upper: bool, limit: f64 },
    Row { index: usize, upper: bool, limit: f64 },
    Component { index: usize, upper: bool, limit: f64 },
}

impl Side {
    pub fn sign(self) -> f64 {
        let (Side::Bound { upper, .. } | Side::Row { upper, .. } | Side::Component { upper, .. }) = self;
        if upper { -1.0 } else { 1.0 }
    }

    pub fn limit(self) -> f64 {
        let (Side::Bound { limit, .. } | Side::Row { limit, .. } | Side::Component { limit, .. }) = self;
        limit
    }

    /// Its multiplier in a set of multipliers of the follower's problem.
    fn of(self, multipliers: &Multipliers) -> f64 {
        match self {
            Side::Bound { index, .. } => multipliers.bounds[index],
            Side::Row { index, .. } => multipliers.rows[index],
            Side::Component { index, .. } => multipliers.constraints[index],
        }
    }

    fn of_mut(self, multipliers: &mut Multipliers) -> &mut f64 {
        match self {
            Side::Bound { index, .. } => &mut multipliers.bounds[index],
            Side::Row { index, .. } => &mut multipliers.rows[index],
            Side::Component { index, .. } => &mut multipliers.constraints[index],
        }
    }
}

/// All sides, the inequalities first.
#[derive(Clone, Debug)]
pub(super) struct Sides {
    pub inequalities: Vec<Side>,
    pub equalities: Vec<Side>,
}

impl Sides {
    pub fn new(follower: &Follower) -> Self {
        let mut sides = Self { inequalities: Vec::new(), equalities: Vec::new() };
        let system = &follower.system;
        sides.add(&follower.lower, &follower.upper, |index, upper, limit| Side::Bound { index, upper, limit });
        sides.add(&system.row_lower, &system.row_upper, |index, upper, limit| Side::Row { index, upper, limit });
        sides.add(&system.lower, &system.upper, |index, upper, limit| Side::Component { index, upper, limit });
        sides
    }

    fn add(&mut self, lower: &[f64], upper: &[f64], side: impl Fn(usize, bool, f64) -> Side) {
        for (index, (&low, &high)) in lower.iter().zip(upper).enumerate() {
            if low == high {
                self.equalities.push(side(index, false, low));
                continue;
            }
            if low.is_finite() {
                self.inequalities.push(side(index, false, low));
            }
            if high.is_finite() {
                self.inequalities.push(side(index, true, high));
            }
        }
    }

    pub fn len(&self) -> usize {
        self.inequalities.len() + self.equalities.len()
    }

    pub fn all(&self) -> impl Iterator<Item = Side> + '_ {
        self.inequalities.iter().chain(&self.equalities).copied()
    }

    /// Appends the multipliers u_i >= 0 and w_k that belong to the follower's multipliers.
    pub fn push_multipliers(&self, multipliers: &Multipliers, z: &mut Vec<f64>) {
        z.extend(self.inequalities.iter().map(|side| (side.sign() * side.of(multipliers)).max(0.0)));
        z.extend(self.equalities.iter().map(|side| side.of(multipliers)));
    }

    /// The follower's multipliers from u and w.
    pub fn multipliers(&self, follower: &Follower, values: &[f64]) -> Multipliers {
        let mut multipliers = Multipliers {
            bounds: vec![0.0; follower.size()],
            rows: vec![0.0; follower.system.row_upper.len()],
            constraints: vec![0.0; follower.system.upper.len()],
        };
        for (side, value) in self.all().zip(values) {
            *side.of_mut(&mut multipliers) += side.sign() * value;
        }
        multipliers
    }
}
