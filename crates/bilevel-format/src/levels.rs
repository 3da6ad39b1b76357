//! The two levels: variables, objectives and constraints.

use bilevel::expr::parse::{Compare, Scope, parse_constraint, parse_formula};
use bilevel::expr::{Expr, Level, Shape};
use bilevel::problem::Model;

use crate::constants::check_name;
use crate::context::Context;
use crate::declaration::{self, Declared, VARIABLE_LIMIT};
use crate::diagnostic::Diagnostic;
use crate::source::Place;
use crate::tree::{Entry, Node, Table, Value};

/// The most variables with names of their own.
const NAME_LIMIT: usize = 10_000;

/// A variable as it was declared.
pub(crate) struct Variable {
    pub(crate) level: Level,
    pub(crate) name: String,
    pub(crate) declared: Declared,
    pub(crate) place: Place,
}

/// The table of a level's variables, and what the level is called.
pub(crate) fn variables_table(level: Level) -> &'static str {
    match level {
        Level::Leader => "leader",
        Level::Follower => "follower",
    }
}

fn formulas_table(level: Level) -> &'static str {
    match level {
        Level::Leader => "upper",
        Level::Follower => "lower",
    }
}

/// Reads `[leader]` and `[follower]`. Names are checked against each other and against `constants`.
pub(crate) fn variables(context: &mut Context, root: &Table, constants: &Scope) -> Vec<Variable> {
    let mut entries: Vec<(Level, &Entry)> = Vec::new();
    for level in [Level::Leader, Level::Follower] {
        if let Some(table) = root.get(variables_table(level)).and_then(|entry| context.table(entry)) {
            entries.extend(table.entries.iter().map(|entry| (level, entry)));
        }
    }
    if let Some((_, entry)) = entries.get(NAME_LIMIT) {
        let message = format!("{} variables are too many names", entries.len());
        let help =
            format!("a problem may declare {NAME_LIMIT} names: join variables in vectors, `x = \"vector(1000)\"`");
        context.report(Diagnostic::new(message).at(&entry.key_place, "").help(help));
        return Vec::new();
    }
    // Sets are fixed: in a variable's text, the names of all variables are known and refused.
    let mut scope = constants.clone();
    for (level, entry) in &entries {
        let reason = format!("it is a variable of the {}, and sets are fixed", variables_table(*level));
        let help = "write it as a constraint: `subject_to` in [upper] or [lower]";
        scope.forbid(&entry.key, reason, help);
    }
    let mut variables: Vec<Variable> = Vec::new();
    for (level, entry) in entries {
        check_name(context, entry, "variable");
        if let Some(first) = variables.iter().find(|known| known.name == entry.key) {
            let diagnostic = Diagnostic::new(format!("`{}` is declared twice", entry.key))
                .at(&entry.key_place, format!("again, for the {}", variables_table(level)))
                .also(&first.place, format!("first, for the {}", variables_table(first.level)))
                .help("every variable needs its own name; both levels may use both levels' variables");
            context.report(diagnostic);
            continue;
        }
        if constants.contains(&entry.key) {
            let diagnostic = Diagnostic::new(format!("`{}` is a constant and a variable", entry.key));
            context.report(diagnostic.at(&entry.key_place, "").help("rename one of them"));
            continue;
        }
        let help = "write the variable's set, for example \"in [0, 1]\" or \"vector(3)\"";
        let Some(text) = context.string(&entry.node, help) else { continue };
        match declaration::parse(text, &scope) {
            Ok(declared) => {
                variables.push(Variable { level, name: entry.key.clone(), declared, place: entry.key_place.clone() })
            }
            Err(error) => context.formula_mistake(&entry.node.place, text, &error),
        }
        let total: usize = variables.iter().map(|v| v.declared.shape.len()).sum();
        if total > VARIABLE_LIMIT {
            let message = format!("{total} variables are too many");
            let help = format!("a problem may have at most {VARIABLE_LIMIT} scalar variables");
            context.report(Diagnostic::new(message).at(&entry.key_place, "").help(help));
            break;
        }
    }
    variables
}

/// Declares the variables in the model and in the scope of its formulas.
pub(crate) fn declare(context: &mut Context, model: &mut Model, scope: &mut Scope, variables: &[Variable]) {
    for variable in variables {
        let Declared { shape, set } = &variable.declared;
        let declaration = match variable.level {
            Level::Leader => model.leader(&variable.name, *shape),
            Level::Follower => model.follower(&variable.name, *shape),
        };
        match declaration.within(set.clone()) {
            Ok(expr) => scope.define(&variable.name, expr),
            Err(error) => {
                let diagnostic = Diagnostic::new(error.to_string()).at(&variable.place, "");
                context.report(diagnostic.help("change the variable's name or set"));
            }
        }
    }
}

/// Reads `[upper]` or `[lower]` into the model.
pub(crate) fn formulas(context: &mut Context, root: &Table, level: Level, model: &mut Model, scope: &Scope) {
    let name = formulas_table(level);
    let Some(entry) = root.get(name) else { return };
    let Some(table) = context.table(entry) else { return };
    context.check_keys(table, &format!("[{name}]"), &["minimize", "maximize", "subject_to"]);
    objective(context, entry, table, level, model, scope);
    if let Some(constraints) = table.get("subject_to") {
        let items = match &constraints.node.value {
            Value::Array(items) => items.as_slice(),
            _ => std::slice::from_ref(&constraints.node),
        };
        for item in items {
            constraint(context, item, level, model, scope);
        }
    }
}

fn objective(context: &mut Context, entry: &Entry, table: &Table, level: Level, model: &mut Model, scope: &Scope) {
    let help = "write `minimize = '...'` or `maximize = '...'`";
    let (goal, maximize) = match (table.get("minimize"), table.get("maximize")) {
        (Some(goal), None) => (goal, false),
        (None, Some(goal)) => (goal, true),
        // A misspelt key has been reported already.
        (None, None) if table.entries.iter().any(|entry| entry.key != "subject_to") => return,
        (None, None) => {
            let message = format!("[{}] has no objective", entry.key);
            return context.report(Diagnostic::new(message).at(&entry.key_place, "").help(help));
        }
        (Some(first), Some(second)) => {
            let diagnostic = Diagnostic::new(format!("[{}] has two objectives", entry.key))
                .at(&second.key_place, "")
                .also(&first.key_place, "")
                .help("a level either minimises or maximises");
            return context.report(diagnostic);
        }
    };
    let Some(expr) = goal_formula(context, &goal.node, scope, help) else { return };
    if expr.shape().len() != 1 {
        let diagnostic = Diagnostic::new(format!("an objective is one number, this is a {}", expr.shape()))
            .at(&goal.node.place, expr.shape().to_string())
            .help("use `sum(...)`, `norm2sq(...)`, or an entry `[0]`");
        return context.report(diagnostic);
    }
    let expr = if expr.shape() == Shape::Scalar { expr } else { expr.sum() };
    match (level, maximize) {
        (Level::Leader, false) => model.upper(expr),
        (Level::Leader, true) => model.upper_maximize(expr),
        (Level::Follower, false) => model.lower(expr),
        (Level::Follower, true) => model.lower_maximize(expr),
    };
}

/// A formula, or a plain number.
fn goal_formula(context: &mut Context, node: &Node, scope: &Scope, help: &str) -> Option<Expr> {
    match &node.value {
        &Value::Number { value, rounded, .. } if value.is_finite() => Some(scope.graph().decimal(value, rounded)),
        _ => {
            let text = context.string(node, help)?;
            match parse_formula(text, scope) {
                Ok(expr) => Some(expr),
                Err(error) => {
                    context.formula_mistake(&node.place, text, &error);
                    None
                }
            }
        }
    }
}

fn constraint(context: &mut Context, node: &Node, level: Level, model: &mut Model, scope: &Scope) {
    let help = "`subject_to` is an array of constraints in quotes: subject_to = ['x + y <= 3']";
    let Some(text) = context.string(node, help) else { return };
    let parsed = match parse_constraint(text, scope) {
        Ok(parsed) => parsed,
        Err(error) => return context.formula_mistake(&node.place, text, &error),
    };
    for part in parsed {
        let comparison = match part.compare {
            Compare::AtMost => part.left.at_most(&part.right),
            Compare::AtLeast => part.left.at_least(&part.right),
            Compare::Equal => part.left.equal_to(&part.right),
        };
        // A text over several lines is shown on one.
        let label = text[part.span].split_whitespace().collect::<Vec<_>>().join(" ");
        match level {
            Level::Leader => model.upper_subject_to(comparison.labelled(label)),
            Level::Follower => model.lower_subject_to(comparison.labelled(label)),
        };
    }
}

/// Reports levels without variables or formulas.
pub(crate) fn check_levels(context: &mut Context, root: &Table, start: &Place) {
    let missing = |what: &str, near: Option<&Entry>, help: &str| {
        let place = near.map_or(start, |entry| &entry.key_place);
        Diagnostic::new(format!("the problem has no {what}")).at(place, "").help(help.to_string())
    };
    for (level, help) in [
        (Level::Leader, "add the leader's objective: a line `[upper]`, and below it `minimize = '...'`"),
        (Level::Follower, "add the follower's objective: a line `[lower]`, and below it `minimize = '...'`"),
    ] {
        if root.get(formulas_table(level)).is_none() {
            let near = root.get(variables_table(level));
            context.report(missing(&format!("[{}]", formulas_table(level)), near, help));
        }
    }
    let help = "add the follower's variables: a line `[follower]`, and below it for example `y = \"in [0, 1]\"`";
    match root.get("follower") {
        None => context.report(missing("[follower]", root.get("lower"), help)),
        Some(entry) => {
            if matches!(&entry.node.value, Value::Table(table) if table.entries.is_empty()) {
                context.report(missing("follower variables", Some(entry), help));
            }
        }
    }
}
