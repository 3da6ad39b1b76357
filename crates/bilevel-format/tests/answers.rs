//! What `evaluate` says of S(x) and of both hyper-objectives, for small followers whose answers are known.

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bilevel::prelude::*;
    use bilevel::solve::{AnswerSet, ValuesAt};
    use bilevel_format::from_bytes;

    /// The values at x of a follower with these variables, objective and constraints; F = y[0].
    fn at(follower: &str, lower: &str, constraints: &[&str], leader: &[&str], x: f64) -> ValuesAt {
        let text = format!(
            "[leader]\nx = \"in [-5, 5]\"\n[follower]\ny = \"{follower}\"\n[upper]\nminimize = 'y[0]'\nsubject_to = \
             {leader:?}\n[lower]\nminimize = '{lower}'\nsubject_to = {constraints:?}\n"
        );
        let file =
            from_bytes("small.toml", text.as_bytes(), Path::new("."), &[]).unwrap_or_else(|d| panic!("{lower}: {d}"));
        file.problem.values_at(&[x], &Options::default())
    }

    fn kind(answers: &AnswerSet) -> String {
        match answers {
            AnswerSet::Unique => "unique".into(),
            AnswerSet::Affine(dimension) => format!("affine {dimension}"),
            AnswerSet::Face(dimension) => format!("face {dimension}"),
            AnswerSet::Isolated { count, .. } => format!("isolated {count}"),
            AnswerSet::Undecided => "undecided".into(),
        }
    }

    const INF: f64 = f64::INFINITY;

    /// Variables, objective, constraints, x, S(x), φ_o and φ_p.
    type Row = (&'static str, &'static str, &'static [&'static str], f64, &'static str, f64, f64);

    const ROWS: &[Row] = &[
        // Kinks: auxiliary variables do not count, and a flat bottom has ends.
        ("vector(1)", "max(0, abs(y[0]) - 1)", &[], 0.5, "face 1", -1.0, 1.0),
        ("vector(2)", "max(0, abs(y[0]) - 1)", &[], 0.5, "face 2", -1.0, 1.0),
        ("vector(2)", "max(0, 1 - y[0] - y[1])", &[], 0.5, "face 2", -INF, INF),
        ("vector(2)", "max(0, abs(y[0]) - 1) + abs(y[1] - x)", &[], 0.5, "face 1", -1.0, 1.0),
        ("vector(2)", "abs(y[0] - x)", &[], 0.5, "affine 1", 0.5, 0.5),
        ("vector(2)", "abs(y[0] + y[1] - x)", &[], 0.5, "affine 1", -INF, INF),
        ("vector(2)", "abs(y[0]) + abs(y[1])", &[], 0.5, "unique", 0.0, 0.0),
        ("vector(2) in [0, 3]", "max(y[0], y[1], 1)", &[], 0.5, "face 2", 0.0, 1.0),
        ("vector(2)", "max(0, y[0]^2 - 1) + y[1]^2", &[], 0.5, "face 1", -1.0, 1.0),
        ("vector(2)", "(y[0] + y[1] - 1)^2 + x*norm1(y)", &[], 0.1, "face 1", 0.0, 0.95),
        // Balls of the norm of absolute values, and faces of polytopes.
        ("vector(2)", "-y[0] - y[1]", &["abs(y[0]) + abs(y[1]) <= 1"], 0.5, "face 1", 0.0, 1.0),
        ("vector(3)", "-y[0] - y[1] - y[2]", &["norm1(y) <= 1"], 0.5, "face 2", 0.0, 1.0),
        ("vector(2)", "-2*y[0] - y[1]", &["norm1(y) <= 1"], 0.5, "unique", 1.0, 1.0),
        ("vector(3)", "norm1(y)", &["y[0] + y[1] + y[2] == 1"], 0.5, "face 2", 0.0, 1.0),
        ("simplex(3)", "y[0]", &[], 0.5, "face 1", 0.0, 0.0),
        ("simplex(3)", "y[0] + y[1]", &[], 0.5, "unique", 0.0, 0.0),
        ("vector(3) in [0, 1]", "x*y[0] - y[1]", &[], 0.5, "face 1", 0.0, 0.0),
        ("vector(3) in [0, 1]", "x*y[0]", &[], 0.0, "face 3", 0.0, 1.0),
        // Constraints without multipliers that leave less than they seem to.
        ("vector(2) in [0, 1]", "0*y[0]", &["y[0] + y[1] >= 2"], 0.5, "unique", 1.0, 1.0),
        ("vector(3) in [0, 1]", "0*y[0]", &["y[0] + y[1] >= 2"], 0.5, "face 1", 1.0, 1.0),
        ("vector(2)", "0*y[0]", &["y[0] + y[1] >= x", "y[0] + y[1] <= x"], 0.5, "affine 1", -INF, INF),
        ("vector(2) in [0, 1]", "(y[0] + y[1] - x)^2", &[], 2.0, "unique", 1.0, 1.0),
        ("vector(2) in [0, 1]", "(y[0] + y[1] - x)^2", &[], 3.0, "unique", 1.0, 1.0),
        ("vector(2) in [0, 1]", "(y[0] + y[1] - x)^2", &[], 1.5, "face 1", 0.5, 1.0),
        // Equations, half-lines, round sets.
        ("vector(3)", "(y[0] - x)^2", &["y[1] + y[2] == 1"], 0.5, "affine 1", 0.5, 0.5),
        ("vector(3)", "norm2sq(y)", &["y[1] + y[2] == 1"], 0.5, "unique", 0.0, 0.0),
        ("vector(2) in [0, inf]", "y[1]", &[], 0.5, "face 1", 0.0, INF),
        ("ball(2, 1)", "y[0]", &[], 0.5, "unique", -1.0, -1.0),
        ("ball(2, 1)", "0*y[0]", &[], 0.5, "face 2", -1.0, 1.0),
        ("vector(2)", "0*y[0] + x", &[], 0.5, "affine 2", -INF, INF),
        // Several wells.
        ("vector(1) in [-2, 2]", "(y[0]^2 - 1)^2", &[], 0.5, "isolated 2", -1.0, 1.0),
        ("vector(2) in [-2, 2]", "(y[0]^2 - 1)^2 + (y[1]^2 - 1)^2", &[], 0.5, "isolated 4", -1.0, 1.0),
        ("vector(1)", "(y[0]^2 - 1)^2", &[], 0.5, "isolated 2", -1.0, 1.0),
        ("vector(2)", "(y[0]^2 - 1)^2", &[], 0.5, "undecided", -1.0, 1.0),
        ("vector(2) in [-1, 1]", "-y[0]^2 - y[1]^2", &[], 0.5, "isolated 4", -1.0, 1.0),
        ("vector(1)", "(y[0] - x)^4", &[], 0.5, "unique", 0.5, 0.5),
    ];

    #[test]
    fn answers_of_small_followers() {
        let mut wrong = Vec::new();
        for (follower, lower, constraints, x, expected, best, worst) in ROWS {
            let found = at(follower, lower, constraints, &[], *x);
            let mut say = |what: String| wrong.push(format!("{lower} over {follower} {constraints:?}: {what}"));
            if kind(&found.answers) != *expected {
                say(format!("{} for {expected}", kind(&found.answers)));
            }
            for (phi, truth) in [(&found.optimistic, *best), (&found.pessimistic, *worst)] {
                let Some(bracket) = &phi.bracket else {
                    say(format!("no value for {truth}: {}", phi.by));
                    continue;
                };
                let value = bracket.value;
                let near = value == truth || (value - truth).abs() <= 1e-5 * (1.0 + truth.abs());
                if !near {
                    say(format!("{value} for {truth} by {}", phi.by));
                }
                if bracket.lower.value > value || value > bracket.upper.value {
                    say(format!("{value} outside of {} and {}", bracket.lower.value, bracket.upper.value));
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    /// The leader's constraints on y bind an optimistic leader, and nothing else: v and S(x) are the follower's own.
    #[test]
    fn constraints_of_the_leader_leave_the_follower_alone() {
        let flat = ("vector(1) in [0, 1]", "0*y[0]");
        let some = at(flat.0, flat.1, &[], &["y[0] >= 0.2"], 0.5);
        assert_eq!((kind(&some.answers).as_str(), some.status), ("face 1", Status::Solved));
        assert!(some.optimistic.bracket.is_some_and(|b| (b.value - 0.2).abs() < 1e-6));
        let none = at(flat.0, flat.1, &[], &["y[0] >= 2"], 0.5);
        assert_eq!((kind(&none.answers).as_str(), none.status), ("face 1", Status::Infeasible));
        assert!(none.v.is_some_and(|v| v.value == 0.0));
        assert!(none.optimistic.bracket.is_some_and(|b| b.value == f64::INFINITY));
        assert!(none.pessimistic.bracket.is_some_and(|b| (b.value - 1.0).abs() < 1e-6));
        let one_well = at("vector(1) in [-2, 2]", "(y[0]^2 - 1)^2", &[], &["y[0] >= 0"], 0.5);
        assert_eq!(kind(&one_well.answers), "isolated 2");
        let empty = at("vector(1) in [0, 1]", "y[0]", &["y[0] >= x"], &[], 2.0);
        assert_eq!((empty.status, empty.v.is_none()), (Status::Infeasible, true));
        let falling = at("vector(1)", "y[0]", &[], &[], 2.0);
        assert_eq!(falling.status, Status::FollowerUnbounded);
    }
}
