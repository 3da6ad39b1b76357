//! The equality-constrained quadratic programme in x on one piece, with the guards held:
//!
//! ```text
//! min over d of gᵀd + ½ dᵀR d   subject to  a_kᵀd = b_k for every guard,  d_j = 0 at held bounds
//! ```
//!
//! (b = 0 but where a guard has yet to be met)
//!
//! by one factorisation of [R + δI, Aᵀ; A, 0], δ raised until the inertia is that of a minimiser.

use bilevel_linalg::{Dense, Ldlt};

/// A step and the multipliers of the guards.
pub struct Step {
    /// The step, zero at held bounds.
    pub d: Vec<f64>,
    /// Multipliers of the guards, in their order: g + R d = Σ ν_k a_k + multipliers of the bounds.
    pub guards: Vec<f64>,
    /// Multipliers of the held bounds, zero elsewhere.
    pub bounds: Vec<f64>,
}

/// Largest shift, relative to the largest diagonal entry of R, in units of which it is raised.
const FIRST_SHIFT: f64 = 1e-10;
const RAISES: usize = 16;

/// Solves it; `None` if the guards' normals are dependent.
pub fn step(
    hessian: &Dense,
    gradient: &[f64],
    guards: &[&[f64]],
    held: &[bool],
    missing: Option<&[f64]>,
) -> Option<Step> {
    let n = gradient.len();
    let free: Vec<usize> = (0..n).filter(|&j| !held[j]).collect();
    let (count, order) = (free.len(), free.len() + guards.len());
    let mut matrix = Dense::zeros(order, order);
    for (a, &i) in free.iter().enumerate() {
        for (b, &j) in free.iter().enumerate() {
            matrix[(a, b)] = hessian[(i, j)];
        }
        for (k, normal) in guards.iter().enumerate() {
            (matrix[(count + k, a)], matrix[(a, count + k)]) = (normal[i], normal[i]);
        }
    }
    let largest = (0..n).fold(1e-8, |a: f64, j| a.max(hessian[(j, j)].abs()));
    let mut factor = Ldlt::new();
    let (mut shift, mut last) = (0.0, 0.0);
    for raise in 0..RAISES {
        (0..count).for_each(|a| matrix[(a, a)] += shift - last);
        let inertia = factor.factor(&matrix).ok()?;
        if inertia.negative == guards.len() && inertia.zero == 0 {
            return Some(read(&factor, &matrix, (hessian, gradient), guards, (&free, held), missing));
        }
        if inertia.negative + inertia.zero > guards.len() && raise + 1 == RAISES {
            return None;
        }
        last = shift;
        shift = if raise == 0 { FIRST_SHIFT * largest } else { shift * 10.0 };
    }
    None
}

fn read(
    factor: &Ldlt,
    matrix: &Dense,
    (hessian, gradient): (&Dense, &[f64]),
    guards: &[&[f64]],
    (free, held): (&[usize], &[bool]),
    missing: Option<&[f64]>,
) -> Step {
    let n = gradient.len();
    let mut right: Vec<f64> = free.iter().map(|&j| -gradient[j]).collect();
    match missing {
        Some(missing) => right.extend_from_slice(missing),
        None => right.resize(matrix.rows(), 0.0),
    }
    let mut work = vec![0.0; 2 * right.len()];
    let mut d = vec![0.0; n];
    let mut multipliers = vec![0.0; guards.len()];
    if matrix.rows() > 0 && factor.solve_refined(matrix, &mut right, 1, &mut work).is_ok() {
        free.iter().zip(&right).for_each(|(&j, v)| d[j] = *v);
        multipliers.iter_mut().zip(&right[free.len()..]).for_each(|(m, v)| *m = -v);
    }
    let mut bounds = gradient.to_vec();
    hessian.mul_add(1.0, &d, &mut bounds);
    for (normal, nu) in guards.iter().zip(&multipliers) {
        bilevel_linalg::vector::axpy(-nu, normal, &mut bounds);
    }
    bounds.iter_mut().zip(held).filter(|(_, held)| !**held).for_each(|(b, _)| *b = 0.0);
    Step { d, guards: multipliers, bounds }
}
