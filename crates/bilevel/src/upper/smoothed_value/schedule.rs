//! The levels of mu and epsilon.

/// The levels (mu_k, epsilon_k), decreasing.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule(pub Vec<(f64, f64)>);

impl Schedule {
    /// mu = 1, 1e-2, 1e-4, 1e-6 with epsilon = mu: steps of 1e-2 do as well as smaller ones. With many variables the last
    /// level is left out: it costs several times all others, and the finishing step starts as well from the one before.
    pub fn homotopy(variables: usize) -> Self {
        Self::levels(&[1.0, 1e-2, 1e-4, 1e-6], variables)
    }

    /// Starts at small levels: finds other basins than the homotopy does.
    pub fn direct(variables: usize) -> Self {
        if variables > FEW { Self::levels(&[1e-2, 1e-4], variables) } else { Self::levels(&[1e-3, 1e-6], variables) }
    }

    /// For the entropic model: mu only down to 1e-5, where the integrals are still cheap, and epsilon = 8 mu, since v_ent
    /// may lie below v; the polish does the rest.
    pub fn entropic() -> Self {
        Self([1.0, 1e-2, 1e-4, 1e-5].map(|mu| (mu, 8.0 * mu)).to_vec())
    }

    /// The same, started at small levels.
    pub fn entropic_direct() -> Self {
        Self([1e-3, 1e-5].map(|mu| (mu, 8.0 * mu)).to_vec())
    }

    /// For the barrier over so many sides: v_tau may lie below v by tau times the logarithms of their slacks.
    pub fn barrier(sides: usize) -> Self {
        Self([1.0, 1e-2, 1e-4, 1e-6].map(|mu| (mu, 8.0 * mu * sides.max(1) as f64)).to_vec())
    }

    /// No levels: the finishing step alone.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    fn levels(mu: &[f64], variables: usize) -> Self {
        let last = match variables {
            0..=FEW => 0.0,
            _ if variables <= MANY => 1e-4,
            _ => 1e-2,
        };
        Self(mu.iter().filter(|&&mu| mu >= last).map(|&mu| (mu, mu)).collect())
    }
}

/// Number of variables of both levels up to which the smallest levels are affordable.
const FEW: usize = 20;
/// Number of variables of both levels beyond which one more level is left out.
const MANY: usize = 2000;
