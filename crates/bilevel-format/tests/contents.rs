//! What problem files and data files say arrives in the problem.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use bilevel::expr::{Shape, Tape, Workspace};
use bilevel::problem::{Function, Relation, Sense, Side};
use bilevel::set::ConvexSet;
use bilevel::smooth::Smoothing;
use bilevel_format::{OptionValue, ProblemFile, from_bytes};
use proptest::prelude::*;

fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("contents-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn read_in(folder: &Path, text: &str) -> ProblemFile {
    from_bytes("p.toml", text.as_bytes(), folder, &[]).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

fn read(text: &str) -> ProblemFile {
    read_in(Path::new(""), text)
}

/// The values of a level's stored function.
fn values(file: &ProblemFile, function: &Function, x: &[f64], y: &[f64]) -> Vec<f64> {
    let tape = Tape::compile(&[function.expr().unwrap().clone()], file.problem.n(), file.problem.m()).unwrap();
    let mut workspace = Workspace::new(&tape);
    tape.evaluate(&mut workspace, x, y, Smoothing::EXACT).output(0).to_vec()
}

fn boxed(side: &Side) -> (Vec<f64>, Vec<f64>) {
    let (mut lower, mut upper) = (vec![0.0; side.dimension()], vec![0.0; side.dimension()]);
    side.set.bounding_box(&mut lower, &mut upper);
    (lower, upper)
}

const TAIL: &str = "
[follower]
y = \"in [-2, 2]\"
[upper]
minimize = '0'
[lower]
minimize = 'y'
";

#[test]
fn the_example_of_the_design() {
    let file = read(
        r#"
name = "Mirrlees 1999"
[leader]
x = "in [-5, 5]"
[follower]
y = "in [-2, 2]"
[upper]
minimize = '(x - 2)^2 + (y - 1)^2'
subject_to = ['x + y <= 3', '-1 <= x <= 4', 'x*y == 1', 'x >= y']
[lower]
maximize = 'x*exp(-(y + 1)^2) + exp(-(y - 1)^2)'
subject_to = 'y <= 2*x'
[start]
x = 1
y = 1
[known]
F = 1.0018
source = "Mirrlees 1999; BOLIB v2"
"#,
    );
    let problem = &file.problem;
    assert_eq!((problem.name(), problem.n(), problem.m()), ("Mirrlees 1999", 1, 1));
    assert_eq!(boxed(problem.leader()), (vec![-5.0], vec![5.0]));
    assert_eq!(boxed(problem.follower()), (vec![-2.0], vec![2.0]));
    assert_eq!(values(&file, &problem.leader().objective, &[1.0], &[0.5]), [1.25]);
    let follower = (-(1.5_f64 * 1.5)).exp() + (-0.25_f64).exp();
    assert_eq!(problem.follower().sense, Sense::Maximize);
    assert!((values(&file, &problem.follower().objective, &[1.0], &[0.5])[0] + follower).abs() < 1e-15);
    let constraints = &problem.leader().constraints;
    let shown: Vec<_> = constraints.iter().map(|c| (c.label.as_str(), c.relation)).collect();
    assert_eq!(
        shown,
        [
            ("x + y <= 3", Relation::AtMost),
            ("-1 <= x", Relation::AtMost),
            ("x <= 4", Relation::AtMost),
            ("x*y == 1", Relation::Equal),
            ("x >= y", Relation::AtLeast),
        ]
    );
    let at: Vec<f64> = constraints.iter().map(|c| values(&file, &c.function, &[1.0], &[0.5])[0]).collect();
    assert_eq!(at, [-1.5, -2.0, -3.0, -0.5, -0.5]);
    assert_eq!(values(&file, &problem.follower().constraints[0].function, &[1.0], &[0.5]), [-1.5]);
    assert_eq!(problem.start(), Some(([1.0].as_slice(), [1.0].as_slice())));
    assert_eq!(file.known.upper, Some(1.0018));
    assert_eq!(file.known.source, ["Mirrlees 1999; BOLIB v2"]);
}

#[test]
fn variables_keep_their_order_and_offsets() {
    let file = read(
        "[leader]\nx10 = \"in [0, 1]\"\nx2 = \"vector(2) in [0, inf]\"\na = \"simplex(2)\"\n[follower]\ny = \"vector(2) in [[0, -inf], [5, 1]]\"\nz = \"free\"\n\
         [upper]\nminimize = 'x10 + 10*x2[0] + 100*x2[1] + 1000*a[1]'\n[lower]\nminimize = 'sum(y) + 10*z'\n\
         [start]\nx10 = 0.5\ny = 3\n[known]\nx = [1, 2, 3, 0.5, 0.5]\nz = 4",
    );
    let names: Vec<_> = file.problem.leader().blocks.iter().map(|b| (b.name.as_str(), b.shape, b.offset)).collect();
    assert_eq!(names, [("x10", Shape::Scalar, 0), ("x2", Shape::Vector(2), 1), ("a", Shape::Vector(2), 3)]);
    let x = [1.0, 2.0, 3.0, 4.0, 5.0];
    assert_eq!(values(&file, &file.problem.leader().objective, &x, &[0.0; 3]), [5321.0]);
    assert_eq!(values(&file, &file.problem.follower().objective, &x, &[1.0, 2.0, 3.0]), [33.0]);
    // One number fills a vector; without a start, a variable begins at the point of its set nearest to 0.
    assert_eq!(file.problem.start(), Some(([0.5, 0.0, 0.0, 0.5, 0.5].as_slice(), [3.0, 3.0, 0.0].as_slice())));
    assert_eq!(file.known.x.get("x2"), Some([2.0, 3.0].as_slice()));
    assert_eq!(file.known.y.get("z"), Some([4.0].as_slice()));
}

#[test]
fn a_problem_without_a_leader() {
    let file = read(TAIL);
    assert_eq!((file.problem.n(), file.problem.m()), (0, 1));
    assert_eq!(file.problem.start(), None);
}

#[test]
fn constants_of_every_kind() {
    let folder = folder("constants");
    fs::write(folder.join("m.csv"), "1,2\n3,4\n").unwrap();
    fs::write(folder.join("v.csv"), "v\n5\n6\n").unwrap();
    fs::write(folder.join("s.libsvm"), "1 1:1\n1 2:2\n").unwrap();
    let mut npy = b"\x93NUMPY\x01\x00\x46\x00".to_vec();
    npy.extend(format!("{:<69}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }").bytes());
    npy.extend([0.5_f32, -2.0].iter().flat_map(|v| v.to_le_bytes()));
    fs::write(folder.join("n.npy"), npy).unwrap();
    let text = format!(
        "[constants]\na = 0.1\nv = [1, 2]\nM = [[1, 2], [3, 4], [5, 6]]\nfm = \"m.csv\"\nfv = \"v.csv\"\nfs = \"s.libsvm\"\nfn = \"n.npy\"\nhex = 0x10\n{}",
        TAIL.replace("'0'", "'a*sum(v) + sum(M*v) + sum(fm*v) + sum(fv) + sum(fs*v) + dot(fn, v) + hex'")
    );
    let file = read_in(&folder, &text);
    let expected = 0.1 * 3.0 + (5.0 + 11.0 + 17.0) + (5.0 + 11.0) + 11.0 + (1.0 + 4.0) + (0.5 - 4.0) + 16.0;
    assert!((values(&file, &file.problem.leader().objective, &[], &[0.0])[0] - expected).abs() < 1e-12);
}

#[test]
fn data_tables_are_split_and_standardised() {
    let folder = folder("data");
    fs::write(folder.join("d.csv"), "a,target,b,name\n1,10,5,u\n3,20,5,v\n5,30,5,w\n100,40,7,z\n").unwrap();
    let text = |select: &str| {
        format!(
            "[data.train]\nfile = \"d.csv\"\ntarget = \"target\"\ncolumns = [\"a\", \"b\"]\nrows = \"0..3\"\nstandardize = true\nstandardize_target = true\n\
             [data.test]\nfile = \"d.csv\"\ntarget = \"target\"\ncolumns = [0, 2]\nrows = [3, 0]\nstandardize = \"train\"\nstandardize_target = \"train\"\n{}",
            TAIL.replace("'0'", &format!("'{select}'"))
        )
    };
    let value = |select: &str| {
        let file = read_in(&folder, &text(select));
        values(&file, &file.problem.leader().objective, &[], &[0.0])[0]
    };
    let deviation = (8.0_f64 / 3.0).sqrt();
    let target = (200.0_f64 / 3.0).sqrt();
    for (select, expected) in [
        ("rows(train.X) + 10*cols(train.X) + 100*rows(test.X) + 1000*len(test.y)", 3.0 + 20.0 + 200.0 + 2000.0),
        ("train.X[0, 0]", -2.0 / deviation),
        ("train.X[2, 0]", 2.0 / deviation),
        // A column without variation is centred and not scaled.
        ("train.X[0, 1]", 0.0),
        ("test.X[0, 0]", 97.0 / deviation),
        ("test.X[0, 1]", 2.0),
        ("test.X[1, 0]", -2.0 / deviation),
        ("train.y[0]", -10.0 / target),
        ("test.y[0]", 20.0 / target),
        ("norm2sq(transpose(train.X)*[1, 1, 1])", 0.0),
    ] {
        assert!((value(select) - expected).abs() < 1e-12, "{select}: {} {expected}", value(select));
    }
}

#[test]
fn sparse_data_and_arrays() {
    let folder = folder("sparse");
    fs::write(folder.join("s.libsvm"), "1 1:2 3:1\n-1 2:4\n1 1:6\n").unwrap();
    let text = |more: &str, select: &str| {
        format!("[data.s]\nfile = \"s.libsvm\"\n{more}\n{}", TAIL.replace("'0'", &format!("'{select}'")))
    };
    let value = |more: &str, select: &str| {
        let file = read_in(&folder, &text(more, select));
        values(&file, &file.problem.leader().objective, &[], &[0.0])[0]
    };
    assert_eq!(value("", "cols(s.X)*100 + dot(s.y, s.X*[1, 10, 100])"), 300.0 + 102.0 - 40.0 + 6.0);
    assert_eq!(value("columns = \"0..7\"", "cols(s.X)"), 7.0);
    assert_eq!(value("columns = [2, 0]", "sum(s.X*[1, 10])"), 21.0 + 60.0);
    assert_eq!(value("rows = \"1..\"", "rows(s.X)*100 + sum(s.X*[1, 1, 1]) + s.y[0]"), 200.0 + 10.0 - 1.0);
    let deviation = (56.0_f64 / 9.0).sqrt();
    let scaled = value("standardize = true", "s.X[2, 0]");
    assert!((scaled - (6.0 - 8.0 / 3.0) / deviation).abs() < 1e-12, "{scaled}");
}

#[test]
fn known_values_and_options() {
    let file = read(&format!(
        "description = \"d\"\nsource = \"s\"\ntags = [\"a\"]\n{TAIL}\
         [known]\nF = 1\nf = 2\npessimistic_F = 3\npessimistic_attained = false\nbest_F = 4\nexpect = \"infeasible\"\ny = 5\nsource = \"s\"\nnotes = [\"n\"]\ntags = [\"t\", \"u\"]\n\
         [options]\nmethod = \"m\"\nsmoothing = \"chks\"\ntolerance = 1e-6\nseed = 7\nstarts = 2\nattitude = \"both\"\nfollower_tolerance = 0\nbudget = 1000\nthreads = 0\ntime_limit = 1.5\ngap = 1e-3\n"
    ));
    let known = &file.known;
    assert_eq!((known.upper, known.lower, known.pessimistic_upper), (Some(1.0), Some(2.0), Some(3.0)));
    assert_eq!((known.pessimistic_attained, known.published_upper), (Some(false), Some(4.0)));
    assert_eq!((known.expect.as_deref(), known.tags.len(), known.notes.len()), (Some("infeasible"), 2, 1));
    assert_eq!(known.y.get("y"), Some([5.0].as_slice()));
    assert_eq!(file.description, "d");
    let options = &file.options;
    assert_eq!(options.iter().count(), 11);
    assert_eq!(options.get("seed"), Some(&OptionValue::Count(7)));
    assert_eq!((options.number("tolerance"), options.text("attitude")), (Some(1e-6), Some("both")));
    assert_eq!((options.number("time_limit"), options.count("budget")), (Some(1.5), Some(1000)));
    let mistake = options.mistake("method", "there is no method `m`", "use another").to_string();
    assert!(mistake.contains("p.toml") && mistake.contains("^^^"), "{mistake}");
}

#[test]
fn long_sums_are_read() {
    let sum = (0..100_000).map(|i| format!("{}*y", i % 7)).collect::<Vec<_>>().join(" + ");
    let file = read(&TAIL.replace("'0'", &format!("'{sum}'")));
    let expected: f64 = (0..100_000).map(|i| f64::from(i % 7)).sum();
    assert_eq!(values(&file, &file.problem.leader().objective, &[], &[1.0]), [expected]);
}

/// Pieces that problem files are made of.
fn fragments() -> impl Strategy<Value = String> {
    const WORDS: [&str; 44] = [
        "[leader]\n",
        "[follower]\n",
        "[upper]\n",
        "[lower]\n",
        "[constants]\n",
        "[data.d]\n",
        "[start]\n",
        "[known]\n",
        "[options]\n",
        "x = ",
        "y = ",
        "\"in [0, 1]\"\n",
        "\"vector(2)\"\n",
        "\"simplex(3)\"\n",
        "\"ball(2, c)\"\n",
        "c = 3\n",
        "c = ",
        "[[1, 2], [3, 4]]\n",
        "[1, 2]\n",
        "[1, [2]]\n",
        "minimize = ",
        "maximize = ",
        "'x + y'\n",
        "'y[0]'\n",
        "'x <= y'\n",
        "subject_to = ",
        "['x <= 1', 'y == x']\n",
        "1\n",
        "inf\n",
        "nan\n",
        "true\n",
        "\n",
        "# c\n",
        "file = ",
        "\"a.csv\"\n",
        "rows = \"0..3\"\n",
        "seed = 1\n",
        "F = ",
        "'''\nx'''\n",
        "\"\\u0078\"\n",
        "\"",
        "'",
        "=",
        "é",
    ];
    prop::collection::vec(0..WORDS.len(), 0..40).prop_map(|picks| picks.iter().map(|&i| WORDS[i]).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn arbitrary_text_never_panics(text in ".{0,100}") {
        let _ = from_bytes("p.toml", text.as_bytes(), &PathBuf::from("/nowhere"), &[]).map_err(|m| m.render(true));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = from_bytes("p.toml", &bytes, &PathBuf::from("/nowhere"), &[]).map_err(|m| m.to_string());
    }

    #[test]
    fn arbitrary_fragments_never_panic(text in fragments()) {
        let answer = from_bytes("p.toml", text.as_bytes(), &PathBuf::from("/nowhere"), &[]);
        if let Err(mistakes) = answer {
            // Every mistake has a place and advice.
            for mistake in mistakes.iter() {
                prop_assert!(mistake.place().is_some() && mistake.advice().is_some(), "{}", mistake);
                prop_assert!(mistake.to_string().contains('^'), "{}", mistake);
            }
        }
    }

    #[test]
    fn damaged_problems_never_panic(at in 0_usize..400, length in 0_usize..20, piece in "[ -~\n]{0,6}") {
        let good = format!("name = \"n\"\n[constants]\nA = [[1, 2], [3, 4]]\n[leader]\nx = \"vector(2) in [0, 1]\"\n{TAIL}subject_to = ['y <= sum(A*x)']\n[start]\nx = [0, 1]\ny = 1\n");
        let (start, end) = (at.min(good.len()), (at + length).min(good.len()));
        let text = format!("{}{piece}{}", &good[..start], &good[end..]);
        let _ = from_bytes("p.toml", text.as_bytes(), &PathBuf::from("/nowhere"), &[]).map_err(|m| m.to_string());
    }
}
