//! A run along a direction through the pieces, as far as φ falls.

use bilevel_linalg::vector::{axpy, dot, norm_inf};

use super::Descent;
use super::guard::{Guard, Kind};
use super::piece::{Motion, Side};

/// Where a direction leads to.
#[derive(Clone, Copy)]
enum Event {
    Bound(usize),
    Row(usize, f64),
    Kink(usize, Side),
}

/// Rates below this, relative, do not lead anywhere.
const STILL: f64 = 1e-11;
/// Steps of length zero in a row before kinks are no longer crossed.
const TURNS: usize = 3;

impl Descent<'_> {
    pub(super) fn moved(&self, d: &[f64], t: f64) -> Vec<f64> {
        let mut x = self.piece.x.clone();
        axpy(t, d, &mut x);
        x.iter_mut().enumerate().for_each(|(j, v)| *v = v.max(self.leader.lower[j]).min(self.leader.upper[j]));
        x
    }

    /// Runs along d as far as φ falls; the length run, or `None` if there is no end.
    pub(super) fn search(&mut self, d: &[f64]) -> Option<f64> {
        let (mut length, mut idle) = (0.0, 0);
        loop {
            let slope = dot(&self.gradient, d);
            if slope >= 0.0 {
                return Some(length);
            }
            let mut bent = vec![0.0; d.len()];
            self.hessian.mul_add(1.0, d, &mut bent);
            let curvature = dot(&bent, d);
            let least = if curvature > 0.0 { -slope / curvature } else { f64::INFINITY };
            let motion = self.piece.motion(d);
            let (t, event) = self.first_event(d, &motion);
            if least <= t || event.is_none() {
                if !least.is_finite() {
                    return None;
                }
                let x = self.moved(d, least);
                self.piece.go(&x);
                self.evaluate();
                return Some(length + least);
            }
            let x = self.moved(d, t);
            self.piece.go(&x);
            self.evaluate();
            length += t;
            // Kinks at one point may be crossed one after the other without an end.
            idle = if t * norm_inf(d) > STILL * (1.0 + norm_inf(&self.piece.x)) { 0 } else { idle + 1 };
            if idle > self.piece.sides.len() {
                return Some(length);
            }
            // On the next piece the guards have other normals: with any, d would lead away from them.
            if !event.is_some_and(|event| self.pass(event, d)) || !self.guards.is_empty() {
                return Some(length);
            }
        }
    }

    /// At an event: goes on into the neighbouring piece, or makes a guard of it and says that the search is over.
    fn pass(&mut self, event: Event, d: &[f64]) -> bool {
        match event {
            Event::Bound(j) => self.held[j] = true,
            Event::Row(i, sign) => self.guard_row(i, sign),
            Event::Kink(item, touched) => {
                let response = self.piece.response(item);
                let change = dot(&self.by_y, &response.y) * dot(&response.normal, d) / response.pivot;
                let slope = dot(&self.gradient, d) + change;
                let falls = slope < -1e-10 * norm_inf(&self.gradient) * norm_inf(d);
                // Crossing back and forth without moving ends with a guard.
                let falls = falls && self.zero_steps < TURNS;
                if response.is_regular() && falls && self.cross(item, touched, &response) {
                    return true;
                }
                let sign = touched.inward();
                self.guards.push(Guard { kind: Kind::Kink(item, touched), normal: response.normal, sign });
            }
        }
        false
    }

    /// The first event along d.
    fn first_event(&self, d: &[f64], motion: &Motion) -> (f64, Option<Event>) {
        let mut first = (f64::INFINITY, None);
        let mut offer = |slack: f64, rate: f64, scale: f64, event: Event| {
            if rate > STILL * scale {
                let t = slack.max(0.0) / rate;
                if t < first.0 {
                    first = (t, Some(event));
                }
            }
        };
        let size = norm_inf(d);
        for (j, &rate) in d.iter().enumerate().filter(|(j, _)| !self.held[*j]) {
            offer(self.piece.x[j] - self.leader.lower[j], -rate, size, Event::Bound(j));
            offer(self.leader.upper[j] - self.piece.x[j], rate, size, Event::Bound(j));
        }
        for i in 0..self.leader.row_lower.len() {
            if self.guards.iter().any(|guard| guard.kind == Kind::Row(i)) {
                continue;
            }
            let value = self.leader.rows_x.row_dot(i, &self.piece.x) + self.leader.rows_y.row_dot(i, &self.piece.y);
            let rate = self.leader.rows_x.row_dot(i, d) + self.leader.rows_y.row_dot(i, &motion.y);
            offer(value - self.leader.row_lower[i], -rate, size, Event::Row(i, 1.0));
            offer(self.leader.row_upper[i] - value, rate, size, Event::Row(i, -1.0));
        }
        let m = self.piece.y.len();
        let mut guarded = vec![false; self.piece.sides.len()];
        for guard in &self.guards {
            if let Kind::Kink(item, _) = guard.kind {
                guarded[item] = true;
            }
        }
        // Activities of equalities do not move but for rounding, which is measured by what moves y.
        let of_values = norm_inf(&motion.y).max(norm_inf(&motion.activity));
        let of_multipliers = norm_inf(&motion.rows).max(norm_inf(&motion.bounds));
        for (item, side) in self.piece.sides.iter().enumerate().filter(|(item, _)| !guarded[*item]) {
            let of = |variables: &[f64], rows: &[f64]| if item < m { variables[item] } else { rows[item - m] };
            let rate_of_multiplier = of(&motion.bounds, &motion.rows);
            match side {
                Side::Free => {
                    let (low, high) = self.piece.follower.range(item);
                    let (rate, value) = (of(&motion.y, &motion.activity), self.piece.value(item));
                    // An equality that is free follows from others.
                    if low < high {
                        offer(value - low, -rate, of_values, Event::Kink(item, Side::Lower));
                        offer(high - value, rate, of_values, Event::Kink(item, Side::Upper));
                    }
                }
                Side::Lower => {
                    offer(
                        self.piece.multiplier(item),
                        -rate_of_multiplier,
                        of_multipliers,
                        Event::Kink(item, Side::Lower),
                    );
                }
                Side::Upper => {
                    offer(
                        -self.piece.multiplier(item),
                        rate_of_multiplier,
                        of_multipliers,
                        Event::Kink(item, Side::Upper),
                    );
                }
                Side::Equal => {}
            }
        }
        first
    }
}
