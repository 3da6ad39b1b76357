//! Every mistake in a problem file or in its data is shown with file, line, column, caret and advice.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::PathBuf;

use bilevel_format::{Diagnostics, ProblemFile, from_bytes, load};

/// A fresh folder for the files of one test.
fn folder(test: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("mistakes-{test}"));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn read(text: &str) -> Result<ProblemFile, Diagnostics> {
    from_bytes("p.toml", text.as_bytes(), &PathBuf::from("/nowhere"), &[])
}

/// The only mistake of a text, as it is shown.
fn shown(text: &str) -> String {
    let mistakes = read(text).unwrap_err();
    assert_eq!(mistakes.iter().count(), 1, "{mistakes}");
    mistakes.to_string()
}

/// Checks that everything in `parts` is shown, and that there are a caret and advice.
fn check(shown: &str, parts: &[&str]) {
    for part in parts.iter().chain(&["^", "help: "]) {
        assert!(shown.contains(part), "no {part:?} in:\n{shown}");
    }
}

/// A correct problem, in which `old` is replaced.
fn with(old: &str, new: &str) -> String {
    let good = "\
name = \"good\"
[constants]
c = 2.5
A = [[1, 2], [3, 4], [5, 6]]
[leader]
x = \"in [-5, 5]\"
[follower]
y = \"vector(2) in [0, 1]\"
[upper]
minimize = '(x - 2)^2 + sum(y)'
[lower]
minimize = 'norm2sq(A*y - c) - x*y[0]'
subject_to = ['x + y[1] <= 3']
[start]
x = 1
y = [0, 1]
[known]
F = 1
[options]
seed = 3
";
    assert!(read(good).is_ok());
    assert!(good.contains(old), "{old}");
    good.replacen(old, new, 1)
}

#[test]
fn unknown_keys() {
    let text = shown(&with("minimize = '(x", "minimise = '(x"));
    check(&text, &["unknown key `minimise`", "p.toml:10:1", "did you mean `minimize`?"]);
    check(
        &shown(&with("[options]", "[optoins]")),
        &["unknown key `optoins`", "p.toml:19:2", "did you mean `options`?"],
    );
    check(&shown(&with("seed = 3", "sede = 3")), &["p.toml:20:1", "did you mean `seed`?"]);
    check(&shown(&with("F = 1", "G = 1")), &["unknown key `G` in [known]", "p.toml:18:1"]);
    check(&shown(&with("x = 1\n", "x = 1\nz = 2\n")), &["unknown key `z` in [start]", "p.toml:16:1"]);
}

#[test]
fn unknown_names() {
    let text = shown(&with("sum(y)'", "sum(yy)'"));
    let expected = "\
error: unknown name `yy`
  --> p.toml:10:29
   |
10 | minimize = '(x - 2)^2 + sum(yy)'
   |                             ^^
   |
   = help: did you mean `y`?";
    assert_eq!(text, expected);
    check(&shown(&with("sum(y)'", "smu(y)'")), &["unknown function `smu`", "p.toml:10:25", "did you mean `sum`?"]);
    check(&shown(&with("in [-5, 5]", "in [-5, d]")), &["unknown name `d`", "p.toml:6:14"]);
}

#[test]
fn wrong_shapes_show_both_operands() {
    let text = shown(&with("A*y - c", "A*y - y"));
    let expected = "\
error: shapes do not fit: vector(3) - vector(2)
  --> p.toml:12:21
   |
12 | minimize = 'norm2sq(A*y - y) - x*y[0]'
   |                     ---^^^-
   |                     |     |
   |                     |     vector(2)
   |                     vector(3)
   |
   = help: both sides must have the same length, or one of them must be a scalar";
    assert_eq!(text, expected);
    check(&shown(&with("A*y - c", "A*x - c")), &["3x2 matrix", "scalar", "p.toml:12:21"]);
    check(&shown(&with("y[0]'", "y[2]'")), &["index 2 is outside a vector(2)", "p.toml:12:36", "start at 0"]);
    check(&shown(&with("+ sum(y)'", "+ y'")), &["an objective is one number, this is a vector(2)", "p.toml:10:12"]);
    check(&shown(&with("y = [0, 1]", "y = [0, 1, 2]")), &["`y` is a vector(2), got 3 numbers", "p.toml:16:5"]);
    check(&shown(&with("[5, 6]]", "[5]]")), &["rows of different lengths: 2 and 1", "p.toml:4:22"]);
    check(&shown(&with("x + y[1] <= 3", "y <= A*y")), &["vector(2) <= vector(3)", "p.toml:13:18"]);
}

#[test]
fn formulas_in_every_kind_of_string_are_placed() {
    let several = shown(&with("'norm2sq(A*y - c) - x*y[0]'", "'''\n  norm2sq(A*y - c)\n  - x*z[0]\n'''"));
    check(&several, &["unknown name `z`", "p.toml:14:7", "  - x*z[0]"]);
    let escaped = shown(&with("'norm2sq(A*y - c) - x*y[0]'", "\"norm2sq(A*y - c)\\t - x*z[0]\""));
    check(&escaped, &["unknown name `z`", "p.toml:12:36"]);
}

#[test]
fn missing_data_file() {
    let text = shown(&with("c = 2.5", "c = 2.5\nb = \"b.npy\""));
    check(&text, &["cannot read the data file `b.npy`: there is no such file", "p.toml:4:5", "`/nowhere`"]);
    check(
        &shown(&with("c = 2.5", "c = \"c.txt\"")),
        &["`c.txt` is not the name of a data file", "p.toml:3:5", "`.npy`"],
    );
    let table = shown(&with("[leader]", "[data.train]\ntarget = \"y\"\n[leader]"));
    check(&table, &["[data.train] has no `file`", "p.toml:5:7"]);
}

#[test]
fn bad_data_cells_point_into_the_data() {
    let folder = folder("cells");
    fs::write(folder.join("ragged.csv"), "a,b\n1,2\n3\n").unwrap();
    fs::write(folder.join("text.csv"), "a,b\n1,2\n3,x4\n").unwrap();
    fs::write(folder.join("empty.csv"), "a,b\n1,2\n,4\n").unwrap();
    fs::write(folder.join("bad.libsvm"), "1 1:2\n-1 2:x\n").unwrap();
    fs::write(folder.join("bad.npy"), b"\x93NUMPY\x01\x00").unwrap();
    fs::write(folder.join("binary.csv"), b"a,b\n\xff\xfe,2\n").unwrap();
    let mistake = |file: &str, more: &str| {
        let text = with("[leader]", &format!("[data.train]\nfile = \"{file}\"\n{more}\n[leader]"));
        from_bytes("p.toml", text.as_bytes(), &folder, &[]).unwrap_err().to_string()
    };
    let ragged = mistake("ragged.csv", "");
    check(&ragged, &["this row has 1 cells, the first line has 2", "ragged.csv:3:1", "p.toml:6:8", "read from here"]);
    check(&mistake("text.csv", ""), &["`x4` in column `b` is not a finite number", "text.csv:3:3", "3,x4"]);
    check(&mistake("empty.csv", ""), &["an empty cell in column `a`", "empty.csv:3:1"]);
    check(&mistake("bad.libsvm", ""), &["`x` is not a finite number", "bad.libsvm:2:4"]);
    check(&mistake("bad.npy", ""), &["in `bad.npy`: the file ends within its header", "p.toml:6:8"]);
    check(&mistake("binary.csv", ""), &["not UTF-8 text: byte 0xff", "binary.csv:2:1"]);
    check(&mistake("text.csv", "target = \"c\""), &["there is no column `c`", "p.toml:7:10", "the columns are a, b"]);
    check(&mistake("text.csv", "columns = [\"a\"]\nrows = \"0..3\""), &["the file has 2 rows", "p.toml:8:8"]);
    check(&mistake("text.csv", "columns = [\"a\", \"aa\"]"), &["there is no column `aa`", "did you mean `a`?"]);
    check(&mistake("text.csv", "columns = [0, 2]"), &["there is no column 2", "p.toml:7:15"]);
    check(
        &mistake("text.csv", "columns = [0]\nstandardize = \"trian\""),
        &["no data table `trian`", "did you mean `train`?"],
    );
    check(&mistake("text.csv", "columns = [0]\nstandardize_target = true"), &["has no target", "p.toml:8:22"]);
    check(
        &mistake("text.csv", "columns = [0]\nstandardise = true"),
        &["unknown key `standardise`", "did you mean `standardize`?"],
    );
}

#[test]
fn duplicate_variables() {
    let same = shown(&with("x = \"in [-5, 5]\"", "x = \"in [-5, 5]\"\nx = \"in [0, 1]\""));
    check(&same, &["not TOML", "duplicate", "p.toml:7:1", "only once"]);
    let other = shown(&with("y = \"vector(2) in [0, 1]\"", "y = \"vector(2)\"\nx = \"in [0, 1]\""));
    let expected = "\
error: `x` is declared twice
 --> p.toml:9:1
  |
6 | x = \"in [-5, 5]\"
  | - first, for the leader
...
9 | x = \"in [0, 1]\"
  | ^ again, for the follower
  |
  = help: every variable needs its own name; both levels may use both levels' variables";
    assert_eq!(other, expected);
    check(&shown(&with("c = 2.5", "c = 2.5\nx = 1")), &["`x` is a constant and a variable", "p.toml:7:1"]);
}

#[test]
fn empty_and_wrong_sets() {
    check(&shown(&with("in [-5, 5]", "in [2, 1]")), &["the set is empty", "p.toml:6:9", "[2, 1]"]);
    check(
        &shown(&with("vector(2) in [0, 1]", "vector(2) in [[0, 3], 1]")),
        &["the set is empty: component 1", "p.toml:8:19"],
    );
    check(&shown(&with("vector(2) in [0, 1]", "ball(2, -1)")), &["radius", "p.toml:8:10"]);
    check(&shown(&with("vector(2) in [0, 1]", "vectro(2)")), &["unknown name `vectro`", "did you mean `vector`?"]);
    check(&shown(&with("vector(2) in [0, 1]", "vector(1e9)")), &["at most 1000000", "p.toml:8:13"]);
}

#[test]
fn sets_do_not_depend_on_variables() {
    let text = shown(&with("in [-5, 5]", "in [-5, y[0]]"));
    check(&text, &["`y` cannot be used here: it is a variable of the follower", "p.toml:6:14", "subject_to"]);
    let text = shown(&with("vector(2) in [0, 1]", "vector(2) in [0, x]"));
    check(&text, &["`x` cannot be used here: it is a variable of the leader", "p.toml:8:23", "subject_to"]);
}

#[test]
fn deep_formulas_are_refused() {
    for (open, close) in [("(", ")"), ("-", ""), ("exp(", ")"), ("[", "]"), ("x^", "")] {
        let deep = format!("{}x{}", open.repeat(10_000), close.repeat(10_000));
        let text = shown(&with("(x - 2)^2", &deep));
        check(&text, &["nested more than 200 levels deep", "p.toml:10:"]);
        assert!(text.len() < 2_000, "{}", text.len());
    }
}

#[test]
fn a_large_file_of_garbage_is_refused_quickly() {
    let folder = folder("garbage");
    let path = folder.join("large.toml");
    // 100 MB without writing 100 MB: the size alone is enough.
    fs::File::create(&path).unwrap().set_len(100 << 20).unwrap();
    check_message(
        &load(&path, &[]).unwrap_err(),
        &["it has 100 MB, the limit is 64 MB", "large.toml:1:1", "data files"],
    );
    fs::remove_file(&path).unwrap();
    let garbage: Vec<u8> = (0..4_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
    let mistakes = from_bytes("g.toml", &garbage, &folder, &[]).unwrap_err();
    check_message(&mistakes, &["not UTF-8 text", "g.toml:1:1"]);
    let one_line = "a ".repeat(4_000_000);
    check_message(&from_bytes("g.toml", one_line.as_bytes(), &folder, &[]).unwrap_err(), &["not TOML", "g.toml:1:"]);
}

fn check_message(mistakes: &Diagnostics, parts: &[&str]) {
    let text = mistakes.to_string();
    assert!(text.len() < 5_000, "{}", text.len());
    for part in parts.iter().chain(&["help: "]) {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn odd_bytes() {
    check(&shown(&with("name = \"good\"", "name = \"go\0od\"")), &["not TOML", "p.toml:1:11"]);
    check(&shown(&with("'(x - 2)^2", "'(x \u{7}- 2)^2")), &["not TOML", "p.toml:10:16"]);
    let marked = format!("\u{feff}{}", with("seed = 3", "seed = 3"));
    assert!(read(&marked).is_ok());
    check(&shown(&marked.replace("seed = 3", "sede = 3")), &["p.toml:20:1"]);
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain("name".bytes().flat_map(|b| [b, 0])).collect();
    let mistakes = from_bytes("p.toml", &utf16, &PathBuf::new(), &[]).unwrap_err().to_string();
    check(&mistakes, &["not UTF-8", "UTF-16", "p.toml:1:1"]);
}

#[test]
fn wrong_types() {
    check(&shown(&with("x = \"in [-5, 5]\"", "x = 3")), &["expected a string, found an integer", "p.toml:6:5"]);
    check(&shown(&with("minimize = '(x - 2)^2 + sum(y)'", "minimize = true")), &["found a boolean", "p.toml:10:12"]);
    check(&shown(&with("['x + y[1] <= 3']", "[3]")), &["expected a string, found an integer", "p.toml:13:15"]);
    check(&shown(&with("c = 2.5", "c = true")), &["found a boolean", "p.toml:3:5", "a constant is"]);
    check(&shown(&with("c = 2.5", "c = [1, \"a\"]")), &["expected a number, found a string", "p.toml:3:9"]);
    check(&shown(&with("c = 2.5", "c = nan")), &["not a number", "p.toml:3:5"]);
    check(&shown(&with("x = 1\n", "x = \"1\"\n")), &["expected a number, found a string", "p.toml:15:5"]);
    check(&shown(&with("x = 1\n", "x = inf\n")), &["finite", "p.toml:15:5"]);
    check(&shown(&with("F = 1", "F = \"one\"")), &["expected a number, found a string", "p.toml:18:5"]);
    check(&shown(&with("name = \"good\"", "name = 3")), &["expected a string", "p.toml:1:8"]);
    check(&shown(&with("[known]\nF = 1", "").replace("name", "known = 3\nname")), &["expected a table", "p.toml:1:9"]);
    for (bad, needs) in [
        ("seed = -1", "a whole number from 0"),
        ("seed = 1.5", "a whole number from 0"),
        ("starts = 0", "a whole number from 1"),
        ("tolerance = 0", "a positive number"),
        ("tolerance = \"small\"", "a positive number"),
        ("attitude = \"optimist\"", "\"optimistic\", \"pessimistic\" or \"both\""),
        ("method = 3", "a string"),
        ("smoothing = \"chsk\"", "one of chks"),
        ("follower_tolerance = -1", "a number from 0"),
        ("time_limit = inf", "a positive number"),
    ] {
        check(&shown(&with("seed = 3", bad)), &[needs, "p.toml:20:"]);
    }
}

#[test]
fn missing_parts() {
    let without = |from: &str, to: &str| {
        let text = with("name", "name");
        let (start, end) = (text.find(from).unwrap(), text.find(to).unwrap());
        shown(&format!("{}{}", &text[..start], &text[end..]))
    };
    check(&without("[follower]", "[upper]"), &["the problem has no [follower]", "p.toml:9:2"]);
    check(&without("[upper]", "[lower]"), &["the problem has no [upper]", "p.toml:5:2", "`[upper]`"]);
    check(&without("[lower]", "[start]"), &["the problem has no [lower]", "p.toml:7:2"]);
    check(&shown(&with("minimize = '(x - 2)^2 + sum(y)'\n", "")), &["[upper] has no objective", "p.toml:9:2"]);
    let two = shown(&with("minimize = 'norm2sq", "maximize = '0'\nminimize = 'norm2sq"));
    check(&two, &["[lower] has two objectives", "p.toml:12:1"]);
    check(&shown(&with("y = \"vector(2) in [0, 1]\"\n", "")), &["no follower variables", "p.toml:7:2"]);
    let nothing = read("").unwrap_err().to_string();
    assert!(nothing.contains("no [follower]") && nothing.contains("p.toml:1:1"), "{nothing}");
}

#[test]
fn toml_syntax_errors() {
    for (old, new, place) in [
        ("c = 2.5", "c = ", "p.toml:3:"),
        ("[leader]", "[leader", "p.toml:5:"),
        ("'(x - 2)^2 + sum(y)'", "'(x - 2)^2", "p.toml:10:"),
        ("'(x - 2)^2 + sum(y)'", "(x - 2)^2", "p.toml:10:"),
        ("seed = 3", "seed 3", "p.toml:20:"),
    ] {
        check(&shown(&with(old, new)), &["this is not TOML", place]);
    }
    let deep = format!("c = {}1{}", "[".repeat(100_000), "]".repeat(100_000));
    check_message(&read(&with("c = 2.5", &deep)).unwrap_err(), &["this is not TOML", "p.toml:3:"]);
}

#[test]
fn constraints_that_are_none() {
    for (text, message) in [
        ("x + y[1]", "a constraint needs `<=`"),
        ("x + y[1] = 3", "unexpected character `=`"),
        ("x + y[1] < 3", "unexpected character `<`"),
        ("0 <= x >= 3", "keep its direction"),
    ] {
        check(&shown(&with("x + y[1] <= 3", text)), &[message, "p.toml:13:"]);
    }
}

#[test]
fn names_that_cannot_be_used() {
    check(&shown(&with("c = 2.5", "c = 2.5\n\"a b\" = 1")), &["`a b` cannot be the name of a constant", "p.toml:4:1"]);
    check(
        &shown(&with("x = \"in [-5, 5]\"", "x = \"in [-5, 5]\"\ninf = \"free\"")),
        &["`inf` cannot be the name", "p.toml:7:1"],
    );
}

#[test]
fn overrides_are_checked_like_the_file() {
    let text = with("name", "name");
    let over = |set: &str| from_bytes("p.toml", text.as_bytes(), &PathBuf::new(), &[set.to_string()]);
    assert_eq!(over("options.seed=7").unwrap().options.count("seed"), Some(7));
    assert_eq!(over("name=other").unwrap().problem.name(), "other");
    assert!(over("constants.c=-1").is_ok());
    check(&over("upper.minimize=x + z").unwrap_err().to_string(), &["unknown name `z`", "--set:1:21"]);
    check(&over("options.sede=7").unwrap_err().to_string(), &["unknown key `sede`", "--set:1:9"]);
    check(&over("options.seed").unwrap_err().to_string(), &["an override needs `=`", "--set:1:1"]);
}

#[test]
fn a_folder_or_nothing_is_no_problem_file() {
    let folder = folder("none");
    check_message(&load(&folder, &[]).unwrap_err(), &["cannot read the problem file: it is not a file"]);
    check_message(&load(&folder.join("x.toml"), &[]).unwrap_err(), &["there is no such file"]);
}

#[test]
fn several_mistakes_are_reported_at_once() {
    let text = with("sum(y)'", "sum(yy)'").replace("seed = 3", "sede = 3").replace("x*y[0]", "x*y[5]");
    let mistakes = read(&text).unwrap_err();
    assert_eq!(mistakes.iter().count(), 1, "options come first: {mistakes}");
    let text = with("sum(y)'", "sum(yy)'").replace("x*y[0]", "x*y[5]");
    assert_eq!(read(&text).unwrap_err().iter().count(), 2);
}

#[test]
fn of_many_mistakes_the_first_ones_are_shown() {
    let keys: String = (0..100_000).map(|i| format!("key{i} = 1\n")).collect();
    let mistakes = read(&format!("{keys}{}", with("name", "name"))).unwrap_err();
    assert_eq!(mistakes.iter().count(), 21);
    check(&mistakes.to_string(), &["unknown key `key19`", "error: and 99980 more", "p.toml:21:1"]);
}

#[test]
fn too_many_names_are_refused() {
    let names: String = (0..20_000).map(|i| format!("k{i} = \"free\"\n")).collect();
    check(&shown(&with("x = \"in [-5, 5]\"\n", &names)), &["too many names", "p.toml:10006:1", "vector(1000)"]);
}
