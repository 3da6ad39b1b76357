//! stub
use super::{Iteration, Nlp, Solution, interior_point};
/// stub
#[derive(Clone, Debug, Default)]
pub struct Settings {}
/// stub
pub fn solve(nlp: &mut dyn Nlp, start: &[f64], _: &Settings) -> Solution {
    interior_point::solve(nlp, start, &interior_point::Settings::default())
}
/// stub
pub fn solve_with(
    nlp: &mut dyn Nlp,
    start: &[f64],
    s: &Settings,
    _c: Option<&mut dyn FnMut(&Iteration<'_>) -> bool>,
) -> Solution {
    solve(nlp, start, s)
}
