//! Factors that bring the terms of many functions to size 1, by a sum of squares of logarithms.
//!
//! A term `c · x_i` (or `c · x_i x_j`, or `c`) of function r has the size `|c| u_i u_j f_r` where variables are counted in
//! units u and functions are multiplied by f. With z the base-2 logarithms of units and factors,
//!
//! ```text
//! min over z of  Σ_t w_t (log2 |c_t| + Σ_{k in t} p_tk z_k)² + delta ‖z‖²,
//! ```
//!
//! the geometric-mean scaling of Fulkerson & Wolfe (1962) and Curtis & Reid (1972) for linear terms. Weights fall where
//! the residual is large (iteratively reweighted, after Huber 1964), so that one odd term does not decide. The answer
//! moves with the user's units: other units give the same scaled problem, up to what delta pulls.

/// A term: its logarithm, which unknowns it has with which powers, and its weight.
#[derive(Clone, Debug)]
pub struct Term {
    /// log2 |c|.
    pub size: f64,
    /// Unknowns and powers.
    pub powers: Vec<(usize, f64)>,
    /// The weight.
    pub weight: f64,
}

/// The pull to 0 of unknowns that no term decides.
const PULL: f64 = 1e-6;
/// Rounds of reweighting.
const ROUNDS: usize = 6;
/// Residual, in powers of two, from which a term counts less.
const ODD: f64 = 2.0;
/// Relative accuracy of the conjugate gradients: powers of two are enough.
const ACCURACY: f64 = 1e-6;

/// The logarithms z of all units and factors.
pub fn equilibrate(unknowns: usize, terms: &[Term]) -> Vec<f64> {
    let mut z = vec![0.0; unknowns];
    let mut weights: Vec<f64> = terms.iter().map(|term| term.weight).collect();
    for _ in 0..ROUNDS {
        least_squares(terms, &weights, &mut z);
        for (weight, term) in weights.iter_mut().zip(terms) {
            *weight = term.weight / (residual(term, &z).abs() / ODD).max(1.0);
        }
    }
    z
}

fn residual(term: &Term, z: &[f64]) -> f64 {
    term.size + term.powers.iter().map(|&(k, p)| p * z[k]).sum::<f64>()
}

/// Conjugate gradients on the normal equations, with their diagonal as preconditioner, from `z`.
fn least_squares(terms: &[Term], weights: &[f64], z: &mut [f64]) {
    let size = z.len();
    let mut diagonal = vec![PULL; size];
    for (term, weight) in terms.iter().zip(weights) {
        term.powers.iter().for_each(|&(k, p)| diagonal[k] += weight * p * p);
    }
    let mut gradient: Vec<f64> = z.iter().map(|v| -PULL * v).collect();
    for (term, weight) in terms.iter().zip(weights) {
        let r = weight * residual(term, z);
        term.powers.iter().for_each(|&(k, p)| gradient[k] -= p * r);
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let precondition = |r: &[f64]| r.iter().zip(&diagonal).map(|(r, d)| r / d).collect::<Vec<f64>>();
    let mut direction = precondition(&gradient);
    let mut rho = dot(&gradient, &direction);
    let first = rho;
    for _ in 0..2 * size + 20 {
        if rho <= ACCURACY * ACCURACY * first {
            break;
        }
        let mut image: Vec<f64> = direction.iter().map(|d| PULL * d).collect();
        for (term, weight) in terms.iter().zip(weights) {
            let t = weight * term.powers.iter().map(|&(k, p)| p * direction[k]).sum::<f64>();
            term.powers.iter().for_each(|&(k, p)| image[k] += p * t);
        }
        let step = rho / dot(&direction, &image);
        if !step.is_finite() {
            break;
        }
        z.iter_mut().zip(&direction).for_each(|(z, d)| *z += step * d);
        gradient.iter_mut().zip(&image).for_each(|(g, i)| *g -= step * i);
        let next = precondition(&gradient);
        let new = dot(&gradient, &next);
        direction.iter_mut().zip(&next).for_each(|(d, n)| *d = n + new / rho * *d);
        rho = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows c_r (x_i − 1)-like terms of size 1 in hidden units: found again, whatever they are.
    #[test]
    fn hidden_units_are_found_again() {
        let (units, factors) = ([10.0, -7.0, 3.0], [5.0, -9.0]);
        let mut terms = Vec::new();
        for (r, factor) in factors.iter().enumerate() {
            for (i, unit) in units.iter().enumerate() {
                terms.push(Term { size: -unit - factor, powers: vec![(i, 1.0), (3 + r, 1.0)], weight: 1.0 });
            }
            terms.push(Term { size: -factor, powers: vec![(3 + r, 1.0)], weight: 1.0 });
        }
        let z = equilibrate(5, &terms);
        for (found, wanted) in z.iter().zip(units.iter().chain(&factors)) {
            assert!((found - wanted).abs() < 1e-3, "{z:?}");
        }
    }

    /// One odd term among many does not decide, and what no term speaks of stays as it is.
    #[test]
    fn odd_terms_count_less() {
        let term = |size, weight| Term { size, powers: vec![(0, 1.0)], weight };
        let mut terms = vec![term(-4.0, 1.0); 9];
        terms.push(term(60.0, 1.0));
        let z = equilibrate(2, &terms);
        assert!((z[0] - 4.0).abs() < 1.0 && z[1] == 0.0, "{z:?}");
    }
}
