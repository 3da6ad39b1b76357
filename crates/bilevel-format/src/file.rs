//! A whole problem file.

use std::path::Path;
use std::sync::Arc;

use bilevel::expr::Level;
use bilevel::expr::parse::Scope;
use bilevel::problem::{Model, Problem};

use crate::context::{Context, PROBLEM_LIMIT, read_file, source_of};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::options::{self, FileOptions};
use crate::points::{self, Known};
use crate::source::Source;
use crate::tree::Table;
use crate::{constants, levels, mps, overrides, tables, tree};

/// What a problem file says.
#[derive(Clone, Debug)]
pub struct ProblemFile {
    /// The problem, with its name and its start if the file has one.
    pub problem: Problem,
    /// A description; empty if there is none.
    pub description: String,
    /// What is known of the answer.
    pub known: Known,
    /// The options that the file sets.
    pub options: FileOptions,
}

const KEYS: [&str; 12] = [
    "name",
    "description",
    "source",
    "tags",
    "leader",
    "follower",
    "upper",
    "lower",
    "constants",
    "data",
    "start",
    "known",
];

/// Reads the problem file at `path`; one that ends in `.mps` as MPS, with the `.aux` file beside it. Each of `overrides` is `table.key=value` and replaces what the file says; data files
/// are looked for in the folder of the problem file.
///
/// # Errors
/// All mistakes found, with their places.
pub fn load(path: &Path, overrides: &[String]) -> Result<ProblemFile, Diagnostics> {
    if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("mps")) {
        return match overrides.first() {
            None => mps::load(path),
            Some(_) => Err(Diagnostic::new("--set works with TOML files only").help("edit the MPS file").into()),
        };
    }
    let name = path.display().to_string();
    let bytes = read_file(path, PROBLEM_LIMIT).map_err(|reason| {
        let help = if reason.contains("limit") {
            "large vectors and matrices belong in data files: `A = \"A.npy\"`"
        } else {
            "check the file's name"
        };
        let place = Source::new(&name, "").at(0..0);
        Diagnostics::from(Diagnostic::new(format!("cannot read the problem file: {reason}")).at(&place, "").help(help))
    })?;
    from_bytes(&name, &bytes, path.parent().unwrap_or(Path::new("")), overrides)
}

/// Reads a problem file from its bytes; `name` is shown in messages, and data files are looked for in `folder`.
///
/// # Errors
/// All mistakes found, with their places.
pub fn from_bytes(name: &str, bytes: &[u8], folder: &Path, overrides: &[String]) -> Result<ProblemFile, Diagnostics> {
    if bytes.len() as u64 > PROBLEM_LIMIT {
        let place = Source::new(name, "").at(0..0);
        let message = format!("the file has {} MB, the limit is {} MB", bytes.len() >> 20, PROBLEM_LIMIT >> 20);
        let help = "large vectors and matrices belong in data files: `A = \"A.npy\"`";
        return Err(Diagnostic::new(message).at(&place, "").help(help).into());
    }
    let source = source_of(name, bytes)?;
    let mut root = tree::parse(&source)?;
    for text in overrides {
        overrides::merge(&mut root, overrides::parse(text)?);
    }
    let mut context = Context::new(folder);
    let file = read(&mut context, &source, &root);
    match (file, Diagnostics::new(context.into_mistakes())) {
        (_, Some(mistakes)) => Err(mistakes),
        (Some(file), None) => Ok(file),
        // Whatever stops the reading reports why; this is for the compiler.
        (None, None) => Err(Diagnostic::new("the problem could not be read").help("check the file").into()),
    }
}

/// Reads all sections. Each stage needs the names of the ones before it, so mistakes in one end the reading there:
/// nobody wants to read that `train.X` is unknown because a cell of `train.csv` is empty.
fn read(context: &mut Context, source: &Arc<Source>, root: &Table) -> Option<ProblemFile> {
    let known_keys: Vec<&str> = KEYS.iter().copied().chain(["options"]).collect();
    context.check_keys(root, "a problem file", &known_keys);
    levels::check_levels(context, root, &source.at(0..first_line(source)));
    let (name, description) = titles(context, root);
    let options = section(context, root, "options").map(|t| options::read(context, t)).unwrap_or_default();

    let mut model = Model::new();
    model.name(name);
    let mut scope = Scope::new(model.graph());
    if let Some(table) = section(context, root, "constants") {
        constants::read(context, table, &mut scope);
    }
    if let Some(table) = section(context, root, "data") {
        tables::read(context, table, &mut scope);
    }
    if !context.is_clean() {
        return None;
    }
    let variables = levels::variables(context, root, &scope);
    if !context.is_clean() {
        return None;
    }
    levels::declare(context, &mut model, &mut scope, &variables);
    for level in [Level::Leader, Level::Follower] {
        levels::formulas(context, root, level, &mut model, &scope);
    }
    if let Some(entry) = root.get("start") {
        let start = context.table(entry).and_then(|table| points::start(context, table, &variables));
        if let Some((x, y)) = start {
            model.start(&x, &y);
        }
    }
    let known = section(context, root, "known").map(|t| points::known(context, t, &variables)).unwrap_or_default();
    if !context.is_clean() {
        return None;
    }
    match model.build() {
        Ok(problem) => Some(ProblemFile { problem, description, known, options }),
        Err(error) => {
            let place = source.at(0..first_line(source));
            context.report(Diagnostic::new(error.to_string()).at(&place, "").help("see docs/file-format.md"));
            None
        }
    }
}

fn first_line(source: &Source) -> usize {
    source.text().find('\n').unwrap_or(source.text().len())
}

fn section<'a>(context: &mut Context, root: &'a Table, key: &str) -> Option<&'a Table> {
    root.get(key).and_then(|entry| context.table(entry))
}

/// Name and description; `source` and `tags` at the top are checked and left to readers of the file.
fn titles(context: &mut Context, root: &Table) -> (String, String) {
    let mut text = |key: &str| {
        let node = root.get(key).map(|entry| &entry.node)?;
        context.string(node, "write it in quotes").map(str::to_string)
    };
    let titles = (text("name").unwrap_or_default(), text("description").unwrap_or_default());
    for key in ["source", "tags"] {
        if let Some(entry) = root.get(key) {
            points::strings(context, &entry.node);
        }
    }
    titles
}
