//! Points that are right and points that are wrong on purpose, checked through the public face: none of the first is
//! refuted, all of the second are.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use bilevel::lower::{Follower, LowerSolver, LowerStatus, Meter, Regulariser};
    use bilevel::prelude::*;
    use bilevel::problem::{At, Failures, FunctionEvaluator, NamedValues};
    use bilevel::set::ConvexSet;
    use bilevel::smooth::{Chks, Smoothing};
    use bilevel::solution::{Rigor, Verdict, Witness};
    use bilevel::solve::Claims;
    use bilevel_format::load;

    /// A problem with a point that is known to be right.
    struct Case {
        name: String,
        problem: Problem,
        x: Vec<f64>,
        y: Vec<f64>,
    }

    /// Numbers between 0 and 1 from a seed.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> f64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1u64 << 53) as f64
        }

        fn around(&mut self) -> f64 {
            2.0 * self.next() - 1.0
        }
    }

    fn cases() -> Vec<Case> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../problems");
        let mut paths: Vec<PathBuf> = Vec::new();
        for folder in ["bolib", "basblib", "traps"] {
            let entries = std::fs::read_dir(root.join(folder));
            paths.extend(entries.into_iter().flatten().flatten().map(|entry| entry.path()));
        }
        paths.sort();
        let mut cases = Vec::new();
        for path in paths {
            let Ok(file) = load(&path, &[]) else { panic!("{} does not load", path.display()) };
            let flat = |values: &NamedValues| values.0.iter().flat_map(|(_, v)| v.clone()).collect();
            let (x, y): (Vec<f64>, Vec<f64>) = (flat(&file.known.x), flat(&file.known.y));
            if x.len() == file.problem.n() && y.len() == file.problem.m() && file.problem.m() <= 6 {
                let name = path.file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
                cases.push(Case { name, problem: file.problem, x, y });
            }
        }
        assert!(cases.len() > 80, "only {} problems with known points", cases.len());
        cases
    }

    impl Case {
        fn verify(&self, y: &[f64]) -> Solution {
            self.problem.verify(&self.x, y, &Claims::default(), &Options::default()).unwrap_or_else(|e| panic!("{e}"))
        }

        /// f(x, y), minimised.
        fn lower(&self, y: &[f64]) -> f64 {
            let failures = Failures::default();
            let (n, m) = (self.problem.n(), self.problem.m());
            FunctionEvaluator::new(&self.problem.follower().objective, n, m, &failures).value(At {
                x: &self.x,
                y,
                smoothing: Smoothing::EXACT,
            })
        }

        /// The largest violation of the follower's constraints, computed here and not by what is tested.
        fn violation(&self, y: &[f64]) -> f64 {
            let failures = Failures::default();
            let side = self.problem.follower();
            let mut largest = side.set.violation(y);
            for constraint in &side.constraints {
                let mut values = vec![0.0; constraint.len()];
                FunctionEvaluator::new(&constraint.function, self.problem.n(), self.problem.m(), &failures)
                    .values(At { x: &self.x, y, smoothing: Smoothing::EXACT }, &mut values);
                for v in values {
                    largest = largest.max(if constraint.is_equality() { v.abs() } else { v });
                }
            }
            largest
        }

        /// What is wrong with y, if anything clearly is: it is infeasible, or the known answer is better.
        fn mistake(&self, y: &[f64]) -> Option<&'static str> {
            let size = 1.0 + self.x.iter().chain(y).fold(0.0, |a: f64, v| a.max(v.abs()));
            if self.violation(y) > 1e-4 * size {
                return Some("infeasible");
            }
            let known = self.lower(&self.y);
            let exact = self.violation(&self.y) <= 0.0;
            let margin = if exact { 1e-6 } else { 2e-3 };
            (self.lower(y) > known + margin * (1.0 + known.abs())).then_some("not optimal")
        }

        /// Answers of local solves from many starts.
        fn local_answers(&self, random: &mut Numbers) -> Vec<Vec<f64>> {
            let (failures, meter) = (Failures::default(), Meter::unlimited());
            let follower = Follower::direct(&self.problem);
            let mut solver = LowerSolver::new(&follower, &failures, &meter);
            let m = self.problem.m();
            let mut answers = Vec::new();
            for _ in 0..6 {
                let start: Vec<f64> = self.y.iter().map(|v| v + 3.0 * (1.0 + v.abs()) * random.around()).collect();
                let start = follower.extend(&self.x, &start);
                let found = solver.solve(&self.x, &start, Smoothing::new(&Chks, 1e-6), &Regulariser::default());
                if found.status == LowerStatus::Solved {
                    answers.push(found.y[..m].to_vec());
                }
            }
            answers
        }

        /// Points moved from the answer: into all directions, out of the set by 1e-3, and towards what the leader likes.
        fn moved(&self, random: &mut Numbers) -> Vec<Vec<f64>> {
            let side = self.problem.follower();
            let mut points = Vec::new();
            for size in [3e-3, 1e-2, 1e-1] {
                let away: Vec<f64> = self.y.iter().map(|v| v + size * (1.0 + v.abs()) * random.around()).collect();
                let mut inside = away.clone();
                side.set.project(&away, &mut inside);
                points.extend([away, inside]);
            }
            let failures = Failures::default();
            let (n, m) = (self.problem.n(), self.problem.m());
            let mut slope = vec![0.0; m];
            let at = At { x: &self.x, y: &self.y, smoothing: Smoothing::EXACT };
            FunctionEvaluator::new(&self.problem.leader().objective, n, m, &failures).add_gradient(
                at,
                &[1.0],
                None,
                Some(&mut slope),
            );
            let length = slope.iter().map(|s| s * s).sum::<f64>().sqrt().max(1e-9);
            for step in [3e-3, 3e-2] {
                let relaxed: Vec<f64> = self.y.iter().zip(&slope).map(|(v, s)| v - step * s / length).collect();
                let mut inside = relaxed.clone();
                side.set.project(&relaxed, &mut inside);
                points.push(inside);
            }
            points
        }
    }

    #[test]
    fn known_answers_are_not_refuted() {
        let cases = cases();
        let mut verified = 0;
        for case in &cases {
            let certificate = case.verify(&case.y).certificate;
            assert_ne!(certificate.verdict, Some(Verdict::Refuted), "{}: {:?}", case.name, certificate.statements);
            verified += usize::from(certificate.verdict == Some(Verdict::Verified));
        }
        assert!(verified * 10 >= cases.len() * 9, "{verified} of {} verified", cases.len());
    }

    #[test]
    fn wrong_points_are_refuted() {
        let mut random = Numbers(7);
        let (mut infeasible, mut worse) = (0, 0);
        for case in cases() {
            let mut points = case.local_answers(&mut random);
            points.extend(case.moved(&mut random));
            for y in points {
                let Some(mistake) = case.mistake(&y) else { continue };
                let certificate = case.verify(&y).certificate;
                let what = &certificate.statements;
                assert_eq!(
                    certificate.verdict,
                    Some(Verdict::Refuted),
                    "{} at {y:?} is {mistake}: {what:?}",
                    case.name
                );
                assert!(certificate.witness.is_some() && !what.is_empty(), "{}", case.name);
                if let Some(Witness::Better { y: better, by, rigor, .. }) = &certificate.witness {
                    let flat: Vec<f64> = better.0.iter().flat_map(|(_, v)| v.clone()).collect();
                    let gain = case.lower(&y) - case.lower(&flat);
                    assert!(gain > 0.0 && (gain - by).abs() <= 1e-6 * (1.0 + gain), "{}: {gain} {by}", case.name);
                    assert!(*rigor != Rigor::Proved || case.violation(&flat) <= 1e-7, "{}", case.name);
                }
                infeasible += usize::from(mistake == "infeasible");
                worse += usize::from(mistake == "not optimal");
            }
        }
        assert!(infeasible > 200 && worse > 300, "{infeasible} infeasible, {worse} worse points");
    }
}
