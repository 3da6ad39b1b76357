//! Convex quadratic followers and tolls on networks: what is found, how well it is certified, and the processor's time.
//!
//! ```text
//! cargo bench -p bilevel --bench pieces                 all kinds at the small sizes, `strict` at all six
//! cargo bench -p bilevel --bench pieces -- box coupled  these kinds (strict, semidefinite, box, simplex, equality, free,
//!                                                       linear-leader, coupled) at all sizes; `all` for all kinds
//! ... -- seeds 5                                        so many instances of each (3)
//! ... -- most 100                                       only sizes with at most so many of the follower's variables
//! ... -- tolls                                          the networks alone
//! ... -- write FOLDER                                   the networks as problem files with sparse data
//! ```
//!
//! One thread, default options. Times are those of the processor, where the system tells them, else of the clock, without
//! the start of a process and the reading of a file.
#![allow(clippy::expect_used, reason = "a benchmark may stop at its own mistakes")]

use std::fmt::Write as _;
use std::time::Instant;

use bilevel::expr::Matrix;
use bilevel::prelude::*;
use bilevel_linalg::{Csr, Dense};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

const SIZES: [(usize, usize); 6] = [(5, 5), (10, 20), (20, 50), (40, 100), (100, 300), (300, 1000)];
const KINDS: [&str; 8] = ["strict", "semidefinite", "box", "simplex", "equality", "free", "linear-leader", "coupled"];
/// Followers with more variables are left to those who ask for a kind.
const SMALL: usize = 100;
/// The gap that a follower's answer should have.
const GAP: f64 = 1e-8;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let asked = |what: &str| arguments.iter().any(|a| a == what);
    let after = |what: &str| arguments.iter().position(|a| a == what).and_then(|k| arguments.get(k + 1));
    if let Some(folder) = after("write") {
        let network = Network::grid(23, 1);
        network.write(folder, "toll", 0.0).expect("the files can be written");
        network.write(folder, "toll_congestion", 0.1).expect("the files can be written");
        return;
    }
    let number = |what: &str, usual: usize| after(what).and_then(|v| v.parse().ok()).unwrap_or(usual);
    let (seeds, most) = (number("seeds", 3) as u64, number("most", usize::MAX));
    let named: Vec<&str> = KINDS.into_iter().filter(|kind| asked(kind) || asked("all")).collect();
    let kinds = if named.is_empty() { KINDS.to_vec() } else { named.clone() };
    header();
    if !asked("tolls") {
        for (n, m) in SIZES.into_iter().filter(|(_, m)| *m <= most) {
            let mut rows = Vec::new();
            for kind in kinds.iter().filter(|kind| m <= SMALL || !named.is_empty() || **kind == "strict") {
                for seed in 1..=if m <= SMALL { seeds } else { 1 } {
                    let problem = random(n, m, kind, seed).expect("a valid problem");
                    rows.push(run(&format!("{kind} {n}/{m} seed {seed}"), &problem));
                }
            }
            summary(&format!("{n}/{m}"), &rows);
        }
    }
    if asked("tolls") || (named.is_empty() && most > SMALL) {
        for side in [5, 12, 23] {
            let network = Network::grid(side, 1);
            let arcs = network.arcs.len();
            run(&format!("tolls, {arcs} arcs"), &network.problem(0.0).expect("a valid problem"));
            run(&format!("congestion, {arcs} arcs"), &network.problem(0.1).expect("a valid problem"));
        }
    }
}

/// What a summary is made of.
struct Row {
    solved: bool,
    gap: f64,
    seconds: f64,
}

fn header() {
    println!(
        "{:<27} {:<9} {:>16} {:>9} {:<11} {:>9} {:>9}",
        "problem", "status", "F", "gap", "", "residual", "seconds"
    );
}

fn run(name: &str, problem: &Problem) -> Row {
    let before = processor_seconds();
    let clock = Instant::now();
    let solution = problem.solve(&Options { threads: 1, ..Options::default() });
    let elapsed = clock.elapsed().as_secs_f64();
    let seconds = before.zip(processor_seconds()).map_or(elapsed, |(before, after)| after - before);
    let certificate = &solution.certificate;
    let (gap, rigor) = certificate.follower_gap.as_ref().map_or((f64::NAN, ""), |gap| (gap.value, gap.rigor.name()));
    let residual = certificate.stationarity.as_ref().map_or(f64::NAN, |s| s.residual);
    let upper = solution.upper.unwrap_or(f64::NAN);
    let status = solution.status;
    println!("{name:<27} {:<9} {upper:>16.9} {gap:>9.1e} {rigor:<11} {residual:>9.1e} {seconds:>9.3}", status.name());
    let relative = gap / (1.0 + solution.lower.map_or(f64::NAN, f64::abs));
    Row { solved: status == Status::Solved, gap: relative, seconds }
}

/// The worst of a size.
fn summary(size: &str, rows: &[Row]) {
    let solved = rows.iter().filter(|row| row.solved && row.gap <= GAP).count();
    let gap = rows.iter().fold(0.0, |most: f64, row| if row.gap.is_nan() { f64::NAN } else { most.max(row.gap) });
    let mut seconds: Vec<f64> = rows.iter().map(|row| row.seconds).collect();
    seconds.sort_by(f64::total_cmp);
    let (median, most) = (seconds[seconds.len() / 2], seconds[seconds.len() - 1]);
    println!(
        "{size}: solved with a gap of at most {GAP:.0e} {solved} of {}, largest gap {gap:.1e}, seconds: median {median:.3}, \
         most {most:.3}\n",
        rows.len()
    );
}

/// Time that the processor has spent on this process's first thread, where the system tells it.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some(1e-9 * nanoseconds)
}

/// min over x in [−1, 1]^n of ½‖y − t‖² + ½ xᵀHx − sᵀx, y the answer of min ½ yᵀQy + (c + P x)ᵀy, A x + B y <= b.
fn random(n: usize, m: usize, kind: &str, seed: u64) -> Result<Problem, ModelError> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut matrix = |rows: usize, cols: usize, scale: usize| {
        let scale = 1.0 / (scale as f64).sqrt();
        Dense::from_fn(rows, cols, |_, _| {
            scale * <StandardNormal as Distribution<f64>>::sample(&StandardNormal, &mut rng)
        })
    };
    let rank = if kind == "semidefinite" { 2 * m / 3 } else { m };
    let shift = if kind == "semidefinite" { 0.0 } else { 0.1 };
    let q = gram(&matrix(m, rank, m), shift);
    let h = gram(&matrix(n, n, n), 0.1);
    let (p, a, b, e) = (matrix(m, n, n), matrix(m / 2, n, n), matrix(m / 2, m, m), matrix(m.div_ceil(10), m, m));
    let vectors = matrix(1, 2 * m + n, 1);
    let (c, rest) = vectors.data().split_at(m);
    let (t, s) = rest.split_at(m);
    let right: Vec<f64> = (0..m / 2).map(|_| rng.random_range(0.1..1.5)).collect();

    let mut model = Model::new();
    let x = model.leader("x", n).within(Bounds::new(-1.0, 1.0)?)?;
    let y = model.follower("y", m);
    let y = match kind {
        "box" => y.within(Bounds::new(0.0, 1.0)?)?,
        "simplex" => y.within(Simplex::new(m, 1.0)?)?,
        "free" => y.free()?,
        _ => y.within(Bounds::new(-5.0, 5.0)?)?,
    };
    let vector = |values: &[f64]| x.graph().constant_vector(values);
    let (p, a, b, e) = (Matrix::from(p), Matrix::from(a), Matrix::from(b), Matrix::from(e));
    let slope = vector(c) + &p * &x;
    model.lower(y.quadratic(&Matrix::from(q)) / 2.0 + slope.dot(&y));
    let own = x.quadratic(&Matrix::from(h)) / 2.0 - vector(s).dot(&x);
    if kind == "linear-leader" {
        model.upper(vector(t).dot(&y) + own);
    } else {
        model.upper((&y - vector(t)).norm2sq() / 2.0 + own);
    }
    if !matches!(kind, "box" | "simplex") {
        model.lower_subject_to((&a * &x + &b * &y).at_most(vector(&right)));
    }
    if kind == "equality" {
        model.lower_subject_to((&e * &y).equal_to(0.0));
    }
    if kind == "coupled" {
        model.upper_subject_to((x.index(0) + y.sum()).at_most(1.0));
        model.upper_subject_to((x.sum() - y.index(0)).at_least(-2.0));
    }
    model.build()
}

fn gram(factor: &Dense, shift: f64) -> Dense {
    let mut out = factor.row_gram(None).expect("shapes fit");
    (0..out.rows()).for_each(|i| out[(i, i)] += shift);
    out
}

/// A grid with arcs both ways between neighbours; one unit goes from a corner to the opposite one. Some arcs are cheap,
/// and the leader may charge a toll there.
struct Network {
    nodes: usize,
    arcs: Vec<(usize, usize)>,
    costs: Vec<f64>,
    tolls: Vec<usize>,
}

impl Network {
    fn grid(side: usize, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut arcs = Vec::new();
        for i in 0..side {
            for j in 0..side {
                let node = i * side + j;
                if j + 1 < side {
                    arcs.extend([(node, node + 1), (node + 1, node)]);
                }
                if i + 1 < side {
                    arcs.extend([(node, node + side), (node + side, node)]);
                }
            }
        }
        let mut costs: Vec<f64> = arcs.iter().map(|_| rng.random_range(1.0..2.0)).collect();
        let tolls: Vec<usize> = (0..arcs.len()).filter(|_| rng.random_range(0..10) == 0).collect();
        tolls.iter().for_each(|&a| costs[a] *= 0.3);
        Self { nodes: side * side, arcs, costs, tolls }
    }

    /// The incidence matrix and the demand.
    fn flow(&self) -> (Csr, Vec<f64>) {
        let entries = self.arcs.iter().enumerate().flat_map(|(a, &(i, j))| [(i, a, 1.0), (j, a, -1.0)]);
        let triplets: Vec<_> = entries.collect();
        let mut demand = vec![0.0; self.nodes];
        (demand[0], demand[self.nodes - 1]) = (1.0, -1.0);
        (Csr::from_triplets(self.nodes, self.arcs.len(), &triplets).expect("places in range"), demand)
    }

    /// Which arc has which toll.
    fn charged(&self) -> Csr {
        let triplets: Vec<_> = self.tolls.iter().enumerate().map(|(k, &a)| (a, k, 1.0)).collect();
        Csr::from_triplets(self.arcs.len(), self.tolls.len(), &triplets).expect("places in range")
    }

    /// The leader maximises tolls; the follower minimises costs and tolls, with `congestion` half the squared flow.
    fn problem(&self, congestion: f64) -> Result<Problem, ModelError> {
        let mut model = Model::new();
        let toll = model.leader("T", self.tolls.len()).within(Bounds::new(0.0, 2.0)?)?;
        let y = model.follower("y", self.arcs.len()).within(Bounds::new(0.0, 1.0)?)?;
        let (incidence, demand) = self.flow();
        let (incidence, charged) = (Matrix::from(incidence), Matrix::from(self.charged()));
        let vector = |values: &[f64]| toll.graph().constant_vector(values);
        let paid = (&charged * &toll).dot(&y);
        let costs = vector(&self.costs).dot(&y) + &paid;
        model.upper_maximize(paid);
        model.lower(if congestion > 0.0 { costs + congestion / 2.0 * y.norm2sq() } else { costs });
        model.lower_subject_to((&incidence * &y).equal_to(vector(&demand)));
        model.build()
    }

    /// Writes the problem as `NAME.toml` with its matrices beside it.
    fn write(&self, folder: &str, name: &str, congestion: f64) -> std::io::Result<()> {
        std::fs::create_dir_all(folder)?;
        let (incidence, demand) = self.flow();
        let sparse = |a: &Csr| {
            let mut text = String::new();
            for i in 0..a.rows() {
                text.push('0');
                a.row(i).for_each(|(j, v)| write!(text, " {}:{v}", j + 1).unwrap_or_default());
                text.push('\n');
            }
            text
        };
        std::fs::write(format!("{folder}/{name}_N.libsvm"), sparse(&incidence))?;
        std::fs::write(format!("{folder}/{name}_S.libsvm"), sparse(&self.charged()))?;
        let squares = if congestion > 0.0 { format!(" + {}*norm2sq(y)", congestion / 2.0) } else { String::new() };
        let text = format!(
            "name = \"tolls on a grid\"\n\n[leader]\nT = \"vector({}) in [0, 2]\"\n\n[follower]\n\
             y = \"vector({}) in [0, 1]\"\n\n[constants]\nN = \"{name}_N.libsvm\"\nS = \"{name}_S.libsvm\"\n\
             c = {:?}\nd = {demand:?}\n\n[upper]\nmaximize = 'dot(S*T, y)'\n\n[lower]\n\
             minimize = 'dot(c, y) + dot(S*T, y){squares}'\nsubject_to = ['N*y == d']\n",
            self.tolls.len(),
            self.arcs.len(),
            self.costs
        );
        std::fs::write(format!("{folder}/{name}.toml"), text)
    }
}
