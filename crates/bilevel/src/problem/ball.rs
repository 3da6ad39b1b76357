//! A Euclidean ball as a constraint function: ‖z − centre‖² − radius² <= 0.

use super::{CallbackError, Objective};
use crate::expr::Level;
use crate::set::BallPart;
use crate::smooth::Smoothing;

/// The squared distance to a ball's centre, less its squared radius, as a function of one level's variables.
#[derive(Clone, Debug)]
pub(crate) struct BallFunction {
    level: Level,
    ball: BallPart,
}

impl BallFunction {
    pub(crate) fn new(level: Level, ball: BallPart) -> Self {
        Self { level, ball }
    }

    fn part<'a>(&self, x: &'a [f64], y: &'a [f64]) -> &'a [f64] {
        let flat = if self.level == Level::Leader { x } else { y };
        &flat[self.ball.start..self.ball.start + self.ball.centre.len()]
    }

    fn out<'a>(&self, out_x: &'a mut [f64], out_y: &'a mut [f64]) -> &'a mut [f64] {
        out_x.fill(0.0);
        out_y.fill(0.0);
        let flat = if self.level == Level::Leader { out_x } else { out_y };
        &mut flat[self.ball.start..self.ball.start + self.ball.centre.len()]
    }
}

impl Objective for BallFunction {
    fn value(&self, x: &[f64], y: &[f64], _: Smoothing<'_>) -> Result<f64, CallbackError> {
        let squares: f64 = self.part(x, y).iter().zip(&self.ball.centre).map(|(z, c)| (z - c) * (z - c)).sum();
        Ok(squares - self.ball.radius * self.ball.radius)
    }

    fn gradient(
        &self,
        x: &[f64],
        y: &[f64],
        smoothing: Smoothing<'_>,
        gradient_x: &mut [f64],
        gradient_y: &mut [f64],
    ) -> Result<f64, CallbackError> {
        let part = self.part(x, y);
        for ((g, z), c) in self.out(gradient_x, gradient_y).iter_mut().zip(part).zip(&self.ball.centre) {
            *g = 2.0 * (z - c);
        }
        self.value(x, y, smoothing)
    }

    fn hessian_vector(
        &self,
        _: &[f64],
        _: &[f64],
        _: Smoothing<'_>,
        direction: (&[f64], &[f64]),
        out_x: &mut [f64],
        out_y: &mut [f64],
    ) -> Result<bool, CallbackError> {
        let part = self.part(direction.0, direction.1);
        self.out(out_x, out_y).iter_mut().zip(part).for_each(|(h, d)| *h = 2.0 * d);
        Ok(true)
    }
}
