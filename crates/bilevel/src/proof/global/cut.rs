//! Value-function cuts: for every bilevel feasible (x, y) with x in a box, f(x, y) <= f(x, ȳ(x)) if ȳ(x) is in Y(x)
//! for all x of the box.
//!
//! ȳ is affine: the follower's answer at the middle of the box, with slopes from answers at its ends. It is used only
//! after g(x, ȳ(x)) <= 0, h(x, ȳ(x)) = 0 and ȳ(x) in Y are proved over the whole x-box; where that fails by a little,
//! answers are pulled inside by as much and tried again, then a constant ȳ. Coefficients near multiples of 1/64 are
//! rounded to them, so that equalities can hold exactly.

use crate::proof::interval::Interval;
use crate::proof::minimum::{Limits, Prover};
use crate::proof::problem::Formulas;
use crate::proof::program::{Builder, Program, Sweep};
use crate::proof::search::LocalSearch;

/// ȳ(x) = base + slopes (x - centre).
#[derive(Clone, Debug)]
pub struct Cut {
    centre: Vec<f64>,
    base: Vec<f64>,
    /// One row a follower variable.
    slopes: Vec<Vec<f64>>,
}

impl Cut {
    /// ȳ(x) = base + slopes (x - centre); nothing is proved of it yet.
    pub fn new(centre: Vec<f64>, base: Vec<f64>, slopes: Vec<Vec<f64>>) -> Self {
        Self { centre, base, slopes }
    }

    /// The operations of ȳ(x), for the leader's variables `x`.
    fn answer(&self, b: &mut Builder, x: &[u32]) -> Vec<u32> {
        let rows = self.base.iter().zip(&self.slopes);
        rows.map(|(&base, row)| {
            let mut sum = b.number(base);
            for ((&slope, &centre), &v) in row.iter().zip(&self.centre).zip(x) {
                if slope != 0.0 {
                    let (slope, centre) = (b.number(slope), b.number(centre));
                    let step = b.sub(v, centre);
                    let term = b.mul(slope, step);
                    sum = b.add(sum, term);
                }
            }
            sum
        })
        .collect()
    }

    /// f(x, y) - f(x, ȳ(x)) in a builder that holds f(x, y) already.
    pub fn root(&self, formulas: &Formulas, b: &mut Builder, f: u32) -> u32 {
        let at = self.at(formulas, b, formulas.follower.objective);
        b.sub(f, at)
    }

    /// A root of the problem at (x, ȳ(x)).
    pub fn at(&self, formulas: &Formulas, b: &mut Builder, root: usize) -> u32 {
        let mut with: Vec<_> = (0..formulas.n).map(|v| b.variable(v)).collect();
        let answer = self.answer(b, &with);
        with.extend(answer);
        b.import(&formulas.program, &with)[root]
    }
}

/// Makes cuts for boxes of one problem.
pub struct CutMaker<'a> {
    formulas: &'a Formulas,
    /// f, g, h of the follower in (x, y).
    program: Program,
    local: LocalSearch,
}

impl<'a> CutMaker<'a> {
    /// For one problem.
    pub fn new(formulas: &'a Formulas) -> Self {
        let mut b = Builder::new();
        let variables: Vec<_> = (0..formulas.n + formulas.m).map(|v| b.variable(v)).collect();
        let all = b.import(&formulas.program, &variables);
        let follower = &formulas.follower;
        let wanted = std::iter::once(&follower.objective).chain(&follower.inequalities).chain(&follower.equalities);
        let roots: Vec<_> = wanted.map(|&r| all[r]).collect();
        let program = b.finish(&roots, formulas.n + formulas.m);
        let local = LocalSearch::new(&program, follower.inequalities.len(), follower.equalities.len());
        Self { formulas, program, local }
    }

    /// A proved cut for the box; `near` is a point whose follower part may be a good start.
    pub fn make(&mut self, domain: &[Interval], near: &[f64]) -> Option<Cut> {
        let n = self.formulas.n;
        let centre: Vec<f64> = domain[..n].iter().map(|z| z.mid()).collect();
        let mut task = self.formulas.follower_task(&centre, Some(self.formulas.follower.objective), 0.0);
        for z in &mut task.domain {
            *z = z.intersect(Interval::new(-1e4, 1e4));
        }
        let starts: Vec<Vec<f64>> = if near.len() == domain.len() { vec![near[n..].to_vec()] } else { Vec::new() };
        let limits = Limits { nodes: 60, gap: 1e-7, ..Limits::default() };
        let bound = Prover::new(&task, limits).run(&starts);
        let best = bound.within.or(bound.strict)?;
        let mut shift = 0.0;
        for _ in 0..3 {
            let cut = self.affine(domain, &centre, &best.point, shift);
            let (cut, violation) = self.settled(cut, domain);
            if violation <= 0.0 {
                return Some(cut);
            }
            if violation >= 1.0 || violation <= 2.0 * shift - 1e-12 {
                break;
            }
            shift += 1.2 * violation + 1e-9;
        }
        self.constant(domain, &centre, &best.point)
    }

    /// A constant answer that is feasible over the whole x-box: the one at the middle, or at an end of the box.
    fn constant(&mut self, domain: &[Interval], centre: &[f64], best: &[f64]) -> Option<Cut> {
        let n = self.formulas.n;
        let mut found: Option<(f64, Cut)> = None;
        for k in 0..=2 * n {
            let mut x = centre.to_vec();
            if k > 0 {
                let z = domain[(k - 1) / 2];
                x[(k - 1) / 2] = if k % 2 == 1 { z.lo() } else { z.hi() };
            }
            let base = if k == 0 { best.to_vec() } else { self.answer_at(&x, best, 1e-9) };
            let cut = Cut { slopes: vec![vec![0.0; n]; self.formulas.m], centre: centre.to_vec(), base };
            let (cut, violation) = self.settled(cut, domain);
            if violation <= 0.0 {
                let at: Vec<_> = centre.iter().chain(&cut.base).copied().collect();
                let value = self.objective(&at);
                if found.as_ref().is_none_or(|(known, _)| value < *known) {
                    found = Some((value, cut));
                }
            }
        }
        found.map(|(_, cut)| cut)
    }

    /// The cut with simple coefficients if that is feasible, else as it is; and its violation.
    pub fn settled(&self, cut: Cut, domain: &[Interval]) -> (Cut, f64) {
        let mut simple = cut.clone();
        self.tidy(&mut simple, domain);
        let violation = self.violation(&simple, domain);
        if violation <= 0.0 {
            return (simple, violation);
        }
        let raw = self.violation(&cut, domain);
        if raw <= 0.0 || raw < violation { (cut, raw) } else { (simple, violation) }
    }

    /// f at a point, in ordinary rounding.
    fn objective(&mut self, at: &[f64]) -> f64 {
        let mut sweep = Sweep::<f64>::new(&self.program);
        sweep.forward_root(&self.program, 0, at);
        sweep.value(&self.program, 0)
    }

    /// A local answer of the follower at `x`, with the inequalities kept by `shift`.
    fn answer_at(&mut self, x: &[f64], start: &[f64], shift: f64) -> Vec<f64> {
        let n = self.formulas.n;
        let mut domain: Vec<_> = x.iter().map(|&v| Interval::point(v)).collect();
        domain.extend_from_slice(&self.formulas.domain[n..]);
        let from = [x, start].concat();
        if self.local.run(&self.program, &domain, &from, shift, 40) {
            self.local.point[n..].to_vec()
        } else {
            start.to_vec()
        }
    }

    /// The affine answer through the middle with differences of answers at the ends.
    fn affine(&mut self, domain: &[Interval], centre: &[f64], best: &[f64], shift: f64) -> Cut {
        let (n, m) = (self.formulas.n, self.formulas.m);
        let base = if shift > 0.0 { self.answer_at(centre, best, shift) } else { best.to_vec() };
        let mut slopes = vec![vec![0.0; n]; m];
        for i in 0..n {
            let half = 0.5 * domain[i].width();
            if !(half > 0.0 && half.is_finite()) {
                continue;
            }
            let mut x = centre.to_vec();
            x[i] = domain[i].hi();
            let right = self.answer_at(&x, &base, shift);
            x[i] = domain[i].lo();
            let left = self.answer_at(&x, &base, shift);
            for (row, (r, l)) in slopes.iter_mut().zip(right.iter().zip(&left)) {
                row[i] = (r - l) / domain[i].width();
            }
        }
        Cut { centre: centre.to_vec(), base, slopes }
    }

    /// Rounds coefficients that are nearly simple, and keeps the answer within the bounds of Y where that is easy.
    fn tidy(&self, cut: &mut Cut, domain: &[Interval]) {
        let n = self.formulas.n;
        let simple = |v: f64| {
            let near = (v * 64.0).round() / 64.0;
            if (near - v).abs() <= 1e-5 { near } else { v }
        };
        // A middle that is not simple would spoil simple answers: the constant term is taken at x = 0 then.
        for (j, (base, row)) in cut.base.iter_mut().zip(&mut cut.slopes).enumerate() {
            let whole = self.formulas.domain[n + j];
            row.iter_mut().for_each(|s| *s = simple(*s));
            let reach: f64 = row.iter().zip(domain).map(|(s, z)| s.abs() * 0.5 * z.width()).sum();
            if (*base - whole.lo()).abs() <= 1e-7 + 1e-3 * reach || (*base - whole.hi()).abs() <= 1e-7 + 1e-3 * reach {
                row.fill(0.0);
                *base = whole.clamp(*base);
                for end in [whole.lo(), whole.hi()] {
                    if (*base - end).abs() <= 1e-7 {
                        *base = end;
                    }
                }
            }
            let at_zero = *base - row.iter().zip(&cut.centre).map(|(s, c)| s * c).sum::<f64>();
            if row.iter().all(|s| (s * 64.0).fract() == 0.0) && (simple(at_zero) * 64.0).fract() == 0.0 {
                *base += simple(at_zero) - at_zero;
            }
        }
        let exact = |v: f64| (v * 64.0).fract() == 0.0;
        let all_simple = cut.slopes.iter().flatten().all(|&s| exact(s))
            && cut.base.iter().zip(&cut.slopes).all(|(b, row)| {
                let at_zero = b - row.iter().zip(&cut.centre).map(|(s, c)| s * c).sum::<f64>();
                exact(simple(at_zero))
            });
        if all_simple {
            for (base, row) in cut.base.iter_mut().zip(&cut.slopes) {
                *base = simple(*base - row.iter().zip(&cut.centre).map(|(s, c)| s * c).sum::<f64>());
            }
            cut.centre.fill(0.0);
        }
    }

    /// An upper bound of the violation of Y by ȳ(x) over the x-box: 0 if ȳ(x) is proved to be in Y(x) for all x.
    fn violation(&self, cut: &Cut, domain: &[Interval]) -> f64 {
        let formulas = self.formulas;
        let n = formulas.n;
        let mut b = Builder::new();
        let mut with: Vec<_> = (0..n).map(|v| b.variable(v)).collect();
        let answer = cut.answer(&mut b, &with);
        with.extend(&answer);
        let all = b.import(&self.program, &with);
        let mut roots = answer;
        roots.extend(&all);
        let program = b.finish(&roots, n);
        let box_x = &domain[..n];
        let mut sweep = Sweep::<Interval>::new(&program);
        let mut spot = Sweep::<Interval>::new(&program);
        let middle: Vec<_> = box_x.iter().map(|z| Interval::point(z.mid())).collect();
        sweep.forward(&program, box_x);
        spot.forward(&program, &middle);
        let mut row = vec![Interval::ZERO; n];
        let mut range = |r: usize| {
            let natural = sweep.value(&program, r);
            if !sweep.defined(&program, r) {
                return Interval::ENTIRE;
            }
            sweep.gradient(&program, r, &mut row);
            let mut form = spot.value(&program, r);
            for ((s, z), c) in row.iter().zip(box_x).zip(&middle) {
                form = form + *s * (*z - *c);
            }
            natural.intersect(form)
        };
        let m = formulas.m;
        let mut violation = 0.0_f64;
        for (j, whole) in formulas.domain[n..].iter().enumerate() {
            let z = range(j);
            violation = violation.max(z.hi() - whole.hi()).max(whole.lo() - z.lo());
        }
        if range(m) == Interval::ENTIRE {
            return f64::INFINITY;
        }
        let p = formulas.follower.inequalities.len();
        for k in 0..p {
            violation = violation.max(range(m + 1 + k).hi());
        }
        for k in 0..formulas.follower.equalities.len() {
            // An equality is met exactly or not at all.
            if range(m + 1 + p + k) != Interval::ZERO {
                return f64::INFINITY;
            }
        }
        if violation.is_nan() { f64::INFINITY } else { violation }
    }
}
