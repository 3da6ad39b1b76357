//! The value of a formula without variables.

use super::super::{Expr, Op};

/// The entries of a formula without variables; `None` if it has variables.
pub(super) fn constant_entries(expr: &Expr) -> Option<Vec<f64>> {
    let id = expr.id()?;
    if let Op::Constant { values, .. } = expr.graph().node(id).op {
        return Some(values.to_vec());
    }
    None
}
