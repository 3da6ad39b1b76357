//! Derivatives as operations: the reverse mode written out, for functions without kinks.

use super::builder::Builder;
use super::code::{Code, Index, Program};
use super::unary::Unary;
use crate::proof::interval::Interval;

impl Builder {
    /// The partial derivatives of root `r` of `program`, with `with[v]` in place of variable v, in the variables
    /// `of`; `None` if the root may have a kink.
    pub fn derivatives(&mut self, program: &Program, r: usize, with: &[Index], of: &[usize]) -> Option<Vec<Index>> {
        let new = self.import_all(program, with);
        let zero = self.number(0.0);
        let mut adjoints = vec![zero; program.codes.len()];
        let mut out = vec![zero; program.variables];
        adjoints[program.roots[r] as usize] = self.number(1.0);
        for &i in program.needs[r].iter().rev() {
            let adjoint = adjoints[i as usize];
            if adjoint == zero {
                continue;
            }
            let at = |a: Index| new[a as usize];
            let mut gifts: Vec<(Index, Index)> = Vec::with_capacity(2);
            match program.codes[i as usize] {
                Code::Constant(_) => {}
                Code::Variable(v) => out[v as usize] = adjoint,
                Code::Add(a, b) => gifts.extend([(a, adjoint), (b, adjoint)]),
                Code::Sub(a, b) => gifts.extend([(a, adjoint), (b, self.apply(Unary::Neg, adjoint))]),
                Code::Mul(a, b) => {
                    gifts.extend([(a, self.mul(adjoint, at(b))), (b, self.mul(adjoint, at(a)))]);
                }
                Code::Div(a, b) => {
                    let part = self.div(adjoint, at(b));
                    let other = self.mul(part, at(i));
                    gifts.extend([(a, part), (b, self.apply(Unary::Neg, other))]);
                }
                Code::Max(..) | Code::Min(..) | Code::Norm { .. } => return None,
                Code::Apply(function, a) => {
                    let slope = self.slope(function, at(a), at(i))?;
                    gifts.push((a, self.mul(adjoint, slope)));
                }
            }
            for (a, amount) in gifts {
                adjoints[a as usize] = self.add(adjoints[a as usize], amount);
            }
        }
        Some(of.iter().map(|&v| out[v]).collect())
    }

    /// The derivative of `function` at `z`, where its value is `value`.
    fn slope(&mut self, function: Unary, z: Index, value: Index) -> Option<Index> {
        let one = self.number(1.0);
        let two = self.number(2.0);
        Some(match function {
            Unary::Neg => self.number(-1.0),
            Unary::Square => self.mul(two, z),
            Unary::Exp => value,
            Unary::Log => self.div(one, z),
            Unary::Log1p => {
                let shifted = self.add(one, z);
                self.div(one, shifted)
            }
            Unary::Expm1 => self.apply(Unary::Exp, z),
            Unary::Sqrt => {
                let double = self.mul(two, value);
                self.div(one, double)
            }
            Unary::Sin => self.apply(Unary::Cos, z),
            Unary::Cos => {
                let sine = self.apply(Unary::Sin, z);
                self.apply(Unary::Neg, sine)
            }
            Unary::Tan => {
                let square = self.apply(Unary::Square, value);
                self.add(one, square)
            }
            Unary::Tanh => {
                let square = self.apply(Unary::Square, value);
                self.sub(one, square)
            }
            Unary::Sigmoid => {
                let rest = self.sub(one, value);
                self.mul(value, rest)
            }
            Unary::Softplus => self.apply(Unary::Sigmoid, z),
            Unary::PlusSquare => {
                let plus = self.apply(Unary::Plus, z);
                self.mul(two, plus)
            }
            Unary::Whole(0) => self.number(0.0),
            Unary::Whole(n) => {
                let factor = self.number(f64::from(n));
                let power = self.apply(Unary::Whole(n - 1), z);
                self.mul(factor, power)
            }
            Unary::Power(p) => {
                let factor = self.constant(p);
                let power = self.apply(Unary::Power(p - Interval::ONE), z);
                self.mul(factor, power)
            }
            Unary::Abs | Unary::Plus | Unary::AbsPower(_) | Unary::Huber(_) => return None,
        })
    }
}
