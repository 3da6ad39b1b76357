//! The same set in other units: `{ z' : (u_1 z'_1, ..., u_d z'_d) in C }` for units u_i > 0. Balls, l1 balls and simplices
//! stay such sets only if all their units are equal.

use super::{Affine, Ball, Bounds, ConvexSet, Halfspace, L1Ball, Polyhedron, Product, Set, Simplex};
use bilevel_linalg::Csr;

impl Set {
    /// The set in the given units, one a component; `None` if it is not a set of a known kind then. With powers of two
    /// nothing is rounded.
    pub fn in_units(&self, units: &[f64]) -> Option<Set> {
        if units.len() != self.ambient_dimension() {
            return None;
        }
        Some(match self {
            Set::Whole(_) | Set::Orthant(_) => self.clone(),
            Set::Bounds(set) => {
                Bounds::from_vectors(divided(set.lower(), units), divided(set.upper(), units)).ok()?.into()
            }
            Set::Ball(set) => {
                let unit = common(units)?;
                Ball::new(divided(set.centre(), units), set.radius() / unit).ok()?.into()
            }
            Set::L1Ball(set) => {
                let unit = common(units)?;
                L1Ball::new(divided(set.centre(), units), set.radius() / unit).ok()?.into()
            }
            Set::Simplex(set) => Simplex::new(units.len(), set.total() / common(units)?).ok()?.into(),
            Set::Halfspace(set) => {
                let normal = set.normal().iter().zip(units).map(|(a, u)| a * u).collect();
                Halfspace::new(normal, set.bound()).ok()?.into()
            }
            Set::Affine(set) => Affine::new(columns_times(set.rows(), units)?, set.rhs().to_vec()).ok()?.into(),
            Set::Polyhedron(set) => {
                let rows = columns_times(set.rows(), units)?;
                let (lower, upper) = (divided(set.lower(), units), divided(set.upper(), units));
                Polyhedron::new(&rows, set.row_lower(), set.row_upper(), &lower, &upper).ok()?.into()
            }
            Set::Product(set) => {
                let mut rest = units;
                let mut factors = Vec::with_capacity(set.factors().len());
                for factor in set.factors() {
                    let (own, later) = rest.split_at(factor.ambient_dimension());
                    factors.push(factor.in_units(own)?);
                    rest = later;
                }
                Product::new(factors).into()
            }
        })
    }

    /// Whether the components' units have to be equal for the set to stay one of its kind, factor by factor: calls
    /// `visit` with the range of each such factor.
    pub fn for_each_rigid(&self, first: usize, visit: &mut dyn FnMut(std::ops::Range<usize>)) {
        match self {
            Set::Ball(_) | Set::L1Ball(_) | Set::Simplex(_) => visit(first..first + self.ambient_dimension()),
            Set::Product(set) => {
                let mut first = first;
                for factor in set.factors() {
                    factor.for_each_rigid(first, visit);
                    first += factor.ambient_dimension();
                }
            }
            _ => {}
        }
    }
}

fn divided(values: &[f64], units: &[f64]) -> Vec<f64> {
    values.iter().zip(units).map(|(v, u)| v / u).collect()
}

/// The one unit of all components.
fn common(units: &[f64]) -> Option<f64> {
    let &first = units.first()?;
    units.iter().all(|&u| u == first).then_some(first)
}

fn columns_times(rows: &Csr, units: &[f64]) -> Option<Csr> {
    let row = |i: usize| rows.row(i).map(move |(j, a)| (i, j, a * units[j]));
    let triplets: Vec<(usize, usize, f64)> = (0..rows.rows()).flat_map(row).collect();
    Csr::from_triplets(rows.rows(), rows.cols(), &triplets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::set::{Orthant, Whole, laws};

    /// Membership and projection of a set in units of 4, 1/2 and 8 against those of the set itself.
    fn same(set: &Set, units: &[f64]) {
        let scaled = set.in_units(units).unwrap();
        laws::check(&scaled, 3);
        for k in 0..200 {
            let z: Vec<f64> = (0..units.len()).map(|j| 3.0 * ((k * 7 + j * 13 + 1) as f64).sin()).collect();
            let own = divided(&z, units);
            assert_eq!(set.contains(&z, 1e-12), scaled.contains(&own, 1e-12), "{set:?} {z:?}");
            let mut member = vec![0.0; own.len()];
            scaled.project(&own, &mut member);
            let back: Vec<f64> = member.iter().zip(units).map(|(v, u)| v * u).collect();
            assert!(set.violation(&back) < 1e-9, "{set:?} {back:?}");
        }
    }

    #[test]
    fn points_belong_to_a_set_in_any_units() {
        let units = [4.0, 0.5, 8.0];
        let rows = Csr::from_triplets(2, 3, &[(0, 0, 1.0), (0, 2, -1.0), (1, 1, 2.0), (1, 2, 1.0)]).unwrap();
        let bounds = Bounds::from_vectors(vec![-1.0, 0.0, f64::NEG_INFINITY], vec![2.0, 1.0, f64::INFINITY]).unwrap();
        let infinite = [f64::NEG_INFINITY; 2];
        same(&Whole::new(3).into(), &units);
        same(&Orthant::new(3).into(), &units);
        same(&bounds.clone().into(), &units);
        same(&Halfspace::new(vec![1.0, -2.0, 0.5], 1.0).unwrap().into(), &units);
        same(&Affine::new(rows.clone(), vec![1.0, -1.0]).unwrap().into(), &units);
        same(&Polyhedron::new(&rows, &infinite, &[1.0, 2.0], bounds.lower(), bounds.upper()).unwrap().into(), &units);
        let equal = [4.0; 3];
        same(&Ball::new(vec![1.0, 0.0, -1.0], 1.5).unwrap().into(), &equal);
        same(&L1Ball::new(vec![1.0, 0.0, -1.0], 1.5).unwrap().into(), &equal);
        same(&Simplex::new(3, 2.0).unwrap().into(), &equal);
        let product = Product::new(vec![bounds.into(), Simplex::new(3, 1.0).unwrap().into()]);
        same(&product.into(), &[4.0, 0.5, 8.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn balls_and_simplices_need_one_unit() {
        let simplex = Set::from(Simplex::new(2, 1.0).unwrap());
        assert!(simplex.in_units(&[1.0, 2.0]).is_none() && simplex.in_units(&[1.0]).is_none());
        let set = Set::from(Product::new(vec![Whole::new(2).into(), simplex]));
        let mut found = Vec::new();
        set.for_each_rigid(0, &mut |range| found.push(range));
        assert_eq!(found, vec![2..4; 1]);
    }
}
