//! Pessimistic problems: answers that are proved to be optimal for every x of a box.
//!
//! Let ȳ be affine with ȳ(x) in Y(x) for all x of the box, and let f(x, y) - f(x, ȳ(x)) >= 0 be proved for all x of the
//! box and all y in Y(x). Then ȳ(x) is an answer at each of these x, so φ_p(x) >= F(x, ȳ(x)), and the least value of that
//! bounds φ_p over the box from below, whatever else the follower may answer. The difference has to be nonnegative
//! exactly: this works where common terms cancel, as for followers with whole faces of answers or several wells of the
//! same depth, and says nothing elsewhere. ȳ goes through the answers that are worst for the leader.

use super::cut::{Cut, CutMaker};
use crate::proof::follower::Settings;
use crate::proof::interval::Interval;
use crate::proof::minimum::{Limits, Prover, Task};
use crate::proof::problem::Formulas;
use crate::proof::program::Builder;

/// Boxes looked at for each of the proofs.
const NODES: usize = 60;
/// Tie width within which the worst answers are looked for.
const ETA: f64 = 1e-7;

/// A proved lower bound of φ_p over the x-box that begins `domain`; -inf without a proof.
pub fn pessimistic_bound(formulas: &Formulas, maker: &CutMaker<'_>, domain: &[Interval]) -> f64 {
    let Some(cut) = worst_answer(formulas, maker, domain) else { return f64::NEG_INFINITY };
    let (n, m) = (formulas.n, formulas.m);
    let mut b = Builder::new();
    let variables: Vec<_> = (0..n + m).map(|v| b.variable(v)).collect();
    let all = b.import(&formulas.program, &variables);
    let follower = &formulas.follower;
    let mut roots = vec![cut.root(formulas, &mut b, all[follower.objective])];
    roots.extend(follower.inequalities.iter().chain(&follower.equalities).map(|&r| all[r]));
    let (inequalities, equalities) = (follower.inequalities.len(), follower.equalities.len());
    let program = b.finish(&roots, n + m);
    let whole = domain[..n].iter().chain(&formulas.domain[n..]).copied().collect();
    let task = Task { program, inequalities, equalities, domain: whole };
    // Points where the difference is 0 exist, so nothing above 0 can be asked for.
    let limits = Limits { nodes: NODES, gap: 0.0, beat: 0.0, ..Limits::default() };
    if Prover::new(&task, limits).run(&[]).lower < 0.0 {
        return f64::NEG_INFINITY;
    }
    least_value(formulas, &cut, domain)
}

/// A lower bound of F(x, ȳ(x)) over the x-box.
fn least_value(formulas: &Formulas, cut: &Cut, domain: &[Interval]) -> f64 {
    let n = formulas.n;
    let mut b = Builder::new();
    let root = cut.at(formulas, &mut b, formulas.leader.objective);
    let task = Task { program: b.finish(&[root], n), inequalities: 0, equalities: 0, domain: domain[..n].to_vec() };
    let limits = Limits { nodes: NODES, gap: 1e-6, ..Limits::default() };
    let bound = Prover::new(&task, limits).run(&[]);
    // An empty search means that F is undefined: nothing is claimed of that.
    if bound.lower.is_finite() { bound.lower } else { f64::NEG_INFINITY }
}

/// The worst answers at the middle and the ends of the box, joined to an affine ȳ that is proved to be in Y(x).
fn worst_answer(formulas: &Formulas, maker: &CutMaker<'_>, domain: &[Interval]) -> Option<Cut> {
    let n = formulas.n;
    if domain[..n].iter().any(|z| !z.is_bounded()) {
        return None;
    }
    let centre: Vec<f64> = domain[..n].iter().map(|z| z.mid()).collect();
    let base = worst_at(formulas, &centre)?;
    let mut slopes = vec![vec![0.0; n]; formulas.m];
    for i in (0..n).filter(|&i| domain[i].width() > 0.0) {
        let mut x = centre.clone();
        x[i] = domain[i].hi();
        let right = worst_at(formulas, &x)?;
        for (row, (r, middle)) in slopes.iter_mut().zip(right.iter().zip(&base)) {
            row[i] = (r - middle) / (0.5 * domain[i].width());
        }
    }
    let constant = Cut::new(centre.clone(), base.clone(), vec![vec![0.0; n]; formulas.m]);
    [Cut::new(centre, base, slopes), constant].into_iter().find_map(|cut| {
        let (cut, violation) = maker.settled(cut, domain);
        (violation <= 0.0).then_some(cut)
    })
}

/// The answer at x that is worst for the leader, as far as a short search finds it.
fn worst_at(formulas: &Formulas, x: &[f64]) -> Option<Vec<f64>> {
    let settings = Settings { nodes: 200, gap: 1e-9, ..Settings::default() };
    let follower = formulas.follower(x, None, &settings).ok()?;
    let hyper = formulas.hyper(x, &follower, ETA, 1e-3, &settings).ok()??;
    let worst = hyper.worst?.point;
    // The worst of the nearly optimal answers may lie off S(x) by the root of η: the point itself, the simple one next to
    // it, and the minimiser next to it are tried in turn.
    let mut task = formulas.follower_task(x, Some(formulas.follower.objective), 0.0);
    for z in &mut task.domain {
        *z = z.intersect(Interval::new(-1e4, 1e4));
    }
    let simple: Vec<f64> = worst.iter().map(|v| if (v - v.round()).abs() <= 2e-3 { v.round() } else { *v }).collect();
    let limits = Limits { nodes: 1, gap: 0.0, ..Limits::default() };
    let near = Prover::new(&task, limits).near(&worst);
    let optimal = |y: &Vec<f64>| {
        let (f, violation) = formulas.answer(x, y);
        violation <= settings.delta && f.is_some_and(|f| f.hi() - follower.lower <= 1e-12 * (1.0 + f.mag()))
    };
    [Some(worst.clone()), Some(simple), near].into_iter().flatten().find(optimal).or(Some(worst))
}
