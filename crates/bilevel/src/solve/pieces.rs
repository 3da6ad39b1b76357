//! Problems with a linear or convex quadratic follower, solved through the pieces of its answer: descents from piece to
//! piece from several starts, and, where that is cheap, a search over all pieces that begins with the best point known.

use super::presolve::{InUserUnits, Presolved};
use super::{Analysis, Options, Watch, portfolio};
use crate::certificate::violation;
use crate::lower::{Follower, Meter};
use crate::observe::Observer;
use crate::problem::{Failures, Problem};
use crate::upper::bard_moore::Pieces;
use crate::upper::{Candidate, Run};

/// A point that violates more than this, relative, says nothing of what is best.
const VIOLATED: f64 = 1e-8;

/// What was found.
pub struct Searched {
    /// The descents, if any were made.
    pub descents: Option<Run>,
    /// The search over all pieces, if one was made. Its points are at least as good as those of the descents.
    pub pieces: Option<Run>,
    /// The search over all pieces came to its end, with the least point of all.
    pub complete: bool,
    /// It came to its end, and no piece has a point.
    pub empty: bool,
}

impl Searched {
    /// Whether F falls without end on a piece.
    pub fn falls(&self) -> bool {
        self.pieces.as_ref().is_some_and(|run| run.unbounded)
    }

    /// Lower solves of the search over all pieces.
    pub fn lower_solves(&self) -> u64 {
        self.pieces.as_ref().map_or(0, |run| run.lower_solves)
    }
}

/// Searches, where the problem has pieces and the options leave the way open; nothing is found where it does not.
pub fn search(presolved: &Presolved<'_>, analysis: &Analysis, options: &Options, watch: &Watch<'_>) -> Searched {
    let mut found = Searched { descents: None, pieces: None, complete: false, empty: false };
    if options.method.is_some() || options.value_model.is_some() {
        return found;
    }
    let levels = &analysis.levels;
    let both = levels.exact_leader.as_ref().zip(levels.exact_follower.as_ref());
    let both = both.filter(|_| levels.convex && options.starts > 1);
    let pieces = both.and_then(|(leader, follower)| Some((Pieces::new(leader, follower, &analysis.bounds)?, follower)));
    found.descents = descents((presolved, analysis), options, watch, pieces.is_some());
    if let Some((pieces, follower)) = &pieces {
        over_all(presolved.problem.as_ref(), (pieces, follower), options, watch, &mut found);
        if !found.complete && !found.empty && !found.falls() {
            found.descents = descents((presolved, analysis), options, watch, false);
        }
    }
    found
}

/// Descents from several starts: from no more than are wanted where all pieces are searched behind them.
fn descents(
    (presolved, analysis): (&Presolved<'_>, &Analysis),
    options: &Options,
    watch: &Watch<'_>,
    searched: bool,
) -> Option<Run> {
    let quadratic = analysis.levels.quadratic.as_ref()?;
    let inner = presolved.problem.as_ref();
    let first = portfolio::first_x(inner, analysis);
    let count = if searched { options.starts } else { quadratic.starts(options.starts) };
    let mut spread = vec![first.clone()];
    if count > 1 {
        spread = portfolio::spread_over_x(inner, analysis, &first, count - 1, options.seed);
        spread.truncate(count);
    }
    if quadratic.has_products_alone() {
        spread = quadratic.promising(&spread, count, &|| watch.interrupted());
    }
    let observer = InUserUnits { observer: watch, way: &presolved.way };
    let sense = inner.leader().sense;
    Some(quadratic.search(&spread, (options.starts, options.seed), &|value| sense.apply(value), &observer))
}

/// The search over all pieces.
fn over_all(
    problem: &Problem,
    (pieces, follower): (&Pieces, &Follower),
    options: &Options,
    watch: &Watch<'_>,
    searched: &mut Searched,
) {
    let m = follower.m;
    let meter = Meter::new(options.budget / 4);
    let allowed = |best: &&Candidate| violation(problem, &best.x, &best.y, &Failures::default()) <= VIOLATED;
    let best = searched.descents.as_ref().and_then(|run| run.candidates.first()).filter(allowed);
    let known = best.map(|best| (best.x.clone(), follower.extend(&best.x, &best.y)));
    let known = known.as_ref().map(|(x, y)| (x.as_slice(), y.as_slice()));
    let found = pieces.search(pieces.nodes(), known, &meter, &|| watch.interrupted());
    let ended = found.complete && !found.unbounded;
    let residual = ended.then_some(0.0);
    let candidate = |(x, y): (Vec<f64>, Vec<f64>)| Candidate { x, y: y[..m].to_vec(), residual, source: "pieces" };
    (searched.complete, searched.empty) = (ended && !found.points.is_empty(), ended && found.points.is_empty());
    let candidates = found.points.into_iter().map(candidate).collect();
    let run = Run { candidates, unbounded: found.unbounded, lower_solves: meter.used(), ..Run::default() };
    searched.pieces = Some(run);
}
