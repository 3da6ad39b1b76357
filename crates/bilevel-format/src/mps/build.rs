//! A linear programme and the follower's part of it as a problem.

use std::collections::HashSet;
use std::sync::Arc;

use bilevel::expr::{Expr, Matrix, Shape, concat};
use bilevel::problem::{Model, ModelError};
use bilevel::set::Bounds;
use bilevel_linalg::Csr;

use super::aux::Follower;
use super::reader::{Column, Programme};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::file::ProblemFile;
use crate::options::FileOptions;
use crate::points::Known;
use crate::source::Source;

/// Makes the problem.
pub fn build(source: &Arc<Source>, programme: Programme, follower: &Follower) -> Result<ProblemFile, Diagnostics> {
    let failed = |error: String| {
        let help = "the MPS file and the aux file must describe one problem";
        Diagnostics::from(Diagnostic::new(error).at(&source.at(0..0), "").help(help))
    };
    let problem = Builder::new(&programme, follower).build().map_err(|error| failed(error.to_string()))?;
    let (description, known) = (String::new(), Known::default());
    Ok(ProblemFile { problem, description, known, options: FileOptions::default() })
}

/// Columns in the order of both levels' vectors.
struct Builder<'a> {
    programme: &'a Programme,
    follower: &'a Follower,
    leaders: Vec<usize>,
    model: Model,
    names: HashSet<String>,
}

impl<'a> Builder<'a> {
    fn new(programme: &'a Programme, follower: &'a Follower) -> Self {
        let own: HashSet<usize> = follower.columns.iter().map(|(column, _)| *column).collect();
        let leaders = (0..programme.columns.len()).filter(|column| !own.contains(column)).collect();
        Self { programme, follower, leaders, model: Model::new(), names: HashSet::new() }
    }

    fn build(mut self) -> Result<bilevel::problem::Problem, ModelError> {
        self.model.name(self.programme.name.clone());
        let followers: Vec<usize> = self.follower.columns.iter().map(|(column, _)| *column).collect();
        let x = self.declare(&self.leaders.clone(), true)?;
        let y = self.declare(&followers, false)?;
        let levels = [(x, self.leaders.clone()), (y, followers)];
        let mut lower = vec![0.0; self.programme.columns.len()];
        self.follower.columns.iter().for_each(|&(column, cost)| lower[column] = cost);
        let upper: Vec<f64> = self.programme.columns.iter().map(|column| column.cost).collect();
        let upper = self.inner(&levels, &upper) + self.programme.objective_constant;
        if self.programme.maximise {
            self.model.upper_maximize(upper);
        } else {
            self.model.upper(upper);
        }
        let lower = self.inner(&levels[1..], &lower);
        if self.follower.maximise {
            self.model.lower_maximize(lower);
        } else {
            self.model.lower(lower);
        }
        self.constraints(&levels);
        self.model.build()
    }

    /// One scalar variable per column, joined to a vector.
    fn declare(&mut self, columns: &[usize], leader: bool) -> Result<Option<Expr>, ModelError> {
        let mut parts = Vec::with_capacity(columns.len());
        for &column in columns {
            let Column { name, lower, upper, .. } = &self.programme.columns[column];
            let (name, bounds) = (self.identifier(name), Bounds::new(*lower, *upper)?);
            let declaration =
                if leader { self.model.leader(name, Shape::Scalar) } else { self.model.follower(name, Shape::Scalar) };
            parts.push(declaration.within(bounds)?);
        }
        Ok((!parts.is_empty()).then(|| concat(&parts)))
    }

    /// The column's name as a variable's: letters, digits and underscores, not taken yet.
    fn identifier(&mut self, name: &str) -> String {
        let mut text: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            text.insert(0, '_');
        }
        while !self.names.insert(text.clone()) {
            text.push('_');
        }
        text
    }

    /// Σ costs[column] z_column over the levels given.
    fn inner(&self, levels: &[Columns], costs: &[f64]) -> Expr {
        let graph = self.model.graph();
        let mut sum = graph.constant(0.0);
        for (z, columns) in levels {
            let own: Vec<f64> = columns.iter().map(|&column| costs[column]).collect();
            if let Some(z) = z {
                sum = sum + graph.constant_vector(&own).dot(z);
            }
        }
        sum
    }

    /// Rows of each level: those with an upper side, those with a lower side, equalities.
    fn constraints(&mut self, levels: &[Columns; 2]) {
        let lower: HashSet<usize> = self.follower.rows.iter().copied().collect();
        for of_follower in [false, true] {
            let own: Vec<usize> =
                (0..self.programme.rows.len()).filter(|row| lower.contains(row) == of_follower).collect();
            for kind in [Side::Upper, Side::Lower, Side::Both] {
                let sides = |row: &usize| self.programme.rows[*row].sides();
                let rows: Vec<usize> = own.iter().copied().filter(|row| kind.wants(sides(row))).collect();
                if rows.is_empty() {
                    continue;
                }
                let right: Vec<f64> = rows.iter().map(|row| kind.of(sides(row))).collect();
                let Some(left) = self.product(levels, &rows) else { continue };
                let right = self.model.graph().constant_vector(&right);
                let names: Vec<&str> = rows.iter().map(|&row| self.programme.rows[row].name.as_str()).collect();
                let comparison = match kind {
                    Side::Upper => left.at_most(&right),
                    Side::Lower => left.at_least(&right),
                    Side::Both => left.equal_to(&right),
                };
                let comparison = comparison.labelled(label(kind, &names));
                if of_follower {
                    self.model.lower_subject_to(comparison);
                } else {
                    self.model.upper_subject_to(comparison);
                }
            }
        }
    }

    /// A z over both levels for the rows given.
    fn product(&self, levels: &[Columns; 2], rows: &[usize]) -> Option<Expr> {
        let mut position = vec![None; self.programme.rows.len()];
        rows.iter().enumerate().for_each(|(k, &row)| position[row] = Some(k));
        let mut sum: Option<Expr> = None;
        for (z, columns) in levels {
            let Some(z) = z else { continue };
            let mut place = vec![None; self.programme.columns.len()];
            columns.iter().enumerate().for_each(|(k, &column)| place[column] = Some(k));
            let entries: Vec<(usize, usize, f64)> = self
                .programme
                .entries
                .iter()
                .filter_map(|&(row, column, value)| Some((position[row]?, place[column]?, value)))
                .collect();
            let matrix = Matrix::Sparse(Arc::new(Csr::from_triplets(rows.len(), columns.len(), &entries)?));
            let part = &matrix * z;
            sum = Some(sum.map_or(part.clone(), |sum| sum + part));
        }
        sum
    }
}

/// A level's variables, if it has any, and their columns.
type Columns = (Option<Expr>, Vec<usize>);

/// Which side of its rows a constraint states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Upper,
    Lower,
    Both,
}

impl Side {
    fn wants(self, (low, high): (f64, f64)) -> bool {
        match self {
            Side::Both => low == high,
            Side::Upper => low != high && high.is_finite(),
            Side::Lower => low != high && low.is_finite(),
        }
    }

    fn of(self, (low, high): (f64, f64)) -> f64 {
        if self == Side::Upper { high } else { low }
    }
}

fn label(kind: Side, names: &[&str]) -> String {
    let relation = match kind {
        Side::Upper => "<=",
        Side::Lower => ">=",
        Side::Both => "==",
    };
    match names {
        [one] => format!("row {one} {relation}"),
        [first, .., last] => format!("rows {first} .. {last} {relation}"),
        [] => String::new(),
    }
}
