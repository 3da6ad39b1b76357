//! Deterministic test matrices.

use crate::{Csr, Dense};

/// A stream of numbers in [-1, 1) from splitmix64.
pub struct Stream(u64);

impl Stream {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1))
    }

    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn next(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }
}

pub fn dense(rows: usize, cols: usize, seed: u64) -> Dense {
    let mut stream = Stream::new(seed);
    Dense::from_fn(rows, cols, |_, _| stream.next())
}

pub fn symmetric(n: usize, seed: u64) -> Dense {
    let mut a = dense(n, n, seed);
    a.mirror_lower();
    a
}

pub fn spd(n: usize, seed: u64) -> Dense {
    let mut a = Dense::zeros(n, n);
    dense(n, n, seed).gram_add(1.0, None, &mut a).unwrap();
    for i in 0..n {
        a[(i, i)] += 0.1;
    }
    a
}

/// A matrix of rank at most `rank`.
pub fn of_rank(rows: usize, cols: usize, rank: usize, seed: u64) -> Dense {
    dense(rows, rank, seed).matmul(&dense(rank, cols, seed + 77)).unwrap()
}

pub fn sparse(rows: usize, cols: usize, seed: u64) -> Csr {
    let mut stream = Stream::new(seed);
    let full = Dense::from_fn(rows, cols, |_, _| if stream.next() > 0.3 { stream.next() } else { 0.0 });
    Csr::from_dense(&full)
}

/// `‖A x - b‖_inf`.
pub fn residual(a: &Dense, x: &[f64], b: &[f64]) -> f64 {
    let mut r: Vec<f64> = b.iter().map(|v| -v).collect();
    a.mul_add(1.0, x, &mut r);
    crate::vector::norm_inf(&r)
}
