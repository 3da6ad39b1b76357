//! Prints how long the kernels take: `cargo run --release -p bilevel-linalg --example speed`.

use std::hint::black_box;
use std::time::Instant;

use bilevel_linalg::qp::{Qp, QpHessian, QpOptions, solve_qp};
use bilevel_linalg::{Cholesky, Csr, Dense, Ldlt};

/// The shortest of five rounds, in microseconds a call.
fn time(mut work: impl FnMut()) -> f64 {
    let start = Instant::now();
    work();
    let calls = (0.02 / start.elapsed().as_secs_f64().max(1e-9)).clamp(1.0, 1e6) as usize;
    (0..5)
        .map(|_| {
            let start = Instant::now();
            (0..calls).for_each(|_| work());
            start.elapsed().as_secs_f64() * 1e6 / calls as f64
        })
        .fold(f64::INFINITY, f64::min)
}

fn entry(i: usize, j: usize) -> f64 {
    ((i * 7919 + j * 104_729 + i * j) % 1009) as f64 / 504.5 - 1.0
}

fn symmetric(n: usize, shift: f64) -> Dense {
    Dense::from_fn(n, n, |i, j| entry(i.min(j), i.max(j)) + if i == j { shift } else { 0.0 })
}

fn products() {
    for n in [10, 100, 2000] {
        let (a, v) = (Dense::from_fn(n, n, entry), vec![1.0; n]);
        let mut out = vec![0.0; n];
        let gigabytes = (n * n * 8) as f64 / 1e3;
        let straight = time(|| a.mul_add(1.0, black_box(&v), black_box(&mut out)));
        let transposed = time(|| a.transpose_mul_add(1.0, black_box(&v), black_box(&mut out)));
        println!(
            "dense {n}: A v {straight:.3} us ({:.1} GB/s), A' v {transposed:.3} us ({:.1} GB/s)",
            gigabytes / straight,
            gigabytes / transposed
        );
    }
    let triplets: Vec<_> = (0..1_000_000usize).map(|k| (k % 20_000, (k * 7919) % 19_997, 1.0)).collect();
    let start = Instant::now();
    let Some(a) = Csr::from_triplets(20_000, 20_000, &triplets) else { return };
    println!("a million triplets: {:.0} us", start.elapsed().as_secs_f64() * 1e6);
    let (v, mut out) = (vec![1.0; 20_000], vec![0.0; 20_000]);
    println!("sparse of a million: A v {:.0} us", time(|| a.mul_add(1.0, black_box(&v), black_box(&mut out))));
    println!(
        "sparse of a million: A' v {:.0} us",
        time(|| a.transpose_mul_add(1.0, black_box(&v), black_box(&mut out)))
    );
}

fn factors() {
    for n in [2, 4, 8, 16, 32, 60, 100, 200, 400, 800] {
        let (definite, indefinite) = (symmetric(n, 2.0 * n as f64), symmetric(n, 0.0));
        let (mut cholesky, mut ldlt, mut b) = (Cholesky::new(), Ldlt::new(), vec![1.0; n]);
        let llt_time = time(|| assert!(cholesky.factor(black_box(&definite), 0.0).is_ok()));
        let ldlt_time = time(|| assert!(ldlt.factor(black_box(&indefinite)).is_ok()));
        let solve_time = time(|| assert!(ldlt.solve(black_box(&mut b)).is_ok()));
        println!("n = {n}: Cholesky {llt_time:.2} us, LDLT {ldlt_time:.2} us, its solve {solve_time:.2} us");
    }
}

fn programmes() {
    for (n, r) in [(2, 1), (4, 3), (10, 5), (30, 20), (100, 50)] {
        let hessian = symmetric(n, 2.0 * n as f64);
        let linear: Vec<f64> = (0..n).map(|j| 10.0 * entry(j, 3)).collect();
        let rows = Csr::from_dense(&Dense::from_fn(r, n, entry));
        let qp = Qp {
            hessian: QpHessian::Dense(&hessian),
            linear: &linear,
            lower: &vec![-0.5; n],
            upper: &vec![0.5; n],
            rows: &rows,
            row_lower: &vec![-0.1; r],
            row_upper: &vec![0.1; r],
            balls: &[],
        };
        let plain = QpOptions { polish: false, ..QpOptions::default() };
        let mut solution = None;
        let bare = time(|| solution = solve_qp(black_box(&qp), &plain).ok());
        let polished = time(|| solution = solve_qp(black_box(&qp), &QpOptions::default()).ok());
        if let Some(s) = solution {
            println!(
                "QP {n} x {r}: {bare:.1} us, polished {polished:.1} us; {:?}, {} iterations, residual {:.0e}",
                s.status, s.iterations, s.residual
            );
        }
    }
}

fn main() {
    products();
    factors();
    programmes();
}
