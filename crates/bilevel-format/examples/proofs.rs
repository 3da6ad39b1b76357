//! Measures the proofs: how often, and how fast, on one core.
//!
//! ```text
//! cargo run --release -p bilevel-format --example proofs -- [--only PART] [FOLDER...]
//! ```
//!
//! FOLDER holds problem files (default: problems/bolib and problems/basblib); PART is one of gap, value, phi, wrong,
//! global, synthetic, large. Every problem with n + m <= 6 is used, and those with a known point where one is needed.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bilevel::expr::Matrix;
use bilevel::expr::parse::{Scope, parse_formula};
use bilevel::prelude::*;
use bilevel::proof::check::{Claim, Tolerances, Verdict};
use bilevel::proof::follower::Settings;
use bilevel::proof::problem::Formulas;
use bilevel_format::ProblemFile;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A problem with its formulas and, if known, a point.
struct Case {
    name: String,
    problem: Problem,
    formulas: Formulas,
    known: Option<(Vec<f64>, Vec<f64>)>,
    target: Option<f64>,
}

/// A clock of this thread's own work where the system has one, so that other programs do not count; else of time.
struct Clock {
    work: Option<u64>,
    start: Instant,
}

impl Clock {
    fn start() -> Self {
        Self { work: Self::work(), start: Instant::now() }
    }

    /// Nanoseconds of work of this thread so far.
    fn work() -> Option<u64> {
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        text.split_whitespace().next()?.parse().ok()
    }

    /// The time, or the work if that is less; the system counts work in ticks of up to 4 ms.
    fn seconds(&self) -> f64 {
        let time = self.start.elapsed().as_secs_f64();
        match (self.work, Self::work()) {
            (Some(before), Some(after)) => time.min((after - before) as f64 * 1e-9 + 0.004),
            _ => time,
        }
    }
}

/// Numbers between 0 and 1 from a seed, for points.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Prints the table of one part.
type Part = fn(&[Case]);

fn main() -> Outcome<()> {
    let mut folders = Vec::new();
    let mut only = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--only" {
            only = arguments.next();
        } else {
            folders.push(PathBuf::from(argument));
        }
    }
    if folders.is_empty() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../problems");
        folders = vec![root.join("bolib"), root.join("basblib")];
    }
    let cases = cases(&folders)?;
    println!("{} problems with n + m <= 6", cases.len());
    let wanted = |part: &str| only.as_deref().is_none_or(|name| name == part);
    let parts: [(&str, Part); 5] =
        [("gap", gaps), ("value", values), ("phi", hyper), ("wrong", wrong), ("global", global)];
    for (name, part) in parts {
        if wanted(name) {
            part(&cases);
        }
    }
    if wanted("synthetic") {
        synthetic()?;
    }
    if wanted("large") {
        large()?;
    }
    Ok(())
}

fn cases(folders: &[PathBuf]) -> Outcome<Vec<Case>> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for folder in folders {
        for entry in std::fs::read_dir(folder)? {
            paths.push(entry?.path());
        }
    }
    paths.retain(|path| path.extension().is_some_and(|e| e == "toml"));
    paths.sort();
    let mut cases = Vec::new();
    for path in paths {
        let ProblemFile { problem, known, .. } = match bilevel_format::load(&path, &[]) {
            Ok(file) => file,
            Err(mistakes) => return Err(mistakes.render(false).into()),
        };
        if problem.n() + problem.m() > 6 {
            continue;
        }
        let flat = |values: &bilevel::problem::NamedValues| values.0.iter().flat_map(|(_, v)| v.clone()).collect();
        let (x, y): (Vec<f64>, Vec<f64>) = (flat(&known.x), flat(&known.y));
        let complete = x.len() == problem.n() && y.len() == problem.m();
        let name = path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
        let formulas = Formulas::new(&problem)?;
        let target = known.upper.map(|upper| problem.leader().sense.apply(upper));
        cases.push(Case { name, problem, formulas, known: complete.then_some((x, y)), target });
    }
    Ok(cases)
}

fn small(cases: &[Case]) -> impl Iterator<Item = (&Case, &[f64], &[f64])> {
    cases.iter().filter(|case| case.problem.n() + case.problem.m() <= 4).filter_map(|case| {
        let (x, y) = case.known.as_ref()?;
        Some((case, x.as_slice(), y.as_slice()))
    })
}

fn share(part: usize, all: usize) -> String {
    format!("{part}/{all} = {:.1} %", 100.0 * part as f64 / all.max(1) as f64)
}

fn print_slowest(times: &mut [f64]) {
    times.sort_by(f64::total_cmp);
    let median = times.get(times.len() / 2).copied().unwrap_or(0.0);
    println!("  median {:.2} ms, longest {:.1} ms", 1e3 * median, 1e3 * times.last().copied().unwrap_or(0.0));
}

/// Follower gaps of the known points.
fn gaps(cases: &[Case]) {
    println!("\nfollower gap <= 1e-6 (1 + |v|) at the known point in 0.1 s (n + m <= 4)");
    let (mut done, mut total, mut empty) = (0, 0, 0);
    let mut times = Vec::new();
    for (case, x, y) in small(cases) {
        let clock = Clock::start();
        let proof = case.formulas.follower(x, Some(y), &Settings::default());
        let seconds = clock.seconds();
        let Ok(proof) = proof else { continue };
        if proof.empty {
            empty += 1;
            continue;
        }
        total += 1;
        times.push(seconds);
        let size = proof.objective.map_or(f64::NAN, |f| 1.0 + f.mag());
        let fine = proof.gap().is_some_and(|gap| gap <= 1e-6 * size) && seconds <= 0.1;
        done += usize::from(fine);
        if !fine {
            println!("  {}: gap {:?} in {seconds:.3} s", case.name, proof.gap());
        }
    }
    println!("  {}; Y(x) proved empty at {empty} more", share(done, total));
    print_slowest(&mut times);
}

/// v at random x.
fn values(cases: &[Case]) {
    println!("\nv(x) to 1e-6 (1 + |v|) in 0.1 s at 10 random x");
    let mut random = Numbers(1);
    let mut counts = [(0, 0); 2];
    let mut empty = 0;
    let mut times = Vec::new();
    for case in cases {
        let mut missed = 0;
        for _ in 0..10 {
            let x = random_leader(case, &mut random);
            let clock = Clock::start();
            let proof = case.formulas.follower(&x, None, &Settings::default());
            let seconds = clock.seconds();
            let Ok(proof) = proof else { continue };
            if proof.empty {
                empty += 1;
                continue;
            }
            let count = &mut counts[usize::from(case.problem.n() + case.problem.m() > 4)];
            count.1 += 1;
            times.push(seconds);
            let upper = proof.best_answer().map_or(f64::INFINITY, |(_, answer)| answer.value.hi());
            let fine = upper - proof.lower <= 1e-6 * (1.0 + upper.abs()) && seconds <= 0.1;
            count.0 += usize::from(fine);
            missed += usize::from(!fine);
        }
        if missed > 0 {
            println!("  {}: {missed} missed", case.name);
        }
    }
    for (label, (done, total)) in ["n + m <= 4", "n + m 5 and 6"].into_iter().zip(counts) {
        println!("  {label}: {}", share(done, total));
    }
    println!("  Y(x) proved empty at {empty} more");
    print_slowest(&mut times);
}

fn random_leader(case: &Case, random: &mut Numbers) -> Vec<f64> {
    let known = case.known.as_ref().map(|(x, _)| x.clone()).or(case.problem.start().map(|(x, _)| x.to_vec()));
    let centre = known.unwrap_or_else(|| vec![0.0; case.problem.n()]);
    let largest = centre.iter().fold(0.0, |a: f64, v| a.max(v.abs()));
    let radius = f64::max(10.0, 2.0 * largest);
    let place = |(z, c): (&bilevel::proof::interval::Interval, &f64)| {
        let (low, high) = (z.lo().max(c - radius), z.hi().min(c + radius));
        low + (high - low) * random.next()
    };
    case.formulas.domain.iter().zip(&centre).map(place).collect()
}

/// Bounds of phi.
fn hyper(cases: &[Case]) {
    println!("\nphi_o^eta and phi_p^eta (eta = 1e-6) to 1e-3 (1 + |F|) in 1 s (n + m <= 4)");
    let (mut done, mut total) = (0, 0);
    let mut times = Vec::new();
    for (case, x, y) in small(cases) {
        let clock = Clock::start();
        let Ok(follower) = case.formulas.follower(x, Some(y), &Settings::default()) else { continue };
        if follower.empty {
            continue;
        }
        total += 1;
        let found = case.formulas.hyper(x, &follower, 1e-6, 1e-4, &Settings::default()).ok().flatten();
        let seconds = clock.seconds();
        times.push(seconds);
        let narrow = |low: f64, high: f64| high - low <= 1e-3 * (1.0 + high.abs());
        let fine = found.as_ref().is_some_and(|h| {
            let no_answer = h.optimistic_lower == f64::INFINITY;
            (no_answer || narrow(h.optimistic_lower, h.optimistic_upper))
                && narrow(h.pessimistic_lower, h.pessimistic_upper)
        }) && seconds <= 1.0;
        done += usize::from(fine);
        if !fine {
            let shown =
                found.map(|h| (h.optimistic_lower, h.optimistic_upper, h.pessimistic_lower, h.pessimistic_upper));
            println!("  {}: {shown:?} in {seconds:.3} s", case.name);
        }
    }
    println!("  {}", share(done, total));
    print_slowest(&mut times);
}

/// Wrong points: the known answer moved, and answers of the follower at other starts.
fn wrong(cases: &[Case]) {
    println!("\nwrong points decided (refuted, or their gap proved) in 0.1 s (n + m <= 4)");
    let mut random = Numbers(2);
    let (mut decided, mut refuted, mut total) = (0, 0, 0);
    let mut times = Vec::new();
    for (case, x, y) in small(cases) {
        let domain = &case.formulas.domain[x.len()..];
        for size in [1e-3, 1e-2, 1e-1] {
            let moved = |(v, z): (&f64, &bilevel::proof::interval::Interval)| {
                let width = if z.is_bounded() { z.width() } else { 20.0 };
                (v + size * width * (2.0 * random.next() - 1.0)).clamp(z.lo(), z.hi())
            };
            let moved: Vec<f64> = y.iter().zip(domain).map(moved).collect();
            let clock = Clock::start();
            let proof = case.formulas.check(x, &moved, Claim::Answer, &Tolerances::default(), &Settings::default());
            let seconds = clock.seconds();
            let Ok(proof) = proof else { continue };
            total += 1;
            times.push(seconds);
            let size = proof.follower.objective.map_or(f64::NAN, |f| 1.0 + f.mag());
            let sure = proof.verdict == Verdict::Refuted
                || proof.follower.empty
                || proof.follower.gap().is_some_and(|gap| gap <= 1e-6 * size);
            refuted += usize::from(proof.verdict == Verdict::Refuted);
            decided += usize::from(sure && seconds <= 0.1);
            if !sure || seconds > 0.1 {
                println!("  {}: {:?}, gap {:?} in {seconds:.3} s", case.name, proof.verdict, proof.follower.gap());
            }
        }
    }
    println!("  {}; {refuted} of them refuted", share(decided, total));
    print_slowest(&mut times);
}

/// Gaps of the whole problem.
fn global(cases: &[Case]) {
    println!("\nglobal gap <= 1e-3 in 10 s, points and bounds by `solve --global`");
    let mut counts = [(0, 0); 3];
    let mut optimal = 0;
    for case in cases {
        let Some(target) = case.target else { continue };
        let size = case.problem.n() + case.problem.m();
        let options = Options {
            global: true,
            threads: 1,
            time_limit: Some(Duration::from_secs(60)),
            budget: 1_000_000,
            ..Options::default()
        };
        let clock = Clock::start();
        let solution = case.problem.solve(&options);
        let seconds = clock.seconds();
        let sense = case.problem.leader().sense;
        let bound = solution.certificate.global.as_ref().map_or(f64::NEG_INFINITY, |g| sense.apply(g.bound));
        let gap = solution.certificate.global.as_ref().and_then(|g| g.gap).unwrap_or(f64::INFINITY);
        let fine = gap <= 1e-3 * (1.0 + 1e-9) && seconds <= 10.0;
        optimal += usize::from(solution.status == Status::Optimal);
        for (k, fits) in [size <= 3, size <= 4, size > 4].into_iter().enumerate() {
            if fits {
                counts[k].0 += usize::from(fine);
                counts[k].1 += 1;
            }
        }
        let above = bound > target + 1e-3 * (1.0 + target.abs());
        if !fine || above {
            let mark = if above { "  BOUND ABOVE THE KNOWN VALUE" } else { "" };
            let value = solution.upper.map(|upper| sense.apply(upper));
            println!(
                "  {} ({size}): {} gap {gap:.1e}, bound {bound:.6}, value {value:?}, known {target} in {seconds:.1} s{mark}",
                case.name,
                solution.status.name()
            );
        }
    }
    for (label, (done, total)) in ["n + m <= 3", "n + m <= 4", "n + m 5 and 6"].into_iter().zip(counts) {
        println!("  {label}: {}", share(done, total));
    }
    println!("  status `optimal`: {optimal}; the others hold in a box that the problem does not have, or are open");
}

/// A problem in vectors from text; x is one number in [-1, 1].
fn from_text(m: usize, lower: &str, rows: &[String], y: (f64, f64)) -> Outcome<Problem> {
    let mut model = Model::new();
    let mut scope = Scope::new(model.graph());
    let x = model.leader("x", Shape::Vector(1)).within(Bounds::new(-1.0, 1.0)?)?;
    let follower = model.follower("y", Shape::Vector(m)).within(Bounds::uniform(m, y.0, y.1)?)?;
    scope.define("x", x.clone());
    scope.define("y", follower);
    let read = |text: &str| parse_formula(text, &scope).map_err(|error| error.to_string());
    model.upper(x.sum()).lower(read(lower)?);
    for row in rows {
        model.lower_subject_to(read(row)?.at_most(0.0));
    }
    Ok(model.build()?)
}

/// A sum over i < m of a text in which `#` stands for i and `%` for the next index.
fn sum_of(m: usize, count: usize, text: &str) -> String {
    let term = |i: usize| text.replace('#', &i.to_string()).replace('%', &((i + 1) % m).to_string());
    (0..count).map(term).collect::<Vec<_>>().join(" + ")
}

/// Nonconvex followers that are hard on purpose.
fn synthetic() -> Outcome<()> {
    println!("\nnonconvex followers: seconds until v is proved to 1e-6 (1 + |v|)");
    let families: [(&str, (f64, f64)); 9] = [
        ("coupled double wells", (-2.0, 2.0)),
        ("coupled double wells, ball", (-2.0, 2.0)),
        ("Styblinski-Tang", (-5.0, 5.0)),
        ("Rastrigin", (-5.12, 5.12)),
        ("Rosenbrock", (-2.0, 2.0)),
        ("indefinite quadratic, row", (-2.0, 2.0)),
        ("sums of min and max", (-2.0, 2.0)),
        ("two Gaussians", (-3.0, 3.0)),
        ("sum of sines", (-3.0, 3.0)),
    ];
    for (name, bounds) in families {
        let mut line = format!("  {name:28}");
        for m in 2..=6 {
            let (lower, rows) = family(name, m);
            let problem = from_text(m, &lower, &rows, bounds)?;
            let formulas = Formulas::new(&problem)?;
            let clock = Clock::start();
            let settings = Settings { nodes: 200_000, gap: 5e-7, ..Settings::default() };
            let proof = formulas.follower(&[0.3], None, &settings)?;
            let seconds = clock.seconds();
            let upper = proof.best_answer().map_or(f64::INFINITY, |(_, answer)| answer.value.hi());
            let closed = upper - proof.lower <= 1e-6 * (1.0 + upper.abs());
            let mark = if closed { ' ' } else { '!' };
            line.push_str(&format!(" {seconds:9.4}{mark}"));
        }
        println!("{line}");
    }
    println!("  columns m = 2..6; `!`: not closed within the budget");
    Ok(())
}

fn family(name: &str, m: usize) -> (String, Vec<String>) {
    let wells = format!("{} + {}", sum_of(m, m, "(y[#]^2 - 1)^2 + 0.1*x[0]*y[#]"), sum_of(m, m - 1, "0.3*y[#]*y[%]"));
    let text = match name {
        "coupled double wells" => wells,
        "coupled double wells, ball" => return (wells, vec![format!("{} - 1.5", sum_of(m, m, "y[#]^2"))]),
        "Styblinski-Tang" => sum_of(m, m, "0.5*(y[#]^4 - 16*y[#]^2 + 5*y[#]) + 0.1*x[0]*y[#]"),
        "Rastrigin" => sum_of(m, m, "(y[#] - 0.1*x[0])^2 - 10*cos(6.283185307179586*y[#]) + 10"),
        "Rosenbrock" => sum_of(m, m - 1, "100*(y[%] - y[#]^2)^2 + (1 - y[#] + 0.1*x[0])^2"),
        "indefinite quadratic, row" => {
            let f = format!("{} + {}", sum_of(m, m, "-y[#]^2 + x[0]*y[#]"), sum_of(m, m - 1, "2*y[#]*y[%]"));
            return (f, vec![format!("{} - 1", sum_of(m, m, "y[#]"))]);
        }
        "sums of min and max" => {
            sum_of(m, m, "min((y[#] - 1)^2, (y[#] + 1)^2 + 0.1) + max(0.2*y[#], -0.3*y[%]) + 0.1*x[0]*y[#]")
        }
        "two Gaussians" => {
            let (a, b) = (sum_of(m, m, "(y[#] - 1)^2"), sum_of(m, m, "(y[#] + 1)^2"));
            format!("-exp(-({a})) - (1 + 0.1*x[0])*exp(-({b})) + 0.01*({a})")
        }
        _ => sum_of(m, m, "sin(3*y[#]) + 0.1*(y[#] - x[0])^2 + 0.1*y[#]*y[%]"),
    };
    (text, Vec::new())
}

/// Convex quadratic followers of many variables: min ½ yᵀQy - cᵀy over a box, with and without rows.
fn large() -> Outcome<()> {
    println!("\nconvex quadratic followers: gap proved");
    for (m, rows) in [(30, 0), (100, 0), (300, 0), (300, 10)] {
        let mut random = Numbers(3 + m as u64 + rows as u64);
        let a: Vec<f64> = (0..m * m).map(|_| 2.0 * random.next() - 1.0).collect();
        let mut q = vec![0.0; m * m];
        for i in 0..m {
            for j in 0..m {
                let product: f64 = (0..m).map(|k| a[k * m + i] * a[k * m + j]).sum();
                q[i * m + j] = product / m as f64 + if i == j { 0.05 } else { 0.0 };
            }
        }
        let (answer, c, normals) = quadratic_data(m, rows, &q, &mut random);
        let mut model = Model::new();
        let x = model.leader("x", 1).within(Bounds::new(-1.0, 1.0)?)?;
        let y = model.follower("y", m).within(Bounds::uniform(m, -1.0, 1.0)?)?;
        let matrix = bilevel_dense(m, m, q).ok_or("a matrix of the wrong size")?;
        let linear = y.dot(&model.graph().constant_vector(&c));
        model.upper(x.norm2sq()).lower(y.quadratic(&matrix) * 0.5 - linear);
        for row in normals {
            // A little room, so that rounding leaves the answer feasible.
            let end: f64 = row.iter().zip(&answer).map(|(a, y)| a * y).sum::<f64>() + 1e-12;
            let row = y.dot(&model.graph().constant_vector(&row));
            model.lower_subject_to(row.at_most(end));
        }
        let problem = model.build()?;
        let clock = Clock::start();
        let formulas = Formulas::new(&problem)?;
        let read = clock.seconds();
        let clock = Clock::start();
        let proof = formulas.follower(&[0.0], Some(&answer), &Settings::default())?;
        let seconds = clock.seconds();
        let size = proof.objective.map_or(f64::NAN, |f| 1.0 + f.mag());
        println!(
            "  m = {m:3}, {rows:2} rows: relative gap {:.1e} in {:.1} ms (formulas read once in {:.1} ms)",
            proof.gap().unwrap_or(f64::INFINITY) / size,
            1e3 * seconds,
            1e3 * read
        );
    }
    Ok(())
}

fn bilevel_dense(rows: usize, columns: usize, entries: Vec<f64>) -> Option<Matrix> {
    bilevel_linalg::Dense::from_row_major(rows, columns, entries).map(Matrix::from)
}

/// An answer, some of it at its bounds, with c and active rows that make it optimal.
fn quadratic_data(m: usize, rows: usize, q: &[f64], random: &mut Numbers) -> (Vec<f64>, Vec<f64>, Vec<Vec<f64>>) {
    let answer: Vec<f64> = (0..m).map(|_| (3.0 * random.next() - 1.5).clamp(-1.0, 1.0)).collect();
    let mut c: Vec<f64> = (0..m).map(|i| (0..m).map(|j| q[i * m + j] * answer[j]).sum()).collect();
    for (c, y) in c.iter_mut().zip(&answer) {
        if y.abs() == 1.0 {
            *c += y * random.next();
        }
    }
    let mut normals = Vec::new();
    for _ in 0..rows {
        let (row, multiplier): (Vec<f64>, f64) = ((0..m).map(|_| 2.0 * random.next() - 1.0).collect(), random.next());
        c.iter_mut().zip(&row).for_each(|(c, a)| *c += multiplier * a);
        normals.push(row);
    }
    (answer, c, normals)
}
