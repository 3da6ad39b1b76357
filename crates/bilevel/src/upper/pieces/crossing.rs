//! The Hessian of φ on a piece, and what an exchange does to it: a matrix of rank one is added, as to all normals of
//! guards.

use bilevel_linalg::Dense;
use bilevel_linalg::vector::{axpy, dot};

use super::guard::Kind;
use super::piece::{Piece, Response, Side};
use super::{Descent, QuadraticLeader};

impl Descent<'_> {
    /// Exchanges the item: the neighbouring piece becomes the piece.
    pub(super) fn cross(&mut self, item: usize, touched: Side, response: &Response) -> bool {
        let scale = 1.0 / response.pivot;
        let answers: Vec<f64> = self
            .guards
            .iter()
            .map(|guard| match guard.kind {
                Kind::Row(i) => self.leader.rows_y.row_dot(i, &response.y),
                Kind::Kink(other, _) if other != item => self.piece.answer(other, response),
                Kind::Kink(..) => 0.0,
            })
            .collect();
        let n = self.piece.x.len();
        // R + (Wᵀ H u) aᵀ/S + a (Wᵀ H u)ᵀ/S + uᵀHu a aᵀ/S²
        let mut long = vec![0.0; n + response.y.len()];
        let z = [&vec![0.0; n][..], &response.y].concat();
        self.leader.hessian.mul_add(1.0, &z, &mut long);
        let (by_x, by_y) = long.split_at(n);
        let bend = dot(by_y, &response.y);
        let (mut coupling, ..) = self.piece.adjoint(by_y, &vec![0.0; self.piece.rows.len()]);
        axpy(1.0, by_x, &mut coupling);
        axpy(0.5 * bend * scale, &response.normal, &mut coupling);
        let was_held = self.piece.sides[item] != Side::Free;
        if !self.piece.exchange(item, if was_held { Side::Free } else { touched }) {
            return false;
        }
        for i in 0..n {
            let row = self.hessian.row_mut(i);
            axpy(scale * coupling[i], &response.normal, row);
            axpy(scale * response.normal[i], &coupling, row);
        }
        for (guard, answer) in self.guards.iter_mut().zip(answers) {
            axpy(answer * scale, &response.normal, &mut guard.normal);
        }
        self.exchanges += 1;
        self.evaluate();
        true
    }
}

/// [I; Z]ᵀ H [I; Z] with y moving as Z x; `None` if it is time to stop.
pub(super) fn reduced_hessian(leader: &QuadraticLeader, piece: &mut Piece<'_>) -> Option<Dense> {
    let n = piece.x.len();
    let mut moves: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut out = Dense::zeros(n, n);
    for k in 0..n {
        if bilevel_linalg::stop::asked() {
            return None;
        }
        let mut unit = vec![0.0; n];
        unit[k] = 1.0;
        let z = [&unit[..], &piece.motion(&unit).y].concat();
        let mut bent = vec![0.0; z.len()];
        leader.hessian.mul_add(1.0, &z, &mut bent);
        moves.push(z);
        for (l, other) in moves.iter().enumerate() {
            let value = dot(&bent, other);
            (out[(k, l)], out[(l, k)]) = (value, value);
        }
    }
    Some(out)
}
