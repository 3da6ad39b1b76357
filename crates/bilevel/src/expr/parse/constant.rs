//! The value of a formula without variables.

use super::super::{Expr, Tape, Workspace};
use super::scope::constant_values;
use crate::smooth::Smoothing;

/// The entries of a formula without variables; `None` if it has variables.
pub(super) fn constant_entries(expr: &Expr) -> Option<Vec<f64>> {
    if let Some((values, _)) = constant_values(expr) {
        return Some(values.to_vec());
    }
    // Without variables to read, a formula that needs any does not compile.
    let tape = Tape::compile(std::slice::from_ref(expr), 0, 0).ok()?;
    let mut workspace = Workspace::new(&tape);
    Some(tape.evaluate(&mut workspace, &[], &[], Smoothing::EXACT).output(0).to_vec())
}
