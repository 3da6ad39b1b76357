//! Proofs that the follower has no optimal answer at x, because its objective falls without end along a ray of Y(x).
//!
//! Let y(t) = y₀ + t d for t >= 0. If on the whole ray
//!
//! ```text
//! d/dt f(x, y(t)) <= -c < 0,     g(x, y(t)) <= 0,     h(x, y(t)) = 0,     y(t) in the bounds,
//! ```
//!
//! then v(x) = -∞. The ray is one interval, t in [0, ∞), and everything is evaluated over it in intervals: f by its
//! derivative, each g by its value, or by its value at t = 0 and the sign of its derivative.

use super::interval::Interval;
use super::problem::Formulas;
use super::program::{Builder, Sweep};

/// A ray along which the follower's objective falls without end.
#[derive(Clone, Debug, PartialEq)]
pub struct Ray {
    /// Where it begins.
    pub from: Vec<f64>,
    /// Its direction.
    pub direction: Vec<f64>,
    /// The objective falls at least by this for each unit of t.
    pub slope: f64,
}

impl Formulas {
    /// Looks for a ray of Y(x) from `from` along which f falls without end: along `towards`, its larger entries alone,
    /// and the coordinate directions.
    pub fn falling_ray(&self, x: &[f64], from: &[f64], towards: &[f64]) -> Option<Ray> {
        if x.len() != self.n || from.len() != self.m || towards.len() != self.m {
            return None;
        }
        let largest = towards.iter().fold(0.0, |a: f64, d| a.max(d.abs()));
        let mut directions = Vec::new();
        if largest > 0.0 && largest.is_finite() {
            let scaled: Vec<f64> = towards.iter().map(|d| d / largest).collect();
            // Simple ratios keep equalities exactly.
            directions.push(scaled.iter().map(|d| (64.0 * d).round() / 64.0).collect::<Vec<_>>());
            directions.push(scaled.iter().map(|d| if d.abs() > 0.5 { d.signum() } else { 0.0 }).collect());
            directions.push(scaled);
        }
        for j in 0..self.m {
            for sign in [1.0, -1.0] {
                let mut direction = vec![0.0; self.m];
                direction[j] = sign;
                directions.push(direction);
            }
        }
        directions.into_iter().find_map(|direction| self.falls(x, from, direction))
    }

    fn falls(&self, x: &[f64], from: &[f64], direction: Vec<f64>) -> Option<Ray> {
        let whole = &self.domain[self.n..];
        let stays = |((z, &d), &y): ((&Interval, &f64), &f64)| {
            z.contains(y) && (d <= 0.0 || z.hi() == f64::INFINITY) && (d >= 0.0 || z.lo() == f64::NEG_INFINITY)
        };
        if !whole.iter().zip(&direction).zip(from).all(stays) {
            return None;
        }
        let mut b = Builder::new();
        let t = b.variable(0);
        let mut with: Vec<_> = x.iter().map(|&v| b.number(v)).collect();
        for (&y, &d) in from.iter().zip(&direction) {
            let (start, step) = (b.number(y), b.number(d));
            let along = b.mul(step, t);
            with.push(b.add(start, along));
        }
        let all = b.import(&self.program, &with);
        let program = b.finish(&all, 1);
        let (mut ray, mut start) = (Sweep::<Interval>::new(&program), Sweep::<Interval>::new(&program));
        ray.forward(&program, &[Interval::at_least(0.0)]);
        start.forward(&program, &[Interval::ZERO]);
        let mut slope = [Interval::ZERO];
        let mut rate = |r: usize| {
            ray.gradient(&program, r, &mut slope);
            (ray.value(&program, r), ray.defined(&program, r), slope[0])
        };
        let (_, defined, fall) = rate(self.follower.objective);
        if !defined || fall.hi() >= 0.0 || fall.is_empty() {
            return None;
        }
        let inside = self.follower.inequalities.iter().all(|&r| {
            let (value, defined, change) = rate(r);
            let first = start.value(&program, r);
            let falling = !change.is_empty() && change.hi() <= 0.0 && !first.is_empty() && first.hi() <= 0.0;
            defined && !value.is_empty() && (value.hi() <= 0.0 || falling)
        });
        let equal = self.follower.equalities.iter().all(|&r| {
            let (value, defined, change) = rate(r);
            let first = start.value(&program, r);
            defined && (value == Interval::ZERO || (change == Interval::ZERO && first == Interval::ZERO))
        });
        (inside && equal).then(|| Ray { from: from.to_vec(), direction, slope: -fall.hi() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::testing::problem;

    const FREE: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);

    fn ray(m: usize, lower: &str, rows: &[&str], y: (f64, f64), from: &[f64]) -> Option<Ray> {
        let f = Formulas::new(&problem(1, m, "x[0]", lower, &[], rows, (-1.0, 1.0), y)).unwrap();
        f.falling_ray(&[0.5], from, &vec![1.0; m])
    }

    #[test]
    fn rays_are_found_where_f_falls_without_end() {
        assert!(ray(1, "-y[0]", &[], FREE, &[0.0]).is_some_and(|r| r.slope == 1.0 && r.direction == [1.0]));
        assert!(ray(1, "y[0]", &[], FREE, &[3.0]).is_some_and(|r| r.direction == [-1.0]));
        // Falls for y > 0 only, and the constraint leaves that way open.
        assert!(ray(1, "-y[0]^3 - y[0]", &["1 - y[0]"], FREE, &[2.0]).is_some());
        // Along the diagonal, which the equality keeps.
        let rows = ["y[0] - y[1]", "y[1] - y[0]"];
        let found = ray(2, "-y[0] - 2*y[1] + x[0]", &rows, FREE, &[1.0, 1.0]).unwrap();
        assert_eq!(found.direction, [1.0, 1.0]);
    }

    #[test]
    fn no_ray_where_there_is_none() {
        for (m, lower, rows, y) in [
            (1, "y[0]^2 - 5*y[0]", &[][..], FREE),
            (1, "-y[0]", &["y[0] - 7"][..], FREE),
            (1, "-y[0]", &[][..], (-1.0, 9.0)),
            // Falls for ever, but not without end.
            (1, "1/y[0]", &["1 - y[0]"][..], FREE),
            (1, "exp(-y[0])", &[][..], FREE),
            (1, "-sqrt(y[0])", &[][..], (f64::NEG_INFINITY, 5.0)),
            (2, "-y[0] + y[1]^2", &["y[0] - y[1]"][..], FREE),
        ] {
            assert_eq!(ray(m, lower, rows, y, &vec![2.0; m]), None, "{lower}");
        }
        // The way out is closed by the other variable's bound.
        assert_eq!(ray(2, "-y[0] - y[1]", &["y[0] - 3", "y[1] - 3"], FREE, &[0.0, 0.0]), None);
    }
}
