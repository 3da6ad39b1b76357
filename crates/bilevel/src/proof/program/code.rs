//! The scalar operations, and programs of them.

use super::unary::Unary;
use crate::proof::interval::Interval;

/// Number of an operation in its program; arguments have smaller numbers.
pub type Index = u32;

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Code {
    /// A number that the interval contains.
    Constant(Interval),
    /// A variable.
    Variable(Index),
    /// Sum.
    Add(Index, Index),
    /// Difference.
    Sub(Index, Index),
    /// Product.
    Mul(Index, Index),
    /// Quotient.
    Div(Index, Index),
    /// Larger of two.
    Max(Index, Index),
    /// Smaller of two.
    Min(Index, Index),
    /// A function of one argument.
    Apply(Unary, Index),
    /// (Σ|z_i|^p)^(1/p) of the arguments `start..start + len` of the program's list, p > 0.
    Norm {
        /// First argument in the list.
        start: Index,
        /// Number of arguments.
        len: Index,
        /// The power.
        p: f64,
    },
}

/// What is known of an operation's result as a function of the variables.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Facts {
    /// 0 constant, 1 affine, 2 quadratic, 3 anything.
    pub degree: u8,
    /// Defined everywhere.
    pub total: bool,
    /// May have kinks.
    pub kinks: bool,
}

/// A program: operations, variables, roots.
#[derive(Clone, Debug, Default)]
pub struct Program {
    pub(super) codes: Vec<Code>,
    pub(super) list: Vec<Index>,
    pub(super) roots: Vec<Index>,
    pub(super) variables: usize,
    /// For each root, the operations that it needs, increasing.
    pub(super) needs: Vec<Vec<Index>>,
    pub(super) facts: Vec<Facts>,
}

impl Program {
    /// Number of variables.
    pub fn variables(&self) -> usize {
        self.variables
    }

    /// Number of roots.
    pub fn roots(&self) -> usize {
        self.roots.len()
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.codes.len()
    }

    /// Whether there are no operations.
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// Degree of root `r` as a polynomial: 0, 1, 2, or 3 for anything else.
    pub fn degree(&self, r: usize) -> u8 {
        self.facts[self.roots[r] as usize].degree
    }

    /// Whether some root may have a kink.
    pub fn has_kinks(&self) -> bool {
        self.roots.iter().any(|&root| self.facts[root as usize].kinks)
    }

    /// Whether root `r` is defined everywhere.
    pub fn is_total(&self, r: usize) -> bool {
        self.facts[self.roots[r] as usize].total
    }

    /// All operations.
    pub fn codes(&self) -> &[Code] {
        &self.codes
    }

    /// The operation of root `r`.
    pub fn root(&self, r: usize) -> Index {
        self.roots[r]
    }

    /// The arguments of operation `i` if it is a norm.
    pub fn norm_arguments(&self, i: usize) -> &[Index] {
        match self.codes.get(i) {
            Some(&Code::Norm { start, len, .. }) => &self.list[start as usize..(start + len) as usize],
            _ => &[],
        }
    }

    /// The variables that root `r` depends on, increasing.
    pub fn variables_of(&self, r: usize) -> Vec<usize> {
        let mut found: Vec<_> = self.needs[r]
            .iter()
            .filter_map(|&i| match self.codes[i as usize] {
                Code::Variable(v) => Some(v as usize),
                _ => None,
            })
            .collect();
        found.sort_unstable();
        found
    }
}

/// Calls `visit` with each argument of `code`.
pub(super) fn arguments(code: Code, list: &[Index], mut visit: impl FnMut(Index)) {
    match code {
        Code::Constant(_) | Code::Variable(_) => {}
        Code::Add(a, b) | Code::Sub(a, b) | Code::Mul(a, b) | Code::Div(a, b) | Code::Max(a, b) | Code::Min(a, b) => {
            visit(a);
            visit(b);
        }
        Code::Apply(_, a) => visit(a),
        Code::Norm { start, len, .. } => list[start as usize..(start + len) as usize].iter().for_each(|&a| visit(a)),
    }
}

/// The operations that each root needs, increasing.
pub(super) fn needs(program: &Program) -> Vec<Vec<Index>> {
    // The last root for which an operation was seen.
    let mut seen = vec![usize::MAX; program.codes.len()];
    let of = |(number, &root): (usize, &Index)| {
        let mut found = vec![root];
        seen[root as usize] = number;
        let mut next = 0;
        while let Some(&i) = found.get(next) {
            next += 1;
            arguments(program.codes[i as usize], &program.list, |a| {
                if seen[a as usize] != number {
                    seen[a as usize] = number;
                    found.push(a);
                }
            });
        }
        found.sort_unstable();
        found
    };
    program.roots.iter().enumerate().map(of).collect()
}
