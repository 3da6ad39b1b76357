//! From the levels of a problem to its data, where both are quadratic and all constraints affine.

use bilevel_linalg::Csr;

use super::QuadraticProblem;
use super::data::{Coefficients, QuadraticFollower, QuadraticLeader};
use crate::expr::structure::{Block, QuadraticForm, Structure, VariableBounds};
use crate::expr::{Expr, Matrix};
use crate::lower::Follower;
use crate::upper::Leader;

impl QuadraticProblem {
    /// The data of both levels; `None` if one has anything else than a quadratic objective and affine constraints. The
    /// follower has to be convex in y.
    pub fn recognise(leader: &Leader, follower: &Follower) -> Option<Self> {
        if !leader.system.functions.is_empty() || !follower.system.functions.is_empty() || follower.n == 0 {
            return None;
        }
        let (n, m) = (follower.n, follower.size());
        let auxiliary = leader.auxiliary(n);
        let lower = form(follower.objective.expr()?, n, m)?;
        let upper = form(leader.objective.expr()?, n, m + auxiliary)?;
        let width = n + auxiliary;
        let linear = lower.linear?;
        let rows_y = follower.system.rows.columns(n..n + m);
        let data = QuadraticFollower {
            hessian: block(&lower.hessian, n..n + m, n..n + m, m)?,
            cross: block(&lower.hessian, n..n + m, 0..n, width)?,
            linear: linear[n..n + m].to_vec(),
            lower: follower.lower.clone(),
            upper: follower.upper.clone(),
            rows_x: follower.system.rows.columns(0..n).widened(width),
            columns_y: rows_y.transpose(),
            rows_y,
            row_lower: follower.system.row_lower.clone(),
            row_upper: follower.system.row_upper.clone(),
        };
        Some(Self { leader: leader_data(leader, upper, n, m)?, follower: data, n, y: follower.m })
    }
}

/// The leader's data over (x, auxiliary, y): the auxiliary variables of its set move before y.
fn leader_data(leader: &Leader, form: QuadraticForm, n: usize, m: usize) -> Option<QuadraticLeader> {
    let auxiliary = leader.auxiliary(n);
    let place = |j: usize| match j {
        j if j < n => j,
        j if j < n + m => j + auxiliary,
        j => j - m,
    };
    let size = n + auxiliary + m;
    let old = form.linear?;
    let mut linear = vec![0.0; size];
    old.iter().enumerate().for_each(|(j, &v)| linear[place(j)] = v);
    let hessian = if auxiliary == 0 {
        block(&form.hessian, 0..size, 0..size, size)?
    } else {
        let mut triplets = Vec::new();
        form.hessian.for_each(|i, j, v| triplets.push((place(i), place(j), v)));
        Coefficients::Sparse(Csr::from_triplets(size, size, &triplets)?)
    };
    let rows = &leader.system.rows;
    let (mut of_x, mut of_y) = (Vec::new(), Vec::new());
    for i in 0..rows.rows() {
        for (j, v) in rows.row(i) {
            match place(j).checked_sub(n + auxiliary) {
                Some(j) => of_y.push((i, j, v)),
                None => of_x.push((i, place(j), v)),
            }
        }
    }
    Some(QuadraticLeader {
        hessian,
        linear,
        constant: form.constant?,
        lower: leader.lower.clone(),
        upper: leader.upper.clone(),
        rows_x: Csr::from_triplets(rows.rows(), n + auxiliary, &of_x)?,
        rows_y: Csr::from_triplets(rows.rows(), m, &of_y)?,
        row_lower: leader.system.row_lower.clone(),
        row_upper: leader.system.row_upper.clone(),
    })
}

fn form(expr: &Expr, n: usize, m: usize) -> Option<QuadraticForm> {
    let structure = Structure::new(std::slice::from_ref(expr), &VariableBounds::unbounded(n, m)).ok()?;
    structure.quadratic(*structure.roots().first()?, Block::Both)
}

/// A block of a matrix, `width` columns wide: dense where much of it is filled, else sparse.
fn block(
    matrix: &Matrix,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    width: usize,
) -> Option<Coefficients> {
    let mut triplets = Vec::new();
    matrix.for_each(|i, j, v| {
        if v != 0.0 && rows.contains(&i) && columns.contains(&j) {
            triplets.push((i - rows.start, j - columns.start, v));
        }
    });
    if triplets.len() > FILLED * rows.len() * width / 100 {
        let mut dense = bilevel_linalg::Dense::zeros(rows.len(), width);
        triplets.iter().for_each(|&(i, j, v)| dense[(i, j)] = v);
        return Some(Coefficients::Dense(dense));
    }
    Csr::from_triplets(rows.len(), width, &triplets).map(Coefficients::Sparse)
}

/// From this part of entries, in percent, a matrix is stored densely.
const FILLED: usize = 20;
