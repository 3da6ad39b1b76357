//! Where descents begin when F is no convex function of (x, y): a toll that is too high earns nothing, and nothing tells
//! the descent to lower it.

use super::QuadraticProblem;

/// Points between the bounds of x, all its entries alike.
const BETWEEN: [f64; 5] = [0.0, 0.125, 0.25, 0.5, 1.0];

impl QuadraticProblem {
    /// Whether F is certainly not convex: a variable appears in products with others only.
    pub fn has_products_alone(&self) -> bool {
        let hessian = &self.leader.hessian;
        (0..hessian.rows()).any(|i| {
            let mut crossed = false;
            hessian.for_row(i, |j, v| crossed |= j != i && v != 0.0);
            crossed && hessian.entry(i, i) == 0.0
        })
    }

    /// Of these points and some between the bounds of x the `count` with the least F, the leader's rows first.
    pub fn promising(&self, points: &[Vec<f64>], count: usize, stop: &dyn Fn() -> bool) -> Vec<Vec<f64>> {
        let (lower, upper) = (&self.leader.lower[..self.n], &self.leader.upper[..self.n]);
        let mut all = points.to_vec();
        if lower.iter().chain(upper).all(|bound| bound.is_finite()) {
            let between = |t: &f64| lower.iter().zip(upper).map(|(l, u)| l + t * (u - l)).collect();
            all.extend(BETWEEN.iter().map(between));
        }
        let mut ranked: Vec<((f64, f64), Vec<f64>)> = Vec::new();
        for x in all {
            if stop() {
                break;
            }
            if let Some(key) = self.merit(&x) {
                ranked.push((key, x));
            }
        }
        ranked.sort_by(|a, b| a.0.partial_cmp(&b.0).unwrap_or(std::cmp::Ordering::Equal));
        ranked.dedup_by(|a, b| a.0 == b.0);
        ranked.truncate(count.max(1));
        if ranked.is_empty() { points.to_vec() } else { ranked.into_iter().map(|(_, x)| x).collect() }
    }

    /// The violation of the leader's rows at the follower's answer at x, and F there.
    fn merit(&self, x: &[f64]) -> Option<(f64, f64)> {
        let x = self.start(x);
        let answer = self.follower.answer(&x).filter(|answer| answer.status.is_answer())?;
        let leader = &self.leader;
        let outside = |i: usize| {
            let value = leader.rows_x.row_dot(i, &x) + leader.rows_y.row_dot(i, &answer.y);
            (leader.row_lower[i] - value).max(value - leader.row_upper[i])
        };
        let violation = (0..leader.row_lower.len()).map(outside).fold(1e-6, f64::max);
        Some((violation, leader.evaluate(&[&x[..], &answer.y].concat()).0))
    }
}
