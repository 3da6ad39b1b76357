//! An orthonormal basis that grows and shrinks one vector at a time: `V = Q R` for the vectors V accepted so far.
//!
//! Gram–Schmidt, repeated where it cancels, keeps Q orthonormal to rounding [Giraud, Langou & Rozložník 2005]; a vector is taken out by
//! Givens rotations [Golub & Van Loan, §6.5.2].

use super::numeric::norm;
use bilevel_linalg::vector::{axpy, dot};

/// A vector split into its part in the span of a basis and the rest.
pub(super) struct Split {
    /// Coordinates of the part in the span.
    pub inside: Vec<f64>,
    /// The part orthogonal to the span.
    pub rest: Vec<f64>,
    /// The length of `rest`.
    pub length: f64,
}

/// Orthonormal vectors q_i and the triangle R that gives the accepted vectors from them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Basis {
    q: Vec<Vec<f64>>,
    /// Column i of R, entries 0..=i.
    r: Vec<Vec<f64>>,
}

impl Basis {
    /// Number of vectors.
    pub fn len(&self) -> usize {
        self.q.len()
    }

    /// The orthonormal vectors.
    pub fn vectors(&self) -> &[Vec<f64>] {
        &self.q
    }

    /// `Qᵀ v`.
    pub fn coordinates(&self, v: &[f64]) -> Vec<f64> {
        self.q.iter().map(|q| dot(q, v)).collect()
    }

    /// Splits `v`.
    pub fn split(&self, v: &[f64]) -> Split {
        let (mut inside, mut rest) = (vec![0.0; self.len()], v.to_vec());
        let mut length = norm(v.iter().copied());
        loop {
            let before = length;
            for (c, q) in inside.iter_mut().zip(&self.q) {
                let along = dot(q, &rest);
                axpy(-along, q, &mut rest);
                *c += along;
            }
            length = norm(rest.iter().copied());
            // Little was taken off, so little of it was rounding error: "twice is enough" [Parlett 1998, §6.9].
            if length > 0.5 * before || length <= f64::EPSILON {
                return Split { inside, rest, length };
            }
        }
    }

    /// Appends the vector that was split; its `length` must not be 0.
    pub fn push(&mut self, split: Split) {
        let Split { mut inside, mut rest, length } = split;
        rest.iter_mut().for_each(|x| *x /= length);
        inside.push(length);
        self.q.push(rest);
        self.r.push(inside);
    }

    /// Appends a unit vector that is orthogonal to all before it.
    pub fn push_orthogonal(&mut self, v: &[f64]) {
        self.r.push([vec![0.0; self.len()], vec![1.0]].concat());
        self.q.push(v.to_vec());
    }

    /// Takes out the accepted vector at `position`.
    pub fn remove(&mut self, position: usize) {
        self.r.remove(position);
        for l in position..self.r.len() {
            let (a, b) = (self.r[l][l], self.r[l][l + 1]);
            let h = a.hypot(b);
            let (c, s) = (a / h, b / h);
            for column in &mut self.r[l..] {
                (column[l], column[l + 1]) = (c * column[l] + s * column[l + 1], c * column[l + 1] - s * column[l]);
            }
            self.r[l].truncate(l + 1);
            let (head, tail) = self.q.split_at_mut(l + 1);
            for (x, y) in head[l].iter_mut().zip(&mut tail[0]) {
                (*x, *y) = (c * *x + s * *y, c * *y - s * *x);
            }
        }
        self.q.pop();
    }

    /// Solves `R x = b` in place.
    pub fn solve(&self, b: &mut [f64]) {
        for i in (0..self.len()).rev() {
            b[i] /= self.r[i][i];
            let (head, tail) = b.split_at_mut(i);
            axpy(-tail[0], &self.r[i][..i], head);
        }
    }

    /// Solves `Rᵀ x = b` in place.
    pub fn solve_transposed(&self, b: &mut [f64]) {
        for i in 0..self.len() {
            let (head, tail) = b.split_at_mut(i);
            tail[0] = (tail[0] - dot(&self.r[i][..i], head)) / self.r[i][i];
        }
    }

    /// Moves `z`, along the span only, to where `<v_i, z> = targets_i` for the accepted vectors v_i.
    pub fn move_onto(&self, vectors: &[&[f64]], targets: &[f64], z: &mut [f64]) {
        // Each step leaves the rounding error of the one before: two steps, or more from very far away.
        let mut last = f64::INFINITY;
        for step in 0..30 {
            let mut missing: Vec<f64> = vectors.iter().zip(targets).map(|(v, t)| t - dot(v, z)).collect();
            let largest = missing.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
            if largest == 0.0 || (step >= 2 && largest > 1e-3 * last) {
                return;
            }
            last = largest;
            self.solve_transposed(&mut missing);
            for (q, c) in self.q.iter().zip(missing) {
                axpy(c, q, z);
            }
        }
    }
}

/// Lengths below this are zero, for parts of unit vectors.
pub(super) const DEPENDENT: f64 = 1e-11;

/// A basis of the span of unit vectors in R^n, the largest remaining part first, and the indices of the vectors it took.
pub(super) fn span(vectors: &[Vec<f64>]) -> (Basis, Vec<usize>) {
    let (mut basis, mut taken) = (Basis::default(), Vec::new());
    let mut left: Vec<f64> = vec![1.0; vectors.len()];
    // `left` is an upper bound of each rest, so only candidates that may be the largest are split again.
    loop {
        let mut best: Option<(usize, Split)> = None;
        for (i, v) in vectors.iter().enumerate() {
            if left[i] <= best.as_ref().map_or(DEPENDENT, |b| b.1.length) {
                continue;
            }
            let split = basis.split(v);
            left[i] = split.length;
            if split.length > best.as_ref().map_or(DEPENDENT, |b| b.1.length) {
                best = Some((i, split));
            }
        }
        match best {
            None => return (basis, taken),
            Some((i, split)) => {
                left[i] = 0.0;
                taken.push(i);
                basis.push(split);
            }
        }
    }
}

/// An orthonormal basis of the complement in R^n of the span of `basis`.
pub(super) fn complement(basis: &Basis, n: usize) -> Vec<Vec<f64>> {
    let mut all = basis.clone();
    while all.len() < n {
        // The axis farthest from the span has a rest of at least sqrt((n - len) / n); its squared rest is 1 - |Qᵀe|².
        let rest = |i: usize| 1.0 - all.q.iter().map(|q| q[i] * q[i]).sum::<f64>();
        let axis = (0..n).max_by(|&i, &j| rest(i).total_cmp(&rest(j))).unwrap_or(0);
        let mut v = vec![0.0; n];
        v[axis] = 1.0;
        let split = all.split(&v);
        if split.length <= DEPENDENT {
            break;
        }
        all.push(split);
    }
    all.q.split_off(basis.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(basis: &Basis, vectors: &[Vec<f64>]) {
        for (i, v) in vectors.iter().enumerate() {
            for (j, w) in basis.q.iter().enumerate().take(basis.len()) {
                let unit = dot(&basis.q[i], w);
                assert!((unit - if i == j { 1.0 } else { 0.0 }).abs() < 1e-13);
            }
            let mut rebuilt = vec![0.0; v.len()];
            for (q, c) in basis.q.iter().zip(&basis.r[i]) {
                axpy(*c, q, &mut rebuilt);
            }
            assert!(rebuilt.iter().zip(v).all(|(a, b)| (a - b).abs() < 1e-12), "QR != V");
        }
    }

    proptest! {
        #[test]
        fn grows_shrinks_and_solves(
            entries in prop::collection::vec(prop::collection::vec(-1.0..1.0f64, 6), 1..5), out in 0..5usize,
            targets in prop::collection::vec(-1.0..1.0f64, 6),
        ) {
            let (mut basis, mut kept) = (Basis::default(), entries.clone());
            for v in &entries {
                let split = basis.split(v);
                prop_assume!(split.length > 1e-2);
                basis.push(split);
            }
            check(&basis, &kept);
            let out = out % kept.len();
            basis.remove(out);
            kept.remove(out);
            check(&basis, &kept);
            let views: Vec<&[f64]> = kept.iter().map(Vec::as_slice).collect();
            let mut z = vec![1.0; 6];
            basis.move_onto(&views, &targets[..kept.len()], &mut z);
            for (v, t) in kept.iter().zip(&targets) {
                prop_assert!((dot(v, &z) - t).abs() < 1e-12);
            }
            let others = complement(&basis, 6);
            prop_assert_eq!(others.len() + kept.len(), 6);
            for n in &others {
                prop_assert!(kept.iter().all(|v| dot(v, n).abs() < 1e-13));
                prop_assert!((dot(n, &z) - n.iter().sum::<f64>()).abs() < 1e-12, "moves along the span only");
            }
        }
    }

    #[test]
    fn span_finds_the_rank() {
        let s = 0.5f64.sqrt();
        let vectors = [vec![1.0, 0.0, 0.0], vec![s, s, 0.0], vec![0.0, 1.0, 0.0], vec![-s, s, 0.0]];
        let (basis, taken) = span(&vectors);
        assert_eq!((basis.len(), taken.len()), (2, 2));
        assert_eq!(span(&[vec![0.0; 3]]).0.len(), 0);
    }
}
