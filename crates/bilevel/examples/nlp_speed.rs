//! Prints how long the nonlinear solvers take: `cargo run --release -p bilevel --example nlp_speed`.

use std::hint::black_box;
use std::time::Instant;

use bilevel::nlp::{Frame, Nlp, Solution, interior_point, sqp};
use bilevel_linalg::{Csr, Dense};

/// ½ (z − a)ᵀP(z − a) + Σ exp(z_i) w, with P = I + q qᵀ, and optionally the constraint ‖z‖² <= radius².
struct Convex {
    frame: Frame,
    a: Vec<f64>,
    q: Vec<f64>,
    w: f64,
}

impl Convex {
    fn new(d: usize, row: bool, ball: bool) -> Self {
        let mut frame = Frame::bounded(vec![0.0; d], vec![1.5; d]);
        if row {
            let triplets: Vec<_> = (0..d).map(|j| (0, j, 1.0)).collect();
            frame.rows = Csr::from_triplets(1, d, &triplets).unwrap_or(Csr::empty(1, d));
            (frame.row_lower, frame.row_upper) = (vec![f64::NEG_INFINITY], vec![0.6 * d as f64]);
        }
        if ball {
            (frame.constraint_lower, frame.constraint_upper) = (vec![f64::NEG_INFINITY], vec![0.5 * d as f64]);
        }
        let entry = |j: usize| ((j * 7919) % 101) as f64 / 50.0;
        Self { frame, a: (0..d).map(entry).collect(), q: (0..d).map(|j| 0.3 - entry(j + 3) / 4.0).collect(), w: 0.1 }
    }

    fn along(&self, z: &[f64]) -> f64 {
        z.iter().zip(&self.a).zip(&self.q).map(|((z, a), q)| (z - a) * q).sum()
    }
}

impl Nlp for Convex {
    fn frame(&self) -> &Frame {
        &self.frame
    }
    fn objective(&mut self, z: &[f64]) -> f64 {
        let t = self.along(z);
        let squares: f64 = z.iter().zip(&self.a).map(|(z, a)| (z - a) * (z - a)).sum();
        0.5 * (squares + t * t) + self.w * z.iter().map(|v| v.exp()).sum::<f64>()
    }
    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        let t = self.along(z);
        for (j, o) in out.iter_mut().enumerate() {
            *o = z[j] - self.a[j] + t * self.q[j] + self.w * z[j].exp();
        }
    }
    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        out.fill(z.iter().map(|v| v * v).sum());
    }
    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        out.data_mut().iter_mut().zip(z).for_each(|(o, v)| *o = 2.0 * v);
    }
    fn hessian(&mut self, z: &[f64], objective_weight: f64, weights: &[f64], out: &mut Dense) -> bool {
        let ball: f64 = 2.0 * weights.iter().sum::<f64>();
        for (i, v) in z.iter().enumerate() {
            for (o, q) in out.row_mut(i).iter_mut().zip(&self.q) {
                *o = objective_weight * self.q[i] * q;
            }
            out[(i, i)] += objective_weight * (1.0 + self.w * v.exp()) + ball;
        }
        true
    }
}

/// Problem 71 of Hock & Schittkowski.
struct Hs71(Frame);

impl Hs71 {
    fn new() -> Self {
        let mut frame = Frame::bounded(vec![1.0; 4], vec![5.0; 4]);
        (frame.constraint_lower, frame.constraint_upper) = (vec![25.0, 40.0], vec![f64::INFINITY, 40.0]);
        Self(frame)
    }
}

impl Nlp for Hs71 {
    fn frame(&self) -> &Frame {
        &self.0
    }
    fn objective(&mut self, z: &[f64]) -> f64 {
        z[0] * z[3] * (z[0] + z[1] + z[2]) + z[2]
    }
    fn gradient(&mut self, z: &[f64], out: &mut [f64]) {
        let sum = z[0] + z[1] + z[2];
        out.copy_from_slice(&[z[3] * (sum + z[0]), z[0] * z[3], z[0] * z[3] + 1.0, z[0] * sum]);
    }
    fn constraints(&mut self, z: &[f64], out: &mut [f64]) {
        out.copy_from_slice(&[z.iter().product(), z.iter().map(|v| v * v).sum()]);
    }
    fn jacobian(&mut self, z: &[f64], out: &mut Dense) {
        let (a, b, c, d) = (z[0], z[1], z[2], z[3]);
        out.row_mut(0).copy_from_slice(&[b * c * d, a * c * d, a * b * d, a * b * c]);
        out.row_mut(1).iter_mut().zip(z).for_each(|(o, v)| *o = 2.0 * v);
    }
    fn hessian(&mut self, z: &[f64], w: f64, y: &[f64], out: &mut Dense) -> bool {
        let (a, b, c, d) = (z[0], z[1], z[2], z[3]);
        out.data_mut().fill(0.0);
        let entries = [
            (0, 0, 2.0 * w * d),
            (1, 0, w * d + y[0] * c * d),
            (2, 0, w * d + y[0] * b * d),
            (3, 0, w * (2.0 * a + b + c) + y[0] * b * c),
            (2, 1, y[0] * a * d),
            (3, 1, w * a + y[0] * a * c),
            (3, 2, w * a + y[0] * a * b),
        ];
        for (i, j, v) in entries {
            out[(i, j)] = v;
            out[(j, i)] = v;
        }
        (0..4).for_each(|i| out[(i, i)] += 2.0 * y[1]);
        true
    }
}

/// The shortest of five rounds, in microseconds a call.
fn time(name: &str, mut work: impl FnMut() -> Solution) {
    let s = work();
    let calls = 200;
    let best = (0..5)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..calls {
                black_box(work());
            }
            start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
        })
        .fold(f64::INFINITY, f64::min);
    println!(
        "{name:42} {best:9.1} us  {:?}, {} iterations, {} values, residual {:.0e}",
        s.status, s.iterations, s.evaluations.values, s.residuals.scaled
    );
}

fn main() {
    for (d, row, ball) in [(2, false, false), (2, true, false), (2, true, true), (20, true, true), (100, true, true)] {
        let mut problem = Convex::new(d, row, ball);
        let start = vec![0.5; d];
        let name = format!("d = {d}, row {row}, ball {ball}");
        let (inner, outer) = (interior_point::Settings::default(), sqp::Settings::default());
        time(&format!("interior point, {name}"), || interior_point::solve(&mut problem, &start, &inner));
        let cold = interior_point::solve(&mut problem, &start, &inner);
        let warm = || Some(interior_point::WarmStart { multipliers: &cold.multipliers, barrier: 1e-4 });
        problem.a.iter_mut().for_each(|a| *a += 0.01);
        time(&format!("  warm, {name}"), || interior_point::solve_with(&mut problem, &cold.z, warm(), &inner, None));
        time(&format!("sqp, {name}"), || sqp::solve(&mut problem, &start, &outer));
    }
    let mut hs71 = Hs71::new();
    let start = [1.0, 5.0, 5.0, 1.0];
    time("interior point, HS71", || interior_point::solve(&mut hs71, &start, &interior_point::Settings::default()));
    time("sqp, HS71", || sqp::solve(&mut hs71, &start, &sqp::Settings::default()));
}
