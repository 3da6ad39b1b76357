//! A user's own objective with its sign turned.

use std::sync::Arc;

use crate::problem::{CallbackError, Objective};
use crate::smooth::Smoothing;

/// −code.
pub(super) fn negative(code: Arc<dyn Objective>) -> Arc<dyn Objective> {
    Arc::new(Negative(code))
}

struct Negative(Arc<dyn Objective>);

fn negate(values: &mut [f64]) {
    values.iter_mut().for_each(|v| *v = -*v);
}

impl Objective for Negative {
    fn value(&self, x: &[f64], y: &[f64], smoothing: Smoothing<'_>) -> Result<f64, CallbackError> {
        self.0.value(x, y, smoothing).map(|v| -v)
    }

    fn gradient(
        &self,
        x: &[f64],
        y: &[f64],
        smoothing: Smoothing<'_>,
        gradient_x: &mut [f64],
        gradient_y: &mut [f64],
    ) -> Result<f64, CallbackError> {
        let value = self.0.gradient(x, y, smoothing, gradient_x, gradient_y)?;
        negate(gradient_x);
        negate(gradient_y);
        Ok(-value)
    }

    fn hessian_vector(
        &self,
        x: &[f64],
        y: &[f64],
        smoothing: Smoothing<'_>,
        direction: (&[f64], &[f64]),
        out_x: &mut [f64],
        out_y: &mut [f64],
    ) -> Result<bool, CallbackError> {
        let there = self.0.hessian_vector(x, y, smoothing, direction, out_x, out_y)?;
        if there {
            negate(out_x);
            negate(out_y);
        }
        Ok(there)
    }
}
