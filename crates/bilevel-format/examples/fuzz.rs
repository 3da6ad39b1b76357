//! Fuzzing of the formula parser, the problem files and the data readers with a stable toolchain.
//!
//! ```text
//! cargo run --release -p bilevel-format --example fuzz -- [SECONDS] [SEED] [PROBLEMS]
//! ```
//!
//! Starts from the problem files under PROBLEMS (default `problems`), the formulas in them, and small data files; mutates
//! them at random; keeps what brings a message that was not seen before. A panic, or an answer that takes longer than a
//! second, is a crash: its input is written to the folder for temporary files, and the program ends with 1. The same seed
//! makes the same inputs. (`fuzz/` has the same targets for cargo-fuzz, which needs a nightly toolchain.)

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use bilevel::expr::parse::{Scope, parse_constant, parse_constraint, parse_formula};
use bilevel::expr::{Graph, Level, Shape};
use bilevel_format::data::csv::CsvTable;
use bilevel_format::data::{libsvm, npy};
use bilevel_format::from_bytes;
use bilevel_linalg::Dense;

/// An answer that takes longer counts as a crash.
const SLOW: Duration = Duration::from_secs(1);

/// Random numbers: splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// What is fuzzed: a name, the inputs known so far, and what is done with an input (the answer is a message).
struct Target {
    name: &'static str,
    corpus: Vec<Vec<u8>>,
    words: &'static [&'static str],
    run: fn(&[u8]) -> String,
    seen: HashSet<String>,
    executions: u64,
    slowest: Duration,
}

const FORMULA_WORDS: &[&str] = &[
    "x",
    "y",
    "z",
    "A",
    "b",
    "c",
    "y[0]",
    "y[1..3]",
    "A*y",
    "A'",
    "exp(",
    "max(",
    "norm_p(",
    "sum(",
    "quad(A, y)",
    "(",
    ")",
    "[",
    "]",
    ",",
    "..",
    "'",
    "+",
    "-",
    "*",
    "/",
    "^",
    "<=",
    ">=",
    "==",
    "0",
    "1",
    "2",
    "0.1",
    "1e-3",
    "1e999",
    "inf",
    "-inf",
    "1e-400",
    "99999999999999999999",
    "pi",
    "concat(",
    "transpose(A)",
    "group_norm(",
    "huber(",
    "len(y)",
    "rows(A)",
    "é",
    "\0",
    "((((((((((",
    "----------",
    "x^x^x^x^x^",
    " ",
    "\n",
];

const FILE_WORDS: &[&str] = &[
    "[leader]",
    "[follower]",
    "[upper]",
    "[lower]",
    "[constants]",
    "[data.train]",
    "[start]",
    "[known]",
    "[options]",
    "x = ",
    "y = ",
    "\"in [0, 1]\"",
    "\"vector(3) in [0, inf]\"",
    "\"vector(cols(A))\"",
    "\"simplex(4)\"",
    "\"ball(3, 1.5)\"",
    "\"l1ball(2, 1)\"",
    "\"halfspace([1, 2], 3)\"",
    "\"in [2, 1]\"",
    "A = [[1, 2], [3, 4]]",
    "b = [1, 2]",
    "minimize = ",
    "maximize = ",
    "subject_to = [",
    "'",
    "\"",
    "'''",
    "\"\"\"",
    "\n",
    "#",
    "=",
    ".",
    "[",
    "]",
    "{",
    "}",
    ",",
    "inf",
    "nan",
    "true",
    "1979-05-27",
    "0x1f",
    "1_000",
    "1e999",
    "-0.0",
    "file = \"train.csv\"",
    "\\u00e9",
    "\\",
    "\r\n",
    "\0",
    "\u{feff}",
];

const TABLE_WORDS: &[&str] = &[
    "1", "-2.5", "1e308", "nan", "inf", ",", ";", "\t", "\n", "\r\n", "\"", "a", "", "é", "1:2", "3:-1e9", ":", "#",
    "\0",
];

const ARRAY_WORDS: &[&str] = &[
    "\u{93}NUMPY",
    "'descr'",
    "'<f8'",
    "'>i4'",
    "'fortran_order'",
    "True",
    "False",
    "'shape'",
    "(2, 3)",
    "(6,)",
    "()",
    "(",
    ")",
    "{",
    "}",
    ":",
    ",",
    "999999999999",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let seconds: u64 = arguments.next().map_or(Ok(60), |text| text.parse())?;
    let seed: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let problems = arguments.next().unwrap_or_else(|| "problems".to_string());

    let mut targets = targets(Path::new(&problems));
    let mut random = Random(seed);
    std::panic::set_hook(Box::new(|_| {}));
    let (begin, mut reported) = (Instant::now(), Instant::now());
    let mut crashes = 0;
    while begin.elapsed() < Duration::from_secs(seconds) {
        for target in &mut targets {
            for _ in 0..64 {
                crashes += u64::from(!target.step(&mut random)?);
            }
        }
        if reported.elapsed() > Duration::from_secs(30) {
            reported = Instant::now();
            report(&targets, crashes, begin.elapsed());
        }
    }
    report(&targets, crashes, begin.elapsed());
    if crashes > 0 {
        return Err(format!("{crashes} crashes").into());
    }
    Ok(())
}

fn report(targets: &[Target], crashes: u64, elapsed: Duration) {
    eprintln!("{} s, {crashes} crashes", elapsed.as_secs());
    for target in targets {
        eprintln!(
            "  {:<10} {:>10} executions, {:>5} kinds of answers, slowest {:?}",
            target.name,
            target.executions,
            target.seen.len(),
            target.slowest
        );
    }
}

fn targets(problems: &Path) -> Vec<Target> {
    let mut files = Vec::new();
    collect(problems, &mut files);
    // Large files (long data) slow the search down.
    files.retain(|file| file.len() < 4000);
    let formulas: Vec<Vec<u8>> = files
        .iter()
        .flat_map(|file| file.split(|&b| b == b'\'').skip(1).step_by(2).map(<[u8]>::to_vec).collect::<Vec<_>>())
        .filter(|formula| formula.len() < 400)
        .take(500)
        .collect();
    files.push(
        b"[follower]\ny = \"vector(2)\"\n[upper]\nminimize = 'sum(y)'\n[lower]\nminimize = 'norm2(y)'\n".to_vec(),
    );
    let target = |name, corpus, words, run| Target {
        name,
        corpus,
        words,
        run,
        seen: HashSet::new(),
        executions: 0,
        slowest: Duration::ZERO,
    };
    vec![
        target("formula", with(formulas, b"x + y[0]"), FORMULA_WORDS, formula as fn(&[u8]) -> String),
        target("file", files, FILE_WORDS, file),
        target("csv", vec![b"a,b\n1,2\n3,4.5\n".to_vec(), b"1;2\n3;\"4\"\n".to_vec()], TABLE_WORDS, csv),
        target("npy", vec![array(false), array(true)], ARRAY_WORDS, npy_array),
        target("libsvm", vec![b"1 1:2 3:-4.5\n-1 2:1 # c\n".to_vec()], TABLE_WORDS, samples),
    ]
}

fn with(mut inputs: Vec<Vec<u8>>, input: &[u8]) -> Vec<Vec<u8>> {
    inputs.push(input.to_vec());
    inputs
}

fn collect(folder: &Path, files: &mut Vec<Vec<u8>>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|e| e == "toml") {
            files.extend(fs::read(&path));
        }
    }
}

impl Target {
    /// Runs a new input; false if it is a crash.
    fn step(&mut self, random: &mut Random) -> Result<bool, Box<dyn Error>> {
        const LARGEST: usize = 20_000;
        const MOST: usize = 4000;
        let mut input = self.corpus[random.below(self.corpus.len())].clone();
        for _ in 0..=random.below(6) {
            self.mutate(&mut input, random);
        }
        input.truncate(LARGEST);
        self.executions += 1;
        let mut begin = Instant::now();
        let answer = catch_unwind(AssertUnwindSafe(|| (self.run)(&input)));
        let mut time = begin.elapsed();
        // A busy machine stalls now and then: slow is what is slow three times.
        for _ in 0..2 {
            if time > SLOW && answer.is_ok() {
                begin = Instant::now();
                let _ = (self.run)(&input);
                time = time.min(begin.elapsed());
            }
        }
        self.slowest = self.slowest.max(time);
        let Ok(answer) = answer else {
            self.save(&input, "panic")?;
            return Ok(false);
        };
        // Numbers and quotations differ from input to input: what counts is the kind of the answer.
        let unquoted: String = answer.split('`').step_by(2).collect();
        let kind: String = unquoted.chars().filter(|c| !c.is_ascii_digit()).take(60).collect();
        if self.seen.insert(kind) && self.corpus.len() < MOST && input.len() < 4000 {
            self.corpus.push(input.clone());
        }
        if time > SLOW {
            self.save(&input, "slow")?;
            return Ok(false);
        }
        Ok(true)
    }

    fn save(&self, input: &[u8], what: &str) -> Result<(), Box<dyn Error>> {
        let path = std::env::temp_dir().join(format!("fuzz-{}-{what}-{}", self.name, self.executions));
        fs::write(&path, input)?;
        eprintln!("{what}: {}", path.display());
        Ok(())
    }

    fn mutate(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(12)).min(input.len());
        match random.below(8) {
            0 if !input.is_empty() => input[at.min(end.saturating_sub(1))] ^= 1 << random.below(8),
            1 => {
                input.drain(at..end);
            }
            2 => {
                let piece = input[at..end].to_vec();
                let copies = 1 + random.below(3) * random.below(100);
                input.splice(at..at, piece.repeat(copies));
            }
            3 => {
                let other = &self.corpus[random.below(self.corpus.len())];
                let from = random.below(other.len() + 1);
                let to = (from + random.below(200)).min(other.len());
                input.splice(at..end, other[from..to].iter().copied());
            }
            4 => input.truncate(at),
            5 => input.insert(at, random.next() as u8),
            _ => {
                let word = self.words[random.below(self.words.len())];
                input.splice(at..end.min(at + random.below(4)), word.bytes());
            }
        }
    }
}

fn formula(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    let graph = Graph::new();
    let mut scope = Scope::new(&graph);
    for (name, offset) in [("x", 0), ("z", 1)] {
        scope.define(name, graph.variable(Level::Leader, offset, Shape::Scalar));
    }
    scope.define("y", graph.variable(Level::Follower, 0, Shape::Vector(4)));
    scope.vector("b", &[1.0, -0.5], false);
    scope.number("c", 0.1, true);
    if let Some(matrix) = Dense::from_row_major(2, 4, vec![1.0, 2.0, 3.0, 4.0, 0.0, -1.0, 0.5, 2.0]) {
        scope.matrix("A", matrix.into());
    }
    let mut answer = String::new();
    match parse_formula(&text, &scope) {
        Ok(expr) => answer += &format!("ok {}", expr.shape()),
        Err(error) => answer += &error.to_string(),
    }
    match parse_constraint(&text, &scope) {
        Ok(constraints) => answer += &format!("ok {}", constraints.len()),
        Err(error) => answer += &error.to_string(),
    }
    if let Ok(constant) = parse_constant(&text, &scope) {
        answer += &format!("constant {}", constant.shape);
    }
    answer
}

fn file(input: &[u8]) -> String {
    match from_bytes("fuzz.toml", input, Path::new("/nonexistent"), &[]) {
        Ok(file) => format!("ok {} {}", file.problem.n(), file.problem.m()),
        Err(mistakes) => mistakes.render(false),
    }
}

fn csv(input: &[u8]) -> String {
    let read = |header| -> Result<Dense, _> {
        let table = CsvTable::open(input, header)?;
        table.read(&(0..table.names().len().min(50)).collect::<Vec<_>>())
    };
    let answer = |header| match read(header) {
        Ok(matrix) => format!("ok {}", matrix.rows().min(1)),
        Err(error) => error.to_string(),
    };
    answer(None) + &answer(Some(true))
}

fn npy_array(input: &[u8]) -> String {
    match npy::read(input) {
        Ok(array) => format!("ok {}", array.shape.len()),
        Err(error) => error.to_string(),
    }
}

fn samples(input: &[u8]) -> String {
    match libsvm::read(input, 0) {
        Ok(samples) => format!("ok {}", samples.labels.len().min(1)),
        Err(error) => error.to_string(),
    }
}

/// A `.npy` file of a 2x3 matrix.
fn array(fortran: bool) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let header = format!("{{'descr': '<f8', 'fortran_order': {order}, 'shape': (2, 3), }}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    (0..6).for_each(|i| bytes.extend(f64::from(i).to_le_bytes()));
    bytes
}
