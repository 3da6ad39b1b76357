//! stub
use super::Expr;
use super::structure::VariableBounds;
/// stub
#[derive(Clone, Debug)]
pub struct Lifted {
    pub objective: Expr,
    pub constraints: Vec<(Expr, bool)>,
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
}
impl Lifted {
    /// stub
    pub fn fill(&self, _x: &[f64], _y: &[f64], _out: &mut Vec<f64>) {}
}
/// stub
pub fn lift(_: &Expr, _: &[(Expr, bool)], _: &VariableBounds) -> Result<Lifted, ()> {
    Err(())
}
