//! Gauss–Legendre quadrature on [0, 1]: nodes by Newton's method on the Legendre polynomial P_n (Abramowitz & Stegun
//! 25.4.29), exact for polynomials of degree 2n − 1.

/// A rule, with what tells how well it resolves a function.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    /// The nodes, ascending.
    pub nodes: Vec<f64>,
    /// The weights; they sum to 1.
    pub weights: Vec<f64>,
    /// Multipliers of values at the nodes that give the two highest Legendre coefficients of the interpolant: large
    /// where the function is not resolved.
    pub highest: [Vec<f64>; 2],
}

impl Rule {
    /// The rule with n >= 1 nodes.
    pub fn new(n: usize) -> Self {
        let (mut nodes, mut weights) = (Vec::new(), Vec::new());
        let mut highest = [Vec::new(), Vec::new()];
        for i in 0..n {
            // From the largest node down, so that they ascend after the reflection below.
            let mut z = -(std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5)).cos();
            for _ in 0..50 {
                let (p, q) = legendre(n, z);
                let step = p / derivative(n, z, p, q);
                z -= step;
                if step.abs() <= 1e-16 {
                    break;
                }
            }
            let (p, q) = legendre(n, z);
            let slope = derivative(n, z, p, q);
            let weight = 1.0 / ((1.0 - z * z) * slope * slope);
            nodes.push(0.5 * (1.0 + z));
            weights.push(weight);
            for (k, out) in highest.iter_mut().enumerate() {
                let degree = n.saturating_sub(1 + k);
                out.push((2.0 * degree as f64 + 1.0) * weight * legendre(degree, z).0);
            }
        }
        Self { nodes, weights, highest }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }
}

/// P_n(z) and P_{n−1}(z).
fn legendre(n: usize, z: f64) -> (f64, f64) {
    let (mut p, mut q) = (1.0, 0.0);
    for k in 1..=n {
        let k = k as f64;
        (p, q) = (((2.0 * k - 1.0) * z * p - (k - 1.0) * q) / k, p);
    }
    (p, q)
}

fn derivative(n: usize, z: f64, p: f64, q: f64) -> f64 {
    n as f64 * (z * p - q) / (z * z - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polynomials_up_to_twice_the_nodes_are_exact() {
        for n in 1..=16 {
            let rule = Rule::new(n);
            assert!(rule.nodes.windows(2).all(|pair| pair[0] < pair[1]) && rule.len() == n);
            for power in 0..2 * n as i32 {
                let sum: f64 = rule.nodes.iter().zip(&rule.weights).map(|(x, w)| w * x.powi(power)).sum();
                assert!((sum - 1.0 / (f64::from(power) + 1.0)).abs() < 1e-14, "n = {n}, x^{power}: {sum}");
            }
        }
    }

    #[test]
    fn highest_coefficients_vanish_for_what_is_resolved() {
        let rule = Rule::new(6);
        let coefficient = |k: usize, power: i32| -> f64 {
            rule.nodes.iter().zip(&rule.highest[k]).map(|(x, h)| h * (2.0 * x - 1.0).powi(power)).sum()
        };
        assert!(coefficient(0, 3).abs() < 1e-14 && coefficient(1, 3).abs() < 1e-14);
        // z^5 = (8/63) P_5 + ..., z^4 = (8/35) P_4 + ...
        assert!((coefficient(0, 5) - 8.0 / 63.0).abs() < 1e-14 && (coefficient(1, 4) - 8.0 / 35.0).abs() < 1e-14);
    }
}
